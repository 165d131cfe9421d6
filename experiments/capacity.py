"""Capacity: who gets how much of a dimension, against importance and kurtosis. Scherlis et al. 2022."""

from functools import lru_cache

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis.decomposition import grouped, loss_parts
from toymodels.analysis.geometry import feature_dimensionality, per_model, tegum_factors
from toymodels.analysis.spectra import frame_spectrum
from toymodels.analysis.statistics import Interval, interval, proportion, spread
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
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
DERIVED = "optimum in closed form, derived in theory.capacity after Scherlis et al. 2022"
PARTS = (
    ("ignored features", "0.65"),
    ("bias and length", draw.ORANGE),
    ("interference, feature off", draw.SKY),
    ("interference, feature on", draw.BLUE),
)


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    steps, seeds, size = 400 if tiny else 4000, 4 if tiny else 64 if full else 16, 4 if tiny else 40 if full else 16
    record, adam = Record(20, 2), Adam(Cosine(1e-2))
    ratios = np.geomspace(0.1, 10, size).round(4).tolist()  # an even number: 1 is a tie
    extra = Run(Quadratic(6, 3, 3.0, (1.0,) * 6), adam, steps, record=record)
    many = Run(Quadratic(12, 4, 3.0, Geometric(0.85)), adam, steps, record=record)
    relu = Run(Supervised(Sparse(20), Tied(5), SquaredError(Geometric(0.8))), adam, steps, record=record)
    p = [1, 0.1] if tiny else [1, 0.3, 0.1, 0.03, 0.01, 0.003]
    return {
        "extra": Sweep(
            extra,
            [
                Axis("kurtosis", "problem.kurtosis", np.geomspace(2, 32, size).round(4).tolist()),
                Choice("ratio", {f"{r:g}": {"problem.weights": (1.0,) * 5 + (r,)} for r in ratios}),
                Axis("seed", "seed", range(min(seeds, 8))),
            ],
        ),
        "many": Sweep(
            many, [Axis("kurtosis", "problem.kurtosis", [2, 4, 6, 10, 20, 40]), Axis("seed", "seed", range(seeds))]
        ),
        "relu": Sweep(relu, [Axis("p", "problem.data.p", p), Axis("seed", "seed", range(seeds))]),
    }


# ------------------------------------------------------------------------------------------------------- what was found


def capacities(W: np.ndarray) -> np.ndarray:
    """(..., features): C_i, which is the dimensionality D_i."""
    return per_model(feature_dimensionality, W, features=True)


def counts(C: np.ndarray) -> np.ndarray:
    """(..., 3): ignored, polysemantic and monosemantic features."""
    return np.stack([(C <= NONE).sum(-1), ((C > NONE) & (C < WHOLE)).sum(-1), (C >= WHOLE).sum(-1)], -1)


def trained_extra(extra: Swept) -> np.ndarray:
    """(kurtosis, ratio): capacity of the extra feature in the best model."""
    return capacities(extra.best().W.transpose("kurtosis", "ratio", "feature", "hidden").values)[..., -1]


def allocated_extra(extra: Swept) -> np.ndarray:
    (n, m), ratios = (extra.data.sizes[name] for name in ("feature", "hidden")), extra.data.ratio.values.astype(float)
    weights = [(1.0,) * (n - 1) + (r,) for r in ratios]
    return np.array([[best_allocation(m, v, float(k)).capacity[-1] for v in weights] for k in extra.data.kurtosis])


def weights_of(many: Swept) -> np.ndarray:
    problem = many.sweep.base.problem
    return np.asarray(per_feature(problem.weights, problem.n), np.float64)


def excess(many: Swept) -> np.ndarray:
    """(kurtosis, seed): final loss over that of the best allocation, minus 1."""
    final = many.data.objective.isel(step=-1).transpose("kurtosis", "seed").values.astype(np.float64)
    m, v = many.data.sizes["hidden"], weights_of(many)
    return final / np.array([[best_allocation(m, v, float(k)).loss] for k in many.data.kurtosis.values]) - 1


