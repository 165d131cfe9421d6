"""Known learning coefficients, against volumes, simulation, other quadratures and curvatures."""

import numpy as np
import pytest
from scipy import integrate

from toymodels.theory.critical import one_sparse_curvature, polygon_with_dropped
from toymodels.theory.learning_coefficients import (
    Coefficient,
    behind_normaliser,
    crossing_expectation,
    minimally_singular,
    normal_crossing,
    reduced_rank,
    regular_polygon,
    tied_reduced_rank,
    volume_exponent,
)

EPS = np.geomspace(1e-5, 1e-3, 9)


def _product(M: int, N: int, h: int, w: np.ndarray) -> np.ndarray:
    A, B = w[:, : h * M].reshape(-1, h, M), w[:, h * M :].reshape(-1, N, h)
    return ((B @ A) ** 2).sum((1, 2))


@pytest.mark.parametrize(
    ("K", "d", "known"),
    [
        (lambda w: (w[:, :2] ** 2).sum(1), 4, minimally_singular(4, 2)),
        (lambda w: w[:, 0] ** 2 * w[:, 1] ** 2, 2, normal_crossing([1, 1])),
        (lambda w: w[:, 0] ** 4, 1, normal_crossing([2])),
        (lambda w: _product(1, 3, 1, w), 4, reduced_rank(1, 3, 1, 0)),
        (lambda w: _product(2, 2, 1, w), 4, reduced_rank(2, 2, 1, 0)),
        (lambda w: ((w.reshape(-1, 3, 1) @ w.reshape(-1, 1, 3)) ** 2).sum((1, 2)), 3, tied_reduced_rank(3, 1, 0)),
        (lambda w: ((w.reshape(-1, 2, 2) @ w.reshape(-1, 2, 2).swapaxes(1, 2)) ** 2).sum((1, 2)), 4,
         tied_reduced_rank(2, 2, 0)),
    ],
)  # fmt: skip
def test_the_volume_below_a_level_scales_with_the_coefficient(K, d: int, known: Coefficient) -> None:
    """To a tenth: log V has corrections of the order of 1 / log eps where the multiplicity is above 1."""
    w = np.random.default_rng(d).uniform(-1, 1, size=(1_000_000, d))
    assert volume_exponent(K(w), EPS, known.multiplicity) == pytest.approx(known.value, rel=0.1)


@pytest.mark.parametrize("centred", [False, True])
def test_layers_behind_a_normaliser_by_their_volume(centred: bool) -> None:
    """y = B n(x), 2 outputs and inputs; y = b a n(x), 3 inputs, near a truth of rank 1."""
    rng = np.random.default_rng(0)

    def moments(d: int) -> np.ndarray:
        x = rng.normal(size=(1000, d))
        x -= centred * x.mean(1, keepdims=True)
        x /= np.sqrt((x**2).mean(1, keepdims=True))
        return x.T @ x / len(x)

    B = rng.uniform(-0.3, 0.3, size=(1_000_000, 2, 2))
    K = np.einsum("soi,ij,soj->s", B, moments(2), B)
    known = behind_normaliser(2, 2, centred)
    assert known.value == (1 if centred else 2)
    assert volume_exponent(K, np.geomspace(3e-3, 3e-2, 9)) == pytest.approx(known.value, rel=0.1)

    truth = np.array([1.0, -1.0, 0.0])
    a, b = truth + rng.uniform(-0.3, 0.3, size=(2_000_000, 3)), 1 + rng.uniform(-0.3, 0.3, size=(2_000_000, 1))
    K = np.einsum("si,ij,sj->s", a * b - truth, moments(3), a * b - truth)
    known = behind_normaliser(3, 1, centred, hidden=1)
    assert known == (Coefficient(1) if centred else Coefficient(3 / 2))
    assert volume_exponent(K, np.geomspace(1e-4, 3e-3, 9)) == pytest.approx(known.value, rel=0.1)


def test_centring_lowers_a_product_by_the_rank_of_its_truth_where_its_inputs_are_many() -> None:
    for rank in (0, 1, 2):
        apart = behind_normaliser(7, 2, False, 2, rank).value - behind_normaliser(7, 2, True, 2, rank).value
        assert apart == rank / 2
    with pytest.raises(ValueError, match="two inputs"):
        behind_normaliser(1, 2, centred=True)


def test_a_tied_truth_of_rank_one_by_its_volume() -> None:
    """W 2 x 2, C of rank 1, near (1, 0; 0, 0): 2 / 2 + 1 / 4. Tied, not the 2 of two separate factors."""
    w = np.random.default_rng(0).uniform(-0.3, 0.3, size=(2_000_000, 2, 2)) + np.diag([1.0, 0.0])
    K = ((w @ w.swapaxes(1, 2) - np.diag([1.0, 0.0])) ** 2).sum((1, 2))
    assert tied_reduced_rank(2, 2, 1).value == 1.25
    assert volume_exponent(K, np.geomspace(1e-4, 3e-3, 9)) == pytest.approx(1.25, rel=0.1)
    assert reduced_rank(2, 2, 2, 1).value == 2


