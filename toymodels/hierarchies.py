"""Features that depend on features: a child is on only where its parent is, with exact marginals and moments."""

import jax.numpy as jnp

from toymodels.arrays import Array, Bool, Float
from toymodels.config import config, static
from toymodels.data import Uniform, Value, _at_least_one, _check_probabilities, _given_below, _moment, _uniform


@config
class Hierarchy:
    """`sets` parents of probability p, each with `children` that are on with probability q where it is, and never else.

    A set is its parent, then its children: features 0, 1 + children, ... are the parents. A child has probability p q;
    given their parent, children are independent. With children of q = 1 it is `Correlated`.
    """

    sets: int = static()
    children: int = static(default=1)
    p: float = 0.1
    q: float = 0.5
    value: Value = Uniform()

    def check(self) -> None:
        _at_least_one(sets=self.sets, children=self.children)
        for probability in (self.p, self.q, self.p * self.q):
            _check_probabilities(probability, 1)

    @property
    def n(self) -> int:
        return self.sets * (1 + self.children)

    def sample(self, key: Array, batch: int) -> Float[Array, "batch n"]:
        u = _uniform(key, (batch, self.sets, 1 + self.children))
        chance = jnp.where(jnp.arange(1 + self.children) == 0, jnp.asarray(self.p), jnp.asarray(self.q))
        on = u < chance
        on = on & on[:, :, :1]
        return jnp.where(on, self.value.quantile(_given_below(u, chance)), 0.0).reshape(batch, self.n)

    def parents(self) -> Bool[Array, " n"]:
        """Which features are parents."""
        return jnp.arange(self.n) % (1 + self.children) == 0

    def marginals(self) -> Float[Array, " n"]:
        return jnp.where(self.parents(), jnp.asarray(self.p), jnp.asarray(self.p) * self.q)

    def mean(self) -> Float[Array, " n"]:
        return self.marginals() * jnp.asarray(self.value.moments()[0])

    def second_moment(self) -> Float[Array, "n n"]:
        p, family = self.marginals(), jnp.arange(self.n) // (1 + self.children)
        # Given the parent the members of a set are independent: P(i and j) = p (p_i / p) (p_j / p).
        together = p[:, None] * p * jnp.where(family[:, None] == family, 1 / jnp.asarray(self.p), 1.0)
        return _moment(self.value, jnp.where(jnp.eye(self.n, dtype=bool), p, together))
