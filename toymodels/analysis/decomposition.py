"""What the loss of a ReLU autoencoder is made of: of each feature by itself, and interference."""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float

BLOCK = 2048
"""Draws at a time, so that their arrays stay in the processor's cache."""


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
    power: float = 2.0,
) -> LossParts:
    """I_i E |x_i - x'_i|^power of x' = ReLU(W Wᵀ x + b) in three parts, over draws x.

    own: I_i E |x_i - ReLU(|W_i|^2 x_i + b_i)|^power, what the feature's bias and length leave when no other is active.
    inactive, active: what the others add to that where x_i = 0 and where not, which is interference (negative where it
    helps, as where a bias makes up for it). Raises ValueError for shapes that do not fit.
    """
    x = np.asarray(x)
    W, b, importance = (np.asarray(each, np.float64) for each in (W, b, importance))
    n = W.shape[0]
    if W.ndim != 2 or x.ndim != 2 or x.shape[1] != n or not b.shape == importance.shape == (n,):
        raise ValueError(f"x of shape {x.shape}, W of {W.shape}: draws of {n} features, and {n} numbers of the others")
    lengths, some = (W**2).sum(1), x[(x != 0).any(1)]

    def size(error: np.ndarray) -> np.ndarray:
        if power == int(power):  # products are ten times faster than a power
            return functools.reduce(np.multiply, [np.abs(error)] * int(power))
        return np.abs(error) ** power

    own = (len(x) - len(some)) * size(
        np.maximum(b, 0)
    )  # of draws of zeros, which are all alike: nothing is added there
    added, inactive = np.zeros(n), np.zeros(n)
    for few in np.array_split(some, len(some) // BLOCK + 1):
        alone = size(few - np.maximum(few * lengths + b, 0))
        more = size(few - np.maximum(few @ W @ W.T + b, 0)) - alone
        own += alone.sum(0)
        added += more.sum(0)
        inactive += np.einsum("ij,ij->j", more, few == 0)
    return LossParts(*(importance * part / len(x) for part in (own, inactive, added - inactive)))
