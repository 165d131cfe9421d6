"""Polygons are read with what they leave over, whatever the order and the rotation."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toymodels.analysis.polygons import polygon_name, silent
from toymodels.theory.critical import polygon_with_dropped


@given(st.integers(5, 8), st.integers(0, 2), st.integers(0, 2), st.floats(0, 2 * np.pi), st.randoms())
def test_a_planted_polygon_is_read_with_what_is_left_over(k, dropped, silent, turn, random):
    known = polygon_with_dropped(k, k + dropped + silent, silent=silent)
    order = random.sample(range(len(known.b)), len(known.b))
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    words = [f"{count} {what}" for count, what in ((dropped, "dropped"), (silent, "silent")) if count]
    name = {5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon"}[k]
    assert polygon_name((known.W @ rotation)[order], known.b[order]) == ", ".join([name, *words])


def test_two_features_on_one_vertex_are_told():
    known = polygon_with_dropped(6, 6)
    W, b = np.vstack([known.W, 0.8 * known.W[:1]]), np.append(known.b, -0.5)
    assert polygon_name(W, b) == "hexagon, 1 doubled"


def test_silent_features_have_no_output_whatever_is_active():
    W, b = np.array([[1.0, 0], [0, 0], [-1, 0]]), np.array([0.0, -1, -1.5])
    assert silent(W, b).tolist() == [False, True, True]
    assert silent(W[None], b[None] + 1).tolist() == [[False, True, False]]


def test_a_short_feature_that_is_mostly_off_is_faint():
    known = polygon_with_dropped(5, 5)
    W, b = np.vstack([known.W, 0.2 * known.W[:1]]), np.append(known.b, -0.02)
    assert polygon_name(W, b) == "pentagon, 1 faint"
