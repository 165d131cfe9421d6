"""The command line as it is used: exit codes, one sentence for an error, and every experiment drawn at tiny scale."""

import json
import re
import shutil
import sys
from pathlib import Path

import matplotlib.image
import pytest

import toymodels
from tests.cases import PACKING
from toymodels import cli, open
from toymodels.engine.plan import group_digest
from toymodels.lab import experiment_files
from toymodels.store import Pool

EXPERIMENTS = [path.stem for path in experiment_files()]

TOY = '''
from collections.abc import Iterator

import xarray as xr
from matplotlib.figure import Figure

from tests.cases import packings
from toymodels import draw
from toymodels.estimates import best
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, Finding, ours


def final(packed: Swept) -> xr.Dataset:
    return xr.Dataset({"loss": packed.data.objective.isel(step=-1)})


def losses(packed: Swept, final: xr.Dataset) -> Figure:
    """Final losses."""
    figure, ax = draw.panels()
    ax.plot(final.loss.min("seed"))
    return figure


def lowest(final: xr.Dataset) -> Iterator[Finding]:
    yield Finding("lowest", "least loss", best(final.loss), AtLeast(0), ours("a sum of powers"), "best of k")


experiment = Experiment(
    "What?", "Nobody", {"packed": packings()}, [final], [losses], [lowest], {"tiny": {"seed": [0, 1]}}
)
'''


class Outcome:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "toy.py").write_text(TOY)
    return tmp_path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]):
    def run(*words: object) -> Outcome:
        try:
            cli.main([str(word) for word in words])
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Outcome(code, *capsys.readouterr())

    return run


def test_profile_says_where_the_time_goes(toy: Path, call) -> None:
    done = call("run", "toy.py", "--profile", "--no-figures")
    assert done.code == 0, done.err
    for word in ("compile", "train", "store", "us/cell/step", "peak memory", "time: plan"):
        assert word in " ".join(done.out.split())


def test_cores_are_checked(toy: Path, call) -> None:
    done = call("run", "toy.py", "--cores", 0)
    assert done.code == 2
    assert "at least one core" in done.err
    assert not (toy / "runs").exists()


def test_question_to_picture(toy: Path, call) -> None:
    first = call("run", "toy.py")
    assert first.code == 0, first.err
    assert (toy / "figures/toy/losses.png").exists()
    caption = (toy / "figures/toy/losses.md").read_text()
    assert "Final losses." in caption
    assert "Packing(n=6, d=3, power=power)" in caption
    assert "power {2, 3}" in caption
    assert "lowest" in (toy / "figures/toy/findings.md").read_text()

    (batch,) = (toy / "runs").rglob("*.zarr.zip")
    before = batch.stat().st_mtime_ns
    again = call("run", "toy.py")
    assert "nothing to train" in again.out
    assert "up to date" in again.out
    assert batch.stat().st_mtime_ns == before

    fewer = call("run", "toy.py", "seed=0:2")
    assert "nothing to train" in fewer.out
    assert "seed {0, 1}" in (toy / "figures/toy/seed=0:2/losses.md").read_text()
    assert (toy / "figures/toy/losses.md").read_text() == caption
    assert "up to date" in call("run", "toy.py").out

    shutil.rmtree(toy / "figures")
    assert call("figure", "toy.py", "losses", "--vector", "pdf").code == 0
    assert (toy / "figures/toy/losses.png").exists()
    assert (toy / "figures/toy/losses.pdf").read_bytes().startswith(b"%PDF")

    same = call("cell", "toy.py", "packed", "power=3", "seed=2")
    assert same.out.count("same bits") == 6
    assert "ok" in call("show", "toy.py").out


