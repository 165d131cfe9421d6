"""Labelled results: the cells of a grid as one xarray Dataset, lazy, with what became of each."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from toymodels.analysis.convergence import DIVERGENCES, converged, diverged, diverging_record, settled
from toymodels.batches import Cells
from toymodels.files import is_there
from toymodels.store import Grid, StoreError, View, locate

MISSING, OK, UNCONVERGED, DIVERGED = -1, 0, 1, 2
STATUS = {MISSING: "missing", OK: "ok", UNCONVERGED: "unconverged", DIVERGED: "diverged"}
"""What became of a cell, the variable `status` of a Dataset."""
REASONS = {0: "", **dict(enumerate(DIVERGENCES, 1))}
"""How a cell diverged, the variable `diverged_by`; `diverged_at` is the step of the first record that shows it."""


def open(path: str | Path) -> xr.Dataset | xr.DataTree:
    """A stored sweep as a lazy Dataset: labelled axes, then step or snapshot, then the parameters' own dimensions.

    Where cells were recorded at other steps, or have other shapes, the Dataset has the union of them, filled with NaN.
    `status` says what became of each cell (see `STATUS`), by what it had still to gain and by its curve. A folder of
    several sweeps opens as a DataTree of them. StoreError (a ValueError) if nothing is stored there or a file is
    damaged.
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


def dataset(grid: Grid, index: Mapping[str, tuple[Any, int]]) -> xr.Dataset:
    """The cells of a grid, by digest: (batch, place in it), stored or in memory, as a Dataset."""
    cells = _Places(grid, index)
    axes = tuple(grid.axes)
    data = xr.Dataset(
        {
            "status": _told(cells, axes, batch_status, np.int8(MISSING), STATUS),
            "diverged_at": _told(cells, axes, lambda batch: _divergences(batch)[0], np.float32(np.nan)),
            "diverged_by": _told(cells, axes, lambda batch: _divergences(batch)[1], np.int8(0), REASONS),
        },
        coords={name: (name, _labels(labels)) for name, labels in grid.axes.items()},
        attrs={"about": json.dumps(grid.about)},
    )
    batches = cells.kinds()
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
        dims = next(batch.dims[name] for batch in batches if name in batch.dims)
        if name in grid.axes:
            raise StoreError(f"{name}: an axis and a result of this sweep have the same name")
        data[name] = xr.Variable(axes + dims[1:], indexing.LazilyIndexedArray(_Result(cells, name, steps, dims, sizes)))
    return data


NOT_SHOWN = ("status", "finite")
"""What a batch holds of each cell that is told by `status` alone."""


def batch_status(batch: Any) -> np.ndarray:
    """(cells,): diverged where the loss or a parameter is not finite or the loss exploded; else ok at the bottom of the
    valley, by what was measured at the end of training, or by the curve alone in batches of older versions."""
    if "objective" not in batch.dims:
        return np.full(len(batch.digests), OK, np.int8)
    loss = np.asarray(batch.read("objective"), np.float64)
    # Batches of an earlier format hold a status; that of a cell with parameters that are not finite is "diverged".
    finite = batch.read("finite") if "finite" in batch.dims else batch.read("status") != DIVERGED
    lost = np.asarray(diverged(loss)) | ~np.asarray(finite, bool)
    if "gain_low" in batch.dims:
        at_bottom = settled(batch.steps, loss, *(batch.read(name) for name in ("gain_low", "gain_high", "moved")))
    else:
        at_bottom = np.asarray(converged(batch.steps, loss))
    return np.where(lost, DIVERGED, np.where(at_bottom, OK, UNCONVERGED)).astype(np.int8)


def _divergences(batch: Any) -> tuple[np.ndarray, np.ndarray]:
    """(cells,) each: the step at which a cell diverged, NaN where it did not, and the reason (see `REASONS`)."""
    at, by = np.full(len(batch.digests), np.nan, np.float32), np.zeros(len(batch.digests), np.int8)
    lost = np.flatnonzero(batch_status(batch) == DIVERGED)
    if not lost.size:
        return at, by
    curves = batch.read("objective")
    for cell in lost:
        record, reason = diverging_record(curves[cell])
        at[cell], by[cell] = batch.steps[record], 1 + reason
    return at, by


