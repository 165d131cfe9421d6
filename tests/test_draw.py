"""Every primitive draws what it is given, and says nothing on degenerate input; warnings are errors here."""

import io
import itertools
from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels import draw
from toymodels.draw.margin import push_apart

STEPS = np.array([0.0, 1, 10, 100, 1000])
JUMP = SimpleNamespace(step=10.0, before=0.4, after=0.5)


@pytest.fixture
def ax():
    with draw.style():
        figure, axes = plt.subplots()
        yield axes
        plt.close(figure)


def render(ax):
    """Lay out and rasterise, where most warnings come from; the picture as an array."""
    file = io.BytesIO()
    ax.figure.savefig(file, dpi=60)
    file.seek(0)
    return plt.imread(file)


PRIMITIVES = {
    "arrows": lambda ax, data: draw.arrows(ax, data[:2].T),
    "gram": lambda ax, data: draw.gram(ax, data),
    "loss_curves": lambda ax, data: draw.loss_curves(ax, STEPS, data, label="runs"),
    "loss_curves linear": lambda ax, data: draw.loss_curves(ax, STEPS, data, log_steps=False, log_loss=False),
    "levels": lambda ax, data: draw.levels(ax, data[0], list("abcde")),
    "band": lambda ax, data: draw.band(ax, STEPS, data[0], data[1], data[2]),
    "heatmap": lambda ax, data: draw.heatmap(ax, STEPS[1:], [1, 2, 3], data[:3, 1:], "loss", log_x=True),
    "heatmap log": lambda ax, data: draw.heatmap(ax, STEPS, [1, 2, 3], data[:3], "loss", log_values=True),
    "scatter_lines": lambda ax, data: draw.scatter_lines(ax, STEPS, data, {"1/2": 0.5, "2/5": 0.4}, data > 0.5),
    "ecdf": lambda ax, data: draw.ecdf(ax, data[0], lambda x: np.clip(x, 0, 1), "samples"),
    "stack": lambda ax, data: draw.stack(ax, data),
    "trajectories": lambda ax, data: draw.trajectories(ax, STEPS, data, [JUMP]),
    "excluded": lambda ax, data: draw.excluded(ax, "1 of 5 cells excluded"),
    "flagged_points": lambda ax, data: draw.flagged_points(ax, STEPS, data[0], [0, 1, 0, 1, 0]),
    "panel_labels": lambda ax, data: draw.panel_labels(ax),
}
ORDINARY = np.random.default_rng(0).uniform(0.1, 1, (4, 5))
ONE = np.full((4, 5), np.nan)
ONE[:, 2] = 0.7
DEGENERATE = {
    "zero": np.zeros((4, 5)),
    "nan": np.full((4, 5), np.nan),
    "infinite": np.full((4, 5), np.inf),
    "one": ONE,
    "constant": np.full((4, 5), 3.0),
    "negative": -ORDINARY,
    "tiny": 1e-200 * ORDINARY,
    "huge": 1e120 * ORDINARY,
}


@pytest.mark.parametrize("name", PRIMITIVES)
def test_each_draws_something(ax, name):
    ax.axis("off")
    blank = render(ax)
    ax.axis("on")
    PRIMITIVES[name](ax, ORDINARY)
    ax.axis("off")
    assert (render(ax) != blank).any() or name == "levels"


@pytest.mark.parametrize("kind", DEGENERATE)
@pytest.mark.parametrize("name", PRIMITIVES)
def test_each_survives_degenerate_input(ax, name, kind):
    PRIMITIVES[name](ax, DEGENERATE[kind])
    assert np.isfinite(render(ax)).all()


@pytest.mark.parametrize("name", ["gram", "stack", "loss_curves", "trajectories"])
def test_one_row_is_enough(ax, name):
    PRIMITIVES[name](ax, ORDINARY[:1])
    render(ax)


def test_empty_arrays_leave_the_axes_empty(ax):
    draw.arrows(ax, np.zeros((0, 2)))
    draw.gram(ax, np.zeros((0, 3)), bar=False)
    draw.loss_curves(ax, [], np.zeros((3, 0)))
    draw.ecdf(ax, [])
    draw.levels(ax, [])
    draw.excluded(ax, "")
    render(ax)


def test_the_style_lasts_as_long_as_its_context_and_is_readable():
    before = dict(mpl.rcParams)
    with draw.style(font_size=9):
        assert mpl.rcParams["font.size"] == 9
        sizes = [mpl.rcParams[f"{part}.labelsize"] for part in ("axes", "xtick", "ytick")]
        assert min(*sizes, mpl.rcParams["legend.fontsize"]) >= 7
    assert dict(mpl.rcParams) == before
    with pytest.raises(ValueError, match="no_such_thing"), draw.style(no_such_thing=1):
        pass


