"""Sparse features read through noise by ReLUs of their own: the exact optimum of threshold and gain.

n features, each 0 with probability 1 - p and else U[0, 1], arrive as x + noise, independent normal errors of standard
deviation `noise`; unit i is r_i = ReLU(x_i + noise_i - t), and W r predicts x, without a bias. It is the decoder of
`problems.decoder` at as many neurons as dimensions as features: a neuron with input weight w and bias b has t = -b / w.
By symmetry the best W is a 1 + c J, J all ones: the mean of the other units stands in for the missing bias, and with one
feature there is none. Derived here; every moment is closed, in the normal law.
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
        return np.where(u > 0, np.maximum(u, 0) ** power, 0.5 if power == 0 else 0.0)
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

    mean: float
    """E r."""
    square: float
    """E r^2."""
    product: float
    """E x r."""


def unit_moments(threshold: float, p: float, noise: float) -> Moments:
    """E r, E r^2 and E x r of r = ReLU(x + noise z - t): integrals of `rectified_moment` over x, by parts."""
    t, p = float(threshold), _probability(p)

    def over_values(power: int) -> float:  # int_0^1 E max(x - t + noise z, 0)^power dx
        ends = rectified_moment(np.array([-t, 1 - t]), noise, power + 1)
        return float(ends[1] - ends[0]) / (power + 1)

    off = [float(rectified_moment(-t, noise, power)) for power in (1, 2)]
    product = (float(rectified_moment(1 - t, noise, 2)) - over_values(2)) / 2
    return Moments((1 - p) * off[0] + p * over_values(1), (1 - p) * off[1] + p * over_values(2), p * product)


def units_at(threshold: float, p: float, noise: float, n: int = 1) -> Unit:
    """The best gains at a threshold: W = E[x rᵀ] E[r rᵀ]^-1, with one eigenvalue for the mean of all units and one for
    the rest. ValueError for n < 1."""
    if n < 1:
        raise ValueError(f"n={n}: at least one feature")
    of, mean = unit_moments(threshold, p, noise), p / 2
    variance, covariance = of.square - of.mean**2, of.product - mean * of.mean
    together, shared = covariance + n * mean * of.mean, variance + n * of.mean**2
    one = together / shared if shared > 0 else 0.0
    rest = covariance / variance if variance > 0 else 0.0
    explained = (one * together + (n - 1) * rest * covariance) / n
    own = (one + (n - 1) * rest) / n
    return Unit(float(threshold), own, (one - rest) / n, p / 3 - explained)


def best_units(p: float, noise: float, n: int = 1) -> Unit:
    """The threshold of least loss, by its grid of 400 and Brent's search around the best place; exact to about 1e-7.

    p in (0, 1], noise >= 0: without noise t = 0, and nothing is lost.
    """
    p, noise = _probability(p), _noise(noise)
    if noise == 0:
        return units_at(0.0, p, 0.0, n)
    grid = np.linspace(-2 - 4 * noise, 1 + 4 * noise, 400)
    place = int(np.argmin([units_at(t, p, noise, n).loss for t in grid]))
    around = grid[max(place - 1, 0)], grid[min(place + 1, grid.size - 1)]
    found = minimize_scalar(
        lambda t: units_at(t, p, noise, n).loss, bounds=around, method="bounded", options={"xatol": 1e-9}
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
