"""Capacity: who gets how much of a dimension, against importance and kurtosis. Scherlis et al. 2022."""

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.decomposition import grouped, loss_parts
from toymodels.analysis.geometry import feature_dimensionality, tegum_factors
from toymodels.analysis.labelled import each_model
from toymodels.analysis.spectra import frame_spectrum
from toymodels.analysis.statistics import spread
from toymodels.config import replace
from toymodels.data import Sparse
from toymodels.estimates import best, bootstrap, exact, exactly, mean, of_best, share, steps
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Decreasing, Finding, Follows, Increasing, Near, ours, report, stated
from toymodels.laws import Geometric, per_feature
from toymodels.losses import SquaredError
from toymodels.models import Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.evaluation import importances
from toymodels.problems.quadratic import Quadratic
from toymodels.problems.supervised import Supervised
from toymodels.theory.capacity import best_allocation, best_weights, boundaries

NONE, WHOLE = 0.02, 0.98
"""Capacities up to which a feature counts as ignored, and from which as monosemantic; between, as polysemantic."""
DRAWS = 2**16
"""Examples that the parts of a loss are means over: an error of about .01 in their shares."""
PARTS = {
    "ignored features": "0.65",
    "bias and length": draw.ORANGE,
    "interference, feature off": draw.SKY,
    "interference, feature on": draw.BLUE,
}
DERIVED = "optimum in closed form, derived in theory.capacity after Scherlis et al. 2022"


def _last_weight(run: Run) -> Run:
    """The axis of ratios sets the weight of all features: the last one keeps it, the others weigh 1."""
    problem = run.problem
    return replace(run, {"problem.weights": (1.0,) * (problem.n - 1) + (problem.weights,)})


def _run(problem: Quadratic | Supervised) -> Run:
    return Run(problem, Adam(Cosine(1e-2)), steps=4000, record=Record(20, 2))


def _spaced(low: float, high: float, count: int) -> list[float]:
    return np.geomspace(low, high, count).round(4).tolist()


seeds = Axis("seed", "seed", range(16))
extra = Sweep(  # an even number of ratios: 1 is a tie
    _run(Quadratic(6, 3, 3.0, 1.0)),
    [
        Axis("kurtosis", "problem.kurtosis", _spaced(2, 32, 16)),
        Axis("ratio", "problem.weights", _spaced(0.1, 10, 16)),
        Axis("seed", "seed", range(8)),
    ],
    _last_weight,
)
many = Sweep(
    _run(Quadratic(12, 4, 3.0, Geometric(0.85))), [Axis("kurtosis", "problem.kurtosis", [2, 4, 6, 10, 20, 40]), seeds]
)
relu = Sweep(
    _run(Supervised(Sparse(20), Tied(5), SquaredError(Geometric(0.8)))),
    [Axis("p", "problem.data.p", [1, 0.3, 0.1, 0.03, 0.01, 0.003]), seeds],
)
tiny = {"seed": range(4), "steps": 400, "relu.p": [1, 0.1]}
tiny |= {"extra.kurtosis": _spaced(2, 32, 4), "extra.ratio": _spaced(0.1, 10, 4)}
full = {"many.seed": range(64), "relu.seed": range(64)}
full |= {"extra.kurtosis": _spaced(2, 32, 40), "extra.ratio": _spaced(0.1, 10, 40)}


# ------------------------------------------------------------------------------------------------------------- readings


def extras(extra: Swept) -> xr.Dataset:
    """Capacity of the extra feature in every model, and as the best allocation has it."""
    data, m = extra.data, extra.data.sizes["hidden"]
    weights = {r: (1.0,) * (data.sizes["feature"] - 1) + (r,) for r in data.ratio.values.tolist()}
    known = [[best_allocation(m, v, k).capacity[-1] for v in weights.values()] for k in data.kurtosis.values.tolist()]
    W = extra.final("W", unconverged=True)
    trained = feature_dimensionality(W).isel(feature=-1)
    loss = data.objective.isel(step=-1).load().where(trained.notnull())
    return xr.Dataset({"trained": trained, "loss": loss, "known": (("kurtosis", "ratio"), known)}).assign_attrs(
        n=data.sizes["feature"], m=m
    )


