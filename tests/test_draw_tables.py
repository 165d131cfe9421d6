"""Tables of small drawings, restarts over x, stretched axes."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from toymodels import draw


@pytest.fixture
def ax():
    with draw.style():
        figure, ax = plt.subplots()
        yield ax
        figure.savefig(io.BytesIO(), dpi=60)
        plt.close(figure)


def texts(ax):
    return [each.get_text() for each in ax.texts]


def labels(axis):
    return [each.get_text() for each in axis.get_ticklabels()]


def bars(ax):
    return [(each.get_x(), each.get_y(), each.get_width()) for each in ax.patches]


def test_tiles_are_matrices_of_any_size_in_one_scale(ax):
    cells = [[np.eye(2), np.full((3, 3), 0.5)], [np.full((1, 4), np.nan), np.eye(5)]]
    mesh = draw.tiles(ax, cells, [["a", "b"], ["c", "d"]], ["one", "two"], [1.5, 2], cmap="Greys", vmin=0)
    assert (mesh.norm.vmin, mesh.norm.vmax) == (0, 1)
    assert texts(ax) == ["a", "b", "c", "d"]
    assert labels(ax.xaxis) == ["1.5", "2"]
    assert labels(ax.yaxis) == ["one", "two"]
    assert sum(isinstance(each, Rectangle) for each in ax.patches) == 4
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row on top


def test_tiles_of_nothing_finite_are_drawn(ax):
    draw.tiles(ax, [[np.full((2, 2), np.nan)]], [["lost"]], ["row"], ["column"])


def test_tallies_start_at_their_column_and_leave_out_nothing_counted(ax):
    counts = [[[3, 1], [4, 0]], [[0, 0], [2, np.nan]]]
    names = [[["a", "b"], ["c", ""]], [["", ""], ["d", ""]]]
    draw.tallies(ax, counts, names, ["one", "two"], ["x", "y"], ["r", "b"], name="restarts")
    assert texts(ax) == ["a", "b", "c", "d"]
    widths = [width for _, _, width in bars(ax)]
    assert widths == [3, 1, 4, 2]
    starts = [x for x, _, _ in bars(ax)]
    assert starts == pytest.approx([0, 0, 4.4, 4.4])
    below = ax.child_axes[0]
    assert below.get_xlabel() == "restarts"
    assert labels(below.xaxis) == ["0", "2", "0", "2"]


@pytest.mark.parametrize(
    "call",
    [
        lambda ax: draw.tiles(ax, [[np.eye(2)]], [["a", "b"]], ["one"], ["x"]),
        lambda ax: draw.tiles(ax, [[np.eye(2)]], [["a", "b"]], ["one"], ["x", "y"]),
        lambda ax: draw.tallies(ax, [[[1, 2]]], [[["a"]]], ["one"], ["x"], ["r", "b"]),
        lambda ax: draw.tallies(ax, [[[1, 2]]], [[["a", "b"]]], ["one"], ["x"], ["r"]),
        lambda ax: draw.restarts(ax, [1, 2], np.ones((2, 3)), [1], [1, 1]),
        lambda ax: draw.restarts(ax, [1, 2], np.ones(2), [1, 1], [1, 1]),
        lambda ax: draw.stretched_axis(ax, 2, 0, [1, 2]),
    ],
)
def test_what_does_not_fit_is_refused(ax, call):
    with pytest.raises(ValueError, match=r"texts|needed|take|positive"):
        call(ax)


RESTARTS = np.array([[1.0, 1, 3, np.nan], [2, 2, 2, 2], [np.nan] * 4])


def test_discs_are_shares_of_the_restarts_that_are_left(ax):
    draw.restarts(ax, [1, 2, 3], RESTARTS, [1, 2, np.nan], [1, 1, 1], "discs", whole=True)
    (discs,) = ax.collections
    np.testing.assert_allclose(discs.get_offsets(), [[1, 1], [1, 3], [2, 2]])
    sizes = discs.get_sizes()
    np.testing.assert_allclose(sizes / sizes[-1], [2 / 3, 1 / 3, 1])
    known, best = ax.lines
    assert (known.get_marker(), known.get_linestyle(), best.get_linestyle()) == ("x", "None", "-")


@pytest.mark.parametrize("spread", ["range", "cloud"])
def test_restarts_have_one_legend_entry_each(ax, spread):
    draw.restarts(ax, [1, 2, 3], RESTARTS, [1, 2, np.nan], [1, 1, 1], spread, "known")
    assert sorted(ax.get_legend_handles_labels()[1]) == ["best restart", "known", "restarts"]


def test_the_range_spans_all_restarts_and_stops_where_there_are_none(ax):
    draw.restarts(ax, [1, 2, 3], RESTARTS, [1, 2, np.nan], [1, 1, 1])
    corners = np.concatenate([path.vertices for path in ax.collections[0].get_paths()])
    assert (corners.min(0).tolist(), corners.max(0).tolist()) == ([1, 1], [2, 3])


def test_a_stretched_axis_is_linear_near_its_centre_and_logarithmic_far_from_it(ax):
    ax.set_xlim(-1e5, 1e5)
    draw.stretched_axis(ax, 2, 0.1, [1, 2, 3])
    where = lambda x: ax.transData.transform([(each, 0) for each in x])[:, 0]  # noqa: E731
    near, far = np.diff(where([2, 2.001, 2.002])), np.diff(where([12, 102, 1002]))
    assert near[0] == pytest.approx(near[1], rel=1e-3)
    assert far[0] == pytest.approx(far[1], rel=1e-3)
    assert labels(ax.xaxis) == ["$10^{0}$", "2", "3"] or labels(ax.xaxis)[1:] == ["2", "3"]


def test_names_along_stretches_that_are_long_enough(ax):
    ax.set_xlim(0, 9)
    draw.names_along(ax, range(9), ["a", "a", "a", "", "b", "b", "c", "c", "c"], 1)
    assert [(each.get_text(), each.get_position()[0], each.get_ha()) for each in ax.texts] == [
        ("a", 0, "left"),
        ("c", 8, "right"),
    ]
    draw.names_along(ax, [], [], 1)
