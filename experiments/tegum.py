"""Tegum products: into how many orthogonal subspaces do n unit vectors in d dimensions split? Jermyn 2022.

A split makes most pairs exactly orthogonal and crowds the rest. Which is cheaper depends on the power of the cosine
that interference costs. Trained packings are drawn against the Johnson-Lindenstrauss estimate of the crowding, against
lower bounds that no packing can beat, and against the best explicit configurations.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis.geometry import tegum_factors
from toymodels.analysis.packings import configuration_name, endings, labels_within, restarts, takeover
from toymodels.estimates import Estimate, bootstrap, each, exact, exactly, of_best
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Finding, Follows, Within, ours, report, stated
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.packing import Packing
from toymodels.shapes.bounds import random_loss
from toymodels.shapes.packing import cosines
from toymodels.theory import johnson_lindenstrauss as estimate
from toymodels.theory import orthogonal_pairs as pairs
from toymodels.theory.packing_bounds import loss_bound, moment_bound, one_more_factors, orthoplex_bound
from toymodels.theory.packing_losses import orthonormal_copies_loss
from toymodels.theory.packings import best_configuration

TOLERANCE = 1e-3
"""|cos| up to which a pair counts as orthogonal. The learning rate ends at 0, so cosines on their way to 0 end at
float32's rounding, about 1e-7; the finding "tolerance" says how many numbers of factors depend on the choice."""
MET = 1e-4
"""Relative excess over a bound (or over the best restart) up to which it counts as met."""
FLOOR = 1e-8
"""Least relative excess that is drawn: vectors are stored in float32."""
FITTED = ((1000, 100), (10_000, 1000), (100_000, 10_000))
"""(n, d) at which the constant of the estimate is fitted: ten vectors a dimension, large."""
SHOWN = (1.5, 1.83, 1.95, 3)
"""Powers whose minima are looked at one by one (the nearest on the axis)."""

POWERS = (1, 1.3, 1.5, 1.65, 1.75, 1.8, 1.83, 1.9, 1.95, 2, 2.05, 2.2, 2.5, 3, 4, 6)
MORE = (1.1, 1.2, 1.4, 1.58, 1.7, 1.78, 1.85, 1.88, 1.925, 1.975, 2.025, 2.1, 2.3, 5)


def _sweep(signed: bool, *sizes: tuple[int, int]) -> Sweep:
    run = Run(Packing(12, 4, signed=signed), Adam(Cosine(0.05)), steps=1500, record=Record(60, 2))
    named = Choice("size", {f"{n} in {d}": {"problem.n": n, "problem.d": d} for n, d in sizes})
    return Sweep(run, [named, Axis("power", "problem.power", POWERS), Axis("seed", "seed", range(32))])


even = _sweep(False, (6, 3), (7, 6), (10, 5), (12, 4), (16, 6), (24, 8))
signed = _sweep(True, (12, 3), (12, 4), (24, 4), (16, 6), (24, 8))
tiny = {"even.size": ["6 in 3", "7 in 6"], "signed.size": ["12 in 4"], "power": [1, 1.83, 2.2, 4], "seed": range(4)}
full = {"power": sorted({*POWERS, *MORE}), "seed": range(64), "steps": 5000}


# ------------------------------------------------------------------------------------------------------------- readings


def packed_even(even: Swept) -> xr.Dataset:
    """The restarts with an even loss, beside bounds, known configurations and the estimate."""
    return _packed(even)


def packed_signed(signed: Swept) -> xr.Dataset:
    """The restarts with a loss that ignores negative cosines."""
    return _packed(signed)


def _packed(swept: Swept) -> xr.Dataset:
    first = swept.data.power.values[0].item()
    problems = {size: swept.run(size=size, power=first).problem for size in swept.data["size"].values}
    found = restarts(_vectors(swept), swept.sweep.base.problem.signed, TOLERANCE, MET)
    found = found.assign(trained=swept.data.objective.isel(step=-1).load())
    tables = [_theory(each, found.power).assign_coords(size=size) for size, each in problems.items()]
    data = found.merge(xr.concat(tables, "size"), join="exact")
    return data.assign_coords(size=data["size"].astype(str))


