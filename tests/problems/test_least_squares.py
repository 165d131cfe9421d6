"""Exact losses, optima and descents of factorisations by name, against the unlabelled theory of one model."""

import numpy as np
import pytest
import xarray as xr

from toymodels.data import Sparse
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.problems.factorize import Components, Factorize
from toymodels.problems.least_squares import exact_descents, exact_losses, truncated_levels
from toymodels.problems.natural_steps import own_target, target_matrix
from toymodels.theory.regression import expected_descent, regression_levels, regression_loss

problem = Factorize(Components(4, 5, 4, Geometric(0.5)), components=2, loss=SquaredError(), data=Sparse(5, 0.1))
P, SEEDS = [0.1, 1.0], [3, 4, 7]


def weights(name: str, size: int) -> xr.DataArray:
    """With their dimensions in another order than theory has them."""
    dims = ("optimizer", "p", "seed", "component", {"U": "row", "V": "column"}[name])
    values = np.random.default_rng(size).normal(size=(2, 2, 3, 2, size))
    return xr.DataArray(values, {"optimizer": ["a", "b"], "p": P, "seed": SEEDS}, dims)


U, V = weights("U", 4), weights("V", 5)


@pytest.mark.parametrize("p", P)
@pytest.mark.parametrize("seed", SEEDS)
def test_losses_levels_and_descents_are_those_of_each_model(p: float, seed: int) -> None:
    A, moment = target_matrix(own_target(problem, seed)), np.asarray(Sparse(5, p).second_moment(), np.float64)
    found = exact_losses(problem, U, V)
    at = {"optimizer": "b", "p": p, "seed": seed}
    one = (A, U.sel(at).values.T, V.sel(at).values.T, moment)
    assert float(found.loss.sel(at)) == pytest.approx(float(regression_loss(*one)), rel=1e-12)
    levels = found.level.sel(p=p, seed=seed)
    np.testing.assert_allclose(levels, regression_levels(A, moment), rtol=1e-12, atol=1e-12)
    # The target is drawn in float32.
    assert float(levels.isel(stage=0)) == pytest.approx(float(exact_losses(problem, 0 * U, V).loss.sel(at)), rel=1e-6)
    rate = xr.full_like(U.isel(component=0, row=0, drop=True), 0.01)
    curves = exact_descents(problem, U, V, rate, 5)
    np.testing.assert_allclose(curves.sel(at), expected_descent(*one, 0.01, 5), rtol=1e-12)
    assert curves.step.values.tolist() == list(range(6))


def test_levels_of_truncated_targets() -> None:
    found = truncated_levels(problem, xr.DataArray([1, 4], dims="target_rank"))
    np.testing.assert_allclose(found.sel(target_rank=1), [0.5, 0, 0, 0, 0], atol=1e-9)
    squares = 0.25 ** np.arange(4) / 2
    np.testing.assert_allclose(found.sel(target_rank=4), [squares[k:].sum() for k in range(5)], rtol=1e-6, atol=1e-9)
