"""Planted maps and directions that change them: frames by cosines, objectives by hand, constraints by their law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toymodels.analysis import steering as analysis
from toymodels.config import replace
from toymodels.problems import steering
from toymodels.problems.steering import (
    Equiangular,
    Expm1,
    Free,
    OrthogonalInputs,
    OrthogonalOutputs,
    Planted,
    Proportional,
    Rectified,
    Steering,
)

MAP = Planted(4, 6, gain=(1.0, 2.0, 0.5, 1.0))


@settings(max_examples=20)
@given(st.integers(0, 999), st.floats(-0.3, 1))
def test_leaning_vectors_have_one_cosine(seed: int, c: float) -> None:
    rows = np.asarray(Equiangular(c).draw(jax.random.key(seed), 4, 6), float)
    np.testing.assert_allclose(rows @ rows.T, (1 - c) * np.eye(4) + c, atol=2e-6)


@pytest.mark.parametrize("response", [Expm1(), Proportional(), Rectified(0.2)])
def test_objective_by_hand(response: steering.Response) -> None:
    """-sum log |f(R v)|², by the analysis's own map in float64."""
    problem = Steering(replace(MAP, {"response": response}), 3, 1.5)
    params = problem.init(jax.random.key(1))
    reads, writes = (np.asarray(each, float) for each in problem.map.directions())
    of = {Expm1: analysis.EXPONENTIAL, Proportional: analysis.LINEAR, Rectified: analysis.rectified(0.2)}
    map = analysis.ReadWrite(reads, writes, of[type(response)])
    change = (analysis.changes(map, np.asarray(params["V"]), 1.5) ** 2).sum(axis=1)
    assert float(problem.objective(params)) == pytest.approx(-np.log(change + steering.TINY).sum(), abs=1e-4)
    assert np.linalg.norm(writes[1]) == pytest.approx(2, rel=1e-5)


def test_orthogonal_inputs_are_orthogonal_and_move_no_earlier_one() -> None:
    V = jax.random.normal(jax.random.key(0), (4, 6))
    rows = OrthogonalInputs().directions(V)
    np.testing.assert_allclose(rows @ rows.T, np.eye(4), atol=1e-6)
    slope = jax.grad(lambda V: jnp.sum(OrthogonalInputs().directions(V)[2] * jnp.arange(6.0)))(V)
    assert (slope[jnp.array([0, 1, 3])] == 0).all()
    assert (slope[2] != 0).any()


@pytest.mark.parametrize("constraint", [Free(), OrthogonalInputs(), OrthogonalOutputs()])
def test_first_candidates_are_those_of_fewer(constraint: steering.Constraint) -> None:
    """The gradient of a candidate does not see later ones."""
    whole, few = (Steering(MAP, count, 1.5, constraint) for count in (4, 2))
    V = whole.init(jax.random.key(2))["V"]
    one, other = (jax.grad(p.objective)({"V": v})["V"] for p, v in ((whole, V), (few, V[:2])))
    np.testing.assert_allclose(one[:2], other, rtol=1e-4, atol=1e-5)


def test_orthogonal_outputs_count_what_is_left() -> None:
    changes = jnp.array([[2.0, 0, 0], [1, 1, 0], [1, 1, 3]])
    np.testing.assert_allclose(OrthogonalOutputs().counted(changes), [[2, 0, 0], [0, 1, 0], [0, 0, 3]], atol=1e-6)


def test_silent_starts_have_no_gradient() -> None:
    problem = Steering(replace(MAP, {"response": Rectified(50.0)}), 3)
    slope = jax.grad(problem.objective)(problem.init(jax.random.key(0)))["V"]
    assert (slope == 0).all()


def test_map_and_start_come_from_different_streams() -> None:
    """With one seed for both, no start is near a read."""
    problem = Steering(Planted(4, 64, seed=7), 4)
    reads, V = np.asarray(problem.map.directions()[0]), np.asarray(problem.directions(problem.init(jax.random.key(7))))
    assert abs(reads @ V.T).max() < 0.6
    assert not np.allclose(reads, Planted(4, 64, seed=8).directions()[0])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Planted(0, 3), "n=0"),
        (lambda: Planted(4, 3, reads=Equiangular(0.1)), "reads: 4 vectors"),
        (lambda: Planted(4, 5, writes=Equiangular(-0.5)), "writes: 4 vectors have no common cosine"),
        (lambda: Equiangular(1.5), "cosine=1.5"),
        (lambda: Rectified(-1.0), "threshold=-1"),
        (lambda: Planted(2, 3, gain=0.0), "gain=0"),
        (lambda: Steering(MAP, 0), "count=0"),
        (lambda: Steering(MAP, 2, 0.0), "radius=0"),
        (lambda: Steering(MAP, 7, constraint=OrthogonalInputs()), "count=7"),
    ],
)
def test_bad_input_is_named(make: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()  # type: ignore[operator]
