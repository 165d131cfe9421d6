"""Interference between groups of features and the subspaces that they span: none across means disjoint subspaces.

Rows of A and B are the features of two groups, A = U S Vᵀ and B = X T Yᵀ. Of the leading r and q singular vectors,
V_rᵀ Y_q = S_r⁻¹ U_rᵀ (A Bᵀ) X_q T_q⁻¹. So where A Bᵀ = 0 the spans are orthogonal, and their dimensions add up to m at
most: a tegum product (Jermyn 2022). Where it is small, the largest cosine between them is at most `overlap_bound`.
"""

import numpy as np

from toymodels.arrays import Array, Float, Int
from toymodels.shapes.arguments import Number, exponent

One, Other = Float[Array, "ones hidden"], Float[Array, "others hidden"]


def leading_basis(A: One, rank: int) -> Float[np.ndarray, "hidden rank"]:
    """The `rank` directions of hidden space that a group uses most: its leading right singular vectors."""
    A = np.asarray(A, np.float64)
    if not 1 <= rank <= min(A.shape):
        raise ValueError(f"rank={rank}: a group of shape {A.shape} has 1 to {min(A.shape)} directions")
    return np.asarray(np.linalg.svd(A, full_matrices=False)[2][:rank].T)


def span_overlap(A: One, B: Other, ranks: tuple[int, int]) -> float:
    """The largest cosine between the leading subspaces of two groups, of so many dimensions each; in [0, 1]."""
    return float(np.linalg.norm(leading_basis(A, ranks[0]).T @ leading_basis(B, ranks[1]), 2))


def overlap_bound(A: One, B: Other, ranks: tuple[int, int]) -> float:
    """|A Bᵀ|_2 / s_r(A) t_q(B) >= `span_overlap`, s and t the singular values, ranks (r, q); inf where one is 0."""
    A, B = (np.asarray(each, np.float64) for each in (A, B))
    least = np.prod([np.linalg.svd(each, compute_uv=False)[rank - 1] for each, rank in zip((A, B), ranks, strict=True)])
    return float(np.linalg.norm(A @ B.T, 2) / least) if least > 0 else np.inf


def best_split(A: One, B: Other) -> tuple[int, int]:
    """The dimensions (r, m - r) of two groups, in m hidden ones, whose leading subspaces overlap least, 0 < r < m."""
    m = np.shape(A)[1]
    splits = [(r, m - r) for r in range(1, m) if r <= len(A) and m - r <= len(B)]
    return min(splits, key=lambda ranks: span_overlap(A, B, ranks))


def cross_share(W: Float[Array, "features hidden"], group: Int[Array, " features"]) -> float:
    """sum of (W_i . W_j)^2 over pairs of different groups, over that of all pairs i != j; NaN where all are 0."""
    W, group = np.asarray(W, np.float64), np.asarray(group)
    gram = (W @ W.T) ** 2 * ~np.eye(len(W), dtype=bool)
    total = gram.sum()
    return float(gram[group[:, None] != group].sum() / total) if total > 0 else np.nan


def closing_exponent(power: Number) -> float:
    """-1 / (power - 2), power > 2: how the cosines across groups fall with a penalty L on |cos|^power across them.

    A vector turned by a small angle e out of the subspace of its group interferes less within it, by an amount of order
    e^2, and across by one of order e^power: L e^power balances e^2 where e is of order L^(-1 / (power - 2)). Up to
    power 2 the cost wins near e = 0, from a finite penalty on at power 2: the cosines are exactly zero.
    """
    q = exponent(power)
    if q <= 2:
        raise ValueError(f"power={q:g}: up to power 2 the cosines across groups are zero at a finite penalty")
    return -1 / (q - 2)
