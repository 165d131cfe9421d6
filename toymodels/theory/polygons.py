"""Regular polygons in the plane with one active feature: their best size, and its loss. Chen et al. 2023.

>>> found = polygon(5)
>>> round(float(found.loss), 6)
0.015826
"""

import itertools
from typing import Any, NamedTuple

import numpy as np

from toymodels.arrays import Array, Float
from toymodels.theory.expected_loss import one_sparse_loss


class Polygon(NamedTuple):
    """|W_i|, the common bias and the loss of `one_sparse_loss`."""

    radius: float
    bias: float
    loss: float


def _polygon_cosines(k: int) -> np.ndarray:
    cosines = np.cos(2 * np.pi * np.arange(k) / k)
    # Exact where the angle is a multiple of a quarter turn: a cosine of 6e-17 would make a sliver of a piece.
    return np.where(np.abs(cosines) < 1e-12, 0.0, cosines)


def polygon_weights(k: int, radius: float = 1.0) -> Float[Array, "features hidden"]:
    """W_i = radius (cos 2 pi i / k, sin 2 pi i / k), k x 2."""
    cosines = _polygon_cosines(k)
    sines = np.sin(2 * np.pi * np.arange(k) / k)
    return radius * np.stack([cosines, np.where(np.abs(sines) < 1e-12, 0.0, sines)], -1)


def _polygon_pieces(k: int, low: float, high: float) -> tuple[Any, Any]:
    """A(x) = int_0^1 u max(u - x, 0) du, B(x) = sum_d int_0^1 max(u cos_d - x, 0)^2 du: cubics on a piece, x <= 1."""
    X = np.polynomial.Polynomial([0.0, 1.0])
    middle = (low + high) / 2
    A = 1 / 3 - X / 2 + X**3 / 6 if middle > 0 else 1 / 3 - X / 2
    B = 0 * X
    for c in _polygon_cosines(k):
        if min(c, 0) >= middle:
            B += c**2 / 3 - c * X + X**2
        elif max(c, 0) > middle:
            B += (c - X) ** 3 / (3 * c) if c > 0 else X**3 / (3 * c)
    return A, B


def polygon(k: int) -> Polygon:
    """The best regular k-gon, W_i = R (cos 2 pi i/k, sin 2 pi i/k), b_i = b, for one active feature, n = k, m = 2.

    With b = -R^2 x the loss is 1/3 - 2 R^2 A(x) + R^4 B(x), so R^2 = A / B and the loss 1/3 - max_x A^2 / B: a maximum
    over the zeros of 2 A' B - A B', a polynomial between consecutive cosines. Global in R and b. By symmetry a critical
    point in all W, b. Regular polygons in this loss: Chen et al. 2023, arXiv 2310.06301. Raises ValueError for k < 2.
    """
    if k < 2:
        raise ValueError(f"k={k}: a polygon has at least 2 vertices")
    cosines = _polygon_cosines(k)
    far = -1e3  # loss at x = far differs from that of R = 0, the best constant, by O(1 / far)
    knots = np.unique(np.concatenate([[far, 0.0, 1.0], cosines]).round(14))
    candidates = []
    for low, high in itertools.pairwise(knots):
        A, B = _polygon_pieces(k, low, high)
        stationary = (2 * A.deriv() * B - A * B.deriv()).roots()
        near = stationary[np.abs(stationary.imag) < 1e-6].real
        for x in (*near[(near > low) & (near < high)], low):
            if x > far:
                candidates.append((A(x) ** 2 / B(x), x, A(x) / B(x)))
    _, x, squared_radius = max(candidates)
    radius, bias = float(squared_radius**0.5), float(-squared_radius * x) + 0.0
    return Polygon(radius, bias, float(one_sparse_loss(polygon_weights(k, radius), bias)))