@lru_cache(maxsize=4)
def parts_of_features(relu: Swept, draws: int = 2**16) -> np.ndarray:
    """(own | inactive | active, p, seed, feature), in units of the loss of the means; the same draws for all seeds."""
    W, b = relu.weights("p", "seed")
    importance = importances(relu.sweep.base.problem)
    found = np.full((3, *b.shape), np.nan)
    for place, p in enumerate(relu.data.p.values):
        data = relu.run(p=p).problem.data
        x = np.asarray(data.sample(jax.random.key(0), draws))
        for seed in np.flatnonzero(np.isfinite(W[place]).all((-1, -2))):
            found[:, place, seed] = loss_parts(x, W[place, seed], b[place, seed], importance)
        found[:, place] /= importance.sum() * (p / 3 - p**2 / 4)
    return found


# -------------------------------------------------------------------------------------------------------------- figures


def capacity_of_an_extra_feature(extra: Swept) -> Figure:
    """Six features in three dimensions, quadratic units, weights (1, 1, 1, 1, 1, r): capacity of the last one, trained
    (left; best of all seeds by final loss) and in the best allocation (right). Red: where it begins to have any
    capacity, and where it has a dimension of its own, in closed form; they meet at kurtosis 3."""
    k, ratio = extra.data.kurtosis.values, extra.data.ratio.values.astype(float)
    x, y = draw.edges(k, log=True), draw.edges(ratio, log=True)
    fine = np.geomspace(*x[[0, -1]], 300)
    figure, axes = plt.subplots(1, 2, figsize=(draw.PAGE, 2.7), sharey=True)
    for ax, values, title in zip(
        axes, (trained_extra(extra), allocated_extra(extra)), ("trained", "exact"), strict=True
    ):
        mesh = ax.pcolormesh(x, y, values.T, vmin=0, vmax=1, rasterized=True)
        for line in boundaries(fine, extra.data.sizes["feature"], extra.data.sizes["hidden"]):
            ax.plot(fine, line, color=draw.RED, lw=1.2)
        ax.set(xscale="log", yscale="log", xlim=x[[0, -1]], ylim=y[[0, -1]], xlabel="kurtosis $k$", title=title)
        ax.set_xticks([2, 3, 4, 8, 16, 32], ["2", "3", "4", "8", "16", "32"])
        ax.set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
        ax.minorticks_off()
        for place, text, colour in (
            ((0.25, 0.12), "ignored", "white"),
            ((0.8, 0.5), "polysemantic", "white"),
            ((0.25, 0.88), "monosemantic", "black"),
        ):
            ax.text(*place, text, transform=ax.transAxes, color=colour, fontsize=7, ha="center", va="center")
    axes[0].set_ylabel("relative weight $r$")
    figure.colorbar(mesh, ax=axes, label="capacity $C_6$", aspect=22, pad=0.02)
    return figure


