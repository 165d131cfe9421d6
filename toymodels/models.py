"""Models on one vector, as flax NNX modules, and the configs that build them.

A config's `init(key, n)` gives a module for n features; problems split it into parameters and merge it back at the
edge, so everything between is plain JAX. W is features x hidden everywhere.
"""

import inspect
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from toymodels import keys
from toymodels.arrays import Array, Float
from toymodels.config import config, static
from toymodels.normalisers import Normaliser, RmsNorm


@runtime_checkable
class Activation(Protocol):
    """A config that maps each number by itself."""

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]: ...


@runtime_checkable
class Model(Protocol):
    """A config that gives a flax NNX module for n features, itself a function of one vector."""

    def init(self, key: Array, n: int) -> nnx.Module: ...


@config
class Relu:
    """max(x, 0)."""

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jax.nn.relu(x)


@config
class Gelu:
    """x Phi(x), exact."""

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jax.nn.gelu(x, approximate=False)


@config
class TimesExp:
    """x exp(x): at least -1/e. Jermyn, Schiefer & Hubinger 2022, arXiv 2211.09169."""

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return x * jnp.exp(x)


@config
class Identity:
    """x: a linear layer."""

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return x


@config
class Absolute:
    """|x|."""

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.abs(x)


class Autoencoder(nnx.Module):
    """x' = output(W hidden(encoderᵀ x) + b); tied where `encoder` is None, and then the encoder is W."""

    def __init__(
        self,
        W: Float[Array, "features hidden"],
        b: Float[Array, " features"],
        encoder: Float[Array, "features hidden"] | None,
        hidden: Activation,
        output: Activation,
    ) -> None:
        self.W = nnx.Param(W)
        self.b = nnx.Param(b)
        if encoder is not None:
            self.encoder = nnx.Param(encoder)
        self.tied = encoder is None
        self.hidden, self.output = nnx.static(hidden), nnx.static(output)

    def __call__(self, x: Float[Array, " features"]) -> Float[Array, " features"]:
        encoder = self.W[...] if self.tied else self.encoder[...]
        return self.output(self.W[...] @ self.hidden(encoder.T @ x) + self.b[...])


def xavier(key: Array, n: int, m: int) -> Float[Array, "n m"]:
    """Xavier (Glorot) normal: standard deviation sqrt(2 / (n + m)), for one model whatever trains beside it."""
    return jax.random.normal(key, (n, m)) * jnp.sqrt(2 / (n + m))


@config
class Tied:
    """x' = output(W hidden(Wᵀ x) + b). Elhage et al. 2022: ReLU output; linear model: `output=Identity()`.

    `hidden=Relu()` is the privileged-basis model. W starts Xavier normal times `scale`, b at `bias`.
    """

    m: int = static()
    hidden: Activation = Identity()
    output: Activation = Relu()
    scale: float = 1.0
    bias: float = 0.0

    def check(self) -> None:
        check_width(self.m)
        check_scale(self.scale)

    def init(self, key: Array, n: int) -> Autoencoder:
        W = self.scale * xavier(key, n, self.m)
        return Autoencoder(W, jnp.full(n, self.bias, float), None, self.hidden, self.output)


@config
class Untied:
    """x' = output(W hidden(encoderᵀ x) + b), both matrices Xavier normal times `scale`, drawn independently."""

    m: int = static()
    hidden: Activation = Identity()
    output: Activation = Relu()
    scale: float = 1.0
    bias: float = 0.0

    def check(self) -> None:
        check_width(self.m)
        check_scale(self.scale)

    def init(self, key: Array, n: int) -> Autoencoder:
        encoder_key, decoder_key = jax.random.split(key)
        encoder, W = (self.scale * xavier(k, n, self.m) for k in (encoder_key, decoder_key))
        return Autoencoder(W, jnp.full(n, self.bias, float), encoder, self.hidden, self.output)


