"""Encoding lengths of features: exact where features are axes, in the plane, and by determinants."""

import numpy as np
import pytest

from toymodels.analysis.encoding_length import bits, weights_after_rotation, weights_for
from toymodels.analysis.spectra import leverage


def test_features_that_are_units_take_one_weight_each() -> None:
    W = np.diag([1.0, 2.0, 3.0, 0.0])
    np.testing.assert_array_equal(weights_for(W), [1, 1, 1, 0])
    np.testing.assert_array_equal(weights_after_rotation(W), [1, 1, 1, 0])


def test_a_feature_over_equal_weights_takes_most_of_them_and_one_after_rotation() -> None:
    W = np.full((1, 40), 0.1)
    assert weights_for(W).tolist() == [38]
    assert weights_after_rotation(W).tolist() == [1]


def test_a_pentagon_shares_each_axis_with_its_neighbours() -> None:
    angle = 2 * np.pi * np.arange(5) / 5
    W = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    squares = np.sort(np.cos(angle) ** 2)[::-1]  # 1, two of cos²(144°), two of cos²(72°)
    least = int((np.cumsum(squares) < 0.95 * squares.sum()).sum()) + 1
    np.testing.assert_array_equal(weights_after_rotation(W), least)


def test_rotation_of_hidden_units_changes_only_what_depends_on_them() -> None:
    rng = np.random.default_rng(0)
    W, turn = rng.normal(size=(7, 5)), np.linalg.qr(rng.normal(size=(5, 5)))[0]
    np.testing.assert_allclose(bits(W @ turn), bits(W))
    np.testing.assert_array_equal(weights_after_rotation(W @ turn), weights_after_rotation(W))
    assert (weights_for(W @ turn) != weights_for(W)).any()


def test_bits_are_what_the_code_of_all_rows_is_longer_than_without_one() -> None:
    W, noise = np.random.default_rng(1).normal(size=(6, 4)), 0.3

    def length(rows: np.ndarray) -> float:
        return 0.5 * np.log2(np.linalg.det(np.eye(4) + rows.T @ rows / noise**2))

    longer = [length(W) - length(np.delete(W, i, axis=0)) for i in range(6)]
    np.testing.assert_allclose(bits(W, noise), longer, rtol=1e-9)
    np.testing.assert_allclose(1 - 4 ** -bits(W, 1e-4), leverage(W), atol=1e-6)
    with pytest.raises(ValueError, match="noise=0"):
        bits(W, 0)
