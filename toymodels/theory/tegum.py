"""Packing n unit vectors in d dimensions: sum_{i != j} l(cos_ij), its bounds, and configurations that attain them.

l = |c|^power, an even loss that sees lines (parallel and antipodal pairs cost the same), or relu(c)^power, a signed
loss that sees rays. A pair is an ordered pair of different vectors throughout: n (n - 1) of them. Bounds hold for n
nonzero vectors, repeats allowed. Vectors are rows. A tegum product puts its factors in orthogonal subspaces: their
losses add.
"""

import functools
import math
import operator
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.sparse.csgraph
import scipy.special

from toymodels.arrays import Array, Float, Int
from toymodels.theory.precision import float64

Count = int | np.integer
Number = float | int | np.number | Float[Array, ""]
Vectors = Float[Array, "vectors dim"] | Sequence


class LossBound(NamedTuple):
    """A lower bound on the loss of any n nonzero vectors in d dimensions, and which bound it is."""

    value: float
    name: str


class Configuration(NamedTuple):
    """Unit vectors, their loss, the number of their mutually orthogonal factors, and what they are."""

    V: Float[np.ndarray, "vectors dim"]
    loss: float
    factors: int
    name: str


def _count(least: int = 1, **named: Any) -> tuple[int, ...]:
    for name, value in named.items():
        try:
            whole = operator.index(value)
        except TypeError:
            raise ValueError(f"{name}={value!r}: a count is an integer") from None
        if whole < least:
            raise ValueError(f"{name}={value}: it must be at least {least}")
    return tuple(operator.index(value) for value in named.values())


def _exponent(power: Number) -> float:
    value = float(power)
    if not 1 <= value < math.inf:
        raise ValueError(f"power={value:g}: the exponent of an interference loss is finite and at least 1")
    return value


def _sizes_and_power(n: Count, d: Count, power: Number) -> tuple[int, int, float]:
    n, d = _count(n=n, d=d)
    return n, d, _exponent(power)


# --- the loss ---------------------------------------------------------------------------------------------------------


def _unit_rows(V: Float[Array, "vectors dim"]) -> Float[Array, "vectors dim"]:
    """V_i / |V_i|; a zero row stays zero."""
    # Rows are divided by their largest entry first, so that squares stay in range.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(V), axis=1, keepdims=True, initial=0))
    V = V / jnp.where(largest > 0, largest, 1)
    squared = jnp.sum(V**2, axis=1, keepdims=True)
    return V / jnp.sqrt(jnp.where(squared > 0, squared, 1))


@float64
def interference_loss(V: Vectors, power: Number, signed: bool = False) -> Float[Array, ""]:
    """sum_{i != j} |cos_ij|^power, or relu(cos_ij)^power if signed, over ordered pairs of rows. Jermyn 2022.

    power >= 1. Only directions count: the scale of a row does not matter and a zero row has no cosine, it contributes
    nothing (nor does one below 1e-308, as XLA flushes those to zero). Traceable in the dtype of V; where a cosine is
    zero, so is its gradient (at power 1, a subgradient).
    """
    if not isinstance(power, jax.core.Tracer):
        power = _exponent(power)
    V = jnp.asarray(V)
    if V.ndim != 2:
        raise ValueError(f"V of shape {V.shape}: vectors are the rows of a matrix")
    U = _unit_rows(V if jnp.issubdtype(V.dtype, jnp.inexact) else V.astype(float))
    gram = jnp.matmul(U, U.T, precision=jax.lax.Precision.HIGHEST)  # accelerators would round the rows first
    cosines = jnp.where(jnp.eye(len(U), dtype=bool), 0, gram)
    if not signed and not isinstance(power, jax.core.Tracer) and power % 2 == 0:
        return jnp.sum(cosines ** int(power))  # a polynomial, whose second derivative at orthogonality is right too
    size = jax.nn.relu(cosines) if signed else jnp.abs(cosines)
    # Zero is taken out before the power as well as after it: its gradient would be 0 * inf.
    return jnp.sum(jnp.where(size > 0, jnp.where(size > 0, size, 1) ** power, 0))


# --- bounds on coherence ----------------------------------------------------------------------------------------------


