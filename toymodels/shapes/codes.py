"""The catalogue of spherical codes: sharp ones, root systems and equiangular lines, by coordinates.

A code is sharp if it has m inner products and is a spherical (2m - 1)-design: it then has the least loss of all, for
every potential that is absolutely monotone. Cohn & Kumar 2007, table 1; Levenshtein 1992. Lines are listed by both of
their rays.
"""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Real

from toymodels.arrays import Float
from toymodels.shapes import lattices
from toymodels.shapes.archimedean import archimedean
from toymodels.shapes.polytopes import cube, dodecahedron, equiangular_lines, icosahedron, unit_rows

LARGEST_ROOTS = 8
"""Dimensions up to which the families A_n, B_n and D_n are listed; beyond, their cosine 1/2 is far from the best."""

Rows = Real[np.ndarray, "_ _"]


class Code(NamedTuple):
    """Unit vectors of a name, worked out when they are first asked for."""

    name: str
    size: int
    dim: int
    build: Callable[[], Rows]

    @property
    def vectors(self) -> Rows:
        return _vectors(self)

    @property
    def lines(self) -> Rows:
        """One vector of each antipodal pair; all vectors where no two are antipodal."""
        return _lines(self)


@functools.cache
def _vectors(code: Code) -> Rows:
    V = unit_rows(np.asarray(code.build(), float))
    V.flags.writeable = False
    return V


@functools.cache
def _lines(code: Code) -> Rows:
    V = code.vectors
    if np.min(V @ V[0]) > -1 + 1e-9:
        return V
    first = np.argmax(np.abs(V) > 1e-9, axis=1)
    return V[V[np.arange(len(V)), first] > 0]


def code(name: str) -> Code:
    """The code of this name; KeyError if there is none."""
    return {known.name: known for known in codes(24)}[name]


def derived(V: Rows, cosine: float) -> Rows:
    """The neighbours of the first vector at this cosine, as directions seen from it: one dimension fewer."""
    U = unit_rows(np.asarray(V, float))
    near = U[np.abs(U @ U[0] - cosine) < 1e-9]
    return _own_coordinates(near - cosine * U[0], U.shape[1] - 1)


def _own_coordinates(V: Rows, dim: int) -> Rows:
    """The same vectors in coordinates of the space that they span."""
    return V @ np.linalg.eigh(V.T @ V)[1][:, -dim:]


def _of_gram(gram: Float[np.ndarray, "vectors vectors"], dim: int) -> Rows:
    values, vectors = np.linalg.eigh(gram)
    return vectors[:, -dim:] * np.sqrt(values[-dim:])


def _both_rays(V: Rows) -> Rows:
    return np.concatenate([V, -V])


# ------------------------------------------------------------------------------------------------------ three, and four


def _stacked(*parts: Rows) -> Callable[[], Rows]:
    return lambda: np.concatenate([unit_rows(np.asarray(part, float)) for part in parts])


def _h3_roots() -> Rows:
    """The 30 midpoints of the edges of the icosahedron."""
    V = icosahedron().vectors
    return np.array([v + w for v, w in itertools.combinations(V, 2) if v @ w > 0.4])


def _f4_roots() -> Rows:
    halves = np.array(list(itertools.product((1.0, -1.0), repeat=4)))
    return _stacked(lattices.d_roots(4), np.eye(4), -np.eye(4), halves)()


_AXES, _CUBE, _ICOSAHEDRON = _both_rays(np.eye(3)), cube().vectors, icosahedron().vectors
_FIFTEEN, _TEN, _EDGES = _h3_roots(), dodecahedron().vectors, lattices.d_roots(3)


# --------------------------------------------------------------------------------------------------------- from E8 down


def _e7_minuscule() -> Rows:
    return derived(lattices.e8_roots(), 1 / 2)


def _schlaefli() -> Rows:
    return derived(_e7_minuscule(), 1 / 3)


def _hemicube() -> Rows:
    return derived(_schlaefli(), 1 / 4)


def _roots_beside(count: int, dim: int) -> Callable[[], Rows]:
    """The roots of E8 that are orthogonal to so many of its roots, neighbours at 60 degrees: E7, E6."""

    def build() -> Rows:
        roots = lattices.e8_roots()
        first = roots[0]
        fixed = np.array([first, roots[roots @ first == 4][0]])[:count]
        return _own_coordinates(roots[np.all(roots @ fixed.T == 0, axis=1)].astype(float), dim)

    return build


# -------------------------------------------------------------------------------------------------- from the Golay code


def _equiangular_276() -> Rows:
    """Of the octads through one point, the other points, and the 23 points: shifted so that |cos| = 1/5."""
    root = np.sqrt(3)
    blocks = lattices.octads()
    blocks = blocks[blocks[:, 0] == 1][:, 1:]
    return np.concatenate([blocks + (root - 7) / 23, 2 * np.eye(23) - (2 + 3 * root) / 23])


def _equiangular_176() -> Rows:
    """Of the octads through one point and not another, the other points, shifted so that |cos| = 1/5."""
    blocks = lattices.octads()
    return blocks[(blocks[:, 0] == 1) & (blocks[:, 1] == 0)][:, 2:] + (np.sqrt(5) - 7) / 22


def _equiangular_36() -> Rows:
    """The Latin square graph of addition modulo 6: cells that share a row, a column or a symbol have cosine 1/5."""
    row, column = np.divmod(np.arange(36), 6)
    near = [np.equal.outer(x, x) for x in (row, column, (row + column) % 6)]
    sign = np.where(np.any(near, axis=0), 1, -1)
    return _of_gram(np.where(np.eye(36) > 0, 1, sign / 5), 15)


