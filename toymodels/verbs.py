"""What the verbs of the command line do: each takes the parsed arguments and what looks like an override.

Imports of anything large wait until a verb is called.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from toymodels import tables
from toymodels.screen import complain, console, printable, say

VERDICTS = """A finding *holds* where the whole interval of its measurement meets the criterion, *fails* where none of
it does, and is *undecided* where it straddles. Intervals are at 95 %, for all labels of a series together, over fresh
seeds. *Best of k*: read off the best of k restarts; the interval covers those that may be best when k are drawn again.
*Check*: of code or theory against itself. *Revised*: the criterion was changed after its result was seen.

"""
MOST_OFFSET = 1_000_000_000
"""Seeds are below 2^31."""


class Refused(ValueError):
    """Bad input, found before anything was compiled or written."""


def list_(args: argparse.Namespace, extra: list[str]) -> None:
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


def run(args: argparse.Namespace, extra: list[str]) -> None:
    words = [*args.words, *extra]
    names = [word for word in words if "=" not in word]
    if not names:
        raise Refused("name an experiment; `toymodels list` shows them")
    if args.figures and len(names) > 1:
        raise Refused("--figures: one folder for several experiments; run them one by one")
    shard = _shard(args.shard)
    overrides = [word for word in words if "=" in word]
    studies = {name: _study(args, name, overrides) for name in names}
    draw = _draws(args, shard)
    if draw:
        _check_extras(study.experiment for study in studies.values())
    for study in studies.values():
        _check(study, overrides, args.only or ())
    times: Any = Counter()
    failed: list[Any] = []
    if draw and len(studies) > 1:
        failed = _run_beside(args, studies, overrides, times)
    else:
        for study, plans in _planned(args, studies.values(), shard, times):
            if len(studies) > 1:
                say(f"== {study.name}")
            times.update(_run_one(args, study, plans, shard))
            if draw:
                start = time.perf_counter()
                failed += tables.draw(study)
                times["draw and judge"] += time.perf_counter() - start
    if not args.dry_run:
        say(_times(times))
    _end(failed)


def _draws(args: argparse.Namespace, shard: tuple[int, int]) -> bool:
    """Whether figures and findings are asked for, and can be had."""
    return not (args.only or args.no_figures or shard[1] > 1 or args.dry_run)


def _times(times: Mapping[str, float]) -> str:
    """What took how long; measuring and storing go on beside training."""
    told = {what: f"{what} {seconds:.1f} s" for what, seconds in times.items()}
    beside = [told.pop(what) for what in ("measure", "store") if what in told]
    return "time: " + ", ".join(told.values()) + ("; beside training: " + ", ".join(beside) if beside else "")


def _check(study: Any, overrides: Sequence[str], only: Sequence[str] = ()) -> None:
    """All that is asked for, before the first of it is trained; says which sweeps an override leaves as they are."""
    for name in only:
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
    args: argparse.Namespace, studies: Mapping[str, Any], overrides: Sequence[str], times: Any
) -> list[Any]:
    """Train studies; another process draws and judges each of them while the next ones are trained."""
    from toymodels.beside import Draughtsman

    failed: list[Any] = []
    with Draughtsman() as beside:
        for name, (study, plans) in zip(studies, _planned(args, studies.values(), (0, 1), times), strict=True):
            say(f"== {study.name}")
            times.update(_run_one(args, study, plans, (0, 1)))
            beside.ask(name, *overrides, scale=args.scale, runs=args.runs)
        start = time.perf_counter()
        for study in studies.values():
            drawn = beside.answer()
            say(f"== {study.name}")
            tables.print_drawn(study, drawn.paths, drawn.findings, drawn.failed)
            failed += drawn.failed
        times["draw and judge, beyond that"] = time.perf_counter() - start
    return failed


def _planned(
    args: argparse.Namespace, studies: Iterable[Any], shard: tuple[int, int], times: Any
) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Studies that can be written, and their plans; a study is planned before the one before it is trained, so that
    its programs can be compiled meanwhile."""
    before: tuple[Any, Mapping[str, Any]] | None = None
    for study in studies:
        plans = _plans(args, study, shard, times)
        if before:
            yield before
            if shared := _to_train(before[1]) & _to_train(plans):  # some of its cells may be there by now
                study.pool.look_again(shared)
                plans = _plans(args, study, shard, times)
        before = study, plans
    if before:
        yield before


def _plans(args: argparse.Namespace, study: Any, shard: tuple[int, int], times: Any) -> Mapping[str, Any]:
    from toymodels.files import check_writable

    start = time.perf_counter()
    with _refusing():
        plans: Mapping[str, Any] = study.plans(shard, args.only or (), args.executor.devices)
    study.pool.check_writable()
    if _draws(args, shard):
        check_writable(study.figures)
    if not args.dry_run:
        args.executor.expect(list(plans.values()))
    times["plan"] += time.perf_counter() - start
    return plans


