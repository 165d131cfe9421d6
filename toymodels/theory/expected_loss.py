"""Exact losses and optima of the tied ReLU-output autoencoder x' = ReLU(W Wᵀ x + b). Elhage et al. 2022.

Features are independent, 0 with probability 1 - p and else uniform on [0, 1]; the loss is E sum_i I_i (x_i - x'_i)^2.

Every expectation here is one over which features are on, of moments from a recurrence: `theory.active_sets`.

>>> pair, bias = [[1.0], [-1.0]], [0.0, 0.0]  # two features, antipodal in one dimension
>>> round(float(expected_loss(pair, bias, p=0.1)), 6)
0.003333
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Real

from toymodels.arrays import Array, Float
from toymodels.theory.active_sets import given_active, moments, probabilities
from toymodels.theory.feature_arguments import Nested, Number, importances, numbers, per_feature, probability, weights

MAX_FEATURES = 8


def _expected_loss(W: Any, b: Any, p: Any, importance: Any, encoder: Any) -> Any:
    gram = W @ np.swapaxes(encoder, -1, -2)
    batch, turn = np.broadcast_shapes(gram.shape[:-2], b.shape[:-1]), _turn(n := W.shape[-2])
    a = np.broadcast_to(gram[..., turn[:, :1], turn], (*batch, n, n)).reshape(-1, n)
    given = given_active(np, a.T, np.broadcast_to(b, (*batch, n)).ravel())
    chance = probabilities(np, np.moveaxis(np.broadcast_to(p, (*p.shape[:-1], n))[..., turn], -1, 0))
    # p may have more leading axes, which cost little: given what is on, the loss does not depend on it.
    losses = (np.moveaxis(chance, 0, -1) * np.moveaxis(given.reshape(-1, *batch, n), 0, -1)).sum(-1)
    return (importance * losses).sum(-1)


def _turn(n: int) -> np.ndarray:
    """Each output sees the features in turn, itself first: (outputs, features)."""
    return (np.arange(n, dtype=np.int32)[:, None] + np.arange(n, dtype=np.int32)) % n


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
    return _expected_loss(W, b, p, importance, encoder)[()]


def population_loss(
    W: Float[Array, "features hidden"],
    b: Float[Array, " features"],
    p: Float[Array, "..."] | Number,
    importance: Float[Array, "..."] | Number = 1.0,
    *,
    encoder: Float[Array, "features hidden"] | None = None,
) -> Float[Array, ""]:
    """`expected_loss` in jax.numpy, in the dtype of W: to be differentiated, mapped, compiled and trained on.

    The same recurrence, hence as stable in float32. Nothing is checked but n <= 8. Mapped over models by `jax.vmap`,
    it runs along the models. Twice differentiable: a second time forward, as `jax.hessian` does.
    """
    n = W.shape[-2]
    if n > MAX_FEATURES:
        raise ValueError(f"W has {n} features: the exact loss is computed for at most {MAX_FEATURES}")
    W, b, p, importance = (jnp.asarray(value, W.dtype) for value in (W, b, p, importance))
    gram = W @ (W if encoder is None else encoder).T
    b, p, importance = (jnp.broadcast_to(per_feature("", each, n), (n,)) for each in (b, p, importance))
    return _loss(gram, b, p, importance)


def _losses(gram: Any, b: Any, p: Any, importance: Any) -> Any:
    """Of models along the last axis."""
    turn = _turn(n := len(b))
    a = gram[turn[:, :1], turn].swapaxes(0, 1).reshape(n, -1)
    given = given_active(jnp, a, b.ravel()).reshape(-1, *b.shape)
    return (importance * (probabilities(jnp, p[turn.T]) * given).sum(0)).sum(0)


def _with_slopes(*arguments: Any) -> Any:
    losses, pull = jax.vjp(_losses, *arguments)
    return losses, pull(jnp.ones_like(losses))


def _along_models(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of one model; mapped over models, they are on the last axis, which fills vector instructions."""

    def alone(*arguments: Any) -> Any:
        return jax.tree.map(lambda found: found[..., 0], function(*(each[..., None] for each in arguments)))

    of_one = jax.custom_batching.custom_vmap(alone)

    @of_one.def_vmap
    def _(size: int, mapped: Any, *arguments: Any) -> Any:
        if not any(mapped):  # only slopes of them are
            return (found := alone(*arguments)), jax.tree.map(lambda _: False, found)
        last = (
            jnp.moveaxis(each, 0, -1) if own else jnp.broadcast_to(each[..., None], (*each.shape, size))
            for each, own in zip(arguments, mapped, strict=True)
        )
        found = jax.tree.map(lambda found: jnp.moveaxis(found, -1, 0), function(*last))
        return found, jax.tree.map(lambda _: True, found)

    return of_one


_loss_of_one, _slopes_of_one = _along_models(_losses), _along_models(_with_slopes)


@jax.custom_jvp
def _loss(*arguments: Any) -> Any:
    return _loss_of_one(*arguments)


@_loss.defjvp
def _slope(arguments: Any, tangents: Any) -> Any:
    loss, slopes = _slopes_of_one(*arguments)
    return loss, sum(jnp.vdot(slope, tangent) for slope, tangent in zip(slopes, tangents, strict=True))


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
    repeated = xp.broadcast_to(b[..., None], gram.shape)
    square = moments(xp, gram.reshape(1, -1), repeated.ravel())[1].reshape(gram.shape)  # given the one feature
    others = xp.where(np.eye(n, dtype=bool), 0, square)
    own = given_active(xp, xp.diagonal(gram, axis1=-2, axis2=-1).reshape(1, -1), b.ravel())[1].reshape(b.shape)
    return (own.sum(-1) + others.sum((-2, -1))) / n


class Solution(NamedTuple):
    """Weights (features x hidden), biases and expected loss; leading axes, if any, are those of the question."""

    W: Float[Array, "*batch features hidden"]
    b: Float[Array, "*batch features"]
    loss: Any
