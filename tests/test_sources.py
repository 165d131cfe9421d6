"""What a class refers to is part of what it is."""

import importlib.util
import sys
import types
from pathlib import Path

import jax.numpy as jnp
import pytest

from toymodels import Supervised, config, sources, sweep, train
from toymodels.config import config as make
from toymodels.config import digest
from toymodels.data import Sparse
from toymodels.models import Tied


def addressed(loss: object) -> str:
    return digest(Supervised(Sparse(3), Tied(2), loss), 1)


def scaled(factor: float) -> type:
    @make
    class Scaled:
        def __call__(self, prediction, target):
            return factor * jnp.sum((prediction - target) ** 2)

    return Scaled


def test_what_a_class_encloses() -> None:
    assert addressed(scaled(1.0)()) == addressed(scaled(1.0)())
    assert addressed(scaled(1.0)()) != addressed(scaled(100.0)())


@pytest.mark.parametrize("body", ["jnp.max((prediction - target) ** 2)", "jnp.sum((prediction - target) ** 4)"])
def test_code_without_a_source(body: str) -> None:
    def typed(body: str) -> object:
        scope = {"config": make, "jnp": jnp, "__name__": "notebook"}
        text = f"@config\nclass Mine:\n    def __call__(self, prediction, target):\n        return {body}"
        exec(text, scope)
        return scope["Mine"]()

    assert addressed(typed(body)) == addressed(typed(body))
    assert addressed(typed(body)) != addressed(typed("jnp.sum((prediction - target) ** 2)"))


@pytest.mark.parametrize("way", ["import helper\n", "from helper import rho\n"])
def test_a_helper_in_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    call = "helper.rho" if way.startswith("import") else "rho"
    (tmp_path / "mine.py").write_text(
        f"from toymodels.config import config\nimport jax.numpy as jnp\n{way}\n\n@config\nclass Mine:\n"
        f"    def __call__(self, prediction, target):\n        return {call}(jnp.sum((prediction - target) ** 2))\n"
    )
    found = []
    for factor in (1, 1000):
        (tmp_path / "helper.py").write_text(f"def rho(x):\n    return {factor} * x\n")
        for name in ("mine", "helper"):
            sys.modules.pop(name, None)
        sources._definitions.cache_clear()
        found.append(addressed(__import__("mine").Mine()))
    assert found[0] != found[1]


def test_where_a_file_lies_is_not_what_it_says(tmp_path: Path) -> None:
    text = "from pathlib import Path\n\n\ndef beside(x):\n    return Path(__file__).parent / x, __spec__\n"
    found = []
    for folder in ("here", "there"):
        file = tmp_path / folder / "mine.py"
        file.parent.mkdir()
        file.write_text(text)
        spec = importlib.util.spec_from_file_location("mine", file)
        module = importlib.util.module_from_spec(spec)
        sys.modules["mine"] = module
        spec.loader.exec_module(module)
        found.append(sources.code(module.beside))
    del sys.modules["mine"]
    assert found[0] == found[1]


def test_a_version_stands_for_what_a_function_is() -> None:
    def reading(inner: int, version: int) -> str:
        @sources.versioned(version)
        def trained() -> int:
            return inner

        def made() -> int:
            return trained()

        return sources.code(made)

    assert reading(1, 1) == reading(2, 1) != reading(1, 2)
    assert sources.code(sweep) != sources.code(train)


def test_the_librarys_own_code_has_a_version_instead() -> None:
    assert not sources.is_own("toymodels")
    assert not sources.is_own("numpy")
    assert not sources.is_own("math")
    assert sources.is_own("tests")
    assert isinstance(config, types.ModuleType)
