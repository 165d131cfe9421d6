"""Superposition: which features does a bottleneck keep, and in what geometry? Elhage et al. 2022.

A tied autoencoder with ReLU outputs stores n sparse features in m < n dimensions. From dense to sparse features it goes
from dropping all but m of them to antipodal pairs, which hold features per dimension near two over a shelf of
sparsities, and on to denser arrangements. Small models are held against exact optima, large ones against what counting
orthogonal factors predicts.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from toymodels import Axis, Choice, Record, Run, Sweep, census, draw, usable
from toymodels.analysis.dynamics import Jump, Shelf, jumps, shelf
from toymodels.analysis.geometry import (
    LocalExcess,
    TegumFactors,
    dimensions_per_feature,
    feature_dimensionality,
    local_excess,
    polytope_lines,
    tegum_factors,
)
from toymodels.analysis.polytopes import polygon, simplex
from toymodels.analysis.statistics import interval, proportion
from toymodels.data import OneSparse, Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.laws import Geometric
from toymodels.losses import BinaryCrossEntropy, PowerError, SquaredError
from toymodels.models import Identity, Relu, Tied, Untied
from toymodels.optimizers import Adam, Cosine, Momentum
from toymodels.problems.supervised import Supervised
from toymodels.store import UNCONVERGED
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
        "phases": _phases(size=4 if tiny else 50 if full else 11, seeds=4 if tiny else 10, steps=400 if tiny else 2500),
        "polygons": _polygons((5,) if tiny else (5, 6, 7, 8) if full else (5, 6), 400 if tiny else 2500),
        "shelf": _shelf(*((20, 4) if tiny else (400, 30) if full else (100, 10)), scale),
        "levels": _levels(steps=400 if tiny else 4000, seeds=2 if tiny else 64 if full else 8),
        "widths": _widths(scale),
        "losses": _losses(steps=200 if tiny else 2000, few=tiny),
    }


def _arrows(seeds: int, steps: int, count: int) -> Sweep:
    problem = Supervised(Sparse(5), Tied(2), SquaredError(Geometric(0.9)))
    base = Run(problem, Adam(Cosine(1e-2)), steps=steps, record=Record(60, 2))
    p = (20 ** -np.linspace(0, 1, count)).tolist()
    return Sweep(base, [Axis("p", "problem.data.p", p), Axis("seed", "seed", range(seeds))])


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
            Axis("p", "problem.data.p", np.geomspace(0.02, 1, size).tolist()),
            Choice("ratio", {f"{ratio:g}": {"problem.loss.importance": (1.0, ratio)} for ratio in ratios}),
            Axis("seed", "seed", range(seeds)),
        ],
    )


def _polygons(sides: Sequence[int], steps: int) -> Sweep:
    # The rate decides how often the hexagon is found: 3, 9 and 21 of 48 seeds at 0.01, 0.03 and 0.1.
    problem = Supervised(OneSparse(5), Tied(2))
    base = Run(problem, Adam(Cosine(3e-2)), steps=steps, batch=512, record=Record(60, 2))
    return Sweep(base, [Axis("k", "problem.data.n", sides), Axis("seed", "seed", range(48))])


SPARSITIES = (1, 1.3, 1.6, 1.8, 2, 2.25, 2.5, 2.8, 3.1, 3.5, 4, 4.6, 5.5, 8, 14, 30)
"""1/p from dense features to sparse ones, closest where antipodal pairs come and go."""


def _shelf(n: int, m: int, scale: Scale) -> Sweep:
    steps = {"tiny": 300, "default": 2500, "full": 10_000}[scale]
    base = Run(
        Supervised(Sparse(n), Tied(m)),
        Adam(Cosine(1e-2, warmup=0.02)),
        steps=steps,
        batch=1024 if scale == "full" else 512,
        record=Record(40, 2, examples=1024),
    )
    inverse = {"tiny": SPARSITIES[::3], "default": SPARSITIES, "full": np.geomspace(1, 100, 60)}[scale]
    seeds = {"tiny": 2, "default": 8, "full": 16}[scale]
    return Sweep(
        base, [Axis("p", "problem.data.p", (1 / np.array(inverse)).tolist()), Axis("seed", "seed", range(seeds))]
    )


def _levels(steps: int, seeds: int) -> Sweep:
    """From a small start under decaying importances features are learned one after another, so that jumps are apart."""
    problem = Supervised(Sparse(20, p=0.3), Tied(5, scale=1e-3), SquaredError(Geometric(0.9)))
    watched = Record(200, 200, linear=True, examples=4096)
    base = Run(problem, Momentum(3e-2), steps=steps, batch=512, record=watched)
    return Sweep(base, [Axis("seed", "seed", range(seeds))])


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
            Axis("p", "problem.data.p", (1 / np.geomspace(1, 30, 3 if tiny else 8)).tolist()),
            Axis("seed", "seed", range(2 if tiny else 4)),
        ],
    )


def _losses(steps: int, few: bool) -> Sweep:
    equal, decaying = Geometric(1.0), Geometric(0.7)
    weighted = PowerError(2.0, decaying)
    kinds: dict[str, dict[str, Any]] = {
        "squared": {"problem.loss": PowerError(2.0, equal)},
        "weighted": {"problem.loss": weighted},
        "fourth power": {"problem.loss": PowerError(4.0, equal)},
        "cross-entropy": {"problem.loss": BinaryCrossEntropy(), "problem.model": Tied(5, output=Identity())},
        "linear": {"problem.loss": weighted, "problem.model": Tied(5, output=Identity())},
        "untied": {"problem.loss": weighted, "problem.model": Untied(5)},
        "ReLU hidden": {"problem.loss": weighted, "problem.model": Tied(5, hidden=Relu())},
    }
    if few:
        kinds = {kind: kinds[kind] for kind in ("squared", "fourth power", "cross-entropy", "untied")}
    problem = Supervised(Sparse(20), Tied(5))
    base = Run(problem, Adam(Cosine(1e-2)), steps=steps, batch=512, record=Record(40, 2, examples=1024))
    return Sweep(
        base, [Choice("kind", kinds), Axis("p", "problem.data.p", [0.3, 0.03]), Axis("seed", "seed", range(8))]
    )


# ------------------------------------------------------------------------------------------------------- what was found


def final_weights(swept: Swept, unconverged: bool = False) -> np.ndarray:
    """(axes, features, hidden) at the end of training, NaN where a cell diverged or, unless asked, is unconverged."""
    kept = usable(swept.data.W.isel(snapshot=-1), swept.data.status, unconverged)
    return kept.values.astype(np.float64)


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


class OverSeeds(NamedTuple):
    """Mean and range over the last axis, NaN where nothing is left."""

    low: np.ndarray
    mean: np.ndarray
    high: np.ndarray


def over_seeds(values: np.ndarray) -> OverSeeds:
    kept = np.ma.masked_invalid(values)
    ends = (kept.min(axis=-1), kept.mean(axis=-1), kept.max(axis=-1))
    return OverSeeds(*(np.ma.filled(end.astype(np.float64), np.nan) for end in ends))


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


class TwoFeatureGrid(NamedTuple):
    """On the grid (p, ratio): exact optima, exact losses of the trained models (last axis: seeds), clear winners."""

    optima: theory.TwoFeatures
    trained: np.ndarray
    clear: np.ndarray


@cache
def _two_features(p: tuple[float, ...], ratio: tuple[str, ...]) -> theory.TwoFeatures:
    return theory.two_features(*np.meshgrid(np.array(p, float), np.array(ratio, float), indexing="ij"))


def two_feature_grid(swept: Swept) -> TwoFeatureGrid:
    p, ratio = np.meshgrid(swept.data.p.values, swept.data.ratio.values.astype(float), indexing="ij")
    optima = _two_features(tuple(swept.data.p.values), tuple(swept.data.ratio.values))
    last = swept.data.isel(snapshot=-1)
    W = last.W.transpose("p", "ratio", "seed", "feature", "hidden").values.astype(np.float64)
    b = last.b.transpose("p", "ratio", "seed", "feature").values.astype(np.float64)
    importance = np.stack([np.ones_like(ratio), ratio], -1)[:, :, None]
    trained = theory.expected_loss(W, b, p[:, :, None, None], importance)
    losses = np.sort(
        [optima.neither.loss, optima.first.loss, optima.second.loss, optima.antipodal.loss, optima.merged.loss], 0
    )
    return TwoFeatureGrid(optima, np.asarray(trained), losses[1] > (1 + MARGIN) * losses[0])


class Reached(NamedTuple):
    """A trained k x 2 model, its exact loss, and the geometry it has: factors, and features dropped."""

    W: np.ndarray
    loss: float
    name: str


def reached(polygons: Swept, k: int) -> list[Reached]:
    """The models of all seeds, best first by exact loss."""
    cells = polygons.data.sel(k=k).isel(snapshot=-1)
    W, b = (cells[name].values[:, : int(k)].astype(np.float64) for name in ("W", "b"))
    found = [Reached(w, float(theory.one_sparse_loss(w, bias)), geometry_of(w)) for w, bias in zip(W, b, strict=True)]
    return sorted(found, key=lambda each: each.loss)


def geometry_of(W: np.ndarray) -> str:
    norms = np.linalg.norm(W, axis=1)
    dropped = int((norms <= DEAD * norms.max()).sum())
    name = tegum_factors(W, tol=0.03, dead=DEAD).name
    return f"{name}, {dropped} dropped" if dropped else name


SHAPES = {
    "point": np.ones((1, 1)),
    "digon": simplex(1).vectors,
    "triangle": polygon(3).vectors,
    "tetrahedron": simplex(3).vectors,
    "pentagon": polygon(5).vectors,
}
"""Factors whose loss is exact: at most five features, which symmetry exchanges."""


class Predicted(NamedTuple):
    """At each p: the loss that each shape saves per dimension, in dropped features, and the shape that saves most."""

    p: np.ndarray
    saving: dict[str, np.ndarray]
    best: list[str]


@cache
def predicted_factors() -> Predicted:
    """For many equally important features: orthogonal factors do not interfere, so the model of least loss fills its
    dimensions with the shape that saves most per dimension."""
    p = 1 / np.geomspace(1.05, 12.0, 16)
    dropped = np.asarray(theory.feature_variance(p))
    saving = {
        name: (len(shape) - theory.best_scaled(shape, p, rounds=7).loss / dropped) / shape.shape[1]
        for name, shape in SHAPES.items()
    }
    names = list(SHAPES)
    return Predicted(p, saving, [names[k] for k in np.argmax([saving[name] for name in names], axis=0)])


def kind_counts(shelf: Swept) -> dict[str, np.ndarray]:
    """(p, seed) numbers of factors of every kind in SHAPES, and of others; NaN for excluded models."""
    W = final_weights(shelf)
    counts = {kind: np.full(W.shape[:2], np.nan) for kind in (*SHAPES, "other")}
    for place in np.ndindex(*W.shape[:2]):
        if np.isfinite(W[place]).all():
            found = Counter(factor.polytope for factor in factors_of(W[place]).factors)
            for kind in SHAPES:
                counts[kind][place] = found[kind]
            counts["other"][place] = sum(found.values()) - sum(found[kind] for kind in SHAPES)
    return counts


# -------------------------------------------------------------------------------------------------------------- figures


def geometry_by_sparsity(arrows: Swept) -> Figure:
    """Rows of W, one colour a feature, inside the unit circle (top), and W Wᵀ with the biases b beside it (bottom): the
    best of all seeds by the final objective, from dense features on the left to sparse ones on the right. Earlier
    features matter more. Above each column: the orthogonal factors found; features near the origin are dropped."""
    p = arrows.data.p.values
    chosen = p[np.linspace(0, p.size - 1, min(5, p.size)).round().astype(int)]
    figure, axes = plt.subplots(2, len(chosen), figsize=(draw.PAGE, 3.1), squeeze=False)
    for column, p in enumerate(chosen):
        cell = arrows.data.sel(p=p, seed=best_seed(arrows, p=p)).isel(snapshot=-1)
        top, bottom = axes[:, column]
        draw.arrows(top, cell.W.values)
        mesh = draw.gram(bottom, cell.W.values, bar=False)
        mesh.set_clim(-1.2, 1.2)
        draw.bias(bottom, cell.b.values, 1.2)
        top.set(title=f"$p={p:.2g}$\n{factors_of(cell.W.values).name}", xlim=(-1.35, 1.35), ylim=(-1.35, 1.35))
        for ax in (top, bottom):
            ax.title.set_fontsize(7)
            ax.set_ylabel("" if column else ax.get_ylabel())
    figure.colorbar(mesh, ax=axes[1], label="$W W^\\mathsf{T}$, $b$", aspect=12, shrink=0.9)
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
    starts to win without bias (dotted), with the best bias at unit norm (dashed), with everything optimised (solid).
    Dots: the two best branches are within 2 % of each other."""
    optima, trained, clear = two_feature_grid(phases)
    p, ratio = phases.data.p.values, phases.data.ratio.values.astype(float)
    best = trained.argmin(-1)
    W = phases.data.W.isel(snapshot=-1).transpose("p", "ratio", "seed", "feature", "hidden").values
    names = list(PHASES)
    learned = np.array([[names.index(phase_of(W[i, j, best[i, j]])) for j in range(len(ratio))] for i in range(len(p))])
    optimal = np.array([[names.index(name) for name in row] for row in np.asarray(optima.name)])
    figure, axes = plt.subplots(1, 3, figsize=(draw.PAGE, 2.5), sharey=True)
    lines = _boundaries(np.geomspace(p.min(), p.max(), 60))
    for ax, values, title in ((axes[0], learned, "trained"), (axes[1], optimal, "optimal")):
        _phases_panel(ax, ratio, p, values, lines)
        ax.set_title(title)
        close = np.argwhere(~clear)
        ax.plot(ratio[close[:, 1]], p[close[:, 0]], "o", ms=2, color="black")
    excess = np.maximum(trained.min(-1) / optima.best.loss - 1, 1e-6)
    draw.heatmap(
        axes[2], ratio, p, excess, "loss / optimum $-$ 1", log_x=True, log_y=True, log_values=True, cmap="magma_r"
    )
    axes[2].set(title="excess loss, best seed", xlabel="relative importance", ylim=_log_edges(p)[[0, -1]])
    axes[0].set_ylabel("activation probability $p$")
    occurring = [name for place, name in enumerate(names) if place in learned or place in optimal]
    handles = [plt.Rectangle((0, 0), 1, 1, fc=PHASES[name], ec="0.5", lw=0.5) for name in occurring]
    figure.legend(handles, [SHOWN[name] for name in occurring], loc="outside lower left", ncols=5, columnspacing=1.0)
    return figure


