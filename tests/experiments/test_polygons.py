"""k-gons: a few seeds find the regular pentagon."""

import sys
from pathlib import Path

from tests.experiments.small import few
from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "polygons.py")
module = sys.modules["toymodels_experiment_polygons"]


def test_the_best_of_a_few_seeds_is_the_regular_pentagon():
    census = few(experiment, "census", 1500, n=(5,), rate=(0.03,), seed=range(8))
    best, gap = module.census_of_basins(census)[:2]
    assert best.holds, best
    assert gap.holds, gap
    found = module.reached(census, 5, 0.03)
    assert found[0].loss >= module.critical_points(5)["pentagon"] - 1e-9  # the pentagon is the best known
    assert sum(each.share.mean for each in found) == 1
