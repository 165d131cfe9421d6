"""The ledger: every claim of the experiments beside its verdict, the numbers that decide it, and what became of it at
other settings and on fresh seeds.

    known = ledger.claims()                  # {"A4": (experiment, claim), ...}
    ledger.row(*known["A4"]).verdict         # from what is stored, or from the findings that the package brings
    ledger.rows(known.values(), train=lab.Study.train)
"""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toymodels import findings, lab
from toymodels.claims import VERDICTS, Claim, Verdict
from toymodels.experiment import Experiment, Scale
from toymodels.failures import Failed, Missing
from toymodels.findings import markdown_row
from toymodels.lab import OFFSET

Train = Callable[[lab.Study], Any]


@dataclass(frozen=True)
class Answer:
    """What the findings of one question say about a claim."""

    overrides: str
    """Empty for the page's own settings."""
    verdict: Verdict
    findings: Sequence[Mapping[str, Any]]
    """Those that the claim needs, as JSON data."""


@dataclass(frozen=True)
class Row:
    """A claim and its answers."""

    experiment: Experiment
    claim: Claim
    answer: Answer
    changed: Sequence[Answer]
    """At the other settings that the claim names."""
    fresh: Answer
    """On seeds moved by `OFFSET`."""
    folder: Path
    """Where the figures of its own settings are."""
    scale: Scale = "default"

    @property
    def verdict(self) -> Verdict:
        return self.answer.verdict

    @property
    def figure(self) -> Path | None:
        return self.folder / f"{self.claim.figure}.png" if self.claim.figure else None

    @property
    def command(self) -> str:
        """What works the row out again, as it was asked for."""
        return self.command_of(self.answer)

    def command_of(self, answer: Answer) -> str:
        """What works out one of its answers, to be pasted into a shell."""
        scale = [] if self.scale == "default" else ["--scale", self.scale]
        return shlex.join(["toymodels", "claims", self.claim.id, "--run", *scale, *answer.overrides.split()])

    @property
    def seeds(self) -> str:
        return ", ".join(dict.fromkeys(sampled for each in self.answer.findings if (sampled := _parted(each)[1])))

    @property
    def cells(self) -> str:
        """How the cells of the sweeps that its findings are from ended."""
        sweeps = {name: of for each in self.answer.findings for name, of in each.get("cells", {}).items()}
        told = {name: ", ".join(f"{count:,} {what}" for what, count in of.items()) for name, of in sweeps.items()}
        return "; ".join(f"`{name}` {counts}" for name, counts in told.items())


def _parted(finding: Mapping[str, Any]) -> tuple[str, str]:
    """What was measured, and what was sampled for it if anything was: "20 seeds"."""
    measured, _, sampled = finding["shown"].rpartition("; ")
    return (measured, sampled) if measured and " at " not in sampled else (finding["shown"], "")


def claims(experiments: Iterable[Experiment] = ()) -> dict[str, tuple[Experiment, Claim]]:
    """The claims of these experiments, or of all of this checkout, by id, in the order of the ledger."""
    pages = list(experiments) or [lab.find(path.stem) for path in lab.experiment_files()]
    rows = [(claim, page) for page in pages for claim in page.claims]
    found: dict[str, tuple[Experiment, Claim]] = {}
    for claim, page in sorted(rows, key=lambda each: each[0].place):
        if claim.id in found:
            raise ValueError(f"claim {claim.id} is on two pages: {found[claim.id][0].name} and {page.name}")
        found[claim.id] = page, claim
    return found


def rows(
    chosen: Iterable[tuple[Experiment, Claim]],
    overrides: Sequence[str] = (),
    train: Train | None = None,
    failed: list[Failed] | None = None,
    scale: Scale = "default",
    runs: str | Path = "runs",
) -> list[Row]:
    """Claims with their answers, from what is stored, or from the findings that the package brings.

    With `train`, which is called with each study of the claims' own settings and changes, what is missing is trained
    first. With `overrides` they are asked at other settings, and neither at the changes nor on fresh seeds. A page that
    several claims are on is asked once.
    """
    asked: dict[tuple[str, tuple[str, ...], int], Sequence[Mapping[str, Any]]] = {}

    def findings_of(page: Experiment, words: tuple[str, ...], offset: int) -> Sequence[Mapping[str, Any]]:
        question = page.name, words, offset
        if question not in asked:
            study = lab.study(page, *words, scale=scale, runs=runs, offset=offset)
            try:
                if train and not offset:
                    train(study)
                asked[question] = study.verdicts(failed)
            except Missing:
                asked[question] = ()
        return asked[question]

    def answer(page: Experiment, claim: Claim, words: Sequence[str] = (), offset: int = 0) -> Answer:
        found = []
        for name in dict.fromkeys(id.rpartition(":")[0] for id in claim.needs):
            own, settings = (lab.find(name), ()) if name else (page, tuple(words))
            named = f"{name}:" if name else ""
            found += [{**each, "id": named + each["id"]} for each in findings_of(own, settings, offset)]
        needed = [each for each in found if claim.needed(each["id"])]
        return Answer(" ".join(words), claim.decide(needed), needed)

    def one(page: Experiment, claim: Claim) -> Row:
        own = answer(page, claim, overrides)
        folder = lab.study(page, *overrides, scale=scale, runs=runs).figures
        if overrides:
            return Row(page, claim, own, (), Answer("", "not run", ()), folder, scale)
        changed = [answer(page, claim, change.split()) for change in claim.changes]
        return Row(page, claim, own, changed, answer(page, claim, offset=OFFSET), folder, scale)

    return [one(page, claim) for page, claim in chosen]


