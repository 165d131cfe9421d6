"""Plateaus and optima of L = 1/2 |A - U Vᵀ|_F^2, and of cross-entropy over all entries."""

import math
from typing import NamedTuple

import numpy as np

from toymodels.arrays import Array, Float
from toymodels.theory.arguments import Count, Numbers, descending, real


class LowRank(NamedTuple):
    """A best approximation and its loss."""

    product: Float[Array, "n m"]
    loss: float


def plateau_levels(singular_values: Numbers, rank: Count | None = None) -> Float[Array, " levels"]:
    """L_j = 1/2 sum_{k>j} s_k^2 for j = 0..rank: the saddles of L, which small starts pass one by one.

    Baldi & Hornik 1989. At most as many levels as singular values, plus one; the order of the values does not matter.
    Between equal (or close) singular values no plateau is seen, their components are learned together.
    """
    values = descending(singular_values)
    if rank is not None and rank < 0:
        raise ValueError(f"rank={rank}: a learned rank is not negative")
    tails = np.append(np.cumsum(values[::-1] ** 2)[::-1], 0) / 2
    return tails if rank is None else tails[: rank + 1]


def eckart_young(A: Numbers, rank: Count) -> LowRank:
    """min over rank <= r of 1/2 |A - Ã|_F^2 = 1/2 sum_{k>r} s_k^2, at the truncated singular value decomposition.

    Eckart & Young 1936. The minimiser is unique only where s_r > s_{r+1}; the loss always is. Any rank >= 0.
    """
    target = real(A, "A", 2)
    if rank < 0:
        raise ValueError(f"rank={rank}: a learned rank is not negative")
    left, s, right = np.linalg.svd(target, full_matrices=False)
    return LowRank((left[:, :rank] * s[:rank]) @ right[:rank], float(np.sum(s[rank:] ** 2) / 2))


def stable_step(A: Numbers) -> float:
    """lr < 1/s_1: gradient descent is stable at the balanced optimum, whose Hessian has top eigenvalue 2 s_1.

    The eigenvalues there are s_i + s_j and s_i +- s_k for learned i, j and unlearned k. Unbalanced optima are sharper,
    |a|^2 + |b|^2 >= 2 s at rank one. Infinite for A = 0.
    """
    top = float(np.linalg.norm(real(A, "A", 2), 2))
    return 1 / top if top > 0 else math.inf


def cross_entropy_rank(A: Numbers) -> int:
    """min_c rank(A + c 1 1ᵀ): the least rank at which softmax cross-entropy over all entries reaches zero.

    At Ã = A + c. rank(A) - 1 where 1 lies in the column and in the row space of A and 1ᵀ A⁺ 1 != 0 (then c = -1/(1ᵀ
    A⁺ 1)), else rank(A) (Wedderburn's rank reduction).
    """
    target = real(A, "A", 2)
    inverse, rank = np.linalg.pinv(target, rcond=1e-10), int(np.linalg.matrix_rank(target, rtol=1e-10))
    rows, columns = np.ones(target.shape[1]), np.ones(target.shape[0])
    inside = np.allclose(target @ (inverse @ columns), columns) and np.allclose((rows @ inverse) @ target, rows)
    return rank - int(inside and abs(rows @ inverse @ columns) > 1e-10 * np.abs(inverse).sum())
