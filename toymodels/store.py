"""One pool of cells: each addressed by its own digest, in batches written whole, and named views of them.

    runs/cells/<group>/<batch>.zarr.zip     results of the cells of one compiled program that were trained together
    runs/views/<name>.json                  a sweep: its labels, and the digest of the cell at each place
    runs/pool.json                          says that this folder is a pool

Sweeps that ask for the same cell share it, and opening a view reads only its own groups. A batch appears in one atomic
rename, so an interrupted write leaves nothing behind, two processes never share a file, and writing a batch twice is
harmless. Nothing here trains or judges: the store knows digests, labels and arrays.
"""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import MemoryStore, ZipStore

from toymodels.files import StoreError, appearing, check_writable, is_there, listed, seal, write_text


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
        }


class StoredBatch:
    """A batch on disk: the header is read at once, arrays when asked for. StoreError where any byte that counts is not
    as it was written: the zip file checks its entries, the header is sealed and holds a checksum of every array."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._reading():  # the header alone, without the machinery of zarr: a view may have hundreds of batches
            with zipfile.ZipFile(path) as zipped:
                header: dict[str, Any] = json.loads(zipped.read("zarr.json"))["attributes"]
                chunks = sorted((each.filename, each.CRC) for each in zipped.infolist() if "/c" in each.filename)
            if "sums" in header and header.pop("seal", None) != seal(header):
                raise ValueError("its header is not as it was written")
            _check_format(path, header)
            self.digests: list[str] = header["digests"]
            self.configs: list[dict[str, Any]] = header["configs"]
            self.group: str = header["group"]
            self.width: int = header["width"]
            self.dims = {name: tuple(dims) for name, dims in header["dims"].items()}
            self.shapes = {name: tuple(shape) for name, shape in header["shapes"].items()}
            self.steps = np.asarray(header["steps"], np.int32)
            self.snapshot_steps = np.asarray(header["snapshot_steps"], np.int32)
            self.provenance: dict[str, Any] = header["provenance"]
            self.sums: dict[str, str] = header.get("sums", {})  # none in files of older versions
            self.contents = hashlib.sha256(repr(chunks).encode()).hexdigest()[:16]

    def read(self, name: str) -> np.ndarray:
        """An array. A file that turns out to be damaged is set aside, so that its cells count as missing from then on;
        one that the disk does not give now stays."""
        try:
            with self._reading(), ZipStore(self.path, mode="r") as zipped:
                values = np.asarray(zarr.open_group(zipped, mode="r", zarr_format=3)[name])
                if values.shape != self.shapes[name] or self.sums.get(name, checksum(values)) != checksum(values):
                    raise ValueError(f"{name} is not as it was written")
                return values
        except Damaged as error:
            if not isinstance(error.__cause__, OSError):
                _set_aside(self.path)
            raise

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


def _set_aside(path: Path) -> None:
    with suppress(OSError):
        path.rename(path.with_name(f"{path.name}.damaged"))


class Damaged(StoreError):
    """A batch that is not as it was written."""


class Newer(StoreError):
    """A file of a format that this version does not know: it is neither read nor replaced."""


def _check_format(path: Path, data: dict[str, Any]) -> None:
    """Newer unless the format, a number that files of this one do not hold, is known."""
    if data.get("format", 1) != 1:
        raise Newer(f"{path}: written by a newer version of toymodels (format {data['format']}); use that one")


def checksum(values: np.ndarray) -> str:
    """Of type, shape and every byte."""
    about = f"{values.dtype.str} {values.shape} ".encode()
    return hashlib.blake2b(about + np.ascontiguousarray(values).tobytes(), digest_size=16).hexdigest()


MARK, LAYOUT = "pool.json", {"layout": 1}


class Pool:
    """A folder of cells and views. Reading a missing folder gives an empty pool; the first write makes it.

    A pool that was there and has vanished - removed, moved, unmounted - is not made again in its place.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._groups: dict[str, list[StoredBatch]] = {}
        self.damaged: dict[Path, Damaged] = {}
        """Batches that were met and cannot be read: their cells count as missing."""
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(f"{path}: a store is a folder, this is a file")
        self._was_marked = self.is_marked
        if self.is_marked:
            _check_layout(self.path / MARK)
        elif self.path.is_dir() and next(_old_stores(self.path), None):
            raise StoreError(f"{path}: results of an older layout; `toymodels migrate {path}` moves them, none is lost")

    @property
    def is_marked(self) -> bool:
        return os.path.exists(self.path / MARK)  # False too where it cannot be told

    def mark(self) -> None:
        """Say that this folder is a pool; StoreError if it was one, and is none now."""
        if not self.is_marked:
            self._check_there()
            write_text(self.path / MARK, json.dumps(LAYOUT))
        self._was_marked = True

    def _check_there(self) -> None:
        if self._was_marked and not self.is_marked:
            raise StoreError(f"{self.path}: the pool is no longer here (removed, moved or unmounted?)")

    @contextmanager
    def appearing(self, target: Path) -> Iterator[Path]:
        """A file of this pool to write, as `files.appearing` makes it appear; StoreError if the pool vanishes."""
        self.mark()
        with appearing(target, within=self.path) as partial:
            yield partial
            self._check_there()  # what appears now on the place of a mounted folder would be lost to sight

    def check_kept(self, groups: Iterable[str], digests: Iterable[str]) -> None:
        """StoreError unless these cells lie on the disk now, the pool being as it was when it was last read."""
        self._check_there()
        there = (batch for group in groups for batch in self.batches(group) if is_there(batch.path))
        lost = set(digests).difference(*(batch.digests for batch in there))
        if lost:
            self._groups.clear()
            self.check_whole()
            what = f"{len(lost)} cells have been removed meanwhile"
            raise StoreError(f"{self.path}: {what}; the same sweep trains them again")

    def view(self, name: str) -> "View":
        return View(self, name)

    def views(self, under: str = "") -> list[str]:
        """Names of the views, all or those in a folder of them, in order."""
        top = self.path / "views"
        return sorted(file.relative_to(top).with_suffix("").as_posix() for file in (top / under).rglob("*.json"))

    def batches(self, group: str) -> list["StoredBatch"]:
        """The batches of a group; their headers are read once."""
        if group not in self._groups:
            self._groups[group] = []
            for path in listed(self._folder(group)):
                if path.name.startswith(".") or not path.name.endswith(".zarr.zip"):
                    continue
                try:
                    self._groups[group].append(_in_its_place(StoredBatch(path)))
                except Damaged as error:
                    self.damaged[path] = error
        return self._groups[group]

    def check_whole(self) -> None:
        """StoreError if batches that were met are damaged: all of them in one sentence."""
        if len(self.damaged) == 1:
            raise next(iter(self.damaged.values()))
        if self.damaged:
            names = ", ".join(map(str, self.damaged))
            raise Damaged(f"{len(self.damaged)} damaged batches ({names}); the same sweep trains their cells again")

    def set_aside(self) -> None:
        """Rename damaged batches, so that what is trained in their place stands alone."""
        for path in self.damaged:
            _set_aside(path)
        self.damaged.clear()

    def cells(self, groups: Iterable[str]) -> dict[str, tuple["StoredBatch", int]]:
        """digest -> (batch, place in it), of the cells of some groups."""
        batches = [batch for group in groups for batch in self.batches(group)]
        return {digest: (batch, slot) for batch in batches for slot, digest in enumerate(batch.digests)}

    def width(self, group: str) -> int | None:
        """How many cells of a group a device trained together; None if nothing of it is stored."""
        return next((batch.width for batch in self.batches(group)), None)

    def _folder(self, group: str) -> Path:
        return self.path / "cells" / group[:16]

    def check_writable(self) -> None:
        check_writable(self.path)

    def add(self, batch: Batch) -> None:
        """Write a batch whole, then make it visible at once; a StoreError says that its cells are lost."""
        target = self._folder(batch.group) / _file_name(batch)
        try:
            with self.appearing(target) as partial, partial.open("wb") as file, zipfile.ZipFile(file, "w") as zipped:
                for name, content in _entries(batch).items():
                    zipped.writestr(zipfile.ZipInfo(name), content)  # at no time: a clock may be outside 1980 to 2107
        except StoreError as error:
            what = f"{len(batch.digests)} cells that were just trained are lost"
            raise StoreError(f"{error}; {what}, the same sweep goes on") from error
        self._groups.pop(batch.group, None)

    def claims(self, group: str) -> Path:
        """A hidden file; locks on it say which cells of the group are in training (see `executors.claims`)."""
        return self._folder(group) / ".claims"

    def arrived(self, group: str, known: set[str]) -> list["StoredBatch"]:
        """Batches of a group in files whose names are not among those `known`, to which they are added."""
        found = []
        for path in sorted(self._folder(group).glob("[!.]*.zarr.zip")):
            if path.name not in known:
                known.add(path.name)
                with suppress(Damaged):  # its cells are missing
                    found.append(StoredBatch(path))
        if found:
            self._groups.pop(group, None)
        return found


