"""|x| by a layer of ReLUs without superposition: how well can m neurons do if each serves one feature?

Features are independent, U[-1, 1] with probability p, else 0; the loss is sum_i I_i (|x_i| - y_i)². The task is that of
Elhage et al. 2022, section on computation in superposition; the baseline is ours, for the paper states none.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float, Number


def constant_loss(p: Float[Array, "*shape"] | Number) -> Float[np.ndarray, "*shape"] | float:
    """Var |x| = p/3 - p²/4: |x| predicted by its mean p/2."""
    p = _probability(p)
    return p / 3 - p**2 / 4


def one_neuron_loss(p: Float[Array, "*shape"] | Number) -> Float[np.ndarray, "*shape"] | float:
    """Var |x| - Cov(|x|, r)² / Var r with r = ReLU(x): |x| predicted by the best w r + b, one neuron.

    Var r = p/6 - p²/16, Cov = p/6 - p²/8. A half of the loss at p -> 0, four fifths at p = 1, always at least a half.
    """
    p = _probability(p)
    return constant_loss(p) - p * (1 / 6 - p / 8) ** 2 / (1 / 6 - p / 16)


def naive_loss(m: int, p: float, importance: Float[Array, " features"] | ArrayLike) -> float:
    """(p/3 - p²/4) sum of I_i over all but the floor(m/2) most important features.

    Two neurons compute |x| = ReLU(x) + ReLU(-x) for each of those; the rest are predicted by their means. For even m no
    way to give neurons to single features does better: a feature's second neuron gains at least what its first does
    (`one_neuron_loss`), and gains fall with importance.
    """
    if m < 0:
        raise ValueError(f"m={m}: a number of neurons")
    weights = np.sort(np.asarray(importance, np.float64))[::-1]
    if weights.ndim != 1 or not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("importance: one finite number, 0 or above, a feature")
    return float(constant_loss(p) * math.fsum(weights[m // 2 :]))


def _probability(p: Float[Array, "..."] | Number) -> np.ndarray:
    value = np.asarray(p, np.float64)
    if not ((value >= 0) & (value <= 1)).all():
        raise ValueError(f"p={p}: a probability lies in [0, 1]")
    return value
