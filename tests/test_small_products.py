"""Written-out products: the same function, with fewer calls of the matrix library."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.engine.small_products import FEW, LONG, written_out


def autoencoder(W: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.sum((x - jax.nn.relu(W @ (W.T @ x))) ** 2)


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "product": lambda W, x: W @ (W.T @ x),
    "transposed": lambda W, x: {"made": (x.T @ W).T, "given": x},
    "gradient": jax.grad(autoencoder),
    "compiled within": jax.grad(jax.jit(autoencoder)),
    "scan": lambda W, x: jax.lax.scan(lambda total, row: (total + row @ x, None), jnp.zeros(LONG), W.T)[0],
    "branch": lambda W, x: jax.lax.cond(W[0, 0] > 0, lambda: W.T @ x, lambda: -W.T @ x),
    "remembered": jax.grad(jax.checkpoint(autoencoder)),
}


def products(function: Callable[..., Any], *args: Any) -> int:
    return str(jax.make_jaxpr(function)(*args)).count("dot_general")


@given(st.integers(0, 2**31 - 1))
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_same_values(function: Callable[[Any, Any], Any], seed: int) -> None:
    """Up to the order of a sum of 5 terms, or of the 256 that the gradient adds."""
    W_key, x_key = jax.random.split(jax.random.key(seed))
    W, x = jax.random.normal(W_key, (5, 2)), jax.random.normal(x_key, (5, LONG))
    one, other = function(W, x), written_out(function)(W, x)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * float(1 + jnp.abs(a).max()))


@given(st.integers(0, 2**31 - 1))
def test_mapped_over_cells(seed: int) -> None:
    W_key, x_key = jax.random.split(jax.random.key(seed))
    W, x = jax.random.normal(W_key, (3, 5, 2)), jax.random.normal(x_key, (3, 5, LONG))
    gradient = jax.grad(autoencoder)
    np.testing.assert_allclose(
        jax.vmap(gradient)(W, x), jax.jit(jax.vmap(written_out(gradient)))(W, x), rtol=1e-5, atol=1e-2
    )


@pytest.mark.parametrize(
    ("terms", "length", "left"),
    [(2, LONG, 0), (FEW, LONG, 0), (FEW + 1, LONG, 1), (2, LONG - 1, 1)],
)
def test_only_few_terms_over_a_long_axis_are_written_out(terms: int, length: int, left: int) -> None:
    a, b = jnp.ones((3, terms)), jnp.ones((terms, length))
    assert products(jnp.matmul, a, b) == 1
    assert products(written_out(jnp.matmul), a, b) == left


def test_other_numbers_are_left_alone() -> None:
    a, b = jnp.ones((3, 2), int), jnp.ones((2, LONG), int)
    assert products(written_out(jnp.matmul), a, b) == 1
