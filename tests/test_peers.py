"""Our fast trainer does the work of a plain one: the same losses, in distribution, along training."""

import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from benchmarks import in_jax
from benchmarks.contenders import JaxInstances, TorchInstances
from benchmarks.workloads import Attentions, Autoencoders, Decoders, Factorizations, Packings
from toymodels import Axis, Record, Sweep, config, sweep
from toymodels.theory.superposition import expected_loss

SEEDS, STEPS = 32, (0, 100, 300, 1000)
WORKLOAD = Autoencoders(5, 2, SEEDS, STEPS[-1], sparsest=0.1, densest=0.1)
"""All instances at p = .1: they differ by seed alone."""

needs_torch = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is an optional extra")


@pytest.fixture(scope="module")
def ours() -> np.ndarray:
    base = config.replace(WORKLOAD.base(), {"steps": STEPS[-1], "record": Record(11, 11, linear=True)})
    data = sweep(Sweep(base, [Axis("seed", "seed", range(SEEDS))]))
    weights = data.sel(snapshot=list(STEPS))
    return exact(weights.W.values, weights.b.values)


def exact(W: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(expected_loss(W, b, 0.1))


@pytest.mark.slow
@pytest.mark.parametrize("peer", [JaxInstances, pytest.param(TorchInstances, marks=needs_torch)])
def test_losses_agree_in_distribution(ours: np.ndarray, peer: Any) -> None:
    """Exact losses of 32 models of each along training: Kolmogorov-Smirnov, and Welch's t for the means.

    Eight tests; the smallest p-value of eight true hypotheses falls below 5e-4 in 4 runs of 1000. Seeds are fixed.
    """
    trainer, done, p_values = peer(WORKLOAD), 0, []
    for place, step in enumerate(STEPS):
        trainer.train(step - done)
        done = step
        weights = trainer.weights()
        theirs = exact(weights["W"], weights["b"])
        p_values.append(scipy.stats.ks_2samp(ours[:, place], theirs).pvalue)
        p_values.append(scipy.stats.ttest_ind(ours[:, place], theirs, equal_var=False).pvalue)
    assert min(p_values) > 5e-4, p_values


def test_the_test_sees_another_learning_rate(ours: np.ndarray) -> None:
    """Half as much learning rate again would not pass."""
    base = config.replace(WORKLOAD.base(), {"record": Record(11, 11, linear=True), "optimizer.lr": 1.5e-3})
    data = sweep(Sweep(base, [Axis("seed", "seed", range(100, 100 + SEEDS))])).sel(snapshot=list(STEPS))
    other = exact(data.W.values, data.b.values)
    smallest = min(scipy.stats.ks_2samp(a, b).pvalue for a, b in zip(ours.T, other.T, strict=True))
    assert smallest < 5e-4


SMALL = [
    Autoencoders(5, 2, 2, 10, batch=64),
    Decoders(8, 4, 12, 2, 10, batch=64),
    Attentions(4, 2, 2, 10, batch=64),
    Factorizations(6, 2, 2, 10),
    Packings(5, 3, 2, 10),
]


@pytest.mark.parametrize("workload", SMALL, ids=lambda each: type(each).__name__)
def test_peers_have_our_loss_on_the_same_examples(workload: Any) -> None:
    """At their own start, on their own examples."""
    model, problem = in_jax.MODELS[type(workload)](workload), workload.sweep().base.problem
    params, x = model.init(jax.random.key(1)), model.sample(jax.random.key(2), jnp.float32(0.3))

    def ours(example: Any) -> Any:
        given = {Autoencoders: (example, example), Decoders: (example, None)}  # with what is wanted, or noise
        return problem.objective(params, given.get(type(workload), example))

    expected = ours(None) if x is None else jax.vmap(ours)(x).mean()
    np.testing.assert_allclose(model.loss(params, x), expected, rtol=1e-5)
    assert {name: leaf.shape for name, leaf in params.items()} == {
        name: leaf.shape for name, leaf in problem.init(jax.random.key(0)).items()
    }
