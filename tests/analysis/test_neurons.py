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


def test_signs_of_known_neurons():
    encoder = np.repeat(np.eye(3), 2, 1) * np.tile([1.0, -1.0], 3)
    assert neurons.pairs_of_signs(encoder, 0.9)
    assert not neurons.pairs_of_signs(np.abs(encoder), 0.9)
    assert not neurons.pairs_of_signs(np.hstack([encoder, encoder[:, :1]]), 0.9)
    encoder[1, 0] = 0.8
    assert not neurons.pairs_of_signs(encoder, 0.9)


def test_displayed_neurons_are_in_their_gauge_and_in_order():
    fixed = neurons.displayed([[0.0, 2.0, 1.0], [-4.0, 0.0, 2.0]], [[3.0, 1.0, 5.0]])
    np.testing.assert_array_equal(fixed.encoder, [[1, 0, 0.5], [0, -1, 1]])
    np.testing.assert_array_equal(fixed.W, [[2, 12, 10]])
    large = neurons.displayed([[0.0, 2.0, 1.0], [-4.0, 0.0, 2.0]], [[3.0, 1.0, 5.0], [1.0, 1.0, 1.0]], least=0.6)
    np.testing.assert_array_equal(large.encoder, [[1, 0, 0], [0, -1, 1]])
    np.testing.assert_array_equal(large.W, [[2, 12, 10], [2, 0, 0]])


def test_features_that_are_on_alone_are_answered_by_their_own_neurons():
    """Two neurons of opposite sign give |x|; one gives max(x, 0) plus a bias, or nothing where that is below zero."""
    encoder, x = np.array([[1.0, -2.0, 0.0], [0.0, 0.0, 1.0]]), np.array([-1.0, -0.5, 0.0, 1.0])
    W, b = np.array([[1.0, 0.5, 0.0], [7.0, 7.0, 1.0]]), np.array([0.0, -0.25])
    np.testing.assert_allclose(neurons.responses(encoder, W, b, x), [[1, 0.5, 0, 1], [0, 0, 0, 0.75]])


def test_neurons_that_are_large_in_turn():
    """Inputs (2, -1/2) with outputs (1/2, 2); a neuron of one feature is not counted."""
    encoder, W = np.array([[2.0, 1.0, 1.0], [-0.8, 0.0, 0.5]]), np.array([[0.5, 1.0, 1.0], [2.0, 3.0, 0.5]])
    assert neurons.exchanged(encoder, W, 0.9) == 0.5
    assert neurons.exchanged(encoder[:, :2], W[:, :2], 0.9) == 1
    assert np.isnan(neurons.exchanged(encoder[:, 1:2], W[:, 1:2], 0.9))


def test_a_basis_stands_out_from_its_rotations():
    """Five features on five neurons; turned once, the same weights have no basis left."""
    W = np.eye(10, 5)
    own, less, mean = neurons.against_rotations(W, 0, 200)
    assert own == less == 1 > mean
    turned = neurons.against_rotations(W @ neurons.rotations(5, 1, seed=3)[0], 0, 200)
    assert 0.025 < turned[1] < 0.975
    assert turned[2] == pytest.approx(mean, abs=0.02)


def test_what_a_neuron_holds_turns_it_on():
    W = np.array([[1.0, -1.0, 0.0, 0.6], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, -4.8]])
    np.testing.assert_array_equal(neurons.excitatory(W), [[1, 0, 0, 0.6], [0, 0, 1, 1], [0, 0, 0, 0]])


def test_features_kept():
    assert neurons.features_kept([[3.0, 0.0], [0.0, 1.6], [1.0, 1.0], [0.0, 0.0]], 0.5) == 2
