"""Stored runs as moving pictures: which cells, where each frame is along its curve, and what is said above it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from toymodels import config as configs
from toymodels.draw.animation import Clip
from toymodels.experiment import Swept
from toymodels.problems import protocol
from toymodels.report.explorers import pictured, short, vectors_of
from toymodels.results import best
from toymodels.train import Run

MOST = 4
"""Runs that are shown together."""


def clips(swept: Swept, asked: Mapping[str, Sequence[str]]) -> tuple[list[Clip], str]:
    """A clip for each combination of the labels that are asked for, and what the curve is over: the step, or the number
    that the problem changes as it is trained on.

    Axes that are not named stand at their first label; of the seeds it is the one whose loss ends least, converged or
    not. ValueError for names and labels that the sweep lacks, and where no parameter has feature vectors.
    """
    data, axes = swept.data, {axis.name: list(axis.labels) for axis in swept.sweep.axes}
    parameter = vectors_of(data)
    if parameter is None:
        raise ValueError("no parameter of this sweep has rows that are feature vectors")
    if data.sizes["snapshot"] < 3:
        raise ValueError(f"{data.sizes['snapshot']} snapshots are too few to move: `record.snapshots=40` keeps more")
    for axis in asked:
        if axis not in axes:
            raise ValueError(f"{axis}: no such axis; there are {', '.join(axes)}")
    chosen = {axis: list(_chosen(axis, labels, asked.get(axis, ()))) for axis, labels in axes.items()}
    cells = list(product(*(own or [labels[0]] for own, labels in zip(chosen.values(), axes.values(), strict=True))))
    if len(cells) > MOST:
        raise ValueError(f"{len(cells)} runs: at most {MOST} are shown together")
    made = []
    for cell in cells:
        labels = dict(zip(axes, cell, strict=True))
        if "seed" in axes and not chosen["seed"]:
            labels["seed"] = best(data.sel({axis: own for axis, own in labels.items() if axis != "seed"})).seed.item()
        told = ", ".join(f"{axis} = {short(labels[axis])}" for axis, own in chosen.items() if len(own) > 1)
        made.append(_clip(data.sel(labels).load(), swept.sweep.cell(**labels), parameter, told))
    over = {each for _, each in made}
    return [clip for clip, _ in made], over.pop() if len(over) == 1 else "step"


def _chosen(axis: str, labels: Sequence[Any], words: Sequence[str]) -> Iterator[Any]:
    """The labels that are asked for, each a word, or several in a word with commas between them."""
    for word in words:
        whole = _found(labels, word)
        yield from [whole] if whole is not None else (_label(axis, labels, part) for part in word.split(","))


def _found(labels: Sequence[Any], word: str) -> Any:
    for label in labels:
        if word in (str(label), short(label)) or (isinstance(label, int | float) and _number(word) == label):
            return label
    return None


def _label(axis: str, labels: Sequence[Any], word: str) -> Any:
    found = _found(labels, word)
    if found is not None:
        return found
    raise ValueError(f"{axis}={word}: no such label; there are {', '.join(map(short, labels))}")


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _clip(data: xr.Dataset, run: Run, parameter: str, name: str) -> tuple[Clip, str]:
    W, _ = pictured(data[parameter].values.astype(np.float64)[None])
    steps, snapshots = data.step.values, data.snapshot.values
    losses = data.objective.values.astype(np.float64)
    values = _changing(run, snapshots)
    if values is None:
        x, along, over = np.maximum(snapshots, 0.5), np.maximum(steps, 0.5), "step"
        captions = [f"step {step}" for step in snapshots.tolist()]
    else:
        (over, x), (_, along) = values, _changing(run, steps) or values
        captions = [f"{over} = {value:.3g}" for value in x.tolist()]
    return Clip(name, W[0], x, (along, losses), captions), over


def _changing(run: Run, steps: np.ndarray) -> tuple[str, np.ndarray] | None:
    """The first number of the problem that changes in training, and what it is at the end of each step; None where none
    does."""
    if not protocol.changes(run.problem):
        return None
    problems = [protocol.at(run.problem, max(int(step) - 1, 0), run.steps) for step in steps]
    for path, value in configs.paths(problems[0]):
        if isinstance(value, str | bool) or configs.is_config(value):
            continue
        numbers = np.array([np.ravel(np.asarray(configs.get(each, path), np.float64)) for each in problems])
        moving = np.flatnonzero(np.ptp(numbers, axis=0) > 0)
        if len(moving):
            return path.rpartition(".")[2], numbers[:, moving[0]]
    return None
