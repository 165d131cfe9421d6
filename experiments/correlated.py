"""Correlated features lie orthogonal or side by side, anticorrelated ones opposite each other. Elhage et al. 2022."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Choice, Cosine, Placed, Record, Run, Supervised, Sweep, Tied, draw
from toymodels.analysis.collapse import lying, members_lie, regular, set_cosines, set_interference
from toymodels.analysis.labelled import each_model, exact_losses
from toymodels.analysis.restarts import basins
from toymodels.config import replace
from toymodels.data import Anticorrelated, Correlated, Distribution, Sparse
from toymodels.estimates import best_over_best, category_of_best, mean, of_best, share
from toymodels.experiment import Experiment, Swept, require
from toymodels.findings import Above, AtMost, Below, Finding, Is, ours, report, stated
from toymodels.theory.correlated import loss_of_pairs

SHOWN, DEAD = 0.05, 0.25
"""The p of each feature in figures and verdicts (an anticorrelated pair is on with 2 p; none is published); the length,
over the longest, up to which a feature counts as not represented."""
AT = f"at p = {SHOWN:g}"
PAPER = "Elhage et al. 2022, section 5"
PREFERRED = {"correlated": ("orthogonal", "antipodal"), "anticorrelated": ("antipodal", "orthogonal")}
"""How the members of a pair lie according to the paper, and the rival of this arrangement."""
SQUARE = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
STARTS = {"orthogonal": SQUARE, "antipodal": SQUARE[[0, 2, 1, 3]]}
PLACED = "was over random starts, of which none may end as the rival; now over starts placed there"

base = Run(Supervised(Sparse(4), Tied(2)), Adam(Cosine(1e-2)), 4000, record=Record(12, 2, examples=16_384))
two_sets = {"correlated": Correlated(2, 2, SHOWN), "anticorrelated": Anticorrelated(2, 2, SHOWN)}


def grid(start: Run, kinds: dict[str, Distribution], seeds: int) -> Sweep:
    kind = Choice("kind", {kind: {"problem.data": data} for kind, data in kinds.items()})
    return Sweep(start, [kind, Axis("p", "problem.data.p", [0.02, SHOWN, 0.1]), Axis("seed", "seed", range(seeds))])


pairs = grid(base, {"independent": Sparse(4), **two_sets}, 128)
triples = grid(base, {"independent": Sparse(6), "correlated": Correlated(3, 2)}, 48)
bases = grid(replace(base, {"problem.model.m": 10}), {"independent": Sparse(20), "correlated": Correlated(2, 10)}, 8)
rival = {kind: {"problem.data": two_sets[kind], "problem.model.W": STARTS[lie]} for kind, (_, lie) in PREFERRED.items()}
placed = replace(base, {"problem.model": Placed(Tied(2), SQUARE, np.zeros(4), noise=0.05)})
rivals = Sweep(placed, [Choice("kind", rival), Axis("seed", "seed", range(8))])


# ------------------------------------------------------------------------------------------------------------- readings
def pair_geometry(pairs: Swept) -> xr.Dataset:
    """Of every model: its exact loss, how the members of its pairs lie, and the largest angle between two members."""
    W, b = (pairs.final(name, unconverged=True) for name in ("W", "b"))
    require(W.sizes["hidden"] == 2, "it is made for two dimensions")
    p, kinds = W.coords.get("p", xr.DataArray(SHOWN)), W.kind.values.tolist()
    loss = [exact_losses(partial(loss_of_pairs, kind), W.sel(kind=kind), b.sel(kind=kind), p) for kind in kinds]
    cosine = each_model(partial(set_cosines, size=2, dead=DEAD), W, outputs=["pair"])
    angle = np.degrees(np.arccos(cosine.clip(-1, 1))).max("pair", skipna=False)
    return xr.Dataset({"loss": xr.concat(loss, W.kind), "lie": members_lie(cosine), "angle": angle})


def triple_geometry(triples: Swept) -> xr.Dataset:
    """The same for three pairs, and which models of six features are hexagons."""
    return pair_geometry(triples).assign(hexagon=each_model(regular, triples.final(unconverged=True)))


def rival_geometry(rivals: Swept) -> xr.Dataset:
    """The same for models that started in the rival arrangement."""
    return pair_geometry(rivals)


def interference(bases: Swept) -> xr.Dataset:
    """Overlaps of represented features, within the two halves, each a set where it is correlated, and between them."""
    return set_interference(bases.final(unconverged=True), sets=2, dead=DEAD)


# -------------------------------------------------------------------------------------------------------------- figures
def pairs_in_the_plane(pairs: Swept, triples: Swept, pair_geometry: xr.Dataset, triple_geometry: xr.Dataset) -> Figure:
    """Rows of W, one colour a pair, at p = 0.05 of each feature; a collapsed pair shows as one arrow. Top: best of all
    seeds by exact loss, with the share of seeds like it up to rotation and permutation, whichever two features make a
    pair. Bottom: the most common other geometry, with its share; blank where there is none."""
    rows = (("two pairs", pairs, pair_geometry), ("three pairs", triples, triple_geometry))
    shown = [(f"{name},\n{kind}\n", sweep, found, kind) for name, sweep, found in rows for kind in found.kind.values]
    figure, axes = draw.panels(2, len(shown), height=3.6, letters=False, squeeze=False)
    for column, (name, swept, found, kind) in zip(axes.T, shown, strict=True):
        W = swept.final(unconverged=True).sel(kind=kind, p=SHOWN).values
        best, *others = basins(W, found.loss.sel(kind=kind, p=SHOWN).values, tol=0.1)
        column[1].set(xticks=[], yticks=[])
        column[1].spines[["left", "bottom"]].set_visible(bool(others))
        others.sort(key=lambda basin: -basin.restarts)
        for ax, basin, title in zip(column, [best, *others], (name, ""), strict=False):
            draw.arrows(ax, W[basin.places[0]], [draw.PALETTE[i // 2] for i in range(W.shape[1])], reach=1.4)
            ax.set_title(f"{title}{basin.share.mean:.0%} of seeds", fontsize=7)
    draw.outer_labels(axes, x="", y=["best seed", "most common other"])
    draw.legend_below(figure, axes, {f"pair {i + 1}": draw.key("-", draw.PALETTE[i]) for i in range(3)})
    return figure


def arrangements_by_density(pair_geometry: xr.Dataset, triple_geometry: xr.Dataset) -> Figure:
    """Share of seeds in which the members of every pair are orthogonal, antipodal, or side by side (less than a right
    angle apart), against the p of a feature. Bars: 95 % Wilson intervals, for all p of a curve together. Two
    anticorrelated features make a set that is on with probability 2 p. a, b: two pairs; c: three pairs."""
    figure, axes = draw.panels(1, 3, height=2.4, sharey=True)
    shown = {"orthogonal": pair_geometry, "antipodal": pair_geometry, "side by side": triple_geometry}
    for ax, number, (lie, found) in zip(axes, ("two", "two", "three"), shown.items(), strict=True):
        draw.log_axis(ax, "x", at=found.p.values)
        for kind, shift in zip(found.kind.values, draw.shifts(found.kind.size), strict=True):
            shares = share(lying(found, lie).sel(kind=kind)).estimates
            draw.points(ax, found.p.values, shares, kind, shift=shift, ls="-", lw=0.8)
        ax.set(xlabel="$p$ of a feature", ylabel="share of seeds", title=f"{number} pairs: {lie}", ylim=(-0.03, 1.03))
    draw.outer_labels(axes)
    draw.legend_below(figure, axes, {"95 % interval": draw.whisker()})
    return figure


def local_bases(bases: Swept, interference: xr.Dataset) -> Figure:
    """a, b: W Wᵀ of 20 features at p = 0.05 of each feature, best of all seeds by the final objective: two
    correlated sets of ten, parted by lines, and independent features. c: |cos| between represented
    features of the same set (solid) and of different sets (dashed), all seeds, cumulative; for independent features
    (grey), of the same two halves, whose curves nearly coincide."""
    (figure, axes), kinds = draw.panels(1, 3, width_ratios=(1, 1, 1.3)), {"correlated": draw.BLUE, "independent": "0.6"}
    W = [bases.best(kind=kind, p=SHOWN).W.values for kind in kinds]
    mesh = draw.matrices(axes[:2], [each @ each.T for each in W], titles=list(kinds))
    draw.colour_bar(figure, mesh, axes[:2], "$W W^\\mathsf{T}$", shrink=0.8)
    for ax, (kind, colour) in zip(axes, kinds.items(), strict=False):
        draw.part(ax, 10)
        for name, which, dash in (("same", interference.same, "-"), ("other", ~interference.same, draw.DASHED)):
            cosine = interference.cosine.sel(kind=kind, p=SHOWN).where(which)
            draw.ecdf(axes[2], cosine, label=f"{kind}, {name} set", colour=colour, ls=dash)
    axes[2].set(xlabel="$|\\cos|$", ylabel="share of pairs up to it", xlim=(0, 1.03))
    draw.legend(axes[2], fontsize=draw.SMALL, loc="lower right")
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def pairs_arrange_themselves(pair_geometry: xr.Dataset, rival_geometry: xr.Dataset) -> Iterator[Finding]:
    """Correlated pairs are orthogonal, anticorrelated ones antipodal, each more often than in the control."""
    for kind, (lie, other) in PREFERRED.items():
        shown, rivals = pair_geometry.sel(kind=kind, p=SHOWN), rival_geometry.sel(kind=kind)
        at, said = {"kind": kind}, ours(f"limit; {PAPER}, says that {lie} is preferred")
        best, two = category_of_best(shown.lie, shown.loss), f"two {kind} pairs"
        what = f"how the members of {two} lie {AT}, best of {shown.seed.size}"
        yield Finding("best-pairs", what, best, Is(lie), stated(PAPER), "best of k", at)
        what = f"{two}: least exact loss with {lie} members, over that of models started {other}"
        ratio = best_over_best(shown.loss.where(shown.lie == lie), rivals.loss.where(rivals.lie == other))
        yield Finding("loss-over-rival", what, ratio, AtMost(0.99), said, "best of k", at, PLACED)
        stay, flags = share(lying(rivals, other)), lying(pair_geometry, lie)
        yield report("rivals-stay", f"{two}: share of models started {other} that stay so", stay, settings=at)
        what = f"share of seeds in which both {kind} pairs are {lie}, minus that of independent features"
        more = flags.sel(kind=kind) - flags.sel(kind="independent")
        yield Finding("seeds-over-control", f"{what}, {AT}", mean(more.sel(p=SHOWN)), Above(0), said, settings=at)
        yield report("seeds-over-control-by-p", what, mean(more), settings=at)
        seeds = share(flags.sel(kind=[kind, "independent"], p=SHOWN))
        yield report("seeds", f"share of seeds in which both pairs are {lie}, {AT}", seeds, settings=at)


def three_pairs(triple_geometry: xr.Dataset) -> Iterator[Finding]:
    """In a plane, correlated pairs lie side by side, unlike those of a control; may its six features be a hexagon?"""
    shown, said = triple_geometry.sel(p=SHOWN), ours(f"limit; {PAPER}, says side by side")
    models, control, flags = shown.sel(kind="correlated"), shown.sel(kind="independent"), lying(shown, "side by side")
    what = f"largest angle between the members of one of three correlated pairs, in degrees, best of {shown.seed.size}"
    yield Finding("side-by-side", what, of_best(models.angle, models.loss), Below(90), said, "best of k")
    what = "share of seeds in which all of three correlated pairs lie side by side, minus that of independent features"
    more = mean(flags.sel(kind="correlated") - flags.sel(kind="independent"))
    yield Finding("side-by-side-over-control", what, more, Above(0), said)
    yield report("side-by-side-seeds", "share of seeds in which all three pairs lie side by side", share(flags))
    said = ours(f"limit; {PAPER}, says that independent features are not embedded so")
    what = f"share of seeds in which six independent features end in a hexagon, {AT}"
    yield Finding("hexagon-seeds", what, share(control.hexagon), Below(0.5), said)
    what = f"six independent features, p = {SHOWN:g}: least exact loss of the hexagons, over that of all other models"
    ratio = best_over_best(control.loss.where(control.hexagon == 1), control.loss.where(control.hexagon == 0))
    yield Finding("hexagon-loss", what, ratio, Above(1), said, "best of k")


def bases_are_local(interference: xr.Dataset) -> Iterator[Finding]:
    """Features of a correlated set are nearly orthogonal; interference is with the other set."""
    ratio, said = interference.ratio.sel(p=SHOWN), ours(f"limit; {PAPER}, says nearly orthogonal")
    what = "mean cos² within a set of ten features over that between two sets"
    yield Finding("local-bases", f"correlated: {what}", mean(ratio.sel(kind="correlated")), AtMost(0.1), said)
    yield report("local-bases-of-control", f"independent: {what}", mean(ratio.sel(kind="independent")))


experiment = Experiment(
    question="How do correlated and anticorrelated features arrange themselves?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 5",
    sweeps={"pairs": pairs, "triples": triples, "bases": bases, "rivals": rivals},
    scales={
        "tiny": {"steps": 400, "p": [SHOWN], "seed": range(8), "bases.seed": range(2)},
        "full": {"steps": 10_000, "seed": range(256), "bases.seed": range(8), "rivals.seed": range(8)},
    },
    readings=[pair_geometry, triple_geometry, rival_geometry, interference],
    figures=[pairs_in_the_plane, arrangements_by_density, local_bases],
    findings=[pairs_arrange_themselves, three_pairs, bases_are_local],
    cost="10,000 steps and 256 seeds: about ten minutes on two CPU cores",
)
