"""Critical points with one active feature: closed form against the loss itself, and against small moves."""

import numpy as np
import pytest

from toymodels.analysis.polygons import polygon_name
from toymodels.theory.critical import (
    critical_points,
    notation,
    one_sparse_curvature,
    polygon_with_dropped,
    regular_curvatures,
)
from toymodels.theory.superposition import one_sparse_loss

PLACES = [(5, 5, 0), (8, 8, 0), (5, 7, 0), (4, 6, 1), (6, 8, 2)]


@pytest.mark.parametrize(("k", "n", "silent"), PLACES)
def test_the_closed_form_is_the_loss_of_its_weights(k, n, silent):
    made = polygon_with_dropped(k, n, silent=silent)
    assert made.loss == pytest.approx(one_sparse_loss(made.W, made.b), rel=1e-12)


@pytest.mark.parametrize(("k", "n", "silent"), [place for place in PLACES if place != (4, 6, 1)])
def test_no_small_move_lowers_the_loss(k, n, silent):
    made = polygon_with_dropped(k, n, silent=silent)
    random = np.random.default_rng(0)
    W, b = (value + 3e-3 * random.normal(size=(200, *value.shape)) for value in (made.W, made.b))
    assert np.asarray(one_sparse_loss(W, b)).min() > made.loss - 1e-12


def test_features_dropped_or_silent_leave_a_minimum_but_both_a_saddle():
    def least(silent):
        made = polygon_with_dropped(6, 8, silent=silent)
        curvature = one_sparse_curvature(made.W, made.b)
        assert curvature.slope < 1e-12
        return curvature.eigenvalues[0]

    assert [least(0) > -1e-9, least(1) > -1e-9, least(2) > -1e-9] == [True, False, True]


@pytest.mark.slow
def test_flat_directions_are_the_rotation_and_all_of_a_silent_feature():
    def flat(k, n, silent):
        made = polygon_with_dropped(k, n, silent=silent)
        return int((one_sparse_curvature(made.W, made.b).eigenvalues < 1e-9).sum())

    assert [flat(6, 6, 0), flat(5, 6, 0), flat(5, 6, 1)] == [1, 1, 4]


def test_curvatures_are_second_differences():
    made = polygon_with_dropped(6, 6)
    W, b = made.W + 0.05, made.b - 0.02
    move, h = np.random.default_rng(1).normal(size=W.shape), 1e-3
    second = (one_sparse_loss(W + h * move, b) + one_sparse_loss(W - h * move, b) - 2 * one_sparse_loss(W, b)) / h**2
    values = one_sparse_curvature(W, b).eigenvalues
    assert values[0] - 1e-3 <= second / (move**2).sum() <= values[-1] + 1e-3


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="4 <= k <= n"):
        polygon_with_dropped(3, 5)
    with pytest.raises(ValueError, match="silent"):
        polygon_with_dropped(5, 6, silent=2)


def test_the_table_of_critical_points_is_named_as_trained_models_are():
    table = critical_points([5, 7])
    assert (table.name != "").sum(["k", "silent"]).values.tolist() == [3, 10]
    for k, silent in ((4, 0), (4, 3), (5, 1), (7, 0)):
        made, read = polygon_with_dropped(k, 7, silent), table.sel(n=7, k=k, silent=silent)
        assert read.name == polygon_name(made.W, made.b)
        assert read.known == made.loss
        np.testing.assert_array_equal(read.W.dropna("feature"), made.W[: 7 - silent])


def test_the_notation_tells_dropped_from_silent():
    told = [notation(7, *pair) for pair in ((7, 0), (5, 0), (5, 2), (5, 1))]
    assert told == ["7, regular heptagon", "$5^{2+}$", "$5^{2-}$", ""]
    assert critical_points([5]).notation.sel(n=5, k=4).values.tolist() == ["$4^{1+}$", "$4^{1-}$"]


def test_regular_polygons_are_flat_in_their_rotation_alone():
    found = regular_curvatures([5, 6])
    assert found.n.values.tolist() == [5, 6]
    assert (found.slope < 1e-12).all()
    assert (found.rotation < 1e-9).all()
    assert (found.curvature > 1e-3).all()
