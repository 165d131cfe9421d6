"""Inverse dimension: when does the loss fall as 1/m, whatever the frequencies? Liu, Liu & Gore 2025, arXiv 2505.10465.

A tied ReLU autoencoder stores features of power-law frequencies, and weight decay is the knob. Decay drops the rare
ones (weak superposition): the loss is what the dropped ones carry. Rows pulled towards unit length keep all of them
(strong superposition): the loss is what they overlap, and squared overlaps of rows in m dimensions are about 1/m.
"""

from functools import lru_cache

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis.geometry import per_model
from toymodels.analysis.scaling import exponents, random_rows_loss, squared_cosine
from toymodels.analysis.statistics import interval, spread
from toymodels.config import replace
from toymodels.data import Sparse, Uniform
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.laws import PowerLaw
from toymodels.models import Tied
from toymodels.optimizers import Cosine, RowDecay
from toymodels.problems.supervised import Supervised

PAPER = "Liu, Liu & Gore 2025"
PUBLISHED = {-0.5: 1.0, 0.0: 1.0, 1.0: 1.3}
"""Exponents of the loss under strong superposition, by alpha: about these, for p_i ~ i^-0.5, i^-1 and i^-2."""
REPRESENTED = 0.5
"""Length above which a row counts as a represented feature, as published."""


# ------------------------------------------------------------------------------------------------------------- the grid


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    n, steps, batch = (40, 200, 64) if tiny else (1000, 20_000, 2048) if full else (256, 1500, 256)
    m = (4, 8) if tiny else np.geomspace(10, 100, 6).astype(int).tolist() if full else (5, 8, 13, 21, 34)
    alphas = [0.0, 1.0] if tiny else np.linspace(-1, 1, 17).tolist() if full else [-0.5, 0.0, 1.0]
    decays = [-1.0, 1.0] if tiny else np.linspace(-1, 1, 10).tolist() if full else [-1.0, 0.0, 0.3, 1.0]
    base = Run(
        Supervised(Sparse(n, frequencies(n, 0.0), Uniform(0.0, 2.0)), Tied(5)),
        RowDecay(Cosine(1e-2, warmup=0.1, floor=0.05)),
        steps,
        batch,
        record=Record(20, 2, examples=4096),
    )
    axes = [
        Axis("m", "problem.model.m", m),
        Choice("alpha", {alpha: {"problem.data.p": frequencies(n, alpha)} for alpha in alphas}),
        Axis("decay", "optimizer.decay", decays),
        Axis("seed", "seed", range(1 if full else 2 if tiny else 4)),
    ]
    return {"decays": Sweep(base, axes, unit_rows)}


def frequencies(n: int, alpha: float) -> PowerLaw:
    """p_i ~ i^-(1 + alpha), one feature on at a time on average."""
    return PowerLaw(1 + alpha, float(1 / (np.arange(1, n + 1.0) ** -(1 + alpha)).sum()))


def unit_rows(run: Run) -> Run:
    """W starts normal with variance 1/m, as published: rows of length near 1."""
    n, m = run.problem.data.n, run.problem.model.m
    return replace(run, {"problem.model.scale": float(np.sqrt((n + m) / (2 * m)))})


# ------------------------------------------------------------------------------------------------------- what was found


def losses(decays: Swept) -> np.ndarray:
    """(m, alpha, decay, seed) final loss, summed over features; NaN for diverged and unconverged cells."""
    ok = decays.data.status == 0
    return decays.data.objective.isel(step=-1).where(ok).transpose("m", "alpha", "decay", "seed").values.astype(float)


def weights(decays: Swept) -> np.ndarray:
    """(m, alpha, decay, seed, feature, hidden), NaN for diverged and unconverged cells."""
    return decays.final().transpose("m", "alpha", "decay", "seed", "feature", "hidden").values


def represented(decays: Swept) -> np.ndarray:
    """(m, alpha, decay, seed, feature) 1 for a represented feature, 0 for another, NaN for excluded cells."""
    return per_model(lambda W: np.linalg.norm(W, axis=1) > REPRESENTED, weights(decays), features=True)


def squared_cosines(decays: Swept) -> np.ndarray:
    """(m, alpha, decay, seed): mean over pairs of represented features."""
    return per_model(lambda W: squared_cosine(W, REPRESENTED), weights(decays))


def variances(decays: Swept, alpha: float) -> np.ndarray:
    """Var x_i = 4 p_i / 3 - p_i² for U[0, 2] values: the loss of a dropped feature at its best bias."""
    n = decays.data.sizes["feature"]
    p = np.asarray(frequencies(n, alpha).values(n), float)
    return 4 * p / 3 - p**2


