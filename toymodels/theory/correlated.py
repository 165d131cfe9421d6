"""Exact losses for sets of features that are on together: the tied ReLU autoencoder, and its linear optimum, PCA."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Real

from toymodels.arrays import Array, Float
from toymodels.theory.superposition import expected_loss

Nested = Sequence[Any]

OFF = 1e-30
"""Stands for an activation probability of 0: what it adds is far below rounding."""


def correlated_loss(
    W: Real[Array, "... features hidden"] | Nested,
    b: Real[Array, "... features"] | Nested,
    p: Real[Array, "..."] | float,
    sets: int,
) -> Float[np.ndarray, "..."] | np.float64:
    """E sum_i (x_i - x'_i)^2 = sum over the sets S that are on of p^|S| (1 - p)^(sets - |S|) E[... | S], exactly.

    x' = ReLU(W Wᵀ x + b); neighbours among the features form `sets` sets of equal size that are on together with
    probability p, all their values then independent and uniform on [0, 1] (Elhage et al. 2022, section 5). Given S,
    features are independent, always or never on: `expected_loss`. W is a batch of models (leading axes), p one number
    or one for each of them. To rounding, in float64; cost 2^sets 3^n, n <= 8. Raises ValueError unless the sets divide
    the features and p lies in [0, 1].
    """
    n, p = _checked(W, p, sets, 1.0)
    states, p = itertools.product((False, True), repeat=sets), p[..., None]
    return _over_states(W, b, ((np.repeat(on, n // sets), np.where(on, p, 1 - p)) for on in states))


def anticorrelated_loss(
    W: Real[Array, "... features hidden"] | Nested,
    b: Real[Array, "... features"] | Nested,
    p: Real[Array, "..."] | float,
    sets: int,
) -> Float[np.ndarray, "..."] | np.float64:
    """The same for sets of which at most one member is on, each with probability p <= sets / features.

    The members that are on, one a set or none, are a state; cost (features / sets + 1)^sets 3^n.
    """
    n = np.asarray(W).shape[-2]
    n, p = _checked(W, p, sets, sets / n)
    size = n // sets
    member = np.eye(size + 1, size, dtype=bool)  # its last row: none
    states = itertools.product(range(size + 1), repeat=sets)
    one, none = p[..., None], 1 - size * p[..., None]
    return _over_states(W, b, ((member[list(on)].ravel(), np.where(np.array(on) < size, one, none)) for on in states))


def loss_of_pairs(
    kind: str,
    W: Real[Array, "... features hidden"] | Nested,
    b: Real[Array, "... features"] | Nested,
    p: Real[Array, "... 1"] | Nested,
) -> Any:
    """The exact loss of pairs of features that are "correlated", "anticorrelated" or "independent"; p is that of a
    feature, with an axis for features of length 1 as in `expected_loss`."""
    of_sets = {"correlated": correlated_loss, "anticorrelated": anticorrelated_loss}
    sets, of_each = np.shape(W)[-2] // 2, np.asarray(p)[..., 0]
    return of_sets[kind](W, b, of_each, sets) if kind in of_sets else expected_loss(W, b, p)


def _checked(W: Any, p: Any, sets: int, most: float) -> tuple[int, np.ndarray]:
    """The number of features, and p of each model."""
    shape = np.shape(W)
    if sets < 1 or shape[-2] % sets:
        raise ValueError(f"sets={sets}: {shape[-2]} features do not fall into so many equal sets")
    p = np.broadcast_to(np.asarray(p, np.float64), shape[:-2])
    if not np.all((p >= 0) & (p <= most + 1e-6)):
        raise ValueError("p: an activation probability lies in [0, 1]" if most == 1 else f"p: at most {most:g} here")
    return shape[-2], p


def _over_states(W: Any, b: Any, states: Iterable[tuple[np.ndarray, np.ndarray]]) -> Any:
    """sum over states of the probability of each, a product over sets (last axis), times the loss given what is on."""
    on, chances = zip(*states, strict=True)
    given = np.where(np.stack(on), 1.0, OFF).reshape(len(on), *(1,) * (np.ndim(W) - 2), -1)
    return (np.stack(chances).prod(-1) * expected_loss(W, b, given)).sum(0)[()]


def principal_loss(covariance: Real[Array, "features features"] | Nested, m: int) -> float:
    """The sum of all but the m largest eigenvalues: the least loss of x' = A x + c, A of rank m. Eckart & Young 1936.

    Attained with tied weights, W of the m leading principal directions, c = mean - W Wᵀ mean. Raises ValueError for a
    matrix that is not symmetric and for m < 0.
    """
    matrix = np.asarray(covariance, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T, atol=1e-6):
        raise ValueError(f"covariance of shape {matrix.shape}: a symmetric matrix expected")
    if m < 0:
        raise ValueError(f"m={m}: a rank is at least 0")
    return float(np.linalg.eigvalsh(matrix)[: max(len(matrix) - m, 0)].sum())
