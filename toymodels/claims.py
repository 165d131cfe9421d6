"""Claims: what the field says or asks, and what findings decide about it.

A claim names findings of its page by their ids; each may be there at several settings. One rule decides:

    supported    every finding holds
    refuted      a finding that is needed fails at every setting
    qualified    every finding holds at some setting, and one fails at another: the row says at which
    undecided    anything else: intervals straddle, or too few cells are usable; the row says what would decide it
    not run      a finding that is needed is not there
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from toymodels.findings import FAILS, HOLDS

Verdict = Literal["supported", "refuted", "qualified", "undecided", "not run"]
VERDICTS: tuple[Verdict, ...] = ("supported", "refuted", "qualified", "undecided", "not run")


@dataclass(frozen=True)
class Claim:
    """A sentence that findings decide."""

    id: str
    """A letter and a number, such as "A4": its place in the ledger."""
    sentence: str
    needs: Sequence[str]
    """Ids of findings, without their settings: of the claim's own page, or of another one as "page:id"."""
    figure: str = ""
    """The figure of the page that shows it."""
    changes: Sequence[str] = ()
    """Other settings that the verdict is worked out at: overrides as on the command line, separated by spaces."""
    note: str = ""
    """What limits the answer, or what the question became so that findings decide it."""

    def __post_init__(self) -> None:
        if not (self.id[:1].isalpha() and self.id[1:].isdigit()):
            raise ValueError(f"{self.id}: a claim's id is a letter and a number")
        if not self.needs:
            raise ValueError(f"{self.id}: a claim needs a finding at least")

    @property
    def place(self) -> tuple[str, int]:
        """What the ledger is sorted by."""
        return self.id[0], int(self.id[1:])

    def needed(self, id: str) -> bool:
        """Whether a finding's id, settings and page included, is of one that the claim needs."""
        return id.partition("[")[0] in self.needs

    def decide(self, findings: Iterable[Mapping[str, Any]]) -> Verdict:
        """The verdict, from findings as JSON data, whose ids start with "page:" where they are of another page."""
        found: dict[str, list[str]] = {id: [] for id in self.needs}
        for each in findings:
            if self.needed(each["id"]):
                found[each["id"].partition("[")[0]].append(each["outcome"])
        return decide(found)


def decide(outcomes: Mapping[str, Sequence[str]]) -> Verdict:
    """The verdict, from the outcomes of each needed finding at its settings."""
    if not all(outcomes.values()):
        return "not run"
    if any(set(each) == {FAILS} for each in outcomes.values()):
        return "refuted"
    everything = {outcome for each in outcomes.values() for outcome in each}
    if everything == {HOLDS}:
        return "supported"
    if FAILS in everything and all(HOLDS in each for each in outcomes.values()):
        return "qualified"
    return "undecided"
