"""Where curves cross zero or come half way down, and the range in which one stays near a level."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float


def level_ends(
    x: Float[Array, " points"] | ArrayLike, y: Float[Array, " points"] | ArrayLike, level: float, within: float = 0.1
) -> tuple[float, float]:
    """Both ends in x of the stretch around the point of y nearest to `level` on which y differs from it by at most
    `within`, relatively; NaN where no point does.

    Ends are interpolated between points; where the curve leaves the range of x first, the end is that of x. x need not
    be sorted; points that are not finite are skipped.
    """
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if xs.ndim != 1 or xs.shape != ys.shape or not (within > 0 and level != 0):
        raise ValueError(f"x of shape {xs.shape}, y of {ys.shape}, level={level}, within={within}: a curve, not 0 both")
    order = np.argsort(xs, kind="stable")
    order = order[np.isfinite(ys[order])]
    xs, room = xs[order], within * abs(level) - np.abs(ys[order] - level)
    if not len(xs) or room.max() < 0:
        return float("nan"), float("nan")
    best = int(room.argmax())
    if room[best] == 0:
        return float(xs[best]), float(xs[best])
    ends = [float(crossing(xs, room, best, side)) for side in (-1, 1)]
    left, right = (float(edge) if np.isnan(end) else end for end, edge in zip(ends, (xs[0], xs[-1]), strict=True))
    return left, right


def crossing(
    x: Float[Array, " points"] | ArrayLike,
    y: Float[Array, "*runs points"] | ArrayLike,
    start: int = 0,
    side: Literal[-1, 1] = 1,
) -> Float[np.ndarray, "*runs"] | float:
    """Where each y, from `start` on towards one side, first falls through 0, interpolated; NaN where it never does."""
    along = slice(start, None, side)
    xs, values = np.asarray(x, np.float64)[along], np.asarray(y, np.float64)[..., along]
    fallen = (values[..., :-1] > 0) & (values[..., 1:] <= 0)
    if not fallen.shape[-1]:
        return np.full(values.shape[:-1], np.nan)[()]
    before = fallen.argmax(axis=-1)
    above, below = (np.take_along_axis(values, before[..., None] + shift, -1)[..., 0] for shift in (0, 1))
    found = fallen.any(axis=-1)
    # A curve that comes down from infinity has fallen where it is finite.
    share = np.divide(above, above - below, out=np.ones_like(above), where=found & np.isfinite(above - below))
    return np.where(found, xs[before] + share * (xs[before + 1] - xs[before]), np.nan)[()]


def crossing_of_finite(x: Float[Array, " points"], y: Float[Array, " points"]) -> float:
    """Where one curve first falls through 0, by its finite points alone, interpolated; NaN where it never does."""
    kept = np.isfinite(y)
    return float(crossing(x[kept], y[kept]))


def falls_through_one(
    x: Float[Array, " points"] | ArrayLike, ratio: Float[Array, "*runs points"] | ArrayLike
) -> Float[np.ndarray, "*runs"] | float:
    """Where each positive ratio first falls through 1 on the way from the largest x down, straight on two logarithmic
    axes; NaN where it never does. x > 0, in any order."""
    xs = np.log(np.asarray(x, np.float64))
    down = np.argsort(-xs)
    return np.exp(crossing(xs[down], np.log(np.asarray(ratio, np.float64)[..., down])))


def half_drop(
    t: Float[Array, " times"] | ArrayLike,
    loss: Float[Array, "*runs times"] | ArrayLike,
    before: Float[Array, "*runs"] | ArrayLike,
    after: Float[Array, "*runs"] | ArrayLike,
) -> Float[np.ndarray, "*runs"] | float:
    """First t at which a loss is down to (before + after)/2, interpolated; t[0] where it starts there, NaN if never.

    For levels L_0 and L_1 of a plateau and the next this is the measured counterpart of `theory.escape.escape_time`.
    """
    times, values = np.asarray(t, np.float64), np.asarray(loss, np.float64)
    if times.ndim != 1 or values.shape[-1:] != times.shape or np.any(np.diff(times) < 0):
        raise ValueError(f"t of shape {times.shape} is not an ascending time for each of the losses of {values.shape}")
    excess = values - (np.asarray(before, np.float64) + np.asarray(after, np.float64))[..., None] / 2
    return np.where(excess[..., 0] <= 0, times[0], crossing(times, excess))[()]
