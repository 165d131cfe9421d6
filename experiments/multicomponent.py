"""Learning several components at once: plateaus, escapes, bumps and optima of matrix factorisation, against theory.

A target A = sum_k s_k a_k b_kᵀ is learned as U Vᵀ from a small random start. Gradient flow has exact laws for the loss
of one component, the levels of the plateaus and the distribution of the time at which the first one ends; here the
same problem is also trained with other losses, optimizers and ranks and on sparse inputs, to see where they hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator
from scipy.stats import kstest

from toymodels import Axis, Choice, Record, Run, Sweep, draw, usable
from toymodels.analysis.alignment import bumps, component_alignment, span_alignment
from toymodels.analysis.dynamics import Plateau, plateaus
from toymodels.analysis.ranges import half_drop
from toymodels.analysis.statistics import difference, interval, proportion
from toymodels.config import get, replace
from toymodels.data import Distribution, Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept, left_out
from toymodels.laws import Geometric
from toymodels.losses import HalfSquaredError, InnerProduct, Loss, PowerError, SoftmaxCrossEntropy, SquaredError
from toymodels.optimizers import AdamW, Momentum
from toymodels.problems.factorize import Components, Factorize
from toymodels.store import OK, UNCONVERGED
from toymodels.theory import multicomponent as theory

OPTIMIZERS: dict[str, dict[str, Any]] = {
    # SGD is momentum without memory and Adam is AdamW without weight decay: two programs train all four.
    "SGD": {"optimizer": Momentum(decay=0.0)},
    "momentum": {"optimizer": Momentum(decay=0.9)},
    "Adam": {"optimizer": AdamW(weight_decay=0.0)},
    "AdamW": {"optimizer": AdamW(weight_decay=0.01)},
}
LOSSES: dict[str, dict[str, Any]] = {
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
TARGETS = 10_000
"""The target of seed i is drawn from seed TARGETS + i: never a seed that starts a run."""
QUARTILES = (0.25, 0.5, 0.75)
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
    slow: int
    small: Sequence[float]
    """Step sizes that are compared with the flow; `slow` steps of the smallest see the whole escape."""
    batch: int
    snapshots: int


TINY = Size(8, (1, 8), seeds=2, many=16, steps=200, long=600, slow=600, small=(0.04, 0.02), batch=16, snapshots=25)
DEFAULT = Size(32, (1, 2, 10, 32), 16, 256, 2000, 3000, 40_000, (1e-3, 5e-4, 2.5e-4), batch=64, snapshots=80)
FULL = Size(100, (1, 2, 10, 100), 32, 1024, 4000, 6000, 80_000, (1e-3, 5e-4, 2.5e-4, 1.25e-4), batch=256, snapshots=120)
SIZES = {"tiny": TINY, "default": DEFAULT, "full": FULL}


@cache
def target_of(target: Components) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, and the vectors a_k and b_k of its components as rows."""
    left, right = target.vectors()
    return np.asarray(target.matrix(), np.float64), np.asarray(left)[: target.rank], np.asarray(right)[: target.rank]


@cache
def growth_rate(target: Components, loss: Loss, data: Distribution | None) -> float:
    """Largest rate at which an overlap with the target grows from a small start, per unit of lr * steps."""
    A = target_of(target)[0]
    if data is not None:
        return 2 * float(theory.regression_growth_rates(A, data.second_moment()).rates[0])
    if isinstance(loss, PowerError):
        return float(theory.power_growth_rates(A, loss.power).rates[0])
    if isinstance(loss, SoftmaxCrossEntropy):
        return float(theory.cross_entropy_growth_rates(A).rates[0])
    return float(theory.squared_growth_rates(A).rates[0])


@cache
def entry_size(target: Components) -> float:
    """Root mean square entry of the largest component's vectors where both share it, sqrt(s_1 / n)."""
    return float(np.sqrt(np.linalg.norm(target_of(target)[0], 2) / target.n))


def step_size(run: Run) -> float:
    return float(get(run, "optimizer.lr"))


