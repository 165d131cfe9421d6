"""What a run will record, by name: checked before anything is compiled, as of two results of one name one is lost."""

from collections.abc import Collection
from typing import Any

import jax

from toymodels import keys
from toymodels.problems import protocol
from toymodels.settings import standard
from toymodels.train import Run

RESERVED = frozenset(
    {"objective", "status", "diverged_at", "diverged_by", "finite", "step", "snapshot", "cell"}
    | {"gain_low", "gain_high", "gradient", "moved"}
)
"""Results that every sweep has, and the coordinates that they are recorded along."""


def of_parameters(params: Any) -> list[str]:
    """The dotted path of each array of nested parameters, as they are stored."""
    paths = jax.tree_util.tree_leaves_with_path(params)
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths]


@standard()
def check_names(run: Run, axes: Collection[str] = ()) -> None:
    """ValueError where a parameter or a metric has the name of another result, of a coordinate or of an axis."""

    def recorded() -> tuple[Any, Any]:
        problem = protocol.prepare(run.problem)
        params = problem.init(keys.key(0))
        examples = protocol.sample(problem, keys.key(0), 1)
        example = jax.tree.map(lambda leaf: leaf[0], examples)
        return params, protocol.metrics(problem, params, example)

    params, metrics = jax.eval_shape(recorded)
    name = type(run.problem).__name__
    taken = {each: f"{each!r} is a name that every sweep has" for each in RESERVED}
    taken |= {each: f"{each!r} is an axis of the sweep" for each in axes}
    taken |= {each: f"{each!r} is a dimension of {own}" for own, dims in run.problem.dims.items() for each in dims}
    for kind, names in (("parameter", of_parameters(params)), ("metric", list(metrics))):
        for each in names:
            if each in taken:
                raise ValueError(f"{name}: a {kind} needs a name of its own, and {taken[each]}")
        taken |= {each: f"{each!r} is a {kind} of it" for each in names}
