"""Elbows and effective numbers of spectra: laws, planted spectra, samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toymodels.analysis.elbows import (
    centred_spectrum,
    components_for,
    entropy_number,
    participation_ratio,
    uncentred_spectrum,
)

spectra = arrays(np.float64, st.integers(1, 9), elements=st.floats(0, 1e3)).filter(lambda each: each.sum() > 1e-3)


@given(spectra, st.floats(0.01, 1))
def test_the_elbow_is_the_least_number_that_holds_the_share(spectrum: np.ndarray, share: float) -> None:
    count = components_for(spectrum, share)
    ordered = np.sort(spectrum)[::-1]
    assert ordered[:count].sum() >= share * spectrum.sum() * (1 - 1e-9)
    assert ordered[: count - 1].sum() < share * spectrum.sum()


@given(spectra, st.floats(0.1, 10))
def test_effective_numbers_lie_between_one_and_what_is_there_and_have_no_scale(
    spectrum: np.ndarray, scale: float
) -> None:
    there = (spectrum > 0).sum()
    one, other = participation_ratio(spectrum), entropy_number(spectrum)
    assert 1 - 1e-9 <= one <= other * (1 + 1e-9) <= there * (1 + 1e-8)  # Rényi numbers of order 2 and 1
    assert participation_ratio(scale * spectrum) == pytest.approx(one)
    assert entropy_number(scale * spectrum) == pytest.approx(other)


def test_equal_eigenvalues_and_one_alone() -> None:
    assert (components_for(np.ones(20)), participation_ratio(np.ones(20))) == (19, pytest.approx(20))
    assert entropy_number(np.ones(20)) == pytest.approx(20)
    assert (components_for([0, 3, 0]), participation_ratio([0, 3, 0]), entropy_number([0, 3, 0])) == (1, 1, 1)
    assert (components_for([0, 0]), participation_ratio([0, 0]), entropy_number([0, 0])) == (0, 0, 0)


def test_spectra_of_vectors() -> None:
    rng = np.random.default_rng(0)
    frame = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    h = rng.normal(size=(100_000, 2)) * [3, 1] @ frame[:2] + 10 * frame[2]
    np.testing.assert_allclose(centred_spectrum(h), [9, 1, 0, 0, 0], atol=0.1)
    np.testing.assert_allclose(uncentred_spectrum(h), [100, 9, 1, 0, 0], atol=0.2)
    assert uncentred_spectrum(np.ones((1, 3))).tolist() == pytest.approx([3, 0, 0])


@pytest.mark.parametrize("spectrum", [[-1.0, 2.0], [np.nan], [[1.0]]])
def test_what_is_no_spectrum_is_refused(spectrum: list) -> None:
    for number in (components_for, participation_ratio, entropy_number):
        with pytest.raises(ValueError, match="spectrum of shape"):
            number(spectrum)
    with pytest.raises(ValueError, match=r"share=1\.5"):
        components_for([1.0], 1.5)
    with pytest.raises(ValueError, match="finite examples"):
        centred_spectrum(np.full((2, 2), np.inf))
