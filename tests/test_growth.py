"""Sweeps of many cells: planned without being made, to the same addresses and batches; opened without being read."""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import toymodels
from tests.cases import AUTOENCODER, PACKING
from tests.test_store import batch, files, grid
from toymodels import Axis, Choice, Run, StoreError, Sweep, batches, config, index
from toymodels.data import Sparse
from toymodels.engine.plan import batch_shape, group_digest, group_key, plan
from toymodels.losses import PowerError, SquaredError
from toymodels.results import DIVERGED, OK, census, usable
from toymodels.store import Batch, Grid, Pool, View, locate
from toymodels.train import NUMERICS

# ------------------------------------------------------------------------------------------------------ the plain route


def plain_runs(what: Sweep) -> list[Run]:
    """Every cell made by itself."""
    found = []
    for places in itertools.product(*map(range, what.shape)):
        changes: dict[str, Any] = {}
        for axis, place in zip(what.axes, places, strict=True):
            changes |= axis.binding(place)
        run = config.replace(what.base, changes)
        found.append(what.derive(run) if what.derive else run)
    return found


def cut(items: list, length: int) -> list[list]:
    return [items[start : start + length] for start in range(0, len(items), length)]


def rows(runs: list[Run]) -> list[list[Run]]:
    found: defaultdict[tuple[int, int], list[Run]] = defaultdict(list)
    for run in runs:
        found[run.seed, run.stream].append(run)
    return list(found.values())


def plain_plan(runs: list[Run], width: int, shard: tuple[int, int], devices: int, left: set[str]) -> list[Any]:
    """(group, layout, digests by batch, row and place), group by group, as lists of runs give them."""
    members: defaultdict[Any, list[Run]] = defaultdict(list)
    for run in {config.digest(run, NUMERICS): run for run in runs}.values():
        members[group_key(run)].append(run)
    groups = []
    for cells in members.values():
        parts = [part for row in rows(cells) for part in cut(row, width)][shard[0] :: shard[1]]
        mine = [run for part in parts for run in part if config.digest(run, NUMERICS) not in left]
        shape = batch_shape(mine or rows(cells)[0], width, devices)
        filled = [p + [p[0]] * (shape.cells - len(p)) for row in rows(mine) for p in cut(row, shape.cells)]
        blocks = cut(filled, shape.devices * shape.rows)
        grids = [block + [block[0]] * (shape.devices * shape.rows - len(block)) for block in blocks]
        groups.append((group_digest(cells[0]), shape, digests_of(grids)))
    return groups


def digests_of(grids: Any) -> list[list[list[str]]]:
    return [[[config.digest(run, NUMERICS) for run in row] for row in grid] for grid in grids]


class Kept:
    """A store with batches of a given width, and some cells."""

    def __init__(self, width: int, stored: set[str]) -> None:
        self._width, self._stored = width, stored

    def cells(self, groups: Any) -> Mapping[str, Any]:
        return dict.fromkeys(self._stored)

    def width(self, group: str) -> int:
        return self._width


def hotter(run: Run) -> Run:
    return config.replace(run, {"optimizer.lr": 2 * run.optimizer.lr, "stream": run.seed % 2})


LOSSES: dict[str, dict[str, Any]] = {
    "l2": {"problem.loss": SquaredError()},
    "l4": {"problem.loss": PowerError(4.0)},
    "l3": {"problem.loss": PowerError(4.0), "problem.loss.power": 3.0},
    "own": {},
    "wide": {"problem.data": Sparse(5, 0.3), "problem.model.m": 3},
    "other": {"problem": PACKING.problem, "optimizer.lr": 0.03},
}
FEW = [0.1, 0.2, 0.3, 0.5]
AXES: list[st.SearchStrategy[Axis | Choice]] = [
    st.sets(st.sampled_from(FEW), min_size=1).map(lambda values: Axis("p", "problem.data.p", sorted(values))),
    st.integers(1, 6).map(lambda count: Axis("seed", "seed", range(count))),
    st.sets(st.sampled_from([0, 1, 2**31 - 1]), min_size=1).map(lambda each: Axis("stream", "stream", sorted(each))),
    st.sets(st.sampled_from(sorted(LOSSES)), min_size=1).map(
        lambda names: Choice("loss", {name: LOSSES[name] for name in sorted(names)})
    ),
    st.just(Axis("steps", "steps", [60, 40])),
    st.just(Axis("importance", "problem.loss.importance", [(1.0, 0.5, 0.5, 0.1, 0.1), 1.0, (1.0, 1.0, 1.0, 1.0, 1.0)])),
    st.just(Axis("records", "record.losses", [4, 12.0])),
]
SWEEPS = st.tuples(
    st.lists(st.integers(0, len(AXES) - 1), max_size=4, unique=True).flatmap(
        lambda w: st.tuples(*[AXES[i] for i in w])
    ),
    st.sampled_from([None, hotter]),
)


