"""Which rows of a weight matrix interact, how, and the names of the arrangements of two and three features."""

import numpy as np
from jaxtyping import Real
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float


def arrangement(W: Real[Array, "features hidden"] | ArrayLike, dead: float = 0.1, tol: float = 0.05) -> str:
    """Which rows of W interact, and with what sign: "1|2", "1-3|2", "1-2-3"; features are counted from 1.

    Left out are rows shorter than `dead` times the longest (times 1, if none is). Rows with |cos| > tol are in one
    group, joined by "-" where all its inner products are negative, "+" where positive, "~" otherwise.
    """
    W = np.asarray(W, np.float64)
    if W.ndim != 2 or not np.isfinite(W).all():
        raise ValueError(f"W of shape {W.shape}: finite features x hidden expected")
    norms = np.linalg.norm(W, axis=1)
    kept = np.flatnonzero(norms > dead * max(norms.max(initial=0.0), 0.1)).tolist()
    cosines = (W @ W.T) / np.maximum(np.outer(norms, norms), 1e-300)
    groups: list[list[int]] = []
    for feature in kept:
        near = [group for group in groups if any(abs(cosines[feature, other]) > tol for other in group)]
        groups = [group for group in groups if group not in near] + [sorted(sum(near, [feature]))]
    return "|".join(_sign(cosines[np.ix_(group, group)]).join(str(i + 1) for i in group) for group in sorted(groups))


def _sign(cosines: np.ndarray) -> str:
    signs = set(np.sign(cosines[np.triu_indices(len(cosines), 1)]).tolist())
    return "-" if signs == {-1.0} else "+" if signs == {1.0} else "~"


def branch_of(W: Real[Array, "features hidden"] | ArrayLike) -> str:
    """The branch of `two_branches` or `three_branches` that trained weights belong to; "none of these" otherwise."""
    W = np.asarray(W, np.float64)
    names = TWO if W.shape == (2, 1) else THREE
    return names.get(arrangement(W), "none of these")


TWO = {
    "": "nothing kept",
    "1": "extra dropped",
    "2": "other dropped",
    "1-2": "extra in a pair",
    "1+2": "extra on one side",
}


THREE = {
    "1|2": "extra dropped",
    "1|3": "other dropped",
    "2|3": "other dropped",
    "1-3|2": "extra in a pair",
    "1|2-3": "extra in a pair",
    "1+3|2": "extra on one side",
    "1|2+3": "extra on one side",
    "1-2|3": "others in a pair",
    "1+2|3": "others on one side",
    "1-2-3": "triangle",
    "1~2~3": "mixed signs",
    "1+2+3": "mixed signs",
}


def gram_invariants(W: Float[np.ndarray, "*points features hidden"]) -> Float[np.ndarray, "*points entries"]:
    """Squared lengths and inner products of rows, the same if the features before the last change places (n <= 3)."""
    products = W @ np.swapaxes(W, -1, -2)
    n = products.shape[-1]
    first, second = np.triu_indices(n - 1, 1)
    lengths = np.sort(np.diagonal(products, axis1=-2, axis2=-1)[..., : n - 1], axis=-1)
    with_last = np.sort(products[..., : n - 1, -1], axis=-1)
    return np.concatenate([lengths, products[..., -1, -1:], with_last, products[..., first, second]], axis=-1)


def symmetric_invariants(W: Float[np.ndarray, "*points features hidden"]) -> Float[np.ndarray, "*points entries"]:
    """|W_i|^2 in ascending order, then W_i.W_j, i < j, in ascending order: the same for any order of the features."""
    products = W @ np.swapaxes(W, -1, -2)
    first, second = np.triu_indices(products.shape[-1], 1)
    lengths = np.sort(np.diagonal(products, axis1=-2, axis2=-1), axis=-1)
    return np.concatenate([lengths, np.sort(products[..., first, second], axis=-1)], axis=-1)
