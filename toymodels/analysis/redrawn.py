"""The best restart of many cells at once, with a bootstrap over restarts that selects anew in every resample."""

import numpy as np
import xarray as xr

from toymodels.estimates import LEVEL, Estimate


def best_redrawn(loss: xr.DataArray, over: str = "seed", resamples: int = 999) -> xr.DataArray:
    """The place of the best restart of every cell, along a first dimension "draw": among all restarts at draw 0, then
    among as many redrawn, the same for all cells.

    What is read off the best of many cells at once, `values.isel(seed=best_redrawn(loss))`, then has a bootstrap
    distribution along "draw" with the selection inside: see `of_draws`. Losses that are not finite come last.
    """
    cells = [dim for dim in loss.dims if dim != over]
    finite = loss.transpose(*cells, over).values
    finite = np.where(np.isfinite(finite), finite, np.inf)
    count = loss.sizes[over]
    drawn = np.random.default_rng(0).integers(count, size=(resamples, count))
    places = np.stack([sample[finite[..., sample].argmin(-1)] for sample in [np.arange(count), *drawn]])
    return xr.DataArray(places, {dim: loss[dim] for dim in cells if dim in loss.coords}, ("draw", *cells))


def of_draws(draws: xr.DataArray, count: int, family: int = 1) -> Estimate:
    """The value at draw 0 with the percentile interval of the others; the level is that of `family` such intervals
    together, 95 %. A draw that is NaN counts as unbounded on both sides."""
    value, tail = float(draws[0]), (1 - LEVEL) / family / 2
    low = np.quantile(draws[1:].fillna(-np.inf), tail, method="lower")
    high = np.quantile(draws[1:].fillna(np.inf), 1 - tail, method="higher")
    return Estimate(value, min(low, value), max(high, value), "restart", count)
