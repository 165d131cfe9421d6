"""Steering: directions that change a planted map most at a finite radius, by gradient. FIELD section 7.

    f(x) = sum_i g_i u_i s(v_i . x),   maximise log |f(R v_j)|² over unit v_j, j = 1..count

The logarithm moves no maximum of one candidate and gives all candidates one scale. What a candidate may not share with
those before it is a config: nothing, its direction, or what it writes. Candidates are greedy, so the first k of them
are what k candidates would find. The map is drawn from a seed of its own, in a stream that no run draws from.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from toymodels.arrays import Array, Float
from toymodels.config import config, replace, static, substitute
from toymodels.laws import Law, check_law, per_feature
from toymodels.observations import Frame, Sphere, planted_key
from toymodels.problems.dictionary import unit

TINY = 1e-12
"""Added to a squared change, so that where nothing changes there is no gradient, and no NaN."""
LEFT = 1e-8
"""Of a squared change what counts at least: where nothing of it is left, it is the change that grows, not rounding."""


# ------------------------------------------------------------------------------------------------------------ responses
@runtime_checkable
class Response(Protocol):
    """What a unit does with what it reads; 0 at 0."""

    def __call__(self, t: Array) -> Array: ...


@config
class Expm1:
    """s(t) = exp(t) - 1. Mack & Turner 2024."""

    def __call__(self, t: Array) -> Array:
        return jnp.expm1(t)


@config
class Proportional:
    """s(t) = t: a linear map."""

    def __call__(self, t: Array) -> Array:
        return t


@config
class Rectified:
    """s(t) = max(t - threshold, 0), threshold >= 0: nothing changes before it is reached."""

    threshold: float = 1.0

    def check(self) -> None:
        if not self.threshold >= 0:
            raise ValueError(f"threshold={self.threshold:g}: a threshold is not negative, so that s(0) = 0")

    def __call__(self, t: Array) -> Array:
        return jax.nn.relu(t - jnp.asarray(self.threshold))


# ---------------------------------------------------------------------------------------------------------------- maps
@config
class Equiangular:
    """n <= d unit vectors, every two at one cosine c, -1/(n - 1) < c <= 1, turned at random; 0: orthonormal.

    T = (sqrt(1 - c) 1 + (sqrt(1 + (n - 1) c) - sqrt(1 - c)) / n 11ᵀ) E, E orthonormal: then T Tᵀ = (1 - c) 1 + c 11ᵀ.
    """

    cosine: float = 0.0

    def check(self) -> None:
        if not -1 <= self.cosine <= 1:
            raise ValueError(f"cosine={self.cosine:g}: a cosine lies in [-1, 1]")

    def draw(self, key: Array, n: int, d: int) -> Float[Array, "n d"]:
        basis, c = orthonormal(jax.random.normal(key, (n, d))), jnp.asarray(self.cosine)
        alone, shared = jnp.sqrt(jnp.maximum(1 - c, 0)), jnp.sqrt(jnp.maximum(1 + (n - 1) * c, 0))
        return alone * basis + (shared - alone) / n * jnp.sum(basis, axis=0)


def orthonormal(rows: Float[Array, "count d"]) -> Float[Array, "count d"]:
    """Gram-Schmidt, twice for each row, with its direction kept; a row only sees those before it, and moves none.

    Written out, for batched LAPACK calls may deadlock on CPUs.
    """

    def add(done: jax.Array, place: jax.Array) -> tuple[jax.Array, jax.Array]:
        row = jnp.asarray(rows)[place]
        for _ in range(2):
            row = row - done.T @ (done @ row)
        row = jnp.asarray(unit(row[None]))[0]
        return done.at[place].set(jax.lax.stop_gradient(row)), row

    return jax.lax.scan(add, jnp.zeros(rows.shape, rows.dtype), jnp.arange(len(rows)))[1]


@config
class Planted:
    """f(x) = sum_i g_i u_i s(v_i . x): n units that read and write in d dimensions, along frames drawn from `seed`."""

    n: int = static()
    d: int = static()
    response: Response = Expm1()
    reads: Frame = Sphere()
    writes: Frame = Sphere()
    gain: Law = 1.0
    seed: int = 0

    def check(self) -> None:
        if self.n < 1 or self.d < 1:
            raise ValueError(f"n={self.n}, d={self.d}: a map has a unit or more, in one dimension or more")
        check_law("gain", self.gain, self.n, lambda g: g > 0, "a unit has a gain above 0")
        for name, frame in (("reads", self.reads), ("writes", self.writes)):
            if isinstance(frame, Equiangular):
                if self.n > self.d:
                    raise ValueError(f"{name}: {self.n} vectors of one cosine take as many dimensions, not {self.d}")
                if not 1 + (self.n - 1) * frame.cosine > 0:
                    raise ValueError(f"{name}: {self.n} vectors have no common cosine of {frame.cosine:g}")

    def directions(self) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
        """Reads, and writes times their gains."""
        read_key, write_key = jax.random.split(planted_key(self.seed))
        writes = self.writes.draw(write_key, self.n, self.d)
        return self.reads.draw(read_key, self.n, self.d), per_feature(self.gain, self.n)[:, None] * writes

    def prepare(self) -> "Drawn":
        made, (reads, writes) = object.__new__(Drawn), self.directions()
        for name, value in (("response", self.response), ("reads", reads), ("writes", writes)):
            object.__setattr__(made, name, value)
        return made

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, " d"]:
        return self.prepare()(x)


@config
class Drawn:
    """f(x) = sum_i u_i s(v_i . x), reads and writes given as rows."""

    response: Response
    reads: np.ndarray
    writes: np.ndarray

    @property
    def d(self) -> int:
        return self.reads.shape[1]

    def directions(self) -> tuple[Array, Array]:
        return jnp.asarray(self.reads), jnp.asarray(self.writes)

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, " d"]:
        reads, writes = self.directions()
        return self.response(reads @ x) @ writes


@runtime_checkable
class Map(Protocol):
    """What is steered."""

    @property
    def d(self) -> int: ...
    def __call__(self, x: Float[Array, " d"]) -> Float[Array, " d"]: ...


# --------------------------------------------------------------------------------------------------------- constraints
@runtime_checkable
class Constraint(Protocol):
    """Unit directions from parameters, and what of their changes counts; each sees the candidates before it."""

    def directions(self, V: Float[Array, "count d"]) -> Float[Array, "count d"]: ...
    def counted(self, changes: Float[Array, "count d"]) -> Float[Array, "count d"]: ...


@config
class Free:
    """Every candidate for itself."""

    def directions(self, V: Float[Array, "count d"]) -> Float[Array, "count d"]:
        return unit(V)

    def counted(self, changes: Float[Array, "count d"]) -> Float[Array, "count d"]:
        return changes


@config
class OrthogonalInputs:
    """A candidate is orthogonal to those before it. Mack & Turner 2024, MELBO."""

    def directions(self, V: Float[Array, "count d"]) -> Float[Array, "count d"]:
        return orthonormal(V)

    def counted(self, changes: Float[Array, "count d"]) -> Float[Array, "count d"]:
        return changes


@config
class OrthogonalOutputs:
    """Of a candidate's change only that counts which is orthogonal to what those before it write."""

    def directions(self, V: Float[Array, "count d"]) -> Float[Array, "count d"]:
        return unit(V)

    def counted(self, changes: Float[Array, "count d"]) -> Float[Array, "count d"]:
        own = orthonormal(jax.lax.stop_gradient(changes))

        def left(place: Array, change: Array) -> Array:
            before = own * (jnp.arange(len(own)) < place)[:, None]
            return change - before.T @ (before @ change)

        return jax.vmap(left)(jnp.arange(len(changes)), changes)


