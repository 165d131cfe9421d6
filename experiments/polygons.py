"""k-gons: which geometry do k features in two dimensions reach, one active at a time? Chen et al. 2023."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep, draw
from toymodels.analysis.geometry import (
    dimensions_per_feature,
    feature_dimensionality,
    tegum_factors,
)
from toymodels.analysis.polytopes import polygon
from toymodels.analysis.statistics import proportion
from toymodels.data import OneSparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.models import Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.supervised import Supervised
from toymodels.theory import superposition as theory

DEAD = 0.25
"""Norm, as a fraction of the largest, up to which a feature counts as not represented."""


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    return {
        "polygons": _polygons((5,) if tiny else (5, 6, 7, 8) if full else (5, 6), 400 if tiny else 2500),
    }


def _polygons(sides: Sequence[int], steps: int) -> Sweep:
    # The rate decides how often the hexagon is found: 3, 9 and 21 of 48 seeds at 0.01, 0.03 and 0.1.
    problem = Supervised(OneSparse(5), Tied(2))
    base = Run(problem, Adam(Cosine(3e-2)), steps=steps, batch=512, record=Record(60, 2))
    return Sweep(base, [Axis("k", "problem.data.n", sides), Axis("seed", "seed", range(48))])


def dimensions(W: np.ndarray) -> np.ndarray:
    """D* of each model, NaN for excluded ones."""
    flat = W.reshape(-1, *W.shape[-2:])
    values = [_shrunk(w) for w in flat]
    return np.array([dimensions_per_feature(w) if w.size else np.nan for w in values]).reshape(W.shape[:-2])


def _shrunk(W: np.ndarray) -> np.ndarray:
    """A model without the columns that pad it to the width of the widest; empty if excluded."""
    return W[:, np.isfinite(W).all(axis=0)]


class Reached(NamedTuple):
    """A trained k x 2 model, its exact loss, and the geometry it has: factors, and features dropped."""

    W: np.ndarray
    loss: float
    name: str


def reached(polygons: Swept, k: int) -> list[Reached]:
    """The models of all seeds, best first by exact loss."""
    cells = polygons.data.sel(k=k).isel(snapshot=-1)
    W, b = (cells[name].values[:, : int(k)].astype(np.float64) for name in ("W", "b"))
    found = [Reached(w, float(theory.one_sparse_loss(w, bias)), geometry_of(w)) for w, bias in zip(W, b, strict=True)]
    return sorted(found, key=lambda each: each.loss)


def geometry_of(W: np.ndarray) -> str:
    norms = np.linalg.norm(W, axis=1)
    dropped = int((norms <= DEAD * norms.max()).sum())
    name = tegum_factors(W, tol=0.03, dead=DEAD).name
    return f"{name}, {dropped} dropped" if dropped else name


def polygons_reached(polygons: Swept) -> Figure:
    """One active feature at a time, two dimensions. Top: the best of all seeds by exact loss for each number of
    features k, on the regular k-gon of least loss (grey rings). Bottom: how often each geometry was reached, with 95 %
    Wilson intervals, and the least exact loss L that it was reached with."""
    sides = polygons.data.k.values
    figure, axes = plt.subplots(
        2, len(sides), figsize=(max(draw.COLUMN, draw.PAGE * len(sides) / 2.5), 4.2), squeeze=False
    )
    for column, k in enumerate(sides):
        found, known, (top, bottom) = reached(polygons, k), theory.polygon(int(k)), axes[:, column]
        W = found[0].W
        draw.arrows(top, W)
        angles = np.arctan2(W[0, 1], W[0, 0]) + 2 * np.pi * np.arange(k) / k
        rings = known.radius * np.array([np.cos(angles), np.sin(angles)])
        top.plot(*rings, "o", mfc="none", color="0.5", ms=7)
        top.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6))
        title = f"$k={k}$, best of {len(found)}: {found[0].name}\n$L={found[0].loss:.5f}$, regular {known.loss:.5f}"
        top.set_title(title, fontsize=7)
        _geometry_bars(bottom, found)
    return figure


def _geometry_bars(ax: Axes, found: Sequence[Reached]) -> None:
    """At most four geometries, the most frequent first, and how many others."""
    common = Counter(each.name for each in found).most_common(4)
    labels = [
        f"{name.replace(', ', chr(10)).replace(' ⊕ ', chr(10) + '⊕ ')}\n$L={least:.4f}$"
        for name, least in ((name, min(each.loss for each in found if each.name == name)) for name, _ in common)
    ]
    counts = [count for _, count in common]
    if sum(counts) < len(found):
        labels, counts = [*labels, "others"], [*counts, len(found) - sum(counts)]
    shares = [proportion(count, len(found)) for count in counts]
    mean, low, high = np.array([(share.mean, share.low, share.high) for share in shares], float).T
    draw.bars(ax, labels, mean, low, high)
    ax.set(ylabel="share of seeds", ylim=(0, 1), xlim=(-0.6, max(len(labels), 3) - 0.4))
    for label in ax.get_xticklabels():
        label.set(rotation=0, ha="center", fontsize=6.5)


def polygon_dimensionality(polygons: Swept) -> list[Finding]:
    """Best of all seeds by exact loss, whatever its geometry, against the regular polygon; how often that is met."""
    answers = []
    for k in polygons.data.k.values:
        found, known, name = reached(polygons, k), theory.polygon(int(k)), polygon(int(k)).name
        D, loss = feature_dimensionality(found[0].W), found[0].loss
        regular = sum(each.name == name for each in found)
        share = proportion(regular, len(found))
        what = f"best of {len(found)} seeds at k = {k} ({found[0].name})"
        near = bool(np.abs(D - 2 / k).max() <= 0.01)
        expected = f"{2 / k:.4f} within .01, a regular {name}"
        rate = f"{regular} of {len(found)}: {share.mean:.2f} ({share.low:.2f} to {share.high:.2f})"
        answers += [
            Finding(f"{what}: D_i", f"{D.min():.4f} to {D.max():.4f}", expected, near),
            Finding(f"{what}: exact loss", f"{loss:.6f}", f"{known.loss:.6f} within 1 %", loss <= 1.01 * known.loss),
            Finding(f"k = {k}: seeds that reach the regular {name}", rate, "", None),
        ]
    return answers


experiment = Experiment(
    question="Which geometry do k features in a plane reach, one active at a time?",
    source="Chen et al. 2023, arXiv 2310.06301",
    sweeps=sweeps,
    figures=[polygons_reached],
    findings=[polygon_dimensionality],
)
