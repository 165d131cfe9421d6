"""Intervals to draw: bootstrap intervals of a mean and of a difference of two, the Wilson interval of a proportion."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Real
from numpy.typing import ArrayLike
from scipy.special import ndtri

from toymodels.arrays import Array, Float

CHUNK = 4096  # columns resampled at once: bounds the memory of a bootstrap to resamples x CHUNK numbers


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


def mean_of_finite(values: Float[np.ndarray, "seeds *rest"]) -> Float[np.ndarray, "*rest"]:
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
    """Mean over `axis` (seeds) with its percentile bootstrap interval; what is not finite is left out, column by
    column.

    Efron & Tibshirani 1993, chapter 13. The same resamples serve all columns with the same entries left out, and
    `seed` fixes them. One value has an interval of width 0: a bootstrap knows no spread that it has not seen, and
    with fewer than about ten values it is too narrow (for n values, by a factor of about sqrt(1 - 1/n) and more in
    the tails).
    """
    _check_confidence(confidence)
    if resamples < 1:
        raise ValueError(f"resamples={resamples}: a bootstrap takes at least one resample")
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
            answer[:, part] = _bootstrap(columns[np.ix_(pattern, part)], confidence, resamples, seed)
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
    """mean(values) - mean(others) of two independent samples with its percentile bootstrap interval.

    Each sample is resampled by itself; what is not finite is left out. NaN where either has nothing left.
    """
    _check_confidence(confidence)
    rng = np.random.default_rng(seed)
    samples = [np.asarray(sample, np.float64).ravel() for sample in (values, others)]
    samples = [sample[np.isfinite(sample)] for sample in samples]
    if not all(len(sample) for sample in samples):
        return Interval(float("nan"), float("nan"), float("nan"))
    one, other = (rng.choice(sample, (resamples, len(sample))).mean(1) for sample in samples)
    mean = float(samples[0].mean() - samples[1].mean())
    low, high = np.quantile(one - other, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(mean, min(mean, float(low)), max(mean, float(high)))


def _bootstrap(sample: np.ndarray, confidence: float, resamples: int, seed: int) -> np.ndarray:
    """Mean, low and high of each column of a complete sample (values x columns)."""
    count, columns = sample.shape
    if count == 0:
        return np.full((3, columns), np.nan)
    # Offsets from the smallest value, in units of the range: no overflow, no cancellation, constants give exactly 0.
    smallest, largest = sample.min(0), sample.max(0)
    spread = largest / 2 - smallest / 2
    offsets = (sample / 2 - smallest / 2) / np.where(spread > 0, spread, 1.0)
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples) / count
    tail = (1 - confidence) / 2
    low, high = np.quantile(weights @ offsets, [tail, 1 - tail], axis=0)
    mean = offsets.mean(0)
    levels = np.stack([mean, np.minimum(low, mean), np.maximum(high, mean)])
    return smallest + levels * spread + levels * spread


def _check_confidence(confidence: float | int) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}: a confidence level lies in (0, 1)")