def in_natural_units(run: Run) -> Run:
    """The swept lr in units that fit every loss, and a target of its own for each seed.

    SGD, with momentum: lr / growth rate, times 1 - decay for what the memory adds. Adam moves each weight by about lr
    whatever the loss: a tenth of the size of what it has to learn.
    """
    target = replace(run.problem.target, {"seed": run.seed + TARGETS})
    if isinstance(run.optimizer, Momentum):
        unit = (1 - run.optimizer.decay) / growth_rate(target, run.problem.loss, run.problem.data)
    else:
        unit = 0.1 * entry_size(target)
    return replace(run, {"problem.target": target, "optimizer.lr": step_size(run) * unit})


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
    pair = Run(two, Momentum(), 1000 if scale != "tiny" else 400, record=Record(100, size.snapshots, linear=True))
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
            replace(one, {"steps": size.slow, "problem.scale": 1e-2}),
            [Axis("lr", "optimizer.lr", size.small), Axis("seed", "seed", range(2 * size.seeds))],
            in_natural_units,
        ),
        "escapes": Sweep(
            replace(one, {"optimizer.lr": 0.01}),
            [Axis(*ratio, [0.5, 0.9]), Axis(*start, [1e-3, 1e-2]), Axis("seed", "seed", range(size.many))],
            in_natural_units,
        ),
        "levels": Sweep(
            replace(four, {"optimizer.lr": 0.05}),
            [
                Axis(*ratio, [0.5, 0.6, 0.7, 0.8, 0.9]),
                Axis(*start, [1e-4, 1e-3, 1e-2]),
                Axis("seed", "seed", range(2 * size.seeds)),
            ],
            in_natural_units,
        ),
        "pairs": Sweep(
            pair,
            [
                optimizer,
                Axis("lr", "optimizer.lr", [0.05]),
                Axis(*ratio, [0.5, 0.8, 0.95]),
                Axis(*start, [1e-3, 1e-1]),
                Axis("seed", "seed", range(2 * size.seeds)),
            ],
            in_natural_units,
        ),
    }


# ------------------------------------------------------------------------------------------------------------- measures


def singular_values(run: Run) -> np.ndarray:
    return np.sort(np.asarray(run.problem.target.singular_values(), np.float64))[::-1]


def first_lr(data: xr.Dataset) -> xr.Dataset:
    """Figures and findings are of the first step size; an axis of several is there to be read from the store."""
    return data.isel(lr=0)


# ------------------------------------------------------------------------------------------------- plateaus and escapes


def detected(levels: Swept, ratio: float, scale: float) -> list[list[Plateau]]:
    """Plateaus of every usable run at one spectrum and initial scale."""
    cells = levels.data.sel(ratio=ratio, scale=scale)
    loss = usable(cells.objective, cells.status, unconverged=True).values
    return [plateaus(cells.step.values, run) for run in loss if np.isfinite(run).all()]


def predicted(levels: Swept, ratio: float, scale: float) -> np.ndarray:
    run = levels.run(ratio=ratio, scale=scale, seed=levels.sweep.axes[-1].labels[0])
    return np.asarray(theory.plateau_levels(singular_values(run), run.problem.rank))


