"""What does a linear classifier find of a concept that was erased? Claim E1.

Three erasers: h is projected along the difference of the class means, or of the class medians, or changed by the least
squares after which no class mean differs (LEACE). All distributions are finite and all accuracies exact: that of the
best half-space, with both classes of weight one half, so that chance is 1/2.

Two counterexamples, and trained toys: their hidden states h = Wᵀ x at all 2^n binary x, each with its probability. The
concept is that one feature is on. Features are independent, or come in pairs that are now and then broken.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import (
    Adam,
    Axis,
    Constant,
    Cosine,
    Paired,
    Record,
    Run,
    Sparse,
    Supervised,
    Sweep,
    Tied,
    draw,
)
from toymodels.analysis.erasure import (
    Eraser,
    balanced,
    best_linear_accuracy,
    coefficients,
    leace,
    logistic,
    marginal_median,
    mean_eraser,
    median_eraser,
    squared_hinge,
)
from toymodels.claims import Claim
from toymodels.estimates import exact, mean
from toymodels.experiment import Experiment, Swept, Unfit, require
from toymodels.findings import AtLeast, AtMost, Finding, ours, report, stated
from toymodels.theory.erasure import Finite, equal_means, equal_medians, least_change, left_over

Erase = Callable[..., Eraser]
ERASERS: dict[str, Erase] = {"mean": mean_eraser, "median": median_eraser, "least squares": leace}
LOSSES = {"logistic": logistic, "squared hinge": squared_hinge}
EQUALS: dict[str, Callable[[float], Finite]] = {
    "mean": equal_means,
    "median": equal_medians,
    "least squares": equal_means,
}
"""What defeats each eraser."""
SHARES = {"mean": (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5), "median": (0.51, 0.6, 0.7, 0.8, 0.9, 0.98)}
SHARES["least squares"] = SHARES["mean"]
OUTLIERS, DISTANCES = 0.1, (0, 1, 3, 10, 30)
"""Share of the examples with the concept that are moved, and how far, in root mean square lengths of h."""
BELROSE = "Belrose et al. 2023, theorem 3.1"
toy = Run(Supervised(Sparse(6, 0.2, Constant(1.0)), Tied(2)), Adam(Cosine(3e-3)), 3000, 256, record=Record(2, 2))
pairs = Run(
    Supervised(Paired(3, 0.25, 0.4, Constant(1.0)), Tied(2)), Adam(Cosine(3e-3)), 3000, 256, record=Record(2, 2)
)
seeds = Axis("seed", "seed", range(40))
sweeps = {"independent": Sweep(toy, [seeds]), "paired": Sweep(pairs, [seeds])}


# ------------------------------------------------------------------------------------------------------------- readings
def states(law: Sparse | Paired) -> tuple[np.ndarray, np.ndarray]:
    """All binary x, and the probability of each."""
    x = np.array(list(itertools.product([0.0, 1.0], repeat=law.n)))
    if isinstance(law, Sparse):
        p = np.asarray(law.marginals(), np.float64)
        return x, np.where(x > 0, p, 1 - p).prod(axis=1)
    if not isinstance(law, Paired):
        raise Unfit(f"data={law}: all states of independent or paired features are gone through")
    on = x.reshape(len(x), -1, 2).sum(axis=2).astype(int)
    none, one, both = 1 - law.p, law.p * law.broken / 2, law.p * (1 - law.broken)
    return x, np.array([none, one, both])[on].prod(axis=1)


def with_outliers(h: np.ndarray, z: np.ndarray, w: np.ndarray, distance: float, seed: list[int]) -> Finite:
    """A share of the concept's weight moved together, in a random direction."""
    way = np.random.default_rng(seed).normal(size=h.shape[1])
    size = distance * np.sqrt(w @ (h**2).sum(axis=1)) / np.linalg.norm(way)
    left = np.where(z, (1 - OUTLIERS) * w, w)
    return Finite(
        np.vstack([h, h[z] + size * way]), np.append(z, z[z]), np.concatenate([left, OUTLIERS * w[z]]) / w.sum()
    )


