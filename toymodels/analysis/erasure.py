"""Erasing a concept from observations by an affine map, and what a linear classifier still finds: exact where finite.

Observations h are rows, with weights that sum to 1 once divided by their sum (all alike, if none are given); a binary
concept z is one flag a row. Three erasers, each h -> centre + A (h - centre):

    mean        A projects out the difference of the class means
    median      A projects out the difference of the class medians, coordinate by coordinate
    leace       A is the least change, in mean squares, after which no class mean differs. Belrose et al. 2023

Equal class means are what no linear predictor with a convex loss gets past (Belrose et al. 2023, theorem 3.1): its best
coefficients are 0. A classifier's share of right answers is no convex loss, and `best_linear_accuracy` is what remains.

>>> import numpy as np
>>> h, z = np.array([[2.0, 0.0], [2.0, 1.0], [0.0, 0.0], [0.0, 1.0]]), np.array([True, True, False, False])
>>> best_linear_accuracy(h, z)
1.0
>>> erased = leace(h, z)(h)
>>> best_linear_accuracy(erased, z)
0.5
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from toymodels.arrays import Array, Bool, Float

Rows = Float[np.ndarray, "rows d"]
Weights = Float[np.ndarray, " rows"]
SAME = 1e-9
"""Rows nearer than this, in units of the largest distance, count as one; likewise a row and a plane."""


# ------------------------------------------------------------------------------------------------------------- erasers
class Eraser(NamedTuple):
    """h -> centre + A (h - centre)."""

    matrix: Float[np.ndarray, "d d"]
    centre: Float[np.ndarray, " d"]

    def __call__(self, h: Float[Array, "rows d"]) -> Rows:
        return np.asarray(self.centre + (np.asarray(h, np.float64) - self.centre) @ self.matrix.T)


def mean_eraser(h: Float[Array, "rows d"], z: Bool[np.ndarray, " rows"], weights: Weights | None = None) -> Eraser:
    """A = I - u uᵀ, u along the difference of the class means; the identity where they do not differ."""
    h, w = _checked(h, z, weights)
    first, second = (_mean(h[part], w[part]) for part in (z, ~z))
    return Eraser(_without(first - second), _mean(h, w))


def median_eraser(h: Float[Array, "rows d"], z: Bool[np.ndarray, " rows"], weights: Weights | None = None) -> Eraser:
    """A = I - u uᵀ, u along the difference of the class medians, taken coordinate by coordinate.

    The marginal median is exact on finite distributions and resists outliers of a share below one half; it turns with
    the axes, so that medians are equal along the coordinates that are left only if h has two dimensions or less.
    """
    h, w = _checked(h, z, weights)
    first, second = (marginal_median(h[part], w[part]) for part in (z, ~z))
    return Eraser(_without(first - second), marginal_median(h, w))


def leace(h: Float[Array, "rows d"], z: np.ndarray, weights: Weights | None = None) -> Eraser:
    """A = I - S⁺ Q Qᵀ S, S = Cov(h)^(-1/2), Q an orthonormal basis of the columns of S Cov(h, z). Belrose et al. 2023.

    z: flags, or the numbers of several concepts as columns. S and its inverse are pseudo-inverses where Cov(h) is
    singular.
    """
    h, w = _checked(h, None, weights)
    z = np.asarray(z, np.float64).reshape(len(h), -1)
    centred, concept = h - _mean(h, w), z - w @ z
    return leace_of_moments(centred.T @ (w[:, None] * centred), centred.T @ (w[:, None] * concept), _mean(h, w))


def leace_of_moments(
    covariance: Float[np.ndarray, "d d"], cross: Float[np.ndarray, "d concepts"], centre: Float[np.ndarray, " d"]
) -> Eraser:
    """`leace` from Cov(h), Cov(h, z) and the mean of h."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > max(values.max(), 0) * len(values) * 1e-13
    root, V = np.sqrt(values[kept]), vectors[:, kept]
    shrink, stretch = (V / root) @ V.T, (V * root) @ V.T
    left, size, _ = np.linalg.svd(shrink @ cross, full_matrices=False)
    Q = left[:, size > 1e-12]  # correlations of whitened observations with z: of order 1
    return Eraser(np.eye(len(values)) - stretch @ Q @ Q.T @ shrink, np.asarray(centre, np.float64))


