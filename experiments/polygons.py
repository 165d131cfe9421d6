"""k-gons: which geometry do n features in two dimensions reach, one active at a time? Chen et al. 2023."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis.geometry import feature_dimensionality
from toymodels.analysis.polygons import polygon_name, silent
from toymodels.analysis.restarts import basins
from toymodels.analysis.statistics import Interval, proportion
from toymodels.data import OneSparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.models import Placed, Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.population import Population
from toymodels.shapes.polytopes import polygon
from toymodels.theory import superposition as theory
from toymodels.theory.critical import one_sparse_curvature, polygon_with_dropped

NEAR = 0.1
"""Noise of the start up to which it counts as inside the k-gon's basin."""


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny = scale == "tiny"
    sides = (5,) if tiny else (5, 6, 7, 8)
    record = Record(60, 2)
    census = Run(Population(OneSparse(5), Tied(2)), Adam(Cosine(3e-2)), steps=400 if tiny else 2500, record=record)
    inside = Run(_inside(5), Adam(Cosine(1e-2)), steps=300 if tiny else 1500, record=record)
    starts = {
        k: {"problem.data.n": k, "problem.model.W": _inside(k).model.W, "problem.model.b": _inside(k).model.b}
        for k in sides
    }
    return {
        "census": Sweep(
            census,
            [
                Axis("n", "problem.data.n", sides),
                Axis("rate", "optimizer.lr.peak", (3e-2,) if tiny else (1e-2, 3e-2, 1e-1)),
                Axis("seed", "seed", range(8 if tiny else 1000 if scale == "full" else 128)),
            ],
        ),
        "inside": Sweep(
            inside,
            [
                Choice("n", starts),
                Axis("noise", "problem.model.noise", (NEAR,) if tiny else (0.03, NEAR, 0.2, 0.3, 0.4, 0.5)),
                Axis("seed", "seed", range(4 if tiny else 48)),
            ],
        ),
    }


def _inside(k: int) -> Population:
    """Starts at the best regular k-gon of k features."""
    best = theory.polygon(k)
    placed = Placed(Tied(2), theory.polygon_weights(k, best.radius), np.full(k, best.bias))
    return Population(OneSparse(k), placed)


class Trained(NamedTuple):
    """Models of n features, weights of silent ones set to (0, 0) and their biases to -1, with exact losses."""

    W: np.ndarray
    b: np.ndarray
    loss: np.ndarray


def trained(swept: Swept, **labels: Any) -> Trained:
    cells = swept.data.sel(labels).isel(snapshot=-1)
    n = int(labels["n"])  # narrower models are padded to the width of the widest
    W, b = cells.W.values[..., :n, :].astype(np.float64), cells.b.values[..., :n].astype(np.float64)
    loss = np.asarray(theory.one_sparse_loss(W, b))
    off = silent(W, b)
    return Trained(np.where(off[..., None], 0.0, W), np.where(off, -1.0, b), loss)


class Reached(NamedTuple):
    """A basin of the census: its geometry, least exact loss, and share of the seeds with its Wilson interval."""

    name: str
    loss: float
    share: Interval


@lru_cache(maxsize=32)
def reached(census: Swept, n: int, rate: float) -> list[Reached]:
    """Best first. Rows (W_i, b_i) are compared: rotations and permutations leave their products as they are."""
    W, b, loss = trained(census, n=n, rate=rate)
    found = basins(np.concatenate([W, b[..., None]], -1), loss)
    return [Reached(polygon_name(W[each.places[0]], b[each.places[0]]), each.least, each.share) for each in found]


def critical_points(n: int) -> dict[str, float]:
    """Exact losses of the regular k-gons with features dropped or silent, by the name that `polygon_name` gives."""
    pairs = [(k, s) for k in range(4, n + 1) for s in range(n - k + 1)]
    known = {pair: polygon_with_dropped(pair[0], n, silent=pair[1]) for pair in pairs}
    return {polygon_name(each.W, each.b): float(each.loss) for each in known.values()}


