"""Directions of most change on maps that are known."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from toymodels.analysis import steering
from toymodels.analysis.recovery import best_cosines, unit

RESPONSES = {"exponential": steering.EXPONENTIAL, "linear": steering.LINEAR, "rectified": steering.rectified(0.3)}


def random_map(response: steering.Response = steering.EXPONENTIAL, n: int = 4, d: int = 7) -> steering.ReadWrite:
    rng = np.random.default_rng(n + d)
    return steering.ReadWrite(unit(rng.normal(size=(n, d))), unit(rng.normal(size=(n, d + 2))), response)


@pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)
def test_gradient_is_that_of_the_change(response: steering.Response) -> None:
    """Against finite differences of u . f(x) at x = R v."""
    map, rng = random_map(response), np.random.default_rng(1)
    V, U = unit(rng.normal(size=(3, 7))), rng.normal(size=(3, 9))
    found = steering.pulled_back(map, V, U, 2.0)
    for v, u, own in zip(V, U, found, strict=True):

        def along(x: np.ndarray, u: np.ndarray = u) -> float:
            return float(map.response.value(map.reads @ x) @ map.writes @ u)

        np.testing.assert_allclose(own, approx_fprime(2 * v, along, 1e-7), atol=1e-5)


def test_singular_vectors_of_an_orthogonal_map() -> None:
    gains = np.array([3.0, 2.0, 1.0])
    reads, writes = (np.linalg.qr(np.random.default_rng(k).normal(size=(6, 3)))[0].T for k in (0, 1))
    map = steering.ReadWrite(reads, gains[:, None] * writes, steering.LINEAR)
    right, left = steering.singular_vectors(steering.jacobian(map), 3)
    np.testing.assert_allclose(abs(np.sum(right * reads, axis=1)), 1)
    np.testing.assert_allclose(abs(np.sum(left * writes, axis=1)), 1)


def test_jacobian_is_the_limit_of_small_steps() -> None:
    map = random_map()
    v = unit(np.random.default_rng(3).normal(size=(1, 7)))
    np.testing.assert_allclose(steering.changes(map, v, 1e-6)[0] / 1e-6, steering.jacobian(map) @ v[0], atol=1e-5)


def test_orthonormal_rows_keep_their_side() -> None:
    rows = np.random.default_rng(0).normal(size=(4, 6))
    found = steering.orthonormal(rows)
    np.testing.assert_allclose(found @ found.T, np.eye(4), atol=1e-12)
    assert (np.sum(found * rows, axis=1) > 0).all()
    np.testing.assert_allclose(found[0], rows[0] / np.linalg.norm(rows[0]))


def test_iteration_returns_to_orthogonal_exponential_units() -> None:
    """And rests there: the reads are fixed points."""
    reads, writes = (np.linalg.qr(np.random.default_rng(k).normal(size=(8, 4)))[0].T for k in (0, 1))
    map = steering.ReadWrite(reads, writes, steering.EXPONENTIAL)
    start = reads + 0.2 * np.random.default_rng(2).normal(size=(4, 8))
    assert best_cosines(reads, start, signed=True).min() < 0.95
    found = steering.gradient_iteration(map, start, steering.changes(map, start, 4.0), 4.0, 200)
    assert best_cosines(reads, found.V, signed=True).min() > 0.999
    fixed = steering.gradient_iteration(map, reads, writes, 4.0, 1)
    np.testing.assert_allclose(fixed.moved, 0, atol=1e-12)


def test_iteration_alone_is_power_iteration_of_a_linear_map() -> None:
    map = random_map(steering.LINEAR)
    start = np.random.default_rng(0).normal(size=(1, 7))
    found = steering.gradient_iteration(
        map, start, steering.changes(map, start, 1.0), 1.0, 3000, orthogonal_inputs=False
    )
    top = steering.singular_vectors(steering.jacobian(map), 1)[0][0]
    assert abs(found.V[0] @ top) == pytest.approx(1, abs=1e-6)


def test_first_candidates_do_not_know_of_later_ones() -> None:
    map, start = random_map(), np.random.default_rng(0).normal(size=(4, 7))
    for outputs in (False, True):
        whole, few = (
            steering.gradient_iteration(map, s, steering.changes(map, s, 2.0), 2.0, 20, orthogonal_outputs=outputs).V
            for s in (start, start[:2])
        )
        np.testing.assert_allclose(whole[:2], few, atol=1e-8)


def test_a_candidate_without_a_gradient_stays() -> None:
    map = random_map(steering.rectified(10.0))
    start = np.linalg.qr(np.random.default_rng(0).normal(size=(7, 3)))[0].T
    found = steering.gradient_iteration(map, start, np.ones((3, 9)), 1.0, 5)
    np.testing.assert_allclose(found.V, start, atol=1e-12)


def test_the_span_is_all_that_an_iteration_sees() -> None:
    """Full dimensions and coordinates of the span, step by step."""
    map = random_map(n=3, d=20)
    spans = steering.in_spans(map)
    np.testing.assert_allclose(spans.map.reads @ spans.map.reads.T, map.reads @ map.reads.T, atol=1e-12)
    V = unit(np.random.default_rng(0).normal(size=(3, 3)) @ spans.inputs)
    U = steering.changes(map, V, 1.0)
    whole = steering.gradient_iteration(map, V, U, 1.0, 10).V
    small = steering.gradient_iteration(spans.map, V @ spans.inputs.T, U @ spans.outputs.T, 1.0, 10).V
    np.testing.assert_allclose(small @ spans.inputs, whole, atol=1e-8)


def test_copies_and_small_changes_are_left_out() -> None:
    V = np.array([[1, 0], [1, 1e-3], [0, 1], [-1, 0.0]])
    assert steering.distinct(V, np.array([1.0, 2.0, 0.5, 0.01])).tolist() == [1, 2]
    assert steering.distinct(V, np.zeros(4)).tolist() == []


def test_multiplicity_of_known_frames() -> None:
    assert steering.multiplicity(np.eye(3)) == (0, 1)
    c = 0.6
    pair = steering.multiplicity(np.array([[1, 0], [c, np.sqrt(1 - c**2)]]))
    np.testing.assert_allclose(pair, [c, np.sqrt((1 + c) / (1 - c))])
    assert steering.multiplicity(np.eye(3)[[0, 0, 1]]).condition == np.inf
    assert steering.multiplicity(np.ones((4, 3))).condition == np.inf
    assert np.isnan(steering.multiplicity(np.eye(3)[:1]).cosine)


def test_agreement_sees_signs_where_asked() -> None:
    V = np.eye(3)
    assert steering.agreement(V, V[::-1]) == 1
    assert steering.agreement(V, -V) == 0
    assert steering.agreement(V, -V, signed=False) == 1
