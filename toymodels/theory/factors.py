"""Which shapes fill the dimensions of a large model best, when features are many and equally important."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from toymodels.arrays import Array, Float
from toymodels.theory.superposition import best_scaled, feature_variance


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
