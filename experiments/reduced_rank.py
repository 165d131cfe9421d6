"""Which optimum a factorisation reaches, at each rank, under which optimizer, loss and sparsity.

A target A = sum_k s_k a_k b_kᵀ is learned as U Vᵀ from a small random start; `multicomponent` has what is learned when.
The least squared error of a rank is that of the truncated target; on inputs x, that of reduced-rank regression.
"""

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Components, Factorize, Geometric, Momentum, Record, Run, Sparse, Sweep, draw
from toymodels.analysis.factorisations import above_optimum, half_drops, still_falling
from toymodels.estimates import median, share
from toymodels.experiment import Experiment, Swept, left_out
from toymodels.findings import AtLeast, AtMost, Finding, Near, ours, report
from toymodels.losses import HalfSquaredError, InnerProduct, PowerError, SoftmaxCrossEntropy, SquaredError
from toymodels.problems.least_squares import exact_descents, exact_losses, truncated_levels
from toymodels.problems.natural_steps import OPTIMIZERS, among, in_natural_units, step_sizes
from toymodels.results import UNCONVERGED

POWERS = {"inner_product": InnerProduct(), "l1_5": PowerError(1.5), "l4": PowerError(4.0)}
LOSSES = {"squared": HalfSquaredError(), "cross_entropy": SoftmaxCrossEntropy(), **POWERS}
NAMES = dict(zip(LOSSES, ("half squared error", "cross-entropy", "inner product", "$L^{1.5}$", "$L^4$"), strict=True))
RANKS, QUARTILES, SMALLEST = (1, 2, 10, 32), (0.25, 0.5, 0.75), 1e-7  # losses below the smallest are drawn there


def problems(n: int) -> dict[str, Factorize]:
    """The problem of each sweep in n dimensions."""
    squared = Factorize(Components(n, n, n, Geometric(0.9, first=8.0)), components=n)
    regression = Factorize(Components(n, n, n, Geometric(0.5)), components=n, loss=SquaredError(), data=Sparse(n, 0.1))
    return {"ranks": squared, "sparse": regression, "dense": regression}


def sweep(name: str, optimizers: list[str], steps: int, batch: int, record: Record, *axes: Axis | Choice) -> Sweep:
    base = Run(problems(32)[name], Momentum(), steps, batch, record=record)
    first = Choice("optimizer", among(*optimizers)), Axis("lr", "optimizer.lr", [0.1])
    last = Axis("rank", "problem.rank", RANKS), Axis("seed", "seed", range(16))
    return Sweep(base, (*first, *axes, *last), in_natural_units)


few, target_rank = Record(100, 2, examples=512), Axis("target_rank", "problem.target.rank", RANKS)
loss = Choice("loss", {name: {"problem.loss": loss} for name, loss in LOSSES.items()})
sweeps = {
    "ranks": sweep("ranks", list(OPTIMIZERS), 2000, 1024, Record(60, 1), loss, target_rank),
    "sparse": sweep("sparse", list(OPTIMIZERS), 2000, 64, few, Axis("p", "problem.data.p", [0.03, 0.1, 0.3, 1.0])),
    "dense": sweep("dense", ["SGD", "momentum"], 16_000, 64, few, Axis("p", "problem.data.p", [1.0])),
}


def sized(n: int, ranks: tuple[int, ...], seeds: int, batch: int, steps: int, long: int) -> dict[str, object]:
    """Overrides for targets in n dimensions."""
    found: dict[str, object] = {f"{name}.problem": problem for name, problem in problems(n).items()}
    found |= {"rank": ranks, "target_rank": ranks, "seed": range(seeds), "sparse.batch": batch, "dense.batch": batch}
    return found | {"steps": steps, "dense.steps": long}


# ------------------------------------------------------------------------------------------------------------- readings
def errors(ranks: Swept) -> xr.Dataset:
    """1/2 |A - Ã|^2 at the end and its least value (Eckart & Young 1936), in units of 1/2 |A|^2."""
    levels = truncated_levels(ranks.sweep.base.problem, ranks.data.target_rank)
    found = above_optimum(ranks.finite("squared_error", lr=0, step=-1), levels)
    return found.assign(late=ranks.data.status.isel(lr=0) == UNCONVERGED)


def long_losses(dense: Swept) -> xr.Dataset:
    """Exact E|(A - Ã) x|^2 at the end and its least value at each rank, in units of its start."""
    base, late = dense.sweep.base, dense.data.status.isel(lr=0) == UNCONVERGED
    found = exact_losses(base.problem, *(dense.finite(name, lr=0, snapshot=-1) for name in "UV"))
    return above_optimum(found.loss, found.level).assign(late=late, level=found.level).assign_attrs(steps=base.steps)


