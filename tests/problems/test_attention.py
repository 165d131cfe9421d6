"""A layer that looks tokens up: what it draws, and that weights written by hand solve it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toymodels.data import Noisy, Sparse, Uniform
from toymodels.laws import Geometric, PowerLaw
from toymodels.problems.attention import Lookup

N, KEYS, TOKENS = 3, 4, 2
DATA = Sparse(N, 0.5, Uniform(-1.0))


def by_hand(problem: Lookup) -> dict[str, jax.Array]:
    """Each input and each output has a direction of its own; the head matches keys, the MLP adds both halves of |x|."""
    d, inputs = problem.d, problem.inputs
    E = np.eye(inputs, d)
    keys, queries = np.arange(N, N + KEYS), np.arange(N + KEYS, inputs)
    found, sizes = inputs + np.arange(N), inputs + N + np.arange(N)
    Q, K, V, O = (np.zeros((d, KEYS)) for _ in range(4))
    Q[queries, range(KEYS)], K[keys, range(KEYS)] = 50.0, 1.0
    V[range(N), range(N)], O[found, range(N)] = 1.0, 1.0
    W_in, W_out = np.zeros((2 * N, d)), np.zeros((d, 2 * N))
    for i in range(N):
        W_in[2 * i, i], W_in[2 * i + 1, i] = 1.0, -1.0
        W_out[sizes[i], 2 * i : 2 * i + 2] = 1.0
    W = np.zeros((2 * N, d))
    W[range(N), found], W[range(N, 2 * N), sizes] = 1.0, 1.0
    made = {"E": E, "Q": Q, "K": K, "V": V, "O": O, "W_in": W_in, "W_out": W_out, "W": W}
    return {name: jnp.asarray(each, jnp.float32) for name, each in made.items()} | {
        "b": jnp.zeros(2 * N),
        "c": jnp.zeros(2 * N),
    }


def test_weights_by_hand_solve_it() -> None:
    problem = Lookup(DATA, 17, KEYS, 2 * N, TOKENS, KEYS, PowerLaw(1.0), Geometric(0.5))
    params = by_hand(problem)
    examples = problem.sample(jax.random.key(0), 200)
    assert {name: leaf.shape for name, leaf in params.items()} == {
        name: leaf.shape for name, leaf in problem.init(jax.random.key(0)).items()
    }
    np.testing.assert_allclose(jax.vmap(problem.objective, (None, 0))(params, examples), 0, atol=1e-8)
    metrics = jax.vmap(problem.metrics, (None, 0))(params, examples)
    np.testing.assert_allclose(metrics["right"], 1, atol=1e-6)
    blind = jax.vmap(problem.metrics, (None, 0))(params | {"Q": 0 * params["Q"]}, examples)
    np.testing.assert_allclose(blind["right"], 1 / TOKENS, atol=1e-6)
    assert blind["moving"].mean() > 0.05
    np.testing.assert_allclose(blind["computing"], 0, atol=1e-8)


def test_tokens_have_keys_of_their_own_and_the_query_asks_for_one() -> None:
    problem = Lookup(DATA, 4, tokens=TOKENS, keys=KEYS, frequency=Geometric(0.2))
    x, wanted = (np.asarray(each) for each in problem.sample(jax.random.key(1), 4000))
    keys, query = x[:, N : N + KEYS, :-1], x[:, N + KEYS :, -1]
    assert (keys.sum(1) == 1).all()
    assert (keys.sum(2) <= 1).all()
    assert (x[:, N + KEYS :, :-1] == 0).all()
    assert (x[:, N : N + KEYS, -1] == 0).all()
    which = np.einsum("bkt,bk->bt", keys, query)
    assert (which.sum(1) == 1).all()
    np.testing.assert_allclose(which.mean(0), 1 / TOKENS, atol=0.03)
    np.testing.assert_array_equal(wanted[:, :N], np.einsum("bnt,bt->bn", x[:, :N, :-1], which))
    np.testing.assert_array_equal(wanted[:, N:], np.abs(x[:, :N, -1]))
    shares = keys.sum((0, 2)) / keys.sum()
    assert (np.diff(shares) < 0).all()  # rarer keys are drawn less


def test_importances_weigh_both_tasks() -> None:
    importance = Geometric(0.5)
    problem = Lookup(DATA, 5, importance=importance)
    params = problem.init(jax.random.key(2))
    x, wanted = (each[0] for each in problem.sample(jax.random.key(3), 1))
    error = np.asarray((wanted - problem.predict(params, x)) ** 2).reshape(2, N)
    assert problem.objective(params, (x, wanted)) == pytest.approx((error @ [1, 0.5, 0.25]).sum(), rel=1e-5)
    plain = problem.metrics(params, (x, wanted))
    assert plain["moving"] == pytest.approx(error[0].sum(), rel=1e-5)
    assert plain["computing"] == pytest.approx(error[1].sum(), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"d": 0}, "d=0"),
        ({"rank": 0}, "rank=0"),
        ({"tokens": 5}, "keys=4: 5 tokens"),
        ({"frequency": (1.0, 0.0, 1.0, 1.0)}, "frequency=0"),
        ({"importance": (1.0,)}, "importance has 1 values"),
        ({"data": Noisy(DATA, 0.1)}, "without noise"),
    ],
)
def test_bad_input(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Lookup(**{"data": DATA, **changes})
