"""Feature distributions: what is on, and how strongly, with the exact moments of each.

A distribution has `n` features, draws `sample(key, batch) -> (batch, n)` and states `marginals()`, the probability that
each feature is on, `mean()` and `second_moment() = E[x xᵀ]`. Throughout, p is the activation probability of a feature
(one minus the sparsity S of Elhage et al. 2022). Cells that differ in p see the same draws: where p is larger, the same
features are on, and more.

>>> data = Sparse(3, p=(0.5, 0.25, 0.125))
>>> data.mean().tolist()
[0.25, 0.125, 0.0625]
>>> data.marginals().tolist()
[0.5, 0.25, 0.125]
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from toymodels.arrays import Array, Float, Number, UInt32
from toymodels.config import config, static
from toymodels.laws import Law, check_law, per_feature

LEAST = 2.0**-24
PROBABILITY = "an activation probability lies in (0, 1]"
TOO_RARE = "below 2^-24 = 6e-08 a probability is not drawn to 0.2 %, and below 1e-10 a feature is never on"


BELOW_ONE = 1 - 2.0**-24
"""The largest float32 below 1."""


def _is_probability(p: float) -> bool:
    return 0 < p <= 1


def _is_drawn(p: float) -> bool:
    return p >= LEAST * (1 - 1e-6)  # room for the rounding of a product


def _check_probabilities(p: Law, n: int, members: int = 1) -> None:
    """Every one of the n lies in (0, 1] and is drawn to 0.2 %: of a set of `members`, the whole is what is drawn."""
    check_law("p", p, n, _is_probability, PROBABILITY)
    check_law("p", p, n, lambda value: _is_drawn(members * value), TOO_RARE)


def _uniform(key: Array, shape: tuple[int, ...]) -> Float[Array, "*shape"]:
    """U(0, 1) on the midpoints of a grid of 2^-32, neither 0 nor 1: below p with probability p, to 2^-33 + 2^-24 p.

    `jax.random.uniform` keeps 23 of the 32 bits it draws: a feature of p = 1e-6 would take nine values, the lowest 0.
    """
    return _midpoint(jax.random.bits(key, shape, "uint32"))


def _midpoint(bits: UInt32[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jnp.minimum(bits.astype(float) * 2.0**-32 + 2.0**-33, BELOW_ONE)


def _given_below(u: Float[Array, "..."], p: Float[Array, "..."] | Number) -> Float[Array, "..."]:
    """u / p, which is uniform on (0, 1) given u < p; below 1 where it has no meaning, so that quantiles stay finite."""
    # By the reciprocal: a division a draw would be worked out once and read back, at more cost than the product.
    return jnp.minimum(u * (1 / jnp.asarray(p)), BELOW_ONE)


# ---------------------------------------------------------------------------------------------------------- value laws


@runtime_checkable
class Value(Protocol):
    """The law of an active feature's value: its quantile function, and its mean and second moment."""

    def quantile(self, q: Float[Array, "..."]) -> Float[Array, "..."]: ...
    def moments(self) -> tuple[Number, Number]: ...


def check_moments(value: Value) -> None:
    """ValueError where a law states other moments than its quantile function has, by more than 2 % of its mean square.

    Both are taken as means over quantiles, of a grid and of every third of its points; where these differ by half a
    percent, as under heavy tails, the law is taken at its word.
    """
    points = 3**10
    values = np.asarray(value.quantile((jnp.arange(points) + 0.5) / points), np.float64) * np.ones(points)
    with np.errstate(over="ignore", invalid="ignore"):
        coarse, fine = (np.array([each.mean(), (each**2).mean()]) for each in (values[1::3], values))
        unit = np.array([np.sqrt(fine[1]), fine[1]])
        told = np.array([float(moment) for moment in value.moments()])
        if not np.isfinite(fine).all() or (np.abs(coarse - fine) > 0.005 * unit).any():
            return
        if not (np.abs(told - fine) <= 0.02 * unit).all():
            stated, found = (f"mean {mean:.4g} and second moment {square:.4g}" for mean, square in (told, fine))
            raise ValueError(f"{type(value).__name__}: moments() states {stated}, and its quantiles have {found}")


