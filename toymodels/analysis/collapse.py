"""Sets of features that share one direction: how far apart the members of a set are in the hidden space."""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from toymodels.analysis.labelled import each_model
from toymodels.arrays import Array, Float


def set_spread(
    W: Float[Array, "*models features hidden"] | ArrayLike, sets: int, dead: float = 0.05
) -> Float[np.ndarray, "*models sets"]:
    """1 - |sum_i W_i|^2 / (k sum_i |W_i|^2) over the k members of each set: the share of its weight in differences.

    0: all members are one vector, the set is collapsed into its principal component (Elhage et al. 2022, section 5).
    For k equal lengths at mutual angle a it is (1 - 1/k)(1 - cos a): 1 - 1/k where orthogonal, 1 where the members
    cancel. Sets are neighbours among the features, k = features / sets. NaN for a set with no more than `dead` of the
    mean squared length of all sets. Raises ValueError unless the sets divide the features.
    """
    W = np.asarray(W, np.float64)
    n = W.shape[-2]
    if sets < 1 or n % sets:
        raise ValueError(f"sets={sets}: {n} features do not fall into so many equal sets")
    members = W.reshape(*W.shape[:-2], sets, n // sets, W.shape[-1])
    weight = (members**2).sum((-2, -1))
    alive = weight > dead * weight.mean(-1, keepdims=True)
    shared = (members.sum(-2) ** 2).sum(-1) / (n // sets)
    return np.where(alive, np.maximum(1 - shared / np.where(alive, weight, 1), 0), np.nan)


def set_cosines(
    W: Float[Array, "*models features hidden"] | ArrayLike, size: int, dead: float = 0.0
) -> Float[np.ndarray, "*models pairs"]:
    """Cosines of all pairs of members of each set of `size` neighbours, set after set.

    NaN where one of the two is not represented: its length is at most `dead` times the longest. Raises ValueError
    unless the size divides the features.
    """
    W = np.asarray(W, np.float64)
    if size < 2 or W.shape[-2] % size:
        raise ValueError(f"size={size}: {W.shape[-2]} features do not fall into sets of so many")
    length = np.linalg.norm(W, axis=-1, keepdims=True)
    alive = length > dead * length.max(axis=-2, keepdims=True)
    units = np.where(alive, W / np.where(alive, length, 1), np.nan)
    sets = units.reshape(*W.shape[:-2], -1, size, W.shape[-1])
    first, second = np.triu_indices(size, 1)
    return np.asarray((sets[..., first, :] * sets[..., second, :]).sum(-1).reshape(*W.shape[:-2], -1))


def opposite_across_sets(W: Float[Array, "features hidden"] | ArrayLike, sets: int) -> bool:
    """Whether features come in pairs, each the other's most opposite one, and every pair is of two different sets.

    So is an octahedron of two sets of three, the members of each orthogonal. Sets are neighbours among the features.
    """
    W = np.asarray(W, np.float64)
    units = W / np.linalg.norm(W, axis=1, keepdims=True)
    other, own, size = (units @ units.T).argmin(1), np.arange(len(W)), len(W) // sets
    return bool(np.all(other[other] == own) and np.all(other // size != own // size))


def members_lie(cosine: xr.DataArray, over: str = "pair") -> xr.DataArray:
    """How the two members of all pairs of a model lie, by their cosines: "orthogonal" (|cos| up to .2), "antipodal"
    (below -.8), "side by side" (above .2), or "otherwise", as where one is not represented (NaN)."""
    found = {"orthogonal": abs(cosine) <= 0.2, "antipodal": cosine < -0.8, "side by side": cosine > 0.2}
    name = xr.full_like(cosine.isel({over: 0}, drop=True), "otherwise", dtype=object)
    for each, so in found.items():
        name = name.where(~so.all(over), each)
    return name.astype(str)


def lying(models: xr.Dataset, how: str) -> xr.DataArray:
    """Whether "lie" of models, as `members_lie` tells it, is so; NaN for lost models, those without a "loss"."""
    return xr.where(models.loss.isnull(), np.nan, models.lie == how)


def set_interference(W: xr.DataArray, sets: int, dead: float = 0.0) -> xr.Dataset:
    """|cos| of all pairs of features that are represented, as in `set_cosines`, which of them are the "same" set's, and
    the "ratio" of the mean cos² within the sets to that between them."""
    n = W.sizes["feature"]
    first, second = np.array(np.triu_indices(n, 1)) // (n // sets)
    same = xr.DataArray(first == second, dims="pair")
    cosine = abs(each_model(lambda W: set_cosines(W, n, dead), W, outputs=["pair"]))
    within, between = ((cosine**2).where(which).mean("pair") for which in (same, ~same))
    return xr.Dataset({"cosine": cosine, "same": same, "ratio": within / between})


def neighbour_angles(W: Float[Array, "*models features 2"] | ArrayLike) -> Float[np.ndarray, "*models features"]:
    """Angles between neighbours around the circle, in degrees; they add up to 360."""
    W = np.asarray(W, np.float64)
    angle = np.sort(np.degrees(np.arctan2(W[..., 1], W[..., 0])), axis=-1)
    return np.diff(angle, axis=-1, append=angle[..., :1] + 360)


def off_hexagon(W: Float[Array, "6 2"] | ArrayLike) -> float:
    """Of the angles between neighbours and of those between the members of pairs, the largest distance from 60."""
    mates = np.degrees(np.arccos(set_cosines(W, 2).clip(-1, 1)))
    return float(abs(np.append(neighbour_angles(W), mates) - 60).max())


def regular(W: Float[Array, "features 2"] | ArrayLike, lengths: float = 0.05, degrees: float = 5.0) -> bool:
    """Whether rows make a regular polygon: equal lengths, neighbours equally far apart, within these tolerances."""
    length, angle = np.linalg.norm(np.asarray(W, np.float64), axis=1), neighbour_angles(W)
    return bool(length.min() >= (1 - lengths) * length.max() and abs(angle - 360 / len(angle)).max() <= degrees)


def collapse_edge(
    p: Float[Array, " p"] | ArrayLike, counts: Float[Array, "*draws p"] | ArrayLike, count: int
) -> Float[np.ndarray, "*draws"]:
    """The p above which at least `count` sets are collapsed, midway between two p on a log scale; NaN where unseen."""
    p, below = np.asarray(p, np.float64), np.asarray(counts) < count
    last = len(p) - 1 - below[..., ::-1].argmax(-1)  # the last p with fewer, if there is one
    edge = np.sqrt(p[last] * p[np.minimum(last + 1, len(p) - 1)])
    return np.where(below.any(-1) & ~below[..., -1], edge, np.nan)


def reached(counts: Float[Array, "*draws p runs"] | ArrayLike, count: int) -> Float[np.ndarray, "*draws p"]:
    """By p: the chance that of one run drawn at each p, all from there on have at least `count` sets collapsed."""
    return np.cumprod((np.asarray(counts) >= count).mean(-1)[..., ::-1], -1)[..., ::-1]


def excess(
    loss: Float[Array, "*draws p runs"] | ArrayLike, counts: Float[Array, "*draws p runs"] | ArrayLike, count: int
) -> Float[np.ndarray, "*draws"]:
    """The least loss with `count` sets collapsed over the least of all, minus 1, at the worst p; NaN where unseen."""
    loss = np.nan_to_num(np.asarray(loss, np.float64), nan=np.inf, posinf=np.inf)
    least = np.where(np.asarray(counts) == count, loss, np.inf).min(-1)
    ratio = np.where(np.isfinite(least), least, np.nan) / loss.min(-1)
    return np.asarray(ratio.max(-1) - 1)
