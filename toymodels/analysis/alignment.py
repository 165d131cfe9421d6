"""How far learned vectors agree with target vectors: one by one, matched, and as spans; bumps along a trajectory.

Vectors are rows: for a factorization A ~ U Vᵀ pass `U.T`, whose rows are the learned components. Leading axes (seeds,
snapshots, ...) broadcast between the two arguments. Numpy arrays and nested lists are evaluated in float64 and give
numpy; if either argument is a JAX array the answer is one too, in its dtype, and `alignment`, `projection` and
`span_alignment` can be traced by `jit` and `vmap`. A vector that holds a NaN or an infinity gives NaN and leaves its
neighbours alone.

>>> import numpy as np
>>> targets = np.eye(3)[:2]
>>> learned = [[3.0, 4.0, 0.0], [4.0, -3.0, 0.0]]  # the same plane, turned
>>> alignment(learned, targets).round(3).tolist()
[[0.6, 0.8], [0.8, 0.6]]
>>> span_alignment(learned, targets)
1.0
"""

from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.signal import find_peaks

from toymodels.arrays import Array, Float, Int


class Pairing(NamedTuple):
    """Pairs in the order of the learned index; with leading axes every field has them in front of the pairs."""

    learned: Int[np.ndarray, "*batch pairs"]
    target: Int[np.ndarray, "*batch pairs"]
    cosines: Float[np.ndarray, "*batch pairs"]


class Bump(NamedTuple):
    """A maximum of a trajectory at record `index`, `height` high, `prominence` above the higher of its two feet."""

    index: int  # type: ignore[assignment]  # a tuple's own index() gives way to the field
    height: float
    prominence: float


def alignment(
    learned: Float[Array, "*#batch learned dim"] | ArrayLike, targets: Float[Array, "*#batch target dim"] | ArrayLike
) -> Float[Array, "*batch learned target"]:
    """|cos| between each learned and each target vector, in [0, 1]; a zero vector has 0 with everything.

    Raises ValueError where the vectors of the two arguments have different numbers of components.
    """
    xp, learned, targets = _vectors(learned, targets)
    return xp.minimum(xp.abs(_unit(xp, learned) @ _unit(xp, targets).swapaxes(-1, -2)), 1.0)


def pairing(
    learned: Float[Array, "*#batch learned dim"] | ArrayLike, targets: Float[Array, "*#batch target dim"] | ArrayLike
) -> Pairing:
    """The one-to-one pairing of learned with target vectors that maximises sum |cos|; min(learned, target) pairs.

    A NaN alignment is paired last, and reported as NaN. Among equally good pairings (duplicates, zero vectors) which
    one is returned is scipy's choice; the cosines' sum does not depend on it. Not traceable.
    """
    cosines = np.asarray(alignment(learned, targets), np.float64)
    *batch, rows, columns = cosines.shape
    worth = np.where(np.isnan(cosines), -1.0, cosines).reshape(int(np.prod(batch)), rows, columns)
    pairs = np.array([linear_sum_assignment(one, maximize=True) for one in worth], np.intp)
    pairs = pairs.reshape(*batch, 2, min(rows, columns))
    row, column = pairs[..., 0, :], pairs[..., 1, :]
    matched = np.take_along_axis(np.take_along_axis(cosines, row[..., None], -2), column[..., None], -1)[..., 0]
    return Pairing(row, column, matched)


def component_alignment(U: ArrayLike, V: ArrayLike, left: ArrayLike, right: ArrayLike) -> Float[Array, "*batch r k"]:
    """|cos(u_i v_iᵀ, a_k b_kᵀ)| = |cos(u_i, a_k)| |cos(v_i, b_k)|, in [0, 1]; a zero component has 0 with everything.

    U: (..., n, r), V: (..., m, r); left and right hold the a_k and b_k as rows. Unlike the span, it changes when the
    components are mixed.
    """
    learned, partner = (np.swapaxes(np.asarray(factor, np.float64), -1, -2) for factor in (U, V))
    return np.asarray(alignment(learned, np.asarray(left)) * alignment(partner, np.asarray(right)))


