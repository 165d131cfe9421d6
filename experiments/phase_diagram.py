"""Phase diagrams: which of few features does a bottleneck keep, at what density and importance? Elhage et al. 2022."""

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis import restarts
from toymodels.analysis.statistics import interval, proportion
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.losses import SquaredError
from toymodels.models import Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.population import Population
from toymodels.theory import phases, superposition

MARGIN = 0.02
"""Relative gap of the two best branches from which a cell has a clear winner; excess up to which it is reached."""

CUTS = (0.316, 0.562, 0.75)
"""Activation probabilities of the cuts through the diagrams: the nearest that were trained."""

COLOURS = {
    "extra dropped": "0.88",
    "extra in a pair": draw.BLUE,
    "extra on one side": draw.GREEN,
    "triangle": draw.RED,
    "mixed signs": draw.PURPLE,
    "others in a pair": draw.SKY,
    "others on one side": "#8FD3B6",
    "other dropped": draw.ORANGE,
    "nothing kept": "white",
    "none of these": "black",
}
NAMES = list(COLOURS)


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny = scale == "tiny"
    p = np.geomspace(0.2, 0.7, 3) if tiny else np.geomspace(0.01, 1, 50 if scale == "full" else 17)
    r = np.geomspace(0.1, 10, {"tiny": 5, "default": 17, "full": 50}[scale])
    seeds, steps = (4, 500) if tiny else (10, 5000 if scale == "full" else 1500)
    return {name: _diagram(n, p, r, seeds, steps) for name, n in (("A", 2), ("B", 3))}


def _diagram(n: int, p: np.ndarray, r: np.ndarray, seeds: int, steps: int) -> Sweep:
    """n features in n - 1 dimensions, all of importance 1 but the last, the extra one."""
    problem = Population(Sparse(n), Tied(n - 1), SquaredError((1.0,) * n))
    base = Run(problem, Adam(Cosine(3e-2)), steps=steps, record=Record(20, 2))
    ratios = r.round(6).tolist()
    return Sweep(
        base,
        [
            Axis("p", "problem.data.p", p.tolist()),
            Choice("r", {f"{x:g}": {"problem.loss.importance": (1.0,) * (n - 1) + (x,)} for x in ratios}),
            Axis("seed", "seed", range(seeds)),
        ],
    )


class Diagram(NamedTuple):
    """On the grid (p, r), and with seeds on a third axis."""

    p: np.ndarray
    r: np.ndarray
    branches: phases.Branches
    W: np.ndarray
    loss: np.ndarray
    """Exact, of the trained models."""

    @property
    def clear(self) -> np.ndarray:
        return restarts.loss_gap(self.branches.loss) > MARGIN

    @property
    def excess(self) -> np.ndarray:
        return self.loss / self.branches.best().loss[..., None] - 1

    @property
    def optimal(self) -> np.ndarray:
        return np.array(self.branches.names)[self.branches.winner()]

    @property
    def best_W(self) -> np.ndarray:
        return np.take_along_axis(self.W, restarts.best(self.loss)[..., None, None, None], 2)[:, :, 0]

    @property
    def trained(self) -> np.ndarray:
        return _named(self.best_W)


def _named(W: np.ndarray) -> np.ndarray:
    flat = [phases.branch_of(w) for w in W.reshape(-1, *W.shape[-2:])]
    return np.array(flat).reshape(W.shape[:-2])


def question(n: int) -> phases.Question:
    return phases.two_branches if n == 2 else phases.three_branches


@cache
def _branches(n: int, p: tuple[float, ...], r: tuple[float, ...]) -> phases.Branches:
    return question(n)(*np.meshgrid(np.array(p), np.array(r), indexing="ij"))


@cache
def _transitions(n: int, p: tuple[float, ...], r: tuple[float, ...]) -> list[phases.Transition]:
    return phases.transitions(question(n), np.array(p), np.array(r))


@cache
def _boundary(n: int, p: tuple[float, ...], side: tuple[str, ...]) -> np.ndarray:
    return phases.boundary(question(n), np.array(p), side)


@lru_cache(maxsize=4)
def diagram(swept: Swept) -> Diagram:
    p, r = swept.data.p.values, swept.data.r.values.astype(float)
    # Converged or not: the best of the restarts is judged by its exact loss.
    W, b = swept.weights("p", "r", "seed")
    n = W.shape[-2]
    importance = np.ones((len(r), 1, n))
    importance[:, 0, -1] = r
    loss = restarts.finite_losses(superposition.expected_loss, W, b, p[:, None, None, None], importance)
    return Diagram(p, r, _branches(n, tuple(p.tolist()), tuple(r.tolist())), W, loss)


