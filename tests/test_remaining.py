"""What is still to gain where training ended, and what a cell is called for it; double precision."""

import numpy as np
import pytest

from tests.cases import AUTOENCODER, PACKING
from toymodels import Axis, Record, Run, Sweep, config, open, sweep, train
from toymodels.optimizers import Adam, Cosine, Momentum, Sgd
from toymodels.problems.annealed import Annealed
from toymodels.problems.factorize import Components, Factorize
from toymodels.problems.packing import Packing
from toymodels.problems.quadratic import Quadratic
from toymodels.results import OK, UNCONVERGED
from toymodels.train import NUMERICS

FEW = Record(20, 2, examples=1)


def test_a_packing_far_above_its_optimum_has_not_converged() -> None:
    """The optimum is 30 * 5^-10, the icosahedron; the learning rate of a cosine ends at 0, and so the curve is flat."""
    run = Run(Packing(n=6, d=3, power=20.0), Adam(Cosine(3e-2)), steps=1000, record=FEW)
    data = sweep(Sweep(run, [Axis("seed", "seed", range(8))])).load()
    far = data.objective.isel(step=-1) > 1.01 * 30 * 5**-10
    assert far.any()
    assert ((data.status == UNCONVERGED) | ~far).all()
    # What a descent gains cannot be more than what the best packing gains.
    bottom = data.objective.isel(step=-1) * (1 - data.gain_low)
    assert (bottom > 0.999 * 30 * 5**-10).all()


def test_a_plateau_before_an_escape_is_no_convergence() -> None:
    """From weights of 1e-8 the loss stays at 12 for longer than the run, and the optimum is 6."""
    run = Run(Quadratic(6, 3, scale=1e-8), Sgd(1e-3), steps=500, record=FEW)
    data = train(run)
    assert data.status == UNCONVERGED
    assert 0.02 < float(data.gain_low) <= 0.501
    assert np.isposinf(data.gain_high)  # the descent went no further than it had to


def test_an_exact_optimum_is_known_to_the_last_digits() -> None:
    """Of singular values 4, 3, 2, 1 three are learned: 1/2 is left, and nothing is to gain."""
    target = Components(8, 8, rank=4, spectrum=(4.0, 3.0, 2.0, 1.0))
    run = Run(Factorize(target, components=3, scale=0.1), Momentum(1e-2), steps=2000, record=FEW)
    done, early = (train(config.replace(run, {"steps": steps})) for steps in (2000, 20))
    assert done.status == OK
    assert 0 <= float(done.gain_high) < 1e-6
    assert float(done.gain_low) == float(done.gain_high)
    assert early.status == UNCONVERGED
    assert 0.02 < float(early.gain_low) <= 1 - 0.499 / float(early.objective.isel(step=-1))


def test_what_is_to_gain_near_the_bottom_is_exact() -> None:
    """Less than 1 % above the bottom of 1/2 the descent goes all the way: the loss less what is to gain is 1/2."""
    target = Components(8, 8, rank=4, spectrum=(4.0, 3.0, 2.0, 1.0))
    run = Run(Factorize(target, components=3, scale=0.1), Momentum(1e-3), steps=4000, record=Record(400, 2))
    loss = train(run).objective
    step = int(loss.step[int(np.argmax(np.asarray(loss) < 0.505))])
    data = train(config.replace(run, {"steps": step}))
    assert float(data.objective.isel(step=-1)) * (1 - float(data.gain_high)) == pytest.approx(0.5, rel=1e-5)
    assert 1e-4 < float(data.gain_low) == float(data.gain_high) < 0.02


def test_nothing_learned_is_no_convergence_and_one_record_may_be_enough() -> None:
    stuck = train(config.replace(PACKING, {"optimizer": Adam(1e-30)}))
    assert stuck.status == UNCONVERGED
    alone = train(config.replace(PACKING, {"steps": 400, "record": Record(losses=1, snapshots=1)}))
    assert alone.sizes["step"] == 1
    assert alone.status == OK


def test_a_run_that_changes_its_problem_is_judged_by_the_last_one() -> None:
    """The optimum of the last power, 8, is far below that of power 2, where the first half of training ends."""
    start, end = Packing(6, 3, power=2.0), Packing(6, 3, power=8.0)
    run = Run(Annealed(start, end, stairs=2), Adam(3e-2), steps=3000, record=FEW)
    data = train(run)
    assert data.status == OK
    assert float(data.objective.isel(step=-1)) == pytest.approx(30 * 5**-4, rel=0.01)
    assert train(config.replace(run, {"steps": 4})).status == UNCONVERGED


def test_on_draws_the_bounds_are_in_order_and_what_falls_is_seen() -> None:
    data = sweep(Sweep(AUTOENCODER, [Axis("seed", "seed", range(4))])).load()
    assert (data.gain_low < data.gain_high).all()
    assert (data.status == UNCONVERGED).all()  # after 60 steps
    assert (data.gain_low > 0.01).all()
    assert (data.gradient > 0).all()


def test_a_cell_that_diverges_says_when_and_how() -> None:
    rates = Axis("lr", "optimizer.lr", (1e-2, 1e30))
    data = sweep(Sweep(config.replace(AUTOENCODER, {"optimizer": Sgd(0.1)}), [rates, Axis("seed", "seed", range(2))]))
    assert "finite" in data.diverged_by.attrs["flags"]
    good, lost = data.sel(lr=1e-2), data.sel(lr=1e30)
    assert good.diverged_at.isnull().all()
    assert (good.diverged_by == 0).all()
    assert (lost.diverged_by > 0).all()
    first = lost.diverged_at.astype(int)
    for seed in range(2):
        step = int(first.sel(seed=seed))
        curve = lost.objective.sel(seed=seed)
        assert not np.isfinite(curve.sel(step=step)) or float(curve.sel(step=step)) > 100 * float(curve.isel(step=0))


# --------------------------------------------------------------------------------------------------- double precision


def test_double_precision_is_another_cell_and_single_precision_keeps_its_address() -> None:
    double = config.replace(PACKING, {"double": True})
    assert "double" not in config.canonical(PACKING)[0]
    address = config.digest(double, NUMERICS)
    assert address != config.digest(PACKING, NUMERICS)
    assert config.digest(config.from_dict(config.to_dict(double)), NUMERICS) == address
    near = {"optimizer.lr": PACKING.optimizer.lr * (1 + 1e-12)}  # the same number in single precision
    assert config.digest(config.replace(PACKING, near), NUMERICS) == config.digest(PACKING, NUMERICS)
    assert config.digest(config.replace(double, near), NUMERICS) != address


def test_double_precision_trains_further_down_and_comes_back_from_a_store(tmp_path) -> None:
    """Gradient descent on 1/2 |U Vᵀ - A|^2 goes to zero: to 1e-14 in single precision, and on from there in double."""
    target = Components(4, 4, rank=2)
    run = Run(Factorize(target, components=2, scale=0.3), Momentum(0.05), steps=2000, record=FEW)
    seeds = Axis("seed", "seed", range(2))
    single, double = (sweep(Sweep(config.replace(run, {"double": each}), [seeds])) for each in (False, True))
    assert double.U.dtype == double.objective.dtype == np.float64
    assert single.U.dtype == np.float32
    assert (double.objective.isel(step=-1) < 1e-3 * single.objective.isel(step=-1)).all()
    kept = sweep(Sweep(config.replace(run, {"double": True}), [seeds]), tmp_path / "store")
    assert kept.U.equals(double.U)
    again = open(tmp_path / "store")
    assert again.U.dtype == np.float64
    assert again.load().equals(kept.load())
