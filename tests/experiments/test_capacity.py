"""Capacity: what is read off known models, and a small training that meets the bound."""

import sys
from pathlib import Path

import numpy as np

from tests.experiments.small import few
from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "capacity.py")
module = sys.modules["toymodels_experiment_capacity"]


def test_capacities_of_known_models_are_counted() -> None:
    """A feature with its dimension, an antipodal pair, a dropped one."""
    W = np.array([[1.0, 0], [0, 1], [0, -1], [0, 0]])
    C = module.capacities(np.array([W, W * np.nan]))
    np.testing.assert_allclose(C[0], [1, 0.5, 0.5, 0])
    assert np.isnan(C[1]).all()
    assert module.counts(C[0]) == (1, 2, 1)


def test_trained_models_meet_the_bound_and_share_as_allocated() -> None:
    many = few(experiment, "many", 2000, kurtosis=[2, 6], seed=range(8))
    over = module.excess(many)
    assert over.min() > -1e-5
    assert over.min(axis=1).max() < 0.01
    assert module.many_share_as_predicted(many)[0].holds
