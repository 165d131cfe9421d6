"""Tegum products: into how many orthogonal subspaces do n unit vectors in d dimensions split? Jermyn 2022.

A split makes most pairs exactly orthogonal and crowds the rest. Which is cheaper depends on the power of the cosine
that interference costs; the Johnson-Lindenstrauss estimate of the crowding puts the switch from d subspaces to one well
above power 2. Trained packings are drawn against that estimate, against lower bounds that no packing can beat, and
against the best explicit configurations.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from toymodels import Axis, Choice, Record, Run, Sweep, draw, usable
from toymodels.analysis.geometry import tegum_factors
from toymodels.analysis.packings import (
    Ending,
    between_factor_pair_counts,
    configuration_name,
    endings,
    orthogonal_factor_counts,
    orthogonal_pair_counts,
)
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.packing import Packing
from toymodels.shapes.packing import cosines
from toymodels.shapes.packing import interference_losses as losses
from toymodels.theory import tegum as theory

TOLERANCE = 1e-3
"""|cos| up to which a pair counts as orthogonal. The learning rate ends at 0, so cosines on their way to 0 end at
float32's rounding, about 1e-7; `pairs_bounded` says how many numbers of factors depend on the choice."""
MET = 1e-4
"""Relative excess over a bound (or over the best restart) up to which it counts as met."""
FLOOR = 1e-8
"""Least relative excess that is drawn: vectors are stored in float32."""

# ------------------------------------------------------------------------------------------------------------- the grid

POWERS = (1, 1.3, 1.5, 1.65, 1.75, 1.8, 1.83, 1.9, 1.95, 2, 2.05, 2.2, 2.5, 3, 4, 6)
GRIDS: dict[Scale, dict[str, Sequence[Any]]] = {
    "tiny": {"even": [(6, 3), (7, 6)], "signed": [(12, 4)], "power": (1, 1.83, 2.2, 4), "seed": range(4)},
    "default": {
        "even": [(6, 3), (7, 6), (10, 5), (12, 4), (16, 6), (24, 8)],
        "signed": [(12, 3), (12, 4), (24, 4), (16, 6), (24, 8)],
        "power": POWERS,
        "seed": range(32),
    },
    "full": {
        "even": [(6, 3), (7, 6), (10, 5), (12, 4), (16, 6), (24, 8), (28, 7), (40, 10), (64, 16)],
        "signed": [(12, 3), (12, 4), (24, 4), (16, 6), (24, 8), (40, 10), (64, 16)],
        "power": tuple(sorted({*POWERS, 1.1, 1.2, 1.4, 1.58, 1.7, 1.78, 1.85, 1.88, 1.925, 1.975, 2.025, 2.1, 2.3, 5})),
        "seed": range(64),
    },
}
STEPS: dict[Scale, int] = {"tiny": 400, "default": 1500, "full": 5000}


def sweeps(scale: Scale) -> dict[str, Sweep]:
    return {name: _sweep(scale, name) for name in ("even", "signed")}


def _sweep(scale: Scale, name: str) -> Sweep:
    grid = GRIDS[scale]
    base = Run(
        Packing(n=12, d=4, signed=name == "signed"),
        Adam(Cosine(0.05)),
        steps=STEPS[scale],
        record=Record(losses=60, snapshots=2),
    )
    sizes = {f"{n} in {d}": {"problem.n": n, "problem.d": d} for n, d in grid[name]}
    axes: list[Axis | Choice] = [
        Choice("size", sizes),
        Axis("power", "problem.power", grid["power"]),
        Axis("seed", "seed", grid["seed"]),
    ]
    return Sweep(base, axes)


# ------------------------------------------------------------------------------------------------------- what was found


