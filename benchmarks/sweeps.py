"""Whole sweeps of ours: the phase diagram of 25,000 models, and how time and memory grow with cells and steps."""

import time
from typing import NamedTuple

import numpy as np

from benchmarks.contenders import trainer
from benchmarks.diagram import diagram, exact
from toymodels import Axis, Record, Run, Sweep, sweep
from toymodels.data import Sparse
from toymodels.engine.devices import peak_memory
from toymodels.engine.programs import compile_seconds
from toymodels.models import Tied
from toymodels.optimizers import Adam, AdamW
from toymodels.problems.population import Population
from toymodels.problems.supervised import Supervised

GRID, RESTARTS, STEPS = 50, 10, 1000


class Phases(NamedTuple):
    """The diagram by the exact loss, and beside it by drawn examples at the same number of steps."""

    seconds: dict[str, float]
    """Wall time of the whole sweep, compilation included, by route."""
    models: int
    excess: dict[str, np.ndarray]
    """Exact loss of the best restart over the exact optimum, less one: (p, importance), by route."""
    gap: float
    """Largest relative difference of the recorded exact loss from `expected_loss` of the same weights in float64."""


def phase_diagram() -> Phases:
    """n = 2, m = 1 over 50 densities x 50 importances x 10 restarts, by the population loss and by samples."""
    seconds, excess, gap = {}, {}, np.nan
    for route, problem in (
        ("exact", Population(Sparse(2, 0.1), Tied(1))),
        ("sampled", Supervised(Sparse(2, 0.1), Tied(1))),
    ):
        base = Run(problem, Adam(0.03), steps=STEPS, batch=1024, record=Record(10, 1, examples=1024))
        start = time.perf_counter()
        data = sweep(diagram(base, (GRID, GRID, RESTARTS)))
        W, b = data.W.isel(snapshot=-1).values, data.b.isel(snapshot=-1).values
        seconds[route] = time.perf_counter() - start
        losses, best = exact(W, b)
        excess[route] = losses.min(-1) / best - 1
        if route == "exact":
            gap = float(np.abs(data.objective.isel(step=-1).values / losses - 1).max())
    return Phases(seconds, GRID * GRID * RESTARTS, excess, gap)


class Growth(NamedTuple):
    """Seconds of training (compilation apart) against the number of cells, and of steps; n = 5, m = 2."""

    cells: np.ndarray
    by_cells: np.ndarray
    steps: np.ndarray
    by_steps: np.ndarray
    memory: int
    """Bytes that this process has held at most."""


def growth() -> Growth:
    cells, steps = np.asarray([10, 32, 100, 316, 1000, 3162, 10_000]), np.asarray([100, 316, 1000, 3162, 10_000])
    by_cells = [_seconds(count, 500) for count in cells]
    by_steps = [_seconds(100, count) for count in steps]
    return Growth(cells, np.asarray(by_cells), steps, np.asarray(by_steps), peak_memory())


def _seconds(cells: int, steps: int) -> float:
    base = Run(Supervised(Sparse(5, 0.1), Tied(2)), AdamW(), steps=int(steps), batch=1024, record=Record(1, 1))
    what = Sweep(base, [Axis("p", "problem.data.p", np.geomspace(0.01, 1, cells))])
    train = trainer(what)
    train(1)
    before = compile_seconds()
    return train()[1] - (compile_seconds() - before)
