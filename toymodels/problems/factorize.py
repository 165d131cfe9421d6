"""Matrix factorisation: learn a target A = sum_k s_k a_k b_kᵀ as Ã = U Vᵀ. Jermyn & Shlegeris 2022; FIELD section 2."""

from typing import ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from toymodels import keys
from toymodels.arrays import Array, Bool, Float
from toymodels.config import config, static, substitute
from toymodels.data import Distribution
from toymodels.laws import Law, check_law, per_feature
from toymodels.losses import BinaryCrossEntropy, HalfSquaredError, InnerProduct, Loss
from toymodels.settings import standard


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed={seed}: an integer in 0..2^31 - 1")


def _check_target(n: int, m: int, rank: int) -> None:
    if n < 1 or m < 1:
        raise ValueError(f"n={n}, m={m}: a matrix has at least one row and one column")
    if not 1 <= rank <= min(n, m):
        raise ValueError(f"rank={rank}: a {n} x {m} matrix has a rank in 1..{min(n, m)}")


@runtime_checkable
class Target(Protocol):
    """A config that gives an n x m matrix."""

    @property
    def n(self) -> int: ...
    @property
    def m(self) -> int: ...
    def matrix(self) -> Float[Array, "n m"]: ...


@config
class Components:
    """A = sum_{k < rank} s_k a_k b_kᵀ with random orthonormal a_k (n) and b_k (m) drawn from `seed`.

    `spectrum` gives s_k: a number (equal), `Geometric(ratio)`, `PowerLaw(exponent)` or the values themselves.
    """

    n: int = static(default=32)
    m: int = static(default=32)
    rank: int = 1
    spectrum: Law = 1.0
    seed: int = 0

    def check(self) -> None:
        _check_target(self.n, self.m, self.rank)
        _check_seed(self.seed)
        full, given = min(self.n, self.m), len(self.spectrum) if isinstance(self.spectrum, tuple) else self.rank
        if not self.rank <= given <= full:
            raise ValueError(f"spectrum has {given} values: a target of rank {self.rank} takes {self.rank}..{full}")
        check_law("spectrum", self.spectrum, given, lambda s: s >= 0, "a singular value is not negative")

    def singular_values(self) -> Float[Array, " full"]:
        """s_k, in the order of the law, zero from `rank` on."""
        full = min(self.n, self.m)
        given = len(self.spectrum) if isinstance(self.spectrum, tuple) else full
        s = jnp.pad(per_feature(self.spectrum, given), (0, full - given))
        return jnp.where(jnp.arange(full) < self.rank, s, 0.0)

    @standard()
    def vectors(self) -> tuple[Float[Array, "full n"], Float[Array, "full m"]]:
        """(a_k, b_k) as rows."""
        full, sizes = min(self.n, self.m), (self.n, self.m)
        left_key, right_key = jax.random.split(keys.key(self.seed))
        drawn = (jax.random.normal(key, (size, full)) for key, size in zip((left_key, right_key), sizes, strict=True))
        # One call for both: two QR calls of one program may each hold a thread of XLA's CPU pool while they wait for
        # the other's, for ever. Rows of zeros leave the factor above them as it is.
        padded = jnp.stack([jnp.pad(draw, ((0, max(sizes) - draw.shape[0]), (0, 0))) for draw in drawn])
        left, right = jnp.linalg.qr(padded)[0].transpose(0, 2, 1)
        return left[:, : self.n], right[:, : self.m]

    @standard()
    def matrix(self) -> Float[Array, "n m"]:
        left, right = self.vectors()
        return (left.T * self.singular_values()) @ right


@config
class Gaussian:
    """A = sum_{k < rank} a_k b_kᵀ with raw Gaussian a_k ~ N(0, 1/n), b_k ~ N(0, 1/m): neither orthogonal nor unit."""

    n: int = static(default=32)
    m: int = static(default=32)
    rank: int = 1
    seed: int = 0

    def check(self) -> None:
        _check_target(self.n, self.m, self.rank)
        _check_seed(self.seed)

    @standard()
    def matrix(self) -> Float[Array, "n m"]:
        left_key, right_key = jax.random.split(keys.key(self.seed))
        full = min(self.n, self.m)
        left = jax.random.normal(left_key, (self.n, full)) / jnp.sqrt(self.n)
        right = jax.random.normal(right_key, (self.m, full)) / jnp.sqrt(self.m)
        return (left * (jnp.arange(full) < self.rank)) @ right.T


@config
class Given:
    """A itself, as an array or nested lists of numbers."""

    values: np.ndarray

    def check(self) -> None:
        if self.values.ndim != 2 or not self.values.size:
            raise ValueError(f"values of shape {self.values.shape}: a target matrix has rows and columns")
        if not np.isfinite(self.values).all():
            raise ValueError("values: the entries of a target matrix are finite numbers")

    @property
    def n(self) -> int:
        return self.values.shape[0]

    @property
    def m(self) -> int:
        return self.values.shape[1]

    def matrix(self) -> Float[Array, "n m"]:
        return jnp.asarray(self.values)


@config
class Factorize:
    """L = loss(U Vᵀ, A), or E_x loss(U Vᵀ x, A x) on sparse inputs x where `data` is given.

    U (n x components) and V (m x components) start as N(0, scale²). Only the first `rank` components start non-zero;
    the others stay exactly zero under every optimizer here, so that all ranks up to `components` share one program.
    With `InnerProduct` a run is done once |Ã| >= |A|.
    """

    target: Target
    components: int = static(default=1)
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
        self._check_loss()

    def _check_loss(self) -> None:
        importance = getattr(self.loss, "importance", None)
        outputs = self.target.m if self.data is None else self.target.n
        if isinstance(importance, tuple) and len(importance) not in (1, outputs):
            raise ValueError(f"importance has {len(importance)} values for {outputs} outputs")
        if isinstance(self.loss, BinaryCrossEntropy):
            A = np.asarray(self.target.matrix())
            if self.data is not None or not (A.min() >= 0 and A.max() <= 1):
                raise ValueError(
                    "binary cross-entropy takes targets in [0, 1]: give a target matrix of those, and no data"
                )

    def prepare(self) -> "Factorize":
        """The same problem with its target worked out once, rather than at every step."""
        given = object.__new__(Given)
        object.__setattr__(given, "values", self.target.matrix())
        return substitute(self, target=given)

    def init(self, key: Array) -> dict[str, Array]:
        left_key, right_key = jax.random.split(key)
        used = jnp.arange(self.components) < jnp.asarray(self.rank)
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
