"""Closed forms of matrix factorization against integrated flows, autodiff, brute force and simulated starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from scipy.stats import kstest, ortho_group

from toymodels.analysis.ranges import half_drop
from toymodels.theory import multicomponent as mc

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 6)
log_scales = st.floats(-4, 1)


def draw(seed, n, m, rank=1, scale=1.0):
    """A Gaussian target and a Gaussian start."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, m)), scale * rng.normal(size=(n, rank)), scale * rng.normal(size=(m, rank))


def draw_balanced(seed, n, m, rank, scale, ratio=1.0):
    """U = ratio P T, V = Q T with orthonormal P, Q: UᵀU = ratio^2 VᵀV."""
    rng = np.random.default_rng(seed)
    k = min(n, m, rank)
    mixing = scale * rng.normal(size=(k, rank))
    P, Q = (np.linalg.qr(rng.normal(size=(size, k)))[0] for size in (n, m))
    return rng.normal(size=(n, m)), ratio * P @ mixing, Q @ mixing


def integrate(A, a0, b0, t):
    """The rank-one flow in the raw basis, by an adaptive integrator whose tolerance is 1e-13 per step."""
    n = len(a0)

    def velocity(_, z):
        residual = A - np.outer(z[:n], z[n:])
        return np.concatenate([residual @ z[n:], residual.T @ z[:n]])

    z = solve_ivp(velocity, (0, t[-1]), np.concatenate([a0, b0]), "DOP853", t, rtol=1e-13, atol=1e-17).y.T
    return (
        z[:, :n],
        z[:, n:],
        np.array([np.sum((A - np.outer(a, b)) ** 2) / 2 for a, b in zip(z[:, :n], z[:, n:], strict=True)]),
    )


# ------------------------------------------------------------------------------------------------ rank one


@settings(max_examples=25)
@given(seeds, sizes, sizes, log_scales, st.floats(-1, 1))
def test_rank_one_flow_is_the_solution_of_its_differential_equation(seed, n, m, log_scale, log_ratio):
    A, a0, b0 = draw(seed, n, m, scale=10**log_scale)
    a0, b0 = a0[:, 0] * 10**log_ratio, b0[:, 0]
    t = np.linspace(0, 8, 12)
    a, b, loss = integrate(A, a0, b0, t)
    flow = mc.rank_one_flow(A, a0, b0, t)
    # Integration errors of 1e-13 a step grow at most like the solution itself, over some 1e3 steps.
    np.testing.assert_allclose(flow.a, a, rtol=0, atol=1e-9 * np.abs(a).max())
    np.testing.assert_allclose(flow.b, b, rtol=0, atol=1e-9 * np.abs(b).max())
    np.testing.assert_allclose(flow.loss, loss, rtol=1e-8, atol=1e-17 * np.sum(A**2))


@pytest.mark.parametrize(
    "A",
    [
        np.eye(3),
        np.zeros((2, 3)),
        np.diag([1.0, 1.0, 0.0]),
        np.ones((3, 5)),
        np.diag([2.0, 2.0 - 1e-9, 1e-12]),
        [[3.0]],
    ],
)
def test_degenerate_targets(A):
    A = np.asarray(A)
    _, a0, b0 = draw(3, *A.shape, scale=0.1)
    t = np.linspace(0, 9, 10)
    a, b, loss = integrate(A, a0[:, 0], b0[:, 0], t)
    flow = mc.rank_one_flow(A.tolist(), jnp.asarray(a0[:, 0]), b0[:, 0], t)
    single = mc.rank_one_flow(A, np.float32(a0[:, 0]), b0[:, 0], t)  # a float32 start is the start it says it is
    np.testing.assert_allclose(single.a, flow.a, atol=1e-5)
    flow = mc.rank_one_flow(A.tolist(), a0[:, 0].tolist(), b0[:, 0], t)
    np.testing.assert_allclose(flow.a, a, atol=1e-10)
    np.testing.assert_allclose(flow.b, b, atol=1e-10)
    np.testing.assert_allclose(flow.loss, loss, rtol=1e-8, atol=1e-17)


