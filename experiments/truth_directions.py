"""How many directions are as consistent as truth? Claim E3.

Fact i has a vector V_i, the hidden state of the fact less that of its negation: e_i for one-hot facts, and in a toy
the row W_i, a feature on against off. A direction that takes a side on every fact is truth-like; its pattern is the
sides it takes, and each pattern is counted once. At tolerance t all its answers V_i · θ lie within t of 1 or -1: exact
at t = 0; just below t = 1 every pattern counts that some direction has.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Choice, Cosine, Record, Run, Sparse, Supervised, Sweep, Tied, draw
from toymodels.claims import Claim
from toymodels.estimates import exact, mean, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Finding, Near, ours, report, stated
from toymodels.theory.sign_patterns import (
    cover_count,
    in_general_position,
    least_tolerance,
    pattern_count,
    polygon_tolerance,
    regions,
    tolerances,
)

COVER = "Schläfli 1901; Cover 1965, theorem 1"
BELOW = 1 - 1e-6
"""A tolerance below which a pattern has a direction, whatever the rounding."""
LOOSE, TIGHT = 0.9, 0.05
"""Tolerances at which the directions of toys are counted: answers differ up to twentyfold, and by a tenth."""
SIZES = {"4 in 2": (4, 2), "5 in 2": (5, 2), "6 in 3": (6, 3), "8 in 3": (8, 3)}
IDEAL = {"4 in 2": (4, 4), "5 in 2": (10, 0), "6 in 3": (8, 8), "8 in 3": (58, 2)}
"""Of a square, a pentagon, an octahedron and a square antiprism: truth-like directions, and the exact ones."""
MOST, PLACES = 8, 20
toy = Run(Supervised(Sparse(5, 0.05), Tied(2)), Adam(Cosine(3e-3)), 6000, 512, record=Record(2, 2))
toys_of = {name: {"problem.data.n": n, "problem.model.m": m} for name, (n, m) in SIZES.items()}
trained = Sweep(toy, [Choice("toy", toys_of), Axis("seed", "seed", range(40))])


# ------------------------------------------------------------------------------------------------------------- readings
def known() -> xr.Dataset:
    """Placements whose patterns are counted by formula and gone through one by one: how often the two differ."""
    rng, rows = np.random.default_rng(0), []
    for name, draw_facts in PLACEMENTS.items():
        cases = [draw_facts(rng, place) for place in range(PLACES)]
        through = [2 * int((tolerances(V) < BELOW).sum()) for V in cases]
        counted = [pattern_count(V) for V in cases]
        exact_ones = [2 * int((tolerances(V) < 1e-9).sum()) for V in cases if name == "one-hot"]
        wrong = sum(a != b for a, b in zip(counted, through, strict=True))
        regular = [in_general_position(V) for V in cases]
        misled = sum(cover_count(*V.shape) != b for V, b in zip(cases, through, strict=True))
        powers = sum(2 ** len(V) != b for V, b in zip(cases, exact_ones, strict=False)) if exact_ones else np.nan
        apart = sum(regions(V) != b for V, b in zip(cases, through, strict=True))
        rows.append((wrong, apart, misled, sum(regular), powers))
    names = ("wrong", "regions_wrong", "formula_wrong", "general", "not_all")
    table = {
        name: ("placement", np.array(column, float))
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
    found = xr.Dataset(table, {"placement": list(PLACEMENTS)})
    sides = np.arange(3, 13)
    off = []
    for k in sides.tolist():
        count, least = polygon_tolerance(k)
        each = tolerances(polygon(k))
        has = each[each < BELOW]
        off.append(np.abs(has - least).max() if 2 * len(has) == count else np.inf)
    return found.assign(polygon_error=("sides", np.array(off)), sides=sides)


def polygon(k: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(k) / k
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _general(rng: np.random.Generator, place: int) -> np.ndarray:
    return rng.normal(size=(1 + place % MOST, 2 + place % 3))


def _one_hot(rng: np.random.Generator, place: int) -> np.ndarray:
    return np.eye(1 + place % MOST)


def _antipodal(rng: np.random.Generator, place: int) -> np.ndarray:
    half = rng.normal(size=(1 + place % (MOST // 2), 2 + place % 3))
    return np.vstack([half, -half])


def _orthonormal(rng: np.random.Generator, place: int) -> np.ndarray:
    m = 2 + place % 3
    basis = np.linalg.qr(rng.normal(size=(m, m)))[0]
    return np.vstack([basis, basis[rng.integers(m, size=MOST - m)]])


def _whole(rng: np.random.Generator, place: int) -> np.ndarray:
    V = rng.integers(-1, 2, size=(1 + place % MOST, 2 + place % 3)).astype(float)
    V[~V.any(axis=1), 0] = 1
    return V


PLACEMENTS = {
    "one-hot": _one_hot,
    "general": _general,
    "antipodal pairs": _antipodal,
    "repeated orthonormal": _orthonormal,
    "small whole numbers": _whole,
}
"""Up to 8 facts in up to 4 dimensions; one-hot ones in up to 8."""


def toys(trained: Swept) -> xr.Dataset:
    """Of each toy: the least tolerance of each pattern, in order; that of truth, all sides 1; Cover's number."""
    W = trained.finite("W", snapshot=-1).transpose("toy", "seed", "feature", "hidden")
    shape = W.shape[:2]
    most = 2 ** (W.sizes["feature"] - 1)
    found, truth, cover = np.full((*shape, most), np.nan), np.full(shape, np.nan), np.full(shape[0], np.nan)
    for i, name in enumerate(W.toy.values.tolist()):
        problem = trained.run(toy=name).problem
        n, m = problem.data.n, problem.model.m
        cover[i] = cover_count(n, m)
        for s in range(shape[1]):
            V = W.values[i, s, :n, :m]
            if np.isfinite(V).all():
                found[i, s, : 2 ** (n - 1)] = np.sort(tolerances(V))
                truth[i, s] = least_tolerance(V, np.ones(n))
    data = {
        "tolerance": (("toy", "seed", "pattern"), found),
        "truth": (("toy", "seed"), truth),
        "cover": ("toy", cover),
    }
    return xr.Dataset(data, {"toy": W.toy.values, "seed": W.seed.values})


