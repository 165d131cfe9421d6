"""Neurons: the gauge leaves the function alone, and known layers are read as what they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.analysis import neurons


@given(st.integers(0, 10_000))
def test_the_gauge_leaves_the_function_unchanged(seed):
    rng = np.random.default_rng(seed)
    encoder, W, x = rng.normal(size=(5, 4)), rng.normal(size=(3, 4)), rng.normal(size=(50, 5))
    encoder[:, 1] = 0
    fixed = neurons.gauge_fixed(encoder, W)
    before, after = (np.maximum(x @ e, 0) @ w.T for e, w in ((encoder, W), fixed))
    np.testing.assert_allclose(after, before, atol=1e-12)
    np.testing.assert_allclose(np.abs(fixed.encoder).max(0), [1, 0, 1, 1])
    np.testing.assert_allclose(neurons.gauge_fixed(*fixed).W, fixed.W)


def test_known_neurons():
    W = np.array([[2.0, 1, 0, 0.3], [0, 1, 0, 1], [0, 0, 0, 0]])
    np.testing.assert_allclose(neurons.concentration(W), [1, 0.5, np.nan, 1 / 1.09])
    np.testing.assert_array_equal(neurons.monosemantic(W, 0.9), [True, False, False, True])
    np.testing.assert_array_equal(neurons.monosemantic(np.stack([W, W]), 0.95)[1], [True, False, False, False])
    assert neurons.basis_alignment(W) == pytest.approx((1 + 0.5**0.5 + 1.09**-0.5) / 3)
    assert np.isnan(neurons.basis_alignment(np.zeros((3, 2))))
    np.testing.assert_array_equal(neurons.display_order(W), [0, 1, 2, 3])
    np.testing.assert_array_equal(neurons.display_order(W[:, ::-1]), [3, 2, 1, 0])


def test_rotations_of_the_identity_are_those_of_the_sphere():
    """The mean of max_f |u_f| over the circle is (4/pi) times the integral of cos up to pi/4."""
    found = neurons.rotated_alignments(np.eye(2), 20_000)
    assert found.mean() == pytest.approx(4 / np.pi * np.sin(np.pi / 4), abs=2e-3)
    assert neurons.basis_alignment(np.eye(2)) == 1 >= found.max()


def test_rotations_are_orthogonal_and_of_both_kinds():
    Q = neurons.rotations(3, 400)
    np.testing.assert_allclose(Q @ np.swapaxes(Q, -1, -2), np.broadcast_to(np.eye(3), (400, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(Q.mean(0), 0, atol=0.15)
    assert 0.4 < (np.linalg.det(Q) > 0).mean() < 0.6


def test_bad_arguments():
    with pytest.raises(ValueError, match="one column"):
        neurons.gauge_fixed(np.ones((3, 2)), np.ones((3, 4)))
    with pytest.raises(ValueError, match="threshold"):
        neurons.monosemantic(np.eye(2), 1.0)
    with pytest.raises(ValueError, match="rotation"):
        neurons.rotated_alignments(np.eye(2), 0)
    for function in (neurons.display_order, lambda W: neurons.rotated_alignments(W, 1)):
        with pytest.raises(ValueError, match="one model"):
            function(np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="features x hidden"):
        neurons.concentration(np.ones(3))
