"""What a problem is: a start, an objective, names for what is learned; and what else the engine asks of it.

A problem is any config with `init`, `objective` and `dims`; it need not inherit from anything. What else it may offer:

    sample(key, batch) -> examples | None   examples of one step, batch axis first; None: the problem is deterministic
    prepare() -> problem                    the same problem with its tables worked out once
    metrics(params, example) -> dict        further scalars to record beside the objective
    done(params) -> bool                    whether to freeze this cell
    at(step, steps) -> problem              the problem that a step is taken on, where it changes in training

The functions below are the only place that knows which of these are optional, and what holds without them.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from toymodels import keys
from toymodels.arrays import Array
from toymodels.data import Distribution, Value, check_marginals, check_moments
from toymodels.models import Model, check_learned


@runtime_checkable
class Problem(Protocol):
    """What a run learns: parameters, a start for them, and a scalar to minimise."""

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the axes of each parameter, such as {"W": ("feature", "hidden")}; others get names of their own."""

    def init(self, key: Array) -> Any:
        """The parameters that training starts from: arrays, nested at will."""

    def objective(self, params: Any, example: Any) -> Array:
        """The scalar loss of one example; `example` is None where the problem is deterministic."""


def prepare(problem: Any) -> Any:
    """The problem with its tables worked out; the problem itself where it has none."""
    return problem.prepare() if hasattr(problem, "prepare") else problem


def draws(problem: Any) -> bool:
    """Whether the problem has a `sample` at all; what that gives may still be None."""
    return hasattr(problem, "sample")


def sample(problem: Any, key: Array, batch: int) -> Any:
    """Examples of one step, batch axis first; None where the problem is deterministic."""
    return problem.sample(key, batch) if draws(problem) else None


def example_shapes(problem: Any, batch: int) -> Any:
    """Shapes of the examples of one step; None where the problem is deterministic."""
    return jax.eval_shape(lambda: sample(problem, keys.key(0), batch))


def metrics(problem: Any, params: Any, example: Any) -> dict[str, Array]:
    """Scalars recorded beside the objective; none unless the problem has some."""
    return dict(problem.metrics(params, example)) if hasattr(problem, "metrics") else {}


def can_finish(problem: Any) -> bool:
    """Whether a run may be frozen before its last step, once the problem's `done` holds."""
    return hasattr(problem, "done")


def changes(problem: Any) -> bool:
    """Whether the problem changes while it is trained on."""
    return hasattr(problem, "at")


def at(problem: Any, step: Any, steps: int) -> Any:
    """The problem that step number `step` of `steps` is taken on."""
    return problem.at(step, steps) if changes(problem) else problem


def check_parts(problem: Any) -> None:
    """ValueError where moments of the law of a problem, or what its model holds, are not as they should be.

    Called while the numbers of the problem are traced.
    """
    law, model = getattr(problem, "data", None), getattr(problem, "model", None)
    if not isinstance(law, Distribution):
        return
    for moment, axes in ((law.marginals, 1), (law.mean, 1), (law.second_moment, 2)):
        shape, wanted = np.shape(moment()), axes * (law.n,)
        if shape != wanted:
            raise ValueError(
                f"{type(law).__name__}: {moment.__name__}() gives shape {shape}, and for n={law.n} it is {wanted}"
            )
    if isinstance(model, Model):
        check_learned(model, law.n)


def check_numbers(problem: Any) -> None:
    """ValueError where the law of a problem states probabilities that are none, or moments that its values have not.
    Works with numbers, untraced."""
    law = getattr(problem, "data", None)
    if isinstance(law, Distribution):
        check_marginals(law)
        value = getattr(getattr(law, "clean", law), "value", None)
        if isinstance(value, Value):
            check_moments(value)
