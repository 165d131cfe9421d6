"""A problem that changes while it is trained on: sweeps up and down, curricula, hysteresis."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toymodels.arrays import Array, Float, Int
from toymodels.config import config, static
from toymodels.problems import protocol
from toymodels.problems.protocol import Problem


@config
class Annealed:
    """From one problem to another of the same classes and shapes, in `stairs` levels of equal length.

    Numbers that differ go from `start` to `end` in equal ratios, or in equal steps where not `geometric`; integers
    (seeds, ranks) must agree at both ends and stay as they are. Parameters and optimizer state carry over from level to
    level. Records belong to the problem of the last step taken: `Record(..., stairs + 1, linear=True)` keeps the end of
    every level where `stairs` divides the steps. What a run has still to gain, and so its status, is that of the last
    level.
    """

    start: Problem
    end: Problem
    stairs: int = static(default=20)
    geometric: bool = static(default=True)

    def check(self) -> None:
        if len({jax.tree.structure(self.start), jax.tree.structure(self.end)}) > 1:
            raise ValueError("start and end: problems of the same classes and shapes expected, with other numbers")
        if protocol.changes(self.start):
            raise ValueError("start: a problem that does not change by itself expected")
        if self.stairs < 2:
            raise ValueError(f"stairs={self.stairs}: at least 2")
        pairs = list(zip(jax.tree.leaves(self.start), jax.tree.leaves(self.end), strict=True))
        for a, b in pairs:
            if isinstance(a, int) and isinstance(b, int) and a != b:
                raise ValueError(f"start and end: an integer has no values in between, and {a} would become {b}")
        if self.geometric and any(np.any((np.minimum(a, b) <= 0) & (np.asarray(a) != b)) for a, b in pairs):
            raise ValueError("start and end: numbers that differ are greater than 0 (or geometric=False)")

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        return self.start.dims

    def levels(self, start: float, end: float) -> Float[np.ndarray, " stairs"]:
        """The values that a number takes on its way, level by level."""
        return (np.geomspace if self.geometric else np.linspace)(start, end, self.stairs)

    def at(self, step: Int[Array, ""] | int, steps: int) -> Any:
        share = (step * self.stairs // steps) / (self.stairs - 1)

        def between(start: Any, end: Any) -> Any:
            if jnp.issubdtype(jnp.result_type(start), jnp.integer):
                return start  # equal at both ends
            start, end = jnp.asarray(start, float), jnp.asarray(end, float)
            if not self.geometric:
                return start + share * (end - start)
            ratio = jnp.where(start == end, 1.0, end / jnp.where(start == end, 1.0, start))
            return start * ratio**share

        return jax.tree.map(between, self.start, self.end)

    def init(self, key: Array) -> Any:
        return self.start.init(key)

    def sample(self, key: Array, batch: int) -> Any:
        return protocol.sample(self.start, key, batch)

    def objective(self, params: Any, example: Any) -> Float[Array, ""]:
        return self.start.objective(params, example)
