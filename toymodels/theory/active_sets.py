"""Moments of max(y, 0), y = c + sum_j a_j u_j with u_j uniform on [0, 1], given which of the features are on.

With S the features that are on, k of them, and lo <= y <= hi the range of y, the truncated moments
G(c, S) = E[max(y, 0)^q] obey, for lo < 0 < hi,

    (q + k) G(c, S) = sum_{j in S} (1 - t) G(c + max(a_j, 0), S - j) + t G(c + min(a_j, 0), S - j)

with t = -lo / (hi - lo), that is: fix one u_j at the end where y is larger, or smaller. It is the recurrence of box
splines (de Boor, Hollig, Riemenschneider 1993, chapter 1) in one dimension, and follows from Euler's relation for
homogeneous functions and one integration by parts. All its terms are positive and it never divides by a coefficient, so
nothing cancels where the familiar vertex sum, with its 1 / prod_j a_j, loses all its digits: at a_j zero, tiny or
opposite.

A *state* says of each feature whether it is at 0, at 1, or free: 3^n of them, by their number of free features. Arrays
have a row for each state and a column for each question (c, a), so that everything runs along the questions.
"""

import functools
import itertools
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

FREE = 2


class Links(NamedTuple):
    """How the states with k free features reach those with k - 1, one of them fixed."""

    members: np.ndarray  # k x states: which features are free
    to_zero: np.ndarray  # k x states: the state below with that member at 0
    to_one: np.ndarray  # k x states: ... at 1
    users: np.ndarray  # (features - k + 1) x states below: the pair of a member and a state that reaches it, flat
    at_one: np.ndarray  # (features - k + 1) x states below: whether that pair reaches it with the member at 1


def _links(states: np.ndarray, below: np.ndarray) -> Links:
    place = {state.tobytes(): at for at, state in enumerate(below)}
    k = int((states[0] == FREE).sum()) if len(states) else 0
    members = np.nonzero(states == FREE)[1].reshape(len(states), k).T.astype(np.int32)
    fixed = np.broadcast_to(states, (2, k, *states.shape)).copy()
    np.put_along_axis(fixed, members[None, ..., None], np.arange(2)[:, None, None, None], -1)
    ends = np.array([place[state.tobytes()] for state in fixed.reshape(2 * members.size, states.shape[1])], np.int32)
    to_zero, to_one = ends.reshape(2, *members.shape)
    pair, end = np.tile(np.arange(members.size), 2), np.repeat((False, True), members.size)
    often = ends.size // max(len(below), 1)  # each is reached equally often
    order = np.argsort(ends.ravel(), kind="stable").reshape(len(below), often).T
    return Links(members, to_zero, to_one, pair[order].astype(np.int32), end[order])


class Layer(NamedTuple):
    """States with k free features: those with feature 0 at 0, then at 1, then free; within each, of the `others`, those
    with none at 1 first, which are active sets."""

    at_one: np.ndarray  # states x features
    free: np.ndarray  # states x features
    links: Links  # to the layer below
    others: Links  # of the states with feature 0 free, as states of the others, to those below
    half: int  # states with feature 0 at 0; as many with it at 1
    sets: tuple[int, int]  # active sets without feature 0, and with it


@functools.cache
def layers(n: int) -> tuple[Layer, ...]:
    """The 3^n states of n features by their number of free ones."""
    others = [_others(n - 1, k) for k in range(-1, n + 1)]  # others[k + 1] has k free
    found, below = [], np.empty((0, n), np.int8)
    for k in range(n + 1):
        own, with_first = others[k + 1], others[k]
        states = np.concatenate([_with(0, own), _with(1, own), _with(FREE, with_first)])
        sets = int((~(own == 1).any(1)).sum()), int((~(with_first == 1).any(1)).sum())
        beside = _links(with_first, others[k - 1] if k else with_first[:0])
        found.append(Layer(states == 1, states == FREE, _links(states, below), beside, len(own), sets))
        below = states
    return tuple(found)


