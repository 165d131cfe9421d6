"""What part of a weight matrix deals with one feature: by ablation, by rotation to its direction, by compression.

W is features x hidden, read in and out by its rows: feature i's response to itself is |W_i|², a sum over its weights.
"""

import numpy as np

from toymodels.analysis.elbows import components_for
from toymodels.arrays import Array, Float, Int


def weights_for(W: Float[Array, "features hidden"], share: float = 0.95) -> Int[np.ndarray, " features"]:
    """By ablation: the fewest weights of row i that keep this share of |W_i|², the others set to zero; 0 of zeros."""
    return np.array([components_for(row, share) for row in np.asarray(W, np.float64) ** 2])


def weights_after_rotation(W: Float[Array, "features hidden"], share: float = 0.95) -> Int[np.ndarray, " features"]:
    """The fewest weights on the axis Ŵ_i that keep this share of its squares, sum_j (Ŵ_i . W_j)²: hidden units are
    rotated so that one of them is feature i's; others there interfere with it. 0 for a row of zeros."""
    rows = np.asarray(W, np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return np.array([components_for(axis, share) for axis in (unit @ rows.T) ** 2])


def bits(W: Float[Array, "features hidden"], noise: float = 0.1) -> Float[np.ndarray, " features"]:
    """By compression: bits that W costs with row i beyond those without, to a resolution of `noise`.

    The Gaussian code of rows is 1/2 log2 det(1 + Wᵀ W / noise²) long (Ma et al. 2007, on lossy coding), so row i adds
    -1/2 log2(1 - l_i), with l_i = W_iᵀ (Wᵀ W + noise²)⁻¹ W_i, its ridge leverage, in [0, 1).
    """
    if not noise > 0:
        raise ValueError(f"noise={noise:g}: a resolution is above 0")
    rows = np.asarray(W, np.float64)
    solved = np.linalg.solve(rows.T @ rows + noise**2 * np.eye(rows.shape[1]), rows.T)
    return np.asarray(-0.5 * np.log2(1 - np.einsum("im,mi->i", rows, solved)))
