"""Basic results: which of many features does a bottleneck represent, linear and with ReLU, from dense to sparse?"""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.geometry import interference
from toymodels.analysis.restarts import finite_losses
from toymodels.analysis.statistics import interval, proportion
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.models import Identity, Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.evaluation import importances
from toymodels.problems.supervised import Supervised
from toymodels.theory.superposition import linear_loss, linear_optimum

REPRESENTED = 0.5
"""Length from which a feature counts as represented."""
DENSITIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
PAPER = "Elhage et al. 2022, section 2"


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    steps, seeds = 300 if tiny else 10_000 if full else 4000, 2 if tiny else 8
    p = DENSITIES[::3] if tiny else DENSITIES

    def grid(n: int, m: int, decay: float, linear: bool) -> Sweep:
        model = Tied(m, output=Identity()) if linear else Tied(m)
        problem = Supervised(Sparse(n), model, SquaredError(Geometric(decay)))
        base = Run(problem, Adam(Cosine(1e-2)), steps=steps, record=Record(12, 2, examples=2048 if tiny else 32_768))
        return Sweep(base, [Axis("p", "problem.data.p", [0.1] if linear else p), Axis("seed", "seed", range(seeds))])

    return {
        "small": grid(20, 5, 0.7, False),
        "small_linear": grid(20, 5, 0.7, True),
        "big": grid(80, 20, 0.9, False),
        "big_linear": grid(80, 20, 0.9, True),
    }


def represented(W: np.ndarray) -> np.ndarray:
    return np.linalg.norm(W, axis=-1) > REPRESENTED


# -------------------------------------------------------------------------------------------------------------- figures


def small_model(small: Swept, small_linear: Swept) -> Figure:
    """W Wᵀ with the biases b beside it (top) and the length of each feature's direction, coloured by how much others
    lie on it, sum over j of (Ŵ_i · W_j)² (bottom): the linear model, then the ReLU model from dense to sparse features.
    The first feature, on top, matters most. Best of all seeds by the final objective."""
    return _models(small, small_linear)


def big_model(big: Swept, big_linear: Swept) -> Figure:
    """As `small_model`, with 80 features in 20 dimensions: W Wᵀ with the biases b beside it (top), and the length of
    each feature's direction, coloured by how much others lie on it, sum over j of (Ŵ_i · W_j)² (bottom). Best of all
    seeds by the final objective."""
    return _models(big, big_linear)


def _models(relu: Swept, linear: Swept) -> Figure:
    cells = [("linear", linear.best(p=linear.data.p.values[0]))]
    cells += [(f"$p={p:g}$", relu.best(p=p)) for p in relu.data.p.values]
    figure, axes = plt.subplots(2, len(cells), figsize=(draw.PAGE, 2.7), height_ratios=(1, 1.5))
    colours = ScalarMappable(Normalize(0, 1), "viridis")
    for (title, cell), (top, bottom) in zip(cells, axes.T, strict=True):
        mesh = draw.gram(top, cell.W.values, bar=False)
        mesh.set_clim(-1.2, 1.2)
        draw.bias(top, cell.b.values, 1.2, label="")
        top.set(xticks=[], yticks=[], xlabel="", ylabel="")
        top.set_title(title, fontsize=7)
        _lengths(bottom, cell.W.values.astype(np.float64), colours)
    for ax in axes[1, 1:]:
        ax.set_yticklabels([])
    axes[0, 0].set_ylabel("$W W^\\mathsf{T}$, $b$")
    axes[1, 0].set_ylabel("feature")
    figure.supxlabel("$|W_i|$", fontsize=8)
    figure.colorbar(mesh, ax=axes[0], aspect=10, pad=0.02, extend="both")
    figure.colorbar(colours, ax=axes[1], aspect=14, pad=0.02, label="superposition", extend="max")
    return figure


def _lengths(ax: Axes, W: np.ndarray, colours: ScalarMappable) -> None:
    ax.barh(np.arange(len(W)), np.linalg.norm(W, axis=1), 1.0, color=colours.to_rgba(interference(W)))
    ax.set(xlim=(0, 1.45), ylim=(len(W) - 0.5, -0.5), xticks=[0, 1])
    ax.axvline(1, color="0.6", lw=0.5, ls=":")


