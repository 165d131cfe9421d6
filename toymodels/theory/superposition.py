"""Exact losses and optima of the tied ReLU-output autoencoder x' = ReLU(W Wᵀ x + b). Elhage et al. 2022.

Features are independent, 0 with probability 1 - p and else uniform on [0, 1]; the loss is E sum_i I_i (x_i - x'_i)^2.

Every expectation here is built from one recurrence. With y = c + sum_{j in S} a_j u_j, u_j uniform, S of size k, and
lo <= y <= hi the range of y, the truncated moments G(c, S) = E[max(y, 0)^q] obey, for lo < 0 < hi,

    (q + k) G(c, S) = sum_{j in S} (1 - t) G(c + max(a_j, 0), S - j) + t G(c + min(a_j, 0), S - j)

with t = -lo / (hi - lo), that is: fix one u_j at the end where y is larger, or smaller. It is the recurrence of box
splines (de Boor, Hollig, Riemenschneider 1993, chapter 1) in one dimension, and follows from Euler's relation for
homogeneous functions and one integration by parts. All its terms are positive and it never divides by a coefficient, so
nothing cancels where the familiar vertex sum, with its 1 / prod_j a_j, loses all its digits: at a_j zero, tiny or
opposite.
"""

import functools
import itertools
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Real

from toymodels.arrays import Array, Float

Number = float | int | np.generic
Nested = Sequence[Any]

MAX_FEATURES = 8


class Layer(NamedTuple):
    """States of the features with k of them integrated over; the others sit at 0 or at 1. One row a state."""

    at_one: np.ndarray  # states x features
    free: np.ndarray  # states x features
    members: np.ndarray  # states x k: which features are free
    to_zero: np.ndarray  # states x k: the state of the layer below with that member set to 0
    to_one: np.ndarray  # states x k: ... to 1
    first_to_one: np.ndarray  # states: the state below with feature 0 set to 1, where feature 0 is free
    on_off: np.ndarray  # those states of this layer with no feature at 1: an active set, to be averaged over


@functools.cache
def _layers(n: int) -> tuple[Layer, ...]:
    """The 3^n states by their number of free features. A state is a number in base 3: digits 0, 1, and 2 for free."""
    digits = np.array(list(itertools.product((0, 1, 2), repeat=n)))
    unit = 3 ** np.arange(n - 1, -1, -1)
    place = np.zeros(3**n, np.int32)  # of a state within its layer
    layers = []
    for k in range(n + 1):
        states = np.flatnonzero((digits == 2).sum(1) == k)
        place[states] = np.arange(len(states))
        at_one, free = digits[states] == 1, digits[states] == 2
        members = np.nonzero(free)[1].astype(np.int32).reshape(len(states), k)
        to_zero, to_one = (place[states[:, None] - lower * unit[members]] for lower in (2, 1))
        first_to_one = np.where(free[:, 0], place[states - unit[0] * free[:, 0]], 0).astype(np.int32)
        on_off = np.flatnonzero(~at_one.any(1)).astype(np.int32)
        layers.append(Layer(at_one, free, members, to_zero, to_one, first_to_one, on_off))
    return tuple(layers)


def _fixed_at_ends(moment: Any, layer: Layer, weight_one: Any) -> Any:
    return (weight_one * moment[..., layer.to_one] + (1 - weight_one) * moment[..., layer.to_zero]).sum(-1)


