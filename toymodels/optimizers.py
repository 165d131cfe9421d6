"""Optimizers as values: `transform(steps)` gives an optax.GradientTransformation, and their numbers sweep."""

from typing import Any, ClassVar, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
import optax

from toymodels.arrays import Number
from toymodels.config import config


@config
class Cosine:
    """Learning rate peak (floor + (1 - floor) (1 + cos(pi t)) / 2), t in [0, 1] the part of the run after the warm-up.

    The rate first rises linearly over the fraction `warmup` of the run's steps.
    """

    peak: float
    warmup: float = 0.0
    floor: float = 0.0

    def check(self) -> None:
        check_lr(self.peak)
        for name, fraction in (("warmup", self.warmup), ("floor", self.floor)):
            if not 0 <= np.float32(fraction) < 1:  # rounded first, as it will be used
                raise ValueError(f"{name}={fraction:g}: a fraction, in [0, 1)")

    def schedule(self, steps: int) -> optax.Schedule:
        def rate(step: Any) -> Any:
            done = (step + 1) / steps
            progress = jnp.clip((done - self.warmup) / (1 - self.warmup), 0, 1)
            falling = self.floor + (1 - self.floor) * (1 + jnp.cos(jnp.pi * progress)) / 2
            rising = done / jnp.maximum(self.warmup, 1 / steps)
            return self.peak * jnp.where(done < self.warmup, rising, falling)

        return rate


Rate = float | Cosine


def check_lr(lr: Rate) -> None:
    if isinstance(lr, float) and not np.float32(lr) > 0:
        raise ValueError(f"lr={lr:g}: a learning rate is above 0")


def _rate(lr: Number | Cosine, steps: int) -> Any:
    return lr.schedule(steps) if isinstance(lr, Cosine) else lr


def _check_decay(name: str, decay: float) -> None:
    if not 0 <= np.float32(decay) < 1:  # rounded first, as it will be used: Adam divides by 1 - decay
        raise ValueError(f"{name}={decay!r}: a decay rate lies in [0, 1)")


def _check_adam(b1: float, b2: float, eps: float) -> None:
    _check_decay("b1", b1)
    _check_decay("b2", b2)
    if not eps >= np.finfo(np.float32).tiny:
        raise ValueError(f"eps={eps:g}: Adam divides by it where a gradient is zero, so it is above 0")


@runtime_checkable
class Optimizer(Protocol):
    """A config that gives an optax transformation for a run of so many steps.

    One that acts on certain parameters of a problem names them in a class variable `parameters`.
    """

    def transform(self, steps: int) -> optax.GradientTransformation: ...


@config
class Sgd:
    """W <- W - lr g."""

    lr: Rate = 1e-2

    def check(self) -> None:
        check_lr(self.lr)

    def transform(self, steps: int) -> optax.GradientTransformation:
        return optax.sgd(_rate(self.lr, steps))


@config
class Momentum:
    """v <- decay v + g, W <- W - lr v: heavy ball, so the effective rate is lr / (1 - decay)."""

    lr: Rate = 1e-3
    decay: float = 0.9

    def check(self) -> None:
        check_lr(self.lr)
        _check_decay("decay", self.decay)

    def transform(self, steps: int) -> optax.GradientTransformation:
        return optax.sgd(_rate(self.lr, steps), momentum=self.decay)


@config
class Adam:
    """Kingma & Ba 2015, no weight decay."""

    lr: Rate = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def check(self) -> None:
        check_lr(self.lr)
        _check_adam(self.b1, self.b2, self.eps)

    def transform(self, steps: int) -> optax.GradientTransformation:
        return optax.adam(_rate(self.lr, steps), self.b1, self.b2, self.eps)


@config
class AdamW:
    """Adam with decoupled weight decay, W <- W - lr weight_decay W. The default is torch's .01; optax's is 1e-4."""

    lr: Rate = 1e-3
    weight_decay: float = 0.01
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def check(self) -> None:
        check_lr(self.lr)
        _check_adam(self.b1, self.b2, self.eps)
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay={self.weight_decay:g}: a weight decay is not negative")

    def transform(self, steps: int) -> optax.GradientTransformation:
        return optax.adamw(_rate(self.lr, steps), self.b1, self.b2, self.eps, weight_decay=self.weight_decay)


@config
class RowDecay:
    """Adam with decoupled decay of W alone, which may be negative: the knob of Liu, Liu & Gore 2025, arXiv 2505.10465.

    W_i <- W_i - lr decay W_i, and for decay < 0 W_i <- W_i + lr decay W_i (1 - 1/|W_i|), which pulls every row to
    length 1 instead of pushing it to infinity. Parameters are a dict with W, features x hidden.
    """

    parameters: ClassVar[tuple[str, ...]] = ("W",)
    """What a problem must have."""

    lr: Rate = 1e-3
    decay: float = 0.0

    @property
    def off_bottom(self) -> bool:
        """Whether it comes to rest off the bottom of a valley: then the curve alone tells whether it has."""
        return self.decay != 0

    def check(self) -> None:
        check_lr(self.lr)

    def transform(self, steps: int) -> optax.GradientTransformation:
        rate = _rate(self.lr, steps)
        adam = optax.adam(rate)

        def update(gradient: Any, state: Any, params: Any) -> Any:
            inner, count = state
            change, inner = adam.update(gradient, inner, params)
            W = params["W"]
            excess = 1 - 1 / (jnp.sqrt((W**2).sum(1, keepdims=True)) + 1e-8)
            size = rate(count) if callable(rate) else rate
            pull = size * jnp.where(self.decay < 0, self.decay * excess, -self.decay) * W
            return change | {"W": change["W"] + pull}, (inner, count + 1)

        return optax.GradientTransformation(lambda params: (adam.init(params), jnp.zeros((), int)), update)


@config
class BiasDecay:
    """Adam with decoupled decay of b alone, over the first half of training: b <- b - lr decay b. Jermyn et al. 2022.

    A low initial bias returns as exp(-decay x the sum of the rates), also where its neuron is silent and has no
    gradient. Parameters are a dict with b.
    """

    parameters: ClassVar[tuple[str, ...]] = ("b",)
    """What a problem must have."""

    lr: Rate = 1e-3
    decay: float = 0.0

    def check(self) -> None:
        check_lr(self.lr)
        if not self.decay >= 0:
            raise ValueError(f"decay={self.decay:g}: a decay is not negative")

    def transform(self, steps: int) -> optax.GradientTransformation:
        rate = _rate(self.lr, steps)
        adam = optax.adam(rate)

        def update(gradient: Any, state: Any, params: Any) -> Any:
            inner, count = state
            change, inner = adam.update(gradient, inner, params)
            size = rate(count) if callable(rate) else rate
            pull = jnp.where(2 * count < steps, size * self.decay, 0.0)
            return change | {"b": change["b"] - pull * params["b"]}, (inner, count + 1)

        return optax.GradientTransformation(lambda params: (adam.init(params), jnp.zeros((), int)), update)
