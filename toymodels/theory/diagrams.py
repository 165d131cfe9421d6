"""Phase diagrams as labelled Datasets: the optimum on a grid (p, r), its boundaries, its changes along cuts in r.

The extra feature is the last, of importance r beside others of importance 1; a `Question` lists its arrangements.
"""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from toymodels.theory import phases
from toymodels.theory.branches import Question


def extra_feature(W: xr.DataArray) -> xr.Dataset:
    """|W_e| of the last feature e, and its superposition sum_{j != e} (W_e . W_j)^2 / |W_e|^2 (0 where it is short)."""
    products = xr.dot(W.isel(feature=-1), W, dim="hidden")
    square = products.isel(feature=-1)
    others = (products.isel(feature=slice(-1)) ** 2).sum("feature", skipna=False)
    return xr.Dataset({"norm": np.sqrt(square), "superposition": (others / square).where(~(square <= 1e-4), 0)})


def branches_of(W: xr.DataArray) -> xr.DataArray:
    """`phases.branch_of` of every model; "lost" where one is not finite."""
    return xr.apply_ufunc(_branches_of, W, input_core_dims=[["feature", "hidden"]])


def _branches_of(W: np.ndarray) -> np.ndarray:
    """One model of each kind is looked at: arrangements depend on short rows and on the signs of products alone."""
    models = W.reshape(-1, *W.shape[-2:])
    found = np.isfinite(models).all((-2, -1))
    products = np.nan_to_num(models) @ np.swapaxes(np.nan_to_num(models), -1, -2)
    norms = np.sqrt(np.diagonal(products, axis1=-2, axis2=-1))
    scale = np.maximum(norms[:, :, None] * norms[:, None], 1e-300)
    kept = norms > 0.1 * np.maximum(norms.max(-1, keepdims=True), 0.1)
    kinds = np.sign(products) * np.where(np.abs(products / scale) > 0.05, 2, 1)
    code = np.concatenate([found[:, None], kept, kinds.reshape(len(models), -1)], axis=1)
    _, first, which = np.unique(code, axis=0, return_index=True, return_inverse=True)
    names = np.array([phases.branch_of(models[place]) if found[place] else "lost" for place in first])
    return names[which.ravel()].reshape(W.shape[:-2])


def optimum_on_grid(question: Question, p: ArrayLike, r: ArrayLike) -> xr.Dataset:
    """loss and name of the best arrangement, and gap: the loss of the second best over it, minus 1."""
    found = question(*np.meshgrid(np.asarray(p, np.float64), np.asarray(r, np.float64), indexing="ij"))
    first, second = np.sort(found.loss, axis=0)[:2]
    columns = {"loss": first, "name": np.array(found.names)[found.winner()], "gap": second / first - 1}
    return xr.Dataset({name: (("p", "r"), values) for name, values in columns.items()}, {"p": p, "r": r})


def losses_on_grid(question: Question, p: ArrayLike, r: ArrayLike, name: str) -> xr.Dataset:
    """The least loss of each arrangement, inf where it does not exist: `name`, by an axis named after it, p and r."""
    found = question(*np.meshgrid(np.asarray(p, np.float64), np.asarray(r, np.float64), indexing="ij"))
    labels = {f"{name}_arrangement": list(found.names), "p": p, "r": r}
    return xr.Dataset({name: ((f"{name}_arrangement", "p", "r"), found.loss)}, labels)


def boundary_lines(question: Question, p: ArrayLike, ends: Mapping[str, tuple[str, ...]]) -> xr.Dataset:
    """r of `phases.boundary` at p and, where the lines are steep, between; by the names of the ends."""
    p = np.asarray(p, np.float64)
    dense = np.unique(np.append(p, np.geomspace(0.45, 1, 12)[:-1] * p.max()))
    r = phases.boundaries(question, dense, list(ends.values()))
    return xr.Dataset({"r": (("side", "density"), r)}, {"side": list(ends), "density": dense})


def changes_along(question: Question, p: ArrayLike, r: ArrayLike) -> xr.Dataset:
    """`phases.transitions` for each p, searched on four times the grid r, and the cells of the grid below and above
    each ("cell"); a cell at the tie itself is on neither side."""
    r = np.asarray(r, np.float64)
    found = phases.transitions(question, np.array(p), _fine(r, r[0], r[-1]))
    columns = zip(*found, strict=True) if found else [()] * len(phases.Transition._fields)
    named = zip(phases.Transition._fields, columns, strict=True)
    data = xr.Dataset({name: ("change", np.array(values)) for name, values in named})
    ends = np.searchsorted(r, 0.999 * data.r) - 1, np.searchsorted(r, 1.001 * data.r)
    return data.assign(cell=(("end", "change"), np.clip(ends, 0, len(r) - 1))).assign_coords(end=["below", "above"])


def jumps_across(question: Question, models: xr.Dataset, change: xr.Dataset) -> xr.Dataset:
    """What `models` (p, r, seed; W among them) has in the cells below and above a change ("end"), and of their W, by
    `phases.compared_jumps`: `away`, the distance from the nearest optimum, and `off`, the difference of the jump from
    each below to each above ("below", "above") from that between those optima."""
    own = models.isel(p=int(abs(models.p - change.p).argmin("p")), r=change.cell.drop_vars("end"))
    tied = phases.tied_optima(question, np.full(2, float(change.p)), own.r.values)
    away, off = phases.compared_jumps(*own.W.transpose("end", "seed", "feature", "hidden").values, *tied)
    found = {"away": (("end", "seed"), away), "off": (("below", "above"), off)}
    return own.drop_vars(["p", "r", "W"]).assign(found)


def optimum_along(question: Question, changes: xr.Dataset, r: ArrayLike, margin: float = 1.7) -> xr.Dataset:
    """The extra feature at the optimum along the cut on which these changes are, to a factor around them, in the range
    of r."""
    r, ends = np.asarray(r, np.float64), (float(changes.r.min()) / margin, float(changes.r.max()) * margin)
    fine, p = _fine(r, *ends), float(changes.p[0])
    W = xr.DataArray(question(np.full(len(fine), p), fine).best().W, dims=("place", "feature", "hidden"))
    return extra_feature(W).assign(r=("place", fine), p=p)


def _fine(r: np.ndarray, low: float, high: float) -> np.ndarray:
    """Four times as fine as the grid; of an even number, as r = 1 is a tie."""
    return np.geomspace(max(low, r[0]), min(high, r[-1]), 4 * len(r) - 2)
