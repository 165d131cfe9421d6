"""Ranges of curves: crossings and the ends of planted levels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.analysis.ranges import crossing, crossing_of_finite, falls_through_one, half_drop, level_ends


@given(st.floats(0.1, 3.9), st.sampled_from([-1, 1]))
def test_a_crossing_of_a_line_is_interpolated_exactly(zero, side):
    x = np.arange(5.0) if side > 0 else -np.arange(5.0)[::-1]
    y = zero - np.abs(x)
    assert crossing(x, y, 0 if side > 0 else 4, side) == pytest.approx(side * zero)
    assert np.isnan(crossing(x, np.abs(y) + 1, 2, side))


@given(st.floats(0.05, 0.4))
def test_ends_of_a_level_on_a_falling_line_are_where_it_leaves(within):
    x = np.linspace(0, 4, 9)
    assert level_ends(x, 2 - x / 2, 1.0, within) == pytest.approx((2 - 2 * within, 2 + 2 * within))
    assert level_ends(x[::-1], 2 - x[::-1] / 2, 2.0, within)[0] == 0


def test_gaps_are_skipped_and_a_level_never_met_has_no_ends():
    x = np.linspace(0, 4, 41)
    y = np.clip(2.5 - x, 0.5, 1.0)
    y[10] = np.nan
    assert level_ends(x, y, 1.0) == pytest.approx((0, 1.6))
    assert level_ends([0, 1, 2], [2.0, 1.25, 0], 1.0, 0.25) == (1, 1)
    assert np.isnan(level_ends(x, y, 7.0)).all()
    assert np.isnan(level_ends(x, np.full(41, np.nan), 1.0)).all()
    with pytest.raises(ValueError, match="level=0"):
        level_ends(x, y, 0)
    with pytest.raises(ValueError, match="shape"):
        level_ends(x, y[:3], 1.0)


def test_crossings_of_many_runs_are_those_of_each():
    x = np.linspace(0, 3, 7)
    y = np.random.default_rng(0).normal(size=(2, 4, 7))
    y[0, 0], y[0, 1], y[0, 2, 0] = 1.0, np.nan, np.inf
    found = crossing(x, y, 1)
    np.testing.assert_array_equal(found, [[crossing(x, run, 1) for run in group] for group in y])
    assert np.isnan(found[0, :2]).all()
    assert np.isnan(crossing(x, y, 6)).all()
    assert crossing(x[:2], [np.inf, -1.0]) == 0.5  # from infinity it has fallen at the next point


def test_a_curve_crosses_by_its_finite_points_alone():
    x, nothing = np.arange(5.0), np.full(5, np.nan)
    assert crossing_of_finite(x, np.array([np.nan, 2, np.nan, -2, np.nan])) == 2
    assert np.isnan(crossing_of_finite(x, np.array([2, 1, np.nan, 1, np.nan])))
    assert np.isnan(crossing_of_finite(x, nothing))


def test_ratios_cross_one_on_a_straight_line_between_logarithms():
    found = falls_through_one([0.01, 1, 0.1], [[0.1, 10, 0.1], [0.1, 0.5, 2], [4, 2, 3], [0.5, np.nan, 2]])
    np.testing.assert_allclose(found, [10**-0.5, 10 ** -(1 + np.log(2) / np.log(20)), np.nan, 10**-1.5])


def test_half_drops_of_known_curves():
    t = [0, 1, 2]
    found = half_drop(t, [[4.0, 3, 2], [4, 4, 4], [1, 5, 0]], 4.0, 1.0)
    np.testing.assert_array_equal(found, [1.5, np.nan, 0])
    with pytest.raises(ValueError, match="ascending"):
        half_drop([1, 0], [1.0, 0], 1.0, 0.0)
