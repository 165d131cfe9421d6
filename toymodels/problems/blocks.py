"""Pack n unit vectors into k equal orthogonal subspaces: what a tegum product of k factors costs. Jermyn 2022."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from toymodels.arrays import Array, Bool, Float
from toymodels.config import config, static
from toymodels.problems.packing import Packing
from toymodels.shapes.packing import interference_loss


@config
class Blocks:
    """L = sum_{i != j} l(cos_ij), l as in `Packing`, of rows that each lie within one of k = `blocks` subspaces.

    Row i lies in subspace floor(i k / n), coordinate j in floor(j k / d), so sizes differ by one at most where k does
    not divide them; rows of different subspaces cost nothing. The number of blocks is a leaf: all of them train in one
    program. 1 <= k <= min(n, d).
    """

    n: int = static()
    d: int = static()
    blocks: int = 1
    power: float = 2.0
    signed: bool = static(default=False)

    dims: ClassVar[dict[str, tuple[str, ...]]] = Packing.dims
    numerics: ClassVar[int] = Packing.numerics

    def check(self) -> None:
        Packing(self.n, self.d, self.power, self.signed).check()
        if not 1 <= self.blocks <= min(self.n, self.d):
            raise ValueError(f"blocks={self.blocks}: from 1 to {min(self.n, self.d)}, a row and a dimension for each")

    def mask(self) -> Bool[Array, "vectors dim"]:
        """Which coordinates a row has."""
        of_rows, of_dims = (jnp.arange(size) * self.blocks // size for size in (self.n, self.d))
        return of_rows[:, None] == of_dims

    def init(self, key: Array) -> dict[str, Array]:
        return {"V": jax.random.normal(key, (self.n, self.d)) * self.mask()}

    def objective(self, params: dict[str, Array], example: None = None) -> Float[Array, ""]:
        return interference_loss(params["V"] * self.mask(), self.power, self.signed)
