"""Compiled programs: made the first time that a kind of batch is met, kept, forgotten where a process is crowded."""

import gc
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from toymodels.engine import gradients
from toymodels.engine.devices import crowded, on, programs_for_any_device
from toymodels.engine.loop import Keys, State, advance_batch, initialise_batch
from toymodels.train import Run


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
    """What `engine.gradients.Gradients` calls."""
    seconds: list[float]


_compiling = threading.Lock()
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

    Of keys and runs only shapes matter. One executable a device, and not one that spans them: partitioned programs go
    through other passes of the compiler and round differently from a program of one device. Threads that ask for the
    same program wait for the one that compiles it.
    """
    leaves, treedef = jax.tree.flatten(runs)
    key = (treedef, tuple((leaf.shape, leaf.dtype.name) for leaf in leaves))
    made = _programs.get(key)
    if made is not None and all(device in made.gradients for device in devices):
        return made
    start = time.perf_counter()
    # Accelerators would round the factors of a product to 10 bits.
    with _compiling, jax.default_matmul_precision("highest"):
        if key not in _programs:
            make_room()
            _programs[key] = Program(jax.jit(initialise_batch).lower(row_keys, runs).compile(), {}, {}, [])
        made = _programs[key]
        missing = [device for device in devices if device not in made.gradients]
        if missing:
            # What is kept in a folder is compiled for the first, and read by the others.
            kept = jax.config.jax_compilation_cache_dir is not None  # type: ignore[attr-defined]
            first = 1 if kept and not made.advance else len(missing)
            states = jax.eval_shape(initialise_batch, row_keys, runs)
            with programs_for_any_device():
                for some in filter(None, (missing[:first], missing[first:])):
                    _compile(made, row_keys, runs, states, some)
            made.seconds.append(time.perf_counter() - start)
    return made


def _compile(made: Program, row_keys: Keys, runs: Run, states: State, devices: Sequence[jax.Device]) -> None:
    """What each of these devices is to run, all at the same time."""
    bounds = jax.ShapeDtypeStruct((chunk_length(runs) + 1,), np.int32)
    code = jax.jit(advance_batch, donate_argnums=3)
    lowered = [code.lower(*on((bounds, row_keys, runs, states), device)) for device in devices]
    lowered += [gradients.lowered(row_keys, runs, states, device) for device in devices]
    with ThreadPoolExecutor(len(lowered)) as pool:
        compiled = list(pool.map(jax.stages.Lowered.compile, lowered))
    made.advance.update(zip(devices, compiled[: len(devices)], strict=True))
    made.gradients.update(zip(devices, compiled[len(devices) :], strict=True))


def programs_compiled() -> int:
    """How many training programs this process has compiled, counted once for all devices."""
    return len(_programs) + len(_forgotten)


def compile_seconds() -> float:
    """Time this process has spent compiling training programs."""
    kept = [each.seconds for each in _programs.values()]
    return math.fsum(seconds for each in (*kept, *_forgotten) for seconds in each)
