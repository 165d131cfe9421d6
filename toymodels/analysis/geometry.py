"""Geometry of learned weights: how features share the hidden space, and the orthogonal factors they split into.

W is features x hidden: rows are feature directions. Leading axes (seeds, snapshots, ...) and labels of an xarray
DataArray are kept; there, a model that is not finite is NaN. The five measures take numpy arrays or nested lists
(float64 out) or JAX arrays (traceable, differentiable also at zero rows, in the array's own precision). They work with
unit rows and relative lengths, so that no square overflows or underflows before the result does. A row is dead when its
norm is at most `dead` times the largest norm; 0, the default of the measures, means zero rows only.

>>> from toymodels.shapes.frames import tegum_product
>>> from toymodels.shapes.polytopes import polygon, simplex
>>> pentagon = polygon(5).vectors
>>> feature_dimensionality(pentagon).round(3).tolist()
[0.4, 0.4, 0.4, 0.4, 0.4]
>>> round(float(dimensions_per_feature(pentagon)), 3)
0.4
>>> both = tegum_product(pentagon, simplex(1).vectors)  # and a digon, in a dimension of its own
>>> tegum_factors(both).name
'pentagon ⊕ digon'
>>> factor_count(both)
2
>>> int(orthogonal_pairs(both, 1e-6))
20
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from toymodels.arrays import Array, Float, Int
from toymodels.shapes.matching import best_match
from toymodels.shapes.packing import components

Number = float | int | np.number | jax.Array  # jax.Array: a traced tolerance
MODEL = ("feature", "hidden")
"""Dimensions of a model in labelled weights."""

P = ParamSpec("P")
R = TypeVar("R")

__all__ = [
    "Factor",
    "TegumFactors",
    "dimensions_per_feature",
    "factor_count",
    "feature_dimensionality",
    "frame_potential",
    "interference",
    "orthogonal_pairs",
    "per_model",
    "tegum_factors",
]

# ---------------------------------------------------------------------------------------------------------- measures


def per_model(
    read: Callable[..., Any],
    W: Float[Array, "*models features hidden"] | xr.DataArray | ArrayLike,
    *,
    features: bool = False,
) -> Any:
    """A number read off each model, (*models), or with `features` one of each feature, (*models, features).

    Labels stay: of a labelled array a model is what the dimensions "feature" and "hidden" span, or else the last two.
    NaN for a model that is not finite. Hidden units that are NaN in every feature are left out before: they pad a
    narrow model to the width of the widest.
    """

    def of_arrays(weights: np.ndarray) -> np.ndarray:
        found = np.full(weights.shape[:-1] if features else weights.shape[:-2], np.nan)
        for place in np.ndindex(*weights.shape[:-2]):
            model = weights[place][:, ~np.isnan(weights[place]).all(axis=0)]
            if model.size and np.isfinite(model).all():
                found[place] = read(model)
        return found

    if not isinstance(W, xr.DataArray):
        return of_arrays(np.asarray(W, np.float64))
    model = MODEL if set(MODEL) <= set(W.dims) else W.dims[-2:]
    return xr.apply_ufunc(
        of_arrays, W.astype(np.float64), input_core_dims=[model], output_core_dims=[model[:1] if features else ()]
    )


def _of_each_model(features: bool) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A measure of one model, made one of each model where W has leading axes or labels."""

    def widened(measure: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(measure)
        def wide(W: Any, *args: Any, **settings: Any) -> Any:
            def read(model: Any) -> Any:
                return measure(model, *args, **settings)  # type: ignore[arg-type]

            if isinstance(W, xr.DataArray):
                return per_model(read, W, features=features)
            if np.ndim(W) <= 2:
                return read(W)
            if isinstance(W, jax.Array):
                return jnp.vectorize(read, signature="(n,m)->(n)" if features else "(n,m)->()")(W)
            return per_model(read, W, features=features)

        return wide  # type: ignore[return-value]

    return widened


@_of_each_model(features=True)
def feature_dimensionality(
    W: Float[Array, "*models features hidden"] | xr.DataArray | ArrayLike, dead: Number = 0.0
) -> Float[Array, "*models features"] | xr.DataArray:
    """D_i = |W_i|^2 / sum_j (W_i_hat . W_j)^2, in [0, 1]; 0 for a dead feature. Elhage et al. 2022.

    Equals the capacity C_i of Scherlis et al. 2022. sum_i D_i <= rank W, with equality exactly when every row is an
    eigenvector of W^T W (an orthogonal sum of tight frames).
    """
    rows = _rows(W, dead)
    xp, n = rows.xp, len(rows.length)
    projections = xp.where(xp.eye(n, dtype=bool), rows.length, _cosines(rows) * rows.length)
    largest = xp.max(xp.abs(projections), axis=1)  # >= |W_i|: the ratios below neither overflow nor vanish together
    largest = xp.where(rows.alive, largest, 1)
    share = (rows.length / largest) ** 2 / xp.sum((projections / largest[:, None]) ** 2 + ~rows.alive[:, None], axis=1)
    return xp.where(rows.alive, share, 0)


@_of_each_model(features=False)
def dimensions_per_feature(
    W: Float[Array, "*models features hidden"] | xr.DataArray | ArrayLike,
) -> Float[Array, "*models"] | xr.DataArray | float:
    """D* = m / |W|_F^2, hidden dimensions per learned feature; inf for W = 0. Elhage et al. 2022.

    It counts a feature of unit norm as one, so unlike the others it depends on the scale of W.
    """
    rows = _rows(W, 0.0)
    xp, m = rows.xp, rows.unit.shape[1]
    total = xp.sum(rows.length**2)
    with np.errstate(over="ignore"):
        per_feature = m / xp.where(total > 0, total, 1) / rows.scale / rows.scale
    return xp.where(total > 0, per_feature, xp.inf)[()]


@_of_each_model(features=True)
def interference(
    W: Float[Array, "*models features hidden"] | xr.DataArray | ArrayLike, dead: Number = 0.0
) -> Float[Array, "*models features"] | xr.DataArray:
    """sum_{j != i} (W_i_hat . W_j)^2 >= 0 per feature; 0 for a dead one. Elhage et al. 2022."""
    rows = _rows(W, dead)
    xp, n = rows.xp, len(rows.length)
    projections = xp.where(xp.eye(n, dtype=bool), 0, _cosines(rows) * (rows.length * rows.scale))
    return xp.sum(projections**2, axis=1)


@_of_each_model(features=False)
def frame_potential(
    W: Float[Array, "*models features hidden"] | xr.DataArray | ArrayLike, dead: Number = 0.0
) -> Float[Array, "*models"] | xr.DataArray | float:
    """sum_{i, j} cos_ij^2 over ordered pairs of live features, diagonal included. Benedetto & Fickus 2003.

    Of n live features in m dimensions it is at least max(n, n^2 / m), attained exactly by orthonormal sets and by tight
    frames of unit vectors. 0 when every feature is dead.
    """
    rows = _rows(W, dead)
    xp, n = rows.xp, len(rows.length)
    squares = xp.where(xp.eye(n, dtype=bool), 0, _cosines(rows) ** 2)
    return xp.sum(squares) + xp.sum(rows.alive)


@_of_each_model(features=False)
def orthogonal_pairs(
    W: Float[Array, "*models features hidden"] | xr.DataArray | ArrayLike, tol: Number, dead: Number = 0.0
) -> Int[Array, "*models"] | Float[Array, "*models"] | xr.DataArray | np.integer:
    """Number of ordered pairs i != j of live features with |cos_ij| <= tol, tol in [0, 1)."""
    _check_fraction("tol", tol)
    rows = _rows(W, dead)
    xp, n = rows.xp, len(rows.length)
    pair = rows.alive[:, None] & rows.alive & ~xp.eye(n, dtype=bool)
    return xp.sum((xp.abs(_cosines(rows)) <= tol) & pair)


class _Rows(NamedTuple):
    """W_i = scale * length_i * unit_i, with largest length of order one; dead rows have unit_i = 0, length_i = 0."""

    xp: Any
    unit: Any
    length: Any
    scale: Any
    alive: Any


def _rows(W, dead) -> _Rows:
    _check_fraction("dead", dead)
    W = _matrix(W)
    xp = W.__array_namespace__()
    top = xp.max(xp.abs(W), axis=1)
    scale = xp.max(top)
    scale = xp.where(scale > 0, scale, 1)
    divisor = xp.where(top > 0, top, 1)  # where before every division and root: a zero row has gradient 0, not NaN
    unit = W / divisor[:, None]
    norm = xp.sqrt(xp.where(top > 0, xp.sum(unit**2, axis=1), 1))
    length = top / scale * norm
    alive = length > dead * xp.max(length)
    return _Rows(xp, unit / norm[:, None] * alive[:, None], length * alive, scale, alive)


def _matrix(W):
    W = W if isinstance(W, jax.Array) else np.asarray(W, np.float64)
    if W.ndim != 2 or 0 in W.shape:
        raise ValueError(
            f"W of shape {tuple(W.shape)}: weights are a matrix, features x hidden, with at least one of each"
        )
    if isinstance(W, np.ndarray) and not np.all(np.isfinite(W)):
        raise ValueError("W: weights are finite numbers")
    return W if jnp.issubdtype(W.dtype, jnp.floating) else W.astype(float)


def _cosines(rows):
    if rows.xp is np:
        return rows.unit @ rows.unit.T
    return jnp.matmul(rows.unit, rows.unit.T, precision="highest")  # accelerators default to fewer digits


def _check_fraction(name, value):
    if not isinstance(value, jax.core.Tracer) and not 0 <= value < 1:
        raise ValueError(f"{name}={value}: a tolerance lies in [0, 1)")


# ----------------------------------------------------------------------------------------------------- tegum factors

NOISE_FREE = 1e-6  # a cosine or a singular value below this is rounding, also in single precision


class Factor(NamedTuple):
    """One orthogonal factor of a set of features, described by directions except for `dimensionality`.

    members: feature indices, ascending. rank: dimensions of the polytope, or, where irregular, those that the
    directions span above noise (`numerical_rank`). dimensionality: sum of D_i over the members. leakage: largest |cos|
    between a member and a live feature of another factor. polytope: name of the best match in the catalogue, or
    "irregular". residual: rms error of the cosines in that match, inf where the catalogue has nothing of this size and
    rank.
    """

    members: Int[np.ndarray, " size"]
    size: int
    rank: int
    dimensionality: float
    leakage: float
    polytope: str
    residual: float


class TegumFactors(NamedTuple):
    """labels: factor of each feature by first member, -1 if dead; name: of the whole; tol: the |cos| cut used."""

    labels: Int[np.ndarray, " features"]
    factors: list[Factor]
    name: str
    tol: float


def tegum_factors(
    W: Float[Array, "features hidden"] | ArrayLike,
    tol: Number | None = None,
    even: bool = False,
    dead: Number = 5e-3,
    irregular: Number = 0.1,
) -> TegumFactors:
    """Finest orthogonal decomposition: connected components of the graph |cos_ij| > tol on live features. Jermyn 2022.

    tol: |cos| up to which two features count as orthogonal; None chooses it (`orthogonality_cut`). even: match
    polytopes up to sign flips too, as an even loss does. dead: a feature is dead when its norm is at most this fraction
    of the largest. irregular: residual above which a factor's best match is not its name. Directions alone decide all
    but the dimensionality: the lengths of live features do not matter. Raises ValueError for weights that are not a
    finite matrix and for tolerances outside [0, 1).
    """
    W = np.asarray(W, np.float64)
    rows = _rows(W, dead)
    if tol is not None:
        _check_fraction("tol", tol)
    if not irregular >= 0:
        raise ValueError(f"irregular={irregular}: a residual is not negative")
    alive = np.flatnonzero(rows.alive)
    labels = np.full(len(rows.alive), -1)
    units = rows.unit[alive]
    cosines = np.abs(units @ units.T)
    tol = orthogonality_cut(units) if tol is None else float(tol)
    labels[alive] = components(cosines > tol)
    D = feature_dimensionality(W, dead)
    between = cosines[labels[alive][:, None] != labels[alive]]
    exact = bool(between.size and between.max() < NOISE_FREE)
    factors = []
    for label in range(labels.max() + 1):
        members = np.flatnonzero(labels == label)
        inside, outside = labels[alive] == label, labels[alive] != label
        leakage = float(cosines[np.ix_(inside, outside)].max(initial=0.0))
        rank, polytope, residual = _recognise(rows.unit[members], exact, even, irregular)
        factors.append(Factor(members, len(members), rank, float(D[members].sum()), leakage, polytope, residual))
    return TegumFactors(labels, factors, _name_whole(factors), tol)


@_of_each_model(features=False)
def factor_count(
    W: Float[Array, "*models features hidden"] | xr.DataArray | ArrayLike,
    tol: Number | None = None,
    dead: Number = 5e-3,
) -> Float[Array, "*models"] | xr.DataArray | int:
    """Number of orthogonal factors, as `tegum_factors` finds them: faster, as none is recognised."""
    rows = _rows(W, dead)
    units = rows.unit[rows.alive]
    tol = orthogonality_cut(units) if tol is None else tol
    _check_fraction("tol", tol)
    return int(components(np.abs(units @ units.T) > tol).max(initial=-1)) + 1


def orthogonality_cut(units: Float[np.ndarray, "features hidden"]) -> float:
    """Middle of the widest gap, in log |cos|, between the levels at which components of the graph merge.

    As tol falls from 1 to 0 the components merge at n - 1 levels of |cos| (single linkage): those inside factors are
    large, those between factors are noise. Levels are told apart down to 1e-4. A cut above the highest has its gap
    measured up to 1; a cut below the lowest, which joins everything, down to .01 sqrt(2 ln n(n-1)), the largest of all
    cosines if noise of 1 % made them: of just two features, |cos| < 0.1 counts as orthogonal.
    A cut is refused when its factors would need more dimensions than there are (the dimensionalities inside the factors
    sum to the rank + 1/2 or more), as when a large simplex, whose cosines are small, is torn apart; a |cos| above 1/4
    is never noise; a gap of less than 5:4 separates nothing. Where no cut is left, everything is one factor.
    """
    n = len(units)
    if n < 2:
        return 0.1
    lowest, cap, slack, narrow = 1e-4, 0.25, 0.5, 0.8
    cosines = np.abs(units @ units.T)
    distances = squareform(np.clip(1 - cosines, 0, 1), checks=False)
    levels = np.clip(1 - linkage(distances, "single")[::-1, 2], lowest, 1)  # ascending
    largest_noise = 0.01 * np.sqrt(2 * np.log(n * (n - 1)))
    below = np.concatenate([[min(largest_noise, levels[0])], levels])
    above = np.concatenate([levels, [1.0]])
    rank = numerical_rank(units)
    for k in np.argsort(below / above, kind="stable"):
        cut = float(np.sqrt(below[k] * above[k]))
        if below[k] > cap or below[k] > narrow * above[k]:
            continue
        labels = components(cosines > cut)
        inside = cosines**2 * (labels[:, None] == labels)
        if np.sum(1 / inside.sum(axis=1)) < rank + slack:
            return cut
    return float(levels[0] / 2)


def numerical_rank(units: Float[np.ndarray, "size hidden"], exact: bool = False) -> int:
    """Number of singular values above the first that is below 0.2 and ten times smaller than the one before it.

    For unit rows: the directions of a configuration have singular values of order one, noise of 1 % some hundredths.
    Where the rows are known to be free of noise, `exact` or a singular value below 1e-6, all above 1e-6 count.
    """
    scales = np.linalg.svd(units, compute_uv=False)
    if exact or scales[-1] < NOISE_FREE:
        return int(np.sum(scales >= NOISE_FREE))
    drops = np.flatnonzero((scales[1:] < 0.2) & (scales[1:] * 10 < scales[:-1]))
    return int(drops[0]) + 1 if len(drops) else len(scales)


def _recognise(units, exact, even, irregular):
    """(rank, name, residual), also of what a configuration in fewer dimensions matches: a bent digon is still one."""
    rank, slight = numerical_rank(units, exact), 0.4  # a pair at the threshold cos = -0.9 has singular value 0.32
    scales = np.linalg.svd(units, compute_uv=False)
    ranks = range(max(1, int(np.sum(scales[:rank] >= slight))), rank + 1)
    matches = [found for r in ranks if (found := best_match(units, r, even))]
    best = min(matches, key=lambda found: found.residual, default=None)
    if best is None:
        return rank, "irregular", float("inf")
    if best.residual > irregular:
        return rank, "irregular", best.residual
    return best.polytope.vectors.shape[1], best.polytope.name, best.residual


def _name_whole(factors):
    """Tegum sum of the factors, largest first, "triangle ⊕ 2 digons"; of digons alone, the cross-polytope they make."""
    names = [factor.polytope for factor in factors]
    if not names:
        return "empty"
    if set(names) == {"digon"} and len(names) > 1:
        return {2: "square", 3: "octahedron"}.get(len(names), f"{len(names)}-dimensional cross-polytope")
    ordered = sorted(factors, key=lambda f: (f.polytope == "irregular", -f.rank, -f.size, f.polytope))
    return " ⊕ ".join(_counted(name, names.count(name)) for name in dict.fromkeys(f.polytope for f in ordered))


def _counted(name, count):
    if count == 1:
        return name
    if name == "irregular":
        return f"{count} {name}"
    if name.endswith("hedron"):
        return f"{count} {name.removesuffix('on')}a"
    return f"{count} {name.removesuffix('ex')}ices" if name.endswith("simplex") else f"{count} {name}s"
