"""Laws of the exact losses: against rational arithmetic, Monte Carlo, quadrature and brute force over weights."""

import itertools
from fractions import Fraction
from math import factorial, prod

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize

from toymodels.theory import polygons
from toymodels.theory import superposition as theory

# Terms of the recurrence are positive: relative errors add over n layers of a few roundings each, never grow.
ROUNDING = 1e-13

HARD = st.one_of(
    st.sampled_from([0.0, 1e-200, 1e-12, -1e-6, 1e-3, 1.0, -1.0, 1 + 1e-9, 30.0]),
    st.floats(-2, 2, allow_nan=False),
)
PROBABILITY = st.floats(0.01, 1)


def vectors(n, values=HARD):
    return st.lists(values, min_size=n, max_size=n)


def truncated(c, a, power):
    """E (c + a.u)_+^power / power!, u uniform: the signed sum over the vertices of the cube, in exact arithmetic."""
    a = [value for value in a if value]
    total = sum(
        (-1) ** (len(a) - sum(vertex))
        * max(c + sum(x for x, on in zip(a, vertex, strict=True) if on), 0) ** (power + len(a))
        for vertex in itertools.product((0, 1), repeat=len(a))
        if c + sum(x for x, on in zip(a, vertex, strict=True) if on) > 0
    )
    return Fraction(total) / (factorial(power + len(a)) * prod(a, start=Fraction(1)))


def rational_loss(gram, b, p, importance):
    """The expected loss as a rational number, from x'_i = ReLU(gram_i.x + b_i); no step rounds."""
    gram, b, p, importance = (
        np.vectorize(lambda value: Fraction(float(value)), otypes=[object])(np.array(x))
        for x in (gram, b, p, importance)
    )
    n = len(b)
    loss = Fraction(0)
    for i, on in itertools.product(range(n), itertools.product((0, 1), repeat=n)):
        probability = prod(p[j] if on[j] else 1 - p[j] for j in range(n))
        members = [gram[i, j] for j in range(n) if on[j]]
        square = 2 * truncated(b[i], members, 2)
        if on[i]:
            others = [gram[i, j] for j in range(n) if on[j] and j != i]
            if gram[i, i] == 0:
                cross = truncated(b[i], others, 1) / 2
            else:  # int u f'(a u) du = (f(a) - int f(a u) du) / a
                cross = (truncated(b[i] + gram[i, i], others, 2) - truncated(b[i], members, 2)) / gram[i, i]
            square += Fraction(1, 3) - 2 * cross
        loss += importance[i] * probability * square
    return float(loss)


def sample(key, n, p, count):
    u = np.random.default_rng(key).uniform(size=(count, n))
    return np.where(u < p, u / p, 0)


def within_error(samples, value, sigmas=5.0):
    return abs(samples.mean() - value) <= sigmas * samples.std() / len(samples) ** 0.5


