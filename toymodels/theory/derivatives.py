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
from typing import Any, NamedTuple

import numpy as np

from toymodels.arrays import Float

Exponents = tuple[int, ...]


class _Kinds(NamedTuple):
    """The moments followed: of sign * y, to the power q, times u^alpha; in order of the degree |alpha|."""

    sign: np.ndarray
    q: np.ndarray
    alpha: np.ndarray  # kinds x n
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
    pairs = [[times(one, other) for other in once] for one in once]
    twice = sorted(set(itertools.chain(*pairs)))
    # u_1 * (degree 2) and all that the recurrence descends to: without u_1, degree 2 is enough.
    surface = sorted({times(own, two) for own, two in itertools.product((none, unit[0]), twice)})
    found = [(1, q, alpha) for q, alphas in ((-1, surface), (0, twice), (1, once), (2, [none])) for alpha in alphas]
    found += [(-1, 1, none), (-1, 1, unit[0]), (-1, 2, none)]
    found.sort(key=lambda kind: sum(kind[2]))
    place = {kind: index for index, kind in enumerate(found)}
    return _Kinds(
        sign=np.array([kind[0] for kind in found]),
        q=np.array([kind[1] for kind in found]),
        alpha=np.array([kind[2] for kind in found]),
        slope=np.array([place[1, 1, alpha] for alpha in once]),
        own_slope=np.array([place[1, 0, times(unit[0], alpha)] for alpha in once]),
        hessian=np.array([[place[1, 0, alpha] for alpha in row] for row in pairs]),
        own_hessian=np.array([[place[1, -1, times(unit[0], alpha)] for alpha in row] for row in pairs]),
        square=np.array([place[1, 2, none], place[-1, 2, none]]),
        cross=np.array([place[1, 1, unit[0]], place[-1, 1, unit[0]]]),
    )


class _Face(NamedTuple):
    """Features `free` uniform, each other at 0 or at 1: what does not depend on the weights. Kinds: those on `free`."""

    free: np.ndarray  # k
    fixed: np.ndarray  # n - k
    corners: np.ndarray  # 2^(n - k) x n: the fixed features' values
    kinds: np.ndarray  # which of `_Kinds`
    smaller: tuple[Any, ...]  # by free feature: the face without it, where it is 0, where 1; kinds without it; the map
    factors: tuple[
        Any, ...
    ]  # for each degree and free feature: kinds with it, its power, the kinds with one factor less
    degrees: tuple[slice, ...]
    divisor: np.ndarray  # kinds
    single: np.ndarray  # kinds: delta(y) of one variable, where the recurrence divides by 0
    constant: np.ndarray  # kinds of q = 0
    powers: tuple[Any, ...]  # by sign: the sign, kinds of q = 1 and of q = 2
    mean: np.ndarray  # kinds: E[u^alpha]
    mean_times: np.ndarray  # kinds x k: E[u^alpha u_j]


@functools.cache
def _faces(n: int) -> tuple[_Face, ...]:
    """By the set of free features as a binary number, the first feature its highest digit: subsets come before sets."""
    return tuple(_face(n, number) for number in range(2**n))


def _face(n: int, number: int) -> _Face:
    all_kinds = _kinds(n)
    is_free = np.array([bool(number >> (n - 1 - j) & 1) for j in range(n)])
    free, fixed = np.flatnonzero(is_free), np.flatnonzero(~is_free)
    corners = np.zeros((2 ** len(fixed), n))
    corners[:, fixed] = np.array(list(itertools.product((0, 1), repeat=len(fixed)))).reshape(len(corners), len(fixed))

    def on(which: np.ndarray) -> list[tuple[int, ...]]:
        """The kinds on these features, as (number in `_Kinds`, sign, q, *alpha)."""
        rows = zip(itertools.count(), all_kinds.sign, all_kinds.q, *all_kinds.alpha.T)
        return [tuple(map(int, row)) for row in rows if not any(np.array(row[3:])[~which])]

    mine = on(is_free)
    place = {kind[1:]: index for index, kind in enumerate(mine)}
    alpha = np.array([kind[3:] for kind in mine])
    sign, q = (np.array([kind[part] for kind in mine]) for part in (1, 2))
    degree = alpha.sum(1)
    bounds = np.searchsorted(degree, np.arange(degree.max() + 2)).tolist()
    degrees = tuple(slice(low, high) for low, high in itertools.pairwise(bounds))
    smaller = []
    for j in free:
        below = is_free & (np.arange(n) != j)
        there = {kind[1:]: index for index, kind in enumerate(on(below))}
        at_one = [there[(*kind[1 : 3 + j], 0, *kind[4 + j :])] for kind in mine]
        stay = np.flatnonzero(alpha[:, j] == 0)
        # Of the corners of the smaller face, those with feature j at 0 and at 1, in the order of this face's.
        axis = int((~below[:j]).sum())
        order = np.arange(2 * len(corners)).reshape(2**axis, 2, -1)
        smaller.append((number - (1 << (n - 1 - j)), order[:, 0].ravel(), order[:, 1].ravel(), stay, np.array(at_one)))
    factors = []
    for level in degrees[1:]:
        row = []
        for column, j in enumerate(free):
            which = np.flatnonzero(alpha[level, j]) + level.start
            lower = [place[(*mine[i][1 : 3 + j], mine[i][3 + j] - 1, *mine[i][4 + j :])] for i in which]
            if len(which):
                row.append((column, which, alpha[which, j].astype(float), np.array(lower)))
        factors.append(row)
    divisor = (q + len(free) + degree).astype(float)
    mine_free = alpha[:, free]
    mean = (1 / (mine_free + 1)).prod(1)
    return _Face(
        free=free,
        fixed=fixed,
        corners=corners,
        kinds=np.array([kind[0] for kind in mine]),
        smaller=tuple(smaller),
        factors=tuple(factors),
        degrees=degrees,
        divisor=np.where(divisor == 0, 1, divisor),
        single=np.flatnonzero((divisor == 0) & (len(free) == 1)),
        constant=np.flatnonzero(q == 0),
        powers=tuple((s, *(np.flatnonzero((q == power) & (sign == s)) for power in (1, 2))) for s in (1, -1)),
        mean=mean,
        mean_times=mean[:, None] * (mine_free + 1) / (mine_free + 2),
    )


