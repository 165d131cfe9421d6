"""What each field of a config means, with its range: for `toymodels run NAME --help`, `toymodels show` and notebooks.

Names have one meaning; where a class means something else by one, or something more exact, that is said under the
class. A class of one's own says it in a docstring below the field.
"""

import ast
import dataclasses
import functools
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

from toymodels import config as configs

EVERYWHERE = {
    "b1": "decay of the first moment, in [0, 1)",
    "b2": "decay of the second moment, in [0, 1)",
    "batch": "examples a step",
    "bias": "bias that every unit starts with",
    "components": "rank that is learned: columns of U and V",
    "count": "number of vectors",
    "d": "dimensions",
    "data": "law of the examples",
    "eps": "added to what is divided by",
    "exponent": "decay i^-exponent, at least 0",
    "first": "the first value, above 0",
    "gain": "length of what each unit writes",
    "high": "largest value",
    "importance": "weight of each feature's error, at least 0",
    "loss": "compares a prediction with its target",
    "low": "least value",
    "lr": "learning rate, above 0, or a schedule",
    "m": "hidden dimensions",
    "model": "what is trained",
    "n": "number of features",
    "noise": "standard deviation of the noise, at least 0",
    "output": "activation of the output",
    "p": "probability that a feature is on, in [0, 1]",
    "penalty": "weight of the penalty, at least 0",
    "power": "exponent of the loss, at least 1",
    "problem": "what is learned",
    "rank": "dimensions of each head",
    "ratio": "each value over the one before it, in (0, 1]",
    "scale": "factor on the usual start, at least 0",
    "seed": "of what is drawn once",
    "sets": "number of sets of features",
    "signed": "whether negative cosines are free",
    "spread": "standard deviation about a centre",
    "steps": "training steps",
    "target": "what is to be predicted",
    "tokens": "tokens of an example",
    "value": "law of the value of a feature that is on",
    "values": "what is given",
    "writes": "directions that units write",
    "reads": "directions that units read",
}

