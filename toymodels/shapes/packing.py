"""The packing loss sum_{i != j} l(cos_ij) over rows V_i, its cosines, and the orthogonal factors that rows fall into.

l = |c|^power, an even loss that sees lines (parallel and antipodal pairs cost the same), or relu(c)^power, a signed
loss that sees rays. A pair is an ordered pair of different vectors throughout: n (n - 1) of them.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toymodels.arrays import Array, Bool, Float, Int
from toymodels.shapes.arguments import Number, exponent
from toymodels.shapes.precision import float64

Vectors = Float[Array, "vectors dim"] | Sequence


@float64
def interference_loss(V: Vectors, power: Number, signed: bool = False) -> Float[Array, ""]:
    """sum_{i != j} |cos_ij|^power, or relu(cos_ij)^power if signed, over ordered pairs of rows. Jermyn 2022.

    power >= 1. Only directions count: the scale of a row does not matter and a zero row has no cosine, it contributes
    nothing (nor does one below 1e-308, as XLA flushes those to zero). Traceable in the dtype of V; where a cosine is
    zero, so is its gradient (at power 1, a subgradient).
    """
    if not isinstance(power, jax.core.Tracer):
        power = exponent(power)
    V = jnp.asarray(V)
    if V.ndim != 2:
        raise ValueError(f"V of shape {V.shape}: vectors are the rows of a matrix")
    U = unit_rows(V if jnp.issubdtype(V.dtype, jnp.inexact) else V.astype(float))
    # At a known even power it is a polynomial, whose second derivative at orthogonality is right too.
    known = not signed and not isinstance(power, jax.core.Tracer) and power % 2 == 0
    return _loss(U, jnp.asarray(power, U.dtype), int(power) if known else None, signed)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _loss(U: Array, power: Array, even: int | None, signed: bool) -> Array:
    """The loss of unit rows, at a power that may be known to be `even`."""
    return jnp.sum(_pairs(U, power, even, signed).terms)


@_loss.defjvp
def _loss_jvp(even: int | None, signed: bool, point: Any, tangent: Any) -> tuple[Array, Array]:
    (U, power), (dU, dpower) = point, tangent
    pairs = _pairs(U, power, even, signed)
    # Cosines are symmetric in their vectors, and so are the slopes: one product, where the chain rule takes two.
    by_U = 2 * jnp.matmul(pairs.slopes, pairs.rows, precision=EXACT)[: len(U)]
    return jnp.sum(pairs.terms), jnp.sum(by_U * dU) + jnp.sum(pairs.terms * pairs.logs) * dpower


class _Pairs(NamedTuple):
    """Of each pair: its term of the loss, the derivative by its cosine, and log |cos|; zeros where there is no term."""

    rows: Array
    """Unit rows, and rows of zeros up to a multiple of `FULL`."""
    terms: Array
    slopes: Array
    logs: Array


def _pairs(U: Array, power: Array, even: int | None, signed: bool) -> _Pairs:
    rows = jnp.pad(U, ((0, -len(U) % FULL), (0, 0)))
    gram = jnp.matmul(rows, rows.T, precision=EXACT)
    cosines = jnp.where(jnp.eye(len(rows), dtype=bool), 0, gram)
    size = jax.nn.relu(cosines) if signed else jnp.abs(cosines)
    # Zero is taken out before the power as well as after it: its gradient would be 0 * inf.
    logs = jnp.log(jnp.where(size > 0, size, 1))
    if even is not None:
        return _Pairs(rows, cosines**even, even * cosines ** (even - 1), logs)
    # By the logarithm, of which CPUs work out many at a time: a quarter of the time of a power.
    terms, slopes = (jnp.where(size > 0, jnp.exp(order * logs), 0) for order in (power, power - 1))
    return _Pairs(rows, terms, power * slopes * jnp.sign(cosines), logs)


EXACT = jax.lax.Precision.HIGHEST
"""Accelerators would round the factors of a product first."""
FULL = 8
"""Numbers in a vector instruction: 16 vectors train in less time than 12."""


@float64
def interference_losses(
    V: Float[Array, "*cells vectors dim"], power: Float[Array, "..."] | float | int, signed: bool = False
) -> Float[Array, "*cells"]:
    """`interference_loss` of each cell; power is one number or one a cell (broadcast against the leading axes)."""
    powers = np.asarray(power, np.float64)
    if not np.all((powers >= 1) & np.isfinite(powers)):
        raise ValueError(f"power={powers.min():g}: the exponent of an interference loss is finite and at least 1")
    return _losses(V, powers, signed)


@functools.partial(jax.jit, static_argnums=2)
def _losses(V: Array, powers: Array, signed: bool) -> Array:
    def one(rows: Array, power: Array) -> Array:
        return interference_loss(rows, power, signed)

    return jnp.vectorize(one, signature="(n,d),()->()")(V, powers)


def unit_rows(V: Float[Array, "vectors dim"]) -> Float[Array, "vectors dim"]:
    """V_i / |V_i|; a zero row stays zero."""
    # Rows are divided by their largest entry first, so that squares stay in range.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(V), axis=1, keepdims=True, initial=0))
    V = V / jnp.where(largest > 0, largest, 1)
    squared = jnp.sum(V**2, axis=1, keepdims=True)
    return V / jnp.sqrt(jnp.where(squared > 0, squared, 1))


def cosines(V: Float[Array, "*cells vectors dim"]) -> Float[np.ndarray, "*cells vectors vectors"]:
    """cos_ij = V_i . V_j / |V_i| |V_j|; 0 on the diagonal, which is no pair, and for a zero row."""
    rows = np.asarray(V, np.float64)
    top = np.abs(rows).max(axis=-1, keepdims=True)
    rows = rows / np.where(top > 0, top, 1)  # so that squares stay in range
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    units = rows / np.where(norms > 0, norms, 1)
    return units @ np.swapaxes(units, -1, -2) * ~np.eye(rows.shape[-2], dtype=bool)


def components(edges: Bool[np.ndarray, "*cells vectors vectors"]) -> Int[np.ndarray, "*cells vectors"]:
    """The connected component of each vertex of a graph, numbered by first members, of each of the cells."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    *cells, n, _ = edges.shape
    graphs = edges.reshape(int(np.prod(cells)), n, n)
    if not graphs.size:
        return np.zeros((*cells, n), int)
    cell, row, column = np.nonzero(graphs)  # all cells are one graph without edges between them
    joined = coo_array((np.ones(len(cell), bool), (cell * n + row, cell * n + column)), shape=(len(graphs) * n,) * 2)
    found = connected_components(joined, directed=False)[1]
    _, first, which = np.unique(found, return_index=True, return_inverse=True)
    labels = np.argsort(np.argsort(first))[which].reshape(len(graphs), n)
    return (labels - labels.min(axis=1, keepdims=True)).reshape(*cells, n)


def orthogonal_factors(V: Float[Array, "*cells vectors dim"], tol: float = 1e-9) -> Int[np.ndarray, "*cells vectors"]:
    """The mutually orthogonal factor of each row, a connected component of the pairs with |cos_ij| > tol."""
    if not 0 <= tol < 1:
        raise ValueError(f"tol={tol}: a tolerance on |cos| lies in [0, 1)")
    return components(np.abs(cosines(V)) > tol)
