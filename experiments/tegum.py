"""Tegum products: into how many orthogonal subspaces do n unit vectors in d dimensions split? Jermyn 2022.

A split makes most pairs exactly orthogonal and crowds the rest. Which is cheaper depends on the power of the cosine
that interference costs. Trained packings are drawn against the Johnson-Lindenstrauss estimate of the crowding, against
lower bounds that no packing can beat, and against the best explicit configurations.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Choice, Cosine, Packing, Record, Run, Sweep, draw
from toymodels.analysis import packings
from toymodels.analysis.labelled import each_model
from toymodels.config import replace
from toymodels.estimates import bootstrap, each, exact, exactly, of_best
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Finding, Follows, Kind, Within, ours, report, stated
from toymodels.theory.packing_bounds import one_more_factors
from toymodels.theory.packing_table import packing_table

TOLERANCE = 1e-3
"""|cos| up to which a pair counts as orthogonal. The learning rate ends at 0, so cosines on their way to 0 end at
float32's rounding, about 1e-7; the finding "tolerance" says how many numbers of factors depend on the choice."""
KIND: Kind = "best of k"
MET = 1e-4  # relative excess over a bound (or over the best restart) up to which it counts as met
FLOOR = 1e-8  # least relative excess that is drawn: vectors are stored in float32
SHOWN = (1.5, 1.83, 1.95, 3)  # powers whose minima are looked at one by one (the nearest on the axis)
FITTED = ((1000, 100), (10_000, 1000), (100_000, 10_000))  # (n, d), large, at which the estimate's constant is fitted
JERMYN, XU = "Jermyn 2022, on tegum products", stated("Xu & Xu 2021")

POWERS = (1, 1.3, 1.5, 1.65, 1.75, 1.8, 1.83, 1.9, 1.95, 2, 2.05, 2.2, 2.5, 3, 4, 6)
MORE = (1.1, 1.2, 1.4, 1.58, 1.7, 1.78, 1.85, 1.88, 1.925, 1.975, 2.025, 2.1, 2.3, 5)
EVEN = ((6, 3), (7, 6), (10, 5), (12, 4), (16, 6), (24, 8))
SIGNED = ((12, 3), (12, 4), (24, 4), (16, 6), (24, 8))


def named(*sizes: tuple[int, int]) -> dict[str, dict[str, int]]:
    """n and d of each size by its label."""
    return {f"{n} in {d}": {"problem.n": n, "problem.d": d} for n, d in sizes}


run = Run(Packing(12, 4), Adam(Cosine(0.05)), steps=1500, record=Record(60, 2))
axes = [Axis("power", "problem.power", POWERS), Axis("seed", "seed", range(32))]
even = Sweep(run, [Choice("size", named(*EVEN)), *axes])
signed = Sweep(replace(run, {"problem.signed": True}), [Choice("size", named(*SIGNED)), *axes])
tiny = {"even.size": ["6 in 3", "7 in 6"], "signed.size": ["12 in 4"], "power": [1, 1.83, 2.2, 4], "seed": range(4)}
full = {"power": sorted({*POWERS, *MORE}), "seed": range(64), "steps": 5000}
full |= {"even.size": named(*EVEN, (28, 7), (40, 10), (64, 16)), "signed.size": named(*SIGNED, (40, 10), (64, 16))}


# ------------------------------------------------------------------------------------------------------------- readings
def packed_even(even: Swept) -> xr.Dataset:
    """The restarts with an even loss, beside bounds, known configurations and the estimate."""
    return _packed(even)


def packed_signed(signed: Swept) -> xr.Dataset:
    """The restarts with a loss that ignores negative cosines."""
    return _packed(signed)


