"""Failure rates: findings on planted shares and losses; the truth and its opposite are both found."""

import numpy as np
import pytest
import xarray as xr

from experiments import failure_rates as page
from tests.experiments.planted import fails, holds, outcomes

SEEDS = 100


def planted(failed: int = 20) -> tuple[xr.Dataset, xr.Dataset]:
    methods, sizes = ["TopK", "ICA"], ["N = d", "N = 2 d"]
    found = np.where(np.arange(SEEDS) < failed, 0.5, 1.0) + np.zeros((2, 2, 1))
    coords = {"by": methods, "size": sizes, "seed": range(SEEDS)}
    ratio = np.where(np.arange(SEEDS) < failed, 1.5, 1.0)[None]
    toys = xr.Dataset({"ratio": (("toy", "seed"), ratio)}, {"toy": ["5 in 2"], "seed": range(SEEDS)})
    return xr.Dataset({"found": (("by", "size", "seed"), found)}, coords), toys


def test_one_seed_in_five_is_enough_to_fail() -> None:
    holds(page.one_seed_is_not_enough(*planted()))


def test_methods_that_never_fail_are_told_each_by_itself() -> None:
    found, toys = planted()
    found["found"].loc[{"by": "ICA", "size": "N = d"}] = 1.0
    fails(page.one_seed_is_not_enough(found, toys), "fails[method=ICA,size=N = d]")
    fails(page.one_seed_is_not_enough(planted()[0], toys * 0 + 1.04), "fails[method=trained toy,size=5 in 2]")


def test_a_few_failures_leave_it_open() -> None:
    assert set(outcomes(page.one_seed_is_not_enough(*planted(5))).values()) == {"undecided"}


def test_opposite_directions_are_found_and_lost_ones_are_no_failure() -> None:
    truth = np.eye(4)
    assert page._kept(truth, -truth) == 1
    assert page._kept(truth, truth[:2]) == 0.5
    assert np.isnan(page._kept(truth, truth * np.nan))
    found, toys = planted(0)
    lost = found.assign(found=found.found.where(found.seed > 50))
    counts = [each.measured.count for each in page.one_seed_is_not_enough(lost, toys) if each.id == "fails"]
    assert counts == [49] * 4 + [SEEDS]


def test_drawn() -> None:
    figure = page.shares_of_seeds(*planted())
    assert [text.get_text() for text in figure.axes[0].texts if "%" in text.get_text()] == ["20%", "20%"]


@pytest.mark.parametrize("name", ["encoders", "toys"])
def test_every_seed_has_a_truth_or_a_start_of_its_own(name: str) -> None:
    runs = page.experiment.sweeps[name].runs()
    if name == "encoders":
        assert all(run.problem.data.seed == run.seed for run in runs)
    assert len({run.seed for run in runs}) == SEEDS
