"""Overrides from the command line: `path=value` and `axis=values`, typed by the configs they change.

A value is a Python literal, `start:stop[:step]` for a range of integers, a list of values with commas, or a config
written as in Python: `optimizer=Sgd(lr=0.01)`, `problem.data.p=PowerLaw(1.1, first=0.2)`. Any config class that has
been imported can be named, those of the experiment's own file too; the library's goes before others of its name.
"""

import ast
import dataclasses
import difflib
import importlib
import pkgutil
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from toymodels import config as configs
from toymodels import (  # noqa: F401  (their configs can be named)
    data,
    hierarchies,
    laws,
    losses,
    models,
    normalisers,
    observations,
    optimizers,
    problems,
)
from toymodels.engine.memory import check_sizes
from toymodels.sweep import Axis, Choice, Sweep

for _module in pkgutil.iter_modules(problems.__path__, "toymodels.problems."):
    importlib.import_module(_module.name)

LONGEST = 1_000_000
"""The most values a range may have: more are a slip of the keyboard, and would fill the memory."""


class Effect(NamedTuple):
    """What one override does: the sweeps whose cells it changes, and why it leaves the others as they are."""

    text: str
    changed: list[str]
    kept: dict[str, str]

    def __str__(self) -> str:
        why = "; ".join(f"not {', '.join(names)} ({reason})" for reason, names in _by_reason(self.kept).items())
        return f"{self.text} changes {', '.join(self.changed) or 'nothing'}" + (f"; {why}" if why else "")


