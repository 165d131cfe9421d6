"""Losses and models: what a bottleneck keeps under other losses, and in other models. Elhage et al. 2022.

Twenty features in five dimensions, dense and sparse. A linear model keeps as many features as it has dimensions,
whatever the sparsity; with a ReLU at the output sparse features are superposed, whatever the loss.
"""

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis.statistics import interval
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.laws import Geometric
from toymodels.losses import BinaryCrossEntropy, PowerError
from toymodels.models import Identity, Relu, Tied, Untied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.evaluation import importances
from toymodels.problems.supervised import Supervised
from toymodels.theory import superposition as theory

RATIO = 0.7
"""Importance of a feature over that of the one before it, where features are weighted."""

DEAD = 0.25
"""Gain of an output on its own feature alone, W_i . hidden(encoder_i), as a fraction of the largest, up to which the
feature counts as not represented: lengths of rows mean nothing where encoder and decoder differ, or neurons saturate.
"""

PAPER = "Elhage et al. 2022"


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny = scale == "tiny"
    return {"losses": _losses({"tiny": 200, "default": 2000, "full": 10_000}[scale], few=tiny)}


def _losses(steps: int, few: bool) -> Sweep:
    equal, decaying = Geometric(1.0), Geometric(RATIO)
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
        kinds = {kind: kinds[kind] for kind in ("squared", "linear")}
    problem = Supervised(Sparse(20), Tied(5))
    base = Run(problem, Adam(Cosine(1e-2)), steps=steps, batch=512, record=Record(40, 2, examples=1024))
    return Sweep(
        base, [Choice("kind", kinds), Axis("p", "problem.data.p", [0.3, 0.03]), Axis("seed", "seed", range(8))]
    )


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


def kept(losses: Swept, kind: str, p: float) -> np.ndarray:
    """Features represented by each usable seed."""
    W = losses.final().sel(kind=kind, p=p).transpose("seed", "feature", "hidden").values
    encoder = np.maximum(W, 0) if kind == "ReLU hidden" else W  # features are positive
    if kind == "untied":
        encoder = losses.final("encoder").sel(kind=kind, p=p).transpose("seed", "feature", "hidden").values
    gain = (W * encoder).sum(axis=2)
    gain = gain[np.isfinite(gain).all(axis=1)]
    return (gain > DEAD * gain.max(axis=1, keepdims=True)).sum(axis=1)


def features_represented(losses: Swept) -> list[Finding]:
    """How many features each loss and model represents; a linear one as many as it has dimensions, at every p."""
    m, found = losses.data.sizes["hidden"], []
    for kind in losses.data.kind.values:
        counts = [kept(losses, kind, p) for p in losses.data.p.values]
        means = [interval(count) for count in counts]
        text = "; ".join(f"{mean:.1f} at p = {p:g}" for mean, p in zip(means, losses.data.p.values, strict=True))
        what = f"{kind}: features represented in m = {m}, mean over seeds"
        if kind == "linear":
            all_m = bool(all(len(count) and (count == m).all() for count in counts))
            found.append(Finding(what, text, f"{m} in every seed", all_m, "Eckart-Young"))
        else:
            more = bool(means[-1].low > m)
            found.append(Finding(what, text, f"more than {m} at the smallest p", more, f"{PAPER}, ReLU output models"))
    return found


def linear_models_reach_their_optimum(losses: Swept) -> list[Finding]:
    """The exact expected loss of the best linear model of all seeds, against the tail of I_i Var x_i."""
    found = []
    for p in losses.data.p.values:
        cell = losses.best(kind="linear", p=p)
        W, b = (cell[name].values.astype(np.float64) for name in ("W", "b"))
        importance = importances(losses.run(kind="linear", p=p).problem)
        reached = theory.linear_loss(W, b, p, importance)
        least = float(theory.linear_optimum(W.shape[1], p, importance).loss)
        what = f"linear, p = {p:g}, best of {losses.data.seed.size} seeds: exact loss"
        near = bool(reached <= 1.01 * least)
        found.append(Finding(what, f"{reached:.5f}", f"{least:.5f} within 1 %", near, "sum of the tail of I_i Var x_i"))
    return found


experiment = Experiment(
    question="What does a bottleneck keep under other losses, and in other models?",
    source="Elhage et al. 2022, Toy Models of Superposition, sections 2 and 3",
    sweeps=sweeps,
    figures=[losses_and_models],
    findings=[features_represented, linear_models_reach_their_optimum],
    cost="112 models of 10,000 steps: a minute or two on two CPU cores, 5 programs",
)
