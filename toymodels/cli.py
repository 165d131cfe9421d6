"""The command line: list, run, figure, show, cell, verdicts. Errors are one sentence and exit code 2."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

console = Console(highlight=False)

OVERRIDES = """
overrides: any field of a sweep's config, or the values of any of its axes, as path=value:
  seed=0:32                        a range of values for the axis `seed`
  p=0.01,0.1,1                     values for the axis `p`
  steps=2000 batch=256             fields of the run
  problem.loss=PowerError(4)       a config, written as in Python
  shelf.optimizer.lr=3e-3          only in the sweep `shelf`
`toymodels show EXPERIMENT` lists sweeps, axes and fields.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _fail(f"{message} (see {self.prog} --help)")


def _fail(message: object) -> NoReturn:
    print(f"toymodels: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="toymodels", description="Toy models of superposition and interference.", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list | run | figure | show | cell | verdicts")

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
            "--runs", type=Path, metavar="DIR", help="where results are kept (default: runs, or runs/SCALE)"
        )
        return made

    def with_experiment(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made.add_argument("experiment", help="a name from `toymodels list`, or the path of an experiment file")
        made.add_argument("--scale", choices=("tiny", "default", "full"), default="default", help="size of the sweeps")
        return made

    verb("list", "List the experiments and what is stored of each.")
    run = with_experiment(
        verb("run", "Train what is missing of an experiment, then draw its figures.", epilog=OVERRIDES)
    )
    run.add_argument("overrides", nargs="*", metavar="path=value", help="see below")
    run.add_argument("--dry-run", action="store_true", help="say cells, programs, time and disk, and stop")
    run.add_argument("--only", metavar="SWEEP", action="append", help="this sweep alone (may be repeated); no figures")
    run.add_argument("--shard", metavar="I/N", default="0/1", help="train the I-th of N parts (0 <= I < N); no figures")
    run.add_argument("--no-figures", action="store_true", help="train only")
    run.add_argument("--profile", action="store_true", help="print where the time went, program by program")
    run.add_argument("--cores", type=int, metavar="N", help="CPU cores to train on (default: all); same results")
    run.add_argument("--figures", type=Path, metavar="DIR", help="where figures go (default: figures/EXPERIMENT)")
    figure = with_experiment(verb("figure", "Draw figures from the store alone.", epilog=OVERRIDES))
    figure.add_argument(
        "names", nargs="*", metavar="figure | path=value", help="which ones (default: all), and overrides"
    )
    figure.add_argument("--figures", type=Path, metavar="DIR", help="where figures go (default: figures/EXPERIMENT)")
    with_experiment(verb("show", "Show an experiment's sweeps, axes and fields, and what is stored of them."))
    cell = with_experiment(verb("cell", "Retrain one stored cell by its labels and compare it bit for bit."))
    cell.add_argument("sweep", help="a sweep of the experiment")
    cell.add_argument("labels", nargs="*", metavar="axis=label", help="one label for each axis")
    verdicts = verb("verdicts", "Every number beside what it should be, worked out from the stores of all experiments.")
    verdicts.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="which ones (default: all)")
    verdicts.add_argument("--scale", choices=("tiny", "default", "full"), default="default", help="size of the sweeps")
    verdicts.add_argument("--out", type=Path, metavar="FILE", help="write the table there too, as Markdown")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `toymodels`."""
    args, rest = _parser().parse_known_args(arguments)
    # `--path=value` and `--path value` are overrides too, so that any field can be set the way flags are.
    extra = _as_overrides(rest)
    if extra and args.verb in ("list", "show", "verdicts"):
        _fail(f"{rest[0]}: `toymodels {args.verb}` has no such option")
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "toymodels"))
    import jax

    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    if args.verb == "run":
        _use_cores(args.cores)
    from toymodels.store import StoreError

    try:
        verbs = {"list": _list, "run": _run, "figure": _figure, "show": _show, "cell": _cell, "verdicts": _verdicts}
        verbs[args.verb](args, extra)
    except (StoreError, OSError, Refused) as error:
        _fail(error)
    except KeyboardInterrupt:
        print("toymodels: stopped; finished batches are kept, the same command goes on from there", file=sys.stderr)
        sys.exit(130)


class Refused(Exception):
    """Bad input, found before anything was compiled or written."""


def _use_cores(count: int | None) -> None:
    from toymodels.devices import use_cores

    try:
        use_cores(count)
    except ValueError as error:
        _fail(f"--cores {count}: {error}")
    except RuntimeError:  # called from Python where JAX is in use already: its devices stay as they are
        pass


def _as_overrides(rest: Sequence[str]) -> list[str]:
    found, words = [], list(rest)
    while words:
        word = words.pop(0)
        if word.startswith("--") and "=" not in word:
            if not words or words[0].startswith("--"):
                _fail(f"{word}: no such option, and no value for an override")
            word = f"{word}={words.pop(0)}"
        found.append(word)
    return found


# --------------------------------------------------------------------------------------------------------------- verbs


def _list(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels.experiment import load

    table = Table("experiment", "question", "stored", box=None, header_style="bold")
    for path in experiment_files():
        experiment = load(path)
        folder = _runs(args, "default") / experiment.name
        stored = sum(1 for _ in folder.glob("*/sweep.json"))
        table.add_row(experiment.name, experiment.question, f"{stored} sweeps" if stored else "")
    console.print(table)


def _run(args: argparse.Namespace, extra: list[str]) -> None:
    experiment, sweeps = _sweeps(args, [*args.overrides, *extra])
    if args.only:
        for name in args.only:
            if name not in sweeps:
                raise Refused(f"{name}: no such sweep; there are {', '.join(sweeps)}")
        sweeps = {name: sweeps[name] for name in args.only}
    shard = _shard(args.shard)
    folder = _runs(args, args.scale) / experiment.name
    figures = args.figures or _figures(args.scale, experiment.name)
    from toymodels.experiment import gather, is_current
    from toymodels.plan import plan
    from toymodels.store import Store

    start = time.perf_counter()
    try:
        runs = {name: sweep.runs() for name, sweep in sweeps.items()}
    except ValueError as error:
        raise Refused(error) from error
    plans = {name: plan(runs[name], Store(folder / name), shard) for name in sweeps}
    for name in sweeps:
        Store(folder / name).check_writable()
    draw = not (args.only or args.no_figures or shard[1] > 1)
    if draw:
        Store(figures).check_writable()
    _print_plans(plans)
    if args.dry_run:
        if args.scale == "full" and experiment.cost:
            console.print(experiment.cost)
        return
    done = not any(plan.programs for plan in plans.values())
    if draw and done and is_current(experiment, gather(sweeps, folder), folder, figures):
        console.print(f"figures in {figures} are up to date; `toymodels figure` draws them anew")
        return
    times = {"plan": time.perf_counter() - start, **_train(sweeps, folder, plans, shard, args.profile)}
    if draw:
        start = time.perf_counter()
        _draw(experiment, sweeps, folder, figures, [])
        times["draw"] = time.perf_counter() - start
    console.print("time: " + ", ".join(f"{what} {seconds:.1f} s" for what, seconds in times.items()))


def _figure(args: argparse.Namespace, extra: list[str]) -> None:
    words = [*args.names, *extra]
    experiment, sweeps = _sweeps(args, [word for word in words if "=" in word])
    try:
        chosen = [experiment.figure(name) for name in words if "=" not in name]
    except ValueError as error:
        raise Refused(error) from error
    folder = _runs(args, args.scale) / experiment.name
    figures = args.figures or _figures(args.scale, experiment.name)
    _draw(experiment, sweeps, folder, figures, chosen)


def _show(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels import config as configs
    from toymodels.experiment import describe, summary

    experiment, sweeps = _sweeps(args, [])
    console.print(f"[bold]{experiment.name}[/]: {experiment.question}\n{experiment.source}", markup=True)
    for name, sweep in sweeps.items():
        console.print(f"\n[bold]{name}[/]")
        for axis in sweep.axes:
            console.print(
                f"  axis {axis.name}: {', '.join(f'{x:g}' if isinstance(x, float) else str(x) for x in axis.labels)}"
            )
        for path, value in configs.paths(sweep.base):
            if not configs.is_config(value):
                console.print(f"  {path} = {describe(value)}", markup=False)
            else:
                console.print(f"  {path}: {type(value).__name__}", markup=False)
        folder = _runs(args, args.scale) / experiment.name / name
        if (folder / "sweep.json").exists():
            stored = summary(folder)
            for key in ("cells", "variables", "batches", "seconds", "bytes", "provenance"):
                console.print(f"  stored {key}: {stored[key]}", markup=False)
        else:
            console.print("  nothing is stored yet")


def _cell(args: argparse.Namespace, extra: list[str]) -> None:
    import numpy as np

    from toymodels import config as configs
    from toymodels.store import Store
    from toymodels.sweep import retrain
    from toymodels.train import NUMERICS

    experiment, sweeps = _sweeps(args, [])
    if args.sweep not in sweeps:
        raise Refused(f"{args.sweep}: no such sweep; there are {', '.join(sweeps)}")
    try:
        labels = {name: _label(value) for name, _, value in (text.partition("=") for text in [*args.labels, *extra])}
        run = sweeps[args.sweep].cell(**labels)
    except ValueError as error:
        raise Refused(error) from error
    stored = Store(_runs(args, args.scale) / experiment.name / args.sweep).index.get(configs.digest(run, NUMERICS))
    if stored is None:
        raise Refused("this cell is not stored; `toymodels run` trains it")
    batch, slot = stored
    again = retrain(run, batch.width)
    for name in batch.dims:
        if name == "status":
            continue
        before, now = batch.read(name)[slot], again[name].values
        same = np.array_equal(before, now, equal_nan=True)
        gap = np.nanmax(np.abs(before - now)) if before.size else 0.0
        console.print(f"{name}: {'same bits' if same else f'differs by up to {gap:.2g}'}")
    console.print(f"objective {again.objective.values[0]:.6g} -> {again.objective.values[-1]:.6g}")


def _verdicts(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels.experiment import find, findings_table, gather
    from toymodels.store import census

    chosen = [_experiment(name) for name in args.experiments or (path.stem for path in experiment_files())]
    pages, missing = [], []
    counts: Counter[bool | None] = Counter()
    for experiment in chosen:
        name = experiment.name
        swept = gather(experiment.sweeps(args.scale), _runs(args, args.scale) / name)
        if any("missing" in census(each.data) for each in swept.values()):
            missing.append(name)
            continue
        found = find(experiment, swept)
        counts.update(each.holds for each in found)
        pages.append(f"## {name}\n\n{experiment.question} {experiment.source}.\n\n{findings_table(found)}\n")
        console.print(f"\n[bold]{name}[/]: {experiment.question}")
        _print_findings(found)
    total = f"{counts[True]} of {counts[True] + counts[False]} numbers hold, {counts[None]} more are reported"
    console.print(f"\n{total}" + (f"; not run, or not wholly: {', '.join(missing)}" if missing else ""))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        head = f"# Verdicts\n\nMade by `toymodels verdicts` from the stored results, {args.scale} scale: {total}.\n\n"
        args.out.write_text(head + "\n".join(pages))


def _print_findings(found: Sequence[Any]) -> None:
    table = Table("what", "measured", "expected", "source", "holds", box=None, header_style="bold")
    for what, measured, expected, holds, source in found:
        table.add_row(what, measured, expected, source, {True: "yes", False: "NO", None: ""}[holds])
    console.print(table, markup=False)


# ------------------------------------------------------------------------------------------------------------- helpers


def experiment_files() -> list[Path]:
    """Experiments of this checkout: the folder `experiments` here or beside the package."""
    for folder in (Path("experiments"), Path(__file__).parent.parent / "experiments"):
        if folder.is_dir():
            return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    return []


def _experiment(name: str) -> Any:
    """An experiment of this checkout by its name, or one of your own by its path."""
    from toymodels.experiment import load

    known = {path.stem: path for path in experiment_files()}
    path = Path(name) if name.endswith(".py") else known.get(name)
    if path is None:
        raise Refused(f"{name}: no such experiment; there are {', '.join(known) or 'none here'}")
    try:
        return load(path)
    except ValueError as error:
        raise Refused(error) from error


def _sweeps(args: argparse.Namespace, overrides: Sequence[str]) -> Any:
    from toymodels.overrides import apply

    experiment = _experiment(args.experiment)
    try:
        return experiment, apply(experiment.sweeps(args.scale), overrides)
    except ValueError as error:
        raise Refused(error) from error


def _runs(args: argparse.Namespace, scale: str) -> Path:
    return args.runs or (Path("runs") if scale == "default" else Path("runs") / scale)


def _figures(scale: str, name: str) -> Path:
    return Path("figures") / name if scale == "default" else Path("figures") / scale / name


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
    if not (slash and part.isdigit() and parts.isdigit() and int(part) < int(parts)):
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


def _train(
    sweeps: Mapping[str, Any], folder: Path, plans: Mapping[str, Any], shard: tuple[int, int], profile: bool
) -> Mapping[str, float]:
    from toymodels.sweep import Events, sweep

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    times: dict[tuple[str, str], Counter] = {}
    with Progress(*columns, console=console) as progress:
        for name, what in sweeps.items():
            task = progress.add_task(name, total=max(plans[name].steps, 1))

            class Listener(Events):
                def stepped(self, group: Any, steps: int, task: Any = task) -> None:
                    progress.advance(task, steps)

                def committed(self, group: Any, seconds: Mapping[str, float], name: str = name) -> None:
                    times.setdefault((name, group.name), Counter()).update(seconds)

            sweep(what, folder / name, shard=shard, events=Listener(), todo=plans[name])
            progress.update(task, completed=max(plans[name].steps, 1))
    if profile:
        _print_profile(plans, times)
    return sum(times.values(), Counter())


def _print_profile(plans: Mapping[str, Any], times: Mapping[tuple[str, str], Mapping[str, float]]) -> None:
    from toymodels.devices import peak_memory

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


def _draw(experiment: Any, sweeps: Mapping[str, Any], folder: Path, figures: Path, chosen: Sequence[Any]) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from toymodels.experiment import draw_figures, find, findings_table, gather, uses
    from toymodels.store import Store, census

    Store(figures).check_writable()
    needed = {name for function in chosen or (*experiment.figures, *experiment.findings) for name in uses(function)}
    swept = gather({name: sweeps[name] for name in sweeps if name in needed}, folder)
    for name, each in swept.items():
        if missing := census(each.data).get("missing"):
            raise Refused(
                f"{name}: {missing} of {each.data.status.size} cells are not stored; `toymodels run` trains them"
            )
    for path in draw_figures(chosen or experiment.figures, swept, figures):
        console.print(f"drew {path}")
    if not chosen and experiment.findings:
        found = find(experiment, swept)
        (figures / "findings.md").write_text(findings_table(found) + "\n")
        _print_findings(found)