def _boundaries(p: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(relative importance, p) of the three boundaries by their dashes; importances below 1 only."""
    return {
        ":": (np.asarray(theory.boundary_without_bias(p)), p),
        "--": (np.asarray(theory.boundary_best_bias(p)), p),
        "-": (np.asarray(theory.boundary_optimised(p)), p),
    }


def _phases_panel(
    ax: Axes,
    ratio: np.ndarray,
    p: np.ndarray,
    values: np.ndarray,
    lines: dict[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    colours, norm = ListedColormap(list(PHASES.values())), BoundaryNorm(np.arange(len(PHASES) + 1) - 0.5, len(PHASES))
    ax.pcolormesh(_log_edges(ratio), _log_edges(p), values, cmap=colours, norm=norm, rasterized=True)
    for dash, (importance, probability) in lines.items():
        known = np.isfinite(importance)
        there, back = importance[known], 1 / importance[known][::-1]
        ax.plot([*there, *back], [*probability[known], *probability[known][::-1]], dash, color="black", lw=0.9)
    ax.set(xscale="log", yscale="log", xlabel="relative importance")
    ax.set(xlim=_log_edges(ratio)[[0, -1]], ylim=_log_edges(p)[[0, -1]])


def _log_edges(centres: np.ndarray) -> np.ndarray:
    """Edges of cells whose centres are evenly spaced in the logarithm."""
    half = np.sqrt(centres[1] / centres[0])
    return np.append(centres / half, centres[-1] * half)


def dimensions_per_feature_by_sparsity(shelf: Swept, widths: Swept) -> Figure:
    """Dimensions per feature D* = m / |W|_F^2 against 1/p. Left: every seed (dots, open if not converged), the mean of
    the converged (line), and the shelf near 1/2 found by its slope (band): there features come in antipodal pairs.
    Right: other widths and powers of the loss, means and ranges over seeds; D* is above 1 where features are shrunk."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.6), sharey=True)
    D, x = dimensions(final_weights(shelf, unconverged=True)), 1 / shelf.data.p.values
    flagged = shelf.data.status.values == UNCONVERGED
    draw.flagged_points(left, np.repeat(x, D.shape[1]), D.ravel(), flagged.ravel())
    for dots in left.lines:
        dots.set(markersize=2.2, markeredgewidth=0.5)
    left.plot(x, over_seeds(np.where(flagged, np.nan, D)).mean, color=draw.BLUE, lw=0.8)
    found = found_shelf(shelf)
    if np.isfinite(found.start):
        left.axvspan(*np.exp([found.start, found.stop]), color=draw.ORANGE, alpha=0.25, lw=0)
    left.set(xscale="log", xlabel="$1/p$", ylabel="dimensions per feature $D^*$", ylim=(0, 1.45))
    draw.levels(left, [1, 0.5], ["one each", "pairs"])
    draw.excluded(left, left_out(shelf))
    _width_panel(right, widths)
    draw.panel_labels([left, right])
    return figure


def _width_panel(ax: Axes, widths: Swept) -> None:
    D = over_seeds(dimensions(final_weights(widths)))
    for row, m in enumerate(widths.data.m.values):
        for column, power in enumerate(widths.data.power.values):
            ends = (end[row, column] for end in D)
            label = f"$m={m}$, power {power:g}"
            line = draw.band(ax, 1 / widths.data.p.values, *ends, label=label, colour=f"C{column}", marker="so"[row])
            line.set(linestyle="-" if row else "--", markersize=2.5)
    ax.set(xscale="log", xlabel="$1/p$")
    draw.levels(ax, [1, 0.5])
    ax.legend(fontsize=6.5, loc="upper right")
    draw.excluded(ax, left_out(widths))


def feature_dimensionalities(shelf: Swept) -> Figure:
    """Dimensionality D_i of every feature of every seed against 1/p (left; open if not converged), with the values of
    regular polytopes. Right: in all converged models together, factors within 0.01 of each value against what the
    neighbourhood predicts, with the chance of at least as many; one value a factor, since its members share theirs."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.8), width_ratios=(1.7, 1))
    W = final_weights(shelf, unconverged=True)
    D = np.full(W.shape[:-1], np.nan)
    for place in np.ndindex(*W.shape[:2]):
        if np.isfinite(W[place]).all():
            D[place] = feature_dimensionality(W[place])
    aside = np.exp(np.linspace(-0.03, 0.03, D.shape[-1]))  # members of a cell side by side
    flagged = shelf.data.status.values[..., None] == UNCONVERGED
    draw.scatter_lines(left, aside / shelf.data.p.values[:, None, None], D, polytope_lines(), flagged)
    left.set(xscale="log", xlabel="$1/p$")
    draw.excluded(left, left_out(shelf))
    _excess_panel(right, polytope_excess(shelf))
    draw.panel_labels([left, right])
    return figure


def _excess_panel(ax: Axes, excess: LocalExcess) -> None:
    places = np.arange(len(excess.names))
    ax.barh(places - 0.2, excess.observed, 0.38, color=draw.BLUE, label="observed")
    ax.barh(places + 0.2, np.nan_to_num(excess.expected), 0.38, color="0.7", label="expected nearby")
    for place, (count, chance) in enumerate(zip(excess.observed, excess.p_value, strict=True)):
        shown = f"{chance:.1g}" if chance > 1e-99 else "< 1e-99"
        ax.text(count, place - 0.2, f" {count}, chance {shown}", va="center", fontsize=6.5)
    ax.set_yticks(places, excess.names)
    ax.set(xlabel="factors", xscale="symlog", xlim=(0, 500 * max(excess.observed.max(), 1)))
    ax.xaxis.set_major_locator(FixedLocator([0, 1, 10, 100, 1000]))
    ax.invert_yaxis()
    ax.xaxis.set_minor_locator(NullLocator())
    ax.legend(loc="lower center", bbox_to_anchor=(0.58, 1.0), ncols=2, columnspacing=1, fontsize=6.5)


def polytope_excess(shelf: Swept) -> LocalExcess:
    """Local excess at the polytope values, one mean dimensionality a factor of two features or more."""
    values = [
        factor.dimensionality / factor.size
        for model in final_weights(shelf).reshape(-1, shelf.data.sizes["feature"], shelf.data.sizes["hidden"])
        if np.isfinite(model).all()
        for factor in factors_of(model).factors
    ]
    return local_excess(np.array(values or [0.0]))


COLOURS = {
    "point": draw.ORANGE,
    "digon": draw.BLUE,
    "triangle": draw.GREEN,
    "tetrahedron": draw.SKY,
    "pentagon": draw.RED,
    "other": draw.PURPLE,
}


def factor_counts(shelf: Swept) -> Figure:
    """Orthogonal factors of trained models against 1/p, by kind (top): means and ranges over seeds; broad lines, all m
    dimensions filled with the predicted shape. Factors are found at a cosine of 0.1; dropped features are left out.
    Bottom: the prediction, the exact loss that each shape saves per dimension, in units of a dropped feature's loss."""
    x = 1 / shelf.data.p.values
    m, predicted, counts = shelf.data.sizes["hidden"], predicted_factors(), kind_counts(shelf)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(draw.COLUMN, 4.0), sharex=True)
    for kind, colour in COLOURS.items():
        found = over_seeds(counts[kind])
        draw.band(top, x, *found, label=kind, colour=colour, marker="o").set_markersize(2.5)
        if kind in SHAPES:
            rank = SHAPES[kind].shape[1]
            best, edges = np.array([name == kind for name in predicted.best]), _log_edges(1 / predicted.p)
            top.hlines(np.full(best.sum(), m / rank), edges[:-1][best], edges[1:][best], colour, lw=4, alpha=0.4)
            bottom.plot(1 / predicted.p, predicted.saving[kind], color=colour, ls=(0, (4, 2)), lw=0.9, label=kind)
    top.set(ylabel="factors of a model", ylim=(-0.04 * m, 1.1 * m))
    bottom.set(xscale="log", xlabel="$1/p$", ylabel="saved per dimension")
    figure.legend(*top.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    draw.excluded(top, left_out(shelf))
    draw.panel_labels([top, bottom])
    return figure


def polygons_reached(polygons: Swept) -> Figure:
    """One active feature at a time, two dimensions. Top: the best of all seeds by exact loss for each number of
    features k, on the regular k-gon of least loss (grey rings). Bottom: how often each geometry was reached, with 95 %
    Wilson intervals, and the least exact loss L that it was reached with."""
    sides = polygons.data.k.values
    figure, axes = plt.subplots(
        2, len(sides), figsize=(max(draw.COLUMN, draw.PAGE * len(sides) / 2.5), 4.2), squeeze=False
    )
    for column, k in enumerate(sides):
        found, known, (top, bottom) = reached(polygons, k), theory.polygon(int(k)), axes[:, column]
        W = found[0].W
        draw.arrows(top, W)
        angles = np.arctan2(W[0, 1], W[0, 0]) + 2 * np.pi * np.arange(k) / k
        rings = known.radius * np.array([np.cos(angles), np.sin(angles)])
        top.plot(*rings, "o", mfc="none", color="0.5", ms=7)
        top.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6))
        title = f"$k={k}$, best of {len(found)}: {found[0].name}\n$L={found[0].loss:.5f}$, regular {known.loss:.5f}"
        top.set_title(title, fontsize=7)
        _geometry_bars(bottom, found)
    return figure


