"""Capacity: who gets how much of a dimension, against importance and kurtosis. Scherlis et al. 2022."""

from collections.abc import Iterator

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Cosine, Quadratic, Record, Run, Sparse, SquaredError, Supervised, Sweep, Tied, draw
from toymodels.analysis.capacities import NONE, PARTS, PHASES, parts_by_capacity, phase_counts, phases
from toymodels.analysis.geometry import factor_count, feature_dimensionality
from toymodels.analysis.labelled import each_model, over_seeds
from toymodels.analysis.restarts import of_best_model
from toymodels.analysis.spectra import frame_spectrum
from toymodels.config import replace
from toymodels.estimates import best_redrawn, exact, exactly, mean, of_best, of_draws, share, steps
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Decreasing, Finding, Follows, Increasing, Near, ours, report, stated
from toymodels.laws import Geometric, per_feature
from toymodels.problems.evaluation import importances
from toymodels.theory.capacity import boundaries, extra_capacity, optima

PAPER = "Scherlis et al. 2022"
KNOWN = ours(f"optimum in closed form, derived in theory.capacity after {PAPER}; tolerance")
PAIRED = "beyond the intervals of neighbours; now the change paired by seed, its whole interval"
NO_FALL, NO_RISE = f"was no fall {PAIRED}", f"was no rise {PAIRED}"


def _last_weight(run: Run) -> Run:
    """The axis of ratios sets the weight of all features: the last one keeps it, the others weigh 1."""
    return replace(run, {"problem.weights": (1.0,) * (run.problem.n - 1) + (run.problem.weights,)})


kurtosis, ratio = ({n: np.geomspace(*ends, n).round(4).tolist() for n in (4, 16, 40)} for ends in ((2, 32), (0.1, 10)))
grid = [Axis("kurtosis", "problem.kurtosis", kurtosis[16]), Axis("ratio", "problem.weights", ratio[16])]  # 1 is a tie
base = Run(Quadratic(6, 3), Adam(Cosine(1e-2)), steps=4000, record=Record(20, 2))
eight, sixteen = (Axis("seed", "seed", range(count)) for count in (8, 16))
extra = Sweep(base, [*grid, eight], _last_weight)
quadratic = replace(base, {"problem": Quadratic(12, 4, weights=Geometric(0.85))})
many = Sweep(quadratic, [Axis("kurtosis", "problem.kurtosis", [2, 4, 6, 10, 20, 40]), sixteen])
autoencoder = replace(base, {"problem": Supervised(Sparse(20), Tied(5), SquaredError(Geometric(0.8)))})
relu = Sweep(autoencoder, [Axis("p", "problem.data.p", [1, 0.3, 0.1, 0.03, 0.01, 0.003]), sixteen])
tiny = {"seed": range(4), "steps": 400, "relu.p": [1, 0.1], "extra.kurtosis": kurtosis[4], "extra.ratio": ratio[4]}
full = {"many.seed": range(64), "relu.seed": range(64), "extra.kurtosis": kurtosis[40], "extra.ratio": ratio[40]}


# ------------------------------------------------------------------------------------------------------------- readings
def extras(extra: Swept) -> xr.Dataset:
    """Capacity of the extra feature in every model, and as the best allocation has it."""
    C = feature_dimensionality(extra.final("W", unconverged=True)).isel(feature=-1)
    size = {"n": extra.data.sizes["feature"], "m": extra.data.sizes["hidden"]}
    known = xr.apply_ufunc(extra_capacity, C.kurtosis, C.ratio, kwargs=size)
    loss = extra.data.objective.isel(step=-1).where(C.notnull())
    return xr.Dataset({"trained": C, "loss": loss, "known": known}, attrs=size)


def allocations(many: Swept) -> xr.Dataset:
    """Capacities, spectra, blocks and losses of every model, beside those of the best allocation."""
    problem, W = many.sweep.base.problem, many.final("W", unconverged=True)
    v = np.asarray(per_feature(problem.weights, problem.n), np.float64)
    known = optima(problem.m, v, W.kurtosis.values)
    loss = many.data.objective.isel(step=-1).astype(np.float64).where(W.notnull().all(["feature", "hidden"]))
    over = loss / xr.DataArray(known.loss, dims="kurtosis") - 1
    data = {"weight": ("feature", v), "C": feature_dimensionality(W), "blocks": factor_count(W, dead=0.05, tol=0.05)}
    data |= {"spectrum": each_model(frame_spectrum, W, outputs=["value"]), "over": over}
    data |= {"known": (("kurtosis", "feature"), known.capacity), "known_blocks": ("kurtosis", known.blocks)}
    return xr.Dataset(data | {"known_spectrum": (("kurtosis", "value"), known.spectrum)})


