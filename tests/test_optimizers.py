"""Optimizers against numpy versions of their papers' equations."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toymodels.config import as_leaf, stack
from toymodels.optimizers import Adam, AdamW, Cosine, Momentum, Sgd

STEPS = 3
gradients = arrays(np.float32, (STEPS, 4), elements=st.floats(-5, 5, width=32))
starts = arrays(np.float32, 4, elements=st.floats(-5, 5, width=32))
rates = st.floats(1e-4, 1)
decays = st.floats(0, 0.999)


@jax.jit
def descend(optimizer: Any, W: jax.Array, gs: jax.Array) -> jax.Array:
    """W after each step along given gradients."""
    transform = optimizer.transform(STEPS)
    moments, path = transform.init(W), []
    for g in gs:
        updates, moments = transform.update(g, moments, W)
        W = optax.apply_updates(W, updates)
        path.append(W)
    return jnp.stack(path)


def by_hand(step: Callable[..., np.ndarray], W: np.ndarray, gs: np.ndarray) -> np.ndarray:
    path, W = [], W.astype(float)
    memory: dict[str, Any] = {"v": np.zeros(4), "m": np.zeros(4), "s": np.zeros(4)}
    for t, g in enumerate(gs.astype(float), start=1):
        W = step(W, g, t, memory)
        path.append(W)
    return np.stack(path)


def adam(lr: float, b1: float, b2: float, eps: float, decay: float) -> Callable[..., np.ndarray]:
    """Algorithm 1 of Kingma & Ba 2015; line 12 of algorithm 2 of Loshchilov & Hutter 2019 for the decay."""
    b1, b2 = float(np.float32(b1)), float(np.float32(b2))

    def step(W: np.ndarray, g: np.ndarray, t: int, memory: dict[str, Any]) -> np.ndarray:
        memory["m"] = b1 * memory["m"] + (1 - b1) * g
        memory["s"] = b2 * memory["s"] + (1 - b2) * g**2
        m, s = memory["m"] / (1 - b1**t), memory["s"] / (1 - b2**t)
        return W - lr * (m / (np.sqrt(s) + eps) + decay * W)

    return step


@given(starts, gradients, rates, decays)
def test_sgd_and_momentum(W: np.ndarray, gs: np.ndarray, lr: float, decay: float) -> None:
    """W <- W - lr g; v <- decay v + g, W <- W - lr v (Polyak 1964)."""

    def heavy_ball(W: np.ndarray, g: np.ndarray, t: int, memory: dict[str, Any]) -> np.ndarray:
        memory["v"] = decay * memory["v"] + g
        return W - lr * memory["v"]

    np.testing.assert_allclose(descend(Sgd(lr), W, gs), by_hand(lambda W, g, *_: W - lr * g, W, gs), atol=1e-5)
    np.testing.assert_allclose(descend(Momentum(lr, decay), W, gs), by_hand(heavy_ball, W, gs), atol=2e-5)


@given(starts, gradients, rates, st.floats(0, 0.99), st.floats(0.5, 0.999), st.floats(1e-8, 1), st.floats(0, 0.5))
def test_adam_and_adamw(
    W: np.ndarray, gs: np.ndarray, lr: float, b1: float, b2: float, eps: float, decay: float
) -> None:
    """Steps have the size of lr, so tolerances are in units of it: 1 - b2^t loses up to 1e3 roundings at b2 = .999."""
    gs = np.where(np.abs(gs) < 1e-6, 0, gs)  # the squares of smaller ones underflow
    atol = 1e-5 + lr * 1e-3
    np.testing.assert_allclose(
        descend(Adam(lr, b1, b2, eps), W, gs), by_hand(adam(lr, b1, b2, eps, 0), W, gs), atol=atol
    )
    expected = by_hand(adam(lr, b1, b2, eps, decay), W, gs)
    np.testing.assert_allclose(descend(AdamW(lr, decay, b1, b2, eps), W, gs), expected, atol=atol)


@given(gradients, st.floats(1e-3, 1e3))
def test_adam_does_not_see_the_scale_of_the_loss(gs: np.ndarray, scale: float) -> None:
    """Up to eps: c g gives the same steps as g."""
    gs = np.where(np.abs(gs) < 0.1, 1, gs)
    one, other = (descend(Adam(0.1), np.zeros(4, np.float32), g) for g in (gs, np.float32(scale) * gs))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_defaults() -> None:
    """torch's weight decay, not optax's; no decay where none is named."""
    assert AdamW().weight_decay == 0.01
    zero = np.zeros((STEPS, 4), np.float32)
    one = np.ones(4, np.float32)
    np.testing.assert_array_equal(descend(Adam(), one, zero)[-1], one)
    np.testing.assert_allclose(descend(AdamW(0.1), one, zero)[-1], one * (1 - 0.001) ** STEPS, rtol=1e-6)


@pytest.mark.parametrize("optimizer", [Sgd(0.1), Momentum(0.1), Adam(0.1), AdamW(0.1), Adam(Cosine(0.1, 0.5))])
def test_what_has_no_gradient_and_is_zero_stays_exactly_zero(optimizer: Any) -> None:
    with jax.debug_nans(True):
        path = descend(optimizer, np.zeros(4, np.float32), np.zeros((STEPS, 4), np.float32))
    assert (path == 0).all()


@given(rates, st.floats(0, 0.9), st.floats(0, 0.9), st.integers(1, 10_000))
def test_cosine(peak: float, warmup: float, floor: float, steps: int) -> None:
    """Rises linearly to the peak, falls to floor x peak at the last step, never leaves (0, peak]."""
    rate = Cosine(peak, warmup, floor).schedule(steps)
    step = np.round(np.linspace(0, steps - 1, 50)).astype(int)
    at = np.asarray(rate(step), float)
    done = (step + 1) / steps
    t = np.clip((done - warmup) / (1 - warmup), 0, 1)
    falling = floor + (1 - floor) * (1 + np.cos(np.pi * t)) / 2
    expected = peak * np.where(done < warmup, done / max(warmup, 1 / steps), falling)
    apart = np.abs(done - warmup) > 1e-6  # float32 may put the boundary one step aside, where both are the peak
    np.testing.assert_allclose(at[apart], expected[apart], atol=1e-5 * peak)
    assert at.max() <= peak * (1 + 1e-6)
    assert at.min() >= -1e-7 * peak
    np.testing.assert_allclose(at[-1], floor * peak, atol=1e-6 * peak)


def test_cosine_without_warmup_or_with_one_step() -> None:
    assert float(Cosine(0.3).schedule(10_000)(0)) == pytest.approx(0.3, rel=1e-6)
    assert np.isfinite(float(Cosine(0.3, 0.5).schedule(1)(0)))


@pytest.mark.parametrize(
    "cells",
    [
        [Sgd(0.1), Sgd(0.2)],
        [Momentum(0.1, 0.5), Momentum(0.2, 0.0)],
        [Adam(0.1), Adam(0.2, b1=0.5, eps=1e-3)],
        [AdamW(0.1, 0.0), AdamW(0.2, 0.3, b2=0.9)],
        [Adam(Cosine(0.1, 0.3)), Adam(Cosine(0.2, floor=0.5))],
    ],
)
def test_numbers_sweep_in_one_program(cells: list[Any]) -> None:
    """Mapped over cells, each optimizer does what it does alone, to the rounding of another program."""
    W, gs = np.ones(4, np.float32), np.linspace(-1, 2, STEPS * 4, dtype=np.float32).reshape(STEPS, 4)
    mapped = jax.jit(jax.vmap(lambda optimizer: descend(optimizer, W, gs)))(stack(cells))
    for cell, path in zip(cells, mapped, strict=True):
        np.testing.assert_allclose(path, descend(jax.tree.map(as_leaf, cell), W, gs), rtol=2e-6, atol=1e-7)
