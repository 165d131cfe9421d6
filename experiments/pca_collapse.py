"""PCA collapse: three correlated pairs in a plane, from dense to sparse. Elhage et al. 2022, section 5."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, AdamW, Axis, Cosine, Record, Run, Supervised, Sweep, Tied, draw
from toymodels.analysis.collapse import collapse_edge, excess, off_hexagon, reached, set_spread
from toymodels.analysis.labelled import each_model, exact_losses, in_ranges, indicators, lead
from toymodels.analysis.restarts import of_best_model
from toymodels.config import replace
from toymodels.data import Correlated, covariance
from toymodels.estimates import best, mean, of_best, of_draws, redrawn, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import Above, AtLeast, AtMost, Finding, Near, Within, ours, report, stated
from toymodels.theory.correlated import correlated_loss, principal_loss

PAIRS, HIDDEN, GRID, COLLAPSED = 3, 2, 0.05, 0.01
"""COLLAPSED: spread up to which a pair counts as one vector: 1 % of its weight is in the difference of its members."""
SOURCE = "Elhage et al. 2022, section 5, ranges of p, called approximate, of the figure on collapse"
BANDS = {"none": (0.0, 0.05), "one": (0.05, 0.15), "two": (0.15, 0.2), "all": (0.25, 0.5), "PCA-like": (0.5, 1.0)}
EDGES = {"first": (0.05, 0.05), "second": (0.15, 0.15), "third": (0.2, 0.25)}
"""Published, in steps of GRID: where so many pairs are collapsed, nothing for .2 to .25; and where one pair more is."""
PALETTE = {"none": draw.BLUE, "one": draw.SKY, "two": draw.ORANGE, "all": draw.RED}
NUMBERS = {"none": 0, "one": 1, "two": 2, "all": 3, "PCA-like": 3}
by_number = partial(indicators, dim="collapsed", known=range(PAIRS + 1))
MEDIAN = "was that the central 95 % of draws touch the range, which scatter passes; now the interval of the median draw"

base = Run(Supervised(Correlated(PAIRS, 2), Tied(HIDDEN)), Adam(Cosine(1e-2)), 4000, 512, record=Record(40, 2))
published = replace(base, {"optimizer": AdamW(1e-3), "steps": 10_000, "batch": 1024})
by_p = partial(Axis, "p", "problem.data.p")
pairs = Sweep(base, [by_p(np.geomspace(0.02, 0.95, 24).tolist()), Axis("seed", "seed", range(32))])
reference = Sweep(published, [by_p((GRID * np.arange(1, 13)).round(2).tolist()), Axis("seed", "seed", range(64))])
tiny = {"steps": 300, "seed": range(4), "p": np.geomspace(0.02, 0.95, 6).tolist(), "reference.p": [GRID, 0.3]}
full = {"steps": 10_000, "seed": range(256), "pairs.p": np.geomspace(0.02, 0.95, 40).tolist()}


# ------------------------------------------------------------------------------------------------------------- readings
def collapse(pairs: Swept) -> xr.Dataset:
    """Of every model: exact loss, spread of pairs, how many are collapsed, degrees off a hexagon; by p: loss of PCA."""
    pairs.check(problem__data__sets=PAIRS, problem__data__size=2, problem__model__m=HIDDEN)
    W, b = (pairs.final(name, unconverged=True) for name in ("W", "b"))
    loss = exact_losses(lambda W, b, p: correlated_loss(W, b, p[..., 0], PAIRS), W, b, W.p)
    spread, off = each_model(lambda W: set_spread(W, PAIRS), W, outputs=["pair"]), each_model(off_hexagon, W)
    count = (spread <= COLLAPSED).sum("pair").where(loss.notnull())
    linear = [principal_loss(covariance(pairs.run(p=p).problem.data), HIDDEN) for p in W.p.values.tolist()]
    return xr.Dataset({"loss": loss, "spread": spread, "count": count, "off_hexagon": off, "linear": ("p", linear)})


def reference_collapse(reference: Swept) -> xr.Dataset:
    """The same for the training of the paper."""
    return collapse(reference)


# -------------------------------------------------------------------------------------------------------------- figures
def pairs_by_band(pairs: Swept, collapse: xr.Dataset) -> Figure:
    """Rows of W in the unit circle, one colour a pair, a collapsed pair as one arrow: the best seed by exact loss in
    the middle of each published range of p. Above: how many pairs are collapsed there in Elhage et al. 2022, and
    here."""
    figure, axes = draw.panels(1, len(BANDS), height=2.3, sharey=True, letters=False)
    models = of_best_model(collapse.assign(W=pairs.final(unconverged=True)), collapse.loss)
    colours = {"pair 1": draw.BLUE, "pair 2": draw.GREEN, "pair 3": draw.RED}
    for ax, (name, (low, high)) in zip(axes, BANDS.items(), strict=True):
        best = models.isel(p=abs(np.log(models.p / np.sqrt(max(low, 0.02) * high))).argmin("p"))
        draw.arrows(ax, best.W.values, np.repeat([*colours.values()], 2).tolist(), reach=1.25)
        found = f"here, $p={float(best.p):.2g}$: {[*PALETTE][int(best['count'])]}"
        ax.set_title(f"$p$ from {low:g} to {high:g}\npublished: {name}\n{found}", fontsize=7)
    draw.outer_labels(axes)
    draw.legend_below(figure, axes, {name: draw.key("-", colour) for name, colour in colours.items()})
    return figure


def collapse_by_density(pairs: Swept, collapse: xr.Dataset) -> Figure:
    """a: spread of each pair, the share of its squared weight in the difference of its members (0: one vector), of all
    seeds (grey dots) and the best by exact loss (black, pairs in order); behind: the published numbers of collapsed
    pairs, nothing for .2 to .25 (white). b: share of seeds with each number collapsed. c: least exact loss with each
    number, above the least of all (0: the best has it); more than 16 % above is off the axis. d: least loss over that
    of the best linear model, PCA, in closed form (dashed: 1); a ReLU can only help."""
    p, models, look = collapse.p.values, of_best_model(collapse, collapse.loss), {"ms": 2.5, "lw": 0.9}
    figure, ((spread, counts), (above, linear)) = draw.panels(2, 2, height=4.4, sharex=True)
    draw.cloud(spread, p[:, None, None], collapse.spread.transpose("p", ...), colour=draw.THEORY, alpha=0.25)
    spread.plot(p, np.sort(models.spread.transpose("p", "pair"), axis=1), "o-", color=draw.BLACK, **look)
    draw.stacked(counts, p, by_number(collapse["count"]).mean("seed"), PALETTE, log=True)
    for count, (name, colour) in enumerate(PALETTE.items()):
        own = collapse.loss.where(collapse["count"] == count).min("seed")
        above.plot(p, 100 * (own / models.loss - 1), "o-", color=colour, label=f"{name} collapsed", **look)
    linear.plot(p, models.loss / models.linear, "o-", color=draw.BLACK, **look)
    draw.log_axis(spread, "x", at=(0.02, 0.05, 0.1, 0.2, 0.5, 1))
    labels = ["spread of a pair", "share of seeds", "least loss above best (%)", "least loss / PCA"]
    published = {f"\n{name}" if low else f"published:\n{name}": (low, high) for name, (low, high) in BANDS.items()}
    for ax, label, limits in zip(figure.axes, labels, [(-0.04, 1.2), (0, 1), (-0.5, 16), (0, 1.08)], strict=True):
        ax.set(ylabel=label, ylim=limits, xlim=(p[0] / 1.08, p[-1] * 1.08))
        draw.spans(ax, {} if ax is counts else published, named=ax is spread)
    draw.ticks(spread, "y", np.linspace(0, 1, 6))
    marks = {"best seed": draw.key("-", draw.BLACK, marker="o", **look), "a seed": draw.key("", marker="o", ms=2.5)}
    draw.legend_below(figure, above, {**marks, "published range": draw.shade()}, columns=4)
    draw.levels(linear, [1], ["PCA"])
    for ax in (above, linear):
        ax.set_xlabel("activation probability $p$")
    draw.excluded(spread, pairs.left_out("shown"))
    return figure


def single_runs(reference: Swept, reference_collapse: xr.Dataset) -> Figure:
    """Single runs of the reference training of Elhage et al. 2022 (AdamW): share of seeds with none, one, two or all
    pairs collapsed. Grey: the published ranges of p, both ends included, and how many pairs are collapsed in them."""
    figure, ax = draw.panels(width=draw.COLUMN, height=2.4)
    shares = by_number(reference_collapse["count"]).mean("seed")
    draw.stacked(ax, reference_collapse.p.values, shares, PALETTE, width=0.85 * GRID)
    ax.set(xlabel="activation probability $p$", ylabel="share of seeds", ylim=(0, 1.16))
    draw.spans(ax, BANDS)
    draw.legend_below(figure, ax, {"published": draw.shade()}, columns=5, title="pairs collapsed")
    draw.excluded(ax, reference.left_out("shown"))
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def edges_of_collapse(collapse: xr.Dataset) -> Iterator[Finding]:
    """In which order, and from which p on, pairs collapse: the best of all seeds, and the median seed."""
    p, drawn, of = collapse.p.values, redrawn(collapse[["loss", "count"]]), partial(of_draws, count=collapse.seed.size)
    best, medians = of_best_model(drawn["count"], drawn.loss).values, drawn["count"].median("seed")
    k, said, falls = f"best of {collapse.seed.size}", stated(SOURCE), np.diff(best[:, ::-1]).max(1).clip(0)
    what = f"{k}: largest fall of the number of collapsed pairs from one p to the next"
    yield Finding("collapse-in-order", what, of(falls), AtMost(0), said, "best of k")
    what = f"{k}: how many of the four numbers of collapsed pairs, none to all, occur at some p"
    yield Finding("all-numbers", what, of([len(np.unique(each)) for each in best]), AtLeast(4), said, "best of k")
    said = stated(f"{SOURCE}; the tolerance, a step of our grid and twice its resolution, is ours")
    for count, (name, (low, high)) in enumerate(EDGES.items(), 1):
        limits, what = Within(low * p[0] / p[1], high * p[1] / p[0]), f"p at which the {name} pair collapses"
        edges, at = [of(collapse_edge(p, each, count)) for each in (best, medians)], {"collapsed": count}
        yield Finding("edge-of-best", f"{k}: {what}", edges[0], limits, said, "best of k", at)
        yield Finding("edge-of-median", f"median seed: {what}", edges[1], limits, said, settings=at)


def edges_of_single_runs(reference_collapse: xr.Dataset) -> Iterator[Finding]:
    """The published ranges against what one run at each p shows: from which p on so many pairs are collapsed."""
    p, counts, seeds = reference_collapse.p.values, redrawn(reference_collapse["count"]), reference_collapse.seed.size
    for count, (name, (low, high)) in enumerate(EDGES.items(), 1):
        chance, at = reached(counts, count), {"collapsed": count}
        half = of_draws(np.append(p, p[-1] + GRID)[(chance < 0.5).sum(1)], seeds)
        first = Within(low, max(high, round(low + GRID, 2)))  # on this grid: the first p with so many, one of two
        what = f"one run of the reference training drawn at each p: p at which the {name} pair collapses"
        yield Finding("single-runs", f"{what}, median", half, first, stated(SOURCE), settings=at, revised=MEDIAN)
        by_then = of_draws(chance[:, p <= first.high][:, -1], seeds)
        yield report("chance-of-published", f"{what}, probability of {first.high:g} or less", by_then, settings=at)


def published_numbers(reference_collapse: xr.Dataset) -> Iterator[Finding]:
    """Which number of collapsed pairs runs of the reference training show most often in each published range."""
    for name, where, models in in_ranges(reference_collapse, {name: BANDS[name] for name in PALETTE}):
        flags, runs, at = by_number(models["count"]), f"reference runs, {where}: share with", {"published": name}
        shares, by_p = flags.mean("p", skipna=False), share(flags.sel(collapsed=NUMBERS[name]))
        over_others = of_draws(lead(redrawn(shares).mean("seed"), collapsed=NUMBERS[name]), models.seed.size)
        what = f"{runs} {name} collapsed, minus that with the most frequent other number"
        yield Finding("most-frequent", what, over_others, Above(0), stated(SOURCE), settings=at)
        yield report("shares", f"{runs} each number collapsed", mean(shares), settings=at)
        yield report("share-by-p", f"reference runs: share with {name} collapsed, by p", by_p, settings=at)


def published_geometry(collapse: xr.Dataset) -> Iterator[Finding]:
    """How near the best a model with the published number of collapsed pairs comes, everywhere in its range of p."""
    for name, where, models in in_ranges(collapse, BANDS):
        what, at, drawn = f"{where}, {NUMBERS[name]} of 3 pairs collapsed", {"published": name}, redrawn(models)
        worst = of_draws(excess(drawn.loss, drawn["count"], NUMBERS[name]), models.seed.size)
        loss, said = f"{what}: largest excess of the least exact loss over the best", ours(f"limit; {SOURCE}")
        yield Finding("excess", loss, worst, AtMost(0.02), said, "best of k", at)
        middle = share(by_number(models["count"]).sel(collapsed=NUMBERS[name]).isel(p=models.p.size // 2))
        yield report("seeds", f"{what}: share of seeds in the middle of the range", middle, settings=at)


def ends_of_the_range(collapse: xr.Dataset) -> Iterator[Finding]:
    """A hexagon where sparse, and PCA where dense."""
    sparse, dense, k = collapse.sel(p=slice(0.05)), collapse.sel(p=slice(0.5, None)), f"best of {collapse.seed.size}"
    what = f"{k}, p up to .05: largest distance from 60 degrees of angles between neighbors or members of a pair"
    off, said = of_best(sparse.off_hexagon, sparse.loss), ours(f"limit; {SOURCE}: a hexagon")
    yield Finding("hexagon", what, off, AtMost(10), said, "best of k")
    said = ours(f"tolerance; eigenvalues of the covariance in closed form (Eckart & Young 1936); range of p: {SOURCE}")
    what, ratio = f"{k}: least exact loss over that of PCA, p", dense.loss / dense.linear
    yield Finding("pca", f"{what} of .5 and more", best(ratio), Near(1, within=0.1), said, "best of k")
    what, densest = f"{what} = {float(dense.p[-1]):.2g}", best(ratio.isel(p=-1, drop=True))
    yield Finding("pca-densest", what, densest, Near(1, within=0.01), said, "best of k")


experiment = Experiment(
    question="At what density do correlated features collapse into their principal components?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 5",
    sweeps={"pairs": pairs, "reference": reference},
    scales={"tiny": tiny, "full": full},
    readings=[collapse, reference_collapse],
    figures=[pairs_by_band, collapse_by_density, single_runs],
    findings=[edges_of_collapse, edges_of_single_runs, published_numbers, published_geometry, ends_of_the_range],
    cost="13,312 cells of 10,000 steps",
)
