"""The command line as it is used: exit codes, one sentence for an error, and every experiment drawn at tiny scale."""

import re
import shutil
import sys
from pathlib import Path

import matplotlib.image
import pytest

import toymodels
from toymodels import cli
from toymodels.store import Store

EXPERIMENTS = [path.stem for path in cli.experiment_files()]

TOY = '''
from matplotlib.figure import Figure
from tests.cases import packings
from toymodels.experiment import Experiment, Finding, Scale, Swept


def losses(packed: Swept) -> Figure:
    """Final losses."""
    from matplotlib import pyplot
    figure, ax = pyplot.subplots()
    ax.plot(packed.data.objective.isel(step=-1).min("seed"))
    return figure


def lowest(packed: Swept) -> Finding:
    return Finding("lowest", f"{float(packed.data.objective.min()):.3g}", "0", None)


experiment = Experiment("What?", "Nobody", lambda scale: {"packed": packings()}, [losses], [lowest])
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

    (batch,) = (toy / "runs/toy/packed").glob("*.zarr.zip")
    before = batch.stat().st_mtime_ns
    again = call("run", "toy.py")
    assert "nothing to train" in again.out
    assert "up to date" in again.out
    assert batch.stat().st_mtime_ns == before

    fewer = call("run", "toy.py", "seed=0:2")
    assert "nothing to train" in fewer.out
    assert "seed {0, 1}" in (toy / "figures/toy/losses.md").read_text()
    assert "up to date" not in call("run", "toy.py").out

    shutil.rmtree(toy / "figures")
    assert call("figure", "toy.py", "losses").code == 0
    assert (toy / "figures/toy/losses.png").exists()

    same = call("cell", "toy.py", "packed", "power=3", "seed=2")
    assert same.out.count("same bits") == 2
    assert "ok" in call("show", "toy.py").out


def test_more_seeds_train_only_what_is_new(toy: Path, call) -> None:
    call("run", "toy.py", "--no-figures")
    dry = call("run", "toy.py", "seed=0:6", "--dry-run")
    assert re.search(r"packed\s+12\s+8\s+1", dry.out)
    assert call("run", "toy.py", "--seed=0:6", "--no-figures").code == 0
    assert len(Store(toy / "runs/toy/packed").index) == 12


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
        (["run", "toy.py", "problem=3"], "init and objective"),
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


def test_a_corrupt_store_is_one_sentence_and_kept(toy: Path, call) -> None:
    call("run", "toy.py", "--no-figures")
    (batch,) = (toy / "runs/toy/packed").glob("*.zarr.zip")
    batch.write_bytes(b"garbage")
    for words in (["run", "toy.py"], ["figure", "toy.py"], ["show", "toy.py"]):
        outcome = call(*words)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert batch.name in outcome.err
    assert batch.read_bytes() == b"garbage"


def test_damaged_labels_are_one_sentence(toy: Path, call) -> None:
    call("run", "toy.py", "--no-figures")
    (toy / "runs/toy/packed/sweep.json").write_text('{"axes": [1], "digests": [], "about": {}}')
    outcome = call("show", "toy.py")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("text", ["import nosuchmodule", "def ("])
def test_a_file_that_cannot_be_loaded_is_one_sentence(toy: Path, call, text: str) -> None:
    (toy / "bad.py").write_text(text)
    outcome = call("run", "bad.py")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "bad.py" in outcome.err


def test_verdicts_come_from_the_stores(toy: Path, call) -> None:
    """Before anything is run there are none; then they are what the findings say, on the screen and in the file."""
    (toy / "other.py").write_text(TOY)
    assert "not run, or not wholly: toy" in call("verdicts", "toy.py").out
    call("run", "toy.py", "--no-figures")
    outcome = call("verdicts", "toy.py", "other.py", "--out", "docs/verdicts.md")
    assert outcome.code == 0
    assert "0 of 0 numbers hold, 1 more are reported; not run, or not wholly: other" in outcome.out
    lowest = float(toymodels.open("runs/toy/packed").objective.min())
    assert f"| lowest | {lowest:.3g} | 0 |  |  |" in (toy / "docs/verdicts.md").read_text()


def test_help_reads(call) -> None:
    for words in (
        ["--help"],
        ["run", "--help"],
        ["figure", "--help"],
        ["cell", "--help"],
        ["show", "--help"],
        ["verdicts", "--help"],
    ):
        outcome = call(*words)
        assert outcome.code == 0
        assert max(map(len, outcome.out.splitlines())) < 130
    assert "PowerError(4)" in call("run", "--help").out


@pytest.mark.parametrize("name", EXPERIMENTS)
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
