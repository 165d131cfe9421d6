"""What does erasing one feature do to the others? Collateral damage against overlap. Claim E2.

A toy holds 20 features in few dimensions. Feature i is erased from its hidden state h = Wᵀ x, by projecting W_i out
(the class means of independent features differ along it) or by least squares; the read-out stays. The damage to feature
j is what its squared error E(x_j - x'_j)² rises by. Of the toy's own read-out, ReLU(W h + b), it is measured; of the
least-squares linear one it has a closed form.

Overlap is cos²_ij of W_i and W_j. Where features differ in frequency it is weighted by what there is to damage, the
second moment of x_j: a feature that is on alone loses the share cos²_ij of its squared hidden state.
"""

from collections.abc import Iterator

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Cosine, Record, Run, Sparse, SquaredError, Supervised, Sweep, Tied, draw
from toymodels.analysis.erasure import Eraser, leace_of_moments
from toymodels.claims import Claim
from toymodels.data import covariance
from toymodels.estimates import exact, mean
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Finding, ours, report
from toymodels.theory.erasure import least_squares_collateral, linear_readout, projection_collateral

N, KEPT, EXAMPLES = 20, 0.5, 20_000
"""Features; length from which on a feature is kept; examples that the damage is measured on."""
P = tuple(float(p) for p in np.geomspace(0.2, 0.01, N))
MIDDLE = float(np.sqrt(P[0] * P[-1]))
METHODS = ("projection", "least squares")
FORMS = ("overlap", "weighted")
equal = Run(Supervised(Sparse(N, (MIDDLE,) * N), Tied(6)), Adam(Cosine(3e-3)), 5000, 256, record=Record(2, 2))
weights = SquaredError(tuple(MIDDLE / p for p in P))  # else a toy drops what is rare
unequal = Run(Supervised(Sparse(N, P), Tied(6), weights), Adam(Cosine(3e-3)), 5000, 256, record=Record(2, 2))
seeds = Axis("seed", "seed", range(30))
sweeps = {"equal": Sweep(equal, [seeds]), "unequal": Sweep(unequal, [seeds])}


# ------------------------------------------------------------------------------------------------------------- readings
def damage(equal: Swept, unequal: Swept) -> xr.Dataset:
    """By law, seed, method, erased and damaged feature: damage in the toy, damage of the linear read-out in closed form
    and evaluated, squared cosine; lengths and second moments of features."""
    return xr.concat([_damage(each) for each in (equal, unequal)], xr.Variable("law", ["equal", "unequal"]))


def _damage(swept: Swept) -> xr.Dataset:
    W = swept.finite("W", snapshot=-1).transpose("seed", "feature", "hidden")
    b = swept.finite("b", snapshot=-1).transpose("seed", "feature")
    law = swept.sweep.base.problem.data
    C, centre = covariance(law), np.asarray(law.mean(), np.float64)
    count, n = W.sizes["seed"], W.sizes["feature"]
    toys, closed, evaluated = (np.full((count, len(METHODS), n, n), np.nan) for _ in range(3))
    for s, seed in enumerate(W.seed.values.tolist()):
        rows = W.values[s]
        if not np.isfinite(rows).all():
            continue
        x = np.asarray(law.sample(jax.random.key(seed), EXAMPLES), np.float64)
        closed[s] = projection_collateral(rows, C), least_squares_collateral(rows, C)
        for k, method in enumerate(METHODS):
            erasers = [eraser(rows, C, centre, i, method) for i in range(n)]
            toys[s, k] = toy_damage(rows, b.values[s], x, erasers)
            evaluated[s, k] = linear_damage(rows, C, erasers)
    length = np.sqrt((W**2).sum("hidden", skipna=False))
    unit = (W / length).values
    dims = ("seed", "by", "erased", "feature")
    return xr.Dataset(
        {
            "damage": (dims, toys),
            "closed": (dims, closed),
            "evaluated": (dims, evaluated),
            "overlap": (("seed", "erased", "feature"), (unit @ unit.transpose(0, 2, 1)) ** 2),
            "length": (("seed", "feature"), length.values),
            "second": ("feature", np.diag(C) + centre**2),
            "p": ("feature", np.asarray(law.marginals(), np.float64)),
        },
        {"seed": W.seed.values, "by": list(METHODS)},
    )