@given(seeds, sizes, sizes, log_scales, st.floats(0, 6))
def test_flow_conserves_imbalance_and_lowers_the_loss(seed, n, m, log_scale, log_time):
    A, a0, b0 = draw(seed, n, m, scale=10**log_scale)
    a, b, loss = mc.rank_one_flow(A, a0[:, 0], b0[:, 0], np.append(0, np.geomspace(1e-6, 10**log_time, 30)))
    difference = np.sum(a**2, 1) - np.sum(b**2, 1)
    size = np.max(np.sum(a**2, 1) + np.sum(b**2, 1))
    np.testing.assert_allclose(difference, difference[0], rtol=0, atol=1e-12 * size)
    assert np.all(np.diff(loss) <= 1e-12 * loss[:-1] + 1e-15 * np.sum(A**2))


@given(seeds, sizes, sizes, log_scales, st.floats(0.01, 5), st.floats(0.01, 5))
def test_flow_is_a_semigroup(seed, n, m, log_scale, first, second):
    A, a0, b0 = draw(seed, n, m, scale=10**log_scale)
    whole = mc.rank_one_flow(A, a0[:, 0], b0[:, 0], first + second)
    middle = mc.rank_one_flow(A, a0[:, 0], b0[:, 0], first)
    rest = mc.rank_one_flow(A, middle.a, middle.b, second)
    # The saddle amplifies the rounding of the middle state at most by e^{(s_1 - s_k) second}: s <= 6, 1e-16 e^{20}.
    growth = np.exp(np.linalg.norm(A, 2) * second)
    np.testing.assert_allclose(rest.a, whole.a, rtol=0, atol=1e-14 * growth * np.abs(middle.a).max() + 1e-12)


@given(seeds, sizes, sizes, log_scales, st.floats(-30, 30))
def test_flow_commutes_with_rotations_and_with_scale(seed, n, m, log_scale, log_unit):
    """A -> R A Qᵀ rotates a and b; A -> c A is a change of units, sqrt(c) for a and b and 1/c for time."""
    A, a0, b0 = draw(seed, n, m, scale=10**log_scale)
    t, unit = np.linspace(0, 4, 5), 10**log_unit
    R, Q = (np.atleast_2d(ortho_group.rvs(k, random_state=seed % 2**31)) if k > 1 else -np.eye(1) for k in (n, m))
    flow = mc.rank_one_flow(A, a0[:, 0], b0[:, 0], t)
    turned = mc.rank_one_flow(R @ A @ Q.T, R @ a0[:, 0], Q @ b0[:, 0], t)
    scaled = mc.rank_one_flow(unit * A, np.sqrt(unit) * a0[:, 0], np.sqrt(unit) * b0[:, 0], t / unit)
    # A rotation rounds the start by 1e-16, and this grows by no more than e^{s t} <= e^{24} before saturation.
    np.testing.assert_allclose(turned.a, flow.a @ R.T, rtol=0, atol=1e-7 * np.abs(flow.a).max())
    np.testing.assert_allclose(turned.loss, flow.loss, rtol=1e-6, atol=1e-15 * np.sum(A**2))
    np.testing.assert_allclose(scaled.loss / unit / unit, flow.loss, rtol=1e-6, atol=1e-15 * np.sum(A**2))


def test_flow_converges_to_the_best_rank_one_approximation():
    A, a0, b0 = draw(0, 7, 5, scale=1e-3)
    flow = mc.rank_one_flow(A, a0[:, 0], b0[:, 0], [1e3, 1e12])
    np.testing.assert_allclose(flow.loss, mc.eckart_young(A, 1).loss, rtol=1e-12)


def test_start_orthogonal_to_a_component_never_learns_it():
    """On the stable manifold of a saddle the flow stays: it learns the second component, or none, not the first."""
    rng = np.random.default_rng(1)
    left, right = np.linalg.qr(rng.normal(size=(9, 9)))[0], np.linalg.qr(rng.normal(size=(6, 6)))[0]
    A = (left[:, :2] * [3.0, 1.0]) @ right[:, :2].T
    a0 = left[:, 1:] @ rng.normal(size=8)
    b0 = right[:, 1:] @ rng.normal(size=5)
    np.testing.assert_allclose(mc.rank_one_flow(A, a0, b0, [300, 3e4]).loss, 4.5, rtol=1e-12)
    opposed = mc.rank_one_flow(A, left[:, 0], -right[:, 0], [30, 300])
    np.testing.assert_allclose(opposed.loss, 5, rtol=1e-12)
    zero = mc.rank_one_flow(A, 0 * a0, 0 * b0, [0, 1, 1e9])
    np.testing.assert_array_equal(zero.a, 0)
    np.testing.assert_allclose(zero.loss, 5)


