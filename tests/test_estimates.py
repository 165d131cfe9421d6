"""Intervals cover what they should, selections are resampled, labels stay with their numbers."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from toymodels import estimates
from toymodels.estimates import Estimate, Series


def labelled(values, **coords) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, float), dims=[*coords, "seed"], coords=coords)


def test_the_mean_has_students_interval() -> None:
    sample = np.array([1.0, 2.0, 4.0, 7.0])
    found = estimates.mean(labelled(sample))
    low, high = stats.t.interval(0.95, 3, sample.mean(), stats.sem(sample))
    np.testing.assert_allclose([found.value, found.low, found.high], [3.5, low, high])
    assert (found.unit, found.count) == ("seed", 4)


@pytest.mark.parametrize("make", [estimates.mean, estimates.median], ids=["mean", "median"])
def test_intervals_cover_the_truth_as_often_as_they_say(make) -> None:
    """500 samples of 8: at least 95 % less three standard errors of that share."""
    draws = np.random.default_rng(1).normal(size=(500, 8))
    found = [make(labelled(draw)) for draw in draws]
    covered = np.mean([each.low <= 0 <= each.high for each in found])
    assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 500)


def test_a_series_covers_all_of_its_truths_together() -> None:
    draws = np.random.default_rng(2).normal(size=(400, 5, 8))
    found = [estimates.mean(labelled(draw, p=range(5))) for draw in draws]
    together = np.mean([all(each.low <= 0 <= each.high for each in series.estimates) for series in found])
    assert together >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400)


def test_few_units_decide_nothing() -> None:
    one = estimates.mean(labelled([3.0, np.nan]))
    assert (one.value, one.low, one.high, one.count) == (3.0, -np.inf, np.inf, 1)
    assert np.isnan(estimates.mean(labelled([np.nan, np.nan])).value)
    assert estimates.median(labelled([1.0, 2.0, 3.0, 4.0, 5.0])).low == -np.inf
    assert estimates.median(labelled([6.0, 1.0, 2.0, 3.0, 4.0, 5.0])).low == 1.0
    assert np.isnan(estimates.share(labelled([np.nan])).value)


@given(st.integers(1, 40), st.data())
def test_shares_have_wilsons_interval(count: int, data) -> None:
    hits = data.draw(st.integers(0, count))
    found = estimates.share(labelled([1] * hits + [0] * (count - hits)))
    z, p = stats.norm.ppf(0.975), hits / count
    centre, half = p + z**2 / (2 * count), z * np.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
    known = np.clip([(centre - half) / (1 + z**2 / count), (centre + half) / (1 + z**2 / count)], 0, 1)
    np.testing.assert_allclose([found.low, found.high], known, atol=1e-12)


def test_steps_are_paired_by_seed() -> None:
    """Seeds differ by far more than labels do: paired changes see through that."""
    values = labelled(np.array([[0.0], [1.0], [3.0]]) + 100 * np.arange(8), p=[1, 2, 3])
    found = estimates.steps(values, "p")
    assert [step.value for step in found.steps] == [1.0, 2.0]
    assert all(step.high - step.low < 1e-9 for step in found.steps)
    assert found.estimates[0].high - found.estimates[0].low > 100


@given(st.integers(2, 6))
def test_chances_of_best_are_those_of_redrawing(count: int) -> None:
    """By enumeration of all resamples."""
    best = [min(draw) for draw in itertools.product(range(count), repeat=count)] if count < 6 else []
    chances = estimates.chances_of_best(count)
    assert chances.sum() == pytest.approx(1)
    if best:
        np.testing.assert_allclose(chances, np.bincount(best, minlength=count) / len(best))


def test_the_best_of_eight_spans_the_first_three() -> None:
    loss = labelled([5.0, 1.0, 4.0, 2.0, np.nan, 3.0, 7.0, 8.0])
    found = estimates.best(loss)
    assert (found.value, found.low, found.high, found.unit, found.count) == (1.0, 1.0, 3.0, "restart", 8)
    read = labelled([0.0, 9.0, 0.0, 10.0, 0.0, 8.0, 0.0, 0.0])
    assert (estimates.of_best(read, loss).value, estimates.of_best(read, loss).low) == (9.0, 8.0)
    names = xr.DataArray(list("abacacaa"), dims="seed")
    found = estimates.category_of_best(names, loss)
    assert found.name == "b"
    assert found.shares["b"] == pytest.approx(1 - (7 / 8) ** 8)
    assert sum(found.shares.values()) == pytest.approx(1)


def test_a_best_that_cannot_be_read_decides_nothing() -> None:
    loss = labelled(np.arange(8.0))
    assert estimates.of_best(labelled([1.0, np.nan] + [1.0] * 6), loss).high == np.inf


def test_changes_of_best_are_as_uncertain_as_both() -> None:
    loss = labelled([np.arange(8.0), np.arange(8.0)], p=[1, 2])
    values = labelled([np.arange(8.0), 10 + np.arange(8.0)], p=[1, 2])
    (step,) = estimates.steps_of_best(values, loss, "p").steps
    assert (step.value, step.low, step.high) == (10.0, 8.0, 12.0)


def test_selections_lie_inside_the_bootstrap() -> None:
    """The largest of several noisy labels is biased, and its label changes: the interval knows both."""
    values = labelled(np.random.default_rng(3).normal(size=(6, 10)), p=range(6))
    found = estimates.bootstrap(lambda x: float(x.mean("seed").max()), values)
    fixed = values.isel(p=int(values.mean("seed").argmax("p")))
    alone = estimates.bootstrap(lambda x: float(x.mean("seed")), fixed)
    assert found.low > alone.low
    assert estimates.bootstrap(lambda x: float("nan"), values).high == np.inf
    assert estimates.bootstrap(lambda x: float(x.mean()), values) == estimates.bootstrap(
        lambda x: float(x.mean()), values
    )


def test_resamples_at_once_are_those_of_the_bootstrap() -> None:
    """To the last bit, for arrays and for data sets, whatever the order of dimensions."""
    values = labelled(np.random.default_rng(4).normal(size=(6, 10)), p=range(6))
    one_by_one = estimates.bootstrap(lambda x: float(x.max("seed").min()), values, resamples=99)
    drawn = estimates.redrawn(values.T, resamples=99)
    assert drawn.dims == ("draw", "p", "seed")
    np.testing.assert_array_equal(drawn[0], values)
    assert estimates.of_draws(drawn.max("seed").min("p"), 10) == one_by_one
    both = estimates.redrawn(xr.Dataset({"x": values, "fixed": ("p", np.arange(6))}), resamples=99)
    np.testing.assert_array_equal(both.x, drawn)
    assert both.fixed.dims == ("p",)
    unbounded = estimates.of_draws([1.0, *[np.nan] * 9], 3, "draw")
    assert (unbounded.low, unbounded.value, unbounded.high, unbounded.unit) == (-np.inf, 1.0, np.inf, "draw")


def test_the_ratio_of_two_bests_selects_both_anew() -> None:
    one, other = labelled([4.0, np.nan, 6.0, 8.0]), labelled([np.nan, 2.0, 3.0, np.nan, 9.0])
    coords = {"seed": range(5)}
    found = estimates.best_over_best(one.assign_coords(seed=range(4)), other.assign_coords(coords))
    assert (found.value, found.count) == (2.0, 5)
    assert found.low < 2 < found.high
    assert np.isnan(estimates.best_over_best(one, np.nan * one).value)


def test_labels_say_where() -> None:
    values = xr.DataArray(
        np.ones((2, 3, 2)), dims=("seed", "p", "kind"), coords={"p": [0.1, 0.2, 0.3], "kind": ["a", "b"]}
    )
    found = estimates.mean(values)
    assert found.at[:2] == ("p = 0.1, kind = a", "p = 0.1, kind = b")
    assert f"{found:.1f}".startswith("1.0 (1.0 to 1.0) at p = 0.1, kind = a; ")
    assert estimates.each({"x": 1, "y": 2}).at == ("x", "y")
    assert estimates.each(values.isel(seed=0, kind=0)).at == ("p = 0.1", "p = 0.2", "p = 0.3")
    with pytest.raises(ValueError, match="model"):
        estimates.mean(values, over="model")


def test_estimates_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValueError, match="between"):
        Estimate(1, 2, 3)
    with pytest.raises(ValueError, match="labels"):
        Series(("a",), ())


# ------------------------------------------------------------------- the best restarts of many cells at once


def test_the_first_draw_is_the_best_of_all_and_lost_restarts_come_last():
    loss = xr.DataArray([[3.0, 1, 2], [np.nan, 2, np.inf]], dims=("cell", "seed"), coords={"cell": ["a", "b"]})
    best = estimates.best_redrawn(loss)
    assert best.dims == ("draw", "cell")
    assert best[0].values.tolist() == [1, 1]
    assert loss.isel(seed=best).sel(cell="a")[0] == 1


def test_the_best_is_redrawn_as_often_as_it_should_be():
    best = estimates.best_redrawn(xr.DataArray(np.arange(8.0), dims="seed"), resamples=20_000)
    share = np.bincount(best[1:], minlength=8) / 20_000
    np.testing.assert_allclose(share, estimates.chances_of_best(8), atol=4 * 0.5 / np.sqrt(20_000))


def test_restarts_are_redrawn_the_same_for_all_cells():
    loss = xr.DataArray(np.tile(np.random.default_rng(1).normal(size=5), (3, 1)), dims=("cell", "seed"))
    best = estimates.best_redrawn(loss)
    assert (best == best.isel(cell=0)).all()


def test_intervals_of_draws():
    draws = xr.DataArray(np.append(5.0, np.arange(1000)), dims="draw")
    one = estimates.of_draws(draws, 10, "restart")
    assert (one.value, one.low, one.count, one.unit) == (5, 5, 10, "restart")  # the value is in its interval
    assert one.high == pytest.approx(975, abs=1)
    of_ten = estimates.of_draws(draws.expand_dims(label=10), 10)
    assert [each.high for each in of_ten.estimates] == [pytest.approx(997.5, abs=1)] * 10
    draws[1:200] = np.nan
    assert estimates.of_draws(draws, 10).low == -np.inf
    assert estimates.of_draws(draws, 10).high == np.inf
