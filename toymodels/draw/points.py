"""Points: with intervals, open where flagged, in clouds, as a census, as discs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float
from toymodels.draw.curves import levels
from toymodels.draw.intervals import ends
from toymodels.draw.style import BLUE


def points(
    ax: Axes,
    x: Float[Array, " points"] | ArrayLike,
    interval: Any,
    label: str | None = None,
    colour: Any = None,
    marker: str = "o",
    shift: float = 0.0,
    flagged: Any = False,
    **look: Any,
) -> Line2D:
    """Points with their intervals as bars; flagged ones open; `ls="-"` joins them.

    interval: an Interval of arrays, a sequence of Intervals, or (low, mid, high). shift: to the right, in typographic
    points, so that series stand side by side on any axis (`draw.shifts`).
    """
    xs, (low, mid, high) = np.atleast_1d(np.asarray(x, np.float64)), (np.atleast_1d(end) for end in ends(interval))
    lines = _marks(ax, xs, mid, np.broadcast_to(np.asarray(flagged, bool), mid.shape), label, colour, marker, look)
    bars = ax.vlines(xs, low, high, color=lines[0].get_color(), lw=0.8, zorder=1.9)
    _shift(ax, [*lines, bars], shift, 0)
    return lines[0]


def census(
    ax: Axes,
    share: Any,
    y: Float[Array, " points"] | ArrayLike,
    label: str | None = None,
    colour: Any = None,
    marker: str = "o",
    shift: float = 0.0,
    **look: Any,
) -> Line2D:
    """Basins as points at their share (horizontal, an interval: a bar) and height y, such as their loss.

    shift: upwards, in typographic points, so that the censuses of several settings stand above each other.
    """
    ys, (low, mid, high) = np.atleast_1d(np.asarray(y, np.float64)), (np.atleast_1d(end) for end in ends(share))
    lines = _marks(ax, mid, ys, np.zeros(ys.shape, bool), label, colour, marker, {"ms": 3, **look})
    bars = ax.hlines(ys, low, high, color=lines[0].get_color(), lw=0.6, zorder=1.9)
    _shift(ax, [*lines, bars], 0, shift)
    return lines[0]


def flagged_points(
    ax: Axes,
    x: Float[Array, " points"] | ArrayLike,
    y: Float[Array, " points"] | ArrayLike,
    flagged: Float[Array, " points"] | ArrayLike,
    colour: Any = BLUE,
    label: str | None = None,
    **look: Any,
) -> Line2D:
    """Points as filled markers, those flagged (not converged, partly diverged) as open ones."""
    xs, ys, marks = np.asarray(x, np.float64), np.asarray(y, np.float64), np.asarray(flagged, bool)
    return _marks(ax, xs, ys, marks, label, colour, "o", look)[0]


def cloud(
    ax: Axes,
    x: Float[Array, "*shape"] | ArrayLike,
    y: Float[Array, "*shape"] | ArrayLike,
    label: str | None = None,
    colour: Any = BLUE,
    alpha: float = 0.5,
    **look: Any,
) -> Line2D:
    """Many small dots, rasterised: every seed, every feature. x and y broadcast: `cloud(ax, p[:, None], of_seeds)`."""
    xs, ys = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    good = np.isfinite(xs) & np.isfinite(ys)
    look = {"ms": 2.2, "mew": 0, "rasterized": True, "zorder": 1.8, **look}
    (line,) = ax.plot(xs[good], ys[good], "o", color=colour, alpha=alpha, label=label, **look)
    return line


def clouds(
    ax: Axes,
    series: Mapping[str, tuple[Any, Any, Any]],
    ms: float = 2.2,
    alpha: float = 0.5,
) -> None:
    """Clouds of several series, label -> (x, y, colour), in random order: none lies on top of another."""
    arrays = [(*np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float)), c) for x, y, c in series.values()]
    parts = [(np.ravel(x), np.ravel(y), [to_rgba(colour, alpha)] * np.size(x)) for x, y, colour in arrays]
    x, y, colours = (np.concatenate([part[place] for part in parts]) for place in range(3))
    order = np.random.default_rng(0).permutation(np.flatnonzero(np.isfinite(x) & np.isfinite(y)))
    ax.scatter(x[order], y[order], s=ms**2, c=colours[order], lw=0, rasterized=True, zorder=1.8)
    for label, (_, _, colour) in series.items():
        ax.plot([], [], "o", ms=3.5, color=colour, label=label)


def discs(
    ax: Axes,
    x: Float[Array, " points"] | ArrayLike,
    y: Float[Array, " points"] | ArrayLike,
    share: Float[Array, " points"] | ArrayLike,
    label: str | None = None,
    colour: Any = "0.72",
    largest: float = 45.0,
) -> PathCollection:
    """Discs whose area is proportional to a share in [0, 1]; `largest` points squared for 1."""
    size = largest * np.nan_to_num(np.asarray(share, np.float64), posinf=0, neginf=0).clip(0, 1)
    return ax.scatter(x, y, s=size, color=colour, lw=0, zorder=1.8, label=label)


def scatter_lines(
    ax: Axes,
    x: Float[Array, "*shape"] | ArrayLike,
    D: Float[Array, "*shape"] | ArrayLike,
    lines: dict[str, float] | None = None,
    flagged: Float[Array, "*shape"] | ArrayLike | None = None,
    colour: Any = BLUE,
) -> None:
    """Every D_i as a dot over x, with labelled guide lines; `flagged` points (not converged) are drawn open."""
    xs, ds = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(D, np.float64))
    marks = np.zeros(ds.shape, bool) if flagged is None else np.broadcast_to(np.asarray(flagged, bool), ds.shape)
    # Fainter the more there are, so that an accumulation shows; never invisible.
    alpha = float(np.clip(60 / max(ds.size, 1), 0.08, 0.8))
    good = np.isfinite(xs) & np.isfinite(ds)
    cloud(ax, xs[~marks], ds[~marks], colour=colour, alpha=alpha)
    ax.plot(xs[good & marks], ds[good & marks], "o", ms=2.6, mew=0.5, mfc="none", color=colour, alpha=max(alpha, 0.3))
    ax.set(ylabel="feature dimensionality $D_i$", ylim=(-0.03, max(1.05, ds[good].max(initial=0.0) + 0.05)))
    if lines:
        levels(ax, list(lines.values()), list(lines))


def shifts(count: int, gap: float = 4.0) -> np.ndarray:
    """`count` shifts, `gap` typographic points apart and centred on 0, for series side by side."""
    return gap * (np.arange(count) - (count - 1) / 2)


def aside(
    x: Float[Array, " cells"] | ArrayLike, count: int, width: float = 0.03, log: bool = True
) -> Float[np.ndarray, "cells count"]:
    """Places for the `count` members of each cell, side by side around its x: x exp(± width), or x ± width."""
    steps = np.linspace(-width, width, count) if count > 1 else np.zeros(count)
    centres = np.asarray(x, np.float64)[:, None]
    return centres * np.exp(steps) if log else centres + steps


def _marks(
    ax: Axes,
    x: np.ndarray,
    y: np.ndarray,
    flagged: np.ndarray,
    label: str | None,
    colour: Any,
    marker: str,
    look: dict[str, Any],
) -> list[Line2D]:
    """The filled markers, which carry the label, the open ones, and, where a line style is given, what joins them."""
    if not x.shape == y.shape == flagged.shape:
        raise ValueError("points take x, y and flags of one shape")
    kept = np.isfinite(x) & np.isfinite(y)
    look = {"zorder": 2, **look}
    joined = {name: look.pop(name) for name in ("ls", "lw") if name in look}
    full, hollow = kept & ~flagged, kept & flagged
    lines = ax.plot(x[full], y[full], color=colour, label=label, marker=marker, ls="", **look)
    colour = lines[0].get_color()
    open_look = {**look, "mfc": "white", "zorder": look["zorder"] + 0.1}
    lines += ax.plot(x[hollow], y[hollow], color=colour, marker=marker, ls="", **open_look)
    if joined:
        lines += ax.plot(x, np.where(kept, y, np.nan), color=colour, zorder=look["zorder"] - 0.05, **joined)
    return lines


def _shift(ax: Axes, artists: Sequence[Artist], right: float, up: float) -> None:
    """Shift artists by typographic points, with room for them inside the limits, which are those of the data."""
    aside = ScaledTranslation(right / 72, up / 72, ax.figure.dpi_scale_trans)
    for artist in artists:
        artist.set_transform(ax.transData + aside)
    box = ax.get_window_extent()
    scale = ax.figure.dpi / 72
    across, along = ax.margins()
    ax.set_xmargin(max(across, 0.05 + scale * abs(right) / box.width))
    ax.set_ymargin(max(along, 0.05 + scale * abs(up) / box.height))
