"""Inverse dimension: the optimizer of its own, exponents and variances that are known, and a small training."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiments.small import few
from toymodels.experiment import load
from toymodels.optimizers import Adam

experiment = load(Path(__file__).parents[2] / "experiments" / "inverse_dimension.py")
module = sys.modules["toymodels_experiment_inverse_dimension"]
STEPS = 400


@jax.jit
def descend(optimizer, params, gradient):
    transform = optimizer.transform(STEPS)

    def step(carry, _):
        params, state = carry
        updates, state = transform.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, transform.init(params)), None, STEPS)[0][0]


def descended(optimizer, W, b, gradient=0.0):
    params = {"W": jnp.asarray(W, float), "b": jnp.asarray(b, float)}
    moved = descend(optimizer, params, jax.tree.map(lambda each: gradient + 0 * each, params))
    return jax.tree.map(np.asarray, moved)


W = np.random.default_rng(0).normal(size=(5, 3)) * np.array([0.2, 0.5, 1, 2, 4])[:, None]


def test_negative_decay_pulls_rows_to_unit_length_and_keeps_directions():
    moved = descended(module.RowDecay(module.Cosine(5e-2), -1.0), W, np.ones(5))
    lengths = np.linalg.norm(moved["W"], axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-2)
    np.testing.assert_allclose(moved["W"] / lengths[:, None], W / np.linalg.norm(W, axis=1)[:, None], atol=1e-4)
    np.testing.assert_array_equal(moved["b"], np.ones(5))


def test_positive_decay_shrinks_all_rows_alike_and_none_leaves_adam():
    schedule = module.Cosine(1e-2)
    moved = descended(module.RowDecay(schedule, 0.5), W, np.ones(5))
    rates = np.array([schedule.schedule(STEPS)(t) for t in range(STEPS)])
    np.testing.assert_allclose(moved["W"], W * np.prod(1 - 0.5 * rates), rtol=1e-3)
    own = descended(module.RowDecay(schedule, 0.0), W, np.ones(5), gradient=0.3)
    adam = descended(Adam(schedule), W, np.ones(5), gradient=0.3)
    np.testing.assert_allclose(own["W"], adam["W"], atol=1e-4)


@given(st.floats(-2, 3), st.floats(0.1, 10))
def test_the_exponent_of_a_power_of_m(exponent, first):
    m = np.array([4, 9, 20, 50])
    values = first * np.stack([m**-exponent, m**-1.0], axis=1)
    np.testing.assert_allclose(module.exponents(m, values), [exponent, 1], atol=1e-9)


def test_variances_are_those_of_draws():
    data = module.Sparse(6, module.frequencies(6, 0.5), module.Uniform(0.0, 2.0))
    x = np.asarray(data.sample(jax.random.key(0), 200_000), float)
    p = np.asarray(data.marginals(), float)
    assert p.sum() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(4 * p / 3 - p**2, x.var(0), rtol=0.03)


def test_orthogonal_rows_and_equal_rows_have_known_squared_cosines():
    assert module.squared_cosine(np.eye(3)) == pytest.approx(0)
    assert module.squared_cosine(np.ones((4, 2))) == pytest.approx(1)
    assert module.squared_cosine(np.concatenate([np.eye(2), 0.3 * np.ones((5, 2))])) == pytest.approx(0)
    assert np.isnan(module.squared_cosine(0.1 * np.eye(3)))


def test_decay_drops_features_and_the_pull_to_unit_length_keeps_all():
    swept = few(experiment, "decays", 200, m=(5,), decay=(-1.0, 1.0), seed=range(2))
    kept = module.table(swept, lambda W, _: float(module.represented(W).mean()))
    assert np.nanmin(kept[:, :, 0]) > 0.95
    assert np.nanmax(kept[:, :, 1]) < 0.2
