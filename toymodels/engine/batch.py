"""One batch, on the host: rows shared out to devices, stretches of steps sent to them, results gathered."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from toymodels.analysis.convergence import SMALL
from toymodels.arrays import Array, Float, Int
from toymodels.config import stack
from toymodels.engine import remaining
from toymodels.engine.gradients import Gradients, flat
from toymodels.engine.loop import make_keys
from toymodels.engine.names import of_parameters
from toymodels.engine.programs import chunk_length, program
from toymodels.settings import standard
from toymodels.train import Run


class Results(NamedTuple):
    """What a batch gives: arrays with a leading axis of cells, in the order they were asked for."""

    steps: Int[np.ndarray, " steps"]
    snapshot_steps: Int[np.ndarray, " snapshots"]
    scalars: dict[str, np.ndarray]
    """(cells, steps): `objective`, the loss on the evaluation examples, and the problem's metrics."""
    params: dict[str, np.ndarray]
    """(cells, snapshots, ...)"""
    end: dict[str, np.ndarray]
    """(cells,): what is still to gain at the end, see `engine.remaining.measure`."""


def train_batch(
    grid: Sequence[Sequence[Run]],
    progress: Callable[[int], None] = lambda steps: None,
    devices: Sequence[jax.Device] | None = None,
) -> Results:
    """Train a rectangular batch: one row a (seed, stream), one treedef; `progress` gets the steps just done.

    `devices` (by default the first one) share the rows equally. A cell's bits depend on the number of cells of a
    device (to rounding), and on nothing else.
    """
    return trained_batch(grid, progress, devices)()


def trained_batch(
    grid: Sequence[Sequence[Run]],
    progress: Callable[[int], None] = lambda steps: None,
    devices: Sequence[jax.Device] | None = None,
) -> Callable[[], Results]:
    """The same, but for what is still to gain: what is returned measures it, and gives the results.

    It may do so in another thread, while the next batch is trained.
    """
    with standard(grid[0][0].double):
        return _trained(grid, progress, devices or jax.local_devices()[:1])


def compile_batch(grid: Sequence[Sequence[Run]], devices: Sequence[jax.Device]) -> None:
    """Compile what `trained_batch` needs for such a batch, where it is not compiled yet; runs nothing."""
    with standard(grid[0][0].double):
        runs = _stacked(grid[: len(grid) // len(devices)])
        program(jax.eval_shape(make_keys, runs.seed[:, 0], runs.stream[:, 0]), runs, devices)


def _trained(
    grid: Sequence[Sequence[Run]], progress: Callable[[int], None], devices: Sequence[jax.Device]
) -> Callable[[], Results]:
    first = grid[0][0]
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
    curves = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *scalars)

    def ended() -> Results:
        with standard(first.double):
            return Results(
                first.record.loss_steps(first.steps),
                first.record.snapshot_steps(first.steps),
                curves,
                _named(jax.tree.map(lambda *each: np.stack(each, axis=1), *snapshots)),
                _end(grid, shares, curves["objective"]),
            )

    return ended


def _stacked(grid: Sequence[Sequence[Run]]) -> Any:
    """The runs of a grid as one, its leaves (rows, cells)."""
    return jax.tree.map(lambda *each: np.stack(each), *[stack(row, grid[0][0].double) for row in grid])


class _Share:
    """A device's rows of a batch, in training."""

    def __init__(self, grid: Sequence[Sequence[Run]], device: jax.Device, devices: Sequence[jax.Device]) -> None:
        runs = _stacked(grid)
        row_keys = make_keys(runs.seed[:, 0], runs.stream[:, 0])
        compiled = program(row_keys, runs, devices)
        self.device, self._advance, self._gradients = device, compiled.advance[device], compiled.gradients[device]
        placed = jax.device_put((row_keys, runs, compiled.initialise(row_keys, runs)), device)
        self._keys, self._runs, self.states = placed

    def advance(self, bounds: Int[np.ndarray, " chunk"]) -> dict[str, Array]:
        bounds = jax.device_put(bounds, self.device)
        self.states, records = self._advance(bounds, self._keys, self._runs, self.states)
        return records

    def gradients(self) -> Gradients:
        """Those of its cells as they are now, at other parameters."""
        return Gradients(self._gradients, self._keys, self._runs, self.states)


def _end(
    grid: Sequence[Sequence[Run]], shares: Sequence[_Share], loss: Float[np.ndarray, "cells steps"]
) -> dict[str, np.ndarray]:
    """What each cell has still to gain, see `remaining.measure`; all devices work at the same time.

    Where an optimizer rests off the bottom it is not a number, with no bound above: the curve decides.
    """
    all_gradients = [share.gradients() for share in shares]
    descents = all_gradients[0].descents

    def gradients(batches: int, which: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`which` ascends, so that what a share is asked for lies together."""
        cuts = np.searchsorted(which, descents * np.arange(len(shares) + 1))
        asked = [
            of.ask(batches, which[start:end] - descents * k, points[start:end])
            for k, (of, start, end) in enumerate(zip(all_gradients, cuts, cuts[1:], strict=False))
            if start < end
        ]
        found = zip(*(wait() for wait in asked), strict=True)
        losses, slopes = (np.concatenate(parts, dtype=np.float64) for parts in found)
        return losses, slopes

    run, x = grid[0][0], np.concatenate([flat(share.states.params) for share in shares])
    found = remaining.measure(gradients, x, run, np.abs(loss[:, -1]) <= SMALL * np.abs(loss[:, 0]))
    off = np.array([getattr(each.optimizer, "off_bottom", False) for row in grid for each in row])
    found |= {name: np.where(off, value, found[name]) for name, value in (("gain_low", np.nan), ("gain_high", np.inf))}
    return {name: values.astype(np.float32) for name, values in found.items() if name != "bottom"}


def _joined(parts: Sequence[Any]) -> Any:
    """Trees of arrays of different devices, end to end, on the host."""
    return jax.tree.map(lambda *arrays: np.concatenate([np.asarray(array) for array in arrays]), *parts)


def _named(params: Any) -> dict[str, np.ndarray]:
    """The arrays of nested parameters by their dotted path."""
    return dict(zip(of_parameters(params), jax.tree.leaves(params), strict=True))


def _chunks(run: Run) -> Iterator[tuple[Int[np.ndarray, " chunk"], int, bool]]:
    """Cut the record steps into host-side pieces of one length: (bounds, how many are real, ends in a snapshot).

    Pieces end at snapshots, and otherwise so that there are ten or more; the last bound is repeated to fill a piece.
    """
    length = chunk_length(run)
    snapshots = set(run.record.snapshot_steps(run.steps).tolist())
    piece: list[int] = []
    start = 0
    for step in run.record.loss_steps(run.steps).tolist():
        piece.append(step)
        if step in snapshots or len(piece) == length:
            fill = [step] * (length - len(piece))
            yield np.asarray([start, *piece, *fill], np.int32), len(piece), step in snapshots
            start, piece = step, []
