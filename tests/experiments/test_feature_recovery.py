"""Methods on planted features: findings on planted shares, and scores of directions that are known."""

import numpy as np
import pytest
import xarray as xr

from experiments import feature_recovery as page
from tests.experiments.planted import changed, fails, holds

SEEDS = 8
SETTINGS = [*page.CROWDING, *page.DENSITY, *page.NOISE, *page.UNEVEN]
HARD = ["N/d = 4", "p = 0.2", "noise = 0.2", "uneven strength"]


def table(along: str, labels: list[str]) -> xr.Dataset:
    """Sparse coding finds nine in ten, three in ten where it is hard; spectral methods nothing."""
    shape = (len(labels), SEEDS, len(page.METHODS))
    coords = {along: labels, "seed": range(SEEDS), "by": list(page.METHODS)}
    noise = 1e-3 * np.random.default_rng(0).normal(size=shape)
    found = np.zeros(shape) + [0.9 if method in page.SPARSE else 0.0 for method in page.METHODS]
    found[np.isin(labels, HARD)] /= 3
    values = dict.fromkeys(("rays", "as_returned", "lines", "strong"), found + noise)
    values |= {"weak": found / 3 + noise, "count": np.full(shape, 16.0), "shuffled_rays": np.zeros(shape)}
    values |= {"shuffled_mmcs": 0.5 + noise / 10, "chance": np.full(shape, 0.5)}
    return xr.Dataset({name: ((along, "seed", "by"), each) for name, each in values.items()}, coords, {"d": 16})


def rays() -> xr.Dataset:
    data = table("frame", list(page.FRAMES))
    ica = {"by": "ICA"}
    return changed(changed(data, "lines", lambda _: 1.0, **ica), "as_returned", lambda values: 0.5 + values, **ica)


def test_planted_shares_hold() -> None:
    holds(page.only_sparse_coding_finds_more(table("setting", SETTINGS)))
    holds(page.recovery_falls(table("setting", SETTINGS)))
    holds(page.rays_are_found(rays()))


@pytest.mark.parametrize(
    ("name", "method", "value", "key"),
    [
        ("count", "PCA", 17, "at-most-rank[method=PCA]"),
        ("lines", "PCA", 0.3, "spectral-finds-none[method=PCA]"),
        ("rays", page.SAE, 0.2, f"sparse-coding-finds[method={page.SAE}]"),
        ("shuffled_rays", page.SAE, 0.1, f"shuffled-control[method={page.SAE}]"),
        ("shuffled_mmcs", page.SAE, 0.6, f"shuffled-at-chance[method={page.SAE}]"),
    ],
)
def test_each_finding_of_crowding_fails_on_its_own(name: str, method: str, value: float, key: str) -> None:
    data = changed(table("setting", SETTINGS), name, lambda _: value, setting="N/d = 2", by=method)
    fails(page.only_sparse_coding_finds_more(data), key)


@pytest.mark.parametrize(
    ("setting", "name", "by"),
    [
        ("N/d = 4", "rays", "crowding"),
        ("p = 0.2", "rays", "density"),
        ("noise = 0.2", "rays", "noise"),
        ("uneven strength", "weak", "strength"),
    ],
)
def test_recovery_that_does_not_fall_fails(setting: str, name: str, by: str) -> None:
    data = changed(table("setting", SETTINGS), name, lambda _: 0.9, setting=setting, by=page.SAE)
    fails(page.recovery_falls(data), f"recovery-falls[method={page.SAE},with={by}]")


@pytest.mark.parametrize(
    ("method", "value", "id"),
    [(page.SAE, 0.2, "rays-found"), ("PCA", 0.9, "rays-missed"), ("ICA", 0.9, "signs-by-chance")],
)
def test_each_finding_of_rays_fails_on_its_own(method: str, value: float, id: str) -> None:
    data = changed(rays(), "as_returned", lambda _: value, frame="random", by=method)
    fails(page.rays_are_found(data), f"{id}[method={method},frame=random]")


def test_scores_of_the_truth_its_opposite_and_half_of_it() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(8, 6))
    h = rng.uniform(size=(300, 8)) * (rng.uniform(size=(300, 8)) < 0.1) @ truth
    own = page._scores(truth, truth, h, page.SAE, 0)
    assert (own["rays"], own["lines"], own["strong"], own["weak"], own["count"]) == (1, 1, 1, 1, 8)
    turned = page._scores(truth, -truth, h, "ICA", 0)
    assert (turned["as_returned"], turned["lines"]) == (0, 1)
    assert turned["rays"] > 0.7  # skewness gives most of the signs back
    half = page._scores(truth, truth[:4], h, page.SAE, 0)
    assert (half["rays"], half["strong"], half["weak"]) == (0.5, 1, 0)


def test_drawn() -> None:
    assert len(page.recovery_by_setting(table("setting", SETTINGS)).axes) == 1
    assert len(page.rays_and_lines(rays()).axes) == 2
