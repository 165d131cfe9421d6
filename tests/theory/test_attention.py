"""Two heads of rank r: closed forms against alternating regressions, a general optimiser and draws."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from toymodels.data import Sparse, covariance
from toymodels.models import Relu
from toymodels.problems.attention import Attending, Attention, Leaning, LearnedPattern, value_output
from toymodels.theory import attention as theory

STRENGTHS = st.lists(st.floats(0.05, 3.0), min_size=1, max_size=7)


def leaning(lean: float) -> np.ndarray:
    return np.array([[1.0, 0.0], [lean, 1 - lean]])


@settings(deadline=None, max_examples=10)
@given(STRENGTHS, st.integers(1, 4), st.floats(0.1, 0.9))
def test_alternating_regressions_reach_the_closed_form_and_never_less(
    strength: list[float], rank: int, lean: float
) -> None:
    least = theory.two_heads(strength, rank, lean).loss
    found, B = theory.alternating(strength, leaning(lean), rank, starts=6, rounds=400)
    assert found >= least - 1e-9
    assert found <= least + 0.02 * sum(strength)
    assert all(np.linalg.matrix_rank(each, tol=1e-8) <= rank for each in B)


def test_a_general_optimiser_finds_loss_and_size() -> None:
    """L-BFGS over the factors, from the loss as it is written, not as regressions."""
    strength, rank, lean = np.array([3.0, 2.0, 1.2, 0.7, 0.3]), 2, 0.6
    T, n, rng = np.diag(np.sqrt(strength)), 5, np.random.default_rng(0)

    def loss(flat: np.ndarray) -> float:
        U, V = flat.reshape(2, 2, n, rank)
        B = U @ V.transpose(0, 2, 1)
        return float(((T - B[0] - lean * B[1]) ** 2).sum() + (((1 - lean) * B[1]) ** 2).sum())

    ends = [minimize(loss, 0.3 * rng.normal(size=4 * n * rank), options={"maxiter": 5000}) for _ in range(6)]
    best = min(ends, key=lambda end: end.fun)
    expected = theory.two_heads(strength, rank, lean)
    assert best.fun == pytest.approx(expected.loss, rel=1e-5)
    U, V = best.x.reshape(2, 2, n, rank)
    root = np.sqrt(strength)
    A = U @ V.transpose(0, 2, 1) / root  # importances 1: I^(1/2) A S^(1/2) = B
    assert (A[1] ** 2).sum() == pytest.approx(expected.second, rel=1e-3)
    assert (A[0] ** 2).sum() == pytest.approx(expected.first, rel=1e-3)


def test_equal_strengths_fix_the_size_and_leave_the_subspace_free() -> None:
    for seed in range(4):
        found, B = theory.alternating(np.ones(6), leaning(0.7), 4, starts=1, seed=seed)
        expected = theory.two_heads(np.ones(6), 4, 0.7)
        assert found == pytest.approx(expected.loss, rel=1e-6)
        assert (B[1] ** 2).sum() == pytest.approx(expected.second, rel=1e-4)
        assert np.abs(B[1] - np.diag(np.diag(B[1]))).max() > 0.1  # no features of its own


def test_limits() -> None:
    t = [4.0, 3.0, 2.0, 1.0]
    assert theory.two_heads(t, 4, 0.5) == (0.0, 4.0, 0.0)
    assert theory.two_heads(t, 2, 0.0).loss == pytest.approx(3.0)
    assert theory.two_heads(t, 2, 0.999).loss == pytest.approx(theory.alike(t, 2, 2), abs=1e-4)
    assert theory.alike(t, 1, 3) == pytest.approx(1.0)
    assert theory.gain(0.5) == 1.0
    assert theory.alternating(t, np.array([[1.0, 0.0], [1.0, 0.0]]), 1)[0] == pytest.approx(3.0)
    with pytest.raises(ValueError, match="not determined"):
        theory.two_heads(t, 2, 1.0)
    for bad in (lambda: theory.two_heads(t, 0, 0.5), lambda: theory.gain(2.0), lambda: theory.alike([-1.0], 1, 1)):
        with pytest.raises(ValueError, match=r"rank=0|lean=2|strength"):
            bad()


@pytest.mark.parametrize("pattern", [Leaning(0.7), Attending([[0.2, 0.5, 0.3], [1.0, -0.5, 0.0]]), LearnedPattern(3)])
def test_exact_loss_is_the_mean_over_draws(pattern: object) -> None:
    importance = (1.0, 0.5, 2.0)
    problem = Attention(Sparse(3, (0.2, 0.5, 1.0)), 2, 2, pattern)
    params = problem.init(jax.random.key(0)) | {"b": np.array([0.1, -0.2, 0.3], np.float32)}
    x = problem.sample(jax.random.key(1), 200_000)
    seen = jax.vmap(problem.predict, (None, 0))(params, x)
    drawn = (np.square(np.asarray(x[:, 0] - seen, np.float64)) @ importance).mean()
    moments = np.asarray(problem.data.mean(), np.float64), covariance(problem.data)
    weights = problem.pattern.weights(params, 2)
    exact = theory.linear_loss(value_output(params), params["b"], weights, *moments, importance)
    assert exact == pytest.approx(drawn, rel=0.01)


def test_heads_add_up_and_the_output_is_activated() -> None:
    problem = Attention(Sparse(3, 0.5), 2, 1, Leaning(0.25), Relu())
    params = problem.init(jax.random.key(3)) | {"b": np.array([0.3, -5.0, 0.0], np.float32)}
    x = np.random.default_rng(0).random((2, 3)).astype(np.float32)
    A = np.asarray(value_output(params))
    wanted = A[0] @ x[0] + A[1] @ (0.25 * x[0] + 0.75 * x[1]) + np.array([0.3, -5.0, 0.0])
    np.testing.assert_allclose(problem.predict(params, x), np.maximum(wanted, 0), atol=1e-6)


def test_init_and_data_come_from_streams_of_their_own() -> None:
    problem = Attention(Sparse(4, 1.0), 2, 2, LearnedPattern())
    first, second = (problem.init(jax.random.key(seed)) for seed in (0, 1))
    assert not np.allclose(first["U"], first["V"])
    assert not np.allclose(first["U"], second["U"])
    assert first["logits"].shape == (2, 2)
    x = problem.sample(jax.random.key(0), 20_000)
    assert abs(np.corrcoef(x[:, 0, 0], x[:, 1, 0])[0, 1]) < 0.03  # tokens are independent


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: Leaning(1.5), "lean=1.5"),
        (lambda: Attending([1.0]), "rows of shape"),
        (lambda: LearnedPattern(0), "tokens=0"),
        (lambda: LearnedPattern(scale=-1), "scale=-1"),
        (lambda: Attention(Sparse(3), 0), "heads=0"),
        (lambda: Attention(Sparse(3), 2, 0), "rank=0"),
        (lambda: Attention(Sparse(3), 3, 1, Attending(np.eye(2))), "there are 3 heads"),
    ],
)
def test_bad_input(made: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        made()  # type: ignore[operator]
