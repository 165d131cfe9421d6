"""The least packing loss among known explicit configurations: tegum products over all splits of n and d."""

import functools
import math
from typing import NamedTuple

import numpy as np

from toymodels.arrays import Float
from toymodels.shapes.arguments import Count, Number, sizes_and_power
from toymodels.shapes.frames import harmonic_frame, tegum_product
from toymodels.shapes.packing import orthogonal_factors
from toymodels.shapes.polytopes import Polytope, equiangular_lines, halved, icosahedron, simplex, twenty_four_cell
from toymodels.theory.packing_losses import harmonic_frame_loss


class Configuration(NamedTuple):
    """Unit vectors, their loss, the number of their mutually orthogonal factors, and what they are."""

    V: Float[np.ndarray, "vectors dim"]
    loss: float
    factors: int
    name: str


def best_configuration(n: Count, d: Count, power: Number, signed: bool = False) -> Configuration:
    """The least loss among known explicit configurations of n unit vectors in d dimensions: no optimum is above.

    All tegum products of axes and simplices (with copies), harmonic frames and some polytopes: min over splits of n and
    d, in O(n^2 d^2) time. Ties go to more factors. Far from the optimum where nothing of the catalogue fits, n >> d at
    large power: compare `loss_bound` and `random_loss`.
    """
    n, d, q = sizes_and_power(n, d, power)
    parts = _best_split(n, d, _pieces(n, d, q, signed))
    V = tegum_product(*(_build(piece, count, signed) for piece, count in parts))
    V = np.pad(V, ((0, 0), (0, d - V.shape[1])))
    loss = math.fsum(piece.losses[count] for piece, count in parts)
    return Configuration(V, loss, int(orthogonal_factors(V).max()) + 1, _describe(parts, n, d, signed))


class _Piece(NamedTuple):
    """A family of configurations in `dim` dimensions: what n = 0, 1, .. vectors of it cost, and how to build them."""

    dim: int
    losses: Float[np.ndarray, " counts"]
    name: str
    V: Float[np.ndarray, "vectors dim"] | None  # None: harmonic frames, another one for each n


def _pieces(n: int, d: int, power: float, signed: bool) -> list[_Piece]:
    found = []
    for dim in range(1, min(d, n) + 1):
        V = simplex(dim).vectors
        found.append(_Piece(dim, _losses_in_turn(V, n, power, signed), f"simplex({dim})" if dim > 1 else "axis", V))
    for dim in range(2, min(d, n - 1) + 1):
        frames = [0.0] + [harmonic_frame_loss(m, dim, power, not signed, signed) for m in range(1, n + 1)]
        plane = "-gon" if signed else " lines in the plane"
        found.append(_Piece(dim, np.array(frames), plane if dim == 2 else f" in harmonic frame({dim})", None))
    for name, V, _ in _exceptional(signed):
        if V.shape[1] <= d and V.shape[1] < n:
            found.append(_Piece(V.shape[1], _losses_in_turn(V, n, power, signed), name, V))
    return found


@functools.cache
def _exceptional(signed: bool) -> tuple[Polytope, ...]:
    """Exceptional configurations: lines for the even loss; for the signed one vertices, antipodes in turn."""
    lines = [halved(icosahedron())._replace(name="icosahedron"), halved(twenty_four_cell())._replace(name="24-cell")]
    if signed:
        return tuple(
            p._replace(vectors=np.stack([p.vectors, -p.vectors], 1).reshape(-1, p.vectors.shape[1])) for p in lines
        )
    return (*lines, *map(equiangular_lines, (10, 16, 28)))


def _losses_in_turn(
    V: Float[np.ndarray, "vectors dim"], n: int, power: float, signed: bool
) -> Float[np.ndarray, " counts"]:
    """Loss of the first 0, 1, .., n of the vectors V_1, V_2, .., V_1, V_2, ..: copies once the vectors are used up."""
    cosines = np.round(V @ V.T, 14)  # so that orthogonal vectors cost nothing at power 1 and copies exactly one
    cost = (np.maximum(cosines, 0) if signed else np.abs(cosines)) ** power
    added = cost[np.arange(n) % len(V)]
    copies = (np.arange(n)[:, None] + len(V) - 1 - np.arange(len(V))) // len(
        V
    )  # of each vector before the i-th is added
    return np.concatenate([[0.0], np.cumsum(2 * np.sum(added * copies, axis=1))])


def _best_split(n: int, d: int, pieces: list[_Piece]) -> list[tuple[_Piece, int]]:
    """min over sum n_i = n, sum d_i <= d of the pieces' losses, by dynamic programming over dimensions."""
    best = np.full((d + 1, n + 1), np.inf)
    best[0, 0] = 0
    chosen = np.zeros((d + 1, n + 1, 2), dtype=int)

    def offer(dim, loss, index, taken):
        # Better by more than rounding, so that a tie goes to what is offered first: small pieces, few vectors on them.
        better = (loss < best[dim] * (1 - 1e-12)) & np.isfinite(loss)
        best[dim] = np.where(better, loss, best[dim])
        chosen[dim, better] = np.stack([np.full(n + 1, index), taken], axis=1)[better]

    for dim in range(1, d + 1):
        for index, piece in enumerate(pieces):
            if piece.dim > dim:
                continue
            rest = np.concatenate([np.full(n, np.inf), best[dim - piece.dim]])
            loss = piece.losses[1:] + np.lib.stride_tricks.sliding_window_view(rest, n + 1)[:, -2::-1]
            least = loss.min(axis=1)
            offer(dim, least, index, 1 + np.argmax(loss <= least[:, None] * (1 + 1e-12), axis=1))
        offer(dim, best[dim - 1], -1, np.zeros(n + 1))  # a dimension left empty
    parts = []
    while d > 0:
        index, taken = chosen[d, n]
        if index < 0:
            d -= 1
            continue
        parts.append((pieces[index], int(taken)))
        n, d = n - int(taken), d - pieces[index].dim
    return parts


def _build(piece: _Piece, count: int, signed: bool) -> Float[np.ndarray, "vectors dim"]:
    if piece.V is None:
        return harmonic_frame(count, piece.dim, lines=not signed)
    return piece.V[np.arange(count) % len(piece.V)]


def _describe(parts: list[tuple[_Piece, int]], n: int, d: int, signed: bool) -> str:
    if all(piece.dim == 1 for piece, _ in parts):
        if n <= d:
            return "orthonormal"
        return ("cross-polytope" + ("" if n <= 2 * d else " copies")) if signed else "orthonormal copies"
    names = []
    for piece, count in parts:
        whole = piece.dim == count == 1 or (piece.V is not None and count == len(piece.V) > 2)
        joined = f"{count}{piece.name}" if piece.V is None else f"{count} on {piece.name}"
        names.append(piece.name if whole else joined)
    return " + ".join(f"{names.count(x)} x ({x})" if names.count(x) > 1 else x for x in dict.fromkeys(names))
