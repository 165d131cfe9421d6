"""What is left to train of a list of runs: groups of one compiled program, cut into batches of one shape."""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax.extend import core

from toymodels import config as configs
from toymodels import keys
from toymodels.problems import protocol
from toymodels.settings import standard
from toymodels.train import NUMERICS, Run

CACHE_BYTES = 3.3 * 2**20
"""Bytes that the cells of one device may work on at a time: with more, they fall out of a core's caches."""
AMORTISED_SIZE = 80_000
"""Numbers at a time beyond which the fixed cost of an operation no longer counts."""
NARROWEST, DEFAULT_WIDTH, WIDEST = 2, 8, 64
"""The fewest cells that a device trains together, as many as it trains even where fewer would fill an operation, and
the most: with more, padding costs more than is gained. Calibrated on CPUs, as are the two above."""
COMPILE_SECONDS, BATCH_SECONDS, CELL_STEP_SECONDS, NUMBER_SECONDS = 1.5, 0.03, 5e-7, 2e-9
"""What `--dry-run` guesses with: for each program, batch, step of a cell, and number that such a step handles."""


@dataclass(frozen=True)
class Shape:
    """How a batch is laid out: on each of `devices`, `rows` of one (seed, stream) with `cells` cells each."""

    devices: int
    rows: int
    cells: int

    @property
    def width(self) -> int:
        """Cells of a device, on which a cell's bits depend (to rounding), as on nothing else here."""
        return self.rows * self.cells


@dataclass(frozen=True)
class Group:
    """Cells of one treedef: one compiled program, batches of one shape. `batches` holds what is left to train."""

    name: str
    shape: Shape
    batches: list[list[list[Run]]]

    @property
    def steps(self) -> int:
        return self.batches[0][0][0].steps if self.batches else 0

    @property
    def cells(self) -> int:
        """Cells to train; padding repeats some of them."""
        return len({id(run) for grid in self.batches for row in grid for run in row})

    @property
    def seconds(self) -> float:
        """Guessed time of one batch, from what it works on."""
        run = self.batches[0][0][0]
        each = CELL_STEP_SECONDS + largest_array(run) * NUMBER_SECONDS
        return BATCH_SECONDS + run.steps * self.shape.width * each


@dataclass(frozen=True)
class Plan:
    groups: list[Group]
    cells: int
    done: int
    bytes: int
    """At most, on disk."""

    @property
    def programs(self) -> int:
        return sum(bool(group.batches) for group in self.groups)

    @property
    def steps(self) -> int:
        """Steps to go, counted in batches."""
        return sum(group.steps * len(group.batches) for group in self.groups)

    @property
    def seconds(self) -> float:
        """A rough guess: compiling, and steps by the operations and draws in each."""
        return sum(COMPILE_SECONDS + group.seconds * len(group.batches) for group in self.groups if group.batches)


@runtime_checkable
class Kept(Protocol):
    """Where trained batches are: a pool, or memory."""

    def cells(self, groups: Iterable[str]) -> Mapping[str, Any]: ...
    def width(self, group: str) -> int | None: ...


@standard()
def plan(
    runs: Sequence[Run],
    kept: Kept | None = None,
    shard: tuple[int, int] = (0, 1),
    devices: int | None = None,
    claimed: Collection[str] = (),
) -> Plan:
    """What is left to train of these runs, grouped by treedef and cut into batches for so many devices (default: all).

    How many cells of a group share a device follows from its shapes - or from what is kept of the group.
    `shard=(i, n)` keeps every n-th of a group's cells that share their draws, cut where there are many. Cells whose
    digests are `claimed` are left to others.
    """
    digests = {configs.digest(run, NUMERICS): run for run in runs}
    members: defaultdict[Any, list[tuple[str, Run]]] = defaultdict(list)
    for digest, run in digests.items():
        members[group_key(run)].append((digest, run))
    groups, size, stored = [], 0, 0
    for cells in members.values():
        name = group_digest(cells[0][1])
        width = (kept.width(name) if kept else None) or batch_width(cells[0][1])
        done = kept.cells([name]) if kept else {}
        rows = _rows([run for _, run in cells])
        parts = [part for row in rows for part in _cut(row, width)][shard[0] :: shard[1]]
        skipped = {id(run) for digest, run in cells if digest in done or digest in claimed}
        mine = [run for part in parts for run in part if id(run) not in skipped]
        shape = batch_shape(mine or rows[0], width, devices)
        groups.append(Group(name, shape, list(batches(mine, shape))))
        size += len(mine) * result_bytes(cells[0][1]) + header_bytes(mine, len(groups[-1].batches))
        stored += sum(digest in done for digest, _ in cells)
    return Plan(groups, len(digests), stored, size)


def group_key(run: Run) -> Any:
    """What cells of one program share: their treedef, and the shapes and types of their leaves."""
    leaves, treedef = jax.tree.flatten(run)
    return treedef, tuple((np.shape(leaf), configs.as_leaf(leaf).dtype.name) for leaf in leaves)


