"""Which methods find planted features, and as rays or as lines? Claims D1 and D2.

Every method sees the same observations h = sum_i x_i T_i and may return as many directions as a dictionary has latents
(SVD, PCA and ICA: as there are dimensions). A feature is found where the one-to-one matching gives it a direction with
cosine .9 or more: of a line, up to sign; of a ray, with its sign.
"""

from collections.abc import Iterator
from typing import Any

import jax
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
    Orthant,
    Orthonormal,
    PowerLaw,
    Record,
    ReluL1,
    Run,
    Sparse,
    Sweep,
    draw,
)
from toymodels.analysis import reference
from toymodels.analysis.recovery import FOUND, matched_cosines, mmcs, shuffled
from toymodels.claims import Claim
from toymodels.estimates import exact, mean
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Finding, Near, ours, report, stated
from toymodels.problems.dictionary import planted
from toymodels.theory.random_dictionaries import expected_best

SAE = "sparse autoencoder"
METHODS = (SAE, *reference.METHODS)
SPARSE = (SAE, "dictionary learning")
EXAMPLES = 500
"""Observations that a reference method sees; an autoencoder sees fresh ones at every step."""
N, D = 32, 16
data = Embedded(Sparse(N, PowerLaw(0.0, 0.05)), D, strength=PowerLaw(0.0))
base = Run(Dictionary(data, ReluL1(0.2), 48), Adam(Cosine(3e-3)), steps=2000, batch=128, record=Record(2, 2))


