"""Switches and loop areas of known curves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.analysis.hysteresis import Branch, Loop, loop_area, switch


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


def test_the_area_of_a_rectangle_and_of_no_loop():
    x = np.linspace(0, 2, 2001)
    up, down = (x < 1.5).astype(float), (x < 0.5).astype(float)
    assert loop_area(x, up, down) == pytest.approx(1, abs=2e-3)
    assert loop_area(x, up, up) == 0
    with pytest.raises(ValueError, match="one length"):
        loop_area(x, up, down[:-1])


def test_a_loop_of_two_ways_has_their_switches_area_and_least_loss():
    x = np.array([1.0, 2, 4, 8])
    up = Branch(x, np.array([[1.0, 1, 1, 0]]), np.array([[1.0, 2, 3, 4]]))
    down = Branch(x, np.array([[1.0, 0, 0, 0]]), np.array([[2.0, 1, 3, 5]]))
    loop = Loop("toy", up, down)
    lost, gained = loop.switches(0.5)
    np.testing.assert_allclose([lost[0], gained[0]], [4 * np.sqrt(2), np.sqrt(2)])
    np.testing.assert_allclose(loop.widths(0.5), np.log(4))
    np.testing.assert_allclose(loop.areas, np.log(4))  # two sides of slope 1 / ln 2 and a top of width ln 2
    assert loop.least.tolist() == [1, 1, 3, 4]
