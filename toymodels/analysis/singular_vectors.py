"""Singular vectors against features, and against what any rotation of them gives.

Whether a singular vector points at a feature is read as its largest |cos| with a feature's direction. Two controls:
the same span turned at random, which says whether the singular vectors themselves are special, and random orthonormal
vectors of the whole space, which say whether their span is.
"""

from typing import NamedTuple

import numpy as np

from toymodels.analysis.recovery import best_cosines
from toymodels.arrays import Array, Float


class Sides(NamedTuple):
    """Orthonormal rows, largest singular value first: M = sum_k s_k write_k read_kᵀ."""

    write: Float[np.ndarray, "count rows"]
    read: Float[np.ndarray, "count columns"]


class Alignment(NamedTuple):
    """Means over directions of the largest |cos| with a feature."""

    own: float
    turned: float
    """Of the same directions after a random rotation of their span."""
    random: float
    """Of as many random orthonormal directions."""


def singular_vectors(matrix: Float[Array, "rows columns"], count: int) -> Sides:
    """The leading singular vectors of both sides; ValueError for more of them than the smaller side has."""
    M = np.asarray(matrix, np.float64)
    if not 1 <= count <= min(M.shape):
        raise ValueError(f"count={count}: a matrix of shape {M.shape} has {min(M.shape)} singular vectors")
    left, _, right = np.linalg.svd(M, full_matrices=False)
    return Sides(left[:, :count].T, right[:count])


def alignment(
    directions: Float[Array, "count d"], features: Float[Array, "features d"], seed: int = 0, draws: int = 100
) -> Alignment:
    """How near orthonormal directions are to features, and the means of both controls over so many draws."""
    rows = np.asarray(directions, np.float64)
    count, d = rows.shape
    rng = np.random.default_rng(seed)
    turns = np.concatenate([_orthonormal(rng, count, count) @ rows for _ in range(draws)])
    random = np.concatenate([_orthonormal(rng, count, d) for _ in range(draws)])
    return Alignment(*(float(best_cosines(each, features).mean()) for each in (rows, turns, random)))


def _orthonormal(rng: np.random.Generator, count: int, d: int) -> np.ndarray:
    """Rows uniform over all orthonormal sets."""
    Q, R = np.linalg.qr(rng.normal(size=(d, count)))
    return np.asarray((Q * np.sign(np.diag(R))).T)
