"""Products over a few terms, compiled to sums: a rewriting of traced functions for CPUs.

XLA hands every product of arrays to a matrix library. Where only a handful of terms is summed - the two hidden units of
a toy model - the call costs more than the arithmetic, and a written-out sum of outer products, one pass over the long
axis, takes about half the time. The function stays the same function; only its sums are ordered by us.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.extend.core import primitives

FEW = 8
"""Up to so many terms a product is written out; with more, the matrix library wins (measured, CPUs)."""
LONG = 256
"""... where one factor is so long or longer beside them: the sum of outer products of short ones takes longer."""


def written_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with its products over at most `FEW` terms as sums of outer products, on CPUs."""

    def rewritten(*args: Any) -> Any:
        if jax.default_backend() != "cpu":
            return function(*args)
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        results = _evaluate(traced.jaxpr, traced.consts, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return rewritten


def _evaluate(jaxpr: Any, consts: Any, args: Any) -> list[Any]:
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        inputs = [read(atom) for atom in equation.invars]
        inner = _called(equation)
        if inner is not None:
            results = _evaluate(inner.jaxpr, inner.consts, inputs)
        elif equation.primitive is primitives.dot_general_p and _is_small(equation):
            left, right = inputs
            results = [_sum_of_outer_products(left, right, equation.params["dimension_numbers"])]
        else:
            bound = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(equation.params))
            results = bound if equation.primitive.multiple_results else [bound]
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _called(equation: Any) -> core.ClosedJaxpr | None:
    """What an equation merely calls. Its rule for derivatives, if it has one, has been used by now."""
    name = {"jit": "jaxpr", "pjit": "jaxpr"}.get(equation.primitive.name, "call_jaxpr")
    inner = equation.params.get(name)
    return inner if isinstance(inner, core.ClosedJaxpr) else None


def _is_small(equation: Any) -> bool:
    ((summed, _), (batched, _)) = equation.params["dimension_numbers"]
    if batched or len(summed) != 1 or equation.outvars[0].aval.dtype != jnp.float32:
        return False
    terms = equation.invars[0].aval.shape[summed[0]]
    return 0 < terms <= FEW and max(atom.aval.size for atom in equation.invars) >= LONG * terms


def _sum_of_outer_products(left: Any, right: Any, dimension_numbers: Any) -> Any:
    ((left_axes, right_axes), _) = dimension_numbers
    left, right = jnp.moveaxis(left, left_axes[0], 0), jnp.moveaxis(right, right_axes[0], 0)
    swapped = left.size > right.size  # the long axis last, where it fills vector instructions
    outer, inner = (right, left) if swapped else (left, right)
    total = sum(a.reshape(a.shape + (1,) * b.ndim) * b for a, b in zip(outer, inner, strict=True))
    # A barrier, or the compiler would repeat the sum in every place that uses it.
    total = jax.lax.optimization_barrier(total)
    return jnp.moveaxis(total, range(outer.ndim - 1), range(-outer.ndim + 1, 0)) if swapped else total
