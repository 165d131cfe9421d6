"""Autoencoders on a finite sample, every example at every step: memorising or generalising. Henighan et al. 2023."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from toymodels import keys
from toymodels.arrays import Array, Float
from toymodels.config import config, static
from toymodels.data import Distribution
from toymodels.models import Tied
from toymodels.problems.supervised import Params, Supervised, initial

HELD = 1024
"""Examples that are held out."""
STREAM = 0x5A3D1E
"""What parts the key of the sample from that of the initialisation, at any seeds."""


@config
class Finite:
    """L = mean over T fixed examples of sum_i (x_i - x'_i)²: deterministic. Metric `held_out`: over 1,024 others.

    `draw` says which examples. W starts as the model's own, plus `on_samples` times a start that memorises, the
    examples sent towards the vertices of a regular T-gon with mean square length 1, and `on_features` times one that
    does not: the first `corners` features sent to the vertices of a regular polygon, the others to 0. Where m is not 2
    directions are random.
    """

    data: Distribution
    model: Tied
    samples: int = static(default=64)
    draw: int = 0
    unit: bool = static(default=False)
    """Whether examples are scaled to length 1, those with a feature on."""
    on_samples: float = 0.0
    on_features: float = 0.0
    corners: int = static(default=5)

    dims: ClassVar[dict[str, tuple[str, ...]]] = Supervised.dims

    def check(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples={self.samples}: at least one example")
        if not 0 <= self.draw < 2**31:
            raise ValueError(f"draw={self.draw}: an integer in 0..2^31 - 1")
        if not 1 <= self.corners <= self.data.n:
            raise ValueError(f"corners={self.corners}: between 1 and the {self.data.n} features")

    def examples(self, held_out: bool = False) -> Float[Array, "samples n"]:
        """The T examples, or those that are held out: other draws of the same law."""
        x = self.data.sample(self.key(held_out), HELD if held_out else self.samples)
        return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12) if self.unit else x

    def key(self, held_out: bool = False) -> Array:
        """The random key of the examples: of no seed's initialisation, for none is folded from it with `STREAM`."""
        return jax.random.fold_in(jax.random.fold_in(keys.key(self.draw), STREAM), int(held_out))

    def prepare(self) -> "Prepared":
        """The same problem with its examples drawn once."""
        made = object.__new__(Prepared)
        values = {"problem": self, "x": self.examples().T, "held": self.examples(held_out=True).T}
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made

    def init(self, key: Array) -> Params:
        return self.prepare().init(key)

    def objective(self, params: Params, example: None = None) -> Float[Array, ""]:
        return self.prepare().objective(params)

    def metrics(self, params: Params, example: None = None) -> dict[str, Float[Array, ""]]:
        return self.prepare().metrics(params)


def directions(count: int, m: int, key: Array) -> Float[Array, "count m"]:
    """The vertices of a regular polygon in the plane, or random unit vectors where m is not 2."""
    if m == 2:
        angle = 2 * jnp.pi * jnp.arange(count) / count
        return jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    drawn = jax.random.normal(key, (count, m))
    return drawn / jnp.linalg.norm(drawn, axis=1, keepdims=True)


@config
class Prepared:
    """`Finite` with its examples, one a column."""

    problem: Finite
    x: np.ndarray
    held: np.ndarray

    dims: ClassVar[dict[str, tuple[str, ...]]] = Supervised.dims

    def init(self, key: Array) -> Params:
        problem, (n, count) = self.problem, self.x.shape
        made = initial(problem.model, key, n)
        polygon_key, corner_key = jax.random.split(jax.random.fold_in(keys.key(problem.draw), STREAM + 1))
        m = problem.model.m
        samples = self.x @ directions(count, m, polygon_key)
        sent = jnp.mean(jnp.sum((samples.T @ self.x) ** 2, axis=0))
        samples = samples / jnp.sqrt(jnp.maximum(sent, 1e-12))  # examples of mean square length 1
        features = jnp.zeros((n, m)).at[: problem.corners].set(directions(problem.corners, m, corner_key))
        return {**made, "W": made["W"] + problem.on_samples * samples + problem.on_features * features}

    def objective(self, params: Params, example: None = None) -> Float[Array, ""]:
        return self._loss(params, self.x)

    def metrics(self, params: Params, example: None = None) -> dict[str, Float[Array, ""]]:
        return {"held_out": self._loss(params, self.held)}

    def _loss(self, params: Params, x: Float[Array, "n samples"]) -> Float[Array, ""]:
        W, model = params["W"], self.problem.model
        returned = model.output(W @ model.hidden(W.T @ x) + params["b"][:, None])
        return jnp.sum((x - returned) ** 2) / x.shape[1]
