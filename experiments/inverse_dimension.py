"""Inverse dimension: when does the loss fall as 1/m, whatever the frequencies? Liu, Liu & Gore 2025, arXiv 2505.10465.

A tied ReLU autoencoder stores features of power-law frequencies, and weight decay is the knob. Decay drops the rare
ones (weak superposition): the loss is what the dropped ones carry. Rows pulled towards unit length keep all of them
(strong superposition): the loss is what they overlap, and squared overlaps of rows in m dimensions are about 1/m.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.geometry import per_model
from toymodels.analysis.scaling import exponents, local_exponents, random_rows_loss, squared_cosine
from toymodels.analysis.statistics import interval, spread
from toymodels.config import replace
from toymodels.data import Sparse, Uniform
from toymodels.estimates import mean
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, Below, Finding, Near, ours, read_off, report, stated
from toymodels.laws import PowerLaw
from toymodels.models import Tied
from toymodels.optimizers import Cosine, RowDecay
from toymodels.problems.supervised import Supervised
from toymodels.results import OK

PAPER = "Liu, Liu & Gore 2025"
PUBLISHED = {0.5: (1.0, stated(PAPER)), 1.0: (1.0, stated(PAPER)), 2.0: (1.3, read_off(PAPER))}
"""Exponents of the loss under strong superposition, by that of the frequencies; tolerances are ours."""
REPRESENTED = 0.5
"""Length above which a row counts as a represented feature, as published."""
NARROW = 10
"""Least n/m at which exponents are judged: that of the widest published models."""
SILENT = 1.0
"""Loss from which random rows store next to nothing: three quarters of E|x|² = 4/3, the loss of an output of zeros."""


def published(run: Run) -> Run:
    """One feature is on at a time on average; W starts normal with variance 1/m, in rows of length near 1."""
    n, m = run.problem.data.n, run.problem.model.m
    first = float(1 / (np.arange(1, n + 1.0) ** -run.problem.data.p.exponent).sum())
    return replace(run, {"problem.data.p.first": first, "problem.model.scale": float(np.sqrt((n + m) / (2 * m)))})


problem = Supervised(Sparse(256, PowerLaw(1.0), Uniform(0.0, 2.0)), Tied(5))
optimizer = RowDecay(Cosine(1e-2, warmup=0.1, floor=0.05))
axes = [
    Axis("m", "problem.model.m", [5, 8, 13, 21, 34]),
    Axis("power", "problem.data.p.exponent", [0.5, 1.0, 2.0]),
    Axis("decay", "optimizer.decay", [-1.0, 0.0, 0.3, 1.0]),
    Axis("seed", "seed", range(8)),
]
decays = Sweep(Run(problem, optimizer, steps=1500, batch=256, record=Record(20, 2, examples=4096)), axes, published)
tiny = {"problem.data.n": 80, "steps": 200, "batch": 64, "m": [4, 8], "power": [1.0, 2.0], "decay": [-1.0, 1.0]}
full = {"problem.data.n": 1000, "steps": 20_000, "batch": 2048, "m": np.geomspace(10, 100, 6).astype(int).tolist()}
full |= {"power": np.linspace(0, 2, 17).tolist(), "decay": np.linspace(-1, 1, 10).tolist(), "seed": [0]}


# ------------------------------------------------------------------------------------------------------------- readings


def models(decays: Swept) -> xr.Dataset:
    """Of every model that has converged: its loss, the fraction of features represented, their mean squared cosine, and
    the variance of the others. Of every law of frequencies: the variance of all features."""
    W, last = decays.final(), decays.data.objective.isel(step=-1, drop=True).astype(float)
    kept = per_model(lambda W: np.linalg.norm(W, axis=1) > REPRESENTED, W, features=True)
    laws = [_data(decays, power) for power in W.power.values]
    # The loss of a dropped feature at its best bias is its variance.
    own = np.array([np.diag(data.second_moment()) - data.mean() ** 2 for data in laws], float)
    variance = xr.DataArray(own, dims=("power", "feature"), coords={"power": W.power})
    found = {"loss": last.where(decays.data.status == OK), "fraction": kept.mean("feature", skipna=False)}
    found["overlap"] = per_model(lambda W: squared_cosine(W, REPRESENTED), W)
    found["dropped"] = ((1 - kept) * variance).sum("feature", skipna=False)
    return xr.Dataset({**found, "variance": variance.sum("feature")}, attrs={"n": W.sizes["feature"]})


def random_rows(decays: Swept) -> xr.Dataset:
    """Least loss of random unit rows with one length and one bias for all; draws of rows and of examples."""
    m, powers = decays.data.m.values, decays.data.power.values
    laws = [_data(decays, power) for power in powers]
    samples = ([data.sample(jax.random.key(seed), 1024) for data in laws] for seed in range(24))
    found = [[random_rows_loss(x, m.tolist(), seed) for x in each] for seed, each in enumerate(samples)]
    return xr.Dataset({"loss": (("draw", "power", "m"), np.array(found))}, coords={"power": powers, "m": m})


def _data(decays: Swept, power: float) -> Sparse:
    return next(run.problem.data for run in decays.sweep.runs() if run.problem.data.p.exponent == power)


# -------------------------------------------------------------------------------------------------------------- figures

COLOURS = (draw.BLUE, draw.SKY, draw.GREEN, draw.ORANGE, draw.RED)


def _by_decay(models: xr.Dataset) -> Iterator[tuple[xr.Dataset, dict[str, str]]]:
    """The models at each weight decay, with their look."""
    places = np.linspace(0, len(COLOURS) - 1, models.decay.size).round().astype(int)
    for decay, colour in zip(models.decay.values, np.array(COLOURS)[places].tolist(), strict=True):
        yield models.sel(decay=decay), {"label": f"decay {decay:g}".replace("-", "−"), "colour": colour}


def _law(power: float) -> str:
    return f"$p_i \\propto i^{{-{power:g}}}$"


def losses_by_width(decays: Swept, models: xr.Dataset, random_rows: xr.Dataset) -> Figure:
    """Final loss against the hidden dimension m, one panel for each law of frequencies, one colour for each weight
    decay (-1: rows pulled to unit length): means, with bands from the least to the largest seed. Dashed: random
    directions with one length and one bias for all features, both best. Dotted: proportional to 1/m. Light grey: all
    features dropped, each at its own best bias, which one common bias cannot match."""
    m, powers = models.m.values, models.power.values
    shown = powers[np.unique(np.linspace(0, len(powers) - 1, 3).round().astype(int))]
    figure, axes = draw.panels(1, len(shown), sharex=True, squeeze=False)
    for ax, power in zip(axes[0], shown, strict=True):
        for cells, look in _by_decay(models.sel(power=power)):
            draw.band(ax, m, spread(cells.loss), marker="o", ms=2.5, **look)
        random = random_rows.loss.sel(power=power).mean("draw").values
        draw.theory(ax, m, random, "random rows")
        draw.theory(ax, m, random[-1] * m[-1] / m, "$1/m$", dash=draw.DOTTED)
        ax.axhline(float(models.variance.sel(power=power)), color="0.8", lw=0.8, zorder=0, label="all dropped")
        ax.set(xlabel="hidden dimension $m$", title=_law(power))
        draw.log_axis(ax, "x", at=m)
        draw.log_axis(ax, "y")
    draw.outer_labels(axes, y="loss")
    draw.legend_below(figure, axes)
    draw.excluded(axes[0, -1], decays.left_out())
    return figure


def overlaps_and_exponents(decays: Swept, models: xr.Dataset) -> Figure:
    """a: fraction of features represented (rows longer than 1/2) against m; one colour a weight decay, the flattest law
    of frequencies solid, the steepest dashed. b: mean squared cosine of represented features, over 1/m, at the
    strongest pull to unit length, with bands from the least to the largest seed; dashed grey: the Welch bound. c:
    exponent of the loss in m, minus the slope of one line through all m in logarithms, against weight decay, with 95 %
    bootstrap intervals over seeds; dashed grey: 1."""
    m, n, strong = models.m.values, models.attrs["n"], models.sel(decay=models.decay.min())
    figure, axes = draw.panels(1, 3, height=2.6)
    for cells, look in _by_decay(models):
        draw.band(axes[0], m, spread(cells.fraction.isel(power=0)), **look)
        draw.band(axes[0], m, spread(cells.fraction.isel(power=-1)), colour=look["colour"], ls="--")
    for power, shift in zip(models.power.values, draw.shifts(models.power.size), strict=True):
        over, slopes = spread((strong.overlap * strong.m).sel(power=power)), exponents(models.loss.sel(power=power))
        colour = draw.band(axes[1], m, over, label=_law(power), marker="o").get_color()
        draw.points(axes[2], models.decay, interval(slopes, axis=1), _law(power), colour, shift=shift)
    draw.theory(axes[1], m, (n - m) / (n - 1), "Welch bound")
    axes[0].set(xlabel="hidden dimension $m$", ylabel="fraction represented", ylim=(-0.03, 1.45), yticks=[0, 0.5, 1])
    axes[1].set(xlabel="hidden dimension $m$", ylabel="squared cosine, over $1/m$", ylim=(0, 1.6))
    axes[2].set(xlabel="weight decay", ylabel="exponent of the loss in $m$", ylim=(0, None))
    draw.levels(axes[2], [1.0])
    for ax in axes[:2]:
        draw.log_axis(ax, "x", at=m)
    laws = {_law(power): dash for power, dash in zip(models.power.values[[0, -1]], ("-", "--"), strict=True)}
    draw.legend(axes[0], laws, fontsize=6, loc="upper center", ncols=2, columnspacing=1)
    for ax in axes[1:]:
        draw.legend(ax, loc="lower left")
    draw.excluded(axes[2], decays.left_out())
    return figure


def dropped_features_and_loss(decays: Swept, models: xr.Dataset) -> Figure:
    """Final loss against what the features that are not represented carry, the sum of their variances, in every cell at
    the largest weight decay; colours: the law of frequencies; open: half of the features or more are represented, no
    longer weak superposition. Dashed: equality."""
    figure, ax = draw.panels(width=draw.COLUMN)
    weak = models.sel(decay=models.decay.max())
    weak = weak.where((weak.dropped > 0) & weak.loss.notnull())
    for power, colour in zip(models.power.values, draw.PALETTE * 3, strict=False):
        x, y, kept = (weak[name].sel(power=power).values.ravel() for name in ("dropped", "loss", "fraction"))
        draw.flagged_points(ax, x, y, kept >= 0.5, colour, _law(power), ms=2.5, mew=0.6)
    ends = [weak.loss.min(), weak.loss.max()]
    draw.theory(ax, ends, ends, "equal")
    draw.log_axis(ax, "xy")
    ax.set(xlabel="variance of the features not represented", ylabel="loss")
    draw.legend(ax)
    draw.excluded(ax, decays.left_out())
    return figure


# ------------------------------------------------------------------------------------------------------------- findings


SAME_WIDTHS = (
    "was a line through all widths for trained rows and through the wider ones for random rows; now both between the "
    f"same neighbouring widths, where n/m is at least {NARROW} and random rows store something"
)
OVERLAPS = "was that the overlaps have exponent 1, which follows from the Welch bound; now that the loss has theirs"
POOLED = "was the median of all cells; now the mean over seeds of the median over widths"


def _finding(power: float, id: str, what: str, *more: Any, **named: Any) -> Finding:
    make = Finding if len(more) > 1 else report
    return make(id, f"frequencies i^-{power:g}: {what}", *more, settings={"power": power}, **named)


def exponents_of_the_loss(models: xr.Dataset, random_rows: xr.Dataset) -> Iterator[Finding]:
    """At the strongest pull to unit length, over the same widths: trained and random rows, overlaps."""
    strong, exponent = models.sel(decay=models.decay.min()), "exponent of the loss in m"
    wide = (models.attrs["n"] / models.m >= NARROW) & (random_rows.loss.mean("draw") < SILENT)
    for power in models.power.values.tolist():
        values = (each.sel(power=power) for each in (strong.loss, strong.overlap, random_rows.loss))
        trained, overlap, random = map(local_exponents, values)
        yield _finding(power, "trained-by-width", f"{exponent}, rows pulled to unit length", mean(trained))
        yield _finding(power, "random-by-width", f"{exponent}, random unit rows", mean(random, "draw"))
        by_decay = mean(exponents(models.loss.sel(power=power)))
        yield _finding(power, "exponent-by-decay", f"{exponent} over all widths, by weight decay", by_decay)
        judged = {"widths": wide.sel(power=power).values[1:] & wide.sel(power=power).values[:-1]}
        if not judged["widths"].any():
            continue
        what, null, source = f"{exponent}, random unit rows", mean(random[judged], "draw"), ours(f"limit; {PAPER}: 1")
        yield _finding(power, "random", what, null, Near(1, 0.2), source, revised=SAME_WIDTHS)
        what, over = f"{exponent} less that of the mean squared cosine", mean((trained - overlap)[judged])
        source = ours(f"limit; {PAPER}: the loss falls as squared overlaps do")
        yield _finding(power, "as-overlaps", what, over, Near(0, 0.15), source, revised=OVERLAPS)
        if power in PUBLISHED:
            (target, source), what = PUBLISHED[power], f"{exponent}, rows pulled to unit length"
            own = mean(trained[judged])
            yield _finding(power, "trained", what, own, Near(target, 0.15), source, revised=SAME_WIDTHS)


def strong_superposition(models: xr.Dataset) -> Iterator[Finding]:
    """Rows that are pulled to unit length are all represented, near the least possible overlap."""
    strong, m, n = models.sel(decay=models.decay.min()), models.m, models.attrs["n"]
    what = f"fraction of features represented, decay {float(strong.decay):g}, least over widths and frequencies"
    least = mean(strong.fraction.min(["m", "power"]))
    yield Finding("all-represented", what, least, AtLeast(0.99), ours("limit; the pull leaves no short rows"), "check")
    over_bound = strong.overlap * m * (n - 1) / (n - m)
    for power in models.power.values.tolist():
        slope, over = mean(exponents(strong.overlap.sel(power=power))), mean(over_bound.sel(power=power))
        yield _finding(power, "exponent-of-overlaps", "exponent of the mean squared cosine in m", slope)
        yield _finding(power, "overlaps-over-bound", "mean squared cosine over its Welch bound", over)


def weak_superposition(models: xr.Dataset) -> Iterator[Finding]:
    """At the largest decay, where under half of the features are represented, the loss is what the others carry; so it
    would fall as m^(1 - power), were as many features represented as there are dimensions."""
    weak, steepest = models.sel(decay=models.decay.max()), float(models.power.max())
    decay, narrow = f"decay {float(weak.decay):g}", weak.isel(m=0)
    what, source = f"fraction of features represented, {decay}, m = {int(narrow.m)}", ours(f"limit; {PAPER}: few")
    yield Finding("few-represented", what, mean(narrow.fraction), Below(0.25), source)
    ratio = (weak.loss / weak.dropped).where(weak.fraction < 0.5).median("m")
    for power in models.power.values.tolist():
        what, source = f"{decay}, loss over the variance of dropped features", ours(f"tolerance; {PAPER}: equal")
        own = mean(ratio.sel(power=power))
        yield _finding(power, "loss-of-dropped", what, own, Near(1, 0.25), source, revised=POOLED)
    what, slope = f"{decay}, exponent of the loss in m", mean(exponents(weak.loss.sel(power=steepest)))
    source = ours(f"tolerance; {PAPER}: the sum of the frequencies of dropped features")
    yield _finding(steepest, "exponent-when-weak", what, slope, Near(steepest - 1, 0.25), source)


experiment = Experiment(
    question="When does the loss of a bottleneck fall as the inverse of its width, whatever the frequencies?",
    source="Liu, Liu & Gore 2025, Superposition Yields Robust Neural Scaling, arXiv 2505.10465",
    sweeps={"decays": decays},
    scales={"tiny": {**tiny, "seed": range(2)}, "full": full},
    readings=[models, random_rows],
    figures=[losses_by_width, overlaps_and_exponents, dropped_features_and_loss],
    findings=[exponents_of_the_loss, strong_superposition, weak_superposition],
    cost="n = 1000, six widths, 17 laws of frequencies, ten weight decays, 20,000 steps of 2048: 12 hours or more on "
    "two CPU cores, 6 programs, 350 MB",
)
