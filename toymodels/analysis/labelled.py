"""Functions of weight matrices applied to labelled weights: dimensions are matched by name, models that are lost are NaN."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from toymodels.analysis.restarts import finite_losses

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
        whole = [np.broadcast_to(a, (*cells, *a.shape[a.ndim - len(own) :])) for a, own in zip(arrays, dims, strict=True)]
        models = ([array[place] for array in whole] for place in np.ndindex(cells))
        found = [read(*model) if all(np.isfinite(each).all() for each in model) else None for model in models]
        known = next((each for each in found if each is not None), np.nan)
        lost = "lost" if isinstance(known, str) else np.full(np.shape(known), np.nan)
        return np.array([lost if each is None else each for each in found]).reshape(*cells, *np.shape(known))

    return xr.apply_ufunc(of_arrays, *weights, input_core_dims=dims, output_core_dims=[list(outputs)])
