"""Whether a dictionary has the features: cosines between true and found directions, read in ways that differ.

Directions are rows; their lengths do not count, and a row of zeros is no direction: it has cosine 0 with everything.
`signed`: directions are rays, and the opposite one does not count; otherwise lines. What chance gives is in
`theory.random_dictionaries`, and `shuffled` is the control that keeps a dictionary's entries.

>>> import numpy as np
>>> truth, found = np.eye(3), np.array([[1.0, 0.1, 0.0], [0.0, -1.0, 0.0]])
>>> best_cosines(truth, found).round(3).tolist()
[0.995, 1.0, 0.0]
>>> best_cosines(truth, found, signed=True).round(3).tolist()
[0.995, 0.1, 0.0]
>>> round(score(truth, found, at=0.9).recall, 3)
0.667
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from toymodels.arrays import Array, Bool, Float

FOUND = 0.9
"""A feature is found where a direction has this cosine with it or more, unless another is stated."""


def unit(directions: Float[Array, "count d"]) -> Float[np.ndarray, "count d"]:
    rows = np.asarray(directions, np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


def cosines(
    truth: Float[Array, "features d"], found: Float[Array, "latents d"], signed: bool = False
) -> Float[np.ndarray, "features latents"]:
    """cos of each true direction with each found one; |cos| unless `signed`."""
    each = unit(truth) @ unit(found).T
    return each if signed else np.abs(each)


def best_cosines(
    truth: Float[Array, "features d"], found: Float[Array, "latents d"], signed: bool = False
) -> Float[np.ndarray, " features"]:
    """max_j cos_ij: how near the nearest found direction is to each true one. One direction may serve many."""
    return cosines(truth, found, signed).max(axis=1)


def mmcs(truth: Float[Array, "features d"], found: Float[Array, "latents d"], signed: bool = False) -> float:
    """Mean over true directions of the best cosine. Sharkey et al. 2022; with the arguments exchanged, of the others.

    One-sided: duplicates among the found directions do not lower it, and other directions neither.
    """
    return float(best_cosines(truth, found, signed).mean())


def matched_cosines(
    truth: Float[Array, "features d"], found: Float[Array, "latents d"], signed: bool = False
) -> Float[np.ndarray, " features"]:
    """The cosine of each true direction with its own found one, in the one-to-one matching of the largest sum.

    0 for a feature that is left without one, as some are where there are fewer found directions. Hungarian algorithm.
    """
    table = cosines(truth, found, signed)
    rows, columns = linear_sum_assignment(-table)
    own = np.zeros(len(table))
    own[rows] = table[rows, columns]
    return own


class Score(NamedTuple):
    """Of found directions against true ones, one to one; each in [0, 1]."""

    precision: float
    """Share of the found directions (zeros left out) that are matched at the cosine or more; 0 where there is none."""
    recall: float
    """Share of the true directions that are."""
    f1: float
    """2 / (1 / precision + 1 / recall)"""


def score(
    truth: Float[Array, "features d"], found: Float[Array, "latents d"], at: float = FOUND, signed: bool = False
) -> Score:
    """Precision, recall and F1 of the one-to-one matching at a cosine."""
    hits = int((matched_cosines(truth, found, signed) >= at).sum())
    alive = int((np.linalg.norm(np.asarray(found, np.float64), axis=1) > 0).sum())
    precision, recall = hits / alive if alive else 0.0, hits / len(truth)
    return Score(precision, recall, 2 * hits / (alive + len(truth)))


def uniqueness(truth: Float[Array, "features d"], found: Float[Array, "latents d"], signed: bool = False) -> float:
    """Distinct true directions that are the nearest of some found one, over found directions; 1: no two share one."""
    alive = np.linalg.norm(np.asarray(found, np.float64), axis=1) > 0
    nearest = cosines(truth, found, signed)[:, alive].argmax(axis=0)
    return len(np.unique(nearest)) / alive.sum() if alive.any() else 0.0


def dead(codes: Float[Array, "examples latents"]) -> Bool[np.ndarray, " latents"]:
    """Latents that are on in none of the examples."""
    return ~(np.asarray(codes) != 0).any(axis=0)


def fvu(h: Float[Array, "examples d"], reconstruction: Float[Array, "examples d"]) -> float:
    """Fraction of variance unexplained: sum |h - h'|² / sum |h - mean|²; 1 for the mean, above 1 for worse."""
    h, error = np.asarray(h, np.float64), np.asarray(h, np.float64) - np.asarray(reconstruction, np.float64)
    return float((error**2).sum() / ((h - h.mean(axis=0)) ** 2).sum())


def shuffled(found: Float[Array, "latents d"], seed: int = 0) -> Float[np.ndarray, "latents d"]:
    """The directions with the entries of each permuted and given random signs: only what they point at is lost."""
    rng, rows = np.random.default_rng(seed), np.asarray(found, np.float64)
    return rng.permuted(rows, axis=1) * rng.choice([-1.0, 1.0], rows.shape)


def above_chance(value: Float[Array, "..."] | float, chance: float) -> Float[np.ndarray, "..."]:
    """(value - chance) / (1 - chance): 0 at chance, 1 where all is found."""
    return np.asarray((np.asarray(value, np.float64) - chance) / (1 - chance))