class Held:
    """A config that a module holds, of traced numbers too: equal to others of its treedef, as JAX compares modules."""

    def __init__(self, config: Any) -> None:
        self.config = config

        self.structure: Any = jax.tree.structure(config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and bool(self.structure == other.structure)

    def __hash__(self) -> int:
        return hash(self.structure)


def check_learned(model: Model, n: int) -> None:
    """ValueError where its module for n features holds a variable that is no `nnx.Param`, or a number of its config.

    Called while the numbers of the config are traced. A model of another kind, started otherwise, is left alone.
    """
    try:
        inspect.signature(model.init).bind(None, n)
    except TypeError:
        return
    module = model.init(keys.key(0), n)
    nodes = [node for _, node in nnx.iter_graph(module) if isinstance(node, nnx.Module)]
    for node, name, value in [(each, *item) for each in nodes for item in vars(each).items()]:
        is_number = isinstance(value, jax.core.Tracer)
        if is_number or (isinstance(value, nnx.Variable) and not isinstance(value, nnx.Param)):
            kind = "a number" if is_number else f"a {type(value).__name__}"
            raise ValueError(
                f"{type(node).__name__}: {name} is {kind}, and only an nnx.Param is learned; for numbers of the config "
                "that are not, keep the config: `self.held = nnx.static(Held(config))`"
            )


class NormalisedAutoencoder(Autoencoder):
    """x' = output(W norm(hidden(encoderᵀ x + hidden_bias c)) + b), the encoder W itself where it is tied."""

    def __init__(self, plain: Autoencoder, c: Float[Array, " hidden"], settings: "Normalised") -> None:
        encoder = None if plain.tied else plain.encoder[...]
        super().__init__(plain.W[...], plain.b[...], encoder, plain.hidden, plain.output)
        self.c = nnx.Param(c)
        self.held = nnx.static(Held(settings))

    def __call__(self, x: Float[Array, " features"]) -> Float[Array, " features"]:
        encoder, settings = self.W[...] if self.tied else self.encoder[...], self.held.config
        hidden = self.hidden(encoder.T @ x + settings.hidden_bias * self.c[...])
        return self.output(self.W[...] @ settings.norm(hidden) + self.b[...])


@config
class Normalised:
    """A model with a normaliser of its hidden vector: x' = output(W norm(hidden(encoderᵀ x + c)) + b).

    c, a bias of the hidden units, starts at 0; `hidden_bias` is a factor on it, so 0 leaves it out.
    """

    model: Tied | Untied
    norm: Normaliser = RmsNorm()
    hidden_bias: float = 1.0

    def init(self, key: Array, n: int) -> NormalisedAutoencoder:
        return NormalisedAutoencoder(self.model.init(key, n), jnp.zeros(self.model.m), self)


@config
class Placed:
    """A model that starts from given W and b instead of its own, plus independent normal noise: one basin, one start.

    `W` is features x hidden, as an array or nested lists; `b` one bias a feature. What else there is starts as the
    model's own.
    """

    model: Tied | Untied
    W: np.ndarray
    b: np.ndarray
    noise: float = 0.0

    def check(self) -> None:
        if self.W.ndim != 2 or self.W.shape[1] != self.model.m or self.b.shape != self.W.shape[:1]:
            raise ValueError(f"W of shape {self.W.shape}, b of {self.b.shape}: (n, {self.model.m}) and (n,) expected")
        if not (np.isfinite(self.W).all() and np.isfinite(self.b).all()):
            raise ValueError("W and b: finite numbers expected")
        check_scale(self.noise)

    def init(self, key: Array, n: int) -> Autoencoder:
        if self.W.shape[0] != n:
            raise ValueError(f"W of shape {self.W.shape}: the data have {n} features")
        model_key, W_key, b_key = jax.random.split(key, 3)
        made = self.model.init(model_key, n)
        made.W[...] = self.W + self.noise * jax.random.normal(W_key, self.W.shape)
        made.b[...] = self.b + self.noise * jax.random.normal(b_key, self.b.shape)
        return made


def check_width(m: int) -> None:
    if m < 1:
        raise ValueError(f"m={m}: a hidden layer has at least one unit")


def check_scale(scale: float) -> None:
    if not scale >= 0:
        raise ValueError(f"scale={scale:g}: an initial scale is not negative")
