"""Trade-off of interference and capacity: findings on planted models, and what is read off a model that is known."""

import numpy as np
import pytest
import xarray as xr

from experiments import tradeoff
from tests.experiments.planted import changed, fails, holds, undecided
from toymodels.analysis.capacities import PARTS
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import OK

SEEDS, POWERS, DENSITIES = 12, [2, 4], [0.3, 0.01]


def planted() -> xr.Dataset:
    """Eight features in two dimensions: more share at power 4; parts in which interference is a fifth and more."""
    first, last = [0.6, 0.5, 0.4, 0.3, 0.1, 0.1, 0.0, 0.0], [0.4, 0.35, 0.3, 0.25, 0.2, 0.2, 0.2, 0.1]
    C = np.array([[first, first], [last, last]])
    parts = np.array([[[0.5, 0.3, 0.1, 0.1], [0.2, 0.3, 0.2, 0.3]]] * 2)
    noise = 1e-3 * np.random.default_rng(0).normal(size=SEEDS)
    coords = {"power": POWERS, "p": DENSITIES, "seed": range(SEEDS)}
    data = {
        "C": (("power", "p", "feature", "seed"), C[..., None] * (1 + noise)),
        "part_of_loss": (("power", "p", "part", "seed"), parts[..., None] * (1 + noise)),
        "importance": ("feature", 0.8 ** np.arange(8)),
    }
    return xr.Dataset(data, coords | {"part": list(PARTS)}, {"m": 2, "left_out": ""})


FINDINGS = (
    tradeoff.capacity_is_spent_by_importance,
    tradeoff.exponents_spread_capacity,
    tradeoff.what_the_loss_is_made_of,
)


def test_planted_models_hold_and_can_be_drawn() -> None:
    for findings in FINDINGS:
        holds(findings(planted()))
    assert len(tradeoff.interference_and_capacity(planted()).axes) == 4


def test_capacity_that_does_not_follow_importance_fails_where_it_does_not() -> None:
    flat = changed(planted(), "C", lambda C: 0 * C + 0.25, power=2, p=0.3)
    fails(tradeoff.capacity_is_spent_by_importance(flat), "by-importance[power=2,p=0.3]")


def test_an_exponent_that_spreads_nothing_fails_and_noise_is_undecided() -> None:
    alike = planted()
    alike["C"] = alike.C.isel(power=0).drop_vars("power").expand_dims(power=POWERS)
    fails(tradeoff.exponents_spread_capacity(alike), "spread[p=0.3]", "spread[p=0.01]")
    wild = planted()
    wild["C"] = wild.C * xr.where((wild.seed % 2 == 0) & (wild.feature > 0), 0, 1)
    undecided(tradeoff.exponents_spread_capacity(wild), "spread[p=0.3]", "spread[p=0.01]")


@pytest.mark.parametrize(
    ("part", "size", "labels", "key"),
    [
        (PARTS[0], 9.0, {"power": 4, "p": 0.3}, "interference-weighs[power=4,p=0.3]"),
        (PARTS[0], 1.0, {"power": 2, "p": 0.01}, "ignored-less[power=2]"),
    ],
)
def test_each_part_of_the_loss_fails_on_its_own(part: str, size: float, labels: dict, key: str) -> None:
    data = changed(planted(), "part_of_loss", lambda parts: 0 * parts + size, part=part, **labels)
    fails(tradeoff.what_the_loss_is_made_of(data), key)


def test_a_model_of_the_means_ignores_everything_and_one_of_the_features_interferes_in_nothing() -> None:
    """Of 20 features in 5 dimensions: W = 0 leaves all of the loss at ignored features; the identity on five has whole
    capacities, and no interference."""
    sweep = replaced({"models": tradeoff.models}, {"p": [0.1], "power": [4], "seed": [0, 1]})["models"]
    W = np.zeros((1, 1, 2, 1, 20, 5))
    W[0, 0, 1, 0, :5] = np.eye(5)
    data = {
        "W": (("power", "p", "seed", "snapshot", "feature", "hidden"), W),
        "b": (("power", "p", "seed", "snapshot", "feature"), np.full((1, 1, 2, 1, 20), 0.05) * (W == 0).all(-1)),
        "objective": (("power", "p", "seed", "step"), np.ones((1, 1, 2, 1))),
        "status": (("power", "p", "seed"), np.full((1, 1, 2), OK)),
    }
    found = tradeoff.tradeoffs(Swept(sweep, xr.Dataset(data, {"power": [4], "p": [0.1], "seed": [0, 1]})))
    share = tradeoff.shares(found).squeeze()
    np.testing.assert_allclose(share, [[1, 1], [0, 0], [0, 0], [0, 0]], atol=1e-9)
    np.testing.assert_allclose(found.C.squeeze().sum("feature"), [0, 5])
