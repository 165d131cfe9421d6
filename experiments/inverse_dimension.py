"""Inverse dimension: when does the loss fall as 1/m, whatever the frequencies? Liu, Liu & Gore 2025, arXiv 2505.10465.

A tied ReLU autoencoder stores features of power-law frequencies, and weight decay is the knob. Decay drops the rare
ones (weak superposition): the loss is what the dropped ones carry. Rows pulled towards unit length keep all of them
(strong superposition): the loss is what they overlap, and squared overlaps of rows in m dimensions are about 1/m.
"""

from collections.abc import Iterator

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.geometry import per_model
from toymodels.analysis.scaling import exponents, local_exponents, random_rows_loss, squared_cosine
from toymodels.analysis.statistics import interval
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
    p = np.array([_data(decays, power).marginals() for power in W.power.values], float)
    # Of values U[0, 2]: the loss of a dropped feature at its best bias.
    variance = xr.DataArray(4 * p / 3 - p**2, dims=("power", "feature"), coords={"power": W.power})
    found = {"loss": last.where(decays.data.status == OK), "fraction": kept.mean("feature", skipna=False)}
    found["overlap"] = per_model(lambda W: squared_cosine(W, REPRESENTED), W)
    found["dropped"] = ((1 - kept) * variance).sum("feature", skipna=False)
    return xr.Dataset({**found, "variance": variance.sum("feature")}, attrs={"n": W.sizes["feature"]})


def random_rows(decays: Swept) -> xr.Dataset:
    """Least loss of random unit rows with one length and one bias for all: eight draws of rows and of examples."""
    m, powers = decays.data.m.values, decays.data.power.values
    laws = [_data(decays, power) for power in powers]
    samples = ([data.sample(jax.random.key(seed), 1024) for data in laws] for seed in range(8))
    found = [[random_rows_loss(x, m.tolist(), seed) for x in each] for seed, each in enumerate(samples)]
    return xr.Dataset({"loss": (("draw", "power", "m"), np.array(found))}, coords={"power": powers, "m": m})


def _data(decays: Swept, power: float) -> Sparse:
    return next(run.problem.data for run in decays.sweep.runs() if run.problem.data.p.exponent == power)


# -------------------------------------------------------------------------------------------------------------- figures

COLOURS = (draw.BLUE, draw.SKY, draw.GREEN, draw.ORANGE, draw.RED)


def _by_decay(models: xr.Dataset) -> Iterator[tuple[xr.Dataset, dict[str, str]]]:
    """The models at each weight decay, with their look."""
    for place, decay in enumerate(models.decay.values):
        colour = COLOURS[round(place * (len(COLOURS) - 1) / max(models.decay.size - 1, 1))]
        yield models.sel(decay=decay), {"label": f"decay {decay:g}".replace("-", "−"), "colour": colour}


def _law(power: float) -> str:
    return f"$p_i \\propto i^{{-{power:g}}}$"


