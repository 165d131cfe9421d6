"""Basic results: the exact linear loss against draws, and a linear model that keeps the first features."""

import sys
from pathlib import Path

import numpy as np

from tests.experiments.small import few
from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "basic_results.py")
module = sys.modules["toymodels_experiment_basic_results"]


def test_linear_loss_is_the_mean_of_draws() -> None:
    """Half a million examples, within six standard errors."""
    rng = np.random.default_rng(0)
    W, b, weights, p = rng.normal(size=(6, 2)) / 2, rng.normal(size=6) / 5, rng.uniform(size=6), 0.3
    x = (rng.random((500_000, 6)) < p) * rng.random((500_000, 6))
    each = (x - x @ W @ W.T - b) ** 2 @ weights
    assert abs(each.mean() - module.linear_loss(W, b, p, weights)) <= 6 * each.std() / np.sqrt(len(x))


def test_the_linear_model_keeps_the_most_important_features() -> None:
    linear = few(experiment, "small_linear", 3000, seed=range(2))
    assert all(each.holds for each in module.linear_is_principal_components(linear))
