"""Intervals to draw: bootstrap intervals of a mean and of a difference of two, the Wilson interval of a proportion."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Real
from numpy.typing import ArrayLike
from scipy.special import ndtri

from toymodels.arrays import Array, Float

CHUNK = 1024  # columns resampled at once: a bootstrap keeps resamples x CHUNK numbers
ROOM = 2**21  # numbers drawn at once


class Interval(NamedTuple):
    """A mean (or proportion) with the ends of its interval, `low <= mean <= high`; NaN where there is nothing to
    average.
    """

    mean: Float[np.ndarray, "*rest"] | float
    low: Float[np.ndarray, "*rest"] | float
    high: Float[np.ndarray, "*rest"] | float

    def __format__(self, spec: str) -> str:
        """f"{interval:.2f}" reads "0.50 (0.40 to 0.60)", or "-" for NaN; several are separated by commas."""
        if not spec:
            return str(self)
        rows = zip(*(np.ravel(end) for end in self), strict=True)
        return ", ".join(
            "-" if np.isnan(mean) else f"{mean:{spec}} ({low:{spec}} to {high:{spec}})" for mean, low, high in rows
        )

    def at(self, place: int) -> "Interval":
        """One of several."""
        return Interval(*(float(np.ravel(end)[place]) for end in self))


class Spread(NamedTuple):
    """Least, mean and largest, NaN where there is nothing to average."""

    low: Float[np.ndarray, "*rest"]
    mean: Float[np.ndarray, "*rest"]
    high: Float[np.ndarray, "*rest"]


def spread(values: Float[Array, "*rest values"] | ArrayLike) -> Spread:
    """Mean and range over the last axis (seeds); what is not finite is left out."""
    kept = np.ma.masked_invalid(np.asarray(values, np.float64))
    ends = (kept.min(axis=-1), kept.mean(axis=-1), kept.max(axis=-1))
    return Spread(*(np.ma.filled(np.ma.asarray(end, np.float64), np.nan) for end in ends))


def mean_of_finite(values: Float[np.ndarray, " seeds *rest"]) -> Float[np.ndarray, "*rest"]:
    """Over the first axis (seeds), of what is finite; NaN where nothing is."""
    finite = np.isfinite(values)
    count = finite.sum(axis=0)
    total = np.where(finite, values, 0.0).sum(axis=0)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def interval(
    values: Float[Array, "*shape"] | ArrayLike,
    axis: int = 0,
    confidence: float | int = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean over `axis` (seeds) with its bootstrap interval (BCa); what is not finite is left out, column by column.

    Efron & Tibshirani 1993, chapter 14. `seed` fixes the resamples, which serve all columns with the same entries left
    out. Where the correction is undefined, as for two values, the interval is that of percentiles. One value, or equal
    ones, have an interval of width 0: a bootstrap knows no spread that it has not seen, and with fewer than about ten
    values it is too narrow.
    """
    _check_bootstrap(confidence, resamples)
    data = np.asarray(values, np.float64)
    if data.ndim == 0 or not -data.ndim <= axis < data.ndim:
        raise ValueError(f"axis={axis}: values of shape {data.shape} have no such axis")
    data = np.moveaxis(data, axis, 0)
    rest = data.shape[1:]
    columns = data.reshape(data.shape[0], int(np.prod(rest)))
    answer = np.full((3, columns.shape[1]), np.nan)
    patterns, which = np.unique(np.isfinite(columns), axis=1, return_inverse=True)
    for index, pattern in enumerate(patterns.T):
        chosen = np.flatnonzero(which.reshape(-1) == index)
        for part in np.array_split(chosen, -(-len(chosen) // CHUNK)):
            answer[:, part] = _mean(columns[np.ix_(pattern, part)], confidence, resamples, seed)
    mean, low, high = answer.reshape(3, *rest)
    return Interval(mean, low, high) if rest else Interval(float(mean), float(low), float(high))


def proportion(
    successes: Real[Array, "*#shape"] | ArrayLike | int,
    total: Real[Array, "*#shape"] | ArrayLike | int,
    confidence: float | int = 0.95,
) -> Interval:
    """k / n with the Wilson score interval (k/n + z²/2n ± z sqrt(k/n (1 - k/n)/n + z²/4n²)) / (1 + z²/n). Wilson 1927.

    It stays within [0, 1] and has a width at k = 0 and k = n. For n = 0 the proportion is NaN and the interval [0, 1].
    """
    _check_confidence(confidence)
    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(total, np.float64))
    if not np.all((k >= 0) & (k <= n)):
        raise ValueError("successes lie between 0 and the total")
    z = float(ndtri(0.5 + confidence / 2))
    some = np.where(n > 0, n, 1.0)
    share = k / some
    centre = (share + z**2 / (2 * some)) / (1 + z**2 / some)
    half = z * np.sqrt(share * (1 - share) / some + z**2 / (4 * some**2)) / (1 + z**2 / some)
    # The ends are exactly 0 and 1 at k = 0 and k = n, where rounding would leave 1e-17.
    low = np.where(k == 0, 0.0, np.clip(centre - half, 0.0, share))
    high = np.where(k == n, 1.0, np.clip(centre + half, share, 1.0))
    mean = np.where(n > 0, share, np.nan)
    return Interval(mean, low, high) if mean.ndim else Interval(float(mean), float(low), float(high))


def difference(
    values: Float[Array, " values"] | ArrayLike,
    others: Float[Array, " others"] | ArrayLike,
    confidence: float | int = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """mean(values) - mean(others) of two independent samples with its bootstrap interval (BCa).

    Each sample is resampled by itself; what is not finite is left out. NaN where either has nothing left.
    """
    _check_bootstrap(confidence, resamples)
    samples = [np.asarray(sample, np.float64).ravel() for sample in (values, others)]
    samples = [sample[np.isfinite(sample)] for sample in samples]
    if not all(len(sample) for sample in samples):
        return Interval(float("nan"), float("nan"), float("nan"))
    mean = float(samples[0].mean() - samples[1].mean())
    if not any(np.ptp(sample) for sample in samples):
        return Interval(mean, mean, mean)
    low, high = _bootstrap(
        _difference_of_means, [np.resize(s, max(len(s), 2)) for s in samples], confidence, resamples, seed
    )
    return Interval(mean, min(mean, float(low)), max(mean, float(high)))


def line(x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"]) -> tuple[float, float]:
    """(slope, intercept) by least squares over points that are finite; NaN for fewer than two different x."""
    kept = np.isfinite(x) & np.isfinite(y)
    if not kept.any() or not np.ptp(x[kept]):
        return float("nan"), float("nan")
    x, y = x[kept], y[kept]
    dx = x - x.mean()
    # Written out: linregress takes .3 ms a line, searches fit thousands, and a flat stretch must have slope 0.
    slope = float(dx @ (y - y.mean()) / (dx @ dx))
    return slope, float(y.mean() - slope * x.mean())


def _mean(sample: np.ndarray, confidence: float, resamples: int, seed: int) -> np.ndarray:
    """Mean, low and high of each column of a complete sample (values x columns)."""
    if not len(sample):
        return np.full((3, sample.shape[1]), np.nan)
    # Offsets from the smallest value, in units of the range: no overflow, no cancellation, constants give exactly 0.
    smallest, largest = sample.min(0), sample.max(0)
    spread = largest / 2 - smallest / 2
    offsets = (sample / 2 - smallest / 2) / np.where(spread > 0, spread, 1.0)
    levels = np.array([offsets.mean(0)] * 3)
    some = spread > 0
    if some.any():
        low, high = _bootstrap(_rounded_mean, [offsets[:, some]], confidence, resamples, seed)
        levels[1, some], levels[2, some] = np.minimum(low, levels[0, some]), np.maximum(high, levels[0, some])
    return smallest + levels * spread + levels * spread


def _rounded_mean(sample: np.ndarray, axis: int) -> np.ndarray:
    """Means of one size, whatever the order of summation: the correction for bias counts those that are equal."""
    return np.round(sample.mean(axis), 8)


def _difference_of_means(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
    return np.asarray(one.mean(axis) - other.mean(axis))


def _bootstrap(
    statistic: Callable[..., np.ndarray], samples: list[np.ndarray], confidence: float, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the BCa interval over the first axis, those of percentiles where it is undefined."""
    from scipy.stats import bootstrap  # slow to import

    batch = max(1, ROOM // max(sample.size for sample in samples))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an undefined correction is NaN, and dealt with below
        found = bootstrap(
            samples,
            statistic,
            axis=0,
            vectorized=True,
            n_resamples=resamples,
            batch=batch,
            confidence_level=confidence,
            rng=np.random.default_rng(seed),
        )
    tail = (1 - confidence) / 2
    low, high = np.quantile(found.bootstrap_distribution, [tail, 1 - tail], axis=-1)
    corrected = found.confidence_interval
    defined = np.isfinite(corrected.low) & np.isfinite(corrected.high)
    return np.where(defined, corrected.low, low), np.where(defined, corrected.high, high)


def _check_bootstrap(confidence: float | int, resamples: int) -> None:
    _check_confidence(confidence)
    if resamples < 1:
        raise ValueError(f"resamples={resamples}: a bootstrap takes at least one resample")


def _check_confidence(confidence: float | int) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}: a confidence level lies in (0, 1)")
