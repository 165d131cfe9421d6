"""y = f(x) by a layer of ReLUs without superposition, under any exponent of the loss: how well can m neurons do?

Features are independent, U[-1, 1] with probability p, else 0; y is ReLU(x), by one neuron a feature, or |x|, by two.
Either way a target is 0 with probability 1 - q, else uniform on [0, 1]: q = p/2 for ReLU(x), q = p for |x|. The loss is
sum_i |y_i - y'_i|^k, k > 1.
"""

import numpy as np
from scipy.optimize import brentq

from toymodels.arrays import Float

NEURONS = {"relu": 1, "absolute": 2}
"""Neurons that compute one feature exactly, by target."""


def on(target: str, p: float) -> float:
    """q: the probability that a target is not 0."""
    _check(p=p)
    return p if NEURONS[target] == 2 else p / 2


def constant_loss(c: float, power: float, q: float) -> float:
    """E|y - c|^k = (1 - q) c^k + q (c^(k+1) + (1 - c)^(k+1)) / (k + 1), for c in [0, 1]."""
    _check(power, q)
    return float((1 - q) * c**power + q * (c ** (power + 1) + (1 - c) ** (power + 1)) / (power + 1))


def best_constant(power: float, q: float) -> float:
    """The c that minimises E|y - c|^k: the root in [0, 1] of (1 - q) k c^(k-1) + q (c^k - (1 - c)^k).

    Unique, as E|y - c|^k is strictly convex for k > 1: q/2 for k = 2, the root of a polynomial of degree k - 1 for
    every even k, and (q / k)^(1/(k-1)) as q -> 0.
    """
    _check(power, q)

    def slope(c: float) -> float:
        return float((1 - q) * power * c ** (power - 1) + q * (c**power - (1 - c) ** power))

    return float(brentq(slope, 0.0, 1.0, xtol=1e-15, rtol=1e-14))


def naive_loss(n: int, m: int, power: float, p: float, target: str = "relu") -> float:
    """(n - floor(m / neurons a feature)) E|y - c|^k: so many features exactly, the best constant c for the rest."""
    if n < 0 or m < 0:
        raise ValueError(f"n={n}, m={m}: numbers of features and neurons")
    q = on(target, p)
    return max(n - m // NEURONS[target], 0) * constant_loss(best_constant(power, q), power, q)


def linear_error(slope: Float[np.ndarray, "*shape"] | float, target: str = "relu") -> Float[np.ndarray, "*shape"]:
    """Error of the responses s and -s of a linear layer at x = 1 and x = -1, over that of none: ((1 - s)² + s²) for
    ReLU(x), at least 1/2, and 1 + s² for |x|, at least 1."""
    s = np.asarray(slope, np.float64)
    return np.asarray((1 - s) ** 2 + s**2 if NEURONS[target] == 1 else 1 + s**2)


def _check(power: float = 2, q: float = 0.5, p: float = 0.5) -> None:
    if not power > 1:
        raise ValueError(f"power={power:g}: an exponent above 1, or the best constant is not unique")
    for name, value in (("q", q), ("p", p)):
        if not 0 < value <= 1:
            raise ValueError(f"{name}={value:g}: a probability lies in (0, 1]")