def _vectors(swept: Swept) -> xr.DataArray:
    """NaN for restarts that diverged, or whose loss still falls, and beyond n and d of smaller sizes."""
    return swept.final("V").transpose("size", "power", "seed", "feature", "dimension").load()


def _theory(problem: Packing, power: xr.DataArray) -> xr.Dataset:
    """Bounds and known configurations by power, counts of pairs, the switch of the estimate with a fitted constant."""
    n, d, kinds = problem.n, problem.d, {}
    for q in power.values.tolist():
        known = best_configuration(n, d, q, problem.signed)
        each = {"known": known.loss, "known_factors": known.factors, "known_name": known.name}
        each |= {"bound": loss_bound(n, d, q, problem.signed).value, "random": random_loss(n, d, q, problem.signed)}
        each |= {"moments": moment_bound(n, d, q), "orthoplex": orthoplex_bound(n, d, q)}
        kinds = {name: [*kinds.get(name, []), value] for name, value in each.items()}
    most, product = pairs.max_orthogonal_pairs(n, d), pairs.tegum_orthogonal_pairs(n, d)
    counts = {"n": n, "d": d, "most": most, "product": product, "sets": pairs.overlapping_sets_pairs(n, d)}
    switch = [estimate.jl_fitted_switch(n, d, estimate.jl_constant(*large)) for large in FITTED]
    fitted = {"switch": ("fitted", switch)}
    names = [f"{n} in {d}" for n, d in FITTED]
    return xr.Dataset(
        {name: ("power", each) for name, each in kinds.items()} | counts | fitted, {"fitted": names, "power": power}
    )


def _at_best(one: xr.Dataset) -> xr.Dataset:
    """The best restart at each power; of several equal to MET, the one with most factors."""
    return one.isel(seed=one.order.fillna(np.inf).argmin("seed"))


# -------------------------------------------------------------------------------------------------------------- figures


def factors(packed_even: xr.Dataset) -> Figure:
    """Number of mutually orthogonal factors that restarts end in, against the power of the cosine in an even loss: grey
    discs are restarts, their area the share of them; vermillion the restart of least loss (of several equal to 1e-4,
    the one with most factors). Dashed: the best number of factors by the Johnson-Lindenstrauss estimate, whose
    switch is sloped between those of constants fitted at three large n and d. Green crosses: the best explicit
    configuration known (at power 2 all tight frames tie). The axis of powers is stretched around 2."""
    figure, axes = _panels(packed_even)
    for ax, one in zip(axes, _sizes(packed_even), strict=True):
        _factor_panel(ax, one)
    draw.legend_below(figure, axes, above=True)
    return _labelled(figure, "orthogonal factors")


def excess_over_bound(packed_even: xr.Dataset) -> Figure:
    """How far the even loss lies above the largest lower bound known at that power, relative to it: a grey dot a
    restart, vermillion the best one; dashed, 1e-4, below which the bound counts as met. Green: the best explicit
    configuration known, named where it attains the bound. A loss below its bound has no place on this axis; excesses
    below 1e-8, rounding, are drawn there."""
    figure, axes = _panels(packed_even, sharey=True)
    for ax, one in zip(axes, _sizes(packed_even), strict=True):
        _excess_panel(ax, one)
        _name_attained(ax, one)
    draw.legend_below(figure, axes, above=True)
    return _labelled(figure, "loss / lower bound $-$ 1")


def loss_against_power(packed_even: xr.Dataset) -> Figure:
    """Even loss in units of that of independent uniform directions: vermillion the best restart, grey the range of
    restarts, green the best explicit configuration known. Dashed: lower bounds, the largest known (black), the frame
    potential and Welch's (blue) and the orthoplex bound (orange). Pink band: the Johnson-Lindenstrauss estimate for one
    factor, between constants fitted at three large n and d. Dotted, sky blue: copies of d orthogonal axes, exactly; the
    estimate has one factor win where the pink band lies lower."""
    figure, axes = _panels(packed_even, sharey=True)
    for ax, one in zip(axes, _sizes(packed_even), strict=True):
        _loss_panel(ax, one)
    draw.legend_below(figure, axes, above=True)
    return _labelled(figure, "loss / loss of random directions")


