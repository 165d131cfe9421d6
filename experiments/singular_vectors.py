"""Do the singular vectors of low-rank maps point at features more than those of an MLP or of the embedding? Claim D3.

One layer (`Lookup`): a token is found by its key, its features are moved, and the sizes of one's own are worked out.
Directions of features are the rows of the embedding where a map reads, and of the unembedding where it writes:

    embedding   E                            against rows of E
    MLP         W_in read, W_out written     against rows of E, and of W
    OV          O Vᵀ, of the head's rank     read against rows of E, written against rows of W
    QK          Q Kᵀ, of the head's rank     both sides against rows of E

Of each, the leading singular vectors, as many as the head's rank, and all of them; the mean of both sides.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from toymodels import Adam, Axis, Cosine, Lookup, PowerLaw, Record, Run, Sparse, Sweep, Uniform, draw
from toymodels.analysis.singular_vectors import alignment, singular_vectors
from toymodels.claims import Claim
from toymodels.estimates import mean
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtLeast, Finding, ours, report

MAPS = ("embedding", "MLP", "OV", "QK")
LOW_RANK = ("OV", "QK")
VECTORS = ("leading", "all")
PARAMS = ("E", "Q", "K", "V", "O", "W_in", "W_out", "W")
layer = Lookup(Sparse(16, 0.2, Uniform(-1.0, 1.0)), frequency=PowerLaw(1.0), importance=PowerLaw(1.0))
base = Run(layer, Adam(Cosine(3e-3)), steps=3000, batch=128, record=Record(2, 2))
sweeps = {"layers": Sweep(base, [Axis("seed", "seed", range(20))])}


# ------------------------------------------------------------------------------------------------------------- readings
def _directions(params: dict[str, np.ndarray], which: str, rank: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(singular vectors, features) of each side of a map; `rank` of them, or all where that is more than there are."""
    E, W = params["E"], params["W"]
    maps = {
        "embedding": [(E, None, E)],
        "MLP": [(params["W_in"], None, E), (params["W_out"], W, None)],
        "OV": [(params["O"] @ params["V"].T, W, E)],
        "QK": [(params["Q"] @ params["K"].T, E, E)],
    }
    limit = params["Q"].shape[1] if which in LOW_RANK else rank
    for matrix, written, read in maps[which]:
        sides = singular_vectors(matrix, min(rank, limit, *matrix.shape))
        yield from (
            (own, features) for own, features in zip(sides, (written, read), strict=True) if features is not None
        )


def aligned(layers: Swept) -> xr.Dataset:
    """Of each map, leading or all singular vectors, and seed: mean largest |cos| with a feature of the singular vectors
    (`own`), of the same span `turned`, and of `random` directions; and what the layer has learned."""
    problem = layers.sweep.base.problem
    params = {name: layers.finite(name, snapshot=-1).transpose("seed", ...) for name in PARAMS}
    seeds, most = layers.data.seed.values.tolist(), max(problem.d, problem.neurons)
    table = np.full((3, len(MAPS), len(VECTORS), len(seeds)), np.nan)
    for k, seed in enumerate(seeds):
        own = {name: values.values[k] for name, values in params.items()}
        for (i, which), (j, count) in ((a, b) for a in enumerate(MAPS) for b in enumerate((problem.rank, most))):
            sides = [alignment(*side, seed=seed) for side in _directions(own, which, count)]
            table[:, i, j, k] = np.mean(sides, axis=0)
    dims = ("map", "vectors", "seed")
    found = xr.Dataset(
        {name: (dims, each) for name, each in zip(("own", "turned", "random"), table, strict=True)},
        {"map": list(MAPS), "vectors": list(VECTORS), "seed": seeds},
    )
    return found.assign({name: layers.finite(name, step=-1) for name in ("right", "moving", "computing")})


# -------------------------------------------------------------------------------------------------------------- figures
LOOKS = {"own": "singular vectors", "turned": "their span, turned", "random": "random directions"}


