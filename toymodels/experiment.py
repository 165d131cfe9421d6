"""An experiment: a question, the sweeps that answer it, the figures that show the answer, the numbers that decide it.

An experiment file holds one `experiment = Experiment(...)`. Figures and findings are functions whose parameters name
the sweeps they use; each parameter arrives as a `Swept`. A figure's docstring says what is shown; the settings in its
caption are written from the configs.
"""

import dataclasses
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from matplotlib import pyplot
from matplotlib.figure import Figure

from toymodels import config as configs
from toymodels import draw
from toymodels.store import Store, census, dataset, usable
from toymodels.sweep import Sweep
from toymodels.train import Run

Scale = Literal["tiny", "default", "full"]
SCALES: tuple[Scale, ...] = ("tiny", "default", "full")


@dataclass(frozen=True, eq=False)
class Swept:
    """A sweep and its results, opened. A key by identity: what is read off it slowly may go through `lru_cache`."""

    sweep: Sweep
    data: xr.Dataset

    def run(self, **labels: Any) -> Run:
        """The config of the cell at these labels; of the first seed, if none is given."""
        first = {axis.name: axis.labels[0] for axis in self.sweep.axes if axis.name == "seed"}
        return self.sweep.cell(**first | labels)

    def final(self, name: str = "W", unconverged: bool = False) -> xr.DataArray:
        """A parameter at the end of training in float64; NaN for diverged and, unless asked, unconverged cells."""
        last = self.data[name].isel(snapshot=-1).astype(np.float64)
        return usable(last, self.data.status, unconverged)

    def weights(self, *axes: str, **labels: Any) -> tuple[np.ndarray, np.ndarray]:
        """W and b of a tied model at the end of training in float64, (*axes, features, hidden) and (*axes, features).

        Converged or not, NaN for diverged cells; `labels` choose among cells.
        """
        W, b = (self.final(name, unconverged=True).sel(labels) for name in ("W", "b"))
        return W.transpose(*axes, "feature", "hidden").values, b.transpose(*axes, "feature").values

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


class Finding(NamedTuple):
    """One number that the experiment was made for, beside what it should be."""

    what: str
    measured: str
    expected: str
    holds: bool | None
    """None where there is nothing to compare with."""
    source: str = ""
    """Where the expected value comes from."""


Draw = Callable[..., Figure]
Find = Callable[..., "Finding | Sequence[Finding]"]


@dataclass(frozen=True)
class Experiment:
    question: str
    source: str
    sweeps: Callable[[Scale], Mapping[str, Sweep]]
    figures: Sequence[Draw]
    findings: Sequence[Find] = ()
    cost: str = ""
    """What the published scale costs."""
    name: str = ""
    file: Path = Path()
    """Where it was loaded from."""

    def figure(self, name: str) -> Draw:
        for function in self.figures:
            if function.__name__ == name:
                return function
        raise ValueError(f"{name}: no such figure; there are {', '.join(each.__name__ for each in self.figures)}")


def load(path: Path) -> Experiment:
    """The experiment in a file; ValueError if there is none."""
    if not path.is_file():
        raise ValueError(f"{path}: no such experiment file")
    name = f"toymodels_experiment_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError) as error:
        raise ValueError(f"{path}: cannot be loaded ({error})") from error
    experiment = getattr(module, "experiment", None)
    if not isinstance(experiment, Experiment):
        raise ValueError(f"{path}: an experiment file defines `experiment = Experiment(...)`")
    return dataclasses.replace(experiment, name=experiment.name or path.stem, file=path)


def uses(function: Callable[..., Any]) -> list[str]:
    """Names of the sweeps that a figure or a finding needs: its parameters."""
    return list(inspect.signature(function).parameters)


def gather(sweeps: Mapping[str, Sweep], folder: Path) -> dict[str, Swept]:
    """The results of sweeps, from the store alone."""
    found = {}
    for name, sweep in sweeps.items():
        found[name] = Swept(sweep, dataset(sweep.grid(), Store(folder / name).index))
    return found


def caption(function: Draw, swept: Mapping[str, Swept]) -> str:
    """What a figure shows (its docstring) and how it was made (from the configs)."""
    shown = inspect.cleandoc(function.__doc__ or function.__name__)
    return "\n\n".join([" ".join(shown.split()), *(settings(name, swept[name]) for name in uses(function))])


