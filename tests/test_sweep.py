"""The contracts of a sweep: programs, bits, resumption, labels."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases import AUTOENCODER, PACKING, autoencoders, packings, same
from toymodels import Axis, Choice, Run, Sweep, config, retrain, sweep, train
from toymodels.engine.batch import train_batch
from toymodels.engine.plan import batch_width, plan
from toymodels.engine.programs import programs_compiled
from toymodels.results import DIVERGED, OK, best, usable
from toymodels.store import Pool, StoreError
from toymodels.sweep import Events
from toymodels.train import NUMERICS


@pytest.fixture(scope="module")
def trained() -> xr.Dataset:
    return sweep(autoencoders())


def test_programs_are_groups() -> None:
    """Two losses and two widths: four treedefs, four programs, however many cells."""
    what = autoencoders(p=(0.15, 0.35, 0.55))
    what = Sweep(config.replace(what.base, {"steps": 11}), [*what.axes, Axis("m", "problem.model.m", [2, 3])])
    before = programs_compiled()
    sweep(what)
    assert programs_compiled() - before == plan(what.runs()).programs == 4


def test_labels_find_their_cells(trained: xr.Dataset) -> None:
    """Values at labels are those of the run with these settings, trained by itself."""
    what = autoencoders()
    run = what.cell(p=0.3, loss="l4", seed=1)
    assert run.problem.data.p == 0.3
    assert run.problem.loss.power == 4
    alone = retrain(run, batch_width(run))
    assert same(alone, trained.sel(p=0.3, loss="l4", seed=1, drop=True))


@pytest.mark.parametrize("p", [(0.3,), (0.3, 0.1), (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)])
@pytest.mark.parametrize("seeds", [(1,), (5, 1, 3)])
def test_same_bits_among_any_neighbours(trained: xr.Dataset, p: tuple[float, ...], seeds: tuple[int, ...]) -> None:
    """Fewer, more or other cells, in another order: another place and another split, equal bits."""
    other = sweep(autoencoders(p, seeds))
    where = {"p": 0.3, "seed": 1}
    assert same(trained.sel(where), other.sel(where))


def test_same_bits_on_every_split_of_a_width() -> None:
    """A width as one row, as one cell a row, and between: the same results, bit for bit."""
    width = batch_width(AUTOENCODER)
    reference = train_batch([[AUTOENCODER] * width])
    assert width >= 4
    for rows in (2, width // 2, width):
        other = train_batch([[AUTOENCODER] * (width // rows)] * rows)
        for name, values in {**reference.scalars, **reference.params}.items():
            np.testing.assert_array_equal(values, {**other.scalars, **other.params}[name])


def test_other_widths_agree_to_rounding() -> None:
    """60 steps of float32 rounding, a few units in the last place each: within 60 x 4 eps of the largest weight."""
    one, other = retrain(AUTOENCODER, 2), retrain(AUTOENCODER, 64)
    bound = 60 * 4 * np.finfo(np.float32).eps * np.abs(one.W).max()
    np.testing.assert_allclose(one.W, other.W, atol=float(bound))


def test_shards_make_the_whole(tmp_path: Path, trained: xr.Dataset) -> None:
    what = autoencoders()
    for part in (1, 0):
        sweep(what, tmp_path, shard=(part, 2))
    assert same(trained, sweep(what, tmp_path))
    assert plan(what.runs(), Pool(tmp_path)).programs == 0


def test_finished_cells_are_not_trained_again(tmp_path: Path) -> None:
    sweep(packings(), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.zarr.zip")}
    more = packings(powers=(2.0, 2.5, 3.0), seeds=range(6))
    todo = plan(more.runs(), Pool(tmp_path))
    assert (todo.cells, todo.done) == (18, 8)
    data = sweep(more, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert same(sweep(packings()), data.sel(power=[2.0, 3.0], seed=range(4)))


def test_sweeps_share_their_cells(tmp_path: Path) -> None:
    """What one sweep of a pool has trained another finds: under other labels, and within one plan."""
    Pool(tmp_path).mark()
    sweep(packings(), tmp_path / "one")
    todo = plan(packings(powers=(3.0, 4.0)).runs(), Pool(tmp_path))
    assert (todo.cells, todo.done) == (8, 4)
    claimed = plan(packings(powers=(4.0, 5.0)).runs(), Pool(tmp_path), claimed=packings(powers=(4.0,)).digests)
    assert sum(group.cells for group in claimed.groups) == 4
    shared = sweep(packings(powers=(3.0,)), tmp_path / "two")
    assert same(shared.sel(power=3.0), sweep(packings()).sel(power=3.0))
    assert len(list(tmp_path.rglob("*.zarr.zip"))) == 1


def test_seeds_move_and_nothing_else() -> None:
    moved = autoencoders(seeds=(0, 3)).with_seeds_moved(100)
    assert [axis.labels for axis in moved.axes] == [[0.1, 0.3], ["l2", "l4"], [100, 103]]
    assert moved.base == AUTOENCODER
    alone = Sweep(AUTOENCODER, [Axis("p", "problem.data.p", [0.1])]).with_seeds_moved(7)
    assert [run.seed for run in alone.runs()] == [7]
    pairs = Choice("pair", {"a": {"seed": 1, "stream": 5}, "b": {"seed": 2, "stream": 6}})
    both = Sweep(AUTOENCODER, [pairs]).with_seeds_moved(10)
    assert [(run.seed, run.stream) for run in both.runs()] == [(11, 5), (12, 6)]


def _hotter(run: Run) -> Run:
    return config.replace(run, {"optimizer.lr": 2 * run.optimizer.lr})


def test_what_is_asked_for_is_known_without_its_cells(tmp_path: Path) -> None:
    """The same sweep recalls its cells from its labels; another base, label, option or derive does not."""
    what = autoencoders()
    sweep(what, tmp_path / "store")
    again = autoencoders()
    assert again.recall(Pool(tmp_path / "store").view("sweep").read())
    assert "_runs" not in vars(again)
    assert again.digests == what.digests
    assert again.groups == what.groups
    base = config.replace(AUTOENCODER, {"steps": 61})
    others = [
        autoencoders(p=(0.1, 0.4)),
        autoencoders(seeds=(1, 0)),
        replace(what, base=base),
        replace(what, derive=_hotter),
        replace(what, axes=[what.axes[0], Choice("loss", {"l2": {}, "l4": {}}), what.axes[2]]),
    ]
    assert len({what.asked, *(each.asked for each in others)}) == len(others) + 1
    assert autoencoders().asked == what.asked


SLOW = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may inherit that it is ignored
from tests.cases import packings
from toymodels import Sweep, config, sweep
what = packings(seeds=range(40))
sweep(Sweep(config.replace(what.base, {"steps": 8000}), [*what.axes[:1], what.axes[1]]), sys.argv[1])
"""


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_resumed(tmp_path: Path, how: signal.Signals) -> None:
    """Killed after its first batch, a sweep keeps it, goes on from there, and ends with the bits of one not killed."""
    what = Sweep(config.replace(PACKING, {"steps": 8000}), packings(seeds=range(200)).axes)
    script = SLOW.replace("range(40)", "range(200)")
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(killed)],
        cwd=Path(__file__).parent.parent,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "."},
    )
    deadline = time.monotonic() + 120
    while not list(killed.rglob("[!.]*.zarr.zip")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(how)
    process.wait(60)
    process.stderr.close()  # type: ignore[union-attr]
    kept = list(killed.rglob("[!.]*.zarr.zip"))
    todo = plan(what.runs(), Pool(killed))
    assert kept
    assert 0 < todo.done < todo.cells
    few = Sweep(what.base, packings(powers=(3.0,), seeds=[0, 199]).axes)
    resumed = sweep(few, killed)
    assert same(resumed, sweep(few))


def test_divergence_is_flagged_and_left_out() -> None:
    rates = Choice("lr", {"small": {"optimizer.lr": 0.01}, "huge": {"optimizer.lr": 1e6}})
    from toymodels.optimizers import Sgd
    from toymodels.problems.factorize import Components, Factorize

    data = sweep(Sweep(Run(Factorize(Components(8, 8), 1, scale=0.5), Sgd(0.01), steps=2000), [rates]))
    assert data.status.sel(lr="small") == OK
    assert data.status.sel(lr="huge") == DIVERGED
    kept = usable(data.objective, data.status)
    assert np.isnan(kept.sel(lr="huge")).all()
    assert np.isfinite(kept.sel(lr="small")).all()


def test_a_sweep_that_is_lost_altogether_says_so() -> None:
    """Once, with the number of cells; not where some are left, nor where `events` listens."""
    from toymodels.optimizers import Sgd

    lost = replace(PACKING, optimizer=Sgd(1e30), problem=Overflowing())
    seeds = Axis("seed", "seed", range(3))
    with pytest.warns(UserWarning, match="all 3 cells diverged") as caught:
        data = sweep(Sweep(lost, [seeds]))
    assert len(caught) == 1
    assert (data.status == DIVERGED).all()
    with pytest.warns(UserWarning, match="the run diverged"):
        train(lost)
    rates = Choice("lr", {"none": {"optimizer.lr": 1e-9}, "huge": {"optimizer.lr": 1e30}})
    assert (sweep(Sweep(lost, [rates])).status == DIVERGED).any()
    sweep(Sweep(lost, [seeds]), events=Events())


@config.config
class Overflowing:
    """exp(|w|^2), with parameters and metrics of chosen names."""

    parameter: str = config.static(default="w")
    metric: str = config.static(default="size")
    dims = {"w": ("coordinate",)}  # noqa: RUF012

    def init(self, key):
        return {"w": jnp.ones(2), self.parameter: jnp.ones(2)}

    def objective(self, params, example):
        return jnp.exp(jnp.sum(params["w"] ** 2))

    def metrics(self, params, example):
        return {self.metric: jnp.sum(params["w"])}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"metric": "w"}, "a metric needs a name of its own, and 'w' is a parameter of it"),
        ({"metric": "objective"}, "'objective' is a name that every sweep has"),
        ({"metric": "step"}, "'step' is a name that every sweep has"),
        ({"metric": "coordinate"}, "'coordinate' is a dimension of w"),
        ({"metric": "rate"}, "'rate' is an axis of the sweep"),
        ({"parameter": "rate"}, "a parameter needs a name of its own, and 'rate' is an axis of the sweep"),
        ({"parameter": "status"}, "'status' is a name that every sweep has"),
    ],
)
def test_results_of_one_name_are_refused_before_anything_is_compiled(names: dict, said: str, tmp_path: Path) -> None:
    run, compiled = replace(PACKING, problem=Overflowing(**names)), programs_compiled()
    with pytest.raises(ValueError, match=said) as error:
        sweep(Sweep(run, [Axis("rate", "optimizer.lr", [0.1, 0.2])]), tmp_path / "store")
    assert "\n" not in str(error.value)
    if "axis" not in said:
        with pytest.raises(ValueError, match=said):
            train(run)
    assert programs_compiled() == compiled
    assert not list(tmp_path.rglob("*.zip"))
    assert not list(tmp_path.rglob("*.json"))