def sparse_losses(sparse: Swept) -> xr.Dataset:
    """The same, and the first half-drops, lr x steps, of rank-one SGD and of descent on the expected loss."""
    found, base, one = long_losses(sparse), sparse.sweep.base, {"optimizer": "SGD", "rank": 1}
    U, V = (sparse.finite(name, lr=0, snapshot=0).sel(one).isel(component=[0]) for name in "UV")
    loss, size = sparse.finite(lr=0).sel(one), step_sizes(sparse.sweep).isel(lr=0).sel(one)
    first, last = (found.level.isel(stage=stage) for stage in (0, 1))
    # The evaluation loss is a mean over a finite sample of inputs: read as a fraction of its own start.
    curves = {"measured": loss / loss.isel(step=0) * first}
    curves["expected"] = exact_descents(base.problem, U, V, size, base.steps)
    return found.assign({name: half_drops(curve, first, last) * size for name, curve in curves.items()})


# -------------------------------------------------------------------------------------------------------------- figures
def losses_and_ranks(errors: xr.Dataset) -> Figure:
    """What each loss makes of the common measure, 1/2 |A - Ã|^2 in units of its start: median and quartiles over seeds
    by learned rank, rank of the target (columns) and optimizer (rows), and the Eckart-Young optimum (dashed); linear
    below 0.01. Each seed has its own target. Step sizes are in units of the inverse growth rate of the loss (SGD,
    momentum) or of the size of the weights (Adam). Open: most runs not converged; those that diverged are left out."""
    (rows, columns), x = (errors.sizes[name] for name in ("optimizer", "target_rank")), np.arange(errors.sizes["rank"])
    figure, axes = draw.panels(rows, columns, 1.1 + 1.25 * rows, sharex=True, sharey=True, letters=False, squeeze=False)
    for (row, column), ax in np.ndenumerate(axes):
        ax.hlines(errors.least[column], x - 0.4, x + 0.4, color=draw.THEORY, ls=draw.DASHED, lw=0.9, zorder=1)
        for name, colour, shift in zip(errors.loss.values, draw.PALETTE, draw.shifts(len(errors.loss)), strict=False):
            of = errors.isel(optimizer=row, target_rank=column).sel(loss=name)
            middle, rough = of.reached.quantile(QUARTILES, "seed").values, of.late.mean("seed") > 0.5
            draw.points(ax, x, middle, NAMES[name], colour, shift=shift, flagged=rough, ms=3.5)
        draw.ticks(ax, "x", x, errors["rank"].values)
    axes[0, 0].set_yscale("symlog", linthresh=0.01)
    measure = [f"{name}\n$|A - \\tilde A|^2 / |A|^2$" for name in errors.optimizer.values]
    draw.outer_labels(axes, "learned rank", measure, [f"target rank {rank}" for rank in errors.target_rank.values])
    looks = {"quartiles": draw.whisker(), "most not converged": draw.key("", "0.3", marker="o", mfc="white", ms=3.5)}
    draw.legend_below(figure, axes, {"optimum": draw.DASHED} | looks, columns=4, above=True)
    return figure


