"""k-gons: findings decide planted censuses, and readings name known models and their basins."""

import numpy as np
import pytest
import xarray as xr

from experiments import polygons as page
from tests.experiments.planted import fails, holds, undecided
from toymodels.experiment import Swept
from toymodels.theory import polygons as theory
from toymodels.theory.critical import polygon_with_dropped

SIDES, SEEDS, NAN = [5, 6], 48, np.nan
GRID = ("n", "k", "silent")


def critical(**changes: object) -> xr.Dataset:
    """Pentagon and square of 5 features, hexagon and pentagon of 6."""
    loss = np.array([[[2.0, NAN], [1, NAN], [NAN, NAN]], [[NAN, NAN], [4, 5], [3, NAN]]])
    names = np.array(
        [[["square", ""], ["pentagon", ""], ["", ""]], [["", ""], ["5, dropped", "5, silent"], ["hexagon", ""]]]
    )
    made = {"known": (GRID, loss), "name": (GRID, names)}
    made |= {name: ("n", [1e-16, 1e-15]) for name in ("slope", "rotation")} | {"curvature": ("n", [0.07, 0.02])}
    made |= {name: ("n", value) for name, value in changes.items()}
    return xr.Dataset(made, {"n": SIDES, "k": [4, 5, 6], "silent": [0, 1]})


def stayed() -> xr.Dataset:
    one = xr.DataArray(
        np.ones((2, 3, SEEDS)), dims=("n", "noise", "seed"), coords={"n": SIDES, "noise": [0.03, 0.1, 0.5]}
    )
    regular = (one > 0) & (one.noise < 0.2)
    losses = xr.DataArray([1.0, 3.0], {"n": SIDES}, "n")
    return xr.Dataset({"regular": regular, "loss": losses * (one + 1e-9), "off": one * 1e-4})


def reached(n: int = 0, **changes: object) -> xr.Dataset:
    """The first five seeds find the least k-gon at either rate; others the next one, or none that is known."""
    shape = (2, 2, SEEDS)
    loss = np.array([1.0, 3.0])[:, None, None] * np.ones(shape)
    name = np.array(["pentagon", "hexagon"], "<U20")[:, None, None].repeat(2, 1).repeat(SEEDS, 2)
    for row, (worse, what) in enumerate(((2, "square"), (4, "5, dropped"))):
        loss[row, :, 5:40], name[row, :, 5:40] = worse, what
        loss[row, :, 40:], name[row, :, 40:] = worse + 0.3, "irregular"
    made = {"loss": loss, "name": name, "basin": name}
    for key, (place, value) in changes.items():
        made[key] = made[key].copy()
        made[key][n][:, place] = value
    return xr.Dataset(
        {key: (("n", "rate", "seed"), value) for key, value in made.items()}, {"n": SIDES, "rate": [0.1, 0.3]}
    )


def test_planted_results_hold() -> None:
    holds(page.polygons_are_minima(critical()))
    holds(page.near_polygons(stayed(), critical()))
    holds(page.census_of_basins(reached(), critical()))


@pytest.mark.parametrize(
    ("id", "name", "value"),
    [("stationary", "slope", 1e-6), ("rotation", "rotation", 1e-4), ("minimum", "curvature", -0.1)],
)
def test_each_check_of_theory_fails_on_its_own(id: str, name: str, value: float) -> None:
    fails(page.polygons_are_minima(critical(**{name: [0.01 * value, value]})), id)


@pytest.mark.parametrize(
    ("id", "name", "seeds", "value"),
    [
        ("polygons-stay", "regular", slice(10, None), False),
        ("loss-attained", "loss", 3, 4.0),
        ("loss-not-beaten", "loss", 3, 2.9),
        ("dimensionality", "off", 3, 0.1),
    ],
)
def test_each_finding_near_a_polygon_fails_on_its_own(id: str, name: str, seeds: object, value: object) -> None:
    data = stayed()
    data[name][{"n": 1, "noise": 1, "seed": seeds}] = value
    fails(page.near_polygons(data, critical()), id)
    data = stayed()
    data[name][{"n": 1, "noise": 2, "seed": seeds}] = value
    holds(page.near_polygons(data, critical()))  # large noise is not asked


