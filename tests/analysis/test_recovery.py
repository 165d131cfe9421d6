"""Scores of recovery on dictionaries that are known: exact, duplicated, opposite, missing, random."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toymodels.analysis import recovery
from toymodels.theory.random_dictionaries import expected_best


def directions(seed: int, count: int = 12, d: int = 8) -> np.ndarray:
    return recovery.unit(np.random.default_rng(seed).normal(size=(count, d)))


@settings(max_examples=20)
@given(st.integers(0, 1000), st.booleans())
def test_the_truth_in_any_order_and_length_is_found_whole(seed: int, signed: bool) -> None:
    truth, rng = directions(seed), np.random.default_rng(seed + 1)
    found = (truth * rng.uniform(0.1, 9, (12, 1)))[rng.permutation(12)]
    assert recovery.mmcs(truth, found, signed) == pytest.approx(1)
    assert recovery.matched_cosines(truth, found, signed) == pytest.approx(np.ones(12))
    assert recovery.score(truth, found, signed=signed) == (1, 1, 1)
    assert recovery.uniqueness(truth, found, signed) == 1


def test_opposite_directions_are_the_same_lines_and_other_rays() -> None:
    truth = np.eye(4)
    assert recovery.score(truth, -truth).f1 == 1
    assert recovery.score(truth, -truth, signed=True).f1 == 0
    assert recovery.mmcs(truth, -truth, signed=True) == 0


def test_matched_and_one_sided_scores_differ_on_duplicates() -> None:
    """One feature three times and another once: found directions all have a feature, and half of the features are."""
    truth = np.eye(4)
    found = np.eye(4)[[0, 0, 0, 1]]
    assert recovery.mmcs(found, truth) == 1
    assert recovery.mmcs(truth, found) == 0.5
    assert recovery.matched_cosines(found, truth).mean() == 0.5
    assert recovery.score(truth, found) == (0.5, 0.5, 0.5)
    assert recovery.uniqueness(truth, found) == 0.5


def test_fewer_and_lost_directions() -> None:
    truth, found = np.eye(4), np.array([[1.0, 0, 0, 0], [0, 0, 0, 0]])
    assert recovery.matched_cosines(truth, found).tolist() == [1, 0, 0, 0]
    assert recovery.score(truth, found) == pytest.approx((1, 0.25, 0.4))  # a row of zeros is no direction
    assert recovery.uniqueness(truth, found) == 1
    assert recovery.score(truth, 0 * found) == (0, 0, 0)
    assert recovery.uniqueness(truth, 0 * found) == 0


def test_a_direction_serves_the_matching_once() -> None:
    """The largest sum, not the largest first: by hand."""
    truth = np.eye(2)
    found = recovery.unit(np.array([[1, 0.9], [1, 0.0]]))
    assert recovery.matched_cosines(truth, found) == pytest.approx([1, 0.9 / np.sqrt(1.81)])


def test_random_and_shuffled_dictionaries_are_at_chance() -> None:
    truth, found = directions(0, 400, 16), directions(1, 24, 16)
    for signed in (False, True):
        chance = expected_best(24, 16, signed)
        for control in (found, recovery.shuffled(directions(2, 400, 16)[:24], 3)):
            values = recovery.best_cosines(truth, control, signed)
            assert values.mean() == pytest.approx(chance, abs=0.03)
    control = recovery.shuffled(truth, 1)
    np.testing.assert_allclose(np.sort(abs(control), axis=1), np.sort(abs(truth), axis=1))
    assert recovery.score(truth, control).f1 < 0.02
    assert recovery.above_chance(0.75, 0.5) == 0.5


def test_dead_latents_and_variance_unexplained() -> None:
    assert recovery.dead(np.array([[0, 1.0, 0], [0, 0, -2]])).tolist() == [True, False, False]
    h = np.random.default_rng(0).normal(size=(50, 3)) + 5
    assert recovery.fvu(h, h) == 0
    assert recovery.fvu(h, np.broadcast_to(h.mean(0), h.shape)) == pytest.approx(1)
    assert recovery.fvu(h, np.zeros_like(h)) > 1
