"""Wall time to a solution, not to a step: until a model's loss is within 1 % of the best that is known for it.

`python -m benchmarks.solution [--seeds N]` writes docs/benchmarks_solution.md. PyTorch trains as the notebook of Elhage
et al. 2022 does; ours once in the same way, and once by a rate that falls to zero within a run, whose length is doubled
until all models are there. The clock of each counts its steps alone, all its models together; compilation is outside.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from benchmarks.contenders import TorchInstances
from benchmarks.workloads import Autoencoders
from toymodels import Record, config, sweep, use_cores
from toymodels.arrays import Array, Float
from toymodels.engine.plan import Group
from toymodels.executors import Events
from toymodels.optimizers import Cosine

WITHIN = 1.01
SIZES = {"n=200 m=20": Autoencoders(200, 20, 6, 12_800), "n=400 m=30": Autoencoders(400, 30, 6, 12_800)}
"""Densities from .01 to 1, each a model of its own; so many steps at most."""
LENGTHS = (400, 800, 1600, 3200, 6400, 12_800)
"""Steps at which losses are compared, and lengths of the runs whose rate falls."""
PEAK, WARMUP = 4e-3, 0.05
UNSEEN = 16_384
"""Examples that losses are evaluated on, the same for all."""


class Course(NamedTuple):
    """How a set of models comes down, at each of `LENGTHS`."""

    seconds: np.ndarray
    losses: np.ndarray
    """(lengths, models)"""

    def arrives(self, best: np.ndarray) -> np.ndarray:
        """Seconds until each model stays within 1 % of the best: (models,); infinite where it does not."""
        stays = np.logical_and.accumulate((self.losses <= WITHIN * best)[::-1])[::-1]
        return np.where(stays.any(0), self.seconds[stays.argmax(0)], np.inf)


@jax.jit
def losses(W: Float[Array, "models n m"], b: Float[Array, "models n"], p: Float[Array, " models"]) -> Array:
    """Mean squared error, on examples that nobody trained on."""

    def one(W: Array, b: Array, p: Array, key: Array) -> Array:
        on_key, value_key = jax.random.split(key)
        shape = UNSEEN, W.shape[0]
        x = jnp.where(jax.random.uniform(on_key, shape) < p, jax.random.uniform(value_key, shape), 0.0)
        return jnp.mean(jnp.sum((x - jax.nn.relu(x @ W @ W.T + b)) ** 2, -1))

    return jax.lax.map(lambda args: one(*args), (W, b, p, jax.random.split(jax.random.key(99), len(p))))


def evaluated(workload: Autoencoders, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(losses(W, b, workload.probabilities().astype(np.float32)))


def peer(model: TorchInstances, workload: Autoencoders) -> Course:
    """A peer, by a constant rate; its clock stops while losses are evaluated."""
    model.train(2)
    found, seconds, done = [], [0.0], 0
    for steps in LENGTHS:
        start = time.perf_counter()
        model.train(steps - done)
        seconds.append(seconds[-1] + time.perf_counter() - start)
        weights, done = model.weights(), steps
        found.append(evaluated(workload, weights["W"], weights["b"]))
    return Course(np.asarray(seconds[1:]), np.asarray(found))


def ours(workload: Autoencoders, seed: int, falling: bool) -> Course:
    """Ours: one run by a constant rate and snapshots on its way, or by a rate that falls one run of each length."""
    return _falling(workload, seed) if falling else _constant(workload, seed)


def _constant(workload: Autoencoders, seed: int) -> Course:
    record = Record(*[LENGTHS[-1] // LENGTHS[0] + 1] * 2, linear=True)
    data, seconds = _trained(workload, LENGTHS[-1], {"seed": seed, "record": record})
    at = [data.sel(snapshot=steps) for steps in LENGTHS]
    found = [evaluated(workload, each.W.values, each.b.values) for each in at]
    return Course(seconds * np.asarray(LENGTHS) / LENGTHS[-1], np.asarray(found))


def _falling(workload: Autoencoders, seed: int) -> Course:
    found, seconds = [], []
    for steps in LENGTHS:
        data, taken = _trained(workload, steps, {"seed": seed, "optimizer.lr": Cosine(PEAK, WARMUP)})
        found.append(evaluated(workload, data.W.isel(snapshot=-1).values, data.b.isel(snapshot=-1).values))
        seconds.append(taken)
    return Course(np.asarray(seconds), np.asarray(found))


def _trained(workload: Autoencoders, steps: int, changes: dict[str, Any]) -> tuple[xr.Dataset, float]:
    """A sweep over the densities, and the seconds that its steps took."""
    what, clock = replace(workload, steps=steps).sweep(), Clock()
    data = sweep(replace(what, base=config.replace(what.base, changes)), events=clock)
    return data, clock.seconds


class Clock(Events):
    """Seconds of training alone."""

    seconds = 0.0

    def committed(self, group: Group, seconds: Mapping[str, float]) -> None:
        self.seconds += seconds["train"]


# ----------------------------------------------------------------------------------------------------------------- page


CONTENDERS: dict[str, Callable[[Autoencoders, int], Course]] = {
    "toymodels": partial(ours, falling=False),
    "toymodels, falling rate": partial(ours, falling=True),
    "PyTorch, instance axis": lambda workload, seed: peer(TorchInstances(workload, seed), workload),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.solution", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each (default 3)")
    args = parser.parse_args()
    if not importlib.util.find_spec("torch"):
        parser.error("PyTorch is what is compared with: pip install torch==2.13.0")
    use_cores()
    courses = {}
    for name, workload in SIZES.items():
        for label, train in CONTENDERS.items():
            courses[name, label] = [train(workload, seed) for seed in range(args.seeds)]
            print(name, label, [each.seconds.round(1).tolist() for each in courses[name, label]])
            print(np.stack([each.losses for each in courses[name, label]]))


if __name__ == "__main__":
    main()
