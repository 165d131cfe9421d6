"""Minima of equal loss: findings on planted models, and a square and a pentagon that are read as themselves."""

import numpy as np
import pytest
import xarray as xr

from experiments import path_dependence as page
from tests.experiments.planted import changed, fails, holds, outcomes
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import OK
from toymodels.theory.polygons import polygon_weights

SEEDS = 120


def factor(levels: list[float], pentagons: list[float]) -> xr.Dataset:
    """Models by level, a share of them pentagons, the others squares, spread over the seeds."""
    place = (np.arange(SEEDS) * 0.61803) % 1
    name = np.where(place < np.array(pentagons)[:, None], "pentagon", "square").astype("<U20")
    dims = ("level", "seed")
    data = {
        "name": (dims, name),
        "loss": (dims, np.where(name == "pentagon", 1.001, 1.0)),
        "sharing": (dims, np.where(name == "pentagon", 5.0, 4.0)),
        "interference": (dims, np.where(name == "pentagon", 2.0, 1.0)),
        "W": ((*dims, "feature", "hidden"), np.zeros((len(levels), SEEDS, 5, 2))),
    }
    return xr.Dataset(data, {"level": levels, "seed": range(SEEDS)})


def noise(shares: list[float]) -> xr.Dataset:
    return xr.concat([factor([32, 512], shares)] * 2, xr.Variable("lr", [3e-3, 0.05]))


def planted() -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    return factor([0.0, 1.0], [0.5, 0.1]), factor([3e-3, 0.1], [0.2, 0.7]), noise([0.8, 0.4])


def test_planted_models_hold_and_can_be_drawn() -> None:
    holds(page.two_minima(*planted()))
    holds(page.what_selects(*planted()))
    assert len(page.which_minimum(*planted()).axes) == 6


def test_a_factor_that_moves_nothing_fails() -> None:
    bias, rate, _ = planted()
    still = noise([0.3, 0.3])
    keys = [f"selects[factor=batch size at rate {lr:g}]" for lr in (3e-3, 0.05)]
    fails(page.what_selects(bias, rate, still), *keys)
    fails(page.what_selects(factor([0.0, 1.0], [0.3, 0.3]), rate, noise([0.8, 0.4])), "selects[factor=initial bias]")


@pytest.mark.parametrize(
    ("name", "size", "key"),
    [("sharing", 0.8, "more-sharing"), ("interference", 0.6, "more-interference")],
)
def test_minima_that_do_not_differ_fail(name: str, size: float, key: str) -> None:
    alike = [each.assign({name: each[name] * 0 + size}) for each in planted()]
    fails(page.two_minima(*alike), key)


def test_models_above_the_least_loss_are_in_no_minimum() -> None:
    bias, rate, batch = planted()
    above = bias.assign(loss=bias.loss.where(bias.name != "pentagon", 1.1))
    ended = page.minima(above, 1.0)
    assert set(ended.values.ravel()) == {"above", "square"}
    assert outcomes(page.what_selects(above, rate, batch))["selects[factor=initial bias]"] == "fails"


def test_a_square_and_a_pentagon_are_told_apart() -> None:
    sweep = replaced({"biases": page.biases}, {"bias": [0.0], "seed": range(2)})["biases"]
    W = np.stack([np.insert(polygon_weights(4), 0, 0, 0), polygon_weights(5, 1.1)])[None, :, None]
    data = {
        "W": (("bias", "seed", "snapshot", "feature", "hidden"), W),
        "b": (("bias", "seed", "snapshot", "feature"), np.zeros((1, 2, 1, 5))),
        "status": (("bias", "seed"), np.full((1, 2), OK)),
    }
    found = page.by_bias(Swept(sweep, xr.Dataset(data, {"bias": [0.0], "seed": [0, 1]})))
    assert found.name.values.ravel().tolist() == list(page.MINIMA)
    assert found.sharing.values.ravel().tolist() == [4, 5]
    assert changed(found, "loss", lambda loss: loss * 0, level=0.0).loss.sum() == 0
