"""When something is wrong with the input, the page, the machine or the folder: one line, never silence."""

import importlib
import json
import re
import shutil
import sys
from pathlib import Path

import jax
import pytest

from tests.test_cli import TOY, call, toy  # noqa: F401  (fixtures)
from toymodels import lab
from toymodels.store import Pool

SWEEPS = importlib.import_module("toymodels.sweep")  # the package has a function of this name

BROKEN = TOY.replace(
    "experiment = Experiment(",
    """def broken(packed: Swept) -> Figure:
    raise RuntimeError("[/b] of no use")


def nothing(packed: Swept) -> Figure:
    pass


def odd(final: xr.Dataset) -> Iterator[Finding]:
    yield 1 / 0


def bare(final: xr.Dataset) -> Iterator[Finding]:
    yield Finding("bare", "least loss", best(final.loss), 0.1, ours("a bare number"), "best of k")


experiment = Experiment(""",
).replace("[losses], [lowest]", "[broken, nothing, losses], [odd, bare, lowest]")

PAIR = TOY.replace(
    '{"packed": packings()}', '{"packed": packings(), "few": Sweep(PACKING, [Axis("steps", "steps", [20])])}'
).replace(
    "from tests.cases import packings", "from tests.cases import PACKING, packings\nfrom toymodels import Axis, Sweep"
)


def one_line(outcome, code: int, *said: str) -> None:
    assert (outcome.code, outcome.err.count("\n")) == (code, 1), outcome.err
    for words in said:
        assert words in outcome.err