def _packed(swept: Swept) -> xr.Dataset:
    """NaN for restarts that diverged, or whose loss still falls."""
    power, signed = swept.data.power.values.tolist(), swept.sweep.base.problem.signed
    problems = {str(size): swept.run(size=size, power=power[0]).problem for size in swept.data["size"].values}
    known = packing_table({size: (each.n, each.d) for size, each in problems.items()}, power, signed, FITTED)
    found = packings.restarts(swept.final("V"), signed, TOLERANCE, MET)
    found = found.assign(trained=swept.data.objective.isel(step=-1).load())
    return found.assign_coords(size=list(problems)).merge(known, join="exact")


def minima(even: Swept, packed_even: xr.Dataset) -> xr.Dataset:
    """Where restarts end at the powers that are shown, and |cos| between the vectors of the first that ends best."""
    shown = {"power": np.unique(packed_even.power.sel(power=list(SHOWN), method="nearest"))}
    V = even.final("V").assign_coords(size=packed_even["size"]).sel(shown)
    found = packings.endings_table(V, packed_even.loss.sel(shown), TOLERANCE, even=True)
    first = V.isel(seed=found.place.isel(rank=0)).fillna(0).rename(dimension="hidden")
    cosine = each_model(partial(packings.cosines_by_factor, tol=TOLERANCE), first, outputs=["vector", "other"])
    return found.assign(cosine=cosine, n=packed_even.n, seeds=packed_even.sizes["seed"])


def _sizes(packed: xr.Dataset) -> list[xr.Dataset]:
    return [packed.isel(size=place) for place in range(packed.sizes["size"])]


# -------------------------------------------------------------------------------------------------------------- figures
def factors(packed_even: xr.Dataset) -> Figure:
    """Number of mutually orthogonal factors that restarts end in, against the power of the cosine in an even loss: grey
    discs are restarts, their area the share of them; vermillion the restart of least loss (of several equal to 1e-4,
    the one with most factors). Dashed: the best number of factors by the Johnson-Lindenstrauss estimate, whose
    switch is sloped between those of constants fitted at three large n and d. Green crosses: the best explicit
    configuration known (at power 2 all tight frames tie). The axis of powers is stretched around 2."""
    return _by_size(packed_even, "orthogonal factors", _factor_panel)


def excess_over_bound(packed_even: xr.Dataset) -> Figure:
    """How far the even loss lies above the largest lower bound known at that power, relative to it: a grey dot a
    restart, vermillion the best one; dotted, 1e-4, below which the bound counts as met. Green: the best explicit
    configuration known, named where it attains the bound. A loss below its bound has no place on this axis; excesses
    below 1e-8, rounding, are drawn there."""
    return _by_size(packed_even, "loss / lower bound $-$ 1", _named_excess_panel, sharey=True)


def loss_against_power(packed_even: xr.Dataset) -> Figure:
    """Even loss in units of that of independent uniform directions: vermillion the best restart, grey the range of
    restarts, green the best explicit configuration known. Dashed: lower bounds, the largest known (black), the frame
    potential and Welch's (blue) and the orthoplex bound (orange). Pink band: the Johnson-Lindenstrauss estimate for one
    factor, between constants fitted at three large n and d. Dotted, sky blue: copies of d orthogonal axes, exactly; the
    estimate has one factor win where the pink band lies lower."""
    return _by_size(packed_even, "loss / loss of random directions", _loss_panel)


def orthogonal_pairs(packed_even: xr.Dataset) -> Figure:
    """Ordered pairs of exactly orthogonal vectors: vermillion the best restart, grey the range of all restarts. Dashed,
    most: the most that any n nonzero vectors can have (Turán), which copies of an orthonormal basis reach; k = d: n² (1
    - 1/k), a tegum product of d equal factors (out of reach where d does not divide n); sets: n (d - 1), overlapping
    orthonormal sets. Green crosses: pairs between the factors of the best restart, so that vermillion above them counts
    orthogonal pairs inside factors."""
    known = {"counts that theory knows": draw.DASHED}
    figure = _by_size(packed_even, "orthogonal pairs", _pairs_panel, extra=known)
    for ax in figure.axes:
        draw.ticks(ax, "x", [1, 1.8, 2, 2.2, 3, 6])
    return figure


