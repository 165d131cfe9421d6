"""Normalisers of a hidden vector, without gains or biases of their own: what follows can learn these."""

from typing import Protocol, runtime_checkable

import jax.numpy as jnp

from toymodels.arrays import Array, Float, Number
from toymodels.config import config


@runtime_checkable
class Normaliser(Protocol):
    """A config that maps a hidden vector to one of the same size."""

    def __call__(self, h: Float[Array, " hidden"]) -> Float[Array, " hidden"]: ...


def _check_eps(eps: float) -> None:
    if not eps >= 0:
        raise ValueError(f"eps={eps:g}: what is added to a mean square is not negative")


def _over_root_mean_square(h: Float[Array, " hidden"], eps: Number) -> Float[Array, " hidden"]:
    return h / jnp.sqrt(jnp.mean(h**2) + jnp.asarray(eps))


@config
class NoNorm:
    """h."""

    def __call__(self, h: Float[Array, " hidden"]) -> Float[Array, " hidden"]:
        return h


@config
class RmsNorm:
    """h / sqrt(mean h² + eps): the length of h is lost. Zhang & Sennrich 2019, arXiv 1910.07467."""

    eps: float = 1e-5

    def check(self) -> None:
        _check_eps(self.eps)

    def __call__(self, h: Float[Array, " hidden"]) -> Float[Array, " hidden"]:
        return _over_root_mean_square(h, self.eps)


@config
class LayerNorm:
    """(h - mean h) / sqrt(var h + eps): the mean is lost too. Ba, Kiros & Hinton 2016, arXiv 1607.06450."""

    eps: float = 1e-5

    def check(self) -> None:
        _check_eps(self.eps)

    def __call__(self, h: Float[Array, " hidden"]) -> Float[Array, " hidden"]:
        return _over_root_mean_square(h - jnp.mean(h), self.eps)  # no config is made inside a trace
