"""A second-order descent to the bottom of the valley, of many runs at once: trust-region Newton steps by conjugate
gradients, which find the way out of a saddle point too. Steihaug 1983, SIAM Journal on Numerical Analysis 20:626.

On the host, in double precision: only gradients are compiled, and products with the Hessian are their differences.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from toymodels.arrays import Bool, Float, Int

Vectors = Float[np.ndarray, "runs parameters"]
Numbers = Float[np.ndarray, " runs"]
Rows = Int[np.ndarray, " searched"]
Searched = Float[np.ndarray, "searched parameters"]
Gradient = Callable[[Rows, Searched], tuple[Numbers, Vectors]]
"""(rows, points) -> losses and gradients of these runs at these points."""

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
    difference: float
    """Length over which gradients are compared, as a part of the norm of the parameters."""
    flat: float
    """Curvature below this part of the largest one leads down, not to a minimum."""
    rounding: float
    """A fall by less than this part of the loss cannot be seen."""
    gradients: int = 10**9
    """A run asks for at most so many of its own."""


class Descent(NamedTuple):
    """Where descents have led."""

    x: Vectors
    loss: Numbers
    first_loss: Numbers
    first_slope: Numbers
    """Norm of the gradient at the start."""
    done: Bool[np.ndarray, " runs"]
    """Whether there was no more to gain."""
    far: Bool[np.ndarray, " runs"]
    """Whether it ended before that, as there was enough to gain ..."""
    cut: Bool[np.ndarray, " runs"]
    """... or as it had asked for all the gradients it may ask for."""


def descend(
    gradient: Gradient,
    x: Vectors,
    limits: Limits,
    enough: Callable[[Vectors, Numbers, Numbers, Bool[np.ndarray, " runs"]], Bool[np.ndarray, " runs"]],
    skip: Bool[np.ndarray, " runs"] | None = None,
) -> Descent:
    """Descend from each row of x.

    A run to `skip`, or whose first loss is not finite, stays where it is. `enough(x, loss, first_loss, going)` says
    which of the runs still going have come down so far that they need go no further.
    """
    loss, slope = gradient(np.arange(len(x)), x)
    left = np.full(len(x), limits.gradients - 1)
    first_loss, first_slope = loss, _norm(slope)
    size = _norm(x)
    reach, radius = np.where(size > 0, size, 1.0) * limits.difference, np.where(size > 0, 0.1 * size, 1e-3)
    done = ~(np.isfinite(loss) & np.isfinite(first_slope)) | (False if skip is None else skip)
    far = np.zeros_like(done)
    # Where the gradient is exactly 0 - nothing learned, a saddle point - any direction may lead down.
    nudge = np.where(np.arange(x.shape[1]) % 2, -0.7e-3, 1e-3) * (size[:, None] / np.sqrt(x.shape[1]) + 1e-3)
    trusted = ~done
    for count in range(limits.steps):
        going = ~done & ~far & (left >= 2)  # a product, and the step it leads to
        product = partial(_product, gradient, x, slope, reach)
        most = np.where(going, np.minimum(limits.products, left - 1), 0)
        move, promised, falling, products = _newton(product, slope, radius, most, limits.flat)
        left -= products + 1
        stuck = (first_slope == 0) & (count == 0)
        move = np.where(stuck[:, None], nudge, move)
        # A step down from a saddle point promises little where it is short: as long as it holds, it gets longer.
        falling = (falling | stuck) & trusted
        whole = (products < most) | (most >= min(limits.products, x.shape[1]))  # not cut: what it promises is all
        done = done | (going & whole & (promised <= limits.tolerance * np.abs(loss)) & ~falling)
        going = going & ~done
        if not going.any():
            break
        rows, there, found, ahead = np.flatnonzero(going), x + move, loss.copy(), slope.copy()
        found[rows], ahead[rows] = gradient(rows, there[rows])
        blind = falling & (promised < limits.rounding * np.abs(loss))
        held = going & (found < loss + blind * limits.rounding * np.abs(loss)) & np.isfinite(ahead).all(-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            good = (loss - found) / promised
        trusted, length = held & ((good > 0.25) | stuck | blind), _norm(move)
        radius = np.where(held & ((good > 0.75) | blind), np.maximum(radius, np.where(falling, 10, 4) * length), radius)
        radius = np.where(trusted, radius, length / 4)
        x, slope = (np.where(held[:, None], new, old) for new, old in ((there, x), (ahead, slope)))
        loss = np.where(held, found, loss)
        far = far | (going & enough(x, loss, first_loss, going))
    return Descent(x, loss, first_loss, first_slope, done, far, ~done & ~far & (left < 2))


class _Search(NamedTuple):
    """Conjugate gradients of the runs that still go on, a row for each."""

    rows: Rows
    scale: Float[np.ndarray, "searched 1"]
    """Size of the gradient, which everything is measured in: its square may be too small to be represented."""
    slope: Searched
    move: Searched
    image: Searched
    """The Hessian times the move."""
    residual: Searched
    direction: Searched
    square: Float[np.ndarray, " searched"]
    """|residual|²"""
    steepest: Float[np.ndarray, " searched"]

    def where(self, kept: Bool[np.ndarray, " searched"]) -> "_Search":
        return _Search(*(each[kept] for each in self))

    def promised(self) -> Float[np.ndarray, " searched"]:
        """By how much the moves lower the quadratic model."""
        return -self.scale[:, 0] * (_dot(self.slope, self.move) + _dot(self.move, self.image) / 2)


def _newton(
    product: Callable[[Rows, Searched], Searched],
    slope: Vectors,
    radius: Numbers,
    most: Int[np.ndarray, " runs"],
    flat: float,
) -> tuple[Vectors, Numbers, Bool[np.ndarray, " runs"], Int[np.ndarray, " runs"]]:
    """The move of each run, within its radius, that lowers its quadratic model, and by how much: conjugate gradients,
    cut short at the edge and where the curvature is negative - whether it is, comes third - and after so many products
    at `most`; how many they took comes last."""
    size = _norm(slope)
    moves, promised, falling = np.zeros_like(slope), np.full(len(size), -0.0), np.zeros(len(size), bool)
    search = _started(np.flatnonzero((most > 0) & (size > 0)), slope, size)
    buffer, products = np.empty_like(search.slope), np.zeros_like(most)
    most = np.minimum(most, slope.shape[1])  # so many directions there are
    while search.rows.size:
        rows, scale, _, move, image, residual, direction, square, steepest = search
        bent = product(rows, direction)
        products[rows] += 1
        bent /= scale
        with np.errstate(invalid="ignore", divide="ignore"):
            a, b, curvature = _dot(direction, direction), _dot(move, direction), _dot(direction, bent)
            steepest = np.fmax(steepest, np.abs(curvature / a))
            falling[rows] |= curvature / a <= flat * steepest
            length = np.where(curvature > 0, square / curvature, np.inf)
            edge = (np.sqrt(np.maximum(b**2 - a * (_dot(move, move) - radius[rows] ** 2), 0)) - b) / a
        inside, length, part = length < edge, np.minimum(length, edge)[:, None], buffer[: len(rows)]
        move += np.multiply(length, direction, out=part)
        image += np.multiply(length, bent, out=part)
        residual += part
        left = _dot(residual, residual)
        with np.errstate(invalid="ignore", divide="ignore"):
            direction *= (left / square)[:, None]
            direction -= residual
        search = search._replace(square=left, steepest=steepest)
        going = inside & (left > ACCURACY**2) & (products[rows] < most[rows])
        if not going.all():
            ended = search.where(~going)
            moves[ended.rows], promised[ended.rows] = ended.move, ended.promised()
            search = search.where(going)
    return moves, promised, falling, products


def _started(rows: Rows, slope: Vectors, size: Numbers) -> _Search:
    scale, zeros = size[rows, None], np.zeros((len(rows), slope.shape[1]))
    slope = slope[rows] / scale
    square = _dot(slope, slope)
    return _Search(rows, scale, slope, zeros, zeros.copy(), slope.copy(), -slope, square, np.zeros(len(rows)))


def _product(
    gradient: Gradient,
    x: Vectors,
    slope: Vectors,
    reach: Numbers,
    rows: Rows,
    v: Searched,
) -> Searched:
    """The Hessian of these runs times v, from their gradients at x and a little further along v."""
    size = _norm(v)
    step = (reach[rows] / np.where(size > 0, size, 1.0))[:, None]
    bent = gradient(rows, x[rows] + step * v)[1]
    bent -= slope[rows]
    return np.divide(bent, step, out=bent)


def _dot(a: Vectors, b: Vectors) -> Numbers:
    if len(a) == 1:  # a single row would be summed in another order
        return _dot(np.repeat(a, 2, axis=0), np.repeat(b, 2, axis=0))[:1]
    return np.einsum("rp,rp->r", a, b)


def _norm(a: Vectors) -> Numbers:
    size = np.maximum(a.max(-1, initial=0), -a.min(-1, initial=0))
    scale = np.where(size > 0, size, 1.0)
    part = a / scale[:, None]
    return scale * np.sqrt(_dot(part, part))
