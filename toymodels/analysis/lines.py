"""Whether feature dimensionalities pile up at those of uniform configurations: counts in windows around the lines."""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float, Int


class LocalExcess(NamedTuple):
    """Per line: features in the window around it, features expected there, and the chance of at least as many."""

    names: list[str]
    lines: Float[np.ndarray, " lines"]
    observed: Int[np.ndarray, " lines"]
    expected: Float[np.ndarray, " lines"]
    p_value: Float[np.ndarray, " lines"]


def polytope_lines() -> dict[str, float]:
    """D = rank/size of the uniform configurations drawn as guide lines in Elhage et al. 2022, by name."""
    return {
        "point": 1.0,
        "tetrahedron": 3 / 4,
        "triangle": 2 / 3,
        "digon": 1 / 2,
        "pentagon": 2 / 5,
        "square antiprism": 3 / 8,
    }


def local_excess(
    D: Float[Array, " features"] | ArrayLike,
    lines: Mapping[str, float | int] | None = None,
    width: float | int = 0.01,
    null_width: float | int = 0.05,
) -> LocalExcess:
    """P(count >= observed), count ~ Binomial(window + flanks, |window| / (|window| + |flanks|)), one line at a time.

    The window is [line - width, line + width]; the flanks reach out to null_width on both sides, without the windows of
    the other lines, and all of it is cut to [0, 1]. The null says that features fall independently with a density that
    is constant across window and flanks; given how many fall into either, the count in the window is then binomial,
    with no density left to estimate. A linear slope cancels where both flanks are whole, not at D = 1 and not beside
    another line. Independence is the weak point: the members of a learned triangle have equal D by construction, so
    with one value a feature a p-value is too small, about as if the factor's size multiplied the evidence; pass one
    value a factor for an honest one.
    `expected` is the flank count scaled to the window; without flanks it is NaN and the p-value 1.
    Values of any shape; NaN are left out. Raises ValueError unless 0 < width < null_width and all D are in [0, 1].
    """
    from scipy.stats import binom  # slow to import

    if not 0 < width < null_width:
        raise ValueError(f"width={width}, null_width={null_width}: windows need 0 < width < null_width")
    lines = polytope_lines() if lines is None else lines
    if not all(0 <= line <= 1 for line in lines.values()):
        raise ValueError(f"lines={lines}: a dimensionality lies in [0, 1]")
    values = np.asarray(D, np.float64).ravel()
    values = values[~np.isnan(values)]
    rounding = 1e-6  # single precision can land just outside
    if np.any(values < -rounding) or np.any(values > 1 + rounding):
        raise ValueError("D: a dimensionality lies in [0, 1]")
    values = np.clip(values, 0, 1)
    columns = [_count_around(values, line, list(lines.values()), width, null_width) for line in lines.values()]
    count, flank, window_length, flank_length = np.array(columns, float).reshape(-1, 4).T
    known = flank_length > 0
    ratio = np.divide(window_length, flank_length, out=np.full_like(count, np.nan), where=known)
    share = window_length / (window_length + flank_length)
    p_value = np.where(known, binom.sf(count - 1, count + flank, share), 1.0)
    return LocalExcess(list(lines), np.array(list(lines.values()), float), count.astype(int), ratio * flank, p_value)


def _count_around(values, line, lines, width, null_width):
    """(values in the window, values in the flanks, length of the window, length of the flanks)."""
    low, high = max(0.0, line - width), min(1.0, line + width)
    edges = np.unique(
        np.clip([line - null_width, line + null_width, *(l + s * width for l in lines for s in (-1, 1))], 0, 1)
    )
    edges = edges[(edges >= line - null_width) & (edges <= line + null_width)]
    count, flank, flank_length = int(np.sum((values >= low) & (values <= high))), 0, 0.0
    for left, right in itertools.pairwise(edges):
        middle = (left + right) / 2
        if all(abs(middle - other) > width for other in lines):
            flank += int(np.sum((values >= left) & (values <= right) & ((values < low) | (values > high))))
            flank_length += right - left
    return count, flank, high - low, flank_length
