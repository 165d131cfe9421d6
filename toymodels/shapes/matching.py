"""The match of a set of vectors to a configuration of the catalogue.

A configuration is known by its Gram matrix, so a match is up to rotation and reflection, length of each vector and
order; with `even` also up to the sign of each vector, which is all that an even loss can see of it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import linear_sum_assignment

from toymodels.arrays import Array, Float, Int
from toymodels.shapes.polytopes import Polytope, catalog, unit_rows

GOOD_ENOUGH = 0.1  # the search stops at a residual below this fraction of the least difference between two cosines
STARTS = 48  # correspondences of a basis that are followed up, the most promising first
HEIGHTS = (1 / 3, 0.15, 0.6)  # squared heights from which a free height is fitted; 1/3 makes the frame tight in R^3


class Match(NamedTuple):
    """Vector i lies along `signs[i] * polytope.vectors[order[i]]`, rotated; `residual` is the rms error of the cosines.

    residual: sqrt(mean over i != j of (cos_ij - cos_ij of the polytope)^2), 0 for one vector; `polytope` carries the
    fitted height.
    """

    residual: float
    order: Int[np.ndarray, " size"]
    signs: Int[np.ndarray, " size"]
    polytope: Polytope


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
    units = unit_rows(vectors / np.abs(vectors).max(axis=1, keepdims=True))
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
    units = unit_rows(vectors / largest)
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
    ring = unit_rows(image[:, :-1])
    flat, tall = ring @ ring.T, np.outer(np.sign(image[:, -1]), np.sign(image[:, -1]))
    return float(np.clip(np.sum((cosines - flat) * (tall - flat)) / np.sum((tall - flat) ** 2), 0.01, 0.99))


def _at_height(polytope, squared_height):
    ring, sides = unit_rows(polytope.vectors[:, :-1]), np.sign(polytope.vectors[:, -1])
    vectors = np.column_stack([np.sqrt(1 - squared_height) * ring, np.sqrt(squared_height) * sides])
    return polytope._replace(vectors=vectors)
