"""Hysteresis: annealed up and down in density, which transitions between geometries remember where they come from?"""

from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis.hysteresis import Branch, Loop, switch
from toymodels.analysis.statistics import interval, proportion
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.losses import SquaredError
from toymodels.models import Placed, Tied
from toymodels.optimizers import Adam
from toymodels.problems.annealed import Annealed
from toymodels.problems.population import Population
from toymodels.problems.supervised import Supervised
from toymodels.theory import superposition as theory

LEVEL = 0.3
"""Least over largest norm at which a feature counts as just gained or lost."""

RATIOS = (0.2, 0.4, 0.85)
"""Relative importance of the second of two features: two transitions with a jump, one without."""

RANGE = (0.08, 0.9)
"""Densities of two features."""

FIVE = {"density of all": (0.02, 0.5), "density of one": (0.07, 2.0)}
"""Densities of five features; that of one is relative to .05, which the others have."""

FIRST, LAST = "from sparse", "from dense"


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    stairs, seeds = (8, 2) if tiny else (60, 8)
    lengths = {"quick": 20} if tiny else {"quick": 100, "slow": 400, "slowest": 6400 if full else 1600}
    two = {name: _two(stairs, stairs * length, seeds) for name, length in lengths.items()}
    if tiny:
        two |= {"slow": two["quick"], "slowest": two["quick"]}
    return two | {"five": _five(4, 4 * 10, 2) if tiny else _five(40, 40 * (4000 if full else 400), seeds)}


def _annealed(
    problem: Population | Supervised, stairs: int, steps: int, ways: dict[str, Any], *axes: Any, seeds: int
) -> Sweep:
    record = Record(stairs + 1, stairs + 1, linear=True)
    base = Run(Annealed(problem, problem, stairs=stairs), Adam(3e-3), steps=steps, record=record)
    return Sweep(base, [*axes, Choice("way", ways), Axis("seed", "seed", range(seeds))])


