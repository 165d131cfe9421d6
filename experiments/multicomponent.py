"""Learning several components at once: plateaus, escapes, alignment and bumps of a factorisation, against theory.

A target A = sum_k s_k a_k b_kᵀ is learned as U Vᵀ from a small random start; `reduced_rank` has the optima reached.
Gradient flow has exact laws for the loss of one component, the levels of the plateaus and the time at which the first
one ends; momentum and Adam learn the same problem.
"""

import itertools
from collections.abc import Iterator
from functools import partial

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import kstest

from toymodels import Axis, Choice, Components, Factorize, Geometric, Momentum, Record, Run, Sweep, draw, usable
from toymodels.analysis.factorisations import alignments, half_drops, matched, treads
from toymodels.estimates import each, mean, median, share
from toymodels.experiment import Experiment, Swept, left_out, require
from toymodels.findings import Above, AtLeast, Finding, Near, Somewhere, ours, report
from toymodels.problems.natural_steps import OPTIMIZERS, among, in_natural_units, step_sizes, target_matrix, targets
from toymodels.theory import multicomponent as theory

COLOURS = dict(zip(OPTIMIZERS, draw.PALETTE, strict=False))
QUARTILES, PLACES = (0.25, 0.5, 0.75), (np.arange(512) + 0.5) / 512


def problems(n: int) -> dict[str, Factorize]:
    """The problem of each sweep in n dimensions: a target with singular values that fall geometrically."""
    target, of_two = (Components(n, n, rank, Geometric(0.5)) for rank in (n, 2))
    found = {"flow": Factorize(target, scale=1e-2), "escapes": Factorize(target)}
    found |= dict.fromkeys(("levels", "descents", "climbs"), Factorize(target, components=4))
    return found | dict.fromkeys(("pairs", "early"), Factorize(of_two, components=2))


def sweep(name: str, optimizer: Momentum, steps: int, record: Record, *axes: Axis | Choice) -> Sweep:
    return Sweep(Run(problems(32)[name], optimizer, steps, record=record), axes, in_natural_units)


lr, scale = partial(Axis, "lr", "optimizer.lr"), partial(Axis, "scale", "problem.scale")
ratio, tenths = partial(Axis, "ratio", "problem.target.spectrum.ratio"), [0.5, 0.6, 0.7, 0.8, 0.9]
every, two = (Choice("optimizer", among(*names)) for names in (OPTIMIZERS, ("SGD", "Adam")))
few, many = (Axis("seed", "seed", range(count)) for count in (32, 256))
mixed = [lr([0.05]), ratio([0.5, 0.8, 0.95]), scale([1e-3, 1e-1]), few]
line, stairs, climb = Record(1000, 2, linear=True), Record(600, 2, linear=True), Momentum(0.05, decay=0)
sweeps = {
    "flow": sweep("flow", Momentum(decay=0), 40_000, line, lr([1e-3, 5e-4, 2.5e-4]), few),
    "escapes": sweep("escapes", Momentum(0.01, 0), 3000, line, ratio([0.5, 0.9]), scale([1e-3, 1e-2]), many),
    "levels": sweep("levels", climb, 3000, stairs, ratio(tenths), scale([1e-4, 1e-3, 1e-2]), few),
    "descents": sweep("descents", climb, 3000, stairs, ratio([0.5]), scale([1e-4, 1e-3]), many),
    "climbs": sweep(
        "climbs", climb, 3000, Record(600, 160), ratio([0.5]), scale([1e-3]), Axis("seed", "seed", range(4))
    ),
    "pairs": sweep("pairs", Momentum(), 1000, Record(100, 80, linear=True), every, *mixed),
    "early": sweep("early", Momentum(), 1000, Record(100, 120), two, *mixed),
}


def sized(n: int, seeds: int, many: int, steps: int, few: int, flow: int, snapshots: int) -> dict[str, object]:
    """Overrides for targets in n dimensions."""
    found: dict[str, object] = {f"{name}.problem": problem for name, problem in problems(n).items()}
    found |= {"seed": range(seeds), "escapes.seed": range(many), "descents.seed": range(many), "steps": steps}
    return found | {"pairs.steps": few, "early.steps": few, "flow.steps": flow, "pairs.record.snapshots": snapshots}


