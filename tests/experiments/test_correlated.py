"""Correlated features: known arrangements are read, whatever the rotation."""

import sys
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "correlated.py")
module = sys.modules["toymodels_experiment_correlated"]


@given(st.floats(0, 2 * np.pi), st.floats(0.3, 2))
def test_known_arrangements_are_read(turn: float, scale: float) -> None:
    rotation = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1.0]]) @ rotation
    opposite = square[[0, 2, 1, 3]]
    hexagon = np.array([[np.cos(a), np.sin(a)] for a in np.arange(6) * np.pi / 3]) @ rotation
    for W, found in ((square, "orthogonal"), (opposite, "antipodal"), (hexagon, "side_by_side")):
        for name in ("orthogonal", "antipodal", "side_by_side"):
            assert bool(getattr(module, name)(W[None], 2)[0]) == (name == found)


def test_dropped_features_count_for_nothing() -> None:
    W = np.array([[1, 0], [0, 0], [-1, 0], [0, 1.0]])
    assert not any(getattr(module, name)(W[None], 2)[0] for name in ("orthogonal", "antipodal", "side_by_side"))


def test_only_a_regular_hexagon_is_one() -> None:
    hexagon = np.array([[np.cos(a), np.sin(a)] for a in 0.3 + np.arange(6)[[3, 0, 5, 1, 4, 2]] * np.pi / 3])
    pentagon = np.vstack([[[np.cos(a), np.sin(a)] for a in np.arange(5) * 2 * np.pi / 5], [[0, 0]]])
    short = hexagon * np.array([1, 1, 1, 1, 1, 0.9])[:, None]
    assert module.hexagonal(np.stack([hexagon, pentagon, short])).tolist() == [True, False, False]