def _active_set_moments(xp: ModuleType, a: Any, b: Any) -> tuple[Any, Any]:
    """E[max(y, 0)^2] and E[u_0 max(y, 0)] given each active set of features, y = b + sum_j a_j u_j over its members.

    `a` is (..., n), `b` (...); sets are in the order of `_active_sets`. The second moment is 0 where feature 0 is off.
    The recurrence is the module's with q = 1 and 2; with the weight u_0 it gains one term and one in the divisor.
    """
    # Not minimum and maximum: at a = 0 these halve the derivative, which must follow one side, as the weights do.
    rising = a > 0
    below, above = xp.where(rising, 0, a), xp.where(rising, a, 0)
    # Where y has nearly no spread, squares of the spread would underflow: the kink is not resolved there.
    resolved = float(np.finfo(a.dtype).tiny) ** 0.5 * 1e3
    squares, crosses = [], []
    first = square = cross = xp.zeros((*b.shape, 1), a.dtype)
    for k, layer in enumerate(_layers(a.shape[-1])):
        free = layer.free.astype(a.dtype).T
        start = b[..., None] + a @ layer.at_one.astype(a.dtype).T
        low, high = start + below @ free, start + above @ free
        mean, variance = start + a @ free / 2, a**2 @ free / 12
        crossing = (low < 0) & (high > 0) & (high - low > resolved)
        t = xp.where(crossing, -low / xp.where(crossing, high - low, 1), 0)
        weight_one = xp.where(rising[..., layer.members], 1 - t[..., None], t[..., None])
        first_one = xp.where(rising[..., :1], 1 - t, t)
        positive = ~crossing & (mean > 0)

        cross_kinked = _fixed_at_ends(cross, layer, weight_one) + first_one * first[..., layer.first_to_one]
        first = xp.where(crossing, _fixed_at_ends(first, layer, weight_one) / (k + 1), xp.where(positive, mean, 0))
        square_smooth = xp.where(positive, mean**2 + variance, 0)
        square = xp.where(crossing, _fixed_at_ends(square, layer, weight_one) / (k + 2), square_smooth)
        cross_kinked = (cross_kinked + (1 - first_one) * first) / (k + 2)
        cross_smooth = xp.where(positive, mean / 2 + a[..., :1] / 12, 0)
        cross = xp.where(layer.free[:, 0], xp.where(crossing, cross_kinked, cross_smooth), 0)
        squares.append(square[..., layer.on_off])
        crosses.append(cross[..., layer.on_off])
    return xp.concatenate(squares, -1), xp.concatenate(crosses, -1)


@functools.cache
def _active_sets(n: int) -> np.ndarray:
    """Sets x features, in the order of `_active_set_moments`."""
    return np.concatenate([layer.free[layer.on_off] for layer in _layers(n)])


def _output_losses(xp: ModuleType, a: Any, b: Any, p: Any) -> Any:
    """E (x_0 - max(y, 0))^2, y = b + sum_j a_j x_j. `a` and `p` are (..., n), `b` (...).

    Two exact forms, the second with the residual z = x_0 - y, whose moments are elementary:
    E[x_0^2] - 2 E[x_0 max(y, 0)] + E[max(y, 0)^2] = E[z^2] - 2 E[x_0 max(-y, 0)] - E[max(-y, 0)^2].
    Each active set takes the one with the smaller terms, so that a loss near zero keeps its digits.
    """
    sets = _active_sets(a.shape[-1])
    square, cross = _active_set_moments(xp, xp.stack([a, -a]), xp.stack([b, -b]))
    own = sets[:, 0].astype(a.dtype)
    residual = xp.concatenate([1 - a[..., :1], -a[..., 1:]], -1)
    on = sets.astype(a.dtype).T
    squared_residual = (residual @ on / 2 - b[..., None]) ** 2 + residual**2 @ on / 12
    direct = own / 3 - 2 * cross[0] + square[0]
    through_residual = squared_residual - 2 * cross[1] - square[1]
    loss = xp.where((own == 0) | (square[0] < square[1]), direct, through_residual)
    probability = xp.where(sets, p[..., None, :], 1 - p[..., None, :]).prod(-1)
    return (probability * xp.maximum(loss, 0)).sum(-1)


def _expected_loss(xp: ModuleType, W: Any, b: Any, p: Any, importance: Any, encoder: Any) -> Any:
    n = W.shape[-2]
    gram = W @ xp.swapaxes(encoder, -1, -2)
    batch = np.broadcast_shapes(gram.shape[:-2], b.shape[:-1], p.shape[:-1])
    # Each output sees the features in turn, itself first.
    turn = (np.arange(n, dtype=np.int32)[:, None] + np.arange(n, dtype=np.int32)) % n
    a = xp.broadcast_to(gram[..., turn[:, :1], turn], (*batch, n, n))
    losses = _output_losses(xp, a, xp.broadcast_to(b, (*batch, n)), xp.broadcast_to(p, (*batch, n))[..., turn])
    return (importance * losses).sum(-1)


