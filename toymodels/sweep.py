"""Named axes -> groups of one compiled program -> batches -> store. What is stored already is not trained again."""

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from toymodels import config as configs
from toymodels.analysis.dynamics import converged, diverged
from toymodels.provenance import provenance
from toymodels.store import DIVERGED, OK, UNCONVERGED, Batch, Grid, Store, dataset
from toymodels.train import NUMERICS, Results, Run, train_batch

WORKING_SET = 12 * 2**20
"""Bytes that a batch of cells may work on, calibrated on CPUs: larger batches fall out of the caches."""
COMPILE_SECONDS, BATCH_STEP_SECONDS, CELL_STEP_SECONDS, NUMBER_SECONDS = 2.0, 10e-6, 3e-6, 3e-9
"""What `--dry-run` guesses with, from two CPU cores: for each program, step of a batch, step of a cell, and number that
such a step handles."""
MOST_CELLS = 1_000_000
"""More is a slip of the keyboard, and would fill the memory before a first cell is trained."""
NARROWEST, WIDEST = 4, 64
"""The fewest and most cells of a batch. With more, padding costs more than is gained; see `batch_shape` for fewer."""


# ------------------------------------------------------------------------------------------------------------- the grid


@dataclass(frozen=True)
class Axis:
    """Values of one config field, given by its dotted path: `Axis("p", "problem.data.p", [0.1, 0.3])`."""

    name: str
    path: str
    values: Any
    """A list, a range or an array."""

    def __post_init__(self) -> None:
        if isinstance(self.values, str | set | frozenset | Mapping) or not isinstance(self.values, Iterable):
            raise ValueError(f"{self.name}: the values of an axis come as a list")
        plain = [value.item() if np.ndim(value) == 0 and hasattr(value, "item") else value for value in self.values]
        object.__setattr__(self, "values", tuple(plain))

    @property
    def labels(self) -> list[Any]:
        plain = all(isinstance(value, int | float) for value in self.values)
        return [value if plain else str(value) for value in self.values]

    def binding(self, place: int) -> dict[str, Any]:
        return {self.path: self.values[place]}


@dataclass(frozen=True)
class Choice:
    """Named alternatives, each fields to replace: `Choice("loss", {"l4": {"problem.loss": PowerError(4)}})`."""

    name: str
    options: Mapping[Any, Mapping[str, Any]]

    @property
    def labels(self) -> list[Any]:
        return list(self.options)

    def binding(self, place: int) -> dict[str, Any]:
        return dict(list(self.options.values())[place])


@dataclass(frozen=True)
class Sweep:
    """A grid of runs: every combination of the axes, bound to `base` and then passed through `derive`.

    `derive` sets what follows from the rest (a step size from the predicted growth rate, say); it must be a function of
    the run alone.
    """

    base: Run
    axes: Sequence[Axis | Choice] = ()
    """One axis or more; a single one need not be in a list."""
    derive: Callable[[Run], Run] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", (self.axes,) if isinstance(self.axes, Axis | Choice) else tuple(self.axes))
        names = [axis.name for axis in self.axes]
        dims = self.base.problem.dims
        taken = {"step", "snapshot", "status", "objective", "cell", *dims}.union(*dims.values())
        for name in names:
            if names.count(name) > 1 or name in taken:
                raise ValueError(f"{name}: an axis needs a name of its own, unlike {', '.join(sorted(taken))}")
        bound = [path for axis in self.axes for path in {p for i in range(len(axis.labels)) for p in axis.binding(i)}]
        for path in bound:
            if bound.count(path) > 1:
                raise ValueError(f"{path}: two axes set this field")
        for axis in self.axes:
            if not all(isinstance(label, str | int | float) for label in axis.labels):
                raise ValueError(f"{axis.name}: labels are words or numbers")
            if not axis.labels:
                raise ValueError(f"{axis.name}: an axis needs at least one value")
            if len(set(axis.labels)) < len(axis.labels):
                raise ValueError(f"{axis.name}: an axis names each value once")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis.labels) for axis in self.axes)

    def runs(self) -> list[Run]:
        """All cells in C order of the axes; ValueError if one of them is not valid."""
        return self._runs

    @cached_property
    def _runs(self) -> list[Run]:
        if np.prod(self.shape, dtype=float) > MOST_CELLS:
            raise ValueError(f"{np.prod(self.shape, dtype=float):.0f} cells: a sweep has at most {MOST_CELLS}")
        return [self._bind(places) for places in itertools.product(*(range(size) for size in self.shape))]

    def cell(self, **labels: Any) -> Run:
        """The run at these labels, one for each axis; ValueError if an axis is left out, or has no such label."""
        unknown = set(labels) - {axis.name for axis in self.axes}
        if unknown:
            raise ValueError(f"{min(unknown)}: no such axis; the axes are {', '.join(axis.name for axis in self.axes)}")
        return self._bind([_place(axis, labels.get(axis.name)) for axis in self.axes])

    def grid(self, **about: Any) -> Grid:
        about = {"numerics": NUMERICS, "base": configs.to_dict(self.base), **about}
        return Grid({axis.name: axis.labels for axis in self.axes}, self._digests, about)

    @cached_property
    def _digests(self) -> list[str]:
        return [configs.digest(run, NUMERICS) for run in self.runs()]

    def _bind(self, places: Sequence[int]) -> Run:
        changes: dict[str, Any] = {}
        for axis, place in zip(self.axes, places, strict=True):
            changes |= axis.binding(place)
        run = configs.replace(self.base, changes)
        return self.derive(run) if self.derive else run


