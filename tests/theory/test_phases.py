"""Phases: arrangements of known weights, branches against a general search, boundaries against closed forms."""

import numpy as np
import pytest

from toymodels.theory import phases, superposition

SQUARE = np.eye(2)


@pytest.mark.parametrize(
    ("W", "name"),
    [
        ([[1.0], [-0.5]], "1-2"),
        ([[1.0], [0.5]], "1+2"),
        ([[0.0], [0.9]], "2"),
        ([[0.0], [0.0]], ""),
        ([[1.0, 0], [0, 1], [0, 0.05]], "1|2"),
        ([[1.0, 0], [0, 1], [-0.8, 0]], "1-3|2"),
        ([[1.0, 0], [-1, 0], [0, 1]], "1-2|3"),
        ([[1.0, 0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]], "1-2-3"),
        ([[1.0, 0], [0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]], "1~2~3"),
    ],
)
def test_arrangement_of_known_weights_does_not_depend_on_rotation(W, name):
    W = np.array(W)
    assert phases.arrangement(W) == name
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(W.shape[1],) * 2))[0]
    assert phases.arrangement(W @ turn) == name


def test_arrangement_needs_finite_weights():
    with pytest.raises(ValueError, match="finite"):
        phases.arrangement([[np.nan], [1.0]])


P, R = np.array([0.1, 0.6, 0.7, 0.5]), np.array([0.5, 1.0, 0.95, 2.0])


def test_branches_of_three_are_what_they_say_and_no_search_does_better():
    found = phases.three_branches(P, R)
    importance = np.stack([np.ones(4), np.ones(4), R], -1)
    exists = np.isfinite(found.loss)
    loss = superposition.expected_loss(np.nan_to_num(found.W), np.nan_to_num(found.b), P[:, None], importance)
    np.testing.assert_allclose(found.loss[exists], loss[exists], rtol=1e-9)
    for place, (p, r) in enumerate(zip(P, R, strict=True)):
        search = superposition.optimum(2, p, [1, 1, r], starts=32)
        assert found.best().loss[place] == pytest.approx(search.loss, rel=1e-8)
    names = np.array(found.names)[found.winner()].tolist()
    assert names == ["extra in a pair", "triangle", "triangle", "others in a pair"]
    assert [phases.branch_of(W) for W in found.best().W] == names


def test_slope_along_a_branch_is_the_error_of_the_extra_feature():
    r, step = np.array([0.8]), 1e-4
    here, there, p = phases.two_branches(0.3, r), phases.two_branches(0.3, r + step), np.array([0.3])
    slope = (there.loss - here.loss) / step
    exists = np.isfinite(slope)
    np.testing.assert_allclose(phases.errors_of_extra(here, p)[exists], slope[exists], rtol=1e-3, atol=1e-9)


def test_boundaries_of_two_are_those_of_their_theory():
    p = np.array([0.05, 0.3, 0.7])
    known = superposition.boundary_optimised(p)
    np.testing.assert_allclose(phases.boundary(phases.two_branches, p, phases.DROPPED), known, rtol=3e-3)
    np.testing.assert_allclose(phases.boundary(phases.two_branches, p, phases.OWN), 1 / known, rtol=3e-3)


def test_orders_of_the_changes_of_two():
    """A jump below p = .55, a continuous growth above, which a jump within the pair follows."""
    found = phases.transitions(phases.two_branches, [0.3, 0.5623], np.geomspace(0.15, 0.95, 20))
    assert [(change.p, change.first_order) for change in found] == [(0.3, True), (0.5623, False), (0.5623, True)]
    assert found[0].r == pytest.approx(superposition.boundary_optimised(0.3), rel=1e-5)
    assert found[1].r == pytest.approx(min(superposition.instability(0.5623)), rel=1e-3)
    for change in found:
        assert change.coexist == change.first_order == (change.kink > 1e-3)
