"""k-gons: which geometry do n features in two dimensions reach, one active at a time? Chen et al. 2023."""

import itertools
from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Choice, Cosine, OneSparse, Placed, Population, Record, Run, Sweep, Tied, draw
from toymodels.analysis.geometry import feature_dimensionality
from toymodels.analysis.labelled import each_model, indicators, named
from toymodels.analysis.polygons import named_polygons
from toymodels.analysis.restarts import basin_names
from toymodels.estimates import best, category_of_best, each, mean, share
from toymodels.experiment import Experiment, Swept, require
from toymodels.findings import Above, AtLeast, AtMost, Finding, Is, Near, ours, report
from toymodels.shapes.polytopes import polygon
from toymodels.theory import polygons as theory
from toymodels.theory.critical import critical_points, regular_curvatures
from toymodels.theory.expected_loss import one_sparse_loss

NEAR = 0.1  # noise of the start up to which it counts as inside the k-gon's basin
EVERY = 0.8  # least share that passes for "all": Wilson's interval of 47 of 48 seeds, at each of four n, lies above it
PAPER = "Chen et al. 2023, arXiv 2310.06301"
OF_SEEDS = "was the one best of all; now of the seeds, any of which may be the best on other draws"
OF_STARTS = "was the largest gap among basins, which grows with the number of starts; now a share of the starts"
SIDES = (5, 6, 7, 8)


def inside_of(k: int) -> Population:
    """Starts at the best regular k-gon of k features."""
    known = theory.polygon(k)
    return Population(OneSparse(k), Placed(Tied(2), theory.polygon_weights(k, known.radius), np.full(k, known.bias)))


def placed(k: int) -> dict[str, object]:
    start = inside_of(k)
    return {"problem.data.n": k, "problem.model.W": start.model.W, "problem.model.b": start.model.b}


random = Run(Population(OneSparse(5), Tied(2)), Adam(Cosine(3e-2)), 2500, record=Record(60, 2))
rates = Axis("rate", "optimizer.lr.peak", (1e-2, 3e-2, 1e-1))
census = Sweep(random, [Axis("n", "problem.data.n", SIDES), rates, Axis("seed", "seed", range(512))])
near = Run(inside_of(5), Adam(Cosine(1e-2)), 1500, record=Record(60, 2))
noises = Axis("noise", "problem.model.noise", (0.03, NEAR, 0.2, 0.3, 0.4, 0.5))
inside = Sweep(near, [Choice("n", {k: placed(k) for k in SIDES}), noises, Axis("seed", "seed", range(48))])
tiny = {"n": (5,), "rate": (3e-2,), "noise": (NEAR,), "census.steps": 400, "inside.steps": 300}
tiny |= {"census.seed": range(8), "inside.seed": range(4)}


# ------------------------------------------------------------------------------------------------------------- readings
def critical() -> xr.Dataset:
    """The regular k-gons with features left over by name and exact loss; slope and curvature of the regular n-gons."""
    return critical_points(SIDES).merge(regular_curvatures(SIDES))


def reached(census: Swept) -> xr.Dataset:
    """Of every random start: exact loss, geometry, and its basin among all seeds of one rate, by geometry and loss."""
    made = []
    for n in census.data.n.values.tolist():
        cells = _models(census, n)
        # Rotations and permutations leave the products of rows (W_i, b_i) as they are.
        rows = xr.concat([cells.W, cells.b.expand_dims("hidden")], "hidden")
        made.append(cells[["loss", "name"]].assign(basin=basin_names(rows, cells.loss, cells.name)))
    return xr.concat(made, census.data.n)


def stayed(inside: Swept) -> xr.Dataset:
    """Of every start near a regular n-gon: exact loss, whether it ends in it, largest |D_i - 2/n|."""
    made = []
    for n in inside.data.n.values.tolist():
        cells = _models(inside, n)
        off = abs(each_model(feature_dimensionality, cells.W, outputs=["feature"]) - 2 / n).max("feature")
        made.append(xr.Dataset({"loss": cells.loss, "regular": named(cells.name, polygon(n).name), "off": off}))
    return xr.concat(made, inside.data.n)


def _models(swept: Swept, n: int) -> xr.Dataset:
    require(swept.data.sizes["hidden"] == 2, "it is made for two dimensions")
    # Narrower models are padded to the width of the widest.
    W, b = (swept.final(name, unconverged=True).sel(n=n, drop=True).isel(feature=slice(n)) for name in ("W", "b"))
    return named_polygons(W, b, one_sparse_loss).drop_vars("snapshot")


