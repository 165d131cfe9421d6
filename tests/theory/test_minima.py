"""The search for local minima: its ends are minima, a general-purpose search finds no other, blocks do not matter."""

import numpy as np
import pytest
from scipy import optimize

from toymodels.theory import minima
from toymodels.theory.derivatives import value_slope_hessian
from toymodels.theory.expected_loss import expected_loss


def starts(n, m, count, seed=0):
    random = np.random.default_rng(seed)
    W, b = random.normal(size=(count, n, m)) / m**0.5, random.normal(size=(count, n)) / 5
    return W, b, np.full((1, 1), 0.2), np.linspace(1, 0.8, n)[None]


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2)])
def test_ends_have_no_slope_and_no_way_down(n, m):
    W, b, p, importance = starts(n, m, 30)
    found = minima.local_minima(W, b, p, importance)
    np.testing.assert_allclose(found.loss, expected_loss(found.W, found.b, 0.2, importance), rtol=1e-13)
    assert (found.loss <= expected_loss(W, b, 0.2, importance)).all()
    every = [np.broadcast_to(value, (30, n)) for value in (p, importance)]
    _, slope, hessian = value_slope_hessian(found.W, found.b, *every)
    assert np.abs(slope).max() < 1e-6  # a promised decrease of 1e-14 of the loss, of curvatures of order 1
    assert np.linalg.eigvalsh(hessian).min() > -1e-6  # rotations leave a curvature of 0


def test_a_general_search_ends_in_the_same_minima():
    W, b, p, importance = starts(2, 1, 12)
    found = minima.local_minima(W, b, p, importance)
    for index in range(12):
        ends = optimize.minimize(
            lambda x: expected_loss(x[:2, None], x[2:], 0.2, importance[0]),
            np.append(found.W[index] + 1e-3, found.b[index]),
            tol=1e-12,
        )
        assert ends.fun == pytest.approx(found.loss[index], rel=1e-7)


def test_blocks_and_neighbours_do_not_matter(monkeypatch):
    W, b, p, importance = starts(3, 2, 20)
    together = minima.local_minima(W, b, p, importance)
    monkeypatch.setattr(minima, "STATES", 81 * 3)
    apart = minima.local_minima(W, b, p, importance)
    np.testing.assert_allclose(apart.loss, together.loss, rtol=1e-12)


def test_starts_are_not_overwritten():
    W, b, p, importance = starts(2, 1, 3)
    before = W.copy(), b.copy()
    minima.local_minima(W, b, p, importance)
    assert (before[0] == W).all()
    assert (b == before[1]).all()
