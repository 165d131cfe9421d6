"""Interference between groups of features and the subspaces that they span: none across means disjoint subspaces.

Rows of A and B are the features of two groups, A = U S Vᵀ and B = X T Yᵀ. Of the leading r singular vectors of each,
V_rᵀ Y_r = S_r⁻¹ U_rᵀ (A Bᵀ) X_r T_r⁻¹. So where A Bᵀ = 0 the spans are orthogonal, and their dimensions add up to m at
most: a tegum product (Jermyn 2022). Where it is small, the largest cosine between them is at most `overlap_bound`.
"""

import numpy as np

from toymodels.arrays import Array, Float, Int

One, Other = Float[Array, "ones hidden"], Float[Array, "others hidden"]


def leading_basis(A: One, rank: int) -> Float[np.ndarray, "hidden rank"]:
    """The `rank` directions of hidden space that a group uses most: its leading right singular vectors."""
    A = np.asarray(A, np.float64)
    if not 1 <= rank <= min(A.shape):
        raise ValueError(f"rank={rank}: a group of shape {A.shape} has 1 to {min(A.shape)} directions")
    return np.asarray(np.linalg.svd(A, full_matrices=False)[2][:rank].T)


def span_overlap(A: One, B: Other, rank: int) -> float:
    """The largest cosine between the leading subspaces of two groups, of `rank` dimensions each; in [0, 1]."""
    return float(np.linalg.norm(leading_basis(A, rank).T @ leading_basis(B, rank), 2))


def overlap_bound(A: One, B: Other, rank: int) -> float:
    """|A Bᵀ|_2 / s_r(A) s_r(B) >= `span_overlap`, s_r the r-th singular values; inf where one of them is 0."""
    A, B = (np.asarray(each, np.float64) for each in (A, B))
    least = np.linalg.svd(A, compute_uv=False)[rank - 1] * np.linalg.svd(B, compute_uv=False)[rank - 1]
    return float(np.linalg.norm(A @ B.T, 2) / least) if least > 0 else np.inf


def cross_share(W: Float[Array, "features hidden"], group: Int[Array, " features"]) -> float:
    """sum of (W_i . W_j)^2 over pairs of different groups, over that of all pairs i != j; NaN where all are 0."""
    W, group = np.asarray(W, np.float64), np.asarray(group)
    gram = (W @ W.T) ** 2 * ~np.eye(len(W), dtype=bool)
    total = gram.sum()
    return float(gram[group[:, None] != group].sum() / total) if total > 0 else np.nan
