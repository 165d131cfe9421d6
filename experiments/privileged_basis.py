"""ReLUs in the hidden layer give it a privileged basis: when does a neuron hold one feature? Elhage et al. 2022."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Axis, Geometric, Record, Relu, Run, Sparse, SquaredError, Supervised, Sweep, Tied, draw
from toymodels.analysis import neurons
from toymodels.analysis.labelled import FEATURE, HIDDEN, each_model
from toymodels.analysis.restarts import near_best
from toymodels.estimates import exact, mean, of_best
from toymodels.experiment import Experiment, Swept, require
from toymodels.findings import Above, AtLeast, AtMost, Finding, Near, ours, read_off, report
from toymodels.optimizers import Adam, Cosine, Momentum, Optimizer
from toymodels.problems.evaluation import sparse_losses

PUBLISHED = {0.7: (5, 5), 0.3: (3, 6), 0.15: (2, 7), 0.12: (1, 7), 0.065: (0, 8), 0.03: (0, 10)}
"""One p of each published band: how many of the five neurons hold one feature, and how many features are kept."""
PAPER = "Elhage et al. 2022, superposition in a privileged basis"
INVARIANT = "a rotation of the hidden layer changes a model with ReLUs, and not a linear one"


def _sweep(model: Tied, seeds: int, optimizer: Optimizer) -> Sweep:
    problem = Supervised(Sparse(10, 0.7), model, SquaredError(Geometric(0.75)))
    base = Run(problem, optimizer, steps=3000, batch=512, record=Record(40, 2, examples=8192))
    return Sweep(base, [Axis("p", "problem.data.p", list(PUBLISHED)), Axis("seed", "seed", range(seeds))])


relu = _sweep(Tied(5, hidden=Relu()), 1000, Adam(Cosine(1e-2)))
linear = _sweep(Tied(5), 32, Adam(Cosine(1e-2)))
descent = _sweep(Tied(5), 128, Momentum(Cosine(5e-2)))
tiny = {"p": [0.7, 0.03], "steps": 300, "batch": 128, "seed": range(4), "relu.seed": range(8)}


# ------------------------------------------------------------------------------------------------------------- readings
def models(relu: Swept, linear: Swept, descent: Swept) -> xr.Dataset:
    """Of every model: its loss on common examples; neurons of one feature and features kept, by weights that turn
    neurons on; its alignment with the basis, the share of 200 rotations that are less aligned, and their mean."""
    found = []
    for swept in (relu, linear, descent):
        W, b = (swept.final(name, unconverged=True) for name in ("W", "b"))
        seeds = xr.DataArray(np.arange(W.p.size * W.seed.size).reshape(W.p.size, -1), dims=("p", "seed"))
        against, on = partial(neurons.against_rotations, count=200), neurons.excitatory(W)
        turned = each_model(against, W, seeds, core=[(FEATURE, HIDDEN), ()], outputs=["of"]).transpose("of", ...)
        own = dict(zip(("alignment", "rank", "rotated"), turned, strict=True))
        own["single"] = each_model(neurons.monosemantic, on, outputs=[HIDDEN]).sum(HIDDEN, skipna=False)
        own["kept"] = each_model(neurons.features_kept, on)
        own["loss"] = sparse_losses(swept.sweep.base.problem, W=W, b=b)
        found.append(xr.Dataset(own))
    units = xr.Variable("units", ["ReLU", "linear, Adam", "linear, descent"])
    size = {"n": relu.data.sizes[FEATURE], "m": relu.data.sizes[HIDDEN]}
    return xr.concat(found, units, join="outer").assign_attrs(size)


def rotated_losses(relu: Swept, linear: Swept, models: xr.Dataset) -> xr.Dataset:
    """Loss of the best model at each p after each of eight rotations of its hidden layer, over its own loss."""
    found = {}
    for name, swept, loss in zip(("relu", "linear"), (relu, linear), models.loss, strict=False):
        W, b = (_best(swept, loss, each) for each in ("W", "b"))
        turns = [np.eye(W.sizes[HIDDEN]), *neurons.rotations(W.sizes[HIDDEN], 8)]
        turned = xr.dot(W, xr.DataArray(turns, dims=("seed", HIDDEN, "turned")), dim=HIDDEN).rename(turned=HIDDEN)
        losses = sparse_losses(swept.sweep.base.problem, W=turned, b=b.expand_dims(seed=len(turns)))
        found[name] = (losses[:, 1:] / losses[:, 0]).rename(seed="rotation")
    return xr.Dataset(found)


def _best(swept: Swept, loss: xr.DataArray, name: str = "W") -> xr.DataArray:
    """A parameter of the model of least loss at each p."""
    return swept.final(name, unconverged=True).sel(seed=loss.idxmin("seed").astype(int)).drop_vars("seed")


def _check(models: xr.Dataset) -> None:
    """What is published is of ten features, five neurons, and these p."""
    require((models.attrs["n"], models.attrs["m"]) == (10, 5), "what is published is of ten features and five neurons")
    missing = [f"{p:g}" for p in models.p.values.tolist() if p not in PUBLISHED]
    require(not missing, f"nothing is published of p = {', '.join(missing)}")


# -------------------------------------------------------------------------------------------------------------- figures
def neurons_by_sparsity(relu: Swept, linear: Swept, models: xr.Dataset) -> Figure:
    """Weights of each hidden unit stacked by feature, of the best of all restarts, from dense to sparse features: ReLU
    hidden units (top; positive weights, which turn the neuron on, upwards, negative ones downwards; dots: neurons of
    one feature) and linear ones (bottom; sizes of weights), where units are directions like any other."""
    p = np.sort(relu.data.p.values)[::-1].tolist()
    figure, axes = draw.panels(2, len(p), 3.4, letters=False, sharex=True, sharey="row", squeeze=False)
    for column, each in zip(axes.T, p, strict=True):
        W, other = (_best(s, models.loss[at]).sel(p=each) for at, s in enumerate((relu, linear)))
        W, other = W[:, neurons.display_order(neurons.excitatory(W))], other[:, neurons.display_order(other)]
        draw.stack(column[0], W.T, signed=True)
        draw.stack(column[1], other.T)
        alone = np.flatnonzero(neurons.monosemantic(neurons.excitatory(W)))
        column[0].plot(alone, neurons.excitatory(W)[:, alone].sum(FEATURE) + 0.35, "o", ms=2.5, color="black")
        column[0].set(ylim=(-6.5, 5.5), xticks=range(W.shape[1]))
    draw.outer_labels(axes, "hidden unit", ["ReLU: weights", "linear: |weights|"], [f"$p={each:g}$" for each in p])
    draw.feature_bar(figure, axes, relu.data.sizes[FEATURE])
    draw.legend_below(figure, axes, {"neuron of one feature": draw.key("", "black", marker="o", ms=2.5)})
    return figure


def alignment_and_monosemanticity(relu: Swept, linear: Swept, descent: Swept, models: xr.Dataset) -> Figure:
    """a: neurons of one feature: mean over restarts, best of all of them, and published count. b: largest |weight| over
    norm, mean over hidden units, ReLU and linear; dashed: means for random rotations of the same weights. c: the share
    of its own rotations that a model is better aligned than; dashed: a half, the mean without a privileged basis from
    gradient descent; Adam itself treats coordinates apart. Bands: 95 % intervals of means, for all p together."""
    _check(models)
    figure, axes = draw.panels(1, 3, height=3)
    p, of_relu = models.p.values, models.isel(units=0)
    draw.band(axes[0], p, mean(of_relu.single).estimates, label="mean of restarts", colour=draw.BLUE)
    axes[0].plot(p, [PUBLISHED[each][0] for each in p.tolist()], "_", ms=9, mew=1.5, color="black", label="published")
    best = [each.value for each in of_best(of_relu.single, of_relu.loss).estimates]
    axes[0].plot(p, best, "o", color=draw.BLUE, label=f"best of {models.sizes['seed']}")
    for name, colour in zip(models.units.values, draw.PALETTE, strict=False):
        of_units, look = models.sel(units=name), {"colour": colour, "marker": "o"}
        draw.band(axes[1], p, mean(of_units.alignment).estimates, label=name, **look)
        draw.theory(axes[1], p, of_units.rotated.mean("seed"), colour=colour)
        draw.band(axes[2], p, mean(of_units["rank"]).estimates, **look)
    labels = ("neurons of one feature", "alignment with single features", "share of rotations less aligned")
    swepts = zip(models.units.values, (relu, linear, descent), strict=True)
    for ax, label, (name, swept) in zip(axes, labels, swepts, strict=True):
        draw.sparsity_axis(ax, p, label)
        draw.excluded(ax, swept.left_out(f"shown ({name})"))
    draw.legend(axes[0])
    draw.legend_below(figure, axes[1], {"random rotations": draw.DASHED, "95 % interval": draw.shade()})
    draw.levels(axes[2], [0.5], ["half"])
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def against_the_published(models: xr.Dataset) -> Iterator[Finding]:
    """The best of all restarts against the published pictures; restarts nearly as good are counted beside it."""
    _check(models)
    relu, source = models.isel(units=0), read_off(f"{PAPER}, the best of 1000 in each band of p")
    names = {"single": "neurons of one feature", "kept": "features kept"}
    for p in relu.p.values.tolist():
        for (id, what), known in zip(names.items(), PUBLISHED[p], strict=True):
            values, loss, text = relu[id].sel(p=p), relu.loss.sel(p=p), f"p = {p:g}: {what}"
            best, near, at = of_best(values, loss), near_best(values, loss, 1.02), {"p": p}
            yield Finding(f"best-{id}", f"{text}, best of {loss.size}", best, Near(known), source, "best of k", at)
            yield report(f"near-best-{id}", f"{text}, restarts within 2 % of the least loss", near, settings=at)
    yield report("mean-single", "neurons of one feature, mean of all restarts", mean(relu.single))
    fall = mean(relu.single.sel(p=relu.p.max()) - relu.single.sel(p=relu.p.min()))
    what = "neurons of one feature at the densest p less those at the sparsest, paired by seed"
    yield Finding("fall-of-single", what, fall, Above(3), ours(f"limit; {PAPER}: from all five neurons to none"))


def the_basis_is_privileged(models: xr.Dataset) -> Iterator[Finding]:
    """Is the basis in which training ends special among its rotations? With ReLUs and dense features, it is."""
    what = "share of a model's rotations that are less aligned with single features than it is"
    relu, source = models.isel(units=0), ours(f"limit; {PAPER}: most neurons are of one feature")
    dense = relu.sel(p=[p for p in relu.p.values.tolist() if PUBLISHED[p][0] >= 3])
    text, best = f"ReLU, dense: {what}, best of {dense.sizes['seed']}", of_best(dense["rank"], dense.loss)
    yield Finding("best-aligned", text, best, AtLeast(0.95), source, "best of k")
    yield Finding("aligned", f"ReLU, dense: {what}, mean", mean(dense["rank"]), Above(0.5), source)
    yield report("rank", f"ReLU: {what}, mean", mean(relu["rank"]))
    # Models of one seed start alike, whatever p: means over p are independent, models are not.
    adam, descent = (mean(models["rank"].isel(units=at).mean("p", skipna=False)) for at in (1, 2))
    source = ours(f"{INVARIANT}; Adam itself treats coordinates apart")
    yield Finding("linear-adam", f"linear, Adam: {what}, mean over p", adam, AtMost(0.5), source)
    text, source = f"linear, gradient descent with momentum: {what}, mean over p", ours(f"tolerance; {INVARIANT}")
    was = "was an interval that holds 0.5, as imprecise ones do; now all of it is near, with four times the seeds"
    yield Finding("linear-descent", text, descent, Near(0.5, within=0.1), source, revised=was)


def rotations_change_models_with_relus(rotated_losses: xr.Dataset) -> Iterator[Finding]:
    """A rotation of the hidden layer changes the loss of a model with ReLUs, and not that of a linear one."""
    relu, linear, source = rotated_losses.relu, rotated_losses.linear, ours(f"limit; {INVARIANT}")
    what = f"loss after a rotation over loss, best model at each p, {relu.sizes['rotation']} rotations"
    least, most = exact(float(relu.values.min())), exact(float(abs(linear - 1).values.max()))
    yield Finding("rotated-relu", f"ReLU: {what}: the least", least, Above(1.05), source, "check")
    text = f"linear: {what}: largest difference from 1"
    yield Finding("rotated-linear", text, most, AtMost(1e-4), source, "check", digits=".1e")


experiment = Experiment(
    question="When does a neuron of a hidden layer with ReLUs hold one feature, and when many?",
    source="Elhage et al. 2022, Toy Models of Superposition, section on superposition in a privileged basis",
    sweeps={"relu": relu, "linear": linear, "descent": descent},
    scales={"tiny": tiny, "full": {"steps": 10_000, "batch": 1024, "linear.seed": range(100)}},
    readings=[models, rotated_losses],
    figures=[neurons_by_sparsity, alignment_and_monosemanticity],
    findings=[against_the_published, the_basis_is_privileged, rotations_change_models_with_relus],
    cost="1,000 restarts of 10,000 steps for each p: 20 minutes on two CPU cores, 3 programs",
)
