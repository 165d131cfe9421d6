"""Computation in superposition: how many features does a layer of ReLUs compute, under which exponent of the loss?"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Choice, Cosine, Record, Run, Sparse, Supervised, Sweep, Uniform, WholePower, draw
from toymodels.analysis.computation import COMPUTED, computed, lone_responses, response_error
from toymodels.claims import Claim
from toymodels.config import replace
from toymodels.estimates import exact, mean, steps
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Below, Finding, Increasing, Near, Within, ours, report
from toymodels.models import Absolute, Identity, Relu, Untied
from toymodels.problems.evaluation import sparse_losses
from toymodels.theory.computation import NEURONS, naive_loss

SCRIPT = "the public script that is cited for it: one seed, F = 500, n = 50, p = .02"
CLAIM = f"limit; {SCRIPT}: squared error, as many features as neurons; fourth power, all"
N = 30
TARGETS = {"relu": {"problem.target": Relu()}, "absolute": {"problem.target": Absolute()}}
NAMES = {"relu": "ReLU(x)", "absolute": "|x|"}
DRAWS = 4096
COLOURS = (draw.BLUE, draw.GREEN, draw.ORANGE)

seeds = Axis("seed", "seed", range(20))
problem = Supervised(
    Sparse(N, value=Uniform(-1.0, 1.0)), Untied(6, hidden=Relu(), output=Identity()), WholePower(2), target=Relu()
)
base = Run(problem, Adam(Cosine(1e-2)), steps=3000, batch=256, record=Record(12, 2))
powers, p = Axis("power", "problem.loss.power", [2, 3, 4, 6]), Axis("p", "problem.data.p", [0.01, 0.03, 0.1])
relu = Sweep(base, [Axis("neurons", "problem.model.m", [10, 3]), powers, p, seeds])
absolute = Sweep(
    replace(base, TARGETS["absolute"]),
    [Axis("neurons", "problem.model.m", [6]), Axis("power", powers.path, [2, 4]), p, seeds],
)
linear = Sweep(
    replace(base, {"problem.model.hidden": Identity()}),
    [Choice("target", TARGETS), Axis("neurons", "problem.model.m", [N]), Axis("power", powers.path, [2, 4]), seeds],
)
tiny = {"seed": range(2), "steps": 60, "batch": 64, "power": [2, 4], "p": [0.03], "neurons": [6]}
published = {"problem.data.n": 500, "neurons": [50], "p": [0.02], "steps": 10_000, "batch": 2048}


# ------------------------------------------------------------------------------------------------------------- readings
def _models(swept: Swept, target: str) -> xr.Dataset:
    weights = xr.Dataset({name: swept.final(name, unconverged=True) for name in ("encoder", "W", "b")})
    responses = lone_responses(weights.encoder, weights.W)
    data = {"response": responses, "error": response_error(responses, swept.sweep.base.problem.target)}
    over, when_on = [], []
    for m in weights.neurons.values.tolist():
        for power in weights.power.values.tolist():
            cells = weights.sel(neurons=m, power=power).isel(hidden=slice(m))
            here = swept.run(neurons=m, power=power, p=weights.p.values[0].item()).problem
            naive = xr.DataArray([naive_loss(here.data.n, m, power, q, target) for q in cells.p.values], dims="p")
            over.append(sparse_losses(here, **cells) / naive)
            when_on.append(_error_when_on(here, cells))
    shape = (weights.sizes["neurons"], weights.sizes["power"], weights.sizes["p"], weights.sizes["seed"])
    for name, found in (("over_naive", over), ("when_on", when_on)):
        data[name] = (("neurons", "power", "p", "seed"), np.reshape(found, shape))
    return xr.Dataset(data, attrs={"n": weights.sizes["feature"], "target": target, "note": swept.left_out("shown")})


def _error_when_on(problem: Supervised, cells: xr.Dataset) -> np.ndarray:
    """E[(y - y')² | x_i on] over E[y² | x_i on], (p, seed), on draws that all models of one p share."""

    @jax.jit
    def ratio(params: dict[str, Any], x: jax.Array) -> jax.Array:
        y = problem.target(x)
        error = jax.vmap(lambda one: problem.predict(params, one))(x) - y
        return jnp.sum(jnp.where(x != 0, error**2, 0)) / jnp.sum(y**2)

    found = np.full((cells.sizes["p"], cells.sizes["seed"]), np.nan)
    for i, q in enumerate(cells.p.values.tolist()):
        x = replace(problem, {"data.p": q}).data.sample(jax.random.key(0), DRAWS)
        for j in range(cells.sizes["seed"]):
            found[i, j] = ratio({name: jnp.asarray(each.values) for name, each in cells.isel(p=i, seed=j).items()}, x)
    return found


def relu_models(relu: Swept) -> xr.Dataset:
    """Responses to lone features, their error over none, the loss over the naive one, the square error of features
    that are on over that of none."""
    return _models(relu, "relu")


def absolute_models(absolute: Swept) -> xr.Dataset:
    """As of ReLU(x), of |x|."""
    return _models(absolute, "absolute")


def linear_models(linear: Swept) -> xr.Dataset:
    """Responses of layers without ReLU, and their error over none."""
    responses = lone_responses(linear.final("encoder", True), linear.final("W", True), linear=True)
    errors = [response_error(responses.sel(target=each), TARGETS[each]["problem.target"]) for each in TARGETS]
    return xr.Dataset({"response": responses, "error": xr.concat(errors, "target")})


# -------------------------------------------------------------------------------------------------------------- figures
def features_computed(relu_models: xr.Dataset, absolute_models: xr.Dataset, linear_models: xr.Dataset) -> Figure:
    """Layers of m neurons that compute ReLU(x) (a, b) or |x| (c) of n sparse features. a to c: share of the features
    computed against the exponent of the loss; mean over seeds and its 95 % interval; dashed: what the neurons compute
    exactly, one feature a neuron, or for |x| one a pair. d and e, the widest and the narrowest layer: what each output
    rises by when its own feature alone is 1, and when it is -1, for every feature of every seed at the middle p; cross:
    ReLU(x); line: all that a layer without ReLU can do. f: loss over the naive one, in which the neurons compute their
    features exactly and the best constant answers for the rest; the widest layer."""
    figure, axes = draw.panels(2, 3, height=4.6)
    for ax, m in zip(axes[0], relu_models.neurons.values[[0, -1]], strict=False):
        _shares(ax, relu_models.sel(neurons=m))
    _shares(axes[0, 2], absolute_models.isel(neurons=0))
    sparse = relu_models.isel(p=relu_models.sizes["p"] // 2)
    for ax, m in zip(axes[1], relu_models.neurons.values[[0, -1]], strict=False):
        _responses(ax, sparse.sel(neurons=m), {2: draw.PURPLE, 4: draw.BLACK})
    ax, shown = axes[1, 2], relu_models.isel(neurons=0)
    for each, colour in zip(shown.p.values, COLOURS, strict=False):
        over = mean(shown.over_naive.sel(p=each)).estimates
        draw.band(ax, shown.power, over, label=f"$p={each:g}$", colour=colour, marker="o", ms=3)
    ax.set(xlabel="exponent of the loss", ylabel="loss / naive loss", ylim=(-0.03, 1.15), xticks=shown.power)
    draw.levels(ax, [1], ["naive"])
    draw.legend_below(figure, axes, {"computed exactly": draw.DASHED, "95 % interval": draw.shade()})
    draw.excluded(ax, relu_models.attrs["note"])
    return figure


def _responses(ax: Axes, models: xr.Dataset, colours: dict[int, str]) -> None:
    series = {}
    for power, colour in colours.items():
        up, down = models.response.sel(power=power).transpose("sign", ...).values.reshape(2, -1)
        series[f"exponent {power}"] = (up, down, colour)
    draw.clouds(ax, series, ms=1.8, alpha=0.4)
    ax.plot([-0.3, 0.5], [0.3, -0.5], color=draw.THEORY, lw=0.8, label="no ReLU")
    ax.plot(1, 0, "x", color=draw.BLACK, ms=6, label="ReLU(x)")
    title = f"$n/m={models.attrs['n'] / int(models.neurons):g}$, $p={float(models.p):g}$"
    ax.set(
        xlabel="response at $x_i=1$", ylabel="response at $x_i=-1$", xlim=(-0.3, 1.15), ylim=(-0.5, 0.5), title=title
    )


def _shares(ax: Axes, models: xr.Dataset) -> None:
    share, m = computed(models.error).mean("feature", skipna=False), int(models.neurons)
    for each, colour in zip(share.p.values, COLOURS, strict=False):
        found = mean(share.sel(p=each)).estimates
        draw.band(ax, share.power, found, label=f"$p={each:g}$", colour=colour, marker="o", ms=3)
    ax.axhline(m // NEURONS[models.attrs["target"]] / models.attrs["n"], color=draw.THEORY, ls=draw.DASHED, lw=0.8)
    title = f"{NAMES[models.attrs['target']]}, $n/m={models.attrs['n'] / m:g}$"
    ax.set(xlabel="exponent of the loss", ylabel="share computed", ylim=(-0.03, 1.05), title=title, xticks=share.power)


# ------------------------------------------------------------------------------------------------------------- findings
def _cells(values: xr.DataArray, models: xr.Dataset) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Settings, their words, and the estimate at each number of neurons and p, whose intervals hold together."""
    n, target = models.attrs["n"], models.attrs["target"]
    ordered = values.transpose("neurons", "p", "seed")
    found = iter(mean(ordered).estimates)
    for m in ordered.neurons.values.tolist():
        for q in ordered.p.values.tolist():
            settings = {"target": target, "n/m": n / m, "p": q}
            yield settings, f"{NAMES[target]}, n = {n}, m = {m}, p = {q:g}", next(found)


def exponents(relu_models: xr.Dataset, absolute_models: xr.Dataset) -> Iterator[Finding]:
    """Squared error: as many features as the neurons suffice for. Fourth power: nearly all."""
    for models in (relu_models, absolute_models):
        share, target = computed(models.error).mean("feature", skipna=False), models.attrs["target"]
        exactly = models.neurons // NEURONS[target] / models.attrs["n"]
        for where, words, found in _cells(share.sel(power=2) / exactly, models):
            what = f"{words}: features computed under squared error, over those that the neurons compute exactly"
            yield Finding("as-many-as-neurons", what, found, Near(1, factor=1.5), ours(CLAIM), settings=where)
        for where, words, found in _cells(share.sel(power=4), models):
            what = f"{words}: share of the features computed under the fourth power"
            yield Finding("fourth-power-computes-nearly-all", what, found, AtLeast(0.9), ours(CLAIM), settings=where)
        for where, words, found in _cells(share.sel(power=4) - share.sel(power=2), models):
            what = f"{words}: share computed under the fourth power minus that under squared error, paired by seed"
            source = ours("limit; a third of all features")
            yield Finding("exponent-decides", what, found, AtLeast(1 / 3), source, settings=where)
        for m in models.neurons.values.tolist():
            rise = steps(share.sel(neurons=m).mean("p", skipna=False).transpose("power", "seed"), "power")
            what = f"{NAMES[target]}, m = {m}: share computed, mean over p, by exponent"
            where, source = {"target": target, "n/m": models.attrs["n"] / m}, ours("slack; the claim is of 2 and 4")
            yield Finding("rises-with-exponent", what, rise, Increasing(0.05), source, settings=where)


def losses(relu_models: xr.Dataset, absolute_models: xr.Dataset) -> Iterator[Finding]:
    """Squared error: about the naive loss. Fourth power: far below its own."""
    for models in (relu_models, absolute_models):
        over = models.over_naive
        for where, words, found in _cells(over.sel(power=2), models):
            what, source = f"{words}: loss over the naive one, squared error", ours(f"limits; {SCRIPT}")
            yield Finding("squared-naive", what, found, Within(0.8, 1.05), source, settings=where)
        for where, words, found in _cells(over.sel(power=4), models):
            what = f"{words}: loss over the naive one, fourth power"
            yield Finding("fourth-beats-naive", what, found, Below(0.75), ours("limit"), settings=where)
        for power in (2, 4):
            for where, words, found in _cells(models.when_on.sel(power=power), models):
                what = f"{words}, exponent {power}: square error of features that are on, over that of no response"
                yield report("error-when-on", what, found, settings={**where, "power": power})
            up, down = abs(models.response.sel(power=power)).mean("feature", skipna=False).transpose("sign", ...)
            for (where, words, one), (_, _, other) in zip(_cells(up, models), _cells(down, models), strict=True):
                what = f"{words}, exponent {power}: mean size of the response at x = {{}}"
                for sign, found in ((1, one), (-1, other)):
                    at = {**where, "power": power, "x": sign}
                    yield report("response", what.format(sign), found, settings=at)


def control(linear_models: xr.Dataset) -> Iterator[Finding]:
    """Without ReLU nothing is computed, however wide the layer."""
    for target in linear_models.target.values.tolist():
        error = linear_models.error.sel(target=target)
        for m in error.neurons.values.tolist():
            here, settings = error.sel(neurons=m), {"target": target, "neurons": m}
            what = f"{NAMES[target]}, m = {m}, no ReLU: features computed, most of any model"
            most = exact(float(computed(here).sum("feature").max()))
            yield Finding("linear-computes-none", what, most, AtMost(0), ours("proved"), "check", settings)
            what, least = f"{NAMES[target]}, m = {m}, no ReLU: least error of the responses", exact(float(here.min()))
            limit = AtLeast(COMPUTED * NEURONS[target] - 1e-6)
            yield Finding("linear-error", what, least, limit, ours("proved; rounding"), "check", settings)


experiment = Experiment(
    question="How many features does a layer of ReLUs compute, under which exponent of the loss?",
    source="toymodels; after the public discussion of computation in superposition",
    sweeps={"relu": relu, "absolute": absolute, "linear": linear},
    readings=[relu_models, absolute_models, linear_models],
    figures=[features_computed],
    findings=[exponents, losses, control],
    scales={"tiny": tiny, "full": published},
    cost="240 models of 500 features, 10,000 steps of 2,048 examples: a day on two CPU cores",
    claims=[
        Claim(
            "F1",
            "The exponent of the loss decides whether a layer computes in superposition: under squared error it "
            "computes the features that it has neurons for, under the fourth power nearly all; without its ReLU none.",
            needs=[
                "as-many-as-neurons",
                "fourth-power-computes-nearly-all",
                "exponent-decides",
                "linear-computes-none",
            ],
            figure="features_computed",
            note="A feature is computed if its responses at x = 1 and x = -1, alone, are off by less than half of what "
            "no response is off by, in squares: no linear layer can do that.",
        )
    ],
)