def sparsity(sparse: Swept, sparse_losses: xr.Dataset, long_losses: xr.Dataset) -> Figure:
    """Regression on sparse inputs, E|(A - Ã) x|^2. (a) Loss of rank-one SGD in units of its start, by activation
    probability p: runs, median and quartiles over seeds, and the median level of the first plateau of A E[x xᵀ]^(1/2)
    (dotted). (b) Time, step size x step, to the first half-drop: seeds (dots), and the median of descent on the
    expected loss from the same starts (dash-dotted). (c) Exact expected loss at the end by learned rank, SGD (filled),
    Adam (open), SGD after many more steps (diamonds): medians, quartiles; the optimum (dashed, where on the axis)."""
    figure, (curves, times, ends) = draw.panels(1, 3, height=3.0)
    one, medians = {"optimizer": "SGD", "rank": 1}, sparse_losses[["least", "expected"]].median("seed")
    p, loss = sparse_losses.p.values, sparse.finite(lr=0).sel(one)
    for index, colour in enumerate(mpl.colormaps["viridis"](np.linspace(0, 0.85, len(p)))):
        own, label = (loss / loss.isel(step=0)).isel(p=index, step=slice(1, None)), f"$p$ = {p[index]:g}"
        draw.loss_curves(curves, own.step, own, label, colour, log_loss=False)
        curves.axhline(medians.least.sel(rank=1)[index], color=colour, ls=draw.DOTTED, lw=0.9)
        draw.cloud(times, p[index], sparse_losses.measured.isel(p=index), colour=colour, ms=2.5)
    draw.theory(times, p, medians.expected, dash="-.")
    open_, diamond = {"marker": "o", "mfc": "white"}, {"marker": "D"}
    looks = (("SGD", sparse_losses, -4, {}), ("Adam", sparse_losses, 4, open_), ("SGD", long_losses, 0, diamond))
    for rank, colour in zip(sparse_losses["rank"].values, draw.PALETTE, strict=False):
        for name, data, shift, look in looks:
            reached = data.reached.sel(optimizer=name, rank=rank).quantile(QUARTILES, "seed").clip(SMALLEST).values
            draw.points(ends, data.p, reached, "" if look else f"rank {rank}", colour, shift=shift, ms=3.5, **look)
        draw.theory(ends, p, medians.least.sel(rank=rank))
    curves.set(ylabel="loss / start", ylim=(0, 1.03))
    for ax, label in ((times, "time of the first half-drop"), (ends, "expected loss / start")):
        ax.set(xscale="log", yscale="log", xlabel="activation probability $p$", ylabel=label)
    ends.set_ylim(SMALLEST / 2, 3)
    draw.excluded(curves, left_out(sparse.data.status.isel(lr=0).sel(one), "kept"))
    keys = {"a seed (a)": draw.key("-", "0.6", lw=0.4), "quartiles (a)": draw.shade(), "first plateau (a)": draw.DOTTED}
    keys |= {"a seed (b)": draw.key("", "0.5", marker="o", ms=2.5), "expected loss (b)": "-."}
    for (name, _, _, look), words in zip(looks, ("", "", ", longer"), strict=True):
        keys[f"{name}{words} (c)"] = draw.key("", "0.3", **{"marker": "o", "ms": 3.5} | look)
    keys |= {"quartiles (c)": draw.whisker(), "optimum (c)": draw.DASHED}
    draw.legend_below(figure, [curves, ends], keys, columns=5)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def squared_errors(errors: xr.Dataset) -> Iterator[Finding]:
    """Every optimizer reaches the least squared error of every rank; how near other losses come."""
    what = "seeds whose squared error ends within 1 % of its start above the optimum at all ranks, for all targets"
    revised = "was the largest excess; now the share of seeds, which is a statement about others"
    for name in errors.optimizer.values.tolist():
        own, source = errors.sel(loss="squared", optimizer=name), ours("limits; Eckart & Young 1936")
        attained = share((own.reached - own.least <= 0.01).all(["target_rank", "rank"]))
        more = {"settings": {"optimizer": name}, "revised": revised, "note": still_falling(own.late)}
        yield Finding("eckart-young", what, attained, AtLeast(0.8), source, **more)
    what = "squared error above the optimum after training SGD on another loss, full-rank target, median over seeds"
    for name in errors.loss.values[1:].tolist():
        own = errors.sel(loss=name, optimizer="SGD").isel(target_rank=-1)
        yield report("other-losses", what, median(own.reached - own.least), settings={"loss": name})


def regression(sparse_losses: xr.Dataset, long_losses: xr.Dataset) -> Iterator[Finding]:
    """On inputs, SGD escapes as descent on the expected loss does, and every rank reaches its optimum."""
    what = "time of rank-one SGD's first half-drop over that of descent on the expected loss, median over seeds"
    ratio, source = median(sparse_losses.measured / sparse_losses.expected), ours("tolerance; the limit of small steps")
    yield Finding("half-drop-of-sgd", what, ratio, Near(1, 0.1), source)
    what = "expected loss above the optimum of reduced-rank regression, over its start, median over seeds"
    revised = "was the median of all ranks together; now of each, because those that attain it hid those that do not"
    sparse, dense = (sparse_losses.sel(p=chosen) for chosen in (sparse_losses.p < 1, sparse_losses.p == 1))
    for part, data in (("sparse", sparse), ("dense", dense), ("dense", long_losses)):
        for name in data.optimizer.values.tolist():
            own, at = data.sel(optimizer=name), {"optimizer": name, "steps": data.attrs["steps"]}
            gap, source = median(own.reached - own.least), ours("limit; Izenman 1975")
            more = {"settings": at, "revised": revised, "note": still_falling(own.late), "digits": ".2%"}
            yield Finding(f"regression-on-{part}-inputs", what, gap, AtMost(0.01), source, **more)


experiment = Experiment(
    question="Which optimum does a factorisation reach, at which rank, under which loss, optimizer and sparsity?",
    source="Eckart & Young 1936; Izenman 1975; Jermyn & Shlegeris 2022",
    sweeps=sweeps,
    scales={"tiny": sized(8, (1, 8), 2, 16, 200, 600), "full": sized(100, (1, 2, 10, 100), 32, 256, 4000, 32_000)},
    readings=[errors, sparse_losses, long_losses],
    figures=[losses_and_ranks, sparsity],
    findings=[squared_errors, regression],
    cost="n = 100 instead of 32: about 7 hours on two CPU cores, by the cost of a step, and 1.2 GB",
)
