"""Criteria decide by the whole interval; findings print, count and write themselves."""

import copy
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels import findings
from toymodels.estimates import Category, Estimate, Series, each, exact, exactly
from toymodels.findings import (
    FAILS,
    HOLDS,
    REPORTED,
    UNDECIDED,
    Above,
    AtLeast,
    AtMost,
    Below,
    Decreasing,
    Finding,
    Follows,
    Increasing,
    Is,
    Near,
    Region,
    Somewhere,
    Within,
    ours,
    report,
    stated,
)

NUMBERS = st.floats(-10, 10).map(lambda x: round(x, 1))


@st.composite
def intervals(draw) -> Estimate:
    low, value, high = sorted(draw(st.tuples(NUMBERS, NUMBERS, NUMBERS)))
    return Estimate(value, low, high, "seed", 8)


@st.composite
def regions(draw) -> Region:
    low, high = sorted(draw(st.tuples(NUMBERS, NUMBERS)))
    kind = draw(st.sampled_from([AtMost, AtLeast, Below, Above, Within, Near]))
    return Within(low, high) if kind is Within else Near(low, within=high - low) if kind is Near else kind(low)


def inside(region: Region, x: float) -> bool:
    """Whether one number meets the criterion, by what its name says."""
    match region:
        case AtMost(limit):
            return x <= limit
        case AtLeast(limit):
            return x >= limit
        case Below(limit):
            return x < limit
        case Above(limit):
            return x > limit
        case Within(low, high):
            return low <= x <= high
        case Near(target, within):
            return target - within <= x <= target + within
    raise AssertionError


@given(regions(), intervals())
def test_the_whole_interval_decides(region: Region, estimate: Estimate) -> None:
    """Regions are convex: the ends of an interval lie in one exactly if all of it does; with both outside on the same
    side, none of it does."""
    low, high = inside(region, estimate.low), inside(region, estimate.high)
    if low and high:
        assert region.decide(estimate) == HOLDS
    elif low or high:
        assert region.decide(estimate) == UNDECIDED
    else:
        grid = [estimate.low + (estimate.high - estimate.low) * k / 1000 for k in range(1001)]
        crossed = any(inside(region, x) for x in grid) or (region.ends[0] == region.ends[1] and not region.strict)
        assert region.decide(estimate) == FAILS or crossed


@given(regions(), NUMBERS)
def test_a_deterministic_number_is_never_undecided(region: Region, x: float) -> None:
    assert region.decide(exact(x)) == (HOLDS if inside(region, x) else FAILS)


@given(regions(), intervals(), st.floats(0, 5))
def test_a_narrower_interval_never_turns_a_decision(region: Region, estimate: Estimate, share: float) -> None:
    share = min(share, 1.0)
    low, high = (estimate.value + share * (end - estimate.value) for end in (estimate.low, estimate.high))
    narrow = Estimate(estimate.value, min(low, estimate.value), max(high, estimate.value), "seed", 8)
    before, after = region.decide(estimate), region.decide(narrow)
    assert before in (after, UNDECIDED)


@given(regions())
def test_without_data_nothing_is_decided(region: Region) -> None:
    assert region.decide(Estimate(math.nan, -math.inf, math.inf, "seed", 0)) == UNDECIDED


@given(regions(), st.lists(intervals(), min_size=1, max_size=4))
def test_series_hold_everywhere_or_fail_somewhere(region: Region, estimates: list[Estimate]) -> None:
    series = Series(tuple(map(str, range(len(estimates)))), tuple(estimates))
    alone = [region.decide(estimate) for estimate in estimates]
    wanted = FAILS if FAILS in alone else HOLDS if set(alone) == {HOLDS} else UNDECIDED
    assert region.decide(series) == wanted
    anywhere = HOLDS if HOLDS in alone else FAILS if set(alone) == {FAILS} else UNDECIDED
    assert Somewhere(region).decide(series) == anywhere


@given(st.lists(intervals(), min_size=2, max_size=4), st.floats(0, 2).map(lambda x: round(x, 1)))
def test_trends_are_decided_by_their_steps(steps: list[Estimate], slack: float) -> None:
    levels = tuple(exact(0) for _ in range(len(steps) + 1))
    series = Series(tuple(map(str, range(len(levels)))), levels, tuple(steps))
    negated = [Estimate(-each.value, -each.high, -each.low, each.unit, each.count) for each in steps]
    mirrored = Series(series.at, levels, tuple(negated))
    assert Increasing(slack).decide(series) == Decreasing(slack).decide(mirrored)
    if all(step.low >= -slack for step in steps):
        assert Increasing(slack).decide(series) == HOLDS
    if any(step.high < -slack for step in steps):
        assert Increasing(slack).decide(series) == FAILS


@given(st.lists(st.tuples(NUMBERS, intervals()), min_size=1, max_size=4), st.floats(0, 2))
def test_following_is_being_near_at_each_label(pairs: list[tuple[float, Estimate]], within: float) -> None:
    targets, estimates = zip(*pairs, strict=True)
    series = Series(tuple(map(str, range(len(pairs)))), estimates)
    alone = [Near(target, within).decide(estimate) for target, estimate in pairs]
    assert Follows(targets, within).decide(series) == findings.every(alone)


