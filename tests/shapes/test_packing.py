"""The packing loss of many cells, connected components, and lines that are equiangular."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from toymodels.shapes.bounds import welch_coherence
from toymodels.shapes.frames import cross_polytope, harmonic_frame
from toymodels.shapes.packing import components, cosines, interference_loss, interference_losses, orthogonal_factors
from toymodels.shapes.polytopes import equiangular_lines, lines_in_plane, polygon, simplex


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_components_of_many_graphs_are_those_of_each(seed, density):
    edges = np.random.default_rng(seed).random((2, 3, 6, 6)) < density / 3
    found = components(edges)
    for labels, graph in zip(found.reshape(6, 6), edges.reshape(6, 6, 6), strict=True):
        theirs = connected_components(graph, directed=False)[1]
        np.testing.assert_array_equal(labels[:, None] == labels, theirs[:, None] == theirs)
        firsts = [int(np.flatnonzero(labels == label)[0]) for label in range(labels.max() + 1)]
        assert firsts == sorted(firsts)


def test_no_vectors_have_no_components():
    assert components(np.zeros((2, 0, 0), bool)).shape == (2, 0)
    assert components(np.zeros((0, 0), bool)).shape == (0,)


def test_training_and_theory_see_one_loss():
    """The batched loss in float64 is the single-precision one of a trained cell, to single precision."""
    V = np.random.default_rng(0).normal(size=(4, 6, 3))
    trained = jax.jit(jax.vmap(interference_loss, (0, None)))(V.astype(np.float32), 3.0)
    assert trained.dtype == np.float32
    np.testing.assert_allclose(interference_losses(V, 3.0), trained, rtol=1e-4)  # 30 terms of a cube, eps = 6e-8 each


@pytest.mark.parametrize(("count", "rank"), [(10, 5), (16, 6), (28, 7)])
def test_equiangular_lines_have_cosine_one_third(count, rank):
    V = equiangular_lines(count).vectors
    assert V.shape == (count, rank)
    np.testing.assert_allclose(np.abs(cosines(V))[~np.eye(count, dtype=bool)], 1 / 3, atol=1e-12)
    assert np.abs(cosines(V)).max() >= welch_coherence(count, rank) - 1e-12
    with pytest.raises(ValueError, match="count=11"):
        equiangular_lines(11)


def test_polygons_and_lines_are_harmonic_frames():
    for k in (3, 5, 8):
        np.testing.assert_allclose(polygon(k).vectors, harmonic_frame(k, 2), atol=1e-15)
        np.testing.assert_allclose(lines_in_plane(k).vectors, harmonic_frame(k, 2, lines=True), atol=1e-15)


def test_factors_of_known_configurations():
    assert orthogonal_factors(cross_polytope(3)).tolist() == [0, 1, 2, 0, 1, 2]
    assert orthogonal_factors(simplex(4).vectors).max() == 0
    with pytest.raises(ValueError, match="tolerance"):
        orthogonal_factors(np.eye(2), 1.0)