OF = {
    "Anticorrelated": {
        "size": "features of a set, of which at most one is on",
        "p": "probability of a feature, size p <= 1",
    },
    "Annealed": {
        "start": "problem of the first level",
        "end": "problem of the last level",
        "stairs": "number of levels, of equal length",
        "geometric": "whether numbers move by equal ratios, else by equal steps",
    },
    "Attending": {"rows": "weights, heads x tokens"},
    "Attention": {"heads": "number of heads", "pattern": "which tokens each head attends to"},
    "BatchTopK": {"k": "codes kept of a row, on average"},
    "BiasDecay": {"decay": "decoupled decay of b, over the first half of training"},
    "Blocks": {"n": "number of vectors", "blocks": "orthogonal subspaces, each with its share of vectors"},
    "Components": {
        "n": "rows of the target",
        "m": "columns of the target",
        "rank": "components of the target",
        "spectrum": "singular values, largest first",
    },
    "Constant": {"value": "the one value"},
    "Correlated": {"size": "features of a set, on together", "p": "probability that a set is on, in [0, 1]"},
    "Cosine": {
        "peak": "largest learning rate, above 0",
        "warmup": "share of the steps in which the rate rises, in [0, 1)",
        "floor": "last rate over the largest one, in [0, 1)",
    },
    "Cube": {"side": "length of an edge"},
    "Decoder": {
        "projection": "fixed map from features to inputs",
        "k": "number of neurons",
        "activation": "of the neurons",
        "normaliser": "of the inputs",
        "l1": "weight of the sum of activations, at least 0",
    },
    "Dictionary": {
        "data": "law of the observations",
        "coder": "how codes are made sparse",
        "width": "number of latents",
        "tied": "whether the encoder is the decoder",
        "rows": "observations of an example",
        "prefixes": "widths of nested dictionaries (Matryoshka)",
    },
    "Difference": {"each": "law of the two draws"},
    "Directions": {"rows": "directions, features x dimensions"},
    "Drawn": {"response": "of each unit to what it reads"},
    "Embedded": {
        "features": "law of the features",
        "strength": "length of each feature's direction",
        "frame": "how directions are drawn",
    },
    "Equiangular": {"cosine": "of every two vectors, in (-1 / (n - 1), 1]"},
    "Exponential": {"mean": "mean, above 0"},
    "Factorize": {
        "rank": "components that start above 0, at most `components`; None: all",
        "scale": "standard deviation of the entries of U and V",
    },
    "Finite": {
        "samples": "number of examples T",
        "draw": "which draw of the examples",
        "unit": "whether examples are scaled to length 1",
        "on_samples": "factor on a start that sends samples to a polygon",
        "on_features": "factor on a start that sends features to a polygon",
        "corners": "features that the latter start sends",
    },
    "Gaussian": {"n": "rows of the target", "m": "columns of the target", "rank": "components of the target"},
    "GaussianCopy": {"of": "law whose mean and covariance it has"},
    "Given": {"values": "the target, rows x columns"},
    "Grouped": {
        "n": "number of vectors",
        "groups": "number of groups",
        "penalty": "weight of pairs of different groups, at least 0",
    },
    "Hierarchy": {
        "sets": "number of parents",
        "children": "children of a parent",
        "p": "probability of a parent, in [0, 1]",
        "q": "probability of a child where its parent is on, in [0, 1]",
    },
    "JumpRelu": {"start": "threshold at the start", "bandwidth": "width of the kernel in the thresholds' gradient"},
    "LearnedPattern": {"scale": "standard deviation of the logits at the start"},
    "Leaning": {"lean": "weight of the previous token for the other heads, in [0, 1]"},
    "Listed": {"values": "vectors, count x dimensions", "count": "how many of them are drawn from"},
    "Clusters": {"count": "number of Gaussians"},
    "Lookup": {
        "d": "width of the residual stream",
        "rank": "dimensions of the head",
        "neurons": "neurons of the MLP",
        "keys": "number of keys",
        "frequency": "how often each key occurs, up to a factor",
    },
    "Momentum": {"decay": "of the velocity, in [0, 1)"},
    "Noisy": {"clean": "law without noise", "scale": "standard deviation of the noise"},
    "NoisyFactorize": {"noise": "standard deviation of the noise on the target, at least 0"},
    "Normal": {"scale": "standard deviation in each dimension"},
    "Normalised": {
        "model": "what is normalised",
        "norm": "the normaliser",
        "hidden_bias": "factor on the hidden bias; 0 leaves it out",
    },
    "Packing": {"n": "number of vectors"},
    "Paired": {"pairs": "number of pairs", "broken": "probability that only one of a pair is on, in [0, 1]"},
    "Placed": {"W": "weights to start from, features x dimensions", "b": "biases to start from"},
    "Planted": {"n": "number of units", "response": "of each unit to what it reads"},
    "PowerError": {"power": "exponent of the error, at least 1"},
    "Prepared": {"x": "examples, one a column", "held": "examples held out, one a column"},
    "Projection": {"m": "dimensions of the input"},
    "Quadratic": {
        "kurtosis": "E x^4 / (E x^2)^2 of a feature, at least 1",
        "weights": "capacity weight v of each feature",
        "scale": "factor on the Xavier start, at least 0",
    },
    "Record": {
        "losses": "steps at which losses are kept, about",
        "snapshots": "steps at which parameters are kept, about",
        "linear": "whether these are evenly spaced, else logarithmically",
        "examples": "examples over which what is kept is averaged",
    },
    "Rectified": {"threshold": "below which nothing changes, at least 0"},
    "Reproject": {"m": "dimensions of the target"},
    "Rooted": {"centre": "mean", "root": "root of the covariance"},
    "RowDecay": {"decay": "decoupled decay of W, which may be negative"},
    "Run": {
        "optimizer": "how it is learned",
        "seed": "of initialisation and draws",
        "stream": "of draws: another one gives other data from the same initialisation",
        "record": "what is kept",
        "double": "whether in double precision, in about twice the time",
    },
    "Sampled": {
        "of": "law of the observations",
        "count": "observations that are drawn from",
        "most": "observations that are drawn once",
    },
    "Sparse": {"p": "probability that each feature is on, in [0, 1]"},
    "Steering": {
        "map": "what directions change",
        "count": "number of candidates",
        "radius": "length of a candidate, above 0",
        "constraint": "what candidates may share",
    },
    "Tied": {"hidden": "activation of the hidden layer"},
    "TopK": {"k": "codes kept, at most the width"},
    "Untied": {"hidden": "activation of the hidden layer"},
    "AdamW": {"weight_decay": "decoupled decay of all parameters, at least 0"},
    "WholePower": {"power": "exponent of the error, a whole number from 2"},
    "Written": {
        "features": "law of the features",
        "W": "directions, features x dimensions",
    },
}


class Field(NamedTuple):
    """A field of a config, by its dotted path."""

    path: str
    value: Any
    default: Any
    """`dataclasses.MISSING` where there is none."""
    meaning: str


def fields(value: Any, prefix: str = "") -> Iterator[Field]:
    """Every field of a config, parents before children."""
    for field in dataclasses.fields(value):
        path, own = f"{prefix}{field.name}", getattr(value, field.name)
        yield Field(path, own, field.default, meaning(type(value), field.name))
        if configs.is_config(own):
            yield from fields(own, f"{path}.")


def meaning(cls: type, name: str) -> str:
    """What a field of a config class means, in a few words; empty where nobody says."""
    own = {field: text for base in reversed(cls.__mro__) for field, text in OF.get(base.__name__, {}).items()}
    if cls.__module__.partition(".")[0] != "toymodels":
        return _below(cls).get(name, "")  # what a name means elsewhere need not be what it means there
    return own.get(name) or EVERYWHERE.get(name, "")


@functools.cache
def _below(cls: type) -> dict[str, str]:
    """The first lines of the docstrings below a class's own fields."""
    try:
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError):
        return {}
    found = {}
    lines = getattr(node, "body", [])
    for field, text in itertools.pairwise(lines):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            said = ast.literal_eval(text.value) if isinstance(text.value, ast.Constant) else None
            if isinstance(said, str) and said.strip():
                found[field.target.id] = said.strip().splitlines()[0]
    return found
