"""Memorising: findings on planted curves, and readings of models that are known."""

import numpy as np
import pytest
import xarray as xr

from experiments import memorising as page
from tests.experiments.planted import changed, fails, holds
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import OK

K, T = 20, [8, 32, 2048]
COORDS = {"T": T, "start": ["random", "samples", "features"], "seed": range(K)}
ONES = xr.DataArray(np.ones((3, 3, K)), COORDS, tuple(COORDS)) + xr.DataArray(np.linspace(-1e-3, 1e-3, K), dims="seed")


def by_T(*values: object) -> xr.DataArray:
    return ONES * xr.DataArray(np.array(values, float), dims=("T", "start")[: np.ndim(values)])


def memories() -> xr.Dataset:
    data = {
        "train": by_T([0.05, 0.05, 0.1], [0.5, 0.6, 0.5], [0.9, 0.95, 0.9]),
        "held": by_T([1.0] * 3, [3.0] * 3, [0.91] * 3),
        "sample_max": by_T(1.2, 3, 9),
        "sample_mean": by_T(1, 1, 1),
        "feature_mean": by_T(1, 1, 1),
    }
    return xr.Dataset(data, attrs={"n": 50, "m": 2, "note": ""})


def pairs() -> xr.Dataset:
    coords = {"T": [32, 256], "scale": [0.1, 1.0, 2.0], "broken": [0.0, 0.1, 0.3, 1.0], "seed": range(K)}
    ones = xr.DataArray(np.ones((2, 3, 4, K)), coords, tuple(coords))
    ones = ones + xr.DataArray(np.linspace(-1e-3, 1e-3, K), dims="seed")
    known = [[1, 0.6, 0.3, 0.02], [0.5, 0.3, 0.2, 0.02], [0.05, 0.04, 0.03, 0.02]]
    joint = ones * xr.DataArray(known, dims=("scale", "broken"))
    joint = joint.where((joint["T"] == 32) | (joint.broken != 0.1), 0.3 * joint)
    return xr.Dataset({"joint": joint, "train": 0.01 * ones}, attrs={"note": ""})


def test_planted_results_hold() -> None:
    holds(page.memorised_or_not(memories()))
    holds(page.basins(memories()))
    holds(page.which_features(pairs()))


@pytest.mark.parametrize(
    ("name", "value", "where", "ids"),
    [
        ("train", 0.2, 8, ["memorises[T=8]"]),
        ("held", 0.3, 8, ["memories-do-not-generalise[T=8]"]),
        ("held", 0.97, 2048, ["features-generalise[T=2048]"]),
        ("sample_max", 3, 8, ["samples-alike[T=8]"]),
        ("sample_max", 2, 2048, ["samples-unlike[T=2048]"]),
        ("held", 0.5, 32, ["held-out-peaks-between"]),
    ],
)
def test_each_regime_fails_on_its_own(name: str, value: float, where: int, ids: list[str]) -> None:
    fails(page.memorised_or_not(changed(memories(), name, lambda each: 0 * each + value, T=where)), *ids)


def test_features_that_beat_nothing() -> None:
    worse = changed(memories(), "held", lambda each: 0 * each + 0.99, T=2048)
    worse = changed(worse, "train", lambda each: 0 * each + 0.98, T=2048)
    fails(page.memorised_or_not(worse), "features-beat-means[T=2048]")


def test_each_basin_fails_on_its_own() -> None:
    def started(start: str, value: float, T: int) -> xr.Dataset:
        return changed(memories(), "train", lambda each: 0 * each + value, T=T, start=start)

    fails(page.basins(started("features", 0.03, 8)), "memorising-is-lower[T=8]")
    fails(page.basins(started("samples", 0.51, 32)), "features-are-lower[T=32]")
    fails(page.basins(started("random", 1.0, 2048)), "random-finds-the-lower[T=2048]")


@pytest.mark.parametrize(
    ("value", "where", "ids"),
    [
        (0.7, {"T": 32, "scale": 0.1, "broken": 0.0}, ["small-start-joins[T=32]"]),
        (0.5, {"T": 256, "scale": 2.0, "broken": 0.0}, ["large-start-separates[T=256]"]),
        (0.8, {"T": 32, "scale": 0.1, "broken": 0.3}, ["evidence-separates[T=32]"]),
        (0.55, {"T": 256, "scale": 0.1, "broken": 0.1}, ["more-evidence-separates-more"]),
        (0.5, {"T": 256, "scale": 1.0, "broken": 1.0}, ["apart-is-apart[scale=1]"]),
    ],
)
def test_each_structure_fails_on_its_own(value: float, where: dict[str, object], ids: list[str]) -> None:
    fails(page.which_features(changed(pairs(), "joint", lambda each: 0 * each + value, **where)), *ids)


def test_where_the_basins_cross() -> None:
    """The lead goes from -.1 at 8 to .1 at 32: half way between, on a logarithmic axis."""
    data = changed(memories(), "train", lambda each: 0 * each + 0.15, T=8, start="features")
    found = {each.id: each.measured for each in page.basins(data)}["basins-cross"]
    assert found.value == pytest.approx(16, rel=0.01)


def test_pairs_that_are_not_fitted() -> None:
    bad = changed(pairs(), "train", lambda each: 0 * each + 0.3, T=32, scale=2.0)
    fails(page.which_features(bad), "whole-pairs-are-fitted[T=32,scale=2]")


def swept(name: str, W: np.ndarray, **axes: object) -> Swept:
    """One tied model without bias for every cell."""
    sweep = replaced({name: getattr(page, name)}, axes)[name]
    dims = [axis.name for axis in sweep.axes]
    data = {
        "W": ((*dims, "snapshot", "feature", "hidden"), W + np.zeros((*sweep.shape, 1, *W.shape))),
        "b": ((*dims, "snapshot", "feature"), np.zeros((*sweep.shape, 1, len(W)))),
        "objective": ((*dims, "step"), np.full((*sweep.shape, 1), 0.2)),
        "held_out": ((*dims, "step"), np.full((*sweep.shape, 1), 0.4)),
        "status": (dims, np.full(sweep.shape, OK)),
    }
    return Swept(sweep, xr.Dataset(data, {axis.name: axis.labels for axis in sweep.axes}))


def test_one_feature_and_two_are_read_as_such() -> None:
    merged, parted = np.repeat(np.eye(6), 2, 0) / np.sqrt(2), np.vstack([np.eye(6), -np.eye(6)])
    axes = {"T": [32], "broken": [0.0, 1.0], "scale": [0.1], "seed": [0, 1]}
    np.testing.assert_allclose(page.joint(swept("pairs", merged, **axes)).joint, 1)
    found = page.joint(swept("pairs", parted, **axes))
    np.testing.assert_allclose(found.joint, 0, atol=1e-9)
    means = 12 * (0.1 / 3 - 0.1**2 / 4)
    np.testing.assert_allclose(found.train.sel(broken=0), 0.2 / means, rtol=1e-5)


def test_samples_in_one_direction_share_it() -> None:
    """All of W on one axis: the dimensionalities of those with some weight sum to 1."""
    W = np.zeros((50, 2))
    W[:, 0] = 1
    found = page.memories(swept("sizes", W, T=[8], seed=[0, 1]))
    np.testing.assert_allclose(found.feature_mean * 50, 1)
    np.testing.assert_allclose(found.sample_mean * 8, 1)
    np.testing.assert_allclose(found.held / found.train, 2)
    assert (found.means < 1).all()
