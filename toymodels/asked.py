"""What was asked for beside the default question: a folder for it, so that no question overwrites another."""

import hashlib
import re
from collections.abc import Iterable, Mapping

from toymodels.overrides import Effect, parse
from toymodels.sweep import Sweep

LONGEST = 60


def tag(plain: Mapping[str, Sweep], asked: Mapping[str, Sweep], effects: Iterable[Effect]) -> str:
    """The overrides, where these are short, such as "p=0.1,seed=0:2", else a hash; "" where nothing else is asked."""
    wanted = [each.asked for each in asked.values()]
    if wanted == [each.asked for each in plain.values()]:
        return ""
    text = ",".join(sorted(written(effect.text) for effect in effects if effect.changed))
    if 0 < len(text) <= LONGEST and re.fullmatch(r"\w[\w.,:=+()-]*", text, re.ASCII):
        return text
    return f"asked-{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:12]}"


def written(override: str) -> str:
    """An override as it is written shortest: numbers as Python prints them, consecutive integers as a range."""
    path, _, value = ("".join(part.split()) for part in override.lstrip("-").partition("="))
    try:
        read = parse(value)
    except ValueError:  # the labels of a choice
        return f"{path}={value}"
    many = read if isinstance(read, tuple) else (read,)
    if not many or not all(isinstance(each, int | float) and not isinstance(each, bool) for each in many):
        return f"{path}={value}"
    if len(many) > 1 and many == tuple(range(int(many[0]), int(many[0]) + len(many))):
        return f"{path}={many[0]}:{many[-1] + 1}"
    return f"{path}={','.join(map(repr, many))}"


def asked_otherwise(views: Iterable[str], prefix: str, name: str) -> str:
    """A hint for who finds nothing under `prefix`: overrides under which an experiment has views, at the same scale."""
    top = "/".join(prefix.split("/")[: prefix.split("/").index(name) + 1])
    found = {view[len(top) + 1 :].rpartition("/")[0] for view in views if view.startswith(f"{top}/")}
    others = sorted(found - {prefix[len(top) + 1 :], ""})
    shown = "; ".join(others[:3]) + ("; ..." if len(others) > 3 else "")
    return f", and results of a run with overrides are found by the same ones (stored: {shown})" if others else ""
