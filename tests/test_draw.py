"""Every primitive draws what it is given, and says nothing on degenerate input; warnings are errors here."""

import io
import itertools
import re
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels import draw
from toymodels.draw.geometry import hull_edges
from toymodels.draw.intervals import ends
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
    "stack signed": lambda ax, data: draw.stack(ax, data, signed=True),
    "trajectories": lambda ax, data: draw.trajectories(ax, STEPS, data, [JUMP]),
    "excluded": lambda ax, data: draw.excluded(ax, "1 of 5 cells excluded"),
    "flagged_points": lambda ax, data: draw.flagged_points(ax, STEPS, data[0], [0, 1, 0, 1, 0]),
    "panel_labels": lambda ax, data: draw.panel_labels(ax),
    "theory": lambda ax, data: draw.theory(ax, STEPS, data[0]),
    "moments": lambda ax, data: draw.moments(ax, data[0]),
    "runs": lambda ax, data: draw.runs(ax, STEPS, data, "runs"),
    "spans": lambda ax, data: draw.spans(ax, {"a": (-1, data[0, 0]), "b": tuple(data[0, 1:3])}),
    "points": lambda ax, data: draw.points(ax, STEPS, np.sort(data[:3], 0), shift=3, flagged=data[0] > 0.5, ls="-"),
    "census": lambda ax, data: draw.census(ax, np.sort(data[:3], 0), data[3], shift=3),
    "cloud": lambda ax, data: draw.cloud(ax, STEPS, data),
    "clouds": lambda ax, data: draw.clouds(ax, {"a": (STEPS, data, "r"), "b": (STEPS, -data, "b")}),
    "discs": lambda ax, data: draw.discs(ax, STEPS, data[0], data[1]),
    "stacked": lambda ax, data: draw.stacked(ax, STEPS, {"a": data[0], "b": data[1]}, {"a": "r", "b": "b"}),
    "matrix": lambda ax, data: draw.matrix(ax, data),
    "matrices": lambda ax, data: draw.matrices([ax], [data], [data[:, 0]], ["one"]),
    "polytope": lambda ax, data: draw.polytope(ax, data[:3].T),
    "polytope flat": lambda ax, data: draw.polytope(ax, data[:2].T),
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
    rounding = 1e-12 * abs(centres)  # of the logarithm and its inverse
    assert (edges[:-1] <= centres + rounding).all()
    assert (centres <= edges[1:] + rounding).all()
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
        lambda ax: draw.points(ax, [1, 2], ([2, 2], [1, 1], [3, 3])),
        lambda ax: draw.points(ax, [1, 2], ([1, 1], [2, 2])),
        lambda ax: draw.points(ax, [1], ([1, 1], [2, 2], [3, 3])),
        lambda ax: draw.ticks(ax, "z", [1]),
        lambda ax: draw.ticks(ax, "x", [1, 2], ["one"]),
        lambda ax: draw.categories(ax, [1], [1], [["unheard of"]], {"known": "r"}),
        lambda ax: draw.categories(ax, [1, 2], [1], [["known"]], {"known": "r"}),
        lambda ax: draw.matrices([ax], [np.eye(2), np.eye(2)]),
        lambda ax: draw.matrix(ax, [1, 2]),
        lambda ax: draw.stacked(ax, [1, 2], {"a": [1]}, {"a": "r"}),
        lambda ax: draw.polytope(ax, np.ones((3, 4))),
        lambda ax: draw.save(ax.figure, "figure", vector="gif"),
    ],
)
def test_bad_input_is_one_sentence(ax, call):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        call(ax)


# ------------------------------------------------------------------------------------------------ what is drawn


MIDDLE = np.array([0.2, 0.5, 0.9])
LOW, HIGH = MIDDLE - 0.1, MIDDLE + 0.3
PLACES = np.array([1.0, 10.0, 100.0])
INTERVAL = SimpleNamespace(mean=MIDDLE, low=LOW, high=HIGH)


def same_colour(artist, colour):
    drawn = artist.get_color()
    return mpl.colors.same_color(drawn[0] if isinstance(drawn, np.ndarray) else drawn, colour)


def bars_of(ax):
    """Ends of the bars of intervals: (bars, two ends, two coordinates)."""
    (bars,) = [each for each in ax.collections if isinstance(each, mpl.collections.LineCollection)]
    return np.array(bars.get_segments())


