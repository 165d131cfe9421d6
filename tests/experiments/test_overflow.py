"""Two heads: findings on planted readings, and the reading on weights whose answer is known."""

import numpy as np
import pytest
import xarray as xr

from experiments import overflow as page
from tests.experiments.planted import changed, fails, holds, outcomes, spread
from toymodels.config import replace
from toymodels.theory.attention import gain

SEEDS = 20
COUNTS = {"linear": [2, 3, 4, 6, 8, 12], "few": [4, 6, 8, 12]}


def linear() -> xr.Dataset:
    """Heads at their closed forms."""
    features, rank = xr.DataArray(COUNTS["linear"], dims="features"), xr.DataArray([2, 4], dims="rank")
    over = (features - rank).clip(0)
    second = xr.where(over < rank, over, rank).astype(float)
    first = xr.where(features < rank, features, rank).astype(float)
    least = (over - 0.5 * second) / features
    lean = xr.DataArray([0.5, 0.7], dims="lean", coords={"lean": [0.5, 0.7]})
    law = xr.DataArray([1.0, 1.0], dims="importance", coords={"importance": list(page.LAWS)})
    noise = xr.DataArray(1 + spread(size=1e-3, seeds=SEEDS), dims="seed", coords={"seed": range(SEEDS)})
    one = lean / lean * law
    found = {"first": first * one * noise, "second": second * one * noise, "loss": least * one * noise}
    found |= {"least": least * one + 0 * noise, "expected": second * one + 0 * noise}
    data = xr.Dataset(found).assign_coords(features=COUNTS["linear"], rank=[2, 4])
    return data.transpose("rank", "features", "lean", "importance", "seed")


def rectified(shares: tuple[float, ...] = (0.0, 0.3, 0.45, 0.5)) -> xr.Dataset:
    """Shares of the second head by number of features, at every p."""
    dims, shape = ("features", "p", "seed"), (4, 3, SEEDS)
    share = np.asarray(shares)[:, None, None] + spread(4, 3, size=1e-3, seeds=SEEDS)
    data = {"first": (dims, 1 - share), "second": (dims, share), "dead": (dims, np.zeros(shape))}
    coords = {"features": COUNTS["few"], "p": [0.05, 0.2, 1.0], "seed": range(SEEDS)}
    return xr.Dataset(data, coords, {"rank": 4})


def learned(shares: tuple[float, ...] = (0.0, 0.3, 0.45, 0.5)) -> xr.Dataset:
    share = np.asarray(shares)[:, None] + spread(4, size=1e-3, seeds=SEEDS)
    noise = 1 + spread(4, size=1e-3, seeds=SEEDS)
    least = np.array([0, 0, 0, 1 / 3])[:, None]
    dims = ("features", "seed")
    data = {"first": 1 - share, "second": share, "loss": least * noise, "least": least + 0 * noise}
    data["previous"] = 0.99 * noise
    coords = {"features": COUNTS["few"], "seed": range(SEEDS)}
    return xr.Dataset({name: (dims, each) for name, each in data.items()}, coords, {"rank": 4})


def test_planted_heads_hold() -> None:
    holds(page.closed_forms(linear()))
    holds(page.overflow(linear(), rectified(), learned()))
    holds(page.learned_patterns_coincide(learned()))


def test_closed_forms_that_are_missed_fail() -> None:
    at = {"rank": 4, "importance": "falling", "lean": 0.7}
    found = changed(linear(), "loss", lambda each: 1.1 * each, features=6, **at)
    fails(page.closed_forms(found), "closed-form-loss[rank=4,importance=falling]")
    found = changed(linear(), "second", lambda each: 0.9 * each, features=12, **at)
    fails(page.closed_forms(found), "closed-form-size[rank=4,importance=falling]")
    found = changed(linear(), "second", lambda each: each + 1, features=4, **at)
    fails(page.closed_forms(found), "none-left-size[rank=4,importance=falling]")
    found = changed(linear(), "loss", lambda each: each + 0.1, features=2, **at)
    fails(page.closed_forms(found), "none-left-loss[rank=4,importance=falling]")


def test_a_head_in_use_too_early_or_idle_too_long_fails() -> None:
    early = page.overflow(linear(), rectified(), learned((0.3, 0.4, 0.5, 0.5)))
    fails(early, "spared[toy=linear, learned patterns]")
    late = page.overflow(linear(), rectified((0, 0, 0.05, 0.3)), learned())
    fails(late, *(f"overflow[toy=ReLU, p = {p}]" for p in ("0.05", "0.2", "1")))


def test_delay() -> None:
    sparse = changed(rectified(), "second", lambda each: 0 * each + 0.01, features=8, p=0.05)
    sparse = changed(sparse, "second", lambda each: 0 * each + 0.1, features=8, p=0.2)
    holds(page.rectified_outputs_delay(sparse))
    fails(page.rectified_outputs_delay(rectified()), "delayed[p=0.05]", "delayed[p=0.2]")
    never = changed(sparse, "second", lambda each: 0 * each + 0.01, features=12, p=0.05)
    fails(page.rectified_outputs_delay(never), "only-delayed[p=0.05]")


def test_learned_patterns_that_stay_apart_fail() -> None:
    apart = learned().assign(previous=learned().previous - 0.4)
    fails(page.learned_patterns_coincide(apart), "attend-alike")
    worse = learned().assign(loss=learned().loss + 0.1)
    fails(page.learned_patterns_coincide(worse), "one-matrix")


def test_dead_outputs_are_left_out() -> None:
    dead = changed(rectified(), "dead", lambda each: each + 1, features=8, p=0.2)
    assert np.isnan(page.second_share(dead).sel(features=8, p=0.2)).all()
    assert np.isfinite(page.second_share(dead).sel(features=8, p=1.0)).all()


def test_the_optimum_is_read_as_the_optimum() -> None:
    """Weights at the closed form, padded as in a sweep: sizes and loss are those of theory."""
    problem = replace(page.base.problem, {"data.n": 6, "pattern.lean": 0.7})
    U, V, b = np.full((1, 2, 9, 5), np.nan), np.full((1, 2, 9, 5), np.nan), np.full((1, 9), np.nan)
    U[:, :, :6, :4] = V[:, :, :6, :4] = 0
    U[0, 0, range(4), range(4)] = V[0, :, range(4), range(4)] = 1
    V[0, 1] = np.where(np.isnan(V[0, 1]), np.nan, 0)
    U[0, 1, [4, 5], [0, 1]], V[0, 1, [4, 5], [0, 1]] = gain(0.7), 1
    mean = np.asarray(problem.data.mean(), float)
    b[0, :6] = mean - np.diag((U @ np.swapaxes(V, -1, -2))[0, 0, :6, :6]) * 0
    b[0, :4], b[0, 4:6] = 0, mean[4:6] * (1 - gain(0.7))
    with np.errstate(invalid="ignore"):
        found = page._of_cells(problem, {"U": U, "V": V, "b": b})
    assert found["first"] == pytest.approx(4)
    assert found["second"] == pytest.approx(2)
    assert found["expected"] == pytest.approx(2)
    assert found["loss"] == pytest.approx(found["least"], rel=1e-6)
    assert found["previous"] == pytest.approx(0.7)


def test_drawn() -> None:
    assert len(page.the_second_head(linear(), rectified(), learned()).axes) == 3
    assert outcomes(page.overflow(linear(), rectified(), learned()))