def toys(independent: Swept, paired: Swept) -> xr.Dataset:
    """By law, seed, feature and eraser: accuracy left, largest coefficient of each loss, change, and the least change
    that there is; with outliers of each distance in what the eraser was fitted to, the accuracy without them."""
    return xr.concat([_erased(each) for each in (independent, paired)], xr.Variable("law", ["independent", "paired"]))


def _erased(swept: Swept) -> xr.Dataset:
    swept.check(problem__data__value=Constant(1.0))
    require(swept.sweep.base.problem.data.n <= 8, "all states are gone through for up to 8 features")
    W = swept.finite("W", snapshot=-1).transpose("seed", "feature", "hidden")
    x, probability = states(swept.sweep.base.problem.data)
    kinds = ("before", *ERASERS)
    shape = (W.sizes["seed"], W.sizes["feature"])
    accuracy, change = (np.full((*shape, len(kinds)), np.nan) for _ in range(2))
    slopes, least = np.full((*shape, len(kinds), len(LOSSES)), np.nan), np.full(shape, np.nan)
    moved = np.full((*shape, len(ERASERS), len(DISTANCES)), np.nan)
    for s, i in np.ndindex(shape):
        if not np.isfinite(W.values[s]).all():
            continue
        h, z = x @ W.values[s], x[:, i] > 0
        w = balanced(z, probability)
        fits = {"before": Eraser(np.eye(h.shape[1]), w @ h)} | {name: fit(h, z, w) for name, fit in ERASERS.items()}
        for k, erase in enumerate(fits.values()):
            erased = erase(h)
            if h.shape[1] == 2 or k:  # the best half-space of all states in space takes long
                accuracy[s, i, k] = best_linear_accuracy(erased, z, w)
            change[s, i, k] = w @ ((erased - h) ** 2).sum(axis=1)
            slopes[s, i, k] = [np.abs(coefficients(erased, z, w, loss)).max() for loss in LOSSES.values()]
        centred = h - w @ h
        least[s, i] = least_change(centred.T @ (w[:, None] * centred), centred.T @ (w * (z - 0.5))[:, None])
        for d, distance in enumerate(DISTANCES):
            seen = with_outliers(h, z, w, distance, [int(W.seed[s]), i])
            for k, fit in enumerate(ERASERS.values()):
                moved[s, i, k, d] = best_linear_accuracy(fit(*seen)(h), z, w)
    dims = ("seed", "feature", "by")
    coords = {"seed": W.seed.values, "by": list(kinds), "loss": list(LOSSES), "distance": list(DISTANCES)}
    found = xr.Dataset(
        {
            "accuracy": (dims, accuracy),
            "change": (dims, change),
            "slopes": ((*dims, "loss"), slopes),
            "least": (dims[:2], least),
        },
        coords,
    )
    outlying = xr.DataArray(moved, {"by": list(ERASERS)}, ("seed", "feature", "by", "distance"))
    return found.assign(moved=outlying.reindex(by=list(kinds)))


def counterexamples() -> xr.Dataset:
    """Accuracy that each eraser leaves on what defeats it, by the share of one class; and with equal medians of a
    direction, the most that 2,000 random laws leave."""
    shares = sorted({share for each in SHARES.values() for share in each})
    table = np.full((len(ERASERS), len(shares)), np.nan)
    for k, (name, fit) in enumerate(ERASERS.items()):
        for share in SHARES[name]:
            law = EQUALS[name](share)
            table[k, shares.index(share)] = best_linear_accuracy(fit(*law)(law.h), law.z, law.weights)
    rng, most = np.random.default_rng(0), 0.0
    z = np.arange(12) < 6
    for _ in range(2000):
        h, w = rng.exponential(size=(12, 1)) ** 3, balanced(z, rng.random(12) ** 4 + 1e-6)
        h[~z] *= rng.choice([-1.0, 1.0])
        for part in (z, ~z):
            h[part] -= marginal_median(h[part], w[part])
        most = max(most, best_linear_accuracy(h, z, w))
    return xr.Dataset({"accuracy": (("by", "share"), table), "most": most}, {"by": list(ERASERS), "share": shares})


# -------------------------------------------------------------------------------------------------------------- figures
COLOURS = {"mean": draw.BLUE, "median": draw.RED, "least squares": draw.GREEN}
LAWS = {"independent": ("o", "-"), "paired": ("s", ":")}


