"""Learning from noise: closed forms against least squares on draws, a minimiser, and simulated descent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from toymodels.theory.factorisation import eckart_young
from toymodels.theory.noisy_factorisation import noise_floor, noisy_levels, noisy_loss, noisy_optimum

seeds = st.integers(0, 2**20)


def problem(seed: int, n: int = 4, m: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A target, the moment of inputs and that of their noise."""
    rng = np.random.default_rng(seed)
    M, N = (np.cov(rng.normal(size=(m, 3 * m))) for _ in range(2))
    return rng.normal(size=(n, m)), M, N


@given(seeds)
def test_full_rank_is_least_squares_on_the_joint_moments(seed: int) -> None:
    """Draws with exactly these moments, and none between x and xi: lstsq finds the optimum, and its residual."""
    A, M, N = problem(seed)
    x, xi = np.linalg.cholesky(M).T, np.linalg.cholesky(N).T
    clean, observed = np.concatenate([x, x]) / np.sqrt(2), np.concatenate([x + xi, x - xi]) / np.sqrt(2)
    fitted = np.linalg.lstsq(observed, clean @ A.T)[0].T
    best = noisy_optimum(A, M, N, 3)
    np.testing.assert_allclose(best.product, fitted, atol=1e-8)
    loss = np.sum((clean @ A.T - observed @ fitted.T) ** 2)
    assert 2 * best.loss == pytest.approx(loss, rel=1e-8)
    assert noisy_loss(A, fitted, np.eye(3), M, N) == pytest.approx(loss, rel=1e-8)


@settings(max_examples=8)
@given(seeds)
def test_no_descent_ends_below_the_optimum_of_its_rank(seed: int) -> None:
    A, M, N = problem(seed)
    rng, optimum = np.random.default_rng(seed), noisy_optimum(A, M, N, 1)

    def loss(z: np.ndarray) -> float:
        return float(noisy_loss(A, z[:4, None], z[4:, None], M, N)) / 2

    found = min(minimize(loss, rng.normal(size=7)).fun for _ in range(3))
    assert found == pytest.approx(optimum.loss, rel=1e-5)
    assert np.linalg.matrix_rank(optimum.product) == 1


@given(seeds, st.floats(0.1, 3), st.floats(0, 3))
def test_isotropic_noise_shrinks_and_turns_nothing(seed: int, mu: float, nu: float) -> None:
    A = problem(seed)[0]
    for rank in range(4):
        best = noisy_optimum(A, mu, nu, rank)
        np.testing.assert_allclose(best.product, mu / (mu + nu) * eckart_young(A, rank).product, atol=1e-9)
        assert noisy_levels(A, mu, nu)[rank] == pytest.approx(2 * best.loss, abs=1e-9)


@pytest.mark.parametrize(("n", "m", "lr"), [(6, 5, 0.05), (4, 7, 0.3)])
def test_the_floor_is_that_of_simulated_descent(n: int, m: int, lr: float) -> None:
    """From the optimum, mean over 200 runs and 400 steps after 200: within 3 %, three of its standard errors."""
    rng, s, noise = np.random.default_rng(0), np.array([1.0, 0.6]), 0.02
    left, right = np.eye(n)[:, :2], np.eye(m)[:, :2]
    A, runs = (left * s) @ right.T, 200
    U, V = np.repeat((left * np.sqrt(s))[None], runs, 0), np.repeat((right * np.sqrt(s))[None], runs, 0)
    losses = []
    for step in range(600):
        residual = A + noise * rng.normal(size=(runs, n, m)) - U @ V.swapaxes(1, 2)
        U, V = U + lr * residual @ V, V + lr * residual.swapaxes(1, 2) @ U
        if step >= 200:
            losses.append(np.mean(np.sum((A - U @ V.swapaxes(1, 2)) ** 2, (1, 2))) / 2)
    assert np.mean(losses) == pytest.approx(noise_floor(s, (n, m), noise, lr), rel=0.03)


def test_small_steps_have_the_floor_of_first_order() -> None:
    s = [2.0, 1.0, 0.0]
    assert noise_floor(s, (5, 4), 0.3, 1e-5) == pytest.approx(1e-5 * 0.3**2 * 9 * 3 / 4, rel=1e-4)
    with pytest.raises(ValueError, match="not stable"):
        noise_floor(s, (5, 4), 0.3, 0.6)
    with pytest.raises(ValueError, match="no 2 singular values"):
        noise_floor(s, (1, 4), 0.3, 0.1)
