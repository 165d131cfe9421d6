"""Families of frames, vectors as rows: orthonormal and harmonic ones, and products in orthogonal subspaces.

>>> cross_polytope(2).tolist()
[[1.0, 0.0], [0.0, 1.0], [-1.0, -0.0], [-0.0, -1.0]]
>>> import numpy as np
>>> gram = harmonic_frame(5, 2) @ harmonic_frame(5, 2).T
>>> np.round(gram[0], 3).tolist()
[1.0, 0.309, -0.809, -0.809, 0.309]
"""

import math

import numpy as np
import scipy.linalg

from toymodels.arrays import Float
from toymodels.shapes.arguments import Count, count
from toymodels.shapes.polytopes import simplex


def cross_polytope(d: Count) -> Float[np.ndarray, "vectors dim"]:
    """+e_1 .. +e_d, -e_1 .. -e_d: no cosine is positive."""
    (d,) = count(d=d)
    return np.concatenate([np.eye(d), -np.eye(d)])


def orthonormal_copies(n: Count, d: Count) -> Float[np.ndarray, "vectors dim"]:
    """n vectors e_1 .. e_d, e_1 ..: copies of an orthonormal basis, as even in number as they can be."""
    n, d = count(n=n, d=d)
    return np.eye(d)[np.arange(n) % d]


def harmonic_frame(n: Count, d: Count, lines: bool = False) -> Float[np.ndarray, "vectors dim"]:
    """sqrt(2/d) (cos 2 pi f i / n, sin 2 pi f i / n), f = 1 .. d/2, i < n; odd d: 1/sqrt(d) besides. Tight for n > d.

    With `lines` f = 1/2, 3/2 .. for even d: where v and -v count as one, vectors turn by half as much.
    """
    n, d = count(n=n, d=d)
    frequencies = np.arange(1, d // 2 + 1) - (0.5 if lines and d % 2 == 0 else 0)
    angles = 2 * math.pi / n * np.outer(np.arange(n), frequencies)
    constant = np.full((n, d % 2), math.sqrt(0.5))
    return math.sqrt(2 / d) * np.concatenate([np.cos(angles), np.sin(angles), constant], axis=1)


def tegum_product(*factors: Float[np.ndarray, "_ _"]) -> Float[np.ndarray, "vectors dim"]:
    """The factors' vectors in orthogonal subspaces, one after the other: dimensions, vectors and losses add."""
    return scipy.linalg.block_diag(*factors)


def blocks(n: Count, d: Count, k: Count) -> Float[np.ndarray, "vectors dim"]:
    """n vectors on the d + k vertices of k orthogonal simplices, each as often as any other or once more. 1 <= k <= d.

    Blocks have floor(d/k) or ceil(d/k) dimensions; n = d + k is the tegum product of k simplices. Vertices are taken in
    turn from every block.
    """
    n, d, k = count(n=n, d=d, k=k)
    if k > d:
        raise ValueError(f"k={k}: {d} dimensions split into at most {d} blocks")
    dims = [d // k + (b < d % k) for b in range(k)]
    in_turn = np.argsort(np.concatenate([np.arange(size + 1) for size in dims]), kind="stable")
    return tegum_product(*(simplex(size).vectors for size in dims))[in_turn[np.arange(n) % (d + k)]]
