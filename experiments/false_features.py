"""Does a sparse dictionary look as if it had found features where there are none? Claim D6.

Four methods, four laws: planted sparse features, a dozen Gaussians, points uniform in a cube, a plain Gaussian. Four
statistics are said to tell them apart, and each is given the most that a reader would ask for:

    gap         FVU on held-out observations over FVU on those trained on     at most 1.1
    agreement   MMCS of two seeds above that of random dictionaries, exactly   at least .5
    copy        FVU over that of a dictionary trained on a Gaussian copy       at most .8
    rotated     FVU over that on observations rotated at equal covariance      at most .8

Two seeds, 2k and 2k + 1, share their truth and their sample. ICA keeps the three largest of its d codes, k-means one.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from toymodels import (
    Adam,
    Axis,
    Choice,
    Clusters,
    Cosine,
    Cube,
    Dictionary,
    Embedded,
    GaussianCopy,
    Normal,
    Record,
    ReluL1,
    Run,
    Sampled,
    Sparse,
    Sweep,
    TopK,
    draw,
)
from toymodels.analysis import reference
from toymodels.analysis.recovery import above_chance, fvu, mmcs
from toymodels.claims import Claim
from toymodels.config import paths, replace
from toymodels.data import covariance
from toymodels.estimates import mean
from toymodels.experiment import Experiment, Swept
from toymodels.findings import FAILS, HOLDS, UNDECIDED, AtLeast, AtMost, Finding, Somewhere, ours, report
from toymodels.theory.random_dictionaries import expected_best

D, WIDTH, HELD_OUT = 16, 64, 2000
FEATURES = Embedded(Sparse(2 * D, 0.05), D)
DOZEN = Clusters(12, D)
LAWS = {
    "features": FEATURES,
    "a dozen Gaussians": DOZEN,
    "cube": Cube(D, float(np.sqrt(12))),
    "Gaussian": Normal(D),
    "copy of features": GaussianCopy(FEATURES),
    "copy of a dozen": GaussianCopy(DOZEN),
}
COPY = {
    "features": "copy of features",
    "a dozen Gaussians": "copy of a dozen",
    "cube": "Gaussian",
    "Gaussian": "Gaussian",
}
"""The Gaussian of equal mean and covariance; of a Gaussian itself, at other seeds."""
FEATURELESS = [name for name in COPY if name != "features"]
PASSES = {"gap": AtMost(1.1), "agreement": AtLeast(0.5), "copy": AtMost(0.8), "rotated": AtMost(0.8)}
"""What each statistic has to be for the data to pass as features."""


def in_pairs(run: Run) -> Run:
    """Seeds 2k and 2k + 1 start apart, on the same truth and the same sample."""
    found = [path for path, _ in paths(run.problem.data) if path.rpartition(".")[2] == "seed"]
    return replace(run, {f"problem.data.{path}": run.seed // 2 for path in found})


LATENTS = 3
"""Latents of a code, where a method lets one choose; of the planted features 1.6 are on, on average."""
CODERS = {"TopK": TopK(LATENTS), "ReLU + L1": ReluL1(0.2)}
COMPARED = ("ICA", "k-means")
METHODS = (*CODERS, *COMPARED)
base = Run(
    Dictionary(Sampled(FEATURES), TopK(LATENTS), WIDTH), Adam(Cosine(3e-3)), steps=2000, batch=128, record=Record(2, 2)
)
axes = [
    Choice("coder", {name: {"problem.coder": coder} for name, coder in CODERS.items()}),
    Choice("law", {name: {"problem.data.of": law} for name, law in LAWS.items()}),
    Axis("samples", "problem.data.count", [100, 1000, 10_000]),
    Axis("seed", "seed", range(40)),
]


# ------------------------------------------------------------------------------------------------------------- readings
class Fitted(NamedTuple):
    """A dictionary, and how well it does on observations."""

    directions: np.ndarray
    fvu: Callable[[np.ndarray], float]


@jax.jit
def _decoded(problem: Dictionary, params: dict[str, Any], h: Any) -> Any:
    return jax.vmap(lambda each: problem.decode(params, problem.encode(params, each)[0]))(h)


def _autoencoder(problem: Dictionary, params: dict[str, Any]) -> Fitted:
    return Fitted(
        np.asarray(params["decoder"]),
        lambda h: fvu(h, np.asarray(_decoded(problem, params, jnp.asarray(h, jnp.float32)), np.float64)),
    )


def _components(h: np.ndarray, seed: int) -> Fitted:
    """ICA: as many components as dimensions; the largest few of them, by what they add, give an observation back."""
    centre, directions = h.mean(axis=0), reference.ica(h, D, seed)

    def again(fresh: np.ndarray) -> float:
        codes = (fresh - centre) @ np.linalg.pinv(directions)
        least = np.sort(np.abs(codes), axis=1)[:, -LATENTS][:, None]
        return fvu(fresh, centre + np.where(np.abs(codes) >= least, codes, 0.0) @ directions)

    return Fitted(directions, again)


def _centres(h: np.ndarray, seed: int) -> Fitted:
    """k-means: the nearest of `WIDTH` centres gives an observation back."""
    centres = reference.kmeans(h, WIDTH, seed)
    square = (centres**2).sum(axis=1)
    return Fitted(centres, lambda fresh: fvu(fresh, centres[(square - 2 * fresh @ centres.T).argmin(axis=1)]))


FITS = dict(zip(COMPARED, (_components, _centres), strict=True))


def _rotated(h: np.ndarray, law: Any, seed: int) -> np.ndarray:
    """Observations rotated where their covariance is the identity: another law of the same mean and covariance."""
    values, vectors = np.linalg.eigh(covariance(law))
    root = (vectors * np.sqrt(values)) @ vectors.T
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=root.shape))[0]
    centre = np.asarray(law.mean(), np.float64)
    return centre + (h - centre) @ np.linalg.solve(root, turn @ root)


def statistics(dictionaries: Swept) -> xr.Dataset:
    """FVU on what was trained on, held out and rotated, by method, law, size of the sample and seed; `agreement` of two
    seeds above chance, by pair."""
    coders, laws, sizes, seeds = (dictionaries.data[name].values.tolist() for name in ("coder", *INDEX))
    params = {
        name: dictionaries.finite(name, snapshot=-1).transpose("coder", *INDEX, ...)
        for name in ("decoder", "encoder", "b_enc", "b_dec")
    }
    methods = [*coders, *COMPARED]

    def fit(at: tuple[int, ...]) -> tuple[list[list[float]], list[np.ndarray]]:
        """FVUs of each method, and its directions: of one law, size and seed."""
        name, size, seed = (values[i] for values, i in zip((laws, sizes, seeds), at, strict=True))
        problems = [dictionaries.run(coder=coder, law=name, samples=size, seed=seed).problem for coder in coders]
        law = problems[0].data.of
        seen = np.asarray(problems[0].data.table(), np.float64)[:size]
        fresh = np.asarray(law.sample(jax.random.key(seed), HELD_OUT), np.float64)
        shown = seen[:HELD_OUT], fresh, _rotated(fresh, law, seed)
        fits = [
            _autoencoder(problem, {key: jnp.asarray(each.values[i, *at]) for key, each in params.items()})
            for i, problem in enumerate(problems)
        ]
        fits += [method(seen, seed) for method in FITS.values()]
        return [[each.fvu(h) for h in shown] for each in fits], [each.directions for each in fits]

    shape = len(laws), len(sizes), len(seeds)
    fvus, directions = zip(*reference.side_by_side(fit, np.ndindex(shape)), strict=True)
    fitted = np.moveaxis(np.reshape(fvus, (*shape, len(methods), len(FVUS))), (-1, -2), (0, 1))
    agreement = np.full((len(methods), *shape[:-1], shape[-1] // 2), np.nan)
    for i, *at, k in np.ndindex(agreement.shape):
        first, second = (directions[np.ravel_multi_index((*at, 2 * k + one), shape)][i] for one in (0, 1))
        agreement[i, *at, k] = _agreement(first, second, methods[i])
    dims = ("by", *INDEX)
    coords = {"by": methods} | {dim: dictionaries.data[dim] for dim in INDEX}
    whole = xr.Dataset({name: (dims, each) for name, each in zip(FVUS, fitted, strict=True)}, coords)
    return whole.assign(agreement=((*dims[:-1], "pair"), agreement))


INDEX = ("law", "samples", "seed")
FVUS = ("train", "held_out", "turned")


def _agreement(first: np.ndarray, second: np.ndarray, method: str) -> float:
    """MMCS both ways, above that of as many random directions; of ICA as lines, for its signs are convention."""
    signed = method != "ICA"
    both = (mmcs(first, second, signed) + mmcs(second, first, signed)) / 2
    return float(above_chance(both, expected_best(len(second), second.shape[1], signed)))


def passing(statistics: xr.Dataset) -> dict[str, xr.DataArray]:
    """Each statistic, by method, law and size of the sample, along "pair": means over the two seeds of a pair."""
    fvus = statistics[list(FVUS)].coarsen(seed=2, boundary="trim").mean().rename(seed="pair")
    fvus = fvus.drop_vars("pair", errors="ignore")
    laws = [law for law in COPY if law in statistics.law]
    own = fvus.sel(law=laws)
    copies = fvus.held_out.sel(law=[COPY[law] for law in laws]).assign_coords(law=laws)
    others = copies.roll(pair=1)  # of the Gaussian, a dictionary of another pair
    return {
        "gap": own.held_out / own.train,
        "agreement": statistics.agreement.sel(law=laws),
        "copy": own.held_out / others,
        "rotated": own.held_out / own.turned,
    }


# -------------------------------------------------------------------------------------------------------------- figures
TITLES = {
    "gap": "FVU held out / fitted",
    "agreement": "agreement above chance",
    "copy": "FVU / of Gaussian copy",
    "rotated": "FVU / rotated",
}


def false_positives(statistics: xr.Dataset) -> Figure:
    """What four methods (rows) make of four laws (columns) at the largest sample, by four statistics (panels): means
    over pairs of seeds. FVU: fraction of variance unexplained; agreement: how near the directions of two seeds are;
    Gaussian copy: the Gaussian of the same mean and covariance; rotated: the data in a random basis. A verdict is that
    of the whole interval, above or below the limit over the panel; undecided: the limit lies within. Intervals are at
    95 % for a panel together. Features: planted, sparse; dozen: a mixture of twelve Gaussians; every purple cell of the
    columns without features is a false positive."""
    figure, axes = draw.panels(2, 2, height=4.4, sharex=True, sharey=True)
    for ax, (name, values) in zip(axes.flat, passing(statistics).items(), strict=True):
        values = values.sel(samples=values.samples.values.max()).transpose("by", "law", "pair")
        every = mean(values.stack(cell=("by", "law")).reset_index("cell", drop=True).transpose("cell", "pair"), "pair")
        outcomes = [PASSES[name].decide(each) for each in every.estimates]
        cells = np.array([to_rgb(COLOURS[VERDICTS[each]]) for each in outcomes])
        ax.imshow(cells.reshape(values.sizes["by"], values.sizes["law"], 3), aspect="auto")
        for index, each in enumerate(every.estimates):
            row, column = divmod(index, values.sizes["law"])
            ax.text(column, row, f"{each.value:.2f}", ha="center", va="center", size=9)
        draw.ticks(ax, "x", range(values.sizes["law"]), [SHORT[each] for each in values.law.values.tolist()])
        draw.ticks(ax, "y", range(values.sizes["by"]), values.by.values.tolist())
        ax.set(title=f"{TITLES[name]}: {PASSES[name]}")
    draw.category_legend(figure, COLOURS)
    return figure


VERDICTS = {HOLDS: "data have features", FAILS: "data have none", UNDECIDED: "undecided"}
COLOURS = dict(zip(VERDICTS.values(), ("#a69cc9", "#f1a340", "white"), strict=True))
SHORT = {"features": "features", "a dozen Gaussians": "dozen", "cube": "cube", "Gaussian": "Gaussian"}


def statistics_by_law(statistics: xr.Dataset) -> Figure:
    """Four statistics (columns, as in `false_positives`) of four methods (rows) against the number of observations that
    they were fitted to; means over pairs of seeds with their intervals. Below the limit (second column: above it) data
    pass as features: a law without features that does is a false positive."""
    found = passing(statistics)
    methods = statistics.by.values.tolist()
    figure, axes = draw.panels(len(methods), 4, height=1.5 * len(methods), sharex=True, sharey="col")
    for row, method in zip(np.reshape(axes, (len(methods), 4)), methods, strict=True):
        for ax, (name, values) in zip(row, found.items(), strict=True):
            for law, colour in zip(values.law.values.tolist(), draw.PALETTE, strict=False):
                here = mean(values.sel(law=law, by=method).transpose("samples", "pair"), "pair")
                draw.points(ax, values.samples.values, here.estimates, label=law, colour=colour, ls="-")
            ax.axhline(PASSES[name].limit, ls=draw.DASHED, color=draw.THEORY, lw=1)
            ax.set(title=TITLES[name] if method == methods[0] else "", xscale="log")
        row[0].set_ylabel(method)
    for ax, name in zip(np.reshape(axes, (len(methods), 4))[-1], found, strict=True):
        ax.set_xlabel("observations")
        ax.set(yscale="log") if name == "gap" else ax.set_ylim(bottom=-0.06)  # when all rows, which share it, are drawn
    draw.legend_below(figure, np.ravel(axes)[0], {"limit": draw.DASHED, "95 % interval": draw.whisker()})
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def no_statistic_is_enough(statistics: xr.Dataset) -> Iterator[Finding]:
    """At the largest sample: which laws without features pass, and whether that with features does."""
    found = passing(statistics)
    largest = statistics.samples.values.max()
    why = ours("at least one law without features passes as one with")
    for name, values in found.items():
        for method in statistics.by.values.tolist():
            here, at = values.sel(samples=largest, by=method), {"statistic": name, "method": method}
            what = f"{name}, {method}, {largest:,} observations: laws without features"
            each, criterion = mean(here.sel(law=FEATURELESS).transpose("law", "pair"), "pair"), Somewhere(PASSES[name])
            yield Finding("fooled", what, each, criterion, why, settings=at)
            what, own = f"{name}, {method}, {largest:,} observations: the law with features", here.sel(law="features")
            yield Finding("passes-features", what, mean(own, "pair"), PASSES[name], OURS, settings=at)
            for law in values.law.values.tolist():
                what = f"{name}, {method}, {law}"
                yield report("statistic", what, mean(here.sel(law=law), "pair"), settings=at | {"law": law})


OURS = ours("what a reader would ask for")


def the_gap_tells_the_size_of_the_sample(statistics: xr.Dataset) -> Iterator[Finding]:
    """Held-out over training FVU: large for small samples and 1 for large ones, features or not."""
    gap = passing(statistics)["gap"].transpose("by", "law", "samples", "pair")
    sizes = gap.samples.values.tolist()
    for method in gap.by.values.tolist():
        here, at = gap.sel(by=method), {"method": method}
        what = f"{method}: FVU held out over FVU fitted, {sizes[0]:,} observations, by law"
        least = ours("half as much again")
        yield Finding("gap-of-few", what, mean(here.isel(samples=0), "pair"), AtLeast(1.5), least, settings=at)
        what = f"{method}: FVU held out over FVU fitted, {sizes[-1]:,} observations, by law"
        yield Finding(
            "gap-of-many", what, mean(here.isel(samples=-1), "pair"), AtMost(1.1), ours("a tenth"), settings=at
        )


experiment = Experiment(
    question="Which statistic tells sparse features from none?",
    source="ours",
    sweeps={"dictionaries": Sweep(base, axes, in_pairs)},
    scales={
        "tiny": {"seed": range(4), "steps": 100, "samples": [100, 1000], "problem.data.most": 1000},
        "full": {"seed": range(100), "steps": 10_000},
    },
    readings=[statistics],
    figures=[false_positives, statistics_by_law],
    findings=[no_statistic_is_enough, the_gap_tells_the_size_of_the_sample],
    claims=[
        Claim(
            "D6",
            "A sparse dictionary looks as if it had found features in data without any: held-out loss tells small "
            "samples from large ones and nothing else, and each of four statistics passes some law without features.",
            ["fooled", "gap-of-few", "gap-of-many"],
            "false_positives",
            ["problem.width=32 seed=0:20 samples=(100,10000)", "batch=32 seed=0:20 samples=(100,10000)"],
            "Gap: FVU held out over FVU fitted, at most 1.1. Agreement of two seeds: half of what lies above chance "
            "or more. Copy, rotated: FVU at most .8 of that on a Gaussian of equal covariance, or on rotated data.",
        )
    ],
    cost="12 programs, 1,440 cells of 2,000 steps: about six minutes on two quiet cores",
    extra="reference",
)
