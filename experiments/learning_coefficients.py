"""The local learning coefficient of models where it is known, of exact k-gons, and along training. Claim F5.

lambda_hat = t (E_t[L(w)] - L(w*)) under exp(-t (L(w) - L(w*)) - gamma / 2 |w - w*|²) (Lau et al. 2023), by chains of
Hamiltonian Monte Carlo from w*, the parameters of a tied model counted once. One seed: the chains of a seed.

A multiplicity m lowers it to about lambda - (m - 1) / log t: there its exact expectation at this t is what it is held
against. Along training t is small, of the order of a sample of a few hundred examples, so that what lies below w* far
off stays out of sight; where w* is no minimum the estimate is no coefficient, and is negative far from one.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from toymodels import Axis, OneSparse, Population, Record, Run, Sgd, Sweep, Tied, draw
from toymodels.analysis.geometry import feature_dimensionality
from toymodels.analysis.labelled import named
from toymodels.analysis.learning_coefficient import Estimated, learning_coefficients, sgld
from toymodels.analysis.polygons import named_polygons
from toymodels.claims import Claim
from toymodels.estimates import mean, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtMost, Finding, Near, ours, report, stated
from toymodels.normalisers import LayerNorm, NoNorm, RmsNorm
from toymodels.theory import learning_coefficients as theory
from toymodels.theory.critical import polygon_with_dropped
from toymodels.theory.expected_loss import one_sparse_loss

N = 6
PAPER = "Chen et al. 2023, arXiv 2310.06301"
COLD, COURSE = (1e6, 300.0), (100.0, 1.0)
"""t and gamma at exact k-gons, and along training."""
ENDS = (1e5, 30.0)
seeds = Axis("seed", "seed", range(20))
toys = Sweep(Run(Population(OneSparse(N), Tied(2)), Sgd(0.1), 10_000, record=Record(60, 24)), [seeds])


# ------------------------------------------------------------------------------------------------------- models known
T, GAMMA = 1e4, 1.0
"""t and gamma at the models that are known, unless the model says another t."""


class Known(NamedTuple):
    """An excess loss of a flat vector, a zero of it, its coefficient, and t E_t[K] where it has a closed form."""

    loss: Callable[[Any], Any]
    point: np.ndarray
    coefficient: theory.Coefficient
    expected: float = np.nan
    t: float = T


def _squares(rank: int, w: jax.Array) -> jax.Array:
    return (w[:rank] ** 2).sum()


def _crossing(powers: tuple[int, ...], w: jax.Array) -> jax.Array:
    return jnp.prod(w ** jnp.array([2 * k for k in powers]))


def _product(shape: tuple[int, int, int], rank: int, w: jax.Array) -> jax.Array:
    M, N, h = shape
    A, B = w[: h * M].reshape(h, M), w[h * M :].reshape(N, h)
    return ((B @ A - jnp.eye(N, M) * (jnp.arange(M) < rank)) ** 2).sum()


def _tied(n: int, m: int, rank: int, w: jax.Array) -> jax.Array:
    W = w.reshape(n, m)
    return ((W @ W.T - jnp.diag(jnp.arange(n) < rank)) ** 2).sum()


def _tied_batch(n: int, m: int, rank: int, size: int, w: jax.Array, key: jax.Array) -> jax.Array:
    """Of a minibatch of Gaussian inputs: mean |(W Wᵀ - C) x|², whose expectation is `_tied`."""
    W, x = w.reshape(n, m), jax.random.normal(key, (n, size))
    return (((W @ W.T - jnp.diag(jnp.arange(n) < rank)) @ x) ** 2).sum() / size


def _start(*shapes: tuple[int, int], rank: int) -> np.ndarray:
    """Matrices that are the identity up to this rank, and 0 beyond: the most singular of the minima."""
    return np.concatenate([(np.eye(*shape) * (np.arange(shape[1]) < rank)).ravel() for shape in shapes])


def _regression(M: int, N: int, h: int, rank: int) -> Known:
    found = theory.reduced_rank(M, N, h, rank)
    expected = theory.crossing_expectation((1, 1), T, GAMMA, (M, N)) if (h, rank) == (1, 0) else np.nan
    return Known(partial(_product, (M, N, h), rank), _start((h, M), (N, h), rank=rank), found, expected)


def _normal_crossing(*powers: int, t: float = T) -> Known:
    expected = theory.crossing_expectation(powers, t, GAMMA)
    return Known(partial(_crossing, powers), np.zeros(len(powers)), theory.normal_crossing(powers), expected, t)


@cache
def models() -> dict[str, Known]:
    """The models by name, widths of a product as inputs-hidden-outputs; those with a multiplicity last."""
    return {
        "regular": Known(partial(_squares, 6), np.zeros(6), theory.minimally_singular(6)),
        "minimally singular": Known(partial(_squares, 2), np.zeros(6), theory.minimally_singular(6, 2)),
        "w^4": _normal_crossing(2),
        "w1^2 w2^4": _normal_crossing(1, 2, t=1e5),  # the next pole is near
        "B A, 1-1-3, rank 0": _regression(1, 3, 1, 0),
        "B A, 2-2-2, rank 0": _regression(2, 2, 2, 0),
        "B A, 3-3-3, rank 1": _regression(3, 3, 3, 1),
        "tied, 4-2-4, rank 1": Known(
            partial(_tied, 4, 2, 1), _start((4, 2), rank=1), theory.tied_reduced_rank(4, 2, 1)
        ),
        "w1^2 w2^2": _normal_crossing(1, 1),
        "B A, 2-1-2, rank 0": _regression(2, 2, 1, 0),
    }


INPUTS, NORMALISERS = 6, {"LayerNorm": LayerNorm(), "RMSNorm": RmsNorm(), "none": NoNorm()}
OUTPUTS, HIDDEN = {"linear": 3, "ReLU": 3, "B A": 2}, 2
"""Outputs of the layer behind a normaliser; width between the two of B A, whose truth has rank 1."""


def _behind(layer: str, inputs: np.ndarray, truth: np.ndarray, w: jax.Array) -> jax.Array:
    """Mean over inputs of |y - y*|², of the layer's outputs y and those of its true weights."""

    def outputs(w: jax.Array) -> jax.Array:
        if layer != "B A":
            y = inputs @ w.reshape(OUTPUTS[layer], INPUTS).T
            return jax.nn.relu(y) if layer == "ReLU" else y
        A, B = w[: HIDDEN * INPUTS].reshape(HIDDEN, INPUTS), w[HIDDEN * INPUTS :].reshape(OUTPUTS[layer], HIDDEN)
        return inputs @ A.T @ B.T

    return ((outputs(w) - outputs(jnp.asarray(truth))) ** 2).sum(1).mean()


