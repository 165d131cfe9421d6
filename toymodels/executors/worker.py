"""What a worker does, in a process of its own: say what it runs on, train a batch, store it where it can."""

import functools
import hashlib
import importlib.metadata
import os
import platform
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import toymodels
from toymodels.engine.devices import keep_programs, use_cores
from toymodels.engine.plan import Group
from toymodels.engine.programs import compile_seconds
from toymodels.executors.parcel import unpack
from toymodels.executors.protocol import ExecutorError, Train
from toymodels.store import Batch, Pool
from toymodels.train import NUMERICS

PACKAGES = ("jax", "jaxlib", "numpy", "flax", "optax")
"""Those whose version may change a result."""


@functools.cache
def versions() -> dict[str, str]:
    """What has to be the same in all processes that train one sweep."""
    folder = Path(toymodels.__file__).parent
    code = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        code.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size} ".encode() + path.read_bytes())
    return {
        "toymodels, code": code.hexdigest()[:12],
        "numerics": str(NUMERICS),
        "python": ".".join(platform.python_version_tuple()[:2]),  # the code of own classes travels compiled
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def difference(theirs: dict[str, str], ours: dict[str, str]) -> str | None:
    """What a worker has that its client has not, in words; None if they agree."""
    parts = [f"{name} {theirs.get(name)} (here {ours[name]})" for name in ours if theirs.get(name) != ours[name]]
    return " and ".join(parts) or None


def refusal(address: str, wrong: str) -> str:
    return f"worker {address} has {wrong}; all need the same versions, or bits would differ"


def _address() -> str:
    from distributed import get_worker

    return str(get_worker().address)


class Place(NamedTuple):
    """A pool's folder as the client names it, and a file that the client has put there."""

    folder: str
    token: str

    def is_here(self) -> bool:
        """Whether this process sees the same folder under this name."""
        return Path(self.folder, self.token).is_file()


@dataclass(frozen=True)
class Work:
    """A batch for a worker."""

    group: Group
    """Without its batches."""
    runs: bytes
    """See `parcel`."""
    train: Train
    versions: dict[str, str]
    place: Place | None
    programs: str | None
    """The client's folder of compiled programs."""
    local: bool = False
    """Whether the workers are of the client's machine, started by it, one a core."""


class Done(NamedTuple):
    digests: list[str]
    seconds: dict[str, float]
    batch: Batch | None
    """None where the worker has stored it."""


_alone = threading.Lock()
"""Two programs at once in one process can deadlock XLA's CPU thread pool, however many threads a worker has."""


def work(what: Work) -> Done:
    """Train a batch; store it in the pool, where this process sees it."""
    if wrong := difference(versions(), what.versions):  # it has joined after the others were asked
        raise ExecutorError(refusal(_address(), wrong))
    with _alone:
        _settle(what.programs, what.local)
        batch, seconds = _trained(what)
        if what.place is None or not what.place.is_here():
            return Done(batch.digests, seconds, batch)
        Pool(what.place.folder).add(batch)
        return Done(batch.digests, seconds, None)


def _trained(what: Work) -> tuple[Batch, dict[str, float]]:
    """A batch, and the seconds that it took to `compile`, to `train`, and to `measure`."""
    compiling, start = compile_seconds(), time.perf_counter()
    measure = what.train(what.group, unpack(what.runs), lambda steps: None)
    compiling, trained = compile_seconds() - compiling, time.perf_counter()
    batch = measure()
    measured = time.perf_counter() - trained
    return batch, {"compile": compiling, "train": trained - start - compiling, "measure": measured}


@functools.cache
def _settle(programs: str | None, local: bool) -> None:
    """One device for this process, and the folder of compiled programs: its own, or the client's where it is here.

    A local worker keeps to a core of its own: XLA would have a thread for each core in every one of them.
    """
    import jax

    if local and hasattr(os, "sched_setaffinity"):
        from distributed import get_worker

        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(get_worker().name) % len(cores)]})
    with suppress(RuntimeError):  # JAX is in use already: a batch takes the first of its devices
        use_cores(1)
    if jax.config.values["jax_compilation_cache_dir"] is None and programs and Path(programs).is_dir():
        keep_programs(programs)