def test_extreme_starts():
    """u = a b from 1e-200 is s x/(s + x), x = e^{2st} 1e-200; starts of 1e6 and 1e8 come back."""
    delay, x = np.array([-5.0, 0.0, 5.0]), np.exp([[-20.0], [0.0], [20.0]])
    tiny = mc.rank_one_flow([[2.0]], [1e-100], [1e-100], np.log(1e100) / 2 + delay)
    np.testing.assert_allclose(tiny.a * tiny.b, 2 * x / (2 + x), rtol=1e-9)
    huge = mc.rank_one_flow(np.eye(3), [1e6, 1, 2], [3, 1e6, 1], [0, 1e-9, 1, 1e6])
    assert np.all(np.isfinite(huge.a))
    assert np.all(np.diff(huge.loss) <= 0)
    lopsided = mc.rank_one_flow(np.diag([2.0, 1.0]), [1e8, 0], [0, 1], [1.0])  # b follows A a/|a|^2 at once
    np.testing.assert_allclose(lopsided.b, [[2e-8, 0]], rtol=1e-12, atol=1e-15)


def test_times_may_have_any_order_and_shape():
    A, a0, b0 = draw(4, 3, 4)
    t = np.array([[3.0, 0.0], [1.0, 3.0]])
    flow = mc.rank_one_flow(A, a0[:, 0], b0[:, 0], t)
    assert flow.a.shape == (2, 2, 3)
    assert flow.loss.shape == (2, 2)
    np.testing.assert_array_equal(flow.a[0, 1], a0[:, 0])
    np.testing.assert_array_equal(flow.loss[0, 0], flow.loss[1, 1])
    np.testing.assert_allclose(mc.rank_one_flow(A, a0[:, 0], b0[:, 0], 1).loss, flow.loss[1, 0], rtol=1e-12)
    assert mc.rank_one_flow(A, a0[:, 0], b0[:, 0], []).b.shape == (0, 4)
    assert mc.gradient_flow(A, a0, b0, []).U.shape == (0, 3, 1)


# -------------------------------------------------------------------------------------- more components


@settings(max_examples=20)
@given(seeds, sizes, sizes, st.integers(1, 4), st.floats(-4, 0.5), st.sampled_from([1.0, 1.0, 0.2, 3.0]))
def test_balanced_flow_is_the_integrated_flow(seed, n, m, rank, log_scale, ratio):
    A, U0, V0 = draw_balanced(seed, n, m, rank, 10**log_scale)
    if ratio != 1:  # orthonormal columns of two lengths: balanced up to a multiple of the identity
        rank = min(n, m, rank)
        U0, V0 = ratio * np.linalg.qr(U0[:, :rank])[0], np.linalg.qr(V0[:, :rank])[0]
    t = [5.0, 0.0, 0.3, 2.0]
    exact, integrated = mc.balanced_flow(A, U0, V0, t), mc.gradient_flow(A, U0, V0, t)
    scale = max(np.abs(integrated.product).max(), np.abs(A).max())
    np.testing.assert_allclose(exact.product, integrated.product, rtol=0, atol=1e-7 * scale)  # 1e3 steps at rtol 1e-11
    np.testing.assert_allclose(exact.loss, integrated.loss, rtol=1e-7, atol=1e-7 * scale**2)


@given(seeds, sizes, sizes, st.integers(1, 3), st.floats(-3, 0))
def test_balanced_product_does_not_depend_on_the_mixing_of_components(seed, n, m, rank, log_scale):
    A, U0, V0 = draw_balanced(seed, n, m, rank, 10**log_scale)
    mixing = np.linalg.qr(np.random.default_rng(seed).normal(size=(rank, rank)))[0]
    plain, mixed = (mc.balanced_flow(A, U0 @ R, V0 @ R, [0.5, 1.5]) for R in (np.eye(rank), mixing))
    np.testing.assert_allclose(mixed.product, plain.product, rtol=0, atol=1e-9)