def projection(
    learned: Float[Array, "*#batch learned dim"] | ArrayLike,
    targets: Float[Array, "*#batch target dim"] | ArrayLike,
    rtol: float | int | None = None,
) -> Float[Array, "*batch learned"]:
    """|P v| / |v| for each learned v, P the projector on the targets' span: |cos| of the angle to the span, in [0, 1].

    For one target it is the alignment; for orthonormal targets its square is the sum of the squared alignments. It is
    invariant under any invertible mixing of the targets. 0 for a zero vector and for an empty span; `rtol` as in
    `span_alignment`.
    """
    xp, learned, targets = _vectors(learned, targets)
    basis = _orthonormal(xp, targets, rtol)
    components = _unit(xp, learned) @ basis.swapaxes(-1, -2)
    bad = ~xp.isfinite(targets).all((-1, -2))
    return xp.where(bad[..., None], xp.nan, xp.minimum(_norm(xp, components)[..., 0], 1.0))


def span_alignment(
    learned: Float[Array, "*#batch learned dim"] | ArrayLike,
    targets: Float[Array, "*#batch target dim"] | ArrayLike,
    rtol: float | int | None = None,
) -> Float[Array, "*batch"] | float:
    """tr(P_learned P_target) / rank(learned), in [0, 1]: how much of the learned span lies in the target span.

    The mean of cos² over the principal angles between the spans, where the directions by which the learned span
    exceeds the target span count as right angles: 1 when the learned span lies inside the target span, 0 when they
    are orthogonal, and at most rank(target) / rank(learned). How much of the target span has been learned is the same
    with arguments exchanged.

    Both spans are unchanged by any invertible mixing of their vectors (the gauge freedom of U Vᵀ), and so is this
    number. Each vector counts by its direction alone, so that rescaling cannot change a rank; then singular values
    below `rtol` times the largest are taken as 0 (default: max(vectors, dim) times the rounding of the input's
    dtype). 0 if either span is empty. NaN if any component is not finite.
    """
    xp, learned, targets = _vectors(learned, targets)
    a, b = _orthonormal(xp, learned, rtol), _orthonormal(xp, targets, rtol)
    shared = ((a @ b.swapaxes(-1, -2)) ** 2).sum((-1, -2))
    rank = (a**2).sum((-1, -2))
    finite = xp.isfinite(learned).all((-1, -2)) & xp.isfinite(targets).all((-1, -2))
    inside = xp.clip(shared / xp.maximum(xp.round(rank), 1.0), 0.0, 1.0)
    answer = xp.where(finite, inside, xp.nan)
    return float(answer) if xp is np and answer.ndim == 0 else answer


def bumps(trajectory: Float[Array, " steps"] | ArrayLike, prominence: float | int = 0.1) -> list[Bump]:
    """Maxima of one scalar trajectory that rise from and fall back by at least `prominence` on both sides
    (topographic).

    Meant for the alignment of one learned vector with one target over training: it grows, then recedes as the vector
    turns to another target. The trajectory is read in its own units and by record number, whatever the step spacing.
    A maximum at either end is no bump; a flat top counts once, at its middle; values that are not finite are left
    out, the indices still being those of the full trajectory; ripples smaller than `prominence` neither count nor
    split a bump.
    """
    values = np.asarray(trajectory, np.float64)
    if values.ndim != 1:
        raise ValueError(f"a trajectory of shape {values.shape}: bumps are counted along one axis of steps")
    if not prominence > 0:
        raise ValueError(f"prominence={prominence}: a bump's prominence is positive")
    kept = np.flatnonzero(np.isfinite(values))
    peaks, found = find_peaks(values[kept], prominence=prominence, plateau_size=1)
    rows = zip(kept[peaks], values[kept][peaks], found["prominences"], strict=True)
    return [Bump(int(index), float(height), float(rise)) for index, height, rise in rows]


