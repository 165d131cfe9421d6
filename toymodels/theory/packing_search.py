"""Packings of a few vectors of least loss, by descent from fixed starts."""

import numpy as np
import scipy.optimize

from toymodels.arrays import Float

STARTS, FOLLOWED = 16, 3
EASY = 4.0
"""Descents to larger powers begin with some steps at this power."""

Rows = Float[np.ndarray, "_ _"]


def least(known: Rows, power: float, signed: bool) -> tuple[float, Rows]:
    """The least loss of the minima below `known` and below some random starts, always the same, and its unit vectors.

    All starts take a few steps, of which the best are followed to their ends.
    """
    begun = []
    for seed in range(STARTS):
        start = np.random.default_rng(seed).standard_normal(known.shape)
        if power > EASY:
            _, start = _descend(start, EASY, signed, 20)
        begun.append(_descend(start, power, signed, 40))
    followed = [known, *(V for _, V in sorted(begun, key=lambda end: end[0])[:FOLLOWED])]
    log_loss, V = min((_descend(V, power, signed, 600) for V in followed), key=lambda end: end[0])
    return float(np.exp(log_loss)), V


def _descend(start: Rows, power: float, signed: bool, steps: int) -> tuple[float, Rows]:
    """The logarithm of the loss where BFGS ends, and the unit vectors there."""
    found = scipy.optimize.minimize(
        lambda x: _log_loss(x.reshape(start.shape), power, signed),
        start.ravel(),
        jac=True,
        method="BFGS",  # SciPy's L-BFGS-B waits for threads of BLAS: ten times slower where other processes run
        options={"maxiter": steps, "gtol": 1e-9},
    )
    V = found.x.reshape(start.shape)
    return float(found.fun), V / np.linalg.norm(V, axis=1, keepdims=True)


def _log_loss(V: Rows, power: float, signed: bool) -> tuple[float, Float[np.ndarray, " entries"]]:
    """log sum_{i != j} l(cos_ij) and its gradient: the loss itself is tiny at large powers."""
    lengths = np.linalg.norm(V, axis=1, keepdims=True)
    U = V / lengths
    cosines = U @ U.T
    np.fill_diagonal(cosines, 0)
    sizes = np.maximum(cosines, 0) if signed else np.abs(cosines)
    largest = sizes.max()
    if largest < 1e-150:
        return -1e6, np.zeros(V.size)
    shares = sizes / largest
    lower = shares ** (power - 1)
    total = np.sum(lower * shares)
    slope = 2 * power / (largest * total) * (lower * np.sign(cosines)) @ U
    slope -= np.sum(slope * U, axis=1, keepdims=True) * U
    return float(power * np.log(largest) + np.log(total)), (slope / lengths).ravel()
