"""All that is known beforehand of several packings, by size and power: bounds, configurations, counts, the estimate."""

from collections.abc import Mapping, Sequence

import xarray as xr

from toymodels.shapes.bounds import random_loss
from toymodels.theory import johnson_lindenstrauss as estimate
from toymodels.theory import orthogonal_pairs as pairs
from toymodels.theory.packing_bounds import loss_bound, moment_bound, orthoplex_bound
from toymodels.theory.packing_losses import orthonormal_copies_loss
from toymodels.theory.packings import best_explicit

Size = tuple[int, int]


def packing_table(
    sizes: Mapping[str, Size], powers: Sequence[float], signed: bool, fitted: Sequence[Size]
) -> xr.Dataset:
    """Of n vectors in d dimensions, sizes[label] = (n, d), at each power.

    known, known_factors, known_name: the best explicit configuration. bound: the largest lower bound; moments and
    orthoplex: two of the even loss. random: the loss of uniform directions. axes: that of copies of d axes, even loss.
    Ordered orthogonal pairs by size: most, product (d equal factors), sets (overlapping orthonormal ones). With the
    constant of the estimate fitted at each (n, d) of `fitted`: constant, estimate (of one factor, even), switch.
    """
    tables = [_table(n, d, powers, signed, fitted).assign_coords(size=size) for size, (n, d) in sizes.items()]
    names = [f"{n} in {d}" for n, d in fitted]
    constants = "fitted", [estimate.jl_constant(*large) for large in fitted]
    return xr.concat(tables, "size").assign_coords(power=list(powers), fitted=names).assign(constant=constants)


def _table(n: int, d: int, powers: Sequence[float], signed: bool, fitted: Sequence[Size]) -> xr.Dataset:
    known = [best_explicit(n, d, q, signed) for q in powers]
    bounds = [loss_bound(n, d, q, signed, enough=best.loss) for q, best in zip(powers, known, strict=True)]
    constants = [estimate.jl_constant(*large) for large in fitted]
    by_power = {
        "known": [best.loss for best in known],
        "known_factors": [best.factors for best in known],
        "known_name": [best.name for best in known],
        "bound": [bound.value for bound in bounds],
        "moments": [moment_bound(n, d, q) for q in powers],
        "orthoplex": [orthoplex_bound(n, d, q) for q in powers],
        "random": [random_loss(n, d, q, signed) for q in powers],
    }
    counts = {
        "most": pairs.max_orthogonal_pairs(n, d),
        "product": pairs.tegum_orthogonal_pairs(n, d),
        "sets": pairs.overlapping_sets_pairs(n, d),
    }
    estimates = {
        "switch": ("fitted", [estimate.jl_fitted_switch(n, d, c) for c in constants]),
        "estimate": (("fitted", "power"), [[estimate.jl_fitted_loss(n, d, q, c) for q in powers] for c in constants]),
    }
    rows = {name: ("power", values) for name, values in by_power.items()}
    return xr.Dataset({"n": n, "d": d, "axes": orthonormal_copies_loss(n, d), **rows, **counts, **estimates})