def _place(axis: Axis | Choice, label: Any) -> int:
    for place, known in enumerate(axis.labels):
        if (
            label == known
            or str(label) == str(known)
            or (isinstance(known, float) and isinstance(label, int | float) and np.isclose(label, known))
        ):
            return place
    shown = ", ".join(str(known) for known in axis.labels)
    raise ValueError(f"{axis.name}={'' if label is None else label}: not on the axis, which has {shown}")


# ------------------------------------------------------------------------------------------------------------- the plan


@dataclass(frozen=True)
class Group:
    """Cells of one treedef: one compiled program, batches of one shape. `batches` holds what is left to train."""

    name: str
    shape: tuple[int, int]
    batches: list[list[list[Run]]]

    @property
    def steps(self) -> int:
        return self.batches[0][0][0].steps if self.batches else 0

    @property
    def seconds(self) -> float:
        """Guessed time of one batch, from what it works on."""
        run = self.batches[0][0][0]
        cells = self.shape[0] * self.shape[1]
        each = CELL_STEP_SECONDS + sum(sizes(run)) * NUMBER_SECONDS
        return run.steps * (BATCH_STEP_SECONDS + cells * each)


@dataclass(frozen=True)
class Plan:
    groups: list[Group]
    cells: int
    done: int
    bytes: int

    @property
    def programs(self) -> int:
        return sum(bool(group.batches) for group in self.groups)

    @property
    def steps(self) -> int:
        """Steps to go, counted in batches."""
        return sum(group.steps * len(group.batches) for group in self.groups)

    @property
    def seconds(self) -> float:
        """A rough guess on two CPU cores: compiling, and steps by the operations and draws in each."""
        return sum(COMPILE_SECONDS + group.seconds * len(group.batches) for group in self.groups if group.batches)


def plan(runs: Sequence[Run], store: Store | None = None, shard: tuple[int, int] = (0, 1)) -> Plan:
    """What is left to train of these runs, grouped by treedef and cut into batches.

    The batch shape of a group follows from its shapes and, for how seeds and cells share it, from all the runs asked
    for - or from the store, where the group has results. `shard=(i, n)` keeps every n-th row of a group's batches.
    """
    digests = {configs.digest(run, NUMERICS): run for run in runs}
    index = store.index if store else {}
    shapes = store.group_shapes() if store else {}
    members: defaultdict[Any, list[tuple[str, Run]]] = defaultdict(list)
    for digest, run in digests.items():
        members[group_key(run)].append((digest, run))
    groups, size = [], 0
    for cells in members.values():
        name = group_digest(cells[0][1])
        shape = shapes.get(name) or batch_shape([run for _, run in cells])
        parts = [row[start : start + shape[1]] for row in _rows(cells) for start in range(0, len(row), shape[1])]
        mine = [run for part in parts[shard[0] :: shard[1]] for digest, run in part if digest not in index]
        groups.append(Group(name, shape, list(_batches(mine, shape))))
        size += len(mine) * result_bytes(cells[0][1])
    return Plan(groups, len(digests), sum(digest in index for digest in digests), size)


