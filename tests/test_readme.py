"""The README's code runs when pasted, each block by itself; the tutorial's from top to bottom."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
CELLS = re.findall(r"```\{code-cell\}\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), re.S)


def ran(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.chdir(tmp_path)
    (text,) = (block for block in BLOCKS if part in block)
    names: dict[str, object] = {"__name__": "pasted"}
    exec(compile(text, "README.md", "exec"), names)
    return names


def test_every_block_is_tried() -> None:
    tried = ["class Huber", "class Signed", "class Mlp", "class Thomson", "experiment = Experiment", "tegum_factors("]
    left = [block for block in BLOCKS if not any(part in block for part in tried)]
    assert len(left) == 1  # trains a whole experiment
    assert "lab.run" in left[0]


@pytest.mark.parametrize("part", ["class Signed", "class Mlp"])
def test_parts_of_ones_own_train(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = ran(part, tmp_path, monkeypatch)["trained"]
    assert trained.objective[-1] < 0.9 * trained.objective[0]


def test_a_loss_of_ones_own_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ran("class Huber", tmp_path, monkeypatch)["data"].sizes["delta"] == 2


def test_a_problem_of_ones_own_finds_the_octahedron(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least energy of six charges is 9.985281374. Wales & Ulker 2006."""
    assert float(ran("class Thomson", tmp_path, monkeypatch)["trained"].objective[-1]) == pytest.approx(
        9.98528, abs=1e-3
    )


def test_the_page_of_an_experiment_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = ran("experiment = Experiment", tmp_path, monkeypatch)["experiment"]
    assert len(experiment.sweeps["seeds"].runs()) == 8


def test_the_notebook_names_a_geometry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    data = ran("tegum_factors(", tmp_path, monkeypatch)["data"]
    assert np.isfinite(data.objective).all()
    assert capsys.readouterr().out.strip()


def test_the_tutorial_goes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the documentation shows as run."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "pasted"}
    for cell in CELLS:
        exec(compile(cell, "tutorial.md", "exec"), names)
    assert len(CELLS) > 5
    assert str(names["found"].outcome) == "holds"  # type: ignore[attr-defined]
