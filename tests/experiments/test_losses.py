"""Losses and models: exact losses of known weights, and what small trainings keep."""

import sys
from pathlib import Path

from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "losses.py")
module = sys.modules["toymodels_experiment_losses"]


def test_every_cell_is_valid_at_every_scale():
    for scale in ("tiny", "default", "full"):
        runs = experiment.sweeps(scale)["losses"].runs()
        assert len({run.problem.model for run in runs}) >= 2
