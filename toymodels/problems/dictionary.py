"""Sparse autoencoders: a dictionary of directions, learned from observations alone. FIELD section 5.

    c = coder(E (h - b_dec) + b_enc),   h' = sum_j c_j û_j + b_dec

Decoder rows enter at unit length, û_j = u_j / |u_j|: without that an L1 penalty is met by long rows and small codes.
For rectified codes it is the same as penalising |u_j| c_j. Coders are configs; their numbers (penalty, k) are leaves.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from toymodels.arrays import Array, Bool, Float, Number
from toymodels.config import config, paths, replace, static, substitute
from toymodels.observations import Observations, prepared

Params = dict[str, Array]
Example = Float[Array, "d *rows"]
Codes = Float[Array, "latent *rows"]
"""Latents first: the rows of an example, where it has several, come after."""
Stacked = Float[Array, "size *rows"]
OfEach = Float[Array, "*rows"]


@runtime_checkable
class Coder(Protocol):
    """Codes of one example from its pre-activations, and what sparsity costs, summed over latents and rows."""

    def init(self, width: int) -> Params: ...
    def __call__(self, pre: Codes, params: Params) -> tuple[Codes, Float[Array, ""]]: ...


def _check_penalty(penalty: float) -> None:
    if not penalty >= 0:
        raise ValueError(f"penalty={penalty:g}: a penalty is not negative")


def _check_k(k: float) -> None:
    if not k > 0:
        raise ValueError(f"k={k:g}: a latent or more is on, or a part of one on average")


@config
class ReluL1:
    """c = ReLU(a), penalty sum_j c_j. Cunningham et al. 2023."""

    penalty: float = 0.1

    def check(self) -> None:
        _check_penalty(self.penalty)

    def init(self, width: int) -> Params:
        return {}

    def __call__(self, pre: Codes, params: Params) -> tuple[Codes, Float[Array, ""]]:
        codes = jax.nn.relu(pre)
        return codes, jnp.asarray(self.penalty) * jnp.sum(codes)


@config
class TopK:
    """The k largest of ReLU(a), the others 0; k is a leaf, at most `width`. Gao et al. 2024, arXiv 2406.04093."""

    k: int = 4

    def check(self) -> None:
        _check_k(self.k)

    def init(self, width: int) -> Params:
        return {}

    def __call__(self, pre: Codes, params: Params) -> tuple[Codes, Float[Array, ""]]:
        codes = jax.nn.relu(pre)
        return jnp.where(codes >= kth_largest(codes, self.k), codes, 0.0), jnp.zeros(())


@config
class BatchTopK:
    """The k largest of ReLU(a) per row on average, over all rows of an example together. Bussmann et al. 2024.

    An example is then a small batch (`Dictionary.rows`), for the threshold is a property of several rows at once. With
    one row it is `TopK`.
    """

    k: float = 4.0

    def check(self) -> None:
        _check_k(self.k)

    def init(self, width: int) -> Params:
        return {}

    def __call__(self, pre: Codes, params: Params) -> tuple[Codes, Float[Array, ""]]:
        codes = jax.nn.relu(pre)
        rows = 1 if codes.ndim == 1 else codes.shape[1]
        least = kth_largest(codes.ravel(), jnp.round(jnp.asarray(self.k) * rows).astype(int))
        return jnp.where(codes >= least, codes, 0.0), jnp.zeros(())


@config
class JumpRelu:
    """c = a where a > theta_j, else 0; penalty x number of codes; learned thresholds. Rajamanoharan et al. 2024.

    A step has no gradient: that of a ramp of width `bandwidth` at the threshold stands for it, and moves theta alone.
    arXiv 2407.14435.
    """

    penalty: float = 0.01
    start: float = 0.05
    bandwidth: float = 0.1

    def check(self) -> None:
        _check_penalty(self.penalty)
        if not (self.bandwidth > 0 and self.start > 0):
            raise ValueError(f"start={self.start:g}, bandwidth={self.bandwidth:g}: above 0")

    def init(self, width: int) -> Params:
        return {"log_threshold": jnp.full(width, jnp.log(jnp.asarray(self.start, float)))}

    def __call__(self, pre: Codes, params: Params) -> tuple[Codes, Float[Array, ""]]:
        threshold = _along(jnp.exp(params["log_threshold"]), pre)
        on = jax.lax.stop_gradient((pre > threshold).astype(pre.dtype))
        ramp = jnp.clip((jax.lax.stop_gradient(pre) - threshold) / jnp.asarray(self.bandwidth) + 0.5, 0, 1)
        step = on + ramp - jax.lax.stop_gradient(ramp)
        codes = pre * on + jax.lax.stop_gradient(threshold) * (step - on)
        return codes, jnp.asarray(self.penalty) * jnp.sum(step)


FEW = 8
"""Up to so many of the largest are found one after another."""


def kth_largest(values: Stacked, k: Number) -> OfEach:
    """The k-th largest of values that are not negative, along the first axis; 0 where k is more than there are.

    Exact, for a k that may be traced, and a fraction of what a sort takes: up to k = 8 by a pass over the values for
    each, above by bisection on the bits, which order such floats, a pass for each bit. No gradient passes.
    """
    values, few = jax.lax.stop_gradient(values), jnp.asarray(k) <= FEW
    return _by_bisection(values, k, ~few, start=_one_by_one(values, k, few))


def _one_by_one(values: Stacked, k: Number, wanted: Bool[Array, ""]) -> OfEach:
    """The largest, the largest below it, and so on, to the k-th, where equal ones count each; 0 unless wanted."""

    def counted(largest: OfEach) -> tuple[OfEach, Any]:
        return largest, wanted & (largest > 0) & (jnp.sum(values >= largest, axis=0) < jnp.asarray(k))

    def lower(passed: tuple[Any, Any]) -> tuple[OfEach, Any]:
        largest, short = passed  # and whether fewer than k have been passed
        return counted(jnp.where(short, jnp.max(jnp.where(values < largest, values, 0.0), axis=0), largest))

    first = counted(jnp.where(wanted, jnp.max(values, axis=0), 0.0))
    return jax.lax.while_loop(lambda passed: jnp.any(passed[1]), lower, first)[0]


def _by_bisection(values: Stacked, k: Number, wanted: Bool[Array, ""], start: OfEach) -> OfEach:
    """`start` unless wanted."""
    wide = values.dtype == jnp.float64
    bits = jax.lax.bitcast_convert_type(values, jnp.int64 if wide else jnp.int32)
    least = jax.lax.bitcast_convert_type(start, bits.dtype)

    def one(state: tuple[Any, Any]) -> tuple[Any, Any]:
        least, bit = state
        higher = least + bit
        enough = jnp.sum(bits >= higher, axis=0) >= jnp.asarray(k)
        return jnp.where(enough, higher, least), bit // 2

    first = jnp.where(wanted, 1 << (62 if wide else 30), 0).astype(bits.dtype)
    least = jax.lax.while_loop(lambda state: state[1] > 0, one, (least, first))[0]
    return jax.lax.bitcast_convert_type(least, values.dtype)


def _along(vector: Float[Array, " size"], like: Stacked) -> Array:
    """A vector that broadcasts against the rows of an example."""
    return vector if like.ndim == 1 else vector[:, None]


@config
class Dictionary:
    """L = E |h - h'|² + sparsity of `width` latents, or the sum of it over nested `prefixes` of them (Matryoshka).

    Decoder rows start uniform on the sphere, the encoder as their copy (tied: it is their unit rows), biases at 0. An
    example is h, or `rows` of them, over which `BatchTopK` has one threshold; then the loss is their mean. Prefixes:
    Bussmann et al. 2025, arXiv 2503.17547.
    """

    data: Observations
    coder: Coder
    width: int = static()
    tied: bool = static(default=False)
    rows: int = static(default=1)
    prefixes: tuple[int, ...] = static(default=())

    dims: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "decoder": ("latent", "dimension"),
        "encoder": ("latent", "dimension"),
        "b_enc": ("latent",),
        "b_dec": ("dimension",),
        "log_threshold": ("latent",),
    }

    def check(self) -> None:
        if self.width < 1 or self.rows < 1:
            raise ValueError(f"width={self.width}, rows={self.rows}: at least 1")
        if any(not 1 <= each < self.width for each in self.prefixes):
            raise ValueError(
                f"prefixes={self.prefixes}: each has 1..{self.width - 1} latents; all of them count anyway"
            )
        if isinstance(self.coder, BatchTopK) and self.rows == 1:
            raise ValueError("rows=1: with BatchTopK an example is several rows")

    def prepare(self) -> "Dictionary":
        return substitute(self, data=prepared(self.data))

    def init(self, key: Array) -> Params:
        drawn = jax.random.normal(key, (self.width, self.data.d))
        decoder = drawn / jnp.linalg.norm(drawn, axis=1, keepdims=True)
        own = {"decoder": decoder, "b_enc": jnp.zeros(self.width), "b_dec": jnp.zeros(self.data.d)}
        return own | ({} if self.tied else {"encoder": decoder}) | self.coder.init(self.width)

    def sample(self, key: Array, batch: int) -> Float[Array, "batch d *rows"]:
        h = self.data.sample(key, batch * self.rows)
        return h if self.rows == 1 else h.reshape(batch, self.rows, -1).transpose(0, 2, 1)

    def encode(self, params: Params, h: Example) -> tuple[Codes, Float[Array, ""]]:
        """Codes of one example, and what their sparsity costs."""
        encoder = unit(params["decoder"]) if self.tied else params["encoder"]
        pre = encoder @ (h - _along(params["b_dec"], h))
        return self.coder(pre + _along(params["b_enc"], pre), params)

    def decode(self, params: Params, codes: Codes) -> Example:
        h = unit(params["decoder"]).T @ codes
        return h + _along(params["b_dec"], h)

    def objective(self, params: Params, example: Example) -> Float[Array, ""]:
        codes, cost = self.encode(params, example)
        return (self._errors(params, example, codes) + cost) / self.rows

    def _errors(self, params: Params, h: Example, codes: Codes) -> Float[Array, ""]:
        """|h - h'|², summed over prefixes; each adds its latents to the reconstruction of the one before."""
        decoder, ends = unit(params["decoder"]), [0, *sorted(self.prefixes), self.width]
        left = h - _along(params["b_dec"], h)
        total = jnp.zeros(())
        for start, stop in pairwise(ends):
            left = left - decoder[start:stop].T @ codes[start:stop]
            total = total + jnp.sum(left**2)
        return total

    def metrics(self, params: Params, example: Example) -> dict[str, Float[Array, ""]]:
        """`squared_error` of the whole dictionary, and `active`, the number of codes that are on; per row."""
        codes = self.encode(params, example)[0]
        error = jnp.sum((example - self.decode(params, codes)) ** 2)
        return {"squared_error": error / self.rows, "active": jnp.sum(codes > 0) / self.rows}


def unit(rows: Float[Array, "count d"]) -> Float[Array, "count d"]:
    """Rows at unit length; a row of zeros stays one, and has no gradient."""
    square = jnp.sum(rows**2, axis=1, keepdims=True)
    return rows * jnp.where(square > 0, 1 / jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


def planted(run: Any) -> Any:
    """The run with the truth in its data drawn from the run's own seed, in a stream of its own: a sweep's `derive`."""
    found = [path for path, _ in paths(run.problem.data) if path.rpartition(".")[2] == "seed"]
    return replace(run, {f"problem.data.{path}": run.seed for path in found})
