"""Unit-vector configurations that feature directions settle into.

The catalogue holds irreducible configurations: what falls into orthogonal parts (square, octahedron, bipyramids) is a
tegum product, taken apart and named by `toymodels.analysis.geometry.tegum_factors`.

>>> simplex(2).name
'triangle'
>>> [each.name for each in catalog(5, 2)]
['pentagon']
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.linalg import helmert

from toymodels.arrays import Float
from toymodels.shapes.archimedean import ARCHIMEDEAN, archimedean

LARGEST_POLYGON = 24
POLYGON_NAMES = {
    3: "triangle", 4: "square", 5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon", 9: "nonagon", 10: "decagon"
}  # fmt: skip
SIMPLEX_NAMES = {0: "point", 1: "digon", 2: "triangle", 3: "tetrahedron"}
ADJECTIVES = {3: "triangular", 4: "square", 5: "pentagonal", 6: "hexagonal", 7: "heptagonal", 8: "octagonal"}


class Polytope(NamedTuple):
    """Unit vectors with a name; where `free_height`, the last coordinate is ±height and a match chooses the height."""

    name: str
    vectors: Float[np.ndarray, "size rank"]
    free_height: bool = False


def simplex(rank: int) -> Polytope:
    """rank + 1 vectors with cos_ij = -1/rank: digon, triangle, tetrahedron, ...; rank 0 gives the point, one vector."""
    name = SIMPLEX_NAMES.get(rank, f"{rank}-simplex")
    if rank == 0:
        return Polytope(name, np.ones((1, 1)))
    return Polytope(name, np.sqrt((rank + 1) / rank) * helmert(rank + 1).T)


def polygon(k: int) -> Polytope:
    """k vectors in the plane at angles 2 pi i / k."""
    return Polytope(POLYGON_NAMES.get(k, f"{k}-gon"), _ring(k))


def lines_in_plane(k: int) -> Polytope:
    """k lines in the plane at angles pi i / k: half of the 2k-gon; for odd k the k-gon up to signs."""
    return Polytope(f"halved {polygon(2 * k).name}", _ring(2 * k)[:k])


def prism(k: int) -> Polytope:
    """Two aligned k-gons at heights ±h on the sphere, h free; k = 4 at h^2 = 1/3 is the cube."""
    ring = _ring(k)
    return Polytope(f"{ADJECTIVES.get(k, f'{k}-gonal')} prism", _stack(ring, ring), True)


def antiprism(k: int) -> Polytope:
    """Two k-gons at heights ±h on the sphere, turned by pi/k, h free: tight at h^2 = 1/3, D = 3/(2k)."""
    return Polytope(f"{ADJECTIVES.get(k, f'{k}-gonal')} antiprism", _stack(_ring(k), _ring(k, np.pi / k)), True)


def cube() -> Polytope:
    """8 vectors (±1, ±1, ±1)/sqrt(3)."""
    return Polytope("cube", unit_rows(np.array(list(itertools.product((1.0, -1.0), repeat=3)))))


def icosahedron() -> Polytope:
    """12 vectors (0, ±1, ±golden) and its cyclic shifts; its 6 lines are equiangular, |cos| = 1/sqrt(5)."""
    golden = (1 + np.sqrt(5)) / 2
    corners = np.array([(0, a, b * golden) for a, b in itertools.product((1, -1), repeat=2)])
    return Polytope("icosahedron", unit_rows(np.concatenate([np.roll(corners, shift, axis=1) for shift in range(3)])))


def dodecahedron() -> Polytope:
    """20 vectors: the cube and the cyclic shifts of (0, ±1/golden, ±golden)."""
    golden = (1 + np.sqrt(5)) / 2
    corners = np.array([(0, a / golden, b * golden) for a, b in itertools.product((1, -1), repeat=2)])
    shifts = np.concatenate([np.roll(corners, shift, axis=1) for shift in range(3)])
    return Polytope("dodecahedron", unit_rows(np.concatenate([np.sqrt(3) * cube().vectors, shifts])))


def cuboctahedron() -> Polytope:
    """12 vectors: the permutations of (±1, ±1, 0), the roots of D3."""
    return Polytope("cuboctahedron", _roots(3))


def twenty_four_cell() -> Polytope:
    """24 vectors in R^4: the permutations of (±1, ±1, 0, 0), the roots of D4; |cos| in {0, 1/2, 1}."""
    return Polytope("24-cell", _roots(4))


def equiangular_lines(count: int) -> Polytope:
    """10 lines in 5, 16 in 6 or 28 in 7 dimensions with |cos| = 1/3. van Lint & Seidel 1966.

    Three + and three -; an even number of - in five; permutations of (3, 3, -1, -1, -1, -1, -1, -1).
    """
    if count == 10:
        halves = [up for up in itertools.combinations(range(6), 3) if 0 in up]
        vectors = np.array([[1 if i in up else -1 for i in range(6)] for up in halves]) @ helmert(6).T
    elif count == 16:
        even = [bits for bits in range(32) if bits.bit_count() % 2 == 0]
        vectors = np.array([[*(1 - 2 * (bits >> i & 1) for i in range(5)), 1] for bits in even])
    elif count == 28:
        pairs = itertools.combinations(range(8), 2)
        vectors = np.array([[3 if i in pair else -1 for i in range(8)] for pair in pairs]) @ helmert(8).T
    else:
        raise ValueError(f"count={count}: sets of 10, 16 and 28 equiangular lines are known here")
    return Polytope(f"{count} equiangular lines", unit_rows(vectors))


def halved(polytope: Polytope) -> Polytope:
    """One vector of each antipodal pair: the lines of a configuration that is symmetric under -1."""
    gram = polytope.vectors @ polytope.vectors.T
    keep = [i for i in range(len(gram)) if not np.any(gram[i, :i] < -1 + 1e-9)]
    return Polytope(f"halved {polytope.name}", polytope.vectors[keep], polytope.free_height)


def catalog(size: int, rank: int, even: bool = False) -> list[Polytope]:
    """The irreducible configurations of `size` vectors spanning `rank` dimensions; with `even`, also sets of lines.

    Prisms are not halved: the lines of a 2k-gonal one are those of a k-gonal prism (k odd) or antiprism (k even).
    Simplices in any dimension, polygons up to 24 vectors, and in R^3 and R^4 the antiprisms and prisms at free height,
    cube, icosahedron, dodecahedron, 24-cell and the Archimedean solids.
    """
    if size < 1 or rank < 1:
        raise ValueError(f"size={size}, rank={rank}: a configuration has at least one vector and one dimension")
    found = []
    if size == 1 and rank == 1:
        found.append(simplex(0))
    elif size == rank + 1:
        found.append(simplex(rank))
    elif rank == 2 and 4 < size <= LARGEST_POLYGON:
        found.append(polygon(size))
    elif rank in (3, 4):
        found += [p for p in _solids() if p.vectors.shape == (size, rank)]
        found += [
            Polytope(name, archimedean(name)) for name, count in ARCHIMEDEAN.items() if (count, 3) == (size, rank)
        ]
    if even and rank == 2 and size % 2 == 0 and 2 < size <= LARGEST_POLYGON:
        found.append(lines_in_plane(size))
    if even and rank in (3, 4):
        found += [p for p in map(halved, _antipodal_solids()) if p.vectors.shape == (size, rank)]
    return found


def _antipodal_solids() -> list[Polytope]:
    return [icosahedron(), cuboctahedron(), dodecahedron(), twenty_four_cell(), antiprism(5), antiprism(7)]


def _solids() -> list[Polytope]:
    return [*_antipodal_solids(), cube(), *map(prism, (3, 5, 6, 7, 8)), *map(antiprism, (3, 4, 6, 8))]


def unit_rows(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _ring(k, turn=0.0):
    angles = 2 * np.pi * np.arange(k) / k + turn
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _stack(upper, lower, squared_height=1 / 3):
    rings = np.sqrt(1 - squared_height) * np.concatenate([upper, lower])
    heights = np.sqrt(squared_height) * np.repeat([1.0, -1.0], [len(upper), len(lower)])
    return np.column_stack([rings, heights])


def _roots(rank):
    pairs = itertools.combinations(range(rank), 2)
    signs = itertools.product((1.0, -1.0), repeat=2)
    rows = [
        [a * (k == i) + b * (k == j) for k in range(rank)] for (i, j), (a, b) in itertools.product(pairs, list(signs))
    ]
    return unit_rows(np.array(rows))
