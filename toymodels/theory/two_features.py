"""Two features in one dimension, importances 1 and r: which is kept, when both are, and the boundaries between.

The phase diagram of Elhage et al. 2022, section 4, in closed form where there is one, else by a search.

>>> best = two_features(0.1, 0.5).best
>>> round(float(best.loss), 6)
0.002485
>>> round(float(boundary_without_bias(0.1)), 4)  # p / (2 - p)
0.0526
"""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Real

from toymodels.arrays import Array, Float
from toymodels.theory.expected_loss import Solution, expected_loss
from toymodels.theory.feature_arguments import Nested, Number, numbers, probability, refuse
from toymodels.theory.linear import feature_variance
from toymodels.theory.minima import local_minima


class TwoFeatures(NamedTuple):
    """The candidate optima of n = 2, m = 1 with importances (1, r), and the best of them, by name.

    neither: W = 0, both predicted by their mean. first, second: that feature kept exactly, the other predicted
    by its mean. antipodal, merged: the best local minimum with w_1 w_2 < 0, > 0; where there is none its loss is inf
    and its weights are nan. `name` is the field `best` repeats.
    """

    neither: Solution
    first: Solution
    second: Solution
    antipodal: Solution
    merged: Solution
    best: Solution
    name: str | np.ndarray


# (w_1, w_2, b_1, b_2 - (1 - w_2^2) p / 2) near the minima met over the whole (p, r) square, r <= 1.
ANTIPODAL_STARTS = np.array(
    [[1, -1, 0, 0], [0.9, -0.6, 0.1, 0.1], [1, -0.7, 0.05, 0], [1, -0.3, 0.1, 0], [1, -0.1, 0.02, 0]]
)


MERGED_STARTS = np.array([[1, 0.45, -0.05, 0], [1, 0.2, -0.05, 0], [0.8, 0.7, -0.1, 0]])


def _kept(p: np.ndarray, r: np.ndarray, keep: tuple[float, float]) -> Solution:
    kept = np.array(keep, np.float64)
    dropped = np.stack([np.ones_like(r), r], -1) @ (1 - kept)
    W = np.tile(kept[:, None], (*p.shape, 1, 1))
    return Solution(W, (1 - kept) * p[..., None] / 2, dropped * feature_variance(p))


def _minima(p: np.ndarray, r: np.ndarray, starts: np.ndarray) -> Solution:
    """Points x starts: the local minimum from each, for r <= 1 (p and r of one shape, one axis)."""
    count = len(starts)
    start = np.tile(starts, (len(p), 1, 1))
    start[..., 3] += (1 - start[..., 1] ** 2) * p[:, None] / 2
    start = start.reshape(-1, 4)
    importance = np.stack([np.ones_like(r), r], -1).repeat(count, axis=0)
    found = local_minima(start[:, :2, None], start[:, 2:], p.repeat(count)[:, None], importance)
    return Solution(*(value.reshape(len(p), count, *value.shape[1:]) for value in found))


def _superposed(minima: Solution, sign: int) -> Solution:
    """Along the second axis the best local minimum with w_1 w_2 of this sign."""
    W, b, loss = minima
    # A descent may end in a dedicated solution, with one weight zero to rounding: not of this kind.
    loss = np.where(sign * W[..., 0, 0] * W[..., 1, 0] > 1e-6, loss, np.inf)
    here, best = np.arange(len(loss)), loss.argmin(1)
    W, b, loss = (value[here, best] for value in (W, b, loss))
    missing = np.isinf(loss)
    W = np.where(missing[:, None, None], np.nan, W * np.where(W[:, :1] < 0, -1, 1))
    return Solution(W, np.where(missing[:, None], np.nan, b), loss)