class TestExpectedLoss:
    @given(W=vectors(2), b=vectors(2), p=vectors(2, PROBABILITY), importance=vectors(2, st.floats(0, 2)))
    @settings(max_examples=200)
    def test_two_features_agree_with_exact_arithmetic(self, W, b, p, importance):
        W = np.array(W)[:, None]
        exact = rational_loss(W @ W.T, b, p, importance)
        assert theory.expected_loss(W, b, p, importance) == pytest.approx(exact, rel=ROUNDING, abs=1e-300)

    @given(encoder=vectors(9), b=vectors(3), p=PROBABILITY)
    def test_three_features_of_any_gram_matrix_agree_with_exact_arithmetic(self, encoder, b, p):
        gram = np.array(encoder).reshape(3, 3)
        exact = rational_loss(gram, b, [p] * 3, [1, 1, 1])
        value = theory.expected_loss(np.eye(3), b, p, encoder=gram.T)
        assert value == pytest.approx(exact, rel=ROUNDING, abs=1e-300)

    @pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-8, 1e-150, 1e4])
    def test_five_features_of_mixed_scales_agree_with_exact_arithmetic(self, scale):
        random = np.random.default_rng(0)
        W = random.normal(size=(5, 2)) * np.array([1, scale, 1, scale, 1])[:, None]
        W[4] = -W[0]
        b, p = random.normal(size=5) / 3, random.uniform(0.1, 1, 5)
        exact = rational_loss(W @ W.T, b, p, np.ones(5))
        assert theory.expected_loss(W, b, p) == pytest.approx(exact, rel=ROUNDING)

    @pytest.mark.parametrize("p", [0.2, 1.0])
    def test_eight_features_agree_with_monte_carlo(self, p):
        random = np.random.default_rng(1)
        W, b, importance = random.normal(size=(8, 3)) / 2, random.normal(size=8) / 3, random.uniform(0.5, 1, 8)
        x = sample(2, 8, p, 200_000)
        losses = ((x - np.maximum(x @ (W @ W.T) + b, 0)) ** 2) @ importance
        assert within_error(losses, theory.expected_loss(W, b, p, importance))

    def test_agrees_with_nested_quadrature(self):
        w, b, p = (0.9, -0.7), (0.1, 0.2), 0.4

        def squared(x1, x2):
            h = w[0] * x1 + w[1] * x2
            return (x1 - max(w[0] * h + b[0], 0)) ** 2 + (x2 - max(w[1] * h + b[1], 0)) ** 2

        one = [
            integrate.quad(f, 0, 1, points=[0.3], limit=200)[0]
            for f in (lambda u: squared(u, 0), lambda u: squared(0, u))
        ]
        both = integrate.dblquad(lambda y, x: squared(x, y), 0, 1, 0, 1, epsabs=1e-9)[0]
        total = (1 - p) ** 2 * squared(0, 0) + p * (1 - p) * sum(one) + p**2 * both
        assert theory.expected_loss(np.array(w)[:, None], b, p) == pytest.approx(total, abs=1e-8)

    @given(
        W=vectors(8), b=vectors(4), angle=st.floats(0, 7), p=vectors(4, PROBABILITY), order=st.permutations(range(4))
    )
    def test_rotation_of_hidden_space_and_permutation_of_features(self, W, b, angle, p, order):
        W, b, p = np.array(W).reshape(4, 2), np.array(b), np.array(p)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        value = theory.expected_loss(W, b, p)
        # A rotated Gram matrix is rounded at its own scale, and the loss moves with the square of the outputs.
        size = (np.abs(W).max() ** 2 * 8 + np.abs(b).max() + 1) ** 2
        assert theory.expected_loss(W @ rotation, b, p) == pytest.approx(value, abs=1e-14 * size)
        order = list(order)
        assert theory.expected_loss(W[order], b[order], p[order]) == pytest.approx(value, rel=ROUNDING)

    @given(W=vectors(2), b=vectors(2), p=PROBABILITY, q=PROBABILITY, importance=st.floats(0, 3))
    def test_a_feature_predicted_by_its_mean_costs_its_variance(self, W, b, p, q, importance):
        W = np.array(W)[:, None]
        more = theory.expected_loss([*W, [0.0]], [*b, q / 2], [p, p, q], [1, 1, importance])
        expected = theory.expected_loss(W, b, p) + importance * theory.feature_variance(q)
        assert more == pytest.approx(expected, rel=ROUNDING)

    def test_a_batch_is_a_loop(self):
        random = np.random.default_rng(3)
        W, b, p = random.normal(size=(4, 5, 3, 2)), random.normal(size=(5, 3)), random.uniform(0.1, 1, (4, 1, 3))
        batch = theory.expected_loss(W, b, p, [1, 2, 3])
        assert batch.shape == (4, 5)
        for i, j in np.ndindex(4, 5):
            assert batch[i, j] == pytest.approx(theory.expected_loss(W[i, j], b[j], p[i, 0], [1, 2, 3]), rel=ROUNDING)

    def test_perfect_reconstruction_costs_nothing(self):
        assert theory.expected_loss(np.eye(8), np.zeros(8), 0.3) == 0
        assert theory.expected_loss(jnp.eye(3), jnp.zeros(3), 1) == 0
        assert theory.expected_loss([[1]], [0], 1) == 0

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"p": 1.3}, r"p=1.3: an activation probability lies in \(0, 1\]"),
            ({"p": 0.0}, r"p=0: an activation probability lies in \(0, 1\]"),
            ({"p": float("nan")}, "p has an entry that is not finite"),
            ({"p": [0.1, 0.2, 0.3]}, "p of shape"),
            ({"b": [0.0] * 3}, "b of shape"),
            ({"W": [[1.0], [np.inf]]}, "W has an entry that is not finite"),
            ({"W": [[1.0], [1.0, 2.0]]}, "W is not a rectangular array"),
            ({"W": [1.0, 2.0]}, "W of shape"),
            ({"W": np.zeros((0, 1))}, "at least one feature"),
            ({"W": np.zeros((9, 1)), "b": 0.0}, "at most 8"),
            ({"importance": [1.0, -1.0]}, "importance=-1"),
            ({"encoder": np.zeros((3, 1))}, "encoder of shape"),
        ],
    )
    def test_bad_input_is_one_sentence(self, arguments, sentence):
        with pytest.raises(ValueError, match=sentence):
            theory.expected_loss(**{"W": [[1.0], [-1.0]], "b": [0.0, 0.0], "p": 0.5, **arguments})


