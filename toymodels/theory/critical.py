"""Critical points of the loss with one active feature in the plane: k-gons and features left over. Chen et al. 2023."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from toymodels.arrays import Float
from toymodels.shapes.polytopes import polygon as named_polygon
from toymodels.theory.superposition import Solution, one_sparse_loss, polygon, polygon_weights


def polygon_with_dropped(k: int, n: int, silent: int = 0) -> Solution:
    """(k L_k + d (1/3 - 1/(4n)) + s/3) / n: the best regular k-gon of n features, d = n - k - s dropped, s silent.

    L_k is the loss of `polygon`. A dropped feature has W_j = 0 and predicts its mean, b_j = 1/(2n): when it is active
    it costs E (u - b)^2, else b^2. A silent one has b_j < 0, its output is always 0, and it costs 1/3: nothing near it
    changes the loss. Features of one kind leave a minimum a minimum; one of each makes a saddle, as the silent one's
    weights can lower what the dropped one predicts while the silent one is active, by b_d W_d.W_s / n. In arXiv
    2310.06301 the two kinds are told apart by the sign of their bias. ValueError unless
    4 <= k <= n and 0 <= s <= n - k.
    """
    if not (4 <= k <= n and 0 <= silent <= n - k):
        raise ValueError(f"k={k}, n={n}, silent={silent}: 4 <= k <= n and 0 <= silent <= n - k expected")
    best, dropped = polygon(k), n - k - silent
    W, b = np.zeros((n, 2)), np.full(n, best.bias)
    W[:k] = polygon_weights(k, best.radius)
    b[k : k + dropped], b[k + dropped :] = 1 / (2 * n), -1.0
    return Solution(W, b, (k * best.loss + dropped * (1 / 3 - 1 / (4 * n)) + silent / 3) / n)


def critical_points(sides: Sequence[int]) -> xr.Dataset:
    """`polygon_with_dropped` for every n of `sides`, k from 4 to n and number of silent features: name, loss and W.

    As `analysis.polygons.polygon_name` tells trained ones: "pentagon, 1 dropped, 2 silent". "" and NaN where there is
    none; W is padded with NaN, which stand for silent features too. "notation" is that of the paper, for figures.
    """
    most = max(sides)
    coords: dict[str, Sequence[int] | np.ndarray] = {
        "n": list(sides),
        "k": np.arange(4, most + 1),
        "silent": np.arange(most - 3),
    }
    shape = tuple(map(len, coords.values()))
    loss, W = np.full(shape, np.nan), np.full((*shape, most, 2), np.nan)
    names, notations = np.full(shape, "", "<U40"), np.full(shape, "", "<U40")
    for place in np.ndindex(shape):
        n, k, silent = (int(values[i]) for values, i in zip(coords.values(), place, strict=True))
        if k + silent <= n:
            made = polygon_with_dropped(k, n, silent)
            left = {"dropped": n - k - silent, "silent": silent}
            parts = [named_polygon(k).name, *(f"{count} {what}" for what, count in left.items() if count)]
            loss[place], names[place], W[place][: n - silent] = made.loss, ", ".join(parts), made.W[: n - silent]
            notations[place] = notation(n, k, silent)
    dims = tuple(coords)
    told = {"known": (dims, loss), "name": (dims, names), "notation": (dims, notations)}
    return xr.Dataset({**told, "W": ((*dims, "feature", "hidden"), W)}, coords)


def notation(n: int, k: int, silent: int) -> str:
    """Chen et al.'s, in TeX: k, raised d+ for d dropped or s- for s silent. "" for those with both, which are saddles.

    Spelt out where no feature is left over: "5, regular pentagon".
    """
    dropped = n - k - silent
    if dropped < 0 or (dropped and silent):
        return ""
    return (
        f"${k}^{{{dropped or silent}{'+' if dropped else '-'}}}$" if k < n else f"{k}, regular {named_polygon(k).name}"
    )


class Curvature(NamedTuple):
    """max |gradient| and the eigenvalues of the Hessian in all W and b, least first."""

    slope: float
    eigenvalues: Float[np.ndarray, " parameters"]


def one_sparse_curvature(W: Float[np.ndarray, "features hidden"], b: Float[np.ndarray, " features"]) -> Curvature:
    """Gradient and Hessian of `one_sparse_loss` at (W, b), in float64.

    Rotating W changes nothing, so that m (m - 1) / 2 eigenvalues are 0 at a critical point whose rows span all m
    dimensions; it is a strict minimum, up to rotation, where all others are positive. The second derivatives jump
    where b_j = 0 meets W_j.W_i = 0, as in the square: there they are those of one side, and decide nothing.
    """
    if W.ndim != 2 or b.shape != W.shape[:1]:
        raise ValueError(f"W of shape {W.shape}, b of {b.shape}: (n, m) and (n,) expected")
    with jax.enable_x64(True):
        point = np.concatenate([np.asarray(W, np.float64).ravel(), np.asarray(b, np.float64)])
        slope, hessian = _derivatives(*W.shape)(jnp.asarray(point))
        return Curvature(float(np.abs(slope).max()), np.linalg.eigvalsh(np.asarray(hessian)))


@cache
def _derivatives(n: int, m: int) -> jax.stages.Wrapped:
    def loss(point: jax.Array) -> jax.Array:
        return jnp.asarray(one_sparse_loss(point[: n * m].reshape(n, m), point[n * m :]))

    return jax.jit(lambda point: (jax.grad(loss)(point), jax.hessian(loss)(point)))


def regular_curvatures(sides: Sequence[int]) -> xr.Dataset:
    """Of the best regular n-gon of every n: "slope", that of `one_sparse_curvature`; "rotation", the size of the least
    eigenvalue, in whose direction nothing changes; "curvature", the least of the others."""
    found = [
        one_sparse_curvature(np.asarray(made.W), np.asarray(made.b))
        for made in (polygon_with_dropped(n, n) for n in sides)
    ]
    slope, least = [each.slope for each in found], np.array([each.eigenvalues[:2] for each in found])
    told = {"slope": ("n", slope), "rotation": ("n", np.abs(least[:, 0])), "curvature": ("n", least[:, 1])}
    return xr.Dataset(told, {"n": list(sides)})
