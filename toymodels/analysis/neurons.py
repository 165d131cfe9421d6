"""Neurons of a hidden layer with a nonlinearity: their gauge, how many features each holds, whether the basis matters.

W is features x hidden, with any number of models before; a neuron is a column. Elhage et al. 2022, the sections on
privileged bases and on computation in superposition.
"""

from typing import NamedTuple, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Bool, Float, Int

Labelled = TypeVar("Labelled", xr.DataArray, np.ndarray)

ONE_FEATURE = 0.9
"""Share of a neuron's squared weights on its largest feature above which it counts as a neuron of one feature."""
KEPT = 0.5
"""Norm of a feature's weights, over that of the largest feature, from which it counts as kept."""


class Gauge(NamedTuple):
    """Input and output weights of a layer of ReLUs, features x hidden, in a fixed gauge."""

    encoder: Float[np.ndarray, "*models features hidden"]
    W: Float[np.ndarray, "*models outputs hidden"]


def gauge_fixed(
    encoder: Float[Array, "*models features hidden"] | ArrayLike,
    W: Float[Array, "*models outputs hidden"] | ArrayLike,
) -> Gauge:
    """encoder_fj / s_j and W_fj s_j with s_j = max_f |encoder_fj|: the same function W ReLU(encoderᵀ x).

    The largest input weight of each neuron is then 1 or -1. Elhage et al. 2022, a footnote on the absolute value.
    Neurons without input weights stay as they are. Only for nonlinearities with f(s z) = s f(z), s > 0, and no bias.
    """
    inward, outward = _columns("encoder", encoder), _columns("W", W)
    if inward.shape[:-2] != outward.shape[:-2] or inward.shape[-1] != outward.shape[-1]:
        raise ValueError(f"encoder of shape {inward.shape}, W of {outward.shape}: one column a neuron in both")
    largest = np.abs(inward).max(axis=-2, keepdims=True)
    scale = np.where(largest > 0, largest, 1.0)
    return Gauge(inward / scale, outward * scale)


def displayed(
    encoder: Float[Array, "features hidden"] | ArrayLike,
    W: Float[Array, "outputs hidden"] | ArrayLike,
    least: float = 0.0,
) -> Gauge:
    """One model `gauge_fixed`, its neurons in the `display_order` of their inputs; weights below `least` times the
    largest of their neuron are 0."""
    fixed = gauge_fixed(encoder, W)
    order = display_order(fixed.encoder)
    return Gauge(*(np.where(np.abs(w) >= least * np.abs(w).max(axis=0), w, 0)[:, order] for w in fixed))


def responses(
    encoder: Float[Array, "features hidden"] | ArrayLike,
    W: Float[Array, "features hidden"] | ArrayLike,
    b: Float[Array, " features"] | ArrayLike,
    x: Float[Array, " values"] | ArrayLike,
) -> Float[np.ndarray, "features values"]:
    """y_i of ReLU(W ReLU(encoderᵀ x) + b) for each feature i that is on alone, at each of these values of x_i."""
    hidden = np.maximum(_columns("encoder", encoder)[:, :, None] * np.asarray(x), 0)  # feature that is on, neuron, x
    return np.maximum(np.einsum("im,imx->ix", _columns("W", W), hidden) + np.asarray(b)[:, None], 0)


def excitatory(W: Labelled) -> Labelled:
    """max(W, 0): what turns a ReLU on, as features are never negative. A large negative weight only keeps it off."""
    return W.clip(0)


def concentration(W: Float[Array, "*models features hidden"] | ArrayLike) -> Float[np.ndarray, "*models hidden"]:
    """max_f W_fj² / sum_f W_fj²: 1 for a neuron of one feature, 1/k for k equal ones, NaN for one without weights."""
    squares = _columns("W", W) ** 2
    total = squares.sum(axis=-2)
    return np.asarray(np.where(total > 0, squares.max(axis=-2) / np.where(total > 0, total, 1.0), np.nan))


