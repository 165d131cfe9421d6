"""Pack n unit vectors into d dimensions so that they interfere little: tegum products. Jermyn 2022; FIELD section 3."""

from typing import ClassVar

import jax

from toymodels.arrays import Array, Float
from toymodels.config import config, static
from toymodels.losses import check_power
from toymodels.shapes.packing import interference_loss


@config
class Packing:
    """L = sum_{i != j} l(cos_ij) over ordered pairs of rows of V; l(c) = |c|^power, or max(c, 0)^power where `signed`.

    V starts standard normal: only directions matter, so rows stay unnormalised and the loss sees their cosines.
    Restarts are seeds.
    """

    n: int = static()
    d: int = static()
    power: float = 2.0
    signed: bool = static(default=False)

    dims: ClassVar[dict[str, tuple[str, ...]]] = {"V": ("feature", "dimension")}
    numerics: ClassVar[int] = 1
    """Changes of its bits, see `config.code_of`."""

    def check(self) -> None:
        if self.n < 2 or self.d < 1:
            raise ValueError(f"n={self.n}, d={self.d}: a packing needs two vectors or more in one dimension or more")
        check_power(self.power)

    def init(self, key: Array) -> dict[str, Array]:
        return {"V": jax.random.normal(key, (self.n, self.d))}

    def objective(self, params: dict[str, Array], example: None = None) -> Float[Array, ""]:
        return interference_loss(params["V"], self.power, self.signed)