def features_represented(small: Swept, big: Swept) -> Figure:
    """a: features represented, |W_i| > 1/2, in units of the hidden dimensions; b: the loss over that of the best linear
    model, in closed form; against 1/p: means and 95 % bootstrap intervals over seeds."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.4))
    for swept, colour, marker in ((small, draw.BLUE, "o"), (big, draw.ORANGE, "s")):
        x, m, n = 1 / swept.data.p.values, swept.data.sizes["hidden"], swept.data.sizes["feature"]
        label = f"$n={n}$, $m={m}$"
        for ax, values in ((left, represented(swept.final().values).sum(-1) / m), (right, over_linear(swept))):
            mean, low, high = interval(values, axis=-1)
            draw.band(ax, x, low, mean, high, label=label, colour=colour, marker=marker)
    left.set(xscale="log", xlabel="$1/p$", ylabel="features represented / $m$", ylim=(0, None))
    right.set(xscale="log", xlabel="$1/p$", ylabel="loss / best linear", ylim=(0, 1.1))
    draw.levels(left, [1], ["$m$"])
    draw.levels(right, [1])
    right.legend()
    draw.panel_labels([left, right])
    return figure


def over_linear(relu: Swept) -> np.ndarray:
    """(p, seed): final loss over the exact optimum of linear models."""
    m, final = relu.data.sizes["hidden"], relu.data.objective.isel(step=-1).transpose("p", "seed").values
    best = [float(linear_optimum(m, float(p), importances(relu.sweep.base.problem)).loss) for p in relu.data.p.values]
    return final / np.array(best)[:, None]


# ------------------------------------------------------------------------------------------------------------- findings


def linear_is_principal_components(small_linear: Swept) -> list[Finding]:
    """The linear model keeps the m most important features whole and nothing else."""
    p, m = float(small_linear.data.p.values[0]), small_linear.data.sizes["hidden"]
    W, b = (small_linear.final(name, unconverged=True).values[0] for name in ("W", "b"))
    weights, seeds = importances(small_linear.sweep.base.problem), len(W)
    best = float(linear_optimum(m, p, weights).loss)
    excess = finite_losses(linear_loss, W, b, p, weights) / best - 1
    first = np.arange(W.shape[1]) < m
    right = proportion(int((represented(W) == first).all(-1).sum()), seeds)
    return [
        Finding(
            f"linear model, {seeds} seeds: excess over the best linear loss",
            f"median {np.nanmedian(excess):.1e}, largest {np.nanmax(excess):.1e}",
            "at most .01",
            bool(np.nanmax(excess) <= 0.01),
            "closed form: v times the other importances",
        ),
        Finding(
            f"linear model: seeds that represent the {m} most important features and no other",
            f"{right:.2f}",
            "all",
            right.mean == 1,
            PAPER,
        ),
    ]


def sparsity_brings_superposition(small: Swept) -> list[Finding]:
    """More features are represented the sparser they are; dense ones as by the linear model."""
    counts, m = represented(small.final(unconverged=True).values).sum(-1), small.data.sizes["hidden"]
    p, number, ratio = small.data.p.values, interval(counts, axis=-1), interval(over_linear(small), axis=-1)
    mean, low, high = (np.asarray(end) for end in number)
    sparse = p <= 0.1
    return [
        Finding("features represented at p = 1", f"{mean[0]:.1f}", f"m = {m}", bool((counts[0] == m).all()), PAPER),
        Finding(
            f"features represented at p = {', '.join(f'{q:g}' for q in p)}",
            f"{number:.1f}",
            "never fewer at smaller p, beyond the intervals",
            bool((high[1:] >= low[:-1]).all()),
            PAPER,
        ),
        Finding(
            "features represented at the sparsest p",
            f"{number.at(-1):.1f}",
            f"more than m = {m}",
            bool(low[-1] > m),
            PAPER,
        ),
        Finding(
            "loss over that of the best linear model",
            "; ".join(f"{ratio.at(i):.2f} at {q:g}" for i, q in enumerate(p)),
            "within 1 % at p = 1; below 1 for p <= .1",
            bool(abs(ratio.mean[0] - 1) < 0.01 and np.all(np.asarray(ratio.high)[sparse] < 1)),
            "closed form; " + PAPER,
        ),
    ]


def big_model_too(big: Swept, big_linear: Swept) -> list[Finding]:
    """The same numbers of the large model."""
    found = [*linear_is_principal_components(big_linear), *sparsity_brings_superposition(big)]
    return [each._replace(what=f"n = 80: {each.what}") for each in found]


experiment = Experiment(
    question="Which of many features does a bottleneck represent, linear and with ReLU, from dense to sparse?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 2",
    sweeps=sweeps,
    figures=[small_model, big_model, features_represented],
    findings=[linear_is_principal_components, sparsity_brings_superposition, big_model_too],
    cost="10,000 steps: about two minutes on two CPU cores",
)