@given(st.floats(0.01, 100), st.floats(1.01, 3))
def test_a_factor_is_symmetric_on_a_log_scale(target: float, factor: float) -> None:
    near = Near(target, factor=factor)
    for ratio in (factor * 0.999, 1 / (factor * 0.999)):
        assert near.decide(exact(target * ratio)) == HOLDS
    for ratio in (factor * 1.001, 1 / (factor * 1.001)):
        assert near.decide(exact(target * ratio)) == FAILS


@given(st.floats(0, 1))
def test_names_hold_where_resampling_says_so(share: float) -> None:
    found = Category("pentagon", {"pentagon": share, "square": 1 - share}, "restart", 8)
    wanted = HOLDS if share >= 0.95 else FAILS if share <= 0.05 else UNDECIDED
    assert Is("pentagon").decide(found) == wanted
    assert Is("pentagon", "square").decide(found) == HOLDS
    assert Is("hexagon").decide(found) == FAILS


def test_criteria_of_the_wrong_kind_are_refused() -> None:
    for criterion, measured in (
        (AtMost(1), exactly("pentagon")),
        (Is("pentagon"), exact(1)),
        (Increasing(), exact(1)),
        (Increasing(), each({"a": 1, "b": 2})),
        (Follows((1,), 1), exact(1)),
        (Follows((1,), 1), each({"a": 1, "b": 2})),
    ):
        with pytest.raises(TypeError):
            criterion.decide(measured)


@pytest.mark.parametrize("make", [lambda: Within(2, 1), lambda: Near(1, -1), lambda: Near(-1, factor=2)])
def test_regions_that_are_none_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"within|near"):
        make()


CRITERIA = [AtMost(0.5), AtLeast(2), Below(1), Above(0), Within(1, 2), Near(1, 0.1), Near(2, factor=1.25), Increasing()]
CRITERIA += [Decreasing(0.5), Somewhere(Above(1)), Follows((1, 2), 0.1), Follows((1, 2), factor=2), Is("a", "b")]


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_criteria_print_what_they_ask_for(criterion) -> None:
    numbers = {
        str(value) for value in vars(criterion).values() if isinstance(value, int) and not isinstance(value, bool)
    }
    assert str(criterion)
    assert all(number in str(criterion) for number in numbers if number not in ("0", "1"))


FOUND = Finding(
    "size", "size of x", Estimate(1.0, 0.9, 1.1, "seed", 8), AtMost(2), stated("A paper"), settings={"n": 6}
)


def test_findings_are_data() -> None:
    data = json.loads(json.dumps(FOUND.to_dict(), allow_nan=False))
    assert data["id"] == "size[n=6]"
    assert data["outcome"] == HOLDS
    assert data["measured"] == {"type": "Estimate", "value": 1.0, "low": 0.9, "high": 1.1, "unit": "seed", "count": 8}
    assert data["criterion"] == {"type": "AtMost", "limit": 2, "text": "at most 2"}
    assert data["source"] == {"how": "stated", "where": "A paper"}
    assert data["shown"] == "1 (0.9 to 1.1); 8 seeds"


def test_numbers_that_json_lacks_are_null() -> None:
    unknown = report("x", "x", Estimate(math.nan, -math.inf, math.inf, "seed", 1)).to_dict()
    assert unknown["measured"]["value"] is None
    assert "no data" in unknown["shown"]
    json.dumps(unknown, allow_nan=False)


@pytest.mark.parametrize(
    "change",
    [{"kind": "guess"}, {"criterion": None}, {"kind": "report"}, {"source": None}],
    ids=lambda change: next(iter(change)),
)
def test_findings_that_leave_something_out_are_refused(change: dict) -> None:
    with pytest.raises((ValueError, TypeError), match="size"):
        Finding(**(vars(FOUND) | change))


def test_a_bare_number_is_no_criterion() -> None:
    bare = copy.copy(FOUND)
    object.__setattr__(bare, "criterion", 0.1)
    with pytest.raises(ValueError, match=r"size: criterion=0.1 is none, such as AtLeast\(0.1\)"):
        findings.check_criterion(bare)


def test_ids_are_unique() -> None:
    with pytest.raises(ValueError, match=r"size\[n=6\]: 2 findings"):
        findings.check_unique([FOUND, FOUND])


def test_tables_count_checks_apart(tmp_path) -> None:
    found = [FOUND, Finding("same", "a = a", exact(0), Near(0), ours("identity"), "check"), report("y", "y", exact(3))]
    data = [each.to_dict() for each in found]
    assert findings.tally(data) == "measurements: 1 hold; checks: 1 hold; 1 reports"
    assert "ours: identity" in findings.markdown(data)
    assert [row[-1] for row in findings.rows(data)] == ["holds", "holds (check)", ""]
    findings.write(tmp_path / "f.json", "toy", "address", data)
    assert findings.read(tmp_path / "f.json")["findings"] == data
    assert data[2]["outcome"] == REPORTED
    (tmp_path / "f.json").write_text("{")
    assert findings.read(tmp_path / "f.json") is None
