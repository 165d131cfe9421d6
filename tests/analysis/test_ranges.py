"""Ranges of curves: planted levels and planted lines are found, with their intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.analysis.ranges import crossing, half_drop, level_range, linear_range


@given(st.floats(0.1, 3.9), st.sampled_from([-1, 1]))
def test_a_crossing_of_a_line_is_interpolated_exactly(zero, side):
    x = np.arange(5.0) if side > 0 else -np.arange(5.0)[::-1]
    y = zero - np.abs(x)
    assert crossing(x, y, 0 if side > 0 else 4, side) == pytest.approx(side * zero)
    assert np.isnan(crossing(x, np.abs(y) + 1, 2, side))


@given(st.floats(0.05, 0.4))
def test_ends_of_a_level_on_a_falling_line_are_where_it_leaves(within):
    x = np.linspace(0, 4, 9)
    found = level_range(x, (2 - x / 2)[None], 1.0, within, resamples=20)
    assert (found.start.mean, found.stop.mean) == pytest.approx((2 - 2 * within, 2 + 2 * within))
    assert found.start.low == found.start.high == found.start.mean  # one seed has no spread
    edge = level_range(x[::-1], (2 - x[::-1] / 2)[None], 2.0, within, resamples=20)
    assert edge.start.mean == 0


def test_the_interval_of_an_end_covers_the_seeds_and_gaps_are_skipped():
    x, shifts = np.linspace(0, 4, 41), np.linspace(-0.2, 0.2, 9)
    runs = np.array([np.clip(2.5 - x + shift, 0.5, 1.0) for shift in shifts])
    runs[:, 30] = np.nan
    found = level_range(x, runs, 1.0)
    assert found.stop.low < found.stop.mean < found.stop.high
    assert found.stop.mean == pytest.approx(1.6, abs=0.05)
    assert found.value == pytest.approx(1, abs=0.05)
    assert np.isnan(level_range(x, runs, 7.0).start.mean)
    assert np.isnan(level_range(x, np.full((2, 41), np.nan), 1.0).stop.mean)


@given(st.floats(-3, 3).filter(lambda slope: abs(slope) > 0.3), st.integers(0, 99))
def test_the_straight_part_of_a_bent_curve_is_found_with_its_slope(slope, seed):
    x = np.linspace(0, 10, 21)[:, None] + np.zeros(6)
    y = slope * np.where(x < 6, x, 6 + (x - 6) ** 2)
    y = y + 1e-3 * np.random.default_rng(seed).normal(size=y.shape)
    found = linear_range(x, y, tol=0.005, resamples=100)
    assert found.start == 0
    assert 5.5 <= found.stop <= 7.5
    assert found.slope.low <= slope + 0.1
    assert found.slope.high >= slope - 0.1
    assert found.r_squared > 0.99


def test_nothing_straight_and_nothing_finite():
    x = np.arange(6.0)[:, None]
    assert np.isnan(linear_range(x, (-1.0) ** x, tol=0.01).slope.mean)
    assert np.isnan(linear_range(x, np.full((6, 1), np.nan)).start)
    with pytest.raises(ValueError, match="points x seeds"):
        linear_range(x, np.zeros((6, 2)))
    with pytest.raises(ValueError, match="resamples=0"):
        level_range(x[:, 0], x.T, 1.0, resamples=0)
    with pytest.raises(ValueError, match="seeds, points"):
        level_range(x[:, 0], x, 1.0)


def test_crossings_of_many_runs_are_those_of_each():
    x = np.linspace(0, 3, 7)
    y = np.random.default_rng(0).normal(size=(2, 4, 7))
    y[0, 0], y[0, 1], y[0, 2, 0] = 1.0, np.nan, np.inf
    found = crossing(x, y, 1)
    np.testing.assert_array_equal(found, [[crossing(x, run, 1) for run in group] for group in y])
    assert np.isnan(found[0, :2]).all()
    assert np.isnan(crossing(x, y, 6)).all()
    assert crossing(x[:2], [np.inf, -1.0]) == 0.5  # from infinity it has fallen at the next point


def test_half_drops_of_known_curves():
    t = [0, 1, 2]
    found = half_drop(t, [[4.0, 3, 2], [4, 4, 4], [1, 5, 0]], 4.0, 1.0)
    np.testing.assert_array_equal(found, [1.5, np.nan, 0])
    with pytest.raises(ValueError, match="ascending"):
        half_drop([1, 0], [1.0, 0], 1.0, 0.0)
