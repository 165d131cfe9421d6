"""Tegum products: findings on planted packings, and what is read off known ones."""

import numpy as np
import pytest
import xarray as xr

from experiments import tegum
from tests.experiments.planted import fails, holds, undecided
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import DIVERGED, OK
from toymodels.theory.packings import best_explicit

POWERS, SEEDS = [1.5, 1.95, 2.5], 12
SIZES = {"7 in 6": (7, 6, [6, 1, 1], (1.4, 2.0)), "12 in 4": (12, 4, [4, 4, 1], (1.9, 2.6))}


def packed(**changes: xr.DataArray) -> xr.Dataset:
    """All restarts attain the bound, with d factors up to some power and one from the next."""
    n, d, factors, switch = (np.array(each) for each in zip(*SIZES.values(), strict=True))
    coords = {"size": list(SIZES), "power": POWERS, "seed": range(SEEDS), "fitted": ["1000 in 100", "10000 in 1000"]}
    flat = xr.DataArray(np.ones((2, 3, SEEDS)), dims=("size", "power", "seed"))
    k = flat * xr.DataArray(factors, dims=("size", "power"))
    by_size = {"n": n, "d": d, "most": [40, 108], "sets": n * (d - 1)}
    data = xr.Dataset(
        {
            **{name: ("size", each) for name, each in by_size.items()},
            **{name: (("size", "power"), np.ones((2, 3))) for name in ("bound", "known")},
            **dict.fromkeys(("factors", "factors_loosely", "factors_strictly"), k),
            **dict.fromkeys(("loss", "trained"), flat),
            "order": flat + 0.01 * flat.seed,
            "pairs": 40 * flat,
            "switch": (("size", "fitted"), switch),
            "constant": ("fitted", [0.13, 0.1]),
        },
        coords,
    )
    return data.assign(changes)


def changed(name: str, value: float, **labels: object) -> xr.Dataset:
    data = packed()
    array = data[name].copy(deep=True)
    array.loc[labels] = value
    return data.assign({name: array})


def test_planted_packings_hold() -> None:
    for function in (tegum.theorems, tegum.bounds_met, tegum.numbers_of_factors):
        holds(function(packed(), packed()))


@pytest.mark.parametrize(
    ("function", "key", "name", "value", "labels"),
    [
        (tegum.theorems, "bounds-hold", "bound", 1.01, {"size": "7 in 6", "power": 2.5}),
        (tegum.theorems, "loss-as-trained", "trained", 1.01, {"size": "7 in 6", "seed": 3}),
        (tegum.theorems, "whole-above-two", "factors", 2, {"size": "12 in 4", "power": 2.5, "seed": 3}),
        (tegum.theorems, "pairs-bounded", "pairs", 41, {"size": "7 in 6", "power": 1.5, "seed": 3}),
        (tegum.theorems, "tolerance", "factors_loosely", 2, {"size": "7 in 6", "power": 1.5, "seed": 0}),
        (tegum.theorems, "tolerance", "factors_strictly", 2, {"size": "7 in 6", "power": 1.5, "seed": 0}),
        (tegum.bounds_met, "optimum-attained", "loss", 1.01, {"size": "7 in 6", "power": 2.5}),
    ],
)
def test_each_finding_of_both_losses_fails_on_its_own(function, key, name, value, labels) -> None:
    fails(function(changed(name, value, **labels), packed()), key)
    if name != "factors" and labels["size"] == "7 in 6":
        fails(function(packed(), changed(name, value, **labels)), key)


def test_few_vectors_may_split_above_two_under_the_signed_loss() -> None:
    """Seven rays in six dimensions need not interfere at all."""
    holds(tegum.theorems(packed(), changed("factors", 2, size="7 in 6", power=2.5, seed=3)))


def test_an_optimum_that_one_restart_attains_is_undecided_among_few_and_named() -> None:
    data = changed("loss", 1.01, size="7 in 6", power=2.5, seed=list(range(1, SEEDS)))
    found = list(tegum.bounds_met(data, packed()))
    undecided(found, "optimum-attained")
    rarest = next(each for each in found if each.id == "rarest-optimum")
    assert f"{rarest.measured}" == "1 of 12: 7 in 6, power 2.5, even"


