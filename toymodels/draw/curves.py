"""Curves over x: theory, levels, moments, bands, runs, and the curves of training."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float
from toymodels.draw.intervals import Ends, ends
from toymodels.draw.margin import margin_labels
from toymodels.draw.style import DASHED, DOTTED, PALETTE, SMALL, THEORY


def theory(
    ax: Axes,
    x: Float[Array, " points"] | ArrayLike,
    y: Float[Array, " points"] | ArrayLike,
    label: str | None = None,
    colour: Any = THEORY,
    dash: Any = DASHED,
    **look: Any,
) -> Line2D:
    """A theoretical curve: dashed (a second theory: `dash=draw.DOTTED`), grey or in the colour of its data, below
    them."""
    look = {"lw": 0.9, "zorder": 1.5, **look}
    (line,) = ax.plot(x, y, color=colour, ls=dash, label=label, **look)
    return line


def levels(
    ax: Axes,
    values: Float[Array, " levels"] | ArrayLike,
    labels: Sequence[str] | None = None,
    colour: Any = THEORY,
    dash: Any = DASHED,
) -> None:
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
        ax.axhline(height, color=colour, ls=dash, lw=0.8, zorder=1.5)
    ax.autoscale_view()
    margin_labels(ax, shown)


def moments(
    ax: Axes,
    places: Float[Array, " moments"] | ArrayLike,
    label: str | None = None,
    colour: Any = THEORY,
    dash: Any = DOTTED,
    **look: Any,
) -> None:
    """Vertical lines, dotted, behind the data: steps of jumps, places where the optimum changes; one legend entry."""
    found = np.atleast_1d(np.asarray(places, np.float64))
    for index, place in enumerate(found[np.isfinite(found)]):
        ax.axvline(place, **{"lw": 0.7, "zorder": 0, **look}, color=colour, ls=dash, label=None if index else label)


def spans(ax: Axes, ranges: Mapping[str, tuple[float, float]], named: bool = True) -> None:
    """Ranges of x as bands behind the data, light and dark grey in turn, named at the top, or not; nothing outside the
    limits. Call it once the axes have their scale and limits."""
    limits, log = ax.get_xlim(), ax.get_xscale() == "log"
    for index, (name, found) in enumerate(ranges.items()):
        low, high = np.clip(found, *limits)
        if low < high:
            ax.axvspan(low, high, color="0.86" if index % 2 else "0.93", lw=0, zorder=0)
            middle, where = np.sqrt(low * high) if log else (low + high) / 2, ax.get_xaxis_transform()
            if named:
                ax.text(middle, 0.985, name, transform=where, fontsize=SMALL, ha="center", va="top")
    ax.set_xlim(limits)


def band(
    ax: Axes,
    x: Float[Array, " points"] | ArrayLike,
    interval: Any,
    mid: Float[Array, " points"] | ArrayLike | None = None,
    high: Float[Array, " points"] | ArrayLike | None = None,
    label: str | None = None,
    colour: Any = None,
    marker: str = "",
    **look: Any,
) -> Line2D:
    """A line through the middle of the intervals inside their band; a lone point shows its interval as a bar.

    The intervals: an Interval of arrays, a sequence of Intervals, or low, mid, high as three arguments.
    """
    found = ends(interval) if mid is None or high is None else Ends(*(np.asarray(e) for e in (interval, mid, high)))
    xs, (lower, middle, upper) = np.asarray(x, np.float64), (np.asarray(end, np.float64) for end in found)
    if not xs.shape == lower.shape == middle.shape == upper.shape or xs.ndim != 1:
        raise ValueError("a band takes x, low, mid and high of one length")
    (line,) = ax.plot(xs, middle, label=label, color=colour, marker=marker, **{"zorder": 2, **look})
    if np.isfinite(middle).sum() == 1:
        line.set_marker(marker or "o")
        ax.vlines(xs, lower, upper, color=line.get_color(), lw=0.8)
    else:
        ax.fill_between(xs, lower, upper, color=line.get_color(), alpha=0.22, lw=0, zorder=1.2)
    return line


def runs(
    ax: Axes,
    x: Float[Array, "*runs points"] | ArrayLike,
    y: Float[Array, "*runs points"] | ArrayLike,
    label: str | None = None,
    colour: Any = None,
    alpha: float = 0.6,
    lw: float = 0.7,
) -> LineCollection:
    """Every run as a thin line, all in one colour with one (opaque) legend entry; x is one axis, or one a run."""
    ys = np.atleast_2d(np.asarray(y, np.float64))
    xs = np.broadcast_to(np.asarray(x, np.float64), ys.shape)
    colour = _next_colour(ax) if colour is None else colour
    segments = [np.column_stack([a, b])[np.isfinite(b)] for a, b in zip(xs, ys, strict=True)]
    lines = LineCollection(segments, colors=colour, alpha=alpha, linewidths=lw, zorder=1)
    ax.add_collection(lines)
    ax.autoscale_view()
    if label is not None:
        ax.plot([], [], color=colour, label=label)
    return lines


def arrowhead(
    ax: Axes, x: Float[Array, " points"] | ArrayLike, y: Float[Array, " points"] | ArrayLike, colour: Any
) -> None:
    """An arrowhead on the steepest stretch of a curve, towards its later points; none on a curve that is not finite."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    rise = np.nan_to_num(np.abs(np.diff(ys)), nan=-1.0)
    if rise.max(initial=-1.0) < 0:
        return
    at, look = int(rise.argmax()), {"arrowstyle": "-|>", "color": colour, "lw": 0.7, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (xs[at + 1], ys[at + 1]), (xs[at], ys[at]), arrowprops=look)


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
    colour = _next_colour(ax) if colour is None else colour
    if len(y) > 1:
        runs(ax, x, y, colour=colour, alpha=min(0.5, 4 / len(y)), lw=0.4)
    low, mid, high = _quantiles(y, (0.25, 0.5, 0.75))
    band(ax, x, low, mid, high, label=label, colour=colour)
    _step_axis(ax, x, log_steps)
    if log_loss and np.isfinite(y).any():
        ax.set_yscale("log")
    ax.set_ylabel("loss")
    ax.autoscale_view()


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


