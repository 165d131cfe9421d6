"""The end of a vanishing start against the integrated flow, and shares against simulated starts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from toymodels.analysis.alignment import component_alignment
from toymodels.theory.factorisation_flow import gradient_flow
from toymodels.theory.final_pairs import final_alignment, growing_overlaps, share_backing_off

seeds = st.integers(0, 2**20)


@settings(max_examples=10)
@given(seeds, st.sampled_from([(2, 2), (2, 3), (3, 3)]))
def test_small_starts_end_where_gram_schmidt_says(seed: int, sizes: tuple[int, int]) -> None:
    """Errors fall with a power of the start: 1e-6 leaves less than 1e-2 where values differ by a factor 2."""
    (k, r), n, m = sizes, 6, 5
    rng = np.random.default_rng(seed)
    s, (left, right) = 0.5 ** np.arange(k), (ortho_group.rvs(size, random_state=seed)[:k] for size in (n, m))
    U, V = (1e-6 * rng.normal(size=(size, r)) for size in (n, m))
    overlaps = growing_overlaps(U, V, left, right)
    end = gradient_flow((left.T * s) @ right, U, V, 40 / s[-1], rtol=1e-9)
    found = component_alignment(end.U, end.V, left, right)
    # A start along none of the directions that are still free takes longer than any time.
    q = np.linalg.qr(overlaps)[1]
    if np.abs(np.diagonal(q)).min() > 0.05 * 1e-6:
        np.testing.assert_allclose(found, final_alignment(s, overlaps), atol=0.02)


@given(seeds, st.floats(0.1, 10))
def test_overlaps_are_those_of_the_stacked_vectors(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    U, V = size * rng.normal(size=(2, 4, 3)), size * rng.normal(size=(2, 5, 3))
    left, right = ortho_group.rvs(4, random_state=seed)[:2], ortho_group.rvs(5, random_state=seed)[:2]
    stacked = np.concatenate([U, V], 1)
    unit = np.concatenate([left, right], 1) / np.sqrt(2)
    expected = [[[unit[k] @ one[:, i] for k in range(2)] for i in range(3)] for one in stacked]
    np.testing.assert_allclose(growing_overlaps(U, V, left, right), expected, atol=1e-12 * size)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_the_share_that_backs_off_is_that_of_simulated_starts(ratio: float) -> None:
    """To five standard errors of 40,000 starts."""
    overlaps = np.random.default_rng(0).normal(size=(40_000, 2, 2))
    nearer = final_alignment([1, ratio], overlaps).argmax(-1) == 1
    assert nearer.any(1).mean() == pytest.approx(share_backing_off(ratio), abs=5 * 0.5 / 200)
    assert not nearer.all(1).any()


def test_pairs_of_the_largest_overlaps_are_right_three_times_in_four() -> None:
    """The pairs of the end are decided by one of two alike differences, those of the start by the sum of both."""
    overlaps = np.random.default_rng(1).normal(size=(40_000, 2, 2))
    end, start = final_alignment([1, 0.5], overlaps), abs(overlaps)
    straight = [x[:, 0, 0] + x[:, 1, 1] > x[:, 0, 1] + x[:, 1, 0] for x in (start, end)]
    assert np.mean(straight[0] == straight[1]) == pytest.approx(0.75, abs=5 * 0.5 / 200)
    assert ((start[:, 0, 0] > start[:, 1, 0]) == straight[1]).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: final_alignment([1.0, 1.0], np.eye(2)),
        lambda: final_alignment([0.5, 1.0], np.eye(2)),
        lambda: final_alignment([1.0, 0.5], np.ones((1, 2))),
        lambda: share_backing_off(1.0),
    ],
)
def test_what_is_not_identifiable_is_refused(call) -> None:
    with pytest.raises(ValueError, match=r"distinct|at least"):
        call()
