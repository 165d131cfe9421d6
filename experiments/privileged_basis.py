"""ReLUs in the hidden layer give it a privileged basis: when does a neuron hold one feature? Elhage et al. 2022."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis import neurons
from toymodels.analysis.statistics import interval
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.models import Relu, Tied
from toymodels.optimizers import Adam, Cosine, Momentum, Optimizer
from toymodels.problems.evaluation import sparse_loss
from toymodels.problems.supervised import Supervised

PUBLISHED = {0.7: (5, 5), 0.3: (3, 6), 0.15: (2, 7), 0.12: (1, 7), 0.065: (0, 8), 0.03: (0, 10)}
"""One p of each published band: how many of the five neurons hold one feature, and how many features are kept."""

ONE = 0.9
"""Share of the squared weights that turn a neuron on, above which its largest makes it one of a single feature."""

KEPT = 0.5
"""Norm of its weights to neurons that it turns on, over the largest, from which a feature counts as kept."""

ROTATIONS = 200
"""Random rotations of the hidden layer that each model is compared with."""


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    steps, batch = (300, 128) if tiny else (10_000, 1024) if full else (3000, 512)
    p = Axis("p", "problem.data.p", [0.7, 0.03] if tiny else list(PUBLISHED))
    many, few = (8, 4) if tiny else (1000, 100) if full else (128, 32)

    def of(model: Tied, seeds: int, optimizer: Optimizer) -> Sweep:
        problem = Supervised(Sparse(10, 0.7), model, SquaredError(Geometric(0.75)))
        base = Run(problem, optimizer, steps, batch, record=Record(40, 2, examples=8192))
        return Sweep(base, [p, Axis("seed", "seed", range(seeds))])

    return {
        "relu": of(Tied(5, hidden=Relu()), many, Adam(Cosine(1e-2))),
        "linear": of(Tied(5), few, Adam(Cosine(1e-2))),
        "descent": of(Tied(5), few, Momentum(Cosine(5e-2))),
    }


class Trained(NamedTuple):
    """All restarts at one p, best first, with their losses on common examples and what their neurons hold."""

    W: np.ndarray
    b: np.ndarray
    loss: np.ndarray
    single: np.ndarray
    """How many neurons hold one feature."""
    alignment: np.ndarray
    rank: np.ndarray
    """Share of the rotations of a model that are less aligned with single features than it is."""
    rotated: np.ndarray
    """Mean alignment of the rotations."""


@lru_cache(maxsize=32)
def trained(swept: Swept, p: float) -> Trained:
    cells = swept.data.sel(p=p).isel(snapshot=-1)
    W, b = cells.W.values, cells.b.values
    loss = sparse_loss(swept.run(p=p).problem, {"W": W, "b": b})
    order = np.argsort(loss, kind="stable")
    W, b, loss = W[order], b[order], loss[order]
    own = neurons.basis_alignment(W)
    others = np.array([neurons.rotated_alignments(each, ROTATIONS, seed) for seed, each in enumerate(W)])
    single = neurons.monosemantic(used(W), ONE).sum(-1)
    return Trained(W, b, loss, single, own, (others < own[:, None]).mean(1), others.mean(1))


def used(W: np.ndarray) -> np.ndarray:
    """max(W, 0): what turns a ReLU on, as features are never negative. A large negative weight only keeps it off."""
    return np.maximum(W, 0)


def kept(W: np.ndarray) -> int:
    """How many features of one model turn neurons on, and so are reconstructed."""
    norms = np.linalg.norm(used(W), axis=1)
    return int((norms >= KEPT * norms.max()).sum())


def neurons_by_sparsity(relu: Swept, linear: Swept) -> Figure:
    """Weights of each hidden unit stacked by feature, of the best of all restarts, from dense to sparse features: ReLU
    hidden units (top; positive weights, which turn the neuron on, upwards, negative ones downwards; dots: neurons of
    one feature) and linear ones (bottom; sizes of weights), where units are directions like any other."""
    p = np.sort(relu.data.p.values)[::-1]
    figure, axes = plt.subplots(2, len(p), figsize=(draw.PAGE, 3.4), sharex=True, sharey="row", squeeze=False)
    for column, each in zip(axes.T, p, strict=True):
        W, other = trained(relu, each).W[0], trained(linear, each).W[0]
        W, other = W[:, neurons.display_order(used(W))], other[:, neurons.display_order(other)]
        draw.stack(column[0], np.maximum(-W, 0).T)
        for patch in column[0].patches:
            patch.set(height=-patch.get_height(), y=-patch.get_y())
        draw.stack(column[0], used(W).T)
        draw.stack(column[1], other.T)
        single = np.flatnonzero(neurons.monosemantic(used(W), ONE))
        column[0].plot(single, used(W)[:, single].sum(0) + 0.35, "o", ms=2.5, color="black")
        column[0].axhline(0, color="black", lw=0.5)
        column[0].set(title=f"$p={each:g}$", xlabel="", ylabel="", ylim=(-6.5, 5.5), xticks=range(W.shape[1]))
        column[1].set(xlabel="", ylabel="")
    axes[0, 0].set_ylabel("ReLU: weights")
    axes[1, 0].set_ylabel("linear: |weights|")
    figure.supxlabel("hidden unit", fontsize=8)
    last = relu.data.sizes["feature"] - 1
    colours = plt.cm.ScalarMappable(plt.Normalize(-last / 18, last + last / 18), "viridis")
    bar = figure.colorbar(colours, ax=axes[:, -1], label="feature, most important first", fraction=0.15, aspect=30)
    bar.ax.set(ylim=(last, 0), yticks=range(0, last + 1, 3))
    return figure


def alignment_and_monosemanticity(relu: Swept, linear: Swept, descent: Swept) -> Figure:
    """a: neurons of one feature, mean over restarts with its 95 % interval (bootstrap), best of all restarts, and the
    published count. b: mean over hidden units of the largest |weight| over the norm, over restarts with 95 % intervals,
    for ReLU and linear hidden units; dashed: means for random rotations of the same weights. c: the share of its own
    rotations that a model is better aligned than, mean over restarts with 95 % intervals: without a privileged basis
    half (dashed), from gradient descent; Adam itself treats coordinates apart."""
    p = relu.data.p.values
    figure, axes = plt.subplots(1, 3, figsize=(draw.PAGE, 2.5))
    found = [trained(relu, each) for each in p]
    count = interval(np.array([each.single for each in found]).T)
    draw.band(axes[0], p, count.low, count.mean, count.high, "mean of restarts", draw.BLUE)
    axes[0].plot(p, [each.single[0] for each in found], "o", color=draw.BLUE, label=f"best of {len(found[0].loss)}")
    known = [PUBLISHED[each][0] for each in p]
    axes[0].plot(p, known, "_", ms=9, mew=1.5, color="black", label="published", zorder=1)
    axes[0].set(ylabel="neurons of one feature", ylim=(-0.2, 5.3))
    looks = ((relu, "ReLU", draw.BLUE), (linear, "linear, Adam", draw.RED), (descent, "linear, descent", draw.GREEN))
    for swept, name, colour in looks:
        _bands(axes[1:], swept, name, colour)
    axes[1].set(ylabel="alignment with single features", ylim=(0.45, 1.02))
    axes[2].set(ylabel="share of rotations less aligned", ylim=(-0.02, 1.02))
    axes[2].axhline(0.5, color=draw.THEORY, ls=(0, (4, 2)), lw=0.8)
    for ax in axes:
        ax.set(xscale="log", xlabel="activation probability $p$")
        ax.minorticks_off()
        ax.set_xticks(p, [f"{each:g}".lstrip("0") if each != 0.12 else "\n.12" for each in p])
        ax.invert_xaxis()
    axes[0].legend()
    axes[1].legend()
    draw.panel_labels(axes)
    notes = [note for swept, name, _ in looks if (note := swept.left_out(f"shown ({name})"))]
    draw.excluded(axes[2], "; ".join(notes))
    return figure


def _bands(axes: list[Axes], swept: Swept, name: str, colour: str) -> None:
    p = swept.data.p.values
    found = [trained(swept, each) for each in p]
    for ax, values in zip(axes, ([each.alignment for each in found], [each.rank for each in found]), strict=True):
        over = interval(np.array(values).T)
        draw.band(ax, p, over.low, over.mean, over.high, name, colour, marker="o")
    axes[0].plot(p, [each.rotated.mean() for each in found], color=colour, ls=(0, (4, 2)), lw=0.9)


def against_the_published(relu: Swept) -> list[Finding]:
    """Best of all restarts against the published pictures; every restart counted beside it."""
    answers = []
    source = "Elhage et al. 2022, pictures of the best of 1000 in each band of p"
    dense, sparse = (trained(relu, p) for p in (relu.data.p.values.max(), relu.data.p.values.min()))
    for p in relu.data.p.values.tolist():
        found, (single, features) = trained(relu, p), PUBLISHED[p]
        near = found.single[found.loss <= 1.02 * found.loss[0]]
        all_kept = np.array([kept(W) for W in found.W[: len(near)]])
        answers += [
            Finding(
                f"p = {p:g}: neurons of one feature, best of {len(found.loss)}",
                f"{found.single[0]}; restarts within 2 % of its loss: {_counted(near)}; "
                f"mean of all {interval(found.single):.2f}",
                f"{single}",
                bool(found.single[0] == single),
                source,
            ),
            Finding(
                f"p = {p:g}: features kept, best of {len(found.loss)}",
                f"{all_kept[0]}; restarts within 2 %: {_counted(all_kept)}",
                f"{features}",
                bool(all_kept[0] == features),
                source,
            ),
        ]
    fall = interval(dense.single - sparse.single)
    return [
        *answers,
        Finding(
            "neurons of one feature at the densest p less those at the sparsest, all restarts",
            f"{fall:.2f}",
            "interval above 3: dense features one to one, sparse ones shared",
            bool(fall.low > 3),
            "Elhage et al. 2022, captions",
        ),
    ]


def _counted(values: np.ndarray) -> str:
    return ", ".join(f"{value} ({times})" for value, times in zip(*np.unique(values, return_counts=True), strict=True))


def privileged(relu: Swept, linear: Swept, descent: Swept) -> list[Finding]:
    """Is the basis that training ends in special among its rotations?"""
    source = "a rotation of the hidden layer changes a model with ReLUs, and not a linear one"
    answers = []
    for p in relu.data.p.values.tolist():
        rank = trained(relu, p).rank
        over, aligned = interval(rank), PUBLISHED[p][0] >= 3
        answers.append(
            Finding(
                f"ReLU, p = {p:g}: share of its rotations that a model is better aligned than",
                f"{over:.2f}; best of {len(rank)}: {rank[0]:.2f}",
                "best at least .95, interval above .5" if aligned else "",
                bool(rank[0] >= 0.95 and over.low > 0.5) if aligned else None,
                "neurons of one feature, Elhage et al. 2022" if aligned else "",
            )
        )
    for swept, name in ((linear, "Adam"), (descent, "gradient descent with momentum")):
        # Models of one seed start alike, whatever p: means over p are independent, models are not.
        over = interval(np.mean([_by_seed(swept, p) for p in swept.data.p.values], axis=0))
        answers.append(
            Finding(
                f"linear, {name}: the same, mean over p, {swept.data.seed.size} seeds",
                f"{over:.2f}",
                "not above .5 beyond the interval" if swept is linear else "interval holds .5",
                bool(over.low <= 0.5) if swept is linear else bool(over.low <= 0.5 <= over.high),
                source + ("; Adam itself is not invariant" if swept is linear else ""),
            )
        )
    for swept, name in ((relu, "ReLU"), (linear, "linear")):
        ratios = np.concatenate([_rotated_losses(swept, p) for p in swept.data.p.values])
        over = interval(ratios)
        what = "loss of the best model after a rotation over its loss, 8 rotations at each p"
        least, most = ratios.min(), ratios.max()
        answers.append(
            Finding(
                f"{name}: {what}",
                f"{over:.2f}; {least:.4f} to {most:.4f}",
                "all above 1.05" if swept is relu else "1 within 1e-4",
                bool(least > 1.05) if swept is relu else bool(max(most - 1, 1 - least) < 1e-4),
                source,
            )
        )
    return answers


def _by_seed(swept: Swept, p: float) -> np.ndarray:
    """Ranks in the order of the seeds."""
    found = trained(swept, p)
    place = {W.tobytes(): at for at, W in enumerate(found.W)}
    return found.rank[[place[W.tobytes()] for W in swept.data.W.sel(p=p).isel(snapshot=-1).values]]


def _rotated_losses(swept: Swept, p: float) -> np.ndarray:
    found = trained(swept, p)
    W, b = found.W[0].astype(np.float64), np.repeat(found.b[:1], 9, axis=0)
    Q = [np.eye(W.shape[1]), *neurons.rotations(W.shape[1], 8)]
    problem = swept.run(p=p).problem
    losses = sparse_loss(problem, {"W": (W @ Q).astype(np.float32), "b": b})
    return losses[1:] / losses[0]


experiment = Experiment(
    question="When does a neuron of a hidden layer with ReLUs hold one feature, and when many?",
    source="Elhage et al. 2022, Toy Models of Superposition, section on superposition in a privileged basis",
    sweeps=sweeps,
    figures=[neurons_by_sparsity, alignment_and_monosemanticity],
    findings=[against_the_published, privileged],
    cost="1,000 restarts of 10,000 steps for each p: 20 minutes on two CPU cores, 3 programs",
)
