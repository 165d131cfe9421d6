"""A config is a value and a pytree: its leaves sweep, its treedef compiles.

`@config` turns an annotated class into a frozen dataclass that is also a pytree. A plain field is a leaf (or a nested
config): it can be swept inside one compiled program. A field declared with `static(...)` changes shapes or code and
lives in the treedef, so `jax.tree.structure(run)` tells which cells share a program. Values are coerced to their
annotated type and checked when a config is built by hand, never when JAX rebuilds one around tracers.

>>> from toymodels import Adam, Packing, Run
>>> run = Run(Packing(6, 3), Adam(lr=0.01))
>>> replace(run, {'problem.power': 4.0, 'steps': 500}).problem
Packing(n=6, d=3, power=4.0, signed=False)
>>> get(run, 'optimizer.lr')
0.01
"""

import dataclasses
import difflib
import functools
import hashlib
import importlib
import inspect
import json
import numbers
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np

from toymodels import sources

C = TypeVar("C")


def static(*, default: Any = dataclasses.MISSING) -> Any:
    """A field that changes shapes or code: part of the treedef, not a leaf."""
    return dataclasses.field(default=default, metadata={"static": True})


def doubling() -> Any:
    """A switch to double precision: a static field, off by default. Off it is no part of the address; on, all numbers
    enter the address to their last bit."""
    return dataclasses.field(default=False, metadata={"static": True, "doubling": True})


_classes: dict[tuple[str, str], type] = {}
"""Every class that `@config` has made, by module and name; of two with the same address the later one counts."""


def class_named(name: str) -> type | None:
    """The config class of this name, as written in Python; None if there is none.

    A class of the library goes before others of its name. ValueError where several others share the name.
    """
    found = [cls for cls in _classes.values() if cls.__name__ == name]
    chosen = [cls for cls in found if _is_ours(cls)] or found
    if len(chosen) > 1:
        raise ValueError(f"{name}: there are several, in {', '.join(cls.__module__ for cls in chosen)}")
    return chosen[0] if chosen else None


def class_names() -> list[str]:
    """The names of all config classes, in order."""
    return sorted({cls.__name__ for cls in _classes.values()})


def _is_ours(cls: type) -> bool:
    """Whether a class is the library's: its numerics have a version, its name goes before others."""
    return cls.__module__.startswith("toymodels.")


def is_config(value: object) -> bool:
    return hasattr(type(value), "__config__")


_hints: dict[type, dict[str, Any]] = {}
"""The types of the fields of every class without a constructor of its own."""


def is_plain(cls: type) -> bool:
    """Whether a config of this class is its fields, coerced and then checked, and nothing else makes it."""
    return cls in _hints


def coerced(cls: type, name: str, value: Any) -> Any:
    """`value` as the type of a field of a plain class, or a ValueError in one sentence."""
    return _coerce(value, _hints[cls][name], f"{cls.__name__}.{name}")


_known_fields: dict[type, tuple[dataclasses.Field[Any], ...]] = {}


def _fields(cls: type) -> tuple[dataclasses.Field[Any], ...]:
    if cls not in _known_fields:
        _known_fields[cls] = dataclasses.fields(cls)  # type: ignore[arg-type]
    return _known_fields[cls]


def is_protocol(hint: Any) -> bool:
    return bool(getattr(hint, "_is_protocol", False))


@dataclass_transform(frozen_default=True, field_specifiers=(static, doubling, dataclasses.field))
def config(cls: type[C]) -> type[C]:
    """Make `cls` a frozen dataclass and a pytree. Its method `check`, if any, raises ValueError for bad values."""

    cls.__no_type_check__ = False  # type: ignore[attr-defined]  # a config that it extends has no hints to be seen
    hints = typing.get_type_hints(cls)

    def __post_init__(self: Any) -> None:
        for field in _fields(type(self)):
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, _coerce(value, hints[field.name], f"{cls.__name__}.{field.name}"))
        if hasattr(self, "check"):
            self.check()

    def __getstate__(self: Any) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in _fields(type(self))}

    # The equality of dataclasses asks arrays for one truth value, which they do not have.
    def __eq__(self: Any, other: object) -> bool:
        return type(other) is made and _identity(self) == _identity(other)

    def __hash__(self: Any) -> int:
        return hash(_identity(self))

    cls.__eq__, cls.__hash__ = __eq__, __hash__  # type: ignore[method-assign, assignment]
    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    cls.__getstate__ = __getstate__  # type: ignore[method-assign, assignment]  # a digest is not taken along
    cls.__config__ = True  # type: ignore[attr-defined]
    cls.__no_type_check__ = True  # type: ignore[attr-defined]  # __post_init__ checks, in one sentence
    is_plain = "__init__" not in vars(cls) and cls.__new__ is object.__new__
    made = dataclasses.dataclass(frozen=True)(cls)
    if is_plain:
        _hints[made] = hints
    _register(made)
    _classes[made.__module__, made.__qualname__] = made
    return made


