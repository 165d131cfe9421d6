"""Phase diagrams as Datasets: the extra feature, names of many models at once, and changes beside the grid."""

import numpy as np
import xarray as xr

from toymodels.theory import diagrams, phases

DIMS = ("model", "feature", "hidden")


def test_norm_and_superposition_of_the_last_feature():
    W = np.array([[[1.0, 0], [0, 1], [-0.5, 0]], [[1, 0], [0, 1], [0, 0]], [[1, 0], [-1, 0], [0, 2]]])
    found = diagrams.extra_feature(xr.DataArray(W, dims=DIMS))
    np.testing.assert_allclose(found.norm, [0.5, 0, 2])
    np.testing.assert_allclose(found.superposition, [1, 0, 0])
    lost = diagrams.extra_feature(xr.DataArray(np.full((1, 3, 2), np.nan), dims=DIMS))
    assert np.isnan(lost.superposition).all()


def test_names_of_many_models_are_those_of_each():
    rng = np.random.default_rng(0)
    for n in (2, 3):
        W = rng.normal(size=(300, n, n - 1)) * rng.choice([0.01, 0.09, 0.11, 1], size=(300, n, 1))
        W[::7, 0] = 0
        if n == 3:
            W[:60, :, 1] *= 0.04  # cosines near the tolerance
            W[60:120, 0] = [0, 1]
        found = diagrams.branches_of(xr.DataArray(W, dims=DIMS))
        assert found.values.tolist() == [phases.branch_of(each) for each in W]
    W[0] = np.nan
    assert diagrams.branches_of(xr.DataArray(W, dims=DIMS)).values[0] == "lost"


def test_optima_boundaries_and_changes_of_two_features():
    p, r = np.array([0.1, 0.316]), np.geomspace(0.1, 10, 9)
    grid = diagrams.optimum_on_grid(phases.two_branches, p, r)
    assert grid.name.sel(p=0.316).values[[0, 4, -1]].tolist() == ["extra dropped", "extra in a pair", "other dropped"]
    assert (grid.gap >= 0).all()
    lines = diagrams.boundary_lines(phases.two_branches, p, {"kept": phases.DROPPED, "own": phases.OWN}).r
    changes = diagrams.changes_along(phases.two_branches, [0.316], r)
    at = lines.sel(density=0.316, method="nearest")
    np.testing.assert_allclose(changes.r, at, rtol=1e-3)
    below, above = r[changes.cell.sel(end="below")], r[changes.cell.sel(end="above")]
    assert ((below < changes.r) & (changes.r < above)).all()
    np.testing.assert_allclose(above / below, r[1] / r[0])
    cut = diagrams.optimum_along(phases.two_branches, changes, r)
    assert cut.norm[0] == 0
    assert cut.norm[-1] == 1


def test_a_cell_at_a_tie_is_on_neither_side():
    changes = diagrams.changes_along(phases.two_branches, [0.75], np.array([0.25, 0.5, 1, 2, 4]))
    tie = int(abs(changes.r - 1).argmin("change"))
    assert changes.cell[:, tie].values.tolist() == [1, 3]


def test_jumps_of_all_pairs_are_those_of_each():
    """Models near either of two optima that tie at r = 1, and somewhere else."""
    below, above = phases.tied_optima(phases.two_branches, [0.75, 0.75], [1.0, 1.334])
    assert len(below.names) == 2
    noise = np.random.default_rng(0).normal(0, 0.3, size=(2, 4, 2, 1))
    lower, upper = below.W[[0, 1, 0, 1]] + noise[0], above.W[[0, 0, 0, 0]] + noise[1]
    away, off = phases.compared_jumps(lower, upper, below, above)
    for i in range(4):
        for j in range(4):
            one = phases.compared_jump(lower[i], upper[j], below, above)
            np.testing.assert_allclose(off[i, j], one.trained - one.exact, atol=1e-12)
            np.testing.assert_allclose(max(away[0, i], away[1, j]), one.away)
