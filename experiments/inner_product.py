"""A loss without self-interaction: minus the inner product with the target, against squared error.

Without the term |Ã|² nothing pulls back what a start has that the target lacks. Under L = -<A, U Vᵀ> descent multiplies
every overlap with a component by 1 ± lr s_k and leaves what is orthogonal to the target as it is; under squared error
the flow of one learned component is known exactly. A run under the inner product is done once |Ã| >= |A|.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Components, Factorize, Geometric, Momentum, Record, Run, Sweep, draw
from toymodels.analysis.alignment import component_alignment
from toymodels.analysis.by_setting import by_setting
from toymodels.claims import Claim
from toymodels.config import replace
from toymodels.estimates import median
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Finding, Near, ours, report
from toymodels.losses import HalfSquaredError, InnerProduct
from toymodels.problems.natural_steps import among, in_natural_units, step_sizes, targets
from toymodels.theory.factorisation_flow import rank_one_flow
from toymodels.theory.final_pairs import growing_overlaps

LOSSES = {"squared error": HalfSquaredError(), "inner product": InnerProduct()}
COLOURS = dict(zip(LOSSES, (draw.BLUE, draw.RED), strict=True))
QUARTILES = (0.25, 0.5, 0.75)
CORE = [["row", "component"], ["column", "component"], ["target", "row"], ["target", "column"]]

problem = Factorize(Components(16, 16, 2, Geometric(0.5)), 1)
one = Sweep(
    Run(problem, Momentum(0.02, decay=0), 2500, record=Record(60, 60)),
    [
        Choice("loss", {name: {"problem.loss": loss} for name, loss in LOSSES.items()}),
        Choice("optimizer", among("SGD", "Adam")),
        Axis("lr", "optimizer.lr", [0.02]),
        Axis("ratio", "problem.target.spectrum.ratio", [0.3, 0.8]),
        Axis("scale", "problem.scale", [1e-3, 1e-2, 1e-1]),
        Axis("seed", "seed", range(48)),
    ],
    in_natural_units,
)


# ------------------------------------------------------------------------------------------------------------- readings
def parts(one: Swept) -> xr.Dataset:
    """Of every run over its snapshots: `wrong`, the length of what is orthogonal to the target's span over that of the
    start, and `cosine` with each component. Beside them, of SGD: `exact`, the wrong part in the flow under squared
    error from the same start, and `rate`, at which each overlap grows under the inner product, over that of theory."""
    one.check(problem__components=1, problem__target__rank=2)
    data = xr.Dataset({name: one.finite(name).isel(component=0, lr=0, drop=True) for name in "UV"})
    own = targets(one.sweep.base.problem, data.seed.values.tolist()).assign_coords(seed=data.seed)
    inputs = [*(data[name].expand_dims("component", -1) for name in "UV"), own.left, own.right]
    cosine, overlap = (
        xr.apply_ufunc(of, *inputs, input_core_dims=CORE, output_core_dims=[["component", "target"]]).isel(component=0)
        for of in (component_alignment, growing_overlaps)
    )
    wrong, sgd = _wrong(data, own), {"optimizer": "SGD", "drop": True}
    lr = step_sizes(one.sweep).isel(lr=0, drop=True).sel(**sgd)
    exact = _wrong(_flow(data.sel(loss="squared error", drop=True).sel(**sgd), own, lr.sel(loss="squared error")), own)
    rate = _rates(overlap.sel(loss="inner product", drop=True).sel(**sgd), lr.sel(loss="inner product", drop=True))
    found = {"wrong": wrong / wrong.isel(snapshot=0), "exact": exact / exact.isel(snapshot=0), "rate": rate}
    return xr.Dataset({**found, "cosine": cosine})


def _wrong(data: xr.Dataset, own: xr.Dataset) -> xr.DataArray:
    """sqrt(|u|² + |v|²) of what is orthogonal to the target's vectors; NaN for a run that is lost."""
    squares: xr.DataArray | float = 0.0
    for name, dim, side in (("U", "row", "left"), ("V", "column", "right")):
        inside = xr.dot(xr.dot(data[name], own[side], dim=dim), own[side], dim="target")
        squares = squares + ((data[name] - inside) ** 2).sum(dim, skipna=False)
    return np.sqrt(squares)


