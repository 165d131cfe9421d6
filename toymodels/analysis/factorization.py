"""What a factorization U Vᵀ of a target A has learned: components against components, and regression on random inputs.

U is rows x components, V columns x components; leading axes (seeds, snapshots, ...) broadcast. Numpy in float64.
"""

import numpy as np
from numpy.typing import ArrayLike

from toymodels.analysis.alignment import alignment
from toymodels.arrays import Array, Float


def component_alignment(U: ArrayLike, V: ArrayLike, left: ArrayLike, right: ArrayLike) -> Float[Array, "*batch r k"]:
    """|cos(u_i v_iᵀ, a_k b_kᵀ)| = |cos(u_i, a_k)| |cos(v_i, b_k)|, in [0, 1]; a zero component has 0 with everything.

    U: (..., n, r), V: (..., m, r); left and right hold the a_k and b_k as rows. Unlike the span, it changes when the
    components are mixed.
    """
    learned, partner = (np.swapaxes(np.asarray(factor, np.float64), -1, -2) for factor in (U, V))
    return np.asarray(alignment(learned, np.asarray(left)) * alignment(partner, np.asarray(right)))


def expected_loss(A: ArrayLike, U: ArrayLike, V: ArrayLike, second_moment: ArrayLike) -> Float[Array, "*batch"]:
    """E|(A - U Vᵀ) x|^2 = tr (A - U Vᵀ) M (A - U Vᵀ)ᵀ, M = E[x xᵀ]."""
    residual = np.asarray(A, np.float64) - np.asarray(U, np.float64) @ np.swapaxes(np.asarray(V, np.float64), -1, -2)
    return np.asarray(((residual @ np.asarray(second_moment, np.float64)) * residual).sum((-1, -2)))


def expected_descent(
    A: ArrayLike, U: ArrayLike, V: ArrayLike, second_moment: ArrayLike, lr: float | int, steps: int
) -> Float[np.ndarray, " records"]:
    """E|(A - U Vᵀ) x|^2 after 0, 1, ..., steps steps of gradient descent on it: training without its sampling noise.

    One start (U: n x r, V: m x r); `lr` is that of the loss without a 1/2.
    """
    target, moment, U, V = (np.asarray(value, np.float64) for value in (A, second_moment, U, V))
    losses = [expected_loss(target, U, V, moment)]
    for _ in range(steps):
        downhill = 2 * (target - U @ V.T) @ moment
        U, V = U + lr * downhill @ V, V + lr * downhill.T @ U
        losses.append(expected_loss(target, U, V, moment))
    return np.array(losses)
