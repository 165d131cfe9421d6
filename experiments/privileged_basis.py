"""ReLUs in the hidden layer give it a privileged basis: when does a neuron hold one feature? Elhage et al. 2022."""

import itertools
from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis import neurons
from toymodels.analysis.labelled import FEATURE, HIDDEN, each_model
from toymodels.data import Sparse
from toymodels.estimates import Category, exact, mean, of_best
from toymodels.experiment import Experiment, Swept
from toymodels.findings import Above, AtLeast, AtMost, Finding, Near, ours, read_off, report
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.models import Relu, Tied
from toymodels.optimizers import Adam, Cosine, Momentum, Optimizer
from toymodels.problems.evaluation import sparse_losses
from toymodels.problems.supervised import Supervised

PUBLISHED = {0.7: (5, 5), 0.3: (3, 6), 0.15: (2, 7), 0.12: (1, 7), 0.065: (0, 8), 0.03: (0, 10)}
"""One p of each published band: how many of the five neurons hold one feature, and how many features are kept."""
ONE = 0.9
"""Share of the squared weights that turn a neuron on, above which its largest makes it one of a single feature."""
KEPT = 0.5
"""Norm of its weights to neurons that it turns on, over the largest, from which a feature counts as kept."""
ROTATIONS = 200
"""Random rotations of the hidden layer that each model is compared with."""
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
full = {"steps": 10_000, "batch": 1024, "linear.seed": range(100)}


# ------------------------------------------------------------------------------------------------------------- readings


def models(relu: Swept, linear: Swept, descent: Swept) -> xr.Dataset:
    """Of every model: its loss on common examples, neurons of one feature, features kept, alignment with the basis."""
    found = [_models(swept) for swept in (relu, linear, descent)]
    return xr.concat(found, xr.Variable("units", ["ReLU", "linear, Adam", "linear, descent"]), join="outer")


def _models(swept: Swept) -> xr.Dataset:
    W, b = (swept.final(name, unconverged=True) for name in ("W", "b"))
    seeds = xr.DataArray(np.arange(W.p.size * W.seed.size).reshape(-1, W.seed.size), dims=("p", "seed"))
    turned = each_model(_against_rotations, W, seeds, core=[(FEATURE, HIDDEN), ()], outputs=["of"])
    found = {name: turned.isel(of=at) for at, name in enumerate(("alignment", "rank", "rotated"))}
    found["single"] = each_model(lambda W: neurons.monosemantic(used(W), ONE).sum(), W)
    found["kept"] = each_model(lambda W: neurons.features_kept(used(W), KEPT), W)
    return xr.Dataset({"loss": sparse_losses(swept.sweep.base.problem, W=W, b=b)} | found)


def used(W: np.ndarray) -> np.ndarray:
    """max(W, 0): what turns a ReLU on, as features are never negative. A large negative weight only keeps it off."""
    return np.maximum(W, 0)


def _against_rotations(W: np.ndarray, seed: np.ndarray) -> np.ndarray:
    return np.array(neurons.against_rotations(W, ROTATIONS, int(seed)))


def rotated_losses(relu: Swept, linear: Swept, models: xr.Dataset) -> xr.Dataset:
    """Loss of the best model at each p after each of eight rotations of its hidden layer, over its own loss."""
    loss = models.loss
    return xr.Dataset({"relu": _rotated(relu, loss[0]), "linear": _rotated(linear, loss[1])})


def _rotated(swept: Swept, loss: xr.DataArray) -> xr.DataArray:
    W, b = (_best(swept, loss, name).expand_dims("seed") for name in ("W", "b"))
    m = W.sizes[HIDDEN]
    turns = xr.DataArray([np.eye(m), *neurons.rotations(m, 8)], dims=("turn", HIDDEN, "turned"))
    turned = (W.isel(seed=0, drop=True) * turns).sum(HIDDEN).rename(turn="seed", turned=HIDDEN)
    losses = sparse_losses(swept.sweep.base.problem, W=turned, b=b.isel(seed=[0] * 9))
    return (losses[:, 1:] / losses[:, 0]).rename(seed="rotation")


def _best(swept: Swept, loss: xr.DataArray, name: str = "W") -> xr.DataArray:
    """A parameter of the model of least loss at each p."""
    seeds = loss.seed[loss.argmin("seed")].drop_vars("seed")
    return swept.final(name, unconverged=True).sel(seed=seeds).drop_vars("seed")


