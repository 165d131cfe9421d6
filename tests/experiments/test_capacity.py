"""Capacity: findings on planted results, and readings of models that are the best allocation itself."""

import numpy as np
import pytest
import xarray as xr

from experiments import capacity
from tests.experiments.planted import fails, holds, undecided
from toymodels.analysis.capacities import NONE, PARTS
from toymodels.config import get
from toymodels.experiment import Swept
from toymodels.laws import per_feature
from toymodels.overrides import replaced
from toymodels.results import OK
from toymodels.theory.capacity import best_allocation, best_weights

SEEDS = 8


def along_seeds(values: object, *dims: str, **coords: object) -> xr.DataArray:
    return xr.DataArray(np.array(values, float), coords, dims).expand_dims(seed=range(SEEDS))


def extras() -> xr.Dataset:
    known = [[0.0, 1.0], [0.0, 0.5]]
    trained = along_seeds(known, "kurtosis", "ratio")
    data = {"known": (("kurtosis", "ratio"), known), "trained": trained, "loss": trained * 0 + trained.seed}
    return xr.Dataset(data, attrs={"n": 6, "m": 3})


def allocations() -> xr.Dataset:
    known, flat = np.array([[1, 1, 0, 0], [0.5] * 4]), along_seeds([1, 1], "kurtosis", kurtosis=[2, 20])
    data = {
        "C": along_seeds(known, "kurtosis", "feature"),
        "known": (("kurtosis", "feature"), known),
        "spectrum": along_seeds(np.ones((2, 2)), "kurtosis", "value"),
        "known_spectrum": (("kurtosis", "value"), np.ones((2, 2))),
        "blocks": along_seeds([2, 1], "kurtosis"),
        "known_blocks": ("kurtosis", [2, 1]),
        "over": flat * 1e-6 * (1 + flat.seed),
    }
    return xr.Dataset(data)


def relus() -> xr.Dataset:
    p, C = [1.0, 0.1, 0.01], [[1, 1, 0, 0, 0, 0], [0.5, 0.5, 0.5, 0.5, 0, 0], [1 / 3] * 6]
    shares = along_seeds([[1, 0.5, 0.3], [0, 0, 0.3], [0, 0, 0], [0, 0.5, 0.4]], "part", "p", part=list(PARTS), p=p)
    data = {"C": along_seeds(C, "p", "feature", p=p), "blocks": along_seeds([2, 2, 1], "p")}
    return xr.Dataset({**data, "shares": shares.expand_dims(threshold=[NONE, 0.1])}, attrs={"m": 2})


def test_planted_results_hold() -> None:
    holds(capacity.extra_feature_as_allocated(extras()))
    holds(capacity.many_features_as_allocated(allocations()))
    holds(capacity.sparse_features_share(relus()))


def changed(data: xr.Dataset, name: str, level: object, /, **places: int) -> xr.Dataset:
    array = data[name].copy(deep=True)
    array[places] = level
    return data.assign({name: array})


def test_capacity_and_phase_of_the_extra_feature_fail_on_their_own() -> None:
    findings = capacity.extra_feature_as_allocated
    fails(findings(changed(extras(), "trained", 0.55, kurtosis=1, ratio=1)), "extra-capacity")
    near = changed(changed(extras(), "known", 0.019, kurtosis=0, ratio=0), "trained", 0.021, kurtosis=0, ratio=0)
    fails(findings(near), "extra-phase")
    undecided(findings(changed(extras(), "trained", 0.55, kurtosis=1, ratio=1, seed=0)), "extra-capacity")


@pytest.mark.parametrize(
    ("id", "name", "value", "places"),
    [
        ("nothing-below", "over", -1e-3, {"kurtosis": 0, "seed": 2}),
        ("loss-as-allocated", "over", 1e-3, {"kurtosis": 1}),
        ("capacity-as-allocated", "C", 0.45, {"kurtosis": 1, "feature": 0}),
        ("spectrum-as-allocated", "spectrum", 1.05, {"kurtosis": 0, "value": 0}),
        ("blocks-as-allocated", "blocks", 2, {"kurtosis": 1}),
    ],
)
def test_each_finding_of_many_features_fails_on_its_own(id, name, value, places) -> None:
    fails(capacity.many_features_as_allocated(changed(allocations(), name, value, **places)), id)