def outcome(make: Any) -> Any:
    try:
        return make()
    except ValueError as error:
        return str(error)


@settings(max_examples=25)
@given(SWEEPS)
def test_cells_are_told_as_one_by_one(drawn: tuple) -> None:
    """The same addresses, configs, draws and programs, or the same sentence, as of runs that are made one by one."""
    what = Sweep(AUTOENCODER, *drawn)
    expected = outcome(lambda: plain_runs(what))
    if isinstance(expected, str):
        assert outcome(what.runs) == expected
        return
    told = what.runs().told  # type: ignore[attr-defined]
    assert what.digests == [config.digest(run, NUMERICS) for run in expected]
    assert told.draws.tolist() == [[run.seed, run.stream] for run in expected]
    keys = {key: number for number, key in enumerate(dict.fromkeys(map(group_key, expected)))}
    assert told.kinds.tolist() == [keys[group_key(run)] for run in expected]
    assert what.groups == [group_digest(run) for run in {group_key(run): run for run in expected}.values()]
    assert [config.to_dict(run) for run in what.runs()] == [config.to_dict(run) for run in expected]


@settings(max_examples=25)
@given(SWEEPS, st.sampled_from([2, 4, 8]), st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.data())
def test_batches_are_those_of_lists(
    drawn: tuple, width: int, devices: int, shards: int, every: int, data: st.DataObject
) -> None:
    """Cells, layouts and padding are those that lists of runs give, whatever is stored, claimed or another shard's."""
    what, shard = Sweep(AUTOENCODER, *drawn), (data.draw(st.integers(0, shards - 1)), shards)
    runs = outcome(lambda: plain_runs(what))
    if isinstance(runs, str):
        return
    stored, claimed = set(what.digests[::every]) if every > 1 else set(), set(what.digests[1 :: every + 2])
    expected = plain_plan(runs, width, shard, devices, stored | claimed)
    for given_as in (what.runs(), runs):
        todo = plan(given_as, Kept(width, stored), shard, devices, claimed)
        assert [(group.name, group.shape, digests_of(group.batches)) for group in todo.groups] == expected
        assert (todo.cells, todo.done) == (len(set(what.digests)), len(stored))
        for group, (_, _, grids) in zip(todo.groups, expected, strict=True):
            assert len(group.batches) == len(grids)
            assert group.cells == len({digest for each in grids for row in each for digest in row})


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ([Axis("seed", "seed", range(3)), Axis("p", "problem.data.p", [0.1, 1.5])], "p=1.5: an activation probability"),
        ([Axis("p", "problem.data.p", [0.1, "much"])], "Sparse.p='much': expected"),
        ([Axis("x", "problem.data.q", [0.1])], "q: Sparse has no such field"),
        ([Axis("x", "seed.q", [0.1])], "which has no fields"),
        ([Axis("seed", "seed", [0, -1])], "seed=-1: an integer in 0"),
        (
            [Choice("x", {"a": {"problem": PACKING.problem}, "b": {}}), Axis("p", "problem.data.p", [0.1])],
            "no such field",
        ),
        ([Choice("x", {"a": {"problem.data.n": 7, "problem.data.p": (0.1, 0.2)}})], "p has 2 values for 7 features"),
    ],
)
def test_a_cell_that_is_not_valid_is_said_as_by_itself(axes: list, said: str) -> None:
    what = Sweep(AUTOENCODER, axes)
    with pytest.raises(ValueError, match=said):
        what.runs()
    assert outcome(what.runs) == outcome(lambda: plain_runs(what))


