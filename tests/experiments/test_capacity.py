"""Capacity: findings on planted results, and readings of models that are the best allocation itself."""

import numpy as np
import pytest
import xarray as xr

from experiments import capacity
from tests.experiments.planted import fails, holds, undecided
from toymodels.analysis.decomposition import loss_parts
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
    p, kinds = [1.0, 0.1, 0.01], list(capacity.PARTS)
    C = [[1, 1, 0, 0, 0, 0], [0.5, 0.5, 0.5, 0.5, 0, 0], [1 / 3] * 6]
    parts = along_seeds([[1, 0.5, 0.3], [0, 0, 0.3], [0, 0, 0], [0, 0.5, 0.4]], "kind", "p", kind=kinds, p=p)
    data = {"C": along_seeds(C, "p", "feature", p=p), "blocks": along_seeds([2, 2, 1], "p"), "parts": parts}
    return xr.Dataset({**data, "parts_above_a_tenth": parts}, attrs={"m": 2})


def test_planted_results_hold() -> None:
    holds(capacity.extra_feature_as_allocated(extras()))
    holds(capacity.many_features_as_allocated(allocations()))
    holds(capacity.relu_models_share_when_sparse(relus()))
    holds(capacity.loss_of_relu_models(relus()))


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


def test_each_finding_of_relu_models_fails_on_its_own() -> None:
    share, loss = capacity.relu_models_share_when_sparse, capacity.loss_of_relu_models
    fails(share(changed(relus(), "C", [1, 1, 0, 0, 0, 0], p=2)), "polysemantic-when-sparse")
    fails(share(changed(relus(), "C", 0.6, p=1, seed=0, feature=0)), "capacity-bounded")
    fails(share(changed(relus(), "C", 0.3, p=2)), "capacity-used")
    parts = relus().parts
    fails(
        loss(relus().assign(parts=parts + 0.1 * (parts.p == 1) * (parts.kind != "ignored features"))),
        "ignored-when-dense",
    )
    fails(loss(changed(relus(), "parts", 3, kind=0, p=2)), "ignored-when-sparse")


def test_features_are_counted_and_lost_models_are_not() -> None:
    C = xr.DataArray([[1, 0.5, 0.5, 0], [np.nan] * 4], dims=("seed", "feature"))
    assert capacity.counts(C).isel(seed=0).values.tolist() == [1, 2, 1]
    assert capacity.counts(C).isel(seed=1).isnull().all()


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


def test_parts_are_those_of_all_examples() -> None:
    """The examples of zeros that are left out are added again."""
    rng = np.random.default_rng(0)
    x = rng.random((capacity.DRAWS, 3)) * (rng.random((capacity.DRAWS, 3)) < 0.2)
    W, b, importance = rng.normal(size=(3, 2)), rng.normal(size=3), np.array([1.0, 0.5, 0.2])
    found = capacity._parts(x[(x != 0).any(1)], W, b, importance)
    np.testing.assert_allclose(found, np.array(loss_parts(x, W, b, importance)), rtol=1e-9)


def test_models_of_the_means_lose_one_and_ignore_everything() -> None:
    sweep = replaced({"relu": capacity.relu}, {"p": [0.1], "seed": [0]})["relu"]
    data = {
        "W": (("p", "seed", "snapshot", "feature", "hidden"), np.zeros((1, 1, 1, 20, 5))),
        "b": (("p", "seed", "snapshot", "feature"), np.full((1, 1, 1, 20), 0.05)),
        "status": (("p", "seed"), np.full((1, 1), OK)),
    }
    found = capacity.relus(Swept(sweep, xr.Dataset(data, {"p": [0.1], "seed": [0]})))
    assert found.parts.sel(kind="ignored features").item() == pytest.approx(1, abs=0.02)
    assert (found.parts.isel(kind=slice(1, None)) == 0).all()
