"""Collateral damage: findings on planted readings; damage of toys against closed forms."""

import numpy as np
import pytest
import xarray as xr

from experiments import collateral_damage as page
from tests.experiments.planted import changed, fails, holds
from toymodels.theory.erasure import least_squares_collateral, projection_collateral

SEEDS, FEATURES = 8, 10


def planted() -> xr.Dataset:
    """Damage is .8 cos² E x_j²; second moments fall by a factor 100 where features are unequal."""
    rng = np.random.default_rng(0)
    W = rng.normal(size=(2, SEEDS, FEATURES, 3))
    W /= np.linalg.norm(W, axis=3, keepdims=True)
    overlap = (W @ W.swapaxes(2, 3)) ** 2
    second = np.stack([np.full(FEATURES, 0.02), np.geomspace(0.1, 0.001, FEATURES)])
    damage = np.repeat((0.8 * overlap * second[:, None, None])[:, :, None], 2, axis=2)
    dims = ("law", "seed", "by", "erased", "feature")
    data = {
        "damage": (dims, damage * np.exp(0.05 * rng.normal(size=damage.shape))),
        "closed": (dims, damage),
        "evaluated": (dims, damage * (1 + 1e-14)),
        "overlap": (("law", "seed", "erased", "feature"), overlap),
        "length": (("law", "seed", "feature"), np.where(np.arange(FEATURES) == 3, 0.1, 1) * np.ones(overlap.shape[:3])),
        "second": (("law", "feature"), second),
        "p": (("law", "feature"), 3 * second),
    }
    coords = {"law": ["equal", "unequal"], "by": list(page.METHODS), "seed": range(SEEDS)}
    return xr.Dataset(data, coords)


def test_planted_readings_hold() -> None:
    holds(page.linear_read_outs(planted()))
    holds(page.damage_follows_weighted_overlap(planted()))


def test_features_that_are_dropped_do_not_count() -> None:
    wild = changed(planted(), "damage", lambda _: -1.0, feature=3)
    holds(page.damage_follows_weighted_overlap(changed(wild, "damage", lambda _: -1.0, erased=3)))
    kept = page.pairs(planted())
    assert int(kept.sel(law="equal").isel(seed=0).sum()) == (FEATURES - 1) * (FEATURES - 2)


def test_each_finding_fails_where_it_is_broken() -> None:
    one = {"law": "unequal", "by": "projection"}
    off = changed(planted(), "closed", lambda each: 1.01 * each, **one)
    fails(page.linear_read_outs(off), "linear-closed-form[method=projection]")
    by_overlap = planted().overlap.sel(law="unequal").transpose("seed", "erased", "feature")
    alone = changed(planted(), "damage", lambda _: 0.01 * by_overlap.values, **one)
    where = "[method=projection,law=unequal]"
    fails(page.damage_follows_weighted_overlap(alone), f"weighted-overlap{where}", f"overlap-alone{where}")
    gain = changed(planted(), "damage", lambda each: -each, law="equal", by="least squares")
    fails(page.damage_follows_weighted_overlap(gain), "others-damaged[method=least squares,law=equal]")


def test_lost_toys_are_left_out() -> None:
    lost = planted().copy(deep=True)
    for name in ("damage", "closed", "evaluated", "overlap", "length"):
        lost[name].loc[{"seed": 0}] = np.nan
    fit = page.proportional(lost.damage, page.form(lost, "weighted"), page.pairs(lost))
    assert fit.explained.sel(seed=0).isnull().all()
    holds(page.damage_follows_weighted_overlap(lost))


def test_linear_damage_is_the_closed_form() -> None:
    rng = np.random.default_rng(1)
    W, C, centre = rng.normal(size=(6, 3)), np.diag(rng.random(6) + 0.1), rng.random(6)
    for method, closed in (("projection", projection_collateral), ("least squares", least_squares_collateral)):
        erasers = [page.eraser(W, C, centre, i, method) for i in range(6)]
        np.testing.assert_allclose(page.linear_damage(W, C, erasers), closed(W, C), atol=1e-12)


def test_damage_in_a_toy_by_hand() -> None:
    """Two features on a line at 60 degrees in the plane, one example with the second on: it loses cos² of itself."""
    W = np.array([[1.0, 0], [0.5, np.sqrt(0.75)]])
    x, centre = np.array([[0.0, 1.0]]), np.zeros(2)
    erasers = [page.eraser(W, np.eye(2), centre, 0, "projection")]
    found = page.toy_damage(W, np.zeros(2), x, erasers)
    # Before: (½, 1), errors (¼, 0). After: h = (0, √¾), outputs (0, ¾), errors (0, 1/16).
    assert found[0] == pytest.approx([-0.25, 0.0625])


def test_drawn() -> None:
    assert len(page.damage_by_overlap(planted()).axes) == 3
