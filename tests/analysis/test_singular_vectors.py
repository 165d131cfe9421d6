"""Singular vectors of planted maps: exact where gains differ, anything in the span where they are equal."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from toymodels.analysis.singular_vectors import alignment, singular_vectors
from toymodels.theory.random_dictionaries import expected_best

D, R = 24, 4


def planted(gains: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A map that reads and writes orthonormal features with these gains; its features of both sides, and others."""
    write, read = (ortho_group.rvs(D, random_state=seed) for seed in (1, 2))
    used = len(gains)
    return (write[:, :used] * gains) @ read[:, :used].T, write.T, read.T


def test_distinct_gains_are_found_on_both_sides() -> None:
    M, writes, reads = planted([4.0, 3.0, 2.0, 1.0])
    for found, features in zip(singular_vectors(M, R), (writes, reads), strict=True):
        each = alignment(found, features)
        assert each.own == pytest.approx(1)
        assert each.turned < 0.85
        assert each.random < each.turned


def test_equal_gains_leave_the_basis_free_and_keep_the_span() -> None:
    """A rotation of both sides leaves the map as it is: the singular vectors are any basis of the span."""
    _, writes, _ = planted([1.0] * R)
    turned = ortho_group.rvs(R, random_state=5) @ writes[:R]
    each = alignment(turned, writes, draws=400)
    assert abs(each.own - each.turned) < 0.1
    assert each.turned > each.random + 0.2


def test_random_directions_score_chance() -> None:
    """Against one feature, E |cos| is exact."""
    rows = ortho_group.rvs(D, random_state=3)[:R]
    each = alignment(rows, rows[:1], draws=4000)
    assert each.random == pytest.approx(expected_best(1, D), rel=0.02)
    assert each.turned == pytest.approx(expected_best(1, R), rel=0.02)
    assert each.own == pytest.approx(1 / R)


def test_all_of_a_space_turned_is_random() -> None:
    rows = ortho_group.rvs(6, random_state=3)
    each = alignment(rows, np.random.default_rng(0).normal(size=(9, 6)), draws=2000)
    assert each.turned == pytest.approx(each.random, abs=0.005)


def test_too_many_are_refused() -> None:
    with pytest.raises(ValueError, match="count=5: a matrix of shape"):
        singular_vectors(np.ones((4, 6)), 5)
