"""Gradient flow on L = 1/2 |A - U Vᵀ|_F^2, a target A (n x m) learned as a product of U (n x r) and V (m x r).

Time is that of dU/dt = -dL/dU, dV/dt = -dL/dV: `steps` steps of gradient descent of size `lr` take t = lr * steps.
With Z = [U; V] stacked and D = UᵀU - VᵀV, which the flow conserves,

    dZ/dt = S Z + J Z D / 2 - Z ZᵀZ / 2,    S = [[0, A], [Aᵀ, 0]],  J = diag(1, -1),

so that for D = lambda I - always true at rank one, and for balanced factors (lambda = 0) at any rank - the linear
part is one symmetric matrix H = S + lambda J / 2 and the Riccati equation for Z Zᵀ has a closed form (Fukumizu 1998;
Braun et al. 2022, arXiv 2306.12353; Domine et al. 2024, arXiv 2409.14623):

    Z Zᵀ(t) = e^{Ht} Z0 [1 + Z0ᵀ (e^{2Ht} - 1)/(2H) Z0]^{-1} Z0ᵀ e^{Ht}.

Everything here is float64 numpy. Inputs may be numpy arrays, JAX arrays or nested lists.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.special import digamma, exprel, polygamma
from scipy.stats import chi2, norm, qmc

from toymodels.arrays import Array, Float

Numbers = Array | Sequence | float | int | np.generic
Real = float | int | np.floating | np.integer
Count = int | np.integer

ROUNDING = 100 * np.finfo(np.float64).eps  # an overlap this small against the terms of its own sum is an exact zero
HALF_DROP = np.sqrt(2) - 1  # u = s x/(1 + x) has removed half of s^2/2 from the loss, (1 + x)^2 = 2, at this x


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


class LowRank(NamedTuple):
    """A best approximation and its loss."""

    product: Float[Array, "n m"]
    loss: float


class GrowthRates(NamedTuple):
    """Rates (descending, per unit of time) at which overlaps with the columns of left and right grow from zero."""

    rates: Float[Array, " modes"]
    left: Float[Array, "n modes"]
    right: Float[Array, "m modes"]


# ---------------------------------------------------------------------------------------------------- inputs


def _real(value: Numbers, name: str, ndim: int | None = None) -> np.ndarray:
    array = np.asarray(value, np.float64)
    if ndim is not None and array.ndim != ndim:
        kind = {0: "a number", 1: "a vector", 2: "a matrix"}[ndim]
        raise ValueError(f"{name} has shape {array.shape}: {kind} is expected")
    if array.size == 0 and name != "t":
        raise ValueError(f"{name} has shape {array.shape}: it is empty")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} has entries that are not finite numbers")
    return array


def _times(t: Numbers) -> np.ndarray:
    times = _real(t, "t")
    if np.any(times < 0):
        raise ValueError(f"t={times.min():g}: the flow starts at t = 0")
    return times


def _problem(A: Numbers, U0: Numbers, V0: Numbers, names: str = "UV") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Target and both factors as matrices of fitting shapes; vectors count as one component."""
    target = _real(A, "A", 2)
    U, V = (_real(value, f"{name}0") for value, name in zip((U0, V0), names, strict=True))
    U, V = (factor[:, None] if factor.ndim == 1 else factor for factor in (U, V))
    if U.ndim != 2 or V.ndim != 2 or (U.shape[0], V.shape[0]) != target.shape or U.shape[1] != V.shape[1]:
        raise ValueError(
            f"{names[0]}0 of shape {np.shape(U0)} and {names[1]}0 of shape {np.shape(V0)} do not factor "
            f"a target of shape {target.shape}"
        )
    return target, U, V


def _singular_values(singular_values: Numbers) -> np.ndarray:
    values = _real(singular_values, "singular_values", 1)
    if np.any(values < 0):
        raise ValueError(f"singular_values has the entry {values.min():g}: singular values are not negative")
    return np.sort(values)[::-1]


