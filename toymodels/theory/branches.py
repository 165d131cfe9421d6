"""Branches: the least loss of each arrangement of two or three features in a bottleneck, at density p and ratio r.

The loss is `expected_loss`. Features in orthogonal groups do not interact, so that a loss is the sum of its groups'
losses: with n = 3 and m = 2 every arrangement but those with all three in one plane is one of n = 2, m = 1 beside a
feature that is kept exactly. Elhage et al. 2022, section 4.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Real
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Bool, Float, Int
from toymodels.theory.expected_loss import Solution, expected_loss
from toymodels.theory.minima import local_minima
from toymodels.theory.two_features import TwoFeatures, two_features


class Branches(NamedTuple):
    """The least loss of each arrangement at points (p, r); where it does not exist, inf, with weights nan."""

    names: tuple[str, ...]
    W: Float[np.ndarray, "branches *points features hidden"]
    b: Float[np.ndarray, "branches *points features"]
    loss: Float[np.ndarray, " branches *points"]

    def winner(self) -> Int[np.ndarray, "*points"]:
        """Of the branch of least loss."""
        return np.asarray(self.loss.argmin(axis=0))

    def best(self) -> Solution:
        index = self.winner()
        W, b, loss = (
            np.take_along_axis(value, index.reshape(1, *index.shape, *[1] * (value.ndim - 1 - index.ndim)), 0)[0]
            for value in self[1:]
        )
        return Solution(W, b, loss)

    def where(self, kept: Bool[np.ndarray, " branch *points"]) -> "Branches":
        """As if the others did not exist."""
        return self._replace(loss=np.where(kept, self.loss, np.inf))


Question = Callable[[np.ndarray, np.ndarray], Branches]
"""From p and r, of one shape, to the branches there."""


def two_branches(p: Real[Array, "..."] | ArrayLike, r: Real[Array, "..."] | ArrayLike) -> Branches:
    """`two_features` (n = 2, m = 1, importances (1, r)) by arrangement; the feature with r is the last, the extra."""
    found = two_features(np.asarray(p, np.float64), np.asarray(r, np.float64))
    named = {
        "nothing kept": found.neither,
        "extra dropped": found.first,
        "other dropped": found.second,
        "extra in a pair": found.antipodal,
        "extra on one side": found.merged,
    }
    return _stacked(named)


def _stacked(named: dict[str, Solution]) -> Branches:
    W, b, loss = (np.stack([np.asarray(each[part]) for each in named.values()]) for part in range(3))
    return Branches(tuple(named), W, b, loss)


def _rows(angles: Sequence[float], lengths: Sequence[float], b: Sequence[float]) -> np.ndarray:
    """W, b of three features in a plane as one point; angles in degrees."""
    turned = np.radians(angles)
    W = np.stack([np.cos(turned), np.sin(turned)], -1) * np.array(lengths)[:, None]
    return np.concatenate([W.ravel(), b])


# Near the minima with three rows in a plane, none orthogonal to another, met over the (p, r) square.
PLANE_STARTS = np.array(
    [
        _rows([0, 120, 240], [0.9, 0.9, 0.9], [0.1, 0.1, 0.1]),
        _rows([0, 95, 227], [1, 1, 0.3], [0.05, 0.05, 0.2]),
        _rows([0, 140, 250], [0.85, 0.85, 1], [0.15, 0.15, 0.05]),
        _rows([0, 120, 60], [0.9, 0.9, 0.6], [0.1, 0.1, -0.05]),
        _rows([0, 65, 125], [0.9, 0.6, 0.9], [0.1, -0.05, 0.1]),
    ]
)


def _plane(p: np.ndarray, r: np.ndarray) -> tuple[Solution, Solution]:
    """The least local minima with all inner products negative, and with some positive (p and r of one axis)."""
    points, count = len(p), len(PLANE_STARTS)
    start = np.tile(PLANE_STARTS, (points, 1))
    importance = np.stack([np.ones_like(r), np.ones_like(r), r], -1).repeat(count, axis=0)
    found = local_minima(start[:, :6].reshape(-1, 3, 2), start[:, 6:], p.repeat(count)[:, None], importance)
    W, b, loss = (np.asarray(value).reshape(points, count, *value.shape[1:]) for value in found)
    products = (W @ np.swapaxes(W, -1, -2))[..., [0, 0, 1], [1, 2, 2]]
    # A descent may end with a row that is zero, or orthogonal to the others, to rounding: not of this kind.
    apart = (np.abs(products) > 1e-5).all(-1)
    negative = (products < 0).all(-1)
    return _least(W, b, loss, apart & negative), _least(W, b, loss, apart & ~negative)


def _least(W: np.ndarray, b: np.ndarray, loss: np.ndarray, which: np.ndarray) -> Solution:
    """Of the minima along axis 1 that are of this kind."""
    loss = np.where(which, loss, np.inf)
    here, best = np.arange(len(loss)), loss.argmin(1)
    missing = np.asarray(np.isinf(loss[here, best]))
    W = np.where(missing[:, None, None], np.nan, W[here, best])
    return Solution(W, np.where(missing[:, None], np.nan, b[here, best]), loss[here, best])


def three_branches(p: Real[Array, "..."] | ArrayLike, r: Real[Array, "..."] | ArrayLike) -> Branches:
    """n = 3, m = 2, importances (1, 1, r): the least loss of each arrangement, up to exchange of the first two.

    The third feature, the extra one, or one of the others dropped (v times its importance, v = p/3 - p^2/4); the extra
    one paired with one of the others, antipodal or on one side (the n = 2, m = 1 losses for r) beside the other; the
    others paired (those for 1) beside the extra one; all three in a plane with negative inner products, a triangle, or
    with mixed signs (local minima of the loss, found numerically). p and r broadcast; about 50 ms a point.
    """
    p, r = np.broadcast_arrays(np.asarray(p, np.float64), np.asarray(r, np.float64))
    flat_p, flat_r = p.ravel(), r.ravel()
    # One search for both pairs; that of the others is the same for every r.
    values, which = np.unique(flat_p, return_inverse=True)
    pairs = two_features(np.append(flat_p, values), np.append(flat_r, np.ones_like(values)))
    of_extra, of_others = _at(pairs, np.arange(len(flat_p))), _at(pairs, len(flat_p) + which)
    triangle, mixed = _plane(flat_p, flat_r)
    named = {
        "extra dropped": _beside(of_extra["first"], (0, 2)),
        "other dropped": _beside(of_others["first"], (0, 1)),
        "extra in a pair": _beside(of_extra["antipodal"], (0, 2)),
        "extra on one side": _beside(of_extra["merged"], (0, 2)),
        "others in a pair": _beside(of_others["antipodal"], (0, 1)),
        "others on one side": _beside(of_others["merged"], (0, 1)),
        "triangle": triangle,
        "mixed signs": mixed,
    }
    names, W, b, loss = _stacked(named)
    kinds = len(names)
    return Branches(
        names, W.reshape(kinds, *p.shape, 3, 2), b.reshape(kinds, *p.shape, 3), loss.reshape(kinds, *p.shape)
    )


def _at(pairs: TwoFeatures, places: np.ndarray) -> dict[str, Solution]:
    kinds = ("first", "antipodal", "merged")
    return {kind: Solution(*(value[places] for value in getattr(pairs, kind))) for kind in kinds}


def _beside(pair: Solution, places: tuple[int, int]) -> Solution:
    """A solution of two features in one dimension at these places of three, the other kept exactly in a second."""
    alone = 3 - sum(places)
    W, b = np.zeros((*np.shape(pair.loss), 3, 2)), np.zeros((*np.shape(pair.loss), 3))
    W[..., places, 0] = pair.W[..., 0]
    W[..., alone, 1] = 1
    b[..., places] = pair.b
    return Solution(W, b, pair.loss)


def errors_of_extra(branches: Branches, p: Real[Array, "*points"] | ArrayLike) -> Float[np.ndarray, " branch *points"]:
    """dL/dr along each branch: by the envelope theorem, the last output's own error; nan where there is no branch."""
    exists = np.isfinite(branches.loss)
    return np.where(exists, errors_of_last(Solution(*branches[1:]), np.asarray(p, np.float64)), np.nan)


def errors_of_last(solution: Solution, p: np.ndarray) -> np.ndarray:
    """Of the last output; of anything where there is no solution."""
    n = solution.b.shape[-1]
    probability = np.broadcast_to(p, solution.b.shape[:-1])[..., None]
    return np.asarray(expected_loss(np.nan_to_num(solution.W), np.nan_to_num(solution.b), probability, np.eye(n)[-1]))