def marginal_median(h: Rows, weights: Weights) -> Float[np.ndarray, " d"]:
    """The weighted median of each coordinate; halfway between two values where half of the weight lies below each."""
    order = np.argsort(h, axis=0, kind="stable")
    values, upto = np.take_along_axis(h, order, 0), np.cumsum(weights[order], axis=0) / weights.sum()
    columns = np.arange(h.shape[1])
    low, high = ((upto < 0.5 + side * 1e-12).sum(axis=0).clip(max=len(h) - 1) for side in (-1, 1))
    return np.asarray((values[low, columns] + values[high, columns]) / 2)


def _without(direction: Float[np.ndarray, " d"]) -> Float[np.ndarray, "d d"]:
    length = float(np.linalg.norm(direction))
    unit = direction / length if length > 0 else direction
    return np.eye(len(direction)) - np.outer(unit, unit)


def _mean(h: Rows, weights: Weights) -> Float[np.ndarray, " d"]:
    return np.asarray(weights @ h / weights.sum())


def _checked(h: Array, z: np.ndarray | None, weights: Weights | None) -> tuple[Rows, Weights]:
    h = np.asarray(h, np.float64)
    w = np.ones(len(h)) if weights is None else np.asarray(weights, np.float64)
    if h.ndim != 2 or not len(h) or not np.isfinite(h).all():
        raise ValueError(f"h of shape {h.shape}: finite rows of observations, one or more")
    if w.shape != h.shape[:1] or not ((w >= 0).all() and w.sum() > 0):
        raise ValueError(f"weights of shape {w.shape} for {len(h)} observations: one each, not negative, not all 0")
    if z is not None and (z.dtype != bool or z.shape != w.shape or not (w[z].sum() > 0 and w[~z].sum() > 0)):
        raise ValueError(f"z of shape {z.shape}: one flag an observation, and both classes have weight")
    return h, w / w.sum()


def balanced(z: Bool[np.ndarray, " rows"], weights: Weights | None = None) -> Weights:
    """Weights with half of the whole in each class, so that chance is 1/2."""
    _, w = _checked(np.zeros((len(z), 1)), z, weights)
    return np.where(z, w / w[z].sum(), w / w[~z].sum()) / 2


# --------------------------------------------------------------------------------------------------------- predictors
Loss = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Of margins: value, and first and second derivative."""


def logistic(margin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log(1 + e^-t)"""
    from scipy.special import expit

    wrong = expit(-margin)
    return np.logaddexp(0, -margin), -wrong, wrong * (1 - wrong)


