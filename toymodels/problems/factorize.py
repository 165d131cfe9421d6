"""Matrix factorisation: learn a target A = sum_k s_k a_k b_kᵀ as Ã = U Vᵀ. Jermyn & Shlegeris 2022; FIELD section 2."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from toymodels.arrays import Array, Bool, Float
from toymodels.config import config, static, substitute
from toymodels.data import Distribution
from toymodels.laws import Law, per_feature
from toymodels.losses import HalfSquaredError, InnerProduct, Loss


def _check_target(n: int, m: int, rank: int) -> None:
    if n < 1 or m < 1:
        raise ValueError(f"n={n}, m={m}: a matrix has at least one row and one column")
    if not 1 <= rank <= min(n, m):
        raise ValueError(f"rank={rank}: a {n} x {m} matrix has a rank in 1..{min(n, m)}")


@config
class Components:
    """A = sum_{k < rank} s_k a_k b_kᵀ with random orthonormal a_k (n) and b_k (m) drawn from `seed`.

    `spectrum` gives s_k: a number (equal), `Geometric(ratio)`, `PowerLaw(exponent)` or the values themselves.
    """

    n: int = static(32)
    m: int = static(32)
    rank: int = 1
    spectrum: Law = 1.0
    seed: int = 0

    def check(self) -> None:
        _check_target(self.n, self.m, self.rank)
        if isinstance(self.spectrum, tuple) and not self.rank <= len(self.spectrum) <= min(self.n, self.m):
            raise ValueError(f"spectrum has {len(self.spectrum)} values for a target of rank {self.rank}")

    def singular_values(self) -> Float[Array, " full"]:
        """s_k, in the order of the law, zero from `rank` on."""
        full = min(self.n, self.m)
        given = len(self.spectrum) if isinstance(self.spectrum, tuple) else full
        s = jnp.pad(per_feature(self.spectrum, given), (0, full - given))
        return jnp.where(jnp.arange(full) < self.rank, s, 0.0)

    def vectors(self) -> tuple[Float[Array, "full n"], Float[Array, "full m"]]:
        """(a_k, b_k) as rows."""
        full = min(self.n, self.m)
        left_key, right_key = jax.random.split(jax.random.key(self.seed))
        left, right = (
            jnp.linalg.qr(jax.random.normal(key, (size, full)))[0].T
            for key, size in ((left_key, self.n), (right_key, self.m))
        )
        return left, right

    def matrix(self) -> Float[Array, "n m"]:
        left, right = self.vectors()
        return (left.T * self.singular_values()) @ right


@config
class Gaussian:
    """A = sum_{k < rank} a_k b_kᵀ with raw Gaussian a_k ~ N(0, 1/n), b_k ~ N(0, 1/m): neither orthogonal nor unit."""

    n: int = static(32)
    m: int = static(32)
    rank: int = 1
    seed: int = 0

    def check(self) -> None:
        _check_target(self.n, self.m, self.rank)

    def matrix(self) -> Float[Array, "n m"]:
        left_key, right_key = jax.random.split(jax.random.key(self.seed))
        full = min(self.n, self.m)
        left = jax.random.normal(left_key, (self.n, full)) / jnp.sqrt(self.n)
        right = jax.random.normal(right_key, (self.m, full)) / jnp.sqrt(self.m)
        return (left * (jnp.arange(full) < self.rank)) @ right.T


@config
class Given:
    """A itself, as an array or nested lists of numbers."""

    values: np.ndarray

    def check(self) -> None:
        if self.values.ndim != 2 or not np.isfinite(self.values).all():
            raise ValueError(f"values of shape {self.values.shape}: a target matrix has two axes and finite entries")

    @property
    def n(self) -> int:
        return self.values.shape[0]

    @property
    def m(self) -> int:
        return self.values.shape[1]

    def matrix(self) -> Float[Array, "n m"]:
        return jnp.asarray(self.values)


Target = Components | Gaussian | Given


@config
class Factorize:
    """L = loss(U Vᵀ, A), or E_x loss(U Vᵀ x, A x) on sparse inputs x where `data` is given.

    U (n x components) and V (m x components) start as N(0, scale²). Only the first `rank` components start non-zero; the
    others stay exactly zero under every optimizer here, so that all ranks up to `components` share one program.
    With `InnerProduct` a run is done once |Ã| >= |A|.
    """

    target: Target
    components: int = static(1)
    rank: int | None = None
    loss: Loss = HalfSquaredError()
    scale: float = 1e-3
    data: Distribution | None = None

    dims: ClassVar[dict[str, tuple[str, ...]]] = {"U": ("row", "component"), "V": ("column", "component")}

    def check(self) -> None:
        if self.rank is None:
            object.__setattr__(self, "rank", self.components)
        if not 1 <= self.rank <= self.components:  # type: ignore[operator]
            raise ValueError(f"rank={self.rank}: the learned rank lies in 1..components={self.components}")
        if not self.scale >= 0:
            raise ValueError(f"scale={self.scale:g}: an initial scale is not negative")
        if self.data is not None and self.data.n != self.target.m:
            raise ValueError(f"data has {self.data.n} features for a target with {self.target.m} columns")

    def prepare(self) -> "Factorize":
        """The same problem with its target worked out once, rather than at every step."""
        given = object.__new__(Given)
        object.__setattr__(given, "values", self.target.matrix())
        return substitute(self, target=given)

    def init(self, key: Array) -> dict[str, Array]:
        left_key, right_key = jax.random.split(key)
        used = jnp.arange(self.components) < self.rank
        return {
            name: jnp.where(used, self.scale * jax.random.normal(side_key, (size, self.components)), 0.0)
            for name, side_key, size in (("U", left_key, self.target.n), ("V", right_key, self.target.m))
        }

    def sample(self, key: Array, batch: int) -> Float[Array, "batch m"] | None:
        return None if self.data is None else self.data.sample(key, batch)

    def objective(self, params: dict[str, Array], x: Float[Array, " m"] | None) -> Float[Array, ""]:
        target = self.target.matrix()
        if x is None:
            return self.loss(params["U"] @ params["V"].T, target)
        return self.loss(params["U"] @ (params["V"].T @ x), target @ x)

    def metrics(self, params: dict[str, Array], x: Float[Array, " m"] | None) -> dict[str, Float[Array, ""]]:
        """`squared_error` = 1/2 |A - Ã|^2, comparable between losses."""
        return {"squared_error": jnp.sum((self.target.matrix() - params["U"] @ params["V"].T) ** 2) / 2}

    def done(self, params: dict[str, Array]) -> Bool[Array, ""]:
        """Whether an unbounded loss has reached its stop, |Ã| >= |A|."""
        if not isinstance(self.loss, InnerProduct):
            return jnp.asarray(False)
        return jnp.linalg.norm(params["U"] @ params["V"].T) >= jnp.linalg.norm(self.target.matrix())
