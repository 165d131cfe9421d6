"""Erasure of concepts: findings on planted readings, and states with their probabilities."""

import jax
import numpy as np
import pytest
import xarray as xr

from experiments import concept_erasure as page
from tests.experiments.planted import changed, fails, holds, spread
from toymodels import Constant, Correlated, Paired, Sparse
from toymodels.analysis.erasure import balanced
from toymodels.experiment import Unfit
from toymodels.theory.erasure import left_over

KINDS, FEATURES, SEEDS = ["before", *page.ERASERS], 3, 32
AT = ("method", "law")


def planted() -> xr.Dataset:
    """Paired features are left at .7; outliers undo means and least squares by .2, and medians by nothing."""
    noise = spread(2, FEATURES, len(KINDS), seeds=SEEDS)
    paired = np.array([[0.5], [0.7]])[:, :, None, None]
    accuracy = np.broadcast_to(paired, noise.shape) + np.where(paired > 0.5, noise, 0)
    accuracy = accuracy.copy()
    accuracy[:, :, 3] = accuracy[:, :, 1]
    rise = np.array([0, 1, 0, 1])[None, None, :, None, None] * np.array([0.0, 0.2])
    moved = accuracy[..., None] + rise + spread(2, FEATURES, len(KINDS), SEEDS, seeds=2)
    dims = ("law", "feature", "by", "seed")
    data = {
        "accuracy": (dims, accuracy),
        "change": (dims, np.ones_like(accuracy)),
        "slopes": ((*dims, "loss"), np.zeros((*accuracy.shape, 2))),
        "least": (("law", "feature", "seed"), np.ones((2, FEATURES, SEEDS))),
        "moved": ((*dims, "distance"), moved),
    }
    coords = {"law": ["independent", "paired"], "by": KINDS, "loss": list(page.LOSSES), "distance": [0, 30]}
    return xr.Dataset(data, coords)


def counterexamples() -> xr.Dataset:
    shares = sorted({share for each in page.SHARES.values() for share in each})
    table = np.array([[left_over(s) if s in page.SHARES[name] else np.nan for s in shares] for name in page.ERASERS])
    return xr.Dataset(
        {"accuracy": (("by", "share"), table), "most": 0.749}, {"by": list(page.ERASERS), "share": shares}
    )


def test_what_is_computed_holds() -> None:
    found = page.counterexamples()
    holds(page.each_eraser_is_defeated(found))
    np.testing.assert_allclose(found.accuracy, counterexamples().accuracy, atol=1e-12)


def test_a_counterexample_that_is_none_fails() -> None:
    worse = changed(counterexamples(), "accuracy", lambda _: 0.5, by="median", share=0.51)
    fails(page.each_eraser_is_defeated(worse), "counterexample[method=median]", "as-stated[method=median]")
    fails(page.each_eraser_is_defeated(counterexamples().assign(most=0.8)), "median-bound")


def test_planted_toys_hold() -> None:
    for findings in (page.what_is_guaranteed, page.what_toys_leave, page.what_outliers_do):
        holds(findings(planted()))


def test_each_guarantee_fails_where_it_is_broken() -> None:
    one = {"law": "paired", "by": "least squares"}
    slopes = changed(planted(), "slopes", lambda _: 1e-6, **one, loss="logistic")
    fails(page.what_is_guaranteed(slopes), "guarantee[loss=logistic]")
    fails(page.what_is_guaranteed(changed(planted(), "change", lambda each: each + 0.1, **one)), "least-change")
    apart = changed(planted(), "accuracy", lambda each: each + 0.01, **one)
    fails(page.what_is_guaranteed(apart), "leave-the-same")


def test_toys_that_leave_more_or_less_fail() -> None:
    more = changed(planted(), "accuracy", lambda _: 0.52, law="independent", by="mean")
    fails(page.what_toys_leave(more), "at-chance[method=mean]")
    less = changed(planted(), "accuracy", lambda _: 0.51, law="paired", by="median")
    fails(page.what_toys_leave(less), "left-over[method=median]")


def test_outliers_that_do_nothing_to_means_or_much_to_medians_fail() -> None:
    none = changed(planted(), "moved", lambda each: each - 0.2, law="paired", by="mean", distance=30)
    fails(page.what_outliers_do(none), "outliers-undo[method=mean,law=paired]")
    much = changed(planted(), "moved", lambda each: each + 0.2, law="paired", by="median", distance=30)
    fails(page.what_outliers_do(much), "medians-resist[method=median,law=paired]")


@pytest.mark.parametrize("law", [Sparse(4, 0.2, Constant(1.0)), Paired(2, 0.3, 0.4, Constant(1.0))])
def test_states_have_the_probabilities_of_draws(law: Sparse | Paired) -> None:
    x, probability = page.states(law)
    assert probability.sum() == pytest.approx(1, abs=1e-6)
    drawn = np.asarray(law.sample(jax.random.key(0), 40_000))
    share = [(drawn == each).all(axis=1).mean() for each in x]
    np.testing.assert_allclose(share, probability, atol=0.012)
    np.testing.assert_allclose(x.T @ (probability[:, None] * x), law.second_moment(), atol=1e-6)
    with pytest.raises(Unfit, match="independent or paired"):
        page.states(Correlated(2, 2, 0.1))  # type: ignore[arg-type]


def test_outliers_keep_weight_and_share() -> None:
    x, probability = page.states(Sparse(3, 0.2, Constant(1.0)))
    z = x[:, 0] > 0
    w = balanced(z, probability)
    h, flags, weights = page.with_outliers(x, z, w, 30, [0, 0])
    assert weights.sum() == pytest.approx(1)
    assert weights[flags].sum() == pytest.approx(0.5)
    far = np.linalg.norm(h, axis=1) > 5
    assert weights[far].sum() == pytest.approx(0.05)
    assert flags[far].all()


def test_drawn() -> None:
    assert len(page.what_erasure_leaves(counterexamples(), planted()).axes) == 3
