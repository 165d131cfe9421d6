"""Which sparse autoencoder finds which planted features, and what does its reconstruction tell?

Features along random unit vectors, twice as many as dimensions, 1.6 of them on at a time, under five laws that differ
in how they depend on each other. Every autoencoder has 64 latents: one for each ray of a feature of both signs. A
feature is found where the one-to-one matching gives it a latent with cosine .9 or more.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import (
    Adam,
    Axis,
    BatchTopK,
    Choice,
    Correlated,
    Cosine,
    Dictionary,
    Embedded,
    Hierarchy,
    JumpRelu,
    PowerLaw,
    Record,
    ReluL1,
    Run,
    Sparse,
    Sweep,
    TopK,
    Uniform,
    draw,
)
from toymodels.analysis.recovery import dead, fvu, score, uniqueness
from toymodels.estimates import mean
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Finding, ours, report
from toymodels.problems.dictionary import planted

N, D, WIDTH, P, HELD_OUT = 32, 16, 64, 0.05, 2000
ROWS = 8
LAWS = {
    "independent": Sparse(N, PowerLaw(0.0, P)),
    "power law": Sparse(N, PowerLaw(0.5, 0.16)),
    "correlated": Correlated(N // 2, 2, P),
    "hierarchical": Hierarchy(N // 2, 1, P * 4 / 3, 0.5),
    "both signs": Sparse(N, PowerLaw(0.0, P), Uniform(-1.0, 1.0)),
}
"""Of the power law .16 is the first feature's probability; the mean of all is .05 as elsewhere."""
CODERS: dict[str, dict[str, Any]] = {
    "ReLU + L1": {"problem.coder": ReluL1(0.2)},
    "tied": {"problem.coder": ReluL1(0.2), "problem.tied": True},
    "TopK": {"problem.coder": TopK(2)},
    "BatchTopK": {"problem.coder": BatchTopK(2.0), "problem.rows": ROWS, "batch": 128 // ROWS},
    "JumpReLU": {"problem.coder": JumpRelu(0.03)},
    "Matryoshka": {"problem.coder": TopK(2), "problem.prefixes": (WIDTH // 4, WIDTH // 2)},
}
base = Run(
    Dictionary(Embedded(Sparse(N, PowerLaw(0.0, P)), D), ReluL1(0.2), WIDTH),
    Adam(Cosine(3e-3)),
    steps=2000,
    batch=128,
    record=Record(2, 2),
)
seed = Axis("seed", "seed", range(20))
kinds = [Choice("coder", CODERS), Choice("law", {name: {"problem.data.features": law} for name, law in LAWS.items()})]
grid = [
    Axis("width", "problem.width", [16, 32, 64, 128]),
    Axis("penalty", "problem.coder.penalty", [0.01, 0.03, 0.1, 0.2, 0.4, 0.8]),
]
sweeps = {"coders": Sweep(base, [*kinds, seed], planted), "sizes": Sweep(base, [*grid, seed], planted)}


# ------------------------------------------------------------------------------------------------------------- readings
@jax.jit
def _coded(problem: Dictionary, params: dict[str, Any], h: Any) -> tuple[Any, Any]:
    codes = problem.encode(params, h)[0]
    return codes, problem.decode(params, codes)


def _scored(swept: Swept) -> xr.Dataset:
    """Of every autoencoder: precision, recall and F1 of its latents as rays; `unique` directions among them; `dead`
    latents; held-out `fvu`; latents that are on, `active`."""
    status = swept.data.status
    names = ("f1", "recall", "precision", "unique", "dead", "fvu", "active")
    table = {name: np.full(status.shape, np.nan) for name in names}
    params = {
        name: swept.finite(name, snapshot=-1).transpose(*status.dims, ...)
        for name in ("decoder", "encoder", "b_enc", "b_dec", "log_threshold")
        if name in swept.data
    }
    for place in np.ndindex(status.shape):
        labels = {str(dim): status[dim].values[k] for dim, k in zip(status.dims, place, strict=True)}
        run = swept.run(**labels)
        own = {name: values.values[place] for name, values in params.items()}
        for name, value in _of_one(run.problem, own, run.seed).items():
            table[name][place] = value
    coords = {dim: swept.data[dim] for dim in status.dims}
    return xr.Dataset({name: (status.dims, each) for name, each in table.items()}, coords)


def _of_one(problem: Dictionary, padded: dict[str, np.ndarray], seed: int) -> dict[str, float]:
    shapes = jax.eval_shape(problem.init, jax.random.key(0))
    own = {name: padded[name][tuple(map(slice, each.shape))] for name, each in shapes.items()}
    law = problem.data
    truth = np.asarray(law.directions(), np.float64)
    signs = law.features.value.quantile(jnp.zeros(())) < 0
    truth = np.concatenate([truth, -truth]) if signs else truth
    h = np.asarray(law.sample(jax.random.key(seed), HELD_OUT))
    codes, again = (np.asarray(each).T for each in _coded(problem, own, jnp.asarray(h.T)))
    found = np.where(dead(codes)[:, None], 0.0, own["decoder"])
    rated = score(truth, found, signed=True)
    return {
        "f1": rated.f1,
        "recall": rated.recall,
        "precision": rated.precision,
        "unique": uniqueness(truth, found, signed=True),
        "dead": dead(codes).mean(),
        "fvu": fvu(h, again),
        "active": (codes > 0).sum(1).mean(),
    }


def by_coder(coders: Swept) -> xr.Dataset:
    """What `_scored` says, by kind of autoencoder, law of the features and seed."""
    return _scored(coders)


def by_size(sizes: Swept) -> xr.Dataset:
    """What `_scored` says of ReLU + L1 on independent features, by width, penalty and seed."""
    return _scored(sizes)


# -------------------------------------------------------------------------------------------------------------- figures
def features_by_coder(by_coder: xr.Dataset) -> Figure:
    """Sparse autoencoders (colours) on planted features of five laws. a: share of the features (of their rays, where
    they have both signs) that have a latent of their own with cosine .9 or more. b: F1, which counts latents without a
    feature too. c: held-out fraction of variance unexplained. d: latents that are never on. Means over seeds with
    their 95 % intervals."""
    figure, axes = draw.panels(2, 2, height=4.4, sharex=True)
    labels = {"recall": "features found", "f1": "F1", "fvu": "FVU, held out", "dead": "dead latents"}
    laws = by_coder.law.values.tolist()
    shifts = draw.shifts(by_coder.sizes["coder"])
    for ax, (name, label) in zip(axes.flat, labels.items(), strict=True):
        for coder, shift, colour in zip(by_coder.coder.values.tolist(), shifts, draw.PALETTE, strict=False):
            each = mean(by_coder[name].sel(coder=coder).transpose("law", "seed")).estimates
            draw.points(ax, np.arange(len(laws)), each, label=coder, shift=shift, colour=colour)
        draw.ticks(ax, "x", range(len(laws)), [law.replace(" ", "\n") for law in laws])
        ax.set_ylabel(label)
        top = 1.05 if name in ("recall", "f1") else ax.get_ylim()[1]
        ax.set_ylim(-0.03 * top, top)
    draw.legend_below(figure, axes[0, 0], {"95 % interval": draw.whisker()}, columns=by_coder.sizes["coder"] + 1)
    return figure


def width_and_penalty(by_size: xr.Dataset) -> Figure:
    """ReLU + L1 on 32 independent features in 16 dimensions, by penalty and number of latents (colours). a: share of
    features found. b: F1. c: held-out fraction of variance unexplained, least where few features are found. d: latents
    that are on at a time; dashed: features that are. Means over seeds with their 95 % intervals."""
    figure, axes = draw.panels(1, 4, height=2.6)
    labels = {"recall": "features found", "f1": "F1", "fvu": "FVU, held out", "active": "latents on"}
    for ax, (name, label) in zip(axes, labels.items(), strict=True):
        for width, colour in zip(
            by_size.width.values.tolist(), draw.feature_colours(by_size.sizes["width"]), strict=True
        ):
            each = mean(by_size[name].sel(width=width).transpose("penalty", "seed")).estimates
            draw.points(ax, by_size.penalty.values, each, label=f"{width} latents", colour=colour, ls="-")
        ax.set(xlabel="penalty", ylabel=label, xscale="log")
    axes[2].set_yscale("log")
    axes[3].set_yscale("log")
    draw.levels(axes[3], [N * P], [""])
    draw.legend_below(figure, axes[0], {"features on": draw.DASHED, "95 % interval": draw.whisker()})
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def which_find_what(by_coder: xr.Dataset) -> Iterator[Finding]:
    """Recall and F1 of every kind under every law, and who finds what depends on others."""
    for coder in by_coder.coder.values.tolist():
        here = by_coder.sel(coder=coder)
        what, least = f"{coder}, independent features: share found", ours("a quarter; random directions find none")
        own, at = here.recall.sel(law="independent"), {"coder": coder}
        yield Finding("finds", what, mean(own), AtLeast(0.25), least, settings=at)
        what, least = f"{coder}: share found of independent features less that of correlated ones", ours("a tenth")
        fewer = mean(own - here.recall.sel(law="correlated"))
        yield Finding("fewer-where-correlated", what, fewer, AtLeast(0.1), least, settings=at)
        for law in by_coder.law.values.tolist():
            at = {"coder": coder, "law": law}
            for name, words in (("recall", "share found"), ("f1", "F1"), ("fvu", "held-out FVU")):
                yield report(name, f"{coder}, {law}: {words}", mean(here[name].sel(law=law)), settings=at)


def reconstruction_misleads(by_size: xr.Dataset) -> Iterator[Finding]:
    """The smallest penalty reconstructs best and finds least."""
    small = by_size.sel(penalty=by_size.penalty.min())
    usual = by_size.sel(penalty=0.2, method="nearest")
    for width in [each for each in by_size.width.values.tolist() if each >= N]:
        at, latents = {"width": width}, f"{width} latents, penalty {small.penalty:g} against {usual.penalty:g}"
        what, why = f"{latents}: ratio of held-out FVU", ours("a better reconstruction by a third or more")
        ratio = mean(small.fvu.sel(width=width) / usual.fvu.sel(width=width))
        yield Finding("reconstructs-better", what, ratio, AtMost(0.67), why, settings=at)
        what, why = f"{latents}: share of features found, less", ours("a fifth of the features")
        fewer = mean(usual.recall.sel(width=width) - small.recall.sel(width=width))
        yield Finding("finds-less", what, fewer, AtLeast(0.2), why, settings=at)


experiment = Experiment(
    question="Which sparse autoencoder finds which features, and does its reconstruction tell?",
    source="ours, on the toy of Sharkey et al. 2022",
    sweeps=sweeps,
    scales={
        "tiny": {"seed": range(2), "steps": 60, "width": [16, 64], "penalty": [0.01, 0.2]},
        "full": {"problem.data.d": 64, "problem.data.features": Sparse(128, PowerLaw(0.0, P / 4)), "steps": 10_000},
    },
    readings=[by_coder, by_size],
    figures=[features_by_coder, width_and_penalty],
    findings=[which_find_what, reconstruction_misleads],
    cost="22 programs, 1,080 cells of 2,000 steps: about five minutes on two quiet cores",
)
