"""Energy levels: features jump between levels of their dimensionality, and the loss falls when they do. Elhage 2022."""

from functools import lru_cache

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.dynamics import jumps
from toymodels.analysis.falls_at_jumps import Course, falls
from toymodels.analysis.geometry import feature_dimensionality, tegum_factors
from toymodels.analysis.statistics import interval, proportion
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.models import Tied
from toymodels.optimizers import Adam, Momentum
from toymodels.problems.supervised import Supervised

SETTLED = 1 / 8
"""The part of training after which a jump counts as late: by then features have parted towards D = 0 and 1/2."""

REACH = 4
"""Records on each side of a jump in which the fall of the loss counts as its own."""

PAPER = "Elhage et al. 2022, section 6, phenomenon 1"


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    seeds = 2 if tiny else 64 if full else 16
    return {
        "digons": _digons(400 if tiny else 12_000, seeds, (400, 30) if full else (60, 6)),
        "levels": _levels(400 if tiny else 4000, seeds if tiny else seeds // 2),
    }


def _digons(steps: int, seeds: int, size: tuple[int, int]) -> Sweep:
    """Equal importances, ten times as many features as dimensions, at a p where nearly all seeds end in digons."""
    watched = Record(300, 300, linear=True, examples=8192)
    base = Run(Supervised(Sparse(size[0], p=0.3), Tied(size[1])), Adam(1e-3), steps, batch=512, record=watched)
    return Sweep(base, [Axis("seed", "seed", range(seeds))])


def _levels(steps: int, seeds: int) -> Sweep:
    """From a small start under decaying importances features are learned one after another, so that jumps are apart."""
    problem = Supervised(Sparse(20, p=0.3), Tied(5, scale=1e-3), SquaredError(Geometric(0.9)))
    watched = Record(200, 200, linear=True, examples=4096)
    base = Run(problem, Momentum(3e-2), steps=steps, batch=512, record=watched)
    return Sweep(base, [Axis("seed", "seed", range(seeds))])


# -------------------------------------------------------------------------------------------------------------- reading


def course(swept: Swept, seed: int, settled: float = 0.0, window: int = 8) -> Course:
    """Loss and D_i of one seed."""
    cell = swept.data.sel(seed=seed)
    W = cell.W.transpose("snapshot", "feature", "hidden").values.astype(np.float64)
    steps, loss = cell.snapshot.values, cell.objective.sel(step=cell.snapshot.values).values
    D = np.array([feature_dimensionality(w, dead=0.05) for w in W])
    since = settled * float(steps[-1])
    late = [jump for jump in jumps(steps, D.T, size=0.15, window=window) if jump.step > since]
    return Course(steps, loss.astype(np.float64), D, late, since, REACH)


@lru_cache(maxsize=4)
def courses(digons: Swept) -> list[Course]:
    return [course(digons, int(seed), SETTLED) for seed in digons.data.seed.values]


# -------------------------------------------------------------------------------------------------------------- figures


def energy_levels(digons: Swept) -> Figure:
    """a: dimensionality D_i(t) = |W_i|^2 / sum_j (Ŵ_i · W_j)^2 of every feature; b: the loss (other seeds grey, the
    first fall cut off). Equal importances: the seed with the most late jumps. Bold, dots and dotted lines: features
    that jump late, detected in each D_i(t) by itself; colours tell lines apart only."""
    found = courses(digons)
    shown = found[int(np.argmax([len(each.late) for each in found]))]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(draw.PAGE, 4.0), sharex=True, height_ratios=(1.6, 1))
    draw.trajectories(top, shown.steps, shown.measure.T, shown.late, log_steps=False)
    top.set(xlabel="", ylim=(-0.03, 1.02))
    for feature in {jump.feature for jump in shown.late}:
        top.plot(shown.steps, shown.measure[:, feature], color=f"C{feature % len(draw.PALETTE)}", lw=1.3)
    draw.levels(top, [1 / 2, 0], ["digon", "none"])
    for each in found:
        bottom.plot(each.steps, each.loss, color="0.8", lw=0.4)
    bottom.plot(shown.steps, shown.loss, color=draw.BLUE, lw=0.9)
    for jump in shown.late:
        bottom.axvline(jump.step, color=draw.THEORY, ls=":", lw=0.6, zorder=0)
    ends = [each.loss[-1] for each in found]
    start = shown.loss[int(len(shown.steps) * SETTLED / 2)]
    low = min(ends)
    bottom.set(xlabel="step", ylabel="loss", ylim=(low - 0.05 * (start - low), max(start, low + 1e-6)))
    draw.panel_labels([top, bottom])
    return figure