@cache
def layers() -> dict[tuple[str, str], Known]:
    """Of each layer behind each normaliser; inputs h and truths are fixed, and the same for all normalisers."""
    rng = np.random.default_rng(0)
    h, weights = rng.normal(size=(64, INPUTS)), rng.normal(size=(OUTPUTS["linear"], INPUTS))
    first, second = np.zeros((HIDDEN, INPUTS)), np.zeros((OUTPUTS["B A"], HIDDEN))
    first[0], second[0, 0] = weights[0], 1.0  # rank 1, the rest of both at 0: the most singular of the minima
    truths = {"linear": weights.ravel(), "ReLU": weights.ravel(), "B A": np.r_[first.ravel(), second.ravel()]}
    made = {}
    for name, normaliser in NORMALISERS.items():
        inputs = np.asarray(jax.vmap(normaliser)(jnp.asarray(h)), np.float64)
        inputs -= (name == "LayerNorm") * inputs.mean(1, keepdims=True)  # what single precision leaves
        for layer, truth in truths.items():
            shape = {"hidden": HIDDEN, "rank": 1} if layer == "B A" else {}
            known = theory.behind_normaliser(INPUTS, OUTPUTS[layer], name == "LayerNorm", **shape)
            made[layer, name] = Known(partial(_behind, layer, inputs, truth), truth, known)
    return made


