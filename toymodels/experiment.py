"""An experiment: a question, the sweeps that answer it, what is read off them, the figures and findings that decide it.

An experiment file holds one `experiment = Experiment(...)`. Its sweeps are stated once, at default scale; other scales
are overrides of them. Readings, figures and findings are functions whose parameters name what they use:

    reading(sweep, ..., other_reading, ...) -> xr.Dataset     slow numbers, computed once and stored
    figure(sweep, ..., reading, ...) -> Figure                its docstring becomes the caption
    finding(reading, ...) -> Iterator[Finding]                from readings alone, so that planted ones test it

A sweep arrives as a `Swept`, a reading as its Dataset.
"""

import dataclasses
import importlib.util
import inspect
import json
import linecache
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import config as configs
from toymodels import overrides, places
from toymodels.bundled import bundled
from toymodels.claims import Claim
from toymodels.findings import Finding
from toymodels.results import census, divergences, usable
from toymodels.sweep import Sweep
from toymodels.train import Run

Scale = Literal["tiny", "default", "full"]
SCALES: tuple[Scale, ...] = ("tiny", "default", "full")


class Unfit(ValueError):
    """Settings that a reading, figure or finding is not made for."""


def require(condition: object, sentence: str) -> None:
    """Unfit with this sentence unless the condition holds."""
    if not condition:
        raise Unfit(sentence)


@dataclass(frozen=True, eq=False)
class Swept:
    """A sweep and its results, opened. Hashed by identity, so slow readings can be cached."""

    sweep: Sweep
    data: xr.Dataset

    def check(self, **fields: Any) -> None:
        """Unfit unless all cells have these values: what is read off them is made for these alone.

        Fields are written with "__" for the dots of their paths.
        """
        for name, value in fields.items():
            path = name.replace("__", ".")
            for run in self._along_axes():
                if configs.get(run, path) != value:
                    here = describe(configs.get(run, path))
                    raise Unfit(f"it is made for {path}={describe(value)}, and here it is {here}")

    def _along_axes(self) -> Iterator[Run]:
        """The cells along each axis, at the first labels of the others."""
        first = {axis.name: axis.labels[0] for axis in self.sweep.axes}
        yield self.sweep.cell(**first)
        for axis in self.sweep.axes:
            for label in axis.labels[1:] if axis.name != "seed" else ():
                yield self.sweep.cell(**first | {axis.name: label})

    def run(self, **labels: Any) -> Run:
        """The config of the cell at these labels; of the first seed, if none is given."""
        first = {axis.name: axis.labels[0] for axis in self.sweep.axes if axis.name == "seed"}
        return self.sweep.cell(**first | labels)

    def final(self, name: str = "W", unconverged: bool = False) -> xr.DataArray:
        """A parameter at the end of training in float64; NaN for diverged and, unless asked, unconverged cells."""
        return self.finite(name, snapshot=-1) if unconverged else usable(self._at(name, snapshot=-1), self.data.status)

    def finite(self, name: str = "objective", **places: int) -> xr.DataArray:
        """A result at these places of its dimensions, in float64; NaN for cells that diverged."""
        of_cells = {axis: place for axis, place in places.items() if axis in self.data.status.dims}
        return usable(self._at(name, **places), self.data.status.isel(of_cells), unconverged=True)

    def _at(self, name: str, **places: int) -> xr.DataArray:
        return self.data[name].isel(places).astype(np.float64)

    def best(self, by: str = "objective", axis: str = "seed", **labels: Any) -> xr.Dataset:
        """The best of all restarts by a final recorded number, converged or not, at the end of training: best of k."""
        cells = self.data.sel(labels)
        final = cells[by].isel(step=-1)
        chosen = final.fillna(np.inf).argmin(axis)
        return cells.isel({axis: chosen, "snapshot": -1, "step": -1})

    def left_out(self, unconverged: str = "left out") -> str:
        """The note on a figure for cells that are not in its means; `unconverged` says what became of these."""
        return left_out(self.data.status, unconverged)


def left_out(status: xr.DataArray, unconverged: str = "left out") -> str:
    """How many of these cells are not converged, diverged or missing, and what became of them."""
    counts = {what: count for what, count in census(status.to_dataset(name="status")).items() if what != "ok"}
    fates = {what: unconverged if what == "unconverged" else "left out" for what in counts}
    return ", ".join(f"{count} of {status.size} cells {what}: {fates[what]}" for what, count in counts.items())


@dataclass(frozen=True)
class Map:
    """What is known at every point of a plane of two axes, to be pointed at on a page."""

    title: str
    x: tuple[str, np.ndarray]
    """An axis of a sweep and its values here, ascending and positive."""
    y: tuple[str, np.ndarray]
    names: np.ndarray
    """(y, x): the kind of each point, in a word or two."""
    told: np.ndarray
    """(y, x): what there is to say of it, in lines."""
    colours: Mapping[str, str]
    """Of each kind, as Matplotlib understands it."""
    sweep: str = ""
    """The sweep whose models are shown when a point is chosen, if any."""


