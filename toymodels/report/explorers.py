"""What an explorer shows of a sweep: the feature vectors of models in training, W Wᵀ, D_i, loss and arrangement."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from toymodels.analysis.geometry import feature_dimensionality, tegum_factors
from toymodels.experiment import Swept
from toymodels.report.packing import Packed
from toymodels.results import DIVERGED, STATUS

VECTORS = (("feature", "hidden"), ("feature", "dimension"))
"""Dimensions of parameters whose rows are feature vectors."""
MOST_FEATURES, MOST_NAMED = 100, 16
"""Features up to which models are shown; up to which the arrangement has a name."""
DETAILS = ((40, 120), (20, 60), (10, 30))
"""Snapshots and points of the loss, at most; the later ones where fewer than `ENOUGH` models would fit."""
ENOUGH = 16
FEW = 4
"""Seeds that are kept while other axes can be thinned."""
ORTHOGONAL, DEAD = 0.1, 0.1
"""|cos| up to which two features count as orthogonal, norm over the largest up to which one counts as dropped: of
arrangements here."""
SHOWN = 3
"""Dimensions that a picture has."""


def vectors_of(data: xr.Dataset) -> str | None:
    """The parameter of a sweep whose rows are feature vectors, if it has one that can be shown."""
    for name, values in data.data_vars.items():
        if values.dims[-2:] in VECTORS and "snapshot" in values.dims and values.shape[-2] <= MOST_FEATURES:
            return str(name)
    return None


def room_for(swept: Swept) -> int:
    """About how many bytes all models of a sweep take; 0 where there are no feature vectors."""
    name = vectors_of(swept.data)
    if name is None:
        return 0
    of_a_cell = _bytes_of_a_cell(swept.data[name], *_moments(swept.data, *DETAILS[0]))
    return math.ceil(math.prod(swept.data[name].shape[:-3]) * of_a_cell / PACKED)


def explorer(swept: Swept, packed: Packed, most: int) -> dict[str, Any] | None:
    """A sweep's models, packed into at most about so many bytes; None where there are no feature vectors or no room.

    Labels, snapshots and steps are thinned evenly where there are too many, seeds to the first of them.
    """
    data = swept.data
    name = vectors_of(data)
    if name is None:
        return None
    axes = [str(dim) for dim in data[name].dims[:-3]]
    n, m = data[name].shape[-2:]
    sizes = {axis: data.sizes[axis] for axis in axes}
    for details in DETAILS:
        snapshots, steps = _moments(data, *details)
        cells = int(most * PACKED / _bytes_of_a_cell(data[name], snapshots, steps))
        if cells >= min(ENOUGH, math.prod(sizes.values())):
            break
    kept = thinned(sizes, cells)
    if kept is None:
        return None
    places = {
        axis: np.arange(count) if axis == "seed" else evenly(data.sizes[axis], count) for axis, count in kept.items()
    }
    few = data.isel(places)
    W = few[name].isel(snapshot=snapshots).astype(np.float64).load()
    loss = few.objective.isel(step=steps).astype(np.float64).load()
    labels = {axis: list(map(short, data[axis].values[where].tolist())) for axis, where in places.items()}
    status = few.status.transpose(*axes).values.ravel()
    rows = whole(W.values.reshape(-1, len(snapshots), n, m), status != DIVERGED)
    shown_rows, part = pictured(rows)
    final = loss.values.reshape(-1, len(steps))[:, -1]
    return {
        "axes": [{"name": axis, "labels": labels[axis], "of": data.sizes[axis]} for axis in axes],
        "features": n,
        "dimensions": m,
        "part": part,
        "snapshots": few.snapshot.values[snapshots].tolist(),
        "steps": few.step.values[steps].tolist(),
        "status": [STATUS[code] for code in status.tolist()],
        "names": [_arrangement(each[-1]) for each in rows],
        "final": [round(each, 9) if math.isfinite(each) else None for each in final.tolist()],
        "reach": float(np.nanmax(np.linalg.norm(shown_rows, axis=-1), initial=1e-9)),
        "vectors": packed.add(shown_rows),
        "products": packed.add(rows @ np.swapaxes(rows, -1, -2)),
        "dimensionality": packed.add(_dimensionalities(rows)),
        # Losses fall over many powers of ten.
        "log_loss": packed.add(np.log10(loss.where(loss > 0)).values.reshape(-1, len(steps))),
    }


def _moments(data: xr.Dataset, snapshots: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of at most so many snapshots and recorded steps."""
    return evenly(data.sizes["snapshot"], snapshots), evenly(data.sizes["step"], steps)


