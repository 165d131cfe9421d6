"""Losses of correlated sets: against draws, against the independent case, and the linear optimum against training-free
alternatives.
"""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toymodels.data import Anticorrelated, Correlated
from toymodels.theory.correlated import anticorrelated_loss, correlated_loss, loss_of_pairs, principal_loss
from toymodels.theory.superposition import expected_loss, feature_variance


def models(seed, n=4, m=2):
    random = np.random.default_rng(seed)
    return random.normal(size=(3, n, m)) * 0.8, random.normal(size=(3, n)) * 0.2


@pytest.mark.parametrize(
    ("law", "loss", "p"),
    [
        (Correlated, correlated_loss, 0.1),
        (Correlated, correlated_loss, 0.6),
        (Anticorrelated, anticorrelated_loss, 0.1),
        (Anticorrelated, anticorrelated_loss, 0.45),
    ],
)
def test_the_exact_loss_is_the_mean_over_draws(law, loss, p):
    W, b = models(1)
    x = np.asarray(law(2, 2, p).sample(jax.random.key(3), 100_000), np.float64)
    out = np.maximum(np.einsum("sni,smi,bm->sbn", W, W, x) + b[:, None], 0)
    each = ((x - out) ** 2).sum(-1)
    np.testing.assert_array_less(np.abs(each.mean(1) - loss(W, b, p, 2)), 4.5 * each.std(1) / len(x) ** 0.5)


@given(st.integers(0, 99), st.floats(0.01, 0.99))
@settings(max_examples=15)
def test_sets_of_one_feature_are_independent_features(seed, p):
    W, b = models(seed)
    np.testing.assert_allclose(correlated_loss(W, b, p, 4), expected_loss(W, b, p), rtol=1e-10)


def test_one_probability_a_model():
    W, b = models(2)
    p = np.array([0.1, 0.5, 0.9])
    one = [correlated_loss(W[i], b[i], p[i], 2) for i in range(3)]
    np.testing.assert_allclose(correlated_loss(W, b, p, 2), one, rtol=1e-12)
    assert correlated_loss(W, np.zeros((3, 4)), 0.0, 2).max() < 1e-25


def test_pairs_by_kind():
    """Opposite features of unit length interfere where both are on, by E min(x, y)^2 = 1 / 6 each."""
    W, b, p = np.array([[[1.0, 0], [-1, 0], [0, 1], [0, -1]]]), np.zeros((1, 4)), np.array([[0.1]])
    found = {kind: float(loss_of_pairs(kind, W, b, p)[0]) for kind in ("correlated", "anticorrelated", "independent")}
    assert found == pytest.approx({"correlated": 4 * 0.1 / 6, "anticorrelated": 0, "independent": 4 * 0.1**2 / 6})


@given(st.integers(1, 2), st.integers(1, 3), st.floats(0.05, 0.95))
@settings(max_examples=12)
def test_principal_components_of_correlated_sets_are_their_means(sets, size, p):
    """Eigenvalues v + (size - 1) c, once a set, and v - c = p / 12: v = Var x, c = p (1 - p) / 4."""
    law = Correlated(sets, size, p)
    mean = np.asarray(law.mean(), float)
    covariance = np.asarray(law.second_moment(), float) - np.outer(mean, mean)
    assert principal_loss(covariance, sets) == pytest.approx(sets * (size - 1) * p / 12, rel=1e-4, abs=1e-6)
    total = sets * size * feature_variance(p)
    assert principal_loss(covariance, 0) == pytest.approx(total, rel=1e-4)
    assert principal_loss(covariance, sets * size + 1) == 0


def test_no_tied_linear_model_is_below_the_principal_loss():
    random = np.random.default_rng(0)
    root = random.normal(size=(5, 5))
    covariance = root @ root.T
    for _ in range(200):
        projector = np.linalg.qr(random.normal(size=(5, 2)))[0]
        residual = np.eye(5) - projector @ projector.T
        assert np.trace(residual @ covariance @ residual) >= principal_loss(covariance, 2) - 1e-9
    leading = np.linalg.eigh(covariance)[1][:, 3:]
    residual = np.eye(5) - leading @ leading.T
    assert np.trace(residual @ covariance @ residual) == pytest.approx(principal_loss(covariance, 2))


def test_wrong_arguments_say_so():
    W, b = models(0)
    with pytest.raises(ValueError, match="sets=3"):
        correlated_loss(W, b, 0.5, 3)
    with pytest.raises(ValueError, match="probability"):
        correlated_loss(W, b, 1.5, 2)
    with pytest.raises(ValueError, match="symmetric"):
        principal_loss(np.triu(np.ones((2, 2))), 1)
    with pytest.raises(ValueError, match="m=-1"):
        principal_loss(np.eye(2), -1)


def test_an_antipodal_pair_of_anticorrelated_features_costs_nothing():
    W, b = np.array([[1, 0], [-1, 0], [0, 1], [0, -1.0]]), np.zeros(4)
    assert anticorrelated_loss(W, b, 0.2, 2) < 1e-25
    # Orthogonal members: opposite features of two sets are on together with p^2, and cost E min(x, y)^2 = 1 / 6 each.
    assert anticorrelated_loss(W[[0, 2, 1, 3]], b, 0.2, 2) == pytest.approx(4 * 0.2**2 / 6)
    p = np.array([0.1, 0.5])
    one = [anticorrelated_loss(W[[0, 2, 1, 3]], b, each, 2) for each in p]
    np.testing.assert_allclose(anticorrelated_loss([W[[0, 2, 1, 3]]] * 2, [b] * 2, p, 2), one)
    with pytest.raises(ValueError, match="p: at most"):
        anticorrelated_loss(W, b, 0.6, 2)