def _geometry_bars(ax: Axes, found: Sequence[Reached]) -> None:
    """At most four geometries, the most frequent first, and how many others."""
    common = Counter(each.name for each in found).most_common(4)
    labels = [
        f"{name.replace(', ', chr(10)).replace(' ⊕ ', chr(10) + '⊕ ')}\n$L={least:.4f}$"
        for name, least in ((name, min(each.loss for each in found if each.name == name)) for name, _ in common)
    ]
    counts = [count for _, count in common]
    if sum(counts) < len(found):
        labels, counts = [*labels, "others"], [*counts, len(found) - sum(counts)]
    shares = [proportion(count, len(found)) for count in counts]
    mean, low, high = np.array([(share.mean, share.low, share.high) for share in shares], float).T
    draw.bars(ax, labels, mean, low, high)
    ax.set(ylabel="share of seeds", ylim=(0, 1), xlim=(-0.6, max(len(labels), 3) - 0.4))
    for label in ax.get_xticklabels():
        label.set(rotation=0, ha="center", fontsize=6.5)


def energy_levels(levels: Swept) -> Figure:
    """Dimensionality D_i(t) of every feature of one seed (top) above its loss (bottom; other seeds thin): from a small
    start features appear one after another, alone at D = 1, and give half of their dimension away when an antipode
    arrives. Dots and dotted lines: jumps, detected in each D_i(t) by itself."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(draw.PAGE, 3.8), sharex=True, height_ratios=(2, 1))
    steps, D = dimensionality_over_time(levels, int(levels.data.seed.values[0]))
    found = level_jumps(steps, D)
    draw.trajectories(top, steps, D.T, found, log_steps=False)
    top.set(xlabel="", ylim=(-0.03, 1.08))
    draw.levels(top, [1, 1 / 2], ["point", "digon"])
    curves = levels.data.objective.transpose("seed", "step").values
    bottom.plot(levels.data.step.values, curves[1:].T, color="0.75", lw=0.5)
    bottom.plot(levels.data.step.values, curves[0], color=draw.BLUE)
    for jump in found:
        bottom.axvline(jump.step, color=draw.THEORY, ls=":", lw=0.6, zorder=0)
    bottom.set(xlabel="step", ylabel="loss")
    draw.panel_labels([top, bottom])
    return figure


def level_jumps(steps: np.ndarray, D: np.ndarray) -> list[Jump]:
    return jumps(steps, D.T, size=0.15, window=4)


def dimensionality_over_time(levels: Swept, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and D_i as steps x features."""
    W = levels.data.W.sel(seed=seed).values.astype(np.float64)
    return levels.data.snapshot.values, np.array([feature_dimensionality(w, dead=0.05) for w in W])


