"""Basic results: which of many features does a bottleneck represent, linear and with ReLU, from dense to sparse?"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Cosine, Geometric, Record, Run, Sparse, SquaredError, Supervised, Sweep, draw
from toymodels.analysis.geometry import interference
from toymodels.analysis.labelled import exact_losses
from toymodels.analysis.statistics import interval
from toymodels.estimates import mean, share, steps
from toymodels.experiment import Experiment, Swept, require
from toymodels.findings import Above, AtLeast, AtMost, Below, Finding, Increasing, Near, ours, report, stated
from toymodels.models import Identity, Tied
from toymodels.problems.evaluation import importances
from toymodels.theory.linear import linear_loss, linear_optimum

ALL = 0.6  # share of seeds that stands for all of them: eight of eight show .68 or more
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
def represented(W: xr.DataArray) -> xr.DataArray:
    return np.sqrt((W**2).sum("hidden")) > 0.5  # not where it is NaN


def relu(small: Swept, big: Swept) -> xr.Dataset:
    """Of every ReLU model: features represented, and its loss over that of the best linear model; by n."""
    found = []
    for swept in _of_different_sizes(small, big):
        W, weights = swept.final(unconverged=True), importances(swept.sweep.base.problem)
        best = [float(linear_optimum(W.sizes["hidden"], p, weights).loss) for p in W.p.values.tolist()]
        loss = swept.data.objective.isel(step=-1, drop=True).astype(float)
        models = {"number": represented(W).sum("feature"), "over_linear": loss / xr.DataArray(best, dims="p")}
        models = xr.Dataset(models, {"n": weights.size}).where(W.notnull().all(["feature", "hidden"]))
        found.append(models.assign(m=W.sizes["hidden"]))
    return xr.concat(found, "n")


def _of_different_sizes(small: Swept, big: Swept) -> list[Swept]:
    """Both, or one where overrides have given both the same sizes."""
    (n, m), other = ((each.sweep.base.problem.data.n, each.sweep.base.problem.model.m) for each in (small, big))
    require(n != other[0] or m == other[1], "it tells models apart by n")
    return [small] if n == other[0] else [small, big]


def linear(small_linear: Swept, big_linear: Swept) -> xr.Dataset:
    """Of every linear model: its exact loss over the least one, minus 1, and whether it keeps the first m features."""
    found = []
    for swept in _of_different_sizes(small_linear, big_linear):
        W, b = (swept.final(name, unconverged=True).isel(p=0) for name in ("W", "b"))
        weights, m, p = importances(swept.sweep.base.problem), W.sizes["hidden"], float(W.p)
        loss = exact_losses(partial(linear_loss, p=p, importance=weights), W, b)
        first = (represented(W) == xr.DataArray(np.arange(weights.size) < m, dims="feature")).all("feature")
        models = {"excess": loss / float(linear_optimum(m, p, weights).loss) - 1, "first": first.where(loss.notnull())}
        found.append(xr.Dataset({**models, "m": m}, {"n": weights.size}))
    return xr.concat(found, "n")


# -------------------------------------------------------------------------------------------------------------- figures
def small_model(small: Swept, small_linear: Swept) -> Figure:
    """W Wᵀ with the biases b beside it (top) and the length of each feature's direction, coloured by how much others
    lie on it, sum over j of (Ŵ_i · W_j)² (bottom): the linear model, then the ReLU model from dense to sparse features.
    The first feature, on top, matters most. Dotted: length 1. Best of all seeds by the final objective."""
    return _models(small, small_linear, columns=8, height=2.7)


def big_model(big: Swept, big_linear: Swept) -> Figure:
    """The larger model: W Wᵀ with the biases b beside it (upper) and the length of each feature's direction, coloured
    by how much others lie on it, sum over j of (Ŵ_i · W_j)² (lower): the linear model, then the ReLU model from dense
    to sparse features. The first feature, on top, matters most. Dotted: length 1. Best of all seeds by the final
    objective."""
    return _models(big, big_linear, columns=4, height=7.2)


def _models(relu: Swept, linear: Swept, columns: int, height: float) -> Figure:
    best = {"linear": linear.best(p=linear.data.p.values[0])}
    best |= {f"$p={p:g}$": relu.best(p=p) for p in relu.data.p.values}
    W, b = ([cell[name].values.astype(float) for cell in best.values()] for name in ("W", "b"))
    columns, rows = min(columns, len(W)), -(-len(W) // columns)
    figure, axes = draw.panels(2 * rows, columns, height, letters=False, height_ratios=[1, 1.5] * rows)
    tops, bottoms = (axes[start::2].ravel()[: len(W)] for start in (0, 1))
    mesh = draw.matrices(tops, [each @ each.T for each in W], b, list(best), largest=1.2, label="")
    bars = draw.lengths(bottoms, W, [interference(each) for each in W])
    figure.supxlabel("$|W_i|$ (dotted: 1)", fontsize=8)
    draw.colour_bar(figure, mesh, axes[0], "$W W^\\mathsf{T}$, $b$", aspect=10, extend="both")
    draw.colour_bar(figure, bars, axes[1], "superposition", aspect=14)
    return figure


def features_represented(relu: xr.Dataset) -> Figure:
    """a: features represented, |W_i| > 1/2, in units of the hidden dimensions; b: the loss over that of the best linear
    model, in closed form; against 1/p: means and 95 % bootstrap intervals over seeds. Dashed: as many features as
    dimensions; the loss of the best linear model."""
    figure, axes = draw.panels(1, 2, height=2.4)
    shown = {"features represented / $m$": relu.number / relu.m, "loss / best linear": relu.over_linear}
    for ax, level, (what, values) in zip(axes, ("$m$", "linear"), shown.items(), strict=True):
        for n, colour, marker in zip(relu.n.values, (draw.BLUE, draw.ORANGE), "os", strict=True):
            label, cells = f"$n={n}$, $m={int(relu.m.sel(n=n))}$", values.sel(n=n).transpose("p", "seed")
            draw.band(ax, 1 / cells.p, interval(cells.values, axis=-1), label=label, colour=colour, marker=marker)
        ax.set(xlabel="$1/p$", ylabel=what, ylim=(0, None))
        draw.log_axis(ax, "x")
        draw.levels(ax, [1], [level])
    draw.legend(axes[1], {"95 % interval": draw.shade()})
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def linear_is_principal_components(linear: xr.Dataset) -> Iterator[Finding]:
    """The linear model keeps the m most important features whole and nothing else."""
    for n in linear.n.values.tolist():
        cells, model, at = linear.sel(n=n), f"n = {n}: linear model", {"settings": {"n": n}}
        what, why = f"{model}: exact loss over the least one, minus 1", ours("tolerance; Eckart-Young: 0")
        yield Finding("linear-loss", what, mean(cells.excess), AtMost(0.01), why, digits=".1e", **at)
        what = f"{model}: seeds that represent the {int(cells.m)} most important features and no other"
        why = ours(f"least share; {PAPER}: the linear model does")
        yield Finding("linear-keeps-first", what, share(cells["first"]), AtLeast(ALL), why, **at)


def sparsity_brings_superposition(relu: xr.Dataset) -> Iterator[Finding]:
    """More features are represented the sparser they are; dense ones as by the linear model."""
    ratio, best = "loss over that of the best linear model", ours("tolerance; closed form of the linear optimum")
    pays = ours(f"closed form; {PAPER}: superposition pays for sparse features")
    as_linear, many = ours(f"least share; {PAPER}: m features"), stated(f"{PAPER}: more than m")
    for n in relu.n.values.tolist():
        cells, m = relu.sel(n=n), int(relu.m.sel(n=n))
        dense, sparse, sparser = (cells.sel(p=p) for p in (cells.p.max(), cells.p.min(), cells.p[cells.p <= 0.1]))
        whole, more = (dense.number == m).where(dense.number.notnull()), stated(f"{PAPER}: more, the sparser")
        at, last, packed = f"at p = {float(dense.p):g}", f"at p = {float(sparse.p):g}", mean(sparse.number)
        for id, what, measured, criterion, source in (
            ("number-when-dense", f"seeds that represent {m} features {at}", share(whole), AtLeast(ALL), as_linear),
            ("number-by-density", "features represented, by p", steps(cells.number, "p"), Increasing(), more),
            ("number-when-sparse", f"features represented in {m} dimensions {last}", packed, Above(m), many),
            ("loss-when-dense", f"{ratio} {at}", mean(dense.over_linear), Near(1, 0.01), best),
            ("loss-when-sparse", f"{ratio} at p up to .1", mean(sparser.over_linear), Below(1), pays),
        ):
            yield Finding(id, f"n = {n}: {what}", measured, criterion, source, settings={"n": n})
        yield report("loss-by-density", f"n = {n}: {ratio}", mean(cells.over_linear), settings={"n": n})


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
