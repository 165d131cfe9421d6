"""Intro: five features in two dimensions, from dense to sparse. Elhage et al. 2022, the introduction's figure."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis import restarts
from toymodels.analysis.geometry import TegumFactors, feature_dimensionality, tegum_factors
from toymodels.analysis.statistics import interval, proportion
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.models import Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.evaluation import importances
from toymodels.problems.supervised import Supervised
from toymodels.theory.superposition import expected_loss, linear_optimum

ORTHOGONAL = 0.1
"""|cos| up to which two features of a large trained model count as orthogonal."""

DEAD = 0.25
"""Norm, as a fraction of the largest, up to which a feature counts as not represented."""


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny = scale == "tiny"
    return {
        "arrows": _arrows(seeds=4 if tiny else 8, steps=400 if tiny else 4000, count=4 if tiny else 10),
    }


def _arrows(seeds: int, steps: int, count: int) -> Sweep:
    problem = Supervised(Sparse(5), Tied(2), SquaredError(Geometric(0.9)))
    base = Run(problem, Adam(Cosine(1e-2)), steps=steps, record=Record(60, 2))
    p = (20 ** -np.linspace(0, 1, count)).tolist()
    return Sweep(base, [Axis("p", "problem.data.p", p), Axis("seed", "seed", range(seeds))])


def factors_of(W: np.ndarray) -> TegumFactors:
    return tegum_factors(W, tol=ORTHOGONAL, dead=DEAD)


def geometry_by_sparsity(arrows: Swept) -> Figure:
    """Rows of W, one colour a feature, inside the unit circle (top), and W Wᵀ with the biases b beside it (bottom): the
    best of all seeds by the final objective, from dense features on the left to sparse ones on the right. Earlier
    features matter more: in this order blue, red, green, orange, purple. Above each column: the geometry found, a
    square being two orthogonal digons; features near the origin are dropped."""
    p = arrows.data.p.values
    chosen = p[np.linspace(0, p.size - 1, min(5, p.size)).round().astype(int)]
    figure, axes = plt.subplots(2, len(chosen), figsize=(draw.PAGE, 3.1), squeeze=False)
    for column, p in enumerate(chosen):
        cell = arrows.best(p=p)
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


# ------------------------------------------------------------------------------------------------------------- findings


def exact_losses(arrows: Swept) -> np.ndarray:
    """(p, seed): the exact loss of every model."""
    importance, p = importances(arrows.sweep.base.problem), arrows.data.p.values[:, None, None]
    return restarts.finite_losses(expected_loss, *arrows.weights("p", "seed"), p, importance)


def from_two_features_to_five(arrows: Swept) -> list[Finding]:
    """The best models: the two most important features when dense, all five in a pentagon when sparse."""
    p, loss = arrows.data.p.values, exact_losses(arrows)
    W, _ = arrows.weights("p", "seed")
    length = np.linalg.norm(W, axis=-1)
    kept = length > DEAD * length.max(-1, keepdims=True)
    best = restarts.best(loss)
    dense, sparse = W[0, best[0]], W[-1, best[-1]]
    first_two = (kept[0] == [True, True, False, False, False]).all(-1)
    share, of_best = proportion(int(first_two.sum()), len(first_two)), kept.sum(-1)[np.arange(len(p)), best]
    number, seeds = interval(kept.sum(-1), axis=-1), loss.shape[1]
    linear = float(linear_optimum(2, float(p[0]), importances(arrows.sweep.base.problem)).loss)
    return [
        Finding(
            f"best of {seeds} at p = {p[0]:g}: the two most important features and no other, orthogonal",
            f"{bool(first_two[best[0]])}, cosine {_cosine(dense[:2]):.3f}; of seeds {share:.2f}",
            "True, cosine 0 within .01",
            bool(first_two[best[0]] and abs(_cosine(dense[:2])) <= 0.01),
            "Elhage et al. 2022, introduction",
        ),
        Finding(
            f"best of {seeds} at p = {p[0]:g}: exact loss over the best linear loss, minus 1",
            f"{loss[0, best[0]] / linear - 1:.1e}",
            "0 within .001",
            bool(abs(loss[0, best[0]] / linear - 1) <= 1e-3),
            "closed form: the importances of the others times p/3 - p^2/4",
        ),
        Finding(
            f"features kept by the best of {seeds}, p = {p[0]:.2g} to {p[-1]:.2g}",
            f"{', '.join(map(str, of_best))}; mean of seeds {number:.1f}",
            "2 at the first, 5 at the last, never fewer at smaller p",
            bool(of_best[0] == 2 and of_best[-1] == 5 and (np.diff(of_best) >= 0).all()),
            "Elhage et al. 2022, introduction",
        ),
        Finding(
            f"best of {seeds} at p = {p[-1]:.2g}: geometry, D_i",
            f"{factors_of(sparse).name}, {', '.join(f'{d:.3f}' for d in feature_dimensionality(sparse))}",
            "pentagon, 2/5 within .01",
            bool(np.abs(feature_dimensionality(sparse) - 0.4).max() <= 0.01),
            "Elhage et al. 2022, introduction",
        ),
    ]


def _cosine(rows: np.ndarray) -> float:
    return float(rows[0] @ rows[1] / np.prod(np.linalg.norm(rows, axis=1)))


experiment = Experiment(
    question="Which of five features does a plane hold, and in what geometry, from dense to sparse?",
    source="Elhage et al. 2022, Toy Models of Superposition, introduction",
    sweeps=sweeps,
    figures=[geometry_by_sparsity],
    findings=[from_two_features_to_five],
)
