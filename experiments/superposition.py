"""Superposition: which features does a bottleneck keep, and in what geometry? Elhage et al. 2022.

A tied autoencoder with ReLU outputs stores n sparse features in m < n dimensions. From dense to sparse features it goes
from dropping all but m of them to antipodal pairs, which hold features per dimension near two over a shelf of
sparsities, and on to denser arrangements. Counts and eigenvalues are held against what filling the dimensions with
orthogonal factors of exact loss predicts; attacks on the model, against how many features share a dimension.
"""

from collections import Counter
from collections.abc import Callable
from functools import cache, lru_cache
from typing import NamedTuple

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.adversarial import attacks
from toymodels.analysis.dynamics import Shelf, shelf
from toymodels.analysis.geometry import (
    TegumFactors,
    dimensions_per_feature,
    feature_dimensionality,
    per_model,
    tegum_factors,
)
from toymodels.analysis.lines import LocalExcess, local_excess, polytope_lines
from toymodels.analysis.ranges import LinearRange, crossing, level_range, linear_range
from toymodels.analysis.spectra import frame_spectrum, localisation, random_directions, saturation
from toymodels.analysis.statistics import Interval, interval, spread
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.losses import PowerError
from toymodels.models import Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.supervised import Supervised
from toymodels.shapes.polytopes import polygon, simplex
from toymodels.store import UNCONVERGED
from toymodels.theory.factors import Savings, savings

ORTHOGONAL = 0.1
"""|cos| up to which two features of a large trained model count as orthogonal."""
DEAD = 0.25
"""Norm, as a fraction of the largest, up to which a feature counts as not represented."""
EXAMPLES = 1024
"""That attacks are tried on."""
SAME = 0.1
"""Eigenvalues up to this far apart, relatively, count as one eigenspace."""

PAIRS = 2.15
"""Features per dimension 1/D* up to which a model has not more than pairs, whose rows may be longer than 1."""

PAPER = "Elhage et al. 2022"
SPECTRAL = "Ivanov et al. 2026, arXiv 2602.02224"

# ------------------------------------------------------------------------------------------------------------- the grid


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    return {
        "shelf": _shelf(*((20, 4) if tiny else (400, 30) if full else (100, 10)), scale),
        "widths": _widths(scale),
    }


SPARSITIES = (1, 1.1, 1.2, 1.3, 1.45, 1.6, 1.8, 2, 2.25, 2.5, 2.8, 3.1, 3.5, 4, 4.6, 5.5, 6.6, 8, 11, 14, 20, 30)
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
    inverse = {"tiny": SPARSITIES[::4], "default": SPARSITIES, "full": np.geomspace(1, 100, 60)}[scale]
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


# ------------------------------------------------------------------------------------------------------- what was found


def dimensions(W: np.ndarray) -> np.ndarray:
    """D* of each model, NaN for excluded ones."""
    return per_model(dimensions_per_feature, W)


def factors_of(W: np.ndarray) -> TegumFactors:
    return tegum_factors(W, tol=ORTHOGONAL, dead=DEAD)


@lru_cache(maxsize=4)
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


@cache
def predicted_factors() -> Savings:
    return savings(SHAPES, 1 / np.geomspace(1.05, 30.0, 22))


@lru_cache(maxsize=4)
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


def of_models(shelf: Swept, read: Callable[[np.ndarray], float], unconverged: bool = False) -> np.ndarray:
    """(p, seed) of a number read off W; NaN for excluded models."""
    return per_model(read, shelf.final(unconverged=unconverged).values)


class Attacked(NamedTuple):
    """(p, seed): features per dimension, and two measures of the worst attack."""

    crowding: np.ndarray
    vulnerability: np.ndarray
    increase: np.ndarray

    def lines(self) -> dict[str, LinearRange]:
        """Where vulnerability is straight in features per dimension, up to pairs and with more than pairs."""
        few = spread(self.crowding).mean < PAIRS
        return {
            "up to pairs": linear_range(self.crowding[few], self.vulnerability[few]),
            "beyond pairs": linear_range(self.crowding[~few], self.vulnerability[~few]),
        }


