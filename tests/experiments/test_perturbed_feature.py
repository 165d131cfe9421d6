"""One feature of its own density: geometries of known weights, and where two known curves cross."""

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from toymodels.experiment import Swept, load
from toymodels.store import OK
from toymodels.theory import superposition as theory

experiment = load(Path(__file__).parents[2] / "experiments" / "perturbed_feature.py")
module = sys.modules["toymodels_experiment_perturbed_feature"]


@given(st.integers(0, 4), st.floats(0, 2 * np.pi))
def test_geometries_of_known_weights(dropped, turn):
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    square = np.insert(theory.polygon_weights(4), dropped, 0.01, 0) @ rotation
    assert module.geometry_of(square) == ("another" if dropped else "digons")
    pentagon = theory.polygon_weights(5, 1.13) @ rotation
    assert module.geometry_of(pentagon) == "pentagon"
    pentagon[dropped] = 0.9 * pentagon[dropped - 1]
    assert module.geometry_of(pentagon) == "other"


def planted(ratios, p=0.05):
    """Pentagons and squares of the same weights at all densities, in place of trained branches."""
    made = module._branches(ratios, p, 1)
    options = made.axes[0].options
    W = np.array([[option["problem.model.W"]] * len(ratios) for option in options.values()])
    b = np.array([[option["problem.model.b"]] * len(ratios) for option in options.values()])
    dims = ("branch", "ratio", "snapshot", "feature")
    data = {
        "W": ((*dims, "hidden"), W[:, :, None]),
        "b": (dims, b[:, :, None]),
        "status": (dims[:2], np.full(W.shape[:2], OK)),
    }
    coords = {axis.name: np.array(axis.labels, object) for axis in made.axes}
    return Swept(made, xr.Dataset(data, coords))


def test_the_crossing_is_where_the_exact_losses_are_equal():
    ratios = np.geomspace(0.1, 1, 9)
    met = module.crossing(planted(ratios.tolist()))
    pentagon, digons = (
        theory.expected_loss(W, b, np.array(module.densities(met, 0.05)))
        for W, b in (
            (theory.polygon_weights(5, 1.13), np.full(5, -0.25)),
            (np.insert(theory.polygon_weights(4), 0, 0, 0), np.eye(5)[0] * 0.05 / 2),
        )
    )
    assert pentagon == pytest.approx(digons, rel=5e-3)


def test_curves_that_do_not_cross_have_no_crossing():
    assert np.isnan(module.crossing(planted([2.0, 4.0])))
