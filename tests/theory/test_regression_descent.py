"""Expected losses of a factorisation learned as regression, and descent on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.theory.regression import expected_descent, regression_levels, regression_loss, regression_optimum

seeds = st.integers(0, 2**20)


def target_and_start(seed: int, n: int = 5, m: int = 4, r: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, m)), rng.normal(size=(n, r)), rng.normal(size=(m, r))


@given(seeds)
def test_the_expected_loss_is_the_mean_over_inputs(seed):
    A, U, V = target_and_start(seed)
    x = np.random.default_rng(seed).normal(size=(50, 4)) ** 3
    mean = np.mean([np.sum(((A - U @ V.T) @ each) ** 2) for each in x])
    assert regression_loss(A, U, V, x.T @ x / len(x)) == pytest.approx(mean, rel=1e-10)


@given(seeds)
def test_levels_are_the_optima_of_each_rank(seed):
    A, moment = target_and_start(seed)[0], np.cov(np.random.default_rng(seed).normal(size=(4, 9)))
    optima = [2 * regression_optimum(A, moment, rank).loss for rank in range(5)]
    np.testing.assert_allclose(regression_levels(A, moment), optima, rtol=1e-8, atol=1e-10)


@given(seeds)
def test_expected_descent_follows_the_gradient_of_the_expected_loss(seed):
    A, U, V = target_and_start(seed)
    moment = np.cov(np.random.default_rng(seed).normal(size=(4, 9)))
    losses = expected_descent(A, U, V, moment, 1e-3, 3)
    with jax.enable_x64(True):

        def loss(factors):
            residual = jnp.asarray(A) - factors[0] @ factors[1].T
            return jnp.trace(residual @ moment @ residual.T)

        factors = (jnp.asarray(U), jnp.asarray(V))
        for expected in losses:
            assert float(loss(factors)) == pytest.approx(expected, rel=1e-9)
            factors = jax.tree.map(lambda w, g: w - 1e-3 * g, factors, jax.grad(loss)(factors))


def test_several_descents_at_once_are_those_one_by_one():
    starts = [target_and_start(seed) for seed in range(3)]
    moments, rates = [np.eye(4), 2 * np.eye(4), np.diag([1.0, 2, 3, 4])], [1e-3, 2e-3, 3e-3]
    together = expected_descent(*map(np.array, zip(*starts, strict=True)), np.array(moments), np.array(rates), 4)
    for one, start, moment, rate in zip(together, starts, moments, rates, strict=True):
        np.testing.assert_allclose(one, expected_descent(*start, moment, rate, 4), rtol=1e-12)
