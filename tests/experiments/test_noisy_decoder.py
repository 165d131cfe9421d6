"""Noise and bias: findings on planted results, and readings of networks at the exact optimum."""

import numpy as np
import pytest
import xarray as xr

from experiments import noisy_decoder as page
from tests.experiments.planted import changed, fails, holds, spread
from toymodels.config import replace
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import OK
from toymodels.theory.noisy_unit import best_units

SEEDS = 20
P, NOISE = [1 / 8, 1 / 16], [0.1, 0.3]


def thresholds() -> xr.Dataset:
    noise = xr.DataArray(spread(2, 2, seeds=SEEDS), {"model": list(page.MODELS), "p": P}, ("model", "p", "seed"))
    exact = xr.DataArray(np.tile(NOISE, (2, 2, 1)), {"noise": NOISE}, ("model", "p", "noise"))
    data = {"slope": 1 + noise, "intercept": 0.1 * noise, "exact_slope": 1 + 0 * exact[..., 0].drop_vars("noise")}
    data |= {"exact": exact, "threshold": exact + noise}
    return xr.Dataset(data, attrs=dict.fromkeys(page.MODELS, ""))


def optima() -> xr.Dataset:
    ratio = 1 + xr.DataArray(spread(2, 2, size=1e-3, seeds=SEEDS), {"p": P, "noise": NOISE}, ("p", "noise", "seed"))
    return xr.Dataset(dict.fromkeys(("threshold", "gain", "loss"), ratio))


def test_planted_results_hold_and_can_be_drawn() -> None:
    holds(page.training_finds_the_optimum(optima()))
    holds(page.the_bias_matches_the_noise(thresholds()))
    assert len(page.bias_by_noise(thresholds()).axes) == 3


@pytest.mark.parametrize("name", ["threshold", "gain", "loss"])
def test_each_finding_of_the_optimum_fails_on_its_own(name: str) -> None:
    """At one noise level of one p; restarts that end elsewhere do not count."""
    off = changed(optima(), name, lambda old: old + 0.05, p=1 / 8, noise=0.3)
    fails(page.training_finds_the_optimum(off), f"optimal-{name}[p=0.125]")
    half = xr.DataArray(np.arange(SEEDS) % 2, dims="seed")
    holds(page.training_finds_the_optimum(optima() + half))


@pytest.mark.parametrize(("name", "value"), [("slope", 1.5), ("slope", 0.5), ("intercept", 0.1)])
def test_each_finding_of_the_lines_fails_on_its_own(name: str, value: float) -> None:
    off = changed(thresholds(), name, lambda old: old - old.mean() + value, model="crowded", p=1 / 16)
    fails(page.the_bias_matches_the_noise(off), f"{name}[model=crowded,p=0.0625]")


def optimal(name: str, n: int, m: int) -> Swept:
    """A sweep whose networks are the exact units, read along the features' own directions."""
    small = replace(getattr(page, name).base.problem, {"data.n": n, "projection.m": m, "k": n})
    sweep = replaced({name: getattr(page, name)}, {"problem": small, "p": P, "noise": NOISE, "seed": range(2)})[name]
    encoder, b, W = [], [], []
    for run in sweep.runs():
        units = best_units(run.problem.data.p, run.problem.noise, n)
        encoder.append(3 * np.asarray(run.problem.projection.directions(n), float).T)
        b.append(np.full(n, -3 * units.threshold))
        W.append((units.gain * np.eye(n) + units.cross * (1 - np.eye(n))) / 3)
    dims = ("p", "noise", "seed")
    inner = {"encoder": ("dimension", "hidden"), "b": ("hidden",), "W": ("output", "hidden")}
    data = {
        key: ((*dims, "snapshot", *inner[key]), np.reshape(each, (*sweep.shape, 1, *np.shape(each[0]))))
        for key, each in {"encoder": encoder, "b": b, "W": W}.items()
    }
    data["status"] = (dims, np.full(sweep.shape, OK))
    return Swept(sweep, xr.Dataset(data, {axis.name: axis.labels for axis in sweep.axes}))


def test_networks_at_the_optimum_are_read_as_such() -> None:
    found = page.optima(optimal("units", 3, 3))
    for name in ("threshold", "gain", "loss"):
        np.testing.assert_allclose(found[name], 1, rtol=1e-5)
    found = page.thresholds(optimal("units", 3, 3), optimal("crowded", 4, 2))
    np.testing.assert_allclose(found.threshold.sel(model="units", seed=0), found.exact.sel(model="units"), rtol=1e-5)
    np.testing.assert_allclose(found.slope.isel(seed=1), found.exact_slope, rtol=1e-5)
