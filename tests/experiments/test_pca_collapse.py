"""PCA collapse: planted collapses are read, edges are bracketed, and trained models stay above the best linear loss."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiments.small import few
from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "pca_collapse.py")
module = sys.modules["toymodels_experiment_pca_collapse"]


@given(st.integers(1, 6), st.floats(0.01, 0.5))
def test_an_edge_lies_between_the_neighbours_that_bracket_it(place, low):
    p = np.geomspace(low, 1, 8)
    counts = np.where(np.arange(8) < place, 1, 2)
    assert p[place - 1] < module.edge(p, counts, 2) < p[place]
    assert np.isnan(module.edge(p, counts, 1))  # everywhere
    assert np.isnan(module.edge(p, counts, 3))  # nowhere


def test_the_best_and_the_least_of_each_number_collapsed():
    spread = np.array([[[0, 0, 0.5], [0.3, 0.3, 0.3], [0.25, 0.3, 0.3]]])
    found = module.Trained(np.array([0.1]), np.zeros((1, 3, 6, 2)), np.array([[2.0, 1.0, 3.0]]), spread)
    assert found.counts.tolist() == [[2, 0, 0]]
    assert found.of_best(found.counts).tolist() == [0]
    assert found.least().tolist() == [[1.0, np.inf, 2.0, np.inf]]


@pytest.fixture(scope="module")
def pairs():
    return few(experiment, "pairs", 1500, p=[0.04, 0.18, 0.7], seed=range(16))


def test_sparse_pairs_are_apart_and_dense_ones_collapse(pairs):
    found = module.trained(pairs)
    assert found.of_best(found.counts).tolist() == [0, 2, 3]
    hexagon, linear = module.ends_of_the_range(pairs)
    assert hexagon.holds, hexagon
    assert float(linear.measured.split(" to ")[1]) <= 1.001  # where PCA is negative, a ReLU only helps


def test_the_exact_loss_agrees_with_the_evaluation_of_the_run(pairs):
    recorded = pairs.data.objective.isel(step=-1).transpose("p", "seed").values
    exact = module.trained(pairs).loss
    # A mean over 16 x 2048 examples: the losses of the sparsest vary by about three times their mean.
    np.testing.assert_allclose(recorded.mean(1), exact.mean(1), rtol=0.1)


def test_edges_of_single_runs_are_those_of_every_combination_of_runs(monkeypatch):
    """All draws of one of three runs at each of four p, one by one."""
    random = np.random.default_rng(0)
    counts = np.sort(random.integers(0, 4, size=(3, 4)), axis=1).T
    p = np.array([0.05, 0.1, 0.15, 0.2])
    spread = np.where(np.arange(3) < counts[..., None], 0.0, 0.5)
    planted = module.Trained(p, np.zeros((4, 3, 6, 2)), np.ones((4, 3)), spread)
    monkeypatch.setattr(module, "trained", lambda _: planted)
    answers = module.edges_of_single_runs(None)
    for count, answer in zip((1, 2, 3), answers, strict=False):
        high = module.FROM[count][1]
        edges = []
        for picked in itertools.product(range(3), repeat=4):
            below = [place for place in range(4) if counts[place, picked[place]] < count]
            edges.append(p[below[-1] + 1] if below and below[-1] < 3 else 9.0 if below else p[0])
        share = np.mean(np.array(edges) <= high + 1e-9)
        assert f"{high:g} or less in {share:.1%} of draws" in answer.measured
