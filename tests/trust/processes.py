"""Processes that are ended, and processes that write together."""

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.cases import same
from tests.trust.bytes import turned
from tests.trust.sweeps import MANY, kept_is_right, partial_files
from toymodels import open, sweep
from toymodels.engine.devices import keep_programs
from toymodels.stopping import stopping
from toymodels.store import Pool, View
from toymodels.sweep import Events

PHASES = {"labels": 0.01, "compile": 1.0, "train": 0.3, "write": 0.03}
"""What a process does after its imports, again and again, and about how many seconds each takes."""

# Processes are forked from one that has imported everything: imports take longer than all that is tried here.
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.trust.processes"])


def start(store: Path, programs: Path | None = None) -> tuple[BaseProcess, Connection]:
    """A process that trains MANY into a store, and the pipe in which it tells its phases.

    It keeps its compiled programs in a folder of its own where one is given.
    """
    ours, theirs = _server.Pipe(duplex=False)
    process = _server.Process(target=_train, args=(store, programs, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _train(store: Path, programs: Path | None, told: Connection) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` has it ignored, and so do those it starts
    os.dup2(os.open(_said(store), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    if programs:
        keep_programs(str(programs))
    Pool.add = _telling(told, "write", Pool.add)  # type: ignore[method-assign]
    View.write = _telling(told, "labels", View.write, "compile")  # type: ignore[method-assign]

    class Listener(Events):
        def stepped(self, group: Any, steps: int) -> None:
            told.send("train")

    with stopping():
        sweep(MANY, store, events=Listener())


def _telling(told: Connection, before: str, method: Callable[..., Any], after: str = "") -> Callable[..., Any]:
    def wrapped(*words: Any) -> Any:
        told.send(before)
        found = method(*words)
        if after:
            told.send(after)
        return found

    return wrapped


def _said(store: Path) -> Path:
    return store.with_name(f"{store.name}.said")


def kills(folder: Path, count: int, how: signal.Signals, seed: int = 0) -> Iterator[bool]:
    """A process is ended at random instants of all its phases: what it had stored is whole, and nothing else is there.

    Every fourth time the store begins empty, and without compiled programs, otherwise where the one before was ended.
    """
    reference, chance = sweep(MANY).load(), random.Random(seed)
    store, programs, done = folder / "store", folder / "programs", 0
    while done < count:
        phase = list(PHASES)[done % len(PHASES)]
        if phase == "labels":
            shutil.rmtree(store, ignore_errors=True)
        if phase == "compile":
            shutil.rmtree(programs, ignore_errors=True)
        process, told = start(store, programs if how == signal.SIGKILL else None)
        if _reached(told, phase, chance):
            time.sleep(chance.uniform(0, PHASES[phase]))
        assert process.pid is not None
        if process.is_alive():
            os.kill(process.pid, how)
        process.join()
        if process.exitcode == 0:  # it was done before
            shutil.rmtree(store)
            continue
        done += 1
        yield _ended_well(process, how, _said(store).read_text()) and kept_is_right(store, reference)


def _reached(told: Connection, phase: str, chance: random.Random) -> bool:
    """Wait for the phase, at its first to fifth time; False where the process ends before."""
    left = chance.randint(1, 5) if phase == "train" else 1
    try:
        while left:
            left -= told.recv() == phase
        return True
    except EOFError:
        return False


def _ended_well(process: BaseProcess, how: signal.Signals, said: str) -> bool:
    if how == signal.SIGKILL:
        return process.exitcode == -how
    return process.exitcode == 128 + how and said.count("\n") == 1 and "goes on" in said


def resumed(folder: Path) -> Iterator[bool]:
    """After the kills the same sweep ends with the bits of one that was not killed, and no partial file is left."""
    whole = same(sweep(MANY, folder / "store").load(), sweep(MANY).load())
    yield whole and not partial_files(folder)


def programs(folder: Path, count: int, seed: int = 0) -> Iterator[bool]:
    """A compiled program that is kept is turned or cut short: it is compiled again, to the same bits."""
    reference, chance = sweep(MANY).load(), random.Random(seed)
    _run_alone(folder / "first", folder / "programs")
    (file,) = (path for path in (folder / "programs").iterdir() if "advance" in path.name and "atime" not in path.name)
    content = file.read_bytes()
    for attempt in range(count):
        bit, store = chance.randrange(8 * len(content)), folder / f"store{attempt}"
        file.write_bytes(turned(content, bit) if attempt % 2 else content[: bit // 8])
        yield _run_alone(store, folder / "programs") == 0 and same(open(store).load(), reference)


def _run_alone(store: Path, programs: Path) -> int | None:
    process, told = start(store, programs)
    _reached(told, "the end", random.Random(0))
    process.join()
    return process.exitcode


def writers(folder: Path, count: int, together: int, killed: int = 0, seed: int = 0) -> Iterator[bool]:
    """Several processes train one sweep on one pool at the same time, and some of them are killed."""
    reference, chance = sweep(MANY).load(), random.Random(seed)
    for attempt in range(count):
        store = folder / f"store{together}-{attempt}"
        running = [start(store) for _ in range(together)]
        for process, told in running[:killed]:
            _reached(told, chance.choice(list(PHASES)), chance)
            process.kill()
        for process, told in running:
            _reached(told, "the end", chance)
            process.join()
        codes = [process.exitcode for process, _ in running[killed:]]
        yield not any(codes) and same(sweep(MANY, store).load(), reference) and not partial_files(store)
        shutil.rmtree(store)
