"""Does a dictionary find the features of a trained toy? Against dimensionality, factor and importance. Claim F3.

A toy of superposition is trained on sparse features of falling importance; its hidden states h = x W are then what a
sparse autoencoder and the reference methods learn from. What there is to find are the rows of W that the toy kept: a
feature counts as kept if |W_i| is half or more. Recovery is the best cosine of a latent with W_i, as rays.
"""

from collections.abc import Iterator

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import (
    Adam,
    Axis,
    Cosine,
    Dictionary,
    Geometric,
    Record,
    ReluL1,
    Run,
    Sparse,
    SquaredError,
    Supervised,
    Sweep,
    Tied,
    Written,
    draw,
    sweep,
)
from toymodels.analysis import reference
from toymodels.analysis.geometry import feature_dimensionality
from toymodels.analysis.labelled import rank_correlation
from toymodels.analysis.recovery import FOUND, best_cosines
from toymodels.claims import Claim
from toymodels.config import replace
from toymodels.estimates import mean
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, Finding, ours, report
from toymodels.problems.evaluation import importances
from toymodels.sweep import Choice

KEPT, ALONE = 0.5, 0.3
"""Length from which on a feature is kept; |cos| from which on two features interact."""
EXAMPLES = 500
METHODS = ("sparse autoencoder", "dictionary learning", "ICA")
WIDTH = 64
toy = Run(
    Supervised(Sparse(40, 0.05), Tied(16), SquaredError(Geometric(0.95))),
    Adam(Cosine(3e-3)),
    steps=4000,
    batch=512,
    record=Record(20, 2),
)
toys = Sweep(toy, [Axis("p", "problem.data.p", [0.02, 0.05, 0.1]), Axis("seed", "seed", range(20))])
decoder = Run(Dictionary(Written(Sparse(40, 0.05), np.eye(40, 16)), ReluL1(0.2), WIDTH), Adam(Cosine(3e-3)), 2000, 128)


# ------------------------------------------------------------------------------------------------------------- readings
def recovered(toys: Swept) -> xr.Dataset:
    """Of each feature of each toy: length, dimensionality, partners, importance, and its best cosine by each method.

    The dictionaries are a sweep whose data are the toys' weights: trained here, once, for it follows from the toys."""
    W = toys.finite("W", snapshot=-1).transpose("p", "seed", "feature", "hidden")
    cells = [(i, j) for i, j in np.ndindex(W.shape[:2]) if np.isfinite(W.values[i, j]).all()]
    features = toys.sweep.base.problem.data
    options = {
        f"{i},{j}": {
            "problem.data": Written(replace(features, {"p": float(W.p[i])}), W.values[i, j].astype(np.float32)),
            "seed": int(W.seed[j]),
        }
        for i, j in cells
    }
    base = replace(decoder, {"record": Record(2, 2), "problem.data": next(iter(options.values()))["problem.data"]})
    trained = sweep(Sweep(base, [Choice("toy", options)])).decoder.isel(snapshot=-1)
    best = np.full((len(METHODS), *W.shape[:3]), np.nan)
    for k, (i, j) in enumerate(cells):
        truth, seed = W.values[i, j], int(W.seed[j])
        data = options[f"{i},{j}"]["problem.data"]
        h = np.asarray(data.sample(jax.random.key(seed), EXAMPLES), np.float64)
        best[0, i, j] = best_cosines(truth, trained.values[k], signed=True)
        for m, method in enumerate(METHODS[1:], 1):
            found = reference.oriented(reference.METHODS[method](h, WIDTH, seed), h)
            best[m, i, j] = best_cosines(truth, found, signed=True)
    length = np.sqrt((W**2).sum("hidden", skipna=False))
    unit = W / length
    cosines = abs(xr.dot(unit, unit.rename(feature="other"), dim="hidden"))
    kept = (length >= KEPT).rename(feature="other")
    partners = ((cosines >= ALONE) & kept).sum("other") - 1
    dims = ("p", "seed", "feature")
    found = {"best": (("by", *dims), best), "length": length, "D": feature_dimensionality(W), "partners": partners}
    coords = {"by": list(METHODS), "importance": ("feature", importances(toys.sweep.base.problem))}
    return xr.Dataset(found, coords)


def kept_features(recovered: xr.Dataset) -> xr.DataArray:
    """The best cosines of the features that a toy kept; NaN for others."""
    return recovered.best.where(recovered.length >= KEPT)


