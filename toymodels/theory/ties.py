"""Optima that tie: at r = 1 all features are alike, so that which of them is "extra" is arbitrary.

A trained model ends in any one of the optima that tie, and a pair of models on the two sides of a transition in any
pair of them. Compare each with the nearest, or by numbers that do not depend on the order of the features.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Real
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float, Int
from toymodels.shapes.arrangements import branch_of, gram_invariants
from toymodels.theory.branches import Question
from toymodels.theory.expected_loss import expected_loss

SAME = 1e-4
"""Largest difference of `gram_invariants` between two optima that count as one."""


class TiedOptima(NamedTuple):
    """The optima at one (p, r), best first; two that differ by an exchange of features before the last are one."""

    names: tuple[str, ...]
    W: Float[np.ndarray, "optima features hidden"]
    b: Float[np.ndarray, "optima features"]
    loss: Float[np.ndarray, " optima"]

    @property
    def invariants(self) -> Float[np.ndarray, "optima entries"]:
        return gram_invariants(self.W)


def tied_optima(
    question: Question,
    p: Real[Array, " points"] | ArrayLike,
    r: Real[Array, " points"] | ArrayLike,
    tolerance: float = 1e-4,
) -> list[TiedOptima]:
    """At each point (p, r) all optima whose loss is within `tolerance`, relative, of the least.

    Candidates are the branches of `question` and their images under every permutation of the features, as a branch
    holds one optimum while its mirror image may be as good: at r = 1 always. Importances are (1, ..., 1, r).
    """
    p, r = np.asarray(p, np.float64), np.asarray(r, np.float64)
    found = question(p, r)
    n = found.b.shape[-1]
    orders = np.array(list(itertools.permutations(range(n))))
    exists = np.isfinite(found.loss)
    # branches x points x orders x ...
    W, b = np.nan_to_num(found.W)[..., orders, :], np.nan_to_num(found.b)[..., orders]
    importance = np.stack([np.ones_like(r)] * (n - 1) + [r], -1)[:, None]
    losses = np.where(exists[..., None], expected_loss(W, b, p[:, None, None], importance), np.inf)
    return [
        _tied(W[:, point].reshape(-1, *W.shape[3:]), b[:, point].reshape(-1, n), losses[:, point].ravel(), tolerance)
        for point in range(len(p))
    ]


def _tied(W: np.ndarray, b: np.ndarray, loss: np.ndarray, tolerance: float) -> TiedOptima:
    near = np.flatnonzero(loss <= loss.min() * (1 + tolerance))
    kept: list[int] = []
    for index in near[np.argsort(loss[near], kind="stable")].tolist():
        others = np.abs(gram_invariants(W[kept]) - gram_invariants(W[index])).max(-1, initial=0)
        if not kept or others.min() > SAME:
            kept.append(index)
    return TiedOptima(tuple(branch_of(W[index]) for index in kept), W[kept], b[kept], loss[kept])


def nearest_tied(
    W: Float[Array, "*models features hidden"] | ArrayLike, optima: TiedOptima
) -> tuple[Float[np.ndarray, "*models"], Int[np.ndarray, "*models"]]:
    """The largest difference of `gram_invariants` to the nearest of the optima, and which of them it is."""
    mine = gram_invariants(np.asarray(W, np.float64))[..., None, :]
    distance = np.abs(mine - optima.invariants).max(-1)
    return np.asarray(distance.min(-1)), np.asarray(distance.argmin(-1))


def tied_jumps(below: TiedOptima, above: TiedOptima) -> Float[np.ndarray, "below above"]:
    """The largest change of `gram_invariants` from each optimum below a transition to each above it."""
    return np.asarray(np.abs(below.invariants[:, None] - above.invariants).max(-1))


class ComparedJump(NamedTuple):
    """A jump of `gram_invariants` between two trained models, and between the optima that they are nearest to."""

    trained: float
    exact: float
    below: str
    """Of the nearest optimum: its branch."""
    above: str
    away: float
    """The larger distance of the two models from those optima: what says whether they are there at all."""
    alternatives: int
    """Pairs of optima that tie: 1 where there is no choice."""


def compared_jump(
    W_below: Float[Array, "features hidden"] | ArrayLike,
    W_above: Float[Array, "features hidden"] | ArrayLike,
    below: TiedOptima,
    above: TiedOptima,
) -> ComparedJump:
    """The jump between trained models on both sides of a transition beside that of the tied optima nearest to them.

    |trained - exact| <= 2 away. The answer does not depend on which of the tied optima was listed first.
    """
    pair = np.asarray(W_below, np.float64), np.asarray(W_above, np.float64)
    (off_below, i), (off_above, j) = (nearest_tied(W, side) for W, side in zip(pair, (below, above), strict=True))
    trained = np.abs(gram_invariants(pair[0]) - gram_invariants(pair[1])).max()
    jumps = tied_jumps(below, above)
    away = float(max(off_below, off_above))
    return ComparedJump(float(trained), float(jumps[i, j]), below.names[int(i)], above.names[int(j)], away, jumps.size)


def compared_jumps(
    W_below: Float[Array, "models features hidden"] | ArrayLike,
    W_above: Float[Array, "models features hidden"] | ArrayLike,
    below: TiedOptima,
    above: TiedOptima,
) -> tuple[Float[np.ndarray, "2 models"], Float[np.ndarray, "models models"]]:
    """As `compared_jump`, for each of some models below a transition with each of as many above it: how far every model
    is from its nearest optimum, and by how much the jump of each pair exceeds that of the optima nearest to them."""
    pair = np.asarray(W_below, np.float64), np.asarray(W_above, np.float64)
    away, nearest = zip(*(nearest_tied(W, side) for W, side in zip(pair, (below, above), strict=True)), strict=True)
    trained = np.abs(gram_invariants(pair[0])[:, None] - gram_invariants(pair[1])).max(-1)
    return np.array(away), np.asarray(trained - tied_jumps(below, above)[np.ix_(*nearest)])
