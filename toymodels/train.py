"""One training run as a value: what is learned, how, for how long, and what is kept. `toymodels.engine` trains it."""

import importlib
from typing import Any

import numpy as np

from toymodels.arrays import Int
from toymodels.config import config, doubling, static
from toymodels.optimizers import Adam, Optimizer
from toymodels.problems.protocol import Problem

NUMERICS = 2
"""Version of the numbers: raised whenever a change of the engine, a problem or a loss alters a config's results."""


@config
class Record:
    """What a run keeps: the loss and metrics at about `losses` steps, all parameters at about `snapshots` of these.

    Steps are spaced logarithmically, or evenly where `linear`; the first (0) and last are always kept. Loss and metrics
    are means over `examples` fixed examples of a stream of their own, which training never sees.
    """

    losses: int = static(default=200)
    snapshots: int = static(default=20)
    linear: bool = static(default=False)
    examples: int = static(default=2048)

    def check(self) -> None:
        for name in ("losses", "snapshots", "examples"):
            if not 1 <= getattr(self, name) <= 100_000:
                raise ValueError(f"{name}={getattr(self, name)}: an integer in 1..100000")

    def loss_steps(self, steps: int) -> Int[np.ndarray, " records"]:
        """Steps at which losses are kept; those of the snapshots are among them."""
        return np.union1d(_spaced(steps, self.losses, self.linear), self.snapshot_steps(steps))

    def snapshot_steps(self, steps: int) -> Int[np.ndarray, " snapshots"]:
        return _spaced(steps, self.snapshots, self.linear)


def _spaced(steps: int, count: int, linear: bool) -> Int[np.ndarray, " points"]:
    points = np.linspace(0, steps, count) if linear else np.append(0, np.geomspace(steps, 1, max(count - 1, 1)))
    return (
        np.unique(np.append(np.round(points), steps)).astype(np.int32) if count > 1 else np.asarray([steps], np.int32)
    )


@config
class Run:
    """One training run, complete: what is learned, how, for how long, from which seed, and what is kept.

    Cells of equal `seed` and `stream` see the same draws (common random numbers), so their differences are paired;
    another `stream` gives independent data from the same initialisation.
    """

    problem: Problem
    optimizer: Optimizer = Adam()
    steps: int = static(default=10_000)
    batch: int = static(default=1024)
    seed: int = 0
    stream: int = 0
    record: Record = static(default=Record())
    double: bool = doubling()
    """Train in double precision: other cells, at addresses of their own, in about twice the time."""

    def check(self) -> None:
        for name in getattr(self.optimizer, "parameters", ()):
            if name not in self.problem.dims:
                optimizer, problem = (type(each).__name__ for each in (self.optimizer, self.problem))
                raise ValueError(f"optimizer: {optimizer} updates {name}, but {problem} has no {name}")
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: at least 1")
        for name in ("seed", "stream"):
            if not 0 <= getattr(self, name) < 2**31:
                raise ValueError(f"{name}={getattr(self, name)}: an integer in 0..2^31 - 1")


# ---------------------------------------------------------------------------------------------------------- the engine
#
# What trains runs stands above this module; its names are still found here.

_ENGINE = {
    "Results": "batch",
    "train_batch": "batch",
    "Keys": "loop",
    "Program": "programs",
    "State": "loop",
    "compile_seconds": "programs",
    "program": "programs",
    "programs_compiled": "programs",
}


def __getattr__(name: str) -> Any:
    if name not in _ENGINE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"toymodels.engine.{_ENGINE[name]}"), name)
