"""The phase diagram of two features in one dimension, as several benchmarks take it: its sweep, and how good it is."""

from collections.abc import Sequence

import numpy as np

from toymodels import Axis, Choice, Run, Sweep, config
from toymodels.theory.superposition import expected_loss, two_features


def densities(count: int) -> np.ndarray:
    return np.geomspace(0.01, 1, count)


def ratios(count: int) -> np.ndarray:
    """Importance of the second feature, of the first one's."""
    return np.geomspace(0.1, 10, count)


def diagram(base: Run, shape: Sequence[int]) -> Sweep:
    """So many densities x importances x restarts of a run of two features."""
    weights = {ratio: {"problem.loss.importance": (1.0, ratio)} for ratio in ratios(shape[1]).tolist()}
    return Sweep(
        config.replace(base, {"problem.loss.importance": (1.0, 1.0)}),
        [
            Axis("p", "problem.data.p", densities(shape[0])),
            Choice("ratio", weights),
            Axis("seed", "seed", range(shape[2])),
        ],
    )


def exact(W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected losses (p, ratio, restarts) of W (p, ratio, restarts, 2, 1), and the least there are (p, ratio)."""
    p, ratio = np.meshgrid(densities(W.shape[0]), ratios(W.shape[1]), indexing="ij")
    weights = np.stack([np.ones_like(ratio), ratio], -1)[:, :, None]
    return expected_loss(W, b, p[..., None, None], weights), two_features(p, ratio).best.loss
