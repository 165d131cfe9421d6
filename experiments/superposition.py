"""Superposition: which features does a bottleneck keep, and in what geometry? Elhage et al. 2022.

A tied autoencoder with ReLU outputs stores n sparse features in m < n dimensions. From dense to sparse features it goes
from dropping all but m of them to antipodal pairs, which hold features per dimension near two over a shelf of
sparsities, and on to denser arrangements. Small models are held against exact optima, large ones against what counting
orthogonal factors predicts.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Record, Run, Sweep, census, draw, usable
from toymodels.analysis.dynamics import Shelf, jumps, shelf
from toymodels.analysis.geometry import (
    LocalExcess,
    TegumFactors,
    dimensions_per_feature,
    feature_dimensionality,
    local_excess,
    polytope_lines,
    tegum_factors,
)
from toymodels.analysis.statistics import proportion
from toymodels.data import OneSparse, Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.laws import Geometric
from toymodels.losses import BinaryCrossEntropy, PowerError, SquaredError
from toymodels.models import Identity, Relu, Tied, Untied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.supervised import Supervised
from toymodels.theory import superposition as theory

ORTHOGONAL = 0.1
"""|cos| up to which two features of a large trained model count as orthogonal."""
DEAD = 0.25
"""Norm, as a fraction of the largest, up to which a feature counts as not represented."""
MARGIN = 0.02
"""Relative gap of the two best branches from which a cell of the phase diagram has a clear winner."""

# ------------------------------------------------------------------------------------------------------------- the grid


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    return {
        "arrows": _arrows(seeds=4 if tiny else 8, steps=400 if tiny else 4000, count=4 if tiny else 10),
        "phases": _phases(size=4 if tiny else 50 if full else 9, seeds=4 if tiny else 10, steps=400 if tiny else 4000),
        "polygons": _polygons((5,) if tiny else (5, 6, 7, 8) if full else (5, 6), 400 if tiny else 4000),
        "shelf": _shelf(*((20, 4) if tiny else (400, 30) if full else (100, 10)), scale),
        "levels": _levels(*((20, 4) if tiny else (400, 30) if full else (100, 10)), scale),
        "widths": _widths(scale),
        "losses": _losses(steps=200 if tiny else 2000),
    }


def _arrows(seeds: int, steps: int, count: int) -> Sweep:
    problem = Supervised(Sparse(5), Tied(2), SquaredError(Geometric(0.9)))
    base = Run(problem, Adam(Cosine(1e-2)), steps=steps, record=Record(60, 2))
    return Sweep(
        base, [Axis("p", "problem.data.p", 20 ** -np.linspace(0, 1, count)), Axis("seed", "seed", range(seeds))]
    )


def _phases(size: int, seeds: int, steps: int) -> Sweep:
    base = Run(
        Supervised(Sparse(2), Tied(1), SquaredError((1.0, 1.0))),
        Adam(Cosine(1e-2)),
        steps=steps,
        record=Record(40, 2),
    )
    ratios = np.geomspace(0.1, 10, size).round(6).tolist()
    return Sweep(
        base,
        [
            Axis("p", "problem.data.p", np.geomspace(0.01, 1, size)),
            Choice("ratio", {ratio: {"problem.loss.importance": (1.0, ratio)} for ratio in ratios}),
            Axis("seed", "seed", range(seeds)),
        ],
    )


def _polygons(sides: Sequence[int], steps: int) -> Sweep:
    base = Run(Supervised(OneSparse(5), Tied(2)), Adam(Cosine(1e-2)), steps=steps, batch=512, record=Record(60, 2))
    return Sweep(base, [Axis("k", "problem.data.n", sides), Axis("seed", "seed", range(48))])


def _base(n: int, m: int, scale: Scale) -> Run:
    """A model with many features for each dimension, which the sweeps of shelves and levels share."""
    steps = {"tiny": 300, "default": 2500, "full": 10_000}[scale]
    return Run(
        Supervised(Sparse(n), Tied(m)),
        Adam(Cosine(1e-2, warmup=0.02)),
        steps=steps,
        batch=1024 if scale == "full" else 512,
        record=Record(40, 2, examples=1024),
    )


def _shelf(n: int, m: int, scale: Scale) -> Sweep:
    inverse = np.geomspace(1, 30, {"tiny": 6, "default": 16, "full": 40}[scale])
    seeds = {"tiny": 2, "default": 8, "full": 16}[scale]
    return Sweep(_base(n, m, scale), [Axis("p", "problem.data.p", 1 / inverse), Axis("seed", "seed", range(seeds))])


def _levels(n: int, m: int, scale: Scale) -> Sweep:
    base = _base(n, m, scale)
    problem = Supervised(Sparse(n, p=0.32), Tied(m))
    watched = Record(100, 100, linear=True, examples=1024)
    seeds = range(2 if scale == "tiny" else 8)
    return Sweep(
        Run(problem, Adam(2e-3), steps=base.steps, batch=base.batch, record=watched), [Axis("seed", "seed", seeds)]
    )


def _widths(scale: Scale) -> Sweep:
    tiny = scale == "tiny"
    problem = Supervised(Sparse(40), Tied(4), PowerError(2.0))
    steps = {"tiny": 200, "default": 2000, "full": 10_000}[scale]
    base = Run(problem, Adam(Cosine(1e-2)), steps=steps, batch=512, record=Record(40, 2, examples=1024))
    return Sweep(
        base,
        [
            Axis("m", "problem.model.m", (4,) if tiny else (4, 8)),
            Axis("power", "problem.loss.power", (2.0, 3.0, 4.0)),
            Axis("p", "problem.data.p", 1 / np.geomspace(1, 30, 3 if tiny else 8)),
            Axis("seed", "seed", range(2 if tiny else 4)),
        ],
    )


def _losses(steps: int) -> Sweep:
    tied, tenth = Tied(5), Geometric(0.7)
    kinds = {
        "squared": {"problem.loss": SquaredError(Geometric(1.0))},
        "weighted": {"problem.loss": SquaredError(tenth)},
        "fourth power": {"problem.loss": PowerError(4.0)},
        "cross-entropy": {"problem.loss": BinaryCrossEntropy(), "problem.model": Tied(5, output=Identity())},
        "linear": {"problem.model": Tied(5, output=Identity()), "problem.loss": SquaredError(tenth)},
        "untied": {"problem.model": Untied(5), "problem.loss": SquaredError(tenth)},
        "ReLU hidden": {"problem.model": Tied(5, hidden=Relu()), "problem.loss": SquaredError(tenth)},
    }
    base = Run(
        Supervised(Sparse(20), tied), Adam(Cosine(1e-2)), steps=steps, batch=512, record=Record(40, 2, examples=1024)
    )
    return Sweep(
        base, [Choice("kind", kinds), Axis("p", "problem.data.p", [0.3, 0.03]), Axis("seed", "seed", range(8))]
    )


# ------------------------------------------------------------------------------------------------------- what was found


def final_weights(swept: Swept, **labels: object) -> np.ndarray:
    """(..., features, hidden) at the end of training, NaN where a cell diverged or has not converged."""
    data = swept.data.sel(labels)
    return usable(data.W.isel(snapshot=-1), data.status).values.astype(np.float64)


def best_seed(swept: Swept, **labels: object) -> int:
    """The seed of least final objective, converged or not."""
    final = swept.data.objective.sel(labels).isel(step=-1)
    return int(final.seed[np.nanargmin(final.values)])


def dimensions(W: np.ndarray) -> np.ndarray:
    """D* of each model, NaN for excluded ones."""
    flat = W.reshape(-1, *W.shape[-2:])
    values = [_shrunk(w) for w in flat]
    return np.array([dimensions_per_feature(w) if w.size else np.nan for w in values]).reshape(W.shape[:-2])


def _shrunk(W: np.ndarray) -> np.ndarray:
    """A model without the columns that pad it to the width of the widest; empty if excluded."""
    return W[:, np.isfinite(W).all(axis=0)]


def left_out(swept: Swept) -> str:
    """The note on a figure for cells that are not in its means."""
    counts = {what: count for what, count in census(swept.data).items() if what != "ok"}
    total = swept.data.status.size
    return ", ".join(f"{count} of {total} cells {what}: left out" for what, count in counts.items())


def factors_of(W: np.ndarray) -> TegumFactors:
    return tegum_factors(W, tol=ORTHOGONAL, dead=DEAD)


def found_shelf(swept: Swept) -> Shelf:
    """The shelf of D* near 1/2 over ln(1/p), from the mean over seeds, with bootstrap support."""
    x = -np.log(swept.data.p.values)
    return shelf(x, dimensions(final_weights(swept)).T, level=0.5, resamples=200)


def two_feature_optima(swept: Swept) -> tuple[theory.TwoFeatures, np.ndarray, np.ndarray]:
    """Exact optima on the grid (p, ratio), the best trained loss of all seeds there, and where a winner is clear."""
    p, ratio = np.meshgrid(swept.data.p.values, swept.data.ratio.values.astype(float), indexing="ij")
    optima = theory.two_features(p, ratio)
    last = swept.data.isel(snapshot=-1)
    W = last.W.transpose("p", "ratio", "seed", "feature", "hidden").values.astype(np.float64)
    b = last.b.transpose("p", "ratio", "seed", "feature").values.astype(np.float64)
    importance = np.stack([np.ones_like(ratio), ratio], -1)[:, :, None]
    trained = theory.expected_loss(W, b, p[:, :, None, None], importance)
    losses = np.sort(
        [optima.neither.loss, optima.first.loss, optima.second.loss, optima.antipodal.loss, optima.merged.loss], 0
    )
    return optima, np.asarray(trained), losses[1] > (1 + MARGIN) * losses[0]


# -------------------------------------------------------------------------------------------------------------- figures


def geometry_by_sparsity(arrows: Swept) -> Figure:
    """Rows of W (top) and W Wᵀ (bottom) of the best of all seeds, by the final objective, from dense features on the
    left to sparse ones on the right; earlier features matter more. The circle has radius 1. Above each column: the
    orthogonal factors found."""
    chosen = arrows.data.p.values[
        np.linspace(0, arrows.data.p.size - 1, min(5, arrows.data.p.size)).round().astype(int)
    ]
    figure, axes = plt.subplots(2, len(chosen), figsize=(draw.PAGE, 2.9))
    for column, p in enumerate(chosen):
        W = arrows.data.W.sel(p=p, seed=best_seed(arrows, p=p)).isel(snapshot=-1).values
        draw.arrows(axes[0, column], W)
        mesh = draw.gram(axes[1, column], W, bar=False)
        mesh.set_clim(-1.2, 1.2)
        name = tegum_factors(W, tol=ORTHOGONAL, dead=DEAD).name
        axes[0, column].set_title(f"$p={p:.2g}$\n{name}", fontsize=7)
        if column:
            axes[0, column].set_ylabel("")
            axes[1, column].set_ylabel("")
    figure.colorbar(mesh, ax=axes[1], label="$W W^\\mathsf{T}$", aspect=12, shrink=0.9)
    return figure


PHASES = {"neither": "white", "first": draw.ORANGE, "second": draw.SKY, "antipodal": draw.BLUE, "merged": draw.GREEN}
SHOWN = {
    "neither": "neither",
    "first": "first only",
    "second": "second only",
    "antipodal": "both, antipodal",
    "merged": "both, same side",
}


def phase_of(W: np.ndarray) -> str:
    """The branch of `two_features` that a trained W (2 x 1) belongs to."""
    kept = np.abs(W[:, 0]) > 0.1 * max(np.abs(W).max(), 0.1)
    if kept.all():
        return "antipodal" if W[0, 0] * W[1, 0] < 0 else "merged"
    return "first" if kept[0] else "second" if kept[1] else "neither"


def phase_diagram(phases: Swept) -> Figure:
    """Two features in one dimension: what the trained model keeps (left, best of all seeds by exact loss), what is
    optimal (middle), and how far the best trained model is above the optimum (right). Lines: where superposition
    starts to win without bias (dotted), with the best bias at unit norm (dashed), with everything optimised (solid)."""
    optima, trained, _ = two_feature_optima(phases)
    p, ratio = phases.data.p.values, phases.data.ratio.values.astype(float)
    best = trained.argmin(-1)
    W = phases.data.W.isel(snapshot=-1).transpose("p", "ratio", "seed", "feature", "hidden").values
    names = list(PHASES)
    learned = np.array([[names.index(phase_of(W[i, j, best[i, j]])) for j in range(len(ratio))] for i in range(len(p))])
    optimal = np.array([[names.index(name) for name in row] for row in np.asarray(optima.name)])
    figure, axes = plt.subplots(1, 3, figsize=(draw.PAGE, 2.5), sharey=True)
    for ax, values, title in ((axes[0], learned, "trained"), (axes[1], optimal, "optimal")):
        _phases_panel(ax, ratio, p, values, title)
    excess = np.maximum(trained.min(-1) / optima.best.loss - 1, 1e-6)
    draw.heatmap(
        axes[2], ratio, p, excess, "loss / optimum $-$ 1", log_x=True, log_y=True, log_values=True, cmap="magma_r"
    )
    axes[2].set(title="excess loss, best seed", xlabel="relative importance")
    axes[0].set_ylabel("activation probability $p$")
    handles = [plt.Rectangle((0, 0), 1, 1, fc=PHASES[name], ec="0.5", lw=0.5) for name in names]
    figure.legend(handles, [SHOWN[name] for name in names], loc="outside lower left", ncols=5, columnspacing=1.0)
    return figure


def _phases_panel(ax: Axes, ratio: np.ndarray, p: np.ndarray, values: np.ndarray, title: str) -> None:
    colours, norm = ListedColormap(list(PHASES.values())), BoundaryNorm(np.arange(len(PHASES) + 1) - 0.5, len(PHASES))
    ax.pcolormesh(_log_edges(ratio), _log_edges(p), values, cmap=colours, norm=norm, rasterized=True)
    line = np.geomspace(p.min(), p.max(), 60)
    for boundary, dash in (
        (theory.boundary_without_bias, ":"),
        (theory.boundary_best_bias, "--"),
        (theory.boundary_optimised, "-"),
    ):
        r = np.asarray(boundary(line))
        for side in (r, 1 / r):
            ax.plot(side, line, dash, color="black", lw=0.9)
    ax.set(xscale="log", yscale="log", xlabel="relative importance", title=title)
    ax.set(xlim=_log_edges(ratio)[[0, -1]], ylim=_log_edges(p)[[0, -1]])


def _log_edges(centres: np.ndarray) -> np.ndarray:
    """Edges of cells whose centres are evenly spaced in the logarithm."""
    half = np.sqrt(centres[1] / centres[0])
    return np.append(centres / half, centres[-1] * half)


def dimensions_per_feature_by_sparsity(shelf: Swept, widths: Swept) -> Figure:
    """Dimensions per feature D* = m / |W|_F^2 against 1/p. Left: every seed (dots), the mean (line), and the shelf near
    1/2 found by its slope (band): there features come in antipodal pairs. Right: other widths and powers of the loss,
    means over seeds."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.6), sharey=True)
    D = dimensions(final_weights(shelf))
    x = 1 / shelf.data.p.values
    left.plot(np.repeat(x, D.shape[1]), D.ravel(), "o", ms=2.2, mew=0, alpha=0.5, color=draw.BLUE)
    left.plot(x, np.nanmean(D, axis=1), color=draw.BLUE, lw=0.8)
    found = found_shelf(shelf)
    if np.isfinite(found.start):
        left.axvspan(*np.exp([found.start, found.stop]), color=draw.ORANGE, alpha=0.25, lw=0)
    left.set(xscale="log", xlabel="$1/p$", ylabel="dimensions per feature $D^*$", ylim=(0, 1.45))
    draw.levels(left, [1, 0.5], ["one each", "pairs"])
    draw.excluded(left, left_out(shelf))
    D = dimensions(final_weights(widths))
    for row, m in enumerate(widths.data.m.values):
        for column, power in enumerate(widths.data.power.values):
            mean = np.nanmean(D[row, column], axis=-1)
            right.plot(
                1 / widths.data.p.values,
                mean,
                "-o" if row else "--s",
                ms=2.5,
                color=f"C{column}",
                label=f"$m={m}$, power {power:g}",
            )
    right.set(xscale="log", xlabel="$1/p$")
    draw.levels(right, [1, 0.5], ["", ""])
    right.legend(fontsize=6.5, loc="upper right")
    draw.excluded(right, left_out(widths))
    draw.panel_labels([left, right])
    return figure


