"""Where curves cross zero or come half way down; ranges in which they stay near a level, or are a straight line."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from toymodels.analysis.statistics import Interval, line, mean_of_finite
from toymodels.arrays import Array, Float


class LevelRange(NamedTuple):
    """Where a curve stays near a level: both ends in x, and the mean of y between; NaN where it never comes near."""

    start: Interval
    stop: Interval
    value: float


def level_range(
    x: Float[Array, " points"] | ArrayLike,
    y: Float[Array, "seeds points"] | ArrayLike,
    level: float,
    within: float = 0.1,
    resamples: int = 1000,
    seed: int = 0,
) -> LevelRange:
    """The stretch around the point nearest to `level` on which the mean over seeds differs from it by at most `within`,
    relatively.

    Ends are interpolated between points; where the curve leaves the range of x first, the end is that of x. The
    intervals are percentile bootstraps over seeds, the 95 % in the middle; what is not finite is left out of means, and
    points without any are skipped. x need not be sorted.
    """
    xs, runs = _curves(x, y)
    if not (within > 0 and resamples > 0 and level != 0):
        raise ValueError(
            f"level={level}, within={within}, resamples={resamples}: a level is not 0, the others positive"
        )

    def ends(rows: np.ndarray) -> np.ndarray:
        means = mean_of_finite(rows)
        kept = np.isfinite(means)
        return np.array(_stretch(xs[kept], within * abs(level) - np.abs(means[kept] - level)))

    found = ends(runs)
    start, stop = _bootstrap(ends, runs, found, resamples, seed)
    inside = (xs >= found[0]) & (xs <= found[1])
    means = mean_of_finite(runs)[inside]
    return LevelRange(start, stop, float(means[np.isfinite(means)].mean()) if np.isfinite(means).any() else np.nan)


def _stretch(x: np.ndarray, room: np.ndarray) -> tuple[float, float]:
    """Ends of the stretch around the largest room in which it stays positive."""
    if not len(x) or room.max() < 0:
        return np.nan, np.nan
    best = int(room.argmax())
    if room[best] == 0:
        return float(x[best]), float(x[best])
    ends = [float(crossing(x, room, best, side)) for side in (-1, 1)]
    left, right = (float(edge) if np.isnan(end) else end for end, edge in zip(ends, (x[0], x[-1]), strict=True))
    return left, right


class LinearRange(NamedTuple):
    """y = intercept + slope x from x = start to stop, with the share of the variance there that the line explains."""

    start: float
    stop: float
    slope: Interval
    intercept: float
    r_squared: float


def linear_range(
    x: Float[Array, "points seeds"] | ArrayLike,
    y: Float[Array, "points seeds"] | ArrayLike,
    tol: float = 0.03,
    points: int = 4,
    resamples: int = 1000,
    seed: int = 0,
) -> LinearRange:
    """The widest range of x over which y is a straight line, and the line fitted there by least squares.

    Points are the means over seeds, sorted by x. A range of at least `points` of them is straight where none is further
    from their own fit than `tol` times the spread of y over all points. The slope's interval is a percentile bootstrap
    over seeds (the same resample at every point) with the range kept; R² is over single seeds in the range. NaN where
    nothing is straight. A seed that is not finite in x or y is left out of that point.
    """
    xs, ys = (np.array(value, np.float64) for value in (x, y))
    if xs.ndim != 2 or xs.shape != ys.shape:
        raise ValueError(f"x of shape {xs.shape}, y of {ys.shape}: both are points x seeds")
    if not (tol > 0 and points >= 3 and resamples > 0):
        raise ValueError(f"tol={tol}, points={points}, resamples={resamples}: positive, and 3 points or more")
    missing = ~(np.isfinite(xs) & np.isfinite(ys))
    xs[missing], ys[missing] = np.nan, np.nan
    some = ~missing.all(axis=1)
    xs, ys = xs[some], ys[some]
    order = np.argsort(mean_of_finite(xs.T), kind="stable")
    xs, ys = xs[order], ys[order]
    chosen = _straight(mean_of_finite(xs.T), mean_of_finite(ys.T), tol, points)
    if chosen is None:
        return LinearRange(np.nan, np.nan, Interval(np.nan, np.nan, np.nan), np.nan, np.nan)
    xs, ys = xs[chosen], ys[chosen]

    def slope(rows: np.ndarray) -> np.ndarray:
        return np.array([line(mean_of_finite(rows[:, : len(xs)]), mean_of_finite(rows[:, len(xs) :]))[0]])

    both = np.concatenate([xs, ys]).T
    found, intercept = line(mean_of_finite(xs.T), mean_of_finite(ys.T))
    (interval,) = _bootstrap(slope, both, np.array([found]), resamples, seed)
    kept = np.isfinite(xs)
    left, total = ys[kept] - intercept - found * xs[kept], ys[kept] - ys[kept].mean()
    r_squared = 1 - float(left @ left) / float(total @ total) if total.any() else float("nan")
    means = mean_of_finite(xs.T)
    return LinearRange(float(means[0]), float(means[-1]), interval, intercept, r_squared)


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


def _straight(x: np.ndarray, y: np.ndarray, tol: float, points: int) -> slice | None:
    best, widest = None, 0.0
    for i in range(len(x) - points + 1):
        for j in range(i + points, len(x) + 1):
            slope, intercept = line(x[i:j], y[i:j])
            off = np.abs(y[i:j] - intercept - slope * x[i:j]).max()
            if off <= tol * np.ptp(y) and x[j - 1] - x[i] > widest:
                best, widest = slice(i, j), float(x[j - 1] - x[i])
    return best


def _bootstrap(
    of: Callable[[np.ndarray], np.ndarray], runs: np.ndarray, found: np.ndarray, resamples: int, seed: int
) -> list[Interval]:
    """95 % percentile intervals, over rows drawn with replacement, of each number that `of` gives; NaNs left out."""
    draws = np.random.default_rng(seed).integers(len(runs), size=(resamples, len(runs)))
    values = np.array([of(runs[draw]) for draw in draws]).T
    intervals = []
    for value, mean in zip(values, found.tolist(), strict=True):
        kept = value[np.isfinite(value)]
        low, high = np.quantile(kept, [0.025, 0.975]) if len(kept) and np.isfinite(mean) else (np.nan, np.nan)
        intervals.append(Interval(mean, float(np.fmin(low, mean)), float(np.fmax(high, mean))))
    return intervals


def _curves(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    xs, runs = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if xs.ndim != 1 or runs.ndim != 2 or runs.shape[1] != len(xs):
        raise ValueError(f"x of shape {xs.shape}, y of {runs.shape}: (points,) and (seeds, points)")
    order = np.argsort(xs, kind="stable")
    return xs[order], runs[:, order]
