"""Interference against capacity: what each feature gets and what the loss is made of, by importance, p and exponent.

`capacity` has the squared loss of quadratic units, whose optimum is known, and of ReLU models down to p = .003; here
the exponent of the loss is swept as well.
"""

from collections.abc import Iterator

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Cosine, Geometric, PowerError, Record, Run, Sparse, Supervised, Sweep, Tied, draw
from toymodels.analysis.capacities import PARTS, parts_by_capacity
from toymodels.analysis.geometry import feature_dimensionality
from toymodels.analysis.labelled import over_seeds
from toymodels.claims import Claim
from toymodels.estimates import mean
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Finding, ours, report
from toymodels.problems.evaluation import importances

PAPER = "Scherlis et al. 2022"
DRAWS = 2**16
"""Of the decomposition, the same for all models of one density: shares have an error of about .01 of their own."""
POWERS, DENSITIES = [2, 3, 4], [0.3, 0.1, 0.03, 0.01]

base = Run(
    Supervised(Sparse(20), Tied(5), PowerError(2.0, Geometric(0.8))),
    Adam(Cosine(1e-2)),
    *(5000, 512),
    record=Record(30, 2, examples=2048),
)
models = Sweep(
    base,
    [
        Axis("power", "problem.loss.power", POWERS),
        Axis("p", "problem.data.p", DENSITIES),
        Axis("seed", "seed", range(32)),
    ],
)
tiny = {"power": [2, 4], "p": [0.1, 0.01], "seed": range(6), "steps": 600}
full = {"problem.data.n": 80, "problem.model.m": 20, "problem.loss.importance": Geometric(0.95), "steps": 20_000}


# ------------------------------------------------------------------------------------------------------------- readings
def tradeoffs(models: Swept) -> xr.Dataset:
    """Of every model: capacities, and the parts of its loss over draws, which sum to it; importances.

    Unconverged models are kept: at larger exponents the last tenths of a per cent take long and move no capacity."""
    W, b = (models.final(name, unconverged=True) for name in ("W", "b"))
    densities = [models.run(power=W.power.values[0], p=p).problem.data for p in W.p.values.tolist()]
    drawn = [each.sample(jax.random.key(0), DRAWS) for each in densities]
    x, importance = xr.DataArray(np.array(drawn), dims=("p", "draw", "feature")), importances(models.sweep.base.problem)
    parts = [
        parts_by_capacity(x, W.sel(power=power), b.sel(power=power), importance, power=power).isel(threshold=0)
        for power in W.power.values.tolist()
    ]
    data = {"C": feature_dimensionality(W), "part_of_loss": xr.concat(parts, W.power)}
    objective = models.finite("objective", step=-1)
    data |= {"importance": ("feature", importance), "objective": objective}
    return xr.Dataset(data, attrs={"left_out": models.left_out("kept"), "m": W.sizes["hidden"]})


def effective(C: xr.DataArray) -> xr.DataArray:
    """(sum C)^2 / sum C^2: how many features share the capacity, from 1 to n where all have the same."""
    return C.sum("feature", skipna=False) ** 2 / (C**2).sum("feature", skipna=False)


