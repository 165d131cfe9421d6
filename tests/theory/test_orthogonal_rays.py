"""Orthogonal pairs of lines: by enumeration, by building the lines, and by a search that must find what is known."""

import itertools

import numpy as np
import pytest

from toymodels.theory.orthogonal_pairs import max_orthogonal_pairs
from toymodels.theory.orthogonal_rays import (
    axes_and_planes,
    integer_rays,
    most_pairs_found,
    orthogonality,
    plane_pairs,
)


def built(factors: tuple[int, ...]) -> np.ndarray:
    """Lines of a product of axes (one line) and planes, each plane's in orthogonal couples."""
    dims = [1 if size == 1 else 2 for size in factors]
    V = np.zeros((sum(factors), sum(dims)))
    row = column = 0
    for size, dim in zip(factors, dims, strict=True):
        for k in range(size):
            angle = 0.3 * (k // 2) + (k % 2) * np.pi / 2
            V[row, column : column + dim] = [1.0] if dim == 1 else [np.cos(angle), np.sin(angle)]
            row += 1
        column += dim
    return V


def pairs(V: np.ndarray) -> int:
    gram = np.abs(V @ V.T)
    return int(((gram < 1e-9) & ~np.eye(len(V), dtype=bool)).sum())


def by_enumeration(n: int, d: int) -> int:
    """All splits of n lines into at most d / 2 planes and the axes that are left."""
    best = -1
    for planes in range(d // 2 + 1):
        for axes in range(d - 2 * planes + 1):
            for split in itertools.combinations_with_replacement(range(n + 1), planes):
                if sum(split) + axes == n:
                    factors = (*split, *[1] * axes)
                    best = max(best, n * n - sum(f * f for f in factors) + sum(plane_pairs(f) for f in split))
    return best


@pytest.mark.parametrize("d", [2, 3, 4, 5, 6])
def test_axes_and_planes_are_the_best_of_all_splits_and_can_be_built(d: int) -> None:
    for n in range(1, 13):
        count, factors = axes_and_planes(n, d)
        assert count == by_enumeration(n, d)
        assert sum(factors) == n
        assert sum(1 if size == 1 else 2 for size in factors if size) <= d
        assert pairs(built(tuple(size for size in factors if size))) == count
        assert count <= max_orthogonal_pairs(n, d)


def test_whole_numbered_lines() -> None:
    """13 in space with entries up to 1: 3 axes, 6 diagonals of faces, 4 of the cube; none parallel to another."""
    rays = integer_rays(3, 1)
    assert sorted((rays**2).sum(1).tolist()) == [1] * 3 + [2] * 6 + [3] * 4
    assert len(integer_rays(2, 2)) == 8
    units = integer_rays(3, 2) / np.linalg.norm(integer_rays(3, 2), axis=1, keepdims=True)
    assert np.abs(units @ units.T - np.eye(len(units))).max() < 1 - 1e-9


def test_the_lines_of_a_cube_beat_an_axis_and_a_plane() -> None:
    """Counted by hand: each axis is orthogonal to 4, each face diagonal to 4, each space diagonal to 3: 48 > 36."""
    graph = orthogonality(integer_rays(3, 1))
    assert np.sort(graph.sum(1)).tolist() == [3] * 4 + [4] * 9
    assert most_pairs_found(13, graph, 1)[0] == 48
    assert axes_and_planes(13, 3)[0] == 36


def test_the_search_finds_the_best_of_all_subsets() -> None:
    graph = orthogonality(integer_rays(3, 1))
    for n in (4, 6, 9):
        chosen = [graph[np.ix_(each, each)].sum() for each in itertools.combinations(range(13), n)]
        found, where = most_pairs_found(n, graph, 10)
        assert found == max(chosen) == graph[np.ix_(where, where)].sum()
        assert len(set(where.tolist())) == n


def test_what_cannot_be_chosen_is_refused() -> None:
    with pytest.raises(ValueError, match="to choose from"):
        most_pairs_found(14, orthogonality(integer_rays(3, 1)))
    with pytest.raises(ValueError, match="a single line"):
        axes_and_planes(2, 1)
