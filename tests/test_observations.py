"""Observations and hierarchies have the moments that they state; what is planted is its seed's alone."""

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_data import means_agree, states_its_moments
from toymodels.data import Constant, Correlated, Sparse, Uniform, covariance
from toymodels.hierarchies import Hierarchy
from toymodels.laws import PowerLaw
from toymodels.observations import (
    Clusters,
    Cube,
    Embedded,
    GaussianCopy,
    Listed,
    Normal,
    Orthant,
    Orthonormal,
    Rooted,
    Sampled,
    Written,
    prepared,
    variance,
)

BATCH = 20_000
seeds = st.integers(0, 2**31 - 1)
W = np.random.default_rng(0).normal(size=(4, 3))
FEATURES = Sparse(4, PowerLaw(0.5, 0.4))
LAWS: dict[str, Any] = {
    "written": Written(FEATURES, W, 0.1),
    "embedded": Embedded(FEATURES, 3, 5, strength=PowerLaw(0.5)),
    "of a hierarchy": Embedded(Hierarchy(2, 1, 0.4, 0.5), 3, noise=0.2),
    "orthonormal": Embedded(Sparse(3, 0.3), 3, frame=Orthonormal()),
    "orthant": Embedded(FEATURES, 3, frame=Orthant()),
    "clusters": Clusters(5, 3, 2, 0.3),
    "cube": Cube(3, 1.5),
    "normal": Normal(3, 0.7),
    "copy": GaussianCopy(Embedded(FEATURES, 3, 5)),
    "copy of fewer dimensions": GaussianCopy(Embedded(Sparse(2, 0.3), 3)),
    "rooted": Rooted(np.ones(3), np.eye(3)[:, :2]),
    "listed": Listed(W, 3),
}
draw = jax.jit(lambda data, key: (data.sample(key, BATCH), data.mean(), data.second_moment()))


@pytest.mark.parametrize("name", LAWS)
def test_samples_have_the_moments_stated(name: str) -> None:
    data = LAWS[name]
    assert data.d == 3
    h, mean, second = (np.asarray(each, float) for each in draw(data, jax.random.key(1)))
    bound = abs(h).max()
    means_agree(h, mean, bound)
    means_agree(h[:, :, None] * h[:, None, :], second, 2 * bound**2)
    assert variance(data) == pytest.approx(h.var(axis=0).sum(), rel=0.05)
    same = prepared(data)
    np.testing.assert_allclose(draw(same, jax.random.key(1))[0], h, atol=1e-3)  # the root of a rounded zero is 1e-4


@settings(max_examples=25)
@given(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0, 2), st.floats(2.1, 4), seeds)
def test_hierarchies_have_exact_marginals_and_no_child_without_its_parent(p, q, a, b, seed) -> None:
    data = Hierarchy(2, 1, p, q, Uniform(-a, b))
    states_its_moments(data, seed)
    x = np.asarray(jax.jit(lambda data, key: data.sample(key, BATCH))(data, jax.random.key(seed)))
    parent, child = x.reshape(BATCH, 2, 2).transpose(2, 0, 1) != 0
    assert not (child & ~parent).any()
    assert data.marginals().tolist() == pytest.approx([p, p * q, p, p * q])


def test_hierarchies_of_certain_children_are_correlated_sets() -> None:
    """The moments by another law, and those of several children by hand."""
    one, other = Hierarchy(2, 2, 0.3, 1.0), Correlated(2, 3, 0.3)
    np.testing.assert_allclose(one.second_moment(), other.second_moment(), atol=1e-7)
    on = np.asarray(Hierarchy(1, 2, 0.4, 0.5, Constant(1.0)).second_moment())
    np.testing.assert_allclose(on, [[0.4, 0.2, 0.2], [0.2, 0.2, 0.1], [0.2, 0.1, 0.2]], atol=1e-7)
    with pytest.raises(ValueError, match="probability"):
        Hierarchy(1, 1, 0.4, 1.5)


def test_frames() -> None:
    """Unit rows; orthonormal ones; none negative; strengths are lengths; another seed, another truth."""
    lengths = np.arange(1, 5) ** -0.5
    for frame in (Orthant(), Embedded(FEATURES, 3).frame):
        rows = np.asarray(Embedded(FEATURES, 3, 1, strength=PowerLaw(0.5), frame=frame).directions())
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), lengths, rtol=1e-6)
        assert (rows >= 0).all() == isinstance(frame, Orthant)
    rows = np.asarray(LAWS["orthonormal"].directions())
    np.testing.assert_allclose(rows @ rows.T, np.eye(3), atol=1e-6)
    assert not np.allclose(Embedded(FEATURES, 3, 1).directions(), Embedded(FEATURES, 3, 2).directions())
    with pytest.raises(ValueError, match="as many dimensions"):
        Embedded(FEATURES, 3, frame=Orthonormal())


def test_a_gaussian_copy_shares_two_moments_and_no_more() -> None:
    data = Embedded(Sparse(4, 0.05), 3, 5)
    np.testing.assert_allclose(covariance(GaussianCopy(data)), covariance(data), atol=1e-6)
    kurtosis = []
    for law in (data, GaussianCopy(data)):
        h = np.asarray(draw(law, jax.random.key(0))[0], float)
        centred = (h - h.mean(0)) / h.std(0)
        kurtosis.append((centred**4).mean(0))
    assert kurtosis[0].min() > 6
    assert kurtosis[1] == pytest.approx([3] * 3, abs=0.3)


def test_a_sample_is_drawn_once_and_larger_ones_contain_smaller_ones() -> None:
    data = Sampled(Normal(3), 5, 50)
    h = np.asarray(data.sample(jax.random.key(0), 400))
    assert len(np.unique(h, axis=0)) == 5
    assert {tuple(row) for row in np.asarray(data.table())[:5]} == {tuple(row) for row in h}
    more = np.asarray(Sampled(Normal(3), 9, 50).sample(jax.random.key(1), 400))
    assert {tuple(row) for row in h} < {tuple(row) for row in more}
    assert data.mean().tolist() == [0] * 3
    with pytest.raises(ValueError, match="a sample has 1"):
        Sampled(Normal(3), 51, 50)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Written(FEATURES, np.ones((3, 2))), "4 features"),
        (lambda: Embedded(FEATURES, 0), "at least 1"),
        (lambda: Embedded(FEATURES, 2, noise=-1.0), "not negative"),
        (lambda: Embedded(FEATURES, 2, strength=0.0), "above 0"),
        (lambda: Cube(2, 0.0), "above 0"),
        (lambda: Normal(2, 0.0), "above 0"),
        (lambda: Clusters(0, 2), "at least 1"),
    ],
)
def test_laws_that_make_no_sense_are_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
