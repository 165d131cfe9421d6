"""The command line: arguments, progress and tables. Errors are one sentence and exit code 2."""

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from toymodels.screen import complain, console, fail, printable, say
from toymodels.stopping import stopping

OVERRIDES = """
overrides: any field of a sweep's config, or the values of any of its axes, as path=value:
  seed=0:32                        a range of values for the axis `seed`
  p=0.01,0.1,1                     values for the axis `p`
  steps=2000 batch=256             fields of the run
  problem.loss=PowerError(4)       a config, written as in Python
  shelf.optimizer.lr=3e-3          only in the sweep `shelf`
`toymodels show EXPERIMENT` lists sweeps, axes and fields. Another question has a folder of its own, named by its
overrides: figures/EXPERIMENT/p=0.1,seed=0:2. The same overrides find it again.
"""

ENDINGS = """
exit codes: 0 all is done; 1 a figure, a finding or training failed, and everything else is done and kept;
2 bad input, nothing is written; 128 + n stopped by signal n, what was trained is kept.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        fail(f"{message} (see {self.prog} --help)")


VERBS = ("list", "run", "figure", "show", "cell", "verdicts", "replicate", "migrate")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="toymodels",
        description="Toy models of superposition and interference.",
        allow_abbrev=False,
        epilog=ENDINGS,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar=" | ".join(VERBS))

    def verb(name: str, summary: str, **more: Any) -> argparse.ArgumentParser:
        made = verbs.add_parser(
            name,
            help=summary,
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **more,
        )
        made.add_argument(
            "--runs", type=Path, metavar="DIR", default=Path("runs"), help="the pool of results (default: runs)"
        )
        return made

    def with_scale(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made.add_argument("--scale", choices=("tiny", "default", "full"), default="default", help="size of the sweeps")
        return made

    def with_experiment(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made.add_argument("experiment", help="a name from `toymodels list`, or the path of an experiment file")
        return with_scale(made)

    def with_figures(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made.add_argument("--figures", type=Path, metavar="DIR", help="where figures go (default: figures/EXPERIMENT)")
        return made

    verb("list", "List the experiments and what is stored of each.")
    run = with_figures(
        with_scale(verb("run", "Train what is missing of experiments, then draw and judge them.", epilog=OVERRIDES))
    )
    run.add_argument("words", nargs="+", metavar="experiment | path=value", help="names or files, and overrides")
    run.add_argument("--dry-run", action="store_true", help="say cells, programs, time and disk, and stop")
    run.add_argument("--only", metavar="SWEEP", action="append", help="this sweep alone (may be repeated); no figures")
    run.add_argument("--shard", metavar="I/N", default="0/1", help="train the I-th of N parts (0 <= I < N); no figures")
    run.add_argument("--no-figures", action="store_true", help="train only")
    run.add_argument("--profile", action="store_true", help="print where the time went, program by program")
    _add_cores(run)
    figure = with_figures(with_experiment(verb("figure", "Draw figures from the store alone.", epilog=OVERRIDES)))
    figure.add_argument(
        "names", nargs="*", metavar="figure | path=value", help="which ones (default: all), and overrides"
    )
    with_experiment(verb("show", "Show an experiment's sweeps, axes and fields, and what is stored of them."))
    cell = with_experiment(verb("cell", "Retrain one stored cell by its labels and compare it bit for bit."))
    cell.add_argument("sweep", help="a sweep of the experiment")
    cell.add_argument("labels", nargs="*", metavar="axis=label", help="one label for each axis")
    verdicts = with_scale(
        verb("verdicts", "Every finding beside what it should be; only what is not current is judged.")
    )
    verdicts.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="which ones (default: all)")
    verdicts.add_argument("--json", action="store_true", help="print the findings as JSON")
    verdicts.add_argument("--out", type=Path, metavar="FILE", help="write the table there too, as Markdown")
    again = with_scale(verb("replicate", "Retrain experiments on fresh seeds, and say which verdicts repeat."))
    again.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="which ones (default: all)")
    again.add_argument("--offset", type=int, default=5000, metavar="N", help="seeds are moved by N (default: 5000)")
    again.add_argument("--out", type=Path, metavar="FILE", help="write the table there too, as Markdown")
    _add_cores(again)
    migrate = verb("migrate", "Move the results of the layout before the pool into the pool.")
    migrate.add_argument(
        "folder", nargs="?", type=Path, metavar="DIR", help="where they are (default: the pool's folder)"
    )
    return parser


def _add_cores(made: argparse.ArgumentParser) -> None:
    made.add_argument("--cores", type=int, metavar="N", help="CPU cores to train on (default: all); same results")
    made.add_argument(
        "--dask", metavar="ADDRESS", help="train on the workers of this Dask scheduler, or of `local`; same results"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `toymodels`."""
    with stopping():
        _main(arguments)


