"""Value, slope and Hessian of the expected loss of x' = ReLU(W Wᵀ x + b), for many models at once and in numpy alone.

With y = b + sum_j a_j u_j, u = (1, u_1, ..) uniform and theta = (b, a), an output costs E (u_1 - max(y, 0))^2, and

    slope   = 2 E[max(y, 0) u] - 2 E[u_1 u 1(y > 0)]
    Hessian = 2 E[u uᵀ 1(y > 0)] - 2 E[u_1 u uᵀ delta(y)]

All are moments E[u^alpha max(y, 0)^q], q = 2, 1, 0 and -1 (where the power stands for delta), alpha a monomial. They
obey the recurrence of `expected_loss` in its general form: for any point u* with y(u*) = 0 and k uniform variables,

    (k + q + |alpha|) G_alpha = sum_j (1 - u*_j) G_alpha(u_j = 1) + u*_j G_alpha(u_j = 0) + alpha_j u*_j G_(alpha - e_j)

from the divergence of (u - u*) u^alpha max(y, 0)^q. On the diagonal from the least to the greatest y all terms are
positive. The one exception is E[delta(y)] = 1 / |a| with one variable. Compiled automatic differentiation of the loss
takes ten times as long, and seconds to compile.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np

from toymodels.arrays import Float
from toymodels.theory.expected_loss import active_sets, layers

Exponents = tuple[int, ...]


class _Kinds(NamedTuple):
    """The moments followed, K of them: of sign * y, to the power q, times u^alpha; in order of |alpha|."""

    sign: np.ndarray
    q: np.ndarray
    alpha: np.ndarray  # K x n
    lower: np.ndarray  # K x n: the kind with one factor u_j less
    levels: tuple[slice, ...]  # the kinds of each degree |alpha|
    slope: np.ndarray  # n + 1 and ...
    own_slope: np.ndarray  # ... the same times u_1, of power one less
    hessian: np.ndarray  # (n + 1) x (n + 1), and the same as above
    own_hessian: np.ndarray
    square: np.ndarray  # of y and of -y
    cross: np.ndarray  # times u_1


@functools.cache
def _kinds(n: int) -> _Kinds:
    unit = [tuple(int(j == i) for j in range(n)) for i in range(n)]
    none = (0,) * n

    def times(*factors: Exponents) -> Exponents:
        return tuple(map(sum, zip(*factors, strict=True)))

    once = [none, *unit]
    twice = sorted({times(one, other) for one, other in itertools.product(once, once)})
    surface = sorted({times(own, two) for own, two in itertools.product((none, unit[0]), twice)})
    # u_1 * (degree 2) and all that the recurrence descends to; without u_1, degree 2 is enough.
    found = [(1, -1, alpha) for alpha in surface] + [(1, 0, alpha) for alpha in twice] + [(1, 1, a) for a in once]
    found += [(-1, 1, none), (-1, 1, unit[0]), (1, 2, none), (-1, 2, none)]
    found.sort(key=lambda kind: sum(kind[2]))
    place = {kind: index for index, kind in enumerate(found)}

    def below(kind: tuple[int, int, Exponents], j: int) -> int:
        sign, q, alpha = kind
        return place[sign, q, tuple(a - (i == j) for i, a in enumerate(alpha))] if alpha[j] else 0

    degrees = np.array([sum(alpha) for _, _, alpha in found])
    bounds = np.searchsorted(degrees, np.arange(degrees.max() + 2))
    pairs = [[times(one, other) for other in once] for one in once]
    return _Kinds(
        sign=np.array([kind[0] for kind in found]),
        q=np.array([kind[1] for kind in found]),
        alpha=np.array([kind[2] for kind in found]),
        lower=np.array([[below(kind, j) for j in range(n)] for kind in found]),
        levels=tuple(slice(low, high) for low, high in itertools.pairwise(bounds.tolist())),
        slope=np.array([place[1, 1, alpha] for alpha in once]),
        own_slope=np.array([place[1, 0, times(unit[0], alpha)] for alpha in once]),
        hessian=np.array([[place[1, 0, alpha] for alpha in row] for row in pairs]),
        own_hessian=np.array([[place[1, -1, times(unit[0], alpha)] for alpha in row] for row in pairs]),
        square=np.array([place[1, 2, none], place[-1, 2, none]]),
        cross=np.array([place[1, 1, unit[0]], place[-1, 1, unit[0]]]),
    )


class _Constants(NamedTuple):
    """Of one layer of states: what does not depend on the weights."""

    divisor: np.ndarray  # K x states
    mean: np.ndarray  # K x states: E[u^alpha]
    mean_times: np.ndarray  # K x states x n: E[u^alpha u_j] over the free u_j
    single: np.ndarray  # K x states: of delta(y) where the recurrence divides by 0, the limit times |a|


@functools.cache
def _constants(n: int) -> tuple[_Constants, ...]:
    kinds, found = _kinds(n), []
    for k, layer in enumerate(layers(n)):
        alpha, free = kinds.alpha[:, None], layer.free
        # E[u^alpha], a fixed u_j standing for itself.
        factors = np.where(free, 1 / (alpha + 1), np.where(alpha == 0, 1.0, layer.at_one))
        mean = factors.prod(-1)
        mean_times = mean[..., None] * np.where(free, (alpha + 1) / (alpha + 2), 0)
        divisor = np.where(free, alpha, 0).sum(-1) + k + kinds.q[:, None]
        single = np.where((divisor == 0) & (kinds.q == -1)[:, None], mean, 0)
        found.append(_Constants(np.where(divisor == 0, 1, divisor).astype(float), mean, mean_times, single))
    return tuple(found)


def _moments(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """K x sets x batch, of each kind given each active set, in the order of `active_sets`; a is n x batch."""
    n = len(a)
    kinds, found = _kinds(n), []
    rising = a > 0
    below, above = np.where(rising, 0, a), np.where(rising, a, 0)
    linear, squared = (np.flatnonzero(kinds.q == q) for q in (1, 2))
    constant = np.flatnonzero(kinds.q == 0)
    moment = np.zeros((len(kinds.q), 1, a.shape[1]))
    for k, (layer, known) in enumerate(zip(layers(n), _constants(n), strict=True)):
        free = layer.free.astype(float)
        start = b + layer.at_one.astype(float) @ a
        low, high = start + free @ below, start + free @ above
        crossing = (low < 0) & (high > 0) & (high - low > 1e-150)
        t = np.where(crossing, -low / np.where(crossing, high - low, 1), 0)
        zero = np.where(rising[:, None], t, 1 - t) * free.T[..., None]  # u*, n x states x batch

        # Where y has one sign the moments are elementary; the sign of its middle is that sign.
        middle = start + free @ a / 2
        smooth = np.zeros((len(kinds.q), *t.shape))
        positive, negative = ~crossing & (middle > 0), ~crossing & (middle < 0)
        smooth[constant] = known.mean[constant][..., None] * positive
        mean = known.mean[linear][..., None] * start + known.mean_times[linear] @ a
        sign = kinds.sign[linear]
        smooth[linear] = sign[:, None, None] * mean * np.where(sign[:, None, None] > 0, positive, negative)
        squares = middle**2 + free @ a**2 / 12
        smooth[squared] = squares * np.where(kinds.sign[squared][:, None, None] > 0, positive, negative)

        new = np.zeros_like(smooth)
        if k == 1:
            new += known.single[..., None] / np.maximum(high - low, 1e-150)
        for column, (to_zero, to_one) in enumerate(zip(layer.to_zero.T, layer.to_one.T, strict=True)):
            here = zero[layer.members[:, column], np.arange(len(t))]
            new += (1 - here) * moment[:, to_one] + here * moment[:, to_zero]
        for level in kinds.levels:
            for j in range(n):
                which = np.flatnonzero(kinds.alpha[level, j]) + level.start
                times = kinds.alpha[which, j][:, None, None] * zero[j]
                new[which] += times * new[kinds.lower[which, j]]
            new[level] /= known.divisor[level][..., None]
        moment = np.where(crossing, new, smooth)
        found.append(moment[:, layer.on_off])
    return np.concatenate(found, 1)


def _of_outputs(a: np.ndarray, b: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loss, slope and Hessian in theta = (b, a) of one output each; a and p are n x batch, the batch comes last."""
    n = len(a)
    kinds, sets = _kinds(n), active_sets(n)
    on, own = sets.astype(float), sets[:, 0][:, None]
    probability = np.where(sets[..., None], p, 1 - p).prod(1)
    moment = _moments(a, b)
    # Of two exact forms the one with the smaller terms, as in `expected_loss`.
    residual = np.concatenate([1 - a[:1], -a[1:]])
    squared_residual = (on @ residual / 2 - b) ** 2 + on @ residual**2 / 12
    (square, less_square), (cross, less_cross) = moment[kinds.square], moment[kinds.cross]
    direct, through_residual = own / 3 - 2 * cross + square, squared_residual - 2 * less_cross - less_square
    loss = np.where(~own | (square < less_square), direct, through_residual)
    value = (probability * np.maximum(loss, 0)).sum(0)
    mean = (moment * probability).sum(1)
    slope = 2 * (mean[kinds.slope] - mean[kinds.own_slope])
    return value, slope, 2 * (mean[kinds.hessian] - mean[kinds.own_hessian])


