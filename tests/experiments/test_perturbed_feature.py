"""One feature of its own density: findings on planted losses, geometries of known weights, two curves that cross."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from experiments import perturbed_feature as page
from tests.experiments.planted import fails, holds, undecided
from toymodels.experiment import Swept
from toymodels.results import OK
from toymodels.theory.expected_loss import expected_loss
from toymodels.theory.polygons import polygon_weights

RATIOS, SEEDS = [0.1, 0.3162, 1.0, 3.162], 8
ON_TIME = {"crossing": 2.5, "at_published": 2.4}


def planted(crossing: float = 2.5, at_published: float = 2.4) -> tuple[xr.Dataset, xr.Dataset]:
    p = [0.02, 0.05, 0.1]
    times = xr.DataArray([4, crossing, 1.5], {"p": p}, "p")
    branch = xr.DataArray([1.0, 1.1, 1.2], {"branch": ["pentagon", "digons", "another"]}, "branch")
    loss = branch * xr.DataArray(np.ones((3, 4)), {"p": p, "ratio": RATIOS}, ("p", "ratio"))
    seeds = xr.DataArray(at_published + np.linspace(-0.01, 0.01, SEEDS), dims="seed")
    return xr.Dataset({"loss": loss, "times_sparser": times}), xr.Dataset({"times_sparser": seeds})


def models() -> xr.Dataset:
    """Digons where the feature is at least 2.5 times sparser, the pentagon elsewhere."""
    loss = xr.DataArray(1 + np.linspace(0, 0.01, SEEDS) * np.ones((4, 1)), {"ratio": RATIOS}, ("ratio", "seed"))
    names = xr.DataArray(["digons", "digons", "pentagon", "pentagon"], {"ratio": RATIOS}, "ratio")
    return xr.Dataset({"loss": loss, "geometry": names.broadcast_like(loss)})


def changed(name: str, value: object, **where: object) -> xr.Dataset:
    data = models().copy(deep=True)
    array = data[name].astype(object if isinstance(value, str) else float)
    array.loc[where] = value
    return data.assign({name: array.astype(str) if isinstance(value, str) else array})


def test_planted_results_hold() -> None:
    holds(page.where_they_cross(*planted()))
    holds(page.best_of_restarts(models(), planted()[0]))


@pytest.mark.parametrize("times", [1.8, 3.2])
@pytest.mark.parametrize(("id", "name"), [("crossing", "crossing"), ("crossing-at-published-settings", "at_published")])
def test_curves_that_cross_elsewhere(id: str, name: str, times: float) -> None:
    fails(page.where_they_cross(*planted(**ON_TIME | {name: times})), id)


def test_seeds_that_disagree_decide_nothing() -> None:
    exact, published = planted()
    published["times_sparser"] = published.times_sparser * xr.DataArray(np.linspace(0.2, 1.8, SEEDS), dims="seed")
    undecided(page.where_they_cross(exact, published), "crossing-at-published-settings")


@pytest.mark.parametrize(
    ("id", "name", "value", "ratio"),
    [
        ("least-loss", "loss", 1.05, 1.0),
        ("least-loss", "loss", 0.95, 1.0),
        ("geometry-of-best[side=sparser]", "geometry", "pentagon", 0.1),
        ("geometry-of-best[side=denser]", "geometry", "digons", 3.162),
    ],
)
def test_each_finding_fails_on_its_own(id: str, name: str, value: object, ratio: float) -> None:
    fails(page.best_of_restarts(changed(name, value, ratio=ratio), planted()[0]), id)


def test_a_lucky_best_decides_nothing() -> None:
    rare = changed("geometry", "other", ratio=1.0, seed=slice(1, None))
    undecided(page.best_of_restarts(rare, planted()[0]), "geometry-of-best[side=denser]")


@given(st.integers(0, 4), st.floats(0, 2 * np.pi))
def test_geometries_of_known_weights(dropped: int, turn: float) -> None:
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    square = np.insert(polygon_weights(4), dropped, 0.01, 0) @ rotation
    assert page.geometry_of(square) == ("another" if dropped else "digons")
    pentagon = polygon_weights(5, 1.13) @ rotation
    assert page.geometry_of(pentagon) == "pentagon"
    pentagon[dropped] = 0.9 * pentagon[dropped - 1]
    assert page.geometry_of(pentagon) == "other"


def untrained(ratios: list[float]) -> Swept:
    """Pentagons and squares of the same weights at all densities, in place of trained branches."""
    made = page.placed(ratios, 0.05)
    options = made.axes[0].options.values()
    W, b = (np.array([[each[f"problem.model.{name}"]] * len(ratios) for each in options]) for name in ("W", "b"))
    dims = ("branch", "ratio", "snapshot", "feature")
    data = {
        "W": ((*dims, "hidden"), W[:, :, None]),
        "b": (dims, b[:, :, None]),
        "status": (dims[:2], np.full(W.shape[:2], OK)),
    }
    return Swept(made, xr.Dataset(data, {axis.name: axis.labels for axis in made.axes}))


def test_the_crossing_is_where_the_exact_losses_are_equal() -> None:
    met = 1 / float(page._crossing(untrained(np.geomspace(0.1, 1, 9).tolist())).times_sparser)
    p = np.array([met * 0.05, *(0.05,) * 4])
    known = [
        (polygon_weights(5, 1.13), np.full(5, -0.25)),
        (np.insert(polygon_weights(4), 0, 0, 0), np.eye(5)[0] * 0.05 / 2),
    ]
    pentagon, digons = (expected_loss(W, b, p) for W, b in known)
    assert pentagon == pytest.approx(digons, rel=5e-3)


def test_curves_that_do_not_cross_have_no_crossing() -> None:
    assert np.isnan(page._crossing(untrained([2.0, 4.0])).times_sparser)
