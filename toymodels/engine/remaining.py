"""What is still to gain where training ended, measured by a descent to the bottom of the valley (`engine.polish`).

On a deterministic problem the gradients are of double precision, and what the descent gains is exact. On draws it runs
on each half of a fresh sample: what a half gains on its own examples is too much, for a part of it is their noise; what
the same descent gains on the other half is too little, for it has followed noise. The truth lies between.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from toymodels.analysis.convergence import MARGIN, RTOL, at_bottom
from toymodels.arrays import Bool, Float
from toymodels.engine.gradients import is_exact
from toymodels.engine.polish import Gradient, Limits, Numbers, Rows, Searched, Vectors, descend
from toymodels.train import Run

EXACT = Limits(steps=40, products=64, tolerance=1e-5, difference=1e-6, flat=1e-9, rounding=1e-13)
DRAWN = Limits(steps=10, products=12, tolerance=1e-3, difference=3e-3, flat=-0.03, rounding=1e-6)
FAR = 2 * RTOL
"""A descent ends where it has gained so much of the loss: the cell is not at the bottom."""
REST = 0.01
"""Where the loss is as good as zero, it ends where so much of it is left."""
FOLLOWED = 0.2
"""On draws it ends, too, where a half has gained so much on its own examples: the rest would be their noise."""
FEWEST, GROWTH, MOST, STEPS_A_BATCH = 2, 4, 64, 600
"""Half a sample is 2 batches; as long as a cell is undecided, 4 times as many, up to one for every 600 steps of
training, and to 64."""
SHARE, LEAST = 4, 8
"""A cell's first descent takes one gradient of a batch for every 4 steps of training, or 8 gradients of its sample."""


SizedGradient = Callable[[int, Rows, Searched], tuple[Numbers, Vectors]]
"""(batches, which, points) -> losses and gradients of these descents - cell by cell, half by half - at these points, on
so many batches a half."""


def measure(
    gradient: SizedGradient, x: Float[np.ndarray, "cells parameters"], run: Run, small: Bool[np.ndarray, " cells"]
) -> dict[str, np.ndarray]:
    """What cells have to gain from x on, by gradients on two halves - on one where they are exact; each (cells,).

    `gain_low` and `gain_high`, as parts of the loss: the second is infinite where a descent did not reach the bottom,
    and what was gained by then where that is enough to tell that this is not the bottom. `gradient`, the norm of the
    gradient at x. `moved`, how far the bottom is, as a part of the norm of x. A cell is `small` whose loss is as good
    as zero: how far the bottom is decides there.
    """
    allowed = run.steps // SHARE
    if is_exact(run):
        return _measured(partial(gradient, 1), x, x[:, None], EXACT._replace(gradients=max(LEAST, allowed)), small)
    batches, most = FEWEST, min(MOST, run.steps // STEPS_A_BATCH)
    limits = DRAWN._replace(gradients=max(LEAST, allowed // (2 * FEWEST)))
    found = _measured(partial(gradient, FEWEST), x, np.stack([x, x], axis=1), limits, small)
    while batches * GROWTH <= most and (open_ := _undecided(found)).any():
        batches *= GROWTH
        again = _measured(partial(gradient, batches), x, found["bottom"], DRAWN, small, ~open_)
        found = {
            name: np.where(open_.reshape(-1, *[1] * (values.ndim - 1)), again[name], values)
            for name, values in found.items()
        }
    return found


def _undecided(found: dict[str, np.ndarray]) -> Bool[np.ndarray, " cells"]:
    near, far = at_bottom(found["gain_low"], found["gain_high"])
    return ~near & ~far & np.isfinite(found["gain_low"])


def _measured(
    gradient: Gradient,
    x: Float[np.ndarray, "cells parameters"],
    start: Float[np.ndarray, "cells halves parameters"],
    limits: Limits,
    small: Bool[np.ndarray, " cells"],
    skip: Bool[np.ndarray, " cells"] | None = None,
) -> dict[str, np.ndarray]:
    """One measurement, by descents from `start`; `bottom` is where they have led."""
    cells, halves, _ = start.shape
    everywhere = np.arange(cells * halves)

    def each(values: np.ndarray) -> np.ndarray:
        return values.reshape(cells, halves, *values.shape[1:])

    def unseen(points: Vectors) -> Numbers:
        """Losses where the descents on the other halves have led."""
        return gradient(everywhere, each(points)[:, ::-1].reshape(cells * halves, -1))[0]

    def enough(
        points: Vectors, loss: Numbers, first: Numbers, going: Bool[np.ndarray, " runs"]
    ) -> Bool[np.ndarray, " runs"]:
        gained, size = first - loss, np.abs(first)
        if halves == 1:
            return np.where(small, np.abs(loss) <= REST * size, gained > FAR * size)
        followed = gained > FOLLOWED * size
        asked = ~small & each(going).any(1) & each((gained > FAR * size) & ~followed).any(1)
        if not asked.any():  # it takes a gradient
            return followed
        known = asked & (each(first - unseen(points)).mean(1) > FAR * each(size).mean(1))
        return followed | np.repeat(known, halves)

    first, slope = map(each, gradient(everywhere, np.repeat(x, halves, axis=0)))
    found = descend(
        gradient, start.reshape(cells * halves, -1), limits, enough, None if skip is None else np.repeat(skip, halves)
    )
    bottom, last = each(found.x), each(found.loss)
    final = last if halves == 1 else each(unseen(found.x))
    loss, size = np.abs(first).mean(1), np.linalg.norm(x, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = (np.where(loss > 0, (first - there).mean(1) / loss, 0.0) for there in (final, last))
        way = np.linalg.norm(bottom - x[:, None], axis=2).mean(1) / size
    ended = found.done if halves == 1 else found.done | found.far
    # Cut short, a descent may still have gained so much that the cell is not at the bottom, as far as one can tell.
    told = each(found.cut).any(1) & ((low + high) / 2 > MARGIN * RTOL)
    return {
        "gain_low": low,
        "gain_high": np.where(each(ended).all(1) | told, high, np.inf),
        "gradient": np.linalg.norm(slope, axis=2).mean(1),
        "moved": np.where(size > 0, way, np.inf),
        "bottom": bottom,
    }
