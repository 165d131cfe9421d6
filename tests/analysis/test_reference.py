"""Reference methods on data where what each must give is known."""

import numpy as np
import pytest

from toymodels.analysis import recovery, reference

pytest.importorskip("sklearn")


def sparse(n: int, count: int, p: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(count, n)) * (rng.uniform(size=(count, n)) < p)


def frame(d: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(1).normal(size=(d, d)))[0]


@pytest.mark.parametrize("name", reference.METHODS)
def test_directions_are_unit_rows_and_the_spectral_ones_at_most_as_many_as_dimensions(name: str) -> None:
    h = sparse(12, 200, 0.2) @ recovery.unit(np.random.default_rng(0).normal(size=(12, 6)))
    found = reference.METHODS[name](h, 12, 3)
    assert found.shape == ((12, 6) if name in ("NMF", "dictionary learning") else (6, 6))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-9)
    anew = getattr(reference.METHODS[name], "__wrapped__", reference.METHODS[name])
    np.testing.assert_array_equal(found, anew(h, 12, 3))  # a seed is all that is random


def test_what_is_remembered_is_of_these_observations_and_this_seed_and_cannot_be_spoilt() -> None:
    h = sparse(6, 100, 0.3)
    first = reference.kmeans(h, 4, 0)
    first[:] = 0
    np.testing.assert_array_equal(reference.kmeans(h, 4, 0), reference.kmeans.__wrapped__(h, 4, 0))
    for other in ((h, 4, 1), (h, 3, 0), (h[:, ::-1], 4, 0), (h[:99], 4, 0)):
        np.testing.assert_array_equal(reference.kmeans(*other), reference.kmeans.__wrapped__(*other))


def test_pca_finds_orthogonal_features_of_different_variance_and_svd_mixes_the_mean_in() -> None:
    features = sparse(5, 40_000, 0.1) * [5, 4, 3, 2, 1]
    truth = frame(5)
    assert recovery.score(truth, reference.pca(features @ truth, 5), 0.99).f1 == 1
    shifted = features @ truth + 10 * np.ones(5)
    assert recovery.score(truth, reference.pca(shifted, 5), 0.99).f1 == 1
    first = reference.svd(shifted, 5)[0]
    assert abs(first @ np.ones(5)) / np.sqrt(5) > 0.99


def test_ica_and_dictionary_learning_find_as_many_features_as_dimensions() -> None:
    truth = recovery.unit(np.random.default_rng(2).normal(size=(5, 5)))
    h = sparse(5, 1000, 0.1) @ truth
    for method, count in ((reference.ica, 5), (reference.dictionary_learning, 8)):
        found = method(h, count, 0)
        assert recovery.score(truth, found).recall == 1
        assert recovery.score(truth, reference.oriented(found, h), signed=True).recall == 1


def test_nmf_finds_directions_without_negative_entries() -> None:
    truth = recovery.unit(np.eye(4) + 0.1)
    assert recovery.score(truth, reference.nmf(sparse(4, 500, 0.3) @ truth, 4), signed=True).f1 == 1


def test_orientation_is_by_skewness() -> None:
    h = sparse(3, 500, 0.2) @ frame(3)
    np.testing.assert_allclose(reference.oriented(-2 * frame(3), h), frame(3), atol=1e-12)


def test_k_means_finds_the_centres_of_clusters_at_their_own_lengths() -> None:
    rng = np.random.default_rng(0)
    centres = 3 * rng.normal(size=(4, 6))
    found = reference.kmeans(centres[rng.integers(4, size=2000)] + 0.01 * rng.normal(size=(2000, 6)), 4, 1)
    np.testing.assert_allclose(sorted(found.tolist()), sorted(centres.tolist()), atol=0.01)
    assert len(reference.kmeans(centres, 9, 0)) == 4  # no more centres than observations
