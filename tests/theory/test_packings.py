"""The best known configurations: reference values, subsets, copies, and the bounds below them."""

import numpy as np
import pytest

from toymodels.shapes.packing import orthogonal_factors
from toymodels.theory.linear_programming import linear_programming_bound
from toymodels.theory.packing_bounds import loss_bounds
from toymodels.theory.packings import _factor_count, best_configuration, best_explicit

SHARP = [
    (12, 3, True, {-(5**-0.5): 5, 5**-0.5: 5}),
    (16, 5, True, {-3 / 5: 5, 1 / 5: 10}),
    (27, 6, True, {-1 / 2: 10, 1 / 4: 16}),
    (56, 7, True, {-1 / 3: 27, 1 / 3: 27}),
    (240, 8, True, {-1 / 2: 56, 0: 126, 1 / 2: 56}),
    (112, 21, True, {-1 / 3: 30, 1 / 9: 81}),
    (162, 21, True, {-2 / 7: 56, 1 / 7: 105}),
    (100, 22, True, {-4 / 11: 22, 1 / 11: 77}),
    pytest.param(891, 22, True, {-1 / 2: 42, -1 / 8: 512, 1 / 4: 336}, marks=pytest.mark.slow),
    (552, 23, True, {-1 / 5: 275, 1 / 5: 275}),
    (6, 3, False, {5**-0.5: 5}),
    (28, 7, False, {1 / 3: 27}),
    (36, 15, False, {1 / 5: 35}),
    (63, 7, False, {1 / 2: 32, 0: 30}),
    (120, 8, False, {1 / 2: 56, 0: 63}),
    (176, 22, False, {1 / 5: 175}),
    (2300, 23, False, {1 / 3: 891, 0: 1408}),
]


def total(n, power, signed, cosines):
    return n * sum(count * (max(c, 0) if signed else abs(c)) ** power for c, count in cosines.items())


@pytest.mark.parametrize(("n", "d", "signed", "cosines"), SHARP)
@pytest.mark.parametrize("power", [9, 30.5])
def test_sharp_codes_are_known_and_attain_the_bound(n, d, signed, cosines, power):
    exact = total(n, power, signed, cosines)
    assert best_configuration(n, d, power, signed).loss == pytest.approx(exact, rel=1e-11)
    bound = linear_programming_bound(n, d, power, signed)
    assert bound <= exact * (1 + 1e-12)
    assert bound == pytest.approx(exact, rel=3e-5)


@pytest.mark.parametrize("power", [3, 5, 7, 9, 20, 60])
def test_the_bound_does_not_fade_where_losses_are_tiny(power):
    """112 rays in 21 dimensions, at losses down to 1e-54."""
    assert linear_programming_bound(112, 21, power, True) == pytest.approx(112 * 81 * 9.0**-power, rel=3e-5)


def test_the_leech_lattice_costs_no_matrix_of_all_pairs():
    best = best_configuration(196560, 24, 12, signed=True)
    assert best.loss == pytest.approx(196560 * (4600 * 2.0**-12 + 47104 * 4.0**-12), rel=1e-11)
    assert (best.factors, best.name, best.V.shape) == (1, "Leech lattice", (196560, 24))
    assert linear_programming_bound(196560, 24, 12, True) == pytest.approx(best.loss, rel=1e-5)


@pytest.mark.parametrize(
    ("n", "d", "power", "signed", "loss"),
    [
        (120, 8, 5, False, 210),
        (60, 4, 9, False, 109.25575),
        (7, 3, 8, False, 0.298125),  # diagonals of the cube, and axes
        (8, 3, 8, True, 6.66723e-4),  # a square antiprism
        (26, 6, 5, True, 0.390625),  # all but one of 27
    ],
)
def test_reference_values(n, d, power, signed, loss):
    assert best_configuration(n, d, power, signed).loss == pytest.approx(loss, rel=1e-5)


def by_definition(V, power, signed):
    cosines = V @ V.T - np.eye(len(V))
    return np.sum((np.maximum(cosines, 0) if signed else np.abs(cosines)) ** power)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("n", [14, 26, 27, 29, 55, 70, 139, 250])
def test_a_loss_is_that_of_its_vectors(n, signed):
    """Parts of codes, copies of them and more, and products."""
    for d, power in [(3, 2.5), (6, 5), (8, 1.9)]:
        best = best_explicit(n, d, power, signed)
        assert best.V.shape == (n, d)
        assert best.loss == pytest.approx(by_definition(best.V, power, signed), rel=1e-9, abs=1e-9)
        assert best.factors == orthogonal_factors(best.V).max() + 1 == _factor_count(best.V)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("d", "sizes"), [(3, range(5, 22)), (4, range(9, 27)), (7, [*range(25, 31), *range(54, 59)])])
def test_fewer_vectors_never_cost_more(d, sizes, signed):
    for power in (1, 2.5, 30):
        losses = [best_explicit(n, d, power, signed).loss for n in sizes]
        assert np.all(np.diff(losses) >= -1e-10 * np.array(losses[1:]))


@pytest.mark.slow
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("d", [2, 3, 4])
def test_fewer_vectors_never_cost_more_where_they_are_searched(d, signed):
    for power in (1, 1.5, 2, 2.5, 9, 30):
        losses = [best_configuration(n, d, power, signed).loss for n in range(2, 14)]
        assert np.all(np.diff(losses) >= -1e-9 * np.array(losses[1:]))


def test_beyond_all_splits_the_loss_goes_on():
    for signed in (False, True):
        for power in (1, 2.0, 6):
            split, whole = (best_explicit(n, 3, power, signed) for n in (2000, 2001))
            assert split.loss <= whole.loss < split.loss * 1.2
    assert best_explicit(30_000, 5, 1).name == "30000 on axes"


def test_no_bound_is_above_what_is_known():
    rng = np.random.default_rng(0)
    for _ in range(20):
        n, d, signed = int(rng.integers(2, 150)), int(rng.integers(2, 12)), bool(rng.integers(2))
        power = float(rng.choice([1, 1.5, 2, 3, 4.5, 9, 20, 60]))
        known = best_explicit(n, d, power, signed).loss
        for name, bound in loss_bounds(n, d, power, signed).items():
            assert bound <= known * (1 + 1e-9) + 1e-12, (n, d, power, signed, name)