def feature_dimensionalities(shelf: Swept) -> Figure:
    """Dimensionality D_i of every feature of every seed against 1/p (left), with the values of regular polytopes.
    Right: for the same models, counts within 0.01 of each value against what the neighbourhood predicts; one value a
    factor, since the members of a factor share theirs. Numbers: p-values of the excess."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.8), width_ratios=(1.7, 1))
    W = final_weights(shelf)
    x = 1 / shelf.data.p.values
    for place, models in enumerate(W):
        for model in models:
            if np.isfinite(model).all():
                D = feature_dimensionality(model)
                draw.scatter_lines(left, np.full(len(D), x[place]) * np.exp(np.linspace(-0.03, 0.03, len(D))), D)
    for dots in left.lines:
        dots.set_alpha(0.15)
    left.set(xscale="log", xlabel="$1/p$")
    draw.levels(left, list(polytope_lines().values()), list(polytope_lines()))
    draw.excluded(left, left_out(shelf))
    excess = polytope_excess(shelf)
    places = np.arange(len(excess.names))
    right.barh(places - 0.2, excess.observed, 0.38, color=draw.BLUE, label="observed")
    right.barh(places + 0.2, excess.expected, 0.38, color="0.7", label="expected nearby")
    for place, (count, p) in enumerate(zip(excess.observed, excess.p_value, strict=True)):
        right.text(count, place - 0.2, f" {p:.1g}", va="center", fontsize=6.5)
    right.set_yticks(places, excess.names)
    right.invert_yaxis()
    right.set(xlabel="factors")
    right.margins(x=0.15)
    right.legend(loc="lower right")
    draw.panel_labels([left, right])
    return figure


def polytope_excess(shelf: Swept) -> LocalExcess:
    """Local excess at the polytope values, one mean dimensionality a factor of two features or more."""
    values = [
        factor.dimensionality / factor.size
        for model in final_weights(shelf).reshape(-1, shelf.data.sizes["feature"], shelf.data.sizes["hidden"])
        if np.isfinite(model).all()
        for factor in factors_of(model).factors
    ]
    return local_excess(np.array(values or [0.0]))


def factor_counts(shelf: Swept) -> Figure:
    """Orthogonal factors of trained models against 1/p, by kind, means over seeds. Dashed: all m dimensions in factors
    of one dimension each, as dense features (one feature each) and antipodal pairs predict. Factors are found at a
    cosine of 0.1; small features are left out."""
    kinds = ("point", "digon", "triangle", "other")
    m = shelf.run(p=shelf.data.p.values[0], seed=shelf.data.seed.values[0]).problem.model.m
    figure, ax = plt.subplots(figsize=(draw.COLUMN, 2.5))
    rows = {kind: np.zeros(shelf.data.p.size) for kind in kinds}
    for place, models in enumerate(final_weights(shelf)):
        counts = [_kinds(factors_of(model), kinds) for model in models if np.isfinite(model).all()]
        for kind in kinds:
            rows[kind][place] = np.mean([count[kind] for count in counts]) if counts else np.nan
    for kind, colour in zip(kinds, (draw.ORANGE, draw.BLUE, draw.GREEN, draw.PURPLE), strict=True):
        ax.plot(1 / shelf.data.p.values, rows[kind], "-o", ms=2.5, color=colour, label=kind)
    ax.set(xscale="log", xlabel="$1/p$", ylabel="factors of a model")
    draw.levels(ax, [m], ["$m$"])
    ax.legend()
    draw.excluded(ax, left_out(shelf))
    return figure


def _kinds(found: TegumFactors, kinds: Sequence[str]) -> Counter[str]:
    names = Counter(factor.polytope if factor.polytope in kinds else "other" for factor in found.factors)
    return Counter({kind: names[kind] for kind in kinds})


def polygons_reached(polygons: Swept) -> Figure:
    """One active feature at a time, two dimensions. Top: the best seed for each number of features k, beside the
    regular k-gon of least loss (grey). Bottom: how often each geometry was reached, all seeds, with 95 % Wilson
    intervals."""
    sides = polygons.data.k.values
    figure, axes = plt.subplots(2, len(sides), figsize=(draw.PAGE * len(sides) / 3 + 1, 4.2), squeeze=False)
    for column, k in enumerate(sides):
        W = _model(polygons, k, best_seed(polygons, k=k))
        known = theory.polygon(int(k))
        draw.arrows(axes[0, column], W)
        turn = np.arctan2(*W[0, ::-1])
        angles = turn + 2 * np.pi * np.arange(k) / k
        axes[0, column].plot(
            *(known.radius * np.array([np.cos(angles), np.sin(angles)])), "o", mfc="none", color="0.5", ms=7
        )
        axes[0, column].set_title(f"$k={k}$, best of {polygons.data.seed.size}: {geometry_of(W)}", fontsize=7)
        names = census_of(polygons, k)
        shares = [proportion(count, sum(names.values())) for count in names.values()]
        draw.bars(
            axes[1, column],
            [name.replace(" ⊕ ", "\n⊕ ") for name in names],
            [share.mean for share in shares],
            [share.low for share in shares],
            [share.high for share in shares],
        )
        axes[1, column].set(ylabel="share of seeds", ylim=(0, 1))
    return figure


def _model(polygons: Swept, k: int, seed: int) -> np.ndarray:
    return polygons.data.W.sel(k=k, seed=seed).isel(snapshot=-1).values[: int(k)].astype(np.float64)


def geometry_of(W: np.ndarray) -> str:
    dead = int((np.linalg.norm(W, axis=1) <= DEAD * np.linalg.norm(W, axis=1).max()).sum())
    name = tegum_factors(W, tol=0.03, dead=DEAD).name
    return f"{name}, {dead} dropped" if dead else name


def census_of(polygons: Swept, k: int) -> Counter[str]:
    """Geometries of all seeds, the most frequent first; at most five named."""
    counted = Counter(geometry_of(_model(polygons, k, seed)) for seed in polygons.data.seed.values)
    common = Counter(dict(counted.most_common(4)))
    rest = sum(counted.values()) - sum(common.values())
    return common + Counter({"others": rest})


def energy_levels(levels: Swept) -> Figure:
    """Dimensionality D_i(t) of every feature of one seed (top) above the loss of all seeds (bottom): features drop
    out or rise, and settle on levels. Dots: jumps, detected in each D_i(t) by itself."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(draw.PAGE, 3.8), sharex=True, height_ratios=(2, 1))
    steps, D = dimensionality_over_time(levels, int(levels.data.seed.values[0]))
    draw.trajectories(top, steps, D.T, jumps(steps, D.T, size=0.15), log_steps=False)
    for line in top.lines[:-1]:
        line.set_alpha(0.4)
    top.set_ylim(-0.02, 0.72)
    draw.levels(top, [2 / 3, 1 / 2, 2 / 5], ["triangle", "digon", "pentagon"])
    curves = levels.data.objective.transpose("seed", "step").values
    draw.loss_curves(bottom, levels.data.step.values, curves, log_steps=False, log_loss=False)
    top.set_xlabel("")
    bottom.set(xlabel="step", ylabel="loss, all seeds")
    draw.panel_labels([top, bottom])
    return figure


