"""The runs of a grid, told without being kept: what a plan asks of each, and a run when it is to be trained.

The runs of a grid share most of their parts. A part is made, checked and written out once for each combination of the
axes that change it, by the functions that do so for a run alone; a whole run is made and checked for every cell, and
let go, as a million of them take gigabytes.
"""

import itertools
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, fields
from functools import lru_cache
from operator import is_, itemgetter
from typing import Any, NamedTuple, overload

import jax
import numpy as np

from toymodels import config as configs
from toymodels.train import NUMERICS, Run


class Told(NamedTuple):
    """What a plan asks of some runs."""

    digests: list[str]
    kinds: np.ndarray
    """(runs,): the number of each run's program, in the order in which programs are met."""
    draws: np.ndarray
    """(runs, 2): seed and stream."""


Row = tuple[str, int, int, int]
"""digest, kind, seed, stream"""


def tell(runs: Iterable[Run]) -> Told:
    """What a plan asks of runs; of those of a grid it is known."""
    if isinstance(runs, Runs):
        return runs.told
    kinds: dict[Any, int] = {}
    return _told(
        (configs.digest(run, NUMERICS), kinds.setdefault(group_key(run), len(kinds)), run.seed, run.stream)
        for run in runs
    )


def _told(rows: Iterable[Row]) -> Told:
    digests, numbers = [], array("q")
    for digest, *rest in rows:
        digests.append(digest)
        numbers.extend(rest)
    table = np.frombuffer(numbers, np.int64).reshape(-1, 3)
    return Told(digests, np.unique(table[:, 0], return_inverse=True)[1], table[:, 1:])


def group_key(value: Any) -> Any:
    """What cells of one program share: their treedef, and the shapes and types of their leaves."""
    leaves, treedef = jax.tree.flatten(value)
    return treedef, tuple((np.shape(leaf), configs.as_leaf(leaf).dtype.name) for leaf in leaves)


# ------------------------------------------------------------------------------------------------------------- the grid


class Unset:
    """In a column: here the axis leaves the field alone."""


Columns = Mapping[str, Sequence[Any]]
"""What an axis sets: by the dotted path of a field, its value at each place of the axis, or `Unset`."""


KEPT = 20_000
"""Runs of a grid of so many are kept once they are made: some 2 KB each."""


class Runs(Sequence[Run]):
    """The runs of a grid in C order: `base` with what the axes set, passed through `derive`.

    All are checked now: ValueError, of the first that is not valid. Each is made, by `make`, when it is asked for.
    """

    def __init__(
        self,
        base: Run,
        axes: Sequence[Columns],
        shape: tuple[int, ...],
        make: Callable[[Sequence[int]], Run],
        derive: Callable[[Run], Run] | None = None,
    ) -> None:
        self._shape, self._make = shape, make if math.prod(shape) > KEPT else lru_cache(maxsize=None)(make)
        self.told = self._tell(base, dict(enumerate(axes)), derive)

    def __len__(self) -> int:
        return int(np.prod(self._shape, dtype=int))

    @overload
    def __getitem__(self, place: int) -> Run: ...
    @overload
    def __getitem__(self, place: slice) -> list[Run]: ...
    def __getitem__(self, place: int | slice) -> Run | list[Run]:
        if isinstance(place, slice):
            return [self[each] for each in range(len(self))[place]]
        return self._make(tuple(int(each) for each in np.unravel_index(range(len(self))[place], self._shape)))

    def _tell(self, base: Run, axes: "Axes", derive: Callable[[Run], Run] | None) -> Told:
        places: Sequence[int] = [0] * len(axes)

        def rows() -> Iterator[Row]:
            nonlocal places
            kinds = _Kinds()
            runs = _Config(base, axes, kinds, len(self))
            for places in itertools.product(*map(range, self._shape)):
                run, text, own, kind = runs.at(places)
                if derive:
                    run = derive(run)
                    yield configs.digest(run, NUMERICS), kinds.of(run), run.seed, run.stream
                else:
                    yield configs.address(text, own, NUMERICS), kind, run.seed, run.stream

        try:
            return _told(rows())
        except Exception:
            self._make(tuple(places))  # says what is wrong with this cell
            return tell(iter(self))  # nothing is: it cannot be taken apart


# ------------------------------------------------------------------------------------------------------------ the parts

Axes = Mapping[int, Columns]
"""What axes set of one config, by the number of the axis; paths begin at the config."""

HOLE = "\0"
"""Where the text of a field goes; JSON has no such letter."""


class _Part(NamedTuple):
    """A value in the tree of a run, and what is known of it."""

    value: Any
    text: str
    own: frozenset[str]
    """The code of classes that are not the library's; with `text` what `configs.canonical` gives."""
    kind: int
    """See `_Kinds`."""


