"""Tegum products: into how many orthogonal subspaces do n unit vectors in d dimensions split? Jermyn 2022.

A split makes most pairs exactly orthogonal and crowds the rest. Which is cheaper depends on the power of the cosine
that interference costs; the Johnson-Lindenstrauss estimate of the crowding puts the switch from d subspaces to one well
above power 2. Trained packings are drawn against that estimate, against lower bounds that no packing can beat, and
against the best explicit configurations.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from toymodels import Axis, Choice, Record, Run, Sweep, draw, usable
from toymodels.analysis.geometry import Factor, tegum_factors
from toymodels.analysis.packings import cosines, losses, orthogonal_factor_counts, orthogonal_pair_counts
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.packing import Packing
from toymodels.theory import tegum as theory

TOLERANCE = 1e-3
"""|cos| up to which a pair counts as orthogonal. The learning rate ends at 0, so cosines on their way to 0 end at
float32's rounding, about 1e-7; `undecided` counts those within a factor ten of the tolerance."""
MET = 1e-4
"""Relative excess over a bound (or over the best restart) up to which it counts as met."""

# ------------------------------------------------------------------------------------------------------------- the grid

POWERS = (1, 1.3, 1.5, 1.65, 1.75, 1.8, 1.83, 1.9, 1.95, 2, 2.05, 2.2, 2.5, 3, 4, 6)
GRIDS: dict[Scale, dict[str, Sequence]] = {
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
        "seed": range(128),
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
    axes = [Choice("size", sizes), Axis("power", "problem.power", grid["power"]), Axis("seed", "seed", grid["seed"])]
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
    def best(self) -> np.ndarray:
        """Place of the restart of least loss at each power; ties, equal to MET, go to the most factors."""
        level = np.nanmin(self.loss, axis=1, keepdims=True)
        tied = self.loss <= level * (1 + MET) + 1e-12
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
    powers, seeds = swept.data.power.values, swept.data.seed.values
    for size in swept.data["size"].values:
        problem = swept.run(size=size, power=powers[0], seed=seeds[0]).problem
        cells = swept.data.sel(size=size)
        V = cells.V.isel(snapshot=-1).transpose("power", "seed", "feature", "dimension").values
        V = V[..., : problem.n, : problem.d].astype(np.float64)
        good = np.isfinite(usable(cells.objective.isel(step=-1), cells.status).transpose("power", "seed").values)
        V = np.where(good[..., None, None], V, 0)
        yield Packed(
            str(size),
            problem.n,
            problem.d,
            problem.signed,
            powers,
            seeds,
            V,
            cells.objective.isel(step=-1).transpose("power", "seed").values.astype(np.float64),
            np.where(good, losses(V, powers[:, None], problem.signed), np.nan),
            orthogonal_factor_counts(V, TOLERANCE),
            orthogonal_pair_counts(V, TOLERANCE),
            int((~good).sum()),
        )


def basins(one: Packed, power: float) -> list[tuple[str, float, int]]:
    """(name, loss, restarts) of the minima that restarts end in, told apart by name and loss, the least loss first."""
    row = int(np.argmin(abs(one.powers - power)))
    counts: Counter[tuple[float, str]] = Counter()
    for V, loss in zip(one.V[row], one.loss[row], strict=True):
        if np.isfinite(loss):
            counts[float(f"{loss:.4g}"), basin_name(V, one.signed)] += 1
    return [(name, loss, count) for (loss, name), count in sorted(counts.items())]


def basin_name(V: np.ndarray, signed: bool) -> str:
    """Orthogonal factors by shape, the largest first, such as "pentagon + 2 axes of 3"; no known shape: "9 in 4D"."""
    found = Counter(_factor_name(factor, signed) for factor in tegum_factors(V, TOLERANCE, even=not signed).factors)
    parts = sorted(found.items(), key=lambda item: (item[0].startswith("ax"), item[0]))
    return " + ".join(f"{count} {name.replace('axis', 'axes', 1)}" if count > 1 else name for name, count in parts)


def _factor_name(factor: Factor, signed: bool) -> str:
    if factor.rank == 1:
        return "axis" if factor.size == 1 else f"axis of {factor.size}"
    return f"{factor.size} in {factor.rank}D" if factor.polytope == "irregular" else factor.polytope


# -------------------------------------------------------------------------------------------------------------- figures


def factors(even: Swept) -> Figure:
    """Number of mutually orthogonal factors that restarts end in, against the power of the cosine in an even loss: grey
    discs are restarts, their area the share of them; red the restart of least loss (of several equal to 1e-4, the one
    with most factors). Dashed: the best number of factors by the Johnson-Lindenstrauss estimate. Green crosses: the
    best explicit configuration known. The axis of powers is stretched around 2, where everything happens."""
    figure, axes = _panels(even)
    for ax, one in zip(axes, packed(even), strict=False):
        _factor_panel(ax, one)
    _label(figure, axes, "orthogonal factors")
    return figure


def loss_over_bound(even: Swept) -> Figure:
    """Even loss in units of the largest lower bound known at that power: red the best restart, filled where it meets
    the bound (named: the explicit configuration that attains it), grey the range of all restarts. Green: the best
    explicit configuration known. No packing lies below the dashed line at 1."""
    figure, axes = _panels(even)
    for ax, one in zip(axes, packed(even), strict=False):
        _bound_panel(ax, one)
    _label(figure, axes, "loss / lower bound")
    return figure


def losses_against_power(even: Swept) -> Figure:
    """Even loss against the power of the cosine: red the best restart, grey the range of all restarts. Dashed: the
    lower bounds at each power, the largest of them (black), Welch and frame potential (blue) and orthoplex (orange).
    Green: the best explicit configuration known. Dotted: the Johnson-Lindenstrauss estimate at its best number of
    factors, which leaves a constant open."""
    figure, axes = _panels(even)
    for ax, one in zip(axes, packed(even), strict=False):
        _loss_panel(ax, one)
    _label(figure, axes, "loss")
    return figure


def orthogonal_pairs(even: Swept) -> Figure:
    """Ordered pairs of exactly orthogonal vectors: red the best restart, grey the range of all restarts. Lines: the
    most that any n nonzero vectors can have (Turán), which copies of an orthonormal basis reach; n² (1 - 1/d), a tegum
    product of d equal factors; n (d - 1), overlapping orthonormal sets. Green crosses: pairs between the factors of the
    best restart alone, so that red above green counts orthogonal pairs inside factors."""
    figure, axes = _panels(even)
    for ax, one in zip(axes, packed(even), strict=False):
        _pairs_panel(ax, one)
    _label(figure, axes, "orthogonal pairs")
    return figure


def signed_loss(signed: Swept) -> Figure:
    """A loss that ignores negative cosines. Above: orthogonal factors that restarts end in (discs, by share), the best
    restart (red), the best explicit configuration known (green crosses) and the Johnson-Lindenstrauss estimate of the
    even loss (dashed). Below: loss in units of the largest lower bound known, as in the figure of the even loss."""
    found = list(packed(signed))
    figure, axes = plt.subplots(2, len(found), figsize=(draw.PAGE, 3.6), squeeze=False, sharex=True)
    for column, one in enumerate(found):
        _factor_panel(axes[0, column], one)
        _bound_panel(axes[1, column], one, names=False)
        axes[1, column].set_title("")
    axes[0, 0].set_ylabel("orthogonal factors")
    axes[1, 0].set_ylabel("loss / lower bound")
    figure.supxlabel("power of the cosine", fontsize=8)
    return figure


SHOWN = (1.5, 1.83, 1.95, 3)
"""Powers whose minima are looked at one by one (the nearest on the axis)."""


def winners(even: Swept) -> Figure:
    """|cos| between the vectors of the best restart, sorted by factor: white is orthogonal, black parallel. Above each:
    its name, and how many restarts reach its loss to four digits."""
    found = list(packed(even))
    powers = _nearest(found[0])
    figure, axes = plt.subplots(len(found), len(powers), figsize=(draw.PAGE, 1.5 * len(found)), squeeze=False)
    for row, one in zip(axes, found, strict=True):
        for ax, power in zip(row, powers, strict=True):
            _winner_panel(ax, one, power)
        row[0].set_ylabel(f"{one.n} in {one.d}", labelpad=8)
    mappable = axes[0, 0].images[0]
    figure.colorbar(mappable, ax=axes, label="|cos|", shrink=0.25, aspect=12, location="right")
    return figure


def basin_frequencies(even: Swept) -> Figure:
    """Where restarts end: named configurations with the number of restarts in each, from the least loss down (at most
    four; the rest in grey), at some powers. Red: the least loss found."""
    found = list(packed(even))
    powers = _nearest(found[0])[:: max(1, len(_nearest(found[0])) - 2)] if len(found) > 9 else _nearest(found[0])
    figure, axes = plt.subplots(len(found), len(powers), figsize=(draw.PAGE, 0.95 * len(found)), squeeze=False)
    for row, one in zip(axes, found, strict=True):
        for ax, power in zip(row, powers, strict=True):
            _basin_panel(ax, one, power)
        row[0].set_ylabel(f"{one.n} in {one.d}")
    for ax, power in zip(axes[0], powers, strict=True):
        ax.set_title(f"power {power:g}")
    figure.supxlabel("restarts", fontsize=8)
    return figure


def _panels(swept: Swept) -> tuple[Figure, Sequence[Axes]]:
    sizes = swept.data.sizes["size"]
    columns = min(3, sizes)
    rows = -(-sizes // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(draw.PAGE, 0.4 + 1.75 * rows), squeeze=False, sharex=True)
    for ax in axes.flat[sizes:]:
        ax.remove()
    return figure, axes.ravel()


def _label(figure: Figure, axes: Sequence[Axes], name: str) -> None:
    figure.supxlabel("power of the cosine", fontsize=8)
    figure.supylabel(name, fontsize=8)


def _power_axis(ax: Axes, one: Packed) -> None:
    """arcsinh((power - 2) / 0.1): linear near 2, logarithmic away from it."""
    ax.set_xscale("function", functions=(lambda q: np.arcsinh((q - 2) / 0.1), lambda s: 2 + 0.1 * np.sinh(s)))
    ax.xaxis.set_major_locator(FixedLocator([1, 1.5, 1.8, 2, 2.2, 3, 6]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlim(0.92, max(6.8, 1.1 * one.powers[-1]))
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
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
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
    low, high = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    ax.fill_between(one.powers, low, high, color="0.82", lw=0, zorder=1)


def _bound_panel(ax: Axes, one: Packed, names: bool = True) -> None:
    bound = np.where(one.bound > 0, one.bound, np.nan)
    best = np.nanmin(one.loss, axis=1) / bound
    _range(ax, one, one.loss / bound[:, None])
    ax.axhline(1, color=draw.THEORY, ls=(0, (4, 2)), lw=0.8, zorder=1.5)
    ax.plot(one.powers, [each.loss for each in one.known] / bound, "-", lw=0.9, color=draw.GREEN, zorder=1.9)
    draw.flagged_points(ax, one.powers, best, best > 1 + MET, colour=draw.RED)
    top = max(1.02, np.nanmax(np.where(np.isfinite(best), best, 1)))
    ax.set_ylim(top**-0.35, top**1.15)
    if top > 1.6:
        ax.set_yscale("log")
    _power_axis(ax, one)


def _loss_panel(ax: Axes, one: Packed) -> None:
    _range(ax, one, one.loss)
    ax.plot(one.powers, [each.loss for each in one.known], lw=0.9, color=draw.GREEN)
    ax.plot(one.powers, np.nanmin(one.loss, axis=1), "o", ms=2.5, color=draw.RED, zorder=3)
    ax.plot(one.powers, one.bound, ls=(0, (4, 2)), lw=0.9, color="black")
    ax.set_yscale("log")
    _power_axis(ax, one)


def _pairs_panel(ax: Axes, one: Packed) -> None:
    _range(ax, one, np.where(np.isfinite(one.loss), one.pairs, np.nan))
    between = [_pairs_between(V) for V in one.at_best(one.V)]
    ax.plot(one.powers, between, "x", ms=4.5, mew=0.9, color=draw.GREEN, zorder=2.2)
    ax.plot(one.powers, one.at_best(one.pairs), "o-", ms=2.2, lw=0.9, color=draw.RED, zorder=2)
    _power_axis(ax, one)
    lines = {
        "most": theory.max_orthogonal_pairs(one.n, one.d),
        "$k=d$": theory.tegum_orthogonal_pairs(one.n, one.d),
        "sets": theory.overlapping_sets_pairs(one.n, one.d),
    }
    ax.set_ylim(-0.04 * lines["most"], 1.1 * lines["most"])
    draw.levels(ax, list(lines.values()), list(lines))


def _pairs_between(V: np.ndarray) -> int:
    return theory.factor_orthogonal_pairs([factor.size for factor in tegum_factors(V, TOLERANCE).factors])


def _nearest(one: Packed) -> list[float]:
    return sorted({float(one.powers[np.argmin(abs(one.powers - power))]) for power in SHOWN})


def _winner_panel(ax: Axes, one: Packed, power: float) -> None:
    row = int(np.argmin(abs(one.powers - power)))
    V = one.V[row, one.best[row]]
    order = np.argsort(tegum_factors(V, TOLERANCE).labels, kind="stable")
    shown = np.abs(cosines(V)) + np.eye(one.n)
    ax.imshow(shown[np.ix_(order, order)], cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    name, _, count = basins(one, power)[0]
    ax.set_title(f"power {power:g}: {name}\n{count} of {len(one.seeds)}", fontsize=6.5)


def _basin_panel(ax: Axes, one: Packed, power: float) -> None:
    found = basins(one, power)
    shown = found[:4]
    rest = sum(count for _, _, count in found[4:])
    rows = [(name, count) for name, _, count in shown] + ([(f"{len(found) - 4} others", rest)] if rest else [])
    for place, (name, count) in enumerate(rows):
        colour = "0.85" if place >= 4 else "#F2B79C" if place == 0 else "#B9D6E8"
        ax.barh(place, count, color=colour, height=0.85)
        ax.text(0.3, place, name, fontsize=5.5, va="center", ha="left")
    ax.set(yticks=[], ylim=(4.6, -0.6), xlim=(0, len(one.seeds)))
    ax.spines["left"].set_visible(False)


# ------------------------------------------------------------------------------------------------------------- findings

experiment = Experiment(
    question="How many orthogonal subspaces minimise the interference of n vectors in d dimensions?",
    source="Jermyn 2022, on tegum products; bounds and configurations: toymodels.theory.tegum",
    sweeps=sweeps,
    figures=[
        factors,
        loss_over_bound,
        losses_against_power,
        orthogonal_pairs,
        signed_loss,
        winners,
        basin_frequencies,
    ],
    findings=[],
)
