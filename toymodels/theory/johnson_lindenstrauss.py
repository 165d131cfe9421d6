"""The Johnson-Lindenstrauss estimate of the loss of k equal orthogonal factors, and which k it prefers. Jermyn 2022.

>>> round(float(jl_switch(1000, 100)), 3)
2.627
>>> jl_best_factors(1000, 100, 2.0)
100
>>> jl_best_factors(1000, 100, 6.0)
1
"""

import math

import numpy as np

from toymodels.arrays import Array, Float, Int
from toymodels.shapes.arguments import Count, Number, count, exponent, sizes_and_power
from toymodels.theory.packing_losses import orthonormal_copies_loss


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


# ------------------------------------------------------------------------------------------------------ fitted constant


def jl_constant(n: Count, d: Count) -> float:
    """C = (n - d) / ((n - 1) ln n), n > d: the constant of the estimate, cos^2 ~ C ln n / d, fitted at n and d.

    The least mean cos^2 of n vectors is known exactly at every size: (n - d) / (d (n - 1)). Benedetto & Fickus 2003.
    It has no logarithm, so C falls as 1 / ln n.
    """
    n, d = count(n=n, d=d)
    if n <= d:
        raise ValueError(f"n={n}, d={d}: the constant is fitted to interference, of more vectors than dimensions")
    return (n - d) / ((n - 1) * math.log(n))


def jl_fitted_loss(n: Count, d: Count, power: Number, constant: Number) -> float:
    """n (n - 1) (C ln n / d)^(power/2), the estimate of the even loss of one factor with a fitted constant C > 0."""
    n, d, q = sizes_and_power(n, d, power)
    return float(n * (n - 1) * (constant * math.log(n) / d) ** (q / 2))


def jl_fitted_switch(n: Count, d: Count, constant: Number) -> float:
    """2 ln(L / n (n - 1)) / ln(C ln n / d): above it one factor is estimated below d axes, whose loss L is exact.

    A factor of one dimension has cosines of 1, which no estimate is needed for: L = `orthonormal_copies_loss`. 2 for
    the n and d of the fit, if d divides n. inf where d axes always win: n <= d, or C ln n >= d.
    """
    n, d = count(n=n, d=d)
    mean = float(constant) * math.log(n) / d
    if n <= d or mean >= 1:
        return math.inf
    return 2 * math.log(orthonormal_copies_loss(n, d) / (n * (n - 1))) / math.log(mean)
