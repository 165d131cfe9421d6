"""Legends and colour bars, of one axes or of several."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from toymodels.draw.style import DASHED, THEORY

Extra = Mapping[str, Any]


def key(dash: Any = DASHED, colour: Any = THEORY, **look: Any) -> Line2D:
    """A line to explain a style by in a legend: by default, the dashes of theory."""
    return Line2D([], [], color=colour, ls=dash, **{"lw": 0.9, **look})


def shade(colour: Any = THEORY) -> Patch:
    """A band, to say in a legend what it spans: `{"quartiles": draw.shade()}`."""
    return Patch(facecolor=colour, alpha=0.22, lw=0)


def whisker(colour: Any = THEORY) -> Line2D:
    """The bar of an interval, to say in a legend what it spans: `{"95 %": draw.whisker()}`."""
    return Line2D([], [], color=colour, ls="", marker="|", ms=9, mew=0.9)


def legend(ax: Axes, extra: Extra | None = None, **where: Any) -> Legend:
    """A legend inside the axes. extra: name -> dash (`{"exact": draw.DASHED}`), or an artist, such as `draw.key(...)`.

    An entry named twice appears once. Keywords as in ax.legend: `loc`, `title`, `ncols`, `fontsize`.
    """
    handles, names = _entries([ax], extra)
    return ax.legend(handles, names, **where)


def legend_below(
    figure: Any,
    axes: Axes | Sequence[Axes] | np.ndarray,
    extra: Extra | None = None,
    columns: int | None = None,
    above: bool = False,
    **look: Any,
) -> Legend:
    """One legend for all these axes, outside below (or above) the figure, in as many columns as fit; extra as in
    `legend`."""
    handles, names = _entries(list(np.asarray(axes, object).ravel()), extra)
    place = f"outside {'upper' if above else 'lower'} center"
    columns = columns or _fitting(figure, names)
    return figure.legend(handles, names, loc=place, ncols=columns, **{"columnspacing": 1.2, **look})


def category_legend(
    figure: Figure, palette: Mapping[str, Any], shown: Any = None, columns: int | None = None, **look: Any
) -> Legend:
    """Patches of the palette's categories outside below the figure; shown: arrays of names, of which others are left
    out."""
    met = set(palette) if shown is None else {str(name) for each in _arrays(shown) for name in np.ravel(each)}
    names = [name for name in palette if name in met]
    handles = [Patch(facecolor=palette[name], edgecolor="0.5", lw=0.5) for name in names]
    columns = columns or _fitting(figure, names)
    return figure.legend(handles, names, loc="outside lower center", ncols=columns, **{"columnspacing": 1.2, **look})


def colour_bar(
    figure: Any, mesh: Any, axes: Axes | Sequence[Axes] | np.ndarray, label: str = "", **look: Any
) -> Colorbar:
    """One thin colour bar beside all these axes. Keywords as in figure.colorbar: `ticks`, `extend`, `shrink`."""
    bar = figure.colorbar(mesh, ax=axes, label=label, **{"aspect": 22, "pad": 0.02, **look})
    bar.outline.set_linewidth(0.5)
    return bar


def inner_colour_bar(ax: Axes, mesh: Any, label: str) -> Colorbar:
    """As tall as the axes, also where these are square in a wide cell of the figure."""
    figure = ax.figure
    assert figure is not None
    bar = figure.colorbar(mesh, cax=ax.inset_axes((1.03, 0, 0.045, 1)), label=label)
    bar.outline.set_linewidth(0.5)  # type: ignore[operator]
    return bar


def _arrays(shown: Any) -> list[Any]:
    return list(shown) if isinstance(shown, list | tuple) else [shown]


def _entries(axes: list[Axes], extra: Extra | None) -> tuple[list[Any], list[str]]:
    """The first handle of each name, theory last, then what is extra."""
    found: dict[str, Any] = {}
    for ax in axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    if "theory" in found:
        found["theory"] = found.pop("theory")
    for name, look in (extra or {}).items():
        found[name] = look if isinstance(look, Artist) else key(look)
    return list(found.values()), list(found)


def _fitting(figure: Any, names: list[str]) -> int:
    """Columns that fit the width, at 3.6 points a letter of 7-point text and 32 for each handle with its spaces."""
    longest = max((len(name.replace("\\", "")) for name in names), default=1)
    width = 72 * figure.bbox.width / figure.dpi if figure.dpi else 1
    return max(1, min(len(names), int(width / (3.6 * longest + 32))))
