"""Correlated features lie orthogonal or side by side, anticorrelated ones opposite each other. Elhage et al. 2022."""

from collections.abc import Callable
from functools import lru_cache

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from toymodels import Axis, Choice, Record, Run, Sweep, draw
from toymodels.analysis.collapse import set_cosines
from toymodels.analysis.restarts import basins, best, finite_losses
from toymodels.analysis.statistics import Interval, interval, proportion
from toymodels.data import Anticorrelated, Correlated, Sparse
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.models import Tied
from toymodels.optimizers import Adam, Cosine
from toymodels.problems.supervised import Supervised
from toymodels.theory.superposition import expected_loss

SHOWN = 0.05
"""The p of the figures and verdicts: of each feature, in every kind of data (an anticorrelated pair, one of whose
members is on, is on with 2 p). No p is published."""
DEAD = 0.25
"""Length, over the longest, up to which a feature counts as not represented."""
PAPER = "Elhage et al. 2022, section 5"
KINDS = ("independent", "correlated", "anticorrelated")


def sweeps(scale: Scale) -> dict[str, Sweep]:
    tiny, full = scale == "tiny", scale == "full"
    steps, seeds = 400 if tiny else 10_000 if full else 4000, 8 if tiny else 256 if full else 48
    p = [SHOWN] if tiny else [0.02, SHOWN, 0.1]

    def grid(m: int, kinds: dict[str, object], seeds: int) -> Sweep:
        problem = Supervised(Sparse(2), Tied(m))
        cells = {kind: {"problem.data": data} for kind, data in kinds.items()}
        base = Run(problem, Adam(Cosine(1e-2)), steps=steps, record=Record(12, 2, examples=16_384))
        return Sweep(base, [Choice("kind", cells), Axis("p", "problem.data.p", p), Axis("seed", "seed", range(seeds))])

    pairs = {"independent": Sparse(4), "correlated": Correlated(2, 2), "anticorrelated": Anticorrelated(2, 2, SHOWN)}
    return {
        "pairs": grid(2, pairs, seeds),
        "triples": grid(2, {"independent": Sparse(6), "correlated": Correlated(3, 2)}, seeds),
        "bases": grid(10, {"independent": Sparse(20), "correlated": Correlated(2, 10)}, 2 if tiny else 8),
    }


# --------------------------------------------------------------------------------------------------- what was found


def weights(swept: Swept, kind: str, p: float = SHOWN) -> np.ndarray:
    return swept.weights("seed", kind=kind, p=p)[0]


def side_by_side(W: np.ndarray, size: int) -> np.ndarray:
    """Per model: every feature represented, and members of a set less than a right angle apart."""
    return (set_cosines(W, size, DEAD) > 0.2).all(-1)


def orthogonal(W: np.ndarray, size: int) -> np.ndarray:
    return (np.abs(set_cosines(W, size, DEAD)) <= 0.2).all(-1)


def antipodal(W: np.ndarray, size: int) -> np.ndarray:
    return (set_cosines(W, size, DEAD) < -0.8).all(-1)


def best_of(swept: Swept, kind: str, p: float = SHOWN) -> np.ndarray:
    return weights(swept, kind, p)[best(losses(swept, kind, p))]


@lru_cache(maxsize=32)
def losses(swept: Swept, kind: str, p: float = SHOWN) -> np.ndarray:
    """(seed,): the loss of every model on the same 100,000 examples, which none was trained on."""
    params = dict(zip("Wb", (each.astype(np.float32) for each in swept.weights("seed", kind=kind, p=p)), strict=True))
    return np.asarray(_mean_losses(swept.run(kind=kind, p=p).problem, params), np.float64)


@jax.jit
def _mean_losses(problem: Supervised, params: dict[str, np.ndarray]) -> jax.Array:
    examples = problem.sample(jax.random.key(0), 100_000)
    return jax.lax.map(lambda each: jax.vmap(problem.objective, (None, 0))(each, examples).mean(), params)