def _is_traced(*values: Any) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def _numbers(name: str, value: Any, ndim: int = 0) -> np.ndarray:
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is not a rectangular array of real numbers") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has an entry that is not finite")
    if array.ndim < ndim:
        raise ValueError(f"{name} of shape {array.shape}: at least {ndim} dimension{'s' * (ndim > 1)} expected")
    return array


def _outside(name: str, array: np.ndarray, wrong: np.ndarray | np.bool_, law: str) -> None:
    if np.any(wrong):
        raise ValueError(f"{name}={array[wrong].flat[0]:g}: {law}")


def _probability(p: Any) -> np.ndarray:
    p = _numbers("p", p)
    _outside("p", p, (p <= 0) | (p > 1), "an activation probability lies in (0, 1]")
    return p


def _importance(importance: Any, n: int | None = None) -> np.ndarray:
    importance = _numbers("importance", np.ones(n or 1) if importance is None else importance)
    _outside("importance", importance, importance < 0, "an importance is at least 0")
    return importance


def _per_feature(name: str, value: Any, n: int) -> Any:
    if value.ndim and value.shape[-1] not in (1, n):
        raise ValueError(f"{name} of shape {value.shape}: one number or one for each of the {n} features expected")
    return value[..., None] if value.ndim == 0 else value


def _weights(name: str, W: Any, least: int = 1) -> np.ndarray:
    W = _numbers(name, W, ndim=2)
    if W.shape[-2] < least:
        raise ValueError(f"{name} of shape {W.shape}: at least one feature expected")
    return W


def expected_loss(
    W: Real[Array, "... features hidden"] | Nested,
    b: Real[Array, "..."] | Nested | Number,
    p: Real[Array, "..."] | Nested | Number,
    importance: Real[Array, "..."] | Nested | Number | None = None,
    *,
    encoder: Real[Array, "... features hidden"] | Nested | None = None,
) -> Float[Array, "..."] | float:
    """E sum_i I_i (x_i - x'_i)^2 of x' = ReLU(W Wᵀ x + b), to rounding. Elhage et al. 2022, the loss of its section 2.

    x_i is 0 with probability 1 - p_i, else uniform on [0, 1]; independent. `p` and `importance` (default 1) are one
    number or one a feature; leading axes of any argument are a batch. `encoder` is E in x' = ReLU(W Eᵀ x + b), by
    default W. Evaluated in float64 with the module's recurrence, 3^n terms an output: n <= 8. Raises ValueError above,
    and for a shape, p or importance out of range.
    """
    W = _weights("W", W)
    n = W.shape[-2]
    if n > MAX_FEATURES:
        raise ValueError(f"W has {n} features: the exact loss is computed for at most {MAX_FEATURES}")
    encoder = W if encoder is None else _weights("encoder", encoder)
    if encoder.shape[-2:] != W.shape[-2:]:
        raise ValueError(f"encoder of shape {encoder.shape}: W has shape {W.shape}")
    b = _per_feature("b", _numbers("b", b), n)
    p = _per_feature("p", _probability(p), n)
    importance = _per_feature("importance", _importance(importance), n)
    return _expected_loss(np, W, b, p, importance, encoder)[()]


def population_loss(
    W: Float[Array, "features hidden"],
    b: Float[Array, " features"],
    p: Float[Array, "..."] | Number,
    importance: Float[Array, "..."] | Number = 1.0,
    *,
    encoder: Float[Array, "features hidden"] | None = None,
) -> Float[Array, ""]:
    """`expected_loss` in jax.numpy, in the dtype of W: to be differentiated, mapped, compiled and trained on.

    The same recurrence, hence as stable in float32. Once differentiable everywhere but where an output's bias is 0 and
    its weights are too; nothing is checked but n <= 8. Compile time grows with n: about a second at n = 2, 3 at n = 5.
    """
    if W.shape[-2] > MAX_FEATURES:
        raise ValueError(f"W has {W.shape[-2]} features: the exact loss is computed for at most {MAX_FEATURES}")
    W, b, p, importance = (jnp.asarray(value, W.dtype) for value in (W, b, p, importance))
    n = W.shape[-2]
    p, importance = _per_feature("p", p, n), _per_feature("importance", importance, n)
    return _expected_loss(jnp, W, b, p, importance, W if encoder is None else encoder)


