"""Named axes -> groups of one compiled program -> batches -> store. What is stored already is not trained again."""

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from toymodels import config as configs
from toymodels import sources
from toymodels.batches import Cells
from toymodels.engine.batch import Results, trained_batch
from toymodels.engine.memory import check_room
from toymodels.engine.names import RESERVED, check_names
from toymodels.engine.plan import Group, Plan, Shape, group_digest, plan
from toymodels.engine.runs import Runs, Unset
from toymodels.executors import Events, Executor, Here, Measure
from toymodels.progress import listener
from toymodels.provenance import provenance
from toymodels.results import DIVERGED, dataset
from toymodels.store import Batch, Grid, View, locate
from toymodels.train import NUMERICS, Run

MOST_CELLS = 1_000_000
"""More is most likely a slip of the keyboard. So many are planned in 16 s of a core and 550 MiB (docs/growth.md)."""


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
        object.__setattr__(self, "values", _plain(self.values))

    @property
    def labels(self) -> list[Any]:
        plain = all(isinstance(value, int | float) for value in self.values)
        return [value if plain else str(value) for value in self.values]

    @property
    def paths(self) -> set[str]:
        """The fields that it sets."""
        return {self.path}

    @property
    def columns(self) -> dict[str, Sequence[Any]]:
        """What it sets, by field."""
        return {self.path: self.values}

    def binding(self, place: int) -> dict[str, Any]:
        return {self.path: self.values[place]}


def _plain(values: Iterable[Any]) -> tuple[Any, ...]:
    """Scalars of NumPy or JAX as Python's; 1.1 for float32(1.1), the shortest decimal of that single precision."""
    plain: list[Any] = []
    for value in values:
        scalar = value.item() if np.ndim(value) == 0 and hasattr(value, "item") else value
        single = scalar is not value and isinstance(scalar, float) and np.dtype(value.dtype).itemsize <= 4
        plain.append(float(str(np.float32(scalar))) if single else scalar)
    return tuple(plain)


def _as_trained(labels: Sequence[Any]) -> set[Any]:
    """The labels that differ, numbers in the single precision of their cells."""
    with np.errstate(over="ignore"):
        return {float(np.float32(label)) if isinstance(label, float) else label for label in labels}


@dataclass(frozen=True)
class Choice:
    """Named alternatives, each fields to replace: `Choice("loss", {"l4": {"problem.loss": PowerError(4)}})`."""

    name: str
    options: Mapping[Any, Mapping[str, Any]]

    @property
    def labels(self) -> list[Any]:
        return list(self.options)

    @property
    def paths(self) -> set[str]:
        """The fields that its options set."""
        return {path for option in self.options.values() for path in option}

    @property
    def columns(self) -> dict[str, Sequence[Any]]:
        """What it sets, by field."""
        return {path: [option.get(path, Unset) for option in self.options.values()] for path in sorted(self.paths)}

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
        taken = {*RESERVED, *dims}.union(*dims.values())
        for name in names:
            if names.count(name) > 1 or name in taken:
                raise ValueError(f"{name}: an axis needs a name of its own, unlike {', '.join(sorted(taken))}")
        bound = [path for axis in self.axes for path in axis.paths]
        for path in bound:
            if bound.count(path) > 1:
                raise ValueError(f"{path}: two axes set this field")
        for axis in self.axes:
            if not all(isinstance(label, str | int | float) for label in axis.labels):
                raise ValueError(f"{axis.name}: labels are words or numbers")
            if not axis.labels:
                raise ValueError(f"{axis.name}: an axis needs at least one value")
            if len(_as_trained(axis.labels)) < len(axis.labels):
                raise ValueError(f"{axis.name}: an axis names each value once, in single precision")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis.labels) for axis in self.axes)

    def runs(self) -> Sequence[Run]:
        """All cells in C order of the axes, each made when asked for; ValueError if one of them is not valid."""
        return self._runs

    @cached_property
    def _runs(self) -> Runs:
        if np.prod(self.shape, dtype=float) > MOST_CELLS:
            raise ValueError(f"{np.prod(self.shape, dtype=float):.0f} cells: a sweep has at most {MOST_CELLS}")
        return Runs(self.base, [axis.columns for axis in self.axes], self.shape, self._bind, self.derive)

    def cell(self, **labels: Any) -> Run:
        """The run at these labels, one for each axis; ValueError if an axis is left out, or has no such label."""
        unknown = set(labels) - {axis.name for axis in self.axes}
        if unknown:
            raise ValueError(f"{min(unknown)}: no such axis; the axes are {', '.join(axis.name for axis in self.axes)}")
        return self._bind([_place(axis, labels.get(axis.name)) for axis in self.axes])

    def grid(self, **about: Any) -> Grid:
        """The labels, and the address of the cell at each place."""
        about = {"numerics": NUMERICS, "base": configs.to_dict(self.base), "asked": self.asked, **about}
        return Grid({axis.name: axis.labels for axis in self.axes}, self.digests, self.groups, about)

    @cached_property
    def asked(self) -> str:
        """What is asked for, in a hash: the same sweep has the same cells, which need not be worked out again."""
        axes: list[Any] = []
        for axis in self.axes:
            bindings = [sorted(axis.binding(place).items()) for place in range(len(axis.labels))]
            axes += [axis.name, axis.labels, [[path, value] for binding in bindings for path, value in binding]]
        derive = sources.code(self.derive) if self.derive else ""
        return configs.hashed(NUMERICS, self.base, *axes, derive)

    def recall(self, kept: Grid) -> bool:
        """Take the cells from the labels that were stored for this very sweep; whether they are."""
        if kept.about.get("asked") != self.asked:
            return False
        vars(self).update(digests=kept.digests, groups=kept.groups)
        return True

    @cached_property
    def digests(self) -> list[str]:
        return self._runs.told.digests

    @cached_property
    def groups(self) -> list[str]:
        """Addresses of the programs that the cells need."""
        kinds = self._runs.told.kinds
        last = len(kinds) - 1 - np.unique(kinds[::-1], return_index=True)[1]
        return [group_digest(self._runs[place]) for place in last.tolist()]

    def with_seeds_moved(self, offset: int) -> "Sweep":
        """The same sweep on other seeds: every axis of seeds moved, or the seed of the base where none is swept."""
        axes = [_moved_seeds(axis, offset) for axis in self.axes]
        base = self.base
        if not any("seed" in axis.paths for axis in self.axes):
            base = configs.replace(base, {"seed": base.seed + offset})
        return replace(self, base=base, axes=axes)

    def _bind(self, places: Sequence[int]) -> Run:
        changes: dict[str, Any] = {}
        for axis, place in zip(self.axes, places, strict=True):
            changes |= axis.binding(place)
        run = configs.replace(self.base, changes)
        try:
            return self.derive(run) if self.derive else run
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"these settings cannot be derived from ({type(error).__name__}: {error})") from error


