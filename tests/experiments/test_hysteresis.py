"""Hysteresis: findings decide planted loops, branches of known weights come in order, exact ends are in order."""

import numpy as np
import pytest
import xarray as xr

from experiments import hysteresis as page
from tests.experiments.planted import fails, holds, undecided
from toymodels.experiment import Swept

RATIOS, X, SEEDS = ["0.2", "0.85"], np.geomspace(0.1, 1, 47), 8
STAIR = float(np.log(X[1] / X[0]))
NOISE = xr.DataArray(np.linspace(-0.01, 0.01, SEEDS), dims="seed")


def exact() -> xr.Dataset:
    return xr.Dataset({"lost": ("ratio", [0.4, 0.6]), "gained": ("ratio", [0.2, 0.6])}, {"ratio": RATIOS})


def two(change: float = 0.0, of: str = "lost", steps: object = -1, noise: float = 1.0) -> xr.Dataset:
    """Loops as wide as the exact ones, a little wider where quick; `change` moves a switch of importance .2 in ln p."""
    quick = xr.DataArray([0.1, 0.01, 0.0], {"steps": [10, 20, 40]}, "steps")
    made = {name: values * np.exp(0 * quick + 0 * NOISE) for name, values in exact().data_vars.items()}
    made["lost"] = made["lost"] * np.exp(quick * (1 + NOISE * noise))
    moved = made[of].copy().transpose("steps", "ratio", "seed")
    moved[{"steps": steps, "ratio": 0}] *= np.exp(change)
    made[of] = moved
    return xr.Dataset({**made, "area": abs(np.log(made["lost"] / made["gained"])), "x": ("level", X)})


def pentagons(**changes: object) -> xr.Dataset:
    one = xr.DataArray(np.ones(2), {"what": ["density of all", "density of one"]}, "what") * (1 + NOISE)
    numbers = {"pentagon": 0.4, "digons": 2.0, "gone": 0.3, "equal": 0.2, "back": 0.03, "area": 2.0}
    return xr.Dataset({name: one * value for name, value in (numbers | changes).items()})


def test_planted_results_hold() -> None:
    holds(page.two_feature_loops(two(), exact()))
    holds(page.five_feature_loops(pentagons()))
    holds(page.five_feature_loops(pentagons(back=xr.DataArray([1, np.nan], dims="what"))))


@pytest.mark.parametrize(("change", "of"), [(2 * STAIR, "lost"), (-2 * STAIR, "gained")])
def test_a_switch_beyond_the_end_of_its_branch_fails(change: float, of: str) -> None:
    """Later by two levels at every speed: the loop is wider, which breaks no other rule."""
    fails(page.two_feature_loops(two(change, of, slice(None)), exact()), f"second-feature-{of}")


@pytest.mark.parametrize(("change", "of"), [(-1.5 * STAIR, "lost"), (1.5 * STAIR, "gained")])
def test_a_branch_that_is_left_early_fails(change: float, of: str) -> None:
    fails(page.two_feature_loops(two(change, of), exact()), f"second-feature-{of}", "never-left-early")


def test_a_loop_that_widens_fails() -> None:
    early = two(-2 * STAIR - 0.1, "lost", 0)
    fails(page.two_feature_loops(early, exact()), "never-left-early", "slower-not-wider[importance=0.2]")
    late = two(0.9 * STAIR, "lost", 1).assign_coords(steps=[10, 20, 40])
    late["lost"][{"steps": 0, "ratio": 0}] *= np.exp(-0.1 - STAIR / 2)
    fails(page.two_feature_loops(late, exact()), "slower-not-wider[importance=0.2]")


def test_seeds_that_part_fail() -> None:
    data = two()
    data["gained"][{"steps": -1, "ratio": 1, "seed": 0}] *= np.exp(-2 * STAIR)
    found = list(page.two_feature_loops(data, exact()))
    fails([each for each in found if each.id == "seeds-alike"], "seeds-alike")
    data["gained"][{"steps": -1, "ratio": 1, "seed": 0}] = np.nan
    undecided(page.two_feature_loops(data, exact()), "second-feature-gained")


@pytest.mark.parametrize("name", ["pentagon", "digons"])
def test_a_geometry_that_goes_where_losses_cross_fails(name: str) -> None:
    gone_early = xr.DataArray([1, -1], dims="what")
    fails(page.five_feature_loops(pentagons(**{name: gone_early})), f"{name}-outlive")
    undecided(page.five_feature_loops(pentagons(**{name: gone_early * 0 + 100 * NOISE})), f"{name}-outlive")