def relus(relu: Swept) -> xr.Dataset:
    """Capacities and blocks of every ReLU model, its loss over that of the means, and the shares of the loss's parts:
    these are means over draws, with an error of about .01 in the shares."""
    W, b = (relu.final(name, unconverged=True) for name in ("W", "b"))
    draws = [relu.run(p=p).problem.data.sample(jax.random.key(0), 2**16) for p in W.p.values.tolist()]
    x, importance = xr.DataArray(np.array(draws), dims=("p", "draw", "feature")), importances(relu.sweep.base.problem)
    parts = parts_by_capacity(x, W, b, importance, (NONE, 0.1))
    total, means = parts.isel(threshold=0).sum("part", skipna=False), importance.sum() * (W.p / 3 - W.p**2 / 4)
    data = {"C": feature_dimensionality(W), "blocks": factor_count(W, dead=0.25), "importance": ("feature", importance)}
    data |= {"loss": total / means, "shares": parts / total}
    return xr.Dataset(data, attrs={"left_out": relu.left_out("shown"), "m": W.sizes["hidden"]})


# -------------------------------------------------------------------------------------------------------------- figures
def capacity_of_an_extra_feature(extras: xr.Dataset) -> Figure:
    """Features of quadratic units, the weight of the last one r times that of the others: its capacity, trained (left;
    best of all seeds by final loss) and in the best allocation (right). Lines: where it begins to have any capacity,
    and where it has a dimension of its own, in closed form; they meet at kurtosis 3."""
    figure, axes = draw.panels(1, 2, height=2.9, sharey=True)
    tables = {"trained": of_best_model(extras.trained, extras.loss), "exact": extras.known}
    names = {"ignored": (3, 0.15, "white"), "polysemantic": (16, 1, "white"), "monosemantic": (3, 6, "black")}
    for ax, (title, C) in zip(axes, tables.items(), strict=True):
        table = C.transpose("ratio", "kurtosis")
        mesh = draw.heatmap(ax, C.kurtosis, C.ratio, table, log_x=True, log_y=True, vmin=0, vmax=1)
        k = np.geomspace(*ax.get_xlim(), 300)
        ax.plot(k, np.transpose(boundaries(k, int(extras.n), int(extras.m))), color=draw.RED)
        for name, (x, y, colour) in names.items():
            ax.text(x, y, name, color=colour, fontsize=7, ha="center", va="center")
        draw.log_axis(ax, "x", [2, 3, 4, 8, 16, 32])
        draw.log_axis(ax, "y")
        ax.set(xlabel="kurtosis $k$", title=title)
    axes[0].set_ylabel("relative weight $r$")
    draw.colour_bar(figure, mesh, axes, f"capacity $C_{extras.n}$")
    draw.legend_below(figure, axes, {"capacity begins, capacity reaches 1: exact": draw.key("-", draw.RED)})
    return figure


def capacity_by_weight(allocations: xr.Dataset) -> Figure:
    """Features of quadratic units; best of all seeds by final loss (dots) and exact optimum (lines, ticks). a: capacity
    against weight. b: eigenvalues of WᵀW: equal ones belong to one semi-orthogonal block, so all features that share do
    so in one. c: final loss of every seed over the optimum, on the floor within 1e-6."""
    found, kurtosis = of_best_model(allocations, allocations.over), allocations.kurtosis.values
    figure, (left, middle, right) = draw.panels(1, 3, height=2.5, width_ratios=(1.5, 1, 1))
    beside = draw.aside(kurtosis, found.sizes["value"], 0.08)
    for k, x, colour in zip(kurtosis, beside, draw.feature_colours(kurtosis.size), strict=True):
        here = found.sel(kurtosis=k)
        left.plot(here.weight, here.known, color=colour, lw=1, label=f"$k={k:g}$")
        left.plot(here.weight, here.C, "o", ms=3, color=colour)
        middle.plot(0 * x + k, here.known_spectrum, "_", ms=9, color=draw.THEORY)
        middle.plot(x, here.spectrum, "o", ms=2.5, color=colour)
    over = allocations.over.clip(min=1e-6).transpose("kurtosis", "seed")
    draw.cloud(right, draw.aside(kurtosis, over.sizes["seed"], 0.12), over, alpha=0.6, ms=2.5)
    left.set(xlabel="weight $v_i$", ylabel="capacity $C_i$")
    middle.set(xlabel="kurtosis $k$", ylabel="eigenvalues of $W^\\mathsf{T} W$")
    right.set(xlabel="kurtosis $k$", ylabel="loss / least loss $-$ 1", yscale="log")
    for ax in (middle, right):
        draw.log_axis(ax, "x", kurtosis)
    marks = {"exact": draw.key("-"), "trained, best": draw.key("", marker="o", ms=3)}
    marks["a seed (c)"] = draw.key("", draw.BLUE, marker="o", ms=2.5)
    draw.legend_below(figure, left, marks, columns=9, above=True)
    return figure


