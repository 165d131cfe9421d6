"""Learning several components at once: plateaus, escapes, bumps and optima of matrix factorisation, against theory.

A target A = sum_k s_k a_k b_kᵀ is learned as U Vᵀ from a small random start. Gradient flow has exact laws for the loss
of one component, the levels of the plateaus and the distribution of the time at which the first one ends; here the
same problem is also trained with other losses, optimizers and ranks and on sparse inputs, to see where they hold.
"""

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import kstest

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis.factorisations import above_optimum, alignments, half_drops, matched, treads
from toymodels.data import Sparse
from toymodels.estimates import each, mean, median, share
from toymodels.experiment import Experiment, Swept, left_out
from toymodels.findings import Above, AtLeast, AtMost, Finding, Near, Somewhere, ours, report
from toymodels.laws import Geometric
from toymodels.losses import HalfSquaredError, InnerProduct, PowerError, SoftmaxCrossEntropy, SquaredError
from toymodels.optimizers import AdamW, Momentum
from toymodels.problems.factorize import Components, Factorize
from toymodels.problems.natural_steps import in_natural_units, target_matrix, targets
from toymodels.results import UNCONVERGED, usable
from toymodels.theory import multicomponent as theory

# SGD is momentum without memory and Adam is AdamW without weight decay: two programs train all four.
OPTIMIZERS = {"SGD": Momentum(decay=0), "momentum": Momentum(), "Adam": AdamW(weight_decay=0), "AdamW": AdamW()}
POWERS = {"inner_product": InnerProduct(), "l1_5": PowerError(1.5), "l4": PowerError(4.0)}
LOSSES = {"squared": HalfSquaredError(), "cross_entropy": SoftmaxCrossEntropy(), **POWERS}
NAMES = dict(zip(LOSSES, ("half squared error", "cross-entropy", "inner product", "$L^{1.5}$", "$L^4$"), strict=True))
COLOURS = dict(zip([*OPTIMIZERS, *LOSSES], draw.PALETTE[:4] + draw.PALETTE[:5], strict=True))
SMALLEST = 1e-7
"""Losses below it, relative to the start, are drawn there."""
QUARTILES, PLACES = (0.25, 0.5, 0.75), (np.arange(512) + 0.5) / 512


def factorize(n: int, ratio: float = 0.5, first: float = 1.0, rank: int | None = None, **learned: Any) -> Factorize:
    """An n x n target whose singular values fall geometrically, of full rank unless another is given."""
    return Factorize(Components(n, n, rank or n, Geometric(ratio, first=first)), **learned)


def problems(n: int) -> dict[str, Factorize]:
    """The problem of each sweep in n dimensions."""
    regression = factorize(n, components=n, loss=SquaredError(), data=Sparse(n, 0.1))
    found = {"ranks": factorize(n, 0.9, 8.0, components=n), "flow": factorize(n, scale=1e-2), "escapes": factorize(n)}
    found |= dict.fromkeys(("sparse", "dense"), regression)
    found |= dict.fromkeys(("levels", "descents"), factorize(n, components=4))
    return found | dict.fromkeys(("pairs", "early"), factorize(n, rank=2, components=2))


def sweep(name: str, optimizer: Any, steps: int, record: Record, *axes: Axis | Choice, batch: int = 1024) -> Sweep:
    return Sweep(Run(problems(32)[name], optimizer, steps, batch, record=record), axes, in_natural_units)


def among(*names: str) -> Choice:
    return Choice("optimizer", {name: {"optimizer": OPTIMIZERS[name]} for name in names})


