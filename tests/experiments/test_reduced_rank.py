"""Findings on the optima of factorisations, on planted readings: each holds, and each fails on its own."""

import numpy as np
import pytest
import xarray as xr

from experiments import reduced_rank as page
from tests.experiments.planted import changed, fails, holds, spread
from toymodels.overrides import replaced
from toymodels.plan import plan

OPTIMIZERS = ["SGD", "momentum", "Adam", "AdamW"]


def errors() -> xr.Dataset:
    ranks = xr.Dataset(
        coords={"loss": ["squared", "l4"], "optimizer": OPTIMIZERS, "target_rank": [1, 2], "rank": [1, 2]}
    )
    ranks["least"] = (("target_rank", "rank"), np.array([[0, 0], [0.4, 0]]))
    ranks["reached"] = ranks.least + xr.DataArray(
        1e-4 + spread(2, 4, 2, 2, size=1e-5), dims=("loss", "optimizer", "target_rank", "rank", "seed")
    )
    ranks["late"] = ranks.reached > 1
    return ranks


def losses() -> tuple[xr.Dataset, xr.Dataset]:
    return regression([0.1, 1.0], OPTIMIZERS, 2000), regression([1.0], OPTIMIZERS[:2], 16_000)


def regression(p: list[float], optimizers: list[str], steps: int) -> xr.Dataset:
    found = xr.Dataset(coords={"p": p, "optimizer": optimizers, "rank": [1, 2]}, attrs={"steps": steps})
    found["least"] = (("p", "rank", "seed"), 0.3 + spread(len(p), 2))
    found["reached"] = found.least + xr.DataArray(
        1e-3 + spread(len(optimizers), len(p), 2, size=1e-4), dims=("optimizer", "p", "rank", "seed")
    )
    found["late"] = found.reached > 0.9
    found["expected"] = (("p", "seed"), 100 + spread(len(p), size=10))
    return found.assign(measured=found.expected * xr.DataArray(1 + spread(len(p)), dims=("p", "seed")))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_squared_errors(optimizer: str) -> None:
    planted = errors()
    holds(page.squared_errors(planted))
    far = changed(planted, "reached", lambda error: error + 0.05, loss="squared", optimizer=optimizer, rank=2)
    fails(page.squared_errors(far), f"eckart-young[optimizer={optimizer}]")
    lost = changed(planted, "reached", lambda error: error * np.nan, loss="squared", optimizer=optimizer, rank=2)
    fails(page.squared_errors(lost), f"eckart-young[optimizer={optimizer}]")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_regression(optimizer: str) -> None:
    sparse, dense = losses()
    holds(page.regression(sparse, dense))
    for p, name in ((0.1, "sparse"), (1.0, "dense")):
        far = changed(sparse, "reached", lambda reached: reached + 0.05, optimizer=optimizer, p=p, rank=2)
        fails(page.regression(far, dense), f"regression-on-{name}-inputs[optimizer={optimizer},steps=2000]")
    if optimizer in dense.optimizer:
        far = changed(dense, "reached", lambda reached: reached + 0.05, optimizer=optimizer, rank=1)
        fails(page.regression(sparse, far), f"regression-on-dense-inputs[optimizer={optimizer},steps=16000]")


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_half_drops(factor: float) -> None:
    sparse, dense = losses()
    fails(page.regression(changed(sparse, "measured", lambda time: factor * time, p=0.1), dense), "half-drop-of-sgd")


def test_runs_that_still_fall_are_counted() -> None:
    sparse, dense = losses()
    found = {each.key: each for each in page.regression(sparse, dense.assign(late=dense.reached > 0))}
    assert found["regression-on-dense-inputs[optimizer=SGD,steps=16000]"].note == "64 of 64 runs were still falling"
    assert not found["regression-on-dense-inputs[optimizer=SGD,steps=2000]"].note
    assert not any(each.note for each in page.squared_errors(errors()))


def test_one_program_serves_each_loss_class_and_optimizer_family() -> None:
    """4 classes of loss (one for both powers) x 2 families; regression x 2."""
    few = replaced(page.experiment.at("tiny"), {"seed": [0], "rank": [1], "target_rank": [1]})
    assert plan(few["ranks"].runs()).programs == 8
    assert plan(few["sparse"].runs()).programs == 2