def in_own_basin(inside: Swept, census: Swept) -> Figure:
    """One active feature at a time, two dimensions, exact gradients. Top: trained from a start near the regular n-gon
    of least loss (grey rings); L is the exact loss. Bottom left: the share of such starts that end in the regular
    n-gon, over the standard deviation of the noise added to its weights and biases. Bottom right: the share of random
    starts that do, over the learning rate. Bars: 95 % Wilson intervals."""
    sides = inside.data.n.values.tolist()
    figure = plt.figure(figsize=(draw.PAGE, 4.1))
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    for ax, n in zip(top.subplots(1, len(sides), squeeze=False)[0], sides, strict=True):
        known, W = theory.polygon(n), inside.best(n=n, noise=min(NEAR, inside.data.noise.values.max())).W.values[:n]
        draw.arrows(ax, W)
        angles = np.arctan2(W[0, 1], W[0, 0]) + 2 * np.pi * np.arange(n) / n
        ax.plot(*(known.radius * np.array([np.cos(angles), np.sin(angles)])), "o", mfc="none", color="0.5", ms=7)
        ax.set(xlim=(-1.8, 1.8), ylim=(-1.8, 1.8), ylabel="hidden 2" if ax.get_subplotspec().is_first_col() else "")
        ax.set_title(f"$n={n}$, regular {polygon(n).name}\n$L={known.loss:.5f}$")
    left, right = bottom.subplots(1, 2, sharey=True)
    for index, n in enumerate(sides):
        for ax, swept, axis in ((left, inside, "noise"), (right, census, "rate")):
            _share_curve(ax, swept, n, axis, index)
    left.set(xlabel="noise of the start", ylabel="share ending in the regular $n$-gon", ylim=(-0.03, 1.03))
    right.set(xlabel="learning rate, random starts", xscale="log")
    left.legend(title="$n$", loc="lower left")
    draw.excluded(left, inside.left_out("shown"))
    draw.excluded(right, census.left_out("shown"))
    return figure


def _share_curve(ax: Axes, swept: Swept, n: int, axis: str, index: int) -> None:
    x = swept.data[axis].values
    shares = [regular(swept, **{"n": n, axis: value}) for value in x]
    mean, low, high = np.array(shares).T
    shift = 0.006 * (index - 1.5) if axis == "noise" else x * 0.03 * (index - 1.5)  # intervals side by side
    ax.errorbar(x + shift, mean, [mean - low, high - mean], fmt="o-", lw=0.9, elinewidth=0.7, label=n)


def regular(swept: Swept, **labels: Any) -> Interval:
    """Share of seeds that end in the regular n-gon."""
    W, b, _ = trained(swept, **labels)
    names = [polygon_name(*each) for each in zip(W, b, strict=True)]
    return proportion(names.count(polygon(int(labels["n"])).name), len(names))


def basins_reached(census: Swept) -> Figure:
    """Where random starts end: each dot is a basin, at its exact loss and its share of the seeds (bars: 95 % Wilson
    intervals), one colour a learning rate. Dashed: exact losses of the regular k-gons, all other features dropped
    (k raised to d+: d features, their mean predicted) or silent (s-: never on). Basins between them have features of
    both kinds, features that share a vertex, or are irregular. Dots of one basin are moved apart a little."""
    sides, rates = census.data.n.values.tolist(), census.data.rate.values.tolist()
    rows = -(-len(sides) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(draw.PAGE, 0.4 + 3 * rows), squeeze=False)
    for ax, n in zip(axes.ravel(), sides, strict=False):
        known = {label: loss for name, loss in critical_points(n).items() if (label := _notation(name))}
        ends = [reached(census, n, rate) for rate in rates]
        values = [*known.values(), *(each.loss for found in ends for each in found)]
        low, high = min(values), max(values)
        for place, (rate, found) in enumerate(zip(rates, ends, strict=True)):
            share = np.array([each.share for each in found]).T
            aside = 0.012 * (place - (len(rates) - 1) / 2) * (high - low)  # rates side by side
            loss, errors = [each.loss + aside for each in found], [share[0] - share[1], share[2] - share[0]]
            ax.errorbar(
                share[0], loss, xerr=errors, fmt="o", ms=3, elinewidth=0.6, color=f"C{place}", label=f"{rate:g}"
            )
        ax.set(xscale="log", xlim=(1e-3, 1.3), xlabel="share of seeds", ylabel="exact loss $L$")
        ax.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
        draw.levels(ax, list(known.values()), list(known))
        ax.set_title(f"$n={n}$", loc="left")
    for ax in axes.ravel()[len(sides) :]:
        ax.axis("off")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), title="learning rate", loc="outside lower center", ncols=3)
    return figure


def _notation(name: str) -> str:
    """The paper's: k, raised d+ for d dropped or s- for s silent. "" for those with both, which are saddles."""
    shape, *rest = name.split(", ")
    sides = next(k for k in range(4, 9) if polygon(k).name == shape)
    if len(rest) > 1:
        return ""
    raised = rest[0].replace(" dropped", "+").replace(" silent", "-") if rest else ""
    return f"${sides}^{{{raised}}}$" if raised else f"{sides}, regular {shape}"


