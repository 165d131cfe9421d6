"""The report: numbers come back, criteria are drawn as they decide, a page is whole, small and asks for nothing."""

import base64
import gzip
import io
import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from toymodels import Adam, Choice, Packing, Record, Run, Sweep, cli, findings, lab, report, sweep
from toymodels.analysis.geometry import feature_dimensionality
from toymodels.estimates import Estimate
from toymodels.experiment import Swept
from toymodels.findings import Above, AtLeast, AtMost, Below, Finding, Near, Somewhere, Within, ours
from toymodels.report import explorers, packing, page, values

FIGURES = Path(__file__).parent.parent / "figures"
finite = st.floats(-1e3, 1e3)


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=40))
def test_packed_numbers_come_back_within_a_step(numbers: list[float]) -> None:
    packed, array = packing.Packed(), np.array(numbers)
    packed.add(np.arange(3.0))
    place = packed.add(array)
    steps = np.frombuffer(gzip.decompress(base64.b64decode(packed.text())), "<i2")[place["at"] :]
    again = np.where(steps == packing.LOST, np.nan, steps * place["step"])
    assert np.array_equal(np.isnan(again), np.isnan(array))
    np.testing.assert_allclose(again, array, rtol=0, atol=place["step"] * 0.5001)


def test_a_picture_of_few_colours_looks_the_same() -> None:
    """Of every tenth figure: at most a half of the bytes, and of the colours, some grey levels."""
    for path in sorted(FIGURES.glob("*/*.png"))[::10]:
        drawn, light = path.read_bytes(), packing.lighter(path.read_bytes(), 1, 128)
        assert len(light) < len(drawn) / 2
        before, after = (np.asarray(Image.open(io.BytesIO(each)).convert("RGB"), float) for each in (drawn, light))
        assert np.abs(before - after).mean() < 2  # of 255


@given(st.integers(1, 500), st.integers(1, 60))
def test_thinned_places_keep_both_ends(count: int, most: int) -> None:
    places = explorers.evenly(count, most)
    assert len(places) <= most
    assert places[0] == 0
    assert places[-1] == count - 1 or most == 1


@given(st.dictionaries(st.sampled_from(["p", "r", "seed"]), st.integers(1, 30), min_size=1), st.integers(1, 4000))
def test_there_are_never_more_cells_than_room(sizes: dict[str, int], most: int) -> None:
    kept = explorers.thinned(sizes, most)
    assert kept is not None
    assert math.prod(kept.values()) <= most
    assert all(1 <= kept[axis] <= sizes[axis] for axis in sizes)
    if math.prod(sizes.values()) <= most:
        assert kept == sizes


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=8), st.integers(0, 10**6))
def test_room_goes_to_those_that_want_it(wanted: list[int], room: int) -> None:
    shares = explorers.shared_out(wanted, room)
    assert sum(shares) <= room
    assert all(share <= want for share, want in zip(shares, wanted, strict=True))
    short = [share for share, want in zip(shares, wanted, strict=True) if share < want]
    if short:  # nothing is left, and nobody who got less than another went short
        assert room - sum(shares) < len(wanted)
        assert max(shares) - min(short) <= len(wanted)
    else:
        assert shares == wanted


@given(
    st.one_of(
        st.builds(AtMost, finite),
        st.builds(AtLeast, finite),
        st.builds(Below, finite),
        st.builds(Above, finite),
        st.tuples(finite, st.floats(0.1, 100)).map(lambda each: Within(each[0], sum(each))),
        st.builds(Near, finite, within=st.floats(0.1, 100)),
        st.builds(lambda target: Near(target, factor=1.5), st.floats(0.1, 1e3)),
        st.sampled_from([AtMost, AtLeast, Below, Above]).flatmap(
            lambda kind: st.builds(Somewhere, st.builds(kind, finite))
        ),
        st.builds(lambda target: Somewhere(Near(target, within=2.0)), finite),
    ),
    finite,
    st.floats(0, 100),
)
def test_a_zone_is_where_a_criterion_holds(criterion: findings.Criterion, value: float, width: float) -> None:
    estimate = Estimate(value, value - width, value + width, "seed", 8)
    low, high = values.zone(Finding("a", "b", estimate, criterion, ours("c")).to_dict()["criterion"], 0)
    if min(abs(end - other) for end in (low, high) for other in (estimate.low, estimate.high)) > 1e-6:
        inside = low <= estimate.low and estimate.high <= high
        assert inside == (criterion.decide(estimate) == findings.HOLDS)


