"""Decay of rows: what it does to lengths, by itself, and that without it the optimizer is Adam."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from toymodels import Axis, Record, Run, Sweep, sweep
from toymodels.optimizers import Adam, Cosine, RowDecay
from toymodels.problems.packing import Packing
from toymodels.problems.quadratic import Quadratic
from toymodels.results import OK

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
    moved = descended(RowDecay(Cosine(5e-2), -1.0), W, np.ones(5))
    lengths = np.linalg.norm(moved["W"], axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-2)
    np.testing.assert_allclose(moved["W"] / lengths[:, None], W / np.linalg.norm(W, axis=1)[:, None], atol=1e-4)
    np.testing.assert_array_equal(moved["b"], np.ones(5))


def test_positive_decay_shrinks_all_rows_alike_and_none_leaves_adam():
    schedule = Cosine(1e-2)
    moved = descended(RowDecay(schedule, 0.5), W, np.ones(5))
    rates = np.array([schedule.schedule(STEPS)(t) for t in range(STEPS)])
    np.testing.assert_allclose(moved["W"], W * np.prod(1 - 0.5 * rates), rtol=1e-3)
    own = descended(RowDecay(schedule, 0.0), W, np.ones(5), gradient=0.3)
    adam = descended(Adam(schedule), W, np.ones(5), gradient=0.3)
    np.testing.assert_allclose(own["W"], adam["W"], atol=1e-4)


def test_a_constant_rate_is_a_rate():
    moved = descended(RowDecay(1e-2, 0.5), W, np.ones(5))
    np.testing.assert_allclose(moved["W"], W * (1 - 0.5e-2) ** STEPS, rtol=1e-3)
    with pytest.raises(ValueError, match="lr"):
        RowDecay(0.0)


def test_a_problem_without_rows_of_features_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match="RowDecay updates W, but Packing has no W"):
        Run(Packing(6, 3), RowDecay())


def test_what_rests_off_the_bottom_is_judged_by_its_curve():
    """The bottom is at a length of 3. Adam pushes by a rate a step at most, and at length 2 that is the pull to 1."""
    base = Run(Quadratic(1, 1, weights=9.0), RowDecay(Cosine(1e-1, floor=0.05), -1.0), steps=400, record=Record(40, 2))
    data = sweep(Sweep(base, [Axis("decay", "optimizer.decay", [-1.0, 0.0])])).load()
    assert (data.status == OK).all()
    np.testing.assert_allclose(abs(data.W.isel(snapshot=-1)).squeeze(), [2, 3], rtol=0.02)
    assert np.isnan(data.gain_low.sel(decay=-1.0))
    assert np.isfinite(data.gain_low.sel(decay=0.0))