# -------------------------------------------------------------------------------------------------------------- figures


def neurons_by_sparsity(relu: Swept, linear: Swept, models: xr.Dataset) -> Figure:
    """Weights of each hidden unit stacked by feature, of the best of all restarts, from dense to sparse features: ReLU
    hidden units (top; positive weights, which turn the neuron on, upwards, negative ones downwards; dots: neurons of
    one feature) and linear ones (bottom; sizes of weights), where units are directions like any other."""
    p = np.sort(relu.data.p.values)[::-1].tolist()
    figure, axes = draw.panels(2, len(p), 3.4, letters=False, sharex=True, sharey="row", squeeze=False)
    for column, each in zip(axes.T, p, strict=True):
        W, other = (_best(s, models.loss[at]).sel(p=each).values for at, s in enumerate((relu, linear)))
        W, other = W[:, neurons.display_order(used(W))], other[:, neurons.display_order(other)]
        draw.stack(column[0], W.T, signed=True)
        draw.stack(column[1], other.T)
        alone = np.flatnonzero(neurons.monosemantic(used(W), ONE))
        column[0].plot(alone, used(W)[:, alone].sum(0) + 0.35, "o", ms=2.5, color="black")
        column[0].set(ylim=(-6.5, 5.5), xticks=range(W.shape[1]))
    draw.outer_labels(axes, "hidden unit", ["ReLU: weights", "linear: |weights|"], [f"$p={each:g}$" for each in p])
    draw.feature_bar(figure, axes, relu.data.sizes[FEATURE])
    return figure


def alignment_and_monosemanticity(relu: Swept, linear: Swept, descent: Swept, models: xr.Dataset) -> Figure:
    """a: neurons of one feature: mean over restarts, best of all restarts, and the published count. b: mean over hidden
    units of the largest |weight| over the norm, for ReLU and linear hidden units; dashed: means for random rotations of
    the same weights. c: the share of its own rotations that a model is better aligned than; dashed: a half, the mean
    without a privileged basis from gradient descent; Adam itself treats coordinates apart. Bands: 95 % intervals of
    means over restarts, which hold for all p together."""
    figure, axes = draw.panels(1, 3)
    p, relu_models = models.p.values, models.isel(units=0)
    draw.band(axes[0], p, mean(relu_models.single).estimates, label="mean of restarts", colour=draw.BLUE)
    best = [each.value for each in of_best(relu_models.single, relu_models.loss).estimates]
    axes[0].plot(p, best, "o", color=draw.BLUE, label=f"best of {models.sizes['seed']}")
    known = [PUBLISHED[each][0] for each in p.tolist()]
    axes[0].plot(p, known, "_", ms=9, mew=1.5, color="black", label="published", zorder=1)
    for name, colour in zip(models.units.values, draw.PALETTE, strict=False):
        of_units = models.sel(units=name)
        draw.band(axes[1], p, mean(of_units.alignment).estimates, label=name, colour=colour, marker="o")
        draw.band(axes[2], p, mean(of_units["rank"]).estimates, colour=colour, marker="o")
        draw.theory(axes[1], p, of_units.rotated.mean("seed"), colour=colour)
    labels = ("neurons of one feature", "alignment with single features", "share of rotations less aligned")
    for ax, label, limits in zip(axes, labels, ((-0.2, 5.3), (0.45, 1.02), (-0.02, 1.02)), strict=True):
        draw.log_axis(ax)
        draw.ticks(ax, "x", p, [f"{each:g}".lstrip("0") if each != 0.12 else "\n.12" for each in p])
        ax.set(xlabel="activation probability $p$", ylabel=label, ylim=limits)
        ax.invert_xaxis()
    draw.legend(axes[0])
    draw.legend(axes[1], {"rotations": draw.DASHED})
    draw.levels(axes[2], [0.5])
    sweeps = zip(models.units.values, (relu, linear, descent), strict=True)
    notes = [swept.left_out(f"shown ({name})") for name, swept in sweeps]
    draw.excluded(axes[2], "; ".join(note for note in notes if note))
    return figure


# ------------------------------------------------------------------------------------------------------------- findings


