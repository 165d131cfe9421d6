"""Sign patterns: formula, recursion and linear programming count alike; polygons in closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.theory.sign_patterns import (
    cover_count,
    in_general_position,
    least_tolerance,
    pattern_count,
    patterns,
    polygon_tolerance,
    regions,
    tolerances,
)


def by_programming(V: np.ndarray) -> int:
    return 2 * int((tolerances(V) < 1 - 1e-6).sum())


def by_sampling(V: np.ndarray, draws: int = 40_000) -> int:
    signs = np.sign(np.random.default_rng(0).normal(size=(draws, V.shape[1])) @ V.T)
    return len(np.unique(signs, axis=0))


def polygon(k: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(k) / k
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_general_position_has_covers_number(n: int, m: int) -> None:
    V = np.random.default_rng(10 * n + m).normal(size=(n, m))
    if m == 1 and n > 1:  # on a line no two are in general position unless they are two rays of it
        assert regions(V) == 2 == cover_count(n, m)
        return
    assert in_general_position(V)
    assert pattern_count(V) == cover_count(n, m) == regions(V)
    if n <= 6:
        assert by_programming(V) == cover_count(n, m)


@given(st.integers(0, 1000), st.integers(2, 6), st.integers(2, 3))
def test_small_whole_numbers_are_seldom_in_general_position(seed: int, n: int, m: int) -> None:
    V = np.random.default_rng(seed).integers(-1, 2, size=(n, m)).astype(float)
    if not V.any(axis=1).all():
        assert pattern_count(V) == 0
        return
    assert pattern_count(V) == by_programming(V) == by_sampling(V)


def test_what_depends_on_others_to_rounding_is_seen() -> None:
    """The second is the first less the third; the determinant of their Gram matrix is 1e-16, whose root is not 0."""
    V = np.array([[0.0, -1.0, 1.0], [-1.0, -1.0, 1.0], [1.0, 0.0, 0.0]])
    assert not in_general_position(V)
    assert pattern_count(V) == by_programming(V) == 6


def test_degenerate_positions_do_not_take_the_formula() -> None:
    octahedron = np.vstack([np.eye(3), -np.eye(3)])
    assert not in_general_position(octahedron)
    assert pattern_count(octahedron) == by_programming(octahedron) == 8 < cover_count(6, 3)
    assert (tolerances(octahedron) < 1e-9).sum() == 4
    for d in range(1, 9):
        one_hot = np.eye(d)
        assert pattern_count(one_hot) == 2**d == cover_count(d, d)
        if d < 7:
            assert (tolerances(one_hot) < 1e-9).all()
    three_pairs = np.repeat(np.eye(2), 3, axis=0)
    assert pattern_count(three_pairs) == by_programming(three_pairs) == 4
    assert pattern_count(np.vstack([np.eye(2), np.zeros((1, 2))])) == 0


@pytest.mark.parametrize("k", range(3, 11))
def test_polygons(k: int) -> None:
    count, least = polygon_tolerance(k)
    V = 1.3 * polygon(k)
    assert pattern_count(V) == regions(V) == count
    found = tolerances(V)
    assert 2 * (found < 1 - 1e-6).sum() == count
    np.testing.assert_allclose(found[found < 1 - 1e-6], least, atol=1e-9)


@given(st.integers(0, 1000))
def test_least_tolerance_is_an_optimum(seed: int) -> None:
    """Of unit facts in a plane: against a fine grid of directions, each with its best length."""
    V = np.random.default_rng(seed).normal(size=(4, 2))
    pattern = patterns(4)[seed % 8]
    angle = np.linspace(0, 2 * np.pi, 20_001)
    answers = pattern * (np.stack([np.cos(angle), np.sin(angle)], axis=1) @ V.T)
    low, high = answers.min(axis=1), answers.max(axis=1)
    grid = np.where(low > 0, (high - low) / np.maximum(high + low, 1e-300), 1.0).min()
    assert least_tolerance(V, pattern) == pytest.approx(grid, abs=1e-3)


def test_truth_is_no_pattern_around_the_origin() -> None:
    for V in (polygon(5), np.vstack([np.eye(3), -np.eye(3)])):
        assert least_tolerance(V, np.ones(len(V))) == pytest.approx(1)
    assert least_tolerance(np.eye(3), np.ones(3)) == pytest.approx(0)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="n=17"):
        patterns(17)
    with pytest.raises(ValueError, match="k=2"):
        polygon_tolerance(2)
    with pytest.raises(ValueError, match="n=0"):
        cover_count(0, 2)
