"""Counterexamples have the accuracies they state; least change and collateral damage against direct evaluation."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from toymodels.analysis.erasure import (
    balanced,
    best_linear_accuracy,
    leace,
    marginal_median,
    mean_eraser,
    median_eraser,
)
from toymodels.theory.erasure import (
    collateral,
    equal_means,
    equal_medians,
    least_change,
    least_squares_collateral,
    left_over,
    linear_readout,
    projection_collateral,
)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5])
def test_equal_means_leave_what_they_say(share: float) -> None:
    h, z, w = equal_means(share)
    for eraser in (mean_eraser, leace):
        erased = eraser(h, z, w)(h)
        assert best_linear_accuracy(erased, z, w) == pytest.approx(left_over(share), abs=1e-12)
        np.testing.assert_allclose(*(np.average(erased[part], axis=0, weights=w[part]) for part in (z, ~z)), atol=1e-12)


@pytest.mark.parametrize("share", [0.51, 0.6, 0.9])
def test_equal_medians_leave_what_they_say(share: float) -> None:
    h, z, w = equal_medians(share)
    erased = median_eraser(h, z, w)(h)
    assert best_linear_accuracy(erased, z, w) == pytest.approx(left_over(share), abs=1e-12)
    np.testing.assert_allclose(*(marginal_median(erased[part], w[part]) for part in (z, ~z)), atol=1e-12)


@given(st.integers(0, 10_000))
def test_equal_medians_of_a_direction_leave_three_quarters_at_most(seed: int) -> None:
    rng = np.random.default_rng(seed)
    z = np.arange(12) < 6
    h, w = rng.exponential(size=(12, 1)) ** 3, balanced(z, rng.random(12) ** 4 + 1e-6)
    h[~z] *= -1
    for part in (z, ~z):
        h[part] -= marginal_median(h[part], w[part])
    assert best_linear_accuracy(h, z, w) <= 0.75 + 1e-12


def test_shares_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"share=0.4: above 1/2"):
        equal_medians(0.4)
    with pytest.raises(ValueError, match=r"share=0.6: at most 1/2"):
        equal_means(0.6)
    with pytest.raises(ValueError, match="share=1: between"):
        equal_medians(1.0)


def random_law(seed: int, n: int = 5, m: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Binary features, dependent where the seed is odd: all states, their weights, W and Cov x."""
    rng = np.random.default_rng(seed)
    x = np.array(list(itertools.product([0.0, 1.0], repeat=n)))
    p = rng.uniform(0.1, 0.6, size=n)
    w = np.where(x > 0, p, 1 - p).prod(axis=1)
    if seed % 2:
        w = w * rng.random(len(w))
    w = w / w.sum()
    centred = x - w @ x
    return x, w, rng.normal(size=(n, m)), centred.T @ (w[:, None] * centred)


@given(st.integers(0, 200))
def test_collateral_equals_direct_evaluation(seed: int) -> None:
    """Errors before and after, on all states, of read-outs by weighted least squares."""
    x, w, W, C = random_law(seed)
    h = x @ W
    root, design = np.sqrt(w)[:, None], np.column_stack([h, np.ones(len(h))])
    fit = np.linalg.lstsq(root * design, root * x, rcond=None)[0]
    before = w @ (x - design @ fit) ** 2
    np.testing.assert_allclose(linear_readout(W, C), fit[:-1].T, atol=1e-9)
    direct, erasers = [], []
    for i in range(x.shape[1]):
        erase = leace(h, x[:, i], w)
        after = w @ (x - np.column_stack([erase(h), np.ones(len(h))]) @ fit) ** 2
        direct.append(after - before)
        erasers.append(erase.matrix)
    np.testing.assert_allclose(least_squares_collateral(W, C), direct, atol=1e-10)
    np.testing.assert_allclose(collateral(W, C, np.array(erasers)), direct, atol=1e-10)
    projections = np.array([np.eye(3) - np.outer(row, row) / (row @ row) for row in W])
    np.testing.assert_allclose(projection_collateral(W, C), collateral(W, C, projections), atol=1e-12)
    if seed % 2 == 0:  # independent features: the class means of feature i differ along W_i
        erase = mean_eraser(h, x[:, 1] > 0, w)
        after = w @ (x - np.column_stack([erase(h), np.ones(len(h))]) @ fit) ** 2
        np.testing.assert_allclose(projection_collateral(W, C)[1], after - before, atol=1e-10)
        white = W @ np.linalg.inv(W.T @ C @ W) @ W.T
        scale = np.diag(white)
        cosine2 = white**2 / np.outer(scale, scale)
        v = np.diag(C)
        np.testing.assert_allclose(least_squares_collateral(W, C), cosine2 * (v * v * scale), atol=1e-10)


@given(st.integers(0, 200))
def test_least_change_is_what_an_optimiser_finds(seed: int) -> None:
    x, w, W, C = random_law(seed)
    S, cross = W.T @ C @ W, (W.T @ C)[:, :1]
    orthogonal = np.eye(3) - cross @ cross.T / float((cross**2).sum())

    def change(A: np.ndarray) -> float:
        B = A.reshape(3, 3) @ orthogonal - np.eye(3)
        return float(np.trace(B @ S @ B.T))

    found = minimize(change, np.ones(9), method="BFGS", options={"gtol": 1e-9})
    assert least_change(S, cross) == pytest.approx(found.fun, rel=1e-6, abs=1e-9)
    h = x @ W
    erased = leace(h, x[:, 0], w)(h)
    assert least_change(S, cross) == pytest.approx(float(w @ ((erased - h) ** 2).sum(axis=1)), rel=1e-9)
