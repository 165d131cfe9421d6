"""Targets of their own and natural step sizes of factorisations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import multicomponent, reduced_rank
from toymodels import Axis, Record, Run, Sweep, train
from toymodels.config import replace, substitute
from toymodels.data import Sparse
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.optimizers import Adam, AdamW, Momentum, Sgd
from toymodels.problems.factorize import Components, Factorize
from toymodels.problems.natural_steps import (
    OPTIMIZERS,
    TARGETS,
    among,
    growth_rate,
    in_natural_units,
    own_target,
    step_sizes,
    targets,
)


@pytest.mark.parametrize("loss", reduced_rank.LOSSES.values(), ids=reduced_rank.LOSSES)
def test_the_growth_rate_is_the_largest_singular_value_of_the_gradient_at_zero(loss):
    problem = Factorize(Components(6, 5, 4, Geometric(0.7, first=3.0), seed=3), loss=loss)
    A = problem.target.matrix()
    gradient = jax.grad(lambda product: problem.loss(product, A))(jnp.zeros_like(A))
    # float32 gradients of float32 targets: 1e-5 of the largest is their rounding.
    assert growth_rate(problem.target, problem.loss) == pytest.approx(np.linalg.norm(gradient, 2), rel=1e-4)


@pytest.mark.parametrize("p", [0.05, 1.0])
def test_the_growth_rate_on_sparse_inputs_is_that_of_the_mean_gradient(p):
    problem = Factorize(Components(4, 4, 4, Geometric(0.7), seed=3), loss=SquaredError(), data=Sparse(4, p))
    A, x = problem.target.matrix(), problem.data.sample(jax.random.key(0), 200_000)
    gradient = jax.grad(lambda product: jnp.sum((x @ (A - product).T) ** 2) / len(x))(jnp.zeros_like(A))
    # Relative error of a second moment from N draws of which N p are not zero: a few times 1 / sqrt(N p) = 1 %.
    rate = growth_rate(problem.target, problem.loss, problem.data)
    assert rate == pytest.approx(np.linalg.norm(gradient, 2), rel=0.04)


def test_the_derived_step_scales_with_the_one_asked_for():
    base = reduced_rank.sweeps["ranks"].base
    for option in among(*OPTIMIZERS).values():
        run = replace(base, option)
        small, large = (in_natural_units(replace(run, {"optimizer.lr": lr})) for lr in (0.01, 0.1))
        assert large.optimizer.lr == pytest.approx(10 * small.optimizer.lr)


def test_step_sizes_are_those_of_the_cells_by_name():
    base = Run(Factorize(Components(5, 4, 2, Geometric(0.5)), components=2), Momentum(decay=0))
    sweep = Sweep(base, [Axis("lr", "optimizer.lr", [0.1, 0.2]), Axis("seed", "seed", range(3))], in_natural_units)
    sizes = step_sizes(sweep)
    assert dict(sizes.sizes) == {"lr": 2, "seed": 3}
    assert float(sizes.sel(lr=0.2, seed=1)) == sweep.cell(lr=0.2, seed=1).optimizer.lr
    # The largest singular value of every target is 1, to the rounding of its float32 entries.
    np.testing.assert_allclose(sizes, [[0.1] * 3, [0.2] * 3], rtol=1e-5)


def test_each_seed_has_a_target_of_its_own_that_no_start_is_drawn_from():
    problem = Factorize(Components(5, 4, 2, Geometric(0.5)), components=2)
    found = targets(problem, [0, 3])
    assert dict(found.sizes) == {"seed": 2, "row": 5, "column": 4, "target": 2}
    again = np.einsum("skr,k,skc->src", found.left, [1, 0.5], found.right)
    np.testing.assert_allclose(again, found.A, atol=1e-6)
    assert abs(found.A[0] - found.A[1]).max() > 0.1
    assert own_target(problem, 3).seed == TARGETS + 3
    for page in (multicomponent, reduced_rank):
        for sweep in page.experiment.at("full").values():
            assert max(max(axis.labels) for axis in sweep.axes if axis.name == "seed") < TARGETS


@pytest.mark.parametrize(
    ("plain", "general"), [(Sgd(0.05), Momentum(0.05, decay=0.0)), (Adam(0.05), AdamW(0.05, weight_decay=0.0))]
)
def test_sgd_and_adam_are_members_of_the_families_that_train_them(plain, general):
    """W <- W - lr (0 v + g) and W <- W - lr (g' + 0 W) leave nothing to round differently."""
    run = Run(Factorize(Components(4, 3, 2), scale=0.3), plain, steps=30, record=Record(4, 2))
    one, other = (train(replace(run, {"optimizer": optimizer})) for optimizer in (plain, general))
    np.testing.assert_array_equal(one.U, other.U)


def test_a_batch_of_targets_is_one_lapack_call_of_each_kind():
    """Two at once can deadlock: each blocks a thread of XLA's CPU pool until its own tasks have had one."""
    batch = jax.vmap(lambda seed: substitute(Components(5, 4, 4), seed=seed).vectors())
    text = jax.jit(batch).lower(jnp.arange(3)).as_text()
    assert text.count("@lapack_sgeqrf") == 1
