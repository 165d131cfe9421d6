"""How many neurons answer one feature: shares of single-feature activations, at any threshold, and their nulls.

A is features x hidden, with any number of models before: A_fj is what neuron j gives when feature f is on alone, with
value 1 and without noise. Jermyn, Schiefer & Hubinger 2022, arXiv 2211.09169.

>>> import numpy as np
>>> A = np.array([[1.0, 0.5], [0.0, 0.5]])  # the first neuron answers to one feature
>>> concentrations(A).tolist()
[1.0, 0.5]
>>> share_above(concentrations(A), [0.9]).tolist()
[0.5]
"""

import numpy as np
from numpy.typing import ArrayLike

from toymodels.analysis.neurons import rotations
from toymodels.arrays import Array, Float, Int

DEAD = 1e-4
"""A neuron none of whose single-feature activations is larger is dead: features have values up to 1."""
PUBLISHED = 0.999
"""The threshold of Jermyn et al. 2022."""


def concentrations(
    A: Float[Array, "*models features hidden"] | ArrayLike, dead: float = DEAD
) -> Float[np.ndarray, "*models hidden"]:
    """max_f |A_fj| / sum_f |A_fj|, in [1/features, 1]; NaN for a dead neuron, max_f |A_fj| <= `dead`."""
    size = np.abs(np.asarray(A, np.float64))
    if size.ndim < 2 or 0 in size.shape[-2:]:
        raise ValueError(f"A of shape {size.shape}: it is features x hidden")
    largest, total = size.max(axis=-2), size.sum(axis=-2)
    return np.asarray(np.where(largest > dead, largest / np.where(total > 0, total, 1.0), np.nan))


def share_above(
    concentration: Float[Array, "*models hidden"] | ArrayLike, thresholds: Float[Array, " thresholds"] | ArrayLike
) -> Float[np.ndarray, "*models thresholds"]:
    """Share of the live neurons that are monosemantic, above each threshold; NaN where none is alive. In [0, 1]."""
    values, at = np.asarray(concentration, np.float64), np.asarray(thresholds, np.float64)
    if not ((at > 0) & (at < 1)).all():
        raise ValueError(f"thresholds={at}: shares of a neuron's activations, in (0, 1)")
    live = np.isfinite(values).sum(axis=-1)[..., None]
    above = (np.nan_to_num(values)[..., None] > at).sum(axis=-2)
    return np.asarray(np.where(live > 0, above / np.maximum(live, 1), np.nan))


def share_dead(concentration: Float[Array, "*models hidden"] | ArrayLike) -> Float[np.ndarray, "*models"]:
    """Share of the neurons that are dead."""
    return np.asarray(np.isnan(np.asarray(concentration, np.float64)).mean(axis=-1))


def features_held(
    A: Float[Array, "*models features hidden"] | ArrayLike, threshold: float, dead: float = DEAD
) -> Int[np.ndarray, "*models"]:
    """How many features have a monosemantic neuron of their own."""
    own = np.abs(np.asarray(A, np.float64)).argmax(axis=-2)
    single = np.nan_to_num(concentrations(A, dead)) > threshold
    return np.asarray((single[..., None, :] & (own[..., None, :] == _rows(A))).any(axis=-1).sum(axis=-1))


def _rows(A: Float[Array, "*models features hidden"] | ArrayLike) -> Int[np.ndarray, "features 1"]:
    return np.arange(np.shape(A)[-2])[:, None]


def rotated(
    A: Float[Array, "features hidden"] | ArrayLike, seed: int, dead: float = DEAD
) -> Float[np.ndarray, " hidden"]:
    """`concentrations` of A Q, Q a random rotation of the neurons: a basis that training knows nothing of.

    Dead neurons take no part in it. A negative control: what passes here is no statement about neurons.
    """
    values = np.asarray(A, np.float64)
    live = np.isfinite(concentrations(values, dead))
    found = np.full(values.shape[1], np.nan)
    if live.sum() > 1:
        found[live] = concentrations(values[:, live] @ rotations(int(live.sum()), 1, seed)[0], dead)
    return found
