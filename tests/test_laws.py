"""Laws give their vectors, and nothing outside what they may give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toymodels.laws import Geometric, PowerLaw, check_law, per_feature

N = 12


@given(st.floats(0.05, 1), st.floats(1e-3, 1e3))
def test_geometric(ratio: float, first: float) -> None:
    """Each is `ratio` times the one before; float32 powers are right to a few roundings an order."""
    law = Geometric(ratio, first)
    np.testing.assert_allclose(per_feature(law, N), first * np.power(ratio, np.arange(N)), rtol=1e-5)


@given(st.floats(0, 4), st.floats(1e-3, 1e3))
def test_power_law(exponent: float, first: float) -> None:
    law = PowerLaw(exponent, first)
    np.testing.assert_allclose(per_feature(law, N), first * np.arange(1.0, N + 1) ** -exponent, rtol=1e-5)


@given(st.floats(0.05, 1), st.floats(0, 4), st.floats(1e-3, 1))
def test_rules_only_decay(ratio: float, exponent: float, first: float) -> None:
    """So checking the first value checks all of them."""
    for law in (Geometric(ratio, first), PowerLaw(exponent, first)):
        values = np.asarray(per_feature(law, N))
        assert (np.diff(values) <= 0).all()
        assert values[0] == np.float32(first)
        assert (values > 0).all()


def test_numbers_and_vectors() -> None:
    np.testing.assert_array_equal(per_feature(0.5, 3), [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(per_feature((1.0, 2.0, 3.0), 3), [1, 2, 3])
    np.testing.assert_array_equal(per_feature((2.0,), 3), [2, 2, 2])
    assert per_feature(Geometric(1.0), 1).shape == (1,)


@given(st.lists(st.floats(0, 2), min_size=1, max_size=5))
def test_a_law_is_refused_for_any_value_outside(values: list[float]) -> None:
    law = tuple(values)
    if max(values) <= 1:
        check_law("x", law, len(law), lambda value: value <= 1, "at most 1")
    else:
        with pytest.raises(ValueError, match=r"^x=.*: at most 1$"):
            check_law("x", law, len(law), lambda value: value <= 1, "at most 1")
    with pytest.raises(ValueError, match=f"^x has {len(law)} values for {len(law) + 1} features$"):
        check_law("x", law, len(law) + 1, lambda value: True, "")
