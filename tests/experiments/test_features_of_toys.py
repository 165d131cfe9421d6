"""Features of trained toys: findings on planted readings."""

import numpy as np
import pytest
import xarray as xr

from experiments import features_of_toys as page
from tests.experiments.planted import changed, fails, holds, outcomes

SEEDS, FEATURES, P = 6, 12, [0.02, 0.1]


def planted() -> xr.Dataset:
    """Recovery follows dimensionality, isolation and importance; the last two features are not kept."""
    rank = np.arange(FEATURES)
    noise = 1e-4 * np.random.default_rng(0).normal(size=(len(page.METHODS), 2, SEEDS, FEATURES))
    dims = ("p", "seed", "feature")
    same = {"length": np.where(rank < 10, 1, 0.1), "D": 1 - 0.05 * rank, "partners": rank.astype(float)}
    data = {name: (dims, np.broadcast_to(each, (2, SEEDS, FEATURES)).copy()) for name, each in same.items()}
    best = np.where(rank < 10, 0.99 - 0.02 * rank, 1.0) + noise  # what is not kept would turn the order
    coords = {"by": list(page.METHODS), "p": P, "importance": ("feature", 0.9**rank)}
    return xr.Dataset({**data, "best": (("by", *dims), best)}, coords)


def test_planted_readings_hold() -> None:
    holds(page.geometry_decides(planted()))


@pytest.mark.parametrize(("name", "id"), [("D", "found-by-dimensionality"), ("partners", "found-by-isolation")])
def test_each_finding_fails_where_its_cause_is_turned(name: str, id: str) -> None:
    turned = changed(planted(), name, lambda values: -values, p=0.1)
    fails(page.geometry_decides(turned), *(f"{id}[method={method},p=0.1]" for method in page.METHODS))


def test_recovery_turned_fails_all_three_of_one_method() -> None:
    turned = changed(planted(), "best", lambda values: 1 - values, by=page.METHODS[1], p=0.02)
    found = outcomes(page.geometry_decides(turned))
    failing = {key for key, outcome in found.items() if outcome == "fails"}
    kinds = ("dimensionality", "importance", "isolation")
    assert failing == {f"found-by-{kind}[method={page.METHODS[1]},p=0.02]" for kind in kinds}


def test_drawn() -> None:
    assert len(page.recovery_by_geometry(planted()).axes) == 6
