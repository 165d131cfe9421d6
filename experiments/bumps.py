"""Bumps in alignment: Adam against SGD from the same starts, and vectors that back off from a target.

A target of two components is learned at rank two, from a small random start. With distinct singular values its vectors
are identifiable; which learned vector goes where is not a property of the optimum but of the path. Snapshots are spaced
logarithmically and Adam's steps are small beside the initial weights, so that its first alignment is seen.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Components, Factorize, Geometric, Momentum, Record, Run, Sweep, draw
from toymodels.analysis.alignment import backs_off, span_alignment
from toymodels.analysis.by_setting import by_setting
from toymodels.analysis.factorisations import alignments
from toymodels.claims import Claim
from toymodels.estimates import mean, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import Above, AtLeast, AtMost, Finding, ours, report
from toymodels.problems.natural_steps import among, in_natural_units, targets
from toymodels.theory.final_pairs import final_alignment, growing_overlaps, share_backing_off

HALF, SEEN = 0.5, 0.15
"""Share of runs that counts as the rule. Change of an alignment between neighbouring snapshots that leaves little room
for a bump (prominence 0.1) between them."""


def problems(n: int) -> dict[str, Factorize]:
    """The problem of each sweep in n dimensions; one component is learned in a program made for two."""
    one, two = (Components(n, n, rank, Geometric(0.5)) for rank in (1, 2))
    return dict.fromkeys(("pairs", "backing"), Factorize(two, 2)) | {"single": Factorize(one, 2, rank=1)}


def sweep(name: str, lr: float, steps: int, record: Record, *axes: Axis | Choice) -> Sweep:
    return Sweep(Run(problems(16)[name], Momentum(lr, decay=0), steps, record=record), axes, in_natural_units)


ratio, scale = partial(Axis, "ratio", "problem.target.spectrum.ratio"), partial(Axis, "scale", "problem.scale")
few, many = (Axis("seed", "seed", range(count)) for count in (256, 384))
both, small = Choice("optimizer", among("SGD", "Adam")), Axis("lr", "optimizer.lr", [0.005])
starts = scale([1e-4, 1e-2, 1e-1])
sweeps = {
    "pairs": sweep("pairs", 0.005, 6000, Record(20, 240), both, small, ratio([0.5, 0.8]), scale([1e-3, 1e-1]), many),
    "backing": sweep("backing", 0.02, 2500, Record(20, 150), ratio([0.3, 0.5, 0.7, 0.9]), starts, few),
    "single": sweep("single", 0.02, 2500, Record(20, 150), starts, few),
}


def sized(n: int, seeds: int, many: int, steps: int, snapshots: int) -> dict[str, object]:
    """Overrides for targets in n dimensions."""
    found: dict[str, object] = {f"{name}.problem": problem for name, problem in problems(n).items()}
    found |= {
        "seed": range(seeds),
        "pairs.seed": range(many),
        "pairs.steps": steps,
        "pairs.record.snapshots": snapshots,
    }
    return found


# ------------------------------------------------------------------------------------------------------------- readings
def paths(swept: Swept) -> xr.Dataset:
    """Alignments with the target over training, and bumps, of every run."""
    own = targets(swept.sweep.base.problem, swept.data.seed.values.tolist())
    return alignments(swept.finite("U"), swept.finite("V"), own.left, own.right)


def bump_counts(pairs: Swept) -> xr.Dataset:
    """Bumps of every run under each optimizer, and the largest change of an alignment between two snapshots."""
    pairs.check(problem__target__rank=2)
    found = paths(pairs).isel(lr=0, drop=True)
    largest = abs(found.cosine.diff("snapshot")).max(["snapshot", "component", "target"])
    return xr.Dataset({"bumps": found.bumps, "largest": largest})


def back_offs(backing: Swept) -> xr.Dataset:
    """Of every run at rank two: whether a learned vector backs off, and whether that is what growing overlaps at its
    start predict; its bumps; how much of the target's span is learned."""
    backing.check(problem__target__rank=2)
    found, start = paths(backing), [backing.finite(name, snapshot=0).drop_vars("snapshot") for name in "UV"]
    flags = xr.apply_ufunc(
        backs_off, found.cosine, input_core_dims=[["snapshot", "component", "target"]], vectorize=True
    )
    own = targets(backing.sweep.base.problem, backing.data.seed.values.tolist())
    core = [["row", "component"], ["column", "component"], ["target", "row"], ["target", "column"]]
    pairs, arrays = [["component", "target"]], (*start, own.left, own.right)
    overlaps = xr.apply_ufunc(growing_overlaps, *arrays, input_core_dims=core, output_core_dims=pairs)

    def limit(ratio: float) -> xr.DataArray:
        of = partial(final_alignment, [1, ratio])
        return xr.apply_ufunc(of, overlaps.sel(ratio=ratio), input_core_dims=pairs, output_core_dims=pairs)

    ends = xr.concat([limit(ratio) for ratio in overlaps.ratio.values.tolist()], overlaps.ratio)
    predicted = (ends.argmax("target") == 1).any("component")
    whole = found.bumps.notnull()
    data = {"backs_off": flags.where(whole), "as_predicted": (flags == predicted).where(whole), "bumps": found.bumps}
    end = backing.finite("U", snapshot=-1).drop_vars("snapshot")
    span = xr.apply_ufunc(_learned_span, own.left, end, input_core_dims=[["target", "row"], core[0]])
    return xr.Dataset({**data, "span": span.transpose(*found.bumps.dims)})