@lru_cache(maxsize=32)
def random_losses(decays: Swept, alpha: float) -> np.ndarray:
    """Of random unit rows for each m, over 2048 examples."""
    rng, n = np.random.default_rng(0), decays.data.sizes["feature"]
    p = np.asarray(frequencies(n, alpha).values(n), float)
    x = np.where(rng.random((2048, n)) < p, 2 * rng.random((2048, n)), 0)
    return random_rows_loss(x, decays.data.m.values.tolist())


# -------------------------------------------------------------------------------------------------------------- figures

COLOURS = (draw.BLUE, draw.SKY, draw.GREEN, draw.ORANGE, draw.RED)


def colour(decays: Swept, place: int) -> str:
    return COLOURS[round(place * (len(COLOURS) - 1) / max(decays.data.decay.size - 1, 1))]


def losses_by_width(decays: Swept) -> Figure:
    """Final loss against the hidden dimension m, one panel for each law of frequencies p_i ~ i^-(1 + α), one colour for
    each weight decay (-1: rows pulled to unit length): means and ranges over seeds. Dashed: random directions with one
    length and one bias for all features, both best. Dotted: proportional to 1/m. Grey: all features dropped, each at
    its own best bias, which one common bias cannot match."""
    alphas, m, found = decays.data.alpha.values, decays.data.m.values, spread(losses(decays))
    shown = np.unique(np.linspace(0, len(alphas) - 1, 3).round().astype(int))
    figure, axes = plt.subplots(1, len(shown), figsize=(draw.PAGE, 2.5), sharex=True, squeeze=False)
    for ax, place in zip(axes[0], shown, strict=True):
        for k, decay in enumerate(decays.data.decay.values):
            ends = (end[:, place, k] for end in found)
            draw.band(
                ax, m, *ends, label=f"decay {decay:g}".replace("-", "−"), colour=colour(decays, k), marker="o"
            ).set_markersize(2.5)
        random = random_losses(decays, alphas[place])
        ax.plot(m, random, color=draw.THEORY, ls=(0, (4, 2)), lw=0.9, label="random rows")
        ax.plot(m, random[-1] * m[-1] / m, color=draw.THEORY, ls=":", lw=0.9, label="$1/m$")
        ax.axhline(variances(decays, alphas[place]).sum(), color="0.8", lw=0.8, zorder=0, label="all dropped")
        ax.set(
            xscale="log", yscale="log", xlabel="hidden dimension $m$", title=f"α = {alphas[place]:g}".replace("-", "−")
        )
        _width_ticks(ax, m)
        _loss_ticks(ax)
    axes[0, 0].set_ylabel("loss")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, columnspacing=1)
    draw.excluded(axes[0, -1], decays.left_out())
    draw.panel_labels(axes)
    return figure


def _width_ticks(ax: Axes, m: np.ndarray) -> None:
    ax.set_xticks(m, [str(each) for each in m])
    ax.xaxis.set_minor_locator(NullLocator())


def _loss_ticks(ax: Axes) -> None:
    ticks = np.array([digit * 10.0**decade for decade in range(-4, 2) for digit in (1, 2, 5)])
    low, high = ax.get_ylim()
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    ticks = ticks if len(ticks) <= 6 else ticks[np.isclose(np.log10(ticks) % 1, 0)]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.yaxis.set_minor_formatter(NullFormatter())


