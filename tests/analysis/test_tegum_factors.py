"""Planted tegum products are found again: rotated, shuffled, scaled, with dead rows and small noise."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from toymodels.analysis.geometry import factor_count, feature_dimensionality, orthogonal_pairs, tegum_factors
from toymodels.shapes import polytopes

RAYS = [polytopes.simplex(d) for d in (0, 1, 2, 3, 6, 9)] + [polytopes.polygon(k) for k in (5, 6, 7, 12)]
RAYS += [polytopes.antiprism(4), polytopes.antiprism(5), polytopes.prism(3), polytopes.cube(), polytopes.icosahedron()]
LINES = [*RAYS[:-1], polytopes.lines_in_plane(4), polytopes.lines_in_plane(6)]
LINES += [polytopes.halved(polytopes.icosahedron()), polytopes.halved(polytopes.cuboctahedron())]

seeds = st.integers(0, 2**32 - 1)
noises = st.sampled_from([0.0, 1e-4, 1e-3, 5e-3])


def products(catalogue):
    return st.lists(st.sampled_from(catalogue), min_size=1, max_size=5)


def plant(factors, rng, noise=0.0, spare=0, signs=False):
    """W of the product in `spare` more dimensions than it needs, each row with error `noise` * |row| sqrt(m) or so."""
    n, m = (sum(p.vectors.shape[axis] for p in factors) for axis in (0, 1))
    W, i, j = np.zeros((n, m + spare)), 0, 0
    for p in factors:
        size, rank = p.vectors.shape
        W[i : i + size, j : j + rank] = p.vectors
        i, j = i + size, j + rank
    labels = np.repeat(np.arange(len(factors)), [len(p.vectors) for p in factors])
    W = W @ (stats.ortho_group.rvs(m + spare, random_state=rng) if m + spare > 1 else np.array([[-1.0]]))
    W += noise * rng.normal(size=W.shape)
    W *= rng.uniform(0.3, 3, size=(n, 1)) * 10 ** rng.uniform(-12, 12)
    if signs:
        W *= rng.choice([-1, 1], size=(n, 1))
    order = rng.permutation(n)
    return W[order], labels[order]


def same_partition(a, b):
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


@given(products(RAYS), seeds, noises, st.integers(0, 3))
def test_a_planted_product_is_recovered(factors, seed, noise, spare):
    """Noise of 5e-3 a coordinate moves a cosine by .007 (sd); structure starts at 1/9, in the 9-simplex."""
    W, labels = plant(factors, np.random.default_rng(seed), noise, spare)
    found = tegum_factors(W)
    assert same_partition(found.labels, labels)
    for factor in found.factors:
        planted = factors[labels[factor.members[0]]]
        assert (factor.size, factor.rank) == planted.vectors.shape
        assert factor.polytope == planted.name
        assert factor.residual <= 5 * noise + 1e-9  # rms of cosine errors, each with sd at most sqrt(2) noise


@given(products(LINES), seeds, noises)
def test_a_planted_product_of_lines_is_recovered(factors, seed, noise):
    W, labels = plant(factors, np.random.default_rng(seed), noise, spare=1, signs=True)
    found = tegum_factors(W, even=True)
    assert same_partition(found.labels, labels)
    assert [f.polytope for f in found.factors] == [factors[labels[f.members[0]]].name for f in found.factors]


@given(seeds, st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=4))
def test_irregular_factors_are_told_apart_exactly(seed, shapes):
    """Generic blocks with more rows than dimensions have no finer decomposition; a given tol needs no guess."""
    rng = np.random.default_rng(seed)
    blocks = [polytopes.Polytope("block", rng.normal(size=(rank + more, rank))) for rank, more in shapes]
    W, labels = plant(blocks, rng)
    found = tegum_factors(W, tol=1e-10, dead=0)
    assert same_partition(found.labels, labels)
    assert [f.rank for f in found.factors] == [blocks[labels[f.members[0]]].vectors.shape[1] for f in found.factors]


@given(seeds, st.integers(1, 12), st.integers(1, 6), st.floats(0, 0.9))
def test_components_are_those_of_a_closure(seed, n, m, tol):
    """Against the transitive closure by matrix powers; leakage is below the cut; labels count up by first member."""
    W = np.random.default_rng(seed).normal(size=(n, m))
    assert factor_count(0 * W) == 0
    units = W / np.linalg.norm(W, axis=1, keepdims=True)
    linked = np.abs(units @ units.T) > tol
    closure = np.linalg.matrix_power(linked.astype(float) + np.eye(n), n) > 0
    found = tegum_factors(W, tol=tol, dead=0)
    np.testing.assert_array_equal(closure, found.labels[:, None] == found.labels)
    firsts = [int(np.flatnonzero(found.labels == k)[0]) for k in range(len(found.factors))]
    assert firsts == sorted(firsts)
    assert factor_count(W, tol) == len(found.factors)
    assert factor_count(W, dead=0.3) == len(tegum_factors(W, dead=0.3).factors)
    for k, factor in enumerate(found.factors):
        np.testing.assert_array_equal(factor.members, np.flatnonzero(found.labels == k))
        assert factor.leakage <= tol


@given(products(RAYS), seeds)
def test_dimensionalities_of_a_product_are_ranks(factors, seed):
    """Unit rows: a factor that is a tight frame takes up its rank; at least n^2 - sum n_k^2 pairs are orthogonal."""
    W, _ = plant(factors, np.random.default_rng(seed))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    found = tegum_factors(W)
    for factor in found.factors:
        assert factor.leakage < 1e-9
        assert factor.dimensionality == pytest.approx(feature_dimensionality(W)[factor.members].sum())
        assert factor.dimensionality == pytest.approx(factor.rank, rel=1e-9)
    assert orthogonal_pairs(W, 1e-9) >= len(W) ** 2 - sum(f.size**2 for f in found.factors)


@settings(max_examples=25)
@given(products(RAYS), seeds, st.integers(1, 4))
def test_dead_rows_are_labelled_minus_one(factors, seed, dead):
    rng = np.random.default_rng(seed)
    W, labels = plant(factors, rng, 1e-3)
    place = np.sort(rng.integers(0, len(W) + 1, size=dead))
    padded = tegum_factors(np.insert(W, place, 0, axis=0))
    assert padded.name == tegum_factors(W).name
    assert np.sum(padded.labels == -1) == dead
    assert same_partition(padded.labels[padded.labels >= 0], labels)


@settings(max_examples=25)
@given(products(RAYS), seeds)
def test_labels_follow_a_permutation_and_names_do_not_care(factors, seed):
    rng = np.random.default_rng(seed)
    W, _ = plant(factors, rng, 1e-3)
    order = rng.permutation(len(W))
    turn = stats.ortho_group.rvs(W.shape[1], random_state=rng) if W.shape[1] > 1 else np.eye(1)
    one, other = tegum_factors(W), tegum_factors(W[order] @ turn)
    assert same_partition(one.labels[order], other.labels)
    assert one.name == other.name


@pytest.mark.parametrize(
    ("factors", "name"),
    [
        ([0], "point"),
        ([0, 0, 0], "3 points"),
        ([1], "digon"),
        ([1, 1], "square"),
        ([1, 1, 1], "octahedron"),
        ([1] * 5, "5-dimensional cross-polytope"),
        ([1, 2, 1], "triangle ⊕ 2 digons"),
        ([0, 3, 2, 3], "2 tetrahedra ⊕ triangle ⊕ point"),
        ([6, 6], "2 6-simplices"),
    ],
)
def test_names_of_wholes(factors, name):
    W = np.zeros((sum(d + 1 for d in factors), sum(max(d, 1) for d in factors)))
    i = j = 0
    for vectors in (polytopes.simplex(d).vectors for d in factors):
        W[i : i + len(vectors), j : j + vectors.shape[1]] = vectors
        i, j = i + len(vectors), j + vectors.shape[1]
    assert tegum_factors(W).name == name


def test_an_even_loss_sees_lines():
    """Copies are no digon; as lines they are. A pentagon with a ray reversed is a pentagon only to an even loss."""
    copies, flipped = np.ones((2, 3)), polytopes.polygon(5).vectors * np.array([[1, 1, -1, 1, 1]]).T
    assert [tegum_factors(copies, even=even).name for even in (False, True)] == ["irregular", "digon"]
    assert [tegum_factors(flipped, even=even).name for even in (False, True)] == ["irregular", "pentagon"]
    halved = polytopes.halved(polytopes.icosahedron()).vectors
    assert tegum_factors(halved, even=True).name == "halved icosahedron"


def test_a_bent_digon_is_a_digon_up_to_the_threshold():
    """The residual of a pair is its one error, |cos + 1|: 0.05 passes the default threshold 0.1, 0.2 does not."""
    for cosine, name, rank in ((-0.95, "digon", 1), (-0.8, "irregular", 2)):
        (factor,) = tegum_factors([[1, 0], [cosine, np.sqrt(1 - cosine**2)]]).factors
        assert (factor.polytope, factor.rank) == (name, rank)
    assert tegum_factors([[1, 0], [-0.95, np.sqrt(1 - 0.95**2)]], irregular=0.01).name == "irregular"
    bent = tegum_factors([[1, 0], [-0.95, np.sqrt(1 - 0.95**2)]]).factors[0]
    assert bent.residual == pytest.approx(0.05)


def test_a_factor_outside_the_catalogue_has_no_residual():
    found = tegum_factors(np.random.default_rng(0).normal(size=(11, 4)))
    assert [(f.rank, f.polytope, f.residual) for f in found.factors] == [(4, "irregular", np.inf)]


def test_a_large_simplex_is_not_torn_apart():
    """Its cosines, 1/30, are as small as noise; but 31 vectors are not orthogonal in 30 dimensions."""
    W, _ = plant([polytopes.simplex(30)], np.random.default_rng(0), 1e-3)
    assert tegum_factors(W).name == "30-simplex"


def test_noise_alone_makes_no_factors():
    W = np.eye(20) + 0.01 * np.random.default_rng(0).normal(size=(20, 20))
    assert tegum_factors(W).name == "20 points"


def test_degenerate_weights():
    assert tegum_factors(np.zeros((3, 2))).name == "empty"
    assert list(tegum_factors(np.zeros((3, 2))).labels) == [-1, -1, -1]
    assert tegum_factors([[2]]).name == "point"
    assert tegum_factors(jnp.eye(3)).name == "3 points"
    short = np.array([[1.0, 0], [0, 1e-4]])
    assert list(tegum_factors(short).labels) == [0, -1]
    assert list(tegum_factors(short, dead=0).labels) == [0, 1]


def test_bad_input():
    with pytest.raises(ValueError, match="weights are"):
        tegum_factors([1.0, 2.0])
    with pytest.raises(ValueError, match="weights are"):
        tegum_factors([[np.nan, 2.0]])
    with pytest.raises(ValueError, match="tolerance lies in"):
        tegum_factors(np.eye(2), tol=1.5)
    with pytest.raises(ValueError, match="residual"):
        tegum_factors(np.eye(2), irregular=-1)