_registered: set[type] = set()


def _register(made: Any) -> None:
    """Tell JAX what the leaves of a config class are."""
    fields = dataclasses.fields(made)
    leaves = [field.name for field in fields if not field.metadata.get("static")]
    statics = [field.name for field in fields if field.metadata.get("static")]

    def flatten_with_keys(value: Any) -> tuple[Any, Any]:
        keyed = [(jax.tree_util.GetAttrKey(name), getattr(value, name)) for name in leaves]
        return keyed, tuple(getattr(value, name) for name in statics)

    def flatten(value: Any) -> tuple[Any, Any]:
        return [getattr(value, name) for name in leaves], tuple(getattr(value, name) for name in statics)

    def unflatten(aux: Any, children: Any) -> Any:
        # Not `made(...)`: JAX also rebuilds configs around tracers and placeholders, which no check can read.
        value = object.__new__(made)
        for name, child in zip(statics + leaves, [*aux, *children], strict=True):
            object.__setattr__(value, name, child)
        return value

    jax.tree_util.register_pytree_with_keys(made, flatten_with_keys, unflatten, flatten)
    _registered.add(made)


def _identity(value: Any) -> tuple[Any, ...]:
    """The fields of a config as something that can be compared and hashed."""
    fields = (getattr(value, field.name) for field in _fields(type(value)))
    return tuple((item.shape, *item.ravel().tolist()) if isinstance(item, np.ndarray) else item for item in fields)


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """`value` as the annotated type, or a ValueError in one sentence."""
    options = _options(hint)
    for option in options:
        try:
            return _as_type(value, option, where)
        except TypeError:
            continue
    wanted = " or ".join(_hint_name(option) for option in options)
    raise ValueError(f"{where}={_short(value)}: expected {wanted}{_lacking(value, options)}")


@functools.cache
def _options(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _lacking(value: Any, options: Sequence[Any]) -> str:
    """What keeps a value from being the config that is asked for, where only one kind is."""
    asked = [option for option in options if is_protocol(option)]
    if len(asked) != 1 or isinstance(value, str | numbers.Number | Sequence | None):
        return ""
    if isinstance(value, type):
        return f", and this is the class: {value.__name__}(...) makes one"
    name = type(value).__name__
    missing = [member for member in _members(asked[0]) if not hasattr(value, member)]
    if missing:
        return f", but {name} has no {' and no '.join(missing)}"
    return f", but {name} is not a config: put @config before its class"


def _members(protocol: type) -> list[str]:
    """What a protocol asks for, in the order written."""
    kinds = [kind for kind in reversed(protocol.__mro__) if is_protocol(kind)]
    names = dict.fromkeys(name for kind in kinds for name in (*inspect.get_annotations(kind), *vars(kind)))
    return [name for name in names if not name.startswith("_") or name == "__call__"]


def _as_type(value: Any, hint: Any, where: str) -> Any:
    """`value` as one type of an annotation; TypeError if it is not of that type."""
    if hint in (float, int) and type(value) in (float, int):  # nearly all there are
        return _as_number(value, hint)
    if is_config(value) and isinstance(hint, type) and _fits(value, type(value), hint):
        return value
    if isinstance(value, np.generic | np.ndarray | jax.Array) and np.ndim(value) == 0:
        value = np.asarray(value).item()
    if hint is Any:
        return value
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, Sequence | np.ndarray | jax.Array) or isinstance(value, str | bytes):
            raise TypeError
        inner = typing.get_args(hint)[0]
        return tuple(_as_type(item, inner, where) for item in value)
    if hint in (float, int):
        return _as_number(value, hint)
    if hint is np.ndarray:
        return _as_array(value)
    # Any config that has what a protocol asks for will do, one's own too; a bare function could not be stored.
    if isinstance(hint, type) and isinstance(value, hint) and not is_protocol(hint):
        return value
    raise TypeError


_fitting: dict[tuple[type, type], bool] = {}


def _fits(value: Any, cls: type, hint: type) -> bool:
    """Whether configs of a class are of another, or have what a protocol asks for: all alike, as they share fields."""
    if (cls, hint) not in _fitting:
        _fitting[cls, hint] = isinstance(value, hint)
    return _fitting[cls, hint]


LARGEST = float(np.finfo(np.float32).max)


