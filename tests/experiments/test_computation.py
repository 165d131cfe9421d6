"""Computation in superposition: findings on planted layers, and readings of layers whose responses are known."""

import numpy as np
import pytest
import xarray as xr

from experiments import computation as page
from tests.experiments.planted import changed, fails, holds, undecided
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import OK
from toymodels.theory.computation import naive_loss

K = 20


def models(target: str, few: int = 4, many: int = 20, neurons: tuple[int, ...] = (4,)) -> xr.Dataset:
    """Of 20 features `few` are computed under squared error and `many` under higher powers."""
    power, n = [2, 3, 4, 6], 20
    coords = {"neurons": list(neurons), "power": power, "p": [0.03, 0.1], "seed": range(K)}
    ones = xr.DataArray(np.ones((len(neurons), 4, 2, K)), coords, tuple(coords))
    feature = xr.DataArray(np.arange(n), dims="feature")
    count = xr.DataArray([few, 10, many, many], {"power": power}, ("power",))
    error = xr.where(feature < count, 0.2, 1.0) * ones
    over = ones * xr.DataArray([0.95, 0.6, 0.3, 0.2], {"power": power}, ("power",))
    data = {"error": error, "over_naive": over, "when_on": over, "response": (1 - error).expand_dims(sign=[1, -1])}
    return xr.Dataset(data, attrs={"n": n, "target": target, "note": ""})


def linears(least: float = 0.6) -> xr.Dataset:
    coords = {"target": ["relu", "absolute"], "neurons": [20], "power": [2, 4], "seed": range(K)}
    error = xr.DataArray(np.full((2, 1, 2, K), least), coords, tuple(coords)).expand_dims(feature=3)
    return xr.Dataset({"error": error + 0.5 * (error.target == "absolute")})


RELU, ABSOLUTE = models("relu"), models("absolute", few=2)


def test_planted_results_hold() -> None:
    holds(page.exponents(RELU, ABSOLUTE))
    holds(page.losses(RELU, ABSOLUTE))
    holds(page.control(linears()))


def keys(id: str, target: str = "relu") -> list[str]:
    return [f"{id}[target={target},n/m=5,p={p}]" for p in (0.03, 0.1)]


def test_each_count_fails_on_its_own() -> None:
    fails(page.exponents(models("relu", few=7), ABSOLUTE), *keys("as-many-as-neurons"))
    fails(page.exponents(RELU, models("absolute", few=0)), *keys("as-many-as-neurons", "absolute"))
    fails(page.exponents(models("relu", many=16), ABSOLUTE), *keys("fourth-power-computes-nearly-all"))
    both = [*keys("fourth-power-computes-nearly-all"), *keys("exponent-decides")]
    fails(page.exponents(models("relu", many=10), ABSOLUTE), *both)
    falling = changed(RELU, "error", lambda error: error * 0 + 1, power=6)
    fails(page.exponents(falling, ABSOLUTE), "rises-with-exponent[target=relu,n/m=5]")


def test_seeds_that_disagree_decide_nothing() -> None:
    half = changed(RELU, "error", lambda error: error * 0 + 1, power=4, seed=range(4))
    undecided(page.exponents(half, ABSOLUTE), *keys("fourth-power-computes-nearly-all"))


@pytest.mark.parametrize(
    ("id", "power", "value"), [("squared-naive", 2, 0.7), ("squared-naive", 2, 1.2), ("fourth-beats-naive", 4, 0.9)]
)
def test_each_loss_fails_on_its_own(id: str, power: int, value: float) -> None:
    fails(page.losses(changed(RELU, "over_naive", lambda each: each * 0 + value, power=power), ABSOLUTE), *keys(id))


def test_a_linear_layer_that_computes_is_a_fault() -> None:
    at = [f"[target={target},neurons=20]" for target in ("relu", "absolute")]
    fails(page.control(linears(0.45)), "linear-computes-none" + at[0], *(f"linear-error{each}" for each in at))


def swept(name: str, encoder: np.ndarray, W: np.ndarray, b: np.ndarray, **axes: object) -> Swept:
    """One network, features x hidden, for every cell of a sweep."""
    sweep = replaced({name: getattr(page, name)}, {"problem.data.n": len(b), **axes})[name]
    dims = [axis.name for axis in sweep.axes]
    whole = {"encoder": encoder, "W": W, "b": b}
    data = {
        key: (
            (*dims, "snapshot", "feature", "hidden")[: len(dims) + 1 + each.ndim],
            each + np.zeros((*sweep.shape, 1, *each.shape)),
        )
        for key, each in whole.items()
    }
    data |= {"status": (dims, np.full(sweep.shape, OK))}
    return Swept(sweep, xr.Dataset(data, {axis.name: axis.labels for axis in sweep.axes}))


def test_the_naive_network_is_read_as_itself() -> None:
    """Two of six features exactly, the best constant for the rest: the naive loss, under each exponent."""
    encoder = np.eye(6)[:, :2]
    axes = {"neurons": [2], "power": [2], "p": [0.1], "seed": [0, 1]}
    found = page.relu_models(swept("relu", encoder, encoder, np.array([0, 0] + [0.025] * 4), **axes))
    np.testing.assert_allclose(found.over_naive, 1, rtol=0.02)
    assert (found.error < 0.5).sum("feature").values.ravel().tolist() == [2, 2]
    np.testing.assert_allclose(found.when_on, 4 / 6, rtol=0.1)
    assert naive_loss(6, 2, 2, 0.1) == pytest.approx(4 * (0.1 / 6 - 0.1**2 / 16))


def test_a_linear_network_is_read_as_one() -> None:
    half = np.eye(4) / np.sqrt(2)
    found = page.linear_models(swept("linear", half, half, np.zeros(4), neurons=[4], power=[2], seed=[0]))
    np.testing.assert_allclose(found.error.sel(target="relu"), 0.5)
    np.testing.assert_allclose(found.error.sel(target="absolute"), 1.25)
