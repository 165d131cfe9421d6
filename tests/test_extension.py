"""What the README promises: a loss, a model or a problem of one's own, without a change to the library."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from toymodels import Axis, Record, Run, Sweep, sweep
from toymodels.config import config, digest, static
from toymodels.data import Sparse
from toymodels.models import Tied
from toymodels.optimizers import Adam
from toymodels.problems.supervised import Supervised


@config
class Huber:
    """sum_i huber(x_i - x'_i)."""

    delta: float = 1.0

    def __call__(self, prediction, target):
        return jnp.sum(optax.losses.huber_loss(prediction, target, delta=self.delta))


class TwoLayers(nnx.Module):
    def __init__(self, n: int, m: int, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(n, m, rngs=rngs)
        self.second = nnx.Linear(m, n, rngs=rngs)

    def __call__(self, x):
        return self.second(nnx.relu(self.first(x)))


@config
class Mlp:
    """An ordinary flax module of one hidden layer."""

    m: int = static(default=4)

    def init(self, key, n):
        return TwoLayers(n, self.m, nnx.Rngs(key))


@config
class Quadratic:
    """1/2 sum_i curvature_i w_i^2, curvatures 1 and `condition`: not a toy model at all."""

    condition: float = 10.0
    dims = {"w": ("coordinate",)}  # noqa: RUF012

    def init(self, key):
        return {"w": jax.random.normal(key, (2,))}

    def objective(self, params, example):
        return jnp.sum(jnp.array([1.0, 1.0]) * params["w"] ** 2 * jnp.stack([jnp.ones(()), self.condition])) / 2


RECORD = Record(10, 2, examples=64)


def test_a_loss_of_ones_own_sweeps_its_leaf() -> None:
    base = Run(Supervised(Sparse(5, 0.3), Tied(2), Huber()), Adam(1e-2), steps=40, batch=64, record=RECORD)
    data = sweep(Sweep(base, [Axis("delta", "problem.loss.delta", [0.1, 1.0])]))
    assert np.isfinite(data.objective).all()
    assert not np.array_equal(data.W.sel(delta=0.1), data.W.sel(delta=1.0))


def test_a_flax_module_of_ones_own_trains() -> None:
    base = Run(Supervised(Sparse(5, 0.3), Mlp()), Adam(1e-2), steps=200, batch=64, record=RECORD)
    data = sweep(Sweep(base, [Axis("seed", "seed", [0, 1])]))
    assert (data.objective.isel(step=-1) < data.objective.isel(step=0)).all()
    assert data["first.kernel"].shape == (2, 2, 5, 4)


def test_a_problem_of_ones_own() -> None:
    data = sweep(Sweep(Run(Quadratic(), Adam(0.05), steps=500, record=RECORD), [Axis("seed", "seed", range(3))]))
    assert (data.objective.isel(step=-1) < 1e-6).all()


def test_other_code_is_another_cell() -> None:
    """A class of one's own has no version: its code is part of the address of its cells."""
    bodies = ["(prediction - target) ** 2", "100 * (prediction - target) ** 2"]
    addresses = set()
    for body in bodies:
        scope = {"config": config, "jnp": jnp, "__name__": "notebook"}
        exec(
            f"@config\nclass Mine:\n    def __call__(self, prediction, target):\n        return jnp.sum({body})", scope
        )
        addresses.add(digest(Supervised(Sparse(3), Tied(2), scope["Mine"]()), 1))
    assert len(addresses) == 2


@config
class Mean:
    """E |w - x|^2 of x normal around 1: drawn examples, and not one number that could be swept."""

    n: int = static(default=2)
    dims = {"w": ("coordinate",)}  # noqa: RUF012

    def init(self, key):
        return {"w": jax.random.normal(key, (self.n,))}

    def sample(self, key, batch):
        return 1 + jax.random.normal(key, (batch, self.n))

    def objective(self, params, example):
        return jnp.sum((params["w"] - example) ** 2)


def test_a_problem_without_leaves() -> None:
    base = Run(Mean(), Adam(0.05), steps=200, batch=256, record=RECORD)
    data = sweep(Sweep(base, [Axis("lr", "optimizer.lr", [0.03, 0.05]), Axis("seed", "seed", range(3))]))
    np.testing.assert_allclose(data.w.isel(snapshot=-1), 1, atol=0.2)
