"""Learning coefficients that are known: the volume of K(w) < eps scales as eps^lambda (-log eps)^(m - 1) near K = 0.

K >= 0 is an excess loss, m the multiplicity of the pole -lambda of its zeta function. Under exp(-t K) times a smooth
prior, t E_t[K] -> lambda - (m - 1) / log t: a multiplicity lowers what is measured at any reachable t. Watanabe 2009,
Algebraic Geometry and Statistical Learning Theory, chapters 2 and 6.

>>> regular_polygon(5)
Coefficient(value=7.0, multiplicity=1)
>>> reduced_rank(inputs=4, outputs=3, hidden=2, rank=1)
Coefficient(value=4.0, multiplicity=1)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from toymodels.arrays import Array, Float


class Coefficient(NamedTuple):
    """lambda > 0 and its multiplicity m >= 1."""

    value: float
    multiplicity: int = 1


def minimally_singular(d: int, rank: int | None = None) -> Coefficient:
    """rank / 2 for K = sum_{i <= rank} w_i² in d dimensions, the others free; d / 2 where it is regular, rank = d."""
    rank = d if rank is None else rank
    if not 1 <= rank <= d:
        raise ValueError(f"d={d}, rank={rank}: 1 <= rank <= d expected")
    return Coefficient(rank / 2)


def normal_crossing(powers: Sequence[int], dims: Sequence[int] | None = None) -> Coefficient:
    """min d_i / (2 k_i) for K = prod_i |w_i|^(2 k_i), w_i of d_i dimensions (one, unless given), as often as reached.

    The zeta function is a product of integrals of |w|^(2 k z + d - 1). Watanabe 2009, theorem 6.6.
    """
    powers, dims = _crossing(powers, dims)
    poles = [d / (2 * k) for k, d in zip(powers, dims, strict=True)]
    return Coefficient(min(poles), poles.count(min(poles)))


def _crossing(powers: Sequence[int], dims: Sequence[int] | None) -> tuple[list[int], list[int]]:
    powers = list(powers)
    dims = [1] * len(powers) if dims is None else list(dims)
    if not powers or len(dims) != len(powers) or min(powers) < 1 or min(dims) < 1:
        raise ValueError(f"powers={powers}, dims={dims}: one or more positive integers, as many of both")
    return powers, dims


def reduced_rank(inputs: int, outputs: int, hidden: int, rank: int) -> Coefficient:
    """Of K = |B A - C|², A hidden x inputs, B outputs x hidden, rank C = rank. Aoyagi & Watanabe 2005, theorem 1.

    Where no one of the four numbers exceeds the others: (2 (h + r)(M + N) + 2 M N - (h + r)² - M² - N²) / 8, m = 1, if
    M + N + h + r is even; + 1/8, m = 2, if it is odd. Else (h M - h r + N r) / 2 for M + h < N + r, the same with M and
    N exchanged, and M N / 2 for M + N < h + r, all with m = 1.
    """
    M, N, h, r = inputs, outputs, hidden, rank
    if not (min(M, N, h) >= 1 and 0 <= r <= min(M, N, h)):
        raise ValueError(f"inputs={M}, outputs={N}, hidden={h}, rank={r}: a rank of at most the least dimension")
    if M + h < N + r:
        return Coefficient((h * M - h * r + N * r) / 2)
    if N + h < M + r:
        return Coefficient((h * N - h * r + M * r) / 2)
    if h + r > M + N:
        return Coefficient(M * N / 2)
    odd = (M + N + h + r) % 2
    whole = 2 * (h + r) * (M + N) + 2 * M * N - (h + r) ** 2 - M**2 - N**2
    return Coefficient((whole + odd) / 8, 1 + odd)


def behind_normaliser(
    inputs: int, outputs: int, centred: bool, hidden: int | None = None, rank: int | None = None
) -> Coefficient:
    """Of the layer behind a normaliser of `inputs` numbers, or of the product of two layers if `hidden` is given.

    One that centres (LayerNorm) leaves inputs - 1 directions: the weights along (1, ..., 1) are never used. A length
    that is lost (RMSNorm) takes no direction from a linear map. So centring lowers a layer whose weights the data tell
    apart, inputs * outputs / 2, by outputs / 2; a product, by less where its truth has a low `rank` (its own, of the
    centred inputs): it is `reduced_rank` of one input less.
    """
    left = inputs - centred
    if left < 1 or outputs < 1:
        raise ValueError(f"inputs={inputs}, outputs={outputs}: one or more each, and two inputs where they are centred")
    if hidden is None:
        return Coefficient(left * outputs / 2)
    return reduced_rank(left, outputs, hidden, min(left, outputs, hidden) if rank is None else rank)


def tied_reduced_rank(n: int, m: int, rank: int) -> Coefficient:
    """Of K = |W Wᵀ - C|², W n x m, C positive of this rank: every weight counts once, though it is used twice.

    (r (r + 1) / 2 + (n - r) r) / 2 + (n - r)(m - r) / 4, multiplicity 1. A rotation of the hidden space, near the
    identity, brings W to P lower triangular (r x r), 0, R and S: K is that of |P Pᵀ - C|² + |R|² + |S Sᵀ|² up to
    constant factors, regular in P and R, and homogeneous of degree 4 in S with its only zero at 0.
    """
    if not (min(n, m) >= 1 and 0 <= rank <= min(n, m)):
        raise ValueError(f"n={n}, m={m}, rank={rank}: a rank of at most the least dimension")
    regular = rank * (rank + 1) / 2 + (n - rank) * rank
    return Coefficient(regular / 2 + (n - rank) * (m - rank) / 4)


def regular_polygon(k: int, dropped: int = 0, silent: int = 0) -> Coefficient:
    """(3 (k + dropped) - 1) / 2 at the best regular k-gon, k >= 4, with features left over; one more a silent feature
    of a square; m = 1.

    Two weights and a bias a feature, less the rotation. A silent feature changes nothing, and adds nothing, unless
    biases are 0, as in the square: there its two weights switch the vertices on, at a cost that is homogeneous of
    degree 2. The critical points are those of `critical.polygon_with_dropped` with features left over of one kind;
    the loss is that of Chen et al. 2023, arXiv 2310.06301.
    """
    if k < 4 or min(dropped, silent) < 0 or (dropped and silent):
        raise ValueError(f"k={k}, dropped={dropped}, silent={silent}: k >= 4, and features left over of one kind")
    return Coefficient((3 * (k + dropped) - 1) / 2 + (silent if k == 4 else 0))


def crossing_expectation(powers: Sequence[int], t: float, gamma: float, dims: Sequence[int] | None = None) -> float:
    """t E_t[K] under exp(-t K - gamma / 2 |w|²) for the K of `normal_crossing`: what an estimate finds at a finite t.

    The density of log K = sum_i 2 k_i log|w_i| is a convolution of those of the terms; then one integral.
    """
    powers, dims = _crossing(powers, dims)
    if not (t > 0 and gamma > 0):
        raise ValueError(f"t={t}, gamma={gamma}: positive numbers")
    step, low = 0.02, -200.0
    s = np.arange(low, 8.0 + 2 * max(powers) * max(0.0, -np.log(gamma) / 2), step)
    density, first = np.ones(1), 0.0
    for k, d in zip(powers, dims, strict=True):
        u = s / (2 * k)  # log|w|
        density, first = np.convolve(density, np.exp(d * u - gamma / 2 * np.exp(2 * u))) * step, first + low
    x = first + step * np.arange(len(density))
    kept = x > low / 2  # below, the convolution lacks terms
    tK = t * np.exp(x[kept])
    weight = density[kept] * np.exp(-tK)
    return float((tK * weight).sum() / weight.sum())


def volume_exponent(K: Float[Array, " draws"], eps: Float[Array, " levels"], multiplicity: int = 1) -> float:
    """lambda from draws of K(w), w uniform near its zero: slope of log V(eps) - (m - 1) log(-log eps) in log eps.

    An independent route to lambda: V(eps) is the share of draws with K < eps, eps in (0, 1).
    """
    levels = np.asarray(eps, np.float64)
    share = np.searchsorted(np.sort(np.asarray(K, np.float64)), levels) / len(K)
    if (share == 0).any():
        raise ValueError(f"eps={levels.min():g}: no draw of {len(K):,} lies below")
    corrected = np.log(share) - (multiplicity - 1) * np.log(-np.log(levels))
    return float(np.polyfit(np.log(levels), corrected, 1)[0])