def counts(C: xr.DataArray) -> xr.DataArray:
    """(kind, ...): ignored, polysemantic and monosemantic features; NaN for lost models."""
    kinds = [C <= NONE, (C > NONE) & (C < WHOLE), C >= WHOLE]
    found = xr.concat([each.sum("feature") for each in kinds], "kind").where(C.notnull().all("feature"))
    return found.assign_coords(kind=["ignored", "polysemantic", "monosemantic"])


def allocations(many: Swept) -> xr.Dataset:
    """Capacities, spectra, blocks and losses of every model, beside those of the best allocation."""
    problem, kurtosis = many.sweep.base.problem, many.data.kurtosis.values.tolist()
    v, W = np.asarray(per_feature(problem.weights, problem.n), np.float64), many.final("W", unconverged=True)
    found = [best_allocation(problem.m, v, float(k)) for k in kurtosis]
    C, known = feature_dimensionality(W), xr.DataArray([each.capacity for each in found], dims=("kurtosis", "feature"))
    spectrum = [frame_spectrum(best_weights(problem.m, v, float(k))) for k in kurtosis]
    sharing = ((known > 1e-6) & (known < 1 - 1e-6)).any("feature")
    final = many.data.objective.isel(step=-1).load().astype(np.float64).where(W.notnull().all(["feature", "hidden"]))
    return xr.Dataset(
        {
            "C": C,
            "known": known,
            "spectrum": each_model(frame_spectrum, W, outputs=["value"]),
            "known_spectrum": (("kurtosis", "value"), spectrum),
            "blocks": each_model(partial(_blocks, dead=0.05, tol=0.05), W),
            "known_blocks": (known > 1 - 1e-6).sum("feature") + sharing,
            "over": final / xr.DataArray([each.loss for each in found], dims="kurtosis") - 1,
            "weight": ("feature", v),
        }
    )


def _blocks(W: np.ndarray, dead: float, tol: float | None = None) -> int:
    return len(tegum_factors(W, tol=tol, dead=dead).factors)


def relus(relu: Swept) -> xr.Dataset:
    """Capacities, blocks and parts of the loss of every ReLU model; parts in units of the loss of the means."""
    (W, b), importance = (
        (relu.final(name, unconverged=True) for name in ("W", "b")),
        importances(relu.sweep.base.problem),
    )
    C, parts = feature_dimensionality(W), []
    for p in W.p.values.tolist():
        x = np.asarray(relu.run(p=p).problem.data.sample(jax.random.key(0), DRAWS))
        x = x[(x != 0).any(1)]  # examples of zeros are all alike: they are added below
        read = partial(_parts, x, importance=importance / (importance.sum() * (p / 3 - p**2 / 4)))
        core = [["feature", "hidden"], ["feature"]]
        parts.append(each_model(read, W.sel(p=p), b.sel(p=p), core=core, outputs=["part", "feature"]))
    of_features = xr.concat(parts, "p").transpose("part", ..., "feature")
    data = xr.Dataset(
        {"C": C, "blocks": each_model(partial(_blocks, dead=0.25), W), "importance": ("feature", importance)}
    )
    for name, threshold in (("parts", NONE), ("parts_above_a_tenth", 0.1)):
        sums = grouped(of_features.values, C.transpose(*of_features.dims[1:]).values, threshold)
        data[name] = (("kind", *of_features.dims[1:-1]), np.array(sums))
    return data.assign_coords(kind=list(PARTS)).assign_attrs(left_out=relu.left_out("shown"), m=W.sizes["hidden"])