def _squared_loss(A: np.ndarray, U: np.ndarray, V: np.ndarray) -> np.ndarray:
    """1/2 |A - U Vᵀ|^2 from the residual itself, time by time: expanded, it would cancel once the target is learned."""
    with np.errstate(over="ignore"):
        return np.array([np.sum((A - u @ v.T) ** 2) / 2 for u, v in zip(U, V, strict=True)], np.float64)


# ------------------------------------------------------------------------------------- the closed form


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


def _riccati_flow(A: np.ndarray, U0: np.ndarray, V0: np.ndarray, imbalance: float, t: np.ndarray):
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


def rank_one_flow(A: Numbers, a0: Numbers, b0: Numbers, t: Numbers) -> RankOneFlow:
    """da/dt = (A - a bᵀ) b, db/dt = (A - a bᵀ)ᵀ a from (a0, b0), exactly.

    z(t) = e^{Ht} z0 / sqrt(1 + z0ᵀ (e^{2Ht} - 1)/(2H) z0), z = (a, b): the module's closed form with r = 1 and lambda
    = |a0|^2 - |b0|^2, for any target and any start: unbalanced, zero, or on the stable manifold of a saddle (overlaps
    below 1e-14 of their own terms count as exactly zero and stay zero).

    A: n x m; a0: n; b0: m; t: times >= 0 of any shape, in any order. Raises ValueError for shapes that do not fit,
    entries that are not finite and negative times.
    """
    target, a, b = _problem(A, _real(a0, "a0", 1), _real(b0, "b0", 1), "ab")
    times = _times(t)
    imbalance = math.fsum(np.concatenate([a**2, -(b**2)]).ravel())
    U, V = _riccati_flow(target, a, b, imbalance, times.ravel())
    loss = _squared_loss(target, U, V).reshape(times.shape)
    return RankOneFlow(U.reshape(times.shape + a.shape[:1]), V.reshape(times.shape + b.shape[:1]), loss)


def balanced_flow(A: Numbers, U0: Numbers, V0: Numbers, t: Numbers, tolerance: Real = 1e-6) -> ProductFlow:
    """U Vᵀ(t) of gradient flow where U0ᵀU0 - V0ᵀV0 = lambda * 1, with lambda = 0 for balanced factors, exactly.

    Fukumizu 1998; Braun et al. 2022 (theorem 3.1); Domine et al. 2024 for lambda != 0. Any target, any rank, no
    assumption on how the start is aligned to the target. The factors themselves are fixed only up to a rotation of
    the components, so the product is returned.

    A: n x m; U0: n x r; V0: m x r; t: times >= 0. Raises ValueError where |U0ᵀU0 - V0ᵀV0 - lambda| > tolerance
    (|U0|^2 + |V0|^2); use `gradient_flow` there.
    """
    target, U0, V0 = _problem(A, U0, V0)
    times = _times(t)
    difference = U0.T @ U0 - V0.T @ V0
    rank = difference.shape[0]
    imbalance = float(np.trace(difference)) / rank
    error, size = np.linalg.norm(difference - imbalance * np.eye(rank)), np.sum(U0**2) + np.sum(V0**2)
    if error > tolerance * size:
        raise ValueError(
            f"U0 and V0 are not balanced (U0ᵀU0 - V0ᵀV0 is {error / size:.2g} of their size away from a multiple of "
            "the identity): the closed form does not hold, gradient_flow integrates the general case"
        )
    U, V = _riccati_flow(target, U0, V0, imbalance, times.ravel())
    shape = times.shape + target.shape
    return ProductFlow((U @ np.swapaxes(V, 1, 2)).reshape(shape), _squared_loss(target, U, V).reshape(times.shape))


