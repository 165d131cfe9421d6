"""The index of a folder of batches: what the headers of many files say and opening a sweep asks, in one file.

It may be thrown away at any time, and is written again from the headers. An entry counts for the file of its name and
size alone, a damaged index for nothing. Before a batch takes the name of another, its folder forgets the index; what is
read of a batch is compared with its own sealed header. So an index never changes a result.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from toymodels.files import StoreError, appearing

FILE = "index.txt"
FORMAT = "batches 1"


@dataclass(frozen=True, eq=False)
class Layout:
    """What batches of one make have in common; one object for all of them."""

    text: str
    """All of it as JSON."""
    group: str
    width: int
    dims: dict[str, tuple[str, ...]]
    shapes: dict[str, tuple[int, ...]]
    """Of the arrays of one cell."""
    steps: np.ndarray
    snapshot_steps: np.ndarray
    double: bool = False


def layout(header: Mapping[str, Any]) -> Layout:
    """What a header says that other batches share; ValueError unless every array has a row for each cell."""
    cells = len(header["digests"])
    if any(shape[:1] != [cells] for shape in header["shapes"].values()):
        raise ValueError("an array lacks a row for each cell")
    shared = {name: header[name] for name in ("group", "width", "dims", "steps", "snapshot_steps")}
    shared |= {"double": True} if header.get("double") else {}
    shapes = {name: shape[1:] for name, shape in header["shapes"].items()}
    return _layout(json.dumps(shared | {"shapes": shapes}))


@lru_cache(maxsize=4096)
def _layout(text: str) -> Layout:
    data = json.loads(text)
    for name in ("dims", "shapes"):
        data[name] = {key: tuple(each) for key, each in data[name].items()}
    for name in ("steps", "snapshot_steps"):
        data[name] = np.asarray(data[name], np.int32)
        data[name].flags.writeable = False
    return Layout(text, **data)


class Entry(NamedTuple):
    """What an index says of a batch."""

    size: int
    """Bytes of its file."""
    layout: Layout
    digests: list[str]
    contents: str
    """A hash of what its arrays contain."""

    def agrees(self, other: "Entry") -> bool:
        """Whether both say the same of one file."""
        mine, theirs = ((each.layout.text, each.digests, each.contents) for each in (self, other))
        return mine == theirs


class Found(NamedTuple):
    """A file of a batch as its folder lists it."""

    size: int
    inode: int


def files(folder: Path) -> dict[str, Found]:
    """The batches of a folder by the names of their files, in order; none where it does not exist."""
    try:
        with os.scandir(folder) as entries:
            named = [entry for entry in entries if entry.name.endswith(".zarr.zip") and entry.name[0] != "."]
            stats = {entry.name: entry.stat() for entry in named}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read ({error.strerror})") from error
    return {name: Found(stats[name].st_size, stats[name].st_ino) for name in sorted(stats)}


def read(folder: Path) -> dict[str, Entry]:
    """What the index of a folder says of files by their names; nothing where there is none, or a damaged one."""
    try:
        mark, told = (folder / FILE).read_bytes().split(b"\n", 1)
    except (OSError, ValueError):
        return {}
    if mark != _mark(told):
        return {}
    batches, digests = told.decode().split("\n", 1)
    data, every = json.loads(batches), digests.split("\n")
    layouts, found, start = [_layout(text) for text in data["layouts"]], {}, 0
    for name, size, which, cells, contents in data["batches"]:
        found[name] = Entry(size, layouts[which], every[start : start + cells], contents)
        start += cells
    return found


def write(folder: Path, entries: Mapping[str, Entry], listed: Mapping[str, Found]) -> None:
    """Write the index of a folder, of files as they were listed before they were read; nothing where that cannot be.

    It is taken back where one of the files has been replaced meanwhile.
    """
    entries = {name: each for name, each in entries.items() if _is_plain("".join(each.digests))}
    layouts = {each.layout.text: None for each in entries.values()}
    number = {text: which for which, text in enumerate(layouts)}
    batches = [[name, e.size, number[e.layout.text], len(e.digests), e.contents] for name, e in entries.items()]
    digests = "\n".join(digest for each in entries.values() for digest in each.digests)
    told = f"{json.dumps({'layouts': list(layouts), 'batches': batches})}\n{digests}".encode()
    with suppress(StoreError):
        with appearing(folder / FILE) as partial:
            partial.write_bytes(_mark(told) + b"\n" + told)
        now = files(folder)
        if any(now.get(name, listed[name]) != listed[name] for name in entries):
            (folder / FILE).unlink(missing_ok=True)


def forget(folder: Path, name: str) -> None:
    """Remove the index of a folder if it says something of a file of this name, which is being replaced."""
    try:
        with (folder / FILE).open("rb") as file:
            file.readline()
            known = json.dumps(name).encode() in file.readline()
        if known:
            (folder / FILE).unlink(missing_ok=True)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StoreError(f"{folder / FILE}: cannot be replaced ({error.strerror})") from error


def _mark(told: bytes) -> bytes:
    """The first line: format and checksum."""
    return f"{FORMAT} {hashlib.blake2b(told, digest_size=16).hexdigest()}".encode()


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isalnum()
