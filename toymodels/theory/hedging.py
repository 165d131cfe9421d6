"""Feature hedging, exactly: two orthogonal features and a dictionary of one latent. Chanin et al. 2025.

Features are 0 or 1. For a unit decoder direction w, bias b and an L1 penalty, the best code of h is max(0, w.(h - b) -
penalty / 2): an affine map of h, rectified, so that an untied ReLU encoder can give it. What is left to choose is

    L(w, b) = sum_s P(s) (|h_s - b|² - max(0, w.(h_s - b) - penalty / 2)²)

over the four states s, and by symmetry w and b lie in the plane of the features: three numbers. The setting is that of
arXiv 2505.11756, read in FIELD section 7.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from toymodels.arrays import Float

STATES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
"""Values of (parent, child)."""


class Hedging(NamedTuple):
    """The best dictionary of one latent."""

    direction: Float[np.ndarray, "2"]
    """Unit; (1, 0) is the parent alone."""
    bias: Float[np.ndarray, "2"]
    loss: float


def probabilities(parent: float, child: float, together: float | None = None) -> Float[np.ndarray, "4"]:
    """Of `STATES`; `together` = P(both on): the product by default, for independent ones; `child` for a child."""
    both = parent * child if together is None else together
    found = np.array([1 - parent - child + both, parent - both, child - both, both])
    if (found < -1e-12).any():
        raise ValueError(f"parent={parent:g}, child={child:g}, together={both:g}: no such probabilities")
    return np.maximum(found, 0)


def loss(angle: float, bias: Float[np.ndarray, "2"], P: Float[np.ndarray, "4"], penalty: float) -> float:
    """L at the decoder (cos angle, sin angle) with the best codes."""
    left = STATES - bias
    on = np.maximum(0, left @ [np.cos(angle), np.sin(angle)] - penalty / 2)
    return float(P @ ((left**2).sum(1) - on**2))


def optimum(parent: float, child: float, together: float | None = None, penalty: float = 1e-3) -> Hedging:
    """The least loss over direction and bias, from many starts, to 1e-10.

    Independent features: the parent's direction, and the child's mean as bias along it. A child of the parent: mixed.
    """
    P = probabilities(parent, child, together)
    starts = [(a, *b) for a in np.linspace(-np.pi, np.pi, 12, endpoint=False) for b in STATES * 0.8 + 0.05]
    found = [
        minimize(lambda x: loss(x[0], x[1:], P, penalty), start, method="Nelder-Mead", options=PRECISE)
        for start in starts
    ]
    best = min(found, key=lambda each: each.fun)
    angle, *bias = best.x
    return Hedging(np.array([np.cos(angle), np.sin(angle)]), np.array(bias), float(best.fun))


PRECISE = {"xatol": 1e-10, "fatol": 1e-14, "maxiter": 4000, "maxfev": 4000}