def _moments(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Of each face: kinds x corners x batch; a is n x batch. In the first corner all that is not free is 0."""
    n, batch = a.shape
    rising = a > 0
    found: list[np.ndarray] = []
    for face in _faces(n):
        slopes = a[face.free]
        k, shape = len(slopes), (len(face.kinds), len(face.corners), batch)
        start = b + face.corners @ a
        low, high = start + np.minimum(slopes, 0).sum(0), start + np.maximum(slopes, 0).sum(0)
        crossing = (low < 0) & (high > 0) & (high - low > 1e-150)

        # Where y has one sign the moments are elementary; the sign of its middle is that sign.
        middle = start + slopes.sum(0) / 2
        by_sign = {1: ~crossing & (middle > 0), -1: ~crossing & (middle < 0)}
        moment = np.zeros(shape)
        moment[face.constant] = face.mean[face.constant, None, None] * by_sign[1]
        squares = middle**2 + (slopes**2).sum(0) / 12
        for side, linear, squared in face.powers:
            means = face.mean[linear, None, None] * start + (face.mean_times[linear] @ slopes)[:, None]
            moment[linear] = side * means * by_sign[side]
            moment[squared] = squares * by_sign[side]
        found.append(moment)
        if not k or not crossing.any():
            continue
        t = np.where(crossing, -low / np.where(crossing, high - low, 1), 0)
        zero = np.where(rising[face.free, None], t, 1 - t)  # u*, k x corners x batch
        new = np.zeros(shape)
        new[face.single] = 1 / np.maximum(high - low, 1e-150)
        for u, (smaller, at_zero, at_one, stay, maps) in zip(zero, face.smaller, strict=True):
            known = found[smaller]
            new += (1 - u) * known[maps[:, None], at_one]
            new[stay] += u * known[maps[stay, None], at_zero]
        new[face.degrees[0]] /= face.divisor[face.degrees[0], None, None]
        for level, row in zip(face.degrees[1:], face.factors, strict=True):
            for column, which, power, lower in row:
                new[which] += power[:, None, None] * (zero[column] * new[lower])
            new[level] /= face.divisor[level, None, None]
        found[-1] = np.where(crossing, new, moment)
    return found


def _of_outputs(a: np.ndarray, b: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loss, slope and Hessian in theta = (b, a) of one output each; a and p are n x batch, the batch comes last."""
    n = len(a)
    kinds = _kinds(n)
    value, mean = np.zeros_like(b), np.zeros((len(kinds.q), len(b)))
    residual = np.concatenate([1 - a[:1], -a[1:]])
    for face, moment in zip(_faces(n), _moments(a, b), strict=True):
        probability = p[face.free].prod(0) * (1 - p[face.fixed]).prod(0)
        given = moment[:, 0]
        mean[face.kinds] += probability * given
        # Of two exact forms the one with the smaller terms, as in `expected_loss`.
        square, less_square = given[np.searchsorted(face.kinds, kinds.square)]
        if 0 not in face.free:
            value += probability * square
            continue
        cross, less_cross = given[np.searchsorted(face.kinds, kinds.cross)]
        left = residual[face.free]
        squared_residual = (left.sum(0) / 2 - b) ** 2 + (left**2).sum(0) / 12
        direct, through_residual = 1 / 3 - 2 * cross + square, squared_residual - 2 * less_cross - less_square
        value += probability * np.maximum(np.where(square < less_square, direct, through_residual), 0)
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
