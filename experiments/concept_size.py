"""How many components, and how many weights, does one concept need? Claims D7 and D8.

Two kinds of concepts: planted ones, a shared direction with minor ones whose strengths fall by a grade, and features of
trained toys, 40 in 16 dimensions, in superposition. The elbow is the number of components that hold 95 % of a
variance; an encoding length is the number of weights, or of bits, that deal with one feature.
"""

from collections.abc import Iterator

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Cosine, Geometric, Record, Run, Sparse, SquaredError, Supervised, Sweep, Tied, draw
from toymodels.analysis.elbows import (
    centred_spectrum,
    components_for,
    entropy_number,
    participation_ratio,
    uncentred_spectrum,
)
from toymodels.analysis.encoding_length import bits, weights_after_rotation, weights_for
from toymodels.analysis.geometry import feature_dimensionality
from toymodels.analysis.labelled import rank_correlation
from toymodels.claims import Claim
from toymodels.estimates import exact, mean
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, AtMost, Finding, Near, Within, ours, report
from toymodels.theory.concept_spectra import covariance_given_on, graded_spectrum, noise_elbow

KEPT, SHARE, EXAMPLES = 0.5, 0.95, 2000
"""Length from which on a feature is kept; share of the variance; states that a sampled spectrum is made from."""
MINORS, GRADES, SPACE = 12, (0.3, 0.6, 0.9), 32
"""Minor directions of a planted concept, what their strengths fall by, and the dimensions that they lie in."""
toy = Run(
    Supervised(Sparse(40, 0.05), Tied(16), SquaredError(Geometric(0.95))),
    Adam(Cosine(3e-3)),
    steps=4000,
    batch=512,
    record=Record(20, 2),
)
toys = Sweep(toy, [Axis("p", "problem.data.p", [0.02, 0.05, 0.1]), Axis("seed", "seed", range(20))])


# ------------------------------------------------------------------------------------------------------------- readings
def planted(toys: Swept) -> xr.Dataset:
    """Of planted concepts: the elbow of a sample, by grade and seed, beside that of the exact spectrum."""
    seeds = toys.data.seed.values.tolist()
    table = np.array([[_sampled(grade, seed) for seed in seeds] for grade in GRADES])
    names = ("elbow", "participation", "entropy", "noise")
    found = {name: (("grade", "seed"), table[..., k]) for k, name in enumerate(names)}
    spectra = [graded_spectrum(1.0, grade ** np.arange(1, MINORS + 1)) for grade in GRADES]
    known = {
        "elbow": [components_for(each, SHARE) for each in spectra],
        "participation": [participation_ratio(each) for each in spectra],
        "entropy": [entropy_number(each) for each in spectra],
    }
    found |= {f"exact_{name}": (("grade",), values) for name, values in known.items()}
    return xr.Dataset(found, {"grade": list(GRADES), "seed": seeds})


def _sampled(grade: float, seed: int) -> tuple[float, float, float, float]:
    """Elbow, participation ratio and entropy number of states of a planted concept; the elbow of noise, over d."""
    rng = np.random.default_rng([seed, 7])
    frame = np.linalg.qr(rng.normal(size=(SPACE, SPACE)))[0][: MINORS + 1]
    c, z = rng.normal(size=(EXAMPLES, 1)), rng.normal(size=(EXAMPLES, MINORS))
    strengths = np.append(1.0, grade ** np.arange(1, MINORS + 1))
    spectrum = centred_spectrum(np.hstack([c, c * z]) * strengths @ frame)
    noise = centred_spectrum(rng.normal(size=(2 * SPACE, SPACE)))
    elbow, of_noise = components_for(spectrum, SHARE), components_for(noise, SHARE)
    return elbow, participation_ratio(spectrum), entropy_number(spectrum), of_noise / SPACE


