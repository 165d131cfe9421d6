"""PCA collapse: three correlated pairs in a plane, from dense to sparse. Elhage et al. 2022, section 5."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.collapse import collapse_edge, excess, neighbour_angles, reached, set_cosines, set_spread
from toymodels.analysis.labelled import each_model, exact_losses
from toymodels.config import replace
from toymodels.data import Correlated
from toymodels.estimates import Estimate, best, bootstrap, mean, of_best, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import Above, AtLeast, AtMost, Finding, Near, Within, ours, report, stated
from toymodels.models import Tied
from toymodels.optimizers import Adam, AdamW, Cosine
from toymodels.problems.supervised import Supervised
from toymodels.theory.correlated import correlated_loss, principal_loss

PAIRS, HIDDEN = 3, 2
COLLAPSED = 0.01
"""Spread of a pair up to which it counts as one vector: 1 % of its weight is in the difference of its members."""
RESAMPLES = 999

SOURCE = "Elhage et al. 2022, section 5, ranges of p, called approximate, of the figure on collapse"
BANDS = {"none": (0.0, 0.05), "one": (0.05, 0.15), "two": (0.15, 0.2), "all": (0.25, 0.5), "PCA-like": (0.5, 1.0)}
"""Published: how many pairs are collapsed, and the range of p; between .2 and .25 nothing is said."""
GRID = 0.05
"""Step of p that the published ranges are multiples of."""
EDGES = {1: (0.05, 0.05), 2: (0.15, 0.15), 3: (0.2, 0.25)}
"""Published: where one pair more is collapsed."""
FROM = {1: (0.05, 0.1), 2: (0.15, 0.2), 3: (0.2, 0.25)}
"""The same edges on this grid: the first of its values from which on, one of the two."""
PALETTE = {"none": draw.BLUE, "one": draw.SKY, "two": draw.ORANGE, "all": draw.RED}
NAMES, ORDINALS = tuple(PALETTE), ("", "first", "second", "third")

base = Run(Supervised(Correlated(PAIRS, 2), Tied(HIDDEN)), Adam(Cosine(1e-2)), 4000, 512, record=Record(40, 2))
by_p, seeds = Axis("p", "problem.data.p", np.geomspace(0.02, 0.95, 24).tolist()), Axis("seed", "seed", range(32))
pairs = Sweep(base, [by_p, seeds])
on_grid = Axis("p", "problem.data.p", (GRID * np.arange(1, 13)).round(2).tolist())
published = replace(base, {"optimizer": AdamW(1e-3), "steps": 10_000, "batch": 1024})
reference = Sweep(published, [on_grid, Axis("seed", "seed", range(64))])


# ------------------------------------------------------------------------------------------------------------- readings


def collapse(pairs: Swept) -> xr.Dataset:
    """Of every model: its exact loss, the spread of every pair, how many pairs are collapsed, how far it is from a
    hexagon with pairs side by side, in degrees; and by p the loss of PCA."""
    W, b = (pairs.final(name, unconverged=True) for name in ("W", "b"))
    loss = exact_losses(lambda W, b, p: correlated_loss(W, b, p[..., 0], PAIRS), W, b, W.p)
    spread = each_model(lambda W: set_spread(W, PAIRS), W, outputs=["pair"])
    count = (spread <= COLLAPSED).sum("pair").where(loss.notnull())
    linear = xr.DataArray([_linear_loss(pairs.run(p=p)) for p in W.p.values.tolist()], dims="p")
    hexagon = each_model(_off_hexagon, W)
    return xr.Dataset({"loss": loss, "spread": spread, "count": count, "off_hexagon": hexagon, "linear": linear})


def reference_collapse(reference: Swept) -> xr.Dataset:
    """The same for the training of the paper."""
    return collapse(reference)


def _linear_loss(run: Run) -> float:
    """The loss of PCA, from the moments of the data."""
    first, second = (np.asarray(each, float) for each in (run.problem.data.mean(), run.problem.data.second_moment()))
    return principal_loss(second - np.outer(first, first), HIDDEN)


def _off_hexagon(W: np.ndarray) -> float:
    """Of the angles between neighbors and those between the members of a pair, the largest distance from 60."""
    mates = np.degrees(np.arccos(set_cosines(W, 2).clip(-1, 1)))
    return float(abs(np.append(neighbour_angles(W), mates) - 60).max())


# -------------------------------------------------------------------------------------------------------------- figures


def pairs_by_band(pairs: Swept, collapse: xr.Dataset) -> Figure:
    """Rows of W, a color a pair, inside the unit circle, a collapsed pair as one arrow: the best of all seeds by exact
    loss in the middle of each published range of p. Above: how many pairs the figure of Elhage et al. 2022 has
    collapsed in that range, and how many are collapsed here."""
    figure, axes = draw.panels(1, len(BANDS), height=1.95, sharey=True, letters=False)
    for ax, (name, (low, high)) in zip(axes, BANDS.items(), strict=True):
        here = collapse.isel(p=int(abs(np.log(collapse.p / np.sqrt(max(low, 0.02) * high))).argmin("p")))
        chosen = int(here.loss.fillna(np.inf).argmin("seed"))
        W = pairs.final(unconverged=True).sel(p=here.p).isel(seed=chosen).values
        draw.arrows(ax, W, np.repeat([draw.BLUE, draw.GREEN, draw.RED], 2).tolist(), reach=1.25)
        told = f"$p \\leq {high:g}$" if not low else f"$p \\geq {low:g}$" if high == 1 else f"${low:g}$ to ${high:g}$"
        found = NAMES[int(here["count"][chosen])]
        ax.set_title(f"published {told}: {name}\nbest at $p={float(here.p):.2g}$: {found}", fontsize=6.5)
    draw.outer_labels(axes)
    return figure


def collapse_by_density(pairs: Swept, collapse: xr.Dataset) -> Figure:
    """a: spread of each pair, the share of its squared weight in the difference of its members (0: one vector), for all
    seeds (grey dots) and the best by exact loss (blue, the three pairs in order); behind: the number of collapsed pairs
    published at each density, nothing for .2 to .25 (white). b: share of seeds with none, one, two or all pairs
    collapsed, colored as in c; black squares: the best. c: least exact loss with each number collapsed, above the
    least of all; what is more than 16 % above is off the axis. d: least loss over that of the best linear model, PCA,
    in closed form (dashed: 1); a ReLU can only help."""
    p, least, top = collapse.p.values, collapse.loss.min("seed"), collapse.loss.fillna(np.inf).argmin("seed")
    figure, axes = draw.panels(2, 2, height=4.4, sharex=True)
    spread, counts, above, linear = axes.ravel()
    every = collapse.spread.transpose("p", "seed", "pair")
    draw.cloud(spread, p[:, None, None], every, colour="0.55", alpha=0.35)
    spread.plot(p, np.sort(every.isel(seed=top), axis=1), "o-", ms=2.5, lw=0.8, color=draw.BLUE)
    spread.set(ylabel="spread of a pair", ylim=(-0.04, 1.0))
    draw.stacked(counts, p, _shares(collapse), PALETTE, log=True)
    counts.set(ylabel="share of seeds", ylim=(0, 1))
    side = counts.twinx()
    side.plot(p, collapse["count"].isel(seed=top), "s-", ms=2.5, lw=0.8, color="black")
    side.set(ylim=(-0.15, 3.15), ylabel="pairs collapsed, best", yticks=range(PAIRS + 1), yticklabels=NAMES)
    side.spines["right"].set_visible(True)
    for count, (name, colour) in enumerate(PALETTE.items()):
        own = 100 * (collapse.loss.where(collapse["count"] == count).min("seed") / least - 1)
        above.plot(p, own.where(own < 30), "o-", ms=2.5, lw=0.9, color=colour, label=name)
    above.set(ylabel="least loss above best (%)", ylim=(-0.5, 16))
    draw.legend(above, title="pairs collapsed", loc="upper left", ncols=2)
    linear.plot(p, least / collapse.linear, "o-", ms=2.5, lw=0.9, color=draw.BLUE)
    draw.levels(linear, [1], ["PCA"])
    linear.set(ylabel="least loss / PCA", ylim=(0, 1.08))
    for ax in (spread, above, linear):
        _published(ax, p, named=ax is spread)
    draw.log_axis(spread, "x", at=(0.02, 0.05, 0.1, 0.2, 0.5, 1))
    spread.set_xlim(p[0] / 1.08, p[-1] * 1.08)
    draw.outer_labels(axes[1], x="activation probability $p$", y=None)
    draw.excluded(spread, pairs.left_out("shown"))
    return figure


def single_runs(reference: Swept, reference_collapse: xr.Dataset) -> Figure:
    """Single runs of the reference training of Elhage et al. 2022 (AdamW): share of seeds with none, one, two or all
    pairs collapsed, at multiples of .05, of which the published ranges of p are made. Black lines above: the published
    ranges, both ends included, and how many pairs are collapsed in them."""
    p = reference_collapse.p.values
    figure, ax = draw.panels(width=draw.COLUMN, height=2.4)
    draw.stacked(ax, p, _shares(reference_collapse), PALETTE, width=0.85 * GRID)
    ax.spines["left"].set_bounds(0, 1)
    for name, (low, high) in list(BANDS.items())[:4]:
        ax.plot([low + 0.004, high - 0.004], [1.04, 1.04], color="black", lw=0.8)
        ax.text((low + high) / 2, 1.06, name, ha="center", va="bottom", fontsize=draw.SMALL)
    ax.set(xlabel="activation probability $p$", ylabel="share of seeds", ylim=(0, 1.16), xlim=(0, p[-1] + GRID))
    draw.ticks(ax, "y", [0, 0.5, 1])
    draw.legend_below(figure, ax, title="pairs collapsed")
    draw.excluded(ax, reference.left_out("shown"))
    return figure


def _published(ax: Axes, p: np.ndarray, named: bool) -> None:
    for place, (name, (low, high)) in enumerate(BANDS.items()):
        ends = (max(low, p[0] / 1.08), min(high, p[-1] * 1.08))
        ax.axvspan(*ends, color="0.86" if place % 2 else "0.93", lw=0, zorder=0)
        if named:
            ax.text(np.sqrt(ends[0] * ends[1]), 0.985, name, fontsize=draw.SMALL, ha="center", va="top")


def _shares(found: xr.Dataset) -> dict[str, np.ndarray]:
    return {name: (found["count"] == count).mean("seed").values for count, name in enumerate(NAMES)}


# ------------------------------------------------------------------------------------------------------------- findings


def _of_best(loss: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return counts[np.arange(len(loss)), np.nan_to_num(loss, nan=np.inf).argmin(1)]


def _bootstrap(statistic: Callable[[np.ndarray, np.ndarray], float], found: xr.Dataset) -> Estimate:
    """A statistic of losses and counts, both by p and seed; the bootstrap over seeds selects whatever it does anew."""
    both = xr.concat([found.loss, found["count"]], "which").transpose("which", "p", "seed")
    return bootstrap(lambda drawn: statistic(*drawn.values), both, resamples=RESAMPLES)


def edges_of_collapse(collapse: xr.Dataset) -> Iterator[Finding]:
    """In which order, and from which p on, pairs collapse: the best of all seeds, and the median seed."""
    p, k, said = collapse.p.values, f"best of {collapse.seed.size}", stated(SOURCE)
    what = f"{k}: largest fall of the number of collapsed pairs from one p to the next"
    falls = _bootstrap(lambda *models: max(0.0, -np.diff(_of_best(*models)).min()), collapse)
    yield Finding("collapse-in-order", what, falls, AtMost(0), said, "best of k")
    what = f"{k}: how many of the four numbers of collapsed pairs, none to all, occur at some p"
    numbers = _bootstrap(lambda *models: len(np.unique(_of_best(*models))), collapse)
    yield Finding("all-numbers", what, numbers, AtLeast(PAIRS + 1), said, "best of k")
    said = stated(f"{SOURCE}; the tolerance, a step of our grid and twice its resolution, is ours")
    medians = partial(np.nanmedian, axis=1)
    for count, (low, high) in EDGES.items():
        limits, what = Within(low * p[0] / p[1], high * p[1] / p[0]), f"p at which the {ORDINALS[count]} pair collapses"
        found = _bootstrap(lambda *models, count=count: collapse_edge(p, _of_best(*models), count), collapse)
        yield Finding("edge-of-best", f"{k}: {what}", found, limits, said, "best of k", {"collapsed": count})
        found = _bootstrap(lambda _, counts, count=count: collapse_edge(p, medians(counts), count), collapse)
        yield Finding("edge-of-median", f"median seed: {what}", found, limits, said, settings={"collapsed": count})


def edges_of_single_runs(reference_collapse: xr.Dataset) -> Iterator[Finding]:
    """The published ranges against what one run at each p shows: from which p on so many pairs are collapsed."""
    p, runs = reference_collapse.p.values, "one run of the reference training drawn at each p"
    beyond = np.append(p, p[-1] + GRID)
    was = (
        "was that the central 95 % of draws touch the range, which scatter passes; now the interval of the median draw"
    )
    for count, (low, high) in FROM.items():
        what, at = f"{runs}: p at which the {ORDINALS[count]} pair collapses", {"collapsed": count}
        half = _bootstrap(lambda _, n, c=count: beyond[np.searchsorted(reached(n, c), 0.5)], reference_collapse)
        limits, said = Within(low, high), stated(SOURCE)
        yield Finding("single-runs", f"{what}, median", half, limits, said, settings=at, revised=was)
        chance = _bootstrap(lambda _, n, c=count, top=high: reached(n, c)[p <= top][-1], reference_collapse)
        yield report("chance-of-published", f"{what}, probability of {high:g} or less", chance, settings=at)


def published_numbers(reference_collapse: xr.Dataset) -> Iterator[Finding]:
    """Which number of collapsed pairs runs of the reference training show most often in each published range."""
    for place, (name, ends) in enumerate(list(BANDS.items())[:4]):
        found, at = _inside(reference_collapse, *ends), {"published": name}
        if found.p.size:
            runs = f"reference runs, p of {ends[0]:g} to {ends[1]:g}"
            shares = xr.concat([(found["count"] == each).mean("p") for each in range(PAIRS + 1)], "collapsed")
            margin = bootstrap(partial(_margin, place), shares, resamples=RESAMPLES)
            what = f"{runs}: share with {name} collapsed, minus that with the most frequent other number"
            yield Finding("most-frequent", what, margin, Above(0), stated(SOURCE), settings=at)
            yield report("shares", f"{runs}: share with each number collapsed", mean(shares), settings=at)
            by_p = share(found["count"] == place)
            yield report("share-by-p", f"reference runs: share with {name} collapsed, by p", by_p, settings=at)


def _margin(place: int, shares: xr.DataArray) -> float:
    means = shares.transpose("collapsed", "seed").values.mean(1)
    return float(means[place] - np.delete(means, place).max())


def _inside(found: xr.Dataset, low: float, high: float) -> xr.Dataset:
    return found.sel(p=(found.p >= low) & (found.p <= high))


def published_geometry(collapse: xr.Dataset) -> Iterator[Finding]:
    """How near the best a model with the published number of collapsed pairs comes, everywhere in its range of p."""
    for place, (name, ends) in enumerate(BANDS.items()):
        count, found, at = min(place, PAIRS), _inside(collapse, *ends), {"published": name}
        if found.p.size:
            what = f"p of {ends[0]:g} to {ends[1]:g}, {NAMES[count]} of 3 pairs collapsed"
            worst = _bootstrap(partial(excess, count=count), found)
            loss, said = f"{what}: largest excess of the least exact loss over the best", ours(f"limit; {SOURCE}")
            yield Finding("excess", loss, worst, AtMost(0.02), said, "best of k", at)
            middle = found["count"].isel(p=found.p.size // 2) == count
            yield report("seeds", f"{what}: share of seeds in the middle of the range", share(middle), settings=at)


def ends_of_the_range(collapse: xr.Dataset) -> Iterator[Finding]:
    """A hexagon where sparse, and PCA where dense."""
    sparse, dense, k = _inside(collapse, 0, 0.05), _inside(collapse, 0.5, 1), f"best of {collapse.sizes['seed']}"
    what = f"{k}, p up to .05: largest distance from 60 degrees of angles between neighbors or members of a pair"
    off = of_best(sparse.off_hexagon, sparse.loss)
    yield Finding("hexagon", what, off, AtMost(10), ours(f"limit; {SOURCE}: a hexagon"), "best of k")
    ratio, what = dense.loss / dense.linear, "least exact loss over that of PCA"
    pca = "eigenvalues of the covariance in closed form (Eckart & Young 1936); range of p"
    near, last = ours(f"tolerance; {pca}: {SOURCE}"), float(dense.p[-1])
    yield Finding("pca", f"{k}: {what}, p of .5 and more", best(ratio), Near(1, within=0.1), near, "best of k")
    at_last = best(ratio.isel(p=-1, drop=True))
    yield Finding("pca-densest", f"{k}: {what}, p = {last:.2g}", at_last, Near(1, within=0.01), near, "best of k")


experiment = Experiment(
    question="At what density do correlated features collapse into their principal components?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 5",
    sweeps={"pairs": pairs, "reference": reference},
    scales={
        "tiny": {"steps": 300, "seed": range(4), "p": np.geomspace(0.02, 0.95, 6).tolist(), "reference.p": [GRID, 0.3]},
        "full": {"steps": 10_000, "seed": range(256), "pairs.p": np.geomspace(0.02, 0.95, 40).tolist()},
    },
    readings=[collapse, reference_collapse],
    figures=[pairs_by_band, collapse_by_density, single_runs],
    findings=[edges_of_collapse, edges_of_single_runs, published_numbers, published_geometry, ends_of_the_range],
    cost="13,312 cells of 10,000 steps",
)
