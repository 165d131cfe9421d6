"""Superposition: which features does a bottleneck keep, and in what geometry? Elhage et al. 2022.

A tied autoencoder with ReLU outputs stores n sparse features in m < n dimensions. From dense to sparse features it goes
from dropping all but m of them to antipodal pairs, which hold features per dimension near two over a shelf of
sparsities, and on to denser arrangements. Small models are held against exact optima, large ones against what counting
orthogonal factors predicts.
"""

from collections import Counter
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis.dynamics import Shelf, shelf
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
from toymodels.analysis.statistics import spread
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.laws import Geometric
from toymodels.losses import BinaryCrossEntropy, PowerError
from toymodels.models import Identity, Relu, Tied, Untied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.supervised import Supervised
from toymodels.store import UNCONVERGED
from toymodels.theory import superposition as theory

ORTHOGONAL = 0.1
"""|cos| up to which two features of a large trained model count as orthogonal."""
DEAD = 0.25
"""Norm, as a fraction of the largest, up to which a feature counts as not represented."""

# ------------------------------------------------------------------------------------------------------------- the grid


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    return {
        "shelf": _shelf(*((20, 4) if tiny else (400, 30) if full else (100, 10)), scale),
        "widths": _widths(scale),
        "losses": _losses(steps=200 if tiny else 2000, few=tiny),
    }


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


def dimensions(W: np.ndarray) -> np.ndarray:
    """D* of each model, NaN for excluded ones."""
    flat = W.reshape(-1, *W.shape[-2:])
    values = [_shrunk(w) for w in flat]
    return np.array([dimensions_per_feature(w) if w.size else np.nan for w in values]).reshape(W.shape[:-2])


def _shrunk(W: np.ndarray) -> np.ndarray:
    """A model without the columns that pad it to the width of the widest; empty if excluded."""
    return W[:, np.isfinite(W).all(axis=0)]


def factors_of(W: np.ndarray) -> TegumFactors:
    return tegum_factors(W, tol=ORTHOGONAL, dead=DEAD)


def found_shelf(swept: Swept) -> Shelf:
    """The shelf of D* near 1/2 over ln(1/p), from the mean over seeds, with bootstrap support."""
    x = -np.log(swept.data.p.values)
    return shelf(x, dimensions(swept.final().values).T, level=0.5, resamples=200)


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
    W = shelf.final().values
    counts = {kind: np.full(W.shape[:2], np.nan) for kind in (*SHAPES, "other")}
    for place in np.ndindex(*W.shape[:2]):
        if np.isfinite(W[place]).all():
            found = Counter(factor.polytope for factor in factors_of(W[place]).factors)
            for kind in SHAPES:
                counts[kind][place] = found[kind]
            counts["other"][place] = sum(found.values()) - sum(found[kind] for kind in SHAPES)
    return counts


# -------------------------------------------------------------------------------------------------------------- figures