def test_an_interval_reads_the_same_in_every_form():
    estimates = [SimpleNamespace(value=m, low=a, high=b) for m, a, b in zip(MIDDLE, LOW, HIGH, strict=True)]
    for form in (INTERVAL, estimates, (LOW, MIDDLE, HIGH)):
        np.testing.assert_array_equal(ends(form), [LOW, MIDDLE, HIGH])
    assert np.isnan(ends(SimpleNamespace(value=1.0, low=None, high=None))[::2]).all()


def test_points_stand_at_their_middle_with_bars_to_the_ends(ax):
    line = draw.points(ax, PLACES, INTERVAL, "runs", draw.RED)
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([PLACES, MIDDLE]))
    np.testing.assert_array_equal(bars_of(ax)[:, :, 0], np.column_stack([PLACES, PLACES]))
    np.testing.assert_array_equal(bars_of(ax)[:, :, 1], np.column_stack([LOW, HIGH]))
    assert same_colour(line, draw.RED)
    assert same_colour(ax.collections[0], draw.RED)
    assert line.get_linestyle() == "None"
    assert ax.get_legend_handles_labels()[1] == ["runs"]


def test_flagged_points_are_open_and_lines_join_all_points(ax):
    draw.points(ax, PLACES, INTERVAL, colour=draw.BLUE, flagged=[False, True, False], ls="-")
    full, hollow, joined = ax.lines
    np.testing.assert_array_equal(full.get_xdata(), PLACES[[0, 2]])
    np.testing.assert_array_equal(hollow.get_xdata(), PLACES[[1]])
    np.testing.assert_array_equal(joined.get_xydata(), np.column_stack([PLACES, MIDDLE]))
    assert mpl.colors.same_color(hollow.get_markerfacecolor(), "white")
    assert same_colour(hollow, draw.BLUE)
    assert (joined.get_linestyle(), joined.get_marker()) == ("-", "None")


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_shift_is_in_typographic_points_on_any_axis(ax, scale):
    ax.set_xscale(scale)
    line = draw.points(ax, PLACES, INTERVAL, shift=5)
    moved = line.get_transform().transform(line.get_xydata()) - ax.transData.transform(line.get_xydata())
    np.testing.assert_allclose(moved, np.tile([5 * ax.figure.dpi / 72, 0], (3, 1)), atol=1e-9)
    np.testing.assert_allclose(draw.shifts(3, 4), [-4, 0, 4])
    ax.autoscale_view()
    seen = line.get_transform().transform(line.get_xydata())[:, 0]
    radius = 3.5 / 2 * ax.figure.dpi / 72
    assert ax.bbox.x0 < seen[0] - radius
    assert seen[-1] + radius < ax.bbox.x1


def test_a_census_has_shares_across_and_losses_up(ax):
    line = draw.census(ax, INTERVAL, [7, 8, 9], "basins", draw.GREEN)
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([MIDDLE, [7, 8, 9]]))
    np.testing.assert_array_equal(bars_of(ax)[:, :, 0], np.column_stack([LOW, HIGH]))
    np.testing.assert_array_equal(bars_of(ax)[:, :, 1], [[7, 7], [8, 8], [9, 9]])
    assert same_colour(line, draw.GREEN)


def test_a_cloud_shows_each_member_beside_its_cell(ax):
    values = np.arange(6.0).reshape(3, 2)
    line = draw.cloud(ax, draw.aside(PLACES, 2, 0.1), values, colour=draw.PURPLE)
    np.testing.assert_array_equal(line.get_ydata(), values.ravel())
    np.testing.assert_allclose(line.get_xdata(), np.outer(PLACES, np.exp([-0.1, 0.1])).ravel())
    np.testing.assert_allclose(draw.aside([5.0], 3, 1, log=False), [[4, 5, 6]])
    assert same_colour(line, draw.PURPLE)


def test_discs_have_areas_in_proportion(ax):
    discs = draw.discs(ax, PLACES, MIDDLE, [0.5, 1, 0], largest=40)
    np.testing.assert_array_equal(discs.get_sizes(), [20, 40, 0])
    np.testing.assert_array_equal(discs.get_offsets(), np.column_stack([PLACES, MIDDLE]))