def features(toys: Swept) -> xr.Dataset:
    """Of each feature of each toy: `elbow` of the states in which it is on, exactly; `sampled`, the same from a sample;
    `differences`, that of states with it less those without; weights that hold its response to itself, before and after
    rotation to its direction; bits; dimensionality; length; the same of weights of a row turned at random."""
    W = toys.finite("W", snapshot=-1).transpose("p", "seed", "feature", "hidden")
    names = ("elbow", "sampled", "differences", "alone", "weights", "turned", "rotated", "bits")
    table = {name: np.full(W.shape[:3], np.nan) for name in names}
    for i, j in np.ndindex(W.shape[:2]):
        if np.isfinite(W.values[i, j]).all():
            law = toys.run(p=float(W.p[i]), seed=int(W.seed[j])).problem.data
            for name, values in _of_toy(W.values[i, j], law, int(W.seed[j])).items():
                table[name][i, j] = values
    length = np.sqrt((W**2).sum("hidden", skipna=False))
    found = {name: (("p", "seed", "feature"), values) for name, values in table.items()}
    return xr.Dataset(found | {"length": length, "D": feature_dimensionality(W)}, attrs={"hidden": W.sizes["hidden"]})


def _of_toy(W: np.ndarray, law: Sparse, seed: int) -> dict[str, np.ndarray]:
    W = np.asarray(W, np.float64)
    p, (first, second) = np.asarray(law.marginals(), np.float64), map(float, law.value.moments())
    x = np.asarray(law.sample(jax.random.key(seed), EXAMPLES), np.float64)
    value = np.asarray(law.value.quantile(np.random.default_rng([seed, 8]).random(EXAMPLES)), np.float64)
    found: dict[str, list[float]] = {"elbow": [], "sampled": [], "differences": [], "alone": []}
    for i, row in enumerate(W):
        covariance = covariance_given_on(W, i, p, first, second)
        on, off = x.copy(), x.copy()
        on[:, i], off[:, i] = value, 0
        found["elbow"].append(components_for(np.clip(np.linalg.eigvalsh(covariance), 0, None), SHARE))
        found["sampled"].append(components_for(centred_spectrum(on @ W), SHARE))
        found["differences"].append(components_for(uncentred_spectrum(on @ W - off @ W), SHARE))
        found["alone"].append((second - first**2) * (row @ row) / np.trace(covariance))
    turn = np.linalg.qr(np.random.default_rng([seed, 9]).normal(size=(W.shape[1],) * 2))[0]
    lengths = {"weights": weights_for(W, SHARE), "turned": weights_for(W @ turn, SHARE)}
    lengths |= {"rotated": weights_after_rotation(W, SHARE), "bits": bits(W)}
    return {name: np.asarray(values, float) for name, values in (found | lengths).items()}


def kept(features: xr.Dataset, name: str) -> xr.DataArray:
    """A number of the features that a toy kept; NaN for others."""
    return features[name].where(features.length >= KEPT)


# -------------------------------------------------------------------------------------------------------------- figures
def elbows(planted: xr.Dataset, features: xr.Dataset) -> Figure:
    """Components. a: of planted concepts, a shared direction and twelve minor ones whose strengths fall by a grade, of
    2,000 states, by three counts, mean over seeds and its 95 % interval; open: exact. b: for 95 % of the variance of a
    toy's states in which a feature is on, by its dimensionality (exact; every kept feature of every seed a dot, spread
    by up to .3 about its number); dashed: all 16 dimensions; dotted: the one of states with it less the same states
    without it."""
    figure, (left, right) = draw.panels(1, 2, height=2.7)
    for name, label, colour in (
        ("elbow", "95 % of the variance", draw.BLUE),
        ("participation", "participation ratio", draw.ORANGE),
        ("entropy", "exp(entropy)", draw.GREEN),
    ):
        draw.points(left, planted.grade.values, mean(planted[name]).estimates, label=label, colour=colour)
        left.plot(planted.grade, planted[f"exact_{name}"], "o", ms=7, mfc="none", mew=0.8, color=colour)
    left.set(xlabel="grade of the minor directions", ylabel="components", ylim=(0, None))
    exact = draw.key("", draw.BLACK, marker="o", ms=7, mfc="none", mew=0.8)
    draw.legend(left, {"exact": exact, "95 % interval": draw.whisker()}, loc="upper left")
    series = {}
    for p, colour in zip(features.p.values.tolist(), draw.PALETTE, strict=False):
        here = {name: kept(features, name).sel(p=p).values.ravel() for name in ("D", "elbow")}
        jitter = np.random.default_rng(0).uniform(-0.3, 0.3, here["elbow"].shape)
        series[f"$p={p:g}$"] = (here["D"], here["elbow"] + jitter, colour)
    draw.clouds(right, series, alpha=0.4, ms=2)
    draw.levels(right, [features.hidden], [""])
    right.axhline(1, ls=draw.DOTTED, color=draw.THEORY, lw=1)
    right.set(xlabel="dimensionality $D_i$", ylabel="components", ylim=(0, None))
    lines = {f"all {features.hidden} dimensions": draw.DASHED, "states with it less without": draw.DOTTED}
    draw.legend(right, lines, loc="center left")
    return figure


