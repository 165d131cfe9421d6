"""The least packing loss among known configurations: tegum products over all splits of n and d, and a short search."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from toymodels.arrays import Bool, Float, Int
from toymodels.shapes.arguments import Count, Number, sizes_and_power
from toymodels.shapes.codes import Code, codes
from toymodels.shapes.frames import cross_polytope, harmonic_frame, tegum_product
from toymodels.shapes.polytopes import simplex
from toymodels.theory.packing_losses import harmonic_frame_loss
from toymodels.theory.packing_search import least

MOST_SEARCHED = 12
"""Vectors up to which descents are tried: a second or so."""
MOST_SPLIT = 2000
"""Vectors up to which all splits into orthogonal parts are tried: it takes memory and time of order n^2."""
MOST_ORDERED = 5000
"""Vectors of a code among which its subsets are chosen."""

Rows = Float[np.ndarray, "_ _"]


class Configuration(NamedTuple):
    """Unit vectors, their loss, the number of their mutually orthogonal factors, and what they are."""

    V: Rows
    loss: float
    factors: int
    name: str


def best_configuration(n: Count, d: Count, power: Number, signed: bool = False) -> Configuration:
    """The least loss among known configurations of n unit vectors in d dimensions: no optimum is above.

    Known are those of `best_explicit` and, up to 12 vectors, the best of some descents from fixed starts at this very
    power, named "searched". With more vectors a search would find better ones wherever no code of the catalogue has
    about n vectors in about d dimensions, the more so at large powers: compare `loss_bound` and `random_loss`.
    """
    known = best_explicit(n, d, power, signed)
    n, d, q = sizes_and_power(n, d, power)
    if n > MOST_SEARCHED or d < 2 or known.loss == 0:
        return known
    found = _searched(n, d, q, signed)
    return found if found.loss < known.loss * (1 - 1e-9) else known


@functools.cache
def _searched(n: int, d: int, power: float, signed: bool) -> Configuration:
    loss, V = least(best_explicit(n, d, power, signed).V, power, signed)
    V.flags.writeable = False
    return Configuration(V, loss, _factor_count(V, 1e-6), "searched")


def best_explicit(n: Count, d: Count, power: Number, signed: bool = False) -> Configuration:
    """The least loss among explicit configurations of n unit vectors in d dimensions.

    All tegum products of axes and simplices, harmonic frames, and the codes of `shapes.codes`, each with copies of its
    vectors or without some of them: min over splits of n and d, in O(n^2 d^2) time. Ties go to more factors. More than
    2000 vectors are not split: they lie on one of these or on axes, and on part of the Leech lattice only if 1000 are
    left out or fewer. The loss never falls as n grows.
    """
    n, d, q = sizes_and_power(n, d, power)
    pieces = _pieces(n, d, q, signed)
    parts = _best_split(n, d, pieces) if n <= MOST_SPLIT else [(min(pieces, key=lambda piece: piece.losses[n]), n)]
    built = [piece.build(count) for piece, count in parts]
    V = tegum_product(*built)
    V = np.pad(V, ((0, 0), (0, d - V.shape[1])))
    loss = math.fsum(piece.losses[count] for piece, count in parts)
    factors = sum(_factor_count(rows[: piece.size or count]) for rows, (piece, count) in zip(built, parts, strict=True))
    return Configuration(V, loss, factors, _describe(parts, n, d, signed))


def _factor_count(V: Rows, tol: float = 1e-9) -> int:
    """Connected components of the pairs with |cos| > tol, without a matrix of all pairs: few rows reach all others."""
    left, found = np.ones(len(V), bool), 0
    while left.any():
        reached, found = [int(np.argmax(left))], found + 1
        left[reached] = False
        while reached and left.any():
            others = np.flatnonzero(left)
            near = others[np.abs(V[others] @ V[reached.pop()]) > tol]
            left[near] = False
            reached += near.tolist()
    return found


# ----------------------------------------------------------------------------------------------------------- the pieces


class _Piece(NamedTuple):
    """A family of configurations in `dim` dimensions: what n = 0, 1, .. vectors of it cost, and how to build them."""

    dim: int
    size: int | None  # of the whole; None: harmonic frames, another one for each n
    losses: Float[np.ndarray, " counts"]
    name: str
    build: Callable[[int], Rows]


def _pieces(n: int, d: int, power: float, signed: bool) -> list[_Piece]:
    found = [_simplex_piece(n, dim, power, signed) for dim in range(1, min(d, n) + 1)]
    found += [_frame_piece(n, dim, power, signed) for dim in range(2, min(d, n - 1) + 1)]
    for code in codes(d):
        size = code.size if signed else len(code.lines) if code.size <= MOST_ORDERED else code.size // 2
        if n > code.dim and (code.size <= MOST_ORDERED or n >= size - 1000):
            found.append(_code_piece(n, code, power, signed))
    return found if n <= MOST_SPLIT else [*found, _axes_piece(n, d, signed)]


def _simplex_piece(n: int, dim: int, power: float, signed: bool) -> _Piece:
    cosine, k = 0.0 if signed else dim**-power, np.arange(dim + 2.0)
    V = simplex(dim).vectors
    name = f"simplex({dim})" if dim > 1 else "axis"
    return _Piece(dim, dim + 1, _with_copies(n, k * (k - 1) * cosine, k * dim * cosine), name, _in_turn(V))


def _axes_piece(n: int, d: int, signed: bool) -> _Piece:
    V = cross_polytope(d) if signed else np.eye(d)
    nothing = np.zeros(len(V) + 1)
    return _Piece(d, len(V), _with_copies(n, nothing, nothing), "axes", _in_turn(V))


def _frame_piece(n: int, dim: int, power: float, signed: bool) -> _Piece:
    losses = np.full(n + 1, np.inf)
    for m in range(1, n + 1) if n <= MOST_SPLIT else (n,):
        losses[m] = harmonic_frame_loss(m, dim, power, not signed, signed)
    name = ("-gon" if signed else " lines in the plane") if dim == 2 else f" in harmonic frame({dim})"
    return _Piece(dim, None, losses, name, lambda m: harmonic_frame(m, dim, lines=not signed))


def _code_piece(n: int, code: Code, power: float, signed: bool) -> _Piece:
    """The first vectors of an order in which each adds as little as it can, or all but the first ones.

    Of a code whose vectors are all alike, that leaves out those that cost one another least, and so the others most.
    """
    V = code.vectors if signed else code.lines
    size = len(V)
    wanted = 1000 if size > MOST_ORDERED else size if n > size / 2 or size <= 200 else n
    order, losses, rows = _least_first(code, wanted, power, signed)
    # All but S cost L(all) - 2 sum_S rows + L(S): pairs inside S are taken off twice. Few are left to rounding.
    rest = (losses[size] - 2 * rows + losses)[::-1]
    rest[: size // 2 + 1] = np.inf
    first = _with_copies(n, losses, rows)
    last = _with_copies(n, rest, (rows[size] - rows)[::-1])

    def build(count: int) -> Rows:
        copies, left = divmod(count, size)
        chosen = order[:left] if first[count] <= last[count] else np.setdiff1d(np.arange(size), order[: size - left])
        return np.concatenate([np.tile(V, (copies, 1)), V[chosen]])

    return _Piece(code.dim, size, np.minimum(first, last), code.name, build)


def _in_turn(V: Rows) -> Callable[[int], Rows]:
    return lambda count: V[np.arange(count) % len(V)]


def _with_copies(
    n: int, losses: Float[np.ndarray, " counts"], rows: Float[np.ndarray, " counts"]
) -> Float[np.ndarray, " totals"]:
    """Loss of 0 .. n vectors on a code: a copies of all of it and k vectors more, of given losses and row sums."""
    size = len(losses) - 1
    a, k = np.divmod(np.arange(n + 1), size)
    copied = a[a > 0] * (a[a > 0] * losses[size] + (a[a > 0] - 1) * size + 2 * (rows[k[a > 0]] + k[a > 0]))
    total = losses[k].copy()
    total[a > 0] += copied
    return total


@functools.lru_cache(512)
def _least_first(
    code: Code, wanted: int, power: float, signed: bool
) -> tuple[Int[np.ndarray, " chosen"], Float[np.ndarray, " counts"], Float[np.ndarray, " counts"]]:
    """An order of so many of the vectors, each of those that add least to the loss of the ones before it, the first.

    With the loss of the first 0, 1, .., all of them, inf where it is not worked out, and the sum over them of
    sum_j l(cos_ij). Of more than 5000 vectors, which must be all alike, those of the order are among the first 5000.
    """

    def costs(i, among):
        cosines = V[i] @ among.T
        cosines = np.maximum(cosines, 0) if signed else np.abs(cosines)
        cosines[cosines < 1e-12] = 0  # so that orthogonal vectors cost nothing at power 1
        return cosines**power

    V = code.vectors if signed else code.lines
    size, pool = len(V), V[:MOST_ORDERED]
    losses, rows = np.full(size + 1, np.inf), np.zeros(size + 1)
    losses[0], added, order = 0.0, np.zeros(len(pool)), np.zeros(wanted, int)
    table = costs(slice(None), V) if size <= 1000 else None  # at once, where there is room
    for k in range(wanted):
        i = int(np.argmax(added <= added.min() * (1 + 1e-9)))
        order[k], cost = i, costs(i, pool) if table is None else table[i]
        cost[i] = 0
        losses[k + 1], rows[k + 1] = losses[k] + 2 * added[i], rows[k] + cost.sum()
        added += cost
        added[i] = np.inf
    if size > len(pool):
        rows = np.arange(size + 1) * costs(0, V)[1:].sum()
        losses[size] = rows[size]
    return order, losses, rows


# ----------------------------------------------------------------------------------------------------------- the splits


def _best_split(n: int, d: int, pieces: list[_Piece]) -> list[tuple[_Piece, int]]:
    """min over sum n_i = n, sum d_i <= d of the pieces' losses, by dynamic programming over dimensions."""
    best = np.full((d + 1, n + 1), np.inf)
    best[0, 0] = 0
    chosen = np.zeros((d + 1, n + 1, 2), dtype=int)
    losses, which = _of_each_dimension(n, d, pieces)
    for dim in range(1, d + 1):
        for own in range(1, dim + 1):
            rest = np.concatenate([np.full(n, np.inf), best[dim - own]])
            loss = losses[own, 1:] + np.lib.stride_tricks.sliding_window_view(rest, n + 1)[:, -2::-1]
            least = loss.min(axis=1)
            taken = 1 + np.argmax(loss <= least[:, None] * (1 + 1e-12), axis=1)
            better = _better(least, best[dim])
            best[dim, better], chosen[dim, better] = least[better], np.stack([np.full(n + 1, own), taken], 1)[better]
        better = _better(best[dim - 1], best[dim])  # a dimension left empty
        best[dim, better], chosen[dim, better] = best[dim - 1, better], 0
    parts = []
    while d > 0:
        own, taken = chosen[d, n].tolist()
        if own > 0:
            parts.append((pieces[which[own, taken]], taken))
        n, d = n - taken, d - max(own, 1)
    return parts