@lru_cache(maxsize=32)
def settings(name: str, swept: Swept) -> str:
    """One sweep in a sentence or two: config, axes, cells and what became of them."""
    axes = ", ".join(f"{axis.name} {_span(axis.labels)}" for axis in swept.sweep.axes)
    counts = ", ".join(f"{count} {what}" for what, count in census(swept.data).items())
    bound = {path: axis.name for axis in swept.sweep.axes for i in range(len(axis.labels)) for path in axis.binding(i)}
    derived = _derived(swept.sweep)
    made = describe(swept.sweep.base, dict.fromkeys(derived, "derived") | bound)
    ranges = "; ".join(f"{path} {span}" for path, span in derived.items())
    after = f" Derived: {ranges}." if ranges else ""
    return f"Sweep `{name}`: {made}. Axes: {axes or 'none'}.{after} Cells: {counts}."


def _derived(sweep: Sweep) -> dict[str, str]:
    """Numbers that `derive` sets, with the range of their values over the cells."""
    if not sweep.derive:
        return {}
    values: dict[str, set[float]] = {}
    changed = set()
    for run, plain in zip(sweep.runs(), dataclasses.replace(sweep, derive=None).runs(), strict=True):
        before = dict(configs.paths(plain))
        for path, value in configs.paths(run):
            if isinstance(value, int | float) and not isinstance(value, bool):
                values.setdefault(path, set()).add(value)
                changed |= {path} if value != before.get(path) else set()
    ends = {path: (f"{min(found):g}", f"{max(found):g}") for path, found in values.items() if path in changed}
    return {path: low if low == high else f"{low} to {high}" for path, (low, high) in ends.items()}


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


def draw_figures(figures: Sequence[Draw], swept: Mapping[str, Swept], folder: Path) -> Iterator[Path]:
    """Draw figures into a folder, each as a PNG with its caption beside it; yields the paths as they are written."""
    folder.mkdir(parents=True, exist_ok=True)
    for function in figures:
        path = folder / f"{function.__name__}.png"
        with draw.style():
            made = function(*(swept[name] for name in uses(function)))
            made.savefig(path, dpi=200)
            pyplot.close(made)
        path.with_suffix(".md").write_text(caption(function, swept) + "\n")
        yield path


def is_current(experiment: Experiment, swept: Mapping[str, Swept], folder: Path, figures: Path) -> bool:
    """Whether all figures show these cells and are younger than the results and the code that draws them."""
    drawn = {function: figures / f"{function.__name__}.png" for function in experiment.figures}
    for function, path in drawn.items():
        told = path.with_suffix(".md")
        if not (path.exists() and told.exists() and told.read_text() == caption(function, swept) + "\n"):
            return False
    code = [experiment.file, *Path(__file__).parent.rglob("*.py")]
    results = [path for name in swept for path in (folder / name).iterdir()]
    return min(path.stat().st_mtime for path in drawn.values()) > max(path.stat().st_mtime for path in code + results)


def find(experiment: Experiment, swept: Mapping[str, Swept]) -> list[Finding]:
    """All findings of an experiment."""
    found: list[Finding] = []
    for function in experiment.findings:
        answer = function(*(swept[name] for name in uses(function)))
        found += [answer] if isinstance(answer, Finding) else answer
    return found


def findings_table(findings: Sequence[Finding]) -> str:
    """Findings as a Markdown table."""
    words = {True: "yes", False: "**no**", None: ""}
    cells = [(f.what, f.measured, f.expected, f.source, words[f.holds]) for f in findings]
    rows = ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in cells]
    return "\n".join(["| what | measured | expected | source | holds |", "|---|---|---|---|---|", *rows])


def summary(path: Path) -> dict[str, Any]:
    """What a stored sweep says of itself: axes, counts, versions, time; for `show`."""
    store = Store(path)
    grid = store.read_grid()
    data = dataset(grid, store.index)
    made = [batch.provenance for batch in store.batches]
    return {
        "axes": grid.axes,
        "cells": census(data),
        "variables": {str(name): dict(array.sizes) for name, array in data.data_vars.items()},
        "base": grid.about.get("base"),
        "batches": len(store.batches),
        "seconds": round(sum(each.get("seconds", 0.0) for each in made), 1),
        "bytes": sum(file.stat().st_size for file in path.iterdir()),
        "provenance": [
            json.loads(text)
            for text in sorted({json.dumps({k: v for k, v in p.items() if k not in ("time", "seconds")}) for p in made})
        ],
    }
