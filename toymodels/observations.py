"""What a dictionary is learned from: vectors h of d numbers, with or without sparse features in them.

Observations draw `sample(key, batch) -> (batch, d)` and state `mean()` and `second_moment() = E[h hᵀ]`, so that
`data.covariance` takes them. `Embedded` and `Written` have features, and say in what `directions()`, one a row; the
others have none, or none that is sparse. What is drawn once (a dictionary, centres) comes from a `seed` of its own, in
a stream that no run draws from.
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from toymodels import keys
from toymodels.arrays import Array, Float, Number
from toymodels.config import config, static
from toymodels.data import Distribution, _at_least_one, _uniform, covariance
from toymodels.laws import Law, check_law, per_feature

PLANTED = 0x706C616E
"""Folded into the key of a seed: far from the few first splits that initialisation and draws of a run come from."""


@runtime_checkable
class Observations(Protocol):
    """A law of vectors of d numbers."""

    @property
    def d(self) -> int: ...
    def sample(self, key: Array, batch: int) -> Float[Array, "batch d"]: ...
    def mean(self) -> Float[Array, " d"]: ...
    def second_moment(self) -> Float[Array, "d d"]: ...


def planted_key(seed: Number) -> Array:
    """The key that a planted truth is drawn from; of another stream than any of a run with the same seed."""
    return jax.random.fold_in(keys.key(jnp.asarray(seed)), PLANTED)


@runtime_checkable
class Frame(Protocol):
    """A law of n unit vectors in d dimensions."""

    def draw(self, key: Array, n: int, d: int) -> Float[Array, "n d"]: ...


@config
class Sphere:
    """Independent directions, uniform on the unit sphere."""

    def draw(self, key: Array, n: int, d: int) -> Float[Array, "n d"]:
        return _unit(jax.random.normal(key, (n, d)))


@config
class Orthant:
    """Independent directions, uniform on the part of the sphere where no coordinate is negative: h >= 0 for x >= 0."""

    def draw(self, key: Array, n: int, d: int) -> Float[Array, "n d"]:
        return _unit(jnp.abs(jax.random.normal(key, (n, d))))


@config
class Orthonormal:
    """n <= d orthonormal directions, uniform among such."""

    def draw(self, key: Array, n: int, d: int) -> Float[Array, "n d"]:
        return jnp.linalg.qr(jax.random.normal(key, (d, d)))[0][:, :n].T


def _unit(rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)


def prepared(data: Observations) -> Observations:
    """The same law with what is drawn or worked out once in a table."""
    return data.prepare() if hasattr(data, "prepare") else data


def _check_noise(noise: float) -> None:
    if not noise >= 0:
        raise ValueError(f"noise={noise:g}: a noise scale is not negative")


@config
class Written:
    """h = sum_i x_i W_i + noise: features along the rows of a given W, such as the hidden states of a trained toy."""

    features: Distribution
    W: np.ndarray
    noise: float = 0.0

    def check(self) -> None:
        if self.W.ndim != 2 or len(self.W) != self.features.n or not np.isfinite(self.W).all():
            raise ValueError(f"W of shape {self.W.shape}: a finite row for each of {self.features.n} features")
        _check_noise(self.noise)

    @property
    def d(self) -> int:
        return self.W.shape[1]

    def directions(self) -> Float[Array, "n d"]:
        return jnp.asarray(self.W)

    def sample(self, key: Array, batch: int) -> Float[Array, "batch d"]:
        feature_key, noise_key = jax.random.split(key)
        h = self.features.sample(feature_key, batch) @ self.W
        return h + jnp.asarray(self.noise) * jax.random.normal(noise_key, h.shape)

    def mean(self) -> Float[Array, " d"]:
        return self.features.mean() @ self.directions()

    def second_moment(self) -> Float[Array, "d d"]:
        W = self.directions()
        return W.T @ self.features.second_moment() @ W + jnp.asarray(self.noise) ** 2 * jnp.eye(self.d)


@config
class Embedded:
    """h = sum_i s_i x_i T_i + N(0, noise²): features along n unit vectors T_i of a random frame, drawn from `seed`.

    Values of one sign make rays, of both signs lines: the law of the features decides. s_i is a feature's `strength`;
    what it adds to the variance, its importance, goes as p_i s_i². Sharkey et al. 2022.
    """

    features: Distribution
    d: int = static()
    seed: int = 0
    noise: float = 0.0
    strength: Law = 1.0
    frame: Frame = Sphere()

    def check(self) -> None:
        _at_least_one(d=self.d)
        _check_noise(self.noise)
        if isinstance(self.frame, Orthonormal) and self.features.n > self.d:
            raise ValueError(f"d={self.d}: {self.features.n} orthonormal directions take as many dimensions")
        check_law("strength", self.strength, self.features.n, lambda s: s > 0, "a feature has a strength above 0")

    def directions(self) -> Float[Array, "n d"]:
        n = self.features.n
        return per_feature(self.strength, n)[:, None] * self.frame.draw(planted_key(self.seed), n, self.d)

    def prepare(self) -> Written:
        made = object.__new__(Written)
        for name, value in (("features", self.features), ("W", self.directions()), ("noise", self.noise)):
            object.__setattr__(made, name, value)
        return made

    def sample(self, key: Array, batch: int) -> Float[Array, "batch d"]:
        return self.prepare().sample(key, batch)

    def mean(self) -> Float[Array, " d"]:
        return self.prepare().mean()

    def second_moment(self) -> Float[Array, "d d"]:
        return self.prepare().second_moment()


@config
class Clusters:
    """An equal mixture of `count` Gaussians N(c_k, spread² 1), centres uniform on the sphere of radius 1."""

    count: int = static()
    d: int = static()
    seed: int = 0
    spread: float = 0.1

    def check(self) -> None:
        _at_least_one(count=self.count, d=self.d)
        _check_noise(self.spread)

    def centres(self) -> Float[Array, "count d"]:
        return Sphere().draw(planted_key(self.seed), self.count, self.d)

    def sample(self, key: Array, batch: int) -> Float[Array, "batch d"]:
        which_key, noise_key = jax.random.split(key)
        which = jax.random.randint(which_key, (batch,), 0, self.count)
        return self.centres()[which] + jnp.asarray(self.spread) * jax.random.normal(noise_key, (batch, self.d))

    def mean(self) -> Float[Array, " d"]:
        return self.centres().mean(0)

    def second_moment(self) -> Float[Array, "d d"]:
        centres = self.centres()
        return centres.T @ centres / self.count + jnp.asarray(self.spread) ** 2 * jnp.eye(self.d)


@config
class Cube:
    """Points uniform in the cube [-side/2, side/2]^d."""

    d: int = static()
    side: float = 2.0

    def check(self) -> None:
        _at_least_one(d=self.d)
        if not self.side > 0:
            raise ValueError(f"side={self.side:g}: a cube has a side above 0")

    def sample(self, key: Array, batch: int) -> Float[Array, "batch d"]:
        return self.side * (_uniform(key, (batch, self.d)) - 0.5)

    def mean(self) -> Float[Array, " d"]:
        return jnp.zeros(self.d)

    def second_moment(self) -> Float[Array, "d d"]:
        return jnp.asarray(self.side) ** 2 / 12 * jnp.eye(self.d)


@config
class Normal:
    """h ~ N(0, scale² 1)."""

    d: int = static()
    scale: float = 1.0

    def check(self) -> None:
        _at_least_one(d=self.d)
        if not self.scale > 0:
            raise ValueError(f"scale={self.scale:g}: a standard deviation is above 0")

    def sample(self, key: Array, batch: int) -> Float[Array, "batch d"]:
        return self.scale * jax.random.normal(key, (batch, self.d))

    def mean(self) -> Float[Array, " d"]:
        return jnp.zeros(self.d)

    def second_moment(self) -> Float[Array, "d d"]:
        return jnp.asarray(self.scale) ** 2 * jnp.eye(self.d)


@config
class GaussianCopy:
    """The Gaussian with mean and covariance of another law: what there is to see without features."""

    of: Observations

    @property
    def d(self) -> int:
        return self.of.d

    def prepare(self) -> "Rooted":
        mean, second = self.of.mean(), self.of.second_moment()
        values, vectors = jnp.linalg.eigh(second - mean[:, None] * mean)
        root = vectors * jnp.sqrt(jnp.maximum(values, 0))
        made = object.__new__(Rooted)
        object.__setattr__(made, "centre", mean)
        object.__setattr__(made, "root", root)
        return made

    def sample(self, key: Array, batch: int) -> Float[Array, "batch d"]:
        return self.prepare().sample(key, batch)

    def mean(self) -> Float[Array, " d"]:
        return self.of.mean()

    def second_moment(self) -> Float[Array, "d d"]:
        return self.of.second_moment()


@config
class Rooted:
    """h = centre + root z, z standard normal: a Gaussian of covariance root rootᵀ."""

    centre: np.ndarray
    root: np.ndarray

    @property
    def d(self) -> int:
        return self.root.shape[0]

    def sample(self, key: Array, batch: int) -> Float[Array, "batch d"]:
        return self.centre + jax.random.normal(key, (batch, self.root.shape[1])) @ self.root.T

    def mean(self) -> Float[Array, " d"]:
        return jnp.asarray(self.centre)

    def second_moment(self) -> Float[Array, "d d"]:
        centre, root = jnp.asarray(self.centre), jnp.asarray(self.root)
        return centre[:, None] * centre + root @ root.T


@config
class Sampled:
    """The first `count` of `most` observations of another law, drawn once from `seed`: a step draws among them, evenly.

    `count` is a leaf, so that all sizes of a sample share a program; larger samples contain the smaller ones.
    """

    of: Observations
    count: int = 1000
    most: int = static(default=10_000)
    seed: int = 0

    def check(self) -> None:
        if not 1 <= self.count <= self.most:
            raise ValueError(f"count={self.count}: a sample has 1..most={self.most} observations")

    @property
    def d(self) -> int:
        return self.of.d

    def table(self) -> Float[Array, "most d"]:
        """The observations, those beyond `count` too."""
        return prepared(self.of).sample(jax.random.fold_in(planted_key(self.seed), 1), self.most)

    def prepare(self) -> "Listed":
        made = object.__new__(Listed)
        object.__setattr__(made, "values", self.table())
        object.__setattr__(made, "count", self.count)
        return made

    def sample(self, key: Array, batch: int) -> Float[Array, "batch d"]:
        return self.prepare().sample(key, batch)

    def mean(self) -> Float[Array, " d"]:
        return self.of.mean()

    def second_moment(self) -> Float[Array, "d d"]:
        return self.of.second_moment()


@config
class Listed:
    """One of the first `count` given vectors, evenly."""

    values: np.ndarray
    count: int = 1

    @property
    def d(self) -> int:
        return self.values.shape[1]

    def sample(self, key: Array, batch: int) -> Float[Array, "batch d"]:
        return jnp.asarray(self.values)[jax.random.randint(key, (batch,), 0, self.count)]

    def mean(self) -> Float[Array, " d"]:
        return self._used() @ jnp.asarray(self.values)

    def second_moment(self) -> Float[Array, "d d"]:
        values = jnp.asarray(self.values)
        return (values * self._used()[:, None]).T @ values

    def _used(self) -> Float[Array, " values"]:
        return jnp.where(jnp.arange(len(self.values)) < self.count, 1 / jnp.asarray(self.count), 0.0)


def variance(data: Observations) -> float:
    """E |h - E h|², in float64: what a fraction of variance unexplained is a fraction of."""
    return float(np.trace(covariance(data)))
