"""Tight bounds on the cosines of any n nonzero vectors in d dimensions, repeats allowed."""

import math

import numpy as np
import scipy.special

from toymodels.shapes.arguments import Count, Number, count, sizes_and_power


def welch_coherence(n: Count, d: Count, order: Count = 1) -> float:
    """max_{i != j} |cos_ij| >= ((n / C(d + k - 1, k) - 1) / (n - 1))^(1 / 2k), k the order; 0 if n <= C(d + k - 1, k).

    Welch 1974. At order 1 sqrt((n - d) / (d (n - 1))), met by equiangular tight frames.
    """
    n, d, order = count(n=n, d=d, order=order)
    excess = n / math.comb(d + order - 1, order) - 1
    return (excess / (n - 1)) ** (1 / (2 * order)) if excess > 0 and n > 1 else 0.0


def orthoplex_coherence(n: Count, d: Count) -> float:
    """max_{i != j} |cos_ij| >= 1 / sqrt(d) for n > d (d + 1) / 2. Conway, Hardin & Sloane 1996.

    For fewer vectors it says nothing: 0.
    """
    n, d = count(n=n, d=d)
    return 1 / math.sqrt(d) if n > d * (d + 1) // 2 else 0.0


def rankin_cosine(n: Count, d: Count) -> float:
    """max_{i != j} cos_ij >= -1 / (n - 1), and >= 0 for n > d + 1. Rankin 1955.

    The first is met by a simplex for n <= d + 1, the second by part of a cross-polytope for n <= 2 d. -1 for n = 1.
    """
    n, d = count(n=n, d=d)
    if n == 1:
        return -1.0
    return -1 / (n - 1) if n <= d + 1 else 0.0


def mean_power(d: Count, power: Number) -> float:
    """E |u . v|^power = Gamma((power + 1)/2) Gamma(d/2) / (Gamma(1/2) Gamma((d + power)/2)), any power >= 0.

    u and v are independent and uniform on the sphere: (u . v)^2 is a Beta(1/2, (d - 1)/2) variable.
    """
    (d,) = count(d=d)
    q = float(power)
    if not 0 <= q < math.inf:
        raise ValueError(f"power={q:g}: a moment of the cosine has a finite power of at least 0")
    log_gamma = scipy.special.gammaln
    return float(np.exp(log_gamma((q + 1) / 2) - log_gamma(0.5) + log_gamma(d / 2) - log_gamma((d + q) / 2)))


def random_loss(n: Count, d: Count, power: Number, signed: bool = False) -> float:
    """n (n - 1) E |cos|^power, the expected loss of independent uniform directions; half of it if signed."""
    n, d, q = sizes_and_power(n, d, power)
    return n * (n - 1) * mean_power(d, q) * (0.5 if signed else 1.0)


def minimum_frame_potential(n: Count, d: Count) -> float:
    """min sum_{i, j} cos_ij^2 = max(n, n^2 / d), diagonal included; met by tight frames. Benedetto & Fickus 2003."""
    n, d = count(n=n, d=d)
    return max(float(n), n * n / d)


def welch_moment(n: Count, d: Count, order: Count) -> float:
    """sum_{i, j} |cos_ij|^(2k) >= n^2 / C(d + k - 1, k), diagonal included, k the order. Welch 1974."""
    n, d, order = count(n=n, d=d, order=order)
    return n * n / math.comb(d + order - 1, order)
