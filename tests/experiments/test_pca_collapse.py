"""PCA collapse: each finding holds and fails on planted results; known models are read."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from experiments import pca_collapse as page
from tests.experiments.planted import fails, holds, undecided

P = np.geomspace(0.02, 0.95, 24)
GRID = (page.GRID * np.arange(1, 13)).round(2)
SEEDS, RUNS = 12, 64
FIRST = {1: 6, 2: 13, 3: 14}
"""Places of P from which on so many pairs are collapsed."""


def counts(**first: int) -> np.ndarray:
    places = FIRST | {int(name[1:]): place for name, place in first.items()}
    return sum((np.arange(len(P)) >= place).astype(float) for place in places.values())


def planted(*changed: tuple[slice, np.ndarray], **values: xr.DataArray) -> xr.Dataset:
    """The first seeds are the best, by a little; `changed`: counts by p of some seeds."""
    count = np.repeat(counts()[:, None], SEEDS, 1)
    for seeds, other in changed:
        count[:, seeds] = np.asarray(other)[:, None]
    loss = np.ones((len(P), 1)) + 1e-4 * np.arange(SEEDS)
    data = {
        name: (("p", "seed"), array) for name, array in {"count": count, "loss": loss, "off_hexagon": 3 * loss}.items()
    }
    return xr.Dataset(data | {"linear": ("p", np.ones(len(P)))}, {"p": P, "seed": range(SEEDS)}).assign(values)


def test_planted_results_hold() -> None:
    for find in (page.edges_of_collapse, page.published_geometry, page.ends_of_the_range):
        holds(find(planted()))
    for find in (page.edges_of_single_runs, page.published_numbers):
        holds(find(reference()))


def test_the_order_of_collapse_fails_on_its_own() -> None:
    there_and_back = counts()
    there_and_back[2] = 1
    fails(page.edges_of_collapse(planted((slice(None), there_and_back))), "collapse-in-order")
    fails(page.edges_of_collapse(planted((slice(None), np.maximum(counts(), 1)))), "all-numbers")


@pytest.mark.parametrize(("count", "place"), [(1, 10), (2, 9), (3, 19)])
def test_each_edge_fails_on_its_own(count: int, place: int) -> None:
    """Elsewhere in five of twelve seeds, the best ones, and in all seeds but the two best ones."""
    elsewhere = counts(**{f"_{count}": place})
    if count == 2:  # as many as two from there on, and all where they were
        elsewhere = np.where((np.arange(len(P)) >= place) & (counts() < 2), 2, counts())
    fails(page.edges_of_collapse(planted((slice(0, 5), elsewhere))), f"edge-of-best[collapsed={count}]")
    fails(page.edges_of_collapse(planted((slice(2, None), elsewhere))), f"edge-of-median[collapsed={count}]")


def test_an_edge_that_moves_with_the_seeds_is_undecided() -> None:
    some = planted((slice(0, SEEDS, 2), counts(_3=19)))
    undecided(page.edges_of_collapse(some), "edge-of-best[collapsed=3]", "edge-of-median[collapsed=3]")


@pytest.mark.parametrize(
    ("name", "place", "own"), [("none", 3, 0), ("one", 9, 1), ("two", 13, 2), ("all", 17, 3), ("PCA-like", 22, 3)]
)
def test_each_excess_fails_on_its_own(name: str, place: int, own: int) -> None:
    """At one p the five best models have another number of collapsed pairs, and the others lose 5 % more."""
    data = planted()
    data["count"][place, :5] = own - 1 if own else 1
    data["loss"][place, 5:] *= 1.05
    fails(page.published_geometry(data), f"excess[published={name}]")
    data["count"][place] = own - 1 if own else 1
    undecided(page.published_geometry(data), f"excess[published={name}]")


def test_each_end_of_the_range_fails_on_its_own() -> None:
    data = planted()
    fails(page.ends_of_the_range(planted(off_hexagon=4 * data.off_hexagon)), "hexagon")
    fails(page.ends_of_the_range(planted(linear=data.linear.where(data.p.round(3) != data.p[21].round(3), 0.8))), "pca")
    fails(page.ends_of_the_range(planted(linear=data.linear.where(data.p != data.p[-1], 0.96))), "pca-densest")


def reference(**changes: tuple[float, float, int]) -> xr.Dataset:
    """Runs of the paper's training: at .05 one in eight has a pair collapsed, at .15 five in eight have two."""
    count = np.repeat(np.select([GRID < 0.1, GRID < 0.2, GRID < 0.25], [0.0, 1.0, 2.0], 3.0)[:, None], RUNS, 1)
    count[0, ::8], count[2, np.arange(RUNS) % 8 < 5] = 1, 2
    for low, high, value in changes.values():
        count[(low - 1e-9 <= GRID) & (high + 1e-9 >= GRID)] = value
    both = {"count": (("p", "seed"), count), "loss": (("p", "seed"), np.ones_like(count))}
    return xr.Dataset(both, {"p": GRID, "seed": range(RUNS)})


