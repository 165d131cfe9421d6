"""Losses and gradients of trained cells at other parameters than their own: what `engine.remaining` descends by.

Exact, in double precision, on deterministic problems; on fresh samples otherwise. Traced here, compiled by
`engine.programs`, and called for some cells of a batch at a time.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toymodels.arrays import Array, Float, Int
from toymodels.engine.devices import on
from toymodels.engine.loop import Keys, State, draw_examples, fold_in, mean_over_examples, one_cell, problems_at
from toymodels.engine.small_products import written_out
from toymodels.problems import protocol
from toymodels.train import Run

LANES = 4
"""Cells whose exact gradients are worked out together: few, as mostly a few cells of a batch are still descending."""
SLOTS = 8
"""Cells that a call takes: what it is given and gives back costs as much as four of them."""


def is_exact(run: Run) -> bool:
    """Whether the objective of a run is deterministic, and so are its gradients."""
    return protocol.example_shapes(run.problem, run.batch) is None


def flat(params: Any) -> Float[np.ndarray, "cells parameters"]:
    """The parameters of cells as vectors, in double precision."""
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(params)]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def _size(params: Any) -> int:
    """How many parameters a cell has."""
    return sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(params))


# --------------------------------------------------------------------------------------------------------------- traced


def _loss_and_gradient(problem: Any, like: Any, point: Float[Array, " parameters"], examples: Any) -> Any:
    """Of one cell with parameters `like`, at a point."""

    def loss(point: Float[Array, " parameters"]) -> Array:
        found = mean_over_examples(problem.objective, _unflat(point, like), examples)
        if protocol.can_finish(problem):
            found = jnp.where(problem.done(like), 1.0, found)  # what is done has no more to gain
        return found

    return written_out(jax.value_and_grad(loss))(point)


def _unflat(vector: Float[Array, " parameters"], like: Any) -> Any:
    """The vector of one cell as parameters of these shapes."""
    leaves, treedef = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    return jax.tree.unflatten(
        treedef, [part.reshape(leaf.shape) for part, leaf in zip(jnp.split(vector, ends), leaves, strict=True)]
    )


def _doubled(tree: Any) -> Any:
    """Its numbers in double precision."""

    def double(leaf: Any) -> Any:
        return leaf.astype(jnp.float64) if jnp.issubdtype(jnp.result_type(leaf), jnp.floating) else leaf

    return jax.tree.map(double, tree)


def exact_gradients(
    points: Float[Array, "slots parameters"],
    cells: Int[Array, " slots"],
    blocks: Int[Array, ""],
    runs: Run,
    states: State,
) -> tuple[Float[Array, " slots"], Float[Array, "slots parameters"]]:
    """Losses and gradients of these cells at these points, on the problem of their last step; zeros beyond so many
    blocks of `LANES` slots. A cell's bits do not depend on its slot, nor on how many are asked for."""
    lanes = min(LANES, len(points))
    problems = problems_at(jnp.asarray(runs.steps - 1), states.problem, runs.steps)

    def block(index: Int[Array, ""], found: tuple[Array, Array]) -> tuple[Array, Array]:
        own = jax.lax.dynamic_slice_in_dim(cells, index * lanes, lanes)
        problem, like = jax.tree.map(lambda leaf: leaf[own], (problems, states.params))
        at = jax.lax.dynamic_slice_in_dim(points, index * lanes, lanes)
        new = jax.vmap(partial(_loss_and_gradient, examples=None))(_doubled(problem), like, at)
        put = partial(jax.lax.dynamic_update_slice_in_dim, start_index=index * lanes, axis=0)
        return jax.tree.map(put, found, new)

    return jax.lax.fori_loop(0, blocks, block, (jnp.zeros(len(points), points.dtype), jnp.zeros_like(points)))


def sampled_gradients(
    points: Float[Array, "cells halves parameters"],
    batches: Int[Array, ""],
    evaluation_keys: Array,
    runs: Run,
    states: State,
) -> tuple[Float[Array, "cells halves"], Float[Array, "cells halves parameters"]]:
    """Losses and gradients of all cells on each half of a sample, of so many batches, that neither training nor the
    records have seen; on the problem of their last step."""
    problems = problems_at(jnp.asarray(runs.steps - 1), states.problem, runs.steps)

    def half(own: tuple[Array, Array]) -> tuple[Array, Array]:
        first, points = own

        def add(index: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
            sample_keys = jax.vmap(partial(fold_in, first + index))(evaluation_keys)
            examples = draw_examples(problems, sample_keys, runs.batch, jnp.size(runs.seed))
            found = jax.vmap(_loss_and_gradient)(problems, states.params, points, examples)
            return jax.tree.map(jnp.add, sums, found)

        nothing = (jnp.zeros(len(points), points.dtype), jnp.zeros_like(points))
        total = jax.lax.fori_loop(0, batches, add, nothing)
        return jax.tree.map(lambda leaf: leaf / batches, total)

    found = jax.lax.map(half, (1 + 2**16 * jnp.arange(2), jnp.moveaxis(points, 1, 0)))
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), found)