def _range(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    return values.min("seed"), values.mean("seed"), values.max("seed")


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
            draw.band(ax, m, *_range(cells.loss), marker="o", ms=2.5, **look)
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
        draw.band(axes[0], m, *_range(cells.fraction.isel(power=0)), **look)
        draw.band(axes[0], m, *_range(cells.fraction.isel(power=-1)), colour=look["colour"], ls="--")
    for power, shift in zip(models.power.values, draw.shifts(models.power.size), strict=True):
        line = draw.band(axes[1], m, *_range((strong.overlap * strong.m).sel(power=power)), _law(power), marker="o")
        slopes = interval(exponents(models.loss.sel(power=power)).transpose("decay", "seed").values, axis=1)
        draw.points(axes[2], models.decay.values, slopes, _law(power), line.get_color(), shift=shift)
    draw.theory(axes[1], m, (n - m) / (n - 1), "Welch bound")
    axes[0].set(xlabel="hidden dimension $m$", ylabel="fraction represented", ylim=(-0.03, 1.45), yticks=[0, 0.5, 1])
    axes[1].set(xlabel="hidden dimension $m$", ylabel="squared cosine, over $1/m$", ylim=(0, 1.6))
    axes[2].set(xlabel="weight decay", ylabel="exponent of the loss in $m$", ylim=(0, None))
    draw.levels(axes[2], [1.0])
    draw.log_axis(axes[0], "x", at=m)
    draw.log_axis(axes[1], "x", at=m)
    laws = {_law(power): dash for power, dash in zip(models.power.values[[0, -1]], ("-", "--"), strict=True)}
    draw.legend(axes[0], laws, fontsize=6, loc="upper center", ncols=2, columnspacing=1)
    draw.legend(axes[1], loc="lower left")
    draw.legend(axes[2], loc="lower left")
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


def exponents_of_the_loss(models: xr.Dataset, random_rows: xr.Dataset) -> Iterator[Finding]:
    """At the strongest pull to unit length, over the same widths: trained and random rows, overlaps."""
    strong = models.sel(decay=models.decay.min())
    wide = (models.attrs["n"] / models.m >= NARROW) & (random_rows.loss.mean("draw") < SILENT)
    for power in models.power.values.tolist():
        at, law = {"power": power}, f"frequencies i^-{power:g}"
        trained, overlap, random = (
            local_exponents(each.sel(at)) for each in (strong.loss, strong.overlap, random_rows.loss)
        )
        yield report("exponents-by-width", f"{law}: exponent of the loss, trained", mean(trained), settings=at)
        yield report("random-by-width", f"{law}: exponent of the loss, random rows", mean(random, "draw"), settings=at)
        other = f"{law}: exponent of the loss over all widths, by weight decay"
        yield report("exponents-by-decay", other, mean(exponents(models.loss.sel(at))), settings=at)
        judged = {"widths": wide.sel(at).values[1:] & wide.sel(at).values[:-1]}
        if not judged["widths"].any():
            continue
        what, measured = f"{law}: exponent of the loss of random unit rows", mean(random[judged], "draw")
        source = ours(f"limit; {PAPER}: 1, by geometry")
        yield Finding("random-rows", what, measured, Near(1, 0.2), source, settings=at, revised=SAME_WIDTHS)
        what, measured = f"{law}: exponent of the loss less that of the mean squared cosine", trained - overlap
        source = ours(f"limit; {PAPER}: the loss falls as squared overlaps do")
        yield Finding("as-overlaps", what, mean(measured[judged]), Near(0, 0.15), source, settings=at, revised=OVERLAPS)
        if power in PUBLISHED:
            (target, source), what = PUBLISHED[power], f"{law}: exponent of the loss of rows pulled to unit length"
            measured = mean(trained[judged])
            yield Finding("trained", what, measured, Near(target, 0.15), source, settings=at, revised=SAME_WIDTHS)


SAME_WIDTHS = (
    "was a line through all widths for trained rows and through the wider ones for random rows; now both between the "
    f"same neighbouring widths, where n/m is at least {NARROW} and random rows store something"
)
OVERLAPS = (
    "was that the exponent of the overlaps is near 1, which follows from the Welch bound; now that the loss has it"
)


def strong_superposition(models: xr.Dataset) -> Iterator[Finding]:
    """Rows that are pulled to unit length are all represented, near the least possible overlap."""
    strong, m, n = models.sel(decay=models.decay.min()), models.m, models.attrs["n"]
    what = f"fraction of features represented, decay {float(strong.decay):g}, least over widths and frequencies"
    least = mean(strong.fraction.min(["m", "power"]))
    yield Finding("all-represented", what, least, AtLeast(0.99), ours("limit; the pull leaves no short rows"), "check")
    over_bound = strong.overlap * m * (n - 1) / (n - m)
    for power in models.power.values.tolist():
        at, law = {"power": power}, f"frequencies i^-{power:g}"
        overlap = mean(exponents(strong.overlap.sel(at)))
        yield report("exponent-of-overlaps", f"{law}: exponent of the mean squared cosine", overlap, settings=at)
        what = f"{law}: mean squared cosine over its Welch bound (n - m) / (n - 1) / m"
        yield report("overlaps-over-bound", what, mean(over_bound.sel(at)), settings=at)


def weak_superposition(models: xr.Dataset) -> Iterator[Finding]:
    """At the largest decay, where under half of the features are represented, the loss is what the others carry; so it
    would fall as m^-alpha, were as many features represented as there are dimensions."""
    weak, steepest = models.sel(decay=models.decay.max()), float(models.power.max())
    decay, narrow = f"decay {float(weak.decay):g}", weak.isel(m=0)
    what = f"fraction of features represented, {decay}, m = {int(narrow.m)}"
    yield Finding("few-represented", what, mean(narrow.fraction), Below(0.25), ours(f"limit; {PAPER}: few"))
    ratio = (weak.loss / weak.dropped).where(weak.fraction < 0.5).median("m")
    for power in models.power.values.tolist():
        what = f"frequencies i^-{power:g}, {decay}: loss over the variance of dropped features, median over widths"
        source, revised = (
            ours(f"tolerance; {PAPER}: equal"),
            "was the median of all cells; now of each seed, then meaned",
        )
        measured, at = mean(ratio.sel(power=power)), {"power": power}
        yield Finding("loss-of-dropped", what, measured, Near(1, 0.25), source, settings=at, revised=revised)
    what, slope = (
        f"frequencies i^-{steepest:g}, {decay}: exponent of the loss in m",
        mean(exponents(weak.loss.sel(power=steepest))),
    )
    source = ours(
        f"tolerance; {PAPER}: the frequencies of the dropped features, which sum to about m^-{steepest - 1:g}"
    )
    yield Finding("exponent-when-weak", what, slope, Near(steepest - 1, 0.25), source)


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
