"""Noise and bias: does the learned negative bias of a neuron match the noise of its input? Jermyn et al. 2022.

With as many neurons as dimensions as features, each neuron reads one feature and its best bias is known exactly; the
same networks are trained in superposition. A neuron's threshold is -b / |w|: how far from the origin, in units of the
features, its input has to come before it is on. Noise has the same standard deviation in each dimension of the input.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Cosine, Decoder, Projection, Record, Run, Sparse, Sweep, draw
from toymodels.analysis.labelled import line
from toymodels.analysis.monosemanticity import concentrations
from toymodels.claims import Claim
from toymodels.config import replace
from toymodels.data import Uniform
from toymodels.estimates import each, mean, of_best, share
from toymodels.experiment import Experiment, Swept, require
from toymodels.findings import Finding, Near, ours, report
from toymodels.problems.decoder import single_activations
from toymodels.theory.noisy_unit import Unit, best_units

PAPER = "Jermyn, Schiefer & Hubinger 2022"
CLOSE = 0.02
"""Training agrees with the optimum within this part of it."""
MODELS = {"units": "one neuron a feature", "crowded": "superposition"}
FEATURES = 4


def _own_projection(run: Run) -> Run:
    """Every seed has a projection of its own, the same at all noise levels."""
    return replace(run, {"problem.projection.seed": run.seed})


def _sweep(problem: Decoder, lr: float, steps: int, batch: int, seeds: int) -> Sweep:
    axes = [
        Axis("p", "problem.data.p", [1 / 8, 1 / 16, 1 / 32]),
        Axis("noise", "problem.noise", [0.05, 0.1, 0.2, 0.3]),
        Axis("seed", "seed", range(seeds)),
    ]
    record = Record(8, 2, examples=4096)
    return Sweep(Run(problem, Adam(Cosine(lr)), steps, batch, record=record), axes, _own_projection)


units = _sweep(Decoder(Sparse(FEATURES, 0.1), Projection(FEATURES), FEATURES, noise=0.1), 1e-2, 6000, 512, 40)
crowded = _sweep(Decoder(Sparse(32, 0.1), Projection(16), 32, scale=3.0, noise=0.1), 5e-3, 3000, 256, 20)
tiny: dict[str, object] = {"seed": range(6), "steps": 150, "batch": 64, "record.examples": 256, "p": [0.125]}
tiny |= {"noise": [0.1, 0.3], "units.problem": replace(units.base.problem, {"data.n": 3, "projection.m": 3, "k": 3})}
tiny |= {"crowded.problem": replace(crowded.base.problem, {"data.n": 6, "projection.m": 4, "k": 6})}
full = {"crowded.problem": replace(crowded.base.problem, {"data.n": 512, "projection.m": 64, "k": 1024})}
full |= {"crowded.steps": 2**17, "crowded.batch": 2**13}


# ------------------------------------------------------------------------------------------------------------- readings
def thresholds(units: Swept, crowded: Swept) -> xr.Dataset:
    """The median threshold of every model's live neurons, its line over the noise, and those of the exact units."""
    found = []
    for swept in (units, crowded):
        encoder, b = (swept.final(name, unconverged=True) for name in ("encoder", "b"))
        t = (-b / np.sqrt((encoder**2).sum("dimension", skipna=False))).where(_live(swept))
        n = swept.sweep.base.problem.data.n
        exact = xr.apply_ufunc(lambda p, s, n=n: best_units(p, s, n).threshold, t.p, t.noise, vectorize=True)
        middle = t.median("hidden")
        of = line(middle.noise, middle, "noise")[["slope", "intercept"]].assign(threshold=middle, exact=exact)
        found.append(of.assign(exact_slope=line(exact.noise, exact, "noise").slope))
    notes = {name: swept.left_out("shown") for name, swept in (("units", units), ("crowded", crowded))}
    return xr.concat(found, xr.Variable("model", list(MODELS)), join="outer").assign_attrs(notes)


