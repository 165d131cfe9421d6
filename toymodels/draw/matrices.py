"""Matrices, the first row on top, with a bias as a column beside."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float
from toymodels.draw.curves import moments
from toymodels.draw.legends import inner_colour_bar


def gram(ax: Axes, W: Float[Array, "features hidden"] | ArrayLike, bar: bool = True) -> QuadMesh:
    """W Wᵀ as a heatmap, the first feature on top, colours centred on 0."""
    rows = np.asarray(W, np.float64)
    if rows.ndim != 2:
        raise ValueError(f"W of shape {rows.shape}: it is features x hidden")
    mesh = matrix(ax, rows @ rows.T)
    ax.set(xlabel="feature", ylabel="feature")
    if bar:
        inner_colour_bar(ax, mesh, "$W W^\\mathsf{T}$")
    return mesh


def matrix(
    ax: Axes, values: Float[Array, "rows columns"] | ArrayLike, largest: float | None = None, **colours: Any
) -> QuadMesh:
    """A matrix as a heatmap, the first row on top, square cells, colours centred on 0, from -largest to largest.

    Without `largest`, that of its entries. For sizes, such as |cos|: `cmap="Greys", vmin=0, vmax=1`.
    """
    shown = np.asarray(values, np.float64)
    if shown.ndim != 2:
        raise ValueError(f"values of shape {shown.shape}: a matrix has rows and columns")
    reach = _largest([shown]) if largest is None else largest
    down, across = (np.arange(count + 1) - 0.5 for count in shown.shape)
    look = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach, **colours}
    # Rasterised, or a vector file holds a rectangle an entry.
    mesh = ax.pcolormesh(across, down, np.ma.masked_invalid(shown), rasterized=True, **look)
    ax.set(aspect="equal", ylim=(max(len(shown), 1) - 0.5, -0.5))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(mpl.ticker.MaxNLocator(5, integer=True))
    return mesh


def bias(ax: Axes, b: Float[Array, " features"] | ArrayLike, largest: float, label: str = "$b$") -> QuadMesh:
    """b as a column beside `gram`, the first feature on top, in the same colours from -largest to largest."""
    values = np.asarray(b, np.float64)
    if values.ndim != 1:
        raise ValueError(f"b of shape {values.shape}: one bias a feature")
    if not largest > 0:
        raise ValueError(f"largest={largest:g}: it must be positive")
    side = ax.inset_axes((1.04, 0, 0.09, 1))
    column = np.ma.masked_invalid(values[:, None])
    mesh = side.pcolormesh(column, cmap="RdBu_r", vmin=-largest, vmax=largest, rasterized=True)
    side.set(xticks=[], yticks=[], ylim=(max(len(values), 1), 0), xlabel=label)
    side.spines[:].set_visible(True)
    return mesh


def matrices(
    axes: Axes | Sequence[Axes] | np.ndarray,
    values: Sequence[ArrayLike],
    biases: Sequence[ArrayLike | None] | None = None,
    titles: Sequence[str] | None = None,
    largest: float | None = None,
    label: str = "$b$",
    **colours: Any,
) -> QuadMesh:
    """Matrices side by side in one scale of colours, framed, without ticks, with their biases and small titles.

    Returns a mesh for `colour_bar(figure, mesh, axes, "$W W^\\mathsf{T}$, $b$")`. Pass W @ W.T for Gram matrices.
    """
    flat, arrays = list(np.asarray(axes, object).ravel()), [np.asarray(each, np.float64) for each in values]
    columns = [None] * len(arrays) if biases is None else list(biases)
    names = [""] * len(arrays) if titles is None else list(titles)
    if not len(flat) == len(arrays) == len(columns) == len(names) or not arrays:
        raise ValueError("matrices take as many axes, matrices, biases and titles, and at least one of each")
    reach = _largest([*arrays, *(np.asarray(b, np.float64) for b in columns if b is not None)])
    reach = reach if largest is None else largest
    for ax, each, b, name in zip(flat, arrays, columns, names, strict=True):
        mesh = matrix(ax, each, reach, **colours)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(True)
        if name:
            ax.set_title(name, fontsize=7)
        if b is not None:
            bias(ax, b, reach, label)
    return mesh


def lengths(
    axes: Axes | Sequence[Axes] | np.ndarray, W: Sequence[ArrayLike], values: Sequence[ArrayLike], unit: float = 1.0
) -> ScalarMappable:
    """|W_i| of each of several W (features x hidden) as bars, the first feature on top, with a dotted line at `unit`.

    Bars are coloured by a value of each feature in one scale from 0 to the largest, or to `unit`; returns it for
    `colour_bar(figure, mappable, axes, "superposition")`. The first axes of each row are labelled.
    """
    flat, models = list(np.asarray(axes, object).ravel()), [np.linalg.norm(np.asarray(each), axis=1) for each in W]
    colours = ScalarMappable(
        Normalize(0, max(unit, _largest([np.asarray(each, np.float64) for each in values]))), "viridis"
    )
    for ax, norms, each in zip(flat, models, values, strict=True):
        ax.barh(np.arange(len(norms)), norms, 1.0, color=colours.to_rgba(np.asarray(each)))
        ax.set(xlim=(0, 1.45 * unit), ylim=(len(norms) - 0.5, -0.5), xticks=[0, unit], yticks=[])
        moments(ax, [unit], colour="0.6", lw=0.5)
        place = ax.get_subplotspec()
        if place is None or place.is_first_col():
            ax.set(ylabel="feature", yticks=[0, len(norms) - 1], yticklabels=[1, len(norms)])
    return colours


def part(ax: Axes, *after: int) -> None:
    """Thin lines across a matrix after its first so many rows and columns, which part sets of features."""
    for place in after:
        ax.axhline(place - 0.5, color="black", lw=0.6)
        ax.axvline(place - 0.5, color="black", lw=0.6)


def _largest(arrays: Sequence[np.ndarray]) -> float:
    sizes = np.concatenate([np.abs(each[np.isfinite(each)]).ravel() for each in arrays])
    return float(sizes.max(initial=0.0)) or 1.0