@config
class Steering:
    """L = -sum_j log |what counts of f(R v_j)|² over `count` directions; V starts standard normal."""

    map: Map
    count: int = static()
    radius: float = 1.0
    constraint: Constraint = Free()

    dims: ClassVar[Mapping[str, tuple[str, ...]]] = {"V": ("candidate", "dimension")}

    def check(self) -> None:
        if self.count < 1:
            raise ValueError(f"count={self.count}: one direction or more")
        if not self.radius > 0:
            raise ValueError(f"radius={self.radius:g}: above 0")
        if isinstance(self.constraint, OrthogonalInputs) and self.count > self.map.d:
            raise ValueError(
                f"count={self.count}: {self.map.d} dimensions have no more orthogonal directions than that"
            )

    def prepare(self) -> "Steering":
        return substitute(self, map=self.map.prepare() if hasattr(self.map, "prepare") else self.map)

    def init(self, key: Array) -> dict[str, Array]:
        return {"V": jax.random.normal(key, (self.count, self.map.d))}

    def directions(self, params: dict[str, Array]) -> Float[Array, "count d"]:
        """What was found: unit vectors."""
        return self.constraint.directions(params["V"])

    def objective(self, params: dict[str, Array], example: None = None) -> Float[Array, ""]:
        map = self.prepare().map
        changes = jax.vmap(lambda v: map(jnp.asarray(self.radius) * v))(self.directions(params))
        counted = self.constraint.counted(changes) ** 2 + LEFT * changes**2
        return -jnp.sum(jnp.log(jnp.sum(counted, axis=1) + TINY))


def planted(run: Any) -> Any:
    """The run with its map drawn from the run's own seed, in a stream of its own: a sweep's `derive`."""
    return replace(run, {"problem.map.seed": run.seed})
