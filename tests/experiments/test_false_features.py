"""Statistics of dictionaries: findings on planted ones, rotation at equal covariance, pairs of seeds."""

import numpy as np
import pytest
import xarray as xr

from experiments import false_features as page
from tests.experiments.planted import changed, fails, holds
from toymodels.data import covariance

PAIRS, SIZES = 8, [100, 10_000]


def planted() -> xr.Dataset:
    """Features are told from the rest by nothing: some law without features passes each statistic."""
    laws, shape = list(page.LAWS), (len(page.LAWS), len(SIZES), 2 * PAIRS)
    noise = 1 + 1e-3 * np.random.default_rng(0).normal(size=shape)
    held = np.array([0.2, 0.1, 0.5, 0.5, 0.5, 0.5])[:, None, None] * noise
    train = held / np.array([2.0, 1.0])[:, None]
    turned = held * np.array([3, 4, 1, 1, 1, 1.0])[:, None, None]
    agreement = np.broadcast_to(np.array([0.8, 0.7, 0.1, 0.1, 0, 0])[:, None, None], (6, 2, PAIRS)) * noise[..., :PAIRS]
    dims = ("law", "samples", "seed")
    data = {name: (dims, each) for name, each in (("train", train), ("held_out", held), ("turned", turned))}
    coords = {"law": laws, "samples": SIZES, "seed": range(2 * PAIRS)}
    return xr.Dataset(data | {"agreement": (("law", "samples", "pair"), agreement)}, coords)


def test_planted_statistics_hold() -> None:
    holds(page.no_statistic_is_enough(planted()))
    holds(page.the_gap_tells_the_size_of_the_sample(planted()))


@pytest.mark.parametrize(
    ("statistic", "name", "value"),
    [("agreement", "agreement", 0.2), ("rotated", "turned", 0.1), ("copy", "held_out", 0.5)],
)
def test_a_statistic_that_no_featureless_law_passes_is_not_fooled(statistic: str, name: str, value: float) -> None:
    data = changed(planted(), name, lambda _: value, law="a dozen Gaussians")
    if name == "held_out":  # and nothing else changes with it
        data = changed(
            changed(data, "train", lambda _: value, law="a dozen Gaussians", samples=10_000),
            "turned",
            lambda _: 4 * value,
            law="a dozen Gaussians",
        )
    fails(page.no_statistic_is_enough(data), f"fooled[statistic={statistic}]")


def test_a_gap_that_stays_or_is_never_there_fails() -> None:
    held = planted().held_out
    findings = page.the_gap_tells_the_size_of_the_sample
    small = {"law": "cube", "samples": 100}
    fails(findings(changed(planted(), "train", lambda _: held.sel(**small).values, **small)), "gap-of-few")
    large = {"law": "cube", "samples": 10_000}
    fails(findings(changed(planted(), "train", lambda _: held.sel(**large).values / 2, **large)), "gap-of-many")


def test_rotation_keeps_mean_and_covariance_and_nothing_else() -> None:
    law, rng = page.FEATURES, np.random.default_rng(0)
    root = np.linalg.cholesky(covariance(law))
    h = np.asarray(law.mean(), float) + rng.normal(size=(40_000, page.D)) @ root.T
    turned = page._rotated(h, law, 1)
    np.testing.assert_allclose(turned.mean(0), h.mean(0), atol=0.01)
    np.testing.assert_allclose(np.cov(turned.T), np.cov(h.T), atol=0.003)
    assert abs(turned - h).max() > 0.1


def test_pairs_of_seeds_share_truth_and_sample() -> None:
    sweep = page.experiment.sweeps["dictionaries"]
    runs = [sweep.cell(law="features", samples=100, seed=seed) for seed in (0, 1, 2)]
    assert [run.problem.data.seed for run in runs] == [0, 0, 1]
    assert [run.problem.data.of.seed for run in runs] == [0, 0, 1]
    copy = sweep.cell(law="copy of features", samples=100, seed=3)
    assert (copy.problem.data.of.of.seed, copy.seed) == (1, 3)


def test_drawn() -> None:
    assert len(page.statistics_by_law(planted()).axes) == 4
