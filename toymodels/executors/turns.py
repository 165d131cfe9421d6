"""The batches of a plan, each handed to one of the processes that train on a pool at the same time."""

import threading
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple

from toymodels import config as configs
from toymodels.engine.plan import Group, Plan
from toymodels.executors.claims import Claims
from toymodels.executors.protocol import Events, Kept, Runs
from toymodels.store import Pool
from toymodels.train import NUMERICS

POLL_SECONDS = 0.3
"""How often batches that others train are looked after."""


class Turn(NamedTuple):
    """A batch that it is this process's turn to train; its cells are claimed until `Turns.done`."""

    group: Group
    runs: Runs
    digests: frozenset[str]


class Turns:
    """Hands out the batches of a plan one by one.

    Those that another living process trains come last: if they have been stored by then, nothing is left to do, and if
    their process has died they are trained here. Just before a batch is handed out, the pool is asked whether all of
    its cells have meanwhile been stored.
    """

    def __init__(self, todo: Plan, kept: Kept, events: Events) -> None:
        self._pool = kept if isinstance(kept, Pool) else None
        self._events = events
        self._new = ((group, runs) for group in todo.groups for runs in group.batches)
        self._elsewhere: deque[tuple[Group, Runs]] = deque()
        self._others: dict[str, _Others] = {}
        self._lock = threading.RLock()

    def __enter__(self) -> "Turns":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for others in self._others.values():
            others.claims.close()

    def next(self) -> Turn | None:
        """A batch that no living process trains, claimed; None if there is none (see `is_waiting`)."""
        for group, runs in self._new:
            if turn := self._turn(group, runs):
                return turn
        for _ in range(len(self._elsewhere)):
            if turn := self._turn(*self._elsewhere.popleft()):
                return turn
        return None

    @property
    def is_waiting(self) -> bool:
        """Whether batches are left that others are training, after `next` has found none to train here."""
        return bool(self._elsewhere)

    def wait(self) -> Turn | None:
        """The next batch, once it is clear whose it is; None at the end."""
        while not (turn := self.next()) and self.is_waiting:
            time.sleep(POLL_SECONDS)
        return turn

    def is_stored(self, turn: Turn) -> bool:
        """Whether its cells are in the pool, as this process sees it now."""
        return self._others[turn.group.name].have_stored(turn.digests)

    def done(self, turn: Turn) -> None:
        """The batch is kept, or given up; any thread may say so."""
        with self._lock:
            if turn.group.name in self._others:
                self._others[turn.group.name].claims.release(turn.digests)

    def _turn(self, group: Group, runs: Runs) -> Turn | None:
        turn = Turn(group, runs, frozenset(configs.digest(run, NUMERICS) for row in runs for run in row))
        if self._pool is None:
            return turn
        self._pool.mark()  # a pool that has vanished meanwhile is not made again
        with self._lock:
            if group.name not in self._others:
                self._others[group.name] = _Others(self._pool, group.name)
            others = self._others[group.name]
            if not others.claims.take(turn.digests):
                self._elsewhere.append((group, runs))
            elif others.have_stored(turn.digests):
                self.done(turn)
                self._events.stepped(group, runs[0][0].steps)
            else:
                return turn
        return None


class _Others:
    """What becomes of the cells of a group elsewhere: which are claimed, and which have been stored."""

    def __init__(self, pool: Pool, group: str) -> None:
        self._pool, self._group = pool, group
        self.claims = Claims(pool.claims(group))
        batches = pool.batches(group)
        self._files = {batch.path.name for batch in batches}
        self._digests = {digest for batch in batches for digest in batch.digests}

    def have_stored(self, digests: Iterable[str]) -> bool:
        for batch in self._pool.arrived(self._group, self._files):
            self._digests |= set(batch.digests)
        return self._digests.issuperset(digests)