POLYGONS = {
    "square, 2 silent": (4, 2),
    "square, 2 dropped": (4, 0),
    "pentagon, 1 silent": (5, 1),
    "pentagon, 1 dropped": (5, 0),
    "hexagon": (6, 0),
}
"""k, and how many of the features left over are silent, of six in all."""


def _coefficient(name: str) -> float:
    k, silent = POLYGONS[name]
    return theory.regular_polygon(k, N - k - silent, silent).value


def polygon_loss(w: jax.Array) -> jax.Array:
    """L of W and b, W first, flat: what the toys are trained on."""
    return jnp.asarray(one_sparse_loss(w[: 2 * N].reshape(N, 2), w[2 * N :]))


# ------------------------------------------------------------------------------------------------------------- readings
def calibrated(toys: Swept) -> xr.Dataset:
    """Of each known model and seed: the estimate, its R-hat and acceptance; lambda, m and the expectation at t."""
    seeds, found = toys.data.seed.values, {}
    for name, each in models().items():
        points = np.tile(each.point, (len(seeds), 1))
        found[name] = learning_coefficients(each.loss, points, seeds, each.t, GAMMA, burn=1000, draws=8000, leaps=16)
    made = _table(list(found.values()), "model", list(found), seeds)
    known = [each.coefficient for each in models().values()]
    return made.assign(
        known=("model", [each.value for each in known]),
        multiplicity=("model", [each.multiplicity for each in known]),
        expected=("model", [each.expected for each in models().values()]),
        parameters=("model", [len(each.point) for each in models().values()]),
    )


def unadjusted(toys: Swept) -> xr.Dataset:
    """Of each seed: the estimate by SGLD, on minibatches of 16 inputs, at the tied model of rank 1."""
    seeds, (n, m, rank) = toys.data.seed.values, (4, 2, 1)
    points, batch = np.tile(_start((n, m), rank=rank), (len(seeds), 1)), partial(_tied_batch, n, m, rank, 16)
    settings = {"step": 3e-6, "burn": 10_000, "draws": 30_000, "minibatch": batch}
    found = sgld(partial(_tied, n, m, rank), points, seeds, T, GAMMA, **settings)
    return _table([found], "model", ["tied"], seeds).assign(known=theory.tied_reduced_rank(n, m, rank).value)


def behind_normalisers(toys: Swept) -> xr.Dataset:
    """Of each layer behind each normaliser, and each seed: the estimate; its coefficient."""
    seeds, parts = toys.data.seed.values, []
    for layer in OUTPUTS:
        found = []
        for name in NORMALISERS:
            each = layers()[layer, name]
            points = np.tile(each.point, (len(seeds), 1))
            found.append(learning_coefficients(each.loss, points, seeds, T, GAMMA, burn=500, draws=3000))
        known = [layers()[layer, name].coefficient.value for name in NORMALISERS]
        parts.append(_table(found, "normaliser", list(NORMALISERS), seeds).assign(known=("normaliser", known)))
    return xr.concat(parts, xr.Variable("layer", list(OUTPUTS)))


def at_polygons(toys: Swept) -> xr.Dataset:
    """Of each exact critical point of six features and each seed: the estimate; its coefficient."""
    seeds = toys.data.seed.values
    exact = [polygon_with_dropped(k, N, silent) for k, silent in POLYGONS.values()]
    points = np.repeat([np.concatenate([np.ravel(each.W), each.b]) for each in exact], len(seeds), axis=0)
    chains = np.tile(seeds, len(exact)) + 10_000 * np.repeat(np.arange(len(exact)), len(seeds))
    found = learning_coefficients(polygon_loss, points, chains, *COLD, chains=2, burn=400, draws=800)
    parts = [Estimated(*(each[i * len(seeds) : (i + 1) * len(seeds)] for each in found)) for i in range(len(exact))]
    return _table(parts, "polygon", list(POLYGONS), seeds).assign(known=("polygon", list(map(_coefficient, POLYGONS))))


