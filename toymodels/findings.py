"""Findings: what was measured, what it should be, where that is said, and whether it is so.

A criterion states a region of numbers, prints itself, and decides by the whole interval: `HOLDS` where all of it lies
inside, `FAILS` where all of it lies outside, `UNDECIDED` where it straddles the edge or there is nothing to judge.
Imprecision never passes a test. A series is judged at every label: one that fails makes it fail.

>>> import xarray as xr
>>> from toymodels.estimates import mean
>>> sampled = mean(xr.DataArray([2.5, 2.6, 2.7, 2.4], dims="seed"))
>>> AtLeast(2.0).decide(sampled), AtLeast(2.6).decide(sampled), AtLeast(3.0).decide(sampled)
('holds', 'undecided', 'fails')
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from toymodels.estimates import Category, Estimate, Measured, Series
from toymodels.files import seal, write_text

Outcome = Literal["holds", "fails", "undecided", "reported"]
HOLDS: Outcome = "holds"
FAILS: Outcome = "fails"
UNDECIDED: Outcome = "undecided"
REPORTED: Outcome = "reported"

Kind = Literal["measurement", "best of k", "check", "report"]
KINDS: tuple[Kind, ...] = ("measurement", "best of k", "check", "report")


# ------------------------------------------------------------------------------------------------------------- criteria


@runtime_checkable
class Criterion(Protocol):
    """Prints itself, and decides."""

    def __str__(self) -> str: ...
    def decide(self, measured: Measured) -> Outcome: ...


class Region:
    """A criterion for numbers: an interval of the real line, its ends included unless `strict`."""

    strict = False

    @property
    def ends(self) -> tuple[float, float]:
        raise NotImplementedError

    def decide(self, measured: Measured) -> Outcome:
        if isinstance(measured, Category):
            raise TypeError(f"{self}: a criterion for numbers, and this is a name, {measured.name}")
        if isinstance(measured, Series):
            return every(self.decide(each) for each in measured.estimates)
        if math.isnan(measured.value):
            return UNDECIDED
        low, high = self.ends
        if low <= measured.low and measured.high <= high and not self._touches(measured.low, measured.high):
            return HOLDS
        if measured.high < low or high < measured.low or self._touches(measured.high, measured.low):
            return FAILS
        return UNDECIDED

    def _touches(self, first: float, last: float) -> bool:
        """Whether an end of an interval lies on an end that a strict region leaves out."""
        low, high = self.ends
        return self.strict and ((first == low > -math.inf) or (last == high < math.inf))


@dataclass(frozen=True)
class AtMost(Region):
    limit: float

    @property
    def ends(self) -> tuple[float, float]:
        return -math.inf, self.limit

    def __str__(self) -> str:
        return f"at most {self.limit:.6g}"


@dataclass(frozen=True)
class AtLeast(Region):
    limit: float

    @property
    def ends(self) -> tuple[float, float]:
        return self.limit, math.inf

    def __str__(self) -> str:
        return f"at least {self.limit:.6g}"


@dataclass(frozen=True)
class Below(Region):
    limit: float
    strict = True

    @property
    def ends(self) -> tuple[float, float]:
        return -math.inf, self.limit

    def __str__(self) -> str:
        return f"below {self.limit:.6g}"


@dataclass(frozen=True)
class Above(Region):
    limit: float
    strict = True

    @property
    def ends(self) -> tuple[float, float]:
        return self.limit, math.inf

    def __str__(self) -> str:
        return f"above {self.limit:.6g}"


@dataclass(frozen=True)
class Within(Region):
    """Between two numbers, ends included."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"within {self.low:g} to {self.high:g}: the lower end comes first")

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high

    def __str__(self) -> str:
        return f"within {self.low:.6g} to {self.high:.6g}"


@dataclass(frozen=True)
class Near(Region):
    """Within an absolute distance of a number, or within a ratio of a positive one."""

    target: float
    within: float = 0.0
    factor: float = 1.0
    """At least 1: a factor 1.25 allows 0.8 to 1.25 times the target."""

    def __post_init__(self) -> None:
        if self.within < 0 or self.factor < 1 or (self.factor > 1 and (self.within or not self.target > 0)):
            raise ValueError(f"near {self.target:g}: a distance of at least 0, or a factor of at least 1, not both")

    @property
    def ends(self) -> tuple[float, float]:
        if self.factor > 1:
            return self.target / self.factor, self.target * self.factor
        return self.target - self.within, self.target + self.within

    def __str__(self) -> str:
        if self.factor > 1:
            return f"{self.target:.6g} within a factor {self.factor:.4g}"
        return f"{self.target:.6g}" + (f" within {self.within:.4g}" if self.within else "")