def losses_and_models(losses: Swept) -> Figure:
    """W Wᵀ (for the untied model, decoder times encoder transposed), with the biases b beside it, of the best seed by
    its own objective, under other losses and other models; dense features above, sparse ones below. In each panel
    W Wᵀ and b are relative to their largest entries. Weighted: earlier features matter more; so do they in the linear
    model (no ReLU), in the untied one and in the one with a ReLU on the hidden layer."""
    kinds, probabilities = losses.data.kind.values, losses.data.p.values
    figure, axes = plt.subplots(len(probabilities), len(kinds), figsize=(draw.PAGE, 2.1), sharex=True, sharey=True)
    for column, kind in enumerate(kinds):
        for row, p in enumerate(probabilities):
            cell = losses.data.sel(kind=kind, p=p, seed=best_seed(losses, kind=kind, p=p)).isel(snapshot=-1)
            ax, W = axes[row, column], cell.W.values
            product = W @ (cell.encoder.values if kind == "untied" else W).T
            mesh = ax.pcolormesh(_relative(product), cmap="RdBu_r", vmin=-1, vmax=1, rasterized=True)
            draw.bias(ax, _relative(cell.b.values), 1.0, label="$b$" if row else "")
            ax.set(aspect="equal", xticks=[], yticks=[], ylim=(len(W), 0))
            ax.set_title("" if row else kind, fontsize=7)
            ax.set_ylabel("" if column else f"$p={p:g}$")
    figure.colorbar(mesh, ax=axes, label="$W W^\\mathsf{T}$, $b$, over the largest", aspect=20, ticks=[-1, 0, 1])
    return figure


