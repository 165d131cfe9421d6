"""Whether a loss falls when features jump: its fall near the jumps of a run, against those of other runs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Real

from toymodels.analysis.dynamics import Jump, jumps
from toymodels.analysis.labelled import padded
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
    usable = np.flatnonzero(np.isfinite(losses).all(axis=1)).tolist()
    answer = np.full((3, len(losses)), np.nan)
    whole = (losses[usable, 0] - losses[usable, -1]).mean() if len(usable) else 0.0
    if len(usable) < 2 or not whole > 0:
        return Falls(*answer)
    for run in usable:
        near = {other: fall_during(steps, losses[run], times[other], reach) for other in usable}
        time, own = near.pop(run)
        answer[:, run] = time, own / whole, np.mean([fall for _, fall in near.values()]) / whole
    return Falls(*answer)


def jumps_and_falls(
    D: xr.DataArray, loss: xr.DataArray, since: float | int, reach: float | int, size: float, window: int
) -> xr.Dataset:
    """Jumps of D_i(t) by `size` after a time, their moments, and `falls` from then on, of every seed.

    D over seed, snapshot and feature, loss over seed and snapshot. `jumps` counts those of all features; `jump` has the
    fields of each along "what", `moment` the time of each moment: NaN at the end of a seed with fewer than others. A
    seed whose loss is not finite has NaN jumps, and none in the lists.
    """
    steps, curves = D.snapshot.values, D.transpose("seed", "feature", "snapshot").values
    losses = loss.transpose("seed", "snapshot").values.astype(np.float64)
    since, reach = float(since), float(reach)
    known, late = np.asarray(np.isfinite(losses).all(axis=1)), steps >= since
    found = [[each for each in jumps(steps, rows, size, window) if each.step > since] for rows in curves]
    found = [own if usable else [] for own, usable in zip(found, known, strict=True)]
    at = [moments((each.step for each in own), reach) for own in found]
    numbers = {
        "jumps": ("seed", np.where(known, [len(own) for own in found], np.nan)),
        "jump": (("seed", "nth_jump", "what"), padded(found, len(Jump._fields))),
        "moment": (("seed", "nth"), padded(at)),
    }
    near = {name: ("seed", values) for name, values in falls(steps[late], losses[:, late], at, reach)._asdict().items()}
    return xr.Dataset(numbers | near, {"what": list(Jump._fields)}, {"since": since, "reach": reach})


def mean_around(
    loss: xr.DataArray, moment: xr.DataArray, records: int, own: bool = True
) -> Float[np.ndarray, "some window"]:
    """The mean of `around` a seed's moments, or around those of all other seeds; of every seed that has any.

    loss over seed and snapshot, moment over seed and nth, padded with NaN: as `jumps_and_falls` has them.
    """
    steps, losses = loss.snapshot.values, loss.transpose("seed", "snapshot").values
    times, means = moment.transpose("seed", "nth").values, []
    for seed, curve in enumerate(losses):
        chosen = times[seed] if own else np.delete(times, seed, axis=0).ravel()
        pieces = [around(steps, curve, time, records) for time in chosen[np.isfinite(chosen)]]
        cut = [piece for piece in pieces if piece is not None]
        means += [np.mean(cut, axis=0)] if cut else []
    return np.array(means).reshape(-1, 2 * records + 1)
