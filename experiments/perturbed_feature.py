"""One feature of five is sparser or denser than the others: when does the pentagon give way? Elhage et al. 2022."""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Placed, Population, Record, Run, Sparse, Supervised, Sweep, Tied, draw
from toymodels.analysis import ranges
from toymodels.analysis.labelled import each_model, exact_losses
from toymodels.estimates import best, best_redrawn, each, exact, mean, of_draws, share
from toymodels.experiment import Experiment, Swept, require
from toymodels.findings import AtLeast, Finding, Near, ours, read_off, report
from toymodels.optimizers import Adam, AdamW, Cosine
from toymodels.theory.expected_loss import expected_loss
from toymodels.theory.polygons import polygon_weights

P, PUBLISHED = 0.05, 2.5
"""Activation probability of the four other features, as published; how many times sparser the feature is where the
published loss curves cross, read off the figure."""
KEPT, SAME = 0.3, 0.9
"""Norm, over the largest, from which a feature counts as represented; cosine from which two share a direction."""
FIGURE = "Elhage et al. 2022, section 5, loss curves of one feature perturbed"
LOOKS = {
    "pentagon": (draw.BLUE, "all five kept, a pentagon"),
    "digons": (draw.RED, "varied feature dropped, two digons"),
    "another": (draw.GREEN, "another dropped, two digons"),
    "other": ("0.6", "other"),
}
FINE, COARSE = np.geomspace(0.1, 10, 17).tolist(), np.geomspace(0.1, 1, 7).tolist()


def densities(ratios: Sequence[float], p: float) -> Choice:
    """The density of the first feature is a multiple of that of the others."""
    return Choice("ratio", {float(f"{ratio:.4g}"): {"problem.data.p": (ratio * p, p, p, p, p)} for ratio in ratios})


def starts(p: float) -> dict[str, dict[str, np.ndarray]]:
    """Bias and radius of the pentagon at p = .05; of a dropped feature the bias is refined from that of its mean."""
    square, off = polygon_weights(4), np.eye(5) * p / 2
    found = {"pentagon": (polygon_weights(5, 1.13), np.full(5, -0.25)), "digons": (np.insert(square, 0, 0, 0), off[0])}
    found["another"] = (np.append(square, np.zeros((1, 2)), 0), off[4])
    return {name: {"problem.model.W": W, "problem.model.b": b} for name, (W, b) in found.items()}


def placed(ratios: Sequence[float], p: float) -> Sweep:
    problem = Population(Sparse(5, p), Placed(Tied(2), *starts(p)["pentagon"].values(), noise=0.01))
    base = Run(problem, Adam(Cosine(1e-2)), steps=600, record=Record(40, 2))
    return Sweep(base, [Choice("branch", starts(p)), densities(ratios, p)])


random = Run(Supervised(Sparse(5, P), Tied(2)), Adam(Cosine(1e-2)), steps=4000, record=Record(40, 2))
restarts = Sweep(random, [densities(FINE[::2], P), Axis("seed", "seed", range(32))])
exactly = {"branches": placed(FINE, P), "sparser": placed(COARSE, P / 2.5)}
exactly |= {"denser": placed(COARSE, 2 * P), "densest": placed(COARSE, 4 * P)}
# Optimizer, batch and steps of the published notebook.
notebook = Run(Supervised(Sparse(5, P), placed(FINE, P).base.problem.model), AdamW(1e-3, 0.01), record=Record(10, 2))
two = Choice("branch", {name: starts(P)[name] for name in ("pentagon", "digons")})
published = Sweep(notebook, [two, densities(COARSE, P), Axis("seed", "seed", range(8))])
tiny = {"ratio": [0.1, 0.3162, 1.0], "steps": 100, "restarts.steps": 300}
tiny |= {"restarts.seed": range(4), "published.seed": range(2)}


