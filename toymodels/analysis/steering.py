"""Directions that change a map most downstream: singular vectors, gradient iteration, how multiple what they find is.

f(x) = sum_i s(v_i . x) u_i reads along the rows of `reads` and writes along those of `writes` (at lengths, where gains
differ); s(0) = 0. A direction is a unit vector v, its change f(R v) at radius R. Singular vectors see the limit R -> 0.
Directions are rays, one a row, in float64.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from toymodels.analysis.recovery import cosines, unit
from toymodels.arrays import Array, Float

Rows = Float[Array, "count d"]
Written = Float[Array, "count d_out"]


class Response(NamedTuple):
    """What a unit does with what it reads, s, and the slope of that."""

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]


EXPONENTIAL = Response(np.expm1, np.exp)
LINEAR = Response(lambda t: t, np.ones_like)


def rectified(threshold: float) -> Response:
    """s(t) = max(t - threshold, 0), threshold >= 0: no gradient where it is not reached."""
    return Response(lambda t: np.maximum(t - threshold, 0), lambda t: (t > threshold).astype(np.float64))


class ReadWrite(NamedTuple):
    """A map with one hidden layer."""

    reads: Float[np.ndarray, "n d"]
    writes: Float[np.ndarray, "n d_out"]
    response: Response


def changes(map: ReadWrite, V: Rows, radius: float) -> Float[np.ndarray, "count d_out"]:
    """f(R v) of each direction, which is brought to unit length."""
    return np.asarray(map.response.value(radius * unit(V) @ map.reads.T) @ map.writes)


def pulled_back(map: ReadWrite, V: Rows, U: Written, radius: float) -> Float[np.ndarray, "count d"]:
    """The gradient of u . f(x) at x = R v, for each pair."""
    return np.asarray((map.response.slope(radius * unit(V) @ map.reads.T) * (U @ map.writes.T)) @ map.reads)


def jacobian(map: ReadWrite) -> Float[np.ndarray, "d_out d"]:
    """df/dx at 0: what a map is to first order."""
    return np.asarray((map.writes.T * map.response.slope(np.zeros(len(map.reads)))) @ map.reads)


def singular_vectors(
    matrix: Float[Array, "d_out d"], count: int
) -> tuple[Float[np.ndarray, "count d"], Float[np.ndarray, "count d_out"]]:
    """Right and left singular vectors, first those of the largest values; signs are convention."""
    left, _, right = np.linalg.svd(np.asarray(matrix, np.float64))
    return right[:count], left.T[:count]


def orthonormal(rows: Rows) -> Float[np.ndarray, "count d"]:
    """Each row less what it shares with those before it, at unit length: QR with its signs kept, for rows are rays."""
    Q, triangle = np.linalg.qr(np.asarray(rows, np.float64).T)
    return np.asarray((Q * np.where(np.diag(triangle) < 0, -1.0, 1.0)).T)


class Iterated(NamedTuple):
    """Directions after some steps of the gradient iteration."""

    V: Float[np.ndarray, "count d"]
    U: Float[np.ndarray, "count d_out"]
    moved: Float[np.ndarray, "steps count"]
    """1 - cos(v before, v after), of each step and candidate: in [0, 2], and 0 once it rests."""


def gradient_iteration(
    map: ReadWrite,
    V: Rows,
    U: Written,
    radius: float,
    steps: int,
    orthogonal_inputs: bool = True,
    orthogonal_outputs: bool = False,
) -> Iterated:
    """V <- orthonormal(V);  u_j, v_j <- f(R v_j), grad_v u_j . f(R v_j), each at unit length: ascent of infinite step.

    Orthogonalised gradient iteration, algorithm 3 of Mack & Turner 2024, "Deep causal transcoding"; the directions that
    it ends with come after a gradient, so they need not be orthogonal. Without `orthogonal_inputs` it is a power
    iteration of each candidate alone. `orthogonal_outputs` does to U what is done to V. A candidate without a gradient
    stays where it is.
    """
    V, U = unit(V), unit(U)
    moved = np.zeros((steps, len(V)))
    for step in range(steps):
        before = V
        V = orthonormal(V) if orthogonal_inputs else V
        U = orthonormal(U) if orthogonal_outputs else U
        back, out = pulled_back(map, V, U, radius), changes(map, V, radius)
        V, U = _or_else(unit(back), V), _or_else(unit(out), U)
        moved[step] = 1 - (before * V).sum(axis=1)
    return Iterated(V, U, moved)


def _or_else(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.where((rows != 0).any(axis=1, keepdims=True), rows, others)


class Spans(NamedTuple):
    """A map in the spans of its reads and writes, n x n, with orthonormal bases of them, one vector a row."""

    map: ReadWrite
    inputs: Float[np.ndarray, "n d"]
    outputs: Float[np.ndarray, "n d_out"]


def in_spans(map: ReadWrite) -> Spans:
    """The same map in coordinates of the span of its reads and of that of its writes: all cosines as they were.

    A gradient lies in the span of the reads, so from its first step on the iteration needs nothing else: a map of
    4096 dimensions with 32 units costs what one of 32 costs.
    """
    (inputs, reads), (outputs, writes) = (np.linalg.qr(each.T) for each in (map.reads, map.writes))
    return Spans(ReadWrite(reads.T, writes.T, map.response), inputs.T, outputs.T)


def agreement(first: Rows, second: Float[Array, "others d"], signed: bool = True) -> float:
    """Mean best cosine of two sets of directions, both ways: 1 where two starts find the same."""
    each = cosines(first, second, signed)
    return float((each.max(axis=1).mean() + each.max(axis=0).mean()) / 2)


def distinct(V: Rows, sizes: Float[Array, " count"], at: float = 0.95, least: float = 0.1) -> np.ndarray:
    """Places of the directions that are no copies: from the largest change down, cosine below `at` with those kept.

    Directions whose change is below `least` of the largest one found nothing, and are left out.
    """
    sizes, table, kept = np.asarray(sizes), cosines(V, V, signed=True), list[int]()
    for place in np.argsort(-sizes, kind="stable").tolist():
        if sizes[place] > 0 and sizes[place] >= least * sizes.max() and all(table[place, kept] < at):
            kept.append(place)
    return np.array(kept, int)


class Multiplicity(NamedTuple):
    """How alike directions are."""

    cosine: float
    """Mean |cos| over pairs, in [0, 1]; NaN of fewer than two."""
    condition: float
    """Largest singular value of the unit directions over the smallest, 1 or more; infinite where they are dependent."""


def multiplicity(rows: Rows) -> Multiplicity:
    """Mean pairwise |cos| and condition number. Mack & Turner 2024 find .36 and 38 for 240 directions."""
    if len(rows) < 2:
        return Multiplicity(np.nan, np.nan)
    values = np.linalg.svd(unit(rows), compute_uv=False)
    small = len(rows) > rows.shape[1] or values[-1] <= 1e-12 * values[0]
    pairs = cosines(rows, rows)[np.triu_indices(len(rows), 1)]
    return Multiplicity(float(pairs.mean()), np.inf if small else float(values[0] / values[-1]))