def around_jumps(digons: Swept) -> Figure:
    """a: loss around the late jumps of all seeds (of several features at once: one jump), less the loss when the
    window begins, mean with 95 % bootstrap interval (blue), and around three times as many random late
    moments, less those too near an end (grey).
    b: D_i of all features of all seeds at the end, and when a twentieth of training is over."""
    found = courses(digons)
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.3))
    rng, reach = np.random.default_rng(0), 3 * REACH
    moments = [(each, each.moments) for each in found]
    random = [(each, rng.uniform(each.since, each.steps[-1], 3 * len(times))) for each, times in moments]
    for chosen, colour, label in ((random, "0.5", "random moments"), (moments, draw.BLUE, "late jumps")):
        cut = [each.around(time, reach) for each, times in chosen for time in times]
        cut = [piece for piece in cut if piece is not None]
        if cut:
            away = np.arange(-reach, reach + 1) * (found[0].steps[1] - found[0].steps[0])
            mean = interval(np.array(cut))
            draw.band(left, away, mean.low, mean.mean, mean.high, label=f"{len(cut)} {label}", colour=colour)
            left.legend(loc="lower left")
    left.set(xlabel="steps after the jump", ylabel="change of the loss")
    bins = np.linspace(0, 1, 51)
    for place, colour, label in ((len(found[0].measure) // 20, "0.6", "early"), (-1, draw.BLUE, "end")):
        values = np.concatenate([each.measure[place] for each in found])
        right.hist(values, bins, weights=np.full(len(values), 1 / len(values)), color=colour, alpha=0.75, label=label)
    right.set(xlabel="feature dimensionality $D_i$", ylabel="share of features", yscale="log")
    right.legend(loc="upper right")
    draw.panel_labels([left, right])
    draw.excluded(right, digons.left_out("shown"))
    return figure


def learned_in_turn(levels: Swept) -> Figure:
    """a: dimensionality D_i(t) of every feature of one seed; b: its loss above the least of all seeds and times (other
    seeds grey), importances that decay. From a small start features are learned one after another, nearly alone, D near
    1, and give half of their dimension away when an antipode arrives; D_i ignores length, and means nothing before a
    feature has any. Dots and dotted lines: jumps, detected in each D_i(t) by itself; colours tell lines apart only."""
    shown = course(levels, int(levels.data.seed.values[0]), window=4)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(draw.PAGE, 3.8), sharex=True, height_ratios=(2, 1))
    draw.trajectories(top, shown.steps[1:], shown.measure[1:].T, shown.late)
    top.set(xlabel="", ylim=(-0.03, 1.08))
    draw.levels(top, [1, 1 / 2], ["point", "digon"])
    curves = levels.data.objective.transpose("seed", "step").values[:, 1:]
    above, steps = curves - 0.98 * np.nanmin(curves), levels.data.step.values[1:]
    bottom.plot(steps, above[1:].T, color="0.75", lw=0.5)
    bottom.plot(steps, above[0], color=draw.BLUE)
    for jump in shown.late:
        bottom.axvline(jump.step, color=draw.THEORY, ls=":", lw=0.6, zorder=0)
    bottom.set(xlabel="step", ylabel="loss above .98 of least", xscale="log", yscale="log")
    draw.panel_labels([top, bottom])
    return figure


# ------------------------------------------------------------------------------------------------------------- findings


def ends_in_digons(digons: Swept) -> list[Finding]:
    """Whether features end at D = 0 or 1/2, and in how many seeds all that are kept are digons."""
    D = np.array([each.measure[-1] for each in courses(digons)])
    near = interval((np.abs(D[..., None] - np.array([0, 1 / 2])).min(-1) <= 0.02).mean(1))
    last = digons.data.W.isel(snapshot=-1).transpose("seed", "feature", "hidden").values.astype(np.float64)
    kinds = [{factor.polytope for factor in tegum_factors(w, tol=0.1, dead=0.25).factors} for w in last]
    share = proportion(sum(kind == {"digon"} for kind in kinds), len(kinds))
    return [
        Finding(
            f"features that end within .02 of D = 0 or 1/2, {len(D)} seeds",
            f"{near:.3f}",
            "a model that ends in digons: at least .95",
            bool(near.mean >= 0.95),
            "D = 1/2 of a digon in closed form; " + PAPER,
        ),
        Finding("seeds that end in digons alone", f"{share:.2f}", "", None),
    ]


def loss_falls_at_jumps(digons: Swept) -> list[Finding]:
    """Late jumps: how many, and whether the late fall of the loss is where they are."""
    found = courses(digons)
    some = proportion(sum(bool(each.late) for each in found), len(found))
    counts, share = interval([len(each.late) for each in found]), falls(found)
    low, high = np.quantile(share.null, [0.025, 0.975])
    late = f"after {SETTLED:.1%} of training"
    return [
        Finding(
            f"seeds with a jump of D_i(t) by .15 {late}; jumps a seed",
            f"{some:.2f}; {counts:.2f}",
            "some features jump late",
            bool(some.low > 0),
            PAPER,
        ),
        Finding(
            f"fall of the loss {late} that is within {REACH} records of a jump",
            f"{share.loss:.0%} in {share.time:.1%} of the time; random moments {low:.1%} to {high:.1%}, "
            f"p = {share.p_value:.3f}",
            "more than at random moments, p < .01",
            share.p_value < 0.01,
            PAPER + ": the loss drops as features jump",
        ),
    ]


def jumps_between_levels(levels: Swept) -> list[Finding]:
    """With importances that decay: jumps a seed, the loss that falls while they happen, and where features end."""
    found = [course(levels, int(seed), window=4) for seed in levels.data.seed.values]
    counts, share = interval([len(each.late) for each in found]), falls(found)
    final = np.concatenate([each.measure[-1] for each in found])
    near = np.abs(final[:, None] - np.array([0, 1 / 2, 1])).min(axis=1) < 0.05
    low, high = np.quantile(share.null, [0.025, 0.975])
    return [
        Finding(
            "decaying importances: jumps of D_i(t) a seed",
            f"{counts:.1f}",
            "",
            None,
        ),
        Finding(
            f"decaying importances: fall of the loss within {REACH} records of a jump",
            f"{share.loss:.0%} in {share.time:.0%} of the time; random moments {low:.1%} to {high:.1%}, "
            f"p = {share.p_value:.3f}",
            "more than at random moments, p < .01",
            share.p_value < 0.01,
            PAPER + ": the loss drops as features jump",
        ),
        Finding(
            "decaying importances: features that end within .05 of D = 0, 1/2 or 1",
            f"{near.mean():.3f} of {near.size}",
            "",
            None,
        ),
    ]


experiment = Experiment(
    question="Do features jump between levels of their dimensionality, and does the loss fall when they do?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 6",
    sweeps=sweeps,
    figures=[energy_levels, around_jumps, learned_in_turn],
    findings=[ends_in_digons, loss_falls_at_jumps, jumps_between_levels],
    cost="64 models of 400 features in 30 dimensions, 12,000 steps, 300 snapshots (1 GB)",
)
