"""Measures of many packings at once, against those of one packing in `theory` and `geometry`."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from toymodels.analysis import packings
from toymodels.analysis.geometry import orthogonal_pairs
from toymodels.estimates import of_best
from toymodels.shapes.packing import interference_losses, orthogonal_factors
from toymodels.shapes.polytopes import simplex
from toymodels.theory import tegum

seeds = st.integers(0, 2**32 - 1)


def factor_count(V, tol):
    return int(orthogonal_factors(V, tol).max()) + 1


def product(rng, scale=True):
    """Nine vectors: three orthogonal factors of 4, 3 and 2 vectors in 2, 1 and 1 dimensions, rotated and shuffled."""
    V = tegum.tegum_product(rng.normal(size=(4, 2)), rng.normal(size=(3, 1)), rng.normal(size=(2, 1)))
    V = rng.permutation(V @ ortho_group.rvs(4, random_state=rng))
    return V * np.exp(rng.normal(size=(9, 1))) if scale else V


@given(seeds, st.floats(1, 8), st.booleans())
def test_losses_are_those_of_one_packing(seed, power, signed):
    V = np.random.default_rng(seed).normal(size=(3, 5, 4))
    expected = [float(tegum.interference_loss(v, power, signed)) for v in V]
    np.testing.assert_allclose(interference_losses(V, power, signed), expected, rtol=1e-12)


@given(seeds)
def test_losses_take_a_power_for_each_cell_and_see_directions_only(seed):
    rng = np.random.default_rng(seed)
    V, powers = rng.normal(size=(2, 3, 6, 4)), np.array([[1.0], [2.5]])
    turned = np.exp(rng.normal(size=(2, 3, 6, 1))) * V @ ortho_group.rvs(4, random_state=rng)
    rows = [interference_losses(V[0], 1.0), interference_losses(V[1], 2.5)]
    np.testing.assert_allclose(interference_losses(turned, powers), rows, rtol=1e-10)


@given(seeds)
def test_factors_and_pairs_of_a_planted_tegum_product(seed):
    V = product(np.random.default_rng(seed))
    tol = 1e-9  # rounding of a rotation is about 1e-15 of a cosine
    stacked = np.stack([V, V])
    assert packings.orthogonal_factor_counts(stacked, tol).tolist() == [3, 3] == [factor_count(V, tol)] * 2
    assert packings.between_factor_pair_counts(stacked, tol).tolist() == [tegum.factor_orthogonal_pairs([4, 3, 2])] * 2
    assert packings.orthogonal_pair_counts(stacked, tol).tolist() == [int(orthogonal_pairs(V, tol))] * 2


@given(seeds, st.floats(0, 0.99))
def test_counts_agree_with_those_of_one_packing_at_any_tolerance(seed, tol):
    V = np.random.default_rng(seed).normal(size=(4, 7, 3))
    assert packings.orthogonal_factor_counts(V, tol).tolist() == [factor_count(v, tol) for v in V]
    assert packings.orthogonal_pair_counts(V, tol).tolist() == [int(orthogonal_pairs(v, tol)) for v in V]
    assert np.all(packings.between_factor_pair_counts(V, tol) <= packings.orthogonal_pair_counts(V, tol))


def test_a_chain_is_one_factor():
    """Neighbours interfere, all others do not: the longest path there is among 33 vectors."""
    V = np.eye(34)[:33] + np.eye(34)[1:]
    assert packings.orthogonal_factor_counts(V, 0.1) == 1
    assert packings.orthogonal_pair_counts(V, 0.1) == 33 * 32 - 2 * 32
    assert packings.between_factor_pair_counts(V, 0.1) == 0


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_zero_rows_and_extreme_scales(scale):
    V = scale * np.array([[1.0, 0], [0, 1], [0, 0]])
    assert interference_losses(V, 1.0) == 0
    assert packings.orthogonal_factor_counts(V, 0.1) == 2
    assert packings.orthogonal_pair_counts(V, 0.1) == packings.between_factor_pair_counts(V, 0.1) == 2
    assert interference_losses(scale * np.ones((2, 3)), 3.0) == pytest.approx(2)


@pytest.mark.parametrize("power", [0.5, np.inf, np.nan])
def test_powers_below_one_are_refused(power):
    with pytest.raises(ValueError, match="at least 1"):
        interference_losses(np.eye(2), power)


@pytest.mark.parametrize("count", ["orthogonal_factor_counts", "orthogonal_pair_counts", "between_factor_pair_counts"])
def test_tolerances_lie_below_one(count):
    with pytest.raises(ValueError, match="tolerance"):
        getattr(packings, count)(np.eye(2), 1.0)


@pytest.mark.parametrize(
    ("blocks", "even", "name"),
    [
        ([1, 1, 1], True, "3 axes of 2"),
        ([2, 1], True, "triangle + axis of 2"),
        ([3, 3], True, "2 × (tetrahedron)"),
        ([1, 2], False, "triangle + axis of 2"),
    ],
)
def test_configurations_are_named_by_their_factors(blocks, even, name):
    assert (
        packings.configuration_name(tegum.tegum_product(*(simplex(block).vectors for block in blocks)), 1e-3, even)
        == name
    )


def test_equiangular_lines_have_a_name_for_an_even_loss_only():
    V = tegum.best_configuration(10, 5, 3).V
    assert packings.configuration_name(V, 1e-3, even=True) == "10 equiangular lines"
    assert packings.configuration_name(V, 1e-3) == "10 in 5D"


def test_endings_by_loss_then_factors_without_restarts_that_failed():
    square, triangle = np.array([[1.0, 0], [0, 1], [-1, 0]]), simplex(2).vectors
    V = np.stack([triangle, square, triangle, triangle])
    found = packings.endings(V, np.array([2.0, 2.0, 1.0, np.nan]), 1e-3)
    assert [(ending.name, ending.loss, ending.places) for ending in found] == [
        ("triangle", 1.0, [2]),
        ("axis + axis of 2", 2.0, [1]),
        ("triangle", 2.0, [0]),
    ]


def test_a_table_of_endings_has_a_row_for_all_others():
    """Two cells: one with three endings, of which two are named; one in which a single restart is left."""
    square, triangle = np.array([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0]]), np.pad(simplex(2).vectors, ((0, 0), (0, 1)))
    V = xr.DataArray(
        np.stack([[triangle, square, triangle, triangle]] * 2), dims=("size", "seed", "feature", "dimension")
    )
    V[1, 1:] = np.nan
    loss = xr.DataArray([[2.0, 2.0, 1.0, 5.0], [3.0, *[np.nan] * 3]], {"size": ["a", "b"]}, ("size", "seed"))
    found = packings.endings_table(V.transpose("feature", "seed", "size", "dimension"), loss, 1e-3, named=2)
    assert found["name"].values.tolist() == [["triangle", "axis + axis of 2", "2 more"], ["triangle", "", ""]]
    assert found.label.values.tolist()[0][:2] == ["triangle", "axis + axis of 2, +1e+02%"]
    assert found.label.values.tolist()[1] == ["triangle", "", ""]
    assert found.restarts.values.tolist() == [[1, 1, 2], [1, 0, 0]]
    assert found.place.values.tolist() == [[2, 1, -1], [0, -1, -1]]
    assert found["size"].values.tolist() == ["a", "b"]


def test_a_cell_without_restarts_has_empty_endings():
    lost = xr.DataArray(np.full((1, 2), np.nan), dims=("size", "seed"))
    V = lost.expand_dims({"feature": 3, "dimension": 2})
    found = packings.endings_table(V, lost, 1e-3, named=1)
    assert found["name"].values.tolist() == [["", ""]]
    assert found.restarts.values.tolist() == [[0, 0]]


def test_cosines_are_sorted_by_factor_and_padding_stays_last():
    V = np.array([[1.0, 0, 0], [0, 1, 0], [-2, 0, 0], [0, 1, 0.1], [0, 0, 0]])
    found = packings.cosines_by_factor(V, 0.01)
    near = 1 / np.sqrt(1.01)
    expected = [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, near, 0], [0, 0, near, 1, 0], [0, 0, 0, 0, 1]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


# ------------------------------------------------------------------------------------------------- restarts by power


def best_factors(*rows):
    """Numbers of factors of restarts at powers 1, 2, 3: the first restart is the best, then the second."""
    values = xr.DataArray(np.array(rows, float), {"power": [1, 2, 3]}, ("power", "seed"))
    return of_best(values, xr.zeros_like(values) + xr.DataArray(np.arange(len(rows[0])), dims="seed"))


def test_the_takeover_lies_between_two_powers():
    found = packings.takeover(best_factors([4] * 9, [4] * 9, [1] * 9), [1, 2, 3], 4)
    assert (found.low, found.value, found.high) == (2, 2.5, 3)
    doubtful = packings.takeover(best_factors([4] * 9, [4] + [2] * 8, [1] * 9), [1, 2, 3], 4)
    assert (doubtful.low, doubtful.value, doubtful.high) == (1, 2.5, 3)
    never = packings.takeover(best_factors([4] * 9, [4] * 9, [4] * 9), [1, 2, 3], 4)
    assert (never.low, never.high) == (3, np.inf)


def test_labels_are_counted_by_value_surely_and_possibly():
    found = packings.labels_within(best_factors([4] * 9, [2] + [4] * 8, [3] * 9), 2, 3)
    assert (found.low, found.value, found.high) == (1, 2, 2)


def test_of_equal_losses_the_most_factors_are_the_best():
    loss, factors = (xr.DataArray(each, dims="seed") for each in ([2.0, 2.0 + 1e-9, 1.99999, 3.0], [1, 3, 2, 9]))
    assert int(packings.tied(loss, factors, 1e-4).argmin("seed")) == 1
    assert int(packings.tied(loss, factors, 1e-12).argmin("seed")) == 2


def test_restarts_of_smaller_packings_are_padded_and_lost_ones_are_left_out():
    V = np.full((1, 3, 8, 5), np.nan)
    V[0, 0, :6, :3] = np.repeat(np.eye(3), 2, axis=0)
    V[0, 1, :, :] = np.eye(8, 5) + 0.5
    labelled = xr.DataArray(V, {"power": [2.0]}, ("power", "seed", "feature", "dimension"))
    found = packings.restarts(labelled, False, 1e-6, 1e-4).isel(power=0)
    axes = found.isel(seed=0)
    assert (axes.loss, axes.factors, axes.pairs, axes.between) == (6, 3, 24, 24)
    assert found.isel(seed=1).factors == 1
    assert found.isel(seed=2).to_array().isnull().all()


def test_the_best_restart_of_equal_losses_has_most_factors_and_is_nan_where_all_are_lost():
    order = xr.DataArray([[1.0, 1 - 1e-9], [np.nan, np.nan]], dims=("power", "seed"))
    factors = xr.DataArray([[1.0, 3.0], [np.nan, np.nan]], dims=("power", "seed"))
    best = packings.best_restarts(xr.Dataset({"order": order, "factors": factors}))
    np.testing.assert_array_equal(best.factors, [3, np.nan])