class Packed(NamedTuple):
    """All restarts of one size: arrays are powers x seeds; `loss` is of the stored vectors, in float64."""

    size: str
    n: int
    d: int
    signed: bool
    powers: np.ndarray
    seeds: np.ndarray
    V: np.ndarray
    trained: np.ndarray
    """The loss as training recorded it, in float32."""
    loss: np.ndarray
    factors: np.ndarray
    pairs: np.ndarray
    left_out: int

    @property
    def least(self) -> np.ndarray:
        """The least loss at each power; NaN where all restarts are left out."""
        least = np.min(np.where(np.isfinite(self.loss), self.loss, np.inf), axis=1)
        return np.where(np.isfinite(least), least, np.nan)

    @property
    def best(self) -> np.ndarray:
        """Place of the restart of least loss at each power; ties, equal to MET, go to the most factors."""
        tied = self.loss <= self.least[:, None] * (1 + MET) + 1e-12
        return np.argmax(np.where(tied, self.factors, -1), axis=1)

    def at_best(self, values: np.ndarray) -> np.ndarray:
        return values[np.arange(len(self.powers)), self.best]

    @property
    def bounds(self) -> list[theory.LossBound]:
        return [_bound(self.n, self.d, power, self.signed) for power in self.powers.tolist()]

    @property
    def bound(self) -> np.ndarray:
        return np.array([bound.value for bound in self.bounds])

    @property
    def known(self) -> list[theory.Configuration]:
        return [_known(self.n, self.d, power, self.signed) for power in self.powers.tolist()]


_bound = functools.cache(theory.loss_bound)
_known = functools.cache(theory.best_configuration)


def packed(swept: Swept) -> Iterator[Packed]:
    """The restarts of each size; those that diverged, or whose loss still falls, are left out of `loss`."""
    data = swept.data.isel(snapshot=-1, step=-1)[["V", "objective", "status"]].load()
    for size in data["size"].values:
        cells = data.sel(size=size).transpose("power", "seed", "feature", "dimension")
        problem = swept.run(size=size, power=cells.power.values[0], seed=cells.seed.values[0]).problem
        trained = cells.objective.values.astype(np.float64)
        good = np.isfinite(usable(cells.objective, cells.status).values)
        V = np.where(good[..., None, None], cells.V.values[..., : problem.n, : problem.d].astype(np.float64), 0)
        loss = np.where(good, losses(V, cells.power.values[:, None], problem.signed), np.nan)
        yield Packed(
            size=str(size),
            n=problem.n,
            d=problem.d,
            signed=problem.signed,
            powers=cells.power.values.astype(np.float64),
            seeds=cells.seed.values,
            V=V,
            trained=trained,
            loss=loss,
            factors=orthogonal_factor_counts(V, TOLERANCE),
            pairs=orthogonal_pair_counts(V, TOLERANCE),
            left_out=int((~good).sum()),
        )


def _minima(one: Packed, power: float) -> list[Ending]:
    row = int(np.argmin(abs(one.powers - power)))
    return endings(one.V[row], one.loss[row], TOLERANCE, even=not one.signed)


# -------------------------------------------------------------------------------------------------------------- figures


def factors(even: Swept) -> Figure:
    """Number of mutually orthogonal factors that restarts end in, against the power of the cosine in an even loss: grey
    discs are restarts, their area the share of them; red the restart of least loss (of several equal to 1e-4, the one
    with most factors). Dashed: the best number of factors by the Johnson-Lindenstrauss estimate. Green crosses: the
    best explicit configuration known (at power 2 all tight frames tie). The axis of powers is stretched around 2."""
    figure, axes = _panels(even)
    for ax, one in zip(axes, packed(even), strict=False):
        _factor_panel(ax, one)
    _legend(axes[0], {"restarts": 0, "best restart": 1, "best known": 2, "estimate": 3})
    return _label(figure, "orthogonal factors")


def excess_over_bound(even: Swept) -> Figure:
    """How far the even loss lies above the largest lower bound known at that power, relative to it: a dot a restart,
    red the best one; dashed, 1e-4, below which the bound counts as met. Green: the best explicit configuration
    known, named where it attains the bound. A loss below its bound has no place on this axis; excesses below 1e-8,
    rounding, are drawn there."""
    figure, axes = _panels(even, sharey=True)
    for ax, one in zip(axes, packed(even), strict=False):
        _excess_panel(ax, one)
        _name_attained(ax, one)
    return _label(figure, "loss / lower bound - 1")


def loss_against_power(even: Swept) -> Figure:
    """Even loss in units of that of independent uniform directions: red the best restart, grey the range of restarts,
    green the best explicit configuration known. Dashed: lower bounds, the largest known (black) and, where it is
    smaller, the frame potential and Welch's (blue) and the orthoplex bound (orange). Dotted: the Johnson-Lindenstrauss
    estimate for one factor (purple) and for d factors (sky blue), whose crossing is its switch; it leaves a constant
    open."""
    figure, axes = _panels(even, sharey=True)
    for ax, one in zip(axes, packed(even), strict=False):
        _loss_panel(ax, one)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return _label(figure, "loss / loss of random directions")