def _relative(values: np.ndarray) -> np.ndarray:
    return values / max(np.abs(values).max(initial=0.0), 1e-30)


# ------------------------------------------------------------------------------------------------------------- findings


def polygon_dimensionality(polygons: Swept) -> list[Finding]:
    """Best of all seeds by exact loss, whatever its geometry, against the regular polygon; how often that is met."""
    answers = []
    for k in polygons.data.k.values:
        found, known, name = reached(polygons, k), theory.polygon(int(k)), polygon(int(k)).name
        D, loss = feature_dimensionality(found[0].W), found[0].loss
        regular = sum(each.name == name for each in found)
        share = proportion(regular, len(found))
        what = f"best of {len(found)} seeds at k = {k} ({found[0].name})"
        near = bool(np.abs(D - 2 / k).max() <= 0.01)
        expected = f"{2 / k:.4f} within .01, a regular {name}"
        rate = f"{regular} of {len(found)}: {share.mean:.2f} ({share.low:.2f} to {share.high:.2f})"
        answers += [
            Finding(f"{what}: D_i", f"{D.min():.4f} to {D.max():.4f}", expected, near),
            Finding(f"{what}: exact loss", f"{loss:.6f}", f"{known.loss:.6f} within 1 %", loss <= 1.01 * known.loss),
            Finding(f"k = {k}: seeds that reach the regular {name}", rate, "", None),
        ]
    return answers


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
    optima, trained, clear = two_feature_grid(phases)
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