@pytest.mark.parametrize("separate", [False, True])
def test_a_band_reaches_from_low_to_high(ax, separate):
    line = draw.band(ax, PLACES, *((LOW, MIDDLE, HIGH) if separate else (INTERVAL,)), label="runs", colour=draw.SKY)
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([PLACES, MIDDLE]))
    corners = {tuple(each) for each in ax.collections[0].get_paths()[0].vertices}
    assert corners == {*zip(PLACES, LOW, strict=True), *zip(PLACES, HIGH, strict=True)}
    assert same_colour(line, draw.SKY)
    assert mpl.colors.same_color(ax.collections[0].get_facecolor()[0, :3], draw.SKY)


def test_theory_is_dashed_and_grey_wherever_it_is_drawn(ax):
    line = draw.theory(ax, PLACES, MIDDLE, "exact")
    draw.levels(ax, [0.5])
    draw.ecdf(ax, MIDDLE, lambda x: x)
    key = draw.key()
    dashed = [line, ax.lines[1], ax.lines[-1], key]
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([PLACES, MIDDLE]))
    for each in dashed:
        assert same_colour(each, draw.THEORY)
        assert each._unscaled_dash_pattern == mpl.lines._get_dash_pattern(draw.DASHED)
    coloured = draw.theory(ax, PLACES, MIDDLE, colour=draw.RED, dash=draw.DOTTED)
    assert same_colour(coloured, draw.RED)
    assert coloured.get_linestyle() == ":"


def test_levels_are_horizontal_and_moments_vertical(ax):
    draw.levels(ax, [0.25, 0.5])
    assert [list(line.get_ydata()) for line in ax.lines] == [[0.25, 0.25], [0.5, 0.5]]
    ax.clear()
    draw.moments(ax, [3.0, np.nan, 7.0], "jumps")
    assert [list(line.get_xdata()) for line in ax.lines] == [[3, 3], [7, 7]]
    assert ax.get_legend_handles_labels()[1] == ["jumps"]


def test_spans_end_at_the_limits_and_leave_them_alone(ax):
    ax.set(xscale="log", xlim=(0.1, 10))
    draw.spans(ax, {"low": (0, 0.4), "beyond": (20, 30), "high": (1, 20)})
    np.testing.assert_allclose([(patch.get_x(), patch.get_width()) for patch in ax.patches], [(0.1, 0.3), (1, 9)])
    found = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert found == pytest.approx({"low": 0.2, "high": 10**0.5})
    assert ax.get_xlim() == (0.1, 10)
    draw.spans(ax, {"one more": (1, 2)}, named=False)
    assert len(ax.texts) == 2


def test_runs_are_thin_lines_under_one_label(ax):
    lines = draw.runs(ax, PLACES, [MIDDLE, HIGH, [1, np.nan, 2]], "seeds", draw.GREEN)
    np.testing.assert_array_equal(lines.get_segments()[1], np.column_stack([PLACES, HIGH]))
    np.testing.assert_array_equal(lines.get_segments()[2], [[1, 1], [100, 2]])
    assert same_colour(lines, (*mpl.colors.to_rgb(draw.GREEN), 0.6))
    (handle,), labels = ax.get_legend_handles_labels()
    assert labels == ["seeds"]
    assert same_colour(handle, draw.GREEN)
    assert ax.get_xlim()[0] <= 1 < 100 <= ax.get_xlim()[1]


