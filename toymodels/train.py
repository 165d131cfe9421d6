"""One run: initialise, scan steps, record. Knows init, sample, objective and transform, and nothing else.

A problem offers `init(key) -> params` and `objective(params, example) -> scalar`, and may offer `sample(key, batch)`
(examples; without it, or where it returns None, the problem is deterministic), `prepare()` (the same problem with its
tables worked out once), `metrics(params, example) -> dict of scalars`, `done(params) -> bool` (freeze this cell) and
`at(step, steps) -> problem` (the problem that step number `step` of `steps` is taken on, where it changes in training).
The batch axis, the axis of cells and the axis of seeds are added here, by `vmap`.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toymodels import keys
from toymodels.arrays import Array, Int
from toymodels.config import config, stack, static
from toymodels.optimizers import Adam, Optimizer
from toymodels.problems.protocol import Problem
from toymodels.products import written_out

NUMERICS = 2
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

    problem: Problem
    optimizer: Optimizer = Adam()
    steps: int = static(default=10_000)
    batch: int = static(default=1024)
    seed: int = 0
    stream: int = 0
    record: Record = static(default=Record())

    def check(self) -> None:
        for name in getattr(self.optimizer, "parameters", ()):
            if name not in self.problem.dims:
                optimizer, problem = (type(each).__name__ for each in (self.optimizer, self.problem))
                raise ValueError(f"optimizer: {optimizer} updates {name}, but {problem} has no {name}")
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
    problem = run.problem.prepare() if hasattr(run.problem, "prepare") else run.problem
    params = problem.init(init_key)
    return State(problem, params, run.optimizer.transform(run.steps).init(params))


def _step(state: State, examples: Any, run: Run) -> State:
    problem, params, moments = state
    gradient = written_out(jax.grad(partial(_mean, problem.objective)))(params, examples)
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


# --------------------------------------------------------------------------------------------------------- many at once
#
# A batch is a grid: a row of cells for each key. Draws are made once a row. Everything else runs over one flat axis of
# cells, so that a cell's bits depend on the number of cells in the batch and not on how they share their rows.


def _flat(grid: Any) -> Any:
    """Leaves (rows, cells, ...) as (rows * cells, ...)."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), grid)


def _over_grid(function: Callable[[Any, Any], Any], row_keys: Array, cells: Any) -> Any:
    """`function(key, cell)` of flat cells, a row for each key; what depends on keys alone is done once a row."""
    rows = row_keys.shape[0]
    grid = jax.tree.map(lambda leaf: leaf.reshape(rows, -1, *leaf.shape[1:]), cells)
    return _flat(jax.vmap(lambda key, row: jax.vmap(partial(function, key))(row))(row_keys, grid))


def _draw(problems: Any, row_keys: Array, batch: int) -> Any:
    if not hasattr(problems, "sample"):
        return None

    def examples(key: Array, problem: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), problem.sample(key, batch))

    return _over_grid(examples, row_keys, problems)


def _at(step: Int[Array, ""], problems: Any, steps: int) -> Any:
    """The problems that this step is taken on."""
    return jax.vmap(lambda problem: problem.at(step, steps))(problems) if hasattr(problems, "at") else problems


def _initialise_batch(row_keys: Keys, runs: Run) -> State:
    return _over_grid(_initialise, row_keys.init, _flat(runs))


def _advance_batch(
    bounds: Int[Array, " chunk"], row_keys: Keys, runs: Run, states: State
) -> tuple[State, dict[str, Array]]:
    """Train from step bounds[0] through bounds[-1]; evaluate at bounds[1:]. Flat axis of cells first."""
    cells = _flat(runs)

    def unseen(problems: Any) -> Any:
        return _draw(problems, row_keys.evaluation, runs.record.examples)

    evaluation = None if hasattr(runs.problem, "at") else unseen(states.problem)

    def step(index: Int[Array, ""], states: State) -> State:
        problems = _at(index, states.problem, runs.steps)
        examples = _draw(problems, jax.vmap(partial(_fold_in, index))(row_keys.data), runs.batch)
        new = jax.vmap(_step)(states._replace(problem=problems), examples, cells)
        return new._replace(problem=states.problem)

    def stretch(states: State, ends: tuple[Array, Array]) -> tuple[State, dict[str, Array]]:
        states = jax.lax.fori_loop(*ends, step, states)
        problems = _at(jnp.maximum(ends[1] - 1, 0), states.problem, runs.steps)  # that of the last step taken
        examples = unseen(problems) if evaluation is None else evaluation
        return states, jax.vmap(_evaluate)(states._replace(problem=problems), examples)

    states, records = jax.lax.scan(stretch, states, (bounds[:-1], bounds[1:]))
    return states, jax.tree.map(lambda values: values.T, records)


