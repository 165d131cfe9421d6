"""The store loses nothing, says what is wrong, and opens as labelled data."""

import dataclasses
import json
import os
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
from toymodels.store import MISSING, Batch, Grid, Store, census, dataset


def batch(digests: list[str], steps: int = 3, group: str = "a" * 32, width: int = 2) -> Batch:
    cells = len(digests)
    values = np.asarray([int(digest, 36) for digest in digests], np.float32)
    return Batch(
        digests,
        [{"type": "none"}] * cells,
        group,
        2,
        {
            "status": np.zeros(cells, np.int8),
            "loss": values[:, None] + np.arange(steps, dtype=np.float32),
            "W": np.broadcast_to(values[:, None, None, None], (cells, 2, 3, width)).astype(np.float32),
        },
        {"status": ("cell",), "loss": ("cell", "step"), "W": ("cell", "snapshot", "feature", "hidden")},
        np.arange(steps, dtype=np.int32),
        np.asarray([0, steps - 1], np.int32),
    )


def grid(digests: list[str], rows: int) -> Grid:
    return Grid({"x": list(range(rows)), "y": [f"label{i}" for i in range(len(digests) // rows)]}, digests)


DIGESTS = [f"c{i}" for i in range(12)]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    store = Store(tmp_path / "store")
    store.add(batch(DIGESTS[:5]))
    store.add(batch(DIGESTS[5:9], group="b" * 32, width=4))
    store.write_grid(grid(DIGESTS, 3))
    return store.path


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
    before = sorted(path.name for path in filled.iterdir())
    Store(filled).add(batch(DIGESTS[:5]))
    assert sorted(path.name for path in filled.iterdir()) == before


def test_an_unfinished_write_is_invisible(filled: Path) -> None:
    written = next(filled.glob("*.zarr.zip"))
    (filled / f".{written.name}.123").write_bytes(written.read_bytes()[:100])
    assert census(toymodels.open(filled))["ok"] == 9


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "bits", "empty"])
def test_damage_is_said_and_the_rest_kept(filled: Path, damage: str) -> None:
    """A damaged batch is named in one sentence; without it, all others are there."""
    victim = max(filled.glob("*.zarr.zip"))
    content = bytearray(victim.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "overwritten":
        content = bytearray(b"not a zip file")
    elif damage == "empty":
        content = bytearray()
    else:
        content[len(content) // 3 : len(content) // 3 + 400] = b"\xff" * 400
    victim.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=victim.name) as caught:
        toymodels.open(filled).load()
    assert "\n" not in str(caught.value)
    victim.unlink()
    assert census(toymodels.open(filled))["ok"] in (4, 5)


def test_damaged_labels_are_said(filled: Path) -> None:
    (filled / "sweep.json").write_text("{")
    with pytest.raises(StoreError, match=r"sweep.json: damaged"):
        toymodels.open(filled)


def test_nothing_is_said_to_be_nothing(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(StoreError, match="no sweep is stored here"):
            toymodels.open(path)


def test_several_sweeps_open_as_a_tree(tmp_path: Path) -> None:
    for name in ("one", "two"):
        store = Store(tmp_path / name)
        store.add(batch(DIGESTS))
        store.write_grid(grid(DIGESTS, 3))
    tree = toymodels.open(tmp_path)
    assert set(tree.children) == {"one", "two"}
    assert tree["one"].to_dataset().loss.shape == (3, 4, 3)


def test_what_is_stored_is_what_was_trained(tmp_path: Path) -> None:
    stored, fresh = sweep(packings(), tmp_path), sweep(packings())
    assert toymodels.open(tmp_path).load().drop_attrs().identical(stored.load().drop_attrs())
    for name in fresh.data_vars:
        np.testing.assert_array_equal(stored[name], fresh[name])
    made = Store(tmp_path).batches[0].provenance
    assert {"python", "packages", "git", "devices", "backend", "flags", "time", "seconds"} <= set(made)
    assert json.loads(stored.attrs["about"])["base"]["problem"]["n"] == 6


def test_opening_is_lazy_and_fast(tmp_path: Path) -> None:
    """12,000 cells in 94 batches: labels and losses without reading a weight. The bound is ten times what it took."""
    store = Store(tmp_path)
    digests = [f"{i:x}" for i in range(12_000)]
    example = batch(["0"] * 128, steps=100)
    for start in range(0, len(digests), 128):
        part = digests[start : start + 128]
        arrays = {name: values[: len(part)] for name, values in example.arrays.items()}
        store.add(dataclasses.replace(example, digests=part, configs=example.configs[: len(part)], arrays=arrays))
    store.write_grid(grid(digests, 100))
    start = time.perf_counter()
    data = toymodels.open(tmp_path)
    assert data.loss.isel(step=-1).shape == (100, 120)
    assert time.perf_counter() - start < 10


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, ".")
from tests.test_store import batch
from toymodels.store import Store
for i in range(30):
    Store(Path(sys.argv[1])).add(batch([f"{sys.argv[2]}{i}"]))
"""


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), name], cwd=Path(__file__).parent.parent, env=os.environ
        )
        for name in "xyz"
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    assert len(Store(tmp_path).index) == 90