class TestPopulationLoss:
    @pytest.mark.parametrize("x64", [False, True])
    def test_is_the_expected_loss_with_its_gradient(self, x64):
        random = np.random.default_rng(4)
        # The value and slope of a positive sum round by a few ulp; central differences err by step^2 and noise / step.
        tolerance, step = (1e-8 if x64 else 3e-6), 1e-5
        with jax.enable_x64(x64):
            slope = jax.jit(jax.vmap(jax.value_and_grad(theory.population_loss, (0, 1)), (0, 0, None, None)))
            W = random.normal(size=(20, 3, 2)) * np.array([1, 1e-3, 1])[:, None]
            W[10:, 1], W[15:, 2] = 0, -W[15:, 0]
            b = random.normal(size=(20, 3)) / 2
            p, importance = np.array([0.1, 0.5, 1.0]), np.array([1.0, 0.5, 0.2])
            dtype = jnp.float64 if x64 else jnp.float32
            value, (by_W, by_b) = slope(
                jnp.array(W, dtype), jnp.array(b, dtype), jnp.array(p, dtype), jnp.array(importance, dtype)
            )
        assert value.dtype == dtype
        np.testing.assert_allclose(value, theory.expected_loss(W, b, p, importance), rtol=tolerance)
        for i, h in np.ndindex(3, 2):
            nudge = np.zeros((3, 2))
            nudge[i, h] = step
            difference = [theory.expected_loss(W + s * nudge, b, p, importance) for s in (1, -1)]
            np.testing.assert_allclose(by_W[:, i, h], (difference[0] - difference[1]) / (2 * step), atol=tolerance * 10)
        for i, nudge in enumerate(step * np.eye(3)):
            difference = [theory.expected_loss(W, b + s * nudge, p, importance) for s in (1, -1)]
            np.testing.assert_allclose(by_b[:, i], (difference[0] - difference[1]) / (2 * step), atol=tolerance * 10)

    def test_has_second_derivatives(self):
        random = np.random.default_rng(5)
        with jax.enable_x64(True):
            W, b, p = jnp.array(random.normal(size=(2, 3, 2))), jnp.array(random.normal(size=3)) / 2, 0.3
            curvature = jax.jit(jax.vmap(jax.hessian(theory.population_loss), (0, None, None)))(W, b, p)
            slope = jax.jit(jax.grad(theory.population_loss))
            for k, i, h in np.ndindex(2, 3, 2):
                nudge = jnp.zeros((3, 2)).at[i, h].set(1e-6)
                difference = (slope(W[k] + nudge, b, p) - slope(W[k] - nudge, b, p)) / 2e-6
                np.testing.assert_allclose(curvature[k, i, h], difference, atol=1e-8)

    def test_degenerate_weights_have_finite_slopes(self):
        with jax.debug_nans(True):
            slope = jax.jit(jax.grad(theory.population_loss, (0, 1)))
            for scale, bias in itertools.product([0.0, 1e-30, 1e-18, 1e-9, 1e-5, 1e5], [0.0, 0.1, -0.1, 1e-20]):
                W = scale * jnp.array([[1.0], [-1.0]])
                for leaf in slope(W, jnp.full(2, bias), jnp.full(2, 0.1), jnp.ones(2)):
                    assert jnp.isfinite(leaf).all()