def welch_coherence(n: Count, d: Count, order: Count = 1) -> float:
    """max_{i != j} |cos_ij| >= ((n / C(d + k - 1, k) - 1) / (n - 1))^(1 / 2k), k the order; 0 if n <= C(d + k - 1, k).

    Welch 1974. At order 1 sqrt((n - d) / (d (n - 1))), met by equiangular tight frames.
    """
    n, d, order = _count(n=n, d=d, order=order)
    excess = n / math.comb(d + order - 1, order) - 1
    return (excess / (n - 1)) ** (1 / (2 * order)) if excess > 0 and n > 1 else 0.0


def orthoplex_coherence(n: Count, d: Count) -> float:
    """max_{i != j} |cos_ij| >= 1 / sqrt(d) for n > d (d + 1) / 2. Conway, Hardin & Sloane 1996.

    For fewer vectors it says nothing: 0.
    """
    n, d = _count(n=n, d=d)
    return 1 / math.sqrt(d) if n > d * (d + 1) // 2 else 0.0


def rankin_cosine(n: Count, d: Count) -> float:
    """max_{i != j} cos_ij >= -1 / (n - 1), and >= 0 for n > d + 1. Rankin 1955.

    The first is met by a simplex for n <= d + 1, the second by part of a cross-polytope for n <= 2 d. -1 for n = 1.
    """
    n, d = _count(n=n, d=d)
    if n == 1:
        return -1.0
    return -1 / (n - 1) if n <= d + 1 else 0.0


# --- bounds on the loss -----------------------------------------------------------------------------------------------


def mean_power(d: Count, power: Number) -> float:
    """E |u . v|^power = Gamma((power + 1)/2) Gamma(d/2) / (Gamma(1/2) Gamma((d + power)/2)), any power >= 0.

    u and v are independent and uniform on the sphere: (u . v)^2 is a Beta(1/2, (d - 1)/2) variable.
    """
    (d,) = _count(d=d)
    q = float(power)
    if not 0 <= q < math.inf:
        raise ValueError(f"power={q:g}: a moment of the cosine has a finite power of at least 0")
    log_gamma = scipy.special.gammaln
    return float(np.exp(log_gamma((q + 1) / 2) - log_gamma(0.5) + log_gamma(d / 2) - log_gamma((d + q) / 2)))


def random_loss(n: Count, d: Count, power: Number, signed: bool = False) -> float:
    """n (n - 1) E |cos|^power, the expected loss of independent uniform directions; half of it if signed."""
    n, d, q = _sizes_and_power(n, d, power)
    return n * (n - 1) * mean_power(d, q) * (0.5 if signed else 1.0)


def minimum_frame_potential(n: Count, d: Count) -> float:
    """min sum_{i, j} cos_ij^2 = max(n, n^2 / d), diagonal included; met by tight frames. Benedetto & Fickus 2003."""
    n, d = _count(n=n, d=d)
    return max(float(n), n * n / d)


def welch_moment(n: Count, d: Count, order: Count) -> float:
    """sum_{i, j} |cos_ij|^(2k) >= n^2 / C(d + k - 1, k), diagonal included, k the order. Welch 1974."""
    n, d, order = _count(n=n, d=d, order=order)
    return n * n / math.comb(d + order - 1, order)


def moment_bound(n: Count, d: Count, power: Number, order: Count = 1) -> float:
    """M = n^2 E cos^(2k) - n bounds sum_{i != j} cos^(2k), k the order, and so |c|^power on each side of 2k. >= 0.

    power >= 2k: n (n - 1) (M / n (n - 1))^(power / 2k), by convexity; at order 1 n (n - 1) welch_coherence^power, met
    by equiangular tight frames. power <= 2k: M itself, as |c| <= 1; at order 1 n (n - d) / d, met by equal numbers of
    copies of an orthonormal basis (Ehler & Okoudjou 2012). Order 1 is the frame potential of Benedetto & Fickus 2003;
    the uniform distribution's moment (Sidelnikov 1974; Venkov 2001) exceeds the complex `welch_moment` from order 2.
    """
    n, d, q = _sizes_and_power(n, d, power)
    (order,) = _count(order=order)
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
    (d,), q = _count(d=d), _exponent(power)
    k = np.arange(1, d + 1, dtype=float)
    return float(np.min((k + 1) * k ** (1 - q)))


