"""What a theory of features accepts: numbers, probabilities, importances, weights; else one clear sentence."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Number = float | int | np.generic
Nested = Sequence[Any]


def numbers(name: str, value: Any, ndim: int = 0) -> np.ndarray:
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is not a rectangular array of real numbers") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has an entry that is not finite")
    if array.ndim < ndim:
        raise ValueError(f"{name} of shape {array.shape}: at least {ndim} dimension{'s' * (ndim > 1)} expected")
    return array


def refuse(name: str, array: np.ndarray, wrong: np.ndarray | np.bool_, law: str) -> None:
    if np.any(wrong):
        raise ValueError(f"{name}={array[wrong].flat[0]:g}: {law}")


def probability(p: Any) -> np.ndarray:
    p = numbers("p", p)
    refuse("p", p, (p <= 0) | (p > 1), "an activation probability lies in (0, 1]")
    return p


def importances(importance: Any, n: int | None = None) -> np.ndarray:
    importance = numbers("importance", np.ones(n or 1) if importance is None else importance)
    refuse("importance", importance, importance < 0, "an importance is at least 0")
    return importance


def per_feature(name: str, value: Any, n: int) -> Any:
    if value.ndim and value.shape[-1] not in (1, n):
        raise ValueError(f"{name} of shape {value.shape}: one number or one for each of the {n} features expected")
    return value[..., None] if value.ndim == 0 else value


def weights(name: str, W: Any) -> np.ndarray:
    W = numbers(name, W, ndim=2)
    if W.shape[-2] < 1:
        raise ValueError(f"{name} of shape {W.shape}: at least one feature expected")
    return W
