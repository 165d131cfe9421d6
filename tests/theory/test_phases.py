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


def test_the_slope_of_the_least_loss_falls_at_a_jump():
    """The least loss is concave in r, by which intervals are cut: checked against differences of the loss."""
    r = np.array([0.2228, 0.2229])
    found = phases.two_branches(np.full(2, 0.31622776601683794), r)
    assert np.array(found.names)[found.winner()].tolist() == ["extra dropped", "extra in a pair"]
    change = phases.transitions(phases.two_branches, [0.31622776601683794], r)[0]
    step = 1e-5
    at = change.r + step * np.array([-2, -1, 1, 2])
    loss = phases.two_branches(np.full(4, change.p), at).best().loss
    kink = (loss[1] - loss[0] - loss[3] + loss[2]) / step
    assert change.kink * superposition.feature_variance(change.p) == pytest.approx(kink, rel=1e-3)


class TestTies:
    """Three features of one importance: which of them is "extra" is arbitrary."""

    P = 0.31622776601683794

    def test_all_optima_of_equal_features_are_listed(self):
        (found,) = phases.tied_optima(phases.three_branches, [self.P], [1.0])
        assert set(found.names) == {"extra in a pair", "others in a pair"}
        (apart,) = phases.tied_optima(phases.three_branches, [self.P], [0.8])
        assert apart.names == ("extra in a pair",)

    @pytest.mark.parametrize(("question", "m", "p"), [(phases.two_branches, 1, 0.75), (phases.three_branches, 2, P)])
    def test_descents_from_anywhere_end_in_a_listed_optimum_or_above(self, question, m, p):
        (found,) = phases.tied_optima(question, [p], [1.0])
        random, n = np.random.default_rng(0), m + 1
        W, b = random.normal(size=(60, n, m)), random.normal(size=(60, n)) / 5
        ends = superposition.local_minima(W, b, np.full((1, 1), p), np.ones((1, n)))
        best = ends.loss <= found.loss[0] * (1 + 1e-6)
        away, which = phases.nearest_tied(ends.W[best], found)
        assert away.max() < 1e-5
        assert set(which.tolist()) == set(range(len(found.names)))  # and each of them is met

    def test_a_jump_beside_equal_importances_is_compared_with_the_nearest_tie(self):
        below, above = phases.tied_optima(phases.three_branches, [self.P] * 2, [0.75, 1.0])
        jumps = phases.tied_jumps(below, above)
        assert jumps.shape == (1, 2)
        assert jumps.max() > 1 > 0.2 > jumps.min()  # one of two tied optima: yes or no by luck
        turn = np.linalg.qr(np.random.default_rng(1).normal(size=(2, 2)))[0]
        for place, W in enumerate(above.W):
            compared = phases.compared_jump(below.W[0][[1, 0, 2]] @ turn, W[[1, 0, 2]], below, above)
            assert compared.trained == pytest.approx(compared.exact, abs=1e-9)
            assert compared.exact == pytest.approx(jumps[0, place])
            assert compared.above == above.names[place]
            assert compared.alternatives == 2
            listed_otherwise = phases.TiedOptima(above.names[::-1], above.W[::-1], above.b[::-1], above.loss[::-1])
            again = phases.compared_jump(below.W[0], W, below, listed_otherwise)
            assert again.exact == pytest.approx(compared.exact)

    def test_a_model_in_no_optimum_is_far_away(self):
        (found,) = phases.tied_optima(phases.three_branches, [self.P], [1.0])
        compared = phases.compared_jump(found.W[0], 0.5 * found.W[0], found, found)
        assert compared.away > 0.5
        assert abs(compared.trained - compared.exact) <= 2 * compared.away

    def test_symmetric_invariants_know_no_order_and_no_rotation(self):
        random = np.random.default_rng(2)
        W = random.normal(size=(5, 3, 2))
        turn = np.linalg.qr(random.normal(size=(2, 2)))[0]
        known = phases.symmetric_invariants(W)
        np.testing.assert_allclose(phases.symmetric_invariants(W[:, [2, 0, 1]] @ turn), known, atol=1e-12)
        assert np.abs(phases.gram_invariants(W[:, [2, 0, 1]]) - phases.gram_invariants(W)).max() > 0.1


def test_boundaries_are_those_of_each_density_alone():
    p = np.array([0.11, 0.37])
    together = phases.boundary(phases.two_branches, p, phases.DROPPED)
    again = phases.boundary(phases.two_branches, p[::-1], phases.DROPPED)
    assert (together == again[::-1]).all()
    tie = phases.two_branches(p, together)
    np.testing.assert_allclose(*np.sort(tie.loss, axis=0)[:2], rtol=1e-6)
