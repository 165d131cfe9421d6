"""What a shell is offered at TAB."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toymodels import cli, completion
from toymodels.experiment import experiment_files

ROOT = Path(__file__).parent.parent


def asked(line: str, into: Path) -> list[str]:
    """As the script of argcomplete asks."""
    shell = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(into),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run([sys.executable, "-m", "toymodels"], cwd=ROOT, env={**os.environ, **shell}, check=True)
    return [word.strip() for word in into.read_text().split("\n") if word.strip()]


def test_a_shell_is_answered(tmp_path: Path) -> None:
    assert set(asked("toymodels re", tmp_path / "verbs")) == {"replicate", "report"}
    assert asked("toymodels figure int", tmp_path / "experiments") == ["intro"]
    assert asked("toymodels cell intro a", tmp_path / "sweeps") == ["arrows"]


def test_nothing_happens_unless_a_shell_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(completion.ASKED, raising=False)
    completion.complete(cli._parser())


def test_every_argument_that_is_offered_is_there() -> None:
    dests = {action.dest for own in completion._verbs(cli._parser()) for action in own._actions}
    assert set(completion.OFFERED) <= dests


def test_sweeps_figures_labels_and_fields_are_those_of_what_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    named = {"parsed_args": argparse.Namespace(experiment="intro", sweep="arrows", words=["intro"], prefix="")}
    assert {path.stem for path in experiment_files()} <= set(completion.OFFERED["experiments"](**named))
    assert completion.OFFERED["sweep"](**named) == ["arrows"]
    assert {"geometry_by_sparsity", "optimizer.lr.peak="} <= set(completion.OFFERED["names"](**named))
    assert {"seed=0", "seed=7"} <= set(completion.OFFERED["labels"](**named))
    assert {"p=", "steps=", "tegum"} <= set(completion.OFFERED["words"](**named))


def test_of_what_cannot_be_loaded_nothing() -> None:
    named = {"parsed_args": argparse.Namespace(experiment="no_such_page", sweep="a")}
    assert completion.OFFERED["sweep"](**named) == completion.OFFERED["labels"](**named) == []
