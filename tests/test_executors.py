"""Where batches are trained changes nothing: here, in shards, by Dask's workers, by processes that share a pool."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import psutil
import pytest
import xarray as xr

import toymodels.executors.dask as client
from tests.cases import AUTOENCODER, PACKING, packings, same
from toymodels import Axis, Run, Sweep, config, lab, open, sweep, train
from toymodels.cli import main
from toymodels.engine import remaining
from toymodels.engine.plan import Group, plan
from toymodels.executors import Dask, Events, ExecutorError, here, worker
from toymodels.executors.claims import Claims
from toymodels.executors.parcel import pack
from toymodels.store import Pool

ROOT = Path(__file__).parent.parent
WHAT = packings(seeds=range(40))
"""80 cells, 64 to a batch."""
LONG = Sweep(config.replace(PACKING, {"steps": 10_000}), packings(seeds=range(160)).axes)
"""Five batches, each of a good part of a second."""


@pytest.fixture(scope="module")
def dask() -> Iterator[Dask]:
    """Two worker processes of this machine."""
    with Dask("local", workers=2) as workers:
        yield workers


class Count(Events):
    """Batches that were committed here, and steps that were reported."""

    def __init__(self) -> None:
        self.batches = self.steps = 0

    def stepped(self, group: Group, steps: int) -> None:
        self.steps += steps

    def committed(self, group: Group, seconds: object) -> None:
        self.batches += 1


# ----------------------------------------------------------------------------------------------------------------- here


def test_the_program_of_the_next_group_is_compiled_while_one_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    monkeypatch.setattr(here, "_compile", lambda group: begun.append(group.steps))
    todo = plan(Sweep(PACKING, [Axis("steps", "steps", [10, 20, 30, 40])]).runs())
    programs, first, second, _, last = here._Programs(), *todo.groups
    programs.expect([todo])
    for group in (first, first, second, last, second):
        programs.wait(group)
    programs.close()
    assert begun == [10, 20, 30, 40]  # 30 was next when 20 was waited for


def test_what_cannot_be_compiled_is_said_when_its_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_(group: Group) -> None:
        if group.steps == 20:
            raise RuntimeError("no such program")

    monkeypatch.setattr(here, "_compile", compile_)
    with pytest.raises(RuntimeError, match="no such program"):
        sweep(Sweep(PACKING, [Axis("steps", "steps", [10, 20])]), events=(events := Count()))
    assert events.batches == 1


def test_what_was_closed_trains_again() -> None:
    executor = here.Here()
    first = sweep(packings(), executor=executor)
    executor.close()
    same(first, sweep(packings(), executor=executor))


def test_a_batch_is_measured_beside_the_next_and_what_fails_there_is_raised(monkeypatch, tmp_path: Path) -> None:
    measure, calls = remaining.measure, []

    def fails(*arguments):
        calls.append(threading.current_thread())
        if len(calls) == 2:
            raise RuntimeError("not measured")
        return measure(*arguments)

    monkeypatch.setattr(remaining, "measure", fails)
    with pytest.raises(RuntimeError, match="not measured"):
        sweep(LONG, tmp_path)
    assert threading.main_thread() not in calls
    monkeypatch.setattr(remaining, "measure", measure)
    assert sweep(LONG, tmp_path, events=(events := Count())).sizes["seed"] == 160
    assert events.batches == 4  # of five: one was kept, the one that failed and those after it were not


@pytest.mark.parametrize("run", [PACKING, AUTOENCODER])
def test_what_is_still_to_gain_is_worked_out_in_double_precision(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    measure, found = remaining.measure, []

    def watched(gradient, x, *rest):
        found.extend(gradient(1, np.arange(2), np.repeat(x[:1], 2, axis=0)))
        return measure(gradient, x, *rest)

    monkeypatch.setattr(remaining, "measure", watched)
    train(run)
    assert [values.dtype for values in found] == [np.float64] * 2


# ----------------------------------------------------------------------------------------------------------------- Dask


def test_the_same_bits_here_in_two_shards_and_by_two_workers(tmp_path: Path, dask: Dask) -> None:
    here = sweep(WHAT)
    for part in (0, 1):
        sharded = sweep(WHAT, tmp_path / "shards", shard=(part, 2))
    count = Count()
    assert same(here, sharded)
    assert same(here, sweep(WHAT, tmp_path / "dask", executor=dask, events=count))
    assert same(here, open(tmp_path / "dask").load())
    assert (count.batches, count.steps) == (2, 2 * PACKING.steps)
    assert same(here, sweep(WHAT, executor=dask))  # nothing is stored: batches travel back
    widths = {batch.width for batch in Pool(tmp_path / "dask").batches(WHAT.groups[0])}
    assert widths == {batch.width for batch in Pool(tmp_path / "shards").batches(WHAT.groups[0])}
    assert not list(tmp_path.rglob(".*"))  # neither the token nor the claims


@pytest.mark.parametrize("shared", [True, False])
def test_a_worker_stores_its_batch_where_it_sees_the_pool(
    tmp_path: Path, dask: Dask, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    travelled = []

    def keep(future, *rest):
        travelled.append(future.result().batch is not None)
        return kept(future, *rest)

    kept = client._keep
    monkeypatch.setattr(client, "_keep", keep)
    if not shared:
        monkeypatch.setattr(client, "_token", lambda pool: nullcontext(worker.Place("/nowhere", "no token")))
    data = sweep(packings(), tmp_path / "store", executor=dask)
    assert travelled == [not shared]
    assert (data.status >= 0).all()
    assert same(data.load(), open(tmp_path / "store").load())


OWN = """
import os

