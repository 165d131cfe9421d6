"""Style and primitives for print: each takes an `Axes` and arrays, draws, and neither loads, nor derives, nor saves.

Data are in colour (Okabe & Ito, told apart by the colour-blind), theory is dashed grey, points that have not converged
are open. Values that are not finite are left out of every drawing; an array without a finite value leaves its axes
empty. An *interval* is anything with `low`, `high` and `mean` (or `value`), a sequence of such, or (low, mid, high).

Figures and axes
    panels(rows, columns, height=2.5)       a lettered figure and its axes; count=n for the first n of a grid
    outer_labels(axes, x=, y=, titles=)     labels on the outer axes only; call it last
    ticks(ax, "x", places, labels=None)     label these places, no minor ticks
    log_axis(ax, "x", at=None)              log scale, plain numbers, no minor ticks
    sparsity_axis(ax, p, label)             log axis of p, dense features on the left; label is that of y
    stretched_axis(ax, centre, width, at)   x axis that is linear near the centre, logarithmic away from it
    excluded(ax, text)                      a note above the upper right corner: what is left out
    panel_labels(axes)                      a, b, c (panels does it)
Curves
    theory(ax, x, y, label=None)            the one dashed line; dash=DOTTED for a second theory
    levels(ax, values, labels=None)         theory as horizontal lines, named in the margin
    moments(ax, places, label=None)         vertical dotted lines
    spans(ax, {"name": (low, high)})        ranges of x as grey bands, named at the top
    band(ax, x, interval, label=)           a line inside the band of its intervals
    runs(ax, x, values, label=)             every run thin, one legend entry
    arrowhead(ax, x, y, colour)             the way that a curve goes, where it is steepest
    loss_curves(ax, steps, losses)          median, quartiles and runs on log axes
    trajectories(ax, steps, D, jumps)       D_i(t) with its jumps
    ecdf(ax, samples, cdf=None)             steps, and the law dashed
Points
    points(ax, x, interval, label=, shift=) points with interval bars, flagged= open ones, ls="-" joins them
    shifts(count)                           shifts for series side by side
    census(ax, share, loss, label=)         basins: share with its interval, across; loss, up
    cloud(ax, x, y)                         many small dots; aside(x, count) places the members of a cell side by side
    clouds(ax, {"name": (x, y, colour)})    several clouds, dots in random order
    discs(ax, x, y, share)                  area proportional to a share
    flagged_points(ax, x, y, flagged)       filled and open markers without intervals
    scatter_lines(ax, x, D, lines)          every D_i, with guide lines
    restarts(ax, x, values, best, known)    all restarts grey, the best one, what is known
    names_along(ax, x, names, y)            the name of each stretch of x
Bars, maps, matrices, geometry
    stacked(ax, x, shares, palette)         stacked bars of shares
    stack(ax, weights, signed=False)        neuron stack plot; feature_bar(figure, axes, count) beside it
    heatmap(ax, x, y, values)               values over linear or log axes
    categories(ax, x, y, names, palette)    a phase diagram
    edges(centres, log)                     the edges of the cells
    matrices(axes, values, biases, titles)  matrices in one scale of colours; returns the mesh for a colour bar
    lengths(axes, W, values)                lengths of rows as bars, coloured by values in one scale
    matrix, gram, bias, part(ax, 10)        one matrix; W Wᵀ; b beside; lines that part sets of features
    arrows(ax, W, colours, reach)           rows of W in the plane
    polytope(ax, W, colours, view)          their convex hull, a pictogram, in the plane or in space
    polytope_and_gram(axes, W, size, title) both, of sets of so many features
    polytopes_at(ax, heights, W)            pictograms on levels, side by side where they would touch
Tables of small drawings in one axes, rows and columns named
    tiles(ax, values, captions, rows, ...)  matrices of any sizes
    tallies(ax, counts, labels, rows, ...)  bars with labels on them
Legends
    legend(ax, extra={"exact": DASHED})     inside; extra explains what has no label of its own, by handles:
    key(...), shade(), whisker()            a line, a band, the bar of an interval
    legend_below(figure, axes, extra=)      one for all axes, outside below, as many columns as fit; above=True
    category_legend(figure, palette, shown) patches of a phase diagram
    colour_bar(figure, mesh, axes, label)   one for several axes
Style and files
    style(), COLUMN, PAGE, PALETTE, BLUE ..., THEORY, DASHED, DOTTED
    save(figure, path, vector="svg")        PNG and a vector file, the same bytes for the same figure
    encoded(figure, "pdf")                  these bytes
"""

from toymodels.draw.axes import log_axis, outer_labels, panel_labels, panels, sparsity_axis, ticks
from toymodels.draw.bars import feature_bar, feature_colours, stack, stacked
from toymodels.draw.curves import arrowhead, band, ecdf, levels, loss_curves, moments, runs, spans, theory, trajectories
from toymodels.draw.files import encoded, save
from toymodels.draw.geometry import arrows, polytope, polytope_and_gram, polytopes_at
from toymodels.draw.legends import category_legend, colour_bar, key, legend, legend_below, shade, whisker
from toymodels.draw.maps import categories, edges, heatmap
from toymodels.draw.margin import excluded
from toymodels.draw.matrices import bias, gram, lengths, matrices, matrix, part
from toymodels.draw.points import aside, census, cloud, clouds, discs, flagged_points, points, scatter_lines, shifts
from toymodels.draw.restarts import restarts
from toymodels.draw.scales import names_along, stretched_axis
from toymodels.draw.style import (
    BLACK,
    BLUE,
    COLUMN,
    DASHED,
    DOTTED,
    GREEN,
    ORANGE,
    PAGE,
    PALETTE,
    PURPLE,
    RED,
    SKY,
    SMALL,
    STYLE,
    THEORY,
    style,
)
from toymodels.draw.tables import tallies, tiles

__all__ = [
    "BLACK",
    "BLUE",
    "COLUMN",
    "DASHED",
    "DOTTED",
    "GREEN",
    "ORANGE",
    "PAGE",
    "PALETTE",
    "PURPLE",
    "RED",
    "SKY",
    "SMALL",
    "STYLE",
    "THEORY",
    "arrowhead",
    "arrows",
    "aside",
    "band",
    "bias",
    "categories",
    "category_legend",
    "census",
    "cloud",
    "clouds",
    "colour_bar",
    "discs",
    "ecdf",
    "edges",
    "encoded",
    "excluded",
    "feature_bar",
    "feature_colours",
    "flagged_points",
    "gram",
    "heatmap",
    "key",
    "legend",
    "legend_below",
    "lengths",
    "levels",
    "log_axis",
    "loss_curves",
    "matrices",
    "matrix",
    "moments",
    "names_along",
    "outer_labels",
    "panel_labels",
    "panels",
    "part",
    "points",
    "polytope",
    "polytope_and_gram",
    "polytopes_at",
    "restarts",
    "runs",
    "save",
    "scatter_lines",
    "shade",
    "shifts",
    "spans",
    "sparsity_axis",
    "stack",
    "stacked",
    "stretched_axis",
    "style",
    "tallies",
    "theory",
    "ticks",
    "tiles",
    "trajectories",
    "whisker",
]
