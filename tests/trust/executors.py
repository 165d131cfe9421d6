"""The same sweep, trained in several ways."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cases import same
from tests.trust.sweeps import MANY
from toymodels import sweep
from toymodels.executors import Dask


def ways(folder: Path) -> Iterator[tuple[str, bool]]:
    """(way, whether the bits are those of one process)."""
    reference = sweep(MANY).load()
    for part in (0, 1):
        sharded = sweep(MANY, folder / "shards", shard=(part, 2))
    yield "two shards, one after the other", same(sharded.load(), reference)
    with Dask("local", workers=2) as workers:
        yield "two Dask workers, batches travel back", same(sweep(MANY, executor=workers).load(), reference)
        stored = sweep(MANY, folder / "dask", executor=workers)
        yield "two Dask workers that store their batches", same(stored.load(), reference)
        killer = threading.Thread(target=_kill_one, args=(workers,))
        killer.start()
        again = sweep(MANY, folder / "killed", executor=workers).load()
        killer.join()
        yield "two Dask workers, one of them killed in training", same(again, reference)


def _kill_one(workers: Dask, after: float = 0.3) -> None:
    time.sleep(after)
    client = workers._client
    process = next(iter(client.run(os.getpid).values()))
    os.kill(process, signal.SIGKILL)