def _to_train(plans: Mapping[str, Any]) -> set[str]:
    """The groups that have cells to train."""
    return {group.name for plan in plans.values() for group in plan.groups if group.batches}


def _run_one(
    args: argparse.Namespace, study: Any, plans: Mapping[str, Any], shard: tuple[int, int]
) -> Mapping[str, float]:
    if args.scale not in ("default", *study.experiment.scales):
        say(f"{study.name} states no scale {args.scale}: its default is taken")
    tables.print_plans(plans)
    if count := len(study.pool.damaged):
        what = "1 damaged batch is" if count == 1 else f"{count} damaged batches are"
        say(f"{what} set aside, and the cells trained again")
    if args.dry_run:
        if args.scale == "full" and study.experiment.cost:
            say(study.experiment.cost)
        return {}
    return tables.train(study, plans, shard, args.profile, args.executor)


def figure(args: argparse.Namespace, extra: list[str]) -> None:
    words = [*args.names, *extra]
    overrides = [word for word in words if "=" in word]
    study = _study(args, args.experiment, overrides)
    names = [word for word in words if "=" not in word]
    _check(study, overrides)
    with _refusing():
        for name in names:
            study.experiment.figure(name)
    _end(tables.draw(study, names, anew=True, vector=args.vector))


def show(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels.experiment import summary
    from toymodels.results import open_view

    study = _study(args, args.experiment)
    say(f"{study.name}: {study.experiment.question}", "bold")
    say(study.experiment.source)
    for name, sweep in study.sweeps.items():
        tables.print_sweep(name, sweep)
        view = study.view(name)
        if not view.file.exists():
            say("  nothing is stored yet")
            continue
        batches = [batch for group in view.read().groups for batch in study.pool.batches(group)]
        for key, value in summary(open_view(view), batches).items():
            say(f"  stored {key}: {value}")


def tell_fields(args: argparse.Namespace, names: Iterable[str]) -> None:
    """What `--help` adds after the names of experiments: their axes and fields."""
    for name in names:
        study = _study(args, name)
        say(f"\n{study.name}: every axis and field, set as path=value", "bold")
        for each, sweep in study.sweeps.items():
            tables.print_sweep(each, sweep)


def cell(args: argparse.Namespace, extra: list[str]) -> None:
    import numpy as np

    from toymodels import config as configs
    from toymodels.engine.plan import group_digest
    from toymodels.results import NOT_SHOWN
    from toymodels.sweep import retrain
    from toymodels.train import NUMERICS

    study = _study(args, args.experiment)
    _check_sweep(study, args.sweep)
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
        differ = (before != now) & ~(np.isnan(before) & np.isnan(now))
        gap = np.abs(before[differ] - now[differ])
        say(f"{name}: differs by up to {gap.max():.2g}" if gap.size else f"{name}: same bits")
    say(f"objective {again.objective.values[0]:.6g} -> {again.objective.values[-1]:.6g}")


def verdicts(args: argparse.Namespace, extra: list[str]) -> None:
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
            tables.print_findings(found)
    total = tally(everything) + (f"; not run, or not wholly: {', '.join(missing)}" if missing else "")
    if args.json:
        print(json.dumps(everything, indent=1, ensure_ascii=False))
    else:
        say(f"\n{total}")
    if args.out:
        head = f"`toymodels verdicts` makes this table from the stored results, {args.scale} scale: {total}.\n\n"
        write_text(args.out, "# Verdicts\n\n" + head + VERDICTS + "\n".join(pages))
    _end(failed)


def replicate(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels.files import write_text
    from toymodels.lab import replicate
    from toymodels.replication import counted, table

    if not 1 <= args.offset <= MOST_OFFSET:
        raise Refused(f"--offset {args.offset}: seeds are moved by 1 to {MOST_OFFSET:,}")
    settings = {"scale": args.scale, "runs": args.runs, "offset": args.offset}
    everything = []
    failed: list[Any] = []
    studies = _studies(args)
    _check_extras(study.experiment for study in studies)
    for study in studies:
        say(f"== {study.name}")
        train = partial(tables.train_missing, executor=args.executor)
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


def claims(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels import ledger
    from toymodels.files import write_text

    words = [*args.words, *extra]
    overrides = [word for word in words if "=" in word]
    named = [word for word in words if "=" not in word]
    with _refusing():
        known = ledger.claims()
    ids = [word.upper() for word in named]
    for word, id in zip(named, ids, strict=True):
        if id not in known:
            raise Refused(f"{word}: no such claim; there are {', '.join(known) or 'none here'}")
    if overrides and len({known[id][0].name for id in ids}) != 1:
        raise Refused("overrides are of one experiment: name a claim")
    if args.out and (ids or overrides):
        raise Refused("--out: the ledger is written whole; name no claim")
    _check_out(args.out)
    if overrides:
        _check(_study(args, known[ids[0]][0].name, overrides), overrides)
    failed: list[Any] = []
    train = partial(_worked_out, args, failed) if args.run else None
    if args.run:
        _check_extras(known[id][0] for id in ids or known)
    with _refusing():
        chosen = [known[id] for id in ids or known]
        rows = ledger.rows(chosen, overrides, train, failed, args.scale, args.runs)
    tables.print_rows(rows, whole=bool(ids))
    if args.out:
        write_text(args.out, ledger.page(rows))
    _end(failed)


def _worked_out(args: argparse.Namespace, failed: list[Any], study: Any) -> None:
    """Train what a study lacks, and draw it."""
    say(f"== {study.prefix}")
    tables.train_missing(study, args.executor)
    tables.print_drawn(study, study.write_figures(failed=failed), [], failed)


def animate(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels import draw
    from toymodels.draw.animation import check_kind, save_animation, training
    from toymodels.files import appearing
    from toymodels.report.clips import clips

    study = _study(args, args.experiment)
    _check_sweep(study, args.sweep)
    if not 1 <= args.rate <= 60:
        raise Refused(f"--rate {args.rate}: 1 to 60 frames a second")
    _check_out(args.out)
    asked: dict[str, list[str]] = {}
    for name, _, value in (text.partition("=") for text in [*args.labels, *extra]):
        asked.setdefault(name, []).append(value)
    with _refusing():
        check_kind(args.out)
        made, over = clips(study.swept(args.sweep), asked)
    with draw.style(), appearing(args.out) as partial:
        whole = partial.with_name(partial.name + args.out.suffix)
        save_animation(training(made, over), whole, args.rate)
        whole.rename(partial)
    say(
        f"wrote {args.out}, {args.out.stat().st_size / 1e6:.2g} MB: {'; '.join(each.name for each in made)}".rstrip(
            ": "
        )
    )


def export(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels.export import check_kind, write

    overrides = [*args.words, *extra]
    study = _study(args, args.experiment, overrides)
    _check(study, overrides)
    _check_sweep(study, args.sweep)
    _check_out(args.out)
    with _refusing():
        check_kind(args.out)
        size = write(study.swept(args.sweep).data, args.out)
    say(f"wrote {args.out}, {size / 1e6:.3g} MB" if size > 1e5 else f"wrote {args.out}, {size / 1e3:.3g} kB")


def report(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels.lab import experiment_files
    from toymodels.report import check, stored, write

    words = [*args.words, *extra]
    overrides = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word]
    if overrides and len(names) != 1:
        raise Refused("overrides are of one experiment: name it")
    _check_out(args.out)
    with _refusing():
        check()
    studies = [_study(args, name, overrides) for name in dict.fromkeys(names)]
    if not names:
        studies = [study for study in (_study(args, path.stem) for path in experiment_files()) if stored(study)]
    if not studies:
        raise Refused(
            "no experiment is wholly stored here: `toymodels run NAME` trains one, or name those to report on"
        )
    for each in studies:
        _check(each, overrides)
    failed: list[Any] = []
    with _refusing():
        size = write(studies, args.out, failed)
    say(f"wrote {args.out}, {size / 1e6:.1f} MB")
    _end(failed)


def migrate(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels.store import migrate

    folder = args.folder or args.runs
    if not folder.is_dir():
        raise Refused(f"{folder}: no such folder")
    count = migrate(folder, args.runs)
    say(f"{count} sweeps moved into {args.runs}" if count else f"{folder}: no results of the older layout")


def _studies(args: argparse.Namespace) -> list[Any]:
    """Those named, or all of this checkout; that the table can be written is checked with them."""
    from toymodels.lab import experiment_files

    _check_out(args.out)
    return [_study(args, name) for name in args.experiments or [path.stem for path in experiment_files()]]


def _check_out(path: Path | None) -> None:
    from toymodels.files import check_writable

    if path:
        if path.is_dir():
            raise Refused(f"--out {path}: a folder; name a file")
        check_writable(path.parent)


def _study(args: argparse.Namespace, name: str, overrides: Sequence[str] = ()) -> Any:
    from toymodels.lab import study

    with _refusing():
        return study(name, *overrides, scale=args.scale, runs=args.runs, figures=getattr(args, "figures", None))


def _check_sweep(study: Any, name: str) -> None:
    if name not in study.sweeps:
        raise Refused(f"{name}: no such sweep; there are {', '.join(study.sweeps)}")


def _check_extras(experiments: Iterable[Any]) -> None:
    """All of them, before the first is trained."""
    with _refusing():
        for each in experiments:
            each.check_extra()


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


VERBS = {
    "list": list_,
    "run": run,
    "figure": figure,
    "show": show,
    "cell": cell,
    "verdicts": verdicts,
    "claims": claims,
    "replicate": replicate,
    "animate": animate,
    "export": export,
    "report": report,
    "migrate": migrate,
}
