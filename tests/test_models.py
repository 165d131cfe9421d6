"""Models on one vector: forward passes by hand, and how they start."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toymodels import Axis, Record, Run, Sparse, Supervised, Sweep, sweep
from toymodels.models import Autoencoder, Gelu, Identity, Normalised, Placed, Relu, Tied, TimesExp, Untied, xavier
from toymodels.normalisers import LayerNorm, NoNorm, RmsNorm

W = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]], np.float32)
ENCODER = np.array([[0.5, 1.0], [1.0, -1.0], [0.0, 1.0]], np.float32)
b = np.array([0.5, -1.0, 0.25], np.float32)
x = np.array([1.0, 0.5, 2.0], np.float32)


def test_forward_passes_by_hand() -> None:
    """Wᵀx = (-1, 3), W (-1, 3) = (-1, 6, 4); with a ReLU between (0, 3) and (0, 6, 3); encoderᵀx = (1, 2.5)."""
    cases = [
        (None, Identity(), Relu(), [0, 5, 4.25]),
        (None, Identity(), Identity(), [-0.5, 5, 4.25]),
        (None, Relu(), Relu(), [0.5, 5, 3.25]),
        (ENCODER, Identity(), Relu(), [1.5, 4, 1.75]),
        (ENCODER, Identity(), Identity(), [1.5, 4, 1.75]),
    ]
    for encoder, hidden, output, expected in cases:
        model = Autoencoder(
            jnp.asarray(W), jnp.asarray(b), None if encoder is None else jnp.asarray(encoder), hidden, output
        )
        np.testing.assert_allclose(model(jnp.asarray(x)), expected, rtol=1e-6)


@given(arrays(np.float32, 7, elements=st.floats(-10, 10, width=32)))
def test_activations(x: np.ndarray) -> None:
    np.testing.assert_allclose(Relu()(x), np.maximum(x, 0), rtol=0, atol=1e-37)  # subnormal numbers are flushed
    np.testing.assert_array_equal(Identity()(x), x)
    np.testing.assert_allclose(TimesExp()(x), x * np.exp(x.astype(float)), rtol=1e-5, atol=1e-37)
    np.testing.assert_allclose(Gelu()(x), x * scipy.special.ndtr(x.astype(float)), atol=1e-6)


@given(st.floats(0, 2 * np.pi), arrays(np.float32, (3, 2), elements=st.floats(-3, 3, width=32)))
def test_rotating_the_hidden_space_changes_nothing(angle: float, W: np.ndarray) -> None:
    """W R gives the same x' for every rotation R, to rounding; with a ReLU in between, permutations only do."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)

    def apply(W: np.ndarray, hidden: Relu | Identity) -> np.ndarray:
        return np.asarray(Autoencoder(jnp.asarray(W), jnp.asarray(b), None, hidden, Relu())(jnp.asarray(x)))

    np.testing.assert_allclose(apply(W @ turn, Identity()), apply(W, Identity()), atol=2e-4)
    np.testing.assert_allclose(apply(W[:, ::-1], Relu()), apply(W, Relu()), atol=1e-4)


@given(arrays(np.float32, (3, 2), elements=st.floats(-3, 3, width=32)), st.permutations(range(3)))
def test_permuting_features_permutes_outputs(W: np.ndarray, order: list[int]) -> None:
    order = list(order)
    straight = Autoencoder(jnp.asarray(W), jnp.asarray(b), None, Identity(), Relu())(jnp.asarray(x))
    permuted = Autoencoder(jnp.asarray(W[order]), jnp.asarray(b[order]), None, Identity(), Relu())(
        jnp.asarray(x[order])
    )
    np.testing.assert_allclose(permuted, np.asarray(straight)[order], atol=1e-4)


@pytest.mark.parametrize(("n", "m"), [(400, 30), (30, 400), (1, 5000)])
def test_xavier_statistics(n: int, m: int) -> None:
    """Mean 0 and variance 2 / (n + m) to six standard errors; normal by Kolmogorov-Smirnov."""
    values = np.asarray(xavier(jax.random.key(0), n, m), float).ravel()
    variance, size = 2 / (n + m), values.size
    assert abs(values.mean()) <= 6 * np.sqrt(variance / size)
    assert abs(values.var() / variance - 1) <= 6 * np.sqrt(2 / size)
    assert scipy.stats.kstest(values / np.sqrt(variance), "norm").statistic <= np.sqrt(10 / size)


def test_scale_bias_and_parameters() -> None:
    tied, untied = (config.init(jax.random.key(1), 5) for config in (Tied(2, scale=3, bias=-1), Untied(2)))
    assert set(nnx.to_pure_dict(nnx.state(tied))) == {"W", "b"}
    assert set(nnx.to_pure_dict(nnx.state(untied))) == {"W", "b", "encoder"}
    np.testing.assert_array_equal(tied.b[...], -np.ones(5))
    np.testing.assert_allclose(tied.W[...], 3 * xavier(jax.random.key(1), 5, 2), rtol=1e-6)
    assert np.abs(np.corrcoef(np.ravel(untied.W[...]), np.ravel(untied.encoder[...]))[0, 1]) < 0.9


