"""Descents on functions whose minima are known."""

import numpy as np
import pytest

from toymodels.engine.polish import Limits, descend

EXACT = Limits(steps=60, products=40, tolerance=1e-10, difference=1e-6, flat=1e-9, rounding=1e-13)


def never(x, loss, first_loss, going):
    return np.zeros(len(x), bool)


def quadratics(H, centre, floor):
    """1/2 (x - c) H (x - c) + floor, for every run its own."""

    def gradient(rows, x):
        way = x - centre[rows]
        slope = np.einsum("rpq,rq->rp", H[rows], way)
        return np.einsum("rp,rp->r", slope, way) / 2 + floor[rows], slope

    return gradient


def drawn(seed, runs=5, size=6, condition=1e3):
    rng = np.random.default_rng(seed)
    turns = np.linalg.qr(rng.normal(size=(runs, size, size)))[0]
    values = np.geomspace(1, condition, size)
    H = np.einsum("rpk,k,rqk->rpq", turns, values, turns)
    return H, rng.normal(size=(runs, size)), rng.uniform(0.1, 2, runs), rng.normal(size=(runs, size))


@pytest.mark.parametrize("scale", [1.0, 1e-40, 1e40])
def test_quadratics_are_solved_at_any_scale(scale):
    H, centre, floor, start = drawn(0)
    found = descend(quadratics(scale * H, centre, scale * floor), start, EXACT, never)
    assert found.done.all()
    np.testing.assert_allclose(found.loss, scale * floor, rtol=1e-8)
    np.testing.assert_allclose(found.first_loss, quadratics(scale * H, centre, scale * floor)(np.arange(5), start)[0])


@pytest.mark.parametrize("start", [0.0, 1e-9])
def test_a_saddle_point_is_left(start):
    """(x² - 1)² / 4 + y²/2 + 1: a saddle at the origin, where the gradient is 0, and minima of 1 beside it."""

    def gradient(_, x):
        a, b = x.T
        return (a**2 - 1) ** 2 / 4 + b**2 / 2 + 1, np.stack([a**3 - a, b], axis=1)

    found = descend(gradient, np.array([[start, start / 2]]), EXACT, never)
    np.testing.assert_allclose(found.loss, 1, rtol=1e-6)
    assert found.done.all()


def test_a_minimum_stays_and_what_is_not_finite_is_left_alone():
    H, centre, floor, _ = drawn(1)
    start = centre.copy()
    start[1] = np.nan
    found = descend(quadratics(H, centre, floor), start, EXACT, never)
    others = [0, 2, 3, 4]
    np.testing.assert_array_equal(found.x[others], centre[others])
    assert found.done.all()
    assert np.isnan(found.loss[1])


def test_a_run_does_not_depend_on_its_neighbours():
    H, centre, floor, start = drawn(2)
    together = descend(quadratics(H, centre, floor), start, EXACT, never)
    for run in range(5):
        own = slice(run, run + 1)
        alone = descend(quadratics(H[own], centre[own], floor[own]), start[own], EXACT, never)
        np.testing.assert_allclose(alone.x, together.x[own], rtol=1e-6)


def test_a_run_is_skipped_and_limits_are_kept():
    H, centre, floor, start = drawn(3)
    found = descend(quadratics(H, centre, floor), start, EXACT, never, np.arange(5) == 2)
    np.testing.assert_array_equal(found.x[2], start[2])
    assert found.loss[2] == found.first_loss[2]
    calls = []

    def counted(rows, x):
        calls.append(1)
        return quadratics(H, centre, floor)(rows, x)

    short = descend(counted, start, EXACT._replace(steps=2, products=1), never)
    assert not short.done.all()
    assert len(calls) <= 1 + 2 * 2
    calls.clear()
    few = descend(counted, start, EXACT._replace(gradients=4), never)
    assert not few.done.any()
    assert 2 <= len(calls) <= 4


def test_a_run_ends_once_it_has_come_down_enough():
    H, centre, floor, start = drawn(4)
    wanted = np.arange(5) < 3

    def halved(x, loss, first_loss, going):
        return wanted & (loss < first_loss / 2)

    found = descend(quadratics(H, centre, floor), start, EXACT, halved)
    np.testing.assert_array_equal(found.far, wanted)
    np.testing.assert_array_equal(found.done, ~wanted)
    assert (found.loss[wanted] < found.first_loss[wanted] / 2).all()
    np.testing.assert_allclose(found.loss[~wanted], floor[~wanted], rtol=1e-8)


def test_a_step_that_was_cut_short_says_nothing_about_the_bottom():
    """One product leads along the gradient, which promises little here: most is to gain across it."""
    H = np.array([np.diag([1e6, 1.0])])
    gradient, start = quadratics(H, np.zeros((1, 2)), np.ones(1)), np.array([[1e-4, 1.0]])
    promised_little = EXACT._replace(tolerance=0.1)
    found = descend(gradient, start, promised_little._replace(gradients=3), never)
    assert found.cut.all()
    assert not found.done.any()
    assert descend(gradient, start, promised_little, never).done.all()