def mode_strength(s: Numbers, u0: Numbers, t: Numbers) -> np.ndarray:
    """u(t) = s e^{2st} / (e^{2st} - 1 + s/u0), the strength of a balanced mode aligned to its target.

    Saxe et al. 2013 (eq. 12, their tau = 1): du/dt = 2 u (s - u). s, u0, t >= 0, broadcast; u0/(1 + 2 u0 t) at s = 0,
    and 0 at u0 = 0.
    """
    s, u0, t = _real(s, "s"), _real(u0, "u0"), _times(t)
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
    target, U0, V0 = _problem(A, U0, V0)
    times = _times(t)
    ordered, position = np.unique(times.ravel(), return_inverse=True)
    states = _integrate(target, U0, V0, ordered, rtol)[position]
    U = states[:, : U0.size].reshape(times.size, *U0.shape)
    V = states[:, U0.size :].reshape(times.size, *V0.shape)
    loss = _squared_loss(target, U, V).reshape(times.shape)
    return FactorFlow(U.reshape(times.shape + U0.shape), V.reshape(times.shape + V0.shape), loss)


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


# ------------------------------------------------------------------------------------- plateaus and optima


def plateau_levels(singular_values: Numbers, rank: Count | None = None) -> Float[Array, " levels"]:
    """L_j = 1/2 sum_{k>j} s_k^2 for j = 0..rank: the saddles of L, which small starts pass one by one.

    Baldi & Hornik 1989. At most as many levels as singular values, plus one; the order of the values does not matter.
    Between equal (or close) singular values no plateau is seen, their components are learned together.
    """
    values = _singular_values(singular_values)
    if rank is not None and rank < 0:
        raise ValueError(f"rank={rank}: a learned rank is not negative")
    tails = np.append(np.cumsum(values[::-1] ** 2)[::-1], 0) / 2
    return tails if rank is None else tails[: rank + 1]


def eckart_young(A: Numbers, rank: Count) -> LowRank:
    """min over rank <= r of 1/2 |A - Ã|_F^2 = 1/2 sum_{k>r} s_k^2, at the truncated singular value decomposition.

    Eckart & Young 1936. The minimiser is unique only where s_r > s_{r+1}; the loss always is. Any rank >= 0.
    """
    target = _real(A, "A", 2)
    if rank < 0:
        raise ValueError(f"rank={rank}: a learned rank is not negative")
    left, s, right = np.linalg.svd(target, full_matrices=False)
    return LowRank((left[:, :rank] * s[:rank]) @ right[:rank], float(np.sum(s[rank:] ** 2) / 2))


def stable_step(A: Numbers) -> float:
    """lr < 1/s_1: gradient descent is stable at the balanced optimum, whose Hessian has top eigenvalue 2 s_1.

    The eigenvalues there are s_i + s_j and s_i +- s_k for learned i, j and unlearned k. Unbalanced optima are sharper,
    |a|^2 + |b|^2 >= 2 s at rank one. Infinite for A = 0.
    """
    top = float(np.linalg.norm(_real(A, "A", 2), 2))
    return 1 / top if top > 0 else math.inf


# ------------------------------------------------------------------------------------- escape from the first plateau


def measured_escape(t: Numbers, loss: Numbers, before: Numbers, after: Numbers) -> np.ndarray:
    """First time at which a recorded loss is at or under (before + after)/2, interpolated; nan where it never is.

    The half-drop that `escape_time` and its laws predict, for before = plateau_levels(s)[0] and after =
    plateau_levels(s)[1]. t: ascending; loss: (..., times). A loss that starts below the threshold gives t[0].
    """
    t, loss = _real(t, "t", 1), np.asarray(loss, np.float64)
    if loss.shape[-1:] != t.shape or np.any(np.diff(t) < 0):
        raise ValueError(f"t of shape {t.shape} is not an ascending time for each of the losses of shape {loss.shape}")
    threshold = (np.asarray(before, np.float64) + np.asarray(after, np.float64))[..., None] / 2
    below = loss <= threshold
    stop = np.argmax(below, -1)[..., None]
    start = np.maximum(stop - 1, 0)
    high, low = (np.take_along_axis(loss - threshold, index, -1)[..., 0] for index in (start, stop))
    start, stop = start[..., 0], stop[..., 0]
    drop = high - low
    fraction = np.divide(high, drop, out=np.ones_like(drop), where=(drop > 0) & np.isfinite(drop))
    return np.asarray(np.where(below.any(-1), t[start] + fraction * (t[stop] - t[start]), np.nan))