def orthogonal_pairs(even: Swept) -> Figure:
    """Ordered pairs of exactly orthogonal vectors: red the best restart, grey the range of all restarts. Dashed, most:
    the most that any n nonzero vectors can have (Turán), which copies of an orthonormal basis reach; k = d: n² (1 -
    1/k), a tegum product of d equal factors (out of reach where d does not divide n); sets: n (d - 1), overlapping
    orthonormal sets. Green crosses: pairs between the factors of the best restart, so that red above them counts
    orthogonal pairs inside factors."""
    figure, axes = _panels(even)
    for ax, one in zip(axes, packed(even), strict=False):
        _pairs_panel(ax, one)
    return _label(figure, "orthogonal pairs")


def signed_loss(signed: Swept) -> Figure:
    """A loss that ignores negative cosines. Above: orthogonal factors that restarts end in (discs, by share), the best
    restart (red), the best explicit configuration known (green crosses) and the Johnson-Lindenstrauss estimate of the
    even loss (dashed). Below: how far the loss lies above the largest lower bound known, relative to it: restarts
    (grey), the best one (red), the best explicit configuration known (green); dashed, 1e-4: the bound counts as met."""
    found = list(packed(signed))
    figure, axes = plt.subplots(2, len(found), figsize=(draw.PAGE, 3.6), squeeze=False, sharex=True)
    for column, one in enumerate(found):
        _factor_panel(axes[0, column], one)
        _excess_panel(axes[1, column], one)
        axes[1, column].set_title("")
        for ax in axes[:, column]:
            ax.xaxis.set_major_locator(FixedLocator([1, 1.8, 2, 2.2, 6]))
            ax.sharey(axes[1, 0]) if column and ax is axes[1, column] else None
            ax.tick_params(labelleft=column == 0 or ax is axes[0, column])
    axes[0, 0].set_ylabel("orthogonal factors")
    axes[1, 0].set_ylabel("loss / lower bound - 1")
    figure.supxlabel("power of the cosine", fontsize=8)
    return figure


SHOWN = (1.5, 1.83, 1.95, 3)
"""Powers whose minima are looked at one by one (the nearest on the axis)."""


def winners(even: Swept) -> Figure:
    """|cos| between the vectors of the best restart, sorted by factor: white is orthogonal, black parallel. Above each:
    its name, and how many restarts reach its loss to 1e-4."""
    found = list(packed(even))
    powers = _nearest(found[0])
    size = (draw.PAGE, 1.35 * len(found) + 0.3)
    figure, axes = plt.subplots(len(found), len(powers), figsize=size, squeeze=False)
    for row, one in zip(axes, found, strict=True):
        for ax, power in zip(row, powers, strict=True):
            _winner_panel(ax, one, power)
        row[0].set_ylabel(f"{one.n} in {one.d}")
    for ax, power in zip(axes[0], powers, strict=True):
        ax.set_title(f"power {power:g}\n{ax.get_title()}", fontsize=6)
    figure.colorbar(axes[0, 0].images[0], ax=axes, label="|cos|", shrink=0.4, aspect=18, location="right")
    return figure


def basin_frequencies(even: Swept) -> Figure:
    """Where restarts end: configurations by name and, but for the first, excess of their loss over the least one, with
    the number of restarts in each. Red: the least loss found; blue: up to three more; grey: all others."""
    found = list(packed(even))
    powers = _nearest(found[0])
    size = (draw.PAGE, 0.8 * len(found) + 0.4)
    figure, axes = plt.subplots(len(found), len(powers), figsize=size, squeeze=False, sharex=True)
    for row, one in zip(axes, found, strict=True):
        for ax, power in zip(row, powers, strict=True):
            _basin_panel(ax, one, power)
        row[0].set_ylabel(f"{one.n} in {one.d}")
    for ax, power in zip(axes[0], powers, strict=True):
        ax.set_title(f"power {power:g}")
    figure.supxlabel("restarts", fontsize=8)
    return figure


