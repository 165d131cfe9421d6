"""The phase diagram: phases of known weights, and trained models against exact optima."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toymodels import sweep
from toymodels.experiment import Swept, load

experiment = load(Path(__file__).parents[2] / "experiments" / "phase_diagram.py")
module = sys.modules["toymodels_experiment_phase_diagram"]


@given(st.floats(0.3, 1.5), st.floats(0.3, 1.5), st.sampled_from([-1, 1]))
def test_phases_do_not_depend_on_the_sign_of_the_hidden_unit(first, second, sign):
    known = {
        "antipodal": (first, -second),
        "merged": (first, second),
        "first": (first, 0),
        "second": (0, second),
        "neither": (0, 0),
    }
    for name, row in known.items():
        assert module.phase_of(sign * np.array(row, float)[:, None]) == name


def test_trained_pairs_of_features_reach_the_exact_optimum_and_no_less():
    made = experiment.sweeps("default")["phases"]
    choice = made.axes[1]
    kept = {label: choice.options[label] for label in list(choice.options)[::5]}
    smaller = replace(
        made,
        base=replace(made.base, steps=1500),
        axes=[replace(made.axes[0], values=[0.05, 0.3, 1.0]), replace(choice, options=kept), made.axes[2]],
    )
    grid = module.two_feature_grid(Swept(smaller, sweep(smaller).load()))
    excess = grid.trained / grid.optima.best.loss[..., None] - 1
    assert excess.min() > -1e-6  # of float32 weights, evaluated exactly
    assert excess.min(-1)[grid.clear].max() < 0.02
