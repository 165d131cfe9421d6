"""Spread of sets: its values where they are known, and what leaves it alone."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from toymodels.analysis.collapse import (
    collapse_edge,
    excess,
    lying,
    members_lie,
    neighbour_angles,
    off_hexagon,
    opposite_across_sets,
    reached,
    regular,
    set_cosines,
    set_interference,
    set_spread,
)


@given(st.floats(0, np.pi), st.floats(0.1, 3))
def test_a_pair_of_equal_lengths_reads_its_angle(angle, radius):
    W = radius * np.array([[1, 0], [np.cos(angle), np.sin(angle)]])
    assert set_spread(W, 1) == pytest.approx((1 - np.cos(angle)) / 2)


def test_known_sets():
    collapsed, orthogonal = np.ones((3, 3)), np.eye(3)
    triangle = np.eye(3) - 1 / 3
    W = np.concatenate([collapsed, orthogonal, triangle, 1e-3 * orthogonal])
    np.testing.assert_allclose(set_spread(W, 4), [0, 2 / 3, 1, np.nan], atol=1e-12)


@given(st.integers(0, 999), st.floats(0.1, 10))
def test_rotations_sizes_and_order_in_a_set_do_not_matter(seed, size):
    random = np.random.default_rng(seed)
    W = random.normal(size=(2, 6, 3))
    turned = size * W @ ortho_group.rvs(3, random_state=seed)
    shuffled = turned.reshape(2, 2, 3, 3)[:, :, [2, 0, 1]].reshape(W.shape)
    np.testing.assert_allclose(set_spread(shuffled, 2), set_spread(W, 2), atol=1e-10)


def test_sets_divide_the_features():
    with pytest.raises(ValueError, match="sets=4"):
        set_spread(np.ones((6, 2)), 4)


@given(st.floats(0, np.pi), st.floats(0.1, 3))
def test_cosines_are_those_of_members_of_one_set(angle, radius):
    pair = radius * np.array([[2, 0, 0], [np.cos(angle), np.sin(angle), 0]])
    W = np.concatenate([pair, [[0, 0, radius], [1e-3 * radius, 0, 0]]])
    np.testing.assert_allclose(set_cosines(W, 2, dead=0.05), [np.cos(angle), np.nan], atol=1e-12)
    np.testing.assert_allclose(set_cosines(np.eye(4)[None], 4), np.zeros((1, 6)))
    with pytest.raises(ValueError, match="size=3"):
        set_cosines(W, 3)


def test_pairs_across_sets_are_mutual_and_of_two_sets():
    octahedron = np.concatenate([np.eye(3), -np.eye(3)[[1, 2, 0]]])
    assert opposite_across_sets(octahedron, 2)
    assert not opposite_across_sets(octahedron[[0, 5, 1, 3, 2, 4]], 2)  # the antipode of each is its neighbour
    assert not opposite_across_sets(np.concatenate([np.eye(3), np.eye(3)]), 2)


@given(st.floats(0, 2 * np.pi), st.floats(0.3, 2))
def test_how_the_members_of_pairs_lie_does_not_depend_on_rotation_and_size(turn, size):
    rotation = size * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1.0]])
    hexagon = np.array([[np.cos(a), np.sin(a)] for a in np.arange(6) * np.pi / 3])
    dropped = square * [[1], [1], [1], [0]]
    found = {"orthogonal": square, "antipodal": square[[0, 2, 1, 3]], "side by side": hexagon, "otherwise": dropped}
    for name, W in found.items():
        cosine = xr.DataArray(set_cosines(W @ rotation, 2, 0.25), dims="pair")
        assert members_lie(cosine) == name
    mixed = xr.DataArray([[0.0, 0.1], [0.0, -1.0], [-0.9, -1.0]], dims=("seed", "pair"))
    assert members_lie(mixed).values.tolist() == ["orthogonal", "otherwise", "antipodal"]


def test_lost_models_lie_in_no_way():
    models = xr.Dataset({"lie": ("seed", ["antipodal", "otherwise", "otherwise"]), "loss": ("seed", [1, 1, np.nan])})
    np.testing.assert_array_equal(lying(models, "antipodal"), [1, 0, np.nan])


def test_interference_within_sets_and_between_them():
    """Two sets, each orthogonal in itself; the second is the first, turned by 30 degrees."""
    turned = np.array([[np.cos(np.pi / 6), 0.5], [-0.5, np.cos(np.pi / 6)]])
    W = xr.DataArray(np.vstack([np.eye(2), turned])[None], dims=("seed", "feature", "hidden"))
    found = set_interference(W, 2).isel(seed=0)
    np.testing.assert_allclose(found.cosine.where(found.same, drop=True), 0, atol=1e-12)
    np.testing.assert_allclose(np.sort(found.cosine.where(~found.same, drop=True)), [0.5, 0.5, 0.75**0.5, 0.75**0.5])
    assert float(found.ratio) < 1e-12
    dropped = set_interference(W * xr.DataArray([1, 1, 1, 0.1], dims="feature"), 2, dead=0.25).cosine
    assert dropped.isnull().sum() == 3


@given(st.lists(st.floats(-180, 180), min_size=2, max_size=7))
def test_angles_between_neighbours_add_up_to_a_turn(degrees):
    angle = np.radians(degrees)
    found = neighbour_angles(np.stack([np.cos(angle), np.sin(angle)], 1))
    assert found.sum() == pytest.approx(360)
    assert found.min() >= -1e-9


def test_distance_from_a_hexagon_with_pairs_side_by_side():
    angle = np.pi / 3 * np.arange(6)
    hexagon = np.stack([np.cos(angle), np.sin(angle)], 1)
    assert off_hexagon(hexagon) == pytest.approx(0, abs=1e-4)
    assert off_hexagon(hexagon[[0, 2, 1, 3, 4, 5]]) == pytest.approx(60)  # members of two pairs 120 apart
    assert off_hexagon(hexagon[[0, 0, 2, 2, 4, 4]]) == pytest.approx(60)


@given(st.integers(3, 8), st.floats(0, 6.3), st.floats(0.3, 2))
def test_only_a_regular_polygon_is_one(n, turn, scale):
    angle = turn + 2 * np.pi / n * np.random.default_rng(n).permutation(n)
    polygon = scale * np.stack([np.cos(angle), np.sin(angle)], 1)
    assert regular(polygon)
    assert not regular(polygon * np.append(np.ones(n - 1), 0.9)[:, None])
    assert not regular(np.vstack([polygon, polygon[:1]]))
    assert not regular(np.vstack([polygon, 0 * polygon[:1]]))


@given(st.integers(1, 6), st.floats(0.01, 0.5))
def test_an_edge_lies_between_the_neighbours_that_bracket_it(place, low):
    p = np.geomspace(low, 1, 8)
    counts = np.where(np.arange(8) < place, 1, 2)
    assert p[place - 1] < collapse_edge(p, counts, 2) < p[place]
    assert np.isnan(collapse_edge(p, counts, 1))  # everywhere
    assert np.isnan(collapse_edge(p, counts, 3))  # nowhere
    both = collapse_edge(p, [counts, np.full(8, 2)], 2)
    np.testing.assert_array_equal(both, [collapse_edge(p, counts, 2), np.nan])


def test_what_single_runs_reach_is_that_of_every_combination_of_runs():
    """All draws of one of three runs at each of four p, one by one."""
    counts = np.sort(np.random.default_rng(0).integers(0, 4, size=(3, 4)), axis=1).T
    drawn = np.array([counts[np.arange(4), list(picked)] for picked in itertools.product(range(3), repeat=4)])
    for count in (1, 2, 3):
        from_there_on = np.flip(np.logical_and.accumulate(np.flip(drawn >= count, 1), 1), 1)
        np.testing.assert_allclose(reached(counts, count), from_there_on.mean(0))
        np.testing.assert_allclose(reached([counts, 0 * counts], count), [from_there_on.mean(0), np.zeros(4)])


def test_the_excess_is_that_of_the_worst_p_and_unknown_where_there_is_no_such_model():
    loss = np.array([[2.0, 1.0, 3.0], [1.0, np.nan, 1.5]])
    counts = np.array([[2, 0, 0], [2, 2, 0]])
    assert excess(loss, counts, 0) == pytest.approx(0.5)
    assert excess(loss, counts, 2) == pytest.approx(1.0)
    assert np.isnan(excess(loss, counts, 1))
    np.testing.assert_allclose(excess([loss, 2 * loss], [counts, 2 - counts], 2), [1.0, 0.5])
