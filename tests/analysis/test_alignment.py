"""Alignment against angles by hand, brute-force matching, principal angles from scipy, and gauge invariance."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import subspace_angles

from toymodels.analysis.alignment import alignment, backs_off, bumps, pairing, projection, span_alignment

seeds = st.integers(0, 2**32 - 1)


def vectors(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def rotation(seed, dim):
    return np.linalg.qr(vectors(seed, dim, dim))[0]


def test_alignment_is_the_cosine_of_the_angle():
    angle = 0.3
    rows = [[2.0, 0.0], [0.0, 0.0], [-np.cos(angle), np.sin(angle)]]
    expected = [[1.0, 0.0], [0.0, 0.0], [np.cos(angle), np.sin(angle)]]
    np.testing.assert_allclose(alignment(rows, np.eye(2)), expected, atol=1e-15)


@given(seeds)
def test_alignment_ignores_rotation_scale_and_sign(seed):
    a, b = vectors(seed, 4, 6), vectors(seed + 1, 3, 6)
    q = rotation(seed, 6)
    scale = np.array([[1e-300], [-1e150], [1e300], [-1.0]])
    np.testing.assert_allclose(alignment(scale * a @ q, -b @ q), alignment(a, b), atol=1e-13)


@given(seeds)
def test_alignment_lies_in_the_unit_interval_and_sees_itself(seed):
    a = vectors(seed, 5, 3)
    cosines = alignment(a, a)
    assert cosines.max() <= 1.0
    np.testing.assert_allclose(np.diag(cosines), 1.0, atol=1e-15)
    np.testing.assert_allclose(cosines, cosines.T, atol=1e-15)


def test_leading_axes_broadcast_and_jax_agrees_under_jit():
    a, b = vectors(0, 7, 4, 3), vectors(1, 2, 3)
    many = alignment(a, b)
    assert many.shape == (7, 4, 2)
    np.testing.assert_array_equal(many[3], alignment(a[3], b))
    for function in (alignment, projection, span_alignment):
        traced = jax.jit(function)(jnp.asarray(a), jnp.asarray(b))
        assert isinstance(traced, jax.Array)
        # float32 rounding of a cosine, times a few operations.
        np.testing.assert_allclose(traced, function(a, b), atol=1e-5)


def test_gradient_of_alignment_is_finite_at_zero_vectors():
    gradient = jax.grad(lambda a: alignment(a, jnp.eye(2)).sum())(jnp.array([[0.0, 0.0], [1.0, 2.0]]))
    assert jnp.isfinite(gradient).all()


def test_a_vector_that_is_not_finite_spoils_itself_only():
    cosines = alignment([[np.nan, 1.0], [np.inf, 0.0], [1.0, 0.0]], np.eye(2))
    assert np.isnan(cosines[:2]).all()
    np.testing.assert_array_equal(cosines[2], [1.0, 0.0])


@given(seeds, st.sampled_from([(3, 3), (2, 4), (4, 2)]))
def test_match_is_the_best_of_all_pairings(seed, sizes):
    a, b = vectors(seed, sizes[0], 3), vectors(seed + 1, sizes[1], 3)
    cosines, found = alignment(a, b), pairing(a, b)
    if sizes[0] <= sizes[1]:
        totals = [
            sum(cosines[i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(sizes[1]), sizes[0])
        ]
    else:
        totals = [
            sum(cosines[i, j] for j, i in enumerate(p)) for p in itertools.permutations(range(sizes[0]), sizes[1])
        ]
    assert len(found.learned) == len(set(found.learned)) == len(set(found.target)) == min(sizes)
    assert found.cosines.sum() == pytest.approx(max(totals), abs=1e-12)
    np.testing.assert_array_equal(found.cosines, cosines[found.learned, found.target])


def test_match_undoes_a_permutation_and_survives_a_diverged_run():
    order = np.array([2, 0, 3, 1])
    learned = np.stack([np.eye(4)[order], np.full((4, 4), np.nan)])
    found = pairing(learned, np.eye(4))
    np.testing.assert_array_equal(found.target[0], order)
    np.testing.assert_array_equal(found.cosines[0], 1.0)
    assert np.isnan(found.cosines[1]).all()
    assert pairing(np.zeros((2, 3)), np.zeros((0, 3))).cosines.shape == (0,)


@given(seeds, st.sampled_from([(2, 3), (3, 3), (1, 4)]))
def test_span_alignment_is_the_mean_squared_cosine_of_principal_angles(seed, ranks):
    a, b = vectors(seed, ranks[0], 6), vectors(seed + 1, ranks[1], 6)
    angles = subspace_angles(a.T, b.T)
    assert span_alignment(a, b) == pytest.approx((np.cos(angles) ** 2).mean(), abs=1e-12)
    # The larger span exceeds the smaller by right angles.
    assert span_alignment(b, a) == pytest.approx((np.cos(angles) ** 2).sum() / ranks[1], abs=1e-12)


@given(seeds)
def test_span_alignment_has_no_gauge(seed):
    a, b = vectors(seed, 3, 8), vectors(seed + 1, 4, 8)
    # Singular values in [1, 10]: an invertible mixing whose condition number bounds the rounding by 1e-14.
    mix = rotation(seed, 3) * np.geomspace(1, 10, 3) @ rotation(seed + 2, 3)
    mix_targets = 1e-200 * rotation(seed, 4) * np.geomspace(1, 10, 4) @ rotation(seed + 3, 4)
    q = rotation(seed, 8)
    assert span_alignment(mix @ a @ q, mix_targets @ b @ q) == pytest.approx(span_alignment(a, b), abs=1e-12)
    np.testing.assert_allclose(projection(a, mix_targets @ b), projection(a, b), atol=1e-12)
    assert span_alignment(mix @ b[:3], b) == pytest.approx(1.0, abs=1e-13)


def test_a_span_counts_its_rank_not_its_vectors():
    e = np.eye(4)
    # e0, e0 + e1, e1 span a plane, half of which lies in the plane e1, e2; float32 rounding makes no third direction.
    learned = np.stack([e[0], 0.3 * e[0] + 0.7 * e[1], e[1], 0 * e[0]])
    assert span_alignment(learned, e[1:3]) == pytest.approx(0.5, abs=1e-14)
    noisy = (learned @ rotation(0, 4)).astype(np.float32)
    assert span_alignment(noisy, (e[1:3] @ rotation(0, 4)).astype(np.float32)) == pytest.approx(0.5, abs=1e-6)
    assert span_alignment(e, e[:1]) == pytest.approx(0.25, abs=1e-14)
    assert span_alignment(e[:1], e) == pytest.approx(1.0, abs=1e-14)


def test_empty_spans_share_nothing_and_nan_is_reported():
    e = np.eye(3)
    for learned, targets in ((0 * e, e), (e, 0 * e), (0 * e, 0 * e), (e[:0], e), (e, e[:0])):
        assert span_alignment(learned, targets) == 0.0
    batch = span_alignment(np.stack([e, np.nan * e]), e)
    np.testing.assert_array_equal(batch, [1.0, np.nan])
    assert np.isnan(projection(e, np.nan * e)).all()


@given(seeds)
def test_projection_sums_the_alignments_with_orthonormal_targets(seed):
    a, targets = vectors(seed, 5, 6), rotation(seed, 6)[:3]
    np.testing.assert_allclose(projection(a, targets) ** 2, (alignment(a, targets) ** 2).sum(-1), atol=1e-13)
    np.testing.assert_allclose(projection(a, targets[:1]), alignment(a, targets[:1])[:, 0], atol=1e-14)
    np.testing.assert_allclose(projection([*targets, np.zeros(6)], targets), [1, 1, 1, 0], atol=1e-14)


def gaussian(t, centre, width, height):
    return height * np.exp(-(((t - centre) / width) ** 2))


def test_bumps_are_counted_where_they_were_put():
    t = np.arange(400)
    curve = gaussian(t, 100, 20, 0.8) + gaussian(t, 300, 30, 0.4) + 1 / (1 + np.exp(-(t - 380) / 3))
    found = bumps(curve)
    assert [bump.index for bump in found] == [100, 300]
    # Between far Gaussians the curve falls to exp(-25), and on the right to .01: the prominence is about the height.
    np.testing.assert_allclose([bump.prominence for bump in found], [0.8, 0.4], atol=0.02)
    np.testing.assert_allclose([bump.height for bump in found], [0.8, 0.4], atol=1e-3)


@pytest.mark.parametrize("curve", [np.ones(50), np.arange(50.0), -np.arange(50.0), np.full(9, np.nan), [], [1.0]])
def test_no_bump_on_monotone_constant_or_empty_trajectories(curve):
    assert bumps(curve) == []


def test_flat_tops_noise_and_missing_records():
    assert [bump.index for bump in bumps([0, 0.2, 0.9, 0.9, 0.9, 0.1])] == [3]
    t = np.arange(400)
    noise = np.random.default_rng(0).uniform(-0.04, 0.04, 400)  # peak to peak below the prominence asked for
    assert len(bumps(gaussian(t, 200, 60, 0.8) + noise)) == 1
    assert bumps(noise) == []
    holed = gaussian(t, 200, 60, 0.8)
    holed[[150, 205]], holed[390:] = np.nan, np.inf
    assert [bump.index for bump in bumps(holed)] == [200]


def path(*curves):
    """Cosines of two learned vectors with two targets from four curves: learned 1 with both, then learned 2."""
    return np.stack([np.asarray(curve, float) for curve in curves], -1).reshape(-1, 2, 2)


UP, BUMP, FLAT = [0.1, 0.5, 0.9, 1], [0.1, 0.5, 0.6, 0.1], [0.1, 0.1, 0.1, 0.1]


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        ((UP, FLAT, BUMP, UP), True),
        ((BUMP, UP, UP, FLAT), True),  # the other one
        ((FLAT, UP, UP, BUMP), True),  # from the second target
        ((UP, FLAT, FLAT, UP), False),  # never together
        ((UP, FLAT, UP, FLAT), False),  # together to the end
        ((UP, FLAT, [0.1, 0.5, 0.6, 0.55], [0.1, 0.1, 0.1, 0.6]), False),  # falls by too little
        ((UP, FLAT, BUMP, [0.05] * 4), False),  # ends nearest to the target that it fell from
        (([0.1, 0.1, 0.1, 1], FLAT, BUMP, UP), False),  # one after the other
        ((UP, FLAT, [0.6, 0.6, 0.6, 0.1], UP), False),  # it was there from the start, and did not grow
        ((UP, FLAT, BUMP, [np.nan] * 4), False),
    ],
)
def test_backing_off(curves, expected):
    assert backs_off(path(*curves)) is expected


@given(seeds)
def test_backing_off_does_not_depend_on_names_or_pace(seed):
    cosines = np.abs(np.cumsum(np.random.default_rng(seed).normal(scale=0.2, size=(6, 3, 2)), 0)).clip(max=1)
    expected = backs_off(cosines)
    assert backs_off(cosines[:, [2, 0, 1]]) is expected
    assert backs_off(cosines[:, :, ::-1]) is expected
    assert backs_off(np.repeat(cosines, 2, 0)) is expected


@given(seeds, st.floats(0.05, 0.5))
def test_prominence_is_the_climb_to_the_higher_foot(seed, least):
    curve = np.random.default_rng(seed).uniform(size=12)
    expected = []
    for i in range(1, 11):
        left = [j for j in range(i) if curve[j] > curve[i]]
        right = [j for j in range(i + 1, 12) if curve[j] > curve[i]]
        feet = curve[max(left, default=0) : i + 1].min(), curve[i : min(right, default=11) + 1].min()
        if curve[i - 1] < curve[i] > curve[i + 1] and curve[i] - max(feet) >= least:
            expected.append(i)
    assert [bump.index for bump in bumps(curve, least)] == expected


@pytest.mark.parametrize(
    "call",
    [
        lambda: alignment(np.ones((2, 3)), np.ones((2, 4))),
        lambda: alignment(np.ones(3), np.ones((2, 3))),
        lambda: alignment(np.ones((2, 1, 3)), np.ones((3, 1, 3))),
        lambda: span_alignment(np.eye(2), np.eye(2), rtol=-1.0),
        lambda: bumps(np.ones((2, 5))),
        lambda: backs_off(np.ones((2, 5))),
        lambda: bumps(np.ones(5), prominence=0.0),
    ],
)
def test_bad_input_is_one_sentence(call):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        call()