def against_the_published(models: xr.Dataset) -> Iterator[Finding]:
    """The best of all restarts against the published pictures; restarts nearly as good are counted beside it."""
    relu, source = models.isel(units=0), read_off(f"{PAPER}, the best of 1000 in each band of p")
    names = {"single": "neurons of one feature", "kept": "features kept"}
    for p, (id, what) in itertools.product(relu.p.values.tolist(), names.items()):
        values, loss, target = relu[id].sel(p=p), relu.loss.sel(p=p), Near(PUBLISHED[p][id == "kept"])
        text, found = f"p = {p:g}: {what}, best of {loss.size}", of_best(values, loss)
        yield Finding(f"best-{id}", text, found, target, source, "best of k", {"p": p})
        near, text = (
            values[(loss <= 1.02 * loss.min()).values],
            f"p = {p:g}: {what}, restarts within 2 % of the least loss",
        )
        yield report(f"near-best-{id}", text, _counted(near.values), settings={"p": p})
    yield report("mean-single", "neurons of one feature, mean of all restarts", mean(relu.single))
    fall = mean(relu.single.sel(p=relu.p.max()) - relu.single.sel(p=relu.p.min()))
    what = "neurons of one feature at the densest p less those at the sparsest, paired by seed"
    yield Finding("fall-of-single", what, fall, Above(3), ours(f"limit; {PAPER}: from all five neurons to none"))


def _counted(values: np.ndarray) -> Category:
    shares = {f"{value:g}": float((values == value).mean()) for value in np.unique(values)}
    return Category(max(shares, key=shares.__getitem__), shares, "restart", len(values))


def the_basis_is_privileged(models: xr.Dataset) -> Iterator[Finding]:
    """Is the basis in which training ends special among its rotations? With ReLUs and dense features, it is."""
    what, relu = (
        "share of a model's rotations that are less aligned with single features than it is",
        models.isel(units=0),
    )
    aligned = relu.sel(p=[p for p in relu.p.values.tolist() if PUBLISHED[p][0] >= 3])
    source, rank = ours(f"limit; {PAPER}: most neurons are of one feature"), aligned["rank"]
    text = f"ReLU, dense: {what}, best of {rank.sizes['seed']}"
    yield Finding("best-aligned", text, of_best(rank, aligned.loss), AtLeast(0.95), source, "best of k")
    yield Finding("aligned", f"ReLU, dense: {what}, mean", mean(rank), Above(0.5), source)
    yield report("rank", f"ReLU: {what}, mean", mean(relu["rank"]))
    # Models of one seed start alike, whatever p: means over p are independent, models are not.
    adam, descent = (mean(models["rank"].isel(units=at).mean("p")) for at in (1, 2))
    source = ours(f"{INVARIANT}; Adam itself treats coordinates apart")
    yield Finding("linear-adam", f"linear, Adam: {what}, mean over p", adam, AtMost(0.5), source)
    text, source = f"linear, gradient descent with momentum: {what}, mean over p", ours(f"tolerance; {INVARIANT}")
    was = "was an interval that holds 0.5, as imprecise ones do; now all of it is near, with four times the seeds"
    yield Finding("linear-descent", text, descent, Near(0.5, within=0.1), source, revised=was)


def rotations_change_models_with_relus(rotated_losses: xr.Dataset) -> Iterator[Finding]:
    """A rotation of the hidden layer changes the loss of a model with ReLUs, and not that of a linear one."""
    relu, linear, source = rotated_losses.relu, rotated_losses.linear, ours(f"limit; {INVARIANT}")
    what = f"loss after a rotation over loss, best model at each p, {relu.sizes['rotation']} rotations"
    least, most = exact(float(relu.min())), exact(float(abs(linear - 1).max()))
    yield Finding("rotated-relu", f"ReLU: {what}: the least", least, Above(1.05), source, "check")
    text = f"linear: {what}: largest difference from 1"
    yield Finding("rotated-linear", text, most, AtMost(1e-4), source, "check", digits=".1e")


experiment = Experiment(
    question="When does a neuron of a hidden layer with ReLUs hold one feature, and when many?",
    source="Elhage et al. 2022, Toy Models of Superposition, section on superposition in a privileged basis",
    sweeps={"relu": relu, "linear": linear, "descent": descent},
    scales={"tiny": tiny, "full": full},
    readings=[models, rotated_losses],
    figures=[neurons_by_sparsity, alignment_and_monosemanticity],
    findings=[against_the_published, the_basis_is_privileged, rotations_change_models_with_relus],
    cost="1,000 restarts of 10,000 steps for each p: 20 minutes on two CPU cores, 3 programs",
)