def _learned_span(left: np.ndarray, U: np.ndarray) -> np.ndarray:
    """How much of the target's span has been learned, however many vectors learn it."""
    return np.asarray(span_alignment(left, np.swapaxes(U, -1, -2)))


def singles(single: Swept) -> xr.Dataset:
    """Bumps of every run at rank one, and the alignment of its vector with the target at the end."""
    single.check(problem__target__rank=1, problem__rank=1)
    found = paths(single)
    return xr.Dataset({"bumps": found.bumps, "end": found.cosine.isel(snapshot=-1, component=0, target=0, drop=True)})


# -------------------------------------------------------------------------------------------------------------- figures
def bumps_of_adam_and_sgd(pairs: Swept, bump_counts: xr.Dataset) -> Figure:
    """A target of two components learned at rank two by SGD and by Adam from the same starts. (a, b) |cos| of each
    learned component u_i v_iᵀ with each target component a_k b_kᵀ over the steps, at one ratio of singular values and
    one initial scale, in the run in which Adam has most bumps. (c) Bumps in a run's alignments, maxima that rise and
    fall back by at least 0.1: Adam minus SGD, paired by seed, means with intervals that hold together at 95 %; columns:
    ratio, initial scale."""
    figure, axes = draw.panels(1, 3, height=2.8)
    first = bump_counts.isel(ratio=0, scale=0)
    seed = int(first.bumps.sel(optimizer="Adam").fillna(-1).argmax("seed"))
    cosine = _one(pairs, seed)
    for ax, name in zip(axes, ("SGD", "Adam"), strict=False):
        moved = cosine.sel(optimizer=name).isel(snapshot=slice(1, None))
        _curves(ax, moved, moved.snapshot)
        ax.set(title=name, xscale="log", xlabel="step", ylim=(-0.03, 1.03))
    axes[0].set_ylabel("|cos| of components")
    of = list(by_setting(mean, _more(bump_counts)))
    draw.points(axes[2], range(len(of)), [one for _, one in of], colour=draw.BLACK)
    draw.levels(axes[2], [0], dash=draw.DOTTED)
    draw.ticks(axes[2], "x", range(len(of)), [f"{at['ratio']:g}\n{at['scale']:g}" for at, _ in of])
    axes[2].set(xlabel="ratio, initial scale", ylabel="bumps, Adam $-$ SGD")
    axes[2].margins(x=0.15)
    title = f"a, b: ratio {float(first.ratio):g}, initial scale {float(first.scale):g}"
    told = {"95 % interval (c)": draw.whisker(), "no difference (c)": draw.DOTTED}
    draw.legend_below(figure, axes[:2], told, columns=3, title=title)
    return figure


def _one(pairs: Swept, seed: int) -> xr.DataArray:
    """Alignments of one run of each optimizer, at the first ratio and scale."""
    data = pairs.data.isel(lr=0, ratio=0, scale=0, seed=[seed])
    return paths(Swept(pairs.sweep, data)).cosine.isel(seed=0)


