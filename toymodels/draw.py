"""Style and primitives for print: each takes an `Axes` and arrays, draws, and neither loads, nor derives, nor saves.

Data are in colour (Okabe & Ito, told apart by the colour-blind), theory in dashed grey, intervals are bands, points
that have not converged are open markers. Sizes are final: a figure is COLUMN or PAGE inches wide, its text 7 to 8 pt.
Values that are not finite are left out of every drawing; an array without a finite value leaves its axes empty.
"""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import LogNorm, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.transforms import ScaledTranslation, blended_transform_factory
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from toymodels.arrays import Array, Float

COLUMN, PAGE = 3.4, 7.0  # inches: one column, two columns

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
PALETTE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK)  # their yellow is too light for lines
THEORY = "0.35"

STYLE: dict[str, Any] = {
    "figure.figsize": (COLUMN, 2.4),
    "figure.dpi": 200,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "image.cmap": "viridis",
    "axes.prop_cycle": cycler(color=list(PALETTE)),
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}


@contextmanager
def style(**changes: Any) -> Iterator[None]:
    """Print style while the context lasts; keywords change matplotlib parameters, with `_` for `.`: `font_size=9`."""
    names = {name.replace(".", "_"): name for name in mpl.rcParams}
    unknown = sorted(set(changes) - set(names))
    if unknown:
        raise ValueError(f"{unknown[0]}: no such matplotlib parameter")
    settings: Any = STYLE | {names[name]: value for name, value in changes.items()}
    with mpl.rc_context(settings):
        yield


