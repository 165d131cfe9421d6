"""The table of what is known of packings, against the functions that it is made from."""

import numpy as np
import pytest

from toymodels.theory import tegum
from toymodels.theory.johnson_lindenstrauss import jl_constant, jl_fitted_loss, jl_fitted_switch
from toymodels.theory.packing_table import packing_table

SIZES, POWERS, FITTED = {"6 in 3": (6, 3), "12 in 4": (12, 4)}, [1.5, 2.0, 4.0], [(1000, 100), (10_000, 1000)]


@pytest.mark.parametrize("signed", [False, True])
def test_a_table_holds_what_single_functions_say(signed):
    table = packing_table(SIZES, POWERS, signed, FITTED)
    for size, (n, d) in SIZES.items():
        one = table.sel(size=size)
        assert (int(one.n), int(one.d)) == (n, d)
        assert int(one.most) == tegum.max_orthogonal_pairs(n, d)
        assert int(one["product"]) == tegum.tegum_orthogonal_pairs(n, d)
        assert int(one.sets) == tegum.overlapping_sets_pairs(n, d)
        assert float(one["axes"]) == tegum.orthonormal_copies_loss(n, d)
        for q in POWERS:
            here, known = one.sel(power=q), tegum.best_explicit(n, d, q, signed)
            assert (float(here.known), int(here.known_factors)) == (known.loss, known.factors)
            assert here.known_name.item() == known.name
            assert float(here.bound) == pytest.approx(tegum.loss_bound(n, d, q, signed).value, rel=1e-9)
            assert float(here.moments) == tegum.moment_bound(n, d, q)
            assert float(here.orthoplex) == tegum.orthoplex_bound(n, d, q)
            assert float(here.random) == tegum.random_loss(n, d, q, signed)
        for place, large in enumerate(FITTED):
            constant = jl_constant(*large)
            assert float(one.constant[place]) == constant
            assert float(one.switch[place]) == jl_fitted_switch(n, d, constant)
            fits = [jl_fitted_loss(n, d, q, constant) for q in POWERS]
            np.testing.assert_array_equal(one.estimate.isel(fitted=place), fits)
    assert table.fitted.values.tolist() == ["1000 in 100", "10000 in 1000"]


def test_linear_programming_is_left_out_where_a_closed_bound_is_attained():
    """Copies of axes at power 1 attain the frame potential; of twelve lines at power 3 no optimum is known."""
    axes = tegum.best_configuration(12, 4, 1.0).loss
    assert "linear programming" not in tegum.loss_bounds(12, 4, 1.0, enough=axes)
    assert "linear programming" in tegum.loss_bounds(12, 4, 1.0)
    open_case = tegum.best_configuration(12, 4, 3.0).loss
    assert tegum.loss_bounds(12, 4, 3.0, enough=open_case) == tegum.loss_bounds(12, 4, 3.0)
