"""Intervals against coverage by simulation, the score test they invert, and a resampling loop written out."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from toymodels.analysis.statistics import Interval, difference, interval, line, mean_of_finite, proportion, spread


def test_the_bootstrap_interval_covers_the_mean():
    rng = np.random.default_rng(0)
    samples = rng.exponential(size=(40, 2000))
    found = interval(samples, axis=0, resamples=500)
    covered = ((found.low <= 1) & (found.high >= 1)).mean()
    # Nominal .95; 40 skewed values undercover by about 2 % (Efron & Tibshirani); the simulation's own error is .006.
    assert 0.90 < covered < 0.97


def test_the_bootstrap_agrees_with_scipy():
    values = np.random.default_rng(1).standard_normal(30)
    ours = interval(values, resamples=20_000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, rng=2).confidence_interval
    # A 2.5 % quantile of 20,000 draws has standard error sqrt(.025 .975 / 20,000) / (.058 sd) = .02 sd of the mean.
    np.testing.assert_allclose([ours.low, ours.high], theirs, atol=0.1 * values.std() / np.sqrt(30))
    assert ours.mean == pytest.approx(values.mean(), abs=1e-14)


def test_missing_values_are_left_out_column_by_column():
    values = np.random.default_rng(2).standard_normal((6, 3, 4))
    holed = values.copy()
    holed[4:, 1, 2], holed[:, 0, 0], holed[5, 2] = np.nan, np.nan, np.inf
    found = interval(holed)
    assert np.isnan([found.mean[0, 0], found.low[0, 0], found.high[0, 0]]).all()
    kept = interval(values[:4, 1, 2])
    np.testing.assert_allclose([found.mean[1, 2], found.low[1, 2], found.high[1, 2]], kept, atol=1e-14)
    np.testing.assert_allclose(found.low[2], interval(values[:5, 2]).low, atol=1e-14)


# Whole numbers: rounding may not make unequal means of resamples equal, nor the other way about.
@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=8), st.floats(0.1, 1e3), st.floats(-1e3, 1e3))
def test_intervals_follow_scale_and_shift(values, scale, shift):
    base = np.array(interval(values, resamples=50))
    moved = np.array(interval(scale * np.array(values) + shift, resamples=50))
    bound = 1e-13 * (scale * np.abs(values).max() + abs(shift) + 1)
    np.testing.assert_allclose(moved, scale * base + shift, atol=bound, rtol=0)
    assert base[1] <= base[0] <= base[2]


def test_degenerate_samples():
    assert interval([3.0]) == (3.0, 3.0, 3.0)
    assert interval(np.full(5, 1e300)) == (1e300, 1e300, 1e300)
    assert np.isnan(interval([np.nan, np.nan]).mean)
    assert interval(np.empty((0, 2))).mean.shape == (2,)
    assert interval(np.empty((2, 0))).mean.shape == (0,)
    huge = interval([-1.7e308, 1.7e308])
    assert np.isfinite(huge).all()
    assert interval([1.0, 2.0], seed=3) == interval([1.0, 2.0], seed=3)


@given(st.integers(0, 50), st.integers(1, 50), st.floats(0.5, 0.99))
def test_wilson_inverts_the_score_test(successes, total, confidence):
    successes = min(successes, total)
    found = proportion(successes, total, confidence)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    z = stats.norm.ppf(0.5 + confidence / 2)
    for end in (found.low, found.high):
        # The ends are where |k/n - q| = z sqrt(q (1 - q) / n); at k = 0 or n one of them is exactly the boundary.
        assert abs(successes / total - end) == pytest.approx(z * np.sqrt(end * (1 - end) / total), abs=1e-7)


def test_wilson_of_arrays_and_of_nothing():
    theirs = stats.binomtest(3, 11).proportion_ci(method="wilson")
    found = proportion([0, 3, 11, 0], [11, 11, 11, 0])
    assert (found.low[1], found.high[1]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert found.low[0] == 0.0
    assert found.high[2] == 1.0
    assert np.isnan(found.mean[3])
    assert (found.low[3], found.high[3]) == (0.0, 1.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: proportion(3, 2),
        lambda: proportion(-1, 2),
        lambda: interval([1.0], confidence=1.0),
        lambda: interval([1.0], axis=1),
        lambda: interval([1.0], resamples=0),
    ],
)
def test_bad_input_is_one_sentence(call):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        call()


def test_excluded_seeds_are_out_of_means_and_ranges_without_a_warning():
    values = np.array([[1.0, 3.0, np.nan], [np.nan, np.nan, np.nan]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, mean, high = spread(values)
    np.testing.assert_array_equal([low, mean, high], [[1, np.nan], [2, np.nan], [3, np.nan]])


def test_an_interval_is_told_by_its_mean_and_ends():
    one, many = Interval(0.5, 0.25, 0.75), Interval(*np.array([[1.0, 2], [0, 1], [2, 3]]))
    assert f"{one:.2f}" == "0.50 (0.25 to 0.75)"
    assert f"{many:.0f}" == "1 (0 to 2), 2 (1 to 3)"
    assert f"{many.at(-1):+.1f}" == "+2.0 (+1.0 to +3.0)"
    assert f"{one}" == str(one)
    assert f"{interval([np.nan]):.2f}" == "-"


def test_means_leave_out_what_is_not_finite():
    values = np.array([[1.0, np.nan, np.inf], [3.0, 2.0, np.nan]])
    np.testing.assert_array_equal(mean_of_finite(values), [2, 2, np.nan])


def test_equal_values_have_no_width_and_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert interval(np.full((4, 2), 0.1)).low.tolist() == [0.1, 0.1]
        assert interval([1.0, 2.0]) == (1.5, 1, 2)  # the correction is undefined: percentiles
        assert difference([2.0, 2.0], [1.0]) == (1, 1, 1)
        low, high = difference([2.0], [0.0, 1.0])[1:]
    assert (low, high) == (1, 2)


def test_a_skewed_sample_has_a_skewed_interval():
    found = interval(np.random.default_rng(0).exponential(size=20) ** 2)
    assert found.high - found.mean > 1.2 * (found.mean - found.low)


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_a_line_is_fitted_exactly_and_without_its_gaps(slope, intercept):
    x = np.array([0.0, 1, 2, np.nan, 4])
    y = slope * x + intercept
    y[2] = np.inf
    assert line(x, y) == pytest.approx((slope, intercept), abs=1e-12)
    assert np.isnan(line(np.ones(3), np.arange(3.0))).all()
    assert np.isnan(line(np.full(2, np.nan), np.ones(2))).all()
