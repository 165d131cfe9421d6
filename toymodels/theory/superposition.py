"""All of x' = ReLU(W Wᵀ x + b) under one name: exact losses, optima, two features, polygons and best sizes."""

from toymodels.theory.expected_loss import MAX_FEATURES, Solution, expected_loss, one_sparse_loss, population_loss
from toymodels.theory.factors import Scaled, best_scaled
from toymodels.theory.linear import feature_variance, linear_loss, linear_optimum
from toymodels.theory.minima import local_minima, optimum
from toymodels.theory.polygons import Polygon, polygon, polygon_weights
from toymodels.theory.two_features import (
    TwoFeatures,
    antipodal_best_bias,
    boundary_best_bias,
    boundary_optimised,
    boundary_without_bias,
    instability,
    two_features,
)

__all__ = [
    "MAX_FEATURES",
    "Polygon",
    "Scaled",
    "Solution",
    "TwoFeatures",
    "antipodal_best_bias",
    "best_scaled",
    "boundary_best_bias",
    "boundary_optimised",
    "boundary_without_bias",
    "expected_loss",
    "feature_variance",
    "instability",
    "linear_loss",
    "linear_optimum",
    "local_minima",
    "one_sparse_loss",
    "optimum",
    "polygon",
    "polygon_weights",
    "population_loss",
    "two_features",
]
