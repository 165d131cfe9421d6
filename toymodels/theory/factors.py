"""Shapes of unit vectors at their best size: what each costs, and which fills the dimensions of a large model best."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Real

from toymodels.arrays import Array, Float
from toymodels.theory.expected_loss import expected_loss
from toymodels.theory.feature_arguments import Nested, Number, probability, weights
from toymodels.theory.linear import feature_variance


class Scaled(NamedTuple):
    """Radius, common bias and `expected_loss` of a set of unit vectors at its best size."""

    radius: Float[np.ndarray, "..."]
    bias: Float[np.ndarray, "..."]
    loss: Float[np.ndarray, "..."]


def best_scaled(
    vectors: Real[Array, "features hidden"] | Nested, p: Real[Array, "..."] | Nested | Number, rounds: int = 12
) -> Scaled:
    """min over R >= 0 and b of the expected loss of W_i = R v_i, b_i = b: what a tegum factor of this shape costs.

    Orthogonal factors do not interfere, so the loss of a model is a sum over its factors and its dropped features, each
    p/3 - p^2/4 (Jermyn 2022 on tegum products; Elhage et al. 2022, section 4). A search on a 7 x 7 grid that shrinks by
    0.45 around its best point: radius and bias to 3e-4, the loss, flat there, to about 1e-7 of itself. For vectors that
    symmetry exchanges this is the best bias of each, too. n <= 8; cost 3^n an evaluation. The radius is sought up to
    1.6 and the bias in [-0.8, 0.6].
    """
    units = weights("vectors", vectors)
    density = probability(p)
    flat = density.ravel()
    grid = np.linspace(-1, 1, 7)
    radius, bias, loss = np.full(flat.shape, 0.8), np.full(flat.shape, -0.1), np.zeros(flat.shape)
    here = np.arange(len(flat))
    for shrink in 0.45 ** np.arange(rounds):
        radii = np.maximum(radius[:, None] + 0.8 * shrink * np.repeat(grid, 7), 0)
        biases = bias[:, None] + 0.7 * shrink * np.tile(grid, 7)
        losses = np.asarray(expected_loss(radii[..., None, None] * units, biases[..., None], flat[:, None, None]))
        best = losses.argmin(axis=1)
        radius, bias, loss = radii[here, best], biases[here, best], losses[here, best]
    return Scaled(*(each.reshape(density.shape) for each in (radius, bias, loss)))


class Savings(NamedTuple):
    """At each p: the loss that each shape saves per dimension, in dropped features, and the shape that saves most; the
    eigenvalue of Wᵀ W on its dimensions, its squared radius times features per dimension.
    """

    p: Float[np.ndarray, " points"]
    saving: dict[str, Float[np.ndarray, " points"]]
    best: list[str]
    eigenvalue: dict[str, Float[np.ndarray, " points"]]


def savings(shapes: Mapping[str, Float[Array, "_ _"]], p: Float[Array, " points"]) -> Savings:
    """(k - L / v) / d of each shape of k unit vectors that span d dimensions as a tight frame, at its best size.

    L is its exact loss and v that of a dropped feature. Orthogonal factors do not interfere, so the model of least loss
    fills its dimensions with the shape that saves most per dimension. Symmetry is to exchange the vectors of a shape;
    one of more than eight is too many. Elhage et al. 2022, section 5; Jermyn 2022 on tegum products.
    """
    scaled = {name: best_scaled(shape, p, rounds=7) for name, shape in shapes.items()}
    dropped = np.asarray(feature_variance(p))
    saving = {name: (len(shape) - scaled[name].loss / dropped) / shape.shape[1] for name, shape in shapes.items()}
    eigenvalue = {name: scaled[name].radius ** 2 * len(shape) / shape.shape[1] for name, shape in shapes.items()}
    names = list(shapes)
    best = [names[k] for k in np.argmax([saving[name] for name in names], axis=0)]
    return Savings(np.asarray(p), saving, best, eigenvalue)
