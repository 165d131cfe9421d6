"""Which learned vector ends with which component of the target, as the start of a factorisation goes to zero.

On L = 1/2 |A - U Vᵀ|^2 the overlaps p_ki = (a_k . u_i + b_k . v_i) / sqrt 2 of a small start grow as e^{s_k t} while
nothing else does. With distinct singular values the first component is learned along p_1, the second along what p_2
has at right angles to p_1, and so on, so that U -> sum_k sqrt(s_k) a_k q_kᵀ and V -> sum_k sqrt(s_k) b_k q_kᵀ, where
q_1, q_2, ... are the Gram-Schmidt vectors of p_1, p_2, ... in the space of learned components. Gradient flow fixes the
gauge: the start decides the pairs, and no learned vector need end with one component alone.
"""

import math

import numpy as np

from toymodels.arrays import Array, Float
from toymodels.theory.arguments import Numbers, Real, real


def growing_overlaps(
    U: Float[Array, "*batch n r"], V: Float[Array, "*batch m r"], left: Numbers, right: Numbers
) -> Float[np.ndarray, "*batch r k"]:
    """p_ik = (a_k . u_i + b_k . v_i) / sqrt 2, the part of learned vector i that grows towards component k.

    U: (..., n, r), V: (..., m, r); left and right hold the a_k and b_k as rows; leading axes broadcast.
    """
    sides = ((U, left), (V, right))
    overlaps = (np.asarray(rows, np.float64) @ np.asarray(factor, np.float64) for factor, rows in sides)
    return np.asarray(np.swapaxes(sum(overlaps), -1, -2) / math.sqrt(2))


def final_alignment(singular_values: Numbers, overlaps: Numbers) -> Float[np.ndarray, "*batch r k"]:
    """|cos(u_i v_iᵀ, a_k b_kᵀ)| = s_k q_ki^2 / sum_l s_l q_li^2 at the end of a flow from a vanishing start.

    singular_values: k of them, distinct, descending; overlaps: `growing_overlaps` of the start, (..., r, k), r >= k.
    Raises ValueError where the order is another, or fewer vectors are learned than there are components.
    """
    s, p = real(singular_values, "singular_values", 1), np.asarray(overlaps, np.float64)
    if np.any(np.diff(s) >= 0) or not s[-1] > 0:
        raise ValueError("singular_values: distinct and descending above 0; equal ones have no vectors of their own")
    if p.shape[-1] != s.size or p.shape[-2] < s.size:
        raise ValueError(f"overlaps of shape {p.shape}: at least {s.size} learned vectors x {s.size} components")
    q = np.linalg.qr(p)[0]
    strength = s * q**2
    return np.asarray(strength / strength.sum(-1, keepdims=True))


def share_backing_off(ratio: Real) -> float:
    """4/pi arctan sqrt(s_2 / s_1): the share of small Gaussian starts in which one of two learned vectors ends nearer
    to the second component, after both have grown towards the first. In (0, 1); the rest ends with both nearer to the
    first.

    q_1 = (cos phi, sin phi) with phi uniform; learned vector 1 ends nearer to the second where s_1 cos^2 < s_2 sin^2.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"ratio={ratio:g}: two distinct singular values have a ratio in (0, 1)")
    return 4 / math.pi * math.atan(math.sqrt(ratio))
