"""Learning as geometry: two sets of three correlated features in three dimensions. Elhage et al. 2022, section 6."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Choice, Correlated, Cosine, Momentum, Record, Run, Supervised, Sweep, Tied, draw
from toymodels.analysis.collapse import opposite_across_sets, set_spread
from toymodels.analysis.geometry import feature_dimensionality, tegum_factors
from toymodels.analysis.labelled import each_model, exact_losses, indicators, named, plateau_table
from toymodels.analysis.restarts import basins, of_best_model
from toymodels.estimates import category_of_best, mean, of_best, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import Above, AtLeast, AtMost, Finding, Is, Near, ours, report
from toymodels.theory.correlated import correlated_loss, principal_loss

SETS, SIZE = 2, 3
SHOWN, ORTHOGONAL, EVERY = 0.1, 0.15, 0.7
"""The p of trajectories and verdicts, as none is published; |cos| up to which two features of a trained model count as
orthogonal; the share that passes for "every seed": Wilson's interval of 28 of 32 lies above it."""
CHANGED = "was all; a share can be decided from the seeds at hand, few exceptions allowed"
PAPER = "Elhage et al. 2022, section 6, phenomenon 2"
SAME = xr.DataArray(np.kron(np.eye(SETS), np.ones((SIZE, SIZE))), dims=("feature", "other"))

problem = Supervised(Correlated(SETS, SIZE, SHOWN), Tied(3, scale=1e-3))
descent = Run(problem, Momentum(Cosine(5e-2)), 24_000, 1024, record=Record(250, 250, examples=8192))
flow = Sweep(descent, [Axis("seed", "seed", range(32))])
p = Axis("p", "problem.data.p", [0.02, 0.05, SHOWN, 0.15, 0.2, 0.3])
start = Choice("start", {"Xavier": {"problem.model.scale": 1.0}, "small": {"problem.model.scale": 1e-2}})
adam = Run(problem, Adam(Cosine(1e-2)), 4000, 512, record=Record(30, 2))
restarts = Sweep(adam, [p, start, Axis("seed", "seed", range(32))])
tiny = {"flow.steps": 2400, "restarts.steps": 400, "restarts.p": [SHOWN], "seed": range(4)}


# ------------------------------------------------------------------------------------------------------------- readings
def stages(flow: Swept) -> xr.Dataset:
    """Plateaus of every seed, the model halfway through each, and loss and W Wᵀ in the first interior one by PCA's."""
    _check(flow)
    table, law = plateau_table(flow.data.objective), flow.run().problem.data
    at, interior = {"seed": table.seed, "snapshot": table.middle.fillna(0)}, table.kind == "interior"
    models = flow.data[["W", "b"]].load().sel(at, method="nearest").drop_vars("snapshot").astype(np.float64)
    first = models.isel(plateau=interior.argmax("plateau")).where(interior.any("plateau"))
    average = np.asarray(law.mean(), np.float64)
    linear = principal_loss(np.asarray(law.second_moment(), np.float64) - np.outer(average, average), SETS)
    over = exact_losses(_loss, first.W, first.b, law.p) / linear
    away = abs(xr.dot(first.W, first.W.rename(feature="other"), dim="hidden") - SAME / SIZE).max(SAME.dims)
    found = table.assign(W=models.W, over_linear=over, away=away, linear=linear).assign_attrs(p=law.p)
    return found.merge(_geometry(flow.final("W", unconverged=True).drop_vars("snapshot")))


def ends(restarts: Swept) -> xr.Dataset:
    """Of every restart: exact loss and geometry; of all seeds together: the number of basins."""
    _check(restarts)
    W, b = (restarts.final(name, unconverged=True) for name in ("W", "b"))
    loss = exact_losses(_loss, W, b, W.p)
    core = [("seed", "feature", "hidden"), ("seed",)]
    told = each_model(lambda *every: float(len(basins(*every, tol=0.1))), W, loss, core=core)
    return _geometry(W).assign(loss=loss, basins=told)


def _check(swept: Swept) -> None:
    swept.check(problem__data__sets=SETS, problem__data__size=SIZE, problem__model__m=3)


def _geometry(W: xr.DataArray) -> xr.Dataset:
    """name; largest |D_i - 1/2|; largest |W_i.W_j| in a set; whether antipodes are of two sets."""
    off_half = abs(each_model(feature_dimensionality, W, outputs=["feature"]) - 1 / 2).max("feature")
    inside = abs(xr.dot(W, W.rename(feature="other"), dim="hidden")).where(np.eye(SETS * SIZE) < SAME).max(SAME.dims)
    name = each_model(lambda W: tegum_factors(W, tol=ORTHOGONAL, dead=0.25).name, W)
    crosses = each_model(lambda W: float(opposite_across_sets(W, SETS)), W)
    return xr.Dataset({"name": name, "off_half": off_half, "inside": inside, "crosses": crosses})


