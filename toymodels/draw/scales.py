"""Axes that are stretched where it matters."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from toymodels.draw.axes import ticks


def stretched_axis(ax: Axes, centre: float, width: float, at: Sequence[Any] | ArrayLike) -> None:
    """x axis by arcsinh((x - centre) / width): linear near the centre, logarithmic away from it, on both sides."""
    if not width > 0:
        raise ValueError(f"width={width:g}: it must be positive")

    def there(x: np.ndarray) -> np.ndarray:
        return np.arcsinh((np.asarray(x) - centre) / width)

    def back(s: np.ndarray) -> np.ndarray:
        return centre + width * np.sinh(s)

    ax.set_xscale("function", functions=(there, back))
    ticks(ax, "x", at)


def names_along(
    ax: Axes, x: ArrayLike, names: Sequence[str] | np.ndarray, y: float, least: int = 3, **text: Any
) -> None:
    """At height y, the name of each stretch of `least` x or more that have the same one; "" is no name.

    The name of the first stretch starts at the first x, others end at their last one.
    """
    places, found = np.asarray(x, np.float64), [str(name) for name in names]
    edges = [0, *(i for i in range(1, len(found)) if found[i] != found[i - 1]), len(found)]
    for start, stop in itertools.pairwise(edges):
        if stop - start >= least and found[start]:
            where, side = (places[start], "left") if start == 0 else (places[stop - 1], "right")
            ax.text(where, y, found[start], **{"fontsize": 6.5, "ha": side, "va": "bottom", **text})