def overlaps_and_exponents(decays: Swept) -> Figure:
    """a: fraction of features represented (rows longer than 1/2) against m; one colour a weight decay, the flattest law
    of frequencies solid, the steepest dashed. b: mean squared cosine of represented features, over 1/m, at the
    strongest pull to unit length; dashed: the Welch bound. c: exponent of the loss in m, minus the slope of one
    straight line through all m in logarithms, which the curves of `losses_by_width` are not quite, against weight
    decay, by law of frequencies p_i ~ i^-(1 + α), with 95 % bootstrap intervals over seeds; dashed: 1."""
    figure, axes = plt.subplots(1, 3, figsize=(draw.PAGE, 2.6))
    data, m = decays.data, decays.data.m.values
    kept = spread(represented(decays).mean(-1))
    cosines = spread(squared_cosines(decays) * m[:, None, None, None])
    for k, decay in enumerate(data.decay.values):
        for place in (0, -1):
            ends = (end[:, place, k] for end in kept)
            label = None if place else f"decay {decay:g}".replace("-", "−")
            draw.band(axes[0], m, *ends, label=label, colour=colour(decays, k)).set_linestyle("--" if place else "-")
    strong, n = int(data.decay.values.argmin()), data.sizes["feature"]
    for place, alpha in enumerate(data.alpha.values):
        line = draw.band(
            axes[1],
            m,
            *(end[:, place, strong] for end in cosines),
            label=f"α = {alpha:g}".replace("-", "−"),
            marker="o",
        )
        slope = interval(exponents(m, losses(decays))[place], axis=1)
        x = data.decay.values + 0.02 * (place - (data.alpha.size - 1) / 2)
        axes[2].plot(x, slope.mean, "o", color=line.get_color(), label=f"α = {alpha:g}".replace("-", "−"))
        axes[2].vlines(x, slope.low, slope.high, color=line.get_color(), lw=0.9)
    axes[1].plot(m, (n - m) / (n - 1), color=draw.THEORY, ls=(0, (4, 2)), lw=0.9, label="Welch bound")
    draw.levels(axes[2], [1.0])
    for ax in axes[:2]:
        ax.set(xscale="log", xlabel="hidden dimension $m$")
        _width_ticks(ax, m)
    axes[0].set(ylabel="fraction represented", ylim=(-0.03, 1.05))
    axes[1].set(ylabel="squared cosine, over $1/m$", ylim=(0, 1.6))
    axes[2].set(xlabel="weight decay", ylabel="exponent of the loss in $m$", ylim=(0, None))
    for ax, place in zip(axes, ("upper center", "lower left", "lower left"), strict=True):
        ax.legend(fontsize=6.5, loc=place, ncols=2 if ax is axes[0] else 1, columnspacing=1)
    axes[0].set_ylim(-0.03, 1.35)
    axes[0].set_yticks([0, 0.5, 1])
    draw.excluded(axes[2], decays.left_out())
    draw.panel_labels(axes)
    return figure


def dropped_features_and_loss(decays: Swept) -> Figure:
    """Final loss against what the features that are not represented carry, the sum of their variances, in every cell at
    the largest weight decay; colours: the law of frequencies p_i ~ i^-(1 + α); open: half of the features or more are
    represented, no longer weak superposition. Dashed: equality."""
    figure, ax = plt.subplots(figsize=(draw.COLUMN, 2.5))
    carried, found, weak = (values[:, :, -1] for values in (dropped(decays), losses(decays), is_weak(decays)))
    shown = np.isfinite(found) & (carried > 0)
    for place, alpha in enumerate(decays.data.alpha.values):
        x, y, kept = (np.asarray(each[:, place])[shown[:, place]] for each in (carried, found, weak))
        draw.flagged_points(
            ax, x, y, ~kept, draw.PALETTE[place % len(draw.PALETTE)], label=f"α = {alpha:g}".replace("-", "−")
        )
    for dots in ax.lines:
        dots.set(markersize=2.5, markeredgewidth=0.6)
    if shown.any():
        ends = [found[shown].min(), found[shown].max()]
        ax.plot(ends, ends, color=draw.THEORY, ls=(0, (4, 2)), lw=0.9, zorder=0)
    ax.set(xscale="log", yscale="log", xlabel="variance of the features not represented", ylabel="loss")
    ax.legend()
    draw.excluded(ax, decays.left_out())
    return figure


def is_weak(decays: Swept) -> np.ndarray:
    """(m, alpha, decay, seed) whether fewer than half of the features are represented."""
    return represented(decays).mean(-1) < 0.5


def dropped(decays: Swept) -> np.ndarray:
    """(m, alpha, decay, seed) sum of the variances of features that are not represented."""
    carried = np.array([variances(decays, float(alpha)) for alpha in decays.data.alpha.values])
    return ((1 - represented(decays)) * carried[:, None, None]).sum(-1)


# ------------------------------------------------------------------------------------------------------------- findings


