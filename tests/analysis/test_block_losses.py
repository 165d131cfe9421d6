"""Losses of confined packings: blocks of a kind share their best, and of equal losses the most blocks are best."""

import numpy as np
import xarray as xr

from toymodels.analysis.block_losses import as_series, best_blocks, block_losses, least_totals
from toymodels.problems.blocks import Blocks
from toymodels.shapes.packing import interference_loss


def confined(n: int, d: int, blocks: list[int], powers: list[float], seeds: int = 4) -> xr.DataArray:
    """Random vectors, confined."""
    V = np.random.default_rng(0).normal(size=(len(blocks), len(powers), seeds, n, d))
    V *= np.array([np.asarray(Blocks(n, d, k).mask()) for k in blocks])[:, None, None]
    dims = ("blocks", "power", "seed", "feature", "dimension")
    return xr.DataArray(V, {"blocks": blocks, "power": powers, "seed": range(seeds)}, dims)


def test_the_blocks_of_a_packing_add_up_to_its_loss() -> None:
    V = confined(7, 4, [1, 2, 4], [1.5, 3.0])
    for signed in (False, True):
        found = block_losses(V, signed)
        for labels, rows in (
            ({"blocks": k, "power": q, "seed": s}, V.sel(blocks=k, power=q, seed=s).values)
            for k in (1, 2, 4)
            for q in (1.5, 3.0)
            for s in range(4)
        ):
            whole = float(interference_loss(rows, labels["power"], signed))
            np.testing.assert_allclose(found.loss.sel(labels).sum("block"), whole, rtol=1e-6, atol=1e-9)
    assert found.kind.sel(blocks=2).values.tolist() == [0, 1, -1, -1]
    assert found.kind.sel(blocks=4).values.tolist() == [0, 0, 0, 3]


def planted() -> xr.Dataset:
    loss = np.full((2, 1, 3, 2), np.nan)
    loss[0, 0, :, 0] = [5.0, 4.0, 6.0]
    loss[1, 0] = [[2.0, 3.0], [9.0, 1.0], [2.0, 2.0]]
    coords = {"blocks": [1, 2], "power": [1.5], "seed": range(3)}
    return xr.Dataset(
        {"loss": (("blocks", "power", "seed", "block"), loss), "kind": (("blocks", "block"), [[0, -1], [0, 0]])}, coords
    )


def test_each_block_takes_the_least_of_its_kind_in_any_restart() -> None:
    totals = least_totals(planted(), resamples=50)
    np.testing.assert_allclose(totals.isel(draw=0, power=0), [4, 2])
    assert totals.sizes["draw"] == 51
    assert (totals >= totals.isel(draw=0) - 1e-12).all()
    other = planted().assign(kind=(("blocks", "block"), [[0, -1], [0, 1]]))
    np.testing.assert_allclose(least_totals(other, 1).isel(draw=0, power=0), [4, 3])


def test_of_equal_losses_the_most_blocks_are_best_and_restarts_that_are_lost_count_for_nothing() -> None:
    totals = least_totals(planted(), resamples=20)
    assert best_blocks(totals).isel(draw=0).values.tolist() == [2]
    tie = totals.copy(data=np.ones(totals.shape))
    assert set(best_blocks(tie).values.ravel()) == {2}
    above = totals.copy(data=totals.values * np.array([1, 3])[None, :, None])
    assert set(best_blocks(above).isel(draw=0).values) == {1}
    series = as_series(best_blocks(totals), 3)
    assert series.estimates[0].value == 2
    lost = planted()
    lost.loss[1, 0, 1] = np.nan
    np.testing.assert_allclose(least_totals(lost, 1).isel(draw=0, power=0), [4, 4])