def polygons_are_minima(inside: Swept) -> list[Finding]:
    answers = []
    for n in inside.data.n.values.tolist():
        made = polygon_with_dropped(n, n)
        slope, values = one_sparse_curvature(made.W, made.b)
        answers.append(
            Finding(
                f"regular {polygon(n).name} of {n} features: a minimum of the exact loss?",
                f"slope {slope:.0e}, curvatures {values[0]:.0e}, {values[1]:.4f}, ... {values[-1]:.2f}",
                "slope below 1e-12; one curvature within 1e-9 of 0 (the rotation), all others above",
                bool(slope < 1e-12 and abs(values[0]) < 1e-9 < values[1]),
                "Chen et al. 2023: k-gons are critical points; Hessian of the closed form in float64",
            )
        )
    return answers


def trained_polygons(inside: Swept) -> list[Finding]:
    """From starts inside their basin, all seeds and all noises that are small."""
    answers = []
    near = inside.data.noise.values[inside.data.noise.values <= NEAR]
    for n in inside.data.n.values.tolist():
        W, b, loss = trained(inside, n=n, noise=near)
        known = theory.polygon(n)
        D = np.array([feature_dimensionality(each) for each in W.reshape(-1, n, 2)])
        stay = [
            polygon_name(*each) == polygon(n).name for each in zip(W.reshape(-1, n, 2), b.reshape(-1, n), strict=True)
        ]
        ratio = loss / known.loss - 1
        share, what = proportion(sum(stay), len(stay)), f"n = {n}, {len(stay)} starts with noise up to {near.max():g}"
        source = "closed form of the regular n-gon, Chen et al. 2023"
        answers += [
            Finding(
                f"{what}: stay in the regular {polygon(n).name}",
                f"{sum(stay)} of {len(stay)} ({share.low:.2f} to {share.high:.2f})",
                "all, as near a minimum",
                all(stay),
                "curvatures above",
            ),
            Finding(
                f"{what}: exact loss over the closed form's {known.loss:.6f}, minus 1",
                f"{ratio.min():.1e} to {ratio.max():.1e}",
                "within .01, none below -1e-6",
                bool(ratio.max() <= 0.01 and ratio.min() > -1e-6),
                source,
            ),
            Finding(
                f"{what}: D_i",
                f"{D.min():.4f} to {D.max():.4f}",
                f"{2 / n:.4f} within .01",
                bool(np.abs(D - 2 / n).max() <= 0.01),
                "2 / n, Elhage et al. 2022",
            ),
        ]
    return answers


def census_of_basins(census: Swept) -> list[Finding]:
    """Best of all seeds and rates against the least of the known critical points; named basins against their loss."""
    answers = []
    rates = census.data.rate.values.tolist()
    for n in census.data.n.values.tolist():
        known, found = critical_points(n), {rate: reached(census, n, rate) for rate in rates}
        everything = [each for basins_of_rate in found.values() for each in basins_of_rate]
        best, least = min(everything, key=lambda each: each.loss), min(known, key=lambda name: known[name])
        count = len(rates) * census.data.seed.size
        answers.append(
            Finding(
                f"n = {n}: best of {count} random starts",
                f"{best.name}, {best.loss:.6f}",
                f"{least}, {known[least]:.6f} within .1 %",
                best.name == least and abs(best.loss / known[least] - 1) <= 1e-3,
                "least of the k-gons with features left over, closed form",
            )
        )
        named = [each for each in everything if each.name in known]
        gaps = [abs(each.loss / known[each.name] - 1) for each in named]
        answers.append(
            Finding(
                f"n = {n}: {len(named)} of {len(everything)} basins are k-gons with features left over: loss gap",
                f"at most {max(gaps, default=np.nan):.1e}",
                "at most 1e-3",
                bool(gaps) and max(gaps) <= 1e-3,
                "(k L_k + dropped (1/3 - 1/4n) + silent / 3) / n",
            )
        )
        for rate in rates:
            shares = "; ".join(
                f"{each.name}, L = {each.loss:.4f}: {each.share:.2f}"
                for each in sorted(found[rate], key=lambda each: -float(each.share.mean))[:4]
            )
            answers.append(Finding(f"n = {n}, learning rate {rate:g}: most frequent basins", shares, "", None))
    return answers


experiment = Experiment(
    question="Which geometry do n features in a plane reach, one active at a time, and which k-gons are minima?",
    source="Chen et al. 2023, arXiv 2310.06301",
    sweeps=sweeps,
    figures=[in_own_basin, basins_reached],
    findings=[polygons_are_minima, trained_polygons, census_of_basins],
    cost="1,000 random starts for each number of features and rate: four minutes on two CPU cores, 8 programs",
)
