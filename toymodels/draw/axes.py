"""Figures of several panels, labels on the outer ones, ticks that can be read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, Locator, NullLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike

from toymodels.draw.style import PAGE


def panels(
    rows: int = 1,
    columns: int = 1,
    height: float = 2.5,
    width: float = PAGE,
    count: int | None = None,
    letters: bool = True,
    **subplots: Any,
) -> tuple[Figure, Any]:
    """A figure and its axes: (rows, columns) of them, a list if one of these is 1, one axes if both are.

    Lettered where there are several. count: only the first so many axes, as a list. Keywords as in plt.subplots:
    `sharex`, `sharey`, `width_ratios`, `height_ratios`, `squeeze`.
    """
    from matplotlib import pyplot  # slow to import, and only needed here

    figure, axes = pyplot.subplots(rows, columns, figsize=(width, height), **subplots)
    if count is not None:
        flat = np.asarray(axes, object).ravel()
        for ax in flat[count:]:
            ax.remove()
        axes = flat[:count]
        for ax in _lowest(axes):
            ax.tick_params(labelbottom=True)  # shared axes label the last row only, which is not complete
    if letters and np.size(axes) > 1:
        panel_labels(axes)
    return figure, axes


def panel_labels(axes: Axes | Sequence[Axes] | np.ndarray) -> None:
    """a, b, c, ... in bold above the upper left corner of each axes, in reading order."""
    for index, ax in enumerate(_flat(axes)):
        shift = ScaledTranslation(-18 / 72, 3 / 72, ax.figure.dpi_scale_trans)
        name = chr(ord("a") + index % 26)
        ax.text(0, 1, name, transform=ax.transAxes + shift, fontsize=9, fontweight="bold", va="bottom", ha="left")


def outer_labels(
    axes: Axes | Sequence[Axes] | np.ndarray,
    x: str | Sequence[str] | None = None,
    y: str | Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
) -> None:
    """x labels under the lowest axes of each column, y labels left of the first of each row, titles over the first row.

    x and titles: one a column; y: one a row; one text serves all. Inner axes lose their labels; None leaves the outer
    ones as they are. Call it last: primitives label the axes that they draw on.
    """
    flat = _flat(axes)
    lowest, columns = _lowest(flat), sorted({_place(ax)[1] for ax in flat})
    rows = sorted({_place(ax)[0] for ax in flat})
    for ax in flat:
        row, column = rows.index(_place(ax)[0]), columns.index(_place(ax)[1])
        if ax not in lowest:
            ax.set_xlabel("")
        elif x is not None:
            ax.set_xlabel(x if isinstance(x, str) else x[column])
        if column:
            ax.set_ylabel("")
        elif y is not None:
            ax.set_ylabel(y if isinstance(y, str) else y[row])
        if titles is not None:
            ax.set_title("" if row else titles[column])


def ticks(
    ax: Axes,
    axis: str,
    places: Sequence[Any] | ArrayLike,
    labels: Sequence[Any] | np.ndarray | None = None,
    **text: Any,
) -> None:
    """Major ticks at these places of axis "x", "y" or "xy", labelled as plain numbers or with `labels`; none minor.

    Call it after the scale is set, which resets ticks. `fontsize=6` and such for the labels.
    """
    found = np.asarray(places, np.float64)
    names = [_plain(each) for each in (found if labels is None else labels)]
    if len(names) != len(found):
        raise ValueError(f"{len(names)} labels for {len(found)} ticks")
    for each in _axes_of(ax, axis):
        each.set_major_locator(FixedLocator(found.tolist()))
        each.set_major_formatter(FixedFormatter(names))
        each.set_minor_locator(NullLocator())
        each.set_tick_params(**{f"label{name[4:]}" if name == "fontsize" else name: v for name, v in text.items()})


def log_axis(ax: Axes, axis: str = "x", at: Sequence[Any] | ArrayLike | None = None) -> None:
    """Log scale on axis "x", "y" or "xy" with plain numbers at its ticks, none minor.

    at: where the ticks are, such as the values of a sweep; without, some of 1, 2, 5 a decade, whatever the limits.
    """
    for name, each in zip(axis, _axes_of(ax, axis), strict=True):
        (ax.set_xscale if name == "x" else ax.set_yscale)("log")
        each.set_major_locator(_Digits())
        each.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
        each.set_minor_locator(NullLocator())
        if at is not None:
            ticks(ax, name, at)


def sparsity_axis(ax: Axes, p: Sequence[Any] | ArrayLike, label: str) -> None:
    """A log axis of the activation probability, from dense features to sparse ones, with ticks at these p, and the
    label of the y axis. Of labels that would touch, every second one is lower."""
    ps = np.sort(np.asarray(p, np.float64))[::-1]
    names, low = [], True
    for before, each in zip([np.inf, *ps], ps, strict=False):
        low = not low and np.log(before / each) < 0.1 * np.log(ps[0] / ps[-1])
        names.append(f"\n{each:.3g}" if low else f"{each:.3g}")
    log_axis(ax)
    ticks(ax, "x", ps, names)
    ax.set(xlabel="activation probability $p$", ylabel=label)
    ax.xaxis.set_inverted(True)


class _Digits(Locator):
    """Of 1, 2, 5 or 1, 3 or 1 a decade, the most that are at most six; beyond six decades, every second or so."""

    def __call__(self) -> Any:
        return self.tick_values(*self.axis.get_view_interval())  # type: ignore[union-attr]

    def tick_values(self, vmin: float, vmax: float) -> Any:
        low, high = sorted((vmin, vmax))
        if not 0 < low < np.inf or not np.isfinite(high):
            return np.array([])
        decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        slack = 1 + 1e-9
        for digits in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1, 3), (1,)):
            found = np.sort(np.outer(digits, decades).ravel())
            found = found[(found >= low / slack) & (found <= high * slack)]
            if len(found) <= 6:
                break
        return found[:: -(-len(found) // 6)] if len(found) else found


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, int | float | np.number):
        return str(value)
    size = abs(float(value))
    if value and np.isclose(exponent := np.log10(size), round(exponent)) and not 1e-4 < size < 1e5:
        return f"$10^{{{round(exponent)}}}$".replace("$", "$" if value > 0 else "$-", 1)
    return f"{value:.3g}".replace("-", "−") if size < 1000 else f"{value:g}".replace("-", "−")


def _axes_of(ax: Axes, axis: str) -> list[Any]:
    if axis not in ("x", "y", "xy"):
        raise ValueError(f'axis {axis!r}: it is "x", "y" or "xy"')
    return [getattr(ax, f"{name}axis") for name in axis]


def _flat(axes: Any) -> list[Axes]:
    return list(np.asarray(axes, object).ravel())


def _place(ax: Axes) -> tuple[int, int]:
    where = ax.get_subplotspec()
    if where is None:
        raise ValueError("outer labels take axes of a grid")
    return where.rowspan.start, where.colspan.start


def _lowest(axes: Any) -> list[Axes]:
    lowest: dict[int, Axes] = {}
    for ax in _flat(axes):
        row, column = _place(ax)
        if column not in lowest or row > _place(lowest[column])[0]:
            lowest[column] = ax
    return list(lowest.values())
