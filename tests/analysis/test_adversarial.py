"""Attacks: their effect where it is known, and what leaves it alone."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from toymodels.analysis.adversarial import attacks, worst_attacks

seeds = st.integers(0, 999)


@given(seeds, st.floats(0.01, 0.5))
def test_without_superposition_the_loss_rises_by_the_square_of_the_attack(seed, size):
    x = np.random.default_rng(seed).random((20, 4))
    found = attacks(np.eye(4), np.zeros(4), x, size)
    assert found.clean == pytest.approx(0, abs=1e-12)
    assert found.size == pytest.approx(size * np.linalg.norm(x, axis=1).mean())
    np.testing.assert_allclose(found.attacked, found.size**2)
    assert found.vulnerability == pytest.approx(1)
    assert np.isnan(found.increase) or found.increase > 1e6


@given(st.floats(0.1, 1))
def test_a_digon_is_twice_as_vulnerable_where_its_other_feature_is_off(size):
    """W = (1, -1): the attack (1, -1) size / sqrt 2 moves output 1 by sqrt 2 size and leaves output 2 at zero."""
    found = attacks([[1.0], [-1.0]], [0.0, 0.0], [[1.0, 0.0]], size)
    np.testing.assert_allclose(found.attacked[0], 2 * found.size**2)
    assert found.vulnerability == pytest.approx(2)


def test_the_worst_is_the_greatest_and_dropped_features_cannot_be_attacked():
    W = [[1.0, 0.0], [0.0, 0.5], [0.0, 0.0]]
    found = attacks(W, np.zeros(3), [[1.0, 1.0, 1.0], [0.5, 0.2, 0.0]])
    assert found.attacked[2] == pytest.approx(found.clean)
    assert found.attacked[found.worst] == found.attacked.max()
    assert found.increase == pytest.approx(found.attacked.max() / found.clean - 1)


@given(seeds)
def test_rotations_do_not_matter_and_permutations_carry_over(seed):
    random = np.random.default_rng(seed)
    W, b, x = random.normal(size=(5, 3)), random.normal(size=5), random.random((8, 5))
    one = attacks(W, b, x)
    turned = attacks(W @ ortho_group.rvs(3, random_state=seed), b, x)
    np.testing.assert_allclose(turned.attacked, one.attacked)
    order = random.permutation(5)
    np.testing.assert_allclose(attacks(W[order], b[order], x[:, order]).attacked, one.attacked[order])


def test_wrong_shapes_and_empty_inputs_are_refused():
    with pytest.raises(ValueError, match=r"\(features, hidden\)"):
        attacks(np.eye(2), np.zeros(3), np.ones((1, 2)))
    with pytest.raises(ValueError, match="size=0"):
        attacks(np.eye(2), np.zeros(2), np.ones((1, 2)), 0.0)
    with pytest.raises(ValueError, match="not all zero"):
        attacks(np.eye(2), np.zeros(2), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="finite"):
        attacks(np.eye(2), np.array([0, np.nan]), np.ones((1, 2)))


def test_labelled_models_are_attacked_each_on_its_own_examples():
    random = np.random.default_rng(0)
    W, b = random.normal(size=(2, 2, 3, 2)), random.normal(size=(2, 2, 3)) / 10
    x = random.random((2, 5, 3))
    W[1, 1] = np.nan
    found = worst_attacks(
        xr.DataArray(W, dims=("seed", "p", "feature", "hidden")),
        xr.DataArray(b, dims=("seed", "p", "feature")),
        xr.DataArray(x, dims=("p", "example", "feature")),
        size=0.2,
    ).transpose("seed", "p")
    for seed, p in ((0, 0), (0, 1), (1, 0)):
        known = attacks(W[seed, p], b[seed, p], x[p], 0.2)
        assert found.vulnerability.values[seed, p] == known.vulnerability
        assert found.increase.values[seed, p] == known.increase
    assert np.isnan(found.vulnerability.values[1, 1])