def eraser(W: np.ndarray, C: np.ndarray, centre: np.ndarray, i: int, method: str) -> Eraser:
    """What erases feature i from h = Wᵀ x."""
    if method == "least squares":
        return leace_of_moments(W.T @ C @ W, (W.T @ C)[:, [i]], centre @ W)
    unit = W[i] / np.linalg.norm(W[i])
    return Eraser(np.eye(W.shape[1]) - np.outer(unit, unit), centre @ W)


def toy_damage(W: np.ndarray, b: np.ndarray, x: np.ndarray, erasers: list[Eraser]) -> np.ndarray:
    """Mean rise of (x_j - ReLU(W h + b)_j)² over the examples, a row an eraser."""
    h = x @ W

    def error(h: np.ndarray) -> np.ndarray:
        return np.asarray(((np.maximum(h @ W.T + b, 0) - x) ** 2).mean(axis=0))

    before = error(h)
    return np.array([error(erase(h)) - before for erase in erasers])


def linear_damage(W: np.ndarray, C: np.ndarray, erasers: list[Eraser]) -> np.ndarray:
    """The same of the least-squares read-out, from the variance of its error before and after."""
    readout = linear_readout(W, C)

    def error(A: np.ndarray) -> np.ndarray:
        left = np.eye(len(W)) - readout @ A @ W.T
        return np.asarray(np.einsum("jk,kl,jl->j", left, C, left))

    before = error(np.eye(W.shape[1]))
    return np.array([error(erase.matrix) - before for erase in erasers])


def pairs(damage: xr.Dataset) -> xr.DataArray:
    """Whether feature j is another than the erased one, and both are kept."""
    kept = damage.length >= KEPT
    n = damage.sizes["feature"]
    other = xr.DataArray(~np.eye(n, dtype=bool), dims=("erased", "feature"))
    return kept & kept.rename(feature="erased") & other


def form(damage: xr.Dataset, name: str) -> xr.DataArray:
    """cos²_ij, as it is or times E x_j²."""
    return damage.overlap * damage.second if name == "weighted" else damage.overlap


def proportional(y: xr.DataArray, x: xr.DataArray, among: xr.DataArray) -> xr.Dataset:
    """y = factor x by least squares over the pairs, and the share of the variance of y that it explains."""
    x, y = x.where(among), y.where(among)
    over = ("erased", "feature")
    factor = (x * y).sum(over) / (x**2).where(y.notnull()).sum(over)
    left = ((y - factor * x) ** 2).sum(over) / ((y - y.mean(over)) ** 2).sum(over)
    usable = y.notnull().any(over)
    return xr.Dataset({"factor": factor.where(usable), "explained": (1 - left).where(usable)})


# -------------------------------------------------------------------------------------------------------------- figures
def damage_by_overlap(damage: xr.Dataset) -> Figure:
    """Erasing a feature by projection from toys of 20 features whose activation probabilities fall from .2 to .01: rise
    of the squared error of each other feature, every pair of every seed, coloured by how frequent the damaged feature
    is, against a: the squared cosine of the two; b: the same times the second moment of the damaged feature; dashed,
    the proportional fit over all pairs (pairs that gain, or lose less than 1e-6, are not drawn). c: share of the
    variance over pairs that a proportional fit explains, toy by toy, mean and 95 % interval; equal: all features
    alike."""
    figure, axes = draw.panels(1, 3, height=2.6)
    here, among = damage.sel(law="unequal"), pairs(damage.sel(law="unequal"))
    measured = here.damage.sel(by="projection").where(among)
    groups = np.array_split(np.arange(here.sizes["feature"]), 3)
    for ax, name in zip(axes[:2], FORMS, strict=True):
        x = form(here, name).broadcast_like(measured).transpose(*measured.dims)
        series = {}
        for group, colour in zip(groups, (draw.BLUE, draw.GREEN, draw.ORANGE), strict=True):
            p = here.p.isel(feature=group).values
            positive = measured.isel(feature=group).where(measured.isel(feature=group) > 0)
            series[f"p = {p.max():.2g} to {p.min():.2g}"] = (x.isel(feature=group).values, positive.values, colour)
        draw.clouds(ax, series)
        ends = np.array([1e-4, 1]) * float(x.where(among).max())
        factor = float(proportional(measured, x, among).factor.mean())
        draw.theory(ax, ends, factor * ends, "proportional", zorder=3)
        ax.set(xscale="log", yscale="log", xlim=(ends[0], 1.5 * ends[1]), ylim=(1e-6, 1e-1))
    axes[0].set(xlabel="$\\cos^2_{ij}$", ylabel="damage to feature $j$")
    axes[1].set(xlabel="$\\cos^2_{ij}\\; \\mathrm{E}\\, x_j^2$")
    cells = [(law, by) for law in damage.law.values.tolist() for by in METHODS]
    for name, colour, shift in zip(FORMS, (draw.RED, draw.BLACK), draw.shifts(2), strict=True):
        found = [
            mean(proportional(each.damage.sel(by=by), form(each, name), pairs(each)).explained)
            for law, by in cells
            for each in [damage.sel(law=law)]
        ]
        label = "$\\cos^2$" if name == "overlap" else "$\\cos^2 \\mathrm{E}\\, x_j^2$"
        draw.points(axes[2], range(len(cells)), found, label, colour, shift=shift)
    draw.ticks(axes[2], "x", range(len(cells)), [f"{law}\n{by.replace(' ', chr(10))}" for law, by in cells])
    axes[2].set(ylabel="variance explained", ylim=(0, 1.03))
    draw.legend(axes[2], {"95 % interval": draw.whisker()})
    draw.legend_below(figure, axes[0])
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def linear_read_outs(damage: xr.Dataset) -> Iterator[Finding]:
    """Closed form against the error before and after."""
    for by in METHODS:
        each = damage.sel(by=by)
        off = abs(each.closed - each.evaluated).max() / each.closed.max()
        what = f"{by}: damage of linear read-outs in closed form less evaluated, over the largest damage: largest"
        said = ours("G_ij² / G_ii, G the covariance of the read-outs; (R_j · Ŵ_i)² times the variance along W_i")
        yield Finding("linear-closed-form", what, exact(off.item()), AtMost(1e-10), said, "check", {"method": by})
        for law in damage.law.values.tolist():
            here = each.sel(law=law)
            fit = proportional(here.closed, form(here, "weighted"), pairs(here))
            what = f"{by}, {law}: variance of the damage of linear read-outs explained by weighted overlap"
            yield report("linear-explained", what, mean(fit.explained), settings={"method": by, "law": law})


