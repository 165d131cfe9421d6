"""The table of what repeats on fresh seeds."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from toymodels.findings import markdown_row

if TYPE_CHECKING:
    from toymodels.lab import Repeated

HEAD = "| id | kind | first | fresh | verdict | repeats |\n|---|---|---|---|---|---|"
JUDGED = ("measurement", "best of k", "check")


def counted(found: Sequence["Repeated"]) -> str:
    """How many verdicts repeat, kind by kind, in a sentence."""
    counts = Counter((each.first["kind"], each.change) for each in found)
    parts = []
    for kind in JUDGED:
        total = sum(count for (of, _), count in counts.items() if of == kind)
        if total:
            changed, shifted = counts[kind, "changed"], counts[kind, "shifted"]
            parts.append(f"{kind}: {changed} of {total} change ({changed / total:.1%}), {shifted} shift")
    return "; ".join(parts)


def table(found: Sequence["Repeated"], offset: int, scale: str) -> str:
    """All verdicts on the first seeds and on fresh ones, as Markdown."""
    lines = [
        "# Replication",
        "",
        f"`toymodels replicate --offset {offset}` makes this table: every experiment retrained at {scale} scale, all",
        f"seeds moved by {offset}, every finding judged again. *Changed*: from holds to fails or back. *Shifted*: to",
        f"or from undecided. {counted(found)}.",
    ]
    for name in dict.fromkeys(each.experiment for each in found):
        own = [each for each in found if each.experiment == name and each.first["kind"] in JUDGED]
        lines += ["", f"## {name}", "", HEAD]
        for each in own:
            fresh = each.fresh or {"shown": "absent", "outcome": "absent"}
            verdicts = f"{each.first['outcome']}, {fresh['outcome']}"
            cells = (each.first["id"], each.first["kind"], each.first["shown"], fresh["shown"], verdicts, each.change)
            lines.append(markdown_row(cells))
    return "\n".join(lines) + "\n"
