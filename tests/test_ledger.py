"""The ledger: a claim from a page's findings, trained, read again, at other settings, on fresh seeds, as a page."""

import subprocess
import sys
from pathlib import Path

import pytest

from toymodels import cli, lab, ledger, tables

PAGE = '''
from toymodels import Axis, Packing, Adam, Run, Sweep, draw
from toymodels.claims import Claim
from toymodels.estimates import mean
from toymodels.experiment import Experiment
from toymodels.findings import AtLeast, Finding, ours

packed = Sweep(Run(Packing(3, 2), Adam(0.1), steps=20), [Axis("power", "problem.power", [2.0, 4.0]),
                                                       Axis("seed", "seed", range(4))])

def norms(packed):
    return (packed.final("V", unconverged=True) ** 2).sum(("feature", "dimension")).rename("norm").to_dataset()

def shown(norms):
    """Norms of all seeds."""
    figure, ax = draw.panels()
    ax.plot(norms.norm.values.ravel())
    return figure

def sizes(norms):
    for power in norms.power.values.tolist():
        at = {"power": power}
        yield Finding("size", "|W|^2", mean(norms.norm.sel(power=power)), AtLeast(0.1), ours("a test"), settings=at)
        huge = AtLeast(1e9 if power > 2 else 0)
        yield Finding("split", "|W|^2", mean(norms.norm.sel(power=power)), huge, ours("a test"), settings=at)

experiment = Experiment("How large?", "ours", {"packed": packed}, [norms], [shown], [sizes], claims=[
    Claim("Z2", "Norms are large at some powers.", ["size", "split"], "shown"),
    Claim("Z1", "Norms are at least a tenth.", ["size"], "shown", ["steps=10"], note="A note."),
])
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ledger")
    (made / "experiments").mkdir()
    (made / "experiments" / "sizes_of_norms.py").write_text(PAGE)
    return made


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_before_it_is_run_nothing_is_claimed(capsys: pytest.CaptureFixture) -> None:
    cli.main(["claims"])
    assert "2 not run" in capsys.readouterr().out


def test_a_row_runs_by_its_id(capsys: pytest.CaptureFixture) -> None:
    cli.main(["claims", "z1", "--run"])
    told = capsys.readouterr().out
    assert "supported" in told
    assert "at steps=10: supported" in told
    assert "on fresh seeds: not run" in told
    assert Path("figures/sizes_of_norms/shown.png").exists()


def test_rows_are_read_again_and_become_a_page(capsys: pytest.CaptureFixture) -> None:
    cli.main(["claims", "--run", "--out", "ledger.md"])
    lab.replicate("sizes_of_norms", offset=ledger.OFFSET)
    before = capsys.readouterr()
    cli.main(["claims", "--out", "ledger.md"])
    assert "1 supported, 1 qualified" in " ".join(capsys.readouterr().out.split()), before
    page = Path("ledger.md").read_text()
    assert page.index("## Z1") < page.index("## Z2")
    parts = "`size` holds at both settings; `split` holds at 1 of 2 settings (power=2), fails at 1 (power=4)"
    assert f"**Qualified**: {parts}." in page
    assert "Sampled: 4 seeds. Cells: `packed` 1 ok, 7 unconverged. On seeds moved by" in page
    first = next(line for line in page.splitlines() if line.startswith("| [Z2]"))
    assert "at least 1e+09: fails<br>" in first  # what fails, then what holds
    assert "(power=2): " in first
    assert "At `steps=10`: supported. `toymodels claims Z1 --run steps=10`" in page
    assert "A note." in page
    assert "On seeds moved by 5000: qualified" in page
    assert "`toymodels claims Z1 --run`" in page


def test_other_settings_are_asked_by_overrides(capsys: pytest.CaptureFixture) -> None:
    cli.main(["claims", "Z1", "packed.seed=0:2", "--run"])
    told = capsys.readouterr().out
    assert "2 seeds" in told
    assert "again: toymodels claims Z1 --run packed.seed=0:2" in " ".join(told.split())
    assert "figure: figures/sizes_of_norms/packed.seed=0:2/shown.png" in " ".join(told.split())
    cli.main(["claims", "Z1", "--scale", "tiny", "packed.seed=(0,1)"])
    told = " ".join(capsys.readouterr().out.split())
    assert "again: toymodels claims Z1 --run --scale tiny 'packed.seed=(0,1)'" in told
    assert "figure: figures/tiny/sizes_of_norms/" in told


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["claims", "Q9"], "Q9: no such claim; there are Z1, Z2"),
        (["claims", "seed=0:2"], "overrides are of one experiment: name a claim"),
        (["claims", "Z1", "--out", "ledger.md"], "the ledger is written whole"),
        (["claims", "Z1", "bogus=3"], "bogus"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert sentence in " ".join(told.split())


def test_a_claim_is_on_one_page() -> None:
    page = lab.find("sizes_of_norms")
    with pytest.raises(ValueError, match="claim Z1 is on two pages"):
        ledger.claims([page, page])


@pytest.mark.slow
def test_the_ledger_that_is_committed_is_current(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every claim of the checkout has its verdict without a run, from findings that its code still asks for."""
    monkeypatch.chdir(Path(__file__).parent.parent)
    words = [sys.executable, "-m", "toymodels", "claims", "--runs", str(tmp_path)]  # here tests wrap what is hashed
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "not run" not in told, told


def test_a_row_by_hand() -> None:
    experiment, claim = ledger.claims()["Z1"]
    row = ledger.row(experiment, claim, train=lambda study: tables.train_missing(study, lab.Here()))
    assert row.verdict == "supported"
    assert row.seeds == "4 seeds"


def test_of_a_long_series_the_ends_are_told() -> None:
    shown = "1 (0 to 2) at n = 1; 2 (1 to 3) at n = 2; 3 at n = 3; 4 at n = 4; 20 seeds"
    finding = {"what": "sums", "settings": {}, "shown": shown, "criterion": {"text": "at most 3"}, "outcome": "fails"}
    assert ledger.told(finding) == "sums: 1 (0 to 2) at n = 1 ... 4 at n = 4; 20 seeds; at most 3: fails"


@pytest.mark.parametrize(
    ("shown", "parts"),
    [
        ("1 (0 to 2); 20 seeds", ("1 (0 to 2)", "20 seeds")),
        ("1 at n = 1; 3 at n = 4; 20 seeds", ("1 at n = 1; 3 at n = 4", "20 seeds")),
        ("1 at n = 1; 3 at n = 4", ("1 at n = 1; 3 at n = 4", "")),
        ("0", ("0", "")),
    ],
)
def test_the_last_of_a_series_is_no_sample(shown: str, parts: tuple[str, str]) -> None:
    assert ledger._parted({"shown": shown}) == parts
