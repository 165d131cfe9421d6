"""Inverse dimension: when does the loss fall as 1/m, whatever the frequencies? Liu, Liu & Gore 2025, arXiv 2505.10465.

A tied ReLU autoencoder stores features of power-law frequencies. Weight decay drops the rare ones (weak superposition):
the loss is what these carry. Rows pulled towards unit length keep all of them (strong superposition): the loss is what
they overlap, and squared overlaps of rows in m dimensions are about 1/m."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Axis, Cosine, PowerLaw, Record, RowDecay, Run, Supervised, Sweep, Tied, draw
from toymodels.analysis.geometry import per_model
from toymodels.analysis.labelled import over_seeds
from toymodels.analysis.scaling import exponents, local_exponents, neighbours, random_rows_losses, squared_cosine
from toymodels.config import replace
from toymodels.data import Sparse, Uniform, covariance
from toymodels.estimates import mean
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, Below, Finding, Near, ours, read_off, report, stated
from toymodels.results import OK

PAPER = "Liu, Liu & Gore 2025"
PUBLISHED = {0.5: (1.0, stated(PAPER)), 1.0: (1.0, stated(PAPER)), 2.0: (1.3, read_off(PAPER))}
"""Exponents of the loss under strong superposition, by that of the frequencies; tolerances are ours."""
REPRESENTED, NARROW, SILENT = 0.5, 10, 1.0
"""Length above which a row is a represented feature, as published. Exponents are judged from n/m of the widest
published models on, where random rows store something: below a loss of 1, three quarters of that of zeros, 4/3."""
SAME_WIDTHS = "was all widths (random rows: wider ones); now the same: n/m >= 10, where random rows store something"
OVERLAPS = "was that the overlaps have exponent 1, which follows from the Welch bound; now that the loss has theirs"
POOLED = "was the median of all cells; now the mean over seeds of the median over widths"
COLOURS = (draw.BLUE, draw.SKY, draw.GREEN, draw.ORANGE, draw.RED) * 2
name, law = "decay ${:g}$".format, "$p_i \\propto i^{{-{:g}}}$".format


def published(run: Run) -> Run:
    """One feature is on at a time on average; W starts normal with variance 1/m, in rows of length near 1."""
    n, m = run.problem.data.n, run.problem.model.m
    first = float(1 / (np.arange(1, n + 1.0) ** -run.problem.data.p.exponent).sum())
    return replace(run, {"problem.data.p.first": first, "problem.model.scale": float(np.sqrt((n + m) / (2 * m)))})


problem = Supervised(Sparse(256, PowerLaw(1.0), Uniform(0.0, 2.0)), Tied(5))
m, power = Axis("m", "problem.model.m", [5, 8, 13, 21, 34]), Axis("power", "problem.data.p.exponent", [0.5, 1.0, 2.0])
decay, seed = Axis("decay", "optimizer.decay", [-1.0, 0.0, 0.3, 1.0]), Axis("seed", "seed", range(8))
run = Run(problem, RowDecay(Cosine(1e-2, warmup=0.1, floor=0.05)), 1500, 256, record=Record(20, 2, examples=4096))
decays = Sweep(run, [m, power, decay, seed], published)
tiny = {"problem.data.n": 80, "steps": 200, "batch": 64, "m": [4, 8], "power": [1.0, 2.0], "decay": [-1.0, 1.0]}
full = {"problem.data.n": 1000, "steps": 20_000, "batch": 2048, "m": np.geomspace(10, 100, 6).astype(int).tolist()}
full |= {"power": np.linspace(0, 2, 17).tolist(), "decay": np.linspace(-1, 1, 10).tolist(), "seed": [0]}


# ------------------------------------------------------------------------------------------------------------- readings
def models(decays: Swept) -> xr.Dataset:
    """Of every model that has converged: its loss, the fraction of features represented, their mean squared cosine, and
    the variance of the others, their loss at their best bias. Of every law of frequencies: that of all features."""
    W, last = decays.final(), decays.data.objective.isel(step=-1, drop=True).astype(float)
    kept = per_model(lambda W: np.linalg.norm(W, axis=1) > REPRESENTED, W, features=True)
    variance = xr.DataArray([np.diag(covariance(x)) for x in _laws(decays)], {"power": W.power}, ("power", "feature"))
    found = {"loss": last.where(decays.data.status == OK), "fraction": kept.mean("feature", skipna=False)}
    found["overlap"] = per_model(lambda W: squared_cosine(W, REPRESENTED), W)
    found["dropped"] = ((1 - kept) * variance).sum("feature", skipna=False)
    return xr.Dataset({**found, "variance": variance.sum("feature")}, attrs={"n": W.sizes["feature"]})


def random_rows(decays: Swept) -> xr.Dataset:
    """Least loss of random unit rows with one length and one bias for all; draws of rows and of examples."""
    loss = random_rows_losses(_laws(decays), decays.data.m.values.tolist(), draws=24)
    return xr.Dataset({"loss": (("draw", "power", "m"), loss)}, {"power": decays.data.power, "m": decays.data.m})


def _laws(decays: Swept) -> list[Sparse]:
    return list({run.problem.data.p.exponent: run.problem.data for run in decays.sweep.runs()}.values())


# -------------------------------------------------------------------------------------------------------------- figures
def losses_by_width(decays: Swept, models: xr.Dataset, random_rows: xr.Dataset) -> Figure:
    """Final loss against the hidden dimension m, by weight decay (-1: rows pulled to unit length): means over seeds.
    Cells that have not converged are left out, and with them decay 0, where most have not. Random rows: random
    directions with one length and one bias for all features, both best. All dropped: each feature at a best bias of its
    own, not a common one."""
    m, shown = models.m.values, models.power.values[:: max(1, (models.power.size - 1) // 2)]
    figure, axes = draw.panels(1, len(shown), sharex=True, squeeze=False)
    for ax, power in zip(axes[0], shown, strict=True):
        cells, random = models.sel(power=power), random_rows.loss.sel(power=power).mean("draw").values
        for decay, colour in _mostly_converged(models).items():
            draw.band(ax, m, over_seeds(cells.loss.sel(decay=decay)), label=name(decay), colour=colour, marker="o")
        draw.theory(ax, m, random, "random rows")
        draw.theory(ax, m, random[-1] * m[-1] / m, "$1/m$", dash=draw.DOTTED)
        ax.axhline(float(cells.variance), color="0.8", lw=0.8, zorder=0, label="all dropped")
        draw.log_axis(ax, "xy")
        draw.ticks(ax, "x", m)
    draw.outer_labels(axes, x="hidden dimension $m$", y="loss", titles=[law(power) for power in shown])
    draw.legend_below(figure, axes, {"range of seeds": draw.shade()})
    draw.excluded(axes[0, -1], decays.left_out())
    return figure


def _mostly_converged(models: xr.Dataset) -> dict[float, str]:
    """Colours of the decays at which most cells have converged; the others have no means to show."""
    colours = dict(zip(models.decay.values.tolist(), COLOURS, strict=False))
    return {decay: colours[decay] for decay in colours if models.loss.sel(decay=decay).notnull().mean() > 0.5}


LAWS = (draw.PURPLE, draw.BLACK, draw.RED) * 6


def overlaps_and_exponents(decays: Swept, models: xr.Dataset) -> Figure:
    """a: fraction of features represented (rows longer than 1/2), under the flattest and the steepest law of
    frequencies. b: mean squared cosine of represented features, over 1/m, at the strongest pull to unit length, with
    the Welch bound. c, in the colours of b: exponent of the loss in m, minus the slope of one line through all m in
    logarithms, with 95 % intervals of the mean. Cells that have not converged are left out, and with them decay 0,
    where most have not."""
    m, n, strong = models.m.values, models.attrs["n"], models.sel(decay=models.decay.min())
    figure, (kept, cosines, slopes) = draw.panels(1, 3, height=2.9)
    shown = _mostly_converged(models)
    for decay, colour in shown.items():
        flat, steep = (over_seeds(models.fraction.sel(decay=decay).isel(power=power)) for power in (0, -1))
        draw.band(kept, m, flat, label=name(decay), colour=colour)
        draw.band(kept, m, steep, colour=colour, ls=draw.DASHED)
    for power, colour, shift in zip(models.power.values, LAWS, draw.shifts(models.power.size), strict=False):
        over = over_seeds(strong.m * strong.overlap.sel(power=power))
        draw.band(cosines, m, over, label=law(power), colour=colour, marker="o")
        own = mean(exponents(models.loss.sel(power=power, decay=list(shown)))).estimates
        draw.points(slopes, list(shown), own, colour=colour, shift=shift)
    draw.theory(cosines, m, (n - m) / (n - 1), "Welch bound (b)")
    draw.levels(slopes, [1.0], dash=draw.DOTTED)
    for ax, what, top in ((kept, "fraction represented", 1.03), (cosines, "squared cosine, over $1/m$", None)):
        ax.set(xlabel="hidden dimension $m$", ylabel=what, ylim=(-0.03, top))
        draw.log_axis(ax, "x", at=m)
    told = {"flattest law (a)": draw.key("-"), "steepest law (a)": draw.DASHED, "range of seeds (a, b)": draw.shade()}
    told |= {"exponent 1 (c)": draw.DOTTED, "95 % interval (c)": draw.whisker()}
    draw.legend_below(figure, [kept, cosines], told)
    draw.ticks(slopes, "x", list(shown))
    slopes.set(xlabel="weight decay", ylabel="exponent of the loss in $m$", ylim=(0, None))
    draw.excluded(slopes, decays.left_out())
    return figure


def dropped_features_and_loss(decays: Swept, models: xr.Dataset) -> Figure:
    """Final loss against the variance of the features that are not represented, in every cell at the largest weight
    decay. Where half of the features or more are represented, superposition is no longer weak."""
    (figure, ax), weak = draw.panels(width=draw.COLUMN, height=2.7), models.sel(decay=models.decay.max())
    for power, colour in zip(models.power.values, LAWS, strict=False):
        x, y, kept = (weak[name].sel(power=power).values.ravel() for name in ("dropped", "loss", "fraction"))
        draw.flagged_points(ax, x, y, kept >= 0.5, colour, law(power), ms=2.5, mew=0.6)
    ends = [weak.loss.min(), weak.loss.max()]
    draw.theory(ax, ends, ends, "equal")
    draw.log_axis(ax, "xy")
    ax.set(xlabel="variance of the features not represented", ylabel="loss")
    hollow = draw.key("", "0.3", marker="o", ms=2.5, mew=0.6, mfc="white")
    draw.legend_below(figure, ax, {"half or more represented": hollow}, columns=3)
    draw.excluded(ax, decays.left_out())
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def exponents_of_the_loss(models: xr.Dataset, random_rows: xr.Dataset) -> Iterator[Finding]:
    """At the strongest pull to unit length, over the same widths: trained and random rows, overlaps."""
    strong, by_decay = models.sel(decay=models.decay.min()), exponents(models.loss)
    trained, overlap, random = map(local_exponents, (strong.loss, strong.overlap, random_rows.loss))
    wide = (models.attrs["n"] / models.m >= NARROW) & (random_rows.loss.mean("draw") < SILENT)
    for power in models.power.values.tolist():
        at, of, said = {"power": power}, f"frequencies i^-{power:g}: exponent of the loss in m", f"limit; {PAPER}: "
        yield report("trained-by-width", f"{of}, rows pulled to unit length", mean(trained.sel(at)), settings=at)
        yield report("random-by-width", f"{of}, random unit rows", mean(random.sel(at), "draw"), settings=at)
        yield report("exponent-by-decay", f"{of} over all widths, by weight decay", mean(by_decay.sel(at)), settings=at)
        here = at | {"widths": neighbours(wide.sel(at))}
        if not here["widths"]:
            continue
        same, null, own = {"settings": at, "revised": SAME_WIDTHS}, mean(random.sel(here), "draw"), trained.sel(here)
        yield Finding("random", f"{of}, random unit rows", null, Near(1, 0.2), ours(f"{said}1"), **same)
        what, over = f"{of} less that of the mean squared cosine", mean(own - overlap.sel(here))
        said = ours(f"{said}the loss falls as squared overlaps do")
        yield Finding("as-overlaps", what, over, Near(0, 0.15), said, settings=at, revised=OVERLAPS)
        if power in PUBLISHED:
            what, (target, source) = f"{of}, rows pulled to unit length", PUBLISHED[power]
            yield Finding("trained", what, mean(own), Near(target, 0.15), source, **same)


def strong_and_weak_superposition(models: xr.Dataset) -> Iterator[Finding]:
    """Rows pulled to unit length are all represented, near the least possible overlap. At the largest decay few are,
    the loss is what others carry, and it would fall as m^(1 - power), were as many kept as there are dimensions."""
    (strong, weak), n = (models.sel(decay=end) for end in (models.decay.min(), models.decay.max())), models.attrs["n"]
    what = f"fraction of features represented, decay {float(strong.decay):g}, least over widths and frequencies"
    least, said = mean(strong.fraction.min(["m", "power"], skipna=False)), ours("limit; the pull leaves no short rows")
    yield Finding("all-represented", what, least, AtLeast(0.99), said, "check")
    decay, few, said = f"decay {float(weak.decay):g}", mean(weak.fraction.isel(m=0)), ours(f"limit; {PAPER}: few")
    what = f"fraction of features represented, {decay}, m = {int(weak.m[0])}"
    yield Finding("few-represented", what, few, Below(0.25), said)
    over_bound = strong.overlap * models.m * (n - 1) / (n - models.m)
    ratio, said = (weak.loss / weak.dropped).where(weak.fraction < 0.5).median("m"), ours(f"tolerance; {PAPER}: equal")
    for power in models.power.values.tolist():
        at, of = {"power": power}, f"frequencies i^-{power:g}:"
        slope, over, own = mean(exponents(strong.overlap.sel(at))), mean(over_bound.sel(at)), mean(ratio.sel(at))
        yield report("exponent-of-overlaps", f"{of} exponent of the mean squared cosine in m", slope, settings=at)
        yield report("overlaps-over-bound", f"{of} mean squared cosine over its Welch bound", over, settings=at)
        what = f"{of} {decay}, loss over the variance of dropped features"
        yield Finding("loss-of-dropped", what, own, Near(1, 0.25), said, settings=at, revised=POOLED)
    said = ours(f"tolerance; {PAPER}: the sum of the frequencies of dropped features")
    what, slope = f"{of} {decay}, exponent of the loss in m", mean(exponents(weak.loss.sel(at)))  # of the steepest law
    yield Finding("exponent-when-weak", what, slope, Near(power - 1, 0.25), said, settings=at)


experiment = Experiment(
    question="When does the loss of a bottleneck fall as the inverse of its width, whatever the frequencies?",
    source="Liu, Liu & Gore 2025, Superposition Yields Robust Neural Scaling, arXiv 2505.10465",
    sweeps={"decays": decays},
    scales={"tiny": {**tiny, "seed": range(2)}, "full": full},
    readings=[models, random_rows],
    figures=[losses_by_width, overlaps_and_exponents, dropped_features_and_loss],
    findings=[exponents_of_the_loss, strong_and_weak_superposition],
    cost="n = 1000, six widths, 17 laws, ten decays, 20,000 steps of 2048: 12 hours or more on two CPU cores, 350 MB",
)
