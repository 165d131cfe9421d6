"""Geometry of models with a normaliser: what is measured on weights that are known."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toymodels.analysis.normalised import (
    along_ones,
    carrier,
    centred,
    dimensions_used,
    directions_lost,
    represented,
    share_along,
)

EYE = xr.DataArray(np.eye(4)[:, :3], dims=("feature", "hidden"))
FIRST = xr.DataArray([2.0, 0.0, 0.0], dims="hidden")


@given(arrays(np.float64, (4, 3), elements=st.floats(-3, 3)))
def test_rows_are_their_mean_and_the_rest(W: np.ndarray) -> None:
    rows = xr.DataArray(W, dims=("feature", "hidden"))
    squares = (centred(rows) ** 2).sum("hidden") + along_ones(rows) ** 2
    np.testing.assert_allclose(squares, (rows**2).sum("hidden"), atol=1e-9)
    np.testing.assert_allclose(centred(rows).sum("hidden"), 0, atol=1e-9)


def test_measures_of_known_weights() -> None:
    assert represented(EYE).item() == 3
    assert dimensions_used(EYE).item() == 3
    assert dimensions_used(centred(EYE)).item() == pytest.approx(2)
    assert carrier(EYE, FIRST).item() == pytest.approx(2 / np.sqrt(3 / 4))
    assert share_along(EYE, FIRST).item() == pytest.approx(1 / 3)
    assert share_along(EYE.isel(feature=[1, 2]), FIRST).item() == 0
    assert np.isnan(share_along(EYE, 0 * FIRST).item())
    assert np.isnan(represented(EYE * np.nan).item())


def test_directions_lost_are_read_off_narrower_models() -> None:
    """Losses 8, 4, 2, 1 at m = 3..6: each halving is a hidden unit."""
    plain = xr.DataArray([[8.0], [4], [2], [1]], {"m": [3, 4, 5, 6]}, ("m", "seed"))
    loss = xr.DataArray([1.0, 2.0, np.sqrt(8), 16.0, 64.0, 0.5, np.nan], dims="seed")
    np.testing.assert_allclose(directions_lost(loss, plain), [0, 1, 1.5, 4, 4, 0, np.nan], atol=1e-9)
