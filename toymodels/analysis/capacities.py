"""Capacities C of features (dimensionalities, see `geometry`) as phases, and losses by them. Scherlis et al. 2022.

Labelled arrays with a dimension "feature"; NaN for models that are lost.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import xarray as xr

from toymodels.analysis.decomposition import loss_parts
from toymodels.analysis.geometry import feature_dimensionality
from toymodels.analysis.labelled import each_model

NONE, WHOLE = 0.02, 0.98
"""Capacities up to which a feature counts as ignored, and from which as monosemantic; between, as polysemantic."""
PHASES = ("ignored", "polysemantic", "monosemantic")
PARTS = ("ignored features", "bias and length", "interference, feature off", "interference, feature on")
"""What `parts_by_capacity` parts a loss into."""


def phases(C: xr.DataArray) -> xr.DataArray:
    """The place in `PHASES` of each feature."""
    return ((C > NONE) * 1.0 + (C >= WHOLE)).where(C.notnull())


def phase_counts(C: xr.DataArray) -> xr.DataArray:
    """(phase, ...): number of features in each of `PHASES`."""
    found = phases(C) == xr.DataArray(range(len(PHASES)), {"phase": list(PHASES)}, "phase")
    return found.sum("feature").where(C.notnull().all("feature")).transpose("phase", ...)


def parts_by_capacity(
    x: xr.DataArray,
    W: xr.DataArray,
    b: xr.DataArray,
    importance: np.ndarray,
    thresholds: Sequence[float] = (NONE,),
    power: float = 2.0,
) -> xr.DataArray:
    """(part, ..., threshold): the loss of every ReLU autoencoder over its draws x, (..., draw, feature), in `PARTS`.

    All the loss at features of capacity up to a threshold, and `loss_parts` of the others, which sum to the loss.
    """
    core = [["draw", "feature"], ["feature", "hidden"], ["feature"]]
    read = partial(loss_parts, importance=importance, power=power)
    parts = each_model(read, x, W, b, core=core, outputs=["part", "feature"])
    ignored = feature_dimensionality(W) <= xr.DataArray(list(thresholds), {"threshold": list(thresholds)}, "threshold")
    rest = (parts.sum("part", skipna=False) * ignored).expand_dims("part")
    found = xr.concat([rest, parts * ~ignored], "part").sum("feature", skipna=False)
    return found.assign_coords(part=list(PARTS)).transpose("part", ..., "threshold")
