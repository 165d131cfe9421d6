"""Phase diagrams: which of few features does a bottleneck keep, at what density and importance? Elhage et al. 2022."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import distance_transform_edt

from toymodels import Adam, Axis, Cosine, Population, Record, Run, Sparse, SquaredError, Sweep, Tied, draw
from toymodels.analysis.labelled import exact_losses
from toymodels.analysis.restarts import drop_worst, of_best_model
from toymodels.config import replace
from toymodels.estimates import best_redrawn, each, exact, mean, of_draws, share
from toymodels.experiment import Experiment, Map, Swept
from toymodels.findings import Above, AtLeast, AtMost, Finding, Near, ours, report
from toymodels.theory import diagrams, phases
from toymodels.theory.expected_loss import expected_loss
from toymodels.theory.two_features import boundary_best_bias, boundary_without_bias

MARGIN, CUTS = 0.02, (0.316, 0.562, 0.75)
"""Relative gap of the two best branches from which a cell has a clear winner, and excess up to which it is reached; p
of the cuts through the diagrams: the nearest that were trained."""
KINK, CLOSE = 1e-3, 0.02
"""Fall of dL/dr, in units of p/3 - p²/4, from which the loss has a kink; difference of entries of W Wᵀ up to which two
models are alike."""
QUESTIONS = {"A": phases.two_branches, "B": phases.three_branches}
ENDS = {"is kept": phases.DROPPED, "has a dimension of its own": phases.OWN}
KIND, LIMIT = "best of k", ours("limit; exact optimum over all arrangements, theory.phases")
COLOURS = {
    "extra dropped": "0.88",
    "extra in a pair": draw.BLUE,
    "extra on one side": draw.GREEN,
    "triangle": draw.RED,
    "mixed signs": draw.PURPLE,
    "others in a pair": draw.SKY,
    "others on one side": "#8FD3B6",
    "other dropped": draw.ORANGE,
    "nothing kept": "white",
    "none of these": "black",
}
THEORIES = {"no bias": draw.DOTTED, "best bias, unit norm": draw.DASHED, "all optimised": "-"}


def diagram(n: int) -> Sweep:
    """n features in n - 1 dimensions, all of importance 1 but the last, the extra one."""
    base = Run(Population(Sparse(n), Tied(n - 1)), Adam(Cosine(3e-2)), steps=1500, record=Record(20, 2))
    r = Axis("r", "problem.loss.importance", np.geomspace(0.1, 10, 17).round(6))
    p, seed = Axis("p", "problem.data.p", np.geomspace(0.01, 1, 17)), Axis("seed", "seed", range(10))
    return Sweep(base, [p, r, seed], last)


def last(run: Run) -> Run:
    """The importance that is swept is that of the last feature."""
    others = (1.0,) * (run.problem.data.n - 1)
    return replace(run, {"problem.loss": SquaredError((*others, run.problem.loss.importance))})


A, B = diagram(2), diagram(3)
full = {"p": np.geomspace(0.01, 1, 50), "r": np.geomspace(0.1, 10, 50).round(6), "seed": range(10), "steps": 5000}
tiny = {"p": np.geomspace(0.2, 0.7, 3), "r": np.geomspace(0.1, 10, 5).round(6), "seed": range(4), "steps": 500}


# ------------------------------------------------------------------------------------------------------------- readings
def models(A: Swept, B: Swept) -> xr.Dataset:
    """Of every model: its exact loss, its arrangement, the norm of the extra feature and its superposition."""
    for n, swept in ((2, A), (3, B)):
        swept.check(problem__data__n=n, problem__model__m=n - 1)
    return both([_models(each) for each in (A, B)])


def both(parts: list[xr.Dataset]) -> xr.Dataset:
    return xr.concat(parts, xr.Variable("diagram", list(QUESTIONS)), join="exact")


def grid(swept: Swept) -> tuple[np.ndarray, np.ndarray]:
    """p and r."""
    p, r = (np.array(axis.labels, np.float64) for axis in swept.sweep.axes[:2])
    return p, r


def _models(swept: Swept) -> xr.Dataset:
    # Converged or not: the best of the restarts is judged by its exact loss.
    W, b = (swept.final(name, unconverged=True).assign_coords(r=grid(swept)[1]) for name in ("W", "b"))
    importance = xr.where(xr.DataArray(np.arange(W.sizes["feature"]) == W.sizes["hidden"], dims="feature"), W.r, 1.0)
    loss = exact_losses(expected_loss, W, b, W.p, importance)
    return diagrams.extra_feature(W).assign(loss=loss, name=diagrams.branches_of(W))


def optima(A: Swept) -> xr.Dataset:
    """On the grid: least loss, its arrangement, and by how much the second best arrangement is worse."""
    return both([diagrams.optimum_on_grid(question, *grid(A)) for question in QUESTIONS.values()])


def boundaries(A: Swept) -> xr.Dataset:
    """r of the lower and the upper boundary of superposition of the extra feature, everything optimised."""
    return both([diagrams.boundary_lines(question, grid(A)[0], ENDS) for question in QUESTIONS.values()])


def landscape(A: Swept) -> xr.Dataset:
    """The least loss of every arrangement, three times as finely as was trained; inf where it does not exist."""
    fine = [np.geomspace(each[0], each[-1], 3 * len(each) - 2) for each in grid(A)]
    return xr.merge([diagrams.losses_on_grid(question, *fine, name) for name, question in QUESTIONS.items()])


def changes(A: Swept) -> xr.Dataset:
    """Along the cuts, each change of the optimum, and the cells of the grid below and above it in r."""
    p, r = grid(A)
    p = p[sorted({int(np.abs(np.log(p / each)).argmin()) for each in CUTS})]
    found = {name: diagrams.changes_along(question, p, r) for name, question in QUESTIONS.items()}
    return xr.concat([each.assign(diagram=("change", [name] * len(each.p))) for name, each in found.items()], "change")


def cuts(A: Swept, changes: xr.Dataset) -> xr.Dataset:
    """The extra feature at the exact optimum along each cut, around all of its changes."""
    cuts = changes.groupby(["diagram", "p"])
    parts = [diagrams.optimum_along(QUESTIONS[name], cut, grid(A)[1]).assign(diagram=name) for (name, _), cut in cuts]
    return xr.concat(parts, "cut")


def jumps(A: Swept, B: Swept, models: xr.Dataset, changes: xr.Dataset) -> xr.Dataset:
    """Of each restart in the cells below and above each change: loss, arrangement, distance from the nearest optimum;
    and the jump from each below to each above, minus that between the optima nearest to them.

    Distances are of entries of W Wᵀ; where optima tie, each of them is one.
    """
    W = {name: each.final(unconverged=True).assign_coords(r=models.r) for name, each in (("A", A), ("B", B))}
    parts = []
    for place in range(changes.sizes["change"]):
        change = changes.isel(change=place, drop=True)
        name = str(change.diagram.values)
        of = models[["loss", "name"]].sel(diagram=name, drop=True).assign(W=W[name])
        parts.append(diagrams.jumps_across(QUESTIONS[name], of, change))
    return xr.concat(parts, "change").assign_coords(end=changes.end)


# -------------------------------------------------------------------------------------------------------------- figures
def overlay(axes: list[Axes], boundaries: xr.Dataset, names: list[str]) -> None:
    """Boundaries of the three theories, by the diagrams of these axes; labels and legend."""
    p = boundaries.density.values
    fine = np.geomspace(p.min(), p.max(), 60)
    for ax, name in zip(axes, names, strict=True):
        # With n = 3 the others share as soon as the extra one matters more, or one of them is dropped.
        low = [boundary_without_bias(fine), boundary_best_bias(fine)]
        lines = [(fine, (r, 1 / r if name == "A" else np.ones_like(r))) for r in low]
        lines.append((p, boundaries.r.sel(diagram=name).values))
        for dash, (y, sides) in zip(THEORIES.values(), lines, strict=True):
            for r in sides:
                draw.theory(ax, r, y, colour="black", dash=dash)
        draw.log_axis(ax, "xy")
    draw.outer_labels(axes, "relative importance $r$", "activation probability $p$")
    keys = {name: draw.key(dash, "black") for name, dash in THEORIES.items()}
    draw.legend_below(axes[0].figure, axes, keys, above=True)


def phase_diagrams(
    A: Swept, B: Swept, models: xr.Dataset, optima: xr.Dataset, landscape: xr.Dataset, boundaries: xr.Dataset
) -> Figure:
    """What is kept of two features in one dimension, importances (1, r) (A), and of three in two, (1, 1, r) (B): the
    best of all restarts by exact loss, classified, beside the exact optimum over weights and biases, three times as
    finely. The extra feature is the one with importance r. Arrows: weights of a trained model of the region, the extra
    feature white, in a circle of its colour, beside the region where that is narrow. Lines: where its superposition
    begins and ends to win without bias (dotted), with the best bias at unit norm (dashed), with everything optimised
    (solid). Dots: the two best arrangements are within 2 % of each other in loss. Mixed signs: neither opposite nor on
    one side. At p = 1, and at r = 1 in B, arrangements tie or nearly do, and what is trained may differ."""
    figure, axes = draw.panels(1, 4, height=3.1, sharey=True, letters=False)
    trained = of_best_model(models.name, models.loss)
    drawn, near = [], f"two best within {100 * MARGIN:g} %"
    for pair, (name, swept) in zip(axes.reshape(2, 2), (("A", A), ("B", B)), strict=True):
        losses = landscape[name].transpose("p", "r", f"{name}_arrangement")
        best = losses[f"{name}_arrangement"][losses.argmin(f"{name}_arrangement")]
        for ax, what, names in zip(
            pair, ("trained", "optimal"), (trained.sel(diagram=name).transpose("p", "r"), best), strict=True
        ):
            draw.categories(ax, names.r, names.p, names, COLOURS, log_x=True, log_y=True)
            ax.set_title(f"{name}, {what}")
            drawn.append(names)
        close = np.argwhere(optima.gap.sel(diagram=name).values <= MARGIN)
        pair[0].plot(optima.r[close[:, 1]], optima.p[close[:, 0]], "o", ms=1.5, mew=0, color="black", label=near)
        _pictograms(pair[0], trained.sel(diagram=name).transpose("p", "r").values, swept)
    arrow = {"ls": "", "marker": "$\\rightarrow$", "ms": 9, "mec": "black", "mew": 0.4}
    for name, colour in (("extra feature", "white"), ("others", "black")):
        axes[0].plot([], [], color=colour, label=name, **arrow)
    overlay(axes, boundaries, ["A", "A", "B", "B"])
    draw.category_legend(figure, COLOURS, drawn)
    return figure


def _pictograms(ax: Axes, names: np.ndarray, swept: Swept) -> None:
    """In each region of 1 % or more, where it is widest, or to the right if it is too narrow: the arrows of the best
    restart there."""
    W = swept.final("W", unconverged=True).transpose("p", "r", "seed", "feature", "hidden").values
    final = swept.finite("objective", step=-1).transpose("p", "r", "seed").fillna(np.inf).values
    beside = 0.72
    for name in np.unique(names):
        inside = np.pad(names == name, 1)
        if inside.sum() < 0.01 * names.size:
            continue
        depth = distance_transform_edt(inside)[1:-1, 1:-1]
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        rows = W[row, column, final[row, column].argmin()]
        rows = np.pad(rows, ((0, 0), (0, 2 - rows.shape[1])))
        x, y = ((place + 0.5) / size for place, size in zip((column, row), names.shape[::-1], strict=True))
        if depth[row, column] < 2:
            x, y, beside = 0.85, beside, beside - 0.2
        inset = ax.inset_axes((x - 0.13, y - 0.1, 0.26, 0.2))
        draw.arrows(inset, rows, ["black"] * (len(rows) - 1) + ["white"], reach=1.4)
        inset.patches[0].set(fill=True, facecolor=COLOURS[name], edgecolor="black")
        inset.axis("off")


def extra_feature(models: xr.Dataset, boundaries: xr.Dataset) -> Figure:
    """The published display, of two features in one dimension (A) and three in two (B): the norm of the extra feature
    and its superposition, the sum over the other features of the squared projection of theirs on its direction, each a
    mean over the restarts of a cell without the worst. Lines as in the diagrams of phases: no bias (dotted), best bias
    at unit norm (dashed), everything optimised (solid)."""
    figure, axes = draw.panels(1, 4, height=2.5, sharey=True, letters=False)
    looks = {"norm": ("Blues", "$\\|W_e\\|$"), "superposition": ("Reds", "$\\sum_j (\\hat W_e \\cdot W_j)^2$")}
    shown = [(name, what) for name in QUESTIONS for what in looks]
    for ax, (name, what) in zip(axes, shown, strict=True):
        of, (colours, label) = models.sel(diagram=name).transpose("p", "r", "seed"), looks[what]
        values = np.clip(drop_worst(of[what], of.loss), 0, 1.1)
        mesh = draw.heatmap(ax, of.r, of.p, values, log_x=True, log_y=True, cmap=colours, vmin=0, vmax=1.1)
        ax.set_title(f"{name}, {what}")
        if name == "B":
            draw.colour_bar(figure, mesh, axes[3], label, fraction=0.08, pad=0.04)
    overlay(axes, boundaries, [name for name, _ in shown])
    return figure


def transitions(models: xr.Dataset, changes: xr.Dataset, cuts: xr.Dataset) -> Figure:
    """Cuts through the diagrams at fixed p, around all changes of the optimum: norm and superposition of the extra
    feature at the exact optimum (lines) and trained, the best of all restarts (filled) and the others (open). Vertical
    lines: where the optimum changes, solid for a jump of the weights (first order), dotted where they change
    continuously: there the norm starts from 0, but superposition, which depends on the direction alone, does not."""
    shared = {"sharex": "col", "sharey": "row", "squeeze": False}
    figure, axes = draw.panels(2, cuts.sizes["cut"], height=3.2, letters=False, **shared)
    for place, pair in enumerate(axes.T):
        cut = cuts.isel(cut=place)
        name, p, (low, high) = str(cut.diagram.values), float(cut.p), cut.r.values[[0, -1]]
        cells = models.sel(diagram=name).sel(p=p, method="nearest").sel(r=slice(low / 1.02, high * 1.02))
        at = changes.isel(change=((changes.diagram == name) & (changes.p == p)).values)
        for ax, what, colour in zip(pair, ("norm", "superposition"), (draw.BLUE, draw.RED), strict=True):
            ax.plot(cut.r, cut[what], color=colour, lw=0.9)
            every = cells[what].transpose("r", "seed")
            ax.plot(cells.r, every, "o", ms=3, mew=0.4, mfc="none", color=colour, alpha=0.5)
            ax.plot(cells.r, of_best_model(cells[what], cells.loss), "o", ms=2.6, mew=0, color=colour)
            for first_order, dash in ((True, "-"), (False, draw.DOTTED)):
                draw.moments(ax, at.r.values[(at.jump.values > phases.JUMP) == first_order], dash=dash)
            draw.log_axis(ax, at=[tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10) if low <= tick <= high])
            ax.set(ylim=(-0.06, 1.3), xlim=(low / 1.06, high * 1.06))
        pair[0].set_title(f"{name}, $p={p:.2g}$")
    draw.outer_labels(axes, "importance $r$", ["norm $\\|W_e\\|$", "superposition"])
    dots = {"best restart": {"mew": 0}, "other restarts": {"mfc": "none", "mew": 0.4}}
    keys = {name: draw.key("", "black", marker="o", ms=3, **look) for name, look in dots.items()}
    lines = {"exact optimum": draw.key("-", "black"), "jump": draw.whisker(), "continuous change": draw.DOTTED}
    draw.legend_below(figure, axes, lines | keys, above=True)
    return figure


# ----------------------------------------------------------------------------------------------------------------- maps
def two_in_one(landscape: xr.Dataset, models: xr.Dataset) -> Map:
    return _map("A", "A: two features in one dimension, the second of importance r", landscape, models)


def three_in_two(landscape: xr.Dataset, models: xr.Dataset) -> Map:
    return _map("B", "B: three features in two dimensions, the third of importance r", landscape, models)


def _map(name: str, title: str, landscape: xr.Dataset, models: xr.Dataset) -> Map:
    """The best arrangement at every point; those that compete with it; what the restarts near it found."""
    loss, trained = landscape[name].transpose(name + "_arrangement", "r", "p"), models.sel(diagram=name)
    kinds, order = loss[name + "_arrangement"].values, np.argsort(loss.values, axis=0)
    told = np.empty(loss.shape[1:], object)
    for r, p in np.ndindex(told.shape):
        here, ranked = loss.values[:, r, p], order[:, r, p]
        near = {"p": float(loss.p[p]), "r": float(loss.r[r])}
        rivals = [f"{kinds[k]} {here[k] / here[ranked[0]] - 1:+.2g}" for k in ranked[1:4] if np.isfinite(here[k])]
        cells = trained.sel(near, method="nearest")
        found, counts = np.unique(cells.name.values.astype(str), return_counts=True)
        shares = ", ".join(f"{count} {kind}" for count, kind in sorted(zip(counts, found, strict=True), reverse=True))
        there, best = f"p = {float(cells.p):.3g}, r = {float(cells.r):.3g}", float(cells.loss.min())
        told[r, p] = (
            f"least loss {here[ranked[0]]:.4g}; others, relative to it: {', '.join(rivals) or 'none'}\n"
            f"restarts at {there}: {shares}; best {best:.4g}"
        )
    axes = {dim: (dim, loss[dim].values) for dim in ("p", "r")}
    return Map(title, axes["p"], axes["r"], kinds[order[0]], told, COLOURS, name)


# ------------------------------------------------------------------------------------------------------------- findings
def best_of_restarts(models: xr.Dataset, optima: xr.Dataset) -> Iterator[Finding]:
    """The best of all restarts against the exact optimum."""
    drawn, cells = (k := models.sizes["seed"], "restart"), ["p", "r"]
    for name in models.diagram.values.tolist():
        one, of, optimum = {"diagram": name}, models.sel(diagram=name), optima.sel(diagram=name)
        excess, best, clear = of.loss / optimum.loss - 1, best_redrawn(of.loss), optimum.gap > MARGIN
        over, same = excess.isel(seed=best), (of.name == optimum.name).isel(seed=best)
        sharp, what = f"the {int(clear.sum())} cells (of {clear.size}) with a clear winner", f"{name}, best of {k}"
        right, text = same.where(clear).mean(cells), f"{what}: share of {sharp} that have its arrangement"
        yield Finding("optimal-arrangement", text, of_draws(right, *drawn), AtLeast(0.95), LIMIT, KIND, one)
        text, most = f"{what}: excess over the optimal loss, largest of all cells", of_draws(over.max(cells), *drawn)
        yield Finding("largest-excess", text, most, AtMost(MARGIN), LIMIT, KIND, one, digits=".1e")
        text = f"{what}: excess over the optimal loss, median of all cells"
        yield report("typical-excess", text, of_draws(over.median(cells), *drawn), settings=one, digits=".1e")
        text, why = f"{name}: excess over the optimal loss, least of all models", ours("tolerance of float32 weights")
        yield Finding("none-below", text, exact(float(excess.min())), AtLeast(-1e-6), why, "check", one, digits=".1e")
        text = f"{name}, single restarts: share of {sharp} within {MARGIN:g} of the optimal loss"
        yield report("single-restarts", text, mean((excess <= MARGIN).where(clear).mean(cells)), settings=one)


def boundary_positions(models: xr.Dataset, boundaries: xr.Dataset) -> Iterator[Finding]:
    """Where, along r, the trained models cease to drop the extra feature and begin to give it a dimension."""
    count, least, most = models.sizes["seed"], float(models.r[0]), float(models.r[-1])
    step = np.log(most / least) / (models.sizes["r"] - 1)
    known = boundaries.r.sel(density=models.p.values, method="nearest").rename(density="p").assign_coords(p=models.p)
    why = ours("limit, half of it the grid's own; tie of the exact branch losses, or the instability")
    for name, side in itertools.product(models.diagram.values.tolist(), ENDS):
        cells, where = models.sel(diagram=name), {"diagram": name, "side": side}
        inside = cells.name.isin(ENDS[side]).isel(seed=best_redrawn(cells.loss))
        # The count of cells below the boundary places it midway between two of them.
        below = (inside if side == "is kept" else ~inside).sum("r")
        there = known.sel(where)
        there = there.where((there > least) & (there < most))
        off = abs(np.log(there / least) / step - below + 0.5)
        what = f"{name}, best of {count}: error of the r from which the extra feature {side}, in grid steps"
        text = f"{what}, largest of {int(there.notnull().sum())} p"
        yield Finding("boundary", text, of_draws(off.max("p"), count, "restart"), AtMost(1), why, KIND, where)
        typical = of_draws(off.median("p"), count, "restart")
        yield report("typical-boundary", f"{what}, median", typical, settings=where)


def by_cut(changes: xr.Dataset) -> Iterator[tuple[dict[str, Any], str, xr.Dataset]]:
    """Settings, the beginning of a sentence, and the changes of each cut, which are named along "r"."""
    columns = zip(*(changes[name].values.tolist() for name in ("r", "below", "above")), strict=True)
    names = [f"{r:.4g} ({below}" + f" to {above}" * (below != above) + ")" for r, below, above in columns]
    named = changes.drop_vars("r").rename(change="r").assign_coords(r=names)
    for (name, p), cut in named.assign(place=("r", np.arange(len(names)))).groupby(["diagram", "p"]):
        yield {"diagram": name, "p": round(float(p), 3)}, f"{name}, p = {p:.3g}", cut


def orders(changes: xr.Dataset) -> Iterator[Finding]:
    """Each change of the optimum along the cuts: a jump of the weights with a kink of the loss, or neither."""
    why = ours("least jump; Elhage et al. 2022, section 4, calls the changes first-order")
    for where, name, cut in by_cut(changes):
        between = cut.isel(r=(cut.below != cut.above).values)
        text = f"{name}: jump of W Wᵀ at the optimum wherever its arrangement changes"
        yield Finding("first-order", text, each(between.jump), Above(phases.JUMP), why, settings=where)
        signs = xr.concat([cut.jump > phases.JUMP, cut.kink > KINK, cut.coexist != 0], "sign")
        mixed = exact(float((signs.any("sign") & ~signs.all("sign")).sum()))
        text = f"{name}: changes of the optimum with some but not all of jump, kink, and coexisting minima"
        yield Finding("order-in-doubt", text, mixed, AtMost(0), ours("the envelope theorem"), "check", where)
        yield report("jumps", f"{name}: jump of W Wᵀ at each change of the optimum", each(cut.jump), settings=where)
        yield report("kinks", f"{name}: fall of dL/dr there, in units of p/3 - p²/4", each(cut.kink), settings=where)


def trained_jumps(jumps: xr.Dataset, changes: xr.Dataset) -> Iterator[Finding]:
    """The best models on both sides of each change: whether they are at an optimum, and jump as it does."""
    count, best = jumps.sizes["seed"], best_redrawn(jumps.loss)
    away = jumps.away.isel(seed=best).max("end")
    off = jumps.off.isel({end: best.sel(end=end, drop=True) for end in jumps.end.values.tolist()})
    was = "was the jump of the optimum listed first; now that of the nearest, as those that tie are listed by chance"
    for where, name, cut in by_cut(changes):
        own = (each.isel(change=cut.place.values).rename(change="r").assign_coords(r=cut.r) for each in (away, off))
        distance, difference = (of_draws(each, count, "restart") for each in own)
        what, near = f"{name}, best of {count} in the cells on either side of each change", Near(0, within=CLOSE)
        text = f"{what}: difference of W Wᵀ from the nearest optimum"
        yield Finding("at-an-optimum", text, distance, AtMost(CLOSE), LIMIT, KIND, where, digits=".1e")
        text = f"{what}: jump of W Wᵀ between them, minus that of the nearest optima"
        yield Finding("trained-jump", text, difference, near, LIMIT, KIND, where, was, digits=".1e")
        phase = xr.concat([cut.below, cut.above], xr.Variable("phase", ["lower", "upper"]))
        kinds = jumps.name.isel(change=cut.place.values).rename(change="r").assign_coords(r=cut.r)
        text = f"{name}: share of restarts in the lower and upper phase, in the cells on either side of each change"
        yield report("restarts-by-phase", text, share(kinds == phase), settings=where)


experiment = Experiment(
    question="At what density and importance is a feature dropped, given a dimension, or put in superposition?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 4",
    sweeps={"A": A, "B": B},
    scales={"tiny": tiny, "full": full},
    readings=[models, optima, boundaries, landscape, changes, cuts, jumps],
    maps=[two_in_one, three_in_two],
    figures=[phase_diagrams, extra_feature, transitions],
    findings=[best_of_restarts, boundary_positions, orders, trained_jumps],
    cost="2 programs, 50,000 cells of 5,000 steps: about half an hour on two cores, minutes to draw",
)
