"""Learning several components at once: plateaus, escapes, bumps and optima of matrix factorisation, against theory.

A target A = sum_k s_k a_k b_kᵀ is learned as U Vᵀ from a small random start. Gradient flow has exact laws for the loss
of one component, the levels of the plateaus and the distribution of the time at which the first one ends; here the
same problem is also trained with other losses, optimizers and ranks and on sparse inputs, to see where they hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import kstest

from toymodels import Axis, Choice, Record, Run, Sweep, draw, usable
from toymodels.analysis.alignment import alignment, bumps, match, span_alignment
from toymodels.analysis.dynamics import Plateau, plateaus
from toymodels.analysis.statistics import interval, proportion
from toymodels.config import replace
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.laws import Geometric
from toymodels.losses import HalfSquaredError, InnerProduct, PowerError, SoftmaxCrossEntropy, SquaredError
from toymodels.optimizers import AdamW, Momentum
from toymodels.problems.factorize import Components, Factorize
from toymodels.theory import multicomponent as theory

OPTIMIZERS = {
    # SGD is momentum without memory and Adam is AdamW without weight decay: two programs train all four.
    "SGD": {"optimizer": Momentum(decay=0.0)},
    "momentum": {"optimizer": Momentum(decay=0.9)},
    "Adam": {"optimizer": AdamW(weight_decay=0.0)},
    "AdamW": {"optimizer": AdamW(weight_decay=0.01)},
}
LOSSES = {
    "squared": {"problem.loss": HalfSquaredError()},
    "cross_entropy": {"problem.loss": SoftmaxCrossEntropy()},
    "inner_product": {"problem.loss": InnerProduct()},
    "l1_5": {"problem.loss": PowerError(1.5)},
    "l4": {"problem.loss": PowerError(4.0)},
}
NAMES = {
    "squared": "half squared error",
    "cross_entropy": "cross-entropy",
    "inner_product": "inner product",
    "l1_5": "$L^{1.5}$",
    "l4": "$L^4$",
}
COLOURS = dict(zip([*OPTIMIZERS, *LOSSES], draw.PALETTE[:4] + draw.PALETTE[:5], strict=True))


@dataclass(frozen=True)
class Size:
    """What the three scales differ in."""

    n: int
    ranks: Sequence[int]
    seeds: int
    many: int
    steps: int
    long: int
    batch: int
    snapshots: int


SIZES = {
    "tiny": Size(n=8, ranks=(1, 8), seeds=2, many=16, steps=200, long=600, batch=16, snapshots=25),
    "default": Size(n=32, ranks=(1, 2, 10, 32), seeds=16, many=256, steps=2000, long=3000, batch=64, snapshots=80),
    "full": Size(n=100, ranks=(1, 2, 10, 100), seeds=32, many=1024, steps=20000, long=6000, batch=256, snapshots=120),
}


def growth_rate(problem: Factorize) -> float:
    """Largest rate at which an overlap with the target grows from a small start, per unit of lr * steps."""
    A, loss = np.asarray(problem.target.matrix()), problem.loss
    if problem.data is not None:
        return 2 * float(theory.regression_growth_rates(A, problem.data.second_moment()).rates[0])
    if isinstance(loss, PowerError):
        return float(theory.power_growth_rates(A, loss.power).rates[0])
    if isinstance(loss, SoftmaxCrossEntropy):
        return float(theory.cross_entropy_growth_rates(A).rates[0])
    return float(theory.squared_growth_rates(A).rates[0])


def in_natural_units(run: Run) -> Run:
    """The swept lr in units that fit every loss, and a target of its own for each seed.

    (Momentum) SGD: lr / growth rate, times 1 - decay for the steps that the memory adds. Adam moves each weight by about
    lr whatever the loss: a tenth of the root mean square entry of the largest component's vectors, sqrt(s_1 / n).
    """
    run = replace(run, {"problem.target.seed": run.seed + 10_000})
    optimizer, target = run.optimizer, run.problem.target
    if isinstance(optimizer, Momentum):
        unit = (1 - optimizer.decay) / growth_rate(run.problem)
    else:
        unit = 0.1 * float(np.sqrt(target.singular_values()[0] / target.n))
    return replace(run, {"optimizer.lr": optimizer.lr * unit})


def sweeps(scale: Scale) -> dict[str, Sweep]:
    size = SIZES[scale]
    n, seeds = size.n, Axis("seed", "seed", range(size.seeds))
    lr = Axis("lr", "optimizer.lr", [0.1])
    optimizer = Choice("optimizer", OPTIMIZERS)
    learned = Axis("rank", "problem.rank", size.ranks)
    spread = Factorize(Components(n, n, n, Geometric(0.9, first=8.0)), components=n)
    ranks = Run(spread, Momentum(), size.steps, record=Record(losses=60, snapshots=1))
    inputs = replace(spread, {"target.spectrum": Geometric(0.5), "loss": SquaredError(), "data": Sparse(n, 0.1)})
    sparse = replace(ranks, {"problem": inputs, "batch": size.batch, "record": Record(100, 2, examples=512)})
    steep = Components(n, n, n, Geometric(0.5))
    one = Run(Factorize(steep), Momentum(decay=0.0), size.long, record=Record(1000, 2, linear=True))
    four = replace(one, {"problem.components": 4, "problem.rank": 4, "record": Record(600, 2, linear=True)})
    two = Factorize(replace(steep, {"rank": 2}), components=2)
    pair = Run(two, Momentum(), 1000 if scale != "tiny" else 200, record=Record(100, size.snapshots, linear=True))
    ratio = ("ratio", "problem.target.spectrum.ratio")
    start = ("scale", "problem.scale")
    return {
        "ranks": Sweep(
            ranks,
            [
                Choice("loss", LOSSES),
                optimizer,
                lr,
                Axis("target_rank", "problem.target.rank", size.ranks),
                learned,
                seeds,
            ],
            in_natural_units,
        ),
        "sparse": Sweep(
            sparse,
            [optimizer, lr, Axis("p", "problem.data.p", [0.03, 0.1, 0.3, 1.0]), learned, seeds],
            in_natural_units,
        ),
        "flow": Sweep(
            one,
            [Axis("lr", "optimizer.lr", [0.08, 0.04, 0.02, 0.01]), Axis("seed", "seed", range(min(size.seeds, 16)))],
            in_natural_units,
        ),
        "escapes": Sweep(
            replace(one, {"optimizer.lr": 0.01}),
            [Axis(*ratio, [0.5, 0.9]), Axis(*start, [1e-3, 1e-2]), Axis("seed", "seed", range(size.many))],
            in_natural_units,
        ),
        "levels": Sweep(
            replace(four, {"optimizer.lr": 0.05}),
            [Axis(*ratio, [0.5, 0.6, 0.7, 0.8, 0.9]), Axis(*start, [1e-4, 1e-3, 1e-2]), seeds],
            in_natural_units,
        ),
        "pairs": Sweep(
            pair,
            [optimizer, Axis("lr", "optimizer.lr", [0.05]), Axis(*ratio, [0.5, 0.8, 0.95])]
            + [Axis(*start, [1e-3, 1e-1]), Axis("seed", "seed", range(2 * size.seeds))],
            in_natural_units,
        ),
    }


# ------------------------------------------------------------------------------------------------------------- measures


def singular_values(run: Run) -> np.ndarray:
    return np.sort(np.asarray(run.problem.target.singular_values(), np.float64))[::-1]


@cache
def target_of(target: Components) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, and the vectors a_k and b_k of its components as rows."""
    left, right = target.vectors()
    return np.asarray(target.matrix(), np.float64), np.asarray(left)[: target.rank], np.asarray(right)[: target.rank]