def tick_texts(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_ticks_stand_where_told_and_none_between(ax):
    ax.set(xlim=(0.01, 1), xscale="log")
    draw.ticks(ax, "x", [0.02, 0.05, 0.5])
    draw.ticks(ax, "y", [0, 1], ["none", "all"])
    assert tick_texts(ax.xaxis) == ["0.02", "0.05", "0.5"]
    assert tick_texts(ax.yaxis) == ["none", "all"]
    np.testing.assert_array_equal(ax.get_xticks(), [0.02, 0.05, 0.5])
    assert not len(ax.xaxis.get_minorticklocs())


def test_a_log_axis_reads_in_plain_numbers(ax):
    ax.plot([0.1, 10], [1, 10])
    draw.log_axis(ax, "x", [0.1, 1, 10])
    draw.log_axis(ax, "y")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert tick_texts(ax.xaxis) == ["0.1", "1", "10"]
    ax.set_ylim(0.9, 11)
    assert tick_texts(ax.yaxis) == ["1", "2", "5", "10"]
    assert not len(ax.yaxis.get_minorticklocs())


def test_a_sparsity_axis_runs_from_dense_to_sparse(ax):
    ax.plot([0.03, 0.7], [1, 10])
    draw.sparsity_axis(ax, [0.03, 0.12, 0.15, 0.14, 0.7], "loss")
    assert ax.get_xlim()[0] > 0.7 > 0.03 > ax.get_xlim()[1]
    assert tick_texts(ax.xaxis) == ["0.7", "0.15", "\n0.14", "0.12", "0.03"]
    assert (ax.get_ylabel(), ax.get_xscale()) == ("loss", "log")


@given(st.floats(-8, 8), st.floats(0.05, 12), st.booleans())
def test_ticks_of_a_log_axis_are_few_and_inside(start, width, upside_down):
    figure = mpl.figure.Figure()
    axes = figure.add_subplot()
    low, high = 10.0**start, 10.0 ** (start + width)
    draw.log_axis(axes, "y")
    axes.set_ylim(*((high, low) if upside_down else (low, high)))
    found = axes.get_yticks()
    assert len(found) <= 6
    assert ((found > low * 0.999) & (found < high * 1.001)).all()
    assert len(found) >= 2 or width < 1
    assert len(set(tick_texts(axes.yaxis))) == len(found)


def test_categories_take_the_colours_of_their_names_and_the_legend_tells_them(ax):
    palette = {"digon": draw.BLUE, "absent": draw.GREEN, "pentagon": draw.RED}
    names = [["digon", "pentagon"], ["digon", "digon"]]
    mesh = draw.categories(ax, [10.0, 1.0], [1.0, 2.0], names, palette, log_x=True)
    drawn = mesh.to_rgba(mesh.get_array())
    expected = [[draw.RED, draw.BLUE], [draw.BLUE, draw.BLUE]]  # x in ascending order
    np.testing.assert_allclose(drawn, [[mpl.colors.to_rgba(colour) for colour in row] for row in expected])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    legend = draw.category_legend(ax.figure, palette, names)
    assert [text.get_text() for text in legend.get_texts()] == ["digon", "pentagon"]
    patches = [patch.get_facecolor() for patch in legend.get_patches()]
    np.testing.assert_allclose(patches, [mpl.colors.to_rgba(colour) for colour in (draw.BLUE, draw.RED)])


def test_matrices_share_one_scale_with_their_biases():
    figure, axes = draw.panels(1, 2, letters=False)
    values = [np.array([[1.0, 2.0], [3.0, -4.0]]), np.eye(2)]
    mesh = draw.matrices(axes, values, [[0.5, -6.0], None], ["one", "two"])
    for ax, each, name in zip(axes, values, ("one", "two"), strict=True):
        (drawn,) = [found for found in ax.collections if isinstance(found, mpl.collections.QuadMesh)]
        np.testing.assert_array_equal(drawn.get_array(), each)
        assert drawn.get_clim() == mesh.get_clim() == (-6, 6)
        assert ax.get_title() == name
        assert ax.yaxis_inverted()
    (column,) = axes[0].child_axes
    np.testing.assert_array_equal(column.collections[0].get_array().ravel(), [0.5, -6.0])
    assert column.collections[0].get_clim() == (-6, 6)
    assert not axes[1].child_axes
    plt.close(figure)


def test_lengths_share_one_scale_of_colours_and_the_first_of_a_row_is_labelled():
    figure, axes = draw.panels(1, 2, letters=False)
    scale = draw.lengths(axes, [np.eye(2), [[0, 2.0], [0, 0]]], [[0.0, 0.5], [3.0, 0.0]])
    assert scale.get_clim() == (0, 3)
    assert [bar.get_width() for bar in axes[1].patches] == [2, 0]
    np.testing.assert_allclose(axes[1].patches[0].get_facecolor(), scale.to_rgba(3.0))
    assert (axes[0].get_ylabel(), axes[1].get_ylabel()) == ("feature", "")
    assert axes[0].yaxis_inverted()
    plt.close(figure)


def test_parting_lines_lie_between_features(ax):
    draw.matrix(ax, np.eye(4))
    draw.part(ax, 2)
    assert list(ax.lines[0].get_ydata()) == list(ax.lines[1].get_xdata()) == [1.5, 1.5]


def test_signed_stacks_grow_both_ways_from_zero_in_the_colours_of_their_bar(ax):
    draw.stack(ax, [[1.0, -2.0, 3.0], [0.0, 0.0, -1.0]], signed=True)
    found = [(round(bar.get_x() + 0.4), bar.get_y(), bar.get_height(), bar.get_facecolor()) for bar in ax.patches]
    colours = [tuple(colour) for colour in draw.feature_colours(3)]
    assert [bar[:3] for bar in found] == [(0, 0, 3), (0, 3, 1), (0, 0, -2), (1, 0, -1)]
    assert [bar[3] for bar in found] == [colours[2], colours[0], colours[1], colours[2]]
    bar = draw.feature_bar(ax.figure, [ax], 3)
    assert [bar.cmap(bar.norm(place)) for place in range(3)] == colours
    assert bar.ax.yaxis_inverted()


def test_stacked_bars_stand_on_each_other_in_their_colours(ax):
    shares = {"none": np.array([0.25, 0.5]), "all": np.array([0.75, 0.5])}
    draw.stacked(ax, [1.0, 4.0], shares, {"all": draw.RED, "none": draw.BLUE}, log=True)
    none, every = ax.containers
    assert [(bar.get_y(), bar.get_height()) for bar in none] == [(0, 0.25), (0, 0.5)]
    assert [(bar.get_y(), bar.get_height()) for bar in every] == [(0.25, 0.75), (0.5, 0.5)]
    assert mpl.colors.same_color(none[0].get_facecolor()[:3], draw.BLUE)
    assert mpl.colors.same_color(every[0].get_facecolor()[:3], draw.RED)
    assert none[0].get_x() + none[0].get_width() == pytest.approx(2)  # bars meet midway on the log axis
    assert none[1].get_x() == pytest.approx(2)
    assert ax.get_legend_handles_labels()[1] == ["none", "all"]
    draw.stacked(ax, [1.0, 4.0], list(shares.values()), {"none": draw.BLUE, "all": draw.RED}, log=True)
    assert [bar.get_y() for bar in ax.containers[3]] == [0.25, 0.5]


OCTAHEDRON = np.vstack([np.eye(3), -np.eye(3)])
CUBE = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))


