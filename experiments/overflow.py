"""Does a second head take the features that do not fit into the first? Claim D4.

Two heads of rank r move n features from the previous token. The first attends to it alone, the second to it with weight
a and to the present token with 1 - a, so that they can be told apart: heads that attend alike are one matrix of rank
2r. Linear outputs have closed forms (`theory.attention`): the second head is idle up to n = r and then moves
min(r, n - r) features. Rectified outputs, and patterns that are learned, have none.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import (
    Adam,
    Attention,
    Axis,
    Choice,
    Cosine,
    Geometric,
    Identity,
    Leaning,
    LearnedPattern,
    Record,
    Relu,
    Run,
    Sparse,
    SquaredError,
    Sweep,
    draw,
)
from toymodels.claims import Claim
from toymodels.data import covariance
from toymodels.estimates import mean, median, share
from toymodels.experiment import Experiment, Swept, require
from toymodels.findings import AtLeast, AtMost, Finding, Near, ours, report
from toymodels.laws import per_feature
from toymodels.problems.attention import value_output
from toymodels.theory.attention import alike, gain, linear_loss, two_heads

RANK = 4
# At a rate of .01 a quarter of the seeds still had the wrong feature in the first head at n = 3, r = 2, a = .7.
base = Run(Attention(Sparse(8, 0.3), 2, RANK), Adam(Cosine(0.03)), steps=6000, batch=128, record=Record(2, 2))
rectified = Run(
    Attention(Sparse(8, 0.3), 2, RANK, output=Relu(), scale=0.5, bias=0.3),
    Adam(Cosine(3e-3)),
    6000,
    256,
    record=Record(2, 2),
)
learned = Run(Attention(Sparse(8, 0.3), 2, RANK, LearnedPattern()), Adam(Cosine(0.01)), 6000, 128, record=Record(2, 2))
LAWS = {"equal": Geometric(1.0), "falling": Geometric(0.8)}
importance = Choice("importance", {name: {"problem.loss": SquaredError(law)} for name, law in LAWS.items()})
seeds = Axis("seed", "seed", range(20))
leans = Axis("lean", "problem.pattern.lean", [0.5, 0.7])
ranks = Axis("rank", "problem.rank", [2, RANK])


def counts(*of: int) -> Axis:
    return Axis("features", "problem.data.n", of)


sweeps = {
    "linear": Sweep(base, [ranks, counts(2, 3, 4, 6, 8, 12), leans, importance, seeds]),
    "relu": Sweep(rectified, [counts(4, 6, 8, 12), Axis("p", "problem.data.p", [0.05, 0.2, 1.0]), seeds]),
    "learned": Sweep(learned, [counts(4, 6, 8, 12), seeds]),
}


# ------------------------------------------------------------------------------------------------------------- readings
NAMES = ("first", "second", "loss", "dead", "previous", "least", "expected")


def _measured(swept: Swept, *dims: str) -> xr.Dataset:
    """Of each cell: |A_1|² and |A_2|²; exact loss of linear outputs and its least value, over the loss of the mean;
    |A_2|² at the optimum, over gain²; outputs that are never on; the least weight of a head on the previous token."""
    params = {name: swept.finite(name, snapshot=-1) for name in ("U", "V", "b", "logits") if name in swept.data}
    params = {name: values.transpose(*dims, "seed", ...) for name, values in params.items()}
    shape = tuple(params["U"].sizes[dim] for dim in (*dims, "seed"))
    found = {name: np.full(shape, np.nan) for name in NAMES}
    for at in np.ndindex(shape[:-1]):
        labels = {dim: swept.data[dim].values.tolist()[place] for dim, place in zip(dims, at, strict=True)}
        problem = swept.run(**labels).problem
        own = {name: values.values[at] for name, values in params.items()}
        for name, values in _of_cells(problem, own).items():
            found[name][at] = values
    coords = {dim: swept.data[dim].values for dim in (*dims, "seed")}
    return xr.Dataset({name: ((*dims, "seed"), values) for name, values in found.items()}, coords)


def _of_cells(problem: Attention, params: dict[str, np.ndarray]) -> dict[str, Any]:
    """`_measured` of the cells of one setting, seeds first; parameters are padded to the largest shapes of a sweep."""
    n, r, linear = problem.data.n, problem.rank, isinstance(problem.output, Identity)
    A, b = value_output({name: params[name][..., :n, :r] for name in "UV"}), params["b"][..., :n]
    pattern = np.asarray(jax.vmap(lambda own: problem.pattern.weights(own, 2))(_logits(params, len(A))), np.float64)
    spread, importance = covariance(problem.data), np.asarray(per_feature(problem.loss.importance, n), np.float64)
    strength = importance * np.diag(spread)
    size = (A**2).sum((-1, -2))
    alone = np.einsum("sh,shii->si", pattern[..., 0], A) + b  # a feature that is on alone, with value 1
    found = {
        "first": size[:, 0],
        "second": size[:, 1],
        "dead": (alone <= 0).sum(-1) if not linear else 0.0 * size[:, 0],
    }
    found["previous"] = pattern[..., 0].min(-1)
    if linear:
        loss = linear_loss(A, b, pattern, np.asarray(problem.data.mean(), np.float64), spread, importance)
        found["loss"] = loss / strength.sum()
    if linear and isinstance(problem.pattern, Leaning):
        lean = problem.pattern.lean
        least = two_heads(strength, r, lean)
        found |= {"least": least.loss / strength.sum(), "expected": least.second / gain(lean) ** 2}
        found["second"] = found["second"] / gain(lean) ** 2
    elif linear:
        found["least"] = alike(strength, r, 2) / strength.sum()
    return found


def _logits(params: dict[str, np.ndarray], cells: int) -> dict[str, Any]:
    """The parameters of the pattern, of which a given one has none."""
    return {"logits": params["logits"]} if "logits" in params else {"none": np.zeros(cells)}


def two_linear_heads(linear: Swept) -> xr.Dataset:
    """What `_measured` says of linear outputs and given patterns; `second` is in features, |A_2|² / gain²."""
    found = _measured(linear, "rank", "features", "lean", "importance")
    return found.drop_vars(["dead", "previous"])


def rectified_heads(relu: Swept) -> xr.Dataset:
    """What `_measured` says of rectified outputs and given patterns."""
    require(relu.sweep.base.problem.pattern == Leaning(), "it is made for a head that leans half")
    return _measured(relu, "features", "p")[["first", "second", "dead"]].assign_attrs(rank=relu.sweep.base.problem.rank)


def learned_heads(learned: Swept) -> xr.Dataset:
    """What `_measured` says of linear outputs and learned patterns."""
    found = _measured(learned, "features").drop_vars(["dead", "expected"])
    return found.assign_attrs(rank=learned.sweep.base.problem.rank)


def second_share(sizes: xr.Dataset, lesser: bool = False) -> xr.DataArray:
    """|A_2|² / (|A_1|² + |A_2|²); of the `lesser` head where they start alike; NaN where an output is dead."""
    second = xr.where(sizes.second < sizes["first"], sizes.second, sizes["first"]) if lesser else sizes.second
    part = second / (sizes["first"] + sizes.second)
    return part.where(sizes.dead == 0) if "dead" in sizes else part


def shares(
    two_linear_heads: xr.Dataset, rectified_heads: xr.Dataset, learned_heads: xr.Dataset
) -> dict[str, xr.DataArray]:
    """`second_share` by features and seed, at rank 4, of each kind of toy."""
    rank = rectified_heads.attrs["rank"]
    plain = two_linear_heads.sel(rank=rank, lean=0.5, importance="equal")
    found = {"linear": second_share(plain)}
    found |= {
        f"ReLU, p = {p:g}": second_share(rectified_heads.sel(p=p)) for p in rectified_heads.p.values[::-1].tolist()
    }
    return found | {"linear, learned patterns": second_share(learned_heads, lesser=True)}


# -------------------------------------------------------------------------------------------------------------- figures
def the_second_head(two_linear_heads: xr.Dataset, rectified_heads: xr.Dataset, learned_heads: xr.Dataset) -> Figure:
    """(a) Features that the second of two linear heads moves, |A_2|² / gain², by their number n and the rank r of each
    head (equal importances; half of the second head's attention leans on the other token). A = A_1 + A_2 is what the
    heads do together, gain the factor on a feature that one head moves by itself. (b) Exact loss over that of the mean;
    dashed: closed forms. (c) Share of |A|² in the second head at r = 4 (of the smaller one where patterns are learned),
    kinds side by side; dotted: n = r. Means over seeds with their 95 % intervals; of ReLU outputs those seeds at which
    no output is dead."""
    figure, (moved, losses, parts) = draw.panels(1, 3, height=2.9)
    plain = two_linear_heads.sel(lean=0.5, importance="equal")
    for rank, colour in zip(plain["rank"].values.tolist(), draw.PALETTE, strict=False):
        here = plain.sel(rank=rank)
        for ax, name, exact in ((moved, "second", "expected"), (losses, "loss", "least")):
            draw.points(ax, here.features, mean(here[name]).estimates, f"$r$ = {rank}", colour, ms=3.5)
            draw.theory(ax, here.features, here[exact].isel(seed=0), colour=colour)
    found = shares(two_linear_heads, rectified_heads, learned_heads)
    for (name, part), colour, shift in zip(found.items(), draw.PALETTE[2:], draw.shifts(len(found), 2), strict=False):
        draw.points(parts, part.features, mean(part).estimates, name, colour, shift=shift, ms=3, ls="-", lw=0.7)
    draw.moments(parts, rectified_heads.attrs["rank"], "$n=r$", lw=0.9)
    for ax, label in ((moved, "features in head 2"), (losses, "loss / loss of the mean"), (parts, "share of $|A|^2$")):
        ax.set(xlabel="features $n$", ylabel=label)
        draw.ticks(ax, "x", two_linear_heads.features.values, two_linear_heads.features.values)
    parts.set_ylim(-0.02, 0.62)
    draw.legend(moved, {"closed form": draw.DASHED})
    draw.legend_below(figure, parts, {"95 % interval": draw.whisker()})
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def closed_forms(two_linear_heads: xr.Dataset) -> Iterator[Finding]:
    """Training meets the closed forms, from fewer features than the rank to three times as many and more."""
    why = ours("closed form; 2 %")
    for rank in two_linear_heads["rank"].values.tolist():
        for name in two_linear_heads.importance.values.tolist():
            here, at = two_linear_heads.sel(rank=rank, importance=name), {"rank": rank, "importance": name}
            title = f"rank {rank}, {name} importances"
            over, fit = (here.sel(features=chosen) for chosen in (here.features > rank, here.features <= rank))
            for id, ratio in (("loss", over.loss / over.least), ("size", over.second / over.expected)):
                what = f"{title}, n > r: {id}{' of head 2' * (id == 'size')} over its closed form"
                what = f"{what}, median over seeds"
                yield Finding(f"closed-form-{id}", what, median(ratio), Near(1, within=0.02), why, settings=at)
                what = f"{title}, n > r: seeds whose {id} is within 2 % of its closed form"
                yield report(f"seeds-at-{id}", what, share(abs(ratio - 1) <= 0.02), settings=at)
            for id, value in (("loss", fit.loss), ("size", fit.second / rank)):
                what = f"{title}, n <= r: {id}, which is 0 at the optimum, over its {SCALE[id]}"
                yield Finding(f"none-left-{id}", what, mean(value), AtMost(0.02), why, settings=at)


SCALE = {"loss": "value for the mean", "size": "largest value"}


def overflow(two_linear_heads: xr.Dataset, rectified_heads: xr.Dataset, learned_heads: xr.Dataset) -> Iterator[Finding]:
    """The second head before and after the first is full, in each kind of toy."""
    rank = rectified_heads.attrs["rank"]
    found = shares(two_linear_heads, rectified_heads, learned_heads)
    for name, part in found.items():
        at = {"toy": name}
        full, twice = (mean(part.sel(features=count * rank)) for count in (1, 2))
        what = f"{name}, n = r: share of |A|² in the second head"
        yield Finding("spared", what, full, AtMost(0.05), ours("one part in twenty"), settings=at)
        what = f"{name}, n = 2r: share of |A|² in the second head"
        yield Finding("overflow", what, twice, AtLeast(0.25), ours("half of what linear heads give it"), settings=at)
        for n in part.features.values.tolist():
            what = f"{name}, n = {n}: share of |A|² in the second head"
            yield report("share", what, mean(part.sel(features=n)), settings=at | {"features": n})


def rectified_outputs_delay(rectified_heads: xr.Dataset) -> Iterator[Finding]:
    """Sparse features fit into one head in superposition, where outputs are rectified."""
    rank, part = rectified_heads.attrs["rank"], second_share(rectified_heads)
    densest = part.p.values.max()
    for p in part.p.values.tolist():
        here, at = rectified_heads.sel(p=p), {"p": p}
        for n in here.features.values.tolist():
            what = f"p = {p:g}, n = {n}: outputs that are never on"
            yield report("dead", what, mean(here.dead.sel(features=n)), settings=at | {"features": n})
        if p < densest:
            what = f"p = {p:g}, n = 3r: share of |A|² in the second head"
            late = mean(part.sel(p=p, features=3 * rank))
            yield Finding("only-delayed", what, late, AtLeast(0.15), ours("not avoided"), settings=at)
            what = f"n = 2r: share of |A|² in the second head at p = {densest:g} less that at p = {p:g}"
            later = mean((part.sel(p=densest) - part.sel(p=p)).sel(features=2 * rank))
            yield Finding("delayed", what, later, AtLeast(0.1), ours("a tenth of |A|²"), settings=at)


def learned_patterns_coincide(learned_heads: xr.Dataset) -> Iterator[Finding]:
    """Heads that choose their pattern come to attend alike, and then are one matrix of rank 2r."""
    rank = learned_heads.attrs["rank"]
    crowded = learned_heads.sel(features=[n for n in learned_heads.features.values if n >= 2 * rank])
    what = "learned patterns, n >= 2r: least weight of a head on the previous token"
    yield Finding("attend-alike", what, mean(crowded.previous), AtLeast(0.95), ours("nearly all of it"))
    over = learned_heads.sel(features=3 * rank)
    what = "learned patterns, n = 3r: loss over that of one matrix of rank 2r"
    yield Finding("one-matrix", what, mean(over.loss / over.least), Near(1, within=0.02), ours("closed form; 2 %"))


experiment = Experiment(
    question="When does a second head take features that the first could move, and how many?",
    source="ours; Elhage et al. 2021 for heads as value-output maps",
    sweeps=sweeps,
    scales={
        "tiny": {
            "seed": range(2),
            "steps": 300,
            "batch": 64,
            "linear.rank": [RANK],
            "linear.features": [4, 8],
            "relu.features": [4, 8, 12],
            "learned.features": [4, 8, 12],
        },
        "full": {"seed": range(64), "steps": 20_000},
    },
    readings=[two_linear_heads, rectified_heads, learned_heads],
    figures=[the_second_head],
    findings=[closed_forms, overflow, rectified_outputs_delay, learned_patterns_coincide],
    claims=[
        Claim(
            "D4",
            "When one head's value-output subspace is saturated, and not before, a second head that attends nearly "
            "alike takes the overflow: none of n <= r features, and min(r, n - r) of more.",
            ["closed-form-loss", "closed-form-size", "spared", "overflow"],
            "the_second_head",
            note="It needs heads that can be told apart: where patterns are learned they coincide, the two heads are "
            "one matrix of rank 2r, and they share the features before one is full. Rectified outputs let one head "
            "hold more sparse features than its rank, and delay the overflow. A second head need not mean overflow: "
            "two heads suffice for many skip-trigrams that one cannot have, and trained models split these. Revised: "
            "the rate of linear toys was raised after a first sweep, whose slowest seeds had not come to an end.",
        )
    ],
    cost="20 programs, 800 cells of 6,000 steps: about three minutes on two quiet cores",
)
