"""Several minima of equal loss: which of them do initial bias, learning rate and batch size select?

Five features in a plane, at the density at which a pentagon, in which all five share two dimensions, and a square of
two digons with a feature dropped cost the same. Seed by seed the initial weights are the same.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Cosine, Record, Run, Sparse, Supervised, Sweep, Tied, draw
from toymodels.analysis.geometry import feature_dimensionality, interference, tegum_factors
from toymodels.analysis.labelled import each_model, exact_losses
from toymodels.claims import Claim
from toymodels.estimates import best_over_best, of_draws, redrawn, share
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, Finding, Near, ours, report
from toymodels.theory.superposition import expected_loss

ORTHOGONAL, DEAD = 0.1, 0.25
"""|cos| up to which two features count as orthogonal; norm, over the largest, up to which one is not represented."""
EQUAL = 0.02
"""Excess of the exact loss over the least of all, up to which a model counts as being in one of the best minima."""
MINIMA = ("square", "pentagon")
ENDS = {"initial bias": (0.0, 1.0), "learning rate": (3e-3, 0.1), "batch size": (32, 512)}
"""Of each factor the two levels whose shares of minima are compared."""

base = Run(Supervised(Sparse(5, 0.225), Tied(2)), Adam(Cosine(1e-2)), steps=3000, batch=128, record=Record(12, 2))
seeds = Axis("seed", "seed", range(384))
biases = Sweep(base, [Axis("bias", "problem.model.bias", [-0.25, 0.0, 0.5, 1.0]), seeds])
rates = Sweep(base, [Axis("lr", "optimizer.lr.peak", [3e-3, 0.01, 0.03, 0.1]), seeds])
sizes = Axis("size", "batch", [32, 512])
batches = Sweep(base, [Axis("lr", "optimizer.lr.peak", [3e-3, 0.05]), sizes, seeds])
tiny = {"seed": range(12), "steps": 600, "bias": [0.0, 1.0], "rates.lr": [3e-3, 0.1], "size": [32, 512]}


# ------------------------------------------------------------------------------------------------------------- readings
def by_bias(biases: Swept) -> xr.Dataset:
    """Where models end, by the bias that they start from."""
    return _ends(biases, "bias")


def by_rate(rates: Swept) -> xr.Dataset:
    """Where models end, by the peak of the learning rate."""
    return _ends(rates, "lr")


def by_batch(batches: Swept) -> xr.Dataset:
    """Where models end, by the batch size, which is the noise of the gradient, at two learning rates."""
    return _ends(batches, "size")


def _ends(swept: Swept, factor: str) -> xr.Dataset:
    """Geometry, exact loss, features that share a dimension and interference of every model, converged or not: what is
    within 2 % of the least loss is in that minimum, however noisy its last steps."""
    W, b = (swept.final(name, unconverged=True) for name in ("W", "b"))
    loss = exact_losses(partial(expected_loss, p=swept.sweep.base.problem.data.p), W, b)
    C, kept = feature_dimensionality(W, DEAD), np.isfinite(loss)
    sharing = ((C > 0.02) & (C < 0.98)).sum("feature").where(kept)
    data = {"loss": loss, "name": each_model(_name, W), "sharing": sharing, "W": W.reset_coords(drop=True)}
    return xr.Dataset(data | {"interference": interference(W, DEAD).sum("feature").where(kept)}).rename(
        {factor: "level"}
    )


def _name(W: np.ndarray) -> str:
    return tegum_factors(W, tol=ORTHOGONAL, dead=DEAD).name


def minima(found: xr.Dataset, least: float) -> xr.DataArray:
    """The name of the minimum of every model within 2 % of the least loss; "other" for other names; "above"."""
    named = xr.where(found.name.isin(MINIMA), found.name, "other")
    return xr.where(found.loss <= least * (1 + EQUAL), named, "above")


# -------------------------------------------------------------------------------------------------------------- figures
def which_minimum(by_bias: xr.Dataset, by_rate: xr.Dataset, by_batch: xr.Dataset) -> Figure:
    """Five features in a plane, where a square with a dropped feature (the dot in its middle) and a pentagon have equal
    losses. a, b: rows of W in the two minima. c-f: of the models that end within 2 % of the least loss, the share in
    each minimum, against initial bias, peak learning rate, and batch size at two learning rates, with Wilson intervals
    that hold together at 95 % for each curve; and, of all models, the share that ends above."""
    factors = _factors(by_bias, by_rate, by_batch)
    figure, axes = draw.panels(1, 2 + len(factors), height=2.4, width_ratios=(0.8, 0.8, *[1.0] * len(factors)))
    least = _least(*factors.values())
    colours = dict(zip(MINIMA, (draw.BLUE, draw.RED), strict=True))
    for ax, name in zip(axes, MINIMA, strict=False):
        models = by_bias.stack(cell=("level", "seed"), create_index=False)
        inside = np.flatnonzero((minima(models, least) == name).values)
        if inside.size:
            W = models.W.isel(cell=inside[0]).transpose("feature", "hidden").values
            draw.arrows(ax, W, [colours[name]] * len(W), reach=1.4)
            ax.axis("off")
        ax.set_title(name, fontsize=8, color=colours[name])
    for ax, (factor, found) in zip(axes[2:], factors.items(), strict=True):
        ended, x = minima(found, least).transpose("level", "seed"), np.arange(found.sizes["level"])
        for name, shift in zip(MINIMA, (-2, 2), strict=True):
            flags = (ended == name).where(ended != "above")
            draw.points(ax, x, share(flags).estimates, name, colours[name], shift=shift, ls="-", lw=0.8)
        draw.points(ax, x, share(ended == "above").estimates, "above the least loss", "0.6", ls="-", lw=0.8)
        draw.ticks(ax, "x", x, [f"{level:g}".replace("0.", ".") for level in found.level.values])
        ax.set(xlabel=factor.replace(" at ", "\n"), ylim=(-0.03, 1.03))
        ax.set_ylabel("share of models" if ax is axes[2] else "")
    draw.legend_below(figure, axes[2:], {"95 % interval": draw.whisker()})
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def _factors(by_bias: xr.Dataset, by_rate: xr.Dataset, by_batch: xr.Dataset) -> dict[str, xr.Dataset]:
    """Models by the level of each factor; a factor of two learning rates is two."""
    noise = {f"batch size at rate {lr:g}": by_batch.sel(lr=lr, drop=True) for lr in by_batch.lr.values.tolist()}
    return {"initial bias": by_bias, "learning rate": by_rate, **noise}


def _least(*found: xr.Dataset) -> float:
    return min(float(each.loss.min()) for each in found)


def two_minima(by_bias: xr.Dataset, by_rate: xr.Dataset, by_batch: xr.Dataset) -> Iterator[Finding]:
    """Of all models: the two minima have equal losses, and differ in how many features share and interfere."""
    found = _factors(by_bias, by_rate, by_batch).values()
    every = xr.concat([each.drop_vars("level").rename(level="cell") for each in found], "cell", join="inner")
    best = minima(every, _least(every))
    one, other = (every.where(best == name) for name in MINIMA)
    what = "least exact loss of a square with a dropped feature over that of a pentagon"
    within = best_over_best(one.loss.min("cell"), other.loss.min("cell"))
    yield Finding("equal-loss", what, within, Near(1, EQUAL), ours("limit: equal to 2 %"), "best of k", digits=".4f")
    what = "features that share a dimension in a pentagon, less those in a square"
    draws, count = redrawn(xr.Dataset({"one": one.sharing, "other": other.sharing})), every.sizes["seed"]
    more = draws["other"].mean(["cell", "seed"]) - draws["one"].mean(["cell", "seed"])
    yield Finding(
        "more-sharing", what, of_draws(more, count), AtLeast(0.9), ours("limit: one of five, but for a tenth")
    )
    what = "interference, sum of (W_i . W_j)^2 / |W_i|^2 over pairs, in a pentagon over that in a square"
    draws = redrawn(xr.Dataset({"one": one.interference, "other": other.interference}))
    ratio = draws["other"].mean(["cell", "seed"]) / draws["one"].mean(["cell", "seed"])
    yield Finding("more-interference", what, of_draws(ratio, count), AtLeast(1.25), ours("limit: a quarter more"))


def what_selects(by_bias: xr.Dataset, by_rate: xr.Dataset, by_batch: xr.Dataset) -> Iterator[Finding]:
    """Distance in total variation between the minima that models end in at two levels of a factor, of those models that
    end within 2 % of the least loss: half the sum of the differences of the shares. Seeds are redrawn whole."""
    factors = _factors(by_bias, by_rate, by_batch)
    least, said = _least(*factors.values()), ours("limit: a tenth of the models moves")
    for factor, found in factors.items():
        ended, count, at = minima(found, least), found.sizes["seed"], {"factor": factor}
        ends = ENDS[factor.partition(" at ")[0]]
        levels = [found.level.values[np.abs(found.level.values - end).argmin()] for end in ends]
        flags = xr.concat([(ended == name).astype(float) for name in (*MINIMA, "other")], "minimum")
        counts = redrawn(flags.sel(level=levels)).sum("seed")
        shares = counts / counts.sum("minimum")
        apart = abs(shares.isel(level=0) - shares.isel(level=1)).sum("minimum") / 2
        what = f"total variation between the minima at {factor} {levels[0]:g} and {levels[1]:g}, at equal loss"
        yield Finding("selects", what, of_draws(apart, count), AtLeast(0.1), said, settings=at)
        for name in MINIMA:
            what, own = f"share of {name}s at equal loss, by {factor}", (ended == name).where(ended != "above")
            yield report("share", what, share(own.transpose("level", "seed")), settings={"minimum": name, **at})
        what = f"share of models that end more than 2 % above the least loss, by {factor}"
        yield report("above", what, share((ended == "above").transpose("level", "seed")), settings=at)


experiment = Experiment(
    question="Which of several minima of equal loss do initial bias, learning rate and batch size select?",
    source="Jermyn, Schiefer & Hubinger 2022, arXiv 2211.09169, asked so of monosemantic minima; Elhage et al. 2022",
    sweeps={"biases": biases, "rates": rates, "batches": batches},
    scales={"tiny": tiny, "full": {"seed": range(2048), "steps": 10_000}},
    readings=[by_bias, by_rate, by_batch],
    figures=[which_minimum],
    findings=[two_minima, what_selects],
    cost="2,048 seeds of 10,000 steps: about an hour on two CPU cores",
    claims=[
        Claim(
            "B5",
            "Among minima of equal loss that differ in polysemanticity, initial bias, learning rate and gradient noise "
            "each decide which one training finds.",
            needs=["equal-loss", "more-sharing", "more-interference", "selects"],
            figure="which_minimum",
            note="Five features in a plane, where a pentagon and a square with a dropped feature tie: the pentagon is "
            "the more polysemantic one. Noise is that of the gradient, by batch size.",
        )
    ],
)
