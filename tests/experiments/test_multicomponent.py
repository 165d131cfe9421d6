"""Laws of the multicomponent experiment: its units, its shared programs, its measures and its small trainings."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from toymodels import Record, Run, train
from toymodels.analysis.alignment import component_alignment
from toymodels.analysis.statistics import difference
from toymodels.config import get, replace, substitute
from toymodels.data import Sparse
from toymodels.experiment import load
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.optimizers import Adam, AdamW, Momentum, Sgd
from toymodels.problems.factorize import Components, Factorize
from toymodels.sweep import plan
from toymodels.theory.regression import expected_descent, regression_loss

FILE = Path(__file__).parents[2] / "experiments" / "multicomponent.py"
EXPERIMENT = load(FILE)
SWEEPS = EXPERIMENT.sweeps("tiny")
module = __import__("sys").modules["toymodels_experiment_multicomponent"]
seeds = st.integers(0, 2**20)


def target_and_start(seed: int, n: int = 5, m: int = 4, r: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, m)), rng.normal(size=(n, r)), rng.normal(size=(m, r))


@pytest.mark.parametrize("loss", [*module.LOSSES])
def test_the_growth_rate_is_the_largest_singular_value_of_the_gradient_at_zero(loss):
    problem = replace(
        Factorize(Components(6, 5, 4, Geometric(0.7, first=3.0), seed=3)),
        {"loss": module.LOSSES[loss]["problem.loss"]},
    )
    A = problem.target.matrix()
    gradient = jax.grad(lambda product: problem.loss(product, A))(jnp.zeros_like(A))
    # float32 gradients of float32 targets: 1e-5 of the largest is their rounding.
    assert module.growth_rate(problem.target, problem.loss, problem.data) == pytest.approx(
        np.linalg.norm(gradient, 2), rel=1e-4
    )


@pytest.mark.parametrize("p", [0.05, 1.0])
def test_the_growth_rate_on_sparse_inputs_is_that_of_the_mean_gradient(p):
    problem = Factorize(Components(4, 4, 4, Geometric(0.7), seed=3), loss=SquaredError(), data=Sparse(4, p))
    A, x = problem.target.matrix(), problem.data.sample(jax.random.key(0), 200_000)
    gradient = jax.grad(lambda product: jnp.sum((x @ (A - product).T) ** 2) / len(x))(jnp.zeros_like(A))
    # Relative error of a second moment from N draws of which N p are not zero: a few times 1 / sqrt(N p) = 1 %.
    assert module.growth_rate(problem.target, problem.loss, problem.data) == pytest.approx(
        np.linalg.norm(gradient, 2), rel=0.04
    )


@pytest.mark.parametrize(
    ("plain", "general"), [(Sgd(0.05), Momentum(0.05, decay=0.0)), (Adam(0.05), AdamW(0.05, weight_decay=0.0))]
)
def test_sgd_and_adam_are_members_of_the_families_that_train_them(plain, general):
    """W <- W - lr (0 v + g) and W <- W - lr (g' + 0 W) leave nothing to round differently."""
    run = Run(Factorize(Components(4, 3, 2), scale=0.3), plain, steps=30, record=Record(4, 2))
    one, other = (train(replace(run, {"optimizer": optimizer})) for optimizer in (plain, general))
    np.testing.assert_array_equal(one.U, other.U)


@pytest.mark.parametrize("name", [*SWEEPS])
def test_a_step_size_is_derived_once_and_from_the_run_alone(name):
    sweep = SWEEPS[name]
    labels = {axis.name: axis.labels[-1] for axis in sweep.axes}
    assert sweep.cell(**labels) == sweep.cell(**labels) == sweep.runs()[-1]
    wider = replace(sweep.cell(**labels), {"seed": 7})
    assert wider.seed != sweep.cell(**labels).seed


def test_the_derived_step_scales_with_the_one_asked_for_and_stays_stable():
    base = SWEEPS["ranks"].base
    for options in module.OPTIMIZERS.values():
        for losses in module.LOSSES.values():
            small, large = (
                module.in_natural_units(replace(base, {**options, **losses, "optimizer.lr": lr})) for lr in (0.01, 0.1)
            )
            assert large.optimizer.lr == pytest.approx(10 * small.optimizer.lr)


def test_no_target_is_drawn_from_the_seed_of_a_start():
    for sweep in EXPERIMENT.sweeps("full").values():
        ends = [axis.labels[-1] for axis in sweep.axes if axis.name == "seed"]
        assert max(ends) < module.TARGETS


def test_one_program_serves_each_loss_class_and_optimizer_family():
    # 4 classes of loss (one for both powers) x 2 families; regression x 2; four small problems, two of two families.
    assert plan(SWEEPS["ranks"].runs()).programs == 8
    assert plan(SWEEPS["sparse"].runs()).programs == 2
    assert sum(plan(sweep.runs()).programs for sweep in SWEEPS.values()) <= 22


def test_a_batch_of_targets_is_one_lapack_call_of_each_kind():
    """Two at once can deadlock: each blocks a thread of XLA's CPU pool until its own tasks have had one."""
    targets = jax.vmap(lambda seed: substitute(Components(5, 4, 4), seed=seed).vectors())
    text = jax.jit(targets).lower(jnp.arange(3)).as_text()
    assert text.count("@lapack_sgeqrf") == 1


# ------------------------------------------------------------------------------------------------------------- measures


@given(seeds, st.floats(0.1, 10))
def test_component_alignment_is_the_cosine_of_the_products(seed, scale):
    A, U, V = target_and_start(seed)
    left, right = np.linalg.qr(A)[0].T[:3], np.linalg.qr(A.T)[0].T[:3]
    flat = [np.outer(u, v).ravel() for u, v in zip(U.T, V.T, strict=True)]
    aims = [np.outer(a, b).ravel() for a, b in zip(left, right, strict=True)]
    cosine = [[abs(x @ y) / np.linalg.norm(x) / np.linalg.norm(y) for y in aims] for x in flat]
    np.testing.assert_allclose(component_alignment(scale * U, -V / scale, left, right), cosine, atol=1e-12)


@given(seeds)
def test_component_alignment_does_not_see_a_rotation_of_both_spaces(seed):
    A, U, V = target_and_start(seed)
    left, right = np.linalg.qr(A)[0].T[:2], np.linalg.qr(A.T)[0].T[:2]
    P, Q = (ortho_group.rvs(size, random_state=seed) for size in A.shape)
    turned = component_alignment(P @ U, Q @ V, left @ P.T, right @ Q.T)
    np.testing.assert_allclose(turned, component_alignment(U, V, left, right), atol=1e-12)


def test_component_alignment_of_zero_components_is_zero():
    np.testing.assert_array_equal(component_alignment(np.zeros((3, 2)), np.zeros((3, 2)), np.eye(3), np.eye(3)), 0)


@given(seeds)
def test_the_expected_loss_is_the_mean_over_inputs(seed):
    A, U, V = target_and_start(seed)
    x = np.random.default_rng(seed).normal(size=(50, 4)) ** 3
    mean = np.mean([np.sum(((A - U @ V.T) @ each) ** 2) for each in x])
    assert regression_loss(A, U, V, x.T @ x / len(x)) == pytest.approx(mean, rel=1e-10)


@given(seeds)
def test_expected_descent_follows_the_gradient_of_the_expected_loss(seed):
    A, U, V = target_and_start(seed)
    moment = np.cov(np.random.default_rng(seed).normal(size=(4, 9)))
    losses = expected_descent(A, U, V, moment, 1e-3, 3)
    with jax.enable_x64(True):

        def loss(factors):
            residual = jnp.asarray(A) - factors[0] @ factors[1].T
            return jnp.trace(residual @ moment @ residual.T)

        factors = (jnp.asarray(U), jnp.asarray(V))
        for expected in losses:
            assert float(loss(factors)) == pytest.approx(expected, rel=1e-9)
            factors = jax.tree.map(lambda w, g: w - 1e-3 * g, factors, jax.grad(loss)(factors))


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=20), st.floats(-3, 3))
def test_a_difference_of_a_shifted_sample_is_the_shift(values, shift):
    gap = difference(np.array(values) + shift, values)
    assert gap.mean == pytest.approx(shift, abs=1e-9)
    assert gap.low <= gap.mean <= gap.high
    assert np.isnan(difference([], values).mean)


