"""Capacities: features in phases, and losses by them."""

import numpy as np
import xarray as xr

from toymodels.analysis.capacities import PARTS, parts_by_capacity, phase_counts, phases
from toymodels.analysis.decomposition import loss_parts


def test_features_are_counted_by_phase_and_lost_models_are_not() -> None:
    C = xr.DataArray([[1, 0.98, 0.5, 0.021, 0.02, 0], [np.nan] * 6], dims=("seed", "feature"))
    assert phases(C).isel(seed=0).values.tolist() == [2, 2, 1, 1, 0, 0]
    assert phase_counts(C).dims == ("phase", "seed")
    assert phase_counts(C).isel(seed=0).values.tolist() == [2, 2, 2]
    assert phase_counts(C).isel(seed=1).isnull().all()


def test_all_the_loss_of_ignored_features_is_one_part_and_parts_sum_to_the_loss() -> None:
    """Two whole features, one of capacity .1 beside a larger one; lost models are NaN."""
    rng = np.random.default_rng(0)
    x = (rng.random((2000, 4)) < 0.3) * rng.random((2000, 4))
    W, b = np.array([[1.0, 0, 0], [0, 1, 0], [0.1, 0, 0.3], [0, 0, 0]]), np.array([0.0, -0.1, 0.2, 0.15])
    labelled = xr.DataArray([W, W * np.nan], dims=("seed", "feature", "hidden"))
    found = parts_by_capacity(
        xr.DataArray(x, dims=("draw", "feature")), labelled, xr.DataArray(b, dims="feature"), np.ones(4), (0.02, 0.95)
    )
    own = np.array(loss_parts(x, W, b, np.ones(4)))
    assert found.dims == ("part", "seed", "threshold")
    few, many = found.isel(seed=0).transpose("threshold", ...).values
    np.testing.assert_allclose(few, [own[:, 3].sum(), *own[:, :3].sum(1)], atol=1e-12)
    np.testing.assert_allclose(many, [own[:, 2:].sum(), *own[:, :2].sum(1)], atol=1e-12)
    assert found.isel(seed=1).isnull().all()
    assert found.part.values.tolist() == list(PARTS)