def one_more_factors(d: Count, power: Number) -> int:
    """d - k + 1 for the k <= d of least (k + 1) k^(1 - power): the factors of the packing that meets `one_more_bound`.

    A staircase from d factors, up to power log2(3) = 1.585, to one, before power 2. Of a tie the most factors.
    """
    (d,), q = _count(d=d), _exponent(power)
    k = np.arange(1, d + 1, dtype=float)
    return int(d - np.argmin((k + 1) * k ** (1 - q)))


def few_more_bound(n: Count, d: Count, power: Number) -> float:
    """2 (n - d) power^(-power/2) (2 - power)^((power - 2)/2), even loss, 1 <= power <= 2. Glazyrin & Park 2019.

    The projection A on linear dependences, tr A = n - d, has sum_ij A_ij cos_ij = 0: n - d <= sum_{i != j} |A_ij c_ij|;
    then Hölder, with sum_{j != i} A_ij^2 = A_ii - A_ii^2. Best for n < 2d; at power 1 met by copies of a basis. 0 for
    n <= d.
    """
    n, d, q = _sizes_and_power(n, d, power)
    if q > 2:
        raise ValueError(f"power={q:g}: this bound holds for powers between 1 and 2")
    return 2 * max(0, n - d) * q ** (-q / 2) * (2 - q) ** ((q - 2) / 2)


