"""Monosemantic neurons: does a negative bias at the start engineer them, at what loss, and are they free where
there are more neurons than features? One hidden layer decodes a random projection. Jermyn, Schiefer & Hubinger 2022."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Axis, BiasDecay, Cosine, Decoder, Projection, Record, Reproject, Run, Sparse, Sweep, draw
from toymodels.analysis import monosemanticity
from toymodels.analysis.neurons import rotations
from toymodels.claims import Claim
from toymodels.config import replace
from toymodels.data import covariance
from toymodels.estimates import Estimate, Series, mean, steps
from toymodels.experiment import Experiment, Swept, require
from toymodels.findings import HOLDS, AtLeast, AtMost, Finding, Increasing, Within, ours, report
from toymodels.models import Identity
from toymodels.problems.decoder import single_activations

PAPER = "Jermyn, Schiefer & Hubinger 2022"
THRESHOLDS = (0.5, 0.7, 0.9, 0.99, monosemanticity.PUBLISHED)
CURVE = np.linspace(0.02, 0.995, 60)
SINGLE = 0.9
"""Monosemantic: more than this part of a neuron's summed single-feature activations is one feature's."""
EQUAL = 0.02
"""Losses agree within this part of each other."""
ENGINEERED = -1.0
"""The initial bias of the paper."""


def _own_projection(run: Run) -> Run:
    """Every seed has a projection of its own, the same for all starts and widths."""
    return replace(run, {"problem.projection.seed": run.seed})


# From torch's initial weights a bias of -1 silences everything for good; at three times their size it does not.
problem = Decoder(Sparse(64, 1 / 16), Projection(32), 128, scale=3.0)
base = Run(problem, BiasDecay(Cosine(3e-3), 0.65), steps=3000, batch=256, record=Record(12, 2, examples=8192))
bias, seed = "problem.bias", Axis("seed", "seed", range(20))
p = Axis("p", "problem.data.p", [1 / 16])
starts = Sweep(base, [p, Axis("bias", bias, [0.0, -0.25, -0.5, -0.75, -1.0, -1.5]), seed], _own_projection)
k = Axis("k", "problem.k", [32, 64, 128, 256])
widths = Sweep(base, [k, Axis("bias", bias, [0.0, ENGINEERED]), seed], _own_projection)
tiny: dict[str, object] = {"seed": range(3), "steps": 60, "batch": 32, "record.examples": 256}
tiny |= {"problem": replace(problem, {"data.n": 8, "projection.m": 4, "k": 8}), "k": [4, 8, 16]}
full: dict[str, object] = {
    "problem": replace(problem, {"data.n": 512, "data.p": 1 / 64, "projection.m": 64, "k": 1024})
}
full |= {"steps": 2**17, "batch": 2**13, "p": [1 / 64], "k": [256, 512, 1024, 2048], "seed": range(4)}


# ------------------------------------------------------------------------------------------------------------- readings
def by_start(starts: Swept) -> xr.Dataset:
    """Loss, monosemanticity and its nulls of every model, by initial bias."""
    return _models(starts)


def by_width(widths: Swept) -> xr.Dataset:
    """The same by the number of neurons."""
    return _models(widths)


def _models(swept: Swept) -> xr.Dataset:
    """Of every model: `fvu`, held-out squared error over the variance of the target; `share` of live neurons above each
    threshold, and `curve`, the same at many; `area` under that curve, the mean concentration; the same shares of the
    `rotated` neurons, and of `turned` inputs; the rank `link` of a neuron's threshold -b / |w| with its concentration;
    `held`, the share of features with a monosemantic neuron; `dead` neurons."""
    runs, status = list(swept.sweep.runs()), swept.data.status
    first = swept.sweep.base.problem
    require(isinstance(first.target, Identity | Reproject), "it is made for features, or another projection of them")
    weights = {name: swept.final(name, unconverged=True).values for name in ("encoder", "b", "W")}
    weights = {name: each.reshape(len(runs), *each.shape[status.ndim :]) for name, each in weights.items()}
    found: list[dict[str, np.ndarray]] = [{} for _ in runs]
    for width in sorted({run.problem.k for run in runs}):
        places = [place for place, run in enumerate(runs) if run.problem.k == width]
        own = {name: each[places, ..., :width] for name, each in weights.items()}
        problems, seeds = [runs[place].problem for place in places], [runs[place].seed for place in places]
        other = np.array([rotations(own["encoder"].shape[1], 1, seed)[0] for seed in seeds])
        turned = single_activations(problems, own | {"encoder": other @ own["encoder"]})
        with np.errstate(divide="ignore"):  # neurons without inputs are dead
            thresholds = -own["b"] / np.linalg.norm(own["encoder"], axis=1)
        cells = zip(single_activations(problems, own), turned, thresholds, seeds, strict=True)
        for place, cell in zip(places, cells, strict=True):
            found[place] = _of_model(*cell)
    axes = {"share": ["threshold"], "curve": ["at"]}
    read = {name: np.array([cell[name] for cell in found]) for name in found[0]}
    read["fvu"] = swept.finite("squared_error", step=-1).values.ravel() / [_variance(run) for run in runs]
    data = {
        name: ([*status.dims, *axes.get(name, [])], each.reshape(*status.shape, *each.shape[1:]))
        for name, each in read.items()
    }
    coords = {**{name: swept.data[name] for name in status.dims}, "threshold": list(THRESHOLDS), "at": CURVE}
    return xr.Dataset(data, coords, {"n": first.data.n, "left_out": swept.left_out("shown")})


def _of_model(A: np.ndarray, turned: np.ndarray, thresholds: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    from scipy.stats import spearmanr  # slow to import

    of = monosemanticity.concentrations(A)
    live = np.isfinite(of)
    nulls = {"rotated": monosemanticity.rotated(A, seed), "turned": monosemanticity.concentrations(turned)}
    found = {name: monosemanticity.share_above(each, np.array([SINGLE]))[0] for name, each in nulls.items()}
    found["share"], found["curve"] = (monosemanticity.share_above(of, np.array(at)) for at in (THRESHOLDS, CURVE))
    found["area"] = np.mean(of[live]) if live.any() else np.nan
    both = thresholds[live], of[live]
    varied = live.sum() > 2 and all(np.ptp(each) > 0 for each in both)
    found["link"] = spearmanr(*both).statistic if varied else np.nan
    found["held"] = monosemanticity.features_held(A, SINGLE) / len(A) if live.any() else np.nan
    return found | {"dead": monosemanticity.share_dead(of)}


def _variance(run: Run) -> float:
    """Sum of the variances of the outputs: of independent features, the same after a projection by unit rows."""
    return float(np.trace(covariance(run.problem.data)))


def _paired(values: xr.DataArray, apart: Callable[[xr.DataArray, xr.DataArray], xr.DataArray]) -> xr.DataArray:
    """apart(lower start, higher start) of every two initial biases, paired by seed: (pair, seed)."""
    ordered = values.sortby("bias", ascending=False)
    pairs = list(itertools.combinations(ordered.bias.values.tolist(), 2))
    found = [apart(values.sel(bias=low, drop=True), values.sel(bias=high, drop=True)) for high, low in pairs]
    return xr.concat(found, xr.Variable("pair", [f"{low:g} and {high:g}" for high, low in pairs]))


def compared(models: xr.Dataset) -> tuple[Series, Series, list[bool]]:
    """Of every two starts at one p: the relative difference of their losses, that of their mean concentration - lower
    start minus higher -, and whether the losses are equal: all of the pair's own 95 % interval within 2 %."""
    loss, more = (
        _paired(models.fvu, lambda low, high: low / high - 1),
        _paired(models.area, lambda low, high: low - high),
    )
    equal = [Within(-EQUAL, EQUAL).decide(mean(each)) == HOLDS for each in loss]
    return mean(loss), mean(more), equal


