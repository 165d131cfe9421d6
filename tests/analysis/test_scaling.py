"""Exponents, overlaps and losses of random rows: their values where they are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.analysis.scaling import exponents, random_rows_loss, squared_cosine


@given(st.floats(-2, 3), st.floats(0.1, 10))
def test_the_exponent_of_a_power_of_m(exponent, first):
    m = np.array([4, 9, 20, 50])
    values = first * np.stack([m**-exponent, m**-1.0], axis=1)
    np.testing.assert_allclose(exponents(m, values), [exponent, 1], atol=1e-9)


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
    assert random_rows_loss(np.eye(12), [2], draws=2) < 1e-9
    rng = np.random.default_rng(0)
    x = (rng.random((256, 12)) < 0.3) * rng.random((256, 12))
    losses = random_rows_loss(x, [2, 8, 4000], draws=2)
    assert (np.diff(losses) < 0).all()
    assert losses[-1] < 0.02 < losses[0] < (x**2).sum(1).mean()
