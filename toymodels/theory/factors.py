"""Shapes of unit vectors at their best size: what each costs, and which fills the dimensions of a large model best."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Real

from toymodels.arrays import Array, Float
from toymodels.theory.derivatives import value_slope_hessian
from toymodels.theory.expected_loss import expected_loss
from toymodels.theory.feature_arguments import Nested, Number, probability, weights
from toymodels.theory.linear import feature_variance


class Scaled(NamedTuple):
    """Radius, common bias and `expected_loss` of a set of unit vectors at its best size."""

    radius: Float[np.ndarray, "..."]
    bias: Float[np.ndarray, "..."]
    loss: Float[np.ndarray, "..."]


def best_scaled(vectors: Real[Array, "features hidden"] | Nested, p: Real[Array, "..."] | Nested | Number) -> Scaled:
    """min over R >= 0 and b of the expected loss of W_i = R v_i, b_i = b: what a tegum factor of this shape costs.

    Orthogonal factors do not interfere, so the loss of a model is a sum over its factors and its dropped features, each
    p/3 - p^2/4 (Jermyn 2022 on tegum products; Elhage et al. 2022, section 4). A descent, to rounding, from the best
    point of a grid of 7 x 7: radii up to 1.6, biases in [-0.8, 0.6]. For vectors that symmetry exchanges this is the
    best bias of each, too. n <= 8; cost 3^n an evaluation.
    """
    units = weights("vectors", vectors)
    density = probability(p)
    flat = density.ravel()
    radii, biases = np.repeat(0.8 + np.linspace(-0.8, 0.8, 7), 7), np.tile(-0.1 + np.linspace(-0.7, 0.7, 7), 7)
    losses = np.asarray(expected_loss(radii[:, None, None] * units, biases[:, None], flat[:, None, None]))
    best = losses.argmin(axis=1)
    point, loss = _descend(units, flat, np.stack([radii[best], biases[best]], axis=1))
    radius, bias = np.abs(point[:, 0]), point[:, 1]  # -W costs as much as W
    return Scaled(*(each.reshape(density.shape) for each in (radius, bias, loss)))


def _descend(units: np.ndarray, p: np.ndarray, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(radius, bias) of least loss from a start at each p, and the loss: the damped steps of `minima.local_minima`."""
    n, m = units.shape
    along = np.zeros((n * m + n, 2))
    along[: n * m, 0], along[n * m :, 1] = units.ravel(), 1
    densities, importance = np.repeat(p[:, None], n, axis=1), np.ones((len(p), n))

    def derivatives(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        W, b = points[:, :1, None] * units, np.repeat(points[:, 1:], n, axis=1)
        value, slope, hessian = value_slope_hessian(W, b, densities, importance)
        return value, slope @ along, along.T @ hessian @ along

    value, slope, hessian = derivatives(point)
    damping = np.full(len(p), 0.01)
    for _ in range(100):
        curvatures, axes = np.linalg.eigh(np.clip(hessian, -1e100, 1e100))
        turned = np.einsum("kij,ki->kj", axes, slope) / (np.abs(curvatures) + damping[:, None])
        move = np.einsum("kij,kj->ki", axes, turned)
        trial = derivatives(point - move)
        better = trial[0] < value
        done = (np.einsum("ki,ki->k", slope, move) <= 1e-13 * p) | (damping > 1e9)
        damping = np.where(better, np.maximum(damping / 5, 1e-12), damping * 5)
        point = np.where(better[:, None], point - move, point)
        for old, new in zip((value, slope, hessian), trial, strict=True):
            old[better] = new[better]
        if done.all():
            break
    return point, value


class Savings(NamedTuple):
    """At each p: the loss that each shape saves per dimension, in dropped features, and the shape that saves most; the
    eigenvalue of Wᵀ W on its dimensions, its squared radius times features per dimension.
    """

    p: Float[np.ndarray, " points"]
    saving: dict[str, Float[np.ndarray, " points"]]
    best: list[str]
    eigenvalue: dict[str, Float[np.ndarray, " points"]]

    def where_best(self, name: str) -> tuple[float, float]:
        """The first and last p, in the order of the points, of the range in which a shape saves most, interpolated in
        ln p where another takes over; NaN for a shape that never does. Of several ranges, the first.
        """
        mine = [place for place, best in enumerate(self.best) if best == name]
        if not mine:
            return float("nan"), float("nan")
        others = [place for place in range(mine[0], len(self.p)) if self.best[place] != name]
        last = others[0] - 1 if others else len(self.p) - 1
        return self._taken_over(mine[0], mine[0] - 1), self._taken_over(last, last + 1)

    def _taken_over(self, inside: int, outside: int) -> float:
        """p between two neighbouring points at which the best shapes of both save as much."""
        if not 0 <= outside < len(self.p):
            return float(self.p[inside])
        one, other = (self.saving[self.best[place]] for place in (inside, outside))
        lead, lag = one[inside] - other[inside], other[outside] - one[outside]
        return float(self.p[inside] * (self.p[outside] / self.p[inside]) ** (lead / (lead + lag)))


def savings(shapes: Mapping[str, Float[Array, "_ _"]], p: Float[Array, " points"]) -> Savings:
    """(k - L / v) / d of each shape of k unit vectors that span d dimensions as a tight frame, at its best size.

    L is its exact loss and v that of a dropped feature. Orthogonal factors do not interfere, so the model of least loss
    fills its dimensions with the shape that saves most per dimension. Symmetry is to exchange the vectors of a shape;
    one of more than eight is too many. Elhage et al. 2022, section 5; Jermyn 2022 on tegum products.
    """
    scaled = {name: best_scaled(shape, p) for name, shape in shapes.items()}
    dropped = np.asarray(feature_variance(p))
    saving = {name: (len(shape) - scaled[name].loss / dropped) / shape.shape[1] for name, shape in shapes.items()}
    eigenvalue = {name: scaled[name].radius ** 2 * len(shape) / shape.shape[1] for name, shape in shapes.items()}
    names = list(shapes)
    best = [names[k] for k in np.argmax([saving[name] for name in names], axis=0)]
    return Savings(np.asarray(p), saving, best, eigenvalue)


def saving_table(shapes: Mapping[str, Float[Array, "_ _"]], p: Float[Array, " points"]) -> xr.Dataset:
    """`savings` by kind and p, the best kind at each p, and of each kind its rank and the range of 1/p, from start to
    stop, in which it saves most: NaN for one that never does.
    """
    found = savings(shapes, p)
    numbers = {name: (("kind", "p"), list(getattr(found, name).values())) for name in ("saving", "eigenvalue")}
    start, stop = 1 / np.array([found.where_best(kind) for kind in shapes]).T
    rank = [vectors.shape[1] for vectors in shapes.values()]
    by_kind = {name: ("kind", values) for name, values in (("rank", rank), ("start", start), ("stop", stop))}
    return xr.Dataset(numbers | by_kind | {"best": ("p", found.best)}, {"kind": list(shapes), "p": found.p})
