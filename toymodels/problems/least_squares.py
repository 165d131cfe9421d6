"""Factorisations held against least squares: exact losses and optima, labelled, with a target for each seed.

Regression on sparse inputs takes weights with dimensions seed, p and any others: U with `row` and `component`, V with
`column` and `component`.
"""

from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from toymodels.config import replace
from toymodels.problems.factorize import Components, Factorize
from toymodels.problems.natural_steps import targets
from toymodels.theory.factorisation import plateau_levels
from toymodels.theory.regression import expected_descent, regression_levels, regression_loss

A, U, V, MOMENT = ["row", "column"], ["row", "component"], ["column", "component"], ["column", "other"]


def truncated_levels(problem: Factorize, target_rank: xr.DataArray) -> xr.DataArray:
    """Least 1/2 |A - Ã|^2 at rank 0, 1, ... along `stage`, for the problem's target at each rank of its own."""
    target = problem.target
    assert isinstance(target, Components)
    levels = [plateau_levels(replace(target, {"rank": r}).singular_values()) for r in target_rank.values.tolist()]
    return xr.DataArray(levels, dims=("target_rank", "stage"), coords={"target_rank": target_rank})


def exact_losses(problem: Factorize, left: xr.DataArray, right: xr.DataArray) -> xr.Dataset:
    """`loss`, E|(A - U Vᵀ) x|^2 of every model, and `level`, its least value at rank 0, 1, ... along `stage`."""
    target, moment = _target(problem, left), _moment(problem, left)
    loss = xr.apply_ufunc(regression_loss, target, left, right, moment, input_core_dims=[A, U, V, MOMENT])
    signature: dict[str, Any] = {"input_core_dims": [A, MOMENT], "output_core_dims": [["stage"]], "vectorize": True}
    return xr.Dataset({"loss": loss, "level": xr.apply_ufunc(regression_levels, target, moment, **signature)})


def exact_descents(
    problem: Factorize, left: xr.DataArray, right: xr.DataArray, lr: xr.DataArray, steps: int
) -> xr.DataArray:
    """The exact loss at every `step` of gradient descent on it from these weights: training without its noise."""
    arrays, core = (_target(problem, left), left, right, _moment(problem, left), lr), [A, U, V, MOMENT, []]
    descend = partial(expected_descent, steps=steps)
    curves = xr.apply_ufunc(descend, *arrays, input_core_dims=core, output_core_dims=[["step"]])
    return curves.assign_coords(step=np.arange(steps + 1))


def _target(problem: Factorize, weights: xr.DataArray) -> xr.DataArray:
    return targets(problem, weights.seed.values.tolist()).A.assign_coords(seed=weights.seed)


def _moment(problem: Factorize, weights: xr.DataArray) -> xr.DataArray:
    """E[x xᵀ] at every p."""
    assert problem.data is not None
    found = [np.asarray(replace(problem.data, {"p": p}).second_moment(), np.float64) for p in weights.p.values.tolist()]
    return xr.DataArray(found, dims=("p", "column", "other"), coords={"p": weights.p})
