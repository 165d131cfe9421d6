"""The superposition experiment: what it reads off models that are known, and its laws on small trainings."""

import sys
import warnings
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels import Axis, sweep
from toymodels.experiment import SCALES, Swept, load
from toymodels.theory import superposition as theory

experiment = load(Path(__file__).parents[2] / "experiments" / "superposition.py")
module = sys.modules["toymodels_experiment_superposition"]


@pytest.mark.parametrize("scale", SCALES)
def test_every_cell_is_valid_and_programs_are_few(scale):
    sweeps = experiment.sweeps(scale).values()
    one_seed = [replace(each, axes=[*each.axes[:-1], Axis("seed", "seed", [0])]) for each in sweeps]
    programs = {jax.tree.structure(run) for each in one_seed for run in each.runs()}
    assert len(programs) <= {"tiny": 9, "default": 13, "full": 15}[scale]


# ------------------------------------------------------------------------------------------------ reading known models


@given(st.floats(0, 2 * np.pi), st.floats(0.5, 2), st.integers(0, 3))
def test_a_planted_pentagon_is_read_with_the_features_it_drops(turn, radius, dropped):
    angles = turn + 2 * np.pi * np.arange(5) / 5
    W = np.vstack([radius * np.stack([np.cos(angles), np.sin(angles)], -1), np.zeros((dropped, 2))])
    assert module.geometry_of(W) == ("pentagon" + (f", {dropped} dropped" if dropped else ""))


@given(st.floats(0.3, 1.5), st.floats(0.3, 1.5), st.sampled_from([-1, 1]))
def test_phases_do_not_depend_on_the_sign_of_the_hidden_unit(first, second, sign):
    known = {
        "antipodal": (first, -second),
        "merged": (first, second),
        "first": (first, 0),
        "second": (0, second),
        "neither": (0, 0),
    }
    for name, row in known.items():
        assert module.phase_of(sign * np.array(row, float)[:, None]) == name


def test_excluded_seeds_are_out_of_means_and_ranges_without_a_warning():
    values = np.array([[1.0, 3.0, np.nan], [np.nan, np.nan, np.nan]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, mean, high = module.over_seeds(values)
    np.testing.assert_array_equal([low, mean, high], [[1, np.nan], [2, np.nan], [3, np.nan]])


@given(st.floats(0.1, 3.9), st.sampled_from([-1, 1]))
def test_a_crossing_of_a_line_is_interpolated_exactly(zero, side):
    x = np.arange(5.0) if side > 0 else -np.arange(5.0)[::-1]
    y = zero - np.abs(x)
    assert module._crossing(x, y, 0 if side > 0 else 4, side) == pytest.approx(side * zero)
    assert np.isnan(module._crossing(x, np.abs(y) + 1, 2, side))


def test_all_of_the_fall_of_a_staircase_is_at_its_steps():
    steps = np.arange(0, 101, 2)
    loss = 3.0 - (steps > 20) - (steps > 70)
    time, fall = module._fall_during(steps, loss, [21, 71], 4.0)
    assert fall == 1
    # Intervals of 2 with middles 17, 19, ..., 25 and 67, ..., 75 lie within 4 of a jump.
    assert time == pytest.approx(20 / 100)
    assert module._fall_during(steps, loss, [], 4.0) == (0, 0)


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


# ------------------------------------------------------------------------------------------------------ small trainings


def few(name, steps, **axes):
    """A sweep of the experiment with fewer labels and steps, trained in memory."""
    made = experiment.sweeps("default")[name]
    chosen = [replace(axis, values=axes[axis.name]) if axis.name in axes else axis for axis in made.axes]
    smaller = replace(made, base=replace(made.base, steps=steps), axes=chosen)
    return Swept(smaller, sweep(smaller).load())


def test_the_best_of_a_few_seeds_is_the_regular_pentagon():
    polygons = few("polygons", 2000, k=(5,), seed=range(8))
    found = module.polygon_dimensionality(polygons)
    assert [each.holds for each in found[:2]] == [True, True], found
    losses = [each.loss for each in module.reached(polygons, 5)]
    assert losses == sorted(losses)
    assert losses[0] >= theory.polygon(5).loss - 1e-9  # the regular pentagon is the best known


def test_trained_pairs_of_features_reach_the_exact_optimum_and_no_less():
    made = experiment.sweeps("default")["phases"]
    choice = made.axes[1]
    kept = {label: choice.options[label] for label in list(choice.options)[::5]}
    smaller = replace(
        made,
        base=replace(made.base, steps=1500),
        axes=[replace(made.axes[0], values=[0.05, 0.3, 1.0]), replace(choice, options=kept), made.axes[2]],
    )
    grid = module.two_feature_grid(Swept(smaller, sweep(smaller).load()))
    excess = grid.trained / grid.optima.best.loss[..., None] - 1
    assert excess.min() > -1e-6  # of float32 weights, evaluated exactly
    assert excess.min(-1)[grid.clear].max() < 0.02