def course(toys: Swept) -> xr.Dataset:
    """Of each seed and snapshot: exact loss, D_i, the estimate; of its end: name, estimate at large t, coefficient."""
    toys.check(problem__data__n=N, problem__model__m=2)
    W, b = (toys.finite(name).transpose("seed", "snapshot", ...) for name in ("W", "b"))
    loss = xr.DataArray(one_sparse_loss(W.values, b.values), dims=("seed", "snapshot"))
    flat = np.concatenate([W.values.reshape(*loss.shape, -1), b.values], axis=-1)
    seeds = toys.data.seed.values
    numbers = seeds[:, None] + 10_000 * np.arange(flat.shape[1])
    points = flat.reshape(-1, flat.shape[-1])
    found = learning_coefficients(
        polygon_loss, points, numbers.ravel(), *COURSE, chains=2, burn=200, draws=400, leaps=4
    )
    last = learning_coefficients(polygon_loss, flat[:, -1], seeds, *ENDS, chains=2, burn=400, draws=800)
    names = named_polygons(W.isel(snapshot=-1, drop=True), b.isel(snapshot=-1, drop=True), one_sparse_loss).name
    known = [_coefficient(name) if name in POLYGONS else np.nan for name in names.values.tolist()]
    each = {
        "loss": loss,
        "estimate": (("seed", "snapshot"), found.value.reshape(loss.shape)),
        "below": (("seed", "snapshot"), found.below.reshape(loss.shape)),
        "D": feature_dimensionality(W, dead=0.05),
        "name": ("seed", names.values.astype(str)),
        "end": ("seed", last.value),
        "end_below": ("seed", last.below),
        "known": ("seed", known),
    }
    return xr.Dataset(each, {"seed": seeds, "snapshot": W.snapshot.values})


def _table(found: list[Estimated], along: str, names: list[str], seeds: np.ndarray) -> xr.Dataset:
    dims, coords = (along, "seed"), {along: names, "seed": seeds}
    values = {
        "estimate": [each.value for each in found],
        "r_hat": [each.r_hat for each in found],
        "acceptance": [each.acceptance.mean(axis=1) for each in found],
        "below": [each.below for each in found],
    }
    return xr.Dataset({name: (dims, np.array(each)) for name, each in values.items()}, coords)


# -------------------------------------------------------------------------------------------------------------- figures
def coefficients(calibrated: xr.Dataset, at_polygons: xr.Dataset, course: xr.Dataset) -> Figure:
    """a: estimates of the learning coefficient over the known one, means over seeds. Regular: all directions are
    determined; minimally singular: some do not matter at all. Products B A and a tied one are named by their widths,
    inputs-hidden-outputs, and the rank of the truth. A multiplicity of 2 lowers what is found at a finite t, by as much
    as the exact expectation says. Exact critical points are of six features in the plane, one active at a time;
    dropped: W_i = 0 and the mean is predicted; silent: the output is always 0. b to d: one toy in training; up to one
    other seed in ten begins outside of the axes. b: its loss. c: the estimate at t = 100, no coefficient where it is
    negative, and the estimate at the end, less t times what the loss has still to fall. d: the dimensionality D_i of
    its features, one colour each, 0 for one that is dropped."""
    figure = plt.figure(figsize=(draw.PAGE, 4.9))
    left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1))
    calibration, courses = left.subplots(), right.subplots(3, 1, sharex=True)
    draw.panel_labels([calibration, *courses])
    _calibration(calibration, calibrated, at_polygons)
    _course(*courses, course)
    told = {"known model": {"colour": draw.BLUE}, "multiplicity 2": {"colour": draw.BLUE, "mfc": "white"}}
    told["critical point"] = {"colour": draw.ORANGE}
    keys = {name: draw.key("", marker="o", ms=4, **look) for name, look in told.items()}
    keys |= {"95 % interval": draw.key("-", lw=1), "equal": draw.DASHED}
    draw.legend_below(left, calibration, keys, columns=3)
    draw.legend_below(right, courses)
    return figure