@pytest.mark.parametrize(("points", "length"), [(OCTAHEDRON, 2**0.5), (CUBE, 2.0)], ids=["octahedron", "cube"])
def test_edges_of_a_hull_are_those_of_the_solid(points, length):
    """Both have twelve, all of one length: none crosses a face."""
    found = hull_edges(points)
    assert len(found) == 12
    np.testing.assert_allclose([np.linalg.norm(points[i] - points[j]) for i, j in found], length)
    jittered = points + 0.01 * np.random.default_rng(0).normal(size=points.shape)
    assert hull_edges(jittered) == found


def test_a_polytope_has_a_dot_a_row_in_its_colour(ax):
    angles = 2 * np.pi * np.arange(5) / 5
    W = np.column_stack([np.cos(angles), np.sin(angles)])
    draw.polytope(ax, W, draw.PALETTE[:5])
    dots, lines = (
        [each for each in ax.lines if each.get_marker() == "o"],
        [each for each in ax.lines if len(each.get_xdata()) > 1],
    )
    np.testing.assert_array_equal([dot.get_xydata()[0] for dot in dots], W)
    assert [dot.get_color() for dot in dots] == list(draw.PALETTE[:5])
    assert len(lines) == 5
    np.testing.assert_allclose(
        [np.linalg.norm(np.diff(each.get_xydata(), axis=0)) for each in lines], 2 * np.sin(np.pi / 5)
    )


def test_a_polytope_above_its_gram_has_a_colour_and_a_block_for_each_set():
    axes = list(plt.figure().subplots(2, 1))
    draw.polytope_and_gram(axes, np.concatenate([np.eye(3), -np.eye(3)]), 3, "octahedron")
    dots = [each.get_color() for each in axes[0].lines if each.get_marker() == "o"]
    assert dots == [draw.PALETTE[0]] * 3 + [draw.PALETTE[1]] * 3
    assert axes[0].get_title() == "octahedron"
    assert [each.get_xdata()[0] for each in axes[1].lines if each.get_xdata()[0] == each.get_xdata()[1]] == [2.5]