def _entries(batch: Batch) -> dict[str, bytes]:
    """The files of a batch as a zarr group, by name."""
    made: dict[str, Any] = {}
    header = json.loads(json.dumps(batch.header()))
    group = zarr.create_group(MemoryStore(made), attributes={**header, "seal": seal(header)})
    for name, values in batch.arrays.items():
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=tuple(max(size, 1) for size in values.shape),
            dtype=values.dtype,
            dimension_names=batch.dims[name],
        )
        array[...] = values
    return {name: content.to_bytes() for name, content in made.items()}


def _file_name(batch: Batch | StoredBatch) -> str:
    return f"{_hash(batch.digests)}.zarr.zip"


def _in_its_place(batch: StoredBatch) -> StoredBatch:
    """Damaged where a file holds other cells than its name says: the next batch of that name would replace it."""
    if (batch.path.parent.name, batch.path.name) != (batch.group[:16], _file_name(batch)):
        what = "it holds other cells than its name says"
        raise Damaged(f"{batch.path}: damaged batch ({what}); the same sweep trains its cells again")
    return batch


@dataclass(frozen=True)
class View:
    """A named grid of cells in a pool, such as "intro/arrows"."""

    pool: Pool
    name: str

    @property
    def file(self) -> Path:
        return self.pool.path / "views" / f"{self.name}.json"

    def write(self, grid: "Grid") -> None:
        """Remember the labels of the grid asked for, for `open`."""
        try:
            self.read()
        except Newer:
            raise
        except StoreError:  # there are none, or they are damaged
            pass
        with self.pool.appearing(self.file) as partial:
            partial.write_text(_sealed(grid))

    def read(self) -> "Grid":
        try:
            data = json.loads(self.file.read_text())
            sealed = data.pop("seal", None)
            # Without a seal, as older versions wrote them, exactly these fields.
            if sealed != seal(data) and not (sealed is None and set(data) == {"axes", "digests", "groups", "about"}):
                raise ValueError("not as it was written")
            _check_format(self.file, data)
            return Grid.from_dict(data)
        except Newer:
            raise
        except FileNotFoundError as error:
            raise StoreError(f"{self.pool.path / self.name}: no sweep is stored here") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(
                f"{self.file}: damaged ({error}); rerunning the sweep rewrites it, no cell is lost"
            ) from error


