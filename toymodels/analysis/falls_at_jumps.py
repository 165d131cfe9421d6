"""Whether a loss falls when features jump: the part of its fall that is near jumps, against random moments."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Real

from toymodels.analysis.dynamics import Jump
from toymodels.arrays import Float


class Course(NamedTuple):
    """One run: its loss and a measure of every feature, recorded at the same, evenly spaced steps, two or more, and the
    jumps after `since`.
    """

    steps: Real[np.ndarray, " records"]
    loss: Float[np.ndarray, " records"]
    measure: Float[np.ndarray, "records features"]
    late: list[Jump]
    since: float
    records: int = 4
    """Records on each side of a jump in which the fall of the loss counts as its own."""

    @property
    def reach(self) -> float:
        """The same in steps."""
        return float(self.records * (self.steps[1] - self.steps[0]))

    @property
    def moments(self) -> list[float]:
        """When features jump; jumps within reach of the one before, of a feature and its antipode, are one."""
        found: list[float] = []
        for step in sorted(jump.step for jump in self.late):
            if not found or step - found[-1] > self.reach:
                found.append(step)
        return found

    def around(self, time: float, records: int) -> Float[np.ndarray, " window"] | None:
        """The loss `records` before and after a moment, less its first value; None where the run does not reach."""
        place = int(np.searchsorted(self.steps, time))
        piece = self.loss[place - records : place + records + 1] if place >= records else self.loss[:0]
        return piece - piece[0] if len(piece) == 2 * records + 1 else None


class Falls(NamedTuple):
    """Shares within reach of the jumps of all runs together, and of as many times drawn at random in each."""

    time: float
    loss: float
    null: Float[np.ndarray, " draws"]

    @property
    def p_value(self) -> float:
        """Of at least as large a share at random; NaN where nothing falls."""
        if not np.isfinite(self.loss):
            return float("nan")
        return float((1 + (self.null >= self.loss).sum()) / (1 + len(self.null)))


def fall_during(
    steps: Real[np.ndarray, " records"],
    loss: Float[np.ndarray, " records"],
    times: Sequence[float],
    reach: float,
) -> tuple[float, float]:
    """(share of the time, share of the fall of the loss) within `reach` of any of these times."""
    middle, fall, length = (steps[1:] + steps[:-1]) / 2, -np.diff(loss), np.diff(steps)
    inside = np.array([any(abs(time - moment) <= reach for moment in times) for time in middle], bool)
    return float(length[inside].sum() / length.sum()), float(fall[inside].sum() / (fall.sum() or 1.0))


def falls(found: Sequence[Course], draws: int = 500, seed: int = 0) -> Falls:
    """Null: in each run as many moments as it jumps at, uniform over the time considered.

    Runs whose loss is not finite are left out; all NaN where no run is left, or the losses together do not fall.
    """
    rng = np.random.default_rng(seed)
    found = [each for each in found if np.isfinite(each.loss).all()]
    parts = [(each, each.steps >= each.since) for each in found]
    weight = np.array([each.loss[kept][0] - each.loss[kept][-1] for each, kept in parts])
    if not weight.sum() > 0:
        return Falls(float("nan"), float("nan"), np.full(draws, np.nan))

    def shares(times: Sequence[Sequence[float]]) -> np.ndarray:
        made = [
            fall_during(each.steps[kept], each.loss[kept], moments, each.reach)
            for (each, kept), moments in zip(parts, times, strict=True)
        ]
        time, fall = np.array(made).T
        return np.array([time.mean(), (fall * weight).sum() / weight.sum()])

    time, loss = shares([each.moments for each in found])
    random = [
        shares([rng.uniform(each.since, each.steps[-1], len(each.moments)).tolist() for each in found])[1]
        for _ in range(draws)
    ]
    return Falls(float(time), float(loss), np.array(random))