def singular_vectors_and_features(aligned: xr.Dataset) -> Figure:
    """Largest |cos| of a direction with a feature, mean over directions, sides and seeds, for the singular vectors of
    each map, for random rotations inside their span, and for random directions of the residual stream. (a) As many
    leading singular vectors as the head's rank; (b) all of them."""
    figure, axes = draw.panels(1, 2, height=2.6, sharey=True)
    places, titles = np.arange(aligned.sizes["map"]), ("leading singular vectors", "all singular vectors")
    for ax, which, title in zip(axes, VECTORS, titles, strict=True):
        looks = zip(LOOKS.items(), draw.PALETTE, draw.shifts(3, 6), strict=False)
        for (name, label), colour, shift in looks:
            estimates = mean(aligned[name].sel(vectors=which).transpose("map", "seed")).estimates
            draw.points(ax, places, estimates, label, colour, shift=shift)
        draw.ticks(ax, "x", places, aligned["map"].values.tolist())
        ax.set(title=title, xlim=(-0.5, len(places) - 0.5))
    axes[0].set_ylabel("largest |cos| with a feature")
    draw.legend_below(figure, axes[0], {"95 % interval": draw.whisker()})
    return figure


# ------------------------------------------------------------------------------------------------------------- findings
def order_of_maps(aligned: xr.Dataset) -> Iterator[Finding]:
    """Low-rank maps over the MLP, the MLP over the embedding."""
    why = ours("a difference of .05 in cosine")
    for which in VECTORS:
        own = aligned.own.sel(vectors=which)
        for name in LOW_RANK:
            what = f"{which} singular vectors: largest |cos| with a feature, {name} less MLP"
            at = {"map": name, "vectors": which}
            over = mean(own.sel(map=name) - own.sel(map="MLP"))
            yield Finding("low-rank-over-mlp", what, over, AtLeast(0.05), why, settings=at)
        what = f"{which} singular vectors: largest |cos| with a feature, MLP less embedding"
        over = mean(own.sel(map="MLP") - own.sel(map="embedding"))
        yield Finding("mlp-over-embedding", what, over, AtLeast(0.05), why, settings={"vectors": which})


def against_rotations(aligned: xr.Dataset) -> Iterator[Finding]:
    """Whether it is the singular vectors that point at features, or their span."""
    for which in VECTORS:
        here = aligned.sel(vectors=which)
        for name in MAPS:
            at, each = {"map": name, "vectors": which}, here.sel(map=name)
            title = f"{name}, {which} singular vectors: largest |cos| with a feature"
            yield report("cosine", title, mean(each.own), settings=at)
            yield report("span", f"{title}, span turned, less random", mean(each.turned - each.random), settings=at)
            if name in LOW_RANK:
                what, over = f"{title}, less that of their span turned", mean(each.own - each.turned)
                yield Finding("own-basis", what, over, AtLeast(0.05), ours("a difference of .05"), settings=at)


def the_layer_learns(aligned: xr.Dataset) -> Iterator[Finding]:
    """The head attends as it should; what is left of both tasks."""
    what = "weight of attention on the token that is asked for"
    yield Finding("attends", what, mean(aligned.right), AtLeast(0.9), ours("nearly all of it"))
    for name in ("moving", "computing"):
        yield report(name, f"squared error of {name}, summed over features", mean(aligned[name]))


experiment = Experiment(
    question="Do singular vectors of low-rank maps point at features more than others do?",
    source="ours; Millidge & Black 2022 for singular vectors of transformer weights",
    sweeps=sweeps,
    scales={"tiny": {"seed": range(2), "steps": 100}, "full": {"seed": range(64), "steps": 20_000}},
    readings=[aligned],
    figures=[singular_vectors_and_features],
    findings=[order_of_maps, against_rotations, the_layer_learns],
    claims=[
        Claim(
            "D3",
            "Low-rank maps (OV, QK) specialise in few features, and so their singular vectors point at features more "
            "than those of an MLP, and these more than the embedding's: more, too, than their span turned at random.",
            ["low-rank-over-mlp", "mlp-over-embedding", "own-basis"],
            "singular_vectors_and_features",
            ["problem.importance=1.0", "problem.rank=8"],
            "A map that treats its features alike has equal singular values, and then any basis of its span will do: "
            "see `cosine` and `span` for what the span alone gives. All singular vectors of the embedding and of the "
            "MLP fill the residual stream, so both are also judged by as many leading ones as the head has.",
        )
    ],
    cost="1 program, 20 cells of 3,000 steps: under a minute on two quiet cores",
)
