"""Capacity in closed form: against draws, against a general optimiser, and never above what any weights reach."""

import jax
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from toymodels.analysis.geometry import feature_dimensionality
from toymodels.problems.quadratic import Quadratic
from toymodels.theory.capacity import best_allocation, feature_loss, shared_from

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


@given(st.floats(3.1, 40))
def test_sharing_begins_at_the_boundary(k: float) -> None:
    edge = float(shared_from(k))
    assert best_allocation(1, (1.0, 0.99 * edge), k).capacity[1] == pytest.approx(0, abs=1e-9)
    assert best_allocation(1, (1.0, min(1.01 * edge, 1.0)), k).capacity[1] > 0


def test_a_square_is_exact_where_there_is_room() -> None:
    assert best_allocation(3, (1.0, 2.0), 5.0).loss == 0
    assert float(Quadratic(2, 2, 5.0, (1.0, 4.0)).objective({"W": np.diag([1.0, 2.0])})) == 0
    jax.block_until_ready(Quadratic(2, 2).init(jax.random.key(0)))


@pytest.mark.parametrize("wrong", [(0, (1.0,), 2.0), (1, (-1.0,), 2.0), (1, (1.0,), 1.0), (1, ((1.0,),), 2.0)])
def test_what_is_out_of_range_is_refused(wrong: tuple) -> None:
    with pytest.raises(ValueError, match=r"expected|at least|>= 0|above 1"):
        best_allocation(*wrong)
