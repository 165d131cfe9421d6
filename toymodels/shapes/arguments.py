"""Counts and exponents that the functions of a packing accept, checked."""

import math
import operator
from typing import Any

import numpy as np

from toymodels.arrays import Array, Float

Count = int | np.integer
Number = float | int | np.number | Float[Array, ""]


def count(least: int = 1, **named: Any) -> tuple[int, ...]:
    """The named values as integers of at least `least`; ValueError for anything else."""
    for name, value in named.items():
        try:
            whole = operator.index(value)
        except TypeError:
            raise ValueError(f"{name}={value!r}: a count is an integer") from None
        if whole < least:
            raise ValueError(f"{name}={value}: it must be at least {least}")
    return tuple(operator.index(value) for value in named.values())


def exponent(power: Number) -> float:
    """A finite power of at least 1, as a float."""
    value = float(power)
    if not 1 <= value < math.inf:
        raise ValueError(f"power={value:g}: the exponent of an interference loss is finite and at least 1")
    return value


def sizes_and_power(n: Count, d: Count, power: Number) -> tuple[int, int, float]:
    """n vectors in d dimensions, and the exponent of their loss."""
    n, d = count(n=n, d=d)
    return n, d, exponent(power)
