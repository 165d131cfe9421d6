"""A factorisation that learns from noise: on the entries of the target, or on the inputs of a regression.

Fresh noise on the target leaves the expected gradient and adds to its variance; noise on the inputs is a ridge.
"""

import numpy as np

from toymodels.arrays import Array, Float
from toymodels.theory.arguments import Count, Numbers, Real, descending, real
from toymodels.theory.factorisation import LowRank
from toymodels.theory.regression import moment_matrix


def noise_floor(singular_values: Numbers, shape: tuple[Count, Count], noise: Real, lr: Real) -> float:
    """E 1/2 |A - Ã|^2 = 1/4 lr noise^2 sum h / (1 - lr h / 2): where SGD on a noisy target comes to rest.

    The loss of a step is 1/2 |A + noise E - U Vᵀ|^2 with E_ij ~ N(0, 1) afresh. At a balanced optimum of the target's
    own rank r the Hessian is J Jᵀ and the gradient's covariance noise^2 J Jᵀ, so that each direction of curvature h
    has variance lr noise^2 / (2 - lr h). h: s_i + s_j for learned i, j, and every s_i another n + m - 2r times; to
    first order in lr the floor is lr noise^2 (n + m) sum s / 4. For fluctuations that are small beside the weights.
    singular_values: those above 0. Raises ValueError where lr h reaches 2.
    """
    s, (n, m) = descending(singular_values), shape
    s = s[s > 0]
    if s.size > min(n, m):
        raise ValueError(f"shape={shape}: a matrix of that shape has no {s.size} singular values")
    h = np.concatenate([np.add.outer(s, s).ravel(), np.repeat(s, n + m - 2 * s.size)])
    if lr * h.max() >= 2:
        raise ValueError(f"lr={lr:g}: descent is not stable at the optimum, whose largest curvature is {h.max():g}")
    return float(noise**2 * np.sum(lr * h / (1 - lr * h / 2)) / 4)


def noisy_optimum(A: Numbers, second_moment: Numbers, noise: Numbers, rank: Count) -> LowRank:
    """min over rank <= r of 1/2 E|A x - Ã (x + xi)|^2: Ã = [A M S^(-1/2)]_r S^(-1/2), S = M + N.

    M = E[x xᵀ], N = E[xi xiᵀ], xi of mean 0 and independent of x: the loss is 1/2 E|(A - Ã) x|^2 + 1/2 tr Ã N Ãᵀ, a
    ridge. Reduced-rank regression (Izenman 1975) on S. With M and N multiples mu and nu of the identity every singular
    value shrinks to s mu / (mu + nu) and no vector turns. Moments: a number (times the identity), a vector (the
    diagonal) or m x m.
    """
    target, M, S = _moments(A, second_moment, noise)
    inverse = _inverse_root(S)
    left, s, right = np.linalg.svd(target @ M @ inverse, full_matrices=False)
    product = (left[:, :rank] * s[:rank]) @ right[:rank] @ inverse
    return LowRank(product, float(np.trace(target @ M @ target.T) - np.sum(s[:rank] ** 2)) / 2)


def noisy_levels(A: Numbers, second_moment: Numbers, noise: Numbers) -> Float[Array, " levels"]:
    """Least E|A x - Ã (x + xi)|^2, without a 1/2, at rank 0, 1, ...: the plateaus, and the optimum of each rank."""
    target, M, S = _moments(A, second_moment, noise)
    s = np.linalg.svd(target @ M @ _inverse_root(S), compute_uv=False)
    return np.asarray(np.trace(target @ M @ target.T) - np.append(0, np.cumsum(s**2)))


def noisy_loss(
    A: Numbers, U: Numbers, V: Numbers, second_moment: Numbers, noise: Numbers
) -> Float[np.ndarray, "*batch"]:
    """E|A x - U Vᵀ (x + xi)|^2 = tr (A - Ã) M (A - Ã)ᵀ + tr Ã N Ãᵀ, Ã = U Vᵀ; leading axes broadcast."""
    product = np.asarray(U, np.float64) @ np.swapaxes(np.asarray(V, np.float64), -1, -2)
    residual = np.asarray(A, np.float64) - product
    M, N = (moment_matrix(each, product.shape[-1]) for each in (second_moment, noise))
    return np.asarray(((residual @ M) * residual).sum((-1, -2)) + ((product @ N) * product).sum((-1, -2)))


def _moments(A: Numbers, second_moment: Numbers, noise: Numbers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, M and M + N."""
    target = real(A, "A", 2)
    M, N = (moment_matrix(each, target.shape[1]) for each in (second_moment, noise))
    return target, M, M + N


def _inverse_root(S: np.ndarray) -> np.ndarray:
    """S^(-1/2) on the directions that inputs have."""
    values, vectors = np.linalg.eigh(S)
    kept = values > 1e-10 * values.max(initial=0.0)
    return (vectors * np.where(kept, 1 / np.sqrt(np.where(kept, values, 1.0)), 0.0)) @ vectors.T