class _Kinds:
    """A number for everything that `group_key` tells apart, worked out part by part."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._leaves = {cls: self._number(group_key(cls())) for cls in (float, int)}

    def of(self, value: Any, field: Field[Any] | None = None) -> int:
        """The number of a value, or of one that a field holds."""
        if field is not None and field.metadata.get("static"):
            return self._number(("static", value))
        cls = type(value)
        if cls in self._leaves:
            return self._leaves[cls]
        if not configs.is_plain(cls):
            return self._number(group_key(value))
        return self._number((cls, *(self.of(getattr(value, each.name), each) for each in fields(cls))))

    def _number(self, key: Any) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


class _Config:
    """A config of which axes change some fields: a part for each of their places, made anew."""

    def __init__(self, base: Any, axes: Axes, kinds: _Kinds, cells: int) -> None:
        self.base, self._class, self._kinds = base, type(base), kinds
        if not configs.is_plain(self._class):
            raise TypeError(f"{self._class.__name__}: made by a constructor of its own")
        known = {each.name: each for each in fields(self._class)}
        changes = _by_field(axes)
        if configs.is_doubled(base) or not changes.keys().isdisjoint(configs.switches(self._class)):
            raise TypeError(f"{self._class.__name__}: its address holds all of its numbers once more")
        varied = {name: _Field(base, known[name], changes[name], kinds, cells) for name in sorted(changes)}
        self._fixed = {name: configs.coerced(self._class, name, getattr(base, name)) for name in known}
        told = {name: configs.canonical(value) for name, value in self._fixed.items() if name not in varied}
        self._own = configs.code_of(self._class).union(*(own for _, own in told.values()))
        texts = {name: text for name, (text, _) in told.items()} | dict.fromkeys(varied, HOLE)
        self._head, *tails = configs.canonical_fields(self._class, texts).split(HOLE)
        self._varied = [(name, each.at, tail) for (name, each), tail in zip(varied.items(), tails, strict=True)]
        self._kind_of: dict[tuple[int, ...], int] = {}

    def at(self, places: Sequence[int]) -> _Part:
        """The config at these places of the axes, checked."""
        values, text, own = self._fixed.copy(), self._head, self._own
        kinds: tuple[int, ...] = ()
        for name, at, tail in self._varied:
            values[name], its_text, its_own, kind = at(places)
            text += its_text + tail
            own = own | its_own if its_own else own
            kinds += (kind,)
        made = object.__new__(self._class)
        vars(made).update(values)
        if hasattr(made, "check"):
            made.check()
            if not all(map(is_, values.values(), vars(made).values())):  # it has set a field
                return _Part(made, *configs.canonical(made), self._kinds.of(made))
        if kinds not in self._kind_of:
            self._kind_of[kinds] = self._kinds.of(made)
        return _Part(made, text, own, self._kind_of[kinds])


def _by_field(axes: Axes) -> dict[str, dict[int, dict[str, Sequence[Any]]]]:
    """What axes set, by the field of the config; "" is the path of the field itself."""
    found: dict[str, dict[int, dict[str, Sequence[Any]]]] = {}
    for axis, columns in axes.items():
        for path, column in columns.items():
            name, _, rest = path.partition(".")
            found.setdefault(name, {}).setdefault(axis, {})[rest] = column
    return found


class _Field:
    """A field that axes set, or in which they set something: a part for each of their places, made once."""

    def __init__(self, config: Any, field: Field[Any], axes: Axes, kinds: _Kinds, cells: int) -> None:
        self._class, self._field, self._base = type(config), field, getattr(config, field.name)
        self._kinds, self._cells = kinds, cells
        self._own = {axis: columns[""] for axis, columns in axes.items() if "" in columns}
        inner = {axis: {path: each for path, each in columns.items() if path} for axis, columns in axes.items()}
        self._inner = {axis: columns for axis, columns in inner.items() if columns}
        self._configs: dict[int, _Config] = {}
        self._pick = itemgetter(*axes)
        self._kept: dict[Any, _Part] = {}
        self._keeps = np.prod([len(next(iter(columns.values()))) for columns in axes.values()], dtype=float) < cells

    def at(self, places: Sequence[int]) -> _Part:
        if not self._keeps:  # each is asked for once
            return self._made(places)
        key = self._pick(places)
        part = self._kept.get(key)
        if part is None:
            part = self._kept[key] = self._made(places)
        return part

    def _made(self, places: Sequence[int]) -> _Part:
        value = self._base
        for axis, column in self._own.items():
            value = value if column[places[axis]] is Unset else column[places[axis]]
        if all(column[places[axis]] is Unset for axis, each in self._inner.items() for column in each.values()):
            return self._told(value)
        if id(value) not in self._configs:
            self._configs[id(value)] = _Config(value, self._inner, self._kinds, self._cells)
        part = self._configs[id(value)].at(places)
        value = configs.coerced(self._class, self._field.name, part.value)
        kind = self._kinds.of(value, self._field) if self._field.metadata.get("static") else part.kind
        return part._replace(kind=kind) if value is part.value else self._told(value)

    def _told(self, value: Any) -> _Part:
        value = configs.coerced(self._class, self._field.name, value)
        return _Part(value, *configs.canonical(value), self._kinds.of(value, self._field))
