"""Phases of few features in a bottleneck: the least loss of each arrangement, and where and how the best changes.

The loss is `superposition.expected_loss`. Features in orthogonal groups do not interact, so that a loss is the sum of
its groups' losses: with n = 3 and m = 2 every arrangement but those with all three in one plane is one of n = 2, m = 1
beside a feature that is kept exactly. Elhage et al. 2022, section 4.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Real
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float, Int
from toymodels.theory.expected_loss import Solution, expected_loss
from toymodels.theory.linear import feature_variance
from toymodels.theory.minima import local_minima
from toymodels.theory.two_features import TwoFeatures, two_features


def arrangement(W: Real[Array, "features hidden"] | ArrayLike, dead: float = 0.1, tol: float = 0.05) -> str:
    """Which rows of W interact, and with what sign: "1|2", "1-3|2", "1-2-3"; features are counted from 1.

    Left out are rows shorter than `dead` times the longest (times 1, if none is). Rows with |cos| > tol are in one
    group, joined by "-" where all its inner products are negative, "+" where positive, "~" otherwise.
    """
    W = np.asarray(W, np.float64)
    if W.ndim != 2 or not np.isfinite(W).all():
        raise ValueError(f"W of shape {W.shape}: finite features x hidden expected")
    norms = np.linalg.norm(W, axis=1)
    kept = np.flatnonzero(norms > dead * max(norms.max(initial=0.0), 0.1)).tolist()
    cosines = (W @ W.T) / np.maximum(np.outer(norms, norms), 1e-300)
    groups: list[list[int]] = []
    for feature in kept:
        near = [group for group in groups if any(abs(cosines[feature, other]) > tol for other in group)]
        groups = [group for group in groups if group not in near] + [sorted(sum(near, [feature]))]
    return "|".join(_sign(cosines[np.ix_(group, group)]).join(str(i + 1) for i in group) for group in sorted(groups))


def _sign(cosines: np.ndarray) -> str:
    signs = set(np.sign(cosines[np.triu_indices(len(cosines), 1)]).tolist())
    return "-" if signs == {-1.0} else "+" if signs == {1.0} else "~"


class Branches(NamedTuple):
    """The least loss of each arrangement at points (p, r); where it does not exist, inf, with weights nan."""

    names: tuple[str, ...]
    W: Float[np.ndarray, "branches *points features hidden"]
    b: Float[np.ndarray, "branches *points features"]
    loss: Float[np.ndarray, "branches *points"]

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

    def without(self, *names: str) -> "Branches":
        kept = [place for place, name in enumerate(self.names) if name not in names]
        return Branches(tuple(self.names[place] for place in kept), *(value[kept] for value in self[1:]))


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
    W, b, loss = (value.reshape(points, count, *value.shape[1:]) for value in found)
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


def branch_of(W: Real[Array, "features hidden"] | ArrayLike) -> str:
    """The branch of `two_branches` or `three_branches` that trained weights belong to; "none of these" otherwise."""
    W = np.asarray(W, np.float64)
    names = TWO if W.shape == (2, 1) else THREE
    return names.get(arrangement(W), "none of these")


TWO = {
    "": "nothing kept",
    "1": "extra dropped",
    "2": "other dropped",
    "1-2": "extra in a pair",
    "1+2": "extra on one side",
}
THREE = {
    "1|2": "extra dropped",
    "1|3": "other dropped",
    "2|3": "other dropped",
    "1-3|2": "extra in a pair",
    "1|2-3": "extra in a pair",
    "1+3|2": "extra on one side",
    "1|2+3": "extra on one side",
    "1-2|3": "others in a pair",
    "1+2|3": "others on one side",
    "1-2-3": "triangle",
    "1~2~3": "mixed signs",
    "1+2+3": "mixed signs",
}

DROPPED = ("extra dropped",)
OWN = ("other dropped", "others in a pair", "others on one side")


def errors_of_extra(branches: Branches, p: Real[Array, "*points"] | ArrayLike) -> Float[np.ndarray, "branches *points"]:
    """dL/dr along each branch: by the envelope theorem, the last output's own error; nan where there is no branch."""
    exists = np.isfinite(branches.loss)
    return np.where(exists, _errors_of_last(Solution(*branches[1:]), np.asarray(p, np.float64)), np.nan)


