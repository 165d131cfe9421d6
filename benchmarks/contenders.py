"""The same training in our trainer and in the designs common elsewhere.

A contender takes a workload and gives a function that trains all of its models for so many steps, from where it left
off. Ours starts anew, and includes initialisation, a last evaluation and everything on the host but compilation; it
returns the seconds that this took, without those after it in which it measures what is still to gain: no peer does.
"""

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import in_jax
from benchmarks.workloads import Contender, Workload
from toymodels import Sweep
from toymodels.engine.batch import train_batch
from toymodels.engine.plan import Group, plan

OURS = "toymodels"
Params = dict[str, Any]


def contenders() -> dict[str, Contender]:
    """Those that can run here: PyTorch only where it is installed."""
    found: dict[str, Contender] = {OURS: ours}
    if importlib.util.find_spec("torch"):
        found["PyTorch, instance axis"] = torch_instances
    return found | {"JAX, a dispatch a step": jax_instances, "JAX, one model at a time": jax_one_by_one}


def one_program(sweep: Sweep) -> tuple[Group, list[jax.Device]]:
    """The batches of a sweep that is one program, and the devices that take them."""
    (group,) = plan(sweep.runs()).groups
    return group, jax.local_devices()[: group.shape.devices]


def trainer(sweep: Sweep) -> Callable[..., tuple[float, float]]:
    """A function that trains a sweep of one program, or the first so many of its batches, as a sweep would: seconds of
    the steps, and with what is measured after them."""
    group, devices = one_program(sweep)

    def train(first: int | None = None) -> tuple[float, float]:
        steps = whole = 0.0
        for grid in group.batches[:first]:
            times = [time.perf_counter()]
            train_batch(grid, lambda _, times=times: times.append(time.perf_counter()), devices)
            steps, whole = steps + times[-1] - times[0], whole + time.perf_counter() - times[0]
        return steps, whole

    return train


def ours(workload: Workload) -> Callable[[int], float]:
    """All instances as the cells of a sweep, in the batches and on the devices that a sweep would take."""
    train = trainer(workload.sweep())

    def training(steps: int) -> float:
        assert steps == workload.steps, "the number of steps is part of a run"
        return train()[0]

    return training


def products_alone(workload: Workload) -> Callable[[int], None]:
    """The matrix products of a step and nothing else, in our shapes and on our devices: the floor of dense training."""
    group, devices = one_program(workload.sweep())
    width = group.shape.devices * group.shape.width
    mesh = jax.sharding.Mesh(np.asarray(devices), "cells")
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


class JaxInstances:
    """Instances by vmap, batch first, fresh draws for each, one compiled step dispatched at a time."""

    def __init__(self, workload: Workload, seed: int = 0) -> None:
        init, sample, loss, optimizer = in_jax.MODELS[type(workload)](workload)
        p, self.count = jnp.asarray(workload.probabilities(), jnp.float32), 0

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
    init, sample, loss, optimizer = in_jax.MODELS[type(workload)](workload)
    p = jnp.float32(workload.probabilities()[0])

    @jax.jit
    def run(key: jax.Array, steps: jax.Array) -> Params:
        def step(i: jax.Array, state: tuple[Params, Any]) -> tuple[Params, Any]:
            params, moments = state
            x = sample(jax.random.fold_in(key, i), p)
            updates, moments = optimizer.update(jax.grad(loss)(params, x), moments, params)
            return optax.apply_updates(params, updates), moments

        params = init(key)
        return jax.lax.fori_loop(0, steps, step, (params, optimizer.init(params)))[0]

    def train(steps: int) -> None:
        jax.block_until_ready(run(jax.random.key(0), steps))

    return train


# -------------------------------------------------------------------------------------------------------------- PyTorch


class TorchInstances:
    """Instances as an axis of every einsum, eager."""

    def __init__(self, workload: Workload, seed: int = 0) -> None:
        import torch

        from benchmarks import in_torch

        model = in_torch.MODELS[type(workload)](workload, torch.Generator().manual_seed(seed))
        self.params = {name: torch.nn.Parameter(values.float()) for name, values in model.start.items()}
        self.loss, self.optimizer = model.loss, model.optimizer(list(self.params.values()))

    def train(self, steps: int) -> None:
        for _ in range(steps):
            loss = self.loss(self.params)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()

    def weights(self) -> dict[str, np.ndarray]:
        return {name: values.detach().numpy().copy() for name, values in self.params.items()}


def torch_instances(workload: Workload) -> Callable[[int], None]:
    return TorchInstances(workload).train
