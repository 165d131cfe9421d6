"""The exact population loss as a problem: the loss that the sampled problem estimates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toymodels import Axis, Record, Run, Sweep, sweep
from toymodels.config import replace
from toymodels.data import Constant, OneSparse, Sparse
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.models import Gelu, Relu, Tied, Untied
from toymodels.optimizers import Adam
from toymodels.problems.population import Population
from toymodels.problems.supervised import Supervised
from toymodels.theory.superposition import two_features

MODELS = {"tied": Tied(2), "untied": Untied(2)}


@settings(max_examples=10)
@given(st.sampled_from(list(MODELS)), st.floats(0.02, 1), st.floats(0.3, 1), st.integers(0, 1000))
def test_sampled_loss_and_gradient_average_to_the_exact_ones(model: str, p: float, ratio: float, seed: int) -> None:
    """Over 60,000 examples, within six standard errors, each entry of the gradient included."""
    parts = (Sparse(3, p), MODELS[model], SquaredError(Geometric(ratio)))
    exact, sampled = Population(*parts), Supervised(*parts)
    params = exact.init(jax.random.key(seed))
    for one, other in zip(jax.tree.leaves(params), jax.tree.leaves(sampled.init(jax.random.key(seed))), strict=True):
        np.testing.assert_array_equal(one, other)
    mean, error = _estimate(sampled, params, jax.random.key(seed + 1))
    value = _exact(exact, params)
    for one, other, spread in zip(*map(jax.tree.leaves, (value, mean, error)), strict=True):
        assert (jnp.abs(one - other) <= 6 * spread + 1e-6).all()


@jax.jit
def _exact(problem: Population, params: dict) -> tuple:
    return jax.value_and_grad(problem.objective)(params)


@jax.jit
def _estimate(problem: Supervised, params: dict, key: jax.Array) -> tuple:
    each = jax.vmap(jax.value_and_grad(problem.objective), (None, 0))(params, problem.sample(key, 60_000))
    return jax.tree.map(lambda x: x.mean(0), each), jax.tree.map(lambda x: x.std(0) / 60_000**0.5, each)


def test_one_feature_at_a_time_is_the_mean_of_draws() -> None:
    """n = 12, which no sum over active sets would reach: within six standard errors of 60,000 examples."""
    exact, sampled = (kind(OneSparse(12), Tied(2)) for kind in (Population, Supervised))
    params = exact.init(jax.random.key(3))
    mean, error = _estimate(sampled, params, jax.random.key(4))
    value = _exact(exact, params)
    for one, other, spread in zip(*map(jax.tree.leaves, (value, mean, error)), strict=True):
        assert (jnp.abs(one - other) <= 6 * spread + 1e-6).all()


def test_trains_to_the_exact_optimum() -> None:
    """n = 2, m = 1, best of 8: the optimum of theory, within 1e-4, in each phase."""
    base = Run(
        Population(Sparse(2, 0.1), Tied(1), SquaredError((1.0, 1.0))), Adam(0.03), steps=1000, record=Record(4, 1)
    )
    cells = [(0.02, 1.0), (0.3, 0.4), (0.9, 0.5), (0.05, 3.0)]
    for p, r in cells:
        run = replace(base, {"problem.data.p": p, "problem.loss.importance": (1.0, r)})
        data = sweep(Sweep(run, [Axis("seed", "seed", range(8))]))
        best = float(data.objective.isel(step=-1).min())
        assert best == pytest.approx(float(two_features(p, r).best.loss), rel=1e-4)


@pytest.mark.slow
def test_agrees_with_the_sampled_route() -> None:
    """The same cells by large drawn batches: exact losses at the end within 2 % (2e-3 is the noise of the weights)."""
    ends = {}
    for kind in (Population, Supervised):
        run = Run(kind(Sparse(2, 0.3), Tied(1)), Adam(0.01), steps=1500, batch=1024, record=Record(4, 1))
        data = sweep(Sweep(run, [Axis("seed", "seed", range(8))])).isel(snapshot=-1)
        loss = jax.vmap(Population(Sparse(2, 0.3), Tied(1)).objective)({"W": data.W.values, "b": data.b.values})
        ends[kind] = np.asarray(loss)
    np.testing.assert_allclose(ends[Population], ends[Supervised], rtol=0.02)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((Sparse(9, 0.1), Tied(2)), "at most 8 features"),
        ((Sparse(3, 0.1, Constant()), Tied(2)), "uniform on"),
        ((Sparse(3, 0.1), Tied(2, Relu())), "linear hidden units"),
        ((Sparse(3, 0.1), Tied(2, output=Gelu())), "ReLU output"),
        ((Sparse(3, 0.1), Tied(2), SquaredError((1.0, 2.0))), "2 values for 3 features"),
        ((OneSparse(3), Untied(2)), "a tied model and importances 1"),
        ((OneSparse(3), Tied(2), SquaredError(2.0)), "a tied model and importances 1"),
    ],
)
def test_what_has_no_closed_form_is_refused(parts: tuple, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Population(*parts)
