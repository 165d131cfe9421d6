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

    labelled = [setting if isinstance(setting, xr.DataArray) else xr.DataArray(setting) for setting in settings]
    core = [[FEATURE, HIDDEN], [FEATURE], *([FEATURE] if FEATURE in each.dims else [] for each in labelled)]
    return xr.apply_ufunc(of_arrays, W, b, *labelled, input_core_dims=core)


def each_model(
    read: Callable[..., Any], *weights: xr.DataArray, core: Sequence[Sequence[str]] = (), outputs: Sequence[str] = ()
) -> xr.DataArray:
    """read(W, ...) of every model, one by one; NaN where a model is not finite.

    `core` names the dimensions of a model in each array (by default feature and hidden, of one array) and `outputs`
    those of the answer, which keeps the shape that `read` gives.
    """
    dims = [list(each) for each in core] or [[FEATURE, HIDDEN]]

    def of_finite(*model: np.ndarray) -> Any:
        if all(np.isfinite(each).all() for each in model):
            return read(*model)
        sizes = dict(zip([d for own in dims for d in own], [s for each in model for s in each.shape], strict=True))
        return np.full([sizes[dim] for dim in outputs], np.nan)

    return xr.apply_ufunc(of_finite, *weights, input_core_dims=dims, output_core_dims=[list(outputs)], vectorize=True)