def _errors_of_last(solution: Solution, p: np.ndarray) -> np.ndarray:
    """Of the last output; of anything where there is no solution."""
    n = solution.b.shape[-1]
    probability = np.broadcast_to(p, solution.b.shape[:-1])[..., None]
    return np.asarray(expected_loss(np.nan_to_num(solution.W), np.nan_to_num(solution.b), probability, np.eye(n)[-1]))


_boundaries: dict[tuple[Question, tuple[str, ...], float], float] = {}
"""Of `boundary`: a diagram asks for the same densities for its lines, its findings and its tests."""


def boundary(
    question: Question, p: Real[Array, " values"] | ArrayLike, side: tuple[str, ...]
) -> Float[np.ndarray, " values"]:
    """The r, counted from 1, at which the branches `side` begin to win: below 1 for `DROPPED`, above for `OWN`.

    Where their loss a + b r (b their last output's error) ties with the others' L_1 + r L_2: r = (L_1 - a) / (b - L_2),
    at the weights that are best at r, iterated (Dinkelbach 1967). Fast for a jump; where the others grow continuously
    out of `side` the steps halve, and end where the two losses agree to 1e-7: an error of about 1e-3 in r. Each value
    of p is searched once a process.
    """
    keys = [(question, side, value) for value in np.asarray(p, np.float64).tolist()]
    new = list({key: None for key in keys if key not in _boundaries})
    found = _searched_boundary(question, np.array([key[-1] for key in new]), side)
    _boundaries.update(zip(new, found.tolist(), strict=True))
    return np.array([_boundaries[key] for key in keys])


def _searched_boundary(
    question: Question, p: np.ndarray, side: tuple[str, ...], rounds: int = 40, rtol: float = 1e-7
) -> np.ndarray:
    r, active = np.ones_like(p), np.arange(len(p))
    for _ in range(rounds):
        if not len(active):
            break
        at_p, at_r = p[active], r[active]
        found = question(at_p, at_r)
        held, others = (each.best() for each in (found.without(*set(found.names) - set(side)), found.without(*side)))
        slopes = _errors_of_last(held, at_p), _errors_of_last(others, at_p)
        lead = held.loss - others.loss
        open_ = np.isfinite(others.loss) & (lead > 1e-7 * held.loss)
        gap = np.where(open_, slopes[0] - slopes[1], 1.0)
        new = at_r - np.where(open_, lead, 0) / gap
        moved = open_ & (np.abs(new / at_r - 1) > rtol)
        r[active[open_]] = new[open_]
        active = active[moved]
    return r


class Transition(NamedTuple):
    """A change of the optimum along r at one p."""

    p: float
    r: float
    below: str
    above: str
    jump: float
    """Of W Wᵀ, largest entry, across the change: 0 for a continuous one."""
    kink: float
    """Fall of dL/dr, in units of v: 0 for a continuous one."""
    coexist: bool
    """Whether the optimum of each side is a local minimum, and not the best, on the other, at r (1 -+ 2e-6)."""

    @property
    def first_order(self) -> bool:
        return self.jump > JUMP


JUMP = 0.02
"""Least jump of an entry of W Wᵀ that counts as one: a square root grows by less within the width of a search."""


STEEP = 0.1
"""Change of an entry of W Wᵀ within an interval from which a jump is looked for."""


