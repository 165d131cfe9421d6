"""How a loss falls with width: exponents of power laws, overlaps of rows, and the geometry that is not learned."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from toymodels import keys
from toymodels.analysis.geometry import frame_potential
from toymodels.arrays import Array, Float


def exponents(values: xr.DataArray, along: str = "m") -> xr.DataArray:
    """-d ln(values) / d ln(m) by least squares over all m; NaN where a value is missing or not positive."""
    logs, x = np.log(values.where(values > 0)), np.log(values[along].astype(float))
    x = x - x.mean()
    return -(logs * x).sum(along, skipna=False) / (x**2).sum()


def local_exponents(values: xr.DataArray, along: str = "m") -> xr.DataArray:
    """-d ln(values) / d ln(m) between neighbours, with the dimension "widths" in place of m: "5 to 8", ..."""
    logs, m = xr.apply_ufunc(np.log, values.where(values > 0)), values[along].values
    slopes = -logs.diff(along).drop_vars(along) / xr.DataArray(np.diff(np.log(m)), dims=along)
    return slopes.rename({along: "widths"}).assign_coords(widths=_between(m))


def neighbours(flags: xr.DataArray, along: str = "m") -> list[str]:
    """The "widths" of `local_exponents` of which both ends are flagged."""
    both = flags.values[1:] & flags.values[:-1]
    return [name for name, kept in zip(_between(flags[along].values), both, strict=True) if kept]


def _between(m: np.ndarray) -> list[str]:
    return [f"{first} to {last}" for first, last in itertools.pairwise(m)]


def squared_cosine(W: Float[Array, "features hidden"] | ArrayLike, length: float = 0.0) -> float:
    """Mean squared cosine of pairs of rows longer than `length`, by the frame potential; NaN for fewer than two
    of them, or weights that are not finite.

    Of n rows in m dimensions at least (n - m) / (n - 1) / m, the Welch bound; about 1/m of random directions.
    """
    rows = np.asarray(W, np.float64)
    kept = rows[np.linalg.norm(rows, axis=1) > length] if np.isfinite(rows).all() else rows[:0]
    k = len(kept)
    return (float(frame_potential(kept)) - k) / (k * (k - 1)) if k > 1 else float("nan")


def random_rows_loss(
    x: Float[Array, "examples features"] | ArrayLike, widths: Sequence[int], seed: int = 0
) -> Float[np.ndarray, " widths"]:
    """Least mean of |x - ReLU(a U Uᵀ x + c)|² over the numbers a and c, U of random unit rows, for each width.

    Geometry that is not learned, the published argument for a loss that falls as 1/m: Liu, Liu & Gore 2025, arXiv
    2505.10465. Nelder & Mead's simplex to about 1e-3 in the loss.
    """
    x = np.asarray(x, np.float64)

    def least(hidden: int) -> float:
        U = np.random.default_rng([hidden, seed]).normal(size=(x.shape[1], hidden))
        U /= np.linalg.norm(U, axis=1, keepdims=True)
        overlaps = x @ U @ U.T

        def loss(at: np.ndarray) -> float:
            return float(((np.maximum(at[0] * overlaps + at[1], 0) - x) ** 2).sum(1).mean())

        return float(minimize(loss, (1.0, -0.5), method="Nelder-Mead", options={"xatol": 1e-2, "fatol": 1e-3}).fun)

    return np.array([least(hidden) for hidden in widths])


def random_rows_losses(
    laws: Sequence[Any], widths: Sequence[int], draws: int, examples: int = 1024
) -> Float[np.ndarray, "draws laws widths"]:
    """`random_rows_loss` of each law of data; every draw has its own rows and examples, `law.sample(key, n)`."""
    samples = ([law.sample(keys.key(seed), examples) for law in laws] for seed in range(draws))
    return np.array([[random_rows_loss(x, widths, seed) for x in each] for seed, each in enumerate(samples)])
