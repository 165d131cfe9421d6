"""Many packings at once: V is cells x vectors x dim, any number of leading axes; V_i are rows, cos_ij their cosines.

What `geometry` says of one set of directions, for the thousands of restarts of a sweep, in numpy and float64.
"""

from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np
import xarray as xr

from toymodels.analysis.geometry import Factor, tegum_factors
from toymodels.arrays import Array, Bool, Float, Int
from toymodels.estimates import Estimate, Series
from toymodels.shapes.packing import components, cosines, interference_losses, orthogonal_factors


def orthogonal_pair_counts(V: Float[Array, "*cells vectors dim"], tol: float) -> Int[np.ndarray, "*cells"]:
    """Number of ordered pairs i != j with |cos_ij| <= tol of each cell; pairs with a zero row do not count."""
    return _pair_counts(V, np.abs(cosines(V)) <= _fraction(tol))


def orthogonal_factor_counts(V: Float[Array, "*cells vectors dim"], tol: float) -> Int[np.ndarray, "*cells"]:
    """Connected components of the pairs with |cos_ij| > tol of each cell: orthogonal factors, zero rows aside."""
    return _factor_counts(V, orthogonal_factors(V, tol))


def between_factor_pair_counts(V: Float[Array, "*cells vectors dim"], tol: float) -> Int[np.ndarray, "*cells"]:
    """Number of ordered pairs in different components of |cos_ij| > tol: n^2 - sum_f n_f^2, zero rows aside."""
    factor = orthogonal_factors(V, tol)
    return _pair_counts(V, factor[..., :, None] != factor[..., None, :])


def _factor_counts(
    V: Float[Array, "*cells vectors dim"], factor: Int[np.ndarray, "*cells vectors"]
) -> Int[np.ndarray, "*cells"]:
    # A row of zeros is a component by itself.
    return np.asarray(factor.max(axis=-1) + 1 - np.sum(~_alive(V), axis=-1))


def _pair_counts(
    V: Float[Array, "*cells vectors dim"], which: Bool[np.ndarray, "*cells vectors vectors"]
) -> Int[np.ndarray, "*cells"]:
    alive = _alive(V)
    pair = alive[..., :, None] & alive[..., None, :] & ~np.eye(alive.shape[-1], dtype=bool)
    return np.asarray(np.sum(which & pair, axis=(-2, -1)))


def _alive(V: Float[Array, "*cells vectors dim"]) -> Bool[np.ndarray, "*cells vectors"]:
    return np.any(np.asarray(V) != 0, axis=-1)


def _fraction(tol: float) -> float:
    if not 0 <= tol < 1:
        raise ValueError(f"tol={tol}: a tolerance on |cos| lies in [0, 1)")
    return tol


# ------------------------------------------------------------------------------------------------- restarts by power


def restarts(V: xr.DataArray, signed: bool, tol: float, within: float) -> xr.Dataset:
    """Of every restart: loss, orthogonal factors (also at 10 tol and tol / 10), pairs, and pairs between factors.

    V: axes, with "power" and "seed" among them, x feature x dimension; NaN for restarts that are left out, and as
    padding of smaller packings. `order` is the loss to find the best restart by (`tied`, within).
    """
    V = V.transpose(..., "feature", "dimension")
    good, rows = V.notnull().any(["feature", "dimension"]), V.fillna(0).values  # zero rows are in no pair
    power, size = V.power.astype(np.float64), np.abs(cosines(rows))
    factor, loosely, strictly = (components(size > cut) for cut in (_fraction(tol), tol * 10, tol / 10))
    found = {
        "loss": interference_losses(rows, power.broadcast_like(good).transpose(*good.dims).values, signed),
        "factors": _factor_counts(rows, factor),
        "factors_loosely": _factor_counts(rows, loosely),
        "factors_strictly": _factor_counts(rows, strictly),
        "pairs": _pair_counts(rows, size <= tol),
        "between": _pair_counts(rows, factor[..., :, None] != factor[..., None, :]),
    }
    data = xr.Dataset({name: (good.dims, np.asarray(each, np.float64)) for name, each in found.items()}, good.coords)
    data = data.assign_coords(power=power).where(good)
    return data.assign(order=tied(data.loss, data.factors, within))