# -------------------------------------------------------------------------------------------------------------- figures
def in_own_basin(inside: Swept, stayed: xr.Dataset, census: Swept, reached: xr.Dataset) -> Figure:
    """One active feature at a time, two dimensions, exact gradients. Top: trained from a start near the regular n-gon
    of least loss (grey rings); L is the exact loss. Bottom left: the share of such starts that end in the regular
    n-gon, over the standard deviation of the noise added to its weights and biases. Bottom right: the share of random
    starts that do, over the learning rate. Bars: 95 % Wilson intervals."""
    sides, shown = stayed.n.values.tolist(), min(NEAR, float(stayed.noise.max()))
    figure = plt.figure(figsize=(draw.PAGE, 4.1))
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    tops, (left, right) = top.subplots(1, len(sides), squeeze=False)[0], bottom.subplots(1, 2, sharey=True)
    for ax, n, shift, colour in zip(tops, sides, draw.shifts(len(sides)), draw.PALETTE, strict=False):
        W = inside.best(n=n, noise=shown).W.values[:n]
        draw.arrows(ax, W, reach=1.8)
        known, angles = theory.polygon(n), np.arctan2(W[0, 1], W[0, 0]) + 2 * np.pi * np.arange(n) / n
        ax.plot(*known.radius * np.array([np.cos(angles), np.sin(angles)]), "o", mfc="none", color="0.5", ms=7)
        ax.set_title(f"$n={n}$, regular {polygon(n).name}\n$L={known.loss:.5f}$")
        found = {"noise": stayed.regular.sel(n=n), "rate": named(reached.name.sel(n=n), polygon(n).name)}
        for side, (axis, flags) in zip((left, right), found.items(), strict=True):
            shares = [share(flags.sel({axis: value})) for value in flags[axis]]
            draw.points(side, flags[axis], shares, f"$n={n}$", colour, shift=shift, ls="-", lw=0.9)
    draw.outer_labels(tops, "hidden 1", "hidden 2")
    draw.log_axis(right, "x", reached.rate.values)
    left.set(xlabel="noise of the start", ylabel="share ending in the regular $n$-gon", ylim=(-0.03, 1.03))
    right.set_xlabel("learning rate, random starts")
    looks = {"95 % interval": draw.whisker(), "start (top)": draw.key("", "0.5", marker="o", mfc="none", ms=5)}
    draw.legend(left, looks, loc="lower left")
    draw.excluded(left, inside.left_out("shown"))
    draw.excluded(right, census.left_out("shown"))
    return figure


