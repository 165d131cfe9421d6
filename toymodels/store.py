"""One pool of cells: each addressed by its own digest, in batches written whole, and named views of them.

    runs/cells/<group>/<batch>.zarr.zip     results of the cells of one compiled program that were trained together
    runs/cells/<group>/index.txt            what opening asks of many batches; written again whenever it is lost
    runs/views/<name>.json                  a sweep: its labels, and the digest of the cell at each place
    runs/pool.json                          says that this folder is a pool

Sweeps that ask for the same cell share it, and opening a view reads only its own groups. A batch appears in one atomic
rename, so an interrupted write leaves nothing behind, two processes never share a file, and writing a batch twice is
harmless. Nothing here trains or judges: the store knows digests, labels and arrays.
"""

import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import MemoryStore

from toymodels import index
from toymodels.batches import (
    Batch,
    Cells,
    Damaged,
    Folder,
    Newer,
    StoredBatch,
    check_format,
    file_name,
    in_its_place,
    set_aside,
)
from toymodels.files import StoreError, appearing, check_writable, is_there, seal, write_text

MARK, LAYOUT = "pool.json", {"layout": 1}


class Pool:
    """A folder of cells and views. Reading a missing folder gives an empty pool; the first write makes it.

    A pool that was there and has vanished - removed, moved, unmounted - is not made again in its place.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._groups: dict[str, list[StoredBatch]] = {}
        self._folders: dict[str, Folder] = {}
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
        """The batches of a group; what their headers say is read once."""
        if group not in self._groups:
            folder = self._folders.setdefault(group, Folder(self._folder(group)))
            self._groups[group] = folder.batches(self.damaged)
        return self._groups[group]

    def look_again(self, groups: Iterable[str]) -> None:
        """See what has been stored of these groups since they were met."""
        for group in groups:
            self._groups.pop(group, None)

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
        """Write a batch whole, then make it visible at once; a StoreError says that its cells are lost."""
        target = self._folder(batch.group) / file_name(batch)
        index.forget(target.parent, target.name)
        try:
            with self.appearing(target) as partial, partial.open("wb") as file, zipfile.ZipFile(file, "w") as zipped:
                for name, content in _entries(batch).items():
                    zipped.writestr(zipfile.ZipInfo(name), content)  # at no time: a clock may be outside 1980 to 2107
        except StoreError as error:
            what = f"{len(batch.digests)} cells that were just trained are lost"
            raise StoreError(f"{error}; {what}, the same sweep goes on") from error
        index.forget(target.parent, target.name)  # another process may have written it meanwhile, of what was here
        self._groups.pop(batch.group, None)

    def claims(self, group: str) -> Path:
        """A hidden file; locks on it say which cells of the group are in training (see `executors.claims`)."""
        return self._folder(group) / ".claims"

    def arrived(self, group: str, known: set[str]) -> list["StoredBatch"]:
        """Batches of a group in files whose names are not among those `known`, to which they are added."""
        found = []
        for name in index.files(self._folder(group)):
            if name not in known:
                known.add(name)
                with suppress(Damaged):  # its cells are missing
                    found.append(in_its_place(StoredBatch(self._folder(group) / name)))
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
            check_format(self.file, data)
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
    """Folders of the layout before the pool: batches beside a `sweep.json`, up to three levels down; not what is in a
    pool of its own, whose view may have this name."""
    for pattern in ("sweep.json", "*/sweep.json", "*/*/sweep.json", "*/*/*/sweep.json"):
        for file in path.glob(pattern):
            between = file.relative_to(path).parents
            if not any((path / each / MARK).exists() for each in between if each.name):
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
    target = pool / "cells" / batch.group[:16] / file_name(batch)
    target.parent.mkdir(parents=True, exist_ok=True)
    index.forget(target.parent, target.name)
    shutil.move(path, target)
    return batch.group
