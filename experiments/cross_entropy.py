"""Learning components under softmax cross-entropy over the entries of a matrix, against squared error.

Zero loss is at Ã = A + constant. Step sizes are in units of the inverse growth rate of each loss, initial weights in
units of the size that they have to reach, and targets differ in the size of their entries: small ones make
cross-entropy a squared error of what differs from the mean, entries of one and more do not.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Components, Factorize, Geometric, Momentum, Record, Run, Sweep, draw
from toymodels.analysis.by_setting import by_setting
from toymodels.analysis.labelled import plateau_table
from toymodels.analysis.learned_order import half_times, leading_span, order_share, strengths
from toymodels.claims import Claim
from toymodels.draw.intervals import ends
from toymodels.estimates import mean, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, Finding, Near, ours, report
from toymodels.losses import HalfSquaredError, SoftmaxCrossEntropy
from toymodels.problems.natural_steps import in_natural_sizes, targets

TOLERANCE, LEADING = 1e-4, 4
"""What counts as zero loss, as a part of the loss at the start; how many components of a full-rank target are timed."""
LOSSES = {"squared error": HalfSquaredError(), "cross-entropy": SoftmaxCrossEntropy()}
QUARTILES, ENOUGH, OPEN = (0.25, 0.5, 0.75), 0.8, {"mfc": "white"}
COLOURS = dict(zip(LOSSES, (draw.BLUE, draw.RED), strict=True))


def problem(n: int, rank: int) -> Factorize:
    """A target of this rank, learned at its own rank."""
    return Factorize(Components(n, n, rank, Geometric(0.5)), rank)


def sweep(rank: int, steps: int, record: Record, ratios: list[float], seeds: int, **more: list) -> Sweep:
    own = {"losses": list(LOSSES), "sizes": [0.1, 1.0], "scales": [1e-3, 1e-1], **more}
    run = Run(problem(16, rank), Momentum(0.1, decay=0), steps, record=record)
    loss = Choice("loss", {name: {"problem.loss": LOSSES[name]} for name in own["losses"]})
    size, ratio = (
        Axis(name, f"problem.target.spectrum.{field}", values)
        for name, field, values in (("size", "first", own["sizes"]), ("ratio", "ratio", ratios))
    )
    axes = loss, size, ratio, Axis("scale", "problem.scale", own["scales"]), Axis("seed", "seed", range(seeds))
    return Sweep(run, axes, in_natural_sizes)


hard = {"losses": ["cross-entropy"], "sizes": [1.0]}
sweeps = {
    "two": sweep(2, 2000, Record(400, 2, True), [0.25, 0.5, 0.8], 64, sizes=[0.1, 1.0, 3.0], scales=[1e-4, 1e-1]),
    "ten": sweep(10, 4000, Record(200, 2), [0.7, 0.85], 24),
    "longer": sweep(10, 20_000, Record(200, 2), [0.7, 0.85], 20, **hard),
    "full": sweep(16, 3000, Record(200, 60), [0.5, 0.8], 24),
}


def sized(n: int, seeds: int, steps: int, ten: int, longer: int) -> dict[str, object]:
    """Overrides for targets in n dimensions."""
    ranks = {"two": 2, "ten": 10 * n // 16, "longer": 10 * n // 16, "full": n}
    lengths = {"two": steps, "ten": ten, "longer": longer, "full": steps}
    found: dict[str, object] = {f"{name}.problem": problem(n, rank) for name, rank in ranks.items()}
    return found | {"seed": range(seeds)} | {f"{name}.steps": length for name, length in lengths.items()}


# ------------------------------------------------------------------------------------------------------------- readings
def staircases(two: Swept) -> xr.Dataset:
    """Of every run at rank two: the number of plateaus before its last one, and whether these are two."""
    loss = two.finite()
    table = plateau_table(loss / loss.isel(step=0))
    before = (table.kind == "initial") | (table.kind == "interior")
    number = before.sum("plateau").where(loss.notnull().all("step"))
    return xr.Dataset({"number": number, "two": (number == 2).where(number.notnull()).astype(float)})


def tens(ten: Swept) -> xr.Dataset:
    """Loss at the end of every run at rank ten over that of the start, infinite for one that diverged."""
    loss, base = ten.finite(), ten.sweep.base
    end = (loss.isel(step=-1) / loss.isel(step=0)).fillna(np.inf)
    return end.rename("end").to_dataset().assign_attrs(time=float(base.steps * base.optimizer.lr))


def longer_tens(longer: Swept) -> xr.Dataset:
    """The same after more steps."""
    return tens(longer)


def orders(full: Swept) -> xr.Dataset:
    """Of every run at full rank: plateaus between the first and the last one, the share of pairs of the leading
    components that are learned in the order of their singular values, and the alignment of their spans at the end."""
    U, V, loss, target = full.finite("U"), full.finite("V"), full.finite(), full.sweep.base.problem.target
    own = targets(full.sweep.base.problem, loss.seed.values.tolist())
    s = U["size"] * target.n * U.ratio ** xr.DataArray(np.arange(own.sizes["target"]), dims="target")
    as_factors = own.rename(target="component")
    left, right = (s.rename(target="component") * as_factors.left), as_factors.right
    few = own.isel(target=slice(LEADING))
    whole, strength = (strengths(*each, few.left, few.right) for each in ((left, right), (U, V)))
    number = (plateau_table(loss).kind == "interior").sum("plateau").where(loss.notnull().all("step"))
    ends = (each.isel(snapshot=-1) for each in (U, V))
    span = leading_span(xr.dot(*ends, dim="component"), xr.dot(left, right, dim="component"), LEADING)
    order = order_share(half_times(strength, whole)).where(number.notnull())
    return xr.Dataset({"number": number, "order": order, "span": span})


# -------------------------------------------------------------------------------------------------------------- figures
def plateaus_of_two_components(two: Swept, staircases: xr.Dataset) -> Figure:
    """A target of two components learned at rank two. (a) Loss over its start under softmax cross-entropy, against time
    in units of the inverse growth rate, at one ratio of singular values and one initial scale: median and quartiles
    over seeds, one colour a size of the target's entries (root mean square of the first component). (b, c) Share of
    seeds with two plateaus before the last one, against the ratio, one panel an initial scale; under squared error at
    the smallest entries. Intervals hold together at 95 % for each series; from 0.8 on, seeds count as showing them."""
    figure, axes = draw.panels(1, 1 + staircases.sizes["scale"], height=2.8, width_ratios=(1.3, 1, 1))
    loss = two.finite().sel(loss="cross-entropy").isel(ratio=0, scale=0).transpose("size", "step", "seed")
    x, colours = np.arange(staircases.sizes["ratio"]), dict(zip(loss["size"].values, draw.PALETTE, strict=False))
    for size, colour in colours.items():
        own = (loss / loss.isel(step=0)).sel(size=size).quantile(QUARTILES, "seed").values[:, 1:]
        draw.band(
            axes[0], loss.step[1:] * two.sweep.base.optimizer.lr, own, label=f"entries of {size:g}", colour=colour
        )
    title = f"ratio {float(loss.ratio):g}, initial scale {float(loss.scale):g}"
    axes[0].set(yscale="log", xscale="log", ylim=(1e-5, 2), xlabel="time", ylabel="loss / start", title=title)
    for ax, scale in zip(axes[1:], staircases.scale.values, strict=True):
        ax.axhspan(ENOUGH, 1, color="0.9", lw=0, zorder=0, label=f"{ENOUGH:g} or more")
        of = share(staircases.two.sel(loss="squared error", scale=scale).isel(size=0)).estimates
        draw.points(ax, x, of, None, draw.PALETTE[0], shift=-6, **OPEN)
        for (size, colour), shift in zip(colours.items(), draw.shifts(len(colours)), strict=True):
            of = share(staircases.two.sel(loss="cross-entropy", scale=scale, size=size)).estimates
            draw.points(ax, x, of, None, colour, shift=shift + 1)
        draw.ticks(ax, "x", x, staircases.ratio.values)
        ax.set(xlabel="ratio $s_2 / s_1$", title=f"initial scale {scale:g}", ylim=(-0.03, 1.03))
    axes[1].set_ylabel("share with two plateaus")
    marks = {"cross-entropy": draw.key("", "0.3", marker="o"), "squared error": draw.key("", "0.3", marker="o", **OPEN)}
    spans = {"quartiles (a)": draw.shade(), "95 % interval": draw.whisker()}
    draw.legend_below(figure, axes, marks | spans, columns=4)
    return figure


def losses_at_rank_ten(tens: xr.Dataset, longer_tens: xr.Dataset) -> Figure:
    """A target of ten components learned at rank ten: loss at the end over that at the start, every seed a dot, one
    panel an initial scale; columns: root mean square entry of the target's first component, and ratio of its singular
    values. Squared error and softmax cross-entropy after the same time in units of the inverse growth rate, and
    cross-entropy after five times as long (where it was run). On the floor within 1e-9."""
    figure, axes = draw.panels(1, tens.sizes["scale"], height=2.6, sharey=True)
    columns = [(size, ratio) for size in tens["size"].values for ratio in tens.ratio.values]
    later = f"cross-entropy, time {longer_tens.time:.6g}"
    rows = [(f"{name}, time {tens.time:.6g}", tens.sel(loss=name)) for name in tens.loss.values]
    rows += [(later, longer_tens.sel(loss="cross-entropy"))]
    colours = (draw.BLUE, draw.RED, draw.ORANGE)
    for ax, scale in zip(axes, tens.scale.values, strict=True):
        for (_, data), colour, shift in zip(rows, colours, (-0.25, 0, 0.25), strict=True):
            there = [place for place, (size, _) in enumerate(columns) if size in data["size"].values]
            of = [data.end.sel(size=columns[place][0], ratio=columns[place][1], scale=scale) for place in there]
            beside = draw.aside(np.array(there) + shift, of[0].size, 0.09, log=False)
            draw.cloud(ax, beside, np.clip(of, 1e-9, 10), colour=colour, ms=2.8, alpha=0.6)
        draw.levels(ax, [TOLERANCE])
        draw.ticks(ax, "x", range(len(columns)), [f"{size:g}\n{ratio:g}" for size, ratio in columns])
        ax.set(yscale="log", xlabel="entries, ratio", title=f"initial scale {scale:g}")
    axes[0].set_ylabel("loss at the end / start")
    keys = {name: draw.key("", colour, marker="o", ms=4) for (name, _), colour in zip(rows, colours, strict=True)}
    draw.legend_below(figure, axes, keys | {"counts as zero": draw.DASHED})
    return figure


def learning_at_full_rank(orders: xr.Dataset) -> Figure:
    """A target of full rank learned at full rank under squared error and softmax cross-entropy; columns: root mean
    square entry of the target's first component, ratio of its singular values, initial scale. (a) Plateaus between the
    first and the last one. (b) Share of pairs of the four leading components that are half learned in the order of
    their singular values. (c) Alignment of the four leading left singular vectors of what is learned with those of the
    target, both less their mean. Means over seeds with intervals that hold together at 95 % for each loss, cut off
    where no value can lie."""
    figure, axes = draw.panels(1, 3, height=2.6)
    columns = [tuple(labels.values()) for labels, _ in by_setting(mean, orders.number.isel(loss=0, drop=True))]
    names = {"number": "plateaus between", "order": "share of pairs in order", "span": "alignment of leading spans"}
    for ax, (name, label), most in zip(axes, names.items(), (np.inf, 1, 1), strict=True):
        for loss, shift in zip(orders.loss.values, (-2, 2), strict=True):
            settings = by_setting(mean, orders[name].sel(loss=loss, drop=True))
            found = np.clip(ends([one for _, one in settings]), 0, most)
            draw.points(ax, range(len(columns)), found, loss, COLOURS[loss], shift=shift)
        draw.ticks(
            ax,
            "x",
            range(len(columns)),
            ["\n".join(f"{value:g}".removeprefix("0") for value in column) for column in columns],
        )
        ax.set(xlabel="entries, ratio, scale", ylabel=label)
    draw.legend_below(figure, axes, {"95 % interval": draw.whisker()})
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def two_plateaus(staircases: xr.Dataset) -> Iterator[Finding]:
    """Whether rank two shows two plateaus under cross-entropy; squared error beside it."""
    what, source = "seeds with two plateaus before the last one", ours("least share; Jermyn & Shlegeris 2022: two")
    for at, found in by_setting(share, staircases.two.sel(loss="cross-entropy", drop=True)):
        yield Finding("two-plateaus", f"cross-entropy: {what}", found, AtLeast(ENOUGH), source, settings=at)
    for at, found in by_setting(share, staircases.two.sel(loss="squared error", drop=True)):
        yield report("two-plateaus-of-squares", f"squared error: {what}", found, settings=at)


def zero_at_rank_ten(tens: xr.Dataset, longer_tens: xr.Dataset) -> Iterator[Finding]:
    """How many seeds squared error brings to zero and cross-entropy does not, in the same natural time."""
    zero, source = tens.end <= TOLERANCE, ours("limits; a conjecture of readers of Jermyn & Shlegeris 2022")
    missed = zero.sel(loss="squared error", drop=True) & ~zero.sel(loss="cross-entropy", drop=True)
    what = f"seeds that reach {TOLERANCE:g} of the loss at the start by time {tens.time:g} under squared error alone"
    for at, found in by_setting(share, missed):
        yield Finding("misses-zero", what, found, AtLeast(0.5), source, settings=at)
    for data in (tens, longer_tens):
        what = f"seeds that reach {TOLERANCE:g} of the loss at the start"
        for at, found in by_setting(share, data.end <= TOLERANCE):
            yield report("reach-zero", what, found, settings={**at, "time": data.time})


def full_rank_as_squares(orders: xr.Dataset) -> Iterator[Finding]:
    """Plateaus, order and span at full rank: cross-entropy against squared error, paired by seed."""
    source, other = ours("tolerance"), orders.sel(loss="cross-entropy", drop=True)
    more = other - orders.sel(loss="squared error", drop=True)
    what = "plateaus between the first and the last one, cross-entropy minus squared error"
    for at, found in by_setting(mean, more.number):
        yield Finding("as-many-plateaus", what, found, Near(0, 0.5), source, settings=at)
    what = f"share of pairs of {LEADING} leading components learned in order, cross-entropy minus squared error"
    for at, found in by_setting(mean, more.order):
        yield Finding("same-order", what, found, Near(0, 0.1), source, settings=at)
    what = f"cross-entropy: alignment of {LEADING} leading left vectors with the target's, at the end"
    for at, found in by_setting(mean, other.span):
        yield Finding("same-span", what, found, AtLeast(0.95), source, settings=at)


LIMITS = (
    "Entries of .1: cross-entropy is a squared error of what differs from the mean. Time is in inverse growth rates."
)
experiment = Experiment(
    question="What does softmax cross-entropy over the entries of a matrix change in how its components are learned?",
    source="Jermyn & Shlegeris 2022, and its readers",
    sweeps=sweeps,
    scales={"tiny": sized(8, 3, 300, 300, 600), "full": sized(64, 64, 4000, 8000, 80_000)},
    readings=[staircases, tens, longer_tens, orders],
    figures=[plateaus_of_two_components, losses_at_rank_ten, learning_at_full_rank],
    findings=[two_plateaus, zero_at_rank_ten, full_rank_as_squares],
    cost="n = 64 instead of 16: about two days on two CPU cores, by the cost of a step, and 8 GB",
    claims=[
        Claim(
            "A1",
            "With softmax cross-entropy over the entries a target of rank two shows two plateaus.",
            ["two-plateaus"],
            "plateaus_of_two_components",
            note=LIMITS,
        ),
        Claim(
            "A2",
            "With softmax cross-entropy, rank ten has trouble finding the solution of zero loss.",
            ["misses-zero"],
            "losses_at_rank_ten",
            note=f"Trouble: squared error gets there in a time in which cross-entropy does not. {LIMITS}",
        ),
        Claim(
            "A3",
            "At full rank cross-entropy learns as squared error does: as many plateaus, the same order, the same span.",
            ["as-many-plateaus", "same-order", "same-span"],
            "learning_at_full_rank",
            note=LIMITS,
        ),
    ],
)
