"""Pack groups of unit vectors so that they interfere little, and least of all across groups. Jermyn 2022, on tegums."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from toymodels.arrays import Array, Float
from toymodels.config import config, static
from toymodels.losses import abs_power
from toymodels.problems.packing import Packing
from toymodels.shapes.packing import unit_rows


@config
class Grouped:
    """L = sum |cos_ij|^power over ordered pairs of one group + penalty sum |cos_ij|^power over pairs of different ones.

    `groups` groups of n / groups rows each, in order, in d dimensions. With penalty 1 it is the even loss of `Packing`.
    """

    n: int = static()
    d: int = static()
    groups: int = static()
    power: float = 2.0
    penalty: float = 1.0

    dims: ClassVar[dict[str, tuple[str, ...]]] = Packing.dims

    def check(self) -> None:
        Packing(self.n, self.d, self.power).check()
        if not (1 <= self.groups <= self.n and self.n % self.groups == 0):
            raise ValueError(f"groups={self.groups}: {self.n} vectors are not so many groups of equal size")
        if not self.penalty >= 0:
            raise ValueError(f"penalty={self.penalty:g}: a penalty is not negative")

    def init(self, key: Array) -> dict[str, Array]:
        return {"V": jax.random.normal(key, (self.n, self.d))}

    def objective(self, params: dict[str, Array], example: None = None) -> Float[Array, ""]:
        U = unit_rows(params["V"])
        group = jnp.arange(self.n) // (self.n // self.groups)
        weight = jnp.where(group[:, None] == group, 1.0, self.penalty) - jnp.eye(self.n)
        gram = jnp.matmul(U, U.T, precision="highest")
        return jnp.sum(weight * abs_power(gram, self.power))
