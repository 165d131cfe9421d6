"""Overrides from the command line: `path=value` and `axis=values`, typed by the configs they change.

A value is a Python literal, `start:stop[:step]` for a range of integers, a list of values with commas, or a config
written as in Python: `optimizer=Sgd(lr=0.01)`, `problem.data.p=PowerLaw(1.1, first=0.2)`. Any config class that has
been imported can be named, those of the experiment's own file too; the library's goes before others of its name.
"""

import ast
import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Mapping, Sequence
from typing import Any

from toymodels import config as configs
from toymodels import data, laws, losses, models, optimizers, problems  # noqa: F401  (their configs can be named)
from toymodels.sweep import Axis, Choice, Sweep

for _module in pkgutil.iter_modules(problems.__path__, "toymodels.problems."):
    importlib.import_module(_module.name)

LONGEST = 1_000_000
"""The most values a range may have: more are a slip of the keyboard, and would fill the memory."""


def apply(sweeps: Mapping[str, Sweep], overrides: Sequence[str]) -> dict[str, Sweep]:
    """Sweeps with overrides applied, each to every sweep that has its axis or field, or to the one it begins with.

    The path of an axis stands for the axis. ValueError for an override that fits no sweep, sets a field that a named
    choice sets, or has a value of the wrong type.
    """
    changed = dict(sweeps)
    for text in overrides:
        path, equals, value = (part.strip() for part in text.lstrip("-").partition("="))
        if not equals or not path:
            raise ValueError(f"{text}: an override reads path=value")
        head, _, rest = path.partition(".")
        names, path = ([head], rest) if head in sweeps and rest else (list(sweeps), path)
        fitting = {name: _changed(changed[name], path, value) for name in names if _fits(changed[name], path)}
        if not fitting:
            raise ValueError(_unknown(changed[names[0]], path, text))
        changed |= fitting
    return changed


def _fits(sweep: Sweep, path: str) -> bool:
    if path in [axis.name for axis in sweep.axes]:
        return True
    try:
        configs.get(sweep.base, path)
    except ValueError:
        return False
    return True


def _unknown(sweep: Sweep, path: str, text: str) -> str:
    try:
        configs.get(sweep.base, path)
    except ValueError as error:
        axes = ", ".join(axis.name for axis in sweep.axes)
        return f"{text}: {error}; the axes are {axes or 'none'}"
    raise AssertionError


def _changed(sweep: Sweep, path: str, text: str) -> Sweep:
    for place, axis in enumerate(sweep.axes):
        if path == axis.name or (isinstance(axis, Axis) and path == axis.path):
            axes = list(sweep.axes)
            axes[place] = _with_values(axis, text)
            return dataclasses.replace(sweep, axes=axes)
        bound = {bound for i in range(len(axis.labels)) for bound in axis.binding(i)}
        if any(path == each or path.startswith(each + ".") for each in bound):
            raise ValueError(f"{path}={text}: this field is swept; set its axis instead, {axis.name}={text}")
    return dataclasses.replace(sweep, base=configs.replace(sweep.base, {path: parse(text)}))


def _with_values(axis: Axis | Choice, text: str) -> Axis | Choice:
    if isinstance(axis, Axis):
        value = parse(text)
        return dataclasses.replace(axis, values=value if isinstance(value, tuple) else (value,))
    known = {str(label): label for label in axis.options}
    listed = text[1:-1] if text[:1] + text[-1:] in ("[]", "()") else text
    words = [text] if text in known else [word.strip(" '\"") for word in listed.split(",") if word.strip()]
    unknown = [word for word in words if word not in known]
    if unknown:
        raise ValueError(f"{axis.name}={unknown[0]}: not on the axis, which has {', '.join(known)}")
    return dataclasses.replace(axis, options={known[word]: axis.options[known[word]] for word in words})


def parse(text: str) -> Any:
    """A value from its text. A bare word that is a config class is that config at its defaults; others stay words."""
    text = text.strip()
    if match := re.fullmatch(r"(-?\d+):(-?\d+)(?::(-?\d+))?", text):
        start, stop, step = (int(part) if part else 1 for part in match.groups())
        return _range(start, stop, step, text)
    try:
        return _evaluate(ast.parse(text, mode="eval").body, text)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text or 'nothing'}: not a value that can be read") from error


def _range(start: int, stop: int, step: int, text: str) -> tuple[int, ...]:
    if step == 0:
        raise ValueError(f"{text}: a range has a step other than 0")
    values = range(start, stop, step)
    if not 0 < len(values) <= LONGEST:
        raise ValueError(f"{text}: a range has 1 to {LONGEST} values")
    return tuple(values)


def _evaluate(node: ast.expr, text: str) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as value)):
            return -value if isinstance(sign, ast.USub) else value
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(_evaluate(item, text) for item in items)
        case ast.Name(id="true" | "false" as word):
            return word == "true"
        case ast.Name(id="none"):
            return None
        case ast.Name(id=word):
            cls = configs.class_named(word)
            return _build(cls, (), {}, text) if cls else word
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            cls = configs.class_named(name)
            if cls is None:
                raise ValueError(f"{text}: no config is called {name}; there are {', '.join(configs.class_names())}")
            named = {str(keyword.arg): _evaluate(keyword.value, text) for keyword in keywords}
            return _build(cls, [_evaluate(arg, text) for arg in args], named, text)
    raise ValueError(
        f"{text}: write a number, a list with commas, a range start:stop, or a config such as Sgd(lr=0.01)"
    )


def _build(cls: type, args: Sequence[Any], named: Mapping[str, Any], text: str) -> Any:
    try:
        return cls(*args, **named)
    except TypeError as error:
        raise ValueError(f"{text}: {str(error).replace('.__init__()', '')}") from error
