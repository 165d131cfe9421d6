"""The settings of JAX under which everything is planned and trained, whatever the environment says."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import jax


@contextmanager
def standard() -> Iterator[None]:
    """Settings that change numbers or shapes at their defaults; also a decorator.

    Single precision, compiled, arithmetic as it comes: a NaN marks its own cell, and stops nobody else's training.
    """
    with ExitStack() as stack:
        for setting in (
            jax.enable_x64(False),
            jax.disable_jit(False),
            jax.debug_nans(False),
            jax.debug_infs(False),
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
            jax.default_matmul_precision(None),
            jax.default_prng_impl("threefry2x32"),
            jax.threefry_partitionable(True),
            jax.legacy_prng_key("allow"),
        ):
            stack.enter_context(setting)
        yield
