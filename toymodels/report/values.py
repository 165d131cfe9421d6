"""What a page says of an experiment, gathered from a study: claims, findings, pictures, settings, commands."""

import inspect
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from toymodels import ledger
from toymodels.experiment import Draw, Map, Swept, settings
from toymodels.failures import Failed, Missing, noted
from toymodels.lab import Study
from toymodels.report.explorers import explorer
from toymodels.report.packing import Packed, compressed, lighter


class Lighter(NamedTuple):
    """Dots, where vectors take too many bytes."""

    scale: float
    """Of the PNG that is beside the caption ..."""
    colours: int
    """... in at most so many colours."""


VECTORS_SHOWN, DOTS_SHOWN = 1.5, 0.54
"""Pixels of the page for a unit of a vector figure, and for a dot of its PNG."""
LIGHTER = (Lighter(1, 128), Lighter(DOTS_SHOWN, 64))


@dataclass
class Picture:
    """A figure: as vectors or as dots, told in words too."""

    name: str
    alt: str
    caption: str
    kind: str
    """"svg" or "png"."""
    data: str
    """Compressed, as text."""
    dots: bytes
    """The PNG."""
    lightened: int = 0
    """How many of `LIGHTER` it has taken."""

    @property
    def scale(self) -> float:
        """Pixels of the page for one of its own."""
        if self.kind == "svg":
            return VECTORS_SHOWN
        return DOTS_SHOWN / (LIGHTER[self.lightened - 1].scale if self.lightened else 1)


@dataclass
class Section:
    """An experiment's part of a page."""

    study: Study
    claims: list[ledger.Row]
    findings: list[dict[str, Any]]
    pictures: list[Picture]
    settings: list[str]
    commands: list[str]
    left_out: list[str]
    """What is not on the page, and why: a sentence each."""
    explorers: dict[str, dict[str, Any]] = field(default_factory=dict)
    maps: list[Map] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of its pictures, and about those of the rest."""
        return sum(len(each.data) for each in self.pictures) + 1500 * (len(self.findings) + 10)

    @property
    def heaviest(self) -> int:
        return max((len(each.data) for each in self.pictures), default=0)

    def lighten(self, step: int, wanted: int) -> int:
        """Turn the largest pictures into dots, this step of `LIGHTER`, until so many bytes are saved; how many are."""
        saved = 0
        for each in sorted(self.pictures, key=lambda picture: -len(picture.data)):
            if saved >= wanted:
                break
            data = compressed(lighter(each.dots, *LIGHTER[step]))
            if len(data) < len(each.data):
                saved += len(each.data) - len(data)
                each.kind, each.data, each.lightened = "png", data, step + 1
        return saved

    def models(self) -> dict[str, Swept]:
        """Its sweeps that are stored."""
        found = {}
        for name in self.study.sweeps:
            with suppress(Missing):
                found[name] = self.study.swept(name)
        return found

    def pack(self, packed: Packed, shares: Iterator[int], failed: list[Failed] | None = None) -> None:
        """Pack the models of each sweep that is stored into at most about the next share of bytes."""
        self.explorers = {}
        for (name, swept), share in zip(self.models().items(), shares, strict=False):
            with noted(f"models of {name} cannot be shown", self.study.experiment.file, failed):
                found = explorer(swept, packed, share)
                if found:
                    self.explorers[name] = found


def gather(study: Study, failed: list[Failed] | None = None) -> Section:
    """What a study holds; what is missing is named instead."""
    left_out: list[str] = []
    told, findings, maps = [], [], []
    for name in study.sweeps:
        with _said(left_out, "Models"):
            told.append(settings(name, study.swept(name)))
    with _said(left_out, "Findings"):
        findings = list(study.verdicts(failed))
    pictures = [each for f in study.experiment.figures if (each := _picture(study, f, left_out, failed))]
    for function in study.experiment.maps:
        with (
            _said(left_out, "A map"),
            noted(f"map {function.__name__} cannot be made", study.experiment.file, failed),
        ):
            maps.append(study.map(function.__name__))
    left_out = list(dict.fromkeys(left_out))
    return Section(study, _claims(study), findings, pictures, told, _commands(study), left_out, maps=maps)


@contextmanager
def _said(left_out: list[str], what: str) -> Iterator[None]:
    """What is not stored is said on the page."""
    try:
        yield
    except Missing as error:
        left_out.append(f"{what} of {error}.")


def _claims(study: Study) -> list[ledger.Row]:
    words = [each.text for each in study.effects]
    chosen = [(study.experiment, claim) for claim in study.experiment.claims]
    return ledger.rows(chosen, words, scale=study.scale, runs=study.pool.path)


def _picture(study: Study, function: Draw, left_out: list[str], failed: list[Failed] | None) -> Picture | None:
    """A figure, drawn now; as it was last drawn where its cells are not stored here."""
    name = function.__name__
    alt = " ".join(inspect.cleandoc(function.__doc__ or name).split())
    with noted(f"figure {name} cannot be drawn", study.experiment.file, failed):
        try:
            vectors, dots = study.pictures(name, "svg", "png")
            return Picture(name, alt, study.caption(function), "svg", compressed(vectors), dots)
        except Missing as error:
            image, told = (study.figures / f"{name}.{kind}" for kind in ("png", "md"))
            if image.exists() and told.exists():
                caption, dots = told.read_text().partition("<!--")[0].strip(), image.read_bytes()
                return Picture(name, alt, caption, "png", compressed(dots), dots)
            left_out.append(f"Figure {name}: {error}.")
    return None


def _commands(study: Study) -> list[str]:
    scale = [] if study.scale == "default" else ["--scale", study.scale]
    words = [each.text for each in study.effects]
    name = study.experiment.name
    found = [["run", name, *scale, *words], ["figure", name, *scale, *words], ["show", name, *scale]]
    found += [["claims", claim.id, "--run", *scale, *words] for claim in study.experiment.claims]
    return [shlex.join(["toymodels", *each]) for each in found]


def zone(criterion: Mapping[str, Any] | None, place: int) -> tuple[float, float] | None:
    """The numbers that a criterion, as JSON data, allows at a place of a series; None where it is not about numbers."""
    inf = float("inf")
    if criterion is None:
        return None
    match criterion["type"]:
        case "AtMost" | "Below":
            return -inf, criterion["limit"]
        case "AtLeast" | "Above":
            return criterion["limit"], inf
        case "Within":
            return criterion["low"], criterion["high"]
        case "Near":
            return _around(criterion["target"], criterion)
        case "Follows":
            return _around(criterion["targets"][place], criterion)
        case "Somewhere":
            return zone(_inner(criterion), place)
    return None


def _inner(criterion: Mapping[str, Any]) -> dict[str, Any]:
    """What has to hold somewhere. It is stored without its type: its text, and what it holds, say which it is."""
    inner = dict(criterion["criterion"])
    of_words = {"at most": "AtMost", "below": "Below", "at least": "AtLeast", "above": "Above"}
    of_fields = {"low": "Within", "target": "Near", "targets": "Follows"}
    found = [kind for words, kind in of_words.items() if criterion["text"].startswith(words)]
    found += [kind for field, kind in of_fields.items() if field in inner]
    return {"type": next(iter(found), ""), **inner}


def _around(target: float, criterion: Mapping[str, Any]) -> tuple[float, float]:
    within, factor = criterion["within"], criterion["factor"]
    return (target / factor, target * factor) if factor > 1 else (target - within, target + within)
