"""Intro: five features in two dimensions, from dense to sparse. Elhage et al. 2022, the introduction's figure."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Cosine, Geometric, Record, Run, Sparse, SquaredError, Supervised, Sweep, Tied, draw
from toymodels.analysis.geometry import feature_dimensionality, tegum_factors
from toymodels.analysis.labelled import each_model, exact_losses
from toymodels.estimates import category_of_best, of_best, share, steps
from toymodels.experiment import Experiment, Swept, require
from toymodels.findings import AtMost, Finding, Increasing, Is, Near, ours, report, stated
from toymodels.problems.evaluation import importances
from toymodels.theory.superposition import expected_loss, linear_optimum

ORTHOGONAL, DEAD = 0.1, 0.25
"""|cos| up to which two features of a trained model count as orthogonal; norm, as a fraction of the largest, up to
which one counts as not represented."""
PAPER = "Elhage et al. 2022, introduction"
WORDS = {1: "one", 2: "two", 3: "three", 4: "four"}

problem = Supervised(Sparse(5), Tied(2), SquaredError(Geometric(0.9)))
arrows = Sweep(
    Run(problem, Adam(Cosine(1e-2)), steps=4000, record=Record(60, 30)),
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
    found = {"loss": loss, "over_linear": loss / xr.DataArray(linear, dims="p") - 1, "number": kept.sum("feature")}
    size = {"n": W.sizes["feature"], "m": W.sizes["hidden"]}
    found |= {"kept": each_model(_kept, W), "cosine": abs(each_model(_cosine_of_first_two, W))}
    D = each_model(feature_dimensionality, W, outputs=["feature"])
    return xr.Dataset(
        found | {"geometry": each_model(_geometry, W), "off_pentagon": abs(D - 2 / 5).max("feature")}, attrs=size
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
    """Rows of W, one colour a feature, with the unit circle (top), and W Wᵀ with the biases b beside it (bottom): the
    best of all seeds by the final objective, from dense features on the left to sparse ones on the right. Earlier
    features matter more. Above each column: the geometry found, a square being two orthogonal digons; features near the
    origin are dropped."""
    p = arrows.data.p.values
    chosen = p[np.linspace(0, p.size - 1, min(5, p.size)).round().astype(int)]
    figure, axes = draw.panels(2, len(chosen), height=3.1, letters=False, squeeze=False)
    cells = [arrows.best(p=p) for p in chosen]
    for ax, p, cell in zip(axes[0], chosen, cells, strict=True):
        draw.arrows(ax, cell.W.values, reach=1.35)
        ax.axis("off")
        ax.set_title(f"$p={p:.2g}$\n{_geometry(cell.W.values)}", fontsize=7)
    products, biases = [cell.W.values @ cell.W.values.T for cell in cells], [cell.b.values for cell in cells]
    mesh = draw.matrices(axes[1], products, biases)
    draw.colour_bar(figure, mesh, axes[1], "$W W^\\mathsf{T}$, $b$")
    keys = {f"feature {place + 1}": draw.key("-", f"C{place}", lw=1.2) for place in range(len(biases[0]))}
    draw.legend_below(figure, axes[0], keys | {"unit circle": draw.key("-", "0.85")}, columns=6)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def from_two_features_to_five(models: xr.Dataset) -> Iterator[Finding]:
    """The best models keep the m most important features when dense, and more the sparser they are."""
    n, m = models.attrs["n"], models.attrs["m"]
    first_ones, all_of_them = (", ".join(str(place + 1) for place in range(count)) for count in (m, n))
    dense, sparse, best = models.isel(p=0), models.isel(p=-1), f"best of {models.sizes['seed']}"
    first = f"{best} at p = {float(dense.p):g}"
    what, kept = f"features that the {first} keeps", category_of_best(dense.kept, dense.loss)
    yield Finding(
        "kept-when-dense",
        what,
        kept,
        Is(first_ones),
        stated(f"{PAPER}: the {WORDS.get(m, m)} most important"),
        "best of k",
    )
    what, cosine = f"|cos| between the first two features, {first}", of_best(dense.cosine, dense.loss)
    source = ours("limit; the paper draws them orthogonal")
    yield Finding("orthogonal-when-dense", what, cosine, AtMost(0.01), source, "best of k")
    over = of_best(dense.over_linear, dense.loss)
    what = f"exact loss over that of the best linear model, minus 1, {first}"
    source = ours("closed form, the importances of the others times p/3 - p^2/4; tolerance")
    yield Finding("linear-when-dense", what, over, Near(0, within=1e-3), source, "best of k", digits=".1e")
    number, source = steps(models.number, "p"), ours(f"slack; {PAPER}: more features, the sparser they are")
    yield Finding("number-kept", "features kept, mean over seeds", number, Increasing(slack=0.5), source, digits=".1f")
    for name, cells, kept in (("dense", dense, first_ones), ("sparse", sparse, all_of_them)):
        where = f"seeds that keep features {kept} and no other at p = {float(cells.p):.2g}"
        yield report(f"seeds-as-best-when-{name}", where, share(cells.kept == kept))


def pentagon_when_sparse(models: xr.Dataset) -> Iterator[Finding]:
    """Five sparse features in a plane are a regular pentagon."""
    require((models.attrs["n"], models.attrs["m"]) == (5, 2), "it is made for five features in a plane")
    sparse = models.isel(p=-1)
    last = f"best of {models.sizes['seed']} at p = {float(sparse.p):.2g}"
    geometry, what = category_of_best(sparse.geometry, sparse.loss), f"geometry of the {last}"
    yield Finding("geometry-when-sparse", what, geometry, Is("pentagon"), stated(PAPER), "best of k")
    what, off = f"largest |D_i - 2/5| of the {last}", of_best(sparse.off_pentagon, sparse.loss)
    was = "was .01 for the one best model; the interval now covers the models that may be best on other seeds"
    source = ours("2/5 in a regular pentagon; limit")
    yield Finding("pentagon-dimensionality", what, off, AtMost(0.02), source, "best of k", revised=was)


experiment = Experiment(
    question="Which of five features does a plane hold, and in what geometry, from dense to sparse?",
    source="Elhage et al. 2022, Toy Models of Superposition, introduction",
    sweeps={"arrows": arrows},
    scales={"tiny": tiny},
    readings=[models],
    figures=[geometry_by_sparsity],
    findings=[from_two_features_to_five, pentagon_when_sparse],
)
