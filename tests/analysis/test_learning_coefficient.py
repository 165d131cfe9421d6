"""Chains against Gaussian expectations, their own restarts, and points that are no minima."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toymodels.analysis.learning_coefficient import learning_coefficients, sgld, split_r_hat

SCALES = np.array([1.0, 4.0, 0.25])


def quadratic(w):
    return (jnp.asarray(SCALES) * w**2).sum()


def double_well(w):
    """(|w|² - 1)²: a circle of minima, and a maximum at 0."""
    return ((w**2).sum() - 1) ** 2


POINTS, SEEDS = np.zeros((4, 3)), np.arange(4)
SHORT = {"t": 100.0, "gamma": 1.0, "burn": 2, "draws": 8}
"""Too short for the fitted step to reach where leapfrog is unstable, and rounding grows."""


@pytest.mark.parametrize(("leaps", "target"), [(1, 0.574), (8, 0.651)])
def test_a_quadratic_has_its_gaussian_expectation_at_the_acceptance_wanted(leaps: int, target: float) -> None:
    """t E K = sum_i t h_i / (2 t h_i + gamma), within 4 errors of 16 chains."""
    t, gamma = 100.0, 40.0
    found = learning_coefficients(quadratic, POINTS, SEEDS, t, gamma, burn=2000, draws=8000, leaps=leaps)
    expected = (t * SCALES / (2 * t * SCALES + gamma)).sum()
    error = found.coefficient.std() / 4
    assert error < 0.03
    assert found.coefficient.mean() == pytest.approx(expected, abs=4 * error)
    assert found.acceptance.mean() == pytest.approx(target, abs=0.06)
    assert (found.r_hat < 1.1).all()
    assert not found.no_minimum.any()
    assert not found.below.any()


def test_a_point_has_the_same_chains_in_any_company() -> None:
    four = learning_coefficients(quadratic, POINTS, SEEDS, **SHORT)
    two = learning_coefficients(quadratic, POINTS[:2], SEEDS[2:], **SHORT)
    np.testing.assert_allclose(two.coefficient, four.coefficient[2:], rtol=1e-6)
    assert len(np.unique(four.coefficient)) == four.coefficient.size


def test_a_maximum_is_no_minimum_and_a_circle_of_minima_counts_one_direction() -> None:
    points = np.array([[0.0, 0.0], [1.0, 0.0]])
    found = learning_coefficients(double_well, points, np.arange(2), t=1e4, gamma=1.0, burn=1000, draws=4000, leaps=16)
    assert found.no_minimum.tolist() == [True, False]
    assert found.below[0] > 0.9
    assert found.value[0] == pytest.approx(0.5 - 1e4, rel=1e-3)
    assert found.value[1] == pytest.approx(0.5, rel=0.1)


def test_the_estimate_does_not_change_with_a_constant_or_the_global_precision() -> None:
    plain = learning_coefficients(quadratic, POINTS, SEEDS, **SHORT).coefficient
    shifted = learning_coefficients(lambda w: quadratic(w) + 1, POINTS, SEEDS, **SHORT).coefficient
    np.testing.assert_allclose(shifted, plain, rtol=1e-6)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(learning_coefficients(quadratic, POINTS, SEEDS, **SHORT).coefficient, plain)


def noisy(w, key):
    """Mean `quadratic`: its terms reweighted at random, and so without noise at the minimum."""
    return (jnp.asarray(SCALES) * w**2 * 2 * jax.random.bernoulli(key, 0.5, w.shape)).sum()


@pytest.mark.parametrize("minibatch", [None, noisy])
def test_unadjusted_chains_err_by_the_size_of_their_step(minibatch) -> None:
    """An autoregression in each direction: E w² = 1 / (c (1 - c step / 4)) for a drift c w."""
    t, gamma, step = 10.0, 1.0, 2e-3
    found = sgld(quadratic, POINTS, SEEDS, t, gamma, step, minibatch, burn=5000, draws=60_000)
    c = 2 * t * SCALES + gamma
    expected = (t * SCALES / c / (1 - c * step / 4)).sum()
    assert found.coefficient.mean() == pytest.approx(expected, rel=0.08)
    assert (found.acceptance == 1).all()


def test_r_hat_is_near_one_for_noise_and_large_for_chains_apart() -> None:
    noise = np.random.default_rng(0).normal(size=(4, 1000))
    assert split_r_hat(noise) == pytest.approx(1, abs=0.01)
    assert split_r_hat(noise + 3 * np.arange(4)[:, None]) > 2
    assert split_r_hat(noise + np.linspace(0, 9, 1000)) > 1.5  # a drift shows in the halves
    assert split_r_hat(np.ones((4, 10))) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"t": 0.0}, "t=0"), ({"gamma": -1.0}, "gamma=-1"), ({"chains": 1}, "chains=1"), ({"draws": 3}, "draws=3")],
)
def test_what_cannot_be_is_said(change: dict, words: str) -> None:
    settings = {"points": POINTS, "seeds": SEEDS, "t": 1.0, "gamma": 1.0} | change
    with pytest.raises(ValueError, match=words):
        learning_coefficients(quadratic, **settings)


def test_a_step_is_positive() -> None:
    with pytest.raises(ValueError, match="step=0"):
        sgld(quadratic, POINTS, SEEDS, 1.0, 1.0, 0.0)
