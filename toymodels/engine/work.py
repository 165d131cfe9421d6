"""What a step of one cell works on, read off the trace of its objective: how large, how much, about how long."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, wraps
from typing import Any, NamedTuple

import jax
from jax.extend import core

from toymodels import keys
from toymodels.problems import protocol
from toymodels.settings import standard
from toymodels.train import Run


class Work(NamedTuple):
    """Numbers that the objective of one cell works out on a batch from what it learns, by what they take; `largest` of
    one array, whatever it follows from."""

    largest: int
    elementwise: int
    gathered: int
    multiplied: int
    """Multiplications and additions of its products."""
    drawn: int
    learned: int


SECONDS = {"elementwise": 5e-10, "gathered": 2e-8, "multiplied": 4e-11, "drawn": 2e-9, "learned": 2e-9}
STEP_SECONDS = 1.4e-6
"""What each of these and a step cost in training on one core, the gradient and the end included: fitted to a hundred
programs of the ledger's sweeps, 95 % of which took between half and twice as long."""
GATHERED = {"gather", "scatter", "scatter-add", "sort", "top_k", "cumsum", "dynamic_slice"}


def in_a_sentence(function: Callable[[Run], Work]) -> Callable[[Run], Work]:
    """What tracing a run raises, somewhere in JAX, as a ValueError of one sentence."""

    @wraps(function)
    def told(run: Run) -> Work:
        try:
            return function(run)
        except Exception as error:
            said = " ".join(str(error).split())
            said = said if len(said) <= 200 else f"{said[:180]} ..."
            name = type(run.problem).__name__
            raise ValueError(f"{name}: it cannot be trained with these settings ({said})") from error

    return told


@lru_cache(maxsize=256)
@in_a_sentence
@standard()
def work(run: Run) -> Work:
    """Of a step of one cell."""
    problem = run.problem
    params = jax.eval_shape(lambda: problem.init(keys.key(0)))
    objective = problem.objective
    examples = protocol.example_shapes(problem, run.batch)
    if examples is not None:
        objective = jax.vmap(objective, (None, 0))
    traced = jax.make_jaxpr(objective)(params, examples).jaxpr
    learned = jax.tree.leaves(params)
    counts, largest = dict.fromkeys(SECONDS, 0), max(atom.aval.size for atom in traced.invars)
    for equation, counted in _equations(traced, [place < len(learned) for place in range(len(traced.invars))]):
        sizes = [atom.aval.size for atom in equation.outvars]
        largest = max(largest, *sizes)
        if counted:
            kind, terms = _kind(equation)
            counts[kind] += terms * sum(sizes)
    counts["drawn"] = sum(leaf.size for leaf in jax.tree.leaves(examples))
    counts["learned"] = sum(leaf.size for leaf in learned)
    return Work(largest, **counts)


def seconds(run: Run) -> float:
    """A guess at what a step of one cell takes on one core."""
    found = work(run)
    return STEP_SECONDS + sum(each * getattr(found, name) for name, each in SECONDS.items())


def _kind(equation: Any) -> tuple[str, int]:
    """What its results cost, and how many operations each takes."""
    name = equation.primitive.name
    if name == "dot_general":
        ((summed, _), _) = equation.params["dimension_numbers"]
        return "multiplied", 2 * math.prod(equation.invars[0].aval.shape[axis] for axis in summed)
    return ("gathered" if name in GATHERED else "elementwise"), 1


def _equations(jaxpr: Any, changing: Sequence[bool]) -> Iterator[tuple[Any, bool]]:
    """Everything that a traced function works out, also within what it calls; and whether it counts: as it follows from
    arguments that change, and is not itself a call. What does not change is worked out once for all steps."""
    live = {atom for atom, changes in zip(jaxpr.invars, changing, strict=True) if changes}
    for equation in jaxpr.eqns:
        follows = [not isinstance(atom, core.Literal) and atom in live for atom in equation.invars]
        bodies = [value.jaxpr if isinstance(value, core.ClosedJaxpr) else value for value in equation.params.values()]
        bodies = [body for body in bodies if isinstance(body, core.Jaxpr)]
        if any(follows):
            live |= set(equation.outvars)
        yield equation, any(follows) and not bodies
        for body in bodies:
            same = len(body.invars) == len(follows)
            yield from _equations(body, follows if same else [any(follows)] * len(body.invars))