def backs_off(cosines: Float[Array, "steps learned target"] | ArrayLike, by: float | int = 0.1) -> bool:
    """Whether two learned vectors grow towards one target and then one of them backs off to another.

    cosines: the alignments of one run over its records. Grow together: at one record both alignments with the target
    are above those of the first record by at least `by`. Backs off: from its largest alignment with that target at such
    a record one of the two falls by at least `by` until the last record, where another target is nearer to it. A run
    with a cosine that is not finite does not.
    """
    c = np.asarray(cosines, np.float64)
    if c.ndim != 3:
        raise ValueError(f"cosines of shape {c.shape}: records x learned vectors x targets")
    grown = c - c[0] >= by
    together = grown & (grown.sum(1, keepdims=True) >= 2)
    top = np.where(together, c, -np.inf).max(0)
    elsewhere = c[-1] < c[-1].max(-1, keepdims=True)
    return bool((elsewhere & (top - c[-1] >= by)).any())


def _vectors(learned: ArrayLike, targets: ArrayLike) -> tuple[ModuleType, Any, Any]:
    """Both arguments as arrays of one namespace, numpy in float64 unless one of them is a JAX array."""
    traced = isinstance(learned, jax.Array) or isinstance(targets, jax.Array)
    xp: ModuleType = jnp if traced else np
    a, b = (_floating(xp, vectors) for vectors in (learned, targets))
    for name, vectors in (("learned", a), ("targets", b)):
        if vectors.ndim < 2:
            raise ValueError(f"{name} of shape {vectors.shape}: vectors are the rows of an array (..., vectors, dim)")
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"learned vectors have {a.shape[-1]} components and targets {b.shape[-1]}: they share one space"
        )
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(f"leading axes {a.shape[:-2]} and {b.shape[:-2]} do not broadcast") from None
    return xp, a, b


def _floating(xp: ModuleType, vectors: ArrayLike) -> Any:
    if xp is np:
        array = np.asarray(vectors)
        # float32 keeps its dtype until the rank of its span is decided: its rounding is the input's, not float64's.
        return array if array.dtype == np.float32 else array.astype(np.float64)
    traced = jnp.asarray(vectors)
    return traced.astype(jnp.promote_types(traced.dtype, jnp.float32))


def _unit(xp: ModuleType, vectors: Any) -> Any:
    """v / |v|, zero where v = 0, at any scale: dividing by the largest component first avoids over- and underflow."""
    if xp is np:
        vectors = vectors.astype(np.float64)
    largest = xp.abs(vectors).max(-1, keepdims=True, initial=0.0)
    bad = ~xp.isfinite(largest)
    scaled = xp.where(bad, xp.nan, vectors / xp.where(bad | (largest == 0), 1.0, largest))
    norm = _norm(xp, scaled)
    return scaled / xp.where(norm == 0, 1.0, norm)


def _norm(xp: ModuleType, vectors: Any) -> Any:
    """|v|, kept as an axis of length one, with gradient 0 and not NaN at v = 0."""
    square = (vectors**2).sum(-1, keepdims=True)
    return xp.where(square == 0, 0.0, xp.sqrt(xp.where(square == 0, 1.0, square)))


def _orthonormal(xp: ModuleType, vectors: Any, rtol: float | None) -> Any:
    """Orthonormal rows that span the given rows, filled up with zero rows: the shape does not depend on the rank."""
    if rtol is not None and not 0 <= rtol < 1:
        raise ValueError(f"rtol={rtol}: a relative tolerance lies in [0, 1)")
    tolerance = max(vectors.shape[-2:]) * float(xp.finfo(vectors.dtype).eps) if rtol is None else rtol
    unit = _unit(xp, vectors)
    _, singular, right = xp.linalg.svd(xp.where(xp.isfinite(unit), unit, 0.0), full_matrices=False)
    significant = singular > tolerance * singular.max(-1, keepdims=True, initial=0.0)
    return xp.where(significant[..., None], right, 0.0)
