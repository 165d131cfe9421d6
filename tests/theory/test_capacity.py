"""Capacity in closed form: against draws, against a general optimiser, and exactly what the best weights reach."""

import jax
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from toymodels.analysis.geometry import feature_dimensionality
from toymodels.problems.quadratic import Quadratic
from toymodels.theory.capacity import (
    best_allocation,
    best_weights,
    boundaries,
    extra_capacity,
    feature_loss,
    optima,
    tight_frame,
)

weights = st.lists(st.floats(0.05, 3), min_size=2, max_size=7)


def test_the_loss_is_the_variance_of_the_error() -> None:
    """Two million draws, x on with probability p and then +-1/sqrt(p): within six standard errors."""
    rng = np.random.default_rng(0)
    for p, v in ((0.2, (1.0, 0.5, 0.2)), (0.7, (0.3, 1.0, 1.0))):
        x = (rng.random((2_000_000, 3)) < p) * rng.choice([-1, 1], (2_000_000, 3)) / np.sqrt(p)
        W = rng.normal(size=(3, 2)).astype(np.float32)
        error = ((x @ W) ** 2).sum(-1) - x**2 @ v
        square = (error - error.mean()) ** 2
        exact = float(Quadratic(3, 2, 1 / p, v).objective({"W": W}))
        assert abs(square.mean() - exact) <= 6 * square.std() / np.sqrt(len(x))


@settings(max_examples=30)
@given(weights, st.floats(1.2, 30), st.integers(1, 4))
def test_no_allocation_is_better(v: list[float], k: float, m: int) -> None:
    """A general optimiser from several starts (for k <= 3 the corners, where a concave sum is least) finds no less."""
    n, found = len(v), best_allocation(m, v, k)
    assert found.capacity.sum() <= m + 1e-9
    assert ((found.capacity >= 0) & (found.capacity <= 1)).all()
    rng = np.random.default_rng(1)
    for _ in range(4):
        start = rng.dirichlet(np.ones(n)) * min(m, n)
        other = scipy.optimize.minimize(
            lambda C: float(np.sum(feature_loss(np.clip(C, 0, 1), v, k))),
            np.clip(start, 0, 1),
            bounds=[(0, 1)] * n,
            constraints={"type": "ineq", "fun": lambda C: m - C.sum()},
            method="SLSQP",
        )
        if np.clip(other.x, 0, 1).sum() <= m + 1e-7:
            assert other.fun >= found.loss * (1 - 1e-5) - 1e-9
    if k > 3.1 and m < n:  # equal marginal returns where capacities are fractional
        C = found.capacity
        inner = (C > 1e-3) & (C < 1 - 1e-3)
        returns = 2 * np.square(v) * (k - 1) ** 2 / (2 + (k - 3) * C) ** 2
        assert np.ptp(returns[inner]) <= 1e-6 * returns.max() if inner.any() else True


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.floats(1.1, 40), st.integers(1, 3))
def test_every_model_is_above_the_bound(seed: int, k: float, m: int) -> None:
    rng = np.random.default_rng(seed)
    v, W = rng.uniform(0.05, 2, 4), rng.normal(size=(4, m)).astype(np.float32)
    loss = float(Quadratic(4, m, k, tuple(v)).objective({"W": W}))
    C = feature_dimensionality(W.astype(np.float64))
    assert loss >= best_allocation(m, v, k).loss * (1 - 1e-5)
    assert loss >= np.sum(feature_loss(np.clip(C, 0, 1), v, k)) * (1 - 1e-5)  # of its own capacities, at their best


@settings(max_examples=50)
@given(weights, st.floats(1.2, 30), st.integers(1, 4))
def test_some_weights_reach_the_bound(v: list[float], k: float, m: int) -> None:
    """With the capacities allocated, and, for k > 3, in one block for all features that share dimensions."""
    found, W = best_allocation(m, v, k), best_weights(m, v, k)
    gram = W @ W.T
    loss = (k - 1) * np.sum((np.diag(gram) - v) ** 2) + 2 * (np.sum(gram**2) - np.sum(np.diag(gram) ** 2))
    assert loss == pytest.approx(found.loss, rel=1e-6, abs=1e-9)
    np.testing.assert_allclose(feature_dimensionality(W), found.capacity, atol=1e-6)
    spectrum, whole = np.linalg.eigvalsh(W.T @ W), np.sort(np.array(v)[found.capacity > 1 - 1e-9])
    shared = np.sum((found.capacity > 1e-9) & (found.capacity < 1 - 1e-9))
    if shared:
        np.testing.assert_allclose(spectrum[m - len(whole) :], whole, rtol=1e-6)
        np.testing.assert_allclose(spectrum[: m - len(whole)], spectrum[0], rtol=1e-6)


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=9))
def test_a_tight_frame_has_the_lengths_asked_for(lengths: list[float]) -> None:
    total = sum(lengths)
    d = max(1, round(total))
    c = np.array(lengths) * d / total
    if c.max() < 1 and d < len(c):
        F = tight_frame(c, d)
        np.testing.assert_allclose((F**2).sum(1), c, atol=1e-9)
        np.testing.assert_allclose(F.T @ F, np.eye(d), atol=1e-9)