@lru_cache(maxsize=4)
def attacked(shelf: Swept) -> Attacked:
    """Attacks of a tenth of the mean input norm, on the same examples for each p; NaN for excluded models."""
    W, b = shelf.final().values, shelf.final("b").values
    vulnerability, increase = np.full(W.shape[:2], np.nan), np.full(W.shape[:2], np.nan)
    for row, p in enumerate(shelf.data.p.values):
        data = shelf.run(p=p).problem.data
        x = np.asarray(data.sample(jax.random.key(row), EXAMPLES), np.float64)
        for column in np.flatnonzero(np.isfinite(W[row]).all(axis=(1, 2))):
            found = attacks(W[row, column], b[row, column], x)
            vulnerability[row, column], increase[row, column] = found.vulnerability, found.increase
    return Attacked(1 / dimensions(W), vulnerability, increase)


def saturated(W: np.ndarray) -> float:
    return saturation(W).ratio


def localised(W: np.ndarray) -> float:
    """Mean localisation of the features represented."""
    norms = np.linalg.norm(W, axis=1)
    return float(localisation(W, tol=SAME)[norms > DEAD * norms.max()].mean())


# -------------------------------------------------------------------------------------------------------------- figures


def dimensions_per_feature_by_sparsity(shelf: Swept, widths: Swept) -> Figure:
    """Dimensions per feature D* = m / |W|_F^2 against 1/p. a: every seed (dots, open if not converged), the mean of
    the converged (line), and the shelf near 1/2 found by its slope (band): there features come in antipodal pairs.
    b: other widths and powers of the loss, means and ranges over seeds; D* is above 1 where features are shrunk."""
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
    draw.excluded(left, shelf.left_out("open"))
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
    ax.legend(fontsize=6.5, loc="upper right", frameon=True, framealpha=1, edgecolor="none")
    draw.excluded(ax, widths.left_out())


def feature_dimensionalities(shelf: Swept) -> Figure:
    """a: dimensionality D_i = |W_i|^2 / sum_j (Ŵ_i · W_j)^2 of every feature of every seed against 1/p (open if not
    converged), with the values of regular polytopes. b: in all converged models together, factors within 0.01 of each
    value against what the neighbourhood predicts, with the chance of at least as many; one value a factor, since its
    members share theirs."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.8), width_ratios=(1.7, 1))
    W = shelf.final(unconverged=True).values
    D = per_model(feature_dimensionality, W, features=True)
    aside = np.exp(np.linspace(-0.03, 0.03, D.shape[-1]))  # members of a cell side by side
    flagged = shelf.data.status.values[..., None] == UNCONVERGED
    draw.scatter_lines(left, aside / shelf.data.p.values[:, None, None], D, polytope_lines(), flagged)
    left.set(xscale="log", xlabel="$1/p$")
    draw.excluded(left, shelf.left_out("open"))
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


@lru_cache(maxsize=4)
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
    """a: orthogonal factors of trained models against 1/p, by kind: means and ranges over seeds; broad lines, all m
    dimensions filled with the predicted shape. Factors are found at a cosine of 0.1; dropped features are left out. b:
    the prediction, the exact loss that each shape saves per dimension, in units of a dropped feature's loss. Predicted
    tetrahedra and triangles save hardly more than single points, and are not found; where pentagons would save most,
    most models are one irregular factor ("other") instead."""
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


def adversarial_vulnerability(shelf: Swept) -> Figure:
    """a: vulnerability to attacks, and features per dimension 1/D*, against 1/p; means and ranges over seeds. An attack
    changes the input along one row of W Wᵀ by a tenth of the mean input norm; vulnerability is the rise of the loss
    under the worst of them, relative to that of a model without superposition. Purple: the rise relative to the loss of
    the model itself, over its value for the densest features. b: vulnerability against features per dimension, every
    model; lines: the widest straight range up to pairs and beyond, with its fit; grey: equality."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.6), width_ratios=(1.25, 1))
    x, found = 1 / shelf.data.p.values, attacked(shelf)
    means = spread(found.increase).mean
    first = means[np.isfinite(means)][:1]
    curves = {
        "features per dimension $1/D^*$": (found.crowding, draw.ORANGE),
        "vulnerability": (found.vulnerability, draw.BLUE),
        "relative rise, over the densest": (found.increase / (first if first.size else np.nan), draw.PURPLE),
    }
    for label, (values, colour) in curves.items():
        draw.band(left, x, *spread(values), label=label, colour=colour, marker="o").set_markersize(2.2)
    left.set(xscale="log", yscale="log", xlabel="$1/p$", ylabel="ratio")
    left.set_yticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    left.yaxis.set_minor_locator(NullLocator())
    left.legend(loc="upper left", fontsize=6.5)
    right.plot(found.crowding.ravel(), found.vulnerability.ravel(), "o", ms=2.2, mew=0, alpha=0.6, color=draw.BLUE)
    for (name, line), colour in zip(found.lines().items(), (draw.RED, draw.GREEN), strict=True):
        if np.isfinite(line.start):
            ends = np.array([line.start, line.stop])
            label = f"{name}: slope {line.slope.mean:.2f}, $R^2$ = {line.r_squared:.3f}"
            right.plot(ends, line.intercept + line.slope.mean * ends, color=colour, label=label)
            right.legend(loc="lower right", fontsize=6.5)
    right.axline((1, 1), slope=1, color="0.75", lw=0.8, zorder=0)
    right.set(xlabel="features per dimension $1/D^*$", ylabel="vulnerability", xlim=(0, None), ylim=(0, None))
    draw.excluded(right, shelf.left_out())
    draw.panel_labels([left, right])
    return figure


