"""Capacity: how a bottleneck with quadratic units shares its dimensions among features. Scherlis et al. 2022.

A model predicts y = sum_i v_i x_i^2, up to a constant, by |Wᵀ x|^2 = xᵀ A x with A = W Wᵀ of rank m. For independent
x_i of mean 0, variance 1 and kurtosis E x_i^4 = k, the variance of the error is

    L = (k - 1) sum_i (A_ii - v_i)^2 + 2 sum_{i != j} A_ij^2,

since E (xᵀ B x)^2 - (tr B)^2 = 2 |B|^2 + (k - 3) sum_i B_ii^2. With the capacity C_i = A_ii^2 / sum_j A_ij^2 the
second sum is that of A_ii^2 (1 / C_i - 1). The best A_ii for given C_i leaves

    L_i(C_i) = 2 v_i^2 (k - 1) (1 - C_i) / (2 + (k - 3) C_i):

returns diminish for k > 3 (features share dimensions), grow for k < 3 (all or nothing), and sum_i C_i <= m bounds the
loss from below by the best allocation. The roles of kurtosis and of marginal returns are those of arXiv 2210.01892; the
formulas are derived here.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Real

from toymodels.arrays import Array, Float

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
    """The capacities of least loss, and that loss: a lower bound for every W."""

    capacity: Float[np.ndarray, " features"]
    loss: float


def best_allocation(m: int, weights: Real[Array, " features"] | Nested, kurtosis: Number) -> Allocation:
    """min of sum_i feature_loss(C_i) over 0 <= C_i <= 1, sum_i C_i <= m.

    k > 3: fractional features have equal marginal returns 2 v^2 (k - 1)^2 / (2 + (k - 3) C)^2, found by bisection.
    k <= 3: the m largest weights have capacity 1 (at k = 3 one of several optima). Raises ValueError for m < 1.
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
            low, high = (root, high) if _shared(root, v, k).sum() > m else (low, root)
        capacity = _shared(high, v, k)
    return Allocation(capacity, float(np.sum(feature_loss(capacity, v, k))))


def _shared(root: float, v: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Capacities whose marginal return is 2 root^2, within [0, 1]."""
    return np.clip((v * (k - 1) / max(root, 1e-300) - 2) / (k - 3), 0, 1)


def shared_from(kurtosis: Real[Array, "..."] | Nested | Number) -> Float[np.ndarray, "..."] | np.float64:
    """v_2 / v_1 = 2 / (k - 1), from which the lesser of two features in one dimension has any capacity; 1 for k <= 3.

    There the first loss of the greater feature's capacity costs what the first capacity of the lesser one saves.
    """
    _, k = _checked(1.0, kurtosis)
    return np.minimum(2 / (k - 1), 1.0)
