"""Rows of W in the plane and in space."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from numpy.typing import ArrayLike
from scipy.spatial import ConvexHull, QhullError

from toymodels.arrays import Array, Float
from toymodels.draw.matrices import matrices, part
from toymodels.draw.style import PALETTE, SMALL


def arrows(
    ax: Axes,
    W: Float[Array, "features 2"] | ArrayLike,
    colours: Sequence[Any] | None = None,
    reach: float | None = None,
) -> None:
    """Rows of W as arrows in the plane, on equal axes to ± reach, with the unit circle for scale."""
    rows = np.asarray(W, np.float64)
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise ValueError(f"W of shape {rows.shape}: arrows are drawn for features x 2")
    norms = np.linalg.norm(np.where(np.isfinite(rows), rows, 0.0), axis=1)
    reach = 1.15 * max(1.0, norms.max(initial=0.0)) if reach is None else reach
    ax.add_patch(Circle((0, 0), 1, fill=False, color="0.85", lw=0.6, zorder=0))
    for index, (row, norm) in enumerate(zip(rows, norms, strict=True)):
        colour = colours[index] if colours is not None else f"C{index % len(PALETTE)}"
        if not np.isfinite(row).all():
            continue
        if norm < 0.02 * reach:
            ax.plot(*row, "o", ms=2.5, color=colour)
        else:
            head = {"arrowstyle": "-|>", "color": colour, "lw": 1.2, "mutation_scale": 6, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", row, (0, 0), arrowprops=head)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    ax.set(xlabel="hidden 1", ylabel="hidden 2")


def polytope(
    ax: Axes,
    W: Float[Array, "features hidden"] | ArrayLike,
    colours: Sequence[Any] | None = None,
    view: tuple[float, float] = (20.0, 25.0),
    size: float = 3.0,
) -> None:
    """The convex hull of the rows of W in two or three dimensions as a solid without perspective: a pictogram.

    Vertices as dots, edges as lines, in space fainter behind; view: elevation and azimuth in degrees.
    """
    rows = np.asarray(W, np.float64)
    if rows.ndim != 2 or rows.shape[1] not in (2, 3):
        raise ValueError(f"W of shape {rows.shape}: polytopes are drawn for features x 2 or 3")
    kept = np.isfinite(rows).all(1)
    names = [colours[i] if colours is not None else f"C{i % len(PALETTE)}" for i in np.flatnonzero(kept).tolist()]
    rows = rows[kept]
    flat, depth = _projected(rows, *view) if rows.shape[1] == 3 else (rows, np.zeros(len(rows)))
    for ends in hull_edges(rows):
        behind = depth[list(ends)].mean() < -1e-9
        ax.plot(
            *flat[list(ends)].T, color="0.75" if behind else "0.3", lw=0.6 if behind else 0.9, zorder=1 + (not behind)
        )
    for place, away, colour in zip(flat, depth, names, strict=True):
        ax.plot(*place, "o", ms=size, mew=0, color=colour, alpha=0.45 if away < -1e-9 else 1.0, zorder=3)
    reach = 1.15 * (np.linalg.norm(rows, axis=1).max(initial=0.0) or 1.0)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set_axis_off()


def polytope_and_gram(
    axes: Sequence[Axes], W: Float[Array, "features hidden"] | ArrayLike, size: int, title: str
) -> None:
    """Sets of `size` features each, below a title: their polytope, a colour for each set, and in the other axes W Wᵀ
    from -1 to 1, with lines that part the sets."""
    rows, (solid, matrix) = np.asarray(W, np.float64), axes
    polytope(solid, rows, [PALETTE[place // size % len(PALETTE)] for place in range(len(rows))])
    solid.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
    solid.set_title(title, fontsize=SMALL)
    matrices(matrix, [rows @ rows.T], largest=1)
    part(matrix, *range(size, len(rows), size))


def polytopes_at(
    ax: Axes, heights: Float[Array, " points"] | ArrayLike, W: Float[Array, "points features hidden"] | ArrayLike
) -> None:
    """Pictograms on levels, heights in ascending order: each in the first column where it touches none below it."""
    (low, high), size = ax.get_ylim(), 0.075
    taken: list[tuple[int, float]] = []
    for y, rows in zip(np.asarray(heights, np.float64), np.asarray(W, np.float64), strict=True):
        height = float((y - low) / (high - low))
        column = next(i for i in range(len(taken) + 1) if all(abs(height - h) > size for c, h in taken if c == i))
        taken.append((column, height))
        inset = ax.inset_axes((0.01 + column * 0.06, height - size / 2, 0.06, size))
        polytope(inset, rows, ["black"] * len(rows), size=1.6)


def hull_edges(points: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of points joined by an edge of their convex hull; a face that is flat to 6 degrees has no inner edges.

    Points without volume (in a line, or a plane in space) are joined as they come, in a ring, if there are two or more.
    """
    count = len(points)
    ring = sorted({(min(i, (i + 1) % count), max(i, (i + 1) % count)) for i in range(count)} if count > 1 else set())
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):
        return ring
    normals: dict[tuple[int, int], list[np.ndarray]] = {}
    for corners, equation in zip(hull.simplices.tolist(), hull.equations, strict=True):
        for i, j in combinations(sorted(corners), 2):
            normals.setdefault((i, j), []).append(equation[:-1])
    flat = np.cos(np.deg2rad(6))
    return sorted(pair for pair, sides in normals.items() if len(sides) < 2 or sides[0] @ sides[1] < flat)


def _projected(rows: np.ndarray, elevation: float, azimuth: float) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) on the page and the depth towards the viewer."""
    up, around = np.deg2rad([elevation, azimuth])
    towards = np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])
    right = np.array([-np.sin(around), np.cos(around), 0])
    return rows @ np.stack([right, np.cross(towards, right)], axis=1), rows @ towards
