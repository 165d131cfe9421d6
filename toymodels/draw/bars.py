"""Stacked bars: of shares, of the weights of neurons."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float
from toymodels.draw.legends import colour_bar
from toymodels.draw.maps import edges


def stacked(
    ax: Axes,
    x: Float[Array, " bars"] | ArrayLike,
    shares: Mapping[str, Any] | ArrayLike,
    palette: Mapping[str, Any],
    width: float | None = None,
    log: bool = False,
) -> None:
    """Bars at x, each stacked from 0 in the order of shares, name -> heights, in the colours of the palette; an array
    has rows in the palette's order.

    width: of all bars; without, they touch midway between neighbouring x, on a log axis too.
    """
    xs, bottom = np.asarray(x, np.float64), np.zeros(np.size(x))
    ends = edges(xs, log)
    left, widths = (ends[:-1], np.diff(ends)) if width is None else (xs - width / 2, np.full(len(xs), width))
    rows = shares if isinstance(shares, Mapping) else dict(zip(palette, np.asarray(shares), strict=True))
    for name, heights in rows.items():
        height = np.nan_to_num(np.asarray(heights, np.float64), posinf=0, neginf=0)
        if height.shape != xs.shape:
            raise ValueError(f"{name}: {height.shape} heights for {len(xs)} bars")
        ax.bar(left, height, widths, bottom, align="edge", color=palette[name], alpha=0.85, lw=0, label=name)
        bottom = bottom + height
    if log:
        ax.set_xscale("log")


def stack(ax: Axes, weights: Float[Array, "neurons features"] | ArrayLike, signed: bool = False) -> None:
    """Neuron stack plot: each neuron's |weights| stacked by feature, largest at the bottom; one colour a feature.

    signed: positive weights upwards from 0, negative ones downwards.
    """
    rows = np.nan_to_num(np.asarray(weights, np.float64), posinf=0, neginf=0)
    if rows.ndim != 2:
        raise ValueError(f"weights of shape {rows.shape}: they are neurons x features")
    if signed:
        ax.axhline(0, color="black", lw=0.5)
        ax.use_sticky_edges = False
    for part in (rows.clip(0), rows.clip(None, 0)) if signed else (np.abs(rows),):
        _stack(ax, part)
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(8, integer=True))
    ax.set_xlim(-0.8, max(len(rows), 1) - 0.2)
    ax.set(xlabel="neuron", ylabel="weights by feature" if signed else "sum of |weights| by feature")


def feature_bar(figure: Any, axes: Any, count: int, label: str = "feature, most important first") -> Colorbar:
    """The colours of `stack` for so many features, the first on top, beside all these axes."""
    mesh = mpl.cm.ScalarMappable(
        mpl.colors.Normalize(-0.5, count - 0.5), mpl.colors.ListedColormap(feature_colours(count))
    )
    bar = colour_bar(figure, mesh, axes, label)
    bar.ax.invert_yaxis()
    bar.ax.yaxis.set_major_locator(mpl.ticker.MaxNLocator(6, integer=True))
    return bar


def _stack(ax: Axes, rows: Float[np.ndarray, "neurons features"]) -> None:
    colours, order, bottom = feature_colours(rows.shape[1]), np.argsort(-np.abs(rows), axis=1), np.zeros(len(rows))
    for place, heights in zip(order.T, np.take_along_axis(rows, order, axis=1).T, strict=True):
        some = np.flatnonzero(heights)
        ax.bar(some, heights[some], 0.8, bottom[some], color=colours[place[some]], ec="w", lw=0.3)
        bottom = bottom + heights


def feature_colours(count: int) -> Float[np.ndarray, "count 4"]:
    """The colours of so many features in `stack`, the most important dark."""
    return np.asarray(mpl.colormaps["viridis"](np.linspace(0.05, 0.95, max(count, 1))))
