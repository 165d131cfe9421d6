"""Packings confined to blocks, and packings of groups: against the plain packing's loss on the same vectors."""

import jax
import numpy as np
import pytest

from toymodels.config import replace
from toymodels.problems.blocks import Blocks
from toymodels.problems.grouped import Grouped
from toymodels.problems.packing import Packing
from toymodels.shapes.packing import cosines, interference_loss
from toymodels.train import Run


def vectors(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize(("blocks", "sizes"), [(1, [7]), (2, [4, 3]), (3, [3, 2, 2]), (5, [2, 1, 2, 1, 1])])
def test_rows_of_different_blocks_are_orthogonal_and_all_dimensions_are_used(blocks: int, sizes: list[int]) -> None:
    problem = Blocks(7, 5, blocks)
    V = np.asarray(problem.init(jax.random.key(0))["V"])
    mask = np.asarray(problem.mask())
    assert (mask.any(0) & (V != 0).any(0)).all()
    rows = [tuple(row) for row in mask]
    assert [rows.count(row) for row in dict.fromkeys(rows)] == sizes
    cos = np.abs(cosines(V))
    same = np.array([[one == other for other in rows] for one in rows])
    assert cos[~same].max(initial=0) == 0
    assert (cos[same & ~np.eye(7, dtype=bool)] > 0).all()


def test_the_loss_is_that_of_the_rows_within_their_blocks_whatever_lies_outside() -> None:
    V = vectors(8, 4)
    for signed in (False, True):
        problem = Blocks(8, 4, 2, 3.0, signed)
        apart = [interference_loss(V[:4, :2], 3.0, signed), interference_loss(V[4:, 2:], 3.0, signed)]
        assert float(problem.objective({"V": V})) == pytest.approx(sum(map(float, apart)), rel=1e-5)
        whole = replace(problem, {"blocks": 1}).objective({"V": V})
        assert float(whole) == pytest.approx(float(Packing(8, 4, 3.0, signed).objective({"V": V})), rel=1e-5)


@pytest.mark.parametrize("blocks", [0, 4])
def test_blocks_that_have_no_room_are_refused(blocks: int) -> None:
    with pytest.raises(ValueError, match="a row and a dimension for each"):
        Run(Blocks(9, 3, blocks))


def test_a_penalty_of_one_is_a_packing_and_weighs_the_pairs_of_different_groups() -> None:
    V = vectors(6, 3)
    losses = [float(Grouped(6, 3, 2, 2.5, penalty).objective({"V": V})) for penalty in (0.0, 1.0, 5.0)]
    within = sum(float(interference_loss(V[part], 2.5)) for part in (slice(3), slice(3, None)))
    whole = float(Packing(6, 3, 2.5).objective({"V": V}))
    np.testing.assert_allclose(losses, [within, whole, within + 5 * (whole - within)], rtol=1e-4)


def test_groups_of_unequal_size_are_refused() -> None:
    with pytest.raises(ValueError, match="not so many groups of equal size"):
        Run(Grouped(7, 3, 2))
    with pytest.raises(ValueError, match="a penalty is not negative"):
        Run(Grouped(6, 3, 2, penalty=-1.0))