def orthogonal_pairs(packed_even: xr.Dataset) -> Figure:
    """Ordered pairs of exactly orthogonal vectors: vermillion the best restart, grey the range of all restarts. Dashed,
    most: the most that any n nonzero vectors can have (Turán), which copies of an orthonormal basis reach; k = d: n² (1
    - 1/k), a tegum product of d equal factors (out of reach where d does not divide n); sets: n (d - 1), overlapping
    orthonormal sets. Green crosses: pairs between the factors of the best restart, so that vermillion above them counts
    orthogonal pairs inside factors."""
    figure, axes = _panels(packed_even)
    for ax, one in zip(axes, _sizes(packed_even), strict=True):
        _pairs_panel(ax, one)
    draw.legend_below(figure, axes, extra={"counts that theory knows": draw.DASHED}, above=True)
    return _labelled(figure, "orthogonal pairs")


def signed_loss(packed_signed: xr.Dataset) -> Figure:
    """A loss that ignores negative cosines. Above: orthogonal factors that restarts end in (discs, by share), the best
    restart (vermillion), the best explicit configuration known (green crosses) and the Johnson-Lindenstrauss estimate
    of the even loss (dashed; sloped between fits of its constant). Below: how far the loss lies above the largest lower
    bound known, relative to it: restarts (grey), the best one (vermillion), the best explicit configuration known
    (green); dashed, 1e-4: the bound counts as met."""
    found = _sizes(packed_signed)
    figure, axes = draw.panels(2, len(found), height=3.8, sharex=True, sharey="row", squeeze=False, letters=False)
    for column, one in zip(axes.T, found, strict=True):
        _factor_panel(column[0], one)
        _excess_panel(column[1], one)
        column[1].set_title("")
        for ax in column:
            draw.ticks(ax, "x", [1, 1.8, 2.2, 6])
    axes[0, 0].set_ylim(0.4, float(packed_signed.d.max()) + 0.6)
    draw.legend_below(figure, axes, above=True)
    draw.outer_labels(axes, y=["orthogonal factors", "loss / lower bound $-$ 1"])
    return _labelled(figure, "")


def winners(even: Swept, packed_even: xr.Dataset) -> Figure:
    """|cos| between the vectors of the best restart, sorted by factor: white is orthogonal, black parallel. Above each:
    its name, and how many restarts reach its loss to 1e-4."""
    (figure, axes), V = _gallery(packed_even, 1.35), _vectors(even)
    for row, one in zip(axes, _sizes(packed_even), strict=True):
        for ax, power in zip(row, _powers(one), strict=True):
            here = one.sel(power=power)
            mesh = _winner_panel(ax, _rows(V, here).sel(seed=_at_best(here).seed).values)
            count = int((here.loss <= here.loss.min() * (1 + MET)).sum())
            ax.set_title(f"{ax.get_title()}\n{count} of {here.sizes['seed']} restarts", fontsize=6)
    for ax, power in zip(axes[0], _powers(packed_even), strict=True):
        ax.set_title(f"power {power:g}\n{ax.get_title()}", fontsize=6)
    draw.colour_bar(figure, mesh, axes, "|cos|", shrink=0.4, aspect=18)
    return figure


def basin_frequencies(even: Swept, packed_even: xr.Dataset) -> Figure:
    """Where restarts end: configurations by name and, but for the first, excess of their loss over the least one, with
    the number of restarts in each. Light vermillion: the least loss found; light blue: up to three more; grey: all
    others."""
    (figure, axes), V = _gallery(packed_even, 0.8, sharex=True), _vectors(even)
    for row, one in zip(axes, _sizes(packed_even), strict=True):
        for ax, power in zip(row, _powers(one), strict=True):
            here = one.sel(power=power)
            _basin_panel(ax, _rows(V, here).values, here.loss.values)
    for ax, power in zip(axes[0], _powers(packed_even), strict=True):
        ax.set_title(f"power {power:g}")
    figure.supxlabel("restarts")
    return figure


def _rows(V: xr.DataArray, one: xr.Dataset) -> xr.DataArray:
    here = V.sel(size=one["size"].item(), power=one.power.item())
    return here.isel(feature=slice(int(one.n)), dimension=slice(int(one.d)))


