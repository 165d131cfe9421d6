"""Learning as geometry: two sets of three correlated features in three dimensions. Elhage et al. 2022, section 6."""

from collections import Counter

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis.collapse import set_spread
from toymodels.analysis.dynamics import Plateau, plateaus
from toymodels.analysis.geometry import feature_dimensionality, tegum_factors
from toymodels.analysis.restarts import basins, finite_losses
from toymodels.analysis.statistics import interval, proportion
from toymodels.data import Correlated
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.models import Tied
from toymodels.optimizers import Adam, Cosine, Momentum
from toymodels.problems.supervised import Supervised
from toymodels.theory.correlated import correlated_loss, principal_loss

SETS, SIZE = 2, 3
SHOWN = 0.1
"""The p of the trajectories and of the verdicts; the published one is not stated."""

ORTHOGONAL = 0.15
"""|cos| up to which two features of a trained model count as orthogonal."""

PAPER = "Elhage et al. 2022, section 6, phenomenon 2"


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    steps, seeds = 400 if tiny else 10_000 if full else 4000, 4 if tiny else 256 if full else 32
    problem = Supervised(Correlated(SETS, SIZE, SHOWN), Tied(3, scale=1e-3))
    flow = Run(problem, Momentum(Cosine(5e-2)), 6 * steps, 1024, record=Record(250, 250, examples=8192))
    start = {"Xavier": {"problem.model.scale": 1.0}, "small": {"problem.model.scale": 1e-2}}
    restarts = Run(problem, Adam(Cosine(1e-2)), steps, 512, record=Record(30, 2))
    p = [SHOWN] if tiny else [0.02, 0.05, SHOWN, 0.15, 0.2, 0.3]
    return {
        "flow": Sweep(flow, [Axis("seed", "seed", range(4 if tiny else 16))]),
        "restarts": Sweep(
            restarts, [Axis("p", "problem.data.p", p), Choice("start", start), Axis("seed", "seed", range(seeds))]
        ),
    }


# -------------------------------------------------------------------------------------------------------- end geometry


def geometry_of(W: np.ndarray) -> str:
    return tegum_factors(W, tol=ORTHOGONAL, dead=0.25).name


def partners(W: np.ndarray) -> np.ndarray:
    """For each feature the one most opposite to it."""
    units = W / np.linalg.norm(W, axis=1, keepdims=True)
    return (units @ units.T).argmin(1)


