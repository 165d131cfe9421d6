"""Labels beside the right edge of an axes, and notes above it."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation, blended_transform_factory
from scipy.optimize import isotonic_regression

from toymodels.draw.style import THEORY


def excluded(ax: Axes, text: str) -> None:
    """A note above the upper right corner: how many cells are left out, and why. Nothing for an empty text.

    Over a narrow panel it breaks into lines: the upper left corner is that of the panel's letter. A title stays below.
    """
    if text:
        above = 3 + (float(ax.title.get_fontsize()) + 6 if ax.get_title() else 0)
        shift = ScaledTranslation(0, above / 72, ax.figure.dpi_scale_trans)
        width = 72 * ax.get_window_extent().width / ax.figure.dpi
        text = textwrap.fill(text, max(int(width / 3.3), 12))  # a letter is about 3.3 points wide
        ax.text(1, 1, text, transform=ax.transAxes + shift, fontsize=7, color=THEORY, ha="right", va="bottom")


def margin_labels(ax: Axes, shown: list[tuple[float, str]], size: float = 7.0) -> None:
    """Names beside the right edge at their heights, pushed apart where they would touch."""
    shown = sorted((height, name) for height, name in shown if name)
    if not shown:
        return
    figure = ax.figure
    assert figure is not None
    # The layout, when the figure is drawn, takes up to a fifth of the height for tick and axis labels.
    points = 0.8 * 72 * ax.transData.transform([(1, height) for height, _ in shown])[:, 1] / figure.dpi
    # Shifts in points, so that a label stays with its line when the limits change.
    shifts = push_apart(points, 1.2 * size) - points
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


def push_apart(places: np.ndarray, gap: float) -> np.ndarray:
    """The sorted places moved least (in squares) so that neighbours are at least a gap apart."""
    offsets = gap * np.arange(len(places))
    return isotonic_regression(places - offsets).x + offsets
