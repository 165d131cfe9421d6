"""What a dictionary of random directions recovers: cosines of independent unit vectors, and the largest of many.

For a fixed unit vector and one uniform on the sphere in d dimensions, (1 + cos) / 2 ~ Beta((d - 1)/2, (d - 1)/2) and
cos² ~ Beta(1/2, (d - 1)/2).

>>> round(expected_best(100, 10), 4)
0.7588
>>> round(hit_rate(100, 10, 0.9), 6)
0.015871
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import integrate, special

from toymodels.arrays import Float


def cosine_cdf(c: ArrayLike, d: int, signed: bool = False) -> Float[np.ndarray, "..."]:
    """P(cos <= c) where `signed`, c in [-1, 1]; else P(|cos| <= c), c in [0, 1]. d >= 2 dimensions."""
    if d < 2:
        raise ValueError(f"d={d}: directions have 2 dimensions or more")
    c = np.asarray(c, np.float64)
    if signed:
        return np.asarray(special.betainc((d - 1) / 2, (d - 1) / 2, np.clip((1 + c) / 2, 0, 1)))
    return np.asarray(special.betainc(0.5, (d - 1) / 2, np.clip(c, 0, 1) ** 2))


@lru_cache(maxsize=4096)
def expected_best(count: int, d: int, signed: bool = False) -> float:
    """E max_j cos_j (signed), or E max_j |cos_j|, of `count` random directions with a fixed one: the MMCS of chance.

    = 1 - int F(c)^count dc over [-1, 1] or [0, 1], by quadrature to 1e-9. The means over many fixed directions are the
    same, whatever these are: features against a random dictionary, or a random dictionary against features.
    """
    if count < 1:
        raise ValueError(f"count={count}: at least one direction")
    low = -1.0 if signed else 0.0
    turn = float(np.sqrt(min(1.0, 2 * np.log(count + 1) / d)))  # near where F^count rises
    found = integrate.quad(
        lambda c: float(cosine_cdf(c, d, signed)) ** count, low, 1, points=[turn], epsabs=1e-10, limit=400
    )
    return 1.0 - float(found[0])


def hit_rate(count: int, d: int, at: float, signed: bool = False) -> float:
    """P(some of `count` random directions has cosine `at` or more with a fixed one)."""
    return 1.0 - float(cosine_cdf(at, d, signed)) ** count
