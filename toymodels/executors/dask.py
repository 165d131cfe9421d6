"""Training by the workers of a Dask cluster: of this machine, or at an address."""

import asyncio
import dataclasses
import logging
import os
import queue
import signal
import socket
import time
import uuid
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import TracebackType
from typing import Any

import jax

from toymodels.engine.devices import available_cores
from toymodels.engine.plan import Plan
from toymodels.executors import worker
from toymodels.executors.parcel import pack
from toymodels.executors.protocol import Events, ExecutorError, Kept, Train
from toymodels.executors.turns import POLL_SECONDS, Turn, Turns
from toymodels.files import HOST, remove_abandoned
from toymodels.store import Pool

CONNECT_SECONDS = 8
APPEAR_SECONDS = 120
ATTEMPTS = 3
"""How often a batch is tried that ends in an error. A worker that dies is Dask's `allowed-failures`, also 3."""


GONE = "the scheduler is gone; finished batches are kept, the same command goes on"


class Dask:
    """Workers at the address of a Dask scheduler, or "local": `workers` processes on this machine (default: its cores).

    At an address, `workers` says how many to wait for; without it one is enough, and those that join later are used.
    Workers need the versions of this process. Each trains one batch at a time, on one device, and stores it where it
    sees the pool's folder; otherwise the batch travels back and is stored here. The connection, or the local workers,
    last until `close` or the end of the process: `with Dask("local") as workers: sweep(..., executor=workers)`.
    """

    devices = 1

    def __init__(self, address: str = "local", workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers={workers}: at least one worker")
        if address == "local":
            _start_tracker()
        self.address, self.workers = address, workers
        self._client: Any = None
        self._end: Any = None

    def __enter__(self) -> "Dask":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect, and end local workers; the next sweep starts anew."""
        if self._end:
            self._end()
        self._client = self._end = None

    def expect(self, todos: Sequence[Plan]) -> None: ...

    def prepare(self) -> None:
        """Connect, and see that all workers that are there have the versions of this process."""
        if self._client is None or self._client.status != "running":
            self.close()
            client, cluster = _connected(self.address, self.workers)
            self._client, self._end = client, weakref.finalize(self, _close, client, cluster)
        try:
            self._client.wait_for_workers(self.workers or 1, None if self.workers else CONNECT_SECONDS)
        except TimeoutError as error:
            raise ExecutorError(f"{self.address}: no worker has joined this scheduler; start some first") from error
        for name, found in self._client.run(worker.versions, on_error="return").items():
            if isinstance(found, OSError):  # it has gone meanwhile
                continue
            if isinstance(found, BaseException):
                raise ExecutorError(f"worker {name}: {_said(found)}; it needs what is installed here") from found
            if wrong := worker.difference(found, worker.versions()):
                raise ExecutorError(worker.refusal(name, wrong))

    def run(self, todo: Plan, kept: Kept, events: Events, train: Train) -> None:
        if any(group.shape.devices > 1 for group in todo.groups):
            raise ExecutorError("a worker trains a batch on one device: plan with devices=1")
        if not todo.programs:
            return
        if self._client is None:
            self.prepare()
        ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        flying: dict[Any, Turn] = {}
        failed: ExecutorError | None = None
        with _token(kept) as place, Turns(todo, kept, events) as turns:
            while True:
                try:
                    while not failed and len(flying) < self._room() and (turn := turns.next()):
                        flying[self._submitted(turn, train, place, ended)] = turn
                    if flying:
                        future = ended.get(timeout=POLL_SECONDS)
                        turn = flying.pop(future)
                        _keep(future, turn, turns, kept, events)
                        turns.done(turn)
                    elif failed or not turns.is_waiting:
                        break
                    else:
                        time.sleep(POLL_SECONDS)
                except queue.Empty:
                    pass
                except ExecutorError as error:  # what is in training is kept before this is raised
                    failed = failed or error
        if failed:
            raise failed

    def _room(self) -> int:
        """How many batches to have under way: one in training and one that waits, for each worker."""
        try:
            return 2 * max(len(self._client.nthreads()), 1)
        except Exception as error:
            raise ExecutorError(GONE) from error

    def _submitted(self, turn: Turn, train: Train, place: worker.Place | None, ended: Any) -> Any:
        group = dataclasses.replace(turn.group, batches=[])
        programs = jax.config.values["jax_compilation_cache_dir"]
        try:
            what = worker.Work(
                group, pack(turn.runs), train, worker.versions(), place, programs, self.address == "local"
            )
        except Exception as error:
            raise ExecutorError(f"a batch cannot be sent to a worker ({_said(error)})") from error
        key = f"toymodels-{group.name[:8]}-{uuid.uuid4().hex}"
        future = self._client.submit(worker.work, what, key=key, pure=False, retries=ATTEMPTS - 1)
        future.add_done_callback(ended.put)
        return future


def _keep(future: Any, turn: Turn, turns: Turns, kept: Kept, events: Events) -> None:
    """See that a batch that has been trained is kept; ExecutorError if it has not been trained."""
    from distributed import CancelledError, KilledWorker

    where = f"a batch of program {turn.group.name[:8]}"
    try:
        done: worker.Done = future.result()
    except ExecutorError:
        raise
    except KilledWorker as error:
        raise ExecutorError(
            f"{where}: all workers that were to train it have died; finished batches are kept"
        ) from error
    except (CancelledError, OSError) as error:
        raise ExecutorError(GONE) from error
    except Exception as error:
        raise ExecutorError(f"{where} failed {ATTEMPTS} times: {_said(error)}; finished batches are kept") from error
    if not turn.digests.issuperset(done.digests) or len(done.digests) < len(turn.digests):
        raise ExecutorError(f"{where}: a worker has trained other cells than it was asked for")
    start = time.perf_counter()
    if done.batch is not None:
        kept.add(done.batch)
    while done.batch is None and not turns.is_stored(turn):  # a shared folder may show files late
        if time.perf_counter() > start + APPEAR_SECONDS:
            raise ExecutorError(f"{where}: a worker has stored it in the pool's folder, and it is not to be seen here")
        time.sleep(POLL_SECONDS)
    stored = time.perf_counter() - start
    events.stepped(turn.group, turn.runs[0][0].steps)
    events.committed(turn.group, done.seconds | {"store": stored})


def _said(error: BaseException) -> str:
    """The error in a line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 300 else text[:297] + "..."


@contextmanager
def _token(kept: Kept) -> Iterator[worker.Place | None]:
    """A file in the pool's folder, while batches are trained: workers that see it store their batches themselves."""
    if not isinstance(kept, Pool):
        yield None
        return
    kept.mark()
    remove_abandoned(kept.path)
    token = kept.path / f".token.{HOST}.{os.getpid()}.{uuid.uuid4().hex}.partial"
    token.touch()
    try:
        yield worker.Place(str(kept.path.resolve()), token.name)
    finally:
        token.unlink(missing_ok=True)


# ----------------------------------------------------------------------------------------------------------- connecting


def _connected(address: str, workers: int | None) -> tuple[Any, Any]:
    """A client, and the cluster where it is of this machine."""
    try:
        import distributed
    except ImportError as error:
        raise ExecutorError("Dask is not installed; `pip install 'toymodels[dask]'` brings it") from error
    if address == "local":
        cluster = _local_cluster(workers or available_cores())
        return distributed.Client(cluster, set_as_default=False), cluster
    where = address if "://" in address else f"tcp://{address}"
    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook has a loop in this one
            thread.submit(asyncio.run, asyncio.wait_for(_greet(where), CONNECT_SECONDS)).result()
        return distributed.Client(where, timeout=CONNECT_SECONDS, set_as_default=False), None
    except Exception as error:  # whatever it is that listens there may answer anything
        raise ExecutorError(f"{address}: no Dask scheduler answers here ({_said(error)})") from error


async def _greet(address: str) -> None:
    """Connect and shake hands once: a client would try for longer, and wait for a handshake for ever."""
    from distributed import Security
    from distributed.comm import connect, get_address_host_port

    socket.create_connection(get_address_host_port(address, strict=True), CONNECT_SECONDS).close()
    comm = await connect(address, timeout=CONNECT_SECONDS, **Security().get_connection_args("client"))
    await comm.close()


def _local_cluster(workers: int) -> Any:
    """Worker processes of this machine. Each watches this process and ends with it, however it ends."""
    from distributed import LocalCluster

    # They inherit what is blocked: Ctrl-C is for this process alone.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=None,
            dashboard_address="127.0.0.1:0",  # by default a fixed port, which another one may have
            silence_logs=logging.CRITICAL,
        )
    except RuntimeError as error:
        raise ExecutorError(f"local workers cannot be started ({_said(error)})") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_tracker() -> None:
    """Start Python's tracker of shared resources: it tidies up when this process is stopped, here without a word."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker:UserWarning"
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        os.environ |= {"PYTHONWARNINGS": before} if before is not None else {}


def _close(client: Any, cluster: Any) -> None:
    client.close()
    if cluster is not None:
        cluster.close()
