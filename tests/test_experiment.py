"""What is read off a sweep: weights in order, notes on cells, and captions that tell what follows from the axes."""

from dataclasses import replace

import numpy as np
import xarray as xr

from toymodels import Axis, Choice, Run, Sweep
from toymodels.config import replace as rebind
from toymodels.data import Sparse
from toymodels.experiment import Swept, left_out, settings
from toymodels.models import Tied
from toymodels.optimizers import Adam, Sgd
from toymodels.problems.supervised import Supervised
from toymodels.store import DIVERGED, OK, UNCONVERGED

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


def test_weights_come_in_the_order_of_the_axes_converged_or_not():
    made = swept()
    W, b = made.weights("p", "seed")
    assert W.shape == (2, 3, 4, 2)
    assert b.shape == (2, 3, 4)
    np.testing.assert_array_equal(W[1, 0], made.data.W.isel(p=1, seed=0, snapshot=-1).values.T)  # unconverged
    assert np.isnan(W[0, 1]).all()  # diverged
    assert np.isnan(b[0, 1]).all()
    np.testing.assert_array_equal(made.weights("seed", p=0.4)[0], W[1])


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