def one_sparse_loss(
    W: Real[Array, "... features hidden"] | Nested, b: Real[Array, "..."] | Nested | Number
) -> Float[Array, "..."] | float:
    """(1/n) sum_i int_0^1 sum_j (u [i = j] - max(u W_j.W_i + b_j, 0))^2 du: one active feature, chosen uniformly.

    The population loss of arXiv 2310.06301 up to its normalisation: here summed over outputs and averaged over which
    feature is active. Any n, m; leading axes are a batch. In float64, or inside a JAX trace in the dtype of W.
    """
    if _is_traced(W, b):
        weights = jnp.asarray(W)
        return _one_sparse_loss(jnp, weights, jnp.asarray(b, weights.dtype))
    return _one_sparse_loss(np, _weights("W", W), _numbers("b", b))[()]


def _one_sparse_loss(xp: ModuleType, W: Any, b: Any) -> Any:
    n = W.shape[-2]
    b = _per_feature("b", b, n)
    gram = W @ xp.swapaxes(W, -1, -2)
    b = xp.broadcast_to(b, (*np.broadcast_shapes(gram.shape[:-2], b.shape[:-1]), n))
    gram = xp.broadcast_to(gram, (*b.shape, n))
    # One feature on is the second of the active sets of one feature.
    squares = _active_set_moments(xp, gram[..., None], xp.broadcast_to(b[..., None], gram.shape))[0][..., 1]
    others = xp.where(np.eye(n, dtype=bool), 0, squares)
    own = xp.diagonal(gram, axis1=-2, axis2=-1)[..., None]
    return (_output_losses(xp, own, b, xp.ones_like(own)).sum(-1) + others.sum((-2, -1))) / n


class Solution(NamedTuple):
    """Weights (features x hidden), biases and expected loss; leading axes, if any, are those of the question."""

    W: Float[Array, "*batch features hidden"]
    b: Float[Array, "*batch features"]
    loss: Any


def feature_variance(p: Real[Array, "..."] | Nested | Number) -> Float[Array, "..."] | float:
    """Var x = p/3 - p^2/4, the loss of predicting a feature by its mean p/2."""
    p = _probability(p)
    return p / 3 - p**2 / 4


def linear_optimum(
    m: int, p: Real[Array, "..."] | Nested | Number, importance: Real[Array, " features"] | Nested
) -> Solution:
    """min over W (n x m), b of E sum_i I_i (x - W Wᵀ x - b)_i^2 = sum of I_i v_i over all but its m largest, v = Var x.

    Attained by keeping those m features orthonormally and predicting the mean p/2 of the others (Eckart-Young; also
    over untied weights). `p` is one number or one a feature. Ties go to the earlier feature. ValueError for m < 0.
    """
    importance = np.atleast_1d(_importance(importance))
    if importance.ndim != 1:
        raise ValueError(f"importance of shape {importance.shape}: a list with one number a feature expected")
    if m < 0:
        raise ValueError(f"m={m}: a hidden width is at least 0")
    n = len(importance)
    p = np.broadcast_to(_per_feature("p", _probability(p), n), (n,))
    cost = importance * feature_variance(p)
    order = np.argsort(-cost, kind="stable")
    kept = order[:m]
    W, b = np.zeros((n, m)), p / 2
    W[kept, np.arange(len(kept))] = 1
    b[kept] = 0
    return Solution(W, b, cost[order[m:]].sum())


def linear_loss(
    W: Real[Array, "... features hidden"] | Nested,
    b: Real[Array, "... features"] | Nested,
    p: Real[Array, "features"] | Nested | Number,
    importance: Real[Array, " features"] | Nested | None = None,
) -> Float[np.ndarray, "..."] | np.float64:
    """E sum_i I_i (x - W Wᵀ x - b)_i^2 from the mean p/2 and the variance of each feature, for a batch of models.

    With A = 1 - W Wᵀ it is sum_i I_i ((A mean - b)_i^2 + sum_j A_ij^2 Var x_j). `p` is one number or one a feature.
    """
    W, b = _weights("W", W), _numbers("b", b)
    n = W.shape[-2]
    p = np.broadcast_to(_per_feature("p", _probability(p), n), (n,))
    A = np.eye(n) - W @ W.swapaxes(-1, -2)
    error = (A @ (p / 2) - b) ** 2 + A**2 @ feature_variance(p)
    return (error * _per_feature("importance", _importance(importance, n), n)).sum(-1)