def encoding_lengths(features: xr.Dataset) -> Figure:
    """What part of a toy's weights deals with one feature; kept features of every seed. a: weights of its row that hold
    95 % of its response to itself, as trained and with the hidden units turned at random. b: weights on
    its own axis, after hidden units are rotated to it, that hold 95 % of the axis. Means over seeds with their
    95 % intervals. c: bits that the weights cost with it beyond those without, to a resolution of .1, by its
    dimensionality; every feature of every seed a dot."""
    figure, axes = draw.panels(1, 3, height=2.7)
    places = np.arange(features.sizes["p"])
    for name, shift, filled in (("weights", -3, True), ("turned", 3, False)):
        each = mean(kept(features, name).mean("feature").transpose("p", "seed")).estimates
        label = "as trained" if filled else "turned"
        draw.points(axes[0], places, each, label=label, shift=shift, colour=draw.BLUE if filled else draw.ORANGE)
    each = mean(kept(features, "rotated").mean("feature").transpose("p", "seed")).estimates
    draw.points(axes[1], places, each, colour=draw.BLUE)
    for ax, label in ((axes[0], "weights of the row, of 16"), (axes[1], "weights on its axis, of 40")):
        draw.ticks(ax, "x", places, [f"{p:g}" for p in features.p.values])
        ax.set(xlabel="$p$", ylabel=label)
        ax.set_ylim(0, 17)
    draw.legend(axes[0], {"95 % interval": draw.whisker()}, loc="lower right")
    series = {
        f"$p={p:g}$": (*xr.broadcast(features.D.sel(p=p), features.bits.sel(p=p)), colour)
        for p, colour in zip(features.p.values.tolist(), draw.PALETTE, strict=False)
    }
    draw.clouds(axes[2], series, alpha=0.4, ms=2)
    axes[2].set(xlabel="dimensionality $D_i$", ylabel="bits")
    draw.legend(axes[2], loc="upper left")
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def what_the_elbow_counts(planted: xr.Dataset, features: xr.Dataset) -> Iterator[Finding]:
    """Components of planted concepts against their spectrum, and of features in superposition."""
    for grade in planted.grade.values.tolist():
        here, at = planted.sel(grade=grade), {"grade": grade}
        what, why = f"planted, grade {grade:g}: components for 95 %, sampled", ours("exact spectrum; one component")
        yield Finding("as-planted", what, mean(here.elbow), Near(float(here.exact_elbow), within=1), why, settings=at)
        what = f"planted, grade {grade:g}: participation ratio, sampled over exact"
        ratio, why = mean(here.participation / here.exact_participation), ours("exact spectrum; a tenth")
        yield Finding("participation-as-planted", what, ratio, Within(0.9, 1.1), why, settings=at)
    for p in features.p.values.tolist():
        at = {"p": p}
        share = mean(kept(features, "elbow").sel(p=p).mean("feature") / features.hidden)
        what, why = f"p = {p:g}: components for 95 % of the states where a feature is on, of all", ours("most of them")
        yield Finding("superposed-needs-most", what, share, AtLeast(0.5), why, settings=at)
        most = exact(kept(features, "differences").sel(p=p).max().item())
        what, why = f"p = {p:g}: components for 95 % of differences by a feature, most of any", ours("linear: one")
        yield Finding("differences-need-one", what, most, AtMost(1), why, "check", at)
        alone = mean(kept(features, "alone").sel(p=p).mean("feature"))
        yield report("alone", f"p = {p:g}: share of that variance that is the feature's own", alone, settings=at)


