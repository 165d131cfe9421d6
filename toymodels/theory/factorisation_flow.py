"""Gradient flow on L = 1/2 |A - U Vᵀ|_F^2, a target A (n x m) learned as a product of U (n x r) and V (m x r).

Time is that of dU/dt = -dL/dU, dV/dt = -dL/dV: `steps` steps of gradient descent of size `lr` take t = lr * steps.
With Z = [U; V] stacked and D = UᵀU - VᵀV, which the flow conserves,

    dZ/dt = S Z + J Z D / 2 - Z ZᵀZ / 2,    S = [[0, A], [Aᵀ, 0]],  J = diag(1, -1),

so that for D = lambda I - always true at rank one, and for balanced factors (lambda = 0) at any rank - the linear
part is one symmetric matrix H = S + lambda J / 2 and the Riccati equation for Z Zᵀ has a closed form (Fukumizu 1998;
Braun et al. 2022, arXiv 2306.12353; Domine et al. 2024, arXiv 2409.14623):

    Z Zᵀ(t) = e^{Ht} Z0 [1 + Z0ᵀ (e^{2Ht} - 1)/(2H) Z0]^{-1} Z0ᵀ e^{Ht}.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import exprel

from toymodels.arrays import Array, Float
from toymodels.theory.arguments import Numbers, Real, at_times, factors, real

ROUNDING = 100 * np.finfo(np.float64).eps  # an overlap this small against the terms of its own sum is an exact zero


class RankOneFlow(NamedTuple):
    """The two vectors and the loss at the asked times (leading axes: those of t)."""

    a: Float[Array, "*times n"]
    b: Float[Array, "*times m"]
    loss: Float[Array, "*times"]


class ProductFlow(NamedTuple):
    """The product U Vᵀ and the loss at the asked times (leading axes: those of t)."""

    product: Float[Array, "*times n m"]
    loss: Float[Array, "*times"]


class FactorFlow(NamedTuple):
    """Both factors and the loss at the asked times (leading axes: those of t)."""

    U: Float[Array, "*times n rank"]
    V: Float[Array, "*times m rank"]
    loss: Float[Array, "*times"]

    @property
    def product(self) -> Float[Array, "*times n m"]:
        """U Vᵀ, which unlike U and V does not depend on how the components are mixed."""
        return self.U @ np.swapaxes(self.V, -1, -2)


def rank_one_flow(A: Numbers, a0: Numbers, b0: Numbers, t: Numbers) -> RankOneFlow:
    """da/dt = (A - a bᵀ) b, db/dt = (A - a bᵀ)ᵀ a from (a0, b0), exactly.

    z(t) = e^{Ht} z0 / sqrt(1 + z0ᵀ (e^{2Ht} - 1)/(2H) z0), z = (a, b): the module's closed form with r = 1 and lambda
    = |a0|^2 - |b0|^2, for any target and any start: unbalanced, zero, or on the stable manifold of a saddle (overlaps
    below 1e-14 of their own terms count as exactly zero and stay zero).

    A: n x m; a0: n; b0: m; t: times >= 0 of any shape, in any order. Raises ValueError for shapes that do not fit,
    entries that are not finite and negative times.
    """
    target, a, b = factors(A, real(a0, "a0", 1), real(b0, "b0", 1), "ab")
    times = at_times(t)
    imbalance = math.fsum(np.concatenate([a**2, -(b**2)]).ravel())
    U, V = riccati_flow(target, a, b, imbalance, times.ravel())
    loss = squared_loss(target, U, V).reshape(times.shape)
    return RankOneFlow(U.reshape(times.shape + a.shape[:1]), V.reshape(times.shape + b.shape[:1]), loss)


def balanced_flow(A: Numbers, U0: Numbers, V0: Numbers, t: Numbers, tolerance: Real = 1e-6) -> ProductFlow:
    """U Vᵀ(t) of gradient flow where U0ᵀU0 - V0ᵀV0 = lambda * 1, with lambda = 0 for balanced factors, exactly.

    Fukumizu 1998; Braun et al. 2022 (theorem 3.1); Domine et al. 2024 for lambda != 0. Any target, any rank, no
    assumption on how the start is aligned to the target. The factors themselves are fixed only up to a rotation of
    the components, so the product is returned.

    A: n x m; U0: n x r; V0: m x r; t: times >= 0. Raises ValueError where |U0ᵀU0 - V0ᵀV0 - lambda| > tolerance
    (|U0|^2 + |V0|^2); use `gradient_flow` there.
    """
    target, U0, V0 = factors(A, U0, V0)
    times = at_times(t)
    difference = U0.T @ U0 - V0.T @ V0
    rank = difference.shape[0]
    imbalance = float(np.trace(difference)) / rank
    error, size = np.linalg.norm(difference - imbalance * np.eye(rank)), np.sum(U0**2) + np.sum(V0**2)
    if error > tolerance * size:
        raise ValueError(
            f"U0 and V0 are not balanced (U0ᵀU0 - V0ᵀV0 is {error / size:.2g} of their size away from a multiple of "
            "the identity): the closed form does not hold, gradient_flow integrates the general case"
        )
    U, V = riccati_flow(target, U0, V0, imbalance, times.ravel())
    shape = times.shape + target.shape
    return ProductFlow((U @ np.swapaxes(V, 1, 2)).reshape(shape), squared_loss(target, U, V).reshape(times.shape))


def mode_strength(s: Numbers, u0: Numbers, t: Numbers) -> np.ndarray:
    """u(t) = s e^{2st} / (e^{2st} - 1 + s/u0), the strength of a balanced mode aligned to its target.

    Saxe et al. 2013 (eq. 12, their tau = 1): du/dt = 2 u (s - u). s, u0, t >= 0, broadcast; u0/(1 + 2 u0 t) at s = 0,
    and 0 at u0 = 0.
    """
    s, u0, t = real(s, "s"), real(u0, "u0"), at_times(t)
    if np.any(s < 0) or np.any(u0 < 0):
        raise ValueError("s and u0 are a singular value and a mode's strength: neither is negative")
    return np.asarray(u0 / (np.exp(-2 * s * t) + 2 * u0 * t * exprel(-2 * s * t)))


def gradient_flow(A: Numbers, U0: Numbers, V0: Numbers, t: Numbers, rtol: Real = 1e-11) -> FactorFlow:
    """dU/dt = (A - U Vᵀ) V, dV/dt = (A - U Vᵀ)ᵀ U from any start at any rank, integrated.

    Dormand-Prince of order 8, or LSODA where stiff, for starts that no closed form covers. Relative error about 1e3
    rtol; a start exactly on the stable manifold of a saddle leaves it by rounding after a time of about 37 / (growth
    rate).

    A: n x m; U0: n x r; V0: m x r; t: times >= 0 of any shape, in any order.
    """
    target, U0, V0 = factors(A, U0, V0)
    times = at_times(t)
    ordered, position = np.unique(times.ravel(), return_inverse=True)
    states = _integrate(target, U0, V0, ordered, rtol)[position]
    U = states[:, : U0.size].reshape(times.size, *U0.shape)
    V = states[:, U0.size :].reshape(times.size, *V0.shape)
    loss = squared_loss(target, U, V).reshape(times.shape)
    return FactorFlow(U.reshape(times.shape + U0.shape), V.reshape(times.shape + V0.shape), loss)


def squared_loss(A: np.ndarray, U: np.ndarray, V: np.ndarray) -> np.ndarray:
    """1/2 |A - U Vᵀ|^2 from the residual itself, time by time: expanded, it would cancel once the target is learned."""
    with np.errstate(over="ignore"):
        return np.array([np.sum((A - u @ v.T) ** 2) / 2 for u, v in zip(U, V, strict=True)], np.float64)


def _integrate(A: np.ndarray, U0: np.ndarray, V0: np.ndarray, t: np.ndarray, rtol: Real) -> np.ndarray:
    """States [U, V] flattened, at ascending times."""
    (n, rank), start = U0.shape, np.concatenate([U0.ravel(), V0.ravel()])

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        U, V = state[: n * rank].reshape(n, rank), state[n * rank :].reshape(-1, rank)
        residual = A - U @ V.T
        return np.concatenate([(residual @ V).ravel(), (residual.T @ U).ravel()])

    if t.size == 0 or t[-1] == 0 or not np.any(start):
        return np.repeat(start[None], t.size, 0)
    speed = max(np.linalg.norm(A, 2), np.linalg.norm(U0, 2) ** 2, np.linalg.norm(V0, 2) ** 2)
    # Explicit steps are bounded by about 6 / speed: beyond some thousands of them an implicit method is cheaper.
    method = "DOP853" if speed * t[-1] < 2e4 else "LSODA"
    atol = 1e-13 * np.max(np.abs(start))
    solution = solve_ivp(velocity, (0, t[-1]), start, method, t, rtol=rtol, atol=atol)
    if not solution.success:
        raise ValueError(f"the flow could not be integrated to t={t[-1]:g}: {solution.message}")
    return solution.y.T


class _Spectrum(NamedTuple):
    """Eigenvectors of H = S + lambda J / 2, as columns split into their U and V halves, and its eigenvalues."""

    left: np.ndarray  # n x modes
    right: np.ndarray  # m x modes
    eigenvalue: np.ndarray
    excess: np.ndarray  # eigenvalue - |lambda|/2 without the cancellation; meant for eigenvalue >= 0


def _spectrum(A: np.ndarray, imbalance: float) -> _Spectrum:
    """Each singular triple gives +-sqrt(s^2 + lambda^2/4), null directions of U lambda/2 and of V -lambda/2."""
    n, m = A.shape
    left, s, right = np.linalg.svd(A)
    left, right = (np.where(np.abs(basis) < ROUNDING / 25, 0, basis) for basis in (left, right.T))
    k, half = s.size, imbalance / 2
    omega = np.hypot(s, half)
    large, small = np.cos(angle := np.arctan2(s, abs(half)) / 2), np.sin(angle)
    cos, sin = (large, small) if half >= 0 else (small, large)
    null_u, null_v = np.full(n - k, half), np.full(m - k, -half)
    null_excess = np.zeros(n + m - 2 * k)
    return _Spectrum(
        np.concatenate([left[:, :k] * cos, -left[:, :k] * sin, left[:, k:], np.zeros((n, m - k))], 1),
        np.concatenate([right[:, :k] * sin, right[:, :k] * cos, np.zeros((m, n - k)), right[:, k:]], 1),
        np.concatenate([omega, -omega, null_u, null_v]),
        np.concatenate([s * np.divide(s, omega + abs(half), out=np.zeros(k), where=s > 0), -omega, null_excess]),
    )


def _overlaps(spectrum: _Spectrum, U: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Z0 in the eigenbasis (modes x r); overlaps of the size of their own rounding error are set to zero.

    A start exactly orthogonal to a growing mode stays there for ever; left in, the rounding would grow exponentially.
    """
    overlap = spectrum.left.T @ U + spectrum.right.T @ V
    terms = np.abs(spectrum.left).T @ np.abs(U) + np.abs(spectrum.right).T @ np.abs(V)
    return np.where(np.abs(overlap) <= ROUNDING * terms, 0, overlap)


