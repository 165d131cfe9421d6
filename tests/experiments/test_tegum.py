"""The tegum experiment: its laws on a tiny sweep, trained in memory, and its figures on poor data."""

import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from matplotlib import pyplot as plt

from toymodels import Axis, draw, sweep
from toymodels.experiment import SCALES, Finding, Swept, caption, load, uses
from toymodels.store import DIVERGED
from toymodels.theory import tegum

FILE = Path(__file__).parents[2] / "experiments" / "tegum.py"
experiment = load(FILE)
module = sys.modules["toymodels_experiment_tegum"]


@pytest.fixture(scope="module")
def swept():
    return {name: Swept(each, sweep(each).load()) for name, each in experiment.sweeps("tiny").items()}


def findings(swept):
    found = [function(*(swept[name] for name in uses(function))) for function in experiment.findings]
    return [each for one in found for each in ([one] if isinstance(one, Finding) else one)]


@pytest.mark.parametrize("scale", SCALES)
def test_every_cell_is_valid_and_programs_are_few(scale):
    sweeps = experiment.sweeps(scale).values()
    one_seed = [replace(each, axes=[*each.axes[:-1], Axis("seed", "seed", [0])]) for each in sweeps]
    runs = [run for each in one_seed for run in each.runs()]
    programs = {jax.tree.structure(run) for run in runs}
    assert len(programs) <= {"tiny": 3, "default": 12, "full": 16}[scale]


def test_bounds_hold_and_no_packing_splits_above_power_two(swept):
    """Theorems: they hold for every packing and every minimum, however few the restarts."""
    for function in (module.bounds_hold, module.one_factor_above_two, module.pairs_bounded):
        made = function(swept["even"], swept["signed"])
        for finding in [made] if isinstance(made, Finding) else made:
            assert finding.holds is not False, finding


def test_best_restart_of_seven_in_six_follows_the_proved_staircase(swept):
    one = {each.size: each for each in module.packed(swept["even"])}["7 in 6"]
    assert one.at_best(one.factors).tolist() == [tegum.one_more_factors(6, power) for power in one.powers.tolist()]


def test_best_restart_of_equal_losses_has_the_most_factors(swept):
    one = next(module.packed(swept["even"]))
    tied = one._replace(loss=np.full((1, 3), 2.0), factors=np.array([[1, 3, 2]]), powers=one.powers[:1])
    assert tied.best.tolist() == [1]


def test_figures_and_findings_of_every_sweep_are_made_without_a_warning(swept):
    with draw.style():
        for function in experiment.figures:
            plt.close(function(*(swept[name] for name in uses(function))))
            assert "Sweep `" in caption(function, swept)
    assert all(finding.measured for finding in findings(swept))


def test_diverged_restarts_are_left_out(swept):
    """All restarts of one power, and one of another, do not count: figures are still drawn, findings still computed."""
    poor = {}
    for name, each in swept.items():
        data = each.data.copy(deep=True)
        data.status[:, 1] = DIVERGED
        data.status[0, 0, 0] = DIVERGED
        data.V[:, 1] = np.nan
        poor[name] = Swept(each.sweep, data)
    one = next(module.packed(poor["even"]))
    assert one.left_out == 1 + len(one.seeds)
    assert np.isnan(one.least[1])
    with draw.style():
        for function in experiment.figures:
            made = function(*(poor[name] for name in uses(function)))
            made.canvas.draw()
            plt.close(made)
    assert findings(poor)[0].holds
