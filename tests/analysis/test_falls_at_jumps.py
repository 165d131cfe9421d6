"""The fall of a loss at its jumps, moments of jumps, and the null of random moments."""

import numpy as np
import pytest

from toymodels.analysis.dynamics import Jump
from toymodels.analysis.falls_at_jumps import Course, fall_during, falls


def course(drop, jumps, since=0.0):
    steps = np.arange(0, 1001, 5.0)
    late = [Jump(step, 0.0, 0.5, 0.5, feature) for feature, step in enumerate(jumps)]
    return Course(steps, 4.0 - (steps > drop), np.zeros((len(steps), 3)), late, since)


def test_all_of_the_fall_of_a_staircase_is_at_its_steps():
    steps = np.arange(0, 101, 2)
    loss = 3.0 - (steps > 20) - (steps > 70)
    time, fall = fall_during(steps, loss, [21, 71], 4.0)
    assert fall == 1
    # Intervals of 2 with middles 17, 19, ..., 25 and 67, ..., 75 lie within 4 of a jump.
    assert time == pytest.approx(20 / 100)
    assert fall_during(steps, loss, [], 4.0) == (0, 0)


def test_a_feature_and_its_antipode_jump_at_one_moment():
    assert course(500, [500, 503, 800, 819]).moments == [500, 800]
    assert course(500, []).moments == []


def test_a_drop_at_a_jump_is_told_from_one_elsewhere():
    at, elsewhere = (falls([course(drop, [500])] * 3) for drop in (500, 200))
    assert at.loss == 1
    assert at.p_value < 0.01
    assert elsewhere.loss == 0
    assert elsewhere.p_value == 1
    # Moments uniform on (0, 1000) with 20 on either side: the mean share of a single drop that they catch.
    assert at.null.mean() == pytest.approx(0.04, abs=0.02)


def test_only_what_comes_after_the_start_counts():
    early = falls([course(500, [], since=600.0)._replace(loss=np.linspace(4, 3, 201))])
    assert (early.time, early.loss) == (0, 0)


def test_a_window_around_a_moment_starts_at_zero_and_lies_inside_the_run():
    one = course(500, [500])
    assert one.around(500, 2).tolist() == [0, 0, 0, -1, -1]
    assert one.around(5, 2) is None
    assert one.around(1000, 2) is None


def test_runs_that_are_not_finite_are_left_out_and_nothing_falls_where_none_is_left():
    lost = course(500, [500])._replace(loss=np.full(201, np.nan))
    one = course(500, [500])
    assert falls([one, lost]).loss == falls([one]).loss == 1
    assert np.isnan(falls([lost]).p_value)
    assert np.isnan(falls([]).p_value)
    assert np.isnan(falls([one._replace(loss=np.ones(201))]).p_value)
