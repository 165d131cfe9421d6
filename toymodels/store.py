"""Labelled results: cells addressed by their own digest, in batches written whole, opened as one xarray Dataset.

A sweep's folder holds one zarr group in a zip file for each batch of cells (`<group>-<batch>.zarr.zip`), and in
`sweep.json` the labels of the last grid asked for and the digest of the cell at each place in it. A batch appears in
one atomic rename, so an interrupted write leaves nothing behind, two processes never share a file, and writing a batch
twice is harmless. Nothing here trains: the store knows digests, labels and arrays.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from xarray.backends import BackendArray
from xarray.core import indexing
from zarr.storage import ZipStore

MISSING, OK, UNCONVERGED, DIVERGED = -1, 0, 1, 2
STATUS = {MISSING: "missing", OK: "ok", UNCONVERGED: "unconverged", DIVERGED: "diverged"}
"""What became of a cell, the variable `status` of a Dataset."""


class StoreError(ValueError):
    """A folder that cannot be read or written as a store; the message is one sentence."""


@dataclass(frozen=True)
class Batch:
    """Results of the cells of one batch, and everything needed to read or repeat them."""

    digests: list[str]
    configs: list[dict[str, Any]]
    group: str
    """Digest of what the cells share: everything that is not swept."""
    width: int
    """Cells that a device trained together, padding included: the same width gives the same bits."""
    arrays: dict[str, np.ndarray]
    """`status` (cell), scalars (cell, step) and parameters (cell, snapshot, ...)."""
    dims: dict[str, tuple[str, ...]]
    steps: np.ndarray
    snapshot_steps: np.ndarray
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: values.shape for name, values in self.arrays.items()}

    def read(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def header(self) -> dict[str, Any]:
        return {
            "digests": self.digests,
            "configs": self.configs,
            "group": self.group,
            "width": self.width,
            "dims": {name: list(dims) for name, dims in self.dims.items()},
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "steps": self.steps.tolist(),
            "snapshot_steps": self.snapshot_steps.tolist(),
            "provenance": self.provenance,
        }


class StoredBatch:
    """A batch on disk: the header is read at once, arrays when asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as group:
            header: dict[str, Any] = dict(group.attrs)
        try:
            self.digests: list[str] = header["digests"]
            self.configs: list[dict[str, Any]] = header["configs"]
            self.group: str = header["group"]
            self.width: int = header["width"]
            self.dims = {name: tuple(dims) for name, dims in header["dims"].items()}
            self.shapes = {name: tuple(shape) for name, shape in header["shapes"].items()}
            self.steps = np.asarray(header["steps"], np.int32)
            self.snapshot_steps = np.asarray(header["snapshot_steps"], np.int32)
            self.provenance: dict[str, Any] = header["provenance"]
        except KeyError as error:
            raise StoreError(
                f"{path}: damaged batch, its header lacks {error}; delete this file to retrain it"
            ) from error

    def read(self, name: str) -> np.ndarray:
        with self._open() as group:
            return np.asarray(group[name])

    def _open(self) -> "_Opened":
        return _Opened(self.path)


DAMAGE = (zipfile.BadZipFile, KeyError, ValueError, OSError, RuntimeError)
"""What reading a damaged file raises, somewhere between zip, zarr and its codecs."""


