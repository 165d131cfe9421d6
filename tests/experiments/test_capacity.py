"""Capacity: what is read off known models, and small trainings that meet the exact optimum and add up."""

import sys
from pathlib import Path

import numpy as np
import pytest

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
    assert module.counts(C[:1]).tolist() == [[1, 2, 1]]
    np.testing.assert_allclose(module.frame_spectrum(W), [2, 1])


def test_trained_models_meet_the_optimum_and_share_as_allocated() -> None:
    many = few(experiment, "many", 2000, kurtosis=[2, 6], seed=range(8))
    over = module.excess(many)
    assert over.min() > -1e-5
    assert over.min(axis=1).max() < 0.01
    assert [finding.holds for finding in module.many_features_as_allocated(many)] == [True, None, True, True]


def test_parts_sum_to_the_loss_that_was_trained() -> None:
    """The last loss recorded is of one batch: within 10 %."""
    relu = few(experiment, "relu", 600, p=[0.1], seed=range(4))
    found = module.parts_of_features(relu, draws=2**14)
    parts = module.grouped(found, module.capacities(relu.weights("p", "seed")[0]), module.NONE)
    of_mean = module.importances(relu.sweep.base.problem).sum() * (0.1 / 3 - 0.1**2 / 4)
    final = relu.data.objective.isel(step=-1).sel(p=0.1).values
    assert parts.total[0] * of_mean == pytest.approx(final, rel=0.1)
    assert parts.total[0] == pytest.approx(found.sum((0, -1))[0])
    assert (parts.ignored > 0).all()
    assert module.grouped(found, np.zeros((1, 4, 20)), module.NONE).ignored == pytest.approx(parts.total)
