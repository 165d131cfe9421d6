"""Truth-like directions: the sign patterns that a direction can give to n facts in m dimensions.

Fact i has a vector V_i, its hidden state less that of its negation. A direction θ holds the fact to be true where
V_i · θ > 0, and its negation where V_i · θ < 0. It is truth-like if it takes a side on every fact: whichever it takes,
it is as consistent as truth. Its pattern is s_i = sign V_i · θ. Exact: V_i · θ = s_i for all i; at tolerance t: within
t of it.

>>> import numpy as np
>>> cover_count(5, 3)
22
>>> pattern_count(np.random.default_rng(0).normal(size=(5, 3)))
22
>>> pattern_count(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]))  # two facts along one line
4
"""

import itertools
import math

import numpy as np
from scipy.optimize import linprog

from toymodels.arrays import Float

Facts = Float[np.ndarray, "facts m"]
MOST = 16
"""Facts for which all patterns are gone through."""


def cover_count(n: int, m: int) -> int:
    """2 sum_{k < m} binom(n - 1, k): sign patterns of n vectors in general position in m dimensions; 2^n for n <= m.

    Schläfli 1901; Cover 1965, theorem 1.
    """
    if n < 1 or m < 1:
        raise ValueError(f"n={n}, m={m}: one fact and one dimension at least")
    return 2 * sum(math.comb(n - 1, k) for k in range(m))


def in_general_position(V: Facts, tolerance: float = 1e-9) -> bool:
    """Whether any m of the vectors, or all if there are fewer, are independent: their unit vectors span a volume above
    the tolerance."""
    unit = _unit(V)
    if unit is None:
        return False
    size = min(V.shape)
    subsets = np.array(list(itertools.combinations(range(len(V)), size)))
    volumes = np.linalg.svd(unit[subsets], compute_uv=False).prod(
        axis=1
    )  # of a Gram matrix rounding leaves a root: 1e-8
    return bool(volumes.min() > tolerance)


def pattern_count(V: Facts, tolerance: float = 1e-9) -> int:
    """How many sign patterns have a direction: Cover's number in general position, else `regions`."""
    return cover_count(*V.shape) if in_general_position(V, tolerance) else regions(V, tolerance)


def regions(V: Facts, tolerance: float = 1e-9) -> int:
    """Sign patterns of any vectors: the regions that the planes V_i · θ = 0 cut space into; 0 if a vector is 0.

    r(V) = r(V without its last) + r(the others projected along it), parallel vectors counted once. Zaslavsky 1975.
    """
    unit = _unit(V)
    return 0 if unit is None else _regions(_lines(unit, tolerance), tolerance)


def _regions(lines: Facts, tolerance: float) -> int:
    if not len(lines):
        return 1
    rest, last = lines[:-1], lines[-1]
    within = rest - np.outer(rest @ last, last)
    projected = within / np.linalg.norm(within, axis=1, keepdims=True)
    return _regions(rest, tolerance) + _regions(_lines(projected, tolerance), tolerance)


def _unit(V: Facts) -> Facts | None:
    """Unit vectors; None if one has no direction."""
    length = np.linalg.norm(V, axis=1, keepdims=True)
    return None if not (length > 0).all() else np.asarray(V / length)


def _lines(unit: Facts, tolerance: float) -> Float[np.ndarray, "lines m"]:
    """One of each set of parallel vectors."""
    kept: list[np.ndarray] = []
    for each in unit:
        if all(min(np.linalg.norm(each - other), np.linalg.norm(each + other)) > tolerance for other in kept):
            kept.append(each)
    return np.array(kept).reshape(-1, unit.shape[1])


# ----------------------------------------------------------------------------------------------------- at a tolerance
def patterns(n: int) -> Float[np.ndarray, "patterns facts"]:
    """The 2^(n - 1) sign patterns of n facts that hold the first to be true; the others are their opposites."""
    if not 1 <= n <= MOST:
        raise ValueError(f"n={n}: all patterns are gone through for 1 to {MOST} facts")
    return np.array([(1.0, *rest) for rest in itertools.product([1.0, -1.0], repeat=n - 1)])


def least_tolerance(V: Facts, pattern: Float[np.ndarray, " facts"]) -> float:
    """min over θ of max_i |V_i · θ - s_i|, in [0, 1], by linear programming: 0 for an exact direction, 1 if there is
    none, for θ = 0 has 1. At t a direction's answers differ in size by (1 + t) / (1 - t) at most."""
    n, m = V.shape
    rows, short = pattern[:, None] * V, np.ones((n, 1))
    found = linprog(
        np.append(np.zeros(m), 1.0),
        np.block([[-rows, -short], [rows, -short]]),
        np.append(-np.ones(n), np.ones(n)),
        bounds=[(None, None)] * m + [(0, None)],
    )
    if found.status != 0:
        raise ArithmeticError(f"linear programming of {n} facts in {m} dimensions: {found.message}")
    return float(min(max(found.x[-1], 0.0), 1.0))


def tolerances(V: Facts) -> Float[np.ndarray, " patterns"]:
    """`least_tolerance` of each of `patterns`."""
    return np.array([least_tolerance(V, each) for each in patterns(len(V))])


def polygon_tolerance(k: int) -> tuple[int, float]:
    """Of the regular k-gon, k >= 3: how many sign patterns there are, and the least tolerance of each of them.

    Its N lines (k for odd k, k/2 for even k) have 2 N patterns, all alike up to rotation. The best direction bisects
    its sector: N odd, it lies on a vertex, and the smallest answer is sin(π/2N) of the largest; N even, half-way
    between two, and it is tan(π/2N) of it. A ratio q of the answers allows (1 - q) / (1 + q).
    """
    if k < 3:
        raise ValueError(f"k={k}: a polygon has 3 vertices or more")
    lines = k if k % 2 else k // 2
    q = (math.sin if lines % 2 else math.tan)(math.pi / (2 * lines))
    return 2 * lines, (1 - q) / (1 + q)
