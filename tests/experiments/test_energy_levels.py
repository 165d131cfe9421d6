"""Energy levels: features learned in turn jump as the loss falls."""

import sys
from pathlib import Path

import numpy as np

from tests.experiments.small import few
from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "energy_levels.py")
module = sys.modules["toymodels_experiment_energy_levels"]


def test_features_learned_in_turn_jump_as_the_loss_falls():
    levels = few(experiment, "levels", 1500, seed=range(2))
    jumps, fall, _ = module.jumps_between_levels(levels)
    assert float(jumps.measured.split()[0]) >= 5  # as many dimensions, each first taken by one feature
    assert fall.holds, fall
    D = np.array([module.course(levels, seed, window=4).measure[-1] for seed in (0, 1)])
    assert ((np.abs(D[..., None] - [0, 0.5, 1]).min(-1) < 0.1).mean(1) > 0.8).all()
    assert D.sum(1).max() <= 5 + 1e-4  # the rank