# ------------------------------------------------------------------------------------------------------------- readings
def models(restarts: Swept) -> xr.Dataset:
    """Of every model: its exact loss and its geometry."""
    require(restarts.data.sizes["hidden"] == 2, "it is made for two dimensions")
    ratio = next(axis for axis in restarts.sweep.axes if axis.name == "ratio")
    W, b = (restarts.final(name, unconverged=True).assign_coords(ratio=ratio.labels) for name in ("W", "b"))
    p = xr.DataArray([each["problem.data.p"] for each in ratio.options.values()], dims=("ratio", "feature"))
    return xr.Dataset({"loss": exact_losses(expected_loss, W, b, p), "geometry": each_model(geometry_of, W)})


def placed_models(sparser: Swept, branches: Swept, denser: Swept, densest: Swept) -> xr.Dataset:
    """Exact loss of each branch, NaN where a start did not stay in its geometry, and where pentagon and digons cross,
    by the density of the other features."""
    by_p = {each.sweep.base.problem.data.p: _crossing(each) for each in (sparser, branches, denser, densest)}
    return xr.concat(by_p.values(), xr.Variable("p", list(by_p)), join="outer")


def published_models(published: Swept) -> xr.Dataset:
    """The same, by seed, of models trained from placed starts as in the published notebook."""
    return _crossing(published)


def geometry_of(W: np.ndarray) -> str:
    """Which of five features are represented, each in its own direction; the first is the perturbed one."""
    norms = np.linalg.norm(W, axis=-1)
    dropped = np.flatnonzero(norms < KEPT * norms.max()).tolist()
    if not dropped:
        units = W / norms[:, None]
        return "other" if (units @ units.T - np.eye(5)).max() > SAME else "pentagon"
    return {True: "digons", False: "another"}[dropped == [0]] if len(dropped) == 1 else "other"


def _crossing(swept: Swept) -> xr.Dataset:
    """Interpolated in the logarithm of the ratio, in which the relative gap of the two losses is nearly straight."""
    found = models(swept)
    loss = found.loss.where(found.geometry == found.branch)
    gap = np.log(loss.sel(branch="pentagon", drop=True) / loss.sel(branch="digons", drop=True))
    x, core = np.log(loss.ratio), [["ratio"]] * 2
    met = xr.apply_ufunc(ranges.crossing_of_finite, x, gap, input_core_dims=core, vectorize=True)
    return xr.Dataset({"loss": loss, "times_sparser": np.exp(-met)})


