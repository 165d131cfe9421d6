"""Optimizers as values: each config gives an `optax.GradientTransformation`, and its numbers are leaves that sweep."""

from typing import Any

import jax.numpy as jnp
import optax

from toymodels.config import config


@config
class Cosine:
    """Learning rate lr(t) = peak (floor + (1 - floor) (1 + cos(pi t / steps)) / 2) after a linear warm-up to the peak."""

    peak: float
    steps: int
    warmup: int = 0
    floor: float = 0.0

    def check(self) -> None:
        check_lr(self.peak)
        if not 0 <= self.warmup < self.steps:
            raise ValueError(f"warmup={self.warmup}, steps={self.steps}: a warm-up ends before the schedule does")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor={self.floor:g}: the floor is a fraction of the peak, in [0, 1]")

    def __call__(self, step: Any) -> Any:
        rising = (step + 1) / jnp.maximum(self.warmup, 1)
        progress = jnp.clip((step - self.warmup) / (self.steps - self.warmup), 0, 1)
        falling = self.floor + (1 - self.floor) * (1 + jnp.cos(jnp.pi * progress)) / 2
        return self.peak * jnp.where(step < self.warmup, rising, falling)


Rate = float | Cosine


def check_lr(lr: Rate) -> None:
    if isinstance(lr, float) and not lr > 0:
        raise ValueError(f"lr={lr:g}: a learning rate is above 0")


def _check_decay(name: str, decay: float) -> None:
    if not 0 <= decay < 1:
        raise ValueError(f"{name}={decay:g}: a decay rate lies in [0, 1)")


@config
class Sgd:
    """W <- W - lr g."""

    lr: Rate = 1e-2

    def check(self) -> None:
        check_lr(self.lr)

    def transform(self) -> optax.GradientTransformation:
        return optax.sgd(self.lr)


@config
class Momentum:
    """v <- decay v + g, W <- W - lr v: heavy ball, so the effective rate is lr / (1 - decay)."""

    lr: Rate = 1e-3
    decay: float = 0.9

    def check(self) -> None:
        check_lr(self.lr)
        _check_decay("decay", self.decay)

    def transform(self) -> optax.GradientTransformation:
        return optax.sgd(self.lr, momentum=self.decay)


@config
class Adam:
    """Kingma & Ba 2015, no weight decay."""

    lr: Rate = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def check(self) -> None:
        check_lr(self.lr)
        _check_decay("b1", self.b1)
        _check_decay("b2", self.b2)

    def transform(self) -> optax.GradientTransformation:
        return optax.adam(self.lr, self.b1, self.b2, self.eps)


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
        _check_decay("b1", self.b1)
        _check_decay("b2", self.b2)

    def transform(self) -> optax.GradientTransformation:
        return optax.adamw(self.lr, self.b1, self.b2, self.eps, weight_decay=self.weight_decay)


Optimizer = Sgd | Momentum | Adam | AdamW
