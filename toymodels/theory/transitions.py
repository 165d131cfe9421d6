"""Where, along the importance ratio r, the best arrangement of few features changes, and whether it jumps."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Real
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float
from toymodels.shapes.arrangements import gram_invariants
from toymodels.theory.branches import Question, errors_of_last
from toymodels.theory.expected_loss import Solution
from toymodels.theory.linear import feature_variance
from toymodels.theory.minima import local_minima

DROPPED = ("extra dropped",)
OWN = ("other dropped", "others in a pair", "others on one side")


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
    return boundaries(question, p, [side])[0]


def boundaries(
    question: Question, p: Real[Array, " values"] | ArrayLike, sides: Sequence[tuple[str, ...]]
) -> Float[np.ndarray, "sides values"]:
    """`boundary` of several sides, in one search."""
    values = np.asarray(p, np.float64).tolist()
    keys = [(question, side, value) for side in sides for value in values]
    new = list({key: None for key in keys if key not in _boundaries})
    found = _searched_boundary(question, np.array([key[-1] for key in new]), [key[1] for key in new])
    _boundaries.update(zip(new, found.tolist(), strict=True))
    return np.reshape([_boundaries[key] for key in keys], (len(sides), len(values)))


def _searched_boundary(
    question: Question, p: np.ndarray, sides: list[tuple[str, ...]], rounds: int = 40, rtol: float = 1e-7
) -> np.ndarray:
    """A side for each p."""
    r, active = np.ones_like(p), np.arange(len(p))
    for _ in range(rounds):
        if not len(active):
            break
        at_p, at_r = p[active], r[active]
        found = question(at_p, at_r)
        inside = np.array([[name in sides[place] for place in active] for name in found.names])
        held, others = (found.where(which).best() for which in (inside, ~inside))
        slopes = errors_of_last(held, at_p), errors_of_last(others, at_p)
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
    W, b, loss = (value[index, here] for value in found[1:])
    return _Side(r, np.array(found.names)[index], W, b, loss, errors_of_last(Solution(W, b, loss), p))


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