def escape_time(A: Numbers, U0: Numbers, V0: Numbers, components: Count = 1) -> float:
    """t with L(t) = 1/2 |A|^2 - 1/4 sum_{k<=c} s_k^2 on the exact flow from this start, c = components.

    Half way from the plateau of the zero start to that after the first component (or group of c equal ones); the loss
    falls monotonically, so the time is unique. U0: n or n x r, V0: m or m x r. 0 for a start already below, infinite
    for one that never gets there: orthogonal to the growing modes, or too few columns for the drop.
    """
    target, U0, V0 = _problem(A, U0, V0)
    s = np.linalg.svd(target, compute_uv=False)
    if not 1 <= components <= s.size:
        raise ValueError(f"components={components}: the target has {s.size} singular values")
    threshold = float(np.sum(s**2) / 2 - np.sum(s[:components] ** 2) / 4)
    if s[0] == 0:
        return 0.0 if np.all(U0 @ V0.T == 0) else math.inf
    if U0.shape[1] == 1:
        imbalance = math.fsum(np.concatenate([U0**2, -(V0**2)]).ravel())

        def excess(t: float) -> float:
            U, V = _riccati_flow(target, U0, V0, imbalance, np.array([t]))
            return float(_squared_loss(target, U, V)[0]) - threshold
    else:

        def excess(t: float) -> float:
            return float(gradient_flow(target, U0, V0, t).loss) - threshold

    if excess(0.0) <= 0:
        return 0.0
    early, late = 0.0, 1 / s[0]
    while excess(late) > 0:
        early, late = late, 2 * late
        if late * s[0] > (1e8 if U0.shape[1] == 1 else 1e3):
            return math.inf
    return float(brentq(excess, early, late, xtol=1e-12 * late, rtol=1e-12))


class EscapeLimit(NamedTuple):
    """Law of T = ln(2 s x / lambda) / (2 s), lambda / scale^2 ~ chi^2 with dof degrees of freedom, x = sqrt(2) - 1."""

    s: float
    scale: float
    dof: int

    def cdf(self, t: Numbers) -> np.ndarray:
        """P(T <= t)."""
        t = np.asarray(t, np.float64)
        return np.asarray(chi2.sf(2 * self.s * HALF_DROP / self.scale**2 * np.exp(-2 * self.s * t), self.dof))

    def ppf(self, q: Numbers) -> np.ndarray:
        """The time by which a fraction q has escaped."""
        strength = self.scale**2 * chi2.isf(np.asarray(q, np.float64), self.dof)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(2 * self.s * HALF_DROP / strength) / (2 * self.s))

    @property
    def mean(self) -> float:
        """E[T], from E[ln chi^2_k] = digamma(k/2) + ln 2."""
        return float((math.log(self.s * HALF_DROP / self.scale**2) - digamma(self.dof / 2)) / (2 * self.s))

    @property
    def std(self) -> float:
        """sqrt(trigamma(k/2)) / (2 s)."""
        return float(math.sqrt(polygamma(1, self.dof / 2)) / (2 * self.s))


class EscapeSample(NamedTuple):
    """The law as a stratified sample of times, ascending; between them its distribution function is linear."""

    times: Float[Array, " samples"]

    def cdf(self, t: Numbers) -> np.ndarray:
        """P(T <= t)."""
        levels = (np.arange(self.times.size) + 0.5) / self.times.size
        return np.asarray(np.interp(np.asarray(t, np.float64), self.times, levels, left=0, right=1))

    def ppf(self, q: Numbers) -> np.ndarray:
        """The time by which a fraction q has escaped."""
        levels = (np.arange(self.times.size) + 0.5) / self.times.size
        return np.asarray(np.interp(np.asarray(q, np.float64), levels, self.times))

    @property
    def mean(self) -> float:
        """E[T]."""
        return float(np.mean(self.times))

    @property
    def std(self) -> float:
        """Standard deviation of T."""
        return float(np.std(self.times))


