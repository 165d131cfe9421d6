"""Reconstruct sparse features, or functions of them, through a bottleneck: toy models of superposition. Elhage 2022."""

from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx

from toymodels import keys
from toymodels.arrays import Array, Float
from toymodels.config import config
from toymodels.data import Distribution, Noisy, observe
from toymodels.losses import BinaryCrossEntropy, Loss, SquaredError
from toymodels.models import Activation, Identity, Model

Params = dict[str, Any]
"""Arrays by name, nested where the model's modules are."""
Example = tuple[Float[Array, "*batch features"], Float[Array, "*batch features"]]


def initial(model: Model, key: Array, n: int) -> Params:
    """The parameters that a model for n features starts from."""
    return nnx.to_pure_dict(nnx.state(model.init(key, n)))


@config
class Supervised:
    """L = E loss(model(x), target(clean x)); x is what is observed, noise included where the data are noisy.

    `target` maps each feature by itself: the feature itself, or what is to be computed from it.
    """

    data: Distribution
    model: Model
    loss: Loss = SquaredError()
    target: Activation = Identity()

    dims: ClassVar[dict[str, tuple[str, ...]]] = {
        "W": ("feature", "hidden"),
        "encoder": ("feature", "hidden"),
        "b": ("feature",),
        "c": ("hidden",),
    }

    def check(self) -> None:
        importance = getattr(self.loss, "importance", None)
        if isinstance(importance, tuple) and len(importance) not in (1, self.data.n):
            raise ValueError(f"importance has {len(importance)} values for {self.data.n} features")
        clean = self.data.clean if isinstance(self.data, Noisy) else self.data
        value = getattr(clean, "value", None)
        if isinstance(self.loss, BinaryCrossEntropy) and value is not None:
            low, high = (float(self.target(value.quantile(jnp.asarray(q)))) for q in (0.0, 1.0))
            if not 0 <= low <= high <= 1:
                raise ValueError(f"values in [{low:g}, {high:g}]: binary cross-entropy takes targets in [0, 1]")

    def init(self, key: Array) -> Params:
        return initial(self.model, key, self.data.n)

    def sample(self, key: Array, batch: int) -> Example:
        return observe(self.data, key, batch)

    def predict(self, params: Params, x: Float[Array, " features"]) -> Float[Array, " features"]:
        """The model with these parameters on one vector."""
        return self._module(params)(x)

    def objective(self, params: Params, example: Example) -> Float[Array, ""]:
        x, clean = example
        return self.loss(self.predict(params, x), self.target(clean))

    def metrics(self, params: Params, example: Example) -> dict[str, Float[Array, ""]]:
        """`squared_error`, summed over features without importances: comparable between losses."""
        x, clean = example
        return {"squared_error": jnp.sum((self.target(clean) - self.predict(params, x)) ** 2)}

    def _module(self, params: Params) -> Any:
        # The structure alone: built abstractly while tracing, so it costs nothing when the program runs.
        abstract = nnx.eval_shape(lambda: self.model.init(keys.key(0), self.data.n))
        graph, state = nnx.split(abstract)
        nnx.replace_by_pure_dict(state, params)
        return nnx.merge(graph, state)
