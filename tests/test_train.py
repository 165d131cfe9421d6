"""Laws of one run: what it computes, and that watching it changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import AUTOENCODER, PACKING
from toymodels import Record, Run, config, train
from toymodels.engine.batch import train_batch
from toymodels.optimizers import Sgd
from toymodels.problems.factorize import Components, Factorize, Given

TARGET = np.diag([2.0, 1.0, 0.5]).astype(np.float32)


def test_gradient_descent_by_hand() -> None:
    """U <- U + lr (A - U Vᵀ) V, V <- V + lr (A - U Vᵀ)ᵀ U, the same in numpy."""
    run = Run(Factorize(Given(TARGET), 2, scale=0.1), Sgd(0.05), steps=40, record=Record(5, 5))
    data = train(run)
    U, V = (data[name].sel(snapshot=0).values.astype(float) for name in "UV")
    for _ in range(40):
        error = TARGET - U @ V.T
        U, V = U + 0.05 * error @ V, V + 0.05 * error.T @ U
    np.testing.assert_allclose(data.U.sel(snapshot=40), U, atol=40 * 1e-7 * np.abs(U).max())
    np.testing.assert_allclose(data.objective.sel(step=40), ((TARGET - U @ V.T) ** 2).sum() / 2, rtol=1e-5)


def test_factorization_meets_eckart_young() -> None:
    run = Run(Factorize(Given(TARGET), 2, scale=0.1), Sgd(0.1), steps=2000, record=Record(2, 2))
    assert float(train(run).objective[-1]) == pytest.approx(0.5**2 / 2, rel=1e-4)


@pytest.mark.parametrize("record", [Record(50, 1, examples=128), Record(3, 3, linear=True, examples=128)])
def test_recording_changes_nothing(record: Record) -> None:
    """The same weights, whatever is recorded and wherever the host cuts the scan."""
    watched = train(config.replace(AUTOENCODER, {"record": record}))
    usual = train(AUTOENCODER)
    np.testing.assert_array_equal(watched.W.isel(snapshot=-1), usual.W.isel(snapshot=-1))
    assert float(watched.objective[-1]) == float(usual.objective[-1])


def test_initial_weights_are_of_the_seed_alone() -> None:
    """Not of data, steps, or the stream of draws."""
    other = config.replace(AUTOENCODER, {"problem.data.p": 0.9, "steps": 20, "stream": 5})
    np.testing.assert_array_equal(train(AUTOENCODER).W.sel(snapshot=0), train(other).W.sel(snapshot=0))


def test_another_stream_is_other_data() -> None:
    other = train(config.replace(AUTOENCODER, {"stream": 1}))
    assert not np.array_equal(train(AUTOENCODER).W.isel(snapshot=-1), other.W.isel(snapshot=-1))


def test_no_key_is_used_twice() -> None:
    with jax.debug_key_reuse(True):
        train(config.replace(AUTOENCODER, {"steps": 7}))


def test_done_freezes_a_cell() -> None:
    """The inner product falls until |Ã| reaches |A|, and not one step further."""
    from toymodels.losses import InnerProduct

    run = Run(
        Factorize(Given(TARGET), 1, loss=InnerProduct(), scale=0.1), Sgd(0.05), steps=400, record=Record(400, 400)
    )
    data = train(run)
    size = np.linalg.norm(np.einsum("tir,tjr->tij", data.U, data.V), axis=(1, 2))
    stopped = size >= np.linalg.norm(TARGET)
    assert 0 < stopped.sum() < len(size)
    assert np.unique(data.objective.values[stopped]).size == 1


@given(st.integers(1, 5000), st.integers(1, 300), st.integers(1, 60), st.booleans())
def test_record_steps(steps: int, losses: int, snapshots: int, linear: bool) -> None:
    """Sorted, without repeats, within the run, the last always kept, snapshots among the losses."""
    record = Record(losses, snapshots, linear)
    for points in (record.loss_steps(steps), record.snapshot_steps(steps)):
        assert (np.diff(points) > 0).all()
        assert points[0] >= 0
        assert points[-1] == steps
    assert set(record.snapshot_steps(steps)) <= set(record.loss_steps(steps))
    assert len(record.snapshot_steps(steps)) <= max(snapshots, 1)


@given(st.floats(0.01, 1), st.integers(0, 1000))
def test_loss_is_the_mean_of_one_example_losses(p: float, seed: int) -> None:
    """What is recorded at step 0 is the average of the one-example objective over the evaluation examples."""
    run = config.replace(AUTOENCODER, {"problem.data.p": p, "seed": seed})
    data = train(run)
    evaluation_key = jax.random.split(jax.random.key(seed), 3)[2]
    observed, clean = run.problem.sample(evaluation_key, run.record.examples)
    W, b = data.W.values[0], data.b.values[0]
    by_hand = np.mean(
        [((c - np.maximum(W @ (W.T @ x) + b, 0)) ** 2).sum() for x, c in zip(observed, clean, strict=True)]
    )
    np.testing.assert_allclose(data.objective[0], by_hand, rtol=1e-4)


def test_deterministic_problem_ignores_batch() -> None:
    one, other = (train(config.replace(PACKING, {"batch": batch})) for batch in (8, 1024))
    np.testing.assert_array_equal(one.V, other.V)


def test_target_is_worked_out_once() -> None:
    """`prepare` leaves the objective as it was."""
    problem = Factorize(Components(6, 5, 2, (2.0, 1.0)), 2, scale=0.3)
    params = problem.init(jax.random.key(1))
    assert float(problem.objective(params, None)) == pytest.approx(
        float(problem.prepare().objective(params, None)), rel=1e-6
    )


def test_batches_of_copies_agree() -> None:
    results = train_batch([[AUTOENCODER] * 2] * 2)
    assert jnp.unique(results.scalars["objective"][:, -1]).size == 1
