"""The training loop, traced: initialise, scan steps, record - for one cell, and for a batch of them in one program.

Knows of a problem what `problems.protocol` says, of an optimizer its `transform`, and nothing else. The batch axis, the
axis of cells and the axis of seeds are added here, by `vmap`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from toymodels import keys
from toymodels.arrays import Array, Int
from toymodels.engine.small_products import written_out
from toymodels.problems import protocol
from toymodels.train import Run


class Keys(NamedTuple):
    """The streams of one seed: initialisation, training data, evaluation data."""

    init: Array
    data: Array
    evaluation: Array


class State(NamedTuple):
    """A cell between steps; `problem` is the prepared one."""

    problem: Any
    params: Any
    optimizer: Any


@jax.jit
@jax.vmap
def make_keys(seed: Int[Array, ""], stream: Int[Array, ""]) -> Keys:
    """The keys of one seed and stream; mapped over the rows of a batch."""
    init_key, data_key, evaluation_key = jax.random.split(keys.key(seed), 3)
    return Keys(init_key, jax.random.fold_in(data_key, stream), evaluation_key)


# ------------------------------------------------------------------------------------------------------------- one cell


def mean_over_examples(function: Callable[[Any, Any], Any], params: Any, examples: Any) -> Any:
    """Mean over examples of a one-example function; the function itself where the problem is deterministic.

    The examples run along the *last* axis: tiny models would otherwise waste most of each vector instruction. Vectors
    among the parameters are repeated along it too, or the first sum of a batched and an unbatched vector would
    transpose the batch back to the front.
    """
    if examples is None:
        return function(params, None)
    batch = jax.tree.leaves(examples)[0].shape[-1]
    axes = jax.tree.map(lambda leaf: -1 if leaf.ndim == 1 else None, params)
    params = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf[:, None], (leaf.size, batch)) if leaf.ndim == 1 else leaf, params
    )
    each = jax.vmap(function, (axes, -1), -1)(params, examples)
    return jax.tree.map(lambda values: jnp.mean(values, axis=-1), each)


def _initialise(init_key: Array, run: Run) -> State:
    problem = protocol.prepare(run.problem)
    params = problem.init(init_key)
    return State(problem, params, run.optimizer.transform(run.steps).init(params))


def _step(state: State, examples: Any, run: Run) -> State:
    problem, params, moments = state
    gradient = written_out(jax.grad(partial(mean_over_examples, problem.objective)))(params, examples)
    updates, new_moments = run.optimizer.transform(run.steps).update(gradient, moments, params)
    new = (jax.tree.map(jnp.add, params, updates), new_moments)
    if protocol.can_finish(problem):
        done = problem.done(params)
        new = jax.tree.map(partial(jnp.where, done), (params, moments), new)
    return State(problem, *new)


def _evaluate(state: State, examples: Any) -> dict[str, Array]:
    problem = state.problem

    def scalars(params: Any, example: Any) -> dict[str, Array]:
        metrics = protocol.metrics(problem, params, example)
        return {"objective": problem.objective(params, example), **metrics}

    return mean_over_examples(scalars, state.params, examples)


# --------------------------------------------------------------------------------------------------------- many at once
#
# A batch is a grid: a row of cells for each key. Draws are made once a row. Everything else runs over one flat axis of
# cells, so that a cell's bits depend on the number of cells in the batch and not on how they share their rows.


def _flat(grid: Any) -> Any:
    """Leaves (rows, cells, ...) as (rows * cells, ...)."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), grid)


def one_cell(grid: Any) -> Any:
    """The first cell of a grid."""
    return jax.tree.map(lambda leaf: leaf[0, 0], grid)


def _over_grid(function: Callable[[Any, Any], Any], row_keys: Array, cells: Any) -> Any:
    """`function(key, cell)` of flat cells, a row for each key; what depends on keys alone is done once a row."""
    rows = row_keys.shape[0]
    grid = jax.tree.map(lambda leaf: leaf.reshape(rows, -1, *leaf.shape[1:]), cells)
    return _flat(jax.vmap(lambda key, row: jax.vmap(partial(function, key))(row))(row_keys, grid))


def draw_examples(problems: Any, row_keys: Array, batch: int, cells: int) -> Any:
    """Examples for each of so many cells, drawn once a row, along the last axis; None for deterministic problems."""
    if not protocol.draws(problems):
        return None

    def examples(key: Array, problem: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), protocol.sample(problem, key, batch))

    if not jax.tree.leaves(problems):  # no cell differs: one draw does for a row
        drawn = jax.vmap(lambda key: examples(key, problems))(row_keys)
        return jax.tree.map(lambda leaf: jnp.repeat(leaf, cells // row_keys.shape[0], axis=0), drawn)
    return _over_grid(examples, row_keys, problems)


def problems_at(step: Int[Array, ""], problems: Any, steps: int) -> Any:
    """The problems that this step is taken on."""
    if not protocol.changes(problems):
        return problems
    return jax.vmap(lambda problem: protocol.at(problem, step, steps))(problems)


def initialise_batch(row_keys: Keys, runs: Run) -> State:
    return _over_grid(_initialise, row_keys.init, _flat(runs))


def advance_batch(
    bounds: Int[Array, " chunk"], row_keys: Keys, runs: Run, states: State
) -> tuple[State, dict[str, Array]]:
    """Train from step bounds[0] through bounds[-1]; evaluate at bounds[1:]. Flat axis of cells first."""
    cells = _flat(runs)
    draw = partial(draw_examples, cells=jnp.size(runs.seed))

    def unseen(problems: Any) -> Any:
        return draw(problems, row_keys.evaluation, runs.record.examples)

    evaluation = None if protocol.changes(runs.problem) else unseen(states.problem)

    def step(index: Int[Array, ""], states: State) -> State:
        problems = problems_at(index, states.problem, runs.steps)
        examples = draw(problems, jax.vmap(partial(fold_in, index))(row_keys.data), runs.batch)
        new = jax.vmap(_step)(states._replace(problem=problems), examples, cells)
        return new._replace(problem=states.problem)

    def stretch(states: State, ends: tuple[Array, Array]) -> tuple[State, dict[str, Array]]:
        states = jax.lax.fori_loop(*ends, step, states)
        problems = problems_at(jnp.maximum(ends[1] - 1, 0), states.problem, runs.steps)  # that of the last step taken
        examples = unseen(problems) if evaluation is None else evaluation
        return states, jax.vmap(_evaluate)(states._replace(problem=problems), examples)

    states, records = jax.lax.scan(stretch, states, (bounds[:-1], bounds[1:]))
    return states, jax.tree.map(lambda values: values.T, records)


def fold_in(index: Int[Array, ""], data_key: Array) -> Array:
    """The key of a step, from that of its stream."""
    return jax.random.fold_in(data_key, index)
