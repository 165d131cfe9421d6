"""Labelled readings of factorisations, on weights and curves whose answers are known."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from toymodels.analysis.alignment import component_alignment
from toymodels.analysis.factorisations import above_optimum, alignments, half_drops, matched, still_falling, treads

seeds = st.integers(0, 2**20)


def target_and_start(seed: int, n: int = 5, m: int = 4, r: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, m)), rng.normal(size=(n, r)), rng.normal(size=(m, r))


@given(seeds, st.floats(0.1, 10))
def test_component_alignment_is_the_cosine_of_the_products(seed, scale):
    A, U, V = target_and_start(seed)
    left, right = np.linalg.qr(A)[0].T[:3], np.linalg.qr(A.T)[0].T[:3]
    flat = [np.outer(u, v).ravel() for u, v in zip(U.T, V.T, strict=True)]
    aims = [np.outer(a, b).ravel() for a, b in zip(left, right, strict=True)]
    cosine = [[abs(x @ y) / np.linalg.norm(x) / np.linalg.norm(y) for y in aims] for x in flat]
    np.testing.assert_allclose(component_alignment(scale * U, -V / scale, left, right), cosine, atol=1e-12)


@given(seeds)
def test_component_alignment_does_not_see_a_rotation_of_both_spaces(seed):
    A, U, V = target_and_start(seed)
    left, right = np.linalg.qr(A)[0].T[:2], np.linalg.qr(A.T)[0].T[:2]
    P, Q = (ortho_group.rvs(size, random_state=seed) for size in A.shape)
    turned = component_alignment(P @ U, Q @ V, left @ P.T, right @ Q.T)
    np.testing.assert_allclose(turned, component_alignment(U, V, left, right), atol=1e-12)


def test_component_alignment_of_zero_components_is_zero():
    np.testing.assert_array_equal(component_alignment(np.zeros((3, 2)), np.zeros((3, 2)), np.eye(3), np.eye(3)), 0)


def test_alignments_over_training_by_name():
    """The first component turns to the first target and away again; the second keeps its own; one run is lost."""
    angle = np.array([1.5, 0.7, 0.0, 0.7, 1.5])
    U = np.zeros((2, 5, 3, 2))
    U[..., 0, 0], U[..., 2, 0], U[..., 1, 1] = np.cos(angle), np.sin(angle), 2
    V = np.broadcast_to(np.eye(2), (2, 5, 2, 2)).copy()
    V[1, 3] = np.nan
    data = [xr.DataArray(a, dims=("seed", "snapshot", dim, "component")) for a, dim in ((U, "row"), (V, "column"))]
    aims = [
        xr.DataArray(np.eye(2, n), dims=("target", dim)).expand_dims(seed=2) for n, dim in ((3, "row"), (2, "column"))
    ]
    found = alignments(*data, *aims)
    np.testing.assert_allclose(found.cosine[0, :, 0, 0], np.cos(angle), atol=1e-12)
    np.testing.assert_allclose(found.cosine[0, :, 1], [[0, 1]] * 5, atol=1e-12)
    np.testing.assert_allclose(found.span[0], (1 + np.cos(angle) ** 2) / 2, atol=1e-12)
    assert found.bumps.values[0] == 1
    np.testing.assert_allclose(matched(found.cosine)[0], (1 + np.cos(angle)) / 2, atol=1e-12)


def test_matching_takes_the_better_pairing():
    cosine = xr.DataArray([[0.1, 0.9], [0.8, 0.2]], dims=("component", "target"))
    assert float(matched(cosine)) == pytest.approx(0.85)


def test_half_drops_by_name():
    loss = xr.DataArray([[4.0, 3.0, 1.0], [8.0, 8.0, 0.0]], dims=("ratio", "step"), coords={"step": [0, 10, 20]})
    before = xr.DataArray([4.0, 8.0], dims="ratio")
    np.testing.assert_allclose(half_drops(loss, before, 0.0), [15, 15])


def test_treads_of_a_staircase():
    """Levels 1, .25 and .04, the middle 4 % too high in the second run, never reached in the third, and a lost run."""
    steps = np.arange(300)
    fall = [np.where(steps < 100, 1.0, np.where(steps < 200, middle, 0.04)) for middle in (0.25, 0.26, 0.04)]
    fall.append(np.full(300, np.nan))
    loss = xr.DataArray(np.array(fall), dims=("seed", "step"), coords={"step": steps})
    found = treads(loss, xr.DataArray([1.0, 0.25, 0.04], dims="stage"))
    np.testing.assert_allclose(found.stage_error[:2].values, [[0, 0, 0], [0, 0.04, 0]], atol=1e-9)
    assert np.isnan(found.stage_error[2, 1])
    np.testing.assert_array_equal(found.complete, [1, 1, 0, np.nan])


def test_losses_over_their_start_and_optimum():
    reached = xr.DataArray([3.0, 1.0], dims="rank", coords={"rank": [1, 2]})
    found = above_optimum(reached, xr.DataArray([4.0, 2.0, 1.0], dims="stage"))
    assert found.reached.values.tolist() == [0.75, 0.25]
    assert found.least.values.tolist() == [0.5, 0.25]


def test_a_note_on_runs_that_still_fall():
    assert still_falling(xr.DataArray([[True, False], [True, False]])) == "2 of 4 runs were still falling"
    assert still_falling(xr.DataArray([False])) == ""