# -------------------------------------------------------------------------------------------------------------- figures
def recovery_by_geometry(recovered: xr.Dataset) -> Figure:
    """Features of trained toys (40 in 16 dimensions) in dictionaries learned from hidden states, kept features only,
    every feature of every seed a dot. Error 1 - cos of the best latent of a sparse autoencoder (top) or direction of
    dictionary learning (bottom) against the feature's dimensionality D_i, its importance, and the number of features
    that it interacts with, |cos| of .3 or more, spread by up to .3 so that dots part. Dashed: an error of .1; features
    below it count as found; errors below 1e-6 on the floor."""
    figure, axes = draw.panels(2, 3, height=4.4, sharex="col", sharey="row")
    across = {"dimensionality $D_i$": recovered.D, "importance $I_i$": recovered.importance}
    across["partners"] = recovered.partners
    for row, method in zip(axes, recovered.by.values.tolist(), strict=False):
        error = (1 - kept_features(recovered).sel(by=method)).clip(min=1e-6)
        for ax, (name, x) in zip(row, across.items(), strict=True):
            series = {}
            for p, colour in zip(recovered.p.values.tolist(), draw.PALETTE, strict=False):
                here = error.sel(p=p)
                there = (x.sel(p=p) if "p" in x.dims else x).broadcast_like(here).transpose(*here.dims)
                apart = np.random.default_rng(0).uniform(-0.3, 0.3, there.shape) if name == "partners" else 0.0
                series[f"$p={p:g}$"] = (there.values + apart, here.values, colour)
            draw.clouds(ax, series, alpha=0.4, ms=2)
            ax.axhline(1 - FOUND, ls=draw.DASHED, color=draw.THEORY, lw=1)
            ax.set(yscale="log", xlabel=name)
        draw.log_axis(row[1], "x", [0.2, 0.5, 1])
        row[0].set_ylabel(f"{method}\nerror $1 - \\cos$")
    draw.legend_below(figure, axes[0][0], {f"error {1 - FOUND:.2g}: found below": draw.DASHED})
    draw.outer_labels(axes)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def geometry_decides(recovered: xr.Dataset) -> Iterator[Finding]:
    """Rank correlations over the kept features of a toy."""
    best, why = kept_features(recovered), ours("a correlation that is seen without a test")
    for method in recovered.by.values.tolist():
        for p in recovered.p.values.tolist():
            here, at = best.sel(by=method, p=p), {"method": method, "p": p}
            title = f"{method}, p = {p:g}: rank correlation of the best cosine with"
            across = {
                "dimensionality": (recovered.D.sel(p=p), "the dimensionality D_i"),
                "importance": (recovered.importance.broadcast_like(here), "the importance"),
                "isolation": (-recovered.partners.sel(p=p), "fewer features of |cos| .3 or more"),
            }
            for name, (x, words) in across.items():
                found = mean(rank_correlation(x.astype(float), here, "feature"))
                yield Finding(f"found-by-{name}", f"{title} {words}", found, AtLeast(0.3), why, settings=at)
            kept = here.notnull()
            share = (here >= FOUND).sum("feature") / kept.sum("feature").clip(min=1)
            yield report("found", f"{method}, p = {p:g}: share of kept features found", mean(share), settings=at)
    for p in recovered.p.values.tolist():
        number = (recovered.length.sel(p=p) >= KEPT).sum("feature").astype(float)
        yield report(
            "kept", f"p = {p:g}: features kept, of {recovered.sizes['feature']}", mean(number), settings={"p": p}
        )


experiment = Experiment(
    question="Does a dictionary find the features of a trained toy?",
    source="ours, on the toys of Elhage et al. 2022",
    sweeps={"toys": toys},
    scales={"tiny": {"seed": range(2), "steps": 200, "batch": 64}, "full": {"seed": range(100), "steps": 10_000}},
    readings=[recovered],
    figures=[recovery_by_geometry],
    findings=[geometry_decides],
    claims=[
        Claim(
            "F3",
            "A dictionary finds a feature of a trained toy the better the more of a dimension it has, the fewer "
            "features it interacts with, and the more important it is.",
            ["found-by-dimensionality", "found-by-importance", "found-by-isolation"],
            "recovery_by_geometry",
            note="The autoencoder sees fresh observations, the reference methods 500 of them. Toys that have not "
            "converged are judged with the others.",
        )
    ],
    cost="2 programs, 60 toys of 4,000 steps and as many dictionaries: about three minutes on two quiet cores",
    extra="reference",
)