class TestOneSparse:
    @given(W=vectors(10), b=vectors(5))
    def test_agrees_with_gauss_legendre_between_the_kinks(self, W, b):
        W, b = np.array(W).reshape(5, 2), np.array(b)
        gram = W @ W.T
        nodes, weights = np.polynomial.legendre.leggauss(3)  # exact for the quadratic pieces
        total = 0.0
        for i, j in np.ndindex(5, 5):
            kink = -b[j] / gram[j, i] if abs(b[j]) < abs(gram[j, i]) else 0.0
            for low, high in itertools.pairwise(sorted({0.0, min(max(kink, 0.0), 1.0), 1.0})):
                u = (low + high) / 2 + (high - low) / 2 * nodes
                total += (high - low) / 2 * weights @ (u * (i == j) - np.maximum(gram[j, i] * u + b[j], 0)) ** 2
        size = (np.abs(gram).max() + np.abs(b).max() + 1) ** 2
        assert theory.one_sparse_loss(W, b) == pytest.approx(total / 5, abs=1e-14 * size)

    def test_is_the_limit_of_rare_features(self):
        random = np.random.default_rng(5)
        W, b, n = random.normal(size=(6, 2)), -random.uniform(0, 0.5, 6), 6
        errors = [theory.expected_loss(W, b, p) / (n * p) - theory.one_sparse_loss(W, b) for p in (1e-4, 1e-5)]
        assert abs(errors[1]) < 1e-3
        assert errors[0] / errors[1] == pytest.approx(10, rel=0.01)  # pairs of active features are of order p

    def test_compiles_and_batches(self):
        random = np.random.default_rng(6)
        W, b = random.normal(size=(7, 5, 2)), random.normal(size=5)
        batch = theory.one_sparse_loss(W, b)
        np.testing.assert_allclose(batch, [theory.one_sparse_loss(w, b) for w in W], rtol=ROUNDING)
        mapped = jax.jit(jax.vmap(theory.one_sparse_loss, (0, None)))(
            jnp.array(W, jnp.float32), jnp.array(b, jnp.float32)
        )
        np.testing.assert_allclose(mapped, batch, rtol=1e-5)


class TestLinearOptimum:
    @given(
        importance=st.lists(st.floats(0, 2), min_size=1, max_size=6),
        m=st.integers(0, 7),
        p=vectors(6, PROBABILITY),
    )
    def test_is_the_eckart_young_bound_and_attained(self, importance, m, p):
        n = len(importance)
        p = np.array(p[:n])
        W, b, loss = theory.linear_optimum(m, p, importance)
        variance = p / 3 - p**2 / 4
        # min over A of rank m of |D^(1/2) (1 - A) V^(1/2)|^2 is the sum of the squares of the last singular values.
        singular = np.linalg.svd(np.diag(np.sqrt(importance * variance)), compute_uv=False)
        assert loss == pytest.approx((singular[m:] ** 2).sum(), abs=1e-14)
        residual = np.eye(n) - W @ W.T
        mean = residual @ (p / 2) - b
        attained = np.array(importance) @ (residual**2 @ variance + mean**2)
        assert attained == pytest.approx(loss, abs=1e-14)
        assert W.shape == (n, m)