import jax.numpy as jnp

from toymodels import Axis, Sweep
from toymodels.config import config
from toymodels.experiment import Experiment
from tests.cases import PACKING, packings


def helper(x):
    return x**2


@config
class Part:
    shift: float = 1.0


@config
class Own:
    part: Part = Part()
    dims = {"w": ("coordinate",)}

    def init(self, key):
        return {"w": jnp.ones(3)}

    def objective(self, params, example):
        if FAILS and "ONLY_HERE" not in os.environ:
            raise RuntimeError("only here")
        return jnp.sum(helper(params["w"] - self.part.shift))


FAILS = False
base = PACKING.__class__(Own(), steps=20, record=PACKING.record)
own = Sweep(base, [Axis("shift", "problem.part.shift", [2.0, 3.0])])
experiment = Experiment("What?", "Nobody", {"packed": packings(), "own": own})
"""


def by_command(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """The command line. (Within the tests, the library's signatures are checked by code that cannot be sent.)"""
    return subprocess.run(
        [sys.executable, "-m", "toymodels", "run", "mine.py", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ONLY_HERE": ""},
        capture_output=True,
        text=True,
    )


def address(dask: Dask) -> str:
    dask.prepare()
    return dask._client.scheduler.address


@pytest.mark.long
def test_own_classes_of_a_file_reach_the_workers(tmp_path: Path, dask: Dask) -> None:
    """Its classes, what they refer to, and their addresses, which depend on their source; and code that is newer."""
    found = []
    for text in (OWN, OWN.replace("x**2", "x**4")):
        (tmp_path / "mine.py").write_text(text)
        done = by_command(tmp_path, "--no-figures", "--dask", address(dask))
        assert done.returncode == 0, done.stderr
        assert "nothing to train" in by_command(tmp_path, "--dry-run").stdout
        found.append(open(tmp_path / "runs/mine/own").load())
        study = lab.study(str(tmp_path / "mine.py"), runs=tmp_path / "runs")
        assert same(found[-1], sweep(study.sweeps["own"]))
    assert not same(*found)


@pytest.mark.long
def test_a_batch_that_fails_is_one_sentence_and_what_is_finished_is_kept(tmp_path: Path, dask: Dask) -> None:
    (tmp_path / "mine.py").write_text(OWN.replace("FAILS = False", "FAILS = True"))
    done = by_command(tmp_path, "--no-figures", "--dask", address(dask))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "failed 3 times: RuntimeError: only here" in done.stderr
    assert [open(tmp_path / "runs/mine" / name).status.values.min() >= 0 for name in ("packed", "own")] == [True, False]


class Other:
    """Versions of this process that are unlike those of the workers; what travels to them is the real function."""

    def __init__(self) -> None:
        self.found = worker.versions() | {"jax": "0.1"}

    def __call__(self) -> dict[str, str]:
        return self.found

    def __reduce__(self):
        return getattr, (worker, "versions")


@pytest.mark.parametrize("joined_later", [False, True])
def test_versions_are_compared(tmp_path: Path, dask: Dask, monkeypatch: pytest.MonkeyPatch, joined_later: bool) -> None:
    """Before anything is written; and by the worker itself, should it not have been there by then."""
    dask.prepare()
    if joined_later:
        monkeypatch.setattr(dask, "prepare", lambda: None)
    monkeypatch.setattr(worker, "versions", Other())
    with pytest.raises(ExecutorError, match=r"^worker tcp://\S+ has jax 0\.10\S+ \(here 0\.1\)"):
        sweep(packings(), tmp_path / "store", executor=dask)
    assert joined_later or not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_worker_that_dies_is_replaced_and_no_batch_is_lost(tmp_path: Path, dask: Dask) -> None:
    dask.prepare()
    processes = list(dask._client.run(os.getpid).values())

    class Kill(Count):
        def committed(self, group: Group, seconds: object) -> None:
            super().committed(group, seconds)
            if self.batches == 1:  # the other one is in the middle of its batch, or this one in the next
                os.kill(processes[0], signal.SIGKILL)

    count = Kill()
    data = sweep(LONG, tmp_path / "store", executor=dask, events=count)
    assert same(data, sweep(LONG))
    assert count.batches == len(list((tmp_path / "store").rglob("*.zarr.zip"))) == 5
    assert processes[0] not in dask._client.run(os.getpid).values()


@pytest.mark.long
def test_a_worker_of_other_code_is_named(tmp_path: Path) -> None:
    """A real one, which has a comment more."""
    import shutil

    from distributed import LocalCluster

    shutil.copytree(ROOT / "toymodels", tmp_path / "other" / "toymodels")
    with (tmp_path / "other" / "toymodels" / "losses.py").open("a") as file:
        file.write("# another line\n")
    with LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50) as scheduler:
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", scheduler.scheduler_address, "--no-nanny"],
            env={**os.environ, "PYTHONPATH": str(tmp_path / "other")},
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
        )
        try:
            scheduler.wait_for_workers(1, 60)
            with Dask(scheduler.scheduler_address) as dask, pytest.raises(ExecutorError, match="has toymodels, code"):
                sweep(packings(), tmp_path / "store", executor=dask)
        finally:
            process.kill()
            process.wait()
    assert not (tmp_path / "store").exists()


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_command(tmp_path: Path, how: signal.Signals) -> None:
    """One sentence, 128 + n, and no process is left; Ctrl-C reaches all processes of a terminal."""
    (tmp_path / "long.py").write_text(
        "from tests.test_executors import LONG\nfrom toymodels.experiment import Experiment\n"
        'experiment = Experiment("What?", "Nobody", {"long": LONG})\n'
    )
    command = [sys.executable, "-m", "toymodels", "run", "long.py", "--no-figures", "--dask", "local", "--cores", "2"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob(".token.*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    os.killpg(process.pid, how)
    said = process.communicate()[1].decode()
    assert process.returncode == 128 + how
    assert said.count("\n") == 1
    assert "goes on" in said
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", pytest.param("silent", marks=pytest.mark.long)])
def test_no_scheduler_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    """Within ten seconds, and before anything is written; also where something else listens."""
    import socket

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(OWN)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        if address == "silent":
            address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(SystemExit) as stop:
            main(["run", "mine.py", "--dask", address])
    assert time.monotonic() - start < 20
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{address}: no Dask scheduler answers here" in said
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["mine.py"]


def test_without_dask_everything_else_works(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; import toymodels.lab, toymodels.executors, toymodels.cli; "
        "sys.exit(bool({'dask', 'distributed'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ExecutorError, match="pip install"):
        sweep(packings(), executor=Dask("local"))
    with pytest.raises(ValueError, match="at least one"):
        Dask("local", workers=0)


def test_a_worker_of_many_threads_trains_one_batch_at_a_time() -> None:
    (group,) = plan(packings().runs(), devices=1).groups
    inside, most = [], []

    def train(group, runs, progress):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return lambda: done

    done = client_batch(group)
    what = worker.Work(group, pack(next(iter(group.batches))), train, worker.versions(), None, None)
    threads = [threading.Thread(target=worker.work, args=(what,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def client_batch(group: Group):
    """A batch of this group, trained here."""
    from toymodels.sweep import _train_batch

    return _train_batch(group, next(iter(group.batches)))()


# --------------------------------------------------------------------------------------------------------------- claims

HOLD = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("claims", "toymodels/executors/claims.py")  # alone, without JAX
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
claims = module.Claims(Path(sys.argv[1]))
print(claims.take(sys.argv[2:]), flush=True)
sys.stdin.readline()
claims.close()
"""
CELLS = ["0123456789abcdef" * 2, "123456789abcdef0" * 2, "f" * 32]


def holding(path: Path, *cells: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), *cells],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


@pytest.mark.parametrize("killed", [True, False])
def test_cells_that_another_process_claims(tmp_path: Path, killed: bool) -> None:
    """None of a batch that shares one of them can be had; others can; all can once it has ended, however it ends."""
    path = tmp_path / "group" / ".claims"
    other, mine = holding(path, *CELLS[:2]), Claims(path)
    assert not mine.take(CELLS[1:])
    assert mine.take(CELLS[2:])
    if killed:
        other.kill()
        other.communicate()
    else:
        other.communicate("\n")
    assert path.exists()  # this process holds a claim still
    assert mine.take(CELLS[:2])
    mine.close()
    assert not path.exists()
    again = holding(path, *CELLS)
    again.communicate("\n")
    assert not path.exists()


def test_where_locks_do_not_work_everything_can_be_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    data = sweep(packings(), tmp_path / "store")
    assert (data.status >= 0).all()
    assert not list(tmp_path.rglob(".*"))


TOGETHER = """
import sys
from tests.test_executors import Count
from tests.trust import MANY
from toymodels import sweep
count = Count()
print("ready", flush=True)
sys.stdin.readline()
data = sweep(MANY, sys.argv[1], events=count)
print(count.batches, count.steps, int((data.status >= 0).sum()), flush=True)
"""


@pytest.mark.long
def test_processes_that_start_together_train_each_batch_once(tmp_path: Path) -> None:
    from tests.trust import MANY

    (group,) = plan(MANY.runs(), devices=1).groups
    batches = len(list(group.batches))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, str(tmp_path / "store")],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": "."},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    found = [[int(word) for word in process.communicate()[0].split()] for process in running]
    assert sum(trained for trained, _, _ in found) == batches
    assert [steps for _, steps, _ in found] == [batches * MANY.base.steps] * 2
    assert [cells for _, _, cells in found] == [240, 240]
    assert same(open(tmp_path / "store").load(), sweep(MANY))
    assert not list((tmp_path / "store").rglob(".*"))


def test_what_a_dead_process_had_claimed_is_trained_here(tmp_path: Path) -> None:
    """It is skipped while the other lives, and trained at the end."""
    what, count = packings(), Count()
    other = holding(Pool(tmp_path / "store").claims(what.groups[0]), what.digests[0])
    timer = threading.Timer(1.0, other.kill)
    timer.start()
    start = time.monotonic()
    data = sweep(what, tmp_path / "store", events=count)
    timer.join()
    other.communicate()
    assert time.monotonic() - start > 0.9
    assert count.batches == 1
    assert isinstance(data, xr.Dataset)
    assert same(data, sweep(what))
