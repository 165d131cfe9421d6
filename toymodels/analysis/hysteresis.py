"""Loops: two branches of a measure over a parameter, followed up and down, and where they switch."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from toymodels.analysis.labelled import exact_losses
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


def lifetimes(
    x: Float[Array, " points"] | ArrayLike,
    first: xr.Dataset,
    second: xr.Dataset,
    level: float | int,
    rising: bool = False,
    along: str = "level",
) -> xr.Dataset:
    """How long two geometries live on beyond the x at which they cost the same, run by run, in ln x.

    first, second: "measure" and "loss" on the ways on which each is carried along, both in ascending x. The first has
    the measure above `level`; it is stable at small x, or, `rising`, at large x. gone, back: where either ends (NaN
    where never); equal: where both cost the same; first, second: from there to its end, or to the end of x for a second
    that never ends, and 0 where losses do not meet while both live, or for a first that never ends; NaN for runs with
    a measure that is.
    """
    x, side = np.asarray(x, np.float64), -1 if rising else 1
    gone, back = (switches(x, side * each.measure, side * level, along) for each in (first, second))
    both = (first.measure > level) & (second.measure < level)
    equal = switches(x, (side * np.log(second.loss / first.loss)).where(both), 0, along)
    known = (first.measure + second.measure).notnull().all(along)
    lives: dict[str, Any] = {"first": gone / equal, "second": equal / back.fillna(x[-1] if rising else x[0])}
    found = {name: (np.log(ratio) * side).fillna(0).where(known) for name, ratio in lives.items()}
    return xr.Dataset({"gone": gone, "back": back, "equal": equal, **found})


def both_ways(
    swept: Any, labels: Mapping[str, Any], span: tuple[float, float], loss: Callable[..., Any], importance: Any = 1
) -> xr.Dataset:
    """Models at the end of every level of an annealed sweep, both ways, in ascending x: `measure`, least over largest
    norm of the features, `loss`(W, b, p, importance), and `area` of the loop of the measure.

    labels: for the name of each way, its label along the axis "way". span: the range of x, in equal ratios.
    """
    branches = [_branch(swept, label, loss, importance) for label in labels.values()]
    x = np.geomspace(*span, branches[0].sizes["level"])
    data = xr.concat(branches, xr.Variable("way", list(labels))).assign_coords(x=("level", x))
    return data.assign(area=loop_area(x, *(each.measure for each in branches)))


def _branch(swept: Any, label: Any, loss: Callable[..., Any], importance: Any) -> xr.Dataset:
    first = {axis.name: axis.labels[0] for axis in swept.sweep.axes}
    problem, count = swept.run(**first | {"way": label}).problem, swept.sweep.base.steps
    ends = (np.broadcast_to(end.data.p, swept.data.sizes["feature"]) for end in (problem.start, problem.end))
    p = np.stack([problem.levels(*each) for each in zip(*ends, strict=True)], -1)
    stops = np.arange(1, problem.stairs + 1) * count // problem.stairs
    cells = swept.data[["W", "b"]].sel(way=label, snapshot=stops, drop=True).astype(np.float64)
    cells = cells.rename(snapshot="level").drop_vars("level")
    norms = np.sqrt((cells.W**2).sum("hidden", skipna=False))
    measure = norms.min("feature", skipna=False) / norms.max("feature", skipna=False)
    lost = exact_losses(loss, cells.W, cells.b, xr.DataArray(p, dims=("level", "feature")), importance)
    made = xr.Dataset({"measure": measure, "loss": lost})
    return made.isel(level=slice(None, None, -1)) if p[0, 0] > p[-1, 0] else made
