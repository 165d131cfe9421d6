"""Hysteresis: annealed up and down in density, which transitions between geometries remember where they come from?"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Annealed, Axis, Choice, Population, Record, Run, Sparse, Supervised, Sweep, draw
from toymodels.analysis.hysteresis import both_ways, lifetimes, switches
from toymodels.estimates import each, mean, share, steps
from toymodels.experiment import Experiment, Swept
from toymodels.findings import Above, AtLeast, AtMost, Decreasing, Finding, Follows, ours, report
from toymodels.losses import SquaredError
from toymodels.models import Placed, Tied
from toymodels.theory.expected_loss import expected_loss
from toymodels.theory.polygons import polygon_weights
from toymodels.theory.two_features import antipodal_branch

LEVEL = 0.3  # least over largest norm at which a feature counts as just gained or lost
RATIOS = (0.2, 0.4, 0.85)  # importance of the second of two features: two transitions with a jump, one without
RANGE = (0.08, 0.9)  # densities of two features
FIVE = {"density of all": (0.02, 0.5), "density of one": (0.07, 2.0)}  # of one: relative to .05, which the others have
WAYS = FIRST, LAST = "from sparse", "from dense"
ALIKE = "was the mean over seeds, which differ by nothing here; now one number, within the same distance"
PAIRED = "was the quickest against the slowest, by overlapping intervals; now all steps, paired by seed"
BEYOND = "was the area, which cannot be negative, and equal losses of the medians; now both ways, seed by seed"


def annealed(problem: Any, stairs: int, steps: int, *axes: Any) -> Sweep:
    record = Record(stairs + 1, stairs + 1, linear=True)
    base = Run(Annealed(problem, problem, stairs=stairs), Adam(3e-3), steps=steps, record=record)
    return Sweep(base, [*axes, Axis("seed", "seed", range(8))])


def way(start: Any, end: Any, W: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    same = {f"problem.{end}.model.{name}": value for end in ("start", "end") for name, value in (("W", W), ("b", b))}
    return {"problem.start.data.p": start, "problem.end.data.p": end} | same


def of_two() -> tuple[Population, Choice, Choice]:
    """From an antipodal pair at low density, and from the first feature alone at high density."""
    pair, alone, (low, high) = np.array([[1.0], [-1.0]]), np.array([[1.0], [0.0]]), RANGE
    ways = {FIRST: way(low, high, pair, np.zeros(2)), LAST: way(high, low, alone, np.array([0, high / 2]))}
    paths = [f"problem.{end}.loss.importance" for end in ("start", "end")]
    ratio = Choice("ratio", {f"{r:g}": dict.fromkeys(paths, (1.0, r)) for r in RATIOS})
    problem = Population(Sparse(2, low), Placed(Tied(1), pair, np.zeros(2), 0.02), SquaredError((1.0, 1.0)))
    return problem, ratio, Choice("way", ways)


def of_five() -> tuple[Supervised, Choice]:
    """From a pentagon at one end and from two digons, a feature dropped, at the other."""
    W, b, off = polygon_weights(5, 1.13), np.full(5, -0.25), np.eye(5)[0]
    digons = np.insert(polygon_weights(4), 0, 0, 0)
    low, high = ((p,) * 5 for p in FIVE["density of all"])
    sparse, dense = ((0.05 * ratio, *(0.05,) * 4) for ratio in FIVE["density of one"])
    ways = {
        f"density of all, {FIRST}": way(low, high, W, b),
        f"density of all, {LAST}": way(high, low, digons, off * high[0] / 2),
        f"density of one, {FIRST}": way(sparse, dense, digons, off * sparse[0] / 2),
        f"density of one, {LAST}": way(dense, sparse, W, b),
    }
    # On draws, unlike two features: their noise leaves a saddle, where an exact gradient of 0 would stay.
    return Supervised(Sparse(5, sparse), Placed(Tied(2), W, b, 0.02)), Choice("way", ways)


quick, slow, slowest = (annealed(of_two()[0], 60, 60 * length, *of_two()[1:]) for length in (100, 400, 1600))
five = annealed(of_five()[0], 40, 40 * 400, *of_five()[1:])
tiny = {"problem.stairs": 8, "record": Record(9, 9, linear=True), "steps": 160, "seed": range(2)}
tiny |= {"five.problem.stairs": 4, "five.record": Record(5, 5, linear=True), "five.steps": 40}


# ------------------------------------------------------------------------------------------------------------- readings
def two(quick: Swept, slow: Swept, slowest: Swept) -> xr.Dataset:
    """Both ways through each transition of two features, by the steps that a level is held for."""
    importance = xr.DataArray([[1, r] for r in RATIOS], {"ratio": [f"{r:g}" for r in RATIOS]}, ("ratio", "feature"))
    swept, ways = (quick, slow, slowest), {way: way for way in WAYS}
    length = [each.sweep.base.steps // each.sweep.base.problem.stairs for each in swept]
    made = [both_ways(each, ways, RANGE, expected_loss, importance) for each in swept]
    data = xr.concat(made, xr.Variable("steps", length))
    lost, gained = (switches(data.x.values, data.measure.sel(way=way, drop=True), LEVEL) for way in WAYS)
    return data.assign(lost=lost, gained=gained)


def exact() -> xr.Dataset:
    """Of two features, by the importance of the second: the antipodal branch, its ends, and the best loss."""
    made = [antipodal_branch(np.geomspace(*RANGE, 400), ratio, LEVEL) for ratio in RATIOS]
    return xr.concat(made, xr.Variable("ratio", [f"{r:g}" for r in RATIOS]))


def pentagons(five: Swept) -> xr.Dataset:
    """Both ways through the transitions between a pentagon and two digons, by what becomes denser."""
    names = {what: {way: f"{what}, {way}" for way in WAYS} for what in FIVE}
    made = [_of_five(both_ways(five, names[what], FIVE[what], expected_loss), what) for what in FIVE]
    return xr.concat(made, xr.Variable("what", list(FIVE)), coords="different", compat="equals")


def _of_five(data: xr.Dataset, what: str) -> xr.Dataset:
    """The pentagon is at the sparse end, or, of one density, at the dense end, where its measure rises with x."""
    rising = what == "density of one"
    first, second = (data.sel(way=way, drop=True) for way in (WAYS[::-1] if rising else WAYS))
    return data.merge(lifetimes(data.x.values, first, second, LEVEL, rising).rename(first="pentagon", second="digons"))


# -------------------------------------------------------------------------------------------------------------- figures
def loops(two: xr.Dataset, exact: xr.Dataset, pentagons: xr.Dataset) -> Figure:
    """Trained while the density rises (blue, from sparse) or falls (vermillion, from dense) level by level, parameters
    carried over; a thin line is a seed, arrows show the way of the first. Top: least over largest norm of the features,
    0 where one is dropped. Bottom: exact loss over that of the exact optimum (two features) or of the better way
    (five). Dashed: the antipodal pair of least loss, as far as it is a minimum; dotted: below this density, keeping
    only the first feature is no longer a minimum. n = 2: one dimension, I_2 the importance of the second feature; an
    antipodal pair against the first feature alone, on exact gradients. n = 5: two dimensions, a pentagon against two
    digons and a dropped feature, on draws; the density of one feature is relative to that of the others, and two digons
    never take it back. Where the ways coincide (second column) the later one hides the other. All seeds, whatever their
    status."""
    figure, axes = draw.panels(2, 4, 3.4, sharex="col", sharey="row", letters=False)
    for column, ratio in enumerate((two.ratio[0], two.ratio[-1])):
        known, data = exact.sel(ratio=ratio), two.isel(steps=-1).sel(ratio=ratio)
        _loop(axes[:, column], data, np.interp(data.x, known.p, known.loss))
        draw.theory(axes[0, column], known.p, known.kept)
        draw.moments(axes[0, column], [known.alone], lw=0.9)
    for column, what in enumerate(pentagons.what, 2):
        data = pentagons.sel(what=what)
        _loop(axes[:, column], data, data.loss.min(["way", "seed"]).values)
    names = [f"$n=2$, $I_2={ratio}$" for ratio in two.ratio.values[[0, -1]]] + [f"$n=5$, {what}" for what in FIVE]
    axes[0, 0].set_ylim(-0.04, 1.1)
    for ax in axes[1]:
        draw.log_axis(ax, "xy")
        draw.ticks(ax, "y", [1, 1.5, 2, 3])
    x, y = [*["density $p$"] * 3, "relative density"], ["least / largest norm", "loss / least loss"]
    draw.outer_labels(axes, x, y, names)
    dashes = {"antipodal pair": draw.DASHED, "first alone: no minimum below": draw.DOTTED}
    draw.legend_below(figure, axes[0, 0], dashes, columns=2)
    return figure


def _loop(axes: Any, data: xr.Dataset, best: np.ndarray) -> None:
    for way, colour, turn in zip(WAYS, (draw.BLUE, draw.RED), (1, -1), strict=True):
        cells = data.sel(way=way).transpose("seed", "level")
        for ax, values in zip(axes, (cells.measure.values, cells.loss.values / best), strict=True):
            draw.runs(ax, data.x.values, values, way if ax is axes[0] else None, colour)
            draw.arrowhead(ax, data.x.values[::turn], values[0, ::turn], colour)


def width_against_speed(two: xr.Dataset, exact: xr.Dataset) -> Figure:
    """Two features in one dimension: the width of the loop, the logarithm of the ratio of the densities at which the
    second feature is lost and gained again, over the number of steps that each density is held for; a colour is a
    relative importance of the second feature. Bars: Student's 95 % intervals over seeds. Dashed: the width between the
    exact ends of the two branches, for infinitely slow annealing. Neighbouring densities are some 4 % apart, which
    limits how well any width is known."""
    figure, ax = draw.panels(height=2.4, width=draw.COLUMN)
    widths, known = np.log(two.lost / two.gained), np.log(exact.lost / exact.gained)
    length, ends = two.steps.values, [two.steps[0] / 2, two.steps[-1] * 2]
    for ratio, colour in zip(two.ratio.values, draw.PALETTE, strict=False):
        found = [mean(each) for each in widths.sel(ratio=ratio).transpose("steps", ...)]
        draw.points(ax, length, found, ratio, colour, ls="-")
        draw.theory(ax, ends, [known.sel(ratio=ratio)] * 2, colour=colour)
    draw.log_axis(ax, "x", length)
    ax.set(xlabel="steps at each density", ylabel="width of the loop, ln $p$", xlim=ends)
    looks = {"95 % interval": draw.whisker(), "exact": draw.DASHED}
    draw.legend_below(figure, ax, looks, above=True, title="relative importance of the second feature")
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def two_feature_loops(two: xr.Dataset, exact: xr.Dataset) -> Iterator[Finding]:
    """Where two features switch against the ends of the exact branches, and what the speed changes."""
    known, slowest, stair = exact.sel(ratio=two.ratio), two.isel(steps=-1), float(np.log(two.x[1] / two.x[0]))
    widths, width = np.log(two.lost / two.gained), np.log(known.lost / known.gained)
    at, source = f"{int(slowest.steps)} steps a level", ours("end of the exact branch; the distance of two levels")
    for name, when in (("lost", "lost on the way up"), ("gained", "gained on the way down")):
        what = f"density at which the second of two features is {when}, by its importance; {at}"
        ends = Follows((*known[name].values,), factor=float(np.exp(stair)))
        found = each(slowest[name].mean("seed", skipna=False))
        yield Finding(f"second-feature-{name}", what, found, ends, source, revised=ALIKE)
    apart = [np.log(slowest[name].max("seed") / slowest[name].min("seed")) / stair for name in ("lost", "gained")]
    what = f"levels between the first and the last of {two.seed.size} seeds to switch, on exact gradients; {at}"
    yield Finding("seeds-alike", what, each(np.maximum(*apart)), AtMost(1), ours("one level"), "check")
    note = f"between the exact ends: {', '.join(f'{end:.3f}' for end in width.values)}"
    yield report("loop-width", f"width of the loop in ln p; {at}", each(widths.isel(steps=-1).mean("seed")), note=note)
    yield report("loop-area", f"area of the loop: relative norm over ln p; {at}", each(slowest.area.mean("seed")))
    source = ours("a branch is left at its end or later; slack: the distance of two levels")
    what = "width of the loop in ln p less that between the exact ends, by the steps at each level"
    yield Finding("never-left-early", what, mean(widths - width), AtLeast(-stair), source, revised=PAIRED)
    for ratio in two.ratio.values.tolist():
        what, where = f"width of the loop in ln p, importance {ratio}", {"importance": ratio}
        moved = steps(widths.sel(ratio=ratio, drop=True), "steps")
        yield Finding("slower-not-wider", what, moved, Decreasing(stair), source, settings=where, revised=PAIRED)


def five_feature_loops(pentagons: xr.Dataset) -> Iterator[Finding]:
    """Whether each of two geometries outlives the density at which they cost the same; where they switch."""
    source = ours("each is still a minimum where it has ceased to be the better one")
    for name, words in (("pentagon", "pentagon"), ("digons", "pair of digons (at least)")):
        what = f"how far in ln p a {words} lives on beyond the density at which both cost the same"
        yield Finding(f"{name}-outlive", what, mean(pentagons[name]), Above(0), source, revised=BEYOND)
    turned = share(xr.where(pentagons.digons.isnull(), np.nan, pentagons.back.notnull()))
    yield report("digons-turn-back", "seeds in which two digons turn back into a pentagon", turned)
    for name, words in (("gone", "a pentagon goes"), ("equal", "both cost the same"), ("back", "a pentagon returns")):
        yield report(f"density-{name}", f"density at which {words}", mean(pentagons[name]))
    yield report("five-loop-width", "width of the loop in ln p", mean(abs(np.log(pentagons.gone / pentagons.back))))
    yield report("five-loop-area", "area of the loop: relative norm over ln p", mean(pentagons.area))


experiment = Experiment(
    question="Which transitions between geometries have hysteresis, and how wide is the loop?",
    source="Elhage et al. 2022, first-order phase changes",
    sweeps={"quick": quick, "slow": slow, "slowest": slowest, "five": five},
    scales={"tiny": tiny, "full": {"slowest.steps": 60 * 6400, "five.steps": 40 * 4000}},
    readings=[two, exact, pentagons],
    figures=[loops, width_against_speed],
    findings=[two_feature_loops, five_feature_loops],
    cost="6,400 steps at each density of two features and 4,000 of five: two minutes on two CPU cores, 4 programs",
)
