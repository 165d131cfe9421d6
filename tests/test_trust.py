"""A handful of every fault; `make trust` tries thousands."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import trust
from tests.cases import same
from toymodels import StoreError, config, open, sweep
from toymodels.store import Pool


def test_every_turned_bit_is_seen_or_does_not_matter(tmp_path: Path) -> None:
    found = list(trust.flips(tmp_path, 240))
    assert len(found) == 240
    assert all(found)


def test_a_batch_cut_short_is_trained_again(tmp_path: Path) -> None:
    assert all(trust.truncations(tmp_path, 3))


def test_all_damaged_batches_are_named_at_once(tmp_path: Path) -> None:
    what = trust.packings(powers=(2.0, 3.0), seeds=range(2))
    whole = sweep(what, tmp_path / "store").load()
    sweep(trust.packings(powers=(2.0,), seeds=(7,)), tmp_path / "store")
    for path in tmp_path.rglob("*.zarr.zip"):
        path.write_bytes(b"junk")
    with pytest.raises(StoreError, match="damaged batch"):
        open(tmp_path / "store").load()
    assert same(sweep(what, tmp_path / "store").load(), whole)
    assert not list(tmp_path.rglob(".*.partial"))


def test_labels_that_were_changed_are_refused(tmp_path: Path) -> None:
    sweep(trust.SMALL, tmp_path / "store")
    labels = tmp_path / "store/views/sweep.json"
    labels.write_text(labels.read_text().replace("[2.0, 3.0]", "[3.0, 2.0]"))
    with pytest.raises(StoreError, match="not as it was written"):
        open(tmp_path / "store")


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, *(pytest.param(each, marks=pytest.mark.slow) for each in (9, 1, 2))], ids=str
)
def test_killed_at_any_instant(tmp_path: Path, how: int) -> None:
    assert all(trust.kills(tmp_path, 1, signal.Signals(how), seed=int(how)))
    assert all(trust.resumed(tmp_path, 1))


@pytest.mark.slow
def test_two_writers(tmp_path: Path) -> None:
    assert all(trust.writers(tmp_path, 1, 2))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    assert all(trust.no_room(tmp_path, 2))


@pytest.mark.slow
def test_settings_of_jax_change_nothing() -> None:
    """All at once; `make trust` sets each by itself."""
    everything = {key: value for each in trust.SETTINGS.values() for key, value in each.items()}
    assert trust.bits(everything) == trust.bits({})


def test_a_strangers_config_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "stranger.py").write_text("raise SystemExit('this ran')")
    code = "from toymodels import config; config.from_dict({'type': 'stranger:Config'})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "not imported; import it first" in done.stderr
    assert "this ran" not in done.stderr


def test_own_configs_are_read_once_they_are_imported() -> None:
    what = config.to_dict(trust.PACKING)
    assert config.from_dict(what) == trust.PACKING


def test_partial_files_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path: Path) -> None:
    from toymodels.files import HOST, write_text

    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    dead, alive, elsewhere = (
        tmp_path / f".x.json.{host}.{process}.0.partial" for host, process in ((HOST, done.pid), (HOST, 1), ("far", 5))
    )
    for path in (dead, alive, elsewhere):
        path.touch()
    write_text(tmp_path / "y.json", "{}")
    assert not dead.exists()
    assert alive.exists()
    assert elsewhere.exists()
    assert not Pool(tmp_path / "none").damaged