def test_more_seeds_train_only_what_is_new(toy: Path, call) -> None:
    call("run", "toy.py", "--no-figures")
    dry = call("run", "toy.py", "seed=0:6", "--dry-run")
    assert re.search(r"packed\s+12\s+8\s+1", dry.out)
    assert call("run", "toy.py", "--seed=0:6", "--no-figures").code == 0
    assert len(toymodels.open(toy / "runs/toy/seed=0:6/packed").seed) == 6
    assert len(toymodels.open(toy / "runs/toy/packed").seed) == 4
    assert len(Pool(toy / "runs").cells([group_digest(PACKING)])) == 12


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "nothing"], "no such experiment"),
        (["run", "missing.py"], "no such experiment file"),
        (["run", "toy.py", "problem.powr=3"], "did you mean power"),
        (["run", "toy.py", "power=0.5"], "needs power >= 1"),
        (["run", "toy.py", "optimizer.lr=-1"], "a learning rate is above 0"),
        (["run", "toy.py", "optimizer=Sgdd(0.1)"], "no config is called Sgdd"),
        (["run", "toy.py", "steps=many"], "expected an integer"),
        (["run", "toy.py", "steps=0"], "at least 1"),
        (["run", "toy.py", "problem=3"], "expected a Problem"),
        (["run", "toy.py", "--bogus"], "no such option"),
        (["run", "toy.py", "--shard", "3/3"], "0 <= I < N"),
        (["run", "toy.py", "--only", "x"], "no such sweep"),
        (["run", "toy.py", "--scale", "huge"], "invalid choice"),
        (["run", "toy.py", "--runs", "toy.py"], "toy.py"),
        (["figure", "toy.py"], "are not stored"),
        (["figure", "toy.py", "x"], "no such figure"),
        (["cell", "toy.py", "packed", "power=3"], "not on the axis"),
        (["cell", "toy.py", "packed", "power=3", "seed=2"], "not stored"),
        (["verdicts", "nothing"], "no such experiment"),
        (["verdicts", "--scale", "huge"], "invalid choice"),
        (["nonsense"], "invalid choice"),
    ],
)
def test_bad_input_is_one_sentence(toy: Path, call, words: list[str], said: str) -> None:
    before = sorted(toy.rglob("*"))
    outcome = call(*words)
    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.err
    assert sorted(toy.rglob("*")) == before


def test_a_corrupt_store_is_one_sentence_and_trained_again(toy: Path, call) -> None:
    call("run", "toy.py", "--no-figures")
    (batch,) = (toy / "runs").rglob("*.zarr.zip")
    whole = open(toy / "runs/toy/packed").load()
    batch.write_bytes(b"garbage")
    for words in (["figure", "toy.py"], ["show", "toy.py"]):
        outcome = call(*words)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert batch.name in outcome.err
    assert batch.read_bytes() == b"garbage"
    again = call("run", "toy.py")
    assert again.code == 0, again.err
    assert "1 damaged batch" in again.out
    assert open(toy / "runs/toy/packed").load().equals(whole)
    assert [path.read_bytes() for path in (toy / "runs").rglob("*.damaged")] == [b"garbage"]


def test_damaged_labels_are_one_sentence(toy: Path, call) -> None:
    call("run", "toy.py", "--no-figures")
    (toy / "runs/views/toy/packed.json").write_text('{"axes": [1], "digests": [], "about": {}}')
    outcome = call("show", "toy.py")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("text", ["import nosuchmodule", "def ("])
def test_a_file_that_cannot_be_loaded_is_one_sentence(toy: Path, call, text: str) -> None:
    (toy / "bad.py").write_text(text)
    outcome = call("run", "bad.py")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "bad.py" in outcome.err


def test_verdicts_come_from_the_stores(toy: Path, call) -> None:
    """Before anything is run there are none; then they are what the findings say: screen, file, JSON."""
    (toy / "other.py").write_text(TOY.replace("packings()", "packings(seeds=[9])"))
    assert "not run, or not wholly: toy" in call("verdicts", "toy.py").out
    call("run", "toy.py", "--no-figures")
    outcome = call("verdicts", "toy.py", "other.py", "--out", "docs/verdicts.md")
    assert outcome.code == 0
    assert "best-of-k findings: 1 hold; 0 reports; not run, or not wholly: other" in " ".join(outcome.out.split())
    table = (toy / "docs/verdicts.md").read_text()
    assert "| lowest | least loss |" in table
    (found,) = json.loads(call("verdicts", "toy.py", "--json").out)
    assert (found["experiment"], found["id"], found["outcome"], found["kind"]) == (
        "toy",
        "lowest",
        "holds",
        "best of k",
    )


def test_verdicts_are_judged_anew_only_where_they_are_not_current(toy: Path, call) -> None:
    call("run", "toy.py")
    written = toy / "figures/toy/findings.json"
    before = written.stat().st_mtime_ns
    shutil.rmtree(toy / "runs/readings")
    call("verdicts", "toy.py")
    assert written.stat().st_mtime_ns == before
    assert not (toy / "runs/readings").exists()
    (toy / "toy.py").write_text(TOY.replace("AtLeast(0)", "AtLeast(1e9)"))
    assert "1 fail" in call("verdicts", "toy.py").out
    assert written.stat().st_mtime_ns != before