def _escape_arguments(singular_values: Numbers, scale: Real, rank: Count) -> np.ndarray:
    s = _singular_values(singular_values)
    if s[0] == 0:
        raise ValueError("singular_values are all zero: nothing grows and nothing escapes")
    if not 1e-150 < scale < 1e150:
        raise ValueError(
            f"scale={scale:g}: the standard deviation of the initial entries is positive in floating range"
        )
    if rank < 1:
        raise ValueError(f"rank={rank}: at least one component is learned")
    return s


def escape_time_limit(singular_values: Numbers, scale: Real, rank: Count = 1) -> EscapeLimit:
    """T = ln(2 s (sqrt 2 - 1) / lambda) / (2 s), lambda / scale^2 ~ chi^2_k: the half-drop time as scale -> 0.

    From entries N(0, scale^2): early on only c = (u.U + v.V)/sqrt 2 ~ N(0, scale^2) grows, as e^{st}, in each of
    `rank` components and `multiplicity` top singular pairs: k = rank * multiplicity. Then the strength u = s x/(1 +
    x), x = lambda e^{2st}/(2s), lambda = |c|^2, is logistic (mode_strength) and half of the drop s^2/2 has happened
    where (1 + x)^2 = 2.

    Valid where one component is learned first, i.e. rank = 1 or a simple top value, and where nothing else has grown
    meanwhile: (s_1 - s_2) T >> 1 and scale^2 (n + m) T << 1. `escape_time_distribution` needs neither. Raises
    ValueError where rank and multiplicity (within 1e-9) both exceed 1: several components are then learned at once.
    """
    s = _escape_arguments(singular_values, scale, rank)
    multiplicity = int(np.sum(s >= s[0] * (1 - 1e-9)))
    if rank > 1 and multiplicity > 1:
        raise ValueError(
            f"rank={rank} and a top singular value of multiplicity {multiplicity}: several components escape "
            "together, which has no closed law; use escape_time_distribution"
        )
    return EscapeLimit(float(s[0]), float(scale), rank * multiplicity)


