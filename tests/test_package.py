"""The package's front door: quick to open, and the same names behind it in whatever order they are imported."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import toymodels

ROOT = Path(__file__).parent.parent

AFTER = """
import toymodels, toymodels.sweep, toymodels.train
for function in (train, sweep, toymodels.train, toymodels.sweep):
    assert type(function).__name__ == "function", function
assert Run is toymodels.Run and train is toymodels.train and sweep is toymodels.sweep
from toymodels.train import NUMERICS, Record, programs_compiled, train_batch
assert sys.modules["toymodels.train"].Run is Run and Record is toymodels.Record
"""


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", f"import sys\n{code}"], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "imports",
    [
        "from toymodels.train import Run\nfrom toymodels import sweep, train",
        "from toymodels import sweep, train\nfrom toymodels.train import Run",
        "import toymodels.sweep\nimport toymodels.train\nfrom toymodels import Run, train, sweep",
        "from toymodels.engine.batch import train_batch\nfrom toymodels import *",
    ],
)
def test_functions_and_submodules_of_one_name(imports: str) -> None:
    python(imports + AFTER)


def test_the_command_line_imports_nothing_large() -> None:
    """`--help` answers at once."""
    code = """
import contextlib, io, runpy
sys.argv = ["toymodels", "--help"]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    runpy.run_module("toymodels", run_name="__main__")
print([name for name in ("jax", "numpy", "scipy", "matplotlib", "xarray") if name in sys.modules])
"""
    assert python(code) == "[]\n"


def test_names() -> None:
    """All of them are there; a star import leaves Python's `open` alone; another name is refused as of any module."""
    assert set(toymodels.__all__) | {"open"} <= set(dir(toymodels))
    assert all(callable(getattr(toymodels, name)) for name in toymodels.__all__)
    assert "open" not in toymodels.__all__
    assert toymodels.open.__module__ == "toymodels.results"
    with pytest.raises(AttributeError, match="module 'toymodels' has no attribute 'gone'"):
        toymodels.gone
    with pytest.raises(AttributeError, match="has no attribute 'gone'"):
        sys.modules["toymodels.train"].gone


def test_experiments_and_findings_come_along(tmp_path: Path) -> None:
    """Another folder without any has those that come with the package, for the settings that they are of."""
    code = """
from toymodels import lab
from toymodels.failures import Missing
print([each["id"] for each in lab.study("intro").verdicts()])
try:
    lab.study("intro", "steps=77").verdicts()
except Missing as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    brought, missing = done.stdout.splitlines()
    kept = json.loads((ROOT / "figures" / "intro" / "findings.json").read_text())["findings"]
    assert brought == str([each["id"] for each in kept])
    assert "are not stored" in missing
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_wheel_works_in_an_empty_folder(tmp_path: Path) -> None:
    """Unpacked beside what it needs: it lists, trains, and tells the verdicts that it brings."""
    source, built, empty = (tmp_path / name for name in ("source", "built", "empty"))
    for folder in ("toymodels", "experiments", "figures"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(pip, check=True, capture_output=True)
    shutil.unpack_archive(next(tmp_path.glob("*.whl")), built, "zip")
    empty.mkdir()

    def tell(*words: str) -> str:
        start = f"import sys; sys.path.insert(0, {str(built)!r}); sys.argv = {['toymodels', *words]!r}"
        code = (
            f"{start}; import toymodels.__main__ as program; assert {str(built)!r} in program.__file__; program.main()"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=empty, capture_output=True, text=True)
        assert not done.returncode, done.stderr
        return done.stdout

    assert "phase_diagram" in tell("list")
    assert not list(empty.iterdir())
    assert any(f" {verdict} " in tell("claims", "A4") for verdict in ("supported", "refuted", "qualified", "undecided"))
    tell("run", "intro", "--scale", "tiny")
    assert list(empty.glob("figures/tiny/intro/*.png"))


def test_a_run_is_no_sweep_and_a_sweep_no_run() -> None:
    code = """
from toymodels import Packing, Run, Sweep, sweep, train
run = Run(Packing(3, 2))
for wrong in (lambda: sweep(run), lambda: train(Sweep(run))):
    try:
        wrong()
    except TypeError as error:
        print(error)
"""
    assert python(code).splitlines() == [
        "sweep trains a Sweep, and not Run: Sweep(run, axes), or train(run)",
        "train trains one Run, and not Sweep: sweep(...) trains a Sweep",
    ]


def test_version() -> None:
    told = subprocess.run([sys.executable, "-m", "toymodels", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"toymodels {toymodels.__version__}\n"
    assert toymodels.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (ROOT / "toymodels" / "py.typed").exists()