def capacity_by_weight(many: Swept) -> Figure:
    """Twelve features in four dimensions, quadratic units; best of all seeds by final loss (dots) and exact optimum
    (lines, ticks). a: capacity against weight. b: eigenvalues of WᵀW: equal ones belong to one semi-orthogonal block,
    so all features that share do so in one block. c: final loss of every seed over the optimum, those within 1e-6 on
    the floor."""
    v, m, kurtosis = weights_of(many), many.data.sizes["hidden"], many.data.kurtosis.values
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(draw.PAGE, 2.5), width_ratios=(1.5, 1, 1))
    for colour, k in zip(plt.get_cmap("viridis")(np.linspace(0, 0.9, kurtosis.size)), kurtosis, strict=True):
        W = many.best(kurtosis=k).W.values.astype(np.float64)
        left.plot(v, best_allocation(m, v, float(k)).capacity, color=colour, lw=1, label=f"$k={k:g}$")
        left.plot(v, capacities(W), "o", ms=3, color=colour)
        middle.plot(np.full(m, k), frame_spectrum(best_weights(m, v, float(k))), "_", ms=9, mew=1, color=draw.THEORY)
        middle.plot(k * np.exp(np.linspace(-0.08, 0.08, m)), frame_spectrum(W), "o", ms=2.5, color=colour)
    left.set(xlabel="weight $v_i$", ylabel="capacity $C_i$", ylim=(-0.04, 1.04))
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=6, columnspacing=1)
    over = np.maximum(excess(many), 1e-6)
    aside = np.exp(np.linspace(-0.12, 0.12, over.shape[1]))
    right.plot(kurtosis[:, None] * aside, over, "o", ms=2.5, color=draw.BLUE, alpha=0.6)
    middle.set(ylabel="eigenvalues of $W^\\mathsf{T} W$")
    right.set(yscale="log", ylabel="loss / least loss $-$ 1")
    for ax in (middle, right):
        ax.set(xscale="log", xlabel="kurtosis $k$")
        ax.set_xticks(kurtosis, [f"{k:g}" for k in kurtosis])
        ax.tick_params(axis="x", which="minor", bottom=False)
        ax.xaxis.set_minor_formatter("")
    draw.panel_labels([left, middle, right])
    return figure


def capacity_of_relu_models(relu: Swept) -> Figure:
    """Twenty features in five dimensions, ReLU autoencoder. a: capacity (dimensionality) of each feature against its
    importance: means over seeds, and every seed as a dot. b: features ignored (C up to .02), monosemantic (from .98)
    and polysemantic (between), and the sum of all capacities beside the number of dimensions (dashed): means and ranges
    over seeds."""
    C, p, m = capacities(relu.weights("p", "seed")[0]), relu.data.p.values, relu.data.sizes["hidden"]
    importance = importances(relu.sweep.base.problem)
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.7), width_ratios=(1.3, 1))
    for colour, q, each in zip(plt.get_cmap("viridis")(np.linspace(0, 0.9, p.size)), p, C, strict=True):
        left.plot(importance, each.T, "o", ms=1.6, mew=0, color=colour, alpha=0.5, rasterized=True)
        left.plot(importance, spread(each.T).mean, lw=1.1, color=colour, label=f"$p={q:g}$")
    left.set(xscale="log", xlabel="importance $I_i$", ylabel="capacity $C_i$", ylim=(-0.04, 1.04))
    left.legend(loc="upper left")
    rows = [
        (label, colour, counts(C)[..., place])
        for place, (label, colour) in enumerate(
            (("ignored", "0.55"), ("polysemantic", draw.BLUE), ("monosemantic", draw.ORANGE))
        )
    ]
    for label, colour, values in [*rows, ("sum of $C_i$", draw.GREEN, C.sum(-1))]:
        draw.band(right, 1 / p, *spread(values), label=label, colour=colour, marker="o").set_markersize(2.5)
    right.axhline(m, color=draw.THEORY, ls="--", lw=0.8)
    right.set(xscale="log", xlabel="$1/p$", ylabel="features", ylim=(-0.4, 20.5))
    right.set_yticks(range(0, 21, 5))
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    draw.excluded(left, relu.left_out("shown"))
    draw.panel_labels([left, right])
    return figure