def _others(count: int, k: int) -> np.ndarray:
    """States of so many features with k free ones, those with none at 1 first."""
    states = [state for state in itertools.product((0, 1, FREE), repeat=count) if state.count(FREE) == k]
    return np.array(sorted(states, key=lambda state: 1 in state), np.int8).reshape(len(states), count)


def _with(first: int, states: np.ndarray) -> np.ndarray:
    return np.concatenate([np.full((len(states), 1), first, np.int8), states], axis=1)


@functools.cache
def active_sets(n: int) -> np.ndarray:
    """Sets x features, in the order of `given_active`: those without feature 0, then those with it."""
    kinds = [(layer.free[: layer.sets[0]], layer.free[2 * layer.half :][: layer.sets[1]]) for layer in layers(n)]
    return np.concatenate([each for kind in zip(*kinds, strict=True) for each in kind])


# ------------------------------------------------------------------------------------------------------- the recurrence
def _fixed_at_ends(links: Links, moment: Any, weight_one: Any) -> Any:
    """Sums over members of their weighted ends; `moment` of the states below, weights k x states x questions."""
    ends = zip(weight_one, links.to_one, links.to_zero, strict=True)  # one by one: smaller arrays, which stay in caches
    return sum(weight * _rows(moment, one) + (1 - weight) * _rows(moment, zero) for weight, one, zero in ends)


def _rows(array: Any, places: np.ndarray) -> Any:
    """array[places], where all of these are."""
    if isinstance(array, np.ndarray):
        return array[places]
    return array.at[places].get(mode="promise_in_bounds", wrap_negative_indices=False)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _fixed_at_ends_traced(place: "_Place", moment: Any, weight_one: Any) -> Any:
    """The same; its derivative gathers, where that of a gather scatters, slowly."""
    return _fixed_at_ends(place.links(), moment, weight_one)


def _forward(place: "_Place", moment: Any, weight_one: Any) -> tuple[Any, Any]:
    return _fixed_at_ends(place.links(), moment, weight_one), (moment, weight_one)


def _backward(place: "_Place", known: Any, slope: Any) -> tuple[Any, Any]:
    links, (moment, weight_one) = place.links(), known
    weights, to_moment = weight_one.reshape(-1, slope.shape[-1]), 0.0
    for users, at_one in zip(links.users, links.at_one, strict=True):
        weight = _rows(weights, users)
        weight = jnp.where(at_one[:, None], weight, 1 - weight)
        to_moment += weight * _rows(slope, users % len(slope))
    ends = zip(links.to_one, links.to_zero, strict=True)
    return to_moment, jnp.stack([slope * (_rows(moment, one) - _rows(moment, zero)) for one, zero in ends])


_fixed_at_ends_traced.defvjp(_forward, _backward)


class _Place(NamedTuple):
    """Where links are found: what a traced function may be told of them."""

    n: int
    k: int
    beside: bool

    def links(self) -> Links:
        layer = layers(self.n)[self.k]
        return layer.others if self.beside else layer.links


def _averaged(xp: ModuleType, place: _Place, moment: Any, weight_one: Any) -> Any:
    if not len(weight_one):
        return xp.zeros(weight_one.shape[1:], weight_one.dtype)
    if xp is np:
        return _fixed_at_ends(place.links(), moment, weight_one)
    return _fixed_at_ends_traced(place, moment, weight_one)


