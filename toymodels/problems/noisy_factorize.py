"""Factorisation that learns from noise: afresh at every step on the target, and on the inputs."""

from typing import Any

import jax

from toymodels.arrays import Array, Float
from toymodels.config import config
from toymodels.data import observe
from toymodels.problems.factorize import Factorize


@config
class NoisyFactorize(Factorize):
    """L = E loss(U Vᵀ, A + noise E), or E loss(U Vᵀ (x + xi), A x + noise e) on inputs where `data` is given.

    E and e have independent N(0, 1) entries, drawn afresh for every example. With `data = Noisy(clean, scale)` the
    inputs x are clean ones and xi is their noise: the target answers to what is clean, the model to what is observed.
    Without any noise it is `Factorize`; its closed forms are in `theory.noisy_factorisation`.
    """

    noise: float = 0.0

    def check(self) -> None:
        super().check()
        if not self.noise >= 0:
            raise ValueError(f"noise={self.noise:g}: a noise scale is not negative")

    def sample(self, key: Array, batch: int) -> Any:
        noise_key, data_key = jax.random.split(key)
        if self.data is None:
            return jax.random.normal(noise_key, (batch, self.target.n, self.target.m))
        observed, clean = observe(self.data, data_key, batch)
        return observed, clean, jax.random.normal(noise_key, (batch, self.target.n))

    def objective(self, params: dict[str, Array], example: Any) -> Float[Array, ""]:
        target = self.target.matrix()
        if self.data is None:
            return self.loss(params["U"] @ params["V"].T, target + self.noise * example)
        observed, clean, noise = example
        return self.loss(params["U"] @ (params["V"].T @ observed), target @ clean + self.noise * noise)
