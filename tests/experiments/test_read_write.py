"""Singular vectors of planted maps: findings where they hold and where each fails."""

import numpy as np
import pytest
import xarray as xr

from experiments import read_write as page
from tests.experiments.planted import changed, fails, holds, spread

SEEDS = 32


def recovered() -> xr.Dataset:
    settings, shape = list(page.SETTINGS), (len(page.SETTINGS), SEEDS, 2)
    found = np.zeros(shape) + np.array([1, 0.1, 0.2, 0.6])[:, None, None]
    found[2:, :, 1] = np.array([0.6, 0.2])[:, None]
    chance = page.theory.largest_coordinate(page.N)
    mmcs = np.full(shape, chance) + spread(2, size=1e-3, seeds=SEEDS).T
    coords = {"setting": settings, "seed": range(SEEDS), "side": list(page.SIDES)}
    whole = xr.Dataset({name: (tuple(coords), each) for name, each in (("found", found), ("mmcs", mmcs))}, coords)
    return whole.assign(ascent=(("setting", "seed"), np.ones(shape[:2])), chance=chance)


def pair_cosines() -> xr.Dataset:
    coords = {"gain": list(page.RATIOS), "cosine": list(page.COSINES), "seed": range(SEEDS)}
    exact = np.array([[np.mean(page.theory.pair_cosines(c, ratio)) for c in page.COSINES] for ratio in page.RATIOS])
    each = exact[..., None] + 1e-4 * spread(*exact.shape, seeds=SEEDS)
    whole = xr.Dataset({name: (tuple(coords), each) for name in ("singular", "ascent")}, coords)
    return whole.assign(exact=(("gain", "cosine"), exact)).copy(deep=True)


def test_planted_readings_hold() -> None:
    holds(page.recovers_only_distinct_and_orthogonal(recovered()))
    holds(page.ascent_finds_the_same(recovered()))
    holds(page.a_pair_turns_as_computed(pair_cosines()))


@pytest.mark.parametrize(
    ("name", "setting", "side", "value", "key"),
    [
        ("found", "distinct gains", "reads", 0.5, "distinct-recovered[side=reads]"),
        ("mmcs", "equal gains", "writes", 0.9, "equal-at-chance[side=writes]"),
        ("found", "reads at cosine .5", "reads", 0.9, "oblique-missed[side=reads,setting=reads at cosine .5]"),
        ("found", "reads at cosine .5", "writes", 1.0, "other-side-turned[side=writes,setting=reads at cosine .5]"),
    ],
)
def test_each_finding_fails_on_its_own(name: str, setting: str, side: str, value: float, key: str) -> None:
    data = changed(recovered(), name, lambda _: value, setting=setting, side=side)
    fails(page.recovers_only_distinct_and_orthogonal(data), key)


def test_another_search_or_another_law_fails() -> None:
    off = changed(recovered(), "ascent", lambda _: 0.7, setting="distinct gains")
    fails(page.ascent_finds_the_same(off), "ascent-agrees[setting=distinct gains]")
    for name, key in (("singular", "pair-singular[gain=0.5]"), ("ascent", "pair-ascent[gain=0.5]")):
        moved = changed(pair_cosines(), name, lambda values: values - 0.1, gain=0.5, cosine=0.3)
        fails(page.a_pair_turns_as_computed(moved), key)


def test_ascent_on_equal_gains_is_only_reported() -> None:
    holds(page.ascent_finds_the_same(changed(recovered(), "ascent", lambda _: 0.1, setting="equal gains")))


def test_drawn() -> None:
    assert len(page.singular_vectors_of_planted_maps(recovered(), pair_cosines()).axes) == 2
