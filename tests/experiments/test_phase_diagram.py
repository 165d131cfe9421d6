"""The phase diagrams: readings of known weights, and trained models against exact optima."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toymodels import sweep
from toymodels.experiment import Swept, load

experiment = load(Path(__file__).parents[2] / "experiments" / "phase_diagram.py")
module = sys.modules["toymodels_experiment_phase_diagram"]


def test_norm_and_superposition_of_the_last_feature():
    W = np.array([[[1.0, 0], [0, 1], [-0.5, 0]], [[1, 0], [0, 1], [0, 0]], [[1, 0], [-1, 0], [0, 2]]])
    norm, superposition = module.of_extra(W)
    np.testing.assert_allclose(norm, [0.5, 0, 2])
    np.testing.assert_allclose(superposition, [1, 0, 0])


@pytest.fixture(scope="module")
def trained():
    """Three densities and five importances of two features, and no three features."""
    made = experiment.sweeps("default")["A"]
    kept = {label: made.axes[1].options[label] for label in list(made.axes[1].options)[::4]}
    axes = [replace(made.axes[0], values=[0.05, 0.316, 1.0]), replace(made.axes[1], options=kept), made.axes[2]]
    smaller = replace(made, axes=axes)
    return Swept(smaller, sweep(smaller).load())


def test_the_best_of_ten_is_the_exact_optimum_and_none_is_below(trained):
    of = module.diagram(trained)
    assert of.excess.min() > -1e-6  # of float32 weights, evaluated exactly
    assert of.excess.min(-1).max() < 1e-3
    assert (of.trained == of.optimal)[of.clear].all()
    assert of.clear.sum() >= 12


def test_findings_fail_for_models_that_learned_nothing(trained):
    data = trained.data.copy()
    data["W"] = data.W * 0
    found = module.agreement(Swept(trained.sweep, data), Swept(trained.sweep, data))
    assert [each.holds for each in found[:2]] == [False, False]
