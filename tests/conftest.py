"""Test set-up: shapes in signatures are checked at run time, programs come from a persistent compilation cache."""

import os
import pathlib
import sys
from collections.abc import Iterator

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parent.parent / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

import tests.checker  # noqa: F401  (the hook finds it by name)

install_import_hook("toymodels", "tests.checker.checked")

settings.register_profile("toymodels", deadline=None, derandomize=True, max_examples=12, print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=200, print_blob=True)  # `make test-long`
settings.load_profile("toymodels")


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> Iterator[None]:
    """Figures that a test draws are closed after it, without importing what draws them."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def repelling(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the page of `tests.browser`, its sweeps trained; tests that write there remove it again."""
    from tests.browser import PAGE
    from toymodels import lab

    folder = tmp_path_factory.mktemp("repelling")
    (folder / "repelling.py").write_text(PAGE)
    lab.run(str(folder / "repelling.py"), runs=folder / "runs")
    return folder
