"""Geometry of models with a normaliser: x' = output(W norm(encoderᵀ x + c) + b), W and encoder features x hidden.

LayerNorm takes the mean over hidden units out of what enters it, and gives vectors without mean: what W, encoder and c
have along (1, ..., 1) has no effect and no gradient, and stays as it was drawn. `centred` takes it out before anything
is measured.
"""

import numpy as np
import xarray as xr

from toymodels.analysis.geometry import feature_dimensionality
from toymodels.analysis.labelled import FEATURE, HIDDEN

KEPT = 0.5
"""Length of a row over the longest from which a feature counts as represented."""


def centred(weights: xr.DataArray) -> xr.DataArray:
    """Weights without their mean over hidden units."""
    return weights - weights.mean(HIDDEN, skipna=False)


def along_ones(weights: xr.DataArray) -> xr.DataArray:
    """Components of rows along the unit vector (1, ..., 1) / sqrt m."""
    return weights.sum(HIDDEN, skipna=False) / np.sqrt(weights.sizes[HIDDEN])


def represented(W: xr.DataArray) -> xr.DataArray:
    """How many rows are longer than half of the longest; NaN for a lost model."""
    length = (W**2).sum(HIDDEN, skipna=False) ** 0.5
    longest = length.max(FEATURE, skipna=False)
    return (length > KEPT * longest).sum(FEATURE).where(longest.notnull())


def dimensions_used(W: xr.DataArray) -> xr.DataArray:
    """sum_i D_i, at most the rank of W, with equality where features tile the space evenly."""
    return xr.DataArray(feature_dimensionality(W)).sum(FEATURE, skipna=False)


def carrier(encoder: xr.DataArray, c: xr.DataArray) -> xr.DataArray:
    """|c| over the root mean square length of the encoder's rows: how large the constant direction is beside a feature
    that is 1."""
    return ((c**2).sum(HIDDEN, skipna=False) / (encoder**2).sum(HIDDEN, skipna=False).mean(FEATURE)) ** 0.5


def share_along(W: xr.DataArray, c: xr.DataArray) -> xr.DataArray:
    """Share of the squared weights along c; 1/m for weights that do not care, 0 where they leave it to c."""
    square = (c**2).sum(HIDDEN, skipna=False)
    inner = ((W * c).sum(HIDDEN, skipna=False) ** 2).sum(FEATURE, skipna=False)
    return inner / (square * (W**2).sum([FEATURE, HIDDEN], skipna=False)).where(square > 0)


def directions_lost(loss: xr.DataArray, plain: xr.DataArray, over: str = "m") -> xr.DataArray:
    """m - m(loss), m the widest: how many hidden units fewer, without a normaliser, lose as much; by interpolation of
    the mean log loss of `plain` models, which falls along `over`. 0 below the loss of the widest; beyond the narrowest
    the number of units missing there, and one more where the loss is above."""

    def one(value: float, known: np.ndarray) -> float:
        if not np.isfinite(value):
            return np.nan
        extended = [2 * known[0] - known[1], *known]  # falling
        widths = [plain[over].values[0] - 1, *plain[over].values]
        return float(widths[-1] - np.interp(-value, np.negative(extended), widths))

    curve = np.log(plain.mean("seed"))
    return xr.apply_ufunc(one, np.log(loss), curve, input_core_dims=[[], [over]], vectorize=True)