def lowered(row_keys: Keys, runs: Run, states: State, device: jax.Device) -> jax.stages.Lowered:
    """The program for a batch of such cells, still to be compiled; it takes what it knows of them leaf by leaf."""
    exact, cells, numbers = is_exact(one_cell(runs)), jnp.size(runs.seed), _size(states.params)
    double = exact or runs.double
    leaves, treedef = jax.tree.flatten(_known(row_keys, runs, states, exact))
    function = exact_gradients if exact else sampled_gradients

    def gradients(points: Array, *rest: Any) -> tuple[Array, Array]:
        asked, known = rest[: -len(leaves)], rest[-len(leaves) :]
        return function(points, *asked, *jax.tree.unflatten(treedef, known))

    with jax.enable_x64(double):
        dtype = np.float64 if double else np.float32
        asked: tuple[Any, ...] = np.zeros((cells, 2, numbers), dtype), np.int32(1)
        if exact:
            slots = min(SLOTS, cells)
            asked = np.zeros((slots, numbers), dtype), np.zeros(slots, np.int32), np.int32(1)
        return jax.jit(gradients).lower(*on((*asked, *leaves), device))


def _known(row_keys: Keys, runs: Run, states: State, exact: bool) -> Any:
    """What stays the same from call to call."""
    known = runs, states._replace(optimizer=None)
    return known if exact else (row_keys.evaluation, *known)


# ------------------------------------------------------------------------------------------------------------- the host


class Gradients:
    """Those of the cells of one device as they are now, for descents: one a cell, or one on each half of its sample."""

    def __init__(self, compiled: jax.stages.Compiled, row_keys: Keys, runs: Run, states: State) -> None:
        self._compiled, self._exact = compiled, is_exact(one_cell(runs))
        self._known = jax.tree.leaves(_known(row_keys, runs, states, self._exact))
        self._double = self._exact or runs.double
        self._cells = jnp.size(runs.seed)
        self.descents = self._cells * (1 if self._exact else 2)

    def ask(
        self, batches: int, which: Int[np.ndarray, " asked"], points: Float[np.ndarray, "asked parameters"]
    ) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
        """Losses and gradients of these descents, cell by cell and half by half, at these points; on so many batches.

        Returns at once; what it returns waits for them.
        """
        with jax.enable_x64(self._double):
            return self._exactly(which, points) if self._exact else self._on_samples(batches, which, points)

    def _exactly(self, cells: np.ndarray, points: np.ndarray) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
        slots, calls = min(SLOTS, self._cells), []
        for start in range(0, len(cells), slots):
            some = slice(start, start + slots)
            count = len(cells[some])
            blocks = np.int32(-(-count // min(LANES, slots)))
            whole = count == slots
            asked = (points[some], cells[some].astype(np.int32)) if whole else _filled(points[some], cells[some], slots)
            calls.append((count, self._compiled(*asked, blocks, *self._known)))

        def wait() -> tuple[np.ndarray, np.ndarray]:
            found = [[np.asarray(values)[:count] for values in call] for count, call in calls]
            losses, slopes = (np.concatenate(parts) for parts in zip(*found, strict=True))
            return losses, slopes

        return wait

    def _on_samples(
        self, batches: int, which: np.ndarray, points: np.ndarray
    ) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
        at = np.zeros((self.descents, points.shape[1]), np.float64 if self._double else np.float32)
        at[which] = points
        found = self._compiled(at.reshape(-1, 2, at.shape[1]), np.int32(batches), *self._known)

        def wait() -> tuple[np.ndarray, np.ndarray]:
            losses, slopes = (np.asarray(values) for values in found)
            return losses.reshape(-1)[which], slopes.reshape(at.shape)[which]

        return wait


def _filled(points: np.ndarray, cells: np.ndarray, slots: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and cells in so many slots; the last ones are empty."""
    at, of = np.zeros((slots, points.shape[1])), np.zeros(slots, np.int32)
    at[: len(points)], of[: len(cells)] = points, cells
    return at, of