@dataclass(frozen=True)
class Increasing:
    """No step of a series, paired by unit, falls by more than `slack`."""

    slack: float = 0.0

    def decide(self, measured: Measured) -> Outcome:
        return every(AtLeast(-self.slack).decide(step) for step in _steps(measured))

    def __str__(self) -> str:
        return "never falls" + (f" by more than {self.slack:.4g}" if self.slack else "")


@dataclass(frozen=True)
class Decreasing:
    """No step of a series, paired by unit, rises by more than `slack`."""

    slack: float = 0.0

    def decide(self, measured: Measured) -> Outcome:
        return every(AtMost(self.slack).decide(step) for step in _steps(measured))

    def __str__(self) -> str:
        return "never rises" + (f" by more than {self.slack:.4g}" if self.slack else "")


@dataclass(frozen=True)
class Somewhere:
    """The criterion holds at one label of a series or more; it fails only where it fails at all of them."""

    criterion: Region

    def decide(self, measured: Measured) -> Outcome:
        if not isinstance(measured, Series):
            return self.criterion.decide(measured)
        return _opposite(every(_opposite(self.criterion.decide(each)) for each in measured.estimates))

    def __str__(self) -> str:
        return f"{self.criterion} at one label or more"


@dataclass(frozen=True)
class Follows:
    """A series lies near a predicted one, label by label: within an absolute distance, or within a factor."""

    targets: tuple[float, ...]
    within: float = 0.0
    factor: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(map(float, self.targets)))

    def decide(self, measured: Measured) -> Outcome:
        if not isinstance(measured, Series) or len(measured.estimates) != len(self.targets):
            raise TypeError(f"{len(self.targets)} predicted values take a series of as many estimates")
        each = zip(self.targets, measured.estimates, strict=True)
        return every(Near(target, self.within, self.factor).decide(estimate) for target, estimate in each)

    def __str__(self) -> str:
        tolerance = f"a factor {self.factor:.4g}" if self.factor > 1 else f"{self.within:.4g}"
        return f"{', '.join(f'{target:.4g}' for target in self.targets)}, each within {tolerance}"


@dataclass(frozen=True)
class Is:
    """A name is one of these, with at least 95 % under resampling; fails where it is with at most 5 %."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)

    def decide(self, measured: Measured) -> Outcome:
        if not isinstance(measured, Category):
            raise TypeError(f"{self}: a criterion for names")
        share = sum(measured.shares.get(name, 0.0) for name in self.names)
        return HOLDS if share >= 0.95 else FAILS if share <= 0.05 else UNDECIDED

    def __str__(self) -> str:
        return " or ".join(self.names)


def every(outcomes: Iterable[Outcome]) -> Outcome:
    """Fails where one fails, holds where all hold and there is one, else undecided."""
    found = list(outcomes)
    return FAILS if FAILS in found else HOLDS if found and set(found) == {HOLDS} else UNDECIDED


def _opposite(outcome: Outcome) -> Outcome:
    return {HOLDS: FAILS, FAILS: HOLDS}.get(outcome, UNDECIDED)  # type: ignore[return-value]


def would_decide(measured: Measured, criterion: Criterion) -> str:
    """How many units would decide what is undecided, if the value stays and the interval narrows with their root."""
    if isinstance(measured, Category):
        return f"more {measured.unit or 'unit'}s, until one name has 95 % of the resamples"
    parts = [(label, each, region) for label, each, region in _parts(measured, criterion) if _open(each, region)]
    if any(math.isnan(each.value) for _, each, _ in parts):
        where = ", ".join(label for label, each, _ in parts if math.isnan(each.value))
        return "usable cells" + (f" at {where}" if where else "") + ": there are none"
    needed = {label: (_units(each, region), each) for label, each, region in parts}
    if not needed:
        return ""
    label, (count, each) = max(needed.items(), key=lambda item: item[1][0])
    where, unit = f" at {label}" if label else "", each.unit or "unit"
    if math.isinf(count):
        return f"no number of {unit}s{where}: the value lies on the limit"
    return f"about {math.ceil(count):,} {unit}s{where} instead of {each.count:,}"


def _parts(measured: Estimate | Series, criterion: Criterion) -> list[tuple[str, Estimate, Region]]:
    """The labels, estimates and regions of a decision, one by one."""
    if isinstance(criterion, Increasing | Decreasing):
        rising = isinstance(criterion, Increasing)
        change: Region = AtLeast(-criterion.slack) if rising else AtMost(criterion.slack)
        labels = measured.at if isinstance(measured, Series) else ()
        return [(f"{label} and before", step, change) for label, step in zip(labels[1:], _steps(measured), strict=True)]
    own = (
        [("", measured)] if isinstance(measured, Estimate) else list(zip(measured.at, measured.estimates, strict=True))
    )
    if isinstance(criterion, Follows):
        regions: list[Region] = [Near(target, criterion.within, criterion.factor) for target in criterion.targets]
    else:
        one = criterion.criterion if isinstance(criterion, Somewhere) else criterion
        regions = [one] * len(own) if isinstance(one, Region) else []
    return [(label, each, region) for (label, each), region in zip(own, regions, strict=bool(regions))]


def _open(estimate: Estimate, region: Region) -> bool:
    return region.decide(estimate) == UNDECIDED


def _units(estimate: Estimate, region: Region) -> float:
    """How many units make an interval so narrow that it lies on one side of the region's nearest end."""
    nearest = min((end for end in region.ends if math.isfinite(end)), key=lambda end: abs(end - estimate.value))
    reach = estimate.value - estimate.low if nearest < estimate.value else estimate.high - estimate.value
    gap = abs(nearest - estimate.value)
    return estimate.count * (reach / gap) ** 2 if gap > 1e-3 * reach else math.inf


