"""Autoencoders on the exact expectation of their loss over sparse features, instead of draws of examples."""

from typing import Any, ClassVar

import jax.numpy as jnp

from toymodels.arrays import Array, Float
from toymodels.config import config
from toymodels.data import OneSparse, Sparse, Uniform
from toymodels.laws import per_feature
from toymodels.losses import SquaredError
from toymodels.models import Identity, Placed, Relu, Tied, Untied
from toymodels.problems.supervised import Params, Supervised, initial
from toymodels.theory.superposition import MAX_FEATURES, one_sparse_loss, population_loss


@config
class Population:
    """L = E sum_i I_i (x_i - x'_i)^2 in closed form, for x' = ReLU(W Eᵀ x + b) and n <= 8: no draws, exact gradients.

    Fields, parameters and initialisation are those of `Supervised`, whose population loss this is. Features are
    uniform on [0, 1] when on; independent, or one at a time: then n is as large as you like, the model tied, and all
    importances are 1. The cost grows as n 3^n: 1 us a step at n = 2, 1 ms at n = 8; one at a time as n^2.
    """

    data: Sparse | OneSparse
    model: Tied | Untied | Placed
    loss: SquaredError = SquaredError()

    dims: ClassVar[dict[str, tuple[str, ...]]] = Supervised.dims
    numerics: ClassVar[int] = 1
    """Changes of its bits, see `config.code_of`."""

    def check(self) -> None:
        one_at_a_time = isinstance(self.data, OneSparse)
        model = self.model.model if isinstance(self.model, Placed) else self.model
        if self.data.n > MAX_FEATURES and not one_at_a_time:
            raise ValueError(f"n={self.data.n}: the exact population loss is for at most {MAX_FEATURES} features")
        if self.data.value != Uniform():
            raise ValueError(f"value={self.data.value}: the exact population loss is for values uniform on [0, 1]")
        if not (isinstance(model.hidden, Identity) and isinstance(model.output, Relu)):
            raise ValueError("model: the exact population loss is for linear hidden units and a ReLU output")
        if one_at_a_time and (isinstance(model, Untied) or self.loss != SquaredError()):
            raise ValueError("model, loss: with one active feature at a time, a tied model and importances 1")
        importance = self.loss.importance
        if isinstance(importance, tuple) and len(importance) not in (1, self.data.n):
            raise ValueError(f"importance has {len(importance)} values for {self.data.n} features")

    def init(self, key: Array) -> Params:
        return initial(self.model, key, self.data.n)

    def objective(self, params: Params, example: None = None) -> Float[Array, ""]:
        return self._loss(params, per_feature(self.loss.importance, self.data.n))

    def metrics(self, params: Params, example: None = None) -> dict[str, Float[Array, ""]]:
        """`squared_error`, summed over features without importances: comparable between losses."""
        return {"squared_error": self._loss(params, 1.0)}

    def _loss(self, params: Params, importance: Any) -> Float[Array, ""]:
        if isinstance(self.data, OneSparse):
            return jnp.asarray(one_sparse_loss(params["W"], params["b"]))
        return population_loss(
            params["W"], params["b"], self.data.marginals(), importance, encoder=params.get("encoder")
        )
