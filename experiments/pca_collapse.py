"""PCA collapse: three correlated pairs in a plane, from dense to sparse. Elhage et al. 2022, section 5."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.collapse import set_spread
from toymodels.analysis.restarts import best, finite_losses
from toymodels.analysis.statistics import proportion
from toymodels.config import replace
from toymodels.data import Correlated
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.models import Tied
from toymodels.optimizers import Adam, AdamW, Cosine
from toymodels.problems.supervised import Supervised
from toymodels.theory.correlated import correlated_loss, principal_loss

PAIRS, HIDDEN = 3, 2

COLLAPSED = 0.01
"""Spread of a pair up to which it counts as one vector: 1 % of its weight is in the difference of its members."""

SOURCE = "Elhage et al. 2022, section 5, figure on collapse (approximate ranges)"
BANDS = {"none": (0.0, 0.05), "one": (0.05, 0.15), "two": (0.15, 0.2), "all": (0.25, 0.5), "PCA-like": (0.5, 1.0)}
"""Published: how many pairs are collapsed, and the range of p."""
EDGES = {1: (0.05, 0.05), 2: (0.15, 0.15), 3: (0.2, 0.25)}
"""Published: where one pair more is collapsed; between .2 and .25 nothing is said."""
GRID = 0.05
"""Step of p that the published ranges are multiples of."""
FROM = {1: (0.05, 0.1), 2: (0.15, 0.2), 3: (0.2, 0.25)}
"""The same edges on this grid: the first of its values from which on, one of the two."""
NAMES = ("none", "one", "two", "all")
COLOURS = (draw.BLUE, draw.SKY, draw.ORANGE, draw.RED)


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    steps = 300 if tiny else 10_000 if full else 4000
    base = Run(Supervised(Correlated(PAIRS, 2), Tied(HIDDEN)), Adam(Cosine(1e-2)), steps, 512, record=Record(40, 2))
    p = np.geomspace(0.02, 0.95, 6 if tiny else 40 if full else 24).tolist()
    seeds = range(4 if tiny else 256 if full else 32)
    reference = replace(base, {"optimizer": AdamW(1e-3), "steps": 300 if tiny else 10_000, "batch": 1024})
    on_grid = [GRID, 0.3] if tiny else (GRID * np.arange(1, 13)).round(2).tolist()
    return {
        "pairs": Sweep(base, [Axis("p", "problem.data.p", p), Axis("seed", "seed", seeds)]),
        "reference": Sweep(reference, [Axis("p", "problem.data.p", on_grid), Axis("seed", "seed", seeds)]),
    }


class Trained(NamedTuple):
    """By p and seed: weights, exact loss, and the spread of every pair; and how many pairs are collapsed."""

    p: np.ndarray
    W: np.ndarray
    loss: np.ndarray
    spread: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        return (self.spread <= COLLAPSED).sum(-1)

    @property
    def best(self) -> np.ndarray:
        """The seed of least exact loss at each p."""
        return best(self.loss)

    def of_best(self, values: np.ndarray) -> np.ndarray:
        return values[np.arange(len(self.p)), self.best]

    def least(self) -> np.ndarray:
        """Least loss at each p of the models with none, one, two, all pairs collapsed; inf where there is none."""
        loss = np.where(np.isfinite(self.loss), self.loss, np.inf)
        return np.stack([np.where(self.counts == count, loss, np.inf).min(1) for count in range(PAIRS + 1)], 1)


@lru_cache(maxsize=4)
def trained(pairs: Swept) -> Trained:
    """One exact loss for all seeds: their own evaluation examples differ by more than the basins do."""
    (W, b), p = pairs.weights("p", "seed"), pairs.data.p.values
    return Trained(p, W, finite_losses(correlated_loss, W, b, p[:, None], PAIRS), set_spread(W, PAIRS))


def edge(p: np.ndarray, counts: np.ndarray, count: int) -> float:
    """The p above which at least `count` pairs are collapsed, between two neighbours of the grid; NaN where unseen."""
    below = np.flatnonzero(counts < count)
    if not len(below) or below[-1] == len(p) - 1:
        return float("nan")
    return float(np.sqrt(p[below[-1]] * p[below[-1] + 1]))


def pairs_by_band(pairs: Swept) -> Figure:
    """Rows of W, a colour a pair, inside the unit circle, a collapsed pair as one arrow: the best of all seeds by exact
    loss in the middle of each published range of p. Above: how many pairs the figure of Elhage et al. 2022 has
    collapsed in that range, and how many are collapsed here."""
    found = trained(pairs)
    W = found.of_best(found.W)
    figure, axes = plt.subplots(1, len(BANDS), figsize=(draw.PAGE, 1.95), sharey=True)
    for ax, (name, (low, high)) in zip(axes, BANDS.items(), strict=True):
        place = int(np.abs(np.log(found.p / np.sqrt(max(low, 0.02) * high))).argmin())
        draw.arrows(ax, W[place], np.repeat([draw.BLUE, draw.GREEN, draw.RED], 2).tolist())
        count = int((set_spread(W[place], PAIRS) <= COLLAPSED).sum())
        told = f"$p \\leq {high:g}$" if not low else f"$p \\geq {low:g}$" if high == 1 else f"${low:g}$ to ${high:g}$"
        ax.set_title(f"published {told}: {name}\nbest at $p={found.p[place]:.2g}$: {NAMES[count]}", fontsize=6.5)
        ax.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
        ax.set_ylabel("" if ax is not axes[0] else ax.get_ylabel())
    return figure


def collapse_by_density(pairs: Swept) -> Figure:
    """a: spread of each pair, the share of its squared weight in the difference of its members (0: one vector), for all
    seeds (grey) and the best by exact loss (blue, the three pairs in order); behind: how many pairs the figure of
    Elhage et al. 2022 has collapsed where. b: share of seeds with none, one, two or all pairs collapsed, coloured as in
    c; squares: the best. c: least exact loss with each number collapsed, above the least of all, up to 16 %: those
    further above are off the axis. Nothing is published for .2 to .25 (white). d: least loss over
    that of the best linear model, PCA, in closed form; a ReLU can only help."""
    found = trained(pairs)
    figure, axes = plt.subplots(2, 2, figsize=(draw.PAGE, 4.4), sharex=True)
    p, (spread, share, excess, linear) = found.p, axes.ravel()
    draw_p = np.repeat(p, found.spread[0].size)
    spread.plot(draw_p, found.spread.ravel(), "o", ms=1.8, mew=0, color="0.55", alpha=0.35, rasterized=True)
    spread.plot(p, np.sort(found.of_best(found.spread), axis=1), "o-", ms=2.5, lw=0.8, color=draw.BLUE)
    spread.set(ylabel="spread of a pair", ylim=(-0.04, 1.0))
    _count_shares(share, found)
    for count, values in enumerate((found.least() / np.nanmin(found.loss, 1)[:, None] - 1).T):
        shown = np.where(values < 0.3, 100 * values, np.nan)
        excess.plot(p, shown, "o-", ms=2.5, lw=0.9, color=COLOURS[count], label=NAMES[count])
    excess.set(ylabel="least loss above best (%)", ylim=(-0.5, 16), xlabel="activation probability $p$")
    excess.legend(title="pairs collapsed", title_fontsize=7, loc="upper left", ncols=2)
    linear.plot(p, np.nanmin(found.loss, 1) / linear_losses(pairs), "o-", ms=2.5, lw=0.9, color=draw.BLUE)
    linear.axhline(1, color=draw.THEORY, ls=(0, (4, 2)), lw=0.8)
    linear.set(ylabel="least loss / PCA", ylim=(0, 1.08), xlabel="activation probability $p$")
    for ax in (spread, excess, linear):
        _published(ax, p, named=ax is spread)
    spread.set(xscale="log", xlim=(p[0] / 1.08, p[-1] * 1.08))
    ticks = (0.02, 0.05, 0.1, 0.2, 0.5, 1)
    spread.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    draw.panel_labels(axes)
    draw.excluded(spread, pairs.left_out("shown"))
    return figure


def single_runs(reference: Swept) -> Figure:
    """Single runs of the reference training of Elhage et al. 2022 (AdamW): share of seeds with none, one, two or all
    pairs collapsed, at multiples of .05, of which the published ranges of p are made; above, what these have, both ends
    included."""
    found = trained(reference)
    figure, ax = plt.subplots(figsize=(draw.COLUMN, 2.4))
    bottom = np.zeros(len(found.p))
    for count, name in enumerate(NAMES):
        height = (found.counts == count).mean(1)
        ax.bar(found.p, height, 0.85 * GRID, bottom, color=COLOURS[count], alpha=0.75, lw=0, label=name)
        bottom += height
    ax.spines["left"].set_bounds(0, 1)
    for name, (low, high) in list(BANDS.items())[:4]:
        ax.plot([low + 0.004, high - 0.004], [1.04, 1.04], color="black", lw=0.8)
        ax.text((low + high) / 2, 1.06, name, ha="center", va="bottom", fontsize=6.5)
    ax.set(xlabel="activation probability $p$", ylabel="share of seeds", ylim=(0, 1.16), xlim=(0, found.p[-1] + GRID))
    ax.set_yticks([0, 0.5, 1])
    figure.legend(*ax.get_legend_handles_labels(), title="pairs collapsed", loc="outside lower center", ncols=4)
    draw.excluded(ax, reference.left_out("shown"))
    return figure


def _published(ax: Axes, p: np.ndarray, named: bool) -> None:
    for place, (name, (low, high)) in enumerate(BANDS.items()):
        ends = (max(low, p[0] / 1.08), min(high, p[-1] * 1.08))
        ax.axvspan(*ends, color="0.86" if place % 2 else "0.93", lw=0, zorder=0)
        if named:
            ax.text(np.sqrt(ends[0] * ends[1]), 0.985, name, fontsize=6.5, ha="center", va="top")


def _count_shares(ax: Axes, found: Trained) -> None:
    edges, bottom = draw.edges(found.p, log=True), np.zeros(len(found.p))
    for count in range(PAIRS + 1):
        height = (found.counts == count).mean(1)
        ax.bar(edges[:-1], height, np.diff(edges), bottom, align="edge", color=COLOURS[count], alpha=0.75, lw=0)
        bottom += height
    side = ax.twinx()
    side.plot(found.p, found.of_best(found.counts), "s-", ms=2.5, lw=0.8, color="black")
    side.set(ylim=(-0.15, 3.15), ylabel="pairs collapsed, best", yticks=range(PAIRS + 1), yticklabels=NAMES)
    side.spines["right"].set_visible(True)
    ax.set(ylabel="share of seeds", ylim=(0, 1))


def linear_losses(pairs: Swept) -> np.ndarray:
    """The loss of PCA at each p, from the moments of the data."""
    laws = [pairs.run(p=p).problem.data for p in pairs.data.p.values.tolist()]
    mean, second = (np.array([getattr(law, name)() for law in laws], float) for name in ("mean", "second_moment"))
    return np.array([principal_loss(s - np.outer(m, m), HIDDEN) for s, m in zip(second, mean, strict=True)])


def edges_of_collapse(pairs: Swept) -> list[Finding]:
    """Where pairs collapse, of the best of all seeds and of the median seed, with bootstrap intervals over seeds."""
    found = trained(pairs)
    p, seeds, of_best = found.p, found.loss.shape[1], found.of_best(found.counts)
    step = float(np.log(p[1] / p[0]))
    kinds = {
        f"best of {seeds}": lambda picked: found.counts[np.arange(len(p)), picked[best(found.loss[:, picked])]],
        "median seed": lambda picked: np.median(found.counts[:, picked], axis=1),
    }
    rng = np.random.default_rng(0)
    resampled = [rng.integers(seeds, size=seeds) for _ in range(500)]
    order = list(dict.fromkeys(of_best.tolist()))
    told = ", ".join(f"{NAMES[count]} from p = {p[of_best == count].min():.2g}" for count in order)
    what = f"pairs collapsed, best of {seeds}, from sparse to dense"
    answers = [Finding(what, told, "none, one, two, all, in this order", order == [0, 1, 2, 3], SOURCE)]
    for kind, counts in kinds.items():
        for count, (low, high) in EDGES.items():
            value = edge(p, counts(np.arange(seeds)), count)
            ends = [edge(p, counts(picked), count) for picked in resampled]
            left, right = np.quantile([end for end in ends if np.isfinite(end)] or [value], [0.025, 0.975])
            away = float(np.maximum(np.log(low / value), np.log(value / high))) / step
            answers.append(
                Finding(
                    f"{kind}: p where {NAMES[count]} of three pairs are collapsed from",
                    f"{value:.3f} ({left:.3f} to {right:.3f}), {max(away, 0):.1f} grid steps away",
                    f"{low:g}{f' to {high:g}' if high > low else ''} within a grid step, a factor {np.exp(step):.2f}",
                    bool(away <= 1),
                    SOURCE,
                )
            )
    return answers


def edges_of_single_runs(reference: Swept) -> list[Finding]:
    """The published ranges against what one run at each p shows: from which p on at least so many pairs are collapsed,
    with its distribution over draws of the runs, exactly; and what most runs show in each range."""
    found, answers = trained(reference), []
    p, seeds = found.p, found.loss.shape[1]
    for count, (low, high) in FROM.items():
        # Of runs drawn by themselves at each p, at least so many are collapsed from p_k on in all with prod_{j >= k}.
        until = np.cumprod((found.counts >= count).mean(1)[::-1])[::-1]
        left, middle, right = (np.append(p, p[-1] + GRID)[np.searchsorted(until, q)] for q in (0.025, 0.5, 0.975))
        by = float(until[p <= high + 1e-9][-1]) if (p <= high + 1e-9).any() else 0.0
        answers.append(
            Finding(
                f"one reference run at each p of the grid: p from which on {NAMES[count]} of 3 are collapsed",
                f"{middle:.2f} ({left:.2f} to {right:.2f}: 95 % of draws); {high:g} or less in {by:.1%} of draws",
                f"{low:g} or {high:g}: one of them in the interval",
                bool(left <= high + 1e-9 and low <= right + 1e-9),
                SOURCE,
            )
        )
    for place, (name, (low, high)) in enumerate(list(BANDS.items())[:4]):
        inside = (p >= low - 1e-9) & (p <= high + 1e-9)
        if not inside.any():
            continue
        shares = np.array([(found.counts[inside] == count).mean() for count in range(PAIRS + 1)])
        each = proportion((found.counts[inside] == place).sum(1), seeds)
        answers.append(
            Finding(
                f"reference runs at p of {low:g} to {high:g}, ends included: pairs collapsed",
                ", ".join(f"{word} {share:.2f}" for word, share in zip(NAMES, shares, strict=True))
                + f"; {name} by p: "
                + ", ".join(f"{q:g}: {each.at(k):.2f}" for k, q in enumerate(p[inside])),
                f"over the range most often {name}",
                bool(shares.argmax() == place),
                SOURCE,
            )
        )
    return answers


def published_geometry(pairs: Swept) -> list[Finding]:
    """How near the best a model with the published number of collapsed pairs comes, everywhere in its range of p."""
    found = trained(pairs)
    excess, answers = found.least() / np.nanmin(found.loss, 1)[:, None] - 1, []
    for name, (low, high) in BANDS.items():
        count, inside = min(list(BANDS).index(name), PAIRS), (found.p >= low) & (found.p <= high)
        if not inside.any():
            continue
        cells = found.counts[np.flatnonzero(inside)[inside.sum() // 2]]
        share = proportion(int((cells == count).sum()), len(cells))
        what = f"p of {low:g} to {high:g}, {NAMES[count]} collapsed: excess over the best"
        seeds = f"mid-range seeds: {share:.2f}"
        worst = excess[inside, count].max()
        answers.append(Finding(what, f"at most {worst:.1%}; {seeds}", "at most 2 %", bool(worst <= 0.02), SOURCE))
    return answers


def ends_of_the_range(pairs: Swept) -> list[Finding]:
    """A hexagon where sparse, and PCA where dense."""
    found = trained(pairs)
    sparse, dense = found.p <= 0.05, found.p >= 0.5
    W = found.of_best(found.W)[sparse]
    angles = np.degrees(np.arctan2(W[..., 1], W[..., 0]))
    ordered = np.sort(angles, axis=1)
    gaps = np.diff(ordered, axis=1, append=ordered[:, :1] + 360)
    mates = np.abs((angles[:, ::2] - angles[:, 1::2] + 180) % 360 - 180)
    ratio = (np.nanmin(found.loss, 1) / linear_losses(pairs))[dense]
    return [
        Finding(
            f"best at p <= .05 ({sparse.sum()} values): angles between neighbours, and between the members of a pair",
            f"{gaps.min():.0f} to {gaps.max():.0f}; {mates.min():.0f} to {mates.max():.0f} degrees",
            "a hexagon with pairs side by side: 60 within 10 degrees",
            bool(np.abs(np.append(gaps.ravel(), mates.ravel()) - 60).max() <= 10),
            SOURCE,
        ),
        Finding(
            f"least loss over that of PCA at p >= .5 ({dense.sum()} values)",
            f"{ratio.min():.3f} to {ratio.max():.3f}",
            "1 within 10 %; at the largest p within 1 %",
            bool(np.abs(ratio - 1).max() <= 0.1 and abs(ratio[-1] - 1) <= 0.01),
            "PCA: eigenvalues of the covariance in closed form (Eckart & Young 1936); range of p: section 5",
        ),
    ]


experiment = Experiment(
    question="At what density do correlated features collapse into their principal components?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 5",
    sweeps=sweeps,
    figures=[pairs_by_band, collapse_by_density, single_runs],
    findings=[edges_of_collapse, edges_of_single_runs, published_geometry, ends_of_the_range],
    cost="13,312 cells of 10,000 steps",
)
