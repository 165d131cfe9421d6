"""The time at which a factorisation leaves its first plateau: of one start, and its law over random starts.

>>> round(float(escape_time_limit([1.0], 1e-3).mean), 3)
7.449
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, exprel, polygamma
from scipy.stats import chi2, norm, qmc

from toymodels.arrays import Array, Float
from toymodels.theory.arguments import Count, Numbers, Real, descending, factors
from toymodels.theory.factorisation_flow import gradient_flow, riccati_flow, squared_loss

HALF_DROP = np.sqrt(2) - 1  # u = s x/(1 + x) has removed half of s^2/2 from the loss, (1 + x)^2 = 2, at this x


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


def escape_time(A: Numbers, U0: Numbers, V0: Numbers, components: Count = 1) -> float:
    """t with L(t) = 1/2 |A|^2 - 1/4 sum_{k<=c} s_k^2 on the exact flow from this start, c = components.

    Half way from the plateau of the zero start to that after the first component (or group of c equal ones); the loss
    falls monotonically, so the time is unique. U0: n or n x r, V0: m or m x r. 0 for a start already below, infinite
    for one that never gets there: orthogonal to the growing modes, or too few columns for the drop.
    """
    target, U0, V0 = factors(A, U0, V0)
    s = np.linalg.svd(target, compute_uv=False)
    if not 1 <= components <= s.size:
        raise ValueError(f"components={components}: the target has {s.size} singular values")
    threshold = float(np.sum(s**2) / 2 - np.sum(s[:components] ** 2) / 4)
    if s[0] == 0:
        return 0.0 if np.all(U0 @ V0.T == 0) else math.inf
    if U0.shape[1] == 1:
        imbalance = math.fsum(np.concatenate([U0**2, -(V0**2)]).ravel())

        def excess(t: float) -> float:
            U, V = riccati_flow(target, U0, V0, imbalance, np.array([t]))
            return float(squared_loss(target, U, V)[0]) - threshold
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


def _escape_arguments(singular_values: Numbers, scale: Real, rank: Count) -> np.ndarray:
    s = descending(singular_values)
    if s[0] == 0:
        raise ValueError("singular_values are all zero: nothing grows and nothing escapes")
    if not 1e-150 < scale < 1e150:
        raise ValueError(
            f"scale={scale:g}: the standard deviation of the initial entries is positive in floating range"
        )
    if rank < 1:
        raise ValueError(f"rank={rank}: at least one component is learned")
    return s


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