# -------------------------------------------------------------------------------------------------------------- figures
def starting_bias(by_start: xr.Dataset) -> Figure:
    """Features decoded from a random projection, by initial bias. a: held-out loss over the variance of the features.
    b: share of live neurons that are monosemantic, whose largest single-feature activation is more than 0.9 of the sum;
    also with inputs turned at random, and of randomly rotated neurons. c: share of neurons above every threshold, mean
    over seeds. d: every two starts: by how much the lower one ends more concentrated - the area under the curves of c -
    against the difference of the losses, which is equal where its whole interval lies within 2 %. Intervals are for all
    points of a series together."""
    models = by_start.isel(p=0)
    figure, (loss, single, curves, pairs) = draw.panels(1, 4, height=2.8)
    start = models.bias.values
    draw.points(loss, start, mean(models.fvu).estimates, colour=draw.BLACK, ls="-")
    draw.points(single, start, mean(_single(models)).estimates, "trained (b)", draw.BLUE, ls="-")
    draw.theory(single, start, models.turned.mean("seed"), "inputs turned (b)")
    draw.theory(single, start, models.rotated.mean("seed"), "neurons rotated (b)", dash=draw.DOTTED)
    for at, colour in zip(range(start.size), draw.feature_colours(start.size), strict=True):
        curves.plot(
            models["at"], models.curve.isel(bias=at).mean("seed"), color=colour, label=f"start at {start[at]:g}"
        )
    _pairs(pairs, models)
    loss.set(xlabel="initial bias", ylabel="FVU", ylim=(0, None))
    single.set(xlabel="initial bias", ylabel="monosemantic neurons", ylim=(-0.02, None))
    curves.set(xlabel="threshold", ylabel="share above threshold")
    draw.excluded(pairs, by_start.left_out)
    marks = {"equal losses (d)": draw.BLUE, "unequal losses (d)": "white"}
    told = {name: draw.key("", draw.BLUE, marker="o", ms=3.5, mfc=face) for name, face in marks.items()}
    told |= {
        "within 2 % (d)": draw.shade(),
        "no difference (d)": draw.key("-", lw=0.8),
        "95 % interval": draw.whisker(),
    }
    draw.legend_below(figure, [single, curves], told, columns=4)
    return figure