def test_rank_one_flow_is_the_balanced_flow_of_one_column():
    A, a0, b0 = draw(5, 4, 6, scale=0.1)
    t = [0, 1, 2]
    a, b, loss = mc.rank_one_flow(A, a0[:, 0], b0[:, 0], t)
    flow = mc.balanced_flow(A, a0, b0, t)
    np.testing.assert_allclose(flow.product, np.einsum("ti,tj->tij", a, b), atol=1e-14)
    np.testing.assert_allclose(flow.loss, loss, rtol=1e-12)


def test_small_balanced_start_visits_every_plateau_in_turn():
    """Between escapes at T_k ~ ln(1/u0)/(2 s_k) the loss sits at 1/2 sum of the squares not yet learned, to 1e-4.

    The largest exponent is s_1 t = 1e6: nothing may overflow on the way to the last component.
    """
    s = 10.0 ** -np.arange(5)
    rng = np.random.default_rng(2)
    U0 = 1e-6 * rng.normal(size=(5, 5))
    R = ortho_group.rvs(5, random_state=0)  # det(V0) = det(U0): the full product is reachable through invertible ones
    escapes = np.log(1e12) / (2 * s)
    flow = mc.balanced_flow(np.diag(s), U0, R @ U0, np.append(0, 3 * escapes))
    levels = mc.plateau_levels(s)
    np.testing.assert_allclose(flow.loss[:5], levels[:5], rtol=0.02)
    assert flow.loss[5] < 0.02 * levels[4]


def test_duplicate_and_dead_columns_stay_what_they_are():
    """Equal columns learn one component between them, however long one waits; rounding may not split them."""
    s = np.array([2.0, 1.0, 0.5])
    U0 = 1e-2 * np.random.default_rng(0).normal(size=(3, 1)) @ [[1.0, 1.0, 0.0]]
    flow = mc.balanced_flow(np.diag(s), U0, ortho_group.rvs(3, random_state=1) @ U0, [100, 1e4])
    np.testing.assert_allclose(flow.loss, mc.plateau_levels(s)[1], rtol=1e-9)


def test_unbalanced_factors_are_refused():
    A, U0, V0 = draw(0, 4, 4, rank=2)
    with pytest.raises(ValueError, match="not balanced"):
        mc.balanced_flow(A, U0, V0, [1.0])


@given(st.floats(0, 5), st.floats(1e-6, 10), st.floats(0, 4))
def test_mode_strength_solves_the_logistic_equation(s, u0, t):
    flow = mc.rank_one_flow([[s]], [np.sqrt(u0)], [np.sqrt(u0)], t)
    np.testing.assert_allclose(mc.mode_strength(s, u0, t), flow.a[0] * flow.b[0], rtol=1e-10)
    step = 1e-5
    slope = (mc.mode_strength(s, u0, t + step) - mc.mode_strength(s, u0, t)) / step
    middle = float(mc.mode_strength(s, u0, t + step / 2))
    # Error of the central difference: u''' step^2 / 24, with |u'''| <= 8 max(s, u)^4.
    bound = 1e-10 * (1 + max(s, u0)) ** 4 + 1e-9 * max(s, u0)
    np.testing.assert_allclose(slope, 2 * middle * (s - middle), atol=bound)


def test_mode_strength_limits():
    np.testing.assert_allclose(
        mc.mode_strength([0, 0, 2, 2], [0.5, 0, 1e-9, 5], [2, 2, 1e3, 1e300]), [0.5 / 3, 0, 2, 2]
    )


@pytest.mark.parametrize(("n", "m", "rank"), [(3, 5, 2), (2, 2, 4), (6, 1, 1)])
def test_integrated_flow_follows_the_gradient(n, m, rank):
    """Velocities by central difference are minus the gradients by automatic differentiation; UᵀU - VᵀV is conserved."""
    A, U0, V0 = draw(1, n, m, rank, scale=0.7)
    times, step = np.array([0.3, 1.0]), 1e-4
    flow, ahead, behind = (mc.gradient_flow(A, U0, V0, times + h) for h in (0, step, -step))
    with jax.enable_x64(True):
        grad = jax.vmap(jax.grad(lambda U, V: jnp.sum((A - U @ V.T) ** 2) / 2, (0, 1)))(flow.U, flow.V)
    np.testing.assert_allclose((ahead.U - behind.U) / (2 * step), -grad[0], atol=1e-5)  # U''' step^2 / 6, U''' < 1e3
    np.testing.assert_allclose((ahead.V - behind.V) / (2 * step), -grad[1], atol=1e-5)
    conserved = np.swapaxes(flow.U, 1, 2) @ flow.U - np.swapaxes(flow.V, 1, 2) @ flow.V
    np.testing.assert_allclose(conserved, np.broadcast_to(U0.T @ U0 - V0.T @ V0, conserved.shape), atol=1e-9)


