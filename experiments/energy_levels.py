"""Energy levels: features jump between levels of their dimensionality, and the loss falls when they do. Elhage 2022."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Geometric, Momentum, Record, Run, Sparse, SquaredError, Supervised, Sweep, Tied, draw
from toymodels.analysis.dynamics import Jump
from toymodels.analysis.falls_at_jumps import jumps_and_falls, mean_around
from toymodels.analysis.geometry import feature_dimensionality, tegum_factors
from toymodels.analysis.labelled import each_model
from toymodels.analysis.statistics import interval
from toymodels.estimates import mean, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import Above, AtLeast, Finding, ours, report

SETTLED, REACH, DEAD, SIZE = 1 / 8, 4, 0.05, 0.15
"""The part of training after which a jump counts as late: by then features have parted towards D = 0 and 1/2; records
on each side of a jump in which the fall of the loss counts as its own; norm, as a fraction of the largest, up to which
a feature counts as dropped, with D = 0; the least change of D that is a jump."""
PAPER = "Elhage et al. 2022, section 6, phenomenon 1"

# Equal importances, ten times as many features as dimensions, at a p where nearly all seeds end in digons.
equal, seeds = Supervised(Sparse(60, p=0.3), Tied(6)), [Axis("seed", "seed", range(16))]
digons = Sweep(Run(equal, Adam(1e-3), 12_000, 512, record=Record(300, 300, True, 8192)), seeds)
# From a small start under decaying importances features are learned one after another, so that jumps are apart.
decaying = Supervised(Sparse(20, p=0.3), Tied(5, scale=1e-3), SquaredError(Geometric(0.9)))
levels = Sweep(Run(decaying, Momentum(3e-2), 4000, 512, record=Record(200, 200, True, 4096)), seeds)
full = {"digons.problem.data.n": 400, "digons.problem.model.m": 30, "digons.seed": range(64), "levels.seed": range(32)}


# ------------------------------------------------------------------------------------------------------------- readings
def late_course(digons: Swept) -> xr.Dataset:
    """Losses, D_i and late jumps under equal importances; the fall of the loss near them, and near other seeds'."""
    return _course(digons, SETTLED, window=8)


def course(levels: Swept) -> xr.Dataset:
    """The same under decaying importances, with all jumps."""
    return _course(levels, 0.0, window=4)


def _course(swept: Swept, settled: float, window: int) -> xr.Dataset:
    W, loss = (swept.data[name].astype(np.float64) for name in ("W", "objective"))
    last, steps, D = W.isel(snapshot=-1, drop=True), W.snapshot.values.tolist(), feature_dimensionality(W, dead=DEAD)
    loss, length = loss.sel(step=steps).rename(step="snapshot"), np.sqrt((last**2).sum("hidden", skipna=False))
    kept = (length > DEAD * length.max("feature")).where(np.isfinite(length))
    alone = each_model(lambda W: {f.polytope for f in tegum_factors(W, tol=0.1, dead=0.25).factors} == {"digon"}, last)
    found = jumps_and_falls(D, loss, settled * steps[-1], REACH * (steps[1] - steps[0]), SIZE, window)
    return found.assign(D=D, loss=loss, kept=kept, digons_alone=alone)


# -------------------------------------------------------------------------------------------------------------- figures
def energy_levels(late_course: xr.Dataset) -> Figure:
    """a: dimensionality D_i(t) = |W_i|^2 / sum_j (Ŵ_i · W_j)^2 of every feature; b: the loss (other seeds grey, the
    first fall cut off). Equal importances: the seed with the most late jumps. Bold, dots and dotted lines: features
    that jump late, detected in each D_i(t) by itself; colours tell lines apart only."""
    shown = late_course.isel(seed=int(late_course.jumps.fillna(-1).argmax("seed")))
    bold = {"features that jump (a)": draw.key("-", "0.3", lw=1.3)}
    figure = _trajectories(late_course, shown, {"digon": 1 / 2, "none": 0}, bold)
    top, bottom = figure.axes
    for feature in shown.jump.sel(what="feature").dropna("nth_jump").values.astype(int):
        top.plot(shown.snapshot, shown.D.isel(feature=feature), color=f"C{feature % len(draw.PALETTE)}", lw=1.3)
    low, start = float(late_course.loss.min()), float(shown.loss[int(shown.sizes["snapshot"] * SETTLED / 2)])
    bottom.set(ylabel="loss", ylim=(1.05 * low - 0.05 * start, start))
    return figure


