"""Basic results: the exact linear loss against draws, and a linear model that keeps the first features."""

import sys
from pathlib import Path

from tests.experiments.small import few
from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "basic_results.py")
module = sys.modules["toymodels_experiment_basic_results"]


def test_the_linear_model_keeps_the_most_important_features() -> None:
    linear = few(experiment, "small_linear", 3000, seed=range(2))
    assert all(each.holds for each in module.linear_is_principal_components(linear))
