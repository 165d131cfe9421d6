"""Rates at which small components grow from zero, under each loss of a factorisation."""

from typing import NamedTuple

import numpy as np

from toymodels.arrays import Array, Float
from toymodels.theory.arguments import Numbers, Real, real
from toymodels.theory.factorisation_flow import ROUNDING
from toymodels.theory.regression import moment_matrix


class GrowthRates(NamedTuple):
    """Rates (descending, per unit of time) at which overlaps with the columns of left and right grow from zero."""

    rates: Float[Array, " modes"]
    left: Float[Array, "n modes"]
    right: Float[Array, "m modes"]


def growth_rates(gradient: Numbers) -> GrowthRates:
    """Near Ã = 0, dU/dt = G V and dV/dt = Gᵀ U with G = -dL/dÃ: overlaps u.U + v.V grow at the singular values of G.

    gradient: n x m, dL/dÃ at Ã = 0 of any loss.
    """
    left, rates, right = np.linalg.svd(-real(gradient, "gradient", 2), full_matrices=False)
    return GrowthRates(rates, left, right.T)


def squared_growth_rates(A: Numbers) -> GrowthRates:
    """s_k of A, for L = 1/2 |A - Ã|_F^2, whose gradient at zero is -A."""
    return growth_rates(-real(A, "A", 2))


def inner_product_growth_rates(A: Numbers) -> GrowthRates:
    """s_k of A, for L = -<A, Ã>; here the growth is exponential for ever."""
    return growth_rates(-real(A, "A", 2))


def power_growth_rates(A: Numbers, power: Real) -> GrowthRates:
    """Singular values of power |A|^(power-1) sign(A), for L = sum |A - Ã|^power, power >= 1; twice s_k at power 2."""
    target = real(A, "A", 2)
    if not 1 <= power < np.inf:
        raise ValueError(f"power={power:g}: the exponent of a loss is at least 1")
    return growth_rates(-power * np.abs(target) ** (power - 1) * np.sign(target))


def cross_entropy_growth_rates(A: Numbers) -> GrowthRates:
    """Singular values of q - 1/(n m), for L = -sum q log softmax(Ã) + const, q = softmax(A) over all n m entries.

    About s_k(A - mean A)/(n m) for a small A. Zero for a constant A, which is already learned.
    """
    target = real(A, "A", 2)
    weights = np.exp(target - target.max())
    excess = weights / weights.sum() - 1 / target.size
    excess[np.abs(excess) <= ROUNDING / target.size] = 0
    return growth_rates(-excess)


def regression_growth_rates(A: Numbers, second_moment: Numbers) -> GrowthRates:
    """Singular values of A M, M = E[x xᵀ], for L = 1/2 E|(A - Ã) x|^2; twice that without the 1/2.

    The gradient at zero is -A M. Not those of A M^(1/2), unless M is a multiple of the identity: V moves in its own
    metric, not in that of M^(1/2) V. second_moment: a number (times the identity), a vector (the diagonal) or m x m.
    """
    target = real(A, "A", 2)
    return growth_rates(-target @ moment_matrix(second_moment, target.shape[1]))
