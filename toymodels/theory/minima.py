"""Local minima of the expected loss, many at a time: Newton's method that avoids saddles, on all cores."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Real

from toymodels.arrays import Array, Float
from toymodels.theory.derivatives import value_slope_hessian
from toymodels.theory.expected_loss import MAX_FEATURES, Solution
from toymodels.theory.feature_arguments import Nested, Number, importances, probability
from toymodels.theory.linear import linear_optimum

STEPS = 300
"""Most steps of one descent; about 13 are usual."""

STATES = 10_000
"""States of the recurrence that a block of descents follows at once: many for numpy, few for the cache."""


def local_minima(
    W: Float[np.ndarray, "starts features hidden"],
    b: Float[np.ndarray, "starts features"],
    p: Float[np.ndarray, "#starts #features"],
    importance: Float[np.ndarray, "#starts #features"],
) -> Solution:
    """W, b and `expected_loss` of the local minimum that a descent from each start ends in; W, b are not overwritten.

    x <- x - (|H| + mu)^-1 g: |H| in place of the Hessian H makes every step one of descent, so that saddles repel; mu
    falls fivefold when a step lowers the loss and rises fivefold when it does not, and then the step is not taken
    (Levenberg-Marquardt; Dauphin et al. 2014 for |H|). A descent ends when its step promises less than 1e-14 of the
    loss, and no longer costs anything; n <= 8. The blocks of descents are shared among the cores.
    """
    count, n, m = W.shape
    points = np.concatenate([W.reshape(count, -1), b], axis=1)
    p, importance = (np.broadcast_to(value, (count, n)) for value in (p, importance))
    size = max(1, STATES // (n * 3**n))
    blocks = [slice(begin, begin + size) for begin in range(0, count, size)]

    def descend(block: slice) -> tuple[np.ndarray, np.ndarray]:
        return _descend(points[block], p[block], importance[block], n, m)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if len(blocks) > 1 and cores > 1:
        with ThreadPoolExecutor(cores) as pool:
            found = list(pool.map(descend, blocks))
    else:
        found = [descend(block) for block in blocks]
    ends, loss = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Solution(ends[:, : n * m].reshape(count, n, m), ends[:, n * m :], loss)


def _descend(start: np.ndarray, p: np.ndarray, importance: np.ndarray, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    def derivatives(points: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, ...]:
        W, b = points[:, : n * m].reshape(-1, n, m), points[:, n * m :]
        return value_slope_hessian(W, b, p[which], importance[which])

    point, active = start.copy(), np.arange(len(start))
    value, slope, hessian = derivatives(point, active)
    damping = np.full(len(start), 0.01)
    for _ in range(STEPS):
        # Where the slope jumps, second derivatives may be as large as floats get.
        curvatures, axes = np.linalg.eigh(np.clip(hessian[active], -1e100, 1e100))
        along = (np.swapaxes(axes, -1, -2) @ slope[active, :, None])[..., 0]
        move = (axes @ (along / (np.abs(curvatures) + damping[active, None]))[..., None])[..., 0]
        trial = derivatives(point[active] - move, active)
        promised = (slope[active] * move).sum(-1)
        better = trial[0] < value[active]
        damping[active] = np.where(better, np.maximum(damping[active] / 5, 1e-12), damping[active] * 5)
        moved = active[better]
        point[moved] -= move[better]
        for old, new in zip((value, slope, hessian), trial, strict=True):
            old[moved] = new[better]
        active = active[(promised > 1e-14 * value[active]) & (damping[active] < 1e9)]
        if not len(active):
            break
    return point, value


def optimum(
    m: int,
    p: Real[Array, "..."] | Nested | Number,
    importance: Real[Array, " features"] | Nested,
    *,
    starts: int = 64,
    seed: int = 0,
) -> Solution:
    """min over W (n x m), b of `expected_loss`: the best of `starts` local minima, from random and from linear weights.

    n is the number of importances. Exact up to the search, which is not a proof: none of the starts led to less. Meant
    for n <= 4, where it takes less than a second. Raises ValueError for n > 8, m < 1 and p out of range.
    """
    if m < 1 or starts < 1:
        raise ValueError(f"m={m}, starts={starts}: both are at least 1")
    linear = linear_optimum(m, p, importance)
    n = len(linear.b)
    if n > MAX_FEATURES:
        raise ValueError(f"{n} features: the exact loss is computed for at most {MAX_FEATURES}")
    random = np.random.default_rng(seed)
    W = random.normal(size=(starts, n, m)) / m**0.5
    b = random.normal(size=(starts, n)) * 0.2
    # Half of the random starts have unit rows; the linear optimum is itself a saddle where superposition is better.
    W[::2] /= np.linalg.norm(W[::2], axis=-1, keepdims=True)
    W[0], b[0] = linear.W + 1e-2 * W[0], linear.b
    found = local_minima(W, b, probability(p).reshape(1, -1), importances(importance).reshape(1, -1))
    best = int(np.argmin(found.loss))
    return linear if linear.loss <= found.loss[best] else Solution(found.W[best], found.b[best], found.loss[best])
