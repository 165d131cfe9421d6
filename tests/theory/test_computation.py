"""Computation without superposition: constants and losses against draws, quadrature and polynomials."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from toymodels.theory.computation import best_constant, constant_loss, linear_error, naive_loss, on

evens = st.sampled_from([2, 4, 6, 8])
probabilities = st.floats(1e-3, 1.0)


@given(st.floats(1.1, 8), probabilities, st.floats(0, 1))
def test_the_loss_of_a_constant_by_quadrature(power: float, q: float, c: float) -> None:
    known = (1 - q) * c**power + q * quad(lambda y: abs(y - c) ** power, 0, 1, points=[c], epsabs=1e-12)[0]
    assert constant_loss(c, power, q) == pytest.approx(known, rel=1e-8, abs=1e-12)


@given(st.floats(1.1, 8), probabilities, st.floats(0, 1))
def test_no_constant_does_better(power: float, q: float, c: float) -> None:
    assert constant_loss(best_constant(power, q), power, q) <= constant_loss(c, power, q) * (1 + 1e-12)


@given(evens, probabilities)
def test_the_best_constant_is_the_root_of_a_polynomial(power: int, q: float) -> None:
    """d/dc E(y - c)^k = 0 by the moments of y: sum_j C(k-1, j) E[y^j] (-c)^(k-1-j), E[y^0] = 1, E[y^j] = q / (j+1)."""
    moments = np.array([1.0] + [q / (j + 1) for j in range(1, power)])
    signs = np.array([np.prod(range(power - j, power)) / np.prod(range(1, j + 1)) for j in range(power)])
    coefficients = [signs[j] * moments[j] * (-1.0) ** (power - 1 - j) for j in range(power)]  # of c^(k-1-j)
    roots = np.roots(coefficients)
    real = roots[np.abs(roots.imag) < 1e-6].real
    assert abs(real - best_constant(power, q)).min() < 1e-6
    if power == 2:
        assert best_constant(power, q) == pytest.approx(q / 2, rel=1e-12)


@pytest.mark.parametrize("power", [2, 3, 4, 6])
def test_rare_targets(power: int) -> None:
    assert best_constant(power, 1e-9) == pytest.approx((1e-9 / power) ** (1 / (power - 1)), rel=0.05)


@pytest.mark.parametrize("target", ["relu", "absolute"])
@pytest.mark.parametrize(("power", "p"), [(2, 0.3), (4, 0.05), (6, 1.0)])
def test_the_naive_loss_is_that_of_the_network_it_describes(target: str, power: int, p: float) -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random((400_000, 4)) < p, rng.uniform(-1, 1, (400_000, 4)), 0.0)
    y = np.maximum(x, 0) if target == "relu" else np.abs(x)
    neurons = [np.maximum(x[:, 0], 0), np.maximum(-x[:, 0], 0)] if target == "absolute" else [np.maximum(x[:, 0], 0)]
    answers = np.full_like(y, best_constant(power, on(target, p)))
    answers[:, 0] = sum(neurons)
    sampled = np.mean(np.sum(np.abs(y - answers) ** power, axis=1))
    for m in (len(neurons), 2 * len(neurons) - 1):
        assert naive_loss(4, m, power, p, target) == pytest.approx(sampled, rel=0.02)
    assert naive_loss(4, 8, power, p, target) == 0


@given(st.floats(-3, 3))
def test_a_linear_layer_computes_nothing(slope: float) -> None:
    assert linear_error(slope) >= 0.5
    assert linear_error(slope, "absolute") >= 1
    assert linear_error(0.5) == 0.5


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="power=1"):
        best_constant(1.0, 0.5)
    with pytest.raises(ValueError, match=r"p=1\.5"):
        naive_loss(4, 2, 2, 1.5)
    with pytest.raises(ValueError, match="q=0"):
        best_constant(2.0, 0.0)
    with pytest.raises(ValueError, match="m=-1"):
        naive_loss(4, -1, 2, 0.5)
