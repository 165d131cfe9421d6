"""Packing losses of named configurations, in closed form, even or signed."""

import math

import numpy as np

from toymodels.shapes.arguments import Count, Number, count, exponent, sizes_and_power
from toymodels.shapes.frames import blocks
from toymodels.shapes.packing import interference_loss


def simplex_loss(d: Count, power: Number, signed: bool = False) -> float:
    """d (d + 1) d^-power, the loss of a simplex in d dimensions; 0 if signed."""
    (d,), q = count(d=d), exponent(power)
    return 0.0 if signed else (d + 1) * d ** (1 - q)


def cross_polytope_loss(d: Count, power: Number, signed: bool = False) -> float:
    """2 d, the even loss of 2d vectors that are d antipodal pairs, at every power; 0 if signed."""
    (d,), _ = count(d=d), exponent(power)
    return 0.0 if signed else 2.0 * d


def orthonormal_copies_loss(n: Count, d: Count) -> float:
    """sum_i m_i (m_i - 1), m_i = floor or ceil of n / d: at every power, even or signed; n (n - d) / d if d | n."""
    n, d = count(n=n, d=d)
    more, rest = divmod(n, d)
    return float(rest * (more + 1) * more + (d - rest) * more * (more - 1))


def blocks_loss(n: Count, d: Count, k: Count, power: Number, signed: bool = False) -> float:
    """(d + k) (d/k)^(1 - power) for n = d + k and k | d, 0 if signed; exact for any n and k, as `blocks` builds them.

    A pair on the same vertex costs 1, on two vertices of a simplex in d_b dimensions d_b^-power (0 if signed).
    """
    return float(interference_loss(blocks(n, d, k), power, signed))


def harmonic_frame_loss(n: Count, d: Count, power: Number, lines: bool = False, signed: bool = False) -> float:
    """n sum_{j=1}^{n-1} l(sin(pi d j / n) / (d sin(pi j / n))), a Dirichlet kernel: the loss of `harmonic_frame`.

    Lines are for the even loss. For even d without `lines`, l((sin(pi (d + 1) j / n) / sin(pi j / n) - 1) / d).
    """
    n, d, q = sizes_and_power(n, d, power)
    if lines and signed:
        raise ValueError("lines=True: a signed loss tells v from -v, so it has no lines")
    j = np.arange(1, n)
    turns = d if lines or d % 2 else d + 1
    # Whole turns are taken off as integers, so that the sine stays accurate.
    kernel = np.sin(math.pi / n * (turns * j % (2 * n))) / np.sin(math.pi / n * j)
    cosines = (kernel - (turns - d)) / d
    return float(n * np.sum((np.maximum(cosines, 0) if signed else np.abs(cosines)) ** q))


def polygon_loss(n: Count, power: Number, lines: bool = False, signed: bool = False) -> float:
    """n sum_{j=1}^{n-1} l(cos(2 pi j / n)), or pi j / n for lines: the loss of `polygon`."""
    return harmonic_frame_loss(n, 2, power, lines, signed)
