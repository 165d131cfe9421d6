"""Units that read sparse features through noise: closed moments by quadrature, by draws, and the optimum by others."""

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from toymodels.theory.noisy_unit import (
    best_units,
    losses_at,
    rectified_moment,
    slope_at_small_noise,
    unit_moments,
    units_at,
)

levels = st.floats(0.02, 1)
probabilities = st.floats(0.01, 1)


def integral(function, low: float, high: float) -> float:
    return float(scipy.integrate.quad(function, low, high, epsabs=1e-12, limit=200)[0])


@given(st.floats(-2, 2), levels, st.integers(0, 3))
def test_moments_of_rectified_noise_by_quadrature(u: float, noise: float, power: int) -> None:
    def value(z: float) -> float:
        return max(u + noise * z, 0) ** power * norm.pdf(z)

    edge = -u / noise
    expected = integral(value, max(edge, -12), 12) if edge < 12 else 0.0
    assert float(rectified_moment(u, noise, power)) == pytest.approx(expected, abs=1e-9)
    slope = (rectified_moment(u + 1e-5, noise, power) - rectified_moment(u - 1e-5, noise, power)) / 2e-5
    if power:
        assert slope == pytest.approx(power * rectified_moment(u, noise, power - 1), abs=1e-6)


@settings(max_examples=30)
@given(st.floats(-1, 1.5), probabilities, levels)
def test_moments_of_a_unit_by_quadrature(t: float, p: float, noise: float) -> None:
    of = unit_moments(t, p, noise)
    for found, power, weight in ((of.mean, 1, 0), (of.square, 2, 0), (of.product, 1, 1)):
        on = integral(lambda x, k=power, w=weight: x**w * float(rectified_moment(x - t, noise, k)), 0, 1)
        off = 0.0 if weight else float(rectified_moment(-t, noise, power))
        assert found == pytest.approx((1 - p) * off + p * on, abs=1e-9)


def test_loss_and_gains_are_those_of_least_squares_on_draws() -> None:
    """n = 3, 400,000 draws: to six standard errors of a mean of squares."""
    n, p, noise, t, count = 3, 0.2, 0.15, 0.2, 400_000
    rng = np.random.default_rng(0)
    x = np.where(rng.random((count, n)) < p, rng.random((count, n)), 0)
    r = np.maximum(x + noise * rng.normal(size=(count, n)) - t, 0)
    W, units = np.linalg.lstsq(r, x, rcond=None)[0], units_at(t, p, noise, n)
    square = ((x - r @ W) ** 2).mean(1)
    assert units.loss == pytest.approx(square.mean(), abs=6 * square.std() / np.sqrt(count))
    assert units.gain == pytest.approx(np.diag(W).mean(), rel=0.01)
    assert units.cross == pytest.approx(W[~np.eye(n, dtype=bool)].mean(), rel=0.1)


@settings(max_examples=15)
@given(probabilities, levels, st.integers(1, 30))
def test_no_threshold_is_better(p: float, noise: float, n: int) -> None:
    found = best_units(p, noise, n)
    assert found.loss <= p / 3
    assert losses_at(np.linspace(-1, 2, 301), p, noise, n).min() >= found.loss - 1e-12


def test_without_noise_nothing_is_lost_and_loss_grows_with_it() -> None:
    clean = best_units(0.1, 0.0, 5)
    assert (clean.threshold, clean.gain, clean.loss) == (0, pytest.approx(1), pytest.approx(0, abs=1e-15))
    losses = [best_units(0.1, noise).loss for noise in (0.01, 0.05, 0.2, 0.5, 2.0)]
    assert np.all(np.diff(losses) > 0)
    assert losses[-1] < 0.1 / 3


@pytest.mark.parametrize("p", [0.25, 1 / 16, 1 / 64])
def test_the_threshold_grows_from_zero_in_proportion_to_small_noise(p: float) -> None:
    ratios = [best_units(p, noise).threshold / noise for noise in (4e-3, 1e-3)]
    assert ratios[1] == pytest.approx(slope_at_small_noise(p), rel=2e-3)
    assert abs(ratios[1] / slope_at_small_noise(p) - 1) <= abs(ratios[0] / slope_at_small_noise(p) - 1) + 1e-5


def test_sparser_features_have_higher_thresholds() -> None:
    slopes = [slope_at_small_noise(p) for p in (1.0, 0.5, 0.1, 0.01)]
    assert slopes[0] == 0
    assert np.all(np.diff(slopes) > 0)


def test_bad_input_is_one_sentence() -> None:
    for make in (
        lambda: best_units(0.0, 0.1),
        lambda: best_units(0.1, -1.0),
        lambda: units_at(0.0, 0.1, 0.1, 0),
        lambda: rectified_moment(0.0, 0.1, 4),
    ):
        with pytest.raises(ValueError, match="="):
            make()