def group_digest(run: Run) -> str:
    """Address of a group: everything of a run that is not a leaf, and the types of its leaves."""
    leaves, treedef = jax.tree.flatten(run)
    blank = jax.tree.unflatten(treedef, [str(np.shape(leaf)) + configs.as_leaf(leaf).dtype.name for leaf in leaves])
    return configs.digest(blank, NUMERICS)


def batch_width(run: Run) -> int:
    """How many cells a device trains together: a power of two, from shapes alone, never from timings."""
    size = largest_array(run)
    wanted = np.clip(AMORTISED_SIZE / size, DEFAULT_WIDTH, WIDEST)
    return int(2 ** np.floor(np.log2(np.clip(CACHE_BYTES / (4 * size), NARROWEST, wanted))))


def in_a_sentence(function: Callable[[Run], int]) -> Callable[[Run], int]:
    """What tracing a run raises, somewhere in JAX, as a ValueError of one sentence."""

    @wraps(function)
    def told(run: Run) -> int:
        try:
            return function(run)
        except Exception as error:
            said = " ".join(str(error).split())
            said = said if len(said) <= 200 else f"{said[:180]} ..."
            name = type(run.problem).__name__
            raise ValueError(f"{name}: it cannot be trained with these settings ({said})") from error

    return told


@lru_cache(maxsize=256)
@in_a_sentence
@standard()
def largest_array(run: Run) -> int:
    """The size of the largest array that a step of one cell makes."""
    problem = run.problem
    params = jax.eval_shape(lambda: problem.init(keys.key(0)))
    objective = problem.objective
    examples = protocol.example_shapes(problem, run.batch)
    if examples is not None:
        objective = jax.vmap(objective, (None, 0))
    traced = jax.make_jaxpr(objective)(params, examples)
    return max(atom.aval.size for atom in (*_results(traced.jaxpr), *traced.jaxpr.invars))


def _results(jaxpr: Any) -> Iterator[Any]:
    """Everything that a traced function works out, also within what it calls."""
    for equation in jaxpr.eqns:
        yield from equation.outvars
        for value in equation.params.values():
            inner = value.jaxpr if isinstance(value, core.ClosedJaxpr) else value
            if isinstance(inner, core.Jaxpr):
                yield from _results(inner)


@lru_cache(maxsize=256)
@in_a_sentence
@standard()
def parameters(run: Run) -> int:
    """How many numbers one cell learns."""
    params = jax.eval_shape(lambda: run.problem.init(keys.key(0)))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def batch_shape(runs: Sequence[Run], width: int, devices: int | None = None) -> Shape:
    """The layout that trains these runs of one group soonest, with `width` cells a device.

    A row costs its draws, about as much as a cell; a batch costs its padding too. Devices without work are left out.
    """
    counts = [len(row) for row in _rows(runs)]
    available = devices or len(jax.local_devices())
    draw = 0 if protocol.example_shapes(runs[0].problem, runs[0].batch) is None else 1

    def blocks(cells: int) -> int:
        return int(np.ceil(sum(np.ceil(count / cells) for count in counts) / (width // cells)))

    def cost(cells: int) -> float:
        return np.ceil(blocks(cells) / available) * (width + draw * width // cells)

    best = min((2**power for power in range(int(np.log2(width)) + 1)), key=lambda cells: (cost(cells), -cells))
    return Shape(min(available, blocks(best)), width // best, best)


def batches(runs: Sequence[Run], shape: Shape) -> Iterator[list[list[Run]]]:
    """Grids of runs in this shape, one row a (seed, stream), filled up by repeating runs."""
    rows = [part + [part[0]] * (shape.cells - len(part)) for row in _rows(runs) for part in _cut(row, shape.cells)]
    for block in _cut(rows, shape.devices * shape.rows):
        yield block + [block[0]] * (shape.devices * shape.rows - len(block))


def _rows(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that share their draws, together."""
    rows: defaultdict[tuple[int, int], list[Run]] = defaultdict(list)
    for run in runs:
        rows[run.seed, run.stream].append(run)
    return list(rows.values())


def _cut(items: list[Any], length: int) -> list[list[Any]]:
    return [items[start : start + length] for start in range(0, len(items), length)]


def result_bytes(run: Run) -> int:
    """Bytes that a cell's results take before compression."""
    snapshots = len(run.record.snapshot_steps(run.steps)) * parameters(run)
    return 4 * (snapshots + 2 * len(run.record.loss_steps(run.steps)))


BATCH_BYTES, ARRAY_BYTES, CELL_BYTES = 2500, 1400, 110
"""What a batch file holds beside results and configs: of each batch (provenance, directory), array (its description,
checksum, entry) and cell (its digest, here and in the labels). Calibrated on what is written."""


def header_bytes(runs: Sequence[Run], batches: int) -> int:
    """Bytes beside the results of these cells of one group, in so many batches, at the most."""
    if not runs:
        return 0
    first = runs[0]
    config = (
        len(json.dumps(configs.to_dict(first), indent=2)) * 1.4
    )  # deeper in the file each line begins further right
    steps = 14 * (len(first.record.loss_steps(first.steps)) + len(first.record.snapshot_steps(first.steps)))
    return int(len(runs) * (config + CELL_BYTES) + batches * (BATCH_BYTES + steps + 6 * ARRAY_BYTES))
