"""The workloads in plain JAX: one instance, the batch of examples first."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.workloads import Attentions, Autoencoders, Decoders, Factorizations, Packings

Params = dict[str, Any]


class Model(NamedTuple):
    init: Callable[[jax.Array], Params]
    sample: Callable[[jax.Array, jax.Array], jax.Array | None]
    """(key, p) -> examples, or None."""
    loss: Callable[[Params, Any], jax.Array]
    optimizer: optax.GradientTransformation


def autoencoder(workload: Autoencoders) -> Model:
    n, m = workload.n, workload.m

    def init(key: jax.Array) -> Params:
        return {"W": jax.random.normal(key, (n, m)) * np.sqrt(2 / (n + m)), "b": jnp.zeros(n)}

    def loss(params: Params, x: jax.Array) -> jax.Array:
        out = jax.nn.relu((x @ params["W"]) @ params["W"].T + params["b"])
        return jnp.mean(jnp.sum((x - out) ** 2, -1))

    return Model(init, _sparse(workload.batch, n), loss, optax.adamw(1e-3, weight_decay=0.01))


def decoder(workload: Decoders) -> Model:
    n, m, k = workload.n, workload.m, workload.k
    projection = jnp.asarray(workload.projection())

    def init(key: jax.Array) -> Params:
        shapes = {"encoder": (m, k), "b": (k,), "W": (n, k)}
        sizes = {"encoder": m, "b": m, "W": k}
        keys = dict(zip(shapes, jax.random.split(key, 3), strict=True))
        return {
            name: jax.random.uniform(keys[name], shape, minval=-1, maxval=1) / np.sqrt(sizes[name])
            for name, shape in shapes.items()
        }

    def loss(params: Params, x: jax.Array) -> jax.Array:
        hidden = jax.nn.relu((x @ projection) @ params["encoder"] + params["b"])
        return jnp.mean(jnp.sum((x - hidden @ params["W"].T) ** 2, -1))

    return Model(init, _sparse(workload.batch, n), loss, optax.adam(workload.rate))


def attention(workload: Attentions) -> Model:
    n, rank, pattern = workload.n, workload.rank, jnp.asarray(workload.pattern)

    def init(key: jax.Array) -> Params:
        u, v = jax.random.normal(key, (2, len(pattern), n, rank)) * np.sqrt(2 / (n + rank))
        return {"U": u, "V": v, "b": jnp.full(n, workload.bias)}

    def loss(params: Params, x: jax.Array) -> jax.Array:
        seen = jnp.einsum("ht,btn->bhn", pattern, x)
        moved = jnp.einsum("bhn,hnr->bhr", seen, params["V"])
        out = jax.nn.relu(jnp.einsum("bhr,hnr->bn", moved, params["U"]) + params["b"])
        return jnp.mean(jnp.sum((x[:, 0] - out) ** 2, -1))

    return Model(init, _sparse(workload.batch, 2, n), loss, optax.adam(workload.rate))


def factorization(workload: Factorizations) -> Model:
    target = jnp.asarray(workload.sweep().base.problem.target.matrix())

    def init(key: jax.Array) -> Params:
        shape = (workload.n, workload.rank)
        return {
            name: 0.1 * jax.random.normal(own, shape) for name, own in zip("UV", jax.random.split(key), strict=True)
        }

    def loss(params: Params, x: None) -> jax.Array:
        return jnp.sum((target - params["U"] @ params["V"].T) ** 2) / 2

    return Model(init, _nothing, loss, optax.sgd(0.05))


def packing(workload: Packings) -> Model:
    def loss(params: Params, x: None) -> jax.Array:
        unit = params["V"] / jnp.linalg.norm(params["V"], axis=1, keepdims=True)
        cosines = unit @ unit.T
        return jnp.sum(jnp.where(jnp.eye(len(unit), dtype=bool), 0.0, cosines) ** 4)

    def init(key: jax.Array) -> Params:
        return {"V": jax.random.normal(key, (workload.n, workload.d))}

    return Model(init, _nothing, loss, optax.adam(0.01))


def _sparse(*shape: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
    def sample(key: jax.Array, p: jax.Array) -> jax.Array:
        value_key, mask_key = jax.random.split(key)
        on = jax.random.uniform(mask_key, shape) < p
        return jnp.where(on, jax.random.uniform(value_key, shape), 0.0)

    return sample


def _nothing(key: jax.Array, p: jax.Array) -> None:
    return None


MODELS: Mapping[type, Callable[[Any], Model]] = {
    Autoencoders: autoencoder,
    Decoders: decoder,
    Attentions: attention,
    Factorizations: factorization,
    Packings: packing,
}