def _sizes(packed: xr.Dataset) -> list[xr.Dataset]:
    return [packed.sel(size=size) for size in packed["size"].values]


def _powers(packed: xr.Dataset) -> list[float]:
    return np.unique(packed.power.sel(power=list(SHOWN), method="nearest")).tolist()


def _panels(packed: xr.Dataset, sharey: bool = False) -> tuple[Figure, Sequence[Axes]]:
    sizes = packed.sizes["size"]
    columns = min(3, sizes)
    rows = -(-sizes // columns)
    return draw.panels(
        rows, columns, 0.6 + 1.7 * rows, count=sizes, letters=False, sharex=True, sharey=sharey, squeeze=False
    )


def _gallery(packed: xr.Dataset, height: float, **subplots: bool) -> tuple[Figure, np.ndarray]:
    shape = packed.sizes["size"], len(_powers(packed))
    figure, axes = draw.panels(*shape, 0.4 + height * shape[0], letters=False, squeeze=False, **subplots)
    for ax, size in zip(axes[:, 0], packed["size"].values, strict=True):
        ax.set_ylabel(size)
    return figure, axes


def _labelled(figure: Figure, name: str) -> Figure:
    figure.supxlabel("power of the cosine")
    figure.supylabel(name)
    return figure


def _power_axis(ax: Axes, one: xr.Dataset) -> None:
    """arcsinh((power - 2) / 0.1): linear near 2, logarithmic away from it."""
    ax.set_xscale("function", functions=(lambda q: np.arcsinh((q - 2) / 0.1), lambda s: 2 + 0.1 * np.sinh(s)))
    draw.ticks(ax, "x", [1, 1.5, 1.8, 2, 2.2, 3, 6])
    ax.set(
        xlim=(0.7, max(8.0, 1.3 * float(one.power.max()))),
        title=f"{int(one.n)} vectors in $\\mathbb{{R}}^{int(one.d)}$",
    )
    lost = int(one.loss.isnull().sum())
    draw.excluded(ax, f"{lost} left out" if lost else "")


def _factor_panel(ax: Axes, one: xr.Dataset) -> None:
    d, last = int(one.d), float(one.power.max())
    for power in one.power.values:
        k, restarts = np.unique(one.factors.sel(power=power).dropna("seed"), return_counts=True)
        label = "restarts" if power == one.power[0] else None
        draw.discs(ax, np.full(len(k), power), k, restarts / max(restarts.sum(), 1), label)
    first, second = one.switch.min().clip(max=last), one.switch.max().clip(max=last)
    draw.theory(ax, [1, first, second, last], [d, d, 1 if second < last else d, 1 if second < last else d], "estimate")
    ax.plot(one.power, one.known_factors, "x", ms=4.5, mew=0.9, color=draw.GREEN, zorder=2.2, label="best known")
    ax.plot(one.power, _at_best(one).factors, "o-", ms=2.2, lw=0.9, color=draw.RED, zorder=2, label="best restart")
    ax.set_ylim(0.4, d + 0.6)
    draw.ticks(ax, "y", range(1, d + 1))
    _power_axis(ax, one)


def _excess_panel(ax: Axes, one: xr.Dataset) -> None:
    bound = one.bound.where(one.bound > 0)
    over = (one.loss / bound - 1).clip(min=FLOOR)
    draw.cloud(ax, one.power.values[:, None], over, "restarts", "0.6")
    draw.theory(ax, [0.7, 10], [MET, MET], "bound counts as met")
    ax.plot(
        one.power, (one.known / bound - 1).clip(min=FLOOR), lw=0.9, color=draw.GREEN, zorder=1.9, label="best known"
    )
    ax.plot(one.power, over.min("seed"), "o", color=draw.RED, zorder=2.1, label="best restart")
    ax.set(yscale="log", ylim=(FLOOR / 3, 30))
    draw.ticks(ax, "y", [1e-8, 1e-6, 1e-4, 1e-2, 1])
    _power_axis(ax, one)


def _name_attained(ax: Axes, one: xr.Dataset) -> None:
    """The name of the known configuration above each run of three powers or more at which it attains the bound."""
    names = one.known_name.where(one.known <= one.bound * (1 + MET), "").values
    for name, run in itertools.groupby(zip(names, one.power.values, strict=True), key=lambda pair: pair[0]):
        powers = [power for _, power in run]
        if name and len(powers) >= 3:
            where, side = (powers[0], "left") if powers[0] == one.power[0] else (powers[-1], "right")
            ax.text(where, MET * 1.6, name, fontsize=6.5, color=draw.GREEN, ha=side, va="bottom")


def _loss_panel(ax: Axes, one: xr.Dataset) -> None:
    n, d, powers, unit = int(one.n), int(one.d), one.power.values.tolist(), one.random.values
    loss = one.loss.values.T / unit
    ax.fill_between(powers, np.nanmin(loss, 0), np.nanmax(loss, 0), color="0.82", lw=0, zorder=1, label="restarts")
    bounds = (one.moments, draw.BLUE, "frame potential, Welch"), (one.orthoplex, draw.ORANGE, "orthoplex bound")
    for bound, colour, name in (*bounds, (one.bound, draw.BLACK, "largest bound")):
        draw.theory(ax, powers, bound.where(bound > 0) / unit, name, colour)
    fits = [[estimate.jl_fitted_loss(n, d, q, estimate.jl_constant(*large)) for q in powers] for large in FITTED]
    low, high = np.min(fits, 0) / unit, np.max(fits, 0) / unit
    ax.fill_between(powers, low, high, color=draw.PURPLE, alpha=0.35, lw=0, label="one factor, estimated")
    draw.theory(ax, powers, orthonormal_copies_loss(n, d) / unit, "$d$ factors, exact", draw.SKY, draw.DOTTED)
    ax.plot(powers, one.known / unit, lw=0.9, color=draw.GREEN, label="best known")
    ax.plot(powers, np.nanmin(loss, 0), "o", ms=2.5, color=draw.RED, zorder=3, label="best restart")
    ax.set(yscale="log", ylim=(0.02, 2))
    draw.ticks(ax, "y", [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2])
    _power_axis(ax, one)


def _pairs_panel(ax: Axes, one: xr.Dataset) -> None:
    low, high, best = one.pairs.min("seed"), one.pairs.max("seed"), _at_best(one)
    ax.fill_between(one.power, low, high, color="0.82", lw=0, zorder=1, label="restarts")
    ax.plot(one.power, best.between, "x", ms=4.5, mew=0.9, color=draw.GREEN, zorder=2.2, label="between its factors")
    ax.plot(one.power, best.pairs, "o-", ms=2.2, lw=0.9, color=draw.RED, zorder=2, label="best restart")
    ax.set_ylim(-0.04 * one.most, 1.1 * one.most)
    draw.levels(ax, [one.most, one.product, one.sets], ["most", "$k=d$", "sets"])
    _power_axis(ax, one)


def _winner_panel(ax: Axes, V: np.ndarray) -> QuadMesh:
    order = np.argsort(tegum_factors(V, TOLERANCE).labels, kind="stable")
    shown = (np.abs(cosines(V)) + np.eye(len(V)))[np.ix_(order, order)]
    return draw.matrices(
        ax, [shown], titles=[configuration_name(V, TOLERANCE, even=True)], cmap="Greys", vmin=0, vmax=1
    )


def _basin_panel(ax: Axes, V: np.ndarray, loss: np.ndarray) -> None:
    found = endings(V, loss, TOLERANCE, even=True, named=4)
    ax.set(yticks=[], ylim=(4.6, -0.6), xlim=(0, len(loss)))
    ax.spines["left"].set_visible(False)
    rows = [(each.name, each.restarts, "#F2B79C") for each in found[:1]]
    rows += [(f"{e.name}, +{100 * (e.loss / found[0].loss - 1):.2g}%", e.restarts, "#B9D6E8") for e in found[1:4]]
    if len(found) > 4:
        rows.append((f"{len(found) - 4} more", sum(each.restarts for each in found[4:]), "0.85"))
    for place, (name, count, colour) in enumerate(rows):
        ax.barh(place, count, color=colour, height=0.85)
        ax.text(0.3, place, name, fontsize=5, va="center", ha="left", in_layout=False)


# ------------------------------------------------------------------------------------------------------------- findings

JERMYN = "Jermyn 2022, on tegum products"


def bounds_hold(packed_even: xr.Dataset, packed_signed: xr.Dataset) -> Iterator[Finding]:
    """No packing lies below a bound: losses of the stored vectors in float64, against the rounding of the bounds."""
    both = packed_even, packed_signed
    deepest = max(float(((one.bound - one.loss) / one.loss.clip(min=1e-300)).max()) for one in both)
    # Each of n (n - 1) terms |c|^power moves by power times the rounding of a cosine, d products in float32.
    roundings = [one.n * (one.n - 1) * one.d * 2.0**-24 * one.power for one in both]
    wrong = max(float((abs(one.trained - one.loss) / off).max()) for one, off in zip(both, roundings, strict=True))
    count = sum(int(one.loss.notnull().sum()) for one in both)
    what = f"largest (bound - loss) / loss of {count} trained packings"
    yield Finding("bounds-hold", what, exact(deepest), AtMost(1e-9), ours("bounds are proved; rounding"), "check")
    what = "error of the loss recorded in training, in units of n (n - 1) power d 2^-24"
    yield Finding("loss-as-trained", what, exact(wrong), AtMost(1), ours("rounding of float32"), "check")


def bounds_met(packed_even: xr.Dataset, packed_signed: xr.Dataset) -> Iterator[Finding]:
    """Where an explicit configuration attains the bound, training finds a packing as good."""
    for name, packed in (("even", packed_even), ("signed", packed_signed)):
        cases = packed.stack(case=("size", "power"), create_index=False)
        least, kind = cases.loss.min("seed"), {"loss": name}
        met = (cases.loss <= cases.bound * (1 + MET)).isel(case=(cases.known <= cases.bound * (1 + 1e-9)).values)
        if met.sizes["case"]:
            yield Finding(
                "optimum-attained",
                f"share of the {met.sizes['case']} cases with a known optimal packing, {name} loss, in which the best "
                f"of {met.sizes['seed']} restarts attains the optimum to {MET:g}",
                bootstrap(lambda flags: flags.values.any(flags.get_axis_num("seed")).mean(), met),
                AtLeast(1),
                ours("bounds that explicit packings attain; tolerance"),
                "best of k",
                kind,
            )
        better = (least < cases.known * (1 - MET)).mean()
        what = f"share of the {cases.sizes['case']} cases, {name} loss, in which training beats every known packing"
        yield report("known-beaten", what, exact(float(better)), settings=kind)
        gain = (1 - least / cases.known.where(cases.known > 0)).max()
        yield report(
            "largest-gain", f"{name} loss: largest gain over the best known packing", exact(float(gain)), settings=kind
        )


def number_of_factors(packed_even: xr.Dataset) -> Iterator[Finding]:
    """Where one packing takes over from d axes, and what wins in between, against the estimate."""
    fitted = f"{JERMYN}, leaves a constant open, here fitted to the least frame potential of "
    fitted += ", ".join(packed_even.fitted.values)
    for one in _sizes(packed_even):
        n, d, (k, *measured) = int(one.n), int(one.d), _winning(one)
        where, predicted = {"size": one["size"].item()}, Within(float(one.switch.min()), float(one.switch.max()))
        yield Finding(
            *("takeover", *measured[0], predicted, ours(fitted), "best of k", where),
            note="n and d are far below those of the fit",
            revised="was the switch without a fitted constant, 4.1 to 14.8 or never; the source leaves it open",
        )
        yield Finding(
            *("mixed", *measured[1], AtMost(0), stated(f"{JERMYN}: the optimum is at an end"), "best of k", where)
        )
        if n == d + 1:
            proved = Follows(tuple(one_more_factors(d, power) for power in one.power.values.tolist()))
            what = f"{n} vectors in R^{d}: orthogonal factors of the best of {one.sizes['seed']}"
            yield Finding("staircase", what, k, proved, stated("Xu & Xu 2021"), "best of k", where)
    constants = {f"{n} in {d}": estimate.jl_constant(n, d) for n, d in FITTED}
    yield report("constant", "constant of the estimate that gives the least frame potential", each(constants))


def signed_numbers_of_factors(packed_signed: xr.Dataset) -> Iterator[Finding]:
    """The same for a loss that ignores negative cosines, for which there is no estimate."""
    for one in _sizes(packed_signed):
        _, taken, mixed = _winning(one)
        for name, (what, measured) in (("signed-takeover", taken), ("signed-mixed", mixed)):
            yield report(name, f"signed loss, {what}", measured, settings={"size": one["size"].item()})


def _winning(one: xr.Dataset) -> tuple[Any, tuple[str, Estimate], tuple[str, Estimate]]:
    """The numbers of factors that win, where one takes over from d, and at how many powers others win."""
    k, d, where = of_best(one.factors, one.order), int(one.d), f"{int(one.n)} vectors in R^{int(one.d)}"
    best, powers = f"best of {one.sizes['seed']}", one.sizes["power"]
    taken = f"{where}: power at which one {d}-dimensional packing takes over from {d} orthogonal axes, {best}"
    mixed = f"{where}: powers, of {powers}, at which the {best} has more than 1 and fewer than {d} factors"
    return k, (taken, takeover(k, one.power.values, d)), (mixed, labels_within(k, 2, d - 1))


def one_factor_above_two(packed_even: xr.Dataset, packed_signed: xr.Dataset) -> Iterator[Finding]:
    """Above power 2 no minimum with interference splits: turn one vector of a crowded factor by a small angle e towards
    another factor; its own interference falls by (power/2) e² of itself, the new one is of order e^power."""
    both = packed_even, packed_signed
    crowded = packed_even.n > packed_even.d, packed_signed.n > 2 * packed_signed.d
    found = [one.factors.where(which & (one.power > 2)) for one, which in zip(both, crowded, strict=True)]
    count, most = (sum(int(each.notnull().sum()) for each in found), max(float(each.max()) for each in found))
    what = f"most factors of any of {count} restarts with interference above power 2"
    yield Finding(
        "whole-above-two", what, exact(float(most)), AtMost(1), ours("proved in theory.johnson_lindenstrauss"), "check"
    )


def pairs_bounded(packed_even: xr.Dataset, packed_signed: xr.Dataset) -> Iterator[Finding]:
    """Orthogonal pairs against the extremal bound, and how clearly pairs are orthogonal or not."""
    both = packed_even, packed_signed
    share = xr.concat([(one.pairs / one.most).max(["power", "seed"]) for one in both], "size")
    what = "orthogonal pairs over the most that theory allows, largest of all restarts"
    yield Finding("pairs-bounded", what, exact(float(share.max())), AtMost(1), ours("Turán 1941; a theorem"), "check")
    what = f"sizes, of {share.size}, at which some restart has the most orthogonal pairs that theory allows"
    yield report("most-pairs-reached", what, exact(float((share == 1).sum())))
    best = _at_best(packed_even)
    sets = ((best.pairs >= best.sets) & (best.power > 2)).any("power")
    what = "sizes, even loss, at which the best single factor has the n (d - 1) pairs of overlapping orthonormal sets"
    yield report("pairs-of-overlapping-sets", what, exactly(", ".join(best["size"].values[sets.values]) or "none"))
    points, changed = 0, 0
    for one in map(_at_best, both):
        points += 2 * one.factors.size
        changed += int((one.factors_loosely != one.factors).sum() + (one.factors_strictly != one.factors).sum())
    what = f"best numbers of factors, of {points}, that change with ten times or a tenth of the tolerance {TOLERANCE:g}"
    yield Finding("tolerance", what, exact(float(changed)), AtMost(0), ours("the tolerance does not matter"), "check")


experiment = Experiment(
    question="How many orthogonal subspaces minimise the interference of n vectors in d dimensions?",
    source="Jermyn 2022, on tegum products; bounds and configurations: toymodels.theory.packing_bounds and packings",
    sweeps={"even": even, "signed": signed},
    scales={"tiny": tiny | {"steps": 400}, "full": full},
    readings=[packed_even, packed_signed],
    figures=[factors, excess_over_bound, loss_against_power, orthogonal_pairs, signed_loss, winners, basin_frequencies],
    findings=[
        bounds_hold,
        bounds_met,
        number_of_factors,
        signed_numbers_of_factors,
        one_factor_above_two,
        pairs_bounded,
    ],
    cost="about half an hour on two CPU cores, 16 programs, 110 MB",
)