def level_errors(levels: Swept, ratio: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """level / theory - 1 of every detected plateau of every run, and which of the predicted levels is its nearest."""
    expected = predicted(levels, ratio, scale)
    found = np.array([plateau.level for run in detected(levels, ratio, scale) for plateau in run])
    nearest = np.abs(np.log(found[:, None] / expected)).argmin(1)
    return found / expected[nearest] - 1, nearest


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
    level, time = theory.plateau_levels(s, rank), cells.step.values * step_size(run)
    loss = usable(cells.objective, cells.status, unconverged=True).values
    times = [half_drop(time, loss, level[k], level[k + 1]) for k in range(rank)]
    laws = [theory.escape_time_limit([s[k]], scale, rank - k) for k in range(rank)]
    return np.stack(times, -1), laws


def plateaus_and_escapes(levels: Swept) -> Figure:
    """Rank-4 learning of a full-rank target with a geometric spectrum by gradient descent. (a) Loss against step at
    ratio 1/2 and the middle initial scale: runs, median and quartiles over seeds, detected plateaus of the first seed
    (thick), the predicted levels (dashed) and, shaded, the predicted 5-95 % range of each component's escape. (b)
    Measured levels of all detected plateaus relative to theory (grey: within 2 %). (c) Share of seeds that show every
    intermediate plateau, with 95 % Wilson intervals."""
    figure, axes = plt.subplots(1, 3, figsize=(draw.PAGE, 2.5), width_ratios=(1.3, 1, 1))
    ratios, scales = levels.data.ratio.values, levels.data.scale.values
    _staircase(axes[0], levels, ratios[0], scales[len(scales) // 2])
    places = np.arange(len(ratios))
    for index, (scale, colour) in enumerate(zip(scales, draw.PALETTE, strict=False)):
        shift = 0.24 * (index - (len(scales) - 1) / 2)
        for place, ratio in enumerate(ratios):
            errors = 100 * level_errors(levels, ratio, scale)[0]
            x = place + shift + np.linspace(-0.08, 0.08, len(errors))
            axes[1].plot(x, errors, ".", ms=2, mew=0, color=colour, rasterized=True)
        shown = [staircases(levels, ratio, scale) for ratio in ratios]
        share = proportion([each.sum() for each in shown], [len(each) for each in shown])
        axes[2].plot(places + shift, share.mean, "o", color=colour, label=f"{scale:g}")
        axes[2].vlines(places + shift, share.low, share.high, color=colour, lw=0.9)
    axes[1].axhspan(-2, 2, color="0.9", lw=0, zorder=0)
    axes[1].axhline(0, color=draw.THEORY, ls=(0, (4, 2)), lw=0.8, zorder=1)
    for ax in axes[1:]:
        ax.set_xticks(places, [f"{ratio:g}" for ratio in ratios])
        ax.set_xlabel("ratio $s_{k+1} / s_k$")
    axes[1].set_ylabel("level above theory (%)")
    axes[2].set(ylabel="share of seeds\nwith all plateaus", ylim=(-0.03, 1.03))
    axes[2].legend(loc="upper right", title="initial scale", title_fontsize=7)
    draw.panel_labels(axes)
    return figure


def _staircase(ax: Axes, levels: Swept, ratio: float, scale: float) -> None:
    cells = levels.data.sel(ratio=ratio, scale=scale)
    lr = step_size(levels.run(ratio=ratio, scale=scale, seed=levels.sweep.axes[-1].labels[0]))
    expected = predicted(levels, ratio, scale)
    loss = usable(cells.objective, cells.status, unconverged=True).values
    draw.loss_curves(ax, cells.step[1:], loss[:, 1:], colour=draw.BLUE)
    for plateau in plateaus(cells.step.values, cells.objective.values[0]):
        ax.plot([max(plateau.start, 1), plateau.stop], [plateau.level] * 2, color=draw.RED, lw=2.2, zorder=3)
    for law in component_escapes(levels, ratio, scale)[1]:
        ax.axvspan(*(law.ppf([0.05, 0.95]) / lr), color="0.88", lw=0, zorder=0)
    ax.set(xlim=(10, None), ylim=(expected[-1] / 2, expected[0] * 2))
    draw.levels(ax, expected, [f"$L_{k}$" for k in range(len(expected))])


def _level_finding(levels: Swept, scale: float) -> Finding:
    errors, of = level_errors(levels, 0.5, scale)
    middle = np.array([np.median(errors[of == level]) for level in np.unique(of)])
    shown = staircases(levels, 0.5, scale)
    single = f"single plateaus: {np.mean(np.abs(errors) <= 0.02):.0%} of {len(errors)} within 2 %"
    return Finding(
        f"plateau levels against theory, ratio 1/2, initial scale {scale:g}, {len(shown)} seeds",
        f"medians of {len(middle)} levels off by up to {np.abs(middle).max(initial=0):.2%}; {single}, "
        f"worst {np.abs(errors).max(initial=0):.1%}",
        "medians within 2 %",
        bool(len(middle) and np.abs(middle).max() <= 0.02),
    )


def level_findings(levels: Swept) -> list[Finding]:
    """Levels where consecutive singular values differ by 2x and the start is small; escapes; how often elsewhere."""
    small = [scale for scale in levels.data.scale.values if scale <= 1e-3]
    found = [_level_finding(levels, scale) for scale in small]
    for scale in small:
        times, laws = component_escapes(levels, 0.5, scale)
        mean = interval(times)
        expected = np.array([law.mean for law in laws])
        found.append(
            Finding(
                f"mean escape time of each component, ratio 1/2, scale {scale:g}, {len(times)} seeds",
                ", ".join(f"{m:.3g} ({a:.3g}-{b:.3g})" for m, a, b in np.transpose(np.array(mean))),
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
            time = cell.step.values * step_size(run)
            kept = time <= run.steps * step_size(run) * lrs.min() / lr
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
    times = half_drop(cells.step.values * step_size(run), loss, level[0], level[1])
    law = theory.escape_time_distribution(s, scale, 1, (run.problem.target.n, run.problem.target.m))
    return times[np.isfinite(times)], law


def flow_and_escape_law(flow: Swept, escapes: Swept) -> Figure:
    """Rank-one learning of a full-rank target. (a) Trained loss (dots) on the exact gradient flow (dashed) from the
    same start, at the smallest step size, one colour a seed; time is step size x step. (b) Largest deviation over time,
    each seed a dot, against the step size, with a line of slope one. (c) Escape times from the first plateau over
    seeds, and their law over random starts (dashed)."""
    figure, axes = plt.subplots(1, 3, figsize=(draw.PAGE, 2.5))
    worst, lrs = flow_deviations(flow)
    for seed, colour in zip(flow.data.seed.values[:5], draw.PALETTE, strict=False):
        _on_the_flow(axes[0], flow, lrs.min(), seed, colour)
    axes[0].set(xlabel="time $s_1 t$", ylabel="loss")
    axes[1].loglog(np.repeat(lrs[:, None], worst.shape[1], 1), worst, ".", color=draw.BLUE, ms=3)
    axes[1].loglog(lrs, np.median(worst, 1)[-1] * lrs / lrs[-1], color=draw.THEORY, ls=(0, (4, 2)), lw=0.9)
    axes[1].axhline(1e-3, color="0.7", lw=0.6)
    axes[1].set_xticks(lrs, [f"{lr:g}" for lr in lrs])
    axes[1].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[1].yaxis.set_major_formatter("{x:g}")
    axes[1].xaxis.set_minor_locator(NullLocator())
    axes[1].yaxis.set_minor_formatter(NullFormatter())
    axes[1].set(xlabel="step size $\\eta s_1$", ylabel="$\\max_t |L - L_{flow}|\\, / L(0)$")
    places = [(ratio, scale) for ratio in escapes.data.ratio.values for scale in escapes.data.scale.values]
    for index, (ratio, scale) in enumerate(places):
        times, law = escape_samples(escapes, ratio, scale)
        draw.ecdf(axes[2], times, law.cdf, f"{ratio:g}, {scale:g}", draw.PALETTE[index])
    handles, labels = axes[2].get_legend_handles_labels()
    kept = dict(sorted(zip(labels, handles, strict=True), key=lambda each: each[0] == "theory"))
    axes[2].legend(kept.values(), kept.keys(), title="ratio, scale", loc="lower right", title_fontsize=7)
    axes[2].set(xlabel="escape time $s_1 t$")
    draw.panel_labels(axes)
    return figure


def _on_the_flow(ax: Axes, flow: Swept, lr: float, seed: int, colour: str) -> None:
    run, cell = flow.run(lr=lr, seed=seed), flow.data.sel(lr=lr, seed=seed)
    time, start = cell.step.values * step_size(run), cell.isel(snapshot=0)
    A = target_of(run.problem.target)[0]
    exact = theory.rank_one_flow(A, start.U.values[:, 0], start.V.values[:, 0], time)
    kept = slice(None, None, max(1, len(time) // 40))
    ax.plot(time[kept], cell.objective.values[kept], "o", ms=2.5, color=colour)
    ax.plot(time, exact.loss, color=draw.THEORY, ls=(0, (4, 2)), lw=0.9, zorder=1)


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


# ------------------------------------------------------------------------------------------------- alignment and bumps


def pair_alignment(pairs: Swept, **labels: Any) -> tuple[np.ndarray, np.ndarray, xr.DataArray]:
    """Of the converged runs at these labels, over snapshots: |cos| of each learned with each target component (runs,
    snapshots, learned, target), alignment of the spans of U and the a_k (runs, snapshots); and the status of all runs.
    """
    cells, base = first_lr(pairs.data).sel(**labels), pairs.sweep.base.problem.target
    vectors = [target_of(replace(base, {"seed": int(seed) + TARGETS}))[1:] for seed in cells.seed.values]
    left, right = (np.stack(side)[:, None] for side in zip(*vectors, strict=True))
    U, V = (cells[name].transpose("seed", "snapshot", ..., "component").values for name in "UV")
    good = cells.status.values == OK
    span = np.asarray(span_alignment(U.swapaxes(-1, -2), left))
    return np.asarray(component_alignment(U, V, left, right))[good], span[good], cells.status


def bump_counts(pairs: Swept, **labels: Any) -> np.ndarray:
    """Number of bumps of prominence >= 0.1 in each run, over its four alignments of a learned with a target one."""
    each = pair_alignment(pairs, **labels)[0]
    curves = each.reshape(*each.shape[:2], each.shape[2] * each.shape[3]).swapaxes(1, 2)
    return np.array([sum(len(bumps(curve)) for curve in run) for run in curves], float)


def alignment_over_training(pairs: Swept) -> Figure:
    """Rank-2 learning of a rank-2 target, by optimizer, at the middle ratio and the smallest initial scale; first half
    of the steps. (a-d) |cos| of each learned component u_i v_iᵀ with each target component a_k b_kᵀ, in the run that
    has most bumps of all seeds. (e-h) Over all seeds, median and quartiles: alignment of the learned with the target
    span, which no mixing of the components changes, and mean |cos| of the best one-to-one matching, which depends on
    it."""
    figure, axes = plt.subplots(2, 4, figsize=(draw.PAGE, 3.6), sharex=True, sharey=True, squeeze=False)
    labels = {"ratio": _middle(pairs.data.ratio.values), "scale": pairs.data.scale.values[0]}
    steps = pairs.data.snapshot.values
    for (top, bottom), optimizer in zip(axes.T, pairs.data.optimizer.values, strict=False):
        each, span, status = pair_alignment(pairs, optimizer=optimizer, **labels)
        top.set_title(optimizer)
        bottom.set_xlabel("step")
        draw.excluded(bottom, left_out(status))
        if not len(each):
            continue
        most = each[np.argmax(bump_counts(pairs, optimizer=optimizer, **labels))]
        for learned, colour in enumerate(draw.PALETTE[:2]):
            top.plot(steps, most[:, learned, 0], color=colour, label=f"learned {learned + 1}, target 1")
            top.plot(
                steps, most[:, learned, 1], color=colour, ls=(0, (3, 1.5)), label=f"learned {learned + 1}, target 2"
            )
        for name, values, colour in (("span", span, draw.BLACK), ("matched", _matched(each), draw.ORANGE)):
            low, middle, high = np.quantile(values, QUARTILES, 0)
            draw.band(bottom, steps, low, middle, high, name, colour)
    axes[0, 0].set(ylabel="|cos| of components", ylim=(-0.03, 1.03), xlim=(0, steps[-1] / 2))
    axes[1, 0].set(ylabel="alignment")
    draw.panel_labels(axes)
    keys = [dict(zip(*row[0].get_legend_handles_labels()[::-1], strict=True)) for row in axes]
    merged = keys[0] | keys[1]
    figure.legend(merged.values(), merged.keys(), loc="outside lower center", ncols=3)
    return figure


def _middle(values: np.ndarray) -> float:
    return values[len(values) // 2]


def _matched(each: np.ndarray) -> np.ndarray:
    """Mean |cos| of the better of the two one-to-one pairings of two components: (runs, snapshots)."""
    straight, crossed = each[..., 0, 0] + each[..., 1, 1], each[..., 0, 1] + each[..., 1, 0]
    return np.maximum(straight, crossed) / 2


def bumps_by_optimizer(pairs: Swept) -> Figure:
    """Bumps in the alignment of a learned with a target component, per run of a rank-2 target learned at rank 2: maxima
    that rise and fall back by at least 0.1. Means over seeds with 95 % bootstrap intervals, by optimizer, against the
    ratio of the singular values; one panel an initial scale."""
    scales = pairs.data.scale.values
    figure, axes = plt.subplots(1, len(scales), figsize=(draw.PAGE * 0.75, 2.4), sharey=True, squeeze=False)
    for ax, scale in zip(axes[0], scales, strict=True):
        for index, optimizer in enumerate(pairs.data.optimizer.values):
            for place, ratio in enumerate(pairs.data.ratio.values):
                mean = interval(bump_counts(pairs, optimizer=optimizer, ratio=ratio, scale=scale))
                x, colour = place + 0.15 * (index - 1.5), COLOURS[optimizer]
                ax.plot(x, mean.mean, "o", color=colour, label=optimizer if place == 0 else None)
                ax.vlines(x, mean.low, mean.high, color=colour, lw=0.9)
        ax.set_xticks(range(pairs.data.ratio.size), [f"{ratio:g}" for ratio in pairs.data.ratio.values])
        ax.set(xlabel="ratio $s_2 / s_1$", title=f"initial scale {scale:g}")
        draw.excluded(ax, "")
    axes[0, 0].set(ylabel="bumps per run")
    axes[0, 0].set_ylim(bottom=0)
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    draw.panel_labels(axes)
    return figure


def bump_findings(pairs: Swept) -> list[Finding]:
    """Whether Adam shows more bumps than SGD."""
    found = []
    names = pairs.data.optimizer.values
    for scale in pairs.data.scale.values if {"SGD", "Adam"} <= set(names) else ():
        for ratio in pairs.data.ratio.values:
            counts = {name: bump_counts(pairs, optimizer=name, ratio=ratio, scale=scale) for name in names}
            gap = difference(counts["Adam"], counts["SGD"])
            means = [f"{name} {np.mean(each) if len(each) else np.nan:.2f}" for name, each in counts.items()]
            found.append(
                Finding(
                    f"bumps per run, ratio {ratio:g}, scale {scale:g}, {len(counts['SGD'])} seeds",
                    f"{', '.join(means)}; Adam - SGD {gap:+.2f}",
                    "Adam more than SGD (conjecture)",
                    True if gap.low > 0 else False if gap.high < 0 else None,
                )
            )
    return found


# ----------------------------------------------------------------------------------------------------- losses and ranks


def optimum(ranks: Swept) -> xr.DataArray:
    """Eckart-Young: least 1/2 |A - Ã|^2 in units of 1/2 |A|^2, (target_rank, rank)."""
    s = singular_values(ranks.sweep.base)
    data = ranks.data
    least = [[(s[r:R] ** 2).sum() / (s[:R] ** 2).sum() for r in data["rank"].values] for R in data.target_rank.values]
    return xr.DataArray(least, dims=("target_rank", "rank"))


def final_error(ranks: Swept, unconverged: bool = True) -> xr.DataArray:
    """1/2 |A - Ã|^2 / (1/2 |A|^2) at the end, (loss, optimizer, target_rank, rank, seed)."""
    data = first_lr(ranks.data)
    s = singular_values(ranks.sweep.base)
    size = xr.DataArray(np.cumsum(s**2)[data.target_rank.values - 1] / 2, dims="target_rank")
    return usable(data.squared_error.isel(step=-1).load() / size, data.status, unconverged)


def losses_and_ranks(ranks: Swept) -> Figure:
    """What each loss makes of the common measure, 1/2 |A - Ã|^2 in units of its start: median and quartiles over seeds
    against the learned rank, for each rank of the target (columns) and each optimizer (rows), with the Eckart-Young
    optimum (dashed); linear below 0.01. Each seed has its own target, and step sizes are relative to what the loss
    predicts: to the inverse of its growth rate (SGD, momentum) or to the size of the weights (Adam). Open markers: more
    than half of the runs had not converged; runs that diverged are left out."""
    data, error, least = first_lr(ranks.data), final_error(ranks), optimum(ranks)
    optimizers, targets = data.optimizer.values, data.target_rank.values
    size = (draw.PAGE, 1.1 + 1.25 * len(optimizers))
    figure, axes = plt.subplots(len(optimizers), len(targets), figsize=size, sharex=True, sharey=True, squeeze=False)
    x = np.arange(data["rank"].size)
    for (row, column), ax in np.ndenumerate(axes):
        ax.hlines(least[column], x - 0.4, x + 0.4, color=draw.THEORY, ls=(0, (3, 1.5)), lw=0.9, zorder=1)
        for index, loss in enumerate(data.loss.values):
            here = {"loss": index, "optimizer": row, "target_rank": column}
            rough = (data.status.isel(here) == UNCONVERGED).mean("seed").values > 0.5
            places = x + 0.13 * (index - (data.loss.size - 1) / 2)
            low, middle, high = error.isel(here).quantile(QUARTILES, "seed").values
            draw.flagged_points(ax, places, middle, rough, COLOURS[loss], NAMES[loss])
            ax.vlines(places, low, high, color=COLOURS[loss], lw=0.9)
        ax.set_xticks(x, [str(rank) for rank in data["rank"].values])
    for ax, target in zip(axes[0], targets, strict=True):
        ax.set_title(f"target rank {target}")
    for ax, optimizer in zip(axes[:, 0], optimizers, strict=True):
        ax.set_ylabel(f"{optimizer}\n$|A - \\tilde A|^2 / |A|^2$")
    for ax in axes[-1]:
        ax.set_xlabel("learned rank")
    axes[0, 0].set_yscale("symlog", linthresh=0.01)
    axes[0, 0].set_ylim(-0.002, 2 * max(1.0, float(error.quantile(0.75, "seed").max())))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def rank_findings(ranks: Swept) -> list[Finding]:
    """The optimum of Eckart and Young at every rank; where cross-entropy ends; what unbounded growth leaves."""
    error, least, found = final_error(ranks), optimum(ranks), []
    data = first_lr(ranks.data)
    for optimizer in data.optimizer.values:
        gap = (error.sel(loss="squared", optimizer=optimizer) - least).load()
        late = int((data.status.sel(loss="squared", optimizer=optimizer) == UNCONVERGED).sum())
        found.append(
            Finding(
                f"squared error above Eckart-Young, in |A|^2 / 2, {optimizer}, all ranks and targets, "
                f"{gap.notnull().sum().item()} runs",
                f"largest {float(gap.max()):.2%}, median {float(gap.median()):.1e}; {late} runs still falling",
                "<= 1 %",
                bool(float(gap.max()) <= 0.01),
            )
        )
    for loss in data.loss.values[1:]:
        gap = (error.sel(loss=loss, optimizer="SGD") - least).median("seed")
        full = gap.isel(target_rank=-1).values
        text = ", ".join(f"rank {rank}: {each:+.3f}" for rank, each in zip(data["rank"].values, full, strict=True))
        found.append(Finding(f"the same for {loss}, SGD, full-rank target, median", text, "no prediction", None))
    return found


# ------------------------------------------------------------------------------------------------------- sparse inputs


def expected_losses(sparse: Swept) -> tuple[np.ndarray, np.ndarray]:
    """Exact E|(A - Ã) x|^2 at the end (optimizer, p, rank, seed) and its optimum (p, rank, seed), over its start."""
    data, base = first_lr(sparse.data).isel(snapshot=-1), sparse.sweep.base.problem
    U, V = (data[name].transpose("optimizer", "p", "rank", "seed", ..., "component").values for name in "UV")
    final, least = np.full(U.shape[:4], np.nan), np.full(U.shape[1:4], np.nan)
    for i, p in enumerate(data.p.values):
        moment = np.asarray(replace(base.data, {"p": float(p)}).second_moment(), np.float64)
        for j, seed in enumerate(data.seed.values):
            A = target_of(replace(base.target, {"seed": int(seed) + TARGETS}))[0]
            s = np.linalg.svd(theory.regression_target(A, moment), compute_uv=False)
            levels = 2 * theory.plateau_levels(s)
            final[:, i, :, j] = theory.regression_loss(A, U[:, i, :, j], V[:, i, :, j], moment) / levels[0]
            least[i, :, j] = levels[data["rank"].values] / levels[0]
    return final, least


def sparse_escapes(sparse: Swept) -> tuple[np.ndarray, np.ndarray]:
    """lr x steps to the half-drop of rank-one SGD (p, seed): measured, and of descent on the expected loss."""
    data = first_lr(sparse.data).sel(optimizer="SGD", rank=1)
    measured, expected = np.full((2, data.p.size, data.seed.size), np.nan)
    for i, p in enumerate(data.p.values):
        for j, seed in enumerate(data.seed.values):
            run = sparse.run(optimizer="SGD", lr=sparse.data.lr.values[0], p=p, rank=1, seed=seed)
            A, cell, lr = target_of(run.problem.target)[0], data.isel(p=i, seed=j), step_size(run)
            moment = np.asarray(run.problem.data.second_moment(), np.float64)
            levels = 2 * theory.plateau_levels(np.linalg.svd(theory.regression_target(A, moment), compute_uv=False), 1)
            U, V = (cell[name].isel(snapshot=0).values[:, :1] for name in "UV")
            curve = theory.expected_descent(A, U, V, moment, lr, run.steps)
            expected[i, j] = lr * half_drop(np.arange(run.steps + 1), curve, *levels)
            # The evaluation loss is a mean over a finite sample of inputs: read as a fraction of its own start.
            loss = cell.objective.values * levels[0] / cell.objective.values[0]
            measured[i, j] = lr * half_drop(cell.step.values, loss, *levels)
    return measured, expected


def sparsity(sparse: Swept) -> Figure:
    """Regression on sparse non-negative inputs, E|(A - Ã) x|^2. (a) Loss of rank-one SGD in units of its start, by
    activation probability p: runs, median and quartiles over seeds, and the median level of the first plateau (dotted)
    of the matrix A E[x xᵀ]^(1/2). (b) Time, step size x step, to the first half-drop, each seed a dot, and the median
    of gradient descent on the expected loss from the same starts (dashed). (c) Exact expected loss at the end by
    learned rank, SGD (filled) and Adam (open), medians and quartiles over seeds, and its optimum (dashed, where on the
    axis)."""
    figure, axes = plt.subplots(1, 3, figsize=(draw.PAGE, 2.6))
    data = first_lr(sparse.data)
    colours = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, data.p.size))
    final, least = expected_losses(sparse)
    cells = data.sel(optimizer="SGD", rank=1)
    measured, expected = sparse_escapes(sparse)
    for i, (p, colour) in enumerate(zip(data.p.values, colours, strict=True)):
        loss = usable(cells.objective, cells.status, unconverged=True).isel(p=i).values
        draw.loss_curves(axes[0], data.step[1:], loss[:, 1:] / loss[:, :1], f"$p$ = {p:g}", colour, log_loss=False)
        axes[0].axhline(np.median(least[i, 0]), color=colour, ls=":", lw=0.9)
        axes[1].loglog([p] * measured.shape[1], measured[i], "o", ms=2.5, color=colour, alpha=0.6)
    axes[0].legend(loc="center left")
    axes[0].set(ylabel="loss / start", ylim=(0, 1.03))
    axes[1].loglog(data.p.values, np.nanmedian(expected, 1), color=draw.THEORY, ls=(0, (4, 2)), lw=0.9)
    axes[1].set(xlabel="activation probability $p$", ylabel="time of the first half-drop")
    _optimum_against_sparsity(axes[2], data, final, least)
    draw.excluded(axes[0], left_out(cells.status, "kept"))
    draw.panel_labels(axes)
    return figure


def _optimum_against_sparsity(ax: Axes, data: xr.Dataset, final: np.ndarray, least: np.ndarray) -> None:
    floor, names = 1e-7, list(data.optimizer.values)
    for name, shift in (("SGD", 0.92), ("Adam", 1.08)):
        reached = final[names.index(name)]
        for r, rank in enumerate(data["rank"].values):
            low, middle, high = np.nanquantile(reached[:, r], QUARTILES, 1).clip(floor)
            x, colour = data.p.values * shift, draw.PALETTE[r]
            label, face = (f"rank {rank}", colour) if name == "SGD" else (None, "white")
            ax.plot(x, middle, "o", color=colour, mfc=face, label=label, zorder=3)
            ax.vlines(x, low, high, color=colour, lw=0.9)
            ax.plot(data.p.values, np.median(least[:, r], 1), color=draw.THEORY, ls=(0, (4, 2)), lw=0.9, zorder=1)
    ax.set(xscale="log", yscale="log", xlabel="activation probability $p$", ylabel="expected loss / start")
    ax.set_ylim(floor / 2, 300)
    ax.legend(loc="upper center", ncols=2, columnspacing=0.8, handletextpad=0.1)


def sparse_findings(sparse: Swept) -> list[Finding]:
    measured, expected = sparse_escapes(sparse)
    ratio = np.nanmedian(measured / expected, 1)
    text = ", ".join(f"p={p:g}: {each:.3f}" for p, each in zip(sparse.data.p.values, ratio, strict=True))
    found = [
        Finding(
            "half-drop of rank-one SGD over that of descent on the expected loss, median",
            text,
            "1 within 10 %",
            bool((np.abs(ratio - 1) < 0.1).all()),
        )
    ]
    final, least = expected_losses(sparse)
    for optimizer, reached in zip(sparse.data.optimizer.values, final, strict=True):
        gap = np.nanmedian(reached - least, (1, 2))
        late = int((first_lr(sparse.data).status.sel(optimizer=optimizer) == UNCONVERGED).sum())
        text = ", ".join(f"p={p:g}: {each:.2%}" for p, each in zip(sparse.data.p.values, gap, strict=True))
        what = f"expected loss above the optimum of reduced-rank regression, {optimizer}, median"
        found.append(Finding(what, f"{text}; {late} runs still falling", "<= 1 %", bool((gap <= 0.01).all())))
    return found


experiment = Experiment(
    question="What is learned when, of a matrix of several components, under which loss, optimizer and sparsity?",
    source="Jermyn & Shlegeris 2022; Saxe et al. 2013; Braun et al. 2022",
    sweeps=sweeps,
    figures=[
        plateaus_and_escapes,
        flow_and_escape_law,
        alignment_over_training,
        bumps_by_optimizer,
        losses_and_ranks,
        sparsity,
    ],
    findings=[level_findings, flow_findings, escape_findings, bump_findings, rank_findings, sparse_findings],
    cost="n = 100 instead of 32: about 5 hours on two CPU cores, by the cost of a step, and 1.5 GB",
)
