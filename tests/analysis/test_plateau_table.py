"""Labelled plateaus, which name each entry has, and the best models."""

import numpy as np
import xarray as xr

from toymodels.analysis.dynamics import plateaus
from toymodels.analysis.labelled import indicators, plateau_table
from toymodels.analysis.restarts import of_best_model


def test_the_plateaus_of_curves_are_those_of_each_filled_up():
    steps = np.unique(np.geomspace(1, 20_000, 250).astype(int))
    flat, stairs = np.full(len(steps), 2.0), 1 / (1 + (steps / 100) ** 6) + 0.1 / (1 + (steps / 2000) ** 6) + 0.01
    loss = xr.DataArray([[flat, stairs]], {"seed": [7, 8], "step": steps}, ("p", "seed", "step"))
    table = plateau_table(loss).isel(p=0)
    own = plateaus(steps, stairs)
    assert table.seed.values.tolist() == [7, 8]
    assert table.kind.values.tolist() == [["whole", "", ""], ["initial", "interior", "final"]]
    np.testing.assert_array_equal(table.start.sel(seed=8), [each.start for each in own])
    np.testing.assert_array_equal(table.level.sel(seed=8), [each.level for each in own])
    assert np.isnan(table.stop.sel(seed=7)[1:]).all()
    assert table.middle.sel(seed=8)[1] == np.sqrt(own[1].start * own[1].stop)
    assert table.middle.sel(seed=8)[2] == own[2].stop == steps[-1]


def test_every_entry_has_one_of_the_names():
    names = xr.DataArray([["b", "a"], ["b", "b"]], dims=("p", "seed"))
    found = indicators(names)
    assert found["name"].values.tolist() == ["a", "b"]
    assert (found.sum("name") == 1).all()
    assert found.sel(name="a").values.tolist() == [[False, True], [False, False]]
    numbers = xr.DataArray([2.0, np.nan, 0.0], dims="seed")
    expected = [[0, np.nan, 1], [0, np.nan, 0], [1, np.nan, 0]]
    np.testing.assert_array_equal(indicators(numbers, "count", range(3)).transpose("count", "seed"), expected)


def test_the_best_models_have_the_least_loss():
    loss = xr.DataArray([[2.0, np.nan, 1.0], [3.0, 5.0, 4.0]], {"p": [0.1, 0.2], "seed": [7, 8, 9]}, ("p", "seed"))
    found = of_best_model(xr.Dataset({"loss": loss, "twice": 2 * loss.T, "of_p": 3 * loss.p}), loss)
    assert found.seed.values.tolist() == [9, 7]
    assert found.twice.values.tolist() == [2, 6]
    assert found.of_p.dims == ("p",)