def monosemantic(
    W: Float[Array, "*models features hidden"] | ArrayLike, threshold: float = ONE_FEATURE
) -> Bool[np.ndarray, "*models hidden"]:
    """max_f W_fj² > threshold sum_f W_fj²; never for a neuron without weights. ValueError for thresholds not in (0, 1).

    A second feature with q times the weight of the first passes up to q² = 1/threshold - 1.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold={threshold}: a share of the squared weights, in (0, 1)")
    return np.asarray(np.nan_to_num(concentration(W)) > threshold)


def pairs_of_signs(encoder: Float[Array, "features hidden"] | ArrayLike, threshold: float = ONE_FEATURE) -> bool:
    """Whether each feature has exactly two neurons to itself, one for x > 0 and one for x < 0."""
    columns = _columns("encoder", encoder)
    feature, alone = np.abs(columns).argmax(axis=0), monosemantic(columns, threshold)
    signs = np.sign(columns[feature, np.arange(columns.shape[1])])
    found = sorted(zip(feature.tolist(), signs.tolist(), strict=True))
    return bool(alone.all()) and found == [(each, sign) for each in range(len(columns)) for sign in (-1.0, 1.0)]


def exchanged(
    encoder: Float[Array, "features hidden"], W: Float[Array, "features hidden"], threshold: float = ONE_FEATURE
) -> float:
    """Of neurons of several features by input, the share with a larger output for the second than for the first.

    The asymmetric motif of Elhage et al. 2022: inputs such as (2, -1/2), outputs (1/2, 2). NaN without such neurons.
    """
    several = ~monosemantic(encoder, threshold)
    order = np.argsort(-np.abs(encoder), axis=0)[:2]
    first, second = np.take_along_axis(np.abs(W), order, axis=0)
    return float((second > first)[several].mean()) if several.any() else float("nan")


def basis_alignment(W: Float[Array, "*models features hidden"] | ArrayLike) -> Float[np.ndarray, "*models"]:
    """Mean over neurons of max_f |W_fj| / |W_.j|, neurons without weights left out; NaN if there are no others."""
    share = np.sqrt(concentration(W))
    some = np.isfinite(share)
    count = some.sum(axis=-1)
    return np.asarray(np.where(count > 0, np.where(some, share, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan))


def rotations(m: int, count: int, seed: int = 0) -> Float[np.ndarray, "count m m"]:
    """Haar-random orthogonal matrices."""
    from scipy.stats import ortho_group  # slow to import

    if count < 1:
        raise ValueError(f"count={count}: at least one rotation")
    return np.asarray(ortho_group.rvs(m, count, np.random.default_rng(seed))).reshape(count, m, m)


def rotated_alignments(
    W: Float[Array, "features hidden"] | ArrayLike, count: int, seed: int = 0
) -> Float[np.ndarray, " count"]:
    """`basis_alignment` of W Q for random `rotations` Q: what W Wᵀ alone, without a basis, would give."""
    columns = _columns("W", W)
    if columns.ndim != 2:
        raise ValueError(f"W of shape {columns.shape}: one model, features x hidden")
    return basis_alignment(columns @ rotations(columns.shape[1], count, seed))


def against_rotations(
    W: Float[Array, "features hidden"] | ArrayLike, seed: int | np.integer, count: int
) -> tuple[float, ...]:
    """`basis_alignment` of W; the share of random rotations of W that are less aligned; their mean alignment."""
    own, others = float(basis_alignment(W)), rotated_alignments(W, count, int(seed))
    return own, float((others < own).mean()), float(others.mean())


def features_kept(W: Float[Array, "features hidden"] | ArrayLike, threshold: float = KEPT) -> int:
    """How many rows of W have at least `threshold` of the largest norm."""
    norms = np.linalg.norm(_columns("W", W), axis=1)
    return int((norms >= threshold * norms.max()).sum())


def display_order(W: Float[Array, "features hidden"] | ArrayLike) -> Int[np.ndarray, " hidden"]:
    """Neurons by the place of their largest feature, those of one feature from concentrated to shared."""
    columns = _columns("W", W)
    if columns.ndim != 2:
        raise ValueError(f"W of shape {columns.shape}: one model, features x hidden")
    return np.lexsort([-np.nan_to_num(concentration(columns)), np.abs(columns).argmax(axis=0)])


def _columns(name: str, W: Float[Array, "..."] | ArrayLike) -> Float[np.ndarray, "..."]:
    columns = np.asarray(W, np.float64)
    if columns.ndim < 2 or 0 in columns.shape[-2:]:
        raise ValueError(f"{name} of shape {columns.shape}: it is features x hidden")
    return columns
