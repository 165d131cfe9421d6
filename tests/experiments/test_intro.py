"""Intro: a planted pentagon is read, and a small training goes from two features to five."""

import sys
from pathlib import Path

from tests.experiments.small import few
from toymodels.experiment import load
from toymodels.theory.superposition import polygon_weights

experiment = load(Path(__file__).parents[2] / "experiments" / "intro.py")
module = sys.modules["toymodels_experiment_intro"]


def test_a_planted_pentagon_is_read() -> None:
    assert module.factors_of(polygon_weights(5)).name == "pentagon"


def test_from_two_features_to_five() -> None:
    arrows = few(experiment, "arrows", 4000, p=[1.0, 0.05], seed=range(4))
    assert all(each.holds for each in module.from_two_features_to_five(arrows))
