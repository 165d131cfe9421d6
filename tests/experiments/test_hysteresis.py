"""Hysteresis: a jump between two features in one dimension leaves a loop, and its branches are the exact ones."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.small import few
from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "hysteresis.py")
module = sys.modules["toymodels_experiment_hysteresis"]


@pytest.fixture(scope="module")
def quick():
    return few(experiment, "quick", 60 * 100, seed=range(2))


def test_a_jump_is_wider_than_a_continuous_transition(quick):
    jump, smooth = (module.interval(module.two_features(quick, ratio).widths(module.LEVEL)) for ratio in (0.2, 0.85))
    assert jump.low > smooth.high
    assert jump.mean >= module.exact_width(0.2) - 0.041  # no branch is left before its end, to one level
    assert module.exact_width(0.85) < 0.02 < module.exact_width(0.4) < module.exact_width(0.2)


def test_branches_come_in_ascending_density_and_never_below_the_optimum(quick):
    loop, known = module.two_features(quick, 0.4), module.exact(0.4)
    for way in (loop.up, loop.down):
        best = np.interp(np.log(way.x), np.log(known.p), known.loss)
        assert (way.loss >= best * (1 - 2e-3)).all()  # of the interpolation
        assert (way.measure[:, 2] > 0.9).all()  # sparse: both features
        assert (way.measure[:, -3] < 0.1).all()  # dense: one of them
