"""Rows of W in the plane and in space."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float
from toymodels.draw.style import PALETTE


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
