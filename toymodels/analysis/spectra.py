"""Spectra of the frame operator F = Wᵀ W, and how each feature spreads over its eigenspaces.

W is features x hidden. With P_k the projection on the k-th eigenspace of F, eigenvalue l_k, feature i has the spectral
measure w_ik = |P_k W_i|² / |W_i|², which sums to 1 over k. Two means under it are the two ways to count dimensions:
the dimensionality D_i = |W_i|² / E_i[l] and the leverage |W_i|² E_i[1/l], which sums to rank W. By Jensen D_i is at
most the leverage, with equality exactly where feature i lies in one eigenspace: capacity is saturated, sum_i D_i =
rank W, exactly when every feature is localised, and W then is an orthogonal sum of tight frames. Ivanov et al. 2026,
arXiv 2602.02224; Benedetto & Fickus 2003.

>>> import numpy as np
>>> W = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])  # a digon and a feature by itself
>>> frame_spectrum(W).round(6).tolist()
[2.0, 1.0]
>>> leverage(W).round(6).tolist()
[0.5, 0.5, 1.0]
>>> round(float(saturation(W).ratio), 6)
1.0
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float


def frame_spectrum(W: Float[Array, "features hidden"] | ArrayLike) -> Float[np.ndarray, " hidden"]:
    """Eigenvalues of Wᵀ W, largest first: squared singular values, and 0 for directions that no feature has."""
    rows = _finite(W)
    values = np.zeros(rows.shape[1])
    if rows.size:
        singular = np.linalg.svd(rows, compute_uv=False)
        values[: len(singular)] = singular**2
    return values


class Measure(NamedTuple):
    """The spectral measure of every feature: what part of it lies in which eigenspace."""

    values: Float[np.ndarray, " spaces"]
    """Eigenvalue of each eigenspace, the mean of those taken together, largest first; those of 0 are left out."""
    sizes: Float[np.ndarray, " spaces"]
    """Dimensions of each."""
    weights: Float[np.ndarray, "features spaces"]
    """Rows sum to 1; NaN for a feature of zeros."""


def spectral_measure(W: Float[Array, "features hidden"] | ArrayLike, tol: float = 0.05) -> Measure:
    """w_ik = |P_k W_i|² / |W_i|² over the eigenspaces of Wᵀ W. Ivanov et al. 2026.

    Neighbouring eigenvalues are one eigenspace where they differ by at most `tol` times the larger: trained weights
    have no exactly equal ones, and the directions inside such a group mean nothing.
    """
    if not 0 <= tol < 1:
        raise ValueError(f"tol={tol}: a relative tolerance lies in [0, 1)")
    eigen = _eigen(W)
    apart = np.diff(eigen.values) < -tol * eigen.values[:-1]
    starts = np.flatnonzero(np.concatenate([[True], apart])) if len(eigen.values) else np.zeros(0, int)
    sizes = np.diff(np.append(starts, len(eigen.values))).astype(float)
    weights = np.add.reduceat(eigen.shares, starts, axis=1) if len(starts) else eigen.shares
    values = np.add.reduceat(eigen.values, starts) / sizes if len(starts) else eigen.values
    return Measure(values, sizes, weights)


def localisation(W: Float[Array, "features hidden"] | ArrayLike, tol: float = 0.05) -> Float[np.ndarray, " features"]:
    """sum_k w_ik², the inverse participation ratio: 1 in one eigenspace, 1/K spread evenly over K; NaN for zeros."""
    return np.asarray((spectral_measure(W, tol).weights ** 2).sum(axis=1))


def mean_localisation(W: Float[Array, "features hidden"] | ArrayLike, tol: float, dead: float) -> float:
    """The mean over features longer than `dead` times the longest."""
    lengths = np.sqrt(_lengths(_finite(W)))
    return float(localisation(W, tol)[lengths > dead * lengths.max()].mean())


def leverage(W: Float[Array, "features hidden"] | ArrayLike) -> Float[np.ndarray, " features"]:
    """W_iᵀ F⁺ W_i = |W_i|² E_i[1/l], in [0, 1]: the dimensions that no other feature has; they sum to rank W."""
    rows = _finite(W)
    eigen = _eigen(rows)
    return np.asarray((eigen.coordinates**2).sum(axis=1))


class Saturation(NamedTuple):
    """Capacity in use, sum_i D_i, against the most there is, rank W."""

    capacity: float
    rank: int

    @property
    def ratio(self) -> float:
        return self.capacity / self.rank if self.rank else float("nan")


def saturation(W: Float[Array, "features hidden"] | ArrayLike) -> Saturation:
    """(sum_i D_i, rank W); the first is at most the second, and equal exactly where every feature is localised.

    D_i / leverage_i = 1 / (E_i[l] E_i[1/l]) needs no tolerance: eigenvalues nearly equal count as nearly one space.
    """
    eigen = _eigen(W)
    mean = eigen.shares @ eigen.values
    alive = np.isfinite(mean)
    lengths = _lengths(_finite(W))
    capacity = (np.divide(lengths, mean, out=np.zeros_like(mean), where=alive & (mean > 0))).sum()
    return Saturation(float(capacity), len(eigen.values))


def random_directions(
    W: Float[Array, "features hidden"] | ArrayLike, seed: int = 0
) -> Float[np.ndarray, "features hidden"]:
    """Rows of W's lengths in independent random directions: a frame that nothing has arranged, to compare with."""
    rows = _finite(W)
    random = np.random.default_rng(seed).normal(size=rows.shape)
    return np.asarray(random * np.sqrt(_lengths(rows) / _lengths(random))[:, None])


class _Eigen(NamedTuple):
    values: np.ndarray  # above 0, largest first
    coordinates: np.ndarray  # (features, values) left singular vectors: W_i . v_k / sqrt(l_k)
    shares: np.ndarray  # (features, values) rows sum to 1, NaN for a feature of zeros


def _eigen(W: ArrayLike) -> _Eigen:
    rows = _finite(W)
    if not rows.size:
        return _Eigen(np.zeros(0), np.zeros((len(rows), 0)), np.zeros((len(rows), 0)))
    left, singular, _ = np.linalg.svd(rows, full_matrices=False)
    kept = singular > max(rows.shape) * np.finfo(float).eps * singular[0]  # numpy's rank
    left, singular = left[:, kept], singular[kept]
    squares = (left * singular) ** 2
    total = squares.sum(axis=1, keepdims=True)
    shares = np.divide(squares, total, out=np.full_like(squares, np.nan), where=total > 0)
    return _Eigen(singular**2, left, shares)


def _lengths(rows: np.ndarray) -> np.ndarray:
    return np.asarray((rows**2).sum(axis=1))


def _finite(W: ArrayLike) -> np.ndarray:
    rows = np.asarray(W, np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ValueError(f"W of shape {rows.shape}: finite features x hidden expected")
    return rows