tiny = sized(8, 4, 16, 600, 400, 600, 25) | {"flow.lr": (0.04, 0.02)}
full = sized(100, 64, 1024, 6000, 1000, 80_000, 120) | {"flow.lr": (1e-3, 5e-4, 2.5e-4, 1.25e-4)}


# ------------------------------------------------------------------------------------------------------------- readings
def spectra(swept: Swept) -> tuple[xr.DataArray, xr.DataArray]:
    """Singular values of the targets, in descending order, by ratio; the levels of the plateaus, by ratio."""
    size, rank = swept.sweep.base.problem.target.n, swept.sweep.base.problem.rank
    s = xr.DataArray([float(ratio) ** np.arange(size) for ratio in swept.data.ratio], dims=("ratio", "mode"))
    return s, xr.DataArray([theory.plateau_levels(values, rank) for values in s.values], dims=("ratio", "stage"))


def staircases(levels: Swept) -> xr.Dataset:
    """The plateaus of every run, and the predicted levels."""
    return treads(levels.finite(), spectra(levels)[1]).assign(expected=spectra(levels)[1])


def component_escapes(descents: Swept) -> xr.Dataset:
    """Of components 1, 2, ...: the time of their half-drop, its law (mean; 5 and 95 %), and the levels between. After k
    others a component finds rank - k learned vectors free: their strength is chi^2 of so many degrees of freedom."""
    (s, levels), loss = (each.isel(ratio=0) for each in spectra(descents)), descents.finite().isel(ratio=0)
    last, size = levels.sizes["stage"] - 1, step_sizes(descents.sweep).isel(ratio=0)
    drops = [half_drops(loss, levels[k], levels[k + 1]) * size for k in range(last)]
    laws = [[theory.escape_time_limit([s[k]], c, last - k) for c in loss.scale.values] for k in range(last)]
    by_law = {"mean": (("component", "scale"), [[law.mean for law in row] for row in laws])}
    by_law["window"] = (("component", "scale", "end"), [[law.ppf([0.05, 0.95]) for law in row] for row in laws])
    found = {"time": xr.concat(drops, xr.Variable("component", np.arange(last) + 1)), **by_law}
    return xr.Dataset({**found, "size": size.mean("seed"), "stage_error": treads(loss, levels).stage_error})


def shares_learned(climbs: Swept) -> xr.Dataset:
    """At every snapshot, how much of each target component is learned, a_kᵀ U Vᵀ b_k / s_k, and |cos| of each learned
    component with each target one; the levels of the loss."""
    s, levels = (each.isel(ratio=0) for each in spectra(climbs))
    rank = climbs.sweep.base.problem.components
    own = targets(climbs.sweep.base.problem, climbs.data.seed.values.tolist()).isel(target=slice(rank))
    U, V = (climbs.finite(name).isel(ratio=0, scale=0) for name in "UV")
    learned = xr.dot(xr.dot(own.left, U, dim="row"), xr.dot(own.right, V, dim="column"), dim="component")
    part = learned / s.isel(mode=slice(rank)).rename(mode="target")
    cosine = alignments(U, V, own.left, own.right).cosine
    return xr.Dataset({"share": part, "cosine": cosine, "level": levels})


def deviations(flow: Swept) -> xr.Dataset:
    """The exact loss from each start over the time that all step sizes cover (NaN later), s_1 t, and the largest
    |L - L_flow| / L(0) over time."""
    flow.check(problem__components=1)
    loss, starts = flow.finite(), [flow.data[name].isel(snapshot=0, component=0).values for name in "UV"]
    time, exact = (loss.step * step_sizes(flow.sweep)).transpose(*loss.dims), xr.full_like(loss, np.nan)
    shared = loss.step * loss.lr <= loss.step.max() * loss.lr.min() * (1 + 1e-9)
    for run, (i, j) in zip(flow.sweep.runs(), np.ndindex(*loss.shape[:2]), strict=True):
        A, kept, start = target_matrix(run.problem.target), shared.isel(lr=i).values, (each[i, j] for each in starts)
        exact[i, j, kept] = theory.rank_one_flow(A, *start, time.values[i, j, kept]).loss
    return xr.Dataset({"exact": exact, "time": time, "worst": abs(loss - exact).max("step") / exact.isel(step=0)})


