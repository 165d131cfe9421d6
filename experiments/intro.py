"""Intro: five features in two dimensions, from dense to sparse. Elhage et al. 2022, the introduction's figure."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.geometry import feature_dimensionality, tegum_factors
from toymodels.analysis.labelled import each_model, exact_losses
from toymodels.data import Sparse
from toymodels.estimates import category_of_best, of_best, share, steps
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtMost, Finding, Increasing, Is, Near, ours, report, stated
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.models import Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.evaluation import importances
from toymodels.problems.supervised import Supervised
from toymodels.theory.superposition import expected_loss, linear_optimum

ORTHOGONAL = 0.1
"""|cos| up to which two features of a trained model count as orthogonal."""
DEAD = 0.25
"""Norm, as a fraction of the largest, up to which a feature counts as not represented."""
PAPER = "Elhage et al. 2022, introduction"

problem = Supervised(Sparse(5), Tied(2), SquaredError(Geometric(0.9)))
arrows = Sweep(
    Run(problem, Adam(Cosine(1e-2)), steps=4000, record=Record(60, 2)),
    [Axis("p", "problem.data.p", (20 ** -np.linspace(0, 1, 10)).tolist()), Axis("seed", "seed", range(8))],
)
tiny = {"seed": range(4), "steps": 400, "p": (20 ** -np.linspace(0, 1, 4)).tolist()}


# ------------------------------------------------------------------------------------------------------------- readings
def models(arrows: Swept) -> xr.Dataset:
    """Of every model: its exact loss, and its excess over the best linear one; the features it keeps; its geometry."""
    W, b = (arrows.final(name, unconverged=True) for name in ("W", "b"))
    weights = xr.DataArray(importances(arrows.sweep.base.problem), dims="feature")
    loss, length = exact_losses(expected_loss, W, b, W.p, weights), np.sqrt((W**2).sum("hidden"))
    linear = [float(linear_optimum(W.sizes["hidden"], p, weights.values).loss) for p in W.p.values.tolist()]
    kept = length > DEAD * length.max("feature")
    return xr.Dataset(
        {
            "loss": loss,
            "over_linear": loss / xr.DataArray(linear, dims="p") - 1,
            "number": kept.sum("feature"),
            "kept": each_model(_kept, W),
            "cosine": abs(each_model(_cosine_of_first_two, W)),
            "geometry": each_model(_geometry, W),
            "off_pentagon": abs(each_model(feature_dimensionality, W, outputs=["feature"]) - 2 / 5).max("feature"),
        }
    )


def _kept(W: np.ndarray) -> str:
    length = np.linalg.norm(W, axis=1)
    return ", ".join(str(place + 1) for place in np.flatnonzero(length > DEAD * length.max()))


def _geometry(W: np.ndarray) -> str:
    return tegum_factors(W, tol=ORTHOGONAL, dead=DEAD).name


def _cosine_of_first_two(W: np.ndarray) -> float:
    return float(W[0] @ W[1] / np.prod(np.linalg.norm(W[:2], axis=1)))


# -------------------------------------------------------------------------------------------------------------- figures
def geometry_by_sparsity(arrows: Swept) -> Figure:
    """Rows of W, one color a feature, inside the unit circle (top), and W Wᵀ with the biases b beside it (bottom): the
    best of all seeds by the final objective, from dense features on the left to sparse ones on the right. Earlier
    features matter more: in this order blue, red, green, orange, pink. Above each column: the geometry found, a square
    being two orthogonal digons; features near the origin are dropped."""
    p = arrows.data.p.values
    chosen = p[np.linspace(0, p.size - 1, min(5, p.size)).round().astype(int)]
    figure, axes = draw.panels(2, len(chosen), height=3.1, letters=False)
    cells = [arrows.best(p=p) for p in chosen]
    for ax, p, cell in zip(axes[0], chosen, cells, strict=True):
        draw.arrows(ax, cell.W.values, reach=1.35)
        ax.set_title(f"$p={p:.2g}$\n{_geometry(cell.W.values)}", fontsize=7)
    mesh = draw.matrices(
        axes[1], [cell.W.values @ cell.W.values.T for cell in cells], [cell.b.values for cell in cells]
    )
    draw.colour_bar(figure, mesh, axes[1], "$W W^\\mathsf{T}$, $b$")
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def from_two_features_to_five(models: xr.Dataset) -> Iterator[Finding]:
    """The best models keep the two most important features when dense, and all five, in a pentagon, when sparse."""
    dense, sparse, best = models.isel(p=0), models.isel(p=-1), f"best of {models.sizes['seed']}"
    first, last = f"p = {float(dense.p):g}", f"p = {float(sparse.p):.2g}"
    yield Finding(
        "kept-when-dense",
        f"features that the {best} keeps at {first}",
        category_of_best(dense.kept, dense.loss),
        Is("1, 2"),
        stated(f"{PAPER}: the two most important"),
        "best of k",
    )
    yield Finding(
        "orthogonal-when-dense",
        f"|cos| between the first two features, {best} at {first}",
        of_best(dense.cosine, dense.loss),
        AtMost(0.01),
        ours("limit; the paper draws them orthogonal"),
        "best of k",
    )
    yield Finding(
        "linear-when-dense",
        f"exact loss over that of the best linear model, minus 1, {best} at {first}",
        of_best(dense.over_linear, dense.loss),
        Near(0, within=1e-3),
        ours("closed form, the importances of the others times p/3 - p^2/4; tolerance"),
        "best of k",
        digits=".1e",
    )
    yield Finding(
        "number-kept",
        "features kept, mean over seeds",
        steps(models.number, "p"),
        Increasing(slack=0.5),
        ours(f"slack; {PAPER}: more features, the sparser they are"),
        digits=".1f",
    )
    yield Finding(
        "geometry-when-sparse",
        f"geometry of the {best} at {last}",
        category_of_best(sparse.geometry, sparse.loss),
        Is("pentagon"),
        stated(PAPER),
        "best of k",
    )
    yield Finding(
        "pentagon-dimensionality",
        f"largest |D_i - 2/5| of the {best} at {last}",
        of_best(sparse.off_pentagon, sparse.loss),
        AtMost(0.02),
        ours("2/5 in a regular pentagon; limit"),
        "best of k",
        revised="was .01 for the one best model; the interval now covers the models that may be best on other seeds",
    )
    for name, cells, kept in (("dense", dense, "1, 2"), ("sparse", sparse, "1, 2, 3, 4, 5")):
        where = f"seeds that keep features {kept} and no other at p = {float(cells.p):.2g}"
        yield report(f"seeds-as-best-when-{name}", where, share(cells.kept == kept))


experiment = Experiment(
    question="Which of five features does a plane hold, and in what geometry, from dense to sparse?",
    source="Elhage et al. 2022, Toy Models of Superposition, introduction",
    sweeps={"arrows": arrows},
    scales={"tiny": tiny},
    readings=[models],
    figures=[geometry_by_sparsity],
    findings=[from_two_features_to_five],
)