def capacity_of_relu_models(relus: xr.Dataset) -> Figure:
    """ReLU autoencoder; means over seeds, with each (a) or their range (b, c).
    a: capacity (dimensionality) of each feature against its importance. b: features ignored (C up to .02), monosemantic
    (from .98) and polysemantic (between), and the sum of all capacities beside the number of dimensions (dashed).
    c: loss over that of predicting every feature's mean (black), and shares of its parts: all at ignored features; what
    bias and length leave at each other feature active by itself; what others add to that where it is off and on."""
    C, p = relus.C.transpose("p", "feature", "seed"), relus.p.values
    figure, (left, middle, right) = draw.panels(1, 3, height=3.4, width_ratios=(1.2, 1, 1))
    for q, here, colour in zip(p, C, draw.feature_colours(p.size), strict=True):
        draw.cloud(left, relus.importance.values[:, None], here, colour=colour, ms=1.6)
        left.plot(relus.importance, here.mean("seed"), lw=1.1, color=colour, label=f"$p={q:g}$")
    left.set(xscale="log", xlabel="importance $I_i$", ylabel="capacity $C_i$")
    draw.legend(left, {"a seed": draw.key("", marker="o", ms=2.5)}, loc="upper left")
    draw.theory(middle, 1 / p, 0 * p + relus.m, "dimensions", colour=draw.BLACK, zorder=3)
    numbers = (*PHASES, "sum of $C_i$"), (*phase_counts(C), C.sum("feature", skipna=False))
    shares = (*PARTS, "loss / loss of the means"), (*relus.shares.sel(threshold=NONE), relus.loss)
    for ax, rows, name, top in (
        (middle, numbers, "features", C.shape[1]),
        (right, shares, "share of the loss, or ratio", 1),
    ):
        for label, values, colour in zip(*rows, ("0.6", draw.BLUE, draw.ORANGE, draw.GREEN, draw.BLACK), strict=False):
            draw.band(ax, 1 / p, over_seeds(values), label=label, colour=colour, marker="o", ms=2.5)
        ax.set(xscale="log", xlabel="$1/p$", ylabel=name, yticks=np.linspace(0, top, 5))
        draw.legend(ax, {"range of seeds": draw.shade()}, loc="lower center", bbox_to_anchor=(0.5, 1))
    draw.excluded(left, relus.left_out)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def extra_feature_as_allocated(extras: xr.Dataset) -> Iterator[Finding]:
    """The best of all restarts gives the extra feature the capacity of the best allocation, all over the grid."""
    known, grid, count = extras.known, ("kurtosis", "ratio"), extras.sizes["seed"]
    title = f"n = {extras.n}, m = {extras.m}, {known.size} settings, best of {count}"
    drawn = extras.trained.isel(seed=best_redrawn(extras.loss))
    off, same = abs(drawn - known).max(grid, skipna=False), (phases(drawn) == phases(known)).mean(grid)
    what = f"{title}: largest difference of the extra feature's capacity from that of the best allocation"
    yield Finding("extra-capacity", what, of_draws(off, count, "restart"), AtMost(0.02), KNOWN, "best of k")
    what = f"{title}: share with the extra feature ignored, polysemantic or monosemantic as in the best allocation"
    yield Finding("extra-phase", what, of_draws(same, count, "restart"), AtLeast(0.98), KNOWN, "best of k")


