"""Spectra of concepts against simulation and random matrices."""

import jax
import numpy as np
import pytest

from toymodels import Sparse
from toymodels.analysis.elbows import centred_spectrum, components_for
from toymodels.theory.concept_spectra import covariance_given_on, graded_spectrum, noise_elbow


def test_graded_spectrum_is_that_of_a_large_sample() -> None:
    rng, strengths = np.random.default_rng(0), np.array([0.7, 0.2])
    c, z = rng.normal(size=(200_000, 1)), rng.normal(size=(200_000, 2))
    frame = np.linalg.qr(rng.normal(size=(4, 4)))[0][:3]
    h = np.hstack([1.5 * c, c * z * strengths]) @ frame
    np.testing.assert_allclose(centred_spectrum(h)[:3], graded_spectrum(1.5, strengths), rtol=0.03)


def test_covariance_given_a_feature_is_that_of_the_states_where_it_is_on() -> None:
    law, W = Sparse(5, 0.4), np.random.default_rng(1).normal(size=(5, 3))
    x = np.asarray(law.sample(jax.random.key(0), 400_000), np.float64)
    p, (first, second) = np.asarray(law.marginals()), law.value.moments()
    sampled = np.cov((x[x[:, 2] > 0] @ W).T)
    np.testing.assert_allclose(covariance_given_on(W, 2, p, first, second), sampled, atol=0.01)
    assert (p == np.float32(0.4)).all()  # what is given is not changed


@pytest.mark.parametrize(("d", "examples"), [(400, 800), (400, 4000), (400, 200), (400, 410)])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_noise_has_as_many_components_as_random_matrices_have(d: int, examples: int, share: float) -> None:
    spectrum = centred_spectrum(np.random.default_rng(0).normal(size=(examples, d)))
    assert noise_elbow(d, examples, share) == pytest.approx(components_for(spectrum, share) / d, abs=0.01)


def test_noise_of_many_examples_has_no_elbow() -> None:
    assert noise_elbow(10, 10**8) == pytest.approx(0.95, abs=1e-3)
    with pytest.raises(ValueError, match="share=0"):
        noise_elbow(4, 4, 0)
    with pytest.raises(ValueError, match="d=0"):
        noise_elbow(0, 4)