# ------------------------------------------------------------------------------------------------------------- readings


def test_branches_of_known_weights_come_in_ascending_density() -> None:
    """Going down, the pair returns on the third of four levels; going up, it is lost on the last."""
    sweep = page.annealed(page.of_two()[0], 4, 40, *page.of_two()[1:])
    pair, alone = np.array([[1.0], [-1.0]]), np.array([[1.0], [0.0]])
    up, down = [pair, pair, pair, pair, alone], [alone, alone, alone, pair, pair]
    W = np.array([up, down])[None, :, None].repeat(3, 0).astype(np.float32)
    data = xr.Dataset(
        {
            "W": (("ratio", "way", "seed", "snapshot", "feature", "hidden"), W),
            "b": (("ratio", "way", "seed", "snapshot", "feature"), W[..., 0] * 0),
            "status": (("ratio", "way", "seed"), np.zeros((3, 2, 1), int)),
        },
        {"ratio": [f"{r:g}" for r in page.RATIOS], "way": list(page.WAYS), "seed": [0], "snapshot": range(0, 41, 10)},
    )
    read = page.two(*[Swept(sweep, data)] * 3).isel(steps=0, seed=0)
    assert read.measure.sel(ratio="0.4").transpose("way", "level").values.tolist() == [[1, 1, 1, 0], [1, 1, 0, 0]]
    assert (read.x[1] < read.gained).all()
    assert (read.gained < read.x[2]).all()
    assert (read.x[2] < read.lost).all()
    np.testing.assert_allclose(read.area, np.log(read.x[1] / read.x[0]), rtol=1e-6)  # two sides of half a step
    p, v = page.RANGE, lambda p: p / 3 - p**2 / 4
    dropped = read.loss.sel(ratio="0.4", way=page.FIRST)[-1]
    np.testing.assert_allclose(dropped, 0.4 * (v(p[1]) + p[1] ** 2 / 4), rtol=1e-6)  # without its bias
    pairs = read.loss.sel(ratio="0.4", way=page.LAST)[0]
    np.testing.assert_allclose(pairs, 1.4 * p[0] ** 2 / 6, rtol=1e-6)  # Elhage et al.: (1 + r) p^2 / 6


def test_each_geometry_lives_on_beyond_equal_losses() -> None:
    """A pentagon at the sparse end, lost at the fourth level on the way up; digons never turn back."""
    one = np.ones((1, 5))
    measure = np.stack([one * [1, 1, 1, 1, 0], one * 0.0])
    loss = np.stack([one * [1, 2, 3, 4, 3], one * [3, 3, 2, 3, 3]])
    data = xr.Dataset({"measure": (("way", "seed", "level"), measure), "loss": (("way", "seed", "level"), loss)})
    data = data.assign_coords(way=list(page.WAYS), x=("level", [1.0, 2, 4, 8, 16]))
    read = page._of_five(data, "density of all").isel(seed=0)
    assert 2 < read.equal < 4
    assert 8 < read.gone < 16
    assert np.isnan(read.back)
    np.testing.assert_allclose(read.pentagon, np.log(read.gone / read.equal))
    np.testing.assert_allclose(read.digons, np.log(read.equal))  # to the end of the range, at 1
    early = data.assign(loss=data.loss.where(data.way == page.LAST, 1))  # the pentagon is gone before losses meet
    assert page._of_five(early, "density of all").pentagon.values.tolist() == [0]
    turned = data.isel(way=[1, 0], level=slice(None, None, -1))
    mirrored = turned.assign_coords(way=list(page.WAYS), x=("level", [1.0, 2, 4, 8, 16]))
    other = page._of_five(mirrored, "density of one").isel(seed=0)
    np.testing.assert_allclose([other.pentagon, other.digons], [read.pentagon, read.digons])


def test_the_exact_loop_closes_as_the_second_feature_gains_importance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "RATIOS", (0.2, 0.85))
    known = page.exact()
    width = np.log(known.lost / known.gained).values
    assert width[0] > 0.4 > 0.01 > abs(width[1])
    assert (known.kept.sel(ratio="0.2").isel(p=0) > 0.9).item()
    assert (known.gained <= known.lost).all()