def what_erasure_leaves(counterexamples: xr.Dataset, toys: xr.Dataset) -> Figure:
    """Exact accuracy of the best half-space once a concept is erased; chance is 1/2. a: two counterexamples, in which
    the class means are equal along what is left (share: that of one class which is far out), or the class medians
    (share: that which lies at the median); dashed 1 - share/2, dotted the 3/4 that equal medians of a direction allow.
    b: hidden states of trained toys, whose features are independent or paired; mean over features and seeds with its
    95 % interval. c: the same where a tenth of the concept's examples was moved by so many root mean square lengths
    while the eraser was fitted; accuracy without these. Least squares leaves what the mean leaves."""
    figure, axes = draw.panels(1, 3, height=2.8)
    shares = np.linspace(0.01, 0.99, 99)
    draw.theory(axes[0], shares, 1 - shares / 2, "$1-$share$/2$")
    draw.theory(axes[0], [0, 1], [0.75, 0.75], "bound of medians", dash=draw.DOTTED)
    for name, size in (("mean", 4), ("least squares", 2), ("median", 4)):
        found = counterexamples.accuracy.sel(by=name)
        axes[0].plot(counterexamples.share, found, "o", ms=size, color=COLOURS[name], label=name)
    axes[0].set(xlabel="share", ylabel="accuracy left", title="counterexamples", xlim=(0, 1))
    for law, shift in zip(toys.law.values.tolist(), draw.shifts(2), strict=True):
        found = mean(toys.accuracy.sel(law=law).mean("feature").transpose("by", "seed")).estimates
        draw.points(axes[1], range(4), found, colour=draw.THEORY, marker=LAWS[law][0], shift=shift)
    draw.ticks(axes[1], "x", range(4), ["before", "mean", "median", "least\nsquares"])
    axes[1].set(title="trained toys")
    for law, (marker, line) in LAWS.items():
        for name in ("mean", "median"):
            each = toys.moved.sel(law=law, by=name).mean("feature").transpose("distance", "seed")
            found = mean(each).estimates
            draw.points(axes[2], range(len(found)), found, colour=COLOURS[name], marker=marker, ls=line)
    draw.ticks(axes[2], "x", range(toys.sizes["distance"]), [f"{each:g}" for each in toys.distance.values])
    axes[2].set(xlabel="distance of outliers", title="with outliers")
    for ax in axes:
        ax.set_ylim(0.47, 1.03)
    laws = {law: draw.key(line, marker=marker) for law, (marker, line) in LAWS.items()}
    draw.legend_below(figure, axes, {**laws, "95 % interval": draw.whisker()})
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def each_eraser_is_defeated(counterexamples: xr.Dataset) -> Iterator[Finding]:
    """Counterexamples, and the bound of equal medians."""
    for name in ERASERS:
        at, share = {"method": name}, SHARES[name][0]
        left = exact(counterexamples.accuracy.sel(by=name, share=share).item())
        what = f"{name}: accuracy left on its counterexample, share {share:g}"
        least, why = (0.7, ours("nearly 3/4")) if name == "median" else (0.95, ours("nearly 1"))
        yield Finding("counterexample", what, left, AtLeast(least), why, "check", at)
        off = max(abs(counterexamples.accuracy.sel(by=name, share=s).item() - left_over(s)) for s in SHARES[name])
        what = f"{name}: accuracy left less 1 - share/2, largest over shares"
        yield Finding("as-stated", what, exact(off), AtMost(1e-12), ours("closed form"), "check", at)
    what = "equal medians of a direction: most that a threshold gets, of 2,000 random laws"
    most, said = exact(counterexamples.most.item()), ours("half of one class and all of the other")
    yield Finding("median-bound", what, most, AtMost(0.75 + 1e-12), said, "check")


