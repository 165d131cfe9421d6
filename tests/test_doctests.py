"""Examples in the docstrings of modules, which the reference shows, give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "toymodels"
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name), verbose=False)
    assert (done.attempted > 0, done.failed) == (True, 0)


def test_there_are_examples_of_analysis_theory_and_parts() -> None:
    assert len(WITH_EXAMPLES) >= 20
    for part in ("analysis", "theory", "shapes"):
        assert any(f".{part}." in name for name in WITH_EXAMPLES)