@config.config
class Rounded:
    """Sets a field in its check, as some configs do."""

    dims: ClassVar[dict[str, tuple[str, ...]]] = {"V": ("feature", "dimension")}
    n: int = config.static(default=6)
    power: float = 2.0
    bound: float | None = None

    def check(self) -> None:
        if self.bound is None:
            object.__setattr__(self, "bound", 2 * self.power)
        if self.power > self.bound:  # type: ignore[operator]
            raise ValueError(f"power={self.power:g}: at most {self.bound:g}")

    def init(self, key: Any) -> Any: ...
    def objective(self, params: Any, example: Any) -> Any: ...


FEW_RUNS = 1000
"""At most so many are made to check the types of arguments in tests: an item of a sequence, a batch of batches."""


class Made:
    """Counts the configs of a class that are checked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cls: type) -> None:
        self.count, check = 0, cls.check  # type: ignore[attr-defined]

        def counted(config: Any) -> None:
            self.count += 1
            check(config)

        monkeypatch.setattr(cls, "check", counted)


def test_a_check_may_set_fields() -> None:
    base = Run(Rounded(), steps=5)
    free = Axis("bound", "problem.bound", [None, 3.0])
    what = Sweep(base, [Axis("power", "problem.power", [1.0, 2.5]), free, Axis("seed", "seed", range(2))])
    assert what.digests == [config.digest(run, NUMERICS) for run in plain_runs(what)]
    assert len(set(what.digests)) == 8
    too_much = Sweep(base, [Axis("power", "problem.power", [1.0, 2.5, 4.0]), free])
    assert outcome(too_much.runs) == outcome(lambda: plain_runs(too_much)) == "power=4: at most 3"


def test_parts_are_made_once_and_cells_are_checked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 cells: each is checked once, a part once for each of its values; types are checked on a few of them."""
    runs, parts = Made(monkeypatch, Run), Made(monkeypatch, Sparse)
    p = Axis("p", "problem.data.p", np.linspace(0.1, 0.9, 100))
    what = Sweep(AUTOENCODER, [p, Axis("seed", "seed", range(200))])
    assert len(set(what.digests)) == len(what.runs()) == 20_000
    assert 20_000 <= runs.count <= 20_000 + FEW_RUNS
    assert 100 <= parts.count <= 100 + FEW_RUNS


def test_a_large_plan_makes_the_runs_of_the_batches_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 cells."""
    what = Sweep(PACKING, [Axis("power", "problem.power", np.linspace(1, 4, 100)), Axis("seed", "seed", range(200))])
    what.runs()
    runs = Made(monkeypatch, Run)
    (group,) = plan(what.runs(), devices=2).groups
    width = group.shape.devices * group.shape.width
    assert len(group.batches) == -(-20_000 // width)
    assert runs.count <= FEW_RUNS
    grid = group.batches[-1]
    assert sum(map(len, grid)) == width
    assert runs.count <= 2 * FEW_RUNS
    assert {config.digest(run, NUMERICS) for row in grid for run in row} <= set(what.digests)


# -------------------------------------------------------------------------------------------------------------- opening

DIGESTS = [f"c{number}" for number in range(12)]


@pytest.fixture
def indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pool of four batches in one folder, with its index."""
    monkeypatch.setattr(batches, "INDEXED", 4)
    pool = Pool(tmp_path / "store")
    for start in range(0, 12, 3):
        pool.add(with_objective(batch(DIGESTS[start : start + 3])))
    locate(pool.path).write(grid(DIGESTS, 3))
    assert not list(pool.path.rglob(index.FILE))
    toymodels.open(pool.path)
    assert len(list(pool.path.rglob(index.FILE))) == 1
    return pool.path


