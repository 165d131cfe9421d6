"""Steering, exactly: against grids, dense matrices and draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.theory import steering as theory

cosine = st.floats(0.05, 0.95)


def change(v: np.ndarray, radius: float, reads: np.ndarray, writes: np.ndarray) -> np.ndarray:
    """|f(R v)| of vectors, by the definition of the map."""
    return np.linalg.norm(np.expm1(radius * v @ reads.T) @ writes, axis=1)


def frame(c: float) -> np.ndarray:
    return np.array([[1.0, 0.0], [c, np.sqrt(1 - c**2)]])


@given(cosine, st.floats(0, 1))
def test_the_best_direction_leaves_there_and_not_before(c: float, w: float) -> None:
    """On a grid of the whole circle, of the map itself: half-way a hundredth before, parted a hundredth beyond."""
    reads, writes = frame(c), frame(w)
    angles = np.linspace(-np.pi, np.pi, 40_001)
    middle = np.arctan2(*(reads[0] + reads[1])[::-1])
    circle = np.stack([np.cos(middle + angles), np.sin(middle + angles)], axis=1)
    radius = theory.departure_radius(c, w)
    half = np.arccos(c) / 2
    for ratio in (0.99, 1.01, 1.3):
        best = abs(angles[change(circle, ratio * radius, reads, writes).argmax()]) / half
        assert best == pytest.approx(theory.best_angle(ratio * radius, c, w), abs=2 * (angles[1] - angles[0]) / half)
        assert (best > 0.05) == (ratio > 1)


def test_departure_in_closed_form_and_at_its_ends() -> None:
    """One write: sqrt(2 (1 + c)) / (1 - c). Reads and writes at opposite cosines: never half-way."""
    for c in (0.1, 0.5, 0.9):
        assert theory.departure_radius(c, 1.0) == pytest.approx(np.sqrt(2 * (1 + c)) / (1 - c), rel=1e-12)
    assert theory.departure_radius(0.3, -0.3) == 0
    assert theory.departure_radius(-0.2, 0.1) == 0
    assert theory.departure_radius(0.3, -0.299) < 0.01
    assert theory.departure_radius(0.5) == pytest.approx(1.4420571, abs=1e-6)


@given(cosine, st.floats(0.05, 0.95), st.floats(-0.9, 0.9))
def test_pair_cosines_are_those_of_the_matrix(c: float, ratio: float, w: float) -> None:
    reads, writes = frame(c), frame(w) * np.array([[1.0], [ratio]])
    vectors = np.linalg.svd(writes.T @ reads)[2]
    found = theory.pair_cosines(c, ratio, w)
    np.testing.assert_allclose(found, [abs(reads[0] @ vectors[0]), abs(reads[1] @ vectors[1])], atol=1e-6)


def test_pair_cosines_without_an_answer() -> None:
    assert np.isnan(theory.pair_cosines(0.0, 1.0)).all()
    np.testing.assert_allclose(theory.pair_cosines(0.0, 0.5), 1)
    np.testing.assert_allclose(theory.pair_cosines(0.5, 1.0), [np.sqrt(0.75), 0.5])


def test_no_orthonormal_directions_pass_the_limit() -> None:
    """Reached by the polar factor; 2,000 random frames stay below."""
    rng = np.random.default_rng(0)
    reads = rng.normal(size=(5, 9))
    reads /= np.linalg.norm(reads, axis=1, keepdims=True)
    limit = theory.orthonormal_limit(reads)
    left, _, right = np.linalg.svd(reads, full_matrices=False)
    assert np.sum(left @ right * reads) / 5 == pytest.approx(limit)
    for _ in range(2000):
        other = np.linalg.qr(rng.normal(size=(9, 5)))[0].T
        assert np.sum(other * reads) / 5 <= limit
    assert theory.orthonormal_limit(np.eye(4)) == pytest.approx(1)


@pytest.mark.parametrize("n", [1, 2, 8, 30])
def test_largest_coordinate_of_random_directions(n: int) -> None:
    """To five standard errors of 20,000 draws; n = 2: (2 / pi) sqrt 2, by hand."""
    x = np.random.default_rng(n).normal(size=(20_000, n))
    largest = (abs(x) / np.linalg.norm(x, axis=1, keepdims=True)).max(axis=1)
    assert abs(largest.mean() - theory.largest_coordinate(n)) <= 5 * largest.std() / np.sqrt(20_000) + 1e-12
    if n == 2:
        assert theory.largest_coordinate(2) == pytest.approx(2 * np.sqrt(2) / np.pi)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: theory.departure_radius(1.0), "c=1"),
        (lambda: theory.departure_radius(0.5, 1.5), "w=1.5"),
        (lambda: theory.best_angle(0.0, 0.5), "radius=0"),
        (lambda: theory.pair_cosines(0.5, 2.0), "ratio=2"),
        (lambda: theory.largest_coordinate(0), "n=0"),
    ],
)
def test_bad_input_is_named(call: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()  # type: ignore[operator]
