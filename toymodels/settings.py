"""The settings of JAX under which everything is planned and trained, whatever the environment says."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

import jax

_double = ContextVar("double", default=False)


@contextmanager
def standard(double: bool | None = None) -> Iterator[None]:
    """Settings that change numbers or shapes at their defaults; also a decorator.

    Single precision - or double, as asked for here or by what encloses this -, compiled, arithmetic as it comes: a NaN
    marks its own cell, and stops nobody else's training.
    """
    double = _double.get() if double is None else double
    with ExitStack() as stack:
        stack.callback(_double.reset, _double.set(double))
        for setting in (
            jax.enable_x64(double),
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
