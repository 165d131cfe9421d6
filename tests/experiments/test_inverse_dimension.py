"""Inverse dimension: variances that are known, and a small training."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.experiments.small import few
from toymodels.experiment import load

experiment = load(Path(__file__).parents[2] / "experiments" / "inverse_dimension.py")
module = sys.modules["toymodels_experiment_inverse_dimension"]


def test_variances_are_those_of_draws():
    data = module.Sparse(6, module.frequencies(6, 0.5), module.Uniform(0.0, 2.0))
    x = np.asarray(data.sample(jax.random.key(0), 200_000), float)
    p = np.asarray(data.marginals(), float)
    assert p.sum() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(4 * p / 3 - p**2, x.var(0), rtol=0.03)


def test_decay_drops_features_and_the_pull_to_unit_length_keeps_all():
    swept = few(experiment, "decays", 200, m=(5,), decay=(-1.0, 1.0), seed=range(2))
    kept = module.represented(swept).mean(-1)
    assert np.nanmin(kept[:, :, 0]) > 0.95
    assert np.nanmax(kept[:, :, 1]) < 0.2