def _bytes_of_a_cell(W: xr.DataArray, snapshots: np.ndarray, steps: np.ndarray) -> int:
    """Numbers that are shown of a cell, of two bytes each."""
    n, m = W.shape[-2:]
    return 2 * (len(snapshots) * n * (n + min(m, SHOWN) + 1) + len(steps))


PACKED = 1.1
"""Bytes of numbers in a byte of the page: they are compressed, and written as text."""


def evenly(count: int, most: int) -> np.ndarray:
    """At most so many of the first `count` integers, evenly spaced, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def shared_out(wanted: Sequence[int], room: int) -> list[int]:
    """Room for each so that none gets more than it wants, and those that do not get it get the same."""
    shares, left = [0] * len(wanted), max(room, 0)
    order = sorted(range(len(wanted)), key=lambda each: wanted[each])
    for place, each in enumerate(order):
        shares[each] = min(wanted[each], left // (len(order) - place))
        left -= shares[each]
    return shares


def thinned(sizes: dict[str, int], most: int) -> dict[str, int] | None:
    """Labels to keep of each axis so that there are at most so many cells: seeds go first; None if there is no way."""
    kept = dict(sizes)
    while math.prod(kept.values()) > most:
        seeds = {axis: size for axis, size in kept.items() if axis == "seed" and size > FEW}
        left = (
            seeds or {axis: size for axis, size in kept.items() if size > 2} or {a: s for a, s in kept.items() if s > 1}
        )
        if not left:
            return None
        axis = max(left, key=lambda each: left[each])
        kept[axis] -= 1
    return kept


def short(label: Any) -> str:
    """A label of an axis, as it is shown."""
    return f"{label:.4g}" if isinstance(label, float) else str(label)


def whole(rows: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Vectors of models of several sizes, which are filled up with NaN to the largest: coordinates that a smaller model
    lacks become zeros, features that it lacks stay NaN. Models that are not `kept` are lost where a number is."""
    finite, kept = np.isfinite(rows), kept[:, None, None, None]
    lacking = np.isnan(rows) & finite.any(axis=-1, keepdims=True) & kept
    lost = ~finite.all(axis=(-2, -1), keepdims=True) & ~kept
    return np.where(lost, np.nan, np.where(lacking, 0.0, rows))


def _features(W: np.ndarray) -> np.ndarray:
    """Which features a model has."""
    return np.isfinite(W).all(axis=-1)


def _dimensionalities(rows: np.ndarray) -> np.ndarray:
    """D_i of the features that each model has."""
    found = np.full(rows.shape[:-1], np.nan)
    for place in np.ndindex(rows.shape[:2]):
        own = _features(rows[place])
        if own.any():
            found[place][own] = feature_dimensionality(rows[place][own])
    return found


def pictured(rows: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Vectors in at most three dimensions: their own, or the first principal ones of each model at its end; and how
    much of all models' squared lengths at the end these hold, where they are not all."""
    if rows.shape[-1] <= SHOWN:
        return rows, None
    ends = np.where(np.isfinite(rows[:, -1]), rows[:, -1], 0.0)
    turn = np.linalg.svd(ends, full_matrices=False)[2][:, :SHOWN]
    seen = np.einsum("csnm,cdm->csnd", rows, turn)
    return seen, float((np.nan_to_num(seen[:, -1]) ** 2).sum() / max((ends**2).sum(), 1e-300))


def _arrangement(W: np.ndarray) -> str:
    W = W[_features(W)]
    if not len(W):
        return "lost"
    return tegum_factors(W, tol=ORTHOGONAL, dead=DEAD).name if len(W) <= MOST_NAMED else ""