def _sealed(grid: "Grid") -> str:
    data = json.loads(json.dumps(grid.to_dict()))
    return json.dumps({**data, "seal": seal(data)})


def _check_layout(mark: Path) -> None:
    try:
        layout = json.loads(mark.read_text())["layout"]
    except OSError as error:
        raise StoreError(f"{mark}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{mark}: damaged ({error}); it should read {json.dumps(LAYOUT)}") from error
    if layout != LAYOUT["layout"]:
        raise Newer(f"{mark.parent}: layout {layout} of a newer version of toymodels; use that one")


def locate(path: str | Path) -> View:
    """The view that a path means: the pool is the nearest folder on it that is one, the view's name is the rest.

    "runs/mine" is the view "mine" where `runs` is a pool, and otherwise a pool of its own with one view, "sweep".
    """
    path = Path(path)
    for folder in (path, *path.parents):
        if is_there(folder / MARK):
            return Pool(folder).view("sweep" if folder == path else path.relative_to(folder).as_posix())
    return Pool(path).view("sweep")


def _hash(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Grid:
    """Labelled axes, the digest of the cell at each place (C order), and the groups that the cells belong to."""

    axes: dict[str, list[Any]]
    digests: list[str]
    groups: list[str]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(labels) for labels in self.axes.values())

    def to_dict(self) -> dict[str, Any]:
        return {"axes": self.axes, "digests": self.digests, "groups": self.groups, "about": self.about}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Grid":
        grid = cls(dict(data["axes"]), list(data["digests"]), list(data["groups"]), dict(data["about"]))
        if len(grid.digests) != np.prod(grid.shape, dtype=int):
            raise ValueError("labels and cells do not match")
        return grid


# ------------------------------------------------------------------------------------------------------------ migration


def _old_stores(path: Path) -> Iterator[Path]:
    """Folders of the layout before the pool: batches beside a `sweep.json`, up to three levels down."""
    for pattern in ("sweep.json", "*/sweep.json", "*/*/sweep.json", "*/*/*/sweep.json"):
        for file in path.glob(pattern):
            yield file.parent


def migrate(old: str | Path, new: str | Path | None = None) -> int:
    """Move the stores of the layout before the pool into one pool (by default, in place); returns the number of sweeps.

    Batches move one by one, each in one act, and a view is written before its old labels go, so that an interrupted
    migration is finished by the next one. The mark of a pool comes last.
    """
    old, new = Path(old), Path(new or old)
    check_writable(new)
    done = 0
    for folder in sorted(set(_old_stores(old))):
        try:
            data = json.loads((folder / "sweep.json").read_text())
            groups = [_moved(path, new) for path in sorted(folder.glob("[!.]*.zarr.zip"))]
            grid = Grid.from_dict(data | {"groups": sorted({*groups, *data.get("groups", [])})})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{folder}: cannot be moved ({error})") from error
        file = new / "views" / f"{folder.relative_to(old).as_posix()}.json"
        file = new / "views" / "sweep.json" if folder == old else file
        write_text(file, _sealed(grid))
        (folder / "sweep.json").unlink()
        while folder != old and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
        done += 1
    Pool(new).mark()
    return done


def _moved(path: Path, pool: Path) -> str:
    batch = StoredBatch(path)
    target = pool / "cells" / batch.group[:16] / f"{_hash(batch.digests)}.zarr.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, target)
    return batch.group