def squared_hinge(margin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """max(0, 1 - t)²: the loss of a linear support vector machine, squared."""
    short = np.maximum(1 - margin, 0)
    return short**2, -2 * short, 2.0 * (short > 0)


def coefficients(
    h: Float[Array, "rows d"],
    z: Bool[np.ndarray, " rows"],
    weights: Weights | None = None,
    loss: Loss = logistic,
    ridge: float = 1e-3,
) -> Float[np.ndarray, " d"]:
    """argmin over a and b of E loss(± (a · h + b)) + ridge/2 |a|²: the a, by Newton's method from a = 1.

    The ridge makes the optimum unique, and is at 0 where the loss is: after `leace` every coefficient is 0.
    """
    h, w = _checked(h, z, weights)
    x, sign = np.column_stack([h, np.ones(len(h))]), np.where(z, 1.0, -1.0)
    penalty = np.append(np.full(h.shape[1], ridge), 0.0)
    a = np.append(np.ones(h.shape[1]), 0.0)

    def value(a: np.ndarray) -> float:
        return float(w @ loss(sign * (x @ a))[0] + penalty @ a**2 / 2)

    for _ in range(200):
        _, first, second = loss(sign * (x @ a))
        slope = x.T @ (w * sign * first) + penalty * a
        step = np.linalg.solve((x.T * (w * second)) @ x + np.diag(penalty + 1e-12), slope)
        size, now = 1.0, value(a)
        while size > 1e-6 and value(a - size * step) > now - 1e-4 * size * float(slope @ step):
            size /= 2
        a = a - size * step
        if np.abs(step).max() < 1e-13:
            break
    return np.asarray(a[:-1])


def best_linear_accuracy(
    h: Float[Array, "rows d"], z: Bool[np.ndarray, " rows"], weights: Weights | None = None
) -> float:
    """max over a and b of P(z = [a · h + b > 0]), exactly, on a finite distribution. In [1/2, 1] if it is `balanced`.

    A best half-space may be moved, no point changing sides, until its edge holds as many points as span it (the points
    span R^d); points on the edge are then parted by half-spaces of the edge. So all planes through d points are tried,
    and where more than d lie in one, the same is asked in it: exact whatever the position. Cost as rows^(d + 1).
    """
    h, w = _checked(h, z, weights)
    places, gain = _merged(h, np.stack([w * ~z, w * z], axis=1))
    return _best(places, gain)


def _merged(
    h: Rows, gain: Float[np.ndarray, "rows 2"]
) -> tuple[Float[np.ndarray, "places d"], Float[np.ndarray, "places 2"]]:
    """Rows that are the same as one, with the weights of both classes added."""
    reach = np.ptp(h, axis=0).max() if len(h) > 1 else 0.0
    found: list[int] = []
    own = np.empty(len(h), int)
    for row, each in enumerate(h):
        same = np.flatnonzero(np.abs(h[found] - each).max(axis=1) <= SAME * reach) if found else np.empty(0, int)
        if not len(same):
            found.append(row)
        own[row] = same[0] if len(same) else len(found) - 1
    total = np.zeros((len(found), 2))
    np.add.at(total, own, gain)
    return h[found], total


def _best(places: Rows, gain: Float[np.ndarray, "places 2"]) -> float:
    points = _spanning(places)
    count, d = points.shape
    trivial = float(gain.sum(axis=0).max())
    if count <= d + 1:  # independent points are parted in every way
        return float(gain.max(axis=1).sum())
    if d == 1:
        sums = np.vstack([[0.0, 0.0], np.cumsum(gain[np.argsort(points[:, 0])], axis=0)])
        one = sums[:, 0] + sums[-1, 1] - sums[:, 1]
        return float(max(one.max(), (sums[-1].sum() - one).max()))
    best, seen = trivial, set()
    subsets = np.array(list(itertools.combinations(range(count), d)))
    for start in range(0, len(subsets), 20_000):
        part = subsets[start : start + 20_000]
        normals = _normals(points[part])
        spans = np.linalg.norm(normals, axis=1) > SAME
        part, normals = part[spans], normals[spans] / np.linalg.norm(normals[spans], axis=1, keepdims=True)
        height = normals @ points.T - (normals * points[part[:, 0]]).sum(axis=1)[:, None]
        on = np.abs(height) <= SAME
        on[np.arange(len(part))[:, None], part] = True
        above, below = (height > 0) & ~on, (height < 0) & ~on
        aside = np.maximum(above @ gain[:, 1] + below @ gain[:, 0], above @ gain[:, 0] + below @ gain[:, 1])
        parted = on @ gain.max(axis=1)
        simple = on.sum(axis=1) == d
        if simple.any():
            best = max(best, float((aside + parted)[simple].max()))
        for row in np.flatnonzero(~simple & (aside + parted > best)):
            key = on[row].tobytes()
            if key not in seen:
                seen.add(key)
                best = max(best, float(aside[row]) + _best(points[on[row]], gain[on[row]]))
    return best


def _spanning(places: Rows) -> Float[np.ndarray, "rows rank"]:
    """Coordinates in the affine hull, the largest distance from the centre 1."""
    centred = places - places.mean(axis=0)
    reach = np.linalg.norm(centred, axis=1).max()
    if not reach > 0:
        return np.zeros((len(places), 0))
    _, sizes, axes = np.linalg.svd(centred / reach, full_matrices=False)
    return np.asarray(centred / reach @ axes[sizes > SAME * math.sqrt(len(places))].T)


def _normals(simplices: Float[np.ndarray, "planes d d"]) -> Float[np.ndarray, "planes d"]:
    """A normal of the plane through d points each: minors of the differences; 0 where they do not span one."""
    edges = simplices[:, 1:] - simplices[:, :1]
    d = simplices.shape[2]
    minors = [np.linalg.det(np.delete(edges, axis, axis=2)) * (-1) ** axis for axis in range(d)]
    return np.stack(minors, axis=1)