def moments(xp: ModuleType, a: Any, c: Any) -> tuple[Any, Any, Any]:
    """E[max(y, 0)^2] given each active set without feature 0, and with it; E[u_0 max(y, 0)] given those with it.

    `a` is (n, questions), `c` (questions,); results (sets, questions) in the order of `active_sets`. The recurrence is
    the module's with q = 1 and 2; with the weight u_0 it gains one term and one in the divisor.
    """
    # Not minimum and maximum: at a = 0 these halve the derivative, which must follow one side, as the weights do.
    rising = a > 0
    below, above = xp.where(rising, 0, a), xp.where(rising, a, 0)
    # Where y has nearly no spread, squares of the spread would underflow: the kink is not resolved there.
    resolved = float(np.finfo(a.dtype).tiny) ** 0.5 * 1e3
    n, found = len(a), []
    first = square = cross = xp.zeros((0, *c.shape), a.dtype)
    lower = 0
    for k, layer in enumerate(layers(n)):
        free, half = layer.free.astype(a.dtype), layer.half
        start = c + layer.at_one.astype(a.dtype) @ a
        low, high = start + free @ below, start + free @ above
        mean, variance = start + free @ a / 2, free @ a**2 / 12
        crossing = (low < 0) & (high > 0) & (high - low > resolved)
        t = xp.where(crossing, -low / xp.where(crossing, high - low, 1), 0)
        weight_one = xp.where(_rows(rising, layer.links.members), 1 - t, t)
        positive = ~crossing & (mean > 0)

        first_below, place = first, _Place(n, k, beside=False)
        first = _averaged(xp, place, first, weight_one) / (k + 1)
        first = xp.where(crossing, first, xp.where(positive, mean, 0))
        square = _averaged(xp, place, square, weight_one) / (k + 2)
        square = xp.where(crossing, square, xp.where(positive, mean**2 + variance, 0))
        if k:  # of the states with feature 0 free
            one = weight_one[0, 2 * half :]
            kinked = _averaged(xp, place._replace(beside=True), cross, weight_one[1:, 2 * half :])
            kinked = (kinked + one * first_below[lower : 2 * lower] + (1 - one) * first[2 * half :]) / (k + 2)
            smooth = xp.where(positive[2 * half :], mean[2 * half :] / 2 + a[0] / 12, 0)
            cross = xp.where(crossing[2 * half :], kinked, smooth)
        found.append((square[: layer.sets[0]], square[2 * half :][: layer.sets[1]], cross[: layer.sets[1]]))
        lower = half
    without, with_first, crosses = (xp.concatenate(each) for each in zip(*found, strict=True))
    return without, with_first, crosses


def given_active(xp: ModuleType, a: Any, c: Any) -> Any:
    """E (x_0 - max(y, 0))^2 given each active set, where y = c + sum_j a_j x_j: (sets, questions).

    Two exact forms, the second with the residual z = x_0 - y, whose moments are elementary:
    E[x_0^2] - 2 E[x_0 max(y, 0)] + E[max(y, 0)^2] = E[z^2] - 2 E[x_0 max(-y, 0)] - E[max(-y, 0)^2].
    Each active set takes the one with the smaller terms, so that a loss near zero keeps its digits.
    """
    questions = a.shape[1]
    without, square, cross = moments(xp, xp.concatenate([a, -a], 1), xp.concatenate([c, -c]))
    residual = xp.concatenate([1 - a[:1], -a[1:]])
    on = active_sets(len(a))[len(without) :].astype(a.dtype)
    squared_residual = (on @ residual / 2 - c) ** 2 + on @ residual**2 / 12
    (square, other_square), (cross, other_cross) = ((m[:, :questions], m[:, questions:]) for m in (square, cross))
    direct = 1 / 3 - 2 * cross + square
    through_residual = squared_residual - 2 * other_cross - other_square
    with_first = xp.where(square < other_square, direct, through_residual)
    return xp.maximum(xp.concatenate([without[:, :questions], with_first]), 0)


def probabilities(xp: ModuleType, p: Any) -> Any:
    """Of each active set: (sets, ...) for p (n, ...)."""
    sets = active_sets(len(p))
    sets = sets.reshape(*sets.shape, *[1] * (p.ndim - 1))
    return xp.where(sets, p, 1 - p).prod(1)


__all__ = ["active_sets", "given_active", "moments", "probabilities"]