def with_objective(made: Batch) -> Batch:
    arrays = {"objective" if name == "loss" else name: values for name, values in made.arrays.items()}
    dims = {"objective" if name == "loss" else name: each for name, each in made.dims.items()}
    return dataclasses.replace(made, arrays=arrays, dims=dims)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The batch files that are opened, in order."""
    found: list[str] = []
    for name in ("zipfile.ZipFile", "ZipStore"):
        holder, attribute = (batches.zipfile, "ZipFile") if "." in name else (batches, name)
        real = getattr(holder, attribute)

        def opening(path: Any, *args: Any, real: Any = real, **settings: Any) -> Any:
            found.append(Path(getattr(path, "name", path)).name)
            return real(path, *args, **settings)

        monkeypatch.setattr(holder, attribute, opening)
    return found


def the_index(pool: Path) -> Path:
    (found,) = pool.rglob(index.FILE)
    return found


def test_opening_reads_no_batch_and_reading_a_cell_reads_its_own(indexed: Path, opened: list[str]) -> None:
    data = toymodels.open(indexed)
    assert data.sizes == {"x": 3, "y": 4, "step": 3, "snapshot": 2, "feature": 3, "hidden": 2}
    assert opened == []
    assert float(data.W.isel(x=2, y=3, snapshot=0, feature=0, hidden=0)) == int("c11", 36)
    assert len(set(opened)) == 1
    assert int(data.status.isel(x=2, y=3)) == OK
    assert len(set(opened)) == 1
    opened.clear()
    assert census(data) == {"ok": 12}
    assert len(set(opened)) == 3  # the first one is known
    opened.clear()
    assert census(data) == {"ok": 12}
    assert np.isfinite(usable(data.objective.isel(x=0), data.status.isel(x=0))).all()
    assert len(set(opened)) == 2  # four cells of objective, no status


def test_an_index_changes_nothing(indexed: Path) -> None:
    with_it = toymodels.open(indexed).load()
    the_index(indexed).unlink()
    without = toymodels.open(indexed).load()
    assert with_it.identical(without)
    (group,) = {file.parent.name for file in files(indexed)}
    known, read = Pool(indexed).batches(group), [batches.StoredBatch(path) for path in files(indexed)]
    assert all(one.told.agrees(other.told) for one, other in zip(known, read, strict=True))
    for one, other in zip(known, read, strict=True):
        assert (one.shapes, one.configs, one.provenance) == (other.shapes, other.configs, other.provenance)


def test_files_that_come_and_go_are_seen(indexed: Path, opened: list[str]) -> None:
    gone = files(indexed)[0]
    kept = gone.read_bytes()
    gone.unlink()
    Pool(indexed).add(with_objective(batch(["d0"])))
    opened.clear()
    locate(indexed).write(grid([*DIGESTS[:11], "d0"], 3))
    data = toymodels.open(indexed)
    assert len(opened) == 1  # the new one
    missing = int((data.status == -1).sum())
    assert missing in (2, 3)
    gone.write_bytes(kept)
    assert census(toymodels.open(indexed)) == {"ok": 12}


def test_a_file_of_another_size_is_not_the_one_that_was_indexed(indexed: Path) -> None:
    victim = files(indexed)[1]
    victim.write_bytes(victim.read_bytes()[:-50])
    with pytest.raises(StoreError, match=f"{victim.name}: damaged batch"):
        toymodels.open(indexed)


@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "replaced"])
def test_a_batch_that_takes_a_name_is_not_told_by_the_old_index(indexed: Path, gone: bool) -> None:
    """Retrained cells have the name of the batch that held them, whoever wrote the index, and other contents."""
    before = {each.path.name: each.contents for each in Pool(indexed).batches("a" * 32)}
    made = with_objective(batch(DIGESTS[:3]))
    (name,) = [each.path.name for each in Pool(indexed).batches("a" * 32) if each.digests == DIGESTS[:3]]
    if gone:
        next(indexed.rglob(name)).unlink()
    arrays = {**made.arrays, "objective": made.arrays["objective"] + 1}
    Pool(indexed).add(dataclasses.replace(made, arrays=arrays))
    after = {each.path.name: each.contents for each in Pool(indexed).batches("a" * 32)}
    assert {each for each in before if before[each] != after[each]} == {name}
    loss = toymodels.open(indexed).objective.isel(step=0).values.ravel()
    np.testing.assert_array_equal(loss, [int(each, 36) + (each in DIGESTS[:3]) for each in DIGESTS])


def test_a_batch_that_is_replaced_while_the_index_is_written_takes_it_back(indexed: Path) -> None:
    pool = Pool(indexed)
    known = {each.path.name: each.told for each in pool.batches("a" * 32)}
    folder = the_index(indexed).parent
    listed = index.files(folder)
    Pool(indexed).add(with_objective(batch(DIGESTS[:3])))  # the same name: another file
    assert not list(indexed.rglob(index.FILE))
    index.write(folder, known, listed)
    assert not list(indexed.rglob(index.FILE))
    index.write(folder, known, index.files(folder))
    assert list(index.read(folder)) == list(known)


def test_an_index_that_disagrees_is_said_and_forgotten(indexed: Path) -> None:
    """One that is whole, and of other batches: nothing is read that is not the cell's."""
    folder = the_index(indexed).parent
    told = index.read(folder)
    names = list(told)
    others = zip(names, [names[1], names[0], *names[2:]], strict=True)
    swapped = {name: told[other]._replace(size=told[name].size) for name, other in others}
    index.write(folder, swapped, index.files(folder))
    with pytest.raises(StoreError, match="not what the index of its folder said of it; open the store again"):
        toymodels.open(indexed).load()
    assert not list(indexed.rglob("*.damaged"))
    assert census(toymodels.open(indexed)) == {"ok": 12}


