"""Functions of weight matrices applied to labelled weights: dimensions match by name, models that are lost are NaN."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from toymodels.analysis.dynamics import Plateau, plateaus
from toymodels.analysis.restarts import finite_losses
from toymodels.analysis.statistics import Spread, spread

FEATURE, HIDDEN = "feature", "hidden"


def exact_losses(loss: Callable[..., Any], W: xr.DataArray, b: xr.DataArray, *settings: Any) -> xr.DataArray:
    """loss(W, b, *settings) of every model; NaN for models that are not finite.

    `loss` takes (..., features, hidden), (..., features) and arrays that broadcast against the models, as
    `theory.superposition.expected_loss` does. Settings are numbers, or labelled along axes of the models; one with a
    dimension "feature" has a number for each feature.
    """

    def of_arrays(W: np.ndarray, b: np.ndarray, *rest: np.ndarray) -> np.ndarray:
        return finite_losses(loss, W, b, *rest)

    # A setting that is one for all features still gets an axis for them, of length 1.
    labelled = [xr.DataArray(each) if FEATURE in getattr(each, "dims", ()) else _one(each) for each in settings]
    core = [[FEATURE, HIDDEN], [FEATURE], *([FEATURE if FEATURE in each.dims else "one"] for each in labelled)]
    return xr.apply_ufunc(of_arrays, W, b, *labelled, input_core_dims=core)


def _one(setting: Any) -> xr.DataArray:
    return xr.DataArray(setting).expand_dims("one", axis=-1)


def each_model(
    read: Callable[..., Any], *weights: xr.DataArray, core: Sequence[Sequence[str]] = (), outputs: Sequence[str] = ()
) -> xr.DataArray:
    """read(W, ...) of every model, one by one: a number, a name, or an array with the dimensions `outputs`.

    `core` names the dimensions of a model in each array; by default, feature and hidden of one array. A model that is
    not finite gives NaN, or the name "lost".
    """
    dims = [list(each) for each in core] or [[FEATURE, HIDDEN]]

    def of_arrays(*arrays: np.ndarray) -> np.ndarray:
        cells = np.broadcast_shapes(*(a.shape[: a.ndim - len(own)] for a, own in zip(arrays, dims, strict=True)))
        whole = [
            np.broadcast_to(a, (*cells, *a.shape[a.ndim - len(own) :])) for a, own in zip(arrays, dims, strict=True)
        ]
        models = ([array[place] for array in whole] for place in np.ndindex(cells))
        found = [read(*model) if all(np.isfinite(each).all() for each in model) else None for model in models]
        known = next((each for each in found if each is not None), np.nan)
        lost = "lost" if isinstance(known, str) else np.full(np.shape(known), np.nan)
        return np.array([lost if each is None else each for each in found]).reshape(*cells, *np.shape(known))

    return xr.apply_ufunc(of_arrays, *weights, input_core_dims=dims, output_core_dims=[list(outputs)])


def plateau_table(loss: xr.DataArray, along: str = "step") -> xr.Dataset:
    """start, stop, level, kind and middle of the plateaus of every curve, along a dimension "plateau" in order of time.

    `dynamics.plateaus` at its defaults; curves with fewer plateaus than others are filled with NaN, kind "". The middle
    is halfway on a logarithmic axis, from step 1 on; that of a final plateau is its end.
    """
    cells = [dim for dim in loss.dims if dim != along]
    curves = loss.transpose(*cells, along).values
    found = [plateaus(loss[along].values, curve) for curve in curves.reshape(-1, curves.shape[-1])]
    most = max(map(len, found), default=0)
    table = [
        [(*flat, _middle(flat)) for flat in own] + [(np.nan,) * 3 + ("", np.nan)] * (most - len(own)) for own in found
    ]
    columns = {}
    for place, name in enumerate(("start", "stop", "level", "kind", "middle")):
        values = np.array([[row[place] for row in own] for own in table]).reshape(*curves.shape[:-1], most)
        columns[name] = ([*cells, "plateau"], values)
    return xr.Dataset(columns, {dim: loss[dim] for dim in cells if dim in loss.coords})


def _middle(flat: Plateau) -> float:
    return flat.stop if flat.kind == "final" else float(np.sqrt(max(flat.start, 1) * max(flat.stop, 1)))


def indicators(names: xr.DataArray, dim: str = "name", known: Sequence[Any] | None = None) -> xr.DataArray:
    """Whether each entry has each of the names that are known, or that occur, along a new first dimension: for the
    shares of all names. Names may be numbers; NaN has none of them, and gives NaN."""
    every = np.unique(names.values) if known is None else np.asarray(known)
    flags = xr.concat([names == name for name in every], xr.Variable(dim, every))
    return flags if names.notnull().all() else xr.where(names.isnull(), np.nan, flags).transpose(dim, ...)


def named(names: xr.DataArray, name: str) -> xr.DataArray:
    """1 where a model has this name and 0 where it has another; NaN for lost models, which have none."""
    return xr.where(names == "lost", np.nan, names == name)


def padded(rows: Sequence[Sequence[Any]], *inner: int) -> np.ndarray:
    """Lists of unequal lengths as one array, with NaN at their ends; at least one column, for netCDF has none of none.

    inner: the shape of an entry, where it is not a number.
    """
    whole = np.full((len(rows), max(1, *map(len, rows)), *inner), np.nan)
    for place, row in enumerate(rows):
        if row:
            whole[place, : len(row)] = row
    return whole


def in_ranges(
    models: xr.Dataset, ranges: Mapping[str, tuple[float, float]], along: str = "p"
) -> Iterator[tuple[str, str, xr.Dataset]]:
    """Of each range of a coordinate that has models: its name, a text as "p of 0.2 to 0.3", and the models in it, both
    ends included."""
    for name, (low, high) in ranges.items():
        inside = models.sel({along: slice(low, high)})
        if inside[along].size:
            yield name, f"{along} of {low:g} to {high:g}", inside


def lead(values: xr.DataArray, **label: Any) -> xr.DataArray:
    """The value at one label of a dimension minus the largest at the others."""
    return values.sel(label, drop=True) - values.drop_sel(label).max(list(label), skipna=False)


def over_seeds(values: xr.DataArray, over: str = "seed") -> Spread:
    """Mean and range over seeds, as arrays with the other dimensions in their order: what `draw.band` takes."""
    return spread(values.transpose(..., over).values)


def line(x: xr.DataArray, y: xr.DataArray, along: str) -> xr.Dataset:
    """slope and intercept of y against x by least squares along a dimension, and the start and stop of x; what is not
    finite in either is left out."""
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x.where(both), y.where(both)
    slope = xr.cov(x, y, along, ddof=0) / x.var(along)
    ends = {"start": x.min(along), "stop": x.max(along)}
    return xr.Dataset({"slope": slope, "intercept": y.mean(along) - slope * x.mean(along), **ends})


def rank_correlation(x: xr.DataArray, y: xr.DataArray, along: str) -> xr.DataArray:
    """Spearman's rank correlation along a dimension; what is not finite in either is left out. In [-1, 1]."""
    from scipy.stats import spearmanr  # slow to import

    def of_arrays(one: np.ndarray, other: np.ndarray) -> float:
        both = np.isfinite(one) & np.isfinite(other)
        return float(spearmanr(one[both], other[both]).statistic)

    return xr.apply_ufunc(of_arrays, x, y, input_core_dims=[[along], [along]], vectorize=True)