@functools.partial(jax.jit, static_argnums=(3, 4))
def _descend(start: Any, p: Any, importance: Any, n: int, m: int) -> Any:
    """Local minima of the population loss from each row of `start` = (W, b), by Newton steps that avoid saddles.

    |H| replaces the Hessian H, damped by mu as in Levenberg-Marquardt; only steps that lower the loss are taken.
    """

    def descend(start: Any, p: Any, importance: Any) -> Any:
        def loss(point: Any) -> Any:
            return population_loss(point[: n * m].reshape(n, m), point[n * m :], p, importance)

        def value_slope_curvature(point: Any) -> Any:
            def slope_and_all(point: Any) -> Any:
                value, slope = jax.value_and_grad(loss)(point)
                return slope, (value, slope)

            curvature, (value, slope) = jax.jacfwd(slope_and_all, has_aux=True)(point)
            return value, slope, curvature

        def unfinished(state: Any) -> Any:
            _, (value, _, _), decrease, damping, count = state
            return (jnp.isinf(decrease) | (decrease > 1e-14 * value)) & (damping < 1e9) & (count < 300)

        def step(state: Any) -> Any:
            point, (value, slope, curvature), _, damping, count = state
            curvatures, axes = jnp.linalg.eigh(curvature)
            move = axes @ ((axes.T @ slope) / (jnp.abs(curvatures) + damping))
            trial = value_slope_curvature(point - move)
            better = trial[0] < value
            damping = jnp.where(better, jnp.maximum(damping / 5, 1e-12), damping * 5)
            point = jnp.where(better, point - move, point)
            known = tuple(jnp.where(better, new, old) for new, old in zip(trial, state[1], strict=True))
            decrease = jnp.where(jnp.isinf(value), jnp.inf, slope @ move)
            return point, known, decrease, damping, count + 1

        # Any value improves on infinity: the first step only evaluates the start, as its slope is taken to be 0.
        d = start.shape[0]
        unknown = (jnp.asarray(jnp.inf), jnp.zeros(d), jnp.eye(d))
        first = (start, unknown, jnp.asarray(jnp.inf), jnp.asarray(0.05), 0)
        return jax.lax.while_loop(unfinished, step, first)[0]

    return jax.vmap(descend)(start, p, importance)


def _local_minima(start: np.ndarray, p: np.ndarray, importance: np.ndarray, n: int, m: int) -> tuple[np.ndarray, ...]:
    """W, b, loss of one local minimum from each start (count x (n m + n)); p and importance are count x n."""
    count, chunk = len(start), 16  # one shape, so that one program serves every question
    points = np.empty_like(start)
    with jax.enable_x64(True):
        for begin in range(0, count, chunk):
            rows = np.minimum(np.arange(begin, begin + chunk), count - 1)
            points[rows] = _descend(start[rows], p[rows], importance[rows], n, m)
    W, b = points[:, : n * m].reshape(count, n, m), points[:, n * m :]
    return W, b, _expected_loss(np, W, b, p, importance, W)