def group_key(run: Run) -> Any:
    """What cells of one program share: their treedef, and the shapes and types of their leaves."""
    leaves, treedef = jax.tree.flatten(run)
    return treedef, tuple((np.shape(leaf), configs.as_leaf(leaf).dtype.name) for leaf in leaves)


def group_digest(run: Run) -> str:
    """Address of a group: everything of a run that is not a leaf, and the types of its leaves."""
    leaves, treedef = jax.tree.flatten(run)
    blank = jax.tree.unflatten(treedef, [str(np.shape(leaf)) + configs.as_leaf(leaf).dtype.name for leaf in leaves])
    return configs.digest(blank, NUMERICS)


def _rows(cells: list[tuple[str, Run]]) -> list[list[tuple[str, Run]]]:
    """Cells that share their draws, together."""
    rows: defaultdict[tuple[int, int], list[tuple[str, Run]]] = defaultdict(list)
    for digest, run in cells:
        rows[run.seed, run.stream].append((digest, run))
    return list(rows.values())


def batch_width(run: Run) -> int:
    """How many cells are trained together: a power of two, from shapes alone, so that it never depends on timing."""
    examples, params = sizes(run)
    # A parameter counts for its gradient, moments and updates, and for its share of the products it enters.
    working_set = 4 * (examples + 64 * params)
    return int(2 ** np.floor(np.log2(np.clip(WORKING_SET / working_set, NARROWEST, WIDEST))))


def sizes(run: Run) -> tuple[int, int]:
    """How many numbers one cell draws a step, and how many it learns."""
    problem = run.problem
    draws = jax.eval_shape(lambda: problem.sample(jax.random.key(0), run.batch)) if hasattr(problem, "sample") else None
    params = jax.eval_shape(lambda: problem.init(jax.random.key(0)))
    return sum(leaf.size for leaf in jax.tree.leaves(draws)), sum(leaf.size for leaf in jax.tree.leaves(params))


