"""Statistics of curves over 1/p, each of the mean over seeds of an array with dimensions seed and p: what a bootstrap
over seeds takes. Positions are interpolated in ln(1/p); what is not finite is left out of means.
"""

from typing import Literal

import numpy as np
import xarray as xr

from toymodels.analysis import dynamics
from toymodels.analysis.ranges import crossing, level_ends
from toymodels.analysis.statistics import mean_of_finite


def shelf(values: xr.DataArray, level: float = 0.5) -> dynamics.Shelf:
    """`dynamics.shelf` over ln(1/p), near a level."""
    return dynamics.shelf(-np.log(values.p.values), _by_seed(values), level=level)


def end_of_level(values: xr.DataArray, level: float, end: Literal[0, 1]) -> float:
    """1/p at one end, first (0) or last, of the range around the mean nearest to a level within a tenth of it."""
    return float(np.exp(level_ends(-np.log(values.p.values), mean_of_finite(_by_seed(values)), level)[end]))


def end_of_lead(values: xr.DataArray, limit: float, side: Literal[-1, 1]) -> float:
    """1/p at which the mean, from its largest towards one side, first falls to a limit; NaN where it never does."""
    lead = mean_of_finite(_by_seed(values)) - limit
    start = int(np.nan_to_num(lead, nan=-np.inf).argmax())
    return float(np.exp(crossing(-np.log(values.p.values), lead, start, side)))


def last_over_first(values: xr.DataArray) -> float:
    """Ratio of the means at the last and the first p, of whichever seeds have each."""
    first, last = mean_of_finite(_by_seed(values))[[0, -1]]
    return float(last / first)


def _by_seed(values: xr.DataArray) -> np.ndarray:
    return values.transpose("seed", "p").values
