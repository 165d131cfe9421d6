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

>>> pair, bias = [[1.0], [-1.0]], [0.0, 0.0]  # two features, antipodal in one dimension
>>> round(float(expected_loss(pair, bias, p=0.1)), 6)
0.003333
"""

import functools
import itertools
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Real

from toymodels.arrays import Array, Float
from toymodels.theory.feature_arguments import Nested, Number, importances, numbers, per_feature, probability, weights

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
def layers(n: int) -> tuple[Layer, ...]:
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

    `a` is (..., n), `b` (...); sets are in the order of `active_sets`. The second moment is 0 where feature 0 is off.
    The recurrence is the module's with q = 1 and 2; with the weight u_0 it gains one term and one in the divisor.
    """
    # Not minimum and maximum: at a = 0 these halve the derivative, which must follow one side, as the weights do.
    rising = a > 0
    below, above = xp.where(rising, 0, a), xp.where(rising, a, 0)
    # Where y has nearly no spread, squares of the spread would underflow: the kink is not resolved there.
    resolved = float(np.finfo(a.dtype).tiny) ** 0.5 * 1e3
    squares, crosses = [], []
    first = square = cross = xp.zeros((*b.shape, 1), a.dtype)
    for k, layer in enumerate(layers(a.shape[-1])):
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
def active_sets(n: int) -> np.ndarray:
    """Sets x features, in the order of `_active_set_moments`."""
    return np.concatenate([layer.free[layer.on_off] for layer in layers(n)])


def _output_losses(xp: ModuleType, a: Any, b: Any, p: Any) -> Any:
    """E (x_0 - max(y, 0))^2, y = b + sum_j a_j x_j. `a` and `p` are (..., n), `b` (...); p may have more leading axes,
    which then cost little: given what is on, the loss does not depend on it.

    Two exact forms, the second with the residual z = x_0 - y, whose moments are elementary:
    E[x_0^2] - 2 E[x_0 max(y, 0)] + E[max(y, 0)^2] = E[z^2] - 2 E[x_0 max(-y, 0)] - E[max(-y, 0)^2].
    Each active set takes the one with the smaller terms, so that a loss near zero keeps its digits.
    """
    sets = active_sets(a.shape[-1])
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
    batch = np.broadcast_shapes(gram.shape[:-2], b.shape[:-1])
    # Each output sees the features in turn, itself first.
    turn = (np.arange(n, dtype=np.int32)[:, None] + np.arange(n, dtype=np.int32)) % n
    a = xp.broadcast_to(gram[..., turn[:, :1], turn], (*batch, n, n))
    losses = _output_losses(xp, a, xp.broadcast_to(b, (*batch, n)), xp.broadcast_to(p, (*p.shape[:-1], n))[..., turn])
    return (importance * losses).sum(-1)


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
    W = weights("W", W)
    n = W.shape[-2]
    if n > MAX_FEATURES:
        raise ValueError(f"W has {n} features: the exact loss is computed for at most {MAX_FEATURES}")
    encoder = W if encoder is None else weights("encoder", encoder)
    if encoder.shape[-2:] != W.shape[-2:]:
        raise ValueError(f"encoder of shape {encoder.shape}: W has shape {W.shape}")
    b = per_feature("b", numbers("b", b), n)
    p = per_feature("p", probability(p), n)
    importance = per_feature("importance", importances(importance), n)
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
    p, importance = per_feature("p", p, n), per_feature("importance", importance, n)
    return _expected_loss(jnp, W, b, p, importance, W if encoder is None else encoder)


def _is_traced(*values: Any) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def one_sparse_loss(
    W: Real[Array, "... features hidden"] | Nested, b: Real[Array, "..."] | Nested | Number
) -> Float[Array, "..."] | float:
    """(1/n) sum_i int_0^1 sum_j (u [i = j] - max(u W_j.W_i + b_j, 0))^2 du: one active feature, chosen uniformly.

    The population loss of arXiv 2310.06301 up to its normalisation: here summed over outputs and averaged over which
    feature is active. Any n, m; leading axes are a batch. In float64, or inside a JAX trace in the dtype of W.
    """
    if _is_traced(W, b):
        traced = jnp.asarray(W)
        return _one_sparse_loss(jnp, traced, jnp.asarray(b, traced.dtype))
    return _one_sparse_loss(np, weights("W", W), numbers("b", b))[()]


def _one_sparse_loss(xp: ModuleType, W: Any, b: Any) -> Any:
    n = W.shape[-2]
    b = per_feature("b", b, n)
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
