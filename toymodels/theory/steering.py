"""Steering, exactly: where the most effective direction lies, and what the singular vectors of a planted map are.

A map f(x) = sum_i g_i u_i s(v_i . x) reads along unit vectors v_i and writes along unit vectors u_i; c is the cosine of
two reads, w that of their writes. Ours; the question is that of Mack & Turner 2024, "Deep causal transcoding".

>>> round(departure_radius(0.5), 4)
1.4421
"""

from typing import NamedTuple

import numpy as np
from scipy import integrate, special
from scipy.optimize import brentq, minimize_scalar

from toymodels.arrays import Array, Float


def _check_pair(c: float, w: float) -> None:
    if not (-1 < c < 1 and -1 <= w <= 1):
        raise ValueError(f"c={c:g}, w={w:g}: cosines of two different reads and of two writes")


def departure_radius(c: float, w: float = 0.0) -> float:
    """The radius R at which the best direction leaves the half-way one, of two exponential units s(t) = exp(t) - 1.

    |f(R v)| over unit v has a critical point half-way between the reads. It is the maximum up to
    R = x / sqrt((1 + c)/2),

        x (1 + (1 - w)/(1 + w) / (1 - exp(-x))) = (1 + c) / (1 - c),

    where the second derivative along the circle vanishes; beyond it two maxima part as a pitchfork, towards either
    read. With one write (w = 1) R = sqrt(2 (1 + c)) / (1 - c). Where c <= -w it is never the maximum: 0.
    """
    _check_pair(c, w)
    if c + w <= 0:
        return 0.0
    ratio, target = (1 - w) / (1 + w), (1 + c) / (1 - c)
    x = brentq(lambda x: x + ratio * x / -np.expm1(-x) - target, 1e-12, target + 1e-9, xtol=1e-14)
    return float(x / np.sqrt((1 + c) / 2))


def pair_change(
    angle: Float[Array, "..."] | float, radius: float, c: float, w: float = 0.0
) -> Float[np.ndarray, "..."]:
    """log |f(R v)|² of two exponential units, v in the plane of the reads at this angle from the half-way direction."""
    half = np.arccos(c) / 2
    a, b = (np.expm1(radius * np.cos(np.asarray(angle, np.float64) + sign * half)) for sign in (-1, 1))
    return np.asarray(np.log(a**2 + b**2 + 2 * w * a * b))


def best_angle(radius: float, c: float, w: float = 0.0) -> float:
    """The angle >= 0 between the best direction and the half-way one, in units of that of the reads: 0 up to departure.

    By bounded search on [0, pi], to 1e-8; near 1 far beyond the departure.
    """
    _check_pair(c, w)
    if not radius > 0:
        raise ValueError(f"radius={radius:g}: above 0")
    if radius <= departure_radius(c, w):
        return 0.0
    grid = np.linspace(0, np.pi, 2001)
    near = grid[pair_change(grid, radius, c, w).argmax()]
    step, options = grid[1], {"xatol": 1e-10}
    bounds = (max(near - step, 0), near + step)
    found = minimize_scalar(lambda t: -pair_change(t, radius, c, w), bounds=bounds, method="bounded", options=options)
    return float(found.x / (np.arccos(c) / 2))


def orthonormal_limit(reads: Float[Array, "n d"]) -> float:
    """The largest mean cosine of n unit vectors with n orthonormal ones, one to one: (sum of singular values) / n.

    What no set of orthogonal directions can pass, however it was found. Orthogonal Procrustes, Schönemann 1966.
    """
    return float(np.linalg.svd(np.asarray(reads, np.float64), compute_uv=False).sum() / len(reads))


class PairCosines(NamedTuple):
    """Cosines of two reads with the singular vectors that are theirs: that of the larger gain with the first."""

    first: float
    second: float


def pair_cosines(c: float, ratio: float, w: float = 0.0) -> PairCosines:
    """|cos| of two reads with the right singular vectors of the linear map u_1 v_1ᵀ + ratio u_2 v_2ᵀ, 0 <= ratio <= 1.

    In the plane of the reads, each at an angle a from the half-way direction, the first singular vector has the angle

        t,  tan 2t = (1 - r²) sin 2a / ((1 + r²) cos 2a + 2 w r).

    Exact (1, 1) needs c = 0 and w r = 0, and r < 1. With r = 1, c = w = 0 every direction of the plane will do: NaN.
    """
    _check_pair(c, w)
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio={ratio:g}: of the smaller gain to the larger one, in [0, 1]")
    double = np.arccos(c)
    across, along = (1 - ratio**2) * np.sin(double), (1 + ratio**2) * np.cos(double) + 2 * w * ratio
    if max(abs(across), abs(along)) < 1e-12:
        return PairCosines(np.nan, np.nan)
    t = np.arctan2(across, along) / 2
    return PairCosines(float(abs(np.cos(double / 2 - t))), float(abs(np.sin(double / 2 + t))))


def largest_coordinate(n: int) -> float:
    """E max_i |x_i| of x uniform on the unit sphere in n dimensions: MMCS of a random orthonormal basis with another.

    = E max |z_i| / E |z| for z standard normal, by quadrature. Singular vectors of equal singular values, reads and
    writes orthonormal and drawn at random: exactly this, whatever the algorithm.
    """
    if n < 1:
        raise ValueError(f"n={n}: one dimension or more")
    largest = integrate.quad(lambda t: 1 - special.erf(t / np.sqrt(2)) ** n, 0, np.inf, epsabs=1e-12)[0]
    length = np.sqrt(2) * np.exp(special.gammaln((n + 1) / 2) - special.gammaln(n / 2))
    return float(largest / length)
