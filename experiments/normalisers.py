"""Normalisers: what LayerNorm and RMSNorm change in the geometry of a toy model, and what carries scale past them."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import (
    Adam,
    Axis,
    Choice,
    Cosine,
    LayerNorm,
    NoNorm,
    Normalised,
    Record,
    RmsNorm,
    Run,
    Sparse,
    Supervised,
    Sweep,
    Tied,
    Untied,
    draw,
)
from toymodels.analysis.normalised import (
    along_ones,
    carrier,
    centred,
    dimensions_used,
    directions_lost,
    represented,
    share_along,
)
from toymodels.claims import Claim
from toymodels.config import replace
from toymodels.estimates import mean
from toymodels.experiment import Experiment, Swept
from toymodels.findings import Above, AtLeast, AtMost, Finding, Near, ours, report
from toymodels.problems.evaluation import sparse_losses

N, M = 20, 6
NORMS = {"none": NoNorm(), "RMS": RmsNorm(), "layer": LayerNorm()}
COSTS = {"RMS": 1, "layer": 2}
"""Directions: the length of h, and for LayerNorm its mean too."""
ASKED = "trials of this project at n = 20, m = 6, 2 seeds; limit"

seeds, p = Axis("seed", "seed", range(20)), Axis("p", "problem.data.p", [0.02, 0.2])
problem = Supervised(Sparse(N), Normalised(Tied(M), NoNorm()))
base = Run(problem, Adam(Cosine(1e-2)), steps=2000, batch=256, record=Record(12, 2))
axes = [
    Choice("norm", {name: {"problem.model.norm": norm} for name, norm in NORMS.items()}),
    Axis("bias", "problem.model.hidden_bias", [0.0, 1.0]),
    p,
    seeds,
]
tied = Sweep(base, axes)
untied = Sweep(replace(base, {"problem.model.model": Untied(M)}), axes)
narrow = Sweep(
    replace(base, {"problem.model.hidden_bias": 0.0}), [Axis("m", "problem.model.model.m", [3, 4, 5, 6]), p, seeds]
)
tiny = {"seed": range(2), "steps": 60, "batch": 64, "p": [0.02], "m": [5, 6]}


# ------------------------------------------------------------------------------------------------------------- readings
def _models(swept: Swept) -> xr.Dataset:
    names = [name for name in ("W", "encoder", "b", "c") if name in swept.data]
    weights = xr.Dataset({name: swept.final(name, unconverged=True) for name in names})
    found = []
    for norm in weights.norm.values.tolist():
        for bias in weights.bias.values.tolist():
            cells = weights.sel(norm=norm, bias=bias, drop=True)
            run = swept.run(norm=norm, bias=bias, p=cells.p.values[0].item())
            seen = centred if norm == "layer" else (lambda each: each)
            W, c, encoder = (seen(cells[name]) for name in ("W", "c", "encoder" if "encoder" in names else "W"))
            data = {
                "loss": sparse_losses(run.problem, **cells),
                "used": dimensions_used(W),
                "represented": represented(W),
                "carrier": carrier(encoder, c),
                "along": share_along(W, c),
                "passed": _passed(run.problem, cells),
                "ones": np.sqrt((along_ones(cells.W) ** 2).sum("feature") / (W**2).sum(["feature", "hidden"])),
            }
            found.append(xr.Dataset(data).expand_dims(norm=[norm], bias=[bias]))
    models = xr.combine_by_coords(found, combine_attrs="drop").reindex(norm=weights.norm, bias=weights.bias)
    return models.assign_attrs(m=weights.sizes["hidden"], note=swept.left_out("shown"))


def _passed(problem: Supervised, cells: xr.Dataset) -> xr.DataArray:
    """1 - y_i(1/2) / y_i(1) of lone features, weighted by y_i(1)²: 1/2 where outputs are proportional to inputs, more
    above a threshold, 0 where all scale is lost."""
    n = problem.data.n

    @jax.jit
    def ratio(params: dict[str, Any]) -> jax.Array:
        one, half = (jnp.diag(jax.vmap(lambda x: problem.predict(params, x))(x * jnp.eye(n))) for x in (1.0, 0.5))
        return jnp.sum(one * (one - half)) / jnp.maximum(jnp.sum(one**2), 1e-12)

    found = np.full((cells.sizes["p"], cells.sizes["seed"]), np.nan)
    for i, j in np.ndindex(found.shape):
        found[i, j] = ratio({name: jnp.asarray(each.values) for name, each in cells.isel(p=i, seed=j).items()})
    return xr.DataArray(found, {dim: cells[dim] for dim in ("p", "seed")}, ("p", "seed"))


def tied_models(tied: Swept) -> xr.Dataset:
    """Loss, dimensions used, features represented; |c| beside a feature, share of W along c, scale that passes; size
    of W along the all-ones direction over that of the rest. With LayerNorm the others are without that direction."""
    return _models(tied)


def untied_models(untied: Swept) -> xr.Dataset:
    """As of tied models."""
    return _models(untied)


def narrow_losses(narrow: Swept) -> xr.Dataset:
    """Loss of plain tied models of fewer hidden units."""
    losses = []
    for m in narrow.data.m.values.tolist():
        cells = {name: narrow.final(name, True).sel(m=m, drop=True) for name in ("W", "b", "c")}
        cells = {name: each.isel(hidden=slice(m)) if "hidden" in each.dims else each for name, each in cells.items()}
        losses.append(sparse_losses(narrow.run(m=m, p=narrow.data.p.values[0].item()).problem, **cells))
    return xr.Dataset({"loss": xr.concat(losses, narrow.data.m)})


def lost_directions(tied_models: xr.Dataset, narrow_losses: xr.Dataset) -> xr.Dataset:
    """Hidden units fewer that cost a plain model as much."""
    return xr.Dataset({"lost": directions_lost(tied_models.loss, narrow_losses.loss)})


# -------------------------------------------------------------------------------------------------------------- figures
COLOURS = {"none": draw.BLACK, "RMS": draw.BLUE, "layer": draw.ORANGE}
LABELS = {"none": "no normaliser", "RMS": "RMSNorm", "layer": "LayerNorm"}


def what_normalisers_change(tied_models: xr.Dataset, lost_directions: xr.Dataset, untied_models: xr.Dataset) -> Figure:
    """Tied models without a hidden bias c and with one, and untied models with one; every mark a seed. (a) Number of
    hidden units that a model without a normaliser could lose at the same loss. (b) Dimensions used, the sum of all D_i.
    (c) Length of the bias over that of a feature that is 1. (d) Share of the scale of a lone feature that passes, 1 -
    y(1/2) / y(1); one half where outputs are proportional to inputs. With LayerNorm the all-ones direction, which has
    no effect, is taken out first in panels b and c."""
    figure, axes = draw.panels(2, 2, height=4.8)
    rows = {
        "hidden units lost": (lost_directions.lost, None),
        "dimensions used": (tied_models.used, None),
        "length of $c$ / feature": (tied_models.carrier, untied_models.carrier),
        "scale passed": (tied_models.passed, untied_models.passed),
    }
    for ax, (label, (filled, hollow)) in zip(axes.flat, rows.items(), strict=True):
        for k, q in enumerate(filled.p.values.tolist()):
            for i, norm in enumerate(filled.norm.values.tolist()):
                place = 4 * k + i
                for j, bias in enumerate(filled.bias.values.tolist()):
                    values = filled.sel(p=q, norm=norm, bias=bias).values
                    look = {"color": COLOURS[norm], "ms": 2.8, "alpha": 0.6, "mew": 0}
                    ax.plot(_beside(place - 0.3 + 0.3 * j, values), values, "o^"[j], **look)
                if hollow is not None:
                    values = hollow.sel(p=q, norm=norm, bias=1).values
                    ax.plot(_beside(place + 0.3, values), values, "^", ms=2.8, mfc="none", mew=0.4, color=COLOURS[norm])
        shown = filled.p.values.tolist()
        draw.ticks(ax, "x", [4 * k + 1 for k in range(len(shown))], [f"$p={q:g}$" for q in shown])
        ax.set_ylabel(label)
    draw.levels(axes[1, 0], [1], [""])
    draw.levels(axes[1, 1], [0.5], [""], dash=draw.DOTTED)
    draw.excluded(axes[0, 1], tied_models.attrs["note"])
    handles = {LABELS[norm]: draw.key("-", colour, lw=4) for norm, colour in COLOURS.items()}
    marks = {"no hidden bias": {"marker": "o"}, "hidden bias": {"marker": "^"}}
    marks["untied, hidden bias"] = {"marker": "^", "mfc": "none", "mew": 0.6}
    handles |= {name: draw.key("", "0.3", ms=4, **{"mew": 0, **look}) for name, look in marks.items()}
    handles |= {"as long as a feature (c)": draw.DASHED, "proportional outputs (d)": draw.DOTTED}
    draw.legend_below(figure, axes[0, 0], handles, columns=4)
    return figure


def _beside(place: float, values: np.ndarray) -> np.ndarray:
    return place + np.linspace(-0.1, 0.1, len(values))


# ------------------------------------------------------------------------------------------------------------- findings
def _of(values: xr.DataArray, **more: Any) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Settings, their words, and the estimate at each norm and p, whose intervals hold together."""
    ordered = values.transpose("norm", "p", "seed")
    found = iter(mean(ordered).estimates)
    for norm in ordered.norm.values.tolist():
        for q in ordered.p.values.tolist():
            yield {"norm": norm, "p": q, **more}, f"{LABELS[norm]}, p = {q:g}", next(found)