def ecdf(
    ax: Axes,
    samples: Float[Array, " samples"] | ArrayLike,
    cdf: Callable[[np.ndarray], ArrayLike] | None = None,
    label: str | None = None,
    colour: Any = None,
    **look: Any,
) -> None:
    """The empirical distribution as steps, the theoretical one, cdf(x), dashed over the same range."""
    values = np.sort(np.asarray(samples, np.float64).ravel())
    values = values[np.isfinite(values)]
    share = np.arange(len(values) + 1) / max(len(values), 1)
    if len(values):
        ax.step(np.concatenate([values[:1], values]), share, where="post", label=label, color=colour, **look)
        if cdf is not None:
            spread = np.ptp(values) or abs(values[0]) or 1.0
            x = np.linspace(values[0] - 0.05 * spread, values[-1] + 0.05 * spread, 400)
            theory(ax, x, np.asarray(cdf(x)), label="theory", zorder=2)
    ax.set(ylim=(0, 1.02), ylabel="cumulative share")


def _next_colour(ax: Axes) -> Any:
    return ax._get_lines.get_next_color()  # type: ignore[attr-defined]


def _check_lengths(x: np.ndarray, y: np.ndarray, name: str, other: str) -> None:
    if x.ndim != 1 or y.ndim != 2 or y.shape[1] != len(x):
        raise ValueError(
            f"{name} of shape {x.shape} and {other} of shape {y.shape}: the last axis of {other} is {name}"
        )


def _quantiles(y: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Quantiles over the first axis of what is finite; NaN where nothing is, without numpy's warning."""
    answer = np.full((len(shares), y.shape[1]), np.nan)
    some = np.isfinite(y).any(0)
    if some.any():
        answer[:, some] = np.nanquantile(y[:, some], shares, axis=0)
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
