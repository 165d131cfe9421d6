"""Losses of one example: (prediction, target) -> scalar, zero where they agree (except `InnerProduct`).

A prediction is a vector of features or, for matrix factorisation, a matrix; sums run over all of its entries.
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from toymodels.arrays import Array, Float, Number
from toymodels.config import config, static
from toymodels.laws import Geometric, Law, PowerLaw, check_law, per_feature


@runtime_checkable
class Loss(Protocol):
    """A config that compares one prediction with its target."""

    def __call__(self, prediction: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, ""]: ...


def _check_importance(importance: Law) -> None:
    n = max(len(importance), 1) if isinstance(importance, tuple) else 1
    check_law("importance", importance, n, lambda value: value >= 0, "an importance is not negative")


def _weighted_sum(importance: Law | Number | tuple[Number, ...], errors: Float[Array, "*shape"]) -> Float[Array, ""]:
    """sum_i I_i errors_i, the features on the last axis; one importance for all stays a scalar, which costs nothing."""
    if isinstance(importance, Geometric | PowerLaw | tuple):
        return jnp.sum(errors @ per_feature(importance, errors.shape[-1]))
    return jnp.asarray(importance) * jnp.sum(errors)


def check_power(power: float) -> None:
    """ValueError for exponents below 1, whose gradient is infinite at agreement."""
    if not power >= 1:
        raise ValueError(f"power={power:g}: a loss |error|^power needs power >= 1")


def abs_power(x: Float[Array, "..."], power: Number) -> Float[Array, "..."]:
    """|x|^power with derivative power |x|^(power-1) sign(x), 0 at x = 0: no NaN where JAX's power rule has one.

    As exp(power log |x|), which CPUs work out many at a time: half the time of a step with the library's power, at
    a relative error of about 1e-6 for |log x| power < 10 in float32.
    """

    def one(x: Array) -> Array:
        zero = (x == 0).astype(x.dtype)
        return jnp.exp(jnp.asarray(power) * jnp.log(jnp.abs(x) + zero)) * (1 - zero)

    # Number by number, and without `where`: a power or a constant repeated for each feature would bring the batch,
    # which is mapped later, to the front.
    return jax.vmap(one)(x.ravel()).reshape(x.shape)


@config
class SquaredError:
    """sum_i I_i (x_i - x'_i)^2, importances I (1 by default). Elhage et al. 2022."""

    importance: Law = 1.0

    def check(self) -> None:
        _check_importance(self.importance)

    def __call__(self, prediction: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, ""]:
        return _weighted_sum(self.importance, (target - prediction) ** 2)


@config
class HalfSquaredError:
    """1/2 sum (x - x')^2, the convention of matrix factorisation."""

    def __call__(self, prediction: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, ""]:
        return jnp.sum((target - prediction) ** 2) / 2


@config
class PowerError:
    """sum_i I_i |x_i - x'_i|^power, power >= 1: the exponent decides how much large errors weigh."""

    power: float = 2.0
    importance: Law = 1.0

    def check(self) -> None:
        check_power(self.power)
        _check_importance(self.importance)

    def __call__(self, prediction: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, ""]:
        return _weighted_sum(self.importance, abs_power(target - prediction, self.power))


@config
class WholePower:
    """sum_i I_i |x_i - x'_i|^power for a whole power >= 2, by products: a program for each power, each faster than
    `PowerError` of all."""

    power: int = static(default=4)
    importance: Law = 1.0

    def check(self) -> None:
        if self.power < 2:
            raise ValueError(f"power={self.power}: a whole power of at least 2; see PowerError for others")
        _check_importance(self.importance)

    def __call__(self, prediction: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, ""]:
        error = target - prediction
        even = jax.lax.integer_pow(error, 2 * (self.power // 2))
        return _weighted_sum(self.importance, even * jnp.abs(error) if self.power % 2 else even)


@config
class BinaryCrossEntropy:
    """sum_i KL(Bernoulli(x_i) || Bernoulli(sigmoid(x'_i))): targets in [0, 1] are probabilities, predictions logits.

    The entropy of the target is subtracted, so that equality is zero. Use it with a model whose output is linear.
    """

    def __call__(self, prediction: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, ""]:
        return jnp.sum(jax.nn.softplus(prediction) - target * prediction + _x_log_x(target) + _x_log_x(1 - target))


def _x_log_x(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x log x, 0 at 0 without 0 · inf on the way."""
    return x * jnp.log(jnp.where(x == 0, 1.0, x))


@config
class SoftmaxCrossEntropy:
    """KL(softmax(A) || softmax(Ã)), softmax over all entries: zero exactly when Ã = A + constant."""

    def __call__(self, prediction: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, ""]:
        # KL = log E[exp e] under softmax(A), with e = Ã - A less its mean: no cancellation near agreement.
        log_probability = jax.nn.log_softmax(target.ravel())
        probability = jnp.exp(log_probability)
        error = (prediction - target).ravel()
        error = error - jnp.sum(probability * error)
        near = jnp.log1p(jnp.sum(probability * _exp_remainder(jnp.clip(error, -1, 1))))
        far = jax.nn.logsumexp(log_probability + error)
        return jnp.where(jnp.max(jnp.abs(error)) <= 1, near, far)


def _exp_remainder(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """exp(x) - 1 - x for |x| <= 1, to float32 precision also where x is tiny: x²/2 (1 + x/3 (1 + x/4 (...)))."""
    series: Array = jnp.ones_like(x)
    for order in range(11, 2, -1):
        series = 1 + x / order * series
    return x**2 / 2 * series


@config
class InnerProduct:
    """-<A, Ã>: no self-interaction, so unbounded below. `factorize` stops it at |Ã| = |A|. Jermyn & Shlegeris 2022."""

    def __call__(self, prediction: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, ""]:
        return -jnp.sum(prediction * target)
