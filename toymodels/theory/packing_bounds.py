"""Lower bounds on the packing loss of any n nonzero vectors in d dimensions, repeats allowed.

The loss is `toymodels.shapes.packing.interference_loss`, over ordered pairs: even, or signed.

>>> value, name = loss_bound(6, 3, 4.0)
>>> round(float(value), 6), name
(1.2, 'Welch')
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from toymodels.shapes.arguments import Count, Number, count, exponent, sizes_and_power
from toymodels.shapes.bounds import mean_power
from toymodels.theory.linear_programming import linear_programming_bound
from toymodels.theory.orthogonal_pairs import max_orthogonal_pairs


class LossBound(NamedTuple):
    """A lower bound on the loss of any n nonzero vectors in d dimensions, and which bound it is."""

    value: float
    name: str


def moment_bound(n: Count, d: Count, power: Number, order: Count = 1) -> float:
    """M = n^2 E cos^(2k) - n bounds sum_{i != j} cos^(2k), k the order, and so |c|^power on each side of 2k. >= 0.

    power >= 2k: n (n - 1) (M / n (n - 1))^(power / 2k), by convexity; at order 1 n (n - 1) welch_coherence^power, met
    by equiangular tight frames. power <= 2k: M itself, as |c| <= 1; at order 1 n (n - d) / d, met by equal numbers of
    copies of an orthonormal basis (Ehler & Okoudjou 2012). Order 1 is the frame potential of Benedetto & Fickus 2003;
    the uniform distribution's moment (Sidelnikov 1974; Venkov 2001) exceeds the complex `welch_moment` from order 2.
    """
    n, d, q = sizes_and_power(n, d, power)
    (order,) = count(order=order)
    moment = 1 / d if order == 1 else mean_power(d, 2 * order)
    excess = n * (n * moment - 1)
    if excess <= 0 or n == 1:
        return 0.0
    pairs = n * (n - 1)
    return pairs * (excess / pairs) ** (q / (2 * order)) if q >= 2 * order else excess


def one_more_bound(d: Count, power: Number) -> float:
    """min_{k <= d} (k + 1) k^(1 - power), the least even loss of n = d + 1 vectors, for every power >= 1.

    Met by a k-simplex with d - k vectors orthogonal to it and to each other. power < 2: Xu & Xu 2021, a conjecture of
    Chen, Gonzales, Goodman, Kang & Okoudjou 2019; above, the simplex and `moment_bound`.
    """
    (d,), q = count(d=d), exponent(power)
    k = np.arange(1, d + 1, dtype=float)
    return float(np.min((k + 1) * k ** (1 - q)))


def one_more_factors(d: Count, power: Number) -> int:
    """d - k + 1 for the k <= d of least (k + 1) k^(1 - power): the factors of the packing that meets `one_more_bound`.

    A staircase from d factors, up to power log2(3) = 1.585, to one, before power 2. Of a tie the most factors.
    """
    (d,), q = count(d=d), exponent(power)
    k = np.arange(1, d + 1, dtype=float)
    return int(d - np.argmin((k + 1) * k ** (1 - q)))


def few_more_bound(n: Count, d: Count, power: Number) -> float:
    """2 (n - d) power^(-power/2) (2 - power)^((power - 2)/2), even loss, 1 <= power <= 2. Glazyrin & Park 2019.

    The projection A on linear dependences, tr A = n - d, has sum_ij A_ij cos_ij = 0: n - d <= sum_{i != j} |A_ij c_ij|;
    then Hölder, with sum_{j != i} A_ij^2 = A_ii - A_ii^2. Best for n < 2d; at power 1 met by copies of a basis. 0 for
    n <= d.
    """
    n, d, q = sizes_and_power(n, d, power)
    if q > 2:
        raise ValueError(f"power={q:g}: this bound holds for powers between 1 and 2")
    return 2 * max(0, n - d) * q ** (-q / 2) * (2 - q) ** ((q - 2) / 2)


def orthoplex_bound(n: Count, d: Count, power: Number) -> float:
    """2 (C(n, 2) - e(T(n, d (d + 1) / 2))) d^(-power / 2), even loss: that many pairs have |cos| >= 1 / sqrt(d).

    `orthoplex_coherence` says that less coherent pairs never join d (d + 1) / 2 + 1 vectors mutually, so by Turán's
    theorem their graph has at most e(T) edges.
    """
    n, d, q = sizes_and_power(n, d, power)
    return (n * (n - 1) - max_orthogonal_pairs(n, d * (d + 1) // 2)) * d ** (-q / 2)


def ray_bound(n: Count, d: Count, power: Number) -> float:
    """n (n - 1) (n - 2d / 2d (n - 1))^power, signed loss, for n >= 2d; else 0, met by part of a cross-polytope.

    relu(c) >= (c + c^2) / 2 on [-1, 1], sum c >= -n, sum c^2 >= n^2/d - n; then convexity in relu(c). At power 1 met by
    equal numbers of copies of a cross-polytope. In one dimension the loss is that of halves of n, whatever the power.
    """
    n, d, q = sizes_and_power(n, d, power)
    if d == 1:
        return float((n // 2) ** 2 + (n - n // 2) ** 2 - n)
    if n <= 2 * d:
        return 0.0
    return n * (n - 1) * ((n - 2 * d) / (2 * d * (n - 1))) ** q


def loss_bounds(n: Count, d: Count, power: Number, signed: bool = False, enough: float = math.inf) -> dict[str, float]:
    """Every lower bound on the loss of n nonzero vectors in d dimensions that holds at this power, by name.

    enough: a loss that is attained; where a bound in closed form equals it, linear programming is left out, as slow.
    """
    n, d, q = sizes_and_power(n, d, power)
    bounds = {"non-negative": 0.0}
    if signed:
        bounds["rays"] = ray_bound(n, d, q)
    else:
        bounds["frame potential" if q <= 2 else "Welch"] = moment_bound(n, d, q)
        if n == d + 1:
            bounds["one more than dimensions"] = one_more_bound(d, q)
        if q <= 2:
            bounds["dependences"] = few_more_bound(n, d, q)
        bounds |= {f"moment {2 * order}": moment_bound(n, d, q, order) for order in range(2, 9)}
        bounds["orthoplex"] = orthoplex_bound(n, d, q)
    if d > 1 and n > (2 * d if signed else d) and max(bounds.values()) < enough * (1 - 1e-12):
        bounds["linear programming"] = linear_programming_bound(n, d, q, signed)
    return bounds


def loss_bound(n: Count, d: Count, power: Number, signed: bool = False, enough: float = math.inf) -> LossBound:
    """The largest of `loss_bounds`, and its name: no n nonzero vectors in d dimensions have a smaller loss."""
    bounds = loss_bounds(n, d, power, signed, enough)
    # A bound must be larger by more than rounding to displace one that is named before it.
    name = functools.reduce(lambda best, other: other if bounds[other] > bounds[best] * (1 + 1e-9) else best, bounds)
    return LossBound(bounds[name], name)
