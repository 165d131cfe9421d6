"""A handful of every fault; `make trust` tries thousands."""

import errno
import json
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests import trust
from tests.cases import PACKING, packings, same
from tests.trust import disks
from tests.trust.bytes import EXCHANGES
from toymodels import StoreError, config, open, sweep
from toymodels.cli import main
from toymodels.files import seal
from toymodels.store import Pool


def test_every_turned_bit_is_seen_or_does_not_matter(tmp_path: Path) -> None:
    found = list(trust.flips(tmp_path / "anywhere", 120)) + list(trust.regions(tmp_path / "everywhere", 12))
    assert len(found) == 120 + 6 * 12
    assert all(found)


def test_a_batch_cut_short_is_trained_again(tmp_path: Path) -> None:
    assert all(trust.truncations(tmp_path, 3))


@pytest.mark.parametrize(
    "names",
    [
        ("another batch's content", "another program's content", "two batches swapped", "a stray file"),
        pytest.param(tuple(EXCHANGES), marks=pytest.mark.long),
    ],
    ids=len,
)
def test_a_batch_that_is_replaced_is_seen_or_does_not_matter(tmp_path: Path, names: tuple[str, ...]) -> None:
    found = list(trust.exchanges(tmp_path, names))
    assert len(found) == len(names)
    assert all(found)


def test_labels_of_another_sweep_label_their_own_cells(tmp_path: Path) -> None:
    assert all(trust.other_labels(tmp_path))


def test_readings_and_findings_are_as_they_were_or_made_again(tmp_path: Path) -> None:
    found = list(trust.numbers(tmp_path, 200))
    assert len(found) == 2 * (200 + 6)
    assert all(found)


def test_all_damaged_batches_are_named_at_once(tmp_path: Path) -> None:
    what = packings(powers=(2.0, 3.0), seeds=range(2))
    whole = sweep(what, tmp_path / "store").load()
    sweep(packings(powers=(2.0,), seeds=(7,)), tmp_path / "store")
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
    ("how", "count"),
    [(signal.SIGKILL, 3), *(pytest.param(each, 4, marks=pytest.mark.long) for each in (15, 1, 2))],
    ids=str,
)
def test_killed_in_every_phase(tmp_path: Path, how: int, count: int) -> None:
    assert all(trust.kills(tmp_path, count, signal.Signals(how), seed=int(how)))
    assert all(trust.resumed(tmp_path))


@pytest.mark.long
def test_writers_lose_nothing_when_one_of_them_is_killed(tmp_path: Path) -> None:
    assert all(trust.writers(tmp_path, 1, 2))
    assert all(trust.writers(tmp_path, 2, 4, killed=1))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    assert all(trust.in_the_way(tmp_path, 2))


def test_a_full_disk_tears_nothing(tmp_path: Path) -> None:
    assert all(trust.full(tmp_path / "cells", [40_000]))
    assert all(trust.full_page(tmp_path / "page", [8192]))


@pytest.mark.long
def test_a_full_disk_tears_nothing_at_any_file(tmp_path: Path) -> None:
    assert all(trust.full(tmp_path / "cells", range(0, 120_000, 20_000)))
    assert all(trust.full_page(tmp_path / "page", range(0, 40_000, 4096)))


def test_a_full_disk_is_said_without_a_mount_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert all(trust.full(tmp_path / "cells", [20_000]))


def test_a_pool_that_vanishes_is_not_made_again(tmp_path: Path) -> None:
    assert all(trust.vanished(tmp_path, [{"batch": 2}], ["moved"]))


@pytest.mark.long
def test_a_pool_that_vanishes_at_any_instant_is_not_made_again(tmp_path: Path) -> None:
    assert all(trust.vanished(tmp_path))


def test_what_may_not_be_read_is_said() -> None:
    found = list(trust.closed())
    assert len(found) == 7
    assert all(found)


@pytest.mark.long
def test_a_disk_that_cannot_be_written_can_be_read(tmp_path: Path) -> None:
    assert all(trust.read_only(tmp_path))


@pytest.mark.long
def test_a_rename_that_fails(tmp_path: Path) -> None:
    found = list(trust.renames(tmp_path, [errno.ESTALE, errno.EEXIST]))
    assert len(found) == 8
    assert all(found)


@pytest.mark.long
def test_the_clock_has_no_say(tmp_path: Path) -> None:
    assert all(trust.clocks(tmp_path))


def test_only_provenance_asks_for_the_time() -> None:
    asks = re.compile(r"time\.time\b|datetime|localtime|st_[acm]time")
    package = Path(trust.__file__).parents[2] / "toymodels"
    assert {path.name for path in package.rglob("*.py") if asks.search(path.read_text())} == {"provenance.py"}


def test_a_cell_that_diverges_leaves_its_neighbours_alone() -> None:
    found = list(trust.neighbours())
    assert len(found) == 3
    assert all(found)


@pytest.mark.parametrize("name", ["pool.json", "views/sweep.json", "batch"])
def test_what_a_newer_version_wrote_is_neither_read_nor_replaced(tmp_path: Path, name: str) -> None:
    sweep(trust.SMALL, tmp_path)
    path = tmp_path / name
    if name == "pool.json":
        path.write_text('{"layout": 2}')
    elif name == "batch":
        path = next(tmp_path.rglob("*.zarr.zip"))
        with zipfile.ZipFile(path) as zipped:
            entries = {each: zipped.read(each) for each in zipped.namelist()}
        about = json.loads(entries["zarr.json"])
        about["attributes"].pop("seal")
        about["attributes"] |= {"format": 2}
        about["attributes"] |= {"seal": seal(about["attributes"])}
        with zipfile.ZipFile(path, "w") as zipped:
            for each, content in (entries | {"zarr.json": json.dumps(about)}).items():
                zipped.writestr(each, content)
    else:
        data = json.loads(path.read_text()) | {"format": 2}
        del data["seal"]
        path.write_text(json.dumps(data | {"seal": seal(data)}))
    before = path.read_bytes()
    for call in (lambda: open(tmp_path), lambda: sweep(trust.SMALL, tmp_path), lambda: sweep(trust.MORE, tmp_path)):
        with pytest.raises(StoreError, match="newer version"):
            call()
    assert path.read_bytes() == before


def test_a_damaged_mark_says_what_it_should_read(tmp_path: Path) -> None:
    sweep(trust.SMALL, tmp_path)
    (tmp_path / "pool.json").write_text("")
    with pytest.raises(StoreError, match=r'should read {"layout": 1}'):
        open(tmp_path)
    (tmp_path / "pool.json").write_text('{"layout": 1}')
    assert same(open(tmp_path).load(), sweep(trust.SMALL).load())


def test_a_full_disk_ends_the_command_line_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with disks.disk(tmp_path / "disk") as made:
        command = ["run", disks.PAGE, "--runs", str(made.path / "runs"), "--figures", str(made.path / "figures")]
        with made.with_room(4096), pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
        main(command)
        assert (made.path / "figures" / "losses.png").exists()


@pytest.mark.long
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
    what = config.to_dict(PACKING)
    assert config.from_dict(what) == PACKING


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