def dimensions_per_feature_by_sparsity(shelf: Swept, widths: Swept) -> Figure:
    """Dimensions per feature D* = m / |W|_F^2 against 1/p. Left: every seed (dots, open if not converged), the mean of
    the converged (line), and the shelf near 1/2 found by its slope (band): there features come in antipodal pairs.
    Right: other widths and powers of the loss, means and ranges over seeds; D* is above 1 where features are shrunk."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.6), sharey=True)
    D, x = dimensions(shelf.final(unconverged=True).values), 1 / shelf.data.p.values
    flagged = shelf.data.status.values == UNCONVERGED
    draw.flagged_points(left, np.repeat(x, D.shape[1]), D.ravel(), flagged.ravel())
    for dots in left.lines:
        dots.set(markersize=2.2, markeredgewidth=0.5)
    left.plot(x, spread(np.where(flagged, np.nan, D)).mean, color=draw.BLUE, lw=0.8)
    found = found_shelf(shelf)
    if np.isfinite(found.start):
        left.axvspan(*np.exp([found.start, found.stop]), color=draw.ORANGE, alpha=0.25, lw=0)
    left.set(xscale="log", xlabel="$1/p$", ylabel="dimensions per feature $D^*$", ylim=(0, 1.45))
    draw.levels(left, [1, 0.5], ["one each", "pairs"])
    draw.excluded(left, shelf.left_out())
    _width_panel(right, widths)
    draw.panel_labels([left, right])
    return figure


def _width_panel(ax: Axes, widths: Swept) -> None:
    D = spread(dimensions(widths.final().values))
    for row, m in enumerate(widths.data.m.values):
        for column, power in enumerate(widths.data.power.values):
            ends = (end[row, column] for end in D)
            label = f"$m={m}$, power {power:g}"
            line = draw.band(ax, 1 / widths.data.p.values, *ends, label=label, colour=f"C{column}", marker="so"[row])
            line.set(linestyle="-" if row else "--", markersize=2.5)
    ax.set(xscale="log", xlabel="$1/p$")
    draw.levels(ax, [1, 0.5])
    ax.legend(fontsize=6.5, loc="upper right")
    draw.excluded(ax, widths.left_out())


def feature_dimensionalities(shelf: Swept) -> Figure:
    """Dimensionality D_i of every feature of every seed against 1/p (left; open if not converged), with the values of
    regular polytopes. Right: in all converged models together, factors within 0.01 of each value against what the
    neighbourhood predicts, with the chance of at least as many; one value a factor, since its members share theirs."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.8), width_ratios=(1.7, 1))
    W = shelf.final(unconverged=True).values
    D = np.full(W.shape[:-1], np.nan)
    for place in np.ndindex(*W.shape[:2]):
        if np.isfinite(W[place]).all():
            D[place] = feature_dimensionality(W[place])
    aside = np.exp(np.linspace(-0.03, 0.03, D.shape[-1]))  # members of a cell side by side
    flagged = shelf.data.status.values[..., None] == UNCONVERGED
    draw.scatter_lines(left, aside / shelf.data.p.values[:, None, None], D, polytope_lines(), flagged)
    left.set(xscale="log", xlabel="$1/p$")
    draw.excluded(left, shelf.left_out())
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
        for model in shelf.final().values.reshape(-1, shelf.data.sizes["feature"], shelf.data.sizes["hidden"])
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
        found = spread(counts[kind])
        draw.band(top, x, *found, label=kind, colour=colour, marker="o").set_markersize(2.5)
        if kind in SHAPES:
            rank = SHAPES[kind].shape[1]
            best, edges = np.array([name == kind for name in predicted.best]), draw.edges(1 / predicted.p, log=True)
            top.hlines(np.full(best.sum(), m / rank), edges[:-1][best], edges[1:][best], colour, lw=4, alpha=0.4)
            bottom.plot(1 / predicted.p, predicted.saving[kind], color=colour, ls=(0, (4, 2)), lw=0.9, label=kind)
    top.set(ylabel="factors of a model", ylim=(-0.04 * m, 1.1 * m))
    bottom.set(xscale="log", xlabel="$1/p$", ylabel="saved per dimension")
    figure.legend(*top.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    draw.excluded(top, shelf.left_out())
    draw.panel_labels([top, bottom])
    return figure


def losses_and_models(losses: Swept) -> Figure:
    """W Wᵀ (for the untied model, decoder times encoder transposed), with the biases b beside it, of the best seed by
    its own objective, under other losses and other models; dense features above, sparse ones below. In each panel
    W Wᵀ and b are relative to their largest entries. Weighted: earlier features matter more; so do they in the linear
    model (no ReLU), in the untied one and in the one with a ReLU on the hidden layer."""
    kinds, probabilities = losses.data.kind.values, losses.data.p.values
    figure, axes = plt.subplots(len(probabilities), len(kinds), figsize=(draw.PAGE, 2.1), sharex=True, sharey=True)
    for column, kind in enumerate(kinds):
        for row, p in enumerate(probabilities):
            cell = losses.best(kind=kind, p=p)
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


def pairs_on_the_shelf(shelf: Swept) -> list[Finding]:
    """All m dimensions hold one antipodal pair each where D* is nearest to 1/2, until pentagons save more loss."""
    digons = spread(kind_counts(shelf)["digon"]).mean
    D, m = spread(dimensions(shelf.final().values)).mean, shelf.data.sizes["hidden"]
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


experiment = Experiment(
    question="Which features does a bottleneck keep, and in what geometry, from dense to sparse?",
    source="Elhage et al. 2022, Toy Models of Superposition; Chen et al. 2023, arXiv 2310.06301",
    sweeps=sweeps,
    figures=[
        dimensions_per_feature_by_sparsity,
        feature_dimensionalities,
        factor_counts,
        losses_and_models,
    ],
    findings=[
        shelf_near_one_half,
        pairs_on_the_shelf,
        excess_at_polytopes,
    ],
    cost="60 sparsities of 16 seeds at n = 400, m = 30 and a phase diagram of 25,000 models: 7 hours or more on two "
    "CPU cores, 15 programs, 110 MB",
)
