"""The superposition experiment: what it reads off models that are known, and its laws on small trainings."""

import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels import Axis
from toymodels.experiment import SCALES, load
from toymodels.theory import superposition as theory

experiment = load(Path(__file__).parents[2] / "experiments" / "superposition.py")
module = sys.modules["toymodels_experiment_superposition"]


@pytest.mark.parametrize("scale", SCALES)
def test_every_cell_is_valid_and_programs_are_few(scale):
    sweeps = experiment.sweeps(scale).values()
    one_seed = [replace(each, axes=[*each.axes[:-1], Axis("seed", "seed", [0])]) for each in sweeps]
    programs = {jax.tree.structure(run) for each in one_seed for run in each.runs()}
    assert len(programs) <= {"tiny": 9, "default": 13, "full": 15}[scale]


@given(st.floats(0.1, 3.9), st.sampled_from([-1, 1]))
def test_a_crossing_of_a_line_is_interpolated_exactly(zero, side):
    x = np.arange(5.0) if side > 0 else -np.arange(5.0)[::-1]
    y = zero - np.abs(x)
    assert module._crossing(x, y, 0 if side > 0 else 4, side) == pytest.approx(side * zero)
    assert np.isnan(module._crossing(x, np.abs(y) + 1, 2, side))


# ----------------------------------------------------------------------------------------------- the predicted factors


def test_many_features_are_predicted_in_digons_between_simplices_and_pentagons():
    predicted = module.predicted_factors()
    kinds = list(dict.fromkeys(predicted.best))
    assert kinds[-2:] == ["digon", "pentagon"]
    assert set(kinds[:-2]) <= {"triangle", "tetrahedron"}
    np.testing.assert_allclose(predicted.saving["point"], 1, atol=1e-4)  # a feature of its own loses nothing
    first, last = module.digons_predicted()
    # Two independent optima there: one pair in one dimension, and five features in two, of which a square drops one.
    p = 1 / last
    pair = float(theory.two_features(p, 1.0).antipodal.loss)
    square_and_dropped = 2 * pair + float(theory.feature_variance(p))
    pentagon = float(theory.best_scaled(module.SHAPES["pentagon"], p).loss)
    assert first < 2 < last
    assert pentagon == pytest.approx(square_and_dropped, rel=0.01)
