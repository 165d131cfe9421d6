"""Polygons of a ReLU autoencoder in a plane, and the features that they leave over."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from toymodels.analysis.geometry import tegum_factors
from toymodels.analysis.labelled import each_model, exact_losses
from toymodels.arrays import Array, Bool, Float

DEAD = 0.25
"""Norm, as a fraction of the largest, up to which a feature is left over: dropped or faint."""

SILENT = 0.01
"""Largest output up to which a feature counts as silent: whatever is active, it stays off."""

SAME = 0.98
"""Cosine from which two features count as one vertex."""


def silent(
    W: Float[Array, "*models features hidden"] | ArrayLike, b: Float[Array, "*models features"] | ArrayLike
) -> Bool[np.ndarray, "*models features"]:
    """Which features never have an output, whichever is active: max_i W_j.W_i + b_j, as b_j, is at most SILENT."""
    W, b = np.asarray(W, np.float64), np.asarray(b, np.float64)
    return np.asarray(np.maximum((W @ np.swapaxes(W, -1, -2)).max(-1), 0) + b <= SILENT)


def polygon_name(W: Float[Array, "features hidden"] | ArrayLike, b: Float[Array, " features"] | ArrayLike) -> str:
    """Of one model: the polygon of its vertices, and how many features double one, or are left over.

    Dropped: its mean is predicted. Silent: always off. Faint: off but for the largest values of a feature or two. As
    Chen et al. 2023, arXiv 2310.06301, tell k-gons with features left over apart: "pentagon, 1 dropped, 2 silent".
    """
    W, b = np.asarray(W, np.float64), np.asarray(b, np.float64)
    norms = np.linalg.norm(W, axis=1)
    off = silent(W, b)
    small = ~off & (norms <= DEAD * norms.max())
    live = np.flatnonzero(~off & ~small)
    units = W[live] / norms[live, None]
    first = [i for i in range(len(live)) if not (units[:i] @ units[i] > SAME).any()]
    name = tegum_factors(W[live][first], tol=0.03).name if len(live) else "nothing"
    counts = {
        "doubled": len(live) - len(first),
        "dropped": (small & (b > 0)).sum(),
        "faint": (small & (b <= 0)).sum(),
        "silent": off.sum(),
    }
    return ", ".join([name, *(f"{count} {what}" for what, count in counts.items() if count)])


def named_polygons(W: xr.DataArray, b: xr.DataArray, loss: Callable[..., Any]) -> xr.Dataset:
    """W and b, loss(W, b) and `polygon_name` of every model; of silent features W is set to 0 and b to -1."""
    core = [["feature", "hidden"], ["feature"]]
    off = xr.apply_ufunc(silent, W, b, input_core_dims=core, output_core_dims=[["feature"]])
    W, b = W.where(~off, 0.0), b.where(~off, -1.0)
    return xr.Dataset(
        {"W": W, "b": b, "loss": exact_losses(loss, W, b), "name": each_model(polygon_name, W, b, core=core)}
    )