Read = Callable[..., xr.Dataset]
Draw = Callable[..., Figure]
Plot = Callable[..., Map]
Find = Callable[..., Iterable[Finding]]


EXTRAS = {"reference": "sklearn"}
"""Extras of the package that readings may need, and the module of each."""


@dataclass(frozen=True)
class Experiment:
    question: str
    source: str
    sweeps: Mapping[str, Sweep]
    """At default scale."""
    readings: Sequence[Read] = ()
    figures: Sequence[Draw] = ()
    findings: Sequence[Find] = ()
    scales: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    """Overrides that make the scales "tiny" and "full" of the default one, as on the command line: path -> value."""
    cost: str = ""
    """What the published scale costs."""
    claims: Sequence[Claim] = ()
    """Rows of the ledger that its findings decide."""
    extra: str = ""
    """What its readings need beside the package, one of `EXTRAS`."""
    maps: Sequence[Plot] = ()
    """Planes to point at, in the report."""
    name: str = ""
    file: Path = Path()
    """Where it was loaded from."""

    def __post_init__(self) -> None:
        names = [*self.sweeps, *(each.__name__ for each in self.readings)]
        for function in (*self.readings, *self.figures, *self.findings, *self.maps):
            for name in uses(function):
                if name not in names:
                    raise ValueError(f"{function.__name__}: {name} is neither a sweep nor a reading of this experiment")
        for claim in self.claims:
            if claim.figure and claim.figure not in [each.__name__ for each in self.figures]:
                raise ValueError(f"claim {claim.id}: {claim.figure} is no figure of this experiment")
        if self.extra and self.extra not in EXTRAS:
            raise ValueError(f"extra={self.extra}: the extras are {', '.join(EXTRAS)}")
        for scale in self.scales:
            if scale not in ("tiny", "full"):
                raise ValueError(f"{scale}: the scales are tiny, default and full")

    def check_extra(self) -> None:
        """ValueError where what the readings need is not installed."""
        if self.extra and not importlib.util.find_spec(EXTRAS[self.extra]):
            raise ValueError(
                f"{self.name}: it needs {EXTRAS[self.extra]}, which `pip install 'toymodels[{self.extra}]'` brings"
            )

    def at(self, scale: Scale) -> dict[str, Sweep]:
        """The sweeps at a scale; ValueError if an override of the scale fits none of them."""
        return overrides.replaced(self.sweeps, self.scales.get(scale, {}))

    def reading(self, name: str) -> Read:
        return _named(self.readings, name, "reading")

    def figure(self, name: str) -> Draw:
        return _named(self.figures, name, "figure")

    def map(self, name: str) -> Plot:
        return _named(self.maps, name, "map")


def _named(functions: Sequence[Callable[..., Any]], name: str, kind: str) -> Any:
    for function in functions:
        if function.__name__ == name:
            return function
    raise ValueError(f"{name}: no such {kind}; there are {', '.join(each.__name__ for each in functions) or 'none'}")


def experiment_files() -> list[Path]:
    """The experiments here: those of the folder `experiments`, or else those that come with the package."""
    for folder in (Path("experiments"), bundled("experiments")):
        if folder is not None and folder.is_dir():
            return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    return []


def find(name: str) -> Experiment:
    """An experiment of this checkout by its name, or one of your own by its path; ValueError if there is none."""
    known = {path.stem: path for path in experiment_files()}
    path = Path(name) if name.endswith(".py") else known.get(name)
    if path is None:
        close = ", ".join(get_close_matches(name, known, 3))
        hint = f"do you mean {close}?" if close else f"`toymodels list` shows the {len(known)} here"
        raise ValueError(f"{name}: no such experiment; {hint}")
    return load(path)


def load(path: Path) -> Experiment:
    """The experiment in a file; ValueError if there is none."""
    path = path.resolve()
    if not path.is_file():
        raise ValueError(f"{path}: no such experiment file")
    # A checkout's own experiments are `experiments.NAME`, as for anyone who imports them.
    of_checkout = path.parent.name == "experiments"
    name = f"experiments.{path.stem}" if of_checkout else f"experiment_{path.stem}"
    if not of_checkout and str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # modules beside a file of your own are found, as by `python FILE`
    try:
        module = _loaded(name, path)
    except (Exception, SystemExit) as error:
        own = places.lines(error, lambda each: each == path)
        line = f"line {own[-1][1]}, " if own else ""
        raise ValueError(f"{path}: cannot be loaded ({line}{type(error).__name__}: {error})") from error
    experiment = getattr(module, "experiment", None)
    if not isinstance(experiment, Experiment):
        raise ValueError(f"{path}: an experiment file defines `experiment = Experiment(...)`")
    return dataclasses.replace(experiment, name=experiment.name or path.stem, file=path)