def first_lr(data: xr.Dataset) -> xr.Dataset:
    """Figures and findings are of the first step size; an axis of several is there to be read from the store."""
    return data.isel(lr=0)


def _left_out(status: xr.DataArray, shown_unconverged: bool = False) -> str:
    total = status.size
    diverged, unconverged = int((status == 2).sum()), int((status == 1).sum())
    words = [f"{diverged} of {total} runs diverged"] if diverged else []
    if unconverged and not shown_unconverged:
        words.append(f"{unconverged} of {total} unconverged left out")
    return ", ".join(words)


# -------------------------------------------------------------------------------------------------- plateaus and escapes


def detected(levels: Swept, ratio: float, scale: float) -> list[list[Plateau]]:
    """Plateaus of every usable run at one spectrum and initial scale."""
    cells = levels.data.sel(ratio=ratio, scale=scale)
    loss = usable(cells.objective, cells.status, unconverged=True).values
    return [plateaus(cells.step.values, run) for run in loss if np.isfinite(run).all()]


def predicted(levels: Swept, ratio: float, scale: float) -> np.ndarray:
    run = levels.run(ratio=ratio, scale=scale, seed=levels.sweep.axes[-1].labels[0])
    return theory.plateau_levels(singular_values(run), run.problem.rank)


def level_errors(levels: Swept, ratio: float, scale: float) -> np.ndarray:
    """level / theory - 1 of every detected plateau, theory being the nearest predicted level."""
    expected = predicted(levels, ratio, scale)
    found = np.array([plateau.level for run in detected(levels, ratio, scale) for plateau in run])
    nearest = np.abs(np.log(found[:, None] / expected)).argmin(1)
    return found / expected[nearest] - 1