# -------------------------------------------------------------------------------------------------------------- figures
def branches_cross(
    restarts: Swept, models: xr.Dataset, placed_models: xr.Dataset, published_models: xr.Dataset
) -> Figure:
    """Five features in two dimensions, one of them (varied) sparser or denser than the others, of p = .05. Left: exact
    loss of single seeds from random starts (dots, by the geometry they end in), and of the branches trained from starts
    placed in each geometry (lines; they end where training leaves it). Other: two features or more dropped, or sharing
    a direction. Solid vertical line: where the pentagon and the digons without the varied feature cross; dotted: where
    the published curves do. Right: where they cross, for other densities p of the four other features; and at p = .05
    for models trained with the optimizer, batch and steps of the published notebook, mean over seeds with its 95 %
    interval."""
    figure, (ax, side) = draw.panels(1, 2, height=2.9, width_ratios=(2.2, 1))
    at = placed_models.sel(p=P, method="nearest").dropna("ratio", how="all", subset=["loss"])
    x = draw.aside(models.ratio.values, models.sizes["seed"], 0.05)
    for name, (colour, label) in LOOKS.items():
        draw.cloud(ax, x, models.loss.where(models.geometry == name).transpose("ratio", "seed"), colour=colour)
        if name in at.branch:
            ax.plot(at.ratio, at.loss.sel(branch=name), color=colour, label=label)
    draw.moments(ax, 1 / at.times_sparser, "crossing", "black", "-", lw=0.8)
    draw.moments(ax, 1 / PUBLISHED, "published crossing", "black", draw.DOTTED, lw=0.8)
    draw.log_axis(ax, "xy")
    ax.set(xlabel="density of the varied feature / density of the others", ylabel="exact loss")
    dots = {"single seeds": "0.3", "single seeds, other": LOOKS["other"][0]}
    keys = {name: draw.key("", colour, marker="o", ms=2.2) for name, colour in dots.items()}
    draw.legend_below(figure, ax, keys, columns=3)
    draw.excluded(ax, restarts.left_out("shown"))
    side.plot(placed_models.p, placed_models.times_sparser, "o-", color=draw.BLUE, label="exact loss")
    draw.points(side, [P], [mean(published_models.times_sparser)], "published settings", draw.RED, shift=5)
    side.plot(P, PUBLISHED, "*", ms=8, color="black", label="published")
    draw.log_axis(side, "x", placed_models.p.values)
    side.set(xlabel="density $p$ of the others", ylabel="times sparser at the crossing", ylim=(0, 6.5))
    draw.legend(side, {"95 % interval": draw.whisker(draw.RED)}, loc="upper right")
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def where_they_cross(placed_models: xr.Dataset, published_models: xr.Dataset) -> Iterator[Finding]:
    """How many times sparser the feature is where pentagon and digons cost the same."""
    times, near = placed_models.times_sparser, Near(PUBLISHED, within=0.25 * PUBLISHED)
    text = "times that the feature is sparser where pentagon and two digons cost the same"
    what = f"{text}, p = {P:g}, both trained on the exact loss"
    yield Finding("crossing", what, exact(float(times.sel(p=P, method="nearest"))), near, read_off(FIGURE))
    what = f"{text}, p = {P:g}, both trained with the optimizer, batch and steps of the published notebook"
    yield Finding("crossing-at-published-settings", what, mean(published_models.times_sparser), near, read_off(FIGURE))
    yield report("crossing-by-density", f"{text}, by the p of the four other features", each(times))
    what = f"p of the four other features at which the feature is {PUBLISHED:g} times sparser there, interpolated"
    density = np.exp(ranges.crossing_of_finite(np.log(times.p.values), times.values - PUBLISHED))  # straight in ln p
    yield report("density-of-published-crossing", what, exact(float(density)))


def best_of_restarts(models: xr.Dataset, placed_models: xr.Dataset) -> Iterator[Finding]:
    """The best random restart of each density against the lower branch."""
    at, count = placed_models.sel(p=P, method="nearest", drop=True), models.sizes["seed"]
    excess = models.loss / at.loss.min("branch") - 1
    text = f"best of {count}: exact loss over that of the lower branch, minus 1"
    why = ours("tolerance; branches trained on the exact loss from placed starts")
    yield Finding("least-loss", text, best(excess), Near(0, within=0.02), why, "best of k", digits=".1e")
    sparse = models.ratio < 1 / at.times_sparser
    expected = xr.where(sparse, "digons", "pentagon")
    right = (models.geometry == expected).where(models.loss.notnull())
    drawn = right.isel(seed=best_redrawn(models.loss))
    for side, name, here in (("sparser", "digons", sparse), ("denser", "pentagon", ~sparse)):
        text = f"best of {count}: share of the {int(here.sum())} densities {side} than the crossing with the {name}"
        measured, why = of_draws(drawn.where(here).mean("ratio"), count, "restart"), ours(f"the two curves; {FIGURE}")
        yield Finding("geometry-of-best", text, measured, AtLeast(1), why, "best of k", {"side": side})
    text = "share of single seeds in the geometry of the lower branch, by density over that of the others"
    yield report("seeds-in-best-geometry", text, share(right))


experiment = Experiment(
    question="One feature is sparser or denser than the others: when does the pentagon give way to two digons?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 5, non-uniform superposition",
    sweeps={"restarts": restarts, **exactly, "published": published},
    scales={"tiny": tiny, "full": {"restarts.seed": range(1000)}},
    readings=[models, placed_models, published_models],
    figures=[branches_cross],
    findings=[where_they_cross, best_of_restarts],
    cost="1,000 restarts for each density: five minutes on two CPU cores, 6 programs",
)