def signed_loss(packed_signed: xr.Dataset) -> Figure:
    """A loss that ignores negative cosines. Above: orthogonal factors that restarts end in (discs, by share), the best
    restart (vermillion), the best explicit configuration known (green crosses) and the Johnson-Lindenstrauss estimate
    of the even loss (dashed; sloped between fits of its constant). Below: how far the loss lies above the largest lower
    bound known, relative to it: restarts (grey), the best one (vermillion), the best explicit configuration known
    (green); dotted, 1e-4: the bound counts as met."""
    found = _sizes(packed_signed)
    figure, axes = draw.panels(2, len(found), height=3.8, sharex=True, sharey="row", squeeze=False, letters=False)
    for column, one in zip(axes.T, found, strict=True):
        for ax, panel in zip(column, (_factor_panel, _excess_panel), strict=True):
            panel(ax, one)
            _power_axis(ax, one, [1, 1.8, 2.2, 6])
    draw.legend_below(figure, axes, above=True)
    names = ["orthogonal factors", "loss / lower bound $-$ 1"]
    draw.outer_labels(axes, y=names, titles=[_title(one) for one in found])
    for ax, one in zip(axes[0], found, strict=True):
        _left_out(ax, one)
    figure.supxlabel("power of the cosine")
    return figure


def winners(minima: xr.Dataset) -> Figure:
    """|cos| between the vectors of a best restart, sorted by factor: white is orthogonal, black parallel. Above each:
    its name, and how many restarts end in the same loss, to four digits, and number of factors."""
    first, columns = minima.isel(rank=0), [f"power {power:g}" for power in minima.power.values]
    cosines = [[each[: int(one.n), : int(one.n)] for each in one.cosine.values] for one in _sizes(first)]
    counts = first.restarts.astype(str).astype(object) + f" of {int(minima.seeds)} restarts"
    figure, ax = draw.panels(height=0.4 + 1.35 * minima.sizes["size"])
    mesh = draw.tiles(ax, cosines, first["name"] + "\n" + counts, minima["size"].values, columns, cmap="Greys", vmin=0)
    _enlarge(ax)
    draw.colour_bar(figure, mesh, ax, "|cos|", shrink=0.4, aspect=18)
    return figure


