"""Bytes on the disk that are not as they were written: turned, cut off, exchanged."""

import random
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from tests.cases import same
from tests.trust.sweeps import MANY, MORE, SMALL, same_or_refused
from toymodels import StoreError, findings, index, open, readings, sweep
from toymodels.batches import StoredBatch
from toymodels.estimates import Estimate
from toymodels.findings import AtMost, Finding, ours


def flips(folder: Path, count: int, seed: int = 0) -> Iterator[bool]:
    """One bit of a batch, labels or index file is turned: the same data, or the one sentence."""
    sweep(SMALL, folder / "store")
    batch, labels = next(folder.rglob("*.zarr.zip")), next(folder.rglob("sweep.json"))
    told = batch.with_name(index.FILE)
    for file, share, with_index in ((batch, 0.5, False), (labels, 0.2, False), (batch, 0.15, True), (told, 0.15, True)):
        if with_index and not told.exists():
            index.write(batch.parent, {batch.name: StoredBatch(batch).told}, index.files(batch.parent))
        bits = range(8 * file.stat().st_size)
        yield from _turning(
            folder / "store", file, random.Random(seed).sample(bits, min(int(count * share), len(bits)))
        )


def regions(folder: Path, each: int, seed: int = 0) -> Iterator[bool]:
    """A bit is turned in every part of a batch file: headers, metadata, chunks, directory, end record."""
    sweep(SMALL, folder / "store")
    batch, chance = next(folder.rglob("*.zarr.zip")), random.Random(seed)
    for places in parts(batch).values():
        bits = [8 * chance.choice(places) + chance.randrange(8) for _ in range(each)]
        yield from _turning(folder / "store", batch, bits)


def parts(batch: Path) -> dict[str, list[int]]:
    """Places of the bytes of a zip file, part by part."""
    size, found = batch.stat().st_size, dict[str, list[int]]()
    with zipfile.ZipFile(batch) as zipped:
        for entry in zipped.infolist():
            start = entry.header_offset + 30 + len(entry.filename)
            kind = {"zarr.json": "header"}.get(entry.filename, "metadata" if "json" in entry.filename else "chunks")
            found.setdefault("local headers", []).extend(range(entry.header_offset, start))
            found.setdefault(kind, []).extend(range(start, start + entry.file_size))
        found["directory"], found["end record"] = list(range(zipped.start_dir, size - 22)), list(range(size - 22, size))
    return found


def _turning(store: Path, file: Path, bits: list[int]) -> Iterator[bool]:
    whole, content = open(store).load(), file.read_bytes()
    for bit in bits:
        file.write_bytes(turned(content, bit))
        yield same_or_refused(store, whole)
        for aside in store.rglob("*.damaged"):
            aside.unlink()
        file.write_bytes(content)


def turned(content: bytes, bit: int) -> bytes:
    place, inside = divmod(bit, 8)
    return content[:place] + bytes([content[place] ^ 1 << inside]) + content[place + 1 :]


def truncations(folder: Path, count: int, seed: int = 0) -> Iterator[bool]:
    """A batch file ends too early: the one sentence, and the same sweep trains its cells again, to the same bits."""
    whole = sweep(SMALL, folder / "store").load()
    batch = next(folder.rglob("*.zarr.zip"))
    content, chance = batch.read_bytes(), random.Random(seed)
    for _ in range(count):
        batch.write_bytes(content[: chance.randrange(len(content))])
        try:
            open(folder / "store").load()
            yield False
        except StoreError:
            yield same(sweep(SMALL, folder / "store").load(), whole) and same(open(folder / "store").load(), whole)


def _folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _swap(one: Path, other: Path) -> None:
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


OTHERS = replace(SMALL, base=MANY.base)
EXCHANGES: dict[str, Callable[[Path, Path, Path], object]] = {
    "an empty file": lambda one, other, far: one.write_bytes(b""),
    "a folder in its place": lambda one, other, far: _folder_instead(one),
    "another batch's content": lambda one, other, far: one.write_bytes(other.read_bytes()),
    "another program's content": lambda one, other, far: one.write_bytes(far.read_bytes()),
    "two batches swapped": lambda one, other, far: _swap(one, other),
    "twice its content": lambda one, other, far: one.write_bytes(2 * one.read_bytes()),
    "a stray file": lambda one, other, far: one.with_name("junk.zarr.zip").write_bytes(b"junk"),
    "a copy beside it": lambda one, other, far: shutil.copy(one, one.with_name("copy.zarr.zip")),
    "a copy in another folder": lambda one, other, far: shutil.copy(far, one.parent),
    "gone": lambda one, other, far: one.unlink(),
}


def exchanges(folder: Path, names: Iterable[str] = EXCHANGES) -> Iterator[bool]:
    """A batch file is replaced by something else: the same data or the one sentence, and the same sweep mends it."""
    store = folder / "store"
    sweep(SMALL, store)
    whole = sweep(MORE, store).load()
    near = {path.parent for path in store.rglob("*.zarr.zip")}
    others = sweep(OTHERS, store).load()
    (far,) = (path for path in store.rglob("*.zarr.zip") if path.parent not in near)
    sweep(MORE, store)
    one, other = sorted(near.pop().iterdir())
    shutil.copytree(store, folder / "kept")
    for name in names:
        EXCHANGES[name](one, other, far)
        fine = same_or_refused(store, whole) or name == "gone"  # those cells are missing, and say so
        fine &= same(sweep(MORE, store).load(), whole) and same(open(store).load(), whole)
        yield fine and same(sweep(OTHERS, store).load(), others)
        shutil.rmtree(store)
        shutil.copytree(folder / "kept", store)


def other_labels(folder: Path) -> Iterator[bool]:
    """The labels of another sweep lie under a sweep's name: their own cells stand at them, and a sweep mends it."""
    store = folder / "store"
    (store / "views").mkdir(parents=True)
    (store / "pool.json").write_text('{"layout": 1}')
    few, whole = sweep(SMALL, store / "few").load(), sweep(MORE, store / "more").load()
    views = store / "views"
    for source, target in (("few", "more"), ("more", "few")):
        shutil.copy(views / f"{source}.json", views / f"{target}.json")
        yield same(open(store / target).load(), {"few": few, "more": whole}[source])
        what = {"few": SMALL, "more": MORE}[target]
        yield same(sweep(what, store / target).load(), {"few": few, "more": whole}[target])


def numbers(folder: Path, count: int, seed: int = 0) -> Iterator[bool]:
    """A bit of a reading, or of findings, is turned, or the file is cut short: as they were, or to be made again."""
    chance, file, table = random.Random(seed), folder / "reading.nc", folder / "findings.json"
    data = xr.Dataset({"x": ("seed", np.arange(4) / 3), "name": ("power", ["two", "three"])}, {"seed": range(4)})
    readings.keep(file, data)
    found = Finding("a", "b", Estimate(0.1, 0.05, 0.2, "seeds", 8), AtMost(1), ours("c"))
    findings.write(table, "toy", "address", [found.to_dict()], asked="d")
    read, told = readings.kept(file), findings.read(table)
    assert read is not None
    assert told is not None
    for path in (file, table):
        content = path.read_bytes()
        bits = [chance.randrange(8 * len(content)) for _ in range(count // 2)]
        for changed in (*(turned(content, bit) for bit in bits), content[: len(content) // 2], b"", 2 * content):
            path.write_bytes(changed)
            again: object = readings.kept(file)
            yield again is None or (isinstance(again, xr.Dataset) and again.identical(read))
            yield findings.read(table) in (None, told)
        path.write_bytes(content)