# -------------------------------------------------------------------------------------------------------------- figures


def pairs_in_the_plane(pairs: Swept, triples: Swept) -> Figure:
    """Rows of W, one colour a set of two features, at p = 0.05 of each feature. Left: four features in two sets; right:
    six in three sets; a collapsed pair shows as one arrow. Top: best of all seeds by the loss on common examples, with
    the share of seeds like it. Bottom: the commonest other geometry
    among the seeds, up to rotation and permutation, with its share; blank where there is none."""
    panels = [(pairs, kind) for kind in KINDS] + [(triples, kind) for kind in KINDS[:2]]
    figure, axes = plt.subplots(2, len(panels), figsize=(draw.PAGE, 3.3))
    for column, (swept, kind) in enumerate(panels):
        W, loss = weights(swept, kind), losses(swept, kind)
        found = basins(W, loss, tol=0.1)
        other = sorted(found[1:], key=lambda basin: -basin.restarts)[:1]
        n = W.shape[1]
        title = f"{'three' if n == 6 else 'two'} pairs,\n{kind}"
        for ax, basin in zip(axes[:, column], [found[0], *other], strict=False):
            colours = [draw.PALETTE[i // 2] for i in range(n)]
            draw.arrows(ax, W[basin.places[0]], colours)
            ax.set_title(f"{title}\n{basin.share.mean:.0%}" if ax is axes[0, column] else f"{basin.share.mean:.0%}")
            ax.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), xlabel="", ylabel="")
            ax.title.set_fontsize(7)
        if not other:
            axes[1, column].set_axis_off()
    return figure


def arrangements_by_density(pairs: Swept, triples: Swept) -> Figure:
    """Share of seeds in which the members of every set are orthogonal, antipodal, or side by side (less than a right
    angle apart), against the p of a feature, with 95 % Wilson intervals. Two anticorrelated features make a set that is
    on with probability 2 p. Left and middle: two pairs; right: three pairs."""
    figure, axes = plt.subplots(1, 3, figsize=(draw.PAGE, 2.3), sharey=True)
    for ax, swept, test, title in (
        (axes[0], pairs, orthogonal, "two pairs: orthogonal"),
        (axes[1], pairs, antipodal, "two pairs: antipodal"),
        (axes[2], triples, side_by_side, "three pairs: side by side"),
    ):
        p = swept.data.p.values
        for place, kind in enumerate(swept.data.kind.values):
            shares = [_share(test(weights(swept, kind, float(q)), 2)) for q in p]
            mean, low, high = np.array(shares, float).T
            x = p * 1.06 ** (place - 1)
            colour, error = draw.PALETTE[place], np.maximum([mean - low, high - mean], 0)
            ax.errorbar(x, mean, error, color=colour, marker="o", ms=3, lw=0.8, label=kind)
        ax.set(xscale="log", xlabel="$p$ of a feature", title=title, ylim=(-0.03, 1.03))
        ax.set_xticks(p, [f"{q:g}" for q in p], minor=False)
        ax.minorticks_off()
    axes[0].set_ylabel("share of seeds")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _share(found: np.ndarray) -> Interval:
    return proportion(int(found.sum()), len(found))