def escape_times(escapes: Swept) -> xr.Dataset:
    """Half-drop times s_1 t of all seeds, quantiles and mean of their law, and the p of a Kolmogorov-Smirnov test."""
    escapes.check(problem__components=1)
    (s, levels), target = spectra(escapes), escapes.sweep.base.problem.target
    times = half_drops(escapes.finite(), levels.isel(stage=0), levels.isel(stage=1)) * step_sizes(escapes.sweep)
    law = partial(theory.escape_time_distribution, rank=1, shape=(target.n, target.m), samples=2048)

    def of_cell(s: np.ndarray, scale: float, times: np.ndarray) -> tuple[float, float, np.ndarray]:
        own = law(s, scale)
        return own.mean, kstest(times[np.isfinite(times)], own.cdf).pvalue, own.ppf(PLACES)

    core = {"input_core_dims": [["mode"], [], ["seed"]], "output_core_dims": [[], [], ["place"]]}
    mean, p, quantile = xr.apply_ufunc(of_cell, s, times.scale, times, vectorize=True, **core)
    return xr.Dataset({"time": times, "mean": mean, "p": p, "quantile": quantile})


def even_alignments(pairs: Swept) -> xr.Dataset:
    """Alignments with the target, and bumps, at evenly spaced snapshots."""
    pairs.check(problem__components=2, problem__target__rank=2)
    own = targets(pairs.sweep.base.problem, pairs.data.seed.values.tolist())
    return alignments(*(pairs.finite(name).isel(lr=0) for name in "UV"), own.left, own.right)


def log_alignments(early: Swept) -> xr.Dataset:
    """Bumps at logarithmically spaced snapshots, which resolve the first steps."""
    return even_alignments(early)[["bumps"]]


