"""Tegum products: findings on planted packings, and what is read off known ones."""

import numpy as np
import pytest
import xarray as xr

from experiments import tegum
from tests.experiments.planted import fails, holds, outcomes, undecided
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import DIVERGED, OK
from toymodels.theory.packings import best_configuration

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
        },
        coords,
    )
    return data.assign(changes)


def changed(name: str, value: float, **labels: object) -> xr.Dataset:
    data = packed()
    array = data[name].copy(deep=True)
    array.loc[labels] = value
    return data.assign({name: array})


BOTH = (tegum.bounds_hold, tegum.bounds_met, tegum.one_factor_above_two, tegum.pairs_bounded)


def test_planted_packings_hold() -> None:
    for function in BOTH:
        holds(function(packed(), packed()))
    holds(tegum.number_of_factors(packed()))
    assert not outcomes(tegum.signed_numbers_of_factors(packed()))


@pytest.mark.parametrize(
    ("function", "key", "name", "value", "labels"),
    [
        (tegum.bounds_hold, "bounds-hold", "bound", 1.01, {"size": "7 in 6", "power": 2.5}),
        (tegum.bounds_hold, "loss-as-trained", "trained", 1.01, {"size": "7 in 6", "seed": 3}),
        (tegum.bounds_met, "optimum-attained[loss=even]", "loss", 1.01, {"size": "7 in 6", "power": 2.5}),
        (tegum.one_factor_above_two, "whole-above-two", "factors", 2, {"size": "12 in 4", "power": 2.5, "seed": 3}),
        (tegum.pairs_bounded, "pairs-bounded", "pairs", 41, {"size": "7 in 6", "power": 1.5, "seed": 3}),
        (tegum.pairs_bounded, "tolerance", "factors_loosely", 2, {"size": "7 in 6", "power": 1.5, "seed": 0}),
    ],
)
def test_each_finding_of_both_losses_fails_on_its_own(function, key, name, value, labels) -> None:
    fails(function(changed(name, value, **labels), packed()), key)


def test_the_optimum_of_the_signed_loss_is_a_finding_of_its_own() -> None:
    fails(tegum.bounds_met(packed(), changed("loss", 1.01, size="7 in 6", power=2.5)), "optimum-attained[loss=signed]")


def test_an_optimum_that_one_restart_attains_is_undecided() -> None:
    data = changed("loss", 1.01, size="7 in 6", power=2.5, seed=list(range(1, SEEDS)))
    undecided(tegum.bounds_met(data, packed()), "optimum-attained[loss=even]")


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
    fails(tegum.number_of_factors(changed(name, value, **labels)), *keys)


def test_a_lucky_best_restart_decides_nothing() -> None:
    data = changed("factors", 2, size="12 in 4", power=1.95, seed=0)
    undecided(tegum.number_of_factors(data), "mixed[size=12 in 4]")


def test_the_best_of_equal_losses_has_most_factors() -> None:
    assert tegum._at_best(packed()).order.seed.values.tolist() == [[0] * 3] * 2


def test_readings_and_figures_of_known_packings() -> None:
    """Explicit packings, one restart of each size lost: read as what they are, and drawn."""
    sizes = {"even.size": ["6 in 3", "7 in 6"], "power": [1.0, 1.83, 2.2, 4.0], "seed": range(2)}
    sweep = replaced({"even": tegum.even}, sizes)["even"]
    V = np.full((2, 4, 2, 1, 7, 6), np.nan)
    for place, (n, d) in enumerate([(6, 3), (7, 6)]):
        for row, power in enumerate(sizes["power"]):
            V[place, row, :, 0, :n, :d] = best_configuration(n, d, power).V
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
    names = [ax.get_title().split("\n")[-2] for ax in tegum.winners(swept, found).axes[:2]]
    assert names == ["3 axes of 2", "halved icosahedron"]
