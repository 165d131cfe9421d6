"""Geometric learning: findings decide planted results, and readings tell planted octahedra from others."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from experiments import geometric_learning as page
from tests.experiments.planted import fails, holds, undecided
from toymodels.experiment import Swept


def stages(**changes: object) -> xr.Dataset:
    """Sixteen seeds that wait, wait at PCA, and end in an octahedron."""
    made = {
        "start": (("seed", "plateau"), np.tile([0.0, 100, 1000], (16, 1))),
        "kind": (("seed", "plateau"), np.tile(["initial", "interior", "final"], (16, 1))),
        "over_linear": ("seed", np.linspace(0.999, 1.004, 16)),
        "away": ("seed", np.linspace(0.02, 0.05, 16)),
        "name": ("seed", np.array(["octahedron"] * 16)),
        "off_half": ("seed", np.full(16, 1e-3)),
    }
    made |= {name: (made[name][0], value) for name, value in changes.items()}
    return xr.Dataset(made, attrs={"p": 0.1})


def ends(place: object = None, **changes: object) -> xr.Dataset:
    """Octahedra across the sets at every p, from both starts; changes are made to the Xavier start."""
    p, start, seeds = [0.1, 0.3], ["Xavier", "small"], 32
    one = xr.DataArray(np.ones((2, 2, seeds)), dims=("p", "start", "seed"), coords={"p": p, "start": start})
    data = xr.Dataset(
        {
            "loss": one * np.linspace(1, 2, seeds),
            "name": one.astype(object).where(False, "octahedron").astype(object),
            "off_half": one * 1e-3,
            "inside": one * 0.01,
            "crosses": one,
            "basins": one.isel(seed=0),
        }
    )
    for name, value in changes.items():
        changed = data[name].copy()
        changed[{"start": 0} if place is None else {"start": 0, "seed": place}] = value
        data = data.assign({name: changed})
    return data.assign(name=data.name.astype(str))


def test_planted_results_hold() -> None:
    holds(page.linear_first(stages()))
    holds(page.octahedra(ends()))


HALF = np.array(["octahedron", "irregular"] * 8)


@pytest.mark.parametrize(
    ("id", "changes"),
    [
        ("three-regimes", {"start": np.tile([0.0, 100, np.nan], (16, 1))}),
        ("three-regimes", {"kind": np.tile(["initial", "initial", "final"], (16, 1))}),
        ("linear-loss", {"over_linear": np.linspace(1.1, 1.2, 16)}),
        ("linear-loss", {"over_linear": np.linspace(0.8, 0.9, 16)}),
        ("linear-weights", {"away": np.linspace(0.2, 0.3, 16)}),
        ("octahedron-at-the-end", {"name": np.array(["irregular"] * 14 + ["octahedron"] * 2)}),
    ],
)
def test_each_finding_on_trajectories_fails_on_its_own(id: str, changes: dict[str, object]) -> None:
    fails(page.linear_first(stages(**changes)), id)


def test_half_of_the_seeds_decide_nothing() -> None:
    undecided(page.linear_first(stages(name=HALF)), "octahedron-at-the-end")


@pytest.mark.parametrize(
    ("id", "place", "changes"),
    [
        ("strong-attractor", slice(5, None), {"name": "irregular"}),
        ("best-is-octahedron", slice(0, 5), {"name": "2 digons ⊕ point"}),
        ("off-half", slice(0, 3), {"off_half": 0.03}),
        ("inside", slice(0, 3), {"inside": 0.1}),
        ("antipodes-cross", slice(4, None), {"crosses": 0.0}),
    ],
)
def test_each_finding_on_restarts_fails_on_its_own(id: str, place: slice, changes: dict[str, object]) -> None:
    fails(page.octahedra(ends(place, **changes)), f"{id}[start=Xavier]")


def test_only_octahedra_are_asked_for_their_antipodes() -> None:
    holds(page.octahedra(ends(slice(28, None), name="irregular", crosses=0.0)))


def test_lost_models_count_neither_way() -> None:
    holds(page.octahedra(ends(slice(10, None), name="lost", crosses=np.nan, loss=np.nan)))


# ------------------------------------------------------------------------------------------------------------- readings


def octahedron(order: tuple[int, ...] = (0, 1, 2), turn: int = 0) -> np.ndarray:
    return np.concatenate([np.eye(3), -np.eye(3)[list(order)]]) @ ortho_group.rvs(3, random_state=turn)


@settings(max_examples=15)
@given(st.integers(0, 999), st.permutations(range(3)))
def test_an_octahedron_across_sets_is_read_in_any_position(turn: int, order: list[int]) -> None:
    W = octahedron(tuple(order), turn)
    mixed = W[[0, 3 + order.index(0), 1, 3 + order.index(1), 2, 3 + order.index(2)]]  # an antipode within the first set
    read = page._geometry(xr.DataArray([W, mixed], dims=("seed", "feature", "hidden")))
    assert read.name.values.tolist() == ["octahedron", "octahedron"]
    assert read.crosses.values.tolist() == [1, 0]
    np.testing.assert_allclose(read.inside, [0, 1], atol=1e-12)
    np.testing.assert_allclose(read.off_half, 0, atol=1e-12)


def test_a_trajectory_that_waits_at_pca() -> None:
    """Zero, then PCA, then an octahedron: three plateaus, and the model on the second is the linear optimum."""
    steps = np.unique(np.geomspace(1, 20_000, 250).astype(int))
    law = page.problem.data
    linear = np.repeat(np.eye(2), 3, axis=0) / np.sqrt(3) @ np.eye(2, 3)
    at = np.select([steps < 100, steps < 1000], [0, 1], 2)
    mean = np.asarray(law.mean(), np.float64)
    W = np.stack([np.zeros((6, 3)), linear, octahedron()])[at]
    b = np.stack([mean, mean - linear @ linear.T @ mean, np.zeros(6)])[at]
    loss = 0.167 / (1 + (steps / 100) ** 6) + 0.023 / (1 + (steps / 1000) ** 6) + 0.01
    data = xr.Dataset(
        {
            "W": (("seed", "snapshot", "feature", "hidden"), W[None].astype(np.float32)),
            "b": (("seed", "snapshot", "feature"), b[None].astype(np.float32)),
            "objective": (("seed", "step"), loss[None]),
            "status": ("seed", [0]),
        },
        {"seed": [0], "step": steps, "snapshot": steps},
    )
    read = page.stages(Swept(page.flow, data))
    assert read.kind.values[0].tolist() == ["initial", "interior", "final"]
    assert 100 < read.middle[0, 1] < 1000
    np.testing.assert_allclose(read.linear, page.SHOWN / 3, rtol=1e-4)  # four eigenvalues of p / 12
    np.testing.assert_allclose(read.over_linear, 1, atol=0.02)
    np.testing.assert_allclose(read.away, 0, atol=1e-6)
    assert read.name.values.tolist() == ["octahedron"]
