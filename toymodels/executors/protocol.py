"""What an executor is, what it is given, and what it reports."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from toymodels.engine.plan import Group, Plan
from toymodels.store import Batch
from toymodels.train import Run

Runs = list[list[Run]]
"""A batch to train: a row for each (seed, stream)."""
Measure = Callable[[], Batch]
"""Measures what the trained cells of a batch have still to gain, and gives their results; any thread may call it."""
Train = Callable[[Group, Runs, Callable[[int], None]], Measure]
"""(group, batch, progress) trains it on the first local devices; `progress` gets the steps just done."""


class ExecutorError(ValueError):
    """Work that an executor cannot do; the message is one sentence."""


class Events:
    """What a sweep reports while it runs; the default listens to nothing."""

    def stepped(self, group: Group, steps: int) -> None:
        """A batch is so many steps further; those of batches that another process has stored count too."""

    def committed(self, group: Group, seconds: Mapping[str, float]) -> None:
        """A batch is kept; `seconds` it took to `compile`, to `train`, to `measure` what is still to gain and to
        `store`; the last two may have run beside the training of the next."""


@runtime_checkable
class Kept(Protocol):
    """Where batches are kept: a pool, or memory."""

    def add(self, batch: Batch) -> None: ...
    def cells(self, groups: Iterable[str]) -> Mapping[str, Any]: ...
    def width(self, group: str) -> int | None: ...


@runtime_checkable
class Executor(Protocol):
    @property
    def devices(self) -> int | None:
        """How many devices a batch is planned for; None for all that this process has."""

    def expect(self, todos: Sequence[Plan]) -> None:
        """Told what will be run, in its order, so that it can be made ready meanwhile."""

    def prepare(self) -> None:
        """Called before anything is written; ExecutorError if nothing can be trained."""

    def close(self) -> None:
        """Let go of what `prepare` has got hold of."""

    def run(self, todo: Plan, kept: Kept, events: Events, train: Train) -> None:
        """Train the batches of a plan and keep each as it ends; ExecutorError if one of them cannot be trained."""