def value_slope_hessian(
    W: Float[np.ndarray, "batch features hidden"],
    b: Float[np.ndarray, "batch features"],
    p: Float[np.ndarray, "batch features"],
    importance: Float[np.ndarray, "batch features"],
) -> tuple[
    Float[np.ndarray, " batch"], Float[np.ndarray, "batch parameters"], Float[np.ndarray, "batch parameters parameters"]
]:
    """`expected_loss` with its slope and Hessian in the parameters (W, b), W first and row by row; nothing is checked.

    At a kink, where y of an active set is 0 throughout, the derivatives are those of one side.
    """
    batch, n, m = W.shape
    turn = (np.arange(n)[:, None] + np.arange(n)) % n  # each output sees the features in turn, itself first
    gram = W @ np.swapaxes(W, -1, -2)
    a = gram[:, np.arange(n)[:, None], turn]
    value, slope, hessian = _of_outputs(
        np.moveaxis(a, -1, 0).reshape(n, -1), b.ravel(), np.moveaxis(p[:, turn], -1, 0).reshape(n, -1)
    )
    value = (value.reshape(batch, n) * importance).sum(-1)
    slope = np.moveaxis(slope.reshape(n + 1, batch, n), 0, -1) * importance[..., None]
    hessian = np.moveaxis(hessian.reshape(n + 1, n + 1, batch, n), (0, 1), (-2, -1)) * importance[..., None, None]

    # From (b_i, row i of the gram) to the parameters: d gram_ij = dW_i.W_j + W_i.dW_j.
    jacobian = np.zeros((batch, n, n + 1, n * m + n))
    weights = jacobian[..., 1:, : n * m].reshape(batch, n, n, n, m)
    for i, place in itertools.product(range(n), range(n)):
        j = turn[i, place]
        weights[:, i, place, i] += W[:, j]
        weights[:, i, place, j] += W[:, i]
    jacobian[..., 1:, : n * m] = weights.reshape(batch, n, n, n * m)
    jacobian[:, np.arange(n), 0, n * m + np.arange(n)] = 1
    flat = jacobian.reshape(batch, n * (n + 1), -1)
    across = np.swapaxes(flat, -1, -2)
    full = across @ (hessian @ jacobian).reshape(flat.shape)
    by_gram = np.zeros((batch, n, n))
    by_gram[:, np.arange(n)[:, None], turn] = slope[..., 1:]
    both = by_gram + np.swapaxes(by_gram, -1, -2)
    for h in range(m):
        full[:, h : n * m : m, h : n * m : m] += both
    return value, (across @ slope.reshape(batch, -1, 1))[..., 0], full
