"""The package's front door: quick to open, and the same names behind it in whatever order they are imported."""

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


def test_version() -> None:
    assert toymodels.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (ROOT / "toymodels" / "py.typed").exists()
