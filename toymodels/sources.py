"""What code is: a hash of the source of a function or class, and of everything it refers to that may change."""

import ast
import functools
import hashlib
import inspect
import json
import linecache
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Inside = Callable[[str], bool]
"""Whether the source of what a module defines, by the first part of the module's name, counts."""


Function = TypeVar("Function", bound=Callable[..., Any])


def versioned(version: int) -> Callable[[Function], Function]:
    """A decorator: a version says what this function gives, instead of its source and all that it refers to."""

    def mark(function: Function) -> Function:
        function.version_of_results = version  # type: ignore[attr-defined]
        return function

    return mark


@functools.cache
def code(function: Callable[..., Any]) -> str:
    """A hash of the source of a function and of everything of this project, or of its file, that it refers to."""
    roots = {"toymodels", "experiments", _root(function)}
    return _hash(function, roots.__contains__)


@functools.cache
def code_of_class(cls: type) -> str:
    """A hash of the source of a class outside the library, and of all that it refers to which is neither the library's
    nor installed: helpers, globals, defaults, and what its methods enclose. Without a source, of its byte code."""
    return _hash(cls, is_own)


def _hash(thing: Any, inside: Inside) -> str:
    found: dict[str, str] = {}
    _collect(thing, inside, found)
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:32]


def _root(thing: Any) -> str:
    return str(getattr(thing, "__module__", "") or "").partition(".")[0]


@functools.cache
def is_own(root: str) -> bool:
    """Neither Python's, nor installed, nor this library's, whose numerics have a version; its experiments are."""
    if root == "experiments":
        return True
    if root in ("", "toymodels") or (root in sys.stdlib_module_names and root != "__main__"):
        return False
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    return not any(part in ("site-packages", "dist-packages") for part in Path(file).parts)


def _collect(thing: Any, inside: Inside, found: dict[str, str]) -> None:
    """Sources by name; constants by their text."""
    while hasattr(thing, "__wrapped__"):
        thing = thing.__wrapped__
    if isinstance(thing, functools.partial):
        for part in (thing.func, thing.args, thing.keywords):
            _collect(part, inside, found)
    elif isinstance(thing, Mapping):
        for key, item in thing.items():
            _collect((key, item), inside, found)
    elif isinstance(thing, list | tuple | set | frozenset):
        for item in thing:
            _collect(item, inside, found)
    elif isinstance(thing, types.FunctionType | type):
        name = f"{thing.__module__}.{thing.__qualname__}"
        if name in found or not inside(_root(thing)):
            return
        if hasattr(thing, "version_of_results"):
            found[name] = f"version {thing.version_of_results}"
            return
        found[name] = _source(thing) or _byte_code(thing)
        for other in _referred(thing, inside):
            _collect(other, inside, found)
    elif inside(_root(type(thing))):
        _collect(type(thing), inside, found)
        found["value " + re.sub(" at 0x[0-9a-f]+", "", repr(thing))] = ""  # the same in every process
    elif isinstance(thing, int | float | str | bytes | None):
        found[f"value {thing!r}"] = ""
    elif hasattr(thing, "dtype") and hasattr(thing, "shape"):
        values = np.asarray(thing)
        if values.dtype.kind in "biufc":  # not a type that has a dtype, whose bytes would be a place in memory
            found[f"array {values.dtype} {values.shape} {hashlib.sha256(values.tobytes()).hexdigest()}"] = ""


def _source(thing: Any) -> str:
    """The text of a function or class, decorators and all."""
    file = inspect.getsourcefile(thing) if isinstance(thing, types.FunctionType) else _file(thing)
    if file:
        linecache.checkcache(file)  # a module may have been edited and loaded again
    known = _definitions("".join(linecache.getlines(file))) if file else {}
    if thing.__qualname__ in known:
        return known[thing.__qualname__]
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):  # made by a program, such as the methods of a dataclass, or typed in
        return ""


WHERE = frozenset({"__file__", "__path__", "__cached__", "__spec__", "__loader__"})
"""Globals that differ between two copies of one file."""


def _constant(value: Any) -> str:
    return repr(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)  # sets have no order


def _byte_code(thing: Any) -> str:
    """What stands in for a source: the byte code, the names and the constants."""

    def of(body: types.CodeType) -> Any:
        constants = [of(each) if isinstance(each, types.CodeType) else _constant(each) for each in body.co_consts]
        return [body.co_code.hex(), body.co_names, constants]

    if isinstance(thing, types.FunctionType):
        made_by_dataclass = thing.__qualname__.startswith("__create_fn__")  # from the fields of a class, which counts
        return "" if made_by_dataclass else json.dumps(of(thing.__code__))
    items = {name: getattr(item, "__func__", item) for name, item in vars(thing).items()}
    own = {
        name: item
        for name, item in items.items()
        if isinstance(item, types.FunctionType) and _root(item) == _root(thing)
    }
    return json.dumps({name: of(item.__code__) for name, item in sorted(own.items())})


def _file(cls: type) -> str:
    return getattr(sys.modules.get(cls.__module__), "__file__", None) or ""


@functools.cache
def _definitions(text: str) -> dict[str, str]:
    """Every function and class of a file by its qualified name: one parse a file, where `inspect` takes one each."""
    lines, found = text.splitlines(keepends=True), {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
                found[prefix + child.name] = "".join(lines[first - 1 : child.end_lineno])
                inner = "" if isinstance(child, ast.ClassDef) else "<locals>."
                visit(child, f"{prefix}{child.name}.{inner}")
            else:
                visit(child, prefix)

    visit(ast.parse(text), "")
    return found


def _referred(thing: Any, inside: Inside) -> Iterator[Any]:
    """What a function or a class refers to: globals, attributes of modules, annotations, defaults, methods, bases."""
    if isinstance(thing, type):
        yield from thing.__bases__
        for item in vars(thing).values():
            item = item.fget if isinstance(item, property) else getattr(item, "__func__", item)
            if isinstance(item, types.FunctionType):
                yield from _referred(item, inside)
        return
    names = set(_names(thing.__code__))
    for name in names:
        value = thing.__globals__.get(name)
        if isinstance(value, types.ModuleType):
            if inside(value.__name__.partition(".")[0]):
                yield from (getattr(value, other) for other in names if hasattr(value, other))
        elif value is not None and not _is_state(name, value):
            yield value
    yield from (cell.cell_contents for cell in thing.__closure__ or () if _is_filled(cell))
    yield from (each for each in thing.__annotations__.values() if isinstance(each, type))
    yield thing.__defaults__ or ()
    yield thing.__kwdefaults__ or {}


def _is_state(name: str, value: Any) -> bool:
    """Whether a global is what a module remembers, such as a cache, or where it is, and not what it says."""
    return name in WHERE or (name.startswith("_") and name.islower() and isinstance(value, dict | list | set))


def _names(body: types.CodeType) -> Iterator[str]:
    yield from body.co_names
    for constant in body.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
