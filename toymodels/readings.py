"""Readings: Datasets that are slow to compute, kept under the address of all that they were made from.

The address of a result covers the code that makes it - the function and everything of this project and of its own file
that it refers to -, the addresses of what it is made from, and the versions of the libraries that compute. So a
reading, a figure or a table of findings is current exactly if its address is.
"""

import ast
import functools
import hashlib
import importlib.metadata
import inspect
import json
import linecache
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from toymodels.files import appearing
from toymodels.sweep import Sweep

VERSIONS = {name: importlib.metadata.version(name) for name in ("jax", "numpy", "scipy", "xarray", "matplotlib")}


def address(function: Callable[..., Any], made_from: Mapping[str, str]) -> str:
    """The address of what a function returns, given the addresses of its arguments."""
    return hashed([code(function), dict(sorted(made_from.items())), VERSIONS])


def sweep_address(sweep: Sweep, contents: Iterable[str] = ()) -> str:
    """The address of a sweep's results: its labels, its cells, and what the batches that hold them contain."""
    return hashed([{axis.name: axis.labels for axis in sweep.axes}, sweep.digests, sorted(contents)])


def hashed(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:32]


# ----------------------------------------------------------------------------------------------------------------- code


@functools.cache
def code(function: Callable[..., Any]) -> str:
    """A hash of the source of a function and of everything of this project, or of its file, that it refers to."""
    found: dict[str, str] = {}
    _collect(function, {"toymodels", "experiments", _root(function)}, found)
    return hashed(found)


def _root(thing: Any) -> str:
    return str(getattr(thing, "__module__", "") or "").partition(".")[0]


def _collect(thing: Any, roots: set[str], found: dict[str, str]) -> None:
    """Sources by name; constants by their text."""
    while hasattr(thing, "__wrapped__"):
        thing = thing.__wrapped__
    if isinstance(thing, functools.partial):
        for part in (thing.func, thing.args, thing.keywords):
            _collect(part, roots, found)
    elif isinstance(thing, Mapping):
        for key, item in thing.items():
            _collect((key, item), roots, found)
    elif isinstance(thing, list | tuple | set | frozenset):
        for item in thing:
            _collect(item, roots, found)
    elif isinstance(thing, types.FunctionType | type):
        name = f"{thing.__module__}.{thing.__qualname__}"
        if name in found or _root(thing) not in roots:
            return
        found[name] = _source(thing)
        for other in _referred(thing):
            _collect(other, roots, found)
    elif _root(type(thing)) in roots:
        _collect(type(thing), roots, found)
        found["value " + re.sub(" at 0x[0-9a-f]+", "", repr(thing))] = ""  # the same in every process
    elif isinstance(thing, int | float | str | bytes | None | np.ndarray):
        found[f"value {thing!r}"] = ""


def _source(thing: Any) -> str:
    """The text of a function or class, decorators and all."""
    file = inspect.getsourcefile(thing) if isinstance(thing, types.FunctionType) else _file(thing)
    known = _definitions("".join(linecache.getlines(file))) if file else {}
    if thing.__qualname__ in known:
        return known[thing.__qualname__]
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):  # made by a program, such as the methods of a dataclass: its class has a source
        return ""


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


def _referred(thing: Any) -> Iterator[Any]:
    """What a function or a class refers to: globals, attributes of modules, annotations, defaults, methods, bases."""
    if isinstance(thing, type):
        yield from thing.__bases__
        for item in vars(thing).values():
            item = item.fget if isinstance(item, property) else getattr(item, "__func__", item)
            if isinstance(item, types.FunctionType):
                yield from _referred(item)
        return
    names = set(_names(thing.__code__))
    for name in names:
        value = thing.__globals__.get(name)
        if isinstance(value, types.ModuleType):
            if value.__name__.partition(".")[0] == "toymodels":
                yield from (getattr(value, other) for other in names if hasattr(value, other))
        elif value is not None:
            yield value
    yield from (cell.cell_contents for cell in thing.__closure__ or () if _is_filled(cell))
    yield from (each for each in thing.__annotations__.values() if isinstance(each, type))
    yield thing.__defaults__ or ()
    yield thing.__kwdefaults__ or {}


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


# ---------------------------------------------------------------------------------------------------------------- files


def keep(path: Path, data: xr.Dataset) -> None:
    """Write a reading, in one act, as a netCDF file that plain xarray opens too."""
    with appearing(path) as partial:
        data.to_netcdf(partial, engine="scipy")


def kept(path: Path) -> xr.Dataset | None:
    """A reading that was kept; None if there is none, or its file is damaged."""
    if not path.exists():
        return None
    try:
        with xr.open_dataset(path, engine="scipy") as data:
            return data.load()
    except Exception:  # whatever a damaged file raises: the reading is computed again
        return None
