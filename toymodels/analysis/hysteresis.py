"""Loops: two branches of a measure over a parameter, followed up and down, and where they switch."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from toymodels.analysis.ranges import crossing
from toymodels.arrays import Array, Float


def switch(
    x: Float[Array, " points"] | ArrayLike, measure: Float[Array, "*runs points"] | ArrayLike, level: float | int
) -> Float[np.ndarray, "*runs"]:
    """The x > 0 at which each measure first falls through `level`, interpolated in ln x; NaN where it never does.

    The measure goes with ascending x from one side of the transition, where it is above the level, to the other. A run
    that starts below the level, or never comes below it, has no switch. For a way that was gone through downwards, give
    it in ascending x all the same: the switch is where the two sides meet. ValueError for x that does not ascend from
    above 0, or another number of points.
    """
    x, values = np.asarray(x, np.float64), np.asarray(measure, np.float64)
    if x.ndim != 1 or values.shape[-1:] != x.shape or len(x) < 2:
        raise ValueError(f"x of shape {x.shape} and measure of {values.shape}: as many points, two or more")
    if not (x[0] > 0 and (np.diff(x) > 0).all()):
        raise ValueError("x: ascending and greater than 0")
    return np.where(values[..., 0] < level, np.nan, np.exp(crossing(np.log(x), values - level)))


def loop_area(
    x: Float[Array, " points"] | ArrayLike,
    up: Float[Array, " points"] | ArrayLike,
    down: Float[Array, " points"] | ArrayLike,
) -> float:
    """int |up - down| dx by the trapezium rule, both branches on the same x: 0 where a transition leaves no memory."""
    xs, one, other = (np.asarray(each, np.float64) for each in (x, up, down))
    if not xs.shape == one.shape == other.shape or xs.ndim != 1:
        raise ValueError("a loop takes x, up and down of one length")
    return float(np.trapezoid(np.abs(one - other), xs))


class Branch(NamedTuple):
    """One way through the values of a parameter, in ascending order of these, whichever way it was gone through."""

    x: Float[np.ndarray, " levels"]
    measure: Float[np.ndarray, "runs levels"]
    loss: Float[np.ndarray, "runs levels"]
    """At the end of each level."""


class Loop(NamedTuple):
    """The two ways through one transition, on the same levels and with as many runs; the measure falls as x rises."""

    name: str
    up: Branch
    down: Branch

    @property
    def least(self) -> Float[np.ndarray, " levels"]:
        """The least loss of either way."""
        return np.asarray(np.minimum(self.up.loss.min(0), self.down.loss.min(0)))

    @property
    def areas(self) -> Float[np.ndarray, " runs"]:
        """Between the two ways, over ln x."""
        pairs = zip(self.up.measure, self.down.measure, strict=True)
        return np.array([loop_area(np.log(self.up.x), *pair) for pair in pairs])

    def switches(self, level: float) -> tuple[Float[np.ndarray, " runs"], Float[np.ndarray, " runs"]]:
        """Where the measure of each run falls through the level going up, and comes back going down; NaN if never."""
        return switch(self.up.x, self.up.measure, level), switch(self.down.x, self.down.measure, level)

    def widths(self, level: float) -> Float[np.ndarray, " runs"]:
        """ln of the ratio of the two switches."""
        lost, gained = self.switches(level)
        return np.asarray(np.log(lost / gained))
