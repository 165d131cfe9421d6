"""Absolute value: known networks are read as what they are, sampled losses are right, a small one is learned."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.small import few
from toymodels.analysis.neurons import gauge_fixed
from toymodels.experiment import load
from toymodels.theory.absolute_value import constant_loss

experiment = load(Path(__file__).parents[2] / "experiments" / "absolute_value.py")
module = sys.modules["toymodels_experiment_absolute_value"]


def test_signs_of_known_neurons():
    encoder = np.repeat(np.eye(3), 2, 1) * np.tile([1.0, -1.0], 3)
    assert module.sign_specialised(encoder)
    assert not module.sign_specialised(np.abs(encoder))
    encoder[1, 0] = 0.8
    assert not module.sign_specialised(encoder)


def test_neurons_that_are_large_in_turn():
    """Inputs (2, -1/2) with outputs (1/2, 2); a neuron of one feature is not counted."""
    gauge = gauge_fixed([[2.0, 1.0, 1.0], [-0.8, 0.0, 0.5]], [[0.5, 1.0, 1.0], [2.0, 3.0, 0.5]])
    np.testing.assert_array_equal(module.exchanged(gauge), [True, False])


def test_crossings():
    p = np.array([1.0, 0.1, 0.01])
    ratio = np.array([[10.0, 0.5, 2.0], [0.1, 0.4, 2.0], [0.1, 2.0, 2.0]])
    np.testing.assert_allclose(module.crossing(p, ratio), [10**-0.5, np.nan, np.nan])


def test_a_small_model_learns_and_its_sampled_loss_is_the_recorded_one():
    swept = few(experiment, "small", 1500, p=(0.3,), seed=range(8))
    loss = module.expected_loss(swept, 0.3)
    trivial = 3 * constant_loss(0.3)
    assert loss.min() < module.EXACT * trivial
    assert loss == pytest.approx(swept.data.objective.isel(step=-1).sel(p=0.3).values, rel=0.15, abs=1e-3 * trivial)
