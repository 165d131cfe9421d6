"""Groups that do not interfere lie in orthogonal subspaces: how close do packings and trained models come, by loss?

Packings of two groups of vectors pay a penalty on the pairs across. Autoencoders of two sets of features, at most one
of each set on, pay by themselves: within a set a ReLU silences what interferes, across sets it cannot.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import (
    Adam,
    Anticorrelated,
    Axis,
    Cosine,
    Grouped,
    PowerError,
    Record,
    Run,
    Supervised,
    Sweep,
    Tied,
    draw,
)
from toymodels.analysis.geometry import tegum_factors
from toymodels.analysis.labelled import each_model
from toymodels.claims import Claim
from toymodels.estimates import exact, mean, median, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Finding, Near, ours, report
from toymodels.shapes.packing import cosines
from toymodels.theory.cross_interference import best_split, closing_exponent, overlap_bound, span_overlap

JERMYN = "Jermyn 2022, on tegum products: no interference between groups means orthogonal subspaces"
ZERO, SEPARATE = 1e-4, 0.05
"""Root mean square of the cosines across groups up to which they count as zero, of packings, and as separate, of models
that are trained on draws: these leave about .001, models that are not separate .1 and more."""
FITTED = (30.0, 100.0)
"""Penalties between which the slope is taken."""

packed = Run(Grouped(12, 4, 2), Adam(Cosine(0.05)), steps=3000, record=Record(20, 2))
penalties = [1.0, 3.0, 10.0, 30.0, 100.0]
penalised = Sweep(
    packed,
    [
        Axis("power", "problem.power", [1.5, 2, 3, 4]),
        Axis("penalty", "problem.penalty", penalties),
        Axis("seed", "seed", range(64)),
    ],
)
sets = Supervised(Anticorrelated(2, 5, 0.1), Tied(4), PowerError(2.0))
trained = Sweep(
    Run(sets, Adam(Cosine(1e-2)), 3000, 512, record=Record(20, 2)),
    [
        Axis("power", "problem.loss.power", [2, 3, 4]),
        Axis("p", "problem.data.p", [0.05, 0.1, 0.2]),
        Axis("seed", "seed", range(32)),
    ],
)
tiny = {"seed": range(4), "penalised.steps": 800, "trained.steps": 400, "penalty": [3.0, 30.0, 100.0], "p": [0.05, 0.2]}
full = {"seed": range(256), "steps": 20_000}


# ------------------------------------------------------------------------------------------------------------- readings
def packings(penalised: Swept) -> xr.Dataset:
    """Of every packing that has converged: cosines across its groups, the overlap of their spans, its bound."""
    problem = penalised.sweep.base.problem
    V = penalised.final("V").rename(dimension="hidden")
    return _spans(V, np.arange(problem.n) // (problem.n // problem.groups))


def autoencoders(trained: Swept) -> xr.Dataset:
    """The same of every autoencoder, converged or not; whether no orthogonal factor has features of two sets."""
    data, W = trained.sweep.base.problem.data, trained.final("W", unconverged=True)
    return _spans(W, np.arange(data.n) // data.size)


def _spans(W: xr.DataArray, group: np.ndarray) -> xr.Dataset:
    """Of the first two groups, whose leading subspaces share all dimensions so that they overlap least; NaN for models
    that are lost."""
    across = group[:, None] != group

    def of_one(rows: np.ndarray) -> np.ndarray:
        A, B = rows[group == 0], rows[group == 1]
        cross = np.sqrt((cosines(rows)[across] ** 2).mean())
        factors = tegum_factors(rows, tol=0.1, dead=0.05).factors
        apart = all(len(set(group[factor.members].tolist())) == 1 for factor in factors)
        ranks = best_split(A, B)
        return np.array([cross, span_overlap(A, B, ranks), overlap_bound(A, B, ranks), float(apart)])

    found = each_model(of_one, W, outputs=["quantity"])
    names = ("cross", "overlap", "bound", "tegum")
    return xr.Dataset({name: found.isel(quantity=place) for place, name in enumerate(names)})


# -------------------------------------------------------------------------------------------------------------- figures
def closeness(packings: xr.Dataset, autoencoders: xr.Dataset) -> Figure:
    """How close groups come to orthogonal subspaces. a: packings of two groups that pay a penalty on |cos|^power across
    groups: root mean square of the cosines across, a dot a seed, powers side by side, with lines of the predicted slope
    -1 / (power - 2); on the floor below 1e-8. b: the largest cosine between the spans of the groups against that, all
    models. c: autoencoders of two sets of five anticorrelated features in four dimensions under losses |error|^power:
    cosines across sets against the density p of a feature, a dot a seed, and the cosine up to which the sets count as
    separate."""
    figure, (left, middle, right) = draw.panels(1, 3, height=2.8)
    colours = dict(zip(packings.power.values.tolist(), draw.PALETTE, strict=False))
    dots: dict[str, Any] = {"ms": 2.6, "alpha": 0.6}
    keys: dict[str, Any] = {}
    for (power, colour), aside in zip(colours.items(), 0.16 * draw.shifts(len(colours), 1.0), strict=True):
        one, x = packings.cross.sel(power=power).clip(min=1e-8), packings.penalty.values * np.exp(aside)
        draw.cloud(left, draw.aside(x, one.sizes["seed"], 0.05), one, colour=colour, **dots)
        keys[f"packing, power {power:g}"] = draw.key("", colour, marker="o", ms=4)
        if power > 2:
            through = np.exp(np.log(one.sel(penalty=FITTED[0], method="nearest")).mean())
            end = np.array([FITTED[0] / 3, FITTED[1] * 1.3])
            draw.theory(left, end, float(through) * (end / FITTED[0]) ** closing_exponent(power), "predicted slope (a)")
        draw.cloud(middle, one, packings.overlap.sel(power=power).clip(min=1e-8), colour=colour, **dots)
    draw.theory(middle, [1e-8, 1], [1e-8, 1], "equal (b)", dash="-")
    powers = autoencoders.power.values.tolist()
    for power, shift, colour in zip(powers, (-0.12, 0, 0.12), draw.PALETTE[4:], strict=False):
        one, x = autoencoders.cross.sel(power=power), autoencoders.p.values * np.exp(shift)
        draw.cloud(right, draw.aside(x, one.sizes["seed"], 0.04), one, colour=colour, **dots)
        draw.cloud(middle, one, autoencoders.overlap.sel(power=power), colour=colour, **dots)
        keys[f"autoencoder, power {power:g}"] = draw.key("", colour, marker="o", ms=4)
    right.axhline(SEPARATE, color=draw.THEORY, ls=draw.DOTTED, lw=0.8, label="separate below (c)")
    draw.log_axis(right, "x", at=autoencoders.p.values)
    draw.log_axis(left, "x", at=packings.penalty.values)
    labels = ("penalty across groups", "rms cosine"), ("rms cosine", "largest cosine of spans")
    for ax, (x_label, y_label) in zip((left, middle, right), (*labels, ("$p$", "rms cosine")), strict=True):
        ax.set(yscale="log", xlabel=x_label, ylabel=y_label)
    middle.set(xscale="log")
    draw.legend_below(figure, [left, middle, right], keys, columns=4)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def spans_are_disjoint(packings: xr.Dataset, autoencoders: xr.Dataset) -> Iterator[Finding]:
    """The theorem on all models, and what it says of packings whose cosines across are zero."""
    for name, found in (("packings", packings), ("autoencoders", autoencoders)):
        over = exact(float((found.overlap - found.bound).max()))
        what = f"{name}: largest cosine between the spans of two groups less its bound, most of {found.cross.size}"
        yield Finding("overlap-bounded", what, over, AtMost(1e-6), ours("proved; rounding"), "check", {"of": name})
    zero = packings.where(packings.cross <= ZERO)
    what = f"largest cosine between the spans of {int(zero.cross.count())} packings with none across, up to {ZERO:g}"
    yield Finding("disjoint-when-zero", what, exact(float(zero.overlap.max())), AtMost(1e-3), ours(JERMYN), "check")


def how_close_packings_come(packings: xr.Dataset) -> Iterator[Finding]:
    """Up to power 2 the cosines across are zero at a finite penalty; above they close with a power of it."""
    penalised = packings.sel(penalty=packings.penalty[packings.penalty >= 3])
    for power in packings.power.values.tolist():
        one, at = penalised.cross.sel(power=power), {"power": power}
        if power <= 2:
            what = f"power {power:g}: share of packings without cosines across, up to {ZERO:g}, at penalties from 3 on"
            zero = (one.max("penalty") <= ZERO).where(one.notnull().any("penalty"))
            yield Finding(
                "zero-up-to-two", what, share(zero), AtLeast(0.8), ours("limit; power 2: derived"), settings=at
            )
            continue
        what = f"power {power:g}: share of packings without cosines across, up to {ZERO:g}, at the largest penalty"
        zero = (one.isel(penalty=-1) <= ZERO).where(one.isel(penalty=-1).notnull())
        yield Finding("never-zero-above", what, share(zero), AtMost(0.2), ours("limit; proved: never"), settings=at)
        ends = [one.sel(penalty=end, method="nearest") for end in FITTED]
        slope = np.log(ends[1] / ends[0]) / np.log(float(ends[1].penalty / ends[0].penalty))
        what = f"power {power:g}: slope of ln cosine across against ln penalty, {FITTED[0]:g} to {FITTED[1]:g}"
        said, expected = ours("-1 / (power - 2), derived; tolerance"), closing_exponent(power)
        revised = "was the mean; now the median, as a seed that ends in another packing at one penalty has no slope"
        rate, near = median(slope), Near(expected, within=0.1)
        yield Finding("closing-rate", what, rate, near, said, settings=at, revised=revised)


def how_close_models_come(autoencoders: xr.Dataset) -> Iterator[Finding]:
    """Models whose sets are separate are tegum products of them; whether the exponent decides if they are."""
    separate = (autoencoders.cross <= SEPARATE).where(autoencoders.cross.notnull())
    for power in autoencoders.power.values.tolist():
        flags, at = separate.sel(power=power), {"power": power}
        of_separate = autoencoders.tegum.sel(power=power).where(flags == 1)
        what = f"power {power:g}: share of autoencoders with separate sets of which no factor joins the two"
        whole = (of_separate.min("p")).where(of_separate.notnull().any("p"))
        yield Finding("tegum-when-separate", what, share(whole), AtLeast(0.8), ours(f"limit; {JERMYN}"), settings=at)
        yield report(
            "separate", f"power {power:g}: share of autoencoders with separate sets", share(flags), settings=at
        )
        yield report("cross", f"power {power:g}: cosine across", mean(autoencoders.cross.sel(power=power)), settings=at)
    low, high = autoencoders.power.values[[0, -1]]
    for p in autoencoders.p.values.tolist():
        more = mean((separate.sel(power=high) - separate.sel(power=low)).sel(p=p))
        what = f"p = {p:g}: share of autoencoders with separate sets, power {high:g} minus power {low:g}"
        yield Finding(
            "exponent-decides", what, more, AtLeast(0.5), ours("limit: half of the models"), settings={"p": p}
        )


experiment = Experiment(
    question="Does interference of exactly zero between groups force disjoint subspaces, and how close do losses come?",
    source="Jermyn 2022, on tegum products",
    sweeps={"penalised": penalised, "trained": trained},
    scales={"tiny": tiny, "full": full},
    readings=[packings, autoencoders],
    figures=[closeness],
    findings=[spans_are_disjoint, how_close_packings_come, how_close_models_come],
    cost="256 seeds of 20,000 steps: about an hour on two CPU cores",
    claims=[
        Claim(
            "B4",
            "Groups without interference across lie in orthogonal subspaces: models whose cross-interference vanishes "
            "are tegum products, and the exponent of the loss decides how close they come.",
            needs=[
                "overlap-bounded",
                "disjoint-when-zero",
                "zero-up-to-two",
                "never-zero-above",
                "closing-rate",
                "tegum-when-separate",
                "exponent-decides",
            ],
            figure="closeness",
            note="Exactly zero is a theorem, checked on every model. Packings close in with the penalty to the power "
            "-1 / (power - 2) above 2, and are there at a finite penalty up to 2.",
        )
    ],
)