def what_the_loss_is_made_of(relu: Swept) -> Figure:
    """The models of `capacity_of_relu_models`: their loss in parts. Ignored: all the error at features without
    capacity. Bias and length: what is left at the others when each is active by itself. Interference: what the other
    features add to that, where the feature is off and where it is on. a: shares of the loss, means over seeds. b: each
    part over the loss of a model that predicts every feature's mean: means and ranges over seeds. Over draws, which
    leave an error of about .01 in the shares."""
    p, found = relu.data.p.values, grouped(parts_of_features(relu), capacities(relu.weights("p", "seed")[0]), NONE)
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.6), sharex=False)
    places, below = np.arange(p.size), np.zeros(p.size)
    for (label, colour), values, shares in zip(PARTS, found, found.shares, strict=True):
        share = spread(shares).mean
        left.bar(places, share, bottom=below, width=0.7, color=colour, label=label)
        below = below + share
        draw.band(right, 1 / p, *spread(values), label=label, colour=colour, marker="o").set_markersize(2.5)
    draw.band(right, 1 / p, *spread(found.total), label="all", colour="black", marker="o").set_markersize(2.5)
    left.set_xticks(places, [f"{q:g}" for q in p])
    left.set(xlabel="activation probability $p$", ylabel="share of the loss")
    right.set(xscale="log", xlabel="$1/p$", ylabel="loss over that of the means")
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper center", ncols=5, columnspacing=1)
    draw.panel_labels([left, right])
    return figure


# ------------------------------------------------------------------------------------------------------------- findings


def over_seeds(values: np.ndarray) -> Interval:
    return interval(values, axis=-1)


def extra_feature_as_allocated(extra: Swept) -> list[Finding]:
    trained, known = trained_extra(extra), allocated_extra(extra)
    gap = np.abs(trained - known)
    same = [(trained <= NONE) == (known <= NONE), (trained >= WHOLE) == (known >= WHOLE)]
    right = proportion(int(np.logical_and(*same).sum()), gap.size)
    return [
        Finding(
            f"n = 6, m = 3: capacity of the extra feature, best of {extra.data.seed.size}, {gap.size} cells",
            f"off by {gap.max():.1e} at most, {np.median(gap):.1e} in the median",
            "at most .02",
            bool(gap.max() <= 0.02),
            DERIVED,
        ),
        Finding(
            "the same: ignored, polysemantic or monosemantic as it should be",
            f"{right:.3f}, Wilson, of the cells",
            "at least .98",
            bool(right.mean >= 0.98),
            DERIVED,
        ),
    ]


def many_features_as_allocated(many: Swept) -> list[Finding]:
    over, v, m, kurtosis = excess(many), weights_of(many), many.data.sizes["hidden"], many.data.kurtosis.values
    W = np.array([many.best(kurtosis=k).W.values.astype(np.float64) for k in kurtosis])
    C, known = capacities(W), np.array([best_allocation(m, v, float(k)).capacity for k in kurtosis])
    exact = np.array([frame_spectrum(best_weights(m, v, float(k))) for k in kurtosis])
    off = np.abs(np.array([frame_spectrum(w) for w in W]) / exact - 1)
    blocks = [len(tegum_factors(w, tol=0.05, dead=0.05).factors) for w in W]
    expected = (known > 1 - 1e-6).sum(1) + ((known > 1e-6) & (known < 1 - 1e-6)).any(1)
    found = proportion((over <= 1e-3).sum(1), over.shape[1])
    title = f"n = {v.size}, m = {m}, k = {', '.join(f'{k:g}' for k in kurtosis)}"
    return [
        Finding(
            f"{title}: loss over the least loss, minus 1",
            f"least of all seeds {over.min():.1e}; best of {over.shape[1]}: at most {over.min(1).max():.1e}",
            "-1e-5 to 1e-4",
            bool(over.min() >= -1e-5 and over.min(1).max() <= 1e-4),
            DERIVED,
        ),
        Finding(
            f"{title}: seeds within .1 % of the least loss",
            f"{found:.2f}",
            "",
            None,
        ),
        Finding(
            f"best of {over.shape[1]}: ignored, polysemantic, monosemantic features, by k",
            f"{'; '.join(str(tuple(row.tolist())) for row in counts(C))}; C_i off by {np.abs(C - known).max():.3f}",
            f"{'; '.join(str(tuple(row.tolist())) for row in counts(known))}; C_i within .02",
            bool(np.abs(C - known).max() <= 0.02),
            DERIVED,
        ),
        Finding(
            f"best of {over.shape[1]}: eigenvalues of WᵀW off by, relative; orthogonal blocks, by k",
            f"{off.max():.1e} at most; {', '.join(map(str, blocks))}",
            f"within .01; {', '.join(map(str, expected))}: one for all that share, one for each monosemantic feature",
            bool(off.max() <= 0.01 and (blocks == expected).all()),
            DERIVED,
        ),
    ]