def local_bases(bases: Swept) -> Figure:
    """W Wᵀ of 20 features in 10 dimensions at p = 0.05 of each feature, best of all seeds by the loss on common
    examples: two correlated sets of ten, and independent features. Right: |cos| between represented features of the
    same set and of different sets, all seeds, cumulative; for independent features the same two halves, whose curves
    coincide."""
    figure, axes = plt.subplots(1, 3, figsize=(draw.PAGE, 2.4), width_ratios=(1, 1, 1.15))
    for ax, kind in zip(axes, ("correlated", "independent"), strict=False):
        mesh = draw.gram(ax, best_of(bases, kind), bar=False)
        mesh.set_clim(-1.2, 1.2)
        ax.axhline(9.5, color="black", lw=0.6)
        ax.axvline(9.5, color="black", lw=0.6)
        ax.set_title(kind)
    figure.colorbar(mesh, ax=axes[:2], label="$W W^\\mathsf{T}$", shrink=0.8, aspect=14)
    for kind, colour in (("correlated", draw.BLUE), ("independent", "0.6")):
        for which, dash in (("same set", "-"), ("other set", "--")):
            values = _cosine_sizes(weights(bases, kind))[which == "other set"]
            draw.ecdf(axes[2], values, label=f"{kind}, {which}", colour=colour)
            axes[2].lines[-1].set_linestyle(dash)
    axes[2].set(xlabel="$|\\cos|$", ylabel="share of pairs up to it", xlim=(0, 1.03))
    axes[2].legend(fontsize=6.5, loc="lower right")
    return figure