def _course(top: Any, middle: Any, bottom: Any, course: xr.Dataset) -> None:
    start = course.loss.isel(snapshot=0)
    shown = course.isel(seed=int(abs(start - start.median()).fillna(np.inf).argmin("seed")))
    steps = course.snapshot.values + 1
    for ax, name, label in ((top, "loss", "exact loss"), (middle, "estimate", r"$\hat\lambda$ at $t=100$")):
        draw.runs(ax, steps, course[name].transpose("seed", "snapshot"), "other seeds", "0.8", alpha=1, lw=0.5)
        ax.plot(steps, shown[name], label="one toy", color=draw.BLUE, marker="o", ms=2.5, lw=1)
        low, high = course[name].quantile([0.0, 1.0], "snapshot").values
        # Nine in ten starts: a single one far off would flatten all others.
        ends = {"top": 1.05 * np.nanquantile(high, 0.9)} if name == "loss" else {"bottom": np.nanquantile(low, 0.1) - 1}
        ax.set(ylabel=label)
        ax.set_ylim(**ends)
    fall = COURSE[0] * (shown.loss - shown.loss.isel(snapshot=-1))
    draw.theory(middle, steps, (shown.estimate.isel(snapshot=-1) - fall).values, "from its loss")
    middle.axhline(0, color="0.6", lw=0.6, zorder=0)
    draw.trajectories(bottom, steps, shown.D.transpose("feature", "snapshot").values)
    bottom.set(ylabel="dimensionality $D_i$", xlabel="step + 1", xscale="log")


def behind(behind_normalisers: xr.Dataset) -> Figure:
    """Estimates of the learning coefficient at a layer behind a normaliser of six inputs, means over seeds with their
    intervals, which are smaller than the points, and what is known. Layers: three outputs, or ReLUs of them, or two
    outputs of a product B A of width 2 and rank 1. Centring takes half a unit for each output from a layer that the
    data determine, and less from a product of low rank."""
    figure, ax = plt.subplots(figsize=(draw.COLUMN, 2.4))
    colours = dict(zip(NORMALISERS, (draw.ORANGE, draw.BLUE, draw.GREEN), strict=True))
    places = np.arange(len(OUTPUTS))
    for shift, (name, colour) in zip((-0.2, 0.0, 0.2), colours.items(), strict=True):
        here = behind_normalisers.sel(normaliser=name)
        draw.points(ax, places + shift, mean(here.estimate.transpose("layer", "seed")).estimates, name, colour)
        for place, known in zip(places + shift, here.known.values, strict=True):
            ax.plot([place - 0.11, place + 0.11], [known, known], color=draw.BLACK, lw=0.9, zorder=1.5)
    draw.ticks(ax, "x", places, list(OUTPUTS))
    ax.set(ylabel=r"estimate $\hat\lambda$", xlabel="layer", xlim=(-0.5, len(OUTPUTS) - 0.5), ylim=(0, None))
    told = {"known": draw.key("-", draw.BLACK, lw=0.9), "95 % interval": draw.whisker()}
    draw.legend(ax, told, loc="lower left")
    return figure


TEX = {"w^4": "$w^4$", "w1^2 w2^4": "$w_1^2 w_2^4$", "w1^2 w2^2": "$w_1^2 w_2^2$"}


def _calibration(ax: Any, calibrated: xr.Dataset, at_polygons: xr.Dataset) -> None:
    names = [*calibrated.model.values.tolist(), *at_polygons.polygon.values.tolist()]
    parts = [(calibrated, "model", draw.BLUE, 0), (at_polygons, "polygon", draw.ORANGE, calibrated.sizes["model"])]
    ax.axvspan(0.9, 1.1, color="0.92", lw=0, label="within a tenth")
    ax.axvline(1, color=draw.THEORY, ls=draw.DASHED, lw=0.8)
    for data, along, colour, first in parts:
        ratio = mean((data.estimate / data.known).transpose(along, "seed")).estimates
        several = data.multiplicity.values > 1 if "multiplicity" in data else np.zeros(len(ratio), bool)
        for row, (each, hollow) in enumerate(zip(ratio, several, strict=True), first):
            ax.plot(np.clip([each.low, each.high], 0, 2), [row, row], color=colour, lw=1)
            ax.plot(each.value, row, "o", ms=4, color=colour, mfc="white" if hollow else colour)
    crossed = (calibrated.expected / calibrated.known).where(calibrated.multiplicity > 1).values
    ax.plot(crossed, np.arange(len(crossed)) + 0.3, "x", color=draw.BLACK, ms=4, label="expected at this $t$")
    draw.ticks(ax, "y", range(len(names)), [TEX.get(name, name) for name in names])
    ax.set(xlabel=r"$\hat\lambda\,/\,\lambda$", xlim=(0.75, 1.15))
    ax.invert_yaxis()


