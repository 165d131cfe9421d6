"""Events along a training trajectory: plateaus of a loss, jumps between levels, a shelf.

A trajectory is a pair (steps, values) at any spacing of the records, linear, logarithmic or mixed, and may start at
step 0. Records that are not finite are left out (`analysis.convergence` reports them instead). Everything is numpy
in float64.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import median_filter
from scipy.optimize import isotonic_regression
from scipy.signal import find_peaks

from toymodels.analysis.statistics import mean_of_finite
from toymodels.arrays import Array, Float

DISTANCES = (1, 2, 4, 8)  # flank speeds are measured over so many tolerances, the fastest counts
CHANCE = 6.0  # a band is this many standard errors of the mean of its records: fewer records could be chance
CLEAR = 6.0  # a fall is timed only over this many steps of the staircase that noise alone makes
FLOOR = 1e-8  # relative to the largest loss: what is below is the same as zero


class Plateau(NamedTuple):
    """A flat stretch between two recorded steps; `kind` is "initial", "interior", "final" or "whole"."""

    start: float
    stop: float
    level: float
    kind: str


class Jump(NamedTuple):
    """An abrupt change of one trajectory at `step`, between the levels `before` and `after`; size = after - before."""

    step: float
    before: float
    after: float
    size: float
    feature: int


class Shelf(NamedTuple):
    """The flattest stretch of y(x) between two steeper ones; slopes are dy/dx, NaN where no stretch could be
    examined.
    """

    start: float
    stop: float
    level: float
    slope: float
    left_slope: float
    right_slope: float
    found: bool
    support: float

    @property
    def contrast(self) -> float:
        """|slope| over that of the less steep flank: under 1 on a shelf; infinite where the flanks go opposite ways."""
        if self.left_slope * self.right_slope <= 0:
            return float("inf")
        return abs(self.slope) / min(abs(self.left_slope), abs(self.right_slope))


def plateaus(
    steps: Float[Array, " steps"] | ArrayLike,
    loss: Float[Array, " steps"] | ArrayLike,
    tolerance: float | int = 0.05,
    contrast: float | int = 4.0,
    initial: bool = True,
    final: bool = True,
    min_records: int = 4,
) -> list[Plateau]:
    """Stretches where ln loss stays within `tolerance` for `contrast` times as long as beside them; in order of time.

    Beside them means: before the stretch the loss fell faster, and after it falls faster. The time spent within one
    tolerance of the level is compared with the time the same fall takes next to it: with the fall to come in steps,
    and with the fall gone by in the logarithm of steps. An exponential decay falls equally fast everywhere in the
    first measure and a power law in the second, so neither has a plateau at any rate, exponent or spacing of records,
    while a staircase has its treads in both. Levels are medians of the recorded loss; they may span any number of
    decades.

    Which plateaus count at the two ends: a stretch with no fall before it is "initial" and needs only the fall after
    it (the wait before the first drop); one with no fall after it is "final" and needs only the fall before it
    (convergence, or a decay that has reached 1e-8 of the largest loss, which is taken as zero); a loss that never
    falls is one plateau, "whole". `initial=False` leaves out the first and `final=False` the second kind, and each of
    them "whole".

    Noise: the loss is first smoothed by a running median and the best non-increasing fit, and the tolerance is never
    less than the noise (relative to the level) seen between neighbouring records. If the whole curve falls by less
    than a factor e, the tolerance shrinks in proportion; a loss with negative values is measured on a linear scale,
    as a fraction of its range. Stretches of fewer than `min_records` records do not count.
    """
    _check_positive(tolerance=tolerance, contrast=contrast, min_records=min_records)
    t, raw = _trajectory(steps, loss)
    if len(t) < max(min_records, 2):
        return []
    y = _level_scale(raw)
    noise = _noise(y, 31)
    fit = -isotonic_regression(-median_filter(y, 5, mode="nearest")).x
    total = fit[0] - fit[-1]
    band = tolerance * min(1.0, total)
    if total <= max(2 * np.median(noise), 1e-9):
        found = [(0, len(t) - 1, "whole")]
    else:
        found = _search(t, fit, band, noise, contrast, min_records)
    unwanted = {"whole"} if not (initial and final) else set()
    unwanted |= ({"initial"} if not initial else set()) | ({"final"} if not final else set())
    return [
        Plateau(float(t[i]), float(t[j]), _level(t, raw, fit, i, j, band), kind)
        for i, j, kind in found
        if kind not in unwanted and _is_level(y[i : j + 1], tolerance, noise[i : j + 1])
    ]


def _trajectory(steps: ArrayLike, values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    t, y = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    if t.ndim != 1 or t.shape != y.shape:
        raise ValueError(f"steps of shape {t.shape} and values of shape {y.shape}: a trajectory has one value a step")
    if not (np.isfinite(t).all() and (np.diff(t) > 0).all()):
        raise ValueError("steps are finite and increase")
    kept = np.isfinite(y)
    return t[kept], y[kept]


def _level_scale(loss: np.ndarray) -> np.ndarray:
    """ln loss, with what is below FLOOR as one level; where the loss takes negative values, loss / range."""
    largest = np.abs(loss).max()
    if largest == 0:
        return loss
    scaled = loss / largest
    if scaled.min() < -FLOOR:
        spread = np.ptp(scaled)
        return scaled / spread if spread > 0 else np.zeros_like(scaled)
    return np.log(np.maximum(scaled, 0) + FLOOR)


def _noise(y: np.ndarray, window: int | None = None) -> np.ndarray:
    """Standard deviation of what is rough in y, within a window: of second differences, free of level and slope."""
    rough = np.abs(np.diff(y, 2)) * 1.4826 / np.sqrt(6)
    if window is None:
        return np.full(len(y), np.median(rough) if len(rough) else 0.0)
    return median_filter(np.pad(rough, 1, mode="edge"), min(window, len(y)), mode="nearest")


def _search(t: np.ndarray, fit: np.ndarray, band: float, noise: np.ndarray, contrast: float, min_records: int) -> list:
    """Plateaus at the band asked for, then, under noise, at wider bands, where fewer records rule out chance."""
    found: list = []
    for wider in (band, 2 * band, 4 * band) if noise.any() else (band,):
        fresh = _merge(_choose(*_candidates(t, fit, wider, noise, contrast, min_records), found, t), fit, wider)
        # The rest of a plateau that is already there is no new one.
        new = [one for one in fresh if all(_apart(one, other, fit, wider) for other in found)]
        found = sorted(found + new)
    return found


def _apart(one: tuple[int, int, str], other: tuple[int, int, str], fit: np.ndarray, band: float) -> bool:
    (_, early, _), (late, _, _) = sorted([one, other])
    return bool(fit[early] - fit[late] >= band)


def _candidates(
    t: np.ndarray, fit: np.ndarray, band: float, noise: np.ndarray, contrast: float, min_records: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every first record the longest stretch within one band, kept if the loss falls faster before and after it:
    begins, ends, kinds."""
    log_t = np.log(t) if t[0] > 0 else np.log(t - t[0] + (t[1] - t[0]))
    first = np.arange(len(t))
    last = np.searchsorted(-fit, -(fit - band), side="right") - 1
    records = last - first + 1
    sigma = np.maximum(noise[first], noise[last])
    # A non-increasing fit to noise on a slope is itself a staircase, with steps of about (sigma^2 slope)^(1/3).
    clear = CLEAR * np.cbrt(sigma**2 * band / records)
    before = _contrast(log_t, fit, first, last, band, clear, -1)
    after = _contrast(t, fit, first, last, band, clear, +1)
    no_rise, no_fall = _no_drop(fit, band, noise), _no_drop(-fit[::-1], band, noise[::-1])[::-1][last]
    good = records >= np.maximum(min_records, (CHANCE * sigma / band) ** 2)
    good &= (no_rise | (before >= contrast)) & (no_fall | (after >= contrast))
    kinds = np.where(no_rise, np.where(no_fall, "whole", "initial"), np.where(no_fall, "final", "interior"))
    begin, end = np.where(no_rise, 0, first), np.where(no_fall, len(t) - 1, last)
    return begin[good], end[good], kinds[good]