def _loaded(name: str, path: Path) -> Any:
    """The module of a file: as it is imported already, unless its text has changed."""
    text, module = path.read_text(), sys.modules.get(name)
    if module is not None and Path(module.__file__ or "") == path and getattr(module, "__text__", text) == text:
        return module
    linecache.checkcache(str(path))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)  # not a stale byte code of the same second
    except BaseException:
        del sys.modules[name]
        raise
    module.__text__ = text  # type: ignore[attr-defined]
    return module


def uses(function: Callable[..., Any]) -> list[str]:
    """Names of the sweeps and readings that a function needs: its parameters."""
    return list(inspect.signature(function).parameters)


# ------------------------------------------------------------------------------------------------------------- captions


def caption(function: Draw, swept: Mapping[str, Swept]) -> str:
    """What a figure shows (its docstring) and how it was made (from the configs)."""
    shown = inspect.cleandoc(function.__doc__ or function.__name__)
    return "\n\n".join([" ".join(shown.split()), *(settings(name, each) for name, each in swept.items())])


@lru_cache(maxsize=32)
def settings(name: str, swept: Swept) -> str:
    """One sweep in a sentence or two: config, axes, cells and what became of them."""
    axes = ", ".join(f"{axis.name} {_span(axis.labels)}" for axis in swept.sweep.axes)
    counts = ", ".join(f"{count} {what}" for what, count in census(swept.data).items())
    bound = {path: axis.name for axis in swept.sweep.axes for path in axis.paths}
    derived = _derived(swept.sweep)
    made = describe(swept.sweep.base, dict.fromkeys(derived, "derived") | bound)
    ranges = "; ".join(f"{path} {span}" for path, span in derived.items())
    after = f" Derived: {ranges}." if ranges else ""
    return f"Sweep `{name}`: {made}. Axes: {axes or 'none'}.{after} Cells: {counts}."


def _derived(sweep: Sweep) -> dict[str, str]:
    """Numbers that `derive` sets, with the range of their values over the cells."""
    if not sweep.derive:
        return {}
    ends: dict[str, tuple[float, float]] = {}
    changed = set()
    for run, plain in zip(sweep.runs(), dataclasses.replace(sweep, derive=None).runs(), strict=True):
        before = dict(configs.paths(plain))
        for path, value in configs.paths(run):
            if isinstance(value, int | float) and not isinstance(value, bool):
                low, high = ends.get(path, (value, value))
                ends[path] = min(low, value), max(high, value)
                changed |= {path} if value != before.get(path) else set()
    shown = {path: (f"{low:g}", f"{high:g}") for path, (low, high) in ends.items() if path in changed}
    return {path: low if low == high else f"{low} to {high}" for path, (low, high) in shown.items()}


def describe(value: Any, bound: Mapping[str, str] | None = None, path: str = "") -> str:
    """A config as one would write it, fields at their defaults left out; `bound` names fields by what sweeps them."""
    if not configs.is_config(value):
        if isinstance(value, tuple):
            return "(" + ", ".join(describe(item) for item in value) + ")"
        return f"{value:g}" if isinstance(value, float) else str(value)
    bound = bound or {}
    parts = []
    for field in dataclasses.fields(value):
        mine, own = getattr(value, field.name), f"{path}{field.name}"
        if own in bound:
            parts.append(f"{field.name}={bound[own]}")
        elif any(other.startswith(own + ".") for other in bound) or not _is_default(mine, field.default):
            parts.append(f"{field.name}={describe(mine, bound, own + '.')}")
    return f"{type(value).__name__}({', '.join(parts)})"


def _is_default(value: Any, default: Any) -> bool:
    return isinstance(value, type(default)) and value == default


def _span(labels: Sequence[Any]) -> str:
    if all(isinstance(label, int | float) for label in labels) and len(labels) > 4:
        return f"{labels[0]:g} to {labels[-1]:g} ({len(labels)} values)"
    return "{" + ", ".join(f"{x:g}" if isinstance(x, float) else str(x) for x in labels) + "}"


def summary(data: xr.Dataset, batches: Sequence[Any]) -> dict[str, Any]:
    """What is stored of a sweep, for `show`: counts, variables, time, versions."""
    made = [batch.provenance for batch in batches]
    return {
        "cells": census(data),
        **({"diverged": lost} if (lost := divergences(data)) else {}),
        "variables": {str(name): dict(array.sizes) for name, array in data.data_vars.items()},
        "batches": len(batches),
        "seconds": round(sum(each.get("seconds", 0.0) for each in made), 1),
        "bytes": sum(batch.path.stat().st_size for batch in batches),
        "provenance": [
            json.loads(text)
            for text in sorted({json.dumps({k: v for k, v in p.items() if k not in ("time", "seconds")}) for p in made})
        ],
    }