def tied(loss: xr.DataArray, factors: xr.DataArray, within: float, over: str = "seed") -> xr.DataArray:
    """A loss to find the best restart by: of those that equal the least to `within`, relative, most factors win."""
    least = loss.min(over)
    return loss.where(loss > least * (1 + within) + 1e-12, least - (1e-6 * least + 1e-9) * factors)


def best_restarts(found: xr.Dataset) -> xr.Dataset:
    """What `restarts` found, of the best restart by `order` alone; NaN where all are left out."""
    return found.isel(seed=found.order.fillna(np.inf).argmin("seed"))


def takeover(best: Series, powers: Float[Array, " powers"] | list[float], d: int) -> Estimate:
    """Midway from the last power at which the best restart has d factors to the first one from which it has one.

    The interval reaches to powers at which all restarts that may be best have d factors, or one: it covers the grid's
    gap too. `best`: numbers of factors at ascending powers. Infinite where there is no such power.
    """
    q = np.asarray(powers, np.float64)
    value, low, high = (np.array([getattr(each, end) for each in best.estimates]) for end in ("value", "low", "high"))
    last, surely = (max(q[split], default=-np.inf) for split in (value == d, low == d))
    first, whole = (min(q[_after(split)], default=np.inf) for split in (value > 1, high > 1))
    middle = last if last == first else (last + first) / 2 if np.isfinite([last, first]).any() else np.nan
    return Estimate(middle, surely, whole, best.estimates[0].unit, best.estimates[0].count)


def _after(split: Bool[np.ndarray, " powers"]) -> slice:
    return slice(max(np.flatnonzero(split), default=-1) + 1, None)


def labels_within(series: Series, low: float, high: float) -> Estimate:
    """At how many labels of a series a number lies within low to high: by its value; surely, and possibly."""
    inside = sum(low <= each.value <= high for each in series.estimates)
    surely = sum(low <= each.low and each.high <= high for each in series.estimates)
    possibly = sum(each.low <= high and low <= each.high for each in series.estimates)
    return Estimate(inside, surely, possibly, series.estimates[0].unit, series.estimates[0].count)


# -------------------------------------------------------------------------------------------------------------- endings


class Ending(NamedTuple):
    """Restarts that end alike: the name of the first of them, their loss to four digits, their places."""

    name: str
    loss: float
    places: list[int]

    @property
    def restarts(self) -> int:
        return len(self.places)


def endings(
    V: Float[Array, "restarts vectors dim"],
    loss: Float[Array, " restarts"],
    tol: float,
    even: bool = False,
    named: int | None = None,
) -> list[Ending]:
    """The minima that restarts end in, told apart by loss (to four digits) and number of factors, least loss first.

    Of equal losses the one with the most factors comes first; restarts whose loss is not finite are left out. Names are
    slow: with `named` only the first so many have one.
    """
    ends: defaultdict[tuple[float, int], list[int]] = defaultdict(list)
    factors = orthogonal_factor_counts(V, tol)
    for place in np.flatnonzero(np.isfinite(loss)).tolist():
        ends[float(f"{loss[place]:.4g}"), int(factors[place])].append(place)
    ordered = sorted(ends.items(), key=lambda item: (item[0][0], -item[0][1]))
    upto = len(ordered) if named is None else named
    names = [configuration_name(V[places[0]], tol, even) for _, places in ordered[:upto]] + [""] * len(ordered)
    return [Ending(name, level, places) for name, ((level, _), places) in zip(names, ordered, strict=False)]


