"""The linear autoencoder x' = W Wᵀ x + b: its exact loss and its optimum, principal components of the importances."""

import numpy as np
from jaxtyping import Real

from toymodels.arrays import Array, Float
from toymodels.theory.expected_loss import Solution
from toymodels.theory.feature_arguments import Nested, Number, importances, numbers, per_feature, probability, weights


def feature_variance(p: Real[Array, "..."] | Nested | Number) -> Float[Array, "..."] | float:
    """Var x = p/3 - p^2/4, the loss of predicting a feature by its mean p/2."""
    p = probability(p)
    return p / 3 - p**2 / 4


def linear_optimum(
    m: int, p: Real[Array, "..."] | Nested | Number, importance: Real[Array, " features"] | Nested
) -> Solution:
    """min over W (n x m), b of E sum_i I_i (x - W Wᵀ x - b)_i^2 = sum of I_i v_i over all but its m largest, v = Var x.

    Attained by keeping those m features orthonormally and predicting the mean p/2 of the others (Eckart-Young; also
    over untied weights). `p` is one number or one a feature. Ties go to the earlier feature. ValueError for m < 0.
    """
    importance = np.atleast_1d(importances(importance))
    if importance.ndim != 1:
        raise ValueError(f"importance of shape {importance.shape}: a list with one number a feature expected")
    if m < 0:
        raise ValueError(f"m={m}: a hidden width is at least 0")
    n = len(importance)
    p = np.broadcast_to(per_feature("p", probability(p), n), (n,))
    cost = importance * feature_variance(p)
    order = np.argsort(-cost, kind="stable")
    kept = order[:m]
    W, b = np.zeros((n, m)), p / 2
    W[kept, np.arange(len(kept))] = 1
    b[kept] = 0
    return Solution(W, b, cost[order[m:]].sum())


def linear_loss(
    W: Real[Array, "... features hidden"] | Nested,
    b: Real[Array, "... features"] | Nested,
    p: Real[Array, " features"] | Nested | Number,
    importance: Real[Array, " features"] | Nested | None = None,
) -> Float[np.ndarray, "..."] | np.float64:
    """E sum_i I_i (x - W Wᵀ x - b)_i^2 from the mean p/2 and the variance of each feature, for a batch of models.

    With A = 1 - W Wᵀ it is sum_i I_i ((A mean - b)_i^2 + sum_j A_ij^2 Var x_j). `p` is one number or one a feature.
    """
    W, b = weights("W", W), numbers("b", b)
    n = W.shape[-2]
    p = np.broadcast_to(per_feature("p", probability(p), n), (n,))
    A = np.eye(n) - W @ W.swapaxes(-1, -2)
    error = (A @ (p / 2) - b) ** 2 + A**2 @ feature_variance(p)
    return (error * per_feature("importance", importances(importance, n), n)).sum(-1)
