"""Claims: one rule makes a verdict of outcomes, and what is undecided says what would decide it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.claims import Claim, decide
from toymodels.estimates import Estimate, Series
from toymodels.findings import (
    AtLeast,
    AtMost,
    Finding,
    Follows,
    Increasing,
    Near,
    Somewhere,
    Within,
    ours,
    would_decide,
)

outcomes = st.lists(st.sampled_from(["holds", "fails", "undecided"]), min_size=1, max_size=5)
tables = st.dictionaries(st.sampled_from(["one", "two", "three"]), outcomes, min_size=1)


@given(tables)
def test_each_verdict_is_what_it_says(found: dict[str, list[str]]) -> None:
    """The sentences of the rule, one by one."""
    verdict, everything = decide(found), [outcome for each in found.values() for outcome in each]
    fails_everywhere = any(all(outcome == "fails" for outcome in each) for each in found.values())
    assert (verdict == "supported") == all(outcome == "holds" for outcome in everything)
    assert (verdict == "refuted") == fails_everywhere
    qualified = "fails" in everything and all("holds" in each for each in found.values())
    assert (verdict == "qualified") == qualified
    assert verdict != "not run"


@given(tables, st.sampled_from(["holds", "fails"]))
def test_decided_verdicts_stay_when_more_is_decided_alike(found: dict[str, list[str]], outcome: str) -> None:
    """Where what was undecided turns out as at another setting of that finding, a decided row keeps its verdict."""
    verdict = decide(found)
    known = {id: [each for each in of if each != "undecided"] for id, of in found.items()}
    settled = {id: [each if each != "undecided" else (known[id] or [outcome])[0] for each in found[id]] for id in found}
    if verdict in ("supported", "refuted", "qualified"):
        assert decide(settled) == verdict


def test_what_is_absent_is_not_run() -> None:
    claim = Claim("A1", "It is so.", ["one", "other:two"])
    there = {"id": "one[p=0.1]", "outcome": "holds"}
    assert claim.decide([there]) == "not run"
    assert claim.decide([there, {"id": "two", "outcome": "holds"}]) == "not run"  # of its own page, not of the other
    assert claim.decide([there, {"id": "other:two[p=1]", "outcome": "holds"}]) == "supported"


@pytest.mark.parametrize("id", ["", "A", "4", "A4b", "A-4"])
def test_ids_are_a_letter_and_a_number(id: str) -> None:
    with pytest.raises(ValueError, match="a letter and a number"):
        Claim(id, "It is so.", ["one"])


@given(st.floats(-2, 2), st.floats(0.01, 3), st.floats(-2, 2), st.integers(2, 1000), st.sampled_from([AtLeast, AtMost]))
def test_so_many_units_decide(value: float, reach: float, limit: float, count: int, kind: type) -> None:
    """With the interval narrowed by the root of the ratio of units, the finding is decided; with fewer, it is not."""
    estimate = Estimate(value, value - reach, value + reach, "seed", count)
    criterion = kind(limit)
    told = would_decide(estimate, criterion) if criterion.decide(estimate) == "undecided" else ""
    if abs(value - limit) < 1e-2 * reach or not told:
        return
    needed = int(told.split()[1].replace(",", ""))
    assert needed >= count
    for units in {needed + 1, needed - 2} - {0, -1}:
        narrow = reach * math.sqrt(count / units)
        again = criterion.decide(Estimate(value, value - narrow, value + narrow, "seed", units))
        assert (again != "undecided") == (units > needed)


def test_the_label_that_needs_most_is_named() -> None:
    near = Estimate(0.1, -1.0, 1.2, "seed", 10)
    far, sure = Estimate(0.5, -0.1, 1.1, "seed", 10), Estimate(2.0, 1.5, 2.5, "seed", 10)
    series = Series(("p=1", "p=2", "p=3"), (far, near, sure), (near, sure))
    assert would_decide(series, AtLeast(0)).startswith("about 1,210 seeds at p=2 instead of 10")
    assert would_decide(series, Somewhere(AtLeast(3))) == ""  # nothing straddles
    assert "at p=2 and before" in would_decide(series, Increasing())
    assert "at p=1" in would_decide(series, Follows((0.2, 5, 5), within=0.1))
    assert would_decide(Estimate(math.nan, math.nan, math.nan), Within(0, 1)) == "usable cells: there are none"
    assert "no number of seeds" in would_decide(Estimate(0, -1, 1, "seed", 4), AtLeast(0))


def test_a_finding_says_what_would_decide_it() -> None:
    def finding(value: Estimate) -> dict:
        return Finding("one", "a number", value, Near(0, 0.5), ours("a test")).to_dict()

    assert finding(Estimate(1.0, 0.0, 2.0, "seed", 8))["decided_by"] == "about 32 seeds instead of 8"
    assert finding(Estimate(0.0, -0.1, 0.1, "seed", 8))["decided_by"] == ""