def row(experiment: Experiment, claim: Claim, *args: Any, **settings: Any) -> Row:
    """One claim with its answers: `rows`."""
    return rows([(experiment, claim)], *args, **settings)[0]


# ------------------------------------------------------------------------------------------------------------- Markdown


def counted(rows: Iterable[Row]) -> str:
    """How many claims are supported, refuted and so on, in a few words."""
    verdicts = [row.verdict for row in rows]
    return ", ".join(f"{verdicts.count(each)} {each}" for each in VERDICTS if each in verdicts)


def undecided(answer: Answer) -> list[str]:
    """What would decide each finding that is undecided."""
    open_ = [each for each in answer.findings if each["outcome"] == findings.UNDECIDED]
    return [f"{each['id']}: {each['decided_by']}" for each in open_ if each.get("decided_by")]


def where(answer: Answer) -> str:
    """Of every finding that is needed: at how many settings it holds, fails and is undecided, and at which if few."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for each in answer.findings:
        by_name.setdefault(_name(each), []).append(each)
    return "; ".join(f"`{name}` {_outcomes(found)}" for name, found in by_name.items())


FEW = 3
"""Settings that are named one by one; more are counted."""


def _outcomes(found: Sequence[Mapping[str, Any]]) -> str:
    """ "holds at 3 of 8 settings (p=0.1; p=0.2; p=0.3), fails at 5"."""
    parts: list[str] = []
    total = f" of {len(found)} settings" if len(found) > 1 else ""
    for outcome, word in WORDS.items():
        at = [_settings(each) for each in found if each["outcome"] == outcome]
        if at and not total:
            return word
        if len(at) == len(found):
            return f"{word} at {'both' if len(at) == 2 else f'all {len(at)}'} settings"
        if at:
            named = f" ({'; '.join(at)})" if len(at) <= FEW and all(at) else ""
            parts.append(f"{word} at {len(at)}{'' if parts else total}{named}")
    return ", ".join(parts)


PARTED = ("refuted", "qualified", "undecided")
"""Verdicts of which the parts are told."""
WORDS = {findings.HOLDS: "holds", findings.FAILS: "fails", findings.UNDECIDED: "is undecided"}


def _name(finding: Mapping[str, Any]) -> str:
    """A finding's id without its settings."""
    return str(finding["id"].partition("[")[0])


def _settings(finding: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in finding["settings"].items())


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def deciding(answer: Answer) -> list[Mapping[str, Any]]:
    """What to look at first: a finding that holds, of a supported claim; that fails everywhere, of a refuted one; one
    that fails and one that holds, of a qualified one; one that is undecided."""
    of = {outcome: [each for each in answer.findings if each["outcome"] == outcome] for outcome in WORDS}
    holds, fails, open_ = of[findings.HOLDS], of[findings.FAILS], of[findings.UNDECIDED]
    if answer.verdict == "qualified":
        same = [each for each in holds if _name(each) == _name(fails[0])]
        return [fails[0], (same or holds)[0]]
    if answer.verdict == "refuted":
        elsewhere = {_name(each) for each in (*holds, *open_)}
        return [each for each in fails if _name(each) not in elsewhere][:1]
    if answer.verdict == "supported":
        return ([each for each in holds if each["kind"] != "check"] or holds)[:1]
    return (open_ or fails)[:1]


def told(finding: Mapping[str, Any]) -> str:
    """What a finding measured, what was asked of it, and what came of it."""
    what = f"{finding['what']}{_at(finding)}: {_shortened(finding['shown'])}; {finding['criterion']['text']}"
    return f"{what}: {WORDS[finding['outcome']]}"


