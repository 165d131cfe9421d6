"""Whether a loss falls when features jump: its fall near the jumps of a run, against those of other runs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Real

from toymodels.arrays import Float


def moments(times: Iterable[float], reach: float) -> list[float]:
    """Times of jumps in order; jumps within reach of the one before, of a feature and its antipode, are one moment."""
    found: list[float] = []
    for time in sorted(times):
        if not found or time - found[-1] > reach:
            found.append(float(time))
    return found


def around(
    steps: Real[np.ndarray, " records"], loss: Float[np.ndarray, " records"], time: float, records: int
) -> Float[np.ndarray, " window"] | None:
    """The loss `records` before and after a moment, less its first value; None where the run does not reach."""
    place = int(np.searchsorted(steps, time))
    piece = loss[place - records : place + records + 1] if place >= records else loss[:0]
    return piece - piece[0] if len(piece) == 2 * records + 1 else None


def fall_during(
    steps: Real[np.ndarray, " records"], loss: Float[np.ndarray, " records"], times: Sequence[float], reach: float
) -> tuple[float, float]:
    """(share of the time, fall of the loss) within `reach` of any of these times."""
    middle, length = (steps[1:] + steps[:-1]) / 2, np.diff(steps)
    inside = (np.abs(middle[:, None] - np.asarray(times, np.float64)) <= reach).any(axis=1)
    return float(length[inside].sum() / length.sum()), float(-np.diff(loss)[inside].sum())


class Falls(NamedTuple):
    """Of each run: the share of the time within reach of its own moments, the fall of its loss there, and its mean fall
    near the moments of the other runs; falls in units of the mean whole fall of a run. NaN for a lost run.
    """

    time: Float[np.ndarray, " runs"]
    own: Float[np.ndarray, " runs"]
    others: Float[np.ndarray, " runs"]


def falls(
    steps: Real[np.ndarray, " records"],
    losses: Float[np.ndarray, "runs records"],
    times: Sequence[Sequence[float]],
    reach: float,
) -> Falls:
    """What falls near a run's own moments, against the same run near those of every other: jumps and falls are both
    early, so that moments uniform in time would be too easy a null.

    Were the moments of all runs drawn alike, whatever their law, own and others would be equal in the mean.
    """
    usable = np.flatnonzero(np.isfinite(losses).all(axis=1))
    answer = np.full((3, len(losses)), np.nan)
    whole = (losses[usable, 0] - losses[usable, -1]).mean() if len(usable) else 0.0
    if len(usable) < 2 or not whole > 0:
        return Falls(*answer)
    for run in usable:
        near = {other: fall_during(steps, losses[run], times[other], reach) for other in usable}
        time, own = near.pop(run)
        answer[:, run] = time, own / whole, np.mean([fall for _, fall in near.values()]) / whole
    return Falls(*answer)