def test_the_palette_is_told_apart_by_the_colour_blind():
    """Pairwise distance of the colours as dichromats see them (Machado et al. 2009, severity 1, linear RGB)."""
    protan = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    deutan = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    colours = np.array([mpl.colors.to_rgb(colour) for colour in draw.PALETTE])
    for view in (np.eye(3), protan, deutan):
        seen = np.clip(colours**2.2 @ np.array(view).T, 0, 1) ** (1 / 2.2)
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + np.eye(len(seen))
        assert distance.min() > 0.1


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=8, unique=True), st.booleans())
def test_each_centre_lies_in_its_own_cell(centres, log):
    centres = np.sort(centres)
    edges = draw.edges(centres, log)
    assert (edges[:-1] <= centres).all()
    assert (centres <= edges[1:]).all()
    middles = np.sqrt(centres[1:] * centres[:-1]) if log else (centres[1:] + centres[:-1]) / 2
    np.testing.assert_allclose(edges[1:-1], middles, rtol=1e-12)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=9), st.floats(0.1, 10))
def test_labels_are_pushed_apart_no_further_than_needed(places, gap):
    places = np.sort(places)
    moved = push_apart(places, gap)
    assert (np.diff(moved) >= gap * (1 - 1e-9)).all()
    assert moved.mean() == pytest.approx(places.mean(), abs=1e-9)
    if (np.diff(places) >= gap).all():
        np.testing.assert_allclose(moved, places, atol=1e-12)


def test_labels_of_levels_do_not_overlap_each_other_or_the_data(ax):
    ax.plot([0, 1], [0, 1])
    draw.levels(ax, [0.5, 0.4, 0.38, 0.37], ["1/2", "2/5", "3/8", "other"])
    ax.figure.canvas.draw()
    boxes = sorted((mpl.text.Text.get_window_extent(text) for text in ax.texts), key=lambda box: box.y0)
    for lower, upper in itertools.pairwise(boxes):
        # A box is a line of text with its descenders; a third of them may touch.
        assert upper.y0 - lower.y0 > 7 * ax.figure.dpi / 72
    assert min(box.x0 for box in boxes) > ax.bbox.x1


def test_biases_stand_beside_their_features_in_the_colours_given(ax):
    draw.gram(ax, np.eye(3))
    mesh = draw.bias(ax, [-1.0, 0.0, np.nan], 2.0)
    np.testing.assert_array_equal(mesh.get_array().mask.ravel(), [False, False, True])
    assert mesh.get_clim() == (-2, 2)
    assert mesh.axes.get_ylim() == (3, 0)
    for b, largest, message in (([[0.0]], 1.0, "one bias a feature"), ([0.0], 0.0, "positive")):
        with pytest.raises(ValueError, match=message):
            draw.bias(ax, b, largest)


def test_gram_shows_the_products_centred_on_zero(ax):
    W = ORDINARY - 0.5
    mesh = draw.gram(ax, W)
    np.testing.assert_allclose(mesh.get_array(), W @ W.T)
    assert mesh.norm.vmin == -mesh.norm.vmax
    assert ax.yaxis_inverted()


def test_the_heatmap_sorts_its_axes_and_greys_what_is_missing(ax):
    grid = np.array([[1.0, 2.0], [3.0, np.nan]])
    mesh = draw.heatmap(ax, [10, 1], [1, 2], grid, log_x=True)
    shown = mesh.get_array()
    np.testing.assert_array_equal(shown.mask, [[False, False], [True, False]])
    assert shown[0, 0] == 2.0
    assert ax.get_xscale() == "log"


def test_loss_curves_show_median_and_step_zero(ax):
    draw.loss_curves(ax, STEPS, [[1, 1, 1, 1, 1.0], [2, 2, 2, 2, 2], [9, 9, np.nan, 9, 9]])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [2, 2, 1.5, 2, 2])
    assert ax.get_xscale() == "symlog"
    left, right = ax.get_xlim()
    assert left <= 0 < 1000 <= right


@pytest.mark.parametrize(
    "call",
    [
        lambda ax: draw.arrows(ax, np.ones((3, 3))),
        lambda ax: draw.gram(ax, np.ones(3)),
        lambda ax: draw.loss_curves(ax, [1, 2], np.ones((3, 4))),
        lambda ax: draw.levels(ax, [1.0], ["a", "b"]),
        lambda ax: draw.band(ax, [1, 2], [1], [1, 2], [1, 2]),
        lambda ax: draw.heatmap(ax, [1, 2], [1], np.ones((2, 1))),
        lambda ax: draw.heatmap(ax, [0, 1], [1], np.ones((1, 2)), log_x=True),
        lambda ax: draw.stack(ax, np.ones(3)),
        lambda ax: draw.trajectories(ax, [1, 2], np.ones((3, 4))),
        lambda ax: draw.flagged_points(ax, [1], [1, 2], [True]),
    ],
)
def test_bad_input_is_one_sentence(ax, call):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        call(ax)
