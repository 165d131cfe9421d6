"""Energy levels: features of a small start are learned in jumps of their dimensionality. Elhage et al. 2022."""

from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.dynamics import Jump, jumps
from toymodels.analysis.geometry import (
    feature_dimensionality,
)
from toymodels.analysis.statistics import interval
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.models import Tied
from toymodels.optimizers import Momentum
from toymodels.problems.supervised import Supervised


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    return {
        "levels": _levels(steps=400 if tiny else 4000, seeds=2 if tiny else 64 if full else 8),
    }


def _levels(steps: int, seeds: int) -> Sweep:
    """From a small start under decaying importances features are learned one after another, so that jumps are apart."""
    problem = Supervised(Sparse(20, p=0.3), Tied(5, scale=1e-3), SquaredError(Geometric(0.9)))
    watched = Record(200, 200, linear=True, examples=4096)
    base = Run(problem, Momentum(3e-2), steps=steps, batch=512, record=watched)
    return Sweep(base, [Axis("seed", "seed", range(seeds))])


def energy_levels(levels: Swept) -> Figure:
    """Dimensionality D_i(t) of every feature of one seed (top) above its loss (bottom; other seeds thin): from a small
    start features appear one after another, alone at D = 1, and give half of their dimension away when an antipode
    arrives. Dots and dotted lines: jumps, detected in each D_i(t) by itself."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(draw.PAGE, 3.8), sharex=True, height_ratios=(2, 1))
    steps, D = dimensionality_over_time(levels, int(levels.data.seed.values[0]))
    found = level_jumps(steps, D)
    draw.trajectories(top, steps, D.T, found, log_steps=False)
    top.set(xlabel="", ylim=(-0.03, 1.08))
    draw.levels(top, [1, 1 / 2], ["point", "digon"])
    curves = levels.data.objective.transpose("seed", "step").values
    bottom.plot(levels.data.step.values, curves[1:].T, color="0.75", lw=0.5)
    bottom.plot(levels.data.step.values, curves[0], color=draw.BLUE)
    for jump in found:
        bottom.axvline(jump.step, color=draw.THEORY, ls=":", lw=0.6, zorder=0)
    bottom.set(xlabel="step", ylabel="loss")
    draw.panel_labels([top, bottom])
    return figure


def level_jumps(steps: np.ndarray, D: np.ndarray) -> list[Jump]:
    return jumps(steps, D.T, size=0.15, window=4)


def dimensionality_over_time(levels: Swept, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and D_i as steps x features."""
    W = levels.data.W.sel(seed=seed).values.astype(np.float64)
    return levels.data.snapshot.values, np.array([feature_dimensionality(w, dead=0.05) for w in W])


def jumps_between_levels(levels: Swept) -> list[Finding]:
    """How many jumps a seed makes, from where to where, and how much of the loss falls while they happen."""
    counts, sizes, shares, ends = [], [], [], []
    for seed in levels.data.seed.values:
        steps, D = dimensionality_over_time(levels, int(seed))
        found = level_jumps(steps, D)
        loss = levels.data.objective.sel(seed=seed).values
        counts.append(len(found))
        sizes += [abs(jump.size) for jump in found]
        shares.append(_fall_during(levels.data.step.values, loss, [jump.step for jump in found], 2 * np.diff(steps)[0]))
        ends.append(D[-1])
    final = np.concatenate(ends)
    near = np.abs(final[:, None] - np.array([0, 1 / 2, 1])).min(axis=1) < 0.05
    time, fall = np.mean(shares, axis=0)
    spread = interval(counts)
    return [
        Finding("jumps of D_i(t) a seed", f"{spread.mean:.1f} ({spread.low:.1f} to {spread.high:.1f})", "", None),
        Finding("loss that falls within two records of a jump", f"{fall:.0%} in {time:.0%} of the time", "", None),
        Finding("features that end within .05 of D = 0, 1/2 or 1", f"{near.mean():.3f} of {near.size}", "", None),
    ]


def _fall_during(steps: np.ndarray, loss: np.ndarray, times: Sequence[float], reach: float) -> tuple[float, float]:
    """(share of the time, share of the fall of the loss) within `reach` of any of these times."""
    middle, fall, length = (steps[1:] + steps[:-1]) / 2, -np.diff(loss), np.diff(steps)
    inside = np.array([any(abs(time - moment) <= reach for moment in times) for time in middle], bool)
    return float(length[inside].sum() / length.sum()), float(fall[inside].sum() / (fall.sum() or 1.0))


experiment = Experiment(
    question="Are features learned in jumps between levels of their dimensionality?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 7",
    sweeps=sweeps,
    figures=[energy_levels],
    findings=[jumps_between_levels],
)
