"""Losses and models: findings on planted readings; features kept and exact losses of known weights."""

import numpy as np
import pytest
import xarray as xr

from experiments import losses as page
from tests.experiments.planted import fails, holds, undecided
from toymodels.theory.linear import linear_optimum

KINDS, P, SEEDS = list(page.kinds), [0.3, 0.03], 8


def models() -> xr.Dataset:
    """Six features when dense, ten when sparse; five in linear models."""
    cells = xr.DataArray(np.zeros((len(KINDS), 2, SEEDS)), dims=("kind", "p", "seed"), coords={"kind": KINDS, "p": P})
    number = xr.where(cells.kind == "linear", 5, cells + xr.DataArray([6, 10], dims="p"))
    return xr.Dataset({"number": number.transpose("kind", "p", "seed")}, attrs={"m": 5})


def linear_models(**changes: xr.DataArray) -> xr.Dataset:
    cells = xr.DataArray(np.ones((2, SEEDS)), dims=("p", "seed"), coords={"p": P})
    return xr.Dataset({"excess": 1e-5 * cells, "objective": cells * np.linspace(1, 2, SEEDS)}).assign(changes)


def with_number(value: float, **where: object) -> xr.Dataset:
    data = models()
    number = data.number.copy()
    number.loc[where] = value
    return data.assign(number=number)


def test_planted_results_hold() -> None:
    holds(page.features_represented(models()))
    holds(page.linear_models_reach_their_optimum(linear_models()))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "linear"])
def test_as_many_features_as_dimensions_are_no_superposition(kind: str) -> None:
    fails(page.features_represented(with_number(5, kind=kind, p=0.03)), f"superposed[kind={kind}]")


@pytest.mark.parametrize(("p", "number"), [(0.3, 6), (0.3, 4), (0.03, 6)])
def test_linear_models_with_other_numbers_fail(p: float, number: float) -> None:
    data = with_number(number, kind="linear", p=p)
    fails(page.features_represented(data), "as-many-as-dimensions[kind=linear]")


def test_one_linear_model_of_eight_that_differs_decides_nothing() -> None:
    data = models()
    other = (data.kind == "linear") & (xr.DataArray(np.arange(SEEDS), dims="seed") == 0)
    undecided(page.features_represented(data.assign(number=data.number + other)), "as-many-as-dimensions[kind=linear]")


@pytest.mark.parametrize("p", P)
def test_a_best_model_above_the_optimum_fails(p: float) -> None:
    data = linear_models()
    worse = data.excess.where(data.p != p, 0.02)
    fails(page.linear_models_reach_their_optimum(data.assign(excess=worse)), f"linear-loss[p={p}]")
    lucky = data.excess.where((data.p != p) | (data.objective == 1), 0.02)
    undecided(page.linear_models_reach_their_optimum(data.assign(excess=lucky)), f"linear-loss[p={p}]")


class Known:
    """A sweep whose models are known."""

    sweep = page.losses

    def __init__(self, encoder: bool = True) -> None:
        weights = page.importances(self.run().problem)
        best = [linear_optimum(5, p, weights) for p in P]
        W, b = (np.broadcast_to(np.stack([getattr(each, name) for each in best])[:, None], (2, 2, *shape)).copy()
                for name, shape in (("W", (20, 5)), ("b", (20,))))  # fmt: skip
        W[:, 1, 5, 4], b[:, 1, 7] = -0.9, b[:, 1, 7] + 0.1
        dims = ("kind", "p", "seed", "feature")
        coords = {"kind": ["linear", "ReLU hidden", "untied"], "p": P}
        self.W = xr.DataArray(np.stack([W] * 3), dims=(*dims, "hidden"), coords=coords)
        self.b = xr.DataArray(np.stack([b] * 3), dims=dims, coords=coords)
        objective = xr.DataArray(np.ones((3, 2, 2, 1)), dims=("kind", "p", "seed", "step"), coords=coords)
        self.data = xr.Dataset({"objective": objective})
        if encoder:
            self.data["encoder"] = (self.W * first()).expand_dims(snapshot=1)

    def run(self, **labels: object) -> object:
        return page.losses.cell(kind="linear", p=0.3, seed=0)

    def final(self, name: str = "W", unconverged: bool = False) -> xr.DataArray:
        return {"W": self.W, "b": self.b}[name]


def first() -> xr.DataArray:
    return xr.DataArray(np.arange(20) < 1, dims="feature")


def test_features_that_are_kept() -> None:
    """Five orthonormal rows, and in the second seed one more that points the other way: it passes no ReLU."""
    number = page.models(Known()).number.sel(p=0.3)
    assert number.sel(kind="linear").values.tolist() == [5, 6]
    assert number.sel(kind="ReLU hidden").values.tolist() == [5, 5]
    assert number.sel(kind="untied").values.tolist() == [1, 1]
    assert page.models(Known(encoder=False)).number.sel(p=0.3, kind="linear").values.tolist() == [5, 6]


def test_exact_losses_of_known_linear_models() -> None:
    """The optimum has no excess. By hand: the second seed, where a row -0.9 e_5 and a bias are wrong."""
    found = page.linear_models(Known())
    np.testing.assert_allclose(found.excess.sel(seed=0), 0, atol=1e-12)
    weights = page.importances(page.losses.cell(kind="linear", p=0.3, seed=0).problem)
    np.testing.assert_allclose(weights, 0.7 ** np.arange(20), rtol=1e-5)
    for place, p in enumerate(P):
        v, least = p / 3 - p**2 / 4, float(linear_optimum(5, p, weights).loss)
        # Feature 5 reads -0.9 of the sixth; feature 6 reads -0.9 of the fifth and .81 of itself, with its bias at p/2.
        fifth = weights[4] * (0.81 * v + (0.9 * p / 2) ** 2)
        sixth = weights[5] * (0.19**2 * v + 0.81 * v + (0.19 * p / 2 + 0.9 * p / 2 - p / 2) ** 2)
        expected = least + fifth + sixth - weights[5] * v + weights[7] * 0.01
        assert float(found.excess[place, 1]) == pytest.approx(expected / least - 1, rel=1e-9)
