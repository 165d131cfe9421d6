"""Truth-like directions: findings on what is known, and on planted toys."""

import numpy as np
import pytest
import xarray as xr

from experiments import truth_directions as page
from tests.experiments.planted import changed, fails, holds, outcomes
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import OK

SEEDS = 24


def antiprism(height: float = 0.6) -> np.ndarray:
    angle = np.pi / 4 * np.arange(8)
    return np.stack([np.cos(angle), np.sin(angle), height * (-1.0) ** np.arange(8)], axis=1)


SHAPES = {
    "4 in 2": page.polygon(4),
    "5 in 2": page.polygon(5),
    "6 in 3": np.vstack([np.eye(3), -np.eye(3)]),
    "8 in 3": antiprism(),
}


def planted() -> xr.Dataset:
    """What is read off toys that are their polytopes, to training accuracy."""
    sweep = replaced({"trained": page.trained}, {"seed": range(2)})["trained"]
    W = np.full((4, 2, 1, 8, 3), np.nan)
    for place, (name, V) in enumerate(SHAPES.items()):
        n, m = page.SIZES[name]
        W[place, :, 0, :n, :m] = V + 1e-3 * np.random.default_rng(0).normal(size=V.shape)
    data = {
        "W": (("toy", "seed", "snapshot", "feature", "hidden"), W),
        "status": (("toy", "seed"), np.full((4, 2), OK)),
    }
    coords = {axis.name: axis.labels for axis in sweep.axes}
    found = page.toys(Swept(sweep, xr.Dataset(data, coords)))
    return found.isel(seed=[0] * SEEDS).assign_coords(seed=range(SEEDS)).copy(deep=True)


@pytest.fixture(scope="module")
def known() -> xr.Dataset:
    with pytest.MonkeyPatch.context() as fewer:
        fewer.setattr(page, "PLACES", 4)
        return page.known()


@pytest.fixture(scope="module")
def toys() -> xr.Dataset:
    return planted()


def test_what_is_known_holds(known: xr.Dataset) -> None:
    holds(page.how_many_there_are(known))
    assert len(outcomes(page.how_many_there_are(known))) == 12


@pytest.mark.parametrize(
    ("name", "placement", "value", "key"),
    [
        ("wrong", "general", 1.0, "counts-agree[placement=general]"),
        ("regions_wrong", "small whole numbers", 1.0, "counts-agree[placement=small whole numbers]"),
        ("not_all", "one-hot", 1.0, "all-of-one-hot"),
        ("formula_wrong", "general", 1.0, "formula-in-general"),
        ("general", "antipodal pairs", 1.0, "degenerate-recognised[placement=antipodal pairs]"),
        ("formula_wrong", "repeated orthonormal", 0.0, "degenerate-needs-more[placement=repeated orthonormal]"),
    ],
)
def test_each_check_fails_where_it_is_broken(
    known: xr.Dataset, name: str, placement: str, value: float, key: str
) -> None:
    fails(page.how_many_there_are(changed(known, name, lambda _: value, placement=placement)), key)


def test_polygons_that_differ_fail(known: xr.Dataset) -> None:
    fails(page.how_many_there_are(changed(known, "polygon_error", lambda _: 1e-3, sides=7)), "polygons")


def test_toys_that_are_their_polytopes_hold(toys: xr.Dataset) -> None:
    holds(page.how_many_toys_have(toys))


def test_toys_that_differ_fail(toys: xr.Dataset) -> None:
    looser = changed(toys, "tolerance", lambda each: each + 0.2, toy="6 in 3")
    fails(page.how_many_toys_have(looser), "as-its-polytope[toy=6 in 3]")
    wider = changed(toys, "tolerance", lambda each: np.minimum(each + 0.1, 1), toy="5 in 2")
    fails(page.how_many_toys_have(wider), "pentagon-tolerance")
    true = changed(toys, "truth", lambda _: 0.5, toy="8 in 3")
    fails(page.how_many_toys_have(true), "truth-absent[toy=8 in 3]")
    many = changed(toys, "tolerance", lambda _: 0.5, toy="8 in 3")
    fails(page.how_many_toys_have(many), "at-most-cover[toy=8 in 3]", "as-its-polytope[toy=8 in 3]")


def test_lost_toys_are_left_out(toys: xr.Dataset) -> None:
    lost = toys.copy(deep=True)
    for name in ("tolerance", "truth"):
        lost[name].loc[{"seed": 0}] = np.nan
    holds(page.how_many_toys_have(lost))
    assert page.directions(lost, 0.9).sel(seed=0).isnull().all()


def test_drawn(toys: xr.Dataset) -> None:
    assert len(page.directions_by_tolerance(toys).axes) == 2