def basin_frequencies(minima: xr.Dataset) -> Figure:
    """Where restarts end: configurations by name and, but for the first, excess of their loss over the least one, with
    the number of restarts in each. Light vermillion: the least loss found; light blue: up to three more; grey: all
    others."""
    palette = {"least loss": "#F2B79C", "next three": "#B9D6E8", "all others": "0.85"}
    least, more, others = palette.values()
    pairs, rows = -(-minima.sizes["power"] // 2), minima["size"].values
    figure, axes = draw.panels(pairs, 1, pairs * (0.5 + 0.65 * len(rows)), letters=False, squeeze=False)
    for pair, ax in enumerate(axes.flat):
        of = minima.isel(power=slice(2 * pair, 2 * pair + 2))
        columns = [f"power {power:g}" for power in of.power.values]
        colours = [least, more, more, more, others]
        draw.tallies(ax, of.restarts, of.label, rows, columns, colours, int(of.seeds), "restarts")
        _enlarge(ax)
    draw.category_legend(figure, palette)
    return figure


def _enlarge(ax: Axes) -> None:
    for text in ax.texts:
        text.set_fontsize(7)


def _by_size(packed: xr.Dataset, name: str, panel: Callable[..., None], extra: Any = None, **shared: bool) -> Figure:
    """A panel for each size, over the power."""
    found, shared = _sizes(packed), {"sharex": True, "squeeze": False, "letters": False, **shared}
    columns, rows = min(3, len(found)), -(-len(found) // 3)
    figure, axes = draw.panels(rows, columns, 0.6 + 1.7 * rows, count=len(found), **shared)
    for ax, one in zip(axes, found, strict=True):
        panel(ax, one)
        _power_axis(ax, one, [1, 1.5, 1.8, 2, 2.2, 3, 6])
        ax.set_title(_title(one), loc="left")
        _left_out(ax, one)
    draw.legend_below(figure, axes, extra=extra, above=True)
    figure.supxlabel("power of the cosine")
    figure.supylabel(name)
    return figure


def _power_axis(ax: Axes, one: xr.Dataset, at: list[float]) -> None:
    draw.stretched_axis(ax, 2, 0.1, at)
    ax.set_xlim(0.7, max(8.0, 1.3 * float(one.power.max())))


def _title(one: xr.Dataset) -> str:
    return f"{int(one.n)} vectors in $\\mathbb{{R}}^{{{int(one.d)}}}$"


def _left_out(ax: Axes, one: xr.Dataset) -> None:
    """Call it once the axes have their title."""
    lost = int(one.loss.isnull().sum())
    draw.excluded(ax, f"{lost} left out" if lost else "")


def _factor_panel(ax: Axes, one: xr.Dataset) -> None:
    d, last, best = int(one.d), float(one.power.max()), packings.best_restarts(one).factors
    draw.restarts(ax, one.power, one.factors, best, one.known_factors, "discs", whole=True)
    first, *_, second = np.sort(one.switch.clip(max=last))
    draw.theory(ax, [1, first, second, last], [d, d, *[1 if second < last else d] * 2], "estimate")
    draw.ticks(ax, "y", np.unique(np.linspace(1, d, min(d, 8)).round()))


def _excess_panel(ax: Axes, one: xr.Dataset) -> None:
    bound = one.bound.where(one.bound > 0)
    over, known = ((each / bound - 1).clip(min=FLOOR) for each in (one.loss, one.known))
    draw.restarts(ax, one.power, over, over.min("seed"), known, "cloud")
    draw.theory(ax, [0.7, 10], [MET, MET], "bound counts as met", dash=draw.DOTTED)
    ax.set(yscale="log", ylim=(FLOOR / 3, 30))
    draw.ticks(ax, "y", [1e-8, 1e-6, 1e-4, 1e-2, 1])


def _named_excess_panel(ax: Axes, one: xr.Dataset) -> None:
    _excess_panel(ax, one)
    attained = one.known_name.where(one.known <= one.bound * (1 + MET), "").values
    in_lines = ["\n".join(name.rsplit(" ", 1)) for name in attained.tolist()]
    draw.names_along(ax, one.power, in_lines, MET * 1.2, color=draw.GREEN, linespacing=1)


def _loss_panel(ax: Axes, one: xr.Dataset) -> None:
    bounds = (one.moments, draw.BLUE, "frame potential, Welch"), (one.orthoplex, draw.ORANGE, "orthoplex bound")
    for bound, colour, name in (*bounds, (one.bound, draw.BLACK, "largest bound")):
        draw.theory(ax, one.power, bound.where(bound > 0) / one.random, name, colour)
    low, high = (end / one.random for end in (one.estimate.min("fitted"), one.estimate.max("fitted")))
    ax.fill_between(one.power, low, high, color=draw.PURPLE, alpha=0.35, lw=0, label="one factor, estimated")
    draw.theory(ax, one.power, one.axes / one.random, "$d$ factors, exact", draw.SKY, draw.DOTTED)
    loss = one.loss / one.random
    draw.restarts(ax, one.power, loss, loss.min("seed"), one.known / one.random)
    ax.set(yscale="log", ylim=(min(0.02, 0.6 * float(loss.min())), 2))
    draw.log_axis(ax, "y")


def _pairs_panel(ax: Axes, one: xr.Dataset) -> None:
    best = packings.best_restarts(one)
    draw.restarts(ax, one.power, one.pairs, best.pairs, best.between, label="between its factors", whole=True)
    ax.set_ylim(-0.04 * one.most, 1.1 * one.most)
    draw.levels(ax, [one.most, one.product, one.sets], ["most", "$k=d$", "sets"])


# ------------------------------------------------------------------------------------------------------------- findings
def _both(packed_even: xr.Dataset, packed_signed: xr.Dataset) -> xr.Dataset:
    """The sizes of both losses."""
    return xr.concat([packed_even.assign(kind="even"), packed_signed.assign(kind="signed")], "size", data_vars="all")


def _check(id: str, what: str, value: Any, limit: float, why: str) -> Finding:
    return Finding(id, what, exact(float(value)), AtMost(limit), ours(why), "check")


def theorems(packed_even: xr.Dataset, packed_signed: xr.Dataset) -> Iterator[Finding]:
    """Losses of the stored vectors in float64 against bounds; factors and orthogonal pairs against what is proved."""
    one = _both(packed_even, packed_signed)
    what = f"largest (bound - loss) / loss of {int(one.loss.count())} trained packings"
    deepest = ((one.bound - one.loss) / one.loss.clip(min=1e-300)).max()
    yield _check("bounds-hold", what, deepest, 1e-9, "bounds are proved; rounding")
    # Each of n (n - 1) terms |c|^power moves by power times the rounding of a cosine, d products in float32.
    wrong = (abs(one.trained - one.loss) / (one.n * (one.n - 1) * one.d * 2.0**-24 * one.power)).max()
    what = "error of the loss recorded in training, in units of n (n - 1) power d 2^-24"
    yield _check("loss-as-trained", what, wrong, 1, "rounding of float32")
    crowded = one.n > one.d * xr.where(one.kind == "signed", 2, 1)
    found = one.factors.where(crowded & (one.power > 2))
    what = f"most factors of any of {int(found.count())} restarts with interference above power 2"
    yield _check("whole-above-two", what, found.max(), 1, "proved in theory.johnson_lindenstrauss")
    what = "orthogonal pairs over the most that theory allows, largest of all restarts"
    yield _check("pairs-bounded", what, (one.pairs / one.most).max(), 1, "Turán 1941; a theorem")
    best = packings.best_restarts(one)
    others = xr.concat([best.factors_loosely, best.factors_strictly], "tolerance")
    what = f"best numbers of factors, of {int(others.count())}, that change with ten times or a tenth of the tolerance"
    changed = (others != best.factors).where(others.notnull()).sum()
    yield _check("tolerance", f"{what} {TOLERANCE:g}", changed, 0, "the tolerance does not matter")


def bounds_met(packed_even: xr.Dataset, packed_signed: xr.Dataset) -> Iterator[Finding]:
    """Where an explicit packing attains the bound, training finds one as good; most orthogonal pairs."""
    both = _both(packed_even, packed_signed)
    cases = both.drop_dims("fitted").stack(case=("size", "power"), create_index=False)
    cases = cases.isel(case=(cases.known <= cases.bound * (1 + 1e-9)).values)
    cases, count = cases.assign(met=cases.loss <= cases.bound * (1 + MET)), cases.sizes["seed"]
    if cases.sizes["case"]:
        what = f"share of the {cases.sizes['case']} cases with a known optimal packing, of both losses, in which the "
        yield Finding(
            *("optimum-attained", f"{what}best of {count} restarts attains the optimum to {MET:g}"),
            bootstrap(lambda flags: flags.values.any(flags.get_axis_num("seed")).mean(), cases.met),
            *(AtLeast(0.95), ours("bounds that explicit packings attain; limit, tolerance"), KIND),
            revised="was all cases of each loss; now 95 % of both: whether optima that few reach are reached is chance",
        )
        one = cases.isel(case=cases.met.sum("seed").argmin("case"))
        rarest = f"{int(one.met.sum())} of {count}: {one['size'].item()}, power {float(one.power):g}, {one.kind.item()}"
        yield report("rarest-optimum", "restarts that attain the known optimum that fewest attain", exactly(rarest))
    for name, one in (("even", packed_even), ("signed", packed_signed)):
        least, kind = one.loss.min("seed"), {"loss": name}
        what = f"share of the {least.size} cases, {name} loss, in which training beats every known packing"
        yield report("known-beaten", what, exact(float((least < one.known * (1 - MET)).mean())), settings=kind)
        gain, what = 1 - least / one.known.where(one.known > 0), "largest gain over the best known packing"
        yield report("largest-gain", f"{name} loss: {what}", exact(float(gain.max())), settings=kind)
    what = f"sizes, of {both.sizes['size']}, at which some restart has the most orthogonal pairs that theory allows"
    yield report("most-pairs-reached", what, exact(float((both.pairs == both.most).any(["power", "seed"]).sum())))
    best = packings.best_restarts(packed_even)
    sets = best["size"].values[((best.pairs >= best.sets) & (best.power > 2)).any("power").values]
    what = "sizes, even loss, at which the best single factor has the n (d - 1) pairs of overlapping orthonormal sets"
    yield report("pairs-of-overlapping-sets", what, exactly(", ".join(sets) or "none"))


def numbers_of_factors(packed_even: xr.Dataset, packed_signed: xr.Dataset) -> Iterator[Finding]:
    """Where one packing takes over from d axes, and what wins in between, against the estimate, of the even loss."""
    fitted = f"{JERMYN}, leaves a constant open, here fitted to the least frame potential of "
    source, ends = ours(fitted + ", ".join(packed_even.fitted.values)), stated(f"{JERMYN}: the optimum is at an end")
    for one in _sizes(_both(packed_even, packed_signed)):
        n, d, where, winner = int(one.n), int(one.d), {"size": one["size"].item()}, f"best of {one.sizes['seed']}"
        k, vectors, powers = of_best(one.factors, one.order), f"{n} vectors in R^{d}", one.power.values.tolist()
        taken, mixed = packings.takeover(k, powers, d), packings.labels_within(k, 2, d - 1)
        text = f"{vectors}: power at which one {d}-dimensional packing takes over from {d} orthogonal axes, {winner}"
        other = f"{vectors}: powers, of {len(powers)}, at which the {winner} has more than 1 and fewer than {d} factors"
        if one.kind == "signed":
            yield report("signed-takeover", f"signed loss, {text}", taken, settings=where)
            yield report("signed-mixed", f"signed loss, {other}", mixed, settings=where)
            continue
        predicted = Within(float(one.switch.min()), float(one.switch.max()))
        yield Finding(
            *("takeover", text, taken, predicted, source, KIND, where),
            note="n and d are far below those of the fit",
            revised="was the switch without a fitted constant, 4.1 to 14.8 or never; the source leaves it open",
        )
        yield Finding("mixed", other, mixed, AtMost(0), ends, KIND, where)
        if n == d + 1:
            proved = Follows(tuple(one_more_factors(d, q) for q in powers))
            yield Finding("staircase", f"{vectors}: orthogonal factors of the {winner}", k, proved, XU, KIND, where)
    what = "constant of the estimate that gives the least frame potential"
    yield report("constant", what, each(packed_even.constant))


experiment = Experiment(
    question="How many orthogonal subspaces minimise the interference of n vectors in d dimensions?",
    source="Jermyn 2022, on tegum products; bounds and configurations: toymodels.theory.packing_bounds and packings",
    sweeps={"even": even, "signed": signed},
    scales={"tiny": tiny | {"steps": 400}, "full": full},
    readings=[packed_even, packed_signed, minima],
    figures=[factors, excess_over_bound, loss_against_power, orthogonal_pairs, signed_loss, winners, basin_frequencies],
    findings=[theorems, bounds_met, numbers_of_factors],
    cost="about half an hour on two CPU cores, 16 programs, 110 MB",
)
