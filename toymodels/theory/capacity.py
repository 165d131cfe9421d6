"""Capacity: how a bottleneck with quadratic units shares its dimensions among features. Scherlis et al. 2022.

A model predicts y = sum_i v_i x_i^2, up to a constant, by |Wᵀ x|^2 = xᵀ A x with A = W Wᵀ of rank m. For independent
x_i of mean 0, variance 1 and kurtosis E x_i^4 = k, the variance of the error is

    L = (k - 1) sum_i (A_ii - v_i)^2 + 2 sum_{i != j} A_ij^2,

since E (xᵀ B x)^2 - (tr B)^2 = 2 |B|^2 + (k - 3) sum_i B_ii^2. With the capacity C_i = A_ii^2 / sum_j A_ij^2 the
second sum is that of A_ii^2 (1 / C_i - 1). The best A_ii for given C_i leaves

    L_i(C_i) = 2 v_i^2 (k - 1) (1 - C_i) / (2 + (k - 3) C_i):

returns diminish for k > 3 (features share dimensions), grow for k < 3 (all or nothing), and as sum_i C_i <= m, no W has
less loss than the best allocation. Some W has no more. Where returns are equal, so are the A_ii / C_i =: l, and rows of
square length l C_i with 0 < C_i < 1, sum_i C_i = d whole, can be taken from sqrt(l) times d orthonormal columns (Schur
1923, Horn 1954): a tight frame, in which every row has the capacity C_i. So the optimum is a semi-orthogonal block that
all sharing features have in common, beside one dimension for each feature of capacity 1. The roles of kurtosis and of
marginal returns, and the blocks, are those of arXiv 2210.01892; the formulas are derived here.

>>> import numpy as np
>>> found = best_allocation(2, [1.0, 1.0, 1.0, 0.1], kurtosis=10.0)
>>> np.round(found.capacity, 3).tolist()
[0.667, 0.667, 0.667, 0.0]
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Real

from toymodels.arrays import Array, Float, Int

Number = float | int
Nested = Sequence[Any]


def _checked(weights: Any, kurtosis: Any) -> tuple[np.ndarray, np.ndarray]:
    v, k = np.asarray(weights, np.float64), np.asarray(kurtosis, np.float64)
    if not (np.isfinite(v).all() and (v >= 0).all()):
        raise ValueError("weights: what a feature's square counts for is a number >= 0")
    if not (np.isfinite(k).all() and (k > 1).all()):
        raise ValueError(
            f"kurtosis={kurtosis}: E x^4 of a variable of variance 1 is above 1 (at 1 squares are constant)"
        )
    return v, k


def feature_loss(
    capacity: Real[Array, "..."] | Nested | Number,
    weight: Real[Array, "..."] | Nested | Number,
    kurtosis: Real[Array, "..."] | Nested | Number,
) -> Float[np.ndarray, "..."] | np.float64:
    """2 v^2 (k - 1) (1 - C) / (2 + (k - 3) C): what a feature of weight v and capacity C in [0, 1] costs at best."""
    v, k = _checked(weight, kurtosis)
    C = np.asarray(capacity, np.float64)
    if not ((C >= 0) & (C <= 1)).all():
        raise ValueError("capacity: it lies in [0, 1]")
    return 2 * v**2 * (k - 1) * (1 - C) / (2 + (k - 3) * C)


class Allocation(NamedTuple):
    """The capacities of least loss, and that loss, which `best_weights` reach and no W goes below."""

    capacity: Float[np.ndarray, " features"]
    loss: float

    @property
    def blocks(self) -> int:
        """Orthogonal blocks: each whole dimension, and one of all features that share."""
        whole, some = self.capacity > 1 - 1e-6, self.capacity > 1e-6
        return int(whole.sum() + (some & ~whole).any())


def best_allocation(m: int, weights: Real[Array, " features"] | Nested, kurtosis: Number) -> Allocation:
    """min of sum_i feature_loss(C_i) over 0 <= C_i <= 1, sum_i C_i <= m.

    k > 3: fractional features have equal marginal returns 2 v^2 (k - 1)^2 / (2 + (k - 3) C)^2, found by bisection.
    k <= 3: the m largest weights have capacity 1 (of equal weights the first). Raises ValueError for m < 1.
    """
    v, k = _checked(weights, kurtosis)
    if v.ndim != 1 or k.ndim != 0:
        raise ValueError("weights, kurtosis: one weight a feature and one kurtosis expected")
    if m < 1:
        raise ValueError(f"m={m}: at least one dimension")
    if k <= 3 or m >= len(v):
        capacity = np.zeros(len(v))
        capacity[np.argsort(-v, kind="stable")[:m]] = 1.0
    else:
        low, high = 0.0, (k - 1) / 2 * max(v.max(), 1e-300)  # of the square root of a marginal return
        for _ in range(200):
            root = (low + high) / 2
            if not low < root < high:
                break
            low, high = (root, high) if _shared(root, v, k).sum() > m else (low, root)
        capacity = _shared(high, v, k)
    return Allocation(capacity, float(np.sum(feature_loss(capacity, v, k))))


def _shared(root: float, v: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Capacities whose marginal return is 2 root^2, within [0, 1]."""
    return np.clip((v * (k - 1) / max(root, 1e-300) - 2) / (k - 3), 0, 1)