def _steps(measured: Measured) -> Sequence[Estimate]:
    if not isinstance(measured, Series) or len(measured.steps) != len(measured.estimates) - 1:
        raise TypeError("a criterion for a series with its steps: see estimates.steps")
    return measured.steps


# ------------------------------------------------------------------------------------------------------------- findings


@dataclass(frozen=True)
class Source:
    """Where the number of a criterion comes from: stated there, read off a figure there, or ours."""

    how: Literal["stated", "read off a figure", "ours"]
    where: str

    def __str__(self) -> str:
        return {"stated": "", "read off a figure": "read off a figure: ", "ours": "ours: "}[self.how] + self.where


def stated(where: str) -> Source:
    """The number is stated in this source."""
    return Source("stated", where)


def read_off(where: str) -> Source:
    """The number was read off a figure of this source."""
    return Source("read off a figure", where)


def ours(where: str) -> Source:
    """The number is ours: how we came by it, and whose claim it quantifies."""
    return Source("ours", where)


@dataclass(frozen=True)
class Finding:
    """One thing that was measured, beside what it should be."""

    id: str
    """Stable, within its experiment, such as "shelf-level"; with `settings` it is unique."""
    what: str
    measured: Measured
    criterion: Criterion | None
    source: Source | None
    """None for a report."""
    kind: Kind = "measurement"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What sets it apart from findings of the same id, such as {"n": 6}."""
    revised: str = ""
    """For a criterion that was changed after its result was seen: what it was, and why it changed."""
    note: str = ""
    digits: str = ".3g"
    """How numbers are printed."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.id}: {self.kind} is not one of {', '.join(KINDS)}")
        if (self.criterion is None) != (self.kind == "report"):
            raise ValueError(f"{self.id}: a report has no criterion, and everything else has one")
        if self.criterion is not None and self.source is None:
            raise ValueError(f"{self.id}: say where the criterion comes from")

    @property
    def key(self) -> str:
        """The id with the settings: "shelf-level[n=6]"."""
        text = ",".join(f"{name}={_short(value)}" for name, value in self.settings.items())
        return f"{self.id}[{text}]" if text else self.id

    @property
    def outcome(self) -> Outcome:
        return self.criterion.decide(self.measured) if self.criterion else REPORTED

    @property
    def decided_by(self) -> str:
        """What would decide a finding that is undecided; empty for others."""
        return would_decide(self.measured, self.criterion) if self.criterion and self.outcome == UNDECIDED else ""

    @property
    def shown(self) -> str:
        """The measurement as it is printed."""
        sampled = self.measured.sampled
        return f"{self.measured:{self.digits}}" + (f"; {sampled}" if sampled else "")

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; NaN and infinities are None."""
        return {
            "id": self.key,
            "what": self.what,
            "kind": self.kind,
            "settings": {name: _plain(value) for name, value in self.settings.items()},
            "measured": _tagged(self.measured),
            "shown": self.shown,
            "criterion": None if self.criterion is None else {**_tagged(self.criterion), "text": str(self.criterion)},
            "source": None if self.source is None else asdict(self.source),
            "outcome": self.outcome,
            "decided_by": self.decided_by,
            "revised": self.revised,
            "note": self.note,
        }


def report(id: str, what: str, measured: Measured, **more: Any) -> Finding:
    """A number without an expectation."""
    return Finding(id, what, measured, None, None, "report", **more)


def check_unique(found: Sequence[Finding]) -> None:
    """ValueError if two findings have one id and one set of settings."""
    for key, count in Counter(finding.key for finding in found).items():
        if count > 1:
            raise ValueError(f"{key}: {count} findings of this id; tell them apart by `settings`")


def _tagged(value: Any) -> dict[str, Any]:
    return {"type": type(value).__name__, **_plain(asdict(value))}


def _plain(value: Any) -> Any:
    """JSON data: numbers that JSON lacks become None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# ----------------------------------------------------------------------------------------------------- tables and files