def directions(toys: xr.Dataset, tolerance: float) -> xr.DataArray:
    """Patterns of a least tolerance of so much or less, and their opposites; NaN for lost toys."""
    return (2.0 * (toys.tolerance <= tolerance).sum("pattern")).where(toys.truth.notnull())


# -------------------------------------------------------------------------------------------------------------- figures
def directions_by_tolerance(toys: xr.Dataset) -> Figure:
    """a: sign patterns that a direction can give to n facts in m dimensions. Lines: Cover's number, general position;
    dots: facts in antipodal pairs, as in a cross-polytope; dashed: all 2^n, as of one-hot facts. b: trained toys of n
    features in m dimensions, a fact that a feature is on: truth-like directions whose answers all lie within the
    tolerance of 1 or -1, mean over seeds with its 95 % interval; dashed: square, pentagon and octahedron, exactly."""
    figure, axes = draw.panels(1, 2, height=2.7)
    n = np.arange(1, MOST + 1)
    draw.theory(axes[0], n, 2.0**n, "all $2^n$")
    for m, colour, size in zip((2, 3, 4), draw.PALETTE, (7, 5, 3), strict=False):
        axes[0].plot(n, [cover_count(each, m) for each in n.tolist()], color=colour, label=f"$m={m}$")
        half = np.arange(1, MOST // 2 + 1)
        axes[0].plot(2 * half, [cover_count(each, m) for each in half.tolist()], "o", ms=size, color=colour)
    axes[0].plot([], [], "o", ms=4, color="0.4", label="in antipodal pairs")
    axes[0].set(yscale="log", xlabel="facts $n$", ylabel="truth-like directions", title="any facts")
    draw.legend(axes[0])
    grid = np.append(np.arange(0, 1, 0.01), BELOW)
    shapes = {"4 in 2": polygon(4), "5 in 2": polygon(5), "6 in 3": np.vstack([np.eye(3), -np.eye(3)])}
    for name, colour in zip(toys.toy.values.tolist(), draw.PALETTE, strict=False):
        counts = xr.concat([directions(toys.sel(toy=name), t) for t in grid], xr.Variable("t", grid))
        each = mean(counts.transpose("t", "seed")).estimates
        ends = tuple(np.array([getattr(one, end) for one in each]) for end in ("low", "value", "high"))
        draw.band(axes[1], grid, ends, label=name, colour=colour)
        if name in shapes:
            least = tolerances(shapes[name])
            exactly = [2 * int((least <= max(t, 1e-9)).sum()) for t in grid.tolist()]
            draw.theory(axes[1], grid, exactly, colour="black", zorder=3)
    draw.theory(axes[1], [], [], "polytopes", colour="black")
    for line in axes[1].lines:
        line.set_drawstyle("steps-post")
    axes[1].set(xlabel="tolerance", title="trained toys", ylim=(-1.5, 62))
    draw.legend(axes[1], {"95 % interval": draw.shade()}, title="features in dimensions")
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def how_many_there_are(known: xr.Dataset) -> Iterator[Finding]:
    """Formula and recursion against going through all patterns; degenerate placements; polygons."""
    why = ours("two routes; linear programming of each of the 2^n patterns")
    for name in known.placement.values.tolist():
        here, at = known.sel(placement=name), {"placement": name}
        what = f"{name}: placements, of {PLACES}, whose patterns are counted wrong"
        wrong = exact(max(here.wrong.item(), here.regions_wrong.item()))
        yield Finding("counts-agree", what, wrong, AtMost(0), why, "check", at)
    what = f"one-hot facts, 1 to {MOST}: placements, of {PLACES}, in which some of the 2^n patterns is not exact"
    lost, said = exact(known.not_all.sel(placement="one-hot").item()), ours("θ = s; the count is stated in the claim")
    yield Finding("all-of-one-hot", what, lost, AtMost(0), said, "check")
    what = f"general position: placements, of {PLACES}, in which Cover's formula is wrong"
    wrong = exact(known.formula_wrong.sel(placement="general").item())
    yield Finding("formula-in-general", what, wrong, AtMost(0), stated(COVER), "check")
    for name in ("antipodal pairs", "repeated orthonormal"):
        here, at = known.sel(placement=name), {"placement": name}
        what = f"{name}: placements, of {PLACES}, that are taken for general position"
        taken, said = exact(here.general.item()), ours("their vectors are dependent")
        yield Finding("degenerate-recognised", what, taken, AtMost(0), said, "check", at)
        what = f"{name}: placements, of {PLACES}, in which Cover's formula is wrong"
        yield Finding(
            "degenerate-needs-more", what, exact(here.formula_wrong.item()), AtLeast(1), ours("one"), "check", at
        )
    what = (
        f"polygons of {known.sides.values[0]} to {known.sides.values[-1]} sides: least tolerance less the closed form"
    )
    off = exact(known.polygon_error.max().item())
    yield Finding("polygons", what, off, AtMost(1e-9), ours("closed form"), "check")


def how_many_toys_have(toys: xr.Dataset) -> Iterator[Finding]:
    """Directions of toys at tolerances, against those of the polytopes that they may find; and truth among them."""
    alive = toys.truth.notnull()
    for name in toys.toy.values.tolist():
        here, at = toys.sel(toy=name), {"toy": name}
        every, tight = directions(here, LOOSE), directions(here, TIGHT)
        yield report("directions", f"{name}: truth-like directions at tolerance {LOOSE:g}", mean(every), settings=at)
        yield report("exact-ones", f"{name}: at tolerance {TIGHT:g}", mean(tight), settings=at)
        more = exact((directions(here, BELOW) - here.cover).max().item())
        what = f"{name}: directions just below tolerance 1 less Cover's number, largest of all toys"
        yield Finding("at-most-cover", what, more, AtMost(0), stated(COVER), "check", at)
        if name in IDEAL:
            why = ours(f"four in five; {IDEAL[name][0]} directions, {IDEAL[name][1]} of them exact")
            what = (
                f"{name}: share of toys with as many directions as the polytope, at tolerances {LOOSE:g} and {TIGHT:g}"
            )
            both = ((every == IDEAL[name][0]) & (tight == IDEAL[name][1])).where(alive.sel(toy=name))
            yield Finding("as-its-polytope", what, share(both), AtLeast(0.8), why, settings=at)
        what = f"{name}: share of toys in which truth itself is a direction, all sides 1"
        truth = (here.truth < BELOW).where(alive.sel(toy=name))
        yield Finding("truth-absent", what, share(truth), AtMost(0.2), ours("one in five"), settings=at)
    if "5 in 2" in toys.toy:
        least = toys.tolerance.sel(toy="5 in 2").min("pattern")
        count, ideal = polygon_tolerance(5)
        what, said = "5 in 2: least tolerance of a direction", ours(f"the pentagon's, of all its {count} directions")
        yield Finding("pentagon-tolerance", what, mean(least), Near(ideal, within=0.03), said)


experiment = Experiment(
    question="How many directions are as consistent as truth?",
    source="ours; Cover 1965",
    sweeps={"trained": trained},
    scales={"tiny": {"seed": range(3), "steps": 300}, "full": {"seed": range(200)}},
    readings=[known, toys],
    figures=[directions_by_tolerance],
    findings=[how_many_there_are, how_many_toys_have],
    claims=[
        Claim(
            "E3",
            "Of one-hot facts and their negations every one of the 2^d sign patterns is a direction as consistent as "
            "truth; n facts in fewer dimensions have as many as Cover's number, fewer in antipodal pairs. Trained toys "
            "have as many as their polytopes, and truth itself is none of them.",
            ["all-of-one-hot", "formula-in-general", "degenerate-needs-more", "as-its-polytope", "truth-absent"],
            "directions_by_tolerance",
            ["problem.data.p=0.02"],
            "A fact of a toy is that a feature is on, its negation that it is off. Each sign pattern is counted once, "
            "at the least tolerance of a direction that has it. The rows of W surround the origin: no direction has "
            "all of them on one side.",
        )
    ],
    cost="4 programs, 160 cells of 6,000 steps, 10,000 linear programs: about two minutes",
)
