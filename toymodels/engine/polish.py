"""A second-order descent to the bottom of the valley, of many runs at once: trust-region Newton steps by conjugate
gradients, which find the way out of a saddle point too. Steihaug 1983, SIAM Journal on Numerical Analysis 20:626.

On the host, in double precision: only gradients are compiled, and products with the Hessian are their differences.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from toymodels.arrays import Bool, Float

Vectors = Float[np.ndarray, "runs parameters"]
Numbers = Float[np.ndarray, " runs"]

ACCURACY = 1e-3
"""Conjugate gradients end where this part of the gradient is left."""


class Limits(NamedTuple):
    """When a descent ends."""

    steps: int
    """At most so many Newton steps ..."""
    products: int
    """... of at most so many products with the Hessian each."""
    tolerance: float
    """Done where a step promises less than this part of the loss ..."""
    enough: float
    """... or where the loss has come down to this part of the first."""
    difference: float
    """Length over which gradients are compared, as a part of the norm of the parameters."""
    flat: float
    """Curvature below this part of the largest one leads down, not to a minimum."""
    rounding: float
    """A fall by less than this part of the loss cannot be seen."""


class Descent(NamedTuple):
    """Where descents have led."""

    x: Vectors
    loss: Numbers
    first_loss: Numbers
    first_slope: Numbers
    """Norm of the gradient at the start."""
    done: Bool[np.ndarray, " runs"]
    """Whether there was no more to gain."""


def descend(
    gradient: Callable[[Vectors], tuple[Numbers, Vectors]],
    x: Vectors,
    limits: Limits,
    skip: Bool[np.ndarray, " runs"] | None = None,
) -> Descent:
    """Descend from each row of x; `gradient(x)` gives the loss and the gradient of every run at its row.

    A run to `skip`, or whose first loss is not finite, stays where it is.
    """
    loss, slope = gradient(x)
    first_loss, first_slope = loss, _norm(slope)
    size = _norm(x)
    reach, radius = np.where(size > 0, size, 1.0) * limits.difference, np.where(size > 0, 0.1 * size, 1e-3)
    done = ~(np.isfinite(loss) & np.isfinite(first_slope)) | (False if skip is None else skip)
    # Where the gradient is exactly 0 - nothing learned, a saddle point - any direction may lead down.
    nudge = np.where(np.arange(x.shape[1]) % 2, -0.7e-3, 1e-3) * (size[:, None] / np.sqrt(x.shape[1]) + 1e-3)
    trusted = ~done
    for count in range(limits.steps):
        product = partial(_product, gradient, x, slope, reach)
        move, promised, falling = _newton(product, slope, radius, done, limits)
        stuck = (first_slope == 0) & (count == 0)
        move = np.where(stuck[:, None], nudge, move)
        # A step down from a saddle point promises little where it is short: as long as it holds, it gets longer.
        falling = (falling | stuck) & trusted
        done = done | ((promised <= limits.tolerance * np.abs(loss)) & ~falling)
        if done.all():
            break
        found, ahead = gradient(x + move)
        blind = falling & (promised < limits.rounding * np.abs(loss))
        held = ~done & (found < loss + blind * limits.rounding * np.abs(loss)) & np.isfinite(ahead).all(-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            good = (loss - found) / promised
        trusted, length = held & ((good > 0.25) | stuck | blind), _norm(move)
        radius = np.where(held & ((good > 0.75) | blind), np.maximum(radius, np.where(falling, 10, 4) * length), radius)
        radius = np.where(trusted, radius, length / 4)
        x, slope = (np.where(held[:, None], new, old) for new, old in ((x + move, x), (ahead, slope)))
        loss = np.where(held, found, loss)
        done = done | (np.abs(loss) <= limits.enough * np.abs(first_loss))
    return Descent(x, loss, first_loss, first_slope, done)


def _newton(
    product: Callable[[Vectors], Vectors], slope: Vectors, radius: Numbers, done: np.ndarray, limits: Limits
) -> tuple[Vectors, Numbers, Bool[np.ndarray, " runs"]]:
    """The move of each run, within its radius, that lowers its quadratic model, and by how much: conjugate gradients,
    cut short at the edge and where the curvature is negative - whether it is, comes third."""
    size = _norm(slope)
    scale = np.where(size > 0, size, 1.0)[:, None]  # losses may be so small that squares of their gradients are 0
    residual = slope / scale
    move, image, direction = np.zeros_like(slope), np.zeros_like(slope), -residual
    going, falling = ~done & (size > 0), np.zeros(len(size), bool)
    steepest = np.zeros(len(size))
    for _ in range(min(limits.products, slope.shape[1])):  # so many directions there are
        if not going.any():
            break
        bent = product(direction) / scale
        with np.errstate(invalid="ignore", divide="ignore"):
            a, b, square = _dot(direction, direction), _dot(move, direction), _dot(residual, residual)
            curvature = _dot(direction, bent)
            steepest = np.fmax(steepest, np.abs(curvature / a))
            falling |= going & (curvature / a <= limits.flat * steepest)
            length = np.where(curvature > 0, square / curvature, np.inf)
            edge = (np.sqrt(np.maximum(b**2 - a * (_dot(move, move) - radius**2), 0)) - b) / a
        inside = length < edge
        length = np.where(going, np.minimum(length, edge), 0.0)[:, None]
        move, image, residual = move + length * direction, image + length * bent, residual + length * bent
        left = _dot(residual, residual)
        going = going & inside & (left > ACCURACY**2)
        with np.errstate(invalid="ignore", divide="ignore"):
            direction = np.where(going[:, None], (left / square)[:, None] * direction - residual, 0.0)
    return move, -scale[:, 0] * (_dot(slope / scale, move) + _dot(move, image) / 2), falling


def _product(
    gradient: Callable[[Vectors], tuple[Numbers, Vectors]], x: Vectors, slope: Vectors, reach: Numbers, v: Vectors
) -> Vectors:
    """The Hessian times v, from the gradients at x and a little further along v."""
    size = _norm(v)
    step = (reach / np.where(size > 0, size, 1.0))[:, None]
    return (gradient(x + step * v)[1] - slope) / step


def _dot(a: Vectors, b: Vectors) -> Numbers:
    return np.einsum("rp,rp->r", a, b)


def _norm(a: Vectors) -> Numbers:
    size = np.abs(a).max(-1, initial=0)
    scale = np.where(size > 0, size, 1.0)
    return scale * np.sqrt(_dot(a / scale[:, None], a / scale[:, None]))
