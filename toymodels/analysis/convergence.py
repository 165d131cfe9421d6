"""What became of a run: at the bottom of its valley, still falling, or lost.

Two sources. What is still to gain, which is measured where training ends (`engine.remaining`), decides wherever it is
known well enough. The curve of the loss decides otherwise: its drift, and what a fit of its tail says is still to come.
A curve alone cannot tell the bottom from a plateau before an escape, nor from a learning rate that has gone to zero.
"""

import numpy as np
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Bool, Float

RTOL = 0.01
"""Converged: within this part of the loss at the bottom of the valley."""
MARGIN = 0.75
"""Bounds are estimates: cells are called converged up to this part of that."""
ZERO = 1e-12
"""Part of the first loss that single precision cannot tell from zero."""
SMALL, NEAR = 1e-6, 1e-3
"""Where the bottom is zero no loss is near it in ratio. A loss is as good as zero where it has come below the first of
these parts of its first value, and the parameters have to move by less than the second part of their norm."""


def at_bottom(
    gain_low: Float[Array, " runs"] | ArrayLike, gain_high: Float[Array, " runs"] | ArrayLike
) -> tuple[Bool[np.ndarray, " runs"], Bool[np.ndarray, " runs"]]:
    """Whether runs are surely within 1 % of the bottom of their valley, and whether they are surely not.

    The bounds are those of `engine.remaining`: the truth is near their middle. Neither where they are far apart.
    """
    low, high = np.asarray(gain_low, np.float64), np.asarray(gain_high, np.float64)
    return low + 0.75 * (high - low) <= MARGIN * RTOL, low > RTOL


def settled(
    steps: Float[Array, " steps"] | ArrayLike,
    loss: Float[Array, "runs steps"] | ArrayLike,
    gain_low: Float[Array, " runs"] | ArrayLike,
    gain_high: Float[Array, " runs"] | ArrayLike,
    moved: Float[Array, " runs"] | ArrayLike,
) -> Bool[np.ndarray, " runs"]:
    """Whether runs have reached the bottom of their valley: what is to gain there is at most 1 % of the loss.

    `gain_low` and `gain_high` bound what is to gain, as parts of the loss; `moved` is the way to the bottom, as a part
    of the norm of the parameters. Where the bounds leave it open, a run has settled if its curve has (`converged`) and
    their middle says so - or the curve alone, where a descent did not come to an end and there is no upper bound: a
    model with more parameters than examples follows their noise for ever.
    """
    curves = np.asarray(loss, np.float64)
    low, high, way = (np.asarray(each, np.float64) for each in (gain_low, gain_high, moved))
    zero = (np.abs(curves[:, -1]) <= SMALL * np.abs(curves[:, 0])) & (way <= NEAR)
    near, far = at_bottom(low, high)
    likely = np.asarray(converged(steps, curves)) & (((low + high) / 2 <= MARGIN * RTOL) | np.isposinf(high))
    return np.isfinite(curves).all(-1) & (zero | near | (likely & ~far))


def converged(
    steps: Float[Array, " steps"] | ArrayLike,
    loss: Float[Array, "*runs steps"] | ArrayLike,
    rtol: float | int = RTOL,
    fraction: float | int = 0.1,
) -> bool | np.ndarray:
    """Whether a curve ends flat: no drift over the last two spans of `fraction` of the steps, and none to come.

    Drift: the means of the two spans differ by more than `rtol` of their size and by more than 2.5 standard errors,
    from the scatter between neighbouring records. To come: a loss that falls exponentially over the last three spans,
    beyond its noise, has more than `rtol` of its size to go until it is flat (Aitken's rule). A loss below 1e-12 of the
    first one is zero; one that is anywhere not finite has not converged, nor has one that rises at the end by more than
    the same bound. Leading axes of `loss` give an array of answers.
    """
    for name, number in (("rtol", rtol), ("fraction", fraction)):
        if not number > 0:
            raise ValueError(f"{name}={number}: it must be positive")
    if fraction > 0.5:
        raise ValueError(f"fraction={fraction}: two of them must fit in the run, so it lies in (0, 0.5]")
    runs = np.asarray(loss, np.float64)
    if runs.ndim == 0 or runs.shape[-1] == 0:
        raise ValueError(f"loss of shape {runs.shape}: its last axis is the steps")
    answers = _converged(steps, runs.reshape(-1, runs.shape[-1]), rtol, fraction)
    return bool(answers[0]) if runs.ndim == 1 else answers.reshape(runs.shape[:-1])


