"""Privileged basis: findings on planted results, readings of known weights."""

from collections.abc import Iterator

import numpy as np
import pytest
import xarray as xr

from experiments import privileged_basis as page
from tests.experiments.planted import fails, holds, undecided
from toymodels import Axis, Run, Sweep
from toymodels.experiment import Swept
from toymodels.findings import Finding
from toymodels.models import Relu, Tied
from toymodels.optimizers import Adam
from toymodels.problems.supervised import Supervised

P, K = [0.7, 0.3, 0.12, 0.03], 64
UNITS = ["ReLU", "linear, Adam", "linear, descent"]
ONES = xr.DataArray(np.ones((3, 4, K)), {"units": UNITS, "p": P, "seed": range(K)}, ("units", "p", "seed"))
PLACE = xr.DataArray(np.arange(K), dims="seed")
RANK = xr.DataArray([1.0, 0.3, 0.5], dims="units")


def models(**changes: xr.DataArray) -> xr.Dataset:
    """The first seeds are the best; those from the eleventh on have half a neuron of one feature less."""
    one, kept = (xr.DataArray([page.PUBLISHED[p][which] for p in P], dims="p") for which in (0, 1))
    return (
        xr.Dataset(
            {
                "loss": ONES * (1 + PLACE / 100),
                "single": ONES * (one - 0.5 * (PLACE >= 10)).clip(0),
                "kept": ONES * kept,
                "rank": ONES * RANK - 0.01 * (PLACE % 3 - 1) * (RANK < 1),
            }
        )
        .assign(changes)
        .assign_attrs(n=10, m=5)
    )


def changed(name: str, value: float, p: list[float] | None = None, units: str = "ReLU", since: int = 0) -> xr.Dataset:
    """The planted models with one value at some p, for models from a seed on."""
    found = models()[name]
    elsewhere = (found.units != units) | (since > PLACE) | ~found.p.isin(p or P)
    return models(**{name: found.where(elsewhere, value)})


def findings(data: xr.Dataset) -> Iterator[Finding]:
    yield from page.against_the_published(data)
    yield from page.the_basis_is_privileged(data)


def rotated(relu: float = 3.0, linear: float = 1.0) -> xr.Dataset:
    ratios = xr.DataArray(np.ones((2, 8)), {"p": [0.7, 0.03]}, ("p", "rotation"))
    return xr.Dataset({"relu": ratios * 3, "linear": ratios}).where(
        ratios.rotation > 0, xr.Dataset({"relu": relu, "linear": linear})
    )


def test_planted_results_hold() -> None:
    holds(findings(models()))
    holds(page.rotations_change_models_with_relus(rotated()))


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (changed("single", 4, [0.12]), "best-single[p=0.12]"),
        (changed("single", 0, [0.3]), "best-single[p=0.3]"),
        (changed("kept", 6, [0.12]), "best-kept[p=0.12]"),
        (changed("kept", 9, [0.03]), "best-kept[p=0.03]"),
        (changed("single", 1, [0.7], since=10), "fall-of-single"),
        (changed("rank", 0.9), "best-aligned"),
        (changed("rank", 0.1, since=10), "aligned"),
        (changed("rank", 0.6, units="linear, Adam"), "linear-adam"),
        (changed("rank", 0.7, units="linear, descent"), "linear-descent"),
        (changed("rank", 0.3, units="linear, descent"), "linear-descent"),
    ],
)
def test_each_finding_fails_on_its_own(data: xr.Dataset, key: str) -> None:
    fails(findings(data), key)


def test_rotations() -> None:
    fails(page.rotations_change_models_with_relus(rotated(relu=1.01)), "rotated-relu")
    fails(page.rotations_change_models_with_relus(rotated(linear=0.999)), "rotated-linear")
    fails(page.rotations_change_models_with_relus(rotated(linear=1.001)), "rotated-linear")


def test_a_lucky_best_and_few_seeds_decide_nothing() -> None:
    undecided(findings(changed("single", 2, [0.12], since=1)), "best-single[p=0.12]")
    few = models()
    few["rank"] = few["rank"].where((few.units != "linear, descent") | (PLACE < 3), np.nan) + 0.1 * (PLACE % 3 - 1)
    undecided(findings(few), "linear-descent")


def swept(model: Tied, *weights: np.ndarray) -> Swept:
    """Models at p = .7, one a seed, without biases."""
    axes = [Axis("p", "problem.data.p", [0.7]), Axis("seed", "seed", range(len(weights)))]
    sweep = Sweep(
        Run(Supervised(page.relu.base.problem.data, model, page.relu.base.problem.loss), Adam(), steps=1), axes
    )
    W = np.array(weights)[None, :, None]
    data = {"W": (("p", "seed", "snapshot", "feature", "hidden"), W), "status": (("p", "seed"), np.zeros(W.shape[:2]))}
    data["b"] = (("p", "seed", "snapshot", "feature"), np.zeros(W.shape[:-1]))
    return Swept(sweep, xr.Dataset(data, {"p": [0.7], "seed": range(len(weights))}))


def test_readings_of_known_weights() -> None:
    """A neuron for each of five features; the same with a neuron that never fires, which holds nothing."""
    aligned, other = np.eye(10, 5), np.eye(10, 5)
    other[4, 4] = -1
    shared = np.vstack([np.eye(5)[::-1], np.eye(5)])
    relu, linear = swept(Tied(5, hidden=Relu()), other, aligned), swept(Tied(5), aligned, shared)
    found = page.models(relu, linear, linear)
    assert found.units.values.tolist() == UNITS
    np.testing.assert_array_equal(found.single[0], [[4, 5]])
    np.testing.assert_array_equal(found.kept[:2], [[[4, 5]], [[5, 10]]])
    np.testing.assert_array_equal(found["rank"][0], [[1, 1]])
    assert found.loss[0].argmin("seed") == 1
    np.testing.assert_array_equal(page._best(relu, found.loss[0]), aligned[None])
    ratios = page.rotated_losses(relu, linear, found)
    assert ratios.relu.sizes == {"p": 1, "rotation": 8}
    assert ratios.relu.min() > 1.05
    np.testing.assert_allclose(ratios.linear, 1, atol=1e-5)
