"""The linear programming bound on the packing loss: polynomials below the potential. Yudin 1992; Cohn & Kumar 2007."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize

from toymodels.arrays import Float, Int
from toymodels.shapes.arguments import Count, Number, count, sizes_and_power

HIGHEST = 64
"""Degree beyond which no polynomial is tried."""
CAP = 1e7
"""The potential is cut off at so many units, which only lowers the bound, so that all numbers are of one order."""
ROUNDS = 5


def linear_programming_bound(
    n: Count, d: Count, power: Number, signed: bool = False, degree: Count | None = None
) -> float:
    """max n^2 h_0 - n h(1) over h = sum_j h_j P_j with h_1, h_2, ... >= 0 and h <= l on [-1, 1]; >= 0. Yudin 1992.

    P_j are the Gegenbauer polynomials of the sphere in d >= 2 dimensions, for which sum_ij P_j(cos_ij) >= 0. Solved
    on a grid, in units of what the optimum is expected to be, and again with the points at which h exceeds l; what it
    then exceeds l by is measured and taken off h_0: the bound holds to rounding. Sharp codes attain it to about 1e-6.
    degree: the highest j, at least 16 by itself, more the more vectors there are, at most 64.
    """
    n, d, q = sizes_and_power(n, d, power)
    if d < 2:
        raise ValueError("d=1: the linear programming bound needs at least 2 dimensions")
    if n == 1:
        return 0.0
    nodes, weights = _design(n, d, signed)
    if degree is None:
        degree = min(HIGHEST, max(16, (2 if signed else 4) * len(nodes) + 2))
    (degree,) = count(degree=degree)
    unit = n / (n - 1) * float(weights @ np.maximum(nodes, 0) ** q)
    problem = _Problem(n, d, q, signed, np.arange(0, degree + 1, 1 if signed else 2), unit)
    return unit * max(0.0, _solve(problem, np.arccos(np.clip(nodes, -1, 1)))) if unit > 0 else 0.0


class _Problem(NamedTuple):
    """n vectors in d dimensions, and h as its coefficients at some degrees, in units of the expected optimum a pair."""

    n: int
    d: int
    power: float
    signed: bool
    degrees: Int[np.ndarray, " degrees"]
    unit: float

    def polynomials(self, angles: Float[np.ndarray, " points"]) -> Float[np.ndarray, "degrees points"]:
        return sphere_polynomials(np.cos(angles), self.d, int(self.degrees[-1]))[self.degrees]

    def potential(self, angles: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """l in units, up to `CAP`."""
        t = np.cos(angles)
        sizes = np.maximum(t, 0) if self.signed else np.abs(t)
        top = (CAP * self.unit) ** (1 / self.power)  # the size at the cap: its power may be out of range
        return np.where(sizes < top, np.minimum(sizes, top) ** self.power / self.unit, CAP)


def _solve(problem: _Problem, near: Float[np.ndarray, " nodes"]) -> float:
    """The bound in units: n (n - 1) h_0 - n sum_{j > 0} h_j, with all that h exceeds l by taken off h_0."""
    half = math.pi if problem.signed else math.pi / 2
    close = near[:, None] + np.array([-3, -1, -0.3, 0, 0.3, 1, 3]) * 1e-3
    angles = np.concatenate([np.linspace(0, half, 401), np.clip(close, 0, half).ravel()])
    weights = np.where(problem.degrees == 0, problem.n - 1, -1.0) / problem.n
    best = 0.0
    for _ in range(ROUNDS):
        solution = scipy.optimize.linprog(
            -weights,
            A_ub=problem.polynomials(angles).T,
            b_ub=problem.potential(angles),
            bounds=[(None, None)] + [(0, None)] * (len(problem.degrees) - 1),
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if solution.x is None:
            break
        h = np.append(solution.x[0], np.maximum(solution.x[1:], 0))
        peaks, values = peaks_of(lambda at, h=h: h @ problem.polynomials(at) - problem.potential(at), half)
        over = max(0.0, float(values.max())) + 1e-14 * np.abs(h).sum()
        best = max(best, problem.n**2 * float(weights @ h) - problem.n * (problem.n - 1) * over)
        if problem.n * (problem.n - 1) * over < 1e-7 * best:
            break
        angles = np.concatenate([angles, peaks[values > 1e-10]])
    return best


def peaks_of(
    function: Callable[..., Float[np.ndarray, " points"]], half: float
) -> tuple[Float[np.ndarray, " peaks"], Float[np.ndarray, " peaks"]]:
    """Local maxima on [0, half], where and how high: those of a fine grid, each on three grids finer and finer."""
    step = half / 4000
    grid = np.linspace(0, half, 4001)
    values = np.concatenate([[-np.inf], function(grid), [-np.inf]])
    angles = grid[(values[1:-1] >= values[:-2]) & (values[1:-1] >= values[2:])]
    for _ in range(3):
        finer = np.clip(angles[:, None] + np.linspace(-step, step, 33), 0, half)
        values = function(finer.ravel()).reshape(finer.shape)
        angles = np.take_along_axis(finer, values.argmax(axis=1)[:, None], axis=1)[:, 0]
        step /= 16
    return angles, values.max(axis=1)


def _design(n: int, d: int, signed: bool) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """Nodes t, weights w: sum w f(t) = f_0 - f(1) / n for polynomials f (even, if not signed) up to some degree.

    A code whose inner products are the nodes attains the bound: Levenshtein 1992; Boyvalenkov et al. 2016. It is a
    Gauss rule, of the functional on the right, from its moments in orthonormal polynomials.
    """
    most = HIGHEST + 2
    j = np.arange(1, most + 1)
    squares = np.where(j == 1, 1 / d, j * (j + d - 3) / np.maximum((2 * j + d - 2) * (2 * j + d - 4), 1))
    jacobi = np.diag(np.sqrt(squares), 1) + np.diag(np.sqrt(squares), -1)
    at_one = np.ones(most + 1)
    at_one[1] = 1 / jacobi[0, 1]
    for k in range(2, most + 1):
        at_one[k] = (at_one[k - 1] - jacobi[k - 2, k - 1] * at_one[k - 2]) / jacobi[k - 1, k]
    if not signed:
        jacobi, at_one = (jacobi @ jacobi)[::2, ::2], at_one[::2]
    count = max(1, int(np.sum(np.cumsum(at_one**2)[: most // 4] < n * (1 - 1e-9))))
    v, J = at_one[:count], jacobi[:count, :count]
    mass = np.eye(count) - np.outer(v, v) / n
    nodes, vectors = scipy.linalg.eigh(J - np.outer(v, v) / n, mass)
    weights = (vectors[0] - v @ vectors / n) ** 2
    return (nodes, weights) if signed else (np.sqrt(np.maximum(nodes, 0)), weights)


def sphere_polynomials(t: Float[np.ndarray, " points"], d: int, degree: int) -> Float[np.ndarray, "degrees points"]:
    """P_0 .. P_degree at t: positive definite on the sphere in d >= 2 dimensions (Gegenbauer), P_j(1) = 1."""
    P = [np.ones_like(t), t]
    for j in range(1, degree):
        P.append(((2 * j + d - 2) * t * P[j] - j * P[j - 1]) / (j + d - 2))
    return np.stack(P[: degree + 1])