def _pairs(ax: Axes, models: xr.Dataset) -> None:
    different, more, equal = compared(models)
    for x, y, same in zip(different.estimates, more.estimates, equal, strict=True):
        aside, up = ([[each.value - each.low], [each.high - each.value]] for each in (x, y))
        face = draw.BLUE if same else "white"
        ax.errorbar(x.value, y.value, up, aside, "o", color=draw.BLUE, ms=3.5, mfc=face, elinewidth=0.7)
    ax.axvspan(-EQUAL, EQUAL, color="0.9", lw=0, zorder=0)
    draw.levels(ax, [0], dash="-")
    ax.set(xlabel="relative $\\Delta$FVU", ylabel="more concentrated by")


def neurons_per_feature(by_width: xr.Dataset) -> Figure:
    """Features decoded from a random projection against the number of neurons for each feature, k / N, from initial
    biases of 0 and -1. a: held-out loss over the variance of the features. b: share of live neurons that are
    monosemantic, at 0.9. c: share of features with a monosemantic neuron. d: what the lower start costs: the relative
    difference of the losses, paired by seed. Means over seeds with 95 % intervals, for all points of a series
    together."""
    figure, axes = draw.panels(1, 4, height=2.6)
    ratio, shifts = by_width.k.values / by_width.attrs["n"], draw.shifts(by_width.sizes["bias"])
    panels = {"FVU": by_width.fvu, "monosemantic neurons": _single(by_width), "features held": by_width.held}
    for (label, values), ax in zip(panels.items(), axes, strict=False):
        for start, colour, shift in zip(by_width.bias.values, draw.PALETTE, shifts, strict=False):
            found = mean(values.sel(bias=start, drop=True)).estimates
            draw.points(ax, ratio, found, f"start at {start:g}", colour, shift=shift, ls="-")
        ax.set(ylabel=label)
    draw.points(axes[3], ratio, mean(price(by_width)).estimates, colour=draw.BLACK, ls="-")
    axes[3].axhspan(-EQUAL, EQUAL, color="0.9", lw=0, zorder=0)
    axes[3].set(ylabel="cost of the lower start")
    for ax in axes:
        draw.log_axis(ax, "x", ratio)
        ax.set(xlabel="neurons / features")
    draw.excluded(axes[3], by_width.left_out)
    draw.legend_below(figure, axes[0], {"within 2 % (d)": draw.shade(), "95 % interval": draw.whisker()})
    return figure


def _single(models: xr.Dataset) -> xr.DataArray:
    return models.share.sel(threshold=SINGLE, drop=True)


def price(models: xr.Dataset) -> xr.DataArray:
    """FVU from the lowest start over that from the highest one, minus 1, paired by seed."""
    fvu = models.fvu.sortby("bias")
    return fvu.isel(bias=0, drop=True) / fvu.isel(bias=-1, drop=True) - 1


