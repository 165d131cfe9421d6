"""Predict a sum of squares with quadratic units: where capacity has a closed form. Scherlis et al. 2022."""

from typing import ClassVar

import jax.numpy as jnp

from toymodels.arrays import Array, Float
from toymodels.config import config, static
from toymodels.laws import Law, check_law, per_feature
from toymodels.models import check_scale, check_width, xavier


@config
class Quadratic:
    """L = (k - 1) sum_i (A_ii - v_i)^2 + 2 sum_{i != j} A_ij^2 with A = W Wᵀ.

    The variance of the error of |Wᵀ x|^2 as a prediction of sum_i v_i x_i^2, up to a constant. x_i are independent, of
    mean 0, variance 1 and kurtosis E x_i^4 = `kurtosis` (1/p, if x_i is on with probability p and then ±1/sqrt(p)). No
    draws. `theory.capacity` has the optimum.
    """

    n: int = static()
    m: int = static()
    kurtosis: float = 3.0
    weights: Law = 1.0
    scale: float = 1.0

    dims: ClassVar[dict[str, tuple[str, ...]]] = {"W": ("feature", "hidden")}

    def check(self) -> None:
        if self.n < 1:
            raise ValueError(f"n={self.n}: at least one feature")
        check_width(self.m)
        check_scale(self.scale)
        check_law("weights", self.weights, self.n, lambda value: value >= 0, "a weight is not negative")
        if not self.kurtosis > 1:
            raise ValueError(f"kurtosis={self.kurtosis:g}: E x^4 of a variable of variance 1 is above 1")

    def init(self, key: Array) -> dict[str, Array]:
        return {"W": self.scale * xavier(key, self.n, self.m)}

    def objective(self, params: dict[str, Array], example: None = None) -> Float[Array, ""]:
        gram = params["W"] @ params["W"].T
        own = jnp.diagonal(gram)
        missed = own - per_feature(self.weights, self.n)
        return (self.kurtosis - 1) * jnp.sum(missed**2) + 2 * (jnp.sum(gram**2) - jnp.sum(own**2))
