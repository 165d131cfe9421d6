"""How many pairs of n vectors can be exactly orthogonal? Tegum products, overlapping orthonormal sets, and a search.

With parallel vectors allowed the most that any vectors can have is a theorem, and copies of an orthonormal basis, a
tegum product of d factors, have it. Without, tegum products of axes and planes are compared with the best sets of lines
through small whole numbers that a search finds. `tegum` counts the pairs of trained packings at more sizes.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Cosine, Packing, Record, Run, Sweep, draw
from toymodels.analysis import packings
from toymodels.claims import Claim
from toymodels.estimates import each, exact, of_best
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Finding, ours, report, stated
from toymodels.theory.orthogonal_pairs import (
    factor_orthogonal_pairs,
    max_orthogonal_pairs,
    overlapping_sets_pairs,
    tegum_orthogonal_pairs,
)
from toymodels.theory.orthogonal_rays import axes_and_planes, integer_rays, most_pairs_found, orthogonality

JERMYN, TURAN = "Jermyn 2022, on tegum products", "Turán 1941"
TOLERANCE = 1e-3
"""|cos| up to which a pair of trained vectors counts as orthogonal."""
LINES = {3: (3, range(4, 26)), 4: (2, range(5, 17)), 5: (2, range(6, 17)), 6: (1, range(7, 13))}
"""By dimension: the largest entry of the vectors that are searched, and how many of them are chosen. A coordinate plane
must hold as many lines as a tegum product of planes puts there: 4, 8, 16 for entries up to 1, 2, 3."""
STARTS, LARGEST = 100, 60

run = Run(Packing(18, 6), Adam(Cosine(0.05)), steps=1500, record=Record(30, 2))
packed = Sweep(run, [Axis("power", "problem.power", [1, 1.3, 1.6, 1.9, 2.5]), Axis("seed", "seed", range(32))])
tiny = {"problem.n": 6, "problem.d": 3, "power": [1.3, 2.5], "seed": range(6), "steps": 300}


# ------------------------------------------------------------------------------------------------------------- readings
def trained(packed: Swept) -> xr.Dataset:
    """Orthogonal pairs of every restart, converged or not, beside those of theory."""
    problem = packed.sweep.base.problem
    found = packings.restarts(packed.final("V", unconverged=True), problem.signed, TOLERANCE, 1e-4)
    n, d = problem.n, problem.d
    sizes = [len(part) for part in np.array_split(np.arange(n), d)]
    counts = {"most": max_orthogonal_pairs(n, d), "product": factor_orthogonal_pairs(sizes)}
    return found.assign(counts).assign_attrs(n=n, d=d, sets=overlapping_sets_pairs(n, d))


def lines() -> xr.Dataset:
    """By dimension and number of lines, no two parallel: pairs found by the search, those of axes and planes, of
    overlapping orthonormal sets, and Turán's bound; NaN for sizes that are not searched."""
    numbers = sorted({n for _, many in LINES.values() for n in many})
    table = np.full((4, len(LINES), len(numbers)), np.nan)
    for row, (d, (largest, many)) in enumerate(LINES.items()):
        graph = orthogonality(integer_rays(d, largest))
        for n in many:
            counts = (axes_and_planes(n, d)[0], overlapping_sets_pairs(n, d), max_orthogonal_pairs(n, d))
            table[:, row, numbers.index(n)] = (most_pairs_found(n, graph, STARTS)[0], *counts)
    names = ("found", "product", "sets", "most")
    data = {name: (("d", "n"), part) for name, part in zip(names, table, strict=True)}
    return xr.Dataset(data, {"d": list(LINES), "n": numbers})


# -------------------------------------------------------------------------------------------------------------- figures
def pairs_of_lines(lines: xr.Dataset) -> Figure:
    """Ordered orthogonal pairs of n lines, no two parallel, over n^2: the best that a search among lines through small
    whole numbers finds (dots; vermillion where it beats the best tegum product of axes and planes, green), overlapping
    orthonormal sets, n (d - 1) (blue), and the most that any n vectors may have, which copies of an orthonormal basis
    reach if vectors may be parallel (dashed)."""
    figure, axes = draw.panels(1, lines.sizes["d"], height=2.4)
    for ax, d in zip(axes, lines.d.values, strict=True):
        one = lines.sel(d=d).dropna("n")
        n, square = one.n.values, one.n.values**2
        draw.theory(ax, n, one.most / square, "Turán's bound")
        ax.plot(n, one["product"] / square, color=draw.GREEN, lw=1.1, label="axes and planes")
        ax.plot(n, one.sets / square, color=draw.BLUE, lw=1.1, label="overlapping sets")
        better = (one.found > one["product"]).values
        for which, colour, label in ((~better, "0.4", "search"), (better, draw.RED, "search, above axes and planes")):
            ax.plot(n[which], (one.found / square).values[which], "o", ms=3, color=colour, label=label)
        ax.set(title=f"$d={d}$", xlabel="lines $n$", ylim=(0, 1))
    draw.outer_labels(axes, y=["orthogonal pairs / $n^2$"])
    draw.legend_below(figure, axes, columns=5)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def _cases() -> list[tuple[int, int, int]]:
    sizes = [(n, d) for n in range(2, LARGEST + 1) for d in range(1, n + 1)]
    return [(n, d, k) for n, d in sizes for k in range(1, d + 1) if n % k == 0]