def _way(start: Any, end: Any, W: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    same = {f"problem.{end}.model.{name}": value for end in ("start", "end") for name, value in (("W", W), ("b", b))}
    return {"problem.start.data.p": start, "problem.end.data.p": end} | same


def _two(stairs: int, steps: int, seeds: int) -> Sweep:
    """From an antipodal pair at low density, and from the first feature alone at high density."""
    pair, alone = np.array([[1.0], [-1.0]]), np.array([[1.0], [0.0]])
    low, high = RANGE
    ways = {FIRST: _way(low, high, pair, np.zeros(2)), LAST: _way(high, low, alone, np.array([0, high / 2]))}
    paths = [f"problem.{end}.loss.importance" for end in ("start", "end")]
    ratio = Choice("ratio", {f"{r:g}": dict.fromkeys(paths, (1.0, r)) for r in RATIOS})
    problem = Population(Sparse(2, low), Placed(Tied(1), pair, np.zeros(2), 0.02), SquaredError((1.0, 1.0)))
    return _annealed(problem, stairs, steps, ways, ratio, seeds=seeds)


def _five(stairs: int, steps: int, seeds: int) -> Sweep:
    """From a pentagon at one end and from two digons, a feature dropped, at the other."""
    W, b = theory.polygon_weights(5, 1.13), np.full(5, -0.25)
    digons, off = np.insert(theory.polygon_weights(4), 0, 0, 0), np.eye(5)[0]
    (low, high), (sparse, dense) = FIVE.values()
    one = [(0.05 * ratio, *(0.05,) * 4) for ratio in (sparse, dense)]
    ways = {
        f"density of all, {FIRST}": _way((low,) * 5, (high,) * 5, W, b),
        f"density of all, {LAST}": _way((high,) * 5, (low,) * 5, digons, off * high / 2),
        f"density of one, {FIRST}": _way(one[0], one[1], digons, off * one[0][0] / 2),
        f"density of one, {LAST}": _way(one[1], one[0], W, b),
    }
    # On draws, unlike two features: their noise leaves a saddle, where an exact gradient of 0 would stay.
    problem = Supervised(Sparse(5, one[0]), Placed(Tied(2), W, b, 0.02))
    return _annealed(problem, stairs, steps, ways, seeds=seeds)


@lru_cache(maxsize=64)
def branch(swept: Swept, span: tuple[float, float], way: str, **labels: Any) -> Branch:
    cells, problem = swept.data.sel(way=way, **labels), swept.run(way=way, **labels).problem
    stairs, steps = problem.stairs, swept.sweep.base.steps
    cells = cells.sel(snapshot=np.arange(1, stairs + 1) * steps // stairs)
    W, b = (cells[name].values.astype(np.float64) for name in ("W", "b"))
    ends = (np.broadcast_to(end.data.p, W.shape[-2]) for end in (problem.start, problem.end))
    p = np.stack([problem.levels(*each) for each in zip(*ends, strict=True)], -1)
    importance = np.array(problem.start.loss.importance)
    norms = np.linalg.norm(W, axis=-1)
    made = Branch(np.geomspace(*span, stairs), norms.min(-1) / norms.max(-1), theory.expected_loss(W, b, p, importance))
    descending = p[0, 0] > p[-1, 0]
    return Branch(made.x, *(np.flip(each, -1) if descending else each for each in made[1:]))


def two_features(swept: Swept, ratio: float) -> Loop:
    ways = (branch(swept, RANGE, way, ratio=f"{ratio:g}") for way in (FIRST, LAST))
    return Loop(f"$n=2$, $I_2={ratio:g}$", *ways)


def five_features(five: Swept, what: str) -> Loop:
    ways = (branch(five, FIVE[what], f"{what}, {way}") for way in (FIRST, LAST))
    return Loop(f"$n=5$, {what}", *ways)


class Exact(NamedTuple):
    """Of two features: |w_2 / w_1| of the antipodal branch (NaN where there is none), best loss, ends of branches."""

    p: np.ndarray
    kept: np.ndarray
    loss: np.ndarray
    pair_until: float
    """Where the antipodal pair ends, or comes below LEVEL."""
    alone_until: float
    """Down to where keeping the first alone is a minimum; below, the pair grows from 0."""

    @property
    def gained(self) -> float:
        """Where the second feature comes above LEVEL on the way down."""
        return min(self.alone_until, self.pair_until)


@cache
def exact(ratio: float) -> Exact:
    p = np.geomspace(*RANGE, 400)
    found, until = theory.two_features(p, ratio), theory.instability(p)[0]
    W = found.antipodal.W[..., 0]
    kept = np.abs(W[:, 1] / W[:, 0])
    return Exact(p, kept, found.best.loss, float(p[kept > LEVEL].max()), float(np.interp(ratio, until, p)))


def loops(slowest: Swept, five: Swept) -> Figure:
    """Trained while the density rises or falls step by step, parameters carried over; thin lines are seeds. Top: least
    over largest norm of the features, 0 where one is dropped. Bottom: exact loss over that of the exact optimum (two
    features) or of the better way (five). Dashed: the antipodal pair of least loss, as far as it is a minimum; dotted:
    down to where keeping the first feature alone is one. n = 2: one dimension, I_2 the
    importance of the second feature, antipodal pair against the first feature
    alone, exact gradients; n = 5: two dimensions, pentagon against two digons and a dropped feature, on draws; the
    density of one feature is relative to the four others', and the two digons never take it back in this range. Where
    the ways coincide (second column) the last drawn hides the other. All seeds are drawn, whatever their status: a loss
    that is annealed changes to the end."""
    shown = [
        two_features(slowest, RATIOS[0]),
        two_features(slowest, RATIOS[-1]),
        *(five_features(five, w) for w in FIVE),
    ]
    figure, axes = plt.subplots(2, 4, figsize=(draw.PAGE, 3.4), sharex="col", sharey="row")
    for column, loop in enumerate(shown):
        top, bottom = axes[:, column]
        known = exact((RATIOS[0], RATIOS[-1])[column]) if column < 2 else None
        best = np.interp(loop.up.x, known.p, known.loss) if known else loop.least
        for way, colour, label in ((loop.up, draw.BLUE, FIRST), (loop.down, draw.RED, LAST)):
            top.plot(way.x, way.measure.T, color=colour, lw=0.7, alpha=0.6)
            bottom.plot(way.x, (way.loss / best).T, color=colour, lw=0.7, alpha=0.6)
            top.plot([], [], color=colour, label=label)
        if known:
            top.plot(known.p, known.kept, color=draw.THEORY, ls=(0, (4, 2)), lw=0.9)
            top.axvline(known.alone_until, color=draw.THEORY, ls=":", lw=0.9)
        top.set(xscale="log", title=loop.name, ylim=(-0.04, 1.1))
        bottom.set(xlabel="relative density" if "one" in loop.name else "density $p$", yscale="log")
        _few_ticks(bottom)
    axes[0, 0].set_ylabel("least / largest norm")
    axes[1, 0].set_ylabel("loss / least loss")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _few_ticks(ax: Axes) -> None:
    for axis in (ax.yaxis, ax.xaxis):
        axis.set_minor_formatter("")
    ax.set_yticks([1, 1.5, 2, 3], ["1", "1.5", "2", "3"])
    low, high = ax.get_xlim()
    ticks = [tick for tick in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2) if low <= tick <= high]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])


