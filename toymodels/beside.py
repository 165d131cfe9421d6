"""Figures and findings of studies, made by a process beside the one that trains."""

import contextlib
import multiprocessing
import signal
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import jax

from toymodels.failures import Failed
from toymodels.stopping import unheard


class Drawn(NamedTuple):
    """What became of a study."""

    paths: Sequence[Path]
    """Of the figures that were not current."""
    findings: Sequence[Mapping[str, Any]]
    failed: Sequence[Failed]


class Draughtsman:
    """Draws and judges studies in the order in which they are asked for, in a process of its own.

    with Draughtsman() as beside:
        beside.ask("intro", scale="tiny")   # as `lab.study` takes them; its cells are stored
        ...
        drawn = beside.answer()
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # a process that runs JAX is not forked
        self._pipe, theirs = context.Pipe()
        cache = jax.config.values["jax_compilation_cache_dir"]
        self._process = context.Process(target=_work, args=(theirs, cache), daemon=True)
        with unheard(signal.SIGINT):  # of a Ctrl-C this process tells, and ends that one
            self._process.start()
        theirs.close()

    def __enter__(self) -> "Draughtsman":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        if kind is not None:
            self._process.terminate()
        self._process.join()

    def ask(self, name: str, *overrides: str, **settings: Any) -> None:
        self._pipe.send((name, overrides, settings))

    def answer(self) -> Drawn:
        """Of the first study that has not been answered; what went wrong with it is raised here."""
        try:
            found = self._pipe.recv()
        except EOFError:
            raise RuntimeError("the process that draws has ended; the same command draws what is missing") from None
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, Drawn)
        return found


def _work(pipe: Connection, cache: str | None) -> None:
    import matplotlib as mpl

    from toymodels import lab
    from toymodels.engine.devices import keep_programs

    mpl.use("agg")
    keep_programs(cache)
    while True:
        try:
            name, overrides, settings = pipe.recv()
        except EOFError:  # nobody is left who asks
            return
        try:
            study = lab.study(name, *overrides, **settings)
            failed: list[Failed] = []
            paths = list(study.write_figures(failed=failed))
            found = study.verdicts(failed) if study.experiment.findings else []
            answer: Drawn | Exception = Drawn(paths, found, failed)
        except Exception as error:
            answer = error
        with contextlib.suppress(BrokenPipeError):  # as above
            pipe.send(answer)
