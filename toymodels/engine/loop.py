"""The training loop, traced: initialise, scan steps, record - for one cell, and for a batch of them in one program.

Knows of a problem what `problems.protocol` says, of an optimizer its `transform`, and nothing else. The batch axis, the
axis of cells and the axis of seeds are added here, by `vmap`.
"""

import gc
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toymodels import keys
from toymodels.arrays import Array, Float, Int
from toymodels.engine import remaining
from toymodels.engine.devices import crowded
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


def _mean(function: Callable[[Any, Any], Any], params: Any, examples: Any) -> Any:
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
    gradient = written_out(jax.grad(partial(_mean, problem.objective)))(params, examples)
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

    return _mean(scalars, state.params, examples)


# --------------------------------------------------------------------------------------------------------- many at once
#
# A batch is a grid: a row of cells for each key. Draws are made once a row. Everything else runs over one flat axis of
# cells, so that a cell's bits depend on the number of cells in the batch and not on how they share their rows.


def _flat(grid: Any) -> Any:
    """Leaves (rows, cells, ...) as (rows * cells, ...)."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), grid)


def _one(grid: Any) -> Any:
    """The first cell of a grid."""
    return jax.tree.map(lambda leaf: leaf[0, 0], grid)


def _over_grid(function: Callable[[Any, Any], Any], row_keys: Array, cells: Any) -> Any:
    """`function(key, cell)` of flat cells, a row for each key; what depends on keys alone is done once a row."""
    rows = row_keys.shape[0]
    grid = jax.tree.map(lambda leaf: leaf.reshape(rows, -1, *leaf.shape[1:]), cells)
    return _flat(jax.vmap(lambda key, row: jax.vmap(partial(function, key))(row))(row_keys, grid))


def _draw(problems: Any, row_keys: Array, batch: int, cells: int) -> Any:
    """Examples for each of so many cells, drawn once a row, along the last axis; None for deterministic problems."""
    if not protocol.draws(problems):
        return None

    def examples(key: Array, problem: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), protocol.sample(problem, key, batch))

    if not jax.tree.leaves(problems):  # no cell differs: one draw does for a row
        drawn = jax.vmap(lambda key: examples(key, problems))(row_keys)
        return jax.tree.map(lambda leaf: jnp.repeat(leaf, cells // row_keys.shape[0], axis=0), drawn)
    return _over_grid(examples, row_keys, problems)


def _at(step: Int[Array, ""], problems: Any, steps: int) -> Any:
    """The problems that this step is taken on."""
    if not protocol.changes(problems):
        return problems
    return jax.vmap(lambda problem: protocol.at(problem, step, steps))(problems)


def _initialise_batch(row_keys: Keys, runs: Run) -> State:
    return _over_grid(_initialise, row_keys.init, _flat(runs))


def _advance_batch(
    bounds: Int[Array, " chunk"], row_keys: Keys, runs: Run, states: State
) -> tuple[State, dict[str, Array]]:
    """Train from step bounds[0] through bounds[-1]; evaluate at bounds[1:]. Flat axis of cells first."""
    cells = _flat(runs)
    draw = partial(_draw, cells=jnp.size(runs.seed))

    def unseen(problems: Any) -> Any:
        return draw(problems, row_keys.evaluation, runs.record.examples)

    evaluation = None if protocol.changes(runs.problem) else unseen(states.problem)

    def step(index: Int[Array, ""], states: State) -> State:
        problems = _at(index, states.problem, runs.steps)
        examples = draw(problems, jax.vmap(partial(_fold_in, index))(row_keys.data), runs.batch)
        new = jax.vmap(_step)(states._replace(problem=problems), examples, cells)
        return new._replace(problem=states.problem)

    def stretch(states: State, ends: tuple[Array, Array]) -> tuple[State, dict[str, Array]]:
        states = jax.lax.fori_loop(*ends, step, states)
        problems = _at(jnp.maximum(ends[1] - 1, 0), states.problem, runs.steps)  # that of the last step taken
        examples = unseen(problems) if evaluation is None else evaluation
        return states, jax.vmap(_evaluate)(states._replace(problem=problems), examples)

    states, records = jax.lax.scan(stretch, states, (bounds[:-1], bounds[1:]))
    return states, jax.tree.map(lambda values: values.T, records)


def _gradients_batch(
    points: Float[Array, "cells halves parameters"],
    batches: Int[Array, ""],
    evaluation_keys: Array,
    runs: Run,
    problems: Any,
    params: Any,
) -> tuple[Float[Array, "cells halves"], Float[Array, "cells halves parameters"]]:
    """Loss and gradient of each cell at other parameters than its `params`, on the problem of its last step: exact, or
    on each half of a sample, of so many batches, that neither training nor the records have seen."""
    problems = _at(jnp.asarray(runs.steps - 1), problems, runs.steps)

    def gradients(problems: Any, points: Float[Array, "cells parameters"], examples: Any) -> tuple[Array, Array]:
        def one(problem: Any, like: Any, point: Float[Array, " parameters"], examples: Any) -> tuple[Array, Array]:
            def loss(point: Float[Array, " parameters"]) -> Array:
                found = _mean(problem.objective, remaining.unflat(point, like), examples)
                if protocol.can_finish(problem):
                    found = jnp.where(problem.done(like), 1.0, found)  # what is done has no more to gain
                return found

            return written_out(jax.value_and_grad(loss))(point)

        return jax.vmap(one)(problems, params, points, examples)

    def half(own: tuple[Array, Array]) -> tuple[Array, Array]:
        first, points = own

        def add(index: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
            sample_keys = jax.vmap(partial(_fold_in, first + index))(evaluation_keys)
            examples = _draw(problems, sample_keys, runs.batch, jnp.size(runs.seed))
            return jax.tree.map(jnp.add, sums, gradients(problems, points, examples))

        nothing = (jnp.zeros(len(points), points.dtype), jnp.zeros_like(points))
        total = jax.lax.fori_loop(0, batches, add, nothing)
        return jax.tree.map(lambda leaf: leaf / batches, total)

    if points.shape[1] == 1:
        found = gradients(remaining.doubled(problems), points[:, 0], None)
        return jax.tree.map(lambda leaf: leaf[:, None], found)
    found = jax.lax.map(half, (1 + 2**16 * jnp.arange(2), jnp.moveaxis(points, 1, 0)))
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), found)


def _fold_in(index: Int[Array, ""], data_key: Array) -> Array:
    return jax.random.fold_in(data_key, index)


# ------------------------------------------------------------------------------------------------------------- programs


def chunk_length(run: Run) -> int:
    """How many records a call of a program makes: there are ten calls or more, and one ends at each snapshot."""
    steps, snapshots = run.record.loss_steps(run.steps), run.record.snapshot_steps(run.steps)
    return math.ceil(len(steps) / max(10, len(snapshots)))


class Program(NamedTuple):
    """The compiled code of one group of cells in batches of one shape, and what compiling it took."""

    initialise: jax.stages.Compiled
    """(keys, runs) -> initial states; leaves of the runs are (rows, cells), keys (rows,), states flat."""
    advance: dict[jax.Device, jax.stages.Compiled]
    """(bounds, keys, runs, states) -> states at bounds[-1], and records (rows * cells, chunk - 1) at bounds[1:]."""
    gradients: dict[jax.Device, jax.stages.Compiled]
    """(points, batches, evaluation keys, runs, problems, params) -> losses and gradients at points, (rows * cells,
    halves, parameters)."""
    seconds: list[float]


_programs: dict[Any, Program] = {}
_forgotten: list[list[float]] = []
"""The seconds of programs that are no longer kept."""


def make_room() -> None:
    """Forget all compiled programs, those of JAX's own caches too, where a process is `crowded`.

    What is asked for again is compiled again, or read from the folder of `devices.keep_programs`.
    """
    if crowded():
        _forgotten.extend(each.seconds for each in _programs.values())
        _programs.clear()
        jax.clear_caches()
        gc.collect()


def program(row_keys: Keys, runs: Run, devices: Sequence[jax.Device]) -> Program:
    """The program of a batch, compiled the first time its treedef and shape are seen on each of the devices.

    One executable a device, all from the same code, and not one that spans them: partitioned programs go through other
    passes of the compiler and round differently from a program of one device.
    """
    leaves, treedef = jax.tree.flatten(runs)
    key = (treedef, tuple((leaf.shape, leaf.dtype.name) for leaf in leaves))
    start = time.perf_counter()
    with jax.default_matmul_precision("highest"):  # accelerators would round the factors of a product to 10 bits
        if key not in _programs:
            make_room()
            _programs[key] = Program(jax.jit(_initialise_batch).lower(row_keys, runs).compile(), {}, {}, [])
        made = _programs[key]
        missing = [device for device in devices if device not in made.advance]
        if missing:
            states = made.initialise(row_keys, runs)
            arguments = (np.zeros(chunk_length(runs) + 1, np.int32), row_keys, runs, states)
            code = jax.jit(_advance_batch, donate_argnums=3)
            lowered = [code.lower(*jax.device_put(arguments, device)) for device in missing]
            exact = remaining.is_exact(_one(runs))
            shape = (jnp.size(runs.seed), 1 if exact else 2, _size(states.params))
            points = np.zeros(shape, np.float64 if exact or runs.double else np.float32)
            with jax.enable_x64(exact or runs.double):
                code = jax.jit(_gradients_batch)
                placed = (points, np.int32(1), row_keys.evaluation, runs, states.problem, states.params)
                lowered += [code.lower(*jax.device_put(placed, device)) for device in missing]
            with ThreadPoolExecutor(len(lowered)) as pool:
                compiled = list(pool.map(jax.stages.Lowered.compile, lowered))
            made.advance.update(zip(missing, compiled[: len(missing)], strict=True))
            made.gradients.update(zip(missing, compiled[len(missing) :], strict=True))
            made.seconds.append(time.perf_counter() - start)
    return made


def _size(params: Any) -> int:
    """How many parameters a cell has."""
    return sum(leaf[0].size for leaf in jax.tree.leaves(params))


def programs_compiled() -> int:
    """How many training programs this process has compiled, counted once for all devices."""
    return len(_programs) + len(_forgotten)


def compile_seconds() -> float:
    """Time this process has spent compiling training programs."""
    kept = [each.seconds for each in _programs.values()]
    return math.fsum(seconds for each in (*kept, *_forgotten) for seconds in each)