def pairs_on_the_shelf(shelf: Swept) -> list[Finding]:
    """All m dimensions hold one antipodal pair each where D* is nearest to 1/2, until pentagons save more loss."""
    digons = over_seeds(kind_counts(shelf)["digon"]).mean
    D, m = over_seeds(dimensions(final_weights(shelf))).mean, shelf.data.sizes["hidden"]
    x, distance = 1 / shelf.data.p.values, np.abs(D - 0.5)
    if np.isnan(distance).all():
        return [Finding("digons on the shelf", "no converged model", f"m = {m}", False)]
    place = int(np.nanargmin(distance))
    what = f"digons of a model where D* is nearest 1/2 (1/p = {x[place]:.2f}), mean over seeds"
    first, last = (np.exp(_crossing(np.log(x), digons - m / 2, place, side)) for side in (-1, 1))
    known_first, known_last = digons_predicted()
    near = bool(1 / 1.25 <= first / known_first <= 1.25 and 1 / 1.25 <= last / known_last <= 1.25)
    return [
        Finding(what, f"{digons[place]:.2f}", f"m = {m} within a tenth", bool(digons[place] > 0.9 * m)),
        Finding(
            "1/p between which a model has more than m/2 digons",
            f"{first:.2f} to {last:.2f}",
            f"{known_first:.2f} to {known_last:.2f} (digons save most loss) within a factor 1.25",
            near,
        ),
    ]


