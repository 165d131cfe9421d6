"""The same training - tied ReLU autoencoder, batch 1024, AdamW - in our trainer and in two designs common elsewhere."""

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from toymodels import Axis, Record, Run, Sweep
from toymodels.data import Sparse
from toymodels.models import Tied
from toymodels.optimizers import AdamW
from toymodels.problems.supervised import Supervised
from toymodels.sweep import plan
from toymodels.train import train_batch

BATCH = 1024


class Workload(NamedTuple):
    n: int
    m: int
    instances: int
    steps: int

    def probabilities(self) -> np.ndarray:
        return np.geomspace(0.01, 1, self.instances)


Contender = Callable[[Workload], Callable[[], None]]


def all_contenders() -> dict[str, Contender]:
    """Those that can run here: PyTorch only where it is installed."""
    found: dict[str, Contender] = {"toymodels": ours, "JAX, a dispatch a step": jax_loop}
    if importlib.util.find_spec("torch"):
        found["PyTorch, instance axis"] = torch_instances
    return found


def ours(workload: Workload) -> Callable[[], None]:
    """One seed, all instances as cells of a sweep, in the batches that a sweep would cut."""
    problem = Supervised(Sparse(workload.n), Tied(workload.m))
    base = Run(problem, AdamW(), steps=workload.steps, batch=BATCH, record=Record(1, 1))
    sweep = Sweep(base, [Axis("p", "problem.data.p", workload.probabilities())])
    (group,) = plan(sweep.runs()).groups

    def train() -> None:
        for grid in group.batches:
            train_batch(grid)

    return train


def jax_loop(workload: Workload) -> Callable[[], None]:
    """Instances by vmap, batch first, fresh draws for each, one compiled step dispatched at a time."""
    optimizer = optax.adamw(1e-3, weight_decay=0.01)
    p = jnp.asarray(workload.probabilities(), jnp.float32)

    def loss(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        hidden = x @ params["W"]
        return jnp.mean(jnp.sum((x - jax.nn.relu(hidden @ params["W"].T + params["b"])) ** 2, -1))

    def one(params: dict, moments: optax.OptState, key: jax.Array, p: jax.Array) -> tuple:
        value_key, mask_key = jax.random.split(key)
        shape = (BATCH, workload.n)
        x = jnp.where(jax.random.uniform(mask_key, shape) < p, jax.random.uniform(value_key, shape), 0.0)
        updates, moments = optimizer.update(jax.grad(loss)(params, x), moments, params)
        return optax.apply_updates(params, updates), moments

    @jax.jit
    def step(params: dict, moments: optax.OptState, key: jax.Array) -> tuple:
        return jax.vmap(one)(params, moments, jax.random.split(key, workload.instances), p)

    params = {
        "W": jax.random.normal(jax.random.key(0), (workload.instances, workload.n, workload.m)) * 0.5,
        "b": jnp.zeros((workload.instances, workload.n)),
    }
    moments = jax.vmap(optimizer.init)(params)

    def train() -> None:
        nonlocal params, moments
        for i in range(workload.steps):
            params, moments = step(params, moments, jax.random.key(i))
        jax.block_until_ready(params)

    return train


def torch_instances(workload: Workload) -> Callable[[], None]:
    """Instances as an axis of every einsum, eager, as in the notebook of Elhage et al. 2022."""
    import torch

    weights = torch.nn.Parameter(torch.randn(workload.instances, workload.n, workload.m) * 0.5)
    bias = torch.nn.Parameter(torch.zeros(workload.instances, workload.n))
    optimizer = torch.optim.AdamW([weights, bias], lr=1e-3)
    p = torch.as_tensor(workload.probabilities(), dtype=torch.float32)[:, None]

    def train() -> None:
        for _ in range(workload.steps):
            shape = (BATCH, workload.instances, workload.n)
            x = torch.where(torch.rand(shape) < p, torch.rand(shape), torch.zeros(()))
            hidden = torch.einsum("bif,ifh->bih", x, weights)
            out = torch.relu(torch.einsum("bih,ifh->bif", hidden, weights) + bias)
            loss = ((x - out) ** 2).mean((0, 2)).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return train
