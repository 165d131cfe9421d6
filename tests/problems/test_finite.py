"""Finite samples: what is drawn, what is held out, where training starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toymodels import Finite, Sparse, Tied
from toymodels.engine.loop import make_keys
from toymodels.problems.finite import HELD

SPARSE = Sparse(6, 0.4)


def problem(**more: object) -> Finite:
    return Finite(SPARSE, Tied(2, scale=0.5), samples=8, **more)


@pytest.mark.parametrize("draw", [0, 2**31 - 1])
def test_a_draw_has_its_own_examples_and_none_is_held_out(draw: int) -> None:
    one, again, other = (np.asarray(problem(draw=each).examples()) for each in (draw, draw, (draw + 1) % 2**31))
    assert one.shape == (8, 6)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    held = np.asarray(problem(draw=draw).examples(held_out=True))
    assert held.shape == (HELD, 6)
    some = one[(one != 0).any(1)]
    assert not (some[:, None] == held[None]).all(2).any()


@pytest.mark.parametrize("seed", [0, 5000])
def test_sample_and_initialisation_are_of_disjoint_streams(seed: int) -> None:
    """W does not change with the sample, nor the sample with the initialisation; of one seed all keys differ."""
    key = make_keys(jnp.asarray([seed]), jnp.asarray([0])).init[0]
    first, second = (problem(draw=draw).init(key)["W"] for draw in (seed, (seed + 1) % 2**31))
    np.testing.assert_array_equal(first, second)
    made = make_keys(jnp.asarray([seed]), jnp.asarray([0]))
    engine = [jax.random.key(seed), made.init[0], made.data[0], made.evaluation[0]]
    own = [problem(draw=seed).key(held_out) for held_out in (False, True)]
    known = {tuple(np.asarray(jax.random.key_data(each)).ravel().tolist()) for each in (*engine, *own)}
    assert len(known) == 6


def test_the_objective_is_the_mean_over_all_examples() -> None:
    made = problem(draw=3)
    params = made.init(jax.random.key(0))
    W, b = (np.asarray(params[name], float) for name in ("W", "b"))

    def loss(x: np.ndarray) -> float:
        return float(np.mean(np.sum((x - np.maximum(x @ W @ W.T + b, 0)) ** 2, axis=1)))

    assert float(made.objective(params)) == pytest.approx(loss(np.asarray(made.examples())), rel=1e-5)
    held = float(made.metrics(params)["held_out"])
    assert held == pytest.approx(loss(np.asarray(made.examples(held_out=True))), rel=1e-5)


def test_starts() -> None:
    plain = problem().init(jax.random.key(0))["W"]
    on_features = problem(on_features=1.0, corners=5).init(jax.random.key(0))["W"] - plain
    angles = np.sort(np.angle(np.asarray(on_features[:5]) @ np.array([1, 1j])) % (2 * np.pi))
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / 5, atol=1e-5)
    assert (on_features[5:] == 0).all()
    on_samples = np.asarray(problem(on_samples=1.0).init(jax.random.key(0))["W"] - plain)
    sent = np.asarray(problem().examples()) @ on_samples
    assert np.mean(np.sum(sent**2, axis=1)) == pytest.approx(1, rel=1e-4)
    three = Finite(SPARSE, Tied(3), samples=8, on_features=1.0, corners=4).init(jax.random.key(0))["W"]
    assert three.shape == (6, 3)


def test_unit_examples() -> None:
    lengths = np.linalg.norm(np.asarray(problem(unit=True).examples()), axis=1)
    assert all(length == 0 or length == pytest.approx(1, rel=1e-5) for length in lengths)


def test_what_a_finite_sample_refuses() -> None:
    with pytest.raises(ValueError, match="samples=0"):
        Finite(SPARSE, Tied(2), samples=0)
    with pytest.raises(ValueError, match="corners=7"):
        problem(corners=7)
    with pytest.raises(ValueError, match="draw=-1"):
        problem(draw=-1)