def _cosine_sizes(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|cos| within and between the two halves of the features, all models together."""
    length = np.linalg.norm(W, axis=-1, keepdims=True)
    alive = length > DEAD * length.max(axis=-2, keepdims=True)
    units = np.where(alive, W / np.where(alive, length, 1), np.nan)
    size, half = np.abs(units @ units.swapaxes(-1, -2)), np.arange(W.shape[1]) < W.shape[1] // 2
    same, above = half[:, None] == half, np.triu(np.ones((W.shape[1],) * 2, bool), 1)
    within, between = size[:, same & above], size[:, ~same & above]
    return within[np.isfinite(within)], between[np.isfinite(between)]


# ------------------------------------------------------------------------------------------------------------- findings


def pairs_arrange_themselves(pairs: Swept) -> list[Finding]:
    """Correlated pairs are orthogonal, anticorrelated ones antipodal, each more often than in the control."""
    answers = []
    for kind, test, word in (("correlated", orthogonal, "orthogonal"), ("anticorrelated", antipodal, "antipodal")):
        found, control = (test(weights(pairs, each), 2) for each in (kind, "independent"))
        share, other = _share(found), _share(control)
        gaps = [paired_gap(pairs, kind, test, float(p)) for p in pairs.data.p.values]
        gap = paired_gap(pairs, kind, test)
        least, loss = bool(test(best_of(pairs, kind)[None], 2)[0]), losses(pairs, kind)
        other_word, other_test = ("antipodal", antipodal) if test is orthogonal else ("orthogonal", orthogonal)
        mine, theirs = loss[found], loss[other_test(weights(pairs, kind), 2)]
        told = f"{theirs.min():.1e} ({len(theirs)} seeds)" if len(theirs) else "no seed ends so"
        answers += [
            Finding(
                f"two {kind} pairs, best of {len(found)}: members of each {word}", str(least), "True", least, PAPER
            ),
            Finding(
                f"two {kind} pairs: least loss with members {word}, and with members {other_word}",
                f"{mine.min(initial=np.inf):.1e} ({len(mine)} seeds); {told}",
                f"less with members {word} by 1 % or more, on the same examples",
                bool(len(mine) and mine.min() <= 0.99 * theirs.min(initial=np.inf)),
                PAPER,
            ),
            Finding(
                f"two {kind} pairs: seeds with both sets {word}, at p = {SHOWN}",
                f"{share:.2f}; independent: {other:.2f}; difference {gap:.2f}, seed by seed; "
                + "at p = "
                + ", ".join(f"{p:g}: {each:.2f}" for p, each in zip(pairs.data.p.values, gaps, strict=True)),
                f"difference above 0 at p = {SHOWN}",
                bool(gap.low > 0),
                PAPER,
            ),
        ]
    return answers


def paired_gap(swept: Swept, kind: str, test: Callable[[np.ndarray, int], np.ndarray], p: float = SHOWN) -> Interval:
    """Share in excess of the control's; models of one seed start from the same weights, so they are resampled
    together."""
    found, control = (test(weights(swept, each, p), 2).astype(float) for each in (kind, "independent"))
    return interval(found - control)


def crowded_pairs_lie_side_by_side(triples: Swept) -> list[Finding]:
    """Three correlated pairs in a plane: members less than a right angle apart; sets of a control are not."""
    found, control = (side_by_side(weights(triples, kind), 2) for kind in ("correlated", "independent"))
    share, other, gap = _share(found), _share(control), paired_gap(triples, "correlated", side_by_side)
    W = best_of(triples, "correlated")
    angles = np.degrees(np.arccos(np.clip(set_cosines(W[None], 2, DEAD)[0], -1, 1)))
    return [
        Finding(
            f"three correlated pairs, best of {len(found)}: angles between the members of a pair",
            ", ".join(f"{angle:.0f}" for angle in np.sort(angles)) + " degrees",
            "below 90: side by side",
            bool((angles < 90).all()),
            PAPER,
        ),
        Finding(
            "three correlated pairs: seeds with all pairs side by side",
            f"{share:.2f}; independent: {other:.2f}; difference {gap:.2f}, seed by seed",
            "difference above 0",
            bool(gap.low > 0),
            PAPER,
        ),
    ]


def independent_features_in_a_hexagon(triples: Swept) -> list[Finding]:
    """Six independent features: how many seeds end in a hexagon, and whether it has the least loss, exactly."""
    W, b = triples.weights("seed", kind="independent", p=SHOWN)
    loss = finite_losses(expected_loss, W, b, SHOWN)
    found = hexagonal(W)
    share = _share(found)
    hexagon, other = (float(np.nanmin(loss[which], initial=np.inf)) for which in (found, ~found))
    return [
        Finding(
            f"six independent features, p = {SHOWN}: seeds that end in a hexagon",
            f"{share:.2f}",
            "fewer than half",
            bool(share.high < 0.5),
            PAPER + ": independent features are not embedded so",
        ),
        Finding(
            f"six independent features, p = {SHOWN}: least exact loss, hexagon and others",
            f"{hexagon:.5f}, {other:.5f}",
            "more for the hexagon",
            bool(hexagon > other) if found.any() else None,
            PAPER + ": independent features are not embedded so",
        ),
    ]


def hexagonal(W: np.ndarray) -> np.ndarray:
    """Per model of six features in a plane: equal lengths within 5 %, neighbours 60 degrees apart within 5."""
    length, angle = np.linalg.norm(W, axis=-1), np.sort(np.degrees(np.arctan2(W[..., 1], W[..., 0])))
    steps = np.diff(angle, append=angle[..., :1] + 360)
    equal = length.min(-1) >= 0.95 * length.max(-1)
    return equal & (np.abs(steps - 60).max(-1) <= 5)


def bases_are_local(bases: Swept) -> list[Finding]:
    """Features of a correlated set are nearly orthogonal; interference is with the other set."""
    ratios = {}
    for kind in ("correlated", "independent"):
        halves = [_cosine_sizes(w[None]) for w in weights(bases, kind)]
        ratios[kind] = interval([np.mean(within**2) / np.mean(between**2) for within, between in halves])
    return [
        Finding(
            f"two correlated sets of ten, {bases.data.seed.size} seeds: mean cos² within a set over that between sets",
            f"{ratios['correlated']:.3f}; independent: {ratios['independent']:.2f}",
            "below .1",
            bool(ratios["correlated"].high < 0.1),
            PAPER + " (no number is published: nearly orthogonal)",
        )
    ]


experiment = Experiment(
    question="How do correlated and anticorrelated features arrange themselves?",
    source="Elhage et al. 2022, Toy Models of Superposition, section 5",
    sweeps=sweeps,
    figures=[pairs_in_the_plane, arrangements_by_density, local_bases],
    findings=[
        pairs_arrange_themselves,
        crowded_pairs_lie_side_by_side,
        independent_features_in_a_hexagon,
        bases_are_local,
    ],
    cost="10,000 steps and 256 seeds: about ten minutes on two CPU cores",
)
