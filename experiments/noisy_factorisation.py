"""What noise does to the learning of a matrix of two components: afresh on the target, or on the inputs.

Noise on the target's entries, drawn anew at every step, leaves the expected gradient: only a floor is expected, and
it is known. Noise on the inputs of a regression is a ridge: its optimum and its plateaus are known, and with inputs
that are alike in all directions every component shrinks by one factor and none turns.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import (
    Axis,
    Components,
    Geometric,
    Momentum,
    Noisy,
    NoisyFactorize,
    Record,
    Run,
    Sparse,
    SquaredError,
    Sweep,
    Uniform,
    draw,
)
from toymodels.analysis.by_setting import by_setting
from toymodels.analysis.factorisations import alignments, half_drops
from toymodels.analysis.labelled import plateau_table
from toymodels.analysis.learned_order import strengths
from toymodels.claims import Claim
from toymodels.config import replace
from toymodels.estimates import mean, median
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, Finding, Near, ours, report
from toymodels.problems.natural_steps import in_natural_units, targets
from toymodels.theory.noisy_factorisation import noise_floor, noisy_levels, noisy_loss

QUARTILES, LAST = (0.25, 0.5, 0.75), 0.1  # of the records, at the end, over which what is left is averaged
MOMENT = 1 / 3
"""E x_i² of U[-1, 1]."""


def in_units_of_clean(run: Run) -> Run:
    """`in_natural_units` of the problem without noise; noise on the target in root mean square entries of the first
    component, on the inputs in root mean squares of an input."""
    problem = run.problem
    size = float(problem.target.spectrum.first) / np.sqrt(problem.target.n * problem.target.m)
    if problem.data is None:
        return replace(in_natural_units(run), {"problem.noise": problem.noise * size})
    own = in_natural_units(replace(run, {"problem.data": problem.data.clean}))
    return replace(own, {"problem.data": replace(problem.data, {"scale": problem.data.scale * MOMENT**0.5})})


def problems(n: int) -> dict[str, NoisyFactorize]:
    """The problem of each sweep in n dimensions."""
    target, data = Components(n, n, 2, Geometric(0.5)), Noisy(Sparse(n, 1.0, Uniform(-1.0)))
    return {"entries": NoisyFactorize(target, 2), "inputs": NoisyFactorize(target, 2, loss=SquaredError(), data=data)}


def sweep(name: str, path: str, noises: list[float], batch: int, seeds: int) -> Sweep:
    record = Record(300, 150, linear=True, examples=64)
    run = Run(problems(16)[name], Momentum(0.02, decay=0), 3000, batch, record=record)
    ratio, scale = "problem.target.spectrum.ratio", "problem.scale"
    axes = Axis("noise", path, noises), Axis("ratio", ratio, [0.25, 0.5]), Axis("scale", scale, [1e-3, 1e-2])
    return Sweep(run, (*axes, Axis("seed", "seed", range(seeds))), in_units_of_clean)


sweeps = {
    "entries": sweep("entries", "problem.noise", [0, 1, 4], 1, 96),
    "inputs": sweep("inputs", "problem.data.scale", [0, 0.5, 1], 64, 64),
}


def sized(n: int, seeds: int, steps: int) -> dict[str, object]:
    """Overrides for targets in n dimensions."""
    return {f"{name}.problem": problem for name, problem in problems(n).items()} | {
        "seed": range(seeds),
        "steps": steps,
    }


# ------------------------------------------------------------------------------------------------------------- readings
def _read(swept: Swept, loss: xr.DataArray, levels: xr.DataArray) -> xr.Dataset:
    """Of every run, by its loss along "step" and the loss at rank 0, 1, 2 along "stage": plateaus before the last one,
    the level of what is between, the time until half of the first component is learned, bumps, the alignment of spans
    and the strengths of both components over s_k at the end."""
    U, V = swept.finite("U"), swept.finite("V")
    own = targets(swept.sweep.base.problem, swept.data.seed.values.tolist())
    path, table = alignments(U, V, own.left, own.right), plateau_table(loss)
    before = ((table.kind == "initial") | (table.kind == "interior")).sum("plateau")
    s = loss.ratio ** xr.DataArray([0, 1], dims="target")
    last = {"snapshot": slice(-max(1, round(LAST * U.sizes["snapshot"])), None)}
    strength = strengths(U.isel(last), V.isel(last), own.left, own.right).mean("snapshot") / s
    escape = half_drops(loss, levels.isel(stage=0), levels.isel(stage=1)) * swept.sweep.base.optimizer.lr
    between = table.level.where(table.kind == "interior").mean("plateau") / levels.isel(stage=1)
    found = {"number": before.where(loss.notnull().all("step")), "between": between, "escape": escape}
    found |= {"bumps": path.bumps, "strength": strength, "span": path.span.isel(last).mean("snapshot")}
    return xr.Dataset({**found, "loss": loss, "level": levels})


def on_entries(entries: Swept) -> xr.Dataset:
    """Learning from a noisy target: what `_read` says of 1/2 |A - Ã|², and its mean at the end over that predicted."""
    loss, ratio = entries.finite("squared_error"), entries.data.ratio
    tails = [[(1 + q**2) / 2, q**2 / 2, 0.0] for q in ratio.values.tolist()]
    found = _read(entries, loss, xr.DataArray(tails, dims=("ratio", "stage"), coords={"ratio": ratio}))
    n, lr = entries.sweep.base.problem.target.n, entries.sweep.base.optimizer.lr
    noises, ratios = (loss[name].values.tolist() for name in ("noise", "ratio"))
    floors = [[noise_floor([1, q], (n, n), noise / n, lr) for q in ratios] for noise in noises]
    floor = xr.DataArray(floors, dims=("noise", "ratio"), coords={"noise": noises, "ratio": ratios})
    last = loss.isel(step=slice(-max(1, round(LAST * loss.sizes["step"])), None)).mean("step")
    return found.assign(floor=floor, over=(last / floor).where(floor > 0))


def on_inputs(inputs: Swept) -> xr.Dataset:
    """Learning from noisy inputs: what `_read` says of the exact E|A x - Ã (x + xi)|² at the snapshots."""
    U, V, base = inputs.finite("U"), inputs.finite("V"), inputs.sweep.base.problem
    own, ratio = targets(base, inputs.data.seed.values.tolist()), inputs.data.ratio
    A = xr.dot(own.left * ratio ** xr.DataArray([0, 1], dims="target"), own.right, dim="target")
    core = [["row", "column"], ["row", "component"], ["column", "component"]]

    def exact(noise: float) -> xr.DataArray:
        of = partial(noisy_loss, second_moment=MOMENT, noise=MOMENT * noise**2)
        return xr.apply_ufunc(of, A, U.sel(noise=noise), V.sel(noise=noise), input_core_dims=core)

    noises, ratios = U.noise.values.tolist(), ratio.values.tolist()
    loss = xr.concat([exact(noise) for noise in noises], U.noise).rename(snapshot="step")
    levels = [[noisy_levels(np.diag([1, q]), MOMENT, MOMENT * noise**2) for q in ratios] for noise in noises]
    level = xr.DataArray(levels, dims=("noise", "ratio", "stage"), coords={"noise": noises, "ratio": ratios})
    return _read(inputs, loss, level).assign(shrink=1 / (1 + U.noise**2))


# -------------------------------------------------------------------------------------------------------------- figures
def learning_from_noise(on_entries: xr.Dataset, on_inputs: xr.Dataset) -> Figure:
    """A target of two components learned at rank two by SGD: noise on the target's entries, drawn anew at every step,
    in units of their root mean square (a), and on the inputs of a regression, in units of theirs (b). Loss over that of
    the start against the step, median and quartiles over seeds: squared error to the clean target, and the exact
    expected loss on noisy inputs, with the predicted floor (a) and the predicted plateau and optimum (b). (c) What is
    learned of each component over its singular value, every seed a dot, components side by side, with noise on the
    inputs, and the ridge's factor. (d) Bumps per run, maxima of an alignment that rise and fall back by a tenth, at the
    levels of noise of a (target) and b (inputs), the weaker first; means over seeds with intervals that hold together
    at 95 % for each kind of noise and ratio."""
    figure, axes = draw.panels(1, 4, height=2.9)
    for ax, data, name in ((axes[0], on_entries, "on the target"), (axes[1], on_inputs, "on the inputs")):
        own = data.isel(ratio=0, scale=0)
        start = own.level.isel(stage=0)
        for noise, colour in zip(own.noise.values, draw.PALETTE, strict=False):
            of, unit = own.sel(noise=noise), start if "noise" not in start.dims else start.sel(noise=noise)
            curve = (of.loss / unit).quantile(QUARTILES, "seed").values
            draw.band(ax, of.step, curve, label=f"{noise:g}", colour=colour)
            known = [of.floor / unit] if "floor" in of else (of.level / unit).values[1:]
            for level in known:
                ax.axhline(float(level), color=colour, ls=draw.DASHED, lw=0.7)
        ax.set(yscale="log", ylim=(1e-5, 2), xlabel="step", title=name)
        draw.legend(ax, title="noise", loc="lower left")
    axes[0].set_ylabel("loss / start")
    own, x = on_inputs.isel(ratio=0, scale=0), on_inputs.noise.values
    dots: dict[str, Any] = {}
    for k, colour in zip(range(2), (draw.BLACK, draw.ORANGE), strict=True):
        of = own.strength.isel(target=k).transpose("noise", "seed")
        places = draw.aside(x + 0.06 * (2 * k - 1), of.sizes["seed"], 0.03, log=False)
        draw.cloud(axes[2], places, of, colour=colour)
        dots[f"component {k + 1}"] = draw.key("", colour, marker="o", ms=3)
    fine = np.linspace(0, x.max(), 50)
    draw.theory(axes[2], fine, 1 / (1 + fine**2), "ridge")
    axes[2].set(xlabel="noise on the inputs", ylabel="learned / singular value", ylim=(0, 1.1))
    draw.legend(axes[2], dots, loc="lower left")
    series = [(data, ratio) for data in (on_entries, on_inputs) for ratio in data.ratio.values]
    for (data, ratio), shift in zip(series, draw.shifts(len(series)), strict=True):
        name, colour = ("target", draw.PALETTE[3]) if data is on_entries else ("inputs", draw.PALETTE[4])
        found = mean(data.bumps.sel(ratio=ratio).isel(scale=0)).estimates
        look = {} if ratio == data.ratio.values[0] else {"mfc": "white"}
        draw.points(axes[3], range(data.sizes["noise"]), found, f"{name}, {ratio:g}", colour, shift=shift, **look)
    draw.ticks(axes[3], "x", range(on_entries.sizes["noise"]), ["none", "weak", "strong"][: on_entries.sizes["noise"]])
    axes[3].set(xlabel="noise", ylabel="bumps per run", ylim=(0, 4.5))
    draw.legend(axes[3], loc="upper center", title="noise on, ratio")
    told = {"predicted (a, b)": draw.DASHED, "quartiles (a, b)": draw.shade(), "95 % interval (d)": draw.whisker()}
    title = f"initial scale {float(own.scale):g}; a-c: ratio {float(own.ratio):g}"
    draw.legend_below(figure, [], told, title=title)
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def noise_leaves_the_path(on_entries: xr.Dataset, on_inputs: xr.Dataset) -> Iterator[Finding]:
    """Plateaus, escapes, bumps and spans with noise against those of the same seeds without it."""
    source = ours("tolerance; the expected gradient of a small start is that without noise")
    for name, data in (("target", on_entries), ("inputs", on_inputs)):
        noisy, clean = data.sel(noise=data.noise > 0), data.sel(noise=0, drop=True)
        what = "plateaus before the last one, with noise minus without, paired by seed"
        for at, found in by_setting(mean, noisy.number - clean.number):
            yield Finding("plateaus-stay", what, found, Near(0, 0.25), source, settings={"on": name, **at})
        what = "time at which half of the first component is learned, with noise over without, paired by seed"
        for at, found in by_setting(mean, noisy.escape / clean.escape):
            yield Finding("escape-stays", what, found, Near(1, 0.1), source, settings={"on": name, **at})
        what = "bumps in a run's alignments, with noise minus without, paired by seed"
        for at, found in by_setting(mean, noisy.bumps - clean.bumps):
            yield Finding("bumps-stay", what, found, Near(0, 0.5), source, settings={"on": name, **at})
        what = "alignment of the learned span with the target's at the end"
        for at, found in by_setting(mean, noisy.span):
            yield Finding("span-stays", what, found, AtLeast(0.95), ours("limit"), settings={"on": name, **at})


def floors_and_shrinkage(on_entries: xr.Dataset, on_inputs: xr.Dataset) -> Iterator[Finding]:
    """What noise does change, against its closed forms."""
    what = "noise on the target: squared error at the end over that predicted, median over seeds"
    source = ours("tolerance; theory.noisy_factorisation, for fluctuations small beside the weights")
    for at, found in by_setting(median, on_entries.over.sel(noise=on_entries.noise > 0)):
        yield Finding("floor", what, found, Near(1, 0.15), source, settings=at)
    what = "noise on the inputs: what is learned of a component over s_k mu / (mu + nu)"
    source = ours("tolerance; a ridge (Izenman 1975)")
    left = (on_inputs.strength / on_inputs.shrink).assign_coords(target=[1, 2]).rename(target="component")
    for at, found in by_setting(mean, left):
        yield Finding("shrinks", what, found, Near(1, 0.05), source, settings=at)
    what = "noise on the inputs: level of the plateau between, over that predicted, median over the seeds that show it"
    for at, found in by_setting(median, on_inputs.between):
        yield report("plateau-level", what, found, settings=at)


experiment = Experiment(
    question="What does noise on the target or on the inputs do to plateaus, bumps and what is learned?",
    source="Jermyn & Shlegeris 2022, and its readers; Izenman 1975",
    sweeps=sweeps,
    scales={"tiny": sized(8, 6, 1200), "full": sized(100, 128, 6000)},
    readings=[on_entries, on_inputs],
    figures=[learning_from_noise],
    findings=[noise_leaves_the_path, floors_and_shrinkage],
    cost="n = 100 instead of 16: about five hours on two CPU cores, by the cost of a step, and 0.6 GB",
    claims=[
        Claim(
            "A8",
            "Noise leaves plateaus, escapes, bumps and the learned span as they are: on the target it adds a known "
            "floor, on the inputs it shrinks every component as a ridge does.",
            ["plateaus-stay", "escape-stays", "bumps-stay", "span-stays", "floor", "shrinks"],
            "learning_from_noise",
            note="The question was what noise does; this is what theory says for small starts and small steps. Noise "
            "on the target is drawn anew at every step; on inputs that are alike in all directions.",
        )
    ],
)
