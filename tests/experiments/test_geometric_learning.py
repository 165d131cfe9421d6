"""Geometric learning: planted octahedra are read, antipodes are told apart, and small runs wait at PCA."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from tests.experiments.small import few
from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "geometric_learning.py")
module = sys.modules["toymodels_experiment_geometric_learning"]


@given(st.integers(0, 999), st.permutations(range(3)))
def test_an_octahedron_across_sets_is_read_in_any_position(seed, order):
    turn = ortho_group.rvs(3, random_state=seed)
    W = np.concatenate([np.eye(3), -np.eye(3)[list(order)]]) @ turn
    assert module.geometry_of(W) == "octahedron"
    assert module.crosses_sets(W)
    other = module.partners(W)
    assert (other[other] == np.arange(6)).all()
    mixed = W[[0, 3 + order.index(0), 1, 3 + order.index(1), 2, 3 + order.index(2)]]  # an antipode within the first set
    assert module.geometry_of(mixed) == "octahedron"
    assert not module.crosses_sets(mixed)


def test_a_set_without_an_antipode_does_not_cross():
    assert not module.crosses_sets(np.concatenate([np.eye(3), np.eye(3)]))


@pytest.fixture(scope="module")
def flow():
    return few(experiment, "flow", 3000, seed=range(4))


def test_small_starts_wait_at_the_linear_optimum(flow):
    plateaus, level, gram, _ = module.regimes_found(flow)
    assert plateaus.holds, plateaus
    assert level.holds, level
    assert gram.holds, gram
    assert module.linear_level(flow) == pytest.approx(module.SHOWN / 3, rel=1e-4)  # 4 eigenvalues of p / 12


def test_correlated_features_end_orthogonal(flow):
    for seed in flow.data.seed.values:
        W, _ = module.model_at(flow, int(seed), 3000)
        inside = (W @ W.T)[np.kron(np.eye(2), 1 - np.eye(3)).astype(bool)]
        assert np.abs(inside).max() < 0.1
        np.testing.assert_allclose(np.linalg.norm(W, axis=1), 1, atol=0.1)
