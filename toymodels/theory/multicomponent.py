"""Factorisation of a target A as U Vᵀ: flow, plateaus, escapes, growth and optima, gathered under one name.

Each subject has a file of its own. Everything is float64 numpy; inputs may be numpy arrays, JAX arrays or nested lists.
"""

from toymodels.theory.escape import (
    EscapeLimit,
    EscapeSample,
    escape_time,
    escape_time_distribution,
    escape_time_limit,
)
from toymodels.theory.factorisation import (
    LowRank,
    cross_entropy_rank,
    eckart_young,
    plateau_levels,
    stable_step,
)
from toymodels.theory.factorisation_flow import (
    FactorFlow,
    ProductFlow,
    RankOneFlow,
    balanced_flow,
    gradient_flow,
    mode_strength,
    rank_one_flow,
)
from toymodels.theory.growth import (
    GrowthRates,
    cross_entropy_growth_rates,
    growth_rates,
    inner_product_growth_rates,
    power_growth_rates,
    regression_growth_rates,
    squared_growth_rates,
)
from toymodels.theory.regression import (
    expected_descent,
    regression_levels,
    regression_loss,
    regression_optimum,
    regression_target,
)

__all__ = [
    "EscapeLimit",
    "EscapeSample",
    "FactorFlow",
    "GrowthRates",
    "LowRank",
    "ProductFlow",
    "RankOneFlow",
    "balanced_flow",
    "cross_entropy_growth_rates",
    "cross_entropy_rank",
    "eckart_young",
    "escape_time",
    "escape_time_distribution",
    "escape_time_limit",
    "expected_descent",
    "gradient_flow",
    "growth_rates",
    "inner_product_growth_rates",
    "mode_strength",
    "plateau_levels",
    "power_growth_rates",
    "rank_one_flow",
    "regression_growth_rates",
    "regression_levels",
    "regression_loss",
    "regression_optimum",
    "regression_target",
    "squared_growth_rates",
    "stable_step",
]