def _live(swept: Swept) -> xr.DataArray:
    """Which neurons are on for some feature by itself."""
    status, runs = swept.data.status, list(swept.sweep.runs())
    weights = {name: swept.final(name, unconverged=True).values for name in ("encoder", "b", "W")}
    cells = {name: values.reshape(len(runs), *values.shape[status.ndim :]) for name, values in weights.items()}
    A = single_activations([run.problem for run in runs], cells)
    alive = np.isfinite(concentrations(A)).reshape(*status.shape, -1)
    return xr.DataArray(alive, {name: swept.data[name] for name in status.dims}, (*status.dims, "hidden"))


def optima(units: Swept) -> xr.Dataset:
    """Of every model of one neuron a feature: threshold, gain and loss, each over that of the exact units; losses on
    the same draws, which all models share."""
    size = {units.sweep.base.problem.data.n, units.sweep.base.problem.projection.m, units.sweep.base.problem.k}
    require(len(size) == 1, "it is made for as many neurons as dimensions as features")
    encoder, b, W = (units.final(name, unconverged=True).transpose(..., "hidden") for name in ("encoder", "b", "W"))
    found = []
    for run, place in zip(units.sweep.runs(), np.ndindex(*units.data.status.shape), strict=True):
        problem = run.problem
        known = best_units(problem.data.p, problem.noise, problem.data.n)
        F = np.asarray(problem.projection.directions(problem.data.n), np.float64)
        found.append(_over_exact(F @ encoder.values[place], b.values[place], W.values[place], known, problem))
    axes = units.data.status.dims
    table = np.reshape(found, (*units.data.status.shape, 3))
    coords = {name: units.data[name] for name in axes}
    return xr.Dataset({name: (axes, table[..., i]) for i, name in enumerate(("threshold", "gain", "loss"))}, coords)


def _over_exact(encoder: np.ndarray, b: np.ndarray, W: np.ndarray, known: Unit, problem: Decoder) -> list[float]:
    """Means over neurons, over the exact values; `encoder` reads the features themselves."""
    length, own = np.linalg.norm(encoder, axis=0), np.abs(encoder).argmax(axis=0)
    gain = length * W[own, np.arange(len(own))]
    clean, noise = _draws(problem)
    observed = clean + noise
    exact = np.maximum(observed - known.threshold, 0)
    exact = exact @ (known.gain * np.eye(len(own)) + known.cross * (1 - np.eye(len(own))))
    losses = [((clean - y) ** 2).mean() for y in (np.maximum(observed @ encoder + b, 0) @ W.T, exact)]
    return [float(np.mean(-b / length) / known.threshold), float(gain.mean() / known.gain), losses[0] / losses[1]]


def _draws(problem: Decoder, count: int = 2**15) -> tuple[np.ndarray, np.ndarray]:
    """Features, and the noise of their observations: that of the input, read along their directions."""
    rng, size = np.random.default_rng(0), (count, problem.data.n)
    require(problem.data.value == Uniform(), "it is made for values of U[0, 1]")
    on, values, noise = rng.random(size) < problem.data.p, rng.random(size), rng.normal(size=size)
    return np.where(on, values, 0.0), float(problem.noise or 0) * noise


