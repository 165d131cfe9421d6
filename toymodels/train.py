"""One run: initialise, scan steps, record. Knows init, sample, objective and transform, and nothing else.

A problem offers `init(key) -> params` and `objective(params, example) -> scalar`, and may offer `sample(key, batch)`
(examples; without it, or where it returns None, the problem is deterministic), `prepare()` (the same problem with its
tables worked out once), `metrics(params, example) -> dict of scalars` and `done(params) -> bool` (freeze this cell).
The batch axis, the axis of cells and the axis of seeds are added here, by `vmap`.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toymodels.arrays import Array, Int
from toymodels.config import config, is_config, stack, static
from toymodels.optimizers import Adam, Optimizer

NUMERICS = 1
"""Version of the numbers: raised whenever a change here, in a problem or in a loss changes the results of a config."""


@config
class Record:
    """What a run keeps: the loss and metrics at about `losses` steps, all parameters at about `snapshots` of these.

    Steps are spaced logarithmically, or evenly where `linear`; the first (0) and last are always kept. Loss and metrics
    are means over `examples` fixed examples of a stream of their own, which training never sees.
    """

    losses: int = static(default=200)
    snapshots: int = static(default=20)
    linear: bool = static(default=False)
    examples: int = static(default=2048)

    def check(self) -> None:
        for name in ("losses", "snapshots", "examples"):
            if not 1 <= getattr(self, name) <= 100_000:
                raise ValueError(f"{name}={getattr(self, name)}: an integer in 1..100000")

    def loss_steps(self, steps: int) -> Int[np.ndarray, " records"]:
        """Steps at which losses are kept; those of the snapshots are among them."""
        return np.union1d(_spaced(steps, self.losses, self.linear), self.snapshot_steps(steps))

    def snapshot_steps(self, steps: int) -> Int[np.ndarray, " snapshots"]:
        return _spaced(steps, self.snapshots, self.linear)


def _spaced(steps: int, count: int, linear: bool) -> Int[np.ndarray, " points"]:
    points = np.linspace(0, steps, count) if linear else np.append(0, np.geomspace(steps, 1, max(count - 1, 1)))
    return (
        np.unique(np.append(np.round(points), steps)).astype(np.int32) if count > 1 else np.asarray([steps], np.int32)
    )


@config
class Run:
    """One training run, complete: what is learned, how, for how long, from which seed, and what is kept.

    Cells of equal `seed` and `stream` see the same draws (common random numbers), so their differences are paired;
    another `stream` gives independent data from the same initialisation.
    """

    problem: Any
    optimizer: Optimizer = Adam()
    steps: int = static(default=10_000)
    batch: int = static(default=1024)
    seed: int = 0
    stream: int = 0
    record: Record = static(default=Record())

    def check(self) -> None:
        needed = ("init", "objective", "dims")
        if not (is_config(self.problem) and all(hasattr(self.problem, name) for name in needed)):
            raise ValueError(f"problem={self.problem!r}: a problem is a config with init and objective, and dims")
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: at least 1")
        for name in ("seed", "stream"):
            if not 0 <= getattr(self, name) < 2**31:
                raise ValueError(f"{name}={getattr(self, name)}: an integer in 0..2^31 - 1")


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
def _make_keys(seed: Int[Array, ""], stream: Int[Array, ""]) -> Keys:
    init_key, data_key, evaluation_key = jax.random.split(jax.random.key(seed), 3)
    return Keys(init_key, jax.random.fold_in(data_key, stream), evaluation_key)


# ------------------------------------------------------------------------------------------------------------- one cell


def _draw(problem: Any, key: Array, batch: int) -> Any:
    return problem.sample(key, batch) if hasattr(problem, "sample") else None


def _mean(function: Callable[[Any, Any], Any], params: Any, examples: Any) -> Any:
    """Mean over examples of a one-example function; the function itself where the problem is deterministic.

    The examples run along the *last* axis: tiny models would otherwise waste most of each vector instruction. Vectors
    among the parameters are repeated along it too, or the first sum of a batched and an unbatched vector would
    transpose the batch back to the front.
    """
    if examples is None:
        return function(params, None)
    batch = jax.tree.leaves(examples)[0].shape[0]
    axes = jax.tree.map(lambda leaf: -1 if leaf.ndim == 1 else None, params)
    params = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf[:, None], (leaf.size, batch)) if leaf.ndim == 1 else leaf, params
    )
    last = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), examples)
    each = jax.vmap(function, (axes, -1), -1)(params, last)
    return jax.tree.map(lambda values: jnp.mean(values, axis=-1), each)


def _initialise(keys: Keys, run: Run) -> State:
    problem = run.problem.prepare() if hasattr(run.problem, "prepare") else run.problem
    params = problem.init(keys.init)
    return State(problem, params, run.optimizer.transform(run.steps).init(params))


def _step(step: Int[Array, ""], state: State, keys: Keys, run: Run) -> State:
    problem, params, moments = state
    examples = _draw(problem, jax.random.fold_in(keys.data, step), run.batch)
    gradient = jax.grad(lambda params: _mean(problem.objective, params, examples))(params)
    updates, new_moments = run.optimizer.transform(run.steps).update(gradient, moments, params)
    new = (jax.tree.map(jnp.add, params, updates), new_moments)
    if hasattr(problem, "done"):
        done = problem.done(params)
        new = jax.tree.map(partial(jnp.where, done), (params, moments), new)
    return State(problem, *new)


def _evaluate(state: State, examples: Any) -> dict[str, Array]:
    problem = state.problem

    def scalars(params: Any, example: Any) -> dict[str, Array]:
        metrics = problem.metrics(params, example) if hasattr(problem, "metrics") else {}
        return {"objective": problem.objective(params, example), **metrics}

    return _mean(scalars, state.params, examples)


def _advance(bounds: Int[Array, " chunk"], keys: Keys, run: Run, state: State) -> tuple[State, dict[str, Array]]:
    """Train from step bounds[0] through bounds[-1]; evaluate at bounds[1:]."""
    examples = _draw(state.problem, keys.evaluation, run.record.examples)

    def stretch(state: State, ends: tuple[Array, Array]) -> tuple[State, dict[str, Array]]:
        state = jax.lax.fori_loop(*ends, lambda step, state: _step(step, state, keys, run), state)
        return state, _evaluate(state, examples)

    return jax.lax.scan(stretch, state, (bounds[:-1], bounds[1:]))


# --------------------------------------------------------------------------------------------------------- many at once


def _over_cells(function: Callable[..., Any], *shared: Any) -> Callable[..., Any]:
    """`function(*shared, keys, *cells)` over seeds (outer axis: keys, cells) and cells of a seed (inner: cells alone).

    Draws depend on keys alone, so they are made once a seed, whatever the number of its cells.
    """

    def mapped(keys: Keys, *cells: Any) -> Any:
        return jax.vmap(lambda keys, *cells: jax.vmap(partial(function, *shared, keys))(*cells))(keys, *cells)

    return mapped


def _initialise_batch(keys: Keys, runs: Run) -> State:
    return _over_cells(_initialise)(keys, runs)


def _advance_batch(
    bounds: Int[Array, " chunk"], keys: Keys, runs: Run, states: State
) -> tuple[State, dict[str, Array]]:
    return _over_cells(_advance, bounds)(keys, runs, states)


class Program(NamedTuple):
    """The compiled code of one group of cells in batches of one shape, and what compiling it took."""

    initialise: Callable[[Keys, Run], State]
    """Initial states of a batch: leaves of the runs are (seeds, cells), keys are (seeds,)."""
    advance: Callable[[Array, Keys, Run, State], tuple[State, dict[str, Array]]]
    """The training program: states at bounds[-1], and records (seeds, cells, chunk - 1) at bounds[1:]."""
    seconds: float


_programs: dict[Any, Program] = {}


def program(keys: Keys, runs: Run) -> Program:
    """The program of a batch, compiled the first time its treedef and shape are seen."""
    leaves, treedef = jax.tree.flatten(runs)
    key = (treedef, tuple((leaf.shape, leaf.dtype.name) for leaf in leaves))
    if key not in _programs:
        start = time.perf_counter()
        bounds = jax.ShapeDtypeStruct((_chunk_length(runs) + 1,), np.int32)
        with jax.default_matmul_precision("highest"):  # accelerators would round the factors of a product to 10 bits
            states = jax.eval_shape(_initialise_batch, keys, runs)
            initialise = jax.jit(_initialise_batch).lower(keys, runs).compile()
            advance = jax.jit(_advance_batch, donate_argnums=3).lower(bounds, keys, runs, states).compile()
        _programs[key] = Program(initialise, advance, time.perf_counter() - start)
    return _programs[key]


def programs_compiled() -> int:
    """How many training programs this process has compiled."""
    return len(_programs)


def compile_seconds() -> float:
    """Time this process has spent compiling training programs."""
    return math.fsum(each.seconds for each in _programs.values())


class Results(NamedTuple):
    """What a batch gives: arrays with a leading axis of cells, in the order they were asked for."""

    steps: Int[np.ndarray, " steps"]
    snapshot_steps: Int[np.ndarray, " snapshots"]
    scalars: dict[str, np.ndarray]
    """(cells, steps): `objective`, the loss on the evaluation examples, and the problem's metrics."""
    params: dict[str, np.ndarray]
    """(cells, snapshots, ...)"""