def exponents_of_the_loss(decays: Swept) -> list[Finding]:
    """At the strongest pull to unit length, trained rows and random ones; then by weight decay."""
    m, data, found = decays.data.m.values, decays.data, []
    slopes = exponents(m, losses(decays))
    strong = int(data.decay.values.argmin())
    for place, alpha in enumerate(data.alpha.values):
        trained = interval(slopes[place, strong])
        random = random_losses(decays, alpha)
        steep = random < 1  # three quarters of E|x|² = 4/3, which is the loss of an output of zeros
        what = f"alpha = {alpha:g}, decay {data.decay.values[strong]:g}"
        published = PUBLISHED.get(float(alpha))
        near = None if published is None else bool(abs(trained.mean - published) <= 0.15)
        expected = "" if published is None else f"{published:g} within .15"
        found.append(Finding(f"{what}: exponent of the loss in m", f"{trained:.2f}", expected, near, PAPER))
        if steep.sum() > 1:
            own = float(exponents(m[steep], random[steep]))
            what = f"alpha = {alpha:g}, random unit rows, from m = {m[steep][0]}: exponent"
            found.append(Finding(what, f"{own:.2f}", "1 within .2", bool(abs(own - 1) <= 0.2), f"{PAPER}, geometry"))
    for place, alpha in enumerate(data.alpha.values):
        others = [k for k in range(data.decay.size) if k != strong]
        text = "; ".join(f"{data.decay.values[k]:g}: {interval(slopes[place, k]):.2f}" for k in others)
        found.append(Finding(f"alpha = {alpha:g}: exponents at other weight decays", text, "", None))
    return found


def strong_superposition(decays: Swept) -> list[Finding]:
    """All features are represented where rows are pulled to unit length, and their overlaps are those of 1/m."""
    m, data = decays.data.m.values, decays.data
    strong, weak = int(data.decay.values.argmin()), int(data.decay.values.argmax())
    kept = spread(represented(decays).mean(-1))
    share = kept.mean[:, :, strong]
    found = [
        Finding(
            f"fraction of features represented, decay {data.decay.values[strong]:g}",
            f"{share.min():.3f} to {share.max():.3f}",
            "1 within .01",
            bool(share.min() >= 0.99),
            PAPER,
        ),
        Finding(
            f"the same, decay {data.decay.values[weak]:g}, least m",
            ", ".join(
                f"{value:.3f} (alpha = {alpha:g})"
                for value, alpha in zip(kept.mean[0, :, weak], data.alpha.values, strict=True)
            ),
            "under a quarter",
            bool((kept.mean[0, :, weak] < 0.25).all()),
            PAPER,
        ),
    ]
    slopes = exponents(m, squared_cosines(decays))
    for place, alpha in enumerate(data.alpha.values):
        slope = interval(slopes[place, strong])
        what = f"alpha = {alpha:g}: exponent of the mean squared cosine in m"
        near = bool(abs(slope.mean - 1) <= 0.15)
        found.append(Finding(what, f"{slope:.2f}", "1 within .15", near, f"{PAPER}; Welch bound (n - m) / (n - 1) / m"))
    return found


def weak_superposition(decays: Swept) -> list[Finding]:
    """At the largest decay, where under half of the features are represented, the loss is what the others carry; so it
    would fall as m^-alpha, were as many features represented as there are dimensions."""
    m, data, found = decays.data.m.values, decays.data, []
    weak, carried = is_weak(decays)[:, :, -1], dropped(decays)[:, :, -1]
    ratio = np.where(weak, losses(decays)[:, :, -1] / np.where(weak, carried, 1), np.nan)
    for place, alpha in enumerate(data.alpha.values):
        values = ratio[:, place][np.isfinite(ratio[:, place])]
        middle, low, high = np.quantile(values, [0.5, 0, 1]) if values.size else [np.nan] * 3
        what = f"alpha = {alpha:g}, decay {data.decay.values[-1]:g}: loss over the variance of dropped features"
        text = f"{middle:.2f} (median of {values.size}; {low:.2f} to {high:.2f})"
        found.append(Finding(what, text, "1 within .25", bool(0.75 <= middle <= 1.25), PAPER))
    steepest = data.alpha.values[-1]
    slope = interval(exponents(m, losses(decays))[-1, -1])
    what = f"alpha = {steepest:g}, decay {data.decay.values[-1]:g}: exponent of the loss in m"
    near = bool(abs(slope.mean - steepest) <= 0.25)
    return [*found, Finding(what, f"{slope:.2f}", f"{steepest:g} within .25", near, f"{PAPER}, weak superposition")]


experiment = Experiment(
    question="When does the loss of a bottleneck fall as the inverse of its width, whatever the frequencies?",
    source="Liu, Liu & Gore 2025, Superposition Yields Robust Neural Scaling, arXiv 2505.10465",
    sweeps=sweeps,
    figures=[losses_by_width, overlaps_and_exponents, dropped_features_and_loss],
    findings=[exponents_of_the_loss, strong_superposition, weak_superposition],
    cost="n = 1000, six widths, 17 laws of frequencies, ten weight decays, 20,000 steps of 2048: 12 hours or more on "
    "two CPU cores, 6 programs, 350 MB",
)
