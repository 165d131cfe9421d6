"""Moving pictures of stored runs: which runs, a frame a snapshot, the number that an annealed problem changes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toymodels import Adam, Annealed, Axis, Packing, Record, Run, Sweep, cli, lab, sweep
from toymodels.experiment import Swept
from toymodels.report.clips import clips


@pytest.fixture
def flat(repelling: Path, monkeypatch: pytest.MonkeyPatch) -> Swept:
    monkeypatch.chdir(repelling)
    return lab.study("repelling.py").swept("flat")


def test_the_best_seed_is_shown_unless_one_is_named(flat: Swept) -> None:
    (clip,), over = clips(flat, {"power": ["4"]})
    assert over == "step"
    of = flat.data.sel(power=4.0)
    least = int(of.objective.isel(step=-1).argmin("seed"))
    np.testing.assert_array_equal(clip.W, of.V.isel(seed=least).astype(float))
    (clip,), _ = clips(flat, {"power": ["4"], "seed": ["1"]})
    np.testing.assert_array_equal(clip.W, of.V.sel(seed=1).astype(float))


def test_several_labels_are_several_clips(flat: Swept) -> None:
    made, _ = clips(flat, {"power": ["2,8"]})
    assert [clip.name for clip in made] == ["power = 2", "power = 8"]
    made, _ = clips(flat, {"power": ["2", "8"], "seed": ["0"]})
    assert len(made) == 2


def test_of_an_annealed_problem_frames_are_along_what_changes() -> None:
    low, high = (Packing(5, 2, power) for power in (2.0, 8.0))
    run = Run(Annealed(low, high, stairs=5), Adam(1e-2), steps=50, record=Record(6, 6, linear=True))
    what = Sweep(run, [Axis("seed", "seed", range(2))])
    (clip,), over = clips(Swept(what, sweep(what)), {})
    assert over == "power"
    np.testing.assert_allclose(clip.x, [2, *np.geomspace(2, 8, 5)], rtol=1e-5)
    assert clip.captions[-1] == "power = 8"


def test_a_frame_is_a_snapshot(flat: Swept) -> None:
    cli.main(["animate", "repelling.py", "flat", "power=8", "--out", "flat.gif"])
    with Image.open("flat.gif") as made:
        assert made.n_frames > flat.data.sizes["snapshot"] / 2  # frames that are alike are one
    cli.main(["animate", "repelling.py", "deep", "power=8", "--out", "deep.gif"])
    assert Path("deep.gif").stat().st_size < 3e6


@pytest.mark.usefixtures("flat")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["flat", "power=3"], "power=3: no such label; there are 2, 4, 8"),
        (["flat", "n=3"], "n: no such axis; there are power, seed"),
        (["flat", "seed=0,1,2,3,4"], "5 runs: at most 4"),
        (["steep"], "no such sweep"),
        (["flat", "--out", "x.png"], "ends in .gif or .mp4"),
        (["flat", "--rate", "0"], "1 to 60"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["animate", "repelling.py", *words])
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not Path("training.gif").exists()
