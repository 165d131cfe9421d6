"""Disks that are full, vanish, cannot be written, or do not keep to the rules."""

import errno
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import xarray as xr

from tests.cases import same
from tests.trust.sweeps import MANY, MORE, SMALL, cells, kept_is_right, partial_files, same_or_refused
from toymodels import StoreError, lab, open, sweep
from toymodels.engine.plan import Group, plan
from toymodels.store import Pool
from toymodels.sweep import Events

PAGE = str(Path(__file__).with_name("page.py"))


@dataclass(frozen=True)
class Disk:
    """A folder whose room and rights can be changed: a file system of its own where one can be mounted."""

    path: Path
    mounted: bool

    @contextmanager
    def with_room(self, room: int) -> Iterator[None]:
        """So many bytes are left; where nothing is mounted, no file may be larger."""
        if not self.mounted:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            return
        filler, left = self.path / "filler", os.statvfs(self.path)
        filler.write_bytes(bytes(max(left.f_bavail * left.f_frsize - room, 0)))
        try:
            yield
        finally:
            filler.unlink()

    def set_writable(self, writable: bool) -> None:
        """By remounting; where nothing is mounted, or a file is open for writing, as that of a claim is, by the modes
        of the folders, for another user than the superuser, whom these do not bind."""
        superuser = os.getuid() == 0
        if writable and superuser:
            os.seteuid(0)
        command = ["mount", "-o", f"remount,{'rw' if writable else 'ro'}", str(self.path)]
        remounted = self.mounted and subprocess.run(command, capture_output=True).returncode == 0
        if writable or not remounted:
            self.path.parent.chmod(0o755)
            for folder in [self.path, *(path for path in self.path.rglob("*") if path.is_dir())]:
                folder.chmod(0o755 if writable else 0o555)
            if superuser and not writable:
                os.seteuid(65534)

    @property
    def can_be_closed(self) -> bool:
        return self.mounted or os.geteuid() != 0


@contextmanager
def disk(folder: Path, megabytes: int = 4) -> Iterator[Disk]:
    """A small file system at this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield Disk(folder, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], capture_output=True)


def kind(folder: Path) -> str:
    """What stands for a disk here."""
    with disk(folder / "kind") as made:
        return "tmpfs" if made.mounted else "a limit on the size of files"


def refused(call: Callable[..., Any], *words: Any, **more: Any) -> bool:
    """Whether a call raises a StoreError of one sentence."""
    try:
        call(*words, **more)
    except StoreError as error:
        return "\n" not in str(error)
    return False


# ----------------------------------------------------------------------------------------------------------------- full
def full(folder: Path, rooms: Sequence[int]) -> Iterator[bool]:
    """A sweep runs out of room: one sentence, nothing stored is torn, and with room it goes on to the same bits."""
    reference = sweep(MANY).load()
    for room in rooms:
        with disk(folder / "disk") as made:
            store = made.path / "store"
            few = sweep(SMALL, store).load()
            before = cells(store)
            with made.with_room(room):
                todo = plan(MANY.runs(), Pool(store))  # a plan at hand is not refused for want of room
                ended = refused(sweep, MANY, store, todo=todo)
            fine = ended and cells(store).items() >= before.items() and not partial_files(store)
            fine &= same_or_refused(store, few) or bool((open(store).status >= 0).sum() < reference.status.size)
            yield fine and same(sweep(MANY, store).load(), reference) and same(open(store).load(), reference)
            shutil.rmtree(store, ignore_errors=True)


def full_page(folder: Path, rooms: Sequence[int]) -> Iterator[bool]:
    """The disk is full while labels, cells, readings, findings and figures are written."""
    whole = _made(lab.study(PAGE, runs=folder / "runs", figures=folder / "figures"))
    for room in rooms:
        with disk(folder / "disk") as made:
            study = lab.study(PAGE, runs=made.path / "runs", figures=made.path / "figures")
            with made.with_room(room):
                ended = refused(_made, study)
            torn = partial_files(made.path)
            again = lab.study(PAGE, runs=made.path / "runs", figures=made.path / "figures")
            yield ended and not torn and _made(again) == whole
            shutil.rmtree(made.path / "runs", ignore_errors=True)
            shutil.rmtree(made.path / "figures", ignore_errors=True)


def _made(study: lab.Study) -> tuple[Any, ...]:
    """All that can be made of a study, and the names of its files."""
    found = study.train().verdicts()
    list(study.write_figures())
    return found, sorted(path.name for path in study.figures.iterdir())


# ------------------------------------------------------------------------------------------------------------- vanished
@dataclass
class At(Events):
    """Something happens once: at the n-th report of training, or when the n-th batch is kept."""

    what: Callable[[], Any]
    step: int = 0
    batch: int = 0

    def stepped(self, group: Group, steps: int) -> None:
        self.step -= 1
        if self.step == 0:
            self.what()

    def committed(self, group: Group, seconds: Any) -> None:
        self.batch -= 1
        if self.batch == 0:
            self.what()


INSTANTS = ({"step": 1}, {"batch": 1}, {"batch": 2}, {"batch": 4})
WAYS = ("removed", "moved", "cells removed", "cells moved", "unmounted")


def vanished(folder: Path, instants: Sequence[dict[str, int]] = INSTANTS, ways: Sequence[str] = WAYS) -> Iterator[bool]:
    """The pool, or a part of it, vanishes while a sweep runs: all is there at the end, or one sentence says it is not.

    A pool that is gone is not made again; where it comes back, the same sweep ends with the same bits.
    """
    reference, away = sweep(MANY).load(), folder / "away"
    for attempt, instant in enumerate(instants):
        for name in ways:
            with disk(folder / f"{name}{attempt}") as made, ExitStack() as later:
                store = made.path / "store"
                if name == "unmounted" and not made.mounted:
                    continue
                sweep(SMALL, store)
                gone = store if name in ("removed", "moved") else store / "cells"
                act: dict[str, Callable[[], Any]] = {
                    "unmounted": partial(subprocess.run, ["umount", "-l", made.path], check=True),
                    "removed": partial(shutil.rmtree, gone),
                    "moved": partial(shutil.move, gone, away),
                }
                later.callback(shutil.rmtree, away, ignore_errors=True)
                yield _whole_or_said(store, reference, At(act[name.rpartition(" ")[2]], **instant), name)
                if name == "moved":
                    shutil.move(away, store)
                yield same(sweep(MANY, store).load(), reference) and same(open(store).load(), reference)
                shutil.rmtree(store)


def _whole_or_said(store: Path, reference: xr.Dataset, events: Events, name: str) -> bool:
    try:
        found = sweep(MANY, store, events=events)
    except StoreError as error:
        return "\n" not in str(error) and (store.exists() == ("cells" in name))
    return same(found.load(), reference) and same(open(store).load(), reference)


# ------------------------------------------------------------------------------------------------------------ read-only
def read_only(folder: Path) -> Iterator[bool]:
    """Nothing can be written, from the start or from some instant on: reading works, all else is one sentence."""
    with disk(folder / "disk") as made:
        if not made.can_be_closed:
            return
        store, reference = made.path / "store", sweep(MANY).load()
        study = lab.study(PAGE, runs=made.path / "runs", figures=made.path / "figures")
        study.train()
        few = sweep(SMALL, store).load()
        begun: list[int] = []
        made.set_writable(False)
        yield same(open(store).load(), few) and study.swept("packed").data.sizes["seed"] == 5
        yield refused(sweep, MORE, store, events=At(lambda: begun.append(1), step=1)) and not begun
        yield refused(lambda: list(study.write_figures())) and refused(study.verdicts)
        yield refused(study.read, "final")
        made.set_writable(True)
        for instant in ({"step": 1}, {"batch": 1}, {"batch": 2}):
            yield refused(sweep, MANY, store, events=At(partial(made.set_writable, False), **instant))
            made.set_writable(True)
            yield kept_is_right(store, reference)
            yield same(sweep(MANY, store).load(), reference)
            shutil.rmtree(store)


@contextmanager
def as_anyone() -> Iterator[None]:
    """Without the rights of the superuser."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


