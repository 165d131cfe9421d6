"""What is read off a sweep: weights in order, notes on cells, and captions that tell what follows from the axes."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.cases import packings
from toymodels import Axis, Choice, Run, Sweep, cli
from toymodels.config import replace as rebind
from toymodels.data import Sparse
from toymodels.experiment import Experiment, Swept, Unfit, experiment_files, left_out, load, settings
from toymodels.models import Tied
from toymodels.optimizers import Adam, Sgd
from toymodels.problems.supervised import Supervised
from toymodels.results import DIVERGED, OK, UNCONVERGED

AXES = [Axis("p", "problem.data.p", [0.1, 0.4]), Axis("seed", "seed", range(3))]
BASE = Run(Supervised(Sparse(4), Tied(2)), Adam(), 100)


def swept(derive=None):
    random = np.random.default_rng(0)
    data = {
        "W": (("seed", "p", "snapshot", "hidden", "feature"), random.normal(size=(3, 2, 2, 2, 4))),
        "b": (("p", "seed", "snapshot", "feature"), random.normal(size=(2, 3, 2, 4))),
        "status": (("p", "seed"), np.array([[OK, DIVERGED, OK], [UNCONVERGED, OK, OK]])),
    }
    return Swept(Sweep(BASE, AXES, derive), xr.Dataset(data, {"p": [0.1, 0.4], "seed": [0, 1, 2]}))


def test_final_parameters_keep_their_labels_and_lose_their_failures():
    made = swept()
    final = made.final(unconverged=True)
    assert set(final.dims) == {"p", "seed", "feature", "hidden"}
    np.testing.assert_array_equal(final.sel(p=0.4), made.data.W.isel(snapshot=-1).sel(p=0.4))  # one is unconverged
    assert np.isnan(final.sel(p=0.1, seed=1)).all()  # diverged
    assert np.isnan(made.final().sel(p=0.4, seed=0)).all()


def test_notes_tell_what_is_left_out_or_shown():
    made = swept()
    assert made.left_out() == "1 of 6 cells unconverged: left out, 1 of 6 cells diverged: left out"
    assert made.left_out("shown") == "1 of 6 cells unconverged: shown, 1 of 6 cells diverged: left out"
    assert left_out(made.data.status.isel(p=1)) == "1 of 3 cells unconverged: left out"


def test_captions_tell_axes_by_name_and_what_follows_from_them_by_its_range():
    plain = settings("toy", swept())
    assert "p=p" in plain
    assert "seed=seed" in plain
    assert "optimizer" not in plain  # at its default
    derived = settings("toy", swept(lambda run: rebind(run, {"optimizer.lr": run.problem.data.p / 100})))
    assert "optimizer=Adam(lr=derived)" in derived
    assert "Derived: optimizer.lr 0.001 to 0.004. Cells" in derived
    assert "p=p" in derived
    assert "Derived: batch 7." in settings("toy", swept(lambda run: replace(run, batch=7)))


def test_what_is_derived_inside_an_axis_is_told_beside_it():
    kinds = Choice("kind", {"adam": {"optimizer": Adam(0.1)}, "sgd": {"optimizer": Sgd(0.2)}})
    made = Sweep(BASE, [kinds], lambda run: rebind(run, {"optimizer.lr": run.optimizer.lr / 10}))
    told = settings("toy", Swept(made, xr.Dataset({"status": ("kind", np.array([OK, OK]))})))
    assert "optimizer=kind" in told
    assert "Derived: optimizer.lr 0.01 to 0.02." in told


def test_the_config_of_a_cell_is_that_of_the_first_seed_unless_one_is_given():
    made = swept()
    assert made.run(p=0.4) == made.run(p=0.4, seed=0)
    assert made.run(p=0.4, seed=2).seed == 2


def test_what_is_made_for_some_settings_says_so():
    made = swept()
    made.check(problem__data__n=4, optimizer=Adam(), steps=100)
    with pytest.raises(Unfit, match=r"made for problem.model.m=3, and here it is 2"):
        made.check(problem__model__m=3)
    with pytest.raises(Unfit, match=r"made for problem.data.p=0.1, and here it is 0.4"):
        made.check(problem__data__p=0.1)


def reading(packed: Swept) -> xr.Dataset:
    return xr.Dataset({"x": 1})


def figure(packed: Swept, reading: xr.Dataset):
    raise NotImplementedError


def test_pages_are_checked_when_they_are_loaded(tmp_path):
    made = Experiment("What?", "Nobody", {"packed": packings()}, [reading], [figure])
    assert made.figure("figure") is figure
    with pytest.raises(ValueError, match="no such figure; there are figure"):
        made.figure("figur")
    with pytest.raises(ValueError, match="packed is neither a sweep nor a reading"):
        Experiment("What?", "Nobody", {"other": packings()}, [reading])
    with pytest.raises(ValueError, match="the scales are"):
        Experiment("What?", "Nobody", {"packed": packings()}, scales={"huge": {}})
    for text, said in (("experiment = 3", "defines `experiment"), ("1 / 0", "ZeroDivisionError"), ("def (", "Syntax")):
        (tmp_path / "bad.py").write_text(text)
        with pytest.raises(ValueError, match=said):
            load(tmp_path / "bad.py")


def test_scales_are_overrides_of_one_sweep():
    scales = {"tiny": {"seed": [0], "packed.steps": 10}, "full": {"power": [2.0, 5.0], "problem.d": 4}}
    made = Experiment("What?", "Nobody", {"packed": packings()}, scales=scales)
    assert made.at("default")["packed"] == packings()
    assert made.at("tiny")["packed"].axes[1].labels == [0]
    assert made.at("tiny")["packed"].base.steps == 10
    assert made.at("full")["packed"].axes[0].labels == [2.0, 5.0]
    assert made.at("full")["packed"].base.problem.d == 4
    kinds = Sweep(BASE, [Choice("kind", {"adam": {"optimizer": Adam(0.1)}, "sgd": {"optimizer": Sgd(0.2)}})])
    other = {"slow": {"optimizer": Sgd(0.01)}}
    made_of_kinds = Experiment("", "", {"kinds": kinds}, scales={"tiny": {"kind": ["sgd"]}, "full": {"kind": other}})
    assert made_of_kinds.at("tiny")["kinds"].axes[0].labels == ["sgd"]
    assert made_of_kinds.at("full")["kinds"].cell(kind="slow").optimizer == Sgd(0.01)
    with pytest.raises(ValueError, match="sed: Run has no such field"):
        Experiment("What?", "Nobody", {"packed": packings()}, scales={"tiny": {"sed": [0]}}).at("tiny")


@pytest.mark.parametrize(
    "words", [["run", "intro", "failure_rates"], ["claims", "f2", "--run"], ["replicate", "failure_rates"]]
)
def test_what_an_experiment_needs_is_asked_for_first(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *at: None if name == "sklearn" else find_spec(name, *at)
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, "--scale", "tiny"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "failure_rates: it needs sklearn, which `pip install 'toymodels[reference]'` brings" in " ".join(
        said.split()
    )
    assert not list(tmp_path.iterdir())


def test_an_extra_is_one_that_there_is() -> None:
    with pytest.raises(ValueError, match="extra=lots: the extras are reference"):
        Experiment("?", "ours", {}, extra="lots")


def test_experiments_that_take_reference_methods_say_so() -> None:
    for path in experiment_files():
        text = path.read_text()
        assert ("analysis import reference" in text) == ('extra="reference"' in text), path
