"""What chance recovers, by quadrature, against simulation and limits."""

import numpy as np
import pytest

from toymodels.theory.random_dictionaries import cosine_cdf, expected_best, hit_rate


@pytest.mark.parametrize(("count", "d"), [(1, 2), (24, 16), (64, 32)])
@pytest.mark.parametrize("signed", [False, True])
def test_the_expected_best_is_that_of_simulated_dictionaries(count: int, d: int, signed: bool) -> None:
    """To 1e-3: cosines are drawn from normal vectors, in pairs with their mirror images to shorten the wait."""
    rng = np.random.default_rng(count + d)
    best = []
    for _ in range(40):
        features, dictionary = (rng.normal(size=(rows, d)) for rows in (max(1, 40_000 // count), count))
        units = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (features, dictionary)]
        cosines = units[0] @ units[1].T
        best.append((cosines if signed else abs(cosines)).max(axis=1).mean())
    expected = expected_best(count, d, signed)
    assert expected == pytest.approx(np.mean(best), abs=1e-3 + 4 * np.std(best) / np.sqrt(len(best)))
    assert 4 * np.std(best) / np.sqrt(len(best)) < 0.03


@pytest.mark.parametrize("signed", [False, True])
def test_the_expected_best_of_many_beta_draws(signed: bool) -> None:
    """An independent route with less noise: (1 + cos) / 2 is Beta((d - 1)/2, (d - 1)/2), so that 1e-3 is 5 errors."""
    cosines = 2 * np.random.default_rng(0).beta(7.5, 7.5, size=(200_000, 24)) - 1
    best = (cosines if signed else abs(cosines)).max(axis=1)
    assert best.std() / np.sqrt(len(best)) < 2.5e-4
    assert expected_best(24, 16, signed) == pytest.approx(best.mean(), abs=1e-3)


def test_limits() -> None:
    """One ray has mean cosine 0; on the circle |cos| has mean 2/pi; more directions come nearer."""
    assert expected_best(1, 16, signed=True) == pytest.approx(0, abs=1e-8)
    assert expected_best(1, 2) == pytest.approx(2 / np.pi, abs=1e-8)
    assert 0 < expected_best(8, 16) < expected_best(80, 16) < expected_best(80, 8) < 1
    assert expected_best(8, 16, signed=True) < expected_best(8, 16)
    assert cosine_cdf([-1, 0, 1], 5, signed=True) == pytest.approx([0, 0.5, 1])
    assert hit_rate(1, 2, np.sqrt(0.5)) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="2 dimensions or more"):
        cosine_cdf(0.5, 1)
    with pytest.raises(ValueError, match="at least one"):
        expected_best(0, 4)