def gram_invariants(W: Float[np.ndarray, "*points features hidden"]) -> Float[np.ndarray, "*points entries"]:
    """Squared lengths and inner products of rows, the same if the features before the last change places (n <= 3)."""
    products = W @ np.swapaxes(W, -1, -2)
    n = products.shape[-1]
    first, second = np.triu_indices(n - 1, 1)
    lengths = np.sort(np.diagonal(products, axis1=-2, axis2=-1)[..., : n - 1], axis=-1)
    with_last = np.sort(products[..., : n - 1, -1], axis=-1)
    return np.concatenate([lengths, products[..., -1, -1:], with_last, products[..., first, second]], axis=-1)


class _Side(NamedTuple):
    """The optimum at points of one axis."""

    r: np.ndarray
    name: np.ndarray
    W: np.ndarray
    b: np.ndarray
    loss: np.ndarray
    slope: np.ndarray
    """dL/dr."""

    def at(self, places: np.ndarray) -> "_Side":
        return _Side(*(value[places] for value in self))


def _optimum(question: Question, p: np.ndarray, r: np.ndarray) -> _Side:
    """Where weights grow continuously out of a dropped feature, several branches tie at first: then it is dropped."""
    found = question(p, r)
    dropped = np.array([name.endswith("dropped") for name in found.names])
    index = (found.loss * np.where(dropped, 1 - 1e-12, 1)[:, None]).argmin(axis=0)
    here = np.arange(len(r))
    best = Solution(*(value[index, here] for value in found[1:]))
    return _Side(r, np.array(found.names)[index], *best, _errors_of_last(best, p))


def _distance(one: _Side, other: _Side) -> np.ndarray:
    return np.abs(gram_invariants(one.W) - gram_invariants(other.W)).max(-1)


def transitions(
    question: Question,
    p: Real[Array, " values"] | ArrayLike,
    r: Real[Array, " ratios"] | ArrayLike,
    width: float = 3e-7,
) -> list[Transition]:
    """Where the optimum along r changes its branch or its weights abruptly, for each p; to a relative width in r.

    Each interval of the grid `r` with another branch at its ends, or a change of W Wᵀ above `STEEP`, is halved towards
    the change, and what is left of it on either side searched again. Weights that only grow fast are let go. A jump
    below `STEEP` within a branch is found only where the weights change fast around it.
    """
    p, r = np.asarray(p, np.float64), np.asarray(r, np.float64)
    scan = _optimum(question, np.repeat(p, len(r)), np.tile(r, len(p)))
    places = np.flatnonzero(np.diff(scan.r) > 0)  # not from one p to the next
    low, high, at_p = scan.at(places), scan.at(places + 1), np.repeat(p, len(r))[places]
    found = []
    for _ in range(4):  # more changes in one interval of the grid are not looked for
        searched = (low.name != high.name) | (_distance(low, high) > STEEP)
        low, high, at_p = low.at(searched), high.at(searched), at_p[searched]
        if not len(at_p):
            break
        left, right = _narrowed(question, low, high, at_p, width)
        real = (left.name != right.name) | (_distance(left, right) > JUMP)
        low, high, left, right, at_p = (*(side.at(real) for side in (low, high, left, right)), at_p[real])
        found += _described(question, left, right, at_p)
        low, high = (_Side(*map(np.concatenate, zip(*pair, strict=True))) for pair in ((low, right), (left, high)))
        at_p = np.tile(at_p, 2)
    return _merged(sorted(found))


def _merged(found: list[Transition]) -> list[Transition]:
    """Two continuous changes within .1 % of r are one: which branch grows is not resolved while it is tiny."""
    merged: list[Transition] = []
    for each in found:
        last = merged[-1] if merged else None
        near = last is not None and last.p == each.p and each.r / last.r < 1.001
        if last is not None and near and not (last.first_order or each.first_order):
            merged[-1] = last._replace(above=each.above)
        else:
            merged.append(each)
    return merged