def two_features(p: Real[Array, "..."] | Nested | Number, r: Real[Array, "..."] | Nested | Number) -> TwoFeatures:
    """The candidate optima of n = 2, m = 1, importances (1, r), at p: weights, biases, exact losses.

    The phase diagram of Elhage et al. 2022 with biases and norms optimised. With v = p/3 - p^2/4 neither costs
    (1 + r) v, first r v, second v; antipodal and merged are local minima of `expected_loss` found numerically. p and
    r > 0 broadcast against each other; the answer has their shape.
    """
    p, r = np.broadcast_arrays(probability(p), numbers("r", r))
    refuse("r", r, r <= 0, "a relative importance is greater than 0")
    flat_p, flat_r = p.ravel(), r.ravel()
    # Swapping the features turns r into 1 / r and divides the loss by r.
    swap = flat_r > 1
    ratio = np.where(swap, 1 / flat_r, flat_r)
    keep = {"neither": (0.0, 0.0), "first": (1.0, 0.0), "second": (0.0, 1.0)}
    found = {name: _kept(flat_p, flat_r, which) for name, which in keep.items()}
    minima = _minima(flat_p, ratio, np.concatenate([ANTIPODAL_STARTS, MERGED_STARTS]))
    split = len(ANTIPODAL_STARTS)
    for name, starts, sign in (("antipodal", slice(split), -1), ("merged", slice(split, None), 1)):
        W, b, loss = _superposed(Solution(*(value[:, starts] for value in minima)), sign)
        W = np.where(swap[:, None, None], sign * W[:, ::-1], W)
        found[name] = Solution(W, np.where(swap[:, None], b[:, ::-1], b), np.where(swap, flat_r, 1) * loss)
    names = np.array(list(found))
    index = np.argmin([solution.loss for solution in found.values()], axis=0)
    cells = np.arange(len(flat_p))
    found["best"] = Solution(*(np.stack(values)[index, cells] for values in zip(*found.values(), strict=True)))
    shaped: dict[str, Any] = {
        name: Solution(*(value.reshape((*p.shape, *value.shape[1:]))[()] for value in solution))
        for name, solution in found.items()
    }
    name = names[index].reshape(p.shape)
    return TwoFeatures(**shaped, name=name if p.shape else str(name))


def boundary_without_bias(
    p: Real[Array, "..."] | Nested | Number, *, mean_of_dropped: bool = False
) -> Float[Array, "..."] | float:
    """r = p / (2 - p): antipodal unit weights, (1 + r) p^2 / 6, against dropping one, r p / 3; n = 2, m = 1, b = 0.

    Superposition wins for r between this and its inverse; at p = 1 the two meet at r = 1. With `mean_of_dropped` the
    dropped feature alone may have a bias, p/2, and costs r v, v = p/3 - p^2/4: r = 2 p / (4 - 5 p), nan for p > 4/7.
    """
    p = probability(p)
    if not mean_of_dropped:
        return p / (2 - p)
    return np.where(7 * p <= 4, 2 * p / np.where(7 * p <= 4, 4 - 5 * p, 1), np.nan)[()]


def antipodal_best_bias(p: Real[Array, "..."] | Nested | Number) -> tuple[Any, Any]:
    """argmin and min over b of E (x_1 - max(x_1 - x_2 + b, 0))^2, the loss of one of two antipodal unit weights.

    (1-p)^2 b^2 + p (1-p) (b^2 + b^3/3) + p^2 (b^3/3 + (1-b)^3/3 - (1-b)^4/6) for b in [0, 1]: a pair that has been on
    together is read too low, which a positive bias mends at second order in p. The loss is p^2/6 - p^4/36 + O(p^5).
    """
    p = probability(p)
    b = np.ones_like(p)
    # The slope is increasing and convex on [0, 1], so that Newton from the right end descends to its zero.
    for _ in range(30):
        slope = 2 * (1 - p) * b + p * (1 - p) * b**2 + p**2 * (2 * b**2 - 1 / 3 - 2 / 3 * b**3)
        b = b - slope / (2 * (1 - p) + 2 * p * (1 - p) * b + p**2 * (4 * b - 2 * b**2))
    both_on = 1 / 6 - b / 3 + 2 * b**3 / 3 - b**4 / 6
    return b, (1 - p) * b**2 + p * (1 - p) * b**3 / 3 + p**2 * both_on


def boundary_best_bias(p: Real[Array, "..."] | Nested | Number) -> Float[Array, "..."] | float:
    """r = B / (v - B): antipodal unit weights with their best bias, (1 + r) B, against one kept and one dropped, r v.

    B is `antipodal_best_bias`, v = p/3 - p^2/4 that of a feature predicted by its mean. Superposition wins for r
    between this and its inverse; nan for p where it wins nowhere (2 B > v, p above about 0.62).
    """
    _, loss = antipodal_best_bias(p)
    gain = feature_variance(p) - loss
    return np.where(gain >= loss, loss / np.where(gain >= loss, gain, 1), np.nan)[()]


