"""The fall of a loss at its jumps, moments of jumps, and the null of the moments of other runs."""

import numpy as np
import pytest
import xarray as xr

from toymodels.analysis.falls_at_jumps import around, fall_during, falls, jumps_and_falls, mean_around, moments

STEPS = np.arange(0, 1001, 5.0)


def staircase(*drops):
    return 4.0 - sum(drop < STEPS for drop in drops)


def test_all_of_the_fall_of_a_staircase_is_at_its_steps():
    steps = np.arange(0, 101, 2)
    loss = 3.0 - (steps > 20) - (steps > 70)
    time, fall = fall_during(steps, loss, [21, 71], 4.0)
    assert fall == 2
    # Intervals of 2 with middles 17, 19, ..., 25 and 67, ..., 75 lie within 4 of a jump.
    assert time == pytest.approx(20 / 100)
    assert fall_during(steps, loss, [], 4.0) == (0, 0)


def test_a_feature_and_its_antipode_jump_at_one_moment():
    assert moments([800, 503, 500, 819], 20) == [500, 800]
    assert moments([800, 503, 500, 821], 20) == [500, 800, 821]
    assert moments([], 20) == []


def test_a_drop_at_a_jump_of_its_own_is_told_from_one_at_a_common_time():
    apart = falls(STEPS, np.array([staircase(300), staircase(600)]), [[300], [600]], 20)
    np.testing.assert_array_equal(apart.own, 1)
    np.testing.assert_array_equal(apart.others, 0)
    np.testing.assert_allclose(apart.time, 40 / 1000)
    together = falls(STEPS, np.array([staircase(300), staircase(300)]), [[300], [303]], 20)
    np.testing.assert_array_equal(together.own, together.others)


def test_shares_are_of_the_mean_fall_and_runs_without_jumps_count():
    found = falls(STEPS, np.array([staircase(200, 600), staircase(600), staircase(900)]), [[200, 600], [600], []], 20)
    np.testing.assert_allclose(found.own, np.array([2, 1, 0]) / (4 / 3))
    np.testing.assert_allclose(found.others, np.array([0.5, 0.5, 0]) / (4 / 3))


def test_a_window_around_a_moment_starts_at_zero_and_lies_inside_the_run():
    loss = staircase(500)
    assert around(STEPS, loss, 500, 2).tolist() == [0, 0, 0, -1, -1]
    assert around(STEPS, loss, 5, 2) is None
    assert around(STEPS, loss, 1000, 2) is None


def test_lost_runs_are_left_out_and_nothing_is_known_where_nothing_falls():
    two = np.array([staircase(300), staircase(600), np.full(len(STEPS), np.nan)])
    found = falls(STEPS, two, [[300], [600], [1]], 20)
    assert found.own[:2].tolist() == [1, 1]
    assert np.isnan(found.own[2])
    assert np.isnan(falls(STEPS, np.ones((2, len(STEPS))), [[300], [600]], 20).own).all()
    assert np.isnan(falls(STEPS, two[:1], [[300]], 20).own).all()


def test_jumps_after_a_time_are_listed_with_their_moments_and_lost_seeds_have_none():
    """Seed 0: two features jump at 300, one at 700; seed 1 jumps early; seed 2 is lost."""
    D = np.zeros((3, 3, len(STEPS)))
    D[0] = 0.5 * (np.array([[300], [303], [700]]) < STEPS)
    D[1:, 0] = 0.5 * (STEPS > 50)
    loss = np.array([staircase(300, 700), staircase(50), np.full(len(STEPS), np.nan)])
    coords = {"snapshot": STEPS}
    found = jumps_and_falls(
        xr.DataArray(D, coords, ("seed", "feature", "snapshot")),
        xr.DataArray(loss.T, coords, ("snapshot", "seed")),
        since=100,
        reach=20,
        size=0.15,
        window=4,
    )
    np.testing.assert_array_equal(found.jumps, [3, 0, np.nan])
    np.testing.assert_allclose(found.moment, [[300, 700], [np.nan] * 2, [np.nan] * 2], atol=3)
    assert found.jump.sel(what="feature")[0].values.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.jump.sel(what="size")[0], 0.5)
    assert found.jump[1:].isnull().all()
    np.testing.assert_array_equal(found.own, [2, 0, np.nan])  # in units of the mean whole fall, 1 of (2, 0)
    assert found.attrs == {"since": 100, "reach": 20}


def test_losses_around_moments_are_averaged_within_a_seed_and_seeds_without_any_are_left_out():
    coords = {"snapshot": STEPS}
    loss = xr.DataArray([staircase(300, 600), staircase(300)], coords, ("seed", "snapshot"))
    moment = xr.DataArray([[300.0, 500.0], [np.nan, np.nan]], dims=("seed", "nth"))
    assert mean_around(loss, moment, 2).tolist() == [[0, 0, 0, -0.5, -0.5]]
    assert mean_around(loss, moment, 2, own=False).tolist() == [[0, 0, 0, -0.5, -0.5]]
    assert mean_around(loss, moment.where(moment > 900), 2).shape == (0, 5)
