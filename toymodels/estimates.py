"""Estimates: a number with its interval, the unit that was sampled, and how many of these there were.

An interval speaks of another draw of the units: of other seeds, in nearly every case. A number without one is
deterministic. Several estimates that differ by a label are a `Series`; their intervals are widened (Bonferroni), so
that all of them hold together at the stated level. A class of things, such as the geometry of the best restart, is a
`Category`: the probability of each name under resampling.

>>> import xarray as xr
>>> found = mean(xr.DataArray([1.0, 2.0, 3.0, 4.0], dims="seed"))
>>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
(2.5, 0.446, 4.554)
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from scipy import stats

LEVEL = 0.95
"""Confidence of an interval; of all intervals of a series together."""


@dataclass(frozen=True)
class Estimate:
    """A value in its interval, `low <= value <= high`; the interval has no width where nothing was sampled."""

    value: float
    low: float
    high: float
    unit: str = ""
    """What was sampled, such as "seed"; empty for a deterministic number."""
    count: int = 0
    """How many of these."""

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not (np.isnan(self.value) or self.low <= self.value <= self.high):
            raise ValueError(f"{self.value:g} is not between {self.low:g} and {self.high:g}")

    def __format__(self, spec: str) -> str:
        spec = spec or ".3g"
        if np.isnan(self.value):
            return "no data"
        return f"{self.value:{spec}}" + (f" ({self.low:{spec}} to {self.high:{spec}})" if self.unit else "")

    @property
    def sampled(self) -> str:
        """Units and their number: "16 seeds"; empty for a deterministic number."""
        return f"{self.count} {self.unit}{'s' if self.count != 1 else ''}" if self.unit else ""


@dataclass(frozen=True)
class Series:
    """Estimates of one quantity at several labels, and of its paired changes from each label to the next."""

    at: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    steps: tuple[Estimate, ...] = ()

    def __post_init__(self) -> None:
        if len(self.at) != len(self.estimates):
            raise ValueError(f"{len(self.at)} labels for {len(self.estimates)} estimates")

    def __format__(self, spec: str) -> str:
        return "; ".join(f"{each:{spec}} at {label}" for label, each in zip(self.at, self.estimates, strict=True))

    @property
    def sampled(self) -> str:
        return next((each.sampled for each in self.estimates if each.unit), "")


@dataclass(frozen=True)
class Category:
    """A name, and the probability of each name under resampling of the units; 1 for what is deterministic."""

    name: str
    shares: Mapping[str, float]
    unit: str = ""
    count: int = 0

    def __format__(self, spec: str) -> str:
        others = sorted(((share, name) for name, share in self.shares.items() if name != self.name), reverse=True)
        rest = "".join(f", or {name} ({share:.0%})" for share, name in others if share >= 0.005)
        return f"{self.name}{rest}"

    sampled = Estimate.sampled


Measured = Estimate | Series | Category
Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)


# -------------------------------------------------------------------------------------------------------- deterministic


def exact(value: Any) -> Estimate:
    """A number that no sampling enters."""
    return Estimate(value, value, value)


def exactly(name: str) -> Category:
    """A name that no sampling enters."""
    return Category(name, {name: 1.0})


def each(values: xr.DataArray | Mapping[Any, float]) -> Series:
    """A series of numbers that no sampling enters, labelled by coordinates or by the keys of a mapping."""
    if isinstance(values, Mapping):
        return Series(tuple(map(str, values)), tuple(exact(value) for value in values.values()))
    return Series(*zip(*((label, exact(value)) for label, value in _labelled(values, ())), strict=True))


# -------------------------------------------------------------------------------------------------------------- sampled


def mean(values: xr.DataArray, over: str = "seed", level: float = LEVEL) -> Any:
    """The mean over independent units with Student's interval; NaN are left out.

    An `Estimate`, or a `Series` where other dimensions remain. Two units are needed for an interval: with one it is
    unbounded. Equal values give no width: take `share` where "all of them" is the claim.
    """
    return _over(values, over, level, _student)


def median(values: xr.DataArray, over: str = "seed", level: float = LEVEL) -> Any:
    """The median over independent units with the distribution-free interval between two order statistics.

    The interval is unbounded for fewer than six units at 95 %. David & Nagaraja 2003, section 7.1.
    """
    return _over(values, over, level, _between_order_statistics)


def share(flags: xr.DataArray, over: str = "seed", level: float = LEVEL) -> Any:
    """The share of units that are flagged, with Wilson's interval; NaN are left out. In [0, 1]."""
    return _over(flags, over, level, _wilson)


def steps(values: xr.DataArray, along: str, over: str = "seed", level: float = LEVEL) -> Series:
    """Means along one dimension, and the mean changes, if any, from each label to the next, paired by unit."""
    levels = mean(values, over, level)
    if values.sizes[along] < 2:
        return Series(levels.at, levels.estimates)
    moved = values.isel({along: slice(1, None)}).drop_vars(along) - values.isel({along: slice(-1)}).drop_vars(along)
    changes = mean(moved, over, level)
    return Series(levels.at, levels.estimates, changes.estimates if isinstance(changes, Series) else (changes,))


