"""What a sweep of up to a million cells costs to plan, to store and to open, in time, memory and files.

`python -m benchmarks.growth [--most CELLS] [--folder DIR]` writes docs/growth.md. Every number is of a process of its
own. The stored cells are planted: batches as the plan lays them out, with the arrays of a real one and random numbers.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import toymodels
from benchmarks.diagram import diagram
from benchmarks.report import machine
from toymodels import Record, Run, Sweep, config, sweep, use_cores
from toymodels.data import Sparse
from toymodels.engine.plan import Batches, Group, plan
from toymodels.executors import Dask
from toymodels.models import Tied
from toymodels.optimizers import Adam
from toymodels.problems.population import Population
from toymodels.store import Batch, Pool, locate

SIDES = {1000: (10, 10, 10), 10_000: (20, 20, 25), 100_000: (50, 50, 40), 1_000_000: (100, 100, 100)}
"""Densities x importances x seeds of the phase diagram."""


def sized(cells: int) -> Sweep:
    """The phase diagram of so many cells, by the exact loss."""
    problem = Population(Sparse(2, 0.1), Tied(1))
    return diagram(Run(problem, Adam(0.03), steps=1000, record=Record(10, 1, examples=1024)), SIDES[cells])


# --------------------------------------------------------------------------------------------------------------- phases


def planning(what: Sweep, folder: Path) -> None:
    """From nothing to the batches to train, in a pool with none of the cells, or with all."""
    plan(what.runs(), Pool(folder))


def storing(what: Sweep, folder: Path) -> None:
    """Every batch of the plan, written as if it had been trained, and the labels."""
    view = locate(folder)
    view.write(what.grid())
    (group,) = plan(what.runs(), view.pool).groups
    for batch in planted(what, group):
        view.pool.add(batch)


def planted(what: Sweep, group: Group) -> Iterator[Batch]:
    """Batches of a group with random numbers for results."""
    assert isinstance(group.batches, Batches)
    steps, snapshots = what.base.record.loss_steps(what.base.steps), what.base.record.snapshot_steps(what.base.steps)
    chance, described = np.random.default_rng(0), config.to_dict(what.base)
    own = {name: what.base.problem.dims[name] for name in ("W", "b")}
    dims = {"objective": ("cell", "step")} | {name: ("cell", "snapshot", *each) for name, each in own.items()}
    sizes = {"step": len(steps), "snapshot": len(snapshots), "feature": 2, "hidden": 1}
    for places in group.batches.places:
        cells = np.unique(places)
        shapes = {name: (len(cells), *(sizes[dim] for dim in its[1:])) for name, its in dims.items()}
        arrays = {name: chance.random(shape, np.float32) for name, shape in shapes.items()}
        yield Batch(
            [what.digests[cell] for cell in cells],
            [described] * len(cells),
            group.name,
            group.shape.width,
            {"finite": np.ones(len(cells), np.int8), **arrays},
            {"finite": ("cell",), **dims},
            steps,
            snapshots,
        )


def indexing(what: Sweep, folder: Path) -> None:
    """The first opening: every header is read, and the index is written."""
    toymodels.open(folder)


def opening(what: Sweep, folder: Path) -> None:
    """Every later opening."""
    toymodels.open(folder)


def one_cell(what: Sweep, folder: Path) -> None:
    """Opening, and the last parameters of one cell and what became of it."""
    data = toymodels.open(folder)
    assert isinstance(data, xr.Dataset)
    data.isel(p=0, ratio=0, seed=0)[["W", "status"]].load()


def training(what: Sweep, folder: Path) -> None:
    """A real sweep: planned, compiled, trained, measured, stored, and opened."""
    sweep(what, folder.with_suffix(".trained"))


def by_workers(what: Sweep, folder: Path) -> None:
    """The same by two Dask workers; the processor is that of the client alone."""
    with Dask("local", workers=2) as workers:
        sweep(what, folder.with_suffix(".workers"), executor=workers)


MOST = {"train": 100_000, "train, by two workers": 10_000}
"""Cells that these phases are measured with at the most."""
PHASES: dict[str, Callable[[Sweep, Path], None]] = {
    "train": training,
    "train, by two workers": by_workers,
    "plan, nothing stored": planning,
    "store": storing,
    "first opening": indexing,
    "open": opening,
    "open, read a cell": one_cell,
    "plan, all stored": planning,
}


def measured(phase: str, cells: int, folder: Path) -> dict[str, float]:
    """Seconds, seconds of the processor, and the most MiB held, of a phase in this process."""
    what = sized(cells)
    use_cores()
    toymodels.open  # noqa: B018  (imported before the clock starts)
    start, busy = time.perf_counter(), time.process_time()
    PHASES[phase](what, folder)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return {"s": seconds, "busy": busy, "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10}


def elsewhere(phase: str, cells: int, folder: Path) -> dict[str, float]:
    """`measured`, of a process of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", "--phase", phase, str(cells), str(folder)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


# ----------------------------------------------------------------------------------------------------------------- page


