"""Disjoint spans: findings on planted closeness, and a tegum product that is read as itself."""

import numpy as np
import pytest
import xarray as xr

from experiments import disjoint_spans as page
from tests.experiments.planted import changed, fails, holds
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import OK

SEEDS = 32


def packings() -> xr.Dataset:
    """Zero up to power 2; above, cosines of the predicted slope."""
    penalty, power = np.array(page.penalties), [1.5, 2.0, 3.0, 4.0]
    noise = 1 + 0.01 * np.random.default_rng(0).normal(size=SEEDS)
    rows = [np.full(5, 1e-8), np.array([0.4, *[1e-7] * 4]), penalty**-1.0 / 2, penalty**-0.5 / 2]
    cross = np.array(rows)[..., None] * noise
    dims = ("power", "penalty", "seed")
    data = {"cross": (dims, cross), "overlap": (dims, cross), "bound": (dims, 2 * cross), "tegum": (dims, 0 * cross)}
    return xr.Dataset(data, {"power": power, "penalty": penalty, "seed": range(SEEDS)})


def autoencoders() -> xr.Dataset:
    """Separate at power 4 everywhere, at power 2 nowhere."""
    cross = np.array([[0.3, 0.3], [0.002, 0.002]])[..., None] * np.ones(SEEDS)
    dims = ("power", "p", "seed")
    tegum = np.where(cross < 0.05, 1.0, 0.0)
    data = {"cross": (dims, cross), "overlap": (dims, cross), "bound": (dims, 2 * cross), "tegum": (dims, tegum)}
    return xr.Dataset(data, {"power": [2, 4], "p": [0.05, 0.2], "seed": range(SEEDS)})


def test_planted_closeness_holds_and_is_drawn() -> None:
    holds(page.spans_are_disjoint(packings(), autoencoders()))
    holds(page.how_close_packings_come(packings()))
    assert len(page.closeness(packings(), autoencoders()).axes) == 3
    found = autoencoders()
    found["cross"][0, 1, 0], found["tegum"][0, 1, 0] = 0.001, 1  # a finding of no model is undecided
    keys = [each.key for each in page.how_close_models_come(found) if each.outcome == "holds"]
    assert {"tegum-when-separate[power=4]", "exponent-decides[p=0.05]", "exponent-decides[p=0.2]"} == set(keys)


@pytest.mark.parametrize(
    ("name", "size", "labels", "key"),
    [
        ("overlap", 0.9, {"power": 3.0, "seed": 2}, "overlap-bounded[of=packings]"),
        ("cross", 0.02, {"power": 1.5, "penalty": 10.0}, "zero-up-to-two[power=1.5]"),
        ("cross", 0.02, {"power": 3.0, "penalty": 30.0}, "closing-rate[power=3]"),
    ],
)
def test_each_finding_of_packings_fails_on_its_own(name: str, size: float, labels: dict, key: str) -> None:
    data = changed(packings(), name, lambda values: 0 * values + size, **labels)
    findings = (
        page.spans_are_disjoint(data, autoencoders()) if name == "overlap" else page.how_close_packings_come(data)
    )
    fails(findings, key)


def test_zero_cosines_with_spans_that_overlap_fail() -> None:
    data = changed(packings(), "overlap", lambda values: 0 * values + 0.5, power=1.5)
    data = changed(data, "bound", lambda values: 0 * values + 0.6, power=1.5)
    fails(page.spans_are_disjoint(data, autoencoders()), "disjoint-when-zero")


def test_models_that_join_sets_and_exponents_that_change_nothing_fail() -> None:
    joined = changed(autoencoders(), "tegum", lambda values: 0 * values, power=4)
    fails(page.how_close_models_come(joined), "tegum-when-separate[power=4]")
    alike = changed(autoencoders(), "cross", lambda values: 0 * values + 0.001, power=2, p=0.2)
    alike = changed(alike, "tegum", lambda values: 0 * values + 1, power=2)
    fails(page.how_close_models_come(alike), "exponent-decides[p=0.2]")


def test_a_tegum_product_is_read_as_one() -> None:
    """Two pentagons in planes of their own; and the same with one feature of the second set turned into the first."""
    sweep = replaced({"trained": page.trained}, {"power": [2], "p": [0.1], "seed": range(2)})["trained"]
    angle = 2 * np.pi * np.arange(5) / 5
    W = np.zeros((1, 1, 2, 1, 10, 4))
    W[..., :5, :2] = W[..., 5:, 2:] = np.stack([np.cos(angle), np.sin(angle)], 1)
    W[:, :, 1, :, 9] = [1, 1, 0, 0]
    data = {
        "W": (("power", "p", "seed", "snapshot", "feature", "hidden"), W),
        "status": (("power", "p", "seed"), np.full((1, 1, 2), OK)),
    }
    found = page.autoencoders(Swept(sweep, xr.Dataset(data, {"power": [2], "p": [0.1], "seed": [0, 1]})))
    assert found.tegum.values.ravel().tolist() == [1, 0]
    assert found.cross.values.ravel()[0] == pytest.approx(0, abs=1e-12)
    assert found.overlap.values.ravel()[0] == pytest.approx(0, abs=1e-12)
    assert found.overlap.values.ravel()[1] > 0.1
