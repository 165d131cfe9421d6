"""What the loss of a ReLU autoencoder is made of: of each feature by itself, and interference."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float


class LossParts(NamedTuple):
    """Of each feature, means over the draws; the sum of all is the loss."""

    own: Float[np.ndarray, " features"]
    inactive: Float[np.ndarray, " features"]
    active: Float[np.ndarray, " features"]


def loss_parts(
    x: Float[Array, "draws features"] | ArrayLike,
    W: Float[Array, "features hidden"] | ArrayLike,
    b: Float[Array, " features"] | ArrayLike,
    importance: Float[Array, " features"] | ArrayLike,
) -> LossParts:
    """I_i E (x_i - x'_i)^2 of x' = ReLU(W Wᵀ x + b) in three parts, over draws x.

    own: I_i E (x_i - ReLU(|W_i|^2 x_i + b_i))^2, what the feature's bias and length leave when no other is active.
    inactive, active: what the others add to that where x_i = 0 and where not, which is interference (negative where it
    helps, as where a bias makes up for it). Raises ValueError for shapes that do not fit.
    """
    x, W, b, importance = (np.asarray(each, np.float64) for each in (x, W, b, importance))
    n = W.shape[0]
    if W.ndim != 2 or x.ndim != 2 or x.shape[1] != n or not b.shape == importance.shape == (n,):
        raise ValueError(f"x of shape {x.shape}, W of {W.shape}: draws of {n} features, and {n} numbers of the others")
    error = (x - np.maximum(x @ W @ W.T + b, 0)) ** 2
    alone = (x - np.maximum(x * (W**2).sum(1) + b, 0)) ** 2
    added = error - alone
    inactive = np.where(x == 0, added, 0).sum(0)
    return LossParts(*(importance * part / len(x) for part in (alone.sum(0), inactive, added.sum(0) - inactive)))


class Grouped(NamedTuple):
    """Of the loss of each model: all of ignored features, and the parts of the others."""

    ignored: Float[np.ndarray, "*models"]
    own: Float[np.ndarray, "*models"]
    inactive: Float[np.ndarray, "*models"]
    active: Float[np.ndarray, "*models"]

    @property
    def total(self) -> Float[np.ndarray, "*models"]:
        return np.asarray(np.sum(self, axis=0))

    @property
    def shares(self) -> "Grouped":
        return Grouped(*(part / self.total for part in self))


def grouped(
    parts: LossParts | Float[np.ndarray, "3 *models features"],
    capacity: Float[np.ndarray, "*models features"],
    none: float,
) -> Grouped:
    """Sums over features of `loss_parts`, with all parts of features of capacity up to `none`, ignored, in one."""
    parts = np.asarray(parts)
    ignored = none >= capacity
    return Grouped((parts.sum(0) * ignored).sum(-1), *(parts * ~ignored).sum(-1))
