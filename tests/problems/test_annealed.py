"""A problem that changes in training: its levels, its limits, and the same as training on each level in turn."""

from typing import Any

import jax
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels import Axis, Record, Run, Sweep, sweep, train
from toymodels.data import Sparse
from toymodels.laws import Geometric
from toymodels.losses import SquaredError
from toymodels.models import Tied
from toymodels.optimizers import Adam, Sgd
from toymodels.problems.annealed import Annealed
from toymodels.problems.factorize import Components, Factorize, Given
from toymodels.problems.packing import Packing
from toymodels.problems.population import Population
from toymodels.problems.supervised import Supervised

DENSE, SPARSE = (Population(Sparse(3, p), Tied(2)) for p in (1.0, 0.05))


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(2, 60), st.booleans())
def test_levels_have_equal_length(step: int, steps: int, stairs: int, geometric: bool) -> None:
    step %= steps
    stairs = min(stairs, 2**31 // steps)
    problem = Annealed(DENSE, SPARSE, stairs, geometric) if stairs > 1 else Annealed(DENSE, SPARSE)
    level = step * problem.stairs // steps
    p = float(problem.at(step, steps).data.p)
    assert p == pytest.approx(problem.levels(1.0, 0.05)[level], rel=1e-5)


def test_training_goes_from_level_to_level() -> None:
    """Exact gradients: the same weights as plain descent on one problem after the other, by hand."""
    problem = Annealed(*(Population(Sparse(2, p), Tied(1)) for p in (1.0, 0.05)), 3)
    run = Run(problem, Sgd(0.1), steps=30, record=Record(4, 4, linear=True))
    data = sweep(Sweep(run, [Axis("seed", "seed", [0])])).squeeze("seed")
    transform = optax.sgd(0.1)
    params: Any = {"W": data.W.values[0], "b": data.b.values[0]}
    state = transform.init(params)
    step = jax.jit(lambda problem, params, state: transform.update(jax.grad(problem.objective)(params), state, params))
    objective = jax.jit(lambda problem, params: problem.objective(params))
    for level, p in enumerate(problem.levels(1.0, 0.05)):
        now = Population(Sparse(2, float(p)), Tied(1))
        for _ in range(10):
            updates, state = step(now, params, state)
            params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(data.W.values[level + 1], params["W"], atol=2e-6)
        np.testing.assert_allclose(data.objective.values[level + 1], objective(now, params), rtol=1e-5)


def test_between_equal_ends_nothing_changes() -> None:
    """Drawn examples too: from a problem to itself is the problem."""
    still = Supervised(Sparse(3, 0.3), Tied(2))
    runs = [
        Run(problem, Adam(0.01), steps=20, batch=32, record=Record(4, 4, examples=64))
        for problem in (still, Annealed(still, still, 4))
    ]
    one, other = (sweep(Sweep(run, [Axis("seed", "seed", [1])])) for run in runs)
    np.testing.assert_allclose(one.W, other.W, atol=1e-6)
    np.testing.assert_allclose(one.objective, other.objective, rtol=1e-5)


def test_ends_that_do_not_fit_are_refused() -> None:
    for start, end, arguments, words in (
        (DENSE, Population(Sparse(4, 0.1), Tied(2)), {}, "same classes and shapes"),
        (DENSE, Packing(3, 2), {}, "same classes and shapes"),
        (DENSE, SPARSE, {"stairs": 1}, "at least 2"),
        (Annealed(DENSE, SPARSE), Annealed(DENSE, SPARSE), {}, "does not change by itself"),
        (DENSE, Population(Sparse(3, 1.0), Tied(2), SquaredError(0.0)), {}, "greater than 0"),
    ):
        with pytest.raises(ValueError, match=words):
            Annealed(start, end, **arguments)


def test_integers_stay_integers() -> None:
    """A seed is equal at both ends and comes through every level; ends of different integers are refused."""
    problem = Annealed(*(Factorize(Components(4, 4, 2, seed=7), 2, scale=scale) for scale in (1e-3, 1e-1)), stairs=3)
    between = jax.jit(lambda step: problem.at(step, 30))(15)
    assert jax.tree.map(lambda leaf: leaf.dtype.kind, between.target) == jax.tree.map(
        lambda leaf: np.asarray(leaf).dtype.kind, problem.start.target
    )
    assert (int(between.target.rank), int(between.target.seed), int(between.rank)) == (2, 7, 2)
    assert float(between.scale) == pytest.approx(1e-2)
    with pytest.raises(ValueError, match="an integer has no values in between, and 7 would become 8"):
        Annealed(problem.start, Factorize(Components(4, 4, 2, seed=8), 2))


ANY = {
    "seed, rank and width": lambda scale: Factorize(Components(4, 4, 2, seed=7), 2, scale=scale),
    "no rank": lambda scale: Factorize(Components(4, 3, seed=1), rank=None, scale=scale),
    "a matrix": lambda scale: Factorize(Given([[1, 0], [0, -2]]), rank=1, scale=scale),
    "a law": lambda scale: Factorize(Components(4, 4, 3, Geometric(0.5), seed=2), scale=scale),
    "data": lambda scale: Factorize(
        Components(4, 4, 2), 2, loss=SquaredError(), data=Sparse(4, (0.5, 1.0, 0.5, 1.0)), scale=scale
    ),
}


@pytest.mark.parametrize("make", ANY.values(), ids=ANY.keys())
def test_integers_arrays_and_nothing_come_through_training(make: Any) -> None:
    """Whatever does not differ is what it was, level by level; and the run goes through."""
    problem = Annealed(make(0.1), make(0.2), stairs=4)
    ends = [jax.tree.leaves_with_path(each) for each in (problem.start, problem.end)]
    for step, share in ((0, 0.0), (19, 1.0)):
        now = jax.tree.leaves_with_path(problem.at(step, 20))
        for (path, value), (_, start), (_, end) in zip(now, *ends, strict=True):
            assert np.asarray(value).dtype.kind == np.asarray(start).dtype.kind, path
            np.testing.assert_allclose(value, np.where(share, end, start), rtol=1e-6, err_msg=str(path))
    if make is ANY["seed, rank and width"] or make is ANY["a matrix"]:
        data = train(Run(problem, Sgd(0.01), steps=20, record=Record(4, 2, examples=8), batch=8))
        assert np.isfinite(data.objective).all()


def test_ends_are_problems() -> None:
    with pytest.raises(ValueError, match=r"Annealed.end=Sparse\(.*expected a Problem"):
        Annealed(DENSE, Sparse(3, 0.1))
