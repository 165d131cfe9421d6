"""Which components of a target are learned when, up to a constant that is added to all entries of the matrix.

Cross-entropy over entries does not see such a constant, so matrices are compared less the mean of their entries.
Dimensions are matched by name: U has `row` and `component`, V `column` and `component`, the target's vectors `target`.
"""

import numpy as np
import xarray as xr

from toymodels.analysis.alignment import span_alignment
from toymodels.analysis.ranges import crossing


def strengths(U: xr.DataArray, V: xr.DataArray, left: xr.DataArray, right: xr.DataArray) -> xr.DataArray:
    """a_kᵀ (Ã - mean Ã) b_k of Ã = U Vᵀ, along `target`."""
    overlap = xr.dot(xr.dot(U, left, dim="row"), xr.dot(V, right, dim="column"), dim="component")
    middle = xr.dot(U.mean("row"), V.mean("column"), dim="component")
    return overlap - middle * left.sum("row") * right.sum("column")


def half_times(strength: xr.DataArray, whole: xr.DataArray) -> xr.DataArray:
    """The snapshot, interpolated, at which each strength is first half of its whole; infinite if it never is."""
    ratio = strength / whole

    def of_curves(curves: np.ndarray) -> np.ndarray:
        return np.asarray(crossing(strength.snapshot.values, 0.5 - curves))

    return xr.apply_ufunc(of_curves, ratio, input_core_dims=[["snapshot"]]).fillna(np.inf)


def order_share(times: xr.DataArray) -> xr.DataArray:
    """The share of pairs of components, along `target`, whose first one comes first; ties count half. In [0, 1]."""
    early, late = np.triu_indices(times.sizes["target"], 1)
    first, second = (times.isel(target=xr.DataArray(places, dims="pair")) for places in (early, late))
    return ((first < second) + 0.5 * (first == second)).mean("pair")


def leading_span(learned: xr.DataArray, target: xr.DataArray, count: int) -> xr.DataArray:
    """Span alignment of the `count` leading left singular vectors of two matrices less their means, in [0, 1].

    Matrices have the dimensions `row` and `column`. One that is not finite gives NaN.
    """

    def leading(matrices: np.ndarray) -> np.ndarray:
        centred = matrices - matrices.mean((-1, -2), keepdims=True)
        vectors = np.linalg.svd(np.where(np.isfinite(centred), centred, 0.0))[0][..., :count]
        return np.swapaxes(np.where(np.isfinite(centred).all((-1, -2), keepdims=True), vectors, np.nan), -1, -2)

    def aligned(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.asarray(span_alignment(leading(one), leading(other)))

    return xr.apply_ufunc(aligned, learned, target, input_core_dims=[["row", "column"]] * 2)
