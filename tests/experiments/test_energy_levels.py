"""Energy levels: the fall of a loss at its jumps."""

import sys
from pathlib import Path

import numpy as np
import pytest

from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "energy_levels.py")
module = sys.modules["toymodels_experiment_energy_levels"]


def test_all_of_the_fall_of_a_staircase_is_at_its_steps():
    steps = np.arange(0, 101, 2)
    loss = 3.0 - (steps > 20) - (steps > 70)
    time, fall = module._fall_during(steps, loss, [21, 71], 4.0)
    assert fall == 1
    # Intervals of 2 with middles 17, 19, ..., 25 and 67, ..., 75 lie within 4 of a jump.
    assert time == pytest.approx(20 / 100)
    assert module._fall_during(steps, loss, [], 4.0) == (0, 0)