def many_features_as_allocated(allocations: xr.Dataset) -> Iterator[Finding]:
    """The best of all restarts is the best allocation: its loss, its capacities, its one block of shared dimensions."""
    data, over = allocations, allocations.over
    title = f"n = {data.sizes['feature']}, m = {data.sizes['value']}, best of {over.sizes['seed']}"
    what = f"least (loss / loss of the best allocation - 1) of {over.size} models"
    yield Finding("nothing-below", what, exact(over.min().item()), AtLeast(-1e-5), ours("proved; rounding"), "check")
    off = abs(data.C - data.known).max("feature", skipna=False)
    bent = abs(data.spectrum / data.known_spectrum - 1).max("value", skipna=False)
    for id, what, values, most in (
        ("loss", "loss over that of the best allocation, minus 1", over, 1e-4),
        ("capacity", "largest difference of a capacity from that of the best allocation", off, 0.02),
        ("spectrum", "largest relative difference of an eigenvalue of WᵀW from the optimal one", bent, 0.01),
    ):
        yield Finding(f"{id}-as-allocated", f"{title}: {what}", of_best(values, over), AtMost(most), KNOWN, "best of k")
    what = f"{title}: orthogonal blocks; one for all features that share, one for each monosemantic feature"
    blocks = Follows(tuple(data.known_blocks.values.tolist()))
    yield Finding("blocks-as-allocated", what, of_best(data.blocks, over), blocks, KNOWN, "best of k")
    close = share((over <= 1e-3).where(over.notnull()))
    yield report("seeds-at-the-optimum", "share of seeds within .1 % of the least loss", close)
    rows = phase_counts(of_best_model(data.C, over)).transpose("kurtosis", "phase").astype(int).values.tolist()
    what = f"{title}: features ignored, polysemantic, monosemantic for k = {', '.join(map(str, data.kurtosis.values))}"
    yield report("counts", what, exactly("; ".join(str(tuple(row)) for row in rows)))


def sparse_features_share(relus: xr.Dataset) -> Iterator[Finding]:
    """Sparser ReLU models share dimensions more, fill them, and lose less at the features that they ignore."""
    C, number = relus.C, phase_counts(relus.C).sel(phase="polysemantic", drop=True)
    what, why = "ReLU models: polysemantic features, by p", f"{PAPER}: sharing grows with kurtosis, which grows as 1/p"
    yield Finding("polysemantic-when-sparse", what, steps(number, "p"), Increasing(), stated(why), revised=NO_FALL)
    near = ((phases(C) == 1) & (abs(C - 0.5) <= 0.02)).sum("feature") / number.clip(min=1)
    yield report("near-a-half", "ReLU models: share of polysemantic features of capacity .48 to .52", mean(near))
    what, filled = "ReLU models: sum of capacities / number of dimensions", C.sum("feature", skipna=False) / relus.m
    most, bound = exact(filled.max().item()), stated(f"{PAPER}: the sum is at most the number of dimensions")
    yield Finding("capacity-bounded", f"{what}, largest of all", most, AtMost(1 + 1e-6), bound, "check")
    limit = ours(f"limit; {PAPER} say that efficient packing uses all capacity")
    yield Finding("capacity-used", f"{what}, by p", mean(filled), AtLeast(0.99), limit)
    yield report("blocks", "ReLU models: orthogonal blocks", mean(relus.blocks))
    ignored, own, off, on = relus.shares.sel(threshold=NONE, drop=True).transpose("part", ...)
    what, guess = "ReLU models: share of the loss at ignored features", ours("a guess: the sparser, the more are kept")
    if ignored.p[0] == 1:
        linear = ours("the linear optimum, Elhage et al. 2022, has no interference; tolerance")
        yield Finding("ignored-when-dense", f"{what}, p = 1", mean(ignored.isel(p=0)), Near(1, within=0.01), linear)
    yield Finding("ignored-when-sparse", f"{what}, by p", steps(ignored, "p"), Decreasing(), guess, revised=NO_RISE)
    what, wider = "ReLU models: share of the loss", relus.shares.isel(part=0).sel(threshold=0.1, drop=True)
    yield report("ignored-below-a-tenth", f"{what} at features of capacity up to .1", mean(wider))
    yield report("interference", f"{what} that is interference", mean(off + on))
    yield report("bias-and-length", f"{what} due to bias and length", mean(own))


experiment = Experiment(
    question="How do importance and kurtosis decide how much of a dimension a feature gets, and what does it cost?",
    source="Scherlis et al. 2022, arXiv 2210.01892",
    sweeps={"extra": extra, "many": many, "relu": relu},
    scales={"tiny": tiny, "full": full},
    readings=[extras, allocations, relus],
    figures=[capacity_of_an_extra_feature, capacity_by_weight, capacity_of_relu_models],
    findings=[extra_feature_as_allocated, many_features_as_allocated, sparse_features_share],
    cost="3 programs, 13,600 cells of 4,000 steps: about two minutes on two quiet cores",
)
