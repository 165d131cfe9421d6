"""Phase diagrams: findings on planted diagrams, and jumps between known weights."""

import numpy as np
import pytest
import xarray as xr

from experiments import phase_diagram as page
from tests.experiments.planted import fails, holds, undecided

P, R, SEEDS = [0.2, 0.5], np.geomspace(0.1, 10, 5), 12
GRID = {"diagram": ["A", "B"], "p": P, "r": R}
KINDS = ["extra dropped", "extra dropped", "extra in a pair", "other dropped", "other dropped"]


def optima() -> xr.Dataset:
    """The extra feature is kept from r = .56, and has a dimension of its own from 1.8."""
    ones = xr.DataArray(np.ones((2, 2, 5)), GRID, tuple(GRID))
    names = xr.DataArray(KINDS, {"r": R}, "r").broadcast_like(ones).transpose(*GRID)
    return xr.Dataset({"loss": ones, "gap": 0.1 * ones, "name": names})


def models() -> xr.Dataset:
    loss = optima().loss * xr.DataArray(1 + np.linspace(0, 0.01, SEEDS), dims="seed")
    return xr.Dataset({"loss": loss, "name": optima().name.broadcast_like(loss).transpose(*loss.dims)})


def boundaries(**moved: float) -> xr.Dataset:
    coords = {"side": list(page.ENDS), "diagram": ["A", "B"], "density": [0.2, 0.35, 0.5]}
    r = xr.DataArray(np.ones((2, 2, 3)), coords, tuple(coords))
    return xr.Dataset({"r": r * xr.DataArray(np.sqrt(R[1:3] * R[2:4]), dims="side")})


def renamed(name: str, **where: object) -> xr.Dataset:
    data = models()
    names = data.name.astype(object)
    names.loc[where] = name
    return data.assign(name=names.astype(str))


def scaled(factor: float, **where: object) -> xr.Dataset:
    data = models().copy(deep=True)
    data.loss.loc[where] = data.loss.loc[where] * factor
    return data


def test_planted_restarts_hold() -> None:
    holds(page.best_of_restarts(models(), optima()))


def test_another_arrangement_fails() -> None:
    wrong = renamed("triangle", diagram="B", p=0.5)
    fails(page.best_of_restarts(wrong, optima()), "optimal-arrangement[diagram=B]")
    tied = optima().assign(gap=optima().gap * xr.DataArray([1, 0.1], {"p": P}, "p"))
    holds(page.best_of_restarts(wrong, tied))  # where two arrangements tie, either will do


def test_losses_above_and_below_the_optimum_fail() -> None:
    where = {"diagram": "A", "p": 0.2, "r": R[1]}
    fails(page.best_of_restarts(scaled(1.05, **where), optima()), "largest-excess[diagram=A]")
    fails(page.best_of_restarts(scaled(0.999, **where), optima()), "none-below[diagram=A]")


def test_a_lucky_best_decides_nothing() -> None:
    data = renamed("triangle", diagram="A", p=0.5, seed=slice(1, None))
    undecided(page.best_of_restarts(data, optima()), "optimal-arrangement[diagram=A]")


def test_planted_boundaries_hold() -> None:
    holds(page.boundary_positions(models(), boundaries()))


@pytest.mark.parametrize(
    ("side", "name", "cells"),
    [("is kept", "extra dropped", slice(2, 4)), ("has a dimension of its own", "other dropped", slice(1, 3))],
)
def test_boundaries_elsewhere_fail(side: str, name: str, cells: slice) -> None:
    """Two cells more are dropped, or have a dimension of their own, at one density; the other end is not asked."""
    found = page.boundary_positions(renamed(name, diagram="B", p=0.5, r=R[cells]), boundaries())
    fails((each for each in found if each.settings["side"] == side), f"boundary[diagram=B,side={side}]")


def test_a_lost_best_places_no_boundary() -> None:
    moved = renamed("extra dropped", diagram="B", p=0.5, r=R[2:4], seed=slice(1, None))
    undecided(page.boundary_positions(moved, boundaries()), "boundary[diagram=B,side=is kept]")


def changes(**columns: object) -> xr.Dataset:
    """Two changes of arrangement on one cut and one on another, all of them jumps."""
    found = {
        "diagram": ["A", "A", "B"],
        "p": [0.2, 0.2, 0.5],
        "r": [0.56, 1.8, 0.56],
        "below": ["extra dropped", "extra in a pair", "extra dropped"],
        "above": ["extra in a pair", "other dropped", "triangle"],
        "jump": [0.5, 0.6, 0.7],
        "kink": [0.1, 0.2, 0.3],
        "coexist": [1, 1, 1],
    }
    return xr.Dataset({name: ("change", values) for name, values in (found | columns).items()})


def test_planted_changes_hold() -> None:
    holds(page.orders(changes()))


def test_a_continuous_change_is_not_of_first_order() -> None:
    smooth = {"jump": [0.5, 1e-4, 0.7], "kink": [0.1, 1e-7, 0.3], "coexist": [1, 0, 1]}
    fails(page.orders(changes(**smooth)), "first-order[diagram=A,p=0.2]")
    within = changes(**smooth, above=["extra in a pair", "extra in a pair", "triangle"])
    holds(page.orders(within))  # what does not change its arrangement need not jump


@pytest.mark.parametrize("column", [{"kink": [0.1, 0.2, 0.0]}, {"coexist": [1, 1, 0]}])
def test_signs_that_disagree_fail(column: dict[str, list[float]]) -> None:
    fails(page.orders(changes(**column)), "order-in-doubt[diagram=B,p=0.5]")


def jumps() -> xr.Dataset:
    ends = {"end": ["below", "above"]}
    loss = xr.DataArray(np.ones((3, 2, SEEDS)) * np.linspace(1, 2, SEEDS), ends, ("change", "end", "seed"))
    off = xr.DataArray(np.zeros((3, SEEDS, SEEDS)), dims=("change", "below", "above"))
    kinds = xr.concat([changes().below, changes().above], "end").broadcast_like(loss).transpose(*loss.dims)
    return xr.Dataset({"loss": loss, "away": 0 * loss, "off": off, "name": kinds})


def test_planted_jumps_hold() -> None:
    holds(page.trained_jumps(jumps(), changes()))


@pytest.mark.parametrize("off", [-0.05, 0.05])
def test_models_that_jump_otherwise_fail(off: float) -> None:
    data = jumps()
    data["off"] = data.off + xr.DataArray([0, off, 0], dims="change")
    fails(page.trained_jumps(data, changes()), "trained-jump[diagram=A,p=0.2]")


@pytest.mark.parametrize("end", [0, 1])
def test_models_away_from_every_optimum_fail(end: int) -> None:
    data = jumps()
    data.away[2, end] = 0.05
    fails(page.trained_jumps(data, changes()), "at-an-optimum[diagram=B,p=0.5]")


def test_a_jump_of_one_lucky_pair_decides_nothing() -> None:
    data = jumps()
    data.off[0, 1:] = data.off[0, :, 1:] = 0.5
    undecided(page.trained_jumps(data, changes()), "trained-jump[diagram=A,p=0.2]")
