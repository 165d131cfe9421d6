"""The laboratory: from a name to its reading, figure and findings, each computed once."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from tests.cases import packings
from toymodels import draw, lab, readings, sources
from toymodels.estimates import best
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtMost, Finding, ours
from toymodels.lab import Missing, Repeated
from toymodels.store import Batch, Pool
from toymodels.sweep import Sweep

CALLS: list[str] = []


def final(packed: Swept) -> xr.Dataset:
    CALLS.append("final")
    return xr.Dataset({"loss": packed.data.objective.isel(step=-1), "name": ("power", ["two", "three"])})


def relative(final: xr.Dataset) -> xr.Dataset:
    CALLS.append("relative")
    return final[["loss"]] / final.loss.max()


def losses(packed: Swept, relative: xr.Dataset) -> Figure:
    """Final losses over the largest."""
    figure, ax = draw.panels()
    ax.plot(relative.loss.min("seed"))
    return figure


def largest(relative: xr.Dataset) -> Iterator[Finding]:
    yield Finding("largest", "loss over the largest", best(relative.loss), AtMost(1), ours("by definition"), "check")


TOY = Experiment("What?", "Nobody", {"packed": packings()}, [final, relative], [losses], [largest], name="toy")


@pytest.fixture
def study(tmp_path, monkeypatch) -> lab.Study:
    monkeypatch.chdir(tmp_path)
    CALLS.clear()
    return lab.run(TOY)


def test_three_lines_from_a_name_to_everything(study) -> None:
    assert study.read("relative").loss.dims == ("power", "seed")
    assert isinstance(study.draw("losses"), Figure)
    (found,) = study.judge()
    assert found.outcome == "holds"
    assert [each["id"] for each in study.verdicts()] == ["largest"]
    assert lab.read(TOY, "relative").identical(study.read("relative"))
    assert lab.judge(TOY)[0].to_dict() == found.to_dict()


def test_readings_are_computed_once(study) -> None:
    first = study.read("relative")
    again = lab.study(TOY)
    assert again.read("relative").identical(first)
    assert CALLS == ["final", "relative"]
    assert study.read("final").name.values.tolist() == ["two", "three"]
    assert study.read("final").loss.dtype == np.float32


def test_readings_of_other_cells_or_code_are_others(study, monkeypatch) -> None:
    before = study.address("relative")
    fewer = lab.run(TOY, "seed=0:3")
    assert fewer.address("relative") != before
    assert fewer.read("relative").sizes["seed"] == 3
    assert lab.study(TOY).address("relative") == before
    monkeypatch.setattr(readings, "VERSIONS", {"numpy": "0"})
    assert lab.study(TOY).address("relative") != before


def test_a_damaged_reading_is_computed_again(study) -> None:
    value = study.read("relative").copy(deep=True)
    (file,) = study.pool.path.glob("readings/toy/relative-*.nc")
    file.write_bytes(file.read_bytes()[:50])
    assert lab.study(TOY).read("relative").identical(value)


def test_figures_are_drawn_where_they_are_not_current(study) -> None:
    assert [path.name for path in study.write_figures()] == ["losses.png"]
    assert list(lab.study(TOY).write_figures()) == []
    told = (study.figures / "losses.md").read_text()
    assert told.startswith("Final losses over the largest.\n\nSweep `packed`: ")
    assert [path.name for path in lab.run(TOY, "seed=0:3").write_figures()] == ["losses.png"]
    assert [path.name for path in study.write_figures(["losses"], anew=True)] == ["losses.png"]


def test_what_is_not_stored_is_said(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Missing, match="packed: 8 of 8 cells are not stored"):
        lab.read(TOY, "final")
    for call, said in (
        (lambda: lab.study("nothing"), "no such experiment"),
        (lambda: lab.study(TOY, "sed=3"), "no such field"),
        (lambda: lab.run(TOY).read("losses"), "no such reading; there are final, relative"),
        (lambda: lab.replicate(TOY, offset=0), "offset"),
    ):
        with pytest.raises(ValueError, match=said):
            call()


def test_a_sweep_finds_the_cells_of_another(study) -> None:
    """No view of it is stored, but all of its cells are."""
    narrower = Experiment("", "", {"packed": packings(seeds=[1, 2])}, [final], name="narrower")
    assert lab.read(narrower, "final").loss.equals(study.read("final").loss.sel(seed=[1, 2]))


def test_fresh_seeds_repeat_or_do_not(study) -> None:
    (found,) = lab.replicate(TOY, offset=50)
    assert found.change == "same"
    assert found.fresh is not None
    assert found.fresh["measured"] != found.first["measured"]
    holds, fails, open_ = ({"outcome": outcome} for outcome in ("holds", "fails", "undecided"))
    assert Repeated("toy", holds, fails).change == "changed"
    assert Repeated("toy", fails, open_).change == "shifted"
    assert Repeated("toy", holds, None).change == "shifted"


def test_a_checkout_brings_its_findings(study, monkeypatch) -> None:
    """Without cells, what was written for the same question counts, and for another question it does not."""
    written = study.verdicts()
    shutil.rmtree(study.pool.path)
    with monkeypatch.context() as patch:
        patch.setattr(Sweep, "_runs", property(lambda sweep: pytest.fail("cells are worked out to read a verdict")))
        assert lab.study(TOY).verdicts() == written
    with pytest.raises(Missing):
        lab.study(TOY, "seed=0:3").verdicts()


def test_other_contents_of_the_same_cells_are_other_results(study) -> None:
    before = study.address("final"), study.address("final", asked=True)
    loss = study.read("final").loss
    (batch,) = study.pool.path.rglob("*.zarr.zip")
    made = study._batches("packed")[0]
    arrays = {name: made.read(name) for name in made.dims}
    arrays["objective"] = arrays["objective"] + 1
    other = Batch(
        made.digests, made.configs, made.group, made.width, arrays, made.dims, made.steps, made.snapshot_steps
    )
    batch.unlink()
    Pool(study.pool.path).add(other)
    again = lab.study(TOY)
    assert again.address("final") != before[0]
    assert again.address("final", asked=True) == before[1]
    np.testing.assert_array_equal(again.read("final").loss, loss + 1)


def helper(x: float) -> float:
    return x + 1


SCALE = 3.0


def uses_helper(x: float) -> float:
    return SCALE * helper(x)


def test_code_is_what_a_function_refers_to(monkeypatch) -> None:
    """Its helpers and constants too; what it does not touch is not."""

    def changed() -> str:
        sources.code.cache_clear()
        return sources.code(uses_helper)

    before = changed()
    assert changed() == before
    monkeypatch.setitem(globals(), "SCALE", 4.0)
    assert changed() != before
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    monkeypatch.setitem(globals(), "CALLS", ["something"])
    assert changed() == before
    monkeypatch.setitem(globals(), "helper", largest)
    assert changed() != before


ASK = """
from toymodels import lab
names = ["intro", "losses"]
for name in names if {forwards} else names[::-1]:  # whatever the process has done before
    study = lab.study(name)
    print(name, study._findings_address(asked=True), *(each.asked for each in study.sweeps.values()))
    [each.digests for each in study.sweeps.values()]
"""


def test_addresses_are_the_same_in_every_process() -> None:
    here, found = Path(__file__).parent.parent, set()
    for forwards in (True, False):
        asked = [sys.executable, "-c", ASK.replace("{forwards}", str(forwards))]
        said = subprocess.run(asked, cwd=here, capture_output=True, text=True, check=True).stdout
        found.add(tuple(sorted(said.splitlines())))
    assert len(found) == 1


def test_readings_are_made_again_when_the_rule_of_convergence_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is called converged decides which cells a reading sees."""
    from tests.cases import packings
    from toymodels import readings

    before = readings.sweep_address(packings())
    assert readings.sweep_address(packings()) == before
    monkeypatch.setattr(readings, "batch_status", lambda batch: batch.read("status"))
    readings._rule.cache_clear()
    assert readings.sweep_address(packings()) != before
    readings._rule.cache_clear()
