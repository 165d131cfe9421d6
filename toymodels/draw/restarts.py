"""Restarts over x: all of them in grey, the best in vermillion, the best that is known otherwise in green."""

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float
from toymodels.draw.points import cloud, discs
from toymodels.draw.style import GREEN, RED


def restarts(
    ax: Axes,
    x: Float[Array, " points"] | ArrayLike,
    values: Float[Array, "points restarts"] | ArrayLike,
    best: Float[Array, " points"] | ArrayLike,
    known: Float[Array, " points"] | ArrayLike,
    spread: Literal["range", "cloud", "discs"] = "range",
    label: str = "best known",
    whole: bool = False,
) -> None:
    """All restarts at each x, NaN left out, the best of them, and what is known, called `label`.

    spread: the range of all restarts, a dot for each, or a disc at each value by the share of restarts that have it.
    whole: the best are joined and the known are crosses, as for whole numbers; else the known are a line.
    """
    xs, all_, first, other = (np.asarray(each, np.float64) for each in (x, values, best, known))
    if all_.ndim != 2 or not len(xs) == len(all_) == len(first) == len(other):
        raise ValueError("restarts take values of points x restarts, and a best and a known one for each point")
    if spread == "range":
        low, high = (np.where(np.isfinite(all_).any(1), pick(all_), np.nan) for pick in (_lowest, _highest))
        ax.fill_between(xs, low, high, color="0.82", lw=0, zorder=1, label="restarts")
    elif spread == "cloud":
        cloud(ax, xs[:, None], all_, "restarts", "0.6")
    else:
        discs(ax, *_shares(xs, all_), "restarts")
        ax.margins(y=0.1)  # room for whole discs
    looks: tuple[dict[str, Any], dict[str, Any]] = ({"lw": 0.9}, {"ls": "", "marker": "o", "ms": 3})
    if whole:
        looks = {"ls": "", "marker": "x", "ms": 4.5, "mew": 0.9}, {"marker": "o", "ms": 2.2, "lw": 0.9}
    ax.plot(xs, other, color=GREEN, label=label, zorder=2.2 if whole else 1.9, **looks[0])
    ax.plot(xs, first, color=RED, label="best restart", zorder=2.1, **looks[1])


def _lowest(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.inf).min(1, initial=np.inf)


def _highest(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, -np.inf).max(1, initial=-np.inf)


def _shares(x: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, value and share among the finite values there, of every value at every x."""
    rows = []
    for place, row in zip(x, values, strict=True):
        found, counts = np.unique(row[np.isfinite(row)], return_counts=True)
        rows += [(place, value, count / counts.sum()) for value, count in zip(found, counts, strict=True)]
    px, py, share = np.array(rows, np.float64).reshape(-1, 3).T
    return px, py, share