def arrows(ax: Axes, W: Float[Array, "features 2"] | ArrayLike, colours: Sequence[Any] | None = None) -> None:
    """Rows of W as arrows in the plane, on equal axes, with the unit circle for scale."""
    rows = np.asarray(W, np.float64)
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise ValueError(f"W of shape {rows.shape}: arrows are drawn for features x 2")
    norms = np.linalg.norm(np.where(np.isfinite(rows), rows, 0.0), axis=1)
    reach = 1.15 * max(1.0, norms.max(initial=0.0))
    ax.add_patch(Circle((0, 0), 1, fill=False, color="0.85", lw=0.6, zorder=0))
    for index, (row, norm) in enumerate(zip(rows, norms, strict=True)):
        colour = colours[index] if colours is not None else f"C{index % len(PALETTE)}"
        if not np.isfinite(row).all():
            continue
        if norm < 0.02 * reach:
            ax.plot(*row, "o", ms=2.5, color=colour)
        else:
            head = {"arrowstyle": "-|>", "color": colour, "lw": 1.2, "mutation_scale": 6, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", row, (0, 0), arrowprops=head)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    ax.set(xlabel="hidden 1", ylabel="hidden 2")


def gram(ax: Axes, W: Float[Array, "features hidden"] | ArrayLike, bar: bool = True) -> QuadMesh:
    """W Wᵀ as a heatmap, the first feature on top, colours centred on 0."""
    rows = np.asarray(W, np.float64)
    if rows.ndim != 2:
        raise ValueError(f"W of shape {rows.shape}: it is features x hidden")
    product = rows @ rows.T
    largest = np.abs(product[np.isfinite(product)]).max(initial=0.0) or 1.0
    edges = np.arange(len(rows) + 1) - 0.5
    # Rasterised, or a vector file holds a rectangle an entry.
    mesh = ax.pcolormesh(
        edges, edges, np.ma.masked_invalid(product), cmap="RdBu_r", vmin=-largest, vmax=largest, rasterized=True
    )
    ax.set(aspect="equal", xlabel="feature", ylabel="feature")
    ax.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(mpl.ticker.MaxNLocator(5, integer=True))
    if bar:
        _colour_bar(ax, mesh, "$W W^\\mathsf{T}$")
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
    return mesh


def loss_curves(
    ax: Axes,
    steps: Float[Array, " steps"] | ArrayLike,
    loss: Float[Array, "*runs steps"] | ArrayLike,
    label: str | None = None,
    colour: Any = None,
    log_steps: bool = True,
    log_loss: bool = True,
) -> None:
    """Median over runs with the band between the quartiles, runs thin behind; step 0 keeps its place on a log axis."""
    x, y = np.asarray(steps, np.float64), np.atleast_2d(np.asarray(loss, np.float64))
    _check_lengths(x, y, "steps", "loss")
    y = np.where(np.isfinite(y) & ((y > 0) | (not log_loss)), y, np.nan)
    colour = ax._get_lines.get_next_color() if colour is None else colour  # type: ignore[attr-defined]
    if len(y) > 1:
        segments = [np.column_stack([x, run])[np.isfinite(run)] for run in y]
        runs = LineCollection(segments, colors=colour, alpha=min(0.5, 4 / len(y)), linewidths=0.4, zorder=1)
        ax.add_collection(runs)
    low, mid, high = _quantiles(y, (0.25, 0.5, 0.75))
    band(ax, x, low, mid, high, label=label, colour=colour)
    _step_axis(ax, x, log_steps)
    if log_loss and np.isfinite(y).any():
        ax.set_yscale("log")
    ax.set_ylabel("loss")
    ax.autoscale_view()


def levels(ax: Axes, values: Float[Array, " levels"] | ArrayLike, labels: Sequence[str] | None = None) -> None:
    """Theory as dashed horizontal lines, labelled in the right margin, away from the data.

    Call it once the axes have their scale and limits: crowded labels are pushed apart for those.
    """
    heights = np.atleast_1d(np.asarray(values, np.float64))
    names = [""] * len(heights) if labels is None else list(labels)
    if len(names) != len(heights):
        raise ValueError(f"{len(names)} labels for {len(heights)} levels")
    shown = [(float(h), name) for h, name in zip(heights, names, strict=True) if np.isfinite(h)]
    shown = [(h, name) for h, name in shown if h > 0 or ax.get_yscale() != "log"]
    for height, _ in shown:
        ax.axhline(height, color=THEORY, ls=(0, (4, 2)), lw=0.8, zorder=1.5)
    ax.autoscale_view()
    _margin_labels(ax, shown)


def band(
    ax: Axes,
    x: Float[Array, " points"] | ArrayLike,
    low: Float[Array, " points"] | ArrayLike,
    mid: Float[Array, " points"] | ArrayLike,
    high: Float[Array, " points"] | ArrayLike,
    label: str | None = None,
    colour: Any = None,
    marker: str = "",
) -> Line2D:
    """A line through mid inside the band from low to high; one lone point shows its interval as a bar."""
    xs, lower, middle, upper = (np.asarray(values, np.float64) for values in (x, low, mid, high))
    if not xs.shape == lower.shape == middle.shape == upper.shape or xs.ndim != 1:
        raise ValueError("a band takes x, low, mid and high of one length")
    (line,) = ax.plot(xs, middle, label=label, color=colour, marker=marker, zorder=2)
    alone = np.isfinite(middle).sum() == 1
    if alone:
        line.set_marker(marker or "o")
        ax.vlines(xs, lower, upper, color=line.get_color(), lw=0.8)
    else:
        ax.fill_between(xs, lower, upper, color=line.get_color(), alpha=0.22, lw=0, zorder=1.2)
    return line


def heatmap(
    ax: Axes,
    x: Float[Array, " columns"] | ArrayLike,
    y: Float[Array, " rows"] | ArrayLike,
    values: Float[Array, "rows columns"] | ArrayLike,
    label: str = "",
    log_x: bool = False,
    log_y: bool = False,
    log_values: bool = False,
    **colours: Any,
) -> QuadMesh:
    """values[row, column] over a grid of cell centres, edges midway on linear and on log axes; NaN is grey."""
    xs, ys, grid = (np.asarray(data, np.float64) for data in (x, y, values))
    if grid.shape != (len(ys), len(xs)):
        raise ValueError(
            f"values of shape {grid.shape}: a heatmap takes rows for y ({len(ys)}), columns for x ({len(xs)})"
        )
    columns, rows = np.argsort(xs), np.argsort(ys)
    shown = np.ma.masked_invalid(grid[np.ix_(rows, columns)])
    if log_values:
        shown = np.ma.masked_less_equal(shown, 0)
    ends = {name: colours.pop(name, None) for name in ("vmin", "vmax")}
    if shown.count() == 0:
        ends = {"vmin": 1.0, "vmax": 10.0}
    norm = (LogNorm if log_values else Normalize)(**ends)
    ax.set_facecolor("0.85")
    mesh = ax.pcolormesh(
        edges(xs[columns], log_x), edges(ys[rows], log_y), shown, norm=norm, rasterized=True, **colours
    )
    if log_x:
        ax.set_xscale("log")
    if log_y:
        ax.set_yscale("log")
    _colour_bar(ax, mesh, label)
    return mesh


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
    ax.plot(xs[good & ~marks], ds[good & ~marks], "o", ms=2.2, mew=0, color=colour, alpha=alpha, rasterized=True)
    ax.plot(xs[good & marks], ds[good & marks], "o", ms=2.6, mew=0.5, mfc="none", color=colour, alpha=max(alpha, 0.3))
    ax.set(ylabel="feature dimensionality $D_i$", ylim=(-0.03, max(1.05, ds[good].max(initial=0.0) + 0.05)))
    if lines:
        levels(ax, list(lines.values()), list(lines))


def ecdf(
    ax: Axes,
    samples: Float[Array, " samples"] | ArrayLike,
    cdf: Callable[[np.ndarray], ArrayLike] | None = None,
    label: str | None = None,
    colour: Any = None,
) -> None:
    """The empirical distribution as steps, the theoretical one, cdf(x), dashed over the same range."""
    values = np.sort(np.asarray(samples, np.float64).ravel())
    values = values[np.isfinite(values)]
    share = np.arange(len(values) + 1) / max(len(values), 1)
    if len(values):
        ax.step(np.concatenate([values[:1], values]), share, where="post", label=label, color=colour)
        if cdf is not None:
            spread = np.ptp(values) or abs(values[0]) or 1.0
            x = np.linspace(values[0] - 0.05 * spread, values[-1] + 0.05 * spread, 400)
            ax.plot(x, np.asarray(cdf(x)), color=THEORY, ls=(0, (4, 2)), lw=0.9, label="theory")
    ax.set(ylim=(0, 1.02), ylabel="cumulative share")


def bars(
    ax: Axes,
    labels: Sequence[str],
    values: Float[Array, " bars"] | ArrayLike,
    low: Float[Array, " bars"] | ArrayLike | None = None,
    high: Float[Array, " bars"] | ArrayLike | None = None,
    colour: Any = BLUE,
) -> None:
    """Counts or means as bars from 0 with the ends of their intervals (values, not differences)."""
    heights = np.asarray(values, np.float64)
    if heights.shape != (len(labels),):
        raise ValueError(f"{len(labels)} labels for values of shape {heights.shape}")
    places = np.arange(len(labels))
    ax.bar(places, np.nan_to_num(heights, posinf=0, neginf=0), width=0.65, color=colour, alpha=0.85, lw=0)
    if low is not None and high is not None:
        ax.vlines(places, np.asarray(low, np.float64), np.asarray(high, np.float64), color="black", lw=0.9)
    ax.set_xticks(places, labels)
    ax.axhline(0, color="black", lw=0.6)
    longest = max((len(label) for label in labels), default=0)
    if longest * len(labels) > 36:
        ax.tick_params("x", rotation=35)
        for tick in ax.get_xticklabels():
            tick.set(ha="right", rotation_mode="anchor")


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


def trajectories(
    ax: Axes,
    steps: Float[Array, " steps"] | ArrayLike,
    D: Float[Array, "features steps"] | ArrayLike,
    jumps: Sequence[Any] = (),
    log_steps: bool = True,
) -> None:
    """D_i(t) of every feature as thin lines, with a dot at each jump's step, midway between its two levels."""
    x, rows = np.asarray(steps, np.float64), np.atleast_2d(np.asarray(D, np.float64))
    _check_lengths(x, rows, "steps", "D")
    alpha = float(np.clip(12 / max(len(rows), 1), 0.15, 0.9))
    for index, row in enumerate(rows):
        ax.plot(x, np.where(np.isfinite(row), row, np.nan), color=f"C{index % len(PALETTE)}", lw=0.7, alpha=alpha)
    if jumps:
        middle = [(jump.before + jump.after) / 2 for jump in jumps]
        ax.plot([jump.step for jump in jumps], middle, "o", ms=2.5, mew=0, color="black", zorder=3)
    _step_axis(ax, x, log_steps)
    ax.set_ylabel("feature dimensionality $D_i$")


def excluded(ax: Axes, text: str) -> None:
    """A note above the upper right corner: how many cells are left out, and why. Nothing for an empty text.

    Over a narrow panel it breaks into lines: the upper left corner is that of the panel's letter.
    """
    if text:
        shift = ScaledTranslation(0, 3 / 72, ax.figure.dpi_scale_trans)
        width = 72 * ax.get_window_extent().width / ax.figure.dpi
        text = textwrap.fill(text, max(int(width / 3.3), 12))  # a letter is about 3.3 points wide
        ax.text(1, 1, text, transform=ax.transAxes + shift, fontsize=7, color="0.35", ha="right", va="bottom")


def flagged_points(
    ax: Axes,
    x: Float[Array, " points"] | ArrayLike,
    y: Float[Array, " points"] | ArrayLike,
    flagged: Float[Array, " points"] | ArrayLike,
    colour: Any = BLUE,
    label: str | None = None,
) -> None:
    """Points as filled markers, those flagged (not converged, partly diverged) as open ones."""
    xs, ys, marks = np.asarray(x, np.float64), np.asarray(y, np.float64), np.asarray(flagged, bool)
    if not xs.shape == ys.shape == marks.shape:
        raise ValueError("points take x, y and flags of one shape")
    good = np.isfinite(xs) & np.isfinite(ys)
    ax.plot(xs[good & ~marks], ys[good & ~marks], "o", color=colour, label=label)
    ax.plot(xs[good & marks], ys[good & marks], "o", mfc="white", color=colour, zorder=2.1)


def panel_labels(axes: Axes | Sequence[Axes] | np.ndarray) -> None:
    """a, b, c, ... in bold above the upper left corner of each axes, in reading order."""
    flat = np.asarray(axes, object).ravel()
    for index, ax in enumerate(flat):
        shift = ScaledTranslation(-18 / 72, 3 / 72, ax.figure.dpi_scale_trans)
        name = chr(ord("a") + index % 26)
        ax.text(0, 1, name, transform=ax.transAxes + shift, fontsize=9, fontweight="bold", va="bottom", ha="left")


def _check_lengths(x: np.ndarray, y: np.ndarray, name: str, other: str) -> None:
    if x.ndim != 1 or y.ndim != 2 or y.shape[1] != len(x):
        raise ValueError(
            f"{name} of shape {x.shape} and {other} of shape {y.shape}: the last axis of {other} is {name}"
        )


def _quantiles(y: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """Quantiles over the first axis of what is finite; NaN where nothing is, without numpy's warning."""
    answer = np.full((len(levels), y.shape[1]), np.nan)
    some = np.isfinite(y).any(0)
    if some.any():
        answer[:, some] = np.nanquantile(y[:, some], levels, axis=0)
    return answer


def _step_axis(ax: Axes, steps: np.ndarray, log: bool) -> None:
    ax.set_xlabel("step")
    if not log or not (steps > 0).any():
        return
    if (steps > 0).all():
        ax.set_xscale("log")
        return
    # Linear up to the first positive step, which is as far from 0 as a decade is wide; ticks few enough to read.
    first, last = float(steps[steps > 0].min()), float(steps.max())
    ax.set_xscale("symlog", linthresh=first, linscale=0.8)
    decades = np.arange(np.ceil(np.log10(first)), np.floor(np.log10(last)) + 1)
    shown = decades[:: -(-len(decades) // 4)] if len(decades) else decades
    ax.xaxis.set_major_locator(mpl.ticker.FixedLocator([0, *10**shown] if len(shown) else [0, last]))
    ax.xaxis.set_minor_locator(mpl.ticker.FixedLocator([k * 10**d for d in decades for k in range(1, 10)]))


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


def _colour_bar(ax: Axes, mesh: QuadMesh, label: str) -> None:
    """As tall as the axes, also where these are square in a wide cell of the figure."""
    figure = ax.figure
    assert figure is not None
    bar = figure.colorbar(mesh, cax=ax.inset_axes((1.03, 0, 0.045, 1)), label=label)
    bar.outline.set_linewidth(0.5)  # type: ignore[operator]


def _margin_labels(ax: Axes, shown: list[tuple[float, str]], size: float = 7.0) -> None:
    """Names beside the right edge at their heights, pushed apart where they would touch."""
    shown = sorted((height, name) for height, name in shown if name)
    if not shown:
        return
    figure = ax.figure
    assert figure is not None
    # The layout, when the figure is drawn, takes up to a fifth of the height for tick and axis labels.
    points = 0.8 * 72 * ax.transData.transform([(1, height) for height, _ in shown])[:, 1] / figure.dpi
    # Shifts in points, so that a label stays with its line when the limits change.
    shifts = _spread(points, 1.2 * size) - points
    moved = bool((abs(shifts) > 1).any())
    where = blended_transform_factory(ax.transAxes, ax.transData)
    for (height, name), shift in zip(shown, shifts, strict=True):
        ax.annotate(
            name,
            (1, height),
            (10 if moved else 4, float(shift)),
            xycoords=where,
            textcoords="offset points",
            fontsize=size,
            color=THEORY,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": THEORY, "shrinkA": 0, "shrinkB": 0} if moved else None,
        )


def _spread(places: np.ndarray, gap: float) -> np.ndarray:
    """The sorted places moved least (in squares) so that neighbours are at least a gap apart."""
    offsets = gap * np.arange(len(places))
    return isotonic_regression(places - offsets).x + offsets