class TestTwoFeatures:
    POINTS = ((0.05, 0.1), (0.3, 0.5), (0.5, 0.5), (0.7, 0.85), (0.9, 1.0), (1.0, 1.0), (0.2, 3.0))

    @pytest.mark.parametrize(("p", "r"), POINTS)
    def test_no_weights_on_a_grid_do_better(self, p, r):
        weights, bias = np.linspace(-1.25, 1.25, 41), np.linspace(-0.4, 0.8, 61)
        w = np.stack(np.meshgrid(weights, weights, indexing="ij"), -1)[:, :, None, :, None]
        # Each output has its own bias, so that the two minima over biases separate.
        outputs = [theory.expected_loss(w, bias[:, None], p, np.eye(2)[i]).min(-1) for i in range(2)]
        grid = (outputs[0] + r * outputs[1]).min()
        best = theory.two_features(p, r).best
        assert best.loss <= grid + 1e-12
        # A quadratic minimum is missed by at most the curvature times the squared half steps, 0.031 and 0.01.
        assert grid - best.loss <= 8 * (1 + r) * p * 0.031**2

    def test_solutions_are_what_they_say(self):
        p, r = np.array([0.02, 0.3, 0.6])[:, None], np.array([0.2, 1.0, 4.0])
        found = theory.two_features(p, r)
        importance = np.broadcast_to(np.stack([np.ones_like(r), r], -1), (3, 3, 2))
        for name in ("neither", "first", "second", "antipodal", "merged", "best"):
            solution = getattr(found, name)
            exists = np.isfinite(solution.loss)
            loss = theory.expected_loss(np.nan_to_num(solution.W), np.nan_to_num(solution.b), p[..., None], importance)
            np.testing.assert_allclose(solution.loss[exists], loss[exists], rtol=1e-12)
        assert (found.best.loss <= np.minimum(found.antipodal.loss, found.first.loss)).all()
        products = found.antipodal.W[..., 0, 0] * found.antipodal.W[..., 1, 0]
        assert (products[np.isfinite(found.antipodal.loss)] < 0).all()
        # Of W and -W, the one whose first weight is positive.
        assert (found.antipodal.W[..., 0, 0][np.isfinite(found.antipodal.loss)] > 0).all()
        assert set(found.name.ravel()) == {"first", "second", "antipodal"}

    @given(p=PROBABILITY, r=st.floats(0.05, 20))
    @settings(max_examples=20)
    def test_swapping_the_features_inverts_the_importance(self, p, r):
        one, other = theory.two_features(p, r), theory.two_features(p, 1 / r)
        assert one.best.loss == pytest.approx(r * other.best.loss, rel=1e-9)

    def test_general_search_agrees(self):
        for p, r in ((0.1, 0.6), (0.9, 0.97), (0.6, 0.3)):
            found = theory.optimum(1, p, [1, r], starts=32)
            assert found.loss == pytest.approx(theory.two_features(p, r).best.loss, rel=1e-9)
            assert found.loss == pytest.approx(theory.expected_loss(found.W, found.b, p, [1, r]), rel=1e-12)

    def test_boundary_without_bias_is_a_tie(self):
        for p in (0.01, 0.4, 1.0):
            r = theory.boundary_without_bias(p)
            antipodal, dropped = (theory.expected_loss([[1], [w]], 0, p, [1, r]) for w in (-1, 0))
            assert antipodal == pytest.approx(dropped, rel=1e-12)
        r = theory.boundary_without_bias(0.3, mean_of_dropped=True)
        tie = theory.expected_loss([[1], [-1]], 0, 0.3, [1, r])
        assert tie == pytest.approx(theory.two_features(0.3, r).first.loss, rel=1e-12)

    @pytest.mark.parametrize("p", [1e-3, 0.3, 0.6, 1.0])
    def test_best_bias_and_its_boundary(self, p):
        def loss(bias):
            return theory.expected_loss([[1.0], [-1.0]], [bias, bias], p, [1, 0])

        search = optimize.minimize_scalar(loss, bounds=(-1, 1), method="bounded", options={"xatol": 1e-12})
        bias, least = theory.antipodal_best_bias(p)
        assert least == pytest.approx(search.fun, rel=1e-12)
        assert loss(bias) == pytest.approx(least, rel=1e-12)
        r = theory.boundary_best_bias(p)
        if 2 * least > theory.feature_variance(p):
            assert np.isnan(r)
        else:
            assert (1 + r) * least == pytest.approx(r * theory.feature_variance(p), rel=1e-12)

    def test_optimised_boundary_is_where_the_winner_changes(self):
        p = np.array([0.01, 0.3, 0.7, 0.9, 1.0])
        r = theory.boundary_optimised(p)
        below, above = theory.two_features(p, r * (1 - 1e-3)), theory.two_features(p, np.minimum(r * (1 + 1e-3), 1))
        assert (below.name == "first").all()
        assert (above.name != "first").all()
        assert (theory.two_features(p, 1 / (r * (1 - 1e-3))).name == "second").all()
        # More freedom for superposition than for dropping: it wins over a wider range.
        assert (r[:2] < theory.boundary_best_bias(p[:2])).all()

    @pytest.mark.parametrize("sign", [-1, 1])
    @pytest.mark.parametrize("p", [0.05, 0.5, 0.95])
    def test_a_second_weight_grows_exactly_above_the_instability(self, p, sign):
        r, e = theory.instability(p)[(1 + sign) // 2], 1e-4

        def gain(ratio):
            """The best of the loss at second weight +-e, less that without, in units of e^2."""

            def loss(point):
                d, c, shift = e * np.asarray(point)
                W, b = [[1 + d], [sign * e]], [c, p / 2 + shift]
                return (theory.expected_loss(W, b, p, [1, ratio]) - ratio * theory.feature_variance(p)) / e**2

            return optimize.minimize(loss, [0, 0, -sign * p / 2], method="Nelder-Mead", options={"xatol": 1e-6}).fun

        # Corrections are of relative order e, times a few.
        assert gain(r * (1 + 20 * e)) < 0 < gain(r * (1 - 20 * e))


class TestPolygon:
    @pytest.mark.parametrize("k", [2, 3, 4])
    def test_few_vertices_cost_nothing(self, k):
        assert theory.polygon(k) == pytest.approx((1, 0, 0), abs=1e-12)

    @pytest.mark.parametrize("k", [5, 6, 7, 8, 9, 10, 12, 17])
    def test_no_radius_and_bias_on_a_grid_do_better(self, k):
        radius, bias = np.linspace(0.02, 2.2, 110), np.linspace(-3, 0.5, 141)
        W = radius[:, None, None, None] * theory.polygon_weights(k)
        # By symmetry one active feature stands for all: the digits of the loss are those of the whole matrix.
        grid = np.array([theory.one_sparse_loss(w, bias[:, None]) for w in W])
        best = theory.polygon(k)
        assert best.loss <= grid.min()
        assert grid.min() - best.loss < 2e-3
        assert theory.one_sparse_loss(theory.polygon_weights(k, best.radius), best.bias) == pytest.approx(
            best.loss, abs=1e-14
        )

    @pytest.mark.parametrize("k", [2, 3, 5, 6, 8, 12])
    def test_is_a_critical_point_in_all_weights_and_biases(self, k):
        """By the symmetry of the polygon (Palais): the restricted minimum has no slope in any other direction."""
        best, step = theory.polygon(k), 1e-6
        point = np.append(theory.polygon_weights(k, best.radius).ravel(), np.full(k, best.bias))
        nudged = point + step * np.stack([np.eye(3 * k), -np.eye(3 * k)])
        loss = theory.one_sparse_loss(nudged[..., : 2 * k].reshape(2, 3 * k, k, 2), nudged[..., 2 * k :])
        # Second differences at a kink of the slope are of order step; rounding over step is 1e-10.
        np.testing.assert_allclose(loss[0] - loss[1], 0, atol=2 * step * 1e-5)

    @pytest.mark.parametrize("x", [-1.5, -0.95, -0.4, 0.1, 0.5, 0.9])
    def test_pieces_are_their_integrals(self, x):
        """The moments behind the radius, also for positive biases (x < 0), which never win but must be compared."""
        u = (np.arange(200_000) + 0.5) / 200_000  # midpoints: an error of order 1e-11
        cosines = np.cos(2 * np.pi * np.arange(7) / 7)
        knots = np.concatenate([[-2, 0, 1], cosines])
        A, B = polygons._polygon_pieces(7, float(knots[knots < x].max()), float(knots[knots > x].min()))
        assert A(x) == pytest.approx((u * np.maximum(u - x, 0)).mean(), abs=1e-9)
        assert B(x) == pytest.approx(sum((np.maximum(u * c - x, 0) ** 2).mean() for c in cosines), abs=1e-9)

    def test_symmetric_weights(self):
        W = theory.polygon_weights(8, 2.0)
        np.testing.assert_allclose((W**2).sum(1), 4)
        assert W[0] @ W[2] == 0

    def test_needs_two_vertices(self):
        with pytest.raises(ValueError, match="k=1"):
            theory.polygon(1)


@given(st.floats(0.01, 1), st.integers(1, 5))
def test_the_exact_linear_loss_is_that_of_the_optimum_and_no_less_elsewhere(p, m):
    importance = 0.7 ** np.arange(6)
    best = theory.linear_optimum(m, p, importance)
    assert theory.linear_loss(best.W, best.b, p, importance) == pytest.approx(float(best.loss))
    moved = best.W + 0.1 * np.random.default_rng(m).normal(size=best.W.shape)
    assert theory.linear_loss(moved, best.b, p, importance) > float(best.loss)


def test_the_exact_linear_loss_is_the_mean_over_draws():
    random = np.random.default_rng(0)
    W, b, p, importance = random.normal(size=(3, 2)) / 2, random.normal(size=3) / 4, 0.4, np.array([1, 0.5, 0.2])
    x = np.where(random.random((200_000, 3)) < p, random.random((200_000, 3)), 0)
    sampled = ((x - x @ W @ W.T - b) ** 2 @ importance).mean()
    assert theory.linear_loss(W, b, p, importance) == pytest.approx(sampled, rel=0.01)


def test_many_p_of_the_same_models_at_once():
    """p may have more leading axes than the models."""
    random = np.random.default_rng(5)
    W, b, p = random.normal(size=(3, 4, 2)), random.normal(size=(3, 4)), random.uniform(size=(5, 3, 4))
    one_by_one = [theory.expected_loss(W, b, each) for each in p]
    np.testing.assert_array_equal(theory.expected_loss(W, b, p), one_by_one)
