"""Orthogonal pairs of vectors of which no two are parallel: tegum products of axes and planes, and a search for better.

With parallel vectors allowed, copies of an orthonormal basis have the most pairs (Turán 1941, see `orthogonal_pairs`).
Without, the orthogonality graph of n lines has about n^(4/3) pairs at best in three dimensions (Erdős, Hickerson & Pach
1989), and n^2 (1 - 1 / floor(d/2)) to leading order in more (Erdős & Stone 1946).
"""

import itertools
import math

import numpy as np

from toymodels.arrays import Array, Bool, Int
from toymodels.shapes.arguments import Count, count


def plane_pairs(m: Count) -> int:
    """2 floor(m / 2): the most ordered orthogonal pairs of m lines in a plane, where each has one partner at most."""
    (m,) = count(m=m, least=0)
    return 2 * (m // 2)


def axes_and_planes(n: Count, d: Count) -> tuple[int, tuple[int, ...]]:
    """The most ordered orthogonal pairs of n lines in a tegum product of axes and planes, and the lines of its factors.

    max over n_1 + n_2 + ... = n of n^2 - sum_f n_f^2 + sum_f plane_pairs(n_f), factors of one line (an axis) or in a
    plane, at most d dimensions. In one dimension there is one line; ValueError for more.
    """
    n, d = count(n=n, d=d)
    if d == 1 and n > 1:
        raise ValueError(f"n={n}: one dimension holds a single line")
    best: tuple[int, tuple[int, ...]] = (-1, ())
    for planes in range(d // 2 + 1):
        axes = min(d - 2 * planes, n)
        left = n - axes
        if not planes and left:
            continue
        more, rest = divmod(left, planes) if planes else (0, 0)
        shared = [more + 1] * rest + [more] * (planes - rest)
        for factors in _evenly(shared, axes):
            pairs = n * n - sum(f * f for f in factors) + sum(plane_pairs(f) for f in factors)
            best = max(best, (pairs, factors))
    return best


def _evenly(planes: list[int], axes: int) -> list[tuple[int, ...]]:
    """Lines a factor: as equal as possible, or with one line moved between two planes, which may complete a partner."""
    found = [tuple(planes) + (1,) * axes]
    for give, take in itertools.permutations(range(len(planes)), 2):
        moved = list(planes)
        moved[give], moved[take] = moved[give] - 1, moved[take] + 1
        if moved[give] >= 0:
            found.append(tuple(moved) + (1,) * axes)
    return found


def integer_rays(d: Count, most: Count) -> Int[np.ndarray, "rays d"]:
    """All lines through whole numbers of size up to `most`: primitive, the first entry that is not zero positive."""
    d, most = count(d=d, most=most)
    rows = np.array(list(itertools.product(range(-most, most + 1), repeat=d)))
    rows = rows[(rows != 0).any(1)]
    first = rows[np.arange(len(rows)), (rows != 0).argmax(1)]
    primitive = np.array([math.gcd(*map(int, row)) == 1 for row in rows])
    return rows[(first > 0) & primitive]


def orthogonality(rays: Int[Array, "rays d"]) -> Bool[np.ndarray, "rays rays"]:
    """Which pairs of whole-numbered vectors are orthogonal, exactly."""
    return np.asarray(rays @ rays.T == 0)


def most_pairs_found(
    n: Count, graph: Bool[Array, "rays rays"], starts: Count = 100, seed: int = 0
) -> tuple[int, Int[np.ndarray, " n"]]:
    """The most ordered orthogonal pairs of any n vertices that a search finds, and the vertices.

    Local search by the best exchange of one vertex, ties at random, from random starts: each goes on through exchanges
    that change nothing, up to 4 n in a row. A bound from below.
    """
    (n, starts), A = count(n=n, starts=starts), np.asarray(graph, np.int16)
    if n > len(A):
        raise ValueError(f"n={n}: there are {len(A)} vectors to choose from")
    rng = np.random.default_rng(seed)
    best, where = -1, np.arange(n)
    for _ in range(starts):
        chosen = np.zeros(len(A), bool)
        chosen[rng.choice(len(A), n, replace=False)] = True
        pairs, inside = _climb(A, chosen, rng, 4 * n)
        if pairs > best:
            best, where = pairs, np.flatnonzero(inside)
    return best, where


def _climb(
    A: Int[np.ndarray, "rays rays"], chosen: Bool[np.ndarray, " rays"], rng: np.random.Generator, patience: int
) -> tuple[int, Bool[np.ndarray, " rays"]]:
    degree, level = A[:, chosen].sum(1), 0
    while level < patience:
        inside, outside = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        if not outside.size:
            break
        gain = degree[outside] - degree[inside][:, None] - A[np.ix_(inside, outside)]
        top = gain.max()
        if top < 0:
            break
        level = 0 if top > 0 else level + 1
        i, j = np.argwhere(gain == top)[rng.integers((gain == top).sum())]
        chosen[inside[i]], chosen[outside[j]] = False, True
        degree += A[:, outside[j]] - A[:, inside[i]]
    return int(degree[chosen].sum()), chosen