def bootstrap(
    statistic: Callable[[xr.DataArray], float],
    values: xr.DataArray,
    over: str = "seed",
    level: float = LEVEL,
    resamples: int = 999,
) -> Estimate:
    """Any statistic of the units, selections and all, with its percentile bootstrap interval: units are redrawn whole.

    Efron & Tibshirani 1993, chapter 13. Resamples in which the statistic is NaN count as unbounded on both sides.
    """
    count = values.sizes[over]
    drawn = [float(statistic(values.isel({over: places}))) for places in _resamples(count, resamples)]
    return of_draws(drawn, count, over, level)


def redrawn(values: Labelled, over: str = "seed", resamples: int = 999) -> Labelled:
    """`bootstrap` for a statistic of many resamples at once, a hundred times faster: all of them along a first
    dimension "draw", the values themselves at draw 0, `over` last. What is read off each draw goes to `of_draws`.

    For example, of_draws(redrawn(values).mean("seed").max("p"), count). Memory: `resamples` times the values.
    """
    places = xr.DataArray(_resamples(values.sizes[over], resamples), dims=("draw", over))
    return values.drop_vars(over, errors="ignore").isel({over: places}).transpose("draw", ..., over)


def of_draws(
    draws: xr.DataArray | np.ndarray | Sequence[float], count: int, over: str = "seed", level: float = LEVEL
) -> Any:
    """The statistic of `count` units, which comes first along "draw", with the percentile interval of those of their
    resamples; one that is NaN counts as unbounded on both sides. With other dimensions, a Series."""

    def percentiles(sample: np.ndarray, level: float, along: str) -> Estimate:
        value, drawn, tail = sample[0], sample[1:], (1 - level) / 2
        low = np.quantile(np.where(np.isnan(drawn), -np.inf, drawn), tail, method="lower")
        high = np.quantile(np.where(np.isnan(drawn), np.inf, drawn), 1 - tail, method="higher")
        return Estimate(value, min(low, value), max(high, value), over, count)

    draws = draws if isinstance(draws, xr.DataArray) else xr.DataArray(np.asarray(draws), dims="draw")
    return _over(draws.astype(np.float64), "draw", level, percentiles)


def _resamples(count: int, resamples: int) -> np.ndarray:
    """Places of the units: their own, then those of so many resamples."""
    return np.vstack([np.arange(count), np.random.default_rng(0).integers(count, size=(resamples, count))])


# ------------------------------------------------------------------------------------------------------------ best of k


def best(loss: xr.DataArray, over: str = "seed", level: float = LEVEL) -> Any:
    """The least of k restarts; the interval ends where the least of k redrawn restarts lies at the stated level."""
    return of_best(loss, loss, over, level)


def of_best(values: xr.DataArray, loss: xr.DataArray, over: str = "seed", level: float = LEVEL) -> Any:
    """A number read off the best of k restarts by loss; the interval spans those that may be best when k are redrawn.

    The r-th best of k is the best of a resample with probability ((k - r + 1) / k)^k - ((k - r) / k)^k; the interval
    covers the first few, to the stated level together: the best three of eight, or of a hundred.
    """
    values, loss = xr.broadcast(values, loss)
    return _over(xr.concat([values, loss], "of_best"), over, level, _first_of_order, "of_best")


def category_of_best(names: xr.DataArray, loss: xr.DataArray, over: str = "seed") -> Category:
    """A name read off the best of k restarts by loss, and the probability of each name when k are redrawn."""
    order = np.argsort(_unusable_last(loss.transpose(over).values), kind="stable")
    ranked = [str(name) for name in names.transpose(over).values[order]]
    shares: dict[str, float] = {}
    for name, chance in zip(ranked, chances_of_best(len(ranked)), strict=True):
        shares[name] = shares.get(name, 0.0) + float(chance)
    return Category(ranked[0], shares, "restart", len(ranked))


def best_over_best(one: xr.DataArray, other: xr.DataArray, over: str = "seed") -> Estimate:
    """The least of one loss over the least of another, NaN left out; the bootstrap selects both anew."""
    both = xr.Dataset({"one": one, "other": other})
    least = redrawn(both, over).min(over)
    return of_draws(least["one"] / least["other"], both.sizes[over], over)


def chances_of_best(count: int) -> np.ndarray:
    """The probability that the r-th best of `count` restarts is the best of as many drawn from them again."""
    ends = ((count - np.arange(count + 1)) / count) ** count
    return ends[:-1] - ends[1:]


def best_redrawn(loss: xr.DataArray, over: str = "seed", resamples: int = 999) -> xr.DataArray:
    """The place of the best restart of every cell, along a first dimension "draw": among all restarts at draw 0, then
    among as many redrawn, the same for all cells.

    What is read off the best of many cells at once, `values.isel(seed=best_redrawn(loss))`, then has a bootstrap
    distribution with the selection inside: see `of_draws`. Losses that are not finite come last.
    """
    cells = [dim for dim in loss.dims if dim != over]
    finite = _unusable_last(loss.transpose(*cells, over).values)
    drawn = _resamples(loss.sizes[over], resamples)
    places = np.stack([sample[finite[..., sample].argmin(-1)] for sample in drawn])
    return xr.DataArray(places, {dim: loss[dim] for dim in cells if dim in loss.coords}, ("draw", *cells))