# ------------------------------------------------------------------------------------------------------------- findings
def negative_biases_engineer(by_start: xr.Dataset) -> Iterator[Finding]:
    """Lower starts end in more monosemantic neurons, at equal loss too, and in more than high thresholds give."""
    require({0.0, ENGINEERED} <= set(by_start.bias.values.tolist()), "it is made for initial biases of 0 and -1")
    for p in by_start.p.values.tolist():
        models, at = by_start.sel(p=p, drop=True), {"p": p}
        low, none = (models.sel(bias=each, drop=True) for each in (ENGINEERED, 0.0))
        loss, more, equal = compared(models)
        kept = [place for place, same in enumerate(equal) if same]
        same = Series(tuple(more.at[place] for place in kept), tuple(more.estimates[place] for place in kept))
        nothing = Estimate(np.nan, -np.inf, np.inf, "seed", models.sizes["seed"])
        what = "mean concentration, lower start minus higher, every two starts whose losses agree within 2 %"
        source = ours(f"limit, for neighbours too; {PAPER}: minima of the same loss differ in monosemanticity")
        yield Finding("at-equal-loss", what, same if kept else nothing, AtLeast(0.02), source, settings=at)
        what = f"share of monosemantic neurons at {SINGLE:g}, start at {ENGINEERED:g} minus start at 0"
        source = ours(f"limit; {PAPER}: moderate negative biases engineer monosemanticity")
        yield Finding("engineered", what, mean(_single(low) - _single(none)), AtLeast(0.05), source, settings=at)
        what = f"share of monosemantic neurons at {SINGLE:g}, start at {ENGINEERED:g}, minus that with inputs turned"
        source = ours("limit; more than high thresholds give to random directions")
        yield Finding("beyond-thresholds", what, mean(_single(low) - low.turned), AtLeast(0.05), source, settings=at)
        what = "rank correlation of a neuron's threshold -b / |w| with its concentration, by start"
        yield Finding("goes-with", what, mean(models.link), AtLeast(0.3), ours("limit: moderate"), settings=at)
        what = f"share of randomly rotated neurons above {SINGLE:g}, by start: the control that must fail"
        yield Finding("rotated", what, mean(models.rotated), AtMost(0.01), ours("limit"), "check", settings=at)
        yield report("pairs-loss", "FVU, lower over higher start minus 1, every two starts", loss, settings=at)
        yield report("pairs-more", "mean concentration, lower minus higher, every two starts", more, settings=at)
        yield report("majority", f"monosemantic neurons at {SINGLE:g}, by start", mean(_single(models)), settings=at)
        yield report("dead", "dead neurons, by start", mean(models.dead), settings=at)
        published = mean(low.share)
        yield report("thresholds", "share above each threshold, start at -1", published, settings=at)


def widths_make_it_free(by_width: xr.Dataset) -> Iterator[Finding]:
    """With more neurons than features, most are monosemantic, and that costs nothing: or is it so?"""
    n = by_width.attrs["n"]
    low = by_width.sortby("bias").isel(bias=0, drop=True)
    for k in by_width.k.values.tolist():
        cost, single = (mean(each.sel(k=k)) for each in (price(by_width), _single(low)))
        at, what = {"k/N": k / n}, f"start at {ENGINEERED:g}, FVU over that of the start at 0, minus 1"
        if k > n:
            yield Finding("free", what, cost, AtMost(EQUAL), ours("limit: equal losses"), settings=at)
            what = f"share of monosemantic neurons at {SINGLE:g}, start at {ENGINEERED:g}"
            yield Finding("majority-wide", what, single, AtLeast(0.5), ours("limit: a majority"), settings=at)
        else:
            yield report("cost-narrow", what, cost, settings=at)
    what, slack = f"share of monosemantic neurons at {SINGLE:g} by k, start at {ENGINEERED:g}", Increasing(0.02)
    yield Finding("grows-with-width", what, steps(_single(low), "k"), slack, ours("slack, of a guess"))
    yield report("held", "features with a monosemantic neuron, by k, start at -1", mean(low.held))
    yield report("fvu", "FVU by k, start at -1", mean(low.fvu))


experiment = Experiment(
    question="Do negative biases engineer monosemantic neurons at no loss, and do more neurons than features?",
    source=f"{PAPER}, arXiv 2211.09169",
    sweeps={"starts": starts, "widths": widths},
    scales={"tiny": tiny, "full": full},
    readings=[by_start, by_width],
    figures=[starting_bias, neurons_per_feature],
    findings=[negative_biases_engineer, widths_make_it_free],
    cost="published size, 2^17 steps of 2^13 examples at .4 core-seconds a step (measured): 7 hours a model on two "
    "cores, so 17 days for four seeds",
    claims=[
        Claim(
            "C1",
            "Moderate negative biases go with monosemantic neurons at equal loss; a negative start engineers them.",
            ["goes-with", "engineered", "beyond-thresholds", "at-equal-loss"],
            "starting_bias",
            ["starts.p=0.03125", "starts.steps=8000 starts.bias=(0,-1,-2)"],
            "Orderings are judged between starts whose held-out losses agree within 2 % only.",
        ),
        Claim(
            "C3",
            "With more neurons than features, most neurons are monosemantic and that costs no loss.",
            ["free", "majority-wide", "grows-with-width"],
            "neurons_per_feature",
        ),
    ],
)
