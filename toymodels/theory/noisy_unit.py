"""Sparse features read through noise by ReLUs of their own: the exact optimum of threshold and gain.

n features, each 0 with probability 1 - p and else U[0, 1], arrive as x + noise, independent normal errors of standard
deviation `noise`; unit i is r_i = ReLU(x_i + noise_i - t), and W r predicts x, without a bias. It is the decoder of
`problems.decoder` at as many neurons as dimensions as features: a neuron of input weight w and bias b has t = -b / w.
By symmetry the best W is a 1 + c J, J all ones: the mean of the other units stands in for the missing bias, and with
one feature there is none. Derived here; every moment is closed, in the normal law. Units that also read a little of
other features do better where features are dense: trained thresholds are 3 % lower at p = 1/4, noise 0.3 and n = 8.

>>> unit = best_units(0.05, 0.1)
>>> round(unit.threshold, 4)
0.1662
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_ndtr, ndtr

from toymodels.arrays import Float


class Unit(NamedTuple):
    """The best units for a noise level."""

    threshold: float
    """t: minus the bias over the input weight, in units of the features."""
    gain: float
    """a: output weight times input weight, to the unit's own feature."""
    cross: float
    """c: the same to each other feature."""
    loss: float
    """E (x_i - x'_i)^2, a feature."""


def rectified_moment(
    u: Float[np.ndarray, "*shape"] | ArrayLike, noise: float, power: int
) -> Float[np.ndarray, "*shape"]:
    """E max(u + noise z, 0)^power for z ~ N(0, 1) and power 0 to 3; d/du of it is power times that of power - 1."""
    if power not in range(4):
        raise ValueError(f"power={power}: 0 to 3")
    u, s = np.asarray(u, np.float64), _noise(noise)
    if s == 0:
        return np.asarray(np.where(u > 0, np.maximum(u, 0) ** power, 0.5 if power == 0 else 0.0))
    density, below = np.exp(-((u / s) ** 2) / 2) / np.sqrt(2 * np.pi), ndtr(u / s)
    return np.asarray(
        {
            0: below,
            1: u * below + s * density,
            2: (u**2 + s**2) * below + u * s * density,
            3: (u**3 + 3 * u * s**2) * below + (u**2 + 2 * s**2) * s * density,
        }[power]
    )


class Moments(NamedTuple):
    """Of a unit r and its feature x."""

    mean: Float[np.ndarray, "*shape"]
    """E r."""
    square: Float[np.ndarray, "*shape"]
    """E r^2."""
    product: Float[np.ndarray, "*shape"]
    """E x r."""


def unit_moments(threshold: Float[np.ndarray, "*shape"] | ArrayLike, p: float, noise: float) -> Moments:
    """E r, E r^2 and E x r of r = ReLU(x + noise z - t): integrals of `rectified_moment` over x, by parts."""
    t, p = np.asarray(threshold, np.float64), _probability(p)
    off, end = ([rectified_moment(u, noise, power) for power in range(4)] for u in (-t, 1 - t))
    on = [(end[power + 1] - off[power + 1]) / (power + 1) for power in range(3)]  # int_0^1 dx of each moment of x - t
    product = p * (end[2] - on[2]) / 2
    return Moments(*map(np.asarray, ((1 - p) * off[1] + p * on[1], (1 - p) * off[2] + p * on[2], product)))


def losses_at(
    threshold: Float[np.ndarray, "*shape"] | ArrayLike, p: float, noise: float, n: int = 1
) -> Float[np.ndarray, "*shape"]:
    """E (x_i - x'_i)^2 at these thresholds, with the best gains."""
    return _with_best_gains(threshold, p, noise, n)[-1]


def units_at(threshold: float, p: float, noise: float, n: int = 1) -> Unit:
    """The units of one threshold, with the best gains."""
    return Unit(float(threshold), *(float(each) for each in _with_best_gains(threshold, p, noise, n)))


def _with_best_gains(
    threshold: Float[np.ndarray, "*shape"] | ArrayLike, p: float, noise: float, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gain, cross gain and loss of W = E[x rᵀ] E[r rᵀ]^-1, which has one eigenvalue for the mean of all units and one
    for the rest."""
    if n < 1:
        raise ValueError(f"n={n}: at least one feature")
    of, mean = unit_moments(threshold, p, noise), p / 2
    variance, covariance = of.square - of.mean**2, of.product - mean * of.mean
    together, shared = covariance + n * mean * of.mean, variance + n * of.mean**2
    one, rest = (
        np.where(b > 0, a / np.where(b > 0, b, 1.0), 0.0) for a, b in ((together, shared), (covariance, variance))
    )
    explained = (one * together + (n - 1) * rest * covariance) / n
    found = (one + (n - 1) * rest) / n, (one - rest) / n, p / 3 - explained
    return np.asarray(found[0]), np.asarray(found[1]), np.asarray(found[2])


def best_units(p: float, noise: float, n: int = 1) -> Unit:
    """The threshold of least loss, from a grid of 400 and Brent's search around its best place; exact to about 1e-7.

    p in (0, 1], noise >= 0: without noise t = 0, and nothing is lost.
    """
    p, noise = _probability(p), _noise(noise)
    if noise == 0:
        return units_at(0.0, p, 0.0, n)
    grid = np.linspace(-2 - 4 * noise, 1 + 4 * noise, 400)
    place = int(np.argmin(losses_at(grid, p, noise, n)))
    around = grid[max(place - 1, 0)], grid[min(place + 1, grid.size - 1)]
    found = minimize_scalar(
        lambda t: float(losses_at(t, p, noise, n)), bounds=around, method="bounded", options={"xatol": 1e-9}
    )
    return units_at(float(found.x), p, noise, n)


def slope_at_small_noise(p: float) -> float:
    """lim t / noise as noise -> 0, for one feature: the root s of p s / 4 = (1 - p) E max(z - s, 0), z ~ N(0, 1).

    A threshold s noise costs an active feature s^2 noise^2 / 4 after the best gain, and spares a silent one all but
    E max(z - s, 0)^2 noise^2. It depends on p alone.
    """
    p = _probability(p)
    if p == 1:
        return 0.0

    def excess(s: float) -> float:
        above = np.exp(-(s**2) / 2) / np.sqrt(2 * np.pi) - s * np.exp(log_ndtr(-s))
        return float(p * s / 4 - (1 - p) * above)

    return float(brentq(excess, 0, 40))


def _probability(p: float) -> float:
    if not 0 < p <= 1:
        raise ValueError(f"p={p}: an activation probability lies in (0, 1]")
    return float(p)


def _noise(noise: float) -> float:
    if not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise={noise}: a standard deviation is not negative")
    return float(noise)