def _loss(W: np.ndarray, b: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.asarray(correlated_loss(W, b, p[..., 0], SETS))


# -------------------------------------------------------------------------------------------------------------- figures
def regimes(flow: Swept, stages: xr.Dataset) -> Figure:
    """One run from a small start, the run with the most plateaus (the others are grey). Top: loss, with its plateaus
    shaded; dashed: the loss of PCA with one component a set, in closed form. Middle: the spread of each set, 0 where
    its three features are one vector and 2/3 (dashed) where they are orthogonal, drawn once W is not 0; dotted: the
    singular values of W. Bottom: the features in the hidden space, in the colours of their sets, and W Wᵀ (blue to red
    from -1 to 1; lines part the sets), halfway through each plateau in the logarithm of the step, and at the end."""
    one = stages.isel(seed=int(stages.start.count("plateau").argmax("seed"))).dropna("plateau", subset=["start"])
    cell, steps = flow.data.sel(seed=one.seed), flow.data.step.values[1:]
    W = cell.W.transpose("snapshot", "feature", "hidden").values.astype(np.float64)[1:]
    times, singular = cell.snapshot.values[1:], np.linalg.svd(W, compute_uv=False)
    figure = plt.figure(figsize=(draw.PAGE, 5.4))
    grid = figure.add_gridspec(4, max(one.plateau.size, 1), height_ratios=(1.25, 1, 0.9, 0.9))
    loss, shape = (figure.add_subplot(grid[row, :], xscale="log", xlim=(4, steps[-1])) for row in (0, 1))
    draw.runs(loss, steps, flow.data.objective.transpose("seed", "step").values[:, 1:], colour="0.8", lw=0.4)
    loss.plot(steps, cell.objective.values[1:], color=draw.BLUE)
    spreads = np.where(singular[:, :1] > 0.05, set_spread(W, SETS), np.nan)
    shape.plot(times, spreads, label=[f"set {place + 1}" for place in range(SETS)])
    shape.plot(times, singular, color="0.5", lw=0.7, ls=draw.DOTTED)
    pairs = [[figure.add_subplot(grid[row, place]) for row in (2, 3)] for place in range(one.plateau.size)]
    for place, pair in enumerate(pairs):
        flat = one.isel(plateau=place)
        for ax in (loss, shape):
            ax.axvspan(max(float(flat.start), 4), float(flat.stop), color="0.93", lw=0, zorder=0)
        draw.polytope_and_gram(pair, flat.W.values, SIZE, f"step {float(flat.middle):.0f}")
    _gram_bar(figure, pairs)
    loss.set(yscale="log", ylabel="loss", xticklabels=[])
    draw.legend(loss, {"other runs": draw.key("-", "0.8"), "plateau": draw.shade("0.6")}, loc="lower left")
    draw.levels(loss, [stages.linear], ["PCA"])
    shape.set(xlabel="step", ylabel="spread,\nsingular values", ylim=(-0.05, 1.6))
    draw.levels(shape, [1 - 1 / SIZE], ["orthogonal"])
    draw.legend(shape, {"singular values": draw.key(draw.DOTTED, "0.5", lw=0.7)}, loc="upper left")
    draw.panel_labels([loss, shape])
    return figure


def _gram_bar(figure: Figure, pairs: list[list[Axes]]) -> None:
    matrices = [matrix for _, matrix in pairs]
    if matrices:
        draw.colour_bar(figure, matrices[0].collections[0], matrices, "$W W^\\mathsf{T}$", aspect=12)


def end_geometries(restarts: Swept, ends: xr.Dataset) -> Figure:
    """Share of restarts that end in an octahedron by p, from two starts (small: a hundredth of Xavier's scale), with
    95 % Wilson intervals; open symbols: the best of all seeds by exact loss is another geometry. Right: the features in
    the hidden space, in the colours of their sets, and W Wᵀ (blue to red from -1 to 1; lines part the sets), of the
    best of all restarts at both ends of this range of p and where trajectories are shown."""
    p, W = ends.p.values, restarts.final("W", unconverged=True)
    shown = sorted({float(p[0]), float(p[np.abs(p - SHOWN).argmin()]), float(p[-1])})
    figure = plt.figure(figsize=(draw.PAGE, 3.1))
    grid = figure.add_gridspec(2, 1 + len(shown), width_ratios=[1.9, *[1] * len(shown)])
    ax = figure.add_subplot(grid[:, 0])
    colours = draw.PALETTE[SETS::2]
    for start, shift, colour in zip(ends.start.values, draw.shifts(ends.start.size), colours, strict=False):
        octahedra, loss = named(ends.name, "octahedron").sel(start=start), ends.loss.sel(start=start)
        shares, other = [share(octahedra.sel(p=each)) for each in p], of_best_model(octahedra, loss).values != 1
        draw.points(ax, p, shares, f"{start} start", colour, shift=shift, flagged=other, ls="-", lw=0.8)
    draw.log_axis(ax, "x", p)
    ax.set(xlabel="activation probability $p$", ylabel="share of octahedra", ylim=(-0.04, 1.04))
    looks = {"best is another": draw.key("", "0.4", marker="o", mfc="white"), "95 % interval": draw.whisker()}
    for place in range(SETS):
        looks[f"set {place + 1}"] = draw.key("", draw.PALETTE[place], marker="o", ms=3)
    draw.legend_below(figure, ax, looks, columns=6)
    pairs = []
    for place, at in enumerate(shown, 1):
        best = ends.assign(W=W).sel(p=at).isel(ends.loss.sel(p=at).fillna(np.inf).argmin(...))
        pairs.append([figure.add_subplot(grid[row, place]) for row in (0, 1)])
        draw.polytope_and_gram(pairs[-1], best.W.values, SIZE, f"best at $p={at:g}$:\n{best.name.item()}")
    _gram_bar(figure, pairs)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def linear_first(stages: xr.Dataset) -> Iterator[Finding]:
    """Plateaus of every seed; whether the first after the start is PCA; the end."""
    count, at = stages.start.count("plateau"), f"p = {stages.p:g}, small start"
    regimes = (count >= 3) & (stages.kind == "interior").any("plateau")
    what = f"seeds whose loss has three plateaus or more, one of them between the first and the last; {at}"
    source = ours(f"three, in every seed; {PAPER}: distinct regimes")
    yield Finding("three-regimes", what, share(regimes), AtLeast(EVERY), source, revised=CHANGED)
    yield report("plateaus", f"plateaus of the loss; {at}", mean(count))
    what = f"exact loss halfway through the first plateau after the start, over that of PCA; {at}"
    source = ours(f"closed form, Eckart & Young 1936; tolerance; {PAPER}: linear first")
    yield Finding("linear-loss", what, mean(stages.over_linear), Near(1, within=0.02), source, digits=".4f")
    what = f"largest difference there between W Wᵀ and that of PCA, 1/{SIZE} in a set and 0 across; {at}"
    source = ours("the projector on the means of the sets, closed form; limit")
    yield Finding("linear-weights", what, mean(stages.away), AtMost(0.1), source)
    octahedra, what = share(named(stages.name, "octahedron")), f"seeds that end in an octahedron; {at}"
    yield Finding("octahedron-at-the-end", what, octahedra, AtLeast(EVERY), ours(f"limit; {PAPER}"), revised=CHANGED)
    yield report("dimensionality-at-the-end", f"largest |D_i - 1/2| at the end; {at}", mean(stages.off_half))


def octahedra(ends: xr.Dataset) -> Iterator[Finding]:
    """How often an octahedron is found, whether the best is one, and whose feature sits opposite whose."""
    for start in ends.start.values.tolist():
        cells, where = ends.sel(start=start).sel(p=SHOWN, method="nearest"), {"start": start}
        by_p = named(ends.name.sel(start=start), "octahedron")
        at, octahedron = f"p = {float(cells.p):g}, {start} start", by_p.sel(p=cells.p)
        what, source = f"seeds that end in an octahedron; {at}", ours(f"more than half; {PAPER}: a strong attractor")
        yield Finding("strong-attractor", what, share(octahedron), Above(0.5), source, settings=where)
        best = f"of the best of {cells.sizes['seed']}; {at}"
        names, source = category_of_best(cells.name, cells.loss), ours(f"for the best; {PAPER}")
        yield Finding("best-is-octahedron", f"geometry {best}", names, Is("octahedron"), source, "best of k", where)
        source = ours("closed form of an octahedron whose antipodes are of two sets; limit")
        for id, what, limit in (("off_half", "|D_i - 1/2|", 0.01), ("inside", "|W_i.W_j| in a set", 0.05)):
            of = of_best(cells[id], cells.loss)
            yield Finding(id.replace("_", "-"), f"largest {what} {best}", of, AtMost(limit), source, "best of k", where)
        what = f"of the octahedra, those whose antipodes are all of two sets; {at}"
        crossed, source = share(cells.crosses.where(octahedron == 1)), ours(f"limit; {PAPER}: each set is orthogonal")
        yield Finding("antipodes-cross", what, crossed, AtLeast(EVERY), source, settings=where, revised=CHANGED)
        note = f"{float(cells.basins):.0f} basins, told apart by lengths and inner products"
        yield report("endings", f"seeds that end so; {at}", share(indicators(cells.name)), settings=where, note=note)
        yield report("octahedra-by-p", f"seeds that end in an octahedron; {start} start", share(by_p), settings=where)


experiment = Experiment(
    question="By which geometric steps are two sets of three correlated features learned, and where do they end?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 6",
    sweeps={"flow": flow, "restarts": restarts},
    scales={"tiny": tiny, "full": {"flow.steps": 60_000, "restarts.steps": 10_000, "restarts.seed": range(256)}},
    readings=[stages, ends],
    figures=[regimes, end_geometries],
    findings=[linear_first, octahedra],
    cost="3,072 cells of 10,000 steps and 32 of 60,000",
)
