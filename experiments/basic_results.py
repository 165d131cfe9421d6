"""Basic results: which of many features does a bottleneck represent, linear and with ReLU, from dense to sparse?"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.geometry import interference
from toymodels.analysis.labelled import exact_losses
from toymodels.analysis.statistics import interval
from toymodels.data import Sparse
from toymodels.estimates import mean, share, steps
from toymodels.experiment import Experiment, Swept
from toymodels.findings import Above, AtLeast, AtMost, Below, Finding, Increasing, Near, ours, report, stated
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.models import Identity, Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.evaluation import importances
from toymodels.problems.supervised import Supervised
from toymodels.theory.linear import linear_loss, linear_optimum

REPRESENTED = 0.5
"""Length from which a feature counts as represented."""
ALL = 0.6
"""Share of seeds that stands for all of them: eight of eight show .68 or more."""
DENSITIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
PAPER = "Elhage et al. 2022, section 2"


def grid(n: int, model: Tied, ratio: float, p: tuple[float, ...]) -> Sweep:
    problem = Supervised(Sparse(n), model, SquaredError(Geometric(ratio)))
    base = Run(problem, Adam(Cosine(1e-2)), steps=4000, record=Record(12, 2, examples=32_768))
    return Sweep(base, [Axis("p", "problem.data.p", p), Axis("seed", "seed", range(8))])


sweeps = {
    "small": grid(20, Tied(5), 0.7, DENSITIES),
    "small_linear": grid(20, Tied(5, output=Identity()), 0.7, (0.1,)),
    "big": grid(80, Tied(20), 0.9, DENSITIES),
    "big_linear": grid(80, Tied(20, output=Identity()), 0.9, (0.1,)),
}
tiny = {"steps": 300, "seed": range(2), "record.examples": 2048, "small.p": DENSITIES[::3], "big.p": DENSITIES[::3]}


# ------------------------------------------------------------------------------------------------------------- readings


def relu(small: Swept, big: Swept) -> xr.Dataset:
    """Of every ReLU model: features represented, and its loss over that of the best linear model; by n."""
    found = []
    for swept in (small, big):
        W, weights = swept.final(unconverged=True), importances(swept.sweep.base.problem)
        best = [float(linear_optimum(W.sizes["hidden"], p, weights).loss) for p in W.p.values.tolist()]
        ratio = swept.data.objective.isel(step=-1, drop=True).astype(float) / xr.DataArray(best, dims="p")
        kept = np.sqrt((W**2).sum("hidden")) > REPRESENTED
        number = kept.sum("feature").where(W.notnull().all(["feature", "hidden"]))
        found.append(xr.Dataset({"number": number, "over_linear": ratio, "m": W.sizes["hidden"]}, {"n": weights.size}))
    return xr.concat(found, "n")


def linear(small_linear: Swept, big_linear: Swept) -> xr.Dataset:
    """Of every linear model: its exact loss over the least one, minus 1, and whether it keeps the first m features."""
    found = []
    for swept in (small_linear, big_linear):
        W, b = (swept.final(name, unconverged=True).isel(p=0) for name in ("W", "b"))
        weights, m, p = importances(swept.sweep.base.problem), W.sizes["hidden"], float(W.p)
        loss = exact_losses(partial(linear_loss, p=p, importance=weights), W, b)
        excess = loss / float(linear_optimum(m, p, weights).loss) - 1
        kept = np.sqrt((W**2).sum("hidden")) > REPRESENTED
        first = (kept == xr.DataArray(np.arange(weights.size) < m, dims="feature")).all("feature")
        found.append(xr.Dataset({"excess": excess, "first": first, "m": m}, {"n": weights.size}))
    return xr.concat(found, "n")


# -------------------------------------------------------------------------------------------------------------- figures


def small_model(small: Swept, small_linear: Swept) -> Figure:
    """W Wᵀ with the biases b beside it (top) and the length of each feature's direction, coloured by how much others
    lie on it, sum over j of (Ŵ_i · W_j)² (bottom): the linear model, then the ReLU model from dense to sparse features.
    The first feature, on top, matters most. Dotted: length 1. Best of all seeds by the final objective."""
    return _models(small, small_linear, columns=8, height=2.7)


def big_model(big: Swept, big_linear: Swept) -> Figure:
    """As `small_model`, with 80 features in 20 dimensions: W Wᵀ with the biases b beside it, and below it the length of
    each feature's direction, coloured by how much others lie on it, sum over j of (Ŵ_i · W_j)². Dotted: length 1. Best
    of all seeds by the final objective."""
    return _models(big, big_linear, columns=4, height=7.2)


def _models(relu: Swept, linear: Swept, columns: int, height: float) -> Figure:
    found = {"linear": linear.best(p=linear.data.p.values[0])}
    found |= {f"$p={p:g}$": relu.best(p=p) for p in relu.data.p.values}
    cells, columns = list(found.values()), min(columns, len(found))
    rows = -(-len(cells) // columns)
    figure, axes = draw.panels(2 * rows, columns, height, letters=False, height_ratios=[1, 1.5] * rows)
    tops, bottoms = (axes[start::2].ravel()[: len(cells)] for start in (0, 1))
    grams, biases = [cell.W.values @ cell.W.values.T for cell in cells], [cell.b.values for cell in cells]
    mesh = draw.matrices(tops, grams, biases, list(found), largest=1.2, label="")
    shared = [interference(cell.W.values.astype(float)) for cell in cells]
    colours = ScalarMappable(Normalize(0, max(1.0, *(each.max() for each in shared))), "viridis")
    for ax, cell, each in zip(bottoms, cells, shared, strict=True):
        ax.barh(np.arange(each.size), np.linalg.norm(cell.W.values, axis=1), 1.0, color=colours.to_rgba(each))
        ax.set(xlim=(0, 1.45), ylim=(each.size - 0.5, -0.5), xticks=[0, 1], yticks=[])
        draw.moments(ax, [1.0], colour="0.6", lw=0.5)
    for row in axes[1::2]:
        row[0].set(ylabel="feature", yticks=[0, len(grams[0]) - 1], yticklabels=[1, len(grams[0])])
    figure.supxlabel("$|W_i|$", fontsize=8)
    draw.colour_bar(figure, mesh, axes[0], "$W W^\\mathsf{T}$, $b$", aspect=10, extend="both")
    draw.colour_bar(figure, colours, axes[1], "superposition", aspect=14)
    return figure


def features_represented(relu: xr.Dataset) -> Figure:
    """a: features represented, |W_i| > 1/2, in units of the hidden dimensions; b: the loss over that of the best linear
    model, in closed form; against 1/p: means and 95 % bootstrap intervals over seeds. Dashed: as many features as
    dimensions; the loss of the best linear model."""
    figure, (left, right) = draw.panels(1, 2, height=2.4)
    for n, colour, marker in zip(relu.n.values, (draw.BLUE, draw.ORANGE), "os", strict=True):
        cells = relu.sel(n=n).transpose("p", "seed")
        look = {"label": f"$n={n}$, $m={int(cells.m)}$", "colour": colour, "marker": marker}
        for ax, values in ((left, cells.number / cells.m), (right, cells.over_linear)):
            draw.band(ax, 1 / cells.p, interval(values.values, axis=-1), **look)
    for ax, name, what in ((left, "$m$", "features represented / $m$"), (right, "linear", "loss / best linear")):
        ax.set(xlabel="$1/p$", ylabel=what, ylim=(0, None))
        draw.log_axis(ax, "x")
        draw.levels(ax, [1], [name])
    draw.legend(right)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings


def _finding(cells: xr.Dataset, id: str, what: str, *more: Any, **named: Any) -> Finding:
    n = int(cells.n)
    return Finding(id, f"n = {n}: {what}", *more, settings={"n": n}, **named)


def linear_is_principal_components(linear: xr.Dataset) -> Iterator[Finding]:
    """The linear model keeps the m most important features whole and nothing else."""
    for n in linear.n.values:
        cells = linear.sel(n=n)
        what, source = "exact loss of the linear model over the least one, minus 1", ours("tolerance; Eckart-Young: 0")
        yield _finding(cells, "linear-loss", what, mean(cells.excess), AtMost(0.01), source, digits=".1e")
        what = f"seeds of the linear model that represent the {int(cells.m)} most important features and no other"
        source = ours(f"least share; {PAPER}: the linear model does")
        yield _finding(cells, "linear-keeps-first", what, share(cells["first"]), AtLeast(ALL), source)


def sparsity_brings_superposition(relu: xr.Dataset) -> Iterator[Finding]:
    """More features are represented the sparser they are; dense ones as by the linear model."""
    dense, sparse, ratio = float(relu.p.max()), float(relu.p.min()), "loss over that of the best linear model"
    for n in relu.n.values:
        cells, best = relu.sel(n=n), ours("tolerance; closed form of the linear optimum")
        number, m, over = cells.number, int(cells.m), cells.over_linear
        what, source = f"seeds that represent {m} features at p = {dense:g}", ours(f"least share; {PAPER}: m features")
        yield _finding(cells, "number-when-dense", what, share(number.sel(p=dense) == m), AtLeast(ALL), source)
        what, source = "features represented, sparser and sparser", stated(f"{PAPER}: more, the sparser")
        yield _finding(cells, "number-by-density", what, steps(number, "p"), Increasing(), source, digits=".1f")
        what, source = f"features represented in {m} dimensions at p = {sparse:g}", stated(f"{PAPER}: more than m")
        yield _finding(cells, "number-when-sparse", what, mean(number.sel(p=sparse)), Above(m), source)
        yield _finding(
            cells, "loss-when-dense", f"{ratio}, p = {dense:g}", mean(over.sel(p=dense)), Near(1, 0.01), best
        )
        what, source = (
            f"{ratio}, for p of at most .1",
            ours(f"closed form; {PAPER}: superposition pays for sparse features"),
        )
        yield _finding(cells, "loss-when-sparse", what, mean(over.sel(p=relu.p[relu.p <= 0.1])), Below(1), source)
        yield report("loss-by-density", f"n = {n}: {ratio}", mean(over), settings={"n": int(n)})


experiment = Experiment(
    question="Which of many features does a bottleneck represent, linear and with ReLU, from dense to sparse?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 2",
    sweeps=sweeps,
    scales={"tiny": tiny, "full": {"steps": 10_000}},
    readings=[relu, linear],
    figures=[small_model, big_model, features_represented],
    findings=[linear_is_principal_components, sparsity_brings_superposition],
    cost="10,000 steps: about two minutes on two CPU cores",
)
