"""Switches and loop areas of known curves."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from toymodels.analysis.hysteresis import lifetimes, loop_area, switch, switches


@given(st.floats(0.02, 0.5), st.floats(0.05, 0.95))
def test_a_line_in_ln_x_switches_where_it_crosses_the_level(where, level):
    x = np.geomspace(0.01, 1, 37)
    falling = level - 0.2 * np.log(x / where)
    assert switch(x, np.stack([falling, falling]), level) == pytest.approx([where, where])


def test_runs_without_a_transition_have_no_switch():
    x = np.array([1.0, 2.0, 3.0])
    assert np.isnan(switch(x, [[1.0, 1, 1], [0, 0, 0], [0, 1, 0], [np.nan, np.nan, np.nan]], 0.5)).all()
    with pytest.raises(ValueError, match="ascending"):
        switch(x[::-1], [1.0, 1, 0], 0.5)
    with pytest.raises(ValueError, match="as many points"):
        switch(x, [1.0, 0], 0.5)


def test_labelled_runs_have_the_switches_and_areas_of_their_curves():
    x = np.array([1.0, 2, 4, 8])
    dims = ("seed", "level")
    up, down = xr.DataArray([[1.0, 1, 1, 0], [0, 0, 0, 0]], dims=dims), xr.DataArray([[1.0, 0, 0, 0]] * 2, dims=dims)
    np.testing.assert_allclose(switches(x, up, 0.5), [4 * np.sqrt(2), np.nan])
    # Two sides of slope 1 / ln 2 and a top of width ln 2, or half of one side.
    np.testing.assert_allclose(loop_area(x, up, down), [np.log(4), np.log(2) / 2])
    assert loop_area(x, up, up).values.tolist() == [0, 0]


def test_a_geometry_lives_on_from_equal_losses_to_its_end():
    def way(measure, loss):
        return xr.Dataset({"measure": (("seed", "level"), measure), "loss": ("level", loss)})

    x, nan = [1.0, 2, 4, 8], np.nan
    first = way([[1.0, 1, 1, 0], [1, 1, 1, 1], [1, nan, nan, nan]], [1.0, 2, 4, 8])
    second = way([[1.0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], [3.0, 3, 3, 7])
    found = lifetimes(x, first, second, 0.5)
    np.testing.assert_allclose(found.equal, [3, 3, nan])
    np.testing.assert_allclose(found.gone, [4 * np.sqrt(2), nan, nan])
    np.testing.assert_allclose(found["first"], [np.log(4 * np.sqrt(2) / 3), 0, nan])
    np.testing.assert_allclose(found.second, [np.log(3 / np.sqrt(2)), np.log(3), nan])
