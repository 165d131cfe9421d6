"""Toys with attention: heads of small rank move sparse features from one token to another. Elhage et al. 2021.

    y = f(sum_h A_h (P x)_h + b),   A_h = U_h V_hᵀ of rank r,   P: heads x tokens, the attention pattern

x is tokens x features, drawn alike and independently; token 0 is the previous one, whose features are wanted. Heads
that attend alike add up to one matrix of rank H r, and which of them does what means nothing; `Leaning` tells them
apart. Closed forms: `theory.attention`. `Lookup` is a whole layer: an embedding, a head that finds its token, an MLP.
"""

from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from toymodels.arrays import Array, Float
from toymodels.config import config, static
from toymodels.data import Distribution, Noisy
from toymodels.laws import Law, check_law, per_feature
from toymodels.losses import Loss, SquaredError
from toymodels.models import Activation, Identity, xavier

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


@config
class Lookup:
    """A token is found by its key and its features are moved, and |x_i| is worked out for one's own: one whole layer.

        h = Eᵀ x,   a = softmax_t (Qᵀ h_q . Kᵀ h_t),   z = h_q + O Vᵀ sum_t a_t h_t
        y = W (z + W_out ReLU(W_in z + c)) + b

    `tokens` earlier tokens have n features each and a key of their own, drawn without replacement from `keys` by the
    weights of `frequency`; the present one has n features and the query for one of them. Inputs: n features, keys,
    queries. Outputs: the n features found, then the n sizes |x_i| of one's own, each weighted by `importance`.
    """

    data: Distribution
    d: int = static(default=16)
    rank: int = static(default=4)
    neurons: int = static(default=16)
    tokens: int = static(default=3)
    keys: int = static(default=4)
    frequency: Law = 1.0
    importance: Law = 1.0

    dims: ClassVar[dict[str, tuple[str, ...]]] = {
        "E": ("input", "dimension"),
        "Q": ("dimension", "component"),
        "K": ("dimension", "component"),
        "V": ("dimension", "component"),
        "O": ("dimension", "component"),
        "W_in": ("neuron", "dimension"),
        "W_out": ("dimension", "neuron"),
        "W": ("output", "dimension"),
        "b": ("output",),
        "c": ("neuron",),
    }

    def check(self) -> None:
        for name in ("d", "rank", "neurons", "tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: at least 1")
        if self.keys < self.tokens:
            raise ValueError(f"keys={self.keys}: {self.tokens} tokens have a key each")
        if isinstance(self.data, Noisy):
            raise ValueError("data: a distribution without noise expected")
        check_law("frequency", self.frequency, self.keys, lambda value: value > 0, "a frequency is above 0")
        check_law("importance", self.importance, self.data.n, lambda value: value >= 0, "an importance is not negative")

    @property
    def inputs(self) -> int:
        return self.data.n + 2 * self.keys

    def init(self, key: Array) -> Params:
        n, d, r = self.data.n, self.d, self.rank
        shapes = {"E": (self.inputs, d), "W_in": (self.neurons, d), "W_out": (d, self.neurons), "W": (2 * n, d)}
        shapes |= dict.fromkeys("QKVO", (d, r))
        found = {
            name: xavier(own, *shape)
            for (name, shape), own in zip(shapes.items(), jax.random.split(key, len(shapes)), strict=True)
        }
        return found | {"b": jnp.zeros(2 * n), "c": jnp.zeros(self.neurons)}

    def sample(
        self, key: Array, batch: int
    ) -> tuple[Float[Array, "batch inputs tokens"], Float[Array, "batch outputs"]]:
        """Tokens, the present one last, and what is wanted of it."""
        data_key, order_key, which_key = jax.random.split(key, 3)
        values = self.data.sample(data_key, batch * (self.tokens + 1)).reshape(batch, self.tokens + 1, self.data.n)
        favour = jnp.log(per_feature(self.frequency, self.keys)) + jax.random.gumbel(order_key, (batch, self.keys))
        own = jax.nn.one_hot(jnp.argsort(-favour, axis=1)[:, : self.tokens], self.keys)
        which = jax.nn.one_hot(jax.random.randint(which_key, (batch,), 0, self.tokens), self.tokens)
        query = jnp.einsum("bt,btk->bk", which, own)[:, None]
        keys = jnp.concatenate([own, jnp.zeros_like(query)], 1)
        queries = jnp.concatenate([jnp.zeros_like(own), query], 1)
        x = jnp.concatenate([values, keys, queries], 2)
        found = jnp.einsum("bt,btn->bn", which, values[:, :-1])
        return jnp.swapaxes(x, 1, 2), jnp.concatenate([found, jnp.abs(values[:, -1])], 1)

    def attention(self, params: Params, x: Float[Array, "inputs tokens"]) -> Float[Array, " earlier"]:
        """Weights of the present token on the earlier ones."""
        h = params["E"].T @ x
        asked = params["Q"].T @ h[:, -1]
        return jax.nn.softmax(jnp.sum(asked[:, None] * (params["K"].T @ h[:, :-1]), 0))

    def predict(self, params: Params, x: Float[Array, "inputs tokens"]) -> Float[Array, " outputs"]:
        """The output at the present token."""
        h = params["E"].T @ x
        moved = jnp.sum((params["V"].T @ h[:, :-1]) * self.attention(params, x), 1)
        z = h[:, -1] + params["O"] @ moved
        z = z + params["W_out"] @ jax.nn.relu(params["W_in"] @ z + params["c"])
        return params["W"] @ z + params["b"]

    def objective(self, params: Params, example: tuple[Array, Array]) -> Float[Array, ""]:
        x, wanted = example
        error = (wanted - self.predict(params, x)) ** 2
        weight = per_feature(self.importance, self.data.n)
        return jnp.sum(error[: self.data.n] @ weight + error[self.data.n :] @ weight)

    def metrics(self, params: Params, example: tuple[Array, Array]) -> dict[str, Float[Array, ""]]:
        """`moving` and `computing`, the squared errors of the two kinds of output; `right`, the weight on the token
        that is asked for."""
        x, wanted = example
        error, n, keys = (wanted - self.predict(params, x)) ** 2, self.data.n, self.keys
        match = jnp.sum(x[n : n + keys, :-1] * x[n + keys :, -1:], 0)
        right = jnp.sum(match * self.attention(params, x))
        return {"moving": jnp.sum(error[:n]), "computing": jnp.sum(error[n:]), "right": right}


def value_output(params: Any) -> Float[Array, "*cells heads features features"]:
    """A_h = U_h V_hᵀ: what each head makes of what it attends to."""
    return params["U"] @ jnp.swapaxes(params["V"], -1, -2)
