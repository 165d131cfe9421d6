"""A factorisation learned as regression, L = 1/2 E|(A - U Vᵀ) x|^2, with M = E[x xᵀ].

Leading axes of U and V broadcast.
"""

import numpy as np

from toymodels.arrays import Array, Float
from toymodels.theory.arguments import Count, Numbers, real
from toymodels.theory.factorisation import LowRank, eckart_young, plateau_levels


def regression_target(A: Numbers, second_moment: Numbers) -> Float[Array, "n m"]:
    """B = A M^(1/2), M = E[x xᵀ], because E|(A - Ã) x|^2 = |B - Ã M^(1/2)|_F^2: plateaus and optimum are those of B.

    Levels: plateau_levels of the singular values of B (Baldi & Hornik 1989), twice that without the 1/2; growth rates
    differ, see `regression_growth_rates`. second_moment: a number (times the identity), a vector (the diagonal) or m
    x m.
    """
    target = real(A, "A", 2)
    return target @ _root(moment_matrix(second_moment, target.shape[1]))


def regression_levels(A: Numbers, second_moment: Numbers) -> Float[Array, " levels"]:
    """Least E|(A - Ã) x|^2, without a 1/2, at rank 0, 1, ...: the plateaus, and the optimum of each rank."""
    return 2 * plateau_levels(np.linalg.svd(regression_target(A, second_moment), compute_uv=False))


def regression_optimum(A: Numbers, second_moment: Numbers, rank: Count) -> LowRank:
    """min over rank <= r of 1/2 E|(A - Ã) x|^2: Ã = [A M^(1/2)]_r M^(-1/2), the truncation in the metric of the inputs.

    Reduced-rank regression (Izenman 1975). Directions that no input has are left at zero.
    """
    best = eckart_young(regression_target(A, second_moment), rank)
    root = _root(moment_matrix(second_moment, best.product.shape[1]))
    return LowRank(best.product @ np.linalg.pinv(root, rcond=1e-7, hermitian=True), best.loss)


def moment_matrix(second_moment: Numbers, size: int) -> np.ndarray:
    moment = real(second_moment, "second_moment")
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


def regression_loss(A: Numbers, U: Numbers, V: Numbers, second_moment: Numbers) -> Float[Array, "*batch"]:
    """E|(A - U Vᵀ) x|^2 = tr (A - U Vᵀ) M (A - U Vᵀ)ᵀ, M = E[x xᵀ]."""
    residual = np.asarray(A, np.float64) - np.asarray(U, np.float64) @ np.swapaxes(np.asarray(V, np.float64), -1, -2)
    return np.asarray(((residual @ np.asarray(second_moment, np.float64)) * residual).sum((-1, -2)))


def expected_descent(
    A: Numbers, U: Numbers, V: Numbers, second_moment: Numbers, lr: Numbers, steps: int
) -> Float[np.ndarray, "*batch records"]:
    """E|(A - U Vᵀ) x|^2 after 0, 1, ..., steps steps of gradient descent on it: training without its sampling noise.

    U: (..., n, r), V: (..., m, r); leading axes of all arguments broadcast. `lr` is that of the loss without a 1/2.
    """
    target, moment, U, V, rate = (np.asarray(value, np.float64) for value in (A, second_moment, U, V, lr))
    losses = []
    for _ in range(steps + 1):
        residual = target - U @ np.swapaxes(V, -1, -2)
        downhill = residual @ moment
        losses.append((downhill * residual).sum((-1, -2)))
        downhill = 2 * rate[..., None, None] * downhill
        U, V = U + downhill @ V, V + np.swapaxes(downhill, -1, -2) @ U
    return np.stack(losses, -1)