lr, p, seed = partial(Axis, "lr", "optimizer.lr"), partial(Axis, "p", "problem.data.p"), partial(Axis, "seed", "seed")
ratio, scale = partial(Axis, "ratio", "problem.target.spectrum.ratio"), partial(Axis, "scale", "problem.scale")
rank, target_rank = (Axis(n, f"problem.{n.replace('_', '.')}", (1, 2, 10, 32)) for n in ("rank", "target_rank"))
loss, every = Choice("loss", {name: {"problem.loss": each} for name, each in LOSSES.items()}), among(*OPTIMIZERS)
mixed = [lr([0.05]), ratio([0.5, 0.8, 0.95]), scale([1e-3, 1e-1]), seed(range(32))]
learned = [loss, every, lr([0.1]), target_rank, rank, seed(range(16))]
half, tenths, small = ratio([0.5]), ratio([0.5, 0.6, 0.7, 0.8, 0.9]), scale([1e-4, 1e-3])
few, stairs, line = Record(100, 2, examples=512), Record(600, 2, linear=True), Record(1000, 2, linear=True)
regress, climb = partial(sweep, batch=64), Momentum(0.05, decay=0)
sweeps = {
    "ranks": sweep("ranks", Momentum(), 2000, Record(60, 1), *learned),
    "sparse": regress("sparse", Momentum(), 2000, few, every, lr([0.1]), p([0.03, 0.1, 0.3, 1.0]), *learned[-2:]),
    "dense": regress("dense", Momentum(), 16_000, few, among("SGD", "momentum"), lr([0.1]), p([1.0]), *learned[-2:]),
    "flow": sweep("flow", Momentum(decay=0), 40_000, line, lr([1e-3, 5e-4, 2.5e-4]), seed(range(32))),
    "escapes": sweep(
        "escapes", Momentum(0.01, 0), 3000, line, ratio([0.5, 0.9]), scale([1e-3, 1e-2]), seed(range(256))
    ),
    "levels": sweep("levels", climb, 3000, stairs, tenths, scale([1e-4, 1e-3, 1e-2]), seed(range(32))),
    "descents": sweep("descents", climb, 3000, stairs, half, small, seed(range(256))),
    "pairs": sweep("pairs", Momentum(), 1000, Record(100, 80, linear=True), every, *mixed),
    "early": sweep("early", Momentum(), 1000, Record(100, 120), among("SGD", "Adam"), *mixed),
}


def sized(n: int, seeds: int, many: int, batch: int, ranks: tuple[int, ...], **more: Any) -> dict[str, Any]:
    """Overrides for targets in n dimensions."""
    found = {f"{name}.problem": problem for name, problem in problems(n).items()} | {"seed": range(seeds)}
    found |= {f"{name}.seed": range(2 * seeds) for name in ("flow", "levels", "pairs", "early")}
    found |= {f"{name}.seed": range(many) for name in ("escapes", "descents")} | {"rank": ranks, "target_rank": ranks}
    return found | {f"{name}.batch": batch for name in ("sparse", "dense")} | more


tiny = sized(8, 2, 16, 16, (1, 8), steps=600) | {"flow.lr": (0.04, 0.02), "pairs.record.snapshots": 25}
tiny |= {"ranks.steps": 200, "sparse.steps": 200, "pairs.steps": 400, "early.steps": 400}
full = sized(100, 32, 1024, 256, (1, 2, 10, 100), steps=6000) | {"flow.lr": (1e-3, 5e-4, 2.5e-4, 1.25e-4)}
full |= {f"{name}.steps": 4000 for name in ("ranks", "sparse")} | {"flow.steps": 80_000, "dense.steps": 32_000}
full |= {f"{name}.steps": 1000 for name in ("pairs", "early")} | {"pairs.record.snapshots": 120}


# ------------------------------------------------------------------------------------------------------------- readings


def finite(swept: Swept, name: str = "objective") -> xr.DataArray:
    """A result of every run that did not diverge; NaN for the others."""
    return usable(swept.data[name].load(), swept.data.status, unconverged=True).astype(np.float64)


def step_sizes(swept: Swept) -> xr.DataArray:
    sizes = np.reshape([run.optimizer.lr for run in swept.sweep.runs()], swept.sweep.shape)
    return xr.DataArray(sizes, {axis.name: axis.labels for axis in swept.sweep.axes})


def spectra(swept: Swept) -> tuple[xr.DataArray, xr.DataArray]:
    """Singular values of the targets, in descending order, by ratio; the levels of the plateaus, by ratio."""
    size, rank = swept.sweep.base.problem.target.n, swept.sweep.base.problem.rank
    s = xr.DataArray([float(ratio) ** np.arange(size) for ratio in swept.data.ratio], dims=("ratio", "mode"))
    return s, xr.DataArray([theory.plateau_levels(values, rank) for values in s.values], dims=("ratio", "stage"))


def staircases(levels: Swept) -> xr.Dataset:
    """The plateaus of every run, and the predicted levels."""
    return treads(finite(levels), spectra(levels)[1]).assign(expected=spectra(levels)[1])