@pytest.mark.parametrize("damage", [b"", b"\n", b"batches 0 00\n{}\n", b"\xff" * 90, None])
def test_a_damaged_index_counts_for_nothing(indexed: Path, opened: list[str], damage: bytes | None) -> None:
    whole, file = toymodels.open(indexed).load(), the_index(indexed)
    content = file.read_bytes()
    opened.clear()
    file.write_bytes(content[:-1] if damage is None else damage)
    assert toymodels.open(indexed).load().identical(whole)
    assert set(opened) == {each.name for each in files(indexed)}
    assert file.read_bytes() == content  # written again


def test_a_folder_that_cannot_be_written_has_no_index(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = toymodels.open(indexed).load()
    the_index(indexed).unlink()

    def refused(*given: Any) -> Any:
        raise StoreError("cannot write here")

    monkeypatch.setattr(index, "appearing", refused)
    assert toymodels.open(indexed).load().identical(whole)
    assert not list(indexed.rglob(index.FILE))


def test_few_batches_have_no_index(tmp_path: Path) -> None:
    Pool(tmp_path).add(batch(DIGESTS))
    locate(tmp_path).write(grid(DIGESTS, 3))
    toymodels.open(tmp_path)
    assert not list(tmp_path.rglob(index.FILE))


def test_a_curve_is_read_when_the_status_is_asked_for(tmp_path: Path) -> None:
    """Whatever part of it is asked for first, it is that of the whole."""
    made = with_objective(batch(DIGESTS))
    made.arrays["finite"][[1, 7]] = 0
    Pool(tmp_path).add(made)
    view = View(Pool(tmp_path), "sweep")
    view.write(Grid({"x": list(range(13))}, [*DIGESTS, "none"], ["a" * 32]))
    whole = toymodels.open(tmp_path).status.load()
    assert whole.values.tolist() == [DIVERGED if place in (1, 7) else OK for place in range(12)] + [-1]
    data = toymodels.open(tmp_path)
    for part in (slice(1, 3), 7, [0, 12], slice(None)):
        xr.testing.assert_identical(data.status.isel(x=part), whole.isel(x=part))


def test_cells_are_found_among_many(tmp_path: Path) -> None:
    """100,000 cells in 1,000 batches: each at its place, in the last batch that has it; others are missing."""
    digests = [f"{number:x}" for number in range(100_000)]
    parts = [batch(["0"]) for _ in range(1001)]
    held = [dataclasses.replace(p, digests=digests[100 * i : 100 * i + 100]) for i, p in enumerate(parts[:-1])]
    held.append(dataclasses.replace(parts[-1], digests=digests[:7]))
    cells = batches.Cells(held)
    assert len(cells) == 100_000
    asked = ["none", *digests[::999]]
    owner, slot = cells.find(asked)
    for digest, batch_number, place in zip(asked, owner, slot, strict=True):
        found = cells.get(digest)
        assert (found is None) == (batch_number < 0) == (digest == "none")
        if found:
            assert found == (held[batch_number], place)
            assert found[0].digests[found[1]] == digest
    assert cells["3"] == (held[-1], 3)
    assert cells.missing(asked) == 1
    assert cells.holding(["none", "0", "8", "ff"]) == [held[0], held[2], held[-1]]
