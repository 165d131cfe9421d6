"""Estimates at every setting of a sweep, one by one: for findings with settings of their own."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import xarray as xr

from toymodels.estimates import Estimate


def by_setting(
    estimate: Callable[..., Any], values: xr.DataArray, over: str = "seed"
) -> Iterator[tuple[dict[str, Any], Estimate]]:
    """(labels, estimate over the units) of each combination of the other dimensions; intervals hold together."""
    dims = [str(dim) for dim in values.dims if dim != over]
    found = estimate(values, over)
    labels = itertools.product(*(values[dim].values.tolist() for dim in dims))
    for place, one in zip(labels, getattr(found, "estimates", (found,)), strict=True):
        yield dict(zip(dims, place, strict=True)), one
