"""Findings on cross-entropy against squared error, on planted readings: each holds, and each fails on its own."""

import numpy as np
import pytest
import xarray as xr

from experiments import cross_entropy as page
from tests.experiments.planted import changed, fails, holds, spread
from toymodels.problems.natural_steps import entry_size

DIMS, COORDS = ("loss", "size", "ratio", "scale", "seed"), {"loss": list(page.LOSSES), "size": [0.1, 1.0]}
COORDS |= {"ratio": [0.5, 0.8], "scale": [1e-3, 0.1]}
CORNER = {"size": 1.0, "ratio": 0.8, "scale": 0.1}
NAMED = "[size=1,ratio=0.8,scale=0.1]"


def planted(value: float, size: float = 0.0) -> xr.DataArray:
    return xr.DataArray(value + spread(2, 2, 2, 2, size=size), COORDS, DIMS)


def test_two_plateaus() -> None:
    stairs = planted(2.0).to_dataset(name="number").assign(two=planted(1.0))
    holds(page.two_plateaus(stairs))
    lost = changed(stairs, "two", lambda two: 0 * two, loss="cross-entropy", **CORNER)
    fails(page.two_plateaus(lost), f"two-plateaus{NAMED}")
    holds(page.two_plateaus(changed(stairs, "two", lambda two: 0 * two, loss="squared error", **CORNER)))


def tens() -> tuple[xr.Dataset, xr.Dataset]:
    ends = planted(1e-9).to_dataset(name="end").assign_attrs(time=400.0)
    ends = changed(ends, "end", lambda end: 0 * end + 0.1, loss="cross-entropy")
    return ends, ends.sel(loss=["cross-entropy"], size=[1.0]).assign_attrs(time=2000.0)


@pytest.mark.parametrize(("loss", "end"), [("cross-entropy", 1e-9), ("squared error", 0.1)])
def test_rank_ten(loss: str, end: float) -> None:
    """It is no trouble where cross-entropy gets there too, nor where squared error does not."""
    holds(page.zero_at_rank_ten(*tens()))
    ends = changed(tens()[0], "end", lambda old: 0 * old + end, loss=loss, **CORNER)
    fails(page.zero_at_rank_ten(ends, tens()[1]), f"misses-zero{NAMED}")


@pytest.mark.parametrize(
    ("name", "change", "id"),
    [("number", 1.0, "as-many-plateaus"), ("order", -0.3, "same-order"), ("span", -0.3, "same-span")],
)
def test_full_rank(name: str, change: float, id: str) -> None:
    whole = xr.Dataset({"number": planted(2.0, 0.1), "order": planted(0.9, 0.01), "span": planted(0.99, 0.001)})
    holds(page.full_rank_as_squares(whole))
    other = changed(whole, name, lambda old: old + change, loss="cross-entropy", **CORNER)
    fails(page.full_rank_as_squares(other), f"{id}{NAMED}")
    both = changed(other, name, lambda old: old + change, loss="squared error", **CORNER)
    if id != "same-span":  # which is the target's, not that of squared error
        holds(page.full_rank_as_squares(both))


def test_sizes_are_natural() -> None:
    """Entries of the first component have the root mean square asked for; the start is relative to what is learned."""
    run = page.sweeps["two"].cell(loss="cross-entropy", size=3.0, ratio=0.5, scale=1e-4, seed=2)
    first = np.asarray(run.problem.target.matrix(), float)
    s = np.linalg.svd(first, compute_uv=False)
    assert s[0] / 16 == pytest.approx(3, rel=1e-5)
    assert run.problem.scale == pytest.approx(1e-4 * entry_size(run.problem.target))
    assert run.problem.target.seed != run.seed
