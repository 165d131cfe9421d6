"""Privileged basis: known weights are counted as what they are, and the dense model finds the basis."""

import sys
from pathlib import Path

import numpy as np

from tests.experiments.small import few
from toymodels.analysis.neurons import basis_alignment, monosemantic, rotated_alignments, rotations
from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "privileged_basis.py")
module = sys.modules["toymodels_experiment_privileged_basis"]


def test_what_a_neuron_holds_turns_it_on():
    """A neuron that never fires holds nothing; one that two features turn on and a third keeps off is not of one."""
    W = np.array([[1.0, -1.0, 0.0, 0.6], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, -4.8]])
    np.testing.assert_array_equal(module.used(W), [[1, 0, 0, 0.6], [0, 0, 1, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(monosemantic(module.used(W), module.ONE), [True, False, True, False])
    assert module.kept(W) == 2


def test_a_basis_stands_out_from_its_rotations():
    """Five features on five neurons; turned once, the same weights have no basis left."""
    W = np.eye(10, 5)
    low, high = np.quantile(rotated_alignments(W, 200), [0.025, 0.975])
    assert low < basis_alignment(W @ rotations(5, 1, seed=3)[0]) < high < basis_alignment(W)


def test_dense_features_get_a_neuron_each():
    swept = few(experiment, "relu", 800, p=(0.7,), seed=range(8))
    found = module.trained(swept, 0.7)
    assert found.single[0] == 5 == module.kept(found.W[0])
    assert found.alignment[0] > 0.95
    assert found.rank[0] == 1
    assert (np.diff(found.loss) >= 0).all()
    assert sorted(module._by_seed(swept, 0.7)) == sorted(found.rank)
    assert (module._rotated_losses(swept, 0.7) > 1.05).all()


def test_rotations_leave_a_linear_model_alone():
    swept = few(experiment, "linear", 200, p=(0.3,), seed=range(4))
    np.testing.assert_allclose(module._rotated_losses(swept, 0.3), 1, atol=1e-4)
