"""The laboratory: run, read, draw, judge, replicate - what the command line, a notebook and a report call.

    study = lab.run("intro")             # trains what is missing
    study.read("exact_losses")           # a reading, as a labelled Dataset
    study.draw("geometry_by_sparsity")   # a matplotlib figure
    study.judge()                        # findings that decide themselves

What is current is decided by addresses (see `readings`), never by the times of files: nothing is computed twice.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr
from matplotlib.figure import Figure

from toymodels import draw as drawing
from toymodels import findings, readings
from toymodels.asked import asked_otherwise, tag
from toymodels.bundled import bundled
from toymodels.engine.memory import check_room
from toymodels.engine.plan import Plan, plan
from toymodels.engine.programs import make_room
from toymodels.executors import Events, Executor, Here
from toymodels.experiment import SCALES, Draw, Experiment, Map, Scale, Swept, caption, experiment_files, find, uses  # noqa: F401
from toymodels.failures import Failed, Missing, checked, noted
from toymodels.files import appearing, check_writable, write_text
from toymodels.findings import Finding
from toymodels.overrides import Effect, traced
from toymodels.progress import listener
from toymodels.results import census, open_view
from toymodels.store import Grid, Pool, StoredBatch, StoreError, View
from toymodels.sweep import Sweep, sweep


@dataclass(frozen=True)
class Study:
    """An experiment at a scale, with overrides, on its own seeds or on others: all that can be done with it."""

    experiment: Experiment
    sweeps: Mapping[str, Sweep]
    pool: Pool
    prefix: str
    """Folder of the views in the pool: the experiment's name, after its scale and offset where these are not usual,
    and before what else is asked for by overrides."""
    figures: Path
    """Folder of figures and findings."""
    effects: Sequence[Effect] = ()
    """What each override does."""
    scale: Scale = "default"

    @property
    def name(self) -> str:
        return self.experiment.name

    # ------------------------------------------------------------------------------------------------------ training

    def view(self, sweep: str) -> View:
        return self.pool.view(f"{self.prefix}/{sweep}")

    def plans(
        self, shard: tuple[int, int] = (0, 1), only: Sequence[str] = (), devices: int | None = None
    ) -> dict[str, Plan]:
        """What is left to train of each sweep, for so many devices; a cell that two ask for is in the first one's."""
        found, claimed = {}, set[str]()
        for name, each in self.sweeps.items():
            if not only or name in only:
                if self._recalled(name) and not self.pool.cells(each.groups).missing(each.digests):
                    count = len(set(each.digests))
                    found[name] = Plan([], count, count, 0)
                else:
                    found[name] = plan(each.runs(), self.pool, shard, devices, claimed)
                    check_room(found[name], self.pool.path)
                claimed |= set(each.digests)
        return found

    def _labels(self, name: str) -> Grid | None:
        """The labels of a sweep as they are stored; None if there are none, or they are damaged."""
        try:
            return self.view(name).read()
        except StoreError:
            return None

    def _recalled(self, name: str) -> bool:
        """Whether the cells of a sweep are known from its labels, without being worked out."""
        kept = self._labels(name)
        return kept is not None and self.sweeps[name].recall(kept)

    def train(
        self,
        shard: tuple[int, int] = (0, 1),
        plans: Mapping[str, Plan] | None = None,
        listen: Callable[[str], Events] | None = None,
        executor: Executor | None = None,
    ) -> "Study":
        """Train what is missing; `listen` gives each sweep its listener, by default one that tells a notebook how far
        training is. `plans` are for the executor's devices."""
        executor = executor or Here()
        plans = plans or self.plans(shard, devices=executor.devices)
        if any(todo.programs for todo in plans.values()):
            executor.prepare()
            executor.expect(list(plans.values()))
        for name, todo in plans.items():
            events = listen(name) if listen else listener(name, todo.steps)
            sweep(self.sweeps[name], self.view(name), shard=shard, events=events, todo=todo, executor=executor)
        for made in ("_swept", "_read", "_unread", "_addresses"):
            getattr(self, made).clear()
        return self

    # ------------------------------------------------------------------------------------------------------- reading

    @cached_property
    def _swept(self) -> dict[str, Swept]:
        return {}

    @cached_property
    def _addresses(self) -> dict[tuple[str, bool], str]:
        return {}

    @cached_property
    def _unread(self) -> dict[str, Exception]:
        return {}

    @cached_property
    def _read(self) -> dict[str, xr.Dataset]:
        return {}

    def swept(self, name: str) -> Swept:
        """A sweep with its results; Missing if some are not stored."""
        if name not in self._swept:
            self._batches(name)
            what, view = self.sweeps[name], self.view(name)
            kept, grid = self._labels(name), what.grid()
            if kept is None or kept.digests != grid.digests or kept.axes != json.loads(json.dumps(grid.axes)):
                view.write(grid)  # others may have trained its cells
            self._swept[name] = Swept(what, open_view(view))
        return self._swept[name]

    def _batches(self, name: str) -> list[StoredBatch]:
        """The batches that hold the cells of a sweep; Missing if there are not all of them."""
        what = self.sweeps[name]
        self._recalled(name)
        cells = self.pool.cells(what.groups)
        self.pool.check_whole()
        if missing := cells.missing(what.digests):
            count = len(what.digests)
            hint = asked_otherwise(self.pool.views(), self.prefix, self.name)
            raise Missing(f"{name}: {missing} of {count} cells are not stored; `toymodels run` trains them{hint}")
        return cells.holding(what.digests)

    def address(self, name: str, asked: bool = False) -> str:
        """The address of a sweep's results, or of a reading; Missing if it is not trained.

        The address of what is `asked` for leaves out what the cells contain: it is known before they are trained.
        """
        if (name, asked) not in self._addresses:
            self._addresses[name, asked] = self._found_address(name, asked)
        return self._addresses[name, asked]

    def _found_address(self, name: str, asked: bool) -> str:
        if name in self.sweeps:
            contents = () if asked else (batch.contents for batch in self._batches(name))
            return readings.sweep_address(self.sweeps[name], contents)
        return self._address_of(self.experiment.reading(name), asked)

    def _address_of(self, function: Callable[..., Any], asked: bool = False) -> str:
        return readings.address(function, {name: self.address(name, asked) for name in uses(function)})

    def read(self, name: str) -> xr.Dataset:
        """A reading: as it is stored, or computed now and stored. ValueError if there is none of this name."""
        if name in self._unread:
            raise self._unread[name]
        if name not in self._read:
            function = self.experiment.reading(name)
            path = self.pool.path / "readings" / self.name / f"{name}-{self.address(name)[:16]}.nc"
            data = readings.kept(path)
            if data is None:
                check_writable(path.parent)
                readings.keep(path, self._computed(name, function))
                data = readings.kept(path)  # as it will be read from now on, to the last bit and type
                assert data is not None
            self._read[name] = data
        return self._read[name]

    def _computed(self, name: str, function: Callable[..., Any]) -> xr.Dataset:
        make_room()
        try:
            return checked(function(*(self._argument(used) for used in uses(function))), xr.Dataset, function)
        except Exception as error:
            self._unread[name] = error  # several figures may use it: it fails once
            if isinstance(error, ModuleNotFoundError):
                self.experiment.check_extra()
            raise

    def _argument(self, name: str) -> Any:
        return self.swept(name) if name in self.sweeps else self.read(name)

    def _made(self, function: Callable[..., Any]) -> Any:
        return function(*(self._argument(name) for name in uses(function)))

    # ------------------------------------------------------------------------------------------------------- drawing

    def draw(self, name: str) -> Figure:
        """A figure of this name, in the project's style."""
        with drawing.style():
            return checked(self._made(self.experiment.figure(name)), Figure, self.experiment.figure(name))

    def map(self, name: str) -> Map:
        """A plane to point at, of this name."""
        function = self.experiment.map(name)
        return checked(self._made(function), Map, function)

    def caption(self, function: Draw) -> str:
        """What the figure shows and how its cells were trained, those behind its readings included."""
        return caption(function, {name: self.swept(name) for name in self._sweeps_of(function)})

    def _sweeps_of(self, function: Callable[..., Any]) -> list[str]:
        found: dict[str, None] = {}
        for name in uses(function):
            names = [name] if name in self.sweeps else self._sweeps_of(self.experiment.reading(name))
            found |= dict.fromkeys(names)
        return list(found)

    def write_figures(
        self,
        names: Iterable[str] = (),
        anew: bool = False,
        failed: list[Failed] | None = None,
        vector: str | None = None,
    ) -> Iterator[Path]:
        """Draw figures that are not current into the folder, captions beside them; yields what was written of them.

        With a list `failed`, a figure that cannot be drawn is appended to it, and the others are drawn. `vector`: "pdf"
        or "svg" for such files beside the PNGs that are drawn.
        """
        check_writable(self.figures)
        chosen = [self.experiment.figure(name) for name in names] or list(self.experiment.figures)
        for function in chosen:
            path, told = (self.figures / f"{function.__name__}.{kind}" for kind in ("png", "md"))
            mark = f"\n\n<!-- made from {self._address_of(function)} -->\n"
            if not anew and path.exists() and told.exists() and told.read_text().endswith(mark):
                continue
            drawn: list[Path] = []
            what = f"figure {function.__name__} cannot be drawn{self._here}"
            if path.exists():
                what += f" ({path} is older)"
            with noted(what, self.experiment.file, failed):
                kinds = ("png", vector) if vector else ("png",)
                for kind, content in zip(kinds, self.pictures(function.__name__, *kinds), strict=True):
                    with appearing(path.with_suffix(f".{kind}")) as partial:
                        partial.write_bytes(content)
                    drawn.append(path.with_suffix(f".{kind}"))
                write_text(told, self.caption(function) + mark)
            yield from drawn

    def pictures(self, name: str, *kinds: str) -> list[bytes]:
        """A figure of this name, drawn once, as files: "png", "svg" or "pdf"; the same bytes for the same figure."""
        from matplotlib import pyplot

        try:
            made = self.draw(name)
            with drawing.style():
                return [drawing.encoded(made, kind, salt=name) for kind in kinds]
        finally:
            pyplot.close("all")

    @property
    def _here(self) -> str:
        return " with these settings" if any(effect.changed for effect in self.effects) else ""

    # ------------------------------------------------------------------------------------------------------- judging

    @property
    def _findings_file(self) -> Path:
        return self.figures / "findings.json"

    def _brought(self) -> dict[str, Any] | None:
        """The findings of this question that come with the package, if any."""
        folder = bundled("figures")
        return findings.read(folder / self.prefix / self._findings_file.name) if folder else None

    def _findings_address(self, asked: bool = False) -> str:
        return readings.hashed([self._address_of(function, asked) for function in self.experiment.findings])

    def judge(self, failed: list[Failed] | None = None) -> list[Finding]:
        """All findings, decided now. With a list `failed`, a function that raises is appended to it, and ends there."""
        return [finding for _, finding in self._judged(failed)]

    def _judged(self, failed: list[Failed] | None) -> list[tuple[Callable[..., Any], Finding]]:
        found: list[tuple[Callable[..., Any], Finding]] = []
        for function in self.experiment.findings:
            what = f"findings of {function.__name__} cannot be judged{self._here}"
            with noted(what, self.experiment.file, failed):
                for finding in self._made(function):
                    findings.check_criterion(checked(finding, Finding, function)).to_dict()  # decides
                    found.append((function, finding))
        findings.check_unique([finding for _, finding in found])
        return found

    def _cells(self, function: Callable[..., Any]) -> dict[str, dict[str, int]]:
        """How the cells behind a figure or findings ended, sweep by sweep."""
        return {name: census(self.swept(name).data) for name in self._sweeps_of(function)}

    def _same_question(self, written: dict[str, Any] | None) -> list[dict[str, Any]] | None:
        """Findings that were written here, or come with the package, for the same question by the same code."""
        asked = self._findings_address(asked=True)
        for find_kept in (lambda: written, self._brought):  # in a checkout the first is often the second
            kept = find_kept()
            if kept is not None and kept.get("asked") == asked:
                return list(kept["findings"])
        return None

    def verdicts(self, failed: list[Failed] | None = None) -> list[dict[str, Any]]:
        """All findings as data: as they were written, where these are current; otherwise decided now and written.

        Where cells are not stored here, findings that were written for the same question by the same code still count:
        the package brings its own. Missing if there are none. With a list `failed`, functions that raise are appended
        to it; the findings of the others are written, and judged again by the next call.
        """
        written = findings.read(self._findings_file)
        untrained = all(self._labels(name) is None for name in self.sweeps)
        if untrained and (same := self._same_question(written)) is not None:
            return same  # and no cell has been worked out, which takes a second a thousand
        try:
            address = self._findings_address()
        except Missing:
            if (same := self._same_question(written)) is not None:
                return same
            raise
        if written is not None and written["address"] == address:
            return written["findings"]
        check_writable(self.figures)
        before = len(failed or ())
        found, asked = self._judged(failed), self._findings_address(asked=True)
        about: dict[str, Any] = {"asked": asked, "question": self.experiment.question, "source": self.experiment.source}
        missed = [str(each) for each in (failed or ())[before:]]
        if missed:
            address, about = "", about | {"asked": "", "failed": missed}
        cells = {function: self._cells(function) for function, _ in found}
        data = [finding.to_dict() | {"cells": cells[function]} for function, finding in found]
        write_text(self.figures / "findings.md", "\n\n".join([findings.markdown(data), *missed]) + "\n")
        findings.write(self._findings_file, self.name, address, data, **about)  # last: it says that both are current
        return data


