"""Small runs that tests share; few shapes, so that few programs are compiled."""

import numpy as np
import xarray as xr

from toymodels import Axis, Choice, Record, Run, Sweep
from toymodels.data import Sparse
from toymodels.losses import PowerError, SquaredError
from toymodels.models import Tied
from toymodels.optimizers import Adam
from toymodels.problems.packing import Packing
from toymodels.problems.supervised import Supervised

AUTOENCODER = Run(
    Supervised(Sparse(5, 0.2), Tied(2)), Adam(1e-2), steps=60, batch=64, record=Record(12, 4, examples=128)
)
PACKING = Run(Packing(6, 3), Adam(0.03), steps=100, record=Record(12, 4))


def same(one: xr.Dataset, other: xr.Dataset) -> bool:
    """The same variables, bit for bit."""
    names = {*one.data_vars, *other.data_vars}
    return all(
        name in one and name in other and np.array_equal(one[name], other[name], equal_nan=True) for name in names
    )


def autoencoders(p=(0.1, 0.3), seeds=(0, 1)) -> Sweep:
    """Two losses, so two groups."""
    losses = {"l2": {"problem.loss": SquaredError()}, "l4": {"problem.loss": PowerError(4.0)}}
    return Sweep(AUTOENCODER, [Axis("p", "problem.data.p", p), Choice("loss", losses), Axis("seed", "seed", seeds)])


def packings(powers=(2.0, 3.0), seeds=range(4)) -> Sweep:
    return Sweep(PACKING, [Axis("power", "problem.power", powers), Axis("seed", "seed", seeds)])
