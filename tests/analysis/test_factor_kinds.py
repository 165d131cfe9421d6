"""Factors of models that are known, by kind, and their pile-up at the values of polytopes."""

import numpy as np
import xarray as xr

from toymodels.analysis.factor_kinds import excess_at_lines, factors_by_kind
from toymodels.shapes.polytopes import polygon


def model() -> np.ndarray:
    """A pentagon, a digon, a point and a feature that is dropped, in four dimensions."""
    W = np.zeros((9, 4))
    W[:5, :2], W[5:7, 2], W[7, 3], W[8, 3] = polygon(5).vectors, [1, -1], 1, 0.1
    return W


def test_factors_of_a_known_model_are_counted_with_their_dimensionality() -> None:
    W = xr.DataArray([model(), np.full((9, 4), np.nan)], {"seed": [0, 1]}, ("seed", "feature", "hidden"))
    found = factors_by_kind(W, ["point", "digon", "triangle"], tol=0.1, dead=0.25)
    assert found.kind.values.tolist() == ["point", "digon", "triangle", "other"]
    assert found["count"].sel(seed=0).values.tolist() == [1, 1, 0, 1]
    assert found.factor.sizes == {"seed": 2, "factor": 9}
    shares = found.factor.sel(seed=0).values
    np.testing.assert_allclose(np.sort(shares[np.isfinite(shares)]), [0.4, 0.5, 1])
    assert found.sel(seed=1).isnull().all().to_array().all()


def test_factors_of_a_seed_are_counted_at_lines_and_lost_seeds_are_not_known() -> None:
    shares = factors_by_kind(xr.DataArray(model(), dims=("feature", "hidden")), [], tol=0.1, dead=0.25).factor.values
    seeds = xr.DataArray(
        np.stack([shares, 0 * shares, np.full(9, np.nan)])[:, None], {"seed": [0, 1, 2]}, ("seed", "p", "factor")
    )
    found = excess_at_lines(seeds)
    assert found.observed.sel(seed=0).values.tolist() == [1, 0, 0, 1, 1, 0]
    assert not found.observed.sel(seed=1).any()
    assert found.sel(seed=2).isnull().all().to_array().all()
