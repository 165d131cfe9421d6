"""What erasing a concept costs and leaves: counterexamples, least change, collateral damage of linear read-outs.

h = Wᵀ x with Cov x = C and S = Wᵀ C W; the read-out of feature j is its least-squares prediction from h.
"""

from typing import NamedTuple

import numpy as np

from toymodels.arrays import Bool, Float

Hidden = Float[np.ndarray, "features hidden"]
Square = Float[np.ndarray, "features features"]


# ----------------------------------------------------------------------------------------------------- counterexamples
class Finite(NamedTuple):
    """A finite distribution of observations, with a binary concept."""

    h: Float[np.ndarray, "rows d"]
    z: Bool[np.ndarray, " rows"]
    weights: Float[np.ndarray, " rows"]


def equal_means(share: float) -> Finite:
    """The class means differ along the first axis alone. Second axis: one class at 0; of the other, `share` of it at
    (1 - share) / share, the rest at -1.

    What projects out the difference of the means leaves a half-space of accuracy 1 - share / 2, which a threshold at
    -1/2 attains: it tends to 1 the fewer and the farther the outliers. 0 < share <= 1/2.
    """
    if not share <= 0.5:
        raise ValueError(f"share={share:g}: at most 1/2, for outliers are the smaller part of the class")
    return _other_class_at(share, (1 - share) / _share(share))


def equal_medians(share: float) -> Finite:
    """The class medians differ along the first axis alone. Second axis: one class at 0; of the other, `share` of it at
    0, the rest at -1.

    What projects out the difference of the medians leaves a half-space of accuracy 1 - share / 2, below 3/4. That is
    most that any law can have: with the medians of a direction equal, at most half of one class lies below a threshold
    at or below them, and no more than all of the other above. 1/2 < share < 1.
    """
    if not share > 0.5:
        raise ValueError(f"share={share:g}: above 1/2, for the median is where most of the class is")
    return _other_class_at(share, 0.0)


def _other_class_at(share: float, place: float) -> Finite:
    h = np.array([[1.0, 0.0], [0.0, place], [0.0, -1.0]])
    return Finite(h, np.array([True, False, False]), np.array([0.5, _share(share) / 2, (1 - share) / 2]))


def _share(share: float) -> float:
    if not 0 < share < 1:
        raise ValueError(f"share={share:g}: between 0 and 1")
    return share


def left_over(share: float) -> float:
    """1 - share / 2: the accuracy that `equal_means` and `equal_medians` leave."""
    return 1 - share / 2


# -------------------------------------------------------------------------------------------------------- least change
def least_change(covariance: Float[np.ndarray, "d d"], cross: Float[np.ndarray, "d concepts"]) -> float:
    """min E|A h - h|² over A with A Cov(h, z) = 0, h centred.

    These are A = C Nᵀ, the columns of N a basis of what is orthogonal to Cov(h, z); the best C is a regression of h on
    Nᵀ h, and the least change its residual. An independent route to what `analysis.erasure.leace` attains.
    """
    left, sizes, _ = np.linalg.svd(cross, full_matrices=True)
    N = left[:, int((sizes > 1e-12 * sizes.max()).sum()) :]
    seen = N.T @ covariance
    explained = np.linalg.lstsq(seen @ N, seen, rcond=None)[0]
    return float(np.trace(covariance) - np.trace(seen.T @ explained))


# --------------------------------------------------------------------------------------------------- collateral damage
def linear_readout(W: Hidden, covariance: Square) -> Hidden:
    """C W S⁻¹: row j predicts feature j from h with the least squared error."""
    return np.asarray(np.linalg.solve(W.T @ covariance @ W, W.T @ covariance).T)


def collateral(W: Hidden, covariance: Square, erasers: Float[np.ndarray, "erased hidden hidden"]) -> np.ndarray:
    """E(x_j - x'_j)² after h -> A_i h less before, of the least-squares read-outs: entry (i, j); never negative.

    = R_j (I - A_i) S (I - A_i)ᵀ R_j, for the error of a least-squares read-out is uncorrelated with h.
    """
    readout, S = linear_readout(W, covariance), W.T @ covariance @ W
    changed = readout @ (np.eye(W.shape[1]) - erasers)
    return np.einsum("ijk,kl,ijl->ij", changed, S, changed)


def least_squares_collateral(W: Hidden, covariance: Square) -> Square:
    """`collateral` of least-squares erasure of each feature: G_ij² / G_ii with G = C W S⁻¹ Wᵀ C = Cov x'.

    For independent features v_j R²_j cos²_ij: the variance of the damaged feature, the share of it that its read-out
    explains, and the squared cosine of W_i and W_j where h is white.
    """
    G = linear_readout(W, covariance) @ W.T @ covariance
    return np.asarray(G**2 / np.diag(G)[:, None])


def projection_collateral(W: Hidden, covariance: Square) -> Square:
    """`collateral` of projecting out W_i, as mean erasure does for independent features: (R_j · Ŵ_i)² Ŵ_iᵀ S Ŵ_i."""
    unit = W / np.linalg.norm(W, axis=1, keepdims=True)
    along = np.einsum("ik,kl,il->i", unit, W.T @ covariance @ W, unit)
    return np.asarray(along[:, None] * (unit @ linear_readout(W, covariance).T) ** 2)
