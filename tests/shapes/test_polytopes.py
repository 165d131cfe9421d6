"""Configurations: each is what its name says, and is found again turned, shuffled and stretched."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from toymodels.analysis.geometry import tegum_factors
from toymodels.shapes import polytopes
from toymodels.shapes.archimedean import ARCHIMEDEAN, archimedean
from toymodels.shapes.matching import match


def rotation(m, seed):
    return stats.ortho_group.rvs(m, random_state=seed) if m > 1 else np.array([[-1.0]])


SHAPES = [
    (2, 1),
    (3, 2),
    (5, 2),
    (6, 2),
    (24, 2),
    (4, 3),
    (5, 3),
    (6, 3),
    (8, 3),
    (10, 3),
    (12, 3),
    (20, 3),
    (14, 3),
    (24, 3),
    (30, 3),
    (60, 3),
    (24, 4),
]
EDGES = {name: 4 if name.startswith(("rhombi", "icosi")) else 3 for name in ARCHIMEDEAN if "snub" not in name}
CATALOGUE = {p.name: p for size, rank in SHAPES for p in polytopes.catalog(size, rank, even=True)}


@pytest.mark.parametrize("polytope", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_every_configuration_is_found_again_turned_shuffled_and_stretched(polytope):
    rng = np.random.default_rng(1)
    size, rank = polytope.vectors.shape
    for even in (False, True):
        V = polytope.vectors[rng.permutation(size)] * rng.uniform(0.1, 10, size=(size, 1))
        V = (rng.choice([-1, 1], size=(size, 1)) * V if even else V) @ rotation(rank + 2, 1)[:rank]
        found = match(V, polytope, even)
        image = found.signs[:, None] * found.polytope.vectors[found.order]
        units = V / np.linalg.norm(V, axis=1, keepdims=True)
        np.testing.assert_allclose(image @ image.T, units @ units.T, atol=1e-9)
        assert found.residual < 1e-9
        assert even or np.all(found.signs == 1)


@pytest.mark.parametrize("polytope", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_every_configuration_is_unit_spanning_connected_and_alike_from_each_vector(polytope):
    """The search fixes the image of one vector: each must see the same cosines (up to sign, for sets of lines)."""
    gram = polytope.vectors @ polytope.vectors.T
    np.testing.assert_allclose(np.diag(gram), 1, rtol=1e-12)
    assert np.linalg.matrix_rank(polytope.vectors) == polytope.vectors.shape[1]
    seen = np.sort(np.abs(gram) if polytope.name.startswith("halved") else gram, axis=1)
    np.testing.assert_allclose(seen, np.broadcast_to(seen[0], seen.shape), atol=1e-12)


@pytest.mark.parametrize(("name", "edges"), [("snub cube", 5), ("snub dodecahedron", 5), *EDGES.items()])
def test_archimedean_solids_have_edges_of_one_length(name, edges):
    """As many nearest neighbours of each vertex as edges meet there."""
    V = archimedean(name)
    assert len(V) == ARCHIMEDEAN[name]
    cosines = V @ V.T - 2 * np.eye(len(V))
    assert np.all(np.sum(cosines > cosines.max() - 1e-9, axis=1) == edges)


@pytest.mark.parametrize("name", ARCHIMEDEAN)
def test_archimedean_solids_are_named_however_they_lie(name):
    V = archimedean(name)[::-1] @ rotation(5, 3)[:3] * 1.7
    found = tegum_factors(V)
    assert found.name == name
    assert found.factors[0].residual < 1e-6
    bent = V + 0.02 * np.random.default_rng(0).standard_normal(V.shape)
    assert tegum_factors(bent).name == name


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize(
    "polytope", [polytopes.polygon(5), polytopes.polygon(6), polytopes.prism(3)], ids=lambda p: p.name
)
def test_the_search_finds_the_best_of_all_orders(polytope, even):
    """Brute force over every order and sign; noise of 10 % leaves the right one not obvious, yet the basin findable."""
    size, _ = polytope.vectors.shape
    rng = np.random.default_rng(2)
    for _ in range(2):
        V = polytope.vectors[rng.permutation(size)] + 0.1 * rng.normal(size=polytope.vectors.shape)
        V /= np.linalg.norm(V, axis=1, keepdims=True)
        found = match(V, polytope, even)
        template = found.polytope.vectors @ found.polytope.vectors.T
        orders = np.array(list(itertools.permutations(range(size))))
        best = np.inf
        for signs in itertools.product((1, -1), repeat=size - 1) if even else [(1,) * (size - 1)]:
            signs = np.array([1, *signs])
            wanted = (V * signs[:, None]) @ (V * signs[:, None]).T
            errors = np.sum((template[orders[:, :, None], orders[:, None, :]] - wanted) ** 2, axis=(1, 2))
            best = min(best, float(np.sqrt(errors.min() / (size * (size - 1)))))
        assert found.residual == pytest.approx(best, rel=1e-9)


@given(st.floats(0.12, 0.75), st.sampled_from([polytopes.antiprism(4), polytopes.antiprism(5), polytopes.prism(3)]))
def test_a_free_height_is_recovered(squared_height, polytope):
    flat = polytope.vectors[:, :2] / np.linalg.norm(polytope.vectors[:, :2], axis=1, keepdims=True)
    height = np.sign(polytope.vectors[:, 2:]) * np.sqrt(squared_height)
    V = np.concatenate([np.sqrt(1 - squared_height) * flat, height], axis=1)
    found = match(V[::-1] @ rotation(3, 4), polytope)
    assert found.residual < 1e-6
    assert found.polytope.vectors[0, 2] ** 2 == pytest.approx(squared_height, rel=1e-6)


def test_a_match_needs_as_many_directions():
    with pytest.raises(ValueError, match="has 3 vectors"):
        match(np.eye(2), polytopes.simplex(2))
    with pytest.raises(ValueError, match="not zero"):
        match(np.zeros((3, 2)), polytopes.simplex(2))