def batch_shape(runs: Sequence[Run]) -> tuple[int, int]:
    """(seeds, cells of a seed) of a group's batches: their product is the group's width, split for the fewest batches.

    Both are at least 2: the compiler drops an axis of one and then rounds differently, while all other splits of one
    width give equal bits. So a cell's bits do not depend on how many seeds and cells are asked for with it.
    """
    width = batch_width(runs[0])
    counts = [len(row) for row in _rows([("", run) for run in runs])]

    def batches(cells: int) -> int:
        return int(np.ceil(sum(np.ceil(count / cells) for count in counts) / (width // cells)))

    splits = [2**power for power in range(1, int(np.log2(width)))]
    best = min(splits, key=lambda cells: (batches(cells), -cells))
    return width // best, best


def _batches(runs: Sequence[Run], shape: tuple[int, int]) -> Iterator[list[list[Run]]]:
    """Rectangles of `shape`, filled up by repeating runs."""
    seeds, cells = shape
    rows = []
    for row in _rows([("", run) for run in runs]):
        for start in range(0, len(row), cells):
            part = [run for _, run in row[start : start + cells]]
            rows.append(part + [part[0]] * (cells - len(part)))
    for start in range(0, len(rows), seeds):
        block = rows[start : start + seeds]
        yield block + [block[0]] * (seeds - len(block))


def result_bytes(run: Run) -> int:
    """Bytes that a cell's results take before compression."""
    _, params = sizes(run)
    snapshots = len(run.record.snapshot_steps(run.steps)) * params
    return 4 * (snapshots + 2 * len(run.record.loss_steps(run.steps)))


# -------------------------------------------------------------------------------------------------------------- running


@dataclass
class Events:
    """What a sweep reports while it runs; the default listens to nothing."""

    def planned(self, plan: Plan) -> None: ...
    def stepped(self, group: Group, steps: int) -> None: ...
    def committed(self, group: Group, batch: Batch) -> None: ...


@dataclass
class _Memory:
    """Where batches go when there is no store."""

    index: dict[str, tuple[Any, int]] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        self.index |= {digest: (batch, slot) for slot, digest in enumerate(batch.digests)}


def sweep(
    what: Sweep,
    store: str | Path | None = None,
    *,
    shard: tuple[int, int] = (0, 1),
    events: Events | None = None,
    about: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Train what is not yet stored of a sweep, and return all of it as a Dataset (see `store.open`).

    With `store`, a folder, each batch is committed as it ends, and a later call trains only what is new; without it
    results stay in memory. `shard=(i, n)` trains the i-th of n parts of the cells, for n processes on one folder.
    """
    runs = what.runs()
    folder = Store(store) if store is not None else None
    grid = what.grid(**(about or {}))
    todo = plan(runs, folder, shard)
    events = events or Events()
    events.planned(todo)
    memory = _Memory()
    if folder is not None:
        folder.check_writable()
        folder.write_grid(grid)
    _train(todo, folder or memory, events)
    return dataset(grid, folder.index if folder is not None else memory.index)


def _train(todo: Plan, results: Store | _Memory, events: Events) -> None:
    # One batch at a time: two programs at once in one process can deadlock XLA's CPU thread pool.
    for group in todo.groups:
        for grid in group.batches:
            start = time.perf_counter()
            trained = train_batch(grid, partial(events.stepped, group))
            batch = as_batch(group, grid, trained, time.perf_counter() - start)
            results.add(batch)
            events.committed(group, batch)


def as_batch(group: Group, grid: list[list[Run]], trained: Results, seconds: float) -> Batch:
    """What is kept of a trained batch: each cell once, padding dropped, with what became of it."""
    runs = [run for row in grid for run in row]
    digests = [configs.digest(run, NUMERICS) for run in runs]
    slots = list({digest: slot for slot, digest in reversed(list(enumerate(digests)))}.values())[::-1]
    status = [_status(trained, slot) for slot in slots]
    arrays = {name: values[slots] for name, values in {**trained.scalars, **trained.params}.items()}
    declared = runs[0].problem.dims
    dims = dict.fromkeys(trained.scalars, ("cell", "step"))
    for name, values in trained.params.items():
        own = declared.get(name, tuple(f"{name}_{axis}" for axis in range(values.ndim - 2)))
        dims[name] = ("cell", "snapshot", *own)
    return Batch(
        [digests[slot] for slot in slots],
        [configs.to_dict(runs[slot]) for slot in slots],
        group.name,
        group.shape,
        {"status": np.asarray(status, np.int8), **arrays},
        {"status": ("cell",), **dims},
        trained.steps,
        trained.snapshot_steps,
        provenance() | {"seconds": seconds},
    )


def _status(trained: Results, slot: int) -> int:
    loss = trained.scalars["objective"][slot]
    params = [values[slot, -1] for values in trained.params.values()]
    if diverged(loss) or not all(np.isfinite(values).all() for values in params):
        return DIVERGED
    return OK if converged(trained.steps, loss) else UNCONVERGED


def train(run: Run) -> xr.Dataset:
    """Train one run by itself and return its results: dimensions `step`, `snapshot` and the parameters' own.

    Its bits are those of a batch of one; `retrain` gives those of a stored cell.
    """
    return retrain(run, (1, 1))


def retrain(run: Run, shape: tuple[int, int]) -> xr.Dataset:
    """Train one run in a batch of the given shape, filled with copies: the bits of the same cell in a sweep's batch."""
    group = Group(group_digest(run), shape, list(_batches([run], shape)))
    start = time.perf_counter()
    trained = train_batch(group.batches[0])
    memory = _Memory()
    memory.add(as_batch(group, group.batches[0], trained, time.perf_counter() - start))
    return dataset(Sweep(run).grid(), memory.index).load()
