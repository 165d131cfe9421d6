"""What a layer y = W ReLU(encoderᵀ x) + b computes of each feature: its response to that feature alone.

Without hidden biases the response to a lone x_i is linear on either side of 0, so two numbers tell all of it: what y_i
rises by at x_i = 1 and at x_i = -1. W and encoder are features x hidden, labelled.
"""

from collections.abc import Callable

import numpy as np
import xarray as xr

from toymodels.analysis.labelled import HIDDEN

SIGNS = (1, -1)
COMPUTED = 0.5
"""Error of the responses below which a feature is computed. No linear layer is: its error of ReLU(x) is at least a
half, of |x| at least 1 (`theory.computation.linear_error`); nor is |x| by a neuron for one sign, at a half."""


def lone_responses(encoder: xr.DataArray, W: xr.DataArray, linear: bool = False) -> xr.DataArray:
    """y_i(x) - b_i for x = 1 and x = -1 on feature i alone: (sign, ..., feature); without ReLU if `linear`.

    Hidden units that are NaN pad a narrow model to the width of the widest, and count as 0; a lost model is NaN.
    """
    lost = W.isnull().all([HIDDEN])
    inward, outward = encoder.fillna(0), W.fillna(0)
    sides = [sign * inward if linear else (sign * inward).clip(min=0) for sign in SIGNS]
    found = xr.concat([(outward * side).sum(HIDDEN) for side in sides], xr.Variable("sign", list(SIGNS)))
    return found.where(~lost)


def response_error(responses: xr.DataArray, target: Callable[[np.ndarray], np.ndarray]) -> xr.DataArray:
    """sum over signs of (response - f(sign))² over sum of f(sign)²: 0 if exact, 1 if ignored.

    For ReLU(x) and |x| it is also the mean square error over x in U[-1, 1], over that of no response.
    """
    wanted = xr.DataArray(np.asarray(target(np.array(SIGNS, float)), float), {"sign": list(SIGNS)}, ("sign",))
    return ((responses - wanted) ** 2).sum("sign", skipna=False) / float((wanted**2).sum())


def computed(error: xr.DataArray) -> xr.DataArray:
    """Whether each feature is computed: its error is below a half; NaN stays NaN."""
    return xr.where(error.isnull(), np.nan, error < COMPUTED)
