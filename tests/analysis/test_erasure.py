"""Erasers and exact accuracies: against enumeration, against an optimiser, against scikit-learn."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from toymodels.analysis.erasure import (
    balanced,
    best_linear_accuracy,
    coefficients,
    leace,
    logistic,
    marginal_median,
    mean_eraser,
    median_eraser,
    squared_hinge,
)

ERASERS = {"mean": mean_eraser, "median": median_eraser, "leace": leace}
seeds = st.integers(0, 10_000)


def cloud(seed: int, rows: int = 40, d: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correlated, skewed observations of two classes with weights."""
    rng = np.random.default_rng(seed)
    z = np.arange(rows) % 3 == 0
    h = rng.exponential(size=(rows, d)) @ rng.normal(size=(d, d)) + np.outer(z, rng.normal(size=d))
    return h, z, rng.random(rows) + 0.1


def separable(h: np.ndarray, flags: np.ndarray) -> bool:
    """Whether some a, b have flags = [a · h + b > 0], by linear programming."""
    sign = np.where(flags, 1.0, -1.0)[:, None]
    rows = -sign * np.column_stack([h, np.ones(len(h))])
    found = linprog(np.zeros(rows.shape[1]), rows, -np.ones(len(h)), bounds=[(None, None)] * rows.shape[1])
    return bool(found.status == 0)


def by_enumeration(h: np.ndarray, z: np.ndarray, w: np.ndarray) -> float:
    places, own = np.unique(h, axis=0, return_inverse=True)
    best = 0.0
    for flags in itertools.product([False, True], repeat=len(places)):
        right = float(w[np.array(flags)[own] == z].sum())
        if right > best and separable(places, np.array(flags)):
            best = right
    return best


@given(seeds, st.integers(1, 3))
def test_accuracy_equals_enumeration(seed: int, d: int) -> None:
    """Small whole numbers: collinear, coplanar and coincident rows are the rule."""
    rng = np.random.default_rng(seed)
    h = rng.integers(0, 3, size=(8, d)).astype(float)
    z = np.arange(8) < 4
    w = balanced(z, rng.random(8) + 0.1)
    assert best_linear_accuracy(h, z, w) == pytest.approx(by_enumeration(h, z, w), abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_points_on_two_skew_lines(seed: int) -> None:
    """Every plane through three points that span it holds a fourth: the points in it have to be parted there."""
    h = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 0, 1], [0, 1, 1], [0, 2, 1]], float)
    z = np.arange(6) < 3
    assert best_linear_accuracy(h, z) == 1
    z = np.random.default_rng(seed).permutation(z)
    assert best_linear_accuracy(h, z) == pytest.approx(by_enumeration(h, z, np.full(6, 1 / 6)), abs=1e-12)


@given(seeds)
def test_accuracy_does_not_change_with_affine_maps_or_flat_dimensions(seed: int) -> None:
    h, z, w = cloud(seed, rows=14, d=2)
    rng = np.random.default_rng(seed + 1)
    again = h @ (rng.normal(size=(2, 4)) + np.eye(2, 4)) * 100 + rng.normal(size=4)
    assert best_linear_accuracy(again, z, w) == pytest.approx(best_linear_accuracy(h, z, w), abs=1e-12)


@given(seeds)
def test_least_squares_erasure_leaves_linear_predictors_at_chance(seed: int) -> None:
    h, z, w = cloud(seed)
    erased = leace(h, z, w)(h)
    for loss in (logistic, squared_hinge):
        assert np.abs(coefficients(h, z, w, loss)).max() > 1e-3
        assert np.abs(coefficients(erased, z, w, loss)).max() < 1e-8


@given(seeds)
def test_each_eraser_equalises_what_it_is_named_after(seed: int) -> None:
    h, z, w = cloud(seed, d=2)
    for name in ("mean", "leace"):
        erased = ERASERS[name](h, z, w)(h)
        means = [np.average(erased[part], axis=0, weights=w[part]) for part in (z, ~z)]
        np.testing.assert_allclose(*means, atol=1e-10)
    erase = median_eraser(h, z, w)
    difference = marginal_median(h[z], w[z]) - marginal_median(h[~z], w[~z])
    np.testing.assert_allclose(erase.matrix @ difference, 0, atol=1e-12)