def steps_of_best(values: xr.DataArray, loss: xr.DataArray, along: str, over: str = "seed") -> Series:
    """Numbers read off the best of k along one dimension, and their changes from each label to the next.

    The best of two labels are unrelated restarts, so a change lies between the extremes of the two intervals.
    """
    levels = of_best(values.transpose(along, ...), loss.transpose(along, ...), over)
    pairs = itertools.pairwise(levels.estimates)
    changes = [Estimate(b.value - a.value, b.low - a.high, b.high - a.low, b.unit, b.count) for a, b in pairs]
    return Series(levels.at, levels.estimates, tuple(changes))


# ------------------------------------------------------------------------------------------------------------ machinery


def _over(
    values: xr.DataArray, over: str, level: float, one: Callable[[np.ndarray, float, str], Estimate], inner: str = ""
) -> Any:
    """One estimate over a dimension, or a series of them with the intervals of a family."""
    if over not in values.dims:
        raise ValueError(f"{over}: not among the dimensions {', '.join(map(str, values.dims))}")
    kept = (inner, over) if inner else (over,)
    cells = list(_labelled(values, kept))
    if not values.ndim - len(kept):
        return one(cells[0][1], level, over)
    if not cells:
        raise ValueError(
            f"{', '.join(str(dim) for dim in values.dims if dim not in kept)}: no label is left to estimate"
        )
    family = 1 - (1 - level) / len(cells)
    return Series(*zip(*((label, one(cell, family, over)) for label, cell in cells), strict=True))


def _labelled(values: xr.DataArray, kept: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """(label, entries along `kept`) of each combination of the other dimensions."""
    others = [str(dim) for dim in values.dims if dim not in kept]
    array = values.transpose(*others, *kept).values
    for places in itertools.product(*(range(values.sizes[dim]) for dim in others)):
        names = []
        for dim, place in zip(others, places, strict=True):
            coordinate = values.coords.get(dim)
            names.append(f"{dim} = {_plain(place if coordinate is None else coordinate.values[place])}")
        yield ", ".join(names), array[places]


def _plain(label: Any) -> str:
    return f"{label:.4g}" if isinstance(label, float | np.floating) else str(label)


def _student(sample: np.ndarray, level: float, unit: str) -> Estimate:
    kept = np.asarray(sample, np.float64)
    kept = kept[np.isfinite(kept)]
    count = len(kept)
    if count < 2:
        return Estimate(kept[0] if count else np.nan, -np.inf, np.inf, unit, count)
    middle = float(kept.mean())
    half = float(stats.t.ppf((1 + level) / 2, count - 1) * kept.std(ddof=1) / np.sqrt(count))
    return Estimate(middle, middle - half, middle + half, unit, count)


def _between_order_statistics(sample: np.ndarray, level: float, unit: str) -> Estimate:
    kept = np.sort(np.asarray(sample, np.float64))
    kept = kept[np.isfinite(kept)]
    count = len(kept)
    if not count:
        return Estimate(np.nan, -np.inf, np.inf, unit, 0)
    # The median lies below the r-th smallest with probability P(Binomial(n, 1/2) < r), and likewise above.
    rank = int(stats.binom.ppf((1 - level) / 2, count, 0.5))
    if stats.binom.cdf(rank - 1, count, 0.5) > (1 - level) / 2:
        rank -= 1
    if rank < 1:
        return Estimate(np.median(kept), -np.inf, np.inf, unit, count)
    return Estimate(np.median(kept), kept[rank - 1], kept[-rank], unit, count)


def _wilson(sample: np.ndarray, level: float, unit: str) -> Estimate:
    flags = np.asarray(sample, np.float64)
    flags = flags[np.isfinite(flags)]
    if not len(flags):
        return Estimate(np.nan, 0, 1, unit, 0)
    found = stats.binomtest(int(flags.sum()), len(flags)).proportion_ci(level, method="wilson")
    middle = float(flags.mean())
    return Estimate(middle, min(max(found.low, 0.0), middle), max(min(found.high, 1.0), middle), unit, len(flags))


def _first_of_order(sample: np.ndarray, level: float, unit: str) -> Estimate:
    values, loss = sample
    order = np.argsort(_unusable_last(loss), kind="stable")
    upto = int(np.searchsorted(np.cumsum(chances_of_best(len(order))), level - 1e-12)) + 1
    first = np.asarray(values, np.float64)[order[:upto]]
    if np.isnan(first).any():
        return Estimate(first[0], -np.inf, np.inf, "restart", len(order))
    return Estimate(first[0], first.min(), first.max(), "restart", len(order))


def _unusable_last(loss: np.ndarray) -> np.ndarray:
    loss = np.asarray(loss, np.float64)
    return np.where(np.isfinite(loss), loss, np.inf)