def study(
    name: str | Experiment,
    *overrides: str,
    scale: Scale = "default",
    runs: str | Path = "runs",
    figures: str | Path | None = None,
    offset: int = 0,
) -> Study:
    """An experiment, by name or path, at a scale, with overrides as on the command line, on seeds moved by `offset`.

    Nothing is trained or written. ValueError for a name, a scale or an override that does not fit.
    """
    if scale not in SCALES:
        raise ValueError(f"{scale}: the scales are {', '.join(SCALES)}")
    experiment = find(name) if isinstance(name, str) else name
    plain = experiment.at(scale)
    sweeps, effects = traced(plain, overrides)
    asked = tag(plain, sweeps, effects)
    if offset:
        sweeps = {key: each.with_seeds_moved(offset) for key, each in sweeps.items()}
    moved = f"offset-{offset}" if offset else ""
    parts = [part for part in (scale if scale != "default" else "", moved, experiment.name, asked) if part]
    pool = Pool(runs)
    return Study(experiment, sweeps, pool, "/".join(parts), Path(figures or Path("figures", *parts)), effects, scale)


def run(name: str | Experiment, *overrides: str, executor: Executor | None = None, **settings: Any) -> Study:
    """`study(...)`, with all of its cells trained, here or by another executor."""
    return study(name, *overrides, **settings).train(executor=executor)


