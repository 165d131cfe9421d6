"""One pool of cells: each addressed by its own digest, in batches written whole, and named views of them.

    runs/cells/<group>/<batch>.zarr.zip     results of the cells of one compiled program that were trained together
    runs/cells/<group>/index.txt            what opening asks of many batches; written again whenever it is lost
    runs/views/<name>.json                  a sweep: its labels, and the digest of the cell at each place
    runs/pool.json                          says that this folder is a pool

Sweeps that ask for the same cell share it, and opening a view reads only its own groups. A batch appears in one atomic
rename, so an interrupted write leaves nothing behind, two processes never share a file, and writing a batch twice is
harmless. Nothing here trains or judges: the store knows digests, labels and arrays.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import ZipStore

from toymodels import index
from toymodels.batches import Batch, Cells, Damaged, Folder, StoredBatch, seal, set_aside
from toymodels.files import StoreError, appearing, check_writable, write_text

MARK = "pool.json"


class Pool:
    """A folder of cells and views. Reading a missing folder gives an empty pool; the first write makes it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._groups: dict[str, list[StoredBatch]] = {}
        self._folders: dict[str, Folder] = {}
        self.damaged: dict[Path, Damaged] = {}
        """Batches that were met and cannot be read: their cells count as missing."""
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(f"{path}: a store is a folder, this is a file")
        if self.path.is_dir() and not self.is_marked and next(_old_stores(self.path), None):
            raise StoreError(f"{path}: results of an older layout; `toymodels migrate {path}` moves them, none is lost")

    @property
    def is_marked(self) -> bool:
        return (self.path / MARK).exists()

    def mark(self) -> None:
        """Say that this folder is a pool."""
        if not self.is_marked:
            write_text(self.path / MARK, json.dumps({"layout": 1}))

    def view(self, name: str) -> "View":
        return View(self, name)

    def views(self, under: str = "") -> list[str]:
        """Names of the views, all or those in a folder of them, in order."""
        top = self.path / "views"
        return sorted(file.relative_to(top).with_suffix("").as_posix() for file in (top / under).rglob("*.json"))

    def batches(self, group: str) -> list["StoredBatch"]:
        """The batches of a group; what their headers say is read once."""
        if group not in self._groups:
            folder = self._folders.setdefault(group, Folder(self._folder(group)))
            self._groups[group] = folder.batches(self.damaged)
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
            set_aside(path)
        self.damaged.clear()

    def cells(self, groups: Iterable[str]) -> "Cells":
        """digest -> (batch, place in it), of the cells of some groups."""
        return Cells([batch for group in groups for batch in self.batches(group)])

    def width(self, group: str) -> int | None:
        """How many cells of a group a device trained together; None if nothing of it is stored."""
        return next((batch.width for batch in self.batches(group)), None)

    def _folder(self, group: str) -> Path:
        return self.path / "cells" / group[:16]

    def check_writable(self) -> None:
        check_writable(self.path)

    def add(self, batch: Batch) -> None:
        """Write a batch whole, then make it visible at once."""
        self.mark()
        target = self._folder(batch.group) / f"{_hash(batch.digests)}.zarr.zip"
        index.forget(target.parent, target.name)
        with appearing(target) as partial, ZipStore(partial, mode="w") as zipped:
            header = json.loads(json.dumps(batch.header()))
            group = zarr.create_group(zipped, attributes={**header, "seal": seal(header)})
            for name, values in batch.arrays.items():
                array = group.create_array(
                    name,
                    shape=values.shape,
                    chunks=tuple(max(size, 1) for size in values.shape),
                    dtype=values.dtype,
                    dimension_names=batch.dims[name],
                )
                array[...] = values
        index.forget(target.parent, target.name)  # another process may have written it meanwhile, of what was here
        self._groups.pop(batch.group, None)


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
        self.pool.mark()
        _write_grid(self.file, grid)

    def read(self) -> "Grid":
        try:
            data = json.loads(self.file.read_text())
            sealed = data.pop("seal", None)
            # Without a seal, as older versions wrote them, exactly these fields.
            if sealed != seal(data) and not (sealed is None and set(data) == {"axes", "digests", "groups", "about"}):
                raise ValueError("not as it was written")
            return Grid.from_dict(data)
        except FileNotFoundError as error:
            raise StoreError(f"{self.pool.path / self.name}: no sweep is stored here") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(
                f"{self.file}: damaged ({error}); rerunning the sweep rewrites it, no cell is lost"
            ) from error


def _write_grid(file: Path, grid: "Grid") -> None:
    data = json.loads(json.dumps(grid.to_dict()))
    write_text(file, json.dumps({**data, "seal": seal(data)}))


def locate(path: str | Path) -> View:
    """The view that a path means: the pool is the nearest folder on it that is one, the view's name is the rest.

    "runs/mine" is the view "mine" where `runs` is a pool, and otherwise a pool of its own with one view, "sweep".
    """
    path = Path(path)
    for folder in (path, *path.parents):
        if (folder / MARK).exists():
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
        _write_grid(file, grid)
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
    index.forget(target.parent, target.name)
    shutil.move(path, target)
    return batch.group