def the_noise_has_no_elbow(planted: xr.Dataset) -> Iterator[Finding]:
    """The control: as many components as noise has."""
    ratio = mean(planted.noise.isel(grade=0) / noise_elbow(SPACE, 2 * SPACE, SHARE))
    what = f"noise in {SPACE} dimensions, {2 * SPACE} vectors: components for 95 %, over those of Marchenko and Pastur"
    yield Finding("noise-as-noise", what, ratio, Near(1, within=0.1), ours("random matrices; a tenth"))


def what_deals_with_a_feature(features: xr.Dataset) -> Iterator[Finding]:
    """Encoding lengths by ablation, by rotation, by compression."""
    for p in features.p.values.tolist():
        at, own = {"p": p}, {name: kept(features, name).sel(p=p).mean("feature") for name in ("weights", "turned")}
        what, why = f"p = {p:g}: weights that hold 95 % of a feature, over those of the row turned", ours("a fifth")
        yield Finding("as-a-random-row", what, mean(own["weights"] / own["turned"]), Near(1, 0.2), why, settings=at)
        rotated = mean(kept(features, "rotated").sel(p=p).mean("feature") / features.sizes["feature"])
        what, why = f"p = {p:g}: weights on the axis of a feature that hold 95 % of it, of all", ours("a third")
        yield Finding("few-after-rotation", what, rotated, AtMost(1 / 3), why, settings=at)
        order = mean(rank_correlation(features.bits.sel(p=p), features.D.sel(p=p), "feature"))
        what, why = f"p = {p:g}: rank correlation of bits with dimensionality", ours("a correlation that is seen")
        yield Finding("bits-follow-dimensionality", what, order, AtLeast(0.5), why, settings=at)
        yield report("weights", f"p = {p:g}: weights that hold 95 % of a feature", mean(own["weights"]), settings=at)
        used = mean(features.bits.sel(p=p).sum("feature"))
        yield report("bits", f"p = {p:g}: bits, summed over features", used, settings=at)


experiment = Experiment(
    question="How many components, and how many weights, does one concept need?",
    source="ours",
    sweeps={"toys": toys},
    scales={
        "tiny": {"seed": range(3), "steps": 100, "batch": 64},
        "full": {"problem.data.n": 200, "problem.model.m": 50, "steps": 20_000},
    },
    readings=[planted, features],
    figures=[elbows, encoding_lengths],
    findings=[what_the_elbow_counts, the_noise_has_no_elbow, what_deals_with_a_feature],
    claims=[
        Claim(
            "D7",
            "The elbow counts what varies along with a concept: the planted directions, where a shared one has graded "
            "minor ones; most dimensions, for a feature in superposition; one, for the differences that it makes.",
            [
                "as-planted",
                "participation-as-planted",
                "superposed-needs-most",
                "differences-need-one",
                "noise-as-noise",
            ],
            "elbows",
            note="The elbow: components for 95 % of the variance, of states in which the concept is on.",
        ),
        Claim(
            "D8",
            "A feature in superposition is spread over its row of weights as a random direction is; rotated to its "
            "direction, it is held by a third of the weights on that axis or fewer; it costs the more bits, the more "
            "of a dimension it has.",
            ["as-a-random-row", "few-after-rotation", "bits-follow-dimensionality"],
            "encoding_lengths",
            note="Held: 95 % of its response to itself, or of the squares on its axis.",
        ),
    ],
    cost="one program, 60 toys of 4,000 steps, those of `features_of_toys`: about half a minute on two quiet cores",
)