def component_escapes(descents: Swept) -> xr.Dataset:
    """Of components 1, 2, ...: the time of their half-drop, its law (mean; 5 and 95 %), and the levels between.

    A component that escapes after k others finds rank - k learned vectors free: their strength is chi^2 of so many
    degrees of freedom.
    """
    (s, levels), loss = (each.isel(ratio=0) for each in spectra(descents)), finite(descents).isel(ratio=0)
    last, size = levels.sizes["stage"] - 1, step_sizes(descents).isel(ratio=0)
    drops = [half_drops(loss, levels[k], levels[k + 1]) * size for k in range(last)]
    laws = [[theory.escape_time_limit([s[k]], c, last - k) for c in loss.scale.values] for k in range(last)]
    by_law = {"mean": (("component", "scale"), [[law.mean for law in row] for row in laws])}
    by_law["window"] = (("component", "scale", "end"), [[law.ppf([0.05, 0.95]) for law in row] for row in laws])
    found = {"time": xr.concat(drops, xr.Variable("component", np.arange(last) + 1)), **by_law}
    return xr.Dataset({**found, "size": size.mean("seed"), "stage_error": treads(loss, levels).stage_error})


def deviations(flow: Swept) -> xr.Dataset:
    """The exact loss from each start over the time that all step sizes cover (NaN later), s_1 t, and the largest
    |L - L_flow| / L(0) over time."""
    loss, starts = finite(flow), [finite(flow, name).isel(snapshot=0, component=0) for name in "UV"]
    time, exact = (loss.step * step_sizes(flow)).transpose(*loss.dims), xr.full_like(loss, np.nan)
    shared = loss.step * loss.lr <= loss.step.max() * loss.lr.min() * (1 + 1e-9)
    for run, (i, j) in zip(flow.sweep.runs(), np.ndindex(*loss.shape[:2]), strict=True):
        kept, start = shared.isel(lr=i).values, (each.values[i, j] for each in starts)
        A, t = target_matrix(run.problem.target), time.values[i, j, kept]
        exact[i, j, kept] = theory.rank_one_flow(A, *start, t).loss
    return xr.Dataset({"exact": exact, "time": time, "worst": abs(loss - exact).max("step") / exact.isel(step=0)})


def escape_times(escapes: Swept) -> xr.Dataset:
    """Half-drop times s_1 t of all seeds, quantiles and mean of their law, and the p of a Kolmogorov-Smirnov test."""
    (s, levels), target = spectra(escapes), escapes.sweep.base.problem.target
    times = half_drops(finite(escapes), levels.isel(stage=0), levels.isel(stage=1)) * step_sizes(escapes)
    law = partial(theory.escape_time_distribution, rank=1, shape=(target.n, target.m), samples=2048)
    laws = [[law(values, c) for c in times.scale.values] for values in s.values]
    tests = [
        [kstest(t[np.isfinite(t)], one.cdf) for t, one in zip(*row, strict=True)]
        for row in zip(times.values, laws, strict=True)
    ]
    by_law = {"mean": (("ratio", "scale"), [[one.mean for one in row] for row in laws])}
    by_law |= {"p": (("ratio", "scale"), [[test.pvalue for test in row] for row in tests])}
    quantiles = [[one.ppf(PLACES) for one in row] for row in laws]
    return xr.Dataset({"time": times, **by_law, "quantile": (("ratio", "scale", "place"), quantiles)})


def components(swept: Swept) -> xr.Dataset:
    """Alignments with the target, bumps, and whether a run was still falling."""
    own = targets(swept.sweep.base.problem, swept.data.seed.values)
    found = alignments(*(finite(swept, name).isel(lr=0) for name in "UV"), own.left, own.right)
    return found.assign(late=swept.data.status.isel(lr=0) == UNCONVERGED)


def even_alignments(pairs: Swept) -> xr.Dataset:
    """Alignments at evenly spaced snapshots."""
    return components(pairs)


def log_alignments(early: Swept) -> xr.Dataset:
    """Bumps at logarithmically spaced snapshots, which resolve the first steps."""
    return components(early)[["bumps", "late"]]