def _labels(labels: list[Any]) -> np.ndarray:
    return np.asarray(labels) if all(isinstance(label, int | float) for label in labels) else np.asarray(labels, object)


def _union(steps: Sequence[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate(steps))


class _Places:
    """Where the cells of a grid are: the batch of each, and its place in it."""

    def __init__(self, grid: Grid, index: Mapping[str, tuple[Any, int]]) -> None:
        self.shape = grid.shape
        if isinstance(index, Cells):
            self._batches, (self._owner, self._slot) = index.batches, index.find(grid.digests)
            return
        found = [index.get(digest) for digest in grid.digests]
        number: dict[int, int] = {}
        owners = [-1 if cell is None else number.setdefault(id(cell[0]), len(number)) for cell in found]
        self._batches = list({id(cell[0]): cell[0] for cell in found if cell}.values())
        self._owner, self._slot = np.asarray(owners, int), np.asarray([cell[1] if cell else 0 for cell in found], int)

    def kinds(self) -> list[Any]:
        """One batch of every make, in the order in which the cells meet them."""
        owners, first = np.unique(self._owner, return_index=True)
        met = [self._batches[owner] for owner in owners[np.argsort(first)] if owner >= 0]
        made = {(id(b.dims), id(b.steps), *(shape[1:] for shape in b.shapes.values())): b for b in reversed(met)}
        return list(made.values())[::-1]

    def chosen(self, picks: Sequence[np.ndarray]) -> np.ndarray:
        """The cells, by their number, at these places of the axes."""
        return np.asarray(np.arange(len(self._owner)).reshape(self.shape)[np.ix_(*picks)])

    def with_neighbours(self, cells: np.ndarray) -> np.ndarray:
        """All cells of the grid in the batches of some."""
        return np.flatnonzero(np.isin(self._owner, np.unique(self._owner[cells])))

    def by_batch(self, cells: np.ndarray) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
        """(batch, which of these cells are in it, their places in it); missing ones are in none."""
        order = np.argsort(self._owner[cells], kind="stable")
        owners, starts = np.unique(self._owner[cells][order], return_index=True)
        for owner, which in zip(owners, np.split(order, starts[1:]), strict=False):  # of no cells one empty piece
            if owner >= 0:
                yield self._batches[owner], which, self._slot[cells[which]]


class _Lazy(BackendArray):
    """A variable of all cells of a grid, read batch by batch when indexed."""

    cells: _Places
    shape: tuple[int, ...]

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._indexed)

    def _indexed(self, key: tuple[Any, ...]) -> np.ndarray:
        picks = [np.atleast_1d(np.arange(size)[index]) for size, index in zip(self.shape, key, strict=True)]
        axes = len(self.cells.shape)
        chosen = self.cells.chosen(picks[:axes])
        values = self._read(chosen.ravel(), picks[axes:])
        # Integers take their axis away, which outer indexing by arrays kept.
        kept: Any = tuple(0 if isinstance(index, int | np.integer) else slice(None) for index in key)
        return np.asarray(values.reshape((*chosen.shape, *values.shape[1:]))[kept])

    def _read(self, cells: np.ndarray, picks: Sequence[np.ndarray]) -> np.ndarray:
        """(cells, ...): the values at these places of the dimensions after the axes."""
        raise NotImplementedError


class _Told(_Lazy):
    """What the curves of a batch tell of its cells: a better rule needs no retraining. Each batch is asked once."""

    def __init__(self, cells: _Places, tell: Callable[[Any], np.ndarray], missing: Any) -> None:
        self.cells, self.shape, self.dtype = cells, cells.shape, np.dtype(type(missing))
        self._tell = tell
        self._values = np.full(int(np.prod(cells.shape)), missing)
        self._known = np.zeros(self._values.shape, bool)

    def _read(self, cells: np.ndarray, picks: Sequence[np.ndarray]) -> np.ndarray:
        unknown = cells[~self._known[cells]]
        if unknown.size:
            together = self.cells.with_neighbours(unknown)
            for batch, which, slots in self.cells.by_batch(together):
                self._values[together[which]] = self._tell(batch)[slots]
            self._known[together] = True
        return self._values[cells]