def staircases(levels: Swept, ratio: float, scale: float) -> np.ndarray:
    """Whether each run shows all of its intermediate plateaus, one between each two components."""
    expected = len(predicted(levels, ratio, scale)) - 2
    runs = detected(levels, ratio, scale)
    return np.array([sum(plateau.kind == "interior" for plateau in run) == expected for run in runs], bool)


def component_escapes(levels: Swept, ratio: float, scale: float) -> tuple[np.ndarray, list[theory.EscapeLimit]]:
    """Half-drop times of components 1, 2, ... (in steps x lr; runs x components) and the law of each.

    A component that escapes after k others finds rank - k learned vectors free: their strength is chi^2 of so many
    degrees of freedom.
    """
    run = levels.run(ratio=ratio, scale=scale, seed=levels.sweep.axes[-1].labels[0])
    cells, s, rank = levels.data.sel(ratio=ratio, scale=scale), singular_values(run), run.problem.rank
    level, time = theory.plateau_levels(s, rank), cells.step.values * run.optimizer.lr
    loss = usable(cells.objective, cells.status, unconverged=True).values
    times = [theory.measured_escape(time, loss, level[k], level[k + 1]) for k in range(rank)]
    laws = [theory.escape_time_limit([s[k]], scale, rank - k) for k in range(rank)]
    return np.stack(times, -1), laws


