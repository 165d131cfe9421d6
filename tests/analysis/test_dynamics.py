"""Plateaus, jumps, convergence and shelves on curves whose answers are known, with none among them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from toymodels.analysis.dynamics import Shelf, jumps, plateaus, shelf

LINEAR = np.arange(1000.0)
LOG = np.concatenate([[0.0], np.unique(np.round(np.geomspace(1, 1e5, 300)))])
FEW = np.concatenate([[0.0], np.unique(np.round(np.geomspace(1, 1e5, 60)))])
GRIDS = pytest.mark.parametrize(
    "t", [LINEAR, LOG, FEW, LINEAR[::10], LINEAR[1:]], ids=["lin", "log", "few", "dec", "1"]
)


def staircase(t, levels, times, widths):
    """Logistic drops between levels."""
    drops = -np.diff(levels)
    z = np.clip((t[:, None] - np.array(times)) / np.array(widths), -700, 700)
    return levels[-1] + (drops / (1 + np.exp(z))).sum(-1)


STAIRS = [
    (LINEAR, [10.5, 2.5, 0.5, 0.002], [100, 300, 700], [3, 5, 20]),
    (LINEAR[::10], [10.5, 2.5, 0.5, 0.002], [100, 300, 700], [3, 5, 20]),
    (LOG, [10.5, 2.5, 0.5, 0.002], [100, 1000, 20_000], [3, 50, 1000]),
    (FEW, [10.5, 2.5, 0.5, 0.002], [100, 1000, 20_000], [3, 50, 1000]),
    (LINEAR, [3, 2, 1], [300, 600], [10, 10]),
    (LINEAR, [1, 0.9, 0.8], [300, 600], [5, 10]),
    (LINEAR, [101, 100.5, 100], [300, 600], [5, 5]),
    (LINEAR, [2, 1, -3], [300, 600], [5, 5]),
    (LINEAR, [1, 0.1], [400], [10]),
]


@pytest.mark.parametrize(("t", "levels", "times", "widths"), STAIRS)
def test_staircases_have_their_levels(t, levels, times, widths):
    found = plateaus(t, staircase(t, levels, times, widths))
    np.testing.assert_allclose([one.level for one in found], levels, rtol=0.01)
    assert [one.kind for one in found] == ["initial", *["interior"] * (len(levels) - 2), "final"]
    assert found[0].start == t[0]
    assert found[-1].stop == t[-1]
    # Each drop lies in the gap between two plateaus.
    for one, other, time in zip(found[:-1], found[1:], times, strict=True):
        assert one.stop < time < other.start


@given(st.floats(1e-12, 1e12), st.floats(1e-3, 1e3))
def test_plateaus_follow_the_units_of_loss_and_time(units, tempo):
    t, levels, times, widths = STAIRS[0]
    curve = staircase(t, levels, times, widths)
    base, scaled = plateaus(t, curve), plateaus(tempo * t, units * curve)
    np.testing.assert_allclose([one.level / units for one in scaled], [one.level for one in base], rtol=1e-3)
    # Rounding may decide between stretches of equal length, one record apart.
    np.testing.assert_allclose([one.start / tempo for one in scaled], [one.start for one in base], atol=1.1)


@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_staircases_under_noise(noise):
    rng = np.random.default_rng(0)
    right = 0
    for t, levels, times, widths in STAIRS[:5:2]:
        for _ in range(10):
            curve = staircase(t, levels, times, widths) * np.exp(noise * rng.standard_normal(len(t)))
            found = plateaus(t, curve)
            if len(found) == len(levels):
                right += 1
                # The median of >= 20 records has error 1.25 noise / sqrt(20) < .3 noise; five of those.
                np.testing.assert_allclose([one.level for one in found], levels, rtol=0.01 + 1.5 * noise)
    # Counted right in > 97 % of trials while writing: 30 trials fall below 27 by chance less than once in 100.
    assert right >= 27


@GRIDS
@pytest.mark.parametrize("exponent", [0.05, 0.2, 0.5, 1.0])
def test_a_power_law_has_no_plateau(t, exponent):
    assert plateaus(t, (1 + t) ** -exponent) == []


@GRIDS
@pytest.mark.parametrize("tau", [30, 100, 1000])
def test_an_exponential_decay_has_none_but_its_end_at_zero(t, tau):
    found = plateaus(t, np.exp(-t / tau))
    # A flat end can be seen only once the loss is below 1e-8, at t = 18 tau.
    assert [one.kind for one in found] in ([], ["final"])
    assert (len(found) == 1) == (t[-1] > 20 * tau)


def test_decays_are_not_plateaus_under_noise_either():
    rng = np.random.default_rng(1)
    curves = [np.exp(-LINEAR / 200), (1 + LINEAR) ** -0.5, 1 - LINEAR / 1010, 1 / (1 + LINEAR / 300)]
    noisy = [curve * np.exp(0.03 * rng.standard_normal(1000)) for curve in curves for _ in range(10)]
    false = sum(len(plateaus(LINEAR, curve)) for curve in noisy)
    # At most about 3 % of such curves have a spurious plateau; 6 of 40 are beyond chance.
    assert false <= 5


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("level", [3.0, 1e-30, 0.0, -2.0])
def test_a_constant_is_one_plateau(noise, level):
    curve = level * np.exp(noise * np.random.default_rng(2).standard_normal(1000))
    (one,) = plateaus(LINEAR, curve)
    assert (one.start, one.stop, one.kind) == (0.0, 999.0, "whole")
    assert one.level == pytest.approx(level, rel=0.01)
    assert plateaus(LINEAR, curve, final=False) == []


def test_ends_can_be_left_out():
    curve = staircase(*STAIRS[0])
    assert [one.kind for one in plateaus(LINEAR, curve, initial=False, final=False)] == ["interior"] * 2
    assert [one.kind for one in plateaus(LINEAR, curve, initial=False)] == ["interior"] * 2 + ["final"]


def test_a_drop_to_exact_zero_ends_at_level_zero():
    found = plateaus(LINEAR, np.where(LINEAR < 500, 1.0, 0.0))
    assert [(one.start, one.stop, one.level) for one in found] == [(0, 499, 1), (500, 999, 0)]


def test_gradient_flow_of_a_factorization_stops_at_half_the_squares_to_come():
    """Saxe et al. 2013: dp/dt = 2 s p (1 - p / s) per mode, p the learned singular value; L = 1/2 sum (s - p)^2."""
    s, initial = np.array([4.0, 2.0, 1.0]), 1e-6
    for t in (np.linspace(0, 15, 600), np.concatenate([[0], np.geomspace(0.05, 15, 200)])):
        flow = solve_ivp(lambda _, p: 2 * p * (s - p), (0, 15), np.full(3, initial), t_eval=t, rtol=1e-10, atol=1e-14)
        found = plateaus(t, ((s[:, None] - flow.y) ** 2).sum(0) / 2)
        assert [one.kind for one in found] == ["initial", "interior", "interior", "final"]
        np.testing.assert_allclose([one.level for one in found[:-1]], [10.5, 2.5, 0.5], rtol=0.02)


def test_missing_records_spikes_and_rises():
    t, levels, times, widths = STAIRS[0]
    curve = staircase(t, levels, times, widths)
    holed = curve.copy()
    holed[[50, 400]] = np.nan, np.inf
    holed[[60, 200, 500]] *= 10
    np.testing.assert_allclose([one.level for one in plateaus(t, holed)], levels, rtol=0.01)
    assert plateaus(t, 1 + t / 1000) == []
    assert plateaus(t, np.full(1000, np.nan)) == []
    assert plateaus([1.0], [1.0]) == []
    assert plateaus([], []) == []


def test_jumps_are_found_where_they_are():
    d = 0.5 + 0.15 / (1 + np.exp(-(LINEAR - 300) / 4)) - 0.25 / (1 + np.exp(-(LINEAR - 700) / 4))
    noise = 0.02 * np.random.default_rng(3).standard_normal((20, 1000))
    for one in d + np.concatenate([np.zeros((1, 1000)), noise]):
        found = jumps(LINEAR, one)
        assert len(found) == 2
        np.testing.assert_allclose([jump.step for jump in found], [300, 700], atol=8)
        # Medians of 50 records: standard error 1.25 * .02 / sqrt(50) = .0035, four of them and the logistic's tails.
        np.testing.assert_allclose([jump.size for jump in found], [0.15, -0.25], atol=0.025)
        np.testing.assert_allclose([jump.before for jump in found], [0.5, 0.65], atol=0.02)
        np.testing.assert_allclose([jump.after for jump in found], [0.65, 0.4], atol=0.02)


def test_jumps_of_several_features_on_log_steps():
    d = np.stack([np.where(LOG < 1000, 0.5, 2 / 3), np.full(len(LOG), 0.4), np.where(LOG < 50, 0.0, 0.75)])
    found = jumps(LOG, d)
    assert [(jump.feature, round(jump.size, 6)) for jump in found] == [(0, round(1 / 6, 6)), (2, 0.75)]
    for jump, edge in zip(found, (1000, 50), strict=True):
        after = np.searchsorted(LOG, edge)
        assert LOG[after - 1] <= jump.step <= LOG[after]
    holed = d.copy()
    holed[:, ::7] = np.nan
    assert len(jumps(LOG, holed)) == 2


@pytest.mark.parametrize("scale", [0.0, 0.01, 0.05])
def test_slow_drifts_and_noise_do_not_jump(scale):
    rng = np.random.default_rng(4)
    noise = scale * rng.standard_normal((30, 1000))
    # The window is 50 records: a drift of .05 in 50 is below the documented .08.
    assert jumps(LINEAR, 0.001 * LINEAR + noise[:1] * (scale < 0.05)) == []
    assert jumps(LINEAR, 0.5 + noise) == []
    assert jumps(LINEAR[:4], [0, 0, 1, 1]) == []


def test_a_fast_drift_is_one_jump():
    found = jumps(LINEAR, np.clip((LINEAR - 400) / 200, 0, 1))
    assert len(found) == 1
    assert found[0].step == pytest.approx(500, abs=30)


def sticky(x, centre=1.5, width=0.5):
    """1, then a fall of slope -1/2 interrupted by a shelf of slope -.05 at 1/2."""
    rate = np.where(np.abs(x - centre) < width, 0.05, 0.5)
    fine = np.linspace(0, 4, 4001)
    fall = np.cumsum(np.where(np.abs(fine - centre) < width, 0.05, 0.5)) * 1e-3
    return np.interp(x, fine, 0.5 + np.interp(centre, fine, fall) - fall), rate


def test_the_shelf_is_found_with_its_slopes():
    x = np.linspace(0, 3, 31)
    found = shelf(x, sticky(x)[0], level=0.5)
    assert found.found
    assert (found.start, found.stop) == pytest.approx((1, 2), abs=0.11)
    assert found.level == pytest.approx(0.5, abs=0.01)
    assert (found.slope, found.left_slope, found.right_slope) == pytest.approx((-0.05, -0.5, -0.5), abs=0.05)
    back = shelf(x[::-1], sticky(x)[0][::-1], level=0.5)
    assert back == pytest.approx(found, nan_ok=True)


@given(st.floats(-3, 3).filter(lambda a: abs(a) > 1e-3), st.floats(0.1, 10), st.floats(-5, 5))
def test_the_shelf_follows_affine_maps(scale, stretch, shift):
    x = np.linspace(0, 3, 31)
    y = sticky(x)[0]
    base, moved = shelf(x, y), shelf(stretch * x + shift, scale * y)
    assert moved.found
    assert (moved.start - shift) / stretch == pytest.approx(base.start, abs=1e-9)
    assert moved.slope == pytest.approx(scale / stretch * base.slope, rel=1e-6)


def test_no_shelf_on_a_straight_fall_at_an_end_or_at_a_top():
    x = np.linspace(0, 3, 31)
    assert not shelf(x, 1 - x / 3).found
    assert not shelf(x, np.maximum(1 - x / 2, 0.5), level=0.5).found
    assert not shelf(x, 1 - (x - 1.5) ** 2).found
    assert not shelf(x, sticky(x)[0], level=0.9).found
    assert not shelf(x[:4], x[:4]).found
    assert not shelf(x, np.full(31, np.nan)).found


def test_the_shelf_over_seeds_with_missing_ones():
    x = np.linspace(0, 3, 31)
    runs = sticky(x)[0] + 0.01 * np.random.default_rng(7).standard_normal((8, 31))
    runs[2, 10:] = np.nan
    found = shelf(x, runs, level=0.5, resamples=200)
    assert found.found
    assert found.support > 0.95
    assert (found.start, found.stop) == pytest.approx((1, 2), abs=0.25)


def test_the_contrast_of_a_shelf_is_small_and_that_of_a_slope_is_one():
    x = np.linspace(0, 3, 31)
    assert shelf(x, sticky(x)[0], level=0.5).contrast < 0.3
    assert shelf(x, 1 - x / 3).contrast == pytest.approx(1)
    assert np.isnan(shelf(x, np.full(31, np.nan)).contrast)
    assert Shelf(0, 1, 0.5, 0.1, -1, 1, False, 1).contrast == np.inf


@pytest.mark.parametrize(
    "call",
    [
        lambda: plateaus([0, 1], [1.0]),
        lambda: plateaus([1, 1, 2], [1.0, 2.0, 3.0]),
        lambda: plateaus([0, np.nan], [1.0, 2.0]),
        lambda: plateaus(LINEAR, LINEAR, tolerance=0),
        lambda: jumps(LINEAR, np.ones((2, 3, 1000))),
        lambda: jumps(LINEAR, LINEAR, size=-1),
        lambda: jumps(LINEAR, LINEAR, window=0),
        lambda: shelf([0, 1], [1.0]),
        lambda: shelf([0, 1], [1.0, 2.0], points=1),
    ],
)
def test_bad_input_is_one_sentence(call):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        call()
