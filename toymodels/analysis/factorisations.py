"""Readings of labelled factorisations: alignment with the target over training, bumps, half-drops, plateau levels.

Dimensions are matched by name: U has `row` and `component`, V `column` and `component`, a trajectory `snapshot`, a loss
`step`.
"""

from functools import partial

import numpy as np
import xarray as xr

from toymodels.analysis.alignment import bumps, component_alignment, span_alignment
from toymodels.analysis.labelled import plateau_table
from toymodels.analysis.ranges import half_drop


def alignments(U: xr.DataArray, V: xr.DataArray, left: xr.DataArray, right: xr.DataArray) -> xr.Dataset:
    """`cosine` of each learned component with each target one, `span` alignment of U, and the number of `bumps`.

    left and right: the a_k and b_k, with dimensions (..., target, row) and (..., target, column). A bump is a maximum
    of a cosine over snapshots that rises and falls back by at least 0.1; bumps of all pairs are counted together.
    Models that are not finite give NaN.
    """
    core = [["row", "component"], ["column", "component"], ["target", "row"], ["target", "column"]]
    pairs = [["component", "target"]]
    cosine = xr.apply_ufunc(component_alignment, U, V, left, right, input_core_dims=core, output_core_dims=pairs)
    span = xr.apply_ufunc(_span, U, left, input_core_dims=[core[0], core[2]])
    count = xr.apply_ufunc(lambda one: float(len(bumps(one))), cosine, input_core_dims=[["snapshot"]], vectorize=True)
    whole = np.isfinite(span).all("snapshot")
    return xr.Dataset({"cosine": cosine, "span": span, "bumps": count.sum(["component", "target"]).where(whole)})


def _span(U: np.ndarray, left: np.ndarray) -> np.ndarray:
    return np.asarray(span_alignment(np.swapaxes(U, -1, -2), left))


def matched(cosine: xr.DataArray) -> xr.DataArray:
    """Mean |cos| of the better of the two one-to-one pairings of two learned with two target components."""
    at = {(i, k): cosine.isel(component=i, target=k) for i in range(2) for k in range(2)}
    return xr.apply_ufunc(np.maximum, at[0, 0] + at[1, 1], at[0, 1] + at[1, 0]) / 2


def half_drops(loss: xr.DataArray, before: xr.DataArray | float, after: xr.DataArray | float) -> xr.DataArray:
    """The step at which each loss is half way between two levels; see `ranges.half_drop`."""
    read = partial(half_drop, loss.step.values)
    return xr.apply_ufunc(read, loss, before, after, input_core_dims=[["step"], [], []])


def treads(loss: xr.DataArray, levels: xr.DataArray) -> xr.Dataset:
    """The plateaus of every loss, held against predicted levels along a dimension `stage`.

    `error`: level / nearest predicted level - 1 of each plateau; `stage_error`: of each predicted level, the mean over
    its plateaus, NaN where there is none; `complete`: whether every level between the first and the last has one, 1 or
    0, NaN for a lost run.
    """
    table = plateau_table(loss)
    distance = abs(np.log(table.level / levels)).fillna(np.inf)
    nearest = distance.argmin("stage")
    error = table.level / levels.isel(stage=nearest) - 1
    of_stage = error.where(nearest == xr.DataArray(np.arange(levels.sizes["stage"]), dims="stage")).mean("plateau")
    complete = ((table.kind == "interior").sum("plateau") == levels.sizes["stage"] - 2).astype(float)
    complete = complete.where(loss.notnull().any("step"))
    found = {"error": error, "stage_error": of_stage, "complete": complete}
    return table.rename(level="height").assign(found).drop_vars("stage", errors="ignore")


def above_optimum(reached: xr.DataArray, levels: xr.DataArray) -> xr.Dataset:
    """Final losses and their optima, both over the loss at the start: levels of rank 0, 1, ... along `stage`."""
    start = levels.isel(stage=0)
    least = levels.isel(stage=reached["rank"]).assign_coords(rank=reached["rank"]) / start
    return xr.Dataset({"reached": reached / start, "least": least})


def still_falling(late: xr.DataArray) -> str:
    """A note on how many runs had not converged; empty if all had."""
    return f"{int(late.sum())} of {late.size} runs were still falling" if late.any() else ""