def _no_drop(fit: np.ndarray, band: float, noise: np.ndarray) -> np.ndarray:
    """Whether up to each record the fit has come down by less than one band, or by no more than chance allows."""
    records = np.arange(1, len(fit) + 1)
    excess = (np.cumsum(fit) - records * fit) / np.sqrt(records)
    return (fit[0] - fit < band) | (excess < CHANCE * noise)


def _contrast(
    x: np.ndarray, fit: np.ndarray, first: np.ndarray, last: np.ndarray, band: float, clear: np.ndarray, side: int
) -> np.ndarray:
    """Time within the band over the time one band takes after it (side 1) or before it (side -1), at its fastest."""
    edge, distance = last if side > 0 else first, np.array(DISTANCES)[:, None]
    time = np.abs(_crossing(x, fit, fit[edge] - side * distance * band) - x[edge])
    speed = distance / np.maximum(time, np.finfo(float).tiny)
    fastest = np.fmax.reduce(np.where(distance * band >= clear, speed, 0.0), initial=0.0)
    return (x[last] - x[first]) * fastest


def _crossing(x: np.ndarray, fit: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Where the non-increasing fit passes the levels, interpolated; NaN for levels outside its range."""
    # A flat stretch is crossed at its far end as seen from above: np.interp wants strictly increasing levels.
    keep = np.append(np.diff(fit) < 0, True)
    return np.interp(levels, fit[keep][::-1], x[keep][::-1], left=np.nan, right=np.nan)


def _choose(begin: np.ndarray, end: np.ndarray, kinds: np.ndarray, taken: list, t: np.ndarray) -> list:
    """The longest in steps of those that overlap, and none that overlaps what is taken; the first of equals."""
    length = np.round((t[end] - t[begin]) / (t[-1] - t[0]), 9)
    left, chosen = np.lexsort((end, begin, -length)), []
    for a, b, _ in taken:
        left = left[(end[left] < a) | (b < begin[left])]
    while len(left):
        i, j = begin[left[0]], end[left[0]]
        chosen.append((int(i), int(j), str(kinds[left[0]])))
        left = left[(end[left] < i) | (j < begin[left])]
    return sorted(chosen)


def _merge(chosen: list, fit: np.ndarray, band: float) -> list:
    """Neighbours with no drop between them are pieces of one plateau, which falls by more than one band."""
    merged: list = []
    for i, j, kind in chosen:
        if merged and (fit[merged[-1][1]] - fit[i] < band / 2 or (merged[-1][2] == kind != "interior")):
            a, _, earlier = merged.pop()
            merged.append((a, j, earlier if earlier == "initial" else kind))
        else:
            merged.append((i, j, kind))
    return merged


def _level(t: np.ndarray, loss: np.ndarray, fit: np.ndarray, i: int, j: int, band: float) -> float:
    """The median of the recorded loss, as many records weighing before as after the moment of closest approach.

    A plateau is approached from above as c + x exp(-t/f) and left as c - y exp(t/g); both terms cancel at the
    fraction f / (f + g) of the stretch between equal distances. Without the weights the slower of the two, which in a
    factorization is the departure, would pull the median of a short plateau to its side.
    """
    middle = np.median(fit[i : j + 1])
    far, near, past, gone = _crossing(t, fit, middle + band * np.array([2, 1, -1, -2]))
    fraction = np.clip((near - far) / (near - far + gone - past), 0.2, 0.8) if gone > far else 0.5
    early = t[i : j + 1] <= t[i] + fraction * (t[j] - t[i])
    weights = np.where(early, 1 / max(early.sum(), 1), 1 / max((~early).sum(), 1))
    return float(np.quantile(loss[i : j + 1], 0.5, weights=weights, method="inverted_cdf"))


def _is_level(y: np.ndarray, tolerance: float, noise: np.ndarray) -> bool:
    """The first and last third agree: the non-increasing fit of a rising loss is flat, the loss is not."""
    third = max(len(y) // 3, 1)
    chance = 4 * np.median(noise) / np.sqrt(third)
    return bool(abs(np.median(y[:third]) - np.median(y[-third:])) <= 3 * tolerance + chance)


def jumps(
    steps: Float[Array, " steps"] | ArrayLike,
    D: Float[Array, "*features steps"] | ArrayLike,
    size: float | int = 0.08,
    window: int | None = None,
) -> list[Jump]:
    """Abrupt changes of one trajectory D(t), or of each of several (features first), by at least `size`.

    A jump is where the medians of the `window` records before and after differ by at least `size` and by five times
    the rounding that the noise between neighbouring records leaves in them. A drift slower than `size` per `window`
    records is therefore none, however far it goes; where a change that fast goes on for longer it is one jump, placed
    where half of it is done. Default window: a twentieth of the records, at least 3. `step` is where D passes the
    middle of the two levels, interpolated; the order is by feature, then by step.
    """
    _check_positive(size=size)
    values = np.asarray(D, np.float64)
    if values.ndim not in (1, 2):
        raise ValueError(f"D of shape {values.shape}: one trajectory, or features x steps")
    found = []
    for feature, row in enumerate(np.atleast_2d(values)):
        t, d = _trajectory(steps, row)
        width = max(3, len(t) // 20) if window is None else window
        if width < 1:
            raise ValueError(f"window={window}: a level is the median of at least one record")
        found += [Jump(*jump, feature) for jump in _jumps(t, d, size, width)]
    return found


def _jumps(t: np.ndarray, d: np.ndarray, size: float, width: int) -> list[tuple[float, float, float, float]]:
    if len(d) < 2 * width:
        return []
    level = np.median(np.lib.stride_tricks.sliding_window_view(d, width), axis=-1)
    before, after = level[:-width], level[width:]  # of records [i, i + width) and [i + width, i + 2 width)
    # sqrt(pi / 2): the standard error of a median over that of a mean.
    threshold = max(size, 5 * np.sqrt(np.pi / 2) * np.sqrt(2 / width) * _noise(d)[0])
    found = []
    for sign in (1, -1):
        height = np.concatenate([[0.0], sign * (after - before), [0.0]])
        peaks, _ = find_peaks(height, height=threshold, distance=width, prominence=threshold / 2)
        for i in peaks - 1:
            middle = (before[i] + after[i]) / 2
            rising = sign * (d[i : i + 2 * width] - middle) >= 0
            # The one crossing that leaves most records below the middle before it and above it after it.
            split = np.argmin(np.cumsum(np.append(0, np.where(rising, 1, -1))))
            k = i + min(max(int(split), 1), 2 * width - 1)
            gap = d[k] - d[k - 1]
            part = np.clip((middle - d[k - 1]) / gap, 0, 1) if gap != 0 else 0.5
            step = t[k - 1] + part * (t[k] - t[k - 1])
            found.append((float(step), float(before[i]), float(after[i]), float(after[i] - before[i])))
    return sorted(found)


def shelf(
    x: Float[Array, " points"] | ArrayLike,
    y: Float[Array, "*seeds points"] | ArrayLike,
    level: float | int | None = None,
    within: float | int = 0.1,
    ratio: float | int = 0.5,
    points: int = 3,
    resamples: int = 0,
    seed: int = 0,
) -> Shelf:
    """The stretch of y(x) whose slope falls most below that of both its flanks; found if under `ratio` of both.

    For D* against ln(1/p), where a geometry holds over a range of sparsity: `level=0.5` looks only at stretches whose
    mean is within `within` (relative) of one half. y may be (seeds, points): the mean over the seeds is used, leaving
    out what is not finite. Slopes are least-squares fits, over at least `points` points of the stretch and over half
    as many as the stretch has, at least `points`, on each flank (an edge point belongs to both). The flanks must go
    the same way: an extremum is no shelf; and both must exist: a level at an end of the range is none. Of all
    stretches the one chosen maximises (smaller flank slope - slope) x width, the change that the shelf holds back.
    With `resamples` > 0, `support` is the fraction of bootstrap resamples over seeds in which the stretch chosen anew
    passes; otherwise it is NaN. x need not be sorted.
    """
    _check_positive(within=within, ratio=ratio, resamples=resamples + 1)
    if points < 2:
        raise ValueError(f"points={points}: a slope takes at least two points")
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if xs.ndim != 1 or ys.ndim not in (1, 2) or ys.shape[-1] != len(xs):
        raise ValueError(f"x of shape {xs.shape} and y of shape {ys.shape}: y is (points,) or (seeds, points)")
    order = np.argsort(xs, kind="stable")
    xs, runs = xs[order], np.atleast_2d(ys)[:, order]
    kept = np.isfinite(runs).any(0) & np.isfinite(xs)
    xs, runs = xs[kept], runs[:, kept]
    mean = mean_of_finite(runs)
    best = _best_stretch(xs, mean, level, within, ratio, points)
    if best is None:
        return Shelf(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, found=False, support=np.nan)
    i, j, slopes = best
    support = np.nan
    if resamples:
        draws = np.random.default_rng(seed).integers(len(runs), size=(resamples, len(runs)))
        chosen = [_best_stretch(xs, mean_of_finite(runs[draw]), level, within, ratio, points) for draw in draws]
        support = float(np.mean([each is not None and _passes(each[2], ratio) for each in chosen]))
    found = _passes(slopes, ratio)
    return Shelf(float(xs[i]), float(xs[j]), float(mean[i : j + 1].mean()), *slopes, found, support)


def _passes(slopes: tuple[float, float, float], ratio: float) -> bool:
    slope, left, right = slopes
    return bool(left * right > 0 and abs(slope) < ratio * min(abs(left), abs(right)))


def _best_stretch(
    x: np.ndarray, y: np.ndarray, level: float | int | None, within: float | int, ratio: float | int, points: int
) -> tuple[int, int, tuple[float, float, float]] | None:
    """First and last point of the best stretch, with its slope and those of its flanks; all stretches at once."""
    kept = np.flatnonzero(np.isfinite(y))  # a resample may have lost every run of a point
    x, y = x[kept], y[kept]
    i, j = np.triu_indices(len(x), points - 1)
    whole = (i >= points - 1) & (j <= len(x) - points)
    mean = (np.append(0, np.cumsum(y))[j + 1] - np.append(0, np.cumsum(y))[i]) / (j + 1 - i)
    near = whole if level is None else whole & (np.abs(mean - (level or 0)) <= within * abs(level))
    i, j = i[near], j[near]
    if not len(i):
        return None
    flank = np.maximum(points, (j - i + 2) // 2)
    ends = ((i, j), (np.maximum(i - flank + 1, 0), i), (j, np.minimum(j + flank, len(x)) - 1))
    slope, left, right = (_slopes(x, y, *each) for each in ends)
    least = ratio * np.minimum(np.abs(left), np.abs(right)) * (left * right > 0)
    best = int(((least - np.abs(slope)) * (x[j] - x[i])).argmax())
    return int(kept[i[best]]), int(kept[j[best]]), (float(slope[best]), float(left[best]), float(right[best]))


def _slopes(x: np.ndarray, y: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Least-squares slopes over the points first..last of each stretch."""
    x, y = x - x.mean(), y - y.mean()
    totals = np.cumsum(np.concatenate([np.zeros((5, 1)), [np.ones_like(x), x, y, x * x, x * y]], axis=1), axis=1)
    count, sx, sy, xx, xy = totals[:, last + 1] - totals[:, first]
    found = (xy - sx * sy / count) / (xx - sx * sx / count)
    return np.where(np.abs(found) * np.ptp(x) < 1e-9 * np.ptp(y), 0.0, found)  # rounding is no slope


def _check_positive(**numbers: float | int) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{name}={number}: it must be positive")