def optimum(
    m: int,
    p: Real[Array, "..."] | Nested | Number,
    importance: Real[Array, " features"] | Nested,
    *,
    starts: int = 64,
    seed: int = 0,
) -> Solution:
    """min over W (n x m), b of `expected_loss`: the best of `starts` local minima, from random and from linear weights.

    n is the number of importances. Exact up to the search, which is not a proof: none of the starts led to less. Meant
    for n <= 4, where it takes seconds, most of it compilation. Raises ValueError for n > 8, m < 1 and p out of range.
    """
    if m < 1 or starts < 1:
        raise ValueError(f"m={m}, starts={starts}: both are at least 1")
    linear = linear_optimum(m, p, importance)
    n = len(linear.b)
    if n > MAX_FEATURES:
        raise ValueError(f"{n} features: the exact loss is computed for at most {MAX_FEATURES}")
    importance = np.broadcast_to(_importance(importance), (n,))
    p = np.broadcast_to(_probability(p), (n,))
    random = np.random.default_rng(seed)
    W = random.normal(size=(starts, n, m)) / m**0.5
    b = random.normal(size=(starts, n)) * 0.2
    # Half of the random starts have unit rows; the linear optimum is itself a saddle where superposition is better.
    W[::2] /= np.linalg.norm(W[::2], axis=-1, keepdims=True)
    W[0], b[0] = linear.W + 1e-2 * W[0], linear.b
    start = np.concatenate([W.reshape(starts, -1), b], axis=1)
    W, b, loss = _local_minima(start, np.tile(p, (starts, 1)), np.tile(importance, (starts, 1)), n, m)
    best = int(np.argmin(loss))
    return linear if linear.loss <= loss[best] else Solution(W[best], b[best], loss[best])


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


def _superposed(p: np.ndarray, r: np.ndarray, starts: np.ndarray, sign: int) -> Solution:
    """The best local minimum with w_1 w_2 of this sign, for r <= 1 (p and r of one shape, one axis)."""
    start = np.tile(starts, (len(p), 1, 1))
    start[..., 3] += (1 - start[..., 1] ** 2) * p[:, None] / 2
    count = len(starts)
    p_both = np.repeat(p, 2 * count).reshape(-1, 2)
    importance = np.repeat(np.stack([np.ones_like(r), r], -1), count, axis=0)
    found = _local_minima(start.reshape(-1, 4), p_both, importance, 2, 1)
    W, b, loss = (value.reshape(len(p), count, *value.shape[1:]) for value in found)
    # A descent may end in a dedicated solution, with one weight zero to rounding: not of this kind.
    loss = np.where(sign * W[..., 0, 0] * W[..., 1, 0] > 1e-6, loss, np.inf)
    best = loss.argmin(1)
    W, b, loss = (value[np.arange(len(p)), best] for value in (W, b, loss))
    missing = np.isinf(loss)
    W = np.where(missing[:, None, None], np.nan, W * np.where(W[:, :1] < 0, -1, 1))
    return Solution(W, np.where(missing[:, None], np.nan, b), loss)


def two_features(p: Real[Array, "..."] | Nested | Number, r: Real[Array, "..."] | Nested | Number) -> TwoFeatures:
    """The candidate optima of n = 2, m = 1, importances (1, r), at p: weights, biases, exact losses.

    The phase diagram of Elhage et al. 2022 with biases and norms optimised. With v = p/3 - p^2/4 neither costs
    (1 + r) v, first r v, second v; antipodal and merged are local minima of `expected_loss` found numerically. p and
    r > 0 broadcast against each other; the answer has their shape. About 5 ms a point after compiling.
    """
    p, r = np.broadcast_arrays(_probability(p), _numbers("r", r))
    _outside("r", r, r <= 0, "a relative importance is greater than 0")
    flat_p, flat_r = p.ravel(), r.ravel()
    # Swapping the features turns r into 1 / r and divides the loss by r.
    swap = flat_r > 1
    ratio = np.where(swap, 1 / flat_r, flat_r)
    keep = {"neither": (0.0, 0.0), "first": (1.0, 0.0), "second": (0.0, 1.0)}
    found = {name: _kept(flat_p, flat_r, which) for name, which in keep.items()}
    for name, starts, sign in (("antipodal", ANTIPODAL_STARTS, -1), ("merged", MERGED_STARTS, 1)):
        W, b, loss = _superposed(flat_p, ratio, starts, sign)
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
    p = _probability(p)
    if not mean_of_dropped:
        return p / (2 - p)
    return np.where(7 * p <= 4, 2 * p / np.where(7 * p <= 4, 4 - 5 * p, 1), np.nan)[()]


