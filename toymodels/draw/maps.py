"""Maps over two axes: of values, of categories."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float
from toymodels.draw.legends import inner_colour_bar


def heatmap(
    ax: Axes,
    x: Float[Array, " columns"] | ArrayLike,
    y: Float[Array, " rows"] | ArrayLike,
    values: Float[Array, "rows columns"] | ArrayLike,
    label: str | None = None,
    log_x: bool = False,
    log_y: bool = False,
    log_values: bool = False,
    **colours: Any,
) -> QuadMesh:
    """values[row, column] over a grid of cell centres, edges midway on linear and on log axes; NaN is grey.

    With a label, a colour bar of its own; without, `colour_bar(figure, mesh, axes)`. `vmin`, `vmax`, `cmap` as usual.
    """
    xs, ys, grid = (np.asarray(data, np.float64) for data in (x, y, values))
    if grid.shape != (len(ys), len(xs)):
        raise ValueError(
            f"values of shape {grid.shape}: a heatmap takes rows for y ({len(ys)}), columns for x ({len(xs)})"
        )
    shown = np.ma.masked_invalid(grid)
    if log_values:
        shown = np.ma.masked_less_equal(shown, 0)
    limits = {name: colours.pop(name, None) for name in ("vmin", "vmax")}
    if shown.count() == 0:
        limits = {"vmin": 1.0, "vmax": 10.0}
    norm = (LogNorm if log_values else Normalize)(**limits)
    ax.set_facecolor("0.85")
    mesh = _cells(ax, xs, ys, shown, log_x, log_y, norm=norm, **colours)
    if label is not None:
        inner_colour_bar(ax, mesh, label)
    return mesh


def categories(
    ax: Axes,
    x: Float[Array, " columns"] | ArrayLike,
    y: Float[Array, " rows"] | ArrayLike,
    names: Any,
    palette: Mapping[str, Any],
    log_x: bool = False,
    log_y: bool = False,
) -> QuadMesh:
    """names[row, column] over a grid of cell centres in the colours of the palette, name -> colour: a phase diagram.

    Explain the colours with `category_legend(figure, palette, shown=names)`.
    """
    grid = np.asarray(names)
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    unknown = sorted({str(name) for name in grid.ravel()} - set(palette))
    if unknown:
        raise ValueError(f"{unknown[0]}: no colour in the palette")
    if grid.shape != (len(ys), len(xs)):
        raise ValueError(f"names of shape {grid.shape}: rows for y ({len(ys)}), columns for x ({len(xs)})")
    place = {name: index for index, name in enumerate(palette)}
    values = np.array([place[str(name)] for name in grid.ravel()], np.float64).reshape(grid.shape)
    colours = ListedColormap(list(palette.values()))
    norm = BoundaryNorm(np.arange(len(palette) + 1) - 0.5, len(palette))
    return _cells(ax, xs, ys, values, log_x, log_y, cmap=colours, norm=norm)


def edges(centres: np.ndarray, log: bool) -> np.ndarray:
    """Cell edges midway between sorted centres, mirrored at the ends; a lone cell is one unit, or a factor e, wide."""
    if log and not (centres > 0).all():
        raise ValueError("a log axis takes positive centres")
    c = np.log(centres) if log else centres
    if len(c) > 1:
        inner = (c[1:] + c[:-1]) / 2
        ends = np.concatenate([[2 * c[0] - inner[0]], inner, [2 * c[-1] - inner[-1]]])
    else:
        ends = np.concatenate([c - 0.5, c + 0.5])
    return np.exp(ends) if log else ends


def _cells(ax: Axes, x: np.ndarray, y: np.ndarray, grid: Any, log_x: bool, log_y: bool, **look: Any) -> QuadMesh:
    columns, rows = np.argsort(x), np.argsort(y)
    across, up = edges(x[columns], log_x), edges(y[rows], log_y)
    # Rasterised, or a vector file holds a rectangle a cell.
    mesh = ax.pcolormesh(across, up, grid[np.ix_(rows, columns)], rasterized=True, **look)
    if log_x:
        ax.set_xscale("log")
    if log_y:
        ax.set_yscale("log")
    ax.set(xlim=across[[0, -1]], ylim=up[[0, -1]])
    return mesh