def _graded_basis(rows: np.ndarray, log_scale: np.ndarray) -> np.ndarray:
    """A well-conditioned basis (times x rows x r) of the columns of diag(e^log_scale) rows, by complete pivoting.

    The rows differ by factors like e^{s t} that no float holds, so scales stay apart from mantissas until the end. The
    largest entry is the pivot, hence all entries of the result are at most one and no row loses its relative accuracy.
    """
    times, rank = np.arange(log_scale.shape[0]), rows.shape[1]
    mantissa = np.repeat(rows[None], times.size, 0)
    magnitude, basis, free = np.abs(mantissa), np.empty(mantissa.shape), np.ones((times.size, rank), bool)
    for component in range(rank):
        with np.errstate(divide="ignore"):
            size = np.log(np.abs(mantissa)) + log_scale[:, :, None]
        candidates = np.where(free[:, None, :], size, -np.inf).reshape(times.size, rows.size)
        row, column = np.divmod(np.argmax(candidates, 1), rank)
        chosen, pivot_size = mantissa[times, :, column], size[times, row, column]
        basis[:, :, component] = np.sign(chosen) * np.exp(size[times, :, column] - pivot_size[:, None])
        free[times, column] = False
        ratio = np.where(free, mantissa[times, row, :] / mantissa[times, row, column][:, None], 0)
        update = chosen[:, :, None] * ratio[:, None, :]
        mantissa, magnitude = mantissa - update, magnitude + np.abs(update)
        mantissa[np.abs(mantissa) <= ROUNDING * magnitude] = 0
    return basis


