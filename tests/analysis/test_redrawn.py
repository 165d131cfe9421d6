"""The best of redrawn restarts, over many cells at once."""

import numpy as np
import pytest
import xarray as xr

from toymodels.analysis.redrawn import best_redrawn, of_draws
from toymodels.estimates import chances_of_best


def test_the_first_draw_is_the_best_of_all_and_lost_restarts_come_last():
    loss = xr.DataArray([[3.0, 1, 2], [np.nan, 2, np.inf]], dims=("cell", "seed"), coords={"cell": ["a", "b"]})
    best = best_redrawn(loss)
    assert best.dims == ("draw", "cell")
    assert best[0].values.tolist() == [1, 1]
    assert loss.isel(seed=best).sel(cell="a")[0] == 1


def test_the_best_is_redrawn_as_often_as_it_should_be():
    best = best_redrawn(xr.DataArray(np.arange(8.0), dims="seed"), resamples=20_000)
    share = np.bincount(best[1:], minlength=8) / 20_000
    np.testing.assert_allclose(share, chances_of_best(8), atol=4 * 0.5 / np.sqrt(20_000))


def test_restarts_are_redrawn_the_same_for_all_cells():
    loss = xr.DataArray(np.tile(np.random.default_rng(1).normal(size=5), (3, 1)), dims=("cell", "seed"))
    best = best_redrawn(loss)
    assert (best == best.isel(cell=0)).all()


def test_intervals_of_draws():
    draws = xr.DataArray(np.append(5.0, np.arange(1000)), dims="draw")
    one, family = of_draws(draws, 10), of_draws(draws, 10, family=10)
    assert (one.value, one.low, one.count) == (5, 5, 10)  # the value is in its interval
    assert one.high == pytest.approx(975, abs=1)
    assert family.high == pytest.approx(997.5, abs=1)
    draws[1:200] = np.nan
    assert of_draws(draws, 10).low == -np.inf
    assert of_draws(draws, 10).high == np.inf
