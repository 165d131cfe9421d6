"""Losses against numpy, at agreement, and where float32 would lose them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toymodels.laws import Geometric, PowerLaw
from toymodels.losses import (
    BinaryCrossEntropy,
    HalfSquaredError,
    InnerProduct,
    PowerError,
    SoftmaxCrossEntropy,
    SquaredError,
    WholePower,
    abs_power,
)

vectors = arrays(np.float32, 5, elements=st.floats(-8, 8, width=32))
shares = arrays(np.float32, 5, elements=st.floats(0, 1, width=32))
powers = st.floats(1, 6)
evaluate = jax.jit(lambda loss, prediction, target: loss(prediction, target))
power_slope = jax.jit(jax.grad(abs_power))
slope = jax.jit(jax.grad(lambda prediction, loss, target: loss(prediction, target)))

LOSSES = [SquaredError(), HalfSquaredError(), PowerError(1.0), PowerError(3.0), SoftmaxCrossEntropy()]


def softmax_kl(prediction: np.ndarray, target: np.ndarray) -> float:
    """KL(softmax(A) || softmax(Ã)) in float64."""
    log_p, log_q = (scipy.special.log_softmax(x.astype(float).ravel()) for x in (target, prediction))
    return float(np.sum(np.exp(log_p) * (log_p - log_q)))


@given(vectors, vectors, powers, st.floats(0, 3))
def test_errors_against_numpy(prediction: np.ndarray, target: np.ndarray, power: float, importance: float) -> None:
    """To the rounding of float32: the error itself, its power (a relative error times `power`), a sum of five."""
    error = np.abs(target.astype(float) - prediction)
    for loss, expected in (
        (SquaredError(importance), importance * np.sum(error**2)),
        (HalfSquaredError(), np.sum(error**2) / 2),
        (PowerError(power, importance), importance * np.sum(error**power)),
        (InnerProduct(), -np.sum(target.astype(float) * prediction)),
    ):
        rounding = 1e-6 * power * 8**2 * 5 if isinstance(loss, InnerProduct) else 1e-30
        np.testing.assert_allclose(evaluate(loss, prediction, target), expected, rtol=2e-6 * (2 + power), atol=rounding)


@given(shares, vectors, vectors)
def test_importances_weigh_features(ratio: np.ndarray, prediction: np.ndarray, target: np.ndarray) -> None:
    """A rule, its vector, and the sum of one-feature losses agree."""
    squares = (target.astype(float) - prediction) ** 2
    law = Geometric(0.1 + 0.9 * float(ratio[0]), 2.0)
    for importance, weights in (
        (law, 2 * law.ratio ** np.arange(5.0)),
        (PowerLaw(float(ratio[1])), np.arange(1.0, 6) ** -float(ratio[1])),
        (tuple(ratio), ratio.astype(float)),
    ):
        got = evaluate(SquaredError(importance), prediction, target)
        np.testing.assert_allclose(got, np.sum(weights * squares), rtol=1e-5, atol=1e-30)


@given(vectors, powers)
def test_agreement_is_zero_with_zero_gradient(x: np.ndarray, power: float) -> None:
    """Exactly, also at power 1, where zero is a subgradient; softmax to the rounding of the mean error."""
    for loss in (SquaredError(), HalfSquaredError(), PowerError(1.0), PowerError(power), SoftmaxCrossEntropy()):
        assert float(evaluate(loss, x, x)) == 0
        assert (slope(x, loss, x) == 0).all()


@given(shares)
def test_binary_cross_entropy_agrees_at_the_logit(share: np.ndarray) -> None:
    """KL is zero at logit(x), for x within (0, 1), to a float32 rounding of terms of the size of the logit."""
    inside = np.clip(share, 1e-6, 1 - 1e-6).astype(np.float32)
    logits = scipy.special.logit(inside.astype(float)).astype(np.float32)
    assert abs(float(evaluate(BinaryCrossEntropy(), logits, inside))) <= 5 * 15 * 2.0**-22
    np.testing.assert_allclose(slope(logits, BinaryCrossEntropy(), inside), 0, atol=1e-6)


@given(vectors, shares)
def test_binary_cross_entropy_against_scipy(logits: np.ndarray, target: np.ndarray) -> None:
    """sum KL(Bernoulli(t) || Bernoulli(s)), also for targets 0 and 1."""
    target[:2] = 0, 1
    s, t = scipy.special.expit(logits.astype(float)), target.astype(float)
    expected = np.sum(scipy.special.rel_entr(t, s) + scipy.special.rel_entr(1 - t, 1 - s))
    np.testing.assert_allclose(evaluate(BinaryCrossEntropy(), logits, target), expected, rtol=1e-5, atol=5e-6)
    np.testing.assert_allclose(slope(logits, BinaryCrossEntropy(), target), s - t, atol=1e-6)


@given(vectors, vectors, st.integers(-8, 0))
def test_softmax_cross_entropy_at_every_distance(target: np.ndarray, direction: np.ndarray, order: int) -> None:
    """Against float64 however near: relative, as nothing cancels but the error Ã - A itself."""
    target = target.reshape(5, 1)
    error = direction.reshape(5, 1) * np.float32(10.0**order)
    prediction = target + error  # rounds: the float32 that it is, is what is compared
    expected = softmax_kl_of_error(prediction.astype(float) - target, target)
    got = float(evaluate(SoftmaxCrossEntropy(), prediction, target))
    size = np.abs(prediction.astype(float) - target).max()
    assert abs(got - expected) <= 1e-5 * expected + 1e-6 * size**2 + 1e-30
    assert got >= 0
    p, q = (scipy.special.softmax(x.astype(float)) for x in (target, prediction))
    np.testing.assert_allclose(
        slope(prediction, SoftmaxCrossEntropy(), target), q - p, atol=1e-6 * min(size, 1) + 1e-12
    )


def softmax_kl_of_error(error: np.ndarray, target: np.ndarray) -> float:
    """log E exp(e - E e) under softmax(A), in float64 by the series of expm1 less its argument where e is small."""
    p = scipy.special.softmax(target.astype(float))
    e = error - np.sum(p * error)
    if np.abs(e).max() > 1e-2:
        return softmax_kl(target + error, target)
    return float(np.log1p(np.sum(p * e**2 / 2 * (1 + e / 3 * (1 + e / 4 * (1 + e / 5 * (1 + e / 6)))))))


@given(vectors, vectors, st.floats(-50, 50))
def test_softmax_ignores_constants(prediction: np.ndarray, target: np.ndarray, constant: float) -> None:
    """Adding one number to all entries changes neither loss nor gradient, to the rounding of the sums."""
    moved = prediction + np.float32(constant)
    here, there = (float(evaluate(SoftmaxCrossEntropy(), x, target)) for x in (prediction, moved))
    assert abs(here - there) <= 1e-4 * here + 1e-4
    assert float(evaluate(SoftmaxCrossEntropy(), target + np.float32(constant), target)) <= (128 * 2.0**-23) ** 2


@pytest.mark.parametrize("size", [0.01, 0.1, 0.3, 0.7, 0.999, 1.001, 1.5])
def test_softmax_where_the_series_ends(size: float) -> None:
    """Errors of one sign and of both, of mean zero, on both sides of the largest error that the series takes: 1."""
    target = np.zeros(4, np.float32)
    for direction in ([1, -1, 1, -1], [1, -1 / 3, -1 / 3, -1 / 3], [-1, 1 / 3, 1 / 3, 1 / 3]):
        prediction = np.float32(size) * np.float32(direction)
        got = evaluate(SoftmaxCrossEntropy(), prediction, target)
        np.testing.assert_allclose(got, softmax_kl(prediction, target), rtol=2e-6 + 1e-8 / size**2)
        expected = scipy.special.softmax(prediction.astype(float)) - 0.25
        np.testing.assert_allclose(slope(prediction, SoftmaxCrossEntropy(), target), expected, atol=3e-7 * min(size, 1))


@pytest.mark.parametrize("far", [30.0, 200.0, 1e4])
def test_softmax_far_from_agreement(far: float) -> None:
    """Where the target's probability underflows but the prediction is sure of it, and the other way round."""
    with jax.debug_nans(True):
        for prediction, target in (([far, 0, 0], [0, far, 0]), ([0, -far, 1], [0, far, 1])):
            x, y = np.float32(prediction), np.float32(target)
            np.testing.assert_allclose(evaluate(SoftmaxCrossEntropy(), x, y), softmax_kl(x, y), rtol=1e-5)
            expected = scipy.special.softmax(x) - scipy.special.softmax(y)
            np.testing.assert_allclose(slope(x, SoftmaxCrossEntropy(), y), expected, atol=1e-6)