def _converged(steps: ArrayLike, runs: np.ndarray, rtol: float, fraction: float) -> np.ndarray:
    """(runs,): of all runs at once, as a store has thousands of them."""
    t = np.asarray(steps, np.float64)
    if t.shape != runs.shape[-1:]:
        raise ValueError(f"steps of shape {t.shape} for losses of {runs.shape[-1]} records")
    if not (np.isfinite(t).all() and (np.diff(t) > 0).all()):
        raise ValueError("steps are finite and increase")
    finite = np.isfinite(runs).all(-1)
    if len(t) < 2:
        return np.zeros(len(runs), bool)
    y = np.where(finite[:, None], runs, 0.0)
    reach = fraction * (t[-1] - t[0])
    # Where records are sparse each mean still takes one record more than its span.
    middle = min(int(np.searchsorted(t, t[-1] - reach, side="left")), len(t) - 1)
    early = min(int(np.searchsorted(t, t[-1] - 2 * reach, side="left")), middle - 1)
    before = min(int(np.searchsorted(t, t[-1] - 3 * reach, side="left")), early - 1)
    tail, previous = y[:, middle:], y[:, early:middle]
    rough = np.abs(np.diff(y[:, min(early, max(len(t) - 20, 0)) :], 2)) * 1.4826 / np.sqrt(6)
    noise = np.median(rough, -1) if rough.shape[-1] else np.zeros(len(y))
    error = noise * np.sqrt(1 / tail.shape[-1] + 1 / previous.shape[-1])
    size, fall = np.abs(previous.mean(-1)), previous.mean(-1) - tail.mean(-1)
    flat = np.abs(fall) <= np.maximum(rtol * size, 2.5 * error)
    if before >= 0:
        steeper = y[:, before:early].mean(-1) - previous.mean(-1)
        slows = (steeper > fall) & (fall > 0)  # a loss that falls faster and faster is judged by its drift
        to_come = np.where(slows, fall**2 / np.where(slows, steeper - fall, 1.0), 0.0)
        flat &= (to_come <= rtol * np.abs(tail.mean(-1))) | (np.abs(fall) <= 2.5 * error)
    gone = np.abs(np.median(tail, -1)) <= ZERO * np.abs(y[:, 0])
    return finite & (gone | flat)


def diverged(loss: Float[Array, "*runs steps"] | ArrayLike, factor: float | int = 100.0) -> bool | np.ndarray:
    """Anything not finite, or a loss that ends above `factor` times the first one; leading axes give an array.

    The end is the median of the last twentieth of the records, so a spike that is recovered from is no divergence. A
    loss that falls without bound is caught only once it is not finite. Where the first loss is not positive the
    reference is its magnitude, or the first non-zero one.
    """
    if not factor > 0:
        raise ValueError(f"factor={factor}: it must be positive")
    runs = np.asarray(loss, np.float64)
    if runs.ndim == 0 or runs.shape[-1] == 0:
        raise ValueError(f"loss of shape {runs.shape}: its last axis is the steps")
    finite = np.asarray(np.isfinite(runs).all(-1))
    safe = np.where(finite[..., None], runs, 0.0)
    end = np.median(safe[..., -max(1, runs.shape[-1] // 20) :], axis=-1)
    answers = np.asarray(~finite | (end > factor * _reference(safe)))
    return bool(answers) if runs.ndim == 1 else answers


def _reference(runs: np.ndarray) -> np.ndarray:
    """The magnitude of the first loss that is not zero."""
    return np.take_along_axis(np.abs(runs), np.argmax(runs != 0, axis=-1)[..., None], -1)[..., 0]


DIVERGENCES = ("loss not finite", "loss above 100 times its first", "parameters not finite")
"""How a run diverges."""


def diverging_record(loss: Float[Array, " steps"] | ArrayLike) -> tuple[int, int]:
    """The first record of a diverged run that shows it, and how, as its place in `DIVERGENCES`.

    The last record, where none does and the parameters are not finite.
    """
    curve = np.asarray(loss, np.float64)
    bad = ~np.isfinite(curve)
    if bad.any():
        return int(bad.argmax()), 0
    if diverged(curve):
        low = np.flatnonzero(curve <= 100 * _reference(curve))
        return int(low[-1]) + 1 if len(low) else 0, 1
    return len(curve) - 1, 2
