"""How many ordered pairs of n vectors can be orthogonal: in tegum products, in overlapping sets, and at most."""

import math
import operator
from collections.abc import Sequence

import numpy as np

from toymodels.arrays import Array
from toymodels.shapes.arguments import Count, count


def tegum_orthogonal_pairs(n: Count, k: Count) -> float:
    """n^2 (1 - 1/k), ordered pairs between k equal factors of n vectors, 1 <= k <= n. Jermyn 2022.

    More, if a factor has orthogonal pairs inside. Where k does not divide n, see `factor_orthogonal_pairs`.
    """
    n, k = count(n=n, k=k)
    if k > n:
        raise ValueError(f"k={k}: {n} vectors make at most {n} factors")
    return n * n * (k - 1) / k


def factor_orthogonal_pairs(sizes: Sequence[Count] | Array) -> int:
    """(sum_f n_f)^2 - sum_f n_f^2, ordered pairs between factors of n_f vectors."""
    counts = [count(least=0, size=size)[0] for size in np.asarray(sizes).tolist()]
    return sum(counts) ** 2 - sum(size**2 for size in counts)


def overlapping_sets_pairs(n: Count, d: Count, include_self: bool = False) -> int:
    """n (d - 1) ordered orthogonal pairs: every vector has d - 1 partners in an orthonormal set, n >= d. Jermyn 2022.

    n d with `include_self`, the published count, which pairs a vector with itself.
    """
    n, d = count(n=n, d=d)
    if n < d:
        raise ValueError(f"n={n}, d={d}: an orthonormal set of {d} needs at least {d} vectors")
    return n * d if include_self else n * (d - 1)


def orthogonal_pairs_switch(n: Count, d: Count, include_self: bool = False) -> float:
    """k = n / (n - d + 1): a tegum product of more factors has more orthogonal pairs than overlapping sets. n >= d.

    From n^2 (1 - 1/k) > n (d - 1). With `include_self` n / (n - d), the published d < n (1 - 1/k). inf: none has more.
    """
    partners = overlapping_sets_pairs(n, d, include_self) // operator.index(n)
    n = operator.index(n)
    return n / (n - partners) if n > partners else math.inf


def max_orthogonal_pairs(n: Count, d: Count) -> int:
    """2 e(T(n, d)) = n^2 - sum_i m_i^2, m_i = floor or ceil of n / d: the most ordered orthogonal pairs. Turán 1941.

    d + 1 nonzero vectors are never mutually orthogonal, so Turán's theorem bounds the edges of the orthogonality graph
    of n of them; copies of an orthonormal basis attain it. Without parallel vectors fewer pairs are possible: n or
    n - 1 in the plane, n^2 (1 - 1/floor(d/2)) to leading order in n for d >= 4 (Erdős & Stone 1946; lines spread over
    orthogonal planes).
    """
    n, d = count(n=n, d=d)
    more, rest = divmod(n, d)
    return n * n - rest * (more + 1) ** 2 - (d - rest) * more**2
