"""Losses and models: exact losses of known weights, and what small trainings keep."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.experiment import load
from toymodels.theory import superposition as theory

experiment = load(Path(__file__).parents[2] / "experiments" / "losses.py")
module = sys.modules["toymodels_experiment_losses"]


@given(st.floats(0.01, 1), st.integers(1, 5))
def test_the_exact_linear_loss_is_that_of_the_optimum_and_no_less_elsewhere(p, m):
    importance = 0.7 ** np.arange(6)
    best = theory.linear_optimum(m, p, importance)
    assert module._linear_loss(best.W, best.b, p, importance) == pytest.approx(float(best.loss))
    moved = best.W + 0.1 * np.random.default_rng(m).normal(size=best.W.shape)
    assert module._linear_loss(moved, best.b, p, importance) > float(best.loss)


def test_the_exact_linear_loss_is_the_mean_over_draws():
    random = np.random.default_rng(0)
    W, b, p, importance = random.normal(size=(3, 2)) / 2, random.normal(size=3) / 4, 0.4, np.array([1, 0.5, 0.2])
    x = np.where(random.random((200_000, 3)) < p, random.random((200_000, 3)), 0)
    sampled = ((x - x @ W @ W.T - b) ** 2 @ importance).mean()
    assert module._linear_loss(W, b, p, importance) == pytest.approx(sampled, rel=0.01)


def test_every_cell_is_valid_at_every_scale():
    for scale in ("tiny", "default", "full"):
        runs = experiment.sweeps(scale)["losses"].runs()
        assert len({run.problem.model for run in runs}) >= 2
