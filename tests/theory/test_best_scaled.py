"""The best size and bias of a tegum factor: against direct search, the optimum of a pair and the one-sparse limit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from toymodels.theory.superposition import (
    best_scaled,
    expected_loss,
    feature_variance,
    polygon,
    polygon_weights,
    two_features,
)

PAIR = np.array([[1.0], [-1.0]])
TRIANGLE = polygon_weights(3)


def test_one_feature_of_its_own_costs_nothing():
    found = best_scaled([[1.0]], [0.9, 0.1, 0.001])
    np.testing.assert_allclose(found.radius, 1, atol=3e-4)
    np.testing.assert_allclose(found.loss / feature_variance([0.9, 0.1, 0.001]), 0, atol=1e-6)


def test_a_pair_is_the_antipodal_optimum_where_that_is_symmetric():
    p = np.array([0.6, 0.3, 0.1, 0.01])
    np.testing.assert_allclose(best_scaled(PAIR, p).loss, two_features(p, 1.0).antipodal.loss, rtol=1e-5)


def test_rare_features_cost_what_the_best_polygon_does_with_one_at_a_time():
    p = 1e-6  # two at a time: a correction of order n p
    found, known = best_scaled(polygon_weights(5), p), polygon(5)
    assert found.loss / (5 * p) == pytest.approx(known.loss, rel=1e-3)
    assert [found.radius, found.bias] == pytest.approx([known.radius, known.bias], abs=5e-3)


@settings(max_examples=15)
@given(st.floats(0.005, 0.95))
def test_no_descent_from_elsewhere_ends_lower(p):
    best = float(best_scaled(TRIANGLE, p).loss)
    starts = ([1.0, 0.0], [0.8, 0.4], [1.1, -0.2])
    others = [
        minimize(lambda v: float(expected_loss(abs(v[0]) * TRIANGLE, v[1], p)), start, method="Nelder-Mead").fun
        for start in starts
    ]
    assert best <= min(others) + 1e-6 * feature_variance(p)


def test_shape_follows_p_and_nine_features_are_refused():
    assert best_scaled(PAIR, np.full((2, 3), 0.5)).loss.shape == (2, 3)
    assert np.shape(best_scaled(PAIR, 0.5).loss) == ()
    with pytest.raises(ValueError, match="at most 8"):
        best_scaled(np.ones((9, 1)), 0.5)
