"""Packings: the loss against its definition, bounds against searches, configurations and counts by brute force."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toymodels.shapes.packing import orthogonal_factors
from toymodels.shapes.polytopes import simplex
from toymodels.theory import tegum
from toymodels.theory.linear_programming import peaks_of

powers = st.floats(1, 12)
# Rounded, as products below 1e-308 are flushed to zero. Values repeat: duplicates, orthogonal pairs and zero rows
# are common.
plain = st.floats(-1, 1).map(lambda x: round(x, 9))
entries = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 0.5]), plain)


def definition(V, power, signed=False):
    """The loss pair by pair, in plain Python."""
    total = []
    for v, w in itertools.permutations([list(map(float, row)) for row in V], 2):
        if any(v) and any(w):
            cosine = math.fsum(a * b for a, b in zip(v, w, strict=True)) / math.hypot(*v) / math.hypot(*w)
            total.append((max(cosine, 0) if signed else abs(cosine)) ** power)
    return math.fsum(total)


def random_rows(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


@functools.cache
def _compiled(signed):
    return jax.jit(jax.value_and_grad(functools.partial(tegum.interference_loss, signed=signed)))


def searched_minimum(n, d, power, signed=False, restarts=6):
    """The least loss that L-BFGS finds in float64: an upper bound on the optimum, usually the optimum itself."""

    def descend(seed):
        with jax.enable_x64(True):

            def objective(x):
                loss, gradient = _compiled(signed)(jnp.asarray(x.reshape(n, d)), jnp.asarray(float(power)))
                return float(loss), np.asarray(gradient).ravel()

            return scipy.optimize.minimize(objective, random_rows(n, d, seed).ravel(), jac=True, method="L-BFGS-B").fun

    return min(descend(seed) for seed in range(restarts))


# --- the loss ---------------------------------------------------------------------------------------------------------


@given(arrays(float, (5, 3), elements=entries), powers, st.booleans())
def test_the_loss_is_the_sum_over_ordered_pairs(V, power, signed):
    # 20 pairs, each a few roundings times the power
    assert tegum.interference_loss(V, power, signed) == pytest.approx(
        definition(V, power, signed), rel=1e-13, abs=1e-14
    )


@given(
    arrays(float, (6, 3), elements=plain),
    arrays(float, 6, elements=st.sampled_from([1e-150, 1e-3, 1.0, 7.0, 1e150])),
    st.integers(0, 99),
    powers,
    st.booleans(),
)
def test_the_loss_sees_only_angles(V, scales, seed, power, signed):
    rotation = scipy.stats.special_ortho_group.rvs(3, random_state=seed)
    order = np.random.default_rng(seed).permutation(6)
    same = tegum.interference_loss((V * scales[:, None] @ rotation)[order], power, signed)
    # A rotation rounds each entry by 1e-16 of its row; at power 1 a cosine of nothing then costs as much.
    assert same == pytest.approx(tegum.interference_loss(V, power, signed), rel=1e-12, abs=1e-13)


@given(arrays(float, (5, 3), elements=entries), st.lists(st.sampled_from([1, -1]), min_size=5, max_size=5), powers)
def test_an_even_loss_sees_lines_and_a_signed_one_half_of_each_pair(V, signs, power):
    flipped = V * np.array(signs)[:, None]
    even = float(tegum.interference_loss(V, power))
    assert tegum.interference_loss(flipped, power) == pytest.approx(even, rel=1e-13, abs=1e-14)
    # relu(c)^p + relu(-c)^p = |c|^p for every pair, so rays with their antipodes pay the even loss twice, and no more
    both = tegum.interference_loss(np.concatenate([V, -V]), power, signed=True)
    assert both == pytest.approx(2 * even, rel=1e-13, abs=1e-14)


def test_the_loss_takes_lists_integers_and_nothing_at_all():
    assert tegum.interference_loss([[1, 0], [3, 3]], 2) == pytest.approx(1.0, rel=1e-15)
    assert tegum.interference_loss([[1.0, 0.0], [3.0, 3.0]], 1) == pytest.approx(math.sqrt(2), rel=1e-15)
    assert tegum.interference_loss(np.array([[2, 0], [-1, 0]]), 1.0, signed=True) == 0
    assert tegum.interference_loss(jnp.ones((4, 3)), np.float32(1.5)) == pytest.approx(12.0, rel=1e-14)
    assert tegum.interference_loss(np.zeros((3, 2)), 1.0) == 0
    assert tegum.interference_loss(np.ones((1, 2)), 1.0) == 0


def test_the_loss_is_exact_for_many_vectors():
    # Copies of a basis: 2000 * 199 pairs of cosine one, all others exactly zero; n^2 rounded terms would show at 1e-10.
    assert tegum.interference_loss(tegum.orthonormal_copies(2000, 10), 1.0) == 2000 * 199


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("power", [1.5, 2, 3.0])
@pytest.mark.parametrize("shape", [(5, 3), (16, 4), (18, 6)])
def test_the_gradient_is_that_of_the_definition(shape, power, signed):
    V, direction = random_rows(*shape, 1), random_rows(*shape, 2)
    with jax.enable_x64(True):
        gradient = np.asarray(jax.grad(lambda V: tegum.interference_loss(V, power, signed))(jnp.asarray(V)))
    step = 1e-5
    slope = (
        (definition(V + step * direction, power, signed) - definition(V - step * direction, power, signed)) / 2 / step
    )
    # Central differences: third derivatives of order 1e2 times step^2, rounding 1e-15 / step
    assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("power", [1.0, 1.3, 2.0, 3.5])
def test_no_gradient_is_lost_where_cosines_or_rows_vanish(power, signed):
    V = jnp.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [-1, 0, 0]])
    jax.config.update("jax_debug_nans", True)
    try:
        by_V, by_power = jax.jit(jax.grad(tegum.interference_loss, argnums=(0, 1)), static_argnums=2)(V, power, signed)
    finally:
        jax.config.update("jax_debug_nans", False)
    assert np.isfinite(by_V).all()
    assert np.isfinite(by_power)
    # Orthogonal and parallel pairs are stationary.
    np.testing.assert_allclose(by_V, 0, atol=1e-6)


def test_a_frame_potential_has_its_curvature_at_orthogonality():
    # 2 cos^2 of two unit vectors turned by a against each other is 2 sin^2 a: second derivative 4.
    turned = jax.hessian(lambda a: tegum.interference_loss(jnp.array([[1.0, 0.0], [jnp.sin(a), jnp.cos(a)]]), 2))
    assert turned(0.0) == pytest.approx(4, rel=1e-6)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("known", [True, False])
def test_second_derivatives_are_those_of_gradients(known, signed):
    V, direction = random_rows(9, 3, 1), random_rows(9, 3, 2)

    def gradient(V, power=4.0):
        return jax.grad(tegum.interference_loss)(V, power, signed)

    def second(power):
        return jax.jvp(lambda V: gradient(V, power), (V,), (direction,))[1]

    with jax.enable_x64(True):
        V, direction = jnp.asarray(V), jnp.asarray(direction)
        step = 1e-5
        slope = (gradient(V + step * direction) - gradient(V - step * direction)) / 2 / step
        exact = second(4.0) if known else jax.jit(second)(4.0)
        by_reverse = jax.grad(lambda V: jnp.sum(gradient(V) * direction))(V)
    np.testing.assert_allclose(exact, slope, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(by_reverse, exact, rtol=1e-9, atol=1e-9)


def test_in_a_trace_the_loss_keeps_the_dtype_and_maps():
    V = jnp.asarray(random_rows(4 * 6, 3).reshape(4, 6, 3), jnp.float32)
    p = jnp.array([1.0, 1.5, 2.0, 4.0], jnp.float32)
    mapped = jax.jit(jax.vmap(tegum.interference_loss))(V, p)
    assert mapped.dtype == jnp.float32
    exact = [float(tegum.interference_loss(v, q)) for v, q in zip(np.asarray(V), np.asarray(p), strict=True)]
    np.testing.assert_allclose(mapped, exact, rtol=30 * 6e-8)  # 30 pairs of float32 roundings


# --- moments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3, 4, 10, 100])
@pytest.mark.parametrize("power", [0, 1, 1.5, 2, 7.3])
def test_moments_of_a_random_cosine(d, power):
    weight = scipy.integrate.quad(lambda a: math.sin(a) ** (d - 2), 0, math.pi / 2, epsabs=0)[0]
    moment = scipy.integrate.quad(lambda a: math.cos(a) ** power * math.sin(a) ** (d - 2), 0, math.pi / 2, epsabs=0)[0]
    assert tegum.mean_power(d, power) == pytest.approx(moment / weight, rel=1e-8)  # quad's own tolerance
    assert tegum.mean_power(1, power) == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize("signed", [False, True])
def test_the_random_loss_is_the_mean_over_random_directions(signed):
    losses = [float(tegum.interference_loss(random_rows(40, 5, seed), 1.7, signed)) for seed in range(40)]
    error = np.std(losses) / math.sqrt(40)
    assert abs(np.mean(losses) - tegum.random_loss(40, 5, 1.7, signed)) < 4 * error


# --- bounds hold ------------------------------------------------------------------------------------------------------


def holds(loss, bound):
    return bound <= loss * (1 + 1e-9) + 1e-12  # bounds that are met are met to rounding


@settings(max_examples=100)
@given(st.sampled_from([(3, 2), (5, 2), (7, 3), (8, 4), (6, 6)]), st.data(), powers, st.booleans())
def test_no_configuration_is_below_a_bound(size, data, power, signed):
    V = data.draw(arrays(float, size, elements=entries).filter(lambda V: np.abs(V).max(axis=1).min() > 1e-3))
    loss = float(tegum.interference_loss(V, power, signed))
    for name, bound in tegum.loss_bounds(*size, power, signed).items():
        assert holds(loss, bound), name


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("n", "d"), [(5, 2), (5, 4), (7, 3), (9, 4)])
def test_no_search_gets_below_a_bound(n, d, signed):
    for power in (1, 1.4, 1.8, 2, 2.5, 4, 7):
        found = searched_minimum(n, d, power, signed, restarts=2)
        for name, bound in tegum.loss_bounds(n, d, power, signed).items():
            assert holds(found, bound), (power, name)


@pytest.mark.parametrize(
    ("n", "d"), [(1, 1), (1, 4), (2, 1), (5, 1), (6, 1), (3, 3), (13, 2), (29, 7), (60, 4), (90, 12)]
)
@pytest.mark.parametrize("signed", [False, True])
def test_no_known_configuration_is_below_a_bound(n, d, signed):
    for power in (1, 1.01, 1.5, 1.99, 2, 2.01, 3, 4, 10, 40):
        best = tegum.best_configuration(n, d, power, signed)
        for name, bound in tegum.loss_bounds(n, d, power, signed).items():
            assert holds(best.loss, bound), (power, name)


@given(arrays(float, (7, 3), elements=entries).filter(lambda V: np.abs(V).max(axis=1).min() > 1e-3))
def test_no_configuration_is_less_coherent_than_a_bound_nor_has_smaller_moments(V):
    U = V / np.linalg.norm(V, axis=1, keepdims=True)
    cosines = (U @ U.T)[~np.eye(7, dtype=bool)]
    coherence = np.abs(cosines).max() + 1e-12
    assert coherence >= tegum.orthoplex_coherence(7, 3) > 0
    assert cosines.max() + 1e-12 >= tegum.rankin_cosine(7, 3)
    assert np.sum((U @ U.T) ** 2) >= tegum.minimum_frame_potential(7, 3) * (1 - 1e-12)
    for order in range(1, 6):
        assert coherence >= tegum.welch_coherence(7, 3, order)
        moment = np.sum((U @ U.T) ** (2 * order)) * (1 + 1e-12)
        # The uniform distribution's moment is the larger of the two in real spaces.
        assert moment >= 7**2 * tegum.mean_power(3, 2 * order) >= tegum.welch_moment(7, 3, order) * (1 - 1e-12)


def test_the_largest_bound_is_reported():
    for n, d, power, signed in [(7, 3, 1.5, False), (7, 3, 9, False), (9, 4, 2, True), (3, 5, 2, False)]:
        bound, bounds = tegum.loss_bound(n, d, power, signed), tegum.loss_bounds(n, d, power, signed)
        assert bound.value == bounds[bound.name] == pytest.approx(max(bounds.values()), rel=1e-9)
    assert tegum.loss_bound(3, 5, 2) == (0.0, "non-negative")


# --- bounds are met ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d", "power", "name"),
    [
        (3, 2, 3, "simplex(2)"),
        (6, 5, 2.5, "simplex(5)"),
        (6, 3, 5, "icosahedron"),
        (10, 5, 3, "10 equiangular lines"),
        (16, 6, 3, "16 equiangular lines"),
        (28, 7, 8, "28 equiangular lines"),
        (12, 4, 4, "24-cell"),  # a spherical 5-design
        (12, 4, 1.9, "orthonormal copies"),
        (30, 6, 1, "orthonormal copies"),
        (8, 5, 1, "orthonormal copies"),  # n <= 2d at power 1
        (3, 7, 1.2, "orthonormal"),
        (9, 8, 1.8, "4 x (axis) + simplex(4)"),
        (13, 5, 2, "13 in harmonic frame(5)"),
    ],
)
def test_bounds_are_met_where_it_is_known(n, d, power, name):
    best = tegum.best_configuration(n, d, power)
    assert best.name == name
    assert best.loss == pytest.approx(tegum.loss_bound(n, d, power).value, rel=1e-12)


@pytest.mark.parametrize(("n", "d", "power"), [(8, 2, 1), (12, 3, 1), (6, 3, 5), (7, 4, 2.2), (5, 1, 3), (6, 1, 1)])
def test_signed_bounds_are_met_where_it_is_known(n, d, power):
    best = tegum.best_configuration(n, d, power, signed=True)
    assert best.loss == pytest.approx(tegum.loss_bound(n, d, power, signed=True).value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("power", [1, 1.3, 1.62, 1.75, 1.9, 2, 3])
def test_one_vector_more_than_dimensions_is_solved(power):
    # The optimum runs through all simplices, from a repeated vector to the full one; the search knows none of them.
    assert searched_minimum(4, 3, power, restarts=12) == pytest.approx(tegum.one_more_bound(3, power), rel=1e-5)


@pytest.mark.parametrize("power", [1, 1.3, 2, 2.5, 6])
@pytest.mark.parametrize(("n", "d"), [(5, 3), (11, 4), (40, 6)])
def test_a_quadratic_minorant_is_the_frame_potential_bound(n, d, power):
    # Both are the best bound from sum cos^2: by convexity in closed form, and by linear programming with degree 2.
    quadratic = tegum.linear_programming_bound(n, d, power, degree=2)
    # The tangent point is a grid point only to pi / 800, squared; times n^2.
    assert quadratic <= tegum.moment_bound(n, d, power) * (1 + 1e-9)
    assert quadratic == pytest.approx(tegum.moment_bound(n, d, power), rel=1e-2, abs=1e-4)


def test_linear_programming_finds_the_designs():
    # Grid points are pi / 800 apart at most: the polynomial exceeds the loss by about that squared, for n^2 pairs.
    assert tegum.linear_programming_bound(6, 3, 4) == pytest.approx(1.2, abs=6**2 * 1.6e-5)
    assert tegum.linear_programming_bound(12, 4, 4) == pytest.approx(6, abs=12**2 * 1.6e-5)
    # relu(c) >= (c + c^2) / 2, met by copies of a cross-polytope
    assert tegum.linear_programming_bound(18, 3, 1, signed=True) == pytest.approx(36, abs=18**2 * 1.6e-5)


def test_all_that_a_polynomial_exceeds_the_loss_by_is_found():
    # Against a brute-force grid of a million points, for a polynomial that exceeds the loss in several places
    h = np.array([0.05, 0.0, 0.3, 0.0, 0.2, 0.0, 0.15])

    def excess(angles):
        t = np.cos(angles)
        return h @ np.stack([scipy.special.eval_legendre(j, t) for j in range(7)]) - np.maximum(t, 0) ** 1.5

    angles, values = peaks_of(excess, math.pi)
    assert values.max() == pytest.approx(excess(np.linspace(0, math.pi, 1_000_001)).max(), abs=1e-11)
    np.testing.assert_allclose(excess(angles), values, atol=1e-14)


def test_reference_values_of_coherence():
    assert tegum.welch_coherence(6, 3) == pytest.approx(1 / math.sqrt(5), rel=1e-14)
    assert tegum.welch_coherence(28, 7) == pytest.approx(1 / 3, rel=1e-14)
    assert tegum.welch_coherence(5, 5) == tegum.welch_coherence(1, 3) == tegum.welch_coherence(6, 3, order=2) == 0
    assert tegum.orthoplex_coherence(6, 3) == 0
    assert tegum.orthoplex_coherence(7, 3) == pytest.approx(1 / math.sqrt(3), rel=1e-14)
    assert tegum.orthoplex_bound(7, 3, 2) == pytest.approx(2 / 3, rel=1e-14)  # one pair at least
    assert tegum.rankin_cosine(4, 3) == pytest.approx(-1 / 3, rel=1e-14)
    assert tegum.rankin_cosine(5, 3) == 0
    assert tegum.minimum_frame_potential(10, 4) == 25
    assert tegum.minimum_frame_potential(3, 4) == 3


# --- configurations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("power", [1, 1.7, 4])
def test_closed_forms_are_the_losses_of_their_coordinates(power, signed):
    def loss(V):
        np.testing.assert_allclose(np.linalg.norm(V, axis=1), 1, rtol=1e-14)
        return pytest.approx(definition(V, power, signed), rel=1e-12, abs=1e-13)

    for d in (1, 2, 5):
        assert tegum.simplex_loss(d, power, signed) == loss(simplex(d).vectors)
        assert tegum.cross_polytope_loss(d, power, signed) == loss(tegum.cross_polytope(d))
        for n in (1, 2, 7, 10):
            assert tegum.orthonormal_copies_loss(n, d) == loss(tegum.orthonormal_copies(n, d))
            for lines in (False,) if signed else (False, True):
                frame = tegum.harmonic_frame(n, d, lines)
                assert tegum.harmonic_frame_loss(n, d, power, lines, signed) == loss(frame)
    for n, lines in itertools.product((1, 3, 8), (False,) if signed else (False, True)):
        assert tegum.polygon_loss(n, power, lines, signed) == loss(tegum.harmonic_frame(n, 2, lines))
    for n, d, k in [(8, 6, 2), (9, 7, 2), (20, 6, 3), (4, 6, 3), (6, 3, 3)]:
        assert tegum.blocks_loss(n, d, k, power, signed) == loss(tegum.blocks(n, d, k))


@pytest.mark.parametrize(("d", "k"), [(6, 1), (6, 2), (6, 3), (6, 6)])
def test_blocks_of_simplices(d, k):
    V = tegum.blocks(d + k, d, k)
    assert (orthogonal_factors(V).max() + 1) == k
    assert tegum.blocks_loss(d + k, d, k, 1.6) == pytest.approx((d + k) * (d / k) ** (1 - 1.6), rel=1e-13)
    np.testing.assert_allclose(V.T @ V, np.eye(d) * (d + k) / d, atol=1e-14)


@pytest.mark.parametrize(("n", "d"), [(3, 2), (7, 4), (8, 5), (30, 6)])
def test_harmonic_frames_are_tight(n, d):
    for lines in (False, True):
        V = tegum.harmonic_frame(n, d, lines)
        np.testing.assert_allclose(V.T @ V, np.eye(d) * n / d, atol=1e-13)


@given(arrays(float, (3, 2), elements=plain), arrays(float, (4, 3), elements=plain), powers)
def test_orthogonal_factors_add_their_losses(A, B, power):
    together = tegum.interference_loss(tegum.tegum_product(A, B), power)
    apart = tegum.interference_loss(A, power) + tegum.interference_loss(B, power)
    assert together == pytest.approx(float(apart), rel=1e-13, abs=1e-14)


def by_exhaustion(n, d, power, signed):
    """The least loss over all ways to give n vectors and d dimensions to simplices with copies and harmonic frames."""
    if n == 0:
        return 0.0
    if d == 0:
        return math.inf
    options = [by_exhaustion(n, d - 1, power, signed)]
    for dim, m in itertools.product(range(1, d + 1), range(1, n + 1)):
        pieces = [simplex(dim).vectors[np.arange(m) % (dim + 1)]]
        pieces += [tegum.harmonic_frame(m, dim, not signed)] * (dim > 1)
        rest = by_exhaustion(n - m, d - dim, power, signed)
        options += [_definition_of(piece.tobytes(), dim, power, signed) + rest for piece in pieces]
    return min(options)


by_exhaustion = functools.cache(by_exhaustion)


@functools.cache
def _definition_of(rows, dim, power, signed):
    return definition(np.frombuffer(rows).reshape(-1, dim), power, signed)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("power", [1, 1.6, 1.9, 2.5, 6])
def test_the_best_tegum_product_is_the_best_of_all(power, signed):
    # Sizes at which no exceptional polytope is in reach: the icosahedron has three dimensions.
    for n, d in [(1, 1), (5, 1), (2, 2), (7, 2), (4, 3), (5, 4), (6, 5)]:
        best = tegum.best_explicit(n, d, power, signed)
        assert best.V.shape == (n, d)
        assert best.loss == pytest.approx(definition(best.V, power, signed), rel=1e-11, abs=1e-12)
        assert best.loss == pytest.approx(by_exhaustion(n, d, power, signed), rel=1e-11, abs=1e-12)


def test_a_search_does_not_beat_the_best_configuration_where_that_is_optimal():
    for n, d, power in [(5, 3, 1.2), (6, 3, 3), (6, 4, 1.3), (5, 2, 6)]:
        assert tegum.best_configuration(n, d, power).loss == pytest.approx(searched_minimum(n, d, power), rel=1e-5)


def test_factors_are_counted():
    assert tegum.best_configuration(24, 6, 1.5).factors == 6
    assert tegum.best_configuration(4, 6, 3).factors == 4
    assert tegum.best_configuration(7, 6, 3).factors == 1
    assert tegum.best_configuration(9, 8, 3, signed=True)[2:] == (8, "cross-polytope")


# --- the estimate -----------------------------------------------------------------------------------------------------


@given(st.integers(2, 3000), st.integers(1, 200), st.floats(1, 8))
def test_the_best_number_of_factors_is_at_an_end(n, d, power):
    k = np.arange(1, min(n, d) + 1)
    estimates = tegum.jl_estimate(n, d, k, power)
    best = tegum.jl_best_factors(n, d, power)
    assert best in (1, min(n, d))
    assert estimates[best - 1] <= estimates.min() * (1 + 1e-9)


@given(st.integers(10, 10**6), st.floats(2.3, 20))
def test_the_stationary_point_is_a_maximum(n, power):
    def log_estimate(x):
        return (power / 2 - 1) * x + power / 2 * math.log(math.log(n) - x)

    k = tegum.jl_stationary_factors(n, power)
    top = math.log(n) * (1 - 1e-9)
    found = scipy.optimize.minimize_scalar(lambda x: -log_estimate(x), bounds=(-40, top), method="bounded")
    # A maximum of height one is located to the root of the rounding, 1e-8, or to the search's own tolerance, 1e-5.
    assert math.log(k) == pytest.approx(found.x, abs=1e-3)
    assert math.isnan(tegum.jl_stationary_factors(n, 2.0))


@given(st.integers(2, 300), st.floats(1.5, 1000))
def test_the_switch_is_where_the_ends_tie(d, ratio):
    n = math.ceil(d * ratio)
    switch = tegum.jl_switch(n, d)

    def difference(power):
        one, all_ = tegum.jl_estimate(n, d, np.array([1, d]), power)
        return math.log(one) - math.log(all_)

    if switch < 1e3:
        assert switch > 2
        assert difference(switch) == pytest.approx(0, abs=1e-9 * switch)
        assert difference(switch * 1.01) < 0 < difference(switch * 0.99)
    else:
        assert difference(1e3) > 0


def test_reference_values_of_the_estimate():
    # n = d^2: ln n / ln(n/d) = 2, so the switch is 2 ln d / (ln d - ln 2)
    assert tegum.jl_switch(16, 4) == pytest.approx(4, rel=1e-14)
    assert tegum.jl_switch(10**8, 10**4) == pytest.approx(
        2 * 4 * math.log(10) / (4 * math.log(10) - math.log(2)), rel=1e-14
    )
    assert tegum.jl_switch(5, 1) == tegum.jl_switch(4, 4) == tegum.jl_switch(11, 10) == math.inf
    assert tegum.jl_estimate(100, 10, 1, 2) == pytest.approx(100**2 * math.log(100) / 10, rel=1e-14)
    assert tegum.jl_best_factors(100, 10, 1.5) == 10
    assert tegum.jl_best_factors(100, 10, 4) == 1


# --- counts -----------------------------------------------------------------------------------------------------------


def most_edges_without_a_clique(n, size):
    """Largest number of edges of a graph on n vertices without a clique of so many, over all graphs."""
    pairs = list(itertools.combinations(range(n), 2))
    graphs = np.arange(2 ** len(pairs))
    allowed = np.ones(len(graphs), bool)
    for clique in itertools.combinations(range(n), size):
        mask = sum(1 << pairs.index(pair) for pair in itertools.combinations(clique, 2))
        allowed &= (graphs & mask) != mask
    return int(max(g.bit_count() for g in graphs[allowed].tolist()))


@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 1), (4, 2), (5, 2), (5, 3), (5, 4), (6, 2), (6, 3), (4, 7)])
def test_the_extremal_count_by_enumeration(n, d):
    assert tegum.max_orthogonal_pairs(n, d) == 2 * most_edges_without_a_clique(n, d + 1)


@given(arrays(int, (7, 3), elements=st.integers(-1, 1)).filter(lambda V: np.abs(V).max(axis=1).min() > 0))
def test_no_vectors_have_more_orthogonal_pairs(V):
    assert np.sum(V @ V.T == 0) <= tegum.max_orthogonal_pairs(7, 3)


@given(st.integers(1, 60), st.integers(1, 12))
def test_copies_of_a_basis_have_the_most_orthogonal_pairs(n, d):
    V = tegum.orthonormal_copies(n, d)
    assert np.sum(V @ V.T == 0) == tegum.max_orthogonal_pairs(n, d)
    if n >= d:
        assert tegum.max_orthogonal_pairs(n, d) <= tegum.tegum_orthogonal_pairs(n, d)


@pytest.mark.parametrize("sizes", [(4, 4, 4), (5, 2), (6,), (3, 1, 1, 2)])
def test_pairs_between_factors(sizes):
    V = tegum.tegum_product(*(random_rows(size, 2, seed) for seed, size in enumerate(sizes)))
    count = int(np.sum(V @ V.T == 0))
    assert tegum.factor_orthogonal_pairs(sizes) == count
    if len(set(sizes)) == 1:
        assert tegum.tegum_orthogonal_pairs(sum(sizes), len(sizes)) == count


def test_tegum_products_overtake_overlapping_sets():
    assert tegum.overlapping_sets_pairs(100, 10) == 900
    assert tegum.overlapping_sets_pairs(100, 10, include_self=True) == 1000
    for n, d in [(100, 10), (30, 29), (7, 1), (64, 33)]:
        for include_self in (False, True):
            switch = tegum.orthogonal_pairs_switch(n, d, include_self)
            rival = tegum.overlapping_sets_pairs(n, d, include_self)
            for k in range(1, n + 1):
                assert (tegum.tegum_orthogonal_pairs(n, k) > rival) == (k > switch * (1 + 1e-12))
    assert tegum.orthogonal_pairs_switch(5, 5, include_self=True) == math.inf


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: tegum.interference_loss(np.eye(3), 0.5), "power=0.5: "),
        (lambda: tegum.interference_loss(np.eye(3), math.nan), "power=nan: "),
        (lambda: tegum.interference_loss([1.0, 2.0], 2), "rows of a matrix"),
        (lambda: tegum.loss_bound(5, 2, 0.99), "power=0.99: "),
        (lambda: tegum.loss_bound(0, 2, 2), "n=0: "),
        (lambda: tegum.random_loss(3, 0, 2), "d=0: "),
        (lambda: tegum.few_more_bound(5, 2, 3), "power=3: "),
        (lambda: tegum.linear_programming_bound(5, 1, 3), "d=1: "),
        (lambda: tegum.mean_power(3, -1), "power=-1: "),
        (lambda: tegum.blocks(5, 3, 4), "k=4: "),
        (lambda: tegum.best_configuration(4, 2, math.inf), "power=inf: "),
        (lambda: tegum.jl_estimate(10, 4, 5, 2), "k=5.*between 1 and 4"),
        (lambda: tegum.jl_switch(-1, 4), "n=-1: "),
        (lambda: tegum.tegum_orthogonal_pairs(3, 4), "k=4: "),
        (lambda: tegum.overlapping_sets_pairs(3, 4), "n=3, d=4: "),
        (lambda: tegum.max_orthogonal_pairs(3, -2), "d=-2: "),
        (lambda: tegum.factor_orthogonal_pairs([2, -1]), "size=-1: "),
        (lambda: tegum.factor_orthogonal_pairs(np.array([2.5, 1])), "size=2.5: "),
        (lambda: tegum.polygon_loss(5, 2, lines=True, signed=True), "lines=True: "),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("power", "falls"), [(1.5, False), (1.9, False), (2.2, True), (3.0, True)])
def test_above_power_two_no_tegum_product_is_a_minimum(power, falls):
    """A vector turned out of its crowded factor towards another gains e^2 and costs e^power: the sign flips at 2."""
    lines = tegum.harmonic_frame(3, 2, lines=True)
    V = tegum.tegum_product(lines, lines)
    angle = 1e-3
    turned = V.copy()
    turned[0] = np.cos(angle) * V[0] + np.sin(angle) * V[3]
    change = float(tegum.interference_loss(turned, power)) - float(tegum.interference_loss(V, power))
    assert (change < 0) == falls


@pytest.mark.parametrize("d", [1, 2, 3, 6, 9])
@pytest.mark.parametrize("power", [1.0, 1.4, 1.65, 1.8, 1.9, 2.0, 3.0])
def test_one_more_factors_by_brute_force_over_simplices(d, power):
    losses = {}
    for k in range(1, d + 1):
        V = tegum.tegum_product(simplex(k).vectors, *[np.eye(1)] * (d - k))
        cosines = np.abs(np.round(V @ V.T, 14))[~np.eye(d + 1, dtype=bool)]
        losses[(orthogonal_factors(V).max() + 1)] = np.sum(cosines**power)
    assert losses[tegum.one_more_factors(d, power)] == pytest.approx(min(losses.values()), rel=1e-12)