def the_published_rule() -> Iterator[Finding]:
    """Counts of k equal factors and of overlapping sets, against the published inequality; Turán's bound attained."""
    cases = _cases()
    for self_pairs in (False, True):
        partners = int(not self_pairs)
        wrong = sum(
            (tegum_orthogonal_pairs(n, k) > overlapping_sets_pairs(n, d, self_pairs))
            != ((d - partners) * k < n * (k - 1))
            for n, d, k in cases
        )
        what = (
            f"cases, of {len(cases)} up to n = {LARGEST}, k a divisor of n, in which more pairs and the rule disagree"
        )
        said = stated(f"{JERMYN}: d < n (1 - 1/k)") if self_pairs else ours("d - 1 < n (1 - 1/k): pairs i != j")
        at = {"self": "counted" if self_pairs else "not counted"}
        yield Finding("published-rule", what, exact(wrong), AtMost(0), said, "check", at)
    sizes = sorted({(n, d) for n, d, _ in cases})
    short = [
        max_orthogonal_pairs(n, d) - factor_orthogonal_pairs([len(part) for part in np.array_split(np.arange(n), d)])
        for n, d in sizes
    ]
    what = (
        f"most pairs that any n vectors can have less those of d factors in d dimensions, largest up to n = {LARGEST}"
    )
    at, said = {"parallel vectors": "allowed"}, ours(f"{TURAN}; d factors of one dimension are copies of a basis")
    yield Finding("none-better", what, exact(max(short)), AtMost(0), said, "check", at)


def lines_that_are_not_parallel(lines: xr.Dataset) -> Iterator[Finding]:
    """Whether the search finds n lines with more orthogonal pairs than the best tegum product of axes and planes."""
    for d in lines.d.values.tolist():
        one = lines.sel(d=d).dropna("n")
        largest = LINES.get(d, (0, ()))[0]
        at = {"parallel vectors": "none", "d": d}
        what = f"pairs of n lines in R^{d}, entries up to {largest}, best of {STARTS} searches, less axes and planes"
        better, said = each((one.found - one["product"]).rename("excess")), ours("a search from below proves a failure")
        yield Finding("none-better", what, better, AtMost(0), said, settings=at)
        what = f"least share of the pairs of axes and planes that the search finds in R^{d}"
        reached = exact(float((one.found / one["product"]).min()))
        yield Finding(
            "search-is-able", what, reached, AtLeast(1), ours("the product lies within its reach"), "check", at
        )


def trained_packings(trained: xr.Dataset) -> Iterator[Finding]:
    """No restart has more pairs than the bound; below power 2 the best one may have as many."""
    n, d, count = trained.attrs["n"], trained.attrs["d"], trained.sizes["seed"]
    over = exact(float((trained.pairs - trained.most).max()))
    what = f"orthogonal pairs of {n} vectors in R^{d} less the most allowed, largest of {trained.pairs.size} restarts"
    yield Finding("trained-bounded", what, over, AtMost(0), ours(f"{TURAN}; a theorem"), "check")
    below = trained.sel(power=trained.power[trained.power < 2])
    what = f"pairs of {n} vectors in R^{d}, best of {count} by loss, over those of {d} factors, powers below 2"
    yield report("trained-as-product", what, of_best(below.pairs / trained["product"], below.order))
    what = f"pairs of {n} vectors in R^{d}, best of {count} by loss, over the n (d - 1) of overlapping sets"
    yield report("trained-over-sets", what, of_best(trained.pairs / trained.attrs["sets"], trained.order))


experiment = Experiment(
    question="How many pairs of n vectors can be exactly orthogonal, and are tegum products best?",
    source="Jermyn 2022, on tegum products; Turán 1941; Erdős, Hickerson & Pach 1989",
    sweeps={"packed": packed},
    scales={"tiny": tiny, "full": {"problem.n": 64, "problem.d": 16, "seed": range(128), "steps": 5000}},
    readings=[trained, lines],
    figures=[pairs_of_lines],
    findings=[the_published_rule, lines_that_are_not_parallel, trained_packings],
    cost="64 vectors in 16 dimensions: about ten minutes on two CPU cores",
    claims=[
        Claim(
            "B3",
            "A tegum product of k factors has more exactly orthogonal pairs than overlapping orthonormal sets when "
            "d - 1 < n (1 - 1/k), and no arrangement has more than the best tegum product.",
            needs=["published-rule", "none-better", "trained-bounded"],
            figure="pairs_of_lines",
            changes=["problem.n=20", "problem.d=4"],
            note="Parallel vectors allowed, Turán's theorem says so, and d factors of one dimension attain it. Without "
            "parallel vectors, the search beats products of axes and planes where it fails; where it does not, that "
            "is a search of lines through small whole numbers, and no proof.",
        )
    ],
)
