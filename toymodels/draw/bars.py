"""Stacked bars: of shares, of the weights of neurons."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float
from toymodels.draw.maps import edges


def stacked(
    ax: Axes,
    x: Float[Array, " bars"] | ArrayLike,
    shares: Mapping[str, Any],
    palette: Mapping[str, Any],
    width: float | None = None,
    log: bool = False,
) -> None:
    """Bars at x, each stacked from 0 in the order of shares, name -> heights, in the colours of the palette.

    width: of all bars; without, they touch midway between neighbouring x, on a log axis too.
    """
    xs, bottom = np.asarray(x, np.float64), np.zeros(np.size(x))
    ends = edges(xs, log)
    left, widths = (ends[:-1], np.diff(ends)) if width is None else (xs - width / 2, np.full(len(xs), width))
    for name, heights in shares.items():
        height = np.nan_to_num(np.asarray(heights, np.float64), posinf=0, neginf=0)
        if height.shape != xs.shape:
            raise ValueError(f"{name}: {height.shape} heights for {len(xs)} bars")
        ax.bar(left, height, widths, bottom, align="edge", color=palette[name], alpha=0.85, lw=0, label=name)
        bottom = bottom + height
    if log:
        ax.set_xscale("log")


def stack(ax: Axes, weights: Float[Array, "neurons features"] | ArrayLike) -> None:
    """Neuron stack plot: each neuron's |weights| stacked by feature, largest at the bottom; one colour a feature."""
    rows = np.abs(np.nan_to_num(np.asarray(weights, np.float64), posinf=0, neginf=0))
    if rows.ndim != 2:
        raise ValueError(f"weights of shape {rows.shape}: they are neurons x features")
    colours = mpl.colormaps["viridis"](np.linspace(0.05, 0.95, max(rows.shape[1], 1)))
    order = np.argsort(-rows, axis=1)
    sorted_rows = np.take_along_axis(rows, order, axis=1)
    bottom = np.zeros(len(rows))
    for place in range(rows.shape[1]):
        ax.bar(np.arange(len(rows)), sorted_rows[:, place], 0.8, bottom, color=colours[order[:, place]], ec="w", lw=0.3)
        bottom += sorted_rows[:, place]
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(8, integer=True))
    ax.set(xlabel="neuron", ylabel="sum of |weights| by feature")