@given(vectors, vectors, powers)
def test_no_loss_is_negative(prediction: np.ndarray, target: np.ndarray, power: float) -> None:
    for loss in (*LOSSES, PowerError(power)):
        assert float(evaluate(loss, prediction, target)) >= 0


@given(st.floats(-5, 5, width=32), powers)
def test_slope_of_a_power(x: float, power: float) -> None:
    """d|x|^power = power |x|^(power - 1) sign(x), and 0 at 0, for a power that is traced."""
    with jax.debug_nans(True):
        got = power_slope(jnp.float32(x), jnp.float32(power))
    tiny = abs(x) < 2 * np.finfo(np.float32).tiny  # it, or its power, is flushed to zero
    if tiny and abs(x) > np.finfo(np.float32).tiny / 2 and power == 1:
        return
    if abs(x) ** power < 2 * np.finfo(np.float32).tiny and got == 0:
        return  # the power is flushed to zero, and takes the slope along
    expected = 0.0 if tiny else power * abs(x) ** (power - 1) * np.sign(x)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-37)


def test_power_can_be_swept_in_one_program() -> None:
    traces = []

    @jax.jit
    def total(loss: Any, error: jax.Array) -> jax.Array:
        traces.append(loss)
        return loss(error, jnp.zeros(3))

    error = jnp.asarray([1.0, -2.0, 0.0])
    got = [float(total(PowerError(power), error)) for power in (1.0, 2.0, 3.5)]
    np.testing.assert_allclose(got, [3, 5, 1 + 2**3.5], rtol=1e-6)
    assert len(traces) == 1


def test_losses_of_matrices_sum_all_entries() -> None:
    A, B = np.arange(6.0, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.float32)
    assert float(SquaredError()(B, A)) == 31
    assert float(HalfSquaredError()(B, A)) == 15.5
    assert float(PowerError(1.0)(B, A)) == 11
    assert float(InnerProduct()(B, A)) == -15
    assert float(SoftmaxCrossEntropy()(B, A)) == pytest.approx(softmax_kl(B, A), rel=1e-6)


@given(vectors, vectors, st.floats(0, 3))
def test_whole_powers_are_powers(prediction: np.ndarray, target: np.ndarray, importance: float) -> None:
    """To the rounding of `power` products and of the error itself; no gradient at agreement."""
    error = np.abs(target.astype(float) - prediction)
    for power in (3, 4):
        got = evaluate(WholePower(power, importance), prediction, target)
        np.testing.assert_allclose(got, importance * np.sum(error**power), rtol=2e-6 * (2 + power), atol=1e-30)
        assert (slope(target, WholePower(power), target) == 0).all()


def test_a_whole_power_is_at_least_two() -> None:
    with pytest.raises(ValueError, match="power=1"):
        WholePower(1)
