"""The command line: its arguments, and how it ends. Errors are one sentence and exit code 2."""

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from toymodels import __version__, completion, verbs
from toymodels.screen import fail
from toymodels.stopping import stopping

OVERRIDES = """
overrides: any field of a sweep's config, or the values of any of its axes, as path=value:
  seed=0:32                        a range of values for the axis `seed`
  p=0.01,0.1,1                     values for the axis `p`
  steps=2000 batch=256             fields of the run
  problem.loss=PowerError(4)       a config, written as in Python
  shelf.optimizer.lr=3e-3          only in the sweep `shelf`
`toymodels run EXPERIMENT --help` lists its axes and fields, and what they mean. Another question has a folder of its
own, named by its overrides: figures/EXPERIMENT/p=0.1,seed=0:2. The same overrides find it again.
"""

ENDINGS = """
exit codes: 0 all is done; 1 a figure, a finding or training failed, and everything else is done and kept;
2 bad input, nothing is written; 128 + n stopped by signal n, what was trained is kept.
"""


class _Help(argparse.Action):
    """The options, and of the experiments that are named before it every field that can be set."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        told = "this; after the name of an experiment also its axes and fields, and what they mean"
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=told)

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: Any) -> None:
        parser.print_help()
        words = getattr(namespace, "words", None) or [getattr(namespace, "experiment", None)]
        if namespace.of_experiments:
            verbs.tell_fields(namespace, [word for word in words if word and "=" not in word])
        parser.exit()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        fail(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="toymodels",
        description="Toy models of superposition and interference.",
        allow_abbrev=False,
        epilog=ENDINGS,
    )
    parser.add_argument("--version", action="version", version=f"toymodels {__version__}")
    added = parser.add_subparsers(dest="verb", required=True, metavar=" | ".join(verbs.VERBS))

    def verb(name: str, summary: str, **more: Any) -> argparse.ArgumentParser:
        made = added.add_parser(
            name,
            help=summary,
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
            **more,
        )
        made.set_defaults(of_experiments=False)
        made.add_argument("-h", "--help", action=_Help)
        made.add_argument(
            "--runs", type=Path, metavar="DIR", default=Path("runs"), help="the pool of results (default: runs)"
        )
        return made

    def with_scale(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made.add_argument("--scale", choices=("tiny", "default", "full"), default="default", help="size of the sweeps")
        return made

    def with_experiment(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made.set_defaults(of_experiments=True)
        made.add_argument("experiment", help="a name from `toymodels list`, or the path of an experiment file")
        return with_scale(made)

    def with_figures(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made.add_argument("--figures", type=Path, metavar="DIR", help="where figures go (default: figures/EXPERIMENT)")
        return made

    verb("list", "List the experiments and what is stored of each.")
    run = with_figures(
        with_scale(verb("run", "Train what is missing of experiments, then draw and judge them.", epilog=OVERRIDES))
    )
    run.set_defaults(of_experiments=True)
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
    figure.add_argument("--vector", choices=("pdf", "svg"), help="write a vector file too, beside each PNG")
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
    claims = with_scale(verb("claims", "The ledger: what the field says or asks, and what is found.", epilog=OVERRIDES))
    claims.add_argument("words", nargs="*", metavar="ID | path=value", help="which ones (default: all), and overrides")
    claims.add_argument("--run", action="store_true", help="train what is missing first, and draw it")
    claims.add_argument("--out", type=Path, metavar="FILE", help="write the ledger there too, as Markdown")
    _add_cores(claims)
    animate = with_experiment(verb("animate", "A moving picture of stored runs: feature vectors, W Wᵀ, loss."))
    animate.add_argument("sweep", help="a sweep of the experiment")
    animate.add_argument(
        "labels",
        nargs="*",
        metavar="axis=label",
        help="which runs; several labels, with commas, are shown together (default: the first ones, the best seed)",
    )
    animate.add_argument(
        "--out", type=Path, metavar="FILE", default=Path("training.gif"), help="a GIF or MP4 (default: training.gif)"
    )
    animate.add_argument("--rate", type=int, default=8, metavar="N", help="frames a second, 1 to 60 (default: 8)")
    export = with_experiment(
        verb("export", "Write a sweep's results into one file for other programs.", epilog=OVERRIDES)
    )
    export.add_argument("sweep", help="a sweep of the experiment")
    export.add_argument("words", nargs="*", metavar="path=value", help="overrides, as they were run with")
    export.add_argument(
        "--out", type=Path, metavar="FILE", required=True, help="NAME.nc: all, as netCDF; NAME.csv: a row a cell"
    )
    report = with_scale(
        verb("report", "One offline page of experiments: claims, figures, findings, models to scrub.", epilog=OVERRIDES)
    )
    report.set_defaults(of_experiments=True)
    report.add_argument(
        "words",
        nargs="*",
        metavar="EXPERIMENT | path=value",
        help="which ones (default: all that are stored), and overrides of one",
    )
    report.add_argument(
        "--out", type=Path, metavar="FILE", default=Path("report.html"), help="the page (default: report.html)"
    )
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
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a letter shows its code
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with _errors_in_a_line():
        parser = _parser()
        completion.complete(parser)
        args, rest = parser.parse_known_args(arguments)
        # `--path=value` and `--path value` are overrides too, so that any field can be set the way flags are.
        extra = _as_overrides(rest)
        if extra and args.verb not in ("run", "figure", "cell", "animate", "claims", "export", "report"):
            fail(f"{rest[0]}: `toymodels {args.verb}` has no such option")
        _done(args, extra)


def _done(args: argparse.Namespace, extra: list[str]) -> None:
    from toymodels.engine.devices import keep_programs

    keep_programs(os.environ.get("JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "toymodels")))
    args.executor = None
    try:
        if args.verb in ("run", "replicate") or getattr(args, "run", False):
            _use_cores(args.cores)
            args.executor = _executor(args.dask, args.cores)
        verbs.VERBS[args.verb](args, extra)
    finally:
        if args.executor:
            args.executor.close()
            logging.disable(logging.NOTSET)


@contextmanager
def _errors_in_a_line() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # whoever reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("TOYMODELS_TRACEBACK"):
            raise
        if isinstance(error, OSError) or _is_refusal(error):
            fail(error)
        fail(f"{_where(error)}; with TOYMODELS_TRACEBACK=1 it says how it came to this", 1)


def _where(error: Exception) -> str:
    """An error that nobody foresaw, and where it arose, in a line."""
    from toymodels.failures import why

    return why(error, Path(verbs.__file__))


def _is_refusal(error: Exception) -> bool:
    from toymodels.executors import ExecutorError
    from toymodels.lab import Missing
    from toymodels.store import StoreError

    return isinstance(error, verbs.Refused | StoreError | Missing | ExecutorError)


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