def test_shapes_that_differ_are_padded() -> None:
    data = sweep(Sweep(AUTOENCODER, [Axis("m", "problem.model.m", [2, 3])]))
    assert data.W.sizes["hidden"] == 3
    assert np.isnan(data.W.sel(m=2).isel(hidden=2)).all()
    assert np.isfinite(data.W.sel(m=3)).all()


def test_derive_is_part_of_the_cell() -> None:
    def faster(run: Run) -> Run:
        return config.replace(run, {"optimizer.lr": 0.01 * run.problem.power})

    what = Sweep(PACKING, [Axis("power", "problem.power", [2.0, 3.0])], faster)
    assert what.cell(power=3.0).optimizer.lr == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("labels", "said"), [({"p": 0.2}, "p=0.2: not on the axis"), ({"q": 1}, "q: no such axis"), ({"p": 0.1}, "loss=")]
)
def test_unknown_labels(labels: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        autoencoders().cell(**labels)


def test_axes_are_checked() -> None:
    for axes, said in (
        ([Axis("p", "problem.data.p", [])], "at least one value"),
        ([Axis("p", "problem.data.p", [0.1, 0.1])], "each value once"),
        ([Axis("p", "problem.data.p", [0.1, float(np.float32(0.1))])], "each value once"),
        ([Axis("p", "problem.data.p", [0.1, np.float32(0.1)])], "each value once"),
        ([Axis("feature", "seed", [0])], "a name of its own"),
        ([Axis("objective", "seed", [0])], "a name of its own"),
        ([Axis("W", "seed", [0])], "a name of its own"),
        ([Axis("one", "seed", [0]), Axis("two", "seed", [1])], "two axes set this field"),
        ([Choice("target", {(1, 2): {"seed": 0}})], "labels are words or numbers"),
        ([Axis("seed", "seed", range(2)), Axis("stream", "stream", range(600_000))], "at most"),
    ):
        with pytest.raises(ValueError, match=said):
            Sweep(AUTOENCODER, axes).runs()
    for values in ("0.1", {0.1, 0.2}, 0.1):
        with pytest.raises(ValueError, match="come as a list"):
            Axis("p", "problem.data.p", values)
    with pytest.raises(ValueError, match="activation probability"):
        Sweep(AUTOENCODER, [Axis("p", "problem.data.p", [0.5, 1.5])]).runs()


@settings(max_examples=30)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=30, unique=True), st.integers(1, 5), st.integers(1, 4))
def test_every_cell_is_planned_once(seeds: list[int], powers: int, shards: int) -> None:
    """Over all shards, batches hold each cell, in rows of one seed, all of one shape."""
    runs = packings(tuple(np.linspace(1, 4, powers)), seeds).runs()
    wanted = {config.digest(run, NUMERICS) for run in runs}
    found: list[set[str]] = []
    for shard in range(shards):
        for group in plan(runs, shard=(shard, shards)).groups:
            for grid in group.batches:
                assert (len(grid), len(grid[0])) == (group.shape.devices * group.shape.rows, group.shape.cells)
                assert all(len({run.seed for run in row}) == 1 and len(row) == len(grid[0]) for row in grid)
                found.append({config.digest(run, NUMERICS) for row in grid for run in row})
    assert set().union(*found) == wanted
    assert sum(map(len, found)) == len(wanted)