def test_the_interval_of_a_difference_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for index in range(300):
        gap = difference(rng.normal(1, 1, 40), rng.normal(0, 2, 60), resamples=400, seed=index)
        hits += gap.low <= 1 <= gap.high
    # 95 % of 300 with a standard error of 1.3 %; a percentile bootstrap of 40 values covers about 94 %.
    assert 0.90 <= hits / 300 <= 0.99


# ------------------------------------------------------------------------------------------------------ small trainings


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The sweeps that the laws below are read from, trained at tiny sizes."""
    from toymodels.experiment import Swept
    from toymodels.sweep import sweep

    return {name: Swept(SWEEPS[name], sweep(SWEEPS[name])) for name in ("flow", "escapes", "pairs", "sparse")}


def test_training_follows_the_flow_with_an_error_in_proportion_to_the_step(swept):
    _, halved = module.flow_findings(swept["flow"])
    assert halved.holds, halved
    worst, steps = module.flow_deviations(swept["flow"])
    # A step lags by lr / 2 in each unit of time: a shift of lr T / 2, T < 12, of a curve of slope below 0.6 L(0).
    assert (worst <= 3.6 * steps[:, None]).all()


def test_escape_times_follow_their_law(swept):
    for finding in module.escape_findings(swept["escapes"]):
        assert finding.holds, finding


def test_the_learned_span_ends_in_the_target_span(swept):
    pairs = swept["pairs"]
    _, span, status = module.pair_alignment(pairs, optimizer="SGD", ratio=0.8, scale=0.1)
    assert len(span) == int((status == 0).sum())
    each = module.pair_alignment(pairs, optimizer="SGD", ratio=0.5, scale=0.1)[0]
    assert ((each >= 0) & (each <= 1)).all()
    if len(span):
        assert span[:, -1].min() > 0.9


def test_no_trained_matrix_is_below_its_optimum(swept):
    final, least = module.expected_losses(swept["sparse"])
    # float32 weights: a squared error of rounding, 1e-7, is far below the 1e-6 allowed.
    assert (final >= least - 1e-6).all()


def test_fields_that_the_overrides_reach_are_there():
    for sweep in SWEEPS.values():
        assert get(sweep.base, "optimizer.lr") > 0