def plateaus_and_escapes(levels: Swept) -> Figure:
    """Rank-4 learning of a full-rank target with a geometric spectrum by gradient descent. (a) Loss against step at
    ratio 1/2 and the middle initial scale: runs, median and quartiles over seeds, detected plateaus of the first seed
    (thick), the predicted levels (dashed) and, shaded, the predicted 5-95 % range of each component's escape. (b)
    Measured levels of all detected plateaus relative to theory. (c) Share of seeds that show every intermediate plateau,
    with 95 % Wilson intervals."""
    figure, axes = plt.subplots(1, 3, figsize=(draw.PAGE, 2.5), width_ratios=(1.3, 1, 1))
    ratios, scales = levels.data.ratio.values, levels.data.scale.values
    _staircase(axes[0], levels, ratios[0], scales[len(scales) // 2])
    for index, scale in enumerate(scales):
        label, colour = f"scale {scale:g}", draw.PALETTE[index]
        for place, ratio in enumerate(ratios):
            errors = 100 * level_errors(levels, ratio, scale)
            x = place + 0.25 * (index - 1) + np.linspace(-0.08, 0.08, len(errors))
            axes[1].plot(x, errors, ".", ms=1.5, color=colour, rasterized=True)
        shown = [staircases(levels, ratio, scale) for ratio in ratios]
        share = proportion([each.sum() for each in shown], [len(each) for each in shown])
        draw.band(axes[2], ratios, share.low, share.mean, share.high, label, colour, marker="o")
    axes[1].set_yscale("symlog", linthresh=2)
    axes[1].axhspan(-2, 2, color="0.9", lw=0, zorder=0)
    axes[1].axhline(0, color=draw.THEORY, ls=(0, (4, 2)), lw=0.8)
    axes[1].set_xticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
    axes[1].set(xlabel="ratio $s_{k+1} / s_k$", ylabel="level vs theory (%)")
    axes[2].set(xlabel="ratio $s_{k+1} / s_k$", ylabel="share with all plateaus", ylim=(-0.03, 1.03))
    axes[2].legend(loc="lower left")
    draw.panel_labels(axes)
    return figure


def _staircase(ax: Axes, levels: Swept, ratio: float, scale: float) -> None:
    cells = levels.data.sel(ratio=ratio, scale=scale)
    lr = levels.run(ratio=ratio, scale=scale, seed=levels.sweep.axes[-1].labels[0]).optimizer.lr
    expected = predicted(levels, ratio, scale)
    draw.loss_curves(
        ax, cells.step[1:], usable(cells.objective, cells.status, unconverged=True)[:, 1:], colour=draw.BLUE
    )
    for plateau in plateaus(cells.step.values, cells.objective.values[0]):
        ax.plot([max(plateau.start, 1), plateau.stop], [plateau.level] * 2, color=draw.RED, lw=2.2, zorder=3)
    for law in component_escapes(levels, ratio, scale)[1]:
        ax.axvspan(*(law.ppf([0.05, 0.95]) / lr), color="0.88", lw=0, zorder=0)
    ax.set(xlim=(10, None), ylim=(expected[-1] / 2, expected[0] * 2))
    draw.levels(ax, expected, [f"$L_{k}$" for k in range(len(expected))])


def level_findings(levels: Swept) -> list[Finding]:
    """Levels where consecutive singular values differ by 2x and the start is small; escapes; how often elsewhere."""
    small = [scale for scale in levels.data.scale.values if scale <= 1e-3]
    errors = np.concatenate([level_errors(levels, 0.5, scale) for scale in small])
    shown = np.concatenate([staircases(levels, 0.5, scale) for scale in small])
    found = [
        Finding(
            "plateau levels against theory, ratio 1/2, initial scale <= 1e-3",
            f"worst of {len(errors)} plateaus {np.abs(errors).max(initial=0):.2%}, all found in {shown.mean():.0%} of runs",
            "within 2 %",
            bool(len(errors) and np.abs(errors).max() <= 0.02),
        )
    ]
    for scale in small:
        times, laws = component_escapes(levels, 0.5, scale)
        mean = interval(times)
        expected = np.array([law.mean for law in laws])
        found.append(
            Finding(
                f"mean escape time of each component, ratio 1/2, scale {scale:g}, {len(times)} seeds",
                ", ".join(f"{m:.3g} ({a:.3g}-{b:.3g})" for m, a, b in zip(*mean, strict=True)),
                ", ".join(f"{time:.3g}" for time in expected) + " within 5 %",
                bool((np.abs(mean.mean / expected - 1) < 0.05).all()),
            )
        )
    for ratio in levels.data.ratio.values[1:]:
        each = staircases(levels, ratio, 1e-3)
        share = proportion(each.sum(), len(each))
        text = f"{share.mean:.2f} ({share.low:.2f}-{share.high:.2f}) of {len(each)} seeds"
        found.append(Finding(f"all plateaus visible, ratio {ratio:g}, scale 1e-3", text, "no prediction", None))
    return found


# ------------------------------------------------------------------------------------------ the flow and the escape law


def flow_deviations(flow: Swept) -> tuple[np.ndarray, np.ndarray]:
    """max_t |L_trained - L_flow| / L(0) (step sizes x seeds) over the time that all step sizes cover; step sizes."""
    lrs = flow.data.lr.values
    worst = np.full((len(lrs), flow.data.seed.size), np.nan)
    for i, lr in enumerate(lrs):
        for j, seed in enumerate(flow.data.seed.values):
            run, cell = flow.run(lr=lr, seed=seed), flow.data.sel(lr=lr, seed=seed)
            time = cell.step.values * run.optimizer.lr
            kept = time <= run.steps * run.optimizer.lr * lrs.min() / lr
            start = cell.isel(snapshot=0)
            exact = theory.rank_one_flow(
                target_of(run.problem.target)[0], start.U.values[:, 0], start.V.values[:, 0], time[kept]
            )
            worst[i, j] = np.abs(cell.objective.values[kept] - exact.loss).max() / exact.loss[0]
    return worst, lrs


def escape_samples(escapes: Swept, ratio: float, scale: float) -> tuple[np.ndarray, theory.EscapeSample]:
    """Measured half-drop times, s_1 t, of all seeds and their law."""
    run = escapes.run(ratio=ratio, scale=scale, seed=escapes.data.seed.values[0])
    s, cells = singular_values(run), escapes.data.sel(ratio=ratio, scale=scale)
    level, loss = theory.plateau_levels(s, 1), usable(cells.objective, cells.status, unconverged=True).values
    times = theory.measured_escape(cells.step.values * run.optimizer.lr, loss, level[0], level[1])
    law = theory.escape_time_distribution(s, scale, 1, (run.problem.target.n, run.problem.target.m))
    return times[np.isfinite(times)], law


def flow_and_escape_law(flow: Swept, escapes: Swept) -> Figure:
    """Rank-one learning of a full-rank target. (a) Trained loss (dots) on the exact gradient flow (dashed) from the same
    start, one colour a step size, first seed; time is step size x step. (b) Largest deviation over time, each seed a
    dot, against the step size, with a line of slope one. (c) Escape times from the first plateau over seeds, and their
    law over random starts (dashed)."""
    figure, axes = plt.subplots(1, 3, figsize=(draw.PAGE, 2.5))
    worst, lrs = flow_deviations(flow)
    for index, lr in enumerate(lrs[:: max(1, len(lrs) - 1)]):
        _on_the_flow(axes[0], flow, lr, draw.PALETTE[index])
    axes[0].legend(loc="upper right")
    axes[0].set(xlabel="time $s_1 t$", ylabel="loss", xlim=(0, 20))
    axes[1].loglog(np.repeat(lrs[:, None], worst.shape[1], 1), worst, ".", color=draw.BLUE, ms=3)
    axes[1].loglog(lrs, np.median(worst, 1)[-1] * lrs / lrs[-1], color=draw.THEORY, ls=(0, (4, 2)), lw=0.9)
    axes[1].axhline(1e-3, color="0.7", lw=0.6)
    axes[1].set_xticks(lrs, [f"{lr:g}" for lr in lrs])
    axes[1].minorticks_off()
    axes[1].set(xlabel="step size $\\eta s_1$", ylabel="$\\max_t |L - L_{flow}|\\, / L(0)$")
    places = [(ratio, scale) for ratio in escapes.data.ratio.values for scale in escapes.data.scale.values]
    for index, (ratio, scale) in enumerate(places):
        times, law = escape_samples(escapes, ratio, scale)
        draw.ecdf(axes[2], times, law.cdf, f"{ratio:g}, {scale:g}", draw.PALETTE[index])
    handles, labels = axes[2].get_legend_handles_labels()
    kept = {label: handle for handle, label in zip(handles, labels, strict=True)}
    axes[2].legend(kept.values(), kept.keys(), title="ratio, scale", loc="lower right", title_fontsize=7)
    axes[2].set(xlabel="escape time $s_1 t$")
    draw.panel_labels(axes)
    return figure


def _on_the_flow(ax: Axes, flow: Swept, lr: float, colour: str) -> None:
    seed = flow.data.seed.values[0]
    run, cell = flow.run(lr=lr, seed=seed), flow.data.sel(lr=lr, seed=seed)
    time, start = cell.step.values * run.optimizer.lr, cell.isel(snapshot=0)
    fine = np.linspace(0, 20, 300)
    exact = theory.rank_one_flow(target_of(run.problem.target)[0], start.U.values[:, 0], start.V.values[:, 0], fine)
    kept = np.unique(np.searchsorted(time, np.linspace(0, min(time[-1], 20), 25)).clip(0, len(time) - 1))
    ax.plot(time[kept], cell.objective.values[kept], "o", ms=2.5, color=colour, label=f"$\\eta s_1 = {lr:g}$")
    ax.plot(fine, exact.loss, color=draw.THEORY, ls=(0, (4, 2)), lw=0.9, zorder=1)


def flow_findings(flow: Swept) -> list[Finding]:
    worst, lrs = flow_deviations(flow)
    order = np.argsort(lrs)
    worst, lrs = worst[order], lrs[order]
    halving = np.median(worst[1:] / worst[:-1], 1) ** (1 / np.log2(lrs[1:] / lrs[:-1]))
    return [
        Finding(
            f"max over t of |L - L_flow| / L(0), step {lrs[0]:g}/s_1, {worst.shape[1]} seeds",
            f"{worst[0].max():.2e} (largest of the seeds)",
            "<= 1e-3",
            bool(worst[0].max() <= 1e-3),
        ),
        Finding(
            "ratio of that error between step sizes, per doubling",
            ", ".join(f"{x:.2f}" for x in halving),
            "2, within 10 %",
            bool((np.abs(halving / 2 - 1) < 0.1).all()),
        ),
    ]


def escape_findings(escapes: Swept) -> list[Finding]:
    found = []
    for ratio in escapes.data.ratio.values:
        for scale in escapes.data.scale.values:
            times, law = escape_samples(escapes, ratio, scale)
            test = kstest(times, law.cdf)
            found.append(
                Finding(
                    f"escape times of {len(times)} of {escapes.data.seed.size} seeds, ratio {ratio:g}, scale {scale:g}",
                    f"mean {times.mean():.3f}, KS p = {test.pvalue:.2f}",
                    f"mean {law.mean:.3f}, p > .01",
                    bool(test.pvalue > 0.01),
                )
            )
    return found


experiment = Experiment(
    question="What is learned when, of a matrix of several components, under which loss, optimizer and sparsity?",
    source="Jermyn & Shlegeris 2022; Saxe et al. 2013",
    sweeps=sweeps,
    figures=[plateaus_and_escapes, flow_and_escape_law],
    findings=[level_findings, flow_findings, escape_findings],
    cost="about 3 hours on two CPU cores and 2 GB",
)
