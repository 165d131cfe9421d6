"""Decoder: findings on planted results, and readings of networks whose neurons are known."""

import numpy as np
import pytest
import xarray as xr

from experiments import decoder as page
from tests.experiments.planted import changed, fails, holds, spread, undecided
from toymodels.config import replace
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import OK

SEEDS = 20
BIAS = [0.0, -0.25, -0.5, -0.75, -1.0, -1.5]


def along_seeds(values: object, *dims: str, size: float = 0.002, **coords: object) -> xr.DataArray:
    """These means over seeds, with noise that does not move them."""
    means = np.asarray(values, float)
    return xr.DataArray(means[..., None] + spread(*means.shape, size=size, seeds=SEEDS), coords, (*dims, "seed"))


def by_start() -> xr.Dataset:
    axes = {"p": [1 / 16], "bias": BIAS}
    single, thresholds = [0.02, 0.1, 0.18, 0.2, 0.22, 0.2], list(page.THRESHOLDS)
    share = along_seeds([[[s] * 5 for s in single]], "p", "bias", "threshold", **axes, threshold=thresholds)
    curve = along_seeds([[[s] * 60 for s in single]], "p", "bias", "at", **axes, at=page.CURVE)
    numbers = {
        "fvu": [0.12, 0.095, 0.09, 0.09, 0.09, 0.095],
        "area": [0.3, 0.4, 0.5, 0.55, 0.6, 0.65],
        "link": [0.9, 0.9, 0.8, 0.8, 0.7, 0.5],
        "rotated": [0.0] * 6,
        "turned": [0.01] * 6,
        "dead": [0.0] * 6,
        "held": [0.4] * 6,
    }
    sizes = {"fvu": 2e-4, "rotated": 1e-4}
    data = {
        name: along_seeds([each], "p", "bias", size=sizes.get(name, 0.002), **axes) for name, each in numbers.items()
    }
    return xr.Dataset({**data, "share": share, "curve": curve}, attrs={"n": 64, "left_out": ""})


def by_width() -> xr.Dataset:
    axes = {"k": [32, 64, 128, 256], "bias": [0.0, -1.0]}
    single = np.array([[0, 0.1], [0.1, 0.3], [0.1, 0.6], [0.2, 0.7]])
    share = along_seeds(single[..., None], "k", "bias", "threshold", **axes, threshold=[page.SINGLE])
    data = {
        "fvu": along_seeds([[0.3, 0.3], [0.2, 0.19], [0.1, 0.1], [0.05, 0.05]], "k", "bias", size=1e-5, **axes),
        "held": along_seeds(single, "k", "bias", **axes),
    }
    return xr.Dataset({**data, "share": share}, attrs={"n": 64, "left_out": ""})


def test_planted_results_hold_and_can_be_drawn() -> None:
    holds(page.negative_biases_engineer(by_start()))
    holds(page.widths_make_it_free(by_width()))
    assert len(page.starting_bias(by_start()).axes) == 4
    assert len(page.neurons_per_feature(by_width()).axes) == 4


@pytest.mark.parametrize(
    ("id", "name", "value", "labels"),
    [
        ("at-equal-loss", "area", 0.5, {"bias": -1.0}),
        ("engineered", "share", 0.05, {"bias": -1.0, "threshold": page.SINGLE}),
        ("goes-with", "link", 0.1, {"bias": -0.5}),
        ("rotated", "rotated", 0.3, {"bias": 0.0}),
        ("beyond-thresholds", "turned", 0.22, {"bias": -1.0}),
    ],
)
def test_each_finding_of_starts_fails_on_its_own(id: str, name: str, value: float, labels: dict[str, float]) -> None:
    data = changed(by_start(), name, lambda old: old - old.mean("seed") + value, **labels)
    if id == "engineered":
        data = data.assign(turned=0 * data.turned - 0.05)
    fails(page.negative_biases_engineer(data), f"{id}[p=0.0625]")


@pytest.mark.parametrize(("means", "size"), [([0.12, 0.1, 0.08, 0.06, 0.05, 0.04], 1e-4), ([0.1] * 6, 0.01)])
def test_nothing_is_compared_where_losses_differ(means: list[float], size: float) -> None:
    """Also where their interval alone reaches beyond 2 %."""
    fvu = along_seeds([means], "p", "bias", size=size, p=[1 / 16], bias=BIAS)
    undecided(page.negative_biases_engineer(by_start().assign(fvu=fvu)), "at-equal-loss[p=0.0625]")


@pytest.mark.parametrize(
    ("id", "name", "value", "labels"),
    [
        ("free[k/N=2]", "fvu", 0.11, {"k": 128, "bias": -1.0}),
        ("majority-wide[k/N=2]", "share", 0.4, {"k": 128, "bias": -1.0}),
        ("grows-with-width", "share", 0.8, {"k": 64, "bias": -1.0}),
    ],
)
def test_each_finding_of_widths_fails_on_its_own(id: str, name: str, value: float, labels: dict[str, float]) -> None:
    fails(page.widths_make_it_free(changed(by_width(), name, lambda old: old - old.mean("seed") + value, **labels)), id)


def monosemantic(name: str, **axes: object) -> Swept:
    """A sweep of networks in which every neuron reads one feature, from a tenth on; the last ones are dead."""
    small = replace(page.problem, {"data.n": 4, "projection.m": 4, "k": 6})
    sweep = replaced({name: getattr(page, name)}, {"problem": small, **axes})[name]
    dims, shape = [axis.name for axis in sweep.axes], sweep.shape
    encoder, b, W = [], [], []
    width = max(run.problem.k for run in sweep.runs())
    for run in sweep.runs():
        F, k = np.asarray(run.problem.projection.directions(4), float), run.problem.k
        columns = np.hstack([2 * F.T, np.zeros((4, k - 4)), np.full((4, width - k), np.nan)])
        encoder.append(columns)
        b.append([-0.2] * k + [np.nan] * (width - k))
        W.append(columns)
    inner = {"encoder": ("dimension", "hidden"), "b": ("hidden",), "W": ("output", "hidden")}
    weights = {"encoder": encoder, "b": b, "W": W}
    data = {
        key: ((*dims, "snapshot", *inner[key]), np.reshape(each, (*shape, 1, *np.shape(each[0]))))
        for key, each in weights.items()
    }
    data["squared_error"] = ((*dims, "step"), np.full((*shape, 1), 0.02))
    data["status"] = (dims, np.full(shape, OK))
    return Swept(sweep, xr.Dataset(data, {axis.name: axis.labels for axis in sweep.axes}))


def test_networks_of_known_neurons_are_read_as_such() -> None:
    """Neurons of one feature each, dead ones apart, at every width; controls lose them."""
    found = page.by_width(monosemantic("widths", k=[5, 6], bias=[0.0, -1.0], seed=range(2)))
    np.testing.assert_array_equal(found.share, 1)
    np.testing.assert_allclose(found.area, 1)
    np.testing.assert_array_equal(found.held, 1)
    np.testing.assert_allclose(found.dead.sel(k=5), 1 / 5)
    np.testing.assert_allclose(found.dead.sel(k=6), 2 / 6)
    np.testing.assert_allclose(found.fvu, 0.02 / (4 * (1 / 48 - 1 / 1024)), rtol=1e-5)
    assert (found.rotated == 0).all()
    assert (found.turned < 1).all()
    started = page.by_start(monosemantic("starts", bias=[0.0, -1.0], seed=[3]))
    assert dict(started.share.sizes) == {"p": 1, "bias": 2, "seed": 1, "threshold": 5}
