"""Phases of few features in a bottleneck: branches, where the best one changes, and ties, under one name."""

from toymodels.shapes.arrangements import arrangement, branch_of, gram_invariants, symmetric_invariants
from toymodels.theory.branches import Branches, Question, errors_of_extra, three_branches, two_branches
from toymodels.theory.ties import (
    ComparedJump,
    TiedOptima,
    compared_jump,
    compared_jumps,
    nearest_tied,
    tied_jumps,
    tied_optima,
)
from toymodels.theory.transitions import DROPPED, JUMP, OWN, STEEP, Transition, boundaries, boundary, transitions

__all__ = [
    "DROPPED",
    "JUMP",
    "OWN",
    "STEEP",
    "Branches",
    "ComparedJump",
    "Question",
    "TiedOptima",
    "Transition",
    "arrangement",
    "boundaries",
    "boundary",
    "branch_of",
    "compared_jump",
    "compared_jumps",
    "errors_of_extra",
    "gram_invariants",
    "nearest_tied",
    "symmetric_invariants",
    "three_branches",
    "tied_jumps",
    "tied_optima",
    "transitions",
    "two_branches",
]
