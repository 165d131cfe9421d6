"""Toy models of superposition and interference: compiled sweeps, geometry and theory.

    from toymodels import Adam, Axis, Run, Sparse, Supervised, Sweep, Tied, sweep

`train(run)` trains one run and `sweep(...)` a grid of them; both return labelled xarray data, as `open(path)` does for
what is stored. Configs are names of this package; their modules, `toymodels.data`, `.models`, `.losses`, `.laws`,
`.optimizers` and `.problems`, say how to add one. Pure functions of results are in `toymodels.analysis`, closed forms
in `toymodels.theory`, plots in `toymodels.draw`.

Names are imported when they are first used, so that the command line answers at once. `open` is not in `__all__`: a
star import would hide Python's own.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toymodels.data import (
        Anticorrelated,
        Constant,
        Correlated,
        Difference,
        Exponential,
        Noisy,
        OneSparse,
        Paired,
        Sparse,
        Uniform,
    )
    from toymodels.engine.devices import use_cores
    from toymodels.hierarchies import Hierarchy
    from toymodels.laws import Geometric, PowerLaw
    from toymodels.losses import (
        BinaryCrossEntropy,
        HalfSquaredError,
        InnerProduct,
        PowerError,
        SoftmaxCrossEntropy,
        SquaredError,
        WholePower,
    )
    from toymodels.models import Absolute, Gelu, Identity, Normalised, Placed, Relu, Tied, TimesExp, Untied
    from toymodels.normalisers import LayerNorm, NoNorm, RmsNorm
    from toymodels.observations import (
        Clusters,
        Cube,
        Embedded,
        GaussianCopy,
        Normal,
        Orthant,
        Orthonormal,
        Sampled,
        Sphere,
        Written,
    )
    from toymodels.optimizers import Adam, AdamW, BiasDecay, Cosine, Momentum, RowDecay, Sgd
    from toymodels.problems.annealed import Annealed
    from toymodels.problems.attention import Attending, Attention, Leaning, LearnedPattern, Lookup
    from toymodels.problems.blocks import Blocks
    from toymodels.problems.decoder import Decoder, Projection, Reproject
    from toymodels.problems.dictionary import BatchTopK, Dictionary, JumpRelu, ReluL1, TopK
    from toymodels.problems.factorize import Components, Factorize, Gaussian, Given
    from toymodels.problems.finite import Finite
    from toymodels.problems.grouped import Grouped
    from toymodels.problems.noisy_factorize import NoisyFactorize
    from toymodels.problems.packing import Packing
    from toymodels.problems.population import Population
    from toymodels.problems.quadratic import Quadratic
    from toymodels.problems.steering import (
        Equiangular,
        Expm1,
        Free,
        OrthogonalInputs,
        OrthogonalOutputs,
        Planted,
        Proportional,
        Rectified,
        Steering,
    )
    from toymodels.problems.supervised import Supervised
    from toymodels.results import best, census, open, usable  # noqa: F401
    from toymodels.store import StoreError
    from toymodels.sweep import Axis, Choice, Sweep, retrain, sweep, train
    from toymodels.train import Record, Run

__version__ = "0.1.0"

__all__ = [
    "Absolute",
    "Adam",
    "AdamW",
    "Annealed",
    "Anticorrelated",
    "Attending",
    "Attention",
    "Axis",
    "BatchTopK",
    "BiasDecay",
    "BinaryCrossEntropy",
    "Blocks",
    "Choice",
    "Clusters",
    "Components",
    "Constant",
    "Correlated",
    "Cosine",
    "Cube",
    "Decoder",
    "Dictionary",
    "Difference",
    "Embedded",
    "Equiangular",
    "Expm1",
    "Exponential",
    "Factorize",
    "Finite",
    "Free",
    "Gaussian",
    "GaussianCopy",
    "Gelu",
    "Geometric",
    "Given",
    "Grouped",
    "HalfSquaredError",
    "Hierarchy",
    "Identity",
    "InnerProduct",
    "JumpRelu",
    "LayerNorm",
    "Leaning",
    "LearnedPattern",
    "Lookup",
    "Momentum",
    "NoNorm",
    "Noisy",
    "NoisyFactorize",
    "Normal",
    "Normalised",
    "OneSparse",
    "Orthant",
    "OrthogonalInputs",
    "OrthogonalOutputs",
    "Orthonormal",
    "Packing",
    "Paired",
    "Placed",
    "Planted",
    "Population",
    "PowerError",
    "PowerLaw",
    "Projection",
    "Proportional",
    "Quadratic",
    "Record",
    "Rectified",
    "Relu",
    "ReluL1",
    "Reproject",
    "RmsNorm",
    "RowDecay",
    "Run",
    "Sampled",
    "Sgd",
    "SoftmaxCrossEntropy",
    "Sparse",
    "Sphere",
    "SquaredError",
    "Steering",
    "StoreError",
    "Supervised",
    "Sweep",
    "Tied",
    "TimesExp",
    "TopK",
    "Uniform",
    "Untied",
    "WholePower",
    "Written",
    "census",
    "retrain",
    "sweep",
    "train",
    "usable",
    "use_cores",
]

_MODULES = {
    "data": (
        "Anticorrelated",
        "Constant",
        "Correlated",
        "Difference",
        "Exponential",
        "Noisy",
        "OneSparse",
        "Paired",
        "Sparse",
        "Uniform",
    ),
    "engine.devices": ("use_cores",),
    "hierarchies": ("Hierarchy",),
    "laws": (
        "Geometric",
        "PowerLaw",
    ),
    "losses": (
        "BinaryCrossEntropy",
        "HalfSquaredError",
        "InnerProduct",
        "PowerError",
        "SoftmaxCrossEntropy",
        "SquaredError",
        "WholePower",
    ),
    "models": (
        "Absolute",
        "Gelu",
        "Identity",
        "Normalised",
        "Placed",
        "Relu",
        "Tied",
        "TimesExp",
        "Untied",
    ),
    "normalisers": (
        "LayerNorm",
        "NoNorm",
        "RmsNorm",
    ),
    "observations": (
        "Clusters",
        "Cube",
        "Embedded",
        "GaussianCopy",
        "Normal",
        "Orthant",
        "Orthonormal",
        "Sampled",
        "Sphere",
        "Written",
    ),
    "optimizers": (
        "Adam",
        "AdamW",
        "BiasDecay",
        "Cosine",
        "Momentum",
        "RowDecay",
        "Sgd",
    ),
    "problems.annealed": ("Annealed",),
    "problems.attention": (
        "Attending",
        "Attention",
        "Leaning",
        "LearnedPattern",
        "Lookup",
    ),
    "problems.blocks": ("Blocks",),
    "problems.decoder": (
        "Decoder",
        "Projection",
        "Reproject",
    ),
    "problems.dictionary": (
        "BatchTopK",
        "Dictionary",
        "JumpRelu",
        "ReluL1",
        "TopK",
    ),
    "problems.factorize": (
        "Components",
        "Factorize",
        "Gaussian",
        "Given",
    ),
    "problems.finite": ("Finite",),
    "problems.grouped": ("Grouped",),
    "problems.noisy_factorize": ("NoisyFactorize",),
    "problems.packing": ("Packing",),
    "problems.population": ("Population",),
    "problems.quadratic": ("Quadratic",),
    "problems.steering": (
        "Equiangular",
        "Expm1",
        "Free",
        "OrthogonalInputs",
        "OrthogonalOutputs",
        "Planted",
        "Proportional",
        "Rectified",
        "Steering",
    ),
    "problems.supervised": ("Supervised",),
    "results": (
        "best",
        "census",
        "open",
        "usable",
    ),
    "store": ("StoreError",),
    "sweep": (
        "Axis",
        "Choice",
        "Sweep",
        "retrain",
        "sweep",
        "train",
    ),
    "train": (
        "Record",
        "Run",
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        if not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}"):
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


class _Package(ModuleType):
    """`sweep` and `train` are functions here: importing the submodules of these names does not replace them."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def _show_in_notebooks() -> None:
    shell = sys.modules["IPython"].get_ipython()
    if shell is not None:
        from toymodels.notebook import register

        register(shell.display_formatter.formatters["text/html"], _HOMES)


if "IPython" in sys.modules:
    _show_in_notebooks()