def test_a_single_run_is_a_dataset() -> None:
    data = train(AUTOENCODER)
    assert data.W.dims == ("snapshot", "feature", "hidden")
    assert int(data.status) in (OK, 1)


def test_unwritable_folder_is_said_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        sweep(packings(), tmp_path / "file")


def test_targets_of_different_shapes_are_different_groups() -> None:
    from toymodels.optimizers import Sgd
    from toymodels.problems.factorize import Factorize, Given

    base = Run(Factorize(Given(np.eye(3)), 1), Sgd(0.1), steps=20, record=PACKING.record)
    data = sweep(Sweep(base, [Choice("target", {k: {"problem.target": Given(np.eye(k))} for k in (3, 4)})]))
    assert np.isfinite(data.objective).all()
    assert data.U.sizes["row"] == 4


def test_values_may_be_arrays() -> None:
    for values in (np.arange(3), jnp.arange(3), [np.int32(0), 1, jnp.asarray(2)]):
        assert Axis("seed", "seed", values).labels == [0, 1, 2]


def test_single_precision_is_labelled_by_its_shortest_decimal() -> None:
    """And found by it; the cells are those of the same float32, whatever it is called."""
    for values in (np.float32([1.1, 2.2]), jnp.array([1.1, 2.2]), [np.float32(1.1), 2.2]):
        axis = Axis("power", "problem.power", values)
        assert axis.labels == [1.1, 2.2]
        exact = Axis("power", "problem.power", [float(np.float32(value)) for value in values])
        assert Sweep(PACKING, [axis]).digests == Sweep(PACKING, [exact]).digests
    values = jnp.geomspace(0.01, 1, 8)
    rates = Axis("p", "problem.data.p", values)
    assert rates.labels[0] == 0.01
    np.testing.assert_array_equal(np.float32(rates.labels), values)
    for half in (np.float16, jnp.bfloat16):
        axis = Axis("power", "problem.power", np.array([1.5, 1.1], half))
        assert axis.labels[0] == 1.5
        assert np.float32(axis.labels[1]) == np.float32(half(1.1))
    assert Axis("power", "problem.power", np.array([1.1, 1 + 1e-12])).labels == [1.1, 1 + 1e-12]