def _as_number(value: Any, hint: type) -> float | int:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError
    try:
        number = float(value)
    except OverflowError:
        raise TypeError from None
    # No larger than the float32 or int32 that it is trained with.
    if not abs(number) <= LARGEST:
        raise TypeError
    if hint is float:
        return number
    if not (number.is_integer() and -(2**31) <= number < 2**31):
        raise TypeError
    return int(number)


def _as_array(value: Any) -> np.ndarray:
    """Numbers as a float32 array of its own that cannot be changed: a config is a value."""
    try:
        with np.errstate(over="ignore"):
            array = np.array(value, np.float64).astype(np.float32)
    except (ValueError, OverflowError):
        raise TypeError from None
    array.flags.writeable = False
    return array


def _hint_name(hint: Any) -> str:
    names = {
        float: "a finite number",
        int: "an integer",
        bool: "true or false",
        type(None): "none",
        np.ndarray: "an array of numbers",
    }
    if typing.get_origin(hint) is tuple:
        return "a list of " + {float: "numbers", int: "integers"}.get(typing.get_args(hint)[0], "configs")
    return names.get(hint) or (f"a {hint.__name__}" if hasattr(hint, "__name__") else str(hint))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# ---------------------------------------------------------------------------------------------------------------- paths


def replace(value: C, changes: Mapping[str, Any]) -> C:
    """A copy of a config with the fields at dotted paths replaced, checked again; ValueError for an unknown path.

    Changes below one field are made together, so that checks across fields see only the final values.
    """
    here = {path: change for path, change in changes.items() if "." not in path}
    below: dict[str, dict[str, Any]] = {}
    for path, change in changes.items():
        if "." in path:
            head, rest = path.split(".", 1)
            below.setdefault(head, {})[rest] = change
    for head in {**here, **below}:
        _field(value, head)
    for head, inner in below.items():
        child = here.get(head, getattr(value, head))
        if not is_config(child):
            raise ValueError(f"{head}.{next(iter(inner))}: {head} is {_short(child)}, which has no fields")
        here[head] = replace(child, inner)
    return dataclasses.replace(value, **here)  # type: ignore[type-var]


def substitute(value: C, **fields: Any) -> C:
    """A copy with some fields replaced and nothing checked: for use inside a trace."""
    copy = object.__new__(type(value))
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        object.__setattr__(copy, field.name, fields.get(field.name, getattr(value, field.name)))
    return copy


def get(value: Any, path: str) -> Any:
    """The field at a dotted path; ValueError for an unknown one."""
    for name in path.split("."):
        _field(value, name)
        value = getattr(value, name)
    return value


def _field(value: Any, name: str) -> None:
    names = [field.name for field in _fields(type(value))] if is_config(value) else []
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(names) or 'no fields'}"
        raise ValueError(f"{name}: {type(value).__name__} has no such field ({hint})")


