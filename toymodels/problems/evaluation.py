"""The loss of trained models to a known accuracy: on examples that all of them share, rare ones no less."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.stats import binom

from toymodels.arrays import Array, Float
from toymodels.config import replace
from toymodels.data import Sparse
from toymodels.laws import per_feature
from toymodels.problems.supervised import Supervised

VALUES = 64
"""Values of a feature that is on alone: midpoints of as many quantiles."""


def sparse_loss(
    problem: Supervised, params: dict[str, Any], draws: int = 20_000, seed: int = 0
) -> Float[np.ndarray, " models"]:
    """sum_k P(k features on) E[loss | k on], for models along the first axis of each of `params`.

    None and one on by quadrature over the value, two and more by `draws` examples, the same for all models: at small p
    nearly exact, and differences between models are paired at any p. For `Sparse` data of one p for all features.
    """
    data = problem.data
    if not isinstance(data, Sparse) or not isinstance(data.p, float):
        raise ValueError(f"data={data}: independent features of one p")
    if draws < 1:
        raise ValueError(f"draws={draws}: at least one example")
    examples, weights = _strata(data, draws, seed)

    @jax.jit
    def losses(params: Any) -> Array:
        def loss(params: Any) -> Array:
            return weights @ jax.vmap(lambda x: problem.objective(params, (x, x)))(examples)

        return jax.lax.map(loss, params)

    return np.asarray(losses(jax.tree.map(jnp.asarray, params)), np.float64)


def sparse_losses(problem: Supervised, **params: xr.DataArray) -> xr.DataArray:
    """`sparse_loss` of every model of a sweep, (p, seed), each at its own p; NaN for models that are not finite."""
    found = []
    for p in params["W"].p.values.tolist():
        cells = {name: each.sel(p=p).transpose("seed", ...).values for name, each in params.items()}
        found.append(sparse_loss(replace(problem, {"data.p": p}), cells))
    coords = {dim: params["W"][dim] for dim in ("p", "seed")}
    return xr.DataArray(np.array(found), coords, dims=("p", "seed"))


def importances(problem: Supervised) -> Float[np.ndarray, " features"]:
    """I_i of a loss that weights features, in float64; ValueError for one that does not."""
    law = getattr(problem.loss, "importance", None)
    if law is None:
        raise ValueError(f"{problem.loss}: a loss without importances")
    return np.asarray(per_feature(law, problem.data.n), np.float64)


def _strata(data: Sparse, draws: int, seed: int) -> tuple[Float[Array, "examples n"], Float[Array, " examples"]]:
    """Examples with none, one, and more features on, and their weights, which sum to 1."""
    n, rng = data.n, np.random.default_rng(seed)
    share = binom.pmf(np.arange(n + 1), n, data.p)
    alone = data.value.quantile((jnp.arange(VALUES) + 0.5) / VALUES)
    one = jnp.einsum("v,ij->vij", alone, jnp.eye(n)).reshape(-1, n)
    # How many are on, given two or more: each number its share of the draws, up to one.
    upto = np.cumsum(share[2:]) / max(share[2:].sum(), 1e-300)
    counts = np.minimum(2 + np.searchsorted(upto, (np.arange(draws) + 0.5) / draws), n)
    on = rng.random((draws, n)).argsort(axis=1) < counts[:, None]
    more = jnp.where(on, data.value.quantile(jnp.asarray(rng.random((draws, n)), float)), 0.0)
    sizes = np.array([1, len(one), draws])
    weights = np.repeat(np.array([share[0], share[1], share[2:].sum()]) / sizes, sizes)
    return jnp.concatenate([jnp.zeros((1, n)), one, more]), jnp.asarray(weights / weights.sum(), float)