@pytest.mark.parametrize(
    ("shape", "known"),
    [
        ((1, 1, 1, 0), Coefficient(1 / 2, 2)),  # (a b)²
        ((1, 1, 1, 1), Coefficient(1 / 2)),  # (a b - 1)²: regular in one direction
        ((2, 2, 1, 0), Coefficient(1, 2)),  # |a|² |b|²
        ((1, 3, 1, 0), Coefficient(1 / 2)),  # a² |b|²
        ((3, 1, 1, 0), Coefficient(1 / 2)),
        ((2, 2, 2, 2), Coefficient(2)),  # any product: regular in all of its entries
        ((2, 2, 5, 0), Coefficient(2)),  # wide: M N / 2
        ((3, 3, 1, 1), Coefficient(5 / 2)),  # matrices of rank 1: r (M + N - r) / 2
        ((5, 4, 2, 2), Coefficient(7)),
    ],
)
def test_reduced_rank_regression_where_it_is_plain(shape: tuple[int, int, int, int], known: Coefficient) -> None:
    assert reduced_rank(*shape) == known


def test_the_four_cases_meet_at_their_borders_and_stay_below_half_of_the_parameters() -> None:
    for M, N, h in np.ndindex(5, 5, 5):
        M, N, h = M + 1, N + 1, h + 1
        for r in range(min(M, N, h) + 1):
            found = reduced_rank(M, N, h, r)
            assert found == reduced_rank(N, M, h, r)
            assert found.value <= min(M * N, h * (M + N)) / 2
            assert found.value >= r * (M + N - r) / 2
            whole = (2 * (h + r) * (M + N) + 2 * M * N - (h + r) ** 2 - M**2 - N**2) / 8
            if M + h == N + r:
                assert found.value == whole == (h * M - h * r + N * r) / 2
            if h + r == M + N:
                assert found.value == whole == M * N / 2


def test_products_of_norms_are_reduced_rank_regressions_of_one_unit() -> None:
    for M, N in ((1, 1), (1, 3), (2, 2), (3, 5)):
        assert normal_crossing([1, 1], [M, N]) == reduced_rank(M, N, 1, 0)
    assert normal_crossing([2, 2], [6, 1]) == Coefficient(1 / 4)


@pytest.mark.parametrize(("t", "gamma"), [(1.0, 1.0), (1e3, 1.0), (1e4, 4.0)])
def test_the_expectation_of_a_crossing_by_another_integral(t: float, gamma: float) -> None:
    """w1² w2²: w2 is Gaussian given w1, and one integral over w1 is left, in log w1."""

    def weight(u: float) -> float:
        return np.exp(u - gamma / 2 * np.exp(2 * u)) / np.sqrt(gamma + 2 * t * np.exp(2 * u))

    def mean(u: float) -> float:
        return weight(u) * t * np.exp(2 * u) / (gamma + 2 * t * np.exp(2 * u))

    above, below = (integrate.quad(each, -40, 5, limit=500, points=[-5, 0])[0] for each in (mean, weight))
    assert crossing_expectation([1, 1], t, gamma) == pytest.approx(above / below, rel=1e-4)


def test_the_expectation_of_a_crossing_by_simulation_and_in_the_limit() -> None:
    w = np.random.default_rng(0).normal(size=(400_000, 3))
    K = w[:, 0] ** 2 * (w[:, 1:] ** 2).sum(1) ** 2
    weight = np.exp(-50 * K)
    assert crossing_expectation([1, 2], 50.0, 1.0, [1, 2]) == pytest.approx(
        (50 * K * weight).sum() / weight.sum(), rel=0.02
    )
    assert crossing_expectation([2], 1e12, 1.0) == pytest.approx(1 / 4, rel=1e-3)
    assert crossing_expectation([1], 1e3, 10.0) == pytest.approx(1e3 / (2e3 + 10), rel=1e-4)
    for t in (1e8, 1e16):  # lambda - (m - 1) / log t, and a constant over log² t
        assert crossing_expectation([1, 1], t, 1.0) == pytest.approx(1 / 2 - 1 / np.log(t), abs=4 / np.log(t) ** 2)


@pytest.mark.parametrize(("k", "n", "silent"), [(6, 6, 0), (5, 6, 0), (5, 6, 1)])
def test_a_polygon_counts_the_directions_that_its_loss_curves_in(k: int, n: int, silent: int) -> None:
    made = polygon_with_dropped(k, n, silent)
    curved = (one_sparse_curvature(np.asarray(made.W), np.asarray(made.b)).eigenvalues > 1e-6).sum()
    assert regular_polygon(k, n - k - silent, silent) == Coefficient(curved / 2)


def test_a_silent_feature_of_a_square_counts_its_weights() -> None:
    assert regular_polygon(4, 0, 2).value == regular_polygon(4).value + 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: minimally_singular(2, 3), "rank=3"),
        (lambda: normal_crossing([]), "powers"),
        (lambda: normal_crossing([1, 2], [1]), "dims"),
        (lambda: reduced_rank(2, 2, 1, 2), "rank=2"),
        (lambda: tied_reduced_rank(2, 1, 2), "rank=2"),
        (lambda: regular_polygon(3), "k=3"),
        (lambda: regular_polygon(5, 1, 1), "silent=1"),
        (lambda: crossing_expectation([1], 0.0, 1.0), "t=0"),
        (lambda: volume_exponent(np.ones(10), np.array([0.1, 0.2])), "eps=0.1"),
    ],
)
def test_what_cannot_be_is_said(wrong, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wrong()
