"""The catalogue of codes: inner products and how often each occurs, as published, and designs."""

import numpy as np
import pytest
import scipy.special

from toymodels.shapes.codes import code, codes
from toymodels.shapes.lattices import golay_code, octads

# From any vector: its cosines with the others, and the number of each. Cohn & Kumar 2007, table 1; of lines, 1 / |cos|.
GOLDEN = (1 + 5**0.5) / 4
PUBLISHED = {
    "icosahedron": {-1: 1, 5**-0.5: 5, -(5**-0.5): 5},
    "600-cell": {-1: 1, -GOLDEN: 12, -1 / 2: 20, 1 / 2 - GOLDEN: 12, 0: 30, GOLDEN - 1 / 2: 12, 1 / 2: 20, GOLDEN: 12},
    "5-dimensional hemicube": {-3 / 5: 5, 1 / 5: 10},
    "Schläfli configuration": {-1 / 2: 10, 1 / 4: 16},
    "28 equiangular lines": {-1: 1, -1 / 3: 27, 1 / 3: 27},
    "E8 roots": {-1: 1, -1 / 2: 56, 0: 126, 1 / 2: 56},
    "isotropic points of GF(3)^6": {-1 / 3: 30, 1 / 9: 81},
    "McLaughlin neighbours": {-2 / 7: 56, 1 / 7: 105},
    "Higman-Sims graph": {-4 / 11: 22, 1 / 11: 77},
    "McLaughlin graph": {-1 / 4: 112, 1 / 6: 162},
    "891 neighbours in the Leech lattice": {-1 / 2: 42, -1 / 8: 512, 1 / 4: 336},
    "276 equiangular lines": {-1: 1, -1 / 5: 275, 1 / 5: 275},
    "Leech neighbours": {-1: 1, -1 / 3: 891, 0: 2816, 1 / 3: 891},
    "Leech lattice": {-1: 1, -1 / 2: 4600, -1 / 4: 47104, 0: 93150, 1 / 4: 47104, 1 / 2: 4600},
}
ROOTS = {
    "24-cell": {-1: 1, -1 / 2: 8, 0: 6, 1 / 2: 8},
    "rectified 4-simplex": {-2 / 3: 3, 1 / 6: 6},
    "F4 roots": {-1: 1, -(0.5**0.5): 6, -1 / 2: 8, 0: 18, 1 / 2: 8, 0.5**0.5: 6},
    "E6 roots": {-1: 1, -1 / 2: 20, 0: 30, 1 / 2: 20},
    "E7 roots": {-1: 1, -1 / 2: 32, 0: 60, 1 / 2: 32},
    "10 equiangular lines": {-1: 1, -1 / 3: 9, 1 / 3: 9},
    "16 equiangular lines": {-1: 1, -1 / 3: 15, 1 / 3: 15},
    "36 equiangular lines": {-1: 1, -1 / 5: 35, 1 / 5: 35},
    "176 equiangular lines": {-1: 1, -1 / 5: 175, 1 / 5: 175},
    "9 unbiased bases": {-1: 1, -1 / 4: 128, 0: 30, 1 / 4: 128},
    "Barnes-Wall lattice": {-1: 1, -1 / 2: 280, -1 / 4: 1024, 0: 1710, 1 / 4: 1024, 1 / 2: 280},
    "A6 roots": {-1: 1, -1 / 2: 10, 0: 20, 1 / 2: 10},
    "D5 roots": {-1: 1, -1 / 2: 12, 0: 14, 1 / 2: 12},
}


@pytest.mark.parametrize("name", [*PUBLISHED, *ROOTS])
def test_every_vector_has_the_published_cosines(name):
    known, published = code(name), {1: 1} | (PUBLISHED | ROOTS)[name]
    V = known.vectors
    assert V.shape == (known.size, known.dim)
    assert sum(published.values()) == known.size
    for v in V[:: max(1, len(V) // 20)]:
        near = np.abs((V @ v)[:, None] - np.array(list(published))) < 1e-13
        assert near.any(axis=1).all()
        assert near.sum(axis=0).tolist() == list(published.values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_sharp_codes_are_designs(name):
    """m inner products, and averages of polynomials up to degree 2m - 1 as over the sphere: the loss is the least."""
    V, d = code(name).vectors, code(name).dim
    cosines = V @ V[0]
    for degree in range(1, 2 * len(PUBLISHED[name]) if name != "600-cell" else 12):
        moment = np.mean(scipy.special.eval_gegenbauer(degree, d / 2 - 1, cosines))
        assert abs(moment) < 1e-11 * scipy.special.eval_gegenbauer(degree, d / 2 - 1, 1.0)


def test_every_code_has_its_size_and_dimension_and_one_ray_of_each_line():
    for known in codes(23):
        V, lines = known.vectors, known.lines
        assert V.shape == (known.size, known.dim)
        np.testing.assert_allclose(np.linalg.norm(V, axis=1), 1, atol=1e-14)
        assert np.linalg.matrix_rank(V) == known.dim
        antipodal = np.allclose(np.sort(V, axis=0), np.sort(-V, axis=0)) and (V @ V[0]).min() < -1 + 1e-9
        assert len(lines) == known.size // (2 if antipodal else 1)
        assert (lines @ lines[0]).min() > -1 + 1e-9
        assert not V.flags.writeable


def test_names_are_one_codes_own():
    names = [known.name for known in codes(24)]
    assert len(set(names)) == len(names)
    assert [known.name for known in codes(3)] == [name for name in names if code(name).dim == 3]


def test_the_golay_code_is_the_golay_code():
    words = golay_code()
    weights = np.bincount(words.sum(axis=1), minlength=25)
    assert {w: c for w, c in enumerate(weights.tolist()) if c} == {0: 1, 8: 759, 12: 2576, 16: 759, 24: 1}
    meet = octads() @ octads().T
    assert set(np.unique(meet).tolist()) == {0, 2, 4, 8}
