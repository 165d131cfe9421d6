"""The Johnson-Lindenstrauss estimate of the loss of k equal orthogonal factors, and which k it prefers. Jermyn 2022."""

import math

import numpy as np

from toymodels.arrays import Array, Float, Int
from toymodels.shapes.arguments import Count, Number, count, exponent, sizes_and_power


def jl_estimate(
    n: Count, d: Count, k: Number | Float[Array, "*factors"] | Int[Array, "*factors"], power: Number
) -> Float[Array, "*factors"]:
    """(n^2 / k) (ln(n/k) k / d)^(power/2), the even loss of k equal factors, 1 <= k <= min(n, d). Jermyn 2022.

    n^2 / k pairs lie within factors of d / k dimensions, with cos^2 ~ ln(n/k) / (d/k) each (Johnson-Lindenstrauss). It
    goes as k^(power/2 - 1) ln(n/k)^(power/2), up to a constant that does not depend on k. k may be an array, and need
    not be whole.
    """
    n, d, q = sizes_and_power(n, d, power)
    k = np.asarray(k, float)
    if not np.all((k >= 1) & (k <= min(n, d))):
        raise ValueError(f"k={k}: the number of factors lies between 1 and {min(n, d)}")
    return np.asarray(n**2 / k * (np.log(n / k) * k / d) ** (q / 2))


def jl_stationary_factors(n: Count, power: Number) -> float:
    """k = n exp(-power / (power - 2)), where the estimate is stationary, for power > 2: its maximum. nan otherwise.

    The second derivative of ln L by ln k is -(power/2) / ln(n/k)^2 < 0. For power <= 2 the estimate falls with k all
    the way to n. The stationary point need not lie between 1 and d.
    """
    (n,), q = count(n=n), exponent(power)
    return n * math.exp(-q / (q - 2)) if q > 2 else math.nan


def jl_best_factors(n: Count, d: Count, power: Number) -> int:
    """The k in 1 .. min(n, d) of least estimate: an end, k = 1 above `jl_switch` and k = min(n, d) up to it."""
    n, d, q = sizes_and_power(n, d, power)
    return 1 if q > jl_switch(n, d) else min(n, d)


def jl_switch(n: Count, d: Count) -> float:
    """2 ln d / (ln d - ln(ln n / ln(n/d))), the power above which the estimate prefers k = 1 to k = d factors.

    Above 2, which it approaches as ln d outgrows the logarithms' ratio. inf where k = d is never worse: d = 1, n <= d
    (no interference at k = n), or d ln(n/d) <= ln n (few more vectors than dimensions).

    Exact minima switch no later than at 2: at a larger power none with interference has two orthogonal factors. Turn a
    vector of a crowded factor by a small angle e towards another one: its own interference falls by power e^2 / 2 of
    itself, the new one is of order e^power.
    """
    n, d = count(n=n, d=d)
    if d == 1 or n <= d:
        return math.inf
    slack = math.log(d) - math.log(math.log(n) / math.log1p((n - d) / d))
    return 2 * math.log(d) / slack if slack > 0 else math.inf
