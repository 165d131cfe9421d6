"""Labelled results: the cells of a grid as one xarray Dataset, lazy, with what became of each."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from toymodels.analysis.convergence import converged, diverged, settled
from toymodels.files import is_there
from toymodels.store import Grid, StoreError, View, locate

MISSING, OK, UNCONVERGED, DIVERGED = -1, 0, 1, 2
STATUS = {MISSING: "missing", OK: "ok", UNCONVERGED: "unconverged", DIVERGED: "diverged"}
"""What became of a cell, the variable `status` of a Dataset."""

Cells = Mapping[str, tuple[Any, int]]
"""digest -> (batch, place in it)"""


def open(path: str | Path) -> xr.Dataset | xr.DataTree:
    """A stored sweep as a lazy Dataset: labelled axes, then step or snapshot, then the parameters' own dimensions.

    Where cells were recorded at other steps, or have other shapes, the Dataset has the union of them, filled with NaN.
    `status` says what became of each cell (see `STATUS`), by its curve. A folder of several sweeps opens as a DataTree
    of them. StoreError (a ValueError) if nothing is stored there or a file is damaged.
    """
    view = locate(path)
    if is_there(view.file):
        return open_view(view)
    under = "" if view.name == "sweep" else view.name
    names = view.pool.views(under)
    if not names:
        raise StoreError(f"{path}: no sweep is stored here")
    return xr.DataTree.from_dict({name.removeprefix(f"{under}/"): open_view(view.pool.view(name)) for name in names})


def open_view(view: View) -> xr.Dataset:
    grid = view.read()
    cells = view.pool.cells(grid.groups)
    view.pool.check_whole()
    return dataset(grid, cells)


def dataset(grid: Grid, index: Cells) -> xr.Dataset:
    """The cells of a grid, found by digest among batches (stored or in memory), as a Dataset."""
    cells = [index.get(digest) for digest in grid.digests]
    batches = list({id(cell[0]): cell[0] for cell in cells if cell}.values())
    status = _statuses(cells)
    axes = tuple(grid.axes)
    data = xr.Dataset(
        {"status": (axes, status.reshape(grid.shape), {"flags": ", ".join(f"{k}: {v}" for k, v in STATUS.items())})},
        coords={name: (name, _labels(labels)) for name, labels in grid.axes.items()},
        attrs={"about": json.dumps(grid.about)},
    )
    if not batches:
        return data
    steps = {
        "step": _union([batch.steps for batch in batches]),
        "snapshot": _union([batch.snapshot_steps for batch in batches]),
    }
    data = data.assign_coords({name: (name, values) for name, values in steps.items()})
    sizes: dict[str, int] = {}
    for batch in batches:
        for name, dims in batch.dims.items():
            for dim, size in zip(dims[2:], batch.shapes[name][2:], strict=True):
                sizes[dim] = max(size, sizes.get(dim, 0))
    for name in dict.fromkeys(name for batch in batches for name in batch.dims if name not in NOT_SHOWN):
        having = [batch for batch in batches if name in batch.dims]
        dims = axes + having[0].dims[name][1:]
        if name in grid.axes:
            raise StoreError(f"{name}: an axis and a result of this sweep have the same name")
        array = _Cells(cells, name, grid.shape, steps, having[0].dims[name], sizes)
        lazy = indexing.LazilyIndexedArray(array)
        data[name] = xr.Variable(dims, lazy)
    return data


NOT_SHOWN = ("status", "finite")
"""What a batch holds of each cell that is told by `status` alone."""


def _statuses(cells: Sequence[tuple[Any, int] | None]) -> np.ndarray:
    """What became of each cell, by its curve: a better rule needs no retraining."""
    status = np.full(len(cells), MISSING, np.int8)
    places: dict[int, list[int]] = {}
    for place, cell in enumerate(cells):
        if cell is not None:
            places.setdefault(id(cell[0]), []).append(place)
    for own in places.values():
        batch, slots = cells[own[0]][0], [cells[place][1] for place in own]  # type: ignore[index]
        status[own] = batch_status(batch)[slots]
    return status


def batch_status(batch: Any) -> np.ndarray:
    """(cells,): diverged where the loss or a parameter is not finite or the loss exploded; else ok at the bottom of the
    valley, by what was measured at the end of training, or by the curve alone in batches of older versions."""
    if "objective" not in batch.dims:
        return np.full(len(batch.digests), OK, np.int8)
    loss = np.asarray(batch.read("objective"), np.float64)
    # Batches of an earlier format hold a status; that of a cell with parameters that are not finite is "diverged".
    finite = batch.read("finite") if "finite" in batch.dims else batch.read("status") != DIVERGED
    lost = diverged(loss) | ~np.asarray(finite, bool)
    if "gain_low" in batch.dims:
        at_bottom = settled(batch.steps, loss, *(batch.read(name) for name in ("gain_low", "gain_high", "moved")))
    else:
        at_bottom = np.asarray(converged(batch.steps, loss))
    return np.where(lost, DIVERGED, np.where(at_bottom, OK, UNCONVERGED)).astype(np.int8)


def _labels(labels: list[Any]) -> np.ndarray:
    return np.asarray(labels) if all(isinstance(label, int | float) for label in labels) else np.asarray(labels, object)


def _union(steps: Sequence[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate(steps))


def _scattered(cells: Sequence[tuple[Any, int] | None], name: str) -> Iterator[tuple[int, Any]]:
    """(place, values) of one array for every cell that is there, each batch read once."""
    places: dict[int, list[tuple[int, int]]] = {}
    batches: dict[int, Any] = {}
    for place, cell in enumerate(cells):
        if cell is not None and name in cell[0].dims:
            places.setdefault(id(cell[0]), []).append((place, cell[1]))
            batches[id(cell[0])] = cell[0]
    for key, slots in places.items():
        values = batches[key].read(name)
        for place, slot in slots:
            yield place, values[slot]


class _Cells(BackendArray):
    """One variable of all cells of a grid, read batch by batch when indexed; padded with NaN where cells differ."""

    def __init__(
        self,
        cells: list[tuple[Any, int] | None],
        name: str,
        grid: tuple[int, ...],
        steps: dict[str, np.ndarray],
        dims: tuple[str, ...],
        sizes: dict[str, int],
    ) -> None:
        self.cells, self.name, self.grid, self.steps = cells, name, grid, steps
        self.dim = dims[1] if len(dims) > 1 else ""  # a number a cell has none
        self.shape = (*grid, *(len(steps[dim]) for dim in dims[1:2]), *(sizes[dim] for dim in dims[2:]))
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        axes = len(self.grid)
        picks = [np.atleast_1d(np.arange(size)[index]) for size, index in zip(self.shape, key, strict=True)]
        chosen = np.asarray(np.arange(len(self.cells)).reshape(self.grid)[np.ix_(*picks[:axes])])
        cells = [self.cells[place] for place in chosen.ravel()]
        out = np.full((len(cells), *map(len, picks[axes:])), np.nan, self.dtype)
        for place, values in _scattered(cells, self.name):
            whole = np.full(self.shape[axes:], np.nan, self.dtype)
            own: Any = (self._rows(cells[place]), *(slice(size) for size in values.shape[1:])) if self.dim else ()
            whole[own] = values
            out[place] = whole[np.ix_(*picks[axes:])]
        # Integers take their axis away, which outer indexing by arrays kept.
        kept: Any = tuple(0 if isinstance(index, int | np.integer) else slice(None) for index in key)
        return np.asarray(out.reshape((*chosen.shape, *out.shape[1:]))[kept])

    def _rows(self, cell: Any) -> np.ndarray:
        """Where the steps of a cell's own batch are among all steps."""
        own = cell[0].steps if self.dim == "step" else cell[0].snapshot_steps
        return np.searchsorted(self.steps[self.dim], own)


def usable(values: xr.DataArray, status: xr.DataArray, unconverged: bool = False) -> xr.DataArray:
    """`values` with NaN for cells that diverged, are missing or (unless `unconverged`) have not converged."""
    return values.where((status == OK) | ((status == UNCONVERGED) & unconverged))


def census(data: xr.Dataset) -> dict[str, int]:
    """How many cells of each status, such as {"ok": 60, "diverged": 4}; absent ones are left out."""
    counts = {name: int((data.status == code).sum()) for code, name in STATUS.items()}
    return {name: count for name, count in counts.items() if count}