def digons_predicted() -> tuple[float, float]:
    """1/p between which a digon saves more loss per dimension than every other shape."""
    predicted = predicted_factors()
    others = np.max([saving for name, saving in predicted.saving.items() if name != "digon"], axis=0)
    lead = predicted.saving["digon"] - others
    first, last = (_crossing(-np.log(predicted.p), lead, int(lead.argmax()), side) for side in (-1, 1))
    return float(np.exp(first)), float(np.exp(last))


def _crossing(x: np.ndarray, y: np.ndarray, start: int, side: int) -> float:
    """Where y, positive at `start`, first turns negative towards one side, interpolated; NaN where it does not."""
    here = start
    while 0 <= here + side < len(y):
        if y[here] > 0 >= y[here + side]:
            return float(x[here] + (x[here + side] - x[here]) * y[here] / (y[here] - y[here + side]))
        here += side
    return float("nan")


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


def jumps_between_levels(levels: Swept) -> list[Finding]:
    """How many jumps a seed makes, from where to where, and how much of the loss falls while they happen."""
    counts, sizes, shares, ends = [], [], [], []
    for seed in levels.data.seed.values:
        steps, D = dimensionality_over_time(levels, int(seed))
        found = level_jumps(steps, D)
        loss = levels.data.objective.sel(seed=seed).values
        counts.append(len(found))
        sizes += [abs(jump.size) for jump in found]
        shares.append(_fall_during(levels.data.step.values, loss, [jump.step for jump in found], 2 * np.diff(steps)[0]))
        ends.append(D[-1])
    final = np.concatenate(ends)
    near = np.abs(final[:, None] - np.array([0, 1 / 2, 1])).min(axis=1) < 0.05
    time, fall = np.mean(shares, axis=0)
    spread = interval(counts)
    return [
        Finding("jumps of D_i(t) a seed", f"{spread.mean:.1f} ({spread.low:.1f} to {spread.high:.1f})", "", None),
        Finding("loss that falls within two records of a jump", f"{fall:.0%} in {time:.0%} of the time", "", None),
        Finding("features that end within .05 of D = 0, 1/2 or 1", f"{near.mean():.3f} of {near.size}", "", None),
    ]


def _fall_during(steps: np.ndarray, loss: np.ndarray, times: Sequence[float], reach: float) -> tuple[float, float]:
    """(share of the time, share of the fall of the loss) within `reach` of any of these times."""
    middle, fall, length = (steps[1:] + steps[:-1]) / 2, -np.diff(loss), np.diff(steps)
    inside = np.array([any(abs(time - moment) <= reach for moment in times) for time in middle], bool)
    return float(length[inside].sum() / length.sum()), float(fall[inside].sum() / (fall.sum() or 1.0))


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
    cost="60 sparsities of 16 seeds at n = 400, m = 30 and a phase diagram of 25,000 models: 7 hours or more on two "
    "CPU cores, 15 programs, 110 MB",
)