def _shortened(shown: str) -> str:
    """Of a long series the first and the last estimate."""
    parts = shown.split("; ")
    labelled = [part for part in parts if " at " in part]
    if len(labelled) <= FEW:
        return shown
    return "; ".join([f"{labelled[0]} ... {labelled[-1]}", *(part for part in parts if part not in labelled)])


def _at(finding: Mapping[str, Any]) -> str:
    """Its settings, unless its words say them."""
    words = [rf"(?<![\w.^]){re.escape(_short(value))}(?![\w.])" for value in finding["settings"].values()]
    missing = not all(re.search(word, finding["what"]) for word in words)
    return f" ({_settings(finding)})" if missing else ""


INTRODUCTION = """# Ledger

What researchers of superposition said or asked, and what the findings of this project decide:
{counted}. `make claims`
works it out again; `toymodels claims ID path=value --run` asks at other settings.

A: learning several components at once. B: interference and capacity. C: monosemantic neurons. D: recovering features.
E: erasing, steering and truth-like directions. F: computing, failing, memorising, learning coefficients. Symbols are
those of [notation](notation.md); the words of a setting are the axes and fields of its page.

A claim names findings, and one rule decides. *Supported*: every finding holds. *Refuted*: one of them fails at every
setting. *Qualified*: each holds at some setting, and one fails at another. *Undecided*: intervals straddle the
criterion, or too few cells are usable. Findings decide by their whole interval, at 95 % for all settings of a series
together. Criteria were written before their sweeps ran; a criterion that was changed afterwards is marked *revised*.

"""


def page(rows: Sequence[Row]) -> str:
    """The ledger as a page of `docs`."""
    return INTRODUCTION.format(counted=counted(rows)) + markdown(rows)


def markdown(rows: Sequence[Row], root: str = "..") -> str:
    """A table of claims and a section for each; links start from `root`."""
    head = [
        "| claim | statement | verdict | deciding numbers | fresh seeds | other settings |",
        "|---|---|---|---|---|---|",
    ]
    for each in rows:
        link, numbers = f"[{each.claim.id}](#{each.claim.id.lower()})", "<br>".join(map(told, deciding(each.answer)))
        elsewhere = ", ".join(change.verdict for change in each.changed)
        cells = (link, each.claim.sentence, f"**{each.verdict}**", numbers, each.fresh.verdict, elsewhere)
        head.append(markdown_row(cells))
    return "\n".join([*head, "", *(line for each in rows for line in (*_section(each, root), ""))])


def _section(row: Row, root: str) -> list[str]:
    claim, answer = row.claim, row.answer
    lines = [f"## {claim.id}", "", claim.sentence, "", f"**{answer.verdict.capitalize()}**"]
    lines[-1] += f": {where(answer)}." if answer.verdict in PARTED else "."
    lines[-1] += f" {claim.note}" if claim.note else ""
    if answer.verdict == "undecided":
        lines += ["", f"What would decide it: {'; '.join(undecided(answer)) or 'findings that are not undecided'}."]
    if row.figure:
        lines += ["", f"![{claim.figure}]({root}/{row.figure})"]
    fresh = {each["id"]: each for each in row.fresh.findings}
    lines += ["", "| finding | measured | criterion | verdict | fresh seeds |", "|---|---|---|---|---|"]
    for each in answer.findings:
        again = fresh.get(each["id"])
        told = f"{_parted(again)[0]}: {again['outcome']}" if again else "not run"
        revised = " (revised)" if each["revised"] else ""
        cells = (f"`{each['id']}`: {each['what']}", each["shown"], each["criterion"]["text"], each["outcome"] + revised)
        lines.append(markdown_row((*cells, told)))
    for change in row.changed:
        lines += ["", f"At `{change.overrides}`: {change.verdict}{_why(change)}. `{row.command_of(change)}`"]
    seeds = f"Sampled: {row.seeds}." if row.seeds else "Nothing is sampled."
    seeds += f" Cells: {row.cells}." if row.cells else ""
    seeds += f" On seeds moved by {OFFSET}: {row.fresh.verdict}."
    page = f"[`experiments/{row.experiment.name}.py`]({root}/experiments/{row.experiment.name}.py)"
    return [
        *lines,
        "",
        f"{seeds} Source: {row.experiment.source}. Page: {page}. Again, or with other settings: `{row.command}`",
    ]


def _why(answer: Answer) -> str:
    told = where(answer) if answer.verdict in PARTED else ""
    return f" ({told})" if told else ""
