"""Loops: two branches of a measure over a parameter, followed up and down, and where they switch."""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from toymodels.analysis.ranges import crossing
from toymodels.arrays import Array, Float


def switch(
    x: Float[Array, " points"] | ArrayLike, measure: Float[Array, "*runs points"] | ArrayLike, level: float | int
) -> Float[np.ndarray, "*runs"]:
    """The x > 0 at which each measure first falls through `level`, interpolated in ln x; NaN where it never does.

    The measure goes with ascending x from one side of the transition, where it is above the level, to the other. A run
    that starts below the level, or never comes below it, has no switch. For a way that was gone through downwards, give
    it in ascending x all the same: the switch is where the two sides meet. ValueError for x that does not ascend from
    above 0, or another number of points.
    """
    x, values = np.asarray(x, np.float64), np.asarray(measure, np.float64)
    if x.ndim != 1 or values.shape[-1:] != x.shape or len(x) < 2:
        raise ValueError(f"x of shape {x.shape} and measure of {values.shape}: as many points, two or more")
    if not (x[0] > 0 and (np.diff(x) > 0).all()):
        raise ValueError("x: ascending and greater than 0")
    return np.where(values[..., 0] < level, np.nan, np.exp(crossing(np.log(x), values - level)))


def switches(
    x: Float[Array, " points"] | ArrayLike, measure: xr.DataArray, level: float | int, along: str = "level"
) -> xr.DataArray:
    """`switch` of labelled runs."""
    return xr.apply_ufunc(lambda values: switch(x, values, level), measure, input_core_dims=[[along]])


def loop_area(
    x: Float[Array, " points"] | ArrayLike, up: xr.DataArray, down: xr.DataArray, along: str = "level"
) -> xr.DataArray:
    """int |up - down| d ln x by the trapezium rule, both ways on the same x: 0 where a transition leaves no memory."""
    return abs(up - down).assign_coords({along: np.log(np.asarray(x, np.float64))}).integrate(along)