def test_stiff_flow_agrees_with_the_closed_form():
    """|a|^2 = 1e4 against s = 1: explicit steps would be bounded by 1e-4 of the time span."""
    A, a0, b0 = draw(2, 3, 3)
    t = [0.01, 1.0, 30.0]
    exact = mc.rank_one_flow(A, 100 * a0[:, 0], 0.1 * b0[:, 0], t)
    integrated = mc.gradient_flow(A, 100 * a0[:, 0], 0.1 * b0[:, 0], t)
    np.testing.assert_allclose(integrated.loss, exact.loss, rtol=1e-6)


# ------------------------------------------------------------------------------------- plateaus and optima


@given(seeds, sizes, sizes, st.integers(0, 7))
def test_eckart_young_is_a_lower_bound_that_its_product_attains(seed, n, m, rank):
    A, U, V = draw(seed, n, m, max(rank, 1))
    best = mc.eckart_young(A, rank)
    assert np.linalg.matrix_rank(best.product) <= rank
    np.testing.assert_allclose(np.sum((A - best.product) ** 2) / 2, best.loss, rtol=1e-9, atol=1e-25)
    for _ in range(3):  # alternating least squares descends, from any start, and never below the bound
        V = np.linalg.lstsq(U, A, rcond=None)[0].T
        U = np.linalg.lstsq(V, A.T, rcond=None)[0].T
    reached = np.sum((A - (U @ V.T if rank else 0)) ** 2) / 2
    assert reached >= best.loss - 1e-12 * np.sum(A**2)
    levels = mc.plateau_levels(np.linalg.svd(A, compute_uv=False))
    np.testing.assert_allclose(levels[min(rank, min(n, m))], best.loss, rtol=1e-9, atol=1e-25)


def test_plateau_levels_of_a_known_spectrum():
    np.testing.assert_allclose(mc.plateau_levels([1, 3, 2]), [7, 2.5, 0.5, 0])
    np.testing.assert_allclose(mc.plateau_levels([3, 2, 1], rank=1), [7, 2.5])
    np.testing.assert_allclose(mc.plateau_levels([3, 2, 1], rank=9), [7, 2.5, 0.5, 0])


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_stable_step_is_two_over_the_top_of_the_hessian(rank):
    A = draw(6, 3, 4)[0]
    left, s, right = np.linalg.svd(A, full_matrices=False)
    optimum = np.concatenate([(left * np.sqrt(s))[:, :rank], (right.T * np.sqrt(s))[:, :rank]])
    with jax.enable_x64(True):
        loss = lambda z: jnp.sum((A - z[:3] @ z[3:].T) ** 2) / 2  # noqa: E731
        hessian = np.asarray(jax.hessian(loss)(jnp.asarray(optimum))).reshape(optimum.size, optimum.size)
    np.testing.assert_allclose(mc.stable_step(A), 2 / np.linalg.eigvalsh(hessian)[-1], rtol=1e-10)
    assert mc.stable_step(np.zeros((2, 2))) == np.inf


# ------------------------------------------------------------------------------------- growth from zero