def antipodal_best_bias(p: Real[Array, "..."] | Nested | Number) -> tuple[Any, Any]:
    """argmin and min over b of E (x_1 - max(x_1 - x_2 + b, 0))^2, the loss of one of two antipodal unit weights.

    (1-p)^2 b^2 + p (1-p) (b^2 + b^3/3) + p^2 (b^3/3 + (1-b)^3/3 - (1-b)^4/6) for b in [0, 1]: a pair that has been on
    together is read too low, which a positive bias mends at second order in p. The loss is p^2/6 - p^4/36 + O(p^5).
    """
    p = _probability(p)
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
    p = _probability(p)
    v = feature_variance(p)
    # Antipodal, c in [0, p/2]: zero of (1-p) (2 (1-p) c + p c^2) + p (c - p/2) / 2.
    linear = 2 * (1 - p) ** 2 + p / 2
    c = p**2 / 2 / (linear + np.sqrt(linear**2 + (1 - p) * p**3))
    antipodal = (1 - p) * ((1 - p) * c**2 + p * c**3 / 3) + p * (v + (c - p / 2) ** 2 / 4)
    # Parallel, c = y - 1 <= -p/2: zero of (1-p) y^2 + y/2 - (1 - p/2) / 2.
    y = (1 - p / 2) / (0.5 + np.sqrt(0.25 + 2 * (1 - p) * (1 - p / 2)))
    parallel = (1 - p) * p * y**3 / 3 + p * (v + (p / 2 - 1 + y) ** 2 / 4)
    return antipodal / v, parallel / v


def _tie(p: np.ndarray, r: np.ndarray) -> np.ndarray:
    """L_1 / (v - L_2) at the best superposed solution for r: where that solution ties with dropping feature 2."""
    v = feature_variance(p)
    # Only the antipodal: merged solutions tie at a larger r for every p (at p = 1 at the same, by u -> 1 - u).
    W, b, _ = (np.nan_to_num(value) for value in _superposed(p, r, ANTIPODAL_STARTS, -1))
    own, other = (_expected_loss(np, W, b, p[:, None], np.array(which), W) for which in ((1, 0), (0, 1)))
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
    p = _probability(p)
    flat = p.ravel()
    r = np.ones_like(flat)
    active = np.arange(len(flat))
    while len(active):
        tie = _tie(flat[active], r[active])
        lower = tie < r[active] * (1 - 1e-12)
        active = active[lower]
        r[active] = tie[lower]
    return np.minimum(r, np.minimum(*instability(flat))).reshape(p.shape)[()]


class Polygon(NamedTuple):
    """|W_i|, the common bias and the loss of `one_sparse_loss`."""

    radius: float
    bias: float
    loss: float


def _polygon_cosines(k: int) -> np.ndarray:
    cosines = np.cos(2 * np.pi * np.arange(k) / k)
    # Exact where the angle is a multiple of a quarter turn: a cosine of 6e-17 would make a sliver of a piece.
    return np.where(np.abs(cosines) < 1e-12, 0.0, cosines)


def polygon_weights(k: int, radius: float = 1.0) -> Float[Array, "features hidden"]:
    """W_i = radius (cos 2 pi i / k, sin 2 pi i / k), k x 2."""
    cosines = _polygon_cosines(k)
    sines = np.sin(2 * np.pi * np.arange(k) / k)
    return radius * np.stack([cosines, np.where(np.abs(sines) < 1e-12, 0.0, sines)], -1)


def _polygon_pieces(k: int, low: float, high: float) -> tuple[Any, Any]:
    """A(x) = int_0^1 u max(u - x, 0) du, B(x) = sum_d int_0^1 max(u cos_d - x, 0)^2 du: cubics on a piece, x <= 1."""
    X = np.polynomial.Polynomial([0.0, 1.0])
    middle = (low + high) / 2
    A = 1 / 3 - X / 2 + X**3 / 6 if middle > 0 else 1 / 3 - X / 2
    B = 0 * X
    for c in _polygon_cosines(k):
        if min(c, 0) >= middle:
            B += c**2 / 3 - c * X + X**2
        elif max(c, 0) > middle:
            B += (c - X) ** 3 / (3 * c) if c > 0 else X**3 / (3 * c)
    return A, B