def _told(
    cells: _Places,
    axes: tuple[str, ...],
    tell: Callable[[Any], np.ndarray],
    missing: Any,
    names: Mapping[int, str] | None = None,
) -> xr.Variable:
    """A lazy variable over the axes; `names` says what its numbers mean."""
    flags = {"flags": ", ".join(f"{code}: {what or 'none'}" for code, what in names.items())} if names else {}
    return xr.Variable(axes, indexing.LazilyIndexedArray(_Told(cells, tell, missing)), flags)


class _Result(_Lazy):
    """What was recorded, padded with NaN where cells differ."""

    def __init__(
        self, cells: _Places, name: str, steps: dict[str, np.ndarray], dims: tuple[str, ...], sizes: dict[str, int]
    ) -> None:
        self.cells, self.name = cells, name
        self.dim = dims[1] if len(dims) > 1 else ""  # a number a cell has none
        self.steps = steps[self.dim] if self.dim else np.zeros(0, int)
        self.shape = (*cells.shape, *[len(self.steps)] * bool(self.dim), *(sizes[dim] for dim in dims[2:]))
        self.dtype = np.dtype(np.float64 if any(batch.double for batch in cells.kinds()) else np.float32)

    def _read(self, cells: np.ndarray, picks: Sequence[np.ndarray]) -> np.ndarray:
        out = np.full((len(cells), *map(len, picks)), np.nan, self.dtype)
        for batch, which, slots in self.cells.by_batch(cells):
            if self.name in batch.dims:
                values = batch.read(self.name)[slots]
                whole = np.full((len(slots), *self.shape[len(self.cells.shape) :]), np.nan, self.dtype)
                own: Any = (
                    slice(None),
                    *[self._rows(batch)] * bool(self.dim),
                    *(slice(size) for size in values.shape[2:]),
                )
                whole[own] = values
                out[which] = whole[np.ix_(np.arange(len(slots)), *picks)]
        return out

    def _rows(self, batch: Any) -> np.ndarray:
        """Where the steps of a batch are among all steps."""
        return np.searchsorted(self.steps, batch.steps if self.dim == "step" else batch.snapshot_steps)


def usable(values: xr.DataArray, status: xr.DataArray, unconverged: bool = False) -> xr.DataArray:
    """`values` with NaN for cells that diverged, are missing or (unless `unconverged`) have not converged."""
    return values.where((status == OK) | ((status == UNCONVERGED) & unconverged))


def census(data: xr.Dataset) -> dict[str, int]:
    """How many cells of each status, such as {"ok": 60, "diverged": 4}; absent ones are left out."""
    counts = {name: int((data.status == code).sum()) for code, name in STATUS.items()}
    return {name: count for name, count in counts.items() if count}


def best(data: xr.Dataset, by: str = "objective", axis: str = "seed") -> xr.Dataset:
    """Of every other setting the cell along `axis` whose `by` is least at the end of training: best of k, converged or
    not. The label it had along `axis` stays as a coordinate; where all diverged, the first. ValueError for a name that
    the data lack."""
    for name, known in ((by, data.data_vars), (axis, data.dims)):
        if name not in known:
            raise ValueError(f"{name}: there are {', '.join(map(str, known))}")
    final = data[by].isel(step=-1, drop=True) if "step" in data[by].dims else data[by]
    return data.isel({axis: final.fillna(np.inf).argmin(axis)})


def divergences(data: xr.Dataset) -> list[str]:
    """How cells diverged and when the first of them did, such as ["4 cells, loss not finite, from step 120 on"]."""
    by, at = data.diverged_by.values, data.diverged_at.values
    each = [(code, int((by == code).sum())) for code in REASONS if code and (by == code).any()]
    return [f"{count} cells, {REASONS[code]}, from step {at[by == code].min():g} on" for code, count in each]
