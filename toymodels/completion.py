"""What the shell offers at TAB: options, experiments, and of the one that is named its sweeps, figures and fields.

In bash or zsh, `eval "$(register-python-argcomplete toymodels)"` asks for it.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ASKED = "_ARGCOMPLETE"
"""Set in the environment when a shell asks."""


def complete(parser: argparse.ArgumentParser, **more: Any) -> None:
    """Answer the shell and end the process, if a shell asks; else nothing."""
    if ASKED not in os.environ:
        return
    import argcomplete

    for own in _verbs(parser):
        for action in own._actions:
            if action.dest in OFFERED:
                action.completer = OFFERED[action.dest]  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, always_complete_options=False, **more)


def _verbs(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def _experiments(**_: Any) -> list[str]:
    from toymodels.experiment import experiment_files

    return [*(path.stem for path in experiment_files()), *map(str, Path().glob("*.py"))]


def _words(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Experiments, and the fields of those that are named already."""
    if not getattr(parsed_args, "of_experiments", True):
        return []
    named = [word for word in getattr(parsed_args, "words", None) or [] if "=" not in word]
    study = _study(named[0]) if named else None
    return [*_experiments(), *(_fields(study) if study else [])]


def _sweeps(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    study = _study(parsed_args.experiment)
    return list(study.sweeps) if study else []


def _figures(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    study = _study(parsed_args.experiment)
    return [*(each.__name__ for each in study.experiment.figures), *_fields(study)] if study else []


def _labels(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """axis=label of the sweep that is named."""
    from toymodels.experiment import describe

    study = _study(parsed_args.experiment)
    sweep = study.sweeps.get(parsed_args.sweep) if study else None
    return [f"{axis.name}={describe(label)}" for axis in sweep.axes for label in axis.labels] if sweep else []


def _fields(study: Any) -> list[str]:
    from toymodels import config as configs

    paths = {path for sweep in study.sweeps.values() for path, _ in configs.paths(sweep.base)}
    axes = {axis.name for sweep in study.sweeps.values() for axis in sweep.axes}
    return [f"{each}=" for each in sorted(paths | axes)]


def _study(name: str) -> Any:
    """The study of this name, or None: a shell is told nothing of what is amiss."""
    from toymodels.lab import study

    try:
        return study(name)
    except ValueError:
        return None


OFFERED = {
    "experiment": _experiments,
    "experiments": _experiments,
    "words": _words,
    "sweep": _sweeps,
    "names": _figures,
    "labels": _labels,
}
"""By the argument's name."""
