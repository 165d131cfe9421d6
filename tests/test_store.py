"""The store loses nothing, says what is wrong, and opens as labelled data."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import toymodels
from tests.cases import packings
from toymodels import StoreError, sweep
from toymodels.results import DIVERGED, MISSING, OK, UNCONVERGED, census, dataset
from toymodels.store import MARK, Batch, Grid, Pool, locate, migrate


def batch(digests: list[str], steps: int = 3, group: str = "a" * 32, width: int = 2) -> Batch:
    cells = len(digests)
    values = np.asarray([int(digest, 36) for digest in digests], np.float32)
    return Batch(
        digests,
        [{"type": "none"}] * cells,
        group,
        2,
        {
            "finite": np.ones(cells, np.int8),
            "loss": values[:, None] + np.arange(steps, dtype=np.float32),
            "W": np.broadcast_to(values[:, None, None, None], (cells, 2, 3, width)).astype(np.float32),
        },
        {"finite": ("cell",), "loss": ("cell", "step"), "W": ("cell", "snapshot", "feature", "hidden")},
        np.arange(steps, dtype=np.int32),
        np.asarray([0, steps - 1], np.int32),
    )


def grid(digests: list[str], rows: int) -> Grid:
    labels = {"x": list(range(rows)), "y": [f"label{i}" for i in range(len(digests) // rows)]}
    return Grid(labels, digests, ["a" * 32, "b" * 32])


def files(pool: Path) -> list[Path]:
    return sorted(pool.glob("cells/*/*.zarr.zip"))


DIGESTS = [f"c{i}" for i in range(12)]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    pool = Pool(tmp_path / "store")
    pool.add(batch(DIGESTS[:5]))
    pool.add(batch(DIGESTS[5:9], group="b" * 32, width=4))
    locate(pool.path).write(grid(DIGESTS, 3))
    return pool.path


def test_cells_are_found_at_their_labels(filled: Path) -> None:
    data = toymodels.open(filled)
    assert data.sizes == {"x": 3, "y": 4, "step": 3, "snapshot": 2, "feature": 3, "hidden": 4}
    expected = np.asarray([int(digest, 36) for digest in DIGESTS], float).reshape(3, 4)
    expected.ravel()[9:] = np.nan
    np.testing.assert_array_equal(data.loss.sel(step=0), expected)
    np.testing.assert_array_equal(data.W.isel(snapshot=1, feature=0, hidden=0), expected)
    assert np.isnan(data.W.isel(hidden=3)).sum() == (5 + 3) * 2 * 3
    assert (data.status.values.ravel()[9:] == MISSING).all()
    assert census(data) == {"missing": 3, "ok": 9}


SLICES = st.slices(2).filter(lambda cut: len(range(2)[cut]) > 0)
INDEX = st.one_of(st.integers(0, 1), SLICES, st.lists(st.integers(0, 1), min_size=1, max_size=3).map(np.asarray))


@settings(max_examples=100)
@given(st.tuples(*[INDEX] * 5))
def test_lazy_indexing_is_indexing(memory: xr.Dataset, key: tuple) -> None:
    """Any outer index of a variable on disk gives what the same index of the whole array gives."""
    np.testing.assert_array_equal(memory.W[key].values, memory.W.copy(deep=True).load()[key].values)


@pytest.fixture(scope="module")
def memory() -> xr.Dataset:
    whole = batch(DIGESTS)
    return dataset(grid(DIGESTS, 3), {digest: (whole, slot) for slot, digest in enumerate(DIGESTS)})


@given(st.permutations(DIGESTS), st.integers(1, 11))
def test_order_of_batches_does_not_matter(order: list[str], cut: int) -> None:
    parts = [batch(list(order[:cut])), batch(list(order[cut:]))]
    index = {digest: (part, slot) for part in parts for slot, digest in enumerate(part.digests)}
    whole = batch(DIGESTS)
    assert dataset(grid(DIGESTS, 4), index).identical(
        dataset(grid(DIGESTS, 4), {digest: (whole, slot) for slot, digest in enumerate(DIGESTS)})
    )


def test_writing_twice_is_writing_once(filled: Path) -> None:
    before = sorted(filled.rglob("*"))
    Pool(filled).add(batch(DIGESTS[:5]))
    assert sorted(filled.rglob("*")) == before


def test_an_unfinished_write_is_invisible(filled: Path) -> None:
    written = files(filled)[0]
    written.with_name(f".{written.name}.123").write_bytes(written.read_bytes()[:100])
    assert census(toymodels.open(filled))["ok"] == 9


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "bits", "empty"])
def test_damage_is_said_and_the_rest_kept(filled: Path, damage: str) -> None:
    """A damaged batch is named in one sentence; without it, all others are there."""
    victim = files(filled)[-1]
    content = bytearray(victim.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "overwritten":
        content = bytearray(b"not a zip file")
    elif damage == "empty":
        content = bytearray()
    else:
        start = len(content) * 2 // 3
        content[start : start + 400] = b"\xff" * 400
    victim.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=victim.name) as caught:
        toymodels.open(filled).load()
    assert "\n" not in str(caught.value)
    victim.unlink(missing_ok=True)  # where an array was damaged, it has been set aside
    assert census(toymodels.open(filled))["ok"] in (4, 5)


def test_damaged_labels_are_said(filled: Path) -> None:
    (filled / "views" / "sweep.json").write_text("{")
    with pytest.raises(StoreError, match=r"sweep.json: damaged"):
        toymodels.open(filled)


def test_nothing_is_said_to_be_nothing(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(StoreError, match="no sweep is stored here"):
            toymodels.open(path)


def test_several_sweeps_open_as_a_tree(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    pool.add(batch(DIGESTS))
    for name in ("toy/one", "toy/two", "other"):
        pool.view(name).write(grid(DIGESTS, 3))
    assert set(toymodels.open(tmp_path).children) == {"toy", "other"}
    tree = toymodels.open(tmp_path / "toy")
    assert set(tree.children) == {"one", "two"}
    assert tree["one"].to_dataset().loss.shape == (3, 4, 3)
    assert toymodels.open(tmp_path / "toy" / "two").loss.shape == (3, 4, 3)


def test_a_view_reads_only_its_own_groups(filled: Path) -> None:
    """A damaged batch of another group is no concern of a view."""
    files(filled)[-1].write_bytes(b"")
    pool = Pool(filled)
    alone = grid(DIGESTS[:5], 1)
    pool.view("alone").write(Grid(alone.axes, alone.digests, ["a" * 32]))
    assert census(toymodels.open(filled / "alone")) == {"ok": 5}


def test_a_path_means_a_view_of_the_nearest_pool(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert (locate(runs / "mine").pool.path, locate(runs / "mine").name) == (runs / "mine", "sweep")
    Pool(runs).mark()
    assert (locate(runs / "mine").pool.path, locate(runs / "mine").name) == (runs, "mine")
    assert locate(runs / "intro" / "arrows").name == "intro/arrows"
    assert locate(runs).name == "sweep"


def test_what_became_of_a_cell_is_read_off_its_curve(tmp_path: Path) -> None:
    steps, cells = 200, 4
    curves = np.stack([np.full(steps, 1.0), np.linspace(2, 1, steps), np.full(steps, np.nan), np.full(steps, 1.0)])
    made = Batch(
        [f"c{i}" for i in range(cells)],
        [{}] * cells,
        "a" * 32,
        2,
        {"finite": np.asarray([1, 1, 1, 0], np.int8), "objective": curves.astype(np.float32)},
        {"finite": ("cell",), "objective": ("cell", "step")},
        np.arange(steps, dtype=np.int32),
        np.asarray([0], np.int32),
    )
    pool = Pool(tmp_path)
    pool.add(made)
    locate(tmp_path).write(Grid({"x": [0, 1, 2, 3, 4]}, [*made.digests, "missing"], ["a" * 32]))
    data = toymodels.open(tmp_path)
    assert data.status.values.tolist() == [OK, UNCONVERGED, DIVERGED, DIVERGED, MISSING]
    assert "finite" not in data


def old_store(folder: Path) -> None:
    """A store of the layout before the pool."""
    pool = Pool(folder / "made")
    pool.add(batch(DIGESTS))
    (written,) = files(pool.path)
    written.rename(folder / f"aaaaaaaa-{written.name}")
    labels = grid(DIGESTS, 3).to_dict()
    labels.pop("groups")
    (folder / "sweep.json").write_text(json.dumps(labels))
    shutil.rmtree(folder / "made")


def test_an_old_store_is_refused_until_it_is_moved(tmp_path: Path) -> None:
    for name in ("toy/one", "tiny/toy/two"):
        (tmp_path / name).mkdir(parents=True)
        old_store(tmp_path / name)
    with pytest.raises(StoreError, match="toymodels migrate"):
        Pool(tmp_path)
    assert migrate(tmp_path) == 2
    assert migrate(tmp_path) == 0
    assert census(toymodels.open(tmp_path / "toy" / "one")) == {"ok": 12}
    assert Pool(tmp_path).views() == ["tiny/toy/two", "toy/one"]
    assert not (tmp_path / "toy").exists()


def test_a_pool_within_a_folder_is_not_of_an_older_layout(tmp_path: Path) -> None:
    """`sweep(..., store="runs/mine")` before anything else, and then the command line, whose pool is `runs`."""
    mine = tmp_path / "mine"
    inner = Pool(mine)
    inner.add(batch(DIGESTS))
    inner.view("sweep").write(grid(DIGESTS, 3))
    assert Pool(tmp_path).views() == []
    assert migrate(tmp_path) == 0
    assert census(toymodels.open(mine)) == {"ok": 12}


def test_an_interrupted_move_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        old_store(tmp_path / name)
    moved = shutil.move
    monkeypatch.setattr(shutil, "move", lambda *paths: moved(*paths) if "one" in str(paths[0]) else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        migrate(tmp_path)
    assert not (tmp_path / MARK).exists()
    monkeypatch.undo()
    migrate(tmp_path)
    for name in ("one", "two"):
        assert census(toymodels.open(tmp_path / name)) == {"ok": 12}


def test_what_is_stored_is_what_was_trained(tmp_path: Path) -> None:
    stored, fresh = sweep(packings(), tmp_path), sweep(packings())
    assert toymodels.open(tmp_path).load().drop_attrs().identical(stored.load().drop_attrs())
    for name in fresh.data_vars:
        np.testing.assert_array_equal(stored[name], fresh[name])
    (group,) = locate(tmp_path).read().groups
    made = Pool(tmp_path).batches(group)[0].provenance
    assert {"python", "packages", "git", "devices", "backend", "flags", "time", "seconds"} <= set(made)
    assert json.loads(stored.attrs["about"])["base"]["problem"]["n"] == 6


def test_opening_is_lazy_and_fast(tmp_path: Path) -> None:
    """12,000 cells in 94 batches: labels and losses without reading a weight. The bound is ten times what it took."""
    pool = Pool(tmp_path)
    digests = [f"{i:x}" for i in range(12_000)]
    example = batch(["0"] * 128, steps=100)
    for start in range(0, len(digests), 128):
        part = digests[start : start + 128]
        arrays = {name: values[: len(part)] for name, values in example.arrays.items()}
        pool.add(dataclasses.replace(example, digests=part, configs=example.configs[: len(part)], arrays=arrays))
    locate(tmp_path).write(grid(digests, 100))
    start = time.perf_counter()
    data = toymodels.open(tmp_path)
    assert data.loss.isel(step=-1).shape == (100, 120)
    assert time.perf_counter() - start < 10


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, ".")
from tests.test_store import batch
from toymodels.store import Pool
for i in range(30):
    Pool(Path(sys.argv[1])).add(batch([f"{sys.argv[2]}{i}"]))
"""


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), name], cwd=Path(__file__).parent.parent, env=os.environ
        )
        for name in "xyz"
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    assert len(Pool(tmp_path).cells(["a" * 32])) == 90