def _fold_in(index: Int[Array, ""], data_key: Array) -> Array:
    return jax.random.fold_in(data_key, index)


class Program(NamedTuple):
    """The compiled code of one group of cells in batches of one shape, and what compiling it took."""

    initialise: jax.stages.Compiled
    """(keys, runs) -> initial states; leaves of the runs are (rows, cells), keys (rows,), states flat."""
    advance: dict[jax.Device, jax.stages.Compiled]
    """(bounds, keys, runs, states) -> states at bounds[-1], and records (rows * cells, chunk - 1) at bounds[1:]."""
    seconds: list[float]


_programs: dict[Any, Program] = {}


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
            _programs[key] = Program(jax.jit(_initialise_batch).lower(row_keys, runs).compile(), {}, [])
        made = _programs[key]
        missing = [device for device in devices if device not in made.advance]
        if missing:
            arguments = (np.zeros(_chunk_length(runs) + 1, np.int32), row_keys, runs, made.initialise(row_keys, runs))
            code = jax.jit(_advance_batch, donate_argnums=3)
            lowered = [code.lower(*jax.device_put(arguments, device)) for device in missing]
            with ThreadPoolExecutor(len(missing)) as pool:
                compiled = pool.map(jax.stages.Lowered.compile, lowered)
                made.advance.update(zip(missing, compiled, strict=True))
            made.seconds.append(time.perf_counter() - start)
    return made


def programs_compiled() -> int:
    """How many training programs this process has compiled, counted once for all devices."""
    return len(_programs)


def compile_seconds() -> float:
    """Time this process has spent compiling training programs."""
    return math.fsum(seconds for each in _programs.values() for seconds in each.seconds)


class Results(NamedTuple):
    """What a batch gives: arrays with a leading axis of cells, in the order they were asked for."""

    steps: Int[np.ndarray, " steps"]
    snapshot_steps: Int[np.ndarray, " snapshots"]
    scalars: dict[str, np.ndarray]
    """(cells, steps): `objective`, the loss on the evaluation examples, and the problem's metrics."""
    params: dict[str, np.ndarray]
    """(cells, snapshots, ...)"""


def train_batch(
    grid: Sequence[Sequence[Run]],
    progress: Callable[[int], None] = lambda steps: None,
    devices: Sequence[jax.Device] | None = None,
) -> Results:
    """Train a rectangular batch: one row a (seed, stream), one treedef; `progress` gets the steps just done.

    `devices` (by default the first one) share the rows equally. A cell's bits depend on the number of cells of a
    device (to rounding), and on nothing else.
    """
    first, devices = grid[0][0], devices or jax.local_devices()[:1]
    if len(grid) % len(devices):
        raise ValueError(f"{len(grid)} rows on {len(devices)} devices: each takes as many")
    rows = len(grid) // len(devices)
    shares = [_Share(grid[k * rows : (k + 1) * rows], device, devices) for k, device in enumerate(devices)]
    scalars: list[dict[str, np.ndarray]] = []
    snapshots: list[Any] = []
    for bounds, kept, is_snapshot in _chunks(first):
        records = [share.advance(bounds) for share in shares]  # returns at once, so that all devices work
        scalars.append({name: values[:, :kept] for name, values in _joined(records).items()})
        if is_snapshot:
            snapshots.append(_joined([share.states.params for share in shares]))
        progress(int(bounds[-1] - bounds[0]))
    return Results(
        first.record.loss_steps(first.steps),
        first.record.snapshot_steps(first.steps),
        jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *scalars),
        _named(jax.tree.map(lambda *each: np.stack(each, axis=1), *snapshots)),
    )


class _Share:
    """A device's rows of a batch, in training."""

    def __init__(self, grid: Sequence[Sequence[Run]], device: jax.Device, devices: Sequence[jax.Device]) -> None:
        runs = jax.tree.map(lambda *rows: np.stack(rows), *[stack(row) for row in grid])
        row_keys = _make_keys(runs.seed[:, 0], runs.stream[:, 0])
        compiled = program(row_keys, runs, devices)
        self.device, self._advance = device, compiled.advance[device]
        placed = jax.device_put((row_keys, runs, compiled.initialise(row_keys, runs)), device)
        self._keys, self._runs, self.states = placed

    def advance(self, bounds: Int[np.ndarray, " chunk"]) -> dict[str, Array]:
        bounds = jax.device_put(bounds, self.device)
        self.states, records = self._advance(bounds, self._keys, self._runs, self.states)
        return records


def _joined(parts: Sequence[Any]) -> Any:
    """Trees of arrays of different devices, end to end, on the host."""
    return jax.tree.map(lambda *arrays: np.concatenate([np.asarray(array) for array in arrays]), *parts)


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
