"""k-gons: known shapes are read, and a few seeds find the regular pentagon."""

import sys
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.experiments.small import few
from toymodels.experiment import load
from toymodels.theory.critical import polygon_with_dropped

experiment = load(Path(__file__).parents[2] / "experiments" / "polygons.py")
module = sys.modules["toymodels_experiment_polygons"]


@given(st.integers(5, 8), st.integers(0, 2), st.integers(0, 2), st.floats(0, 2 * np.pi), st.randoms())
def test_a_planted_polygon_is_read_with_what_is_left_over(k, dropped, silent, turn, random):
    known = polygon_with_dropped(k, k + dropped + silent, silent=silent)
    order = random.sample(range(len(known.b)), len(known.b))
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    words = [f"{count} {what}" for count, what in ((dropped, "dropped"), (silent, "silent")) if count]
    name = {5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon"}[k]
    assert module.geometry_of((known.W @ rotation)[order], known.b[order]) == ", ".join([name, *words])


def test_two_features_on_one_vertex_are_told():
    known = polygon_with_dropped(6, 6)
    W, b = np.vstack([known.W, 0.8 * known.W[:1]]), np.append(known.b, -0.5)
    assert module.geometry_of(W, b) == "hexagon, 1 doubled"


def test_the_best_of_a_few_seeds_is_the_regular_pentagon():
    census = few(experiment, "census", 1500, n=(5,), rate=(0.03,), seed=range(8))
    best, gap = module.census_of_basins(census)[:2]
    assert best.holds, best
    assert gap.holds, gap
    found = module.reached(census, 5, 0.03)
    assert found[0].loss >= module.critical_points(5)["pentagon"] - 1e-9  # the pentagon is the best known
    assert sum(each.share.mean for each in found) == 1
