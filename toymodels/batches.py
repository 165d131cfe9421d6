"""Batches: in memory, on disk, and all those of a folder or of several as one mapping of cells."""

import hashlib
import itertools
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import ZipStore

from toymodels import index
from toymodels.files import StoreError, seal
from toymodels.index import Entry


class Damaged(StoreError):
    """A batch that is not as it was written."""


class Newer(StoreError):
    """A file of a format that this version does not know: it is neither read nor replaced."""


def check_format(path: Path, data: Mapping[str, Any]) -> None:
    """Newer unless the format, a number that files of this one do not hold, is known."""
    if data.get("format", 1) != 1:
        raise Newer(f"{path}: written by a newer version of toymodels (format {data['format']}); use that one")


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
    """`finite` (cell), scalars (cell, step) and parameters (cell, snapshot, ...)."""
    dims: dict[str, tuple[str, ...]]
    steps: np.ndarray
    snapshot_steps: np.ndarray
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: values.shape for name, values in self.arrays.items()}

    @property
    def double(self) -> bool:
        """Whether it was trained in double precision."""
        return any(values.dtype == np.float64 for values in self.arrays.values())

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
            "sums": {name: checksum(values) for name, values in self.arrays.items()},
            **({"double": True} if self.double else {}),
        }


class StoredBatch:
    """A batch on disk: what opening asks is read at once, or told by an index; the rest when asked for.

    StoreError where any byte that counts is not as it was written: the zip file checks its entries, the header is
    sealed and holds a checksum of every array; what an index told is compared with it before an array is read.
    """

    def __init__(self, path: Path, told: Entry | None = None) -> None:
        self.path = path
        self._sums: dict[str, str] | None = None
        self.told = told or self._entry(*self._read_header())

    @property
    def digests(self) -> list[str]:
        return self.told.digests

    @property
    def group(self) -> str:
        return self.told.layout.group

    @property
    def width(self) -> int:
        return self.told.layout.width

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        return self.told.layout.dims

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: (len(self.digests), *shape) for name, shape in self.told.layout.shapes.items()}

    @property
    def steps(self) -> np.ndarray:
        return self.told.layout.steps

    @property
    def snapshot_steps(self) -> np.ndarray:
        return self.told.layout.snapshot_steps

    @property
    def double(self) -> bool:
        return self.told.layout.double

    @property
    def contents(self) -> str:
        return self.told.contents

    @property
    def configs(self) -> list[dict[str, Any]]:
        return self._checked_header()["configs"]

    @property
    def provenance(self) -> dict[str, Any]:
        return self._checked_header()["provenance"]

    def read(self, name: str) -> np.ndarray:
        """An array. A file that turns out to be damaged is set aside, so that its cells count as missing from then on;
        one that the disk does not give now stays."""
        try:
            if self._sums is None:
                self._checked_header()
            assert self._sums is not None
            with self._reading(), ZipStore(self.path, mode="r") as zipped:
                values = np.asarray(zarr.open_array(zipped, mode="r", path=name, zarr_format=3))
                if values.shape != self.shapes[name] or self._sums.get(name, checksum(values)) != checksum(values):
                    raise ValueError(f"{name} is not as it was written")
                return values
        except Damaged as error:
            if not isinstance(error.__cause__, OSError):
                set_aside(self.path)
            raise

    def _checked_header(self) -> dict[str, Any]:
        """The header, which says what was told."""
        header, contents = self._read_header()
        if not self._entry(header, contents).agrees(self.told):
            with suppress(StoreError):
                index.forget(self.path.parent, self.path.name)
            raise StoreError(f"{self.path}: not what the index of its folder said of it; open the store again")
        return header

    def _read_header(self) -> tuple[dict[str, Any], str]:
        """The header alone, without the machinery of zarr, and a hash of what the arrays contain."""
        with self._reading():
            with zipfile.ZipFile(self.path) as zipped:
                header: dict[str, Any] = json.loads(zipped.read("zarr.json"))["attributes"]
                chunks = sorted((each.filename, each.CRC) for each in zipped.infolist() if "/c" in each.filename)
            if "sums" in header and header.pop("seal", None) != seal(header):
                raise ValueError("its header is not as it was written")
            check_format(self.path, header)
            if not header.keys() >= {"configs", "provenance"}:
                raise ValueError("its header lacks a part")
            return header, hashlib.sha256(repr(chunks).encode()).hexdigest()[:16]

    def _entry(self, header: dict[str, Any], contents: str) -> Entry:
        with self._reading():
            self._sums = header.get("sums", {})  # none in files of older versions
            return Entry(self.path.stat().st_size, index.layout(header), header["digests"], contents)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Damage becomes a StoreError, whatever it raises somewhere between zip, zarr and its codecs."""
        try:
            yield
        except Newer:
            raise
        except PermissionError as error:
            raise StoreError(f"{self.path}: cannot be read ({error.strerror})") from error
        except Exception as error:
            said = f"its header lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
            raise Damaged(f"{self.path}: damaged batch ({said}); the same sweep trains its cells again") from error


def set_aside(path: Path) -> None:
    """Give a damaged file another name: its cells count as missing."""
    with suppress(OSError):
        path.rename(path.with_name(f"{path.name}.damaged"))


def file_name(batch: Batch | StoredBatch) -> str:
    """A batch is named by its cells."""
    return f"{hashlib.sha256(''.join(batch.digests).encode()).hexdigest()[:16]}.zarr.zip"


def in_its_place(batch: StoredBatch) -> StoredBatch:
    """Damaged where a file holds other cells than its name says: the next batch of that name would replace it."""
    if (batch.path.parent.name, batch.path.name) != (batch.group[:16], file_name(batch)):
        what = "it holds other cells than its name says"
        raise Damaged(f"{batch.path}: damaged batch ({what}); the same sweep trains its cells again")
    return batch


INDEXED = 64
"""So many batches, or one in so many, that the index of a folder lacks are worth writing it again."""


class Folder:
    """The batches of a group on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listed: dict[str, index.Found] = {}
        self._known: dict[str, StoredBatch] = {}
        self._unindexed = 0
        """How many of those that are known the index lacks."""

    def batches(self, damaged: dict[Path, Damaged]) -> list[StoredBatch]:
        """Those that are there now, in the order of their names; `damaged` takes those that cannot be read."""
        told = {} if self._known else index.read(self.path)
        listed, known = index.files(self.path), dict[str, StoredBatch]()
        for name, file in listed.items():
            path = self.path / name
            if self._listed.get(name) == file and name in self._known:
                known[name] = self._known[name]
            elif name in told and told[name].size == file.size:
                known[name] = StoredBatch(path, told[name])
            else:
                try:
                    known[name] = in_its_place(StoredBatch(path))
                    self._unindexed += 1
                except Damaged as error:
                    damaged[path] = error
        self._listed, self._known = listed, known
        if self._unindexed >= max(INDEXED, len(known) // INDEXED):
            index.write(self.path, {name: batch.told for name, batch in known.items()}, listed)
            self._unindexed = 0
        return list(known.values())


class Cells(Mapping[str, tuple[Any, int]]):
    """digest -> (batch, place in it), of all cells of some batches; where several hold a cell, the last one counts."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = batches
        self._starts = np.cumsum([0, *(len(batch.digests) for batch in batches)])
        every = itertools.chain.from_iterable(batch.digests for batch in batches)
        self._places = dict(zip(every, itertools.count(), strict=False))

    def __getitem__(self, digest: str) -> tuple[Any, int]:
        place = self._places[digest]
        batch = int(np.searchsorted(self._starts, place, "right")) - 1
        return self.batches[batch], place - int(self._starts[batch])

    def __contains__(self, digest: object) -> bool:
        return digest in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def missing(self, digests: Iterable[str]) -> int:
        """How many of these are not there."""
        return sum(digest not in self._places for digest in digests)

    def holding(self, digests: Iterable[str]) -> list[Any]:
        """The batches that hold these cells."""
        return [self.batches[batch] for batch in np.unique(self.find(digests)[0]) if batch >= 0]

    def find(self, digests: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """The batch of each of these cells, by its number, or -1 where it is missing, and the place in it."""
        places = np.fromiter(map(self._places.get, digests, itertools.repeat(-1)), np.int64)
        batch = np.searchsorted(self._starts, places, "right") - 1
        return batch, np.where(batch < 0, 0, places - self._starts[batch])


def checksum(values: np.ndarray) -> str:
    """Of type, shape and every byte."""
    about = f"{values.dtype.str} {values.shape} ".encode()
    return hashlib.blake2b(about + np.ascontiguousarray(values).tobytes(), digest_size=16).hexdigest()