@pytest.mark.parametrize("beside", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_figure_and_a_finding_that_fail_cost_a_line_each(toy: Path, call, beside: bool) -> None:  # noqa: F811
    (toy / "broken.py").write_text(BROKEN)
    for _ in range(2):  # they are tried again, and told again
        done = call("run", "broken.py", *(["toy.py"] if beside else []), "seed=0:2")
        assert done.code == 1
        figure, empty, finding, bare = done.err.splitlines()
        line = BROKEN.splitlines().index('    raise RuntimeError("[/b] of no use")') + 1
        assert figure.endswith(
            f"figure broken cannot be drawn with these settings: broken.py:{line}: RuntimeError: [/b] of no use"
        )
        assert re.search(r": broken.py:\d+: nothing returns NoneType, and should return a Figure", empty)
        assert "findings of odd cannot be judged" in finding
        assert "ZeroDivisionError" in finding
        assert "findings of bare cannot be judged" in bare
        assert "least loss" in done.out
    folder = toy / "figures/broken/seed=0:2"
    assert (folder / "losses.png").exists()
    written = json.loads((folder / "findings.json").read_text())
    assert [each["id"] for each in written["findings"]] == ["lowest"]
    assert len(written["failed"]) == 2
    assert "findings of odd cannot be judged" in (folder / "findings.md").read_text()
    one_line(call("figure", "broken.py", "broken", "seed=0:2"), 1, "figure broken")
    (toy / "broken.py").write_text(BROKEN.replace("ax.plot(", "ax.plot[1]("))
    one_line(call("figure", "broken.py", "losses", "seed=0:2"), 1, "losses.png is older", "TypeError")
    verdicts = call("verdicts", "toy.py", "broken.py")
    assert "not run, or not wholly" in verdicts.out


def test_a_reading_that_fails_is_computed_once(toy: Path) -> None:  # noqa: F811
    text = TOY.replace("return xr.Dataset({", "calls.append(1)\n    return 1 / len(calls[1:]) * xr.Dataset({")
    (toy / "reads.py").write_text("calls = []\n" + text)
    study, failed = lab.run("reads.py"), []
    assert list(study.write_figures(failed=failed)) == study.verdicts(failed) == []
    assert [each.what for each in failed] == ["figure losses cannot be drawn", "findings of lowest cannot be judged"]
    assert len(sys.modules["experiment_reads"].calls) == 1


def test_what_an_override_leaves_as_it_is_is_said(toy: Path, call) -> None:  # noqa: F811
    (toy / "pair.py").write_text(PAIR)
    done = call("run", "pair.py", "--dry-run", "power=2", "steps=50", "problem.d=4", "seed=1")
    assert done.code == 0, done.err
    assert "pair: power=2 changes packed; not few (it has no power)\n" in done.out
    assert "problem.d=4 changes" not in done.out
    assert "steps=50 changes" not in done.out
    swept = call("run", "pair.py", "--dry-run", "packed.problem=Packing(7, 3)", "few.steps=20")
    assert "few.steps=20 changes nothing; not few (it has this value)" in swept.out


@pytest.mark.parametrize(
    "words",
    [
        ("power=2", "power=3"),
        ("power=2", "problem.power=3"),
        ("packed.power=2", "power=3"),
        ("power=2", "power=2"),
        ("optimizer.lr=1", "optimizer=Sgd(2)"),
    ],
)
def test_what_is_set_twice_is_refused(toy: Path, call, words: tuple[str, str]) -> None:  # noqa: F811
    one_line(call("run", "toy.py", "--dry-run", *words), 2, *words, "write it once")


def test_special_after_general_is_not_twice(toy: Path, call) -> None:  # noqa: F811
    (toy / "pair.py").write_text(PAIR)
    assert (
        call("run", "pair.py", "--dry-run", "problem.d=4", "few.problem.d=5", "optimizer=Sgd(2)", "optimizer.lr=1").code
        == 0
    )


def test_another_question_has_a_folder_of_its_own(toy: Path, call) -> None:  # noqa: F811
    assert call("run", "toy.py", "power=2.0").code == 0
    assert [path.parent.name for path in toy.rglob("losses.png")] == ["power=2.0"]
    assert Pool(toy / "runs").views() == ["toy/power=2.0/packed"]
    one_line(call("figure", "toy.py"), 2, "4 of 8 cells are not stored", "with overrides", "(stored: power=2.0)")
    assert call("figure", "toy.py", "power=2.0").code == 0
    assert call("run", "toy.py", "seed=0:4", "problem.n=6", "--no-figures").code == 0  # as they are anyway
    assert Pool(toy / "runs").views() == ["toy/packed", "toy/power=2.0/packed"]
    assert lab.study("toy.py", f"seed={','.join(map(str, range(0, 80, 2)))}").prefix.startswith("toy/asked-")


def test_order_and_spelling_do_not_make_another_question(toy: Path) -> None:  # noqa: F811
    spelled = [["seed=0:2", "power=2"], ["--power=2", "seed=0, 1"], ["power = 2", "seed=[0,1]"]]
    assert {lab.study("toy.py", *words).prefix for words in spelled} == {"toy/power=2,seed=0:2"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "toy.py", "--shard", "²/³"], "0 <= I < N"),
        (["run", "toy.py", "--cores", "100000"], "this machine has"),
        (["run", "toy.py", "problem.n=300000000", "problem.d=2000"], "GB of memory or more"),
        (["run", "toy.py", "problem.n=2000000000"], "more than this machine's memory holds"),
        (["run", "toy.py", f"problem.n={'9' * 5000}"], "999..."),
        (["run", "toy.py", "problem.n=[/b]"], "[/b]"),
        (
            ["run", "intro", "problem.model=Placed(Tied(2),[[1,2],[3,4]],[0,0])"],
            "W of shape (2, 2): the data have 5 features",
        ),
        (["run", "toy.py", "\x1b[31m=1"], "\\x1b[31m"),
        (["verdicts", "nothing", "--out", "new/table.md"], "no such experiment"),
    ],
)
def test_input_that_cannot_be_is_one_line_and_writes_nothing(toy: Path, call, words: list[str], said: str) -> None:  # noqa: F811
    before = sorted(toy.rglob("*"))
    outcome = call(*words)
    one_line(outcome, 2, said)
    assert len(outcome.err) < 600
    assert sorted(toy.rglob("*")) == before


