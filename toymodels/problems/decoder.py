"""Decode features from a random projection by one hidden layer. Jermyn, Schiefer & Hubinger 2022, arXiv 2211.09169."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from toymodels import keys
from toymodels.arrays import Array, Float
from toymodels.config import config, stack, static, substitute
from toymodels.data import Distribution
from toymodels.laws import PowerLaw
from toymodels.models import Activation, Identity, Relu
from toymodels.normalisers import NoNorm, Normaliser
from toymodels.settings import standard

INPUT, OUTPUT = 0x0DEC0DE1, 0x0DEC0DE2
"""What sets the streams of projections apart: a run splits the key of its own seed, which never gives these."""


@runtime_checkable
class Projects(Protocol):
    """A config that gives a direction in m dimensions for each of n features."""

    @property
    def m(self) -> int: ...
    def directions(self, n: int) -> Float[Array, "n m"]: ...


@config
class Projection:
    """x -> Fᵀ x with random rows F_i of length 1 in m dimensions: Gaussian, then orthonormal columns, then unit rows.

    F is features x m, drawn from `seed` in a stream that no initialisation or data share.
    """

    m: int = static(default=16)
    seed: int = 0

    def check(self) -> None:
        _check(self.m, self.seed)

    def directions(self, n: int) -> Float[Array, "n m"]:
        return _directions(n, (INPUT, self))[0]


@config
class Reproject:
    """The target Qᵀ x, Q drawn as in `Projection` from a stream of its own."""

    m: int = static(default=16)
    seed: int = 0

    def check(self) -> None:
        _check(self.m, self.seed)

    def directions(self, n: int) -> Float[Array, "n m"]:
        return _directions(n, (OUTPUT, self))[0]


@config
class Directions:
    """Rows that are given, features x m, as an array or nested lists."""

    rows: np.ndarray

    def check(self) -> None:
        if self.rows.ndim != 2 or not np.isfinite(self.rows).all():
            raise ValueError(f"rows of shape {self.rows.shape}: one finite direction a feature expected")

    @property
    def m(self) -> int:
        return self.rows.shape[1]

    def directions(self, n: int) -> Float[Array, "n m"]:
        return jnp.asarray(self.rows)


def _check(m: int, seed: int) -> None:
    if m < 1:
        raise ValueError(f"m={m}: a projection has at least one dimension")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed={seed}: an integer in 0..2^31 - 1")


@standard()
def _directions(n: int, *drawn: tuple[int, Any]) -> list[Float[Array, "n m"]]:
    """The rows of random projections of n features, each with its stream: one call of QR for all of them."""
    width = max(each.m for _, each in drawn)
    gaussian = []
    for stream, each in drawn:
        key = jax.random.fold_in(keys.key(each.seed), stream)
        gaussian.append(jnp.pad(jax.random.normal(key, (n, each.m)), ((0, 0), (0, width - each.m))))
    orthonormal = jnp.linalg.qr(jnp.stack(gaussian))[0]  # of columns one by one: zeros at the end change none
    found = [columns[:, : each.m] for columns, (_, each) in zip(orthonormal, drawn, strict=True)]
    return [rows / jnp.linalg.norm(rows, axis=1, keepdims=True) for rows in found]


Params = dict[str, Array]
Example = tuple[Float[Array, " features"], Float[Array, " dimensions"] | None]


@config
class Decoder:
    """L = E |target(x) - W f(encoderᵀ norm(Fᵀ x + noise z) + b)|² + l1 |f|₁, k neurons, z normal in each dimension.

    `target` is the features (Identity), their sizes (Absolute, on signed features) or another projection (Reproject).
    Weights start uniform within ± scale / sqrt(inputs), b within ± 1 / sqrt(inputs) around `bias`: at scale 1 as
    torch's do. `BiasDecay` is the optimizer that lets a low initial bias return.
    """

    data: Distribution
    projection: Projects = Projection()
    k: int = static(default=64)
    activation: Activation = Relu()
    target: Activation | Projection | Reproject | Directions = Identity()
    normaliser: Normaliser = NoNorm()
    bias: float = 0.0
    scale: float = 1.0
    l1: float = 0.0
    noise: float | None = None
    """Standard deviation in each dimension of the input; None draws none, which is faster than 0."""

    def check(self) -> None:
        if self.k < 1:
            raise ValueError(f"k={self.k}: a hidden layer has at least one neuron")
        for name in ("scale", "l1", "noise"):
            if not (getattr(self, name) is None or getattr(self, name) >= 0):
                raise ValueError(f"{name}={getattr(self, name):g}: it is not negative")
        for each in (self.projection, self.target):
            if isinstance(each, Projection | Reproject) and each.m > self.data.n:
                raise ValueError(f"m={each.m}: {self.data.n} features are projected to at most as many dimensions")
            if isinstance(each, Directions) and len(each.rows) != self.data.n:
                raise ValueError(f"rows of shape {each.rows.shape}: the data have {self.data.n} features")

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        return {"encoder": ("dimension", "hidden"), "b": ("hidden",), "W": ("output", "hidden")}

    def prepare(self) -> "Decoder":
        """The same problem with its projections worked out once."""
        drawn = {"projection": (INPUT, self.projection), "target": (OUTPUT, self.target)}
        drawn = {name: each for name, each in drawn.items() if isinstance(each[1], Projection | Reproject)}
        if not drawn:
            return self
        found = {name: object.__new__(Directions) for name in drawn}
        for one, rows in zip(found.values(), _directions(self.data.n, *drawn.values()), strict=True):
            object.__setattr__(one, "rows", rows)
        return substitute(self, **found)

    def init(self, key: Array) -> Params:
        m = self.projection.m
        outputs = self.target.m if isinstance(self.target, Reproject | Projection | Directions) else self.data.n
        shapes, inputs = (
            {"encoder": (m, self.k), "b": (self.k,), "W": (outputs, self.k)},
            {"encoder": m, "b": m, "W": self.k},
        )
        found = {
            name: jax.random.uniform(own, shapes[name], minval=-1, maxval=1) / np.sqrt(inputs[name])
            for name, own in zip(shapes, jax.random.split(key, 3), strict=True)
        }
        return {name: self.scale * found[name] for name in ("encoder", "W")} | {"b": found["b"] + self.bias}

    def sample(self, key: Array, batch: int) -> tuple[Array, Array | None]:
        if self.noise is None:
            return self.data.sample(key, batch), None
        data_key, noise_key = jax.random.split(key)
        return self.data.sample(data_key, batch), jax.random.normal(noise_key, (batch, self.projection.m))

    def hidden(self, params: Params, example: Example) -> Float[Array, " neurons"]:
        """Activations of the neurons."""
        x, z = example
        h = self.projection.directions(self.data.n).T @ x
        if z is not None and self.noise is not None:
            h = h + self.noise * z
        return self.activation(params["encoder"].T @ self.normaliser(h) + params["b"])

    def single(self, params: Params) -> Float[Array, "features hidden"]:
        """What each neuron gives when one feature is on alone, with value 1 and without noise."""
        return jax.vmap(lambda x: self.hidden(params, (x, None)))(jnp.eye(self.data.n))

    def wanted(self, x: Float[Array, " features"]) -> Float[Array, " outputs"]:
        """The target of an example."""
        if isinstance(self.target, Reproject | Projection | Directions):
            return self.target.directions(self.data.n).T @ x
        return self.target(x)

    def objective(self, params: Params, example: Example) -> Float[Array, ""]:
        active = self.hidden(params, example)
        error = jnp.sum((self.wanted(example[0]) - params["W"] @ active) ** 2)
        return error + self.l1 * jnp.sum(jnp.abs(active))

    def metrics(self, params: Params, example: Example) -> dict[str, Float[Array, ""]]:
        """`squared_error`, without penalties."""
        error = self.wanted(example[0]) - params["W"] @ self.hidden(params, example)
        return {"squared_error": jnp.sum(error**2)}


def falling(n: int, p: float, exponent: float = 1.1) -> PowerLaw:
    """Probabilities p_i ~ i^-exponent of n features whose sum is n p. Jermyn et al. 2022; ValueError if p_1 > 1."""
    first = n * p / float((np.arange(1, n + 1.0) ** -exponent).sum())
    if not 0 < first <= 1:
        raise ValueError(f"p={p:g}: the first of {n} probabilities would be {first:.3g}")
    return PowerLaw(exponent, first)


def single_activations(
    problems: Sequence[Decoder], params: Mapping[str, np.ndarray]
) -> Float[np.ndarray, "cells features hidden"]:
    """`Decoder.single` of cells of one shape, each with its own projection; parameters have a first axis of cells."""

    @jax.jit
    def of_cells(problems: Decoder, params: Params) -> Array:
        return jax.vmap(lambda problem, own: problem.prepare().single(own))(problems, params)

    own = {name: jnp.asarray(values, jnp.float32) for name, values in params.items()}
    return np.asarray(of_cells(stack(problems), own), np.float64)
