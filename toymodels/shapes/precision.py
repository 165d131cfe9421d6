"""Closed forms run in float64 whatever the global JAX setting: scoped, so that training keeps its float32."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
import numpy as np

P = ParamSpec("P")
R = TypeVar("R")


def _promote(leaf):
    return np.asarray(leaf, np.float64) if isinstance(leaf, (np.floating, np.ndarray, jax.Array, float)) else leaf


def float64(function: Callable[P, R]) -> Callable[P, R]:
    """Evaluate a jax.numpy function of plain numbers in float64 and return numpy; inside a trace, leave it as it is.

    Called on numbers (numpy, lists of floats, concrete JAX arrays) the function runs under a scoped x64 context on
    float64 inputs. Called on tracers (inside `jit`, `grad`, `vmap`) it inherits the caller's dtype, so the same closed
    form can be a training loss.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((args, kwargs))):
            return function(*args, **kwargs)
        with jax.enable_x64(True):
            args, kwargs = jax.tree.map(_promote, (args, kwargs))
            return jax.tree.map(
                lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf, function(*args, **kwargs)
            )

    return wrapped