def what_it_costs(tied_models: xr.Dataset, lost_directions: xr.Dataset) -> Iterator[Finding]:
    """Plain models are in superposition; normalisers cost directions, and a hidden bias wins some back."""
    m, lost, loss = tied_models.attrs["m"], lost_directions.lost, tied_models.loss
    for where, words, found in _of(tied_models.represented.sel(norm=["none"], bias=0)):
        what = f"{words}: features represented by {m} hidden units"
        yield Finding(
            "superposed-without", what, found, Above(m), ours("more features than hidden units"), settings=where
        )
    for where, words, found in _of(lost.sel(norm=["RMS"], bias=0)):
        what = f"{words}, no hidden bias: hidden units fewer that cost a plain model as much"
        yield Finding("costs-a-direction", what, found, Near(1, factor=2.5), ours(ASKED), settings=where)
    more = (lost.sel(norm="layer") - lost.sel(norm="RMS")).expand_dims(norm=["layer"]).sel(bias=0)
    for where, words, found in _of(more):
        what = f"{words}, no hidden bias: hidden units lost beyond those of RMSNorm, paired by seed"
        yield Finding("layer-costs-one-more", what, found, Near(1, within=0.5), ours(ASKED), settings=where)
    back = (loss.sel(bias=0) - loss.sel(bias=1)) / (loss.sel(bias=0) - loss.sel(bias=0, norm="none", drop=True))
    for where, words, found in _of(back.sel(norm=list(COSTS))):
        what = f"{words}: share of the loss to a normaliser that a hidden bias wins back"
        yield Finding("bias-wins-back", what, found, AtLeast(0.5), ours(ASKED), settings=where)
    for norm, cost in {"none": 0, **COSTS}.items():
        for where, words, found in _of(tied_models.used.sel(norm=[norm], bias=1)):
            what, source = f"{words}, hidden bias: dimensions used, sum of all D_i", ours(f"{ASKED}: {m} - {cost}")
            yield Finding("dimensions-used", what, found, Near(m - cost, within=0.5), source, settings=where)
    for where, words, found in _of(tied_models.used.sel(norm=list(COSTS), bias=0)):
        yield report("dimensions-used-without-bias", f"{words}, no hidden bias: dimensions used", found, settings=where)


