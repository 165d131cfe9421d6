"""The superposition experiment: what it reads off models that are known, and its laws on small trainings."""

import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.experiments.small import few
from toymodels import Axis
from toymodels.experiment import SCALES, Swept, load
from toymodels.theory import superposition as theory

experiment = load(Path(__file__).parents[2] / "experiments" / "superposition.py")
module = sys.modules["toymodels_experiment_superposition"]


@pytest.mark.parametrize("scale", SCALES)
def test_every_cell_is_valid_and_programs_are_few(scale):
    sweeps = experiment.sweeps(scale).values()
    one_seed = [replace(each, axes=[*each.axes[:-1], Axis("seed", "seed", [0])]) for each in sweeps]
    programs = {jax.tree.structure(run) for each in one_seed for run in each.runs()}
    assert len(programs) <= 3


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


# -------------------------------------------------------------------------------------- readings of the shelf's models


@pytest.fixture(scope="module")
def shelf():
    return few(experiment, "shelf", 800, p=[0.9, 0.35, 0.1], seed=range(2))


def test_trained_models_saturate_their_capacity_and_random_ones_of_the_same_lengths_do_not(shelf):
    trained = module.of_models(shelf, module.saturated, unconverged=True)
    random = module.of_models(shelf, lambda W: module.saturated(module.random_directions(W)), unconverged=True)
    assert np.nanmin(trained) > 0.97
    assert np.nanmax(random) < 0.95
    assert np.nanmin(trained - random) > 0.05


def test_attacks_cost_more_where_more_features_share_a_dimension(shelf):
    everything = Swept(shelf.sweep, shelf.data.assign(status=0 * shelf.data.status))
    found = module.attacked(everything)
    crowding, vulnerability = found.crowding.mean(1), found.vulnerability.mean(1)
    assert (np.diff(crowding) > 0.3).all()
    assert (np.diff(vulnerability) > 0.3).all()
    assert vulnerability[0] == pytest.approx(1, abs=0.15)