def damage_follows_weighted_overlap(damage: xr.Dataset) -> Iterator[Finding]:
    """Proportional fits over all pairs of kept features, toy by toy."""
    for law in damage.law.values.tolist():
        here = damage.sel(law=law)
        among = pairs(here)
        for by in METHODS:
            at, measured = {"method": by, "law": law}, here.damage.sel(by=by)
            fits = {name: proportional(measured, form(here, name), among) for name in FORMS}
            what = f"{by}, {law} features: variance of the damage explained by cos² E x_j²"
            found, why = mean(fits["weighted"].explained), ours("nearly all")
            yield Finding("weighted-overlap", what, found, AtLeast(0.85), why, settings=at)
            what, found = f"{by}, {law} features: by cos² alone", mean(fits["overlap"].explained)
            if law == "unequal":
                yield Finding("overlap-alone", what, found, AtMost(0.75), ours("far from all"), settings=at)
            else:
                yield report("overlap-of-equals", what, found, settings=at)
            what = f"{by}, {law} features: damage over cos² E x_j²"
            yield report("factor", what, mean(fits["weighted"].factor), settings=at)
            near = among & (here.overlap >= 0.1)
            hurt = (measured > 0).where(near & measured.notnull()).mean(("erased", "feature"))
            what = f"{by}, {law} features: share of pairs with cos² of .1 or more that are damaged"
            yield Finding("others-damaged", what, mean(hurt), AtLeast(0.9), ours("nearly all"), settings=at)


experiment = Experiment(
    question="Does erasing one feature damage others in proportion to their overlap?",
    source="ours, on the toy of Elhage et al. 2022",
    sweeps=sweeps,
    scales={"tiny": {"seed": range(3), "steps": 300}, "full": {"seed": range(100), "steps": 20_000}},
    readings=[damage],
    figures=[damage_by_overlap],
    findings=[linear_read_outs, damage_follows_weighted_overlap],
    claims=[
        Claim(
            "E2",
            "Erasing one feature in superposition damages others in proportion to their overlap, cos² times the second "
            "moment of the damaged feature; cos² alone does not say it where features differ in frequency.",
            ["linear-closed-form", "others-damaged", "weighted-overlap", "overlap-alone"],
            "damage_by_overlap",
            ["problem.model.m=10"],
            "Of least-squares linear read-outs the damage is exact: v_j R²_j cos², the cosine where h is white. That "
            "of a ReLU toy is measured; importances are 1/p where features are unequal, or rare ones are dropped.",
        )
    ],
    cost="2 programs, 60 cells of 5,000 steps, and 2,400 erasures: about a minute",
)