def test_a_scale_that_is_not_stated_is_said(toy: Path, call) -> None:  # noqa: F811
    assert "toy states no scale full: its default is taken" in call("run", "toy.py", "--scale", "full", "--dry-run").out
    assert "states no scale" not in call("run", "toy.py", "--scale", "tiny", "--dry-run").out


def test_a_folder_may_be_called_anything(toy: Path, call) -> None:  # noqa: F811
    done = call("run", "toy.py", "--scale", "tiny", "--figures", "fig[/b]s :smile:")
    assert done.code == 0, done.err
    assert "drew fig[/b]s :smile:/losses.png\n" in done.out


def test_an_experiment_that_cannot_be_loaded_is_a_line_of_the_list(toy: Path, call) -> None:  # noqa: F811
    (toy / "experiments").mkdir()
    (toy / "experiments/bad.py").write_text("\nraise SystemExit('[/b]')")
    (toy / "experiments/toy.py").write_text(TOY)
    done = call("list")
    assert (done.code, done.err) == (0, "")
    assert "cannot be loaded (line 2, SystemExit" in " ".join(done.out.split())
    assert "What?" in done.out


def test_an_experiment_may_import_what_lies_beside_it(toy: Path, call, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(sys, "path", [*sys.path])
    (toy / "lies_beside.py").write_text("QUESTION = 'Which?'\n")
    (toy / "toy.py").write_text(TOY + "\nfrom lies_beside import QUESTION\n")
    assert call("run", "toy.py", "--scale", "tiny", "--dry-run").code == 0


def test_training_that_fails_is_one_line(toy: Path, call, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def fails(*arguments):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\n  and more")

    monkeypatch.setattr(SWEEPS, "trained_batch", fails)
    one_line(call("run", "toy.py"), 1, "Out of memory allocating 9 bytes", "finished batches are kept")


def test_a_folder_that_is_emptied_in_the_middle_is_not_taken_for_done(toy: Path, call, monkeypatch) -> None:  # noqa: F811
    add = Pool.add

    def lost(self: Pool, batch) -> None:
        add(self, batch)
        shutil.rmtree(self.path)

    monkeypatch.setattr(Pool, "add", lost)
    one_line(call("run", "toy.py", "--no-figures"), 1, "the pool is no longer here")
    monkeypatch.setattr(Pool, "add", add)
    assert call("run", "toy.py", "--no-figures").code == 0


def test_a_folder_that_can_no_longer_be_written_is_one_line(toy: Path, call, monkeypatch) -> None:  # noqa: F811
    train = SWEEPS.trained_batch

    def blocked(*arguments):
        shutil.rmtree(toy / "runs/cells", ignore_errors=True)
        (toy / "runs/cells").write_text("a file is in the way")
        return train(*arguments)

    monkeypatch.setattr(SWEEPS, "trained_batch", blocked)
    one_line(call("run", "toy.py"), 1, "cannot write here")


def test_what_nobody_foresaw_is_one_line(toy: Path, call, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def slip(*arguments, **more):
        raise KeyError("slip")

    monkeypatch.setattr(lab, "study", slip)
    one_line(call("show", "toy.py"), 1, "KeyError: 'slip'", "TOYMODELS_TRACEBACK=1")
    monkeypatch.setenv("TOYMODELS_TRACEBACK", "1")
    with pytest.raises(KeyError):
        call("show", "toy.py")


@pytest.mark.parametrize(
    "name",
    [
        "intro",
        *(pytest.param(each, marks=pytest.mark.long) for each in ("losses", "correlated", "hysteresis", "tegum")),
    ],
)
def test_no_more_is_written_than_was_promised(tmp_path: Path, name: str) -> None:
    study = lab.study(name, scale="tiny", runs=tmp_path)
    plans = study.plans()
    promised = sum(plan.bytes for plan in plans.values())
    study.train(plans=plans)
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert written <= promised <= 3 * written
