"""|x| without superposition: closed forms against draws, and against every way to share out neurons."""

import itertools

import numpy as np
import pytest

from toymodels.theory.absolute_value import constant_loss, naive_loss, one_neuron_loss


def draws(p, n=1, count=1_000_000):
    rng = np.random.default_rng(0)
    return np.where(rng.random((count, n)) < p, rng.uniform(-1, 1, (count, n)), 0.0)


@pytest.mark.parametrize("p", [1.0, 0.3, 0.05])
def test_losses_of_one_feature_against_draws(p):
    x = draws(p)[:, 0]
    assert constant_loss(p) == pytest.approx(np.var(np.abs(x)), rel=2e-2)
    inputs = np.column_stack([np.maximum(x, 0), np.ones_like(x)])
    w, *_ = np.linalg.lstsq(inputs, np.abs(x), rcond=None)
    assert one_neuron_loss(p) == pytest.approx(np.mean((np.abs(x) - inputs @ w) ** 2), rel=2e-2)
    assert 0.5 * constant_loss(p) <= one_neuron_loss(p) <= constant_loss(p)


@pytest.mark.parametrize("p", [1.0, 0.2])
def test_naive_loss_is_that_of_the_network_it_describes(p):
    importance, x = np.array([0.3, 1.0, 0.5]), draws(p, 3)
    encoder = np.zeros((3, 4))
    encoder[1, :2], encoder[2, 2:] = (1, -1), (1, -1)
    out = np.maximum(np.maximum(x @ encoder, 0) @ np.abs(encoder).T + [p / 2, 0, 0], 0)
    sampled = np.mean((np.abs(x) - out) ** 2 @ importance)
    assert naive_loss(4, p, importance) == pytest.approx(sampled, rel=2e-2)
    assert naive_loss(5, p, importance) == naive_loss(4, p, importance)
    assert naive_loss(6, p, importance) == 0


@pytest.mark.parametrize("p", [1.0, 0.4, 1e-3])
def test_no_other_use_of_the_neurons_does_better(p):
    importance = 0.7 ** np.arange(4)
    by_neurons = np.array([constant_loss(p), one_neuron_loss(p), 0.0])
    ways = np.array([way for way in itertools.product(range(3), repeat=4) if sum(way) <= 4])
    assert naive_loss(4, p, importance) == pytest.approx((by_neurons[ways] @ importance).min(), rel=1e-9)


def test_bad_arguments():
    with pytest.raises(ValueError, match="probability"):
        naive_loss(4, 1.5, [1.0])
    with pytest.raises(ValueError, match="neurons"):
        naive_loss(-1, 0.5, [1.0])
    with pytest.raises(ValueError, match="importance"):
        naive_loss(2, 0.5, [-1.0])