def escape_time_distribution(
    singular_values: Numbers,
    scale: Real,
    rank: Count = 1,
    shape: tuple[Count, Count] | None = None,
    components: Count = 1,
    samples: Count | None = None,
) -> EscapeSample:
    """Law of t with L(t) = 1/2 |A|^2 - 1/4 sum_{k<=c} s_k^2 over starts with entries N(0, scale^2), c = components.

    Each sample solves the balanced flow of the whole spectrum, drop = tr(S P) - 1/2 |P|^2 with P = 1/2 Y (1 + Cᵀ phi
    C)^{-1} Yᵀ, Y = e^{st} C, over Gaussian overlaps C drawn by Latin hypercube: by rotation invariance nothing else
    of A matters. So close, equal and competing singular values are covered, at any rank; where one mode dominates
    this is `escape_time_limit`.

    Leading order in the start: what the imbalance UᵀU - VᵀV and the decaying modes do is kept only on average; the
    times are off by order scale^2 sqrt(n + m) T relative to 1/s_1, under 1 % up to scale 1e-2 at n = m = 32. shape =
    (n, m), by default square and full rank, counts null directions. components > 1 is for a group of (nearly, within
    10 %) equal top values learned together and needs rank >= components. samples: by default 1024 to 8192, fewer for
    large ranks.
    """
    s = _escape_arguments(singular_values, scale, rank)
    n, m = shape if shape is not None else (s.size, s.size)
    if np.sum(s > 0) > min(n, m):
        raise ValueError(f"shape={shape}: a target of that shape has no {np.sum(s > 0)} nonzero singular values")
    if not 1 <= components <= min(rank, s.size) or s[components - 1] < 0.9 * s[0]:
        raise ValueError(
            f"components={components}: the first group has at most rank={rank} components, of singular values "
            "within 10 % of the top one"
        )
    s = s[s > 0]
    typical = math.log(1 + 2 * s[0] / scale**2) / (2 * s[0])
    drawn = int(np.sum((s - s[0]) * typical > -4.6))  # e^-9.2 = 1e-4 of the top's square
    count = samples or int(np.clip(2**24 // (drawn * rank**2), 1024, 8192))
    draws = qmc.LatinHypercube(drawn * rank, rng=np.random.default_rng(0)).random(count)
    overlaps = scale * norm.ppf(draws).reshape(count, drawn, rank)
    half = float(np.sum(s[:components] ** 2)) / 4
    # Beyond the cap a Gram matrix loses its small eigenvalues; a fraction of about 1e-6 of the starts takes longer.
    cap = typical + (69 if rank == 1 else 25) / (2 * s[0])
    early, late = np.zeros((count, 1)), np.full((count, 1), cap)
    for _ in range(40):
        middle = (early + late) / 2
        others = scale**2 * _average_saturation(s, drawn, n + m - 2 * s.size, middle)
        escaped = _loss_drop(s[:drawn], overlaps, middle, others) >= half
        early, late = np.where(escaped, early, middle), np.where(escaped, middle, late)
    return EscapeSample(np.sort(late[:, 0]))


def _average_saturation(s: np.ndarray, drawn: int, null: int, t: np.ndarray) -> np.ndarray:
    """E of z0ᵀ (e^{2Ht} - 1)/(2H) z0 at unit variance over growing modes not drawn, decaying and null ones."""
    rest = s[drawn:]
    growing = np.sum(np.exp(2 * rest * t) * exprel(-2 * rest * t), 1, keepdims=True)
    return t * (growing + np.sum(exprel(-2 * s * t), 1, keepdims=True) + null)


def _loss_drop(s: np.ndarray, overlaps: np.ndarray, t: np.ndarray, others: np.ndarray) -> np.ndarray:
    """1/2 |A|^2 - L(t) = tr(S P) - 1/2 |P|^2 (samples x 1) of the balanced flow; overlaps: samples x modes x r."""
    growth = np.exp((s - s[0]) * t)[:, :, None]
    grown = overlaps * growth  # Y, less e^{s_1 t}
    saturated = grown * np.sqrt(t * exprel(-2 * s * t))[:, :, None]
    gram = np.swapaxes(saturated, 1, 2) @ saturated
    gram += (np.exp(-2 * s[0] * t) * (1 + others))[:, :, None] * np.eye(overlaps.shape[2])
    strength, weighted = np.swapaxes(grown, 1, 2) @ grown, np.swapaxes(grown * s[:, None], 1, 2) @ grown
    solved = np.linalg.solve(gram, np.concatenate([strength, weighted], 2))
    squared, linear = np.split(solved, 2, 2)
    drop = np.trace(linear, axis1=1, axis2=2) / 2 - np.sum(squared * np.swapaxes(squared, 1, 2), (1, 2)) / 8
    return drop[:, None]


# ------------------------------------------------------------------------------------- growth from zero


def growth_rates(gradient: Numbers) -> GrowthRates:
    """Near Ã = 0, dU/dt = G V and dV/dt = Gᵀ U with G = -dL/dÃ: overlaps u.U + v.V grow at the singular values of G.

    gradient: n x m, dL/dÃ at Ã = 0 of any loss.
    """
    left, rates, right = np.linalg.svd(-_real(gradient, "gradient", 2), full_matrices=False)
    return GrowthRates(rates, left, right.T)


def squared_growth_rates(A: Numbers) -> GrowthRates:
    """s_k of A, for L = 1/2 |A - Ã|_F^2, whose gradient at zero is -A."""
    return growth_rates(-_real(A, "A", 2))


def inner_product_growth_rates(A: Numbers) -> GrowthRates:
    """s_k of A, for L = -<A, Ã>; here the growth is exponential for ever."""
    return growth_rates(-_real(A, "A", 2))


def power_growth_rates(A: Numbers, power: Real) -> GrowthRates:
    """Singular values of power |A|^(power-1) sign(A), for L = sum |A - Ã|^power, power >= 1; twice s_k at power 2."""
    target = _real(A, "A", 2)
    if not 1 <= power < np.inf:
        raise ValueError(f"power={power:g}: the exponent of a loss is at least 1")
    return growth_rates(-power * np.abs(target) ** (power - 1) * np.sign(target))


def cross_entropy_growth_rates(A: Numbers) -> GrowthRates:
    """Singular values of q - 1/(n m), for L = -sum q log softmax(Ã) + const, q = softmax(A) over all n m entries.

    About s_k(A - mean A)/(n m) for a small A. Zero for a constant A, which is already learned.
    """
    target = _real(A, "A", 2)
    weights = np.exp(target - target.max())
    excess = weights / weights.sum() - 1 / target.size
    excess[np.abs(excess) <= ROUNDING / target.size] = 0
    return growth_rates(-excess)


def _second_moment(second_moment: Numbers, size: int) -> np.ndarray:
    moment = _real(second_moment, "second_moment")
    if moment.ndim == 0 or moment.shape == (size,):
        moment = moment * np.eye(size)
    if moment.shape != (size, size) or not np.allclose(moment, moment.T, rtol=1e-6, atol=1e-6 * np.abs(moment).max()):
        raise ValueError(f"second_moment of shape {np.shape(second_moment)} is no symmetric matrix over {size} inputs")
    moment = (moment + moment.T) / 2
    if np.linalg.eigvalsh(moment)[0] < -1e-6 * np.abs(moment).max():
        raise ValueError("second_moment has a negative eigenvalue: it is no E[x xᵀ]")
    return moment


def _root(moment: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(moment)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def regression_growth_rates(A: Numbers, second_moment: Numbers) -> GrowthRates:
    """Singular values of A M, M = E[x xᵀ], for L = 1/2 E|(A - Ã) x|^2; twice that without the 1/2.

    The gradient at zero is -A M. Not those of A M^(1/2), unless M is a multiple of the identity: V moves in its own
    metric, not in that of M^(1/2) V. second_moment: a number (times the identity), a vector (the diagonal) or m x m.
    """
    target = _real(A, "A", 2)
    return growth_rates(-target @ _second_moment(second_moment, target.shape[1]))


def regression_target(A: Numbers, second_moment: Numbers) -> Float[Array, "n m"]:
    """B = A M^(1/2), M = E[x xᵀ], because E|(A - Ã) x|^2 = |B - Ã M^(1/2)|_F^2: plateaus and optimum are those of B.

    Levels: plateau_levels of the singular values of B (Baldi & Hornik 1989), twice that without the 1/2; growth rates
    differ, see `regression_growth_rates`. second_moment: a number (times the identity), a vector (the diagonal) or m
    x m.
    """
    target = _real(A, "A", 2)
    return target @ _root(_second_moment(second_moment, target.shape[1]))


def regression_optimum(A: Numbers, second_moment: Numbers, rank: Count) -> LowRank:
    """min over rank <= r of 1/2 E|(A - Ã) x|^2: Ã = [A M^(1/2)]_r M^(-1/2), the truncation in the metric of the inputs.

    Reduced-rank regression (Izenman 1975). Directions that no input has are left at zero.
    """
    best = eckart_young(regression_target(A, second_moment), rank)
    root = _root(_second_moment(second_moment, best.product.shape[1]))
    return LowRank(best.product @ np.linalg.pinv(root, rcond=1e-7, hermitian=True), best.loss)


def cross_entropy_rank(A: Numbers) -> int:
    """min_c rank(A + c 1 1ᵀ): the least rank at which softmax cross-entropy over all entries reaches zero.

    At Ã = A + c. rank(A) - 1 where 1 lies in the column and in the row space of A and 1ᵀ A⁺ 1 != 0 (then c = -1/(1ᵀ
    A⁺ 1)), else rank(A) (Wedderburn's rank reduction).
    """
    target = _real(A, "A", 2)
    inverse, rank = np.linalg.pinv(target, rcond=1e-10), int(np.linalg.matrix_rank(target, rtol=1e-10))
    rows, columns = np.ones(target.shape[1]), np.ones(target.shape[0])
    inside = np.allclose(target @ (inverse @ columns), columns) and np.allclose((rows @ inverse) @ target, rows)
    return rank - int(inside and abs(rows @ inverse @ columns) > 1e-10 * np.abs(inverse).sum())