def sized(n: int, **more: Any) -> dict[str, Any]:
    return {"problem.data.features.n": n, "problem.width": 3 * n // 2, **more}


CROWDING = {"N/d = 1": sized(16), "N/d = 2": sized(32), "N/d = 4": sized(64)}
DENSITY = {f"p = {p:g}": {"problem.data.features.p": PowerLaw(0.0, p)} for p in (0.1, 0.2)}
NOISE = {f"noise = {s:g}": {"problem.data.noise": s} for s in (0.2,)}
UNEVEN = {"uneven strength": {"problem.data.strength": PowerLaw(0.5)}}
frequent = {"problem.data.features.p": PowerLaw(0.5, 0.2)}
FRAMES = {
    "orthonormal": sized(16, **frequent, **{"problem.data.frame": Orthonormal()}),
    "random": sized(16, **frequent),
    "random, twice as many": sized(32, **frequent),
    "orthant": sized(16, **frequent, **{"problem.data.frame": Orthant()}),
}
seeds = Axis("seed", "seed", range(20))
sweeps = {
    "settings": Sweep(base, [Choice("setting", CROWDING | DENSITY | NOISE | UNEVEN), seeds], planted),
    "frames": Sweep(base, [Choice("frame", FRAMES), seeds], planted),
}


# ------------------------------------------------------------------------------------------------------------- readings
def _found(swept: Swept, along: str) -> xr.Dataset:
    """Shares of features that each method finds as rays and as lines (each method's own signs, and those by skewness),
    among all and in the strongest and weakest quarter; the directions it returns; the same of shuffled directions."""
    decoder = swept.finite("decoder", snapshot=-1)
    shape = (decoder.sizes[along], decoder.sizes["seed"], len(METHODS))
    names = ("rays", "as_returned", "lines", "strong", "weak", "count", "shuffled_rays", "shuffled_mmcs", "chance")
    table = {name: np.full(shape, np.nan) for name in names}
    for i, label in enumerate(decoder[along].values):
        for j, seed in enumerate(decoder.seed.values.tolist()):
            law = swept.run(**{along: label, "seed": seed}).problem.data
            truth = np.asarray(law.directions(), np.float64)
            h = np.asarray(law.sample(jax.random.key(seed), EXAMPLES), np.float64)
            for k, method in enumerate(METHODS):
                found = (
                    decoder.values[i, j] if method == SAE else reference.METHODS[method](h, 3 * len(truth) // 2, seed)
                )
                found = found[np.isfinite(found).all(axis=1)]
                for name, value in _scores(truth, found, h, method, seed).items():
                    table[name][i, j, k] = value
    dims = (along, "seed", "by")
    coords = {along: decoder[along].values, "seed": decoder.seed.values, "by": list(METHODS)}
    return xr.Dataset({name: (dims, each) for name, each in table.items()}, coords, {"d": decoder.sizes["dimension"]})


def _scores(truth: np.ndarray, found: np.ndarray, h: np.ndarray, method: str, seed: int) -> dict[str, float]:
    signed = found if method in (SAE, "NMF") else reference.oriented(found, h)
    own = matched_cosines(truth, signed, signed=True) >= FOUND
    quarter, control = len(truth) // 4, shuffled(found, seed)
    return {
        "rays": own.mean(),
        "as_returned": (matched_cosines(truth, found, signed=True) >= FOUND).mean(),
        "lines": (matched_cosines(truth, found) >= FOUND).mean(),
        "strong": own[:quarter].mean(),
        "weak": own[-quarter:].mean(),
        "count": len(found),
        "shuffled_rays": (matched_cosines(truth, control, signed=True) >= FOUND).mean(),
        "shuffled_mmcs": mmcs(truth, control, signed=True),
        "chance": expected_best(len(found), truth.shape[1], signed=True),
    }


def recovered(settings: Swept) -> xr.Dataset:
    """Of each method, setting and seed: what `_found` says."""
    return _found(settings, "setting")


def rays(frames: Swept) -> xr.Dataset:
    """Of each method, frame and seed: what `_found` says."""
    return _found(frames, "frame")


# -------------------------------------------------------------------------------------------------------------- figures
def _bars(ax: Any, values: xr.DataArray, along: str) -> None:
    places = np.arange(values.sizes[along])
    offsets = draw.shifts(values.sizes["by"])
    for method, shift, colour in zip(values.by.values, offsets, draw.PALETTE, strict=False):
        estimates = mean(values.sel(by=method).transpose(along, "seed")).estimates
        draw.points(ax, places + 0 * shift, estimates, label=str(method), shift=shift, colour=colour)
    ax.set_ylim(-0.04, 1.04)


def recovery_by_setting(recovered: xr.Dataset) -> Figure:
    """Share of planted features that each method finds, one to one, with cosine .9 or more; mean over seeds with its
    95 % interval. N/d = 1, 2, 4: features per dimension (p = .05); the other settings change one thing at N/d = 2: the
    probability p, the standard deviation of the noise in each dimension, or strengths, which fall from feature to
    feature."""
    figure, ax = draw.panels(height=2.9)
    _bars(ax, recovered.rays, "setting")
    draw.ticks(
        ax,
        "x",
        range(recovered.sizes["setting"]),
        [str(each).replace(" str", "\nstr") for each in recovered.setting.values],
    )
    ax.set(ylabel="features found")
    draw.legend_below(figure, ax, {"95 % interval": draw.whisker()})
    return figure


def rays_and_lines(rays: xr.Dataset) -> Figure:
    """Features that are never negative. Share of them that each method finds as lines (a, up to sign), and as rays (b,
    with the signs that the method returns); mean over seeds with its 95 % interval. Orthant: no direction has a
    negative coordinate, so the observations have none."""
    figure, axes = draw.panels(1, 2, height=2.9, sharey=True)
    for ax, name, title in zip(axes, ("lines", "as_returned"), ("as lines", "as rays, signs as returned"), strict=True):
        _bars(ax, rays[name], "frame")
        labels = [str(each).replace(", ", ",\n") for each in rays.frame.values]
        draw.ticks(ax, "x", range(rays.sizes["frame"]), labels)
        ax.set(title=title)
    axes[0].set_ylabel("features found")
    draw.legend_below(figure, axes[0], {"95 % interval": draw.whisker()})
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def only_sparse_coding_finds_more(recovered: xr.Dataset) -> Iterator[Finding]:
    """With twice as many features as dimensions."""
    crowded = recovered.sel(setting="N/d = 2")
    for method in ("uncentred SVD", "PCA"):
        here, at = crowded.sel(by=method), {"method": method}
        most, why = exact(recovered["count"].sel(by=method).max().item()), stated("linear algebra: the rank")
        yield Finding(
            "at-most-rank", f"{method}: directions returned, at most", most, AtMost(recovered.d), why, "check", at
        )
        what = f"{method}, N/d = 2: share of features found"
        yield Finding("spectral-finds-none", what, mean(here.lines), AtMost(0.05), ours("one in twenty"), settings=at)
    for method in SPARSE:
        here, at = crowded.sel(by=method), {"method": method}
        what = f"{method}, N/d = 2: share of features found"
        yield Finding("sparse-coding-finds", what, mean(here.rays), AtLeast(0.5), ours("half of them"), settings=at)
        what = f"{method}, N/d = 2, entries of each direction shuffled: share of features found"
        yield Finding("shuffled-control", what, mean(here.shuffled_rays), AtMost(0.02), ours("must fail"), settings=at)
        what = f"{method}, N/d = 2, shuffled: MMCS over that of random directions, exactly"
        ratio, why = mean(here.shuffled_mmcs / here.chance), ours("quadrature; tolerance")
        yield Finding("shuffled-at-chance", what, ratio, Near(1, within=0.05), why, settings=at)


def recovery_falls(recovered: xr.Dataset) -> Iterator[Finding]:
    """How recovery falls with crowding, density, noise and strength, method by method."""
    settings = recovered.setting.values.tolist()
    for method in METHODS:
        here = recovered.sel(by=method)
        for setting in settings:
            at = {"method": method, "setting": setting}
            yield report(
                "recall", f"{method}, {setting}: share found as rays", mean(here.rays.sel(setting=setting)), settings=at
            )
    why = ours("one feature in ten")
    for method in SPARSE:
        here, reference_ = recovered.sel(by=method), recovered.rays.sel(by=method, setting="N/d = 2")
        falls = {
            "crowding": here.rays.sel(setting="N/d = 1") - here.rays.sel(setting="N/d = 4"),
            "density": reference_ - here.rays.sel(setting="p = 0.2"),
            "noise": reference_ - here.rays.sel(setting="noise = 0.2"),
            "strength": here.strong.sel(setting="uneven strength") - here.weak.sel(setting="uneven strength"),
        }
        for name, fall in falls.items():
            at, what = {"method": method, "with": name}, f"{method}: fall of the share found with {WITH[name]}"
            yield Finding("recovery-falls", what, mean(fall), AtLeast(0.1), why, settings=at)


WITH = {
    "crowding": "N/d from 1 to 4",
    "density": "p from .05 to .2",
    "noise": "noise .2",
    "strength": "strength, strongest to weakest quarter",
}


def rays_are_found(rays: xr.Dataset) -> Iterator[Finding]:
    """As rays: with the sign that a method itself returns."""
    for frame in rays.frame.values.tolist():
        for method in METHODS:
            here, at = rays.sel(frame=frame, by=method), {"method": method, "frame": frame}
            title = f"{method}, {frame}"
            if method == SAE:
                what, why = f"{title}: share of features found as rays", ours("most of them")
                yield Finding("rays-found", what, mean(here.as_returned), AtLeast(0.5), why, settings=at)
            elif method in ("uncentred SVD", "PCA"):
                what, why = f"{title}: share of features found as rays", ours("most of them are not")
                yield Finding("rays-missed", what, mean(here.as_returned), AtMost(0.5), why, settings=at)
            elif method == "ICA" and frame != "random, twice as many":
                what = f"{title}: of the features found as lines, the share whose sign is right as returned"
                signs, coin = mean(here.as_returned / here.lines.where(here.lines > 0)), ours("a coin; tolerance")
                yield Finding("signs-by-chance", what, signs, Near(0.5, within=0.15), coin, settings=at)
            yield report("lines", f"{title}: share found as lines", mean(here.lines), settings=at)
            yield report(
                "rays", f"{title}: share found as rays, signs as returned", mean(here.as_returned), settings=at
            )
            yield report("rays-by-skewness", f"{title}: the same, signs by skewness", mean(here.rays), settings=at)


experiment = Experiment(
    question="Which methods find features, more of them than dimensions, and with their signs?",
    source="ours, on the toy of Sharkey et al. 2022",
    sweeps=sweeps,
    scales={
        "tiny": {"seed": range(2), "steps": 200, "batch": 64},
        "full": {"problem.data.d": 64, "steps": 10_000},
    },
    readings=[recovered, rays],
    figures=[recovery_by_setting, rays_and_lines],
    findings=[only_sparse_coding_finds_more, recovery_falls, rays_are_found],
    claims=[
        Claim(
            "D1",
            "SVD and PCA cannot return more directions than the rank and find no overcomplete features; sparse coding "
            "does, and finds fewer with more features per dimension, less sparsity, more noise and less strength.",
            ["at-most-rank", "spectral-finds-none", "sparse-coding-finds", "shuffled-control", "recovery-falls"],
            "recovery_by_setting",
            ["settings.problem.coder=TopK(2)", "settings.problem.data.features.value=Constant(0.5)"],
            "Sparse coding is a ReLU + L1 autoencoder, or online dictionary learning on 500 observations.",
        ),
        Claim(
            "D2",
            "Of features that are never negative a sparse autoencoder recovers most as rays; uncentred SVD and PCA do "
            "not, and ICA, which finds as many as there are dimensions, finds lines whose signs are chance.",
            ["rays-found", "rays-missed", "signs-by-chance"],
            "rays_and_lines",
            note="Any line gets its sign by the skewness of what is observed along it. NMF is run on observations less "
            "their minimum, for features in general position do not give what it needs.",
        ),
    ],
    cost="6 programs, 220 cells of 2,000 steps, and 220 fits of each reference method: about four minutes",
    extra="reference",
)
