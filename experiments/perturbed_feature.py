"""One feature of five is sparser or denser than the others: when does the pentagon give way? Elhage et al. 2022."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis import ranges
from toymodels.analysis.restarts import finite_losses
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.models import Placed, Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.population import Population
from toymodels.problems.supervised import Supervised
from toymodels.theory import superposition as theory

P = 0.05
"""Activation probability of the four other features, as published."""

KEPT = 0.3
"""Norm, as a fraction of the largest, from which a feature counts as represented."""

SAME = 0.9
"""Cosine from which two features share a direction."""

PUBLISHED = 2.5
"""How many times sparser the feature is where the published loss curves cross, read off the figure."""

SHOWN = {
    "pentagon": (draw.BLUE, "all five kept, a pentagon"),
    "digons": (draw.RED, "it dropped, two digons"),
    "another": (draw.GREEN, "another dropped, two digons"),
    "other": ("0.6", "other"),
}


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    fine = [0.1, 0.3, 3.0] if tiny else np.geomspace(0.1, 10, 17).tolist()
    coarse = fine if tiny else np.geomspace(0.1, 1, 7).tolist()
    random = Run(
        Supervised(Sparse(5, P), Tied(2)),
        Adam(Cosine(1e-2)),
        steps=300 if tiny else 4000,
        record=Record(40, 2),
    )
    seeds = 4 if tiny else 1000 if full else 32
    steps = 100 if tiny else 600
    return {
        "restarts": Sweep(random, [_densities(fine[::2], P), Axis("seed", "seed", range(seeds))]),
        "branches": _branches(fine, P, steps),
        "sparser": _branches(coarse, P / 2.5, steps),
        "denser": _branches(coarse, P * 2, steps),
        "densest": _branches(coarse, P * 4, steps),
    }


def densities(ratio: float, p: float) -> tuple[float, ...]:
    return (ratio * p, p, p, p, p)


def _densities(ratios: list[float], p: float) -> Choice:
    return Choice("ratio", {f"{ratio:.4g}": {"problem.data.p": densities(ratio, p)} for ratio in ratios})


def _branches(ratios: list[float], p: float, steps: int) -> Sweep:
    # Bias and radius of the pentagon at p = .05; of a dropped feature the bias is refined from that of its mean.
    pentagon = {"problem.model.W": theory.polygon_weights(5, 1.13), "problem.model.b": np.full(5, -0.25)}
    digons = {"problem.model.W": np.insert(theory.polygon_weights(4), 0, 0, 0), "problem.model.b": np.eye(5)[0] * p / 2}
    another = {
        "problem.model.W": np.append(theory.polygon_weights(4), np.zeros((1, 2)), 0),
        "problem.model.b": np.eye(5)[4] * p / 2,
    }
    placed = Placed(Tied(2), pentagon["problem.model.W"], pentagon["problem.model.b"], noise=0.01)
    base = Run(Population(Sparse(5, p), placed), Adam(Cosine(1e-2)), steps=steps, record=Record(40, 2))
    starts = Choice("branch", {"pentagon": pentagon, "digons": digons, "another": another})
    return Sweep(base, [starts, _densities(ratios, p)])


def ratios(swept: Swept) -> np.ndarray:
    return swept.data.ratio.values.astype(float)


def weights(swept: Swept) -> tuple[np.ndarray, np.ndarray]:
    """W and b at the end, the ratios on the second axis."""
    return swept.weights(*_anywhere(swept), "ratio")


def exact_losses(swept: Swept) -> np.ndarray:
    """(branches or seeds) x ratios."""
    W, b = weights(swept)
    p = np.array([swept.sweep.cell(ratio=r, **_anywhere(swept)).problem.data.p for r in swept.data.ratio.values])
    return finite_losses(theory.expected_loss, W, b, p)


def _anywhere(swept: Swept) -> dict[str, object]:
    """The first label of the axis besides the ratio."""
    return {axis.name: axis.labels[0] for axis in swept.sweep.axes if axis.name != "ratio"}


def geometry_of(W: np.ndarray) -> str:
    """Which of five features are represented, each in its own direction; the first is the perturbed one."""
    norms = np.linalg.norm(W, axis=-1)
    dropped = np.flatnonzero(norms < KEPT * norms.max()).tolist()
    if not dropped:
        units = W / norms[:, None]
        return "other" if (units @ units.T - np.eye(5)).max() > SAME else "pentagon"
    return {True: "digons", False: "another"}[dropped == [0]] if len(dropped) == 1 else "other"


def geometries(swept: Swept) -> np.ndarray:
    W, _ = weights(swept)
    return np.array([[geometry_of(each) for each in row] for row in W])


def on_branch(branches: Swept) -> np.ndarray:
    """Exact losses, branches x ratios; NaN where a start did not stay in the geometry that it was placed in."""
    stayed = geometries(branches) == branches.data.branch.values[:, None]
    return np.where(stayed, exact_losses(branches), np.nan)


def crossing(branches: Swept) -> float:
    """Relative density at which pentagon and digons, the feature dropped, cost the same; NaN where they do not cross.

    Interpolated in its logarithm, in which the relative gap of the two losses is nearly straight.
    """
    pentagon, digons, _ = on_branch(branches)
    return float(np.exp(ranges.crossing(np.log(ratios(branches)), np.log(pentagon / digons))))


def branches_cross(restarts: Swept, branches: Swept, sparser: Swept, denser: Swept, densest: Swept) -> Figure:
    """Five features in two dimensions, one of them ("it") sparser or denser than the others, of p = .05. Left: exact
    loss of single seeds from random starts (dots, by the geometry they end in), and of the branches trained from starts
    placed in each geometry (lines; they end where training leaves it). Other: two features or more dropped, or sharing
    a direction. Solid vertical line: where the pentagon and the digons without the feature cross; dotted: where the
    published curves do. Right: where they cross, for other densities p of the four other features."""
    figure, (ax, side) = plt.subplots(1, 2, figsize=(draw.PAGE, 2.9), width_ratios=(2.2, 1))
    losses, names, x = exact_losses(restarts), geometries(restarts), ratios(restarts)
    jitter = np.exp(np.linspace(-0.05, 0.05, len(losses)))[:, None]
    for name, (colour, _) in SHOWN.items():
        there = names == name
        ax.plot((x * jitter)[there], losses[there], "o", ms=2.2, mew=0, color=colour, alpha=0.5)
    for name, losses_of_branch in zip(branches.data.branch.values, on_branch(branches), strict=True):
        colour, label = SHOWN[name]
        ax.plot(ratios(branches), losses_of_branch, color=colour, label=label)
    met = crossing(branches)
    if np.isfinite(met):
        ax.axvline(met, color="black", lw=0.8)
    ax.axvline(1 / PUBLISHED, color="black", lw=0.8, ls=":")
    ax.set(xscale="log", yscale="log", xlabel="density of one feature / density of the others", ylabel="exact loss")
    ax.plot([], [], "o", ms=2.2, color=SHOWN["other"][0], label=SHOWN["other"][1])
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=4)
    draw.excluded(ax, restarts.left_out("shown"))
    _crossings_panel(side, [sparser, branches, denser, densest])
    return figure


def _crossings_panel(ax: Axes, each: list[Swept]) -> None:
    p = np.array([swept.sweep.base.problem.data.p for swept in each])
    ax.plot(p, [1 / crossing(swept) for swept in each], "o-", color=draw.BLUE)
    ax.plot(P, PUBLISHED, "*", ms=8, color="black", label="published")
    ax.set(xscale="log", xlabel="density $p$ of the others", ylabel="times sparser at the crossing", ylim=(0, 6))
    ax.minorticks_off()
    ax.set_xticks(p, [f"{each:g}" for each in p])
    ax.legend(loc="upper right")


def where_they_cross(branches: Swept, sparser: Swept, denser: Swept, densest: Swept) -> list[Finding]:
    met = 1 / crossing(branches)
    others = [(swept.sweep.base.problem.data.p, 1 / crossing(swept)) for swept in (sparser, branches, denser, densest)]
    return [
        Finding(
            f"p = {P:g}: the feature is so many times sparser where pentagon and two digons cost the same",
            f"{met:.2f}",
            f"{PUBLISHED:g} within 25 %",
            bool(abs(met / PUBLISHED - 1) <= 0.25),
            "Elhage et al. 2022, crossing loss curves of the perturbed feature, read off the figure",
        ),
        Finding(
            "the same for other densities p of the four other features, and the p at which it is the published factor",
            "; ".join(f"p = {p:g}: {times:.2f}" for p, times in others)
            + f"; {PUBLISHED:g} at p = {_density_for(others):.3f}",
            "",
            None,
        ),
    ]


def _density_for(crossings: list[tuple[float, float]]) -> float:
    """Density of the others at which the factor is the published one, straight in ln p; NaN where it is not met."""
    p, times = np.array(sorted(crossings)).T
    known = np.isfinite(times)
    if known.sum() < 2 or not times[known].min() <= PUBLISHED <= times[known].max():
        return float("nan")
    return float(np.exp(np.interp(-PUBLISHED, -times[known], np.log(p[known]))))


def best_of_restarts(restarts: Swept, branches: Swept) -> list[Finding]:
    losses, names, x = exact_losses(restarts), geometries(restarts), ratios(restarts)
    least = np.fmin.reduce(on_branch(branches), axis=0)
    at = [int(np.abs(np.log(ratios(branches) / each)).argmin()) for each in x]
    gap = np.nanmin(losses, 0) / least[at] - 1
    best, met = names[np.nanargmin(losses, 0), np.arange(len(x))], crossing(branches)
    sparse, dense = x < met, x > met
    count = len(losses)
    return [
        Finding(
            f"best of {count} sampled restarts by exact loss, over the lower branch, minus 1 ({len(x)} densities)",
            f"{gap.min():.4f} to {gap.max():.4f}",
            "within .02",
            bool(np.abs(gap).max() <= 0.02),
            "the branches trained on the exact loss from placed starts",
        ),
        Finding(
            f"best of {count}: geometry on the two sides of the crossing",
            f"sparser: {_told(best[sparse])}; denser: {_told(best[dense])}",
            "sparser: digons, the feature dropped; denser: pentagon",
            bool((best[sparse] == "digons").all() and (best[dense] == "pentagon").all()),
            "the two curves; Elhage et al. 2022",
        ),
        Finding(
            "share of single seeds in the best geometry, by density",
            ", ".join(f"{r:.2g}: {np.mean(names[:, i] == best[i]):.2f}" for i, r in enumerate(x)),
            "",
            None,
        ),
    ]


def _told(names: np.ndarray) -> str:
    return (
        ", ".join(f"{count} {name}" for name, count in zip(*np.unique(names, return_counts=True), strict=True)) or "-"
    )


experiment = Experiment(
    question="One feature is sparser or denser than the others: when does the pentagon give way to two digons?",
    source="Elhage et al. 2022, Toy Models of Superposition, section on non-uniform sparsity",
    sweeps=sweeps,
    figures=[branches_cross],
    findings=[where_they_cross, best_of_restarts],
    cost="1,000 restarts for each density: five minutes on two CPU cores, 5 programs",
)
