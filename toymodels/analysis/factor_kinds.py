"""The orthogonal factors of many labelled models: how many of each kind, and what their members' dimensionality is."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import xarray as xr

from toymodels.analysis.geometry import tegum_factors
from toymodels.analysis.labelled import each_model
from toymodels.analysis.lines import local_excess, polytope_lines

OTHER = "other"


def factors_by_kind(W: xr.DataArray, kinds: Sequence[str], tol: float, dead: float) -> xr.Dataset:
    """Of each model: `count`, the factors of each kind and, last, of any other; `factor`, the mean D_i of the members
    of each factor, padded with NaN. NaN for a model that is not finite; `tol` and `dead` as in `tegum_factors`.
    """
    names = [*kinds, OTHER]

    def of_one(weights: np.ndarray) -> np.ndarray:
        found = tegum_factors(weights, tol=tol, dead=dead).factors
        counts = Counter(factor.polytope if factor.polytope in kinds else OTHER for factor in found)
        shares = [factor.dimensionality / factor.size for factor in found]
        return np.array([*(counts[name] for name in names), *shares, *[np.nan] * (len(weights) - len(shares))])

    entries = each_model(of_one, W, outputs=["entry"])
    counts, factors = entries.isel(entry=slice(len(names))), entries.isel(entry=slice(len(names), None))
    return xr.Dataset({"count": counts.rename(entry="kind"), "factor": factors.rename(entry="factor")}, {"kind": names})


def excess_at_lines(factor: xr.DataArray) -> xr.Dataset:
    """`observed` and `expected` of `local_excess` for all factors of a seed together, by line; NaN for a lost seed.

    factor: one dimensionality a factor, as `factors_by_kind` has it, since members share theirs.
    """
    found = [local_excess(own.values) for own in factor.transpose("seed", ...)]
    numbers = {name: (("seed", "line"), [getattr(own, name) for own in found]) for name in ("observed", "expected")}
    known = factor.notnull().any([dim for dim in factor.dims if dim != "seed"])
    return xr.Dataset(numbers, {"seed": factor.seed, "line": list(polytope_lines())}).astype(float).where(known)
