"""Spectral measures: tight frames are localised, capacity is bounded by rank, and rotations change nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import block_diag
from scipy.stats import ortho_group

from toymodels.analysis.geometry import feature_dimensionality
from toymodels.analysis.spectra import (
    frame_spectrum,
    leverage,
    localisation,
    mean_localisation,
    random_directions,
    saturation,
    spectral_measure,
)
from toymodels.shapes.polytopes import polygon, simplex

seeds = st.integers(0, 999)


def rows_of(seed, n=7, m=3):
    return np.random.default_rng(seed).normal(size=(n, m))


@given(seeds, st.integers(1, 9), st.integers(1, 5))
def test_weights_sum_to_one_and_give_back_the_frame_operator(seed, n, m):
    W = rows_of(seed, n, m)
    found = spectral_measure(W, tol=0)
    np.testing.assert_allclose(found.weights.sum(1), 1)
    assert found.sizes.sum() == np.linalg.matrix_rank(W)
    # The second route: W_iᵀ F W_i = |W_i|² sum_k w_ik l_k.
    squares = (W**2).sum(1)
    np.testing.assert_allclose(squares * (found.weights @ found.values), ((W @ W.T) ** 2).sum(1))
    np.testing.assert_allclose(frame_spectrum(W), np.sort(np.linalg.eigvalsh(W.T @ W))[::-1], atol=1e-9)


@given(seeds, st.floats(0.1, 10))
def test_rotations_sizes_and_order_do_not_matter(seed, size):
    W = rows_of(seed)
    turned = size * W @ ortho_group.rvs(3, random_state=seed)
    np.testing.assert_allclose(localisation(turned), localisation(W), atol=1e-9)
    np.testing.assert_allclose(leverage(turned), leverage(W))
    order = np.random.default_rng(seed).permutation(7)
    np.testing.assert_allclose(localisation(W[order]), localisation(W)[order])
    assert saturation(turned).ratio == pytest.approx(saturation(W).ratio)


@given(seeds, st.integers(3, 7), st.floats(1.5, 3))
def test_orthogonal_tight_frames_are_localised_and_saturate_capacity(seed, k, size):
    W = block_diag(polygon(k).vectors, size * simplex(3).vectors, np.ones((1, 1)))
    W = W @ ortho_group.rvs(W.shape[1], random_state=seed)
    np.testing.assert_allclose(localisation(W), 1)
    assert saturation(W).ratio == pytest.approx(1)
    np.testing.assert_allclose(leverage(W), feature_dimensionality(W))


@given(seeds, st.integers(2, 9), st.integers(1, 5))
def test_dimensionality_is_at_most_leverage_which_sums_to_the_rank(seed, n, m):
    W = rows_of(seed, n, m)
    D, share, found = feature_dimensionality(W), leverage(W), saturation(W)
    assert (share + 1e-9 >= D).all()
    assert share.sum() == pytest.approx(found.rank)
    assert found.rank == np.linalg.matrix_rank(W)
    assert found.capacity == pytest.approx(D.sum())


def test_a_feature_between_two_eigenspaces_is_in_both():
    W = [[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1e-3, 1e-3], [0.0, 0.0]]
    found = spectral_measure(W)
    np.testing.assert_allclose(found.values, [8, 2], rtol=1e-5)
    np.testing.assert_allclose(found.weights[4], 0.5, atol=1e-3)
    assert localisation(W)[4] == pytest.approx(0.5, abs=1e-3)
    assert np.isnan(localisation(W)[5])
    assert leverage(W)[5] == 0


def test_eigenvalues_within_the_tolerance_are_one_space():
    W = np.diag([1.0, 0.99, 0.5])
    assert spectral_measure(W, tol=0.05).sizes.tolist() == [2, 1]
    assert spectral_measure(W, tol=0.0).sizes.tolist() == [1, 1, 1]
    assert np.isnan(saturation(np.zeros((3, 2))).ratio)
    with pytest.raises(ValueError, match="tol=1"):
        spectral_measure(W, tol=1.0)
    with pytest.raises(ValueError, match="finite"):
        leverage([[np.inf, 1.0]])


@given(seeds)
def test_random_directions_keep_lengths(seed):
    W = rows_of(seed)
    np.testing.assert_allclose((random_directions(W, seed) ** 2).sum(1), (W**2).sum(1))


def test_localised_features_lie_in_one_eigenspace_and_dropped_ones_do_not_count():
    assert mean_localisation(np.diag([1.0, 2.0, 0.1]), 0.1, 0.25) == pytest.approx(1)
    assert mean_localisation(np.array([[2.0, 0], [0, 1], [1, 1]]), 0.1, 0.25) < 0.9
    short = [[2.0, 0], [0, 1], [0.01, 0.01]]
    assert mean_localisation(short, 0.1, 0.25) > 0.99 > mean_localisation(short, 0.1, 0.0)
