"""Imports point one way, and the trainer knows no problem by name."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "toymodels"
LAYERS = [
    {"arrays", "bundled", "estimates", "files", "places", "screen", "sources", "stopping"},
    {"shapes", "findings", "index", "keys", "settings"},
    {"config", "analysis", "batches", "claims", "theory"},
    {"laws", "normalisers", "meanings"},
    {"data", "losses", "models", "optimizers"},
    {"hierarchies", "observations"},
    {"problems"},
    {"train", "provenance", "store", "draw"},
    {"engine", "results"},
    {"plan", "executors"},
    {"progress"},
    {"sweep"},
    {"export", "overrides", "readings"},
    {"experiment", "asked"},
    {"failures", "notebook"},
    {"lab"},
    {"replication", "beside", "ledger"},
    {"report", "tables", "completion"},
    {"verbs"},
    {"__init__", "cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports, by their first name below `toymodels`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "toymodels":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("toymodels."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("toymodels.")}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))
ENGINE = sorted((PACKAGE / "engine").glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in imports(path) & set(LEVEL):
        assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {other}"


def test_every_module_has_a_layer() -> None:
    assert {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES} == set(LEVEL)


@pytest.mark.parametrize("path", [*ENGINE, *(PACKAGE / f"{name}.py" for name in ("train", "sweep", "store"))], ids=str)
def test_core_knows_no_problem(path: Path) -> None:
    """Only what a problem is, never which."""
    allowed = {"from toymodels.problems import protocol", "from toymodels.problems.protocol import Problem"}
    lines = {line for line in path.read_text().splitlines() if "toymodels.problems" in line}
    assert lines <= allowed
    assert not imports(path) & {"data", "models", "losses"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_analysis_and_theory_stand_alone(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0]
    if own in ("shapes", "analysis", "theory"):
        assert imports(path) <= {own, "arrays", "estimates", "keys"} | ({"shapes"} if own != "shapes" else set())