def test_scikit_learn_finds_nothing_either() -> None:
    """As Belrose et al. 2023 test it; centred, for this support vector machine pays for its intercept."""
    linear_model, svm = pytest.importorskip("sklearn.linear_model"), pytest.importorskip("sklearn.svm")
    h, z, _ = cloud(3, rows=300, d=6)
    regression = linear_model.LogisticRegression(tol=1e-12, solver="newton-cholesky")
    for model in (regression, svm.LinearSVC(tol=1e-12, max_iter=10**6)):
        assert np.abs(model.fit(h, z).coef_).max() > 0.05
        assert np.abs(model.fit(leace(h, z)(h) - h.mean(axis=0), z).coef_).max() < 1e-8


@given(seeds)
def test_own_coefficients_are_an_optimum(seed: int) -> None:
    h, z, w = cloud(seed, d=2)
    sign, w1 = np.where(z, 1.0, -1.0), w / w.sum()

    def value(a: np.ndarray) -> float:
        return float(w1 @ logistic(sign * (h @ a[:2] + a[2]))[0] + 1e-3 * (a[:2] ** 2).sum() / 2)

    found = minimize(value, np.zeros(3), tol=1e-12)
    np.testing.assert_allclose(coefficients(h, z, w), found.x[:2], atol=1e-4)


@given(seeds)
def test_least_squares_erasure_is_the_least_change_of_all_with_the_guarantee(seed: int) -> None:
    """A Cov(h, z) = 0 if and only if A = C Nᵀ, N a basis of what is orthogonal to Cov(h, z): a regression for C."""
    h, z, w = cloud(seed)
    centred, w = h - np.average(h, axis=0, weights=w), w / w.sum()
    cross = centred.T @ (w * (z - w @ z))
    N = np.linalg.svd(cross[None])[2][1:].T

    def change(C: np.ndarray) -> float:
        return float(w @ ((centred @ N @ C.reshape(3, 2).T - centred) ** 2).sum(axis=1))

    least = minimize(change, np.ones(6), method="BFGS", options={"gtol": 1e-10})
    erased = leace(h, z, w)(h)
    assert float(w @ ((erased - h) ** 2).sum(axis=1)) == pytest.approx(least.fun, rel=1e-8)
    root = np.sqrt(w)[:, None]
    C = np.linalg.lstsq(root * (centred @ N), root * centred, rcond=None)[0].T
    np.testing.assert_allclose(leace(h, z, w).matrix, C @ N.T, atol=1e-8)
    assert float(w @ ((mean_eraser(h, z, w)(h) - h) ** 2).sum(axis=1)) >= least.fun * (1 - 1e-9)


def test_least_squares_erasure_of_singular_observations() -> None:
    h, z, w = cloud(1)
    flat = np.column_stack([h, h[:, 0] + h[:, 1]])
    erased = leace(flat, z, w)(flat)
    assert np.abs(coefficients(erased, z, w)).max() < 1e-8
    np.testing.assert_allclose(erased[:, 3], erased[:, 0] + erased[:, 1], atol=1e-9)
    several = np.column_stack([z, h[:, 2] > np.median(h[:, 2])]).astype(float)
    both = leace(flat, several, w)
    for column in several.T:
        assert np.abs(coefficients(both(flat), column > 0, w)).max() < 1e-8


def test_weighted_median() -> None:
    h, w = np.array([[1.0, 5], [2, 4], [4, 3]]), np.array([1.0, 1, 2])
    np.testing.assert_allclose(marginal_median(h, w), [3, 3.5])  # half lies below: halfway
    np.testing.assert_allclose(marginal_median(h, np.array([1.0, 1, 1])), [2, 4])
    copies = np.repeat(h, [1, 1, 2], axis=0)
    np.testing.assert_allclose(marginal_median(h, w), np.median(copies, axis=0))


def test_what_does_not_differ_is_left() -> None:
    h, z = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), np.array([True, True, False, False])
    for eraser in ERASERS.values():
        np.testing.assert_allclose(eraser(h, z)(h), h, atol=1e-15)
    assert best_linear_accuracy(h, z) == 0.75


@pytest.mark.parametrize(
    ("h", "z", "w", "message"),
    [
        (np.ones((2, 1)), np.array([True, True]), None, "both classes"),
        (np.full((2, 1), np.nan), np.array([True, False]), None, "finite rows"),
        (np.ones((2, 1)), np.array([True, False]), np.array([1.0, -1.0]), "not negative"),
    ],
)
def test_bad_input(h: np.ndarray, z: np.ndarray, w: np.ndarray | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mean_eraser(h, z, w)
