"""The best dictionary of one latent for two features, against a grid and against training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from toymodels.observations import Normal
from toymodels.problems.dictionary import Dictionary, ReluL1
from toymodels.theory.hedging import STATES, loss, optimum, probabilities

CASES = {"independent": None, "child only with parent": 0.2}


def test_independent_features_are_told_apart_and_the_bias_is_the_childs_mean() -> None:
    found = optimum(0.25, 0.2)
    assert found.direction == pytest.approx([1, 0], abs=1e-6)
    assert found.bias[1] == pytest.approx(0.2, abs=1e-6)
    # Parent reconstructed up to the penalty, which shifts its bias: what is left is the child's variance.
    assert found.loss == pytest.approx(0.2 * 0.8 + 0.25 * 1e-3, rel=1e-3)


def test_a_child_of_the_parent_is_mixed_in() -> None:
    found = optimum(0.25, 0.2, 0.2)
    assert 0.5 < found.direction[1] < found.direction[0]
    assert found.loss < loss(0.0, np.array([0.0, 0.2]), probabilities(0.25, 0.2, 0.2), 1e-3)


@pytest.mark.parametrize("together", CASES.values(), ids=CASES)
def test_nothing_on_a_grid_is_better(together: float | None) -> None:
    P, best = probabilities(0.25, 0.2, together), optimum(0.25, 0.2, together)
    grid = np.linspace(-0.4, 1, 15)
    values = [loss(a, np.array([x, y]), P, 1e-3) for a in np.linspace(0, np.pi, 41) for x in grid for y in grid]
    assert min(values) >= best.loss - 1e-12
    assert min(values) < 1.3 * best.loss


@pytest.mark.parametrize("together", CASES.values(), ids=CASES)
def test_training_reaches_the_optimum(together: float | None) -> None:
    """The autoencoder itself on the four states and their probabilities, two directions of fifty: within 1 %."""
    problem, P = Dictionary(Normal(50), ReluL1(1e-3), 1), jnp.asarray(probabilities(0.25, 0.2, together), float)
    plane = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 2)))[0].T
    h = jnp.asarray(STATES @ plane, float)
    transform = optax.adam(optax.cosine_decay_schedule(0.02, 2000))

    def objective(params):
        return P @ jax.vmap(problem.objective, (None, 0))(params, h)

    def train(key):
        def step(_, state):
            params, moments = state
            updates, moments = transform.update(jax.grad(objective)(params), moments, params)
            return optax.apply_updates(params, updates), moments

        params = problem.init(key)
        return jax.lax.fori_loop(0, 2000, step, (params, transform.init(params)))[0]

    found = jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(1), 8))
    losses = np.asarray(jax.vmap(objective)(found), float)
    best = optimum(0.25, 0.2, together)
    assert losses.min() >= best.loss * (1 - 1e-4)
    assert losses.min() <= best.loss * 1.01
    chosen = losses.argmin()
    decoder, bias = (plane @ np.asarray(found[name][chosen], float).ravel() for name in ("decoder", "b_dec"))
    decoder /= np.linalg.norm(found["decoder"][chosen])
    assert decoder == pytest.approx(best.direction, abs=0.01)
    assert bias == pytest.approx(best.bias, abs=0.01)


def test_impossible_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="no such probabilities"):
        optimum(0.25, 0.2, 0.3)