@given(st.floats(3.1, 40), st.integers(2, 7), st.data())
def test_sharing_begins_and_ends_at_the_boundaries(k: float, n: int, data: st.DataObject) -> None:
    m = data.draw(st.integers(1, n - 1))
    begins, whole = (float(edge) for edge in boundaries(k, n, m))
    ratios = np.outer([begins, whole], [0.999, 1.001]).ravel()
    none, some, most, all_of_it = (best_allocation(m, (1.0,) * (n - 1) + (r,), k).capacity[-1] for r in ratios)
    assert none == pytest.approx(0, abs=1e-9)
    assert some > 1e-6
    assert most < 1 - 1e-6
    assert all_of_it == pytest.approx(1, abs=1e-9)


@given(st.floats(1.5, 40), st.floats(0.01, 20), st.integers(2, 7), st.data())
def test_the_extra_feature_has_the_capacity_of_the_best_allocation(k, r, n, data) -> None:
    m = data.draw(st.integers(1, n - 1))
    expected = best_allocation(m, (1.0,) * (n - 1) + (r,), k).capacity[-1]
    assert extra_capacity(k, r, n, m) == pytest.approx(expected, abs=1e-6)


def test_ties_and_arrays_of_extra_features() -> None:
    assert extra_capacity([2.0, 3.0, 5.0], 1.0, 4, 2).tolist() == [0, 0, 0.5]
    with pytest.raises(ValueError, match="n=2, m=2"):
        extra_capacity(5.0, 1.0, 2, 2)


def test_optima_are_best_allocations_with_their_blocks_and_spectra() -> None:
    """Kurtosis 2: four whole dimensions, eigenvalues are the weights; 40: one block for all."""
    v = 0.85 ** np.arange(12)
    found = optima(4, v, [2.0, 6.0, 40.0])
    assert found.blocks.tolist() == [4, 3, 1]
    np.testing.assert_allclose(found.spectrum[0], v[:4])
    np.testing.assert_allclose(found.spectrum[2], found.spectrum[2, 0])
    np.testing.assert_allclose(found.capacity.sum(1), 4)
    assert found.loss.tolist() == [best_allocation(4, v, k).loss for k in (2.0, 6.0, 40.0)]


def test_below_kurtosis_three_the_greater_weights_take_all() -> None:
    assert boundaries(2.5, 4, 2) == (1, 1)
    assert boundaries([2.0, 3.0, 5.0], 2, 1).any.tolist() == [1, 1, 0.5]
    np.testing.assert_array_equal(best_allocation(2, (0.9, 1.0, 1.1, 0.5), 2.5).capacity, [0, 1, 1, 0])


def test_a_square_is_exact_where_there_is_room() -> None:
    assert best_allocation(3, (1.0, 2.0), 5.0).loss == 0
    assert float(Quadratic(2, 2, 5.0, (1.0, 4.0)).objective({"W": np.diag([1.0, 2.0])})) == 0
    jax.block_until_ready(Quadratic(2, 2).init(jax.random.key(0)))


@pytest.mark.parametrize("wrong", [(0, (1.0,), 2.0), (1, (-1.0,), 2.0), (1, (1.0,), 1.0), (1, ((1.0,),), 2.0)])
def test_what_is_out_of_range_is_refused(wrong: tuple) -> None:
    with pytest.raises(ValueError, match=r"expected|at least|>= 0|above 1"):
        best_allocation(*wrong)


def test_frames_and_phases_that_do_not_exist_are_refused() -> None:
    for lengths, d in (((0.5, 0.6), 1), ((1.0, 0.5, 0.5), 2), ((0.5, 0.5), 0)):
        with pytest.raises(ValueError, match=r"lie in|columns"):
            tight_frame(lengths, d)
    with pytest.raises(ValueError, match=r"share"):
        boundaries(4.0, 3, 3)