def check_criterion(finding: Finding) -> Finding:
    """The same finding; ValueError where its criterion is something else, such as a bare number."""
    if not isinstance(finding.criterion, Criterion | None):
        raise ValueError(f"{finding.id}: criterion={finding.criterion!r} is none, such as AtLeast(0.1)")
    return finding


def write(path: Path, experiment: str, address: str, found: Sequence[Mapping[str, Any]], **more: Any) -> None:
    """Findings, as JSON data, into a file in one act, sealed."""
    data = {"experiment": experiment, "address": address, **more, "findings": list(found)}
    data["seal"] = seal(json.loads(json.dumps(data)))
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> dict[str, Any] | None:
    """What `write` wrote; None where there is nothing, or not as it was written."""
    try:
        data = json.loads(path.read_text())
        sealed = data.pop("seal", None)
        # Without a seal, as older versions wrote them, no fields but these.
        whole = set(data) <= UNSEALED if sealed is None else sealed == seal(data)
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return None
    return data if whole and {"address", "findings"} <= set(data) else None


UNSEALED = {"experiment", "address", "asked", "question", "source", "findings"}


COLUMNS = ("id", "what", "measured", "expected", "source", "verdict")


def rows(findings: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Findings, as JSON data, as the cells of a table: `COLUMNS`."""
    return [
        (
            each["id"],
            each["what"] + (f" ({each['note']})" if each["note"] else ""),
            each["shown"],
            each["criterion"]["text"] if each["criterion"] else "",
            str(Source(**each["source"])) if each["source"] else "",
            _verdict(each),
        )
        for each in findings
    ]


def _verdict(finding: Mapping[str, Any]) -> str:
    words = "" if finding["outcome"] == REPORTED else finding["outcome"]
    if finding["kind"] in ("best of k", "check"):
        words += f" ({finding['kind']})"
    return words + (" (revised)" if finding["revised"] else "")


def markdown(findings: Iterable[Mapping[str, Any]]) -> str:
    """Findings, as JSON data, as a Markdown table."""
    return "\n".join(map(markdown_row, [COLUMNS, ["---"] * len(COLUMNS), *rows(findings)]))


def markdown_row(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def tally(findings: Iterable[Mapping[str, Any]]) -> str:
    """How many hold, fail and are undecided, kind by kind, in a sentence."""
    counts = Counter((each["kind"], each["outcome"]) for each in findings)
    parts = []
    for kind, name in (("measurement", "measurements"), ("best of k", "best-of-k findings"), ("check", "checks")):
        told = [f"{counts[kind, outcome]} {word}" for outcome, word in _WORDS if counts[kind, outcome]]
        if told:
            parts.append(f"{name}: {', '.join(told)}")
    parts.append(f"{counts['report', REPORTED]} reports")
    return "; ".join(parts)


_WORDS = ((HOLDS, "hold"), (FAILS, "fail"), (UNDECIDED, "undecided"))
