"""How many components a set of vectors has: elbows and effective numbers of a spectrum.

A spectrum is a list of variances along orthogonal directions, none negative: of centred vectors those of PCA, of
vectors as they are the squared singular values over their number.

>>> components_for([6.0, 3.0, 0.5, 0.5], share=0.9)
2
>>> round(participation_ratio([6.0, 3.0, 0.5, 0.5]), 3)
2.198
>>> round(entropy_number([1.0, 1.0, 1.0]), 3)
3.0
"""

import numpy as np
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float


def centred_spectrum(h: Float[Array, "examples d"]) -> Float[np.ndarray, " d"]:
    """Eigenvalues of the covariance of vectors, largest first: PCA."""
    rows = _vectors(h)
    return uncentred_spectrum(rows - rows.mean(axis=0))


def uncentred_spectrum(h: Float[Array, "examples d"]) -> Float[np.ndarray, " d"]:
    """Eigenvalues of E[h hᵀ], largest first: SVD of the vectors as they are. Zeros where there are fewer than d."""
    rows = _vectors(h)
    found = np.zeros(rows.shape[1])
    singular = np.linalg.svd(rows, compute_uv=False)
    found[: len(singular)] = singular**2 / len(rows)
    return found


def components_for(spectrum: Float[Array, " d"] | ArrayLike, share: float = 0.95) -> int:
    """The elbow: the least number of components that hold this share of the variance; 0 of a spectrum of zeros."""
    if not 0 < share <= 1:
        raise ValueError(f"share={share:g}: a share of the variance lies in (0, 1]")
    values = -np.sort(-_checked(spectrum))
    reached = np.cumsum(values) >= share * values.sum() * (1 - 1e-12)
    return int(reached.argmax()) + 1 if values.sum() > 0 else 0


def participation_ratio(spectrum: Float[Array, " d"] | ArrayLike) -> float:
    """(sum l)² / sum l², in [1, d]: d for equal eigenvalues, 1 for a single one; 0 of zeros."""
    values = _checked(spectrum)
    return float(values.sum() ** 2 / (values**2).sum()) if values.sum() > 0 else 0.0


def entropy_number(spectrum: Float[Array, " d"] | ArrayLike) -> float:
    """exp(-sum q ln q) with q = l / sum l, in [1, d]: the effective rank of Roy & Vetterli 2007; 0 of zeros."""
    values = _checked(spectrum)
    q = values / values.sum() if values.sum() > 0 else values
    q = q[q > 0]
    return float(np.exp(-(q * np.log(q)).sum())) if len(q) else 0.0


def _vectors(h: ArrayLike) -> np.ndarray:
    rows = np.asarray(h, np.float64)
    if rows.ndim != 2 or not len(rows) or not np.isfinite(rows).all():
        raise ValueError(f"h of shape {rows.shape}: finite examples x d expected")
    return rows


def _checked(spectrum: ArrayLike) -> np.ndarray:
    values = np.asarray(spectrum, np.float64)
    if values.ndim != 1 or not (values >= 0).all() or not np.isfinite(values).all():
        raise ValueError(f"spectrum of shape {values.shape}: finite variances, none negative, expected")
    return values