def test_cells_of_single_precision_are_selected_by_number() -> None:
    base = config.replace(PACKING, {"steps": 5})
    data = sweep(Sweep(base, [Axis("power", "problem.power", np.float32([1.1, 2.2]))]))
    assert data.sel(power=1.1).objective.dims == ("step",)


def test_problems_of_different_dimensions_share_a_dataset() -> None:
    small = config.replace(AUTOENCODER, {"steps": 5})
    problems = {"packing": {"problem": PACKING.problem}, "autoencoder": {"problem": small.problem}}
    data = sweep(Sweep(small, [Choice("kind", problems)]))
    assert data.sizes["feature"] == 6
    assert np.isnan(data.W.sel(kind="packing")).all()
    assert np.isfinite(data.V.sel(kind="packing")).all()


def test_the_best_of_every_setting_keeps_its_seed() -> None:
    data = sweep(packings(seeds=range(3)))
    found = best(data)
    assert found.sizes == {name: size for name, size in data.sizes.items() if name != "seed"}
    least = data.objective.isel(step=-1).min("seed")
    np.testing.assert_array_equal(found.objective.isel(step=-1), least)
    assert set(found.seed.values.ravel()) <= {0, 1, 2}
    with pytest.raises(ValueError, match="nothing: there are"):
        best(data, by="nothing")
    with pytest.raises(ValueError, match="row: there are"):
        best(data, axis="row")