def test_verdicts_repeat_on_fresh_seeds(toy: Path, call) -> None:
    outcome = call("replicate", "toy.py", "--offset", 50, "--out", "docs/replication.md")
    assert outcome.code == 0, outcome.err
    assert "best of k: 0 of 1 change (0.0%), 0 shift" in outcome.out
    assert "| lowest | best of k |" in (toy / "docs/replication.md").read_text()
    assert toymodels.open(toy / "runs/offset-50/toy/packed").seed.values.tolist() == [50, 51, 52, 53]
    assert "offset" in call("replicate", "toy.py", "--offset", 0).err


def test_several_experiments_share_a_command_and_their_cells(toy: Path, call) -> None:
    (toy / "other.py").write_text(TOY)
    done = call("run", "toy.py", "other.py", "--no-figures")
    assert done.code == 0, done.err
    assert len(list((toy / "runs").rglob("*.zarr.zip"))) == 1
    assert sorted(Pool(toy / "runs").views()) == ["other/packed", "toy/packed"]
    assert call("run", "toy.py", "other.py", "--figures", "x").code == 2
    assert call("run", "seed=3").code == 2


def test_an_old_store_is_moved_by_one_command(toy: Path, call) -> None:
    call("run", "toy.py", "--no-figures")
    old = toy / "runs/toy/packed"
    old.mkdir(parents=True)
    (batch,) = (toy / "runs").rglob("*.zarr.zip")
    batch.rename(old / "aaaaaaaa-b.zarr.zip")
    (toy / "runs/views/toy/packed.json").rename(old / "sweep.json")
    (toy / "runs/pool.json").unlink()
    refused = call("run", "toy.py")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "toymodels migrate" in refused.err
    assert "1 sweeps moved" in call("migrate").out
    assert "nothing to train" in call("run", "toy.py").out


def test_help_reads(call) -> None:
    for words in (
        ["--help"],
        ["run", "--help"],
        ["figure", "--help"],
        ["cell", "--help"],
        ["show", "--help"],
        ["verdicts", "--help"],
        ["replicate", "--help"],
        ["migrate", "--help"],
    ):
        outcome = call(*words)
        assert outcome.code == 0
        assert max(map(len, outcome.out.splitlines())) < 130
    assert "PowerError(4)" in call("run", "--help").out


@pytest.mark.parametrize("words", [["run", "toy.py"], ["figure", "toy.py", "losses"], ["report", "toy.py"]])
def test_help_after_an_experiment_tells_its_fields(toy: Path, call, words: list[str]) -> None:
    told = call(*words, "--help")
    assert told.code == 0, told.err
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    assert "axis power: 2, 3" in lines
    assert "problem.power = 2 exponent of the loss, at least 1" in lines
    assert "steps = 100 training steps" in lines


def test_help_after_no_experiment_is_one_sentence(toy: Path, call) -> None:
    told = call("run", "nowhere", "--help")
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert "no such experiment" in told.err


QUICK = ("intro",)
LONG = (
    "correlated",
    "geometric_learning",
    "learning_coefficients",
    "multicomponent",
    "phase_diagram",
    "polygons",
    "superposition",
    "tegum",
)
MARKS = dict.fromkeys(QUICK, ()) | dict.fromkeys(LONG, (pytest.mark.long,))
WHOLE = [pytest.param(name, marks=MARKS.get(name, (pytest.mark.slow,))) for name in EXPERIMENTS]


@pytest.mark.parametrize("name", WHOLE)
def test_every_experiment_draws_at_tiny_scale(tmp_path: Path, call, name: str) -> None:
    """The whole path on every experiment of the repository; a second time it trains nothing."""
    words = ("run", name, "--scale", "tiny", "--runs", tmp_path / "runs", "--figures", tmp_path / "figures")
    assert call(*words).code == 0
    drawn = sorted((tmp_path / "figures").glob("*.png"))
    assert drawn
    for path in drawn:
        pixels = matplotlib.image.imread(path)
        assert pixels.std() > 0.01, f"{path.name} is blank"
        assert path.with_suffix(".md").read_text().count("Sweep `") >= 1
    assert "nothing to train" in call(*words, "--dry-run").out