def errors(ranks: Swept) -> xr.Dataset:
    """1/2 |A - Ã|^2 at the end and its least value (Eckart & Young 1936), in units of 1/2 |A|^2."""
    s = np.asarray(ranks.sweep.base.problem.target.singular_values(), np.float64)
    levels = [theory.plateau_levels(np.where(np.arange(len(s)) < rank, s, 0)) for rank in ranks.data.target_rank.values]
    reached = finite(ranks, "squared_error").isel(lr=0, step=-1)
    found = above_optimum(reached, xr.DataArray(levels, dims=("target_rank", "stage")))
    return found.assign(late=ranks.data.status.isel(lr=0) == UNCONVERGED)


def expected_losses(swept: Swept) -> xr.Dataset:
    """Exact E|(A - Ã) x|^2 at the end and its least value at each rank, in units of its start."""
    (U, V), (A, moment) = (finite(swept, name).isel(lr=0, snapshot=-1) for name in "UV"), inputs(swept)
    core = [["row", "column"], ["row", "component"], ["column", "component"], ["column", "other"]]
    loss = xr.apply_ufunc(theory.regression_loss, A, U, V, moment, input_core_dims=core)
    signature = {"input_core_dims": [core[0], core[3]], "output_core_dims": [["stage"]], "vectorize": True}
    levels = xr.apply_ufunc(theory.regression_levels, A, moment, **signature)
    late = swept.data.status.isel(lr=0) == UNCONVERGED
    return above_optimum(loss, levels).assign(late=late, level=levels).assign_attrs(steps=swept.sweep.base.steps)


def inputs(swept: Swept) -> tuple[xr.DataArray, xr.DataArray]:
    """A of every seed, and E[x xᵀ] of every p."""
    problem = swept.sweep.base.problem
    moment = [np.asarray(Sparse(problem.target.m, float(p)).second_moment(), np.float64) for p in swept.data.p]
    return targets(problem, swept.data.seed.values).A, xr.DataArray(moment, dims=("p", "column", "other"))


def long_losses(dense: Swept) -> xr.Dataset:
    """The same after many more steps on dense inputs."""
    return expected_losses(dense)


def sparse_losses(sparse: Swept) -> xr.Dataset:
    """Exact losses at the end; the first half-drops, lr x steps, of rank-one SGD and of the expected descent."""
    found, (A, moment), at = expected_losses(sparse), inputs(sparse), {"optimizer": "SGD", "rank": 1}
    every = (*(finite(sparse, name) for name in ("U", "V", "objective")), step_sizes(sparse))
    U, V, loss, size = (each.sel(at).isel(lr=0).transpose("p", "seed", ...) for each in every)
    starts = (each.isel(snapshot=0, component=slice(1)).values for each in (U, V))
    curves = theory.expected_descent(A.values, *starts, moment.values[:, None], size.values, sparse.sweep.base.steps)
    descent = xr.DataArray(curves, dims=("p", "seed", "step"), coords={"step": np.arange(curves.shape[-1])})
    # The evaluation loss is a mean over a finite sample of inputs: read as a fraction of its own start.
    levels, shown = found.level.transpose("p", "seed", "stage"), loss / loss.isel(step=0)
    first, last = levels[..., 0], levels[..., 1]
    measured, expected = (half_drops(each, first, last) * size for each in (shown * first, descent))
    return found.assign(measured=measured, expected=expected)


# -------------------------------------------------------------------------------------------------------------- figures


