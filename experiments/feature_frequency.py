"""Which features does a sparse autoencoder learn first, and which does it recover well? Claim D5.

Features along random unit vectors, twice as many as dimensions. Either some are more frequent than others (p ~ 1/i), or
all are as frequent and some are stronger (|T_i| ~ i^-1/2, so that the variance falls as 1/i too).
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import (
    Adam,
    Axis,
    Choice,
    Cosine,
    Dictionary,
    Embedded,
    PowerLaw,
    Record,
    ReluL1,
    Run,
    Sparse,
    Sweep,
    TopK,
    draw,
)
from toymodels.analysis.labelled import rank_correlation
from toymodels.analysis.recovery import FOUND, best_cosines, matched_cosines
from toymodels.claims import Claim
from toymodels.estimates import mean
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, Finding, ours, report
from toymodels.laws import per_feature
from toymodels.problems.dictionary import planted

UNEVEN = {
    "frequency": {"problem.data.features.p": PowerLaw(1.0, 0.4), "problem.data.strength": PowerLaw(0.0)},
    "strength": {"problem.data.features.p": PowerLaw(0.0, 0.06), "problem.data.strength": PowerLaw(0.5)},
}
NEVER = np.inf
data = Embedded(Sparse(32, PowerLaw(1.0, 0.4)), 16, strength=PowerLaw(0.0))
base = Run(Dictionary(data, ReluL1(0.2), 48), Adam(Cosine(3e-3)), steps=2000, batch=128, record=Record(24, 24))
CODERS = {"ReLU + L1": ReluL1(0.2), "TopK": TopK(2)}
axes = [
    Choice("coder", {name: {"problem.coder": coder} for name, coder in CODERS.items()}),
    Choice("uneven", UNEVEN),
    Axis("seed", "seed", range(32)),
]
QUARTERS = 4


# ------------------------------------------------------------------------------------------------------------- readings
def features(dictionaries: Swept) -> xr.Dataset:
    """Of each feature: the best cosine of any latent with it over training, as rays; that of its own latent at the end;
    the first step at which the best is .9 or more, infinite where there is none; its share of the variance."""
    decoder = dictionaries.finite("decoder").transpose("coder", "uneven", "seed", "snapshot", "latent", "dimension")
    cells, grid = decoder.shape[:3], decoder.coords
    n = dictionaries.sweep.base.problem.data.features.n
    best, own, share = np.empty((*cells, decoder.sizes["snapshot"], n)), np.empty((*cells, n)), np.empty((*cells, n))
    for place in np.ndindex(cells):
        labels = {dim: grid[dim].values[k] for dim, k in zip(("coder", "uneven", "seed"), place, strict=True)}
        law = dictionaries.run(**labels).problem.data
        truth, p = np.asarray(law.directions()), np.asarray(per_feature(law.features.p, n))
        best[place] = [best_cosines(truth, found, signed=True) for found in decoder.values[place]]
        own[place] = matched_cosines(truth, decoder.values[place][-1], signed=True)
        weight = (p / 3 - p**2 / 4) * (truth**2).sum(1)
        share[place] = weight / weight.sum()
    dims, hit = ("coder", "uneven", "seed"), best >= FOUND
    steps = np.where(hit.any(3), decoder.snapshot.values[hit.argmax(3)], NEVER)
    found = {"best": ((*dims, "snapshot", "feature"), best), "own": ((*dims, "feature"), own)}
    found |= {"learned": ((*dims, "feature"), steps), "share": ((*dims, "feature"), share)}
    note = dictionaries.left_out("shown")
    return xr.Dataset(found, {dim: grid[dim] for dim in (*dims, "snapshot")}, attrs={"left_out": note})


def quarters(values: xr.DataArray) -> xr.DataArray:
    """Means over the features of each quarter, the most important ones first."""
    size = values.sizes["feature"] // QUARTERS
    return values.coarsen(feature=size, boundary="trim").mean().rename(feature="quarter")


# -------------------------------------------------------------------------------------------------------------- figures
def learned_by_importance(features: xr.Dataset) -> Figure:
    """Sparse autoencoders on planted features; top: features that differ in frequency, bottom: in strength. Left: share
    of the features of each quarter, the most important first, that are learned (cosine .9 or more with some latent)
    over training. Right: error 1 - cos of each feature against its share of the variance, every seed a dot, medians as
    lines."""
    figure, axes = draw.panels(2, 2, height=4.4, sharex="col")
    colours = draw.feature_colours(QUARTERS)
    for row, uneven in zip(axes, features.uneven.values, strict=True):
        here = features.sel(uneven=uneven)
        for coder, dash in zip(here.coder.values, ("-", "--"), strict=False):
            share = quarters((here.best.sel(coder=coder) >= FOUND).astype(float)).mean("seed").transpose("quarter", ...)
            for k, (line, colour) in enumerate(zip(share, colours, strict=True)):
                name = f"quarter {k + 1}" if dash == "-" else None
                row[0].plot(share.snapshot[1:], line[1:], ls=dash, color=colour, label=name)
        for coder, colour in zip(here.coder.values, (draw.BLUE, draw.ORANGE), strict=False):
            error, x = 1 - here.best.sel(coder=coder).isel(snapshot=-1), here.share.sel(coder=coder)
            draw.cloud(row[1], x.values.ravel(), error.values.ravel(), colour=colour, alpha=0.25, ms=1.5)
            row[1].plot(x.mean("seed"), error.median("seed"), color=colour, label=str(coder))
        row[0].set(ylabel=f"differ in {uneven}\nshare learned", xscale="log", ylim=(-0.03, 1.03))
        row[1].set(ylabel="error $1 - \\cos$", xscale="log", yscale="log")
    axes[1][0].set_xlabel("step")
    axes[1][1].set_xlabel("share of the variance")
    first, second = map(str, features.coder.values[:2])
    draw.legend(axes[0][0], {first: draw.key("-"), second: draw.key("--")}, loc="upper left")
    marks = {"median": draw.key("-"), "a seed": draw.key("", marker="o", ms=2.5)}
    draw.legend(axes[1][1], marks, loc="upper right")
    draw.excluded(axes[0][1], features.left_out)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def important_features_come_first(features: xr.Dataset) -> Iterator[Finding]:
    """Rank correlations over the features of a seed; a feature that is never learned is learned last."""
    end = features.best.isel(snapshot=-1)
    never = features.snapshot.max().item() + 1
    learned = features.learned.where(np.isfinite(features.learned), never).where(end.notnull())
    found = (end >= FOUND).where(end.notnull())
    why = ours("a correlation that is seen without a test")
    for coder in features.coder.values.tolist():
        for uneven in features.uneven.values.tolist():
            at = {"coder": coder, "uneven": uneven}
            title = f"{coder}, features that differ in {uneven}"
            early = -rank_correlation(features.share.sel(at), learned.sel(at), "feature")
            what = f"{title}: rank correlation of the share of the variance with how early a feature is learned"
            yield Finding("learned-first", what, mean(early), AtLeast(0.3), why, settings=at)
            worse = rank_correlation(features.share.sel(at), end.sel(at), "feature")
            what = f"{title}: rank correlation of the share of the variance with the cosine at the end"
            yield Finding("error-grows", what, mean(worse), AtLeast(0.3), why, settings=at)
            first, last = (quarters(found.sel(at)).isel(quarter=k, drop=True) for k in (0, -1))
            what = f"{title}: share recovered of the most important quarter minus that of the least important"
            fifth = ours("one feature in five")
            yield Finding("recovered-more", what, mean(first - last), AtLeast(0.2), fifth, settings=at)
            own = (features.own.sel(at) >= FOUND).mean("feature")
            yield report("matched", f"{title}: features with a latent of their own", mean(own), settings=at)


experiment = Experiment(
    question="Are frequent and strong features learned and recovered first?",
    source="ours, on the toy of Sharkey et al. 2022",
    sweeps={"dictionaries": Sweep(base, axes, planted)},
    scales={
        "tiny": {"seed": range(3), "steps": 200, "record.snapshots": 6, "record.losses": 6},
        "full": {"problem.data.d": 64, "problem.data.features.n": 128, "problem.width": 192, "steps": 10_000},
    },
    readings=[features],
    figures=[learned_by_importance],
    findings=[important_features_come_first],
    claims=[
        Claim(
            "D5",
            "The most frequent features are learned and recovered first, and recovery error grows as importance falls.",
            ["learned-first", "error-grows", "recovered-more"],
            "learned_by_importance",
            note="Importance is a feature's share of the variance, which frequency or strength sets.",
        )
    ],
    cost="2 programs, 128 cells of 2,000 steps: about a minute on two quiet cores",
)
