"""Timings as pictures."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from benchmarks.contenders import OURS
from benchmarks.report import FLOOR, Timing, ratios
from benchmarks.sweeps import Growth
from toymodels import draw

SPEED = """How many times as long as ours a training step takes, by workload: medians over repeats with their range.
Right of the dotted line the other is slower. Squares: the matrix products of the step alone. Made by `make
bench`."""
GROWTH = """Seconds of training against the number of cells (a, 500 steps each) and of steps (b, 100 cells): measured,
and in proportion to the last point (dashed); n = 5, m = 2, batch 1024. Made by `make bench`."""


def speed(timings: Mapping[str, Mapping[str, Timing]], path: Path) -> None:
    """How many times as long as ours a step takes: medians and ranges over repeats, a row a workload."""
    labels = [label for label in next(iter(timings.values())) if label != OURS]
    with draw.style():
        fig, ax = plt.subplots(figsize=(draw.PAGE, 3.4))
        for place, name in enumerate(timings):
            for offset, label in enumerate(labels):
                ratio = ratios(timings[name], label)
                y = place + 0.16 * (offset - (len(labels) - 1) / 2)
                colour = draw.THEORY if label == FLOOR else draw.PALETTE[offset]
                shown = label if place == 0 else None
                ax.plot([ratio.min(), ratio.max()], [y, y], color=colour, lw=1)
                ax.plot(np.median(ratio), y, "s" if label == FLOOR else "o", color=colour, label=shown)
        ax.axvline(1, color=draw.BLACK, lw=0.6, ls=":")
        ax.set(xscale="log", xlabel="time of a step, in units of ours", yticks=range(len(timings)))
        ax.set_yticklabels(list(timings))
        ax.invert_yaxis()
        fig.legend(loc="outside upper center", ncols=2)
        _kept(fig, path, SPEED)


def growth(growth: Growth, path: Path) -> None:
    """Seconds of training against cells and against steps, with lines of slope one."""
    with draw.style():
        fig, axes = plt.subplots(1, 2, figsize=(draw.PAGE, 2.4), sharey=True)
        for ax, x, seconds, label in (
            (axes[0], growth.cells, growth.by_cells, "cells of 500 steps"),
            (axes[1], growth.steps, growth.by_steps, "steps of 100 cells"),
        ):
            ax.plot(x, seconds[-1] * x / x[-1], color=draw.THEORY, ls="--", label="proportional")
            ax.plot(x, seconds, "o-", color=draw.BLUE, label="measured")
            ax.set(xscale="log", yscale="log", xlabel=label)
        axes[0].set_ylabel("seconds")
        axes[0].legend()
        draw.panel_labels(axes)
        _kept(fig, path, GROWTH)


def _kept(fig: Figure, path: Path, caption: str) -> None:
    draw.save(fig, path, vector=None)
    path.with_suffix(".md").write_text(caption + "\n")
    plt.close(fig)
