"""What the command line shows: plans, progress while it trains, where the time went, figures and findings."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from toymodels.screen import console, fail, printable, say


def print_plans(plans: Mapping[str, Any]) -> None:
    table = Table(
        "sweep", "cells", "stored", "programs", "batches", "steps", "disk", "time", box=None, header_style="bold"
    )
    for name, plan in plans.items():
        batches = sum(len(group.batches) for group in plan.groups)
        table.add_row(
            name,
            str(plan.cells),
            str(plan.done),
            str(plan.programs),
            str(batches),
            f"{plan.steps:,}",
            f"{plan.bytes / 1e6:.1f} MB",
            f"~{plan.seconds:.0f} s",
        )
    console.print(table)
    todo = [plan for plan in plans.values() if plan.programs]
    console.print(
        f"to do: {sum(plan.programs for plan in todo)} programs, {sum(plan.seconds for plan in todo) / 60:.1f} min, "
        f"{sum(plan.bytes for plan in todo) / 1e6:.0f} MB at most"
        if todo
        else "nothing to train: all cells are stored"
    )


def print_sweep(name: str, sweep: Any) -> None:
    """Axes and fields, a line each: path, value, and what it means."""
    from toymodels import config as configs
    from toymodels.experiment import describe
    from toymodels.meanings import fields

    say(f"\n{name}", "bold")
    for axis in sweep.axes:
        say(f"  axis {axis.name}: {', '.join(map(describe, axis.labels))}")
    for field in fields(sweep.base):
        value = f": {type(field.value).__name__}" if configs.is_config(field.value) else f" = {describe(field.value)}"
        say(f"  {field.path + value:<40}  {field.meaning}".rstrip())


def train_missing(study: Any, executor: Any) -> None:
    train(study, study.plans(devices=executor.devices), (0, 1), False, executor)


def train(
    study: Any, plans: Mapping[str, Any], shard: tuple[int, int], profile: bool, executor: Any
) -> Mapping[str, float]:
    from toymodels.executors import Events

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    times: dict[tuple[str, str], Counter] = {}
    with Progress(*columns, console=console, disable=not any(plan.programs for plan in plans.values())) as progress:

        def listen(name: str) -> Events:
            task = progress.add_task(name, total=max(plans[name].steps, 1))

            class Listener(Events):
                def stepped(self, group: Any, steps: int) -> None:
                    progress.advance(task, steps)

                def committed(self, group: Any, seconds: Mapping[str, float]) -> None:
                    times.setdefault((name, group.name), Counter()).update(seconds)

            return Listener()

        with _trained(study):
            study.train(shard, plans, listen, executor)
    if profile:
        _print_profile(plans, times)
    return sum(times.values(), Counter())


@contextmanager
def _trained(study: Any) -> Iterator[None]:
    """Training that fails ends in one line: what was stored before stays."""
    from toymodels.store import StoreError

    try:
        yield
    except StoreError as error:
        fail(f"{error}; finished batches are kept, the same command goes on", 1)
    except (RuntimeError, MemoryError) as error:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        fail(f"{study.name}: training failed ({said}); finished batches are kept, the same command goes on", 1)


def _print_profile(plans: Mapping[str, Any], times: Mapping[tuple[str, str], Mapping[str, float]]) -> None:
    from toymodels.engine.devices import peak_memory

    table = Table(
        *("sweep", "program", "layout", "batches", "compile", "train", "measure", "store", "us/cell/step"),
        box=None,
        header_style="bold",
    )
    for name, plan in plans.items():
        for group in plan.groups:
            seconds = times.get((name, group.name))
            if seconds:
                each = seconds["train"] / (group.cells * group.steps) * 1e6
                shape = " x ".join(str(size) for size in (group.shape.devices, group.shape.rows, group.shape.cells))
                parts = (f"{seconds[part]:.1f} s" for part in ("compile", "train", "measure", "store"))
                table.add_row(name, group.name[:8], shape, str(len(group.batches)), *parts, f"{each:.3g}")
    console.print(table)
    console.print("layout: devices x rows x cells; us/cell/step: training alone")
    console.print("measure: what is still to gain; it and storing go on beside the training of the next batch")
    console.print(f"peak memory {peak_memory() / 2**20:.0f} MiB")


def draw(study: Any, names: Sequence[str] = (), anew: bool = False, vector: str | None = None) -> list[Any]:
    """Draw and judge; returns what failed."""
    import matplotlib as mpl

    mpl.use("agg")
    failed: list[Any] = []
    print_drawn(study, study.write_figures(names, anew, failed, vector), [], failed)
    if not names and study.experiment.findings:
        print_findings(study.verdicts(failed))
    return failed


def print_drawn(study: Any, paths: Iterable[Path], found: Sequence[Mapping[str, Any]], failed: Sequence[Any]) -> None:
    drawn = 0
    for path in paths:
        say(f"drew {path}")
        drawn += 1
    if not (drawn or failed):
        say(f"figures in {study.figures} are up to date; `toymodels figure` draws them anew")
    if found:
        print_findings(found)


def print_findings(found: Sequence[Mapping[str, Any]]) -> None:
    from toymodels.findings import rows, tally

    for id, what, measured, expected, source, verdict in rows(found):
        colour = {"holds": "green", "fails": "red", "undecided": "yellow"}.get(verdict.partition(" ")[0], "dim")
        table = Table.grid(padding=(0, 2))
        table.add_column(width=22, style=colour)
        table.add_column(overflow="fold")
        table.add_row(verdict or "reported", printable(what))
        table.add_row("", printable(f"{id}: {measured}"))
        if expected:
            table.add_row("", printable(f"expected: {expected} [{source}]"), style="dim")
        console.print(table)
    say(tally(found))


def print_rows(rows: Sequence[Any], whole: bool) -> None:
    """Rows of the ledger: a line each, or everything about them."""
    from toymodels.ledger import counted, undecided

    colours = {"supported": "green", "refuted": "red", "qualified": "cyan", "undecided": "yellow"}
    for row in rows:
        line = Table.grid(padding=(0, 2))
        line.add_column(width=4, style="bold")
        line.add_column(width=12, style=colours.get(row.verdict, "dim"))
        line.add_column(overflow="fold")
        line.add_row(row.claim.id, row.verdict, printable(row.claim.sentence))
        if whole and row.claim.note:
            line.add_row("", "", printable(row.claim.note), style="dim")
        console.print(line)
        if not whole:
            continue
        print_findings(row.answer.findings)
        for what in undecided(row.answer):
            say(f"would decide it: {what}")
        for change in row.changed:
            say(f"at {change.overrides}: {change.verdict}")
        say(f"on fresh seeds: {row.fresh.verdict}")
        say(f"figure: {row.figure}" if row.figure else "no figure")
        say(f"again: {row.command}\n")
    say(counted(rows) or "no claims here")
