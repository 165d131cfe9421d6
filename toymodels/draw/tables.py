"""Tables of many small drawings in one axes: rows and columns have names, cells of any number stay fast to lay out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float, Int
from toymodels.draw.style import SMALL

Names = Sequence[Any] | np.ndarray


def tiles(
    ax: Axes, values: Sequence[Sequence[ArrayLike]], captions: ArrayLike, rows: Names, columns: Names, **colours: Any
) -> QuadMesh:
    """Matrices of any sizes, rows x columns of them, each a framed square below its caption of one or two lines.

    One scale of colours: `vmin`, `vmax`, `cmap` as in pcolormesh. Returns a mesh for `colour_bar`.
    """
    shown = [[np.asarray(each, np.float64) for each in row] for row in values]
    texts = _cells(captions, rows, columns)
    if [len(row) for row in shown] != [len(columns)] * len(rows):
        raise ValueError(f"{len(rows)} rows of {len(columns)} matrices are needed")
    finite = np.concatenate([each[np.isfinite(each)] for row in shown for each in row])
    look = {"vmin": finite.min(initial=0), "vmax": finite.max(initial=0) or 1.0, **colours}
    wide, high = 1.5, 1.34  # a square and the space to the next one
    for i, j in np.ndindex(len(rows), len(columns)):
        down, across = (np.linspace(0, 1, size + 1) for size in shown[i][j].shape)
        cell = np.ma.masked_invalid(shown[i][j])
        mesh = ax.pcolormesh(wide * j + across, high * i + down, cell, rasterized=True, **look)
        ax.add_patch(Rectangle((wide * j, high * i), 1, 1, fill=False, lw=0.6))
        ax.text(wide * j + 0.5, high * i - 0.04, str(texts[i, j]), fontsize=6, ha="center", va="bottom")
    ax.set(aspect="equal", xlim=(-0.25, wide * len(columns) - 0.25), ylim=(high * len(rows) - 0.3, -0.3))
    _named(ax, wide * np.arange(len(columns)) + 0.5, columns, high * np.arange(len(rows)) + 0.5, rows)
    return mesh


def tallies(
    ax: Axes,
    counts: Int[Array, "rows columns bars"] | Float[Array, "rows columns bars"] | ArrayLike,
    labels: ArrayLike,
    rows: Names,
    columns: Names,
    colours: Sequence[Any],
    total: float | None = None,
    name: str = "",
) -> None:
    """Bar charts: in each cell horizontal bars of counts, the first on top, each with its label on it; 0 is left out.

    colours: one a bar. total: the count of a bar as wide as its cell, by default the largest. name: what is counted.
    """
    heights = np.asarray(counts, np.float64)
    texts, bars = _cells(labels, rows, columns), heights.shape[-1]
    if heights.shape[:2] != (len(rows), len(columns)) or texts.shape != heights.shape or len(colours) != bars:
        raise ValueError("tallies take counts and labels of rows x columns x bars, and a colour for each bar")
    total = total or float(np.nanmax(heights, initial=0)) or 1.0
    starts, high = 1.1 * total * np.arange(len(columns)), bars + 0.7
    for i, j, bar in np.argwhere(heights > 0):
        ax.barh(high * i + bar, heights[i, j, bar], 0.85, left=starts[j], color=colours[bar])
        ax.text(starts[j] + 0.01 * total, high * i + bar, str(texts[i, j, bar]), fontsize=5, va="center", ha="left")
    for start in starts:
        ax.axvline(start, lw=0.5, color="0.7", zorder=0)
    ax.set(xlim=(0, starts[-1] + total), ylim=(high * len(rows) - 0.7, -1))
    _named(ax, starts + total / 2, columns, high * np.arange(len(rows)) + (bars - 1) / 2, rows)
    below = ax.secondary_xaxis("bottom")
    below.set_xticks(np.add.outer(starts, [0, total / 2]).ravel(), [f"{x:g}" for x in (0, total / 2)] * len(columns))
    below.set_xlabel(name)


def _cells(texts: ArrayLike, rows: Names, columns: Names) -> np.ndarray:
    found = np.asarray(texts, str)
    if found.shape[:2] != (len(rows), len(columns)):
        raise ValueError(f"{found.shape[:2]} cells have texts, of {len(rows)} rows and {len(columns)} columns")
    return found


def _named(ax: Axes, x: np.ndarray, columns: Names, y: np.ndarray, rows: Names) -> None:
    """Names of the columns on top, of the rows on the left, and no frame."""
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labeltop=True, labelbottom=False, labelsize=SMALL + 1)
    ax.set_xticks(x, [str(each) for each in columns])
    ax.set_yticks(y, [str(each) for each in rows], rotation=90, va="center")
