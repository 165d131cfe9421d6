"""Every form an interval comes in, as three arrays."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np


class Ends(NamedTuple):
    low: np.ndarray
    mid: np.ndarray
    high: np.ndarray


def ends(interval: Any) -> Ends:
    """low, mid and high of an interval, of a sequence of intervals, or of three arrays in ascending order.

    An interval has `low`, `high` and one of `mean`, `value`, `median`, `mid`; an end that is None reads as NaN.
    """
    if hasattr(interval, "low"):
        return _checked(*_of_one(interval))
    rows = list(interval) if isinstance(interval, Iterable) else []
    if rows and all(hasattr(row, "low") for row in rows):
        return _checked(*np.array([_of_one(row) for row in rows], np.float64).T)
    if len(rows) != 3:
        raise ValueError("an interval has a low, mid and high, or is three arrays in this order")
    return _checked(*rows)


def _of_one(interval: Any) -> tuple[Any, Any, Any]:
    middle = next(name for name in ("mean", "value", "median", "mid") if hasattr(interval, name))
    return interval.low, getattr(interval, middle), interval.high


def _checked(low: Any, mid: Any, high: Any) -> Ends:
    found = Ends(*(np.asarray(end, np.float64) for end in (low, mid, high)))
    if not found.low.shape == found.mid.shape == found.high.shape:
        raise ValueError("the low, mid and high of an interval are of one shape")
    slack = 1e-9 * np.nan_to_num(np.abs(found.mid), posinf=0, neginf=0)
    with np.errstate(invalid="ignore"):
        if (found.low > found.mid + slack).any() or (found.mid > found.high + slack).any():
            raise ValueError("an interval is low, mid, high, in ascending order: here one is not")
    return found