def riccati_flow(A: np.ndarray, U0: np.ndarray, V0: np.ndarray, imbalance: float, t: np.ndarray):
    """U(t), V(t) where UᵀU - VᵀV = imbalance * 1, up to a common rotation of the components (none at r = 1).

    1 + Z0ᵀ phi Z0 = FᵀF for F = [1; sqrt(phi) Z0], phi = (e^{2Ht} - 1)/(2H) > 0, so Z Zᵀ needs only the column space
    of F.
    """
    spectrum = _spectrum(A, imbalance)
    Z0, rank = _overlaps(spectrum, U0, V0), U0.shape[1]
    moving = t > 0
    time = np.where(moving, t, 1)[:, None]
    rate, shift = spectrum.eigenvalue, abs(imbalance) / 2
    saturation = time * exprel(-2 * np.abs(rate) * time)  # phi, with e^{2Ht} taken out where H > 0
    # Log-scales of the rows of F, all less shift * t: only their differences matter.
    growth = np.where(rate >= 0, spectrum.excess * time, -shift * time)
    log_scale = np.concatenate([np.repeat(-shift * time, rank, 1), growth + np.log(saturation) / 2], 1)
    basis = _graded_basis(np.concatenate([np.eye(rank), Z0]), log_scale)
    triangle = np.asarray(np.linalg.qr(basis, mode="r"))
    triangle *= np.where(np.diagonal(triangle, 0, 1, 2) < 0, -1, 1)[:, :, None]
    unit = np.swapaxes(np.linalg.solve(np.swapaxes(triangle, 1, 2), np.swapaxes(basis[:, rank:], 1, 2)), 1, 2)
    Z = (np.exp(np.minimum(rate, 0) * time) / np.sqrt(saturation))[:, :, None] * unit
    U, V = spectrum.left @ Z, spectrum.right @ Z
    return np.where(moving[:, None, None], U, U0), np.where(moving[:, None, None], V, V0)