def instability(p: Real[Array, "..."] | Nested | Number) -> tuple[Any, Any]:
    """r = K / v above which keeping one feature is a saddle towards an antipodal, or a parallel, second weight.

    For W = (1 + d, +-e), b_1 = c and d, e, c small of one order, the loss is r v + e^2 (K - r v), v = p/3 - p^2/4, K
    the min over d, c of (1 - p) E max(c +- x_2, 0)^2 + p E (2 d u + c +- x_2)^2 at e = 1, u uniform. For r < 1.
    """
    p = probability(p)
    v = feature_variance(p)
    # Antipodal, c in [0, p/2]: zero of (1-p) (2 (1-p) c + p c^2) + p (c - p/2) / 2.
    linear = 2 * (1 - p) ** 2 + p / 2
    c = p**2 / 2 / (linear + np.sqrt(linear**2 + (1 - p) * p**3))
    antipodal = (1 - p) * ((1 - p) * c**2 + p * c**3 / 3) + p * (v + (c - p / 2) ** 2 / 4)
    # Parallel, c = y - 1 <= -p/2: zero of (1-p) y^2 + y/2 - (1 - p/2) / 2.
    y = (1 - p / 2) / (0.5 + np.sqrt(0.25 + 2 * (1 - p) * (1 - p / 2)))
    parallel = (1 - p) * p * y**3 / 3 + p * (v + (p / 2 - 1 + y) ** 2 / 4)
    return antipodal / v, parallel / v


def antipodal_branch(p: Float[np.ndarray, " p"], r: float, level: float) -> xr.Dataset:
    """Of the antipodal pair, over ascending p at one r <= 1: "kept", |w_2 / w_1|, NaN where there is none; ends of it.

    lost: the largest p with |w_2 / w_1| above `level`. alone: below it, the first feature alone is no minimum. gained:
    where |w_2 / w_1| comes above `level` on the way down in p. "loss" is that of the optimum.
    """
    found, alone = two_features(p, r), float(np.interp(r, instability(p)[0], p))
    kept = np.abs(found.antipodal.W[:, 1, 0] / found.antipodal.W[:, 0, 0])
    ends = {"lost": (lost := p[kept > level].max()), "alone": alone, "gained": min(alone, lost)}
    return xr.Dataset({"kept": ("p", kept), "loss": ("p", found.best.loss), **ends}, {"p": p})


def _tie(p: np.ndarray, r: np.ndarray) -> np.ndarray:
    """L_1 / (v - L_2) at the best superposed solution for r: where that solution ties with dropping feature 2."""
    v = feature_variance(p)
    # Only the antipodal: merged solutions tie at a larger r for every p (at p = 1 at the same, by u -> 1 - u).
    W, b, _ = (np.nan_to_num(value) for value in _superposed(_minima(p, r, ANTIPODAL_STARTS), -1))
    own, other = (expected_loss(W, b, p[:, None], which) for which in ((1, 0), (0, 1)))
    gain = v - other
    # With nearly nothing gained the ratio is 0/0: the dedicated solution, whose limit `instability` states.
    sound = gain > 1e-5 * v
    return np.where(sound, own / np.where(sound, gain, 1), np.inf)


def boundary_optimised(p: Real[Array, "..."] | Nested | Number) -> Float[Array, "..."] | float:
    """The r where keeping the first feature alone, r v, stops being the optimum of n = 2, m = 1, importances (1, r).

    Superposition wins for r between this and its inverse. It is min over weights of L_1 / (v - L_2), L_i the loss of
    output i, found by Dinkelbach's iteration r <- L_1 / (v - L_2) at the optimum for r (a jump: p below about 0.55 or
    above 0.85), or the `instability`, where the second weight grows continuously from 0. To about 1e-10.
    """
    p = probability(p)
    flat = p.ravel()
    r = np.ones_like(flat)
    active = np.arange(len(flat))
    while len(active):
        tie = _tie(flat[active], r[active])
        lower = tie < r[active] * (1 - 1e-12)
        active = active[lower]
        r[active] = tie[lower]
    return np.minimum(r, np.minimum(*instability(flat))).reshape(p.shape)[()]
