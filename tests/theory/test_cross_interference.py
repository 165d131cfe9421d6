"""Overlap of spans against cross-interference: the bound, its equality, and what is exactly zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from scipy.optimize import minimize

from toymodels.shapes.packing import cosines
from toymodels.theory.cross_interference import (
    best_split,
    closing_exponent,
    cross_share,
    leading_basis,
    overlap_bound,
    span_overlap,
)


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.integers(1, 3), st.floats(0, 2))
def test_the_overlap_is_within_its_bound(seed: int, rank: int, leak: float) -> None:
    rng = np.random.default_rng(seed)
    A, B = rng.normal(size=(5, 6)), rng.normal(size=(4, 6))
    A[:, 3:] *= leak
    B[:, :3] *= leak
    assert span_overlap(A, B, (rank, 2)) <= overlap_bound(A, B, (rank, 2)) + 1e-9


def test_the_overlap_is_the_cosine_of_the_least_principal_angle() -> None:
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(5, 2)) @ rng.normal(size=(2, 6)), rng.normal(size=(4, 2)) @ rng.normal(size=(2, 6))
    least = subspace_angles(A.T, B.T).min()
    assert span_overlap(A, B, (2, 2)) == pytest.approx(np.cos(least), abs=1e-9)


def test_orthonormal_groups_meet_the_bound() -> None:
    turn = 0.3
    A = np.eye(4)[:2]
    B = np.array([[0, 0, 0, 1.0], [0, np.sin(turn), np.cos(turn), 0]])
    assert span_overlap(A, B, (2, 2)) == pytest.approx(np.sin(turn))
    assert overlap_bound(A, B, (2, 2)) == pytest.approx(np.sin(turn))


def test_no_cross_interference_means_orthogonal_spans() -> None:
    rng = np.random.default_rng(1)
    W = np.zeros((9, 5))
    W[:5, :3], W[5:, 3:] = rng.normal(size=(5, 3)), rng.normal(size=(4, 2))
    W = W @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    group = np.repeat([0, 1], [5, 4])
    assert cross_share(W, group) == pytest.approx(0, abs=1e-25)
    assert best_split(W[:5], W[5:]) == (3, 2)
    assert span_overlap(W[:5], W[5:], (3, 2)) == pytest.approx(0, abs=1e-12)
    assert overlap_bound(W[:5], W[5:], (3, 2)) == pytest.approx(0, abs=1e-12)


def test_the_share_is_of_all_pairs() -> None:
    W = np.array([[1.0, 0], [1, 0], [0.5, 1]])
    assert cross_share(W, np.array([0, 0, 1])) == pytest.approx(0.5 / 1.5)
    assert np.isnan(cross_share(np.eye(2), np.array([0, 1])))


def test_a_rank_that_a_group_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="has 1 to 2 directions"):
        leading_basis(np.ones((2, 3)), 3)


def test_cosines_close_at_the_rate_that_is_derived() -> None:
    """Two groups of three lines in four dimensions, minimised in float64 from planes that are turned a little."""
    rng = np.random.default_rng(0)
    angle = np.arange(3) * np.pi / 3
    start = np.zeros((6, 4))
    start[:3, :2] = start[3:, 2:] = np.stack([np.cos(angle), np.sin(angle)], 1)
    same = np.repeat([0, 1], 3)[:, None] == np.repeat([0, 1], 3)

    def cross(power: float, penalty: float) -> float:
        def loss(x: np.ndarray) -> float:
            cosine = np.abs(cosines(x.reshape(6, 4))) ** power
            return float(np.where(same, cosine, penalty * cosine).sum())

        first = start + 0.05 * rng.normal(size=start.shape)
        V = minimize(loss, first.ravel(), method="BFGS", options={"gtol": 1e-7, "maxiter": 400}).x.reshape(6, 4)
        return float(np.sqrt((cosines(V)[~same] ** 2).mean()))

    for power in (3.0, 4.0):
        ends = [cross(power, penalty) for penalty in (100.0, 1000.0)]
        assert np.log10(ends[1] / ends[0]) == pytest.approx(closing_exponent(power), rel=0.1)
    assert cross(2.0, 10.0) < 1e-3
    with pytest.raises(ValueError, match="zero at a finite penalty"):
        closing_exponent(2.0)