@pytest.mark.parametrize(
    ("id", "name", "value", "places"),
    [
        ("polysemantic-when-sparse", "C", [1, 1, 0, 0, 0, 0], {"p": 2}),
        ("capacity-bounded", "C", 0.6, {"p": 1, "seed": 0, "feature": 0}),
        ("capacity-used", "C", 0.3, {"p": 2}),
        ("ignored-when-dense", "shares", [0.9, 0.1, 0, 0], {"threshold": 0, "p": 0}),
        ("ignored-when-sparse", "shares", [0.6, 0, 0, 0.4], {"threshold": 0, "p": 2}),
    ],
)
def test_each_finding_of_relu_models_fails_on_its_own(id, name, value, places) -> None:
    data = relus().transpose("threshold", "p", "seed", "part", "feature")  # values are along the last dimension
    fails(capacity.sparse_features_share(changed(data, name, value, **places)), id)


def test_a_seed_without_a_model_is_no_failure() -> None:
    lost = changed(relus(), "C", np.nan, seed=0).assign(shares=relus().shares.where(relus().seed > 0))
    holds(capacity.sparse_features_share(lost))


def as_allocated(name: str, **axes: object) -> Swept:
    """A sweep whose models are all the best allocation."""
    sweep = replaced({name: getattr(capacity, name)}, axes)[name]
    W, loss = [], []
    for run in sweep.runs():
        v = np.asarray(per_feature(run.problem.weights, run.problem.n), np.float64)
        kurtosis = float(get(run, "problem.kurtosis"))
        W.append(best_weights(run.problem.m, v, kurtosis))
        loss.append(best_allocation(run.problem.m, v, kurtosis).loss)
    dims, shape = [axis.name for axis in sweep.axes], sweep.shape
    data = {
        "W": ((*dims, "snapshot", "feature", "hidden"), np.reshape(W, (*shape, 1, *W[0].shape))),
        "objective": ((*dims, "step"), np.reshape(loss, (*shape, 1))),
        "status": (dims, np.full(shape, OK)),
    }
    return Swept(sweep, xr.Dataset(data, {axis.name: axis.labels for axis in sweep.axes}))


def test_the_best_allocation_is_read_as_itself() -> None:
    found = capacity.extras(as_allocated("extra", kurtosis=[2.0, 9.0], ratio=[0.5, 2.0], seed=[0, 1]))
    np.testing.assert_allclose(found.trained.isel(seed=0), found.known, atol=1e-6)
    assert found.known.values[1] == pytest.approx([0.25, 0.93], abs=0.3)
    found = capacity.allocations(as_allocated("many", kurtosis=[2, 6, 20], seed=range(2)))
    np.testing.assert_allclose(found.over, 0, atol=1e-6)
    np.testing.assert_allclose(found.C.isel(seed=0), found.known, atol=1e-6)
    np.testing.assert_allclose(found.spectrum.isel(seed=0), found.known_spectrum, rtol=1e-6)
    assert found.known_blocks.values.tolist() == [4, 3, 1]
    assert capacity.capacity_by_weight(found).axes[2].get_xticks().tolist() == [2, 6, 20]


def test_models_of_the_means_lose_one_and_ignore_everything() -> None:
    sweep = replaced({"relu": capacity.relu}, {"p": [0.1], "seed": [0]})["relu"]
    data = {
        "W": (("p", "seed", "snapshot", "feature", "hidden"), np.zeros((1, 1, 1, 20, 5))),
        "b": (("p", "seed", "snapshot", "feature"), np.full((1, 1, 1, 20), 0.05)),
        "status": (("p", "seed"), np.full((1, 1), OK)),
    }
    found = capacity.relus(Swept(sweep, xr.Dataset(data, {"p": [0.1], "seed": [0]})))
    assert found.loss.item() == pytest.approx(1, abs=0.02)
    assert found.shares.sel(part="ignored features").values.ravel().tolist() == [1, 1]
    assert (found.shares.isel(part=slice(1, None)) == 0).all()