# -------------------------------------------------------------------------------------------------------------- figures
def plateaus_and_escapes(levels: Swept, staircases: xr.Dataset, component_escapes: xr.Dataset) -> Figure:
    """Learning a full-rank target with a geometric spectrum by gradient descent. (a) Loss of all seeds at one ratio and
    one initial scale, the plateaus detected in the first seed, the predicted levels and the predicted 5-95 % range of
    each component's escape. (b) Levels of all detected plateaus relative to theory, every plateau a dot. (c) Share of
    seeds that show every intermediate plateau, with Wilson intervals that hold together at 95 % for each initial
    scale."""
    figure, (stairs, over, shares) = draw.panels(1, 3, height=3.0, width_ratios=(1.3, 1, 1))
    same = float(staircases.ratio[0]) == float(component_escapes.ratio)
    require(same, "it is made for sweeps of runs and of escapes that begin with the same ratio")
    scales, places = staircases.scale.values, np.arange(staircases.sizes["ratio"])
    colours, middle = dict(zip(scales, draw.PALETTE, strict=False)), scales[len(scales) // 2]
    shown = (levels.data.isel(ratio=0), staircases.isel(ratio=0), component_escapes)
    _staircase(stairs, *(data.sel(scale=middle, method="nearest") for data in shown), colours[middle])
    stairs.set(title=f"ratio {float(staircases.ratio[0]):g}, initial scale {middle:g}")
    for (scale, colour), shift in zip(colours.items(), (-0.24, 0, 0.24), strict=False):
        of = staircases.sel(scale=scale).transpose("ratio", "seed", ...)
        percent = 100 * of.error.values.reshape(len(places), -1)
        draw.cloud(over, draw.aside(places + shift, percent.shape[1], 0.08, log=False), percent, colour=colour, ms=1.5)
        draw.points(shares, places + shift, share(of.complete).estimates, f"initial scale {scale:g}", colour)
    over.axhspan(-2, 2, color="0.88", lw=0, zorder=0)
    draw.levels(over, [0])
    for ax, label in ((over, "level above theory (%)"), (shares, "share of seeds\nwith all plateaus")):
        draw.ticks(ax, "x", places, staircases.ratio.values)
        ax.set(xlabel="ratio $s_{k+1} / s_k$", ylabel=label)
    median = {"colour": colours[middle]}
    told = {"median (a)": draw.key("-", lw=1.2, **median), "quartiles (a)": draw.shade(**median)}
    told |= {"one run (a)": draw.key("-", lw=0.4, **median), "plateaus of one run (a)": draw.key("-", "black", lw=2.2)}
    told |= {"predicted": draw.DASHED, "5-95 % of escapes (a)": draw.shade(), "within 2 % (b)": draw.shade()}
    draw.legend_below(figure, shares, told | {"95 % interval (c)": draw.whisker()}, columns=4)
    return figure


def _staircase(ax: Axes, cells: xr.Dataset, of: xr.Dataset, escapes: xr.Dataset, colour: str) -> None:
    draw.loss_curves(ax, cells.step[1:], usable(cells.objective, cells.status, True).values[:, 1:], colour=colour)
    ax.hlines(of.height[0], of.start[0].clip(1), of.stop[0], color="black", lw=2.2, zorder=3)
    for start, stop in (escapes.window / escapes["size"]).values:
        ax.axvspan(start, stop, color="0.88", lw=0, zorder=0)
    ax.set(xlim=(10, None), ylim=(of.expected[-1] / 2, of.expected[0] * 2))
    draw.levels(ax, of.expected.values, [f"$L_{k}$" for k in range(of.sizes["stage"])])


def staircase_and_components(climbs: Swept, shares_learned: xr.Dataset, component_escapes: xr.Dataset) -> Figure:
    """One run of gradient descent on a full-rank target whose singular values fall geometrically, the first seed, and
    what it has learned on the same axis of time. (a) Loss, the predicted levels and the predicted 5-95 % range of each
    component's escape. (b) How much of each target component is learned, a_kᵀ U Vᵀ b_k / s_k. (c) |cos| of each learned
    component (rows) with each target component (columns) half-way along each plateau, in the logarithm of the step, and
    at the end: learned vectors turn as later components come, for only their span is identifiable."""
    require(float(climbs.data.ratio[0]) == float(component_escapes.ratio), "it is made for one ratio of both sweeps")
    of, one = shares_learned.isel(seed=0), climbs.data.isel(ratio=0, scale=0, seed=0)
    escapes = component_escapes.sel(scale=float(one.scale), method="nearest")
    windows, means = ((escapes[name] / escapes["size"]).values for name in ("window", "mean"))
    steps, times = one.step.values[1:], of.snapshot.values[1:]
    middles = [means[0] / 3, *np.sqrt(means[1:] * means[:-1]), times[-1]]
    figure = plt.figure(figsize=(draw.PAGE, 4.7))
    grid = figure.add_gridspec(3, len(middles), height_ratios=(1.7, 0.8, 1))
    loss = figure.add_subplot(grid[0, :])
    shares = figure.add_subplot(grid[1, :], sharex=loss)
    draw.runs(loss, steps, one.objective.values[1:], colour=draw.BLUE, lw=1.4, alpha=1)
    for start, stop in windows:
        loss.axvspan(start, stop, color="0.9", lw=0, zorder=0)
    draw.log_axis(loss, "y")
    draw.levels(loss, of.level.values, [f"$L_{k}$" for k in range(of.sizes["stage"])])
    counted, look = of.target.size, {"cmap": "Greys", "vmin": 0.0, "vmax": 1.0}
    rows = of.share.transpose("target", "snapshot").values[:, 1:]
    mesh = draw.heatmap(shares, times, np.arange(counted) + 1, rows, log_x=True, **look)
    shares.set(xlabel="step", ylabel="target", ylim=(counted + 0.5, 0.5), yticks=np.arange(counted) + 1)
    at = f"ratio {float(one.ratio):g}, initial scale {float(one.scale):g}"
    loss.set(ylabel="loss", xlim=(10, times[-1]), title=at)
    loss.tick_params(labelbottom=False)
    places = [1 + int(np.abs(np.log(times / each)).argmin()) for each in middles]
    below = [figure.add_subplot(grid[2, column]) for column in range(len(middles))]
    cosines = [of.cosine.isel(snapshot=place).transpose("component", "target").values for place in places]
    draw.matrices(below, cosines, titles=[f"step {int(of.snapshot[place])}" for place in places], **look)
    below[0].set(ylabel="learned", xlabel="target")
    for ax, place in itertools.product((loss, shares), places[:-1]):
        draw.moments(ax, [float(of.snapshot[place])], lw=0.7)
    draw.colour_bar(figure, mesh, [shares, *below], "share, |cos|")
    draw.panel_labels([loss, shares, below[0]])
    told = {"loss": draw.key("-", draw.BLUE), "predicted level": draw.DASHED}
    told |= {"predicted 5-95 % of an escape": draw.shade(), "step shown in c": draw.DOTTED}
    draw.legend_below(figure, loss, told, columns=4)
    return figure


def flow_and_escape_law(flow: Swept, deviations: xr.Dataset, escape_times: xr.Dataset) -> Figure:
    """Rank-one learning of a full-rank target. (a) Trained loss and the exact gradient flow from the same start at the
    smallest step size, one colour a seed; time is step size x step. (b) Largest deviation over time against the step
    size, each seed a dot, with a line of slope one and the limit of the verdict. (c) Escape times from the first
    plateau over seeds, and their law over random starts."""
    figure, axes = draw.panels(1, 3, height=2.7)
    lrs, of = deviations.lr.values, deviations.assign(loss=flow.data.objective).sortby("lr").isel(lr=0)
    for index, colour in zip(range(of.sizes["seed"]), draw.PALETTE[:5], strict=False):
        one = of.isel(seed=index, step=slice(None, None, max(1, of.sizes["step"] // 40)))
        axes[0].plot(one.time, one.loss, "o", ms=2.5, color=colour)
        draw.theory(axes[0], of.time.isel(seed=index), of.exact.isel(seed=index), "exact flow (a)")
    draw.cloud(axes[1], lrs[:, None], deviations.worst.transpose("lr", "seed"), ms=3, alpha=1)
    draw.log_axis(axes[1], "xy")
    draw.ticks(axes[1], "x", lrs)
    draw.theory(axes[1], lrs, of.worst.median().values * lrs / float(of.lr), "slope one (b)")
    axes[1].axhline(1e-3, color="0.7", lw=0.6, label="limit (b)")
    for cell, colour in zip(np.ndindex(*escape_times["mean"].shape), draw.PALETTE, strict=False):
        one = escape_times.isel(ratio=cell[0], scale=cell[1])
        law = partial(np.interp, xp=one["quantile"].values, fp=PLACES)
        draw.ecdf(axes[2], one.time, law, f"{float(one.ratio):g}, {float(one.scale):g}", colour)
    axes[0].set(xlabel="time $s_1 t$", ylabel="loss", title=f"step size {float(of.lr):g}")
    axes[1].set(xlabel="step size $\\eta s_1$", ylabel="$\\max_t |L - L_{flow}|\\, / L(0)$")
    axes[2].set(xlabel="escape time $s_1 t$")
    marks = {"trained (a)": "0.3", "one seed (b)": draw.BLUE}
    told = {name: draw.key("", colour, marker="o", ms=2.5) for name, colour in marks.items()}
    draw.legend_below(figure, axes[:2], told)
    draw.legend(axes[2], title="ratio, scale", loc="lower right")
    return figure


def alignment_over_training(pairs: Swept, even_alignments: xr.Dataset) -> Figure:
    """Learning a target of two components at rank two, by optimizer, at one ratio and one initial scale; first half of
    the steps. (a-d) |cos| of each learned component u_i v_iᵀ with each target component a_k b_kᵀ, in the run with the
    most bumps. (e-h) Median and quartiles over seeds: alignment of the learned with the target span, and mean |cos| of
    the best one-to-one matching. Only the span is identifiable: mixing the learned components leaves U Vᵀ and the loss
    as they are, so a matching below 1 is no failure to learn."""
    figure, axes = draw.panels(2, 4, height=3.6, sharex=True, sharey=True)
    at = {"ratio": even_alignments.sizes["ratio"] // 2, "scale": 0}
    for (top, bottom), name in zip(axes.T, even_alignments.optimizer.values, strict=True):
        of = even_alignments.isel(at).sel(optimizer=name)
        most = of.cosine.isel(seed=int(of.bumps.fillna(-1).argmax("seed")))
        for i, k in np.ndindex(2, 2):
            look = {"color": draw.PALETTE[i], "ls": draw.DASHED if k else "-"}
            top.plot(of.snapshot, most[:, i, k], label=f"learned {i + 1}, target {k + 1}", **look)
        span, pairs_of = (each.quantile(QUARTILES, "seed").values for each in (of.span, matched(of.cosine)))
        draw.band(bottom, of.snapshot, span, label="span: identifiable", colour=draw.BLACK)
        draw.band(bottom, of.snapshot, pairs_of, label="matched: not identifiable", colour=draw.ORANGE)
        draw.excluded(bottom, left_out(pairs.data.status.isel(at).isel(lr=0).sel(optimizer=name), "shown"))
    axes[0, 0].set(ylim=(-0.03, 1.03), xlim=(0, even_alignments.snapshot.values[-1] / 2))
    draw.outer_labels(axes, "step", ("|cos| of components", "alignment"), list(even_alignments.optimizer.values))
    one = even_alignments.isel(at)
    title = f"ratio {float(one.ratio):g}, initial scale {float(one.scale):g}"
    draw.legend_below(figure, axes, {"quartiles": draw.shade()}, columns=4, title=title)
    return figure


def bumps_by_optimizer(even_alignments: xr.Dataset, log_alignments: xr.Dataset) -> Figure:
    """Bumps in the alignment of a learned with a target component, per run of a target of two components learned at
    rank two: maxima that rise and fall back by at least 0.1. Means over seeds with Student's intervals that hold
    together at 95 % for each optimizer, against the ratio of the singular values; one panel an initial scale. Snapshots
    are evenly spaced, or, of SGD and Adam only, logarithmically."""
    told = {"even": {}, "log": {"mfc": "white"}}
    look = {"width": 0.75 * draw.PAGE, "height": 2.4, "sharey": True, "squeeze": False}
    figure, (axes,) = draw.panels(1, even_alignments.sizes["scale"], **look)
    x, shifts = np.arange(even_alignments.sizes["ratio"]), dict(zip(OPTIMIZERS, draw.shifts(4, 8.0), strict=True))
    for index, ax in enumerate(axes):
        for data, look in ((even_alignments, {}), (log_alignments, {"mfc": "white"})):
            for name in data.optimizer.values:
                found, shift = mean(data.bumps.isel(scale=index).sel(optimizer=name)).estimates, shifts[name]
                draw.points(ax, x, found, "" if look else name, COLOURS[name], shift=shift + 3 * bool(look), **look)
        draw.ticks(ax, "x", x, even_alignments.ratio.values)
        ax.set(xlabel="ratio $s_2 / s_1$", title=f"initial scale {even_alignments.scale.values[index]:g}")
    axes[0].set(ylabel="bumps per run", ylim=(0, None))
    marks = {f"{name} snapshots": draw.key("", "0.3", marker="o", **look) for name, look in told.items()}
    draw.legend_below(figure, axes, marks | {"95 % interval": draw.whisker()}, columns=4)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def the_staircase(component_escapes: xr.Dataset, staircases: xr.Dataset) -> Iterator[Finding]:
    """Where each singular value is half of the one before, a small start climbs down the predicted stairs on time."""
    levels = ours("tolerance; levels of Baldi & Hornik 1989: half the sum of the squares not yet learned")
    times = ours("tolerance; law of small starts, in which a component finds the free vectors only")
    for scale in component_escapes.scale.values.tolist():
        of, at = component_escapes.sel(scale=scale), {"scale": scale}
        what = "level of each plateau over that predicted, minus 1, median over the seeds that show it"
        yield Finding("plateau-levels", what, median(of.stage_error), Near(0, 0.02), levels, settings=at, digits=".2%")
        what = "mean time until each component has removed half of its loss, over that predicted"
        yield Finding("component-escapes", what, mean(of.time / of["mean"]), Near(1, 0.05), times, settings=at)
    what = "seeds that show every plateau between two components"
    for scale in staircases.scale.values.tolist():
        yield report("all-plateaus", what, share(staircases.complete.sel(scale=scale)), settings={"scale": scale})


def flow_and_law(deviations: xr.Dataset, escape_times: xr.Dataset) -> Iterator[Finding]:
    """Descent follows the flow with an error in proportion to its step; one component escapes by the law."""
    worst, seeds = deviations.worst.sortby("lr"), "now the share of seeds, which is a statement about others"
    what = f"seeds whose loss stays within 1e-3 L(0) of the exact flow at step size {float(worst.lr[0]):g}/s_1"
    source, revised = ours("limits; the flow is the limit of small steps"), f"was the largest deviation; {seeds}"
    yield Finding("on-the-flow", what, share(worst[0] <= 1e-3), AtLeast(0.8), source, "check", revised=revised)
    ratio = np.exp(np.log(worst).diff("lr") / np.log2(worst.lr).diff("lr"))
    what, source = "factor of that deviation for a doubled step size, mean over seeds", ours("tolerance; Euler's order")
    yield Finding("error-per-doubling", what, mean(ratio), Near(2, 0.2), source, "check")
    what, source = "mean time of one component's half-drop, over that predicted", ours("tolerance; theory.escape")
    yield Finding("mean-escape", what, mean(escape_times.time / escape_times["mean"]), Near(1, 0.05), source)
    what = "Kolmogorov-Smirnov p of these times against their law, times the number of tests"
    p, source = each((escape_times.p * escape_times.p.size).clip(max=1)), ours("level; law over random starts")
    revised = "was each p by itself; now corrected for their number"
    yield Finding("law-of-escape", what, p, AtLeast(0.01), source, "check", revised=revised)


def bumps_under_adam(even_alignments: xr.Dataset, log_alignments: xr.Dataset) -> Iterator[Finding]:
    """Whether Adam shows more bumps than SGD from the same starts: at every setting, or at any."""
    what, source = "bumps in a run's alignments, Adam minus SGD", ours("a conjecture of ours")
    revised = "was unpaired, one interval a setting, of converged runs; now paired by seed, corrected for the family, "
    revised += "of all runs, because convergence depends on the optimizer"
    for snapshots, data in (("even", even_alignments), ("logarithmic", log_alignments)):
        more, at = mean(data.bumps.sel(optimizer="Adam") - data.bumps.sel(optimizer="SGD")), {"snapshots": snapshots}
        for id, rule in (("more-bumps-everywhere", Above(0)), ("more-bumps-somewhere", Somewhere(Above(0)))):
            yield Finding(id, what, more, rule, source, settings=at, revised=revised, digits=".2f")
        for name in data.optimizer.values.tolist():
            bumps, own = mean(data.bumps.sel(optimizer=name)), {"optimizer": name, **at}
            yield report("bumps", "bumps in a run's alignments, mean over seeds", bumps, settings=own, digits=".2f")


experiment = Experiment(
    question="What is learned when, of a matrix of several components, from which start, under which optimizer?",
    source="Jermyn & Shlegeris 2022; Saxe et al. 2013; Braun et al. 2022",
    sweeps=sweeps,
    scales={"tiny": tiny, "full": full},
    readings=[staircases, component_escapes, shares_learned, deviations, escape_times, even_alignments, log_alignments],
    figures=[
        plateaus_and_escapes,
        staircase_and_components,
        flow_and_escape_law,
        alignment_over_training,
        bumps_by_optimizer,
    ],
    findings=[the_staircase, flow_and_law, bumps_under_adam],
    cost="n = 100 instead of 32: about an hour on two CPU cores, by the cost of a step, and 0.5 GB",
)