def check_marginals(law: "Distribution") -> None:
    """ValueError where a law states a P(x_i != 0) that is no probability."""
    stated = np.asarray(law.marginals(), np.float64)
    wrong = stated[~((stated >= 0) & (stated <= 1 + 1e-6))]
    if wrong.size:
        raise ValueError(f"{type(law).__name__}: marginals() states {wrong.flat[0]:g}, which is no probability")


@config
class Uniform:
    """U[low, high]: mean (low + high) / 2, second moment (low² + low high + high²) / 3."""

    low: float = 0.0
    high: float = 1.0

    def check(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low={self.low:g}, high={self.high:g}: a uniform law needs low < high")

    def quantile(self, q: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.low + (self.high - self.low) * q

    def moments(self) -> tuple[Number, Number]:
        return (self.low + self.high) / 2, (self.low**2 + self.low * self.high + self.high**2) / 3


@config
class Constant:
    """Always `value` when on."""

    value: float = 1.0

    def quantile(self, q: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.full_like(q, self.value)

    def moments(self) -> tuple[Number, Number]:
        return self.value, self.value**2


@config
class Exponential:
    """Exponential law of the given mean: second moment 2 mean²."""

    mean: float = 1.0

    def check(self) -> None:
        if not self.mean > 0:
            raise ValueError(f"mean={self.mean:g}: an exponential law has a mean above 0")

    def quantile(self, q: Float[Array, "..."]) -> Float[Array, "..."]:
        return -self.mean * jnp.log1p(-q)

    def moments(self) -> tuple[Number, Number]:
        return self.mean, 2 * self.mean**2


# ------------------------------------------------------------------------------------------------------- distributions


@runtime_checkable
class Distribution(Protocol):
    """A law of n features: draws, and the exact moments of each draw."""

    @property
    def n(self) -> int: ...
    def sample(self, key: Array, batch: int) -> Float[Array, "batch n"]: ...
    def marginals(self) -> Float[Array, " n"]: ...
    def mean(self) -> Float[Array, " n"]: ...
    def second_moment(self) -> Float[Array, "n n"]: ...


@runtime_checkable
class Moments(Protocol):
    """Any law of vectors that states its first two moments."""

    def mean(self) -> Float[Array, " n"]: ...
    def second_moment(self) -> Float[Array, "n n"]: ...


def covariance(data: Moments) -> Float[np.ndarray, "n n"]:
    """Cov x in float64, of the exact moments."""
    mean, second = (np.asarray(moment, np.float64) for moment in (data.mean(), data.second_moment()))
    return second - np.outer(mean, mean)


def _moment(value: Value, together: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """E[x xᵀ] of independent values under given probabilities of being on together (marginals on the diagonal)."""
    first, second = (jnp.asarray(moment) for moment in value.moments())
    own = jnp.diag(jnp.diag(together))
    return first**2 * (together - own) + second * own


@config
class Sparse:
    """x_i = 0 with probability 1 - p_i, else a draw of `value`, all independent. Elhage et al. 2022, section 2."""

    n: int = static()
    p: Law = 1.0
    value: Value = Uniform()

    def check(self) -> None:
        _at_least_one(n=self.n)
        _check_probabilities(self.p, self.n)

    def sample(self, key: Array, batch: int) -> Float[Array, "batch n"]:
        p = self.marginals()[:, None]
        u = _uniform(key, (self.n, batch))  # decides both whether a feature is on and its value
        return jnp.where(u < p, self.value.quantile(_given_below(u, p)), 0.0).T

    def marginals(self) -> Float[Array, " n"]:
        return per_feature(self.p, self.n)

    def mean(self) -> Float[Array, " n"]:
        return self.marginals() * jnp.asarray(self.value.moments()[0])

    def second_moment(self) -> Float[Array, "n n"]:
        p = self.marginals()
        return _moment(self.value, jnp.where(jnp.eye(self.n, dtype=bool), p, p[:, None] * p))


@config
class OneSparse:
    """Exactly one active feature, uniformly chosen: p = 1/n. Chen et al. 2023, arXiv 2310.06301."""

    n: int = static()
    value: Value = Uniform()

    def check(self) -> None:
        _at_least_one(n=self.n)

    def sample(self, key: Array, batch: int) -> Float[Array, "batch n"]:
        which_key, value_key = jax.random.split(key)
        which = jax.random.randint(which_key, (batch,), 0, self.n)
        value = self.value.quantile(_uniform(value_key, (batch,)))
        return jnp.where(which[:, None] == jnp.arange(self.n), value[:, None], 0.0)

    def marginals(self) -> Float[Array, " n"]:
        return jnp.full(self.n, 1 / self.n)

    def mean(self) -> Float[Array, " n"]:
        return self.marginals() * jnp.asarray(self.value.moments()[0])

    def second_moment(self) -> Float[Array, "n n"]:
        return _moment(self.value, jnp.diag(self.marginals()))


@config
class Correlated:
    """`sets` groups of `size` features: one on/off draw with probability p for the whole set, values independent."""

    sets: int = static()
    size: int = static()
    p: float = 1.0
    value: Value = Uniform()

    def check(self) -> None:
        _at_least_one(sets=self.sets, size=self.size)
        _check_probabilities(self.p, self.n)

    @property
    def n(self) -> int:
        return self.sets * self.size

    def sample(self, key: Array, batch: int) -> Float[Array, "batch n"]:
        on_key, value_key = jax.random.split(key)
        on = _uniform(on_key, (batch, self.sets, 1)) < self.p
        value = self.value.quantile(_uniform(value_key, (batch, self.sets, self.size)))
        return jnp.where(on, value, 0.0).reshape(batch, self.n)

    def marginals(self) -> Float[Array, " n"]:
        return per_feature(self.p, self.n)

    def mean(self) -> Float[Array, " n"]:
        return self.marginals() * jnp.asarray(self.value.moments()[0])

    def second_moment(self) -> Float[Array, "n n"]:
        return _moment(self.value, jnp.where(_same_set(self.sets, self.size), self.p, self.p**2))


@config
class Anticorrelated:
    """`sets` groups of `size` features of which at most one is on; p is the probability of a *member*, size p <= 1.

    Elhage et al. 2022 state the probability of the set instead: `Anticorrelated.of_set(..., p=1 - S)` takes that.
    """

    sets: int = static()
    size: int = static()
    p: float = 0.0
    value: Value = Uniform()

    def check(self) -> None:
        _at_least_one(sets=self.sets, size=self.size)
        _check_probabilities(self.p, self.n, self.size)
        if self.size * self.p > 1 + 1e-6:  # room for the rounding of p = 1 / size
            raise ValueError(
                f"p={self.p:g}: of {self.size} features of which at most one is on, each has p <= {1 / self.size:g}"
            )

    @classmethod
    def of_set(cls, sets: int, size: int, p: float, value: Value = Uniform()) -> "Anticorrelated":  # noqa: B008
        """The set is on with probability p, and then one random member is: each is on with probability p / size."""
        if not _is_probability(p):
            raise ValueError(f"p={p:g}: {PROBABILITY}")
        return cls(sets, size, p / size, value)

    @property
    def n(self) -> int:
        return self.sets * self.size

    def sample(self, key: Array, batch: int) -> Float[Array, "batch n"]:
        on_key, member_key = jax.random.split(key)
        u, of_set = _uniform(on_key, (batch, self.sets, 1)), self.size * self.p
        member = jax.random.randint(member_key, (batch, self.sets, 1), 0, self.size)
        on = (u < of_set) & (member == jnp.arange(self.size))
        return jnp.where(on, self.value.quantile(_given_below(u, of_set)), 0.0).reshape(batch, self.n)

    def marginals(self) -> Float[Array, " n"]:
        return per_feature(self.p, self.n)

    def mean(self) -> Float[Array, " n"]:
        return self.marginals() * jnp.asarray(self.value.moments()[0])

    def second_moment(self) -> Float[Array, "n n"]:
        together = jnp.where(_same_set(self.sets, self.size), 0.0, self.p**2)
        return _moment(self.value, jnp.where(jnp.eye(self.n, dtype=bool), self.p, together))


@config
class Difference:
    """v - w, two independent draws of one distribution: signed features. Mean 0, second moment 2 Cov v.

    "At half the probability each", as in Jermyn et al. 2022, is `Difference(Sparse(n, p / 2))`: on with p - p² / 4.
    """

    each: Distribution

    def check(self) -> None:
        if isinstance(self.each, Noisy):
            raise ValueError("each: a distribution without noise expected; noise is added to the difference")

    @property
    def n(self) -> int:
        return self.each.n

    def sample(self, key: Array, batch: int) -> Float[Array, "batch n"]:
        first, second = jax.random.split(key)
        return self.each.sample(first, batch) - self.each.sample(second, batch)

    def marginals(self) -> Float[Array, " n"]:
        return 1 - (1 - self.each.marginals()) ** 2

    def mean(self) -> Float[Array, " n"]:
        return 0 * self.each.mean()

    def second_moment(self) -> Float[Array, "n n"]:
        mean = self.each.mean()
        return 2 * (self.each.second_moment() - mean[:, None] * mean)


@config
class Paired:
    """`pairs` of features, on with probability p with one value for both; with probability `broken` only one of them is
    on, either with equal chance. At 0 a pair is one feature in all but name; at 1 the two are never on together."""

    pairs: int = static()
    p: float = 1.0
    broken: float = 0.0
    value: Value = Uniform()

    def check(self) -> None:
        _at_least_one(pairs=self.pairs)
        _check_probabilities(self.p, self.n)
        if not 0 <= self.broken <= 1:
            raise ValueError(f"broken={self.broken:g}: a probability lies in [0, 1]")

    @property
    def n(self) -> int:
        return 2 * self.pairs

    def sample(self, key: Array, batch: int) -> Float[Array, "batch n"]:
        on_key, member_key = jax.random.split(key)
        u, who = (_uniform(each, (batch, self.pairs, 1)) for each in (on_key, member_key))
        alone = jnp.concatenate([who < self.broken / 2, (who >= self.broken / 2) & (who < self.broken)], axis=2)
        off = (u >= self.p) | alone[:, :, ::-1]  # one is off where the other is on alone
        return jnp.where(off, 0.0, self.value.quantile(_given_below(u, self.p))).reshape(batch, self.n)

    def marginals(self) -> Float[Array, " n"]:
        return per_feature(self.p, self.n) * (1 - self.broken / 2)

    def mean(self) -> Float[Array, " n"]:
        return self.marginals() * jnp.asarray(self.value.moments()[0])

    def second_moment(self) -> Float[Array, "n n"]:
        first, second = (jnp.asarray(moment) for moment in self.value.moments())
        marginal = self.p * (1 - self.broken / 2)
        apart = jnp.full((self.n, self.n), (first * marginal) ** 2)
        together = jnp.where(jnp.eye(self.n, dtype=bool), marginal, self.p * (1 - self.broken))
        return jnp.where(_same_set(self.pairs, 2), second * together, apart)


@config
class Noisy:
    """Additive Gaussian observation noise of standard deviation `scale` on every feature of a clean distribution.

    `sample` draws what is observed; `marginals` are those of the clean features; the moments are those observed.
    """

    clean: Distribution
    scale: float = 0.0

    def check(self) -> None:
        if not self.scale >= 0:
            raise ValueError(f"scale={self.scale:g}: a noise scale is not negative")
        if isinstance(self.clean, Noisy):
            raise ValueError("clean: noise is added to a distribution without noise")

    @property
    def n(self) -> int:
        return self.clean.n

    def sample(self, key: Array, batch: int) -> Float[Array, "batch n"]:
        return self.observe(key, batch)[0]

    def observe(self, key: Array, batch: int) -> tuple[Float[Array, "batch n"], Float[Array, "batch n"]]:
        """(observed, clean) draws of the same examples."""
        clean_key, noise_key = jax.random.split(key)
        clean = self.clean.sample(clean_key, batch)
        return clean + self.scale * jax.random.normal(noise_key, clean.shape), clean

    def marginals(self) -> Float[Array, " n"]:
        return self.clean.marginals()

    def mean(self) -> Float[Array, " n"]:
        return self.clean.mean()

    def second_moment(self) -> Float[Array, "n n"]:
        return self.clean.second_moment() + self.scale**2 * jnp.eye(self.n)


def observe(data: Distribution, key: Array, batch: int) -> tuple[Float[Array, "batch n"], Float[Array, "batch n"]]:
    """(observed, clean) draws: the same array twice unless the distribution is noisy."""
    if isinstance(data, Noisy):
        return data.observe(key, batch)
    clean = data.sample(key, batch)
    return clean, clean


def _same_set(sets: int, size: int) -> Array:
    return jnp.kron(jnp.eye(sets), jnp.ones((size, size))).astype(bool)


def _at_least_one(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}={size}: at least 1")