def quarters(C: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Mean capacity of the most and of the least important quarter of the features, which come in this order."""
    size = C.sizes["feature"] // 4
    return tuple(C.isel(feature=part).mean("feature", skipna=False) for part in (slice(size), slice(-size, None)))  # type: ignore[return-value]


def shares(tradeoffs: xr.Dataset) -> xr.DataArray:
    """(part, ...): shares of the loss at ignored features, due to bias and length, and interference, off and on."""
    parts = tradeoffs.part_of_loss.transpose("part", ...)
    return parts / parts.sum("part", skipna=False)


def interference_share(tradeoffs: xr.Dataset) -> xr.DataArray:
    return shares(tradeoffs).sel(part=list(PARTS[2:])).sum("part", skipna=False)


# -------------------------------------------------------------------------------------------------------------- figures
def interference_and_capacity(tradeoffs: xr.Dataset) -> Figure:
    """ReLU autoencoders under losses |error|^power. Top: capacity of each feature against its importance, one colour a
    density p; lines are means over seeds, dots are seeds. Bottom: shares of the loss, mean and range over seeds,
    against 1/p: all at ignored features (capacity up to .02); what bias and length leave at each other feature active
    by itself; what the others add to that, which is interference, where the feature is off and on. The four sum to the
    loss. Interference is negative where it makes up for a bias. Models that have not converged are kept."""
    powers, p = tradeoffs.power.values, tradeoffs.p.values
    figure, axes = draw.panels(2, len(powers), height=4.4, sharey="row", squeeze=False)
    split = shares(tradeoffs).transpose("part", "power", "p", "seed")
    for (top, bottom), power in zip(axes.T, powers, strict=True):
        for q, colour in zip(p, draw.feature_colours(p.size), strict=True):
            C = tradeoffs.C.sel(power=power, p=q).transpose("feature", "seed")
            draw.cloud(top, tradeoffs.importance.values[:, None], C, colour=colour, ms=1.4)
            top.plot(tradeoffs.importance, C.mean("seed"), lw=1.1, color=colour, label=f"$p={q:g}$")
        top.set(xscale="log", xlabel="importance $I_i$", title=f"power {power:g}")
        for part, colour in zip(PARTS, ("0.6", draw.BLUE, draw.ORANGE, draw.GREEN), strict=True):
            values = split.sel(part=part, power=power)
            draw.band(bottom, 1 / p, over_seeds(values), label=part, colour=colour, marker="o", ms=2.5)
        bottom.set(xscale="log", xlabel="$1/p$")
    axes[0, 0].set_ylabel("capacity $C_i$")
    axes[1, 0].set_ylabel("share of the loss")
    marks = {"a seed": draw.key("", marker="o", ms=2.5), "range of seeds": draw.shade()}
    draw.legend_below(figure, axes, marks, columns=5)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def capacity_is_spent_by_importance(tradeoffs: xr.Dataset) -> Iterator[Finding]:
    """More important features have more capacity, at every density and exponent; all of it is spent."""
    first, last = quarters(tradeoffs.C)
    said = ours(f"limit; {PAPER}: capacity goes where it saves most loss")
    what = "capacity of the most important quarter of the features less that of the least important one"
    for power in tradeoffs.power.values.tolist():
        for p in tradeoffs.p.values.tolist():
            more, at = mean((first - last).sel(power=power, p=p)), {"power": power, "p": p}
            yield Finding("by-importance", f"power {power:g}, p = {p:g}: {what}", more, AtLeast(0.1), said, settings=at)
    used = tradeoffs.C.sum("feature", skipna=False) / tradeoffs.m
    yield report("capacity-used", "sum of capacities / number of dimensions", mean(used))


def exponents_spread_capacity(tradeoffs: xr.Dataset) -> Iterator[Finding]:
    """The fourth power spreads capacity over more features than the square, paired by seed."""
    number, (low, high) = effective(tradeoffs.C), (int(end) for end in tradeoffs.power.values[[0, -1]])
    said = ours("limit; large errors weigh more, and ignored features have the largest")
    for p in tradeoffs.p.values.tolist():
        more = mean((number.sel(power=high) - number.sel(power=low)).sel(p=p))
        what = f"p = {p:g}: features that share the capacity, (sum C)^2 / sum C^2, power {high} minus power {low}"
        yield Finding("spread", what, more, AtLeast(0.5), said, settings={"p": p})
    yield report("sharing", "features that share the capacity, (sum C)^2 / sum C^2", mean(number))


def what_the_loss_is_made_of(tradeoffs: xr.Dataset) -> Iterator[Finding]:
    """Shares of the loss: interference weighs at every setting; what is ignored costs less of it where it is sparse."""
    split, total = shares(tradeoffs), interference_share(tradeoffs)
    ignored = split.sel(part=PARTS[0], drop=True)
    least, said = ours("limit: a tenth"), ours("limit; a guess: the sparser, the more are kept")
    for power in tradeoffs.power.values.tolist():
        for p in tradeoffs.p.values.tolist():
            what, at = f"power {power:g}, p = {p:g}: share of the loss that is interference", {"power": power, "p": p}
            yield Finding("interference-weighs", what, mean(total.sel(at)), AtLeast(0.1), least, settings=at)
        moved = ignored.sel(power=power).isel(p=-1) - ignored.sel(power=power).isel(p=0)
        ends = f"{float(tradeoffs.p[-1]):g} minus that at {float(tradeoffs.p[0]):g}"
        what = f"power {power:g}: share of the loss at ignored features at p = {ends}"
        yield Finding("ignored-less", what, mean(moved), AtMost(-0.1), said, settings={"power": power})
        for part in PARTS:
            own, at = mean(split.sel(power=power, part=part, drop=True)), {"power": power, "part": part}
            yield report("share", f"power {power:g}: share of the loss, {part}", own, settings=at)


experiment = Experiment(
    question="How do models trade interference against capacity, over importance, density and exponent?",
    source="Scherlis et al. 2022, arXiv 2210.01892; Elhage et al. 2022",
    sweeps={"models": models},
    scales={"tiny": tiny, "full": full},
    readings=[tradeoffs],
    figures=[interference_and_capacity],
    findings=[capacity_is_spent_by_importance, exponents_spread_capacity, what_the_loss_is_made_of],
    cost="80 features in 20 dimensions, 20,000 steps: about two hours on two CPU cores",
    claims=[
        Claim(
            "B1",
            "Models give capacity to features by importance at every density and exponent of the loss; the fourth "
            "power spreads it over more features than the square; interference is a tenth of the loss or more at all "
            "of them, and ignored features are a smaller share of it where features are sparse.",
            needs=["by-importance", "spread", "interference-weighs", "ignored-less"],
            figure="interference_and_capacity",
            note="The loss splits exactly into ignored features, bias and length, and interference where a feature is "
            "off and on. The question, how models trade one against the other, became these four sentences.",
        )
    ],
)
