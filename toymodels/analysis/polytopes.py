"""Unit-vector configurations that feature directions settle into, and the match of a set of vectors to one of them.

A configuration is known by its Gram matrix, so a match is up to rotation and reflection, length of each vector and
order; with `even` also up to the sign of each vector, which is all that an even loss can see of it.
The catalogue holds irreducible configurations: what falls into orthogonal parts (square, octahedron, bipyramids) is a
tegum product, taken apart and named by `toymodels.analysis.geometry.tegum_factors`.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import linear_sum_assignment
from scipy.stats import binom

from toymodels.arrays import Array, Float, Int

LARGEST_POLYGON = 24
GOOD_ENOUGH = 0.1  # the search stops at a residual below this fraction of the least difference between two cosines
STARTS = 48  # correspondences of a basis that are followed up, the most promising first
HEIGHTS = (1 / 3, 0.15, 0.6)  # squared heights from which a free height is fitted; 1/3 makes the frame tight in R^3

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


class Match(NamedTuple):
    """Vector i lies along `signs[i] * polytope.vectors[order[i]]`, rotated; `residual` is the rms error of the cosines.

    residual: sqrt(mean over i != j of (cos_ij - cos_ij of the polytope)^2), 0 for one vector; `polytope` carries the
    fitted height.
    """

    residual: float
    order: Int[np.ndarray, " size"]
    signs: Int[np.ndarray, " size"]
    polytope: Polytope


# ---------------------------------------------------------------------------------------------------- configurations


def simplex(rank: int) -> Polytope:
    """rank + 1 vectors with cos_ij = -1/rank: digon, triangle, tetrahedron, ...; rank 0 gives the point, one vector."""
    name = SIMPLEX_NAMES.get(rank, f"{rank}-simplex")
    if rank == 0:
        return Polytope(name, np.ones((1, 1)))
    centred = np.eye(rank + 1) - 1 / (rank + 1)
    left, scales, _ = np.linalg.svd(centred)
    return Polytope(name, _unit(left[:, :rank] * scales[:rank]))


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
    return Polytope("cube", _unit(np.array(list(itertools.product((1.0, -1.0), repeat=3)))))


def icosahedron() -> Polytope:
    """12 vectors (0, ±1, ±golden) and its cyclic shifts; its 6 lines are equiangular, |cos| = 1/sqrt(5)."""
    golden = (1 + np.sqrt(5)) / 2
    corners = np.array([(0, a, b * golden) for a, b in itertools.product((1, -1), repeat=2)])
    return Polytope("icosahedron", _unit(np.concatenate([np.roll(corners, shift, axis=1) for shift in range(3)])))


def dodecahedron() -> Polytope:
    """20 vectors: the cube and the cyclic shifts of (0, ±1/golden, ±golden)."""
    golden = (1 + np.sqrt(5)) / 2
    corners = np.array([(0, a / golden, b * golden) for a, b in itertools.product((1, -1), repeat=2)])
    shifts = np.concatenate([np.roll(corners, shift, axis=1) for shift in range(3)])
    return Polytope("dodecahedron", _unit(np.concatenate([np.sqrt(3) * cube().vectors, shifts])))


def cuboctahedron() -> Polytope:
    """12 vectors: the permutations of (±1, ±1, 0), the roots of D3."""
    return Polytope("cuboctahedron", _roots(3))


def twenty_four_cell() -> Polytope:
    """24 vectors in R^4: the permutations of (±1, ±1, 0, 0), the roots of D4; |cos| in {0, 1/2, 1}."""
    return Polytope("24-cell", _roots(4))


def halved(polytope: Polytope) -> Polytope:
    """One vector of each antipodal pair: the lines of a configuration that is symmetric under -1."""
    gram = polytope.vectors @ polytope.vectors.T
    keep = [i for i in range(len(gram)) if not np.any(gram[i, :i] < -1 + 1e-9)]
    return Polytope(f"halved {polytope.name}", polytope.vectors[keep], polytope.free_height)


def catalog(size: int, rank: int, even: bool = False) -> list[Polytope]:
    """The irreducible configurations of `size` vectors spanning `rank` dimensions; with `even`, also sets of lines.

    Prisms are not halved: the lines of a 2k-gonal one are those of a k-gonal prism (k odd) or antiprism (k even).
    Simplices in any dimension, polygons up to 24 vectors, and in R^3 and R^4 the antiprisms and prisms at free height,
    cube, icosahedron, cuboctahedron, dodecahedron and 24-cell.
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
    if even and rank == 2 and size % 2 == 0 and 2 < size <= LARGEST_POLYGON:
        found.append(lines_in_plane(size))
    if even and rank in (3, 4):
        found += [p for p in map(halved, _antipodal_solids()) if p.vectors.shape == (size, rank)]
    return found