def what_carries_scale(tied_models: xr.Dataset, untied_models: xr.Dataset) -> Iterator[Finding]:
    """A hidden bias grows where there is a normaliser; how large it is, and how much scale it lets pass."""
    for model, models in (("tied", tied_models), ("untied", untied_models)):
        normed, plain = models.sel(norm=list(COSTS)), models.sel(norm="none", drop=True)
        for where, words, found in _of(normed.passed.sel(bias=0), model=model):
            what = f"{model}, {words}, no hidden bias: share of the scale of a lone feature that passes"
            yield Finding("scale-lost-without-bias", what, found, AtMost(0.05), ours("limit; 0"), settings=where)
        for where, words, found in _of((normed.passed / plain.passed).sel(bias=1), model=model):
            what = f"{model}, {words}: scale that passes with a hidden bias, over that without a normaliser"
            yield Finding("scale-passes", what, found, AtLeast(0.25), ours("limit"), settings=where)
        for where, words, found in _of((normed.carrier - plain.carrier).sel(bias=1), model=model):
            what = f"{model}, {words}: length of the hidden bias over a feature's, minus that without a normaliser"
            yield Finding("direction-grows", what, found, AtLeast(0.1), ours("limit"), settings=where)
        for where, words, found in _of(normed.carrier.sel(bias=1), model=model):
            what = f"{model}, {words}: length of the hidden bias over that of a feature that is 1"
            yield Finding(
                "direction-is-large", what, found, AtLeast(1), ours("large: longer than a feature"), settings=where
            )
        for norm in COSTS:
            chance = 1 / (models.attrs["m"] - (norm == "layer"))
            along = models.along.sel(norm=[norm], bias=1) / chance
            for where, words, found in _of(along, model=model):
                what = f"{model}, {words}: squared weights along the hidden bias, over chance"
                yield Finding("direction-is-vacated", what, found, AtMost(0.5), ours(ASKED), settings=where)
        for where, words, found in _of(models.ones.sel(norm=["layer"], bias=1), model=model):
            what = (
                f"{model}, {words}: size of W along the all-ones direction, which has no effect, over that of the rest"
            )
            yield report("along-all-ones", what, found, settings=where)


experiment = Experiment(
    question="What do normalisers change in the geometry of a toy model, and what carries scale past them?",
    source="toymodels",
    sweeps={"tied": tied, "untied": untied, "narrow": narrow},
    readings=[tied_models, untied_models, narrow_losses, lost_directions],
    figures=[what_normalisers_change],
    findings=[what_it_costs, what_carries_scale],
    scales={"tiny": tiny, "full": {"seed": range(64), "steps": 10_000, "batch": 1024}},
    cost="2,000 models of 10,000 steps of 1,024 examples: four hours on two CPU cores",
    claims=[
        Claim(
            "C4",
            "Superposition needs no normaliser. RMSNorm costs a toy model about one direction, LayerNorm one more; "
            "with either a hidden bias grows longer than a feature and carries scale past the normaliser.",
            needs=[
                "superposed-without",
                "costs-a-direction",
                "layer-costs-one-more",
                "direction-grows",
                "direction-is-large",
                "scale-passes",
            ],
            figure="what_normalisers_change",
            note="With LayerNorm weights along the all-ones direction have no effect and no gradient; they are taken "
            "out first. What is large there is left over, or moved by Adam's rescaling of single weights. Each part of "
            "the sentence has a finding of its own: a direction may carry scale without being longer than a feature.",
        )
    ],
)