def what_is_guaranteed(toys: xr.Dataset) -> Iterator[Finding]:
    """Coefficients of linear predictors, and the least change."""
    for loss in LOSSES:
        at = {"loss": loss}
        before, after = (toys.slopes.sel(by=by, loss=loss) for by in ("before", "least squares"))
        what = f"{loss}: largest coefficient after least-squares erasure, all toys and features"
        yield Finding("guarantee", what, exact(after.max().item()), AtMost(1e-8), stated(BELROSE), "check", at)
        yield report(
            "coefficients-before",
            f"{loss}: largest coefficient before",
            mean(before.mean("feature").mean("law")),
            settings=at,
        )
    excess = exact(abs(toys.change.sel(by="least squares") / toys.least - 1).max().item())
    what = "change by least-squares erasure over the least that a regression finds, less 1: largest of all toys"
    said = stated("Belrose et al. 2023, theorem 4.2")
    yield Finding("least-change", what, excess, AtMost(1e-8), said, "check")
    more = (toys.change.sel(by="mean") / toys.change.sel(by="least squares")).mean("feature")
    for law in toys.law.values.tolist():
        yield report(
            "change-by-means",
            f"{law}: change by means over that by least squares",
            mean(more.sel(law=law)),
            settings={"law": law},
        )
    off = exact(abs(toys.accuracy.sel(by="mean") - toys.accuracy.sel(by="least squares")).max().item())
    what = "accuracy left by means less that by least squares, largest of all toys"
    yield Finding("leave-the-same", what, off, AtMost(1e-9), ours("both map the same direction to 0"), "check")


def what_toys_leave(toys: xr.Dataset) -> Iterator[Finding]:
    """Independent features are erased; paired ones are not."""
    for name in ERASERS:
        at = {"method": name}
        off = exact(abs(toys.accuracy.sel(by=name, law="independent") - 0.5).max().item())
        what = f"{name}, independent features: accuracy left less 1/2, largest of all toys and features"
        said = ours("h = x_i W_i + what is independent of it, and W_i is mapped to 0")
        yield Finding("at-chance", what, off, AtMost(1e-9), said, "check", at)
        left = mean(toys.accuracy.sel(by=name, law="paired").mean("feature"))
        what = f"{name}, paired features: accuracy left, mean over features"
        yield Finding("left-over", what, left, AtLeast(0.55), ours("above chance by a twentieth"), settings=at)


def what_outliers_do(toys: xr.Dataset) -> Iterator[Finding]:
    """A tenth of the concept's examples far away while the eraser is fitted."""
    far = toys.distance.values[-1]
    rise = (toys.moved.sel(distance=far) - toys.moved.sel(distance=0)).mean("feature")
    for law in toys.law.values.tolist():
        for name in ERASERS:
            at, found = {"method": name, "law": law}, mean(rise.sel(law=law, by=name))
            what = f"{name}, {law} features: accuracy left, rise by outliers {far:g} lengths away"
            if name == "median":
                yield Finding("medians-resist", what, found, AtMost(0.1), ours("a tenth"), settings=at)
            else:
                yield Finding("outliers-undo", what, found, AtLeast(0.1), ours("a tenth"), settings=at)


experiment = Experiment(
    question="What does a linear classifier find of a concept that was erased?",
    source="ours; Belrose et al. 2023, arXiv 2306.03819",
    sweeps=sweeps,
    scales={"tiny": {"seed": range(3), "steps": 200}, "full": {"seed": range(200), "steps": 10_000}},
    readings=[counterexamples, toys],
    figures=[what_erasure_leaves],
    findings=[each_eraser_is_defeated, what_is_guaranteed, what_toys_leave, what_outliers_do],
    claims=[
        Claim(
            "E1",
            "Equal class means, equal class medians and least-squares erasure each leave a better-than-chance linear "
            "classifier on some data, and on paired features of trained toys: means up to certainty, medians up to 3/4 "
            "along a direction. Outliers undo what means and least squares erase, and medians resist them.",
            ["counterexample", "median-bound", "guarantee", "left-over", "outliers-undo", "medians-resist"],
            "what_erasure_leaves",
            ["problem.model.m=3", "problem.data.p=0.1"],
            "Least squares guards against linear predictors of convex loss, whose coefficients are 0, not against the "
            "best half-space; it leaves what means leave, and changes less. Of independent features nothing is left.",
        )
    ],
    cost="2 programs, 80 cells of 3,000 steps: about a minute",
)
