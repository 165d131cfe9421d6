"""Laws over features: one number, or a scalar rule, that gives a vector - frequencies, importances, spectra.

>>> per_feature(Geometric(0.5), 4).tolist()
[1.0, 0.5, 0.25, 0.125]
>>> per_feature(PowerLaw(2.0), 2).tolist()
[1.0, 0.25]
"""

from collections.abc import Callable

import jax.numpy as jnp

from toymodels.arrays import Array, Float, Number
from toymodels.config import config


@config
class Geometric:
    """first * ratio^i for i = 0, 1, ..., with 0 < ratio <= 1 and first > 0."""

    ratio: float
    first: float = 1.0

    def check(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio={self.ratio:g}: a geometric law decays with a ratio in (0, 1]")
        if not self.first > 0:
            raise ValueError(f"first={self.first:g}: a law starts above 0")

    def values(self, n: int) -> Float[Array, " n"]:
        return self.first * self.ratio ** jnp.arange(n)

    def last(self, n: int) -> float:
        return float(self.first * self.ratio ** (n - 1))


@config
class PowerLaw:
    """first * (i + 1)^-exponent for i = 0, 1, ..., with exponent >= 0 and first > 0."""

    exponent: float
    first: float = 1.0

    def check(self) -> None:
        if not self.exponent >= 0:
            raise ValueError(f"exponent={self.exponent:g}: a power law decays with an exponent >= 0")
        if not self.first > 0:
            raise ValueError(f"first={self.first:g}: a law starts above 0")

    def values(self, n: int) -> Float[Array, " n"]:
        return self.first * jnp.arange(1, n + 1.0) ** -self.exponent

    def last(self, n: int) -> float:
        return float(self.first * n**-self.exponent)


Law = float | Geometric | PowerLaw | tuple[float, ...]


def per_feature(law: Law | Number | tuple[Number, ...], n: int) -> Float[Array, " n"]:
    """The n values of a law: a number repeated, a rule evaluated, or a given vector (of n values, or one repeated)."""
    if isinstance(law, Geometric | PowerLaw):
        return law.values(n)
    if isinstance(law, tuple):
        return jnp.broadcast_to(jnp.stack([jnp.asarray(value, float) for value in law]), (n,))
    return jnp.broadcast_to(jnp.asarray(law, float), (n,))


def check_law(name: str, law: Law, n: int, allowed: Callable[[float], bool], meaning: str) -> None:
    """ValueError unless a law has n values that are all allowed; `meaning` ends the sentence."""
    if isinstance(law, tuple) and len(law) != n:
        raise ValueError(f"{name} has {len(law)} values for {n} features")
    # Rules only decay: the first value and the last one are the extremes.
    extremes = (law.first, law.last(n)) if isinstance(law, Geometric | PowerLaw) else law
    for value in extremes if isinstance(extremes, tuple) else (extremes,):
        if not allowed(value):
            raise ValueError(f"{name}={value:g}: {meaning}")