def crosses_sets(W: np.ndarray) -> bool:
    """Whether features come in mutually opposite pairs, each from two different sets."""
    other = partners(W)
    features = np.arange(len(W))
    return bool(np.all(other[other] == features) and np.all(other // SIZE != features // SIZE))


def ends(restarts: Swept, p: float, start: str) -> tuple[np.ndarray, np.ndarray]:
    """Final weights and exact losses of all seeds."""
    W, b = restarts.weights("seed", p=p, start=start)
    return W, finite_losses(correlated_loss, W, b, p, SETS)


def end_geometries(restarts: Swept) -> Figure:
    """Share of restarts that end in an octahedron by p, from two starts (small: a hundredth of Xavier), with 95 %
    Wilson intervals; open symbols: the best of all restarts by exact loss is another geometry. Right: W Wᵀ of the best
    of all restarts at each end of this range and where trajectories are shown, blue to red from -1 to 1; lines part the
    two sets."""
    p = restarts.data.p.values
    shown = sorted({float(p[0]), float(p[np.abs(p - SHOWN).argmin()]), float(p[-1])})
    figure, axes = plt.subplots(1, 1 + len(shown), figsize=(draw.PAGE, 2.45), width_ratios=[1.3, *[1] * len(shown)])
    for place, start in enumerate(restarts.data.start.values):
        found = [ends(restarts, each, start) for each in p]
        counts = np.array([[geometry_of(w) == "octahedron" for w in W] for W, _ in found])
        best = np.array([row[np.nanargmin(loss)] for row, (_, loss) in zip(counts, found, strict=True)])
        share, x, colour = proportion(counts.sum(1), counts.shape[1]), p * 1.03**place, draw.PALETTE[place]
        axes[0].vlines(x, share.low, share.high, color=colour, lw=0.8)
        axes[0].plot(x, share.mean, lw=0.8, color=colour)
        draw.flagged_points(axes[0], x, np.asarray(share.mean), ~best, colour, label=f"{start} start")
    axes[0].set(xscale="log", xlabel="activation probability $p$", ylabel="share octahedron", ylim=(-0.04, 1.04))
    axes[0].set_xticks(p, [f"{each:g}" for each in p], fontsize=6)
    axes[0].minorticks_off()
    axes[0].legend(loc="lower left")
    for ax, each in zip(axes[1:], shown, strict=True):
        found = [ends(restarts, each, start) for start in restarts.data.start.values]
        W, loss = (np.concatenate(both) for both in zip(*found, strict=True))
        _gram(ax, W[np.nanargmin(loss)])
        ax.set_title(f"best at $p={each:g}$:\n{geometry_of(W[np.nanargmin(loss)])}", fontsize=7)
    return figure


def _gram(ax: Axes, W: np.ndarray) -> None:
    draw.gram(ax, W, bar=False).set_clim(-1, 1)
    for line in (ax.axhline, ax.axvline):
        line(SIZE - 0.5, color="black", lw=0.6)
    ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(True)


def octahedra(restarts: Swept) -> list[Finding]:
    """How often an octahedron is found, whether the best is one, and whose feature sits opposite whose."""
    p = float(restarts.data.p.sel(p=SHOWN, method="nearest"))
    answers = []
    for start in restarts.data.start.values:
        W, loss = ends(restarts, p, start)
        names = np.array([geometry_of(w) for w in W])
        count, best = int((names == "octahedron").sum()), W[np.nanargmin(loss)]
        share = proportion(count, len(W))
        D, groups = feature_dimensionality(best), basins(W, loss, tol=0.1)
        crossed = [crosses_sets(w) for w in W[names == "octahedron"]]
        inside = np.abs(best @ best.T)[np.kron(np.eye(SETS), 1 - np.eye(SIZE)).astype(bool)].max()
        where = f"p = {p:g}, {start} start"
        first = ", ".join(f"{n} {name}" for name, n in Counter(names.tolist()).most_common(3))
        answers += [
            Finding(
                f"{where}: octahedra among {len(W)} seeds, of {len(groups)} basins ({first})",
                f"{share:.2f}",
                "a strong attractor: more than half, by the whole interval",
                bool(share.low > 0.5),
                PAPER,
            ),
            Finding(
                f"{where}: best of {len(W)}, {geometry_of(best)}: D_i; largest |W_i.W_j| in a set",
                f"{D.min():.4f} to {D.max():.4f}; {inside:.3f}",
                "1/2 within .01, the octahedron; at most .05",
                bool(np.abs(D - 0.5).max() <= 0.01 and inside <= 0.05),
                "D = 1/2 of a cross-polytope in closed form; " + PAPER,
            ),
            Finding(
                f"{where}: octahedra with every antipode from the other set",
                f"{sum(crossed)} of {len(crossed)}",
                "all",
                all(crossed) and len(crossed) > 0,
                PAPER,
            ),
        ]
    return answers


# ---------------------------------------------------------------------------------------------------------- trajectory


def stretches(flow: Swept, seed: int) -> list[Plateau]:
    return plateaus(flow.data.step.values, flow.data.objective.sel(seed=seed).values)


def model_at(flow: Swept, seed: int, step: float) -> tuple[np.ndarray, np.ndarray]:
    """W and b at the snapshot nearest to a step."""
    cell = flow.data[["W", "b"]].sel(seed=seed).sel(snapshot=step, method="nearest")
    return cell.W.values.astype(np.float64), cell.b.values.astype(np.float64)


def middle(plateau: Plateau) -> float:
    """Halfway through a plateau on the logarithmic axis of steps; the end of the last one."""
    return plateau.stop if plateau.kind == "final" else float(np.sqrt(max(plateau.start, 1) * max(plateau.stop, 1)))


def linear_level(flow: Swept) -> float:
    """The loss of PCA with one component a set."""
    law = flow.run().problem.data
    mean = np.asarray(law.mean(), np.float64)
    return principal_loss(np.asarray(law.second_moment(), np.float64) - np.outer(mean, mean), SETS)


def regimes(flow: Swept) -> Figure:
    """One run from a small start, the one with the most plateaus (others grey). Top: loss, with the plateaus found in
    it shaded; dashed: the loss of PCA, in closed form. Middle: spread of each set, 0 where its three features are one
    vector and 2/3 where they are orthogonal, and the singular values of W. Bottom: W Wᵀ halfway through each plateau
    and at the end, halfway in the logarithm of the step, blue to red from -1 to 1; lines part the two sets. The spread
    is drawn once W is not 0."""
    seeds = flow.data.seed.values
    seed = int(seeds[np.argmax([len(stretches(flow, int(each))) for each in seeds])])
    found, steps = stretches(flow, seed), flow.data.step.values
    figure = plt.figure(figsize=(draw.PAGE, 4.6))
    grid = figure.add_gridspec(3, max(len(found), 1), height_ratios=(1.25, 1, 1.15))
    loss, shape = (figure.add_subplot(grid[row, :]) for row in (0, 1))
    curves = flow.data.objective.transpose("seed", "step").values
    loss.plot(steps[1:], curves[:, 1:].T, color="0.8", lw=0.4)
    loss.plot(steps[1:], flow.data.objective.sel(seed=seed).values[1:], color=draw.BLUE)
    W = flow.data.W.sel(seed=seed).transpose("snapshot", "feature", "hidden").values.astype(np.float64)[1:]
    times = flow.data.snapshot.values[1:]
    values = np.linalg.svd(W, compute_uv=False)
    for place, spread in enumerate(set_spread(W, SETS).T):
        shape.plot(
            times, np.where(values[:, 0] > 0.05, spread, np.nan), color=draw.PALETTE[place], label=f"set {place + 1}"
        )
    shape.plot(times, values, color="0.5", lw=0.7, ls=":")
    shape.plot([], [], color="0.5", lw=0.7, ls=":", label="singular values")
    for place, plateau in enumerate(found):
        for ax in (loss, shape):
            ax.axvspan(max(plateau.start, 4), plateau.stop, color="0.9", lw=0, zorder=0)
        loss.text(
            np.sqrt(max(plateau.start, 4) * plateau.stop),
            1.02,
            str(place + 1),
            transform=loss.get_xaxis_transform(),
            ha="center",
            fontsize=7,
        )
        ax = figure.add_subplot(grid[2, place])
        _gram(ax, model_at(flow, seed, middle(plateau))[0])
        ax.set_title(f"{place + 1}: step {middle(plateau):.0f}", fontsize=7)
    loss.set(xscale="log", yscale="log", ylabel="loss", xlim=(4, steps[-1]), xticklabels=[])
    draw.levels(loss, [linear_level(flow)], ["PCA"])
    shape.set(xscale="log", xlabel="step", ylabel="spread,\nsingular values", xlim=(4, steps[-1]), ylim=(-0.05, 1.6))
    draw.levels(shape, [2 / 3], ["orthogonal"])
    shape.legend(loc="upper left")
    draw.panel_labels([loss, shape])
    return figure


def regimes_found(flow: Swept) -> list[Finding]:
    """Plateaus of every seed; whether the first after the start is PCA; what is true on it of the weights; the end."""
    seeds, level = [int(seed) for seed in flow.data.seed.values], linear_level(flow)
    found = {seed: stretches(flow, seed) for seed in seeds}
    counts = np.array([len(each) for each in found.values()])
    spread = interval(counts)
    interior = {seed: [each for each in found[seed] if each.kind == "interior"] for seed in seeds}
    first = [(seed, each[0]) for seed, each in interior.items() if each]
    models = [model_at(flow, seed, middle(each)) for seed, each in first]
    W, b = (np.array(each) for each in zip(*models, strict=True)) if models else (np.zeros((1, 6, 3)), np.zeros((1, 6)))
    ratio = np.asarray(correlated_loss(W, b, SHOWN, SETS)) / level
    target = np.kron(np.eye(SETS), np.full((SIZE, SIZE), 1 / SIZE))
    away = np.abs(W @ W.transpose(0, 2, 1) - target).max((1, 2))
    last = [model_at(flow, seed, float(flow.data.step.values[-1]))[0] for seed in seeds]
    D = np.array([feature_dimensionality(w) for w in last])
    names = np.array([geometry_of(w) for w in last])
    share = proportion(int((names == "octahedron").sum()), len(seeds))
    return [
        Finding(
            f"plateaus of the loss a seed ({len(seeds)} seeds)",
            f"{spread:.2f}; {counts.min()} to {counts.max()}",
            "distinct regimes: at least 3 in every seed (wait, in between, end)",
            bool(counts.min() >= 3),
            PAPER,
        ),
        Finding(
            f"exact loss halfway through the first interior plateau over PCA ({len(first)} of {len(seeds)} seeds)",
            f"{np.mean(ratio):.3f} ({ratio.min():.3f} to {ratio.max():.3f})",
            "1 within 2 % in every seed",
            bool(len(first) == len(seeds) and np.abs(ratio - 1).max() <= 0.02),
            "PCA in closed form (Eckart & Young 1936); linear first: " + PAPER,
        ),
        Finding(
            "largest entry of W Wᵀ away from PCA halfway through it: 1/3 in a set, 0 across",
            f"{np.mean(away):.3f} ({away.min():.3f} to {away.max():.3f})",
            "at most .1 in every seed",
            bool(len(first) == len(seeds) and away.max() <= 0.1),
            "projector on the set means, closed form",
        ),
        Finding(
            "octahedra at the end of training, and their D_i",
            f"{share:.2f}; {D.min():.4f} to {D.max():.4f}",
            "all; 1/2 within .01",
            bool(share.mean == 1 and np.abs(D - 0.5).max() <= 0.01),
            PAPER,
        ),
    ]


experiment = Experiment(
    question="By which geometric steps are two sets of three correlated features learned, and where do they end?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 6",
    sweeps=sweeps,
    figures=[regimes, end_geometries],
    findings=[regimes_found, octahedra],
    cost="3,072 cells of 10,000 steps and 16 of 60,000",
)