def _moved_seeds(axis: Axis | Choice, offset: int) -> Axis | Choice:
    """An axis of seeds with its values, or with the seeds that its options set, moved."""

    def moved(path: str, value: Any) -> Any:
        return value + offset if path.rpartition(".")[2] == "seed" else value

    if isinstance(axis, Axis):
        return replace(axis, values=[moved(axis.path, value) for value in axis.values])
    options = {
        label: {path: moved(path, value) for path, value in option.items()} for label, option in axis.options.items()
    }
    return replace(axis, options=options)


def _place(axis: Axis | Choice, label: Any) -> int:
    """Where a label is: exactly, as it is printed, or to rounding."""
    for place, known in enumerate(axis.labels):
        if label == known or str(label) == str(known):
            return place
    for place, known in enumerate(axis.labels):
        if isinstance(known, float) and isinstance(label, int | float) and np.isclose(label, known, atol=0):
            return place
    shown = ", ".join(str(known) for known in axis.labels)
    raise ValueError(f"{axis.name}={'' if label is None else label}: not on the axis, which has {shown}")


# -------------------------------------------------------------------------------------------------------------- running


class Memory:
    """Where batches go when there is no store: a pool that forgets."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []

    def add(self, batch: Batch) -> None:
        self._batches.append(batch)

    def cells(self, groups: Iterable[str]) -> Cells:
        wanted = set(groups)
        return Cells([batch for batch in self._batches if batch.group in wanted])

    def width(self, group: str) -> int | None:
        return next((batch.width for batch in self._batches if batch.group == group), None)


@sources.versioned(NUMERICS)
def sweep(
    what: Sweep,
    store: str | Path | View | None = None,
    *,
    shard: tuple[int, int] = (0, 1),
    events: Events | None = None,
    todo: Plan | None = None,
    executor: Executor | None = None,
) -> xr.Dataset:
    """Train what is not yet stored of a sweep, and return all of it as a Dataset (see `results.open`).

    With `store`, a folder or a view of a pool (see `store.locate`), each batch is committed as it ends, and a later
    call trains only what is new; cells that another sweep of the pool has trained are used as they are. Without it
    results stay in memory. `shard=(i, n)` trains the i-th of n parts of the cells, for n processes on one pool.
    `todo` is the plan of this very sweep, where it is at hand. All local devices share the work (see `use_cores`), or
    the workers of another `executor`, such as `Dask("tcp://...")`. Processes that train on one pool at the same time
    share its batches. Warns if every cell diverged, unless `events` listens.
    """
    if not isinstance(what, Sweep):
        raise TypeError(f"sweep trains a Sweep, and not {type(what).__name__}: Sweep(run, axes), or train(run)")
    executor = executor or Here()
    view = store if isinstance(store, View) or store is None else locate(store)
    pool = view.pool if view else Memory()
    grid = what.grid()
    if todo is None:
        todo = plan(what.runs(), pool, shard, executor.devices)
        check_room(todo, view.pool.path if view else None)
    for group in todo.groups:
        if group.batches:
            check_names(group.batches[0][0][0], [axis.name for axis in what.axes])
    if todo.programs:
        executor.prepare()
    if view:
        view.pool.check_writable()
        view.pool.set_aside()
        view.write(grid)
    executor.run(todo, pool, events or listener("training", todo.steps), _train_batch)
    if view:
        view.pool.check_kept(grid.groups, grid.digests if shard[1] == 1 else _digests(todo))
    data = dataset(grid, pool.cells(grid.groups))
    if events is None:
        _warn_if_lost(data)
    return data


def _warn_if_lost(data: xr.Dataset) -> None:
    status = data.status.values
    if (status == DIVERGED).all():
        what = "the run" if status.size == 1 else f"all {status.size} cells"
        warnings.warn(f"{what} diverged: every mean over cells that are usable is NaN; try a smaller lr", stacklevel=3)


def _digests(todo: Plan) -> list[str]:
    grids = (grid for group in todo.groups for grid in group.batches)
    return [configs.digest(run, NUMERICS) for grid in grids for row in grid for run in row]


def _train_batch(group: Group, grid: list[list[Run]], progress: Callable[[int], None] = lambda steps: None) -> Measure:
    """See `executors.protocol.Train`."""
    start = time.perf_counter()
    results = trained_batch(grid, progress, jax.local_devices()[: group.shape.devices])
    seconds = time.perf_counter() - start

    def ended() -> Batch:
        start = time.perf_counter()
        return as_batch(group, grid, results(), seconds + time.perf_counter() - start)

    return ended


def as_batch(group: Group, grid: list[list[Run]], trained: Results, seconds: float) -> Batch:
    """What is kept of a trained batch: each cell once, padding dropped, whether its last parameters are finite, and
    what it had still to gain."""
    runs = [run for row in grid for run in row]
    digests = [configs.digest(run, NUMERICS) for run in runs]
    slots = list({digest: slot for slot, digest in reversed(list(enumerate(digests)))}.values())[::-1]
    finite = [all(np.isfinite(values[slot, -1]).all() for values in trained.params.values()) for slot in slots]
    arrays = {name: values[slots] for name, values in {**trained.scalars, **trained.params}.items()}
    declared = runs[0].problem.dims
    dims: dict[str, tuple[str, ...]] = dict.fromkeys(trained.scalars, ("cell", "step"))
    for name, values in trained.params.items():
        own = declared.get(name, tuple(f"{name}_{axis}" for axis in range(values.ndim - 2)))
        dims[name] = ("cell", "snapshot", *own)
    return Batch(
        [digests[slot] for slot in slots],
        [configs.to_dict(runs[slot]) for slot in slots],
        group.name,
        group.shape.width,
        {"finite": np.asarray(finite, np.int8), **{name: each[slots] for name, each in trained.end.items()}, **arrays},
        {"finite": ("cell",), **dict.fromkeys(trained.end, ("cell",)), **dims},
        trained.steps,
        trained.snapshot_steps,
        provenance() | {"seconds": seconds},
    )


@sources.versioned(NUMERICS)
def train(run: Run) -> xr.Dataset:
    """Train one run by itself and return its results: dimensions `step`, `snapshot` and the parameters' own.

    Its bits are those of a batch of one; `retrain` gives those of a stored cell. Warns if it diverged.
    """
    if not isinstance(run, Run):
        raise TypeError(f"train trains one Run, and not {type(run).__name__}: sweep(...) trains a Sweep")
    data = retrain(run, 1)
    _warn_if_lost(data)
    return data


def retrain(run: Run, width: int) -> xr.Dataset:
    """Train one run as one of `width` cells of a device: with a batch's `width`, the bits of its cells."""
    check_names(run)
    group = Group(group_digest(run), Shape(1, 1, width), [])
    memory = Memory()
    memory.add(_train_batch(group, [[run] * width])())
    return dataset(Sweep(run).grid(), memory.cells([group.name])).load()
