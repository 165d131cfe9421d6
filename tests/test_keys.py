"""Keys of ours draw what JAX's own keys draw."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toymodels import keys

DRAWS = {
    "bits": lambda key: jax.random.bits(key, (5, 7)),
    "odd": lambda key: jax.random.bits(key, (13,)),
    "one": lambda key: jax.random.bits(key),
    "bytes": lambda key: jax.random.bits(key, (9,), "uint8"),
    "many": lambda key: jax.random.bits(key, (70, 64)),
    "normal": lambda key: jax.random.normal(key, (6,)),
    "folded": lambda key: jax.random.uniform(jax.random.fold_in(key, 77), (4,)),
    "split": lambda key: jax.random.randint(jax.random.split(key, (2, 3))[1, 2], (5,), 0, 9),
    "permutation": lambda key: jax.random.permutation(key, 7),
    "gamma": lambda key: jax.random.gamma(key, 2.0),
}


@settings(max_examples=10)
@given(st.integers(0, 2**31 - 1))
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_draws_are_those_of_jax(draw: Callable[[jax.Array], jax.Array], seed: int) -> None:
    np.testing.assert_array_equal(draw(keys.key(seed)), draw(jax.random.key(seed)))


def test_draws_are_those_of_jax_under_maps() -> None:
    """Mapped over keys and over parameters, as a batch of cells maps them."""

    def drawn(key: jax.Array) -> jax.Array:
        each = jax.vmap(lambda p, key: jax.random.bernoulli(key, p, (6,)), (0, None))
        return jax.jit(jax.vmap(lambda key: each(jnp.array([0.1, 0.5]), key)))(jax.random.split(key, 4))

    np.testing.assert_array_equal(drawn(keys.key(3)), drawn(jax.random.key(3)))


def test_reference_value() -> None:
    """The known answers of Threefry-2x32-20: Salmon et al. 2011, file kat_vectors of Random123."""
    zero, ones = (np.full(2, value, np.uint32) for value in (0, 0xFFFFFFFF))
    for key, counter, expected in (
        (zero, zero, (0x6B200159, 0x99BA4EFE)),
        (ones, ones, (0x1CB996FC, 0xBB002BE7)),
        (
            np.asarray([0x13198A2E, 0x03707344], np.uint32),
            np.asarray([0x243F6A88, 0x85A308D3], np.uint32),
            (0xC4923A9C, 0x483DF7A0),
        ),
    ):
        assert tuple(int(half[0]) for half in keys.threefry(key, counter[:1], counter[1:])) == expected


def test_what_is_not_drawn_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="2\\^32"):
        jax.jit(lambda: jax.random.bits(keys.key(0), (2**16, 2**16))).lower()
