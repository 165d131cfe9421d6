"""Training in this process, on its local devices."""

import time
from collections.abc import Callable
from functools import partial

from toymodels.engine.plan import Group, Plan
from toymodels.engine.programs import compile_seconds
from toymodels.executors.protocol import Events, Kept, Runs, Train
from toymodels.executors.turns import Turns
from toymodels.store import Batch


class Here:
    """This process and all of its devices (see `use_cores`)."""

    devices = None

    def prepare(self) -> None: ...
    def close(self) -> None: ...

    def run(self, todo: Plan, kept: Kept, events: Events, train: Train) -> None:
        # One batch at a time: two programs at once in one process can deadlock XLA's CPU thread pool.
        with Turns(todo, kept, events) as turns:
            while turn := turns.wait():
                batch, seconds = timed(train, turn.group, turn.runs, partial(events.stepped, turn.group))
                start = time.perf_counter()
                kept.add(batch)
                events.committed(turn.group, seconds | {"store": time.perf_counter() - start})
                turns.done(turn)


def timed(train: Train, group: Group, runs: Runs, progress: Callable[[int], None]) -> tuple[Batch, dict[str, float]]:
    """A batch, trained, and the seconds that it took to `compile` and to `train`."""
    compiling, start = compile_seconds(), time.perf_counter()
    batch = train(group, runs, progress)
    compiling, trained = compile_seconds() - compiling, time.perf_counter() - start
    return batch, {"compile": compiling, "train": trained - compiling}
