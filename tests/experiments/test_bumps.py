"""Findings on bumps and backing off, on planted readings and paths: each holds, and each fails on its own."""

import numpy as np
import pytest
import xarray as xr

from experiments import bumps as page
from tests.experiments.planted import changed, fails, holds, outcomes, spread
from toymodels.findings import FAILS, HOLDS

PAIRS = {"optimizer": ["SGD", "Adam"], "ratio": [0.5, 0.8], "scale": [1e-3, 0.1]}
BACK = {"ratio": [0.3, 0.9], "scale": [1e-4, 0.1]}


def bump_counts(more: float = 1.0) -> xr.Dataset:
    count = xr.DataArray(1 + spread(2, 2, 2, size=0.3, seeds=192), PAIRS, (*PAIRS, "seed"))
    return xr.Dataset({"bumps": count + more * (count.optimizer == "Adam"), "largest": 0 * count + 0.1})


def test_bumps() -> None:
    holds(page.bumps_under_adam(bump_counts()))
    everywhere = (f"more-bumps[ratio={ratio:g},scale={scale:g}]" for ratio in (0.5, 0.8) for scale in (1e-3, 0.1))
    fails(page.bumps_under_adam(bump_counts(-1.0)), *everywhere)
    one = changed(bump_counts(), "bumps", lambda count: count - 4, optimizer="Adam", ratio=0.8, scale=0.1)
    fails(page.bumps_under_adam(one), "more-bumps[ratio=0.8,scale=0.1]")
    jump = changed(bump_counts(), "largest", lambda old: old + 0.3, optimizer="Adam", scale=1e-3, ratio=0.5)
    fails(page.bumps_under_adam(jump), "resolved[optimizer=Adam,ratio=0.5,scale=0.001]")


def back_offs() -> xr.Dataset:
    ones = xr.DataArray(np.ones((2, 2, 64)), BACK, (*BACK, "seed"))
    return xr.Dataset({"backs_off": ones, "as_predicted": ones, "bumps": ones, "span": ones})


def singles() -> xr.Dataset:
    none = xr.DataArray(np.zeros((2, 64)), {"scale": BACK["scale"]}, ("scale", "seed"))
    return xr.Dataset({"bumps": none, "end": none + 1})


@pytest.mark.parametrize(
    ("name", "id", "at"),
    [
        ("backs_off", "backs-off", {"ratio": 0.9, "scale": 0.1}),
        ("span", "span-learned", {"ratio": 0.3, "scale": 0.1}),
        ("as_predicted", "as-predicted", {"ratio": 0.9, "scale": 1e-4}),
    ],
)
def test_rank_two(name: str, id: str, at: dict[str, float]) -> None:
    holds(page.one_backs_off(back_offs(), singles()))
    lost = changed(back_offs(), name, lambda old: 0 * old, **at)
    key = f"{id}[ratio=0.9]" if id == "as-predicted" else f"{id}[ratio={at['ratio']:g},scale={at['scale']:g}]"
    fails(page.one_backs_off(lost, singles()), key)


def test_rank_one() -> None:
    bumpy = changed(singles(), "bumps", lambda old: old + 1, scale=0.1)
    fails(page.one_backs_off(back_offs(), bumpy), "rank-one-bumps[scale=0.1]")
    lost = changed(singles(), "end", lambda old: old - 0.5, scale=0.1)
    fails(page.one_backs_off(back_offs(), lost), "rank-one-learned[scale=0.1]")


def test_the_claims_need_all_their_findings() -> None:
    a4, a5 = page.experiment.claims
    for claim, found in ((a4, page.bumps_under_adam(bump_counts())), (a5, page.one_backs_off(back_offs(), singles()))):
        rows = [{"id": key, "outcome": outcome} for key, outcome in outcomes(found).items()]
        assert claim.decide(rows) == "supported"
        refuted = [{**row, "outcome": FAILS if claim.needs[0] in row["id"] else HOLDS} for row in rows]
        assert claim.decide(refuted) == "refuted"
