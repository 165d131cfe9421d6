"""What a small autoencoder makes of few samples: memorising or features, and which features, where several fit."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Choice, Cosine, Finite, Paired, Record, Run, Sparse, Sweep, Tied, draw
from toymodels.analysis.geometry import feature_dimensionality
from toymodels.analysis.ranges import crossing
from toymodels.claims import Claim
from toymodels.config import replace
from toymodels.estimates import mean, of_draws, redrawn, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Below, Finding, ours, report

PAPER = "Henighan et al. 2023, Superposition, memorization, and double descent"
STARTS = {
    "random": {"problem.on_samples": 0.0, "problem.on_features": 0.0},
    "samples": {"problem.on_samples": 1.0},
    "features": {"problem.on_features": 1.0},
}
FEW, MANY = 8, 2048
"""Samples: memorised up to the one, and enough for features from the other on."""
BETWEEN = 32
"""Samples from which the features are expected to have the lower training loss."""


def _own_sample(run: Run) -> Run:
    """Another sample for each seed."""
    return replace(run, {"problem.draw": run.seed})


seeds = Axis("seed", "seed", range(20))
adam = Adam(Cosine(1e-2))
few = Run(Finite(Sparse(50, p=0.06), Tied(2, scale=0.3), samples=8, unit=True), adam, steps=2000, record=Record(12, 2))
sizes = Sweep(
    few, [Axis("T", "problem.samples", [4, 8, 32, 128, 512, 2048]), Choice("start", STARTS), seeds], _own_sample
)
pair = Run(Finite(Paired(6, p=0.1), Tied(6), samples=32), adam, steps=1500, record=Record(12, 2))
pairs = Sweep(
    pair,
    [
        Axis("T", "problem.samples", [32, 256]),
        Axis("scale", "problem.model.scale", [0.1, 1.0, 2.0]),
        Axis("broken", "problem.data.broken", [0.0, 0.03, 0.1, 0.3, 1.0]),
        seeds,
    ],
    _own_sample,
)
tiny = {"seed": range(2), "steps": 60, "sizes.T": [8, 32, 2048], "pairs.T": [32], "broken": [0.0, 0.1, 0.3, 1.0]}


# ------------------------------------------------------------------------------------------------------------- readings
def memories(sizes: Swept) -> xr.Dataset:
    """Loss on the sample and held out, over that of the means; largest, mean and spread of the dimensionalities of
    features and of samples."""
    W = sizes.final("W", unconverged=True).transpose("T", "start", "seed", "feature", "hidden")
    found = []
    for T in W["T"].values.tolist():
        for seed in W.seed.values.tolist():
            run = sizes.run(T=T, seed=seed, start="random")
            x, held = (np.asarray(run.problem.examples(each), np.float64) for each in (False, True))
            here = W.sel(T=T, seed=seed)
            sent = xr.DataArray(np.einsum("tn,snm->stm", x, here.values), dims=("start", "sample", "hidden"))
            D = {"feature": feature_dimensionality(here), "sample": _dimensionality(sent)}
            data = {f"{what}_{name}": _read(each, name) for what, each in D.items() for name in ("max", "mean", "std")}
            data["means"] = xr.DataArray(((held - held.mean(0)) ** 2).sum(1).mean())
            found.append(xr.Dataset(data).expand_dims(T=[T], seed=[seed]))
    models = xr.combine_by_coords(found, combine_attrs="drop").assign_coords(start=W.start)
    models = models.reindex(T=W["T"], seed=W.seed)
    for name, loss in (("train", "objective"), ("held", "held_out")):
        models[name] = sizes.finite(loss, step=-1) / models.means
    return models.assign_attrs(n=W.sizes["feature"], m=W.sizes["hidden"], note=sizes.left_out("shown"))


def _dimensionality(rows: xr.DataArray) -> xr.DataArray:
    return feature_dimensionality(rows.rename(sample="feature")).rename(feature="sample")


def _read(D: xr.DataArray, name: str) -> xr.DataArray:
    over = [dim for dim in D.dims if dim != "start"]
    return getattr(D, name)(over, skipna=False).drop_vars(
        [each for each in D.coords if each != "start"], errors="ignore"
    )


def joint(pairs: Swept) -> xr.Dataset:
    """Answer of the partner over that of the feature itself, when a feature of a pair is on alone, 1; loss on the
    sample over that of the means."""
    W, b = (pairs.final(name, unconverged=True) for name in ("W", "b"))
    other = xr.DataArray(np.arange(W.sizes["feature"]) ^ 1, dims="feature")
    own = ((W**2).sum("hidden", skipna=False) + b).clip(min=0)
    partner = ((W * W.isel(feature=other)).sum("hidden", skipna=False) + b.isel(feature=other)).clip(min=0)
    data = {"joint": partner.sum("feature", skipna=False) / own.sum("feature", skipna=False)}
    problem = pairs.sweep.base.problem
    trace = [float(np.trace(np.asarray(replace(problem.data, {"broken": q}).second_moment()))) for q in b.broken.values]
    square = [float(np.sum(np.asarray(replace(problem.data, {"broken": q}).mean()) ** 2)) for q in b.broken.values]
    data["train"] = pairs.finite("objective", step=-1) / xr.DataArray(np.subtract(trace, square), dims="broken")
    return xr.Dataset(data, attrs={"note": pairs.left_out("shown")})


# -------------------------------------------------------------------------------------------------------------- figures
COLOURS = {"random": draw.BLACK, "samples": draw.BLUE, "features": draw.ORANGE}
SHADES = (draw.BLUE, draw.GREEN, draw.ORANGE)


def few_samples(memories: xr.Dataset, joint: xr.Dataset) -> Figure:
    """Autoencoders of two hidden units on T samples. a: loss on the sample from three starts, over that of the means.
    b: held out. c: largest dimensionality of a sample over the mean of all. d: pairs of features that are on together:
    when one feature is on alone, the answer of its partner over its own, against the share of pairs that are broken, by
    the scale of the initial weights and the number of samples. Means over seeds and their 95 % intervals."""
    figure, axes = draw.panels(2, 2, height=4.6)
    T = memories["T"].values
    spread = memories.sample_max / memories.sample_mean
    rows = {"loss, sample": memories.train, "loss, held out": memories.held, "largest / mean, samples": spread}
    for ax, (label, values) in zip(axes.flat, rows.items(), strict=False):
        for (start, colour), shift in zip(COLOURS.items(), draw.shifts(len(COLOURS), 3), strict=True):
            found = mean(values.sel(start=start)).estimates
            draw.points(ax, T, found, f"start: {start}", colour, shift=shift, ls="-", ms=2.5)
        ax.set(xscale="log", xlabel="samples $T$", ylabel=label)
    draw.log_axis(axes[1, 0], "y", [1, 2, 5, 10])
    draw.levels(axes[0, 1], [1], ["means"])
    draw.legend(axes[0, 0], {"95 % interval": draw.whisker()})
    ax, styles = axes[1, 1], dict(zip(joint["T"].values, (draw.DASHED, "-"), strict=False))
    for samples, style in styles.items():
        for scale, colour in zip(joint.scale.values, SHADES, strict=False):
            found = mean(joint.joint.sel(T=samples, scale=scale)).estimates
            label = f"scale {scale:g}" if samples == joint["T"].values[-1] else None
            draw.band(ax, joint.broken, found, label=label, colour=colour, ls=style, marker="o", ms=2.5)
    ax.set_xscale("symlog", linthresh=0.03)
    draw.ticks(ax, "x", joint.broken.values, [f"{each:g}" for each in joint.broken.values])
    ax.set(xlabel="share of broken pairs", ylabel="partner / own answer", ylim=(-0.05, 1.45))
    draw.ticks(ax, "y", np.linspace(0, 1, 6))
    sizes = {f"$T={samples:g}$": style for samples, style in styles.items()}
    draw.legend(ax, {**sizes, "95 % interval": draw.shade()}, loc="upper center", ncols=2)
    draw.excluded(axes[0, 1], memories.attrs["note"])
    draw.excluded(ax, joint.attrs["note"])
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def _by(values: xr.DataArray, along: str = "T") -> Iterator[tuple[dict[str, Any], Any]]:
    """Settings and the estimate at each label, whose intervals hold together."""
    found = mean(values.transpose(along, "seed")).estimates
    for label, estimate in zip(values[along].values.tolist(), found, strict=True):
        yield {along: label}, estimate


def memorised_or_not(memories: xr.Dataset) -> Iterator[Finding]:
    """Few samples are memorised, many give features; held-out loss is worst between."""
    few, many = (memories.sel(T=memories["T"] <= FEW), memories.sel(T=memories["T"] >= MANY))
    gap = (memories.held - memories.train).sel(start="random")
    even = (memories.sample_max / memories.sample_mean).sel(start="random")
    for where, found in _by(few.train.sel(start="random")):
        what = f"T = {where['T']}: loss on the sample, over that of the means"
        yield Finding("memorises", what, found, AtMost(0.1), ours(f"limit; {PAPER}"), settings=where)
    for where, found in _by(gap.sel(T=few["T"])):
        what = f"T = {where['T']}: held-out loss minus loss on the sample, over that of the means"
        yield Finding("memories-do-not-generalise", what, found, AtLeast(0.5), ours("limit"), settings=where)
    for where, found in _by(gap.sel(T=many["T"])):
        what = f"T = {where['T']}: held-out loss minus loss on the sample, over that of the means"
        yield Finding("features-generalise", what, found, AtMost(0.05), ours(f"limit; {PAPER}"), settings=where)
    for where, found in _by(many.held.sel(start="random")):
        what = f"T = {where['T']}: held-out loss over that of the means"
        yield Finding("features-beat-means", what, found, Below(0.98), ours("limit"), settings=where)
    for where, found in _by(even.sel(T=few["T"])):
        what = f"T = {where['T']}: largest dimensionality of a sample over their mean"
        yield Finding("samples-alike", what, found, AtMost(2), ours("limit"), settings=where)
    for where, found in _by(even.sel(T=many["T"])):
        what = f"T = {where['T']}: largest dimensionality of a sample over their mean"
        yield Finding("samples-unlike", what, found, AtLeast(5), ours("limit"), settings=where)
    held = memories.held.sel(start="random")
    worst = held["T"].isel(T=held.fillna(-np.inf).argmax("T"))
    inside = ((worst > few["T"].max()) & (worst < many["T"].min())).where(held.notnull().all("T"))
    what, source = "share of seeds whose held-out loss is largest between few and many samples", ours(f"limit; {PAPER}")
    yield Finding("held-out-peaks-between", what, share(inside), AtLeast(0.75), source)
    for name, known in (("feature", memories.attrs["m"] / memories.attrs["n"]), ("sample", None)):
        values = memories[f"{name}_mean"].sel(start="random")
        ratio = values / (known or memories.attrs["m"] / memories["T"])
        yield report(f"{name}-mean", f"mean dimensionality of a {name} over hidden units a {name}", mean(ratio))


def basins(memories: xr.Dataset) -> Iterator[Finding]:
    """Starts at the samples and at features: which ends lower on the sample, and what a random start finds."""
    train = memories.train
    lead = train.sel(start="samples", drop=True) - train.sel(start="features", drop=True)
    for where, found in _by(lead):
        what = f"T = {where['T']}: loss from a start at the samples minus that from features, over that of the means"
        if where["T"] <= FEW:
            yield Finding("memorising-is-lower", what, found, Below(0), ours(f"the claim; {PAPER}"), settings=where)
        elif where["T"] >= BETWEEN:
            yield Finding("features-are-lower", what, found, AtLeast(0.02), ours(f"limit; {PAPER}"), settings=where)
    # -lead falls through 0 where features become the lower ones; on a logarithmic axis of T.
    means = -redrawn(lead.transpose("T", "seed")).mean("seed").transpose("draw", "T")
    found = of_draws(np.exp(crossing(np.log(lead["T"].values), means.values)), lead.sizes["seed"])
    yield report("basins-cross", "T from which a start at features ends lower, of means over seeds", found)
    lower = train.sel(start=["samples", "features"]).min("start", skipna=False)
    for where, found in _by(train.sel(start="random", drop=True) - lower):
        what = f"T = {where['T']}: loss from a random start minus the lower of both, over that of the means"
        yield Finding("random-finds-the-lower", what, found, AtMost(0.05), ours("limit"), settings=where)


def which_features(joint: xr.Dataset) -> Iterator[Finding]:
    """Pairs that are never seen apart: one feature or two?"""
    small, large = joint.scale.values.min(), joint.scale.values.max()
    whole = joint.sel(broken=0)
    for where, found in _by(whole.joint.sel(scale=small)):
        what = f"T = {where['T']}, initial scale {small:g}, no pair broken: answer of the partner over the own one"
        yield Finding("small-start-joins", what, found, AtLeast(0.9), ours("limit; 1: one feature"), settings=where)
    for where, found in _by(whole.joint.sel(scale=large)):
        what = f"T = {where['T']}, initial scale {large:g}, no pair broken: answer of the partner over the own one"
        yield Finding(
            "large-start-separates", what, found, AtMost(0.25), ours("limit; 0: two features"), settings=where
        )
    for scale in joint.scale.values.tolist():
        for where, found in _by(whole.train.sel(scale=scale)):
            what, where = f"T = {where['T']}, initial scale {scale:g}: loss on the sample over that of the means", where
            fits = {**where, "scale": scale}
            yield Finding("whole-pairs-are-fitted", what, found, AtMost(0.1), ours("limit"), settings=fits)
    for where, found in _by(joint.joint.sel(scale=small, broken=0.3)):
        what = (
            f"T = {where['T']}, initial scale {small:g}, a share of .3 broken: answer of the partner over the own one"
        )
        yield Finding("evidence-separates", what, found, AtMost(0.5), ours("limit"), settings=where)
    if joint.sizes["T"] > 1:
        fall = joint.joint.sel(scale=small, broken=0.1).isel(T=0) - joint.joint.sel(scale=small, broken=0.1).isel(T=-1)
        what = f"initial scale {small:g}, a share of .1 broken: partner over own answer at few samples minus at many"
        yield Finding("more-evidence-separates-more", what, mean(fall), AtLeast(0.1), ours("limit"))
    for where, found in _by(joint.joint.sel(broken=1).isel(T=-1), "scale"):
        what = f"initial scale {where['scale']:g}, all pairs broken: answer of the partner over the own one"
        yield Finding("apart-is-apart", what, found, AtMost(0.1), ours("control"), settings=where)


experiment = Experiment(
    question="What does a small autoencoder make of few samples: memories, features, and which features?",
    source=PAPER,
    sweeps={"sizes": sizes, "pairs": pairs},
    readings=[memories, joint],
    figures=[few_samples],
    findings=[memorised_or_not, basins, which_features],
    scales={"tiny": tiny, "full": {"sizes.T": [4, 8, 32, 128, 512, 2048, 8192], "steps": 50_000}},
    cost="three starts of 20 seeds on up to 8,192 samples, 50,000 steps: two hours on two CPU cores",
    claims=[
        Claim(
            "C5",
            "A small autoencoder memorises few samples and finds features in many, as the training loss of the two "
            "basins has it; of two structures that fit all samples it takes that of fewer directions if it starts from "
            "small weights, and keeps them apart from large ones: its prior is its initialisation.",
            needs=[
                "memorises",
                "memories-do-not-generalise",
                "features-generalise",
                "memorising-is-lower",
                "features-are-lower",
                "random-finds-the-lower",
                "small-start-joins",
                "large-start-separates",
            ],
            figure="few_samples",
            note="Decided by held-out loss, maxima and spread: mean dimensionalities are the same in every regime.",
        ),
        Claim(
            "F4",
            "With few samples the memorising basin has the lower training loss, with many the basin of features, and "
            "training from a random start finds the lower one.",
            needs=["memorising-is-lower", "features-are-lower", "random-finds-the-lower"],
            figure="few_samples",
            note="Named after the sweep, from findings and criteria that stood before it. The basins cross between "
            "8 and 32 samples.",
        ),
    ],
)