def test_restarts_that_are_lost_count_neither_as_changed_nor_as_attained() -> None:
    lost = dict.fromkeys(("loss", "factors", "factors_loosely", "factors_strictly", "pairs", "order"))
    data = packed()
    for name in lost:
        data[name].loc[{"size": "7 in 6", "power": 2.5}] = np.nan
    holds(tegum.theorems(data, packed()))
    fails(tegum.bounds_met(data, packed()), "optimum-attained")


@pytest.mark.parametrize(
    ("keys", "name", "value", "labels"),
    [
        (["takeover[size=7 in 6]"], "switch", 2.3, {"size": "7 in 6"}),
        (["takeover[size=12 in 4]"], "switch", 1.4, {"size": "12 in 4"}),
        (["mixed[size=12 in 4]"], "factors", 2, {"size": "12 in 4", "power": 1.95}),
        (["staircase[size=7 in 6]"], "factors", 6, {"size": "7 in 6", "power": 1.95}),
        (["staircase[size=7 in 6]", "mixed[size=7 in 6]"], "factors", 3, {"size": "7 in 6", "power": 1.95}),
    ],
)
def test_each_number_of_factors_fails_on_its_own(keys, name, value, labels) -> None:
    fails(tegum.numbers_of_factors(changed(name, value, **labels), packed()), *keys)


def test_a_lucky_best_restart_decides_nothing() -> None:
    data = changed("factors", 2, size="12 in 4", power=1.95, seed=0)
    undecided(tegum.numbers_of_factors(data, packed()), "mixed[size=12 in 4]")


def test_full_scale_has_larger_sizes() -> None:
    full = tegum.experiment.at("full")
    sizes = {name: list(sweep.axes[0].labels) for name, sweep in full.items()}
    assert sizes["even"][-3:] == ["28 in 7", "40 in 10", "64 in 16"]
    assert sizes["signed"][-2:] == ["40 in 10", "64 in 16"]
    assert full["signed"].axes[0].options["64 in 16"] == {"problem.n": 64, "problem.d": 16}
    assert [full[name].base.problem.signed for name in ("even", "signed")] == [False, True]


def test_readings_and_figures_of_known_packings() -> None:
    """Explicit packings, one restart of each size lost: read as what they are, and drawn."""
    sizes = {"even.size": ["6 in 3", "7 in 6"], "power": [1.0, 1.83, 2.2, 4.0], "seed": range(2)}
    sweep = replaced({"even": tegum.even}, sizes)["even"]
    V = np.full((2, 4, 2, 1, 7, 6), np.nan)
    for place, (n, d) in enumerate([(6, 3), (7, 6)]):
        for row, power in enumerate(sizes["power"]):
            V[place, row, :, 0, :n, :d] = best_explicit(n, d, power).V
    status = np.full((2, 4, 2), OK)
    status[:, :, 1] = DIVERGED
    axes = ("size", "power", "seed")
    data = xr.Dataset(
        {
            "V": ((*axes, "snapshot", "feature", "dimension"), V),
            "objective": ((*axes, "step"), np.ones((2, 4, 2, 1))),
            "status": (axes, status),
        },
        {"size": ["6 in 3", "7 in 6"], "power": sizes["power"], "seed": [0, 1]},
    )
    swept = Swept(sweep, data)
    found = tegum.packed_even(swept)
    np.testing.assert_allclose(found.loss.isel(seed=0), found.known, rtol=1e-9)
    np.testing.assert_array_equal(found.factors.isel(seed=0), found.known_factors)
    assert found.loss.isel(seed=1).isnull().all()
    assert found.pairs.isel(size=0, power=0, seed=0) == found.most.isel(size=0)
    for figure in (tegum.excess_over_bound, tegum.loss_against_power):
        assert "4 left out" in [text.get_text() for text in figure(found).axes[0].texts]
    minima = tegum.minima(swept, found)
    assert minima["name"].isel(size=0, rank=0).values.tolist() == ["3 axes of 2", "halved icosahedron"]
    cosine = minima.cosine.sel(size="6 in 3", power=2.2)[:6, :6]
    np.testing.assert_allclose(cosine, np.eye(6) + (1 - np.eye(6)) / np.sqrt(5), atol=1e-9)
    texts = [text.get_text() for text in tegum.winners(minima).axes[0].texts]
    assert "halved icosahedron\n1 of 2 restarts" in texts
    assert "halved icosahedron" in [text.get_text() for text in tegum.basin_frequencies(minima).axes[0].texts]
