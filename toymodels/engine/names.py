"""What a run will record, by name: checked before anything is compiled, as of two results of one name one is lost."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from toymodels import keys
from toymodels.places import place
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
    """ValueError where a parameter or a metric has the name of another result, of a coordinate or of an axis; where
    examples, the objective or the named dimensions of a parameter have another shape than they should; where a law
    states moments that its values have not; and where a problem cannot be evaluated at all."""
    problem, name = run.problem, type(run.problem).__name__
    with _evaluated(name):
        protocol.check_numbers(problem)
        params, objective, metrics = jax.eval_shape(_recorded, problem)
    if not (isinstance(objective, jax.ShapeDtypeStruct) and objective.shape == ()):
        given = "nothing" if objective is None else f"numbers of shape {getattr(objective, 'shape', '()')}"
        raise ValueError(
            f"{name}: its objective gives {given}, and has to be one number: sum, or average, what it adds up"
        )
    _check_dimensions(problem, params)
    taken = {each: f"{each!r} is a name that every sweep has" for each in RESERVED}
    taken |= {each: f"{each!r} is an axis of the sweep" for each in axes}
    taken |= {each: f"{each!r} is a dimension of {own}" for own, dims in problem.dims.items() for each in dims}
    for kind, names in (("parameter", of_parameters(params)), ("metric", list(metrics))):
        for each in names:
            if each in taken:
                raise ValueError(f"{name}: a {kind} needs a name of its own, and {taken[each]}")
        taken |= {each: f"{each!r} is a {kind} of it" for each in names}


def _recorded(problem: Any) -> tuple[Any, Any, Any]:
    """Parameters, objective and metrics of one example, once its parts and the shapes of examples are as they should
    be."""
    protocol.check_parts(problem)
    ready = protocol.prepare(problem)
    for batch in (2, 3):  # one of them might be a size of the examples too
        examples = protocol.sample(ready, keys.key(0), batch)
        _check_examples(problem, examples, batch)
    params, example = ready.init(keys.key(0)), jax.tree.map(lambda leaf: leaf[0], examples)
    return params, ready.objective(params, example), protocol.metrics(ready, params, example)


def _check_examples(problem: Any, examples: Any, batch: int) -> None:
    for leaf in jax.tree.leaves(examples):
        if leaf.shape[:1] != (batch,):
            whose = type(getattr(problem, "data", problem)).__name__
            raise ValueError(
                f"{whose}: sample(key, batch={batch}) gives shape {leaf.shape}, and the batch has to come first"
            )


def _check_dimensions(problem: Any, params: Any) -> None:
    name = type(problem).__name__
    shapes = dict(zip(of_parameters(params), (leaf.shape for leaf in jax.tree.leaves(params)), strict=True))
    for own, dims in problem.dims.items():
        if isinstance(dims, str):
            raise ValueError(f"{name}: dims of {own} is a word, {dims!r}, and has to be a tuple of names")
        if own in shapes and len(dims) != len(shapes[own]):
            raise ValueError(f"{name}: dims names {len(dims)} axes of {own}, whose shape is {shapes[own]}")


@contextmanager
def _evaluated(name: str) -> Iterator[None]:
    """Errors in what the user wrote, as one sentence that says where."""
    try:
        yield
    except ValueError:
        raise
    except (TypeError, AttributeError, IndexError, KeyError) as error:
        told = str(error).partition("\n")[0]
        if isinstance(error, CONCRETE) or "concrete values" in told:
            hint = "use jnp.where for a choice, and declare `static` what sets a shape"
            why = f"a number is needed that is not known when {name} is compiled; {hint}"
        else:
            why = f"{name} cannot be evaluated: {type(error).__name__}, {told}"
        raise ValueError(f"{_place(error)}: {why}") from error


CONCRETE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def _place(error: BaseException) -> str:
    """The last line of the traceback that is no library's; of this library, where there is no other."""

    def written(path: Path) -> bool:
        return "site-packages" not in path.parts

    return place(error, lambda path: written(path) and not path.is_relative_to(PACKAGE), written)


PACKAGE = Path(__file__).parent.parent
