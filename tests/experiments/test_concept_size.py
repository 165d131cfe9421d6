"""Elbows and encoding lengths: findings on planted readings, and a toy whose numbers are known."""

import numpy as np
import pytest
import xarray as xr

from experiments import concept_size as page
from tests.experiments.planted import changed, fails, holds, spread
from toymodels import PowerLaw, Sparse

SEEDS, N, M = 16, 8, 16


def concepts() -> xr.Dataset:
    known = np.array([2.0, 4.0, 11.0])
    noise = spread(3, seeds=SEEDS)
    sampled = {"elbow": known[:, None] + noise, "participation": 2 + noise, "entropy": 3 + noise, "noise": 0.74 + noise}
    found = {name: (("grade", "seed"), values) for name, values in sampled.items()}
    exact = {"exact_elbow": known, "exact_participation": np.full(3, 2.0), "exact_entropy": np.full(3, 3.0)}
    found |= {name: (("grade",), values) for name, values in exact.items()}
    return xr.Dataset(found, {"grade": list(page.GRADES), "seed": range(SEEDS)})


def toys() -> xr.Dataset:
    p, grow = [0.02, 0.1], np.linspace(0.1, 0.9, N)[:, None]
    noise = np.moveaxis(spread(2, N, seeds=SEEDS), -1, 1)
    each = {"elbow": 15.0, "sampled": 15.0, "differences": 1.0, "alone": 0.2, "weights": 10.0, "turned": 10.0}
    data = {name: value + (noise if value > 1 else 0 * noise) for name, value in each.items()}
    data |= {"rotated": 1 + 0.1 * noise, "length": 1 + noise}
    data |= {name: np.broadcast_to(grow[:, 0], noise.shape) + noise * 0.01 for name in ("bits", "D")}
    dims = ("p", "seed", "feature")
    coords = {"p": p, "seed": range(SEEDS)}
    return xr.Dataset({name: (dims, np.array(values)) for name, values in data.items()}, coords, {"hidden": M})


def test_planted_readings_hold() -> None:
    holds(page.what_the_elbow_counts(concepts(), toys()))
    holds(page.the_noise_has_no_elbow(concepts()))
    holds(page.what_deals_with_a_feature(toys()))


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("elbow", 4.0, "superposed-needs-most[p=0.02]"),
        ("differences", 2.0, "differences-need-one[p=0.02]"),
    ],
)
def test_elbows_of_toys_fail(name: str, value: float, key: str) -> None:
    fails(page.what_the_elbow_counts(concepts(), changed(toys(), name, lambda _: value, p=0.02)), key)


def test_elbows_of_planted_concepts_fail() -> None:
    more = changed(concepts(), "elbow", lambda each: each + 3, grade=0.6)
    fails(page.what_the_elbow_counts(more, toys()), "as-planted[grade=0.6]")
    more = changed(concepts(), "participation", lambda each: 1.5 * each, grade=0.3)
    fails(page.what_the_elbow_counts(more, toys()), "participation-as-planted[grade=0.3]")
    fails(page.the_noise_has_no_elbow(concepts().assign(noise=0.5 * concepts().noise)), "noise-as-noise")


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("weights", 3.0, "as-a-random-row[p=0.1]"),
        ("rotated", 6.0, "few-after-rotation[p=0.1]"),
    ],
)
def test_encoding_lengths_fail(name: str, value: float, key: str) -> None:
    fails(page.what_deals_with_a_feature(changed(toys(), name, lambda _: value, p=0.1)), key)


def test_bits_that_do_not_follow_dimensionality_fail() -> None:
    shuffled = changed(toys(), "bits", lambda each: each[:, ::-1].values, p=0.1)
    fails(page.what_deals_with_a_feature(shuffled), "bits-follow-dimensionality[p=0.1]")


def test_features_on_axes_of_their_own_need_one_of_everything() -> None:
    found = page._of_toy(np.eye(3), Sparse(3, PowerLaw(0.0, 0.1)), 0)
    for name in ("differences", "weights", "rotated"):
        np.testing.assert_array_equal(found[name], 1)
    on, off = 1 / 12, 0.1 / 3 - 0.01 / 4  # variances of a feature that is on, and of others
    np.testing.assert_allclose(found["alone"], on / (on + 2 * off))
    np.testing.assert_array_equal(found["elbow"], 3)
    np.testing.assert_array_equal(found["sampled"], 3)


def test_drawn() -> None:
    assert len(page.elbows(concepts(), toys()).axes) == 2
    assert len(page.encoding_lengths(toys()).axes) == 3
