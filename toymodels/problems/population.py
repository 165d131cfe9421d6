"""Autoencoders on the exact expectation of their loss over sparse features, instead of draws of examples."""

from typing import Any, ClassVar

from toymodels.arrays import Array, Float
from toymodels.config import config
from toymodels.data import Sparse, Uniform
from toymodels.laws import per_feature
from toymodels.losses import SquaredError
from toymodels.models import Identity, Relu, Tied, Untied
from toymodels.problems.supervised import Params, Supervised, initial
from toymodels.theory.superposition import MAX_FEATURES, population_loss


@config
class Population:
    """L = E sum_i I_i (x_i - x'_i)^2 in closed form, for x' = ReLU(W Eᵀ x + b) and n <= 8: no draws, exact gradients.

    Fields, parameters and initialisation are those of `Supervised`, whose population loss this is. Features are
    independent and uniform on [0, 1] when on. The cost grows as n 3^n: 1 us a step at n = 2, 1 ms at n = 8.
    """

    data: Sparse
    model: Tied | Untied
    loss: SquaredError = SquaredError()

    dims: ClassVar[dict[str, tuple[str, ...]]] = Supervised.dims

    def check(self) -> None:
        if self.data.n > MAX_FEATURES:
            raise ValueError(f"n={self.data.n}: the exact population loss is for at most {MAX_FEATURES} features")
        if self.data.value != Uniform():
            raise ValueError(f"value={self.data.value}: the exact population loss is for values uniform on [0, 1]")
        if not (isinstance(self.model.hidden, Identity) and isinstance(self.model.output, Relu)):
            raise ValueError("model: the exact population loss is for linear hidden units and a ReLU output")
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
        return population_loss(
            params["W"], params["b"], self.data.marginals(), importance, encoder=params.get("encoder")
        )