def _trajectories(course: xr.Dataset, shown: xr.Dataset, levels: dict[str, float], extra: Any = None) -> Figure:
    """D_i(t) of a seed, and below, its loss among those of all; its jumps in both. Steps that begin after 0 are log."""
    figure, (top, bottom) = draw.panels(2, 1, height=4.2, sharex=True, height_ratios=(1.7, 1))
    x, found = shown.snapshot.values, [Jump(*row) for row in shown.jump.dropna("nth_jump").values]
    draw.trajectories(top, x, shown.D.transpose("feature", "snapshot"), found, log_steps=bool(x[0] > 0))
    top.set(xlabel="", ylim=(-0.03, 1.08))
    draw.levels(top, list(levels.values()), list(levels))
    draw.runs(bottom, x, course.loss, colour="0.8", alpha=1, lw=0.5)
    bottom.plot(x, shown.loss, color=draw.BLUE, lw=0.9, label="this seed (b)")
    draw.moments(bottom, [jump.step for jump in found], label="jumps (b)")
    looks = {"other seeds (b)": draw.key("-", "0.8"), "jumps (a)": draw.key("", "black", marker="o", ms=2.5)}
    draw.legend_below(figure, bottom, looks | (extra or {}), columns=5)
    bottom.set_xlabel("step")
    return figure


