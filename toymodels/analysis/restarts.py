"""Restarts of one problem: the best of them, their mean without the worst, and the basins that they end in."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from toymodels.analysis.statistics import Interval, proportion
from toymodels.arrays import Array, Float, Int
from toymodels.estimates import Category

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)


def best(loss: Float[Array, "*cells restarts"] | ArrayLike) -> Int[np.ndarray, "*cells"]:
    """The place of the least loss along the last axis; NaN is never the best unless there is nothing else."""
    loss = np.asarray(loss, np.float64)
    return np.asarray(np.argmin(np.where(np.isnan(loss), np.inf, loss), axis=-1))


def of_best_model(values: Labelled, loss: xr.DataArray, over: str = "seed") -> Labelled:
    """Labelled values at the restart of least loss, cell by cell; a loss of NaN is never the least."""
    return values.isel({over: loss.fillna(np.inf).argmin(over)})


def finite_losses(
    loss: Callable[..., Any],
    W: Float[np.ndarray, "*models features hidden"],
    b: Float[np.ndarray, "*models features"],
    *args: Any,
) -> Float[np.ndarray, "*models"]:
    """loss(W, b, *args) of each model, NaN for models that are not finite, which exact losses refuse."""
    lost = ~(np.isfinite(W).all((-2, -1)) & np.isfinite(b).all(-1))
    values = loss(np.where(lost[..., None, None], 0.0, W), np.where(lost[..., None], 0.0, b), *args)
    return np.where(lost, np.nan, values)


def near_best(values: xr.DataArray, loss: xr.DataArray, factor: float) -> Category:
    """A number of each restart whose loss is at most `factor` times the least: the most frequent, and all shares."""
    found = values.where(loss <= factor * loss.min()).values
    found = found[np.isfinite(found)]
    shares = {f"{value:g}": float((found == value).mean()) for value in np.unique(found)}
    return Category(max(shares, key=shares.__getitem__), shares, "restart", len(found))


def drop_worst(
    values: Float[Array, "*cells restarts"] | ArrayLike,
    loss: Float[Array, "*cells restarts"] | ArrayLike,
    count: int = 1,
) -> Float[np.ndarray, "*cells"]:
    """Mean of values over restarts, last axis, without the `count` of largest loss: for display. Elhage et al. 2022.

    Restarts whose loss is not finite count as the worst. Raises ValueError unless 0 <= count < restarts.
    """
    values, loss = np.asarray(values, np.float64), np.asarray(loss, np.float64)
    if not 0 <= count < loss.shape[-1]:
        raise ValueError(f"count={count}: of {loss.shape[-1]} restarts at least one is kept")
    order = np.argsort(np.where(np.isfinite(loss), loss, np.inf), axis=-1, kind="stable")
    kept = np.take_along_axis(values, order, axis=-1)[..., : loss.shape[-1] - count]
    return np.asarray(kept.mean(axis=-1))


class Basin(NamedTuple):
    """Restarts that end in one geometry, up to rotation, reflection and permutation; the best of them is the first."""

    places: list[int]
    least: float
    """The least loss of its restarts."""
    most: float
    share: Interval
    """Of all restarts that were told apart, with its 95 % Wilson interval."""

    @property
    def restarts(self) -> int:
        return len(self.places)


def basins(
    W: Float[Array, "restarts features hidden"] | ArrayLike,
    loss: Float[Array, " restarts"] | ArrayLike,
    tol: float = 0.05,
    even: bool = False,
) -> list[Basin]:
    """The geometries that restarts end in, least loss first.

    Two restarts are alike when the sorted squared lengths of their rows differ by at most `tol`, and so do their
    sorted inner products (their sizes, if `even`), in units of the largest squared length of the best restart.
    Sorting moves no entry by more than the weights moved it, so that the test is stable; sets of rows that are not
    congruent but have equal lists of inner products are rare and not told apart. A restart joins the first basin, by
    loss, whose best member it is like. Those with a loss or weights that are not finite are left out.
    """
    W, loss = np.asarray(W, np.float64), np.asarray(loss, np.float64)
    if W.ndim != 3 or loss.shape != W.shape[:1]:
        raise ValueError(f"W of shape {W.shape}, loss of {loss.shape}: (restarts, features, hidden) and (restarts,)")
    if not tol > 0:
        raise ValueError(f"tol={tol}: a tolerance is greater than 0")
    finite = np.isfinite(loss) & np.isfinite(W).all(axis=(1, 2))
    order = [place for place in np.argsort(loss, kind="stable").tolist() if finite[place]]
    if not order:
        return []
    marks = {place: _invariants(W[place], even) for place in order}
    unit = max(float(marks[order[0]][: W.shape[1]].max()), 1e-30)
    members: list[list[int]] = []
    for place in order:
        for basin in members:
            if np.abs(marks[place] - marks[basin[0]]).max() <= tol * unit:
                basin.append(place)
                break
        else:
            members.append([place])
    return [
        Basin(places, float(loss[places[0]]), float(loss[places[-1]]), proportion(len(places), len(order)))
        for places in members
    ]


def basin_names(rows: xr.DataArray, loss: xr.DataArray, names: xr.DataArray, over: str = "seed") -> xr.DataArray:
    """The `basins` of the restarts of every cell by the name and the loss of the best one: "pentagon, L = 0.1234".

    rows: with dimensions "feature" and "hidden", such as W with b beside it; "lost" for restarts in no basin.
    """

    def of_cell(rows: np.ndarray, loss: np.ndarray, names: np.ndarray) -> np.ndarray:
        found = np.full(len(rows), "lost", "<U80")
        for basin in basins(rows, loss):
            found[basin.places] = f"{names[basin.places[0]]}, L = {basin.least:.4f}"
        return found

    core = [[over, "feature", "hidden"], [over], [over]]
    return xr.apply_ufunc(of_cell, rows, loss, names, input_core_dims=core, output_core_dims=[[over]], vectorize=True)


def _invariants(W: Float[np.ndarray, "features hidden"], even: bool) -> Float[np.ndarray, " invariants"]:
    """Sorted squared lengths, then sorted inner products of pairs: unchanged by rotations and permutations."""
    gram = W @ W.T
    pairs = gram[np.triu_indices(len(W), 1)]
    return np.concatenate([np.sort(np.diag(gram)), np.sort(np.abs(pairs) if even else pairs)])


def loss_gap(losses: Sequence[float] | Float[np.ndarray, " branches *cells"]) -> Float[np.ndarray, "*cells"]:
    """Second least over least, minus 1, along the first axis: how clear the winner among branches is."""
    ordered = np.sort(np.asarray(losses, np.float64), axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(ordered[1] / ordered[0] - 1)