def frame_spectra(shelf: Swept) -> Figure:
    """a: eigenvalues of the frame operator Wᵀ W of every converged model against 1/p; lines: where all dimensions are
    filled with one shape at its best size, broad where that shape saves most loss. b: capacity, the sum of the feature
    dimensionalities over the rank (saturated at 1), and localisation, the mean over represented features of the sum of
    squared weights on eigenspaces (1 in a single one): means and ranges over seeds. Open: random directions of the same
    lengths."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.7))
    W, x = shelf.final().values, 1 / shelf.data.p.values
    predicted = predicted_factors()
    for name, colour in COLOURS.items():
        if name in SHAPES:
            best = np.array([each == name for each in predicted.best])
            left.plot(1 / predicted.p, predicted.eigenvalue[name], color=colour, lw=0.8, ls=(0, (4, 2)), label=name)
            y = np.where(best, predicted.eigenvalue[name], np.nan)
            left.plot(1 / predicted.p, y, color=colour, lw=4, alpha=0.4)
    for row, each in enumerate(W):
        values = np.array([frame_spectrum(w) for w in each if np.isfinite(w).all()]).ravel()
        aside = x[row] * np.exp(np.linspace(-0.025, 0.025, values.size))
        left.plot(aside, values, "o", ms=1.4, mew=0, color="black", alpha=0.5, rasterized=True, zorder=3)
    left.set(xscale="log", yscale="log", xlabel="$1/p$", ylabel="eigenvalues of $W^\\mathsf{T} W$")
    left.yaxis.set_major_formatter(ScalarFormatter())
    left.set_yticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    left.yaxis.set_minor_locator(NullLocator())
    left.legend(fontsize=6.5, loc="upper left")
    draw.excluded(left, shelf.left_out())
    readings = {"capacity over rank": (saturated, draw.BLUE), "localisation": (localised, draw.RED)}
    for label, (read, colour) in readings.items():
        draw.band(right, x, *spread(of_models(shelf, read)), label=label, colour=colour, marker="o")
        null = spread(of_models(shelf, lambda w, read=read: read(random_directions(w))))
        line = draw.band(right, x, *null, label=f"{label}, random", colour=colour, marker="o")
        line.set(markerfacecolor="white", linestyle=":")
    for line in right.lines:
        line.set(markersize=2.4, linewidth=0.9)
    right.set(xscale="log", xlabel="$1/p$", ylabel="share", ylim=(0, 1.05))
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=4, fontsize=6.5)
    draw.panel_labels([left, right])
    return figure


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
        f"{PAPER}: D* is sticky at 1/2",
    )


def sticky_values(shelf: Swept) -> list[Finding]:
    """The ranges of 1/p over which D* stays near 1 and near 1/2; both end where another shape comes to save more."""
    first, last = digons_predicted()
    found = []
    for level, end, until in ((1.0, first, "digons save most loss"), (0.5, last, "pentagons do")):
        at = level_range(-np.log(shelf.data.p.values), dimensions(shelf.final().values).T, level)
        width = np.exp(at.stop.mean - at.start.mean)
        start, stop = (Interval(*np.exp(end)) for end in (at.start, at.stop))
        text = f"{start:.2f} to {stop:.2f}, a factor {width:.2f}; mean D* = {at.value:.3f}"
        what = f"1/p between which D* is within a tenth of {level:g}"
        near = bool(abs(at.stop.mean - np.log(end)) <= np.log(1.25))
        source = f"exact loss of factors; sticky values: {PAPER}"
        found.append(Finding(what, text, f"ends at {end:.2f}, where {until}, within a factor 1.25", near, source))
    return found


def vulnerability_follows_crowding(shelf: Swept) -> list[Finding]:
    found, x = attacked(shelf), 1 / shelf.data.p.values
    rises = {
        "vulnerability, sparsest over densest features": (found.vulnerability, "more than 3"),
        "relative rise of the loss under attack, sparsest over densest": (found.increase, ""),
    }
    answers = []
    for name, line in found.lines().items():
        text = f"slope {line.slope:.2f}, R² = {line.r_squared:.3f} for 1/D* in {line.start:.2f} to {line.stop:.2f}"
        holds = bool(line.slope.low > 0 and line.r_squared >= 0.9)
        what = f"vulnerability against features per dimension 1/D*, {name}"
        answers.append(Finding(what, text, "rising, R² at least .9", holds, f"{PAPER}: vulnerability tracks 1/D*"))
    for what, (values, expected) in rises.items():
        rows = np.flatnonzero(np.isfinite(values).any(axis=1))
        if rows.size < 2:
            answers.append(Finding(what, "no converged model", expected, False if expected else None))
            continue
        ratio = interval(values[rows[-1]] / spread(values[rows[0]]).mean)
        text = f"{ratio:.2f}, 1/p = {x[rows[-1]]:.2f} over {x[rows[0]]:.2f}"
        answers.append(Finding(what, text, expected, bool(ratio.low > 3) if expected else None, PAPER))
    return answers


def capacity_saturates(shelf: Swept) -> list[Finding]:
    """Everywhere, against random directions of the same lengths; and what localisation that comes with."""
    answers = []
    for read, what, least in ((saturated, "sum of D_i over rank W", 0.99), (localised, "localisation", 0.95)):
        values, null = of_models(shelf, read), of_models(shelf, lambda w, read=read: read(random_directions(w)))
        kept = values[np.isfinite(values)]
        if not kept.size:
            return [Finding(what, "no converged model", f"at least {least:g}", False, SPECTRAL)]
        share, random = (kept >= least).mean(), np.nanmean(null)
        text = f"least {kept.min():.4f}, mean {kept.mean():.4f}; random directions {random:.2f}"
        expected = f"at least {least:g} in every model" if read is saturated else f"at least {least:g} on average"
        holds = bool(kept.min() >= least if read is saturated else kept.mean() >= least)
        answers.append(Finding(what, f"{text}; {share:.0%} of models at least {least:g}", expected, holds, SPECTRAL))
    at = int(np.nanargmin(np.abs(spread(dimensions(shelf.final().values)).mean - 0.5)))
    eigenvalues = np.concatenate([frame_spectrum(w) for w in shelf.final().values[at] if np.isfinite(w).all()])
    predicted = predicted_factors()
    known = float(np.interp(-np.log(shelf.data.p.values[at]), -np.log(predicted.p), predicted.eigenvalue["digon"]))
    near = float((np.abs(eigenvalues / known - 1) <= 0.02).mean())
    what = f"eigenvalues of Wᵀ W where D* is nearest 1/2 (1/p = {1 / shelf.data.p.values[at]:.2f})"
    text = f"median {np.median(eigenvalues):.3f}, least {eigenvalues.min():.3f}; {near:.0%} within 2 % of {known:.3f}"
    return [*answers, Finding(what, text, "at least 90 %", bool(near >= 0.9), "exact best size of a digon")]


def pairs_on_the_shelf(shelf: Swept) -> list[Finding]:
    """All m dimensions hold one antipodal pair each where D* is nearest to 1/2, until pentagons save more loss."""
    digons = spread(kind_counts(shelf)["digon"]).mean
    D, m = spread(dimensions(shelf.final().values)).mean, shelf.data.sizes["hidden"]
    x, distance = 1 / shelf.data.p.values, np.abs(D - 0.5)
    if np.isnan(distance).all():
        return [Finding("digons on the shelf", "no converged model", f"m = {m}", False)]
    place = int(np.nanargmin(distance))
    what = f"digons of a model where D* is nearest 1/2 (1/p = {x[place]:.2f}), mean over seeds"
    first, last = (np.exp(crossing(np.log(x), digons - m / 2, place, side)) for side in (-1, 1))
    known_first, known_last = digons_predicted()
    near = bool(1 / 1.25 <= first / known_first <= 1.25 and 1 / 1.25 <= last / known_last <= 1.25)
    return [
        Finding(what, f"{digons[place]:.2f}", f"m = {m} within a tenth", bool(digons[place] > 0.9 * m), PAPER),
        Finding(
            "1/p between which a model has more than m/2 digons",
            f"{first:.2f} to {last:.2f}",
            f"{known_first:.2f} to {known_last:.2f} (digons save most loss) within a factor 1.25",
            near,
            "exact loss of factors",
        ),
    ]


def digons_predicted() -> tuple[float, float]:
    """1/p between which a digon saves more loss per dimension than every other shape."""
    predicted = predicted_factors()
    others = np.max([saving for name, saving in predicted.saving.items() if name != "digon"], axis=0)
    lead = predicted.saving["digon"] - others
    first, last = (crossing(-np.log(predicted.p), lead, int(lead.argmax()), side) for side in (-1, 1))
    return float(np.exp(first)), float(np.exp(last))


def excess_at_polytopes(shelf: Swept) -> list[Finding]:
    excess = polytope_excess(shelf)
    return [
        Finding(
            f"factors within .01 of D = {line:.3f} ({name})",
            f"{observed} (p = {p:.2g})",
            f"{expected:.1f} from the neighbourhood",
            None,
            "local excess over the neighbourhood",
        )
        for name, line, observed, expected, p in zip(*excess, strict=True)
    ]


experiment = Experiment(
    question="Which features does a bottleneck keep, and in what geometry, from dense to sparse?",
    source="Elhage et al. 2022, Toy Models of Superposition; Ivanov et al. 2026, arXiv 2602.02224",
    sweeps=sweeps,
    figures=[
        dimensions_per_feature_by_sparsity,
        feature_dimensionalities,
        factor_counts,
        adversarial_vulnerability,
        frame_spectra,
    ],
    findings=[
        shelf_near_one_half,
        sticky_values,
        pairs_on_the_shelf,
        excess_at_polytopes,
        vulnerability_follows_crowding,
        capacity_saturates,
    ],
    cost="60 sparsities of 16 seeds at n = 400, m = 30, 10,000 steps: 1 to 3 hours on two CPU cores, 3 programs, 96 MB",
)
