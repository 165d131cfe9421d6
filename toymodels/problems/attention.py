"""Attention-only toys: heads of small rank move sparse features from one token to another. Elhage et al. 2021.

    y = f(sum_h A_h (P x)_h + b),   A_h = U_h V_hᵀ of rank r,   P: heads x tokens, the attention pattern

x is tokens x features, drawn alike and independently; token 0 is the previous one, whose features are wanted. Heads
that attend alike add up to one matrix of rank H r, and which of them does what means nothing; `Leaning` tells them
apart. Closed forms: `theory.attention`.
"""

from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from toymodels.arrays import Array, Float
from toymodels.config import config, static
from toymodels.data import Distribution, Noisy
from toymodels.losses import Loss, SquaredError
from toymodels.models import Activation, Identity

Params = dict[str, Array]
Example = Float[Array, "tokens features"]


@runtime_checkable
class Pattern(Protocol):
    """What each head attends to: rows of weights over tokens, from parameters of its own, if it has any."""

    @property
    def tokens(self) -> int: ...
    def init(self, key: Array, heads: int) -> Params: ...
    def weights(self, params: Params, heads: int) -> Float[Array, "heads tokens"]: ...


@config
class Leaning:
    """Two tokens: the first head attends to the previous one alone, the others to it with weight `lean` in [0, 1] and
    to the present one with 1 - lean."""

    lean: float = 0.5
    tokens: ClassVar[int] = 2

    def check(self) -> None:
        if not 0 <= self.lean <= 1:
            raise ValueError(f"lean={self.lean:g}: a weight lies in [0, 1]")

    def init(self, key: Array, heads: int) -> Params:
        return {}

    def weights(self, params: Params, heads: int) -> Float[Array, "heads tokens"]:
        lean = jnp.where(jnp.arange(heads) == 0, 1.0, jnp.asarray(self.lean, float))
        return jnp.stack([lean, 1 - lean], 1)


@config
class Attending:
    """A given pattern, heads x tokens, as an array or nested lists."""

    rows: np.ndarray

    def check(self) -> None:
        if self.rows.ndim != 2 or not np.isfinite(self.rows).all():
            raise ValueError(f"rows of shape {self.rows.shape}: a finite row of weights over tokens a head expected")

    @property
    def tokens(self) -> int:
        return self.rows.shape[1]

    def init(self, key: Array, heads: int) -> Params:
        return {}

    def weights(self, params: Params, heads: int) -> Float[Array, "heads tokens"]:
        return jnp.asarray(self.rows)


@config
class LearnedPattern:
    """The softmax over positions of logits that are learned, whatever the tokens hold; they start normal x `scale`."""

    tokens: int = static(default=2)
    scale: float = 0.1

    def check(self) -> None:
        if self.tokens < 1:
            raise ValueError(f"tokens={self.tokens}: at least 1")
        if not self.scale >= 0:
            raise ValueError(f"scale={self.scale:g}: it is not negative")

    def init(self, key: Array, heads: int) -> Params:
        return {"logits": self.scale * jax.random.normal(key, (heads, self.tokens))}

    def weights(self, params: Params, heads: int) -> Float[Array, "heads tokens"]:
        return jax.nn.softmax(params["logits"], axis=1)


@config
class Attention:
    """L = E loss(f(sum_h U_h V_hᵀ (P x)_h + b), x of token 0): `heads` of rank `rank`, no residual stream.

    U and V are heads x features x components and start Xavier normal times `scale`, b at `bias`; f is `output`. A
    rectified output that starts off on all examples has no gradient: a bias above 0 lets it start on.
    """

    data: Distribution
    heads: int = static(default=2)
    rank: int = static(default=4)
    pattern: Pattern = Leaning()
    output: Activation = Identity()
    loss: Loss = SquaredError()
    scale: float = 1.0
    bias: float = 0.0

    dims: ClassVar[dict[str, tuple[str, ...]]] = {
        "U": ("head", "feature", "component"),
        "V": ("head", "feature", "component"),
        "b": ("feature",),
        "logits": ("head", "token"),
    }

    def check(self) -> None:
        for name in ("heads", "rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: at least 1")
        if not self.scale >= 0:
            raise ValueError(f"scale={self.scale:g}: it is not negative")
        if isinstance(self.data, Noisy):
            raise ValueError("data: a distribution without noise expected")
        if isinstance(self.pattern, Attending) and len(self.pattern.rows) != self.heads:
            raise ValueError(f"rows of shape {self.pattern.rows.shape}: there are {self.heads} heads")
        importance = getattr(self.loss, "importance", None)
        if isinstance(importance, tuple) and len(importance) not in (1, self.data.n):
            raise ValueError(f"importance has {len(importance)} values for {self.data.n} features")

    def init(self, key: Array) -> Params:
        own, shape = jax.random.split(key, 3), (self.heads, self.data.n, self.rank)
        size = self.scale * jnp.sqrt(2 / (self.data.n + self.rank))
        found = {name: size * jax.random.normal(each, shape) for name, each in zip("UV", own[:2], strict=True)}
        return found | {"b": jnp.full(self.data.n, self.bias, float)} | self.pattern.init(own[2], self.heads)

    def sample(self, key: Array, batch: int) -> Float[Array, "batch tokens features"]:
        return self.data.sample(key, batch * self.pattern.tokens).reshape(batch, self.pattern.tokens, self.data.n)

    def predict(self, params: Params, x: Example) -> Float[Array, " features"]:
        """The output at the present token."""
        seen = self.pattern.weights(params, self.heads) @ x
        moved = sum(params["U"][head] @ (params["V"][head].T @ seen[head]) for head in range(self.heads))
        return self.output(moved + params["b"])

    def objective(self, params: Params, example: Example) -> Float[Array, ""]:
        return self.loss(self.predict(params, example), example[0])

    def metrics(self, params: Params, example: Example) -> dict[str, Float[Array, ""]]:
        """`squared_error`, summed over features without importances."""
        return {"squared_error": jnp.sum((example[0] - self.predict(params, example)) ** 2)}


def value_output(params: Any) -> Float[Array, "*cells heads features features"]:
    """A_h = U_h V_hᵀ: what each head makes of what it attends to."""
    return params["U"] @ jnp.swapaxes(params["V"], -1, -2)
