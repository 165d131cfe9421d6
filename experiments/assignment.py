"""Which learned vector ends with which component of the target, and whether the start decides it.

A target of two components is learned at rank two by small steps of SGD. With distinct singular values the target's
vectors are identifiable, and the path fixes the gauge of the learned ones. From small starts the end is exact: the
first component is learned along the overlaps that grow towards it, the second one along what is then free.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Axis, Components, Factorize, Geometric, Momentum, Record, Run, Sweep, draw
from toymodels.analysis.alignment import component_alignment
from toymodels.analysis.by_setting import by_setting
from toymodels.claims import Claim
from toymodels.config import replace
from toymodels.estimates import mean, median, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import Above, AtLeast, AtMost, Finding, Near, ours, report
from toymodels.problems.natural_steps import in_natural_units, targets
from toymodels.theory.final_pairs import final_alignment, growing_overlaps

DECIDED = 0.9
RULES = {
    "cosines": "pairs of the largest cosines",
    "overlaps": "pairs of the largest growing overlaps",
    "first": "largest growing overlap with the first component",
}
CORE = [["row", "component"], ["column", "component"], ["target", "row"], ["target", "column"]]
PAIRS = [["component", "target"]]

problem = Factorize(Components(16, 16, 2, Geometric(0.5)), 2)
runs = Sweep(
    Run(problem, Momentum(0.05, decay=0), 1000, record=Record(20, 2)),
    [
        Axis("ratio", "problem.target.spectrum.ratio", [0.3, 0.5, 0.8, 0.95]),
        Axis("scale", "problem.scale", [1e-3, 1e-2, 1e-1]),
        Axis("seed", "seed", range(512)),
    ],
    in_natural_units,
)


# ------------------------------------------------------------------------------------------------------------- readings
def ends(runs: Swept) -> xr.Dataset:
    """Of every run: |cos| of learned with target components at the `end`, and as `predicted` by the start's growing
    overlaps in the limit of small starts; by each rule at the start, whether it names the pairs of the end (`right`);
    whether each vector's nearest component by cosine is the same (`vector`), and the same of starts and ends of
    different seeds (`shuffled`)."""
    runs.check(problem__components=2, problem__target__rank=2)
    own = targets(runs.sweep.base.problem, runs.data.seed.values.tolist())
    start, end = ([runs.finite(name, snapshot=place).drop_vars("snapshot") for name in "UV"] for place in (0, -1))
    vectors, signature = (own.left, own.right), {"input_core_dims": CORE, "output_core_dims": PAIRS}
    cosine, final = (xr.apply_ufunc(component_alignment, *each, *vectors, **signature) for each in (start, end))
    overlap = xr.apply_ufunc(growing_overlaps, *start, *vectors, **signature)
    pairs, whole = _straight(final), final.notnull().all(["component", "target"])
    first = abs(overlap.isel(target=0))
    names = {"cosines": _straight(cosine), "overlaps": _straight(abs(overlap))}
    names["first"] = first.isel(component=0) > first.isel(component=1)
    right = xr.concat([each == pairs for each in names.values()], xr.Variable("rule", list(names)))

    def limit(ratio: float) -> xr.DataArray:
        of = partial(final_alignment, [1, ratio])
        return xr.apply_ufunc(of, overlap.sel(ratio=ratio), input_core_dims=PAIRS, output_core_dims=PAIRS)

    predicted = xr.concat([limit(ratio) for ratio in overlap.ratio.values.tolist()], overlap.ratio)
    nearest, before = final.argmax("target"), cosine.argmax("target")
    found = {"end": final, "predicted": predicted.transpose(*final.dims)}
    found |= {"right": right.where(whole), "vector": (nearest == before).mean("component").where(whole)}
    shuffled = (nearest == before.roll(seed=1, roll_coords=False)).mean("component")
    return xr.Dataset({**found, "shuffled": shuffled.where(whole)})


def _straight(closeness: xr.DataArray) -> xr.DataArray:
    """Whether the first learned vector goes with the first component in the pairing of the largest sum."""
    at = {(i, k): closeness.isel(component=i, target=k) for i in range(2) for k in range(2)}
    return at[0, 0] + at[1, 1] > at[0, 1] + at[1, 0]


# -------------------------------------------------------------------------------------------------------------- figures
def who_ends_where(ends: xr.Dataset) -> Figure:
    """A target of two components learned at rank two by SGD. (a-c) Share of seeds in which a rule at the start names
    the pairs of the end, against the ratio of singular values, one panel an initial scale: one-to-one pairs of the
    largest |cos| of components, or of the largest growing overlaps |a_k . u_i + b_k . v_i|; or the learned vector whose
    growing overlap with the first component is largest goes with it. Intervals hold together at 95 % for each series.
    (d) |cos| of learned with target components at the end against the exact limit of small starts, at the smallest
    initial scale, one colour a ratio."""
    scales = ends.scale.values
    figure, axes = draw.panels(1, len(scales) + 1, height=2.7)
    x = np.arange(ends.sizes["ratio"])
    for ax, scale in zip(axes, scales, strict=False):
        ax.axhspan(DECIDED, 1, color="0.9", lw=0, zorder=0, label="counts as decided")
        for (rule, label), colour, shift in zip(RULES.items(), draw.PALETTE, draw.shifts(3), strict=False):
            of = share(ends.right.sel(rule=rule, scale=scale, drop=True)).estimates
            draw.points(ax, x, of, label, colour, shift=shift)
        draw.levels(ax, [0.5], dash=draw.DOTTED)
        draw.ticks(ax, "x", x, ends.ratio.values)
        ax.set(ylim=(0.3, 1.03), xlabel="ratio $s_2 / s_1$", title=f"initial scale {scale:g}")
    axes[0].set_ylabel("share named at the start")
    small = ends.isel(scale=0)
    series = {
        f"ratio {ratio:g}": (small.predicted.sel(ratio=ratio).values, small.end.sel(ratio=ratio).values, colour)
        for ratio, colour in zip(ends.ratio.values, draw.PALETTE[3:], strict=False)
    }
    draw.clouds(axes[-1], series, ms=1.4)
    draw.theory(axes[-1], [0, 1], [0, 1], "equal (d)", zorder=3)
    scale = f"initial scale {float(small.scale):g}"
    axes[-1].set(xlabel="limit of small starts", ylabel="|cos| at the end", title=scale)
    draw.legend_below(figure, axes, {"chance": draw.DOTTED, "95 % interval": draw.whisker()}, columns=3)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def the_start_decides(ends: xr.Dataset) -> Iterator[Finding]:
    """How often the closest target at the start is that of the end, and the rule that theory has instead."""
    what = "seeds whose one-to-one pairs at the end are those of the largest {} at the start"
    decided, chance = ours("limit; Jermyn & Shlegeris 2022: vectors compete"), ours("chance is one half, by symmetry")
    for rule in ("cosines", "overlaps"):
        for at, found in by_setting(share, ends.right.sel(rule=rule, drop=True)):
            own = {"by": rule, **at}
            yield Finding("closest-decides", what.format(rule), found, AtLeast(DECIDED), decided, settings=own)
            yield Finding("better-than-chance", what.format(rule), found, Above(0.5), chance, settings=own)
    what = "seeds in which the vector of largest growing overlap with the first component ends with it"
    for at, found in by_setting(share, ends.right.sel(rule="first", drop=True)):
        source = ours("limit; theory.final_pairs: all of them, from small starts")
        yield Finding("first-component-decides", what, found, AtLeast(0.95), source, settings=at)
    corner = ends.right.sel(rule="overlaps", drop=True).isel(ratio=0, scale=0, drop=True)
    what = "the first ratio and the smallest start: seeds whose pairs are those of the largest growing overlaps"
    source = ours("tolerance; 3/4 for small starts, where two alike differences decide and one of them is heeded")
    yield Finding("three-quarters", what, share(corner), Near(0.75, 0.1), source)
    for name, who in (("vector", "its own start"), ("shuffled", "the start of another seed")):
        what = f"share of learned vectors nearest to the component that was nearest by cosine at {who}"
        for at, found in by_setting(mean, ends[name]):
            yield report(f"nearest-of-{name}", what, found, settings=at)


def the_end_is_exact(ends: xr.Dataset) -> Iterator[Finding]:
    """Alignments at the end against their limit."""
    off = abs(ends.end - ends.predicted).max(["component", "target"], skipna=False)
    what = "largest difference of an alignment at the end from the limit of small starts, median over seeds"
    for at, found in by_setting(median, off):
        yield Finding(
            "limit-of-small-starts", what, found, AtMost(0.02), ours("limit; theory.final_pairs"), settings=at
        )


experiment = Experiment(
    question="Does the closest target at the start decide which learned vector ends with which component?",
    source="Jermyn & Shlegeris 2022, and its readers",
    sweeps={"runs": runs},
    scales={
        "tiny": {"problem": replace(problem, {"target.n": 8, "target.m": 8}), "seed": range(8)},
        "full": {"problem": replace(problem, {"target.n": 100, "target.m": 100}), "seed": range(1024)},
    },
    readings=[ends],
    figures=[who_ends_where],
    findings=[the_start_decides, the_end_is_exact],
    cost="n = 100 instead of 16: about two hours on two CPU cores, by the cost of a step, and 0.1 GB",
    claims=[
        Claim(
            "A7",
            "Which learned vector ends with which component is decided by the closest one at initialisation.",
            ["closest-decides"],
            "who_ends_where",
            note="Closest: one-to-one pairs, by |cos| of components or by the overlaps that grow. Chance is one half. "
            "From small starts with distinct singular values the pairs are exact, but not these: overlaps with the "
            "first component alone decide. With equal singular values the target's vectors are not identifiable.",
        )
    ],
)
