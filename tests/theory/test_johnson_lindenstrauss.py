"""The fitted estimate: exact where it was fitted, and where it leaves the choice open."""

import math

import pytest

from toymodels.shapes.bounds import minimum_frame_potential
from toymodels.theory.johnson_lindenstrauss import jl_constant, jl_fitted_loss, jl_fitted_switch
from toymodels.theory.packing_losses import orthonormal_copies_loss


@pytest.mark.parametrize(("n", "d"), [(6, 3), (24, 8), (1000, 100)])
def test_where_it_was_fitted_it_is_the_least_frame_potential_and_switches_at_two(n, d):
    C = jl_constant(n, d)
    assert jl_fitted_loss(n, d, 2, C) == pytest.approx(minimum_frame_potential(n, d) - n)
    assert jl_fitted_switch(n, d, C) == pytest.approx(2)


@pytest.mark.parametrize(("n", "d"), [(7, 6), (16, 6), (24, 8)])
def test_the_switch_is_where_the_losses_cross(n, d):
    C = jl_constant(1000, 100)
    power = jl_fitted_switch(n, d, C)
    for factor in (0.9, 1.1):
        one, axes = jl_fitted_loss(n, d, factor * power, C), orthonormal_copies_loss(n, d)
        assert (one < axes) == (factor > 1)


def test_the_constant_falls_as_the_logarithm():
    assert jl_constant(10**6, 10**3) * math.log(10**6) == pytest.approx(1, rel=2e-3)


def test_degenerate_sizes():
    assert jl_fitted_switch(3, 3, 0.1) == math.inf
    assert jl_fitted_switch(4, 1, 1.0) == math.inf
    with pytest.raises(ValueError, match="more vectors than dimensions"):
        jl_constant(3, 3)
