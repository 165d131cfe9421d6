"""Parts of the loss: against the exact loss, and of known models by hand."""

import numpy as np
import pytest

from toymodels.analysis.decomposition import loss_parts
from toymodels.theory.superposition import expected_loss


def sparse(n: int, p: float, draws: int = 500_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.random((draws, n)) < p) * rng.random((draws, n))


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_parts_sum_to_the_exact_loss(p: float) -> None:
    """Of each feature, and own is the exact loss of the feature by itself: half a million draws, within 2 %."""
    rng = np.random.default_rng(1)
    W, b, importance = rng.normal(size=(4, 2)) / 1.5, rng.normal(size=4) / 10, np.array([1.0, 0.7, 0.5, 0.3])
    parts = loss_parts(sparse(4, p), W, b, importance)
    np.testing.assert_allclose(sum(parts), expected_loss(W, b, p, np.diag(importance)), rtol=0.02)
    alone = [expected_loss([[length]], [each], p) for length, each in zip(np.linalg.norm(W, axis=1), b, strict=True)]
    np.testing.assert_allclose(parts.own, importance * alone, rtol=0.02)


def test_an_antipodal_pair_interferes_only_where_both_are_active() -> None:
    """Without bias, E (x_1 - ReLU(x_1 - x_2))^2 = p^2 / 6: all of it where x_1 is on."""
    p, W = 0.4, np.array([[1.0], [-1.0]])
    parts = loss_parts(sparse(2, p), W, np.zeros(2), np.ones(2))
    np.testing.assert_allclose([parts.own, parts.inactive], 0, atol=1e-12)
    np.testing.assert_allclose(parts.active, p**2 / 6, rtol=0.02)


def test_a_pair_on_one_side_raises_false_alarms() -> None:
    """x'_1 = x'_2 = x_1 + x_2: an error x_2 of feature 1, whether it is on or off."""
    p, W = 0.3, np.array([[1.0], [1.0]])
    parts = loss_parts(sparse(2, p), W, np.zeros(2), np.array([1.0, 2.0]))
    np.testing.assert_allclose(parts.inactive, np.array([1, 2]) * (1 - p) * p / 3, rtol=0.02)
    np.testing.assert_allclose(parts.active, np.array([1, 2]) * p * p / 3, rtol=0.02)


def test_a_dropped_feature_costs_its_variance_and_a_kept_one_its_bias() -> None:
    p, W, b = 0.3, np.diag([1.0, 0.0]), np.array([0.1, 0.15])
    parts = loss_parts(sparse(2, p), W, b, np.array([1.0, 2.0]))
    np.testing.assert_allclose(parts.own, [0.01, 2 * (p / 3 - p**2 / 4)], rtol=0.02)
    np.testing.assert_allclose([parts.inactive, parts.active], 0, atol=1e-12)


@pytest.mark.parametrize("power", [1.5, 3.0, 4.0])
def test_parts_of_other_powers_sum_to_the_loss_of_the_same_draws(power: float) -> None:
    rng = np.random.default_rng(2)
    x, W, b, importance = sparse(4, 0.3, 6000), rng.normal(size=(4, 2)), rng.normal(size=4) / 5, np.arange(4.0)
    error = (np.abs(x - np.maximum(x @ W @ W.T + b, 0)) ** power).mean(0)
    parts = loss_parts(x, W, b, importance, power)
    np.testing.assert_allclose(sum(parts), importance * error, rtol=1e-12)
    alone = (np.abs(x - np.maximum(x * (W**2).sum(1) + b, 0)) ** power).mean(0)
    np.testing.assert_allclose(parts.own, importance * alone, rtol=1e-12)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 features"):
        loss_parts(np.ones((5, 3)), np.eye(2), np.zeros(2), np.ones(2))


def test_draws_of_zeros_count_and_may_come_in_any_order() -> None:
    rng = np.random.default_rng(3)
    x, W, b = sparse(3, 0.1, 6000), rng.normal(size=(3, 2)), np.array([0.2, -0.1, 0.3])
    error = ((x - np.maximum(x @ W @ W.T + b, 0)) ** 2).mean(0)
    np.testing.assert_allclose(sum(loss_parts(x, W, b, np.ones(3))), error, rtol=1e-12)
    np.testing.assert_allclose(loss_parts(x, W, b, np.ones(3)), loss_parts(x[::-1], W, b, np.ones(3)), rtol=1e-9)
    np.testing.assert_allclose(loss_parts(np.zeros((5, 3)), W, b, np.ones(3)).own, np.maximum(b, 0) ** 2, rtol=1e-12)
