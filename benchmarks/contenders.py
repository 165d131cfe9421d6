"""The same training in our trainer and in the designs common elsewhere.

A contender takes a workload and gives a function that trains all of its models for so many steps, from where it left
off. Ours starts anew, and includes initialisation, a last evaluation and everything on the host but compilation.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.workloads import BATCH, Autoencoders, Contender, Factorizations, Workload
from toymodels.engine.batch import train_batch
from toymodels.engine.plan import plan

OURS = "toymodels"
Params = dict[str, Any]


def contenders() -> dict[str, Contender]:
    """Those that can run here: PyTorch only where it is installed."""
    found: dict[str, Contender] = {OURS: ours}
    if importlib.util.find_spec("torch"):
        found["PyTorch, instance axis"] = torch_instances
    return found | {"JAX, a dispatch a step": jax_instances, "JAX, one model at a time": jax_one_by_one}


def ours(workload: Workload) -> Callable[[int], None]:
    """All instances as the cells of a sweep, in the batches and on the devices that a sweep would take."""
    (group,) = plan(workload.sweep().runs()).groups
    devices = jax.local_devices()[: group.shape.devices]

    def train(steps: int) -> None:
        assert steps == workload.steps, "the number of steps is part of a run"
        for grid in group.batches:
            train_batch(grid, devices=devices)

    return train


def products_alone(workload: Workload) -> Callable[[int], None]:
    """The matrix products of a step and nothing else, in our shapes and on our devices: the floor of dense training."""
    (group,) = plan(workload.sweep().runs()).groups
    shape = group.shape
    width = shape.devices * shape.width
    mesh = jax.sharding.Mesh(np.asarray(jax.local_devices()[: shape.devices]), "cells")
    split, whole = (jax.sharding.PartitionSpec(*axes) for axes in (("cells",), ()))

    def chain(factors: list[tuple[jax.Array, jax.Array]], steps: jax.Array) -> list[jax.Array]:
        def step(_: Any, made: list[jax.Array]) -> list[jax.Array]:
            # One number of each result enters the smaller factor of its next product, with no weight to speak of:
            # else the products would be the same at each step, and worked out once.
            results = []
            for (left, right), last in zip(factors, made, strict=True):
                nudge = 1e-30 * last[:, :1, :1]
                pair = (left + nudge, right) if left.size < right.size else (left, right + nudge)
                results.append(jnp.matmul(*pair))
            return results

        return jax.lax.fori_loop(0, steps, step, [jnp.matmul(*pair) for pair in factors])

    key = jax.random.key(0)
    factors = [
        (jax.random.normal(key, (width, rows, terms)), jax.random.normal(key, (width, terms, columns)))
        for rows, columns, terms in workload.products()
    ]
    mapped = jax.jit(jax.shard_map(chain, mesh=mesh, in_specs=(split, whole), out_specs=split, check_vma=False))

    def train(steps: int) -> None:
        for _ in group.batches:
            jax.block_until_ready(mapped(factors, steps))

    return train


# ------------------------------------------------------------------------------------------------------------------ JAX


def _jax_problem(workload: Workload) -> tuple[Callable, Callable, Callable, optax.GradientTransformation]:
    """(init(key), sample(key, p), loss(params, x), optimizer) of one instance, batch first."""
    if isinstance(workload, Autoencoders):
        n, m = workload.n, workload.m

        def init(key: jax.Array) -> Params:
            return {"W": jax.random.normal(key, (n, m)) * np.sqrt(2 / (n + m)), "b": jnp.zeros(n)}

        def sample(key: jax.Array, p: jax.Array) -> jax.Array:
            value_key, mask_key = jax.random.split(key)
            on = jax.random.uniform(mask_key, (BATCH, n)) < p
            return jnp.where(on, jax.random.uniform(value_key, (BATCH, n)), 0.0)

        def loss(params: Params, x: jax.Array) -> jax.Array:
            out = jax.nn.relu((x @ params["W"]) @ params["W"].T + params["b"])
            return jnp.mean(jnp.sum((x - out) ** 2, -1))

        return init, sample, loss, optax.adamw(1e-3, weight_decay=0.01)
    if isinstance(workload, Factorizations):
        target = jnp.asarray(workload.sweep().base.problem.target.matrix())

        def init(key: jax.Array) -> Params:
            shape = (workload.n, workload.rank)
            return {name: 0.1 * jax.random.normal(key, shape) for name, key in zip("UV", jax.random.split(key))}  # noqa: B905

        return (
            init,
            _nothing,
            lambda params, x: jnp.sum((target - params["U"] @ params["V"].T) ** 2) / 2,
            optax.sgd(0.05),
        )
    return (
        lambda key: {"V": jax.random.normal(key, (workload.n, workload.d))},
        _nothing,
        _jax_packing_loss,
        optax.adam(0.01),
    )


def _nothing(key: jax.Array, p: jax.Array) -> None:
    return None


def _jax_packing_loss(params: Params, x: None) -> jax.Array:
    unit = params["V"] / jnp.linalg.norm(params["V"], axis=1, keepdims=True)
    cosines = unit @ unit.T
    return jnp.sum(jnp.where(jnp.eye(len(unit), dtype=bool), 0.0, cosines) ** 4)


def _probabilities(workload: Workload) -> jax.Array:
    if isinstance(workload, Autoencoders):
        return jnp.asarray(workload.probabilities(), jnp.float32)
    return jnp.ones(workload.instances)


class JaxInstances:
    """Instances by vmap, batch first, fresh draws for each, one compiled step dispatched at a time."""

    def __init__(self, workload: Workload, seed: int = 0) -> None:
        init, sample, loss, optimizer = _jax_problem(workload)
        p, self.count = _probabilities(workload), 0

        def one(params: Params, moments: Any, key: jax.Array, p: jax.Array) -> tuple[Params, Any]:
            updates, moments = optimizer.update(jax.grad(loss)(params, sample(key, p)), moments, params)
            return optax.apply_updates(params, updates), moments

        def step(params: Params, moments: Any, key: jax.Array) -> tuple[Params, Any]:
            return jax.vmap(one)(params, moments, jax.random.split(key, workload.instances), p)

        self.init_key, self.key = jax.random.split(jax.random.key(seed))
        self.params = jax.vmap(init)(jax.random.split(self.init_key, workload.instances))
        self.moments = jax.vmap(optimizer.init)(self.params)
        self.one_step = jax.jit(step, donate_argnums=(0, 1))

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.count += 1
            key = jax.random.fold_in(self.key, self.count)
            self.params, self.moments = self.one_step(self.params, self.moments, key)
        jax.block_until_ready(self.params)

    def weights(self) -> dict[str, np.ndarray]:
        return {name: np.asarray(values) for name, values in self.params.items()}


def jax_instances(workload: Workload) -> Callable[[int], None]:
    return JaxInstances(workload).train


def jax_one_by_one(workload: Workload) -> Callable[[int], None]:
    """One model after another, the whole training of each in one compiled loop. Timed on one, counted for all."""
    init, sample, loss, optimizer = _jax_problem(workload)
    p = _probabilities(workload)[0]

    @jax.jit
    def run(key: jax.Array, steps: jax.Array) -> Params:
        def step(i: jax.Array, state: tuple[Params, Any]) -> tuple[Params, Any]:
            params, moments = state
            x = sample(jax.random.fold_in(key, i), p)
            updates, moments = optimizer.update(jax.grad(loss)(params, x), moments, params)
            return optax.apply_updates(params, updates), moments

        params = init(key)
        return jax.lax.fori_loop(0, steps, step, (params, optimizer.init(params)))[0]

    return lambda steps: jax.block_until_ready(run(jax.random.key(0), steps))


# -------------------------------------------------------------------------------------------------------------- PyTorch


class TorchInstances:
    """Instances as an axis of every einsum, eager, as in the notebook of Elhage et al. 2022."""

    def __init__(self, workload: Workload, seed: int = 0) -> None:
        import torch

        self.workload = workload
        self.generator = torch.Generator().manual_seed(seed)
        count = workload.instances
        if isinstance(workload, Autoencoders):
            n, m = workload.n, workload.m
            start = {"W": self._normal(count, n, m) * np.sqrt(2 / (n + m)), "b": torch.zeros(count, n)}
            self.p = torch.as_tensor(workload.probabilities(), dtype=torch.float32)[:, None]
        elif isinstance(workload, Factorizations):
            start = {name: 0.1 * self._normal(count, workload.n, workload.rank) for name in "UV"}
            self.target = torch.as_tensor(np.array(workload.sweep().base.problem.target.matrix()))
        else:
            start = {"V": self._normal(count, workload.n, workload.d)}
            self.others = 1 - torch.eye(workload.n)
        self.params = {name: torch.nn.Parameter(values.float()) for name, values in start.items()}
        leaves = list(self.params.values())
        self.optimizer: Any = (
            torch.optim.AdamW(leaves, lr=1e-3)
            if isinstance(workload, Autoencoders)
            else torch.optim.SGD(leaves, lr=0.05)
            if isinstance(workload, Factorizations)
            else torch.optim.Adam(leaves, lr=0.01)
        )

    def _normal(self, *shape: int) -> Any:
        import torch

        return torch.randn(shape, generator=self.generator)

    def _loss(self) -> Any:
        import torch

        if isinstance(self.workload, Autoencoders):
            W, b = self.params["W"], self.params["b"]
            shape = (BATCH, self.workload.instances, self.workload.n)
            on, value = (torch.rand(shape, generator=self.generator) for _ in range(2))
            x = torch.where(on < self.p, value, torch.zeros(()))
            out = torch.relu(torch.einsum("bim,inm->bin", torch.einsum("bin,inm->bim", x, W), W) + b)
            return ((x - out) ** 2).sum((1, 2)).mean()
        if isinstance(self.workload, Factorizations):
            product = torch.einsum("inr,imr->inm", self.params["U"], self.params["V"])
            return ((self.target - product) ** 2).sum() / 2
        unit = torch.nn.functional.normalize(self.params["V"], dim=-1)
        return ((torch.einsum("ind,imd->inm", unit, unit) * self.others) ** 4).sum()

    def train(self, steps: int) -> None:
        for _ in range(steps):
            loss = self._loss()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()

    def weights(self) -> dict[str, np.ndarray]:
        return {name: values.detach().numpy().copy() for name, values in self.params.items()}


def torch_instances(workload: Workload) -> Callable[[int], None]:
    return TorchInstances(workload).train