# ------------------------------------------------------------------------------------------------------------- findings
TENTH = ours("a tenth")


def known_are_met(calibrated: xr.Dataset) -> Iterator[Finding]:
    """Chains against known coefficients; with a multiplicity, against the exact expectation at their t."""
    for name in calibrated.model.values.tolist():
        here, at = calibrated.sel(model=name), {"model": name}
        ratio = mean(here.estimate / here.known)
        if here.multiplicity == 1:
            what = f"{name}: estimate over known coefficient, {float(here.known):g}"
            yield Finding("known-met", what, ratio, Near(1, within=0.1), TENTH, settings=at)
        else:
            what = f"{name}, multiplicity {int(here.multiplicity)}: estimate over known coefficient"
            lower = stated("Watanabe 2009: lambda - (m - 1) / log t")
            yield Finding("multiplicity-lowers", what, ratio, AtMost(0.95), lower, settings=at)
            what = f"{name}: estimate over its exact expectation at t = {T:g}"
            exactly = mean(here.estimate / here.expected)
            yield Finding("expectation-met", what, exactly, Near(1, within=0.1), ours("quadrature"), settings=at)
        what = f"{name}: estimate over half of the parameters"
        yield report("over-half", what, mean(2 * here.estimate / here.parameters), settings=at)


def centring_is_seen(behind_normalisers: xr.Dataset) -> Iterator[Finding]:
    """Behind LayerNorm, RMSNorm and none; what centring takes from a layer, and from a product of low rank."""
    for layer in OUTPUTS:
        here = behind_normalisers.sel(layer=layer)
        for name in NORMALISERS:
            one, at = here.sel(normaliser=name), {"layer": layer, "normaliser": name}
            what = f"{layer} behind {name}: estimate over known coefficient, {float(one.known):g}"
            yield Finding("layer-met", what, mean(one.estimate / one.known), Near(1, within=0.1), TENTH, settings=at)
        lower, at = here.sel(normaliser="RMSNorm") - here.sel(normaliser="LayerNorm"), {"layer": layer}
        what = f"{layer}: how much lower the estimate is behind LayerNorm than behind RMSNorm"
        known, why = float(lower.known), ours("tolerance; one direction less")
        yield Finding("centring", what, mean(lower.estimate), Near(known, within=0.2 * known), why, settings=at)
        gone = (here.sel(normaliser="none") - here.sel(normaliser="RMSNorm")).estimate
        what = f"{layer}: how much lower the estimate is behind RMSNorm than without"
        why = ours("tolerance; a lost length takes no direction")
        yield Finding("length", what, mean(gone), Near(0, within=0.2 * known), why, settings=at)


def chains_agree(calibrated: xr.Dataset, at_polygons: xr.Dataset, unadjusted: xr.Dataset) -> Iterator[Finding]:
    """Chains of one seed with each other, and unadjusted chains on minibatches with what is known."""
    limit = stated("Gelman et al. 2013, section 11.5: below 1.1")
    for name, values in (("models", calibrated), ("polygons", at_polygons), ("SGLD", unadjusted)):
        every = mean(values.r_hat.mean([dim for dim in values.r_hat.dims if dim != "seed"]))
        yield Finding("chains-mix", f"{name}: split R-hat", every, AtMost(1.1), limit, settings={"of": name})
    ratio = mean(unadjusted.estimate.sel(model="tied") / unadjusted.known)
    what = "tied model, SGLD with minibatches: estimate over known coefficient"
    yield Finding("sgld-met", what, ratio, Near(1, within=0.1), TENTH)


def polygons_are_met(at_polygons: xr.Dataset) -> Iterator[Finding]:
    """At exact critical points of the tied toy."""
    for name in at_polygons.polygon.values.tolist():
        here, at = at_polygons.sel(polygon=name), {"polygon": name}
        what = f"{name}: estimate over known coefficient, {float(here.known):g}"
        why = ours("half of the dimensions, less the rotation")
        yield Finding("polygon-met", what, mean(here.estimate / here.known), Near(1, within=0.1), why, settings=at)