def row(cells: int, folder: Path) -> dict[str, Any]:
    """All phases of one size in turn, and what lies on the disk."""
    found: dict[str, Any] = {}
    for phase in (each for each in PHASES if cells <= MOST.get(each, cells)):
        found[phase] = elsewhere(phase, cells, folder)
        print(f"{cells:,} cells: {phase}: {found[phase]}", file=sys.stderr, flush=True)
    batches = list(folder.glob("cells/*/*.zarr.zip"))
    found["files"] = len(batches)
    found["MB"] = sum(path.stat().st_size for path in batches) / 1e6
    found["index MB"] = sum(path.stat().st_size for path in folder.glob("cells/*/index.txt")) / 1e6
    found["labels MB"] = sum(path.stat().st_size for path in folder.glob("views/*.json")) / 1e6
    return found


def table(rows: Mapping[int, Mapping[str, Any]]) -> Iterator[str]:
    sizes = ("files", "MB", "index MB", "labels MB")
    yield "| cells | " + " | ".join((*PHASES, *sizes)) + " |"
    yield "|" + "---:|" * (1 + len(PHASES) + len(sizes))
    for cells, found in rows.items():
        times = [_told(found.get(phase)) for phase in PHASES]
        yield f"| {cells:,} | " + " | ".join([*times, *(f"{found[size]:,.0f}" for size in sizes)]) + " |"


def _told(found: Mapping[str, float] | None) -> str:
    return f"{found['s']:.1f} s ({found['busy']:.1f}), {found['MiB']:.0f} MiB" if found else "not measured"


def shares(rows: Mapping[int, Mapping[str, Any]]) -> str:
    """What a sweep spends on other than training, of the processor's time."""
    parts = []
    for cells, found in rows.items():
        if "train" in found:
            own = sum(found[phase]["busy"] for phase in ("plan, nothing stored", "store", "open"))
            parts.append(f"{own / found['train']['busy']:.0%} of {cells:,} cells")
    return (
        f"To plan, store and open is {', '.join(parts)}: of the processor's time that a sweep takes whose cells are as "
        "cheap as they come, 1000 steps of two features. It takes no longer where cells take a hundred times as long."
    )


def ten_million(rows: Mapping[int, Mapping[str, Any]]) -> str:
    """What 10^7 cells on a cluster would cost, from what one more cell costs here."""

    def hours(phase: str) -> float:
        least, most = sorted(cells for cells, found in rows.items() if phase in found)[-2:]
        return 1e7 * (rows[most][phase]["busy"] - rows[least][phase]["busy"]) / (most - least) / 3600

    most = max(rows)
    gigabytes = 1e4 * rows[most]["MB"] / most
    plan, train = hours("plan, nothing stored"), hours("train")
    client = max(hours("train, by two workers"), plan)
    return (
        f"Ten million cells are ten sweeps of a million (more in one is refused) and {gigabytes:.0f} GB. The client of "
        f"a Dask cluster takes {60 * plan:.0f} minutes of a core to plan them, and {60 * client:.0f} with handing out "
        "and taking back their batches: so long it takes with any number of workers. These cells are "
        f"{train:.1f} core-hours, storing included, so that {max(train / client, 1):.0f} workers keep a client busy; "
        "of cells that take a hundred times as long, a hundred times as many do. This is worked out from what one more "
        "cell costs in the columns above, and was not run."
    )


def page(rows: Mapping[int, Mapping[str, Any]]) -> Iterator[str]:
    yield "# Growth\n"
    yield "What a sweep costs besides its training, by its cells."
    yield f"Made by `python -m benchmarks.growth`, on {machine()}.\n"
    yield from table(rows)
    yield ""
    yield TEXT
    yield ""
    yield shares(rows)
    yield ""
    yield ten_million(rows)


TEXT = """\
Seconds are by the clock, in brackets those of the processor, which other work on the machine leaves alone; MiB is the
most that the process held, Python, JAX and xarray included (about 285). *Files* are batches, *MB* their bytes.

- *train*: a whole sweep on all cores, with everything below in it. *by two workers*: of a Dask cluster on this machine;
  the processor's seconds are the client's alone.
- *plan, nothing stored*: `Sweep(...)`, its `runs()` and `digests`, `plan(...)` against an empty pool. Every cell is
  checked and addressed; no run is kept.
- *store*: the same, the labels, and every batch, with random numbers for results, flushed to the disk one by one.
- *first opening*: every header is read, and the index of the folder is written. *open*: later ones, which read the
  labels and the index and no batch. *open, read a cell*: one cell's last parameters and status too, from one batch.
- *plan, all stored*: the plan against a pool that has all cells, by its index.

A variable that is read whole, `status` too, reads every batch once."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--most", type=int, default=1_000_000, help="the most cells (default 1,000,000)")
    parser.add_argument("--folder", type=Path, help="where to store them (default: a temporary folder)")
    parser.add_argument("--phase", nargs=3, metavar=("PHASE", "CELLS", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.phase:
        phase, cells, folder = arguments.phase
        print(json.dumps(measured(phase, int(cells), Path(folder))))
        return
    rows = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for cells in (each for each in SIDES if each <= arguments.most):
            rows[cells] = row(cells, Path(folder) / str(cells))
    Path("docs/growth.md").write_text("\n".join(page(rows)) + "\n")


if __name__ == "__main__":
    main()