def _main(arguments: Sequence[str] | None) -> None:
    args, rest = _parser().parse_known_args(arguments)
    # `--path=value` and `--path value` are overrides too, so that any field can be set the way flags are.
    extra = _as_overrides(rest)
    if extra and args.verb not in ("run", "figure", "cell"):
        fail(f"{rest[0]}: `toymodels {args.verb}` has no such option")
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "toymodels"))
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a letter shows its code
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    args.executor = None
    try:
        from toymodels.engine.devices import keep_programs

        keep_programs(cache)
        if args.verb in ("run", "replicate"):
            _use_cores(args.cores)
            args.executor = _executor(args.dask, args.cores)
        globals()[f"_{args.verb}"](args, extra)
    except BrokenPipeError:  # whoever reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("TOYMODELS_TRACEBACK"):
            raise
        if isinstance(error, OSError) or _is_refusal(error):
            fail(error)
        fail(f"{_where(error)}; with TOYMODELS_TRACEBACK=1 it says how it came to this", 1)
    finally:
        if args.executor:
            args.executor.close()
            logging.disable(logging.NOTSET)


def _where(error: Exception) -> str:
    """An error that nobody foresaw, and where it arose, in a line."""
    from toymodels.failures import why

    return why(error, Path(__file__))


def _is_refusal(error: Exception) -> bool:
    from toymodels.executors import ExecutorError
    from toymodels.lab import Missing
    from toymodels.store import StoreError

    return isinstance(error, Refused | StoreError | Missing | ExecutorError)


class Refused(ValueError):
    """Bad input, found before anything was compiled or written."""


def _use_cores(count: int | None) -> None:
    from toymodels.engine.devices import use_cores

    try:
        use_cores(count)
    except ValueError as error:
        fail(f"--cores {count}: {error}")
    except RuntimeError:  # called from Python where JAX is in use already: its devices stay as they are
        pass


def _executor(address: str | None, cores: int | None) -> Any:
    """Where to train: here, or where `--dask` says."""
    from toymodels.executors import Dask, Here

    if address is None:
        return Here()
    if address != "local" and cores is not None:
        fail(f"--cores {cores}: these are of this machine, and --dask {address} trains elsewhere")
    logging.disable()  # Dask's: what goes wrong with its workers is said in a sentence
    return Dask(address, cores)


def _as_overrides(rest: Sequence[str]) -> list[str]:
    found, words = [], list(rest)
    while words:
        word = words.pop(0)
        if word.startswith("--") and "=" not in word:
            if not words or words[0].startswith("--"):
                fail(f"{word}: no such option, and no value for an override")
            word = f"{word}={words.pop(0)}"
        found.append(word)
    return found


# ---------------------------------------------------------------------------------------------------------------- verbs


