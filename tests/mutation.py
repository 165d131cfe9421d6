"""Invert every criterion of every experiment, one at a time: does a test fail?

    python -m tests.mutation [EXPERIMENT ...] [--out docs/mutation.md]

A mutant is a page with one criterion turned round: at most becomes at least, above becomes below, rising becomes
falling, and everything else becomes its negation. The page's own tests run on it, within this process.
"""

import argparse
import ast
import contextlib
import importlib
import io
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.tables import publish
from toymodels.findings import FAILS, HOLDS, Outcome

ROOT = Path(__file__).parent.parent
TURNED = {"AtMost": "AtLeast", "Above": "Below", "Increasing": "Decreasing"}
TURNED |= {other: one for one, other in TURNED.items()}
NEGATED = ("Near", "Within", "Follows", "Is", "Somewhere")


class Not:
    """The negation of a criterion."""

    def __init__(self, criterion: Any) -> None:
        self.criterion = criterion

    def __str__(self) -> str:
        return f"not {self.criterion}"

    def decide(self, measured: Any) -> Outcome:
        found: Outcome = self.criterion.decide(measured)
        return FAILS if found == HOLDS else HOLDS if found == FAILS else found


class Mutant(NamedTuple):
    line: int
    criterion: str
    """As it is written."""
    tree: ast.Module


class _Turn(ast.NodeTransformer):
    """Turns the call of one criterion, by its place among them."""

    def __init__(self, place: int) -> None:
        self.place, self.seen = place, -1
        self.line, self.criterion = 0, ""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in TURNED or name in NEGATED:
            self.seen += 1
            if self.seen == self.place:
                self.line, self.criterion = node.lineno, ast.unparse(node)
                return self._turned(node, name)
        return self.generic_visit(node)

    def _turned(self, node: ast.Call, name: str) -> ast.AST:
        if name in NEGATED:
            return ast.Call(ast.Name("Not", ast.Load()), [node], [])
        return ast.Call(ast.Name(TURNED[name], ast.Load()), node.args, node.keywords)


def mutants(text: str) -> Iterator[Mutant]:
    """A page with each of its criteria turned round."""
    for place in range(1000):
        turn = _Turn(place)
        tree = turn.visit(ast.parse(text))
        if not turn.criterion:
            return
        names = [ast.alias(name) for name in sorted({*TURNED})]
        tree.body.insert(1, ast.ImportFrom("toymodels.findings", names, 0))
        tree.body.insert(1, ast.ImportFrom("tests.mutation", [ast.alias("Not")], 0))
        yield Mutant(turn.line, turn.criterion, ast.fix_missing_locations(tree))


def is_caught(name: str, tree: ast.Module) -> bool:
    """Whether the tests of a page fail on it."""
    path = ROOT / "experiments" / f"{name}.py"
    module = types.ModuleType(f"experiments.{name}")
    module.__file__ = str(path)
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    package = importlib.import_module("experiments")
    try:
        exec(compile(tree, str(path), "exec"), module.__dict__)
        setattr(package, name, module)
        return _fails(name)
    finally:
        if before is not None:
            sys.modules[module.__name__] = before
            setattr(package, name, before)


def _fails(name: str) -> bool:
    sys.modules.pop(f"tests.experiments.test_{name}", None)
    words = ["-x", "-q", "-n0", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=no", "-W", "ignore"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return pytest.main([*words[:2], *words[3:], str(ROOT / "tests" / "experiments" / f"test_{name}.py")]) != 0


def report(names: list[str]) -> Iterator[str]:
    """A table of Markdown: criteria of each page, how many are caught, and those that are not."""
    yield "# Mutation of the criteria\n"
    yield "`make mutation` makes this table: each criterion of each page is turned round, one at a time, and the page's"
    yield "tests run on planted results. *Caught*: a test fails. The tests of a page must pass as it is.\n"
    yield "| experiment | criteria | caught | not caught |\n|---|---|---|---|"
    total = caught = 0
    for name in names:
        text = (ROOT / "experiments" / f"{name}.py").read_text()
        if is_caught(name, ast.parse(text)):
            yield f"| {name} | | | its tests fail as it is |"
            continue
        found = [(each, is_caught(name, each.tree)) for each in mutants(text)]
        missed = [f"line {each.line}: `{each.criterion}`" for each, ok in found if not ok]
        total, caught = total + len(found), caught + len(found) - len(missed)
        yield f"| {name} | {len(found)} | {len(found) - len(missed)} | {'; '.join(missed)} |"
    yield f"| all | {total} | {caught} | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="EXPERIMENT")
    parser.add_argument("--out", type=Path, metavar="FILE")
    args = parser.parse_args()
    publish(report(args.names or sorted(path.stem for path in (ROOT / "experiments").glob("*.py"))), args.out)


if __name__ == "__main__":
    main()
