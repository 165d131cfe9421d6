"""Studies drawn and judged by a process of their own, beside the one that trains."""

import json
from pathlib import Path

import pytest

from tests.test_cli import TOY, call, toy  # noqa: F401  (fixtures)
from toymodels import lab
from toymodels.beside import Draughtsman


def drawn(folder: Path) -> tuple[bytes, list]:
    return (folder / "losses.png").read_bytes(), json.loads((folder / "findings.json").read_text())["findings"]


def test_several_experiments_are_drawn_and_judged_as_one_by_one(toy: Path, call) -> None:  # noqa: F811
    (toy / "other.py").write_text(TOY.replace("Final losses.", "Other losses."))
    done = call("run", "toy.py", "other.py", "seed=0:6")
    assert done.code == 0, done.err
    assert done.out.count("best-of-k findings: 1 hold") == 2
    assert "nothing to train" in done.out  # the second experiment asks for the cells of the first
    for name, said in (("toy", "Final losses."), ("other", "Other losses.")):
        folder = toy / "figures" / name / "seed=0:6"
        assert f"drew {folder.relative_to(toy)}/losses.png" in done.out
        told = (folder / "losses.md").read_text()
        assert said in told
        assert "seed 0 to 5" in told
        made = drawn(folder)
        (folder / "losses.png").unlink()
        assert call("run", f"{name}.py", "seed=0:6").code == 0
        assert drawn(folder) == made


def test_what_goes_wrong_is_raised_and_the_next_study_is_drawn(toy: Path) -> None:  # noqa: F811
    lab.run("toy.py", scale="tiny")
    with Draughtsman() as beside:
        beside.ask("toy.py", scale="full")
        beside.ask("toy.py", scale="tiny")
        with pytest.raises(lab.Missing, match="not stored"):
            beside.answer()
        drawn = beside.answer()
    assert [path.name for path in drawn.paths] == ["losses.png"]
    assert [each["id"] for each in drawn.findings] == ["lowest"]
    assert beside._process.exitcode == 0


def test_it_ends_with_whoever_asks(toy: Path) -> None:  # noqa: F811
    with pytest.raises(ZeroDivisionError), Draughtsman() as beside:
        beside.ask("toy.py", scale=1 / 0)
    assert not beside._process.is_alive()
    with Draughtsman() as beside:
        beside._process.kill()
        with pytest.raises(RuntimeError, match="the same command"):
            beside.answer()