def paths(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every (dotted path, value) of a config, parents before children."""
    for field in _fields(type(value)):
        path, child = prefix + field.name, getattr(value, field.name)
        yield path, child
        if is_config(child):
            yield from paths(child, path + ".")


# ------------------------------------------------------------------------------------------------------- serialisation


def to_dict(value: Any) -> Any:
    """Plain JSON data: a config becomes its fields, defaults included, and `type`, the class by its import path."""
    if is_config(value):
        kind = f"{type(value).__module__}:{type(value).__qualname__}"
        return {"type": kind, **{f.name: to_dict(getattr(value, f.name)) for f in _fields(type(value))}}
    if isinstance(value, tuple):
        return [to_dict(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def from_dict(data: Any) -> Any:
    """Inverse of `to_dict`; ValueError where a class is gone, or has other fields."""
    if isinstance(data, Mapping):
        fields = {key: from_dict(item) for key, item in data.items() if key != "type"}
        cls = _config_class(data.get("type"))
        try:
            return cls(**fields)
        except TypeError as error:
            raise ValueError(f"{data['type']}: these are not its fields: {', '.join(fields)}") from error
    if isinstance(data, list):
        return tuple(from_dict(item) for item in data)
    return data


def _config_class(path: Any) -> Any:
    module, _, name = str(path).partition(":")
    # A stranger's file runs no code: outside the library, only what was imported on purpose.
    if name and module.partition(".")[0] != "toymodels" and module not in sys.modules:
        raise ValueError(f"{path}: a config class of {module}, which is not imported; import it first, if you trust it")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: this config class cannot be imported") from error
    if not (isinstance(cls, type) and hasattr(cls, "__config__")):
        raise ValueError(f"{path}: not a config class")
    return cls


def digest(value: Any, version: int) -> str:
    """Address of a config: a hash of its default-filled fields and the version of the numerics that will run it.

    Numbers enter as the float32 they are trained with, and classes of one's own with their code: two configs share an
    address exactly if they train alike. Worked out once for each object, which keeps it.
    """
    kept: dict[int, str] = vars(value).setdefault("_digests", {})
    if version not in kept:
        kept[version] = address(*canonical(value), version)
    return kept[version]


def adopt(value: Any, version: int, address: str) -> None:
    """Take in a config that another process has pickled with the code of its classes, and the address it has there.

    Such a class arrives without its decorator, so JAX is told of it here, and without its source, which its address
    depends on.
    """
    _register_parts(value)
    vars(value).setdefault("_digests", {})[version] = address


def _register_parts(value: Any) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if is_config(item):
            if type(item) not in _registered:
                _register(type(item))
            for field in _fields(type(item)):
                _register_parts(getattr(item, field.name))


def hashed(*values: Any) -> str:
    """A hash of configs, numbers, words and lists of them: the same for what trains alike."""
    texts = [part for text, own in map(canonical, values) for part in (text, *sorted(own))]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:32]


def address(text: str, own: Iterable[str], version: int) -> str:
    """The digest of a config from its canonical text and the code of the classes in it (see `canonical`)."""
    codes = "".join(f", {json.dumps(code)}" for code in sorted(own))
    return hashlib.sha256(f"[{version}, {text}{codes}]".encode()).hexdigest()[:32]


def canonical(value: Any) -> tuple[str, frozenset[str]]:
    """`to_dict` as JSON with sorted keys, and the code of the classes in it that are not the library's.

    A config keeps its own: the cells of a sweep share most of their parts.
    """
    if is_config(value):
        kept: dict[str, tuple[str, frozenset[str]]] = vars(value)
        if "_text" not in kept:
            kept["_text"] = _canonical_config(value)
        return kept["_text"]
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        parts = [canonical(item) for item in value]
        return f"[{', '.join(text for text, _ in parts)}]", frozenset().union(*(own for _, own in parts))
    if isinstance(value, float):
        return f'"{np.float32(value) + np.float32(0)!s}f"', frozenset()  # -0 is 0
    return json.dumps(value), frozenset()


def _canonical_config(value: Any) -> tuple[str, frozenset[str]]:
    cls = type(value)
    parts = {field.name: canonical(getattr(value, field.name)) for field in _fields(cls)}
    texts = {name: text for name, (text, _) in parts.items()}
    if is_doubled(value):
        leaves = (np.ravel(leaf).tolist() for leaf in jax.tree.leaves(value))
        texts |= dict.fromkeys(switches(cls), json.dumps([repr(each) for leaf in leaves for each in leaf]))
    return canonical_fields(cls, texts), code_of(cls).union(*(codes for _, codes in parts.values()))


def canonical_fields(cls: type, texts: Mapping[str, str]) -> str:
    """The canonical text of a config from that of its fields."""
    off = {name for name in switches(cls) if texts[name] == "false"}
    texts = {name: text for name, text in texts.items() if name not in off}
    texts["type"] = json.dumps(f"{cls.__module__}:{cls.__qualname__}")
    return f"{{{', '.join(f'{json.dumps(name)}: {texts[name]}' for name in sorted(texts))}}}"


def is_doubled(value: Any) -> bool:
    """Whether a config asks for double precision (see `doubling`)."""
    return any(getattr(value, name) for name in switches(type(value)))


def switches(cls: type) -> list[str]:
    """The fields that ask for double precision."""
    return [field.name for field in _fields(cls) if field.metadata.get("doubling")]


def code_of(cls: type) -> frozenset[str]:
    """What a config class adds to its address: its code; of the library's, whose numerics have a version, only the
    `numerics` that it declares where its own numbers, to the last bit, have changed since."""
    if not _is_ours(cls):
        return frozenset({sources.code_of_class(cls)})
    changes = vars(cls).get("numerics")
    return frozenset(() if changes is None else (f"{cls.__qualname__} {changes}",))


# ------------------------------------------------------------------------------------------------------------ stacking


def as_leaf(value: Any, double: bool = False) -> np.ndarray:
    """A leaf as the array that a compiled program takes: float32 (or float64) for numbers, int32 for integers."""
    return np.asarray(value, np.int32 if isinstance(value, int) else np.float64 if double else np.float32)


def stack(values: Sequence[C], double: bool = False) -> C:
    """Configs of one treedef as one config whose leaves carry a leading axis."""
    return jax.tree.map(lambda *leaves: np.stack([as_leaf(leaf, double) for leaf in leaves]), *values)