def _of_each_dimension(
    n: int, d: int, pieces: list[_Piece]
) -> tuple[Float[np.ndarray, "dims counts"], Int[np.ndarray, "dims counts"]]:
    """The least loss of 0 .. n vectors in one piece of each dimension, and the index of that piece."""
    losses, which = np.full((d + 1, n + 1), np.inf), np.zeros((d + 1, n + 1), int)
    for index, piece in enumerate(pieces):
        better = _better(piece.losses, losses[piece.dim])
        losses[piece.dim, better], which[piece.dim, better] = piece.losses[better], index
    return losses, which


def _better(loss: Float[np.ndarray, " counts"], best: Float[np.ndarray, " counts"]) -> Bool[np.ndarray, " counts"]:
    # By more than rounding, so that a tie goes to what is offered first: small pieces, few vectors on them.
    return (loss < best * (1 - 1e-12)) & np.isfinite(loss)


def _describe(parts: list[tuple[_Piece, int]], n: int, d: int, signed: bool) -> str:
    if all(piece.dim == 1 for piece, _ in parts):
        if n <= d:
            return "orthonormal"
        return ("cross-polytope" + ("" if n <= 2 * d else " copies")) if signed else "orthonormal copies"
    names = []
    for piece, count in parts:
        whole = piece.dim == count == 1 or (piece.size is not None and count == piece.size > 2)
        joined = f"{count}{piece.name}" if piece.size is None else f"{count} on {piece.name}"
        names.append(piece.name if whole else joined)
    return " + ".join(f"{names.count(x)} x ({x})" if names.count(x) > 1 else x for x in dict.fromkeys(names))