def orthoplex_bound(n: Count, d: Count, power: Number) -> float:
    """2 (C(n, 2) - e(T(n, d (d + 1) / 2))) d^(-power / 2), even loss: that many pairs have |cos| >= 1 / sqrt(d).

    `orthoplex_coherence` says that less coherent pairs never join d (d + 1) / 2 + 1 vectors mutually, so by Turán's
    theorem their graph has at most e(T) edges.
    """
    n, d, q = _sizes_and_power(n, d, power)
    return (n * (n - 1) - _turan_ordered_edges(n, d * (d + 1) // 2)) * d ** (-q / 2)


def ray_bound(n: Count, d: Count, power: Number) -> float:
    """n (n - 1) (n - 2d / 2d (n - 1))^power, signed loss, for n >= 2d; else 0, met by part of a cross-polytope.

    relu(c) >= (c + c^2) / 2 on [-1, 1], sum c >= -n, sum c^2 >= n^2/d - n; then convexity in relu(c). At power 1 met by
    equal numbers of copies of a cross-polytope. In one dimension the loss is that of halves of n, whatever the power.
    """
    n, d, q = _sizes_and_power(n, d, power)
    if d == 1:
        return float((n // 2) ** 2 + (n - n // 2) ** 2 - n)
    if n <= 2 * d:
        return 0.0
    return n * (n - 1) * ((n - 2 * d) / (2 * d * (n - 1))) ** q


def _sphere_polynomials(t: Float[np.ndarray, " points"], d: int, degree: int) -> Float[np.ndarray, "degrees points"]:
    """P_0 .. P_degree at t: positive definite on the sphere in d >= 2 dimensions (Gegenbauer), P_j(1) = 1."""
    P = [np.ones_like(t), t]
    for j in range(1, degree):
        P.append(((2 * j + d - 2) * t * P[j] - j * P[j - 1]) / (j + d - 2))
    return np.stack(P[: degree + 1])


def _overshoot(h: Float[np.ndarray, " degrees"], d: int, power: float, signed: bool) -> float:
    """max over [-1, 1] of sum_j h_j P_j(t) - l(t), to rounding: a fine grid, then finer ones around its maxima."""

    def excess(angle):
        t = np.cos(angle)
        size = np.maximum(t, 0) if signed else np.abs(t)
        return np.tensordot(h, _sphere_polynomials(t, d, len(h) - 1), 1) - size**power

    step = math.pi / 4000
    angles = np.linspace(0, math.pi, 4001)
    values = excess(angles)
    for _ in range(3):
        # A maximum can exceed its grid point by half the curvature times half a step squared: far below this margin.
        angles, values = angles[values > values.max() - 10 * step**2 * (1 + np.abs(h).sum())], values.max(keepdims=True)
        angles = angles[np.linspace(0, len(angles) - 1, min(len(angles), 400)).astype(int)]
        finer = np.clip(angles[:, None] + np.linspace(-step, step, 33), 0, math.pi).ravel()
        angles, values = np.append(finer, 0.0), np.append(excess(finer), values)
        step /= 16
    return float(values.max())


def linear_programming_bound(n: Count, d: Count, power: Number, signed: bool = False, degree: Count = 16) -> float:
    """max n^2 h_0 - n h(1) over h = sum_j h_j P_j with h_1, h_2, ... >= 0 and h <= l on [-1, 1]; >= 0. Yudin 1992.

    P_j are the Gegenbauer polynomials of the sphere in d >= 2 dimensions, for which sum_ij P_j(cos_ij) >= 0. Solved
    on a grid; what h then exceeds l by between the points is measured and taken off h_0: the bound holds to rounding.
    """
    n, d, q = _sizes_and_power(n, d, power)
    (degree,) = _count(degree=degree)
    if d < 2:
        raise ValueError("d=1: the linear programming bound needs at least 2 dimensions")
    degrees = np.arange(0, degree + 1, 1 if signed else 2)
    t = np.cos(np.linspace(0, math.pi if signed else math.pi / 2, 401))
    size = np.maximum(t, 0) if signed else np.abs(t)
    weights = np.where(degrees == 0, n - 1, -1.0)  # of h in the bound per vector, so that numbers stay near one
    solution = scipy.optimize.linprog(
        -weights / n,
        A_ub=_sphere_polynomials(t, d, degree)[degrees].T,
        b_ub=size**q,
        bounds=[(None, None)] + [(0, None)] * (len(degrees) - 1),
    )
    if solution.x is None:
        return 0.0
    h = np.zeros(degree + 1)
    h[degrees] = solution.x
    h[1:] = np.maximum(h[1:], 0)
    h[0] -= max(0.0, _overshoot(h, d, q, signed))
    return max(0.0, float(n * (n - 1) * h[0] - n * h[1:].sum()))


def loss_bounds(n: Count, d: Count, power: Number, signed: bool = False) -> dict[str, float]:
    """Every lower bound on the loss of n nonzero vectors in d dimensions that holds at this power, by name."""
    n, d, q = _sizes_and_power(n, d, power)
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
    if d > 1 and n > (2 * d if signed else d):
        bounds["linear programming"] = linear_programming_bound(n, d, q, signed)
    return bounds


def loss_bound(n: Count, d: Count, power: Number, signed: bool = False) -> LossBound:
    """The largest of `loss_bounds`, and its name: no n nonzero vectors in d dimensions have a smaller loss."""
    bounds = loss_bounds(n, d, power, signed)
    # A bound must be larger by more than rounding to displace one that is named before it.
    name = functools.reduce(lambda best, other: other if bounds[other] > bounds[best] * (1 + 1e-9) else best, bounds)
    return LossBound(bounds[name], name)


# --- configurations ---------------------------------------------------------------------------------------------------


def simplex(d: Count) -> Float[np.ndarray, "vectors dim"]:
    """d + 1 unit vectors in d dimensions with cosines -1/d."""
    (d,) = _count(d=d)
    return math.sqrt((d + 1) / d) * scipy.linalg.helmert(d + 1).T


def cross_polytope(d: Count) -> Float[np.ndarray, "vectors dim"]:
    """+e_1 .. +e_d, -e_1 .. -e_d: no cosine is positive."""
    (d,) = _count(d=d)
    return np.concatenate([np.eye(d), -np.eye(d)])


def orthonormal_copies(n: Count, d: Count) -> Float[np.ndarray, "vectors dim"]:
    """n vectors e_1 .. e_d, e_1 ..: copies of an orthonormal basis, as even in number as they can be."""
    n, d = _count(n=n, d=d)
    return np.eye(d)[np.arange(n) % d]


def harmonic_frame(n: Count, d: Count, lines: bool = False) -> Float[np.ndarray, "vectors dim"]:
    """sqrt(2/d) (cos 2 pi f i / n, sin 2 pi f i / n), f = 1 .. d/2, i < n; odd d: 1/sqrt(d) besides. Tight for n > d.

    With `lines` f = 1/2, 3/2 .. for even d: where v and -v count as one, vectors turn by half as much.
    """
    n, d = _count(n=n, d=d)
    frequencies = np.arange(1, d // 2 + 1) - (0.5 if lines and d % 2 == 0 else 0)
    angles = 2 * math.pi / n * np.outer(np.arange(n), frequencies)
    constant = np.full((n, d % 2), math.sqrt(0.5))
    return math.sqrt(2 / d) * np.concatenate([np.cos(angles), np.sin(angles), constant], axis=1)


def polygon(n: Count, lines: bool = False) -> Float[np.ndarray, "vectors 2"]:
    """(cos, sin)(2 pi i / n), a regular n-gon; with `lines` (cos, sin)(pi i / n), evenly spread lines in the plane."""
    return harmonic_frame(n, 2, lines)


def tegum_product(*factors: Float[np.ndarray, "_ _"]) -> Float[np.ndarray, "vectors dim"]:
    """The factors' vectors in orthogonal subspaces, one after the other: dimensions, vectors and losses add."""
    return scipy.linalg.block_diag(*factors)


def blocks(n: Count, d: Count, k: Count) -> Float[np.ndarray, "vectors dim"]:
    """n vectors on the d + k vertices of k orthogonal simplices, each as often as any other or once more. 1 <= k <= d.

    Blocks have floor(d/k) or ceil(d/k) dimensions; n = d + k is the tegum product of k simplices. Vertices are taken in
    turn from every block.
    """
    n, d, k = _count(n=n, d=d, k=k)
    if k > d:
        raise ValueError(f"k={k}: {d} dimensions split into at most {d} blocks")
    dims = [d // k + (b < d % k) for b in range(k)]
    in_turn = np.argsort(np.concatenate([np.arange(size + 1) for size in dims]), kind="stable")
    return tegum_product(*map(simplex, dims))[in_turn[np.arange(n) % (d + k)]]


def simplex_loss(d: Count, power: Number, signed: bool = False) -> float:
    """d (d + 1) d^-power, the loss of a simplex in d dimensions; 0 if signed."""
    (d,), q = _count(d=d), _exponent(power)
    return 0.0 if signed else (d + 1) * d ** (1 - q)


def cross_polytope_loss(d: Count, power: Number, signed: bool = False) -> float:
    """2 d, the even loss of 2d vectors that are d antipodal pairs, at every power; 0 if signed."""
    (d,), _ = _count(d=d), _exponent(power)
    return 0.0 if signed else 2.0 * d


def orthonormal_copies_loss(n: Count, d: Count) -> float:
    """sum_i m_i (m_i - 1), m_i = floor or ceil of n / d: at every power, even or signed; n (n - d) / d if d | n."""
    n, d = _count(n=n, d=d)
    more, rest = divmod(n, d)
    return float(rest * (more + 1) * more + (d - rest) * more * (more - 1))


def blocks_loss(n: Count, d: Count, k: Count, power: Number, signed: bool = False) -> float:
    """(d + k) (d/k)^(1 - power) for n = d + k and k | d, 0 if signed; exact for any n and k, as `blocks` builds them.

    A pair on the same vertex costs 1, on two vertices of a simplex in d_b dimensions d_b^-power (0 if signed).
    """
    return float(interference_loss(blocks(n, d, k), power, signed))


def harmonic_frame_loss(n: Count, d: Count, power: Number, lines: bool = False, signed: bool = False) -> float:
    """n sum_{j=1}^{n-1} l(sin(pi d j / n) / (d sin(pi j / n))), a Dirichlet kernel: the loss of `harmonic_frame`.

    Lines are for the even loss. For even d without `lines`, l((sin(pi (d + 1) j / n) / sin(pi j / n) - 1) / d).
    """
    n, d, q = _sizes_and_power(n, d, power)
    if lines and signed:
        raise ValueError("lines=True: a signed loss tells v from -v, so it has no lines")
    j = np.arange(1, n)
    turns = d if lines or d % 2 else d + 1
    # Whole turns are taken off as integers, so that the sine stays accurate.
    kernel = np.sin(math.pi / n * (turns * j % (2 * n))) / np.sin(math.pi / n * j)
    cosines = (kernel - (turns - d)) / d
    return float(n * np.sum((np.maximum(cosines, 0) if signed else np.abs(cosines)) ** q))


def polygon_loss(n: Count, power: Number, lines: bool = False, signed: bool = False) -> float:
    """n sum_{j=1}^{n-1} l(cos(2 pi j / n)), or pi j / n for lines: the loss of `polygon`."""
    return harmonic_frame_loss(n, 2, power, lines, signed)


@functools.cache
def _polytopes(signed: bool) -> tuple[tuple[str, Float[np.ndarray, "vectors dim"]], ...]:
    """Exceptional configurations: lines for the even loss; for the signed one vertices, antipodes in turn."""
    golden = (1 + math.sqrt(5)) / 2
    icosahedron = [np.roll([0, s, golden], r) for r in range(3) for s in (1, -1)]
    cell24 = [np.eye(4)[i] + s * np.eye(4)[j] for i, j in combinations(range(4), 2) for s in (1, -1)]
    lines = {"icosahedron": np.array(icosahedron), "24-cell": np.array(cell24)}
    if signed:
        lines = {name: np.stack([V, -V], axis=1).reshape(-1, V.shape[1]) for name, V in lines.items()}
    else:
        # Equiangular lines with |cos| = 1/3, van Lint & Seidel 1966: three + and three -, an even number of - in five,
        # and permutations of (3, 3, -1, -1, -1, -1, -1, -1).
        halves = np.array([[1 if i in up else -1 for i in range(6)] for up in combinations(range(6), 3) if 0 in up])
        signs = np.array([[1 - 2 * (b >> i & 1) for i in range(5)] + [1] for b in range(32) if b.bit_count() % 2 == 0])
        edges = np.array([[3 if i in pair else -1 for i in range(8)] for pair in combinations(range(8), 2)])
        lines |= {"10 equiangular lines": halves @ scipy.linalg.helmert(6).T, "16 equiangular lines": signs}
        lines["28 equiangular lines"] = edges @ scipy.linalg.helmert(8).T
    return tuple((name, V / np.linalg.norm(V, axis=1, keepdims=True)) for name, V in lines.items())


def _losses_in_turn(
    V: Float[np.ndarray, "vectors dim"], n: int, power: float, signed: bool
) -> Float[np.ndarray, " counts"]:
    """Loss of the first 0, 1, .., n of the vectors V_1, V_2, .., V_1, V_2, ..: copies once the vectors are used up."""
    cosines = np.round(V @ V.T, 14)  # so that orthogonal vectors cost nothing at power 1 and copies exactly one
    cost = (np.maximum(cosines, 0) if signed else np.abs(cosines)) ** power
    added = cost[np.arange(n) % len(V)]
    copies = (np.arange(n)[:, None] + len(V) - 1 - np.arange(len(V))) // len(
        V
    )  # of each vector before the i-th is added
    return np.concatenate([[0.0], np.cumsum(2 * np.sum(added * copies, axis=1))])


class _Piece(NamedTuple):
    """A family of configurations in `dim` dimensions: what n = 0, 1, .. vectors of it cost, and how to build them."""

    dim: int
    losses: Float[np.ndarray, " counts"]
    name: str
    V: Float[np.ndarray, "vectors dim"] | None  # None: harmonic frames, another one for each n


def _pieces(n: int, d: int, power: float, signed: bool) -> list[_Piece]:
    found = []
    for dim in range(1, min(d, n) + 1):
        V = simplex(dim)
        found.append(_Piece(dim, _losses_in_turn(V, n, power, signed), f"simplex({dim})" if dim > 1 else "axis", V))
    for dim in range(2, min(d, n - 1) + 1):
        frames = [0.0] + [harmonic_frame_loss(m, dim, power, not signed, signed) for m in range(1, n + 1)]
        plane = "-gon" if signed else " lines in the plane"
        found.append(_Piece(dim, np.array(frames), plane if dim == 2 else f" in harmonic frame({dim})", None))
    for name, V in _polytopes(signed):
        if V.shape[1] <= d and V.shape[1] < n:
            found.append(_Piece(V.shape[1], _losses_in_turn(V, n, power, signed), name, V))
    return found


def _best_split(n: int, d: int, pieces: list[_Piece]) -> list[tuple[_Piece, int]]:
    """min over sum n_i = n, sum d_i <= d of the pieces' losses, by dynamic programming over dimensions."""
    best = np.full((d + 1, n + 1), np.inf)
    best[0, 0] = 0
    chosen = np.zeros((d + 1, n + 1, 2), dtype=int)

    def offer(dim, loss, index, taken):
        # Better by more than rounding, so that a tie goes to what is offered first: small pieces, few vectors on them.
        better = (loss < best[dim] * (1 - 1e-12)) & np.isfinite(loss)
        best[dim] = np.where(better, loss, best[dim])
        chosen[dim, better] = np.stack([np.full(n + 1, index), taken], axis=1)[better]

    for dim in range(1, d + 1):
        for index, piece in enumerate(pieces):
            if piece.dim > dim:
                continue
            rest = np.concatenate([np.full(n, np.inf), best[dim - piece.dim]])
            loss = piece.losses[1:] + np.lib.stride_tricks.sliding_window_view(rest, n + 1)[:, -2::-1]
            least = loss.min(axis=1)
            offer(dim, least, index, 1 + np.argmax(loss <= least[:, None] * (1 + 1e-12), axis=1))
        offer(dim, best[dim - 1], -1, np.zeros(n + 1))  # a dimension left empty
    parts = []
    while d > 0:
        index, taken = chosen[d, n]
        if index < 0:
            d -= 1
            continue
        parts.append((pieces[index], int(taken)))
        n, d = n - int(taken), d - pieces[index].dim
    return parts


def _build(piece: _Piece, count: int, signed: bool) -> Float[np.ndarray, "vectors dim"]:
    if piece.V is None:
        return harmonic_frame(count, piece.dim, lines=not signed)
    return piece.V[np.arange(count) % len(piece.V)]


def _describe(parts: list[tuple[_Piece, int]], n: int, d: int, signed: bool) -> str:
    if all(piece.dim == 1 for piece, _ in parts):
        if n <= d:
            return "orthonormal"
        return ("cross-polytope" + ("" if n <= 2 * d else " copies")) if signed else "orthonormal copies"
    names = []
    for piece, count in parts:
        whole = piece.dim == count == 1 or (piece.V is not None and count == len(piece.V) > 2)
        joined = f"{count}{piece.name}" if piece.V is None else f"{count} on {piece.name}"
        names.append(piece.name if whole else joined)
    return " + ".join(f"{names.count(x)} x ({x})" if names.count(x) > 1 else x for x in dict.fromkeys(names))


def orthogonal_factors(V: Float[np.ndarray, "vectors dim"], tol: float = 1e-9) -> int:
    """Number of connected components of the pairs with |cos| > tol: mutually orthogonal factors of nonzero rows."""
    U = V / np.linalg.norm(V, axis=1, keepdims=True)
    return int(scipy.sparse.csgraph.connected_components(np.abs(U @ U.T) > tol)[0])


def best_configuration(n: Count, d: Count, power: Number, signed: bool = False) -> Configuration:
    """The least loss among known explicit configurations of n unit vectors in d dimensions: no optimum is above.

    All tegum products of axes and simplices (with copies), harmonic frames and some polytopes: min over splits of n and
    d, in O(n^2 d^2) time. Ties go to more factors. Far from the optimum where nothing of the catalogue fits, n >> d at
    large power: compare `loss_bound` and `random_loss`.
    """
    n, d, q = _sizes_and_power(n, d, power)
    parts = _best_split(n, d, _pieces(n, d, q, signed))
    V = tegum_product(*(_build(piece, count, signed) for piece, count in parts))
    V = np.pad(V, ((0, 0), (0, d - V.shape[1])))
    loss = math.fsum(piece.losses[count] for piece, count in parts)
    return Configuration(V, loss, orthogonal_factors(V), _describe(parts, n, d, signed))


# --- the Johnson-Lindenstrauss estimate -------------------------------------------------------------------------------


def jl_estimate(
    n: Count, d: Count, k: Number | Float[Array, "*factors"] | Int[Array, "*factors"], power: Number
) -> Float[Array, "*factors"]:
    """(n^2 / k) (ln(n/k) k / d)^(power/2), the even loss of k equal factors, 1 <= k <= min(n, d). Jermyn 2022.

    n^2 / k pairs lie within factors of d / k dimensions, with cos^2 ~ ln(n/k) / (d/k) each (Johnson-Lindenstrauss). It
    goes as k^(power/2 - 1) ln(n/k)^(power/2), up to a constant that does not depend on k. k may be an array, and need
    not be whole.
    """
    n, d, q = _sizes_and_power(n, d, power)
    k = np.asarray(k, float)
    if not np.all((k >= 1) & (k <= min(n, d))):
        raise ValueError(f"k={k}: the number of factors lies between 1 and {min(n, d)}")
    return np.asarray(n**2 / k * (np.log(n / k) * k / d) ** (q / 2))


def jl_stationary_factors(n: Count, power: Number) -> float:
    """k = n exp(-power / (power - 2)), where the estimate is stationary, for power > 2: its maximum. nan otherwise.

    The second derivative of ln L by ln k is -(power/2) / ln(n/k)^2 < 0. For power <= 2 the estimate falls with k all
    the way to n. The stationary point need not lie between 1 and d.
    """
    (n,), q = _count(n=n), _exponent(power)
    return n * math.exp(-q / (q - 2)) if q > 2 else math.nan


def jl_best_factors(n: Count, d: Count, power: Number) -> int:
    """The k in 1 .. min(n, d) of least estimate: an end, k = 1 above `jl_switch` and k = min(n, d) up to it."""
    n, d, q = _sizes_and_power(n, d, power)
    return 1 if q > jl_switch(n, d) else min(n, d)


def jl_switch(n: Count, d: Count) -> float:
    """2 ln d / (ln d - ln(ln n / ln(n/d))), the power above which the estimate prefers k = 1 to k = d factors.

    Above 2, which it approaches as ln d outgrows the logarithms' ratio. inf where k = d is never worse: d = 1, n <= d
    (no interference at k = n), or d ln(n/d) <= ln n (few more vectors than dimensions).

    Exact minima switch no later than at 2: at a larger power none with interference has two orthogonal factors. Turn a
    vector of a crowded factor by a small angle e towards another one: its own interference falls by power e^2 / 2 of
    itself, the new one is of order e^power.
    """
    n, d = _count(n=n, d=d)
    if d == 1 or n <= d:
        return math.inf
    slack = math.log(d) - math.log(math.log(n) / math.log1p((n - d) / d))
    return 2 * math.log(d) / slack if slack > 0 else math.inf


# --- counts of orthogonal pairs ---------------------------------------------------------------------------------------


def tegum_orthogonal_pairs(n: Count, k: Count) -> float:
    """n^2 (1 - 1/k), ordered pairs between k equal factors of n vectors, 1 <= k <= n. Jermyn 2022.

    More, if a factor has orthogonal pairs inside. Where k does not divide n, see `factor_orthogonal_pairs`.
    """
    n, k = _count(n=n, k=k)
    if k > n:
        raise ValueError(f"k={k}: {n} vectors make at most {n} factors")
    return n * n * (k - 1) / k


def factor_orthogonal_pairs(sizes: Sequence[Count] | Array) -> int:
    """(sum_f n_f)^2 - sum_f n_f^2, ordered pairs between factors of n_f vectors."""
    counts = [_count(least=0, size=size)[0] for size in np.asarray(sizes).tolist()]
    return sum(counts) ** 2 - sum(size**2 for size in counts)


def overlapping_sets_pairs(n: Count, d: Count, include_self: bool = False) -> int:
    """n (d - 1) ordered orthogonal pairs: every vector has d - 1 partners in an orthonormal set, n >= d. Jermyn 2022.

    n d with `include_self`, the published count, which pairs a vector with itself.
    """
    n, d = _count(n=n, d=d)
    if n < d:
        raise ValueError(f"n={n}, d={d}: an orthonormal set of {d} needs at least {d} vectors")
    return n * d if include_self else n * (d - 1)


def orthogonal_pairs_switch(n: Count, d: Count, include_self: bool = False) -> float:
    """k = n / (n - d + 1): a tegum product of more factors has more orthogonal pairs than overlapping sets. n >= d.

    From n^2 (1 - 1/k) > n (d - 1). With `include_self` n / (n - d), the published d < n (1 - 1/k). inf: none has more.
    """
    partners = overlapping_sets_pairs(n, d, include_self) // operator.index(n)
    n = operator.index(n)
    return n / (n - partners) if n > partners else math.inf


def _turan_ordered_edges(n: int, parts: int) -> int:
    more, rest = divmod(n, parts)
    return n * n - rest * (more + 1) ** 2 - (parts - rest) * more**2


def max_orthogonal_pairs(n: Count, d: Count) -> int:
    """2 e(T(n, d)) = n^2 - sum_i m_i^2, m_i = floor or ceil of n / d: the most ordered orthogonal pairs. Turán 1941.

    d + 1 nonzero vectors are never mutually orthogonal, so Turán's theorem bounds the edges of the orthogonality graph
    of n of them; copies of an orthonormal basis attain it. Without parallel vectors fewer pairs are possible: n or
    n - 1 in the plane, n^2 (1 - 1/floor(d/2)) to leading order in n for d >= 4 (Erdős & Stone 1946; lines spread over
    orthogonal planes).
    """
    n, d = _count(n=n, d=d)
    return _turan_ordered_edges(n, d)
