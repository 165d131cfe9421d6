"""Losses and models: what a bottleneck keeps under other losses, and in other models. Elhage et al. 2022.

Twenty features in five dimensions, dense and sparse. A linear model keeps as many features as it has dimensions,
whatever the sparsity; with a ReLU at the output sparse features are superposed, whatever the loss.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Choice, Cosine, Geometric, Record, Run, Sparse, Supervised, Sweep, draw
from toymodels.analysis.labelled import exact_losses
from toymodels.estimates import mean, of_best, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import Above, AtLeast, AtMost, Finding, ours, report, stated
from toymodels.losses import BinaryCrossEntropy, PowerError
from toymodels.models import Identity, Relu, Tied, Untied
from toymodels.problems.evaluation import importances
from toymodels.theory.linear import linear_loss, linear_optimum

DEAD, ALL = 0.25, 0.6
"""Gain of an output on its own feature alone, W_i . hidden(encoder_i), as a fraction of the largest, up to which the
feature counts as not represented: lengths of rows mean nothing where encoder and decoder differ, or neurons saturate.
Share of seeds that stands for all of them: eight of eight show .68 or more."""
PAPER = "Elhage et al. 2022, section 2"

equal, weighted = PowerError(2.0, Geometric(1.0)), PowerError(2.0, Geometric(0.7))
kinds: dict[str, dict[str, Any]] = {
    "squared": {"problem.loss": equal},
    "weighted": {"problem.loss": weighted},
    "fourth power": {"problem.loss": PowerError(4.0, Geometric(1.0))},
    "cross-entropy": {"problem.loss": BinaryCrossEntropy(), "problem.model": Tied(5, output=Identity())},
    "linear": {"problem.loss": weighted, "problem.model": Tied(5, output=Identity())},
    "untied": {"problem.loss": weighted, "problem.model": Untied(5)},
    "ReLU hidden": {"problem.loss": weighted, "problem.model": Tied(5, hidden=Relu())},
}
losses = Sweep(
    Run(Supervised(Sparse(20), Tied(5)), Adam(Cosine(1e-2)), 2000, 512, record=Record(40, 2, examples=1024)),
    [Choice("kind", kinds), Axis("p", "problem.data.p", [0.3, 0.03]), Axis("seed", "seed", range(8))],
)


# ------------------------------------------------------------------------------------------------------------- readings
def models(losses: Swept) -> xr.Dataset:
    """Of every model that has converged: how many features it represents."""
    W = losses.final()
    gain = (W * _encoder(losses.data, W)).sum("hidden", skipna=False)
    number = (gain > DEAD * gain.max("feature")).sum("feature").where(gain.notnull().all("feature"))
    return xr.Dataset({"number": number}, attrs={"m": W.sizes["hidden"]})


def _encoder(data: xr.Dataset, W: xr.DataArray) -> xr.DataArray:
    """What a feature that is on alone puts into the hidden layer: features are positive."""
    encoder = xr.where(W.kind == "ReLU hidden", W.clip(min=0), W)
    if "encoder" not in data:
        return encoder
    return xr.where(W.kind == "untied", data.encoder.isel(snapshot=-1), encoder)


def linear_models(losses: Swept) -> xr.Dataset:
    """Of every linear model: its objective, and its exact loss over the least one, the tail of I_i Var x_i, minus 1."""
    W, b = (losses.final(name, unconverged=True).sel(kind="linear", drop=True) for name in ("W", "b"))
    p, m = W.p.values.tolist(), W.sizes["hidden"]
    weights = importances(losses.run(kind="linear", p=p[0]).problem)
    exact = (partial(linear_loss, p=q, importance=weights) for q in p)
    loss = xr.concat([exact_losses(each, W.sel(p=q), b.sel(p=q)) for each, q in zip(exact, p, strict=True)], W.p)
    least = xr.DataArray([float(linear_optimum(m, q, weights).loss) for q in p], dims="p")
    objective = losses.data.objective.isel(step=-1, drop=True).sel(kind="linear", drop=True)
    return xr.Dataset({"excess": loss / least - 1, "objective": objective})


# -------------------------------------------------------------------------------------------------------------- figures
def losses_and_models(losses: Swept) -> Figure:
    """W Wᵀ (for the untied model, decoder times encoder transposed), with the biases b beside it, of the best seed by
    its own objective, under other losses and other models; dense features above, sparse ones below. In each panel W Wᵀ
    and b are relative to the median gain of the represented features; gains are the entries of the diagonal, which
    fades where they fall from feature to feature. Weighted: earlier features matter more; so do they in the linear
    model (no ReLU), in the untied one and in the one with a ReLU on the hidden layer."""
    labels, p = losses.data.kind.values, losses.data.p.values
    figure, axes = draw.panels(len(p), len(labels), height=2.1, letters=False, squeeze=False)
    cells = [losses.best(kind=kind, p=q) for q in p for kind in labels]
    products = [cell.W.values @ (cell.encoder if cell.kind == "untied" else cell.W).values.T for cell in cells]
    gains = [np.diag(product) for product in products]
    units = [np.median(gain[gain > DEAD * gain.max()]) for gain in gains]
    shown = [product / unit for product, unit in zip(products, units, strict=True)]
    biases = [cell.b.values / unit for cell, unit in zip(cells, units, strict=True)]
    mesh = draw.matrices(axes, shown, biases, largest=1.0, label="")
    draw.outer_labels(axes, y=[f"$p={q:g}$" for q in p], titles=list(labels))
    draw.colour_bar(figure, mesh, axes, "$W W^\\mathsf{T}$, $b$, over median gain", ticks=[-1, 0, 1], extend="both")
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def features_represented(models: xr.Dataset) -> Iterator[Finding]:
    """How many features each loss and model represents; a linear one as many as it has dimensions, at every p."""
    m, sparse = models.attrs["m"], models.sel(p=models.p.min())
    for kind in models.kind.values.tolist():
        number, at = models.number.sel(kind=kind), {"kind": kind}
        yield report("number-by-density", f"{kind}: features represented", mean(number), settings=at, digits=".1f")
        if kind == "linear":
            what = f"{kind}: seeds that represent {m} features at every p"
            source = ours("least share; Eckart-Young: all")
            right = (number == m).all("p").where(number.notnull().all("p"))
            yield Finding("as-many-as-dimensions", what, share(right), AtLeast(ALL), source, settings=at)
            continue
        published = f"{PAPER}: sparse features are in superposition"
        source = stated(published) if kind in ("squared", "weighted") else ours(f"as for squared error; {published}")
        what = f"{kind}, p = {float(sparse.p):g}: features represented in {m} dimensions"
        yield Finding("superposed", what, mean(sparse.number.sel(kind=kind)), Above(int(m)), source, settings=at)


def linear_models_reach_their_optimum(linear_models: xr.Dataset) -> Iterator[Finding]:
    """The exact loss of the best linear model of all seeds."""
    for p in linear_models.p.values.tolist():
        cells = linear_models.sel(p=p)
        what = f"linear, p = {p:g}, best of {cells.sizes['seed']}: exact loss over the least one, minus 1"
        source, measured = ours("tolerance; Eckart-Young: 0"), of_best(cells.excess, cells.objective)
        yield Finding("linear-loss", what, measured, AtMost(0.01), source, "best of k", settings={"p": p}, digits=".1e")


experiment = Experiment(
    question="What does a bottleneck keep under other losses, and in other models?",
    source="Elhage et al. 2022, Toy Models of Superposition, sections 2 and 3",
    sweeps={"losses": losses},
    scales={"tiny": {"steps": 200, "kind": ["squared", "linear"]}, "full": {"steps": 10_000}},
    readings=[models, linear_models],
    figures=[losses_and_models],
    findings=[features_represented, linear_models_reach_their_optimum],
    cost="112 models of 10,000 steps: a minute or two on two CPU cores, 5 programs",
)
