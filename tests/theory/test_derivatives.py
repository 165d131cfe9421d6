"""Closed-form slopes and Hessians against differences of the exact loss."""

import numpy as np
import pytest

from toymodels.theory.derivatives import value_slope_hessian
from toymodels.theory.expected_loss import expected_loss


def draw(n, m, batch=12):
    random = np.random.default_rng(0)
    W, b = random.normal(size=(batch, n, m)) * 0.7, random.normal(size=(batch, n)) / 3
    W[0, 0] = 1e-9  # nearly no spread: the vertex sum would divide by it
    W[1, -1] = -W[1, 0]
    return W, b, random.uniform(0.05, 1, (batch, n)), random.uniform(0.1, 2, (batch, n))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (3, 2), (4, 2)])
def test_slope_and_hessian_are_differences(n, m):
    W, b, p, importance = draw(n, m)
    value, slope, hessian = value_slope_hessian(W, b, p, importance)
    np.testing.assert_allclose(value, expected_loss(W, b, p, importance), rtol=1e-13)
    step = 1e-6  # errors: step^2 of the third derivative, and rounding over step, 1e-16 / 1e-6
    for parameter in range(n * m + n):
        nudge = step * np.eye(n * m + n)[parameter]
        W_nudge, b_nudge = nudge[: n * m].reshape(n, m), nudge[n * m :]
        high, low = (value_slope_hessian(W + sign * W_nudge, b + sign * b_nudge, p, importance)[:2] for sign in (1, -1))
        np.testing.assert_allclose(slope[:, parameter], (high[0] - low[0]) / (2 * step), atol=2e-9)
        # Not at W = 1e-9: there second derivatives turn within a step.
        np.testing.assert_allclose(hessian[1:, parameter], ((high[1] - low[1]) / (2 * step))[1:], atol=1e-6)


def test_zero_weights_have_finite_derivatives():
    for bias in (0.0, 0.1, -0.1):
        found = value_slope_hessian(np.zeros((1, 3, 2)), np.full((1, 3), bias), np.full((1, 3), 0.5), np.ones((1, 3)))
        assert all(np.isfinite(part).all() for part in found)