def boundaries(n: int, p: np.ndarray) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """(r, p) of the lower and the upper boundary of superposition of the extra feature, by their dashes."""
    fine = np.geomspace(p.min(), p.max(), 60)
    found = {}
    for dash, low in (
        (":", np.asarray(superposition.boundary_without_bias(fine))),
        ((0, (4, 2)), np.asarray(superposition.boundary_best_bias(fine))),
    ):
        # With n = 3 the others share as soon as the extra one matters more, or one of them is dropped.
        found[dash] = [(low, fine), (1 / low if n == 2 else np.ones_like(fine), fine)]
    # Steep above p = .45: more points there.
    dense = np.unique(np.append(p, np.geomspace(0.45, 1, 12)[:-1] * p.max()))
    sides = [_boundary(n, tuple(dense.tolist()), side) for side in (phases.DROPPED, phases.OWN)]
    found["-"] = [(low, dense) for low in sides]
    return found


def _overlay(ax: Axes, of: Diagram) -> None:
    for dash, lines in boundaries(of.W.shape[-2], of.p).items():
        for r, p in lines:
            ax.plot(r, p, ls=dash, color="black", lw=0.9)
    x, y = draw.edges(of.r, log=True), draw.edges(of.p, log=True)
    ax.set(xscale="log", yscale="log", xlim=x[[0, -1]], ylim=y[[0, -1]], xlabel="relative importance $r$")


def phase_diagrams(A: Swept, B: Swept) -> Figure:
    """What is kept of two features in one dimension, importances (1, r) (left), and of three in two, (1, 1, r) (right):
    the best of all restarts by exact loss, classified, beside the exact optimum over weights and biases. The extra
    feature is the one with importance r. Lines: where its superposition begins and ends to win without bias (dotted),
    with the best bias at unit norm (dashed), with everything optimised (solid). Dots: the two best arrangements are
    within 2 % of each other in loss. Mixed signs: neither opposite nor on one side. At p = 1 losses nearly tie, and
    what is trained may differ."""
    figure, axes = plt.subplots(1, 4, figsize=(draw.PAGE, 2.75), sharey=True)
    colours, norm = ListedColormap(list(COLOURS.values())), BoundaryNorm(np.arange(len(NAMES) + 1) - 0.5, len(NAMES))
    met = set()
    for name, of, pair in (("A", diagram(A), axes[:2]), ("B", diagram(B), axes[2:])):
        for ax, kinds, title in zip(pair, (of.trained, of.optimal), ("trained", "optimal"), strict=True):
            values = np.vectorize(NAMES.index)(kinds)
            ax.pcolormesh(
                draw.edges(of.r, True), draw.edges(of.p, True), values, cmap=colours, norm=norm, rasterized=True
            )
            close = np.argwhere(~of.clear)
            ax.plot(of.r[close[:, 1]], of.p[close[:, 0]], "o", ms=1.5, mew=0, color="black")
            _overlay(ax, of)
            ax.set_title(f"{name}, {title}")
            met |= set(kinds.ravel().tolist())
    axes[0].set_ylabel("activation probability $p$")
    shown = [kind for kind in NAMES if kind in met]
    handles = [plt.Rectangle((0, 0), 1, 1, fc=COLOURS[kind], ec="0.5", lw=0.5) for kind in shown]
    figure.legend(handles, shown, loc="outside lower center", ncols=4, columnspacing=1.2)
    return figure