def _antipodal_solids() -> list[Polytope]:
    return [icosahedron(), cuboctahedron(), dodecahedron(), twenty_four_cell(), antiprism(5), antiprism(7)]


def _solids() -> list[Polytope]:
    return [*_antipodal_solids(), cube(), *map(prism, (3, 5, 6, 7, 8)), *map(antiprism, (3, 4, 6, 8))]


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _ring(k, turn=0.0):
    angles = 2 * np.pi * np.arange(k) / k + turn
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _stack(upper, lower, squared_height=HEIGHTS[0]):
    rings = np.sqrt(1 - squared_height) * np.concatenate([upper, lower])
    heights = np.sqrt(squared_height) * np.repeat([1.0, -1.0], [len(upper), len(lower)])
    return np.column_stack([rings, heights])


def _roots(rank):
    pairs = itertools.combinations(range(rank), 2)
    signs = itertools.product((1.0, -1.0), repeat=2)
    rows = [
        [a * (k == i) + b * (k == j) for k in range(rank)] for (i, j), (a, b) in itertools.product(pairs, list(signs))
    ]
    return _unit(np.array(rows))


# ------------------------------------------------------------------------------------------------------------- match


def best_match(vectors: Float[Array, "size hidden"] | ArrayLike, rank: int, even: bool = False) -> Match | None:
    """The match with the smallest residual in the catalogue; None where it has nothing of this size and rank."""
    vectors = np.asarray(vectors, np.float64)
    polytopes = catalog(len(vectors), rank, even)
    bounds = [_least_residual(vectors, polytope, even) for polytope in polytopes]
    best = None
    for k in np.argsort(bounds, kind="stable"):
        if best is None or bounds[k] < best.residual:
            found = match(vectors, polytopes[k], even)
            best = found if best is None or found.residual < best.residual else best
    return best


def _least_residual(vectors, polytope, even):
    """A lower bound over all orders and signs: the rms difference of the sorted cosines; 0 where the height is free."""
    size = len(vectors)
    if size == 1 or polytope.free_height:
        return 0.0
    units = _unit(vectors / np.abs(vectors).max(axis=1, keepdims=True))
    pairs = np.triu_indices(size, 1)
    ours, theirs = (units @ units.T)[pairs], (polytope.vectors @ polytope.vectors.T)[pairs]
    ours, theirs = (np.abs(ours), np.abs(theirs)) if even else (ours, theirs)
    return float(np.sqrt(np.mean((np.sort(ours) - np.sort(theirs)) ** 2)))


def match(vectors: Float[Array, "size hidden"] | ArrayLike, polytope: Polytope, even: bool = False) -> Match:
    """The correspondence with the smallest rms |cos_ij - cos_ij of the polytope| found, over orders (if even, signs).

    A polytope whose cosines are all equal needs no search: only the signs, given by the one linear relation among its
    vectors. Elsewhere each choice of images for a basis fixes a rotation; the best of them are refined by alternating
    assignment and rotation (Procrustes). The first vector's image is fixed, because the symmetries of every
    configuration of the catalogue take any of its vectors to any other. Lengths are ignored. Search covers rank <= 4.
    Raises ValueError where sizes differ, a vector is zero, or the vectors span fewer dimensions than they should have.
    """
    vectors = np.asarray(vectors, np.float64)
    size, rank = polytope.vectors.shape
    if vectors.ndim != 2 or len(vectors) != size or vectors.shape[1] < rank:
        raise ValueError(f"vectors of shape {vectors.shape}: {polytope.name} has {size} vectors in {rank} dimensions")
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    if not np.all(np.isfinite(largest)) or not np.all(largest > 0):
        raise ValueError("vectors: a direction is finite and not zero")
    units = _unit(vectors / largest)
    template = polytope.vectors @ polytope.vectors.T
    off_diagonal = template[~np.eye(size, dtype=bool)]
    if size == 1 or np.ptp(off_diagonal) < 1e-9:
        return _match_equiangular(units, polytope, even)
    return _match_by_search(units, polytope, even)