def polygon(k: int) -> Polygon:
    """The best regular k-gon, W_i = R (cos 2 pi i/k, sin 2 pi i/k), b_i = b, for one active feature, n = k, m = 2.

    With b = -R^2 x the loss is 1/3 - 2 R^2 A(x) + R^4 B(x), so R^2 = A / B and the loss 1/3 - max_x A^2 / B: a maximum
    over the zeros of 2 A' B - A B', a polynomial between consecutive cosines. Global in R and b. By symmetry a critical
    point in all W, b. Regular polygons in this loss: Chen et al. 2023, arXiv 2310.06301. Raises ValueError for k < 2.
    """
    if k < 2:
        raise ValueError(f"k={k}: a polygon has at least 2 vertices")
    cosines = _polygon_cosines(k)
    far = -1e3  # loss at x = far differs from that of R = 0, the best constant, by O(1 / far)
    knots = np.unique(np.concatenate([[far, 0.0, 1.0], cosines]).round(14))
    candidates = []
    for low, high in itertools.pairwise(knots):
        A, B = _polygon_pieces(k, low, high)
        stationary = (2 * A.deriv() * B - A * B.deriv()).roots()
        near = stationary[np.abs(stationary.imag) < 1e-6].real
        for x in (*near[(near > low) & (near < high)], low):
            if x > far:
                candidates.append((A(x) ** 2 / B(x), x, A(x) / B(x)))
    _, x, squared_radius = max(candidates)
    radius, bias = float(squared_radius**0.5), float(-squared_radius * x) + 0.0
    return Polygon(radius, bias, float(one_sparse_loss(polygon_weights(k, radius), bias)))


class Scaled(NamedTuple):
    """Radius, common bias and `expected_loss` of a set of unit vectors at its best size."""

    radius: Float[np.ndarray, "..."]
    bias: Float[np.ndarray, "..."]
    loss: Float[np.ndarray, "..."]


def best_scaled(
    vectors: Real[Array, "features hidden"] | Nested, p: Real[Array, "..."] | Nested | Number, rounds: int = 12
) -> Scaled:
    """min over R >= 0 and b of the expected loss of W_i = R v_i, b_i = b: what a tegum factor of this shape costs.

    Orthogonal factors do not interfere, so the loss of a model is a sum over its factors and its dropped features, each
    p/3 - p^2/4 (Jermyn 2022 on tegum products; Elhage et al. 2022, section 4). A search on a 7 x 7 grid that shrinks by
    0.45 around its best point: radius and bias to 3e-4, the loss, flat there, to about 1e-7 of itself. For vectors that
    symmetry exchanges this is the best bias of each, too. n <= 8; cost 3^n an evaluation. The radius is sought up to
    1.6 and the bias in [-0.8, 0.6].
    """
    units = _weights("vectors", vectors)
    probability = np.asarray(_probability(p), np.float64)
    flat = probability.ravel()
    grid = np.linspace(-1, 1, 7)
    radius, bias, loss = np.full(flat.shape, 0.8), np.full(flat.shape, -0.1), np.zeros(flat.shape)
    here = np.arange(len(flat))
    for shrink in 0.45 ** np.arange(rounds):
        radii = np.maximum(radius[:, None] + 0.8 * shrink * np.repeat(grid, 7), 0)
        biases = bias[:, None] + 0.7 * shrink * np.tile(grid, 7)
        losses = np.asarray(expected_loss(radii[..., None, None] * units, biases[..., None], flat[:, None, None]))
        best = losses.argmin(axis=1)
        radius, bias, loss = radii[here, best], biases[here, best], losses[here, best]
    return Scaled(*(each.reshape(probability.shape) for each in (radius, bias, loss)))


def dimensionality_levels() -> dict[str, float]:
    """D = dimensions / features of the tight frames met in trained models, highest first. Elhage et al. 2022."""
    dimensions_and_vertices = {
        "dedicated": (1, 1),
        "tetrahedron": (3, 4),
        "triangle": (2, 3),
        "digon": (1, 2),
        "pentagon": (2, 5),
        "square antiprism": (3, 8),
        "hexagon": (2, 6),
        "none": (0, 1),
    }
    return {name: dimensions / vertices for name, (dimensions, vertices) in dimensions_and_vertices.items()}
