"""Losses of given models: closed forms at all sparsities, and plain draws."""

import numpy as np
import pytest
import xarray as xr

from toymodels.data import OneSparse, Sparse, Uniform
from toymodels.laws import Geometric
from toymodels.losses import BinaryCrossEntropy, SquaredError
from toymodels.models import Absolute, Relu, Tied, Untied
from toymodels.problems.evaluation import importances, sparse_loss, sparse_losses
from toymodels.problems.supervised import Supervised
from toymodels.theory.absolute_value import naive_loss
from toymodels.theory.superposition import expected_loss


@pytest.mark.parametrize("p", [1.0, 0.3, 0.01])
def test_against_the_exact_loss_of_two_models(p):
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(2, 4, 2)).astype(np.float32), 0.1 * rng.normal(size=(2, 4)).astype(np.float32)
    found = sparse_loss(Supervised(Sparse(4, p), Tied(2)), {"W": W, "b": b})
    np.testing.assert_allclose(found, expected_loss(W, b, p), rtol=0.02 if p > 0.1 else 2e-3)


def test_the_naive_network_for_the_absolute_value():
    encoder = np.zeros((1, 3, 4), np.float32)
    encoder[0, :2] = np.kron(np.eye(2), [1, -1])
    problem = Supervised(Sparse(3, 1e-3, Uniform(-1, 1)), Untied(4, hidden=Relu()), target=Absolute())
    params = {"encoder": encoder, "W": np.abs(encoder), "b": np.array([[0, 0, 5e-4]], np.float32)}
    assert sparse_loss(problem, params)[0] == pytest.approx(naive_loss(4, 1e-3, np.ones(3)), rel=2e-3)


def test_losses_of_a_sweep_are_those_of_each_p():
    rng, problem = np.random.default_rng(0), Supervised(Sparse(3), Tied(2))
    coords = {"p": [0.5, 0.1], "seed": [7, 8, 9]}
    W = xr.DataArray(rng.normal(size=(3, 2, 3, 2)), coords, ("seed", "p", "feature", "hidden"))
    b = xr.DataArray(rng.normal(size=(2, 3, 3)), coords, ("p", "seed", "feature"))
    found = sparse_losses(problem, W=W, b=b)
    assert found.dims == ("p", "seed")
    one = sparse_loss(Supervised(Sparse(3, 0.1), Tied(2)), {"W": W.values[1:2, 1], "b": b.values[1, 1:2]})
    np.testing.assert_allclose(found.sel(p=0.1, seed=8), one[0], rtol=1e-5)


def test_other_data_are_refused():
    params = {"W": np.ones((1, 3, 1)), "b": np.zeros((1, 3))}
    for data in (OneSparse(3), Sparse(3, (0.1, 0.2, 0.3))):
        with pytest.raises(ValueError, match="one p"):
            sparse_loss(Supervised(data, Tied(1)), params)
    with pytest.raises(ValueError, match="draws"):
        sparse_loss(Supervised(Sparse(3, 0.1), Tied(1)), params, draws=0)


def test_importances_are_those_of_the_loss():
    problem = Supervised(Sparse(3), Tied(2), SquaredError(Geometric(0.5)))
    assert importances(problem).tolist() == [1, 0.5, 0.25]
    with pytest.raises(ValueError, match="without importances"):
        importances(Supervised(Sparse(3), Tied(2), BinaryCrossEntropy()))