class _Opened:
    """A zarr group in a zip file, opened for reading; damage becomes a StoreError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> zarr.Group:
        try:
            self.store = ZipStore(self.path, mode="r")
            return zarr.open_group(self.store, mode="r")
        except DAMAGE as error:
            raise StoreError(f"{self.path}: damaged batch ({error}); delete this file to retrain it") from error

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.store.close()
        if isinstance(error, DAMAGE):
            raise StoreError(f"{self.path}: damaged batch ({error}); delete this file to retrain it") from error


@contextmanager
def _cleaned(partial: Path) -> Iterator[None]:
    """Leave no unfinished file behind, and say in a sentence why it could not be finished."""
    try:
        yield
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StoreError(f"{partial.parent}: cannot write here ({error.strerror or error})") from error
        raise


class Store:
    """The folder of one sweep. Reading a missing folder gives an empty store; the first write makes it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(f"{path}: a store is a folder, this is a file")

    @cached_property
    def batches(self) -> list[StoredBatch]:
        return [StoredBatch(path) for path in sorted(self.path.glob("*.zarr.zip"))]

    @cached_property
    def index(self) -> dict[str, tuple[StoredBatch, int]]:
        """digest -> (batch, place in it)."""
        return {digest: (batch, slot) for batch in self.batches for slot, digest in enumerate(batch.digests)}

    def group_widths(self) -> dict[str, int]:
        """How many cells of each group a device trained together."""
        return {batch.group: batch.width for batch in self.batches}

    def check_writable(self) -> None:
        """StoreError unless batches can be written here; nothing is left behind."""
        existing = next(parent for parent in [self.path, *self.path.absolute().parents] if parent.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            raise StoreError(f"{self.path}: cannot write here ({existing} is not a writable folder)")

    def add(self, batch: Batch) -> None:
        """Write a batch whole, then make it visible at once."""
        self.path.mkdir(parents=True, exist_ok=True)
        target = self.path / f"{batch.group[:8]}-{_hash(batch.digests)}.zarr.zip"
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        with _cleaned(partial), ZipStore(partial, mode="w") as zipped:
            group = zarr.create_group(zipped, attributes=batch.header())
            for name, values in batch.arrays.items():
                array = group.create_array(
                    name,
                    shape=values.shape,
                    chunks=tuple(max(size, 1) for size in values.shape),
                    dtype=values.dtype,
                    dimension_names=batch.dims[name],
                )
                array[...] = values
        os.replace(partial, target)
        for stale in ("batches", "index"):
            self.__dict__.pop(stale, None)

    def write_grid(self, grid: "Grid") -> None:
        """Remember the labels of the grid asked for, for `open`."""
        self.path.mkdir(parents=True, exist_ok=True)
        partial = self.path / f".sweep.json.{os.getpid()}"
        partial.write_text(json.dumps(grid.to_dict()))
        os.replace(partial, self.path / "sweep.json")

    def read_grid(self) -> "Grid":
        file = self.path / "sweep.json"
        try:
            return Grid.from_dict(json.loads(file.read_text()))
        except FileNotFoundError as error:
            raise StoreError(f"{self.path}: no sweep is stored here") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{file}: damaged ({error}); rerunning the sweep rewrites it, no cell is lost") from error


def _hash(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Grid:
    """Labelled axes and the digest of the cell at each place (C order)."""

    axes: dict[str, list[Any]]
    digests: list[str]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(labels) for labels in self.axes.values())

    def to_dict(self) -> dict[str, Any]:
        return {"axes": self.axes, "digests": self.digests, "about": self.about}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Grid":
        grid = cls(dict(data["axes"]), list(data["digests"]), dict(data["about"]))
        if len(grid.digests) != np.prod(grid.shape, dtype=int):
            raise ValueError(f"{len(grid.digests)} cells on a grid of {np.prod(grid.shape, dtype=int)}")
        return grid


# -------------------------------------------------------------------------------------------------------------- opening


def open(path: str | Path) -> "xr.Dataset | xr.DataTree":
    """Results of a sweep as a Dataset with the sweep's axes as labelled dimensions; arrays are read when used.

    Dimensions are the axes of the sweep, then `step` for `objective` (the loss on the evaluation examples) and metrics,
    or `snapshot` (a step as well) and a parameter's own, such as feature and hidden. Shapes that differ between cells
    are padded with NaN. `status` says what became of each cell (see `STATUS`). A folder of several sweeps opens as a
    DataTree of them. StoreError (a ValueError) if nothing is stored there or a file is damaged.
    """
    path = Path(path)
    if (path / "sweep.json").exists() or not path.is_dir():
        store = Store(path)
        return dataset(store.read_grid(), store.index)
    names = sorted(folder.parent.name for folder in path.glob("*/sweep.json"))
    if not names:
        raise StoreError(f"{path}: no sweep is stored here")
    if len(names) == 1:
        return open(path / names[0])
    return xr.DataTree.from_dict({name: open(path / name) for name in names})


def dataset(grid: Grid, index: dict[str, tuple[Any, int]]) -> xr.Dataset:
    """The cells of a grid, found by digest among batches (stored or in memory), as a Dataset."""
    cells = [index.get(digest) for digest in grid.digests]
    batches = list({id(cell[0]): cell[0] for cell in cells if cell}.values())
    status = np.full(len(cells), MISSING, np.int8)
    for place, value in _scattered(cells, "status"):
        status[place] = value
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
    for name in dict.fromkeys(name for batch in batches for name in batch.dims if name != "status"):
        having = [batch for batch in batches if name in batch.dims]
        dims = axes + having[0].dims[name][1:]
        if name in grid.axes:
            raise StoreError(f"{name}: an axis and a result of this sweep have the same name")
        array = _Cells(cells, name, grid.shape, steps, having[0].dims[name], sizes)
        lazy = indexing.LazilyIndexedArray(array)
        data[name] = xr.Variable(dims, lazy)
    return data


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
        self.dim = dims[1]
        self.shape = (*grid, len(steps[self.dim]), *(sizes[dim] for dim in dims[2:]))
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
            own: Any = (self._rows(cells[place]), *(slice(size) for size in values.shape[1:]))
            whole[own] = values
            out[place] = whole[np.ix_(*picks[axes:])]
        # Integers take their axis away, which outer indexing by arrays kept.
        kept: Any = tuple(0 if isinstance(index, int | np.integer) else slice(None) for index in key)
        return np.asarray(out.reshape(*chosen.shape, *out.shape[1:])[kept])

    def _rows(self, cell: Any) -> np.ndarray:
        """Where the steps of a cell's own batch are among all steps."""
        own = cell[0].steps if self.dim == "step" else cell[0].snapshot_steps
        return np.searchsorted(self.steps[self.dim], own)


# --------------------------------------------------------------------------------------------------------------- access


def usable(values: xr.DataArray, status: xr.DataArray, unconverged: bool = False) -> xr.DataArray:
    """`values` with NaN for cells that diverged, are missing or (unless `unconverged`) have not converged."""
    return values.where((status == OK) | ((status == UNCONVERGED) & unconverged))


def census(data: xr.Dataset) -> dict[str, int]:
    """How many cells of each status, such as {"ok": 60, "diverged": 4}; absent ones are left out."""
    counts = {name: int((data.status == code).sum()) for code, name in STATUS.items()}
    return {name: count for name, count in counts.items() if count}