def basins_reached(reached: xr.Dataset, critical: xr.Dataset) -> Figure:
    """Where random starts end: each dot is a basin, at its exact loss and its share of the seeds (bars: 95 % Wilson
    intervals), a colour and a size for each learning rate. Dashed: exact losses of the regular k-gons, with pictograms,
    all other features dropped (k raised to d+: d features, their mean predicted; a dot in the middle) or silent (s-:
    never on; an empty middle). Basins between them have features of both kinds, features that share a vertex, or are
    irregular."""
    sides, rates, rows = reached.n.values.tolist(), reached.rate.values.tolist(), -(-reached.n.size // 2)
    figure, axes = draw.panels(rows, 2, 0.4 + 3 * rows, count=len(sides), letters=False)
    for ax, n in zip(axes, sides, strict=True):
        known = critical.sel(n=n).stack(point=("k", "silent"))
        known = known.isel(point=np.flatnonzero(known.notation != "")).sortby("known")
        for rate, size, colour in zip(rates, np.linspace(5.5, 2, len(rates)), draw.PALETTE, strict=False):
            cells, flags = reached.sel(n=n, rate=rate), indicators(reached.basin.sel(n=n, rate=rate))
            losses = cells.loss.where(flags).min("seed")
            draw.census(ax, [share(each) for each in flags], losses, f"{rate:g}", colour, ms=size)
        ends = np.concatenate([known.known.values, reached.loss.sel(n=n).values.ravel()])
        low, high, room = np.nanmin(ends), np.nanmax(ends), 0.04 * np.ptp(ends[np.isfinite(ends)])
        draw.log_axis(ax, "x", [1e-3, 1e-2, 1e-1, 1])
        ax.set(xlim=(1e-4, 1.3), ylim=(low - room, high + room), xlabel="share of seeds", ylabel="exact loss $L$")
        ax.set_title(f"$n={n}$", loc="left")
        draw.levels(ax, known.known.values, known.notation.values.tolist())
        draw.polytopes_at(ax, known.known.values, known.W.transpose("point", ...).values)
    draw.legend_below(figure, axes[0], {"95 % interval": draw.key("-", lw=0.6)}, title="learning rate")
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def polygons_are_minima(critical: xr.Dataset) -> Iterator[Finding]:
    """Of the exact loss, in closed form: the code of the theory against itself."""
    source = ours("tolerance; Hessian of the closed form in float64")
    for id, what, values, region, of in (
        ("stationary", "largest slope", critical.slope, AtMost(1e-12), ours(f"rounding; {PAPER}: critical points")),
        ("rotation", "size of the least curvature, that of a rotation,", critical.rotation, AtMost(1e-9), source),
        ("minimum", "least of the other curvatures", critical.curvature, Above(1e-9), source),
    ):
        what = f"{what} of the exact loss at the regular n-gon"
        yield Finding(id, what, each(values), region, of, "check", digits=".1g")


def near_polygons(stayed: xr.Dataset, critical: xr.Dataset) -> Iterator[Finding]:
    """From starts near the regular n-gon, at all noises that are small; a seed counts once."""
    cells = stayed.sel(noise=stayed.noise[stayed.noise <= NEAR])
    excess = cells.loss / critical.known.sel(k=cells.n, n=cells.n, silent=0) - 1
    at, kept = f"starts with noise up to {float(cells.noise.max()):g}", share(cells.regular.min("noise", skipna=False))
    what, source = f"seeds that stay in the regular n-gon; {at}", ours("limit; it is a minimum")
    revised = "was all starts; a share of the seeds can be decided"
    yield Finding("polygons-stay", what, kept, AtLeast(EVERY), source, revised=revised)
    both, what = ["noise", "seed"], f"exact loss over that of the regular n-gon in closed form, less 1; {at}"
    for id, values, text, region in (
        ("loss-attained", excess.max(both), f"largest {what}", AtMost(0.01)),
        ("loss-not-beaten", excess.min(both), f"least {what}", AtLeast(-1e-6)),
        ("dimensionality", cells.off.max(both), f"largest |D_i - 2/n|; {at}", AtMost(0.01)),
    ):
        yield Finding(id, text, each(values), region, ours("closed form; tolerance"), "check", digits=".1e")


def census_of_basins(reached: xr.Dataset, critical: xr.Dataset) -> Iterator[Finding]:
    """The best of all seeds and rates against the least of the known critical points; all ends against theirs."""
    known = critical.sel(n=reached.n).stack(point=("k", "silent")).drop_vars(("point", "k", "silent"))
    # One start a seed, at the rate that serves it best: rates share the initialisation.
    starts = reached.isel(rate=reached.loss.fillna(np.inf).argmin("rate"))
    at = f"of {starts.seed.size} random starts, each at the best of {reached.rate.size} learning rates"
    source = ours("the k-gons with features left over, closed form")
    for n in reached.n.values.tolist():
        names, of_n = category_of_best(starts.name.sel(n=n), starts.loss.sel(n=n)), known.sel(n=n)
        expected, what = Is(of_n.name[of_n.known.argmin("point")].item()), f"geometry of the best {at}; n = {n}"
        yield Finding("best-geometry", what, names, expected, source, "best of k", {"n": n}, revised=OF_SEEDS)
    gap, what = best(starts.loss / known.known.min("point") - 1), f"exact loss of the best {at}, over that of the least"
    yield Finding("best-loss", f"{what} k-gon, less 1", gap, Near(0, within=1e-3), source, "best of k", digits=".1e")
    same = reached.name == known.name
    has_name, off = same.any("point"), abs(reached.loss / known.known.where(same).max("point") - 1)
    what = "random starts within .1 % of the exact loss of the k-gon with features left over whose name they have"
    source = ours("limit; (k L_k + dropped (1/3 - 1/4n) + silent / 3) / n")
    close = mean((off <= 1e-3).where(has_name).mean("rate"))
    yield Finding("named-losses", what, close, AtLeast(0.9), source, "check", revised=OF_STARTS)
    ended = mean(has_name.where(reached.name != "lost").astype(float).mean("rate"))
    yield report("named", "random starts that end in a k-gon with features left over", ended)
    for n, rate in itertools.product(reached.n.values.tolist(), reached.rate.values.tolist()):
        flags, where = indicators(reached.basin.sel(n=n, rate=rate)), {"n": n, "rate": rate}
        most = flags.isel(name=np.argsort(-flags.mean("seed").values, kind="stable")[:4])
        yield report("basins", f"most frequent basins, n = {n}, learning rate {rate:g}", share(most), settings=where)


experiment = Experiment(
    question="Which geometry do n features in a plane reach, one active at a time, and which k-gons are minima?",
    source=PAPER,
    sweeps={"census": census, "inside": inside},
    scales={"tiny": tiny, "full": {"census.seed": range(1000)}},
    readings=[critical, reached, stayed],
    figures=[in_own_basin, basins_reached],
    findings=[polygons_are_minima, near_polygons, census_of_basins],
    cost="1,000 random starts for each number of features and rate: four minutes on two CPU cores, 8 programs",
)
