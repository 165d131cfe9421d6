"""What is left to train of a list of runs: groups of one compiled program, cut into batches of one shape."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, overload, runtime_checkable

import jax
import numpy as np

from toymodels import config as configs
from toymodels.engine.runs import group_key, tell  # noqa: F401  (found here too)
from toymodels.engine.work import seconds, work
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
COMPILE_SECONDS, BATCH_SECONDS = 2.0, 0.03
"""What `--dry-run` guesses with for each program and batch; steps by `engine.work`."""


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
    batches: Sequence[list[list[Run]]]

    @property
    def steps(self) -> int:
        return self.batches[0][0][0].steps if self.batches else 0

    @property
    def cells(self) -> int:
        """Cells to train; padding repeats some of them."""
        return sum(len({id(run) for row in grid for run in row}) for grid in self.batches)

    @property
    def seconds(self) -> float:
        """Guessed time of one batch, from what it works on."""
        run = self.batches[0][0][0]
        return BATCH_SECONDS + run.steps * self.shape.width * seconds(run)


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
    digests, kinds, draws = tell(runs)
    places = np.fromiter({digest: place for place, digest in enumerate(digests)}.values(), np.int64)
    order, counts = _as_met(kinds[places])
    groups, size, stored = [], 0, 0
    for members in np.split(places[order], np.cumsum(counts)[:-1]):
        first = runs[int(members[0])]
        name = group_digest(first)
        width = (kept.width(name) if kept else None) or batch_width(first)
        done = kept.cells([name]) if kept else {}
        is_done = np.asarray([digests[place] in done for place in members])
        is_claimed = np.asarray([digests[place] in claimed for place in members])
        rows = _in_rows(draws[members])
        wanted = ~(is_done | is_claimed)[rows.order] & (rows.parts(width) % shard[1] == shard[0])
        mine = members[rows.order[wanted]]
        shape = _shape(_in_rows(draws[mine]).counts if mine.size else rows.counts[:1], first, width, devices)
        groups.append(Group(name, shape, Batches(runs, mine[_layout(draws[mine], shape)])))
        size += len(mine) * result_bytes(first) + header_bytes(first, len(mine), len(groups[-1].batches))
        stored += int(is_done.sum())
    return Plan(groups, len(places), stored, size)


def group_digest(run: Run) -> str:
    """Address of a group: everything of a run that is not a leaf, and the types of its leaves."""
    leaves, treedef = jax.tree.flatten(run)
    blank = jax.tree.unflatten(treedef, [str(np.shape(leaf)) + configs.as_leaf(leaf).dtype.name for leaf in leaves])
    return configs.digest(blank, NUMERICS)


def batch_width(run: Run) -> int:
    """How many cells a device trains together: a power of two, from shapes alone, never from timings."""
    size = work(run).largest
    wanted = np.clip(AMORTISED_SIZE / size, DEFAULT_WIDTH, WIDEST)
    return int(2 ** np.floor(np.log2(np.clip(CACHE_BYTES / (4 * size), NARROWEST, wanted))))


def batch_shape(runs: Sequence[Run], width: int, devices: int | None = None) -> Shape:
    """The layout that trains these runs of one group soonest, with `width` cells a device.

    A row costs its draws, about as much as a cell; a batch costs its padding too. Devices without work are left out.
    """
    return _shape(_in_rows(_draws(runs)).counts, runs[0], width, devices)


def _shape(counts: np.ndarray, run: Run, width: int, devices: int | None) -> Shape:
    available = devices or len(jax.local_devices())
    draw = 0 if protocol.example_shapes(run.problem, run.batch) is None else 1

    def blocks(cells: int) -> int:
        return int(np.ceil(np.ceil(counts / cells).sum() / (width // cells)))

    def cost(cells: int) -> float:
        return np.ceil(blocks(cells) / available) * (width + draw * width // cells)

    best = min((2**power for power in range(int(np.log2(width)) + 1)), key=lambda cells: (cost(cells), -cells))
    return Shape(min(available, blocks(best)), width // best, best)


class Batches(Sequence[list[list[Run]]]):
    """Grids of runs, each made when asked for: `places`, (batches, rows, cells), says which runs."""

    def __init__(self, runs: Sequence[Run], places: np.ndarray) -> None:
        self._runs, self.places = runs, places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, place: int) -> list[list[Run]]: ...
    @overload
    def __getitem__(self, place: slice) -> "Batches": ...
    def __getitem__(self, place: int | slice) -> "list[list[Run]] | Batches":
        if isinstance(place, slice):
            return Batches(self._runs, self.places[place])
        places = self.places[place].tolist()
        made = {each: self._runs[each] for row in places for each in row}  # what is repeated is one run
        return [[made[each] for each in row] for row in places]


def batches(runs: Sequence[Run], shape: Shape) -> Batches:
    """Grids of runs in this shape, one row a (seed, stream), filled up by repeating runs."""
    return Batches(runs, _layout(_draws(runs), shape))


def _layout(draws: np.ndarray, shape: Shape) -> np.ndarray:
    """(batches, rows, cells): which of the runs with these draws comes where."""
    rows, block = _in_rows(draws), shape.devices * shape.rows
    parts = rows.parts(shape.cells)
    starts = np.flatnonzero(np.diff(parts, prepend=-1))
    table = np.repeat(rows.order[starts, None], shape.cells, axis=1)
    table[parts, np.arange(len(parts)) - starts[parts]] = rows.order
    missing = -len(table) % block
    fill = np.repeat(table[len(table) + missing - block :][:1], missing, axis=0)
    return np.concatenate([table, fill]).reshape(-1, block, shape.cells)


class _Rows(NamedTuple):
    """Runs that share their draws, together, in the order in which they are met."""

    order: np.ndarray
    """(runs,): row after row."""
    counts: np.ndarray
    """(rows,)"""

    def parts(self, length: int) -> np.ndarray:
        """(runs,): the part of each, in this order, where every row is cut into parts of this length."""
        starts, cut = np.cumsum(self.counts) - self.counts, -(-self.counts // length)
        inside = np.arange(len(self.order)) - np.repeat(starts, self.counts)
        return np.repeat(np.cumsum(cut) - cut, self.counts) + inside // length


def _in_rows(draws: np.ndarray) -> _Rows:
    return _Rows(*_as_met(draws[:, 0] * 2**31 + draws[:, 1]))


def _draws(runs: Sequence[Run]) -> np.ndarray:
    return np.asarray([(run.seed, run.stream) for run in runs], np.int64).reshape(-1, 2)


def _as_met(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order that brings equal keys together, both in the order in which they are met, and how many each has."""
    _, first, which, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    met = np.argsort(first)
    return np.argsort(np.argsort(met)[which], kind="stable"), counts[met]


def result_bytes(run: Run) -> int:
    """Bytes that a cell's results take before compression."""
    snapshots = len(run.record.snapshot_steps(run.steps)) * work(run).learned
    return (8 if run.double else 4) * (snapshots + 2 * len(run.record.loss_steps(run.steps)))


BATCH_BYTES, ARRAY_BYTES, CELL_BYTES = 2500, 1400, 110
"""What a batch file holds beside results and configs: of each batch (provenance, directory), array (its description,
checksum, entry) and cell (its digest, here and in the labels). Calibrated on what is written."""


def header_bytes(run: Run, cells: int, batches: int) -> int:
    """Bytes beside the results of so many cells like this one, in so many batches, at the most."""
    config = len(json.dumps(configs.to_dict(run), indent=2)) * 1.4  # deeper in a file each line begins further right
    steps = 14 * (len(run.record.loss_steps(run.steps)) + len(run.record.snapshot_steps(run.steps)))
    return int(cells * (config + CELL_BYTES) + batches * (BATCH_BYTES + steps + 10 * ARRAY_BYTES))
