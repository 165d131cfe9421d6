"""Capacity: who gets how much of a dimension, against importance and kurtosis. Scherlis et al. 2022."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis.geometry import feature_dimensionality
from toymodels.analysis.statistics import interval, spread
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.laws import Geometric, per_feature
from toymodels.losses import SquaredError
from toymodels.models import Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.quadratic import Quadratic
from toymodels.problems.supervised import Supervised
from toymodels.theory.capacity import best_allocation, shared_from

NONE, WHOLE = 0.05, 0.95
"""Capacities up to which a feature counts as ignored, and from which as monosemantic."""
DERIVED = "lower bound derived in toymodels/theory/capacity.py after arXiv 2210.01892"


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    steps, seeds, size = 400 if tiny else 4000, 4 if tiny else 64 if full else 16, 5 if tiny else 40 if full else 17
    record, adam = Record(20, 2), Adam(Cosine(1e-2))
    ratios = np.geomspace(0.1, 1, size).round(4).tolist()
    kurtosis = np.geomspace(2, 32, size).round(4).tolist()
    weights = {f"{ratio:g}": {"problem.weights": (1.0, ratio)} for ratio in ratios}
    two = Run(Quadratic(2, 1, 3.0, (1.0, 1.0)), adam, steps, record=record)
    many = Run(Quadratic(12, 4, 3.0, Geometric(0.85)), adam, steps, record=record)
    relu = Run(Supervised(Sparse(20), Tied(5), SquaredError(Geometric(0.8))), adam, steps, record=record)
    return {
        "two": Sweep(
            two,
            [
                Axis("kurtosis", "problem.kurtosis", kurtosis),
                Choice("ratio", weights),
                Axis("seed", "seed", range(min(seeds, 8))),
            ],
        ),
        "many": Sweep(
            many, [Axis("kurtosis", "problem.kurtosis", [2, 4, 6, 10, 20, 40]), Axis("seed", "seed", range(seeds))]
        ),
        "relu": Sweep(
            relu, [Axis("p", "problem.data.p", [1, 0.3, 0.1, 0.03, 0.01]), Axis("seed", "seed", range(min(seeds, 8)))]
        ),
    }


# ------------------------------------------------------------------------------------------------------- what was found


def capacities(W: np.ndarray) -> np.ndarray:
    """(..., features), NaN for models without finite weights."""
    flat = [
        feature_dimensionality(w) if np.isfinite(w).all() else np.full(len(w), np.nan)
        for w in W.reshape(-1, *W.shape[-2:])
    ]
    return np.array(flat).reshape(W.shape[:-1])


def best_of_two(two: Swept) -> np.ndarray:
    """(kurtosis, ratio): capacity of the lesser feature in the best model."""
    return capacities(two.best().W.transpose("kurtosis", "ratio", "feature", "hidden").values)[..., 1]


def allocations_of_two(two: Swept) -> np.ndarray:
    ratios = two.data.ratio.values.astype(float)
    return np.array([[best_allocation(1, (1.0, r), k).capacity[1] for r in ratios] for k in two.data.kurtosis.values])


def weights_of(many: Swept) -> np.ndarray:
    problem = many.sweep.base.problem
    return np.asarray(per_feature(problem.weights, problem.n), np.float64)


def excess(many: Swept) -> np.ndarray:
    """(kurtosis, seed): final loss over the bound, minus 1."""
    final = many.data.objective.isel(step=-1).transpose("kurtosis", "seed").values.astype(np.float64)
    m, v = many.data.sizes["hidden"], weights_of(many)
    return final / np.array([[best_allocation(m, v, float(k)).loss] for k in many.data.kurtosis.values]) - 1


def counts(C: np.ndarray) -> tuple[int, int, int]:
    """Ignored, polysemantic and monosemantic features."""
    return int((C <= NONE).sum()), int(((C > NONE) & (C < WHOLE)).sum()), int((C >= WHOLE).sum())


# -------------------------------------------------------------------------------------------------------------- figures


def sharing_between_two(two: Swept) -> Figure:
    """Two features in one dimension, quadratic units: capacity of the lesser feature, trained (left; best of all seeds
    by final loss) and of the best allocation (right). White line: v_2/v_1 = 2/(k - 1), from where it has any."""
    k, ratio = two.data.kurtosis.values, two.data.ratio.values.astype(float)
    figure, axes = plt.subplots(1, 2, figsize=(draw.PAGE, 2.6), sharey=True)
    for ax, values, title in ((axes[0], best_of_two(two), "trained"), (axes[1], allocations_of_two(two), "allocated")):
        mesh = draw.heatmap(ax, k, ratio, values.T, "capacity $C_2$", log_x=True, log_y=True, cmap="viridis")
        mesh.set_clim(0, 0.5)
        fine = np.geomspace(k.min(), k.max(), 200)
        line = np.asarray(shared_from(fine))
        shown = (line < 1) & (line >= ratio.min())
        ax.plot(fine[shown], line[shown], color="white", lw=1.2)
        ax.set(title=title, xlabel="kurtosis $k$")
        ax.set_xticks([2, 3, 5, 10, 20], ["2", "3", "5", "10", "20"])
        ax.set_yticks([0.1, 0.2, 0.5, 1], ["0.1", "0.2", "0.5", "1"])
        ax.minorticks_off()
    axes[0].set_ylabel("weight ratio $v_2 / v_1$")
    return figure


def capacity_by_weight(many: Swept) -> Figure:
    """Twelve features in four dimensions, quadratic units. Left: capacity against weight, best of all seeds by final
    loss (dots) and the best allocation (lines). Right: final loss over the bound that the best allocation sets, all
    seeds; on the floor of 1e-6, what is met to rounding."""
    v, m, kurtosis = weights_of(many), many.data.sizes["hidden"], many.data.kurtosis.values
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.7), width_ratios=(1.5, 1))
    for colour, k in zip(plt.get_cmap("viridis")(np.linspace(0, 0.9, kurtosis.size)), kurtosis, strict=True):
        left.plot(v, best_allocation(m, v, float(k)).capacity, color=colour, lw=1, label=f"$k={k:g}$")
        left.plot(v, capacities(many.best(kurtosis=k).W.values.astype(np.float64)), "o", ms=3, color=colour)
    left.set(xlabel="weight $v_i$", ylabel="capacity $C_i$", ylim=(-0.04, 1.04))
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=6, columnspacing=1)
    over = np.maximum(excess(many), 1e-6)
    aside = np.exp(np.linspace(-0.08, 0.08, over.shape[1]))
    right.plot(kurtosis[:, None] * aside, over, "o", ms=2.5, color=draw.BLUE, alpha=0.6)
    right.set(xscale="log", yscale="log", xlabel="kurtosis $k$", ylabel="loss / bound $-$ 1")
    right.set_xticks(kurtosis, [f"{k:g}" for k in kurtosis], minor=False)
    right.minorticks_off()
    draw.panel_labels([left, right])
    return figure


def capacity_of_relu_models(relu: Swept) -> Figure:
    """Twenty features in five dimensions, ReLU autoencoder. Left: capacity (dimensionality) of each feature against its
    importance: means over seeds. Right: features ignored, sharing dimensions and with one of their own, and the sum of
    all capacities beside m (dashed): means and ranges over seeds."""
    C = capacities(relu.final(unconverged=True).transpose("p", "seed", "feature", "hidden").values)
    problem, p, m = relu.sweep.base.problem, relu.data.p.values, relu.data.sizes["hidden"]
    importance = np.asarray(per_feature(problem.loss.importance, problem.data.n))
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.7), width_ratios=(1.3, 1))
    for colour, q, each in zip(plt.get_cmap("viridis")(np.linspace(0, 0.9, p.size)), p, C, strict=True):
        left.plot(importance, each.mean(0), "o-", ms=2.5, lw=0.8, color=colour, label=f"$p={q:g}$")
    left.set(xscale="log", xlabel="importance $I_i$", ylabel="capacity $C_i$", ylim=(-0.04, 1.04))
    left.legend(fontsize=6.5)
    kinds = np.array([[counts(model) for model in seeds] for seeds in C])
    for place, (kind, colour) in enumerate((("ignored", "0.6"), ("shared", draw.BLUE), ("whole", draw.ORANGE))):
        draw.band(right, 1 / p, *spread(kinds[..., place]), label=kind, colour=colour, marker="o").set_markersize(2.5)
    draw.band(right, 1 / p, *spread(C.sum(-1)), label="$\\sum_i C_i$", colour=draw.GREEN, marker="s").set_markersize(
        2.5
    )
    right.axhline(m, color=draw.THEORY, ls="--", lw=0.8)
    right.set(xscale="log", xlabel="$1/p$", ylabel="features", ylim=(0, None))
    right.legend(fontsize=6.5)
    draw.panel_labels([left, right])
    return figure


# ------------------------------------------------------------------------------------------------------------- findings


def two_share_as_predicted(two: Swept) -> list[Finding]:
    trained, known = best_of_two(two), allocations_of_two(two)
    gap = np.abs(trained - known)
    wide = np.abs(two.data.kurtosis.values - 3) > 0.2
    return [
        Finding(
            f"n = 2, m = 1: capacity of the lesser feature, best of {two.data.seed.size}, over {gap.size} cells",
            f"largest difference {gap[wide].max():.3f} (median {np.median(gap[wide]):.1e})",
            "best allocation within .02 (k = 3 left out: there all allocations of the same sum cost the same)",
            bool(gap[wide].max() <= 0.02),
            DERIVED,
        )
    ]


def many_share_as_predicted(many: Swept) -> list[Finding]:
    over, v, m = excess(many), weights_of(many), many.data.sizes["hidden"]
    answers = [
        Finding(
            f"n = {v.size}, m = {m}: least loss over the bound, minus 1, all kurtoses and seeds",
            f"{over.min():.1e}",
            "at least -1e-5",
            bool(over.min() > -1e-5),
            DERIVED,
        )
    ]
    for place, k in enumerate(many.data.kurtosis.values):
        known = best_allocation(m, v, float(k)).capacity
        C = capacities(many.best(kurtosis=k).W.values.astype(np.float64))
        single = interval(over[place])
        answers.append(
            Finding(
                f"k = {k:g}, best of {over.shape[1]}: excess over the bound; ignored, shared, whole features",
                f"{over[place].min():.1e} (mean of seeds {single.mean:.3f}, {single.low:.3f} to {single.high:.3f}); "
                f"{counts(C)}, allocated {counts(known)}; largest |C_i - allocated| {np.abs(C - known).max():.3f}",
                "within 1 % of the bound",
                bool(over[place].min() <= 0.01),
                DERIVED,
            )
        )
    return answers


def relu_models_share_when_sparse(relu: Swept) -> list[Finding]:
    C = capacities(relu.final(unconverged=True).transpose("p", "seed", "feature", "hidden").values)
    m, p = relu.data.sizes["hidden"], relu.data.p.values
    shared = ((C > NONE) & (C < WHOLE)).sum(-1)
    mean, low, high = interval(shared, axis=-1)
    used = interval(C.sum(-1) / m, axis=-1)
    return [
        Finding(
            f"ReLU model, p = {', '.join(f'{q:g}' for q in p)}: features that share dimensions",
            ", ".join(f"{a:.1f} ({b:.1f} to {c:.1f})" for a, b, c in zip(mean, low, high, strict=True)),
            "never fewer at smaller p, beyond the intervals",
            bool((high[1:] >= low[:-1]).all()),
            "kurtosis of a feature grows as 1/p: arXiv 2210.01892",
        ),
        Finding(
            "ReLU model: sum of capacities over m, by p",
            ", ".join(f"{a:.3f} ({b:.3f} to {c:.3f})" for a, b, c in zip(*used, strict=True)),
            "at most 1; 1 for an orthogonal sum of tight frames",
            bool(np.nanmax(C.sum(-1)) <= m * (1 + 1e-6)),
            "arXiv 2210.01892",
        ),
    ]


experiment = Experiment(
    question="How do importance and kurtosis decide how much of a dimension a feature gets?",
    source="Scherlis et al. 2022, arXiv 2210.01892",
    sweeps=sweeps,
    figures=[sharing_between_two, capacity_by_weight, capacity_of_relu_models],
    findings=[two_share_as_predicted, many_share_as_predicted, relu_models_share_when_sparse],
    cost="1600 cells of 8 seeds and 64 seeds of the larger: about two minutes on two CPU cores",
)
