"""Exponents, overlaps and losses of random rows: their values where they are known."""

import jax
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from toymodels.analysis.scaling import (
    exponents,
    local_exponents,
    neighbours,
    random_rows_loss,
    random_rows_losses,
    squared_cosine,
)
from toymodels.data import Sparse


@settings(max_examples=10)
@given(st.floats(-2, 3), st.floats(0.1, 10))
def test_the_exponent_of_a_power_of_m(exponent, first):
    m = np.array([4, 9, 20, 50])
    values = xr.DataArray(first * np.stack([m**-exponent, m**-1.0]), dims=("law", "m"), coords={"m": m})
    np.testing.assert_allclose(exponents(values), [exponent, 1], atol=1e-9)
    np.testing.assert_allclose(local_exponents(values).transpose("law", "widths"), [[exponent] * 3, [1] * 3], atol=1e-9)


def test_exponents_take_values_that_are_there():
    values = xr.DataArray([1.0, np.nan, 0.25, -1.0, 0.1], dims="m", coords={"m": [1, 2, 4, 8, 16]})
    assert np.isnan(exponents(values))
    assert np.isnan(local_exponents(values)).all()
    local = local_exponents(values.sel(m=[1, 4]))
    assert local.widths.values.tolist() == ["1 to 4"]
    flags = xr.DataArray([True, True, False, True, True], dims="m", coords={"m": [1, 2, 4, 8, 16]})
    assert neighbours(flags) == ["1 to 2", "8 to 16"]
    np.testing.assert_allclose(local, [1])


def test_orthogonal_rows_and_equal_rows_have_known_squared_cosines():
    assert squared_cosine(np.eye(3)) == pytest.approx(0)
    assert squared_cosine(np.ones((4, 2))) == pytest.approx(1)
    assert squared_cosine(np.concatenate([np.eye(2), 0.3 * np.ones((5, 2))]), 0.5) == pytest.approx(0)
    assert np.isnan(squared_cosine(0.1 * np.eye(3), 0.5))


def test_random_rows_have_the_squared_cosine_of_random_directions():
    U = np.random.default_rng(0).normal(size=(400, 20))
    assert squared_cosine(U) == pytest.approx(1 / 20, rel=0.05)


def test_one_feature_at_a_time_costs_random_rows_nothing_and_more_cost_less_in_more_dimensions():
    """A bias below 0 silences all rows but the one that is on; in many dimensions random rows are orthogonal."""
    assert random_rows_loss(np.eye(12), [2]) < 1e-9
    rng = np.random.default_rng(0)
    x = (rng.random((256, 12)) < 0.3) * rng.random((256, 12))
    losses = random_rows_loss(x, [2, 8, 4000])
    assert (np.diff(losses) < 0).all()
    assert losses[-1] < 0.02 < losses[0] < (x**2).sum(1).mean()


def test_every_draw_has_its_own_rows_and_examples():
    laws = [Sparse(6, 0.2), Sparse(6, 1.0)]
    losses = random_rows_losses(laws, [2, 4], draws=3, examples=64)
    assert losses.shape == (3, 2, 2)
    assert (losses.std(0) > 0).all()
    x = laws[1].sample(jax.random.key(2), 64)
    np.testing.assert_array_equal(losses[2, 1], random_rows_loss(x, [2, 4], 2))