def train_batch(grid: Sequence[Sequence[Run]], progress: Callable[[int], None] = lambda steps: None) -> Results:
    """Train a rectangular batch: one row a (seed, stream), one treedef; `progress` gets the steps just done.

    A cell's bits depend on the shape of the grid (to rounding) and on nothing else in it.
    """
    first = grid[0][0]
    runs = jax.tree.map(lambda *rows: np.stack(rows), *[stack(row) for row in grid])
    keys = _make_keys(runs.seed[:, 0], runs.stream[:, 0])
    compiled = program(keys, runs)
    states = compiled.initialise(keys, runs)
    scalars: list[dict[str, np.ndarray]] = []
    snapshots: list[Any] = []
    for bounds, kept, is_snapshot in _chunks(first):
        states, records = compiled.advance(bounds, keys, runs, states)
        scalars.append({name: np.asarray(values)[..., :kept] for name, values in records.items()})
        if is_snapshot:
            snapshots.append(jax.tree.map(np.asarray, states.params))
        progress(int(bounds[-1] - bounds[0]))
    merge = partial(jax.tree.map, lambda values: values.reshape(-1, *values.shape[2:]))
    return Results(
        first.record.loss_steps(first.steps),
        first.record.snapshot_steps(first.steps),
        merge(jax.tree.map(lambda *parts: np.concatenate(parts, axis=2), *scalars)),
        _named(merge(jax.tree.map(lambda *each: np.stack(each, axis=2), *snapshots))),
    )


def _named(params: Any) -> dict[str, np.ndarray]:
    """The arrays of nested parameters by their dotted path."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _chunk_length(run: Run) -> int:
    steps, snapshots = run.record.loss_steps(run.steps), run.record.snapshot_steps(run.steps)
    return math.ceil(len(steps) / max(10, len(snapshots)))


def _chunks(run: Run) -> Iterator[tuple[Int[np.ndarray, " chunk"], int, bool]]:
    """Cut the record steps into host-side pieces of one length: (bounds, how many are real, ends in a snapshot).

    Pieces end at snapshots, and otherwise so that there are ten or more; the last bound is repeated to fill a piece.
    """
    length = _chunk_length(run)
    snapshots = set(run.record.snapshot_steps(run.steps).tolist())
    piece: list[int] = []
    start = 0
    for step in run.record.loss_steps(run.steps).tolist():
        piece.append(step)
        if step in snapshots or len(piece) == length:
            fill = [step] * (length - len(piece))
            yield np.asarray([start, *piece, *fill], np.int32), len(piece), step in snapshots
            start, piece = step, []
