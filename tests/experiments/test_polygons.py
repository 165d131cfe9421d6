"""k-gons: known shapes are read, and a few seeds find the regular pentagon."""

import sys
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.experiments.small import few
from toymodels.experiment import load
from toymodels.theory import superposition as theory

experiment = load(Path(__file__).parents[2] / "experiments" / "polygons.py")
module = sys.modules["toymodels_experiment_polygons"]


@given(st.floats(0, 2 * np.pi), st.floats(0.5, 2), st.integers(0, 3))
def test_a_planted_pentagon_is_read_with_the_features_it_drops(turn, radius, dropped):
    angles = turn + 2 * np.pi * np.arange(5) / 5
    W = np.vstack([radius * np.stack([np.cos(angles), np.sin(angles)], -1), np.zeros((dropped, 2))])
    assert module.geometry_of(W) == ("pentagon" + (f", {dropped} dropped" if dropped else ""))


def test_the_best_of_a_few_seeds_is_the_regular_pentagon():
    polygons = few(experiment, "polygons", 2000, k=(5,), seed=range(8))
    found = module.polygon_dimensionality(polygons)
    assert [each.holds for each in found[:2]] == [True, True], found
    losses = [each.loss for each in module.reached(polygons, 5)]
    assert losses == sorted(losses)
    assert losses[0] >= theory.polygon(5).loss - 1e-9  # the regular pentagon is the best known