def test_pictograms_on_levels_that_touch_stand_side_by_side(ax):
    ax.set_ylim(0, 1)
    angles = 2 * np.pi * np.arange(5) / 5
    draw.polytopes_at(ax, [0.2, 0.22, 0.6], [np.column_stack([np.cos(angles), np.sin(angles)])] * 3)
    lefts = [inset.get_axes_locator()(inset, None).x0 for inset in ax.child_axes]
    assert lefts[0] < lefts[1]
    assert lefts[0] == pytest.approx(lefts[2])


def test_an_arrowhead_goes_along_the_steepest_stretch(ax):
    draw.arrowhead(ax, [1, 2, 3, 4], [0, 0.1, 2, np.nan], "black")
    draw.arrowhead(ax, [1, 2], [np.nan, np.nan], "black")
    (arrow,) = ax.texts
    assert (arrow.xyann, arrow.xy) == ((2, 0.1), (3, 2))


def test_panels_are_lettered_and_labelled_on_the_outside():
    figure, axes = draw.panels(2, 3, height=3, count=5, sharex=True)
    assert [ax.texts[0].get_text() for ax in axes] == list("abcde")
    assert tuple(figure.get_size_inches()) == (draw.PAGE, 3)
    for ax in axes:
        ax.set(xlabel="inner", ylabel="inner", title="inner")
    draw.outer_labels(axes, "steps", ["top", "bottom"], ["A", "B", "C"])
    assert [ax.get_xlabel() for ax in axes] == ["", "", "steps", "steps", "steps"]  # nothing is below the third
    assert [ax.get_ylabel() for ax in axes] == ["top", "", "", "bottom", ""]
    assert [ax.get_title() for ax in axes] == ["A", "B", "C", "", ""]
    assert axes[2].xaxis.get_tick_params()["labelbottom"]
    plt.close(figure)
    figure, single = draw.panels(height=2)
    assert not single.texts
    plt.close(figure)


def test_legends_name_each_entry_once_theory_last_and_extras(ax):
    twin = ax.figure.add_subplot()
    draw.theory(ax, PLACES, MIDDLE, "theory")
    for each in (ax, twin):
        each.plot(PLACES, MIDDLE, color=draw.RED, label="runs")
    for legend in (
        draw.legend_below(ax.figure, [ax, twin], {"published": draw.DOTTED}),
        draw.legend(ax, {"published": draw.DOTTED}),
    ):
        assert [text.get_text() for text in legend.get_texts()] == ["runs", "theory", "published"]
        runs, theory, published = legend.get_lines()
        assert same_colour(runs, draw.RED)
        assert same_colour(theory, draw.THEORY)
        assert published.get_linestyle() == ":"


def test_a_colour_bar_belongs_to_its_mesh(ax):
    mesh = draw.matrix(ax, np.eye(3), 2.0)
    bar = draw.colour_bar(ax.figure, mesh, [ax], "products")
    assert bar.mappable is mesh
    assert (bar.vmin, bar.vmax) == (-2, 2)
    assert bar.ax.get_ylabel() == "products"


@pytest.mark.parametrize("vector", ["svg", "pdf"])
def test_the_same_figure_is_the_same_files(tmp_path, vector):
    written = []
    for name in ("one", "two"):
        with draw.style():
            figure, ax = draw.panels(1, 1, 2, draw.COLUMN)
            draw.points(ax, PLACES, INTERVAL, shift=2)
            draw.matrix(ax, np.eye(3))
            written.append(draw.save(figure, tmp_path / f"{name}.png", vector))
            plt.close(figure)
    assert [path.name for path in written[0]] == ["one.png", f"one.{vector}"]
    for first, second in zip(*written, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_only_the_png_is_written_when_asked(tmp_path, ax):
    assert draw.save(ax.figure, tmp_path / "p=0.5", vector=None) == [tmp_path / "p=0.5.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["p=0.5.png"]


def test_importing_draw_does_not_import_pyplot():
    """It takes half a second, and commands that draw nothing import draw."""
    files = list(Path(draw.__file__).parent.glob("*.py"))
    assert len(files) > 5
    for file in files:
        assert not re.search(r"^(from|import)\b.*pyplot", file.read_text(), re.MULTILINE), file.name