def _curves(ax: Axes, cosine: xr.DataArray, x: xr.DataArray) -> None:
    for i, k in np.ndindex(cosine.sizes["component"], cosine.sizes["target"]):
        look = {"color": draw.PALETTE[i % len(draw.PALETTE)], "ls": draw.DASHED if k else "-"}
        told = f"learned {i + 1}, target {k + 1}" if i < len(draw.PALETTE) else None
        ax.plot(x, cosine.isel(component=i, target=k), label=told, **look)


def backing_off(backing: Swept, single: Swept, back_offs: xr.Dataset, singles: xr.Dataset) -> Figure:
    """SGD on a target of two components at rank two. (a) |cos| of learned with target components over time, step size x
    step x s_1, in the first run in which a learned vector backs off, and of a target of one component learned at rank
    one. (b) Share of runs in which two learned vectors grow towards one target by at least 0.1 and one then falls by as
    much and ends nearer to the other, against the ratio s_2 / s_1, by initial scale, and the limit of small starts, 4/π
    arctan √(s_2 / s_1). (c) Bumps per run; "one" is rank one. Intervals hold together at 95 % for each scale."""
    figure, (path, shares, counts) = draw.panels(1, 3, height=2.8)
    middle = {name: min(1, backing.data.sizes[name] - 1) for name in ("ratio", "scale")}
    seed = int(back_offs.backs_off.isel(middle).fillna(0).argmax("seed"))
    cosine = paths(Swept(backing.sweep, backing.data.isel(middle).isel(seed=[seed]))).cosine.isel(seed=0)
    alone = paths(Swept(single.sweep, single.data.isel(scale=middle["scale"], seed=[seed]))).cosine.isel(
        seed=0, component=0, target=0
    )
    time = cosine.snapshot * backing.sweep.base.optimizer.lr
    path.plot(time, alone, color="0.6", lw=2, label="rank one")
    _curves(path, cosine, time)
    path.set(xlabel="time $s_1 t$", ylabel="|cos| of components", ylim=(-0.03, 1.03))
    x = np.arange(back_offs.sizes["ratio"])
    scales = back_offs.scale.values
    for start, colour, shift in zip(scales, draw.PALETTE[3:], draw.shifts(len(scales)), strict=False):
        of, alone = back_offs.sel(scale=start), singles.sel(scale=start)
        draw.points(shares, x, share(of.backs_off).estimates, f"initial scale {start:g}", colour, shift=shift)
        draw.points(counts, x, mean(of.bumps).estimates, None, colour, shift=shift)
        draw.points(counts, [-1], [mean(alone.bumps)], None, colour, shift=shift)
    draw.theory(shares, x, [share_backing_off(q) for q in back_offs.ratio.values.tolist()], "limit of small starts")
    draw.ticks(shares, "x", x, back_offs.ratio.values)
    draw.ticks(counts, "x", [-1, *x], ["one", *back_offs.ratio.values])
    shares.set(ylabel="share that backs off", ylim=(-0.03, 1.03))
    counts.set(ylabel="bumps per run", ylim=(-0.1, None))
    for ax in (shares, counts):
        ax.set_xlabel("ratio $s_2 / s_1$")
    one = back_offs.isel(middle)
    title = f"a: ratio {float(one.ratio):g}, initial scale {float(one.scale):g}"
    draw.legend_below(figure, [path, shares], {"95 % interval": draw.whisker()}, columns=4, title=title)
    return figure


def _more(bump_counts: xr.Dataset) -> xr.DataArray:
    """Bumps, Adam minus SGD, paired by seed."""
    of = bump_counts.bumps
    return of.sel(optimizer="Adam", drop=True) - of.sel(optimizer="SGD", drop=True)


