"""Spread of sets: its values where they are known, and what leaves it alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from toymodels.analysis.collapse import opposite_across_sets, set_cosines, set_spread


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
