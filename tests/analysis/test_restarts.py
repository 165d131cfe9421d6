"""Restarts: planted basins are found whatever their rotation, and order statistics are those of numpy."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from toymodels.analysis.restarts import (
    basin_names,
    basins,
    best,
    drop_worst,
    finite_losses,
    loss_gap,
    near_best,
    of_best_model,
)

KINDS = {k: np.stack([np.cos(a), np.sin(a)], -1) for k in (5, 6) for a in [2 * np.pi * np.arange(k) / k]}
PENTAGON, SQUARE = KINDS[5], np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [0.0, 0]])


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(0, 999), st.floats(0.1, 10))
def test_planted_basins(kinds: list[bool], seed: int, scale: float) -> None:
    """Rotated, reflected, permuted and moved by a thousandth: as many basins as kinds, each with its restarts."""
    rng = np.random.default_rng(seed)
    shapes = [SQUARE if kind else PENTAGON for kind in kinds]
    W = scale * np.array([shape[rng.permutation(5)] @ ortho_group.rvs(2, random_state=rng) for shape in shapes])
    W += 1e-3 * scale * rng.uniform(-1, 1, W.shape)
    loss = np.where(kinds, 2.0, 1.0) + 1e-3 * rng.uniform(size=len(kinds))
    found = basins(W, loss)
    assert [sorted(basin.places) for basin in found] == [
        sorted(np.flatnonzero(np.array(kinds) == kind).tolist()) for kind in (False, True) if kind in kinds
    ]
    assert all(basin.least == loss[basin.places].min() and basin.most == loss[basin.places].max() for basin in found)
    assert all(basin.share.mean == pytest.approx(basin.restarts / len(kinds)) for basin in found)


def test_numbers_of_the_restarts_near_the_best() -> None:
    """The fourth is not near, the fifth is lost, and the sixth has no number."""
    values = xr.DataArray([2.0, 1, 1, 5, 5, np.nan], dims="seed")
    loss = xr.DataArray([1.0, 1.01, 1.02, 1.1, np.nan, 1.0], dims="seed")
    found = near_best(values, loss, 1.02)
    assert (found.name, found.unit, found.count) == ("1", "restart", 3)
    assert found.shares == {"1": pytest.approx(2 / 3), "2": pytest.approx(1 / 3)}


def test_signs_matter_unless_even() -> None:
    flipped = PENTAGON * np.array([1, -1, 1, 1, 1])[:, None]
    both = np.array([PENTAGON, flipped])
    assert len(basins(both, np.array([1.0, 2.0]))) == 2
    assert len(basins(both, np.array([1.0, 2.0]), even=True)) == 1


def test_what_is_not_finite_is_left_out() -> None:
    W = np.array([PENTAGON, PENTAGON, np.full((5, 2), np.nan)])
    (one,) = basins(W, np.array([1.0, np.nan, 0.5]))
    assert one.places == [0]
    assert one.share.mean == 1
    assert basins(W[2:], np.array([1.0])) == []
    with pytest.raises(ValueError, match=r"\(restarts,\)"):
        basins(W, np.array([1.0]))


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=9), st.integers(0, 8))
def test_drop_worst_is_the_mean_of_the_rest(values: list[float], count: int) -> None:
    if count >= len(values):
        with pytest.raises(ValueError, match="at least one is kept"):
            drop_worst(values, values, count)
        return
    assert drop_worst(values, values, count) == pytest.approx(np.mean(sorted(values)[: len(values) - count]), abs=1e-9)
    lost = [*values, np.nan]
    assert drop_worst(lost, lost, count + 1) == pytest.approx(drop_worst(values, values, count), abs=1e-9)


def test_best_and_gap() -> None:
    assert best([[3.0, np.nan, 1.0], [np.nan, np.nan, 2.0]]).tolist() == [2, 2]
    np.testing.assert_allclose(loss_gap(np.array([[1.0, 4.0], [1.5, 2.0], [9.0, 3.0]])), [0.5, 0.5])


def test_models_that_are_not_finite_have_no_loss_and_are_not_given_to_it():
    W, b = np.ones((2, 2, 3, 1)), np.zeros((2, 2, 3))
    W[0, 1, 2], b[1, 0, 0] = np.inf, np.nan

    def loss(W, b, factor):
        assert np.isfinite(W).all()
        assert np.isfinite(b).all()
        return factor * W.sum((-1, -2))

    np.testing.assert_array_equal(finite_losses(loss, W, b, 2.0), [[6, np.nan], [np.nan, 6]])


def test_labelled_values_of_the_best_restart_leave_out_lost_ones() -> None:
    loss = xr.DataArray([[2.0, np.nan, 1], [np.nan, 3, 4]], dims=("p", "seed"))
    values = xr.Dataset({"kept": loss * 10, "p": ("p", [0, 1])})
    assert of_best_model(values, loss).kept.values.tolist() == [10, 30]
    assert of_best_model(values.kept, loss).dims == ("p",)


def test_basins_are_named_by_their_best():
    rows = xr.DataArray([PENTAGON, SQUARE, PENTAGON[::-1], SQUARE * np.nan], dims=("seed", "feature", "hidden"))
    loss, names = (xr.DataArray(each, dims="seed") for each in ([1.5, 1, 1.25, np.nan], ["a", "b", "c", "lost"]))
    assert basin_names(rows, loss, names).values.tolist() == ["c, L = 1.2500", "b, L = 1.0000", "c, L = 1.2500", "lost"]