def along_training(course: xr.Dataset) -> Iterator[Finding]:
    """Beside the loss and the dimensionalities."""
    t = COURSE[0]
    together = _each_seed(course, lambda here: stats.spearmanr(here.loss, here.estimate).statistic)
    what = f"rank correlation of the estimate at t = {t:g} with the loss, along training"
    why = ours(f"limit; {PAPER}: the coefficient rises as the loss falls")
    yield Finding("rises-as-loss-falls", what, mean(together), AtMost(-0.8), why)
    first, last = (course[["loss", "estimate"]].isel(snapshot=place, drop=True) for place in (0, -1))
    what = f"t = {t:g} times the fall of the loss in training, over the rise of the estimate"
    ratio = t * (first.loss - last.loss) / (last.estimate - first.estimate)
    why = ours("tolerance; 1 where chains from anywhere find one mean loss")
    yield Finding("rise-is-the-fall", what, mean(ratio), Near(1, within=0.2), why)
    why = ours("at a minimum it is positive")
    yield Finding("negative-at-first", "estimate at the start of training", mean(first.estimate), AtMost(0), why)
    what = f"estimate at t = {ENDS[0]:g} at the end of training over the known coefficient of the polygon reached"
    yield Finding("ends-at-known", what, mean(course.end / course.known), Near(1, within=0.1), TENTH)
    for name in POLYGONS:
        at, reached = {"end": name}, named(course.name, name)
        yield report("reached", f"seeds that end in the {name}", share(reached), settings=at)
        end = mean(course.estimate.isel(snapshot=-1).where(reached > 0))
        yield report("end-at-small-t", f"estimate at t = {t:g} of seeds that end in the {name}", end, settings=at)
    spread = _each_seed(course, lambda here: stats.spearmanr(here.D.mean("feature"), here.estimate).statistic)
    yield report("with-dimensionality", "rank correlation of the estimate with the mean of D_i", mean(spread))


def _each_seed(course: xr.Dataset, number: Callable[[xr.Dataset], float]) -> xr.DataArray:
    values = [float(number(course.isel(seed=i))) for i in range(course.sizes["seed"])]
    return xr.DataArray(values, {"seed": course.seed}, ("seed",))


experiment = Experiment(
    question="Do estimated learning coefficients meet known ones, and what do they say of a toy in training?",
    source=f"Lau et al. 2023, arXiv 2308.12108; {PAPER}",
    sweeps={"toys": toys},
    scales={"tiny": {"seed": range(2), "steps": 200}, "full": {"seed": range(100)}},
    readings=[calibrated, unadjusted, behind_normalisers, at_polygons, course],
    figures=[coefficients, behind],
    findings=[known_are_met, chains_agree, centring_is_seen, polygons_are_met, along_training],
    claims=[
        Claim(
            "F5",
            "Estimates meet known coefficients within a tenth, at exact k-gons too with tied weights counted once, "
            "unless a multiplicity lowers them. LayerNorm takes half a unit an output from the layer behind it, and "
            "RMSNorm nothing. In training they rise as the loss falls, by t times its fall, and a toy ends at the "
            "coefficient of its polygon.",
            [
                "known-met",
                "multiplicity-lowers",
                "expectation-met",
                "sgld-met",
                "polygon-met",
                "layer-met",
                "centring",
                "length",
                "rises-as-loss-falls",
                "rise-is-the-fall",
                "ends-at-known",
            ],
            "coefficients",
            note="From a product of low rank LayerNorm takes less: half of the rank where the inputs are many. Square, "
            "pentagon and hexagon of six features have one coefficient, 17/2, where the features left over are "
            "dropped; D_i tells them apart, and the coefficient tells dropped features from silent ones. At "
            "t = 100 the estimate in training is the loss upside down: chains from anywhere find nearly one mean loss. "
            "With a multiplicity of 2 the estimate is held against its exact expectation at t = 10,000.",
        )
    ],
    cost="20 cells of 10,000 steps, and 2,000 chains: about three minutes",
)
