"""Statistics of dictionaries: findings on planted ones, rotation at equal covariance, pairs of seeds."""

import numpy as np
import pytest
import xarray as xr

from experiments import false_features as page
from tests.experiments.planted import changed, fails, holds
from toymodels.data import covariance

PAIRS, SIZES = 8, [100, 10_000]


def planted() -> xr.Dataset:
    """Features are told from the rest by nothing: some law without features passes each statistic, by each method."""
    methods, laws, shape = list(page.METHODS), list(page.LAWS), (len(page.LAWS), len(SIZES), 2 * PAIRS)
    noise = 1 + 1e-3 * np.random.default_rng(0).normal(size=shape)
    held = np.array([0.2, 0.1, 0.5, 0.5, 0.5, 0.5])[:, None, None] * noise
    train = held / np.array([2.0, 1.0])[:, None]
    turned = held * np.array([3, 4, 1, 1, 1, 1.0])[:, None, None]
    agreement = np.array([0.8, 0.7, 0.1, 0.1, 0, 0])[:, None, None] * noise[..., :PAIRS]
    dims, data = ("law", "samples", "seed"), {"train": train, "held_out": held, "turned": turned}
    coords = {"law": laws, "samples": SIZES, "seed": range(2 * PAIRS)}
    one = xr.Dataset({name: (dims, each) for name, each in data.items()}, coords)
    one = one.assign(agreement=((*dims[:-1], "pair"), agreement))
    return one.expand_dims(by=methods).copy(deep=True)


def test_planted_statistics_hold() -> None:
    holds(page.no_statistic_is_enough(planted()))
    holds(page.the_gap_tells_the_size_of_the_sample(planted()))


@pytest.mark.parametrize(
    ("statistic", "name", "value"),
    [("agreement", "agreement", 0.2), ("rotated", "turned", 0.1), ("copy", "held_out", 0.5)],
)
def test_a_statistic_that_no_featureless_law_passes_is_not_fooled(statistic: str, name: str, value: float) -> None:
    data = changed(planted(), name, lambda _: value, law="a dozen Gaussians", by="ICA")
    if name == "held_out":  # and nothing else changes with it
        data = changed(
            changed(data, "train", lambda _: value, law="a dozen Gaussians", samples=10_000, by="ICA"),
            "turned",
            lambda _: 4 * value,
            law="a dozen Gaussians",
            by="ICA",
        )
    fails(page.no_statistic_is_enough(data), f"fooled[statistic={statistic},method=ICA]")


def test_a_gap_that_stays_or_is_never_there_fails() -> None:
    held = planted().held_out
    findings = page.the_gap_tells_the_size_of_the_sample
    small = {"law": "cube", "samples": 100, "by": "TopK"}
    few = findings(changed(planted(), "train", lambda _: held.sel(**small).values, **small))
    fails(few, "gap-of-few[method=TopK]")
    large = small | {"samples": 10_000}
    many = findings(changed(planted(), "train", lambda _: held.sel(**large).values / 2, **large))
    fails(many, "gap-of-many[method=TopK]")


def test_components_and_centres_give_back_what_they_can() -> None:
    rng = np.random.default_rng(0)
    frame = np.linalg.qr(rng.normal(size=(page.D, page.D)))[0]
    values = np.where(rng.random((4000, page.D)) < 0.05, rng.exponential(size=(4000, page.D)), 0)
    dropped = np.sort(values, axis=1)[:, : -page.LATENTS]  # all but the largest, of a frame known exactly
    least = (dropped**2).sum() / ((values - values.mean(0)) ** 2).sum()
    assert page._components(values @ frame, 0).fvu(values @ frame) == pytest.approx(least, abs=0.02)
    centres = rng.normal(size=(12, page.D))
    points = centres[rng.integers(12, size=500)]
    assert page._centres(points, 0).fvu(points) < 1e-9
    assert page._centres(rng.normal(size=(500, page.D)), 0).fvu(rng.normal(size=(500, page.D))) > 0.5


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
    runs = [sweep.cell(coder="TopK", law="features", samples=100, seed=seed) for seed in (0, 1, 2)]
    assert [run.problem.data.seed for run in runs] == [0, 0, 1]
    assert [run.problem.data.of.seed for run in runs] == [0, 0, 1]
    copy = sweep.cell(coder="ReLU + L1", law="copy of features", samples=100, seed=3)
    assert (copy.problem.data.of.of.seed, copy.seed) == (1, 3)


def test_drawn() -> None:
    assert len(page.statistics_by_law(planted()).axes) == 4 * len(page.METHODS)
    assert [len(ax.texts) for ax in page.false_positives(planted()).axes] == 4 * [1 + 4 * len(page.METHODS)]