def relu_models_share_when_sparse(relu: Swept) -> list[Finding]:
    W, _ = relu.weights("p", "seed")
    C, m, p = capacities(W), relu.data.sizes["hidden"], relu.data.p.values
    shared = counts(C)[..., 1]
    _, low, high = interval(shared, axis=-1)
    pairs = ((C > NONE) & (C < WHOLE) & (np.abs(C - 0.5) <= 0.02)).sum(-1) / np.maximum(shared, 1)
    blocks = per_model(lambda w: len(tegum_factors(w, dead=0.25).factors), W)
    title = f"ReLU model, p = {', '.join(f'{q:g}' for q in p)}"
    return [
        Finding(
            f"{title}: polysemantic features",
            f"{over_seeds(shared):.1f}",
            "never fewer at smaller p, beyond the intervals",
            bool((high[1:] >= low[:-1]).all()),
            "kurtosis grows as 1/p, and sharing with it: Scherlis et al. 2022",
        ),
        Finding(
            f"{title}: sum of capacities over m",
            f"{over_seeds(C.sum(-1) / m):.3f}",
            "at most 1; .99 or more on average where packing is efficient",
            bool(np.nanmax(C.sum(-1)) <= m * (1 + 1e-6) and np.nanmean(C.sum(-1), -1).min() >= 0.99 * m),
            "sum_i C_i <= rank W: Scherlis et al. 2022",
        ),
        Finding(f"{title}: orthogonal blocks", f"{over_seeds(blocks):.1f}", "", None),
        Finding(
            f"{title}: share of polysemantic features with C_i within .02 of 1/2", f"{over_seeds(pairs):.2f}", "", None
        ),
    ]


def loss_of_relu_models(relu: Swept) -> list[Finding]:
    found, C, p = parts_of_features(relu), capacities(relu.weights("p", "seed")[0]), relu.data.p.values
    share, other = grouped(found, C, NONE).shares, grouped(found, C, 0.1).shares
    _, low, high = interval(share.ignored, axis=-1)
    title = f"ReLU model, p = {', '.join(f'{q:g}' for q in p)}"
    return [
        Finding(
            "ReLU model, p = 1: share of the loss at ignored features",
            f"{over_seeds(share.ignored[:1]):.3f}",
            "1 within .01",
            bool(abs(np.nanmean(share.ignored[0]) - 1) <= 0.01),
            "linear optimum, which has no interference: Elhage et al. 2022",
        ),
        Finding(
            f"{title}: share of the loss at ignored features",
            f"{over_seeds(share.ignored):.2f}; with those of C_i up to .1: {over_seeds(other.ignored):.2f}",
            "never more at smaller p, beyond the intervals",
            bool((low[1:] <= high[:-1]).all()),
            "a guess: the sparser, the more features are kept",
        ),
        Finding(f"{title}: share of interference", f"{over_seeds(share.inactive + share.active):.2f}", "", None),
        Finding(f"{title}: share of bias and length", f"{over_seeds(share.own):.2f}", "", None),
    ]


experiment = Experiment(
    question="How do importance and kurtosis decide how much of a dimension a feature gets, and what does it cost?",
    source="Scherlis et al. 2022, arXiv 2210.01892",
    sweeps=sweeps,
    figures=[capacity_of_an_extra_feature, capacity_by_weight, capacity_of_relu_models, what_the_loss_is_made_of],
    findings=[
        extra_feature_as_allocated,
        many_features_as_allocated,
        relu_models_share_when_sparse,
        loss_of_relu_models,
    ],
    cost="3 programs, 13,600 cells of 4,000 steps: about two minutes on two quiet cores",
)