def best_weights(
    m: int, weights: Real[Array, " features"] | Nested, kurtosis: Number
) -> Float[np.ndarray, "features hidden"]:
    """A W of least loss: rows sqrt(v_i) e_i for whole dimensions, sqrt(l) times a tight frame for those shared."""
    v, k = _checked(weights, kurtosis)
    C = best_allocation(m, v, kurtosis).capacity
    whole, shared = np.flatnonzero(C >= 1 - SLACK), np.flatnonzero((C > SLACK) & (C < 1 - SLACK))
    W = np.zeros((len(v), m))
    W[whole, np.arange(len(whole))] = np.sqrt(v[whole])
    if len(shared):
        level = v[shared] * (k - 1) / (2 + (k - 3) * C[shared])
        W[shared, len(whole) :] = np.sqrt(level)[:, None] * tight_frame(C[shared], m - len(whole))
    return W


class Optima(NamedTuple):
    """Best allocations, one a kurtosis, and the blocks and the eigenvalues of Wᵀ W, largest first, of their W."""

    capacity: Float[np.ndarray, "cells features"]
    loss: Float[np.ndarray, " cells"]
    blocks: Int[np.ndarray, " cells"]
    spectrum: Float[np.ndarray, "cells hidden"]


def optima(m: int, weights: Real[Array, " features"] | Nested, kurtosis: Real[Array, " cells"] | Nested) -> Optima:
    """`best_allocation` and what `best_weights` look like, at every kurtosis."""
    found = [(best_allocation(m, weights, k), best_weights(m, weights, k)) for k in np.asarray(kurtosis).tolist()]
    cells = [(each.capacity, each.loss, each.blocks, np.linalg.eigvalsh(W.T @ W)[::-1]) for each, W in found]
    return Optima(*map(np.array, zip(*cells, strict=True)))


SLACK = 1e-9
"""Distance from 0 or 1 at which the bisection leaves a capacity that is there."""


def tight_frame(lengths: Real[Array, " features"] | Nested, d: int) -> Float[np.ndarray, "features d"]:
    """Rows of given square lengths in (0, 1), of sum d, and orthonormal columns, by plane rotations of two rows.

    Bendel & Mickey 1978. It starts with d unit rows and others of zeros; each rotation of a row that is too long and
    one that is too short brings one of the two to its length. Raises ValueError where there is no such frame.
    """
    wanted = np.asarray(lengths, np.float64)
    if wanted.ndim != 1 or not ((wanted > 0) & (wanted < 1)).all():
        raise ValueError("lengths: square lengths within a tight frame lie in (0, 1)")
    if not (0 < d < len(wanted) and abs(wanted.sum() - d) <= 1e-6):
        raise ValueError(f"lengths of sum {wanted.sum():g}: {d} orthonormal columns have rows of that sum")
    F = np.eye(len(wanted), d)
    long, short = 0, d
    while long < d and short < len(wanted):
        has, lacks = F[long] @ F[long], F[short] @ F[short]
        step = min(has - wanted[long], wanted[short] - lacks)
        done = has - wanted[long] <= wanted[short] - lacks
        # One of the two rows is still as it started: they are orthogonal, and their lengths enclose both wanted.
        sine = np.sqrt(step / (has - lacks))
        cosine = np.sqrt(1 - sine**2)
        F[long], F[short] = cosine * F[long] - sine * F[short], cosine * F[short] + sine * F[long]
        long, short = (long + 1, short) if done else (long, short + 1)
    return F


class Boundaries(NamedTuple):
    """Relative weights from which a feature has any capacity, and from which it has a whole dimension."""

    any: Float[np.ndarray, "..."] | np.float64
    whole: Float[np.ndarray, "..."] | np.float64


def boundaries(kurtosis: Real[Array, "..."] | Nested | Number, n: int, m: int) -> Boundaries:
    """2 / (2 + (k - 3) m / (n - 1)) and (k - 1) / (2 + (k - 3) (m - 1) / (n - 1)); both 1 for k <= 3.

    For a feature among n - 1 others of weight 1 in m dimensions: its first capacity returns as much as the others lose
    with m dimensions among them, its last as much as they lose with m - 1. Raises ValueError unless 1 <= m < n.
    """
    _check_extra(n, m)
    _, k = _checked(1.0, kurtosis)
    high = np.maximum(k, 3)  # at 3 both are 1
    return Boundaries(2 / (2 + (high - 3) * m / (n - 1)), (high - 1) / (2 + (high - 3) * (m - 1) / (n - 1)))


def extra_capacity(
    kurtosis: Real[Array, "..."] | Nested | Number, weight: Real[Array, "..."] | Nested | Number, n: int, m: int
) -> Float[np.ndarray, "..."]:
    """The capacity that the best allocation gives a feature among n - 1 others of weight 1, between its `boundaries`.

    (2 (r - 1) / (k - 3) + r m / (n - 1)) / (1 + r / (n - 1)) within [0, 1], where its marginal return is that of the
    others; all or nothing for k <= 3, and nothing for a tie. Raises ValueError unless 1 <= m < n.
    """
    _check_extra(n, m)
    r, k = _checked(weight, kurtosis)
    gap = np.where(k > 3, k - 3, 1)
    shared = (2 * (r - 1) / gap + r * m / (n - 1)) / (1 + r / (n - 1))
    return np.where(k > 3, np.clip(shared, 0, 1), r > 1)


def _check_extra(n: int, m: int) -> None:
    if not 1 <= m < n:
        raise ValueError(f"n={n}, m={m}: features share dimensions if there are fewer of these, and at least one")
