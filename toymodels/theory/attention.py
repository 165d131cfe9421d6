"""Heads of rank r that move features from one token, without a residual stream and with a linear output and bias.

With s_i = Var x_i, importances I_i and independent tokens, put B_h = I^(1/2) A_h S^(1/2) and T = diag sqrt(I_i s_i). Of
what head h sees, weight P_hk is on token k, and the features of token 0 are wanted:

    L = |T - sum_h P_h0 B_h|² + sum_(k > 0) |sum_h P_hk B_h|²,   rank B_h <= r.

Given all heads but one, the best of that one is a truncated singular value decomposition: reduced-rank regression
(Izenman 1975), summed over heads.

>>> round(float(gain(0.5)), 3)
1.0
"""

from typing import NamedTuple

import numpy as np

from toymodels.arrays import Array, Float
from toymodels.theory.arguments import Count, Numbers, real


class Heads(NamedTuple):
    """The optimum of two heads, the first on the previous token, the second leaning to it."""

    loss: float
    first: float
    """|A_1|², the features that the first head moves."""
    second: float
    """|A_2|² = gain² x the features that the second head moves."""


def gain(lean: float) -> float:
    """a / (a² + (1 - a)²): by what a head with weight a on the previous token multiplies a feature that it moves."""
    _check_lean(lean)
    return lean / (lean**2 + (1 - lean) ** 2)


def two_heads(strength: Numbers, rank: Count, lean: float) -> Heads:
    """min L for P = [[1, 0], [a, 1 - a]], 0 <= a < 1, and strengths t_i² = I_i Var x_i, largest first:

        L = (1 - c) sum_(r < i <= 2r) t_i² + sum_(i > 2r) t_i²,   c = a² / (a² + (1 - a)²).

    Given B_1 the second head is gain [T - B_1]_r and lowers L by c |[T - B_1]_r|²; and singular value i of T - B_1 is
    at least t_(i + r) (Weyl), with equality for B_1 = [T]_r. Equal strengths leave the subspaces free and the sizes
    fixed: |A_1|² = min(r, n), |A_2|² = gain² min(r, n - r), where I and S are multiples of one, or features keep apart.
    """
    _check_lean(lean)
    if lean == 1:
        raise ValueError("lean=1: heads that attend alike are one matrix, and what each does is not determined")
    squares = _strengths(strength)
    explained, r = lean**2 / (lean**2 + (1 - lean) ** 2), _check_rank(rank)
    left, over = squares[r:], squares[r : 2 * r]
    moved = [np.count_nonzero(part) for part in (squares[:r], over)]
    return Heads(float(left.sum() - explained * over.sum()), float(moved[0]), gain(lean) ** 2 * moved[1])


def alike(strength: Numbers, rank: Count, heads: Count) -> float:
    """min L of heads that all attend to the previous token alone: one matrix of rank H r, sum of t_i² over i > H r.

    No pattern does better: what of token 0 comes out passes matrices of rank H r together.
    """
    return float(_strengths(strength)[_check_rank(rank) * int(heads) :].sum())


def linear_loss(
    A: Array, b: Array, pattern: Array, mean: Array, covariance: Array, importance: Numbers = 1.0
) -> Float[np.ndarray, "*cells"]:
    """E sum_i I_i (x_0 - sum_h A_h (P x)_h - b)_i², exactly, of tokens drawn alike with this mean and covariance.

    A: cells x heads x n x n, b: cells x n, pattern: cells x heads x tokens, importance: one, or one a feature.
    """
    A, b, pattern, mean, covariance = (np.asarray(each, np.float64) for each in (A, b, pattern, mean, covariance))
    passed = -np.einsum("...hk,...hij->...kij", pattern, A)
    passed[..., 0, :, :] += np.eye(A.shape[-1])
    spread = np.einsum("...kij,jl,...kil->...i", passed, covariance, passed)
    offset = np.einsum("...kij,j->...i", passed, mean) - b
    return np.asarray(((spread + offset**2) * np.asarray(importance, np.float64)).sum(-1))


def alternating(
    strength: Numbers, pattern: Numbers, rank: Count, starts: int = 8, rounds: int = 2000, seed: int = 0
) -> tuple[float, Float[np.ndarray, "heads n n"]]:
    """(L, B) of any pattern, heads x tokens: the best of several starts, head by head its best given the others.

    Each turn is exact and lowers L; the end is a minimum along every head, an upper bound of the optimum.
    """
    T, P, r = np.diag(np.sqrt(_strengths(strength))), real(pattern, "pattern", 2), _check_rank(rank)
    rng, best = np.random.default_rng(seed), (np.inf, np.zeros(0))
    for _ in range(starts):
        B = rng.normal(size=(len(P), *T.shape)) * T.max() / len(T)
        B = np.stack([_truncated(each, r) for each in B])
        last = np.inf
        for _ in range(rounds):
            for head, row in enumerate(P):
                left = _left(T, P, B) + row[:, None, None] * B[head]
                size = float(row @ row)
                B[head] = _truncated(np.tensordot(row, left, 1) / size, r) if size else 0.0
            loss = float((_left(T, P, B) ** 2).sum())
            if last - loss <= 1e-13 * loss:
                break
            last = loss
        if loss < best[0]:
            best = loss, B
    return best


def _left(T: np.ndarray, P: np.ndarray, B: np.ndarray) -> np.ndarray:
    """What is left of each token: tokens x n x n."""
    left = -np.einsum("hk,hij->kij", P, B)
    left[0] += T
    return left


def _truncated(matrix: np.ndarray, rank: int) -> np.ndarray:
    left, values, right = np.linalg.svd(matrix)
    return np.asarray((left[:, :rank] * values[:rank]) @ right[:rank])


def _strengths(strength: Numbers) -> np.ndarray:
    values = real(strength, "strength", 1)
    if np.any(values < 0):
        raise ValueError(f"strength has the entry {values.min():g}: an importance times a variance is not negative")
    return np.sort(values)[::-1]


def _check_rank(rank: Count) -> int:
    if rank < 1:
        raise ValueError(f"rank={rank}: at least 1")
    return int(rank)


def _check_lean(lean: float) -> None:
    if not 0 <= lean <= 1:
        raise ValueError(f"lean={lean:g}: a weight lies in [0, 1]")