def _parts(x: np.ndarray, W: np.ndarray, b: np.ndarray, importance: np.ndarray) -> np.ndarray:
    """(part, feature): loss_parts over DRAWS examples, of which x are those that are not all zeros."""
    some = sum(len(few) * np.array(loss_parts(few, W, b, importance)) for few in np.array_split(x, len(x) // 2048 + 1))
    return (some + (DRAWS - len(x)) * np.array(loss_parts(np.zeros((1, len(W))), W, b, importance))) / DRAWS


# -------------------------------------------------------------------------------------------------------------- figures


def capacity_of_an_extra_feature(extras: xr.Dataset) -> Figure:
    """Six features in three dimensions, quadratic units, weights (1, 1, 1, 1, 1, r): capacity of the last one, trained
    (left; best of all seeds by final loss) and in the best allocation (right). Vermillion: where it begins to have any
    capacity, and where it has a dimension of its own, in closed form; they meet at kurtosis 3."""
    k, ratio = extras.kurtosis.values, extras.ratio.values
    figure, axes = draw.panels(1, 2, height=2.7, sharey=True)
    trained = extras.trained.isel(seed=extras.loss.fillna(np.inf).argmin("seed"))
    for ax, values, title in zip(axes, (trained, extras.known), ("trained", "exact"), strict=True):
        table = values.transpose("ratio", "kurtosis").values
        mesh = draw.heatmap(ax, k, ratio, table, log_x=True, log_y=True, vmin=0, vmax=1)
        fine = np.geomspace(*draw.edges(k, log=True)[[0, -1]], 300)
        for line in boundaries(fine, extras.n, extras.m):
            ax.plot(fine, line, color=draw.RED, lw=1.2)
        draw.log_axis(ax, "x", [2, 3, 4, 8, 16, 32])
        draw.log_axis(ax, "y", [0.1, 0.3, 1, 3, 10])
        ax.set(xlabel="kurtosis $k$", title=title)
        _name_phases(ax)
    axes[0].set_ylabel("relative weight $r$")
    draw.colour_bar(figure, mesh, axes, f"capacity $C_{extras.n}$")
    return figure


def _name_phases(ax: Axes) -> None:
    names = {
        "ignored": (0.25, 0.12, "white"),
        "polysemantic": (0.8, 0.5, "white"),
        "monosemantic": (0.25, 0.88, "black"),
    }
    for name, (x, y, colour) in names.items():
        ax.text(x, y, name, transform=ax.transAxes, color=colour, fontsize=7, ha="center", va="center")


def capacity_by_weight(allocations: xr.Dataset) -> Figure:
    """Twelve features in four dimensions, quadratic units; best of all seeds by final loss (dots) and exact optimum
    (lines, ticks). a: capacity against weight. b: eigenvalues of WᵀW: equal ones belong to one semi-orthogonal block,
    so all features that share do so in one block. c: final loss of every seed over the optimum, those within 1e-6 on
    the floor."""
    kurtosis, m = allocations.kurtosis.values, allocations.sizes["value"]
    figure, (left, middle, right) = draw.panels(1, 3, height=2.5, width_ratios=(1.5, 1, 1))
    found = allocations.isel(seed=allocations.over.fillna(np.inf).argmin("seed"))
    for colour, k in zip(draw.feature_colours(kurtosis.size), kurtosis, strict=True):
        here = found.sel(kurtosis=k)
        left.plot(here.weight, here.known, color=colour, lw=1, label=f"$k={k:g}$")
        left.plot(here.weight, here.C, "o", ms=3, color=colour)
        middle.plot(np.full(m, k), here.known_spectrum, "_", ms=9, mew=1, color=draw.THEORY)
        middle.plot(k * np.exp(np.linspace(-0.08, 0.08, m)), here.spectrum, "o", ms=2.5, color=colour)
    over = allocations.over.clip(min=1e-6).transpose("kurtosis", "seed").values
    draw.cloud(right, draw.aside(kurtosis, over.shape[1], 0.12), over, alpha=0.6, ms=2.5)
    left.set(xlabel="weight $v_i$", ylabel="capacity $C_i$", ylim=(-0.04, 1.04))
    middle.set(xlabel="kurtosis $k$", ylabel="eigenvalues of $W^\\mathsf{T} W$")
    right.set(xlabel="kurtosis $k$", yscale="log", ylabel="loss / least loss $-$ 1")
    draw.log_axis(middle, "x", kurtosis)
    draw.log_axis(right, "x", kurtosis)
    draw.legend_below(figure, left, {"exact": draw.key("-"), "trained": draw.key("", marker="o", ms=3)}, above=True)
    return figure


def capacity_of_relu_models(relus: xr.Dataset) -> Figure:
    """Twenty features in five dimensions, ReLU autoencoder. a: capacity (dimensionality) of each feature against its
    importance: means over seeds, and every seed as a dot. b: features ignored (C up to .02), monosemantic (from .98)
    and polysemantic (between), and the sum of all capacities beside the number of dimensions (dashed): means and ranges
    over seeds."""
    C, p = relus.C.transpose("p", "feature", "seed"), relus.p.values
    figure, (left, right) = draw.panels(1, 2, height=2.7, width_ratios=(1.3, 1))
    for colour, q in zip(draw.feature_colours(p.size), p, strict=True):
        draw.cloud(left, relus.importance.values[:, None], C.sel(p=q), colour=colour, ms=1.6)
        left.plot(relus.importance, C.sel(p=q).mean("seed"), lw=1.1, color=colour, label=f"$p={q:g}$")
    left.set(xscale="log", xlabel="importance $I_i$", ylabel="capacity $C_i$", ylim=(-0.04, 1.04))
    draw.legend(left, loc="upper left")
    rows = zip(counts(C), ("ignored", "polysemantic", "monosemantic"), ("0.55", draw.BLUE, draw.ORANGE), strict=True)
    for values, label, colour in (*rows, (C.sum("feature", skipna=False), "sum of $C_i$", draw.GREEN)):
        draw.band(right, 1 / p, *spread(values.transpose("p", "seed")), label=label, colour=colour, marker="o", ms=2.5)
    draw.theory(right, [1 / p[0], 1 / p[-1]], [relus.m, relus.m], "dimensions")
    right.set(xscale="log", xlabel="$1/p$", ylabel="features", ylim=(-0.4, C.sizes["feature"] + 0.5))
    draw.ticks(right, "y", range(0, C.sizes["feature"] + 1, 5))
    draw.legend(right, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    draw.excluded(left, relus.left_out)
    return figure


def what_the_loss_is_made_of(relus: xr.Dataset) -> Figure:
    """The models of `capacity_of_relu_models`: their loss in parts. Ignored: all the error at features without
    capacity. Bias and length: what is left at the others when each is active by itself. Interference: what the other
    features add to that, where the feature is off and where it is on. a: shares of the loss, means over seeds. b: each
    part over the loss of a model that predicts every feature's mean: means and ranges over seeds. Over draws, which
    leave an error of about .01 in the shares."""
    parts, p = relus.parts.transpose("kind", "p", "seed"), relus.p.values
    figure, (left, right) = draw.panels(1, 2, height=2.6)
    shares = (parts / parts.sum("kind", skipna=False)).mean("seed")
    draw.stacked(left, np.arange(p.size), dict(zip(PARTS, shares, strict=True)), PARTS, width=0.7)
    for values, (label, colour) in zip(parts, PARTS.items(), strict=True):
        draw.band(right, 1 / p, *spread(values), label=label, colour=colour, marker="o", ms=2.5)
    draw.band(right, 1 / p, *spread(parts.sum("kind", skipna=False)), label="all", colour="black", marker="o", ms=2.5)
    draw.ticks(left, "x", np.arange(p.size), [f"{q:g}" for q in p])
    left.set(xlabel="activation probability $p$", ylabel="share of the loss")
    right.set(xscale="log", xlabel="$1/p$", ylabel="loss over that of the means")
    draw.legend_below(figure, right, above=True)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings


def extra_feature_as_allocated(extras: xr.Dataset) -> Iterator[Finding]:
    """The best of all restarts gives the extra feature the capacity of the best allocation, all over the grid."""
    title = f"n = {extras.n}, m = {extras.m}, {extras.known.size} settings, best of {extras.sizes['seed']}"
    models, known = (
        xr.Dataset({"trained": extras.trained, "loss": extras.loss}).to_array("of"),
        extras.known.values.ravel(),
    )
    models = models.stack(setting=("kurtosis", "ratio"), create_index=False).transpose("seed", "of", "setting")

    def best_of(models: xr.DataArray) -> np.ndarray:
        trained, loss = models.values[:, 0], models.values[:, 1]
        return np.take_along_axis(trained, np.where(np.isnan(loss), np.inf, loss).argmin(0)[None], 0)[0]

    yield Finding(
        "extra-capacity",
        f"{title}: largest difference of the extra feature's capacity from that of the best allocation",
        bootstrap(lambda models: abs(best_of(models) - known).max(), models),
        AtMost(0.02),
        ours(f"{DERIVED}; limit"),
        "best of k",
    )
    yield Finding(
        "extra-phase",
        f"{title}: share in which the extra feature is ignored, polysemantic or monosemantic as in the best allocation",
        bootstrap(lambda models: (_phase(best_of(models)) == _phase(known)).mean(), models),
        AtLeast(0.98),
        ours(f"{DERIVED}; limit"),
        "best of k",
    )


def _phase(C: np.ndarray) -> np.ndarray:
    return (C > NONE).astype(int) + (C >= WHOLE)


def many_features_as_allocated(allocations: xr.Dataset) -> Iterator[Finding]:
    """The best of all restarts is the best allocation: its loss, its capacities, its one block of shared dimensions."""
    data, over = allocations, allocations.over
    title, k = (
        f"n = {data.sizes['feature']}, m = {data.sizes['value']}, best of {over.sizes['seed']}",
        f"{over.size} models",
    )
    off = abs(data.C - data.known).max("feature", skipna=False)
    bent = abs(data.spectrum / data.known_spectrum - 1).max("value", skipna=False)
    yield Finding(
        "nothing-below",
        f"least (loss / loss of the best allocation - 1) of {k}",
        exact(over.min().item()),
        AtLeast(-1e-5),
        ours("the allocation is proved best; rounding"),
        "check",
    )
    source = ours(f"{DERIVED}; limit")
    what = f"{title}: loss over that of the best allocation, minus 1"
    yield Finding("loss-as-allocated", what, best(over), AtMost(1e-4), source, "best of k", digits=".0e")
    what = f"{title}: largest difference of a capacity from that of the best allocation"
    yield Finding("capacity-as-allocated", what, of_best(off, over), AtMost(0.02), source, "best of k", digits=".0e")
    what = f"{title}: largest relative difference of an eigenvalue of WᵀW from the optimal one"
    yield Finding("spectrum-as-allocated", what, of_best(bent, over), AtMost(0.01), source, "best of k", digits=".0e")
    what = f"{title}: orthogonal blocks; one for all features that share, one for each monosemantic feature"
    blocks = Follows(tuple(data.known_blocks.values.tolist()))
    yield Finding("blocks-as-allocated", what, of_best(data.blocks, over), blocks, ours(DERIVED), "best of k")
    yield report("seeds-at-the-optimum", "share of seeds within .1 % of the least loss", share(over <= 1e-3))
    found = (
        counts(data.C.isel(seed=over.fillna(np.inf).argmin("seed"))).transpose("kurtosis", "kind").astype(int).values
    )
    what = (
        f"{title}: ignored, polysemantic and monosemantic features for k = {', '.join(map(str, data.kurtosis.values))}"
    )
    yield report("counts", what, exactly("; ".join(str(tuple(row)) for row in found.tolist())))


def relu_models_share_when_sparse(relus: xr.Dataset) -> Iterator[Finding]:
    """Sparser features share dimensions more, and fill them."""
    C, m, number = relus.C, relus.m, counts(relus.C).sel(kind="polysemantic", drop=True)
    near = ((C > NONE) & (C < WHOLE) & (abs(C - 0.5) <= 0.02)).sum("feature") / number.clip(min=1)
    filled = C.sum("feature", skipna=False) / m
    yield Finding(
        "polysemantic-when-sparse",
        "ReLU models: polysemantic features, by p",
        steps(number, "p"),
        Increasing(),
        stated("Scherlis et al. 2022: sharing grows with kurtosis, which grows as 1/p"),
        revised="was no fall beyond the intervals of neighbours; now the change paired by seed, its whole interval",
        digits=".1f",
    )
    what = "ReLU models: sum of capacities over the number of dimensions"
    bound = stated("Scherlis et al. 2022: the sum is at most the number of dimensions")
    yield Finding(
        "capacity-bounded", f"{what}, largest of all", exact(filled.max().item()), AtMost(1 + 1e-6), bound, "check"
    )
    limit = ours("limit; Scherlis et al. 2022 say that efficient packing uses all capacity")
    yield Finding("capacity-used", f"{what}, by p", mean(filled), AtLeast(0.99), limit, digits=".3f")
    yield report("blocks", "ReLU models: orthogonal blocks", mean(relus.blocks), digits=".1f")
    what = "ReLU models: share of polysemantic features whose capacity is within .02 of 1/2"
    yield report("near-a-half", what, mean(near), digits=".2f")


def loss_of_relu_models(relus: xr.Dataset) -> Iterator[Finding]:
    """How much of the loss lies at ignored features, and how much is interference."""
    shares, wider = (each / each.sum("kind", skipna=False) for each in (relus.parts, relus.parts_above_a_tenth))
    ignored, own, off, on = (shares.sel(kind=kind, drop=True) for kind in PARTS)
    if ignored.p[0] == 1:
        what = "ReLU models, p = 1: share of the loss at ignored features"
        linear = ours("the linear optimum, Elhage et al. 2022, has no interference; tolerance")
        yield Finding("ignored-when-dense", what, mean(ignored.isel(p=0)), Near(1, within=0.01), linear, digits=".3f")
    yield Finding(
        "ignored-when-sparse",
        "ReLU models: share of the loss at ignored features, by p",
        steps(ignored, "p"),
        Decreasing(),
        ours("a guess: the sparser, the more features are kept"),
        digits=".2f",
        revised="was no rise beyond the intervals of neighbours; now the change paired by seed, its whole interval",
    )
    what = "ReLU models: share of the loss at features of capacity up to .1"
    yield report("ignored-below-a-tenth", what, mean(wider.isel(kind=0, drop=True)), digits=".2f")
    yield report("interference", "ReLU models: share of the loss that is interference", mean(off + on), digits=".2f")
    yield report("bias-and-length", "ReLU models: share of the loss due to bias and length", mean(own), digits=".2f")


experiment = Experiment(
    question="How do importance and kurtosis decide how much of a dimension a feature gets, and what does it cost?",
    source="Scherlis et al. 2022, arXiv 2210.01892",
    sweeps={"extra": extra, "many": many, "relu": relu},
    scales={"tiny": tiny, "full": full},
    readings=[extras, allocations, relus],
    figures=[capacity_of_an_extra_feature, capacity_by_weight, capacity_of_relu_models, what_the_loss_is_made_of],
    findings=[
        extra_feature_as_allocated,
        many_features_as_allocated,
        relu_models_share_when_sparse,
        loss_of_relu_models,
    ],
    cost="3 programs, 13,600 cells of 4,000 steps: about two minutes on two quiet cores",
)