PARTS = ("", "pool.json", "views", "views/sweep.json", "cells", "cells/*", "cells/*/*")


def closed() -> Iterator[bool]:
    """A folder or a file of a pool may not be read: one sentence, from reading and from training; then all is there."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)  # to be reached by anyone
        store, whole = folder / "store", sweep(SMALL, folder / "store").load()
        for part in PARTS:
            path = next(store.glob(part)) if part else store
            before = path.stat().st_mode
            path.chmod(0)
            with as_anyone():
                said = refused(lambda: open(store).load()) and refused(sweep, MORE, store)
            path.chmod(before)
            yield said and same(open(store).load(), whole)


def in_the_way(folder: Path, count: int) -> Iterator[bool]:
    """The folder of the cells, or of the labels, cannot be written: one sentence, and all cells are as they were."""
    for attempt in range(count):
        store, moved = folder / f"store{attempt}", folder / f"away{attempt}"
        sweep(SMALL, store)
        before = cells(store)
        blocked = store / ("cells", "views")[attempt % 2]
        blocked.rename(moved)
        blocked.write_text("a file is in the way")
        said = refused(sweep, MORE, store)
        blocked.unlink()
        moved.rename(blocked)
        yield said and cells(store) == before


# -------------------------------------------------------------------------------------------------------------- renames
ERRORS = (errno.EXDEV, errno.ESTALE, errno.EEXIST, errno.ENOENT, errno.EIO)


def renames(folder: Path, errors: Sequence[int] = ERRORS) -> Iterator[bool]:
    """A rename fails, before or after it has done its work: a sentence or nothing, and the same bits."""
    replace, whole = os.replace, sweep(SMALL).load()

    for number in errors:
        for done in (False, True):
            for kind in ("json", "zip"):

                def fails(source: Any, target: Any, number: int = number, done: bool = done, kind: str = kind) -> None:
                    fault = str(target).endswith(kind)
                    if done or not fault:
                        replace(source, target)
                    if fault:
                        raise OSError(number, os.strerror(number))

                store = folder / f"{number}{done}{kind}"
                with mock.patch("os.replace", fails):
                    ended = refused(sweep, SMALL, store)
                yield ended != done and not partial_files(store) and same(sweep(SMALL, store).load(), whole)
