"""Normalisers: findings on planted models, and readings of models whose hidden bias does what it should."""

import numpy as np
import pytest
import xarray as xr

from experiments import normalisers as page
from tests.experiments.planted import changed, fails, holds, undecided
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import OK

K, P, M = 20, [0.02, 0.2], 6
COORDS = {"norm": ["none", "RMS", "layer"], "bias": [0.0, 1.0], "p": P, "seed": range(K)}
ONES = xr.DataArray(np.ones((3, 2, 2, K)), COORDS, tuple(COORDS)) + xr.DataArray(
    np.linspace(-1e-3, 1e-3, K), dims="seed"
)


def by_norm(without: tuple[float, float, float], with_bias: tuple[float, float, float]) -> xr.DataArray:
    return ONES * xr.DataArray([*zip(without, with_bias, strict=True)], dims=("norm", "bias"))


def models() -> xr.Dataset:
    data = {
        "loss": by_norm((1, 2, 3), (1, 1.2, 1.3)),
        "used": by_norm((6, 6, 5), (6, 5, 4)),
        "represented": 20 * ONES,
        "carrier": by_norm((0, 0, 0), (0.1, 1.5, 1.5)),
        "along": by_norm((0, 0, 0), (1 / 6, 0.02, 0.02)),
        "passed": by_norm((0.5, 1e-3, 1e-3), (0.5, 0.4, 0.4)),
        "ones": ONES,
    }
    return xr.Dataset(data, attrs={"m": M, "note": ""})


def lost() -> xr.Dataset:
    return xr.Dataset({"lost": by_norm((0, 1, 2), (0, 0.3, 0.5))})


def keys(id: str, *norms: str, **more: object) -> list[str]:
    tail = "".join(f",{name}={value}" for name, value in more.items())
    return [f"{id}[norm={norm},p={p}{tail}]" for norm in norms for p in P]


def test_planted_results_hold() -> None:
    holds(page.what_it_costs(models(), lost()))
    holds(page.what_carries_scale(models(), models()))


@pytest.mark.parametrize(
    ("name", "value", "where", "failing"),
    [
        ("represented", 5, {"norm": "none"}, keys("superposed-without", "none")),
        ("loss", 1.8, {"norm": "RMS", "bias": 1}, keys("bias-wins-back", "RMS")),
        ("used", 5.9, {"norm": "RMS", "bias": 1}, keys("dimensions-used", "RMS")),
    ],
)
def test_each_cost_fails_on_its_own(name: str, value: float, where: dict[str, object], failing: list[str]) -> None:
    fails(page.what_it_costs(changed(models(), name, lambda each: 0 * each + value, **where), lost()), *failing)


def test_lost_directions_fail_on_their_own() -> None:
    much = changed(lost(), "lost", lambda each: each + 2, norm=["RMS", "layer"])
    fails(page.what_it_costs(models(), much), *keys("costs-a-direction", "RMS"))
    alike = changed(lost(), "lost", lambda each: each - 0.8, norm="layer")
    fails(page.what_it_costs(models(), alike), *keys("layer-costs-one-more", "layer"))
    split = changed(lost(), "lost", lambda each: each * 0, norm="RMS", seed=range(12))
    undecided(page.what_it_costs(models(), split), *keys("costs-a-direction", "RMS"))


@pytest.mark.parametrize(
    ("name", "value", "bias", "ids"),
    [
        ("passed", 0.1, 0, ["scale-lost-without-bias"]),
        ("passed", 0.05, 1, ["scale-passes"]),
        ("carrier", 0.5, 1, ["direction-is-large"]),
        ("carrier", 0.1, 1, ["direction-grows", "direction-is-large"]),
        ("along", 0.15, 1, ["direction-is-vacated"]),
    ],
)
def test_each_direction_fails_on_its_own(name: str, value: float, bias: int, ids: list[str]) -> None:
    bad = changed(models(), name, lambda each: 0 * each + value, norm=["RMS", "layer"], bias=bias)
    for model, both in (("tied", (bad, models())), ("untied", (models(), bad))):
        failing = [key for id in ids for key in keys(id, "RMS", "layer", model=model)]
        fails(page.what_carries_scale(*both), *failing)


def swept(name: str, W: np.ndarray, c: np.ndarray, **axes: object) -> Swept:
    """One tied model for every cell."""
    sweep = replaced({name: getattr(page, name)}, {"problem.data.n": len(W), "seed": [0, 1], "p": [0.2], **axes})[name]
    dims, whole = [axis.name for axis in sweep.axes], {"W": W, "b": np.zeros(len(W)), "c": c}
    own = {"W": ("feature", "hidden"), "b": ("feature",), "c": ("hidden",)}
    data = {
        key: ((*dims, "snapshot", *own[key]), each + np.zeros((*sweep.shape, 1, *each.shape)))
        for key, each in whole.items()
    }
    data |= {"status": (dims, np.full(sweep.shape, OK))}
    return Swept(sweep, xr.Dataset(data, {axis.name: axis.labels for axis in sweep.axes}))


def test_a_large_direction_carries_scale() -> None:
    """Features on the first axes, c large on the last: outputs are proportional but for c / sqrt(1 + c²), and c counts
    only where there is a share of the hidden bias."""
    W, c = np.eye(6)[:3] * 0.5, 5.0 * np.eye(6)[5]
    found = page.tied_models(swept("tied", W, c)).isel(p=0, seed=0)
    np.testing.assert_allclose(found.passed.sel(norm="RMS"), [0, 0.5], atol=0.01)
    np.testing.assert_allclose(found.passed.sel(norm="none"), 0.5, atol=0.01)
    assert found.carrier.sel(norm="RMS", bias=1).item() == pytest.approx(10)
    assert found.along.sel(norm="RMS", bias=1).item() == 0
    assert found.used.sel(norm="none", bias=0).item() == pytest.approx(3)
    assert (found.represented == 3).all()
