"""Phase diagram: which of a few features does a bottleneck keep, at what density and importance? Elhage et al. 2022."""

from functools import cache
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.losses import SquaredError
from toymodels.models import Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.supervised import Supervised
from toymodels.theory import superposition as theory

MARGIN = 0.02
"""Relative gap of the two best branches from which a cell of the phase diagram has a clear winner."""


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    return {
        "phases": _phases(size=4 if tiny else 50 if full else 11, seeds=4 if tiny else 10, steps=400 if tiny else 2500),
    }


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
    axes[2].set(title="excess loss, best seed", xlabel="relative importance", ylim=draw.edges(p, log=True)[[0, -1]])
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
    x, y = draw.edges(ratio, log=True), draw.edges(p, log=True)
    ax.pcolormesh(x, y, values, cmap=colours, norm=norm, rasterized=True)
    for dash, (importance, probability) in lines.items():
        known = np.isfinite(importance)
        there, back = importance[known], 1 / importance[known][::-1]
        ax.plot([*there, *back], [*probability[known], *probability[known][::-1]], dash, color="black", lw=0.9)
    ax.set(xscale="log", yscale="log", xlabel="relative importance")
    ax.set(xlim=x[[0, -1]], ylim=y[[0, -1]])


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


experiment = Experiment(
    question="At what density and importance is a feature dropped, given a dimension, or put in superposition?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 4",
    sweeps=sweeps,
    figures=[phase_diagram],
    findings=[exact_optimum],
)