def read(name: str | Experiment, reading: str, **settings: Any) -> xr.Dataset:
    """A reading of an experiment, from the store."""
    return study(name, **settings).read(reading)


def draw(name: str | Experiment, figure: str, **settings: Any) -> Figure:
    """A figure of an experiment, from the store."""
    return study(name, **settings).draw(figure)


def judge(name: str | Experiment, **settings: Any) -> list[Finding]:
    """The findings of an experiment, from the store."""
    return study(name, **settings).judge()


# ---------------------------------------------------------------------------------------------------------- replicating

OFFSET = 5000
"""How far the seeds of a replication are moved, unless another number is asked for."""


class Repeated(NamedTuple):
    """A finding on the first seeds and on fresh ones."""

    experiment: str
    first: Mapping[str, Any]
    fresh: Mapping[str, Any] | None
    """None where the fresh seeds have no such finding."""

    @property
    def change(self) -> str:
        """What became of the verdict: "same", "changed" between holds and fails, "shifted" to or from undecided."""
        outcomes = {self.first["outcome"], self.fresh["outcome"] if self.fresh else "absent"}
        return "same" if len(outcomes) == 1 else "changed" if outcomes == {"holds", "fails"} else "shifted"


def replicate(
    name: str | Experiment,
    offset: int = OFFSET,
    train: Callable[[Study], Any] = Study.train,
    failed: list[Failed] | None = None,
    **settings: Any,
) -> list[Repeated]:
    """Retrain an experiment on seeds moved by `offset`, and hold every finding beside that of the first seeds.

    With a list `failed`, functions of findings that raise are appended to it and left out.
    """
    if offset < 1:
        raise ValueError(f"offset={offset}: seeds are moved by 1 or more")
    first, fresh = study(name, **settings), study(name, offset=offset, **settings)
    try:
        once = first.verdicts(failed)  # the package brings those of the first seeds
    except Missing:
        train(first)
        once = first.verdicts(failed)
    train(fresh)
    again = {each["id"]: each for each in fresh.verdicts(failed)}
    return [Repeated(first.name, each, again.get(each["id"])) for each in once]