def test_an_interval_is_drawn_on_its_zone() -> None:
    drawn = page.interval(Finding("a", "b", Estimate(1, 0, 2, "seed", 8), AtMost(3), ours("c")).to_dict())
    zone, bar = (
        re.search(f'<{kind} class="{name}" [^>]*>', drawn)[0] for kind, name in (("rect", "zone"), ("line", "bar"))
    )
    left, wide = (float(re.search(f' {key}="([^"]*)"', zone)[1]) for key in ("x", "width"))
    low, high = (float(re.search(f' {key}="([^"]*)"', bar)[1]) for key in ("x1", "x2"))
    assert left <= low < high < left + wide
    lost = Finding("a", "b", Estimate(math.nan, math.nan, math.nan, "seed", 0), AtMost(3), ours("c"))
    assert page.interval(lost.to_dict()) == ""


def test_every_finding_that_is_committed_can_be_drawn() -> None:
    drawn = 0
    for path in sorted(FIGURES.rglob("findings.json")):
        for finding in json.loads(path.read_text())["findings"]:
            drawn += page.interval(finding) != ""
    assert drawn > 1000


# ---------------------------------------------------------------------------------------------------------------- pages


@pytest.fixture
def _there(repelling: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(repelling)
    yield
    for left in ("report.html", "figures"):
        path = repelling / left
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def embedded(text: str, id: str) -> str:
    return re.search(f'<script type="text/plain" id="{id}">(.*?)</script>', text, re.S)[1].replace("<\\/", "</")


@pytest.mark.usefixtures("_there")
def test_a_page_is_whole_and_asks_for_nothing(capsys: pytest.CaptureFixture) -> None:
    cli.main(["report", "repelling.py"])
    assert "wrote report.html" in capsys.readouterr().out
    text = Path("report.html").read_text()
    assert len(text) < report.MOST
    own = re.sub(r'<script type="text/plain".*?</script>', "", text, flags=re.S)
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(|fetch\(""", own)
    data = json.loads(embedded(text, "report-data"))["sections"][0]
    assert set(data["explorers"]) == {"flat", "deep"}
    assert data["maps"][0]["kinds"] == ["few", "many"]
    for expected in (
        "How do vectors repel",
        "Vectors are long",
        "squared length at power 2",
        "toymodels run repelling",
    ):
        assert expected in text
    assert json.loads(embedded(text, "report-pictures"))["repelling/by_power"][0] == "svg"


@pytest.mark.usefixtures("_there")
def test_what_an_explorer_shows_is_what_was_trained() -> None:
    study, packed = lab.study("repelling.py"), packing.Packed()
    swept = study.swept("flat")
    spec = explorers.explorer(swept, packed, 10**6)
    steps = np.frombuffer(gzip.decompress(base64.b64decode(packed.text())), "<i2")
    place = spec["vectors"]
    own = (steps[place["at"] :][: math.prod(place["shape"])] * place["step"]).reshape(3, 6, *place["shape"][1:])
    np.testing.assert_allclose(own[1, 4, -1], swept.data.V.isel(power=1, seed=4, snapshot=-1), atol=place["step"])
    products = spec["products"]
    gram = steps[products["at"] :][: math.prod(products["shape"])].reshape(3, 6, *products["shape"][1:])
    np.testing.assert_allclose(gram[2, 0, 3] * products["step"], own[2, 0, 3] @ own[2, 0, 3].T, atol=1e-3)
    assert spec["axes"][0]["labels"] == ["2", "4", "8"]


def test_models_of_several_sizes_are_shown_each_at_its_own() -> None:
    """Stored together they are filled up with NaN, and once the whole page was lost to that."""
    sizes = {f"{n} in {d}": {"problem": Packing(n, d)} for n, d in ((3, 2), (5, 4))}
    what = Sweep(Run(Packing(3, 2), Adam(0.1), steps=20, record=Record(5, 2)), [Choice("size", sizes)])
    data, packed = sweep(what), packing.Packed()
    spec = explorers.explorer(Swept(what, data), packed, 10**6)
    steps = np.frombuffer(gzip.decompress(base64.b64decode(packed.text())), "<i2")
    place = spec["dimensionality"]
    D = steps[place["at"] :][: math.prod(place["shape"])].reshape(place["shape"])
    lost = D == packing.LOST
    assert lost[0, :, 3:].all()
    assert not lost[0, :, :3].any()
    assert not lost[1].any()
    own = data.V.isel(size=0, snapshot=-1, feature=slice(3), dimension=slice(2)).values
    np.testing.assert_allclose(D[0, -1, :3] * place["step"], feature_dimensionality(own), atol=1e-4)
    assert "lost" not in spec["names"]


def test_a_model_that_diverged_is_lost_even_where_a_feature_is_not() -> None:
    rows = np.ones((2, 2, 3, 2))
    rows[:, 1, 0] = np.nan
    shown = explorers.whole(rows, np.array([True, False]))
    assert np.isfinite(shown).all(axis=-1).tolist() == [[[True] * 3, [False, True, True]], [[True] * 3, [False] * 3]]
    assert [explorers._arrangement(each[-1]) == "lost" for each in shown] == [False, True]


@pytest.mark.usefixtures("_there")
def test_less_room_shows_fewer_seeds_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "FOR_MODELS", 40_000)
    report.write([lab.study("repelling.py")], Path("report.html"))
    text = Path("report.html").read_text()
    assert re.search(r"Shown here: \d of 6 seed", text)


@pytest.mark.usefixtures("_there")
def test_pages_are_the_same_for_the_same_results() -> None:
    texts = []
    for _ in range(2):
        report.write([lab.study("repelling.py")], Path("report.html"))
        texts.append(re.sub("Made [^ ]* by", "Made by", Path("report.html").read_text()))
    assert texts[0] == texts[1]


@pytest.mark.usefixtures("_there")
def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(report, "MOST", page.script_size() + 1000)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["report", "repelling.py"])
    assert stopped.value.code == 2
    assert "name fewer" in capsys.readouterr().err
    assert not Path("report.html").exists()


@pytest.mark.usefixtures("_there")
def test_what_is_not_stored_is_said() -> None:
    report.write([lab.study("repelling.py", runs="elsewhere")], Path("report.html"))
    text = Path("report.html").read_text()
    assert "18 of 18 cells are not stored" in text
    assert json.loads(embedded(text, "report-data"))["sections"][0]["explorers"] == {}


@pytest.mark.usefixtures("_there")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nothing"], "no such experiment"),
        (["repelling.py", "--out", "runs"], "a folder"),
        (["seed=0:2"], "name it"),
        (["repelling.py", "seed=x"], "seed"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["report", *words])
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.usefixtures("_there")
def test_without_a_name_it_is_of_what_is_stored(repelling: Path, capsys: pytest.CaptureFixture) -> None:
    (repelling / "experiments").mkdir()
    for name in ("repelling", "never_run"):
        shutil.copy("repelling.py", f"experiments/{name}.py")
    lab.run("repelling")
    text = (repelling / "experiments" / "never_run.py").read_text()
    (repelling / "experiments" / "never_run.py").write_text(text.replace("range(6)", "range(100, 106)"))
    try:
        cli.main(["report"])
    finally:
        shutil.rmtree(repelling / "experiments")
    assert [
        each["id"] for each in json.loads(embedded(Path("report.html").read_text(), "report-data"))["sections"]
    ] == ["repelling"]
    with pytest.raises(SystemExit):
        cli.main(["report"])
    assert "no experiment is wholly stored" in capsys.readouterr().err