def test_one_start_of_a_seed_that_leaves_is_one_seed() -> None:
    data = stayed()
    data.regular[{"n": 1, "noise": 1, "seed": slice(8)}] = False
    undecided(page.near_polygons(data, critical()), "polygons-stay")


def test_lost_models_neither_stay_nor_leave() -> None:
    data = stayed()
    data = data.assign(regular=data.regular.astype(float))
    for name in ("regular", "loss", "off"):
        data[name][{"n": 1, "noise": 1, "seed": slice(40)}] = NAN
    undecided(page.near_polygons(data, critical()), "polygons-stay")  # eight are left


@pytest.mark.parametrize(
    ("id", "changes"),
    [
        ("best-geometry[n=6]", {"name": (slice(5), "irregular")}),
        ("best-loss", {"loss": (slice(5), 3.2), "name": (slice(5), "hexagon, 1 doubled")}),
        ("named-losses", {"loss": (slice(5, 40), 4.4)}),
    ],
)
def test_each_finding_of_the_census_fails_on_its_own(id: str, changes: dict[str, object]) -> None:
    also = ["best-geometry[n=6]"] if id == "best-loss" else []
    fails(page.census_of_basins(reached(1, **changes), critical()), id, *also)


def test_a_best_that_one_start_found_decides_nothing() -> None:
    lucky = reached(name=(slice(5), "square"))
    lucky["name"][{"n": 0, "rate": 0, "seed": 0}] = "pentagon"
    undecided(page.census_of_basins(lucky, critical()), "best-geometry[n=5]")


# ------------------------------------------------------------------------------------------------------------- readings


def swept(models: list[tuple[np.ndarray, np.ndarray]]) -> Swept:
    """A census of seven features at one rate, one model a seed, beside one of five that is padded."""
    W, b = (np.stack([each[part] for each in models])[None, None, :, None] for part in (0, 1))
    data = xr.Dataset(
        {
            "W": (("n", "rate", "seed", "snapshot", "feature", "hidden"), W),
            "b": (("n", "rate", "seed", "snapshot", "feature"), b),
            "status": (("n", "rate", "seed"), np.zeros(W.shape[:3], int)),
        },
        {"n": [7], "rate": [0.03], "seed": np.arange(len(models)), "snapshot": [100]},
    )
    return Swept(page.census, data)


def test_known_models_are_named_and_put_in_basins() -> None:
    known = [polygon_with_dropped(k, 7, silent=s) for k, s in ((7, 0), (6, 0), (6, 1))]
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    models = [(each.W, each.b) for each in known] + [(known[1].W[::-1] @ turn, known[1].b[::-1])]
    models[2] = (known[2].W + np.eye(7)[6][:, None] * 1e-3, known[2].b - 0.5 * np.eye(7)[6])  # off, and left anywhere
    read = page.reached(swept([*models, (np.full((7, 2), np.nan), np.zeros(7))])).isel(n=0, rate=0)
    assert read.name.values.tolist()[:4] == [
        "heptagon",
        "hexagon, 1 dropped",
        "hexagon, 1 silent",
        "hexagon, 1 dropped",
    ]
    np.testing.assert_allclose(read.loss[:3], [each.loss for each in known], rtol=1e-9)
    assert np.isnan(read.loss[4])
    assert read.basin[1] == read.basin[3] == f"hexagon, 1 dropped, L = {known[1].loss:.4f}"
    assert len(set(read.basin.values.tolist())) == 4


def test_a_start_that_ends_elsewhere_has_not_stayed() -> None:
    regular, other = (polygon_with_dropped(k, 7) for k in (7, 6))
    found = swept([(regular.W, regular.b), (other.W, other.b)])
    read = page.stayed(Swept(page.inside, found.data.rename(rate="noise"))).isel(n=0, noise=0)
    assert read.regular.values.tolist() == [True, False]
    np.testing.assert_allclose(read.loss, [regular.loss, other.loss], rtol=1e-9)
    np.testing.assert_allclose(read.off, [0, 2 / 7], atol=1e-9)


def test_starts_are_the_best_polygons() -> None:
    start, known = page.inside_of(5).model, theory.polygon(5)
    np.testing.assert_allclose(np.linalg.norm(start.W, axis=1), known.radius)
    np.testing.assert_allclose(start.b, known.bias)
