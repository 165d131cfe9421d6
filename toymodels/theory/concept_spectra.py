"""Exact spectra of concepts: planted along graded directions, in superposition, and of noise alone. float64."""

import numpy as np
from numpy.polynomial.legendre import leggauss

from toymodels.arrays import Array, Float


def graded_spectrum(shared: float, minors: Float[Array, " minors"]) -> Float[np.ndarray, " components"]:
    """Of h = c (s_0 u_0 + sum_k s_k z_k u_k), c and z_k standard normal, u orthonormal: variances s_0², s_k².

    The coefficients c and c z_k are uncorrelated with variance 1, so the directions are the principal components.
    """
    return -np.sort(-np.append(float(shared) ** 2, np.asarray(minors, np.float64) ** 2))


def covariance_given_on(
    W: Float[Array, "features hidden"], feature: int, p: Float[Array, " features"], first: float, second: float
) -> Float[np.ndarray, "hidden hidden"]:
    """Cov(h | x_i on) of h = sum_j x_j W_j, features independent, on with p_j, values of these two moments when on.

    Feature i adds (second - first²) W_i W_iᵀ, each other one (p_j second - p_j² first²) W_j W_jᵀ.
    """
    rows, p = np.asarray(W, np.float64), np.asarray(p, np.float64).copy()
    p[feature] = 1
    return rows.T @ ((p * second - p**2 * first**2)[:, None] * rows)


def noise_elbow(d: int, examples: int, share: float = 0.95) -> float:
    """Components over d that hold a share of the variance of `examples` normal vectors in d dimensions, both large.

    Eigenvalues follow Marchenko & Pastur 1967, with support (1 ± sqrt(d / examples))², and zeros where examples are
    fewer. As many examples as one likes give `share` itself: noise has no elbow.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share:g}: a share of the variance lies in (0, 1]")
    if d < 1 or examples < 1:
        raise ValueError(f"d={d}, examples={examples}: at least 1")
    ratio = d / examples
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2
    # x = middle - half cos t takes the square roots at both ends out of the integrals.
    nodes, weights = leggauss(400)
    t = np.pi * (nodes + 1) / 2
    x = (low + high) / 2 + (high - low) / 2 * np.cos(t)  # falls with t: largest eigenvalues first
    density = ((high - low) / 2 * np.sin(t)) ** 2 / (2 * np.pi * ratio * x) * weights * np.pi / 2
    count, variance = np.cumsum(density), np.cumsum(density * x)
    return float(np.interp(share * variance[-1], variance, count))