def of_extra(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|W_e| of the last feature e, and its superposition sum_{j != e} (W_e . W_j)^2 / |W_e|^2 (0 where it is short)."""
    products = np.einsum("...h,...jh->...j", W[..., -1, :], W)
    square = products[..., -1]
    kept = square > 1e-4
    others = (products[..., :-1] ** 2).sum(-1)
    return np.sqrt(square), np.where(kept, others / np.where(kept, square, 1), 0)


def extra_feature(A: Swept, B: Swept) -> Figure:
    """The published display, of two features in one dimension (A) and three in two (B): the norm of the extra feature
    and its superposition, the sum over the other features of the squared projection of theirs on its direction, each a
    mean over the restarts of a cell without the worst. Lines as in the diagrams of phases: no bias (dotted), best bias
    (dashed), everything optimised (solid)."""
    figure, axes = plt.subplots(1, 4, figsize=(draw.PAGE, 2.3), sharey=True)
    looks = (("norm", "Blues", "$\\|W_e\\|$"), ("superposition", "Reds", "$\\sum_j (\\hat W_e \\cdot W_j)^2$"))
    for name, of, pair in (("A", diagram(A), axes[:2]), ("B", diagram(B), axes[2:])):
        for ax, values, (what, colours, label) in zip(pair, of_extra(of.W), looks, strict=True):
            shown = np.clip(restarts.drop_worst(values, of.loss), 0, 1.1)
            x, y = draw.edges(of.r, True), draw.edges(of.p, True)
            mesh = ax.pcolormesh(x, y, shown, cmap=colours, vmin=0, vmax=1.1, rasterized=True)
            _overlay(ax, of)
            ax.set_title(f"{name}, {what}")
            if name == "B":
                figure.colorbar(mesh, ax=axes[3], label=label, pad=0.04, aspect=22, fraction=0.08)
    axes[0].set_ylabel("activation probability $p$")
    return figure


def _rows(of: Diagram) -> list[int]:
    """Of the grid, those nearest to the cuts."""
    return sorted({int(np.abs(np.log(of.p / p)).argmin()) for p in CUTS})


def _fine(r: np.ndarray, low: float, high: float) -> np.ndarray:
    """Four times as fine as the grid; of an even number, as r = 1 is a tie."""
    return np.geomspace(max(low, r[0]), min(high, r[-1]), 4 * len(r) - 2)


def cut_transitions(of: Diagram) -> list[phases.Transition]:
    key = tuple(of.p[_rows(of)].tolist())
    return _transitions(of.W.shape[-2], key, tuple(_fine(of.r, 0, np.inf).tolist()))


def transitions(A: Swept, B: Swept) -> Figure:
    """Cuts through the diagrams at fixed p, around all changes of the optimum: norm and superposition of the extra
    feature at the exact optimum (lines) and trained, the best of all restarts (filled) and the others (open). Vertical
    lines: where the optimum changes, solid for a jump of the weights (first order), dotted where they change
    continuously: there the norm starts from 0, but superposition, which depends on the direction alone, does not."""
    of = [diagram(A), diagram(B)]
    columns = [(name, each, row) for name, each in zip("AB", of, strict=True) for row in _rows(each)]
    figure, axes = plt.subplots(2, len(columns), figsize=(draw.PAGE, 3.0), sharex="col", sharey="row", squeeze=False)
    for (name, each, row), pair in zip(columns, axes.T, strict=True):
        changes = [change for change in cut_transitions(each) if change.p == each.p[row]]
        places = [change.r for change in changes] or [1.0]
        r = _fine(each.r, min(places) / 1.7, max(places) * 1.7)
        best = _branches(each.W.shape[-2], (float(each.p[row]),), tuple(r.tolist())).best()
        chosen = restarts.best(each.loss[row])[:, None]
        ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10) if r[0] <= tick <= r[-1]]
        lines, dots = of_extra(np.asarray(best.W)[0]), of_extra(each.W[row])
        near = (each.r >= r[0] / 1.02) & (each.r <= r[-1] * 1.02)
        for ax, line, values, colour in zip(pair, lines, dots, (draw.BLUE, draw.RED), strict=True):
            ax.plot(r, line, color=colour, lw=0.9)
            ax.plot(each.r[near], values[near], "o", ms=3, mew=0.4, mfc="none", color=colour, alpha=0.5)
            ax.plot(each.r[near], np.take_along_axis(values, chosen, 1)[near], "o", ms=2.6, mew=0, color=colour)
            for change in changes:
                ax.axvline(change.r, color=draw.THEORY, lw=0.7, ls="-" if change.first_order else ":", zorder=0)
            ax.set(xscale="log", ylim=(-0.06, 1.3), xlim=(r[0] / 1.06, r[-1] * 1.06))
            ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            ax.minorticks_off()
        pair[0].set_title(f"{name}, $p={each.p[row]:.2g}$")
    axes[0, 0].set_ylabel("norm $\\|W_e\\|$")
    axes[1, 0].set_ylabel("superposition")
    figure.supxlabel("relative importance $r$", fontsize=8)
    return figure


def agreement(A: Swept, B: Swept) -> list[Finding]:
    """The classified best of all restarts against the exact optimum."""
    source = "exact optimum over all arrangements, theory.phases"
    answers = []
    for name, of in (("A", diagram(A)), ("B", diagram(B))):
        clear, excess, count = of.clear, of.excess, of.loss.shape[-1]
        same = proportion(int((of.trained == of.optimal)[clear].sum()), int(clear.sum()))
        least = excess.min(-1)
        per_seed = interval((excess[clear] <= MARGIN).mean(0))
        what = f"{name}, best of {count}"
        answers += [
            Finding(
                f"{what}: arrangement is the optimal one, {int(clear.sum())} of {clear.size} cells with a clear winner",
                f"{same:.3f}, Wilson",
                "at least .95",
                bool(same.mean >= 0.95),
                source,
            ),
            Finding(
                f"{what}: excess over the optimal loss, all cells",
                f"largest {least.max():.1e}, median {np.median(least):.1e}",
                "largest at most .02",
                bool(least.max() <= MARGIN),
                source,
            ),
            Finding(
                f"{name}: no restart below the optimal loss",
                f"least excess {excess.min():.1e}",
                "at least -1e-6",
                bool(excess.min() >= -1e-6),
                source,
            ),
            Finding(
                f"{name}: single restarts within 2 % of the optimum, clear cells",
                f"{per_seed:.2f}, over seeds",
                "",
                None,
            ),
        ]
    return answers


def boundary_positions(A: Swept, B: Swept) -> list[Finding]:
    """Where, along r, the trained models cease to drop the extra feature and begin to give it a dimension."""
    answers = []
    for name, of in (("A", diagram(A)), ("B", diagram(B))):
        step = float(np.log(of.r[1] / of.r[0]))
        for side, what in ((phases.DROPPED, "is no longer dropped"), (phases.OWN, "has a dimension of its own")):
            known = _boundary(of.W.shape[-2], tuple(of.p.tolist()), side)
            inside = np.isin(of.trained, side)
            # The count of cells on the far side of the boundary places it midway between two of them.
            cells = inside.sum(1) if side == phases.DROPPED else (~inside).sum(1)
            there = of.r[0] * np.exp(step * (cells - 0.5))
            within = (known > of.r[0]) & (known < of.r[-1])
            off = np.abs(np.log(there / known))[within] / step
            worst, median = (float(f(off)) if len(off) else np.nan for f in (lambda x: x.max(initial=0), np.median))
            answers.append(
                Finding(
                    f"{name}: r where the extra feature {what}, {int(within.sum())} values of p",
                    f"off by {median:.2f} grid steps (median), {worst:.2f} (largest)",
                    "at most 1 grid step, half of it the grid's own",
                    bool(worst <= 1),
                    "tie of the exact branch losses, or the instability",
                )
            )
    return answers


def orders(A: Swept, B: Swept) -> list[Finding]:
    """Each change of the optimum along the cuts: a jump of the weights with a kink of the loss, or neither."""
    answers = []
    for name, of in (("A", diagram(A)), ("B", diagram(B))):
        exact_W = np.asarray(of.branches.best().W)
        for change in cut_transitions(of):
            row, column = int(np.abs(of.p - change.p).argmin()), int(np.searchsorted(of.r, change.r))
            near = slice(max(column - 1, 0), column + 1)
            kinds = _named(of.W[row, near])
            lower, upper = (" and ".join(map(str, (kinds == kind).sum(1))) for kind in (change.below, change.above))
            trained, exact = (
                float(np.abs(np.diff(phases.gram_invariants(W[row, near]), axis=0)).max()) for W in (of.best_W, exact_W)
            )
            within = change.below == change.above
            counts = "" if within else f", restarts in the lower phase {lower}, in the upper {upper}"
            together = change.first_order == (change.kink > 1e-3) == change.coexist
            answers.append(
                Finding(
                    f"{name}, p = {change.p:.3g}, r = {change.r:.4g}: "
                    + (f"within {change.below}" if within else f"{change.below} to {change.above}"),
                    f"{'first order' if change.first_order else 'continuous'}: jump of W Wᵀ {change.jump:.3f}, "
                    f"of dL/dr {change.kink:.4f} v, {'both persist' if change.coexist else 'not both persist'}; "
                    f"trained between the cells on either side {trained:.3f}{counts}",
                    f"jump, kink (> .001 v) and coexistence together, or none; trained {exact:.3f} within .02",
                    bool(together and abs(trained - exact) <= 0.02),
                    "exact optimum; the envelope theorem for dL/dr",
                )
            )
    return answers


experiment = Experiment(
    question="At what density and importance is a feature dropped, given a dimension, or put in superposition?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 4",
    sweeps=sweeps,
    figures=[phase_diagrams, extra_feature, transitions],
    findings=[agreement, boundary_positions, orders],
    cost="2 programs, 50,000 cells of 5,000 steps: about half an hour on two cores, minutes to draw",
)