MOMENT = np.array([[0.3, 0.05, 0.0], [0.05, 0.2, 0.01], [0.0, 0.01, 0.1]])
LOSSES = {
    "squared": (lambda A, P: jnp.sum((A - P) ** 2) / 2, mc.squared_growth_rates),
    "inner product": (lambda A, P: -jnp.sum(A * P), mc.inner_product_growth_rates),
    "fourth power": (lambda A, P: jnp.sum(jnp.abs(A - P) ** 4), lambda A: mc.power_growth_rates(A, 4)),
    "absolute": (lambda A, P: jnp.sum(jnp.abs(A - P)), lambda A: mc.power_growth_rates(A, 1)),
    "cross-entropy": (
        lambda A, P: -jnp.sum(jax.nn.softmax(A.ravel()) * jax.nn.log_softmax(P.ravel())),
        mc.cross_entropy_growth_rates,
    ),
    "regression": (
        lambda A, P: jnp.trace((A - P) @ MOMENT @ (A - P).T) / 2,
        lambda A: mc.regression_growth_rates(A, MOMENT),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_growth_rates_are_those_of_the_linearized_flow(name):
    """The Hessian of L(U Vᵀ) at U = V = 0 has eigenvalues +-rate, with (left, right)/sqrt 2 those of -rate."""
    loss, rates_of = LOSSES[name]
    A = draw(8, 4, 3)[0]
    rates, left, right = rates_of(A)
    with jax.enable_x64(True):
        of_pair = lambda z: loss(jnp.asarray(A), jnp.outer(z[:4], z[4:]))  # noqa: E731
        hessian = np.asarray(jax.hessian(of_pair)(jnp.zeros(7)))
    growing = np.concatenate([left, right]) / np.sqrt(2)
    np.testing.assert_allclose(hessian @ growing, -growing * rates, atol=1e-12)
    np.testing.assert_allclose(np.linalg.eigvalsh(hessian)[:3], -rates, atol=1e-12)


def test_cross_entropy_rates_at_its_ends():
    np.testing.assert_array_equal(mc.cross_entropy_growth_rates(np.full((3, 4), 7.0)).rates, 0)
    small = 1e-7 * draw(0, 3, 4)[0]
    expected = np.linalg.svd(small - small.mean(), compute_uv=False) / 12
    np.testing.assert_allclose(mc.cross_entropy_growth_rates(small).rates, expected, rtol=1e-5)  # next order: 1e-7
    assert np.all(np.isfinite(mc.cross_entropy_growth_rates([[1e4, 0.0], [0.0, -1e4]]).rates))


@given(seeds, st.integers(1, 4), st.integers(1, 4), st.integers(0, 4))
def test_regression_optimum_is_the_best_of_its_rank_on_a_sample(seed, n, m, rank):
    """M = E[x xᵀ] of a finite sample: the loss is an ordinary mean, bounded below over random competitors."""
    A, U, V = draw(seed, n, m, max(rank, 1))
    x = np.random.default_rng(seed).normal(size=(7, m)) * (np.random.default_rng(seed + 1).random((7, m)) < 0.5)
    loss_of = lambda P: np.mean(np.sum((x @ (A - P).T) ** 2, 1)) / 2  # noqa: E731
    best = mc.regression_optimum(A, x.T @ x / 7, rank)
    np.testing.assert_allclose(loss_of(best.product), best.loss, rtol=1e-6, atol=1e-12 * np.sum(A**2))
    competitor = U @ V.T if rank else np.zeros((n, m))
    assert loss_of(competitor) >= best.loss - 1e-10 * np.sum(A**2)
    assert loss_of(
        best.product + 1e-3 * (competitor - best.product) * (rank >= min(n, m))
    ) >= best.loss - 1e-9 * np.sum(A**2)
    assert np.linalg.matrix_rank(best.product, rtol=1e-6) <= rank


def test_second_moments_may_be_numbers_and_diagonals():
    A = draw(0, 2, 3)[0]
    np.testing.assert_allclose(mc.regression_target(A, 4.0), 2 * A, atol=1e-14)
    np.testing.assert_allclose(mc.regression_target(A, [1.0, 4.0, 0.0]), A * [1, 2, 0], atol=1e-14)
    np.testing.assert_allclose(mc.regression_growth_rates(A, [1, 4, 0]).rates, mc.growth_rates(-A * [1, 4, 0]).rates)


def test_cross_entropy_rank_is_the_least_over_shifts():
    """det(A + c) is affine in c: a generic square target has one shift that makes it singular."""
    rng = np.random.default_rng(0)
    generic, low = rng.normal(size=(4, 4)), rng.normal(size=(5, 2)) @ rng.normal(size=(2, 4))
    at_zero, at_one = np.linalg.det(generic), np.linalg.det(generic + 1)
    shift = at_zero / (at_zero - at_one)
    assert np.linalg.matrix_rank(generic + shift, rtol=1e-9) == mc.cross_entropy_rank(generic) == 3
    centred = generic - generic.mean(0) - generic.mean(1, keepdims=True) + generic.mean()
    for A, expected in [(centred, 3), (centred + 2, 3), (low, 2), (np.full((3, 2), 4.0), 0), (np.zeros((2, 2)), 0)]:
        assert mc.cross_entropy_rank(A) == expected


# ------------------------------------------------------------------------------------- escape times


def simulate(s, scale, rank, n, m, count, seed):
    """Half-drop times of `count` Gaussian starts, by fourth-order Runge-Kutta steps of 0.1/s_1 (error < 1e-4/s_1)."""
    rng, s = np.random.default_rng(seed), np.asarray(s)
    A = np.zeros((n, m))
    A[np.arange(s.size), np.arange(s.size)] = s
    state = scale * rng.normal(size=(count, n, rank)), scale * rng.normal(size=(count, m, rank))
    before, after = np.sum(s**2) / 2, np.sum(s[1:] ** 2) / 2
    step, times, losses = 0.1 / s[0], [], []

    def velocity(U, V):
        residual = A - U @ np.swapaxes(V, 1, 2)
        return residual @ V, np.swapaxes(residual, 1, 2) @ U

    while not losses or np.any(losses[-1] > (before + after) / 2):
        times.append(len(times) * step)
        losses.append(np.sum((A - state[0] @ np.swapaxes(state[1], 1, 2)) ** 2, (1, 2)) / 2)
        k1 = velocity(*state)
        k2 = velocity(*(z + step / 2 * k for z, k in zip(state, k1, strict=True)))
        k3 = velocity(*(z + step / 2 * k for z, k in zip(state, k2, strict=True)))
        k4 = velocity(*(z + step * k for z, k in zip(state, k3, strict=True)))
        state = tuple(
            z + step / 6 * (a + 2 * b + 2 * c + d) for z, a, b, c, d in zip(state, k1, k2, k3, k4, strict=True)
        )
        assert times[-1] < 100 / s[0]
    return half_drop(times, np.transpose(losses), before, after)


CASES = [
    ([1.0], 1e-3, 1, 32, 32),
    ([2.0, 1.0], 1e-2, 1, 16, 16),
    ([1.0, 1.0], 1e-3, 1, 8, 12),
    ([1.0, 0.9, 0.8], 1e-2, 1, 8, 8),
    ([3.0, 1.5, 0.7], 1e-2, 3, 8, 8),
    ([1.0, 1.0, 1.0], 1e-3, 2, 6, 6),
]


@pytest.mark.parametrize(("s", "scale", "rank", "n", "m"), CASES)
def test_escape_times_of_simulated_starts_follow_the_law(s, scale, rank, n, m):
    measured = simulate(s, scale, rank, n, m, 512, seed=0)
    law = mc.escape_time_distribution(s, scale, rank, (n, m))
    assert kstest(measured, law.cdf).pvalue > 0.01
    # A shift of the law by a fifth of its width is seen, so that the test above can fail.
    assert kstest(measured + 0.2 * law.std, law.cdf).pvalue < 0.01


@pytest.mark.parametrize(("s", "rank", "dof"), [([2.0], 1, 1), ([2.0, 1.0], 3, 3), ([1.0, 1.0, 1.0], 1, 3)])
def test_sampled_law_tends_to_the_closed_one(s, rank, dof):
    limit, sampled = mc.escape_time_limit(s, 1e-8, rank), mc.escape_time_distribution(s, 1e-8, rank)
    assert limit.dof == dof
    q = np.linspace(0.005, 0.995, 100)
    error = 2 / np.sqrt(sampled.times.size)  # of a sample, at two standard errors of its worst quantile
    np.testing.assert_allclose(limit.cdf(sampled.ppf(q)), q, atol=error)
    np.testing.assert_allclose(limit.mean, sampled.mean, rtol=0.01)
    np.testing.assert_allclose(limit.std, sampled.std, rtol=0.05)


@pytest.mark.parametrize("dof", [1, 2, 5])
def test_limit_law_is_consistent(dof):
    law = mc.EscapeLimit(2.0, 1e-3, dof)
    q = np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(law.cdf(law.ppf(q)), q, rtol=1e-10)
    mean = quad(lambda q: float(law.ppf(q)), 0, 1, limit=200)[0]
    variance = quad(lambda q: (float(law.ppf(q)) - mean) ** 2, 0, 1, limit=200)[0]
    np.testing.assert_allclose([law.mean, law.std], [mean, np.sqrt(variance)], rtol=1e-5)


@given(seeds, st.integers(1, 5), st.integers(1, 5), st.floats(-4, -1))
def test_escape_time_is_where_the_flow_has_half_dropped(seed, n, m, log_scale):
    A, a0, b0 = draw(seed, n, m, scale=10**log_scale)
    s = np.linalg.svd(A, compute_uv=False)
    time = mc.escape_time(A, a0[:, 0], b0[:, 0])
    levels = mc.plateau_levels(s)
    half = (levels[0] + levels[1]) / 2
    np.testing.assert_allclose(mc.rank_one_flow(A, a0[:, 0], b0[:, 0], time).loss, half, rtol=1e-6)


def test_escape_time_of_several_columns_and_its_ends():
    A, U0, V0 = draw_balanced(1, 5, 4, 2, 1e-3)
    s = np.linalg.svd(A, compute_uv=False)
    t = np.linspace(0, 8, 4001)
    measured = half_drop(t, mc.balanced_flow(A, U0, V0, t).loss, *mc.plateau_levels(s, 1))
    np.testing.assert_allclose(mc.escape_time(A, U0, V0), measured, atol=1e-5)  # second difference of the loss, 0.002^2
    assert mc.escape_time(A, 0 * U0, V0 * 0) == np.inf
    assert mc.escape_time(np.eye(4), U0[:4, 0], V0[:, 0], components=3) == np.inf
    product = mc.eckart_young(A, 4).product
    assert mc.escape_time(A, product, np.eye(4)) == 0


def test_measured_escape_of_known_curves():
    t = np.arange(5.0)
    loss = np.array([[4.0, 3, 2, 1, 0], [4, 4, 4, 4, 4], [4, 4, 0, 4, 0], [1, 1, 1, 1, 1]])
    np.testing.assert_array_equal(half_drop(t, loss, 4.0, 1.0), [1.5, np.nan, 1.375, 0])
    np.testing.assert_array_equal(half_drop(t, loss[0], 4, 0), 2)


# ------------------------------------------------------------------------------------- refusals

EYE = np.eye(2)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: mc.rank_one_flow(EYE, [1, 2, 3], [1, 2], [0]), "do not factor a target"),
        (lambda: mc.rank_one_flow(EYE, [[1], [2]], [1, 2], [0]), "a vector is expected"),
        (lambda: mc.rank_one_flow([1, 2], [1, 2], [1, 2], [0]), "a matrix is expected"),
        (lambda: mc.rank_one_flow(EYE, [1, np.nan], [1, 2], [0]), "not finite"),
        (lambda: mc.rank_one_flow(EYE, [1, 2], [1, 2], [-1]), "starts at t = 0"),
        (lambda: mc.rank_one_flow(EYE, [1, 2], [1, 2], [np.inf]), "not finite"),
        (lambda: mc.mode_strength(-1, 1, 1), "neither is negative"),
        (lambda: mc.plateau_levels([1, -1]), "not negative"),
        (lambda: mc.plateau_levels([1, 1], rank=-1), "not negative"),
        (lambda: mc.eckart_young(EYE, -1), "not negative"),
        (lambda: mc.power_growth_rates(EYE, 0.5), "at least 1"),
        (lambda: mc.regression_target(EYE, -1.0), "negative eigenvalue"),
        (lambda: mc.regression_target(EYE, [1, 2, 3]), "second_moment"),
        (lambda: mc.regression_target(EYE, [[1, 2], [0, 1]]), "second_moment"),
        (lambda: mc.escape_time_limit([1, 1], 1e-3, rank=2), "several components"),
        (lambda: mc.escape_time_limit([0, 0], 1e-3), "nothing grows"),
        (lambda: mc.escape_time_distribution([1], 0.0), "positive"),
        (lambda: mc.escape_time_distribution([1, 1], 0.1, shape=(4, 1)), "nonzero singular values"),
        (lambda: mc.escape_time_distribution([1, 0.1], 0.1, rank=2, components=2), "within 10 %"),
        (lambda: mc.escape_time_distribution([1], 0.1, rank=0), "at least one component"),
        (lambda: mc.escape_time(EYE, [1, 0], [1, 0], components=3), "2 singular values"),
        (lambda: half_drop([1, 0], [1, 0], 1, 0), "ascending"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        call()
    assert "\n" not in str(error.value)