def width_against_speed(quick: Swept, slow: Swept, slowest: Swept) -> Figure:
    """Two features in one dimension: width of the loop, the logarithm of the ratio of the densities at which the second
    feature is lost and gained again, over the steps that each density is held for. Bars: 95 % bootstrap intervals over
    seeds. Dashed: the width between the exact ends of the two branches, for infinitely slow annealing. Densities are
    some 4 % apart, which limits how well any width is known."""
    figure, ax = plt.subplots(figsize=(draw.COLUMN, 2.4))
    for place, ratio in enumerate(RATIOS):
        ways = (quick, slow, slowest)
        x = np.array([_length(swept) for swept in ways])
        mean, low, high = np.array([interval(two_features(swept, ratio).widths(LEVEL)) for swept in ways]).T
        ax.errorbar(x, mean, [mean - low, high - mean], fmt="o-", color=f"C{place}", label=f"{ratio:g}")
        ax.axhline(exact_width(ratio), color=f"C{place}", ls=(0, (4, 2)), lw=0.8)
    limits = (_length(quick) / 2, _length(slowest) * 2)
    ax.set(xscale="log", xlim=limits, xlabel="steps at each density", ylabel="width of the loop, ln $p$")
    ax.legend(title="relative importance of the second feature", loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return figure


def _length(swept: Swept) -> int:
    return swept.sweep.base.steps // swept.sweep.base.problem.stairs


def exact_width(ratio: float) -> float:
    known = exact(ratio)
    return float(np.log(known.pair_until / known.gained))


def two_feature_loops(quick: Swept, slowest: Swept) -> list[Finding]:
    answers = []
    stair = float(np.diff(np.log(slowest.sweep.base.problem.levels(*RANGE)))[0])
    for ratio in RATIOS:
        known, loop, first = exact(ratio), two_features(slowest, ratio), two_features(quick, ratio)
        lost, gained = (interval(each) for each in loop.switches(LEVEL))
        now, then, exact_one = interval(loop.widths(LEVEL)), interval(first.widths(LEVEL)), exact_width(ratio)
        area = interval(loop.areas)
        what, source = f"n = 2, m = 1, importance {ratio:g}", "ends of the exact branches, two_features and instability"
        answers += [
            Finding(
                f"{what}: second feature lost going up, gained going down, {_length(slowest)} steps a level",
                f"p = {lost:.3f}; {gained:.3f}",
                f"{known.pair_until:.3f}; {known.gained:.3f}, within one level ({stair:.1%}) each",
                bool(
                    abs(np.log(lost.mean / known.pair_until)) <= stair
                    and abs(np.log(gained.mean / known.gained)) <= stair
                ),
                source,
            ),
            Finding(
                f"{what}: width of the loop in ln p (area {area:.3f})",
                f"{now:.3f}",
                f"{exact_one:.3f} within {stair:.3f}, one level" + ("; above 0" if exact_one > stair else ""),
                bool(abs(now.mean - exact_one) <= stair and (exact_one <= stair or now.low > 0)),
                source,
            ),
            Finding(
                f"{what}: width at {_length(quick)} and at {_length(slowest)} steps a level",
                f"{then:.3f}; {now:.3f}",
                f"slower is not wider, and not below {exact_one:.3f} by more than one level",
                bool(now.low <= then.high and now.mean >= exact_one - stair),
                "a branch is left at its end or later, never before",
            ),
        ]
    return answers


def five_feature_loops(five: Swept) -> list[Finding]:
    answers = []
    for what in FIVE:
        loop = five_features(five, what)
        sparse = what == "density of all"  # the pentagon is at the sparse end, or at the dense one
        side, pentagon, digons = (1, loop.up, loop.down) if sparse else (-1, loop.down, loop.up)
        gone, back = (switch(way.x, side * way.measure, side * LEVEL) for way in (pentagon, digons))
        equal = _equal_losses(pentagon, digons, side)
        lost, beyond = interval(gone), interval(side * np.log(gone / equal))
        returned, loop_widths = np.isfinite(back), interval(side * np.log(gone / back))
        area = interval(loop.areas)
        share, name = proportion(int(returned.sum()), len(returned)), f"n = 5, m = 2, {what}"
        answers += [
            Finding(
                f"{name}: the pentagon goes at; both branches cost the same at; logarithm of their ratio",
                f"{lost:.3f}; {equal:.3f}; {beyond:.3f}",
                "the pentagon outlives its being the best: the logarithm is above 0",
                bool(beyond.low > 0),
                "a jump between two minima comes after their losses cross",
            ),
            Finding(
                f"{name}: seeds of two digons that turn back into a pentagon; where; width of their loop in ln p; area",
                f"{returned.sum()} of {len(returned)} ({share.low:.2f} to {share.high:.2f}); {interval(back):.3f}; "
                f"{loop_widths:.3f}; {area:.3f}",
                "area above 0",
                bool(area.low > 0),
                "a dropped feature is a minimum also where the pentagon is better: polygon_with_dropped",
            ),
        ]
    return answers


def _equal_losses(pentagon: Branch, digons: Branch, side: int) -> float:
    """Density at which the median losses of the two ways cross, while most seeds still differ in geometry; or NaN."""
    differ = (np.median(pentagon.measure, 0) > LEVEL) & (np.median(digons.measure, 0) < LEVEL)
    if differ.sum() < 2:
        return float("nan")
    gap = np.log(np.median(digons.loss, 0) / np.median(pentagon.loss, 0))
    return float(switch(pentagon.x[differ], side * gap[differ], 0.0))


experiment = Experiment(
    question="Which transitions between geometries have hysteresis, and how wide is the loop?",
    source="Elhage et al. 2022, first-order phase changes",
    sweeps=sweeps,
    figures=[loops, width_against_speed],
    findings=[two_feature_loops, five_feature_loops],
    cost="6,400 steps at each density of two features and 4,000 of five: two minutes on two CPU cores, 4 programs",
)