def _mclaughlin() -> Rows:
    return derived(_both_rays(_equiangular_276()), 1 / 5)


def _higman_sims() -> Rows:
    """A point, 22 points and the 77 blocks of S(3, 6, 22); adjacent: the first to points, incident, disjoint blocks."""
    blocks = lattices.octads()
    blocks = blocks[(blocks[:, 0] == 1) & (blocks[:, 1] == 1)][:, 2:]
    near = np.zeros((100, 100))
    near[0, 1:23] = near[1:23, 0] = 1
    near[23:, 1:23], near[1:23, 23:] = blocks, blocks.T
    near[23:, 23:] = blocks @ blocks.T == 0
    return _of_gram(np.where(np.eye(100) > 0, 1, np.where(near > 0, -4, 1) / 11), 22)


def _leech_neighbours() -> Rows:
    return derived(code("Leech lattice").vectors, 1 / 2)


def _unbiased_bases() -> Rows:
    """16 axes and the Nordstrom-Robinson code: nine bases of R^16, |cos| = 1/4 between them."""
    return np.concatenate([4 * _both_rays(np.eye(16)), 1 - 2 * lattices.nordstrom_robinson_code()])


# --------------------------------------------------------------------------------------------------------------- tables

_FIXED = (
    Code("icosahedron", 12, 3, icosahedron().vectors.copy),
    Code("cube and octahedron", 14, 3, _stacked(_CUBE, _AXES)),
    Code("dodecahedron", 20, 3, dodecahedron().vectors.copy),
    Code("snub cube", 24, 3, lambda: archimedean("snub cube")),
    Code("cube, octahedron and cuboctahedron", 26, 3, _stacked(_CUBE, _AXES, _EDGES)),
    Code("H3 roots", 30, 3, _h3_roots),
    Code("icosahedron and dodecahedron", 32, 3, _stacked(_ICOSAHEDRON, _TEN)),
    Code("icosahedron and H3 roots", 42, 3, _stacked(_ICOSAHEDRON, _FIFTEEN)),
    Code("icosahedron, dodecahedron and H3 roots", 62, 3, _stacked(_ICOSAHEDRON, _TEN, _FIFTEEN)),
    Code("rectified 4-simplex", 10, 4, lambda: derived(_hemicube(), 1 / 5)),
    Code("24-cell", 24, 4, lambda: lattices.d_roots(4)),
    Code("F4 roots", 48, 4, _f4_roots),
    Code("600-cell", 120, 4, lattices.hexacosichoron),
    Code("5-dimensional hemicube", 16, 5, _hemicube),
    Code("10 equiangular lines", 20, 5, lambda: _both_rays(equiangular_lines(10).vectors)),
    Code("Schläfli configuration", 27, 6, _schlaefli),
    Code("16 equiangular lines", 32, 6, lambda: _both_rays(equiangular_lines(16).vectors)),
    Code("E6 roots", 72, 6, _roots_beside(2, 6)),
    Code("28 equiangular lines", 56, 7, lambda: _both_rays(equiangular_lines(28).vectors)),
    Code("E7 roots", 126, 7, _roots_beside(1, 7)),
    Code("E8 roots", 240, 8, lattices.e8_roots),
    Code("36 equiangular lines", 72, 15, lambda: _both_rays(_equiangular_36())),
    Code("9 unbiased bases", 288, 16, _unbiased_bases),
    Code("Barnes-Wall lattice", 4320, 16, lattices.barnes_wall_vectors),
    Code("isotropic points of GF(3)^6", 112, 21, lambda: derived(_mclaughlin(), -1 / 4)),
    Code("McLaughlin neighbours", 162, 21, lambda: derived(_mclaughlin(), 1 / 6)),
    Code("Higman-Sims graph", 100, 22, _higman_sims),
    Code("McLaughlin graph", 275, 22, _mclaughlin),
    Code("176 equiangular lines", 352, 22, lambda: _both_rays(_equiangular_176())),
    Code("891 neighbours in the Leech lattice", 891, 22, lambda: derived(code("Leech neighbours").vectors, 1 / 3)),
    Code("276 equiangular lines", 552, 23, lambda: _both_rays(_equiangular_276())),
    Code("Leech neighbours", 4600, 23, _leech_neighbours),
    Code("Leech lattice", 196560, 24, lattices.leech_vectors),
)


@functools.cache
def codes(dim: int) -> tuple[Code, ...]:
    """The catalogue up to so many dimensions, the smaller first, then the root systems A_n, B_n and D_n."""
    fixed = [known for known in _FIXED if known.dim <= dim]
    return (*fixed, *(known for n in range(3, min(dim, LARGEST_ROOTS) + 1) for known in _root_systems(n)))


@functools.cache
def _root_systems(n: int) -> tuple[Code, ...]:
    """A_n: e_i - e_j in n + 1 coordinates; D_n; B_n, D_n and the axes. A_3 is D_3, and D_4 the 24-cell."""

    def a_roots() -> Rows:
        pairs = itertools.permutations(range(n + 1), 2)
        return _own_coordinates(np.array([np.eye(n + 1)[i] - np.eye(n + 1)[j] for i, j in pairs]), n)

    def b_roots() -> Rows:
        return _stacked(lattices.d_roots(n), np.eye(n), -np.eye(n))()

    a, b = Code(f"A{n} roots", n * (n + 1), n, a_roots), Code(f"B{n} roots", 2 * n * n, n, b_roots)
    d = Code(f"D{n} roots", 2 * n * (n - 1), n, lambda: lattices.d_roots(n))
    return (*((a,) if n > 3 else ()), *((d,) if n != 4 else ()), b)
