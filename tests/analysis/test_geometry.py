"""Laws of the geometry measures: values of known configurations, bounds, invariances, degenerate rows, derivatives."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from toymodels.analysis.geometry import (
    dimensions_per_feature,
    feature_dimensionality,
    frame_potential,
    interference,
    orthogonal_pairs,
    per_model,
)
from toymodels.analysis.lines import polytope_lines
from toymodels.shapes import polytopes

ROUNDING = 1e-12  # float64 sums of some hundred terms of order one
UNIFORM = [polytopes.simplex(d) for d in (0, 1, 2, 3, 7)] + [polytopes.polygon(k) for k in (5, 6, 9)]
UNIFORM += [polytopes.antiprism(4), polytopes.cube(), polytopes.icosahedron(), polytopes.twenty_four_cell()]

seeds = st.integers(0, 2**32 - 1)
scales = st.floats(-20, 20).map(lambda exponent: 10.0**exponent)


@st.composite
def weights(draw):
    """Gaussian rows of very different lengths in a subspace, some of them dead, some of them copies."""
    rng = np.random.default_rng(draw(seeds))
    n, m = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    rank = draw(st.integers(1, m))
    W = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, m)) * 10 ** rng.uniform(-3, 3, size=(n, 1))
    W[rng.random(n) < 0.2] = 0
    return np.concatenate([W, W[rng.random(n) < 0.2]])


def rotation(m, seed):
    return stats.ortho_group.rvs(m, random_state=seed) if m > 1 else np.array([[-1.0]])


# --------------------------------------------------------------------------------------------- definitions and values


@given(weights())
def test_the_measures_are_what_their_loops_say(W):
    n, lengths = len(W), np.linalg.norm(W, axis=1)
    for i in range(n):
        D = 0.0
        other = 0.0
        if lengths[i] > 0:
            hat = W[i] / lengths[i]
            other = sum(float(hat @ W[j]) ** 2 for j in range(n) if j != i)
            D = lengths[i] ** 2 / (lengths[i] ** 2 + other)
        assert feature_dimensionality(W)[i] == pytest.approx(D, rel=1e-9, abs=1e-15)
        assert interference(W)[i] == pytest.approx(other, rel=1e-9, abs=1e-15 * lengths.max() ** 2)


@pytest.mark.parametrize("polytope", UNIFORM, ids=lambda p: p.name)
def test_a_tight_frame_shares_its_dimensions_equally(polytope):
    size, rank = polytope.vectors.shape
    np.testing.assert_allclose(feature_dimensionality(3 * polytope.vectors), rank / size, rtol=ROUNDING)
    assert frame_potential(3 * polytope.vectors) == pytest.approx(size**2 / rank)  # Benedetto & Fickus: the minimum


def test_the_guide_lines_are_the_dimensionalities_of_their_configurations():
    configurations = {p.name: p.vectors for p in [*UNIFORM, polytopes.polygon(5)]}
    for name, line in polytope_lines().items():
        np.testing.assert_allclose(feature_dimensionality(configurations[name]), line, rtol=ROUNDING)


@given(seeds, st.lists(st.sampled_from(UNIFORM), min_size=1, max_size=5))
def test_dimensionalities_fill_the_rank_of_an_orthogonal_sum_of_tight_frames(seed, frames):
    """sum D = rank whatever the length common to each frame: every row is an eigenvector of W^T W."""
    rng = np.random.default_rng(seed)
    W = block_diagonal([frame.vectors * 10 ** rng.uniform(-2, 2) for frame in frames])
    W = W @ rotation(W.shape[1], seed)
    assert feature_dimensionality(W).sum() == pytest.approx(W.shape[1], rel=1e-9)


@given(seeds, st.integers(2, 6))
def test_one_row_out_of_tune_breaks_the_equality(seed, rank):
    W = polytopes.simplex(rank).vectors.copy()
    W[seed % len(W)] *= 1.5
    assert feature_dimensionality(W).sum() < rank - 1e-3


def test_dimensions_per_feature_counts_unit_rows():
    assert dimensions_per_feature(np.eye(5)[:, :5]) == 1
    assert dimensions_per_feature(np.concatenate([np.eye(5), -np.eye(5)])) == 0.5
    assert dimensions_per_feature([[3, 4]]) == pytest.approx(2 / 25)


@pytest.mark.parametrize("k", [2, 5])
def test_pairs_across_k_equal_factors(k):
    """n^2 (1 - 1/k) ordered pairs; triangles have no orthogonal pair inside."""
    W = block_diagonal([polytopes.simplex(2).vectors] * k) @ rotation(2 * k, 0)
    assert orthogonal_pairs(W, 1e-9) == (3 * k) ** 2 * (1 - 1 / k)


def block_diagonal(blocks):
    rows, columns = sum(len(b) for b in blocks), sum(b.shape[1] for b in blocks)
    W, i, j = np.zeros((rows, columns)), 0, 0
    for block in blocks:
        W[i : i + len(block), j : j + block.shape[1]] = block
        i, j = i + len(block), j + block.shape[1]
    return W


# ------------------------------------------------------------------------------------------------------------- bounds


@given(weights())
def test_dimensionality_is_a_share(W):
    D = feature_dimensionality(W)
    assert np.all((D >= 0) & (D <= 1))
    assert np.all(D[~W.any(axis=1)] == 0)


@given(weights())
def test_dimensionalities_sum_to_at_most_the_rank(W):
    """The rank is that of the unit rows: lengths over six decades would hide short rows from a numerical rank."""
    lengths = np.linalg.norm(W, axis=1, keepdims=True)
    units = W / np.where(lengths > 0, lengths, 1)
    assert feature_dimensionality(W).sum() <= np.linalg.matrix_rank(units) + 1e-9


@given(weights())
def test_frame_potential_is_that_of_the_frame_operator(W):
    """|U U^T|_F^2 = |U^T U|_F^2, computed on the other side; and at least n and n^2 / m."""
    units = W[W.any(axis=1)]
    units = units / np.linalg.norm(units, axis=1, keepdims=True)
    n, m = units.shape
    potential = frame_potential(W)
    assert potential == pytest.approx(np.sum((units.T @ units) ** 2), rel=1e-9)
    assert potential >= max(n, n**2 / m) * (1 - ROUNDING)


@given(weights(), st.floats(0, 0.99))
def test_orthogonal_pairs_grow_with_the_tolerance_and_are_even(W, tol):
    alive = int(W.any(axis=1).sum())
    count = orthogonal_pairs(W, tol)
    assert count % 2 == 0
    assert orthogonal_pairs(W, tol / 2) <= count <= alive * (alive - 1)


# --------------------------------------------------------------------------------------------------------- invariances


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


@given(weights(), seeds)
def test_rotating_the_hidden_space_changes_nothing(W, seed):
    """rtol: interference is a sum of squares of projections, each good to rounding of |W_j|."""
    rotated = W @ rotation(W.shape[1], seed)
    close(feature_dimensionality(rotated), feature_dimensionality(W))
    close(frame_potential(rotated), frame_potential(W))
    close(dimensions_per_feature(rotated), dimensions_per_feature(W))
    largest = np.max(np.abs(W)) ** 2 + 1e-300
    close(interference(rotated) / largest, interference(W) / largest)


@given(weights(), seeds)
def test_permuting_features_permutes_their_values(W, seed):
    order = np.random.default_rng(seed).permutation(len(W))
    close(feature_dimensionality(W[order]), feature_dimensionality(W)[order])
    close(interference(W[order]), interference(W)[order])
    close(frame_potential(W[order]), frame_potential(W))
    assert orthogonal_pairs(W[order], 0.3) == orthogonal_pairs(W, 0.3)


@given(weights(), scales)
def test_scaling_the_weights(W, scale):
    close(feature_dimensionality(scale * W), feature_dimensionality(W))
    np.testing.assert_allclose(interference(scale * W), scale**2 * interference(W), rtol=1e-9)
    close(frame_potential(scale * W), frame_potential(W))
    if W.any():
        assert dimensions_per_feature(scale * W) * scale**2 == pytest.approx(dimensions_per_feature(W), rel=1e-9)


@given(weights(), seeds)
def test_directions_alone_count_for_frame_potential_and_pairs(W, seed):
    lengths = 10 ** np.random.default_rng(seed).uniform(-5, 5, size=(len(W), 1))
    close(frame_potential(lengths * W), frame_potential(W))
    assert orthogonal_pairs(lengths * W, 0.3) == orthogonal_pairs(W, 0.3)


@given(weights(), seeds)
def test_flipping_signs_changes_nothing(W, seed):
    signs = np.random.default_rng(seed).choice([-1, 1], size=(len(W), 1))
    close(feature_dimensionality(signs * W), feature_dimensionality(W))
    close(interference(signs * W), interference(W))


@given(weights())
def test_dead_rows_and_unused_dimensions_change_nothing(W):
    padded = np.pad(W, ((0, 2), (0, 3)))
    close(feature_dimensionality(padded)[:-2], feature_dimensionality(W))
    close(interference(padded), np.append(interference(W), [0, 0]))
    close(frame_potential(padded), frame_potential(W))
    assert orthogonal_pairs(padded, 0.2) == orthogonal_pairs(W, 0.2)


@given(weights(), st.integers(2, 4))
def test_copies_share_a_dimensionality_and_multiply_the_potential(W, copies):
    repeated = np.tile(W, (copies, 1))
    close(feature_dimensionality(repeated)[: len(W)], feature_dimensionality(W) / copies)
    close(frame_potential(repeated), copies**2 * frame_potential(W))


@given(seeds)
def test_orthogonal_parts_do_not_see_each_other(seed):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(5, 2)), 1e3 * rng.normal(size=(4, 3))]
    W = block_diagonal(parts)
    close(feature_dimensionality(W), np.concatenate([feature_dimensionality(part) for part in parts]))
    close(frame_potential(W), sum(frame_potential(part) for part in parts))


# ------------------------------------------------------------------------------------------- extremes and derivatives


def test_lengths_far_apart():
    W = np.array([[1e-30, 0, 0], [1e15, 0, 0], [0, 1e-30, 0], [0, 0, 0], [0, 0, 1e-170]])
    np.testing.assert_allclose(feature_dimensionality(W), [1e-90, 1, 1, 0, 1], rtol=1e-9)
    np.testing.assert_allclose(interference(W), [1e30, 1e-60, 0, 0, 0], rtol=1e-9)
    assert frame_potential(W) == 6
    assert orthogonal_pairs(W, 0) == 10


def test_all_dead():
    W = np.zeros((3, 2))
    assert not feature_dimensionality(W).any()
    assert not interference(W).any()
    assert frame_potential(W) == orthogonal_pairs(W, 0.5) == 0
    assert dimensions_per_feature(W) == np.inf


def test_the_threshold_for_dead_is_relative():
    W = 1e-6 * np.array([[1, 0], [0, 1e-3]])
    np.testing.assert_array_equal(feature_dimensionality(W), [1, 1])
    np.testing.assert_array_equal(feature_dimensionality(W, dead=1e-2), [1, 0])
    assert frame_potential(W, dead=1e-2) == 1
    assert frame_potential([[1, 1, 1, 1], [0.7, -0.7, 0, 0]], dead=0.5) == pytest.approx(1)  # norms 2 and 0.99


MEASURES = [feature_dimensionality, dimensions_per_feature, interference, frame_potential]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda f: f.__name__)
def test_gradients_are_finite_at_dead_rows_and_agree_with_differences(measure):
    """Central differences in float64 against single-precision gradients: 1e-4 of the largest entry."""
    W = np.random.default_rng(0).normal(size=(6, 3))
    W[4] = 0

    def weighted(W):
        value = measure(W)
        return (value * (1.0 + np.arange(value.size)).reshape(value.shape)).sum()

    with jax.debug_nans(True):
        gradient = jax.jit(jax.grad(weighted))(jnp.asarray(W, jnp.float32))
        assert np.all(np.isfinite(jax.jit(jax.grad(weighted))(jnp.zeros((6, 3)))))
    step, numeric = 1e-6, np.zeros_like(W)
    for i, j in itertools.product((0, 1, 2, 3, 5), range(3)):
        bump = np.zeros_like(W)
        bump[i, j] = step
        numeric[i, j] = (weighted(W + bump) - weighted(W - bump)) / (2 * step)
    np.testing.assert_allclose(np.delete(gradient, 4, 0), np.delete(numeric, 4, 0), atol=1e-4 * abs(numeric).max())


def test_both_kinds_of_array_and_lists():
    W = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    for measure in [*MEASURES, lambda W: orthogonal_pairs(W, 0.5)]:
        one, many = measure(W[0]), jax.jit(jax.vmap(measure))(jnp.asarray(W))
        assert isinstance(many, jax.Array)
        np.testing.assert_allclose(many[0], one, rtol=1e-5)
        np.testing.assert_array_equal(measure(W[0].astype(float).tolist()), one)
    assert feature_dimensionality(W[0]).dtype == np.float64
    np.testing.assert_array_equal(feature_dimensionality([[1, 0], [0, 1]]), [1, 1])
    np.testing.assert_array_equal(feature_dimensionality(jnp.eye(2, dtype=int)), [1, 1])


@pytest.mark.parametrize("bad", [1.0, [1.0, 2.0], np.zeros((0, 2)), [[np.nan, 1.0]], [[np.inf, 1.0]]])
def test_weights_are_a_finite_matrix(bad):
    for measure in MEASURES:
        with pytest.raises(ValueError, match="weights are"):
            measure(bad)


@pytest.mark.parametrize("tol", [-0.1, 1.0, np.nan])
def test_tolerances_lie_below_one(tol):
    with pytest.raises(ValueError, match="tolerance lies in"):
        orthogonal_pairs(np.eye(2), tol)
    with pytest.raises(ValueError, match="tolerance lies in"):
        feature_dimensionality(np.eye(2), dead=tol)


def test_numbers_are_read_off_each_model_without_its_padding_and_not_off_broken_ones():
    W = np.full((2, 2, 3, 3), np.nan)
    W[0, 0, :, :2] = [[1, 0], [0, 2], [0, 0]]  # padded: two hidden units
    W[0, 1] = np.eye(3)
    W[1, 0] = [[np.inf, 0, 0], [np.inf, 1, 0], [np.inf, 0, 1]]  # broken, not padded
    np.testing.assert_array_equal(per_model(np.linalg.norm, W), [[np.sqrt(5), np.sqrt(3)], [np.nan, np.nan]])
    lengths = per_model(lambda w: np.linalg.norm(w, axis=1), W, features=True)
    np.testing.assert_array_equal(lengths[0], [[1, 2, 0], [1, 1, 1]])
    assert np.isnan(lengths[1]).all()


@pytest.mark.parametrize(
    ("measure", "settings", "per_feature"),
    [
        (feature_dimensionality, (), True),
        (interference, (), True),
        (dimensions_per_feature, (), False),
        (frame_potential, (), False),
        (orthogonal_pairs, (0.3,), False),
    ],
)
def test_measures_keep_leading_axes_and_labels(measure, settings, per_feature):
    W = np.random.default_rng(0).normal(size=(2, 3, 5, 2))
    expected = np.array([[measure(w, *settings) for w in row] for row in W])
    np.testing.assert_array_equal(measure(W, *settings), expected)
    np.testing.assert_allclose(measure(jnp.asarray(W), *settings), expected, rtol=1e-4)
    labelled = xr.DataArray(W, dims=("p", "seed", "feature", "hidden"), coords={"seed": [4, 5, 6]})
    found = measure(labelled.transpose("feature", "seed", "hidden", "p"), *settings)
    wanted = xr.DataArray(expected, dims=("p", "seed", "feature")[: expected.ndim], coords={"seed": [4, 5, 6]})
    xr.testing.assert_equal(found.transpose(*wanted.dims), wanted)
    assert ("feature" in found.dims) == per_feature
    broken = labelled.where(labelled.seed != 5)
    assert np.isnan(measure(broken, *settings).sel(seed=5)).all()
    assert np.isfinite(measure(broken, *settings).sel(seed=4)).all()
