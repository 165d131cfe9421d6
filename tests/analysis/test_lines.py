"""Counts around guide lines: by hand, and p-values under their own null."""

import numpy as np
import pytest
from scipy import stats

from toymodels.analysis.lines import local_excess, polytope_lines


def test_excess_counts_by_hand():
    """Line 1/2 +- .01 with flanks to .05: window .02, flanks .08; 6 inside, 8 in the flanks -> Binomial(14, 1/5)."""
    D = np.concatenate([np.full(6, 0.503), np.linspace(0.46, 0.48, 4), np.linspace(0.52, 0.54, 4), [0.2, 0.9, np.nan]])
    found = local_excess(D, {"digon": 0.5})
    assert (found.names, found.observed[0]) == (["digon"], 6)
    assert found.expected[0] == pytest.approx(2)
    assert found.p_value[0] == pytest.approx(stats.binomtest(6, 14, 0.2, alternative="greater").pvalue)


def test_flanks_leave_out_the_windows_of_other_lines():
    """Flanks of 2/5: [.35, .365], [.385, .39], [.41, .45], .06 long: 12 features there make 4 expected in .02."""
    lines = {"pentagon": 0.4, "square antiprism": 0.375}
    D = np.concatenate([np.full(12, 0.43), np.full(50, 0.376)])
    assert local_excess(D, lines).expected[0] == pytest.approx(4)
    assert local_excess(D, lines).observed[1] == 50


def test_p_values_are_conservative_under_their_null():
    """P(p <= .05) <= .05 for independent uniform D; 4 standard errors of 600 draws."""
    rng = np.random.default_rng(0)
    p = np.array([local_excess(rng.random(400)).p_value for _ in range(600)])
    assert np.all(np.mean(p <= 0.05, axis=0) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 600))
    assert np.all(np.mean(p <= 0.5, axis=0) > 0.25)  # and not always one


def test_a_cluster_is_seen_and_only_there():
    rng = np.random.default_rng(0)
    D = np.concatenate([rng.random(400), 2 / 3 + 0.003 * rng.normal(size=40)])
    found = dict(zip(polytope_lines(), local_excess(D).p_value, strict=True))
    assert found.pop("triangle") < 1e-6
    assert min(found.values()) > 1e-3


def test_excess_without_features():
    found = local_excess([])
    assert not found.observed.any()
    assert np.all(found.p_value == 1)
    assert local_excess([0.5], {}).names == []
    with pytest.raises(ValueError, match="lies in"):
        local_excess([1.2])
    with pytest.raises(ValueError, match="width"):
        local_excess([0.5], width=0.1)
