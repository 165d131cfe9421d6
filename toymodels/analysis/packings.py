"""Many packings at once: V is cells x vectors x dim, any number of leading axes; V_i are rows, cos_ij their cosines.

What `geometry` says of one set of directions, for the thousands of restarts of a sweep, in numpy and float64.
"""

from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np

from toymodels.analysis.geometry import Factor, tegum_factors
from toymodels.arrays import Array, Bool, Float, Int


def cosines(V: Float[Array, "*cells vectors dim"]) -> Float[np.ndarray, "*cells vectors vectors"]:
    """cos_ij = V_i . V_j / |V_i| |V_j|; 0 on the diagonal, which is no pair, and for a zero row."""
    rows = np.asarray(V, np.float64)
    top = np.abs(rows).max(axis=-1, keepdims=True)
    rows = rows / np.where(top > 0, top, 1)  # so that squares stay in range
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    units = rows / np.where(norms > 0, norms, 1)
    return units @ np.swapaxes(units, -1, -2) * ~np.eye(rows.shape[-2], dtype=bool)


def losses(
    V: Float[Array, "*cells vectors dim"], power: Float[Array, "..."] | float, signed: bool = False
) -> Float[np.ndarray, "*cells"]:
    """sum_{i != j} |cos_ij|^power, or relu(cos_ij)^power if signed, of each cell. Jermyn 2022.

    power >= 1 is one number or one a cell (broadcast against the leading axes).
    """
    exponent = np.asarray(power, np.float64)
    if not np.all((exponent >= 1) & np.isfinite(exponent)):
        raise ValueError(f"power={exponent.min():g}: the exponent of an interference loss is finite and at least 1")
    found = cosines(V)
    size = np.maximum(found, 0) if signed else np.abs(found)
    return np.asarray(np.sum(size ** exponent[..., None, None], axis=(-2, -1)))


def orthogonal_pair_counts(V: Float[Array, "*cells vectors dim"], tol: float) -> Int[np.ndarray, "*cells"]:
    """Number of ordered pairs i != j with |cos_ij| <= tol of each cell; pairs with a zero row do not count."""
    alive = np.any(np.asarray(V) != 0, axis=-1)
    pair = alive[..., :, None] & alive[..., None, :] & ~np.eye(alive.shape[-1], dtype=bool)
    return np.asarray(np.sum((np.abs(cosines(V)) <= _fraction(tol)) & pair, axis=(-2, -1)))


def orthogonal_factor_counts(V: Float[Array, "*cells vectors dim"], tol: float) -> Int[np.ndarray, "*cells"]:
    """Connected components of the pairs with |cos_ij| > tol of each cell: orthogonal factors, zero rows aside."""
    alive = np.any(np.asarray(V) != 0, axis=-1)
    reached = _reachable(np.abs(cosines(V)) > _fraction(tol))
    # A component is counted once, at its first vector.
    earlier = np.any(np.tril(reached, -1), axis=-1)
    return np.asarray(np.sum(alive & ~earlier, axis=-1))


def between_factor_pair_counts(V: Float[Array, "*cells vectors dim"], tol: float) -> Int[np.ndarray, "*cells"]:
    """Number of ordered pairs in different components of |cos_ij| > tol: n^2 - sum_f n_f^2, zero rows aside."""
    alive = np.any(np.asarray(V) != 0, axis=-1)
    reached = _reachable(np.abs(cosines(V)) > _fraction(tol))
    return np.asarray(np.sum(~reached & alive[..., :, None] & alive[..., None, :], axis=(-2, -1)))


def _reachable(edge: Bool[np.ndarray, "*cells vectors vectors"]) -> Bool[np.ndarray, "*cells vectors vectors"]:
    """Pairs joined by a path: paths double in length with every squaring."""
    vectors = edge.shape[-1]
    joined = (edge | np.eye(vectors, dtype=bool)).astype(np.float32)
    for _ in range(max(1, int(np.ceil(np.log2(vectors))))):
        joined = np.minimum(joined @ joined, 1)
    return joined > 0


def _fraction(tol: float) -> float:
    if not 0 <= tol < 1:
        raise ValueError(f"tol={tol}: a tolerance on |cos| lies in [0, 1)")
    return tol


# --------------------------------------------------------------------------------------------------------------- basins


class Basin(NamedTuple):
    """Restarts that end alike: the name of the first of them, their loss to four digits, their places."""

    name: str
    loss: float
    places: list[int]

    @property
    def restarts(self) -> int:
        return len(self.places)


def basins(
    V: Float[Array, "restarts vectors dim"], loss: Float[Array, " restarts"], tol: float, even: bool = False
) -> list[Basin]:
    """The minima that restarts end in, told apart by loss (to four digits) and number of factors, least loss first.

    Of equal losses the one with the most factors comes first; restarts whose loss is not finite are left out.
    """
    ends: defaultdict[tuple[float, int], list[int]] = defaultdict(list)
    factors = orthogonal_factor_counts(V, tol)
    for place in np.flatnonzero(np.isfinite(loss)).tolist():
        ends[float(f"{loss[place]:.4g}"), int(factors[place])].append(place)
    return [
        Basin(configuration_name(V[places[0]], tol, even), level, places)
        for (level, _), places in sorted(ends.items(), key=lambda item: (item[0][0], -item[0][1]))
    ]


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
