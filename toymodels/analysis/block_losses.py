"""Packings confined to k orthogonal subspaces (`problems.blocks`): what each k costs, and which is best."""

import numpy as np
import xarray as xr

from toymodels.estimates import Series, of_draws, redrawn
from toymodels.shapes.packing import interference_losses


def block_losses(V: xr.DataArray, signed: bool) -> xr.Dataset:
    """`loss` of every block by itself, over "blocks", "power", "seed" and "block", and `kind`, the same number for
    blocks of equally many rows and dimensions. NaN and -1 as padding.

    V: "blocks", "power", "seed" x feature x dimension, rows and coordinates in the order of `Blocks.mask`.
    """
    V = V.transpose("blocks", "power", "seed", "feature", "dimension")
    n, d = V.sizes["feature"], V.sizes["dimension"]
    most = int(V.blocks.max())
    loss = np.full((*V.shape[:3], most), np.nan)
    kind = np.full((V.sizes["blocks"], most), -1)
    powers = np.broadcast_to(V.power.values.astype(np.float64)[:, None], V.shape[1:3])
    for place, k in enumerate(V.blocks.values.astype(int).tolist()):
        of_rows, of_dims = np.arange(n) * k // n, np.arange(d) * k // d
        sizes = [((of_rows == block).sum(), (of_dims == block).sum()) for block in range(k)]
        for block in range(k):
            rows = V.values[place][..., of_rows == block, :]
            good = np.isfinite(rows).all((-2, -1))
            of_block = interference_losses(np.nan_to_num(rows), powers, signed)
            loss[place, ..., block] = np.where(good, of_block, np.nan)
            kind[place, block] = sizes.index(sizes[block])
    dims = ("blocks", "power", "seed", "block")
    return xr.Dataset({"loss": (dims, loss), "kind": (("blocks", "block"), kind)}, {n: V[n] for n in dims[:3]})


def least_totals(found: xr.Dataset, resamples: int = 999) -> xr.DataArray:
    """(draw, blocks, power): the least loss of k blocks, for all restarts (draw 0) and for as many redrawn.

    Blocks of one kind are alike, so each of them takes the least that any of them has in any restart.
    """
    least = redrawn(found.loss, resamples=resamples).min("seed")
    kinds = range(int(found.kind.max()) + 1)
    by_kind = [least.where(found.kind == kind).min("block") * (found.kind == kind).sum("block") for kind in kinds]
    return sum(each.fillna(0) for each in by_kind).transpose("draw", "blocks", "power")  # type: ignore[union-attr]


def best_blocks(totals: xr.DataArray, within: float = 1e-4) -> xr.DataArray:
    """(draw, power): the number of blocks of least loss; of several equal to `within`, relative, the most.

    One block holds every packing, tegum products too: k blocks that cost as little as fewer do are what is best.
    """
    least = totals.min("blocks")
    return totals.blocks.where(totals <= least * (1 + within) + 1e-12).max("blocks")


def as_series(best: xr.DataArray, count: int) -> Series:
    """Best numbers of blocks at each power, with the interval over redrawn restarts."""
    return of_draws(best.transpose("draw", "power"), count, "restart", level=0.95)
