"""Intro: five features in two dimensions, from dense to sparse. Elhage et al. 2022, the introduction's figure."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.geometry import (
    TegumFactors,
    tegum_factors,
)
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Scale, Swept
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.models import Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.supervised import Supervised

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
    features matter more. Above each column: the orthogonal factors found; features near the origin are dropped."""
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


experiment = Experiment(
    question="Which of five features does a plane hold, and in what geometry, from dense to sparse?",
    source="Elhage et al. 2022, Toy Models of Superposition, introduction",
    sweeps=sweeps,
    figures=[geometry_by_sparsity],
    findings=[],
)