def _by_reason(kept: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, reason in kept.items():
        found.setdefault(reason, []).append(name)
    return found


def apply(sweeps: Mapping[str, Sweep], overrides: Sequence[str]) -> dict[str, Sweep]:
    """Sweeps with overrides from the command line applied: `path=value` each; see `replaced`.

    ValueError too for an override that a later one undoes everywhere.
    """
    return traced(sweeps, overrides)[0]


def traced(sweeps: Mapping[str, Sweep], overrides: Sequence[str]) -> tuple[dict[str, Sweep], list[Effect]]:
    """As `apply`, and what each override does."""
    changed, effects = dict(sweeps), []
    set_before: list[tuple[str, set[tuple[str, str]]]] = []
    for text in overrides:
        path, equals, value = (part.strip() for part in text.lstrip("-").partition("="))
        if not equals or not path:
            raise ValueError(f"{text}: an override reads path=value")
        before, changed = changed, _replaced(changed, path, value, text)
        for name in changed:
            if changed[name] is not before[name]:
                _check_sizes(changed[name])
        places = _places(before, path)
        for other, earlier in set_before:
            if all(any(_covers(place, each) for place in places) for each in earlier):
                raise ValueError(f"{other} {text}: both set {path}; write it once")
        set_before.append((text, places))
        effects.append(_effect(text, path, before, changed))
    return changed, effects


def _check_sizes(sweep: Sweep) -> None:
    """Before anything is made of a size: the base, and the sizes that are swept."""
    check_sizes(sweep.base)
    for axis in sweep.axes:
        if isinstance(axis, Axis):
            for value in axis.values:
                if (type(value) is int and value > LONGEST) or configs.is_config(value):
                    check_sizes(configs.replace(sweep.base, {axis.path: value}))


def _places(sweeps: Mapping[str, Sweep], path: str) -> set[tuple[str, str]]:
    """(sweep, name of an axis or path of a field) that an override of this path sets."""
    names, path = _addressed(sweeps, path)
    found = [(name, _axis(sweeps[name], path)) for name in names if _fits(sweeps[name], path)]
    return {(name, axis.name if axis else path) for name, axis in found}


def _covers(place: tuple[str, str], other: tuple[str, str]) -> bool:
    return place[0] == other[0] and (place[1] == other[1] or other[1].startswith(place[1] + "."))


def _effect(text: str, path: str, before: Mapping[str, Sweep], after: Mapping[str, Sweep]) -> Effect:
    names, own = _addressed(before, path)
    changed, kept = [], {}
    for name in names:
        old, new = before[name], after[name]
        if new is old:
            axis = _swept_by(old, own)
            kept[name] = f"its axis {axis.name} sets this" if axis else f"it has no {own}"
        elif new.asked == old.asked:
            kept[name] = "it has this value"
        elif not _axis(old, own) and _ends(old) == _ends(new):
            kept[name] = "its other settings decide this"
        else:
            changed.append(name)
    return Effect(text, changed, kept)


def _ends(sweep: Sweep) -> list[Any]:
    """The first and the last cell."""
    return [sweep.cell(**{axis.name: axis.labels[place] for axis in sweep.axes}) for place in (0, -1)]


def replaced(sweeps: Mapping[str, Sweep], values: Mapping[str, Any]) -> dict[str, Sweep]:
    """Sweeps with axes and fields replaced, each in every sweep that has it, or in the one that the path begins with.

    A sweep whose axis sets the field is left as it is. The path of an axis stands for the axis, which takes a list of
    values; a choice takes a list of its labels, or a mapping with other options. ValueError for a path that fits no
    sweep or is set by a named choice, and for a value of the wrong type.
    """
    changed = dict(sweeps)
    for path, value in values.items():
        changed = _replaced(changed, path, value, path)
    return changed


def _replaced(sweeps: dict[str, Sweep], path: str, value: Any, text: str) -> dict[str, Sweep]:
    names, path = _addressed(sweeps, path)
    fitting = {name: _changed(sweeps[name], path, value) for name in names if _fits(sweeps[name], path)}
    if not fitting:
        for name in names:
            if axis := _swept_by(sweeps[name], path):
                known = value if isinstance(axis, Axis) else ",".join(map(str, axis.labels))
                raise ValueError(f"{path}={value}: this field is swept; set its axis instead, {axis.name}={known}")
        raise ValueError(_unknown(sweeps[names[0]], path, text))
    return sweeps | fitting


def _addressed(sweeps: Mapping[str, Sweep], path: str) -> tuple[list[str], str]:
    """The sweeps that a path speaks of - the one it begins with, or all -, and the path in each of them."""
    head, _, rest = path.partition(".")
    return ([head], rest) if head in sweeps and rest else (list(sweeps), path)


def _axis(sweep: Sweep, path: str) -> Axis | Choice | None:
    """The axis of this name, or that sweeps the field of this path."""
    found = (axis for axis in sweep.axes if path == axis.name or (isinstance(axis, Axis) and path == axis.path))
    return next(found, None)


def _swept_by(sweep: Sweep, path: str) -> Axis | Choice | None:
    """The axis that sets the field of this path, or the config that it is a part of, in every cell."""
    if _axis(sweep, path):
        return None
    set_ = (axis for axis in sweep.axes if any(path == each or path.startswith(each + ".") for each in axis.paths))
    return next(set_, None)


def _fits(sweep: Sweep, path: str) -> bool:
    if _axis(sweep, path) or _swept_by(sweep, path):
        return _axis(sweep, path) is not None
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
        deeper = [each for each, _ in configs.paths(sweep.base) if each.endswith("." + path)]
        meant = f"; did you mean {' or '.join(deeper)}?" if deeper else ""
        return f"{text}: {error}; the axes are {axes or 'none'}{meant}"
    raise AssertionError


def _changed(sweep: Sweep, path: str, value: Any) -> Sweep:
    """One sweep with an axis or a field replaced; text is read as on the command line."""
    axis = _axis(sweep, path)
    if axis:
        axes = [_with_values(axis, value) if each is axis else each for each in sweep.axes]
        return dataclasses.replace(sweep, axes=axes)
    value = parse(value) if isinstance(value, str) else value
    return dataclasses.replace(sweep, base=configs.replace(sweep.base, {path: value}))


def _with_values(axis: Axis | Choice, value: Any) -> Axis | Choice:
    if isinstance(axis, Axis):
        value = parse(value) if isinstance(value, str) else value
        many = isinstance(value, Iterable) and not isinstance(value, str)
        return dataclasses.replace(axis, values=tuple(value) if many else (value,))
    if isinstance(value, Mapping):  # other options, in Python alone
        return dataclasses.replace(axis, options=value)
    known = {str(label): label for label in axis.options}
    words = _words(value, known) if isinstance(value, str) else [str(label) for label in value]
    unknown = [word for word in words if word not in known]
    if unknown:
        raise ValueError(f"{axis.name}={unknown[0]}: not on the axis, which has {', '.join(known)}")
    return dataclasses.replace(axis, options={known[word]: axis.options[known[word]] for word in words})


def _words(text: str, known: Collection[str]) -> list[str]:
    """The labels in a list of them; a label may itself have commas."""
    listed = text[1:-1] if text[:1] + text[-1:] in ("[]", "()") else text
    return [text] if text in known else [word.strip(" '\"") for word in listed.split(",") if word.strip()]


def parse(text: str) -> Any:
    """A value from its text. A bare word that is a config class is that config at its defaults; others stay words."""
    text = text.strip()
    if match := re.fullmatch(r"(-?\d+):(-?\d+)(?::(-?\d+))?", text):
        start, stop, step = (int(part) if part else 1 for part in match.groups())
        return _range(start, stop, step, text)
    try:
        return _evaluate(ast.parse(text, mode="eval").body, text)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text}: not a value that can be read" if text else "a value is missing") from error


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
                raise ValueError(f"{text}: no config is called {name}; {_instead_of(name)}")
            named = {str(keyword.arg): _evaluate(keyword.value, text) for keyword in keywords}
            return _build(cls, [_evaluate(arg, text) for arg in args], named, text)
        case ast.Call(func=ast.Attribute(attr=name)) if configs.class_named(name):
            raise ValueError(f"{text}: write {name}(...), a class by its bare name")
    raise ValueError(
        f"{text}: write a number, a list with commas, a range start:stop, or a config such as Sgd(lr=0.01)"
    )


def _instead_of(name: str) -> str:
    """What somebody may have meant by the name of a config that there is not."""
    if name == "range":
        return "a range of integers is written start:stop or start:stop:step"
    close = difflib.get_close_matches(name, configs.class_names(), 3)
    return f"did you mean {' or '.join(close)}?" if close else "`toymodels show` tells what an experiment is made of"


def _build(cls: type, args: Sequence[Any], named: Mapping[str, Any], text: str) -> Any:
    try:
        return cls(*args, **named)
    except TypeError as error:
        fields = ", ".join(field.name for field in dataclasses.fields(cls))
        raise ValueError(f"{text}: {str(error).replace('.__init__()', '')}; it takes {fields or 'none'}") from error
