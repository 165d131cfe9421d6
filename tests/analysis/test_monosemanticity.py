"""Shares of single-feature activations, on neurons whose features are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toymodels.analysis.monosemanticity import (
    concentrations,
    features_held,
    rotated,
    share_above,
    share_dead,
)

activations = arrays(np.float64, (2, 5, 4), elements=st.floats(0, 3))


@given(activations, st.floats(0.1, 10), st.permutations(range(5)))
def test_concentrations_lie_between_one_over_the_features_and_one(A, size, order) -> None:
    """Whatever the size of a neuron and the order of the features; NaN exactly where all are dead."""
    found = concentrations(A)
    np.testing.assert_array_equal(np.isnan(found), A.max(axis=1) <= 1e-4)
    assert ((found >= 0.2 - 1e-9) & (found <= 1 + 1e-9))[~np.isnan(found)].all()
    live = ~np.isnan(found) & (size * A.max(axis=1) > 1e-4)
    np.testing.assert_allclose(concentrations(size * A[:, order])[live], found[live])


@given(activations)
def test_shares_fall_with_the_threshold_and_their_mean_is_that_of_concentrations(A) -> None:
    """The area under the share above each threshold is the mean concentration."""
    found, at = concentrations(A), (np.arange(2000) + 0.5) / 2000
    shares = share_above(found, at)
    for own, concentration in zip(shares, found, strict=True):
        if np.isfinite(concentration).any():
            assert (np.diff(own) <= 0).all()
            assert own.mean() == pytest.approx(np.nanmean(concentration), abs=1e-3)
        else:
            assert np.isnan(own).all()


def test_planted_neurons() -> None:
    """Two neurons of one feature, one of two equal features, one with 95 %, one dead."""
    A = np.zeros((4, 5))
    A[0, :2], A[:2, 2], A[2, 3], A[3, 3] = (1, 2), 0.5, 0.95, 0.05
    np.testing.assert_allclose(concentrations(A), [1, 1, 0.5, 0.95, np.nan])
    np.testing.assert_allclose(share_above(concentrations(A), [0.4, 0.9, 0.999]), [1, 0.75, 0.5])
    assert share_dead(concentrations(A)) == pytest.approx(0.2)
    assert features_held(A, 0.9) == 2
    assert features_held(A, 0.999) == 1


def test_a_rotation_loses_what_the_basis_has() -> None:
    A = np.kron(np.eye(16), np.ones((1, 2)))
    A[:, -1] = 0  # a dead neuron stays dead
    found = rotated(A, 0)
    assert np.isnan(found).sum() == 1
    assert np.nanmax(found) < 0.5


def test_bad_input_is_one_sentence() -> None:
    for make in (lambda: share_above([0.5], [1.0]), lambda: concentrations(np.ones(3))):
        with pytest.raises(ValueError, match=r"of shape|thresholds="):
            make()
