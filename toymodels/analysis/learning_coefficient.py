"""The local learning coefficient, estimated by Langevin chains: lambda_hat = t (E_t[L(w)] - L(w*)). Lau et al. 2023.

E_t is the expectation under exp(-t (L(w) - L(w*)) - gamma / 2 |w - w*|²), t = n beta; arXiv 2308.12108. L is any
deterministic loss of one flat vector of parameters - a population loss, a quadrature, a fixed sample -, so that weights
that are tied appear once. Known values are in `theory.learning_coefficients`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toymodels.arrays import Array, Bool, Float, Int
from toymodels.keys import key

Loss = Callable[[Array], Array]
ACCEPTED = 0.574, 0.651
"""Best acceptance of one leapfrog step (Roberts & Rosenthal 1998), and of several (Beskos et al. 2013)."""


class Estimated(NamedTuple):
    """What the chains at each point find."""

    coefficient: Float[np.ndarray, "points chains"]
    """lambda_hat of each chain."""
    acceptance: Float[np.ndarray, "points chains"]
    """Share of accepted proposals after burn-in, in [0, 1]; 1 for unadjusted chains."""
    r_hat: Float[np.ndarray, " points"]
    """Split R-hat of L over the chains: near 1 where they agree. Gelman et al. 2013, Bayesian Data Analysis."""
    below: Float[np.ndarray, " points"]
    """Share of draws with L(w) < L(w*), in [0, 1]: 0 at a minimum."""

    @property
    def value(self) -> Float[np.ndarray, " points"]:
        """lambda_hat: the mean over chains."""
        return self.coefficient.mean(axis=1)

    @property
    def no_minimum(self) -> Bool[np.ndarray, " points"]:
        """Points where some chain lies below L(w*) in the mean: lambda_hat is no coefficient there."""
        return np.any(self.coefficient < 0, axis=1)


def learning_coefficients(
    loss: Loss,
    points: Float[Array, "points d"],
    seeds: Int[Array, " points"],
    t: float,
    gamma: float,
    chains: int = 4,
    burn: int = 500,
    draws: int = 1000,
    leaps: int = 8,
) -> Estimated:
    """`Estimated` at each point, from Metropolis-adjusted chains that start there; a point's chains depend on its seed.

    Each proposal is `leaps` leapfrog steps; one is the Metropolis-adjusted Langevin algorithm (Roberts & Tweedie 1996),
    more are Hamiltonian Monte Carlo, which walks less at random where scales differ (Neal 2011). The size of the step
    is fitted to the acceptance during burn-in, chain by chain, and so is free of bias afterwards. Float64.
    """
    points, seeds = _checked(points, seeds, t, gamma, chains=chains, burn=burn, leaps=leaps, draws=draws)
    settings = {"loss": loss, "chains": chains, "burn": burn, "draws": draws, "leaps": leaps}
    with jax.enable_x64(True):
        traces, rates = _adjusted(jnp.asarray(points), jnp.asarray(seeds), *map(jnp.float64, (t, gamma)), **settings)
        return _estimated(np.asarray(traces), np.asarray(rates), t)


def sgld(
    loss: Loss,
    points: Float[Array, "points d"],
    seeds: Int[Array, " points"],
    t: float,
    gamma: float,
    step: float,
    minibatch: Callable[[Array, Array], Array] | None = None,
    chains: int = 4,
    burn: int = 500,
    draws: int = 1000,
) -> Estimated:
    """`Estimated` from unadjusted chains: w <- w - step / 2 (t grad L + gamma (w - w*)) + sqrt(step) noise.

    Welling & Teh 2011. Gradients are those of `minibatch(w, key)`, if given, whose mean over keys is L; values are
    always those of L. The bias is of the order of the step, and at curvature h chains diverge from step t h = 4 on.
    """
    points, seeds = _checked(points, seeds, t, gamma, chains=chains, burn=burn, draws=draws)
    if not step > 0:
        raise ValueError(f"step={step}: a positive number")
    settings = {"loss": loss, "minibatch": minibatch, "chains": chains, "burn": burn, "draws": draws}
    with jax.enable_x64(True):
        traces = _unadjusted(jnp.asarray(points), jnp.asarray(seeds), *map(jnp.float64, (t, gamma, step)), **settings)
        return _estimated(np.asarray(traces), np.ones(traces.shape[:2]), t)


def split_r_hat(traces: Float[Array, "*points chains draws"]) -> Float[np.ndarray, "*points"]:
    """sqrt(((h - 1) / h within + between) / within) of half-chains of h draws; 1 for traces that do not vary."""
    traces = np.asarray(traces, np.float64)
    half = traces.shape[-1] // 2
    halves = np.concatenate([traces[..., :half], traces[..., half : 2 * half]], axis=-2)
    within, between = halves.var(axis=-1, ddof=1).mean(axis=-1), halves.mean(axis=-1).var(axis=-1, ddof=1)
    ratio = np.divide(between, within, out=np.where(between > 0, np.inf, 1 / half), where=within > 0)
    return np.asarray(np.sqrt((half - 1) / half + ratio))


# ------------------------------------------------------------------------------------------------------------ machinery
def _checked(points: Any, seeds: Any, t: float, gamma: float, **counts: int) -> tuple[np.ndarray, np.ndarray]:
    points, seeds = np.asarray(points, np.float64), np.asarray(seeds)
    if points.ndim != 2 or seeds.shape != points.shape[:1]:
        raise ValueError(f"points of shape {points.shape}, seeds of {seeds.shape}: (points, d) and (points,) expected")
    if not (t > 0 and gamma >= 0):
        raise ValueError(f"t={t}, gamma={gamma}: t above 0 and gamma of at least 0")
    for name, count in counts.items():
        if count < (4 if name == "draws" else 2 if name == "chains" else 1):
            raise ValueError(f"{name}={count}: at least 4 draws, 2 chains, and 1 of anything else")
    return points, seeds


def _estimated(traces: np.ndarray, rates: np.ndarray, t: float) -> Estimated:
    """From L(w) - L(w*), points x chains x draws."""
    return Estimated(t * traces.mean(-1), rates, split_r_hat(traces), (traces < 0).mean((-2, -1)))


def _each_chain(one: Callable[[Array, Array], Any], points: Array, seeds: Array, chains: int) -> Any:
    """Of every point and chain: `one(w*, key)`."""
    keys = jax.vmap(lambda seed: jax.random.split(key(seed), chains))(seeds).reshape(-1)
    found = jax.vmap(one)(jnp.repeat(points, chains, axis=0), keys)
    return jax.tree.map(lambda each: each.reshape(len(points), chains, *each.shape[1:]), found)


@partial(jax.jit, static_argnames=("loss", "chains", "burn", "draws", "leaps"))
def _adjusted(
    points: Array, seeds: Array, t: Array, gamma: Array, *, loss: Loss, chains: int, burn: int, draws: int, leaps: int
) -> tuple[Array, Array]:
    target = ACCEPTED[leaps > 1]

    def one(origin: Array, chain: Array) -> tuple[Array, Array]:
        level = loss(origin)

        def energy(w: Array) -> tuple[Array, Array]:
            excess = loss(w) - level
            return t * excess + gamma / 2 * ((w - origin) ** 2).sum(), excess

        slope = jax.value_and_grad(energy, has_aux=True)

        def move(state: Any, number: Array) -> tuple[Any, tuple[Array, Array]]:
            w, (value, excess), gradient, log_step = state
            kick, jitter, accept = jax.random.split(jax.random.fold_in(chain, number), 3)
            # Small steps among large ones reach into narrow valleys, where a fitted step is too long.
            step = jnp.exp(log_step) * jax.random.uniform(jitter, minval=0.1, maxval=1.2)
            start = jax.random.normal(kick, w.shape)

            def leap(_: Array, at: Any) -> Any:
                w, p, _, gradient = at
                half = p - step / 2 * gradient
                w = w + step * half
                found, gradient = slope(w)
                return w, half - step / 2 * gradient, found, gradient

            ahead, p, found, ahead_gradient = jax.lax.fori_loop(0, leaps, leap, (w, start, (value, excess), gradient))
            gain = value - found[0] + ((start**2).sum() - (p**2).sum()) / 2
            chance = jnp.where(jnp.isnan(gain), 0.0, jnp.exp(jnp.minimum(gain, 0.0)))
            taken = jax.random.uniform(accept) < chance
            kept = jax.tree.map(
                lambda new, old: jnp.where(taken, new, old),
                (ahead, found, ahead_gradient),
                (w, (value, excess), gradient),
            )
            # Robbins & Monro 1951: ever smaller corrections towards the acceptance that is wanted.
            rate = jnp.where(number < burn, 2 * (number + 1.0) ** -0.6, 0.0)
            return (*kept, log_step + rate * (chance - target)), (kept[1][1], taken)

        found, gradient = slope(origin)
        state = origin, found, gradient, jnp.log(0.1 / jnp.sqrt(t))
        state, _ = jax.lax.scan(lambda s, i: (move(s, i)[0], None), state, jnp.arange(burn))
        _, (trace, taken) = jax.lax.scan(move, state, jnp.arange(burn, burn + draws))
        return trace, taken.mean()

    return _each_chain(one, points, seeds, chains)


@partial(jax.jit, static_argnames=("loss", "minibatch", "chains", "burn", "draws"))
def _unadjusted(
    points: Array, seeds: Array, t: Array, gamma: Array, step: Array, *, loss: Loss, minibatch: Any, chains: int,
    burn: int, draws: int,
) -> Array:  # fmt: skip
    rough = minibatch or (lambda w, _: loss(w))

    def one(origin: Array, chain: Array) -> Array:
        level = loss(origin)

        def move(w: Array, number: Array) -> tuple[Array, Array]:
            kick, batch = jax.random.split(jax.random.fold_in(chain, number))
            drift = t * jax.grad(rough)(w, batch) + gamma * (w - origin)
            w = w - step / 2 * drift + jnp.sqrt(step) * jax.random.normal(kick, w.shape)
            return w, loss(w) - level

        w, _ = jax.lax.scan(move, origin, jnp.arange(burn))
        return jax.lax.scan(move, w, jnp.arange(burn, burn + draws))[1]

    return _each_chain(one, points, seeds, chains)