# ------------------------------------------------------------------------------------------------------------- findings
def bumps_under_adam(bump_counts: xr.Dataset) -> Iterator[Finding]:
    """Whether Adam shows more bumps than SGD from the same starts, and whether the snapshots would show them."""
    what, more = "bumps in a run's alignments, Adam minus SGD, paired by seed", _more(bump_counts)
    source = ours("a conjecture of readers of Jermyn & Shlegeris 2022")
    revised = "was the mean over ratios; now each ratio, because ratios differ in sign"
    for at, found in by_setting(mean, more):
        yield Finding("more-bumps", what, found, Above(0), source, settings=at, revised=revised, digits=".2f")
    for at, found in by_setting(mean, bump_counts.bumps):
        yield report("bumps", "bumps in a run's alignments", found, settings=at, digits=".2f")
    what = f"runs in which no alignment changes by more than {SEEN:g} between neighbouring snapshots"
    for at, found in by_setting(share, bump_counts.largest <= SEEN):
        yield Finding("resolved", what, found, AtLeast(0.9), ours("limit"), "check", settings=at)


def one_backs_off(back_offs: xr.Dataset, singles: xr.Dataset) -> Iterator[Finding]:
    """How often a learned vector backs off at rank two; that rank one has no bump; that the rest is alike."""
    rule = ours("most runs; Jermyn & Shlegeris 2022 describe it as what happens")
    what = "rank 2: runs in which two learned vectors grow towards one target and one backs off to the other"
    for at, found in by_setting(share, back_offs.backs_off):
        yield Finding("backs-off", what, found, AtLeast(HALF), rule, settings=at)
    what, source = "rank 1: runs with a bump", ours("limit; Jermyn & Shlegeris 2022: alignment grows")
    for at, found in by_setting(share, (singles.bumps > 0).where(singles.bumps.notnull())):
        yield Finding("rank-one-bumps", what, found, AtMost(0.1), source, settings=at)
    learned = ours("limits: 0.99 of the span, nine runs in ten")
    what = "rank 1: runs whose vector ends within 0.99 of the target"
    for at, found in by_setting(share, singles.end >= 0.99):
        yield Finding("rank-one-learned", what, found, AtLeast(0.9), learned, settings=at)
    what = "rank 2: runs that learn 0.99 of the target's span"
    for at, found in by_setting(share, back_offs.span >= 0.99):
        yield Finding("span-learned", what, found, AtLeast(0.9), learned, settings=at)
    what = "runs that back off where the start's growing overlaps say that a vector ends nearer to the second component"
    small, source = back_offs.isel(scale=0, drop=True), ours("limit; theory.final_pairs, for small starts")
    for at, found in by_setting(share, small.as_predicted):
        yield Finding("as-predicted", what, found, AtLeast(0.9), source, settings=at)
    for at, found in by_setting(mean, back_offs.bumps):
        yield report("bumps-at-rank-two", "bumps in a run's alignments", found, settings=at, digits=".2f")


experiment = Experiment(
    question="When does the alignment of a learned vector with a target rise and fall back, and under which optimizer?",
    source="Jermyn & Shlegeris 2022, and its readers",
    sweeps=sweeps,
    scales={"tiny": sized(8, 6, 6, 2000, 80), "full": sized(64, 256, 768, 6000, 240)},
    readings=[bump_counts, back_offs, singles],
    figures=[bumps_of_adam_and_sgd, backing_off],
    findings=[bumps_under_adam, one_backs_off],
    cost="n = 64 instead of 16: about two hours on two CPU cores, by the cost of a step, and 2 GB",
    claims=[
        Claim(
            "A4",
            "Adam shows more bumps in alignment than SGD, across many initialisations.",
            ["more-bumps"],
            "bumps_of_adam_and_sgd",
            ["pairs.problem.components=3 pairs.problem.rank=3", "pairs.lr=0.02 pairs.steps=1500"],
            note="At the other settings: three learned vectors for two targets; steps four times as large.",
        ),
        Claim(
            "A5",
            "Rank two behaves like rank one except for a bump: two learned vectors grow towards one target, then one "
            "backs off to another.",
            ["backs-off", "rank-one-bumps", "rank-one-learned", "span-learned"],
            "backing_off",
            ["backing.problem.components=3 backing.problem.rank=3", "backing.optimizer=AdamW(lr=0.02,weight_decay=0)"],
            note="Asked of SGD, in at least half of the runs. At the other settings: three learned vectors for two "
            "targets; Adam. With equal singular values the target's vectors are not identifiable, only their span.",
        ),
    ],
)
