"""Training in this process, on its local devices."""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import jax

from toymodels.engine.batch import compile_batch
from toymodels.engine.devices import crowded
from toymodels.engine.plan import Group, Plan, Shape
from toymodels.executors.protocol import Events, Kept, Measure, Train
from toymodels.executors.turns import Turn, Turns


class Here:
    """This process and all of its devices (see `use_cores`).

    Three things at a time: a batch is trained, the one before it is measured and stored, and the program of the next
    group is compiled.
    """

    devices = None

    def __init__(self) -> None:
        self._programs = _Programs()

    def expect(self, todos: Sequence[Plan]) -> None:
        self._programs.expect(todos)

    def prepare(self) -> None: ...

    def close(self) -> None:
        self._programs.close()
        self._programs = _Programs()  # the next sweep starts anew

    def run(self, todo: Plan, kept: Kept, events: Events, train: Train) -> None:
        # One batch in training at a time: two of them in one process can deadlock XLA's CPU thread pool.
        self.expect([todo])
        with Turns(todo, kept, events) as turns, ThreadPoolExecutor(1) as beside:
            before: Future[None] | None = None
            while turn := turns.wait():
                start = time.perf_counter()
                self._programs.wait(turn.group)
                compiled = time.perf_counter()
                measure = train(turn.group, turn.runs, partial(events.stepped, turn.group))
                seconds = {"compile": compiled - start, "train": time.perf_counter() - compiled}
                if before:
                    before.result()
                before = beside.submit(_keep, turn, measure, seconds, turns, kept, events)
            if before:
                before.result()


def _keep(turn: Turn, measure: Measure, seconds: Mapping[str, float], turns: Turns, kept: Kept, events: Events) -> None:
    """Measure what a trained batch has still to gain, and store it."""
    start = time.perf_counter()
    batch = measure()
    measured = time.perf_counter()
    kept.add(batch)
    stored = time.perf_counter()
    events.committed(turn.group, {**seconds, "measure": measured - start, "store": stored - measured})
    turns.done(turn)


Kind = tuple[str, Shape]
"""The address of a group, and how its batches are laid out: a program for each."""


class _Programs:
    """Those of the groups that are expected: while the batches of one are trained, that of the next is compiled."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._expected: dict[Kind, Group] = {}
        self._begun: dict[Kind, Future[None]] = {}
        self._next: Kind | None = None
        """What has been begun and not been waited for."""

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def expect(self, todos: Iterable[Plan]) -> None:
        for group in (group for todo in todos for group in todo.groups if group.batches):
            if _kind(group) not in self._begun:
                self._expected.setdefault(_kind(group), group)
        if self._next is None:
            self._begin()

    def wait(self, group: Group) -> None:
        """Until the program of this group, one of those expected, is compiled; then the next is begun."""
        kind = _kind(group)
        if kind in self._expected:  # those before it have been trained elsewhere
            self._expected = {kind: self._expected.pop(kind)} | self._expected
            self._begin()
        if kind == self._next:
            self._begin()
        self._begun[kind].result()

    def _begin(self) -> None:
        self._next = next(iter(self._expected), None)
        if self._next is not None:
            self._begun[self._next] = self._thread.submit(_compile, self._expected.pop(self._next))


def _kind(group: Group) -> Kind:
    return group.name, group.shape


def _compile(group: Group) -> None:
    if not crowded():  # else the batch itself makes room first
        compile_batch(group.batches[0], jax.local_devices()[: group.shape.devices])