def _match_equiangular(units, polytope, even):
    cosines = units @ units.T
    signs = np.ones(len(units), int)
    if even and len(units) > 1:  # the vectors of a simplex sum to zero, so the signs are those of the null vector
        null = np.linalg.eigh(cosines)[1][:, 0]
        signs = np.where(null < 0, -1, 1)
    order = np.arange(len(units))
    return Match(_residual(cosines, polytope.vectors, order, signs), order, signs, polytope)


def _match_by_search(units, polytope, even):
    rank = polytope.vectors.shape[1]
    if rank > 4:
        raise ValueError(f"{polytope.name}: the search for a correspondence covers at most 4 dimensions, not {rank}")
    cosines = units @ units.T
    left, scales, _ = np.linalg.svd(units, full_matrices=False)
    points = left[:, :rank] * scales[:rank]
    begin = [_at_height(polytope, height) for height in HEIGHTS] if polytope.free_height else [polytope]
    best = None
    for start in begin:
        for rotation in _rotations(points, cosines, start.vectors, even, STARTS // len(begin)):
            found = _refine(points, cosines, start, rotation, even)
            if best is None or found.residual < best.residual:
                best = found
            if best.residual < GOOD_ENOUGH * _least_step(best.polytope):
                return best
    return best


def _least_step(polytope):
    """Least difference between two of the cosines: exchanging two vectors costs a good part of it, or nothing."""
    cosines = np.unique(np.round(polytope.vectors @ polytope.vectors.T, 9))
    return float(np.diff(cosines).min())


def _rotations(points, cosines, template, even, starts) -> Iterator[np.ndarray]:
    """Orthogonal maps of a template basis to tuples of points, the first to points[0], by mismatch of cosines."""
    basis = _basis(template)
    wanted = template[basis] @ template[basis].T
    pool = np.concatenate([points, -points]) if even else points
    cosines = np.block([[cosines, -cosines], [-cosines, cosines]]) if even else cosines
    axes = len(basis) - 1
    mismatch = np.zeros((len(pool),) * axes)
    for a in range(axes):
        mismatch += ((cosines[0] - wanted[0, a + 1]) ** 2).reshape([-1 if k == a else 1 for k in range(axes)])
        for b in range(a + 1, axes):
            shape = [len(pool) if k in (a, b) else 1 for k in range(axes)]
            mismatch += ((cosines - wanted[a + 1, b + 1]) ** 2).reshape(shape)
    for flat in np.argsort(mismatch, axis=None, kind="stable")[:starts]:
        chosen = [0, *np.unravel_index(flat, mismatch.shape)]
        yield orthogonal_procrustes(template[basis], pool[chosen])[0]


def _basis(template):
    """Indices of linearly independent template vectors, the first first, each the farthest from the span so far."""
    basis, rest = [0], template.copy()
    while len(basis) < template.shape[1]:
        direction = rest[basis[-1]] / np.linalg.norm(rest[basis[-1]])
        rest = rest - np.outer(rest @ direction, direction)
        basis.append(int(np.argmax(np.round(np.linalg.norm(rest, axis=1), 9))))
    return basis


def _refine(points, cosines, polytope, rotation, even, rounds=20):
    """Alternate assignment, rotation and (where it is free) height until none of them changes."""
    previous = None
    for _ in range(rounds):
        overlap = points @ (polytope.vectors @ rotation).T
        rows, order = linear_sum_assignment(-np.abs(overlap) if even else -overlap)
        signs = np.where(overlap[rows, order] < 0, -1, 1) if even else np.ones(len(points), int)
        if polytope.free_height:
            polytope = _at_height(polytope, _best_squared_height(cosines, polytope.vectors, order, signs))
        state = (tuple(order), tuple(signs))
        if state == previous:
            break
        previous = state
        rotation = orthogonal_procrustes(signs[:, None] * polytope.vectors[order], points)[0]
    return Match(_residual(cosines, polytope.vectors, order, signs), order, signs, polytope)


def _residual(cosines, template, order, signs):
    size = len(order)
    if size == 1:
        return 0.0
    image = signs[:, None] * template[order]
    difference = (cosines - image @ image.T)[~np.eye(size, dtype=bool)]
    return float(np.sqrt(np.mean(difference**2)))


def _best_squared_height(cosines, template, order, signs):
    """Least squares: the Gram matrix (1 - t) flat + t tall of a stack of rings is linear in t = height^2."""
    image = signs[:, None] * template[order]
    ring = _unit(image[:, :-1])
    flat, tall = ring @ ring.T, np.outer(np.sign(image[:, -1]), np.sign(image[:, -1]))
    return float(np.clip(np.sum((cosines - flat) * (tall - flat)) / np.sum((tall - flat) ** 2), 0.01, 0.99))


def _at_height(polytope, squared_height):
    ring, sides = _unit(polytope.vectors[:, :-1]), np.sign(polytope.vectors[:, -1])
    vectors = np.column_stack([np.sqrt(1 - squared_height) * ring, np.sqrt(squared_height) * sides])
    return polytope._replace(vectors=vectors)


# ---------------------------------------------------------------------------------------------------- lines in D_i


class LocalExcess(NamedTuple):
    """Per line: features in the window around it, features expected there, and the chance of at least as many."""

    names: list[str]
    lines: Float[np.ndarray, " lines"]
    observed: Int[np.ndarray, " lines"]
    expected: Float[np.ndarray, " lines"]
    p_value: Float[np.ndarray, " lines"]


def polytope_lines() -> dict[str, float]:
    """D = rank/size of the uniform configurations drawn as guide lines in Elhage et al. 2022, by name."""
    return {
        "point": 1.0,
        "tetrahedron": 3 / 4,
        "triangle": 2 / 3,
        "digon": 1 / 2,
        "pentagon": 2 / 5,
        "square antiprism": 3 / 8,
    }


def local_excess(
    D: Float[Array, " features"] | ArrayLike,
    lines: Mapping[str, float | int] | None = None,
    width: float | int = 0.01,
    null_width: float | int = 0.05,
) -> LocalExcess:
    """P(count >= observed), count ~ Binomial(window + flanks, |window| / (|window| + |flanks|)), one line at a time.

    The window is [line - width, line + width]; the flanks reach out to null_width on both sides, without the windows of
    the other lines, and all of it is cut to [0, 1]. The null says that features fall independently with a density that
    is constant across window and flanks; given how many fall into either, the count in the window is then binomial,
    with no density left to estimate. A linear slope cancels where both flanks are whole, not at D = 1 and not beside
    another line. Independence is the weak point: the members of a learned triangle have equal D by construction, so
    with one value a feature a p-value is too small, about as if the factor's size multiplied the evidence; pass one
    value a factor for an honest one.
    `expected` is the flank count scaled to the window; without flanks it is NaN and the p-value 1.
    Values of any shape; NaN are left out. Raises ValueError unless 0 < width < null_width and all D are in [0, 1].
    """
    if not 0 < width < null_width:
        raise ValueError(f"width={width}, null_width={null_width}: windows need 0 < width < null_width")
    lines = polytope_lines() if lines is None else lines
    if not all(0 <= line <= 1 for line in lines.values()):
        raise ValueError(f"lines={lines}: a dimensionality lies in [0, 1]")
    values = np.asarray(D, np.float64).ravel()
    values = values[~np.isnan(values)]
    rounding = 1e-6  # single precision can land just outside
    if np.any(values < -rounding) or np.any(values > 1 + rounding):
        raise ValueError("D: a dimensionality lies in [0, 1]")
    values = np.clip(values, 0, 1)
    columns = [_count_around(values, line, list(lines.values()), width, null_width) for line in lines.values()]
    count, flank, window_length, flank_length = np.array(columns, float).reshape(-1, 4).T
    known = flank_length > 0
    ratio = np.divide(window_length, flank_length, out=np.full_like(count, np.nan), where=known)
    share = window_length / (window_length + flank_length)
    p_value = np.where(known, binom.sf(count - 1, count + flank, share), 1.0)
    return LocalExcess(list(lines), np.array(list(lines.values()), float), count.astype(int), ratio * flank, p_value)


def _count_around(values, line, lines, width, null_width):
    """(values in the window, values in the flanks, length of the window, length of the flanks)."""
    low, high = max(0.0, line - width), min(1.0, line + width)
    edges = np.unique(
        np.clip([line - null_width, line + null_width, *(l + s * width for l in lines for s in (-1, 1))], 0, 1)
    )
    edges = edges[(edges >= line - null_width) & (edges <= line + null_width)]
    count, flank, flank_length = int(np.sum((values >= low) & (values <= high))), 0, 0.0
    for left, right in itertools.pairwise(edges):
        middle = (left + right) / 2
        if all(abs(middle - other) > width for other in lines):
            flank += int(np.sum((values >= left) & (values <= right) & ((values < low) | (values > high))))
            flank_length += right - left
    return count, flank, high - low, flank_length