def around_jumps(digons: Swept, late_course: xr.Dataset) -> Figure:
    """a: loss around the late jumps of a seed (of several features at once: one jump), less the loss when the window
    begins (blue), and its loss around the late jumps of other seeds (grey): means over seeds with 95 % bootstrap
    intervals. b: D_i of all features of all seeds at the end, and when a twentieth of training is over."""
    figure, (left, right) = draw.panels(1, 2, height=2.5)
    steps, reach = late_course.snapshot.values, 3 * REACH
    away = np.arange(-reach, reach + 1) * (steps[1] - steps[0])
    for own, colour, label in ((False, "0.5", "other seeds' late jumps"), (True, draw.BLUE, "late jumps")):
        found = mean_around(late_course.loss, late_course.moment, reach, own)
        draw.band(left, away, interval(found), label=f"{label}, {len(found)} seeds", colour=colour)
    left.set(xlabel="steps after the jump", ylabel="change of the loss")
    draw.legend_below(figure, left, {"95 % interval": draw.shade()})
    for place, colour, label in ((len(steps) // 20, "0.6", "early"), (-1, draw.BLUE, "end")):
        values = late_course.D.isel(snapshot=place).values.ravel()
        weights = np.full(values.size, 1 / values.size)
        right.hist(values, np.linspace(0, 1, 51), weights=weights, color=colour, alpha=0.75, label=label)
    right.set(xlabel="feature dimensionality $D_i$", ylabel="share of features", yscale="log")
    draw.legend(right, loc="upper right")
    draw.excluded(right, digons.left_out("shown"))
    return figure


def learned_in_turn(levels: Swept, course: xr.Dataset) -> Figure:
    """a: dimensionality D_i(t) of every feature of one seed; b: its loss above .98 of the least of all (other seeds
    grey), importances that decay. From a small start features are learned one after another, nearly alone, D near 1,
    and give half of their dimension away when an antipode arrives; D_i ignores length, and means nothing before a
    feature has any. Dots, dotted lines: jumps, detected in each D_i(t) by itself, of features that have reached a
    twentieth of the length of the longest at the end; colours tell lines apart only."""
    above = course.assign(loss=course.loss - 0.98 * course.loss.min()).isel(snapshot=slice(1, None))
    shown, length = above.isel(seed=0), np.sqrt((levels.data.W.isel(seed=0) ** 2).sum("hidden"))
    jumps = shown.jump.fillna(0)
    own = length.isel(feature=jumps.sel(what="feature", drop=True).astype(int))
    reached = own.sel(snapshot=jumps.sel(what="step", drop=True), method="nearest", drop=True)
    shown = shown.assign(jump=shown.jump.where(reached > DEAD * length.isel(snapshot=-1).max()))
    figure = _trajectories(above, shown, {"point": 1, "digon": 1 / 2})
    figure.axes[1].set(ylabel="loss above .98 of least", yscale="log")
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def ends_in_digons(late_course: xr.Dataset) -> Iterator[Finding]:
    """Whether the features that a model keeps end at D = 1/2, and in how many seeds all of them are digons."""
    what = "share of the features kept by a seed that end within .02 of D = 1/2"
    source = ours(f"D = 1/2 of a digon, closed form; limits; {PAPER}: a model that ends in digons")
    revised = "counted dropped features, at D = 0, as successes; now only features that are kept"
    yield Finding("ends-in-digons", what, mean(_ends(late_course, 0.02, 1 / 2)), AtLeast(0.95), source, revised=revised)
    yield report("features-kept", "share of features kept", mean(late_course.kept.mean("feature", skipna=False)))
    yield report("digons-alone", "seeds that end in digons alone", share(late_course.digons_alone))


def _ends(course: xr.Dataset, within: float, *levels: float) -> xr.DataArray:
    """The share of a seed's kept features that end near one of these levels of D."""
    near = xr.concat([abs(course.D.isel(snapshot=-1) - level) <= within for level in levels], "level").any("level")
    return near.where(course.kept > 0).mean("feature")


def jumps_are_late_too(late_course: xr.Dataset) -> Iterator[Finding]:
    """Whether features still jump once they have parted."""
    late, revised = f"after step {late_course.attrs['since']:g}", "was above 0, which one jump of one seed satisfies"
    what, source = f"seeds in which a feature's D jumps by {SIZE} {late}", ours(f"limits; {PAPER}: features jump")
    some = (late_course.jumps > 0).where(late_course.jumps.notnull())
    yield Finding("late-jumps", what, share(some), AtLeast(0.5), source, revised=revised)
    yield report("late-jumps-a-seed", f"jumps of D a seed {late}", mean(late_course.jumps))


def loss_falls_at_jumps(late_course: xr.Dataset, course: xr.Dataset) -> Iterator[Finding]:
    """Whether a loss falls more at the jumps of its own features than at the times at which other seeds' jump."""
    revised = "was p < .01 against uniform moments; now against other seeds' jumps, as jumps and falls are both early"
    source = ours(f"{PAPER}: the loss drops at jumps")
    for name, found in (("equal, late", late_course), ("decaying", course)):
        where, more = {"importances": name}, mean(found.own - found.others, level=0.98)
        near = f"share of the fall of the loss within {found.attrs['reach']:g} steps of its own jumps"
        what = f"{near}, less that of other seeds' jumps"
        yield Finding("fall-at-jumps", what, more, Above(0), source, settings=where, revised=revised)
        yield report("fall-at-own-jumps", near, mean(found.own), settings=where)
        yield report("time-at-own-jumps", "share of the time there", mean(found.time), settings=where)


def between_levels(course: xr.Dataset) -> Iterator[Finding]:
    """With importances that decay: the number of jumps, and where features end."""
    yield report("jumps-a-seed", "decaying importances: jumps of D a seed", mean(course.jumps))
    what = "decaying importances: share of the features kept by a seed that end within .05 of D = 1/2 or 1"
    yield report("ends-at-levels", what, mean(_ends(course, 0.05, 1 / 2, 1)))


experiment = Experiment(
    question="Do features jump between levels of their dimensionality, and does the loss fall when they do?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 6",
    sweeps={"digons": digons, "levels": levels},
    scales={"tiny": {"seed": range(2), "steps": 400}, "full": full},
    readings=[late_course, course],
    figures=[energy_levels, around_jumps, learned_in_turn],
    findings=[ends_in_digons, jumps_are_late_too, loss_falls_at_jumps, between_levels],
    cost="64 models of 400 features in 30 dimensions, 12,000 steps, 300 snapshots (1 GB)",
)