# -------------------------------------------------------------------------------------------------------------- figures
def bias_by_noise(thresholds: xr.Dataset) -> Figure:
    """Median threshold -b / |w| of a model's live neurons against the standard deviation of the noise of its input, for
    three activation probabilities p. a: one neuron a feature; b: in superposition; both with the exact optimum of one
    neuron a feature. c: the slopes of a and b against p over the noise levels of each panel, with those of the exact
    optimum over the same levels. Means over seeds with 95 % intervals, for all points of a series together."""
    figure, axes = draw.panels(1, 3, height=2.5)
    for ax, name in zip(axes, MODELS, strict=False):
        of = thresholds.sel(model=name)
        for p, colour in zip(of.p.values, draw.PALETTE, strict=False):
            found = mean(of.threshold.sel(p=p, drop=True)).estimates
            draw.points(ax, of.noise.values, found, f"$p={p:g}$", colour)
            draw.theory(ax, of.noise, of.exact.sel(p=p), colour=colour)
        ax.plot(of.noise, of.noise, color="0.75", lw=2, zorder=0)
        ax.set(xlabel="noise", ylabel="threshold $-b/|w|$", ylim=(-0.02, None))
        ax.text(0.03, 0.97, MODELS[name], transform=ax.transAxes, va="top", fontsize=8)
        draw.excluded(ax, thresholds.attrs[name])
    for name, colour, marker in zip(MODELS, (draw.BLACK, draw.PURPLE), "os", strict=True):
        of = thresholds.sel(model=name)
        draw.points(axes[2], of.p.values, mean(of.slope).estimates, MODELS[name], colour, marker)
        draw.theory(axes[2], of.p, of.exact_slope, colour=colour)
    axes[2].axhline(1, color="0.75", lw=2, zorder=0)
    draw.log_axis(axes[2], "x", thresholds.p.values)
    axes[2].set(xlabel="activation probability $p$", ylabel="slope of threshold")
    told = {"exact optimum": draw.DASHED, "equal to the noise": draw.key("-", "0.75", lw=2)}
    draw.legend_below(figure, axes, told | {"95 % interval": draw.whisker()}, columns=4)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def training_finds_the_optimum(optima: xr.Dataset) -> Iterator[Finding]:
    """The best of all restarts has the exact threshold, gain and loss, at each noise level."""
    source, count = ours("tolerance; exact optimum of theory.noisy_unit"), optima.sizes["seed"]
    for p in optima.p.values.tolist():
        of, at = optima.sel(p=p, drop=True), {"p": p}
        for name in ("threshold", "gain", "loss"):
            what, found = (
                f"{name} over the exact one, one neuron a feature, best of {count}",
                of_best(of[name], of.loss),
            )
            yield Finding(f"optimal-{name}", what, found, Near(1, CLOSE), source, "best of k", at)
        reached = share((of.loss <= 1 + CLOSE).where(of.loss.notnull()))
        yield report("seeds-at-the-optimum", f"seeds within {CLOSE:.0%} of the least loss", reached, settings=at)


def the_bias_matches_the_noise(thresholds: xr.Dataset) -> Iterator[Finding]:
    """A threshold equal to the noise is a line of slope 1 through 0: with one neuron a feature and in superposition."""
    slope, intercept = ours(f"a quarter; a reading of {PAPER}"), ours("limit, a twentieth of a feature's range")
    for name, meaning in MODELS.items():
        for p in thresholds.p.values.tolist():
            of, at = thresholds.sel(model=name, p=p), {"model": name, "p": p}
            what = f"{meaning}: {{}} of a model's median threshold -b / |w| over the noise"
            yield Finding("slope", what.format("slope"), mean(of.slope), Near(1, 0.25), slope, settings=at)
            yield Finding(
                "intercept", what.format("intercept"), mean(of.intercept), Near(0, 0.05), intercept, settings=at
            )
            over = mean(of.slope / of.exact_slope)
            yield report("slope-over-exact", f"{meaning}: slope over that of the exact units", over, settings=at)
    exact = thresholds.exact_slope.sel(model="units", drop=True)
    yield report("exact-slope", "slope of the exact threshold over these noise levels", each(exact))


experiment = Experiment(
    question="Does the learned negative bias of a neuron match the noise of its input?",
    source=f"{PAPER}, arXiv 2211.09169; optimum ours",
    sweeps={"units": units, "crowded": crowded},
    scales={"tiny": tiny, "full": full},
    readings=[thresholds, optima],
    figures=[bias_by_noise],
    findings=[training_finds_the_optimum, the_bias_matches_the_noise],
    cost="superposition at the published size: 7 hours a model on two cores, by the cost of a step",
    claims=[
        Claim(
            "C2",
            "Learned negative biases match the noise of the input: thresholds -b / |w| equal it, one for one.",
            ["slope", "intercept"],
            "bias_by_noise",
            ["crowded.problem.k=64"],
            "With one neuron a feature the best slope is known exactly and depends on p alone at small noise.",
        )
    ],
)
