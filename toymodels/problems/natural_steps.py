"""Factorisation with a target of its own for each seed, and step sizes in units that fit every loss."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

from toymodels.arrays import Float
from toymodels.config import replace
from toymodels.data import Distribution
from toymodels.losses import Loss, PowerError, SoftmaxCrossEntropy
from toymodels.optimizers import AdamW, Momentum
from toymodels.problems.factorize import Components, Factorize
from toymodels.theory.growth import (
    cross_entropy_growth_rates,
    power_growth_rates,
    regression_growth_rates,
    squared_growth_rates,
)

# SGD is momentum without memory and Adam is AdamW without weight decay: two programs train all four.
OPTIMIZERS = {"SGD": Momentum(decay=0), "momentum": Momentum(), "Adam": AdamW(weight_decay=0), "AdamW": AdamW()}
TARGETS = 10_000
"""The target of seed i is drawn from seed TARGETS + i: never a seed that starts a run."""


def in_natural_units(run: Any) -> Any:
    """A run with a target of its own, and with `optimizer.lr` in units of `natural_step`: a sweep's `derive`."""
    own = replace(run, {"problem.target": own_target(run.problem, run.seed)})
    return replace(own, {"optimizer.lr": run.optimizer.lr * natural_step(own.problem, run.optimizer)})


def in_natural_sizes(run: Any) -> Any:
    """`in_natural_units` for targets of any size: `spectrum.first` counts in root mean square entries of the first
    component, and the initial scale in units of `entry_size`."""
    first = run.problem.target.spectrum.first * np.sqrt(run.problem.target.n * run.problem.target.m)
    own = in_natural_units(replace(run, {"problem.target.spectrum.first": float(first)}))
    return replace(own, {"problem.scale": run.problem.scale * entry_size(own.problem.target)})


def among(*names: str) -> dict[str, dict[str, Any]]:
    """The options of a sweep's choice among OPTIMIZERS."""
    return {name: {"optimizer": OPTIMIZERS[name]} for name in names}


def own_target(problem: Factorize, seed: int) -> Components:
    assert isinstance(problem.target, Components)
    return replace(problem.target, {"seed": seed + TARGETS})


def targets(problem: Factorize, seeds: Iterable[int]) -> xr.Dataset:
    """`A` of every seed, and its vectors `left` and `right` as rows, along a dimension "seed"."""
    found = [own_target(problem, int(seed)) for seed in seeds]
    left, right = (np.stack(side) for side in zip(*map(target_vectors, found), strict=True))
    vectors = {"left": (("seed", "target", "row"), left), "right": (("seed", "target", "column"), right)}
    return xr.Dataset({"A": (("seed", "row", "column"), np.stack([target_matrix(each) for each in found])), **vectors})


@cache
def target_matrix(target: Components) -> Float[np.ndarray, "n m"]:
    """A in float64."""
    return np.asarray(target.matrix(), np.float64)


@cache
def target_vectors(target: Components) -> tuple[np.ndarray, np.ndarray]:
    """The vectors a_k and b_k of its components as rows."""
    left, right = target.vectors()
    return np.asarray(left)[: target.rank], np.asarray(right)[: target.rank]


@cache
def growth_rate(target: Components, loss: Loss, data: Distribution | None = None) -> float:
    """Largest rate at which an overlap with the target grows from a small start, per unit of lr * steps."""
    A = target_matrix(target)
    if data is not None:
        return 2 * float(regression_growth_rates(A, data.second_moment()).rates[0])
    if isinstance(loss, PowerError):
        return float(power_growth_rates(A, loss.power).rates[0])
    if isinstance(loss, SoftmaxCrossEntropy):
        return float(cross_entropy_growth_rates(A).rates[0])
    return float(squared_growth_rates(A).rates[0])


@cache
def entry_size(target: Components) -> float:
    """Root mean square entry of the largest component's vectors where both share it, sqrt(s_1 / n)."""
    return float(np.sqrt(np.linalg.norm(target_matrix(target), 2) / target.n))


def natural_step(problem: Factorize, optimizer: Any) -> float:
    """The step size that counts as 1.

    SGD, with momentum: 1 / growth rate, times 1 - decay for what the memory adds. Adam moves each weight by about the
    step size whatever the loss: a tenth of the size of what it has to learn.
    """
    target = problem.target
    assert isinstance(target, Components)
    if isinstance(optimizer, Momentum):
        return (1 - optimizer.decay) / growth_rate(target, problem.loss, problem.data)  # type: ignore[arg-type]
    return 0.1 * entry_size(target)


def step_sizes(sweep: Any) -> xr.DataArray:
    """`optimizer.lr` of every cell of a sweep as it is trained, labelled by the sweep's axes."""
    sizes = np.reshape([run.optimizer.lr for run in sweep.runs()], sweep.shape)
    return xr.DataArray(sizes, {axis.name: axis.labels for axis in sweep.axes})