def _list(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels.experiment import load
    from toymodels.lab import experiment_files
    from toymodels.store import Pool

    pool = Pool(args.runs)
    table = Table("experiment", "question", "stored", box=None, header_style="bold")
    for path in experiment_files():
        try:
            experiment = load(path)
        except ValueError as error:
            table.add_row(path.stem, printable(" ".join(str(error).split())), "")
            continue
        stored = len({view.rpartition("/")[2] for view in pool.views(experiment.name)})
        table.add_row(experiment.name, printable(experiment.question), f"{stored} sweeps" if stored else "")
    console.print(table)


def _run(args: argparse.Namespace, extra: list[str]) -> None:
    words = [*args.words, *extra]
    names = [word for word in words if "=" not in word]
    if not names:
        raise Refused("name an experiment; `toymodels list` shows them")
    if args.figures and len(names) > 1:
        raise Refused("--figures: one folder for several experiments; run them one by one")
    shard = _shard(args.shard)
    overrides = [word for word in words if "=" in word]
    studies = {name: _study(args, name, overrides) for name in names}
    draw = not (args.only or args.no_figures or shard[1] > 1 or args.dry_run)
    for study in studies.values():
        _check(args, study, overrides)
    times: Any = Counter()
    failed: list[Any] = []
    if draw and len(studies) > 1:
        times, failed = _run_beside(args, studies, overrides)
    else:
        for study in studies.values():
            if len(studies) > 1:
                say(f"== {study.name}")
            times.update(_run_one(args, study, shard, draw))
            if draw:
                start = time.perf_counter()
                failed += _draw(study)
                times["draw and judge"] += time.perf_counter() - start
    if not args.dry_run:
        say("time: " + ", ".join(f"{what} {seconds:.1f} s" for what, seconds in times.items()))
    _end(failed)


def _check(args: argparse.Namespace, study: Any, overrides: Sequence[str]) -> None:
    """All that is asked for, before the first of it is trained; says which sweeps an override leaves as they are."""
    for name in args.only or ():
        if name not in study.sweeps:
            raise Refused(f"{name}: no such sweep; there are {', '.join(study.sweeps)}")
    if overrides:
        with _refusing():
            for sweep in study.sweeps.values():
                sweep.runs()
    for effect in study.effects:
        if effect.kept:
            say(f"{study.name}: {effect}")


def _end(failed: Sequence[Any]) -> None:
    """Say what failed, a line each; the exit code is 1 if anything did."""
    for each in failed:
        complain(each)
    if failed:
        sys.exit(1)


def _run_beside(
    args: argparse.Namespace, studies: Mapping[str, Any], overrides: Sequence[str]
) -> tuple[Counter, list[Any]]:
    """Train studies; another process draws and judges each of them while the next ones are trained."""
    from toymodels.beside import Draughtsman

    times: Any = Counter()
    failed: list[Any] = []
    with Draughtsman() as beside:
        for name, study in studies.items():
            say(f"== {study.name}")
            times.update(_run_one(args, study, (0, 1), draw=True))
            beside.ask(name, *overrides, scale=args.scale, runs=args.runs)
        start = time.perf_counter()
        for study in studies.values():
            drawn = beside.answer()
            say(f"== {study.name}")
            _print_drawn(study, drawn.paths, drawn.findings, drawn.failed)
            failed += drawn.failed
        times["draw and judge, beyond that"] = time.perf_counter() - start
    return times, failed


def _run_one(args: argparse.Namespace, study: Any, shard: tuple[int, int], draw: bool) -> Counter:
    from toymodels.files import check_writable

    start = time.perf_counter()
    with _refusing():
        plans = study.plans(shard, args.only or (), args.executor.devices)
    study.pool.check_writable()
    if draw:
        check_writable(study.figures)
    _print_plans(plans)
    if count := len(study.pool.damaged):
        what = "1 damaged batch is" if count == 1 else f"{count} damaged batches are"
        say(f"{what} set aside, and the cells trained again")
    if args.dry_run:
        if args.scale == "full" and study.experiment.cost:
            say(study.experiment.cost)
        return Counter()
    planned = time.perf_counter() - start
    return Counter({"plan": planned, **_train(study, plans, shard, args.profile, args.executor)})


def _figure(args: argparse.Namespace, extra: list[str]) -> None:
    words = [*args.names, *extra]
    study = _study(args, args.experiment, [word for word in words if "=" in word])
    names = [word for word in words if "=" not in word]
    with _refusing():
        for name in names:
            study.experiment.figure(name)
    _end(_draw(study, names, anew=True))


def _show(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels import config as configs
    from toymodels.experiment import describe, summary
    from toymodels.results import open_view

    study = _study(args, args.experiment)
    say(f"{study.name}: {study.experiment.question}", "bold")
    say(study.experiment.source)
    for name, sweep in study.sweeps.items():
        say(f"\n{name}", "bold")
        for axis in sweep.axes:
            labels = ", ".join(f"{x:g}" if isinstance(x, float) else str(x) for x in axis.labels)
            say(f"  axis {axis.name}: {labels}")
        for path, value in configs.paths(sweep.base):
            shown = f": {type(value).__name__}" if configs.is_config(value) else f" = {describe(value)}"
            say(f"  {path}{shown}")
        view = study.view(name)
        if not view.file.exists():
            say("  nothing is stored yet")
            continue
        batches = [batch for group in view.read().groups for batch in study.pool.batches(group)]
        for key, value in summary(open_view(view), batches).items():
            say(f"  stored {key}: {value}")


def _cell(args: argparse.Namespace, extra: list[str]) -> None:
    import numpy as np

    from toymodels import config as configs
    from toymodels.engine.plan import group_digest
    from toymodels.results import NOT_SHOWN
    from toymodels.sweep import retrain
    from toymodels.train import NUMERICS

    study = _study(args, args.experiment)
    if args.sweep not in study.sweeps:
        raise Refused(f"{args.sweep}: no such sweep; there are {', '.join(study.sweeps)}")
    with _refusing():
        labels = {name: _label(value) for name, _, value in (text.partition("=") for text in [*args.labels, *extra])}
        run = study.sweeps[args.sweep].cell(**labels)
    stored = study.pool.cells([group_digest(run)]).get(configs.digest(run, NUMERICS))
    if stored is None:
        raise Refused("this cell is not stored; `toymodels run` trains it")
    batch, slot = stored
    again = retrain(run, batch.width)
    for name in batch.dims:
        if name in NOT_SHOWN:
            continue
        before, now = batch.read(name)[slot], again[name].values
        same = np.array_equal(before, now, equal_nan=True)
        gap = np.nanmax(np.abs(before - now)) if before.size else 0.0
        say(f"{name}: {'same bits' if same else f'differs by up to {gap:.2g}'}")
    say(f"objective {again.objective.values[0]:.6g} -> {again.objective.values[-1]:.6g}")


def _verdicts(args: argparse.Namespace, extra: list[str]) -> None:
    import json

    from toymodels.files import write_text
    from toymodels.findings import markdown, tally
    from toymodels.lab import Missing

    pages, everything, missing = [], [], []
    failed: list[Any] = []
    for study in _studies(args):
        try:
            found = study.verdicts(failed)
        except Missing:
            missing.append(study.name)
            continue
        everything += [{"experiment": study.name, **each} for each in found]
        question, source = study.experiment.question, study.experiment.source
        pages.append(f"## {study.name}\n\n{question} {source}.\n\n{tally(found)}.\n\n{markdown(found)}\n")
        if not args.json:
            say(f"\n{study.name}: {question}", "bold")
            _print_findings(found)
    total = tally(everything) + (f"; not run, or not wholly: {', '.join(missing)}" if missing else "")
    if args.json:
        print(json.dumps(everything, indent=1, ensure_ascii=False))
    else:
        say(f"\n{total}")
    if args.out:
        head = f"`toymodels verdicts` makes this table from the stored results, {args.scale} scale: {total}.\n\n"
        write_text(args.out, "# Verdicts\n\n" + head + VERDICTS + "\n".join(pages))
    _end(failed)


VERDICTS = """A finding *holds* where the whole interval of its measurement meets the criterion, *fails* where none of
it does, and is *undecided* where it straddles. Intervals are at 95 %, for all labels of a series together, over fresh
seeds. *Best of k*: read off the best of k restarts; the interval covers those that may be best when k are drawn again.
*Check*: of code or theory against itself. *Revised*: the criterion was changed after its result was seen.

"""


MOST_OFFSET = 1_000_000_000
"""Seeds are below 2^31."""


def _replicate(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels.files import write_text
    from toymodels.lab import replicate
    from toymodels.replication import counted, table

    if not 1 <= args.offset <= MOST_OFFSET:
        raise Refused(f"--offset {args.offset}: seeds are moved by 1 to {MOST_OFFSET:,}")
    settings = {"scale": args.scale, "runs": args.runs, "offset": args.offset}
    everything = []
    failed: list[Any] = []
    for study in _studies(args):
        say(f"== {study.name}")
        train = partial(_train_missing, executor=args.executor)
        found = replicate(study.experiment, train=train, failed=failed, **settings)
        everything += found
        say(counted(found))
        for each in found:
            if each.change != "same":
                say(f"  {each.change}: {each.first['id']}")
    say(counted(everything))
    if args.out:
        write_text(args.out, table(everything, args.offset, args.scale))
    _end(failed)


def _migrate(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels.store import migrate

    folder = args.folder or args.runs
    if not folder.is_dir():
        raise Refused(f"{folder}: no such folder")
    count = migrate(folder, args.runs)
    say(f"{count} sweeps moved into {args.runs}" if count else f"{folder}: no results of the older layout")


# -------------------------------------------------------------------------------------------------------------- helpers


def _studies(args: argparse.Namespace) -> list[Any]:
    """Those named, or all of this checkout; that the table can be written is checked with them."""
    from toymodels.files import check_writable
    from toymodels.lab import experiment_files

    if args.out:
        if args.out.is_dir():
            raise Refused(f"--out {args.out}: a folder; name a file")
        check_writable(args.out.parent)
    return [_study(args, name) for name in args.experiments or [path.stem for path in experiment_files()]]


def _study(args: argparse.Namespace, name: str, overrides: Sequence[str] = ()) -> Any:
    from toymodels.lab import study

    with _refusing():
        return study(name, *overrides, scale=args.scale, runs=args.runs, figures=getattr(args, "figures", None))


@contextmanager
def _refusing() -> Iterator[None]:
    """What is wrong here is the input: one sentence."""
    try:
        yield
    except ValueError as error:
        raise Refused(error) from error


def _label(text: str) -> float | int | str:
    """A label as typed: a number where it is one, else the words themselves."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _shard(text: str) -> tuple[int, int]:
    part, slash, parts = text.partition("/")
    digits = all(each.isascii() and each.isdigit() and len(each) < 10 for each in (part, parts))
    if not (slash and digits and int(part) < int(parts)):
        raise Refused(f"--shard {text}: reads I/N with 0 <= I < N")
    return int(part), int(parts)


def _print_plans(plans: Mapping[str, Any]) -> None:
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


def _train_missing(study: Any, executor: Any) -> None:
    _train(study, study.plans(devices=executor.devices), (0, 1), False, executor)


def _train(
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
        *("sweep", "program", "layout", "batches", "compile", "train", "store", "us/cell/step"),
        box=None,
        header_style="bold",
    )
    for name, plan in plans.items():
        for group in plan.groups:
            seconds = times.get((name, group.name))
            if seconds:
                each = seconds["train"] / (group.cells * group.steps) * 1e6
                shape = " x ".join(str(size) for size in (group.shape.devices, group.shape.rows, group.shape.cells))
                parts = (f"{seconds[part]:.1f} s" for part in ("compile", "train", "store"))
                table.add_row(name, group.name[:8], shape, str(len(group.batches)), *parts, f"{each:.3g}")
    console.print(table)
    console.print("layout: devices x rows x cells; us/cell/step: training alone")
    console.print(f"peak memory {peak_memory() / 2**20:.0f} MiB")


def _draw(study: Any, names: Sequence[str] = (), anew: bool = False) -> list[Any]:
    """Draw and judge; returns what failed."""
    import matplotlib as mpl

    mpl.use("agg")
    failed: list[Any] = []
    _print_drawn(study, study.write_figures(names, anew, failed), [], failed)
    if not names and study.experiment.findings:
        _print_findings(study.verdicts(failed))
    return failed


def _print_drawn(study: Any, paths: Iterable[Path], found: Sequence[Mapping[str, Any]], failed: Sequence[Any]) -> None:
    drawn = 0
    for path in paths:
        say(f"drew {path}")
        drawn += 1
    if not (drawn or failed):
        say(f"figures in {study.figures} are up to date; `toymodels figure` draws them anew")
    if found:
        _print_findings(found)


def _print_findings(found: Sequence[Mapping[str, Any]]) -> None:
    from toymodels.findings import rows, tally

    for _, what, measured, expected, source, verdict in rows(found):
        colour = {"holds": "green", "fails": "red", "undecided": "yellow"}.get(verdict.partition(" ")[0], "dim")
        table = Table.grid(padding=(0, 2))
        table.add_column(width=22, style=colour)
        table.add_column(overflow="fold")
        table.add_row(verdict or "reported", printable(what))
        table.add_row("", printable(measured))
        if expected:
            table.add_row("", printable(f"expected: {expected} [{source}]"), style="dim")
        console.print(table)
    say(tally(found))