@pytest.mark.parametrize(("count", "change"), [(1, (0.05, 0.15, 0)), (2, (0.1, 0.15, 2)), (3, (0.25, 0.3, 2))])
def test_each_edge_of_single_runs_fails_on_its_own(count: int, change: tuple[float, float, int]) -> None:
    fails(page.edges_of_single_runs(reference(change=change)), f"single-runs[collapsed={count}]")


@pytest.mark.parametrize(
    ("name", "change"),
    [("none", (0.05, 0.05, 1)), ("one", (0.1, 0.1, 0)), ("two", (0.2, 0.2, 1)), ("all", (0.25, 0.5, 2))],
)
def test_each_most_frequent_number_fails_on_its_own(name: str, change: tuple[float, float, int]) -> None:
    fails(page.published_numbers(reference(change=change)), f"most-frequent[published={name}]")


def test_runs_at_one_p_alone_are_judged_where_they_are() -> None:
    assert {each.settings.get("published") for each in page.published_numbers(reference().isel(p=[0, 5]))} == {
        "none",
        "one",
        "all",
    }


# ------------------------------------------------------------------------------------------------------------- readings


def swept(W: np.ndarray) -> SimpleNamespace:
    """Models by p and seed, with b = 0."""
    weights = xr.DataArray(W, {"p": [0.05, 1.0], "seed": [0, 1]}, ("p", "seed", "feature", "hidden"))
    final = {"W": weights, "b": 0 * weights.isel(hidden=0)}
    cell = page.pairs.cell(p=page.pairs.axes[0].labels[0], seed=0)
    return SimpleNamespace(
        final=lambda name="W", unconverged=False: final[name],
        run=lambda p: page.replace(cell, {"problem.data.p": p}),
        check=lambda **settings: None,
    )


def test_models_that_are_known() -> None:
    """A hexagon whose first pair is collapsed, and nothing at all; lost models have no count."""
    angle = np.pi / 3 * np.arange(6)
    hexagon = np.stack([np.cos(angle), np.sin(angle)], 1)
    found = page.collapse(swept(np.stack([[hexagon[[0, 0, 2, 3, 4, 5]], 0 * hexagon], [hexagon, np.nan * hexagon]])))
    np.testing.assert_array_equal(found["count"], [[1, 0], [0, np.nan]])
    np.testing.assert_allclose(found.spread[0, 0], [0, 1 / 4, 1 / 4], atol=1e-12)
    np.testing.assert_allclose(found.off_hexagon[:, 0], [60, 0], atol=1e-4)
    np.testing.assert_allclose(found.loss[0, 1], 6 * 0.05 / 3)
    assert np.isnan([found[name][1, 1] for name in ("loss", "off_hexagon")]).all()
    # Where all is on, p = 1, six independent uniform variables, of which a linear model keeps two.
    assert found.linear[1] == pytest.approx(4 / 12, rel=1e-5)