def test_the_start_does_not_depend_on_who_starts_beside() -> None:
    """torch's Xavier on a stack of models scales with their number; here a model of many starts as it does alone."""
    keys = jax.random.split(jax.random.key(0), 7)
    together = jax.vmap(lambda key: nnx.to_pure_dict(nnx.state(Tied(3).init(key, 6))))(keys)
    for place in (0, 6):
        alone = nnx.to_pure_dict(nnx.state(Tied(3).init(keys[place], 6)))
        np.testing.assert_array_equal(together["W"][place], alone["W"])


SCRIPT = """
import jax
from toymodels.data import Sparse
from toymodels.models import Tied, Untied
from toymodels.problems.supervised import Supervised

losses = []
for model in (Tied(2), Untied(2)):
    problem = Supervised(Sparse(3, 0.5), model)
    params = problem.init(jax.random.key(0))
    example = jax.tree.map(lambda leaf: leaf[0], problem.sample(jax.random.key(1), 1))
    loss, slope = jax.jit(jax.value_and_grad(problem.objective))(params, example)
    losses += [float(loss), *(float(leaf.sum()) for leaf in jax.tree.leaves(slope))]
print(losses)
"""


def test_without_the_graph_mode_of_flax(capsys: pytest.CaptureFixture[str]) -> None:
    """The library uses the functional part of NNX only."""
    exec(SCRIPT, {})
    here = capsys.readouterr().out
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "NNX_GRAPH_MODE": "false", "NNX_GRAPH_UPDATES": "false"},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, here), done.stderr


def test_placed_models_start_where_they_are_put() -> None:
    """W and b as given; noise of the size asked for, to five standard errors; other parameters the model's own."""
    weights, bias = np.arange(200.0).reshape(100, 2), np.linspace(-1, 0, 100)
    still = Placed(Untied(2), weights, bias).init(jax.random.key(0), 100)
    np.testing.assert_allclose(still.W[...], weights)
    np.testing.assert_allclose(still.b[...], bias, rtol=1e-6)
    assert float(jnp.std(still.encoder[...])) > 0
    moved = Placed(Untied(2), weights, bias, 0.5).init(jax.random.key(0), 100)
    for now, was in ((moved.W[...], weights), (moved.b[...], bias)):
        assert abs(float(jnp.std(now - was)) - 0.5) < 5 * 0.5 / np.sqrt(2 * was.size)
    with pytest.raises(ValueError, match="the data have 3 features"):
        Placed(Tied(2), weights, bias).init(jax.random.key(0), 3)
    for wrong in ((Tied(3), weights, bias), (Tied(2), weights, bias[1:]), (Tied(2), weights, np.full(100, np.nan))):
        with pytest.raises(ValueError, match="expected"):
            Placed(*wrong)


@given(arrays(np.float32, 3, elements=st.floats(0, 3, width=32)), st.booleans())
def test_a_normaliser_acts_on_the_hidden_vector(x: np.ndarray, tied: bool) -> None:
    """By hand; without one, and with no hidden bias, the model is the plain one; c starts at 0."""
    plain = (Tied if tied else Untied)(2)
    for norm, share in ((NoNorm(), 1.0), (RmsNorm(), 1.0), (LayerNorm(), 0.5)):
        made = Normalised(plain, norm, share).init(jax.random.key(0), 3)
        assert (made.c[...] == 0).all()
        made.c[...] = jnp.array([0.3, -0.1])
        encoder = made.W[...] if tied else made.encoder[...]
        hidden = norm(encoder.T @ x + share * made.c[...])
        np.testing.assert_allclose(made(jnp.asarray(x)), np.maximum(made.W[...] @ hidden + made.b[...], 0), atol=1e-6)
    same, own = Normalised(plain, NoNorm(), 0.0).init(jax.random.key(1), 3), plain.init(jax.random.key(1), 3)
    np.testing.assert_array_equal(same(jnp.asarray(x)), own(jnp.asarray(x)))


def test_layer_norm_hides_the_all_ones_direction() -> None:
    """Weights along it change nothing and get no gradient, to rounding."""
    problem, inputs = Supervised(Sparse(3), Normalised(Tied(4), LayerNorm())), jnp.array([0.5, 0.0, 1.0])
    params = problem.init(jax.random.key(0))
    W, start = params["W"], params | {"c": jnp.array([0.2, -0.3, 0.1, 0.0])}

    def returned(W: jax.Array) -> jax.Array:
        return problem.predict(start | {"W": W}, inputs)

    np.testing.assert_allclose(returned(W + 2.0), returned(W), atol=1e-5)
    slope = jax.grad(lambda W: jnp.sum((returned(W) - inputs) ** 2))(W)
    assert float(jnp.abs(slope.sum(1)).max()) < 1e-5 < float(jnp.abs(slope).max())


def test_a_normalised_model_trains_with_its_numbers_swept() -> None:
    """eps and the share of the hidden bias are leaves: one program for all of them, and each has its own result."""
    base = Run(
        Supervised(Sparse(3, 0.3), Normalised(Tied(2), RmsNorm())), steps=3, batch=8, record=Record(2, 2, examples=8)
    )
    axes = [Axis("eps", "problem.model.norm.eps", [1e-5, 1.0]), Axis("bias", "problem.model.hidden_bias", [0.0, 1.0])]
    data = sweep(Sweep(base, axes))
    final = data.objective.isel(step=-1).values
    assert len(np.unique(final)) == 4
    assert (data.c.isel(snapshot=-1).sel(bias=0) == 0).all()
    assert (data.c.isel(snapshot=-1).sel(bias=1) != 0).all()
