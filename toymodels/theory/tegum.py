"""Packing n unit vectors in d dimensions: losses, bounds and configurations, gathered under one name. Jermyn 2022.

Each subject has a file of its own; a tegum product puts its factors in orthogonal subspaces, where losses add.
"""

from toymodels.shapes.bounds import (
    mean_power,
    minimum_frame_potential,
    orthoplex_coherence,
    random_loss,
    rankin_cosine,
    welch_coherence,
    welch_moment,
)
from toymodels.shapes.frames import (
    blocks,
    cross_polytope,
    harmonic_frame,
    orthonormal_copies,
    tegum_product,
)
from toymodels.shapes.packing import (
    interference_loss,
)
from toymodels.theory.johnson_lindenstrauss import (
    jl_best_factors,
    jl_estimate,
    jl_stationary_factors,
    jl_switch,
)
from toymodels.theory.linear_programming import (
    linear_programming_bound,
)
from toymodels.theory.orthogonal_pairs import (
    factor_orthogonal_pairs,
    max_orthogonal_pairs,
    orthogonal_pairs_switch,
    overlapping_sets_pairs,
    tegum_orthogonal_pairs,
)
from toymodels.theory.packing_bounds import (
    LossBound,
    few_more_bound,
    loss_bound,
    loss_bounds,
    moment_bound,
    one_more_bound,
    one_more_factors,
    orthoplex_bound,
    ray_bound,
)
from toymodels.theory.packing_losses import (
    blocks_loss,
    cross_polytope_loss,
    harmonic_frame_loss,
    orthonormal_copies_loss,
    polygon_loss,
    simplex_loss,
)
from toymodels.theory.packings import (
    Configuration,
    best_configuration,
    best_explicit,
)

__all__ = [
    "Configuration",
    "LossBound",
    "best_configuration",
    "best_explicit",
    "blocks",
    "blocks_loss",
    "cross_polytope",
    "cross_polytope_loss",
    "factor_orthogonal_pairs",
    "few_more_bound",
    "harmonic_frame",
    "harmonic_frame_loss",
    "interference_loss",
    "jl_best_factors",
    "jl_estimate",
    "jl_stationary_factors",
    "jl_switch",
    "linear_programming_bound",
    "loss_bound",
    "loss_bounds",
    "max_orthogonal_pairs",
    "mean_power",
    "minimum_frame_potential",
    "moment_bound",
    "one_more_bound",
    "one_more_factors",
    "orthogonal_pairs_switch",
    "orthonormal_copies",
    "orthonormal_copies_loss",
    "orthoplex_bound",
    "orthoplex_coherence",
    "overlapping_sets_pairs",
    "polygon_loss",
    "random_loss",
    "rankin_cosine",
    "ray_bound",
    "simplex_loss",
    "tegum_orthogonal_pairs",
    "tegum_product",
    "welch_coherence",
    "welch_moment",
]