def dimensionality_over_time(levels: Swept, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and D_i as steps x features."""
    W = levels.data.W.sel(seed=seed).values.astype(np.float64)
    return levels.data.snapshot.values, np.array([feature_dimensionality(w, dead=0.05) for w in W])


def losses_and_models(losses: Swept) -> Figure:
    """W Wᵀ (for the untied model, decoder times encoder transposed) of the best seed by its own objective, under other
    losses and other models, dense features above and sparse ones below; each panel relative to its largest entry."""
    kinds, probabilities = losses.data.kind.values, losses.data.p.values
    figure, axes = plt.subplots(len(probabilities), len(kinds), figsize=(draw.PAGE, 2.4), sharex=True, sharey=True)
    for column, kind in enumerate(kinds):
        for row, p in enumerate(probabilities):
            cell = losses.data.sel(kind=kind, p=p, seed=best_seed(losses, kind=kind, p=p)).isel(snapshot=-1)
            W = cell.W.values
            encoder = cell.encoder.values if kind == "untied" else W
            ax, product = axes[row, column], W @ encoder.T
            mesh = ax.pcolormesh(product / np.abs(product).max(), cmap="RdBu_r", vmin=-1, vmax=1, rasterized=True)
            ax.set(aspect="equal", xticks=[], yticks=[], ylim=(len(W), 0))
            if row == 0:
                ax.set_title(kind, fontsize=7)
            if column == 0:
                ax.set_ylabel(f"$p={p:g}$")
    figure.supxlabel("feature (input)", fontsize=8)
    figure.colorbar(mesh, ax=axes, label="$W W^\\mathsf{T}$ / largest", aspect=20)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings


def polygon_dimensionality(polygons: Swept) -> list[Finding]:
    found = []
    for k in polygons.data.k.values:
        known = theory.polygon(int(k))
        regular = [
            seed
            for seed in polygons.data.seed.values
            if geometry_of(_model(polygons, k, seed)) in NAMES.get(int(k), ())
        ]
        chosen = min(
            regular,
            key=lambda seed: float(polygons.data.objective.sel(k=k, seed=seed).isel(step=-1)),
            default=best_seed(polygons, k=k),
        )
        W = _model(polygons, k, chosen)
        D = feature_dimensionality(W)
        b = polygons.data.b.sel(k=k, seed=chosen).isel(snapshot=-1).values[: int(k)].astype(np.float64)
        loss = float(theory.one_sparse_loss(W, b))
        share = proportion(len(regular), polygons.data.seed.size)
        what = f"regular {k}-gon, best of {polygons.data.seed.size} seeds"
        off = float(np.abs(D - 2 / k).max())
        found += [
            Finding(f"{what}: D_i", f"{D.min():.4f} to {D.max():.4f}", f"{2 / k:.4f} within .01", off <= 0.01),
            Finding(
                f"{what}: exact loss",
                f"{loss:.6f}",
                f"{known.loss:.6f} (closed form)",
                abs(loss / known.loss - 1) < 0.01,
            ),
            Finding(
                f"{k} features: seeds that reach the regular {k}-gon",
                f"{share.mean:.2f} ({share.low:.2f} to {share.high:.2f})",
                "",
                None,
            ),
        ]
    return found


NAMES = {5: ("pentagon",), 6: ("hexagon",), 7: ("7-gon", "heptagon"), 8: ("8-gon", "octagon")}


def shelf_near_one_half(shelf: Swept) -> Finding:
    found = found_shelf(shelf)
    flanks = min(abs(found.left_slope), abs(found.right_slope))
    return Finding(
        f"shelf of D* near 1/2, {shelf.data.seed.size} seeds: |dD*/d ln(1/p)|",
        f"{abs(found.slope):.3f} for 1/p in {np.exp(found.start):.2f} to {np.exp(found.stop):.2f}, "
        f"D* = {found.level:.3f}; "
        f"flanks {abs(found.left_slope):.3f}, {abs(found.right_slope):.3f}; found in {found.support:.0%} of resamples",
        "under half of both flanks",
        bool(found.found and abs(found.slope) < flanks / 2),
    )


def exact_optimum(phases: Swept) -> list[Finding]:
    optima, trained, clear = two_feature_optima(phases)
    excess = trained.min(-1) / optima.best.loss - 1
    count = phases.data.seed.size
    return [
        Finding(
            f"n = 2, m = 1, best of {count}: largest excess over the exact optimum in the {int(clear.sum())} of "
            f"{clear.size} cells with a clear winner",
            f"{excess[clear].max():.4f} (median {np.median(excess[clear]):.1e})",
            "at most .02",
            bool(excess[clear].max() <= 0.02),
        ),
        Finding(
            "single seeds within 2 % of the optimum, clear cells",
            f"{np.mean(trained[clear] / optima.best.loss[clear][:, None] <= 1.02):.2f}",
            "",
            None,
        ),
        Finding(
            "no trained model below the exact optimum",
            f"{excess.min():.1e}",
            "at least -1e-6",
            bool(excess.min() > -1e-6),
        ),
    ]


def pairs_on_the_shelf(shelf: Swept) -> Finding:
    """All m dimensions hold one antipodal pair each where D* is nearest to 1/2."""
    W = final_weights(shelf)
    place = int(np.nanargmin(np.abs(np.nanmean(dimensions(W), axis=1) - 0.5)))
    models = [model for model in W[place] if np.isfinite(model).all()]
    digons = [Counter(factor.polytope for factor in factors_of(model).factors)["digon"] for model in models]
    m = shelf.data.sizes["hidden"]
    return Finding(
        f"digons of a model where D* is nearest 1/2 (1/p = {1 / shelf.data.p.values[place]:.2f})",
        f"{np.mean(digons):.2f} (mean of {len(digons)} models)",
        f"m = {m}",
        bool(np.mean(digons) > 0.9 * m),
    )


def excess_at_polytopes(shelf: Swept) -> list[Finding]:
    excess = polytope_excess(shelf)
    return [
        Finding(
            f"factors within .01 of D = {line:.3f} ({name})",
            f"{observed} (p = {p:.2g})",
            f"{expected:.1f} from the neighbourhood",
            None,
        )
        for name, line, observed, expected, p in zip(*excess, strict=True)
    ]


def jumps_between_levels(levels: Swept) -> Finding:
    """Where every D_i of a converged model ends, and how many jumps it took."""
    counts, ends = [], []
    for seed in levels.data.seed.values:
        steps, D = dimensionality_over_time(levels, int(seed))
        counts.append(len(jumps(steps, D.T, size=0.15)))
        ends.append(D[-1])
    final = np.concatenate(ends)
    known = np.array([0.0, *polytope_lines().values()])
    on_line = np.abs(final[:, None] - known).min(axis=1) < 0.01
    return Finding(
        "features that end within .01 of 0 or of a polytope's D",
        f"{on_line.mean():.3f}, after {np.mean(counts):.1f} abrupt jumps of D_i(t) a seed",
        "",
        None,
    )


experiment = Experiment(
    question="Which features does a bottleneck keep, and in what geometry, from dense to sparse?",
    source="Elhage et al. 2022, Toy Models of Superposition; Chen et al. 2023, arXiv 2310.06301",
    sweeps=sweeps,
    figures=[
        geometry_by_sparsity,
        phase_diagram,
        dimensions_per_feature_by_sparsity,
        feature_dimensionalities,
        factor_counts,
        polygons_reached,
        energy_levels,
        losses_and_models,
    ],
    findings=[
        polygon_dimensionality,
        shelf_near_one_half,
        exact_optimum,
        pairs_on_the_shelf,
        excess_at_polytopes,
        jumps_between_levels,
    ],
    cost="full: n = 400, m = 30, 40 sparsities, 16 seeds and a 50 x 50 phase diagram of 25,000 models: a day or so on "
    "two CPU cores.",
)