def _narrowed(question: Question, low: _Side, high: _Side, p: np.ndarray, width: float) -> tuple[_Side, _Side]:
    """The ends of intervals cut to a width; those in which the optimum changes too little for a jump are left."""
    low, high = (_Side(*(value.copy() for value in side)) for side in (low, high))
    smooth = np.zeros(len(p), bool)
    while True:
        open_ = np.flatnonzero((high.r / low.r - 1 > width) & ((low.name != high.name) | (_distance(low, high) > JUMP)))
        if not len(open_):
            return low, high
        below, above = low.at(open_), high.at(open_)
        cuts = np.where(smooth[open_, None], _quarters(below, above), _around_the_tie(below, above, width))
        scan = _optimum(question, p[open_].repeat(3), cuts.ravel())
        before = np.log(above.r / below.r)
        for column in (1, 0, 2):
            below, above, middle = low.at(open_), high.at(open_), scan.at(3 * np.arange(len(open_)) + column)
            nearer = _distance(below, middle) < _distance(middle, above)
            up = np.where(below.name != above.name, middle.name == below.name, nearer)
            inside = (below.r < middle.r) & (middle.r < above.r)
            for side, mine in ((low, up & inside), (high, ~up & inside)):
                for old, new in zip(side, middle, strict=True):
                    old[open_[mine]] = new[mine]
        # The tie of two lines is nothing to go by where the loss only bends.
        smooth[open_] |= np.log(high.r[open_] / low.r[open_]) > before / 4


def _quarters(low: _Side, high: _Side) -> np.ndarray:
    return low.r[:, None] * (high.r / low.r)[:, None] ** np.array([0.25, 0.5, 0.75])


def _around_the_tie(low: _Side, high: _Side, width: float) -> np.ndarray:
    """The middle, between two points close to where the tangents of the loss at both ends meet, within the interval.

    The least loss is concave in r, a minimum of lines: its tangents meet inside, and near a kink at its place to second
    order in the width of the interval.
    """
    bend = low.slope - high.slope
    lead = high.loss - high.slope * high.r - low.loss + low.slope * low.r
    middle = np.sqrt(low.r * high.r)
    tie = np.where(bend > 0, lead / np.where(bend > 0, bend, 1), middle)
    gap = high.r / low.r - 1
    near = np.maximum(0.4 * width, gap**2 / 4)
    ends = [np.clip(tie * (1 + sign * near), low.r * (1 + gap / 100), high.r / (1 + gap / 100)) for sign in (-1, 1)]
    return np.stack([ends[0], middle, ends[1]], -1)


def _described(question: Question, low: _Side, high: _Side, p: np.ndarray) -> list[Transition]:
    if not len(p):
        return []
    kink = (low.slope - high.slope) / feature_variance(p)
    both = _persists(question, low, p, 1 + 2e-6) & _persists(question, high, p, 1 - 2e-6)
    columns = (p, np.sqrt(low.r * high.r), low.name, high.name, _distance(low, high), kink, both)
    return [Transition(*row) for row in zip(*(np.asarray(column).tolist() for column in columns), strict=True)]


def _persists(question: Question, side: _Side, p: np.ndarray, factor: float, nudges: int = 4) -> np.ndarray:
    """Whether descents from these weights, nudged by 1e-5, at r times this factor all end above the optimum there."""
    n, m = side.W.shape[-2:]
    r = side.r * factor
    start = np.concatenate([side.W.reshape(len(r), -1), side.b], axis=1).repeat(nudges, axis=0)
    start = start + 1e-5 * np.random.default_rng(0).normal(size=start.shape)
    importance = np.stack([np.ones_like(r)] * (n - 1) + [r], -1).repeat(nudges, axis=0)
    W, b = start[:, : n * m].reshape(-1, n, m), start[:, n * m :]
    ends = local_minima(W, b, p.repeat(nudges)[:, None], importance).loss.reshape(-1, nudges).min(1)
    return np.asarray(ends > question(p, r).best().loss * (1 + 1e-10))