def _panels(swept: Swept, sharey: bool = False) -> tuple[Figure, Sequence[Axes]]:
    sizes = swept.data.sizes["size"]
    columns = min(3, sizes)
    rows = -(-sizes // columns)
    shape = (draw.PAGE, 0.4 + 1.75 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=shape, squeeze=False, sharex=True, sharey=sharey)
    for ax in axes.flat[sizes:]:
        ax.remove()
    return figure, list(axes.flat)


def _label(figure: Figure, name: str) -> Figure:
    figure.supxlabel("power of the cosine", fontsize=8)
    figure.supylabel(name, fontsize=8)
    return figure


def _legend(ax: Axes, names: dict[str, int]) -> None:
    kinds: tuple[dict[str, Any], ...] = (
        {"ls": "", "marker": "o", "color": "0.72", "ms": 6},
        {"ls": "-", "marker": "o", "color": draw.RED, "ms": 2.2, "lw": 0.9},
        {"ls": "", "marker": "x", "color": draw.GREEN, "ms": 4.5},
        {"ls": (0, (4, 2)), "color": draw.THEORY, "lw": 0.8},
    )
    ax.legend([Line2D([], [], **kinds[kind]) for kind in names.values()], list(names), loc="center right")


def _power_axis(ax: Axes, one: Packed) -> None:
    """arcsinh((power - 2) / 0.1): linear near 2, logarithmic away from it."""
    ax.set_xscale("function", functions=(lambda q: np.arcsinh((q - 2) / 0.1), lambda s: 2 + 0.1 * np.sinh(s)))
    ax.xaxis.set_major_locator(FixedLocator([1, 1.5, 1.8, 2, 2.2, 3, 6]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlim(0.7, max(8, 1.3 * one.powers[-1]))
    ax.set_title(f"{one.n} vectors in {one.d} dimensions" if not one.signed else f"{one.n} in {one.d}")
    draw.excluded(ax, f"{one.left_out} left out" if one.left_out else "")


def _factor_panel(ax: Axes, one: Packed) -> None:
    power, k, share = _shares(one)
    ax.scatter(power, k, s=45 * share, color="0.72", lw=0, zorder=1.8)
    fine = np.linspace(1, one.powers[-1], 400)
    estimate = [theory.jl_best_factors(one.n, one.d, q) for q in fine.tolist()]
    ax.plot(fine, estimate, color=draw.THEORY, ls=(0, (4, 2)), lw=0.8, zorder=1.5)
    ax.plot(one.powers, [each.factors for each in one.known], "x", ms=4.5, mew=0.9, color=draw.GREEN, zorder=2.2)
    ax.plot(one.powers, one.at_best(one.factors), "o-", ms=2.2, lw=0.9, color=draw.RED, zorder=2)
    ax.set_ylim(0.4, one.d + 0.6)
    ax.yaxis.set_major_locator(FixedLocator(range(1, one.d + 1)) if one.d <= 8 else MaxNLocator(5, integer=True))
    _power_axis(ax, one)


def _shares(one: Packed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(power, factors, share of the restarts) of every number of factors that occurs."""
    rows = []
    for power, counts, losses_here in zip(one.powers, one.factors, one.loss, strict=True):
        kept = counts[np.isfinite(losses_here)]
        rows += [(power, k, float(np.mean(kept == k))) for k in np.unique(kept)]
    power, k, share = np.array(rows).reshape(-1, 3).T
    return power, k, share


def _range(ax: Axes, one: Packed, values: np.ndarray) -> None:
    low = np.min(np.where(np.isfinite(values), values, np.inf), axis=1)
    high = np.max(np.where(np.isfinite(values), values, -np.inf), axis=1)
    some = np.isfinite(low)
    ax.fill_between(one.powers[some], low[some], high[some], color="0.82", lw=0, zorder=1)


def _excess_panel(ax: Axes, one: Packed) -> None:
    bound = np.where(one.bound > 0, one.bound, np.nan)
    restarts = np.maximum(one.loss / bound[:, None] - 1, FLOOR)
    known = np.maximum(np.array([each.loss for each in one.known]) / bound - 1, FLOOR)
    powers = np.broadcast_to(one.powers[:, None], restarts.shape)
    ax.plot(powers.ravel(), restarts.ravel(), "o", ms=1.8, mew=0, color="0.6", alpha=0.5, rasterized=True, zorder=1)
    ax.axhline(MET, color=draw.THEORY, ls=(0, (4, 2)), lw=0.8, zorder=1.5)
    ax.plot(one.powers, known, "-", lw=0.9, color=draw.GREEN, zorder=1.9)
    ax.plot(one.powers, np.maximum(one.least / bound - 1, FLOOR), "o", color=draw.RED, zorder=2.1)
    ax.set(yscale="log", ylim=(FLOOR / 3, 30), yticks=[1e-8, 1e-6, 1e-4, 1e-2, 1])
    ax.yaxis.set_minor_locator(NullLocator())
    _power_axis(ax, one)


def _name_attained(ax: Axes, one: Packed) -> None:
    """The name of the known configuration above each run of three powers or more at which it attains the bound."""
    names = [
        each.name if each.loss <= bound * (1 + MET) else "" for each, bound in zip(one.known, one.bound, strict=True)
    ]
    for name, run in itertools.groupby(zip(names, one.powers.tolist(), strict=True), key=lambda pair: pair[0]):
        powers = [power for _, power in run]
        if name and len(powers) >= 3:
            first = powers[0] == one.powers[0]
            where, side = (powers[0], "left") if first else (powers[-1], "right")
            ax.text(where, MET * 1.6, name, fontsize=6.5, color=draw.GREEN, ha=side, va="bottom")


def _loss_panel(ax: Axes, one: Packed) -> None:
    unit = np.array([theory.random_loss(one.n, one.d, q, one.signed) for q in one.powers.tolist()])
    _range(ax, one, one.loss / unit[:, None])
    for name, bound, colour in (
        ("frame potential, Welch", theory.moment_bound, draw.BLUE),
        ("orthoplex", theory.orthoplex_bound, draw.ORANGE),
    ):
        values = np.array([bound(one.n, one.d, q) for q in one.powers.tolist()])
        ax.plot(
            one.powers, np.where(values > 0, values / unit, np.nan), ls=(0, (4, 2)), lw=0.8, color=colour, label=name
        )
    ax.plot(one.powers, one.bound / unit, ls=(0, (4, 2)), lw=0.9, color="black", zorder=2.5, label="largest bound")
    for k, name, colour in ((1, "estimate, k = 1", draw.PURPLE), (one.d, "estimate, k = d", draw.SKY)):
        estimate = np.array([theory.jl_estimate(one.n, one.d, k, q) for q in one.powers.tolist()])
        ax.plot(one.powers, estimate / unit, ":", lw=1, color=colour, label=name)
    ax.plot(one.powers, [each.loss for each in one.known] / unit, lw=0.9, color=draw.GREEN, label="best known")
    ax.plot(one.powers, one.least / unit, "o", ms=2.5, color=draw.RED, zorder=3, label="best restart")
    ax.set(yscale="log", ylim=(0.02, 30))
    _power_axis(ax, one)


def _pairs_panel(ax: Axes, one: Packed) -> None:
    _range(ax, one, np.where(np.isfinite(one.loss), one.pairs, np.nan))
    between = between_factor_pair_counts(one.at_best(one.V), TOLERANCE)
    ax.plot(one.powers, between, "x", ms=4.5, mew=0.9, color=draw.GREEN, zorder=2.2)
    ax.plot(one.powers, one.at_best(one.pairs), "o-", ms=2.2, lw=0.9, color=draw.RED, zorder=2)
    lines = {
        "most": theory.max_orthogonal_pairs(one.n, one.d),
        "$k=d$": theory.tegum_orthogonal_pairs(one.n, one.d),
        "sets": theory.overlapping_sets_pairs(one.n, one.d),
    }
    ax.set_ylim(-0.04 * lines["most"], 1.1 * lines["most"])
    draw.levels(ax, list(lines.values()), list(lines))
    _power_axis(ax, one)


def _nearest(one: Packed) -> list[float]:
    return sorted({float(one.powers[np.argmin(abs(one.powers - power))]) for power in SHOWN})


def _winner_panel(ax: Axes, one: Packed, power: float) -> None:
    row = int(np.argmin(abs(one.powers - power)))
    V = one.V[row, one.best[row]]
    order = np.argsort(tegum_factors(V, TOLERANCE).labels, kind="stable")
    shown = np.abs(cosines(V)) + np.eye(one.n)
    ax.imshow(shown[np.ix_(order, order)], cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(True)
    count = int(np.sum(one.loss[row] <= one.least[row] * (1 + MET)))
    ax.set_title(
        f"{configuration_name(V, TOLERANCE, even=not one.signed)}\n{count} of {len(one.seeds)} restarts", fontsize=6
    )


def _basin_panel(ax: Axes, one: Packed, power: float) -> None:
    found = _minima(one, power)
    ax.set(yticks=[], ylim=(4.6, -0.6), xlim=(0, len(one.seeds)))
    ax.spines["left"].set_visible(False)
    if not found:
        return
    least = found[0].loss
    rows = [(found[0].name, found[0].restarts, "#F2B79C")]
    rows += [(f"{each.name}, +{100 * (each.loss / least - 1):.2g}%", each.restarts, "#B9D6E8") for each in found[1:4]]
    if len(found) > 4:
        rows.append((f"{len(found) - 4} more", sum(each.restarts for each in found[4:]), "0.85"))
    for place, (name, count, colour) in enumerate(rows):
        ax.barh(place, count, color=colour, height=0.85)
        ax.text(0.3, place, name, fontsize=5, va="center", ha="left", in_layout=False)


# ------------------------------------------------------------------------------------------------------------- findings


def bounds_hold(even: Swept, signed: Swept) -> list[Finding]:
    """No packing lies below a bound: losses of the stored vectors in float64, against the rounding of the bounds."""
    found = [*packed(even), *packed(signed)]
    deepest = max(_largest((one.bound[:, None] - one.loss) / np.maximum(one.loss, 1e-300)) for one in found)
    cells = sum(int(np.isfinite(one.loss).sum()) for one in found)
    rounding = max(_largest(abs(one.trained - one.loss) / _rounding(one)) for one in found)
    return [
        Finding(f"largest (bound - loss) / loss of {cells} packings", f"{deepest:.1e}", "<= 1e-9", deepest <= 1e-9),
        Finding("error of the loss in training over n (n - 1) power d 2^-24", f"{rounding:.2g}", "<= 1", rounding <= 1),
    ]


def _largest(values: np.ndarray) -> float:
    return float(np.max(values, initial=-np.inf, where=np.isfinite(values)))


def _rounding(one: Packed) -> np.ndarray:
    """Each of n (n - 1) terms |c|^power moves by power times the rounding of a cosine, d products in float32."""
    return (one.n * (one.n - 1) * one.d * 2.0**-24 * one.powers)[:, None]


def bounds_met(even: Swept, signed: Swept) -> list[Finding]:
    """Where an explicit configuration attains the bound, training finds a packing as good."""
    answers = []
    for swept in (even, signed):
        attained = met = better = points = 0
        gain = 0.0
        for one in packed(swept):
            best, known = one.least, np.array([each.loss for each in one.known])
            attains = known <= one.bound * (1 + 1e-9)
            attained += int(attains.sum())
            met += int((attains & (best <= one.bound * (1 + MET))).sum())
            points += len(best)
            better += int((best < known * (1 - MET)).sum())
            gain = max(gain, float(np.max(1 - best / known, initial=0, where=np.isfinite(best) & (known > 0))))
        kind = "signed" if one.signed else "even"
        what = f"{kind} loss: bound met to {MET:g} by the best restart where a known configuration attains it"
        answers.append(
            Finding(what, f"{met} of {attained}", f"{attained} of {attained}", met == attained if attained else None)
        )
        what = f"{kind} loss: training below the best known configuration by more than {MET:g} (largest gain)"
        answers.append(Finding(what, f"{better} of {points} ({100 * gain:.0f} %)", "-", None))
    return answers


def switch(even: Swept, signed: Swept) -> list[Finding]:
    """Where the best restart leaves d factors and reaches one, against the Johnson-Lindenstrauss estimate's switch."""
    answers = []
    for one in [*packed(even), *packed(signed)]:
        k = one.at_best(one.factors)
        split = np.flatnonzero(k == one.d)
        whole = np.flatnonzero(k > 1)
        last = one.powers[split[-1]] if len(split) else np.nan
        first = one.powers[whole[-1] + 1 :][:1]
        estimate = theory.jl_switch(one.n, one.d)
        what = f"{one.size}{', signed' if one.signed else ''}: last power with d factors, first with one"
        expected = f"estimate {estimate:.3g}" if np.isfinite(estimate) else "estimate never"
        measured = f"{last:g}, {first[0]:g}" if len(first) else f"{last:g}, none"
        holds = bool(last <= estimate <= first[0]) if len(first) else bool(estimate >= last)
        answers.append(Finding(what, measured, expected, None if one.signed else holds))
    return answers


def one_factor_above_two(even: Swept, signed: Swept) -> Finding:
    """Above power 2 no minimum with interference splits: turn one vector of a crowded factor by a small angle e towards
    another factor; its own interference falls by (power/2) e² of itself, the new one is of order e^power."""
    most = 0
    cells = 0
    for one in [*packed(even), *packed(signed)]:
        if one.n > (2 * one.d if one.signed else one.d):
            above = one.powers > 2
            counts = one.factors[above][np.isfinite(one.loss[above])]
            most, cells = max(most, int(counts.max(initial=0))), cells + counts.size
    return Finding(f"most factors in any of {cells} restarts above power 2", str(most), "1", most == 1)


def between_one_and_d(even: Swept, signed: Swept) -> list[Finding]:
    """Numbers of factors strictly between 1 and d that are best at some power."""
    answers = []
    for one in [*packed(even), *packed(signed)]:
        k = one.at_best(one.factors)
        seen = [f"{count} at {power:g}" for power, count in zip(one.powers, k, strict=True) if 1 < count < one.d]
        what = f"{one.size}{', signed' if one.signed else ''}: best number of factors between 1 and d"
        expected, holds = "estimate: none", None if one.signed else not seen
        if one.n == one.d + 1 and not one.signed:
            staircase = np.array([theory.one_more_factors(one.d, power) for power in one.powers.tolist()])
            what, expected = f"{what}; all {len(k)} powers as proved", "staircase 1.58 < power < 2 (Xu & Xu 2021)"
            holds = bool(np.all(k == staircase))
        answers.append(Finding(what, ", ".join(seen) or "none", expected, holds))
    return answers


def pairs_bounded(even: Swept, signed: Swept) -> list[Finding]:
    """Orthogonal pairs against the extremal bound, and how clearly pairs are orthogonal or not."""
    found = [*packed(even), *packed(signed)]
    share = max(float(np.max(one.pairs / theory.max_orthogonal_pairs(one.n, one.d))) for one in found)
    reached = sum(bool(np.any(one.pairs == theory.max_orthogonal_pairs(one.n, one.d))) for one in found)
    best = [(one, np.max(np.where(one.powers > 2, one.at_best(one.pairs), 0))) for one in found if not one.signed]
    sets = [one.size for one, pairs in best if pairs >= theory.overlapping_sets_pairs(one.n, one.d)]
    points = sum(len(one.powers) for one in found)
    changed = sum(int(np.sum(_factors_at_best(one, TOLERANCE * 10) != one.at_best(one.factors))) for one in found)
    changed += sum(int(np.sum(_factors_at_best(one, TOLERANCE / 10) != one.at_best(one.factors))) for one in found)
    return [
        Finding("orthogonal pairs over the extremal bound, largest of all restarts", f"{share:g}", "<= 1", share <= 1),
        Finding("sizes at which some restart reaches the extremal bound", f"{reached} of {len(found)}", "-", None),
        Finding(
            "sizes at which the best single factor has the n (d - 1) pairs of overlapping sets",
            ", ".join(sets) or "none",
            "-",
            None,
        ),
        Finding(
            f"best numbers of factors that change with the tolerance, {TOLERANCE:g}, times or over 10",
            f"{changed} of {2 * points}",
            f"0 of {2 * points}",
            changed == 0,
        ),
    ]


def _factors_at_best(one: Packed, tolerance: float) -> np.ndarray:
    return orthogonal_factor_counts(one.at_best(one.V), tolerance)


experiment = Experiment(
    question="How many orthogonal subspaces minimise the interference of n vectors in d dimensions?",
    source="Jermyn 2022, on tegum products; bounds and configurations: toymodels.theory.tegum",
    sweeps=sweeps,
    figures=[
        factors,
        excess_over_bound,
        loss_against_power,
        orthogonal_pairs,
        signed_loss,
        winners,
        basin_frequencies,
    ],
    cost="about half an hour on two CPU cores, 16 programs, 110 MB",
    findings=[bounds_hold, bounds_met, switch, one_factor_above_two, between_one_and_d, pairs_bounded],
)
