"""Matrices, factors, times and singular values that the closed forms of factorisation accept, checked."""

from collections.abc import Sequence

import numpy as np

from toymodels.arrays import Array

Numbers = Array | Sequence | float | int | np.generic
Real = float | int | np.floating | np.integer
Count = int | np.integer


def real(value: Numbers, name: str, ndim: int | None = None) -> np.ndarray:
    array = np.asarray(value, np.float64)
    if ndim is not None and array.ndim != ndim:
        kind = {0: "a number", 1: "a vector", 2: "a matrix"}[ndim]
        raise ValueError(f"{name} has shape {array.shape}: {kind} is expected")
    if array.size == 0 and name != "t":
        raise ValueError(f"{name} has shape {array.shape}: it is empty")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} has entries that are not finite numbers")
    return array


def at_times(t: Numbers) -> np.ndarray:
    moments = real(t, "t")
    if np.any(moments < 0):
        raise ValueError(f"t={moments.min():g}: the flow starts at t = 0")
    return moments


def factors(A: Numbers, U0: Numbers, V0: Numbers, names: str = "UV") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Target and both factors as matrices of fitting shapes; vectors count as one component."""
    target = real(A, "A", 2)
    U, V = (real(value, f"{name}0") for value, name in zip((U0, V0), names, strict=True))
    U, V = (factor[:, None] if factor.ndim == 1 else factor for factor in (U, V))
    if U.ndim != 2 or V.ndim != 2 or (U.shape[0], V.shape[0]) != target.shape or U.shape[1] != V.shape[1]:
        raise ValueError(
            f"{names[0]}0 of shape {np.shape(U0)} and {names[1]}0 of shape {np.shape(V0)} do not factor "
            f"a target of shape {target.shape}"
        )
    return target, U, V


def descending(singular_values: Numbers) -> np.ndarray:
    values = real(singular_values, "singular_values", 1)
    if np.any(values < 0):
        raise ValueError(f"singular_values has the entry {values.min():g}: singular values are not negative")
    return np.sort(values)[::-1]