def endings_table(V: xr.DataArray, loss: xr.DataArray, tol: float, even: bool = False, named: int = 4) -> xr.Dataset:
    """`endings` over "seed" at each of the other labels, along "rank", least loss first, as many as `named`.

    name, label (with the excess over the least loss, "pentagon, +2%"), restarts, and place, that of the first of them.
    One rank more, "7 more", holds the restarts of all others; ranks that are not needed have no name, no restarts and
    place -1. V: axes of the losses x feature x dimension; NaN for restarts that are left out, and as padding of smaller
    packings.
    """
    levels = loss.transpose(..., "seed")
    rows = V.transpose(*levels.dims, "feature", "dimension").fillna(0)
    table = [
        _ranked(endings(rows.values[cell], levels.values[cell], tol, even, named), named)
        for cell in np.ndindex(levels.shape[:-1])
    ]
    dims, shape = (*levels.dims[:-1], "rank"), (*levels.shape[:-1], named + 1)
    columns = zip(*(row for cell in table for row in cell), strict=True)
    each = zip(("name", "label", "restarts", "place"), columns, strict=True)
    data = {name: (dims, np.array(values).reshape(shape)) for name, values in each}
    return xr.Dataset(data, {dim: levels[dim] for dim in dims[:-1]})


def _ranked(found: list[Ending], named: int) -> list[tuple[str, str, int, int]]:
    """Name, label, restarts and place of the first endings, empty rows, and a row for all others."""
    least = found[0].loss if found else 0.0
    over = [f", +{100 * (end.loss / least - 1):.2g}%" if least and end is not found[0] else "" for end in found]
    first = [
        (end.name, end.name + more, end.restarts, end.places[0])
        for end, more in zip(found[:named], over[:named], strict=True)
    ]
    others = found[named:]
    rest = f"{len(others)} more" if others else ""
    return [*first, *[("", "", 0, -1)] * (named - len(first)), (rest, rest, sum(end.restarts for end in others), -1)]


def cosines_by_factor(V: Float[Array, "vectors dim"], tol: float) -> Float[np.ndarray, "vectors vectors"]:
    """|cos_ij|, 1 on the diagonal, of vectors sorted by orthogonal factor; rows of zeros, as padding, stay last."""
    order = np.argsort(orthogonal_factors(V, tol), kind="stable")
    return np.asarray(np.abs(cosines(V)) + np.eye(len(V)))[np.ix_(order, order)]


def configuration_name(V: Float[Array, "vectors dim"], tol: float, even: bool = False) -> str:
    """Orthogonal factors by shape, axes last, such as "pentagon + 2 axes of 3"; of no known shape: "9 in 4D".

    An axis of 3 is three parallel or antipodal vectors. `even` takes no notice of signs, as an even loss.
    """
    V = np.asarray(V, np.float64)
    found = Counter(_factor_name(V, factor, even) for factor in tegum_factors(V, tol, even=even).factors)
    parts = sorted(found.items(), key=lambda item: (item[0].startswith("axis"), item[0]))
    return " + ".join(_counted(name, count) for name, count in parts)


def _factor_name(V: Float[np.ndarray, "vectors dim"], factor: Factor, even: bool) -> str:
    if factor.rank == 1:
        return "axis" if factor.size == 1 else f"axis of {factor.size}"
    if factor.polytope != "irregular":
        return factor.polytope
    size = np.abs(cosines(V[factor.members])[~np.eye(factor.size, dtype=bool)])
    if even and np.ptp(size) < 1e-3:
        return f"{factor.size} equiangular lines"
    members = V[factor.members]
    return f"{factor.size} in {np.linalg.matrix_rank(members, tol=0.05 * np.linalg.norm(members, 2))}D"


def _counted(name: str, count: int) -> str:
    if count == 1:
        return name
    return f"{count} {name.replace('axis', 'axes')}" if name.startswith("axis") else f"{count} × ({name})"