def plateaus_and_escapes(levels: Swept, staircases: xr.Dataset, component_escapes: xr.Dataset) -> Figure:
    """Rank-4 learning of a full-rank target with a geometric spectrum by gradient descent. (a) Loss at ratio 1/2 and
    the middle initial scale: runs, median and quartiles over seeds, the plateaus detected in the first seed (thick,
    vermillion), the predicted levels (dashed) and the predicted 5-95 % range of each component's escape (shaded). (b)
    Levels of all detected plateaus relative to theory (grey: within 2 %). (c) Share of seeds that show every
    intermediate plateau, with Wilson intervals that hold together at 95 % for each initial scale (colours, as in b)."""
    figure, axes = draw.panels(1, 3, width_ratios=(1.3, 1, 1))
    scales, places = staircases.scale.values, np.arange(staircases.sizes["ratio"])
    shown = (levels.data.isel(ratio=0), staircases.isel(ratio=0), component_escapes)
    _staircase(axes[0], *(data.sel(scale=scales[len(scales) // 2], method="nearest") for data in shown))
    for scale, shift, colour in zip(scales, (-0.24, 0, 0.24), draw.PALETTE, strict=False):
        of = staircases.sel(scale=scale).transpose("ratio", "seed", ...)
        percent = 100 * of.error.values.reshape(len(places), -1)
        x = draw.aside(places + shift, percent.shape[1], 0.08, log=False)
        draw.cloud(axes[1], x, percent, colour=colour, ms=1.5)
        draw.points(axes[2], places + shift, share(of.complete).estimates, f"{scale:g}", colour)
    axes[1].axhspan(-2, 2, color="0.9", lw=0, zorder=0)
    draw.levels(axes[1], [0])
    for ax in axes[1:]:
        draw.ticks(ax, "x", places, staircases.ratio.values)
    axes[1].set(xlabel="ratio $s_{k+1} / s_k$", ylabel="level above theory (%)")
    axes[2].set(xlabel="ratio $s_{k+1} / s_k$", ylabel="share of seeds\nwith all plateaus", ylim=(-0.03, 1.03))
    draw.legend(axes[2], loc="upper right", title="initial scale")
    return figure


def _staircase(ax: Axes, cells: xr.Dataset, of: xr.Dataset, escapes: xr.Dataset) -> None:
    draw.loss_curves(ax, cells.step[1:], usable(cells.objective, cells.status, True).values[:, 1:], colour=draw.BLUE)
    ax.hlines(of.height[0], of.start[0].clip(1), of.stop[0], color=draw.RED, lw=2.2, zorder=3)
    for start, stop in (escapes.window / escapes["size"]).values:
        ax.axvspan(start, stop, color="0.88", lw=0, zorder=0)
    ax.set(xlim=(10, None), ylim=(of.expected[-1] / 2, of.expected[0] * 2))
    draw.levels(ax, of.expected.values, [f"$L_{k}$" for k in range(of.sizes["stage"])])


def flow_and_escape_law(flow: Swept, deviations: xr.Dataset, escape_times: xr.Dataset) -> Figure:
    """Rank-one learning of a full-rank target. (a) Trained loss (dots) on the exact gradient flow from the same start
    (dashed) at the smallest step size, one colour a seed; time is step size x step. (b) Largest deviation over time
    against the step size, each seed a dot, with a line of slope one (dashed) and the limit of the verdict (grey). (c)
    Escape times from the first plateau over seeds, and their law over random starts (dashed)."""
    figure, axes = draw.panels(1, 3)
    lrs, of = deviations.lr.values, deviations.assign(loss=flow.data.objective).sortby("lr").isel(lr=0)
    for index, colour in zip(range(of.sizes["seed"]), draw.PALETTE[:5], strict=False):
        one = of.isel(seed=index, step=slice(None, None, max(1, of.sizes["step"] // 40)))
        axes[0].plot(one.time, one.loss, "o", ms=2.5, color=colour)
        draw.theory(axes[0], of.time.isel(seed=index), of.exact.isel(seed=index), "exact flow")
    draw.cloud(axes[1], lrs[:, None], deviations.worst.transpose("lr", "seed"), ms=3, alpha=1)
    draw.log_axis(axes[1], "xy")
    draw.ticks(axes[1], "x", lrs)
    draw.theory(axes[1], lrs, of.worst.median().values * lrs / float(of.lr), "slope one")
    axes[1].axhline(1e-3, color="0.7", lw=0.6)
    for cell, colour in zip(np.ndindex(*escape_times["mean"].shape), draw.PALETTE, strict=False):
        one = escape_times.isel(ratio=cell[0], scale=cell[1])
        law = partial(np.interp, xp=one["quantile"].values, fp=PLACES)
        draw.ecdf(axes[2], one.time, law, f"{float(one.ratio):g}, {float(one.scale):g}", colour)
    axes[0].set(xlabel="time $s_1 t$", ylabel="loss")
    axes[1].set(xlabel="step size $\\eta s_1$", ylabel="$\\max_t |L - L_{flow}|\\, / L(0)$")
    axes[2].set(xlabel="escape time $s_1 t$")
    draw.legend(axes[0])
    draw.legend(axes[1])
    draw.legend(axes[2], title="ratio, scale", loc="lower right")
    return figure


def alignment_over_training(pairs: Swept, even_alignments: xr.Dataset) -> Figure:
    """Rank-2 learning of a rank-2 target, by optimizer, at the middle ratio and the smallest initial scale; first half
    of the steps. (a-d) |cos| of each learned component u_i v_iᵀ with each target component a_k b_kᵀ, in the run with
    the most bumps. (e-h) Median and quartiles over seeds: alignment of the learned with the target span, and
    mean |cos| of the best one-to-one matching. Only the span is identifiable: mixing the learned components leaves U Vᵀ
    and the loss as they are, so a matching below 1 is no failure to learn."""
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
        draw.excluded(bottom, left_out(pairs.data.status.isel(at).isel(lr=0).sel(optimizer=name), "kept"))
    axes[0, 0].set(ylim=(-0.03, 1.03), xlim=(0, even_alignments.snapshot.values[-1] / 2))
    draw.outer_labels(axes, "step", ("|cos| of components", "alignment"), list(even_alignments.optimizer.values))
    draw.legend_below(figure, axes, columns=3)
    return figure


def bumps_by_optimizer(even_alignments: xr.Dataset, log_alignments: xr.Dataset) -> Figure:
    """Bumps in the alignment of a learned with a target component, per run of a rank-2 target learned at rank 2: maxima
    that rise and fall back by at least 0.1. Means over seeds with Student's intervals that hold together at 95 % for
    each optimizer, against the ratio of the singular values; one panel an initial scale. Filled: at evenly spaced
    snapshots; open: at logarithmically spaced ones, of SGD and Adam only."""
    figure, axes = draw.panels(1, even_alignments.sizes["scale"], width=0.75 * draw.PAGE, height=2.4, sharey=True)
    x, shifts = np.arange(even_alignments.sizes["ratio"]), dict(zip(OPTIMIZERS, draw.shifts(4, 8.0), strict=True))
    looks = ((even_alignments, {}), (log_alignments, {"mfc": "white"}))
    for (index, ax), (data, look) in itertools.product(enumerate(axes), looks):
        for name in data.optimizer.values:
            found = mean(data.bumps.isel(scale=index).sel(optimizer=name)).estimates
            draw.points(ax, x, found, "" if look else name, COLOURS[name], shift=shifts[name] + 3 * bool(look), **look)
        draw.ticks(ax, "x", x, even_alignments.ratio.values)
        ax.set(xlabel="ratio $s_2 / s_1$", title=f"initial scale {even_alignments.scale.values[index]:g}")
    axes[0].set(ylabel="bumps per run", ylim=(0, None))
    draw.legend_below(figure, axes, {"log snapshots": draw.key("", "0.3", marker="o", mfc="white")})
    return figure


def losses_and_ranks(errors: xr.Dataset) -> Figure:
    """What each loss makes of the common measure, 1/2 |A - Ã|^2 in units of its start: median and quartiles over seeds
    against the learned rank, for each rank of the target (columns) and each optimizer (rows), with the Eckart-Young
    optimum (dashed); linear below 0.01. Each seed has its own target, and step sizes are relative to what the loss
    predicts: to the inverse of its growth rate (SGD, momentum) or to the size of the weights (Adam). Open markers: more
    than half of the runs had not converged; runs that diverged are left out."""
    (rows, columns), x = (errors.sizes[name] for name in ("optimizer", "target_rank")), np.arange(errors.sizes["rank"])
    figure, axes = draw.panels(rows, columns, 1.1 + 1.25 * rows, sharex=True, sharey=True, letters=False)
    for (row, column), ax in np.ndenumerate(axes):
        ax.hlines(errors.least[column], x - 0.4, x + 0.4, color=draw.THEORY, ls=draw.DASHED, lw=0.9, zorder=1)
        for name, shift in zip(errors.loss.values, draw.shifts(errors.sizes["loss"]), strict=True):
            of = errors.isel(optimizer=row, target_rank=column).sel(loss=name)
            middle, rough = of.reached.quantile(QUARTILES, "seed").values, of.late.mean("seed") > 0.5
            draw.points(ax, x, middle, NAMES[name], COLOURS[name], shift=shift, flagged=rough, ms=3.5)
        draw.ticks(ax, "x", x, errors["rank"].values)
    axes[0, 0].set_yscale("symlog", linthresh=0.01)
    axes[0, 0].set_ylim(-0.002, 2 * max(1.0, float(errors.reached.quantile(0.75, "seed").max())))
    measure = [f"{name}\n$|A - \\tilde A|^2 / |A|^2$" for name in errors.optimizer.values]
    draw.outer_labels(axes, "learned rank", measure, [f"target rank {rank}" for rank in errors.target_rank.values])
    draw.legend_below(figure, axes, {"optimum": draw.DASHED}, above=True)
    return figure


def sparsity(sparse: Swept, sparse_losses: xr.Dataset, long_losses: xr.Dataset) -> Figure:
    """Regression on sparse non-negative inputs, E|(A - Ã) x|^2. (a) Loss of rank-one SGD in units of its start, by
    activation probability p: runs, median and quartiles over seeds, and the median level of the first plateau of the
    matrix A E[x xᵀ]^(1/2) (dotted). (b) Time, step size x step, to the first half-drop, each seed a dot, and the median
    of gradient descent on the expected loss from the same starts (dashed). (c) Exact expected loss at the end by
    learned rank, SGD (filled), Adam (open) and SGD after many more steps (diamonds): medians and quartiles over seeds,
    and the optimum (dashed, where on the axis)."""
    figure, axes = draw.panels(1, 3, height=2.6)
    cells, p = sparse.data.isel(lr=0).sel(optimizer="SGD", rank=1), sparse.data.p.values
    loss = (finite(sparse) / finite(sparse).isel(step=0)).isel(lr=0).sel(optimizer="SGD", rank=1)
    for index, colour in enumerate(mpl.colormaps["viridis"](np.linspace(0, 0.85, len(p)))):
        draw.loss_curves(axes[0], loss.step[1:], loss[index, :, 1:], f"$p$ = {p[index]:g}", colour, log_loss=False)
        axes[0].axhline(sparse_losses.least.sel(rank=1).median("seed")[index], color=colour, ls=draw.DOTTED, lw=0.9)
        draw.cloud(axes[1], p[index], sparse_losses.measured.isel(p=index), colour=colour, ms=2.5)
    draw.theory(axes[1], p, sparse_losses.expected.median("seed"), "expected loss")
    open_, diamond = {"marker": "o", "mfc": "white"}, {"marker": "D"}
    looks = (("SGD", sparse_losses, -4, {}), ("Adam", sparse_losses, 4, open_), ("SGD", long_losses, 0, diamond))
    for r, rank in enumerate(sparse_losses["rank"].values):
        for name, data, shift, look in looks:
            reached = data.reached.sel(optimizer=name, rank=rank).quantile(QUARTILES, "seed").clip(SMALLEST).values
            label = "" if look else f"rank {rank}"
            draw.points(axes[2], data.p, reached, label, draw.PALETTE[r], shift=shift, ms=3.5, **look)
        draw.theory(axes[2], p, sparse_losses.least.sel(rank=rank).median("seed"))
    axes[0].set(ylabel="loss / start", ylim=(0, 1.03))
    axes[1].set(xscale="log", yscale="log", xlabel="activation probability $p$", ylabel="time of the first half-drop")
    axes[2].set(xscale="log", yscale="log", xlabel="activation probability $p$", ylabel="expected loss / start")
    axes[2].set_ylim(SMALLEST / 2, 300)
    draw.excluded(axes[0], left_out(cells.status, "kept"))
    marks = {"Adam": draw.key("", "0.3", **open_), "SGD, longer": draw.key("", "0.3", **diamond, ms=3.5)}
    draw.legend(axes[0], {"first plateau": draw.DOTTED}, loc="upper right")
    draw.legend(axes[1])
    draw.legend(axes[2], marks, loc="upper center", ncols=2)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings


def the_staircase(component_escapes: xr.Dataset, staircases: xr.Dataset) -> Iterator[Finding]:
    """Where each singular value is half of the one before, a small start climbs down the predicted stairs on time."""
    for place, scale in enumerate(component_escapes.scale.values.tolist()):
        of, at = component_escapes.isel(scale=place), {"scale": scale}
        what = "level of each plateau over that predicted, minus 1, median over the seeds that show it"
        source = ours("tolerance; levels of Baldi & Hornik 1989: half the sum of the squares not yet learned")
        more: dict[str, Any] = {"settings": at, "digits": ".2%"}
        yield Finding("plateau-levels", what, median(of.stage_error), Near(0, 0.02), source, **more)
        what = "mean time until each component has removed half of its loss, over that predicted"
        source = ours("tolerance; law of small starts, in which a component finds the free vectors only")
        yield Finding("component-escapes", what, mean(of.time / of["mean"]), Near(1, 0.05), source, settings=at)
    for place, scale in enumerate(staircases.scale.values.tolist()):
        what = "seeds that show every plateau between two components"
        yield report("all-plateaus", what, share(staircases.complete.isel(scale=place)), settings={"scale": scale})


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
        more = mean(data.bumps.sel(optimizer="Adam") - data.bumps.sel(optimizer="SGD"))
        for id, rule in (("more-bumps-everywhere", Above(0)), ("more-bumps-somewhere", Somewhere(Above(0)))):
            at = {"snapshots": snapshots}
            yield Finding(id, what, more, rule, source, settings=at, revised=revised, digits=".2f")
        for name in data.optimizer.values.tolist():
            at = {"optimizer": name, "snapshots": snapshots}
            bumps = mean(data.bumps.sel(optimizer=name))
            yield report("bumps", "bumps in a run's alignments, mean over seeds", bumps, settings=at, digits=".2f")


def optima(errors: xr.Dataset, sparse_losses: xr.Dataset, long_losses: xr.Dataset) -> Iterator[Finding]:
    """The least squared error at every rank, and, on sparse inputs, that of reduced-rank regression."""
    above = (errors.reached - errors.least).rename("above")
    for name in errors.optimizer.values.tolist():
        own, late = above.sel(loss="squared", optimizer=name), _late(errors.late.sel(loss="squared", optimizer=name))
        what = "seeds whose squared error ends within 1 % of its start above the optimum at all ranks, for all targets"
        attained, source = share((own <= 0.01).all(["target_rank", "rank"])), ours("limits; Eckart & Young 1936")
        revised = "was the largest excess; now the share of seeds, which is a statement about others"
        more = {"settings": {"optimizer": name}, "revised": revised, "note": late}
        yield Finding("eckart-young", what, attained, AtLeast(0.8), source, **more)
    for name in errors.loss.values[1:].tolist():
        what = "squared error above the optimum after training SGD on another loss, full-rank target, median over seeds"
        yield report("other-losses", what, median(above.sel(loss=name, optimizer="SGD")[-1]), settings={"loss": name})
    ratio, source = sparse_losses.measured / sparse_losses.expected, ours("tolerance; the limit of small steps")
    what = "time of rank-one SGD's first half-drop over that of descent on the expected loss, median over seeds"
    yield Finding("half-drop-of-sgd", what, median(ratio), Near(1, 0.1), source)
    what = "expected loss above the optimum of reduced-rank regression, over its start, median over seeds"
    revised = "was the median of all ranks together; now of each, because those that attain it hid those that do not"
    sparse, dense = sparse_losses.sel(p=sparse_losses.p < 1), sparse_losses.sel(p=sparse_losses.p == 1)
    for part, data in (("sparse", sparse), ("dense", dense), ("dense", long_losses)):
        for name in data.optimizer.values.tolist():
            at, late = {"optimizer": name, "steps": data.attrs["steps"]}, _late(data.late.sel(optimizer=name))
            gap, source = median((data.reached - data.least).sel(optimizer=name)), ours("limit; Izenman 1975")
            more = {"settings": at, "revised": revised, "note": late, "digits": ".2%"}
            yield Finding(f"regression-on-{part}-inputs", what, gap, AtMost(0.01), source, **more)


def _late(late: xr.DataArray) -> str:
    return f"{int(late.sum())} of {late.size} runs were still falling" if late.any() else ""


experiment = Experiment(
    question="What is learned when, of a matrix of several components, under which loss, optimizer and sparsity?",
    source="Jermyn & Shlegeris 2022; Saxe et al. 2013; Braun et al. 2022",
    sweeps=sweeps,
    scales={"tiny": tiny, "full": full},
    readings=[
        staircases,
        component_escapes,
        deviations,
        escape_times,
        even_alignments,
        log_alignments,
        errors,
        sparse_losses,
        long_losses,
    ],
    figures=[
        plateaus_and_escapes,
        flow_and_escape_law,
        alignment_over_training,
        bumps_by_optimizer,
        losses_and_ranks,
        sparsity,
    ],
    findings=[the_staircase, flow_and_law, bumps_under_adam, optima],
    cost="n = 100 instead of 32: about 7 hours on two CPU cores, by the cost of a step, and 1.6 GB",
)