def _flow(data: xr.Dataset, own: xr.Dataset, lr: xr.DataArray) -> xr.Dataset:
    """The exact flow under squared error from the first snapshots, at the times of all of them."""

    def flow(A: np.ndarray, u: np.ndarray, v: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = rank_one_flow(A, u, v, t)
        return found.a, found.b

    A = xr.dot(own.left * _values(data.ratio, own), own.right, dim="target")
    inputs = A, *(data[name].isel(snapshot=0) for name in "UV"), data.snapshot * lr
    core = [["row", "column"], ["row"], ["column"], ["snapshot"]]
    outputs = [["snapshot", "row"], ["snapshot", "column"]]
    found = xr.apply_ufunc(flow, *inputs, input_core_dims=core, output_core_dims=outputs, vectorize=True)
    return xr.Dataset(dict(zip("UV", found, strict=True)))


def _values(ratio: xr.DataArray, own: xr.Dataset) -> xr.DataArray:
    """s_k along `target`."""
    return ratio ** xr.DataArray(np.arange(own.sizes["target"]), dims="target")


def _rates(overlap: xr.DataArray, lr: xr.DataArray) -> xr.DataArray:
    """ln of the growth of each overlap until the first is half of what it ends with, over steps x ln(1 + lr s_k)."""
    size = abs(overlap)
    growing = size.isel(target=0) <= 0.5 * size.isel(target=0, snapshot=-1)
    last = growing.cumprod("snapshot").sum("snapshot") - 1
    grown = np.log(size.isel(snapshot=last, drop=True) / size.isel(snapshot=0, drop=True))
    steps = overlap.snapshot.drop_vars("snapshot").isel(snapshot=last)
    return grown / (steps * np.log1p(lr * overlap.ratio ** xr.DataArray([0, 1], dims="target")))


# -------------------------------------------------------------------------------------------------------------- figures
def what_stays(one: Swept, parts: xr.Dataset) -> Figure:
    """One pair of vectors learns a target of two components under minus the inner product and under squared error, at
    one ratio of singular values. (a, b) SGD; time is step size x step x s_1; median and quartiles over seeds. (a) |cos|
    with the first component. (b) Length of what is orthogonal to the target's span, over that of the start, and in the
    exact flow under squared error (median). A run under the inner product stops at |Ã| = |A|, the target A and what is
    learned of it, Ã. (c) That length at the end, every seed a dot, not below 1e-7."""
    figure, (right, wrong, ends) = draw.panels(1, 3, height=2.8, width_ratios=(1, 1, 1.6))
    chosen = parts.isel(ratio=0, scale=parts.sizes["scale"] // 2)
    time = chosen.snapshot.values[1:] * float(one.data.lr[0])
    for loss, colour in COLOURS.items():
        own = chosen.sel(loss=loss, optimizer="SGD").isel(snapshot=slice(1, None))
        for ax, values in ((right, own.cosine.isel(target=0)), (wrong, own.wrong)):
            draw.band(ax, time, values.quantile(QUARTILES, "seed").values, label=loss, colour=colour)
    draw.theory(wrong, time, chosen.exact.median("seed").values[1:], "exact flow", colour=draw.BLACK, zorder=4)
    right.set(ylabel="|cos| with the first component", ylim=(0, 1.03))
    wrong.set(ylabel="wrong part / start", yscale="log", ylim=(1e-4, 3))
    for ax in (right, wrong):
        ax.set(xlabel="time $s_1 t$", xlim=(0, 30))
    end = parts.wrong.isel(snapshot=-1, ratio=0, drop=True)
    columns = [(name, scale) for name in end.optimizer.values for scale in end.scale.values]
    for place, (name, scale) in enumerate(columns):
        for (loss, colour), shift in zip(COLOURS.items(), (-0.2, 0.2), strict=True):
            of = end.sel(optimizer=name, scale=scale, loss=loss).values
            draw.cloud(ends, draw.aside([place + shift], of.size, 0.12, log=False)[0], of.clip(1e-7), colour=colour)
    draw.levels(ends, [1], dash=draw.DOTTED)
    draw.ticks(ends, "x", range(len(columns)), [f"{name}\n{f'{scale:g}'.lstrip('0')}" for name, scale in columns])
    ends.set(yscale="log", ylabel="wrong part at the end / start", xlabel="optimizer, initial scale")
    told = {"quartiles": draw.shade(), "one seed (c)": draw.key("", "0.3", marker="o", ms=3)}
    ratio, scale = float(chosen.ratio), float(chosen.scale)
    title = f"ratio {ratio:g}; a, b: initial scale {scale:g}"
    draw.legend_below(figure, [right, wrong], told | {"as at the start (c)": draw.DOTTED}, title=title)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def wrong_components_stay(parts: xr.Dataset) -> Iterator[Finding]:
    """What is orthogonal to the target stays under the inner product, and decays under squared error."""
    end, kept = parts.isel(snapshot=-1), ours("tolerance; exactly conserved by gradient descent")
    inner, squared = (end.sel(loss=loss, drop=True) for loss in ("inner product", "squared error"))
    what = "length of what is orthogonal to the target at the end over that of the start, median over seeds"
    for at, found in by_setting(median, inner.wrong):
        yield Finding("wrong-stays", f"inner product: {what}", found, Near(1, 0.05), kept, settings=at)
    for at, found in by_setting(median, squared.wrong):
        yield Finding("wrong-decays", f"squared error: {what}", found, AtMost(0.1), ours("limit"), settings=at)
    what = "inner product: |cos| with the first component once |Ã| = |A|, median over seeds"
    for at, found in by_setting(median, inner.cosine.isel(target=0)):
        yield Finding("right-is-learned", what, found, AtLeast(0.95), ours("limit"), settings=at)
    for at, found in by_setting(median, squared.cosine.isel(target=0)):
        yield report("right-under-squares", "squared error: |cos| with the first component", found, settings=at)


def exact_rates(parts: xr.Dataset) -> Iterator[Finding]:
    """SGD follows the exact flow under squared error, and its overlaps grow by 1 + lr s_k a step without it."""
    off = abs(parts.wrong.sel(loss="squared error", optimizer="SGD", drop=True) - parts.exact).max("snapshot")
    what = "squared error: largest difference of the wrong part from that of the exact flow, median over seeds"
    source = ours("limit, for steps of 0.02 / s_1; Fukumizu 1998, for one learned component")
    for at, found in by_setting(median, off):
        yield Finding("as-the-flow", what, found, AtMost(0.03), source, "check", settings=at)
    what = "inner product: logarithm of the growth of an overlap over that of (1 + lr s_k)^steps, median over seeds"
    rate = parts.rate.assign_coords(target=np.arange(parts.sizes["target"]) + 1).rename(target="component")
    for at, found in by_setting(median, rate):
        yield Finding("growth-rate", what, found, Near(1, 0.01), ours("tolerance; exact"), "check", settings=at)


experiment = Experiment(
    question="What does a loss without self-interaction leave of the initial components that the target lacks?",
    source="Jermyn & Shlegeris 2022, and its readers",
    sweeps={"one": one},
    scales={
        "tiny": {"problem": replace(problem, {"target.n": 8, "target.m": 8}), "seed": range(6), "steps": 1500},
        "full": {"problem": replace(problem, {"target.n": 100, "target.m": 100}), "seed": range(256)},
    },
    readings=[parts],
    figures=[what_stays],
    findings=[wrong_components_stay, exact_rates],
    cost="n = 100 instead of 16: about half an hour on two CPU cores, by the cost of a step, and 0.3 GB",
    claims=[
        Claim(
            "A6",
            "With minus the inner product as the loss the wrong initial components stay while the right direction is "
            "learned; under squared error they decay.",
            ["wrong-stays", "wrong-decays", "right-is-learned"],
            "what_stays",
            note="The loss is unbounded below: a run stops at |Ã| = |A|. What lies along the second component is not "
            "wrong but late: it grows at its own rate, and spoils the direction where singular values are close.",
        )
    ],
)
